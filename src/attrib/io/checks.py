"""Rows in, good rows and rejected rows out: every check is vectorised inside the batch (semantics §1).

A batch that passes three cheap tests (no nulls, finite values, nothing blank) is never looked at row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError, RejectedError
from attrib.io.amounts import number
from attrib.io.looks import next_step
from attrib.io.recasting import to_text, to_time
from attrib.io.sources import MORE, Source
from attrib.schemas import CHANNEL, CUSTOMER, INTERACTION, OUTCOME, SEQUENCE, STAGE, TIME, VALUE

RAW = "__raw_"
DATE_LENGTH = len("2025-01-31")
LISTED = (CUSTOMER, TIME, CHANNEL, OUTCOME, VALUE)  # columns of the list of rejected rows
FLAG = "__flag"  # whether (or how often) a touch is an outcome too, read from the caller's flag column
_AWARE = r"\d\d:?\d\d.*([zZ]|[+-]\d\d:?\d\d)$"
_SECONDS = {19: "%S", 23: "%S.%3f", 26: "%S.%6f"}  # by the length of the text
TICKS = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
BLANKS = " \t\n\v\f\r"  # white space as kernels know it; a name of other spaces is odd, but a name
MOST_BESIDE = 1_000  # accepted texts that are looked at beside rejected ones
LARGEST_SUM = 2.0**1008  # replicates may draw one customer 256 times, and solving takes differences of sums


@dataclass(frozen=True, slots=True)
class TableTypes:
    """How the columns of one table are read; made once from its schema.

    ``ids``: ``integer``, ``unsigned`` or ``text``; ``times``: ``datetime``, ``date`` or ``text``; ``unit``: ms, us, ns;
    ``aware``: whether times carry a zone (None: not known before the texts are read, or dates); ``zone``: that of the
    column, or whose days its dates are; ``day_zone``: whose days dates among texts are.
    ``valued``: outcomes whose value is used; that of others is not asked for (None: all are used).
    """

    table: str
    ids: str
    times: str
    unit: str
    aware: bool | None
    names: tuple[str, ...]
    has_value: bool
    zone: str | None = None
    valued: tuple[str, ...] | None = None
    day_zone: str | None = None


class Clocks(NamedTuple):
    """Whether some times of a batch carry a zone, some do not, some are dates of no zone, some of another than UTC."""

    aware: bool
    naive: bool
    zoneless: bool = False
    shifted: bool = False


def read_types(
    source: Source, names: tuple[str, ...], texts: tuple[str, ...] = (), valued: tuple[str, ...] | None = None
) -> TableTypes:
    """Decide from the schema how a table is read; ``texts``: columns that must be text besides the usual ones.

    Raises
    ------
    DataError
        ``wrong_type`` for a column of a type that cannot mean what it should.
    """
    schema = source.schema
    ids = _id_type(schema[CUSTOMER], source.name)
    dtype = schema[TIME]
    aware: bool | None = None
    unit = "us"
    if isinstance(dtype, pl.Datetime):
        times, unit, aware = "datetime", dtype.time_unit, dtype.time_zone is not None
    elif dtype == pl.Date:
        times, unit = "date", "ms"
    elif dtype == pl.String:
        times = "text"
    else:
        raise _wrong_type(source.name, TIME, dtype, "a datetime, a date or ISO text", to_time(source))
    for name in names:
        if name in (CHANNEL, OUTCOME, STAGE, *texts) and not _is_text(schema[name]):
            raise _wrong_type(source.name, name, schema[name], "text", to_text(source.called(name), schema[name]))
    if VALUE in names and not (schema[VALUE].is_numeric() or schema[VALUE] in (pl.String, pl.Null)):
        raise _wrong_type(source.name, VALUE, schema[VALUE], "a number", "")
    if SEQUENCE in names and not (schema[SEQUENCE].is_integer() or schema[SEQUENCE] in (pl.String, pl.Null)):
        raise _wrong_type(source.name, SEQUENCE, schema[SEQUENCE], "a whole number", "")
    zone = dtype.time_zone if isinstance(dtype, pl.Datetime) else None
    return TableTypes(source.name, ids, times, unit, aware, names, VALUE in names, zone, valued)


def _id_type(dtype: pl.DataType, table: str) -> str:
    if _is_text(dtype) or dtype in (pl.Int128, pl.UInt128):  # wider than a word: compared as decimal texts
        return "text"
    if dtype.is_integer():
        return "unsigned" if dtype == pl.UInt64 else "integer"
    hint = "floats as ids often come from nulls in pandas: cast to Int64" if dtype.is_float() else ""
    raise _wrong_type(table, CUSTOMER, dtype, "text or a whole number", hint)


def _is_text(dtype: pl.DataType) -> bool:
    return dtype in (pl.String, pl.Categorical) or isinstance(dtype, (pl.Enum, pl.Categorical)) or dtype == pl.Null


def _wrong_type(table: str, column: str, dtype: pl.DataType, wanted: str, hint: str) -> DataError:
    return DataError(
        "wrong_type", f"{table}: column {column!r} is {dtype}, not {wanted}", hint=hint, column=column, found=str(dtype)
    )


def with_days_of(types: TableTypes, other: TableTypes) -> TableTypes:
    """Read dates without a time of day in the time zone of the other table's column, where it has one."""
    if other.zone is None or other.times != "datetime" or types.times == "datetime":
        return types
    if types.times == "date":
        return replace(types, aware=True, zone=other.zone)
    return replace(types, day_zone=other.zone)


