"""Tables that are read whole, with the types that they would have in a parquet file, also where they come as CSV."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from attrib.errors import DataError, SpecError
from attrib.io.checks import BLANKS, parse_times
from attrib.io.mapping import check_mapping
from attrib.io.sources import MORE, Source, open_table

_WHOLE = r"^(0|-?[1-9]\d*)$"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?([Ii]nf|NaN|nan)$"
_DATE = r"^\d{4}-\d\d-\d\d$"
_TIME = r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d"
_PADDED = r"^[+-]?0\d"  # such as 007: a name, not a number


def collect_table(data: Any, name: str, columns: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Read all of a table; a CSV file gets the types that its texts tell.

    Parameters
    ----------
    data, name, columns
        As of :func:`attrib.io.sources.open_table`.

    Raises
    ------
    DataError
        Those of :func:`attrib.io.sources.open_table`, ``too_many_cells``, and ``missing_columns`` for names of
        ``columns`` that the table lacks.
    """
    source = open_table(data, name, columns)
    check_mapping(columns or {}, (source,))
    return collect_source(source)


def as_frame(data: Any, name: str) -> Any:
    """The table itself, or one of a mapping of names to columns.

    Raises
    ------
    SpecError
        ``bad_table`` for a mapping that is none.
    """
    if not isinstance(data, Mapping):
        return data
    try:
        return pl.DataFrame(dict(data))
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        text = f"{name} maps no names to columns of one length: {str(error)[:200]}"
        raise SpecError("bad_table", text, hint='e.g. {"frequency": [2, 0]}') from error


def collect_source(source: Source) -> pl.DataFrame:
    """Read all of an open table, as :func:`collect_table` does."""
    frame = source.collect()
    if source.kind != "csv":
        return frame
    if MORE in frame.columns:
        longer = frame[MORE].is_not_null()
        if longer.any():
            raise DataError(
                "too_many_cells",
                f"{int(longer.sum()):,} of {len(longer):,} rows of {source.name} have more cells than columns; "
                f"e.g. row {int(longer.arg_max() or 0):,}",
                hint="quote cells that hold a comma, or write the file as parquet",
            )
        frame = frame.drop(MORE)
    return frame.with_columns(read_texts(column) for column in frame if column.dtype == pl.String)


def read_texts(texts: pl.Series) -> pl.Series:
    """Give a column of texts the type that all of them tell; blanks are null then, and other texts stay as they are.

    Examples
    --------
    >>> read_texts(pl.Series(["1", "", "3"])).to_list(), read_texts(pl.Series(["1", "2.5"])).to_list()
    ([1, None, 3], [1.0, 2.5])
    >>> read_texts(pl.Series(["2024-01-31", None])).dtype, read_texts(pl.Series(["007", "12"])).dtype
    (Date, String)
    """
    plain = texts.str.strip_chars(BLANKS)
    plain = plain.set(plain == "", None)
    there = plain.drop_nulls()
    if not len(there):
        return pl.Series(texts.name, [None] * len(texts), dtype=pl.Null)  # fits numbers and texts alike
    if there.str.to_lowercase().is_in(["true", "false"]).all():
        return plain.str.to_lowercase() == "true"
    found = None
    if there.str.contains(_WHOLE).all():
        found = _whole(plain)
    elif there.str.contains(_NUMBER).all() and not there.str.contains(_PADDED).any():
        found = plain.cast(pl.Float64, strict=False)
    elif there.str.contains(_DATE).all():
        found = plain.str.to_date("%Y-%m-%d", strict=False)
    elif there.str.contains(_TIME).all():
        times, aware, naive = parse_times(plain)
        found = None if aware and naive else times.dt.replace_time_zone("UTC") if aware else times
    return texts if found is None or found.null_count() > plain.null_count() else found.alias(texts.name)


def _whole(plain: pl.Series) -> pl.Series | None:
    """Whole numbers of 64 bits; larger ones are names."""
    for dtype in (pl.Int64, pl.UInt64):
        found = plain.cast(dtype, strict=False)
        if found.null_count() == plain.null_count():
            return found
    return None
