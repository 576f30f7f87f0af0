"""How cost grows: python -m benchmarks.growth.

From events in two files to per-stage credit (last touch, linear, Shapley, one Markov chain), while one of touchpoints,
channels, order of the chain, and stages grows and the others stay. Each point is measured in a process of its own. The
exponent is the slope of the line through log cost against log size (least squares): 1 means twice the size, twice
the cost. Fixed costs flatten the lower end, so the slope of the last step stands beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl
from rich.console import Console

import attrib
from benchmarks.measure import check_sums
from benchmarks.peak import peak_gb
from benchmarks.record import DATA, RESULTS, Rows, measure, save, show

SEED = 11
BASE = {"touchpoints": 1_000_000, "channels": 10, "order": 1, "stages": 1}
SIZES = {
    "touchpoints": (100_000, 300_000, 1_000_000, 3_000_000),
    "channels": (10, 100, 1_000),
    "order": (1, 2, 3, 4),
    "stages": (1, 2, 3, 4, 5, 6),
}
FULL = {
    "touchpoints": (*SIZES["touchpoints"], 10_000_000, 30_000_000),
    "channels": (10, 100, 300, 1_000, 5_000),
}


def data(touchpoints: int, channels: int, stages: int) -> Path:
    """Folder of events: five touches a customer in 20 days; half of those in a stage complete it; made once."""
    folder = DATA / f"growth-{touchpoints}-{channels}-{stages}-seed-{SEED}"
    if (folder / "outcomes.parquet").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(SEED)
    customers, day, start = touchpoints // 5, 86_400_000_000, datetime(2025, 1, 1)  # noqa: DTZ001 - naive means UTC
    names = np.char.add("channel ", np.arange(channels).astype(str))
    touches = pl.DataFrame(
        {
            "customer_id": np.sort(random.integers(0, customers, touchpoints)),
            "after": random.integers(0, 20 * day, touchpoints),
            "channel": names[(channels * random.random(touchpoints) ** 2).astype(np.int64)],
        }
    )
    reached, rows = np.arange(customers), []
    for stage in range(stages):  # one milestone after the other, evenly over the days
        reached = reached[random.random(len(reached)) < 0.5]
        after = (20 * day * (stage + random.random(len(reached))) / stages).astype(np.int64)
        rows.append(
            pl.DataFrame({"customer_id": reached, "after": after}).with_columns(outcome=pl.lit(f"milestone {stage}"))
        )
    when = (pl.lit(start) + pl.duration(microseconds="after")).alias("timestamp")
    touches = touches.with_columns(when).drop("after").sort("customer_id", "timestamp")
    touches.write_parquet(folder / "touchpoints.parquet")
    outcomes = pl.concat(rows).with_columns(when, value=pl.lit(1.0)).drop("after").sort("customer_id", "timestamp")
    outcomes.write_parquet(folder / "outcomes.parquet")
    return folder


def credit(folder: Path, order: int, stages: int) -> tuple[pl.DataFrame, attrib.Journeys]:
    """Credit without intervals, per stage."""
    model = attrib.StageModel([(f"stage {at}", f"milestone {at}") for at in range(stages)])
    files = folder / "touchpoints.parquet", folder / "outcomes.parquet"
    journeys = attrib.Journeys.from_events(*files, lookback="30d", stages=model)
    methods = [attrib.LastTouch(), attrib.Linear(), attrib.Shapley(), attrib.Markov(order=order)]
    return attrib.credit(journeys, methods, intervals=None), journeys


def one(touchpoints: int, channels: int, order: int, stages: int, repeats: int) -> None:
    """Measure one point and print it as JSON."""
    credit(data(10_000, channels, stages), order, stages)
    folder = data(touchpoints, channels, stages)
    walls, cpus = [], []
    for _ in range(repeats):
        start, processor = time.perf_counter(), time.process_time()
        table, journeys = credit(folder, order, stages)
        walls.append(time.perf_counter() - start)
        cpus.append(time.process_time() - processor)
        check_sums(table, journeys.reconcile())
    print(json.dumps({"wall": walls, "cpu": cpus, "peak_gb": peak_gb()}))


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Slope of the least-squares line through log cost against log size.

    Examples
    --------
    >>> round(exponent([1, 10, 100], [3, 300, 30_000]), 12)
    2.0
    """
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def grown(axis: str, sizes: Sequence[int], repeats: int) -> Rows:
    """Measure along one axis."""
    points = [BASE | {axis: size} for size in sizes]
    for point in points:  # outside the measured processes, whose peak memory it would raise
        data(point["touchpoints"], point["channels"], point["stages"])
        data(10_000, point["channels"], point["stages"])
    found = [measure("growth", "one", *point.values(), repeats) for point in points]
    cpus = [median(run["cpu"]) for run in found]
    fitted = round(exponent(sizes, cpus), 2)
    return [
        {
            "axis": axis,
            **point,
            "wall_s": round(median(run["wall"]), 3),
            "cpu_s": round(cpu, 3),
            "peak_gb": round(run["peak_gb"], 3),
            "runs": repeats,
            "cpu_exponent": fitted,
            "cpu_exponent_last_step": round(exponent(sizes[-2:], cpus[-2:]), 2),
        }
        for point, run, cpu in zip(points, found, cpus, strict=True)
    ]


def main() -> None:
    """Measure along all axes, print, and write growth.csv into benchmarks/results."""
    if sys.argv[1:2] == ["one"]:
        one(*map(int, sys.argv[2:]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="up to 30 million touchpoints and 5,000 channels")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    console = Console()
    rows: Rows = []
    for axis, sizes in (SIZES | (FULL if arguments.full else {})).items():
        console.print(f"measuring growth with {axis} …")
        rows += grown(axis, sizes, arguments.repeats)
    show(console, "from events to per-stage credit, medians", rows)
    save(rows, arguments.out / "growth.csv", seed=SEED)


if __name__ == "__main__":
    main()
