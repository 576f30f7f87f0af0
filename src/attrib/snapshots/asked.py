"""What callers of attrib.snapshot ask for, checked before anything is read."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from attrib.durations import in_ticks, parse_duration
from attrib.errors import SpecError
from attrib.stages import StageModel, resolve_stages

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICRO = 1_000_000  # ticks of a second
DATES = 'write dates such as "2024-06-01", datetime.date or datetime.datetime'


def check_question(target: Any, churn: Any, purpose: str) -> tuple[str, str | None]:
    """Kind of the label, and the outcome that it is about.

    Raises
    ------
    SpecError
        ``bad_value`` where they contradict each other.
    """
    for name, value in (("target", target), ("churn", churn)):
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise SpecError("bad_value", f"{name} = {value!r} is not the name of an outcome")
    if churn is not None and churn != "silent" and target is not None:
        hint = 'ask for one label at a time; target goes together with churn="silent" only'
        raise SpecError("bad_value", f"target = {target!r} and churn = {churn!r} are two labels", hint=hint)
    kind = "silent" if churn == "silent" else "churn" if churn else "target" if target else "none"
    if purpose == "survival" and kind in ("silent", "none"):
        reason = "silence has no moment at which it happens" if kind == "silent" else "there is no target and no churn"
        hint = "name the outcome whose time is asked for: target or churn"
        raise SpecError("bad_value", f'purpose = "survival": {reason}', hint=hint)
    return kind, churn if kind == "churn" else target


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


def read_date(value: Any, name: str) -> dt.datetime:
    """Read a date, a datetime or an ISO text; a date counts as midnight."""
    read = value
    try:
        if isinstance(value, str):
            read = dt.datetime.fromisoformat(value.strip())
        elif isinstance(value, np.datetime64):
            read = value.astype("datetime64[us]").item()
    except ValueError:
        read = None
    if isinstance(read, dt.date) and not isinstance(read, dt.datetime):
        read = dt.datetime.combine(read, dt.time())
    if not isinstance(read, dt.datetime) or read != read:  # noqa: PLR0124 - pandas' NaT is a datetime, of a kind
        raise SpecError("bad_date", f"{name} = {value!r} is not a date", hint=DATES)
    return read


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
