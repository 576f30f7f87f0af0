"""Where a method breaks a law: small examples, worked out by hand. docs/laws.md shows their docstrings.

Each is named in tests/method_table.py, and runs for every variant that names it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

import attrib
from attrib.testing import assert_credit_table
from lawful import credit, form, paths, players
from method_table import VARIANTS, refuted_by
from notation import outcomes, touches
from strategies import to_frames

approx = pytest.approx


def for_every_variant(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test for the variants whose counter-example it is."""
    return pytest.mark.parametrize("name", refuted_by(test.__name__))(test)


def one_by_one(journeys: attrib.Journeys, name: str, number: str = "conversions") -> dict[str, Any]:
    """A number of every channel by one variant."""
    table = credit(journeys, {name: VARIANTS[name].method})
    assert_credit_table(table, journeys)
    return {channel: row[number] for channel, row in players(table, name).items()}


def told(touched: str, purchase: str) -> attrib.Journeys:
    """The journey of one customer, in the notation of `touches` and `outcomes`."""
    return form((touches("x", touched), outcomes("x", purchase)))


# --- provisos of laws -------------------------------------------------------------------------------------------------
def test_at_a_tie_the_name_decides():
    """A customer meets a and b at the same instant, then buys: b, the later in the alphabet, is the last touch. With
    the names exchanged it is the other channel, which now bears the name b.
    """
    last = {}
    for which, text in (("as it is", "1a 1b"), ("renamed", "1b 1a")):
        last[which] = one_by_one(told(text, "2purchase"), "last")
    assert last["as it is"] == last["renamed"] == {"a": 0.0, "b": 1.0}  # permuted it would be a: 1, b: 0


def test_a_low_order_takes_paths_that_nobody_took():
    """A > C converts and C > A converts: C is on every journey. But in the chain of order 1 a quarter of all ways is
    start > A > conversion, so the effect of C is 0.75; order 2 is as long as the journeys and finds 1.
    """
    journeys = paths(AC=(1, 0), CA=(1, 0))
    assert one_by_one(journeys, "markov1", "effect")["C"] == approx(0.75)
    assert one_by_one(journeys, "markov2", "effect")["C"] == approx(1.0)


# --- how credit is shared out -----------------------------------------------------------------------------------------
@for_every_variant
def test_effects_that_cancel_share_out_nothing(name):
    """Of two customers of A one converts, of two customers of B one converts. Without A everybody would meet B, and
    the rate would stay: the effects of both are 0, there is nothing to share the 2 conversions out by, and credit is
    null.
    """
    journeys = paths(A=(1, 1), B=(1, 1))
    with pytest.warns(attrib.AttribWarning, match="conversions credit is null"):
        VARIANTS[name].method.credit(journeys)
    assert one_by_one(journeys, name, "effect") == {"A": 0.0, "B": 0.0}
    assert one_by_one(journeys, name) == {"A": None, "B": None}


@for_every_variant
def test_refunds_can_leave_a_chain_no_value_to_share(name):
    """A converts with a value of 2, A > B with a refund of 1, and each has a null journey: a value of 1 in all. Without
    A all of it is lost (effect 1), without B it is 2 or more (effect −1 or less): the effects sum to nothing positive,
    and the value has no credit. The conversions do.
    """
    journeys = paths(A=(1, 1, 2.0), AB=(1, 1, -1.0))
    with pytest.warns(attrib.AttribWarning, match="refunds"):
        VARIANTS[name].method.credit(journeys)
    assert one_by_one(journeys, name, "value") == {"A": None, "B": None}
    # without B: by renormalising, every second journey of A converts as before, so B's effect on conversions is 0
    wanted = {"A": 2.0, "B": 0.0} if name.startswith("renormalise") else {"A": 4 / 3, "B": 2 / 3}
    assert one_by_one(journeys, name) == approx(wanted)


