"""How to bring a column of another type to the one that is read: hints that can be carried out as they stand."""

from __future__ import annotations

import json

import polars as pl

from attrib.io.looks import what_they_look_like
from attrib.io.sources import Source
from attrib.schemas import TIME

_LOOKED_AT = 1_000


def to_text(column: str, dtype: pl.DataType) -> str:
    """How a column becomes one of texts.

    Examples
    --------
    >>> to_text("channel", pl.Int64())
    'cast it: pl.col("channel").cast(pl.String)'
    >>> to_text("channel", pl.List(pl.String))
    'a row has one name: table.explode("channel") makes a row of each'
    """
    name = json.dumps(column, ensure_ascii=False)
    if isinstance(dtype, (pl.List, pl.Array)):
        return f"a row has one name: table.explode({name}) makes a row of each"
    if isinstance(dtype, pl.Struct):
        field = json.dumps(dtype.fields[0].name if dtype.fields else "name", ensure_ascii=False)
        return f"a row has one name: take one field, pl.col({name}).struct.field({field}).alias({name})"
    if dtype == pl.Object:
        return f"they are objects of Python: table[{name}].map_elements(str, return_dtype=pl.String)"
    if dtype == pl.Binary:
        return f"they are bytes: pl.col({name}).cast(pl.String), if they are UTF-8"
    return f"cast it: pl.col({name}).cast(pl.String)"


def to_time(source: Source) -> str:
    """How the column of times of a table becomes one, told from its type and its first values."""
    column, dtype = source.called(TIME), source.schema[TIME]
    name = json.dumps(column, ensure_ascii=False)
    if dtype.is_numeric() and source.kind != "spark":
        cells = source.collect(source.frame.select(pl.col(TIME)).drop_nulls().head(_LOOKED_AT))[TIME]
        if cells.dtype.is_float():
            cells = cells.filter(cells.is_finite())
            if (cells == cells.round(0)).all() and (cells.abs() < 2.0**63).all():
                cells = cells.cast(pl.Int64)
        hint = what_they_look_like("timestamp_unparseable", cells.cast(pl.String).to_list(), column=column)
        return hint or "they are numbers, and not Unix time: which point in time does one of them stand for?"
    if dtype == pl.Time:
        return f"a time of day has no date: pl.col(…).dt.combine(pl.col({name})) adds one, … being the column of dates"
    if dtype == pl.Duration:
        return f"a length of time is no point in time: add its beginning, e.g. pl.datetime(2024, 1, 1) + pl.col({name})"
    if dtype == pl.Object:
        return f"objects of Python are not read; periods of pandas become times by frame[{name}].dt.to_timestamp()"
    return "give a datetime, a date, or a text in ISO 8601 such as 2024-03-20 08:00"
