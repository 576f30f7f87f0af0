"""The leak report: what it names, what it does not, and its numbers against slow twins."""

import re
import warnings
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from attrib.errors import AttribWarning, DataError, SpecError
from attrib.lifecycle import ChurnClassifier
from attrib.lifecycle.judging.leaks import leak_report
from attrib.lifecycle.judging.power import area, cell_codes, settled_shares


def honest(n: int = 2000, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """Features of ordinary power."""
    rng = np.random.default_rng(seed)
    strong, weak = rng.normal(size=n), rng.normal(size=n)
    y = rng.random(n) < 1 / (1 + np.exp(1 - 1.5 * strong - 0.3 * weak))
    return pl.DataFrame({"strong": strong, "weak": weak, "noise": rng.random(n), "city": rng.integers(0, 900, n)}), y


def quiet(*args, **more) -> pl.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AttribWarning)
        return leak_report(*args, **more)


def test_honest_features_are_not_named():
    X, y = honest()
    report = leak_report(X, y)  # any warning would be an error
    assert report["leak"].null_count() == 4
    assert report["feature"][0] == "strong"
    assert report["auc_with"].null_count() == 4
    assert 0.4 < report.filter(feature="city")["auc"].item() < 0.6  # 900 values, two rows each: nothing out of fold
    assert report.filter(feature="city")["told"].item() == 0


def test_a_reason_of_leaving_is_named_and_the_model_without_it_told():
    X, y = honest()
    X = X.with_columns(reason=pl.Series(np.where(y, "price", ""))).with_columns(
        pl.when(pl.col("reason") != "").then("reason").alias("reason")
    )
    with pytest.warns(AttribWarning, match=r"1 of 5 features .* 'reason' \(alone AUC 1.000\); AUC 1.000 with, 0\.[78]"):
        report = leak_report(X, y)
    first = report.row(0, named=True)
    assert (first["feature"], first["leak"], first["settled"]) == ("reason", "strong", 1.0)
    assert first["told"] > 0.97
    assert first["auc_without"] < 0.85
    assert report["leak"].null_count() == 4


def test_a_date_after_the_event_is_named():
    X, y = honest()
    days = [date(2024, 1, 1) + timedelta(days=int(400 * left) + i % 300) for i, left in enumerate(y)]
    report = quiet(X.with_columns(last_seen=pl.Series(days)), y)
    assert report.row(0, named=True)["feature"] == "last_seen"
    assert report["leak"][0] == "strong"


def test_a_value_that_settles_part_of_a_class_is_named_although_its_auc_is_modest():
    X, y = honest(4000)
    rng = np.random.default_rng(5)
    ticket = np.where(y & (rng.random(4000) < 0.3), "cancellation", np.where(rng.random(4000) < 0.5, "bill", "none"))
    report = quiet(X.with_columns(ticket=pl.Series(ticket)), y)
    row = report.row(0, named=True)
    assert (row["feature"], row["leak"]) == ("ticket", "settles")
    assert row["auc"] < 0.75
    assert row["settled"] == pytest.approx((ticket[y] == "cancellation").mean())


def test_features_that_leak_only_together_are_named():
    X, _ = honest()
    one, other = np.random.default_rng(7).random((2, 2000))
    report = quiet(X.with_columns(one=pl.Series(one), other=pl.Series(other)), one + other > 1)
    named = report.drop_nulls("leak")
    assert set(named["feature"]) == {"one", "other"}
    assert set(named["leak"]) == {"combination"}
    assert named["auc_with"][0] > 0.97
    assert named["auc_without"][-1] < 0.6
    assert max(named["auc"]) < 0.9


def test_what_stands_in_for_a_leak_is_named_and_a_feature_of_its_own_power_is_not():
    rng = np.random.default_rng(2)
    n = 6000
    married = rng.random(n) < 0.5
    children = np.where(married & (rng.random(n) < 0.5), 1 + rng.integers(0, 3, n), 0)
    own = rng.normal(size=n)
    y = married & (rng.random(n) < 0.95)
    X = pl.DataFrame({"married": married, "children": children, "noise": own})
    report = quiet(X, y)
    assert report["leak"].to_list() == ["strong", "stand-in", None]
    assert report["feature"].to_list() == ["married", "children", "noise"]


def test_a_noisy_leak_does_not_make_honest_features_stand_in_for_it():
    X, y = honest(6000)
    wrong = np.random.default_rng(4).random(6000) < 0.03
    report = quiet(X.with_columns(leak=pl.Series(y ^ wrong)), y)
    assert report.drop_nulls("leak")["feature"].to_list() == ["leak"]


def test_names_from_data_cannot_harm_a_terminal():
    X, y = honest(400)
    with pytest.warns(AttribWarning) as caught:
        leak_report(X.with_columns(pl.Series("bad\x1b[2J\nname{x}%s" + "x" * 500, y)), y)
    text = str(caught[0].message)
    assert re.search("[\x00-\x1f]", text) is None
    assert len(text) < 500


def test_odd_columns_do_no_harm():
    X, y = honest(300)
    odd = X.with_columns(
        empty=pl.lit(None), one=1, far=pl.Series(np.where(X["weak"] > 0, np.inf, 0.0)), nan=pl.lit(float("nan"))
    )
    report = leak_report(odd, y, folds=2)
    assert report["leak"].null_count() == 8
    assert set(report.filter(pl.col("feature").is_in(["empty", "one", "nan"]))["auc"]) == {0.5}


