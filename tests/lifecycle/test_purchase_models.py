"""MBG/NBD and Pareto/NBD: published digits, slow integrals over customers as twins, and the choice among the three."""

from __future__ import annotations

import itertools
import json
import math
import warnings

import numpy as np
import polars as pl
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.stats import beta as beta_distribution
from scipy.stats import gamma as gamma_distribution

from attrib.errors import AttribWarning, DataError, SolveError, SpecError
from attrib.lifecycle import (
    BetaGeoNBD,
    GammaGamma,
    ModifiedBetaGeoNBD,
    ParetoNBD,
    PurchaseChoice,
    choose_purchase_model,
    lifetime_value,
    purchases_by_frequency,
)
from attrib.lifecycle.buying.histories import Histories
from attrib.lifecycle.buying.pareto import _left

THREE = (BetaGeoNBD, ModifiedBetaGeoNBD, ParetoNBD)
AHEAD = 26.0


def lived(how, n, seed, tells=0.0, r=1.2, alpha=8.0, a=1.2, b=0.8, s=0.8, beta=5.0):
    """Customers of a known kind: history until T, purchases in the time ahead, and who is there at T."""
    random, rows = np.random.default_rng(seed), []
    for _ in range(n):
        rate, drop, leaving = random.gamma(r, 1 / alpha), random.beta(a, b), random.gamma(s, 1 / beta)
        end = random.uniform(20, 52)
        gone = random.exponential(1 / leaving) if how is ParetoNBD else math.inf
        if how is ModifiedBetaGeoNBD and random.random() < drop:
            gone = 0.0
        times, now = [], random.exponential(1 / rate)
        while now < min(gone, end + AHEAD):
            times.append(now)
            if how is not ParetoNBD and random.random() < drop:
                gone = now
            now += random.exponential(1 / rate)
        before = [time for time in times if time <= end]
        told = random.random() < tells and gone <= end
        rows.append((len(before), before[-1] if before else 0.0, end, told, len(times) - len(before), gone > end))
    names = ["frequency", "recency", "T", "cancelled", "came", "alive"]
    return pl.DataFrame(rows, schema=names, orient="row")


def of(kind, *values):
    model = kind()
    model.params_ = dict(zip((*kind._names, "cancelling"), values, strict=False))
    return model


@pytest.fixture(scope="module")
def cdnow(shared_data):
    table = pl.read_csv(shared_data / "cdnow_summary.csv")
    return table.select("frequency", "recency", "T")


# --- published digits ------------------------------------------------------------------------------------------------


def test_pareto_nbd_of_cdnow_has_the_published_digits(cdnow):
    """Fader, Hardie & Lee (2005), Table 2; standard errors and P(alive) as the tests of CLVTools and BTYD have them."""
    fitted = ParetoNBD().fit(cdnow)
    assert fitted.params_ == {
        "r": pytest.approx(0.553, abs=5e-4), "alpha": pytest.approx(10.578, abs=2e-3),
        "s": pytest.approx(0.606, abs=5e-4), "beta": pytest.approx(11.669, abs=2e-3),
    }  # fmt: skip
    assert fitted.log_likelihood_ == pytest.approx(-9594.976, abs=5e-3)
    assert [*fitted.standard_errors_.values()] == pytest.approx([0.0476, 0.8427, 0.1873, 6.2105], rel=1e-3)
    assert fitted.p_alive(0, 0.0, 39.0) == pytest.approx(0.2941633, abs=2e-4)
    assert fitted.p_alive(23, 39.0, 39.0) == 1
    assert fitted.p_alive(cdnow).mean() == pytest.approx(0.4462, abs=2e-4)


def test_mbg_nbd_of_cdnow_has_the_published_digits(cdnow):
    """As BTYDplus prints them (demo of CDNOW), and its test suite and that of lifetimes repeat them."""
    fitted = ModifiedBetaGeoNBD().fit(cdnow)
    found = {name: round(value, 3) for name, value in fitted.params_.items()}
    assert found == {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614}


