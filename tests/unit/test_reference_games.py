"""The twin's games, positions and touch-level credit against numbers worked out by hand."""

from __future__ import annotations

from fractions import Fraction as F  # noqa: N817 (worked numbers should read as numbers)
from itertools import combinations

import pytest
from hypothesis import given

from notation import outcomes, touches
from reference import (
    build,
    build_paths,
    credit_rule,
    interactions,
    journey_credit,
    positions,
    rules,
    shapley_conversions,
    shapley_credit,
    table,
)
from strategies import event_tables, recipes


def game(rows, worth):
    """Credit of the players of a path table, by channel."""
    return {player: credit for (player,), credit in shapley_credit(build_paths(rows), worth)[()].items()}


def pairs(rows, worth):
    found = interactions(build_paths(rows), worth)[()]
    return {one + other: index for ((one,), (other,)), index in found.items()}


# --- Shapley (semantics 6) ---

REPLACING = [
    {"path": "A", "conversions": 2, "value": 8},
    {"path": "B", "conversions": 0, "nulls": 2},
    {"path": "A > B", "conversions": 1, "value": 4, "nulls": 1},
]
STEPS = [
    {"path": "A > B", "conversions": 1, "value": 10},
    {"path": "A", "conversions": 0, "nulls": 1},
    {"path": "B", "conversions": 1, "value": 1},
]


def test_rate_may_be_negative():
    # v(A) = 2/2, v(B) = 0/2, v(AB) = 3/6: shares 3/4 and -1/4 of 1/2, so six times that of 3 conversions.
    # Value per journey: v(A) = 8/2, v(AB) = 12/6: shares 3 and -1 of 2, six times that of 12.
    assert game(REPLACING, "rate") == {"A": (F(9, 2), 18), "B": (F(-3, 2), -6)}


def test_markov_worth():
    # start goes to A in 2 of 3, A to B in 1 of 2, B always converts, at 11/2 on average.
    # v(A) = 0, v(B) = 1/3, v(AB) = 2/3; in value 0, 11/6 and 11/3; scaled by 3 to 2 conversions and 11.
    assert game(STEPS, "markov") == {"A": (F(1, 2), F(11, 4)), "B": (F(3, 2), F(33, 4))}


def test_worth_conversions_is_as_before():
    built = build_paths(STEPS)
    assert shapley_credit(built) == shapley_conversions(built) == {(): {("A",): (F(1, 2), 5), ("B",): (F(3, 2), 6)}}


@pytest.mark.parametrize("worth", ["rate", "markov"])
def test_nothing_to_share(worth):
    assert game([{"path": "A > B", "conversions": 0, "nulls": 2}], worth) == {"A": (0, 0), "B": (0, 0)}


@pytest.mark.parametrize("worth", ["rate", "markov"])
def test_shares_of_a_total_of_0_may_be_other_than_0(worth):
    # v(A) = 3 and v(B) = -3 a journey (half of that in the chain, where the other's start is lost); the sum stays 0.
    refunds = [{"path": "A", "conversions": 1, "value": 3}, {"path": "B", "conversions": 1, "value": -3}]
    values = {player: value for player, (_, value) in game(refunds, worth).items()}
    assert values == ({"A": 6, "B": -6} if worth == "rate" else {"A": 3, "B": -3})


def test_unattributed_conversions_are_in_no_game():
    built = build(touches("x", "1a") + touches("y", "1b"), outcomes("x", "2purchase 3purchase"))
    # v(a) = 1/1, v(b) = 0/1, v(ab) = 1/2: shares 3/4 and -1/4, scaled by 2 to the one attributed conversion.
    assert shapley_credit(built, "rate") == {(): {("a",): (F(3, 2), F(3, 2)), ("b",): (F(-1, 2), F(-1, 2))}}
    rows = {row["channel"]: (row["conversions"], row["share"]) for row in table(built, "shapley", worth="rate")}
    assert rows == {None: (1.0, 0.5), "a": (1.5, 0.75), "b": (-0.5, -0.25)}


