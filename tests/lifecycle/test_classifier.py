"""ChurnClassifier: probabilities that mean what they say, folds by customer, and what it refuses."""

import json
from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict, cross_val_score

from attrib.errors import AttribWarning, DataError, SolveError, SpecError
from attrib.lifecycle import ChurnClassifier
from attrib.lifecycle.base.calibrated import Recipe, fit_calibrated
from attrib.lifecycle.base.design import DesignMatrix
from attrib.lifecycle.base.labels import customer_folds, read_labels


def customers(n: int, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Customers whose true probability of leaving is known."""
    rng = np.random.default_rng(seed)
    plan, calls, tenure = rng.integers(0, 3, n), rng.poisson(2, n), rng.gamma(2, 10, n)
    odds = -1.5 + np.array([0.8, 0.0, -0.9])[plan] + 0.4 * calls - 0.04 * tenure
    truth = 1 / (1 + np.exp(-odds))
    frame = pl.DataFrame({"plan": np.array(["month", "year", "two years"])[plan], "calls": calls, "tenure": tenure})
    return frame, rng.random(n) < truth, truth


def ece(y: np.ndarray, p: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error, bins of equal width."""
    at = np.minimum((p * bins).astype(int), bins - 1)
    return sum(abs(p[at == k].mean() - y[at == k].mean()) * (at == k).mean() for k in range(bins) if (at == k).any())


@pytest.mark.parametrize("calibration", ["sigmoid", "isotonic", None])
@pytest.mark.parametrize("model", ["logistic", "boosting"])
def test_probabilities_are_the_true_ones_within_error(model, calibration):
    X, y, _ = customers(8000)
    new, _, truth = customers(8000, seed=1)
    p = ChurnClassifier(model, calibration).fit(X, y).predict_proba(new)
    assert p.shape == (8000, 2)
    assert np.allclose(p.sum(axis=1), 1)
    assert ((p > 0) & (p < 1)).all()
    assert abs(p[:, 1].mean() - truth.mean()) < 3 * np.sqrt(truth.var() / 8000 + truth.mean() / 8000)
    assert np.sqrt(np.mean((p[:, 1] - truth) ** 2)) < (0.02 if (model, calibration) == ("logistic", None) else 0.05)
    edges = np.quantile(p[:, 1], np.linspace(0, 1, 9))
    at = np.clip(np.searchsorted(edges, p[:, 1]) - 1, 0, 7)
    for k in range(8):  # by eighths of the prediction: the training sample errs, too, hence 4 standard errors of two
        share = truth[at == k].mean()
        assert abs(p[at == k, 1].mean() - share) < 4 * np.sqrt(2 * share * (1 - share) / 1000)


def test_the_logistic_regression_is_scikit_learns():
    from sklearn.linear_model import LogisticRegression

    X, y, _ = customers(1500)
    ours = ChurnClassifier(calibration=None, C=0.3).fit(X, y)
    matrix = ours.design_.transform(X)
    theirs = LogisticRegression(C=0.3, tol=1e-10, max_iter=10_000).fit(matrix, y)
    assert np.allclose(ours.predict_proba(X), theirs.predict_proba(matrix), atol=1e-5)


@pytest.mark.parametrize(("method", "error"), [("sigmoid", 1e-5), ("isotonic", 3e-4)])
def test_the_calibration_is_scikit_learns(method, error):
    from sklearn.calibration import CalibratedClassifierCV

    X, y, _ = customers(4000)
    ours = ChurnClassifier(calibration=method, check_leaks=False).fit(X, y)
    matrix = ours.design_.transform(X)
    splits = [(np.flatnonzero(ours.fold_ != f), np.flatnonzero(ours.fold_ == f)) for f in range(5)]
    theirs = CalibratedClassifierCV(Recipe().estimator(), method=method, cv=splits, ensemble=False).fit(matrix, y)
    assert np.allclose(ours.predict_proba(X), theirs.predict_proba(matrix), atol=error)


def test_class_weights_are_calibrated_away():
    X, y, _ = customers(4000)
    plain = ChurnClassifier(check_leaks=False).fit(X, y).predict_proba(X)[:, 1]
    with pytest.warns(AttribWarning, match="class weights"):
        weighted = ChurnClassifier(calibration=None, class_weight="balanced", check_leaks=False).fit(X, y)
    assert weighted.calibration_ == "sigmoid"
    assert weighted.calibration is None  # parameters stay as they were given
    assert abs(weighted.predict_proba(X)[:, 1].mean() - y.mean()) < 0.002
    assert np.abs(weighted.predict_proba(X)[:, 1] - plain).mean() < 0.02


def test_class_weights_by_label():
    X, y, _ = customers(1000)
    weights = ({"no": 1.0, "yes": 3.0}, {False: 1.0, True: 3.0})
    by = [
        ChurnClassifier(class_weight=weight, check_leaks=False).fit(X, labels).predict_proba(X)
        for weight, labels in zip(weights, (np.where(y, "yes", "no"), y), strict=True)
    ]
    assert np.array_equal(*by)
    assert not np.array_equal(by[0], ChurnClassifier(check_leaks=False).fit(X, y).predict_proba(X))


@pytest.mark.parametrize("calibration", ["sigmoid", "isotonic", None])
@pytest.mark.parametrize("model", ["logistic", "boosting"])
def test_columns_without_values_and_classes_that_lie_apart(model, calibration):
    _, y, _ = customers(300)
    X = pl.DataFrame({"empty": [None] * 300, "one": [1] * 300, "y": y.astype(float)})
    with pytest.warns(AttribWarning):  # of the leak, and of the columns that say nothing
        p = ChurnClassifier(model, calibration).fit(X, y).predict_proba(X)[:, 1]
    assert np.isfinite(p).all()
    assert p[y].min() > 0.9
    assert p[~y].max() < 0.1


def test_no_customer_is_in_two_folds():
    rng = np.random.default_rng(3)
    who = rng.integers(0, 400, 2000)
    X, y, _ = customers(2000)
    model = ChurnClassifier().fit(X, y, customers=[f"c{i}" for i in who])
    for customer in range(400):
        assert len(set(model.fold_[who == customer])) <= 1
    assert set(model.fold_) == set(range(5))
    ever = np.array([y[who == c].any() for c in range(400)])
    spread = [ever[np.unique(who[model.fold_ == f])].sum() for f in range(5)]
    assert max(spread) - min(spread) <= 1  # customers with a positive row are dealt evenly


def test_customers_seen_many_times_do_not_deceive_the_calibration():
    """Rows repeated 10 times: by rows, the boosted trees would have seen the label of every row left out."""
    _, y, _ = customers(200)
    rows = np.repeat(np.arange(200), 10)
    matrix = np.asfortranarray(np.random.default_rng(0).random((200, 3))[rows])
    kind = Recipe(model="boosting", learning_rate=0.2, max_leaf_nodes=31, min_samples_leaf=10, l2_regularization=0.0)
    briers = {}
    for name, who in (("customers", rows), ("rows", np.arange(2000))):
        _, unseen = fit_calibrated(kind, matrix, y[rows], customer_folds(y[rows], who, 5, 0))
        briers[name] = np.mean((unseen - y[rows]) ** 2)
    assert briers["rows"] < 0.02
    assert briers["customers"] > 0.1


def test_polars_and_pandas_give_the_same():
    X, y, _ = customers(600)
    ours = ChurnClassifier().fit(X, pl.Series(y)).predict_proba(X)
    table = pd.DataFrame({name: X[name].to_list() for name in X.columns})
    assert np.array_equal(ours, ChurnClassifier().fit(table, pd.Series(y)).predict_proba(table))


@pytest.mark.parametrize("model", ["logistic", "boosting"])
def test_the_seed_decides(model):
    X, y, _ = customers(800)
    first, second, third = (
        ChurnClassifier(model, seed=seed, check_leaks=False).fit(X, y).predict_proba(X) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)


def test_a_row_does_not_depend_on_its_neighbours():
    X, y, _ = customers(700)
    for model in ("logistic", "boosting"):
        fitted = ChurnClassifier(model, check_leaks=False).fit(X, y)
        assert np.array_equal(fitted.predict_proba(X)[5:6], fitted.predict_proba(X[5:6]))


def test_scikit_learn_can_clone_and_cross_validate():
    X, y, _ = customers(900)
    model = ChurnClassifier("boosting", C=0.5, check_leaks=False)
    assert clone(model).get_params() == model.get_params()
    for frame in (X, pd.DataFrame(X.to_dict(as_series=False))):
        scores = cross_val_score(ChurnClassifier(check_leaks=False), frame, y, cv=3, scoring="roc_auc")
        assert scores.shape == (3,)
        assert (scores > 0.65).all()
    fitted = ChurnClassifier().fit(X, y)
    assert fitted.score(X, y) == pytest.approx(roc_auc_score(y, fitted.predict_proba(X)[:, 1]))
    assert fitted.feature_names_in_.tolist() == X.columns
    assert fitted.n_features_in_ == 3


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (lambda y: y, [False, True]),
        (lambda y: y.astype(int), [0, 1]),
        (lambda y: y.astype(float), [0.0, 1.0]),
        (lambda y: np.where(y, "Yes", "No"), ["No", "Yes"]),
        (lambda y: pl.Series(np.where(y, "b", "a")), ["a", "b"]),
        (lambda y: pd.Series(y, dtype="boolean"), [False, True]),
        (lambda y: pd.Series(np.where(y, "b", "a"), dtype="category"), ["a", "b"]),
        (lambda y: y.tolist(), [False, True]),
    ],
)
def test_labels_of_every_kind(labels, classes):
    X, y, _ = customers(400)
    model = ChurnClassifier(check_leaks=False).fit(X, labels(y))
    assert model.classes_.tolist() == classes
    p = model.predict_proba(X)[:, 1]
    assert set(model.predict(X)) <= set(classes)
    assert np.array_equal(model.predict(X) == classes[1], p >= 0.5)
    assert np.array_equal(p, ChurnClassifier(check_leaks=False).fit(X, y).predict_proba(X)[:, 1])