@for_every_variant
def test_a_channel_that_others_do_better_without(name):
    """X converts 3 of 3, Y 0 of 1. Without Y the rate would be 1 in place of 3/4: by renormalising its effect is −1/3
    and its credit −1.5 (X: 4.5). In the game of rates it adds nothing when it comes first and −1/4 when it comes
    second, which makes −0.5 conversions (X: 3.5).
    """
    journeys = paths(X=(3, 0), Y=(0, 1))
    found = one_by_one(journeys, name)
    if name.startswith("renormalise"):
        assert found == approx({"X": 4.5, "Y": -1.5})
        assert one_by_one(journeys, name, "effect") == approx({"X": 1.0, "Y": -1 / 3})
    elif name == "rate_game":
        assert found == approx({"X": 3.5, "Y": -0.5})
    else:
        assert -1.0 < found["Y"] < 0.0


@for_every_variant
def test_the_chain_earns_for_a_channel_that_never_converts(name):
    """A > X does not convert, X does. In the chain of order 1, A leads to X, and X converts every second time whoever
    came before: without A half of the probability is lost, so the effects are 0.5 and 1 and A gets 1/3 conversion. At
    order k the same happens with k other channels: A > X > Y and X > Y at order 2 (A gets 1/5), and so on. The Shapley
    value of the chain of order 1 gives A 1/4.
    """
    order = getattr(VARIANTS[name].method, "order", 1)
    others = "XYZ"[:order]
    found = one_by_one(paths(**{f"A{others}": (0, 1), others: (1, 0)}), name)
    if name == "chain_game":
        assert found == approx({"A": 0.25, "X": 0.75})
    elif name == "chain_game_sampled":
        assert 0.0 < found["A"] < 0.5
    else:
        assert found == approx({"A": 0.5 / (order + 0.5)} | dict.fromkeys(others, 1 / (order + 0.5)))


@for_every_variant
def test_two_groups_share_otherwise_together(name):
    """One customer converts by A > B, another by B. Apart, A gets 1/2 of the first conversion. Together the effects
    are 1/2 and 1, and the chain gives A 2/3 of both; renormalised, and in the game of rates, A gets 0, as B alone
    converts just as well.
    """
    apart, other = one_by_one(paths(AB=(1, 0)), name), one_by_one(paths(B=(1, 0)), name)
    together = one_by_one(paths(AB=(1, 0), B=(1, 0)), name)
    assert other == {"B": 1.0}
    if name == "rate_game_sampled":
        assert 0.0 < apart["A"] < 1.0
    else:
        assert apart == approx({"A": 0.5, "B": 0.5})
    wanted = 2 / 3 if name.startswith("markov") else 0.0
    assert together == approx({"A": wanted, "B": 2 - wanted}, abs=1e-12)


@for_every_variant
def test_a_chain_joins_the_journeys_of_two_groups(name):
    """One customer does not convert by A > X, another converts by X. Apart, A gets nothing. Together A leads to an X
    that converts every second time, and gets 1/4 of the conversion.
    """
    apart, other = one_by_one(paths(AX=(0, 1)), name), one_by_one(paths(X=(1, 0)), name)
    together = one_by_one(paths(AX=(0, 1), X=(1, 0)), name)
    assert apart == {"A": 0.0, "X": 0.0}
    assert other == {"X": 1.0}
    assert together["A"] > 0.0
    if name == "chain_game":
        assert together == approx({"A": 0.25, "X": 0.75})


# --- what matters about a journey -------------------------------------------------------------------------------------
@for_every_variant
def test_places_in_a_journey_weigh(name):
    """a, b and c are met 6, 3 and 0 seconds before a purchase; then the same with c first, a second and b last. The
    first touch, for one, gives all to a and then all to c; a half-life of 3 seconds gives a 1/7 and then 2/7.
    """
    wanted = {
        "first": [(1, 0, 0), (0, 0, 1)],
        "last": [(0, 0, 1), (0, 1, 0)],
        "non_direct": [(0, 0, 1), (0, 1, 0)],
        "position": [(0.5, 0.25, 0.25), (0.25, 0.25, 0.5)],
        "ends": [(0, 1, 0), (1, 0, 0)],
        "decay": [(1 / 7, 2 / 7, 4 / 7), (2 / 7, 4 / 7, 1 / 7)],
        "table": [(1 / 7, 4 / 7, 2 / 7), (4 / 7, 2 / 7, 1 / 7)],
        "short_table": [(1 / 4, 1 / 2, 1 / 4), (1 / 2, 1 / 4, 1 / 4)],
        "function": [(2 / 51, 7 / 51, 42 / 51), (7 / 51, 42 / 51, 2 / 51)],  # 1/7 : 2/4 : 3/1
    }[name]
    assert wanted[0] != wanted[1]
    for text, credited in zip(("1a 4b 7c", "1c 4a 7b"), wanted, strict=True):
        assert one_by_one(told(text, "7purchase"), name) == approx(dict(zip("abc", credited, strict=True)))


