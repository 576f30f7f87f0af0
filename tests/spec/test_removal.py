"""Removal effects by hand, and against their definition: one elimination in fractions a removal."""

from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attrib
from attrib.testing import assert_credit_table
from reference_chains import solve

START, CONVERSION, NULL = "start", "conversion", "null"  # states are tuples of players, so no name collides


def journeys_of(rows: list[tuple[str, int, int]], **arguments) -> attrib.Journeys:
    """Rows are path, conversions, nulls, and perhaps value."""
    names = ["path", "total_conversions", "total_null", "total_conversion_value"][: len(rows[0])]
    return attrib.Journeys.from_paths(pl.DataFrame(rows, schema=names, orient="row"), **arguments)


def effects(rows, removed, **arguments) -> list[float | None]:
    return attrib.removal(journeys_of(rows), removed, intervals=None, **arguments)["effect"].to_list()


def credited(rows, order=1):
    table = attrib.Markov(order, "renormalise").credit(journeys_of(rows)).filter(kind="player")
    return {name: tuple(numbers) for name, *numbers in table.select("channel", "conversions", "effect").iter_rows()}


# --- the definition -----------------------------------------------------------------------------------------------
def worth(rows, order: int, removal: str, removed: list[set[str]]) -> tuple[Fraction, Fraction]:
    """Conversions and value that the chain of order k leads to without the steps that complete a sequence.

    ``removed``: the players at each place of the sequence, or nothing.
    """
    counts: dict = defaultdict(Counter)  # state -> next state (or end) -> journeys
    value: dict = defaultdict(Fraction)
    completes = {}
    for path, conversions, nulls, *worths in rows:
        players = path.split(" > ")
        states = [tuple(players[max(i - order, 0) : i]) for i in range(len(players) + 1)]
        for i, (state, following) in enumerate(pairwise(states)):
            counts[state][following] += conversions + nulls
            recent = [*state, players[i]][-len(removed) :] if removed else []
            completes[state, following] = bool(removed) and (
                len(recent) == len(removed) and all(p in some for p, some in zip(recent, removed, strict=True))
            )
        counts[states[-1]][CONVERSION] += conversions
        counts[states[-1]][NULL] += nulls
        value[states[-1]] += Fraction(worths[0] if worths else conversions)
    journeys = sum(counts[()].values())
    chance: dict = {}
    reward: dict = {}
    for state, following in counts.items():
        left = {n: c for n, c in following.items() if c and not completes.get((state, n))}
        whole = sum((left if removal == "renormalise" else following).values())
        chance[state] = {n: Fraction(c, whole) for n, c in left.items()}
        reward[state] = value[state] / whole if whole else Fraction(0)
    alive = {state for state, left in chance.items() if CONVERSION in left or NULL in left}
    while True:  # states from which some end can be reached
        more = {state for state, left in chance.items() if state not in alive and alive & set(left)}
        if not more:
            break
        alive |= more
    states = [(), *sorted(alive - {()})]
    if () not in alive:
        return Fraction(0), Fraction(0)
    matrix = [[Fraction(s == t) - (chance[s].get(t, Fraction(0)) if t != () else 0) for t in states] for s in states]
    right = [[chance[s].get(CONVERSION, Fraction(0)), reward[s]] for s in states]
    probability, expected = solve(matrix, right)[0]
    return probability * journeys, expected * journeys


def lost(rows, order, removal, removed) -> tuple[Fraction, Fraction]:
    before, after = worth(rows, order, removal, []), worth(rows, order, removal, removed)
    return before[0] - after[0], before[1] - after[1]


# --- by hand ------------------------------------------------------------------------------------------------------
def test_the_other_steps_take_the_place_of_those_into_the_player():
    # a converts 1 in 2, b 1 in 4: without b everybody meets a
    assert effects([("a", 90, 90), ("b", 1, 3)], ["a", "b"], removal="renormalise") == pytest.approx([45 / 91, -1 / 91])
    assert effects([("a", 90, 90), ("b", 1, 3)], ["a", "b"]) == pytest.approx([90 / 91, 1 / 91])


def test_negative_effects_are_negative_credit():
    found = credited([("a", 90, 90), ("b", 1, 3)])
    assert found["a"] == pytest.approx((91 * 45 / 44, 45 / 91))
    assert found["b"] == pytest.approx((-91 / 44, -1 / 91))


def test_a_state_whose_every_step_is_dropped_leads_to_null():
    # after a comes b only: without b, a leads to null; start leads to a for sure
    rows = [("a > b", 1, 1), ("b", 3, 1)]
    assert effects(rows, ["b", "a"], removal="renormalise") == pytest.approx([1, 0])
    assert effects(rows, ["b", "a"], order=2, removal="renormalise") == pytest.approx([1, -1 / 8])


