"""Who will leave within the horizon: a classifier whose probabilities mean what they say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError, SpecError, brief, warn
from attrib.extras import needs
from attrib.lifecycle.base.beside import check_same_rows, read_customers
from attrib.lifecycle.base.calibrated import Calibrated, Recipe, fit_calibrated, note_one_probability
from attrib.lifecycle.base.columns import features_only
from attrib.lifecycle.base.design import DesignMatrix
from attrib.lifecycle.base.labels import Floats, collected, customer_folds, read_labels
from attrib.lifecycle.classifying.two_classes import TwoClasses
from attrib.values import MOST_DRAWS, whole_number

State = tuple[dict[str, Any], dict[str, npt.NDArray[Any]], list[Any]]


class ChurnClassifier(TwoClasses):
    """Probability of one of two outcomes, such as leaving within the horizon, from features at a date.

    A logistic regression on scaled features, or boosted trees, of scikit-learn. Each is fitted once in every fold of
    customers to score the customers left out; from these scores the calibration is learned, and the model from all
    rows. No class weights: they ruin probabilities and leave the ranking as it was (and where they are asked for,
    the calibration undoes them).

    Parameters
    ----------
    model : {"logistic", "boosting"}
    calibration : {"sigmoid", "isotonic"} or None
        From out-of-fold scores to probabilities. Sigmoid (Platt 1999): a line in log odds; keeps the order of
        customers. Isotonic: a rising curve of any shape; ties customers, which costs AUC, and wants thousands of
        rows. None: what the model says.
    folds : int
        Parts of the customers, each left out once.
    seed : int
        Deals customers into folds; also of the trees.
    C : float
        Logistic regression: inverse strength of the penalty on squared coefficients of scaled features.
    learning_rate, max_iter, max_leaf_nodes, min_samples_leaf, l2_regularization : float or int
        Boosted trees, as in ``HistGradientBoostingClassifier``: few leaves, many small steps, large leaves.
    class_weight : "balanced" or dict, optional
        As in scikit-learn. With ``calibration=None`` a sigmoid calibration is forced, with a warning.
    check_leaks : bool
        Whether `fit` looks for features that know more than they should: see `attrib.lifecycle.leak_report`.

    Attributes
    ----------
    classes_ : ndarray [2]
        Labels, sorted; probabilities are of the second one.
    feature_names_in_ : ndarray of str
        Columns of the training frame.
    n_features_in_ : int
    design_ : DesignMatrix
    calibrated_ : Calibrated
        The model and its calibration.
    calibration_ : str or None
        The calibration in effect.
    fold_ : int64 [n] or None
        Fold of each row of training.
    leaks_ : polars.DataFrame or None
        The leak report.

    References
    ----------
    Niculescu-Mizil & Caruana (2005), Predicting good probabilities with supervised learning. van den Goorbergh et al.
    (2022), The harm of class imbalance corrections for risk prediction models, JAMIA 29(9).

    Examples
    --------
    >>> import polars as pl
    >>> from attrib.lifecycle import ChurnClassifier
    >>> frame = pl.DataFrame({"plan": ["month", "month", "year", "year"] * 50, "calls": list(range(10)) * 20})
    >>> churned = [True, False, False, False, True, False, True, False] * 25
    >>> model = ChurnClassifier().fit(frame, churned)
    >>> model.predict_proba(frame)[:, 1].mean().round(2)
    np.float64(0.37)
    """

    def __init__(
        self,
        model: Literal["logistic", "boosting"] = "logistic",
        calibration: Literal["sigmoid", "isotonic"] | None = "sigmoid",
        folds: int = 5,
        seed: int = 0,
        *,
        C: float = 1.0,
        learning_rate: float = 0.05,
        max_iter: int = 150,
        max_leaf_nodes: int = 8,
        min_samples_leaf: int = 50,
        l2_regularization: float = 1.0,
        class_weight: Any = None,
        check_leaks: bool = True,
    ) -> None:
        self.model = model
        self.calibration = calibration
        self.folds = folds
        self.seed = seed
        self.C = C
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.l2_regularization = l2_regularization
        self.class_weight = class_weight
        self.check_leaks = check_leaks

    def fit(self, X: Any, y: Any, customers: Any = None) -> Self:
        """Learn from customers whose outcome is known.

        Parameters
        ----------
        X : frame
            Features, a row each customer (and date); polars, pandas or another library that narwhals knows. The keys
            of a snapshot (``customer_id``, ``date``) are left out, with a warning; its label is refused.
        y : array-like
            True and false, 0 and 1, or two texts; the later one in sorted order is predicted.
        customers : array-like, optional
            Whose row it is, where customers have several: all rows of a customer are in one fold.

        Returns
        -------
        ChurnClassifier
            Itself.

        Raises
        ------
        SpecError
            ``bad_parameter``, ``missing_extra``.
        DataError
            ``no_rows``, ``different_lengths``, ``null_values``, ``bad_labels``, ``one_class``,
            ``too_few_of_a_class``, and those of `DesignMatrix.fit`.
        SolveError
            ``not_converged``.

        Warns
        -----
        AttribWarning
            Where the leak report names a feature; where all rows get one probability.
        """
        recipe = self._recipe()
        check_same_rows(X=X, y=y, customers=customers)
        table = features_only(collected(X))
        classes, positive = read_labels(y, table.height)
        recipe = replace(recipe, class_weight=_by_class(self.class_weight, classes))
        codes = read_customers(customers, table.height)
        fold = customer_folds(positive, codes, self.folds, self.seed)
        design = DesignMatrix.fit(table, scale=self.model == "logistic")
        leaks = self._leaks(table, positive, codes)
        unneeded = recipe.calibration is None
        matrix = design.transform(table)
        self.calibrated_, _ = fit_calibrated(recipe, matrix, positive, None if unneeded else fold)
        note_one_probability(self.calibrated_.probability(matrix))
        self.design_, self.classes_, self.leaks_ = design, classes, leaks
        self.calibration_ = recipe.calibration
        self.fold_ = None if unneeded else fold
        self._name_features(table.columns)
        return self

    def _recipe(self) -> Recipe:
        """Parameters, checked; class weights never go without a calibration."""
        calibration = self.calibration
        if self.class_weight is not None and calibration is None:
            warn("class weights make probabilities wrong: calibration='sigmoid' is used")
            calibration = "sigmoid"
        return Recipe(
            self.model,
            calibration,
            self.folds,
            self.seed,
            self.C,
            self.learning_rate,
            self.max_iter,
            self.max_leaf_nodes,
            self.min_samples_leaf,
            self.l2_regularization,
            self.class_weight,
        ).check()

    def predict_proba(self, X: Any) -> Floats:
        """Probabilities of both classes.

        Parameters
        ----------
        X : frame
            As in `fit`.

        Returns
        -------
        ndarray
            float64 [n, 2], in the order of ``classes_``.

        Raises
        ------
        SpecError
            ``not_fitted``.
        DataError
            Those of `DesignMatrix.transform`.
        """
        self._check_fitted("calibrated_")
        later = self.calibrated_.probability(self.design_.transform(X))
        return np.column_stack([1 - later, later])

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the more probable class of each row, [n]."""
        return self._class_of(self.predict_proba(X))

    def score(self, X: Any, y: Any) -> float:
        """Area under the ROC curve: the chance that, of two customers of different outcome, the right one is ahead."""
        return float(needs("sklearn.metrics").roc_auc_score(self._labels(X, y), self.predict_proba(X)[:, 1]))

    def importance(self, X: Any, y: Any, *, repeats: int = 5) -> pl.DataFrame:
        """How much AUC falls when one column of a frame is shuffled: better of rows that `fit` has not seen.

        Parameters
        ----------
        X, y
            As in `fit`.
        repeats : int
            How often each column is shuffled.

        Returns
        -------
        polars.DataFrame
            ``feature``, ``importance`` (mean loss of AUC), ``spread`` (its standard deviation over repeats), the
            largest first. Columns that tell the same share their importance: none is missed when shuffled.

        References
        ----------
        Breiman (2001), Random forests. Fisher, Rudin & Dominici (2019), JMLR 20.
        """
        self._check_fitted("calibrated_")
        whole_number("repeats", repeats, 1, MOST_DRAWS)
        positive = self._labels(X, y)
        table = collected(X, len(positive)).select(self.design_.columns)
        auc = needs("sklearn.metrics").roc_auc_score
        rng = np.random.default_rng(self.seed)
        whole = auc(positive, self.predict_proba(table)[:, 1])
        rows = []
        for name in table.columns:
            orders = (rng.permutation(table.height) for _ in range(repeats))
            mixed = (table.with_columns(table[name][order]) for order in orders)
            losses = [whole - auc(positive, self.predict_proba(other)[:, 1]) for other in mixed]
            rows.append((name, float(np.mean(losses)), float(np.std(losses))))
        schema = {"feature": pl.String, "importance": pl.Float64, "spread": pl.Float64}
        return pl.DataFrame(rows, schema=schema, orient="row").sort("importance", descending=True, maintain_order=True)

    def state(self) -> State:
        """All that predicting needs: what JSON holds, arrays, and fitted trees of scikit-learn (``"boosting"``).

        Raises
        ------
        SpecError
            ``not_fitted``.
        """
        self._check_fitted("calibrated_")
        data, arrays, trees = self.calibrated_.state()
        facts = self._facts()
        if isinstance(self.class_weight, dict):  # JSON knows no labels but texts
            facts["parameters"]["class_weight"] = [list(pair) for pair in self.class_weight.items()]
        return data | facts, arrays, trees

    @classmethod
    def from_state(cls, data: Any, arrays: Any, trees: Any = ()) -> Self:
        """Rebuild the fitted classifier: its predictions are the same to the bit.

        Raises
        ------
        DataError
            ``bad_model``.
        """
        try:
            parameters = dict(data["parameters"])
            if isinstance(parameters.get("class_weight"), list):
                parameters["class_weight"] = dict(parameters["class_weight"])
            model = cls(**parameters)
            model._recipe()
            model._read_facts(data)
        except (KeyError, TypeError, ValueError, AttributeError, DataError, SpecError) as error:
            raise DataError("bad_model", f"a stored ChurnClassifier is incomplete: {brief(error):.200}") from error
        model.design_ = DesignMatrix.from_dict(data.get("design"))
        model.calibrated_ = Calibrated.from_state(data, arrays, list(trees), len(model.design_.names))
        if (model.calibrated_.trees is not None) != (model.model == "boosting"):
            raise DataError("bad_model", f"a stored ChurnClassifier is no {model.model} one")
        model.calibration_ = model.calibrated_.calibration
        model.fold_ = None
        return model


def _by_class(class_weight: Any, classes: npt.NDArray[Any]) -> Any:
    """Class weights by label as weights of (not, being) the second class."""
    if not isinstance(class_weight, dict):
        return class_weight
    fine = set(class_weight) == set(classes.tolist())
    if not fine or not all(isinstance(w, (int, float)) and 0 < w < np.inf for w in class_weight.values()):
        raise SpecError(
            "bad_parameter",
            f"class_weight = {brief(class_weight):.80} is not a number above 0 for each of {classes.tolist()!r:.80}",
        )
    return {False: class_weight[classes[0].item()], True: class_weight[classes[1].item()]}
