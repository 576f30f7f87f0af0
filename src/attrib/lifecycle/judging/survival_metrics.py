"""How good predictions of a time are where some customers are still there: concordance, Brier score, AUC at a time.

Censoring is met by inverse probability weights: a customer seen to leave at time t stands for 1 / G(t−) customers, G
the Kaplan–Meier estimate of staying uncensored in the data evaluated. So whatever decides about censoring must not
depend on the risk. Sort orders are found once; a bootstrap draw only changes the weights.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from attrib.lifecycle.judging.pairs import Pairs

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class KaplanMeier:
    """Product-limit estimate of staying free of an event, with any weights.

    With ``after_others``, other ends of the same time come before the event (a customer who leaves at t was not
    censored before it).
    """

    def __init__(self, time: Floats, event: Bools, *, after_others: bool = False) -> None:
        self.times, self._at = np.unique(time, return_inverse=True)
        self._event, self._after = event, after_others

    def fit(self, weights: Floats) -> Floats:
        """Estimate just after each of ``times``."""
        size = len(self.times)
        events = np.bincount(self._at, weights * self._event, size)
        ends = np.bincount(self._at, weights, size)
        present = ends[::-1].cumsum()[::-1] - ((ends - events) if self._after else 0)
        kept = np.where(present > 0, 1 - events / np.where(present > 0, present, 1), 1.0)
        # rounding of sums of weights must not leave a probability below 0
        return np.asarray(np.maximum(kept, 0.0).cumprod())

    def before(self, survival: Floats) -> Floats:
        """Estimate just before each row's own time."""
        return np.concatenate([[1.0], survival])[self._at]

    def at(self, survival: Floats, times: Floats) -> Floats:
        """Estimate at any times."""
        return np.concatenate([[1.0], survival])[np.searchsorted(self.times, times, side="right")]


class SurvivalScores:
    """All metrics of one set of customers, to be had with any weights.

    Parameters
    ----------
    time : ndarray of float64, shape [n]
        Until leaving or censoring.
    event : ndarray of bool, shape [n]
        Whether the customer left.
    risk : ndarray of float64, shape [n]
        Higher: leaves earlier.
    survival : ndarray of float64, shape [n, k], or None
        Probability of still being there at each of ``times``.
    times : ndarray of float64, shape [k]
        Increasing.
    tau : float
        Uno's concordance looks at those who leave before it.
    """

    def __init__(
        self, time: Floats, event: Bools, risk: Floats, survival: Floats | None, times: Floats, tau: float
    ) -> None:
        self.event, self.times, self.survival = event, times, survival
        self.pairs = Pairs(time, event, risk)
        self.within = event & (time < tau)
        self.censoring = KaplanMeier(time, ~event, after_others=True)
        self.staying = KaplanMeier(time, event)
        self.left = event[:, None] & (time[:, None] <= times)
        self.there = time[:, None] > times
        markers = np.repeat(risk[:, None], len(times), axis=1) if survival is None else 1 - survival
        self.orders = [_Ties(markers[:, column]) for column in range(len(times))]

    def scores(self, weights: Floats) -> tuple[dict[str, float], dict[str, Floats]]:
        """Metrics of all customers, and metrics at each of the times."""
        uncensored = self.censoring.fit(weights)
        before = self.censoring.before(uncensored)
        inverse = np.where(self.event & (before > 0), 1 / np.where(before > 0, before, 1), 0.0)
        cases = (weights * inverse)[:, None] * self.left
        controls = weights[:, None] * self.there
        aucs = np.array([ties.auc(cases[:, k], controls[:, k]) for k, ties in enumerate(self.orders)])
        ipcw = np.where(self.within, inverse**2, 0.0)
        harrells, unos = self.pairs.concordance(weights, np.ones(len(weights)), ipcw)
        whole = {
            "concordance": harrells,
            "concordance_ipcw": unos,
            "auc_mean": float(np.nanmean(aucs)) if np.isfinite(aucs).any() else np.nan,
        }
        at_times = {"auc": aucs}
        if self.survival is not None:
            reached = self.censoring.at(uncensored, self.times)
            reached = np.where(reached > 0, reached, np.nan)
            overall = self.staying.at(self.staying.fit(weights), self.times)
            for name, survival in (("brier", self.survival), ("brier_kaplan_meier", overall[None, :])):
                leaving = (cases * survival**2).sum(axis=0)
                at_times[name] = (leaving + (controls * (1 - survival) ** 2).sum(axis=0) / reached) / weights.sum()
                whole[f"integrated_{name}"] = _mean_over(self.times, at_times[name])
        return whole, at_times


def _mean_over(times: Floats, values: Floats) -> float:
    """Integral by trapezoids, divided by the length of the time."""
    if len(times) == 1:
        return float(values[0])
    return float(np.trapezoid(values, times) / (times[-1] - times[0]))


class _Ties:
    """Rows by a marker: the chance that a case has a higher one than a control."""

    def __init__(self, marker: Floats) -> None:
        self.values, self.at = np.unique(marker, return_inverse=True)

    def auc(self, cases: Floats, controls: Floats) -> float:
        case = np.bincount(self.at, cases, len(self.values))
        control = np.bincount(self.at, controls, len(self.values))
        pairs = case.sum() * control.sum()
        return float(case @ (np.cumsum(control) - control / 2) / pairs) if pairs > 0 else np.nan
