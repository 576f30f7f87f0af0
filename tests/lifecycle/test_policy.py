"""Policy values against their definitions, and against known truth in generated campaigns of three arms."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

import attrib
from attrib.errors import AttribWarning, DataError, SpecError

ARMS = ("mens", "womens", None)


def campaign(seed, n=2000, chances=None):
    """Hillstrom's design: men's mail, women's mail, no mail; women's mail works for women, men's a little for all."""
    rng = np.random.default_rng(seed)
    x, women = rng.normal(size=n), rng.random(n) < 0.5
    p = np.full((n, 3), 1 / 3) if chances is None else chances(x, women)
    arm = (rng.random(n)[:, None] > p.cumsum(axis=1)[:, :2]).sum(axis=1)
    y = (rng.random(n) < truth_of(x, women)[np.arange(n), arm]).astype(int)
    return pl.DataFrame({"x": x, "women": women}), [ARMS[a] for a in arm], y, p[np.arange(n), arm]


def truth_of(x, women):
    base = -1 + 0.7 * x
    return expit(np.column_stack([base + 0.5, base + np.where(women, 1.2, 0.1), base]))


def true_value(policy):
    rng = np.random.default_rng(10**6)
    x, women = rng.normal(size=400_000), rng.random(400_000) < 0.5
    taken = {"best": np.where(women, 1, 0), "mens": 0, "womens": 1, None: 2}[policy]
    return truth_of(x, women)[np.arange(len(x)), taken].mean()


def best_for(features):
    return ["womens" if w else "mens" for w in features["women"]]


def confounded(x, women):
    """Women's mail went to those who buy anyway."""
    score = np.column_stack([np.zeros(len(x)), 1.5 * x, -x])
    p = np.exp(score) + 0.2
    return p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("chances", [None, confounded], ids=["randomised", "confounded"])
def test_intervals_cover_the_truth(chances):
    truth, runs = true_value("best"), 60
    covered, errors = np.zeros(3), np.zeros((runs, 3))
    for seed in range(runs):
        features, arm, y, p = campaign(seed, 1200, chances)
        found = attrib.policy_value(arm, y, p, best_for(features), features=features, replicates=150, seed=seed)
        low, high = found["low"].to_numpy(), found["high"].to_numpy()
        covered += (low <= truth) & (truth <= high)
        errors[seed] = found["value"].to_numpy() - truth
    assert found["estimator"].to_list() == ["ips", "snips", "dr"]
    assert (covered >= 0.88 * runs).all(), covered
    assert (np.abs(errors.mean(axis=0)) < 4 * errors.std(axis=0) / np.sqrt(runs)).all()
    assert errors[:, 2].std() < errors[:, 0].std()  # the outcome model pays


def test_the_naive_mean_is_wrong_where_weights_are_right():
    features, arm, y, p = campaign(1, 40_000, confounded)
    truth = true_value("womens")
    naive = y[[a == "womens" for a in arm]].mean()
    found = attrib.policy_value(arm, y, p, "womens", features=features, replicates=50)
    assert naive > truth + 0.1
    assert np.abs(found["value"].to_numpy() - truth).max() < 0.03


def test_policies_are_ranked_as_they_deserve():
    features, arm, y, _ = campaign(2, 20_000)
    policies = {"best": best_for(features), "womens": "womens", "mens": "mens", None: None}
    values = {
        name: attrib.policy_value(arm, y, 1 / 3, policy, features=features, replicates=20)["value"][2]
        for name, policy in policies.items()
    }
    assert sorted(values, key=values.get) == sorted(policies, key=true_value)


def test_numbers_are_those_of_the_definitions():
    features, arm, y, p = campaign(3, 300, confounded)
    policy = {"mens": 0.25, "womens": 0.5, None: np.full(300, 0.25)}
    found = attrib.policy_value(arm, y, p, policy, replicates=20)
    pi = np.array([{"mens": 0.25, "womens": 0.5, None: 0.25}[a] for a in arm])
    ips = sum(pi[i] / p[i] * y[i] for i in range(300)) / 300
    assert found["value"][0] == pytest.approx(ips)
    assert found["value"][1] == pytest.approx(ips / (sum(pi / p) / 300))
    assert found["lift"].to_list() == pytest.approx([v - y.mean() for v in found["value"]])
    assert found["effective_rows"][0] == pytest.approx(sum(pi / p) ** 2 / sum((pi / p) ** 2))
    assert (found["matched"] == 300).all()
    assert features.height == 300


