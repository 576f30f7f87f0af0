"""The same events in another form are the same events: the credit table is equal to the last bit."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

import attrib

METHODS = [
    attrib.LastTouch(), attrib.LastNonDirect(), attrib.PositionBased(), attrib.TimeDecay(), attrib.Markov(order=1),
    attrib.Markov(order=2), attrib.Shapley(),
]  # fmt: skip
Tables = tuple[pl.DataFrame, pl.DataFrame]


@pytest.fixture(scope="module")
def tables() -> Tables:
    data = attrib.synth.generate(customers=1_500, seed=11)
    stamps = pl.col("timestamp").dt.truncate("1ms")  # so that milliseconds are a form of it too
    touched = data.touchpoints.with_columns(stamps).drop("cost")
    return touched.unique(maintain_order=True), data.outcomes.with_columns(stamps)


def run(touched: Any, reached: Any, *, intervals: bool = True, **arguments: Any) -> list[pl.DataFrame]:
    """Credit table, ledger and funnel."""
    arguments.setdefault("engine", attrib.LocalEngine(threads=1))
    journeys = attrib.Journeys.from_events(touched, reached, stages="five", **arguments)
    table = attrib.credit(journeys, METHODS, intervals=0.9 if intervals else None, replicates=20)
    return [table, journeys.reconcile(), journeys.funnel()]


@pytest.fixture(scope="module")
def wanted(tables: Tables) -> list[pl.DataFrame]:
    return run(*tables)


def assert_same(found: list[pl.DataFrame], wanted: list[pl.DataFrame], *, intervals: bool = True) -> None:
    """Compare to the last bit; only the ledger's values are plain sums, to 1e-9 (semantics §2)."""
    (table, ledger, funnel), (other_table, other_ledger, other_funnel) = found, wanted
    # other ids fall into other buckets, so their intervals differ
    columns = [c for c in other_table.columns if intervals or not c.endswith(("_low", "_high"))]
    assert table.select(columns).equals(other_table.select(columns))
    assert_frame_equal(ledger, other_ledger, rel_tol=1e-9)
    durations = pl.selectors.duration().cast(pl.Duration("us"))  # in the unit of the data
    assert funnel.with_columns(durations).equals(other_funnel.with_columns(durations))


# --- customers ---


@pytest.mark.parametrize("dtype", [pl.Int16, pl.Int32, pl.UInt32, pl.UInt64])
def test_integer_ids_of_any_width(tables, wanted, dtype):
    assert_same(run(*(t.with_columns(pl.col("customer_id").cast(dtype)) for t in tables)), wanted)


def test_integer_ids_of_different_widths(tables, wanted):
    touched, reached = tables
    found = run(touched.with_columns(pl.col("customer_id").cast(pl.Int32)), reached)
    assert_same(found, wanted)


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical])
def test_ids_as_text(tables, wanted, dtype):
    found = run(*(t.with_columns(pl.col("customer_id").cast(pl.String).cast(dtype)) for t in tables))
    assert_same(found, wanted, intervals=False)


@pytest.mark.parametrize("text", [0, 1])
def test_integers_beside_texts_are_read_as_decimal_texts(tables, text):
    texts = [t.with_columns(pl.col("customer_id").cast(pl.String)) for t in tables]
    mixed = [texts[i] if i == text else tables[i] for i in (0, 1)]
    assert_same(run(*mixed), run(*texts))


def only_in_one(tables: Tables) -> int:
    """Some customer in the middle with touchpoints and no outcome."""
    without = set(tables[0]["customer_id"]) - set(tables[1]["customer_id"])
    return next(customer for customer in sorted(without) if customer > 700)


@pytest.mark.parametrize("name", ["negative", "beyond int64"])
def test_ids_at_the_edges_of_their_type(tables, wanted, name):
    if name == "negative":
        moved = [t.with_columns(pl.col("customer_id") - 700) for t in tables]
    else:
        # the last below 2^63 has no outcome: the order of customers must hold across that edge
        far = pl.lit(2**63 - 1 - only_in_one(tables), dtype=pl.UInt64)
        moved = [t.with_columns(pl.col("customer_id").cast(pl.UInt64) + far) for t in tables]
    assert_same(run(*moved), wanted, intervals=False)


def test_long_ids(tables, wanted):
    found = run(*(t.with_columns(pl.format("customer number {}", "customer_id").alias("customer_id")) for t in tables))
    assert_same(found, wanted, intervals=False)


# --- times ---


@pytest.mark.parametrize("units", [("ms", "ms"), ("us", "us"), ("ns", "ns"), ("ms", "ns"), ("ns", "ms")])
def test_units_of_time(tables, wanted, units):
    found = run(*(t.with_columns(pl.col("timestamp").dt.cast_time_unit(u)) for t, u in zip(tables, units, strict=True)))
    assert_same(found, wanted)


