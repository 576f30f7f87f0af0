"""Order values with a heavy tail: where Gamma-Gamma has no mean, no infinite number is given out, and it says so."""

from __future__ import annotations

import json
import math
import re
import warnings
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from scipy.stats import gamma as gamma_distribution

from attrib import modelling
from attrib.errors import AttribWarning, DataError, SpecError
from attrib.lifecycle import BetaGeoNBD, GammaGamma, lifetime_value


def orders(q, n=1_500, seed=0, p=2.0, v=8.0):
    """Frequencies and mean order values of customers."""
    random = np.random.default_rng(seed)
    x = random.integers(1, 6, n)
    return x, random.gamma(p * x) / (random.gamma(q, 1 / v, n) * x)


def of(p, q, v, pooled=43.0, **options):
    model = GammaGamma(**options)
    model.params_, model.pooled_mean_, model.pooled_error_ = {"p": p, "q": q, "v": v}, pooled, 4.0
    return model


def test_fit_says_that_there_is_no_mean_what_stands_in_and_what_to_do():
    x, m = orders(0.7)
    with pytest.warns(
        AttribWarning, match=r"q = 0\.\d+ is at most 1: the mean order value of new customers is infinite"
    ) as told:
        fitted = GammaGamma().fit(x, m)
    assert fitted.pooled_mean_ == pytest.approx((x * m).sum() / x.sum())
    text = str(told[0].message)
    assert f"the mean of all repeat orders, {fitted.pooled_mean_:,.2f}, stands in its place" in text
    # both ways out can be followed, and lead further
    cap = float(re.search(r"cap=([\d.e+]+)", text).group(1))
    assert "no_mean='median'" in text
    with warnings.catch_warnings(record=True) as again:
        warnings.simplefilter("always")
        capped = GammaGamma(cap=cap).fit(x, m)
    assert capped.params_["q"] > fitted.params_["q"]
    assert capped.pooled_mean_ < fitted.pooled_mean_
    assert all("infinite" in str(one.message) for one in again)
    with pytest.warns(AttribWarning, match="the median of the model stands in its place"):
        GammaGamma(no_mean="median").fit(x, m)


@pytest.mark.parametrize("q", [1.001, 1.1, 1.2])
def test_barely_above_1_the_mean_is_told_to_be_unstable(q):
    fitted = of(2.0, q, 8.0)
    fitted.standard_errors_ = {"q": 0.1}
    with pytest.warns(AttribWarning, match=r"barely above 1.*unstable.*mean of all repeat orders is 43\.00.*cap=99"):
        fitted._tell(99.0)
    fitted.params_["q"] = 1.21
    fitted._tell(99.0)


def test_what_stands_in_for_a_mean_that_does_not_exist():
    model = of(0.2, 0.5, 3.0)  # p·x + q is at most 1 up to x = 2
    with pytest.warns(AttribWarning, match="3 of 4 customers have no mean order value"):
        found = model.expected_value([0, 1, 2, 50], [None, 4.0, 4.0, 4.0])
    assert found[:3].tolist() == [43.0] * 3
    assert found[3] == pytest.approx(0.2 * (3 + 200) / (0.2 * 50 - 0.5))
    with pytest.warns(AttribWarning, match="the median of the model"):
        median = of(0.2, 0.5, 3.0, no_mean="median").expected_value([0, 1], [None, 4.0])
    wanted = [0.2 / gamma_distribution(q, scale=1 / v).median() for q, v in ((0.5, 3.0), (0.7, 7.0))]
    assert median == pytest.approx(wanted)
    with pytest.warns(AttribWarning):
        assert of(0.2, 0.5, 3.0).expected_value(0, None) == 43.0


@pytest.mark.parametrize("q", [1e-6, 0.01, 0.5, 1.0])
@pytest.mark.parametrize("no_mean", ["pooled", "median"])
def test_no_number_is_infinite_however_heavy_the_tail(q, no_mean):
    with pytest.warns(AttribWarning, match="stands in its place"):
        found = of(1e-3, q, 8.0, no_mean=no_mean).expected_value([0, 1, 5], [None, 1.0, 7.0])
    assert np.isfinite(found).all()
    assert (found > 0).all()


def test_a_cap_holds_in_fits_and_in_what_is_expected():
    x, m = orders(4.0)
    cap = float(np.quantile(m, 0.9))
    capped = GammaGamma(cap=cap).fit(x, m)
    assert capped.params_ == GammaGamma().fit(x, np.minimum(m, cap)).params_
    assert (capped.expected_value(x, m) == capped.expected_value(x, np.minimum(m, cap))).all()
    for options, words in (
        ({"cap": 0}, "cap = 0"),
        ({"cap": "5"}, "cap = '5'"),
        ({"no_mean": "mode"}, "pooled, median"),
    ):
        with pytest.raises(SpecError, match=words):
            GammaGamma(**options).fit(x, m)


def test_saved_with_what_stands_in_and_older_models_still_load():
    x, m = orders(0.7)
    with pytest.warns(AttribWarning):
        fitted = GammaGamma(cap=1e9).fit(x, m)
    plain, arrays = fitted.state()
    again = GammaGamma.from_state(json.loads(json.dumps(plain)), arrays)
    assert (again.cap, again.no_mean) == (1e9, "pooled")
    with pytest.warns(AttribWarning):
        assert again.expected_value(0, None) == fitted.pooled_mean_
    old = {key: value for key, value in plain.items() if not key.startswith("pooled")} | {"parameters": {}}
    with pytest.warns(AttribWarning, match="the median of the model"):
        assert np.isfinite(GammaGamma.from_state(old, arrays).expected_value(0, None))
    for broken in ({"pooled_mean": -1.0}, {"pooled_mean": "x"}, {"parameters": {"cap": -1}}):
        with pytest.raises(DataError, match="no saved GammaGamma"):
            GammaGamma.from_state(plain | broken, arrays)


