"""Metrics against slow definitions, scikit-learn and lifelines; their intervals; drift; anchors of the real files."""

from __future__ import annotations

import itertools
import math
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta as beta_distribution

from attrib.errors import AttribWarning, DataError, SpecError
from attrib.lifecycle import drift, evaluate_classifier, evaluate_survival, reliability
from attrib.lifecycle.applying import drift_of
from attrib.lifecycle.judging.drifting import Profile
from attrib.lifecycle.judging.metrics import Profit, Tabulated, bins_of, ece, expected_maximum_profit, gain
from attrib.lifecycle.judging.survival_metrics import Pairs

rows_of_classes = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=40).filter(
    lambda rows: len({y for y, _ in rows}) == 2
)
rows_of_times = st.lists(
    st.tuples(st.integers(1, 8), st.booleans(), st.integers(0, 5)), min_size=2, max_size=30
)  # fmt: skip


def values(table):
    return dict(zip(table["metric"], table["value"], strict=True))


# --- classifiers -----------------------------------------------------------------------------------------------------


@given(rows_of_classes)
def test_scikit_learn_says_the_same(rows):
    from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

    y, p = np.array([y for y, _ in rows]), np.array([p for _, p in rows]) / 8
    found = values(evaluate_classifier(y, p, replicates=0))
    assert found["auc"] == pytest.approx(roc_auc_score(y, p))
    assert found["pr_auc"] == pytest.approx(average_precision_score(y, p))
    assert found["brier"] == pytest.approx(brier_score_loss(y, p))
    assert found["log_loss"] == pytest.approx(log_loss(y, np.clip(p, 1e-15, 1 - 1e-15)))


@given(rows_of_classes, st.sampled_from([0.1, 0.25, 0.5, 1.0]))
def test_gain_and_lift_are_means_over_the_orders_of_equal_probabilities(rows, k):
    """By hand: whole rows from the top; a group that does not fit gives its mean share."""
    left, found = k * len(rows), 0.0
    for _, group in itertools.groupby(sorted(rows, key=lambda row: -row[1]), key=lambda row: row[1]):
        truths = [y for y, _ in group]
        taken = min(left, len(truths))
        found, left = found + taken * sum(truths) / len(truths), left - taken
    got = values(evaluate_classifier(*zip(*((y, p / 8) for y, p in rows), strict=True), top=(k,), replicates=0))
    wanted = found / sum(y for y, _ in rows)
    assert got[f"gain_at_{k:g}"] == pytest.approx(wanted)
    assert got[f"lift_at_{k:g}"] == pytest.approx(wanted / k)


@given(rows_of_classes)
def test_expected_maximum_profit_is_the_mean_of_the_best_profit(rows):
    y, p = np.array([y for y, _ in rows]), np.array([p for _, p in rows]) / 8
    cuts = [(y[p >= cut].sum() / len(y), (~y[p >= cut]).sum() / len(y)) for cut in {*p, 2.0}]
    offer, contact, value = 10.0, 1.0, 200.0

    def best(gamma):
        return max((found * (gamma * (value - offer) - contact) - wrong * (offer + contact), found + wrong)
                   for found, wrong in cuts)  # fmt: skip

    grid = (np.arange(2_000) + 0.5) / 2_000
    mass = np.diff(beta_distribution.cdf(np.linspace(0, 1, 2_001), 6, 14))
    profit, share = mass @ np.array([best(gamma) for gamma in grid])
    counts = Tabulated(y, p).counts(np.ones(len(y)))
    found_profit, found_share = expected_maximum_profit(counts, Profit())
    assert found_profit == pytest.approx(profit, rel=1e-4, abs=1e-4)
    assert found_share == pytest.approx(share, abs=3e-3)


def test_expected_maximum_profit_of_a_perfect_model_targets_the_churners():
    counts = Tabulated(np.array([True] * 25 + [False] * 75), np.array([0.9] * 25 + [0.1] * 75)).counts(np.ones(100))
    wanted = quad(lambda g: max(0.25 * (200 * g - 10 * g - 1), 0) * beta_distribution.pdf(g, 6, 14), 0, 1)[0]
    profit, share = expected_maximum_profit(counts, Profit())
    assert profit == pytest.approx(wanted, rel=1e-6)
    assert share == pytest.approx(0.25, abs=1e-3)
    assert expected_maximum_profit(counts, Profit(value=5.0)) == (0.0, 0.0)  # an offer dearer than what it saves


