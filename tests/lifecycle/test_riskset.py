"""Customers at risk: each estimate beside its slow twin, and beside lifelines where that knows it."""

import math
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from attrib.errors import AttribWarning, DataError, SpecError
from attrib.lifecycle import SurvivalChurn, calibration_at, cumulative_incidence
from attrib.lifecycle.contractual.riskset import RiskTable, entries, step
from attrib.lifecycle.judging.pairs import Pairs, concordance

lives = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from([None, "moved", "price"]), st.integers(0, 4), st.integers(0, 3)),
    min_size=1,
    max_size=12,
)


def columns(rows):
    """Duration, cause, entry before duration, risk."""
    duration = np.array([row[0] for row in rows], float)
    return duration, [row[1] for row in rows], np.minimum([float(row[2]) for row in rows], duration - 1), rows


@given(lives, st.booleans())
def test_kaplan_meier_customer_by_customer(rows, late):
    duration, cause, entry, _ = columns(rows)
    event = np.array([c is not None for c in cause])
    table = RiskTable.of(duration, event, entry if late else None)
    survival, hazard, variance = 1.0, 0.0, 0.0
    for j, t in enumerate(sorted(set(duration[event]))):
        n = sum(d >= t and (not late or e < t) for d, e in zip(duration, entry, strict=True))
        d = sum((duration == t) & event)
        survival, hazard = survival * (1 - d / n), hazard + d / n
        variance = variance + d / (n * (n - d)) if n > d else math.inf
        assert (table.times[j], table.at_risk[j], table.left[j]) == (t, n, d)
        assert table.survival()[j] == pytest.approx(survival)
        assert table.hazard()[j] == pytest.approx(hazard)
        low, high = (bound[j] for bound in table.interval())
        if 0 < survival < 1 and variance < math.inf:
            width = 1.959963984540054 * math.sqrt(variance) / math.log(survival)
            assert low == pytest.approx(survival ** math.exp(-width))
            assert high == pytest.approx(survival ** math.exp(width))
        assert 0 <= low <= survival + 1e-12
        assert survival - 1e-12 <= high <= 1


def test_kaplan_meier_of_lifelines():
    from lifelines import KaplanMeierFitter

    random = np.random.default_rng(1)
    duration, event = random.integers(1, 20, 300).astype(float), random.random(300) < 0.6
    with np.errstate():
        theirs = KaplanMeierFitter().fit(duration, event)
    table = RiskTable.of(duration, event)
    np.testing.assert_allclose(table.survival(), theirs.predict(table.times), rtol=1e-12)
    low, high = table.interval()
    bounds = theirs.confidence_interval_.loc[table.times].to_numpy()
    np.testing.assert_allclose(np.column_stack([low, high])[:-1], bounds[:-1], rtol=1e-12)


@given(lives, st.booleans())
def test_incidence_customer_by_customer(rows, late):
    duration, cause, entry, _ = columns(rows)
    if not any(cause):
        with pytest.raises(DataError, match="left"):
            cumulative_incidence(duration, cause)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AttribWarning)
        found = cumulative_incidence(duration, cause, at=range(8), entry=entry if late else None)
    for t, null in enumerate(found.filter(cause=found["cause"][0])["incidence"].is_null()):
        # null before anybody was watched, and beyond the longest duration unless all had left
        if t > max(duration) or (late and t < min(entry)):
            last = [c for c, d in zip(cause, duration, strict=True) if d == max(duration)]
            assert null or (t > max(duration) and all(last))
        elif not late:
            assert not null
    for name in sorted({c for c in cause if c}):
        there, alone, incidence = 1.0, 1.0, 0.0
        for t, row in enumerate(found.filter(cause=name).iter_rows(named=True)):
            n = sum(d >= t and (not late or e < t) for d, e in zip(duration, entry, strict=True))
            gone = [c for c, d in zip(cause, duration, strict=True) if c and d == t]
            if gone:
                incidence += there * gone.count(name) / n
                alone *= 1 - gone.count(name) / n
                there *= 1 - len(gone) / n
            assert row["time"] == t
            if row["incidence"] is None:
                continue
            assert row["incidence"] == pytest.approx(incidence)
            assert row["one_minus_km"] == pytest.approx(1 - alone)
            assert row["one_minus_km"] >= row["incidence"] - 1e-12
            if row["incidence_low"] is not None:
                assert 0 <= row["incidence_low"] <= row["incidence"] + 1e-12 <= row["incidence_high"] + 2e-12
    known = found.drop_nulls("incidence").filter(pl.col("time") == pl.col("time").max())
    if known.is_empty():
        return
    table = RiskTable.of(duration, np.array([c is not None for c in cause]), entry if late else None)
    if late and (table.survival()[:-1] == 0).any():  # nobody was left, and others came
        return
    there = step(table.times, table.survival(), known["time"].to_numpy()[:1], 1.0)[0]
    assert known["incidence"].sum() == pytest.approx(1 - there)


