"""What users of scikit-learn and lifelines expect of SurvivalChurn: probabilities, spellings, labels, causes."""

import math
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attrib.errors import AttribWarning, DataError, SpecError
from attrib.lifecycle import SurvivalChurn, cumulative_incidence
from attrib.lifecycle.contractual.incidence import Incidence, read_causes
from attrib.lifecycle.contractual.names import model_name

RANDOM = np.random.default_rng(3)
X = pl.DataFrame({"plan": RANDOM.choice(["month", "year"], 300), "age": RANDOM.normal(45, 9, 300).round()})
DURATION, LEFT = RANDOM.integers(1, 20, 300).astype(float), RANDOM.random(300) < 0.6
WHY = np.where(LEFT, RANDOM.choice(["moved", "price", "rival"], 300), None)


# --- probabilities ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["cox", "weibull", "kaplan_meier", "aalen_johansen"])
def test_probabilities_of_both_classes(model):
    fitted = SurvivalChurn(model).fit(X, DURATION, LEFT)
    frame = X.with_columns(tenure=np.arange(300) % 9)
    found = fitted.predict_proba(frame, 3, "tenure")
    assert found.shape == (300, 2)
    np.testing.assert_array_equal(found[:, 1], fitted.predict_churn(frame, 3, "tenure"))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert fitted.classes_.tolist() == [False, True]
    np.testing.assert_array_equal(fitted.predict(frame, 3, "tenure"), found[:, 1] >= 0.5)
    now, later = (fitted.predict_survival(frame, np.arange(9) + more) for more in (0, 3))
    rows = np.arange(300)
    curve = 1 - (later / now)[rows if len(later) > 1 else 0, rows % 9]
    np.testing.assert_allclose(found[:, 1], curve)


def test_the_horizon_is_given_once_or_at_each_call():
    fitted = SurvivalChurn(horizon=6).fit(X, DURATION, LEFT)
    np.testing.assert_array_equal(fitted.predict_proba(X), fitted.predict_proba(X, 6))
    np.testing.assert_array_equal(
        fitted.predict_churn(X, 2), SurvivalChurn().fit(X, DURATION, LEFT).predict_churn(X, 2)
    )
    again = SurvivalChurn.from_state(*fitted.state())
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    without = SurvivalChurn().fit(X, DURATION, LEFT)
    for call in (without.predict_proba, without.predict, without.predict_churn):
        with pytest.raises(SpecError, match="how far ahead") as error:
            call(X)
        assert error.value.key == "no_horizon"
    for horizon in (-1, math.inf, math.nan, "3", "90d", True):
        with pytest.raises(SpecError, match="horizon = "):
            without.predict_proba(X, horizon)
        with pytest.raises(SpecError, match="horizon = "):
            SurvivalChurn(horizon=horizon).fit(X, DURATION, LEFT)


def test_next_action_asks_a_survival_model_as_such():
    from attrib.lifecycle.acting.actions import _risk

    fitted = SurvivalChurn("weibull", horizon=4).fit(X, DURATION, LEFT)
    np.testing.assert_array_equal(_risk(X, "churn", fitted), fitted.predict_churn(X, 4))
    np.testing.assert_array_equal(_risk(X, "churn", fitted, 2, 3.0), fitted.predict_churn(X, 2, 3.0))
    with pytest.raises(SpecError, match="churn_horizon"):
        _risk(X, "churn", fitted.set_params(horizon=None))


def test_probabilities_without_a_frame():
    fitted = SurvivalChurn("km", horizon=2).fit(None, DURATION, LEFT)
    assert fitted.predict_proba(None).shape == (1, 2)
    assert fitted.predict_proba(None, conditional_after=[0, 3, 5]).shape == (3, 2)
    with pytest.raises(SpecError, match="names a column"):
        fitted.predict_proba(None, conditional_after="tenure")
    with pytest.raises(DataError, match="tenure"):
        fitted.predict_proba(X, conditional_after="tenure")
    with pytest.raises(DataError, match="2 values for 300"):
        fitted.predict_proba(X, conditional_after=[1, 2])


