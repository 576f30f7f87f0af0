"""Customers in parts, each read and summed on its own: added up, the answers are those of one reader."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import attrib
from attrib.engines import parts
from attrib.engines.events import EventReader
from attrib.engines.local import LocalEngine
from attrib.engines.packed_errors import pack_error, unpack_error
from strategies import event_tables, public, recipes, to_frames

METHODS: dict[str, Any] = {
    "last": attrib.LastTouch(),
    "decay": attrib.TimeDecay(half_life="3s"),
    "markov": attrib.Markov(order=2),
    "shapley": attrib.Shapley(),
}


@dataclass(frozen=True, slots=True)
class Parted(LocalEngine):
    """Deals customers out to parts, and hands each its rows a few at a time, tables mixed."""

    parts: int = 3
    rows: int = 2
    listed: int = 1_000
    together: int = 0

    def _run(self, recipe, memory, build):
        reader = EventReader(recipe, by_id=False, budget=0, spill=None, progress=None)
        asked, rules, wanted = build(reader), parts.rules_of(recipe), parts.columns_read(reader)
        total = parts.PartPass.doing(asked, reader, self.budget)
        base = (recipe.touchpoints,) if recipe.inline else (recipe.touchpoints, recipe.outcomes)
        columns = [[c for c in source.schema if c in wanted and c != "__flag"] for source in base]
        frames = [source.frame.select(names).collect() for source, names in zip(base, columns, strict=True)]
        if reader.ids == "text":
            frames = [frame.with_columns(pl.col("customer_id").cast(pl.String)) for frame in frames]
        shapes = tuple(parts.Shape(s.name, dict(f.schema)) for s, f in zip(base, frames, strict=True))
        surveyed, facts = parts.tables_to_survey(reader), {}
        if surveyed:
            order = parts.Order(shapes, rules, None, False, self.budget, {}, 0)
            chosen = [frame if i in surveyed else frame.clear() for i, frame in enumerate(frames)]
            facts = parts.facts_of(order.reader(), self.answers(order, chosen, by_row=True))
        order = parts.Order(shapes, rules, tuple(total.sums), total.units, self.budget, facts, self.listed)
        blocks = list(self.answers(order, frames))
        if self.together:
            groups = [blocks[i : i + self.together] for i in range(0, len(blocks), self.together)]
            blocks = [parts.combine(order, group) for group in groups]
        for text in parts.add_parts(reader, total, blocks):
            warnings.warn(text, attrib.AttribWarning, stacklevel=1)
        return reader, total.done(asked, memory)

    def answers(self, order, frames, *, by_row=False):
        order = pickle.loads(pickle.dumps(order))
        for part in range(self.parts):
            own = []
            for frame in frames:
                number = pl.int_range(frame.height) if by_row else frame["customer_id"].hash(seed=1)
                own.append(frame.filter(number % self.parts == part))
            longest = max(frame.height for frame in own)
            block = parts.do(order, ([f[at : at + self.rows] for f in own] for at in range(0, longest, self.rows)))
            assert bool(block) == bool(longest)
            if block:
                yield block


def answers(touched: Any, reached: Any, recipe: dict[str, Any], engine: Any) -> list[Any]:
    """Everything that is asked of journeys, or the error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", attrib.AttribWarning)
        journeys = attrib.Journeys.from_events(touched, reached, engine=engine, **recipe)
        try:
            table = attrib.credit(journeys, METHODS, intervals=0.9, replicates=10)
            found = [table, journeys.reach(), journeys.to_paths(), journeys.reconcile(), journeys.warnings]
        except attrib.AttribError as error:
            return [error.key]
        rejected = journeys.rejected().drop("row")
        found.append(rejected.sort(rejected.columns))
        if isinstance(recipe.get("stages"), attrib.StageModel):
            found.append(journeys.funnel())
    return found


def assert_same(touched: Any, reached: Any, recipe: dict[str, Any], engine: Any) -> list[Any]:
    found = answers(touched, reached, recipe, engine)
    wanted = answers(touched, reached, recipe, attrib.LocalEngine(threads=1))
    assert len(found) == len(wanted), (found[0], wanted[0])
    for one, other in zip(found, wanted, strict=True):
        if isinstance(other, pl.DataFrame) and "entry" in other.columns:
            assert_frame_equal(one, other, rel_tol=1e-9)  # its values are plain sums
        elif isinstance(other, pl.DataFrame):
            assert one.equals(other), (one, other)
        else:
            assert one == other
    return found


def cells(n: int, *values: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), min_size=n, max_size=n)


@st.composite
def engines(draw: st.DrawFn) -> Parted:
    return Parted(
        threads=1, parts=draw(st.integers(1, 5)), rows=draw(st.integers(1, 4)), together=draw(st.sampled_from([0, 2]))
    )


@settings(max_examples=10)
@given(event_tables(), recipes(), engines())
def test_plain_games(tables, recipe, engine):
    assert_same(*to_frames(*tables), public(recipe), engine)


@settings(max_examples=10)
@given(event_tables(), recipes(stages=True), engines())
def test_stages(tables, recipe, engine):
    assert_same(*to_frames(*tables), public(recipe), engine)


COUNTRIES = {"touchpoints": ["country", "interaction", "sequence", "event_id"], "outcomes": ["country", "value"]}


