"""attrib itself: from the path table in memory to credit, for each method on its own."""

from __future__ import annotations

from functools import partial

import polars as pl
from clock import main

import attrib


def share(table: pl.DataFrame, method: attrib.Method) -> dict[str, float]:
    """Credit without intervals: no peer has them."""
    credit = attrib.credit(attrib.Journeys.from_paths(table), method, intervals=None)
    return dict(credit.filter(kind="player").select("channel", "share").iter_rows())


if __name__ == "__main__":
    methods = {"markov": attrib.Markov(order=1), "shapley": attrib.Shapley(), "last_touch": attrib.LastTouch()}
    main("attrib", pl.read_csv, {name: partial(share, method=method) for name, method in methods.items()})