def test_calibration_bins_by_hand():
    y, p = np.arange(20) % 3 == 0, np.linspace(0.03, 0.97, 20)
    counts = Tabulated(y, p).counts(np.ones(20))
    wanted = sum(abs(y[i : i + 4].mean() - p[i : i + 4].mean()) * 4 / 20 for i in range(0, 20, 4))
    assert ece(counts, bins_of(counts, 5)) == pytest.approx(wanted)
    table = reliability(y, p, bins=5)
    assert table["n"].to_list() == [4] * 5
    assert ((table["observed"] - table["predicted"]).abs() * table["n"]).sum() / 20 == pytest.approx(wanted)
    assert (table["low"] <= table["observed"]).all()
    assert (table["observed"] <= table["high"]).all()


def test_equal_probabilities_share_a_bin():
    assert reliability([0, 1, 0, 1], [0.5] * 4).rows() == [
        (1, 0.5, 0.5, 4, 0.5, 0.5, pytest.approx(0.15, abs=0.01), pytest.approx(0.85, abs=0.01))
    ]


def test_a_weight_is_as_many_rows():
    random = np.random.default_rng(0)
    y, p, weights = random.random(50) < 0.4, random.integers(0, 9, 50) / 8, random.integers(0, 4, 50)
    weighted = Tabulated(y, p).counts(weights.astype(float))
    repeated = Tabulated(np.repeat(y, weights), np.repeat(p, weights)).counts(np.ones(weights.sum()))
    assert gain(weighted, 0.2) == pytest.approx(gain(repeated, 0.2))
    assert expected_maximum_profit(weighted, Profit()) == pytest.approx(expected_maximum_profit(repeated, Profit()))


def test_a_bootstrap_draw_takes_whole_customers():
    """Every row ten times: rows as customers make intervals √10 times too short."""
    random = np.random.default_rng(1)
    p = random.random(300)
    y = random.random(300) < p
    once = evaluate_classifier(y, p, seed=3)
    tenfold = evaluate_classifier(
        np.repeat(y, 10), np.repeat(p, 10), np.repeat([f"c{i}" for i in range(300)], 10), seed=3
    )
    careless = evaluate_classifier(np.repeat(y, 10), np.repeat(p, 10), seed=3)
    width = [(table["high"] - table["low"])[0] for table in (once, tenfold, careless)]
    assert width[1] == pytest.approx(width[0], rel=0.25)
    assert width[2] == pytest.approx(width[0] / math.sqrt(10), rel=0.25)
    assert evaluate_classifier(y, p, seed=3).equals(once)


def test_the_interval_covers_as_often_as_it_says():
    random, covered = np.random.default_rng(2), 0
    for _ in range(60):
        p = random.random(200)
        row = evaluate_classifier(random.random(200) < p, p, replicates=100).row(0, named=True)
        covered += row["low"] <= 5 / 6 <= row["high"]  # the AUC of y ~ Bernoulli(p), p uniform
    assert covered >= 51


