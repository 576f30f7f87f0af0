"""From purchases to one row a customer: how often, how recently, for how long, how much; and who has fallen silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from attrib.durations import parse_duration
from attrib.errors import DataError, SpecError, brief, warn
from attrib.io.collecting import collect_source
from attrib.io.days import START
from attrib.io.ids import sort_by_id
from attrib.io.mapping import check_mapping, read_columns
from attrib.io.sources import Source, open_table
from attrib.io.tables import required
from attrib.io.times import told_dates
from attrib.lifecycle.base.beside import read_flags
from attrib.lifecycle.buying.leaving import CANCELLED, mark_cancelled, read_names
from attrib.lifecycle.buying.purchasing import PurchaseModel
from attrib.refunds import NET, Refunding, told_if_kept
from attrib.schemas import CHANNEL, CUSTOMER, OUTCOME, TIME, VALUE
from attrib.snapshots.events import DONE, MONEY, OF_ORDER, ON_DAY, WHO, Events, on_day, read_events
from attrib.snapshots.findings import likely_to_take_back, tell_of_data
from attrib.snapshots.referred import without_repeats
from attrib.snapshots.refunded import netted
from attrib.values import check_share, one_name

SUMMARY = ("frequency", "recency", "T")
_UNITS = {"w": "week", "d": "da", "h": "hour", "30d": "month", "90d": "quarter", "365d": "year"}  # as people write them


def purchase_summary(
    outcomes: Any,
    at: date | str,
    unit: str = "w",
    target: str = "purchase",
    columns: Mapping[str, str] | None = None,
    *,
    refunds: str = NET,
    count_refunded: bool = False,
    cancelled: str | Sequence[str] | None = None,
) -> pl.DataFrame:
    """Sum up each customer's purchases until a day, as BG/NBD and Gamma-Gamma take them.

    Parameters
    ----------
    outcomes : frame, str or Path
        The outcomes table: ``customer_id``, ``timestamp``; ``outcome``, ``value`` and ``order_id`` where it has them
        (without: every row is a purchase, worth 1); of a repeated ``event_id`` the first row counts. Days are those of
        the column's time zone, or of the clock of each text. Read as snapshots read it, with the same warnings.
    at : datetime.date or str
        Last day of observation, inclusive (``"1997-09-30"``); later purchases are not looked at. For predictions as of
        a snapshot date, which knows only what came before it, this is the day before.
    unit : str
        Unit of recency and T: ``"w"``, ``"d"``, or any duration such as ``"30d"``.
    target : str
        The outcome that is a purchase.
    columns : mapping of str to str, optional
        Our column names to theirs.
    refunds : {"net", "keep"}
        Rows of negative value: ``"net"`` takes those until ``at`` off the purchases that they belong to (those of their
        ``order_id``, else the latest earlier ones), and one with nothing left is no purchase; ``"keep"`` takes them for
        purchases like others.
    count_refunded : bool
        Whether purchases refunded in full stay, with value 0.
    cancelled : str or sequence of str, optional
        The outcomes that end the relation, such as ``"cancel"``; ``()`` where none does. Without, outcomes that sound
        like it are warned of: customers who have cancelled would count as customers still.

    Returns
    -------
    polars.DataFrame
        One row a customer with a purchase, by ``customer_id``: ``frequency`` (days with a purchase, less the first:
        several purchases of one day are one), ``recency`` (first to last of these days), ``T`` (first day to ``at``)
        and ``monetary`` (mean value of the purchases after the first; null at frequency 0). ``BetaGeoNBD().fit``,
        ``GammaGamma().fit`` and their predictions take this frame as it is. With `cancelled` also ``cancelled``:
        whether such an outcome is dated until ``at``, and no purchase to a later day.

    Raises
    ------
    DataError
        ``missing_columns``, ``wrong_type``, ``mixed_zones``, ``several_currencies``, ``no_rows``, and those of reading
        a table.
    SpecError
        ``bad_value``, ``bad_duration``; ``unknown_outcome`` for a slip of a name in `cancelled`.

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
    end, one, names, refunding = _day(at), _unit(unit), read_names(cancelled), Refunding(refunds, count_refunded)
    source = _opened(outcomes, "outcomes", columns)
    events = _read(source, target, refunding)
    days = _days(events, end, target)
    return mark_cancelled(_summed(days, end, one), days, _named(events, source), end, names, target)


