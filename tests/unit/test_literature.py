"""ShaoLi and BaggedLogistic: worked examples, and what their parts are."""

from __future__ import annotations

import math
import sys

import numpy as np
import polars as pl
import pytest
from scipy import integrate, optimize

import attrib
from attrib.extras import install
from attrib.methods import bagged_logistic
from attrib.testing import assert_credit_table
from lawful import paths, players


def credited(journeys: attrib.Journeys, method: attrib.methods.Method) -> dict[str, float]:
    table = attrib.credit(journeys, {"x": method}, intervals=None)
    assert_credit_table(table, journeys)
    return {channel: row["conversions"] for channel, row in players(table, "x").items()}


# --- Shao & Li ---


def test_contributions_of_three_channels_by_hand():
    """Rates: a 4/11, b 3/8, c 2/5; a and b 2/4, a and c 1/2, b and c 1/3."""
    journeys = paths(A=(2, 5), B=(1, 2), C=(1, 1), AB=(1, 1), ABC=(1, 1), BC=(0, 1))
    a, b, c, ab, ac, bc = 4 / 11, 3 / 8, 2 / 5, 2 / 4, 1 / 2, 1 / 3
    three = {
        "A": a + ((ab - a - b) + (ac - a - c)) / 4,
        "B": b + ((ab - a - b) + (bc - b - c)) / 4,
        "C": c + ((ac - a - c) + (bc - b - c)) / 4,
    }
    raw = {
        "A": 2 * a + a + (ab - a - b) / 2 + three["A"],
        "B": b + b + (ab - a - b) / 2 + three["B"],
        "C": c + three["C"],
    }
    whole = sum(raw.values())
    assert credited(journeys, attrib.ShaoLi()) == pytest.approx({k: 6 * v / whole for k, v in raw.items()})


def test_the_order_and_number_of_touches_do_not_matter():
    one = credited(paths(AB=(3, 4), B=(2, 6), A=(1, 0)), attrib.ShaoLi())
    other = credited(paths(BAAB=(3, 4), BB=(2, 6), AAA=(1, 0)), attrib.ShaoLi())
    assert one == pytest.approx(other)


def test_where_values_do_not_sum_to_a_positive_number_they_are_shared_as_conversions():
    table = attrib.ShaoLi().credit(paths(A=(1, 0, 2.0), B=(1, 1, -4.0))).filter(kind="player")
    assert table["value"].to_list() == pytest.approx([-2 * 2 / 3, -2 * 1 / 3])
    assert table["conversions"].to_list() == pytest.approx([4 / 3, 2 / 3])


# --- bagged logistic regression ---

WHOLE = {"bags": 1, "journeys": 1.0, "players": 1.0}


def fitted(rows: dict[str, tuple[int, int]], penalty: float) -> tuple[float, dict[str, float]]:
    """Constant and coefficients by another optimiser."""
    names = sorted({channel for path in rows for channel in path})

    def loss(x):
        total = penalty / 2 * float(x[1:] @ x[1:])
        for path, (won, lost) in rows.items():
            odds = x[0] + sum(x[1 + names.index(channel)] for channel in set(path))
            total += won * np.logaddexp(0, -odds) + lost * np.logaddexp(0, odds)
        return total

    x = optimize.minimize(loss, np.zeros(1 + len(names)), method="BFGS", options={"gtol": 1e-9}).x
    return float(x[0]), dict(zip(names, x[1:].tolist(), strict=True))


def test_one_bag_of_everything_is_a_plain_regression(monkeypatch):
    """Credit is the integral of the slope on the way from no channel to all; the drawn counts are replaced by all."""
    rows = {"A": (20, 80), "B": (30, 50), "AB": (60, 40), "C": (5, 95), "ABC": (40, 50), "BC": (20, 60)}

    class Everything:
        def permutation(self, n):
            return np.arange(n)

        def multinomial(self, n, shares):
            return np.round(n * shares).astype(np.int64)

    monkeypatch.setattr(bagged_logistic, "generator", lambda *_: Everything())
    penalty = 2.5
    found = credited(paths(**rows), attrib.BaggedLogistic(**WHOLE, penalty=penalty))
    constant, b = fitted(rows, penalty)
    wanted = dict.fromkeys(b, 0.0)
    for path, (won, lost) in rows.items():
        above = sum(b[channel] for channel in path)

        def slope(t, above=above):
            p = 1 / (1 + math.exp(-(constant + t * above)))
            return p * (1 - p)

        for channel in path:
            wanted[channel] += (won + lost) * b[channel] * integrate.quad(slope, 0, 1)[0]
    assert found == pytest.approx(wanted, rel=1e-5)


def test_bags_come_near_to_the_plain_regression_where_channels_do_not_meet():
    rows = {"A": (400, 600), "B": (100, 900), "C": (250, 750)}
    one = credited(paths(**rows), attrib.BaggedLogistic(bags=200, players=1.0))
    other = credited(paths(**rows), attrib.BaggedLogistic(bags=200, players=1.0, seed=7))
    assert one == pytest.approx(other, abs=25)
    assert one["A"] > one["C"] > one["B"]


@pytest.mark.parametrize("rows", [{"A": (3, 0), "AB": (2, 0)}, {"A": (0, 3), "B": (0, 1)}])
def test_without_nulls_or_conversions_there_is_nothing_to_learn(rows):
    journeys = paths(**rows)
    table = attrib.credit(journeys, attrib.BaggedLogistic(bags=3), replicates=2)
    assert_credit_table(table, journeys)
    won = sum(row[0] for row in rows.values())
    assert table.filter(kind="baseline")["conversions"].to_list() == [won]
    assert table.filter(kind="player")["conversions"].to_list() == [0.0, 0.0]


def test_one_channel_on_all_journeys_is_no_more_than_the_constant():
    table = attrib.BaggedLogistic(bags=3).credit(paths(A=(30, 70)))
    assert table.filter(kind="player")["conversions"][0] == pytest.approx(0.0, abs=1e-6)
    assert table.filter(kind="baseline")["conversions"][0] == pytest.approx(30.0)


def test_scikit_learn_is_asked_for_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(attrib.SpecError, match="sklearn is not installed") as error:
        attrib.BaggedLogistic().credit(paths(A=(1, 1)))
    assert error.value.hint == install("lifecycle")


@pytest.mark.parametrize(
    "parameters", [{"bags": 0}, {"journeys": 0}, {"journeys": 1.5}, {"players": True}, {"penalty": 0}, {"seed": -1}]
)
def test_bad_parameters(parameters):
    with pytest.raises(attrib.SpecError, match="is not a"):
        attrib.BaggedLogistic(**parameters)


def test_intervals_of_the_logistic_model_surround_its_credit():
    data = attrib.synth.generate(customers=1_500, seed=4)
    journeys = attrib.Journeys.from_events(data.touchpoints, data.outcomes)
    table = attrib.credit(journeys, [attrib.BaggedLogistic(bags=10), attrib.Linear()], replicates=30)
    assert_credit_table(table, journeys)
    mine = table.filter(pl.col("method").str.starts_with("bagged"))
    assert (mine["conversions_low"] <= mine["conversions"]).all()
    assert (mine["conversions"] <= mine["conversions_high"]).all()
