"""When customers leave: equal to lifelines, better where that errs, stored as numbers, and true to the real files."""

import ast
import json
import math
import re
import subprocess
import sys
import time
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

from attrib.errors import AttribWarning, DataError, SolveError, SpecError
from attrib.lifecycle import SurvivalChurn, calibration_at, contract_value, cumulative_incidence
from attrib.lifecycle.contractual.names import MODELS
from attrib.lifecycle.contractual.riskset import RiskTable
from attrib.lifecycle.contractual.stored import ARRAYS

FEATURES = ["plan", "age", "calls"]


def simulated(n=600, seed=1, late=False):
    """Customers with hazard ratio e^0.8 for the monthly plan and e^0.5 per 10 years, seen for up to 24 months."""
    random = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "plan": random.choice(["month", "year"], n),
            "age": random.normal(45, 10, n).round(),
            "calls": random.poisson(2, n),
        }
    )
    score = 0.8 * (frame["plan"] == "month").to_numpy() + 0.05 * (frame["age"].to_numpy() - 45)
    leaves = 20 * random.exponential(size=n) / np.exp(score)
    seen = random.uniform(0, 24, n)
    duration, event = np.ceil(np.minimum(leaves, seen)), leaves <= seen
    frame = frame.with_columns(tenure=duration, left=event)
    if not late:
        return frame
    entry = np.floor(random.uniform(0, 12, n))
    return frame.with_columns(entry=entry).filter(pl.col("entry") < pl.col("tenure"))


def lifelines_fit(name, frame, penalizer, entry=False):
    import lifelines

    table = pd.DataFrame(
        {
            "plan=year": (frame["plan"] == "year").to_numpy().astype(float),
            "age": frame["age"].to_numpy(),
            "calls": frame["calls"].to_numpy(),
            "tenure": frame["tenure"].to_numpy(),
            "left": frame["left"].to_numpy(),
        }
    )
    if entry:
        table["entry"] = frame["entry"].to_numpy()
    fitter = getattr(lifelines, name)(penalizer=penalizer)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return fitter.fit(table, "tenure", "left", entry_col="entry" if entry else None), table


def test_cox_says_what_lifelines_says():
    frame = simulated()
    model = SurvivalChurn(penalizer=0.01, calibration=None).fit(frame, duration="tenure", event="left")
    theirs, table = lifelines_fit("CoxPHFitter", frame, 0.01)
    found, wanted = model.summary(), theirs.summary
    assert found["feature"].to_list() == list(wanted.index)
    for ours, name in (
        ("coefficient", "coef"),
        ("standard_error", "se(coef)"),
        ("hazard_ratio", "exp(coef)"),
        ("hazard_ratio_low", "exp(coef) lower 95%"),
        ("hazard_ratio_high", "exp(coef) upper 95%"),
        ("z", "z"),
        ("p", "p"),
    ):
        np.testing.assert_allclose(found[ours], wanted[name], rtol=1e-9)
    at = theirs.baseline_survival_.index.to_numpy()
    curves = theirs.predict_survival_function(table, times=at).to_numpy().T
    np.testing.assert_allclose(model.predict_survival(frame, at), curves, rtol=1e-10, atol=1e-12)
    assert model.score(frame, "tenure", "left") == pytest.approx(theirs.concordance_index_, abs=1e-12)
    after = np.minimum(frame["tenure"].to_numpy(), 12)
    step_to = theirs.predict_survival_function(table, times=[6.0], conditional_after=after).to_numpy().ravel()
    np.testing.assert_allclose(model.predict_churn(frame, 6, after), 1 - step_to, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("model", "name"), [("weibull", "WeibullAFTFitter"), ("lognormal", "LogNormalAFTFitter")])
