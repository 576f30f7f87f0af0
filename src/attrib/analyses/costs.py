"""Cost tables: opened, every row checked, summed by key."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from attrib.diagnostics.columns import OF_COSTS, check_sums, currency_beside, unread
from attrib.diagnostics.customers import equal_rows
from attrib.diagnostics.finding import tell
from attrib.diagnostics.roles import ZONE, states_only
from attrib.engines.reading import mixed_zones
from attrib.errors import DataError, SpecError, brief, warn
from attrib.io.amounts import number
from attrib.io.checks import MOST_BESIDE, TICKS, is_blank, parse_times
from attrib.io.looks import what_they_look_like
from attrib.io.mapping import check_mapping
from attrib.io.sources import MORE, Source, open_table
from attrib.io.tables import check_types, required
from attrib.io.text import clean
from attrib.io.times import Spread, told
from attrib.schemas import CHANNEL, COST, DATE, SPENT, STAGE, TIME

HINTS = {
    "too_many_cells": "quote cells that hold a comma, or write the file as parquet",
    "cost_missing": "write 0 where something cost nothing",
    "cost_unparseable": "costs are numbers with a decimal point, such as 1234.50, without signs of currency",
    "date_unparseable": "dates are ISO 8601, e.g. 2024-03-20 or 2024-03-20T08:00:00+01:00",
}


COSTS_MAPPING = "map your names to ours with columns (in a job: [input.columns.costs])"


def open_costs(costs: Any, columns: Mapping[str, str], shared: Mapping[str, str] | None = None) -> Source:
    """Open a cost table; ``columns`` are for it alone, ``shared`` pairs hold only where it has such columns.

    Raises
    ------
    DataError
        Those of :func:`attrib.io.sources.open_table`, and ``missing_columns``.
    """
    source = open_table(costs, "costs", {**(shared or {}), **columns})
    check_mapping(columns, (source,))
    return source


def total_costs(
    source: Source,
    keys: Sequence[str],
    *,
    everywhere: bool,
    between: tuple[datetime, datetime] | None = None,
) -> pl.DataFrame:
    """Check the rows of a cost table and sum them by key.

    Parameters
    ----------
    source : Source
        From :func:`open_costs`.
    keys : sequence of str
        Key columns of the credit table, the player's last.
    everywhere : bool
        Whether costs may do without the key ``stage``, to stand at every stage.
    between : pair of datetime, optional
        Only costs dated in the half-open interval.

    Returns
    -------
    polars.DataFrame
        The keys that the costs have, and ``cost``.

    Raises
    ------
    DataError
        ``missing_columns``, ``costs_lack_key``, ``no_rows``, ``bad_costs``, ``several_currencies``…
    """
    taken = sorted(set(SPENT) & set(keys))
    if taken:
        raise SpecError("bad_value", f"{', '.join(taken)}: spend gives that name to a column of its own")
    required(source, [keys[-1], COST], hint=COSTS_MAPPING)
    lacking = [key for key in keys if key not in source.schema and not (key == STAGE and everywhere)]
    if lacking:
        raise DataError(
            "costs_lack_key",
            f"the credit is by {', '.join(keys)}, but {source.name} has no column {', '.join(lacking)}",
            hint="add it to the costs (or map it with columns), or compute the credit without it",
            missing=lacking,
        )
    own = [key for key in keys if key in source.schema]
    there = next((name for name in (DATE, TIME) if name in source.schema), None)
    dated = None if between is None else there
    if between is not None and dated is None:
        required(source, [DATE], hint=COSTS_MAPPING)
    check_types(source.name, source.schema, dict.fromkeys(own, "key") | {COST: "number"})
    money = currency_beside(source.schema, tuple(own))
    more = [MORE] if MORE in source.schema else []
    wanted = list(dict.fromkeys([*own, COST, *filter(None, [dated]), *money, *more]))
    whole = source.collect()
    rows = whole.select(wanted)
    if not rows.height:
        raise DataError("no_rows", f"{source.name} has 0 rows", hint=source.if_empty)
    times = None if dated is None else _times(rows[dated], source.name)
    numbers = _checked(rows, own, times, source)
    kept = rows.select(*own, *money).with_columns(numbers.alias(COST))
    if between is not None and times is not None:
        kept = kept.filter(_inside(times, between, source.name))
    for column in money:
        apart = f'credit by=["{column}"] (in a job: [journeys] by), or costs of one of them'
        check_sums(kept, source.name, COST, apart, column)
    naive = times is not None and getattr(times.dtype, "time_zone", None) is None
    asked = {role: words for role, words in OF_COSTS.items() if role != ZONE or naive}
    schema = {name: dtype for name, dtype in source.schema.items() if not states_only(name)}
    for found in unread(source.name, schema, wanted, asked, whole.get_column):
        tell(found)
    # without a date, equal costs are no wonder, and rows that cost nothing change nothing
    twice = None if there is None else equal_rows(whole.filter(numbers.fill_null(0.0) != 0), source.name)
    if twice is not None:
        tell(twice)
    if there is not None:
        _tell_odd_dates(whole[there] if times is None else times, source.name)
    return sum_costs(kept.drop(money), own)


def _tell_odd_dates(dates: pl.Series, name: str) -> None:
    """Warn of dates that are hardly meant, whether a period was asked for or not."""
    if dates.dtype == pl.String:
        dates = parse_times(dates)[0]
    elif dates.dtype == pl.Date:
        dates = dates.cast(pl.Datetime("us"))
    if not isinstance(dates.dtype, pl.Datetime):
        return
    times = dates.drop_nulls().alias(TIME).cast(pl.Datetime("us"))
    if len(times):
        spread = Spread()
        spread.add(times.to_frame())
        ends = times.to_physical()
        for text in told(f"rows of {name}", spread, int(ends.min()), int(ends.max()), TICKS["us"]):  # type: ignore[arg-type]
            warn(text)


def period_bounds(period: Any) -> tuple[datetime, datetime]:
    """Both ends of a period as datetimes."""
    hint = 'write ("2025-01-01", "2025-02-01"): from the first to before the second'
    if isinstance(period, str) or not isinstance(period, Sequence) or len(period) != 2:
        raise SpecError("bad_period", f"period = {brief(period)} is not a pair of dates", hint=hint)
    ends: list[datetime] = []
    for end in period:
        try:
            moment = datetime.fromisoformat(end) if isinstance(end, str) else end
        except ValueError:
            moment = None
        if not isinstance(moment, date):
            raise SpecError("bad_period", f"period: {brief(end)} is not a date", hint=hint)
        ends.append(moment if isinstance(moment, datetime) else datetime(moment.year, moment.month, moment.day))  # noqa: DTZ001 - read in the zone of the costs
    if (ends[0].tzinfo is None) != (ends[1].tzinfo is None):
        raise SpecError("bad_period", f"period = {brief(period)}: one end has a time zone, the other has none")
    if ends[0] >= ends[1]:
        raise SpecError("bad_period", f"period = {brief(period)} is empty", hint=hint)
    return ends[0], ends[1]


def _checked(rows: pl.DataFrame, own: list[str], times: pl.Series | None, source: Source) -> pl.Series:
    """The costs as numbers, after every row has passed every rule."""
    dtype = rows.schema[COST]
    frame = rows.with_columns(number(COST, dtype).alias("__cost"), pl.lit(1).alias("__time"))
    if times is not None:
        frame = frame.with_columns(times.alias("__time"))
    rules = {"too_many_cells": pl.col(MORE).is_not_null()} if MORE in rows.columns else {}
    if CHANNEL in own:
        rules |= {"channel_missing": pl.col(CHANNEL).is_null(), "channel_empty": is_blank(CHANNEL)}
    rules |= {
        "cost_missing": pl.col(COST).is_null() | (is_blank(COST) if dtype == pl.String else pl.lit(False)),
        "cost_unparseable": pl.col("__cost").is_null(),
        "cost_not_finite": ~pl.col("__cost").is_finite(),
        "cost_negative": pl.col("__cost") < 0,
        "date_unparseable": pl.col("__time").is_null(),
    }
    first = [pl.when(broken.fill_null(value=False)).then(pl.lit(rule)) for rule, broken in rules.items()]
    broken = frame.select(pl.coalesce(first).alias("rule")).to_series()
    if broken.null_count() < len(broken):
        counts = broken.drop_nulls().value_counts().sort("count", "rule", descending=[True, False])
        at = int(broken.is_not_null().arg_max() or 0)
        shown = ", ".join(f"{column} {clean(rows[column][at], 40)!r}" for column in rows.columns if column != MORE)
        total = int(counts["count"].sum())
        raise DataError(
            "bad_costs",
            f"{total:,} of {rows.height:,} rows of {source.name} cannot be used: "
            f"{', '.join(f'{rule} {count:,}' for rule, count in counts.iter_rows())}; e.g. row {at:,} has {shown}",
            hint=_next_step(broken[at], rows, broken, source),
            rules=dict(counts.iter_rows()),
        )
    return frame["__cost"]


def _next_step(rule: str, rows: pl.DataFrame, broken: pl.Series, source: Source) -> str:
    column = next(
        (c for c in (COST, DATE, TIME) if c in rows.columns and rule.startswith(COST if c == COST else DATE)), None
    )
    looks = ""
    if column is not None and rows.schema[column] == pl.String:
        here = (broken == rule).fill_null(value=False)
        texts, others = (rows.filter(mask)[column].unique(maintain_order=True) for mask in (here, ~here))
        looks = what_they_look_like(rule, texts, beside=others.head(MOST_BESIDE), column=source.called(column))
    known = HINTS.get(rule, "mend the costs: leaving rows out would make channels look cheap")
    return "; ".join(filter(None, (looks, known)))


def sum_costs(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Costs by key; sums are rounded once, so that neither order nor threads change their last bit."""
    groups = rows.group_by(keys).agg(COST).sort(keys)
    try:
        sums = [math.fsum(costs.to_list()) for costs in groups[COST]]
        math.fsum(sums)
    except OverflowError as error:
        raise DataError("bad_costs", "the costs sum to more than the largest number there is") from error
    return groups.with_columns(pl.Series(COST, sums, pl.Float64))


