"""How much, given any: the number and the value of the customers whom those who refer bring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from attrib.errors import DataError
from attrib.lifecycle.base.calibrated import converged, one_thread
from attrib.lifecycle.base.estimator import needs
from attrib.lifecycle.base.labels import Bools, Floats

_NONE = -700.0  # log of an expected number that is nought in effect, but finite


@dataclass(frozen=True, slots=True)
class Mean:
    """Expected amount of those who refer: ``least + exp(matrix · coefficients)``.

    Parameters
    ----------
    coefficients : float64 [p + 1]
        The intercept last.
    bounds : float64 [2]
        Smallest and largest exponent of the training rows: no row is expected beyond what they are.
    least : float
        1 for a number of customers, 0 for a value.
    """

    coefficients: Floats
    bounds: Floats
    least: float

    @classmethod
    def fit(cls, matrix: Floats, amount: Floats, any_: Bools, least: float, alpha: float) -> Self:
        """Learn from those who referred: quasi-likelihood with a log link, so that means are unbiased.

        Numbers beyond the first, and values with zeros among them: Poisson, whose variance need not hold (Santos Silva
        & Tenreyro 2006). Values above zero: Gamma, as their spread grows with their mean. The sum of expectations is
        the sum of amounts (of the training rows that referred).
        """
        beyond = amount[any_] - least
        total = beyond.sum()
        if total <= 0:
            return cls(np.append(np.zeros(matrix.shape[1]), _NONE), np.array([_NONE, _NONE]), least)
        linear = needs("sklearn.linear_model")
        kind = linear.GammaRegressor if least == 0 and beyond.min() > 0 else linear.PoissonRegressor
        unit = beyond.mean()  # the penalty shall not depend on the currency
        with one_thread():
            model = converged(kind(alpha=alpha, solver="newton-cholesky", max_iter=500), matrix[any_], beyond / unit)
        coefficients = np.append(model.coef_, model.intercept_ + np.log(unit))
        exponent = matrix @ coefficients[:-1] + coefficients[-1]
        coefficients[-1] += np.log(total / np.exp(exponent[any_]).sum())
        exponent = matrix @ coefficients[:-1] + coefficients[-1]
        return cls(coefficients, np.array([exponent.min(), exponent.max()]), least)

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
