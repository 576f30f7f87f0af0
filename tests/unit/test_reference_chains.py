"""The twin's chains, what is removed from them and their orders, against numbers worked out by hand."""

from __future__ import annotations

from fractions import Fraction as F  # noqa: N817 (worked numbers should read as numbers)
from itertools import combinations_with_replacement, pairwise
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notation import outcomes, touches
from reference import (
    Mark,
    build,
    build_paths,
    held_out,
    in_sample,
    markov,
    out_of_sample,
    players_of,
    remove_players,
    remove_sequence,
    table,
    transitions,
    witten_bell,
)
from strategies import event_tables

KNOWN = [
    {"path": "C1 > C2 > C3", "conversions": 1},
    {"path": "C1", "conversions": 0, "nulls": 1},
    {"path": "C2 > C3", "conversions": 0, "nulls": 1},
]
# Half start with A, a quarter with B or C; A goes on to B in 1 of 2; everybody converts. Value on
# conversion: 5/2 per visit of A, 3/2 from B, 8 from C, so 4 from start.
FOUR = [
    {"path": "A", "conversions": 1, "value": 5},
    {"path": "B", "conversions": 1, "value": 1},
    {"path": "A > B", "conversions": 1, "value": 2},
    {"path": "C", "conversions": 1, "value": 8},
]


def credited(rows, order=1, removal="renormalise"):
    """Conversions, value and effect by channel."""
    return {p: row for (p,), row in markov(build_paths(rows), order, removal)[()]["players"].items()}


def lost(rows, names, *, sequence=False, order=1, removal="null"):
    """Effect, conversions, effect on value, value."""
    remove = remove_sequence if sequence else remove_players
    return tuple(remove(build_paths(rows), [(name,) for name in names], order, removal)[()].values())


# --- removal="renormalise" (semantics 5) ---


def test_renormalise_may_be_negative():
    # Without C1 all start with C2, and half of those convert. C2 takes all that C1 had but null; C3 all of C2.
    found = credited(KNOWN)
    assert {name: row[2] for name, row in found.items()} == {"C1": F(-1, 2), "C2": 1, "C3": 1}
    assert {name: row[0] for name, row in found.items()} == {"C1": F(-1, 3), "C2": F(2, 3), "C3": F(2, 3)}


def test_a_state_that_cannot_end_any_more_leads_to_null():
    assert credited([{"path": "A > A > x", "conversions": 1}]) == {
        "A": (F(1, 2), F(1, 2), 1),
        "x": (F(1, 2), F(1, 2), 1),
    }
    # A and B in turn, for ever: half of the conversions are lost without x, those of C stay.
    rows = [{"path": "A > B > A > x", "conversions": 1}, {"path": "C", "conversions": 1}]
    assert credited(rows)["x"][2] == F(1, 2)


def test_renormalise_without_a_sum_to_share():
    even = [{"path": "A", "conversions": 1, "nulls": 1}, {"path": "B", "conversions": 1, "nulls": 1}]
    assert credited(even) == {"A": (None, None, 0), "B": (None, None, 0)}
    rows = {
        row["channel"]: (row["conversions"], row["share"])
        for row in table(build_paths(even), "markov", removal="renormalise")
    }
    assert rows == {None: (0.0, 0.0), "A": (None, None), "B": (None, None)}


def test_renormalise_at_order_two():
    rows = [{"path": "A > B", "conversions": 1}, {"path": "C > B", "conversions": 0, "nulls": 1}]
    assert {name: row[0] for name, row in credited(rows, 1).items()} == {"A": 0, "B": 1, "C": 0}
    assert {name: row[0] for name, row in credited(rows, 2).items()} == {"A": 1, "B": 1, "C": -1}


# --- groups and sequences ---


def test_removal_of_a_group():
    assert lost(FOUR, "AB") == (F(3, 4), 3, F(1, 2), 8)
    # All that is left starts with C, at a value of 8 instead of 4.
    assert lost(FOUR, "AB", removal="renormalise") == (0, 0, -1, -16)


def test_renormalise_rescales_the_value_of_a_conversion_too():
    rows = [{"path": "A", "conversions": 1, "value": 6}, {"path": "A > x", "conversions": 0, "nulls": 1}]
    assert lost(rows, "x", removal="renormalise") == (-1, -1, -1, -6)


def test_removal_of_a_sequence():
    # 1/2 × 1/2 + 1/4 + 1/4; in value 1/2 × 5/2 + 1/4 × 3/2 + 1/4 × 8 = 29/8 of 4.
    assert lost(FOUR, "AB", sequence=True) == (F(1, 4), 1, F(3, 32), F(3, 2))
    # A then always converts, at 5: 1/2 × 5 + 19/8 = 39/8.
    assert lost(FOUR, "AB", sequence=True, removal="renormalise") == (0, 0, F(-7, 32), F(-7, 2))
    assert lost(FOUR, "BA", sequence=True) == (0, 0, 0, 0)