def test_states_that_cannot_end_any_more_lead_to_null():
    # a and b lead to each other, and end through c only
    rows = [("a > b > a > b > c", 4, 0), ("d", 4, 8)]
    # P = 8/16; without c: start leads to a (4/16) and stays there, d (12/16) converts 1 in 3
    for order in (1, 2, 3):
        assert effects(rows, ["c"], order=order, removal="renormalise") == pytest.approx([0.5])


def test_removing_everybody_loses_everything():
    rows = [("a > b", 3, 1), ("b > a > a", 2, 2)]
    for removal in ("null", "renormalise"):
        assert effects(rows, [{"a", "b"}], removal=removal) == pytest.approx([1.0])


def test_effects_that_sum_to_nothing_credit_nobody():
    with pytest.warns(attrib.AttribWarning, match="conversions credit is null there"):
        assert credited([("a", 1, 1), ("b", 1, 1)]) == {"a": (None, 0.0), "b": (None, 0.0)}
    assert credited([("a", 0, 1), ("b", 0, 1)]) == {"a": (0.0, None), "b": (0.0, None)}


@pytest.mark.parametrize("order", [1, 2, 3])
def test_refunds_whose_effects_cancel_to_rounding_credit_nobody(order):
    # value −1 in all; without a or b it is 0 (effects 1), without c or d −2 (effects −1): they sum to exactly nothing
    journeys = journeys_of([("a > a > b", 1, 1, -2.0), ("a > b > c > d", 1, 0, 1.0)])
    with pytest.warns(attrib.AttribWarning, match="refunds"):
        table = attrib.Markov(order).credit(journeys).filter(kind="player")
    assert table["value"].to_list() == [None] * 4


def test_a_sequence_is_the_step_that_completes_it():
    rows = [("ad > mail", 6, 0), ("mail > ad", 2, 0), ("seo", 2, 0)]
    assert effects(rows, [("ad", "mail"), ("mail", "ad"), ("seo", "ad")], order=2) == pytest.approx([0.6, 0.2, 0.0])
    assert effects([("a > a", 1, 0), ("a", 0, 1)], [("a", "a")]) == pytest.approx([1 / 3])  # P 1/2, then 1/3
    assert effects([("a > a", 1, 0), ("a", 0, 1)], [("a", "a")], order=2) == pytest.approx([1.0])


def test_a_player_of_another_game_loses_nothing():
    table = pl.DataFrame({"customer_id": [1, 2], "timestamp": [1, 1], "channel": ["a", "b"], "land": ["x", "y"]})
    table = table.with_columns(pl.col("timestamp").cast(pl.Datetime("us")))
    outcomes = pl.DataFrame(
        {"customer_id": [1], "timestamp": [2], "outcome": ["purchase"], "land": ["x"], "value": 5.0}
    )
    outcomes = outcomes.with_columns(pl.col("timestamp").cast(pl.Datetime("us")))
    journeys = attrib.Journeys.from_events(table, outcomes, by="land")
    found = attrib.removal(journeys, ["b", "a"], intervals=None)
    assert found.rows() == [
        ("x", "b", "player", 0.0, 0.0, 0.0),
        ("x", "a", "player", 1.0, 1.0, 5.0),
        ("y", "b", "player", None, 0.0, 0.0),
        ("y", "a", "player", None, 0.0, 0.0),
    ]


# --- against the definition ---------------------------------------------------------------------------------------
PLAYERS = ("a", "b", "c")


@st.composite
def path_tables(draw):
    """Few journeys of few players, so that states are sparse: zero rows, closed classes, nobody left."""
    path = st.lists(st.sampled_from(PLAYERS), min_size=1, max_size=6)
    row = st.tuples(path, st.integers(0, 3), st.integers(0, 2), st.sampled_from((-2, 0, 0.25, 1, 7)))
    rows = draw(st.lists(row, min_size=1, max_size=6))
    merged = {" > ".join(path): (" > ".join(path), c, n, v if c else 0) for path, c, n, v in rows if c + n}
    return list(merged.values()) or [("a", 1, 1, 1)]


def close(found: float, wanted: Fraction, scale: float) -> bool:
    return abs(found - float(wanted)) <= 1e-9 * max(1.0, scale)


@given(path_tables(), st.integers(1, 3))
def test_every_removal_loses_what_the_definition_says(rows, order):
    here = sorted({player for path, *_ in rows for player in path.split(" > ")})
    asked = [*here, set(here[:2]), set(here), (here[0], here[-1]), (here[-1], here[0])]
    if order > 1:
        asked.append((here[0], here[-1], here[0]))
    conversions, size = sum(row[1] for row in rows), sum(abs(row[3]) for row in rows)
    for removal in ("null", "renormalise"):
        table = attrib.removal(journeys_of(rows), asked, order=order, removal=removal, intervals=None)
        for item, found in zip(asked, table.to_dicts(), strict=True):
            places = [{p} for p in item] if isinstance(item, tuple) else [{item} if isinstance(item, str) else item]
            wanted, value = lost(rows, order, removal, places)
            assert close(found["conversions"], wanted, conversions), (item, removal)
            assert close(found["value"], value, size), (item, removal)
            assert found["effect"] == (pytest.approx(found["conversions"] / conversions) if conversions else None)


