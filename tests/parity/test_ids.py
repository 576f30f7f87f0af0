"""The same customers, whatever the file: ids that are numbers, as integers and as the texts of a CSV file."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.reference_ids import bucket_of

import attrib
from attrib.lifecycle.base.beside import read_customers
from attrib.needs import Totals

DAY = dt.datetime(2024, 1, 1)  # noqa: DTZ001 - naive, as most logs are


@pytest.fixture(scope="module")
def tables() -> tuple[pl.DataFrame, pl.DataFrame]:
    random = np.random.default_rng(0)
    seconds = random.integers(0, 20 * 86400, 600)
    times = [DAY + dt.timedelta(seconds=int(s)) for s in seconds]
    touched = pl.DataFrame({
        "customer_id": random.integers(-20, 180, 600), "timestamp": times,
        "channel": random.choice(list("abc"), 600), "cluster": random.integers(0, 90, 600),
    })  # fmt: skip
    reached = pl.DataFrame({
        "customer_id": random.permutation(200)[:80] - 20, "timestamp": [DAY + dt.timedelta(days=21)] * 80,
        "outcome": ["purchase"] * 80, "value": random.gamma(2, 20, 80).round(2),
    })  # fmt: skip
    return touched, reached


def as_texts(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(
        pl.col("customer_id", *(["cluster"] if "cluster" in table.columns else [])).cast(pl.String)
    )


def intervals(touched, reached, **recipe) -> pl.DataFrame:
    journeys = attrib.Journeys.from_events(touched, reached, **recipe)
    return attrib.credit(journeys, [attrib.LastTouch(), attrib.Markov()], replicates=100)


@pytest.mark.parametrize("clustered", [False, True])
def test_intervals_are_the_same_to_the_last_bit(tables, clustered, tmp_path):
    touched, reached = tables
    touched = touched if clustered else touched.drop("cluster")
    for name, table in (("t", touched), ("o", reached)):
        table.write_csv(tmp_path / f"{name}.csv")
        table.write_parquet(tmp_path / f"{name}.parquet")
    expected = intervals(touched, reached)
    csv, parquet = ([tmp_path / f"{name}.{ending}" for name in "to"] for ending in ("csv", "parquet"))
    for one, other in (
        csv, parquet, (csv[0], parquet[1]), (parquet[0], csv[1]), (as_texts(touched), reached),
        (touched, as_texts(reached)), (touched.cast({"customer_id": pl.Int128}), reached),
        (pd.read_csv(csv[0], parse_dates=["timestamp"]), pd.read_csv(csv[1], parse_dates=["timestamp"])),
    ):  # fmt: skip
        assert intervals(one, other).equals(expected)


def test_parts_and_a_memory_limit_change_nothing(tables):
    touched, reached = tables
    small = attrib.LocalEngine(threads=2, memory_limit="16MB")
    assert intervals(as_texts(touched), as_texts(reached), engine=small).equals(intervals(touched, reached))


def test_an_id_written_in_another_way_is_another_customer(tables):
    touched, reached = tables
    zeros = as_texts(touched).with_columns((pl.lit("0") + pl.col("customer_id")).alias("customer_id"))
    journeys = attrib.Journeys.from_events(zeros, as_texts(reached))
    with pytest.warns(attrib.AttribWarning, match="do both tables name customers alike"):
        ledger = journeys.reconcile()
    assert ledger.filter(table="outcomes", entry="unattributed")["rows"].item() == 80


def test_buckets_are_those_of_the_twin():
    ids = [str(i) for i in (5, -5, 2**63, 17)] + ["c1", "007"]
    touched = pl.DataFrame({"customer_id": ids, "timestamp": DAY, "channel": ids})
    reached = pl.DataFrame({"customer_id": ids, "timestamp": DAY, "outcome": "purchase"})
    tallies = attrib.Journeys.from_events(touched, reached).tallies((Totals(),), units=True)
    assert sorted(tallies.sums[Totals()].units.tolist()) == sorted({bucket_of(i) for i in ids})


def test_folds_of_snapshots_and_models_are_the_same(tables):
    touched, reached = tables
    frames = [
        attrib.snapshot(t, o, at="2024-01-15", purpose="score", window="unlimited", stages=None)
        for t, o in ((touched, reached), (as_texts(touched), as_texts(reached)))
    ]
    assert frames[1].with_columns(pl.col("customer_id").cast(pl.Int64)).equals(frames[0])
    numbers, texts = (read_customers(frame["customer_id"], frame.height) for frame in frames)
    assert (numbers == texts).all()
