"""make bench: touchpoints to per-stage credit of all methods, beside a bare scan of the columns; and solving alone.

Every figure is measured in a process of its own, scan and credit in turn; ratios of one run on one machine are what
counts, since absolute times differ from machine to machine and from hour to hour.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from benchmarks import solve
from benchmarks.record import DATA, RESULTS, Rows, measure, save, show

SEED = 1


def data(touchpoints: int, *, shuffled: bool) -> Path:
    """Folder of generated events, made once."""
    from attrib import synth

    folder = DATA / f"{touchpoints}-{'shuffled' if shuffled else 'ordered'}"
    if not (folder / "outcomes.parquet").exists():
        synth.write(None, SEED, folder, touchpoints=touchpoints, shuffle=shuffled)
    return folder


def rows_of(size: int, *, shuffled: bool, repeats: int) -> Rows:
    """Measure all tasks on one data set, in turn."""
    folder = data(size, shuffled=shuffled)
    tasks = ["scan", "credit", "scan", "credit", "credit with intervals"]
    found: dict[str, list[dict[str, Any]]] = {}
    for task in tasks:
        found.setdefault(task, []).append(measure("measure", task, folder, repeats))
    scan_cpu = median(cpu for run in found["scan"] for cpu in run["cpu"])
    rows = []
    for task, runs in found.items():
        wall = [w for run in runs for w in run["wall"]]
        cpu = [c for run in runs for c in run["cpu"]]
        rows.append(
            {
                "touchpoints": size,
                "order": "shuffled" if shuffled else "ordered",
                "task": task,
                "wall_s": round(median(wall), 3),
                "cpu_s": round(median(cpu), 3),
                "cpu_ratio_to_scan": round(median(cpu) / scan_cpu, 2),
                "peak_gb": round(max(run["peak_gb"] for run in runs), 3),
                "runs": len(wall),
            }
        )
    return rows


def solving(repeats: int) -> Rows:
    """Measure the solving of each case."""
    rows = []
    for case in solve.CASES:
        found = measure("solve", case, repeats)
        rows.append(
            {
                "case": case,
                "wall_s": round(median(found["wall"]), 4),
                "cpu_s": round(median(found["cpu"]), 4),
                "peak_gb": round(found["peak_gb"], 3),
                "runs": repeats,
            }
        )
    return rows


def main() -> None:
    """Measure, print, and write latest.csv and solve.csv into benchmarks/results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--touchpoints", nargs="*", type=float, default=[1e6, 1e7])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    console = Console()
    console.print("measuring solving alone …")
    solved = solving(arguments.repeats)
    show(console, "solving, the sums in hand, medians", solved)
    save(solved, arguments.out / "solve.csv", seed=solve.SEED)
    rows: Rows = []
    for size in arguments.touchpoints:
        for shuffled in (False, True):
            console.print(f"measuring {int(size):,} touchpoints, {'shuffled' if shuffled else 'ordered'} …")
            rows += rows_of(int(size), shuffled=shuffled, repeats=arguments.repeats)
    if rows:
        show(console, "per-stage credit of all methods (Markov 1-3), medians", rows)
        save(rows, arguments.out / "latest.csv", seed=SEED)


if __name__ == "__main__":
    main()
