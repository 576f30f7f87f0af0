"""A fitted survival model as numbers: what it predicts from them, and how they are stored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError, SpecError, warn
from attrib.io.text import clean
from attrib.lifecycle.base.beside import check_same_rows, read_numbers
from attrib.lifecycle.base.design import DesignMatrix, collected, linear
from attrib.lifecycle.base.estimator import Estimator
from attrib.lifecycle.contractual.hazards import PARAMETRIC
from attrib.lifecycle.contractual.incidence import Incidence, with_bounds
from attrib.lifecycle.contractual.names import CURVES, model_name
from attrib.lifecycle.contractual.riskset import RiskTable, normal_quantile, step
from attrib.schemas import require_columns
from attrib.showing import Sheet, frame_sheet

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
FORMAT = 1
_LARGEST = 700.0  # its exponential is still a number
ARRAYS = ("coefficients", "covariance", "center", "times", "hazard", "at_risk", "left")


class FittedSurvival(Estimator):
    """What `SurvivalChurn` can do without the data it was fitted to."""

    model: str
    horizon: float | None
    model_: str
    classes_: Bools
    causes_: list[Any]
    design_: DesignMatrix | None
    coefficients_: Floats
    covariance_: Floats
    calibration_slope_: float | None
    longest_: float
    customers_: int
    left_: int
    _center: Floats
    _times: Floats
    _hazard: Floats
    _at_risk: Floats
    _left: Floats
    _by_cause: Floats

    def _check_parameters(self) -> None:
        raise NotImplementedError

    def risk(self, X: Any) -> Floats:
        """Score of each customer, higher for those who leave sooner, float64 [n].

        Cox: the logarithm of the hazard relative to a customer of mean features; parametric models: minus the
        logarithm of the time scale.
        """
        score = self._predictor(X)
        return -score if self.model_ in PARAMETRIC else score

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

    def predict_churn(self, X: Any, horizon: float | None = None, conditional_after: Any = None) -> Floats:
        """Probability to leave within the horizon, for a customer who is still there now.

        Parameters
        ----------
        X : frame
            Features [n]; None will do for the models of one curve.
        horizon : float, optional
            How far ahead, in the unit of training; by default that of the constructor.
        conditional_after : array-like, float or str, optional
            How long each customer has been there now [n]; a text names a column of X. By default 0: new customers.

        Returns
        -------
        numpy.ndarray
            float64 [n]: 1 − S(after + horizon) / S(after). Not a number where the model says that nobody is there
            so long. All but the parametric models know no hazard beyond ``longest_``: what lies there counts as 0,
            and a warning says for how many customers.

        Raises
        ------
        SpecError
            ``no_horizon``, ``bad_parameter``.
        """
        score, now, ahead = self._asked(X, horizon, conditional_after)
        with np.errstate(invalid="ignore"):
            change = self._log_survival(score, now + ahead) - self._log_survival(score, now)
        return 0.0 - np.expm1(change)  # and not -0.0

    def predict_proba(self, X: Any, horizon: float | None = None, conditional_after: Any = None) -> Floats:
        """Probabilities to be still there, and to have left, when the horizon is over: see `predict_churn`.

        Returns
        -------
        numpy.ndarray
            float64 [n, 2], in the order of ``classes_``: stays, leaves.
        """
        leaves = self.predict_churn(X, horizon, conditional_after)
        return np.column_stack([1 - leaves, leaves])

    def predict(self, X: Any, horizon: float | None = None, conditional_after: Any = None) -> Bools:
        """Whether a customer is more likely to leave within the horizon than to stay, bool [n]: see `predict_churn`."""
        return self.predict_churn(X, horizon, conditional_after) >= 0.5

    def predict_causes(self, X: Any, horizon: float | None = None, conditional_after: Any = None) -> pl.DataFrame:
        """Probability to leave for each cause within the horizon, the other causes being at work too.

        Parameters
        ----------
        X, horizon, conditional_after
            As in `predict_churn`.

        Returns
        -------
        polars.DataFrame
            A column each cause, a row each customer; a row's sum is `predict_churn`.

        Raises
        ------
        SpecError
            ``no_causes`` for other models than ``aalen_johansen``.
        """
        found = self._incidence()
        _, now, ahead = self._asked(X, horizon, conditional_after)
        steps = np.hstack([np.zeros((len(self.causes_), 1)), found.at(self._times)[0]])
        there = step(self._times, found.table().survival(), now, 1.0)
        first, last = (np.searchsorted(self._times, at, side="right") for at in (now, now + ahead))
        with np.errstate(invalid="ignore"):
            chances = (steps[:, last] - steps[:, first]) / np.where(there > 0, there, np.nan)
        return pl.DataFrame({str(cause): chance for cause, chance in zip(self.causes_, chances, strict=True)})

    def incidence(self, times: Any = None, *, conditional_after: float = 0.0, level: float = 0.95) -> pl.DataFrame:
        """Probability to have left for each cause by a time (Aalen & Johansen), of those still there at another time.

        Parameters
        ----------
        times : array-like of float, optional
            Since the begin of the relation, in the unit of training [m]; by default all at which somebody left.
        conditional_after : float
            Of customers who are still there then; those who left before count neither as leaving nor as at risk.
        level : float
            Of the intervals.

        Returns
        -------
        polars.DataFrame
            ``cause, time, incidence, standard_error, incidence_low, incidence_high`` by cause and time; see
            `cumulative_incidence`.

        Raises
        ------
        SpecError
            ``no_causes`` for other models than ``aalen_johansen``.
        """
        (after,), z = read_numbers("conditional_after", [conditional_after], least=0), normal_quantile(level)
        found = self._incidence().after(after)
        points = found.times if times is None else read_numbers("times", np.atleast_1d(times), least=0)
        self._warn_beyond(points)
        parts = []
        for cause, value, spread in zip(self.causes_, *found.at(points), strict=True):
            columns = with_bounds(points, value, spread, z) | {"standard_error": spread}
            parts.append(pl.DataFrame(columns).select(pl.lit(cause).alias("cause"), pl.all()))
        order = ("cause", "time", "incidence", "standard_error", "incidence_low", "incidence_high")
        return pl.concat(parts).select(order).with_columns(pl.col(order[-2:]).fill_nan(None))

    def _sheets(self) -> Iterator[Sheet]:
        yield from super()._sheets()
        if getattr(self, "design_", None) is not None:
            yield frame_sheet("summary", self.summary(), most=12)

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
        if self.model_ in PARAMETRIC:
            names = [*names, "(intercept)", "(log shape)"]
        ratio = "time_ratio" if self.model_ in PARAMETRIC else "hazard_ratio"
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
        if self.model_ in CURVES:
            table = RiskTable(self._times, self._at_risk, self._left)
            columns["survival_low"], columns["survival_high"] = table.interval()
        return pl.DataFrame(columns).cast({"at_risk": pl.Int64, "left": pl.Int64})

    @property
    def _slopes(self) -> Floats:
        return self.coefficients_[:-2] if self.model_ in PARAMETRIC else self.coefficients_

    @property
    def _constant(self) -> float:
        """Intercept, such that Cox's linear predictor is 0 at the means."""
        if self.model_ in PARAMETRIC:
            return float(self.coefficients_[-2])
        return -float(linear(self._center[None], self._slopes)[0])

    def _incidence(self) -> Incidence:
        self._check_fitted("coefficients_")
        if self.model_ != "aalen_johansen":
            hint = 'SurvivalChurn(model="aalen_johansen").fit(X, duration, event=causes)'
            raise SpecError("no_causes", f"model={self.model_!r} knows no causes of leaving", hint=hint)
        return Incidence(self._times, self._at_risk, self._by_cause)

    def _asked(self, X: Any, horizon: float | None, conditional_after: Any) -> tuple[Floats, Floats, float]:
        """Linear predictor and time of each customer, and how far ahead to look from there."""
        score = self._predictor(X)
        if horizon is None and self.horizon is None:
            hint = f"pass horizon=, or {type(self).__name__}(horizon=…)"
            raise SpecError("no_horizon", "how far ahead? no horizon is given", hint=hint)
        ahead = check_horizon(self.horizon if horizon is None else horizon)
        check_same_rows(X=X, conditional_after=conditional_after)
        after: Any = 0.0 if conditional_after is None else conditional_after
        if isinstance(after, str):
            if X is None:
                raise SpecError("bad_argument", f"{after!r} names a column, and there is no frame")
            table = collected(X)
            require_columns("features", table.columns, [after])
            after = table[after]
        now = read_numbers("conditional_after", [after] if np.ndim(after) == 0 else after, least=0)
        if X is None:  # customers of one curve are told apart by their time only
            score = np.zeros(len(now))
        if len(now) not in {1, len(score)}:
            raise DataError("different_lengths", f"conditional_after has {len(now)} values for {len(score)} customers")
        now = np.broadcast_to(now, score.shape)
        self._warn_beyond(now + ahead)
        return score, now, ahead

    def _predictor(self, X: Any) -> Floats:
        """Linear predictor of each customer."""
        self._check_fitted("coefficients_")
        if self.design_ is None:
            return np.zeros(1 if X is None else collected(X).height)
        matrix = self.design_.transform(X)
        return linear(matrix, self._slopes) + self._constant

    def _log_survival(self, score: Floats, at: Floats) -> Floats:
        """Logarithm of the probability to be there at given times: arrays broadcast."""
        if self.model_ not in PARAMETRIC:
            return -step(self._times, self._hazard, at, 0.0) * np.exp(np.minimum(score, _LARGEST))
        with np.errstate(divide="ignore", over="ignore"):
            distance: Floats = np.log(at) - score
            shape = float(np.exp(self.coefficients_[-1]))
            if self.model_ == "weibull":
                return -np.exp(shape * distance)
        from scipy.special import log_ndtr

        return np.asarray(log_ndtr(-distance / shape))

    def _warn_beyond(self, at: Floats) -> None:
        beyond = int((at > self.longest_).sum())
        if beyond and self.model_ not in PARAMETRIC:
            warn(
                f"{beyond} of {at.size} times lie beyond the longest duration of training ({self.longest_:g}), where "
                f"{self.model_} knows no hazard: probabilities to leave are too low there; a shorter horizon, or "
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
            "model": self.model_,
            "calibration_slope": self.calibration_slope_,
        }
        arrays = (
            self.coefficients_, self.covariance_, self._center, self._times, self._hazard, self._at_risk, self._left,
        )  # fmt: skip
        named = dict(zip(ARRAYS, arrays, strict=True))
        if self.model_ == "aalen_johansen":
            plain["causes"], named["by_cause"] = list(self.causes_), self._by_cause
        return plain, named

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
            model.model_, model.classes_ = model_name(plain.get("model", model.model)), np.array([False, True])
            counts = {name: plain[name] for name in ("longest", "customers", "left")}
            found = {name: np.asarray(arrays[name]) for name in ARRAYS}
            design = plain["design"]
        except (KeyError, TypeError, ValueError, SpecError) as error:
            raise DataError("bad_model", f"not a stored {cls.__name__}: {error}") from error
        model.design_ = None if model.model_ in CURVES else DesignMatrix.from_dict(design)
        columns = 0 if model.design_ is None else len(model.design_.names)
        several, times = columns + 2 * (model.model_ in PARAMETRIC), found["times"].shape[:1]
        hazards = (0,) if model.model_ in PARAMETRIC else times
        shapes = ((several,), (several, several), (columns,), times, hazards, times, times)
        good &= all(isinstance(n, (int, float)) and math.isfinite(n) and n >= 0 for n in counts.values())
        slope = plain.get("calibration_slope")  # files of before have none
        good &= slope is None or (type(slope) in (int, float) and 0 <= slope <= 1)
        good &= all(a.dtype == np.float64 and a.shape == s for a, s in zip(found.values(), shapes, strict=True))
        exact = ("coefficients", "center", "times", "at_risk", "left")  # Kaplan–Meier's hazard may end at infinity
        good = good and all(np.isfinite(found[name]).all() for name in exact) and not np.isnan(found["hazard"]).any()
        times_, hazard = found["times"], found["hazard"]  # compared, for infinity less infinity is nothing
        if not good or (times_[1:] <= times_[:-1]).any() or (hazard[1:] < hazard[:-1]).any():
            raise DataError("bad_model", f"not a stored {cls.__name__} of format {FORMAT}")
        model.longest_, model.customers_, model.left_ = counts["longest"], counts["customers"], counts["left"]
        model.calibration_slope_ = slope
        model.coefficients_, model.covariance_, model._center = (found[name] for name in ARRAYS[:3])
        model._times, model._hazard, model._at_risk, model._left = (found[name] for name in ARRAYS[3:])
        if model.model_ == "aalen_johansen":
            model.causes_, model._by_cause = plain.get("causes"), np.asarray(arrays.get("by_cause"))
            if not _good_causes(model.causes_, model._by_cause, model._left):
                raise DataError("bad_model", f"not a stored {cls.__name__}: its causes do not fit")
        return model


def _good_causes(causes: Any, counts: npt.NDArray[Any], left: Floats) -> bool:
    """Whether stored causes have names, and counts that make up all who left."""
    named = isinstance(causes, list) and all(type(cause) in (str, int, float, bool) for cause in causes)
    if not named or len(set(causes)) < len(causes) or counts.dtype != np.float64:
        return False
    return counts.shape == (len(causes), len(left)) and bool((counts >= 0).all() and (counts.sum(axis=0) == left).all())


def check_horizon(horizon: Any) -> float:
    """Check how far ahead to look: a finite number from 0.

    Raises
    ------
    SpecError
        ``bad_parameter``.
    """
    good = isinstance(horizon, (int, float, np.number)) and not isinstance(horizon, bool)
    if not good or not 0 <= horizon < math.inf:
        text = f"horizon = {clean(repr(horizon), 80)} is not a finite number from 0"
        raise SpecError("bad_parameter", text, hint="in the unit of the durations: e.g. 90 where they are days")
    return float(horizon)
