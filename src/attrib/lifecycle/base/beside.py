"""Columns that callers give beside a frame, or instead of one: read from any library, checked, in one way for all.

What cannot be used is a `DataError` with one of these keys: ``bad_shape`` (not one value a row), ``different_lengths``,
``different_index``, ``null_values``, ``bad_dtype`` (of another kind), ``bad_flag`` (neither true nor false) and
``bad_value`` (numbers out of range).
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError, warn
from attrib.io import flags
from attrib.io.ids import rank_ids
from attrib.io.text import clean

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
_FIRST = 40  # characters that a message shows of a value


def read_column(name: str, values: Any, rows: int | None = None) -> pl.Series:
    """Read one value a row from a list, an array or a column of any library; NaN is null.

    Parameters
    ----------
    name : str
        For messages.
    values : array-like
    rows : int, optional
        How many there must be.

    Raises
    ------
    DataError
        ``bad_shape``, ``different_lengths``; ``bad_dtype`` where numbers and texts are mixed.

    Examples
    --------
    >>> read_column("plan", ["month", None, float("nan")]).to_list()
    ['month', None, None]
    """
    import narwhals as nw

    try:
        known = nw.from_native(values, series_only=True, pass_through=True)
        series = known.to_polars().rename(name) if isinstance(known, nw.Series) else _from_array(name, values)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise DataError(
            "bad_dtype", f"{name} is not a column of numbers, texts or dates: {str(error).splitlines()[0][:200]}"
        ) from error
    if series.dtype.is_nested() or series.dtype == pl.Object:
        raise DataError("bad_dtype", f"{name} holds {series.dtype}, not numbers, texts or dates")
    if rows is not None and len(series) != rows:
        raise DataError("different_lengths", f"{name} has {len(series):,} values for {rows:,} rows")
    return series.fill_nan(None) if series.dtype.is_float() else series


def _from_array(name: str, values: Any) -> pl.Series:
    array = np.asarray(values, dtype=object if isinstance(values, (list, tuple)) else None)
    if array.ndim != 1:
        raise DataError("bad_shape", f"{name} has {array.ndim} dimensions, not 1", hint="pass one value a row")
    if array.dtype.kind != "O":
        return pl.Series(name, array)
    plain = [None if _is_null(value) else value for value in array.tolist()]
    texts = sum(isinstance(value, str) for value in plain)
    if texts and texts < len(plain) - plain.count(None):
        raise TypeError("it holds texts and other values")  # polars would write numbers as texts
    return pl.Series(name, plain, strict=False)


def _is_null(value: Any) -> bool:
    """None, NaN (which is not equal to itself), and the NA of pandas."""
    return value is None or type(value).__name__ == "NAType" or bool(value != value)  # noqa: PLR0124


def read_numbers(
    name: str,
    values: Any,
    rows: int | None = None,
    *,
    least: float | None = None,
    most: float | None = None,
    nulls: bool = False,
) -> Floats:
    """Read finite numbers (true and false are 1 and 0), one a row.

    Parameters
    ----------
    name, values, rows
        As of `read_column`.
    least, most : float, optional
        Bounds, which are allowed themselves.
    nulls : bool
        Whether there may be nulls, which become NaN.

    Returns
    -------
    numpy.ndarray
        float64 [n].

    Raises
    ------
    DataError
        ``bad_dtype``, ``null_values``, ``bad_value`` and those of `read_column`.

    Examples
    --------
    >>> read_numbers("T", [1, 2.5], least=0)
    array([1. , 2.5])
    """
    series = read_column(name, values, rows)
    if not (series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null)):
        hint = ""
        if series.dtype.is_temporal():
            hint = "give times as numbers, such as days: (end - begin).dt.total_days()"
        raise DataError("bad_dtype", f"{name} is {series.dtype}, not numbers", hint=hint)
    if not nulls:
        refuse_nulls(series)
    found: Floats = series.cast(pl.Float64).fill_null(np.nan).to_numpy()
    require(name, np.isinf(found), "is infinite", found)
    if least is not None:
        require(name, found < least, "is negative" if least == 0 else f"is below {least:g}", found)
    if most is not None:
        require(name, found > most, f"is above {most:g}", found)
    return found


def require(name: str, broken: Bools, fault: str, values: Floats) -> None:
    """Refuse a column with rows that break a rule, naming how many and the first.

    Raises
    ------
    DataError
        ``bad_value``.
    """
    if broken.any():
        first, count = int(np.flatnonzero(broken)[0]), int(broken.sum())
        raise DataError(
            "bad_value",
            f"{name} {fault} in {count:,} of {len(broken):,} rows (first: row {first}, {values[first]:g})",
            column=name,
            rows=count,
        )


def read_flags(name: str, values: Any, rows: int | None = None, *, null: bool | None = None) -> Bools:
    """Read what is true or false, one a row: booleans, 1 and 0, or texts such as Yes and No; both need not occur.

    Parameters
    ----------
    name, values, rows
        As of `read_column`.
    null : bool, optional
        What a null means; without, none may be.

    Returns
    -------
    numpy.ndarray
        bool [n].

    Raises
    ------
    DataError
        ``bad_flag``, ``null_values`` and those of `read_column`.

    Examples
    --------
    >>> read_flags("event", ["Yes", "No", "no"])
    array([ True, False, False])
    """
    series = read_column(name, values, rows)
    if null is None:
        refuse_nulls(series)
    found = as_flags(series)
    if found is None:
        texts = is_text(series)
        shown = ", ".join(repr(clean(str(value), _FIRST)) for value in series.drop_nulls().unique().sort().head(4))
        hint = "a text must be Yes or No; else compare first, e.g. status == 'left'" if texts else "e.g. count > 0"
        raise DataError("bad_flag", f"{name} is not true or false in each row: it holds {shown}", hint=hint)
    if null is None:
        refuse_nulls(found.alias(name))
    return found.fill_null(bool(null)).to_numpy()


def as_flags(series: pl.Series) -> pl.Series | None:
    """What a column says as true and false, what it leaves blank as null; None if it says something else.

    The rule is that of all flags (`attrib.io.flags`), but for blanks: what a model learns from must be said.
    """
    if not (is_text(series) or series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null)):
        return None
    said = series.alias("said").to_frame().select(flags.answer("said", series.dtype)).to_series()
    if (said == flags.UNREADABLE).any():
        return None
    return (said == flags.SAID_YES).set(said == flags.SAID_NOTHING, None)


def is_text(series: pl.Series) -> bool:
    """Whether a column holds texts."""
    return isinstance(series.dtype, (pl.String, pl.Categorical, pl.Enum))


def read_customers(customers: Any, rows: int) -> Integers:
    """Number the customers of the rows from 0; every row is a customer of its own where none are given.

    Raises
    ------
    DataError
        ``null_values`` and those of `read_column`.
    """
    if customers is None:
        return np.arange(rows)
    names = read_column("customers", customers, rows)
    refuse_nulls(names)
    return rank_ids(names).to_numpy().astype(np.int64)


def refuse_nulls(series: pl.Series) -> None:
    """Refuse a column with nulls.

    Raises
    ------
    DataError
        ``null_values``.
    """
    nulls = series.null_count()
    if nulls:
        hint = "leave those rows out"
        raise DataError("null_values", f"{series.name} is null in {nulls:,} of {len(series):,} rows", hint=hint)


def check_same_rows(**given: Any) -> None:
    """Check that frames and columns of pandas have their rows in the same order: others have no index to tell by.

    Rows are taken by position. Where an index says that the same position means another customer, that is refused; a
    fresh index (0, 1, 2, …) beside another one says nothing, and is warned of.

    Parameters
    ----------
    **given
        Frames and columns by name; those that are not of pandas are passed over.

    Raises
    ------
    DataError
        ``different_index``.

    Warns
    -----
    AttribWarning
        Where one index is fresh and the other is not.

    Examples
    --------
    >>> import pandas as pd
    >>> check_same_rows(X=pd.DataFrame({"age": [30, 40]}, index=[7, 8]), y=pd.Series([1, 0], index=[7, 8]))
    """
    pandas = sys.modules.get("pandas")  # not loaded: nothing is of pandas
    if pandas is None:
        return
    known = {name: table for name, table in given.items() if isinstance(table, (pandas.Series, pandas.DataFrame))}
    first, *others = known or ("",)
    for other in others:
        one, two = known[first].index, known[other].index
        if len(one) != len(two) or one.equals(two):  # lengths are checked by those who read
            continue
        reordered = one.is_unique and two.is_unique and one.isin(two).all()
        if reordered or not (_is_fresh(pandas, one) or _is_fresh(pandas, two)):
            fault = "holds the rows in another order" if reordered else "is of other rows"
            raise DataError(
                "different_index",
                f"the index of {other} {fault} than that of {first}",
                hint=f"align them: {other} = {other}.loc[{first}.index]; or, if the order is right, {other}.to_numpy()",
            )
        warn(f"the index of {other} is not that of {first}, and one counts from 0: rows are taken in their order")


def _is_fresh(pandas: Any, index: Any) -> bool:
    return isinstance(index, pandas.RangeIndex) and index.start == 0 and index.step == 1