# --- spellings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("cox", "cox"), ("Cox", "cox"), ("CoxPH", "cox"), ("cox-ph", "cox"), ("CoxPHFitter", "cox"),
        ("proportional hazards", "cox"), ("cox_time_varying", "time_varying_cox"),
        ("CoxTimeVaryingFitter", "time_varying_cox"), ("time-varying-cox", "time_varying_cox"),
        ("log-normal", "lognormal"), ("log_normal", "lognormal"), ("LogNormalAFTFitter", "lognormal"),
        ("lognormal_aft", "lognormal"), ("weibull_aft", "weibull"), ("weibull-aft", "weibull"),
        ("WeibullAFT", "weibull"), ("kaplan-meier", "kaplan_meier"), ("Kaplan–Meier", "kaplan_meier"),
        ("KM", "kaplan_meier"), ("KaplanMeierFitter", "kaplan_meier"), ("competing_risks", "aalen_johansen"),
        ("Aalen-Johansen", "aalen_johansen"), ("AalenJohansenFitter", "aalen_johansen"),
    ],
)  # fmt: skip
def test_models_may_be_spelt_in_several_ways(written, name):
    assert model_name(written) == name


def test_a_spelling_stays_as_it_was_given():
    from sklearn.base import clone

    fitted = SurvivalChurn("Log-Normal").fit(X, DURATION, LEFT)
    assert (fitted.model, fitted.model_) == ("Log-Normal", "lognormal")
    assert clone(fitted).get_params() == SurvivalChurn("Log-Normal").get_params()
    np.testing.assert_array_equal(fitted.risk(X), SurvivalChurn("lognormal").fit(X, DURATION, LEFT).risk(X))
    np.testing.assert_array_equal(SurvivalChurn.from_state(*fitted.state()).risk(X), fitted.risk(X))
    fitted.set_params(model="weibull")  # what is fitted stays what it is
    np.testing.assert_array_equal(SurvivalChurn.from_state(*fitted.state()).risk(X), fitted.risk(X))


@pytest.mark.parametrize(
    ("written", "words"),
    [("weibul", "did you mean 'weibull'"), ("kaplan_mayer", "did you mean 'kaplan_meier'"), ("random forest", "is not"),
     (None, "is not one of cox"), ("", "is not one of"), (["cox"], "is not one of")],
)  # fmt: skip
def test_unknown_models_are_named(written, words):
    with pytest.raises(SpecError, match=words) as error:
        SurvivalChurn(written).fit(X, DURATION, LEFT)
    assert error.value.key == "bad_parameter"


# --- labels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("yes", "no"), [("Yes", "No"), ("True", "False"), ("1", "0"), (1, 0), (1.0, 0.0), (True, False)]
)
def test_events_may_be_written_as_labels_are(yes, no):
    wanted = SurvivalChurn().fit(X, DURATION, LEFT)
    event = [yes if left else no for left in LEFT]
    for column in (event, np.array(event), pl.Series(event), pd.Series(event)):
        fitted = SurvivalChurn().fit(X, DURATION, column)
        np.testing.assert_array_equal(fitted.coefficients_, wanted.coefficients_)
        assert fitted.score(X, DURATION, column) == wanted.score(X, DURATION, LEFT)


def test_other_texts_are_no_events():
    with pytest.raises(DataError, match="it holds 'left', 'stayed'; a text must be Yes or No"):
        SurvivalChurn().fit(X, DURATION, np.where(LEFT, "left", "stayed"))


# --- causes ----------------------------------------------------------------------------------------------------------


def test_causes_in_any_spelling_of_nobody():
    for values, wanted in (
        (["a", None, "b"], ["a", None, "b"]),
        (["a", "", "b"], ["a", None, "b"]),
        (["a", math.nan, " "], ["a", None, None]),
        (["2", "0", "1"], ["2", None, "1"]),
        ([2, 0, 1], [2, None, 1]),
        ([2.0, math.nan, 1.0], [2, None, 1]),
        ([True, False], [True, None]),
        (["Yes", "No"], ["Yes", None]),
        (pd.Series(["a", None], dtype="category"), ["a", None]),
        ([None, None], [None, None]),
    ):
        assert read_causes("event", values).to_list() == wanted
    with pytest.raises(DataError, match="not causes"):
        read_causes("event", pl.Series([1]).cast(pl.Date))


