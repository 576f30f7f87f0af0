"""Longer parity with one machine: many drawn tables, a customer with a million touches, a million customers."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import attrib
from strategies import event_tables, public, recipes, to_frames

pytestmark = pytest.mark.spark_long
METHODS = [attrib.LastTouch(), attrib.TimeDecay(), attrib.Markov(order=3), attrib.Shapley()]
ONE = attrib.LocalEngine(threads=1)


def table(touched: Any, reached: Any, engine: Any, **recipe: Any) -> Any:
    journeys = attrib.Journeys.from_events(touched, reached, engine=engine, **recipe)
    try:
        return attrib.credit(journeys, METHODS, intervals=0.9, replicates=20)
    except attrib.DataError as error:
        return error.key


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(event_tables(), recipes(stages=True), st.integers(1, 9), st.sampled_from([1, 2, 10_000]))
@pytest.mark.filterwarnings("ignore::attrib.errors.AttribWarning")
def test_drawn_tables(spark, tables, recipe, parts, batch):
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", batch)
    touched, reached = to_frames(*tables)
    there = [spark.createDataFrame(frame.to_arrow()) for frame in (touched, reached)]
    found = table(*there, attrib.SparkEngine(spark, partitions=parts), **public(recipe))
    wanted = table(touched, reached, ONE, **public(recipe))
    assert found.equals(wanted) if isinstance(wanted, pl.DataFrame) else found == wanted


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    return attrib.synth.write(200_000, 3, folder, shuffle=True)


@pytest.mark.parametrize("maturity", [None, "20d"])
def test_many_customers(spark, files, maturity):
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 10_000)
    arguments = {"stages": "five", "maturity": maturity}
    wanted = table(files["touchpoints"], files["outcomes"], ONE, **arguments)
    for parts in (1, 7, 40):
        engine = attrib.SparkEngine(spark, partitions=parts)
        found = table(str(files["touchpoints"]), str(files["outcomes"]), engine, **arguments)
        assert found.equals(wanted)


def test_a_customer_with_a_million_touches(spark, files, tmp_path):
    touched = pl.read_parquet(files["touchpoints"])
    one = pl.lit(touched["customer_id"][0], touched.schema["customer_id"]).alias("customer_id")
    crowd = touched.head(1_000_000).with_columns(one)
    pl.concat([touched, crowd]).write_parquet(tmp_path / "skewed.parquet")
    where = str(tmp_path / "skewed.parquet")
    engine = attrib.SparkEngine(spark, partitions=5)
    found = table(where, str(files["outcomes"]), engine)
    assert found.equals(table(where, files["outcomes"], ONE))
