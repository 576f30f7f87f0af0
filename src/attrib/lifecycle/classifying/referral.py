"""Who will recommend us within the horizon, how many they will bring, and what those are worth."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError, SpecError, brief
from attrib.extras import needs
from attrib.io.text import clean
from attrib.lifecycle.base.beside import check_same_rows, read_customers, read_flags, read_numbers
from attrib.lifecycle.base.calibrated import Calibrated, Recipe, fit_calibrated, note_one_probability
from attrib.lifecycle.base.columns import features_only, take_named
from attrib.lifecycle.base.design import DesignMatrix
from attrib.lifecycle.base.labels import (
    Bools,
    Floats,
    Integers,
    collected,
    customer_folds,
    read_labels,
)
from attrib.lifecycle.classifying.amounts import Mean, amount_facts, check_amounts
from attrib.lifecycle.classifying.asking import (
    MEANINGS,
    arm_facts,
    check_chances,
    check_overlap,
    fit_arms,
    meaning_of,
    note_asks,
    read_treatment,
)
from attrib.lifecycle.classifying.two_classes import TwoClasses
from attrib.lifecycle.classifying.uplift import ERRORS, errors_of_arms, mean_uplift, read_errors, uplift_table
from attrib.schemas import NAMED, require_columns

State = tuple[dict[str, Any], dict[str, npt.NDArray[Any]], list[Any]]
_ARMS = ("all", "asked", "not_asked")


class ReferralLikelihood(TwoClasses):
    """Probability that a customer refers others within the horizon, and the expected number and value of those.

    Two parts (a hurdle): a calibrated classifier for *any* (see `ChurnClassifier`), and the mean number and value
    *given any*. Referrals are rare: rows are neither resampled nor weighted by class, so that probabilities stay
    true; PR-AUC is reported beside AUC, as it does not shine by the many who never refer.

    Being asked to refer is a treatment, not a feature: `fit` takes it apart (``asked``) and learns one classifier of
    those asked and one of those not asked (Künzel et al. 2019, T-learner). Given ``propensity``, rows weigh by one
    over the chance of what happened to them. Number and value given any are learned of all who referred.
    Asks of earlier times (``touches:referral_ask`` of a snapshot, which ends before the date) may be features beside
    ``asked``: they are history when it is decided whom to ask now. `referral_targets` makes ``y``, ``count``, ``value``
    and ``asked`` of events.

    Parameters
    ----------
    model, calibration, folds, seed, C
        As in `ChurnClassifier`.
    alpha : float, optional
        Penalty on squared coefficients (of scaled features) of number and value given any, a row. By default chosen
        out of fold, from 0.01 to no differences between customers at all. Fewer than ten customers who referred, a
        column of the features, tell no differences whatever it is: all who refer then have one mean.
    check_leaks : bool
        Whether `fit` looks for features that know more than they should.

    Attributes
    ----------
    classes_, feature_names_in_, n_features_in_, design_, leaks_
        As in `ChurnClassifier`.
    arms_ : dict of Calibrated
        ``"all"``, and given ``asked`` also ``"asked"`` and ``"not_asked"``.
    means_ : dict of Mean
        ``"count"``, ``"value"``: those that `fit` was given.
    meaning_ : str or None
        What `uplift` means: ``"causal: …"`` where ``propensity`` was given and fits, else ``"association, not causal:
        …"`` and why. Causal is withdrawn where the mean of inverse weights, of those asked or of the others, is off 1
        by more than 4 standard errors and 0.02, or where a feature all but tells who was asked (as in a leak report:
        AUC from 0.9, or values that settle a tenth of the rarer or half of the commoner side).
    report_ : dict
        ``rows``, ``share`` (that refers); ``model`` and, given ``nps``, ``nps_alone`` (one rising curve of that
        column): ``auc``, ``pr_auc``, ``brier``, out of fold (the two numbers of a sigmoid calibration have seen all
        rows); ``amounts``, of ``count`` and ``value``: ``given_any`` (mean), ``alpha`` (None: one mean for all),
        ``total_ratio`` (expected of the rows of training over what came); given ``asked``, ``arms``: rows, shares,
        effective rows of weights, mean number given any; and ``uplift``: ``mean, low, high`` over the rows of training.

    References
    ----------
    Mullahy (1986), Specification and testing of some modified count data models, J. Econometrics 33. Saito &
    Rehmsmeier (2015), The precision-recall plot is more informative, PLoS ONE 10(3).

    Examples
    --------
    >>> import numpy as np
    >>> import polars as pl
    >>> from attrib.lifecycle import ReferralLikelihood
    >>> rng = np.random.default_rng(1)
    >>> frame = pl.DataFrame({"orders": rng.poisson(3, 2000), "nps": rng.integers(0, 11, 2000)})
    >>> asked = rng.random(2000) < 0.5
    >>> count = rng.poisson(np.where(asked, 0.2, 0.1))
    >>> model = ReferralLikelihood().fit(frame, count > 0, count=count, asked=asked, propensity=0.5, nps="nps")
    >>> model.uplift(frame)["uplift"].mean() > 0
    True
    >>> abs(model.expected_referrals(frame).sum() / count.sum() - 1) < 0.05
    np.True_
    """

    def __init__(
        self,
        model: Literal["logistic", "boosting"] = "logistic",
        calibration: Literal["sigmoid", "isotonic"] | None = "sigmoid",
        folds: int = 5,
        seed: int = 0,
        *,
        C: float = 1.0,
        alpha: float | None = None,
        check_leaks: bool = True,
    ) -> None:
        self.model = model
        self.calibration = calibration
        self.folds = folds
        self.seed = seed
        self.C = C
        self.alpha = alpha
        self.check_leaks = check_leaks

    def fit(
        self,
        X: Any,
        y: Any,
        count: Any = None,
        value: Any = None,
        asked: Any = None,
        propensity: Any = None,
        nps: str | None = None,
        customers: Any = None,
    ) -> Self:
        """Learn from customers whose horizon has passed.

        Parameters
        ----------
        X : frame
            Features, a row each customer (and date). Where one of the following (but ``nps``) is the name of a column
            of it, that column is meant, and is no feature.
        y : array-like or str
            Whether the customer referred anybody within the horizon.
        count : array-like or str, optional
            Number of customers referred: above 0 where ``y`` says so, 0 elsewhere.
        value : array-like or str, optional
            What the customers referred are worth together, in money, ≥ 0; 0 where nobody was referred.
        asked : array-like of bool or str, optional
            Whether the customer was asked to refer.
        propensity : float, array-like or str, optional
            The chance, known when it was decided, that this customer would be asked; one number where all had the
            same. Makes `uplift` causal, if true: see ``meaning_``.
        nps : str, optional
            Column of the frame with a score of satisfaction, as a baseline to compare with.
        customers : array-like or str, optional
            Whose row it is, where customers have several.

        Returns
        -------
        ReferralLikelihood
            Itself.

        Raises
        ------
        SpecError
            ``bad_parameter``; ``treatment_in_features`` where a column of the frame tells in every row who was asked:
            the ask itself, or a count, a share, a time of it.
        DataError
            Those of `ChurnClassifier.fit`; ``bad_value``; ``count_and_label_differ``; ``bad_flag``;
            ``no_support`` for a propensity that is not between 0 and 1.
        SolveError
            ``not_converged``.

        Warns
        -----
        AttribWarning
            Where the leak report names a feature; where a feature all but tells who was asked, or propensities do not
            fit who was; without ``asked``, where
            a feature by its name counts asks (such as ``touches:referral_ask``).
        """
        recipe = Recipe(self.model, self.calibration, self.folds, self.seed, self.C).check()
        self._check_alpha()
        check_same_rows(X=X, y=y, count=count, value=value, asked=asked, propensity=propensity, customers=customers)
        beside = {"y": y, "count": count, "value": value, "asked": asked, "propensity": propensity}
        table, beside = take_named(collected(X), beside | {"customers": customers})
        y, count, value, asked, propensity, customers = beside.values()
        table = features_only(table)
        rows = table.height
        classes, positive = read_labels(y, rows)
        amounts = {"count": (count, 1.0), "value": (value, 0.0)}
        given = {k: (read_numbers(k, v, rows, least=0), least) for k, (v, least) in amounts.items() if v is not None}
        check_amounts(given, positive)
        _check_nps(table, nps)
        treated, chance = read_treatment(table, asked, propensity)
        codes = read_customers(customers, rows)
        design = DesignMatrix.fit(table, scale=True)
        unfit = told = False
        if treated is None:
            note_asks(design.columns)
        elif self.check_leaks or chance is not None:  # nothing is called causal unchecked
            told = check_overlap(table.select(design.columns), treated, self.folds, self.seed)
            unfit = chance is not None and check_chances(treated, chance)
        leaks = self._leaks(table, positive, codes)
        matrix = design.transform(table)
        fold = customer_folds(positive, codes, self.folds, self.seed)
        everybody, unseen = fit_calibrated(recipe, matrix, positive, fold)
        assert unseen is not None, "there are folds"
        note_one_probability(everybody.probability(matrix))
        arms, errors = {"all": everybody}, None
        report: dict[str, Any] = {"rows": rows, "share": float(positive.mean()), "model": _quality(positive, unseen)}
        if nps is not None:
            report["nps_alone"] = _quality(positive, _rising(table[nps], positive, fold))
        if treated is not None:
            numbers = given["count"][0] if "count" in given else None
            parts = fit_arms(recipe, matrix, positive, codes, treated, chance)
            arms |= {name: model for name, (model, _) in parts.items()}
            report["arms"] = {
                name: arm_facts(treated == (name == "asked"), positive, numbers, weight)
                for name, (_, weight) in parts.items()
            }
            errors = errors_of_arms(parts, self.C, matrix, positive, codes, treated)
            if errors is not None:
                report["uplift"] = mean_uplift(arms, errors, matrix)
        self.means_, facts = {}, {}
        for name, (amount, least) in given.items():
            mean, alpha = Mean.fit(matrix, amount, positive, least, unseen, fold, self.alpha)
            expected = everybody.probability(matrix) * mean.expect(matrix)
            self.means_[name], facts[name] = mean, amount_facts(amount[positive], expected, alpha)
        report |= {"amounts": facts} if facts else {}
        self.arms_, self.design_, self.classes_, self.leaks_ = arms, design, classes, leaks
        self.report_, self._errors = report, errors
        self.meaning_ = None if treated is None else meaning_of(chance, unfit=unfit, told=told)
        self._name_features(table.columns)
        return self

    def predict_proba(self, X: Any, asked: Any = None) -> Floats:
        """Probabilities of not referring and of referring.

        Parameters
        ----------
        X : frame
            As in `fit`.
        asked : bool or array-like of bool, optional
            Whether the customers will be asked. None: asked as often as customers like them were in training.

        Returns
        -------
        ndarray
            float64 [n, 2], in the order of ``classes_``.

        Raises
        ------
        SpecError
            ``not_fitted``; ``no_treatment`` where `fit` was not told who was asked.
        """
        self._check_fitted("arms_")
        any_ = self._any(self.design_.transform(X), asked)
        return np.column_stack([1 - any_, any_])

    def predict(self, X: Any, asked: Any = None) -> npt.NDArray[Any]:
        """Return the more probable class of each row, [n]: of a rare event mostly the first one."""
        return self._class_of(self.predict_proba(X, asked))

    def expected_referrals(self, X: Any, asked: Any = None) -> Floats:
        """Expected number of customers referred within the horizon, [n]: P(any) × mean number given any.

        Raises
        ------
        SpecError
            ``not_fitted`` where `fit` was given no ``count``; ``no_treatment``.
        """
        return self._expected("count", X, asked)

    def expected_value(self, X: Any, asked: Any = None) -> Floats:
        """Expected value of customers referred within the horizon, in money, [n]: P(any) × mean value given any.

        Raises
        ------
        SpecError
            ``not_fitted`` where `fit` was given no ``value``; ``no_treatment``.
        """
        return self._expected("value", X, asked)

    def uplift(self, X: Any, *, level: float = 0.95) -> pl.DataFrame:
        """What asking adds to the probability of referring, row by row, and what that number means.

        Parameters
        ----------
        X : frame
            As in `fit`.
        level : float
            Of the intervals.

        Returns
        -------
        polars.DataFrame
            ``if_asked``, ``if_not_asked``, ``uplift`` (their difference), ``uplift_low``, ``uplift_high``,
            ``meaning``: causal only where `fit` was given the chance of being asked; otherwise those asked differ from
            others in more than being asked. Intervals are of the expectation for customers with these features: those
            of the two regressions before calibration (delta method, variances over customers), wide enough to hold
            the calibrated uplift; null for ``model="boosting"`` and of models that were saved without them. The mean
            over the rows of training stands in ``report_["uplift"]``.

        Raises
        ------
        SpecError
            ``not_fitted``; ``no_treatment``; ``bad_parameter``.
        """
        self._check_fitted("arms_")
        self._check_treatment()
        table = uplift_table(self.arms_, self._errors, self.design_.transform(X), level)
        return table.with_columns(pl.lit(self.meaning_, pl.String).alias("meaning"))

    def score(self, X: Any, y: Any) -> float:
        """Area under the precision-recall curve (average precision); a model that knows nothing reaches the share."""
        precision = needs("sklearn.metrics").average_precision_score
        return float(precision(self._labels(X, y), self.predict_proba(X)[:, 1]))

    def _check_alpha(self) -> None:
        fine = isinstance(self.alpha, (int, float)) and not isinstance(self.alpha, bool) and 0 < self.alpha < np.inf
        if self.alpha is not None and not fine:
            raise SpecError("bad_parameter", f"alpha = {brief(self.alpha)} is neither a number above 0 nor None")

    def _check_treatment(self) -> None:
        if "asked" not in self.arms_:
            raise SpecError("no_treatment", "fit was not told who was asked", hint="pass asked= to fit")

    def _any(self, matrix: Floats, asked: Any) -> Floats:
        if asked is None:
            return self.arms_["all"].probability(matrix)
        self._check_treatment()
        if isinstance(asked, (bool, np.bool_)):
            return self.arms_["asked" if asked else "not_asked"].probability(matrix)
        flags = read_flags("asked", asked, len(matrix))
        return np.where(flags, self._any(matrix, asked=True), self._any(matrix, asked=False))

    def _expected(self, name: str, X: Any, asked: Any) -> Floats:
        self._check_fitted("arms_")
        if name not in self.means_:
            raise SpecError("not_fitted", f"fit was given no {name}", hint=f"pass {name}= to fit")
        matrix = self.design_.transform(X)
        return np.asarray(self._any(matrix, asked) * self.means_[name].expect(matrix), dtype=np.float64)

    def state(self) -> State:
        """All that predicting needs: what JSON holds, arrays, and fitted trees of scikit-learn (``"boosting"``).

        Raises
        ------
        SpecError
            ``not_fitted``.
        """
        self._check_fitted("arms_")
        arrays: dict[str, npt.NDArray[Any]] = {}
        trees: list[Any] = []
        data: dict[str, Any] = self._facts() | {
            "meaning": self.meaning_,
            "report": self.report_,
            "arms": {},
            "means": {name: mean.least for name, mean in self.means_.items()},
        }
        for name, arm in self.arms_.items():
            data["arms"][name], own, grown = arm.state()
            arrays |= {f"{name}.{key}": array for key, array in own.items()}
            trees += grown
        for name, mean in self.means_.items():
            arrays |= {f"{name}.coefficients": mean.coefficients, f"{name}.bounds": mean.bounds}
        if self._errors is not None:
            found = (self._errors.one, self._errors.other, self._errors.between)
            arrays |= dict(zip(ERRORS, found, strict=True))
        return data, arrays, trees

    @classmethod
    def from_state(cls, data: Any, arrays: Any, trees: Any = ()) -> Self:
        """Rebuild the fitted model: its predictions are the same to the bit.

        Raises
        ------
        DataError
            ``bad_model``.
        """
        try:
            model = cls(**data["parameters"])
            Recipe(model.model, model.calibration, model.folds, model.seed, model.C).check()
            model._read_facts(data)
            model.meaning_, model.report_ = data["meaning"], data["report"]
            arms, means = dict(data["arms"]), {name: float(least) for name, least in data["means"].items()}
        except (KeyError, TypeError, ValueError, AttributeError, DataError, SpecError) as error:
            raise DataError("bad_model", f"a stored ReferralLikelihood is incomplete: {brief(error):.200}") from error
        known = set(arms) in ({"all"}, set(_ARMS)) and set(means) <= {"count", "value"}
        if not known or model.meaning_ not in ((None,) if len(arms) == 1 else MEANINGS):
            raise DataError("bad_model", "a stored ReferralLikelihood has other parts than it should")
        model.design_ = DesignMatrix.from_dict(data.get("design"))
        columns, grown = len(model.design_.names), list(trees)
        model.arms_, model.means_ = {}, {}
        for name in (name for name in _ARMS if name in arms):
            own = {key: arrays[f"{name}.{key}"] for key in ("knots", "coefficients") if f"{name}.{key}" in arrays}
            mine = [] if "coefficients" in own else [grown.pop(0)] if grown else []
            model.arms_[name] = Calibrated.from_state(arms[name], own, mine, columns)
        model._errors = read_errors(arrays, columns)
        for name, least in means.items():
            own = {key: arrays.get(f"{name}.{key}") for key in ("coefficients", "bounds")}
            model.means_[name] = Mean.from_state(own, least, columns)
        if grown:
            raise DataError("bad_model", f"{len(grown)} trees too many")
        return model


def _check_nps(table: pl.DataFrame, nps: str | None) -> None:
    if nps is None:
        return
    require_columns("features", table.columns, [nps], hint=NAMED)
    if not table.schema[nps].is_numeric():
        raise DataError("bad_dtype", f"nps is column {clean(nps, 80)!r} of type {table.schema[nps]}, not numbers")


def _quality(positive: Bools, probability: Floats) -> dict[str, float]:
    """Ranking and calibration of probabilities of rows not seen."""
    metrics = needs("sklearn.metrics")
    return {
        "auc": float(metrics.roc_auc_score(positive, probability)),
        "pr_auc": float(metrics.average_precision_score(positive, probability)),
        "brier": float(np.mean((probability - positive) ** 2)),
    }


def _rising(column: pl.Series, positive: Bools, fold: Integers) -> Floats:
    """Chance by one column alone, rising with it, out of fold; rows without it have the share of all others."""
    isotonic = needs("sklearn.isotonic").IsotonicRegression
    numbers = column.cast(pl.Float64).to_numpy()
    known = np.isfinite(numbers)
    out = np.empty(len(numbers))
    for number in np.unique(fold):
        rest, test = fold != number, fold == number
        out[test] = positive[rest].mean()
        if (rest & known).any() and (test & known).any():
            model = isotonic(out_of_bounds="clip").fit(numbers[rest & known], positive[rest & known])
            out[test & known] = model.predict(numbers[test & known])
    return out