def test_incidence_of_lifelines_where_nothing_is_tied():
    from lifelines import AalenJohansenFitter

    random = np.random.default_rng(2)
    duration, cause = random.exponential(size=200), random.integers(0, 3, 200)
    with np.errstate():
        theirs = AalenJohansenFitter(calculate_variance=True).fit(duration, cause, event_of_interest=2)
    found = (
        cumulative_incidence(duration, pd.Series(cause).where(cause > 0))
        .filter(cause=2)
        .filter(pl.col("incidence") > 0)
    )
    at = found["time"].to_numpy()
    np.testing.assert_allclose(found["incidence"], theirs.cumulative_density_.loc[at].to_numpy().ravel(), rtol=1e-10)
    bounds = np.sort(theirs.confidence_interval_.loc[at].to_numpy(), axis=1)
    np.testing.assert_allclose(found.select("incidence_low", "incidence_high").to_numpy(), bounds, rtol=1e-8)


def test_causes_come_in_any_shape():
    wanted = cumulative_incidence([1, 2, 3], pl.Series(["a", None, "b"])).rows()
    texts = ["a", math.nan, "b"]
    for cause in (texts, tuple(texts), np.array(texts, object), pd.Series(texts), pd.Categorical(["a", None, "b"])):
        assert cumulative_incidence(pd.Series([1, 2, 3]), cause).rows() == wanted
    for cause in ([7, None, 8], [7, 0, 8], pd.Series([7, None, 8])):
        assert cumulative_incidence([1, 2, 3], cause)["cause"].to_list() == [7, 7, 8, 8]


def test_the_incidence_is_covered():
    """Two constant hazards: the truth of cause 1 at t is a / (a + b) × (1 − exp(−(a + b) t))."""
    random = np.random.default_rng(3)
    truth, inside = 0.6 * (1 - math.exp(-0.5)), 0
    for _ in range(300):
        a, b, c = random.exponential(1 / 0.3, 200), random.exponential(1 / 0.2, 200), random.exponential(4, 200)
        first = np.minimum(a, np.minimum(b, c))
        cause = np.where(first == c, None, np.where(first == a, "a", "b"))
        row = cumulative_incidence(first, cause, at=[1]).filter(cause="a").row(0, named=True)
        inside += row["incidence_low"] <= truth <= row["incidence_high"]
    assert 0.91 <= inside / 300 <= 0.985


@given(lives, st.booleans(), st.integers(0, 99))
def test_concordance_pair_by_pair(rows, late, seed):
    duration, cause, entry, _ = columns(rows)
    event, risk = np.array([c is not None for c in cause]), np.array([float(row[3]) for row in rows])
    weight, early = np.random.default_rng(seed).integers(0, 3, (2, len(rows))) / 2
    good = pairs = heavy = all_heavy = 0.0
    for i in np.flatnonzero(event):
        for j in range(len(rows)):
            outlasts = duration[j] > duration[i] or (duration[j] == duration[i] and not event[j])
            if outlasts and (not late or entry[j] < duration[i]):
                pairs += 1
                good += (right := (risk[j] < risk[i]) + (risk[j] == risk[i]) / 2)
                all_heavy += (both := weight[i] * early[i] * weight[j])
                heavy += both * right
    (weighted,) = Pairs(duration, event, risk, entry if late else None).concordance(weight, early)
    assert weighted == pytest.approx(heavy / all_heavy if all_heavy else math.nan, nan_ok=True)
    if pairs:
        assert concordance(risk, duration, event, entry if late else None) == pytest.approx(good / pairs)
    else:
        with pytest.warns(AttribWarning, match="no two customers"):
            assert math.isnan(concordance(risk, duration, event, entry if late else None))


def test_concordance_of_lifelines():
    from lifelines.utils import concordance_index

    random = np.random.default_rng(4)
    duration, event = random.integers(1, 40, 1000).astype(float), random.random(1000) < 0.5
    risk = random.integers(0, 50, 1000) - duration / 2
    assert concordance(risk, duration, event) == pytest.approx(concordance_index(duration, -risk, event), abs=1e-12)


def test_calibration_counts_the_censored():
    random = np.random.default_rng(5)
    chance = random.choice([0.1, 0.3, 0.5, 0.8], 20_000)
    leaves, seen = random.exponential(-1 / np.log(1 - chance)), random.exponential(2, 20_000)
    table = calibration_at(chance, np.minimum(leaves, seen), leaves <= seen, 1, bins=20)
    assert table["predicted"].round(6).to_list() == [0.1, 0.3, 0.5, 0.8]
    assert table["customers"].sum() == 20_000
    assert (table["observed"] - table["predicted"]).abs().max() < 0.02
    inside = (table["observed_low"] <= table["predicted"]) & (table["predicted"] <= table["observed_high"])
    assert inside.sum() >= 3
    short = calibration_at([0.1, 0.2], [1, 5], [False, False], 4, bins=2)
    assert short["observed"].to_list() == [None, 0.0]