@given(path_tables(), st.integers(1, 3))
def test_credit_by_renormalising_is_what_the_definition_says(rows, order):
    here = sorted({player for path, *_ in rows for player in path.split(" > ")})
    table = attrib.Markov(order, "renormalise").credit(journeys_of(rows)).filter(kind="player")
    wanted = [lost(rows, order, "renormalise", [{player}]) for player in here]
    totals = Fraction(sum(row[1] for row in rows)), sum((Fraction(row[3]) for row in rows), Fraction(0))
    for at, (name, total) in enumerate(zip(("conversions", "value"), totals, strict=True)):
        shares = [loss[at] / total if total else Fraction(0) for loss in wanted]
        whole = sum(shares)
        for found, share in zip(table[name], shares, strict=True):
            if not total:
                assert found == 0
            elif whole <= 0:
                assert found is None
            else:
                assert found == pytest.approx(float(total * share / whole), rel=1e-7, abs=1e-7)
    for player, effect, loss in zip(here, table["effect"], wanted, strict=True):
        assert effect == (pytest.approx(float(loss[0] / totals[0]), abs=1e-9) if totals[0] else None), player


@pytest.mark.parametrize("removal", ["null", "renormalise"])
@pytest.mark.parametrize("order", [1, 2, 4])
def test_removing_a_player_is_its_effect_in_the_credit_table(order, removal):
    data = attrib.synth.generate(customers=400, seed=2)
    journeys = attrib.Journeys.from_events(data.touchpoints, data.outcomes, stages="three")
    players = attrib.Markov(order, removal).credit(journeys).filter(kind="player")
    channels = sorted(set(players["channel"]))
    alone, groups = (
        attrib.removal(journeys, items, order=order, removal=removal, intervals=None)
        for items in (channels, [{channel} for channel in channels])
    )
    assert groups["kind"].unique().to_list() == ["group"]
    assert alone.drop("kind").equals(groups.drop("kind"))
    both = alone.join(players, left_on=["stage", "removed"], right_on=["stage", "channel"], suffix="_credit")
    assert both.height == players.height
    assert both["effect"].to_list() == pytest.approx(both["effect_credit"].to_list(), abs=1e-9)


# --- the twin itself, and other ways to the same solution ----------------------------------------------------------
def test_where_the_iteration_stalls_a_factorisation_takes_over(monkeypatch):
    from attrib.methods import chain

    rows = [("a > b > a > b > c", 4, 0), ("d", 4, 8), ("c > d > a", 3, 1), ("b > b > a", 1, 2)]
    asked = ["a", "b", "c", "d", {"a", "c"}, ("b", "a")]
    wanted = {r: (effects(rows, asked, order=2, removal=r), credited(rows, 2)) for r in ("null", "renormalise")}
    monkeypatch.setattr(chain, "MAX_STEPS", 0)
    for removal, (alone, shared) in wanted.items():
        assert effects(rows, asked, order=2, removal=removal) == pytest.approx(alone, abs=1e-9)
        assert {c: pytest.approx(numbers) for c, numbers in credited(rows, 2).items()} == shared


# --- intervals ----------------------------------------------------------------------------------------------------
def test_intervals_do_not_depend_on_threads():
    data = attrib.synth.generate(customers=400, seed=2)
    method = attrib.Markov(2, "renormalise")

    def run(threads):
        engine = attrib.LocalEngine(threads=threads)
        journeys = attrib.Journeys.from_events(data.touchpoints, data.outcomes, stages="three", engine=engine)
        asked = ["email", ("paid_search", "email")]
        table = attrib.removal(journeys, asked, removal="renormalise", replicates=120, seed=4)
        return attrib.credit(journeys, method, replicates=120, seed=4), table

    one, two = run(1), run(2)
    assert one[0].equals(two[0])
    assert_credit_table(one[0])
    assert one[1].equals(two[1])
    assert (one[1]["effect_low"] <= one[1]["effect_high"]).all()
    assert one[1].columns[-6:] == [f"{n}_{s}" for n in ("effect", "conversions", "value") for s in ("low", "high")]


