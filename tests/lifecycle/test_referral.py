"""ReferralLikelihood: rare events, two parts, and a treatment that is no feature."""

import json
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from attrib.errors import AttribWarning, DataError, SpecError
from attrib.lifecycle import ReferralLikelihood
from attrib.lifecycle.classifying.amounts import Mean
from attrib.lifecycle.classifying.referral import ASSOCIATION, CAUSAL


def world(n: int, seed: int = 0, biased: bool = False) -> dict:
    """Customers of whom about 4 % refer; what asking does, and who was asked, is known."""
    rng = np.random.default_rng(seed)
    nps, orders, hidden = rng.integers(0, 11, n), rng.poisson(3, n), rng.normal(size=n)
    base = -5 + 0.12 * nps + 0.2 * orders + (1.0 * hidden if biased else 0)
    sure = {a: 1 / (1 + np.exp(-(base + (0.9 if a else 0.0)))) for a in (True, False)}
    chance = 1 / (1 + np.exp(-1.2 * hidden)) if biased else np.full(n, 0.5)
    asked = rng.random(n) < chance
    any_ = rng.random(n) < np.where(asked, sure[True], sure[False])
    more = np.exp(-1 + 0.15 * orders)
    count = np.where(any_, 1 + rng.poisson(more), 0)
    mean_value = np.exp(3 + 0.1 * nps)
    value = np.where(any_, mean_value * rng.gamma(2, 0.5, n), 0.0)
    return {
        "X": pl.DataFrame({"nps": nps, "orders": orders}),
        "y": any_,
        "count": count,
        "value": value,
        "asked": asked,
        "chance": chance,
        "sure": sure,
        "mean_count": 1 + more,
        "mean_value": mean_value,
    }


def test_probabilities_numbers_and_values_are_the_true_ones():
    train, new = world(150_000), world(20_000, seed=1)
    model = ReferralLikelihood().fit(
        train["X"], train["y"], count=train["count"], value=train["value"], asked=train["asked"], propensity=0.5
    )
    for asked in (True, False):
        truth = new["sure"][asked]
        p = model.predict_proba(new["X"], asked=asked)[:, 1]
        assert p.mean() == pytest.approx(truth.mean(), rel=0.1)
        assert np.sqrt(np.mean((p - truth) ** 2)) < 0.012
        for expected, mean in (
            (model.expected_referrals(new["X"], asked=asked), new["mean_count"]),
            (model.expected_value(new["X"], asked=asked), new["mean_value"]),
        ):
            assert expected.mean() == pytest.approx((truth * mean).mean(), rel=0.12)
            high = new["X"]["orders"].to_numpy() >= 5
            assert expected[high].mean() == pytest.approx((truth * mean)[high].mean(), rel=0.2)
    mixed = (new["sure"][True] + new["sure"][False]) / 2  # half of them are asked
    assert np.sqrt(np.mean((model.predict_proba(new["X"])[:, 1] - mixed) ** 2)) < 0.01


def test_totals_of_training_are_kept():
    w = world(20_000)
    model = ReferralLikelihood(calibration=None).fit(w["X"], w["y"], count=w["count"], value=w["value"])
    given_any = {k: m.expect(model.design_.transform(w["X"]))[w["y"]].sum() for k, m in model.means_.items()}
    assert given_any["count"] == pytest.approx(w["count"].sum())
    assert given_any["value"] == pytest.approx(w["value"].sum())


