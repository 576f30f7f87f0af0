"""What matters about a journey, and what does not, for any drawn tables (docs/semantics.md §8).

Every test credits all methods that keep its law, as tests/method_table.py says; test_counter_examples.py shows where
the others break it.
"""

from __future__ import annotations

import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import attrib
from attrib.engines import events, reading, store
from attrib.testing import assert_credit_table
from lawful import ONE, as_events, assert_close, credit, form, path_rows, read
from method_table import keeping, methods
from notation import outcomes, touches
from strategies import event_tables, public, recipes, to_frames

FITTED = ("logistic", "hazard", "hazard_baseline", "incremental")  # solved anew for every interval
RULES = ["first", "last", "non_direct", "linear", "position", "ends", "decay", "table", "short_table", "function"]


# order and runs -------------------------------------------------------------------------------------------------------
@given(path_rows(values=(-2.0, 0.25, 1.0)), st.randoms(use_true_random=False))
def test_the_order_of_touches_does_not_matter(rows, rng):
    shuffled = []
    for row in rows:
        channels = row["path"].split(" > ")
        rng.shuffle(channels)
        shuffled.append({**row, "path": " > ".join(channels)})
    kept = keeping("order_free", times=False)
    assert_close(credit(read(shuffled), kept), credit(read(rows), kept))
    timed = keeping("order_free")
    assert_close(credit(form(as_events(shuffled)), timed), credit(form(as_events(rows)), timed))


@given(path_rows(values=(-2.0, 0.25, 1.0), longest=3), st.data())
def test_repeated_touches_do_not_matter(rows, data):
    times = st.lists(st.integers(1, 3), min_size=3, max_size=3)
    repeated = []
    for row in rows:
        channels = [" > ".join([c] * k) for c, k in zip(row["path"].split(" > "), data.draw(times), strict=False)]
        repeated.append({**row, "path": " > ".join(channels)})
    kept = keeping("runs", times=False)
    assert_close(credit(read(repeated), kept), credit(read(rows), kept))


@given(event_tables(), recipes())
def test_runs_do_not_matter(tables, recipe):
    kept = keeping("runs")
    keep, collapse = (credit(form(tables, **{**recipe, "repeats": r}), kept) for r in ("keep", "collapse"))
    assert_close(keep, collapse)