def test_expected_purchases_of_cdnow_by_frequency_are_the_published_ones(cdnow):
    """Means over customers with x = 0 … 5 in 39 weeks: the table in the CDNOW demo of BTYDplus."""
    published = {
        BetaGeoNBD: [0.23, 0.52, 1.04, 1.52, 2.16, 2.65],
        ModifiedBetaGeoNBD: [0.19, 0.55, 1.05, 1.49, 2.10, 2.56],
        ParetoNBD: [0.14, 0.60, 1.20, 1.71, 2.40, 2.91],
    }
    x = cdnow["frequency"].to_numpy()
    for kind, wanted in published.items():
        expected = kind().fit(cdnow).expected_purchases(39, cdnow)
        assert [expected[x == k].mean() for k in range(6)] == pytest.approx(wanted, abs=0.0051)


# --- twins: the likelihood of one customer, integrated over all rates and ways to leave --------------------


def rates(power, time, r, alpha):
    """Mean of λ^power · e^(−λ·time) over Gamma(r, α)."""

    def density(rate):
        return rate**power * math.exp(-rate * time) * gamma_distribution.pdf(rate, r, scale=1 / alpha)

    return quad(density, 0, math.inf, epsabs=0, epsrel=1e-9, limit=400)[0]


def parts_by_hand(kind, values, x, last, end):
    """How likely the purchases are together with being there, and together with having left."""
    if kind is ModifiedBetaGeoNBD:
        r, alpha, a, b = values

        def drop(p, left, stayed):
            return p**left * (1 - p) ** stayed * beta_distribution.pdf(p, a, b)

        stays = quad(drop, 0, 1, args=(0, x + 1), epsrel=1e-10)[0]
        leaves = quad(drop, 0, 1, args=(1, x), epsrel=1e-10)[0]
        return stays * rates(x, end, r, alpha), leaves * rates(x, last, r, alpha)
    r, alpha, s, beta = values
    alive = rates(x, end, r, alpha) * rates(0, end, s, beta)

    def left_at(time):  # bought as seen until then, left then
        return rates(x, time, r, alpha) * rates(1, time, s, beta)

    return alive, quad(left_at, last, end, epsabs=0, epsrel=1e-7)[0]


HISTORIES = [(0, 0.0, 30.0), (1, 3.0, 30.0), (4, 20.0, 25.0)]
POINTS = {ModifiedBetaGeoNBD: (1.3, 4.4, 1.8, 2.4), ParetoNBD: (1.4, 6.0, 1.2, 9.0)}


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("kind", POINTS)
def test_likelihood_and_p_alive_are_the_integrals_over_customers(kind, history):
    values, share = POINTS[kind], 0.3
    alive, gone = parts_by_hand(kind, values, *history)
    x, last, end = (np.array([float(number)]) for number in history)
    theta = np.log(values)
    assert kind._rows(theta, Histories(x, last, end), "nobody")[0][0] == pytest.approx(math.log(alive + gone), rel=1e-6)
    assert of(kind, *values).p_alive(*history) == pytest.approx(alive / (alive + gone), rel=1e-6)
    # a share of those who leave says so
    with_odds = np.append(theta, math.log(share / (1 - share)))
    for cancelled, wanted in ((False, alive + (1 - share) * gone), (True, share * gone)):
        histories = Histories(x, last, end, np.array([cancelled]))
        assert kind._rows(with_odds, histories, "some")[0][0] == pytest.approx(math.log(wanted), rel=1e-6)
    knowing = of(kind, *values, share)
    assert knowing.p_alive(*history) == pytest.approx(alive / (alive + (1 - share) * gone), rel=1e-6)
    assert knowing.p_alive(*history, True) == 0
    assert knowing.expected_purchases(9.0, *history, True) == 0