@settings(max_examples=10)
@given(
    event_tables(columns=COUNTRIES),
    recipes(stages=True),
    engines(),
    st.sampled_from([(), ("country",)]),
    st.sampled_from([("channel",), ("interaction", "channel")]),
    st.sampled_from([(), ("click",)]),
)
def test_games_and_composed_players(tables, recipe, engine, by, player, prefer):
    lookback = {"click": "5s", "*": "unlimited"}
    arguments = public(recipe) | {"by": by, "player": player, "prefer": prefer, "lookback": lookback}
    assert_same(*to_frames(*tables), arguments, engine)


@settings(max_examples=10)
@given(event_tables(columns={"touchpoints": ["country"], "outcomes": ["value"]}), recipes(), engines())
def test_games_that_only_touches_name(tables, recipe, engine):
    assert_same(*to_frames(*tables), public(recipe) | {"by": ("country",)}, engine)


@settings(max_examples=10)
@given(event_tables(columns={"outcomes": ["country", "event_id", "value"]}), recipes(), engines(), st.data())
def test_clusters(tables, recipe, engine, data):
    touched, reached = to_frames(*tables)
    names = data.draw(cells(touched.height, None, "k1", "k2", "k3"))
    touched = touched.with_columns(pl.Series("cluster", names, dtype=pl.String))
    assert_same(touched, reached, public(recipe) | {"by": ("country",)}, engine)


@settings(max_examples=10)
@given(event_tables(columns={}), recipes(), engines(), st.data())
def test_outcomes_inside_the_touches(tables, recipe, engine, data):
    touched, _ = to_frames(*tables)
    n = touched.height
    touched = touched.with_columns(
        pl.Series("won", data.draw(cells(n, "yes", "no", None, "?")), pl.String),
        pl.Series("worth", data.draw(cells(n, None, 0.25, 7.0)), pl.Float64),
    )
    recipe = public(recipe) | {"max_rejects": 1.0}
    assert_same(touched, attrib.InlineOutcome(flag="won", value="worth"), recipe, engine)


@settings(max_examples=10)
@given(event_tables(columns={"outcomes": ["value"]}), recipes(), engines(), st.booleans())
def test_texts_of_times_with_and_without_a_time_of_day(tables, recipe, engine, days):
    touched, reached = to_frames(*tables)
    times = pl.col("timestamp").dt.to_string("%Y-%m-%d" if days else "%Y-%m-%dT%H:%M:%S")
    # one row with a time of day makes equal rows of all parts duplicates
    mixed = pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("2024-01-01 00:00:05")).otherwise(times)
    assert_same(touched.with_columns(timestamp=times), reached, public(recipe), engine)
    assert_same(touched.with_columns(timestamp=mixed), reached, public(recipe), engine)


@settings(max_examples=10)
@given(event_tables(integer_ids=True), recipes(), engines(), st.booleans())
def test_integer_customers(tables, recipe, engine, mixed):
    touched, reached = to_frames(*tables)
    if mixed:
        touched = touched.with_columns(pl.col("customer_id").cast(pl.String))
    assert_same(touched, reached, public(recipe), engine)


def small() -> tuple[pl.DataFrame, pl.DataFrame]:
    day = pl.datetime(2024, 1, 1)
    touched = pl.select(customer_id=pl.int_range(40), timestamp=day, channel=pl.lit("ad"))
    return touched, touched.head(20).rename({"channel": "outcome"}).with_columns(outcome=pl.lit("purchase"), value=1.0)


NUMBER = pl.int_range(pl.len())
ZONES = pl.when(NUMBER % 2 == 0).then(pl.lit("2024-01-01 00:00Z")).otherwise(pl.lit("2024-01-01 00:00"))


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"outcome": pl.lit("visit")}, "no_target"),
        ({"value": pl.lit(float("nan"))}, "too_many_rejected"),
        ({"value": pl.lit(1e308)}, "values_too_large"),
        ({"timestamp": ZONES}, "mixed_zones"),
        ({"timestamp": pl.lit("2024-01-01")}, None),
    ],
)
def test_errors_are_those_of_one_reader(change, key):
    touched, reached = small()
    found = assert_same(touched, reached.with_columns(**change), {}, Parted(threads=1, parts=7))
    assert (found[0] == key) if key else len(found) > 1


def test_too_many_players_over_all_parts():
    touched, reached = small()
    touched = touched.with_columns(channel=pl.format("c{}", "customer_id"))
    assert assert_same(touched, reached, {"max_players": 30}, Parted(threads=1, parts=7)) == ["too_many_players"]


def test_rejected_rows_are_counted_also_where_not_all_are_listed():
    touched, reached = small()
    touched = pl.concat([touched, touched.with_columns(channel=pl.lit(" "))])
    engine = Parted(threads=1, parts=2, listed=3, together=2)
    journeys = attrib.Journeys.from_events(touched, reached, engine=engine, max_rejects=0.5)
    with pytest.warns(attrib.AttribWarning, match="lists 6 of 40 rejected rows of touchpoints"):
        listed = journeys.rejected()
    assert listed.height == 6
    ledger = {(table, entry): rows for table, entry, rows, *_ in journeys.reconcile().rows()}
    assert ledger["touchpoints", "rejected"] == 40
    strict = attrib.Journeys.from_events(touched, reached, engine=engine)
    with pytest.raises(attrib.RejectedError, match=r"40 of 80 rows .* channel_empty 40; e.g. one has channel ' '"):
        strict.reconcile()


def test_an_error_comes_home_as_it_was():
    error = attrib.DataError("mixed_zones", "some …", hint="give all", found=["a", 1])
    again = unpack_error(pack_error(error))
    assert (type(again), again.key, str(again), again.facts) == (type(error), error.key, str(error), error.facts)