def test_means_of_skewed_values_are_unbiased():
    """Log-normal values with a spread that is no Gamma's: exp of a mean of logs would be 40 % too low."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 1))
    amount = np.exp(1 + 0.5 * x[:, 0] + rng.normal(size=20_000))
    mean = Mean.fit(x, amount, np.ones(20_000, dtype=bool), 0.0, 0.0)
    new = np.array([[-1.0], [0.0], [1.0]])
    assert mean.expect(new) == pytest.approx(np.exp(1.5 + 0.5 * new[:, 0]), rel=0.06)
    zeros = np.where(rng.random(20_000) < 0.3, 0.0, amount)  # zeros among them: Poisson quasi-likelihood
    mean = Mean.fit(x, zeros, np.ones(20_000, dtype=bool), 0.0, 0.0)
    assert mean.expect(new) == pytest.approx(0.7 * np.exp(1.5 + 0.5 * new[:, 0]), rel=0.08)


def test_nobody_refers_more_than_one():
    w = world(5000)
    model = ReferralLikelihood().fit(w["X"], w["y"], count=w["y"].astype(int), value=np.zeros(5000))
    assert np.array_equal(model.expected_referrals(w["X"]), model.predict_proba(w["X"])[:, 1])
    assert model.expected_value(w["X"]).max() < 1e-200


def test_no_row_is_expected_beyond_training():
    w = world(5000)
    model = ReferralLikelihood().fit(w["X"], w["y"], count=w["count"])
    far = pl.DataFrame({"nps": [10], "orders": [100_000]})
    assert model.expected_referrals(far)[0] <= 1 + np.exp(model.means_["count"].bounds[1])


def test_uplift_by_a_fair_coin_is_causal():
    w = world(60_000)
    model = ReferralLikelihood().fit(w["X"], w["y"], asked=w["asked"], propensity=0.5)
    table = model.uplift(w["X"])
    assert table.columns == ["if_asked", "if_not_asked", "uplift", "meaning"]
    assert set(table["meaning"]) == {CAUSAL}
    truth = (w["sure"][True] - w["sure"][False]).mean()
    assert table["uplift"].mean() == pytest.approx(truth, rel=0.15)
    flags = np.arange(60_000) % 2 == 0
    p = model.predict_proba(w["X"], asked=flags)[:, 1]
    assert np.array_equal(p, np.where(flags, table["if_asked"], table["if_not_asked"]))


def test_logged_propensities_correct_for_who_was_asked():
    """Those likely to refer anyway were asked more often, by something that is no feature."""
    w = world(60_000, biased=True)
    truth = (w["sure"][True] - w["sure"][False]).mean()
    naive = ReferralLikelihood().fit(w["X"], w["y"], asked=w["asked"])
    logged = ReferralLikelihood().fit(w["X"], w["y"], asked=w["asked"], propensity=w["chance"])
    assert set(naive.uplift(w["X"])["meaning"]) == {ASSOCIATION}
    assert naive.uplift(w["X"])["uplift"].mean() > 1.3 * truth
    assert logged.uplift(w["X"])["uplift"].mean() == pytest.approx(truth, rel=0.2)
    facts = logged.report_["arms"]["asked"]
    assert facts["effective_rows"] < facts["rows"]


def test_wrong_propensities_are_noticed():
    w = world(5000)
    with pytest.warns(AttribWarning, match="inverse weights have a mean of 2"):
        ReferralLikelihood(check_leaks=False).fit(w["X"], w["y"], asked=w["asked"], propensity=0.25)


def test_the_report_compares_with_satisfaction_alone():
    w = world(20_000)
    X = w["X"].with_columns(pl.when(pl.col("nps") != 3).then("nps").alias("nps"))
    report = ReferralLikelihood().fit(X, w["y"], nps="nps", count=w["count"], asked=w["asked"]).report_
    assert report["rows"] == 20_000
    assert report["share"] == w["y"].mean()
    assert report["model"]["auc"] > report["nps_alone"]["auc"] > 0.5
    assert report["model"]["pr_auc"] > report["nps_alone"]["pr_auc"] > report["share"]
    assert report["model"]["brier"] < report["share"] * (1 - report["share"])
    assert report["arms"]["asked"]["count_given_any"] > 1
    json.dumps(report, allow_nan=False)


def test_customers_seen_several_times_stay_in_one_fold():
    w = world(3000)
    rows = np.repeat(np.arange(3000), 3)
    noise = np.random.default_rng(0).random(3000)[rows]
    X = w["X"][rows].with_columns(noise=noise)
    report = ReferralLikelihood("boosting", check_leaks=False).fit(X, w["y"][rows], customers=rows).report_
    by_row = ReferralLikelihood("boosting", check_leaks=False).fit(X, w["y"][rows]).report_
    assert by_row["model"]["auc"] > report["model"]["auc"] + 0.03


def test_leaks_are_looked_for():
    w = world(4000)
    with pytest.warns(AttribWarning, match="'code_sent'"):
        model = ReferralLikelihood().fit(w["X"].with_columns(code_sent=pl.Series(w["y"])), w["y"])
    assert model.leaks_["feature"][0] == "code_sent"


def test_scikit_learn_and_pandas():
    w = world(4000)
    model = ReferralLikelihood(alpha=0.5, check_leaks=False)
    assert clone(model).get_params() == model.get_params()
    assert (cross_val_score(model, w["X"], w["y"], cv=3) > w["y"].mean()).all()  # average precision
    table = pd.DataFrame(w["X"].to_dict(as_series=False))
    ours = model.fit(w["X"], w["y"], count=w["count"]).expected_referrals(w["X"])
    assert np.array_equal(ours, clone(model).fit(table, w["y"], count=w["count"]).expected_referrals(table))
    assert set(model.predict(w["X"])) <= {False, True}


@pytest.mark.parametrize("kind", ["logistic", "boosting"])
def test_a_reload_predicts_the_same_bits(kind):
    w = world(4000)
    model = ReferralLikelihood(kind, check_leaks=False).fit(
        w["X"], w["y"], count=w["count"], value=w["value"], asked=w["asked"], nps="nps"
    )
    data, arrays, trees = model.state()
    assert len(trees) == 3 * (kind == "boosting")
    data = json.loads(json.dumps(data, allow_nan=False))
    again = ReferralLikelihood.from_state(data, arrays, trees)
    for asked in (None, True, False):
        assert np.array_equal(again.predict_proba(w["X"], asked), model.predict_proba(w["X"], asked))
        assert np.array_equal(again.expected_value(w["X"], asked), model.expected_value(w["X"], asked))
    assert again.uplift(w["X"]).equals(model.uplift(w["X"]))
    assert again.report_ == model.report_
    for changes, numbers, grown in (
        ({"means": {"count": 1.0, "evil": 0.0}}, {}, trees),
        ({"arms": {"asked": {}}}, {}, trees),
        ({"meaning": "certain"}, {}, trees),
        ({"classes": [1]}, {}, trees),
        ({}, {"count.bounds": np.zeros(3)}, trees),
        ({}, {"value.coefficients": np.array([np.inf])}, trees),
        ({}, {}, [*trees, object()]),
    ):
        with pytest.raises(DataError) as caught:
            ReferralLikelihood.from_state(data | changes, arrays | numbers, grown)
        assert caught.value.key == "bad_model"


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (lambda w: {"count": w["count"] + 1}, "count_and_label_differ"),
        (lambda w: {"count": w["count"] * 1.5}, "bad_value"),
        (lambda w: {"count": -w["count"]}, "bad_value"),
        (lambda w: {"value": w["value"] + 1}, "count_and_label_differ"),
        (lambda w: {"value": w["value"] * np.nan}, "null_values"),
        (lambda _: {"value": ["much"] * 600}, "bad_dtype"),
        (lambda w: {"asked": w["asked"][:5]}, "different_lengths"),
        (lambda w: {"asked": w["count"] + 2}, "bad_flag"),
        (lambda w: {"asked": w["y"]}, "one_class"),
        (lambda _: {"asked": np.zeros(600, dtype=bool)}, "one_class"),
        (lambda w: {"asked": w["asked"], "propensity": 1.0}, "no_support"),
        (lambda _: {"propensity": 0.5}, "bad_parameter"),
        (lambda _: {"nps": "nsp"}, "missing_columns"),
        (lambda w: {"asked": w["asked"], "propensity": "even"}, "bad_dtype"),
        (lambda _: {"customers": ["one"] * 600}, "too_few_of_a_class"),
    ],
)
def test_bad_input_is_refused(arguments, key):
    w = world(600, seed=3)
    with pytest.raises((DataError, SpecError)) as caught:
        ReferralLikelihood(check_leaks=False).fit(w["X"], w["y"], **arguments(w))
    assert caught.value.key == key


def test_satisfaction_is_numbers():
    w = world(600, seed=3)
    with pytest.raises(DataError, match="not numbers"):
        ReferralLikelihood().fit(w["X"].with_columns(pl.col("nps").cast(pl.String)), w["y"], nps="nps")


def test_the_treatment_is_no_feature():
    w = world(600, seed=3)
    with pytest.raises(SpecError, match="leave it out of the features") as caught:
        ReferralLikelihood().fit(w["X"].with_columns(mailed=pl.Series(w["asked"])), w["y"], asked=w["asked"])
    assert caught.value.key == "treatment_in_features"


RECORDS = {
    "touches:mailing": lambda times: times,
    "negative": lambda times: [-x for x in times],
    "share:mailing": lambda times: [x / 5 if x or i % 2 else None for i, x in enumerate(times)],
    "days_since": lambda times: [float(x) if x else None for x in times],
    "state": lambda times: ["sent" if x else "-" for x in times],
    "sent": lambda times: ["sent" if x else None for x in times],
}  # what a table may hold of asks, by how often somebody was asked


@pytest.mark.parametrize("name", list(RECORDS))
def test_what_records_the_treatment_is_no_feature(name):
    w = world(600, seed=3)
    times = np.where(w["asked"], np.random.default_rng(0).integers(1, 4, 600), 0).tolist()
    X = w["X"].with_columns(pl.Series(name, RECORDS[name](times)))
    with pytest.raises(SpecError, match=f"'{name}'") as caught:
        ReferralLikelihood().fit(X, w["y"], asked=w["asked"])
    assert caught.value.key == "treatment_in_features"
    assert caught.value.facts["columns"] == [name]


def test_what_all_but_records_the_treatment_is_told():
    w = world(6000, seed=3)
    earlier = np.random.default_rng(1).random(6000)
    X = w["X"].with_columns(before=pl.Series((earlier < 0.3).astype(int)))
    ReferralLikelihood().fit(X, w["y"], asked=w["asked"])  # asks of earlier times are history
    late = X.with_columns(touches=pl.col("before") + pl.Series(w["asked"].astype(int)))
    with pytest.warns(AttribWarning, match="1 of 4 features all but tell who was asked: 'touches'"):
        ReferralLikelihood().fit(late, w["y"], asked=w["asked"])


def test_asks_among_the_features_are_told_where_nothing_is_said_of_them():
    w = world(2000)
    names = ["touches:referral_ask", "was_asked", "task_count", "basket"]
    X = w["X"].with_columns(pl.Series(name, np.arange(2000) % (3 + i)) for i, name in enumerate(names))
    model = ReferralLikelihood(check_leaks=False)
    with pytest.warns(AttribWarning, match=r"^'touches:referral_ask', 'was_asked': being asked .* is a treatment"):
        model.fit(X, w["y"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, w["y"], asked=w["asked"])
        model.fit(X.with_columns(pl.lit(1).alias(names[0])).drop(*names[:2]), w["y"])


def test_what_was_not_learned_is_not_answered():
    w = world(1000)
    model = ReferralLikelihood(check_leaks=False)
    with pytest.raises(SpecError, match="call fit first"):
        model.predict_proba(w["X"])
    model.fit(w["X"], w["y"])
    for ask, key in (
        (model.expected_referrals, "not_fitted"),
        (model.expected_value, "not_fitted"),
        (model.uplift, "no_treatment"),
        (lambda X: model.predict_proba(X, asked=True), "no_treatment"),
    ):
        with pytest.raises(SpecError) as caught:
            ask(w["X"])
        assert caught.value.key == key
    for parameters in ({"alpha": -1}, {"model": "nps"}, {"folds": 0}):
        with pytest.raises(SpecError):
            ReferralLikelihood(**parameters).fit(w["X"], w["y"])
    with pytest.raises(DataError, match="training held"):
        model.score(w["X"], np.where(w["y"], "b", "a"))
