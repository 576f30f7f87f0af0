"""End to end: python -m benchmarks.run. Touchpoints to per-stage credit of all methods, beside a bare scan.

Every figure is measured in a process of its own, scan and credit in turn; ratios of one run on one machine are what
counts, since absolute times differ from machine to machine and from hour to hour.
"""

from __future__ import annotations

from typing import Any

from benchmarks.data import events
from benchmarks.record import Rows, measure, medians, run_sizes

KINDS = ("ordered", "shuffled", "shuffled, text ids")


def rows_of(size: int, kind: str, repeats: int, *, intervals: bool = True) -> Rows:
    """Measure all tasks on one data set, in turn."""
    folder = events(size, kind)
    found: dict[str, list[dict[str, Any]]] = {}
    for task in ("scan", "credit", "scan", "credit", *(["credit with intervals"] if intervals else [])):
        found.setdefault(task, []).append(measure("measure", task, folder, repeats))
    rows, scanned = [], 0.0
    for task, runs in found.items():
        numbers = medians(*runs, digits=4)
        scanned = scanned or numbers["cpu_s"]
        ratio = round(numbers["cpu_s"] / max(scanned, 1e-4), 2)  # of a tiny scan too
        differ = "" if task == "scan" else f"{max(run['answer'] for run in runs):.1g}"
        rows.append(
            {"touchpoints": size, "order": kind, "task": task, **numbers}
            | {"cpu_ratio_to_scan": ratio, "sums_differ_by": differ}
        )
    return rows


def main() -> None:
    """Measure, print, and write latest.csv into benchmarks/results."""
    run_sizes(__doc__, "latest", "per-stage credit of all methods (Markov 1-3), medians", rows_of, KINDS)


if __name__ == "__main__":
    main()
