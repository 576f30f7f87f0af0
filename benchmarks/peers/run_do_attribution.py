"""do-attribution 0.0.2 (MIT): the exact Markov chain, a step into the removed channel leading to null.

It reads sequences: path texts, outcomes (0 or 1). Its Shapley value is that of another game, over all 2^n coalitions.
"""

from __future__ import annotations

from pathlib import Path

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


if __name__ == "__main__":
    main("do-attribution", prepare, {"markov": markov})
