"""Tallies by path, player set, length, time and position: what they count, and that they add up (law 5)."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import attrib
import reference
from attrib import summing
from attrib.engines import events, reading
from attrib.engines.base import Tallies
from attrib.kernels.codes import CUSTOM, FIRST_PLAYER, HIGH_BITS, LOW_BITS, SHAPLEY, WORDS
from attrib.needs import CUSTOMER_SET, LENGTH, PATH, PLAYER_SET, SECONDS, Need, Patterns, RuleSums
from strategies import event_tables, public, recipes, to_frames

KINDS = (PATH, PLAYER_SET, CUSTOMER_SET, LENGTH, SECONDS)
POSITIONS = RuleSums(SHAPLEY, by_position=True)
OWN = RuleSums(CUSTOM, weights=tuple(tuple([1 / m] * m) for m in range(1, 30)), by_position=True)
NEEDS: tuple[Need, ...] = (*(Patterns(of) for of in KINDS), POSITIONS, OWN)
TABLES = event_tables(
    customers=8, columns={"touchpoints": ["interaction", "country"], "outcomes": ["value"]}, target="purchase"
)
pytestmark = pytest.mark.filterwarnings("ignore::attrib.AttribWarning")  # duplicates, customers without a conversion

Content = dict[tuple[Any, ...], tuple[Fraction, ...]]


def form(tables: Any, recipe: dict[str, Any], **engine: Any) -> attrib.Journeys:
    arguments = {"target": "purchase", **public(recipe)}
    return attrib.Journeys.from_events(*to_frames(*tables), engine=attrib.LocalEngine(**engine), **arguments)


def contents(journeys: attrib.Journeys, *, units: bool = False) -> dict[Need, Content]:
    """Every tally by what its keys stand for, its sums exact: (unit, game, player if any, tail)."""
    tallies = journeys.tallies(NEEDS, units=units)
    return {need: content(tallies, need, units=units) for need in NEEDS}


def content(tallies: Tallies, need: Need, *, units: bool) -> Content:
    tally = tallies.get(need)
    games = tallies.games.rows() if tallies.games.width else [()]
    players = tallies.players.rows()
    found: Content = {}
    for row, (unit, game, tail) in enumerate(zip(tally.units, tally.games, tally.tails, strict=True)):
        what: Any = int(tail)
        if tally.lists is not None:
            low, high = tally.lists.offsets[tail : tail + 2]
            members = [players[code - FIRST_PLAYER] for code in tally.lists.players[low:high].tolist()]
            what = tuple(members) if need == Patterns(PATH) else frozenset(members)
            assert len(what) == len(members)  # a set names nobody twice
        who = players[tally.player(0)[row] - FIRST_PLAYER] if tally.layout.players else ()
        sums = []
        for name, (at, is_real) in need.columns.items():
            words = [int(word) for word in tally.sums[row, at : at + (WORDS if is_real else 1)]]
            whole = sum(word << (LOW_BITS * (len(words) - 1 - i)) for i, word in enumerate(words))
            scale = Fraction(2) ** (-HIGH_BITS - LOW_BITS * (WORDS - 1)) if is_real else 1
            sums.append(whole * scale * (Fraction(2) ** tally.exponent if is_real and name == "value" else 1))
        key = (int(unit) if units else 0, games[game], who, what)
        assert key not in found
        found[key] = tuple(sums)
    return found


def counted(built: reference.Built, of: str) -> Content:
    """The same by its definition: journeys, or customers, with their columns in order."""
    found: dict[Any, list[Any]] = defaultdict(lambda: [0, 0, 0, 0, Fraction(0)])
    journeys = [journey for journey in built.journeys if journey.touches]
    if of == CUSTOMER_SET:
        members: dict[Any, list[reference.Journey]] = defaultdict(list)
        for journey in journeys:
            members[journey.customer, journey.game].append(journey)
        groups = [
            (game, frozenset(p for journey in some for p in journey.players), some)
            for (_, game), some in members.items()
        ]
    else:
        journeys = [j for j in journeys if j.status == "converting" or (j.status == "null" and of != SECONDS)]
        what: Any = {
            PATH: lambda journey: tuple(journey.players),
            PLAYER_SET: lambda journey: frozenset(journey.players),
            LENGTH: lambda journey: len(journey.touches),
            SECONDS: lambda journey: journey.conversion_time - journey.times[0],
        }[of]
        groups = [(journey.game, what(journey), [journey]) for journey in journeys]
    known = built.games()
    for game, key, some in groups:
        if built.by and game not in known:  # of open journeys only: no game of the credit table
            continue
        cell = found[0, game, (), key]
        cell[0] += 1
        cell[1] += sum(j.conversions for j in some)
        cell[2] += sum(j.status == "null" for j in some)
        cell[3] += any(j.conversions for j in some)
        cell[4] += sum(j.value for j in some)
    return {key: tuple(cell) for key, cell in found.items()}


@st.composite
def drawn(draw: st.DrawFn) -> tuple[Any, dict[str, Any]]:
    """Tables and a recipe: with stages, by or composed players, or without."""
    tables = draw(TABLES)
    recipe = draw(recipes(stages=draw(st.booleans())))
    if draw(st.booleans()):
        recipe["by"] = ("country",)
    if recipe.get("view") != "resolved" and draw(st.booleans()):
        recipe["player"] = ("channel", "interaction")
    return tables, recipe


def has_milestones(tables: Any, recipe: dict[str, Any]) -> bool:
    milestones = {milestone for _, milestone, *_ in recipe.get("stages") or ()}
    return recipe.get("view") != "advance" or bool(milestones & {row["outcome"] for row in tables[1]})


@given(case=drawn())
def test_patterns_count_what_they_say(case: Any) -> None:
    tables, recipe = case
    assume(has_milestones(tables, recipe))
    built, found = reference.build(*tables, **recipe), contents(form(tables, recipe))
    for of in KINDS:
        assert found[Patterns(of)] == counted(built, of), of


@given(case=drawn(), side=st.integers(0, 255), units=st.booleans())
def test_tallies_of_disjoint_customers_add_up(case: Any, side: int, units: bool) -> None:
    tables, recipe = case
    recipe["maturity"] = None  # the end of the data is a fact of the whole
    people = sorted({row["customer_id"] for rows in tables for row in rows})
    left = {person for i, person in enumerate(people) if side >> (i % 8) & 1}
    halves = [
        tuple([row for row in rows if (row["customer_id"] in left) == wanted] for rows in tables)
        for wanted in (True, False)
    ]
    assume(all(t and any(o["outcome"] == "purchase" for o in outs) for t, outs in halves))
    assume(all(has_milestones(half, recipe) for half in halves))
    everything, *several = (contents(form(half, recipe), units=units) for half in (tables, *halves))
    for need in NEEDS:
        whole, *parts = (found[need] for found in (everything, *several))
        together: dict[Any, tuple[Fraction, ...]] = {}
        for part in parts:
            for key, sums in part.items():
                before = together.get(key, (Fraction(0),) * len(sums))
                together[key] = tuple(a + b for a, b in zip(before, sums, strict=True))
        assert set(together) == set(whole), need
        for key, sums in whole.items():
            if isinstance(need, Patterns):
                assert together[key] == sums  # counts and values: exact
            else:
                assert together[key][0] == sums[0]
                assert float(together[key][1]) == pytest.approx(float(sums[1]), rel=1e-15, abs=1e-15)


@given(case=drawn())
def test_the_units_of_a_tally_add_up_to_it(case: Any) -> None:
    tables, recipe = case
    assume(has_milestones(tables, recipe))
    plain, by_unit = contents(form(tables, recipe)), contents(form(tables, recipe), units=True)
    for need in NEEDS:
        summed: dict[Any, tuple[Fraction, ...]] = {}
        for (unit, *key), sums in by_unit[need].items():
            assert 0 <= unit < 256
            before = summed.get((0, *key), (Fraction(0),) * len(sums))
            summed[0, *key] = tuple(a + b for a, b in zip(before, sums, strict=True))
        assert summed == plain[need], need


@pytest.fixture(scope="module")
def spill(tmp_path_factory):
    return tmp_path_factory.mktemp("spill")


@given(case=drawn(), units=st.booleans(), batch=st.sampled_from([1, 3, 1000]))
def test_routes_and_threads_give_the_same_tallies(spill: Any, case: Any, units: bool, batch: int) -> None:
    tables, recipe = case
    assume(has_milestones(tables, recipe))
    engines = ({"threads": 1}, {"threads": 2}, {"threads": 2, "memory_limit": 64, "spill": str(spill)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BATCH", batch)
        patch.setattr(events, "ROWS_OF_PARTITION", batch)
        found = [contents(form(tables, recipe, **engine), units=units) for engine in engines]
        patch.setattr(summing, "DENSE", 0)
        found.append(contents(form(tables, recipe, threads=1), units=units))  # sums in hash tables
    for need in NEEDS:
        first, *others = (one[need] for one in found)
        assert all(other == first for other in others), need
