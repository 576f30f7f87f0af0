"""From purchases to one row a customer: how often, how recently, for how long, how much; and who has fallen silent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from attrib.durations import parse_duration
from attrib.errors import DataError, SpecError, warn
from attrib.io.checks import parse_times
from attrib.io.sources import open_table
from attrib.io.times import told_dates
from attrib.lifecycle.buying.models import BetaGeoNBD
from attrib.schemas import CUSTOMER, OUTCOME, TIME, VALUE, require_columns
from attrib.values import check_share

SUMMARY = ("frequency", "recency", "T")


def purchase_summary(
    outcomes: Any,
    at: date | str,
    unit: str = "w",
    target: str = "purchase",
    columns: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """Sum up each customer's purchases until a day, as BG/NBD and Gamma-Gamma take them.

    Parameters
    ----------
    outcomes : frame, str or Path
        The outcomes table: ``customer_id``, ``timestamp``; ``outcome`` and ``value`` where it has them (without: every
        row is a purchase, worth 1). Days are those of UTC.
    at : datetime.date or str
        Last day of observation, inclusive (``"1997-09-30"``); later purchases are not looked at. For predictions as of
        a snapshot date, which knows only what came before it, this is the day before.
    unit : str
        Unit of recency and T: ``"w"``, ``"d"``, or any duration such as ``"30d"``.
    target : str
        The outcome that is a purchase.
    columns : mapping of str to str, optional
        Our column names to theirs.

    Returns
    -------
    polars.DataFrame
        One row a customer with a purchase, by ``customer_id``: ``frequency`` (days with a purchase, less the first:
        several purchases of one day are one), ``recency`` (first to last of these days), ``T`` (first day to ``at``)
        and ``monetary`` (mean value of the purchases after the first; null at frequency 0). ``BetaGeoNBD().fit``,
        ``GammaGamma().fit`` and their predictions take this frame as it is.

    Raises
    ------
    DataError
        ``missing_columns``, ``bad_column``, ``no_rows``, and those of reading a table.
    SpecError
        ``bad_value``, ``bad_duration``.

    References
    ----------
    Fader, Hardie & Lee (2005). "Counting your customers" the easy way. Marketing Science 24(2).

    Examples
    --------
    >>> bought = pl.DataFrame(
    ...     {
    ...         "customer_id": ["a", "a", "a", "b"],
    ...         "timestamp": ["2024-01-01", "2024-01-15T09:00", "2024-01-15T17:00", "2024-01-08"],
    ...         "value": [10.0, 20.0, 30.0, 5.0],
    ...     }
    ... )
    >>> summary = purchase_summary(bought, at="2024-01-29")
    >>> summary.rows()
    [('a', 1, 2.0, 4.0, 50.0), ('b', 0, 0.0, 3.0, None)]
    """
    end, one = _day(at), _unit(unit)
    return _summed(_days(outcomes, end, target, columns), end, one)


def _summed(days: pl.DataFrame, end: date, one: float) -> pl.DataFrame:
    """Summary of each customer's days with a purchase, which are in order."""
    first, last = pl.col("day").first(), pl.col("day").last()
    return days.group_by(CUSTOMER, maintain_order=True).agg(
        frequency=pl.len().cast(pl.Int64) - 1,
        recency=(last - first).dt.total_days() / one,
        T=(pl.lit(end) - first).dt.total_days() / one,
        monetary=pl.col(VALUE).slice(1).mean(),
    )


