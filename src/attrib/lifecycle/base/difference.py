"""How certain the difference of two logistic regressions is, where each learned from the rows that got one action."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from attrib.errors import DataError
from attrib.lifecycle.base.calibrated import Calibrated
from attrib.lifecycle.base.labels import Bools, Floats, Integers
from attrib.values import normal_quantile


@dataclass(frozen=True, slots=True)
class Influence:
    """How far each customer moved the coefficients of a model: products of it are their covariance.

    ``customers`` int [k], rising; ``moved`` float64 [k, p + 1], the intercept last.
    """

    customers: Integers
    moved: Floats


def influence(
    model: Calibrated, C: float, matrix: Floats, positive: Bools, codes: Integers, weight: Floats | None
) -> Influence | None:
    """Influence of the customers of one arm; None for trees.

    A sandwich over customers: they may have several rows, and weights are no counts. In small samples residuals are
    smaller than errors; they are scaled up by the coefficients that the fit could choose (MacKinnon & White 1985, HC1,
    with the trace for their number, since the penalty takes some of the freedom).
    """
    if model.coefficients is None:
        return None
    columns = np.column_stack([matrix, np.ones(len(matrix))])
    weights = np.ones(len(matrix)) if weight is None else weight
    chance = expit(model.scores(matrix))
    information = (columns * (weights * chance * (1 - chance))[:, None]).T @ columns
    penalised = information.copy()
    penalised[np.arange(matrix.shape[1]), np.arange(matrix.shape[1])] += 1 / C
    inverse = np.linalg.pinv(penalised, hermitian=True)
    scores = columns * (weights * (positive - chance))[:, None]
    customers, own = np.unique(codes, return_inverse=True)
    sums = np.zeros((len(customers), columns.shape[1]))
    np.add.at(sums, own, scores)
    n, k = len(matrix), len(customers)
    chosen = min(float(np.trace(inverse @ information)), n - 1.0)
    scale = k / max(k - 1, 1) * (n / (n - chosen))
    return Influence(customers, np.sqrt(scale) * sums @ inverse)


def _product(one: Influence, other: Influence) -> Floats:
    _, i, j = np.intersect1d(one.customers, other.customers, assume_unique=True, return_indices=True)
    found: Floats = one.moved[i].T @ other.moved[j]
    return found


@dataclass(frozen=True, slots=True)
class DifferenceErrors:
    """Covariances, [p + 1, p + 1], of the coefficients of one model, of the other, and between the two.

    Customers with rows in both arms make the last one differ from 0.
    """

    one: Floats
    other: Floats
    between: Floats

    @classmethod
    def of(cls, one: Influence | None, other: Influence | None) -> DifferenceErrors | None:
        """From the influences on both; None where there is none, as for trees."""
        if one is None or other is None:
            return None
        return cls(_product(one, one), _product(other, other), _product(one, other))

    def check(self, columns: int) -> None:
        """Check what comes from a file.

        Raises
        ------
        DataError
            ``bad_model``.
        """
        for part in (self.one, self.other, self.between):
            if part.dtype != np.float64 or part.shape != (columns + 1, columns + 1) or not np.isfinite(part).all():
                raise DataError("bad_model", "a stored model has errors that do not fit")
        if (np.diagonal(self.one) < 0).any() or (np.diagonal(self.other) < 0).any():
            raise DataError("bad_model", "a stored model has errors that do not fit")


@dataclass(frozen=True, slots=True)
class Difference:
    """Chance by one model less that by another, row by row; ``low, high`` are NaN where there are no errors.

    ``mean_low, mean_high``: of the mean over all rows.
    """

    one: Floats
    other: Floats
    low: Floats
    high: Floats
    mean_low: float
    mean_high: float


def difference(
    one: Calibrated, other: Calibrated, errors: DifferenceErrors | None, matrix: Floats, level: float
) -> Difference:
    """Compare two models on the same rows, with intervals of `level`.

    Intervals are of the expectation for customers with these features: of the regressions before they are calibrated
    (delta method), and wide enough to hold the calibrated difference.
    """
    yes, no = one.probability(matrix), other.probability(matrix)
    if errors is None:
        nan = np.full(len(matrix), np.nan)
        return Difference(yes, no, nan, nan, np.nan, np.nan)
    z = normal_quantile(level)
    columns = np.column_stack([matrix, np.ones(len(matrix))])
    first, second = expit(one.scores(matrix)), expit(other.scores(matrix))
    slope, less = ((p * (1 - p))[:, None] * columns for p in (first, second))

    def error(one: Floats, other: Floats) -> Floats:
        parts = ((one, errors.one, one, 1), (other, errors.other, other, 1), (one, errors.between, other, -2))
        variance = sum(times * np.einsum("ij,ij->i", left @ middle, right) for left, middle, right, times in parts)
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)))

    raw, found = first - second, yes - no
    wide = z * error(slope, less)
    whole = z * float(error(slope.mean(axis=0)[None], less.mean(axis=0)[None])[0]) if len(matrix) else np.nan
    middle, mean = (float(values.mean()) if len(matrix) else np.nan for values in (raw, found))
    return Difference(
        yes, no, np.minimum(raw - wide, found), np.maximum(raw + wide, found),
        min(middle - whole, mean), max(middle + whole, mean),
    )  # fmt: skip
