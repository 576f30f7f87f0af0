"""What each method says of a handful of journeys (docs/semantics.md, sections 4 to 6 and 10)."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

import attrib
from stories import credited, tell


def paths(*rows: tuple[str, int, int]) -> attrib.Journeys:
    """Journeys of (path, conversions, nulls)."""
    schema = {"path": pl.String, "total_conversions": pl.Int64, "total_null": pl.Int64}
    return attrib.Journeys.from_paths(pl.DataFrame(rows, schema=schema, orient="row"))


def by_touch(method: Any, path: str) -> list[float]:
    """Credit of each touch of a path whose channels differ."""
    found = credited(method.credit(paths((path, 1, 0))))
    return [found[channel] for channel in path.split(" > ")]


# --- rules ---


@pytest.mark.parametrize(
    ("method", "path", "weights"),
    [
        (attrib.FirstTouch(), "a > b > c", [1, 0, 0]),
        (attrib.LastTouch(), "a > b > c", [0, 0, 1]),
        (attrib.LastNonDirect(), "a > b > direct", [0, 1, 0]),
        (attrib.LastNonDirect(), "direct", [1]),
        (attrib.LastNonDirect(direct=("c", "b")), "a > b > c", [1, 0, 0]),
        (attrib.LastNonDirect(direct=("a", "b")), "a > b", [0, 1]),
        (attrib.Linear(), "a > b > c > d", [1 / 4, 1 / 4, 1 / 4, 1 / 4]),
        (attrib.PositionBased(), "a", [1]),
        (attrib.PositionBased(), "a > b", [1 / 2, 1 / 2]),
        (attrib.PositionBased(), "a > b > c", [0.4, 0.2, 0.4]),
        (attrib.PositionBased(), "a > b > c > d", [0.4, 0.1, 0.1, 0.4]),
        (attrib.PositionBased(first=0.6, last=0.2), "a > b", [3 / 4, 1 / 4]),
        (attrib.PositionBased(first=0.6, last=0.2), "a > b > c", [0.6, 0.2, 0.2]),
        (attrib.PositionBased(first=0, last=0), "a > b", [1 / 2, 1 / 2]),
        (attrib.PositionBased(first=0, last=0), "a > b > c", [0, 1, 0]),
        (attrib.PositionBased(first=1, last=0), "a > b > c", [1, 0, 0]),
    ],
    ids=lambda value: value.label if hasattr(value, "label") else None,
)
def test_weights_of_a_rule_by_position(method, path, weights):
    assert by_touch(method, path) == pytest.approx(weights)


def test_time_decay_halves_with_every_half_life_before_the_conversion():
    table = attrib.TimeDecay(half_life="2s").credit(tell("ann  1a 3b 5c | 5purchase"))
    assert credited(table) == pytest.approx({"a": 1 / 7, "b": 2 / 7, "c": 4 / 7, None: 0})


def test_a_player_with_two_touches_gets_both_shares():
    assert credited(attrib.Linear().credit(paths(("a > b > a", 3, 0)))) == {"a": 2.0, "b": 1.0, None: 0.0}


def test_nulls_do_not_matter_to_rules():
    assert credited(attrib.Linear().credit(paths(("a", 1, 0), ("b", 0, 9)))) == {"a": 1.0, "b": 0.0, None: 0.0}


# --- Markov chains ---


def test_the_known_numbers_of_the_markov_chain():
    # start goes to C1 twice in three, to C2 once; P(conversion) = 1/3
    journeys = paths(("C1 > C2 > C3", 1, 0), ("C1", 0, 1), ("C2 > C3", 0, 1))
    table = attrib.Markov(order=1).credit(journeys)
    assert credited(table, "effect", kind="player") == pytest.approx({"C1": 0.5, "C2": 1.0, "C3": 1.0})
    assert credited(table, "share", kind="player") == pytest.approx({"C1": 0.2, "C2": 0.4, "C3": 0.4})
    assert credited(table, kind="player") == pytest.approx({"C1": 0.2, "C2": 0.4, "C3": 0.4})


def test_the_same_chain_from_events():
    journeys = tell("""
        ann  1a 2b 3c | 4purchase
        bob  1a       |
        cat  1b 2c    |
    """)
    table = attrib.Markov(order=1).credit(journeys)
    assert credited(table, kind="player") == pytest.approx({"a": 0.2, "b": 0.4, "c": 0.4})


def test_a_higher_order_remembers_more():
    # order 2 knows that C2 > C3 converts only after C1: without C1 nothing converts
    journeys = paths(("C1 > C2 > C3", 1, 0), ("C1", 0, 1), ("C2 > C3", 0, 1))
    table = attrib.Markov(order=3).credit(journeys)
    assert credited(table, "effect", kind="player") == pytest.approx({"C1": 1.0, "C2": 1.0, "C3": 1.0})
    assert credited(table, kind="player") == pytest.approx(dict.fromkeys(("C1", "C2", "C3"), 1 / 3))


def test_without_conversions_credit_is_0_and_the_effect_unknown():
    story = """
        ann  1ad | 9visit
        bob      | 2purchase
    """
    table = attrib.Markov().credit(tell(story))
    assert credited(table) == {"ad": 0.0, None: 1.0}
    assert credited(table, "effect") == {"ad": None, None: None}


def test_a_player_that_every_conversion_needs_has_effect_1():
    table = attrib.Markov().credit(paths(("ad", 7, 3)))
    assert table.filter(kind="player").select("conversions", "share", "effect").rows() == [(7.0, 1.0, 1.0)]


# --- Shapley values ---


def test_shapley_shares_a_conversion_among_the_distinct_players_of_its_journey():
    journeys = paths(("a > b > a", 6, 0), ("b", 2, 5), ("c", 0, 4))
    assert credited(attrib.Shapley().credit(journeys)) == {"a": 3.0, "b": 5.0, "c": 0.0, None: 0.0}


# --- path tables ---


def test_an_empty_path_holds_unattributed_conversions():
    table = attrib.Linear().credit(paths(("a", 3, 0), ("", 1, 0)))
    assert credited(table) == {"a": 3.0, None: 1.0}
    assert credited(table, "share") == {"a": 0.75, None: 0.25}


def test_values_of_a_path_table_are_sums():
    frame = pl.DataFrame({"p": ["a|b", "b"], "n": [2, 1], "revenue": [30.0, 5.0]})
    journeys = attrib.Journeys.from_paths(frame, path="p", sep="|", conversions="n", value="revenue")
    assert credited(attrib.Linear().credit(journeys), "value") == {"a": 15.0, "b": 20.0, None: 0.0}


def test_without_a_value_column_a_conversion_is_worth_1():
    assert credited(attrib.Linear().credit(paths(("a > b", 3, 0))), "value") == {"a": 1.5, "b": 1.5, None: 0.0}


def test_a_path_table_has_no_times():
    with pytest.raises(attrib.SolveError, match="needs the times of touches") as caught:
        attrib.TimeDecay().credit(paths(("a", 1, 0)))
    assert caught.value.key == "no_times"


# --- the table ---


def test_the_credit_table_in_full():
    table = attrib.credit(
        paths(("b > a", 2, 0), ("a", 0, 2), ("", 2, 0)),
        {"mine": attrib.LastTouch(), "chain": attrib.Markov()},
        intervals=None,
    )
    assert table.columns == [
        "channel", "kind", "method", "conversions", "value", "share", "effect", "conversions_se",
    ]  # fmt: skip
    # without b half of the journeys through a remain: its effect is 1/2
    wanted = [
        (None, "unattributed", "mine", 2.0, 0.5, None),
        (None, "unattributed", "chain", 2.0, 0.5, None),
        ("a", "player", "mine", 2.0, 0.5, None),
        ("a", "player", "chain", 4 / 3, 1 / 3, 1.0),
        ("b", "player", "mine", 0.0, 0.0, None),
        ("b", "player", "chain", 2 / 3, 1 / 6, 0.5),
    ]
    for row, (*names, conversions, share, effect) in zip(table.drop("value").rows(), wanted, strict=True):
        assert row == (*names, pytest.approx(conversions), pytest.approx(share), pytest.approx(effect), None)


def test_last_non_direct_says_when_nothing_is_direct():
    frame = pl.DataFrame({"path": ["ad > mail"], "total_conversions": [1]})
    with pytest.warns(attrib.AttribWarning, match="none of 'direct' is a channel"):
        table = attrib.LastNonDirect().credit(attrib.Journeys.from_paths(frame))
    assert table.filter(channel="mail")["conversions"].item() == 1.0
