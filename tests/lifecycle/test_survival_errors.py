"""What is not known of a survival model: errors before it is shrunk, customers of several rows, intervals."""

import math
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

from attrib.errors import AttribWarning, DataError, SpecError
from attrib.lifecycle import SurvivalChurn, contract_value, cumulative_incidence
from attrib.lifecycle.contractual.episodes import episodes
from attrib.lifecycle.contractual.hazards import PARAMETRIC
from attrib.lifecycle.contractual.scores import cox_scores, parametric_scores

MODELS = ("cox", "weibull", "lognormal", "kaplan_meier")


def crowd(customers=80, rows=3, seed=0, ties=False):
    """Rows of a customer share a part of their luck."""
    rng = np.random.default_rng(seed)
    who, n = np.repeat(np.arange(customers), rows), customers * rows
    frame = pl.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=customers)[who]})
    luck = rng.normal(0, 0.7, customers)[who]
    leaves = rng.exponential(6 / np.exp(0.5 * frame["x"].to_numpy() + 0.3 * frame["z"].to_numpy() + luck))
    seen = rng.uniform(1, 14, n)
    duration = np.minimum(leaves, seen)
    return frame, np.ceil(duration) if ties else duration, leaves <= seen, who


def fitted(model, frame, duration, event, **more):
    plain = {"penalizer": 0, "calibration": None, "check_leaks": False}
    return SurvivalChurn(model, **plain).fit(None if model == "kaplan_meier" else frame, duration, event, **more)


def test_errors_over_customers_are_those_of_lifelines():
    import lifelines

    frame, duration, event, who = crowd()
    ours = fitted("cox", frame, duration, event, id=who)
    table = pd.DataFrame({"x": frame["x"], "z": frame["z"], "d": duration, "e": event, "who": who})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = lifelines.CoxPHFitter().fit(table, "d", "e", cluster_col="who")
    leavers = len(set(who[event]))
    factor = math.sqrt(leavers / (leavers - 3))  # lifelines has none
    np.testing.assert_allclose(ours.summary()["standard_error"] / factor, theirs.standard_errors_, rtol=1e-5)
    alone = fitted("cox", frame, duration, event)
    assert (ours.clustered_, alone.clustered_) == (True, False)
    assert not np.allclose(ours.summary()["standard_error"], alone.summary()["standard_error"], rtol=0.01)


def likelihoods(model, found, matrix, rows):
    """Log likelihood of each row, as the textbook has it."""
    from scipy.stats import lognorm, weibull_min

    out = []
    for i, x in enumerate(matrix):
        location, shape = math.exp(x @ found[:-2] + found[-2]), math.exp(found[-1])
        law = weibull_min(shape, scale=location) if model == "weibull" else lognorm(shape, scale=location)
        one = law.logpdf(rows.duration[i]) if rows.event[i] else law.logsf(rows.duration[i])
        out.append(one - (law.logsf(rows.entry[i]) if rows.entry is not None else 0.0))
    return np.array(out)


@pytest.mark.parametrize("model", list(PARAMETRIC))
def test_scores_of_parametric_models_are_derivatives(model):
    frame, duration, event, who = crowd(12)
    entry = np.where(np.arange(36) % 3 == 0, 0.3 * duration, 0.0)
    rows, matrix, found = (
        episodes(frame, duration, event, entry, who),
        frame.to_numpy(),
        np.array([0.3, -0.2, 1.5, 0.1]),
    )
    scores, h = parametric_scores(model, matrix, found, rows), 1e-6
    for j in range(4):
        change = np.eye(4)[j] * h
        below, above = (likelihoods(model, found + sign * change, matrix, rows) for sign in (-1, 1))
        np.testing.assert_allclose(scores[:, j], (above - below) / (2 * h), rtol=1e-5, atol=1e-7)


def test_scores_of_cox_by_hand():
    """Each row's part of the derivative of Efron's likelihood, event by event, row by row."""
    frame, duration, event, who = crowd(15, 2, seed=3, ties=True)
    entry = np.maximum(duration - 3.0, 0.0)
    rows, matrix = episodes(frame, duration, event, entry, who), frame.to_numpy()
    risk = np.exp(matrix @ [0.5, 0.3])
    wanted = np.zeros_like(matrix)
    for t in sorted(set(duration[event])):
        there = [i for i in range(30) if entry[i] < t <= duration[i]]
        gone = [i for i in there if event[i] and duration[i] == t]
        for k in range(len(gone)):
            part = {i: risk[i] * (1 - k / len(gone) if i in gone else 1.0) for i in there}
            total = sum(part.values())
            mean = sum(part[i] * matrix[i] for i in there) / total
            for i in gone:
                wanted[i] += (matrix[i] - mean) / len(gone)
            for i in there:
                wanted[i] -= part[i] / total * (matrix[i] - mean)
    np.testing.assert_allclose(cox_scores(matrix, risk, rows), wanted, atol=1e-12)