def test_groups_stand_apart_and_what_is_not_defined_is_null():
    y, p = [1, 0, 1, 0, 0], [0.9, 0.1, 0.4, 0.6, 0.2]
    by = pd.DataFrame({"stage": ["a", "a", "b", "b", None], "channel": ["x"] * 5})
    table = evaluate_classifier(y, p, by=by, replicates=20)
    assert table.columns == ["stage", "channel", "metric", "value", "low", "high", "n"]
    aucs = table.filter(pl.col("metric") == "auc")
    assert dict(zip(aucs["stage"], aucs["value"], strict=True)) == {None: None, "a": 1.0, "b": 0.0}
    alone = evaluate_classifier(y[:2], p[:2], replicates=20).drop("n")
    assert table.filter(pl.col("stage") == "a").drop("stage", "channel", "n").equals(alone)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (([2], [0.5]), {}, "y is not true or false"),
        (([1], [1.5]), {}, "p is no probability"),
        (([1], [None]), {}, "p is null"),
        (([1, 0], [0.5]), {}, "p has 1 values for 2 rows"),
        (([], []), {}, "no row"),
        (([1], [0.5]), {"customers": [1, 2]}, "customers has 2 values for 1 rows"),
        (([1], [0.5]), {"by": {"stage": ["a", "b"]}}, "by has 2 rows"),
        (([1], [0.5]), {"by": {"value": ["a"]}}, "names of the answer: value"),
        (([1], [0.5]), {"top": (10,)}, "top: 10 is not a share"),
        (([1], [0.5]), {"level": 95}, "level = 95"),
        (([1], [0.5]), {"replicates": -1}, "replicates = -1"),
        (([1], [0.5]), {"bins": 0}, "bins = 0"),
        (([1, 0], [0.5, 0.1]), {"customers": ["a", None]}, "customers is null in 1 of 2 rows"),
        (([1, 0], pl.Series(["0.5", "0.1"])), {}, "p is String, not numbers"),
    ],
)
def test_bad_questions(arguments, options, words):
    with pytest.raises((DataError, SpecError), match=words):
        evaluate_classifier(*arguments, **options)


# --- survival --------------------------------------------------------------------------------------------------------


def stays_uncensored(rows, time):
    """Kaplan–Meier of censoring just before a time; who leaves at t was not censored before."""
    chance = 1.0
    for t in sorted({t for t, e, _ in rows if not e and t < time}):
        at_risk = sum(1 for s, e, _ in rows if s > t or (s == t and not e))
        chance *= 1 - sum(1 for s, e, _ in rows if s == t and not e) / at_risk
    return chance


def concordance_by_pairs(rows, tau=None):
    right = pairs = 0.0
    for (s, e, a), (t, f, b) in itertools.permutations(rows, 2):
        if e and (s < t or (s == t and not f)) and (tau is None or s < tau):
            weight = 1.0 if tau is None else 1 / stays_uncensored(rows, s) ** 2
            pairs += weight
            right += weight * (1.0 if a > b else 0.5 if a == b else 0.0)
    return right / pairs if pairs else None


@given(rows_of_times)
def test_concordance_is_that_of_all_pairs(rows):
    time, event, risk = (np.array(column) for column in zip(*rows, strict=True))
    found = values(evaluate_survival(time, event, risk, times=[3, 7], replicates=0).head(2))
    assert found["concordance"] == pytest.approx(concordance_by_pairs(rows))
    assert found["concordance_ipcw"] == pytest.approx(concordance_by_pairs(rows, 7))


@given(rows_of_times)
def test_lifelines_says_the_same_concordance(rows):
    from lifelines.utils import concordance_index

    time, event, risk = (np.array(column, float) for column in zip(*rows, strict=True))
    every = np.ones(len(time))
    found = Pairs(time, event.astype(bool), risk).concordance(every, every)[0]
    try:
        assert found == pytest.approx(concordance_index(time, -risk, event))
    except ZeroDivisionError:
        assert math.isnan(found)


@given(rows_of_times, st.integers(0, 2**31))
def test_auc_and_brier_at_a_time_by_hand(rows, seed):
    times = [2.5, 4.0, 6.0]
    survival = np.sort(np.random.default_rng(seed).integers(0, 9, (len(rows), 3)) / 8)[:, ::-1]
    time, event, _ = zip(*rows, strict=True)
    table = evaluate_survival(time, event, survival=survival, times=times, replicates=0)
    for k, at in enumerate(times):
        cases = [
            (1 / stays_uncensored(rows, t), 1 - survival[i, k]) for i, (t, e, _) in enumerate(rows) if e and t <= at
        ]
        controls = [1 - survival[i, k] for i, (t, _, _) in enumerate(rows) if t > at]
        total = sum(w for w, _ in cases) * len(controls)
        wins = sum(w * (1.0 if m > c else 0.5 if m == c else 0.0) for w, m in cases for c in controls)
        found = values(table.filter(pl.col("time") == at))
        assert found["auc"] == (pytest.approx(wins / total) if total else None)
        left = sum(w * (1 - m) ** 2 for w, m in cases)
        reached = stays_uncensored(rows, at + 1e-9)
        there = sum(c**2 for c in controls) / reached if reached else math.nan
        assert found["brier"] == (None if math.isnan(there) else pytest.approx((left + there) / len(rows)))


