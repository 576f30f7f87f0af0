"""Generated events that the suites read, each data set made once and outside the processes that are measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.record import DATA, SEED

TABLES = ("touchpoints", "outcomes")
KINDS: dict[str, dict[str, Any]] = {  # how rows are → how they are generated
    "ordered": {},
    "shuffled": {"shuffle": True},
    "shuffled, text ids": {"shuffle": True, "ids": "string"},
    "csv": {},
}
FORMS: dict[str, dict[str, Any]] = {  # the same in other files
    "1,000 files": {"parts": 1_000},
    "50 files, customers in all": {"parts": 50, "shuffle": True},
    "CSV.gz": {"compression": "gzip", "compression_level": 1},
}


def events(touchpoints: int, rows: str = "ordered") -> Path:
    """Folder of events of one kind; integer customers, or texts of 36 characters."""
    from attrib import synth

    folder, how = DATA / f"{touchpoints}-{rows.replace(', ', '-').replace(' ', '-')}", (KINDS | FORMS)[rows]
    if any(folder.glob("outcomes*")):
        return folder
    if rows in ("csv", "CSV.gz"):
        folder.mkdir(parents=True, exist_ok=True)
        source = events(touchpoints)
        for table in TABLES:
            pl.scan_parquet(source / f"{table}.parquet").sink_csv(folder / f"{table}.{rows.lower()}", **how)
        return folder
    synth.write(None, SEED, folder, touchpoints=touchpoints, **how)
    return folder


def tables(folder: Path) -> tuple[Path, Path]:
    """Return the files, or folders of parts, of touchpoints and outcomes in a folder, of whatever format."""
    touchpoints, outcomes = (next(folder.glob(f"{table}*")) for table in TABLES)
    return touchpoints, outcomes