def are_dates(texts: pl.Series) -> pl.Series:
    """Whether texts of times are dates, and no more."""
    return (texts.str.strip_chars().str.len_bytes() <= DATE_LENGTH).fill_null(value=False)


def midnights_in(days: pl.Series, zone: str | None) -> pl.Series:
    """Instants (of UTC, without a zone) at which days begin in a zone, for midnights as a clock shows them."""
    if zone in (None, "UTC"):
        return days
    begins = (
        pl.col("day").dt.offset_by(after).dt.replace_time_zone(str(zone), ambiguous="earliest", non_existent="null")
        for after in ("0d", "1h")  # some days begin at 1 o'clock
    )
    instants = pl.coalesce(*begins).dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return days.to_frame("day").select(instants.alias(days.name)).to_series()


def _read_texts(texts: pl.Series, zone: str | None) -> tuple[pl.Series, Clocks]:
    """Read texts of times, dates among them as days of a zone."""
    dated = are_dates(texts)
    some = bool(dated.any())
    times, aware, naive = parse_times(texts.set(dated, None) if some else texts)
    zoneless = False
    if some:
        days, _, found = parse_times(texts.set(~dated, None))
        zoneless = found and zone is None
        aware |= found and zone is not None
        both = pl.DataFrame([times.alias("time"), midnights_in(days, zone).alias("day")])
        times = both.select(pl.coalesce("time", "day").alias(texts.name)).to_series()
    return times, Clocks(aware, naive, zoneless, aware and _are_shifted(texts.filter(~dated)))


def _are_shifted(texts: pl.Series) -> bool:
    """Whether some texts carry an offset that is not that of UTC."""
    rest = texts.filter(~texts.str.ends_with("Z"))
    return bool((rest.str.contains(_AWARE) & ~rest.str.contains(r"([zZ]|[+-]00:?00)\s*$")).any())


def common_ids(tables: list[TableTypes]) -> str:
    """Type in which customers of all tables are compared: integers are read as decimal texts where they differ."""
    kinds = {table.ids for table in tables}
    return kinds.pop() if len(kinds) == 1 else "text"


def parse_times(texts: pl.Series) -> tuple[pl.Series, bool, bool]:
    """Read ISO 8601 texts as microseconds.

    Returns
    -------
    (times, aware, naive) : (Series of Datetime("us"), bool, bool)
        Null where a text cannot be read; whether some texts carry a zone, and whether some do not.
    """
    alike = _parse_alike(texts)
    if alike is not None:
        return alike
    frame = pl.DataFrame({"text": texts.str.strip_chars()})
    plain = pl.col("text").str.replace("[tT]", " ")
    aware = pl.col("text").str.contains(_AWARE)
    zoned = plain.str.replace("[zZ]$", "+00:00")
    naive_read = pl.coalesce(
        plain.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False),
        plain.str.to_datetime("%Y-%m-%d %H:%M", time_unit="us", strict=False),
        plain.str.to_datetime("%Y-%m-%d", time_unit="us", strict=False),
    )
    aware_read = pl.coalesce(
        zoned.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%:z", time_unit="us", strict=False, time_zone="UTC"),
        zoned.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%z", time_unit="us", strict=False, time_zone="UTC"),
        zoned.str.to_datetime("%Y-%m-%d %H:%M%:z", time_unit="us", strict=False, time_zone="UTC"),
    ).dt.replace_time_zone(None)
    mask = frame.select(aware.fill_null(value=False)).to_series()
    some_aware = bool(mask.any())
    reading = naive_read if not some_aware else pl.when(aware).then(aware_read).otherwise(naive_read)
    times = frame.select(reading).to_series()
    some_naive = bool((~mask & times.is_not_null()).any())
    return times, some_aware, some_naive