@pytest.mark.parametrize("kind", THREE)
@pytest.mark.parametrize("told", ["nobody", "some", "all"])
def test_slopes_are_those_of_the_likelihood(kind, told):
    rows = lived(kind, 150, 4, tells=0.6)
    columns = [rows[name].to_numpy().astype(float) for name in ("frequency", "recency", "T")]
    gone = rows["cancelled"].to_numpy() if told != "nobody" else None
    histories = Histories(*columns, gone)
    theta = np.log([0.9, 6.0, 1.3, 2.2] if kind is not ParetoNBD else [0.9, 6.0, 1.3, 12.0])
    theta = np.append(theta, 0.4) if told == "some" else theta

    def summed(at):
        return histories.n @ kind._rows(at, histories, told)[0]

    numeric = approx_fprime(theta, summed, 1e-6)
    slopes = kind._rows(theta, histories, told)[1] @ histories.n
    assert slopes == pytest.approx(numeric, rel=1e-3, abs=2e-2)


@pytest.mark.parametrize(
    "case",
    [
        (0.5, 1e-3, 0.6, 400.0, 0, 0.0, 300.0), (0.5, 400.0, 0.6, 1e-3, 0, 0.0, 300.0),
        (3.0, 5.0, 0.1, 5.0, 2, 1.0, 9.0), (0.9, 0.02, 7.0, 30.0, 500, 1.0, 1000.0),
        (0.9, 30.0, 7.0, 0.02, 5000, 990.0, 1000.0), (9.0, 1.0, 9.0, 1.0, 1, 5, 5),
    ],
)  # fmt: skip
def test_the_time_of_leaving_is_integrated_to_ten_digits(case):
    r, alpha, s, beta, x, last, end = map(float, case)
    found = _left(r, alpha, s, beta, *(np.array([value]) for value in (x, last, end))).log[0]
    if last == end:
        assert found == -math.inf
        return

    def relative(y):  # over ln((m + τ) / (m + t_x)), relative to its first value
        tau = (small + last) * math.expm1(y) + last
        log = -(r + x) * math.log((alpha + tau) / (alpha + last)) - (s + 1) * math.log((beta + tau) / (beta + last))
        return math.exp(log + y) * (small + last)

    small = min(alpha, beta)
    cuts = [0.0, *(math.log1p((end - last) / (small + last)) * np.geomspace(1e-6, 1, 30))]
    whole = sum(quad(relative, a, b, epsabs=0, epsrel=1e-12)[0] for a, b in itertools.pairwise(cuts))
    wanted = math.log(s * whole) - (r + x) * math.log(alpha + last) - (s + 1) * math.log(beta + last)
    assert found == pytest.approx(wanted, abs=1e-9)


def test_expected_purchases_of_pareto_nbd_have_no_hole_at_s_of_1():
    def at(s):
        return of(ParetoNBD, 0.6, 9.0, s, 12.0).expected_purchases(20.0, 3, 10.0, 30.0)

    assert at(1.0) == pytest.approx((at(1 - 1e-4) + at(1 + 1e-4)) / 2, rel=1e-7)


@pytest.mark.parametrize("kind", THREE)
def test_thousands_of_purchases_in_any_unit_stay_finite(kind):
    values = (0.3, 40.0, 0.7, 2.5) if kind is not ParetoNBD else (0.3, 40.0, 0.7, 300.0)
    x, last, end = [3_000, 9_999, 1, 100_000, 0], [3_000.0, 300.0, 2e9, 3e9, 0.0], [3_001.0, 3_000.0, 3e9, 3e9, 1e9]
    model = of(kind, *values)
    assert np.isfinite(model.expected_purchases(1e4, x, last, end)).all()
    assert ((model.p_alive(x, last, end) >= 0) & (model.p_alive(x, last, end) <= 1)).all()