# --- interactions (semantics 6) ---


def test_interactions_of_two_players():
    # v(AB) - v(A) - v(B), times the scale of the credit.
    assert pairs(REPLACING, "rate") == {"AB": ((F(1, 2) - 1) * 6, (2 - 4) * 6)}
    assert pairs(STEPS, "markov") == {"AB": (1, F(11, 2))}
    assert pairs(STEPS, "conversions") == {"AB": (1, 10)}


def test_a_pair_needed_together_with_a_third_has_half_of_it():
    rows = [
        {"path": "A > B > C", "conversions": 4},
        {"path": "C > B", "conversions": 3},
        {"path": "A", "conversions": 1},
    ]
    # A, B: without C nothing, with C 4 more: weights 1/2 each. B, C: 3 without A, 3 + 4 with A.
    assert pairs(rows, "conversions") == {"AB": (2, 2), "AC": (2, 2), "BC": (5, 5)}


def test_interactions_of_three_players_by_rate():
    rows = [
        {"path": "A", "conversions": 1, "nulls": 1},
        {"path": "B", "conversions": 0, "nulls": 1},
        {"path": "A > C", "conversions": 1},
    ]
    # v: A 1/2, B 0, C 0, AB 1/3, AC 2/3, BC 0, ABC 2/4; the scale is 2 / (1/2) = 4.
    # A, B: S = {}: 1/3 - 1/2; S = {C}: 1/2 - 2/3 - 0 + 0: both -1/6.
    # A, C: S = {}: 2/3 - 1/2 = 1/6; S = {B}: 1/2 - 1/3 - 0 + 0 = 1/6.
    # B, C: S = {}: 0; S = {A}: 1/2 - 1/3 - 2/3 + 1/2 = 0.
    assert {pair: index[0] for pair, index in pairs(rows, "rate").items()} == {"AB": F(-2, 3), "AC": F(2, 3), "BC": 0}


def test_there_are_no_pairs_of_one_player():
    assert pairs([{"path": "A", "conversions": 1}], "rate") == {}


# --- positions (semantics 6) ---


def test_positions():
    rows = [
        {"path": "A > B > A", "conversions": 2, "value": 10},
        {"path": "A", "conversions": 1, "nulls": 3},
        {"path": "C", "conversions": 0, "nulls": 1},
    ]
    assert positions(build_paths(rows)) == {
        (): {
            (("A",), 1): (F(3, 2), F(7, 2)),
            (("B",), 2): (1, 5),
            (("A",), 3): (F(1, 2), F(5, 2)),
            (("C",), 1): (0, 0),
        }
    }


# --- own weights (semantics 4) ---


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({1: [1], 2: [3, 1]}, [F(3, 4), F(1, 4)]),
        (lambda positions, _ages: positions, [F(1, 3), F(2, 3)]),
        (lambda _positions, ages: ages, [F(3, 4), F(1, 4)]),
        (lambda _positions, _ages: [0, 0.5], [0, 1]),
    ],
)
def test_own_weights(weights, expected):
    (journey,) = build(touches("x", "1a 5b"), outcomes("x", "7purchase")).journeys
    assert rules(journey, "custom", weights=weights) == expected


# --- touch-level credit ---


def test_journey_credit():
    built = build(touches("x", "1a 2b 2c 4a") + touches("y", "1c"), outcomes("x", "4purchase=6 4purchase 9purchase"))
    rows = journey_credit(built, "shapley")
    shown = [(r["customer"], r["position"], r["time"], *r["player"], r["weight"]) for r in rows]
    a, third = F(1, 6), F(1, 3)
    assert shown == [("x", 1, 1, "a", a), ("x", 2, 2, "b", third), ("x", 3, 2, "c", third), ("x", 4, 4, "a", a)]
    assert [(r["conversions"], r["value"]) for r in rows[:2]] == [(F(1, 3), F(7, 6)), (F(2, 3), F(7, 3))]
    assert [r["weight"] for r in journey_credit(built, "first")] == [1, 0, 0, 0]


