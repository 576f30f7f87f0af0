"""Actions that are said to be chosen by lot, or by logged chances, and were not."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

import attrib
from attrib.lifecycle.acting.lot import chosen_by

N = 3000
NOW = pl.DataFrame({"customer_id": [1], "x": [0.0], "plan": ["a"]})
LOT = "causal: actions were randomised"


def decided(chance, *, each: int = 1, seed: int = 0) -> pl.DataFrame:
    """Decisions at each of some dates, mails sent by chance(x, plan, month)."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(N // each), each)
    x, plan = rng.normal(size=N // each)[who], rng.choice(["a", "b", "c"], N // each)[who]
    month = np.tile(np.arange(each), N // each) % 3 + 1 if each > 1 else rng.integers(1, 4, N)
    p = np.broadcast_to(chance(x, plan, month), N)
    mailed = rng.random(N) < p
    return pl.DataFrame(
        {
            "customer_id": who,
            "date": [date(2025, int(m), 1) for m in month],
            "x": x,
            "plan": plan,
            "action": pl.Series(["mail" if sent else None for sent in mailed], dtype=pl.String),
            "advanced": (rng.random(N) < 0.2 + 0.1 * mailed).astype(int),
            "chance": np.where(mailed, p, 1 - p),
        }
    )


def by_rule(x, plan, month):
    return np.where(x > 0, 0.95, 0.05)


def by_month(x, plan, month):
    return 0.1 + 0.2 * month


def by_plan(x, plan, month):
    return np.where(plan == "b", 0.7, 0.4)


@pytest.mark.parametrize(("chance", "column"), [(by_rule, "x"), (by_month, "date"), (by_plan, "plan")])
def test_actions_chosen_by_what_was_known_are_not_called_random(chance, column):
    past = decided(chance)
    with pytest.warns(attrib.AttribWarning, match=f"no causal claim is made.*depends on '{column}'.*propensity="):
        found = attrib.next_action(NOW, past, features=["x", "plan"], randomised=True)
    assert found.claim == "ranking, not causal"
    assert found.value is None
    # the chances as they were bear the claim
    assert attrib.next_action(NOW, past, features=["x", "plan"], propensity="chance").claim.startswith("causal")


def test_wrong_chances_are_told_by_policy_value_and_next_action():
    past = decided(by_rule).with_columns(pl.lit(0.5).alias("chance"))
    with pytest.warns(attrib.AttribWarning, match="no causal claim is made.*'x'.*logged"):
        assert attrib.next_action(NOW, past, features=["x"], propensity="chance").value is None
    with pytest.warns(attrib.AttribWarning, match="propensities do not fit which rows got which action.*'x'"):
        attrib.policy_value(past["action"], past["advanced"], past["chance"], "mail", features=past.select("x"))


@pytest.mark.parametrize("each", [1, 3])
def test_a_true_lot_is_believed_whatever_the_shares(each):
    """A hundred lots, rows of a customer alike or not: hardly any may be doubted."""
    doubted = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        share = rng.choice([0.02, 0.1, 0.5])
        past = decided(lambda *_: np.full(N, share), each=each, seed=seed)  # noqa: B023
        mailed = past["action"].is_not_null().to_numpy()
        if each > 1:  # one lot a customer
            mailed = np.repeat(mailed[::each], each)
        taken = mailed.astype(np.int64)
        chance = np.bincount(taken)[taken] / N
        found = chosen_by(past.select("x", "plan", "date"), taken, chance, past["customer_id"].to_numpy())
        doubted += bool(found)
    assert doubted <= 2