def summed_up(
    events: Events, at: date, unit: str, target: str, cancelled: str | Sequence[str] | None = None
) -> pl.DataFrame:
    """Sum up as `purchase_summary` does what was read, and told of, before; days are those of the events' zone."""
    days = _days(events, at, target, tell=False)
    events = replace(events, outcomes=events.outcomes.with_columns(on_day(events.zone)))
    outcomes = events.outcomes.select(_who(events), ON_DAY, pl.col(DONE).cast(pl.String).alias(OUTCOME))
    return mark_cancelled(_summed(days, at, _unit(unit)), days, outcomes, at, read_names(cancelled), target)


def _opened(data: Any, name: str, columns: Mapping[str, str] | None) -> Source:
    """Open a table whose columns a caller may have named."""
    named = read_columns(columns)
    source = open_table(data, name, named)
    check_mapping(named, (source,))
    return source


def _named(events: Events, source: Source) -> pl.DataFrame | None:
    """Customers, days and names of all outcomes; None where the table has no names."""
    if OUTCOME not in source.schema:
        return None
    return events.outcomes.select(_who(events), ON_DAY, pl.col(DONE).cast(pl.String).alias(OUTCOME))


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
    model: PurchaseModel | None = None,
    columns: Mapping[str, str] | None = None,
    refunds: str = NET,
    count_refunded: bool = False,
    cancelled: str | Sequence[str] | None = None,
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
    at, unit, target, columns, refunds, count_refunded, cancelled
        As of :func:`purchase_summary`; a summary may have the column ``cancelled``.
    model : BetaGeoNBD, ModifiedBetaGeoNBD or ParetoNBD, optional
        Fitted in the same time unit; adds ``p_alive``.

    Returns
    -------
    polars.DataFrame
        ``customer_id`` (where the data have it), ``silent_for`` and ``limit`` in time units, ``silent``, ``p_alive``.
        Where it is known who has cancelled, also ``cancelled``; of these, ``silent`` is null: they have left, and are
        not asked whether they have fallen silent.

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
    opened = _opened(data, "purchases", columns)
    if all(name in opened.schema for name in SUMMARY):
        summary = collect_source(opened)
        again = summary.filter(pl.col("frequency") > 0)
        gaps = again.select(gap=pl.col("recency") / pl.col("frequency"), n=pl.col("frequency"))
    else:
        if at is None:
            raise SpecError("bad_value", "at is missing", hint='the last day of observation, e.g. at="2024-06-30"')
        end, one, names = _day(at), _unit(unit), read_names(cancelled)
        source = replace(opened, name="outcomes")
        events = _read(source, target, Refunding(refunds, count_refunded))
        days = _days(events, end, target)
        summary = mark_cancelled(_summed(days, end, one), days, _named(events, source), end, names, target)
        gap = (pl.col("day").diff().over(CUSTOMER)).dt.total_days() / one
        gaps = days.select(gap=gap, n=pl.lit(1)).drop_nulls()
    if not len(gaps):
        raise DataError("no_repeats", "no customer bought again: there is no gap to measure", hint="use a longer time")
    labels = summary.select(
        *([CUSTOMER] if CUSTOMER in summary.columns else []), silent_for=pl.col("T") - pl.col("recency")
    ).with_columns(limit=pl.lit(_quantile(gaps, quantile)))
    labels = labels.with_columns(silent=pl.col("silent_for") > pl.col("limit"))
    gone = None
    if CANCELLED in summary.columns:
        gone = pl.Series(CANCELLED, read_flags(CANCELLED, summary[CANCELLED], null=False))
        labels = labels.with_columns(gone).with_columns(silent=pl.when(~pl.col(CANCELLED)).then("silent"))
    if model is None:
        return labels
    if not callable(getattr(model, "p_alive", None)):
        raise SpecError("bad_value", f"model is a {type(model).__name__}, not a fitted BetaGeoNBD or one of its kind")
    x, last, end_of = (summary[name] for name in SUMMARY)
    alive = model.p_alive(x, last, end_of, gone)
    return labels.with_columns(p_alive=pl.Series(alive, dtype=pl.Float64))


def _quantile(gaps: pl.DataFrame, quantile: float) -> float:
    """Smallest gap that at least this share of the gaps does not exceed."""
    ordered = gaps.sort("gap").with_columns(done=pl.col("n").cum_sum())
    enough = ordered.filter(pl.col("done") >= quantile * (1 - 1e-12) * pl.col("n").sum())
    return float(enough["gap"][0])