def test_parametric_models_say_what_lifelines_says(model, name):
    frame = simulated(300, late=True)
    ours = SurvivalChurn(model, penalizer=0.01, calibration=None)
    ours.fit(frame, duration="tenure", event="left", entry="entry")
    theirs, table = lifelines_fit(name, frame, 0.01, entry=True)
    curves = theirs.predict_survival_function(table, times=[1.0, 5.5, 20.0, 40.0]).to_numpy().T
    np.testing.assert_allclose(ours.predict_survival(frame, [1, 5.5, 20, 40]), curves, rtol=1e-10, atol=1e-12)
    later = theirs.predict_survival_function(table, times=[6.0], conditional_after=table["tenure"]).to_numpy().ravel()
    np.testing.assert_allclose(ours.predict_churn(frame, 6, "tenure"), 1 - later, rtol=1e-9, atol=1e-12)
    found = ours.summary()
    assert found["feature"].to_list() == ["plan=year", "age", "calls", "(intercept)", "(log shape)"]
    assert found.columns[3:6] == ["time_ratio", "time_ratio_low", "time_ratio_high"]
    np.testing.assert_allclose(np.sort(found["standard_error"]), np.sort(theirs.standard_errors_), rtol=1e-9)
    assert ours.score(frame, "tenure", "left") == pytest.approx(
        SurvivalChurn().fit(frame.drop("entry"), "tenure", "left").score(frame, "tenure", "left"), abs=0.02
    )


def test_parametric_models_leave_out_those_last_seen_at_0():
    frame = simulated(200)
    more = pl.concat([frame, frame[:9].with_columns(tenure=0.0, left=False)])
    few, all_ = (SurvivalChurn("weibull", calibration=None).fit(f, "tenure", "left") for f in (frame, more))
    np.testing.assert_allclose(few.coefficients_, all_.coefficients_, rtol=1e-4)
    with pytest.raises(DataError, match="1 customers left at time 0"):
        SurvivalChurn("weibull").fit(
            pl.concat([frame, frame[:1].with_columns(tenure=0.0, left=True)]), "tenure", "left"
        )


def partial_likelihood(beta, matrix, rows):
    """Efron's, event time by event time, customer by customer."""
    total = 0.0
    for t in sorted(set(rows["stop"].filter(rows["event"]))):
        at_risk = [i for i, (a, b) in enumerate(rows.select("start", "stop").iter_rows()) if a < t <= b]
        gone = [i for i in at_risk if rows["event"][i] and rows["stop"][i] == t]
        risk = {i: math.exp(matrix[i] @ beta) for i in at_risk}
        total += sum(matrix[i] @ beta for i in gone)
        for k in range(len(gone)):
            total -= math.log(sum(risk.values()) - k / len(gone) * sum(risk[i] for i in gone))
    return total


def varying(n=60, seed=2):
    random = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        first, length, left = random.integers(0, 4), random.integers(2, 9), random.random() < 0.6
        cuts = [first, first + random.integers(1, length), first + length]
        rows += [(i, cuts[0], cuts[1], False, random.normal()), (i, cuts[1], cuts[2], left, random.normal())]
    return pl.DataFrame(rows, ["id", "start", "stop", "event", "touches"], orient="row")


def test_time_varying_cox_is_at_the_top_of_the_partial_likelihood():
    rows = varying()
    model = SurvivalChurn("time_varying_cox", penalizer=0.0, calibration=None).fit(
        rows, id="id", start="start", stop="stop", event="event"
    )
    matrix, beta = rows.select("touches").to_numpy(), model.coefficients_
    best = partial_likelihood(beta, matrix, rows)
    for change in (-1e-3, 1e-3):
        assert partial_likelihood(beta + change, matrix, rows) < best
    # the second derivative is the information
    h = 1e-3
    curve = sum(partial_likelihood(beta + s * h, matrix, rows) for s in (-1, 1)) - 2 * best
    assert model.covariance_[0, 0] == pytest.approx(-(h**2) / curve, rel=1e-4)
    assert model.customers_ == 60
    relative = np.exp((matrix[:, 0] - matrix.mean()) * beta[0])
    hazard = 0.0
    for t, value in model.baseline_.select("time", "cumulative_hazard").iter_rows():
        there = (rows["start"].to_numpy() < t) & (t <= rows["stop"].to_numpy())
        gone = rows["event"].to_numpy() & (rows["stop"].to_numpy() == t)
        hazard += gone.sum() / relative[there].sum()
        assert value == pytest.approx(hazard)


