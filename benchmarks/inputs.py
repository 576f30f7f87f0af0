"""The same events in other files: python -m benchmarks.inputs [--touchpoints 1e7].

One file a table, ordered and shuffled; 1,000 files; customers spread over 50 files; compressed CSV. Each is run to
the per-stage credit of all methods in a process of its own, which checks the sums; all tables must be equal.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from benchmarks.peak import peak_gb
from benchmarks.record import DATA, RESULTS, Rows, measure, save, show

SEED = 1
# parts, shuffled
CASES: dict[str, tuple[int, bool]] = {
    "one file": (1, False),
    "one file, shuffled": (1, True),
    "1,000 files": (1_000, False),
    "50 files, customers in all": (50, True),
    "CSV.gz": (1, False),
}


def data(touchpoints: int, case: str) -> tuple[Path, Path]:
    """Tables of a case, made once."""
    from attrib import synth

    parts, shuffled = CASES[case]
    folder = DATA / f"inputs-{touchpoints}-{parts}-{'shuffled' if shuffled else 'ordered'}-seed-{SEED}"
    ending = ".parquet" if parts == 1 else ""
    tables = tuple(folder / f"{table}{ending}" for table in ("touchpoints", "outcomes"))
    if not tables[1].exists():
        synth.write(None, SEED, folder, touchpoints=touchpoints, parts=parts, shuffle=shuffled)
    if case == "CSV.gz":
        csv = tuple(table.with_suffix(".csv.gz") for table in tables)
        if not csv[1].exists():
            for table, file in zip(tables, csv, strict=True):
                pl.scan_parquet(table).sink_csv(file, compression="gzip", compression_level=1)
        tables = csv
    return tables[0], tables[1]


def credit(touchpoints: str, outcomes: str) -> dict[str, Any]:
    """Measure one run in this process, the kernels loaded beforehand."""
    import attrib
    from attrib import warming
    from benchmarks.measure import check_sums

    warming.warm_up()
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    journeys = attrib.Journeys.from_events(touchpoints, outcomes, lookback="30d", stages="five")
    methods = [attrib.LastTouch(), attrib.Linear(), attrib.TimeDecay(), attrib.Markov(), attrib.Shapley()]
    table = attrib.credit(journeys, methods, intervals=None)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    check_sums(table, journeys.reconcile())
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    digest = hashlib.sha256(table.write_csv().encode()).hexdigest()
    return {"wall": wall, "cpu": cpu, "peak_gb": peak_gb(), "table": digest}


def main() -> None:
    """Measure, print, and write inputs.csv into benchmarks/results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--touchpoints", type=float, default=1e7)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    console, rows, tables = Console(), [], set()
    for case in CASES:
        console.print(f"measuring {case} …")
        places = data(int(arguments.touchpoints), case)
        found = measure("inputs", "credit", *places)
        tables.add(found["table"])
        files = [file for place in places for file in (place.iterdir() if place.is_dir() else [place])]
        rows.append(
            {
                "touchpoints": int(arguments.touchpoints),
                "case": case,
                "gb": round(sum(file.stat().st_size for file in files) / 1e9, 3),
                "wall_s": round(found["wall"], 2),
                "cpu_s": round(found["cpu"], 2),
                "peak_gb": round(found["peak_gb"], 3),
            }
        )
    if len(tables) > 1:
        raise SystemExit("the tables of the cases differ")
    result: Rows = rows
    show(console, "per-stage credit from the same events in other files", result)
    save(result, arguments.out / "inputs.csv", seed=SEED)


if __name__ == "__main__":
    if sys.argv[1:2] == ["credit"]:
        print(json.dumps(credit(*sys.argv[2:4])))
    else:
        main()