def test_without_censoring_the_brier_score_is_the_mean_square():
    time, times = np.array([1.0, 2.0, 5.0, 9.0]), [1.5, 4.0]
    survival = np.array([[0.4, 0.1], [0.9, 0.3], [0.8, 0.8], [1.0, 0.7]])
    found = evaluate_survival(time, np.ones(4), survival=survival, times=times, replicates=0)
    by_time = ((survival - (time[:, None] > times)) ** 2).mean(axis=0)
    assert found.filter(pl.col("metric") == "brier")["value"].to_list() == pytest.approx(by_time)
    assert values(found)["integrated_brier"] == pytest.approx(by_time.mean())
    flat = np.array([[0.75, 0.5]] * 4)
    baseline = found.filter(pl.col("metric") == "brier_kaplan_meier")["value"].to_list()
    assert baseline == pytest.approx(((flat - (time[:, None] > times)) ** 2).mean(axis=0))


def test_intervals_of_survival_metrics_hold_their_values():
    random = np.random.default_rng(5)
    risk = random.normal(size=300)
    leave, censor = random.exponential(np.exp(-risk)), random.exponential(2.0, 300)
    table = evaluate_survival(
        np.minimum(leave, censor), leave <= censor, risk, customers=np.arange(300) // 2, replicates=60
    )
    assert table["value"].null_count() == 0
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "neither risk nor survival"),
        ({"survival": [[0.5], [0.5]]}, "survival without times"),
        ({"survival": [[0.5], [0.5]], "times": [1, 2]}, r"shape \(2, 1\), not \(2, 2\)"),
        ({"survival": [[0.5], [1.5]], "times": [1]}, "no probabilities"),
        ({"risk": [1.0, 2.0], "times": [2, 1]}, "not increasing"),
        ({"risk": [1.0, None]}, "risk is null"),
    ],
)
def test_bad_questions_of_survival(options, words):
    with pytest.raises((DataError, SpecError), match=words):
        evaluate_survival([1.0, 2.0], [1, 1], **options)


# --- drift -----------------------------------------------------------------------------------------------------------


def test_psi_by_hand():
    then, now = pl.DataFrame({"x": ["a"] * 6 + ["b"] * 3 + [None]}), pd.DataFrame({"x": ["a", "c", None, None]})
    counts = {"a": (6, 1), "b": (3, 0), "other": (0, 1), "null": (1, 2)}
    shares = [((t + 0.5) / 12, (s + 0.5) / 6) for t, s in counts.values()]
    row = drift(then, now).row(0, named=True)
    assert row["psi"] == pytest.approx(sum((s - t) * math.log(s / t) for t, s in shares))
    assert (row["kind"], row["bins"], row["level"]) == ("category", 4, "strong")


def test_numbers_are_binned_by_quantiles_of_training_with_nulls_apart():
    random = np.random.default_rng(0)
    then = pl.DataFrame({"same": random.normal(size=5_000), "moved": random.normal(size=5_000), "gone": [1] * 5_000})
    now = pl.DataFrame({
        "same": random.normal(size=2_000), "moved": random.normal(0.4, 1, 2_000), "new": [1] * 2_000
    }).with_columns(lost=pl.lit(1))  # fmt: skip
    levels = {row["feature"]: row for row in drift(then, now).iter_rows(named=True)}
    assert levels["same"]["psi"] < levels["same"]["by_chance"] < 0.1
    # the PSI of two normals 0.4 apart is 0.16; ten bins see most of it
    assert levels["moved"]["psi"] == pytest.approx(0.16, abs=0.05)
    assert [levels[name]["level"] for name in ("same", "moved", "gone", "new")] == [
        "stable",
        "moderate",
        "only in training",
        "only in scoring",
    ]
    nulls = now.with_columns(same=pl.when(pl.int_range(2_000) < 600).then(None).otherwise(pl.col("same")))
    assert drift(then.select("same"), nulls.select("same"))["level"].to_list() == ["strong"]
    assert drift(then.select("gone"), now.select(gone=pl.lit("x")))["level"].to_list() == ["other type"]