def test_time_varying_cox_of_lifelines():
    from lifelines import CoxTimeVaryingFitter

    rows = varying(300, 3)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        theirs = CoxTimeVaryingFitter(penalizer=0.0).fit(
            rows.to_pandas(), id_col="id", event_col="event", start_col="start", stop_col="stop"
        )
    model = SurvivalChurn("time_varying_cox", penalizer=0, calibration=None).fit(
        rows.to_pandas(), id="id", start="start", stop="stop", event="event"
    )
    np.testing.assert_allclose(model.coefficients_, theirs.params_, rtol=1e-6)
    np.testing.assert_allclose(np.diag(model.covariance_), np.diag(theirs.variance_matrix_), rtol=1e-6)
    assert 0.3 < model.score(rows, "stop", "event", entry="start") < 0.7


def test_late_entry_is_not_taken_for_immortality():
    """Customers who came under observation late: without entry they seem to stay longer than they do."""
    frame = simulated(8000, seed=4, late=True)
    with_entry = SurvivalChurn().fit(frame, duration="tenure", event="left", entry="entry")
    without = SurvivalChurn().fit(frame.drop("entry"), duration="tenure", event="left")
    at = pl.DataFrame({"plan": ["year"], "age": [45.0], "calls": [2]})
    truth = math.exp(-12 / 20)
    assert with_entry.predict_survival(at, [12])[0, 0] == pytest.approx(truth, abs=0.03)
    assert without.predict_survival(at, [12])[0, 0] > truth + 0.1
    np.testing.assert_allclose(with_entry.coefficients_[:2], [-0.8, 0.05], atol=0.12)


def test_the_probability_to_leave_is_calibrated():
    train, test = simulated(6000, seed=5), simulated(6000, seed=6).filter(pl.col("tenure") > 3)
    for name in ("cox", "weibull"):
        model = SurvivalChurn(name).fit(train, duration="tenure", event="left")
        chance = model.predict_churn(test, horizon=6, conditional_after=np.full(len(test), 3.0))
        table = calibration_at(chance, test["tenure"] - 3, test["left"], 6, bins=5)
        assert (table["observed"] - table["predicted"]).abs().max() < 0.04
        assert table["predicted"].is_sorted()


@pytest.mark.parametrize("name", MODELS)
def test_stored_models_say_the_same_to_the_last_bit(name, tmp_path):
    frame, given = simulated(300, late=True), {"duration": "tenure", "event": "left", "entry": "entry"}
    if name == "time_varying_cox":
        given = {"id": np.arange(len(frame)), "start": "entry", "stop": "tenure", "event": "left"}
    model = SurvivalChurn(name, penalizer=0.02).fit(frame, **given)
    plain, arrays = model.state()
    assert list(arrays) == [*ARRAYS, "by_cause"] if name == "aalen_johansen" else list(ARRAYS)
    assert all(array.dtype == np.float64 for array in arrays.values())
    np.savez(tmp_path / "model.npz", **arrays)
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        again = SurvivalChurn.from_state(json.loads(json.dumps(plain, allow_nan=False)), dict(file))
    assert again.get_params() == model.get_params()
    assert again.calibration_slope_ == model.calibration_slope_
    for call in (
        lambda m: m.predict_survival(frame, [1, 5, 20]),
        lambda m: m.predict_churn(frame, 3, "tenure"),
        lambda m: m.risk(frame),
    ):
        np.testing.assert_array_equal(call(again), call(model))
    assert again.baseline_.equals(model.baseline_)
    assert again.summary().equals(model.summary())


