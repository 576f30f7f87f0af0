"""Sums over journeys: all needs in one walk, partition after partition, give the words that each gives alone."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attrib import summing
from attrib.kernels import fixed, tables
from attrib.kernels.codes import (
    DECAY,
    FIRST_TOUCH,
    LAST_NON_DIRECT,
    LAST_TOUCH,
    LINEAR,
    OPEN,
    POSITION,
    SHAPLEY,
    UNATTRIBUTED,
)  # fmt: skip
from attrib.needs import RuleSums, Totals, Touches, Transitions
from attrib.ragged import Ragged
from attrib.summing import RunningSums, tally_journeys, touch_weights
from attrib.tally import Layout, Tally, merge

RULES = (
    RuleSums(FIRST_TOUCH),
    RuleSums(LAST_TOUCH),
    RuleSums(LAST_NON_DIRECT, direct=("b",)),
    RuleSums(LAST_NON_DIRECT, direct=("a", "c")),
    RuleSums(LINEAR),
    RuleSums(POSITION, a=0.4, b=0.4),
    RuleSums(POSITION, a=0.0, b=0.0),
    RuleSums(DECAY, a=3.0),
    RuleSums(DECAY, a=0.01),
    RuleSums(SHAPLEY),
    RuleSums(SHAPLEY, by_position=True),
)
NEEDS = (Totals(), Touches(), *RULES, Transitions(3), Transitions(1))
SIZES = {"players": 4, "games": 3, "exponent": 7}
CHANNELS = np.array(["a", "b", "c", "d"], object)


def ragged(journeys: list[tuple], units: int = 4) -> Ragged:
    """Journeys of (players from 0, game, unit, conversions, nulls, value)."""
    lengths = [len(journey[0]) for journey in journeys]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    players = np.array([p for journey in journeys for p in journey[0]], np.int32)
    game, unit, conversions, nulls, value = (np.array([j[at] for j in journeys]) for at in range(1, 6))
    status = np.where(conversions + nulls == 0, OPEN, np.where(np.array(lengths) == 0, UNATTRIBUTED, 0))
    places = np.arange(len(players)) - np.repeat(offsets[:-1], lengths)
    times = (places**2 + players).cumsum()
    return Ragged(
        offsets, players + np.int32(3), players, times, game.astype(np.int32), unit.astype(np.int32) % units,
        np.arange(len(journeys)), conversions.astype(np.int64), nulls.astype(np.int64), conversions.astype(np.int64),
        value.astype(np.float64), np.zeros(len(journeys), np.int64), status.astype(np.int8), 1, CHANNELS,
    )  # fmt: skip


JOURNEYS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 3), max_size=6),
        st.integers(0, 2),
        st.integers(0, 3),
        st.sampled_from([0, 1, 1, 1, 2, 3 << 21]),
        st.integers(0, 2),
        st.sampled_from([0.0, 0.0, 1.0, 0.1, -99.99, 1e-30]),
    ),
    min_size=1,
    max_size=30,
)


def same(found: Tally, wanted: Tally) -> None:
    assert (found.need, found.layout, found.exponent) == (wanted.need, wanted.layout, wanted.exponent)
    assert found.keys.tolist() == wanted.keys.tolist()
    assert found.sums.tolist() == wanted.sums.tolist()


def by_need(tallies: list[Tally]) -> dict:
    found: dict = {}
    for tally in tallies:
        found.setdefault(tally.need, []).append(tally)
    return {need: merge(parts) for need, parts in found.items()}


def exact_rule(journeys: Ragged, need: RuleSums, *, units: bool) -> dict:
    """Credit by weights as ``touch_weights`` gives them, with the words of every touch added in Python."""
    weights, sums = touch_weights(journeys, need), {}
    for j in range(len(journeys.game)):
        low, high = journeys.offsets[j : j + 2].tolist()
        key_of, seen = (int(journeys.unit[j]) if units else 0, int(journeys.game[j])), {}
        for i in range(low, high):
            player = int(journeys.players[i])
            if need.rule == SHAPLEY:
                weight = (
                    0.0 if player in seen or not weights[low:high].any() else 1 / len(set(journeys.players[low:high]))
                )
                seen[player] = True
            else:
                weight = float(weights[i])
            conversions = words_of(weight) * int(journeys.conversions[j])
            value = words_of(float(journeys.value[j]) * weight * 2.0 ** -SIZES["exponent"])
            old = sums.get((*key_of, player), (0, 0))
            sums[*key_of, player] = (old[0] + conversions, old[1] + value)
    return {key: pair for key, pair in sums.items() if pair[0]}


def words_of(x: float) -> int:
    """A float in units of 2^-146, rounded half to even."""
    return round(Fraction(x) * (1 << 146))


def as_numbers(words: np.ndarray) -> list[int]:
    return [sum(int(w) << (126 - 42 * place) for place, w in enumerate(row)) for row in words]


@given(JOURNEYS, st.booleans())
def test_every_rule_is_the_exact_sum_of_its_weights(journeys, units):
    r = ragged(journeys)
    for need in RULES[:-1]:
        found = tally_journeys(r, need, units=units, **SIZES)
        keys = zip(found.units.tolist(), found.games.tolist(), found.player(0).tolist(), strict=True)
        pairs = zip(as_numbers(found.sums[:, :4]), as_numbers(found.sums[:, 4:]), strict=True)
        assert dict(zip(keys, pairs, strict=True)) == exact_rule(r, need, units=units)
        assert ((found.sums[:, [1, 2, 3, 5, 6, 7]] >= 0) & (found.sums[:, [1, 2, 3, 5, 6, 7]] < 1 << 42)).all()


@given(JOURNEYS, st.booleans(), st.integers(0, 30), st.sampled_from([0, 1 << 9, 64 << 20]))
def test_all_at_once_and_in_parts_is_each_alone(journeys, units, cut, held):
    r = ragged(journeys)
    alone = {need: tally_journeys(r, need, units=units, **SIZES) for need in NEEDS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summing, "HELD", held)
        running, handed_over = RunningSums(NEEDS, units=units), []
        for part in (journeys[:cut], journeys[cut:]):
            if part:
                handed_over += running.add(ragged(part), **SIZES)
        found = by_need([*handed_over, *running.take()])
    assert running.rows == dict.fromkeys(NEEDS, 0)
    for need in NEEDS:
        layout = Layout(
            need.players, *(max(getattr(t.layout, n) for t in (alone[need], found[need])) for n in summing.WIDTHS)
        )
        same(found[need].recode(layout), alone[need].recode(layout))


def test_new_players_and_games_widen_the_keys():
    small = ragged([((0, 1), 0, 0, 1, 0, 1.0)])
    large = ragged([((0, 1, 2), 2, 3, 1, 1, 1.0)])
    running = RunningSums(NEEDS, units=True)
    first = running.add(small, players=2, games=1, exponent=0)
    second = running.add(large, players=40, games=3, exponent=0)
    assert not first
    assert {tally.need for tally in second} == set(NEEDS)  # handed over with narrow keys
    found = by_need([*second, *running.take()])
    for need in NEEDS:
        parts = [
            tally_journeys(small, need, units=True, players=2, games=1, exponent=0),
            tally_journeys(large, need, units=True, players=40, games=3, exponent=0),
        ]
        same(found[need], merge(parts))


@pytest.mark.parametrize("block", [4, 1 << 10])
def test_blocks_tables_and_indices_may_be_of_any_size(block, monkeypatch):
    rng = np.random.default_rng(1)
    journeys = [
        (rng.integers(0, 4, rng.integers(0, 9)), rng.integers(0, 3), rng.integers(0, 1000), 1, 0, rng.random())
        for _ in range(3000)
    ]
    journeys.append((rng.integers(0, 4, 5000), 0, 0, 1, 0, 1.0))  # longer than any block
    r = ragged(journeys, units=1000)
    wanted = {need: tally_journeys(r, need, units=True, **SIZES) for need in NEEDS}
    monkeypatch.setattr(summing, "BLOCK", block)
    monkeypatch.setattr(summing, "DENSE", 6)  # every index is hashed
    for need in NEEDS:
        same(tally_journeys(r, need, units=True, **SIZES), wanted[need])


@given(st.lists(st.integers(0, (1 << 62) - 1) | st.integers(0, 5000)))
def test_keys_are_sorted_stably(keys):
    order = tables.sort_keys(np.array(keys, np.int64))
    assert order.tolist() == np.argsort(np.array(keys, np.int64), kind="stable").tolist()


@given(st.floats(0, 1), st.integers(0, (1 << 40) - 1))
def test_words_times_a_number(x, times):
    words = fixed.split_times(x, times)
    assert as_numbers(np.array([words])) == [words_of(x) * times]
    if times != 1:
        assert all(0 <= w < 1 << 42 for w in words[1:])
