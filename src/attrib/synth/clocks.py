"""Market time and time on the wall: most happens in the daytime and, with `Population.week`, on busy weekdays.

Both are monotone warps of the time in which events are simulated, within each day and each whole week.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from attrib.kernels._jit import jit
from attrib.synth.records import DAY_US

_US_PER_MS = 1_000


@jit
def by_week(t: float, week: NDArray[np.float64], days: float) -> float:
    """Days on the wall at this market time; `week`: see `Params`."""
    first = 7.0 * math.floor(t / 7.0)
    if week.size == 0 or first + 7.0 > days:
        return t
    x = t - first
    for i in range(7):
        if x < week[i + 1]:
            return float(first + i + (x - week[i]) / (week[i + 1] - week[i]))
    return first + 7.0


@jit
def from_week(day: float, week: NDArray[np.float64], days: float) -> float:
    """Market time of these days on the wall."""
    first = 7.0 * math.floor(day / 7.0)
    if week.size == 0 or first + 7.0 > days:
        return day
    i = int(day - first)
    return float(first + week[i] + (day - first - i) * (week[i + 1] - week[i]))


@jit
def clock(t: float) -> int:
    """Days to microseconds, whole milliseconds; most of them in the daytime."""
    day = math.floor(t)
    part = t - day
    part += 0.1 * math.sin(2.0 * math.pi * part)
    return int(day) * DAY_US + int(part * (DAY_US // _US_PER_MS)) * _US_PER_MS


@jit
def day_of(time: int) -> float:
    """The days that `clock` takes to this time."""
    day = time // DAY_US
    wanted = (time - day * DAY_US) / DAY_US
    low, high = 0.0, 1.0
    if wanted == 0.0:
        return float(day)
    for _ in range(60):
        middle = 0.5 * (low + high)
        if middle + 0.1 * math.sin(2.0 * math.pi * middle) < wanted:
            low = middle
        else:
            high = middle
    return day + high