def test_doubly_robust_by_hand_without_features():
    _, arm, y, p = campaign(4, 200, confounded)
    from attrib.lifecycle.acting.policy import customer_parts

    fold = customer_parts(np.arange(200), 4, 9)
    total = 0.0
    for i in range(200):
        mean = {a: np.mean([y[j] for j in range(200) if fold[j] != fold[i] and arm[j] == a]) for a in ARMS}
        total += mean["mens"] + (arm[i] == "mens") / p[i] * (y[i] - mean[arm[i]])
    found = attrib.policy_value(arm, y, p, "mens", folds=4, seed=9, replicates=5)
    assert found["value"][2] == pytest.approx(total / 200)


def test_rows_of_a_customer_are_drawn_together():
    _, arm, y, p = campaign(5, 200)
    twice = attrib.policy_value(arm * 4, np.tile(y, 4), np.tile(p, 4), "mens", customers=list(range(200)) * 4)
    alone = attrib.policy_value(arm, y, p, "mens")
    assert twice["value"][0] == pytest.approx(alone["value"][0])
    width = (alone["high"] - alone["low"])[0]
    assert (twice["high"] - twice["low"])[0] == pytest.approx(width, rel=0.02)


def test_money_and_hostile_names():
    names = ["=1+1", "\x1b[2J", None]
    rng = np.random.default_rng(6)
    arm = [names[i] for i in rng.integers(0, 3, 3000)]
    x = rng.normal(size=3000)
    money = 10 + x + np.array([2.0 if a == "=1+1" else 0.0 for a in arm])
    found = attrib.policy_value(arm, money, 1 / 3, "=1+1", features=pl.DataFrame({"=x": x}), replicates=50)
    assert found["value"][2] == pytest.approx(12, abs=0.2)


def test_chances_that_do_not_fit_are_told():
    _, arm, y, _ = campaign(7)
    with pytest.warns(AttribWarning, match="do not fit how often"):
        attrib.policy_value(arm, y, 0.9, "mens", replicates=5)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"policy": "never"}, "no_support"), ({"propensity": 0.0}, "no_support"),
        ({"propensity": [0.5]}, "different_lengths"),
        ({"propensity": {"mens": 0.5}}, "no_support"), ({"policy": {"mens": 0.5}}, "bad_policy"),
        ({"policy": ["mens"]}, "different_lengths"), ({"outcome": [None] * 90}, "null_values"),
        ({"level": 1.0}, "bad_parameter"), ({"folds": 1}, "bad_parameter"), ({"outcome": ["a"] * 90}, "bad_dtype"),
        ({"policy": {"mens": 2.0, None: -1.0}}, "bad_policy"),
        ({"features": pl.DataFrame({"x": [1, 2]})}, "different_lengths"),
    ],
)  # fmt: skip
def test_wrong_arguments(change, key):
    _, arm, y, p = campaign(8, 90)
    given = {"actions": arm, "outcome": y, "propensity": p, "policy": "mens", "replicates": 5} | change
    with pytest.raises((DataError, SpecError)) as error:
        attrib.policy_value(**given)
    assert error.value.key == key


def test_a_callable_decides_by_the_features():
    arm, y, p = ["a", "b"] * 60, [1, 0, 0, 1] * 30, 0.5
    features = pl.DataFrame({"x": [1, 2, 3] * 40})

    def rule(rows):
        return ["a" if x > 1 else "b" for x in rows["x"]]

    asked = {"features": features, "replicates": 20}
    by_hand = attrib.policy_value(arm, y, p, rule(features), **asked)
    assert attrib.policy_value(arm, y, p, rule, **asked).equals(by_hand)
    assert attrib.policy_value(arm, y, p, lambda _: {"a": 1.0}, **asked).equals(
        attrib.policy_value(arm, y, p, "a", **asked)
    )
    pandas = features.to_pandas()
    assert attrib.policy_value(arm, y, p, rule, features=pandas, replicates=20).equals(by_hand)


@pytest.mark.parametrize(
    ("policy", "features", "words"),
    [
        (lambda rows: rows, None, "nothing to decide by; pass features="),
        (lambda _: len, True, "policy is builtin_function_or_method"),
        (lambda _: 0.5, True, "policy is float"),
        (0.5, None, "policy is float"),
        (np.eye(2), None, "policy is ndarray"),
    ],
)
def test_what_is_no_policy_is_refused(policy, features, words):
    known = pl.DataFrame({"x": [1, 2]}) if features else None
    with pytest.raises(attrib.SpecError, match=words) as error:
        attrib.policy_value(["a", "b"], [1, 0], 0.5, policy, features=known)
    assert error.value.key == "bad_policy"
