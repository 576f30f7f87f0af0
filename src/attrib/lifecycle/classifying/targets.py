"""What ReferralLikelihood learns, from events: whom each customer brought, what those are worth, who was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from attrib.arguments import distinct_names
from attrib.errors import DataError, SpecError, brief, warn
from attrib.faults import nearest
from attrib.io.checks import midnights_in
from attrib.io.ids import number_of
from attrib.lifecycle.base.design import collected
from attrib.refunds import NET, Refunding
from attrib.schemas import CUSTOMER, DATE, require_columns
from attrib.snapshots.asked import EPOCH, check_durations, in_micro
from attrib.snapshots.events import AT, DONE, TOUCH, WHO, Events, read_events
from attrib.snapshots.findings import tell_of_data
from attrib.snapshots.referred import FROM, ROW, TO, brought, inside, without_repeats
from attrib.snapshots.refunded import known_at_ends
from attrib.snapshots.snapshot import tell_of_refunds
from attrib.values import read_date


def referral_targets(
    rows: Any,
    touchpoints: Any,
    outcomes: Any,
    *,
    gap: str | timedelta = "7d",
    horizon: str | timedelta = "90d",
    target: str | None = None,
    asks: str | None = None,
    randomised: bool = False,
    purchases: str | Sequence[str] = "purchase",
    end: str | date | datetime | None = None,
    columns: Mapping[str, str | Mapping[str, str]] | None = None,
    max_rejects: float = 0.05,
    refunds: str = NET,
    count_refunded: bool = False,
    day_of_outcome: str = "auto",
) -> pl.DataFrame:
    """Find for each row of a snapshot whom the customer brought afterwards, and whether they were asked to.

    The label window is (date + gap, date + gap + horizon], as in `attrib.snapshot`. Whoever is asked at the date or in
    the gap after it was asked after all that the features know, and before all that the label knows. Referrals within
    the gap do not count, not even those that the ask brought at once: where asks were drawn by lot (`randomised`), the
    label window is [date, date + horizon].

    Parameters
    ----------
    rows : frame
        Columns ``customer_id`` and ``date``: a snapshot. Leave out customers who could not have been asked.
    touchpoints, outcomes : frame, str, Path or None
        The events that the snapshot was made of. Touchpoints may be None without `asks`.
    gap, horizon : str or timedelta
        Those of the snapshot.
    target : str, optional
        Count this outcome of the customer (such as ``"referral"``, a friend advised). Without: customers brought, those
        whose first outcome row with another's ``referrer_id`` names this customer and lies in the label window.
    asks : str, optional
        Channel of the touches that ask to refer, such as ``"referral_ask"``.
    randomised : bool
        Whether asks were drawn by lot, or with chances that you know, at the dates of the rows: then labels run from
        the date, so that quick answers to the ask count, and differences between those asked and the others are what
        asking at the date adds within the horizon.
    purchases : str or sequence of str
        Outcomes whose ``value`` counts.
    end : date, optional
        Up to when the data are complete; the latest time of either table without.
    columns, max_rejects, refunds, count_refunded, day_of_outcome
        As of `attrib.snapshot`: refunds until the end of a label window are known to its label.

    Returns
    -------
    polars.DataFrame
        In the order of ``rows``: ``customer_id``, ``date``; ``label`` (1 where ``count`` > 0), ``count``; ``value``:
        what the customers brought bought within the label window, in money (without `target` only, which may count
        friends who never come); ``asked`` (with `asks`): a touch of that channel in [date, date + gap].

    Raises
    ------
    DataError
        ``open_window`` where the label window of a row passes the end of the data: nothing is known of it, and to call
        it 0 would be wrong; ``missing_columns``; ``wrong_type``; those of `attrib.snapshot`.
    SpecError
        ``bad_value``, ``bad_duration``, ``bad_date``, ``mixed_zones``.

    Examples
    --------
    >>> import polars as pl
    >>> from datetime import date
    >>> from attrib.lifecycle import referral_targets
    >>> rows = pl.DataFrame({"customer_id": [1, 2], "date": date(2024, 3, 1)})
    >>> touches = pl.DataFrame({"customer_id": [1], "timestamp": [date(2024, 3, 1)], "channel": ["ask"]})
    >>> outcomes = pl.DataFrame(
    ...     {
    ...         "customer_id": [8, 9, 9, 2],
    ...         "timestamp": [date(2024, 3, 9), date(2024, 3, 10), date(2024, 3, 20), date(2024, 7, 1)],
    ...         "outcome": ["visit", "purchase", "purchase", "purchase"],
    ...         "value": [0.0, 20.0, 10.0, 5.0],
    ...         "referrer_id": [1, 1, 1, None],
    ...     }
    ... )
    >>> referral_targets(rows, touches, outcomes, asks="ask").drop("date").rows()
    [(1, 1, 2, 30.0, True), (2, 0, 0, 0.0, False)]
    """
    _, pause, ahead = check_durations(None, gap, horizon)
    for name, text in (("target", target), ("asks", asks)):
        if text is not None and (not isinstance(text, str) or not text.strip()):
            raise SpecError("bad_value", f"{name} = {brief(text)} is not a name")
    if asks is not None and touchpoints is None:
        raise SpecError("bad_value", "asks is given, but no touchpoints", hint="asks are touches")
    if not isinstance(randomised, bool):
        raise SpecError("bad_parameter", f"randomised = {brief(randomised)} is not True or False")
    if randomised and asks is None:
        raise SpecError("bad_value", "randomised is given, but not asks", hint="name the channel that asks to refer")
    bought = distinct_names("purchases", purchases, "outcomes")
    events = read_events(
        touchpoints, outcomes, columns, (), max_rejects, Refunding(refunds, count_refunded),
        day_of_outcome=day_of_outcome,
    )  # fmt: skip
    tell_of_refunds(events)
    tell_of_data(events, (*bought, *((target,) if target else ())), summed=bought)
    until = events.latest if end is None else in_micro(read_date(end, "end"), events.zone, "end")
    wait = -1 if randomised else pause  # the instant of the date itself counts, too
    keys, windows = _windows(collected(rows), events, wait, ahead, until)
    if target is not None:
        _warn_of_name("target", target, events.outcomes[DONE], "outcome")
    parts = []
    for some, known in known_at_ends(windows, events):
        done = without_repeats(known.outcomes)
        if target is None:
            parts.append(brought(some, done, bought))
        else:
            met = inside(some, done.filter(pl.col(DONE).cast(pl.String) == target))
            parts.append(met.group_by(ROW).agg(pl.len().cast(pl.Int64).alias("count")))
    table = pl.concat(parts)
    found = windows.select(ROW).join(table, on=ROW, how="left", maintain_order="left").drop(ROW).fill_null(0)
    found = found.select((pl.col("count") > 0).cast(pl.Int8).alias("label"), pl.all())
    if asks is None:
        return pl.concat([keys, found], how="horizontal")
    _warn_of_name("asks", asks, events.touches[TOUCH], "channel")
    touched = events.touches.filter(pl.col(TOUCH).cast(pl.String) == asks)
    start = pl.col(FROM) - wait
    pairs = windows.join(touched.select(WHO, AT), on=WHO).filter(pl.col(AT) >= start, pl.col(AT) <= start + pause)
    asked = windows.select(pl.col(ROW).is_in(pairs[ROW].unique().implode()).alias("asked"))
    return pl.concat([keys, found, asked], how="horizontal")


def _windows(
    rows: pl.DataFrame, events: Events, gap: int, horizon: int, until: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Keys as they were given; and ``row``, ``who``, and the label window (``from``, ``to``] in microseconds."""
    require_columns("rows", rows.columns, [CUSTOMER, DATE])
    keys = rows.select(CUSTOMER, DATE)
    moment, ids = keys.schema[DATE], keys.schema[CUSTOMER]
    if keys.null_count().sum_horizontal().item():
        raise DataError("null_values", "rows: customer_id or date is missing in some rows")
    if not isinstance(moment, (pl.Date, pl.Datetime)):
        raise DataError("wrong_type", f"rows: column 'date' is {moment}, not a date or datetime")
    texts = ids == pl.String and events.id_type.is_integer()
    if not (ids.is_integer() or ids == pl.String) or (
        texts and keys.select(number_of(CUSTOMER).is_null().any()).item()
    ):
        raise DataError("wrong_type", f"rows: customer_id is {ids}, that of the events {events.id_type}")
    day = moment == pl.Date and events.zone is not None  # one of the zone of the events
    zoned = day or (isinstance(moment, pl.Datetime) and moment.time_zone is not None)
    if zoned != (events.zone is not None):
        raise SpecError("mixed_zones", "of the dates of rows and the times of the events, some carry a time zone")
    read = keys[DATE].cast(pl.Datetime("us", getattr(moment, "time_zone", None)))
    when = pl.lit((midnights_in(read, events.zone) if day else read).to_physical()) + gap
    who = pl.col(CUSTOMER)
    if ids.is_integer() != events.id_type.is_integer():  # whole numbers and the texts of them are one id
        who = who.cast(pl.String) if ids.is_integer() else number_of(CUSTOMER)
    who = who.cast(events.outcomes.schema[WHO], strict=False)
    windows = keys.select(who.alias(WHO), when.alias(FROM)).with_row_index(ROW)
    windows = windows.with_columns((pl.col(FROM) + horizon + (0 if gap >= 0 else -gap)).alias(TO))
    late = windows.filter(pl.col(TO) > until)
    if late.height:
        last = (EPOCH + timedelta(microseconds=until)).astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
        raise DataError(
            "open_window",
            f"the label windows of {late.height:,} of {keys.height:,} rows pass the end of the data, {last}",
            hint="earlier dates, or a shorter horizon",
            rows=late.height,
        )
    return keys, windows


def _warn_of_name(argument: str, name: str, found: pl.Series, what: str) -> None:
    known = found.cast(pl.String).unique().sort().to_list()
    if name not in known:
        warn(f"{argument}: no {what} is called {name!r}{nearest(name, known)}; found: {', '.join(known) or 'none'}")
