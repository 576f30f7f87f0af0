"""Memory is bounded by choice: python -m benchmarks.memory. Credit of all methods under several memory limits.

A limit is what events and sums may take; libraries, compiled kernels and the batches of polars come on top. Rows that
arrive in order are never held; others go to disk beyond half of the limit.
"""

from __future__ import annotations

from benchmarks.data import events
from benchmarks.record import Rows, measure, medians, run_sizes

KINDS = ("ordered", "shuffled")
LIMITS = (None, "1GB", "256MB")


def rows_of(size: int, kind: str, repeats: int) -> Rows:
    """Measure credit of one data set under every limit."""
    folder = events(size, kind)
    rows = []
    for limit in LIMITS:
        found = measure("measure", "credit", folder, repeats, *([limit] if limit else []))
        rows.append({"touchpoints": size, "order": kind, "memory_limit": limit or "default", **medians(found)})
    return rows


def main() -> None:
    """Measure, print, and write memory.csv into benchmarks/results."""
    run_sizes(__doc__, "memory", "peak memory of credit, by limit", rows_of, KINDS, repeats=1)


if __name__ == "__main__":
    main()