def test_causes_of_all_are_those_of_the_function():
    entry = np.minimum(RANDOM.integers(0, 6, 300), DURATION - 1)
    fitted = SurvivalChurn("competing_risks").fit(X, DURATION, WHY, entry=entry)
    assert fitted.causes_ == ["moved", "price", "rival"]
    wanted = cumulative_incidence(DURATION, WHY, at=[0, 3, 9.5, 18], entry=entry)
    found = fitted.incidence([0, 3, 9.5, 18])
    assert found.drop("standard_error").equals(wanted.drop("one_minus_km"))
    numbered = np.where(LEFT, pl.Series(WHY).replace_strict({"moved": 1, "price": 2, "rival": 3}, default=0), 0)
    assert SurvivalChurn("aj").fit(X, DURATION, numbered).causes_ == [1, 2, 3]
    assert fitted.baseline_.equals(SurvivalChurn("km").fit(X, DURATION, LEFT, entry=entry).baseline_)
    assert fitted.score(X, DURATION, WHY) == 0.5
    assert fitted.summary().is_empty()


def test_variance_time_by_time():
    """Gaynor's formula, term by term."""
    found = Incidence.of(DURATION, pl.Series(WHY), pl.Series(["moved", "price", "rival"]))
    values, spread = found.at(found.times)
    left = found.by_cause.sum(axis=0)
    there = [1.0]
    for n, d in zip(found.at_risk, left, strict=True):
        there.append(there[-1] * (1 - d / n))
    for k in range(3):
        for j in range(len(found.times)):
            variance = 0.0
            for i in range(j + 1):
                n, d, c = found.at_risk[i], left[i], found.by_cause[k, i]
                rest = values[k, j] - values[k, i]
                if n > d:
                    variance += rest**2 * d / (n * (n - d))
                variance += there[i] ** 2 * c * (n - c) / n**3 - 2 * rest * there[i] * c / n**2
            assert spread[k, j] == pytest.approx(math.sqrt(max(variance, 0)), abs=1e-9)


lives = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from([None, "moved", "price"]), st.integers(0, 4)), min_size=2, max_size=12
)


@given(lives, st.integers(0, 4), st.integers(1, 4))
def test_causes_for_those_still_there_are_those_of_who_was(rows, after, ahead):
    """Conditional on being there at a time: the same as of the customers who entered then."""
    duration, cause = np.array([row[0] for row in rows], float), [row[1] for row in rows]
    entry = np.minimum([float(row[2]) for row in rows], duration - 1)
    if not any(cause):
        with pytest.raises(DataError, match="none of"):
            SurvivalChurn("aj").fit(None, duration, cause, entry=entry)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AttribWarning)
        fitted = SurvivalChurn("aj").fit(None, duration, cause, entry=entry)
        found = fitted.predict_causes(None, ahead, [float(after)]).row(0, named=True)
        total = fitted.predict_churn(None, ahead, [float(after)])[0]
        one = fitted.incidence([after + ahead], conditional_after=after)
    survival = fitted.predict_survival(None, [after])[0, 0] if after <= fitted.longest_ else None
    later = [i for i, d in enumerate(duration) if d > after]
    emptied = math.isnan(fitted.predict_survival(None, [fitted.longest_])[0, 0])  # while others came later
    if (
        survival == 0
        or (survival is None and fitted.baseline_["survival"].min() == 0)
        or (emptied and math.isnan(total))
    ):
        assert all(math.isnan(chance) for chance in found.values())
        return
    assert sum(found.values()) == pytest.approx(total)
    if not any(cause[i] for i in later):
        assert sum(found.values()) == pytest.approx(0)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AttribWarning)
        wanted = cumulative_incidence(
            duration[later], [cause[i] for i in later], at=[after + ahead], entry=np.maximum(entry[later], after)
        )
    for name, incidence, low, high in wanted.drop("time", "one_minus_km").iter_rows():
        if incidence is None:  # nobody was at risk then: the prediction is a lower bound, with a warning
            continue
        assert found[name] == pytest.approx(incidence)
        assert one.filter(cause=name)["incidence"][0] == pytest.approx(incidence)
        mine = one.filter(cause=name).select("incidence_low", "incidence_high").row(0)
        assert [m if m is None else pytest.approx(m) for m in mine] == [low, high]