def _parse_alike(texts: pl.Series) -> tuple[pl.Series, bool, bool] | None:
    """Read times that are all written like the first, ten times as fast; None where one is not."""
    first = str(texts.drop_nulls().first() or "")
    aware = first.endswith("Z")
    seconds = _SECONDS.get(len(first) - aware)
    if seconds is None or first[10] not in " T" or not (texts.str.len_bytes() == len(first)).all(ignore_nulls=True):
        return None
    form = f"%Y-%m-%d{first[10]}%H:%M:{seconds}{'Z' if aware else ''}"
    times = texts.str.to_datetime(form, time_unit="us", strict=False)
    return None if times.null_count() > texts.null_count() else (times, aware, not aware)


def add_sizes(size: float, values: npt.NDArray[np.float64], table: str) -> float:
    """Add the absolute values of a batch to those met before; where they fit a float, so does every sum of values.

    Raises
    ------
    DataError
        ``values_too_large``.
    """
    with np.errstate(over="ignore"):
        size += float(np.abs(values).sum())
    if not size <= LARGEST_SUM:
        raise DataError(
            "values_too_large",
            f"the values of {table} add up to more than {LARGEST_SUM:.2g}: beyond it, sums of them may be no number",
            hint="check the largest of them, or give all in a larger unit",
        )
    return size


def is_blank(column: str) -> pl.Expr:
    """Expression: a text (or the name of a category) is empty or white space."""
    return pl.col(column).cast(pl.String).str.strip_chars(BLANKS).str.len_bytes() == 0


def typed(batch: pl.DataFrame, types: TableTypes, ids: str) -> tuple[pl.DataFrame, Clocks]:
    """Give the columns of a batch their types; what cannot be read becomes null and keeps its text in ``__raw_…``."""
    changes: list[pl.Expr | pl.Series] = []
    if ids == "text":
        if batch.schema[CUSTOMER] != pl.String:
            changes.append(pl.col(CUSTOMER).cast(pl.String))
    elif batch.schema[CUSTOMER] not in (pl.Int64, pl.UInt64):
        changes.append(pl.col(CUSTOMER).cast(pl.Int64))
    clocks = Clocks(types.aware is True, types.aware is False, types.times == "date" and types.zone is None)
    if types.times == "text":
        times, clocks = _read_texts(batch[TIME], types.day_zone)
        changes += [pl.col(TIME).alias(RAW + TIME), times.alias(TIME)]
    elif types.times == "date":
        changes.append(midnights_in(batch[TIME].cast(pl.Datetime("ms")), types.zone))
    for name in types.names:
        dtype = batch.schema[name]
        if name == VALUE and dtype != pl.Float64:
            changes += [pl.col(VALUE).alias(RAW + VALUE), number(VALUE, dtype)]
        elif name == SEQUENCE and dtype != pl.Int64:
            changes += [pl.col(SEQUENCE).alias(RAW + SEQUENCE), number(SEQUENCE, dtype, pl.Int64)]
        elif name in (CHANNEL, OUTCOME, STAGE) and dtype != pl.String:
            changes.append(pl.col(name).cast(pl.String))
    batch = batch.with_columns(changes) if changes else batch
    return _without_unused_values(batch, types), clocks


def _without_unused_values(batch: pl.DataFrame, types: TableTypes) -> pl.DataFrame:
    """Take a missing value of an outcome whose value is not used for 0: nobody asks for it."""
    if not types.has_value or types.valued is None or OUTCOME not in types.names:
        return batch
    if not batch[VALUE].null_count() and np.isfinite(batch[VALUE].to_numpy()).all():
        return batch
    unused = ~pl.col(OUTCOME).is_in(list(types.valued)) & ~pl.col(VALUE).is_finite().fill_null(value=False)
    return batch.with_columns(pl.when(unused).then(0.0).otherwise(pl.col(VALUE)).alias(VALUE))


