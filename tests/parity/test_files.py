"""However events are spread over files, the answer is that of one file each."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import attrib
from attrib.engines.local import LocalEngine

CUSTOMERS = 1_500
METHODS = [attrib.LastTouch(), attrib.TimeDecay(), attrib.Markov(order=2), attrib.Shapley()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("events")


@pytest.fixture(scope="module")
def wanted(folder: Path) -> list[Any]:
    return answers(attrib.synth.write(CUSTOMERS, 5, folder / "one"))


def answers(tables: dict[str, Any], engine: LocalEngine | None = None) -> list[Any]:
    journeys = attrib.Journeys.from_events(tables["touchpoints"], tables["outcomes"], stages="five", engine=engine)
    table = attrib.credit(journeys, METHODS, replicates=20)
    return [table, journeys.funnel(), journeys.reconcile(), journeys.warnings]


def assert_same(found: list[Any], wanted: list[Any]) -> None:
    for one, other in zip(found[:2], wanted[:2], strict=True):
        assert_frame_equal(one, other, check_exact=True)
    assert_frame_equal(found[2], wanted[2], rel_tol=1e-12)  # its values are plain sums, in the order of batches
    assert found[3] == wanted[3]


@pytest.mark.parametrize("memory", [None, "20KB"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_folders_of_parts(folder, wanted, shuffle, memory):
    place = folder / f"parts-{shuffle}"
    if not place.exists():
        attrib.synth.write(CUSTOMERS, 5, place, parts=7, shuffle=shuffle)
    tables = {table: place / table for table in ("touchpoints", "outcomes")}
    if shuffle:
        ids = [set(pl.read_parquet(file)["customer_id"]) for file in sorted(tables["touchpoints"].iterdir())]
        assert ids[0] & ids[1] & ids[6]  # customers are spread over all files
    engine = LocalEngine(memory_limit=memory)
    assert_same(answers(tables, engine), wanted)
    assert_same(answers({table: f"{path}/part-*.parquet" for table, path in tables.items()}, engine), wanted)


def test_a_thousand_files(folder, wanted):
    tables = attrib.synth.write(CUSTOMERS, 5, folder / "many", parts=1_000)
    assert len(list(tables["touchpoints"].iterdir())) == 1_000
    assert_same(answers(tables), wanted)


def test_compressed_csv(folder, wanted):
    for table in ("touchpoints", "outcomes"):
        frame = pl.read_parquet(folder / "one" / f"{table}.parquet")
        frame.write_csv(folder / f"{table}.csv")
        for files in (1, 3):
            place = folder / f"csv-{files}" / table
            place.mkdir(parents=True)
            for part in range(files):
                own = frame.filter(pl.int_range(pl.len()) % files == part)
                (place / f"{part}.csv.gz").write_bytes(gzip.compress(own.write_csv().encode()))
    one = answers({table: folder / f"{table}.csv" for table in ("touchpoints", "outcomes")})
    # the intervals are others: ids are texts in CSV, which are dealt to other buckets
    columns = ["stage", "channel", "kind", "method", "conversions", "value"]
    assert one[0].select(columns).equals(wanted[0].select(columns))
    for files in (1, 3):
        tables = {table: folder / f"csv-{files}" / table for table in ("touchpoints", "outcomes")}
        for memory in (None, "20KB"):
            assert_same(answers(tables, LocalEngine(memory_limit=memory)), one)


def test_bookkeeping_in_a_folder_is_not_data(folder, wanted):
    tables = attrib.synth.write(CUSTOMERS, 5, folder / "spark", parts=2)
    for table in tables.values():
        part = (table / "part-0000.parquet").read_bytes()
        (table / "_temporary" / "0").mkdir(parents=True)
        (table / "_temporary" / "0" / "part-0000.parquet").write_bytes(part)
        (table / ".other").mkdir()
        (table / ".other" / "part-0000.parquet").write_bytes(part)
        (table / "_SUCCESS").touch()
        (table / "_day=1").mkdir()
        (table / "part-0001.parquet").rename(table / "_day=1" / "part-0001.parquet")  # a column's value is data
    assert_same(answers(tables), wanted)
