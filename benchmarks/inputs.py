"""The same events in other files: python -m benchmarks.inputs.

One file a table, ordered and shuffled; 1,000 files; customers spread over 50 files; compressed CSV. Each is run to
the per-stage credit of all methods in a process of its own, which checks the sums; all tables must be equal.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.data import FORMS, events, tables
from benchmarks.measure import all_methods, check_sums, read, timed
from benchmarks.record import Rows, measure, medians, run_sizes

KINDS = ("ordered", "shuffled", *FORMS)


def one(folder: Path, repeats: int) -> dict[str, Any]:
    """Measure one form in this process; the answer is the digest of the table."""
    import attrib

    def digest() -> str:
        journeys = read(folder)
        table = attrib.credit(journeys, all_methods(), intervals=None)
        check_sums(table, journeys.reconcile())
        return hashlib.sha256(table.write_csv().encode()).hexdigest()

    return timed(digest, repeats)


def rows_of(size: int, *, repeats: int) -> Rows:
    """Measure all forms of the events of one size; they must agree."""
    rows, answers = [], set()
    for kind in KINDS:
        folder = events(size, kind)
        found = measure("inputs", "one", folder, repeats)
        answers.add(found["answer"])
        files = [file for table in tables(folder) for file in (table.iterdir() if table.is_dir() else [table])]
        gb = round(sum(file.stat().st_size for file in files) / 1e9, 3)
        rows.append({"touchpoints": size, "case": kind, "gb": gb, **medians(found)})
    if len(answers) > 1:
        raise SystemExit(f"the tables of {size:,} touchpoints differ with the form of their files")
    return rows


def main() -> None:
    """Measure, print, and write inputs.csv into benchmarks/results."""
    if sys.argv[1:2] == ["one"]:
        print(json.dumps(one(Path(sys.argv[2]), int(sys.argv[3]))))
        return
    title = "per-stage credit from the same events in other files, medians"
    run_sizes(__doc__, "inputs", title, lambda size, _kind, repeats: rows_of(size, repeats=repeats))


if __name__ == "__main__":
    main()
