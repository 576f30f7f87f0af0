"""Outcomes dated to the day: which tables carry days, and where a day ends (semantics §1).

One function decides (:func:`carries_days`) and one shifts (:func:`ends_of_days`), for journeys and snapshots alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.io.checks import RAW, TICKS, TableTypes, are_dates
from attrib.schemas import TIME

Ints = npt.NDArray[np.int64]

AUTO, END, START = "auto", "end", "start"
CHOICES = (AUTO, END, START)
MOSTLY, FEW, ENOUGH = 99, 50, 20  # percent of outcomes, percent of touchpoints, rows
HALF, A_FEW = 50, 3  # percent of outcomes at midnight, and rows, that are told where a table is small
ENOUGH_ALIKE = 10  # outcomes at one time of day
LATE = 5  # percent of conversions before all touches of their customer
_SECONDS_OF_DAY = 86_400
_OFFSET = r"([+-])(\d\d):?(\d\d)$"
_UNITS = {ticks: unit for unit, ticks in TICKS.items()}


@dataclass(slots=True)
class Dating:
    """How the accepted rows of a table are dated.

    ``dated`` of them are written as dates, ``midnights`` stand at midnight, ``hours`` at a full hour; ``minutes``: rows
    by minute of the day (of UTC, where there is a zone), of outcomes only.
    """

    rows: int = 0
    dated: int = 0
    midnights: int = 0
    hours: int = 0
    minutes: dict[int, int] = field(default_factory=dict)

    @staticmethod
    def read(plain: dict[str, Any]) -> Dating:
        """Read what was written as JSON, which has keys of text."""
        return Dating(**plain | {"minutes": {int(minute): rows for minute, rows in plain["minutes"].items()}})

    def merge(self, other: Dating) -> None:
        """Add the rows of another part of the table."""
        for name in ("rows", "dated", "midnights", "hours"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for minute, rows in other.minutes.items():
            self.minutes[minute] = self.minutes.get(minute, 0) + rows

    def clock(self) -> tuple[int, tuple[int, ...]]:
        """Count the rows in the one or two minutes of the day that hold most of them; the second one only if needed."""
        most = sorted(self.minutes.items(), key=lambda one: (-one[1], one[0]))[:2]
        if most and most[0][1] * 100 >= MOSTLY * self.rows:
            most = most[:1]
        return sum(rows for _, rows in most), tuple(sorted(minute for minute, _ in most))

    def add(self, batch: pl.DataFrame, types: TableTypes) -> None:
        """Count the accepted rows of a typed batch; each midnight is one of its own zone."""
        n = batch.height
        self.rows += n
        if types.times == "date":
            self.dated += n
            self.midnights += n
            self.hours += n
            return
        if types.times == "text":
            written = are_dates(batch[RAW + TIME])
            dated = int(written.sum())
            self.dated += dated
            self.midnights += dated  # of their own zone
            self.hours += dated
            batch = batch.filter(~written) if dated else batch
        midnights, hours = count_even_times(batch, types)
        self.midnights += midnights
        self.hours += hours
        if types.table == "outcomes":  # fewer than touches, of which nobody asks
            self.merge(Dating(minutes=_minutes(batch[TIME])))

    @property
    def only_dates(self) -> bool:
        """Whether there are rows, and all of them are written as dates."""
        return 0 < self.rows == self.dated


def carries_days(outcomes: Dating, touches: Dating, asked: str = AUTO) -> str | None:
    """Decide whether outcomes stand at the end of their day (semantics §1).

    Returns
    -------
    str or None
        ``dates`` where every outcome is written as a date, ``midnights`` where it is inferred, ``asked`` where only
        being asked settles it, since many touchpoints stand at midnight, too; None where outcomes carry times of day,
        or where every touchpoint is dated to the day as well, or there is none.

    Examples
    --------
    >>> carries_days(Dating(3, 3, 3), Dating(9, 0, 1)), carries_days(Dating(200, 0, 198), Dating(9, 0, 1))
    ('dates', 'midnights')
    >>> carries_days(Dating(200, 0, 200), Dating(9, 0, 5)), carries_days(Dating(200, 0, 200), Dating(9, 0, 5), END)
    (None, 'asked')
    >>> carries_days(Dating(3, 3, 3), Dating(9, 9, 9)) is None, carries_days(Dating(3, 0, 2), Dating(9, 0, 1)) is None
    (True, True)
    """
    if asked == START or touches.midnights == touches.rows or not outcomes.rows:
        return None
    if outcomes.only_dates:
        return "dates"
    if not may_carry_days(outcomes):
        return None
    if touches.midnights * 100 < FEW * touches.rows:
        return "midnights"
    return "asked" if asked == END else None


def may_carry_days(outcomes: Dating) -> bool:
    """Whether outcomes carry days as far as they themselves tell; the touchpoints decide then."""
    enough = outcomes.midnights >= ENOUGH or outcomes.midnights == outcomes.rows
    return enough and outcomes.rows > 0 and outcomes.midnights * 100 >= MOSTLY * outcomes.rows


def told(
    rule: str | None,
    asked: str,
    outcomes: Dating,
    touches: Dating,
    late: tuple[int, int] = (0, 0),
    zone: str | None = None,
) -> Iterator[str]:
    """Warn of outcomes that carry days: of all, where a rule moved them; of some, where none did.

    ``late``: conversions before all touches of their customer, and all conversions, where that is known; ``zone``: of
    the touches, in which the days of outcomes were read.
    """
    if rule is not None:
        where = "" if zone is None else f" in {zone}, the time zone of the touchpoints"
        yield (
            f"{outcomes.midnights:,} outcomes carry a date without a time of day: each stands at the end of its "
            f"day{where}, after that day's touches; "
            'day_of_outcome = "start" puts them at midnight'
        )
    elif asked != START and touches.midnights < touches.rows:
        yield from _not_moved(outcomes, touches, late)


def _not_moved(outcomes: Dating, touches: Dating, late: tuple[int, int]) -> Iterator[str]:
    """Warn of what may be days beside touches of which some have a time of day."""
    early, rows = outcomes.midnights, outcomes.rows
    theirs = "give these outcomes their time, or the last second of their day"
    of_small = early >= A_FEW and early * 100 >= HALF * rows
    some = early >= ENOUGH and early * 100 >= rows and touches.hours < touches.rows
    hourly = outcomes.hours >= ENOUGH and outcomes.hours * 100 >= MOSTLY * rows
    alike, minutes = outcomes.clock()
    if outcomes.dated:
        yield (
            f"{outcomes.dated:,} of {rows:,} outcomes are written as dates without a time of day, and stand at "
            f"midnight: touches of the same day come after them; {theirs}"
        )
    elif may_carry_days(outcomes) and early >= A_FEW:
        yield (
            f"{early:,} of {rows:,} outcomes stand at midnight exactly, as dates without a time of day do, but so do "
            f"{touches.midnights:,} of {touches.rows:,} touchpoints: other touches of the same day come after these "
            'outcomes; day_of_outcome = "end" puts them at the end of their day, "start" says that midnight is meant'
        )
    elif of_small or some:
        yield (
            f"{early:,} of {rows:,} outcomes stand at midnight exactly, as dates without a time of day do: touches of "
            f"the same day come after them; {theirs}"
        )
    elif hourly and touches.hours * 100 < FEW * touches.rows:
        yield (
            f"{outcomes.hours:,} of {rows:,} outcomes stand at a full hour: if they were rounded down, or are "
            "midnights of another time zone, touches of the same hour or day come after them"
        )
    elif late[0] * 100 >= LATE * max(late[1], 1) and alike >= ENOUGH_ALIKE and alike * 100 >= MOSTLY * rows:
        clock = " or ".join(f"{minute // 60:02}:{minute % 60:02}" for minute in minutes)
        yield (
            f"{alike:,} of {rows:,} outcomes stand at one time of day, {clock}, and "
            f"{late[0]:,} of {late[1]:,} conversions lie before all touches of their customer: midnights of another "
            "time zone, or days with a time that was made up? Give them as dates of their own zone "
            "(2025-01-31, without a time), and they stand at the end of their day"
        )


def facts(rule: str | None, asked: str, outcomes: Dating) -> dict[str, Any]:
    """Say which rule held, for the record of a run."""
    return {
        "day_of_outcome": asked,
        "outcomes_stand": "as given" if rule is None else "at the end of their day",
        "told_by": rule,
        "outcomes_at_midnight": outcomes.midnights,
    }


def count_even_times(batch: pl.DataFrame, types: TableTypes) -> tuple[int, int]:
    """Count times at midnight and at a full hour of the column's zone, or of the text's own offset; none is null."""
    series = batch[TIME]
    assert isinstance(series.dtype, pl.Datetime)
    times = series.to_physical().to_numpy()
    day = _SECONDS_OF_DAY * TICKS[series.dtype.time_unit]
    zoned = has_own_midnight(types) or types.times == "text"
    # an hour is a multiple of a power of two, which is quick to test: the rest is done for few rows only
    step = day // (24 * 60) if zoned else day // 24
    near = np.flatnonzero((times & ((step & -step) - 1)) == 0)
    near = near[times[near] % step == 0]
    if not zoned:
        return int((times[near] % day == 0).sum()), len(near)
    if types.times == "text":
        local = times[near] + text_offsets(batch[RAW + TIME].gather(near))
    else:
        local = series.gather(near).dt.replace_time_zone(None).to_physical().to_numpy()
    return int((local % day == 0).sum()), int((local % (day // 24) == 0).sum())


def _minutes(times: pl.Series) -> dict[int, int]:
    """Rows by minute of the day."""
    assert isinstance(times.dtype, pl.Datetime)
    minute = times.to_physical().to_numpy() // (60 * TICKS[times.dtype.time_unit])
    counts = np.bincount(minute % (24 * 60), minlength=1) if len(minute) else np.zeros(0, np.int64)
    return {int(place): int(counts[place]) for place in np.flatnonzero(counts)}


def has_own_midnight(types: TableTypes) -> bool:
    """Whether midnights of the column are not those of UTC, or of times without a zone."""
    return types.zone not in (None, "UTC")


def text_offsets(texts: pl.Series) -> Ints:
    """Microseconds by which each text of a time is ahead of UTC; 0 for texts without an offset."""
    text = pl.col("text").str.strip_chars()
    # the hour before the offset: "2025-01-31" is a date, no time in a zone 31 minutes behind
    offset = pl.when(text.str.contains(r"\d:?\d\d.*[+-]\d\d:?\d\d$")).then(text)
    sign = pl.when(offset.str.extract(_OFFSET, 1) == "-").then(-1).otherwise(1)
    minutes = offset.str.extract(_OFFSET, 2).cast(pl.Int64) * 60 + offset.str.extract(_OFFSET, 3).cast(pl.Int64)
    found = pl.DataFrame({"text": texts}).select((sign * minutes).fill_null(0) * 60_000_000).to_series()
    return found.cast(pl.Int64).to_numpy()


def day_ends(batch: pl.DataFrame, types: TableTypes, *, aware: bool) -> pl.Series:
    """Last microsecond of the day of each row of a typed batch, in microseconds since 1970; null without a time."""
    times = batch[TIME].dt.cast_time_unit("us").to_physical()
    ticks, instants = TICKS["us"], times.fill_null(0).to_numpy()
    if types.times == "text":
        ends = ends_of_texts(batch[RAW + TIME], instants, ticks, types, aware=aware)
    else:
        ends = ends_of_days(instants, ticks, types.zone)
    return pl.Series(ends, dtype=pl.Int64).set(times.is_null(), None)


def ends_of_texts(texts: pl.Series, times: Ints, ticks: int, types: TableTypes, *, aware: bool) -> Ints:
    """Last microsecond of the day of each text: by its own offset, of a date by the zone whose day it is."""
    ends = ends_of_days(times, ticks, ahead=text_offsets(texts) * (ticks // 1_000_000) if aware else None)
    if types.day_zone is not None:
        dated = np.flatnonzero(are_dates(texts))
        ends[dated] = ends_of_days(times[dated], ticks, types.day_zone)
    return ends


def ends_of_days(times: Ints, ticks: int, zone: str | None = None, ahead: Ints | None = None) -> Ints:
    """Last microsecond of the day of each time.

    Parameters
    ----------
    times : int64 [n]
        Ticks since 1970.
    ticks : int
        Ticks of a second; of a microsecond where there are more (a tick longer than it is the last one of the day).
    zone : str, optional
        Time zone whose days are meant; days there may have 23 or 25 hours. UTC without.
    ahead : int64 [n], optional
        Ticks by which the clock of each time is ahead of UTC, in place of a zone.

    Returns
    -------
    int64 [n]

    Examples
    --------
    >>> ends_of_days(np.array([0, 5, 86_400_000_000]), 1_000_000).tolist()
    [86399999999, 86399999999, 172799999999]
    """
    last, day = max(1, ticks // 1_000_000), _SECONDS_OF_DAY * ticks
    # the last days of int64 have no end that it could hold
    inside = np.abs(times) < np.iinfo(np.int64).max - 3 * day
    safe = np.where(inside, times, 0)
    if zone in (None, "UTC") or ahead is not None:
        shift: Any = 0 if ahead is None else ahead
        ends = ((safe + shift) // day + 1) * day - shift - last
    else:
        ends = _next_midnights(safe, ticks, str(zone)) - last
    return np.where(inside, ends, times)


def _next_midnights(times: Ints, ticks: int, zone: str) -> Ints:
    """Instants at which the next day begins in a zone; some days begin at 1 o'clock, and some never came."""
    unit = _UNITS[ticks]
    local = pl.Series(times).cast(pl.Datetime(unit, "UTC")).dt.convert_time_zone(zone)  # type: ignore[arg-type]
    date = pl.DataFrame({"day": local.dt.date()})

    def begins(after: str) -> pl.Expr:
        clock = pl.col("day").cast(pl.Datetime(unit)).dt.offset_by(after)  # type: ignore[arg-type]
        return clock.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")

    days = date.unique().with_columns(pl.coalesce(begins("1d"), begins("1d1h"), begins("2d")).alias("next"))
    found = date.join(days, on="day", how="left", maintain_order="left")["next"]
    return found.to_physical().to_numpy()
