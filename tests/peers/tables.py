"""What the adapters share: path tables in, answers out.

An adapter is run by the Python of the peers' environment, with the CSV files of path tables as its arguments. It prints
one JSON object: file name → label of a method → channel → number.
"""

import contextlib
import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

SEPARATOR = " > "
Row = tuple[str, int, int]  # path, conversions, nulls
Answers = dict[str, dict[str, float]]


def read(file: Path) -> list[Row]:
    """Read a path table; paths without a touch are in no model of any peer and left out."""
    with file.open(encoding="utf-8", newline="") as handle:
        rows = [(row["path"], int(row["total_conversions"]), int(row["total_null"])) for row in csv.DictReader(handle)]
    return [row for row in rows if row[0]]


def main(answer: Callable[[list[Row]], Answers]) -> None:
    """Answer for every file; what the peer itself prints goes to the other stream."""
    with contextlib.redirect_stdout(sys.stderr):
        found = {Path(file).stem: answer(read(Path(file))) for file in sys.argv[1:]}
    print(json.dumps(found))  # noqa: T201