def test_conditional_causes_add_up_for_each_customer():
    fitted = SurvivalChurn("aalen_johansen", horizon=4).fit(X, DURATION, WHY)
    frame = X.with_columns(tenure=np.arange(300) % 12)
    found = fitted.predict_causes(frame, conditional_after="tenure")
    assert found.columns == ["moved", "price", "rival"]
    np.testing.assert_allclose(found.sum_horizontal(), fitted.predict_churn(frame, conditional_after="tenure"))
    one = fitted.incidence([9], conditional_after=5)["incidence"].to_list()
    assert found.row(5) == pytest.approx(one)


def test_only_competing_risks_know_causes():
    fitted = SurvivalChurn("km").fit(None, DURATION, LEFT)
    for call in (fitted.incidence, lambda: fitted.predict_causes(None, 3)):
        with pytest.raises(SpecError, match="knows no causes") as error:
            call()
        assert error.value.key == "no_causes"
    with pytest.raises(DataError, match="true or false"):
        SurvivalChurn().fit(X, DURATION, WHY.astype(str))
    with pytest.warns(AttribWarning, match="nobody was at risk then, and some had not left"):
        SurvivalChurn("aj").fit(None, DURATION, WHY).incidence([30])
    with pytest.warns(AttribWarning, match="beyond the longest duration"):
        SurvivalChurn("aj").fit(None, DURATION, WHY).predict_causes(None, 30)


def test_stored_causes_are_checked():
    fitted = SurvivalChurn("aj").fit(None, DURATION, WHY)
    plain, arrays = fitted.state()
    counts = arrays["by_cause"]
    assert SurvivalChurn.from_state(plain, arrays).incidence().equals(fitted.incidence())
    for broken, more in (
        ({}, {"by_cause": counts[:2]}), ({}, {"by_cause": counts + 1}), ({}, {"by_cause": counts * np.nan}),
        ({}, {"by_cause": -counts}), ({}, {"by_cause": counts.astype(int)}), ({"causes": None}, {}),
        ({"causes": ["a", "a", "b"]}, {}), ({"causes": [["a"], "b", "c"]}, {}), ({"causes": ["a"]}, {}),
        ({"model": "cox"}, {}), ({"model": 3}, {}),
    ):  # fmt: skip
        with pytest.raises(DataError) as error:
            SurvivalChurn.from_state(plain | broken, arrays | more)
        assert error.value.key == "bad_model"
    del arrays["by_cause"]
    with pytest.raises(DataError, match="causes do not fit"):
        SurvivalChurn.from_state(plain, arrays)
    for name in ("km", "cox"):  # as it was stored before there was a name beside the parameters
        older = SurvivalChurn(name).fit(X, DURATION, LEFT)
        plain, arrays = older.state()
        del plain["model"]
        np.testing.assert_array_equal(SurvivalChurn.from_state(plain, arrays).risk(X), older.risk(X))


@pytest.mark.real_data
def test_reasons_of_the_telco_customers(shared_data):
    table = pl.read_csv(shared_data / "telco_churn_referrals.csv", infer_schema_length=None)
    duration, cause = table["Tenure in Months"].cast(pl.Float64), table["Churn Category"]
    fitted = SurvivalChurn("competing_risks").fit(None, duration, cause)
    row = fitted.incidence([72]).row(by_predicate=pl.col("cause") == "Competitor", named=True)
    assert row["incidence"] == pytest.approx(0.18486, abs=5e-6)
    assert 0.005 < row["standard_error"] < 0.015
