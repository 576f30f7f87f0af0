"""do-attribution 0.0.2 (MIT): the exact Markov chain, a step into the removed channel leading to null.

It reads sequences: path texts, outcomes (0 or 1). Its Shapley value is that of another game, over all 2^n coalitions.
"""

from __future__ import annotations

from pathlib import Path

import events
import pandas as pd
from clock import main
from do_attribution import MarkovAttribution
from tables import SEPARATOR, read

Table = tuple[list[str], list[int]]


def prepare(file: Path) -> Table:
    """One journey a row."""
    rows = read(file)
    return [path for path, _, _ in rows], [conversions for _, conversions, _ in rows]


def markov(table: Table) -> dict[str, float]:
    """Shares of order 1."""
    model = MarkovAttribution(order=1, separator=SEPARATOR, removal_strategy="redirect_to_null")
    return model.fit(*table)["attribution"]


def markov_of_events(log: pd.DataFrame) -> dict[str, float]:
    """Shares of order 1 from equal paths added up: an outcome a row, weighted."""
    table = events.paths(log)
    outcomes = {1: table["total_conversions"], 0: table["total_null"]}
    rows = pd.concat([pd.DataFrame({"path": table["path"], "won": won, "n": n})[n > 0] for won, n in outcomes.items()])
    model = MarkovAttribution(order=1, separator=SEPARATOR, removal_strategy="redirect_to_null")
    return model.fit(rows["path"], rows["won"], rows["n"])["attribution"]


if __name__ == "__main__":
    tasks = {
        "path table": (prepare, {"markov": markov}),
        "event log": (events.read, {"markov": markov_of_events}),
    }
    main("do-attribution", tasks)
