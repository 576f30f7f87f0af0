"""ReferralLikelihood: rare events, two parts, and a treatment that is no feature."""

import json
import re
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from attrib.errors import AttribWarning, DataError, SpecError
from attrib.lifecycle import ReferralLikelihood
from attrib.lifecycle.classifying.amounts import Mean
from attrib.lifecycle.classifying.asking import ASSOCIATION, CAUSAL, TOLD, UNFIT, check_chances
from attrib.lifecycle.judging import groups
from attrib.lifecycle.tables import Rows


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
    for name, expected in (("count", model.expected_referrals), ("value", model.expected_value)):
        total = expected(w["X"]).sum()
        assert total == pytest.approx(w[name].sum(), rel=0.002)
        facts = model.report_["amounts"][name]
        assert facts["total_ratio"] == pytest.approx(total / w[name].sum())
        assert facts["given_any"] == pytest.approx(w[name][w["y"]].mean())


def fit_mean(x, amount, alpha=None, any_=None):
    rows = len(x)
    any_ = np.ones(rows, dtype=bool) if any_ is None else any_
    return Mean.fit(x, amount, any_, 0.0, np.full(rows, any_.mean()), np.arange(rows) % 5, alpha)


def test_means_of_skewed_values_are_unbiased():
    """Log-normal values with a spread that is no Gamma's: exp of a mean of logs would be 40 % too low."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 1))
    amount = np.exp(1 + 0.5 * x[:, 0] + rng.normal(size=20_000))
    mean, _ = fit_mean(x, amount, 1e-9)
    new = np.array([[-1.0], [0.0], [1.0]])
    assert mean.expect(new) == pytest.approx(np.exp(1.5 + 0.5 * new[:, 0]), rel=0.06)
    zeros = np.where(rng.random(20_000) < 0.3, 0.0, amount)  # zeros among them: Poisson quasi-likelihood
    mean, _ = fit_mean(x, zeros, 1e-9)
    assert mean.expect(new) == pytest.approx(0.7 * np.exp(1.5 + 0.5 * new[:, 0]), rel=0.08)


def test_the_penalty_is_chosen_by_rows_left_out():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 5))
    told = np.exp(1 + 0.5 * x[:, 0]) * rng.gamma(2, 0.5, 2000)
    mean, alpha = fit_mean(x, told)
    assert alpha is not None
    assert mean.coefficients[0] > 0.4
    untold = rng.gamma(2, 0.5, 2000)
    mean, alpha = fit_mean(x, untold)
    assert alpha is None
    assert mean.expect(x) == pytest.approx(np.full(2000, untold.mean()))
    few = np.arange(2000) < 49  # of five columns
    mean, alpha = fit_mean(x, np.where(few, told, 0.0), 0.01, few)
    assert alpha is None
    assert mean.expect(x) == pytest.approx(np.full(2000, told[few].mean()))


def test_one_amount_of_all_who_refer_is_expected_of_all():
    x = np.random.default_rng(0).normal(size=(500, 2))
    mean, _ = fit_mean(x, np.full(500, 30.0))
    assert mean.expect(100 * x) == pytest.approx(np.full(500, 30.0))


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    referring=st.integers(12, 300),
    features=st.integers(1, 30),
    tail=st.floats(0.5, 3.0),
    alpha=st.sampled_from([None, 1e-4]),
    kind=st.sampled_from(["noise", "told"]),
)
def test_totals_hold_whatever_the_features_are(seed, referring, features, tail, alpha, kind):
    """Few who refer, many features, heavy tails: totals stay within a factor, in training and on rows held out."""
    rng = np.random.default_rng(seed)
    rows = 4000
    old, new = (rng.lognormal(0, tail, size=(rows, features)) for _ in range(2))
    weight = np.log(old[:, 0]) if kind == "told" else np.zeros(rows)
    key = weight / tail + rng.gumbel(size=rows)
    y = key >= np.sort(key)[-referring]
    count = np.where(y, 1 + rng.poisson(0.3, rows), 0)
    value = count * rng.gamma(2, 30, rows) * np.exp(np.clip(weight / tail / 3, -1, 1))
    model = ReferralLikelihood(alpha=alpha, check_leaks=False).fit(old, y, count=count, value=value)
    for matrix, factor in ((old, 1.3), (new, 2.0)):
        for expected, seen in (
            (model.expected_referrals(matrix), count),
            (model.expected_value(matrix), value),
        ):
            assert seen.sum() / factor < expected.sum() < factor * seen.sum()
            assert (expected <= model.predict_proba(matrix)[:, 1] * seen.max() * (1 + 1e-9)).all()


def test_evaluations_compare_totals_of_what_was_expected_and_came():
    old, new = world(5000), world(4000, seed=1)
    model = ReferralLikelihood(check_leaks=False).fit(old["X"], old["y"], count=old["count"], value=old["value"])
    keys = pl.DataFrame({"customer_id": np.arange(4000) // 2, "date": [0] * 4000})
    labels = pl.DataFrame({"label": new["y"], "count": new["count"], "value_brought": new["value"]})
    metrics = groups.judge(model, Rows(keys, new["X"], labels), {}, replicates=20)["metrics"]
    for name, expected, seen in (
        ("referrals", model.expected_referrals(new["X"]), new["count"]),
        ("value", model.expected_value(new["X"]), new["value"]),
    ):
        row = metrics.row(by_predicate=pl.col("metric") == f"total_ratio_{name}", named=True)
        assert row["value"] == pytest.approx(expected.sum() / seen.sum())
        assert row["low"] < row["value"] < row["high"]
        assert row["n"] == 4000


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
    assert table.columns == ["if_asked", "if_not_asked", "uplift", "uplift_low", "uplift_high", "meaning"]
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


@pytest.mark.parametrize("stated", [0.25, 0.45])
def test_chances_that_do_not_fit_are_no_ground_for_causal(stated):
    w = world(20_000)
    with pytest.warns(AttribWarning, match="inverse weights have a mean of .* called an association"):
        model = ReferralLikelihood(check_leaks=False).fit(w["X"], w["y"], asked=w["asked"], propensity=stated)
    assert model.meaning_ == f"association, not causal: {UNFIT}"
    data, arrays, trees = model.state()
    assert ReferralLikelihood.from_state(data, arrays, trees).meaning_ == model.meaning_


def test_chances_that_fit_those_asked_must_fit_the_others():
    """Those asked: 1000 at 0.5 for 2000 customers, whoever they were; the chances of the others are too high."""
    chance = np.repeat([0.5, 0.9], 1000)
    asked = np.arange(2000) < 1000
    with pytest.warns(AttribWarning, match=r"a mean of 5\.00 of those not asked, not 1"):
        assert check_chances(asked, chance)


def test_true_and_rounded_chances_fit():
    rng = np.random.default_rng(0)
    for seed in range(20):
        chance = np.random.default_rng([seed, 1]).uniform(0.05, 0.95, 5000)
        assert not check_chances(rng.random(5000) < chance, chance)
    million = rng.random(1_000_000) < 1 / 3
    assert not check_chances(million, np.full(1_000_000, 0.33))  # 1 % off: many standard errors, and no fault


def test_features_that_tell_who_was_asked_are_no_ground_for_causal():
    w = world(6000, seed=3)
    earlier = (np.random.default_rng(1).random(6000) < 0.3).astype(int)
    late = w["X"].with_columns(touches=pl.Series(earlier + w["asked"]))
    with pytest.warns(AttribWarning, match="all but tell who was asked"):
        model = ReferralLikelihood(check_leaks=False).fit(late, w["y"], asked=w["asked"], propensity=0.5)
    assert model.meaning_ == f"association, not causal: {TOLD}"
    with pytest.warns(AttribWarning):
        model.fit(late, w["y"], asked=w["asked"], propensity=0.2)
    assert model.meaning_ == f"association, not causal: {UNFIT}; {TOLD}"
    assert set(model.uplift(late)["meaning"]) == {model.meaning_}


@pytest.mark.parametrize("library", ["polars", "pandas"])
def test_columns_of_the_frame_are_named(library):
    w = world(4000)
    named = {name: pl.Series(w[name]) for name in ("y", "count", "value", "asked", "chance")}
    named["who"] = pl.Series(np.arange(4000) // 2)
    X = w["X"].with_columns(**named)
    X = X if library == "polars" else pd.DataFrame(X.to_dict(as_series=False))
    by_name = ReferralLikelihood().fit(
        X, "y", count="count", value="value", asked="asked", propensity="chance", customers="who"
    )
    apart = ReferralLikelihood().fit(
        w["X"], w["y"], w["count"], w["value"], w["asked"], w["chance"], customers=named["who"]
    )
    assert list(by_name.feature_names_in_) == ["nps", "orders"]
    assert by_name.meaning_ == CAUSAL
    assert by_name.report_ == apart.report_
    assert np.array_equal(by_name.expected_value(X), apart.expected_value(w["X"]))
    with pytest.raises(DataError, match=re.escape("asekd")):
        by_name.fit(X, "y", asked="asekd")


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
        (lambda w: {"asked": w["asked"], "propensity": "even"}, "missing_columns"),
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


def test_uplift_has_an_interval_that_holds_it_and_is_stored():
    rng = np.random.default_rng(4)
    frame = pl.DataFrame({"x": rng.normal(size=1500), "z": rng.normal(size=1500)})
    asked = rng.random(1500) < 0.5
    refers = rng.random(1500) < np.where(asked, 0.3, 0.15)
    model = ReferralLikelihood(check_leaks=False).fit(frame, refers, asked=asked, propensity=0.5)
    found = model.uplift(frame)
    assert ((found["uplift_low"] <= found["uplift"]) & (found["uplift"] <= found["uplift_high"])).all()
    mean = model.report_["uplift"]
    assert mean["mean"] == pytest.approx(found["uplift"].mean())
    assert mean["low"] < 0.15 < mean["high"]
    # of a mean over rows: the difference of two shares, nearly
    error = np.sqrt(sum(p * (1 - p) / n for p, n in ((refers[a].mean(), a.sum()) for a in (asked, ~asked))))
    assert mean["high"] - mean["low"] == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert ReferralLikelihood.from_state(*model.state()).uplift(frame).equals(found)
    wider = model.uplift(frame, level=0.99)
    assert (wider["uplift_low"] <= found["uplift_low"]).all()
    # rows given twice say no more
    twice = ReferralLikelihood(check_leaks=False, C=0.5).fit(
        pl.concat([frame, frame]), np.tile(refers, 2), asked=np.tile(asked, 2), propensity=0.5,
        customers=np.tile(np.arange(1500), 2),
    )  # fmt: skip
    both = twice.report_["uplift"]
    assert both["high"] - both["low"] == pytest.approx(mean["high"] - mean["low"], rel=0.05)


def test_trees_have_no_interval_of_uplift():
    rng = np.random.default_rng(4)
    frame = pl.DataFrame({"x": rng.normal(size=1500)})
    asked = rng.random(1500) < 0.5
    refers = rng.random(1500) < 0.2 + 0.2 * (frame["x"].to_numpy() > 0)
    model = ReferralLikelihood("boosting", check_leaks=False).fit(frame, refers, asked=asked, propensity=0.5)
    assert model.uplift(frame)["uplift_low"].null_count() == 1500
    assert "uplift" not in model.report_