@pytest.mark.parametrize(
    ("y", "key"),
    [
        ([1] * 40, "one_class"),
        ([False] * 40, "one_class"),
        ([0, 2] * 20, "bad_labels"),
        ([0, 1, 2, 3] * 10, "bad_labels"),
        (["a", "b", "c", "d"] * 10, "bad_labels"),
        ([0.5, 1.0] * 20, "bad_labels"),
        ([0.0, float("nan")] * 20, "null_values"),
        ([True, None] * 20, "null_values"),
        (["a", 1] * 20, "bad_dtype"),
        ([[0], [1]] * 20, "bad_shape"),
        ([0, 1] * 19, "different_lengths"),
        ([1] * 3 + [0] * 37, "too_few_of_a_class"),
        ([0] * 3 + [1] * 37, "too_few_of_a_class"),
        (pd.Series([True, pd.NA] * 20, dtype="boolean"), "null_values"),
    ],
)
def test_bad_labels_are_refused(y, key):
    X, _, _ = customers(40)
    with pytest.raises(DataError) as caught:
        ChurnClassifier().fit(X, y)
    assert caught.value.key == key


def test_bad_features_and_customers_are_refused():
    X, y, _ = customers(60)
    cases = [
        (X.with_columns(calls=pl.Series([float("inf")] * 60)), None, "not_finite"),
        (X[:0], None, "no_rows"),
        (X, ["c"] * 59, "different_lengths"),
        (X, ["c"] * 59 + [None], "null_values"),
        (X, ["c"] * 60, "too_few_of_a_class"),
    ]
    for frame, who, key in cases:
        with pytest.raises(DataError) as caught:
            ChurnClassifier().fit(frame, y if len(frame) else [], customers=who)
        assert caught.value.key == key
    model = ChurnClassifier(check_leaks=False).fit(X, y)
    with pytest.raises(DataError, match="tenure"):
        model.predict_proba(X.drop("tenure"))
    with pytest.raises(DataError, match="training held"):
        model.score(X, np.where(y, "b", "a"))


