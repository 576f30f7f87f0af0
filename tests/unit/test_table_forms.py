"""The same table gives the same answer as a frame, a pandas frame, a parquet file and a CSV file.

Every public function that takes a table stands in the table of `test_gate`; each of its tables is handed over in each
form, one at a time.
"""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import attrib
from attrib.methods.covariates import Covariates
from unit.test_gate import CALLS, credit


def as_csv(table: pl.DataFrame, folder: Path) -> Path:
    table.write_csv(folder / "table.csv")
    return folder / "table.csv"


def as_parquet(table: pl.DataFrame, folder: Path) -> Path:
    table.write_parquet(folder / "table.parquet")
    return folder / "table.parquet"


FORMS: dict[str, Callable[[pl.DataFrame, Path], Any]] = {
    "csv": as_csv,
    "parquet": as_parquet,
    "pandas": lambda table, _: table.to_pandas(),
}


def plain(found: Any) -> Any:
    """What a result says, whatever the types of its keys: a number of a CSV file may stay a text there."""
    for name in ("tests", "credit", "values", "table"):
        if isinstance(getattr(found, name, None), pl.DataFrame):
            found = getattr(found, name)
            break
    if isinstance(found, pl.LazyFrame):
        found = found.collect()
    if isinstance(found, pl.DataFrame):
        rows = found.with_columns(pl.col(pl.Date).cast(pl.Datetime("us"))).rows()
        return [[round(x, 9) if isinstance(x, float) else str(x) for x in row] for row in rows]
    return repr(getattr(found, "params", found.__class__.__name__))


TABLES = [
    (name, argument)
    for name, (_, arguments) in CALLS.items()
    for argument, value in arguments().items()
    if isinstance(value, pl.DataFrame)
]


@pytest.mark.parametrize(("name", "argument"), TABLES)
def test_one_table_in_every_form(name, argument, tmp_path):
    function, arguments = CALLS[name]
    given = arguments()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = plain(function(**given))
        for form, make in FORMS.items():
            found = plain(function(**given | {argument: make(given[argument], tmp_path)}))
            assert found == expected, form


@pytest.mark.parametrize("how", ["csv", "pandas"])
def test_snapshots_covariates_and_links_in_every_form(how, tmp_path):
    """What stands beside the journeys, and is no argument of its own in the table."""
    make = FORMS[how]
    dated = CALLS["next_action"][1]()["snapshot"].with_columns(
        date=pl.Series([dt.date(2024, 1 + i % 6, 1) for i in range(60)])
    )
    split = attrib.SnapshotSplit(gap="1d", horizon="20d")
    plain_folds = [[part.tolist() for part in fold] for fold in split.split(dated)]
    assert plain_folds
    assert [[part.tolist() for part in fold] for fold in split.split(make(dated, tmp_path))] == plain_folds
    links = pl.DataFrame({"id": [1, 2], "other_id": [3, 4]})
    touches, outcomes = (CALLS["Journeys.from_events"][1]()[name] for name in ("touchpoints", "outcomes"))
    joined = [
        attrib.Journeys.from_events(touches, outcomes, identities=given).to_frame()
        for given in (links, make(links, tmp_path))
    ]
    assert joined[0].equals(joined[1])
    known = pl.DataFrame({"customer_id": list(range(20)), "age": [20 + i for i in range(20)], "plan": ["a", "b"] * 10})
    assert Covariates.of(make(known, tmp_path)).frame.equals(Covariates.of(known).frame)


@pytest.mark.parametrize(
    ("cells", "text", "hint"),
    [
        (["12", "n/a"], "increment is not a finite number in 1 of 2 rows, e.g. row 1 has 'n/a'", "mend these rows"),
        (["12", ""], "increment is not a finite number in 1 of 2 rows, e.g. row 1 has none", "mend these rows"),
        (['"12,5"', "3"], "increment is not a finite number in 1 of 2 rows, e.g. row 0 has '12,5'", "decimal comma"),
    ],
)
def test_lift_tests_of_a_file_that_cannot_be_read_are_counted(cells, text, hint, tmp_path):
    rows = "\n".join(f"ad,{cell},1.5" for cell in cells)
    (tmp_path / "tests.csv").write_text(f"channel,increment,standard_error\n{rows}\n")
    with pytest.raises(attrib.DataError, match="lift_tests: ") as caught:
        attrib.calibrate(credit(), tmp_path / "tests.csv")
    assert caught.value.key == "bad_lift_tests"
    assert text in caught.value.message
    assert hint in caught.value.hint
