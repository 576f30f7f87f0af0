"""A fitted survival model as numbers: what it predicts from them, and how they are stored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError, SpecError, warn
from attrib.lifecycle.base.columns import check_same_rows, read_numbers
from attrib.lifecycle.base.design import DesignMatrix, collected, linear
from attrib.lifecycle.base.estimator import Estimator
from attrib.lifecycle.contractual.hazards import PARAMETRIC
from attrib.lifecycle.contractual.riskset import RiskTable, normal_quantile, step

Floats = npt.NDArray[np.float64]
FORMAT = 1
_LARGEST = 700.0  # its exponential is still a number
ARRAYS = ("coefficients", "covariance", "center", "times", "hazard", "at_risk", "left")


class FittedSurvival(Estimator):
    """What `SurvivalChurn` can do without the data it was fitted to."""

    model: str
    design_: DesignMatrix | None
    coefficients_: Floats
    covariance_: Floats
    longest_: float
    customers_: int
    left_: int
    _center: Floats
    _times: Floats
    _hazard: Floats
    _at_risk: Floats
    _left: Floats

    def _check_parameters(self) -> None:
        raise NotImplementedError

    def risk(self, X: Any) -> Floats:
        """Score of each customer, higher for those who leave sooner, float64 [n].

        Cox: the logarithm of the hazard relative to a customer of mean features; parametric models: minus the
        logarithm of the time scale.
        """
        score = self._predictor(X)
        return -score if self.model in PARAMETRIC else score

    def predict_survival(self, X: Any, times: Any) -> Floats:
        """Probability to be still there at given times after the begin of the relation.

        Parameters
        ----------
        X : frame
            Features [n].
        times : array-like of float
            In the unit of training [m].

        Returns
        -------
        numpy.ndarray
            float64 [n, m].
        """
        at = read_numbers("times", np.atleast_1d(times), least=0)
        self._warn_beyond(at)
        return np.exp(self._log_survival(self._predictor(X)[:, None], at[None, :]))

    def predict_churn(self, X: Any, horizon: float, conditional_after: Any = None) -> Floats:
        """Probability to leave within the horizon, for a customer who is still there now.

        Parameters
        ----------
        X : frame
            Features [n].
        horizon : float
            How far ahead, in the unit of training.
        conditional_after : array-like, float or str, optional
            How long each customer has been there now [n]; a text names a column of X. By default 0: new customers.

        Returns
        -------
        numpy.ndarray
            float64 [n]: 1 − S(after + horizon) / S(after). Not a number where the model says that nobody is there
            so long. Cox and Kaplan–Meier know no hazard beyond ``longest_``: what lies there counts as 0, and a
            warning says for how many customers.
        """
        ahead = float(read_numbers("horizon", [horizon], least=0)[0])
        score = self._predictor(X)
        check_same_rows(X=X, conditional_after=conditional_after)
        after: Any = 0.0 if conditional_after is None else conditional_after
        if isinstance(after, str):
            after = collected(X)[after]
        now = read_numbers("conditional_after", [after] if np.ndim(after) == 0 else after, least=0)
        if X is None:  # Kaplan–Meier's customers are told apart by their time only
            score = np.zeros(len(now))
        if len(now) not in {1, len(score)}:
            raise DataError("different_lengths", f"conditional_after has {len(now)} values for {len(score)} customers")
        now = np.broadcast_to(now, score.shape)
        self._warn_beyond(now + ahead)
        with np.errstate(invalid="ignore"):
            change = self._log_survival(score, now + ahead) - self._log_survival(score, now)
        return 0.0 - np.expm1(change)  # and not -0.0

    def summary(self, level: float = 0.95) -> pl.DataFrame:
        """Coefficients with standard errors, ratios and intervals.

        Returns
        -------
        polars.DataFrame
            ``feature, coefficient, standard_error``, then ``hazard_ratio`` (for parametric models ``time_ratio``:
            how many times longer customers stay) per unit of the feature with ``…_low, …_high``, ``z, p``.
        """
        self._check_fitted("coefficients_")
        from scipy.special import ndtr

        names = self.design_.names if self.design_ else []
        if self.model in PARAMETRIC:
            names = [*names, "(intercept)", "(log shape)"]
        ratio = "time_ratio" if self.model in PARAMETRIC else "hazard_ratio"
        value, spread = self.coefficients_, np.sqrt(np.diag(self.covariance_))
        width = normal_quantile(level) * spread
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            columns = {
                "coefficient": value,
                "standard_error": spread,
                ratio: np.exp(value),
                f"{ratio}_low": np.exp(value - width),
                f"{ratio}_high": np.exp(value + width),
                "z": value / spread,
                "p": 2 * ndtr(-np.abs(value / spread)),
            }
        return pl.DataFrame({"feature": pl.Series(names, dtype=pl.String), **columns})

    @property
    def baseline_(self) -> pl.DataFrame:
        """The curve of a customer of mean features, at each time somebody left; see the class."""
        self._check_fitted("coefficients_")
        mean = linear(self._center[None], self._slopes) + self._constant
        log_survival = self._log_survival(mean, self._times)
        columns = {
            "time": self._times,
            "at_risk": self._at_risk,
            "left": self._left,
            "cumulative_hazard": -log_survival,
            "survival": np.exp(log_survival),
        }
        if self.model == "kaplan_meier":
            table = RiskTable(self._times, self._at_risk, self._left)
            columns["survival_low"], columns["survival_high"] = table.interval()
        return pl.DataFrame(columns).cast({"at_risk": pl.Int64, "left": pl.Int64})

    @property
    def _slopes(self) -> Floats:
        return self.coefficients_[:-2] if self.model in PARAMETRIC else self.coefficients_

    @property
    def _constant(self) -> float:
        """Intercept, such that Cox's linear predictor is 0 at the means."""
        if self.model in PARAMETRIC:
            return float(self.coefficients_[-2])
        return -float(linear(self._center[None], self._slopes)[0])

    def _predictor(self, X: Any) -> Floats:
        """Linear predictor of each customer."""
        self._check_fitted("coefficients_")
        if self.design_ is None:
            return np.zeros(1 if X is None else collected(X).height)
        matrix = self.design_.transform(X)
        return linear(matrix, self._slopes) + self._constant

    def _log_survival(self, score: Floats, at: Floats) -> Floats:
        """Logarithm of the probability to be there at given times: arrays broadcast."""
        if self.model not in PARAMETRIC:
            return -step(self._times, self._hazard, at, 0.0) * np.exp(np.minimum(score, _LARGEST))
        with np.errstate(divide="ignore", over="ignore"):
            distance: Floats = np.log(at) - score
            shape = float(np.exp(self.coefficients_[-1]))
            if self.model == "weibull":
                return -np.exp(shape * distance)
        from scipy.special import log_ndtr

        return np.asarray(log_ndtr(-distance / shape))

    def _warn_beyond(self, at: Floats) -> None:
        beyond = int((at > self.longest_).sum())
        if beyond and self.model not in PARAMETRIC:
            warn(
                f"{beyond} of {at.size} times lie beyond the longest duration of training ({self.longest_:g}), where "
                f"{self.model} knows no hazard: probabilities to leave are too low there; a shorter horizon, or "
                'model="weibull", which extrapolates'
            )

    def state(self) -> tuple[dict[str, Any], dict[str, Floats]]:
        """All that predictions need, as JSON and as arrays; `from_state` is the way back."""
        self._check_fitted("coefficients_")
        plain = {
            "estimator": type(self).__name__,
            "format": FORMAT,
            "parameters": self.get_params(),
            "design": self.design_.to_dict() if self.design_ else None,
            "longest": self.longest_,
            "customers": self.customers_,
            "left": self.left_,
        }
        arrays = (
            self.coefficients_, self.covariance_, self._center, self._times, self._hazard, self._at_risk, self._left,
        )  # fmt: skip
        return plain, dict(zip(ARRAYS, arrays, strict=True))

    @classmethod
    def from_state(cls, plain: Any, arrays: Mapping[str, Any]) -> Self:
        """Rebuild the model from `state`, trusting nothing; its predictions are the same to the last bit.

        Raises
        ------
        DataError
            ``bad_model``.
        """
        try:
            good = plain["estimator"] == cls.__name__ and plain["format"] == FORMAT
            model = cls(**plain["parameters"])
            model._check_parameters()
            counts = {name: plain[name] for name in ("longest", "customers", "left")}
            found = {name: np.asarray(arrays[name]) for name in ARRAYS}
            design = plain["design"]
        except (KeyError, TypeError, ValueError, SpecError) as error:
            raise DataError("bad_model", f"not a stored {cls.__name__}: {error}") from error
        model.design_ = None if model.model == "kaplan_meier" else DesignMatrix.from_dict(design)
        columns = 0 if model.design_ is None else len(model.design_.names)
        several, times = columns + 2 * (model.model in PARAMETRIC), found["times"].shape[:1]
        hazards = (0,) if model.model in PARAMETRIC else times
        shapes = ((several,), (several, several), (columns,), times, hazards, times, times)
        good &= all(isinstance(n, (int, float)) and math.isfinite(n) and n >= 0 for n in counts.values())
        good &= all(a.dtype == np.float64 and a.shape == s for a, s in zip(found.values(), shapes, strict=True))
        exact = ("coefficients", "center", "times", "at_risk", "left")  # Kaplan–Meier's hazard may end at infinity
        good = good and all(np.isfinite(found[name]).all() for name in exact) and not np.isnan(found["hazard"]).any()
        times_, hazard = found["times"], found["hazard"]  # compared, for infinity less infinity is nothing
        if not good or (times_[1:] <= times_[:-1]).any() or (hazard[1:] < hazard[:-1]).any():
            raise DataError("bad_model", f"not a stored {cls.__name__} of format {FORMAT}")
        model.longest_, model.customers_, model.left_ = counts["longest"], counts["customers"], counts["left"]
        model.coefficients_, model.covariance_, model._center = (found[name] for name in ARRAYS[:3])
        model._times, model._hazard, model._at_risk, model._left = (found[name] for name in ARRAYS[3:])
        return model
