"""Spark gives what one machine gives: every table equal, sums to the last bit."""

from __future__ import annotations

import datetime as dt
import warnings
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import attrib
from strategies import event_tables, public, recipes, to_frames

pytestmark = pytest.mark.spark
METHODS: dict[str, Any] = {
    "last": attrib.LastTouch(),
    "decay": attrib.TimeDecay(half_life="3s"),
    "custom": attrib.CustomWeights(lambda positions, _ages: 1.0 + positions),
    "markov": attrib.Markov(order=2),
    "shapley": attrib.Shapley(),
}
BATCH = "spark.sql.execution.arrow.maxRecordsPerBatch"


def answers(touched: Any, reached: Any, recipe: dict[str, Any], engine: Any) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", attrib.AttribWarning)
        journeys = attrib.Journeys.from_events(touched, reached, engine=engine, **recipe)
        try:
            table = attrib.credit(journeys, METHODS, intervals=0.9, replicates=10)
            rejected = journeys.rejected().drop("row")
            found = [table, journeys.reconcile(), journeys.warnings, rejected.sort(rejected.columns)]
        except attrib.AttribError as error:
            return [type(error), error.key]
        if isinstance(recipe.get("stages"), attrib.StageModel):
            found.append(journeys.funnel())
    return found


def assert_same(found: list[Any], wanted: list[Any]) -> None:
    assert len(found) == len(wanted), (found, wanted)
    for one, other in zip(found, wanted, strict=True):
        if isinstance(other, pl.DataFrame) and "entry" in other.columns:
            assert_frame_equal(one, other, rel_tol=1e-9)  # its values are plain sums
        elif isinstance(other, pl.DataFrame):
            assert one.equals(other), (one, other)
        else:
            assert one == other


def to_spark(spark: Any, frame: pl.DataFrame) -> Any:
    return spark.createDataFrame(frame.to_arrow())


DRAWN = event_tables(
    columns={"touchpoints": ["country", "interaction", "sequence", "event_id"], "outcomes": ["country", "value"]}
)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(tables=DRAWN, recipe=recipes(stages=True), data=st.data())
def test_drawn_tables(spark, tables, recipe, data):
    touched, reached = to_frames(*tables)
    names = st.lists(st.sampled_from([None, "k1", "k2"]), min_size=touched.height, max_size=touched.height)
    touched = touched.with_columns(pl.Series("cluster", data.draw(names), dtype=pl.String))
    arguments = public(recipe) | {
        "by": data.draw(st.sampled_from([(), ("country",)])),
        "player": data.draw(st.sampled_from([("channel",), ("interaction", "channel")])),
        "prefer": data.draw(st.sampled_from([(), ("click",)])),
    }
    spark.conf.set(BATCH, data.draw(st.sampled_from([1, 3, 10_000])))
    engine = attrib.SparkEngine(spark, partitions=data.draw(st.sampled_from([1, 2, 5])))
    found = answers(to_spark(spark, touched), to_spark(spark, reached), arguments, engine)
    assert_same(found, answers(touched, reached, arguments, attrib.LocalEngine(threads=1)))


def test_a_skewed_customer_rejected_rows_and_other_names(spark, engine):
    spark.conf.set(BATCH, 10_000)
    data = attrib.synth.generate(customers=300, seed=4)
    one = data.touchpoints["customer_id"][0]
    crowd = pl.concat([data.touchpoints] * 60).with_row_index("sequence").with_columns(
        pl.lit(one).cast(pl.Int64).alias("customer_id"), pl.col("sequence").cast(pl.Int64)
    )  # fmt: skip
    touched = pl.concat([data.touchpoints, crowd.select(data.touchpoints.columns)])
    broken = pl.int_range(pl.len()) % 50 == 7
    touched = touched.with_columns(pl.when(broken).then(pl.lit(" ")).otherwise("channel").alias("The.Channel"))
    touched = touched.drop("channel").with_columns(pl.col("customer_id").cast(pl.String).alias("CUSTOMER_ID"))
    arguments = {
        "columns": {"touchpoints": {"customer_id": "CUSTOMER_ID", "channel": "The.Channel"}},
        "stages": "five", "maturity": "10d",
    }  # fmt: skip
    found = answers(to_spark(spark, touched), to_spark(spark, data.outcomes), arguments, engine)
    wanted = answers(touched, data.outcomes, arguments, attrib.LocalEngine(threads=1))
    assert_same(found, wanted)
    assert wanted[3].height > 100


def test_outcomes_inside_the_touches(spark, engine):
    day = dt.datetime(2024, 1, 1)  # noqa: DTZ001 - naive, and naive in Spark
    rows = [(i % 7, day + dt.timedelta(hours=i), "abc"[i % 3], i % 5 == 0, float(i)) for i in range(60)]
    names = ["customer_id", "timestamp", "channel", "won", "revenue"]
    touched = pl.DataFrame(rows, schema=names, orient="row")
    inline = attrib.InlineOutcome(flag="won", value="revenue")
    found = answers(to_spark(spark, touched), inline, {}, engine)
    assert_same(found, answers(touched, inline, {}, attrib.LocalEngine(threads=1)))
    assert found[0].height > 3


def test_paths_tables_text_times_and_single_journeys(spark, engine, tmp_path):
    data = attrib.synth.generate(customers=200, seed=5)
    touched = data.touchpoints.with_columns(pl.col("timestamp").dt.to_string("%Y-%m-%dT%H:%M:%S%.6f"))
    (tmp_path / "touchpoints").mkdir()
    touched.head(100).write_parquet(tmp_path / "touchpoints" / "a.parquet")
    touched.tail(-100).write_parquet(tmp_path / "touchpoints" / "b.parquet")
    to_spark(spark, data.outcomes).createOrReplaceTempView("reached")
    there = attrib.Journeys.from_events(str(tmp_path / "touchpoints"), "table://reached", engine=engine)
    here = attrib.Journeys.from_events(touched, data.outcomes, engine=attrib.LocalEngine(threads=1))
    assert attrib.credit(there, METHODS, replicates=10).equals(attrib.credit(here, METHODS, replicates=10))
    assert there.to_frame().equals(here.to_frame())
    assert there.fingerprints()[0]["columns"]["timestamp"] == "string"
    few = attrib.SparkEngine(spark, listing=10)
    with pytest.raises(attrib.ResourceError, match="10 allowed") as caught:
        attrib.Journeys.from_events(str(tmp_path / "touchpoints"), "table://reached", engine=few).to_frame()
    assert caught.value.key == "too_many_to_list"
