"""The twin's credit and credit table against numbers worked out by hand."""

from __future__ import annotations

from fractions import Fraction as F  # noqa: N817 (worked numbers should read as numbers)

import pytest

from notation import outcomes, touches
from reference import (
    build,
    build_paths,
    credit_rule,
    markov,
    rules,
    shapley_conversions,
    shapley_conversions_closed,
    table,
)


def effects(built, order=1):
    return {player[0]: row[2] for player, row in markov(built, order)[()]["players"].items()}


# --- rules (semantics 4) ---


@pytest.mark.parametrize(
    ("rule", "params", "path", "weights"),
    [
        ("first", {}, "1a 2b 3c", [1, 0, 0]),
        ("last", {}, "1a 2b 3c", [0, 0, 1]),
        ("last_non_direct", {}, "1a 2b 3direct", [0, 1, 0]),
        ("last_non_direct", {}, "1direct 2direct", [0, 1]),
        ("last_non_direct", {"direct": ("b", "c")}, "1a 2b 3c", [1, 0, 0]),
        ("linear", {}, "1a 2b 3a", [F(1, 3)] * 3),
        ("position", {"first": F(2, 5), "last": F(1, 5)}, "1a", [1]),
        ("position", {"first": F(2, 5), "last": F(1, 5)}, "1a 2b", [F(2, 3), F(1, 3)]),
        ("position", {"first": 0, "last": 0}, "1a 2b", [F(1, 2), F(1, 2)]),
        (
            "position",
            {"first": F(2, 5), "last": F(1, 5)},
            "1a 2b 3c 4d",
            [F(2, 5), F(1, 5), F(1, 5), F(1, 5)],
        ),
        ("time_decay", {"half_life": 2}, "1a 3b 5c", [F(1, 7), F(2, 7), F(4, 7)]),
    ],
)
def test_rules(rule, params, path, weights):
    (journey,) = build(touches("x", path), outcomes("x", "7purchase")).journeys
    assert rules(journey, rule, **params) == weights


def test_time_decay_is_stable_for_any_span():
    (journey,) = build(touches("x", "1a 2b 3c"), outcomes("x", "1000000purchase")).journeys
    assert rules(journey, "time_decay", half_life=1) == [F(1, 7), F(2, 7), F(4, 7)]


def test_credit_of_a_rule():
    bought = outcomes("x", "3purchase=10 6purchase=-4 6purchase")
    built = build(touches("x", "1a 2b 5a") + touches("y", "1c"), bought, refunds="keep")
    assert credit_rule(built, "linear") == {
        (): {("a",): (F(5, 2), 2), ("b",): (F(1, 2), 5), ("c",): (0, 0)},
    }


# --- Markov chain (semantics 5) ---

KNOWN = [
    {"path": "C1 > C2 > C3", "conversions": 1},
    {"path": "C1", "conversions": 0, "nulls": 1},
    {"path": "C2 > C3", "conversions": 0, "nulls": 1},
]


def test_the_known_numbers():
    built = build_paths(KNOWN)
    assert markov(built)[()]["probability"] == F(1, 3)
    assert effects(built) == {"C1": F(1, 2), "C2": 1, "C3": 1}
    shares = {row["channel"]: row["share"] for row in table(built, "markov", order=1)}
    assert shares == {None: 0, "C1": 0.2, "C2": 0.4, "C3": 0.4}


def test_order_two_remembers_how_a_touch_was_reached():
    built = build_paths([{"path": "A > B", "conversions": 1}, {"path": "C > B", "conversions": 0, "nulls": 1}])
    assert effects(built, 1) == {"A": F(1, 2), "B": 1, "C": F(1, 2)}
    assert effects(built, 2) == {"A": 1, "B": 1, "C": 0}


def test_order_one_makes_paths_that_nobody_took():
    built = build_paths([{"path": "A > c", "conversions": 1}, {"path": "c > A", "conversions": 1}])
    assert effects(built, 1)["c"] == F(3, 4)
    assert effects(built, 2) == {"A": 1, "c": 1}


