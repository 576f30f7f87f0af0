"""Who is still there: estimates that follow from the customers at risk at each time of leaving, on numpy.

A customer is at risk at time t where ``entry < t <= duration`` (no entry: always before). Ties are kept as they are:
customers who leave and customers who are last seen at the same t were all at risk at t.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError, SpecError, brief
from attrib.lifecycle.base.beside import check_same_rows, read_flags, read_numbers
from attrib.values import MOST_DRAWS, whole_number

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
_Z_95 = 1.959963984540054  # of a two-sided interval at 95 %


def entries(entry: Any, duration: Floats) -> Floats | None:
    """Return times of entry as float64 [n], each before its duration.

    Raises
    ------
    DataError
        ``entry_after_duration``, and those of `read_numbers`.
    """
    if entry is None:
        return None
    found = read_numbers("entry", entry, len(duration), least=0)
    late = int((found >= duration).sum())
    if late:
        raise DataError(
            "entry_after_duration",
            f"{late} of {len(found)} customers enter at or after the end of their duration",
            hint="nothing was observed of them: leave them out",
        )
    return found


@dataclass(frozen=True, slots=True)
class RiskTable:
    """Distinct times at which somebody left: ``times``, ``at_risk`` and ``left`` float64 [J]."""

    times: Floats
    at_risk: Floats
    left: Floats

    @classmethod
    def of(cls, duration: Floats, event: Bools, entry: Floats | None = None, weight: Floats | None = None) -> RiskTable:
        """Count (or add up the weights of) those at risk; those who leave are always counted."""
        times, left = np.unique(duration[event], return_counts=True)
        at_risk = _from(duration, times, weight)
        if entry is not None:
            at_risk -= _from(entry, times, weight)
        return cls(times, at_risk, left.astype(np.float64))

    def hazard(self) -> Floats:
        """Cumulative hazard after each time, float64 [J]: Nelson and Aalen's; Breslow's where weights are risks."""
        return np.cumsum(self.left / self.at_risk, dtype=np.float64)

    def survival(self) -> Floats:
        """Share that is still there after each time, float64 [J]: Kaplan and Meier's product."""
        return np.cumprod(1 - self.left / self.at_risk, dtype=np.float64)

    def emptied(self, longest: float) -> float:
        """The first time at which all at risk left while others, who entered later, were seen after it; else infinity.

        The product is 0 from there, whoever comes: it says nothing of those who came.
        """
        alone = self.times[(self.left >= self.at_risk) & (self.times < longest)]
        return float(alone[0]) if len(alone) else np.inf

    def interval(self, z: float = _Z_95) -> tuple[Floats, Floats]:
        """Bounds of `survival`, float64 [J] each: Greenwood's variance on the scale of log(−log S)."""
        survival = self.survival()
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.sqrt(np.cumsum(self.left / (self.at_risk * (self.at_risk - self.left)))) / np.log(survival)
            low, high = survival ** np.exp(-z * spread), survival ** np.exp(z * spread)
        certain = (survival <= 0) | (survival >= 1)
        return np.where(certain, survival, low), np.where(certain, survival, high)


def _from(points: Floats, times: Floats, weight: Floats | None) -> Floats:
    """Number (or weight) of the points at or after each time."""
    order = np.argsort(points, kind="stable")
    weights = np.ones(len(points)) if weight is None else weight[order]
    sums = np.append(np.cumsum(weights[::-1])[::-1], 0.0)
    return sums[np.searchsorted(points[order], times)]


def step(times: Floats, values: Floats, at: Floats, before: float) -> Floats:
    """Value of a step function (continuous from the right) at given times, ``before`` ahead of the first."""
    return np.append(before, values)[np.searchsorted(times, at, side="right")]


def calibration_at(predicted: Any, duration: Any, event: Any, horizon: float, *, bins: int = 10) -> pl.DataFrame:
    """Predicted beside observed shares of customers who leave within a horizon, by groups of like prediction.

    Parameters
    ----------
    predicted : array-like of float
        Probability to leave within the horizon, of each customer, as said at some moment [n].
    duration : array-like of float
        Time from that moment to leaving, or to when the customer was last seen [n].
    event : array-like of bool
        Whether the customer left at the end of ``duration`` [n].
    horizon : float
        In the unit of ``duration``.
    bins : int
        Groups, cut at quantiles of ``predicted``; equal predictions are never parted, so there may be fewer.

    Returns
    -------
    polars.DataFrame
        ``bin, customers, predicted`` (mean), ``observed`` (1 − Kaplan–Meier of the group at the horizon, which counts
        the censored rightly), ``observed_low, observed_high`` (95 %). Null where nobody of the group was observed
        that long.

    Raises
    ------
    DataError
        For values that are no probabilities, durations or events.

    Examples
    --------
    >>> calibration_at([0.1, 0.1, 0.9, 0.9], [5, 5, 1, 5], [False, False, True, False], 5, bins=2).select(
    ...     "bin", "customers", "predicted", "observed"
    ... ).rows()
    [(1, 2, 0.1, 0.0), (2, 2, 0.9, 0.5)]
    """
    check_same_rows(predicted=predicted, duration=duration, event=event)
    whole_number("bins", bins, 1, MOST_DRAWS)
    if isinstance(horizon, bool) or not isinstance(horizon, (int, float)) or not horizon > 0:
        raise SpecError("bad_parameter", f"horizon = {brief(horizon)} is not a time above 0", hint="e.g. 90")
    chance = read_numbers("predicted", predicted, least=0, most=1)
    length, left = read_numbers("duration", duration, len(chance), least=0), read_flags("event", event, len(chance))
    edges = np.unique(np.quantile(chance, np.linspace(0, 1, bins + 1)[1:-1]))
    group = np.searchsorted(edges, chance, side="left")
    rows = []
    for number, g in enumerate(np.unique(group), 1):
        mine = group == g
        table = RiskTable.of(length[mine], left[mine])
        known = length[mine].max() >= horizon or (len(table.times) and table.survival()[-1] == 0)
        low, high = table.interval()
        observed = [
            float(1 - step(table.times, values, np.array([horizon]), 1.0)[0]) if known else None
            for values in (table.survival(), high, low)
        ]
        rows.append((number, int(mine.sum()), float(chance[mine].mean()), *observed))
    names = ("bin", "customers", "predicted", "observed", "observed_low", "observed_high")
    types = (pl.Int64, pl.Int64, *[pl.Float64] * 4)
    return pl.DataFrame(rows, dict(zip(names, types, strict=True)), orient="row")


def schoenfeld(matrix: Floats, risk: Floats, duration: Floats, event: Bools, entry: Floats | None) -> Floats:
    """Features of each customer who left less their mean among those at risk (Efron's for ties), [events, p].

    Rows are in the order of the events in the data; ``risk`` is exp(linear predictor) [n].
    """
    left = np.flatnonzero(event)
    times, of = np.unique(duration[left], return_inverse=True)
    weighted = matrix * risk[:, None]
    total = np.column_stack([RiskTable.of(duration, event, entry, w).at_risk for w in (risk, *weighted.T)])
    means = np.empty((len(times), matrix.shape[1]))
    order = np.argsort(of, kind="stable")
    for j, tied in enumerate(np.split(left[order], np.cumsum(np.bincount(of))[:-1])):
        share = (np.arange(len(tied)) / len(tied))[:, None]
        below = total[j, :1] - share * risk[tied].sum()
        means[j] = ((total[j, 1:] - share * weighted[tied].sum(axis=0)) / below).mean(axis=0)
    return matrix[left] - means[of]