# --- simulation with known truth --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ModifiedBetaGeoNBD, ParetoNBD])
@pytest.mark.parametrize("tells", [0.0, 0.5, 1.0])
def test_customers_of_the_model_buy_as_foretold_and_those_who_cancel_do_not(kind, tells):
    """Cancelled or not, parameters come back, and so do purchases and the number of those alive."""
    rows = lived(kind, 3_000, 1, tells=tells)
    fitted = kind().fit(rows)
    truth = dict(zip(kind._names, (1.2, 8.0, *((1.2, 0.8) if kind is ModifiedBetaGeoNBD else (0.8, 5.0))), strict=True))
    for name, true in truth.items():
        assert abs(fitted.params_[name] - true) < 4 * fitted.standard_errors_[name]
    if tells:
        assert fitted.params_["cancelling"] == pytest.approx(
            tells, abs=max(4 * fitted.standard_errors_["cancelling"], 0.02)
        )
    expected, chance = fitted.expected_purchases(AHEAD, rows), fitted.p_alive(rows)
    gone = rows["cancelled"].to_numpy()
    assert (expected[gone] == 0).all()
    assert (chance[gone] == 0).all()
    if tells == 1:
        assert (chance[~gone] > 0.99).all()
    for chosen in (rows["frequency"].to_numpy() == 0, rows["frequency"].to_numpy() > 0):
        came = rows["came"].to_numpy()[chosen]
        assert abs(expected[chosen].sum() - came.sum()) < 4 * math.sqrt(len(came) * max(came.var(), 0.1))
    spread = math.sqrt((chance * (1 - chance)).sum())
    assert abs(chance.sum() - rows["alive"].sum()) < 4 * spread + 0.05 * rows["alive"].sum()
    new = fitted.expected_cumulative(rows["T"])
    assert rows["frequency"].sum() == pytest.approx(new.sum(), rel=0.1)


def test_leaving_out_who_has_cancelled_would_choose_by_survival():
    rows = lived(ParetoNBD, 3_000, 1, tells=1.0)
    stayed = rows.filter(~pl.col("cancelled"))
    with pytest.raises(SolveError):  # nobody of them leaves
        ParetoNBD().fit(stayed)
    known = ParetoNBD().fit(rows).expected_purchases(AHEAD, rows).sum()
    assert known == pytest.approx(rows["came"].sum(), rel=0.1)


@pytest.mark.parametrize("kind", [ModifiedBetaGeoNBD, ParetoNBD])
def test_bg_nbd_is_told_where_customers_leave_before_a_repeat_purchase(kind):
    rows = lived(kind, 3_000, 3)
    seen = rows.select("frequency", "recency", "T")
    once = (rows["frequency"] == 0).sum()
    with pytest.warns(
        AttribWarning, match=rf"{once:,} of 3,000 customers \(\d+%\) have no repeat purchase, and BG/NBD"
    ):
        wrong = BetaGeoNBD().fit(seen)
    right = kind().fit(seen)
    tables = [purchases_by_frequency(model, AHEAD, seen, bought=rows["came"]) for model in (wrong, right)]
    first, other = (table.row(0, named=True) for table in tables)
    assert first["frequency"] == "0"
    assert first["customers"] == once
    assert first["observed"] == rows.filter(frequency=0)["came"].sum()
    assert first["note"] == "too many expected"
    assert first["expected"] > 1.5 * first["observed"]
    assert other["note"] is None
    assert tables[0]["customers"].sum() == 2 * 3_000  # the last row is that of all
    assert tables[0]["expected"][-1] == pytest.approx(wrong.expected_purchases(AHEAD, seen).sum())


