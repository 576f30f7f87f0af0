"""BG/NBD and Gamma-Gamma: the published digits, and slow integrals over the customers' own rates as twins."""

from __future__ import annotations

import json
import math
from datetime import timedelta

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.stats import beta as beta_distribution
from scipy.stats import gamma as gamma_distribution

from attrib.errors import AttribWarning, DataError, SolveError, SpecError
from attrib.lifecycle import BetaGeoNBD, GammaGamma, lifetime_value
from attrib.lifecycle.buying.histories import Histories
from attrib.lifecycle.buying.order_values import _gamma_gamma


def likelihood(histories, theta):
    """Log-likelihood of BG/NBD over all customers, and its gradient."""
    each, slopes = BetaGeoNBD._rows(theta, histories, "nobody")
    return histories.n @ each, slopes @ histories.n


CDNOW = (0.2425929, 4.4135316, 0.7928861, 2.4257534)


def model(r=CDNOW[0], alpha=CDNOW[1], a=CDNOW[2], b=CDNOW[3]):
    found = BetaGeoNBD()
    found.params_ = {"r": r, "alpha": alpha, "a": a, "b": b}
    return found


def spending(p=6.25, q=3.74, v=15.44):
    found = GammaGamma()
    found.params_ = {"p": p, "q": q, "v": v}
    return found


