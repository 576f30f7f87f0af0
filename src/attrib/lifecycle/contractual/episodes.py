"""Customers as survival models take them: durations or (start, stop] rows, checked; and such rows from touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.arguments import distinct_names
from attrib.durations import parse_duration
from attrib.errors import DataError, SpecError, brief, warn
from attrib.io.checks import midnights_in
from attrib.io.collecting import collect_table
from attrib.io.tables import check_types
from attrib.lifecycle.base.beside import check_same_rows, read_column, read_flags, read_numbers
from attrib.lifecycle.base.design import MAX_CATEGORIES, NULL, collected
from attrib.lifecycle.contractual.incidence import read_causes
from attrib.lifecycle.contractual.riskset import entries
from attrib.schemas import CHANNEL, CUSTOMER, NAMED, TIME, require_columns

Floats = npt.NDArray[np.float64]
BEGIN, END, LEFT, ENTRY = "begin", "end", "left", "entry"
_TABLE = "customers"


@dataclass(frozen=True, slots=True)
class Episodes:
    """Customers, or intervals of them: ``duration`` (or stop), ``event``, ``entry`` (or start), ``customer`` [n].

    ``cause``, where it is asked for, says why a customer left, and is null where ``event`` is false.
    """

    features: pl.DataFrame | None
    duration: Floats
    event: npt.NDArray[np.bool_]
    entry: Floats | None
    customer: pl.Series
    cause: pl.Series | None = None


def episodes(
    X: Any, duration: Any, event: Any, entry: Any = None, customer: Any = None, *, causes: bool = False
) -> Episodes:
    """Take the columns that say when apart from the features; a text names a column of X.

    Raises
    ------
    SpecError
        ``bad_argument`` for a column of no frame.
    DataError
        ``missing_columns``, ``no_rows`` and those of columns and of `entries`.
    """
    check_same_rows(X=X, duration=duration, event=event, entry=entry, id=customer)
    table = None if X is None else collected(X)
    given = {"duration": duration, "event": event, "entry": entry, "id": customer}
    named = [value for value in given.values() if isinstance(value, str)]
    if named and table is None:
        raise SpecError("bad_argument", f"{named[0]!r} names a column, and there is no frame")
    if table is not None:
        require_columns("features", table.columns, named, hint=NAMED)
        given = {name: table[value] if isinstance(value, str) else value for name, value in given.items()}
        table = table.drop(named)
    length = read_numbers("duration", given["duration"], None if table is None else table.height, least=0)
    if not len(length):
        raise DataError("no_rows", "there are 0 customers")
    why = read_causes("event", given["event"], len(length)) if causes else None
    left = read_flags("event", given["event"], len(length)) if why is None else why.is_not_null().to_numpy()
    whose = read_column("id", np.arange(len(length)) if given["id"] is None else given["id"], len(length))
    return Episodes(table, length, left, entries(given["entry"], length), whose, why)


def check_intervals(rows: Episodes) -> None:
    """Check that the intervals of a customer follow each other, and that nobody comes back after leaving.

    Raises
    ------
    DataError
        ``overlapping_rows``.
    """
    table = pl.DataFrame(
        {"id": rows.customer, "start": pl.Series(rows.entry), "stop": rows.duration, "event": rows.event}
    ).sort("id", "start")
    before = table.select(
        "id",
        overlaps=pl.col("start") < pl.col("stop").shift().over("id"),
        returns=pl.col("event").shift().over("id").fill_null(value=False),
    )
    for fault, problem in (("overlaps", "overlap"), ("returns", "follow one at whose end the customer left")):
        wrong = before.filter(pl.col(fault))
        if not wrong.is_empty():
            raise DataError(
                "overlapping_rows",
                f"{wrong.height} of {table.height} intervals {problem}, first one of {wrong['id'][0]!r}",
                hint="a customer's intervals (start, stop] must follow each other, with the event in the last",
            )


def time_varying_rows(
    touchpoints: Any,
    customers: Any,
    *,
    unit: str = "1d",
    every: str | None = None,
    channels: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Cut the time of each customer where a touch changes what is known: rows (start, stop] with counts by channel.

    A row holds the touches up to and including its start, so that none is known before it happened, and a touch at
    the very time of leaving is in no row. Touches from before the begin of the relation count from its begin.

    Parameters
    ----------
    touchpoints : frame
        ``customer_id, timestamp, channel``.
    customers : frame
        One row each: ``customer_id``; ``begin`` of the relation; ``end``: when the customer left or was last seen;
        ``left``: whether they left; optionally ``entry``: when they came under observation, if later than the begin
        (left truncation: their rows start there).
    unit : str
        Of start and stop in the result, such as ``"1d"`` or ``"7d"``.
    every : str, optional
        Cut only at multiples of this after the begin, where a touch counts from the next multiple on: fewer distinct
        times, which fit faster.
    channels : sequence of str, optional
        Channels to count, by default all that occur; pass those of training to score.

    Returns
    -------
    polars.DataFrame
        ``customer_id, start, stop`` (float64, in units since the begin), ``event``, and ``touches_<channel>`` each.

    Raises
    ------
    DataError
        ``missing_columns``, ``bad_dtype``, ``mixed_zones``, ``null_values``, ``duplicate_customers``,
        ``too_many_categories``.
    SpecError
        ``bad_duration``.

    Examples
    --------
    >>> from datetime import date
    >>> touches = pl.DataFrame({"customer_id": [7], "timestamp": [date(2026, 1, 4)], "channel": ["email"]})
    >>> life = {"customer_id": [7], "begin": [date(2026, 1, 1)], "end": [date(2026, 1, 11)], "left": [True]}
    >>> time_varying_rows(touches, pl.DataFrame(life)).rows()
    [(7, 0.0, 3.0, False, 0), (7, 3.0, 10.0, True, 1)]
    """
    ticks, grid = _microseconds(unit, "unit"), 1 if every is None else _microseconds(every, "every")
    table, people = collect_table(touchpoints, "touchpoints"), collect_table(customers, _TABLE)
    require_columns("touchpoints", table.columns, [CUSTOMER, TIME, CHANNEL])
    check_types("touchpoints", table.schema, {CUSTOMER: "id", CHANNEL: "name"})
    timed = (BEGIN, END, ENTRY)
    dtypes = [table.schema[TIME], *(people.schema[name] for name in timed if name in people.columns)]
    zone = _check_zones(*dtypes)
    table, people = _in_zone(table, [TIME], zone), _in_zone(people, timed, zone)
    lives = _lives(people)
    if table.schema[CUSTOMER] != lives.schema[CUSTOMER]:  # whole numbers and the texts of them are one id
        table, lives = (frame.with_columns(pl.col(CUSTOMER).cast(pl.String)) for frame in (table, lives))
    touches = table.select(
        CUSTOMER, pl.col(CHANNEL).cast(pl.String).fill_null(NULL), _epoch(table, TIME, "touchpoints").alias("at")
    )
    if channels is None:
        found = touches[CHANNEL].unique().sort().to_list()
        if len(found) > MAX_CATEGORIES:
            raise DataError("too_many_categories", f"touchpoints has {len(found)} channels, more than {MAX_CATEGORIES}")
    else:
        found = list(distinct_names("channels", channels, "channels"))
    known = touches.drop_nulls().join(lives, on=CUSTOMER, how="inner")
    lost = touches.height - known.height
    if lost:
        warn(f"{lost} of {touches.height} touches have no time, or no customer among {_TABLE}, and are left out")
    since = pl.col("at") - pl.col(BEGIN)
    cut = pl.when(since <= pl.col(ENTRY)).then(ENTRY).otherwise(-((-since) // grid) * grid)
    known = known.select(CUSTOMER, CHANNEL, END, start=cut).filter(pl.col("start") < pl.col(END))
    names = [f"touches_{channel}" for channel in found]
    counts = known.group_by(CUSTOMER, "start").agg(
        (pl.col(CHANNEL) == channel).sum().cast(pl.Int64).alias(name)
        for channel, name in zip(found, names, strict=True)
    )
    rows = (
        pl.concat([lives.select(CUSTOMER, start=ENTRY), counts.select(CUSTOMER, "start")])
        .unique()
        .join(counts, on=[CUSTOMER, "start"], how="left")
        .join(lives.select(CUSTOMER, END, LEFT), on=CUSTOMER)
        .sort(CUSTOMER, "start")
    )
    stop = pl.col("start").shift(-1).over(CUSTOMER)
    return rows.select(
        CUSTOMER,
        pl.col("start") / ticks,
        stop.fill_null(pl.col(END)).alias("stop") / ticks,
        (stop.is_null() & pl.col(LEFT)).alias("event"),
        *[pl.col(name).fill_null(0).cum_sum().over(CUSTOMER) for name in names],
    )


def _check_zones(*dtypes: pl.DataType) -> str | None:
    """Check that times have a zone all or none: without, they say nothing about those with one. Returns the first."""
    zones = [dtype.time_zone for dtype in dtypes if isinstance(dtype, pl.Datetime)]
    if any(zones) and not all(zones):
        raise DataError(
            "mixed_zones",
            "some of the times have a time zone and some have none",
            hint='e.g. frame.with_columns(pl.col("end").dt.replace_time_zone("UTC"))',
        )
    return zones[0] if zones else None


def _lives(table: pl.DataFrame) -> pl.DataFrame:
    """Begin in microseconds, entry and end since then, of customers who were observed at all."""
    require_columns(_TABLE, table.columns, [CUSTOMER, BEGIN, END, LEFT])
    check_types(_TABLE, table.schema, {CUSTOMER: "id"})
    nulls = [name for name in (CUSTOMER, BEGIN, END) if table[name].null_count()]
    if nulls:
        raise DataError(
            "null_values", f"{_TABLE}: nulls in {', '.join(nulls)}", hint="end is when a customer was last seen"
        )
    twice = table.height - table[CUSTOMER].n_unique()
    if twice:
        raise DataError("duplicate_customers", f"{_TABLE}: {twice} of {table.height} rows repeat a customer_id")
    begin = _epoch(table, BEGIN, _TABLE)
    entry = pl.max_horizontal(_epoch(table, ENTRY, _TABLE) - begin, 0).fill_null(0) if ENTRY in table else pl.lit(0)
    lives = table.select(
        CUSTOMER,
        begin.alias(BEGIN),
        entry.cast(pl.Int64).alias(ENTRY),
        (_epoch(table, END, _TABLE) - begin).alias(END),
        pl.Series(LEFT, read_flags(LEFT, table[LEFT])),
    )
    kept = lives.filter(pl.col(ENTRY) < pl.col(END))
    if kept.height < lives.height:
        gone = lives.height - kept.height
        warn(f"{gone} of {lives.height} {_TABLE} end at or before they begin or enter, and have no rows")
    return kept


def _in_zone(table: pl.DataFrame, names: Sequence[str], zone: str | None) -> pl.DataFrame:
    """Dates as midnights of the zone of the times beside them, if these have one."""
    dates = [name for name in names if name in table.columns and table.schema[name] == pl.Date]
    return table.with_columns(midnights_in(table[name].cast(pl.Datetime("us")), zone) for name in dates)


def _epoch(table: pl.DataFrame, name: str, where: str) -> pl.Expr:
    dtype = table.schema[name]
    if not isinstance(dtype, (pl.Date, pl.Datetime)):
        raise DataError("bad_dtype", f"{where}: {name!r} is {dtype}, not a date or time")
    return pl.col(name).dt.epoch("us")


def _microseconds(text: str, name: str) -> int:
    length = parse_duration(text, name)
    ticks = 0 if length is None else length // timedelta(microseconds=1)
    if ticks < 1:
        raise SpecError("bad_duration", f"{name} = {brief(text)} is not a positive duration", hint='e.g. "1d"')
    return ticks