def test_journey_credit_of_a_path_table_has_no_times():
    (row,) = journey_credit(build_paths([{"path": "A", "conversions": 3, "value": 5}]), "linear")
    assert (row["time"], row["customer"], row["conversions"], row["value"]) == (None, None, 3, 5)


# --- laws (semantics 8) ---

SMALL = event_tables(customers=4, touches=4, channels=3, columns={"outcomes": ["value"]})


def totals(journeys):
    converting = [j for j in journeys if j.status == "converting"]
    return sum(j.conversions for j in converting), sum(j.value for j in converting)


@given(SMALL, recipes(stages=True))
def test_every_worth_is_efficient(tables, recipe):
    built = build(*tables, **recipe)
    for worth in ("conversions", "rate", "markov"):
        for key, players in shapley_credit(built, worth).items():
            rows = players.values()
            assert (sum(row[0] for row in rows), sum(row[1] for row in rows)) == totals(built.games()[key])


@given(SMALL)
def test_exchanging_two_names_exchanges_their_credit(tables):
    # Interactions and credit; at equal times the order of channels would change with their names.
    timed = [[{**row, "sequence": i} for i, row in enumerate(tables[0])], tables[1]]
    swap = {"a": "b", "b": "a"}
    renamed = [[{**row, "channel": swap.get(row["channel"], row["channel"])} for row in timed[0]], tables[1]]
    one, other = build(*timed), build(*renamed)

    def name(player):
        return (swap.get(player[0], player[0]),)

    for worth in ("rate", "markov"):
        assert {name(player): credit for player, credit in shapley_credit(one, worth)[()].items()} == (
            shapley_credit(other, worth)[()]
        )
        assert {frozenset(map(name, pair)): index for pair, index in interactions(one, worth)[()].items()} == {
            frozenset(pair): index for pair, index in interactions(other, worth)[()].items()
        }


@given(SMALL, recipes())
def test_interactions_of_conversions_have_a_closed_form_and_are_never_negative(tables, recipe):
    built = build(*tables, **recipe)
    for key, journeys in built.games().items():
        expected = {}
        for journey in journeys:
            for pair in combinations(sorted(set(journey.players)), 2):
                share = F(journey.conversions, len(set(journey.players)) - 1)
                expected[pair] = expected.get(pair, 0) + share
        found = {tuple(sorted(pair)): index[0] for pair, index in interactions(built, "conversions")[key].items()}
        assert {pair: index for pair, index in found.items() if index} == {p: i for p, i in expected.items() if i}
        assert all(index >= 0 for index in found.values())


@given(SMALL, recipes(stages=True))
def test_credit_by_touch_and_by_position_adds_up_to_the_credit(tables, recipe):
    built = build(*tables, **recipe)

    def summed(entries):
        sums = {key: dict.fromkeys(players, (0, 0)) for key, players in shapley_conversions(built).items()}
        for key, player, (conversions, value) in entries:
            before = sums[key][player]
            sums[key][player] = (before[0] + conversions, before[1] + value)
        return sums

    by_position = [(key, player, row) for key, rows in positions(built).items() for (player, _), row in rows.items()]
    assert summed(by_position) == shapley_conversions(built)
    own = {length: [i + 1 for i in range(length)] for length in range(1, 20)}
    for rule, params in [
        ("shapley", {}),
        ("linear", {}),
        ("time_decay", {"half_life": 3}),
        ("custom", {"weights": own}),
    ]:
        touched = [
            (r["game"], r["player"], (r["conversions"], r["value"])) for r in journey_credit(built, rule, **params)
        ]
        expected = shapley_conversions(built) if rule == "shapley" else credit_rule(built, rule, **params)
        assert summed(touched) == expected