def test_nulls_of_features_are_features():
    X, y, _ = customers(500)
    X = X.with_columns(pl.when(pl.int_range(pl.len()) % 7 == 0).then(None).otherwise("tenure").alias("tenure"))
    model = ChurnClassifier().fit(X, y)
    assert "tenure=(null)" in model.design_.names
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize(
    "parameters",
    [
        {"model": "forest"},
        {"calibration": "beta"},
        {"folds": 1},
        {"folds": 2.5},
        {"seed": -1},
        {"seed": True},
        {"C": 0},
        {"C": float("inf")},
        {"learning_rate": "fast"},
        {"max_iter": -3},
        {"max_leaf_nodes": 1},
        {"l2_regularization": -1.0},
        {"class_weight": "heavy"},
        {"class_weight": {"Yes": 2.0}},
        {"class_weight": {False: 1.0, True: -2.0}},
    ],
)
def test_bad_parameters_are_refused_by_fit(parameters):
    X, y, _ = customers(60)
    model = ChurnClassifier(**parameters)  # the constructor only stores
    with pytest.raises(SpecError) as caught:
        model.fit(X, y)
    assert caught.value.key == "bad_parameter"


def test_a_fit_that_does_not_end_is_an_error(monkeypatch):
    X, y, _ = customers(200)
    monkeypatch.setattr("attrib.lifecycle.base.calibrated._ITERATIONS", 1)
    with pytest.raises(SolveError, match="did not converge; a stronger penalty"):
        ChurnClassifier(check_leaks=False).fit(X, y)


def test_before_fit_there_is_nothing():
    for call in (ChurnClassifier().predict_proba, ChurnClassifier().predict):
        with pytest.raises(SpecError, match="call fit first"):
            call(customers(5)[0])
    with pytest.raises(SpecError, match="call fit first"):
        ChurnClassifier().state()