def test_rows_given_twice_say_no_more():
    """Each row of a customer stands twice: errors over customers are those of the rows once."""
    frame, duration, event, _ = crowd(300, 1)
    twice = pl.concat([frame, frame]), np.tile(duration, 2), np.tile(event, 2)
    why = np.where(event, np.where(np.arange(300) % 2, "price", "moved"), None)
    for model in MODELS:
        once, both = fitted(model, frame, duration, event), fitted(model, *twice, id=np.tile(np.arange(300), 2))
        table, again = (m.predict_churn(frame[:3], 4, level=0.95) for m in (once, both))
        for name in ("churn_low", "churn_high"):
            np.testing.assert_allclose(table[name], again[name], atol=0.02)
        if model != "kaplan_meier":
            np.testing.assert_allclose(*(m.summary()["standard_error"] for m in (once, both)), rtol=0.25)
    low, high = (both.baseline_[name][:-1] for name in ("survival_low", "survival_high"))
    np.testing.assert_allclose(
        low, np.interp(both.baseline_["time"][:-1], *once.baseline_.select("time", "survival_low")), atol=0.02
    )
    assert (high > low).any()
    one = SurvivalChurn("aj").fit(None, duration, why).incidence([4.0])
    two = SurvivalChurn("aj").fit(None, np.tile(duration, 2), np.tile(why, 2), id=np.tile(np.arange(300), 2))
    np.testing.assert_allclose(one["standard_error"], two.incidence([4.0])["standard_error"], rtol=1e-2)