def test_a_self_transition_stays_and_changes_nothing_at_order_one():
    long = [{"path": "A > A > B > B > B", "conversions": 2}, {"path": "B > B", "conversions": 1, "nulls": 3}]
    short = [{"path": "A > B", "conversions": 2}, {"path": "B", "conversions": 1, "nulls": 3}]
    assert effects(build_paths(long)) == effects(build_paths(short)) == {"A": F(1, 3), "B": 1}


def test_value_has_its_own_effects():
    # Expected value 13/2; without A only B's 1 in half of the journeys; without B only A's 12.
    built = build_paths(
        [
            {"path": "A", "conversions": 1, "value": 12},
            {"path": "B", "conversions": 1, "value": 1},
        ]
    )
    assert markov(built)[()]["players"] == {("A",): (1, 12, F(1, 2)), ("B",): (1, 1, F(1, 2))}


def test_refunds_can_leave_value_without_credit():
    # Expected value 1/2. Without A 0: effect 1. Without B 3/2: effect -2. The sum is not positive.
    refunds = [
        {"path": "A > B", "conversions": 1, "value": -2},
        {"path": "A", "conversions": 1, "value": 3},
    ]
    solved = markov(build_paths(refunds))[()]
    assert solved["value_effects"] == {("A",): 1, ("B",): -2}
    assert solved["players"] == {("A",): (F(4, 3), None, 1), ("B",): (F(2, 3), None, F(1, 2))}


def test_nothing_to_share():
    none = markov(build_paths([{"path": "A > B", "conversions": 0, "nulls": 2}]))[()]["players"]
    assert none == {("A",): (0, 0, None), ("B",): (0, 0, None)}
    worthless = markov(build_paths([{"path": "A > B", "conversions": 1, "value": 0}]))[()]["players"]
    assert worthless == {("A",): (F(1, 2), 0, 1), ("B",): (F(1, 2), 0, 1)}


# --- Shapley (semantics 6) ---


def test_shapley_conversions():
    built = build_paths(
        [
            {"path": "A > B > A", "conversions": 2, "value": 10},
            {"path": "A", "conversions": 1, "value": -2, "nulls": 4},
            {"path": "C", "conversions": 0, "nulls": 1},
        ]
    )
    expected = {(): {("A",): (2, 3), ("B",): (1, 5), ("C",): (0, 0)}}
    assert shapley_conversions(built) == shapley_conversions_closed(built) == expected


# --- the table (semantics 10) ---


def test_table_with_stages_and_games():
    rows = touches("x", "1b 1a 3a", country="fr") + touches("y", "1b", country="de")
    stages = [("awareness", "visit", 1), ("consideration", "intent", 1), ("decision", "purchase", 1)]
    built = build(rows, outcomes("x", "2visit 4intent 5purchase=9"), stages=stages, by=["country"])
    # y never leaves awareness; x's purchase has no touch, and no touch means no country.
    assert [tuple(row.values()) for row in table(built, "first_touch")] == [
        (None, "decision", None, "unattributed", 1.0, 9.0, 1.0, None),
        ("de", "awareness", None, "unattributed", 0.0, 0.0, None, None),
        ("de", "awareness", "b", "player", 0.0, 0.0, None, None),
        ("fr", "awareness", None, "unattributed", 0.0, 0.0, 0.0, None),
        ("fr", "awareness", "a", "player", 1.0, 1.0, 1.0, None),
        ("fr", "awareness", "b", "player", 0.0, 0.0, 0.0, None),
        ("fr", "consideration", None, "unattributed", 0.0, 0.0, 0.0, None),
        ("fr", "consideration", "a", "player", 1.0, 1.0, 1.0, None),
    ]
    assert list(table(built, "markov")[0]) == [
        *("country", "stage", "channel", "kind", "conversions", "value", "share", "effect"),
    ]


def test_share_counts_the_unattributed():
    built = build(touches("x", "1a"), outcomes("x", "2purchase 3purchase 4purchase 5purchase"))
    rows = {row["channel"]: (row["conversions"], row["share"], row["effect"]) for row in table(built, "markov")}
    assert rows == {None: (3.0, 0.75, None), "a": (1.0, 0.25, 1.0)}
