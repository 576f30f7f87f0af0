"""One measurement in a process of its own: python -m benchmarks.measure WHAT FOLDER [REPEATS] [MEMORY_LIMIT].

Prints one JSON line: wall and CPU seconds of each repeat after one that is not counted (it compiles or loads kernels,
and warms memory up), the peak resident memory of the process, and what the task answered.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.data import tables
from benchmarks.peak import peak_gb

COLUMNS = ("customer_id", "timestamp", "channel")
BATCH = 1 << 19


def scan(folder: Path) -> int:
    """Read the three columns and do nothing: the floor."""
    file = tables(folder)[0]
    frame = pl.scan_csv(file) if file.suffix == ".csv" else pl.scan_parquet(file)
    return sum(batch.height for batch in frame.select(COLUMNS).collect_batches(chunk_size=BATCH))


def read(folder: Path, memory_limit: str | None = None) -> Any:
    """Journeys in five stages, of 30 days."""
    import attrib

    engine = attrib.LocalEngine(memory_limit=memory_limit)
    return attrib.Journeys.from_events(*tables(folder), lookback="30d", stages="five", engine=engine)


def all_methods() -> list[Any]:
    """Return the ten methods of the end-to-end suite."""
    import attrib

    rules = [attrib.FirstTouch(), attrib.LastTouch(), attrib.LastNonDirect(), attrib.Linear(), attrib.PositionBased()]
    return [*rules, attrib.TimeDecay(), attrib.Shapley(), *(attrib.Markov(order=k) for k in (1, 2, 3))]


def credit(folder: Path, intervals: float | None = None, memory_limit: str | None = None) -> float:
    """All methods, per stage, from the two files; by how much credit and conversions differ."""
    import attrib

    journeys = read(folder, memory_limit)
    table = attrib.credit(journeys, all_methods(), intervals=intervals)
    return check_sums(table, journeys.reconcile())


def check_sums(table: pl.DataFrame, ledger: pl.DataFrame) -> float:
    """Return the largest relative difference of a method's credit to the conversions: above 1e-9 no time counts."""
    outcomes = ledger.filter(pl.col("table") == "outcomes")
    conversions = outcomes.filter(pl.col("entry").is_in(["credited", "unattributed"]))["conversions"].sum()
    sums = table.group_by("method").agg(pl.col("conversions").sum())["conversions"]
    apart = float((sums - conversions).abs().max()) / max(conversions, 1.0)  # type: ignore[arg-type]
    if not apart <= 1e-9:
        raise SystemExit(f"credit does not add up: {sums.to_list()} against {conversions}")
    return apart


def timed(task: Callable[[], Any], repeats: int, *, warm: bool = False) -> dict[str, Any]:
    """Wall and CPU seconds of each repeat after one to get warm (unless it is), peak memory, and the last answer."""
    walls, cpus, answer = [], [], None
    first = 0 if warm else 1
    for _ in range(repeats + first):
        processor, start = time.process_time(), time.perf_counter()
        answer = task()
        walls.append(time.perf_counter() - start)
        cpus.append(time.process_time() - processor)
    return {"wall": walls[first:], "cpu": cpus[first:], "peak_gb": peak_gb(), "answer": answer}


TASKS: dict[str, Callable[[Path, str | None], float]] = {
    "scan": lambda folder, _limit: scan(folder),
    "credit": lambda folder, limit: credit(folder, None, limit),
    "credit with intervals": lambda folder, limit: credit(folder, 0.95, limit),
}


def main() -> None:
    """Measure one task."""
    what, folder, repeats, *limit = sys.argv[1:]
    task = TASKS[what]
    print(json.dumps(timed(lambda: task(Path(folder), limit[0] if limit else None), int(repeats))))


if __name__ == "__main__":
    main()
