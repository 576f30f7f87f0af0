"""The Spark engine as a user meets it: what it takes, what it says, and jobs."""

from __future__ import annotations

import json
import sys

import polars as pl
import pytest

import attrib
from attrib import job

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def data():
    return attrib.synth.generate(customers=100, seed=6)


@pytest.fixture(scope="module")
def tables(spark, data):
    return spark.createDataFrame(data.touchpoints.to_arrow()), spark.createDataFrame(data.outcomes.to_arrow())


def fail(positions, ages):
    raise ValueError("no weights today")


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
    journeys = attrib.Journeys.from_events(*tables, engine=engine)
    with pytest.raises(attrib.ResourceError, match="ValueError: no weights today") as caught:
        attrib.credit(journeys, attrib.CustomWeights(fail), intervals=None)
    assert caught.value.key == "spark_failed"
    assert len(str(caught.value)) < 300


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


def test_without_pyspark(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(attrib.SpecError, match="attrib\\[spark\\]") as caught:
        attrib.SparkEngine.start("local[1]")
    assert caught.value.key == "missing_extra"