HISTORY = {
    "frequency": [2, 1, 0, 0, 7, 1, 0, 3, 12, 0] * 20,
    "recency": [30.4, 1.7, 0, 0, 36.4, 5.0, 0, 14.1, 31.0, 0] * 20,
    "T": [38.9, 38.9, 38.9, 30.1, 38.9, 38.9, 21.6, 38.9, 35.2, 31.3] * 20,
}


def test_lifetime_values_are_finite_and_the_pooled_mean_varies_in_their_intervals():
    buying = BetaGeoNBD().fit(**HISTORY)
    with pytest.warns(AttribWarning):
        worth = GammaGamma().fit(*orders(0.7))
    spent = [20.0] * 200
    with pytest.warns(AttribWarning, match="80 of 200 customers have no mean order value"):
        found = lifetime_value(buying, worth, **HISTORY, monetary=spent, horizon=26, draws=100)
    once = found.customers.filter(np.array(HISTORY["frequency"]) == 0)
    assert (once["order_value"] == worth.pooled_mean_).all()
    numbers = found.customers.select("order_value", "value", "low", "high").to_numpy()
    assert np.isfinite(numbers).all()
    assert found.total.select("value", "low", "high").row(0) == pytest.approx(found.total.row(0)[1:4], nan_ok=False)
    # as wide as both errors together
    spread = np.log(once["high"][0] / once["low"][0]) / (2 * 1.96)
    ahead = np.log([
        BetaGeoNBD._if_alive(tuple(values), np.array(26.0), np.zeros(1), np.array([38.9]))[0]
        for values in buying.draws(400, 0)
    ]).std()  # fmt: skip
    assert spread == pytest.approx(math.hypot(ahead, worth.pooled_error_ / worth.pooled_mean_), rel=0.35)


def test_ends_of_intervals_that_would_be_infinite_are_null_and_told():
    buying = BetaGeoNBD().fit(**HISTORY)
    worth = of(2.0, 1.05, 8.0)
    worth.covariance_, worth.standard_errors_ = np.diag([0.01, 0.04, 0.01]), {"q": 0.2}
    with pytest.warns(
        AttribWarning, match="the upper end of the interval of 80 of 200 lifetime values and of their total"
    ):
        found = lifetime_value(buying, worth, **HISTORY, monetary=[20.0] * 200, horizon=26, draws=100)
    once = np.array(HISTORY["frequency"]) == 0
    assert found.customers["high"].is_null().to_numpy().tolist() == once.tolist()
    assert found.customers["low"].null_count() == 0
    assert found.total["high"].item() is None
    assert found.customers["value"].is_finite().all()


@pytest.mark.parametrize("holdout", ["true", "false"])
@pytest.mark.parametrize("no_mean", ["pooled", "median"])
def test_the_commands_fit_judge_and_score_heavy_tails(tmp_path, holdout, no_mean):
    random, rows = np.random.default_rng(0), []
    for customer in range(600):
        rate, leaves, scale = random.gamma(1.2, 1 / 8), random.beta(0.8, 2.5), random.gamma(0.7, 1 / 8)
        now = random.uniform(0, 20)
        while now < 52:
            rows.append((customer, datetime.fromisoformat("2024-01-01") + timedelta(weeks=now), "purchase",
                         random.gamma(2.0) / scale + 0.01))  # fmt: skip
            if random.random() < leaves:
                break
            now += random.exponential(1 / rate)
    table = pl.DataFrame(rows, schema=["customer_id", "timestamp", "outcome", "value"], orient="row")
    table.write_parquet(tmp_path / "o.parquet")
    table.select("customer_id", "timestamp", channel=pl.lit("ad")).write_parquet(tmp_path / "t.parquet")
    (tmp_path / "job.toml").write_text('[input]\ntouchpoints = "t.parquet"\noutcomes = "o.parquet"\n')
    (tmp_path / "m.toml").write_text(
        f'name = "m"\nestimator = "gamma_gamma"\n[parameters]\nno_mean = "{no_mean}"\n'
        f'[purchases]\nhorizon = "60d"\nholdout = {holdout}\n'
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AttribWarning)
        fitted = modelling.fit(tmp_path / "m.toml", tmp_path / "job.toml", tmp_path / "saved")
        scored = modelling.score(tmp_path / "saved", tmp_path / "job.toml", tmp_path / "scores")
    assert any("infinite" in note for note in fitted.warnings)
    assert any("infinite" in note for note in scored.warnings)
    assert ("metrics" in fitted.tables) == (holdout == "true")
    assert scored.tables["scores"]["score"].is_finite().all()


@pytest.mark.parametrize("q", [0.3, 0.6, 0.9])
def test_parameters_are_found_where_the_values_have_no_mean(q):
    """Means of customers then spread over many powers of ten: the fit must not begin at theirs."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        x = 1 + rng.poisson(1.0, 1500)
        m = np.maximum(rng.gamma(2.0 * x) / (rng.gamma(q, 1 / 8.0, 1500) * x), 0.01)
        with pytest.warns(AttribWarning, match="is at most 1|is barely above 1"):
            fitted = GammaGamma().fit(x, m)
        for name, true in zip("pqv", (2.0, q, 8.0), strict=True):
            assert abs(fitted.params_[name] - true) < 4 * fitted.standard_errors_[name]
