"""Policy values of money, which few pay and some of them much: intervals against known truth, and without any."""

from __future__ import annotations

import warnings

import numpy as np
import polars as pl
import pytest

import attrib
from attrib.errors import AttribWarning
from attrib.lifecycle.acting.skewed import skewed_interval

SPREAD = 1.0  # of the logarithm of an amount


def campaign(seed, n, share, rows=1, mail=0.5):
    """Two arms by lot; ``share`` of the customers pay, a third more of them after a mail, a third fewer without."""
    random = np.random.default_rng(seed)
    known, own = (np.repeat(random.normal(size=n), rows) for _ in range(2))
    mailed = random.random(n * rows) < mail
    pays = random.random(n * rows) < share * np.exp(0.5 * known - 0.125) * np.where(mailed, 1.3, 0.7)
    amount = np.exp(3 + SPREAD * (own + random.normal(size=n * rows)) / np.sqrt(2))
    action = pl.Series(np.where(mailed, "mail", "(none)")).replace("(none)", None)
    return action, np.where(pays, amount, 0.0), pl.DataFrame({"known": known}), np.repeat(np.arange(n), rows)


@pytest.mark.parametrize(
    ("n", "share", "rows", "mail"),
    [(500, 0.05, 1, 0.5), (2000, 0.01, 1, 0.5), (500, 0.02, 4, 0.5), (3000, 0.04, 1, 0.9)],
)
def test_intervals_of_money_cover_the_truth_where_few_pay(n, share, rows, mail):
    """Bootstrap percentiles cover 80 to 87 % here; with one interval of both sides, the last lift has 87 %."""
    runs, mean = 60, np.exp(3 + SPREAD**2 / 2)
    value, lift = 1.3 * share * mean, 0.6 * (1 - mail) * share * mean
    held = np.zeros((2, 3))
    for seed in range(runs):
        action, money, known, who = campaign(seed, n, share, rows, mail)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AttribWarning)
            chance = {"mail": mail, None: 1 - mail}
            found = attrib.policy_value(action, money, chance, "mail", features=known, customers=who, folds=2)
        for at, (low, high, truth) in enumerate((("low", "high", value), ("lift_low", "lift_high", lift))):
            inside = (found[low] <= truth) & (found[high] >= truth)  # null where one payer at most is of one side
            held[at] += inside.fill_null(value=True).to_numpy()
    assert (held >= 0.85 * runs).all(), held  # three and a half standard errors below 95 %
    assert (held[0] >= 0.9 * runs).all(), held


def test_an_interval_by_hand():
    """Hall's transform solved for the error: the interval holds x where |g((estimate - x) / error)| <= t."""
    parts = np.random.default_rng(0).lognormal(0, 1, 80)
    parts -= parts.mean()
    low, high = skewed_interval(3.0, parts, 0.9)
    error = parts.std(ddof=1) / np.sqrt(80)
    skew = (parts**3).mean() / parts.std() ** 3 / np.sqrt(80)
    ends = []
    for x in (low, high):
        t = (3.0 - x) / error
        ends.append(t + skew * t**2 / 3 + skew**2 * t**3 / 27 + skew / 6)
    assert ends[0] == pytest.approx(-ends[1])
    assert ends[0] > 1.645  # fewer degrees of freedom than the normal distribution
    assert high - 3.0 > 3.0 - low  # further out on the long side


def test_data_without_skewness_have_the_interval_of_students_t():
    parts = np.tile([-1.0, 1.0], 20)
    low, high = skewed_interval(0.0, parts, 0.95)
    assert (low, high) == pytest.approx((-2.0227 / np.sqrt(39), 2.0227 / np.sqrt(39)), rel=1e-4)


@pytest.mark.parametrize(
    ("payers", "words"), [(0, "there is no interval"), (1, "no interval"), (5, "covers less often")]
)
def test_few_payers_are_told_with_their_number(payers, words):
    action = ["mail", None] * 300
    money = np.zeros(600)
    money[: 2 * payers : 2] = [50.0, 20.0, 80.0, 10.0, 30.0][:payers]
    money[1:21:2] = 9.0  # of those left alone some pay, too, which says nothing of the mail
    with pytest.warns(AttribWarning, match=f"of 300 customers .*, {payers} had an outcome other than 0: .*{words}"):
        found = attrib.policy_value(action, money, 0.5, "mail")
    assert found["payers"].to_list() == [payers] * 3
    bounds = found.select("low", "high", "lift_low", "lift_high")
    assert bounds.null_count().sum_horizontal().item() == (12 if payers < 2 else 0)


def test_customers_who_pay_often_are_one_payer_each():
    action, money = ["mail", None] * 40, np.tile([5.0, 0.0], 40)
    with pytest.warns(AttribWarning, match="of 4 customers .*, 4 had"):
        found = attrib.policy_value(action, money, 0.5, "mail", customers=np.repeat(range(4), 20))
    assert found["payers"].to_list() == [4] * 3


@pytest.mark.parametrize(("others", "nulls"), [(0, 6), (1, 6), (12, 0)])
def test_few_payers_of_a_small_group_that_was_held_back_are_told(others, nulls):
    """The value is known well, and what it is compared with is not."""
    action = ["mail"] * 1900 + [None] * 100
    money = np.zeros(2000)
    money[:40], money[1900 : 1900 + others] = 50.0, 60.0
    words = f"of 100 customers who were treated otherwise .*, {others} had .*the (lift|interval of the lift)"
    with pytest.warns(AttribWarning, match=words):
        found = attrib.policy_value(action, money, {"mail": 0.95, None: 0.05}, "mail")
    assert found["other_payers"].to_list() == [others] * 3
    assert found.select("low", "high").null_count().sum_horizontal().item() == 0
    assert found.select("lift_low", "lift_high").null_count().sum_horizontal().item() == nulls
    with warnings.catch_warnings():  # nobody was treated otherwise than by lot of both
        warnings.simplefilter("error")
        both = attrib.policy_value(action, money, {"mail": 0.95, None: 0.05}, {"mail": 0.5, None: 0.5})
    assert both["lift_low"].null_count() == 0