@for_every_variant
def test_before_the_others_is_not_behind_them(name):
    """X > A converts and A does not. Before A the chain forgets X: the effects are 1/2 and 1, X gets 1/3. With A > X in
    place of X > A the effects are 1 and 1, X gets 1/2. Order k needs k channels besides X for it (order 3 gives X 1/7,
    then 1/4). By renormalising X gets 0 before the others; by the Shapley value of the chain 1/4, then 1/2.
    """
    order = getattr(VARIANTS[name].method, "order", 1)
    others = "ABC"[:order]
    before = one_by_one(paths(**{f"X{others}": (1, 0), others: (0, 1)}), name)["X"]
    behind = one_by_one(paths(**{f"{others}X": (1, 0), others: (0, 1)}), name)["X"]
    if name == "chain_game_sampled":
        assert behind == approx(2 * before)
        assert before > 0
    elif name == "chain_game":
        assert (before, behind) == approx((0.25, 0.5))
    else:
        forgotten = 0.0 if name.startswith("renormalise") else 0.5 / (order + 0.5)
        assert (before, behind) == approx((forgotten, 1 / (order + 1)))


@for_every_variant
def test_a_run_is_several_touches(name):
    """a is met twice, 6 and 3 seconds before a purchase, then b. Touch by touch a gets 2/3 by linear; if its run counts
    as one touch, 1/2.
    """
    tables = touches("x", "1a 4a 7b"), outcomes("x", "7purchase")
    wanted = {
        "linear": (2 / 3, 1 / 2),
        "position": (3 / 4, 2 / 3),
        "ends": (1, 1 / 2),
        "decay": (3 / 7, 1 / 5),
        "table": (5 / 7, 1 / 5),
        "short_table": (3 / 4, 2 / 3),
        "function": (9 / 51, 1 / 15),
    }[name]
    found = tuple(one_by_one(form(tables, repeats=repeats), name)["a"] for repeats in ("keep", "collapse"))
    assert found == approx(wanted)


@for_every_variant
def test_a_run_fills_the_memory_of_the_chain(name):
    """X > A > A converts and A > A does not: at order 2 the state "A after A" has forgotten X, whose effect is 1/2 (0
    by renormalising), with a credit of 1/3 (0). If runs count as one touch, X > A is told from A: effect 1, credit 1/2.
    """
    run = "A" * VARIANTS[name].method.order
    kept = one_by_one(paths(**{f"X{run}": (1, 0), run: (0, 1)}), name)
    collapsed = one_by_one(paths(XA=(1, 0), A=(0, 1)), name)
    assert kept == approx({"X": 0.0, "A": 1.0} if name.startswith("renormalise") else {"X": 1 / 3, "A": 2 / 3})
    assert collapsed == approx({"X": 0.5, "A": 0.5})


# --- chains, and the computation --------------------------------------------------------------------------------------
@for_every_variant
def test_others_take_the_place_of_a_channel(name):
    """A converts 90 of 180, B 1 of 4. A is on 90 of the 91 conversions, but its effect is 45/91 only: without it,
    everybody would meet B, and a quarter of them convert.
    """
    assert one_by_one(paths(A=(90, 90), B=(1, 3)), name, "effect") == approx({"A": 45 / 91, "B": -1 / 91})