def test_clocks_are_told_as_such():
    then = pl.DataFrame({"tenure": range(100), "days_in_stage": [5.0] * 100, "visits": range(100)})
    found = drift(then, then.with_columns(pl.col("tenure", "visits") + 60))
    assert found.columns[-1] == "note"
    noted = {name: (level, note is not None) for name, level, note in found.select("feature", "level", "note").rows()}
    assert noted == {"tenure": ("strong", True), "visits": ("strong", False), "days_in_stage": ("stable", False)}


def test_clocks_alone_are_no_cause_for_a_warning():
    then = pl.DataFrame({"tenure": range(100), "visits": range(100)})
    found = SimpleNamespace(profile=Profile.of(then))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert drift_of(found, then.with_columns(pl.col("tenure") + 60))["drift"].height == 2
    with pytest.warns(AttribWarning, match="1 of 2 features have moved since training .*: 'visits'"):
        drift_of(found, then + 60)


def test_numbers_written_as_texts_drift_as_numbers():
    texts = pl.DataFrame({"charge": [f"{18 + i / 4}" for i in range(60)] + [" "]})
    plain = texts.select(pl.col("charge").str.strip_chars().cast(pl.Float64, strict=False))
    few = texts[55:]
    for then in (texts, plain):
        for now, same in ((texts, plain), (few, plain[55:])):
            assert drift(then, now).equals(drift(plain, same))
    assert drift(texts, texts.with_columns(charge=pl.lit("much")))["level"].to_list() == ["other type"]


def test_times_of_different_units_are_one_time_and_lists_are_left_alone():
    days = pl.DataFrame({"since": pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 4, 9), eager=True)})
    same = days.select(pl.col("since").cast(pl.Datetime("ms")))
    assert drift(days, same)["psi"].to_list() == [0.0]
    lists = days.with_columns(path=pl.concat_list("since"))
    assert drift(lists, lists).filter(pl.col("feature") == "path")["level"].to_list() == ["other type"]


def test_what_chance_alone_makes():
    random = np.random.default_rng(3)
    above = 0
    for _ in range(200):
        row = drift(pl.DataFrame({"x": random.random(400)}), pl.DataFrame({"x": random.random(300)})).row(0, named=True)
        above += row["psi"] > row["by_chance"]
    assert above <= 20


# --- the real files --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def telco(shared_data):
    frame = pd.read_csv(shared_data / "telco_churn.csv")
    left = (frame["Churn"] == "Yes").to_numpy()
    features = pd.get_dummies(frame.drop(columns=["customerID", "Churn", "TotalCharges"]), drop_first=True, dtype=float)
    return frame, features, left


def test_telco_logistic_reaches_the_anchors(telco):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    _, features, left = telco
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000))
    p = cross_val_predict(model, features.to_numpy(), left, cv=folds, method="predict_proba")[:, 1]
    table = evaluate_classifier(left, p, replicates=50)
    found = values(table)
    assert found["auc"] >= 0.84
    assert found["pr_auc"] == pytest.approx(0.653, abs=0.01)
    assert found["brier"] <= 0.137
    assert found["ece"] <= 0.02
    assert found["lift_at_0.1"] == pytest.approx(2.83, abs=0.1)


def test_telco_cox_reaches_the_anchors(telco):
    from lifelines import CoxPHFitter
    from sklearn.model_selection import StratifiedKFold

    frame, features, left = telco
    times = np.arange(1, 72.0)
    data = features.loc[:, ~features.T.duplicated()].assign(left=left)
    survival = np.zeros((len(frame), len(times)))
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(features, left):
        model = CoxPHFitter(penalizer=0.01).fit(data.iloc[train], "tenure", "left")
        survival[test] = model.predict_survival_function(data.iloc[test], times=times).T.to_numpy()
    found = values(evaluate_survival(frame["tenure"], left, survival=survival, times=times, replicates=0).head(5))
    assert found["concordance"] == pytest.approx(0.865, abs=0.003)
    assert found["integrated_brier"] <= 0.082
    assert found["integrated_brier_kaplan_meier"] == pytest.approx(0.180, abs=0.002)
