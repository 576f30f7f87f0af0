"""Columns of pandas that hold values of several kinds, which no other library has a type for."""

from __future__ import annotations

import datetime as dt
import numbers
from typing import Any

import polars as pl


def text_of(value: Any) -> str | None:
    """Write a single value as pandas writes it into a CSV file; None for what it leaves blank.

    Raises
    ------
    TypeError
        For what is no single value.

    Examples
    --------
    >>> [text_of(value) for value in (True, 1.0, "yes", None, float("nan"))]
    ['True', '1.0', 'yes', None, None]
    """
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, str):
        return value
    if not isinstance(value, (numbers.Number, dt.date, dt.time)) and type(value).__name__ not in ("bool", "bool_"):
        raise TypeError(f"a {type(value).__name__} stands in a column of values")
    return None if value != value else str(value)  # noqa: PLR0124 - only NaN differs from itself


def from_mixed_pandas(frame: Any) -> pl.DataFrame:
    """Read a frame of pandas in which some columns of objects hold several kinds of values: those become texts.

    Raises
    ------
    TypeError
        Where an object is no single value; and whatever the conversion of another column raises.

    Examples
    --------
    >>> import pandas as pd
    >>> from_mixed_pandas(pd.DataFrame({"flag": pd.Series([True, 1.0, None], dtype=object)}))["flag"].to_list()
    ['True', '1.0', None]
    """
    import narwhals as nw

    columns = []
    for place, name in enumerate(frame.columns):
        values = frame.iloc[:, place]
        try:
            series = nw.from_native(values, series_only=True).to_polars()
        except Exception:  # conversion faults come in many types
            if str(values.dtype) != "object":
                raise
            series = pl.Series([text_of(value) for value in values], dtype=pl.String)
        columns.append(series.alias(str(name)))
    return pl.DataFrame(columns)
