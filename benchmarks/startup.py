"""Start-up: python -m benchmarks.startup. What a process costs before it does anything."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from statistics import median

from rich.console import Console

from benchmarks.record import Rows, options, save, show

COMMANDS = {
    "python": ["-c", "pass"],
    "import attrib": ["-c", "import attrib"],
    "import attrib; attrib.credit": [
        "-c",
        "import attrib; attrib.credit, attrib.Journeys",
    ],  # names load when first used
    "attrib --help": ["-m", "attrib", "--help"],
}


def measured(command: list[str], processes: int) -> tuple[float, float]:
    """Median wall and CPU seconds of a command, after one run that is not counted."""
    walls, cpus = [], []
    for _ in range(processes + 1):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))
        walls.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return median(walls[1:]), median(cpus[1:])


def rows_of(processes: int) -> Rows:
    """Measure all commands."""
    rows = []
    for case, command in COMMANDS.items():
        wall, cpu = measured(command, processes)
        rows.append({"case": case, "wall_s": round(wall, 3), "cpu_s": round(cpu, 3), "runs": processes})
    return rows


def main() -> None:
    """Measure, print, and write startup.csv into benchmarks/results."""
    parser = options(__doc__)
    parser.set_defaults(repeats=5)
    arguments, console = parser.parse_args(), Console()
    rows = rows_of(arguments.repeats)
    show(console, "start-up, medians of processes", rows)
    save(rows, arguments.out / "startup.csv", seed=0)


if __name__ == "__main__":
    main()