def test_leaks_of_rare_labels_are_seen_by_the_trees():
    y = np.random.default_rng(0).random(1500) < 0.015
    report = quiet(pl.DataFrame({"told": y, "noise": np.random.default_rng(1).random(1500)}), y)
    assert report.row(0, named=True)["auc_with"] > 0.95
    assert report.row(0, named=True)["auc_without"] < 0.7


def test_it_is_part_of_fit():
    X, y = honest(600)
    with pytest.warns(AttribWarning, match="'told'"):
        model = ChurnClassifier().fit(X.with_columns(told=pl.Series(y)), y)
    assert model.leaks_["feature"][0] == "told"
    assert ChurnClassifier(check_leaks=False).fit(X, y).leaks_ is None


def test_the_area_is_scikit_learns_and_its_variance_delongs():
    rng = np.random.default_rng(0)
    for size in (5, 40):
        score = rng.integers(0, size, 300)
        y = rng.random(300) < 0.1 + 0.8 * score / size
        ones, zeros = np.bincount(score[y], minlength=size), np.bincount(score[~y], minlength=size)
        auc, variance = area(np.arange(size).astype(float), ones, zeros)
        assert auc == pytest.approx(roc_auc_score(y, score))
        beats = (score[y][:, None] > score[~y]) + 0.5 * (score[y][:, None] == score[~y])  # every pair
        twin = beats.mean(axis=1).var() / y.sum() + beats.mean(axis=0).var() / (~y).sum()
        assert variance == pytest.approx(twin)


def test_the_interval_covers_the_true_area():
    """Two normal distributions one apart: AUC = Φ(1/√2) = .7602."""
    covered = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        y = rng.random(1500) < 0.4
        X = pl.DataFrame({"x": rng.normal(size=1500) + y})
        row = leak_report(X, y).row(0, named=True)
        covered += row["low"] <= 0.7602 <= row["high"]
    assert covered >= 17


def test_cells_settle_a_label_only_with_enough_rows():
    share = 0.3
    zeros, ones = settled_shares(np.array([10, 500, 490]), np.array([0, 0, 300]), share)
    assert zeros == pytest.approx(500 / 700)  # ten rows without a one prove nothing
    assert ones == 0
    assert settled_shares(np.array([1000]), np.array([300]), share) == (0, 0)
    assert settled_shares(np.array([2000, 3000]), np.array([1998, 2]), 0.4) == pytest.approx((2998 / 3000, 1998 / 2000))


def test_cells_of_columns():
    few = pl.Series("x", [3, None, 1, 3])
    assert cell_codes(few).tolist() == [1, 2, 0, 1]
    assert cell_codes(pl.Series("x", [None, None])).tolist() == [0, 0]
    assert cell_codes(pl.Series("x", ["b", None, "a"])).tolist() == [1, 2, 0]
    many = pl.Series("x", [0.0] * 500 + [float(i) for i in range(1, 1001)] + [float("nan")] * 3)
    cells = cell_codes(many)
    assert set(cells[:500]).isdisjoint(cells[500:])
    assert set(cells[-3:]).isdisjoint(cells[:-3])
    assert (np.diff(cells[:-3]) >= 0).all()
    with pytest.raises(DataError, match="no order"):
        cell_codes(pl.Series("x", [[1], [2]]))


def test_rows_of_one_customer_are_on_one_side():
    """The feature is the customer, every row of whom has one label: nothing is known of other customers."""
    rng = np.random.default_rng(1)
    who = np.repeat(np.arange(200), 10)
    y = (rng.random(200) < 0.5)[who]
    X = pl.DataFrame({"mark": [f"c{i}" for i in rng.permutation(200)[who]]})
    assert leak_report(X, y, customers=who)["auc"][0] < 0.6
    assert quiet(X, y)["leak"][0] == "strong"


def test_the_seed_decides_and_large_tables_are_sampled():
    X, y = honest(60_000)
    first = leak_report(X, y, seed=4)
    assert first.equals(leak_report(X, y, seed=4))
    assert first["leak"].null_count() == 4


@pytest.mark.parametrize("parameters", [{"threshold": 0.5}, {"threshold": 1}, {"folds": 1}, {"seed": -1}])
def test_bad_parameters(parameters):
    with pytest.raises(SpecError):
        leak_report(*honest(100), **parameters)


def test_the_leak_of_the_telco_referrals_is_found(shared_data):
    """Referrals > 0 only of the married, an artefact of the sample: AUC .975 with, .711 without."""
    frame = pl.read_csv(shared_data / "telco_churn_referrals.csv", infer_schema_length=10_000)
    X = frame.drop("Customer ID", "Number of Referrals", "Customer Status", "Churn Category", "Churn Reason")
    with pytest.warns(AttribWarning, match="'Married' .*'Number of Dependents' .*AUC 0.97. with, 0.71. without"):
        report = leak_report(X, frame["Number of Referrals"] > 0)
    named = report.drop_nulls("leak")
    assert named["feature"].to_list() == ["Married", "Number of Dependents"]
    assert named["leak"].to_list() == ["strong", "stand-in"]
    assert named["auc_with"][0] == pytest.approx(0.975, abs=0.005)
    assert named["auc_without"][-1] == pytest.approx(0.711, abs=0.01)
    assert named["settled"][0] == pytest.approx(3641 / 3821)  # nobody unmarried refers