@pytest.mark.parametrize("zones", [("UTC", "UTC"), ("Europe/Paris", "Europe/Paris"), ("Europe/Paris", "Asia/Tokyo")])
def test_zones(tables, wanted, zones):
    def in_zone(table: pl.DataFrame, zone: str) -> pl.DataFrame:
        return table.with_columns(pl.col("timestamp").dt.replace_time_zone("UTC").dt.convert_time_zone(zone))

    assert_same(run(*(in_zone(t, z) for t, z in zip(tables, zones, strict=True))), wanted)


@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S%.3f", "%Y-%m-%dT%H:%M:%S%.3f", "%Y-%m-%dT%H:%M:%S%.3fZ"])
def test_times_as_text(tables, wanted, form):
    assert_same(run(*(t.with_columns(pl.col("timestamp").dt.strftime(form)) for t in tables)), wanted)


def test_times_as_text_with_an_offset(tables, wanted):
    def paris(table: pl.DataFrame) -> pl.DataFrame:
        local = pl.col("timestamp").dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Paris")
        return table.with_columns(local.dt.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z"))

    assert_same(run(*map(paris, tables)), wanted)


def test_dates_are_midnights(tables):
    dates = [t.with_columns(pl.col("timestamp").dt.date()) for t in tables]
    midnights = [t.with_columns(pl.col("timestamp").cast(pl.Datetime("us"))) for t in dates]
    texts = [t.with_columns(pl.col("timestamp").cast(pl.String)) for t in dates]
    whole_days = run(*midnights, duplicates="keep")
    assert_same(run(*dates), whole_days)
    assert_same(run(*texts), whole_days)


# --- channels ---


@pytest.mark.parametrize("dtype", [pl.Categorical, "enum"])
def test_names_as_categories(tables, wanted, dtype):
    def with_categories(table: pl.DataFrame, column: str) -> pl.DataFrame:
        # an enum in an order of its own: names still sort as texts
        kind = pl.Enum(table[column].unique().sort(descending=True)) if dtype == "enum" else dtype
        return table.with_columns(pl.col(column).cast(kind))

    found = run(with_categories(tables[0], "channel"), with_categories(tables[1], "outcome"))
    assert_same([t.with_columns(pl.col(pl.Categorical).cast(pl.String)) for t in found], wanted)


@pytest.mark.parametrize("dtype", [pl.Float32, pl.Int64, pl.UInt8, pl.Decimal(10, 2), pl.String])
def test_values_of_any_type(tables, dtype):
    touched, reached = tables
    whole = reached.with_columns(pl.col("value").round().clip(0, 255))
    assert_same(run(touched, whole.with_columns(pl.col("value").cast(pl.Int64).cast(dtype))), run(touched, whole))


# --- frames of other libraries ---


def test_pandas(tables, wanted):
    assert_same(run(*(t.to_pandas() for t in tables)), wanted)


def test_pandas_with_categories_and_an_index_of_its_own(tables, wanted):
    touched, reached = (t.to_pandas() for t in tables)
    touched["channel"] = touched["channel"].astype("category")
    touched.index = pd.Index(range(100, 100 + len(touched)), name="row")
    assert_same(run(touched, reached), wanted)


def test_pandas_with_object_columns(tables, wanted):
    touched, reached = (t.to_pandas() for t in tables)
    touched["customer_id"] = touched["customer_id"].map(str).astype(object)
    reached["customer_id"] = reached["customer_id"].map(str).astype(object)
    touched["channel"] = touched["channel"].astype(object)
    assert_same(run(touched, reached), wanted, intervals=False)


@pytest.mark.parametrize("text", [pa.string(), pa.large_string(), pa.string_view()])
def test_pyarrow(tables, wanted, text):
    touched, reached = (t.to_arrow() for t in tables)
    touched = touched.set_column(2, "channel", touched["channel"].cast(text))
    assert_same(run(touched, reached), wanted)


def test_pyarrow_in_small_and_sliced_chunks(tables, wanted):
    def chunked(table: pl.DataFrame) -> pa.Table:
        whole = pl.concat([table.head(3), table]).to_arrow().combine_chunks()  # three rows that the slices pass over
        pieces = [whole.slice(3 + at, 97) for at in range(0, table.height, 97)]
        return pa.concat_tables([pieces[0].slice(0, 0), *pieces])

    assert_same(run(*map(chunked, tables)), wanted)


def test_polars_chunks_and_slices(tables, wanted):
    def chunked(table: pl.DataFrame) -> pl.DataFrame:
        return pl.concat([table.slice(at, 61) for at in range(0, table.height, 61)], rechunk=False)

    assert_same(run(*map(chunked, tables)), wanted)
    padded = [pl.concat([t.tail(5), t, t.head(7)]).slice(5, t.height) for t in tables]
    assert_same(run(*padded), wanted)


def test_lazy_frames(tables, wanted):
    assert_same(run(*(t.lazy() for t in tables)), wanted)


# --- files ---


def test_a_parquet_file(tables, wanted, tmp_path):
    paths = [tmp_path / f"{name}.parquet" for name in ("t", "o")]
    for table, path in zip(tables, paths, strict=True):
        table.write_parquet(path, row_group_size=500)
    assert_same(run(*paths), wanted)
    assert_same(run(*map(str, paths)), wanted)


def split(table: pl.DataFrame, folder: Path, pieces: int = 5) -> Path:
    """Write a table as several parquet files."""
    folder.mkdir()
    size = -(-table.height // pieces)
    for piece in range(pieces):
        table.slice(piece * size, size).write_parquet(folder / f"part-{piece}.parquet")
    return folder


def test_folders_and_globs_of_parquet_files(tables, wanted, tmp_path):
    touched, reached = split(tables[0], tmp_path / "t"), split(tables[1], tmp_path / "o")
    (touched / "_SUCCESS").touch()
    (touched / ".part-0.parquet.crc").write_bytes(b"crc")
    assert_same(run(touched, reached), wanted)
    assert_same(run(f"{touched}/*.parquet", str(reached)), wanted)


def test_parquet_files_in_another_order(tables, wanted, tmp_path):
    touched = split(tables[0], tmp_path / "t")
    (touched / "part-0.parquet").rename(touched / "part-9.parquet")  # no longer customer by customer
    assert_same(run(touched, tables[1]), wanted)


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".tsv"])
def test_csv(tables, wanted, tmp_path, ending):
    paths = []
    for name, table in zip(("t", "o"), tables, strict=True):
        text = table.write_csv(separator="\t" if ending == ".tsv" else ",").encode()
        path = tmp_path / (name + ending)
        path.write_bytes(gzip.compress(text) if ending == ".csv.gz" else text)
        paths.append(path)
    # ids of CSV files are texts: other buckets
    assert_same(run(*paths), wanted, intervals=False)