def test_a_sequence_needs_an_order_that_remembers_it():
    rows = [{"path": "A > B > C", "conversions": 1}, {"path": "B > C", "conversions": 2}]
    assert lost(rows, "ABC", sequence=True, order=2)[:2] == (F(1, 3), 1)
    assert lost(rows, "ABC", sequence=True, order=3)[:2] == (F(1, 3), 1)
    with pytest.raises(ValueError, match="1"):
        lost(rows, "ABC", sequence=True, order=1)


def test_a_run_of_one_player_is_a_sequence():
    # At order 1 one of three steps from A goes to A; at order 2 one of the two after the first A.
    rows = [{"path": "A > A", "conversions": 1}, {"path": "A", "conversions": 1}]
    assert lost(rows, "AA", sequence=True)[0] == F(1, 3)
    assert lost(rows, "AA", sequence=True, order=2)[0] == F(1, 2)


def test_nothing_to_lose():
    assert lost([{"path": "A", "conversions": 0, "nulls": 2}], "A") == (None, 0, None, 0)


# --- transitions ---


def test_transitions():
    one, two, three = ("C1",), ("C2",), ("C3",)
    assert transitions(build_paths(KNOWN)) == {
        (): {
            (Mark.START, one): (2, F(2, 3)),
            (Mark.START, two): (1, F(1, 3)),
            (one, two): (1, F(1, 2)),
            (one, Mark.NULL): (1, F(1, 2)),
            (two, three): (2, 1),
            (three, Mark.CONVERSION): (1, F(1, 2)),
            (three, Mark.NULL): (1, F(1, 2)),
        }
    }


def test_no_name_is_a_mark():
    found = transitions(build(touches("x", "1start 2null"), outcomes("x", "3purchase 3purchase")))[()]
    assert found == {
        (Mark.START, ("start",)): (2, 1),
        (("start",), ("null",)): (2, 1),
        (("null",), Mark.CONVERSION): (2, 1),
    }


# --- the choice of an order ---

FORKED = [{"path": "A > B", "conversions": 1}, {"path": "C > B", "conversions": 0, "nulls": 1}]


def test_in_sample():
    # Order 1: two coins, at start and after B; 2 parameters at start, 4 after each of A, B, C; 6 steps.
    one, two = (in_sample(build_paths(FORKED), order)[()] for order in (1, 2))
    assert one == pytest.approx(
        {
            "log_likelihood": -4 * log(2),
            "parameters": 14,
            "transitions": 6,
            "aic": 28 + 8 * log(2),
            "bic": 14 * log(6) + 8 * log(2),
        }
    )
    # Order 2: what follows A > B and C > B is certain, and one context more.
    assert (two["log_likelihood"], two["parameters"]) == (pytest.approx(-2 * log(2)), 18)


def test_in_sample_of_nothing():
    built = build([], outcomes("x", "1purchase"))
    assert set(in_sample(built, 1)[()].values()) == {0}


TRAINING = build_paths([{"path": "A > B", "conversions": 1}, {"path": "A", "conversions": 0, "nulls": 1}]).journeys
A, B, C = ("A",), ("B",), ("C",)


@pytest.mark.parametrize(
    ("context", "following", "expected"),
    [
        # Five steps to four different states, two of them to A; the rest of the mass over 2 players and 2 ends.
        ((), A, F(1, 3)),
        ((), B, F(2, 9)),
        ((), Mark.NULL, F(2, 9)),
        # After a context: what else was seen, and not after it, stands behind; e.g. A 0 of B, null, conversion.
        ((Mark.START,), A, (2 + F(1, 8)) / 3),
        ((Mark.START,), B, F(7, 72)),
        ((A,), B, (1 + 2 * F(1, 10)) / 4),
        ((B,), Mark.CONVERSION, (1 + F(3, 28)) / 2),
        ((C,), A, F(1, 3)),  # never seen: order 0
        ((Mark.START, A), B, F(3, 10)),  # A was always first: start tells nothing new, so order 1
        ((Mark.START, B), Mark.CONVERSION, F(31, 56)),  # B was never first: order 1
    ],
)
def test_witten_bell(context, following, expected):
    assert witten_bell(TRAINING, following, context, 2) == expected


def test_held_out():
    held = build_paths([{"path": "B", "conversions": 3}]).journeys
    assert held_out(TRAINING, held, 1, 2) == pytest.approx(3 * log(F(7, 72) * F(31, 56)))
    assert held_out(TRAINING, held, 2, 2) == pytest.approx(3 * log(F(7, 72) * F(31, 56)))
    assert held_out([], held, 2, 2) == pytest.approx(3 * 2 * log(F(1, 4)))


