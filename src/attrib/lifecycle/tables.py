"""The rows that models learn from, are judged by, and score: snapshots or purchase histories of a job's data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from attrib.durations import parse_duration
from attrib.errors import DataError, SpecError, warn
from attrib.io.sources import InlineOutcome
from attrib.lifecycle.buying.purchases import purchase_summary
from attrib.schemas import CUSTOMER, DATE, STAGE
from attrib.snapshots.asked import EPOCH
from attrib.snapshots.events import AT, BROUGHT_BY, TOUCH, WHO, Events, read_events
from attrib.snapshots.snapshot import first_referrals, snapshot
from attrib.values import read_date

LABELS = ("label", "duration", "event", "count")
ACQUISITION = "acquisition_channel"
GROUPS = (STAGE, ACQUISITION, "persona")
_DAY = timedelta(days=1)
_TOUCHES = "touches:"


@dataclass(frozen=True, slots=True)
class EventTables:
    """Where the events of a job are, and how they are read."""

    touchpoints: Any
    outcomes: Any
    columns: Mapping[str, Any] | None = None
    max_rejects: float = 0.05
    duplicates: str = "drop"

    def events(self) -> Events:
        """Read both tables."""
        return read_events(self.touchpoints, self.outcomes, self.columns, (), self.max_rejects)


@dataclass(frozen=True, slots=True)
class Rows:
    """Customers at dates.

    Attributes
    ----------
    keys : polars.DataFrame
        ``customer_id``, ``date``.
    features : polars.DataFrame
    labels : polars.DataFrame
        Those of `LABELS` that the question has; none for scoring.
    groups : polars.DataFrame
        Columns that a model may fail a value of: the stage, the channel of acquisition, the persona, where known.
    """

    keys: pl.DataFrame
    features: pl.DataFrame
    labels: pl.DataFrame
    groups: pl.DataFrame = field(default_factory=pl.DataFrame)


@dataclass(frozen=True, slots=True)
class Dates:
    """Dates to learn from and dates to be judged at, whose labels begin after all that was learned is over."""

    train: tuple[datetime, ...]
    test: tuple[datetime, ...]


def split_dates(asked: Mapping[str, Any], latest: datetime, zone: str | None = None) -> Dates:
    """Choose the dates of a ``[snapshot]``.

    Given ``at``, the last ``test_dates`` of them are for the test, and those whose label window is over before the
    first of these are for training; a warning names those between. Otherwise the last test date is the last midnight
    whose label window the data hold, and dates go back from it by ``every``.

    Examples
    --------
    >>> asked = {"gap": "7d", "horizon": "30d", "every": "30d", "dates": 2, "test_dates": 1, "at": ()}
    >>> found = split_dates(asked, datetime(2024, 6, 30, 12))
    >>> [day.date().isoformat() for day in (*found.train, *found.test)]
    ['2024-03-17', '2024-04-16', '2024-05-24']
    """
    ahead, step = _ahead(asked), parse_duration(asked["every"], "every")
    if not step:
        raise SpecError("bad_duration", f"every = {asked['every']!r} is not a length of time", hint='e.g. "30d"')
    tests: int = asked["test_dates"]
    if asked["at"]:
        dates = sorted({on_clock(read_date(text, "at"), zone) for text in asked["at"]})
        if tests >= len(dates):
            hint = "name more dates, or set test_dates to 0 (then nothing is held out)"
            raise SpecError(
                "bad_value", f"{len(dates)} dates leave none to learn from beside {tests} of test", hint=hint
            )
        test = dates[len(dates) - tests :]
        train = [day for day in dates if not test or day + ahead < test[0]]
        between = [day for day in dates if day not in train and day not in test]
        if between:
            named = ", ".join(day.isoformat(sep=" ") for day in between[:3])
            warn(f"{len(between)} dates are left out, for their labels reach into the test: {named}")
        if not train:
            raise SpecError("bad_value", "no date is over before the test begins", hint="name earlier dates")
        return Dates(tuple(train), tuple(test))
    last = (latest - ahead).replace(hour=0, minute=0, second=0, microsecond=0)
    test = [last - number * step for number in range(tests)]
    newest = test[-1] - ahead - _DAY if test else last
    train = [newest - number * step for number in range(asked["dates"])]
    return Dates(tuple(sorted(train)), tuple(sorted(test)))


def end_of(events: Events) -> datetime:
    """When the data end, on the clock of their time zone."""
    return on_clock(EPOCH + timedelta(microseconds=events.latest), events.zone)


def on_clock(moment: datetime, zone: str | None) -> datetime:
    """Drop the time zone of a moment, after going over to that of the data."""
    if moment.tzinfo is None:
        return moment
    return moment.astimezone(UTC if zone in (None, "UTC") else ZoneInfo(str(zone))).replace(tzinfo=None)


def label_end(asked: Mapping[str, Any], day: datetime) -> datetime:
    """When the labels of a date are over."""
    return day + _ahead(asked)


def rows_at(
    tables: EventTables,
    events: Events,
    asked: Mapping[str, Any],
    dates: Sequence[datetime],
    purpose: str,
    *,
    end: datetime | None = None,
    referrals: bool = False,
    groups: bool = False,
) -> Rows:
    """Make snapshots.

    Parameters
    ----------
    tables, events : EventTables, Events
        The data, and what was read of them.
    asked : mapping
        ``[snapshot]``, and ``channels`` where a model fixes them.
    dates : sequence of datetime
    purpose : {"train", "survival", "score"}
    end : datetime, optional
        Later events are not looked at.
    referrals : bool
        Whether the label is the number of customers brought in the label window, by ``referrer_id``.
    groups : bool
        Whether ``groups`` are wanted.

    Raises
    ------
    DataError
        ``no_rows`` where no customer has an event before the dates; those of `attrib.snapshot`.
    """
    keys = ("window", "gap", "horizon", "target", "churn", "active_only", "purchases", "stages", "max_channels")
    more = {name: asked[name] for name in (*keys, "features")} | {"channels": asked.get("channels")}
    known = None if end is None else [day for day in dates if day <= end]
    table = snapshot(
        tables.touchpoints, tables.outcomes, at=list(known or dates), purpose=purpose, end=end,
        duplicates=tables.duplicates, columns=tables.columns, max_rejects=tables.max_rejects, **more,
    )  # fmt: skip
    if table.is_empty():
        named = ", ".join(day.isoformat(sep=" ") for day in list(dates)[:3])
        raise DataError("no_rows", f"no customer can be looked at on {named}", hint="other dates, or a longer history")
    if referrals and purpose != "score":
        table = _with_referrals(table, events, asked)
    labels = [name for name in LABELS if name in table.columns and purpose != "score"]
    features = table.drop(CUSTOMER, DATE, *labels)
    found = _groups(table, events) if groups else pl.DataFrame()
    return Rows(table.select(CUSTOMER, DATE), features, table.select(labels), found)


def channels_of(features: pl.DataFrame) -> list[str]:
    """Channels with columns of their own, to be given again when others are scored."""
    named = [name.removeprefix(_TOUCHES) for name in features.columns if name.startswith(_TOUCHES)]
    return named[:-1]  # the last one is that of all others


def purchases_at(tables: EventTables, asked: Mapping[str, Any], moment: datetime) -> pl.DataFrame:
    """One row a customer who bought before a date: their history, see `purchase_summary`."""
    if isinstance(tables.outcomes, InlineOutcome):
        hint = "name a file of outcomes in [input]"
        raise SpecError("bad_value", "models of purchases do not read flagged touchpoints", hint=hint)
    columns = dict(tables.columns or {})
    mine = columns.get("outcomes", {})
    flat = {ours: theirs for ours, theirs in columns.items() if isinstance(theirs, str)} | mine
    day: date = (moment - timedelta(microseconds=1)).date()
    return purchase_summary(tables.outcomes, day, asked["unit"], asked["target"], flat or None)


def _ahead(asked: Mapping[str, Any]) -> timedelta:
    return (parse_duration(asked["gap"], "gap") or timedelta()) + (parse_duration(asked["horizon"], "horizon") or _DAY)


def _with_referrals(table: pl.DataFrame, events: Events, asked: Mapping[str, Any]) -> pl.DataFrame:
    """Count whom each customer brought in the label window."""
    if BROUGHT_BY not in events.outcomes.columns:
        hint = "give the outcomes a column referrer_id, or name an outcome as target"
        raise DataError("missing_columns", "outcomes has no referrer_id: nobody is known to refer", hint=hint)
    brought = first_referrals(events.outcomes)
    gap = (parse_duration(asked["gap"], "gap") or timedelta()) // timedelta(microseconds=1)
    ahead = _ahead(asked) // timedelta(microseconds=1)
    when = pl.col(DATE).dt.cast_time_unit("us").to_physical()
    mine = brought.select(pl.col("by").cast(events.id_type).alias(CUSTOMER), AT)
    pairs = table.select(CUSTOMER, DATE, start=when).join(mine, on=CUSTOMER)
    inside = pairs.filter(pl.col(AT) > pl.col("start") + gap, pl.col(AT) <= pl.col("start") + ahead)
    counts = inside.group_by(CUSTOMER, DATE).agg(pl.len().cast(pl.Int64).alias("count"))
    joined = table.join(counts, on=[CUSTOMER, DATE], how="left", maintain_order="left")
    return joined.with_columns(pl.col("count").fill_null(0)).with_columns(
        (pl.col("count") > 0).cast(pl.Int8).alias("label")
    )


def _groups(table: pl.DataFrame, events: Events) -> pl.DataFrame:
    """What a customer's stage, first channel and persona are at the date."""
    first = events.touches.sort(AT, TOUCH).group_by(WHO, maintain_order=True).first()
    first = first.select(pl.col(WHO).cast(events.id_type).alias(CUSTOMER), AT, pl.col(TOUCH).cast(pl.String))
    joined = table.join(first, on=CUSTOMER, how="left", maintain_order="left")
    when = pl.col(DATE).dt.cast_time_unit("us").to_physical()
    known: dict[str, pl.Expr] = {ACQUISITION: pl.when(pl.col(AT) < when).then(TOUCH)}
    for name in GROUPS:
        for own in (name, f"last:{name}"):
            if own in table.columns:
                known[name] = pl.col(own).cast(pl.String)
    return joined.select(expression.fill_null("(none)").alias(name) for name, expression in known.items())