def test_stored_models_need_no_lifelines(tmp_path):
    frame = simulated(100)
    model = SurvivalChurn().fit(frame, duration="tenure", event="left")
    plain, arrays = model.state()
    np.savez(tmp_path / "model.npz", **arrays)
    (tmp_path / "model.json").write_text(json.dumps(plain))
    frame.write_parquet(tmp_path / "frame.parquet")
    code = """
import json, sys
for name in ("lifelines", "pandas", "sklearn", "matplotlib"):
    sys.modules[name] = None
import numpy as np, polars as pl
from attrib.lifecycle import SurvivalChurn
model = SurvivalChurn.from_state(json.load(open("model.json")), np.load("model.npz"))
print(model.predict_churn(pl.read_parquet("frame.parquet"), 3).tobytes().hex())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == model.predict_churn(frame, 3).tobytes().hex()


def test_what_is_loaded_is_checked():
    plain, arrays = SurvivalChurn().fit(simulated(100), duration="tenure", event="left").state()
    for broken, numbers in (
        (None, arrays),
        ({}, arrays),
        ({**plain, "format": 2}, arrays),
        ({**plain, "estimator": "Other"}, arrays),
        ({**plain, "parameters": {"model": "eval"}}, arrays),
        ({**plain, "parameters": {"more": 1}}, arrays),
        ({**plain, "longest": "long"}, arrays),
        ({**plain, "design": None}, arrays),
        ({**plain, "calibration_slope": 1.1}, arrays),
        ({**plain, "calibration_slope": math.nan}, arrays),
        ({**plain, "calibration_slope": True}, arrays),
        ({**plain, "calibration_slope": "1"}, arrays),
        (plain, {}),
        (plain, {**arrays, "coefficients": arrays["coefficients"][1:]}),
        (plain, {**arrays, "coefficients": arrays["coefficients"] * np.nan}),
        (plain, {**arrays, "times": arrays["times"][::-1]}),
        (plain, {**arrays, "hazard": arrays["hazard"][:, None]}),
        (plain, {**arrays, "at_risk": arrays["at_risk"] * np.nan}),
        (plain, {**arrays, "left": np.array([object()] * len(arrays["left"]))}),
    ):
        with pytest.raises(DataError) as error:
            SurvivalChurn.from_state(broken, numbers)
        assert error.value.key == "bad_model"


def test_a_customers_score_does_not_depend_on_the_others():
    frame = simulated(501)
    model = SurvivalChurn().fit(frame, duration="tenure", event="left")
    whole = model.predict_churn(frame, 3)
    np.testing.assert_array_equal(whole[7:8], model.predict_churn(frame[7:8], 3))
    np.testing.assert_array_equal(whole[100:], model.predict_churn(frame[100:], 3))


@pytest.mark.parametrize("model", ["cox", "weibull"])
def test_lifelines_runs_on_one_thread(model, monkeypatch):
    """With two threads of BLAS its many small products take twenty times as long."""
    import lifelines
    from threadpoolctl import threadpool_info

    fitter = {"cox": lifelines.CoxPHFitter, "weibull": lifelines.WeibullAFTFitter}[model]
    seen, fit = [], fitter.fit

    def watched(self, *arguments, **named):
        seen.extend(pool["num_threads"] for pool in threadpool_info())
        return fit(self, *arguments, **named)

    monkeypatch.setattr(fitter, "fit", watched)
    frame = simulated()
    SurvivalChurn(model).fit(frame.select(FEATURES), frame["tenure"] + 0.5, frame["left"])
    assert set(seen) == {1}


def test_a_million_customers_in_seconds():
    frame = simulated(2000)
    model = SurvivalChurn().fit(frame, duration="tenure", event="left")
    many = pl.concat([frame] * 500)
    start = time.perf_counter()
    assert model.predict_churn(many, 6, "tenure").shape == (1_000_000,)
    assert time.perf_counter() - start < 10


def test_frames_series_and_lists_are_alike():
    frame = simulated(200)
    wanted = SurvivalChurn().fit(frame, duration="tenure", event="left").coefficients_
    table = frame.to_pandas()
    for X, duration, event in (
        (frame.select(FEATURES), frame["tenure"], frame["left"]),
        (table[FEATURES], table["tenure"], table["left"]),
        (table, "tenure", "left"),
        (frame.select(FEATURES), frame["tenure"].to_list(), frame["left"].cast(pl.Int64).to_list()),
    ):
        np.testing.assert_array_equal(SurvivalChurn().fit(X, duration=duration, event=event).coefficients_, wanted)


def test_kaplan_meier_needs_no_features():
    frame = simulated(200)
    model = SurvivalChurn("kaplan_meier").fit(None, duration=frame["tenure"], event=frame["left"])
    table = RiskTable.of(frame["tenure"].to_numpy(), frame["left"].to_numpy())
    np.testing.assert_allclose(model.predict_survival(None, table.times)[0], table.survival())
    assert model.baseline_.columns[-2:] == ["survival_low", "survival_high"]
    assert model.score(None, frame["tenure"], frame["left"]) == 0.5
    assert model.predict_churn(None, 3, [0.0, 5.0]).shape == (2,)
    assert model.summary().is_empty()


def test_what_lies_beyond_training_is_said():
    frame = simulated(200)
    model = SurvivalChurn().fit(frame, duration="tenure", event="left")
    with pytest.warns(AttribWarning, match=r"1 of 2 times lie beyond the longest duration of training \(24\)"):
        model.predict_churn(frame[:2], 3, [0.0, 23.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error", AttribWarning)
        SurvivalChurn("weibull").fit(frame, duration="tenure", event="left").predict_churn(frame, 300)


def test_proportional_hazards_of_lifelines():
    from lifelines.statistics import proportional_hazard_test
    from scipy.stats import rankdata

    frame = simulated(400, seed=7)
    model = SurvivalChurn(penalizer=0).fit(frame, duration="tenure", event="left")
    theirs, table = lifelines_fit("CoxPHFitter", frame, 0)

    def rank(times, events, weights):
        out = pd.Series(0.0, index=times.index)
        out[events.to_numpy()] = rankdata(times[events.to_numpy()])
        return out

    wanted = proportional_hazard_test(theirs, table, time_transform=rank).summary
    found = model.proportional_hazards(frame, "tenure", "left")
    for feature, statistic, p in found.iter_rows():
        assert statistic == pytest.approx(wanted.loc[feature, "test_statistic"], rel=1e-5)
        assert p == pytest.approx(wanted.loc[feature, "p"], rel=1e-5)
    random = np.random.default_rng(8)
    turns = pl.DataFrame({"x": random.integers(0, 2, 4000)})
    early = random.exponential(size=4000) * np.exp(-turns["x"].to_numpy())
    duration = np.where(early < 0.5, early, 0.5 + random.exponential(size=4000))
    model = SurvivalChurn().fit(turns, duration=duration, event=np.ones(4000, bool))
    assert model.proportional_hazards(turns, duration, np.ones(4000, bool))["p"][0] < 1e-6


def test_no_answer_names_the_columns():
    frame = simulated(200).with_columns(double=pl.col("age") * 2)
    for name in ("cox", "weibull"):
        with pytest.raises(SolveError, match=r"determined by other columns: '(age|double)'") as error:
            SurvivalChurn(name, penalizer=0).fit(frame, duration="tenure", event="left")
        assert error.value.key == "no_convergence"
        penalizer, leave = re.search(r"penalizer=([\d.]+) .* leave out all of (\[.*?\])", error.value.hint).groups()
        SurvivalChurn(name, penalizer=float(penalizer)).fit(frame, duration="tenure", event="left")
        SurvivalChurn(name, penalizer=0).fit(frame.drop(ast.literal_eval(leave)), duration="tenure", event="left")
    SurvivalChurn().fit(frame, duration="tenure", event="left")
    apart = simulated(200).with_columns(safe=~pl.col("left"))
    with pytest.warns(AttribWarning, match="'safe' is the same for all who left"):
        SurvivalChurn(penalizer=0).fit(apart, duration="tenure", event="left")


def test_arguments_are_checked():
    frame = simulated(50)
    for params, given, key in (
        ({"model": "magic"}, {"duration": "tenure", "event": "left"}, "bad_parameter"),
        ({"penalizer": -1}, {"duration": "tenure", "event": "left"}, "bad_parameter"),
        ({"penalizer": math.nan}, {"duration": "tenure", "event": "left"}, "bad_parameter"),
        ({}, {"event": "left"}, "bad_argument"),
        ({}, {"duration": "tenure", "event": "left", "start": "plan"}, "bad_argument"),
        ({"model": "time_varying_cox"}, {"duration": "tenure", "event": "left"}, "bad_argument"),
    ):
        with pytest.raises(SpecError) as error:
            SurvivalChurn(**params).fit(frame, **given)
        assert error.value.key == key
    with pytest.raises(SpecError, match="needs X"):
        SurvivalChurn().fit(None, duration=[1.0], event=[True])
    model = SurvivalChurn().fit(frame, duration="tenure", event="left")
    with pytest.raises(DataError):
        model.fit(frame.with_columns(tenure=0.0, left=True, plan=None, age=1, calls=1), duration="tenure", event="left")
    with pytest.raises(SpecError, match="not fitted"):
        model.predict_churn(frame, 3)
    with pytest.warns(AttribWarning, match="at 2 all who had come under observation had left"):
        curve = SurvivalChurn("kaplan_meier").fit(None, duration=[2, 5], event=[True, False], entry=[0, 3])
    with pytest.warns(AttribWarning, match="^2 of 3 answers are null: at 2 all who had come"):
        np.testing.assert_equal(curve.predict_survival(None, [1, 2, 4]), [[1, np.nan, np.nan]])
    with pytest.warns(AttribWarning, match="answers are null"):
        assert contract_value(curve, None, 10.0, 3, conditional_after=[0.0])["value"].to_list() == [None]
    with pytest.raises(DataError, match="none of 50 customers left"):
        SurvivalChurn().fit(frame.select(FEATURES), duration=frame["tenure"], event=[False] * 50)
    with pytest.raises(DataError, match="0 customers"):
        SurvivalChurn().fit(frame.clear(), duration="tenure", event="left")
    with pytest.raises(DataError, match="missing"):
        SurvivalChurn().fit(frame, duration="months", event="left")
    with pytest.raises(DataError, match="enter at or after"):
        SurvivalChurn().fit(frame, duration="tenure", event="left", entry=frame["tenure"])
    for broken, match in (
        (varying().with_columns(start=pl.lit(0.0)), "overlap"),
        (varying().with_columns(event=pl.lit(value=True)), "follow one at whose end the customer left"),
    ):
        with pytest.raises(DataError, match=match):
            SurvivalChurn("time_varying_cox").fit(broken, id="id", start="start", stop="stop", event="event")
    with pytest.raises(SpecError, match="not fitted"):
        SurvivalChurn().predict_churn(frame, 3)


def test_scikit_learn_clones_it():
    from sklearn.base import clone

    given = {"model": "weibull", "penalizer": 0.5, "horizon": 3, "calibration": None, "folds": 4, "seed": 1}
    given["check_leaks"] = False
    assert clone(SurvivalChurn(**given)).get_params() == given


def brier(curves, at, duration, event, train):
    """Graf's score at each time, with the censoring of training by Kaplan–Meier: customer by customer, vectorised."""
    table = RiskTable.of(train["tenure"].to_numpy().astype(float), ~train["left"].to_numpy())
    steps = np.append(1.0, table.survival())
    before = steps[np.searchsorted(table.times, duration, side="left")]  # G(T−)
    scores = []
    for j, t in enumerate(at):
        gone, there = (duration <= t) & event, duration > t
        g = steps[np.searchsorted(table.times, t, side="right")]
        scores.append(np.mean(np.where(gone, curves[:, j] ** 2 / before, 0) + there * (1 - curves[:, j]) ** 2 / g))
    return np.array(scores)