def test_out_of_sample_holds_out_every_fold_once():
    built = build(touches("x", "1a") + touches("y", "1a"), outcomes("x", "2purchase"))
    # n = 1, u = 1/3. Held out x, trained on y. After start a; beside it null: r(a) = (0 + 1/3) / 2 = 1/6,
    # p1(a|start) = (1 + 1/6) / 2 = 7/12. After a null; beside it a: r(conversion) = (0 + 1/3) / 2 = 1/6,
    # p1(conversion|a) = (0 + 1/6) / 2 = 1/12. Held out y: the same with null.
    expected = 2 * log(F(7, 12) * F(1, 12))
    assert out_of_sample(built, 1, lambda journey: journey.customer) == {(): pytest.approx(expected)}


# --- laws (semantics 8) ---

SMALL = event_tables(customers=4, touches=4, channels=3, columns={"outcomes": ["value"]})


@given(SMALL, st.integers(1, 2), st.sampled_from(["null", "renormalise"]))
def test_a_group_or_a_sequence_of_one_is_the_player(tables, order, removal):
    built = build(*tables)
    solved = markov(built, order, removal)[()]
    for player, (_, _, effect) in solved["players"].items():
        group = remove_players(built, [player], order, removal)[()]
        assert group == remove_sequence(built, [player], order, removal)[()]
        assert (group["effect"], group["value_effect"]) == (effect, solved["value_effects"][player])


@given(SMALL, st.integers(1, 2), st.sampled_from(["null", "renormalise"]))
def test_what_nobody_took_costs_nothing(tables, order, removal):
    built = build(*tables)
    players = players_of(built.journeys)
    for removed in (
        remove_players(built, [("nobody",)], order, removal),
        remove_sequence(built, [players[0], ("nobody",)], order, removal),
    ):
        assert removed[()]["effect"] in (None, 0)
        assert removed[()]["conversions"] == removed[()]["value"] == 0


@given(SMALL)
def test_a_chain_that_remembers_everything_counts_journeys(tables):
    built = build(*tables)
    converting = [j for j in built.journeys if j.status == "converting"]
    attributed = sum(j.conversions for j in converting)
    order = max(len(j.players) for j in built.journeys)
    players = players_of(built.journeys)
    for one, other in combinations_with_replacement(players, 2):
        group = sum(j.conversions for j in converting if {one, other} & set(j.players))
        assert remove_players(built, [one, other], order)[()]["conversions"] == group
        run = sum(j.conversions for j in converting if (one, other) in pairwise(j.players))
        found = remove_sequence(built, [one, other], order)[()]
        assert (found["conversions"], found["effect"]) == (run, F(run, attributed) if attributed else None)


@given(SMALL, st.integers(1, 2))
def test_all_players_are_all_conversions(tables, order):
    built = build(*tables)
    attributed = sum(j.conversions for j in built.journeys if j.status == "converting")
    for removal in ("null", "renormalise"):
        assert remove_players(built, players_of(built.journeys), order, removal)[()]["conversions"] == attributed


@given(SMALL, st.integers(1, 2))
def test_renormalised_credit_is_efficient_or_none(tables, order):
    built = build(*tables)
    attributed = sum(j.conversions for j in built.journeys if j.status == "converting")
    shares = [row[0] for row in markov(built, order, "renormalise")[()]["players"].values()]
    assert shares == [None] * len(shares) or sum(shares) == attributed


@given(SMALL)
def test_transitions_of_a_state_add_up(tables):
    found = transitions(build(*tables))[()]
    for origin in {origin for origin, _ in found}:
        assert sum(share for (state, _), (_, share) in found.items() if state == origin) == 1
        arriving = sum(count for (_, to), (count, _) in found.items() if to == origin)
        leaving = sum(count for (state, _), (count, _) in found.items() if state == origin)
        assert origin is Mark.START or arriving == leaving


@given(SMALL, st.integers(1, 3))
def test_a_longer_memory_never_fits_worse_and_probabilities_sum_to_one(tables, order):
    built = build(*tables)
    one, more = in_sample(built, order)[()], in_sample(built, order + 1)[()]
    assert more["log_likelihood"] >= one["log_likelihood"] - 1e-9
    assert more["transitions"] == one["transitions"]
    players = players_of(built.journeys)
    contexts = [(Mark.START,) * order, *[(player,) * order for player in players]]
    for context in contexts:
        seen = [
            witten_bell(built.journeys, then, context, len(players)) for then in (*players, Mark.CONVERSION, Mark.NULL)
        ]
        assert sum(seen) == 1
        assert min(seen) > 0
