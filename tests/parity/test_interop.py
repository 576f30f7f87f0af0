"""Frames of any library with the same rows give the same credit table, to the last bit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import narwhals as nw
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

import attrib
from attrib.io.sources import open_table

duckdb = pytest.importorskip("duckdb", reason='pip install ".[duckdb]"')

METHODS = [attrib.LastTouch(), attrib.TimeDecay(), attrib.Markov(order=2), attrib.Shapley()]
Tables = tuple[pl.DataFrame, pl.DataFrame]


@pytest.fixture(scope="module")
def tables() -> Tables:
    """Instants with a zone, a column split by that has nulls, and a null channel (a rejected row)."""
    data = attrib.synth.generate(customers=800, seed=23)
    zoned = pl.col("timestamp").dt.truncate("1us").dt.replace_time_zone("UTC")
    touched = data.touchpoints.select("customer_id", zoned.dt.cast_time_unit("us"), "channel").unique(
        maintain_order=True
    )
    nth = pl.int_range(pl.len())
    touched = touched.with_columns(
        channel=pl.when(nth != 17).then(pl.col("channel").cast(pl.String)),
        region=pl.when(nth % 3 > 0).then(pl.format("region {}", pl.col("customer_id") % 2)),
    )
    reached = data.outcomes.select(
        "customer_id", zoned.dt.cast_time_unit("us"), pl.col("outcome").cast(pl.String), "value"
    )
    return touched, reached


def run(touched: Any, reached: Any) -> list[pl.DataFrame]:
    """Credit table and ledger."""
    journeys = attrib.Journeys.from_events(
        touched, reached, stages="five", by=["region"], engine=attrib.LocalEngine(threads=1)
    )
    return [attrib.credit(journeys, METHODS, intervals=0.9, replicates=20), journeys.reconcile()]


@pytest.fixture(scope="module")
def wanted(tables: Tables) -> list[pl.DataFrame]:
    table, ledger = run(*tables)
    assert ledger.filter(table="touchpoints", entry="rejected")["rows"].sum() == 1
    assert table["region"].null_count() > 0
    return [table, ledger]


def assert_same(found: list[pl.DataFrame], wanted: list[pl.DataFrame]) -> None:
    assert found[0].equals(wanted[0])
    assert_frame_equal(found[1], wanted[1], rel_tol=1e-9)  # the ledger's values are plain sums (semantics §2)


# --- DuckDB ---


def relations(tables: Tables, query: str = "select * from {name}") -> list[Any]:
    """Tables of a DuckDB database in memory, as relations that run when they are read."""
    connection = duckdb.connect()
    for name, table in zip(("touched", "reached"), tables, strict=True):
        connection.register("given", table.to_arrow())
        connection.sql(f"create table {name} as select * from given")
        connection.unregister("given")
    return [connection.sql(query.format(name=name)) for name in ("touched", "reached")]


def test_relations_of_duckdb(tables, wanted):
    touched, reached = relations(tables)
    assert open_table(touched, "touchpoints").kind == "memory"
    assert_same(run(touched, reached), wanted)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", "America/St_Johns"])
def test_instants_of_duckdb_in_the_zone_of_the_session(tables, wanted, zone):
    connection = duckdb.connect()
    connection.sql(f"set timezone = '{zone}'")
    connection.register("t", tables[0].to_arrow())
    connection.register("o", tables[1].to_arrow())
    touched = connection.sql("from t")
    assert open_table(touched, "touchpoints").schema["timestamp"] == pl.Datetime("us", zone)
    assert_same(run(touched, connection.sql("from o")), wanted)


def test_types_that_only_duckdb_has(tables, wanted):
    touched, reached = relations(tables)
    names = ", ".join(f"'{name}'" for name in tables[0]["channel"].drop_nulls().unique().sort(descending=True))
    touched = touched.project(f"customer_id, timestamp, channel::enum({names}) channel, region")
    assert str(touched.types[2]).startswith("ENUM")
    reached = reached.project("customer_id, timestamp, outcome, value::double as value")
    found, ledger = run(touched, reached)
    assert_same([found.with_columns(pl.col("channel").cast(pl.String)), ledger], wanted)


def test_paths_counted_by_duckdb():
    """Sums of integers are HUGEINT there, which reach us as decimals."""
    rows = "(values ('a > b', 1, 0), ('a > b', 0, 2), ('b', 1, 1)) as t(path, bought, left_)"
    query = f"select path, sum(bought) as total_conversions, sum(left_) as total_null from {rows} group by path"
    relation = duckdb.sql(query)
    assert str(relation.types[1]) == "HUGEINT"
    plain = pl.DataFrame({"path": ["a > b", "b"], "total_conversions": [1, 1], "total_null": [2, 1]})
    found, expected = (attrib.Markov(order=1).credit(attrib.Journeys.from_paths(table)) for table in (relation, plain))
    assert found.equals(expected)


def test_a_query_that_fails_names_the_table_and_says_why():
    with pytest.raises(
        attrib.DataError, match="touchpoints cannot be read from DuckDBPyRelation: Conversion Error"
    ) as caught:
        open_table(duckdb.sql("select cast('x' || range as integer) as customer_id from range(3)"), "touchpoints")
    assert caught.value.key == "bad_table"
    assert "query failed" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_relation_of_a_closed_connection():
    connection = duckdb.connect()
    relation = connection.sql("select 1 as customer_id")
    connection.close()
    with pytest.raises(attrib.DataError, match="Connection has already been closed"):
        open_table(relation, "outcomes")


def test_a_connection_is_no_table():
    with pytest.raises(attrib.SpecError, match="touchpoints is a DuckDBPyConnection"):
        open_table(duckdb.connect(), "touchpoints")


# --- pandas and narwhals ---


def test_pandas(tables, wanted):
    assert_same(run(*(t.to_pandas() for t in tables)), wanted)


def test_pandas_with_types_of_arrow_and_of_its_own(tables, wanted):
    assert_same(run(*(t.to_pandas(use_pyarrow_extension_array=True) for t in tables)), wanted)
    assert_same(run(*(t.to_pandas().convert_dtypes() for t in tables)), wanted)


def test_a_class_derived_from_pandas_keeps_its_index_out(tables, wanted):
    import pandas as pd

    class Mine(pd.DataFrame):
        """As geopandas and others do."""

    found = Mine(tables[0].to_pandas().set_index("region", drop=False))
    assert open_table(found, "touchpoints").theirs == tuple(tables[0].columns)
    assert_same(run(found, tables[1]), wanted)


@pytest.mark.parametrize("form", ["polars", "lazy polars", "pandas", "pyarrow", "duckdb"])
def test_frames_wrapped_by_narwhals(tables, wanted, form):
    native = {
        "polars": lambda: tables,
        "lazy polars": lambda: [t.lazy() for t in tables],
        "pandas": lambda: [t.to_pandas() for t in tables],
        "pyarrow": lambda: [t.to_arrow() for t in tables],
        "duckdb": lambda: relations(tables),
    }[form]()
    wrapped = [nw.from_native(t) for t in native]
    assert open_table(wrapped[0], "touchpoints").kind == ("lazy" if form == "lazy polars" else "memory")
    assert_same(run(*wrapped), wanted)


def test_frames_that_only_narwhals_knows(tables, wanted, monkeypatch):
    """Stand in for Dask, PySpark and others: no Arrow stream, but narwhals takes them in, as a lazy frame."""
    theirs = [SimpleNamespace(lazy=nw.from_native(table.lazy())) for table in tables]
    known = nw.from_native
    monkeypatch.setattr(
        nw, "from_native", lambda data, **options: getattr(data, "lazy", None) or known(data, **options)
    )
    assert_same(run(*theirs), wanted)


# --- pyarrow ---


@pytest.mark.parametrize("text", [pa.string(), pa.large_string(), pa.string_view()])
def test_texts_of_pyarrow(tables, wanted, text):
    def cast(table: pl.DataFrame) -> pa.Table:
        found = table.to_arrow()
        texts = [name for name, dtype in table.schema.items() if dtype == pl.String]
        return found.cast(pa.schema([(f.name, text if f.name in texts else f.type) for f in found.schema]))

    assert_same(run(*map(cast, tables)), wanted)


@pytest.mark.parametrize("index", [pa.int8(), pa.int32(), pa.uint16()])
def test_dictionaries_of_pyarrow(tables, wanted, index):
    found = tables[0].to_arrow()
    kind = pa.dictionary(index, pa.string())
    coded = found.set_column(2, "channel", found["channel"].cast(pa.string()).dictionary_encode().cast(kind))
    table, ledger = run(coded, tables[1])
    assert_same([table.with_columns(pl.col("channel").cast(pl.String)), ledger], wanted)


def test_dictionaries_that_differ_from_chunk_to_chunk(tables, wanted):
    chunks = []
    for at in range(0, tables[0].height, 401):
        chunk = tables[0].slice(at, 401).to_arrow()
        chunks.append(chunk.set_column(2, "channel", chunk["channel"].cast(pa.string()).dictionary_encode()))
    table, ledger = run(pa.concat_tables(chunks), tables[1])
    assert_same([table.with_columns(pl.col("channel").cast(pl.String)), ledger], wanted)


def test_chunks_and_slices_of_pyarrow(tables, wanted):
    def sliced(table: pl.DataFrame) -> pa.Table:
        whole = pl.concat([table.head(3), table, table.tail(2)]).to_arrow().combine_chunks()
        pieces = [whole.slice(3 + at, min(97, table.height - at)) for at in range(0, table.height, 97)]
        return pa.concat_tables([pieces[0].slice(0, 0), *pieces])

    assert_same(run(*map(sliced, tables)), wanted)


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_instants_of_pyarrow(tables, unit):
    coarse = [t.with_columns(pl.col("timestamp").dt.truncate("1s")) for t in tables]
    found = [t.to_arrow() for t in coarse]
    found = [t.set_column(1, "timestamp", t["timestamp"].cast(pa.timestamp(unit, "Asia/Kolkata"))) for t in found]
    assert_same(run(*found), run(*coarse))


def test_streams_of_batches(tables, wanted):
    assert_same(run(*(t.to_arrow().to_reader(max_chunksize=100) for t in tables)), wanted)


def test_a_stream_that_was_read_before_says_so(tables):
    stream = tables[0].to_arrow().to_reader()
    stream.read_all()
    with pytest.raises(attrib.DataError, match="can be read once") as caught:
        run(stream, tables[1])
    assert caught.value.key == "no_rows"


def test_any_object_with_an_arrow_stream(tables, wanted):
    class Theirs:
        """What other engines offer, and nothing else."""

        def __init__(self, table: pl.DataFrame) -> None:
            self.table = table.to_arrow()

        def __arrow_c_stream__(self, requested_schema=None):
            return self.table.__arrow_c_stream__(requested_schema)

    assert_same(run(*map(Theirs, tables)), wanted)


@pytest.mark.parametrize("column", ["event_id", "region"])
def test_a_column_of_nothing_but_nulls(tables, column):
    """Arrow and DuckDB give it a type of its own, or none."""
    touched, reached = tables[0].drop(column, strict=False), tables[1]
    touched = touched.with_columns(region=pl.lit("here")) if column != "region" else touched
    plain = touched.with_columns(pl.lit(None, dtype=pl.String).alias(column))
    arrow = touched.to_arrow().append_column(column, pa.nulls(touched.height))
    relation = relations((touched, reached), f"select *, null as {column} from {{name}}")[0]
    assert_same(run(arrow, reached), run(plain, reached))
    assert_same(run(relation, reached), run(plain, reached))
