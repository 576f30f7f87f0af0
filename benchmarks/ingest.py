"""Ingest: python -m benchmarks.ingest. From files to partitions of ordered events, without any tally.

The engine reads, checks, codes and orders the rows of both tables; what the partitions are for is left out. Beside it
stands a bare scan of three columns of the touchpoints, in the same format.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.data import KINDS, events
from benchmarks.measure import read, scan, timed
from benchmarks.record import Rows, measure, medians, run_sizes


class Nothing:
    """A pass over the partitions that only counts their touches."""

    def __init__(self, _reader: Any) -> None:
        self.touches = 0

    def work(self, events: Any, _plan: Any) -> int:
        """Count the touches of a partition, duplicates too."""
        return len(events.t_time) + int(events.duplicates)

    def collect(self, touches: int, _share: float) -> None:
        """Add them up."""
        self.touches += touches


def ingest(folder: Path) -> int:
    """Form all partitions once; returns the touches in them."""
    from attrib.engines.base import Memory

    journeys = read(folder)
    return int(journeys.engine._run(journeys._recipe, Memory(), Nothing)[1].touches)


TASKS = {"scan": scan, "ingest": ingest}


def rows_of(size: int, kind: str, repeats: int) -> Rows:
    """Measure both tasks on one data set, in turn."""
    folder = events(size, kind)
    found: dict[str, list[dict[str, Any]]] = {task: [] for task in TASKS}
    for _ in range(2):
        for task, runs in found.items():
            runs.append(measure("ingest", "one", task, folder, repeats))
    answers = {run["answer"] for runs in found.values() for run in runs}
    if len(answers) != 1:
        raise SystemExit(f"{kind}: scan and ingest met different numbers of touches: {sorted(answers)}")
    touches = answers.pop()
    floor = medians(*found["scan"], digits=6)["cpu_s"]
    rows = []
    for task, runs in found.items():
        exact = medians(*runs, digits=6)["cpu_s"]
        more = {"cpu_ns_per_touch": round(exact / touches * 1e9, 1), "cpu_ratio_to_scan": round(exact / floor, 2)}
        rows.append({"touchpoints": size, "order": kind, "task": task, **medians(*runs, digits=4), **more})
    return rows


def main() -> None:
    """Measure, print, and write ingest.csv into benchmarks/results."""
    if sys.argv[1:2] == ["one"]:
        task, folder, repeats = sys.argv[2:]
        print(json.dumps(timed(lambda: TASKS[task](Path(folder)), int(repeats))))
        return
    run_sizes(__doc__, "ingest", "from files to partitions of ordered events, medians", rows_of, tuple(KINDS))


if __name__ == "__main__":
    main()