def test_bad_values_are_named():
    for call, key in (
        (lambda: entries([1.0], np.ones(1)), "entry_after_duration"),
        (lambda: entries([-1.0], np.ones(1)), "bad_value"),
        (lambda: calibration_at([1.5], [1], [True], 1), "bad_value"),
        (lambda: cumulative_incidence([1.0], ["a", "b"]), "different_lengths"),
        (lambda: cumulative_incidence(["a"], ["a"]), "bad_dtype"),
        (lambda: cumulative_incidence([1, math.inf], ["a", "b"]), "bad_value"),
    ):
        with pytest.raises(DataError) as error:
            call()
        assert error.value.key == key
    with pytest.raises(SpecError, match="level"):
        cumulative_incidence([1.0], ["a"], level=95)


@pytest.mark.real_data
def test_competitors_take_fewer_than_one_minus_kaplan_meier_says(shared_data):
    table = pl.read_csv(shared_data / "telco_churn_referrals.csv", infer_schema_length=None)
    duration, cause = table["Tenure in Months"].cast(pl.Float64), table["Churn Category"]
    found = cumulative_incidence(duration, cause, at=[72])
    row = found.row(by_predicate=pl.col("cause") == "Competitor", named=True)
    assert row["one_minus_km"] == pytest.approx(0.211, abs=5e-4)
    # 0.188 is what lifelines finds at one seed: it parts ties at random (0.183 to 0.189), and months are full of them
    assert row["incidence"] == pytest.approx(0.18486, abs=5e-6)
    left = cause.is_not_null().to_numpy()
    everything = 1 - RiskTable.of(duration.to_numpy(), left).survival()[-1]
    assert found["incidence"].sum() == pytest.approx(everything, abs=1e-12)


@pytest.mark.real_data
def test_where_the_published_incidence_comes_from(shared_data):
    from lifelines import AalenJohansenFitter

    table = pl.read_csv(shared_data / "telco_churn_referrals.csv", infer_schema_length=None)
    names = ["Competitor", "Attitude", "Dissatisfaction", "Other", "Price"]
    code = table["Churn Category"].replace_strict(names, range(1, 6), default=0).to_numpy()
    found = []
    for seed in range(3):
        fitter = AalenJohansenFitter(calculate_variance=False, seed=seed)
        with np.errstate(), pytest.warns(Warning, match="randomly jittered"):
            fitter.fit(table["Tenure in Months"].to_numpy(), code, event_of_interest=1)
        found.append(float(fitter.predict(72)))
    assert found[0] == pytest.approx(0.188, abs=5e-4)
    assert max(found) - min(found) > 0.004


def test_entry_at_the_beginning_is_no_late_entry():
    """Some leave at time 0: whoever was there from the beginning was at risk then."""
    random = np.random.default_rng(8)
    duration = random.integers(0, 6, 300).astype(float)
    cause = np.where(random.random(300) < 0.6, random.choice(["a", "b"], 300), None)
    left, none = np.array([c is not None for c in cause]), np.zeros(300)
    assert (left & (duration == 0)).sum() > 10
    with_entry = cumulative_incidence(duration, cause, entry=none)
    assert_frame_equal(with_entry, cumulative_incidence(duration, cause))
    X = pl.DataFrame({"x": random.normal(size=300)})
    for model in ("kaplan_meier", "cox"):
        fits = [
            SurvivalChurn(model).fit(None if model == "kaplan_meier" else X, duration, left, entry=entry)
            for entry in (None, none)
        ]
        rows = None if model == "kaplan_meier" else X[:5]
        plain, entered = (fit.predict_survival(rows, [0.0, 2.0], level=0.95) for fit in fits)
        assert_frame_equal(plain, entered, rel_tol=1e-9)
        assert plain["survival"][0] < 1
    assert fits[1].score(X, duration, left, entry=none) == fits[0].score(X, duration, left)
    # one who enters later is at risk neither at 0 nor until then
    later = np.where(np.arange(300) < 3, 1.0, 0.0)
    some = np.maximum(duration, 2 * later)
    at_zero = cumulative_incidence(some, cause, entry=later, at=[0])
    gone = (left & (some == 0)).sum()
    assert at_zero["incidence"].sum() == pytest.approx(gone / 297)
    # parametric models know nobody who leaves at once, but those who were last seen then
    for model in ("weibull", "lognormal"):
        seen = left & (duration > 0)
        fits = [SurvivalChurn(model).fit(X, duration, seen, entry=entry) for entry in (None, none)]
        np.testing.assert_allclose(fits[1].predict_churn(X[:5], 2), fits[0].predict_churn(X[:5], 2), rtol=1e-5)
