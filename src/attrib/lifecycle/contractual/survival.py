"""When do customers leave whose leaving has a date: survival models, fitted by lifelines and applied as numbers."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError, SolveError, SpecError, brief, warn
from attrib.io.text import clean
from attrib.lifecycle.base.design import DesignMatrix, linear
from attrib.lifecycle.base.labels import check_seed_and_folds
from attrib.lifecycle.contractual.episodes import Episodes, check_intervals, episodes
from attrib.lifecycle.contractual.fitted import FittedSurvival, check_horizon
from attrib.lifecycle.contractual.hazards import PARAMETRIC, coefficients, trend_test
from attrib.lifecycle.contractual.incidence import Incidence
from attrib.lifecycle.contractual.names import CURVES, model_name
from attrib.lifecycle.contractual.riskset import RiskTable, schoenfeld
from attrib.lifecycle.contractual.scores import customer_codes, customer_numbers, incidence_design_effect
from attrib.lifecycle.contractual.shrinkage import advised, calibration_slope, shrunk
from attrib.lifecycle.contractual.uncertain import Uncertainty
from attrib.lifecycle.judging.pairs import concordance
from attrib.lifecycle.judging.survival_leaks import survival_leaks

Floats = npt.NDArray[np.float64]


class SurvivalChurn(FittedSurvival):
    """Probability to leave, for customers whose leaving has a date (contracts, subscriptions).

    Customers who are still there are censored: they count as at risk for as long as they were seen, not as stayers.
    Ties: Efron's approximation for coefficients, Breslow's estimate for the baseline hazard, which is a step function.
    Coefficients of many columns from few who left say too much of strangers, so they are shrunk by as much as a
    cross-validation tells (``calibration``): the order of customers stays, the probabilities move to what is seen.

    Parameters
    ----------
    model : str
        ``"cox"``: proportional hazards, the baseline left free. ``"time_varying_cox"``: the same from rows
        (start, stop] with features that change, see `time_varying_rows`; predictions take features as they are to
        stay. ``"weibull"``, ``"lognormal"``: accelerated failure times, which can look beyond the longest duration.
        ``"kaplan_meier"``: one curve for all, the baseline to beat. ``"aalen_johansen"`` (competing risks): one curve
        for all of each cause of leaving, see `incidence` and `predict_causes`. Other spellings (``"log-normal"``,
        ``"km"``, ``"competing risks"``, ``"CoxPHFitter"``) will do.
    penalizer : float
        Weight of half the squared standardised coefficients against the mean log likelihood (as in lifelines). The
        default is just enough for columns that determine each other, such as the "no internet" of several services;
        standard errors and intervals are those of the penalised fit. 0 is plain maximum likelihood.
    horizon : float, optional
        How far ahead `predict_churn`, `predict_proba` and `predict` look where they are not told, in the unit of
        training: a number.
    calibration : {"slope"} or None
        ``"slope"``: the model is fitted once more without each of the folds of customers; the outcome of all on the
        linear predictors of those left out has a slope, brought into [0, 1], by which the coefficients of the whole
        fit are multiplied about the means of the columns. The baseline (for parametric models intercept and shape) is
        then estimated again, so that on the whole as many leave as did. This takes ``folds`` more fits. Nothing for
        the models of one curve. ``None``: coefficients as lifelines finds them.
    folds : int
        Of the calibration.
    seed : int
        Deals customers into folds.
    check_leaks : bool
        Whether `fit` looks for features that know who left, or when, better than is plausible, before anything is
        fitted: see ``leaks_``.

    Attributes
    ----------
    model_ : str
        The name of the model as this package spells it.
    classes_ : numpy.ndarray
        False and True, of `predict_proba`: stays, leaves.
    causes_ : list
        Of ``"aalen_johansen"``: causes of leaving, sorted.
    design_ : DesignMatrix
        How features become columns.
    coefficients_ : numpy.ndarray
        float64, one for each column; then, for the parametric models, the intercept and the logarithm of the shape.
        Shrunk by the calibration, as predictions use them.
    covariance_ : numpy.ndarray
        Of the coefficients before they are shrunk; robust where some customers have several rows (``id``), but for
        ``time_varying_cox``, whose rows are one life in pieces.
    clustered_ : bool
        Whether variances are over customers.
    leaks_ : polars.DataFrame or None
        ``feature, auc, settled, concordance, leak``: see `attrib.lifecycle.judging.survival_leaks`. None for the
        models of one curve, without ``check_leaks``, and after loading.
    calibration_slope_ : float or None
        Share of the coefficients that holds for strangers: near 1 for few columns and many who left, 0 where nothing
        holds, so that all get the curve of all. None where none was asked for.
    baseline_ : polars.DataFrame
        ``time, at_risk, left, cumulative_hazard, survival`` for a customer of mean features, at each time somebody
        left; for the models of one curve with ``survival_low, survival_high`` (95 %).
    longest_ : float
        The longest duration of training: all but the parametric models know nothing beyond.

    References
    ----------
    Cox (1972), Journal of the Royal Statistical Society B 34:187-220; Efron (1977), Journal of the American
    Statistical Association 72:557-565; Davidson-Pilon (2019), Journal of Open Source Software 4(40):1317 (lifelines).
    Calibration: van Houwelingen & le Cessie (1990), Statistics in Medicine 9:1303-1325; van Houwelingen & Thorogood
    (1995), Statistics in Medicine 14:1999-2008; Steyerberg (2019), Clinical Prediction Models, 2nd ed., chapter 13
    ("uniform shrinkage").

    Examples
    --------
    >>> import polars as pl
    >>> customers = pl.DataFrame({"plan": ["month", "year"] * 20, "age": [30, 41, 52, 33, 24, 65, 46, 37] * 5})
    >>> tenure, left = [2, 9, 4, 12, 3, 12, 7, 5] * 5, [1, 0, 1, 0, 1, 1, 0, 1] * 5
    >>> model = SurvivalChurn(model="cox", penalizer=0.1).fit(customers, duration=tenure, event=left)
    >>> model.predict_churn(customers[:2], horizon=3, conditional_after=[2, 2]).round(2).tolist()
    [0.74, 0.25]

    Why they leave, of those who are still there after 3 months:

    >>> why = ["price", None, "moved", None, "price", "price", None, "moved"] * 5
    >>> model = SurvivalChurn(model="competing_risks").fit(customers, duration=tenure, event=why)
    >>> model.incidence([6, 12], conditional_after=3).select("cause", "time", pl.col("incidence").round(2)).rows()
    [('moved', 6.0, 0.33), ('moved', 12.0, 0.33), ('price', 6.0, 0.0), ('price', 12.0, 0.33)]
    """

    def __init__(
        self,
        model: str = "cox",
        penalizer: float = 0.001,
        horizon: float | None = None,
        calibration: str | None = "slope",
        folds: int = 5,
        seed: int = 0,
        *,
        check_leaks: bool = True,
    ) -> None:
        self.model = model
        self.penalizer = penalizer
        self.horizon = horizon
        self.calibration = calibration
        self.folds = folds
        self.seed = seed
        self.check_leaks = check_leaks

    def fit(
        self,
        X: Any,
        duration: Any = None,
        event: Any = None,
        *,
        entry: Any = None,
        id: Any = None,  # noqa: A002 - as the survival literature calls it
        start: Any = None,
        stop: Any = None,
    ) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : frame
            Features, a row each customer (each interval, for ``time_varying_cox``). May be None for the models
            of one curve.
        duration : array-like or str
            Time from the begin of the relation to leaving, or to when the customer was last seen [n], in any unit;
            a text names a column of X, which then is no feature (so for all of these).
        event : array-like or str
            Whether the customer left at the end of ``duration`` [n]; or of the interval: true and false, 1 and 0, Yes
            and No. For ``aalen_johansen`` why (texts or numbers); null, 0, an empty text or No while still there.
        entry : array-like or str, optional
            When, in the same clock, the customer came under observation (left truncation): who had left before
            could not have been seen.
        id : array-like or str, optional
            The customer, where one has several rows (snapshots at several dates; needed by ``time_varying_cox``):
            these stay together in the folds of the calibration, and in standard errors.
        start, stop : array-like or str
            For ``time_varying_cox``, instead of duration and entry: the interval (start, stop].

        Returns
        -------
        SurvivalChurn
            Itself.

        Raises
        ------
        SpecError
            ``bad_parameter``, ``bad_argument``, ``missing_extra``.
        DataError
            ``no_events``; ``too_few_events`` for the folds of the calibration; ``zero_duration`` for an event at
            time 0 in a parametric model; ``overlapping_rows``; those of `DesignMatrix.fit`, of durations, entries
            and events.
        SolveError
            ``no_convergence``, naming the columns to suspect.

        Warns
        -----
        AttribWarning
            Where a feature, or all together, know who left or when better than is plausible.
        """
        self._check_parameters()
        kind = model_name(self.model)
        varying = kind == "time_varying_cox"
        taken = ("id", "start", "stop", "event") if varying else ("duration", "event")
        given = {"duration": duration, "event": event, "entry": entry, "id": id, "start": start, "stop": stop}
        got = [name for name, value in given.items() if value is not None]
        wrong = [name for name in got if name not in (*taken, *([] if varying else ["entry", "id"]))]
        missing = [name for name in taken if name not in got] + ["X"] * (X is None and kind not in CURVES)
        if wrong or missing:
            raise SpecError(
                "bad_argument",
                f"model={brief(kind)} " + (f"takes no {', '.join(wrong)}" if wrong else f"needs {', '.join(missing)}"),
                hint=f"fit(X, {', '.join(f'{name}=…' for name in taken)})",
            )
        causes = kind == "aalen_johansen"
        rows = episodes(X, stop if varying else duration, event, start if varying else entry, id, causes=causes)
        if varying:
            check_intervals(rows)
        if not rows.event.any() and kind != "kaplan_meier":
            raise DataError("no_events", f"none of {len(rows.event)} customers left", hint="nothing to learn from")
        vars(self).pop("coefficients_", None)  # not fitted, should this one fail
        self.model_, self.classes_ = kind, np.array([False, True])
        self.longest_, self.customers_ = float(rows.duration.max()), rows.customer.n_unique()
        self.left_, self.calibration_slope_ = int(rows.event.sum()), None
        self.clustered_ = not varying and self.customers_ < len(rows.event)
        self.leaks_, self._design_effect = None, None
        table = self._fit_curve(rows) if kind in CURVES else self._fit_features(rows)
        self._times, self._at_risk, self._left = table.times, table.at_risk, table.left
        return self

    def _fit_curve(self, rows: Episodes) -> RiskTable:
        table = RiskTable.of(rows.duration, rows.event, rows.entry)
        survival = table.survival()
        emptied = table.emptied(self.longest_)
        if emptied < math.inf:
            warn(
                f"at {emptied:g} all who had come under observation had left, and others came later: the curve is not "
                "known from there"
            )
        with np.errstate(divide="ignore"):
            self._hazard = -np.log(survival)
        self.design_, self.covariance_ = None, np.zeros((0, 0))
        nothing = np.zeros((len(rows.event), 0))
        self._errors = Uncertainty.of(self.model_, np.zeros(0), self.covariance_, nothing, rows)
        if rows.cause is not None:
            causes = rows.cause.drop_nulls().unique().sort()
            self.causes_ = causes.to_list()
            found = Incidence.of(rows.duration, rows.cause, causes, rows.entry)
            self._by_cause, code = found.by_cause, customer_codes(rows.customer)
            if code is not None:
                self._design_effect = incidence_design_effect(rows, found, code)
        self.coefficients_ = self._center = np.zeros(0)
        return table

    def _fit_features(self, rows: Episodes) -> RiskTable:
        assert rows.features is not None
        whose = customer_numbers(rows.customer)
        if self.check_leaks and rows.event.any():
            last = _last(rows, whose) if self.model_ == "time_varying_cox" else np.arange(len(whose))
            entry = None if rows.entry is None else rows.entry[last]
            self.leaks_ = survival_leaks(
                rows.features[last], rows.duration[last], rows.event[last], entry, whose[last], self.seed
            )
        design = DesignMatrix.fit(rows.features)
        matrix = design.transform(rows.features)
        kept = rows.duration > 0
        if self.model_ in PARAMETRIC and not kept.all():
            if (~kept & rows.event).any():
                raise DataError(
                    "zero_duration",
                    f"{(~kept & rows.event).sum()} customers left at time 0, which {self.model_} does not know",
                    hint="add half a unit to durations of 0 (0.5 where they are whole months), or take "
                    'model="cox" or "kaplan_meier", which know who leaves at once',
                )
            # who was last seen at time 0 says nothing about any time
            late = None if rows.entry is None else rows.entry[kept]
            matrix = matrix[kept]
            rows = Episodes(None, rows.duration[kept], rows.event[kept], late, rows.customer.filter(kept))
        given = self.model_, self.penalizer, design.names, matrix, rows
        dealt = None if self.calibration is None else (self.folds, self.seed)
        try:
            found, covariance = coefficients(*given)
            slope = 1.0 if dealt is None else calibration_slope(*given, *dealt)
        except SolveError as error:
            raise advised(error, *given, dealt) from error
        errors = self._errors = Uncertainty.of(self.model_, found, covariance, matrix, rows)
        if dealt is not None:
            if slope == 0:
                warn("nothing that the features say of those who left holds in other folds: all get the curve of all")
            found = shrunk(self.model_, slope, found, matrix, rows)
            self.calibration_slope_ = slope
        self.coefficients_, self.covariance_ = found, errors.covariance
        self._center = matrix.mean(axis=0)
        if self.model_ in PARAMETRIC:
            self._hazard = np.zeros(0)
        else:
            relative = np.exp(linear(matrix - self._center, self.coefficients_))
            # lifelines' own baseline takes those who entered later as at risk from the begin
            self._hazard = RiskTable.of(rows.duration, rows.event, rows.entry, relative).hazard()
        self.design_ = design
        return RiskTable.of(rows.duration, rows.event, rows.entry)

    def _check_parameters(self) -> None:
        model_name(self.model)
        good = isinstance(self.penalizer, (int, float)) and not isinstance(self.penalizer, bool)
        if not good or not 0 <= self.penalizer < math.inf:
            raise SpecError(
                "bad_parameter", f"penalizer = {brief(self.penalizer)} is not a number from 0", hint="e.g. 0.001"
            )
        if self.horizon is not None:
            check_horizon(self.horizon)
        if self.calibration is not None and self.calibration != "slope":
            text = f"calibration = {clean(brief(self.calibration), 80)} is neither 'slope' nor None"
            raise SpecError("bad_parameter", text)
        check_seed_and_folds(self.seed, self.folds)
        if not isinstance(self.check_leaks, bool):
            raise SpecError("bad_parameter", f"check_leaks = {clean(brief(self.check_leaks), 80)} is not true or false")

    def score(self, X: Any, duration: Any, event: Any, *, entry: Any = None) -> float:
        """Concordance: how often, of two customers, the one with more risk leaves first (ties of risk count half).

        Parameters
        ----------
        X, duration, event, entry
            As in `fit`; all causes of leaving count alike. For ``time_varying_cox`` the rows, with stop as duration
            and start as entry: pairs are then of rows at risk at the same time.

        Returns
        -------
        float
            0.5 says nothing, 1 is perfect.
        """
        self._check_fitted("coefficients_")
        rows = episodes(X, duration, event, entry, causes=self.model_ == "aalen_johansen")
        risk = np.broadcast_to(self.risk(X), rows.duration.shape)
        return concordance(risk, rows.duration, rows.event, rows.entry)

    def proportional_hazards(self, X: Any, duration: Any, event: Any, *, entry: Any = None) -> pl.DataFrame:
        """Test whether hazard ratios stay the same over time (Schoenfeld residuals against the rank of time).

        Parameters
        ----------
        X, duration, event, entry
            What the Cox model was fitted to.

        Returns
        -------
        polars.DataFrame
            ``feature, statistic`` (χ², 1 degree of freedom), ``p``, smallest p first. A small p: the ratio of this
            feature changes with time, and the one number is an average of it. With many customers any ratio shows
            some change: look at predictions (`calibration_at`) before the model is thrown away.

        References
        ----------
        Grambsch & Therneau (1994), Biometrika 81:515-526.
        """
        self._check_fitted("coefficients_")
        if self.model_ not in {"cox", "time_varying_cox"}:
            raise SpecError("bad_argument", f"model={brief(self.model_)} does not assume proportional hazards")
        assert self.design_ is not None
        if self.calibration_slope_ == 0:
            text = "all coefficients are 0 by calibration: there are no hazard ratios to test"
            raise SpecError("bad_argument", text, hint="fit with calibration=None")
        rows = episodes(X, duration, event, entry)
        matrix = self.design_.transform(X) - self._center
        # of the fit before it was shrunk, whose residuals have no sum
        risk, covariance = np.exp(linear(matrix, self._known_errors().coefficients)), self.covariance_
        residuals = schoenfeld(matrix, risk, rows.duration, rows.event, rows.entry)
        return trend_test(self.design_.names, residuals @ covariance, rows.duration[rows.event], covariance)


def _last(rows: Episodes, customer: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The last interval of each customer, which says whether they left."""
    order = np.lexsort((rows.duration, customer))
    ends: npt.NDArray[np.int64] = order[np.append(np.diff(customer[order]) != 0, True)]
    return ends
