"""How uncertain the curves of a survival model are: the joint covariance of its coefficients and of its baseline.

Of the fit before it is shrunk: shrunken coefficients are better guesses, and no estimates whose error is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from attrib.lifecycle.base.design import linear
from attrib.lifecycle.contractual.episodes import Episodes
from attrib.lifecycle.contractual.hazards import PARAMETRIC
from attrib.lifecycle.contractual.names import CURVES
from attrib.lifecycle.contractual.riskset import RiskTable, step
from attrib.lifecycle.contractual.scores import (
    baseline_steps,
    clustered,
    cox_scores,
    customer_codes,
    parametric_scores,
)

Floats = npt.NDArray[np.float64]
GRID = 64  # times at which the baseline's covariance is kept; between them it is drawn straight along the hazard
_ROWS = 20_000  # customers at a time, which bounds memory
_STEP = 1e-5


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """A fit before it is shrunk, and what is not known of it.

    Attributes
    ----------
    model : str
    coefficients : float64 [p]
        For the parametric models then intercept and logarithm of the shape.
    center : float64 [columns]
        Means of the columns, for which the baseline stands.
    times, hazard : float64 [J]
        The baseline's cumulative hazard; none for the parametric models.
    grid : float64 [M]
        Cumulative hazards at some of the times, rising.
    joint : float64 [p + M, p + M]
        Covariance of the coefficients and of the cumulative hazard at these times.
    """

    model: str
    coefficients: Floats
    center: Floats
    times: Floats
    hazard: Floats
    grid: Floats
    joint: Floats

    @classmethod
    def of(cls, model: str, found: Floats, covariance: Floats, matrix: Floats, rows: Episodes) -> Self:
        """Take the variances of a fit over rows, or over customers where some have several.

        Parameters
        ----------
        model : str
        found, covariance : numpy.ndarray
            Of `coefficients`; empty for the models of one curve.
        matrix : numpy.ndarray
            float64 [n, p].
        rows : Episodes
        """
        # intervals that follow each other are one life in pieces, which the likelihood counts once
        code, none = None if model == "time_varying_cox" else customer_codes(rows.customer), np.zeros(0)
        center = matrix.mean(axis=0)
        if model in PARAMETRIC:
            if code is not None:
                scores = parametric_scores(model, matrix, found, rows)
                covariance = clustered(scores @ covariance, code, rows.event, len(found))
            return cls(model, found, center, none, none, none, covariance)
        curve = model in CURVES
        centred = matrix - center
        risk = np.exp(linear(centred, found))
        table = RiskTable.of(rows.duration, rows.event, rows.entry, None if curve else risk)
        with np.errstate(divide="ignore"):
            hazard = -np.log(table.survival()) if curve else table.hazard()
        chosen = _chosen(hazard)
        p = len(found)
        # how the baseline moves with the coefficients: the means of those at risk, along the hazard
        pull = np.zeros((len(chosen), p))
        for j, column in enumerate(centred.T):
            means = RiskTable.of(rows.duration, rows.event, rows.entry, risk * column).at_risk / table.at_risk
            pull[:, j] = np.cumsum(means * table.left / table.at_risk)[chosen]
        joint = np.zeros((p + len(chosen), p + len(chosen)))
        if code is None:
            n, d = table.at_risk, table.left
            with np.errstate(divide="ignore"):
                gone = np.cumsum(d / (n * (n - d)) if curve else d / n**2)[chosen]
            joint[:p, :p] = covariance
            joint[p:, :p] = -pull @ covariance
            joint[:p, p:] = joint[p:, :p].T
            joint[p:, p:] = np.minimum.outer(gone, gone) + pull @ covariance @ pull.T
        else:
            of_slopes = cox_scores(centred, risk, rows) @ covariance if p else np.zeros((len(risk), 0))
            of_steps = baseline_steps(rows, risk, table, table.times[chosen], product=curve)
            joint = clustered(np.hstack([of_slopes, of_steps - of_slopes @ pull.T]), code, rows.event, p)
        return cls(model, found, center, table.times, hazard, hazard[chosen], joint)

    @property
    def covariance(self) -> Floats:
        """Of the coefficients, [p, p]."""
        return self.joint[: len(self.coefficients), : len(self.coefficients)]

    def change(self, matrix: Floats, now: Floats, later: Floats) -> tuple[Floats, Floats]:
        """Cumulative hazard of customers from one time to another, [n], and the derivatives of its logarithm, [n, q].

        Parameters
        ----------
        matrix : numpy.ndarray
            float64 [n, columns]; no columns for the models of one curve.
        now, later : numpy.ndarray
            float64 [n]; before anything has happened: −1.
        """
        if self.model in PARAMETRIC:
            return self._parametric(matrix, now, later)
        first, last = (step(self.times, self.hazard, at, 0.0) for at in (now, later))
        centred = matrix - self.center
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            passed = last - first
            weights = (self._weights(last) - self._weights(first)) / passed[:, None]
            grown = passed * np.exp(linear(centred, self.coefficients)) if len(self.coefficients) else passed
        return grown, np.hstack([centred, np.where(np.isfinite(weights), weights, 0.0)])

    def _weights(self, hazard: Floats) -> Floats:
        """How cumulative hazards lie between those of the grid, [n, M]."""
        out = np.zeros((len(hazard), len(self.grid)))
        known = np.append(0.0, self.grid)
        if len(self.grid):
            at = np.clip(np.searchsorted(known, hazard, side="left"), 1, len(self.grid))
            wide = np.maximum(known[at] - known[at - 1], np.finfo(np.float64).tiny)
            part = np.clip((hazard - known[at - 1]) / wide, 0.0, 1.0)
            rows = np.arange(len(hazard))
            out[rows, at - 1] = part
            lower = at > 1
            out[rows[lower], at[lower] - 2] = 1 - part[lower]
        return out

    def _parametric(self, matrix: Floats, now: Floats, later: Floats) -> tuple[Floats, Floats]:
        location, shape = linear(matrix, self.coefficients[:-2]) + self.coefficients[-2], self.coefficients[-1]

        def passed(location: Floats, shape: float) -> Floats:
            return log_survival(self.model, location, shape, now) - log_survival(self.model, location, shape, later)

        def slope(below: Floats, above: Floats) -> Floats:
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.asarray((np.log(above) - np.log(below)) / (2 * _STEP))

        by_location = slope(passed(location - _STEP, shape), passed(location + _STEP, shape))
        by_shape = slope(passed(location, shape - _STEP), passed(location, shape + _STEP))
        gradient = np.column_stack([by_location[:, None] * matrix, by_location, by_shape])
        return passed(location, shape), gradient

    def spread(self, gradient: Floats) -> Floats:
        """Standard error of what has these derivatives, [n]."""
        parts = [
            np.einsum("ij,ij->i", some @ self.joint, some)
            for some in np.array_split(gradient, max(1, -(-len(gradient) // _ROWS)))
        ]
        return np.asarray(np.sqrt(np.maximum(np.concatenate(parts), 0.0)))

    def bounds(self, matrix: Floats, now: Floats, later: Floats, z: float) -> tuple[Floats, Floats]:
        """Interval of the probability to leave between two times, [n] each: on the scale of log(−log)."""
        grown, gradient = self.change(matrix, now, later)
        with np.errstate(invalid="ignore", over="ignore"):
            wide = np.exp(z * self.spread(gradient))
            low, high = -np.expm1(-grown / wide), -np.expm1(-grown * wide)
        known = (grown > 0) & np.isfinite(grown) & np.isfinite(wide)
        return np.where(known, low, np.nan), np.where(known, high, np.nan)


def log_survival(model: str, location: Floats, log_shape: float, at: Floats) -> Floats:
    """Logarithm of the probability to be there at given times, by a parametric model: arrays broadcast."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        distance: Floats = np.log(np.maximum(at, 0.0)) - location
        shape = float(np.exp(log_shape))
        if model == "weibull":
            return -np.exp(shape * distance)
    from scipy.special import log_ndtr

    return np.asarray(log_ndtr(-distance / shape))


def _chosen(hazard: Floats) -> npt.NDArray[np.int64]:
    """Times at which covariances are kept: spread evenly over who left, where the hazard is finite and has grown."""
    finite = np.flatnonzero(np.isfinite(hazard))
    if not len(finite):
        return finite.astype(np.int64)
    at = np.unique(np.round(np.linspace(0, len(finite) - 1, min(GRID, len(finite)))).astype(np.int64))
    return finite[at].astype(np.int64)