def has_lookback(interactions: tuple[str, ...]) -> pl.Expr:
    """Expression: the interaction of a touch is one of those that have a lookback."""
    return pl.col(INTERACTION).cast(pl.String).is_in(list(interactions)).fill_null(value=False)


def looks_clean(
    batch: pl.DataFrame, types: TableTypes, stages: tuple[str, ...], interactions: tuple[str, ...] = ()
) -> bool:
    """Cheap test of a typed batch: nothing null, values finite, no blank text and no raw text left unread."""
    required = [CUSTOMER, TIME, *(n for n in types.names if n in (CHANNEL, OUTCOME, VALUE))]
    if any(batch[name].null_count() for name in required) or stages:
        return False
    if RAW + SEQUENCE in batch.columns and batch[SEQUENCE].null_count() > batch[RAW + SEQUENCE].null_count():
        return False
    if FLAG in types.names and batch[FLAG].null_count():
        return False
    if MORE in types.names and batch[MORE].null_count() < batch.height:
        return False
    if interactions and not batch.select(has_lookback(interactions).all()).item():
        return False
    return not types.has_value or bool(np.isfinite(batch[VALUE].to_numpy()).all())


def split_rejected(  # noqa: C901 - one step a rule
    batch: pl.DataFrame, types: TableTypes, stages: tuple[str, ...], interactions: tuple[str, ...] = ()
) -> tuple[pl.DataFrame, pl.Series]:
    """Split a typed batch by the first rule each row breaks.

    Returns
    -------
    (good, rules) : (DataFrame, Series of String)
        The good rows; per input row the broken rule, null for good ones.
    """
    rules: list[pl.Expr] = []

    def add(broken: pl.Expr, rule: str) -> None:
        rules.append(pl.when(broken.fill_null(value=False)).then(pl.lit(rule)))

    if MORE in types.names:
        add(pl.col(MORE).is_not_null(), "too_many_cells")
    add(pl.col(CUSTOMER).is_null(), "customer_missing")
    if batch.schema[CUSTOMER] == pl.String:
        add(is_blank(CUSTOMER), "customer_empty")
    if RAW + TIME in batch.columns:
        blank = pl.col(RAW + TIME).is_null() | is_blank(RAW + TIME)
        add(blank, "timestamp_missing")
        add(pl.col(TIME).is_null(), "timestamp_unparseable")
    add(pl.col(TIME).is_null(), "timestamp_missing")
    for name in (CHANNEL, OUTCOME):
        if name in types.names:
            add(pl.col(name).is_null(), f"{name}_missing")
            add(is_blank(name), f"{name}_empty")
    if FLAG in types.names:
        add(pl.col(FLAG).is_null(), "flag_unreadable")
    if types.has_value:
        if batch.schema.get(RAW + VALUE) == pl.String:
            blank = pl.col(RAW + VALUE).is_null() | is_blank(RAW + VALUE)
            add(blank & pl.col(VALUE).is_null(), "value_missing")
            add(pl.col(VALUE).is_null(), "value_unparseable")
        add(pl.col(VALUE).is_null(), "value_missing")
        add(~pl.col(VALUE).is_finite(), "value_not_finite")
    if RAW + SEQUENCE in batch.columns:
        add(pl.col(SEQUENCE).is_null() & ~is_blank(RAW + SEQUENCE), "sequence_unparseable")  # or beyond 64 bits
    if stages:
        add(pl.col(STAGE).is_null(), "stage_missing")
        add(~pl.col(STAGE).is_in(list(stages)), "stage_unknown")
    if interactions:
        add(~has_lookback(interactions), "interaction_without_lookback")
    broken = batch.select(pl.coalesce(*rules, pl.lit(None, pl.String)).alias("rule")).to_series()
    return batch.filter(broken.is_null()), broken