def silence(
    data: Any,
    quantile: float = 0.9,
    *,
    at: date | str | None = None,
    unit: str = "w",
    target: str = "purchase",
    model: BetaGeoNBD | None = None,
    columns: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """Label customers who have been silent for longer than most gaps between purchases.

    Two different answers to "has this customer left?" stand side by side. ``silent`` is a rule: no purchase for longer
    than ``limit``, one limit for everybody, so that rare buyers look lost and frequent ones are noticed late.
    ``p_alive`` is the probability by a model of each customer's own rhythm.

    Parameters
    ----------
    data : frame, str or Path
        The result of :func:`purchase_summary`, or an outcomes table (then ``at`` is needed).
    quantile : float
        The limit is this quantile of the gaps. Of an outcomes table: all gaps between successive days with a purchase.
        Of a summary, which has no single gaps: the mean gap of each repeat buyer, as often as it has gaps.
        Gaps that are still open at the end are not among them, so the limit is rather short.
    at, unit, target, columns
        As of :func:`purchase_summary`.
    model : BetaGeoNBD, optional
        Fitted in the same time unit; adds ``p_alive``.

    Returns
    -------
    polars.DataFrame
        ``customer_id`` (where the data have it), ``silent_for`` and ``limit`` in time units, ``silent``, ``p_alive``.

    Raises
    ------
    DataError
        ``no_repeats`` if nobody bought again, and those of :func:`purchase_summary`.
    SpecError
        ``bad_value``.

    Examples
    --------
    >>> summary = pl.DataFrame({"frequency": [4, 2, 0], "recency": [20.0, 8.0, 0.0], "T": [22.0, 20.0, 3.0]})
    >>> silence(summary).rows()
    [(2.0, 5.0, False), (12.0, 5.0, True), (3.0, 5.0, False)]
    """
    check_share("quantile", quantile, key="bad_value", example="0.9")
    opened = open_table(data, "purchases", columns)
    if all(name in opened.schema for name in SUMMARY):
        summary = opened.collect()
        again = summary.filter(pl.col("frequency") > 0)
        gaps = again.select(gap=pl.col("recency") / pl.col("frequency"), n=pl.col("frequency"))
    else:
        if at is None:
            raise SpecError("bad_value", "at is missing", hint='the last day of observation, e.g. at="2024-06-30"')
        end, one = _day(at), _unit(unit)
        days = _days(data, end, target, columns)
        summary = _summed(days, end, one)
        gap = (pl.col("day").diff().over(CUSTOMER)).dt.total_days() / one
        gaps = days.select(gap=gap, n=pl.lit(1)).drop_nulls()
    if not len(gaps):
        raise DataError("no_repeats", "no customer bought again: there is no gap to measure", hint="use a longer time")
    labels = summary.select(
        *([CUSTOMER] if CUSTOMER in summary.columns else []), silent_for=pl.col("T") - pl.col("recency")
    ).with_columns(limit=pl.lit(_quantile(gaps, quantile)))
    labels = labels.with_columns(silent=pl.col("silent_for") > pl.col("limit"))
    if model is None:
        return labels
    alive = model.p_alive(*(summary[name] for name in SUMMARY))
    return labels.with_columns(p_alive=pl.Series(alive, dtype=pl.Float64))


def _quantile(gaps: pl.DataFrame, quantile: float) -> float:
    """Smallest gap that at least this share of the gaps does not exceed."""
    ordered = gaps.sort("gap").with_columns(done=pl.col("n").cum_sum())
    enough = ordered.filter(pl.col("done") >= quantile * (1 - 1e-12) * pl.col("n").sum())
    return float(enough["gap"][0])


def _days(outcomes: Any, end: date, target: str, columns: Mapping[str, str] | None) -> pl.DataFrame:
    """Days with a purchase until the end, in order: customer, day, value summed."""
    source = open_table(outcomes, "outcomes", columns)
    require_columns("outcomes", source.schema, [CUSTOMER, TIME])
    frame = source.frame.select(name for name in (CUSTOMER, TIME, OUTCOME, VALUE) if name in source.schema)
    if OUTCOME in source.schema:
        frame = frame.filter(pl.col(OUTCOME).cast(pl.String).str.strip_chars() == target)
    rows = source.collect(frame)
    day = _to_days(rows[TIME])
    value = (
        rows[VALUE].cast(pl.Float64, strict=False)
        if VALUE in rows.columns
        else pl.Series([1.0]).new_from_index(0, len(rows))
    )
    rows = pl.DataFrame({CUSTOMER: rows[CUSTOMER], "day": day, VALUE: value})
    kept = rows.filter(pl.col(CUSTOMER).is_not_null() & pl.col("day").is_not_null() & pl.col(VALUE).is_finite())
    if len(kept) < len(rows):
        warn(
            f"{len(rows) - len(kept):,} of {len(rows):,} purchases are left out: "
            f"{CUSTOMER}, {TIME} or {VALUE} is null or cannot be read"
        )
    kept = kept.filter(pl.col("day") <= end)
    if not len(kept):
        raise DataError(
            "no_rows", f"outcomes has no {target!r} until {end}", hint="check at, and target: the name of the outcome"
        )
    _warn_of_late_day(end, kept["day"])
    # cum_sum, since polars leaves out a sort before a sum: the values of a day add up the same in any order of rows
    by_day = kept.group_by(CUSTOMER, "day").agg(pl.col(VALUE).sort().cum_sum().last())
    return by_day.sort(CUSTOMER, "day")


def _warn_of_late_day(end: date, days: pl.Series) -> None:
    """Warn where the last day of observation lies years after all purchases."""
    stamps = pl.concat([days, pl.Series([end])]).cast(pl.Datetime("us")).to_physical()
    for text in told_dates([int(stamps[-1])], int(stamps.min()) - 1, int(stamps[:-1].max())):  # type: ignore[arg-type]
        warn(text)


def _to_days(times: pl.Series) -> pl.Series:
    if times.dtype == pl.String:
        times = parse_times(times)[0]
    if times.dtype == pl.Date:
        return times
    if isinstance(times.dtype, pl.Datetime):
        return (times.dt.convert_time_zone("UTC") if times.dtype.time_zone else times).dt.date()
    raise DataError(
        "bad_column", f"{TIME} of outcomes holds {times.dtype}, not times", hint="convert it to dates or ISO 8601 text"
    )


def _day(at: Any) -> date:
    if isinstance(at, str):
        try:
            return date.fromisoformat(at)
        except ValueError:
            pass
    if isinstance(at, date) and not isinstance(at, datetime):
        return at
    raise SpecError("bad_value", f"at = {at!r} is not a day", hint='the last day of observation, e.g. "2024-06-30"')


def _unit(unit: Any) -> float:
    """Days of a time unit."""
    text = f"1{unit}" if isinstance(unit, str) and unit.strip().isalpha() else unit
    length = parse_duration(text, "unit")
    if not length:
        raise SpecError("bad_duration", f"unit = {unit!r} is not a length of time", hint='e.g. "w", "d" or "30d"')
    return length / timedelta(days=1)