@for_every_variant
def test_sampled_orders_are_an_estimate(name):
    """One conversion by A > B, worth 1/2 to each. 25 random orders cannot have both come first equally often, so one
    gets 13/25 or more; and it is the place in the alphabet that decides which, not the name. `conversions_se` is 0.1.
    """
    before, after = one_by_one(paths(AB=(1, 0)), name), one_by_one(paths(BA=(1, 0)), name)
    assert abs(before["A"] - before["B"]) >= 1 / 25 - 1e-9
    assert after == approx(before)  # permuted it would be exchanged
    error = one_by_one(paths(AB=(1, 0)), name, "conversions_se")
    assert error == approx({"A": 0.1, "B": 0.1}, abs=0.01)


# --- methods of the literature ----------------------------------------------------------------------------------------
@for_every_variant
def test_a_channel_may_weigh_on_those_beside_it(name):
    """A > B converts 1 of 10, B 9 of 10. Journeys with A convert at a rate of 0.1, with B at 0.5, with both at 0.1: on
    the journey with both, A contributes 0.1 + (0.1 − 0.1 − 0.5) / 2 = −0.15 and B 0.25; on the others B contributes
    0.5 each. Scaled to the 10 conversions, A gets −0.33.
    """
    found = one_by_one(paths(AB=(1, 9), B=(9, 1)), name)
    assert found == approx({"A": 10 * -0.15 / 4.6, "B": 10 * 4.75 / 4.6})


@for_every_variant
def test_rates_are_those_of_all_groups(name):
    """One customer converts by A > B; in another group one of B converts and one does not. Apart, A gets 1/2 of the
    first conversion. Together journeys with B convert at a rate of 2/3 only, and A gets 0.8.
    """
    apart, other = one_by_one(paths(AB=(1, 0)), name), one_by_one(paths(B=(1, 1)), name)
    assert (apart, other) == (approx({"A": 0.5, "B": 0.5}), {"B": 1.0})
    assert one_by_one(paths(AB=(1, 0), B=(1, 1)), name) == approx({"A": 0.8, "B": 1.2})


@for_every_variant
def test_a_channel_that_lowers_the_odds(name):
    """X converts 30 of 40, Y 0 of 40. A journey with Y has lower odds than one without any channel would have: the
    coefficient of Y is negative, and so is its credit, though it is on no converting journey. X and the baseline get
    more than the 30 conversions.
    """
    found = one_by_one(paths(X=(30, 10), Y=(0, 40)), name)
    assert found["Y"] < -1.0
    assert found["X"] > 1.0


@for_every_variant
def test_bags_are_drawn(name):
    """A > B converts 6 of 10, A 3 of 10, B 5 of 10. Five bags are few: another seed draws others and gives another
    credit, and so do other names (the bags draw channels by their place in the alphabet), two copies of every customer
    (other draws from more of them), and a region of its own.
    """
    rows = {"AB": (6, 4), "A": (3, 7), "B": (5, 5)}
    found = one_by_one(paths(**rows), name)
    other = dataclasses.replace(VARIANTS[name].method, seed=2)
    reseeded = players(credit(paths(**rows), {"other": other}), "other")
    renamed = one_by_one(paths(BA=(6, 4), B=(3, 7), A=(5, 5)), name)
    twice = one_by_one(paths(**{path: (2 * won, 2 * lost) for path, (won, lost) in rows.items()}), name)
    together = one_by_one(paths(AB=(9, 11), A=(8, 12), B=(6, 14)), name)
    apart = one_by_one(paths(AB=(3, 7), A=(5, 5), B=(1, 9)), name)
    for wrong in (
        {channel: row["conversions"] for channel, row in reseeded.items()},
        {"A": renamed["B"], "B": renamed["A"]},
        {channel: number / 2 for channel, number in twice.items()},
        {channel: number - apart[channel] for channel, number in together.items()},
    ):
        assert wrong != approx(found, rel=1e-3)


