"""What the suites share: one measurement a process, tables on the screen, CSV files that name machine and versions."""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent
RESULTS = ROOT / "results"
DATA = ROOT.parent / ".cache" / "benchmarks"
SEED = 1  # of the generated events
LIBRARIES = ("attrib", "polars", "numba", "numpy")
TEXTS = (
    "order", "task", "case", "method", "package", "version", "answers", "axis", "judgement", "step", "part", "engine",
    "memory_limit", "table",
)  # fmt: skip
Rows = list[dict[str, Any]]


def run(command: list[str], env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a process; the last line that it prints is JSON."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT.parent, env=env)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[1:])} failed:\n{done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(module: str, *arguments: object) -> dict[str, Any]:
    """Run one measurement in a fresh process of this Python."""
    return run([sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)])


def options(text: str | None, *, touchpoints: Sequence[float] = ()) -> argparse.ArgumentParser:
    """Command line that the suites share."""
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    if touchpoints:
        parser.add_argument("--touchpoints", nargs="+", type=float, default=touchpoints)
    return parser


def medians(*runs: Mapping[str, Any], digits: int = 3) -> dict[str, Any]:
    """Columns of some runs of the same: medians of the repeats of all, the highest peak."""
    wall, cpu = ([second for run in runs for second in run[name]] for name in ("wall", "cpu"))
    peak = round(max(run["peak_gb"] for run in runs), 3)
    return {
        "wall_s": round(median(wall), digits), "cpu_s": round(median(cpu), digits), "peak_gb": peak, "runs": len(wall)
    }  # fmt: skip


def run_sizes(
    text: str | None,
    suite: str,
    title: str,
    rows_of: Callable[[int, str, int], Rows],
    kinds: Sequence[str] = ("",),
    repeats: int = 3,
) -> None:
    """Measure ``rows_of(size, kind, repeats)`` for all sizes asked for, print it, and write it to ``<suite>.csv``."""
    parser = options(text, touchpoints=[1e6])
    parser.set_defaults(repeats=repeats)
    arguments, console = parser.parse_args(), Console()
    rows: Rows = []
    for size in map(int, arguments.touchpoints):
        for kind in kinds:
            console.print(f"measuring {suite}: {size:,} touchpoints{', ' * bool(kind)}{kind} …")
            rows += rows_of(size, kind, arguments.repeats)
    show(console, title, rows)
    save(rows, arguments.out / f"{suite}.csv", seed=SEED)


def show(console: Console, title: str, rows: Rows) -> None:
    """Print rows as a table."""
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column, justify="left" if column in TEXTS else "right")
    for row in rows:
        table.add_row(*(f"{v:,}" if isinstance(v, int) else str(v) for v in row.values()))
    console.print(table)


def save(rows: Rows, file: Path, *, seed: int) -> None:
    """Write rows as CSV under a line that names day, machine, versions, seed, and how busy the machine is."""
    file.parent.mkdir(parents=True, exist_ok=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    versions = ", ".join(f"{library} {version(library)}" for library in LIBRARIES)
    busy = f"load average {os.getloadavg()[1]:.1f} (ours included)"
    with file.open("w", newline="", encoding="utf-8") as handle:
        handle.write(f"# {datetime.now(UTC):%Y-%m-%d}; {machine}; {versions}; seed {seed}; {busy}\n")
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def load(file: Path) -> tuple[str, list[dict[str, str]]]:
    """Read the line about the machine and the rows, as texts."""
    with file.open(newline="", encoding="utf-8") as handle:
        machine = handle.readline().removeprefix("# ").strip()
        return machine, list(csv.DictReader(handle))
