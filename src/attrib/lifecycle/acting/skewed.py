"""Intervals of means of what few have, some of them much: skewed, and known from few."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

Floats = npt.NDArray[np.float64]


def interval_of_sum(estimate: float, sides: Sequence[Floats], level: float) -> tuple[float, float]:
    """Interval of a sum of estimates, each with what every customer adds to it, [n].

    Each side has its own skewness, and its own few payers: their intervals are put together by the distances of the
    bounds from the estimates (MOVER: Zou & Donner 2008, Statistics in Medicine 27:1693-1702).

    Examples
    --------
    >>> one, other = np.array([-1.0, 1.0, 0.0, 0.0] * 5000), np.array([0.0, 0.0, -1.0, 1.0] * 5000)
    >>> [round(bound, 3) for bound in interval_of_sum(5.0, [one, other], 0.95)]
    [4.986, 5.014]
    """
    below = above = 0.0
    for parts in sides:
        low, high = skewed_interval(0.0, parts - parts.mean(), level)
        below, above = np.hypot(below, low), np.hypot(above, high)
    return float(estimate - below), float(estimate + above)


def skewed_interval(estimate: float, parts: Floats, level: float) -> tuple[float, float]:
    """Interval of an estimate with what each customer adds to it, [n] of mean 0.

    With T the estimate's error by its standard error and k its skewness, g(T) = T + k T² / 3 + k² T³ / 27 + k / 6 is
    without skewness to the second order (Hall 1992); it is compared with Student's t of 2 n / (kurtosis − 1) degrees of
    freedom, those of a variance estimated from n such parts (Satterthwaite).

    Examples
    --------
    >>> parts = np.array([-1.0, 1.0] * 5000)
    >>> [round(bound, 3) for bound in skewed_interval(5.0, parts, 0.95)]  # as by the normal distribution
    [4.98, 5.02]
    >>> paid = np.array([1.0] * 10 + [0.0] * 990)
    >>> [round(bound, 4) for bound in skewed_interval(0.01, paid - 0.01, 0.95)]  # ten of a thousand
    [0.0046, 0.0193]
    """
    n = len(parts)
    square = float((parts**2).mean()) if n > 1 else 0.0
    if square == 0:
        return estimate, estimate
    error = np.sqrt(square / (n - 1))
    skew = float((parts**3).mean()) / square**1.5 / np.sqrt(n)
    kurtosis = float((parts**4).mean()) / square**2
    freedom = n - 1 if kurtosis <= 1 else min(n - 1, max(1.0, 2 * n / (kurtosis - 1)))
    t = float(stdtrit(freedom, (1 + level) / 2))

    def back(x: float) -> float:
        if abs(skew) < 1e-6:
            return x
        return float(3 / skew * (np.cbrt(1 + skew * (x - skew / 6)) - 1))

    return estimate - back(t) * float(error), estimate - back(-t) * float(error)