def telco(folder):
    table = pl.read_csv(folder / "telco_churn.csv", null_values=[" "])
    frame = table.drop("customerID", "TotalCharges", "Churn", "tenure")
    return frame.with_columns(tenure=table["tenure"], left=table["Churn"] == "Yes")


def by_folds(frame, penalizer=0.001):
    fold = np.random.default_rng(0).permutation(len(frame)) % 5
    scores, errors = [], {"cox": [], "kaplan_meier": []}
    for k in range(5):
        train, test = frame.filter(fold != k), frame.filter(fold == k)
        duration, event = test["tenure"].to_numpy().astype(float), test["left"].to_numpy()
        at = np.arange(1.0, 72.0)
        for name, found in errors.items():
            model = SurvivalChurn(name, penalizer).fit(train, duration="tenure", event="left")
            if name == "cox":
                scores.append(model.score(test, "tenure", "left"))
            score = brier(model.predict_survival(test, at), at, duration, event, train)
            found.append(np.trapezoid(score, at) / (at[-1] - at[0]))
    return np.mean(scores), *(np.mean(found) for found in errors.values())


@pytest.mark.real_data
def test_telco_in_five_folds(shared_data):
    concordance, cox, kaplan_meier = by_folds(telco(shared_data))
    assert concordance == pytest.approx(0.865, abs=0.0015)
    assert cox <= 0.082
    assert kaplan_meier == pytest.approx(0.180, abs=0.002)


