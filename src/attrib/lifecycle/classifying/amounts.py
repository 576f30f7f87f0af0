"""How much, given any: the number and the value of the customers whom those who refer bring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from attrib.errors import DataError, SolveError
from attrib.extras import needs
from attrib.lifecycle.base.calibrated import converged, one_thread
from attrib.lifecycle.base.labels import Bools, Floats, Integers

_NONE = -700.0  # log of an expected number that is nought in effect, but finite
PENALTIES = (0.01, 0.1, 1.0, 10.0)  # tried where none is given; beyond them lies the mean, the same for all
ROWS_PER_COLUMN = 10  # of those who referred, from which on columns may tell their amounts apart (Peduzzi et al. 1996)


@dataclass(frozen=True, slots=True)
class Mean:
    """Expected amount of those who refer: ``least + exp(matrix · coefficients)``, within bounds.

    Parameters
    ----------
    coefficients : float64 [p + 1]
        The intercept last.
    bounds : float64 [2]
        Smallest and largest exponent: no row is expected beyond what those who referred are.
    least : float
        1 for a number of customers, 0 for a value.
    """

    coefficients: Floats
    bounds: Floats
    least: float

    @classmethod
    def fit(
        cls,
        matrix: Floats,
        amount: Floats,
        any_: Bools,
        least: float,
        chance: Floats,
        fold: Integers,
        alpha: float | None = None,
    ) -> tuple[Self, float | None]:
        """Learn from those who referred: quasi-likelihood with a log link.

        Numbers beyond the first, and values with zeros among them: Poisson, whose variance need not hold (Santos Silva
        & Tenreyro 2006). Values above zero: Gamma, as their spread grows with their mean.

        A log link is exponential: coefficients that few rows have not settled make rows unlike them worth millions.
        So, first, fewer than `ROWS_PER_COLUMN` of those who referred a column have one mean, the same for all. Second,
        without ``alpha`` the penalty is the strongest of `PENALTIES`, or that one mean, whose deviance out of fold is
        within a standard error of the best one. Third, exponents keep to the range of those who referred, and below
        the largest amount seen. Last, the intercept is such that the mean over all rows, weighted by their chance to
        refer, is the mean amount of those who referred: the total that is expected then fits the total seen.

        Parameters
        ----------
        matrix : float64 [n, p]
        amount : float64 [n]
        any_ : bool [n]
            Who referred.
        least : float
        chance : float64 [n]
            Of referring.
        fold : int [n]
            Fold of each row.
        alpha : float, optional
            The penalty on squared coefficients.

        Returns
        -------
        Mean
        float or None
            The penalty; None for one mean.
        """
        beyond = amount[any_] - least
        nothing = np.append(np.zeros(matrix.shape[1]), _NONE)
        if beyond.sum() <= 0:
            return cls(nothing, np.array([_NONE, _NONE]), least), None
        unit = beyond.mean()  # the penalty shall not depend on the currency
        kind = "GammaRegressor" if least == 0 and beyond.min() > 0 else "PoissonRegressor"
        own = matrix[any_]
        if len(beyond) < ROWS_PER_COLUMN * matrix.shape[1]:
            alpha = None
        elif alpha is None:
            alpha = _penalty(kind, own, beyond / unit, fold[any_])
        coefficients = nothing
        coefficients[-1] = np.log(unit)
        if alpha is not None:
            coefficients = _fitted(kind, own, beyond / unit, alpha) + np.append(np.zeros(matrix.shape[1]), np.log(unit))
        exponent = own @ coefficients[:-1] + coefficients[-1]
        most = float(np.log(beyond.max()))
        bounds = np.array([min(exponent.min(), most), min(exponent.max(), most)])
        # as many steps as it takes for a total that the largest amount seen does not allow to be reached in one
        for _ in range(20):
            here = np.exp(np.clip(matrix @ coefficients[:-1] + coefficients[-1], *bounds))
            shift = np.log(unit * chance.sum() / (chance * here).sum())
            coefficients[-1] += shift
            bounds = np.minimum(bounds + shift, most)
            if abs(shift) < 1e-12:
                break
        return cls(coefficients, bounds, least), alpha

    def expect(self, matrix: Floats) -> Floats:
        """Expected amounts, [n]."""
        exponent = np.full(len(matrix), self.coefficients[-1])
        for weight, values in zip(self.coefficients[:-1], matrix.T, strict=True):  # as in Calibrated.scores
            exponent += weight * values
        return np.asarray(self.least + np.exp(np.clip(exponent, *self.bounds)), dtype=np.float64)

    @classmethod
    def from_state(cls, arrays: Any, least: float, columns: int) -> Self:
        """Rebuild it from its two arrays for a matrix of ``columns``, trusting neither.

        Raises
        ------
        DataError
            ``bad_model``.
        """
        for name, size in (("coefficients", columns + 1), ("bounds", 2)):
            array = arrays.get(name)
            fine = isinstance(array, np.ndarray) and array.dtype == np.float64 and array.shape == (size,)
            if not fine or not np.isfinite(array).all():
                raise DataError("bad_model", f"the {name} of an expected amount do not fit its features")
        return cls(arrays["coefficients"], arrays["bounds"], least)


def _fitted(kind: str, matrix: Floats, amount: Floats, alpha: float) -> Floats:
    """Coefficients of a regression of scikit-learn, the intercept last."""
    regressor = getattr(needs("sklearn.linear_model"), kind)
    with one_thread():
        model = converged(regressor(alpha=alpha, solver="newton-cholesky", max_iter=500), matrix, amount)
    return np.append(model.coef_, model.intercept_)


def _penalty(kind: str, matrix: Floats, amount: Floats, fold: Integers) -> float | None:
    """Choose the strongest penalty that rows left out do not speak against; None: the mean, the same for all."""
    tried: tuple[float | None, ...] = (*PENALTIES, None)
    losses = np.empty((len(tried), len(amount)))
    for number in np.unique(fold):
        rest, test = fold != number, fold == number
        total = amount[rest].sum() if rest.any() else 0.0
        if total <= 0 or (kind == "PoissonRegressor" and len(np.unique(amount[rest])) < 2):
            return None
        for row, alpha in enumerate(tried):
            mean = np.full(test.sum(), amount[rest].mean())
            if alpha is not None:
                try:
                    found = _fitted(kind, matrix[rest], amount[rest], alpha)
                except SolveError:  # too weak a penalty
                    losses[row, test] = np.inf
                    continue
                learned = matrix[rest] @ found[:-1]
                exponent = np.clip(matrix[test] @ found[:-1], learned.min(), learned.max()) + found[-1]
                mean = np.exp(np.clip(exponent, _NONE, np.log(amount[rest].max())))
            losses[row, test] = _deviance(kind, amount[test], mean)
    totals = losses.mean(axis=1)
    best = int(np.argmin(totals))
    if not np.isfinite(totals[best]):
        return None
    for row in range(len(tried) - 1, best, -1):
        if np.isfinite(totals[row]):
            more = losses[row] - losses[best]
            if more.mean() <= more.std() / np.sqrt(len(more)):
                return tried[row]
    return tried[best]


def _deviance(kind: str, amount: Floats, mean: Floats) -> Floats:
    """Half the deviance of each row, up to what does not depend on the mean."""
    if kind == "GammaRegressor":
        return np.asarray(amount / mean + np.log(mean), dtype=np.float64)
    return np.asarray(mean - amount * np.log(mean), dtype=np.float64)


def amount_facts(some: Floats, expected: Floats, alpha: float | None) -> dict[str, float | None]:
    """Facts that `report_` holds of the amounts of those who referred, and of what is expected of all."""
    seen = float(some.sum())
    ratio = float(expected.sum()) / seen if seen > 0 else None
    return {"given_any": float(some.mean()), "alpha": alpha, "total_ratio": ratio}


def check_amounts(given: dict[str, tuple[Floats, float]], positive: Bools) -> None:
    """Check that amounts and labels tell the same story."""
    if "count" in given:
        count = given["count"][0]
        wrong = int(((count > 0) != positive).sum())
        if wrong:
            raise DataError("count_and_label_differ", f"in {wrong} of {len(count)} rows y is not count > 0")
        if (count != np.floor(count)).any():
            raise DataError("bad_value", "count is not a whole number in each row")
    if "value" in given and (given["value"][0][~positive] > 0).any():
        wrong = int((given["value"][0][~positive] > 0).sum())
        raise DataError("count_and_label_differ", f"{wrong} rows have a value of referred customers, but none referred")
