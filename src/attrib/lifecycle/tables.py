"""The rows that models learn from, are judged by, and score: snapshots or purchase histories of a job's data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from attrib.durations import parse_duration
from attrib.errors import DataError, SpecError, brief, warn
from attrib.faults import nearest
from attrib.lifecycle.buying.leaving import CANCELLED
from attrib.lifecycle.buying.purchases import summed_up
from attrib.schemas import CUSTOMER, DATE, STAGE
from attrib.snapshots.asked import EPOCH, EVERYONE, SILENT, Wish, check_model
from attrib.snapshots.events import AT, DONE, OWN, TOUCH, WHO, Events
from attrib.snapshots.findings import likely_to_take_back, tell_of_data
from attrib.snapshots.leaving import settled
from attrib.snapshots.referred import FROM, ROW, TO, brought, without_repeats
from attrib.snapshots.refunded import known_at_ends
from attrib.snapshots.snapshot import describe, population_of, tell_of_refunds
from attrib.values import read_date

LABELS = ("label", "duration", "event", "count", "value_brought")
ACQUISITION = "acquisition_channel"
GROUPS = (STAGE, ACQUISITION, "persona")
_DAY = timedelta(days=1)
_TOUCHES = "touches:"
_TOO_SHORT = "other dates (at), a shorter gap or horizon, or a longer history"


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
    left : mapping of str to int
        How many rows were left out for which reason, see `attrib.snapshots.snapshot.describe`.
    """

    keys: pl.DataFrame
    features: pl.DataFrame
    labels: pl.DataFrame
    groups: pl.DataFrame = field(default_factory=pl.DataFrame)
    left: Mapping[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, Any]:
        """What the record of a run tells of them."""
        return {"rows": self.keys.height, "left_out": dict(self.left)}


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


def start_of(events: Events) -> datetime:
    """When the data start, on the clock of their time zone."""
    return on_clock(EPOCH + timedelta(microseconds=events.earliest), events.zone)


def end_of(events: Events) -> datetime:
    """When the data end, on the clock of their time zone."""
    return on_clock(EPOCH + timedelta(microseconds=events.latest), events.zone)


def next_midnight(moment: datetime) -> datetime:
    """Return the first midnight after a moment: of the last event, so that everything is known by then.

    Examples
    --------
    >>> next_midnight(datetime(2024, 6, 30)), next_midnight(datetime(2024, 6, 30, 23, 59))
    (datetime.datetime(2024, 7, 1, 0, 0), datetime.datetime(2024, 7, 1, 0, 0))
    """
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY


def on_clock(moment: datetime, zone: str | None) -> datetime:
    """Drop the time zone of a moment, after going over to that of the data."""
    if moment.tzinfo is None:
        return moment
    return moment.astimezone(UTC if zone in (None, "UTC") else ZoneInfo(str(zone))).replace(tzinfo=None)


def label_end(asked: Mapping[str, Any], day: datetime) -> datetime:
    """When the labels of a date are over."""
    return day + _ahead(asked)


def tell_of_tables(events: Events, asked: Mapping[str, Any], ignore: Collection[str], *, drop: bool) -> None:
    """Warn of what is found in the tables of a model, see `attrib.snapshots.findings`, and of refunds.

    ``asked``: what its rows are, by the model file; ``ignore``: keys of findings that nobody wants to be told of;
    ``drop``: whether a repeated event counts once.
    """
    tell_of_refunds(events)
    churn, model = asked.get("churn"), check_model(asked.get("stages"))
    summed = [*asked["purchases"]] if "purchases" in asked else [str(asked["target"])]
    ends = [*(asked.get(CANCELLED) or ()), *([churn] if churn and churn != SILENT else ())]
    named = [*summed, asked.get("target"), *ends, *(model.outcomes if model else ())]
    used = list(dict.fromkeys(str(name) for name in named if name))
    tell_of_data(events, used, summed=summed, ignore=ignore, drop=drop)
    if (likely := likely_to_take_back(events, used)) is not None:
        warn(likely)


