"""One measurement in a process of its own: python -m benchmarks.measure WHAT FOLDER [REPEATS].

Prints one JSON line: wall and CPU seconds of each repeat after a warm-up on the small data set, and the peak
resident memory of the process. Memory is measured apart from the warm-up's peak by running that in a child.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from benchmarks.peak import peak_gb

COLUMNS = ("customer_id", "timestamp", "channel")
BATCH = 1 << 19


def scan(folder: Path) -> int:
    """Read the three columns and do nothing: the floor."""
    frame = pl.scan_parquet(folder / "touchpoints.parquet").select(COLUMNS)
    return sum(batch.height for batch in frame.collect_batches(chunk_size=BATCH))


def credit(folder: Path, intervals: float | None = None) -> int:
    """All methods, per stage, from the two files."""
    import attrib

    journeys = attrib.Journeys.from_events(
        folder / "touchpoints.parquet", folder / "outcomes.parquet", lookback="30d", stages="five"
    )
    rules = [attrib.FirstTouch(), attrib.LastTouch(), attrib.LastNonDirect(), attrib.Linear(), attrib.PositionBased()]
    others = [attrib.TimeDecay(), attrib.Shapley(), *(attrib.Markov(order=k) for k in (1, 2, 3))]
    table = attrib.credit(journeys, [*rules, *others], intervals=intervals)
    check_sums(table, journeys.reconcile())
    return table.height


def check_sums(table: pl.DataFrame, ledger: pl.DataFrame) -> None:
    """A time counts only if credit adds up to the conversions."""
    outcomes = ledger.filter(pl.col("table") == "outcomes")
    conversions = outcomes.filter(pl.col("entry").is_in(["credited", "unattributed"]))["conversions"].sum()
    sums = table.group_by("method").agg(pl.col("conversions").sum())["conversions"]
    if not ((sums - conversions).abs() <= 1e-9 * conversions).all():
        raise SystemExit(f"credit does not add up: {sums.to_list()} against {conversions}")


TASKS: dict[str, Callable[[Path], int]] = {
    "scan": scan,
    "credit": credit,
    "credit with intervals": lambda folder: credit(folder, 0.95),
}


def main() -> None:
    """Measure one task."""
    what, folder, repeats = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    task = TASKS[what]
    walls, cpus = [], []
    for _ in range(repeats + 1):
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        task(folder)
        walls.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    # the first round compiles or loads kernels and warms memory up: it is not counted
    print(json.dumps({"wall": walls[1:], "cpu": cpus[1:], "peak_gb": peak_gb()}))


if __name__ == "__main__":
    main()
