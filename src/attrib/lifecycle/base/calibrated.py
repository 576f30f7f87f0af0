"""A logistic regression or boosted trees, with probabilities that mean what they say.

Scores of rows whose customer the model has not seen (out of fold) say how a score becomes a probability; the model
itself then learns from all rows. What is kept of a logistic regression and of a calibration is numbers only.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from attrib.errors import DataError, SolveError, SpecError, brief, warn
from attrib.extras import needs
from attrib.lifecycle.base.labels import Bools, Floats, Integers, check_seed_and_folds
from attrib.values import whole_number

ROWS_AT_ONCE = 100_000  # bounds the memory of trees while they score
_STEEPEST = 1e6  # inverse penalty of the line of "sigmoid": none in effect, but finite where classes are separate
_ITERATIONS = 500
_ONE = 1e-9  # difference of probabilities that is none


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to fit: see `ChurnClassifier` for the meaning of each."""

    model: Literal["logistic", "boosting"] = "logistic"
    calibration: Literal["sigmoid", "isotonic"] | None = "sigmoid"
    folds: int = 5
    seed: int = 0
    C: float = 1.0
    learning_rate: float = 0.05
    max_iter: int = 150
    max_leaf_nodes: int = 8
    min_samples_leaf: int = 50
    l2_regularization: float = 1.0
    class_weight: Any = None

    def check(self) -> Self:
        """Check every part.

        Raises
        ------
        SpecError
            ``bad_parameter``.
        """
        check_seed_and_folds(self.seed, self.folds)
        for name, value, known in (
            ("model", self.model, ("logistic", "boosting")),
            ("calibration", self.calibration, ("sigmoid", "isotonic", None)),
        ):
            if value not in known:
                raise SpecError("bad_parameter", f"{name} = {brief(value)} is not one of {', '.join(map(repr, known))}")
        for name, least in (("max_iter", 1), ("max_leaf_nodes", 2), ("min_samples_leaf", 1)):
            whole_number(name, getattr(self, name), least)
        for name in ("C", "learning_rate", "l2_regularization"):
            value = getattr(self, name)
            fine = isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and value < np.inf
            if not fine or not (value > 0 or (value == 0 and name == "l2_regularization")):
                raise SpecError("bad_parameter", f"{name} = {brief(value)} is not a finite number above 0")
        weights = self.class_weight
        if not (weights is None or weights == "balanced" or isinstance(weights, dict)):
            raise SpecError("bad_parameter", f"class_weight = {brief(weights)} is not None, 'balanced' or a dict")
        return self

    def estimator(self) -> Any:
        """An estimator of scikit-learn, not fitted."""
        if self.model == "logistic":
            # Newton's method: exact for the few hundred columns of a customer, and no step size to tune
            return needs("sklearn.linear_model").LogisticRegression(
                C=self.C, solver="newton-cholesky", tol=1e-8, max_iter=_ITERATIONS, class_weight=self.class_weight
            )
        return needs("sklearn.ensemble").HistGradientBoostingClassifier(
            learning_rate=self.learning_rate,
            max_iter=self.max_iter,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            l2_regularization=self.l2_regularization,
            class_weight=self.class_weight,
            early_stopping=False,  # it would hold rows back without regard to customers
            random_state=self.seed,
        )


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A fitted model: a score for each row, and how a score becomes a probability.

    Parameters
    ----------
    coefficients : float64 [p + 1] or None
        Of the columns of the matrix, the intercept last; None for trees.
    trees : HistGradientBoostingClassifier or None
    calibration : {"sigmoid", "isotonic"} or None
    knots : float64 [2, k]
        Isotonic: rising scores and their probabilities, straight lines between. Sigmoid: slope and offset of the log
        odds ([2, 1]). None: [2, 0], a score being log odds already.
    """

    coefficients: Floats | None
    trees: Any
    calibration: Literal["sigmoid", "isotonic"] | None
    knots: Floats

    def scores(self, matrix: Floats) -> Floats:
        """Log odds before calibration, [n]: a row's score does not depend on the rows beside it."""
        if self.coefficients is None:
            return _tree_scores(self.trees, matrix)
        if matrix.shape[1] != len(self.coefficients) - 1:
            raise DataError("bad_model", f"{len(self.coefficients) - 1} coefficients for {matrix.shape[1]} columns")
        # column by column: a BLAS product would round by the number of threads and of rows
        out = np.full(len(matrix), self.coefficients[-1])
        for weight, values in zip(self.coefficients[:-1], matrix.T, strict=True):
            out += weight * values
        return out

    def calibrate(self, scores: Floats) -> Floats:
        """Probabilities of scores, [n]."""
        if self.calibration == "isotonic":
            return np.asarray(np.interp(scores, self.knots[0], self.knots[1]), dtype=np.float64)
        if self.calibration == "sigmoid":
            scores = self.knots[0, 0] * scores + self.knots[1, 0]
        return np.asarray(expit(scores), dtype=np.float64)

    def probability(self, matrix: Floats) -> Floats:
        """Probability of the second class, [n]."""
        return self.calibrate(self.scores(matrix))

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]], list[Any]]:
        """What JSON holds, arrays, and fitted trees (none for a logistic regression)."""
        arrays = {"knots": self.knots}
        if self.coefficients is not None:
            arrays["coefficients"] = self.coefficients
        return {"calibration": self.calibration}, arrays, [] if self.trees is None else [self.trees]

    @classmethod
    def from_state(cls, data: Any, arrays: Any, trees: list[Any], columns: int) -> Self:
        """Rebuild it from `state` for a matrix of ``columns``, trusting nothing but the trees.

        Raises
        ------
        DataError
            ``bad_model``.
        """
        calibration: Any = data.get("calibration") if isinstance(data, dict) else "?"
        knots, coefficients = arrays.get("knots"), arrays.get("coefficients")
        wide = {None: range(1), "sigmoid": range(1, 2), "isotonic": range(1, 10**8)}.get(
            calibration if isinstance(calibration, (str, type(None))) else "?", range(0)
        )
        fine = isinstance(knots, np.ndarray) and knots.dtype == np.float64 and knots.ndim == 2 and len(knots) == 2
        fine = fine and knots.shape[1] in wide and bool(np.isfinite(knots).all())
        if fine and calibration == "isotonic":
            fine = bool((knots[0, 1:] >= knots[0, :-1]).all() and knots[1].min() >= 0 and knots[1].max() <= 1)
        if coefficients is None:
            fine = fine and len(trees) == 1 and getattr(trees[0], "n_features_in_", None) == columns
        else:
            fine = fine and not trees and isinstance(coefficients, np.ndarray) and coefficients.dtype == np.float64
            fine = fine and coefficients.shape == (columns + 1,) and bool(np.isfinite(coefficients).all())
        if not fine:
            raise DataError("bad_model", "the numbers of a stored classifier do not fit each other")
        return cls(coefficients, None if coefficients is not None else trees[0], calibration, knots)


