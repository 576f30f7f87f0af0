"""Tables of Spark, opened under our names; their rows stay where they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from attrib.engines.spark_faults import first_line
from attrib.errors import DataError, SpecError
from attrib.io.mapping import own_names
from attrib.io.sources import Source

TABLE = "table://"
_TYPES: dict[str, Any] = {
    "string": pl.String(), "byte": pl.Int8(), "short": pl.Int16(), "integer": pl.Int32(), "long": pl.Int64(),
    "float": pl.Float32(), "double": pl.Float64(), "boolean": pl.Boolean(), "date": pl.Date(), "void": pl.Null(),
    "timestamp": pl.Datetime("us", "UTC"), "timestamp_ntz": pl.Datetime("us"), "binary": pl.Binary(),
}  # fmt: skip
_DECIMAL = re.compile(r"decimal\((\d+),(-?\d+)\)")


@dataclass(frozen=True, slots=True)
class SparkSource(Source):
    """A Spark table: ``table`` has the columns c0, c1, …, and ``place`` says which of them is which of ours."""

    table: Any = None
    place: Mapping[str, str] = field(default_factory=dict)
    native: Mapping[str, str] = field(default_factory=dict)

    def fingerprint(self) -> dict[str, Any]:
        """Identify the input by its columns."""
        return {"table": self.name, "kind": self.kind, "columns": dict(self.native)}


def open_spark_table(data: Any, name: str, columns: Mapping[str, str], session: Callable[[], Any]) -> SparkSource:
    """Open what a user passes as a table; ``session`` reads paths and ``table://`` names."""
    if type(data).__module__.partition(".")[0] == "narwhals":
        data = data.to_native()
    if isinstance(data, (str, Path)):
        data = _read(str(data), name, session)
    if not (hasattr(data, "mapInArrow") and hasattr(data, "sparkSession")):
        raise SpecError(
            "bad_table",
            f"{name} is a {type(data).__name__}, which the Spark engine does not take",
            hint="pass a Spark data frame (session.createDataFrame(…)), the path of parquet files, or table://NAME",
        )
    theirs, kinds = tuple(f.name for f in data.schema.fields), [f.dataType for f in data.schema.fields]
    twice = [column for column in dict.fromkeys(theirs) if theirs.count(column) > 1]
    if twice:
        raise DataError(
            "duplicate_columns",
            f"{name}: {', '.join(map(repr, twice))} stand more than once among the columns",
            hint="drop one of each, or give it a name of its own",
            columns=twice,
        )
    kept = own_names(theirs, columns, name)
    schema = {kept[c]: _type(kind) for c, kind in zip(theirs, kinds, strict=True) if c in kept}
    place = {kept[c]: f"c{i}" for i, c in enumerate(theirs) if c in kept}
    # names stand for themselves here: Spark's own look-up ignores case and reads dots
    table = data.toDF(*(f"c{i}" for i in range(len(theirs))))
    native = {c: kind.simpleString() for c, kind in zip(theirs, kinds, strict=True)}
    frame = pl.LazyFrame(schema=schema)
    return SparkSource(
        name, frame, pl.Schema(schema), "spark", (), theirs,
        renamed=tuple((ours, own) for ours, own in columns.items() if own in theirs),
        table=table, place=place, native=native,
    )  # fmt: skip


def _read(where: str, name: str, session: Callable[[], Any]) -> Any:
    if re.search(r"\.(csv|tsv|txt)(\.\w+)?$", where.lower()):
        raise SpecError(
            "bad_table",
            f"{name}: Spark drops cells beyond the header of a CSV file silently, so it is not read with it",
            hint="write it as parquet, or read it yourself and pass the data frame",
        )
    found = session()
    try:
        if where.startswith(TABLE):
            return found.table(where.removeprefix(TABLE))
        return found.read.parquet(where)
    except Exception as error:
        text = first_line(error)
        missing = re.search(r"NOT_FOUND|does not exist", text)
        if missing is None:
            raise DataError("unreadable_file", f"{name}: {where!r} cannot be read: {text}", table=name) from error
        what = "table" if where.startswith(TABLE) else "file"
        raise DataError("no_file", f"{name}: no {what} at {where!r}", hint="check the path", path=where) from error


def _type(kind: Any) -> Any:
    name = kind.typeName()
    decimal = _DECIMAL.fullmatch(kind.simpleString())
    if decimal is not None:
        return pl.Decimal(int(decimal[1]), int(decimal[2]))
    return _TYPES.get("string" if name in ("char", "varchar") else name, pl.Object())