# --- the choice -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", THREE)
def test_the_model_that_made_the_customers_is_chosen(kind):
    far = {} if kind is ParetoNBD else {"a": 0.8, "b": 2.5}
    rows = lived(kind, 2_500, 8, **far).select("frequency", "recency", "T")
    choice = choose_purchase_model(rows)
    assert isinstance(choice.model_, kind)
    assert choice.table_.columns == ["model", "log_likelihood", "behind", "standard_error", "chosen", "note"]
    assert choice.table_["chosen"].to_list() == [True, False, False]
    assert choice.name_ == choice.table_["model"][0]
    assert choice.reason_ in repr(choice)
    assert choice.model_.params_ == kind().fit(rows).params_
    assert (choice.p_alive(rows) == choice.model_.p_alive(rows)).all()
    assert (choice.expected_purchases(5, rows) == choice.model_.expected_purchases(5, rows)).all()
    backwards = choose_purchase_model(rows.reverse())
    assert backwards.table_.equals(choice.table_)


def test_the_table_holds_held_out_likelihoods_and_their_paired_errors():
    """By hand: parts of the customers as the seed deals them, fits, and sums customer by customer."""
    rows = lived(ParetoNBD, 400, 2).select("frequency", "recency", "T")
    choice = PurchaseChoice(["modified_beta_geo_nbd", "pareto_nbd"], folds=2, seed=5).fit(rows)
    from attrib.values import FOLDS, generator

    ordered = rows.sort("frequency", "recency", "T")
    part = np.empty(400, int)
    part[generator(5, FOLDS).permutation(400)] = np.arange(400) % 2
    each = {}
    for kind, name in ((ModifiedBetaGeoNBD, "modified_beta_geo_nbd"), (ParetoNBD, "pareto_nbd")):
        found = np.empty(400)
        for fold in (0, 1):
            fitted = kind().fit(ordered.filter(part != fold))
            for row in np.flatnonzero(part == fold):
                one = Histories(*(np.array([float(value)]) for value in ordered.row(row)))
                found[row] = kind._rows(np.log([*fitted.params_.values()]), one, "nobody")[0][0]
        each[name] = found
    for row in choice.table_.to_dicts():
        assert row["log_likelihood"] == pytest.approx(each[row["model"]].sum(), rel=1e-9)
        behind = each[choice.name_] - each[row["model"]]
        assert row["behind"] == pytest.approx(behind.sum(), abs=1e-6)
        assert row["standard_error"] == pytest.approx(behind.std() * 20, abs=1e-6)


def test_a_model_that_holds_what_happened_for_impossible_is_no_candidate():
    rows = lived(ParetoNBD, 800, 2, tells=0.7)
    early = rows.filter(pl.col("cancelled"), frequency=0).height
    choice = choose_purchase_model(rows, folds=2)
    last = choice.table_.row(-1, named=True)
    assert last["model"] == "beta_geo_nbd"
    assert last["log_likelihood"] is None
    assert f"impossible that {early} customers cancelled without a repeat purchase" in last["note"]
    assert last["note"] in choice.reason_
    with pytest.warns(AttribWarning, match=f"BG/NBD lets nobody leave before a repeat purchase: that {early} of 800"):
        alone = BetaGeoNBD().fit(rows)
    assert (alone.p_alive(rows.filter("cancelled")) == 0).all()


def test_models_that_cannot_be_fitted_are_named_and_the_others_compared():
    rows = lived(BetaGeoNBD, 1_500, 3, a=0.8, b=2.5).select("frequency", "recency", "T")
    choice = choose_purchase_model(rows, folds=2)
    notes = dict(choice.table_.select("model", "note").iter_rows())
    assert "cannot be fitted" in notes["pareto_nbd"]
    assert choice.name_ == "beta_geo_nbd"
    with pytest.raises(SolveError, match="no model could be fitted"):
        choose_purchase_model([2] * 50, [5.0] * 50, [6.0] * 50)


def test_bad_choices():
    for options in ({"models": ["pareto"]}, {"models": []}, {"models": ["pareto_nbd"] * 2}, {"folds": 1}, {"seed": -1}):
        with pytest.raises(SpecError):
            choose_purchase_model([1, 0], [1.0, 0.0], [3.0, 3.0], **options)
    with pytest.raises(DataError, match="no customer"):
        choose_purchase_model([], [], [])
    with pytest.raises(DataError, match="bought again"):
        choose_purchase_model([0, 0], [0.0, 0.0], [3.0, 3.0])
    with pytest.raises(SpecError, match="not fitted"):
        PurchaseChoice().p_alive(1, 1.0, 2.0)
    with pytest.raises(SpecError, match="is a str"):
        purchases_by_frequency("pareto_nbd", 5, [1], [1.0], [2.0], bought=[1])