def one_thread() -> Any:
    """Keep OpenMP and BLAS to one thread: many threads on a busy machine cost ten times the time of one."""
    return needs("threadpoolctl").threadpool_limits(1)


def converged(estimator: Any, matrix: Floats, target: npt.NDArray[Any], weight: Floats | None = None) -> Any:
    """Fit an estimator of scikit-learn, to the end.

    Raises
    ------
    SolveError
        ``not_converged``.
    """
    unfinished = needs("sklearn.exceptions").ConvergenceWarning
    with warnings.catch_warnings():
        warnings.simplefilter("error", unfinished)
        try:
            return estimator.fit(matrix, target, sample_weight=weight)
        except unfinished as error:
            raise SolveError(
                "not_converged",
                f"{type(estimator).__name__} did not converge",
                hint="a stronger penalty (smaller C, larger alpha), or fewer features",
            ) from error


def note_one_probability(probability: Floats, whom: str = "") -> None:
    """Warn where all rows of training get one probability: such a model ranks nobody."""
    if len(probability) > 1 and np.ptp(probability) <= _ONE:
        warn(
            f"{whom}all {len(probability):,} rows get the same probability, {probability[0]:.3g}: nothing that the "
            "features say holds for customers left out; more rows or other features, or use the share of all"
        )