def _read(source: Source, target: str, refunding: Refunding) -> Events:
    """Read outcomes as snapshots do; where they have no names, all are purchases."""
    one_name("target", target)
    required(source, [CUSTOMER, TIME], hint="map your names to ours with columns")
    if OUTCOME not in source.schema:
        if CHANNEL in source.schema and VALUE not in source.schema:
            warn(
                "the table has a column channel and neither outcome nor value: each row counts as a purchase; are "
                "these touchpoints? Then give the outcomes instead"
            )
        schema = pl.Schema({**source.schema, OUTCOME: pl.String()})
        source = replace(source, frame=source.frame.with_columns(pl.lit(target).alias(OUTCOME)), schema=schema)
    # any share of rows may be rejected, with a warning that counts them: they are left out
    return read_events(None, source, None, (), 1.0, refunding, (target,), START, by_clock=True)


def _days(events: Events, end: date, target: str, *, tell: bool = True) -> pl.DataFrame:
    """Days with a purchase until the end, in order: customer, day, value summed."""
    if ON_DAY not in events.outcomes.columns:
        events = replace(events, outcomes=events.outcomes.with_columns(on_day(events.zone)))
    if tell:
        tell_of_data(events, (target,))
        _tell_of_others(events, target)
    bought = events.outcomes.filter(pl.col(DONE).cast(pl.String) == target, pl.col(ON_DAY) <= end)
    if not len(bought):
        raise DataError(
            "no_rows", f"outcomes has no {target!r} until {end}", hint="check at, and target: the name of the outcome"
        )
    _warn_of_late_day(end, bought[ON_DAY])
    kept = _without_refunds(bought, events, tell=tell)
    # cum_sum, since polars leaves out a sort before a sum: the values of a day add up the same in any order of rows
    by_day = kept.group_by(_who(events), pl.col(ON_DAY).alias("day")).agg(
        pl.col(MONEY).sort().cum_sum().last().alias(VALUE)
    )
    return sort_by_id(by_day, CUSTOMER, "day")


def _who(events: Events) -> pl.Expr:
    """Customers as the table names them."""
    own = events.tables["outcomes"].schema[CUSTOMER]
    return pl.col(WHO).cast(own if own.is_integer() and events.id_type.is_integer() else events.id_type).alias(CUSTOMER)


def _tell_of_others(events: Events, target: str) -> None:
    """Warn of outcomes that may take purchases back."""
    likely = likely_to_take_back(events, [target])
    if likely is not None:
        warn(likely)


def _without_refunds(bought: pl.DataFrame, events: Events, *, tell: bool) -> pl.DataFrame:
    """Purchases, each event once, less what was refunded of them."""
    negative = int((bought[MONEY] < 0).sum())
    if negative and not events.refunding.net and tell:
        warn(told_if_kept(negative))
    if not negative or not events.refunding.net:
        return without_repeats(bought)
    rows, account = netted(bought, events, drop=True)
    if tell:
        warn(account.told(count_refunded=events.refunding.count_refunded, with_ids=OF_ORDER in bought.columns))
    if not len(rows):
        hint = 'count_refunded = true keeps them, with value 0; refunds = "keep" takes negative values for purchases'
        raise DataError("no_rows", "no purchase is left: all were refunded in full", hint=hint)
    return rows


def _warn_of_late_day(end: date, days: pl.Series) -> None:
    """Warn where the last day of observation lies years after all purchases."""
    stamps = pl.concat([days, pl.Series([end])]).cast(pl.Datetime("us")).to_physical()
    for text in told_dates([int(stamps[-1])], int(stamps.min()) - 1, int(stamps[:-1].max())):  # type: ignore[arg-type]
        warn(text)


def _day(at: Any) -> date:
    if isinstance(at, str):
        try:
            return date.fromisoformat(at)
        except ValueError:
            pass
    if isinstance(at, date) and not isinstance(at, datetime):
        return at
    raise SpecError(
        "bad_value", f"at = {brief(at)} is not a day", hint='the last day of observation, e.g. "2024-06-30"'
    )


def _unit(unit: Any) -> float:
    """Days of a time unit."""
    text = f"1{unit.strip()}" if isinstance(unit, str) and unit.strip().isalpha() else unit
    try:
        length = parse_duration(text, "unit")
    except SpecError:
        length = None
    if not length:
        raise SpecError("bad_duration", f"unit = {brief(unit)} is not a length of time", hint=_unit_hint(unit))
    return length / timedelta(days=1)


def _unit_hint(unit: Any) -> str:
    """How to write a unit of time that is written out, such as week."""
    word = unit.strip().lower() if isinstance(unit, str) else ""
    for short, of in _UNITS.items():
        if word.startswith(of):
            return f'write unit="{short}"'
    return 'e.g. "w" (weeks), "d" (days) or "30d"'