def check_outcomes(events: Events, asked: Mapping[str, Any], kind: str) -> None:
    """Check that the outcome that a model is about occurs: without it nothing can be learned, or judged.

    Raises
    ------
    SpecError
        ``unknown_outcome``, with the outcomes that occur.
    """
    found = events.names
    for name in asked.get("cancelled") or ():
        if name not in found and (slip := nearest(name, found)):
            known = f"outcomes that occur: {', '.join(found) or 'none'}"
            raise SpecError("unknown_outcome", f"cancelled: no outcome is called {brief(name)}{slip}", hint=known)
    for key in ("target", "churn"):
        name = asked.get(key)
        if name is None or name in found or (key == "churn" and name == SILENT):
            continue
        slip = nearest(name, found)
        elsewhere = asked["target"] is not None or kind == "referral_likelihood"
        if key == "churn" and elsewhere and not slip:
            continue  # nobody has left: the label is about something else, and the snapshot warns
        known = f"outcomes that occur: {', '.join(found) or 'none'}"
        if key == "churn" and not slip:
            known += '; where none ends the relation, churn = "silent" asks a churn_classifier who will do nothing more'
        raise SpecError(
            "unknown_outcome", f"{key} = {brief(name)}: no outcome of the data is called so{slip}", hint=known
        )


def settle_population(events: Events, asked: dict[str, Any], kind: str) -> None:
    """Say who is looked at and who has left, where the model file does not: scores will be of the same kind of rows.

    Raises
    ------
    SpecError
        ``unknown_outcome``, see `population_of`.
    """
    if asked["population"] is None and kind == "referral_likelihood":
        asked["population"] = EVERYONE
    wish = _wish(asked, [EPOCH.replace(tzinfo=None)], "train")
    asked["population"] = population_of(events, wish)
    # of nothing found nothing is kept: the data to be scored may hold some
    asked["cancelled"] = settled(events, wish).cancelled or asked["cancelled"]


def _wish(asked: Mapping[str, Any], dates: Sequence[datetime], purpose: str, **more: Any) -> Wish:
    keys = ("window", "gap", "horizon", "target", "churn", "cancelled", "population", "active_only", "purchases",
            "stages", "max_channels", "features")  # fmt: skip
    named = {name: asked[name] for name in keys} | {"channels": asked.get("channels")}
    return Wish.of(at=list(dates), purpose=purpose, **({"end": None, "duplicates": "drop"} | named | more))


def rows_at(
    events: Events,
    asked: Mapping[str, Any],
    dates: Sequence[datetime],
    purpose: str,
    *,
    end: datetime | None = None,
    duplicates: str = "drop",
    referrals: bool = False,
    groups: bool = False,
) -> Rows:
    """Make snapshots.

    Parameters
    ----------
    events : Events
        Of the data, with the own columns that ``asked["features"]`` names first.
    asked : mapping
        ``[snapshot]``, and ``channels`` where a model fixes them.
    dates : sequence of datetime
    purpose : {"train", "survival", "score"}
    end : datetime, optional
        Later events are not looked at.
    duplicates : {"drop", "keep"}
    referrals : bool
        Whether the label is the number of customers brought in the label window, by ``referrer_id``.
    groups : bool
        Whether ``groups`` are wanted.

    Raises
    ------
    DataError
        ``no_rows`` where no customer has an event before the dates; those of `attrib.snapshot`.
    """
    known = None if end is None else [day for day in dates if day <= end]
    wish = _wish(asked, known or dates, purpose, end=end, duplicates=duplicates)
    if referrals and purpose != "score":  # churn says who is not asked, and the label is found below
        wish = replace(wish, kind="elsewhere", outcome=None, population=wish.population or EVERYONE)
    table, left = describe(events.without_own(len(wish.features)), wish)
    if table.is_empty():
        named = ", ".join(day.isoformat(sep=" ") for day in list(dates)[:3])
        span = f"the data reach from {start_of(events):%Y-%m-%d} to {end_of(events):%Y-%m-%d}"
        span += "".join(f"; left out: {reason} {count:,}" for reason, count in left.items())
        if purpose == "train" and min(dates) + _ahead(asked) > (end or end_of(events)):
            span += f", and labels look {_ahead(asked).days} days ahead (gap and horizon)"
        raise DataError("no_rows", f"no customer can be looked at on {named}: {span}", hint=_TOO_SHORT)
    if referrals and purpose != "score":
        table = _with_referrals(table, events, asked)
    labels = [name for name in LABELS if name in table.columns and purpose != "score"]
    features = table.drop(CUSTOMER, DATE, *labels)
    found = _groups(table, events) if groups else pl.DataFrame()
    return Rows(table.select(CUSTOMER, DATE), features, table.select(labels), found, left)


