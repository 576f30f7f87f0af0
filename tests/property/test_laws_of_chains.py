"""What holds of the fitted chain and of removal effects, for any drawn tables (docs/semantics.md §5 and §8)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attrib
from attrib.needs import Transitions
from lawful import credit, path_rows, players, read
from method_table import keeping


# converts as the data -------------------------------------------------------------------------------------------------
def orders_of(kept: dict[str, attrib.methods.Method]) -> set[int]:
    """Orders of the chains that methods fit."""
    return {need.order for method in kept.values() for need in method._needs() if isinstance(need, Transitions)}


def test_the_chains_of_all_methods_are_tried():
    assert orders_of(keeping("probability")) == {1, 2, 3}


@given(path_rows(), st.integers(1, 4))
def test_the_chain_converts_as_often_as_the_data(rows, order):
    tally = read(rows).tallies((Transitions(order),)).get(Transitions(order))
    count, step, bits = tally.counts("count"), tally.player(order), tally.layout.bits
    states = np.unique(tally.contexts)
    chain = np.eye(len(states))
    arrive = np.zeros(len(states))
    leave = {state: count[tally.contexts == state].sum() for state in states}
    for context, to, times in zip(tally.contexts, step, count, strict=True):
        at, share = np.searchsorted(states, context), times / leave[context]
        if to == 1:
            arrive[at] += share
        elif to >= 3:
            follow = ((context << bits) | to) & ((1 << (order * bits)) - 1)
            chain[at, np.searchsorted(states, follow)] -= share
    conversions, nulls = (sum(row[name] for row in rows) for name in ("conversions", "nulls"))
    assert states[0] == 0  # start
    assert np.linalg.solve(chain, arrive)[0] == pytest.approx(conversions / (conversions + nulls), rel=1e-9)


# effects --------------------------------------------------------------------------------------------------------------
@given(path_rows(values=(-2.0, 0.0, 1.0)))
def test_effects_lie_between_nothing_and_everything(rows):
    kept = keeping("effect_bounds")
    table = credit(read(rows), kept)
    for method in kept:
        for row in players(table, method).values():
            assert 0 <= row["effect"] <= 1


def assert_effects_count_who_was_there(rows, methods):
    conversions = sum(row["conversions"] for row in rows)
    table = credit(read(rows), methods)
    for method in methods:
        for channel, row in players(table, method).items():
            present = sum(r["conversions"] for r in rows if channel in r["path"].split(" > "))
            assert row["effect"] == pytest.approx(present / conversions, abs=1e-9)


@given(path_rows(longest=5))
def test_a_chain_of_order_5_counts_who_was_there(rows):
    assert_effects_count_who_was_there(rows, {"long": attrib.Markov(order=5)})


@pytest.mark.parametrize("longest", [1, 2, 3])
@given(data=st.data())
def test_a_chain_as_long_as_the_journeys_counts_who_was_there(longest, data):
    rows = data.draw(path_rows(longest=longest))
    kept = {name: method for name, method in keeping("presence").items() if method.order >= longest}
    assert kept
    assert_effects_count_who_was_there(rows, kept)
