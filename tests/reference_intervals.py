"""The slow, obvious twin of percentile intervals, from docs/semantics.md, section 7."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

BUCKETS = 256


def quantile(drawn, p):
    """The (R + 1)p-th of R sorted draws, linear between two of them, never further out than the outermost."""
    ordered = sorted(x for x in drawn if not math.isnan(x))
    if not ordered:
        return math.nan
    place = min(max((len(ordered) + 1) * p, 1), len(ordered))
    below = math.floor(place)
    rest = place - below
    return ordered[below - 1] + (rest * (ordered[below] - ordered[below - 1]) if rest else 0)


def bounds(drawn, level):
    """Low and high of each column of draws [R, n]."""
    drawn = np.asarray(drawn, float)
    columns = drawn.reshape(len(drawn), -1).T
    student = stats.t(BUCKETS - 1).ppf((1 + level) / 2)
    tail = stats.norm.cdf(-math.sqrt(BUCKETS / (BUCKETS - 1)) * student)
    found = [np.array([quantile(column, p) for column in columns]) for p in (tail, 1 - tail)]
    return tuple(side.reshape(drawn.shape[1:]) for side in found)