def channels_of(features: pl.DataFrame) -> list[str]:
    """Channels with columns of their own, to be given again when others are scored."""
    named = [name.removeprefix(_TOUCHES) for name in features.columns if name.startswith(_TOUCHES)]
    return named[:-1]  # the last one is that of all others


def purchases_at(events: Events, asked: Mapping[str, Any], moment: datetime, *, tell: bool = False) -> pl.DataFrame:
    """One row a customer who bought before a date: their history, see `purchase_summary`.

    ``tell``: whether to warn of outcomes that sound like the end of the relation where ``asked`` does not name any;
    commands look at several dates, and warn once.
    """
    day: date = (moment - timedelta(microseconds=1)).date()
    named = asked.get(CANCELLED)
    if not tell:
        named = [name for name in named or () if name in events.names]  # a slip was told of already
    return summed_up(events, day, asked["unit"], asked["target"], named)


def _ahead(asked: Mapping[str, Any]) -> timedelta:
    return (parse_duration(asked["gap"], "gap") or timedelta()) + (parse_duration(asked["horizon"], "horizon") or _DAY)


def _with_referrals(table: pl.DataFrame, events: Events, asked: Mapping[str, Any]) -> pl.DataFrame:
    """Count whom each customer brought in the label window, and what those bought in it."""
    microsecond = timedelta(microseconds=1)
    gap = (parse_duration(asked["gap"], "gap") or timedelta()) // microsecond
    when = pl.col(DATE).dt.cast_time_unit("us").to_physical()
    windows = table.select(
        pl.col(CUSTOMER).cast(events.outcomes.schema[WHO]).alias(WHO),
        (when + gap).alias(FROM),
        (when + _ahead(asked) // microsecond).alias(TO),
    ).with_row_index(ROW)
    parts = [
        brought(some, without_repeats(known.outcomes), asked["purchases"])
        for some, known in known_at_ends(windows, events)
    ]
    found = pl.concat(parts)
    amounts = windows.select(ROW).join(found, on=ROW, how="left", maintain_order="left").drop(ROW).fill_null(0)
    amounts = amounts.rename({"value": "value_brought"})  # the snapshot has a value of its own
    return table.hstack(amounts).with_columns((pl.col("count") > 0).cast(pl.Int8).alias("label"))


def treated(
    rows: Rows, events: Events, own: Sequence[str], asked: Mapping[str, Any], ask: Mapping[str, Any]
) -> tuple[Rows, pl.Series, pl.Series | float | None]:
    """Tell who was asked to refer from the date to the end of the gap, and with what chance.

    Parameters
    ----------
    rows : Rows
        Training rows; those of dates at which nobody was asked, and of customers without a known chance, are left out.
    events : Events
    own : sequence of str
        Columns of the touchpoints that were read as the callers' own.
    asked, ask : mapping
        ``[snapshot]`` and ``[asked]``.

    Returns
    -------
    (rows, asked, propensity)
        The last one None where ``[asked]`` names none.

    Raises
    ------
    SpecError
        ``unknown_name`` where what marks being asked does not occur.
    DataError
        ``nobody_asked`` at any of the dates; ``no_support`` where no customer has a known chance.
    """
    gap = (parse_duration(asked["gap"], "gap") or timedelta()) // timedelta(microseconds=1)
    kind = next(name for name in ("channel", "interaction", "outcome") if ask[name] is not None)
    column = {"channel": TOUCH, "outcome": DONE}.get(kind) or _own(own, "interaction")
    source = events.outcomes if kind == "outcome" else events.touches
    names = source[column].cast(pl.String).drop_nulls().unique().sort().to_list()
    if ask[kind] not in names:
        slip = nearest(ask[kind], names)
        hint = f"found: {', '.join(names[:20]) or 'none'}"
        raise SpecError("unknown_name", f"[asked] {kind} = {ask[kind]!r} does not occur{slip}", hint=hint)
    asks = _known_ids(source.filter(pl.col(column).cast(pl.String) == ask[kind]), events).select(CUSTOMER, AT)
    keys = rows.keys.with_row_index("row").with_columns(pl.col(DATE).dt.cast_time_unit("us").to_physical().alias("at"))
    met = keys.join(asks, on=CUSTOMER).filter(pl.col(AT) >= pl.col("at"), pl.col(AT) <= pl.col("at") + gap)
    keys = keys.with_columns(pl.col("row").is_in(met["row"].unique().to_list()).alias("asked"))
    kept = pl.col("asked").any().over(DATE)
    dates = keys.filter(kept)[DATE].n_unique()
    if not dates:
        when = f"it happened from {_day_of(asks, 'min')} to {_day_of(asks, 'max')}"
        raise DataError(
            "nobody_asked",
            f"{kind} = {ask[kind]!r}: nobody was asked between a date of training and the end of its gap; {when}",
            hint="name in at the dates when customers were asked, or lengthen the gap",
        )
    without = keys[DATE].n_unique() - dates
    if without:
        warn(f"{without} of {dates + without} dates are left out: nobody was asked from the date to the end of the gap")
    chance = ask["propensity"]
    if isinstance(chance, str):
        told = _known_ids(events.touches, events).select(CUSTOMER, AT, pl.col(_own(own, chance)).alias("chance"))
        told = told.drop_nulls().sort(AT)
        keys = keys.with_columns((pl.col("at") + gap).alias("until")).sort("until")
        keys = keys.join_asof(told, left_on="until", right_on=AT, by=CUSTOMER, check_sortedness=False).sort("row")
        unknown = keys.filter(kept & pl.col("chance").is_null()).height
        kept &= pl.col("chance").is_not_null()
        if unknown:
            warn(f"{unknown:,} rows are left out, for their {chance} is not known: of them nothing can be compared")
    keys = keys.with_columns(kept.alias("kept"))
    chosen = keys["kept"]
    if not chosen.any():
        raise DataError("no_support", f"no customer has a known {chance}", hint="check [asked] propensity")
    labels = rows.labels.filter(chosen)
    rows = Rows(rows.keys.filter(chosen), rows.features.filter(chosen), labels, left=rows.left)
    keys = keys.filter(chosen)
    return rows, keys["asked"], keys["chance"] if isinstance(chance, str) else chance


def _own(own: Sequence[str], name: str) -> str:
    return f"{OWN}{list(own).index(name)}"


def _known_ids(frame: pl.DataFrame, events: Events) -> pl.DataFrame:
    return frame.with_columns(pl.col(WHO).cast(events.id_type).alias(CUSTOMER))


def _day_of(asks: pl.DataFrame, which: str) -> str:
    return f"{EPOCH + timedelta(microseconds=int(getattr(asks[AT], which)())):%Y-%m-%d}"


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