def test_the_curve_of_kaplan_and_meier_has_the_intervals_of_greenwood():
    _, duration, event, _ = crowd(200, 1, ties=True)
    model = fitted("kaplan_meier", None, duration, event)
    table = model.baseline_.filter(pl.col("survival") > 0)
    found = model.predict_survival(None, table["time"], level=0.95)
    assert found.columns == ["row", "time", "survival", "survival_low", "survival_high"]
    for name in ("survival", "survival_low", "survival_high"):
        np.testing.assert_allclose(found[name], table[name], rtol=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_intervals_hold_the_prediction_and_are_stored(model):
    frame, duration, event, who = crowd(120, 2)
    fit = SurvivalChurn(model).fit(frame, duration, event, id=who)
    again = SurvivalChurn.from_state(*fit.state())
    for after in (None, np.zeros(240), np.full(240, 2.0)):
        found = fit.predict_churn(frame, 3, after, level=0.9)
        np.testing.assert_array_equal(found["churn"], fit.predict_churn(frame, 3, after))
        assert (found["churn_low"] <= found["churn"]).all()
        assert (found["churn"] <= found["churn_high"]).all()
        assert again.predict_churn(frame, 3, after, level=0.9).equals(found)
        wider = fit.predict_churn(frame, 3, after, level=0.99)
        assert (wider["churn_high"] - wider["churn_low"] >= found["churn_high"] - found["churn_low"]).all()
    worth = contract_value(fit, frame, 10.0, 3)
    assert ((worth["low"] <= worth["value"]) & (worth["value"] <= worth["high"])).all()
    assert contract_value(again, frame, 10.0, 3).equals(worth)
    assert contract_value(fit, frame, 10.0, 3, level=None).equals(worth.drop("low", "high"))
    shifted = contract_value(fit, frame, 10.0, 3, past=np.full(240, 5.0))
    np.testing.assert_allclose(shifted["low"], worth["low"] + 5)


def test_models_of_before_have_no_errors():
    frame, duration, event, _ = crowd(120, 1)
    plain, arrays = SurvivalChurn(check_leaks=False).fit(frame, duration, event).state()
    of_before = {name: a for name, a in arrays.items() if name not in ("unshrunk", "unshrunk_hazard", "grid", "joint")}
    old = SurvivalChurn.from_state(plain, of_before)
    with pytest.raises(SpecError, match="before models kept what intervals need; fit it again"):
        old.predict_churn(frame, 3, level=0.95)
    assert contract_value(old, frame, 1.0, 2)["low"].null_count() == 120
    assert old.summary()["coefficient"].to_list() == old.coefficients_.tolist()
    with pytest.raises(DataError, match="its errors do not fit"):
        SurvivalChurn.from_state(plain, arrays | {"joint": np.zeros((2, 2))})


# --- new customers, and nobody at risk --------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["kaplan_meier", "cox", "aalen_johansen", "time_varying_cox"])
def test_new_customers_may_leave_at_once(model):
    frame, duration, event, _ = crowd(200, 1)
    duration, event = np.where(np.arange(200) < 20, 0.0, duration), np.where(np.arange(200) < 20, True, event)
    given = {"duration": duration, "event": event}
    if model == "time_varying_cox":  # rows begin before they end: time 1 is the first
        given = {"id": np.arange(200), "start": np.zeros(200), "stop": duration + 1, "event": event}
    if model == "aalen_johansen":
        given["event"] = np.where(event, np.where(np.arange(200) % 3, "price", "moved"), None)
    fit = SurvivalChurn(model, check_leaks=False).fit(frame, **given)
    one = frame[:5]
    there = fit.predict_survival(one, [0.0, 6.0])
    np.testing.assert_allclose(fit.predict_churn(one, horizon=6), 1 - there[:, 1], rtol=1e-12)
    np.testing.assert_allclose(fit.predict_proba(one, 6)[:, 0], there[:, 1], rtol=1e-12)
    np.testing.assert_allclose(fit.predict_churn(one, 6, np.zeros(5)), 1 - there[:, 1] / there[:, 0], rtol=1e-12)
    worth = contract_value(fit, one, 1.0, 1, period=6.0)
    np.testing.assert_allclose(worth["value"], there[:, 1], rtol=1e-12)
    if model in ("kaplan_meier", "aalen_johansen"):
        assert there[0, 0] == pytest.approx(0.9)
    if model == "aalen_johansen":
        np.testing.assert_allclose(fit.predict_causes(one, 6).sum_horizontal(), 1 - there[:, 1])
        assert fit.incidence([0.0])["incidence"].sum() == pytest.approx(0.1)
        assert fit.incidence([0.0], conditional_after=0.0)["incidence"].sum() == 0


@pytest.mark.parametrize("model", list(PARAMETRIC))
def test_parametric_models_refuse_who_left_at_0_and_say_what_to_do(model):
    frame, duration, event, _ = crowd(60, 1)
    duration, event = np.where(np.arange(60) < 2, 0.0, duration), np.where(np.arange(60) < 2, True, event)
    with pytest.raises(DataError, match=r"^2 customers left at time 0.*add half a unit .*kaplan_meier"):
        SurvivalChurn(model, check_leaks=False).fit(frame, duration, event)
    SurvivalChurn(model, check_leaks=False).fit(frame, np.where(duration == 0, 0.5, duration), event)
    new = SurvivalChurn(model, check_leaks=False).fit(frame, np.where(duration == 0, 0.5, duration), event)
    np.testing.assert_allclose(new.predict_churn(frame, 6), 1 - new.predict_survival(frame, [6])[:, 0], rtol=1e-12)


def test_incidence_where_nobody_is_at_risk_is_null_and_told():
    duration, why = [1.0, 2.0, 3.0, 4.0], ["price", "moved", "price", None]
    with pytest.warns(AttribWarning, match="^1 of 2 times, such as 9, are null: nobody was at risk then"):
        found = cumulative_incidence(duration, why, at=[3.0, 9.0])
    assert found["incidence"].to_list() == [0.25, None, 0.5, None]
    assert found["one_minus_km"].null_count() == 2
    everybody = cumulative_incidence(duration[:3], why[:3], at=[9.0])  # all have left: that is known for ever
    assert everybody["incidence"].sum() == pytest.approx(1)
    with pytest.warns(AttribWarning) as told:  # before the first, and after a gap
        late = cumulative_incidence(
            [3.0, 4.0, 9.0, 10.0], ["a", None, "a", None], at=[1.0, 3.0, 9.5], entry=[2, 2, 7, 7]
        )
    assert late["incidence"].to_list() == [None, 0.5, None]
    early, gone = (str(one.message) for one in told)
    assert early.startswith("1 of 3 times, such as 1, are null")
    assert early.endswith("at 2); ask for later times")
    assert gone.startswith("1 of 3 times, such as 9.5, are null")
    assert gone.endswith("ask for earlier times")
    # the only one at risk leaves at the instant at which the others enter
    several = [10.0 + i for i in range(6)]
    with pytest.warns(AttribWarning, match="^2 of 3 times, such as 1, are null"):
        alone = cumulative_incidence([1.0, *several], ["a", *["b", None] * 3], at=[0.5, 1, 12], entry=[0, *[1] * 6])
    assert alone["incidence"].to_list() == [0, None, None, 0, None, None]
    model = SurvivalChurn("aj").fit(None, duration, why)
    with pytest.warns(AttribWarning, match="nobody was at risk"):
        assert model.incidence([9.0])["incidence"].null_count() == 2
    with pytest.warns(AttribWarning, match="nobody was at risk"):
        assert model.incidence([9.0], conditional_after=4.0)["incidence"].null_count() == 2


@pytest.mark.parametrize("model", ["cox", "weibull", "kaplan_meier"])
@pytest.mark.parametrize("none", [None, float("nan")])
def test_rows_without_a_customer_are_refused(model, none):
    with pytest.raises(DataError, match="id is null in 1 of 20 rows"):
        SurvivalChurn(model).fit(
            None if model == "kaplan_meier" else pl.DataFrame({"x": range(20)}),
            range(1, 21), [True, False] * 10, id=[none, *(float(who // 2) for who in range(1, 20))],
        )  # fmt: skip