def test_csv_without_a_last_line_end_and_with_windows_line_ends(tables, wanted, tmp_path):
    for name, table in zip("to", tables, strict=True):
        (tmp_path / f"{name}.csv").write_bytes(table.write_csv().rstrip("\n").replace("\n", "\r\n").encode())
    assert_same(run(tmp_path / "t.csv", tmp_path / "o.csv"), wanted, intervals=False)


def test_csv_in_pieces(tables, wanted, tmp_path):
    for name, table in zip("to", tables, strict=True):
        (tmp_path / name).mkdir()
        table.head(700).write_csv(tmp_path / name / "1.csv")
        table.slice(700).write_csv(tmp_path / name / "2.csv")
    assert_same(run(tmp_path / "t", f"{tmp_path}/o/*.csv"), wanted, intervals=False)


# --- names and order ---


def test_columns_by_other_names_in_another_order(tables, wanted):
    theirs = {"customer_id": "user", "timestamp": "at", "channel": "source", "outcome": "event", "value": "eur"}
    renamed = [t.rename({k: v for k, v in theirs.items() if k in t.columns}) for t in tables]
    found = run(*(t.select(sorted(t.columns, reverse=True)) for t in renamed), columns=theirs)
    assert_same(found, wanted)


def test_a_column_of_theirs_with_one_of_our_names_makes_way(tables, wanted):
    theirs = tables[0].rename({"channel": "source"}).with_columns(channel=pl.lit("not this one"))
    assert_same(run(theirs, tables[1], columns={"channel": "source"}), wanted)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("which", [(True, True), (True, False), (False, True)])
def test_the_order_of_rows(tables, wanted, seed, which):
    shuffled = [t.sample(fraction=1, shuffle=True, seed=seed) if s else t for t, s in zip(tables, which, strict=True)]
    assert_same(run(*shuffled), wanted)


def test_customers_in_descending_order(tables, wanted):
    assert_same(run(*(t.sort("customer_id", descending=True, maintain_order=True) for t in tables)), wanted)


# --- engines ---


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("limit", [None, 4096])
def test_threads_and_memory(tables, wanted, tmp_path, shuffle, threads, limit):
    engine = attrib.LocalEngine(threads=threads, memory_limit=limit, spill=str(tmp_path))
    given = [t.sample(fraction=1, shuffle=True, seed=3) if shuffle else t for t in tables]
    assert_same(run(*given, engine=engine), wanted)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.memory_cap
def test_environment_variables_set_the_same(tables, wanted, monkeypatch, tmp_path):
    monkeypatch.setenv("ATTRIB_THREADS", "2")
    monkeypatch.setenv("ATTRIB_MEMORY_LIMIT", "64KB")
    assert_same(run(*tables, engine=attrib.LocalEngine(spill=str(tmp_path))), wanted)


@pytest.mark.parametrize("batch", [13, 1000])
def test_batches_of_any_size(tables, wanted, monkeypatch, batch):
    from attrib.engines import reading

    monkeypatch.setattr(reading, "BATCH", batch)
    assert_same(run(*tables), wanted)
    assert_same(run(*(t.reverse() for t in tables)), wanted)


def test_what_is_remembered_does_not_change_answers(tables, wanted):
    journeys = attrib.Journeys.from_events(*tables, stages="five", engine=attrib.LocalEngine(threads=2))
    for method in METHODS:
        one = method.credit(journeys)
        columns = one.columns
        assert one.equals(wanted[0].filter(method=method.label).select(columns))
    assert attrib.credit(journeys, METHODS, intervals=0.9, replicates=20).equals(wanted[0])