def _times(dates: pl.Series, name: str) -> pl.Series:
    """Dates of costs as datetimes; null where there is none or it cannot be read."""
    if dates.dtype == pl.String:
        times, aware, naive = parse_times(dates)
        if aware and naive:
            raise mixed_zones(name, name)
        return times.dt.replace_time_zone("UTC") if aware else times
    if dates.dtype == pl.Date:
        return dates.cast(pl.Datetime("us"))
    if not isinstance(dates.dtype, pl.Datetime):
        raise DataError(
            "wrong_type", f"{name}: column {dates.name!r} is {dates.dtype}, not a datetime, a date or ISO text",
            column=dates.name,
        )  # fmt: skip
    return dates


def _inside(times: pl.Series, between: tuple[datetime, datetime], name: str) -> pl.Series:
    """Which times lie in a half-open period."""
    start, end = between
    zoned = isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone is not None
    if start.tzinfo is not None:
        if not zoned:
            raise SpecError(
                "bad_period", f"period has a time zone, but the dates of {name} have none", hint="leave the zone out"
            )
        times = times.dt.convert_time_zone("UTC")
        start, end = (moment.astimezone(UTC).replace(tzinfo=None) for moment in between)
    if zoned:
        times = times.dt.replace_time_zone(None)  # what a clock there shows
    inside = (times >= start) & (times < end)
    if not inside.any():
        raise DataError(
            "no_costs_in_period",
            f"{name}: none of {len(times):,} rows is dated from {start} to before {end}; "
            f"they are dated from {times.min()!s} to {times.max()!s}",
            hint="check the period",
        )
    return inside
