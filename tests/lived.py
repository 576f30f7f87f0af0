"""What the tests of both engines of Incremental share: views of journeys, and that credit adds up in them."""

from __future__ import annotations

import polars as pl
import pytest

import attrib

VIEWS = [
    {"target": "purchase"},
    {"stages": "five"},
    {"stages": "five", "view": "resolved", "target": "purchase"},
    {"target": "purchase", "player": ["channel", "interaction"]},
]


def journeys_of(data, **settings):
    return attrib.Journeys.from_events(data.touchpoints, data.outcomes, **settings)


def adds_up(data, view, method):
    """Credit by the method as "m", beside linear: both share out what was observed."""
    table = attrib.credit(journeys_of(data, **view), {"m": method, "linear": attrib.Linear()}, intervals=None)
    attrib.testing.assert_credit_table(table.filter(method="m"))
    games = [name for name in ("stage",) if "stages" in view and "view" not in view]
    sums = table.group_by("method", *games).agg(pl.col("conversions", "value").sum()).sort("method", *games)
    ours, linear = (sums.filter(method=name).drop("method") for name in ("m", "linear"))
    assert ours.height == linear.height
    for column in ("conversions", "value"):
        assert ours[column].to_list() == pytest.approx(linear[column].to_list(), abs=1e-6)
    assert table.filter(method="m", kind="player")["conversions"].abs().sum() > 0
    return table
