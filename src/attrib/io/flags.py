"""What counts as yes and as no: one rule for flags, whatever table or file they come from (semantics §1, Flags)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from attrib.errors import DataError
from attrib.io.amounts import number
from attrib.io.checks import FLAG, RAW
from attrib.io.sources import MORE, InlineOutcome, Source
from attrib.io.text import clean
from attrib.schemas import CUSTOMER, EVENT, ORDER, OUTCOME, TIME, VALUE

YES, NO = ("true", "yes", "y", "t"), ("false", "no", "n", "f")
SAID_YES, SAID_NO, SAID_NOTHING, UNREADABLE = 1, 0, -1, -2  # what `answer` finds
MOST = 1_000_000  # conversions of one row; a larger number counts something else
FEWEST_FLAGGED, NEARLY_ALL = 3, 0.9  # customers flagged on all their rows, of those flagged at all: told
RUN_SECONDS, MANY_REPEATS = 1800, 0.1  # between touches of a session; share of flagged rows that repeat one: told
COPY = "__copy"  # number of a conversion of its row, from 0
COPY_BITS = 20  # that hold it
AND_NO = "\x1f"  # between an event id and the number of a conversion of its row


def answer(column: str, dtype: pl.DataType) -> pl.Expr:
    """Expression: what a column of flags says, as Int8.

    ``SAID_YES`` for true, 1 and the texts true, yes, y, t and 1 (any case, white space around them, 1 also as a decimal
    number such as 1.0); ``SAID_NO`` for their opposites; ``SAID_NOTHING`` for null, NaN and blank; else ``UNREADABLE``.

    Examples
    --------
    >>> texts = pl.DataFrame({"won": ["Yes", "1.0", "f", " ", None, "2", "maybe"]})
    >>> texts.select(answer("won", pl.String())).to_series().to_list()
    [1, 1, 0, -1, -1, -2, -2]
    """
    number = _number(column, dtype)
    said = pl.when(number == 1).then(SAID_YES).when(number == 0).then(SAID_NO)
    nothing = pl.col(column).is_null()
    if _is_text(dtype):
        text = _text(column)
        said = pl.when(text.is_in(YES)).then(SAID_YES).when(text.is_in(NO)).then(SAID_NO).when(text == "").then(
            SAID_NOTHING
        ).when(number == 1).then(SAID_YES).when(number == 0).then(SAID_NO)  # fmt: skip
    said = said.when(number.is_nan()).then(SAID_NOTHING)
    return pl.when(nothing).then(SAID_NOTHING).otherwise(said.otherwise(UNREADABLE)).cast(pl.Int8)


def read_flag(column: str, dtype: pl.DataType) -> pl.Expr:
    """Expression that reads a column of flags as a truth value, blank as no; null where it says neither yes nor no."""
    said = answer(column, dtype)
    return pl.when(said != UNREADABLE).then(said == SAID_YES)


def read_count(column: str, dtype: pl.DataType) -> pl.Expr:
    """Expression that reads a column of counts, blank as 0 and yes as 1; null where there is no count.

    Examples
    --------
    >>> rows = pl.DataFrame({"orders": [0.0, 3.0, None, 0.5, -1.0]})
    >>> rows.select(read_count("orders", pl.Float64())).to_series().to_list()
    [0, 3, 0, None, None]
    """
    number, said = _number(column, dtype), answer(column, dtype)
    whole = (number == number.floor()) & number.is_between(0, MOST)
    return (
        pl.when(said != UNREADABLE).then((said == SAID_YES).cast(pl.Int64))
        .when(whole.fill_null(value=False)).then(number.cast(pl.Int64, strict=False))
    )  # fmt: skip


def check_flag_type(source: Source, column: str) -> None:
    """Check that a column can hold flags.

    Raises
    ------
    DataError
        ``wrong_type``.
    """
    dtype = source.schema[column]
    if not (_is_text(dtype) or dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)):
        raise DataError(
            "wrong_type",
            f"{source.name}: column {column!r} is {dtype}, not a flag",
            hint="give true and false, 1 and 0, or yes and no, e.g. pl.col(…).is_not_null()",
            column=column,
            found=str(dtype),
        )


def split_inline(source: Source, outcome: InlineOutcome, by: tuple[str, ...]) -> tuple[Source, Source]:
    """Make the two tables of one that holds both: all rows are touches, the flagged ones outcomes too.

    A row whose flag cannot be read stands in both, to be rejected in both: nobody knows whether it was an outcome.
    With counts, every conversion of a row is a row of the outcomes, with its share of the value and an event id of its
    own.
    """
    dtype, counts = source.schema[outcome.flag], outcome.flag_kind == "count"
    flag = read_count(outcome.flag, dtype) if counts else read_flag(outcome.flag, dtype)
    read = {FLAG: pl.Int64() if counts else pl.Boolean(), RAW + FLAG: dtype}
    frame = source.frame.with_columns(flag.alias(FLAG), pl.col(outcome.flag).alias(RAW + FLAG))
    touches = replace(source, frame=frame, schema=pl.Schema({**source.schema, **read}))
    kept = [CUSTOMER, TIME, *(c for c in (*by, EVENT, ORDER, MORE) if c in source.schema), FLAG, RAW + FLAG]
    exprs = [*(pl.col(c) for c in dict.fromkeys(kept)), pl.lit(outcome.outcome).alias(OUTCOME)]
    schema: dict[str, pl.DataType] = {c: touches.schema[c] for c in kept} | {OUTCOME: pl.String()}
    if outcome.value:
        exprs.append(pl.col(outcome.value).alias(VALUE))
        schema[VALUE] = source.schema[outcome.value]
    rows = frame.filter(pl.col(FLAG).is_null() | (pl.col(FLAG) if not counts else pl.col(FLAG) > 0)).select(exprs)
    if counts:
        rows, schema = _each_conversion(rows, schema)
    flagged = replace(
        source, name="outcomes", frame=rows, schema=pl.Schema(schema),
        if_empty=f"no row of touchpoints has a true {outcome.flag!r}",
        renamed=(*source.renamed, *(((VALUE, source.called(outcome.value)),) if outcome.value else ())),
    )  # fmt: skip
    return touches, flagged


def all_flagged(flag: str, several: int, every: int, outcomes: int) -> Iterator[str]:
    """Warn of a fact on the customer that is repeated on each of their rows.

    ``several``: customers with several touches, one of them flagged; ``every``: those of them with flagged ones only.
    """
    if every >= FEWEST_FLAGGED and every >= NEARLY_ALL * several:
        yield (
            f"{clean(flag, 40)!r} is true on every row of {every:,} of the {several:,} customers who have it and "
            f"several touches ({outcomes:,} outcomes in all): it seems to say something of the customer, repeated on "
            "each row; let only the row say it at which it happened, such as each customer's last one, or pass a table "
            "of outcomes"
        )


def runs_flagged(flag: str, near: int, runs: int, repeats: int, outcomes: int) -> Iterator[str]:
    """Warn of a fact on the session that is repeated on each of its rows.

    ``near``: customers with another touch within half an hour of a flagged one; ``runs``: those of them with flagged
    touches that follow each other so; ``repeats``: flagged touches that follow one; ``outcomes``: flagged ones in all.
    """
    if runs >= FEWEST_FLAGGED and runs >= NEARLY_ALL * near and repeats >= MANY_REPEATS * outcomes:
        yield (
            f"{repeats:,} of {outcomes:,} rows on which {clean(flag, 40)!r} is true follow another such row of their "
            f"customer within {RUN_SECONDS // 60} minutes, with no other touch between, for {runs:,} of the {near:,} "
            "customers who have it and several touches near it: it seems to say something of the session, repeated on "
            "its rows; let only the row say it at which it happened, such as the last of each session, or pass a table "
            "of outcomes"
        )


def unreadable_flags(flag: str, rejected: list[pl.DataFrame], outcomes: int, allowed: float) -> Iterator[str]:
    """Warn where rows with an unreadable flag, few among all touches, are many among the outcomes."""
    lost = sum(int((listed["rule"] == "flag_unreadable").sum()) for listed in rejected)
    if lost > allowed * outcomes:
        yield (
            f"{lost:,} rows whose {clean(flag, 40)!r} says neither yes nor no are rejected: up to {lost:,} of "
            f"{outcomes:,} outcomes are lost"
        )


def _each_conversion(rows: pl.LazyFrame, schema: dict[str, pl.DataType]) -> tuple[pl.LazyFrame, dict[str, pl.DataType]]:
    """Repeat each row as often as it counts conversions."""
    count = pl.col(FLAG).fill_null(1)
    rows = rows.with_columns(pl.int_ranges(0, count).alias(COPY)).explode(COPY)
    schema = schema | {COPY: pl.Int64()}
    changes = []
    if VALUE in schema:
        value = number(VALUE, schema[VALUE])
        if _is_text(schema[VALUE]):  # what cannot be read is still to be shown
            changes.append(pl.when(count > 1).then(value / count).cast(pl.String).fill_null(pl.col(VALUE)).alias(VALUE))
            schema = schema | {VALUE: pl.String()}
        elif schema[VALUE].is_numeric():
            changes.append((value / count).alias(VALUE))
            schema = schema | {VALUE: pl.Float64()}
    if EVENT in schema:
        each = pl.concat_str(pl.col(EVENT).cast(pl.String), pl.lit(AND_NO), pl.col(COPY).cast(pl.String))
        changes.append(each.alias(EVENT))
        schema = schema | {EVENT: pl.String()}
    return rows.with_columns(changes), schema


def _is_text(dtype: pl.DataType) -> bool:
    return isinstance(dtype, (pl.String, pl.Categorical, pl.Enum))


def _text(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).str.strip_chars().str.to_lowercase()


def _number(column: str, dtype: pl.DataType) -> pl.Expr:
    return (_text(column) if _is_text(dtype) else pl.col(column)).cast(pl.Float64, strict=False)
