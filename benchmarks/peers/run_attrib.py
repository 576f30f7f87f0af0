"""attrib itself: from the table or log in memory to credit, for each method on its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl
from clock import main

import attrib


def read_events(file: Path) -> pl.DataFrame:
    """Times as times, flags as flags."""
    return pl.read_csv(file).with_columns(pl.from_epoch("time"), pl.col("converted") > 0)


def from_events(events: pl.DataFrame) -> attrib.Journeys:
    """Journeys without a lookback: no peer has one."""
    outcome, columns = attrib.InlineOutcome(flag="converted"), {"customer_id": "customer", "timestamp": "time"}
    return attrib.Journeys.from_events(events, outcome, columns=columns, lookback=None)


def share(
    table: pl.DataFrame, method: attrib.Method, journeys: Callable[[pl.DataFrame], attrib.Journeys]
) -> dict[str, float]:
    """Credit without intervals: no peer has them."""
    credit = attrib.credit(journeys(table), method, intervals=None)
    return dict(credit.filter(kind="player").select("channel", "share").iter_rows())


if __name__ == "__main__":
    from_paths = partial(share, journeys=attrib.Journeys.from_paths)
    methods = {"markov": attrib.Markov(order=1), "shapley": attrib.Shapley(), "last_touch": attrib.LastTouch()}
    from_log = partial(share, journeys=from_events, method=methods["markov"])
    main(
        "attrib",
        {
            "path table": (pl.read_csv, {name: partial(from_paths, method=method) for name, method in methods.items()}),
            "event log": (read_events, {"markov": from_log, "markov_groupby": from_log}),  # beside both of pandas
        },
    )