@for_every_variant
def test_the_nearer_touch_gets_more(name):
    """A customer meets a, ten seconds later b, and buys after another second: b gets most of the credit, as the effect
    of a touch fades. If it was b first and then a, it is a that gets most.
    """
    before, after = one_by_one(told("0a 10b", "11purchase"), name), one_by_one(told("0b 10a", "11purchase"), name)
    assert before["a"] < before["b"]
    assert after == approx({"a": before["b"], "b": before["a"]})


def groups_of_four(**bought: int) -> tuple[list[Any], list[Any]]:
    """Four customers meet each channel at 0; so many of them buy at 2, and the data end at 9."""
    met = [touch for channel in bought for i in range(4) for touch in touches(f"{channel}{i}", f"0{channel}")]
    return met, [
        row for channel, n in bought.items() for i in range(n) for row in outcomes(f"{channel}{i}", "2purchase")
    ]


@for_every_variant
def test_each_touch_adds_to_the_hazard(name):
    """Two of four customers who meet a buy, and two of four who meet b. Another meets a three times, then b, and buys.
    With the three touches as one (the first), a gets less of that conversion: each touch adds to the hazard, and the
    later ones have faded less.
    """
    met, bought = groups_of_four(a=2, b=2)
    tables = ([*met, *touches("x", "0a 1a 2a 3b"), *touches("y", "9c")], [*bought, *outcomes("x", "4purchase")])
    every, one = (one_by_one(form(tables, repeats=repeats), name) for repeats in ("keep", "collapse"))
    assert every["a"] > one["a"] + 0.01


@for_every_variant
def test_two_groups_have_one_strength(name):
    """In one group two of four customers who meet a buy, and two of four who meet b; in the other none who meet a, and
    all who meet b. In each, one more meets both, and buys. Together a and b have one strength each, between those of
    the groups, and the credit of the two who met both is not what it was apart.
    """
    found = []
    for wins in ({"a": 2, "b": 2}, {"a": 0, "b": 4}):
        met, bought = groups_of_four(**wins)
        found.append(([*met, *touches("x", "0a 0b"), *touches("y", "9c")], [*bought, *outcomes("x", "2purchase")]))
    other = tuple([row | {"customer_id": f"other {row['customer_id']}"} for row in rows] for rows in found[1])
    apart = sum(one_by_one(form(tables), name)["a"] for tables in found)
    together = one_by_one(form(tuple(a + b for a, b in zip(found[0], other, strict=True))), name)["a"]
    assert abs(together - apart) > 0.01


@for_every_variant
def test_the_search_ends_near_the_maximum(name):
    """Two of four customers who meet a buy, and three of four who meet b; another meets both, and buys. The search for
    the greatest likelihood ends where credit moves by less than a millionth of the conversions in a step; going on
    moves it a little further.
    """
    met, bought = groups_of_four(a=2, b=3)
    tables = ([*met, *touches("x", "0a 1b"), *touches("y", "9c")], [*bought, *outcomes("x", "4purchase")])
    found = one_by_one(form(tables), name)
    further = dataclasses.replace(VARIANTS[name].method, tolerance=1e-12, steps=10_000)
    exact = {channel: row["conversions"] for channel, row in players(credit(form(tables), {"x": further}), "x").items()}
    assert found == approx(exact, abs=0.01)
    assert found != approx(exact, rel=1e-9, abs=1e-11)


def crowd(*kinds: tuple[int, str, str]) -> tuple[list[Any], list[Any]]:
    """So many customers with these touches and these outcomes, and one more who shows that the data go on to 60."""
    met, reached = list(touches("last", "60c")), []
    for kind, (many, touched, reaches) in enumerate(kinds):
        for i in range(many):
            met += touches(f"{kind}-{i}", touched)
            reached += outcomes(f"{kind}-{i}", reaches) if reaches else []
    return met, reached


