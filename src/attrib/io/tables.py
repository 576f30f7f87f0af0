"""The gate for tables beside the events: opened, their columns there, of types that can be read, and in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import polars as pl

from attrib.errors import DataError
from attrib.io.checks import BLANKS
from attrib.io.mapping import of_index
from attrib.io.recasting import to_text
from attrib.io.sources import Source
from attrib.likely import columns_like
from attrib.schemas import CHANNEL, MAPPING, NAMED, list_names, require_columns


def required(source: Source, columns: Sequence[str], *, hint: str = MAPPING) -> None:
    """Check that a source has the columns it needs, telling its own names where it lacks one.

    Raises
    ------
    DataError
        ``missing_columns``.
    """
    missing = [column for column in columns if column not in source.schema]
    if hint == MAPPING and set(missing) & set(source.mapped):
        # what holds for both tables names a column that this one lacks: it needs pairs of its own
        likely = columns_like(missing, [name for name in source.theirs if name not in columns]) or {missing[0]: "…"}
        pairs = ", ".join(f'"{ours}": {json.dumps(theirs, ensure_ascii=False)}' for ours, theirs in likely.items())
        in_job = ", ".join(f"{ours} = {json.dumps(theirs, ensure_ascii=False)}" for ours, theirs in likely.items())
        hint = (
            f'its columns have other names than those of the other table: columns={{"{source.name}": {{{pairs}}}}} '
            f"(in a job: [input.columns.{source.name}] {in_job})"
        )
        likely.clear()
    if missing:
        hint = of_index([source]) + hint
    require_columns(source.name, source.schema, columns, hint=hint, shown=source.theirs)


def with_channel(source: Source, player: Sequence[str]) -> Source:
    """Let the first column of the player stand for the channel, where a table of touchpoints has none.

    Raises
    ------
    DataError
        ``wrong_type`` where that column holds no single values.
    """
    first = player[0]
    if CHANNEL in source.schema or first not in source.schema:
        return source
    dtype = source.schema[first]
    if dtype.is_nested() or dtype in (pl.Object, pl.Binary, pl.Duration):
        raise DataError(
            "wrong_type", f"{source.name}: column {first!r} is {dtype}, not text", hint=to_text(first, dtype),
            column=first,
        )  # fmt: skip
    text = pl.col(first).cast(pl.String)
    named = pl.when(text.str.strip_chars(BLANKS).str.len_bytes() > 0).then(text).otherwise(pl.lit("(none)"))
    schema = pl.Schema({**source.schema, CHANNEL: pl.String()})
    return replace(source, frame=source.frame.with_columns(named.alias(CHANNEL)), schema=schema)


def in_neither(column: str, *sources: Source) -> None:
    """Tell that a column is in none of several tables, with the columns of each.

    Raises
    ------
    DataError
        ``missing_columns``, always.
    """
    names = list(dict.fromkeys(name for source in sources for name in source.theirs))
    tables = list({source.theirs: source for source in sources}.values())
    listed = "".join(f"\nfound in {source.name}: {list_names(source.theirs)}" for source in tables)
    near = columns_like([column], names)
    raise DataError(
        "missing_columns",
        f"by: column {column!r} is missing from {' and '.join(source.name for source in tables)}{listed}",
        hint=f"did you mean {near[column]!r}?" if near else NAMED,
        missing=[column],
        found=names,
    )


KINDS: Mapping[str, tuple[str, Callable[[pl.DataType], bool], str]] = {
    "id": ("text or a whole number", lambda t: is_text(t) or t.is_integer(), "cast it to text or to whole numbers"),
    "name": ("text", lambda t: is_text(t) or t.is_integer() or t == pl.Boolean, "cast it to text"),
    "number": ("a number", lambda t: t.is_numeric() or t in (pl.String, pl.Null), "cast it to numbers"),
    "key": (
        "a single value",
        lambda t: is_text(t) or t.is_numeric() or t == pl.Boolean or is_time(t),
        "cast it to text",
    ),
}


def is_text(dtype: pl.DataType) -> bool:
    """Whether a column holds texts (or nothing)."""
    return isinstance(dtype, (pl.String, pl.Categorical, pl.Enum, pl.Null))


def is_time(dtype: pl.DataType) -> bool:
    """Whether a column holds dates or times of a date."""
    return isinstance(dtype, (pl.Date, pl.Datetime))


def check_types(table: str, schema: Mapping[str, pl.DataType], wanted: Mapping[str, str]) -> None:
    """Check that columns are of types that can be read as what they should hold; absent ones are passed over.

    Parameters
    ----------
    table : str
        What the table is called.
    schema : mapping of str to polars type
    wanted : mapping of str to str
        By column: ``id`` of a customer, ``name`` of a channel, ``number`` (also written as text), or ``key`` (any
        single value).

    Raises
    ------
    DataError
        ``wrong_type``, with the column, its type and the next step.

    Examples
    --------
    >>> check_types("costs", {"cost": pl.List(pl.Int64)}, {"cost": "number"})
    Traceback (most recent call last):
    ...
    attrib.errors.DataError: costs: column 'cost' is List(Int64), not a number; cast it to numbers
    """
    for column, kind in wanted.items():
        what, fits, hint = KINDS[kind]
        dtype = schema.get(column)
        if dtype is not None and not fits(dtype):
            if kind in ("id", "name", "key"):
                hint = to_text(column, dtype)
            raise DataError(
                "wrong_type", f"{table}: column {column!r} is {dtype}, not {what}", hint=hint, column=column,
                found=str(dtype),
            )  # fmt: skip
