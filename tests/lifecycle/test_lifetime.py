"""Values of customers with ids and with their past, and those under contract against a slow twin."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import polars as pl
import pytest

import attrib
from attrib.errors import AttribWarning, DataError, SpecError
from attrib.lifecycle import BetaGeoNBD, GammaGamma, SurvivalChurn, contract_value, lifetime_value
from referred import credits_of, told

HISTORY = {
    "frequency": [2, 1, 0, 0, 7, 1, 0, 3, 12, 0] * 20,
    "recency": [30.4, 1.7, 0, 0, 36.4, 5.0, 0, 14.1, 31.0, 0] * 20,
    "T": [38.9, 38.9, 38.9, 30.1, 38.9, 38.9, 21.6, 38.9, 35.2, 31.3] * 20,
}
SPENT = [22.4, 120.0, None, None, 33.7, 5.8, None, 75.6, 8.2, None] * 20
PAST = np.linspace(5.0, 300.0, 200)


@pytest.fixture(scope="module")
def models():
    return BetaGeoNBD().fit(**HISTORY), GammaGamma().fit(HISTORY["frequency"], SPENT)


def worth(models, **more):
    return lifetime_value(*models, **HISTORY, monetary=SPENT, horizon=26, margin=0.4, draws=20, **more)


@pytest.mark.parametrize(
    "ids",
    [
        list(range(200)), pl.Series("who", [f"c{i}" for i in range(200)]), np.arange(200), pd.Series(range(200)),
        [None, *range(199)],
    ],
)  # fmt: skip
def test_ids_are_kept_as_they_were_given(models, ids):
    plain, named = worth(models), worth(models, customer_id=ids)
    assert named.customers.columns == ["customer_id", *plain.customers.columns]
    assert named.customers["customer_id"].to_list() == list(ids)
    assert named.customers.drop("customer_id").equals(plain.customers)
    assert named.total.equals(plain.total)


def test_the_past_counts_in_full_times_margin(models):
    plain, whole = worth(models, discount=0.01), worth(models, discount=0.01, past=PAST)
    one, other = plain.customers, whole.customers
    assert other["ahead"].equals(one["value"].alias("ahead"))
    np.testing.assert_allclose(other["past"], 0.4 * PAST)
    for name in ("value", "low", "high"):
        np.testing.assert_allclose(other[name], 0.4 * PAST + one[name].to_numpy())
        np.testing.assert_allclose(whole.total[name], 0.4 * PAST.sum() + plain.total[name].to_numpy())
    assert whole.total["customers"].item() == 200


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"customer_id": [1, 2]}, "customer_id has 2 values for 200 rows"),
        ({"past": [1.0]}, "past has 1 values for 200 rows"),
        ({"past": [None, *PAST[1:]]}, "past is null"),
        ({"past": ["a"] * 200}, "past is String, not numbers"),
    ],
)
def test_ids_and_pasts_that_do_not_fit(models, more, words):
    with pytest.raises(DataError, match=words):
        worth(models, **more)


def test_values_go_straight_into_retention_adjusted_credit(models):
    story = "\n".join(f"c{i} {i}{'ad' if i % 2 else 'mail'} | {i + 1}purchase=10" for i in range(200))
    found = worth(models, customer_id=[f"c{i}" for i in range(200)], past=PAST)
    credit = attrib.retention_adjusted(told(story, {}), attrib.Linear(), values=found.customers, intervals=None)
    by = found.customers["value"].to_numpy()
    wanted = {"ad": by[1::2].sum(), "mail": by[::2].sum(), "unattributed": 0.0}
    assert credits_of(credit, "retention_adjusted") == pytest.approx(wanted)


# contracts ----------------------------------------------------------------------------------------


def contracts(n=300, seed=0):
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame({"customer_id": range(n), "calls": rng.poisson(1.0, n), "fee": rng.gamma(4.0, 5.0, n)})
    leaves = rng.exponential(20 / 1.3 ** frame["calls"].to_numpy()) + 1e-3
    seen = rng.uniform(5, 40, n)
    return frame.with_columns(months=np.minimum(leaves, seen), left=leaves <= seen)


def twin(model, frame, fee, horizon, after, period, discount):
    """Payment by payment, customer by customer, from the curve of each."""
    out = []
    for row in range(frame.height):
        value = 0.0
        for k in range(1, horizon + 1):
            time = k * period
            then, now = model.predict_survival(frame[row], [after[row] + time, after[row]])[0]
            value += fee[row] * then / now / (1 + discount) ** time
        out.append(value)
    return out


@pytest.mark.parametrize("kind", ["cox", "weibull", "lognormal"])
@pytest.mark.parametrize(("period", "discount"), [(1.0, 0.0), (3.0, 0.01)])
def test_the_twin_says_the_same(kind, period, discount):
    frame = contracts()
    model = SurvivalChurn(kind).fit(frame.select("calls"), frame["months"], frame["left"])
    some, after = frame.head(12), frame["months"].to_numpy()[:12] / 4
    found = contract_value(
        model, some.select("calls"), some["fee"], 5, conditional_after=after, period=period, discount=discount
    )
    assert found.columns == ["periods", "value", "low", "high"]
    np.testing.assert_allclose(
        found["value"], twin(model, some.select("calls"), some["fee"], 5, after, period, discount)
    )
    ones = contract_value(model, some.select("calls"), 1.0, 5, conditional_after=after, period=period)
    np.testing.assert_allclose(found["periods"], ones["value"])


def test_a_constant_hazard_has_a_known_value():
    rng = np.random.default_rng(4)
    months = pl.DataFrame({"x": rng.normal(size=20_000), "months": rng.exponential(10.0, 20_000)})
    model = SurvivalChurn("weibull").fit(months.select("x"), months["months"], np.ones(20_000))
    found = contract_value(model, months.select("x").head(500), 7.0, 400, discount=0.02)
    stays = math.exp(-1 / 10) / 1.02
    assert found["value"].mean() == pytest.approx(7 * stays / (1 - stays), rel=0.03)


def test_the_past_of_a_contract_and_its_ids():
    frame = contracts()
    model = SurvivalChurn("weibull").fit(frame.select("calls"), frame["months"], frame["left"])
    ask = {"horizon": 6, "conditional_after": frame["months"], "customer_id": frame["customer_id"]}
    plain = contract_value(model, frame.select("calls"), frame["fee"], **ask)
    whole = contract_value(model, frame.select("calls"), frame["fee"], past=np.arange(300.0), **ask)
    assert whole.columns == ["customer_id", "periods", "past", "ahead", "value", "low", "high"]
    assert whole["customer_id"].equals(frame["customer_id"])
    np.testing.assert_allclose(whole["value"], plain["value"].to_numpy() + np.arange(300.0))


def test_times_beyond_training_warn_once_and_nobody_there_is_null():
    curve = SurvivalChurn("kaplan_meier").fit(None, [1.0, 2.0, 3.0, 4.0], [1, 1, 0, 0])
    with pytest.warns(AttribWarning, match="beyond the longest duration") as caught:
        contract_value(curve, None, 1.0, 9, conditional_after=[0.0, 1.0])
    assert len(caught) == 1
    gone = SurvivalChurn("kaplan_meier").fit(None, [1.0, 2.0], [1, 1])
    with pytest.warns(AttribWarning, match="1 of 2 times"):
        found = contract_value(gone, None, 1.0, 1, conditional_after=[0.0, 2.0], past=[3.0, 4.0])
    assert found.drop("low", "high").rows() == [(0.5, 3.0, 0.5, 3.5), (None, 4.0, None, None)]
    assert found["low"][1] is found["high"][1] is None


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"horizon": 0}, SpecError), ({"horizon": 1.5}, SpecError), ({"period": 0}, SpecError),
        ({"discount": -0.1}, SpecError), ({"margin": [1.0, 2.0]}, DataError), ({"margin": -1.0}, DataError),
        ({"margin": None}, DataError), ({"margin": "fee"}, DataError), ({"model": BetaGeoNBD()}, SpecError),
        ({"model": SurvivalChurn()}, SpecError), ({"past": [1.0]}, DataError), ({"customer_id": [1]}, DataError),
    ],
)  # fmt: skip
def test_arguments_that_make_no_sense(more, error):
    curve = SurvivalChurn("kaplan_meier").fit(None, [1.0, 2.0, 3.0, 4.0], [1, 1, 0, 0])
    ask = {"model": curve, "X": None, "margin": 1.0, "horizon": 2, "conditional_after": [0.0, 1.0, 1.0]}
    with pytest.raises(error):
        contract_value(**ask | more)


def test_one_frame_is_as_good_as_its_columns(models):
    frame = pl.DataFrame(HISTORY | {"monetary": SPENT, "customer_id": range(200)})
    whole = lifetime_value(*models, frame, horizon=52, draws=5)
    apart = lifetime_value(*models, **HISTORY, monetary=SPENT, horizon=52, customer_id=range(200), draws=5)
    assert whole.customers.equals(apart.customers)
    assert whole.total.equals(apart.total)
    with pytest.raises(SpecError, match="horizon is not given"):
        lifetime_value(*models, frame)