# routes ---------------------------------------------------------------------------------------------------------------
@settings(max_examples=max(10, settings.default.max_examples // 2))  # each example is six runs of all methods
@given(
    event_tables(
        customers=8, integer_ids=True, columns={"touchpoints": ["sequence", "country"], "outcomes": ["value"]}
    ),
    recipes(stages=True),
    st.booleans(),
    st.sampled_from([1, 2, 5, 1000]),
    st.randoms(use_true_random=False),
)
def test_routes_threads_and_order_of_rows_do_not_matter(spill, tables, recipe, partitioned, batch, rng):
    recipe = {**public(recipe), "target": "purchase", "by": ("country",) if partitioned else ()}
    in_order = [frame.sort("customer_id", maintain_order=True) for frame in to_frames(*tables)]
    shuffled = [_shuffle(frame, rng) for frame in in_order]
    small = {"memory_limit": 64, "spill": str(spill)}
    runs = {
        "in order": (in_order, attrib.LocalEngine(threads=1)),
        "in order, two threads": (in_order, attrib.LocalEngine(threads=2)),
        "by hash": (shuffled, attrib.LocalEngine(threads=1)),
        "by hash, lazily": ([frame.lazy() for frame in in_order], attrib.LocalEngine(threads=2)),
        "spilled": (shuffled, attrib.LocalEngine(threads=1, **small)),
        "spilled, two threads": (shuffled, attrib.LocalEngine(threads=2, **small)),
    }
    kept = keeping("routes", parted=partitioned)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BATCH", batch)
        patch.setattr(events, "ROWS_OF_PARTITION", batch)
        found = {name: _everything(frames, engine, recipe, kept, draws=7) for name, (frames, engine) in runs.items()}
    first = found["in order"]
    for name, frames in found.items():
        for one, other in zip(first, frames, strict=True):
            assert one.equals(other), name
    assert list(spill.iterdir()) == []


@pytest.fixture(scope="module")
def spill(tmp_path_factory):
    return tmp_path_factory.mktemp("spill")


def _everything(
    frames: Any, engine: Any, recipe: dict[str, Any], kept: dict[str, Any], draws: int = 0
) -> list[pl.DataFrame]:
    """Credit, ledger and funnel, or why there are none."""
    journeys = attrib.Journeys.from_events(*frames, engine=engine, **recipe)
    again = {name: method for name, method in kept.items() if name in FITTED}  # their intervals: test_jackknife.py
    try:
        table = credit(journeys, {name: method for name, method in kept.items() if name not in again}, draws=draws)
        fitted = [credit(journeys, again)] if again else []
    except attrib.DataError as error:
        return [pl.DataFrame({"error": [error.key], "message": [str(error)]})]
    return [table, *fitted, journeys.reconcile()] + ([journeys.funnel()] if recipe["stages"] else [])


def _shuffle(frame: pl.DataFrame, rng: random.Random) -> pl.DataFrame:
    rows = list(range(frame.height))
    rng.shuffle(rows)
    return frame[rows]


def test_the_small_limit_does_spill(tmp_path, monkeypatch):
    opened = []

    class Watched(store.SpillFolder):
        def __init__(self, parent: Any) -> None:
            super().__init__(parent)
            opened.append(self.path)

    monkeypatch.setattr(store, "SpillFolder", Watched)
    engine = attrib.LocalEngine(memory_limit=64, spill=str(tmp_path))
    credit(form((touches("x", "1a"), outcomes("x", "2purchase")), engine=engine, maturity=99), methods())
    assert opened
    assert all(path.parent == tmp_path for path in opened)


# time -----------------------------------------------------------------------------------------------------------------
@given(event_tables(), recipes(stages=True), st.integers(-(10**6), 10**6))
def test_shifting_all_times_changes_nothing(tables, recipe, shift):
    moved = tuple([{**row, "timestamp": row["timestamp"] + shift} for row in rows] for rows in tables)
    recipe, kept = {"target": "purchase", **public(recipe)}, keeping("time")
    here, there = (_everything(to_frames(*t), ONE, recipe, kept) for t in (tables, moved))
    for one, other in zip(here, there, strict=True):
        assert one.equals(other)


@given(event_tables(), recipes(), st.sampled_from(["UTC", "Europe/Paris", "Asia/Kathmandu"]))
def test_another_zone_changes_nothing(tables, recipe, zone):
    recipe, kept = {"target": "purchase", **public(recipe), "stages": None}, keeping("time")
    frames = to_frames(*tables)
    zoned = [f.with_columns(pl.col("timestamp").dt.replace_time_zone("UTC").dt.convert_time_zone(zone)) for f in frames]
    for one, other in zip(_everything(frames, ONE, recipe, kept), _everything(zoned, ONE, recipe, kept), strict=True):
        assert one.equals(other)


@given(event_tables(), recipes())
def test_a_half_life_without_end_is_linear(tables, recipe):
    methods = {
        "linear": attrib.Linear(),
        "unlimited": attrib.TimeDecay(half_life="unlimited"),
        "long": attrib.TimeDecay(half_life="1000000w"),
    }
    table = credit(form(tables, **recipe), methods)
    linear, unlimited, long = (table.filter(method=name).drop("method") for name in methods)
    assert unlimited.equals(linear)
    assert_frame_equal(long, linear, rel_tol=1e-9, abs_tol=1e-9)


# stages ---------------------------------------------------------------------------------------------------------------
@given(event_tables(), recipes())
def test_one_stage_is_the_plain_game(tables, recipe):
    plain = form(tables, **recipe)
    staged = form(tables, **recipe, stages=[("all", "purchase", 1)])
    kept = keeping("one_stage")
    assert credit(staged, kept).drop("stage").equals(credit(plain, kept))
    assert staged.reconcile().equals(plain.reconcile())


@given(event_tables(), recipes(stages=True))
def test_resolved_credit_sums_to_the_conversions(tables, recipe):
    plain = form(tables, **{**recipe, "stages": None, "repeats": "keep"})
    resolved = form(tables, **{**recipe, "view": "resolved", "repeats": "keep"})
    by_stage = credit(resolved, methods())
    assert_credit_table(by_stage, resolved, methods=list(methods()))
    without = credit(plain, methods())
    summed, whole = (
        table.filter(pl.col("method").is_in(list(keeping("resolved"))))
        .with_columns(pl.col("kind").replace({"baseline": "player"}))  # all that is not unattributed
        .group_by("method", "kind")
        .agg(pl.col("conversions").sum(), pl.col("conversions").null_count().alias("nulls"))
        .sort("method", "kind")
        for table in (by_stage, without)
    )
    assert_frame_equal(summed, whole, rel_tol=1e-9, abs_tol=1e-11)
    rules = by_stage.filter(pl.col("method").is_in(RULES))
    by_channel = rules.group_by("channel", "kind", "method").agg(pl.col("conversions").sum())
    wanted = without.join(by_channel, on=["channel", "kind", "method"], nulls_equal=True, how="inner")
    assert set(wanted["method"]) == set(RULES)
    assert wanted["conversions"].to_list() == pytest.approx(wanted["conversions_right"].to_list())