def list_rejected(batch: pl.DataFrame, broken: pl.Series, table: str, first_row: int) -> pl.DataFrame:
    """Rejected rows of a batch as text, with their row number in the source (from 0) and the rule they broke."""

    def text(name: str) -> pl.Expr:
        column = RAW + name if RAW + name in batch.columns else name
        if column not in batch.columns:
            return pl.lit(None, pl.String).alias(name)
        return pl.col(column).cast(pl.String).alias(name)

    rows = pl.Series("row", range(first_row, first_row + batch.height), dtype=pl.Int64)
    return (
        batch.with_columns(rows.alias("__row"), broken.alias("__rule"))
        .filter(pl.col("__rule").is_not_null())
        .select(
            pl.lit(table).alias("table"),
            pl.col("__row").alias("row"),
            pl.col("__rule").alias("rule"),
            *(text(name) for name in LISTED),
            *(text(name).alias(name.removeprefix(_OURS)) for name in (INTERACTION, FLAG) if name in batch.columns),
        )
    )


_OURS = "__"  # what the names of columns in the making begin with


def describe_row(listed: pl.DataFrame) -> str:
    """Show the first rejected row: its number and what stands in the column that its rule is about."""
    first = listed.row(0, named=True)
    shown_by = (*LISTED, INTERACTION, FLAG.removeprefix(_OURS))
    about = first["rule"].split("_")[0]
    column = next((c for c in shown_by if c in first and c.split("_")[0] == about), None)
    if first["table"] == "paths" and about in ("path", "conversions"):  # their columns stand in for others' here
        column = {"path": CHANNEL, "conversions": OUTCOME}[about]
    if about in first and about not in LISTED:
        column = about
    named = about if first["table"] == "paths" else column
    shown = f" has {named} {first[column]!r}" if column else f" breaks {first['rule']}"
    which = "one" if first["row"] is None else f"row {first['row']:,}"
    return f"e.g. {which}{shown}"


def _hint(rule: str, listed: pl.DataFrame, beside: Mapping[str, Iterable[str]], called: Callable[[str], str]) -> str:
    column = next((c for c in LISTED if rule.startswith(c.split("_")[0])), None)
    if column is None:
        return next_step(rule)
    broken = pl.col("rule") == rule
    others = [*listed.filter(~broken)[column].head(MOST_BESIDE), *beside.get(column, ())]
    return next_step(rule, listed.filter(broken)[column], beside=others, column=called(column))


def check_rejects(
    table: str,
    rows: int,
    rejected: list[pl.DataFrame],
    allowed: float,
    rules: Mapping[str, int] | None = None,
    *,
    beside: Mapping[str, Iterable[str]] = MappingProxyType({}),
    called: Callable[[str], str] = str,
) -> None:
    """Stop where more rows of a table were rejected than allowed.

    ``rules``: rows by the rule they broke, where ``rejected`` does not list all of them. ``beside``: some accepted
    texts by column, which say how the others are meant. ``called``: what the caller calls a column of ours.

    Raises
    ------
    RejectedError
        ``too_many_rejected`` with the numbers, the rules, the first row, and what was expected.
    """
    if rules is None:
        rules = dict(pl.concat(rejected).group_by("rule").len().iter_rows()) if rejected else {}
    if table == "outcomes" and "flag_unreadable" in rules:  # rows of the touchpoints, and judged there
        rows -= rules["flag_unreadable"]
        rules = {rule: count for rule, count in rules.items() if rule != "flag_unreadable"}
    count = sum(rules.values())
    if not rows or count / rows <= allowed:
        return
    listed = pl.concat(rejected).filter(pl.col("rule").is_in(list(rules)))
    rules = dict(sorted(rules.items(), key=lambda item: (-item[1], item[0])))
    named = ", ".join(f"{rule} {n:,}" for rule, n in rules.items())
    raise RejectedError(
        "too_many_rejected",
        f"{count:,} of {rows:,} rows of {table} are rejected ({count / rows:.1%}; allowed {allowed:.1%}): {named}; "
        f"{describe_row(listed)}",
        hint=_hint(next(iter(rules)), listed, beside, called),
        examples=listed.head(5).to_dicts(),
        table=table,
        rejected=count,
        rows=rows,
        rules=rules,
    )


def join_rejected(rejected: list[pl.DataFrame]) -> pl.DataFrame:
    """One rejected table of all batches; without rows where there are none."""
    text = dict.fromkeys(LISTED, pl.String)
    empty = pl.DataFrame(schema={"table": pl.String, "row": pl.Int64, "rule": pl.String, **text})
    return pl.concat([empty, *(listed.select(empty.columns) for listed in rejected)])