def test_the_interval_of_a_share_is_that_of_a_binomial():
    journeys = journeys_of([("a", 400, 0), ("b", 100, 0)])
    row = attrib.removal(journeys, ["b"], replicates=2000).row(0, named=True)
    assert row["effect_high"] - row["effect_low"] == pytest.approx(2 * 1.96 * (0.2 * 0.8 / 500) ** 0.5, rel=0.1)
    assert row["conversions_high"] - row["conversions_low"] == pytest.approx(2 * 1.96 * 10, rel=0.1)


# --- several player columns ---------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def campaigns() -> attrib.Journeys:
    touches = pl.DataFrame({
        "customer_id": [1, 1, 2, 3],
        "timestamp": pl.Series([1, 2, 1, 1]).cast(pl.Datetime("us")),
        "channel": ["ad", "mail", "ad", "mail"],
        "campaign": ["x", "y", "y", None],
    })  # fmt: skip
    outcomes = pl.DataFrame({"customer_id": [1, 2, 3], "timestamp": [9, 9, 9], "outcome": ["purchase"] * 3})
    outcomes = outcomes.with_columns(pl.col("timestamp").cast(pl.Datetime("us")))
    return attrib.Journeys.from_events(touches, outcomes, player=["channel", "campaign"])


def test_mappings_name_players_of_several_columns(campaigns):
    ad, mail = {"channel": "ad", "campaign": "x"}, {"channel": "mail", "campaign": None}
    asked = [ad, mail, {"channel": "ad"}, {"campaign": None}, [ad, mail], ({"channel": "ad"}, {"campaign": "y"})]
    table = attrib.removal(campaigns, asked, intervals=None)
    assert table.select("removed", "kind", pl.col("conversions").round(9)).rows() == [
        ("ad: x", "player", 1.0),
        ("mail: (none)", "player", 1.0),
        ("channel=ad", "group", 2.0),
        ("campaign=(none)", "group", 1.0),
        ("ad: x + mail: (none)", "group", 2.0),
        ("channel=ad > campaign=y", "sequence", 1.0),
    ]


def test_stages_are_part_of_players_in_the_resolved_view():
    data = attrib.synth.generate(customers=300, seed=2)
    journeys = attrib.Journeys.from_events(data.touchpoints, data.outcomes, stages="three", view="resolved")
    table = attrib.removal(
        journeys, [{"stage": "awareness"}, {"stage": "decision", "channel": "email"}], intervals=None
    )
    assert table["removed"].to_list() == ["stage=awareness", "decision: email"]
    assert table["kind"].to_list() == ["group", "player"]
    assert (table["effect"] > 0).all()


# --- what cannot be asked -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("removed", "settings", "message"),
    [
        ("ad", {}, r"removed is a str, not a list of what to remove; removed=\['ad'\]"),
        (("ad", "mail"), {}, "removed is a tuple, not a list"),
        ([], {}, "removed names nothing"),
        ([set()], {}, r"set\(\) is nothing to remove"),
        ([("ad",)], {}, r"\('ad',\) is a sequence of fewer than two"),
        ([("ad", "mail", "ad")], {}, "order 1 does not see a sequence of 3; use order=2"),
        ([3], {}, "3 is nothing to remove; items are"),
        ([""], {}, "'' is nothing to remove"),
        ([{"ad", 3}], {}, "is nothing to remove"),
        (["mial"], {}, r"no player has channel = 'mial'; did you mean mail\?"),
        (["zzz"], {}, "no player has channel = 'zzz'; there are: ad, mail"),
        ([{"chanel": "ad"}], {}, "'chanel' is no player column; those are channel"),
        ([{"channel": 3}], {}, "channel = 3 is not text"),
        (["ad"], {"order": 0}, "order = 0 is not a whole number from 1 to 5"),
        (["ad"], {"removal": "drop"}, "removal = 'drop' is not one of null, renormalise"),
        (["ad"], {"intervals": 95}, "intervals = 95 is not a level"),
    ],
)
def test_what_cannot_be_removed_is_said(removed, settings, message):
    with pytest.raises(attrib.SpecError, match=message):
        attrib.removal(journeys_of([("ad > mail", 1, 1)]), removed, **{"intervals": None, **settings})


def test_names_of_several_columns_are_checked_together(campaigns):
    with pytest.raises(attrib.SpecError, match=r"'ad': players have the columns channel, campaign; say which"):
        attrib.removal(campaigns, ["ad"])
    with pytest.raises(attrib.SpecError, match="no player is mail: x; each of the values occurs, but not together"):
        attrib.removal(campaigns, [{"channel": "mail", "campaign": "x"}])


def test_the_label_of_a_method_names_how_it_removes():
    assert [m.label for m in (attrib.Markov(), attrib.Markov(2, "renormalise"))] == [
        "markov(order=1)",
        "markov(order=2, removal=renormalise)",
    ]
    with pytest.raises(attrib.SpecError, match="removal = None is not one of null, renormalise"):
        attrib.Markov(removal=None)