@for_every_variant
def test_lives_are_drawn_again(name):
    """Of customers who meet a, and two seconds later b, half buy; some who meet one of them buy, too. What is lost
    without one of them is drawn: another seed, other names (players leave in drawn orders) and two copies of every
    customer give another credit, and so do all of them with eight more who buy after a and eight who do not after b:
    the model is fitted to all at once.
    """
    half = ((8, "0c 20a 22b", "24purchase"), (6, "0c 20a", "23purchase"), (6, "0c 30b", "34purchase"))
    half += ((8, "0c 20a", ""), (8, "0c 30b", ""), (5, "0c", "30purchase"), (5, "0c", "10purchase"))
    more = ((8, "0c 20a", "22purchase"), (8, "0c 20b", ""))
    other = str.maketrans("ab", "ba")
    found = one_by_one(form(crowd(*half)), name)
    reseeded = {"x": dataclasses.replace(VARIANTS[name].method, seed=2)}
    renamed = one_by_one(form(crowd(*((n, touched.translate(other), bought) for n, touched, bought in half))), name)
    twice = one_by_one(form(crowd(*((2 * n, *rest) for n, *rest in half))), name)
    apart, together = (one_by_one(form(crowd(*rows)), name) for rows in (more, half + more))
    for wrong in (
        players(credit(form(crowd(*half)), reseeded), "x")["a"]["conversions"],
        renamed["b"],
        twice["a"] / 2,
        together["a"] - apart["a"],
    ):
        assert abs(wrong - found["a"]) > 0.1


@for_every_variant
def test_a_channel_that_brings_another(name):
    """Thirty of forty who meet a meet b two seconds later and buy after two more; of the others eight meet b by
    themselves and buy. With a window of two seconds a is on no converting journey. It is credited all the same: without
    it many would not have met b.
    """
    kinds = ((30, "0c 50a 52b", "54purchase"), (10, "0c 50a", ""), (30, "0c", ""))
    kinds += ((8, "0c 40b", "41purchase"), (10, "0c 30b", ""))
    found = one_by_one(form(crowd(*kinds), lookback=2), name)
    assert found["a"] > 5.0


@for_every_variant
def test_a_channel_may_lead_away(name):
    """Twenty customers meet a, visit two seconds later, and buy nothing; of fourteen who do not meet it ten buy in the
    end. Who visits does not buy: without a, some would not have visited, but bought. The credit of a is negative.
    """
    kinds = ((10, "0b", "40purchase"), (4, "0b", ""), (20, "0b 10a", "12visit"), (3, "0b", "50visit"))
    assert one_by_one(form(crowd(*kinds)), name)["a"] < -1.0


@for_every_variant
def test_the_time_of_each_touch_tells(name):
    """Six customers meet b, long after it a, and buy at once: a gets the credit. In the other order b does. And with a
    second touch of a in those who meet it first, a gets more: two touches tell of two chances to buy.
    """
    others = ((8, "0a", ""), (6, "0b", "30purchase"), (14, "0b 25a", ""), (4, "0c", ""))
    first, run = (12, "0a", "2purchase"), (12, "0a 1a", "2purchase")
    found = one_by_one(form(crowd(first, *others, (6, "0b 25a", "27purchase"))), name)
    turned = one_by_one(form(crowd(first, *others, (6, "0a 25b", "27purchase"))), name)
    twice = one_by_one(form(crowd(run, *others, (6, "0b 25a", "27purchase"))), name)
    assert found["b"] + 5.0 < turned["b"]
    assert found["a"] + 5.0 < twice["a"]


@for_every_variant
def test_other_outcomes_are_steps(name):
    """Ten customers meet a, visit two seconds later, and buy eighteen seconds after that; nobody else does. Without
    stages, visits are looked at: a brings the visit, and those who visit buy. A stage model that has only the purchase
    sees that nobody buys soon after a.
    """
    kinds = ((10, "0b 10a", "12visit 30purchase"), (6, "0b", "50visit"), (6, "0b 10a", ""), (8, "0b", ""))
    without = one_by_one(form(crowd(*kinds)), name)
    one = attrib.StageModel([("all", attrib.Milestone("purchase"))])
    table = credit(attrib.Journeys.from_events(*to_frames(*crowd(*kinds)), stages=one), {name: VARIANTS[name].method})
    assert without["a"] > 5.0
    assert players(table, name)["a"]["conversions"] < 1.0