def fit_calibrated(
    recipe: Recipe, matrix: Floats, positive: Bools, fold: Integers | None, weight: Floats | None = None
) -> tuple[Calibrated, Floats | None]:
    """Fit and calibrate.

    Parameters
    ----------
    recipe : Recipe
    matrix : float64 [n, p]
    positive : bool [n]
    fold : int [n] or None
        From `customer_folds`; may be None if ``recipe.calibration`` is.
    weight : float64 [n], optional
        Weights of rows.

    Returns
    -------
    Calibrated
    float64 [n] or None
        Probabilities of rows whose customers the model behind them has not seen (the calibration has).

    Raises
    ------
    SolveError
        ``not_converged``.
    """
    with one_thread():
        unseen = None if fold is None else _unseen_scores(recipe, matrix, positive, fold, weight)
        knots = np.empty((2, 0))
        if recipe.calibration is not None:
            assert unseen is not None, "a calibration has folds"
            knots = _line(unseen, positive, weight)
            if recipe.calibration == "isotonic":
                knots = _stairs(unseen, positive, weight)
        model = converged(recipe.estimator(), matrix, positive, weight)
    coefficients = np.append(model.coef_[0], model.intercept_) if recipe.model == "logistic" else None
    fitted = Calibrated(coefficients, None if recipe.model == "logistic" else model, recipe.calibration, knots)
    return fitted, None if unseen is None else fitted.calibrate(unseen)


def _unseen_scores(recipe: Recipe, matrix: Floats, positive: Bools, fold: Integers, weight: Floats | None) -> Floats:
    """Scores of each fold by a model of the others."""
    out = np.empty(len(positive))
    for number in range(recipe.folds):
        rest, test = fold != number, fold == number
        if not test.any():
            continue
        if len(np.unique(positive[rest])) < 2:
            raise DataError("too_few_of_a_class", f"the rows outside fold {number} are of one class", hint="more data")
        part = None if weight is None else weight[rest]
        model = converged(recipe.estimator(), matrix[rest], positive[rest], part)
        out[test] = model.decision_function(matrix[test])
    return out


def _line(scores: Floats, positive: Bools, weight: Floats | None) -> Floats:
    """Slope and offset of the log odds (Platt): at most two numbers, the order of the scores stays.

    As Platt does, labels are drawn towards the middle by one row of either class, so that classes that lie apart get
    no certainty from few rows: a row counts as both classes, in parts.
    """
    weight = np.ones(len(scores)) if weight is None else weight
    ones, zeros = weight[positive].sum(), weight[~positive].sum()
    part = np.where(positive, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    model = needs("sklearn.linear_model").LogisticRegression(C=_STEEPEST, solver="newton-cholesky", tol=1e-8)
    weights = np.concatenate([weight * part, weight * (1 - part)])
    converged(model, np.tile(scores, 2)[:, None], np.repeat([True, False], len(scores)), weights)
    slope, offset = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope <= 0:  # scores of strangers that say nothing, or less: the share of all is the honest answer
        share = float(np.average(positive, weights=weight))
        return np.array([[0.0], [np.log(share / (1 - share))]])
    return np.array([[slope], [offset]])


def _stairs(scores: Floats, positive: Bools, weight: Floats | None) -> Floats:
    """Rising steps (isotonic), never 0 or 1: n rows cannot know a probability beyond 1 / (n + 2)."""
    model = needs("sklearn.isotonic").IsotonicRegression(out_of_bounds="clip").fit(scores, positive, weight)
    least = 1 / (len(scores) + 2)
    return np.array([model.X_thresholds_, np.clip(model.y_thresholds_, least, 1 - least)], dtype=np.float64)


def _tree_scores(trees: Any, matrix: Floats) -> Floats:
    out = np.empty(len(matrix))
    with one_thread():
        for start in range(0, len(matrix), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            out[part] = trees.decision_function(matrix[part])
    return out