@pytest.mark.real_data
def test_telco_curve_of_all(shared_data):
    frame = telco(shared_data)
    model = SurvivalChurn("kaplan_meier").fit(frame, duration="tenure", event="left")
    assert model.predict_survival(None, [12, 24, 48, 72])[0].round(3).tolist() == [0.843, 0.789, 0.709, 0.593]


@pytest.mark.real_data
def test_telco_without_the_contract(shared_data):
    """Customers by the month, with internet: the contract, which only survivors have, explains nothing any more."""
    frame = telco(shared_data).filter((pl.col("Contract") == "Month-to-month") & (pl.col("InternetService") != "No"))
    assert len(frame) == 3351
    four = frame.select(
        pl.col("Dependents") == "Yes",
        pl.col("InternetService") == "DSL",
        pl.col("OnlineBackup") == "Yes",
        pl.col("TechSupport") == "Yes",
        "tenure",
        "left",
    )
    model = SurvivalChurn(penalizer=0).fit(four, duration="tenure", event="left")
    assert model.score(four, "tenure", "left") == pytest.approx(0.641, abs=5e-4)
    assert 0.72 < by_folds(frame)[0] < 0.74  # with all features


@pytest.mark.real_data
def test_telco_chances_are_calibrated(shared_data):
    frame = telco(shared_data)
    fold = np.random.default_rng(0).permutation(len(frame)) % 5
    train, test = frame.filter(fold != 0), frame.filter(fold == 0).filter(pl.col("tenure") > 6)
    model = SurvivalChurn().fit(train, duration="tenure", event="left")
    chance = model.predict_churn(test, 12, np.full(len(test), 6.0))
    table = calibration_at(chance, test["tenure"] - 6, test["left"], 12, bins=5)
    assert (table["observed"] - table["predicted"]).abs().max() < 0.06
    assert cumulative_incidence(test["tenure"], test["left"].cast(pl.Int8).replace(0, None)).height > 0
