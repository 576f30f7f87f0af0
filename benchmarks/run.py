"""make bench: touchpoints to per-stage credit of all methods, beside a bare scan of the columns; and solving alone.

Every figure is measured in a process of its own, scan and credit in turn; ratios of one run on one machine are what
counts, since absolute times differ from machine to machine and from hour to hour.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.solve import CASES

ROOT = Path(__file__).parent
DATA = ROOT.parent / ".cache" / "benchmarks"
SEED = 1
LIBRARIES = ("attrib", "polars", "numba", "numpy")


def data(touchpoints: int, *, shuffled: bool) -> Path:
    """Folder of generated events, made once."""
    from attrib import synth

    folder = DATA / f"{touchpoints}-{'shuffled' if shuffled else 'ordered'}"
    if not (folder / "outcomes.parquet").exists():
        synth.write(None, SEED, folder, touchpoints=touchpoints, shuffle=shuffled)
    return folder


def measure(module: str, what: str, *arguments: object) -> dict[str, Any]:
    """Run one measurement in a fresh process."""
    command = [sys.executable, "-m", f"benchmarks.{module}", what, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT.parent)
    if done.returncode:
        raise SystemExit(f"{what} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def rows_of(size: int, *, shuffled: bool, repeats: int) -> list[dict[str, Any]]:
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


def solving(repeats: int) -> list[dict[str, Any]]:
    """Measure the solving of each case."""
    rows = []
    for case in CASES:
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


def show(console: Console, title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows as a table."""
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column, justify="right" if column not in ("order", "task", "case") else "left")
    for row in rows:
        table.add_row(*(f"{v:,}" if isinstance(v, int) else str(v) for v in row.values()))
    console.print(table)


def save(rows: list[dict[str, Any]], file: Path) -> None:
    """Write rows as CSV under a line that names machine and versions."""
    file.parent.mkdir(parents=True, exist_ok=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    versions = ", ".join(f"{library} {version(library)}" for library in LIBRARIES)
    with file.open("w", newline="", encoding="utf-8") as handle:
        handle.write(f"# {datetime.now(UTC):%Y-%m-%d}; {machine}; {versions}; seed {SEED}\n")
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Measure, print, and write latest.csv and solve.csv into benchmarks/results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--touchpoints", nargs="*", type=float, default=[1e6, 1e7])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "results")
    arguments = parser.parse_args()
    console = Console()
    console.print("measuring solving alone …")
    solved = solving(arguments.repeats)
    show(console, "solving, the sums in hand, medians", solved)
    save(solved, arguments.out / "solve.csv")
    rows: list[dict[str, Any]] = []
    for size in arguments.touchpoints:
        for shuffled in (False, True):
            console.print(f"measuring {int(size):,} touchpoints, {'shuffled' if shuffled else 'ordered'} …")
            rows += rows_of(int(size), shuffled=shuffled, repeats=arguments.repeats)
    if rows:
        show(console, "per-stage credit of all methods (Markov 1-3), medians", rows)
        save(rows, arguments.out / "latest.csv")


if __name__ == "__main__":
    main()
