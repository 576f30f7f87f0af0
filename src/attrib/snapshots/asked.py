"""What callers of attrib.snapshot ask for, checked before anything is read."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Self
from zoneinfo import ZoneInfo

import numpy as np

from attrib.arguments import distinct_names
from attrib.durations import in_ticks, parse_duration
from attrib.errors import SpecError, brief
from attrib.stages import StageModel, resolve_stages
from attrib.values import DATES, check_choice, read_date, whole_number, yes_or_no

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICRO = 1_000_000  # ticks of a second
SILENT = "silent"
PURPOSES = ("train", "survival", "score")
CUSTOMERS, EVERYONE = "customers", "everyone"


@dataclass(frozen=True, slots=True)
class Wish:
    """The arguments of `attrib.snapshot` but the tables, checked: lengths of time in microseconds, dates in order.

    ``kind``, ``outcome`` and ``gone`` are those of `attrib.snapshots.labels.Question`; ``cancelled``: outcomes given as
    ends of the relation, None where nothing was said; ``population``: None where nothing was said and
    customers are meant, if there are any; ``drop``: whether duplicates are dropped.
    """

    kind: str
    outcome: str | None
    gone: tuple[str, ...]
    cancelled: tuple[str, ...] | None
    population: str | None
    purpose: str
    window: int
    gap: int
    horizon: int
    dates: tuple[dt.datetime, ...]
    end: dt.datetime | None
    model: StageModel | None
    features: tuple[str, ...]
    purchases: tuple[str, ...]
    channels: tuple[str, ...] | None
    max_channels: int
    active_only: bool
    drop: bool

    @classmethod
    def of(
        cls, *, at: Any, window: Any, gap: Any, horizon: Any, target: Any, churn: Any, purpose: Any, end: Any,
        population: Any, active_only: bool, purchases: Any, stages: Any, channels: Any, max_channels: Any,
        features: Any, duplicates: Any, cancelled: Any = None,
    ) -> Self:  # fmt: skip
        """Check them; see `attrib.snapshot` for what they mean and for the errors."""
        check_choice("purpose", purpose, PURPOSES)
        check_choice("duplicates", duplicates, ("drop", "keep"))
        if population is not None:
            check_choice("population", population, (CUSTOMERS, EVERYONE))
        kind, outcome, named = check_question(target, churn, purpose)
        left = None if cancelled is None else distinct_names("cancelled", cancelled, "outcomes")
        if left and outcome in left and outcome != named:
            text = f"cancelled holds {brief(outcome)}, which is what the label looks for"
            raise SpecError("bad_value", text, hint=f"leave it out of cancelled, or ask for churn = {brief(outcome)}")
        if population is None and kind not in ("churn", "silent"):
            population = EVERYONE
        back, pause, ahead = check_durations(window, gap, horizon)
        return cls(
            kind=kind,
            outcome=outcome,
            gone=tuple(dict.fromkeys((*([] if named is None else [named]), *(left or ())))),
            cancelled=left,
            population=population,
            purpose=purpose,
            window=back,
            gap=pause,
            horizon=ahead,
            dates=tuple(check_dates(at)),
            end=None if end is None else read_date(end, "end"),
            model=check_model(stages),
            features=distinct_names("features", features),
            purchases=distinct_names("purchases", purchases, "outcomes"),
            channels=None if channels is None else distinct_names("channels", channels, "channels"),
            max_channels=whole_number("max_channels", max_channels, 0, key="bad_value"),
            active_only=yes_or_no("active_only", active_only),
            drop=duplicates == "drop",
        )


def check_question(target: Any, churn: Any, purpose: str) -> tuple[str, str | None, str | None]:
    """Kind of the label, the outcome that it is about, and the outcome that ``churn`` names as the end.

    Raises
    ------
    SpecError
        ``bad_value`` where they contradict each other.
    """
    for name, value in (("target", target), ("churn", churn)):
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise SpecError("bad_value", f"{name} = {brief(value)} is not the name of an outcome")
    kind = "silent" if churn == SILENT else "target" if target else "churn" if churn else "none"
    if purpose == "survival" and kind in ("silent", "none"):
        reason = "silence has no moment at which it happens" if kind == "silent" else "there is no target and no churn"
        hint = "name the outcome whose time is asked for: target or churn"
        raise SpecError("bad_value", f'purpose = "survival": {reason}', hint=hint)
    gone = None if churn == SILENT else churn
    return kind, gone if kind == "churn" else target, gone


def check_durations(window: Any, gap: Any, horizon: Any) -> tuple[int, int, int]:
    """Durations in microseconds; -1 for a window without limit."""
    ticks = [in_ticks(parse_duration(v, n), MICRO) for n, v in (("window", window), ("gap", gap), ("horizon", horizon))]
    if ticks[0] == 0 or ticks[2] == 0:
        raise SpecError("bad_duration", "window and horizon must be longer than 0")
    if -1 in ticks[1:]:
        raise SpecError("bad_duration", "gap and horizon need a limit", hint='e.g. gap="7d", horizon="90d"')
    return ticks[0], ticks[1], ticks[2]


def check_dates(at: Any) -> list[dt.datetime]:
    """Dates in order, as datetimes; one may stand alone.

    Raises
    ------
    SpecError
        ``bad_date`` for none, for two of the same, or for what is no date.
    """
    alone = isinstance(at, (str, dt.date)) or np.ndim(at) == 0
    dates = [read_date(one, "at") for one in ([at] if alone else at)]
    if not dates:
        raise SpecError("bad_date", "at names no date", hint=DATES)
    if len({date.tzinfo is None for date in dates}) > 1:
        raise SpecError("bad_date", "at: some dates carry a time zone and some do not")
    if len(set(dates)) < len(dates):
        raise SpecError("bad_date", "at names a date twice")
    return sorted(dates)


def in_micro(date: dt.datetime, zone: str | None, name: str) -> int:
    """Microseconds since 1970; a date without a time zone is one of the data's zone.

    Raises
    ------
    SpecError
        ``mixed_zones`` for a date with a zone, where the data have none.
    """
    if zone is None and date.tzinfo is not None:
        raise SpecError("mixed_zones", f"{name} carries a time zone, and the timestamps of the data do not")
    if date.tzinfo is None:
        date = date.replace(tzinfo=dt.UTC if zone in (None, "UTC") else ZoneInfo(str(zone)))
    return (date - EPOCH) // dt.timedelta(microseconds=1)


def check_model(stages: Any) -> StageModel | None:
    """Return the stage model, if one is asked for."""
    model = resolve_stages(stages)
    if model is not None and not isinstance(model, StageModel):
        raise SpecError(
            "bad_stages", "snapshots take stages with milestones", hint="a stage column can be one of features"
        )
    return model