def simulate(seed, n, r=0.5, alpha=6.0, a=0.8, b=2.5, days=40.0):
    """Customers as the model says, purchase by purchase."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        rate, drop, end = random.gamma(r, 1 / alpha), random.beta(a, b), random.uniform(days / 2, days)
        time, x, last = 0.0, 0, 0.0
        while True:
            time += random.exponential(1 / rate) if rate > 0 else math.inf
            if time > end:
                break
            x, last = x + 1, time
            if random.uniform() < drop:
                break
        rows.append((x, last, end))
    return [np.array(column) for column in zip(*rows, strict=True)]


@pytest.fixture(scope="module")
def cdnow(shared_data):
    table = pl.read_csv(shared_data / "cdnow_summary.csv")
    return table["frequency"], table["recency"], table["T"]


# --- the published digits --------------------------------------------------------------------------------------------


def test_cdnow_gives_the_published_parameters(cdnow):
    fitted = BetaGeoNBD().fit(*cdnow)
    assert {name: round(value, 3) for name, value in fitted.params_.items()} == {
        "r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426
    }  # fmt: skip
    assert round(fitted.log_likelihood_, 1) == -9582.4
    assert fitted.expected_purchases(39, [2], [30.43], [38.86])[0] == pytest.approx(1.226, abs=5e-4)
    # standard errors by differences of the likelihood itself, not of its gradient
    histories = Histories(*(c.to_numpy().astype(float) for c in cdnow))
    theta, h = np.log([*fitted.params_.values()]), 2e-3
    second = np.empty((4, 4))
    for i, j in np.ndindex(4, 4):
        ei, ej = h * np.eye(4)[i], h * np.eye(4)[j]
        corners = [(theta + s * ei + t * ej, s * t) for s in (1, -1) for t in (1, -1)]
        second[i, j] = sum(sign * likelihood(histories, at)[0] for at, sign in corners) / (4 * h * h)
    errors = np.exp(theta) * np.sqrt(np.diag(np.linalg.inv(-second)))
    assert [*fitted.standard_errors_.values()] == pytest.approx(errors, rel=1e-3)


@pytest.mark.parametrize("unit", [7.0, 7 * 86_400.0, 1 / 52])
def test_the_time_unit_changes_alpha_only(cdnow, unit):
    weeks = BetaGeoNBD().fit(*cdnow).params_
    other = BetaGeoNBD().fit(cdnow[0], cdnow[1] * unit, cdnow[2] * unit).params_
    assert other == {name: pytest.approx(v * (unit if name == "alpha" else 1), rel=1e-7) for name, v in weeks.items()}


def test_the_order_of_customers_and_the_kind_of_column_change_nothing(cdnow):
    x, recency, T = (column.to_list()[:600] for column in cdnow)
    first = BetaGeoNBD().fit(x, recency, T)
    backwards = BetaGeoNBD().fit(pd.Series(x[::-1]), pl.Series(recency[::-1]), np.array(T[::-1]))
    assert backwards.params_ == first.params_


# --- twins -----------------------------------------------------------------------------------------------------------


def likelihood_by_hand(r, alpha, a, b, x, last, end):
    """Mean over rates and drop-outs of the likelihood of one customer (equation 3 of the paper)."""

    def of_rate(power, time):
        return quad(
            lambda rate: rate**power * math.exp(-rate * time) * gamma_distribution.pdf(rate, r, scale=1 / alpha),
            0, math.inf, epsabs=0, epsrel=1e-10, limit=500,
        )[0]  # fmt: skip

    def of_drop(power, left):
        def density(p):
            return p**left * (1 - p) ** power * beta_distribution.pdf(p, a, b)

        return quad(density, 0, 1, epsabs=0, epsrel=1e-10, limit=500)[0]

    alive = of_drop(x, 0) * of_rate(x, end)
    return alive + (of_drop(x - 1, 1) * of_rate(x, last) if x else 0.0)


@pytest.mark.parametrize("history", [(0, 0.0, 30.0), (1, 3.0, 30.0), (4, 20.0, 25.0), (2, 10.0, 10.0)])
@pytest.mark.parametrize("parameters", [(1.3, 4.4, 1.8, 2.4), (2.5, 10.0, 1.2, 1.1)])
def test_the_likelihood_is_the_integral_over_rates_and_drop_outs(history, parameters):
    x, last, end = (np.array([float(number)]) for number in history)
    found = likelihood(Histories(x, last, end), np.log(parameters))[0]
    assert found == pytest.approx(math.log(likelihood_by_hand(*parameters, *history)), rel=1e-7)


positive = st.floats(0.05, 20.0)


@given(
    positive,
    st.floats(0.01, 1e4),
    positive,
    positive,
    st.integers(0, 5_000),
    st.floats(0.5, 5e3),
    st.floats(0, 1),
    positive,
)
def test_expected_purchases_are_the_integral_over_drop_outs(r, alpha, a, b, x, end, share, ahead):
    """Of a customer alive: λ from Gamma(r + x, α + T), p from Beta(a, b + x); (1 − e^(−λpt)) / p purchases."""
    last = end * max(share, 1e-3) if x else 0.0
    u, n = ahead / (alpha + end), r + x

    def of_quantile(q):
        p = beta_distribution.ppf(q, a, b + x)
        return -math.expm1(-n * math.log1p(p * u)) / p if p > 0 else n * u

    alive = quad(of_quantile, 0, 1, epsabs=0, epsrel=1e-9, limit=200)[0]
    fitted = model(r, alpha, a, b)
    chance = fitted.p_alive([x], [last], [end])[0]
    assert fitted.expected_purchases(ahead, [x], [last], [end])[0] == pytest.approx(alive * chance, rel=1e-5)


@pytest.mark.parametrize(
    ("a", "b", "x"), [(1.0, 2.0, 3), (1.0 + 1e-7, 2.0, 3), (0.4, 0.6, 0), (0.4, 0.6 + 1e-9, 0), (0.3, 0.2, 0)]
)
def test_no_hole_where_the_formula_divides_by_0(a, b, x):
    def at(a, b):
        return model(0.5, 4.0, a, b).expected_purchases(20, [x], [10.0 if x else 0.0], [30.0])[0]

    assert at(a, b) == pytest.approx((at(a + 1e-3, b) + at(a - 1e-3, b)) / 2, rel=1e-5)


def test_p_alive_is_bayes_rule():
    r, alpha, a, b = CDNOW
    alive = math.log(1.0) + math.lgamma(b + 2) - math.lgamma(a + b + 2) - (r + 2) * math.log(alpha + 38.86)
    left = math.log(a) + math.lgamma(b + 1) - math.lgamma(a + b + 2) - (r + 2) * math.log(alpha + 30.43)
    assert model().p_alive([2], [30.43], [38.86])[0] == pytest.approx(1 / (1 + math.exp(left - alive)), rel=1e-12)
    assert model().p_alive([0], [0], [38.86])[0] == 1


def test_the_gradients_are_those_of_the_likelihoods():
    x, last, end = simulate(1, 200)
    theta = np.log([0.7, 5.0, 0.9, 3.0])
    histories = Histories(x.astype(float), last, end)
    numeric = approx_fprime(theta, lambda at: likelihood(histories, at)[0], 1e-6)
    assert likelihood(histories, theta)[1] == pytest.approx(numeric, rel=1e-3, abs=1e-2)
    count, mean = x[x > 0].astype(float), np.linspace(1, 90, int((x > 0).sum()))
    theta = np.log([4.0, 3.0, 20.0])
    numeric = approx_fprime(theta, lambda at: _gamma_gamma(at, count, mean)[0], 1e-6)
    assert _gamma_gamma(theta, count, mean)[1] == pytest.approx(numeric, rel=1e-3, abs=1e-2)


def test_simulated_customers_give_their_parameters_back_and_buy_as_foretold():
    x, last, end = simulate(3, 6_000)
    fitted = BetaGeoNBD().fit(x, last, end)
    for name, true in {"r": 0.5, "alpha": 6.0, "a": 0.8, "b": 2.5}.items():
        assert abs(fitted.params_[name] - true) < 4 * fitted.standard_errors_[name]
    # as many purchases as expected of new customers, within the noise of a sum
    ahead = fitted.expected_cumulative(end)
    assert x.sum() == pytest.approx(ahead.sum(), rel=0.05)


def test_thousands_of_purchases_in_days_or_seconds_stay_finite():
    fitted = model(0.3, 40.0, 0.7, 2.5)
    x, last, end = [3_000, 9_999, 1, 100_000], [3_000.0, 300.0, 2e9, 3e9], [3_001.0, 3_000.0, 3e9, 3e9]
    assert np.isfinite(fitted.expected_purchases(1e4, x, last, end)).all()
    assert fitted.p_alive(x, last, end) == pytest.approx([1, 0, 0.5, 1], abs=0.51)
    more = simulate(5, 300, r=3.0, alpha=0.004, a=0.02, b=30.0, days=1.0)
    assert more[0].max() > 500
    assert np.isfinite(BetaGeoNBD().fit(*more).log_likelihood_)


# --- Gamma-Gamma -----------------------------------------------------------------------------------------------------


def test_the_likelihood_of_mean_orders_is_the_integral_over_their_scales():
    p, q, v, x, m = 3.0, 2.5, 20.0, 4, 31.0
    density = quad(
        lambda nu: gamma_distribution.pdf(m, p * x, scale=1 / (nu * x)) * gamma_distribution.pdf(nu, q, scale=1 / v),
        0, np.inf, epsabs=0, epsrel=1e-10,
    )[0]  # fmt: skip
    found = _gamma_gamma(np.log([p, q, v]), np.array([float(x)]), np.array([m]))[0]
    assert found == pytest.approx(math.log(density), rel=1e-8)
    # and what is expected next, given the mean so far
    scale = gamma_distribution(p * x + q, scale=1 / (v + m * x))
    expected = quad(lambda nu: p / nu * scale.pdf(nu), 0, np.inf, epsabs=0, epsrel=1e-10)[0]
    assert spending(p, q, v).expected_value([x, 0], [m, None]) == pytest.approx([expected, p * v / (q - 1)], rel=1e-8)


def test_simulated_orders_give_their_parameters_back():
    random = np.random.default_rng(2)
    x = random.integers(1, 9, 8_000)
    scale = random.gamma(3.74, 1 / 15.44, len(x))
    fitted = GammaGamma().fit(x, random.gamma(6.25 * x) / (scale * x))
    for name, true in {"p": 6.25, "q": 3.74, "v": 15.44}.items():
        assert abs(fitted.params_[name] - true) < 4 * fitted.standard_errors_[name]
    assert abs(fitted.correlation_) < 0.05


def test_frequent_buyers_who_spend_more_are_warned_of():
    random = np.random.default_rng(0)
    x = random.integers(1, 9, 500)
    mean = x * random.gamma(3.0, 2.0, 500) / random.gamma(3.0, 1.0, 500)
    with pytest.warns(AttribWarning, match=r"correlate by 0\.\d\d among 500 repeat buyers"):
        GammaGamma().fit(x, mean)


# --- bad input, state ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (([1, 2], [1.0], [3.0, 3.0]), "recency has 1 values for 2 rows"),
        (([1.5], [1.0], [3.0]), "frequency is not a whole number in 1 of 1 rows"),
        (([-1], [1.0], [3.0]), "frequency is negative"),
        (([1], [4.0], [3.0]), "recency is greater than T"),
        (([1], [0.0], [3.0]), "recency is 0 although frequency is not"),
        (([0], [1.0], [3.0]), "recency is not 0 although frequency is"),
        (([1], [1.0], [math.inf]), "T is infinite"),
        (([1], [None], [3.0]), "recency is null in 1 of 1 rows"),
        ((["one"], [1.0], [3.0]), "frequency is String, not numbers"),
        (([[1]], [1.0], [3.0]), "frequency has 2 dimensions"),
        ((pl.Series([timedelta(1)]), [1.0], [3.0]), "frequency is Duration.*, not numbers"),
        ((pd.Series([1, None], dtype="Int64"), [1.0, 1.0], [3.0, 3.0]), "frequency is null"),
        (([], [], []), "no customer"),
        (([0, 0], [0, 0], [3.0, 3.0]), "no customer bought again"),
    ],
)
def test_bad_histories(columns, words):
    with pytest.raises(DataError, match=words):
        BetaGeoNBD().fit(*columns)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (([1, 2], [3.0, 0.0]), "monetary of repeat buyers is null or not above 0 in 1 of 2 rows"),
        (([1], [None]), "monetary of repeat buyers is null"),
        (([0], [None]), "no customer bought again"),
    ],
)
def test_bad_orders(columns, words):
    with pytest.raises(DataError, match=words):
        GammaGamma().fit(*columns)


def test_data_that_determine_nothing_are_refused():
    with pytest.raises(SolveError):
        BetaGeoNBD().fit([2] * 50, [5.0] * 50, [6.0] * 50)
    with pytest.raises(SolveError):
        GammaGamma().fit([1, 2, 3] * 9, [10.0] * 27)


def test_before_fit_and_bad_times():
    with pytest.raises(SpecError, match="not fitted"):
        BetaGeoNBD().p_alive([1], [1.0], [2.0])
    for ahead in (-1.0, math.nan):
        with pytest.raises(SpecError, match="t is not a finite time"):
            model().expected_purchases(ahead, [1, 1], [1.0, 1.0], [2.0, 2.0])
    with pytest.raises(DataError, match="t is negative in 1 of 2 rows"):
        model().expected_purchases([1.0, -1.0], [1, 1], [1.0, 1.0], [2.0, 2.0])
    with pytest.raises(DataError, match="t has 3 values for 2 rows"):
        model().expected_purchases([1.0, 2.0, 3.0], [1, 1], [1.0, 1.0], [2.0, 2.0])


def test_what_is_saved_predicts_the_same_to_the_bit():
    x, last, end = simulate(7, 800)
    fitted = BetaGeoNBD().fit(x, last, end)
    plain, arrays = fitted.state()
    again = BetaGeoNBD.from_state(json.loads(json.dumps(plain)), arrays)
    assert (again.expected_purchases(9.0, x, last, end) == fitted.expected_purchases(9.0, x, last, end)).all()
    assert (again.draws(5, seed=3) == fitted.draws(5, seed=3)).all()
    spent = np.random.default_rng(0).gamma(3.0, 9.0, len(x)) / np.random.default_rng(1).gamma(3.0, 1.0, len(x))
    worth = GammaGamma().fit(x, spent)
    plain, arrays = worth.state()
    assert (GammaGamma.from_state(plain, arrays).expected_value(x, spent) == worth.expected_value(x, spent)).all()
    for broken in ({}, plain | {"params": {"p": "x"}}, plain | {"params": {"p": -1, "q": 1, "v": 1}}):
        with pytest.raises(DataError, match="no saved GammaGamma"):
            GammaGamma.from_state(broken, arrays)


def test_scikit_learn_clones_them():
    from sklearn.base import clone

    assert repr(clone(BetaGeoNBD())) == "BetaGeoNBD()"
    assert not hasattr(clone(model()), "params_")


def test_a_single_customer_may_be_given_as_numbers():
    model = BetaGeoNBD().fit(*simulate(3, 2_000))
    many = model.expected_purchases(10, [2, 0], [12.0, 0.0], [30.0, 30.0])
    assert model.expected_purchases(10, 2, 12.0, 30.0) == many[0]
    assert np.ndim(model.expected_purchases(10, 2, 12.0, 30.0)) == 0
    assert model.p_alive(2, 12.0, 30.0) == model.p_alive([2], [12.0], [30.0])[0]
    steps = model.expected_purchases([5, 10], 2, 12.0, 30.0)
    assert steps.shape == (2,)
    assert steps[1] == many[0]
    spending = GammaGamma().fit(
        [2, 1, 7, 1, 2, 3, 1, 5, 4] * 20, [22.4, 120.0, 33.7, 5.8, 75.6, 40.1, 14.0, 8.2, 19.9] * 20
    )
    assert spending.expected_value(2, 30.0) == spending.expected_value([2], [30.0])[0]


def test_models_in_the_wrong_places_are_named():
    buying, spending = BetaGeoNBD(), GammaGamma()
    with pytest.raises(SpecError, match="bgnbd is a GammaGamma"):
        lifetime_value(spending, buying, [1], [2.0], [3.0], [4.0], 10)


# --- frames ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [pl.DataFrame, pl.LazyFrame, pd.DataFrame, dict])
def test_one_frame_stands_for_its_columns(make):
    columns = dict(zip(("frequency", "recency", "T"), simulate(1, 800), strict=True))
    table = make({"customer_id": np.arange(800), **columns})
    fitted = BetaGeoNBD().fit(table)
    assert fitted.params_ == BetaGeoNBD().fit(*columns.values()).params_
    assert np.array_equal(fitted.p_alive(table), fitted.p_alive(*columns.values()))
    assert np.array_equal(fitted.expected_purchases(9.0, table), fitted.expected_purchases(9.0, *columns.values()))

    spent = {
        "frequency": [2, 1, 7, 1, 2, 3, 1, 5, 4] * 20,
        "monetary": [22.4, 120, 33.7, 5.8, 75.6, 40, 14, 8.2, 20] * 20,
    }
    worth = GammaGamma().fit(make(spent))
    assert worth.params_ == GammaGamma().fit(**spent).params_
    assert np.array_equal(worth.expected_value(make(spent)), worth.expected_value(**spent))


def test_frames_that_do_not_serve():
    table = pl.DataFrame({"frequency": [1], "recency": [2.0]})
    for call, error, words in (
        (lambda: BetaGeoNBD().fit(table), DataError, "1 of 3 required columns is missing from customers: T"),
        (lambda: BetaGeoNBD().fit(table, [1.0]), SpecError, "columns are given beside a frame as frequency"),
        (
            lambda: BetaGeoNBD().fit([1], [1.0]),
            SpecError,
            "T: not given; pass the columns frequency, recency, T, or one",
        ),
        (lambda: model().p_alive(3), SpecError, "recency, T: not given"),
        (lambda: GammaGamma().fit(table), DataError, "missing from customers: monetary"),
        (lambda: GammaGamma().fit([1, 2]), SpecError, "monetary: not given"),
    ):
        with pytest.raises(error, match=words):
            call()
    assert spending().expected_value(0) == spending().expected_value(0, None)  # a customer without repeat purchase
