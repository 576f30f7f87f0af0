"""Looking at journeys: small stories with every number worked out by hand."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

import attrib
from notation import outcomes, touches
from strategies import to_frames

PATHS = pl.DataFrame({
    "path": ["ad", "ad > mail", "mail > ad", "mail", ""],
    "total_conversions": [1, 3, 1, 0, 2],
    "total_conversion_value": [10.0, 6.0, 40.0, 0.0, 5.0],
    "total_null": [9, 1, 1, 4, 0],
})  # fmt: skip


@pytest.fixture
def table():
    return attrib.Journeys.from_paths(PATHS)


@pytest.fixture
def shop():
    """Four customers: ad and store; only ad; ad, mail, store, ad and back; call, still young."""
    touched = [*touches(1, "1ad 3store"), *touches(2, "2ad 4ad"), *touches(3, "1ad 2mail 5store 6ad")]
    touched += touches(4, "29call")
    reached = [*outcomes(1, "7purchase"), *outcomes(3, "8purchase=4 30purchase=2")]
    frames = to_frames(touched, reached)
    return attrib.Journeys.from_events(*frames, lookback="unlimited", maturity="5s")


def test_paths_by_frequency(table):
    # 20 journeys with touches: the two unattributed conversions are none
    assert table.paths().drop("players").rows() == [
        ("ad", 1, 10, 1, 9, 0.1, 10.0, 0.5),
        ("ad > mail", 2, 4, 3, 1, 0.75, 6.0, 0.2),
        ("mail", 1, 4, 0, 4, 0.0, 0.0, 0.2),
        ("mail > ad", 2, 2, 1, 1, 0.5, 40.0, 0.1),
    ]
    assert table.paths()["players"].to_list() == [["ad"], ["ad", "mail"], ["mail"], ["mail", "ad"]]


@pytest.mark.parametrize(
    ("sort", "best", "worst"),
    [
        ("frequency", ["ad", "ad > mail", "mail", "mail > ad"], ["mail > ad", "ad > mail", "mail", "ad"]),
        ("conversions", ["ad > mail", "ad", "mail > ad", "mail"], ["mail", "ad", "mail > ad", "ad > mail"]),
        ("rate", ["ad > mail", "mail > ad", "ad", "mail"], ["mail", "ad", "mail > ad", "ad > mail"]),
        ("value", ["mail > ad", "ad", "ad > mail", "mail"], ["mail", "ad > mail", "ad", "mail > ad"]),
    ],
)
def test_best_and_worst(table, sort, best, worst):
    assert table.paths(sort=sort)["path"].to_list() == best
    assert table.paths(sort=sort, worst=True)["path"].to_list() == worst
    assert table.paths(2, sort)["path"].to_list() == best[:2]
    assert table.paths(None, sort, min_journeys=4)["path"].to_list() == [p for p in best if p != "mail > ad"]


def test_where_journeys_end(table):
    # steps out of ad: 10 + 4 + 2; out of mail: 4 + 4 + 2
    assert table.ends().rows() == [("ad", 2, 10, 10 / 16, 10 / 15), ("mail", 3, 5, 5 / 10, 5 / 15)]


def test_touches_to_conversion(table):
    assert table.touches_to_conversion().rows() == [(1, 14, 1, 13, 1 / 14, 0.2, 0.2), (2, 6, 4, 2, 4 / 6, 0.8, 1.0)]


def test_a_path_table_goes_out_as_it_came_in(table):
    assert table.to_paths().equals(PATHS.sort("path"))


def test_a_path_table_leaves_out_no_name_and_merges_rows():
    frame = pl.DataFrame({"path": ["a > b", "a>b", "a > b"], "total_conversions": [1, 2, 4]})
    found = attrib.Journeys.from_paths(frame, sep=">").to_paths()
    assert found.rows() == [("a > b", 7, 7.0, 0)]


def test_time_to_conversion():
    touched = [row for i in range(10) for row in touches(i, "1ad 2mail")]
    reached = [row for i in range(10) for row in outcomes(i, f"{2 + i}purchase")]
    reached += outcomes(9, "11purchase=5")  # a second one at the same instant: one journey, two conversions
    found = attrib.Journeys.from_events(*to_frames(touched, reached)).time_to_conversion([0.1, 0.5, 0.91, 1])
    assert found.columns == ["conversions", "mean_time", "p10_time", "median_time", "p91_time", "p100_time"]
    # 1, 2 … 10 s, and 10 s once more: 65 s in 11; a tenth of 11 are 2, half of it are 6
    times = [timedelta(seconds=65) / 11, *(timedelta(seconds=s) for s in (2, 6, 10, 10))]
    assert found.row(0) == (11, *times)


def test_a_tenth_of_ten_is_one():
    # 0.1 as a binary fraction is a little more than a tenth
    touched = [row for i in range(10) for row in touches(i, "1ad")]
    reached = [row for i in range(10) for row in outcomes(i, f"{2 + i}purchase")]
    journeys = attrib.Journeys.from_events(*to_frames(touched, reached))
    assert journeys.time_to_conversion([0.1])["p10_time"].item() == timedelta(seconds=1)


def test_no_conversion_with_a_touch_has_no_time():
    journeys = attrib.Journeys.from_events(*to_frames(touches(1, "5ad"), outcomes(1, "2purchase")))
    assert journeys.time_to_conversion().row(0) == (0, None, None, None, None)
    assert journeys.reach().row(0) == ("ad", 1, 1.0, 1, 0, 0.0)  # the purchase came before any touch
    assert journeys.to_paths().rows() == [("", 1, 1.0, 0), ("ad", 0, 0.0, 1)]


def test_reach(shop):
    assert shop.reach().rows() == [
        ("ad", 3, 0.75, 1, 2, 2 / 3),
        ("call", 1, 0.25, 1, 0, 0.0),  # met on an open journey
        ("mail", 1, 0.25, 0, 1, 1.0),
        ("store", 2, 0.5, 0, 2, 1.0),
    ]


def test_overlap(shop):
    assert shop.overlap().rows() == [
        ("ad", "call", 0, 0.0, 0.0, 0.0),
        ("ad", "mail", 1, 0.25, 1 / 3, pytest.approx(0.25 / (0.75 * 0.25))),
        ("ad", "store", 2, 0.5, 2 / 3, pytest.approx(0.5 / (0.75 * 0.5))),
        ("call", "mail", 0, 0.0, 0.0, 0.0),
        ("call", "store", 0, 0.0, 0.0, 0.0),
        ("mail", "store", 1, 0.25, 0.5, pytest.approx(0.25 / (0.25 * 0.5))),
    ]


def test_mix(shop):
    assert shop.mix({"offline": ["store", "call"]}).rows() == [
        ("single", 2, 0.5, 0, 0.0),  # only ad, only call
        ("multi", 0, 0.0, 0, None),
        ("cross", 2, 0.5, 2, 1.0),
    ]
    assert shop.mix()["customers"].to_list() == [2, 2, 0]  # one group: nothing to cross
    assert shop.mix({"online": ["ad"], "offline": "store"}).equals(shop.mix({"offline": ["store"]}))


def test_switches(shop):
    # closed journeys: ad > store (converts), ad > ad (lost), ad > mail > store > ad (converts)
    assert shop.switches({"offline": ["store", "call"]}).rows() == [
        ("offline", "online", False, 1, 1, 0, 1.0, 1 / 3),
        ("offline", "online", True, 0, 0, 0, None, 0.0),
        ("online", "offline", False, 2, 2, 0, 1.0, 2 / 3),
        ("online", "offline", True, 1, 1, 0, 1.0, 1 / 3),
    ]
    assert shop.switches({"all": ["ad", "call", "mail", "store"]}).height == 0  # nothing else to switch to


def test_back_may_go_through_a_third_group():
    frame = pl.DataFrame({"path": ["a > b > c > b > a", "b > a > c > b"], "total_conversions": [1, 1]})
    rows = attrib.Journeys.from_paths(frame).switches({"A": ["a"], "B": ["b"], "C": ["c"]})
    found = {(r["from"], r["to"]): r["journeys"] for r in rows.filter("back").to_dicts()}
    # in the second, b > a is followed by c > b only: no step leads back from a to b
    assert found == {("A", "B"): 1, ("A", "C"): 0, ("B", "A"): 0, ("B", "C"): 1, ("C", "A"): 0, ("C", "B"): 0}


def test_every_stage_has_its_rows():
    frames = to_frames(touches(1, "1ad 4mail"), outcomes(1, "2visit 5purchase"))
    journeys = attrib.Journeys.from_events(*frames, stages="three", lookback="unlimited")
    assert journeys.paths().select("stage", "path", "conversions").rows() == [
        ("awareness", "ad", 1),
        ("consideration", "mail", 1),
    ]
    assert journeys.time_to_conversion()["conversions"].to_list() == [1, 1, 0]
    assert journeys.mix()["stage"].to_list() == [
        s for s in ("awareness", "consideration", "decision") for _ in range(3)
    ]
    assert journeys.paths()["stage"].dtype == pl.Enum(["awareness", "consideration", "decision"])