def test_features_without_power_give_the_share_to_all():
    rng = np.random.default_rng(0)
    X, y = pl.DataFrame({"noise": rng.random(400)}), rng.random(400) < 0.3
    p = ChurnClassifier().fit(X, y).predict_proba(X)[:, 1]
    assert np.abs(p - y.mean()).max() < 0.1


def test_importance_names_what_matters():
    X, y, _ = customers(3000)
    X = X.with_columns(noise=np.random.default_rng(1).random(3000))
    table = ChurnClassifier(check_leaks=False).fit(X, y).importance(X, y, repeats=3)
    assert table.columns == ["feature", "importance", "spread"]
    assert set(table["feature"]) == set(X.columns)
    assert table["feature"][-1] == "noise"
    assert abs(table["importance"][-1]) < 0.01
    assert table["importance"][0] > 0.03


@pytest.mark.parametrize("calibration", ["sigmoid", "isotonic", None])
@pytest.mark.parametrize("model", ["logistic", "boosting"])
def test_a_reload_predicts_the_same_bits(model, calibration):
    X, y, _ = customers(900)
    fitted = ChurnClassifier(model, calibration, check_leaks=False).fit(X, np.where(y, "left", "here"))
    data, arrays, trees = fitted.state()
    assert len(trees) == (model == "boosting")
    again = ChurnClassifier.from_state(json.loads(json.dumps(data, allow_nan=False)), arrays, trees)
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert np.array_equal(again.predict(X), fitted.predict(X))
    assert again.get_params() == fitted.get_params()


@pytest.mark.parametrize(
    ("changes", "numbers"),
    [
        ({"classes": None}, {}),
        ({"classes": ["x"]}, {}),
        ({"parameters": {"evil": 1}}, {}),
        ({"design": {}}, {}),
        ({"calibration": "isotonic"}, {"knots": np.array([[2.0, 1.0], [0.1, 0.2]])}),  # scores that fall
        ({"calibration": "isotonic"}, {"knots": np.array([[1.0, 2.0], [0.1, 1.2]])}),
        ({"calibration": ["sigmoid"]}, {}),
        ({}, {"knots": None}),
        ({}, {"knots": np.array([[np.nan], [0.0]])}),
        ({}, {"coefficients": np.zeros(2)}),
        ({}, {"coefficients": np.array(["a"] * 5, dtype=object)}),
        ({}, {"coefficients": None}),
    ],
)
def test_a_spoilt_state_is_refused(changes, numbers):
    X, y, _ = customers(200)
    data, arrays, trees = ChurnClassifier(check_leaks=False).fit(X, y).state()
    with pytest.raises(DataError) as caught:
        ChurnClassifier.from_state(data | changes, arrays | numbers, trees)
    assert caught.value.key == "bad_model"


def test_reading_labels_of_other_kinds():
    assert read_labels(pl.Series(["n", "y", "n"]))[1].tolist() == [False, True, False]
    with pytest.raises(DataError, match="neither"):
        read_labels([date(2024, 1, 1), date(2024, 1, 2)])
    with pytest.raises(DataError, match="nothing"):
        read_labels([])


# -- real data --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def telco(shared_data):
    frame = pl.read_csv(shared_data / "telco_churn.csv", infer_schema_length=10_000, null_values=[" ", ""])
    return frame.drop("customerID", "Churn"), (frame["Churn"] == "Yes").to_numpy().astype(int)


@pytest.mark.parametrize(
    ("parameters", "brier", "error"),
    [
        ({"model": "logistic"}, 0.136, 0.015),
        ({"model": "boosting"}, 0.135, 0.015),
        ({"model": "logistic", "class_weight": "balanced"}, 0.136, 0.015),  # without calibration: .166 and .149
    ],
)
def test_anchors_on_telco(telco, parameters, brier, error):
    X, y = telco
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    p = cross_val_predict(ChurnClassifier(**parameters, check_leaks=False), X, y, cv=folds, method="predict_proba")[
        :, 1
    ]
    assert roc_auc_score(y, p) >= 0.845
    assert average_precision_score(y, p) >= 0.65
    assert brier_score_loss(y, p) <= brier
    assert ece(y, p) <= error


def test_class_weights_alone_ruin_telco(telco):
    """The anchor the other way round: what the calibration is for."""
    X, y = telco
    matrix = DesignMatrix.fit(X, scale=True).transform(X)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    estimator = Recipe(class_weight="balanced").estimator()
    p = cross_val_predict(estimator, matrix, y, cv=folds, method="predict_proba")[:, 1]
    assert brier_score_loss(y, p) > 0.16
    assert ece(y, p) > 0.14


def test_no_leak_is_seen_in_telco(telco):
    X, y = telco
    assert ChurnClassifier().fit(X, y).leaks_["leak"].null_count() == X.width
