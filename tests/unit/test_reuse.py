"""One Journeys asked again and again: whatever was asked before, an answer is that of fresh journeys."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import attrib
from attrib import synth
from attrib.engines.local import LocalEngine

DATA = synth.generate(300, seed=11)
METHODS = [
    attrib.Linear(),
    attrib.LastTouch(),
    attrib.Markov(order=1),
    attrib.Markov(order=3),
    attrib.Markov(order=2),
    attrib.Shapley(),
]


def fresh(engine: LocalEngine | None = None) -> attrib.Journeys:
    return attrib.Journeys.from_events(DATA.touchpoints, DATA.outcomes, stages="three", engine=engine)


ANSWERS: dict[tuple[int, bool], pl.DataFrame] = {}


def answer(journeys: attrib.Journeys, method: int, *, intervals: bool) -> pl.DataFrame:
    return attrib.credit(journeys, METHODS[method], intervals=0.9 if intervals else None, replicates=5)


def expected(method: int, *, intervals: bool) -> pl.DataFrame:
    key = (method, intervals)
    if key not in ANSWERS:
        ANSWERS[key] = answer(fresh(), method, intervals=intervals)
    return ANSWERS[key]


@settings(max_examples=15)
@given(
    calls=st.lists(st.tuples(st.integers(0, len(METHODS) - 1), st.booleans()), min_size=2, max_size=5),
    capped=st.booleans(),
)
def test_answers_do_not_depend_on_what_was_asked_before(calls, capped):
    journeys = fresh(LocalEngine(memory_limit=100_000) if capped else None)
    for method, intervals in calls:
        found = answer(journeys, method, intervals=intervals)
        wanted = expected(method, intervals=intervals)
        exact = [c for c in found.columns if not c.endswith(("_low", "_high"))]
        assert found.select(exact).equals(wanted.select(exact))
        assert_frame_equal(found, wanted, rel_tol=1e-6, abs_tol=1e-6)  # higher orders are iterated


def test_events_are_read_once(monkeypatch):
    """Views and methods share a pass: for what is summed already nothing is read again, however large the input."""
    passes = []
    run = LocalEngine._run
    monkeypatch.setattr(LocalEngine, "_run", lambda *args: passes.append(1) or run(*args))
    journeys = fresh(LocalEngine(memory_limit=100_000))
    attrib.credit(journeys, METHODS, replicates=5)
    journeys.reconcile()
    journeys.rejected()
    for method in METHODS:
        method.credit(journeys)
    assert len(passes) == 1
    for _ in range(2):
        journeys.funnel()  # has a pass of its own: it keeps a time for every stage of every customer
    assert len(passes) == 2


@pytest.mark.parametrize("columns", [{"country": pl.Int64}, {"country": pl.Float64}, {"country": pl.String}])
def test_a_partition_is_one_game_whatever_its_types(columns):
    """1 in one table and 1.0 in the other are one country."""
    touches = DATA.touchpoints.with_columns((pl.col("customer_id") % 3).alias("country"))
    outcomes = DATA.outcomes.with_columns((pl.col("customer_id") % 3).cast(columns["country"]).alias("country"))
    table = attrib.Markov(order=1).credit(attrib.Journeys.from_events(touches, outcomes, by="country"))
    assert table["country"].n_unique() == 3
    assert table.filter(kind="player")["effect"].max() < 1  # nulls stand in the game of their country
