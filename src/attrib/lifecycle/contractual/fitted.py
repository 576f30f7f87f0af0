"""A fitted survival model as numbers, and what it predicts from them (how it is stored: stored.py)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError, SpecError, brief, warn
from attrib.io.text import clean
from attrib.lifecycle.base.beside import check_same_rows, read_numbers
from attrib.lifecycle.base.design import collected, linear
from attrib.lifecycle.contractual.hazards import PARAMETRIC
from attrib.lifecycle.contractual.incidence import Incidence, warn_of_nobody, with_bounds
from attrib.lifecycle.contractual.names import CURVES
from attrib.lifecycle.contractual.riskset import RiskTable, step
from attrib.lifecycle.contractual.stored import StoredSurvival
from attrib.lifecycle.contractual.uncertain import Uncertainty, log_survival
from attrib.schemas import NAMED, require_columns
from attrib.showing import Sheet, frame_sheet
from attrib.values import normal_quantile

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
NEW = -1.0  # the time of customers of whom nothing is known yet: before all that happens at 0
_LARGEST = 700.0  # its exponential is still a number


class FittedSurvival(StoredSurvival):
    """What `SurvivalChurn` can do without the data it was fitted to."""

    def risk(self, X: Any) -> Floats:
        """Score of each customer, higher for those who leave sooner, float64 [n].

        Cox: the logarithm of the hazard relative to a customer of mean features; parametric models: minus the
        logarithm of the time scale.
        """
        score = self._predictor(X)
        return -score if self.model_ in PARAMETRIC else score

    @overload
    def predict_survival(self, X: Any, times: Any, *, level: None = None) -> Floats: ...

    @overload
    def predict_survival(self, X: Any, times: Any, *, level: float) -> pl.DataFrame: ...

    def predict_survival(self, X: Any, times: Any, *, level: float | None = None) -> Floats | pl.DataFrame:
        """Probability to be still there at given times after the begin of the relation.

        Parameters
        ----------
        X : frame
            Features [n].
        times : array-like of float
            In the unit of training [m].
        level : float, optional
            Of intervals, in (0, 1): see `predict_churn`.

        Returns
        -------
        numpy.ndarray or polars.DataFrame
            float64 [n, m]. With ``level`` a frame with a row each customer and time: ``row`` (from 0), ``time``,
            ``survival, survival_low, survival_high``.

        Raises
        ------
        SpecError
            ``bad_parameter``; ``no_errors``, see `predict_churn`.
        """
        at = read_numbers("times", np.atleast_1d(times), least=0)
        self._warn_beyond(at)
        found = np.exp(self._log_survival(self._predictor(X)[:, None], at[None, :]))
        if level is None:
            return found
        n, m = found.shape
        new, later = np.full(n, NEW), np.empty((2, n, m))
        for column, time in enumerate(at):
            later[:, :, column] = self._leaving(X, new, np.full(n, time), 1 - found[:, column], level)
        columns = {"survival": found, "survival_low": 1 - later[1], "survival_high": 1 - later[0]}
        return pl.DataFrame(
            {"row": np.repeat(np.arange(n), m), "time": np.tile(at, n)} | {k: v.ravel() for k, v in columns.items()}
        ).with_columns(pl.col("survival_low", "survival_high").fill_nan(None))

    @overload
    def predict_churn(
        self, X: Any, horizon: float | None = None, conditional_after: Any = None, *, level: None = None
    ) -> Floats: ...

    @overload
    def predict_churn(
        self, X: Any, horizon: float | None = None, conditional_after: Any = None, *, level: float
    ) -> pl.DataFrame: ...

    def predict_churn(
        self, X: Any, horizon: float | None = None, conditional_after: Any = None, *, level: float | None = None
    ) -> Floats | pl.DataFrame:
        """Probability to leave within the horizon, for a customer who is still there now.

        Parameters
        ----------
        X : frame
            Features [n]; None will do for the models of one curve.
        horizon : float, optional
            How far ahead, in the unit of training; by default that of the constructor.
        conditional_after : array-like, float or str, optional
            How long each customer has been there now [n]; a text names a column of X. Without: new customers, some of
            whom may leave at once (at time 0). 0 are customers who have not left at once.
        level : float, optional
            Of intervals for the probability (not for what the customer does), in (0, 1).

        Returns
        -------
        numpy.ndarray or polars.DataFrame
            float64 [n]: 1 − S(after + horizon) / S(after), for new customers 1 − S(horizon), as `predict_survival`
            says. Not a number where the model says that nobody is there so long, or (models of one curve) where all who
            had come under observation had left while others came later, with a warning. All but the parametric models
            know no hazard beyond ``longest_``: what lies there counts as 0, and a warning says for how many customers.
            With ``level`` a frame of n rows, ``churn, churn_low, churn_high``: intervals by the delta method on the
            scale of log(−log), of the fit before it is shrunk, and wide enough to hold the shrunken prediction;
            null where nobody of training left in that time.

        Raises
        ------
        SpecError
            ``no_horizon``, ``bad_parameter``; ``no_errors`` where intervals are asked of a model that was saved
            before it kept what they need.
        """
        score, now, later = self._asked(X, horizon, conditional_after)
        chance = self._chance(score, now, later)
        if level is None:
            return chance
        low, high = self._leaving(X, now, later, chance, level)
        columns = {"churn": chance, "churn_low": low, "churn_high": high}
        return pl.DataFrame(columns).with_columns(pl.col("churn_low", "churn_high").fill_nan(None))

    def _chance(self, score: Floats, now: Floats, later: Floats) -> Floats:
        """Probability to leave between two times."""
        with np.errstate(invalid="ignore"):
            change = self._log_survival(score, later) - self._log_survival(score, now)
        return 0.0 - np.expm1(change)  # and not -0.0

    def _leaving(self, X: Any, now: Floats, later: Floats, chance: Floats, level: float) -> tuple[Floats, Floats]:
        """Interval of the probability to leave between two times, [n] each, with the prediction in it."""
        z, errors = normal_quantile(level), self._known_errors()
        low, high = errors.bounds(self._matrix(X, len(now)), now, later, z)
        return np.minimum(low, chance), np.maximum(high, chance)

    def _known_errors(self) -> Uncertainty:
        if self._errors is None:
            hint = "fit it again"
            raise SpecError("no_errors", "this model was saved before models kept what intervals need", hint=hint)
        return self._errors

    def _matrix(self, X: Any, rows: int) -> Floats:
        return np.zeros((rows, 0)) if self.design_ is None else self.design_.transform(X)

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
        _, now, later = self._asked(X, horizon, conditional_after)
        steps = np.hstack([np.zeros((len(self.causes_), 1)), found.at(self._times)[0]])
        there = step(self._times, found.table().survival(), now, 1.0)
        first, last = (np.searchsorted(self._times, at, side="right") for at in (now, later))
        with np.errstate(invalid="ignore"):
            chances = (steps[:, last] - steps[:, first]) / np.where(
                (there > 0) & (later < self._emptied), there, np.nan
            )
        return pl.DataFrame({str(cause): chance for cause, chance in zip(self.causes_, chances, strict=True)})

    def incidence(
        self, times: Any = None, *, conditional_after: float | None = None, level: float = 0.95
    ) -> pl.DataFrame:
        """Probability to have left for each cause by a time (Aalen & Johansen), of those still there at another time.

        Parameters
        ----------
        times : array-like of float, optional
            Since the begin of the relation, in the unit of training [m]; by default all at which somebody left.
        conditional_after : float, optional
            Of customers who are still there then; those who left before count neither as leaving nor as at risk.
            Without: of new customers, some of whom may leave at once.
        level : float
            Of the intervals.

        Returns
        -------
        polars.DataFrame
            ``cause, time, incidence, standard_error, incidence_low, incidence_high`` by cause and time; see
            `cumulative_incidence`. Where some customers have several rows, these go together in standard errors. Null
            where nobody was at risk any more: beyond the longest duration while some are still there, or of customers
            who are still there when nobody was.

        Raises
        ------
        SpecError
            ``no_causes`` for other models than ``aalen_johansen``.
        """
        (after,) = (
            (NEW,) if conditional_after is None else read_numbers("conditional_after", [conditional_after], least=0)
        )
        z, whole = normal_quantile(level), self._incidence()
        found = whole.after(after)
        points = found.times if times is None else read_numbers("times", np.atleast_1d(times), least=0)
        unknown = whole.unknown(points, self.longest_, after)
        warn_of_nobody(points, unknown, self.longest_)
        parts = []
        value, spread = found.at(points)
        if self._design_effect is not None:
            wider = self._design_effect[:, np.maximum(np.searchsorted(whole.times, points, side="right") - 1, 0)]
            spread = spread * wider
        for k, cause in enumerate(self.causes_):
            columns = with_bounds(points, value[k], spread[k], z) | {"standard_error": spread[k]}
            parts.append(pl.DataFrame(columns).select(pl.lit(cause).alias("cause"), pl.all()))
        order = ("cause", "time", "incidence", "standard_error", "incidence_low", "incidence_high")
        table = pl.concat(parts).select(order).with_columns(pl.col(order[-2:]).fill_nan(None))
        nobody = pl.Series(np.tile(unknown, len(self.causes_)))
        return table.with_columns(pl.when(~nobody).then(pl.col(name)).alias(name) for name in order[2:])

    def _sheets(self) -> Iterator[Sheet]:
        yield from super()._sheets()
        if getattr(self, "design_", None) is not None:
            yield frame_sheet("summary", self.summary(), most=12)

    def summary(self, level: float = 0.95) -> pl.DataFrame:
        """Coefficients of the fit with standard errors, ratios and intervals, and what predictions make of them.

        Inference is that of the fit before it is shrunk (with its penalty), and robust where some customers have
        several rows: a shrunken coefficient is a better guess, but its error is not known.

        Returns
        -------
        polars.DataFrame
            ``feature, coefficient, standard_error``, then ``hazard_ratio`` (for parametric models ``time_ratio``:
            how many times longer customers stay) per unit of the feature with ``…_low, …_high``, ``z, p``, all of the
            fit before it is shrunk; ``low, high``, the interval of the coefficient; ``shrunk_coefficient``, that of
            predictions. Of a model that was saved before these were kept: those of the shrunken fit.

        References
        ----------
        Lin & Wei (1989), The robust inference for the Cox proportional hazards model, Journal of the American
        Statistical Association 84:1074-1078.
        """
        self._check_fitted("coefficients_")
        from scipy.special import ndtr

        names = self.design_.names if self.design_ else []
        if self.model_ in PARAMETRIC:
            names = [*names, "(intercept)", "(log shape)"]
        ratio = "time_ratio" if self.model_ in PARAMETRIC else "hazard_ratio"
        value = self.coefficients_ if self._errors is None else self._errors.coefficients
        spread = np.sqrt(np.diag(self.covariance_))
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
                "low": value - width,
                "high": value + width,
                "shrunk_coefficient": self.coefficients_,
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
            unknown = np.where(self._times < self._emptied, 0.0, np.nan)
            columns["survival_low"], columns["survival_high"] = (bound + unknown for bound in table.interval())
            if self._errors is not None and self.clustered_:
                none, new = np.zeros((len(self._times), 0)), np.full(len(self._times), NEW)
                low, high = self._errors.bounds(none, new, self._times, normal_quantile(0.95))
                known = np.isfinite(low)
                columns["survival_low"] = np.where(known, 1 - high, columns["survival_low"])
                columns["survival_high"] = np.where(known, 1 - low, columns["survival_high"])
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
            raise SpecError("no_causes", f"model={brief(self.model_)} knows no causes of leaving", hint=hint)
        return Incidence(self._times, self._at_risk, self._by_cause)

    def _asked(self, X: Any, horizon: float | None, conditional_after: Any) -> tuple[Floats, Floats, Floats]:
        """Linear predictor of each customer, their time now, `NEW` for new ones, and when the horizon is over."""
        score = self._predictor(X)
        if horizon is None and self.horizon is None:
            hint = f"pass horizon=, or {type(self).__name__}(horizon=…)"
            raise SpecError("no_horizon", "how far ahead? no horizon is given", hint=hint)
        ahead = check_horizon(self.horizon if horizon is None else horizon)
        check_same_rows(X=X, conditional_after=conditional_after)
        after: Any = 0.0 if conditional_after is None else conditional_after
        if isinstance(after, str):
            if X is None:
                raise SpecError("bad_argument", f"{brief(after)} names a column, and there is no frame")
            table = collected(X)
            require_columns("features", table.columns, [after], hint=NAMED)
            after = table[after]
        now = read_numbers("conditional_after", [after] if np.ndim(after) == 0 else after, least=0)
        if X is None:  # customers of one curve are told apart by their time only
            score = np.zeros(len(now))
        if len(now) not in {1, len(score)}:
            raise DataError("different_lengths", f"conditional_after has {len(now)} values for {len(score)} customers")
        now = np.broadcast_to(now, score.shape)
        self._warn_beyond(now + ahead)
        return score, np.full(len(now), NEW) if conditional_after is None else now, now + ahead

    def _predictor(self, X: Any) -> Floats:
        """Linear predictor of each customer."""
        self._check_fitted("coefficients_")
        if self.design_ is None:
            return np.zeros(1 if X is None else collected(X).height)
        matrix = self.design_.transform(X)
        return linear(matrix, self._slopes) + self._constant

    def _log_survival(self, score: Floats, at: Floats) -> Floats:
        """Logarithm of the probability to be there at given times: arrays broadcast."""
        if self.model_ in CURVES:
            known = np.where(at < self._emptied, 0.0, np.nan)
            return known - step(self._times, self._hazard, at, 0.0) * np.exp(np.minimum(score, _LARGEST))
        if self.model_ not in PARAMETRIC:
            return -step(self._times, self._hazard, at, 0.0) * np.exp(np.minimum(score, _LARGEST))
        return log_survival(self.model_, score, self.coefficients_[-1], at)

    @property
    def _emptied(self) -> float:
        return RiskTable(self._times, self._at_risk, self._left).emptied(self.longest_)

    def _warn_beyond(self, at: Floats) -> None:
        empty = int((at >= self._emptied).sum()) if self.model_ in CURVES else 0
        if empty:
            warn(
                f"{empty} of {at.size} answers are null: at {self._emptied:g} all who had come under observation had "
                "left, and others came later, so that the curve says nothing from there; ask for earlier times, or "
                "fit to customers who were seen from the begin"
            )
        beyond = int((at > self.longest_).sum())
        if beyond and self.model_ not in PARAMETRIC:
            warn(
                f"{beyond} of {at.size} times lie beyond the longest duration of training ({self.longest_:g}), where "
                f"{self.model_} knows no hazard: probabilities to leave are too low there; a shorter horizon, or "
                'model="weibull", which extrapolates'
            )


def check_horizon(horizon: Any) -> float:
    """Check how far ahead to look: a finite number from 0.

    Raises
    ------
    SpecError
        ``bad_parameter``.
    """
    good = isinstance(horizon, (int, float, np.number)) and not isinstance(horizon, bool)
    if not good or not 0 <= horizon < math.inf:
        text = f"horizon = {clean(brief(horizon), 80)} is not a finite number from 0"
        raise SpecError("bad_parameter", text, hint="in the unit of the durations: e.g. 90 where they are days")
    return float(horizon)
