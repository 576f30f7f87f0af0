"""The twin's preferred interactions and views against examples worked out by hand."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from fractions import Fraction as F  # noqa: N817 (worked numbers should read as numbers)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notation import outcomes, touches
from reference import build, build_paths, lengths, paths, reach, times_to_conversion
from strategies import event_tables, recipes


def clicks(customer, text, **more):
    return touches(customer, text, interaction="click", **more)


def views(customer, text, **more):
    return touches(customer, text, interaction="impression", **more)


def shown(built):
    return [(j.status, "".join(channel for (channel,) in j.players)) for j in built.journeys]


def booked(built, *entries):
    return tuple(built.ledger["touchpoints", entry][0] for entry in entries)


# --- prefer and lookback by interaction (semantics 2) ---


@pytest.mark.parametrize(
    ("prefer", "path"),
    [((), "acb"), (["click"], "c"), (["impression"], "ab"), (["visit", "click"], "c"), (["visit"], "acb")],
)
def test_the_first_preferred_interaction_that_there_is(prefer, path):
    built = build(views("x", "1a 4b") + clicks("x", "2c"), outcomes("x", "5purchase"), prefer=prefer)
    assert shown(built) == [("converting", path)]
    assert booked(built, "used", "outside_window") == (len(path), 0)
    if prefer:
        assert booked(built, "not_preferred") == (3 - len(path),)
    else:
        assert ("touchpoints", "not_preferred") not in built.ledger


def test_prefer_acts_within_the_window_and_on_each_part_of_its_own():
    # 0a is a click beyond the lookback; 1b and 2c are a part with a click, 9d one without.
    rows = clicks("x", "0a 1b") + views("x", "2c 9d") + touches("x", "10e", interaction=None)
    built = build(rows, outcomes("x", "12purchase"), lookback=11, max_gap=3, prefer=["click"])
    assert shown(built) == [("null", "b"), ("converting", "de")]
    assert booked(built, "used", "not_preferred", "outside_window") == (3, 1, 1)


def test_prefer_comes_before_repeats():
    rows = clicks("x", "1a 3a") + views("x", "2b")
    built = build(rows, outcomes("x", "5purchase"), prefer=["click"], repeats="collapse")
    assert shown(built) == [("converting", "a")]
    assert booked(built, "used", "not_preferred") == (2, 1)


def test_maturity_and_by_follow_the_journey_before_prefer():
    rows = clicks("x", "1a", country="de") + views("x", "9b", country="fr")
    built = build(rows, [], maturity=3, prefer=["click"], by=["country"])
    assert [(j.status, j.game, j.players) for j in built.journeys] == [("open", ("fr",), (("a",),))]
    assert booked(built, "used", "open", "not_preferred") == (0, 2, 0)


def test_a_lookback_for_all_other_interactions():
    rows = clicks("x", "1a 4b") + views("x", "1c 4d") + touches("x", "4e", interaction=None)
    built = build(rows, outcomes("x", "5purchase"), lookback={"click": 10, "*": 1})
    assert shown(built) == [("converting", "abde")]
    built = build(rows, outcomes("x", "5purchase"), lookback={"click": 0, "*": None})
    assert shown(built) == [("converting", "cde")]


# --- views ---


def test_paths_and_lengths():
    rows = touches("x", "1a 2b 7a 8b") + touches("y", "1a 2b") + touches("z", "1b") + touches("u", "9c")
    built = build(rows, outcomes("x", "3purchase=5 3purchase 8purchase=2 9purchase"), maturity=1)
    a, b = ("a",), ("b",)
    assert paths(built) == {(): {(a, b): (3, 3, 1, 8), (b,): (1, 0, 1, 0)}}
    assert lengths(built) == {(): {1: (0, 1), 2: (3, 1)}}


def test_a_path_table_stands_for_one_journey_per_conversion_or_null():
    built = build_paths([{"path": "A > A", "conversions": 3, "value": 1.5, "nulls": 2}])
    assert paths(built) == {(): {(("A",), ("A",)): (5, 3, 2, F(3, 2))}}
    assert lengths(built) == {(): {2: (3, 2)}}


def test_time_to_conversion():
    built = build(touches("x", "1a 4b 6b"), outcomes("x", "4purchase 4purchase 6purchase 9purchase"))
    assert times_to_conversion(built) == {(): Counter({3: 2, 0: 1})}
    start = dt.datetime(2024, 1, 1)  # noqa: DTZ001 (naive on purpose)
    touch = {"customer_id": 1, "timestamp": start, "channel": "a"}
    bought = {"customer_id": 1, "timestamp": start + dt.timedelta(minutes=1, milliseconds=999), "outcome": "purchase"}
    assert times_to_conversion(build([touch], [bought])) == {(): Counter({60: 1})}


def test_reach():
    rows = touches("x", "1a 2b 7a") + touches("y", "1a") + touches("z", "9b") + touches("u", "1b 1a")
    built = build(rows, outcomes("x", "3purchase 5purchase"), maturity=2)
    a, b = ("a",), ("b",)
    assert reach(built) == {
        (): {
            "players": {a: 3, b: 3},
            "sets": {frozenset([a, b]): 2, frozenset([a]): 1, frozenset([b]): 1},
        }
    }


def test_reach_counts_touches_that_were_kept():
    rows = clicks("x", "1a") + views("x", "2b")
    assert reach(build(rows, [], prefer=["click"]))[()]["players"] == {("a",): 1}


# --- laws ---


@given(
    event_tables(columns={"touchpoints": ["interaction", "country"], "outcomes": ["value"]}),
    recipes(stages=True),
    st.lists(st.sampled_from(["click", "impression", "visit"]), min_size=1, unique=True),
)
def test_prefer_drops_touches_and_nothing_else(tables, recipe, prefer):
    recipe["by"] = ["country"]
    # A mapping reads `interaction`, as `prefer` does; else other rows would be duplicates.
    recipe["lookback"] = {"*": recipe["lookback"]}
    before, after = build(*tables, **recipe), build(*tables, **recipe, prefer=prefer)
    assert [(j.customer, j.game, j.status, j.conversions, j.value) for j in before.journeys] == [
        (j.customer, j.game, j.status, j.conversions, j.value) for j in after.journeys
    ]
    for entry in ("in", "open", "outside_window", "duplicate"):
        assert before.ledger["touchpoints", entry] == after.ledger["touchpoints", entry]
    booked = {entry: rows for (kind, entry), (rows, _) in after.ledger.items() if kind == "touchpoints"}
    assert booked.pop("in") == sum(booked.values())
    for journey in after.journeys:
        kept = {touch["interaction"] for touch in journey.touches}
        assert len(kept) <= 1 or not kept & set(prefer)


@given(event_tables(), recipes(stages=True))
def test_views_count_every_journey_once(tables, recipe):
    built = build(*tables, **recipe)
    for game, journeys in built.games().items():
        counted = [j for j in journeys if j.status != "unattributed"]
        rows = paths(built)[game].values()
        assert tuple(map(sum, zip(*rows, strict=True))) in (
            (),
            (
                len(counted),
                sum(j.conversions for j in counted),
                sum(j.status == "null" for j in counted),
                sum(j.value for j in counted),
            ),
        )
        conversions = sum(row[1] for row in rows)
        assert conversions == sum(row[0] for row in lengths(built)[game].values())
        assert conversions == sum(times_to_conversion(built)[game].values())
    for found in reach(built).values():
        together = Counter()
        for players, customers in found["sets"].items():
            together.update(dict.fromkeys(players, customers))
        assert dict(together) == found["players"]
