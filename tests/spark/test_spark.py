"""Spark gives what one machine gives: every table equal, sums to the last bit; and the engine as a user meets it.

One file, so that tests in several processes start one Spark.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import types
import warnings
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import attrib
from attrib import job
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


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
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
    for table, kind in ((touched, "flag"), (touched.with_columns(won=pl.col("won") * 2.0), "count")):
        inline = attrib.InlineOutcome(flag="won", value="revenue", flag_kind=kind)
        found = answers(to_spark(spark, table), inline, {}, engine)
        assert_same(found, answers(table, inline, {}, attrib.LocalEngine(threads=1)))
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


def test_methods_that_read_journeys_fetch_them_to_the_driver(spark, engine):
    data = attrib.synth.generate(customers=60, seed=5)
    frames = [to_spark(spark, frame) for frame in (data.touchpoints, data.outcomes)]
    methods = [attrib.Linear(), attrib.AdditiveHazard(lag="7d", baseline=True), attrib.ShaoLi()]
    there = attrib.credit(attrib.Journeys.from_events(*frames, engine=engine), methods, replicates=10)
    local = attrib.Journeys.from_events(data.touchpoints, data.outcomes)
    assert there.equals(attrib.credit(local, methods, replicates=10))
    few = attrib.Journeys.from_events(*frames, engine=attrib.SparkEngine(spark, listing=10))
    with pytest.raises(attrib.ResourceError, match="10 allowed"):
        methods[1].credit(few)


# what it takes, what it says, and jobs -----------------------------------------------------------------------------
@pytest.fixture(scope="module")
def data():
    return attrib.synth.generate(customers=100, seed=6)


@pytest.fixture(scope="module")
def tables(spark, data):
    return spark.createDataFrame(data.touchpoints.to_arrow()), spark.createDataFrame(data.outcomes.to_arrow())


def test_errors_of_executors_come_home_as_they_are(engine, tables):
    touched, reached = tables
    method = attrib.CustomWeights(((1.0,),))
    with pytest.raises(attrib.SolveError, match="custom_weights has no row for journeys of") as caught:
        attrib.credit(attrib.Journeys.from_events(touched, reached, engine=engine), method, intervals=None)
    assert caught.value.key == "no_weights"
    with pytest.raises(attrib.DataError, match="more than 2 distinct players") as caught:
        attrib.Journeys.from_events(touched, reached, engine=engine, max_players=2).reconcile()
    assert caught.value.key == "too_many_players"


def test_errors_of_others_name_their_cause(engine, tables):
    def fail(_positions, _ages):
        raise ValueError("no weights today")

    journeys = attrib.Journeys.from_events(*tables, engine=engine)
    with pytest.raises(attrib.ResourceError, match="ValueError: no weights today") as caught:
        attrib.credit(journeys, attrib.CustomWeights(fail), intervals=None)
    assert caught.value.key == "spark_failed"
    assert len(str(caught.value)) < 300


def test_functions_that_executors_cannot_import(engine, tables, monkeypatch):
    module = types.ModuleType("only_here")
    exec("def weights(positions, ages):\n    return positions", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    journeys = attrib.Journeys.from_events(*tables, engine=engine)
    with pytest.raises(attrib.ResourceError, match="No module named 'only_here'; executors need") as caught:
        attrib.credit(journeys, attrib.CustomWeights(module.weights), intervals=None)
    assert caught.value.key == "executor_environment"


def test_another_version_on_an_executor_is_found(engine, tables, monkeypatch):
    monkeypatch.setattr("attrib.engines.spark.version", lambda _name: "9.9")
    with pytest.raises(attrib.ResourceError, match=r"an executor has attrib .*, the driver 9\.9") as caught:
        attrib.Journeys.from_events(*tables, engine=engine).reconcile()
    assert caught.value.key == "executor_environment"


@pytest.mark.parametrize(
    ("touched", "key"),
    [
        (pl.DataFrame({"customer_id": [1]}), "bad_table"),
        ("touchpoints.csv", "bad_table"),
        ("absent.parquet", "no_file"),
        ("table://absent", "no_file"),
    ],
)
def test_tables_that_are_not_taken(engine, tables, touched, key):
    with pytest.raises(attrib.AttribError) as caught:
        attrib.Journeys.from_events(touched, tables[1], engine=engine)
    assert caught.value.key == key


def test_columns_that_are_not_fit(spark, engine, tables):
    touched, reached = tables
    twice = touched.select("*", touched["channel"])
    with pytest.raises(attrib.DataError, match="'channel' stand more than once"):
        attrib.Journeys.from_events(twice, reached, engine=engine)
    listed = touched.selectExpr("customer_id", "timestamp", "channel", "array(channel) as tags")
    with pytest.raises(attrib.DataError, match=r"column 'tags' is array<string>") as caught:
        attrib.Journeys.from_events(listed, reached, engine=engine, by="tags").reconcile()
    assert caught.value.key == "wrong_type"
    with pytest.raises(attrib.SpecError, match="one machine"):
        attrib.Journeys.from_paths(touched, engine=engine)


def test_the_engine_by_its_name_takes_the_session_of_the_frames(spark, tables):
    journeys = attrib.Journeys.from_events(*tables, engine="spark")
    local = attrib.Journeys.from_events(*tables)  # collected
    assert journeys.reach().equals(local.reach())
    assert attrib.SparkEngine.start().owned is False


def test_a_job(spark, tmp_path, data, capfd):
    data.touchpoints.write_parquet(tmp_path / "touchpoints.parquet")
    data.outcomes.write_parquet(tmp_path / "outcomes.parquet")
    text = """
        [input]
        touchpoints = "touchpoints.parquet"
        outcomes = "outcomes.parquet"
        [journeys]
        stages = "five"
        [[models]]
        method = "markov"
        [intervals]
        replicates = 10
    """
    local, there = tmp_path / "local.toml", tmp_path / "spark.toml"
    local.write_text(text + '[output]\nfolder = "a"')
    there.write_text(
        text + '[output]\nfolder = "b"\n[engine]\nkind = "spark"\npartitions = 3\n'
        '[engine.options]\nspark.sql.session.timeZone = "UTC"\nspark.attrib.secret = "hush"'
    )
    wanted, found = job.run(job.load(local)), job.run(job.load(there))
    assert found.credit.equals(wanted.credit)
    assert found.funnel.equals(wanted.funnel)
    written = json.loads((tmp_path / "b" / "run.json").read_text())
    assert "hush" not in json.dumps(written)
    assert spark.range(3).count() == 3  # not stopped: it was there before


def test_answers_of_many_parts_are_combined_on_the_way(spark, tables, monkeypatch):
    monkeypatch.setattr("attrib.engines.spark.DIRECT", 2)
    monkeypatch.setattr("attrib.engines.spark.FAN", 2)
    methods = [attrib.Linear(), attrib.Markov(order=2)]
    many, wanted = (
        attrib.Journeys.from_events(*tables, engine=engine, stages="five")
        for engine in (attrib.SparkEngine(spark, partitions=5), attrib.LocalEngine(threads=1))
    )
    assert attrib.credit(many, methods, replicates=5).equals(attrib.credit(wanted, methods, replicates=5))
    assert many.funnel().equals(wanted.funnel())
    with pytest.raises(attrib.DataError, match="more than 2 distinct players"):
        attrib.Journeys.from_events(*tables, engine=many.engine, max_players=2).reconcile()


@pytest.mark.parametrize(
    ("arguments", "key"),
    [({"partitions": 0}, "bad_partitions"), ({"threads": "2"}, "bad_threads"), ({"session": "local"}, "bad_session")],
)
def test_arguments_that_are_not_what_they_must_be(arguments, key):
    with pytest.raises(attrib.SpecError) as caught:
        attrib.SparkEngine(**arguments)
    assert caught.value.key == key


def test_without_pyspark(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(attrib.SpecError, match=r"pip install .pyspark>=") as caught:
        attrib.SparkEngine.start("local[1]")
    assert caught.value.key == "missing_extra"
