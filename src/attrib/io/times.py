"""Times that are hardly meant: years before 1990, far ahead, a handful far from all others; dates to score at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from attrib.io.checks import TICKS
from attrib.schemas import TIME

YEAR = 366 * 86_400  # seconds
OLDEST = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp())
PAUSE = 5  # years without an event that part a handful from the rest
HANDFUL = 100  # a handful is at most one of so many rows
_SHIFTS = {"ms": 35, "us": 45, "ns": 55}  # ticks in a stretch, as a power of two: a little more than a year


@dataclass(slots=True)
class Spread:
    """How the accepted times of a table lie.

    Rows before 1990, rows in the ``future``, those of them more than a year ``ahead``, and rows by stretch of time.
    """

    old: int = 0
    future: int = 0
    ahead: int = 0
    stretches: dict[int, int] = field(default_factory=dict)

    def add(self, batch: pl.DataFrame) -> None:
        """Count the times of a typed batch; none is null."""
        dtype = batch.schema[TIME]
        assert isinstance(dtype, pl.Datetime)
        times = batch[TIME].to_physical().to_numpy()
        if not len(times):
            return
        ticks, shift = TICKS[dtype.time_unit], _SHIFTS[dtype.time_unit]
        low, high = int(times.min()), int(times.max())
        if low < OLDEST * ticks:
            self.old += int((times < OLDEST * ticks).sum())
        now = int(datetime.now(UTC).timestamp())
        if high > now * ticks:
            self.future += int((times > now * ticks).sum())
            self.ahead += int((times > (now + YEAR) * ticks).sum())
        first, last = low >> shift, high >> shift
        if first == last:  # the usual case costs nothing
            counts = [(first, len(times))]
        elif last - first < len(times):
            n = np.bincount((times >> shift) - first)
            counts = [(first + int(place), int(n[place])) for place in np.flatnonzero(n)]
        else:
            found, n = np.unique(times >> shift, return_counts=True)
            counts = list(zip(found.tolist(), n.tolist(), strict=True))
        for stretch, count in counts:
            self.stretches[stretch] = self.stretches.get(stretch, 0) + count

    @staticmethod
    def read(plain: dict[str, Any]) -> Spread:
        """Read what was written as JSON, which has keys of text."""
        stretches = {int(stretch): count for stretch, count in plain["stretches"].items()}
        return Spread(**plain | {"stretches": stretches})

    def merge(self, other: Spread) -> None:
        """Add the rows of another part of the table."""
        self.old += other.old
        self.future += other.future
        self.ahead += other.ahead
        for stretch, count in other.stretches.items():
            self.stretches[stretch] = self.stretches.get(stretch, 0) + count

    def handful(self) -> tuple[int, int]:
        """Count the rows long before, and long after, the bulk of the table; 0 where they are no handful."""
        groups: list[list[int]] = []
        for stretch in sorted(self.stretches):
            if not groups or stretch - groups[-1][-1] > PAUSE:
                groups.append([])
            groups[-1].append(stretch)
        sizes = [sum(self.stretches[one] for one in group) for group in groups]
        if len(sizes) < 2:
            return 0, 0
        bulk = int(np.argmax(sizes))
        early, late = sum(sizes[:bulk]), sum(sizes[bulk + 1 :])
        return (early, late) if (early + late) * HANDFUL <= sum(sizes) else (0, 0)


def told(name: str, spread: Spread, earliest: int, latest: int, ticks: int, more: str = "") -> Iterator[str]:
    """Warn of the times of a table that are hardly meant, with counts.

    ``earliest`` and ``latest`` in ticks; ``more``: what it means that rows lie in the future.
    """
    early, late = spread.handful()
    rows = sum(spread.stretches.values())
    if spread.old:
        yield (
            f"{spread.old:,} of {rows:,} {name} lie before 1990, the earliest at {shown(earliest, ticks)}: a number "
            "since 1970 in another unit, or a date that stands for none? Mend them, or leave them out"
        )
    elif early:
        yield (
            f"{early:,} of {rows:,} {name} lie years before all others, the earliest at {shown(earliest, ticks)}: "
            "are these dates meant?"
        )
    if spread.future:
        text = f"{spread.future:,} {name} lie in the future"
        if spread.ahead:
            text += (
                f", {spread.ahead:,} of them by more than a year, the latest at {shown(latest, ticks)}: a wrong year, "
                "or a number in another unit?"
            )
        yield text + more
    elif late:
        yield (
            f"{late:,} of {rows:,} {name} lie years after all others, the latest at {shown(latest, ticks)}: are these "
            "dates meant? The data end with them"
        )


def told_dates(dates: Iterable[int], earliest: int, latest: int, name: str = "at") -> Iterator[str]:
    """Warn of dates at which nothing is known any more, or yet; all in microseconds since 1970.

    Examples
    --------
    >>> day = 86_400_000_000
    >>> [text[:42] for text in told_dates([30 * day, 800 * day], 20 * day, 40 * day)]
    ['at = 1972-03-11 lies 2.1 years after the l']
    """
    for date in dates:
        years = (date - latest) / (YEAR * 1_000_000)
        if years > 1:
            yield (
                f"{name} = {shown(date)} lies {years:.1f} years after the last event ({shown(latest)}): everybody "
                "looks silent then; is the year right?"
            )
        elif date <= earliest:
            yield f"{name} = {shown(date)} lies before all events (the first is at {shown(earliest)}): nothing is known"


def shown(time: int, ticks: int = 1_000_000) -> str:
    """A time in ISO 8601, also one of a year beyond 9999.

    Examples
    --------
    >>> shown(0), shown(1_500_000), shown(576_832_406_400_000_000)
    ('1970-01-01', '1970-01-01 00:00:01.500', '20249-02-03')
    """
    stamp = np.datetime64(time * 1_000_000 // ticks, "us")
    day = stamp.astype("datetime64[D]")
    if stamp == day:
        return str(day)
    exact = next(u for u in ("m", "s", "ms", "us") if stamp == stamp.astype(f"datetime64[{u}]"))
    return str(stamp.astype(f"datetime64[{exact}]")).replace("T", " ")
