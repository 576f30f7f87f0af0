"""Tallies of disjoint customers add up, to the last bit: files, batches, threads, machines do not matter."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from attrib.kernels.codes import CUSTOM, LINEAR, SHAPLEY
from attrib.needs import (
    CUSTOMER_SET,
    LENGTH,
    PATH,
    PLAYER_SET,
    SECONDS,
    Patterns,
    RuleSums,
    Totals,
    Touches,
)
from attrib.tally import Tally, merge
from lawful import credit, form, players
from method_table import SHORT_TABLE, keeping, methods
from notation import outcomes, touches
from strategies import event_tables, recipes

WORD = 42  # bits of a word of a sum, but for the first
BY_POSITION = tuple(
    RuleSums(rule, weights=weights, otherwise=otherwise, by_position=True)
    for rule, weights, otherwise in (
        (LINEAR, None, None),
        (SHAPLEY, None, None),
        (CUSTOM, tuple(tuple(w / sum(row) for w in row) for row in SHORT_TABLE.values()), RuleSums(LINEAR)),
    )
)
PATTERNS = tuple(Patterns(of) for of in (PATH, PLAYER_SET, CUSTOMER_SET, LENGTH, SECONDS))
OF_METHODS = tuple(need for method in methods().values() for need in method._needs())
NEEDS = tuple(dict.fromkeys((Totals(), Touches(), *OF_METHODS, *BY_POSITION, *PATTERNS)))


@given(
    event_tables(customers=8, columns={"touchpoints": ["interaction"], "outcomes": ["value"]}),
    recipes(),
    st.integers(0, 255),
    st.booleans(),
)
def test_tallies_and_credit_of_disjoint_customers_add_up(tables, recipe, side, units):
    recipe = {**recipe, "maturity": None}  # the end of the data is a fact of the whole
    people = sorted({row["customer_id"] for rows in tables for row in rows})
    left = {person for i, person in enumerate(people) if side >> (i % 8) & 1}
    halves = [
        tuple([row for row in rows if (row["customer_id"] in left) == wanted] for rows in tables)
        for wanted in (True, False)
    ]
    assume(all(t and any(o["outcome"] == "purchase" for o in outs) for t, outs in halves))
    formed = [form(part, **recipe) for part in (tables, *halves)]
    whole, *parts = (journeys.tallies(NEEDS, units=units) for journeys in formed)
    for need in NEEDS:
        wanted = whole.get(need)
        found = merge([_in_the_terms_of(wanted, whole.players, part.get(need), part.players) for part in parts])
        if need.has_tail:  # a tail numbers the lists of players that its own tally holds
            assert _content(found) == _content(wanted), need
        else:
            assert found.keys.tolist() == wanted.keys.tolist(), need
            assert found.sums.tolist() == wanted.sums.tolist(), need
    kept = keeping("additive")
    both, *apart = (credit(journeys, kept) for journeys in formed)
    for method in kept:
        shares = [players(table, method) for table in apart]
        for channel, row in players(both, method).items():
            for number in ("conversions", "value"):
                summed = sum(part[channel][number] for part in shares if channel in part)
                assert row[number] == pytest.approx(summed, rel=1e-12, abs=1e-12)


def _in_the_terms_of(whole: Tally, names: pl.DataFrame, part: Tally, own: pl.DataFrame) -> Tally:
    """Recode the players of a part, and count its values in the unit of the whole."""
    row_of = {player: code for code, player in enumerate(names.rows(), 3)}
    codes = np.array([0, 1, 2, *(row_of[player] for player in own.rows())])
    tail_bits = max(whole.layout.tail_bits, part.layout.tail_bits)
    recoded = part.recode(dataclasses.replace(whole.layout, tail_bits=tail_bits), codes)
    sums = recoded.sums.copy()
    for name, (at, is_real) in whole.need.columns.items():
        if is_real and "value" in name:
            for words in sums[:, at : at + 4]:
                words[:] = _scaled(words.tolist(), part.exponent - whole.exponent)
    return dataclasses.replace(recoded, exponent=whole.exponent, sums=sums)


def _scaled(words: list[int], exponent: int) -> list[int]:
    """Words of a sum (the first with a sign, each other below 2^42) times 2^exponent, which must lose nothing."""
    whole = 0
    for word in words:
        whole = (whole << WORD) + word
    scaled = whole << exponent if exponent >= 0 else whole >> -exponent
    assert exponent >= 0 or scaled << -exponent == whole
    lower = []
    for _ in range(3):
        scaled, word = divmod(scaled, 1 << WORD)
        lower.append(word)
    return [scaled, *reversed(lower)]


def _content(tally: Tally) -> dict[tuple[Any, ...], list[int]]:
    """Sums by unit, game, players and what the tail stands for; the order of a set is none."""
    tails: list[Any] = tally.tails.tolist()
    if tally.lists is not None:
        ends = tally.lists.offsets.tolist()
        codes = tally.lists.players.tolist()
        tails = [tuple(codes[ends[tail] : ends[tail + 1]]) for tail in tails]
        if tally.need.of != PATH:
            tails = [tuple(sorted(codes)) for codes in tails]
    fields = [tally.units.tolist(), tally.games.tolist()]
    fields += [tally.player(at).tolist() for at in range(tally.layout.players)]
    content = dict(zip(zip(*fields, tails, strict=True), tally.sums.tolist(), strict=True))
    assert len(content) == len(tally.keys)
    return content


@pytest.mark.parametrize("of", [PATH, PLAYER_SET, CUSTOMER_SET])
def test_lists_of_players_are_compared_by_content(of):
    two = form((touches("x", "1a 2b 3a") + touches("y", "1b"), outcomes("x", "4purchase")))
    found = {key[-1]: sums[:3] for key, sums in _content(two.tallies((Patterns(of),)).get(Patterns(of))).items()}
    assert found == {(3, 4, 3) if of == PATH else (3, 4): [1, 1, 0], (4,): [1, 0, 1]}