# --- saved, drawn, valued ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", THREE)
@pytest.mark.parametrize("tells", [0.0, 0.5, 1.0])
def test_what_is_saved_predicts_and_draws_the_same_to_the_bit(kind, tells):
    rows = lived(kind, 600, 6, tells=tells, a=0.8, b=1.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AttribWarning)
        fitted = kind().fit(rows)
    plain, arrays = fitted.state()
    again = kind.from_state(json.loads(json.dumps(plain)), arrays)
    assert (again.expected_purchases(9.0, rows) == fitted.expected_purchases(9.0, rows)).all()
    drawn = fitted.draws(4_000, seed=3)
    assert (again.draws(4_000, seed=3) == drawn).all()
    assert drawn.shape == (4_000, len(fitted.params_))
    for column, (name, value) in zip(drawn.T, fitted.params_.items(), strict=True):
        logs = np.log(column / (1 - column)) if name == "cancelling" and value < 1 else np.log(column)
        slope = value * (1 - value) if name == "cancelling" else value
        wanted = fitted.standard_errors_[name] / slope if slope else 0.0
        assert logs.std() == pytest.approx(wanted, rel=0.06, abs=1e-12)
    for params in ({"r": 1.0}, plain["params"] | {"cancelling": 1.5}, plain["params"] | {"r": -1.0}):
        with pytest.raises(DataError, match=f"no saved {kind.__name__}"):
            kind.from_state(plain | {"params": params}, arrays)


@pytest.mark.parametrize("kind", [ModifiedBetaGeoNBD, ParetoNBD])
def test_lifetime_values_and_their_intervals_are_those_of_the_draws(kind):
    rows = lived(kind, 500, 7, tells=0.5)
    spent = np.random.default_rng(0).gamma(9.0, 4.0, 500)
    buying, worth = kind().fit(rows), GammaGamma().fit(rows["frequency"], spent)
    columns = [rows[name] for name in ("frequency", "recency", "T")]
    options = {"discount": 0.002, "margin": 0.3, "cancelled": rows["cancelled"]}
    found = lifetime_value(buying, worth, *columns, spent, 52.0, draws=60, seed=1, **options)
    table = found.customers
    assert table["cancelled"].equals(rows["cancelled"])
    for name in ("p_alive", "purchases", "value", "low", "high"):
        assert (table.filter("cancelled")[name] == 0).all()
    # a sum of small steps
    steps = np.linspace(0, 52, 2_001)
    some = rows.head(12)
    bought = np.diff([buying.expected_purchases(time, some) for time in steps], axis=0)
    factors = 1.002 ** -((steps[1:] + steps[:-1]) / 2)
    wanted = factors @ bought * worth.expected_value(some["frequency"], spent[:12]) * 0.3
    assert table["value"].head(12).to_numpy() == pytest.approx(wanted, rel=1e-5)
    # draw by draw
    totals = []
    for b, w in zip(buying.draws(60, 1), worth.draws(60, 1), strict=True):
        one, two = kind.from_state(*buying.state()), GammaGamma.from_state(*worth.state())
        one.params_ = dict(zip(buying.params_, b.tolist(), strict=True))
        two.params_ = dict(zip(worth.params_, w.tolist(), strict=True))
        totals.append(lifetime_value(one, two, *columns, spent, 52.0, draws=0, **options).total["value"][0])
    bounds = np.quantile(totals, [0.025, 0.975], method="inverted_cdf")
    assert found.total.select("low", "high").row(0) == pytest.approx(bounds)
