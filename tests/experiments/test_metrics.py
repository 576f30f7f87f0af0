"""Every metric equals its slow twin, and cases by hand."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference_metrics as twin
from attrib import Linear, Markov, Shapley
from attrib.experiments import metrics
from attrib.experiments.holdout import predictions

AMOUNTS = st.integers(-3, 40)
CHANCES = st.sampled_from([0.05, 0.2, 0.5, 0.5, 0.9])


def columns(*kinds, least=1, most=8):
    row = st.tuples(*kinds)
    return st.lists(row, min_size=least, max_size=most).map(
        lambda rows: [list(column) for column in zip(*rows, strict=True)]
    )


def same(found, expected):
    assert (math.isnan(found) and math.isnan(expected)) or found == pytest.approx(expected, abs=1e-9)


def arrays(*lists):
    return [np.array(numbers, np.float64) for numbers in lists]


@given(columns(AMOUNTS, AMOUNTS))
def test_distance(drawn):
    same(metrics.distance(*arrays(*drawn)), twin.distance(*drawn))


@given(columns(AMOUNTS, AMOUNTS, least=2))
def test_rank_correlations(drawn):
    spearman, kendall = metrics.rank_correlations(*arrays(*drawn))
    same(spearman, twin.spearman(*drawn))
    same(kendall, twin.kendall(*drawn))


@given(columns(AMOUNTS, AMOUNTS), st.integers(0, 90))
def test_increment_error(drawn, conversions):
    same(metrics.increment_error(*arrays(*drawn), conversions), twin.increment_error(*drawn, conversions))


@given(columns(AMOUNTS, AMOUNTS, st.sampled_from([0, 1, 10, 25])))
def test_budget_regret(drawn):
    found, expected = metrics.budget_regret(*arrays(*drawn)), twin.budget_regret(*drawn)
    if isinstance(expected, float):
        assert math.isnan(found) or found == pytest.approx(0, abs=1e-6)
    else:
        assert any(found == pytest.approx(one, abs=1e-9) for one in expected)


@given(columns(st.integers(0, 5), st.integers(5, 9), st.integers(0, 9), st.booleans()))
def test_intervals(drawn):
    low, high, target, counted = drawn
    bounds = arrays(low, high, target)
    same(metrics.covered(*bounds, np.array(counted)), twin.covered(*drawn))
    same(metrics.width(*bounds[:2], np.array(counted)), twin.width(low, high, counted))


@given(columns(CHANCES, st.integers(0, 4), st.integers(0, 4)))
def test_predictions_are_judged_like_single_journeys(drawn):
    predicted = arrays(*drawn)
    same(metrics.log_likelihood(*predicted), twin.log_likelihood(*drawn))
    same(metrics.auc(*predicted), twin.auc(*drawn))


PATHS = st.lists(
    st.tuples(st.lists(st.sampled_from("abc"), max_size=4), st.integers(0, 3), st.integers(0, 3)), max_size=8
)


@given(PATHS, PATHS, st.integers(1, 3))
def test_a_chain_foretells_from_the_last_touches(train, test, order):
    kinds = {"players": pl.List(pl.String), "conversions": pl.Int64, "nulls": pl.Int64}
    frames = [pl.DataFrame(rows, schema=kinds, orient="row") for rows in (train, test)]
    found = predictions(Markov(order), *frames)
    assert found == pytest.approx([twin.foretell(train, path, order) for path, _, _ in test])


def test_what_else_foretells():
    train = pl.DataFrame({"players": [["a", "b"], ["b"]], "conversions": [9, 0], "nulls": [0, 9]})
    test = pl.DataFrame({"players": [["b", "a", "b"], ["b"], ["c"]], "conversions": [1, 0, 0], "nulls": [0, 1, 1]})
    everyone = (9 + 0.5) / 19
    sets = predictions(Shapley(worth="rate"), train, test)
    assert sets == pytest.approx([(9 + everyone) / 10, everyone / 10, everyone])
    assert predictions(None, train, test) == pytest.approx([everyone] * 3)
    assert predictions(Linear(), train, test) is None
    assert predictions(Shapley(), train, test) is None


def test_cases_by_hand():
    equal = np.array([2.0, 2.0, 2.0])
    assert metrics.distance(equal, np.array([6.0, 0.0, 0.0])) == pytest.approx(2 / 3)
    assert all(math.isnan(one) for one in metrics.rank_correlations(equal, np.array([1.0, 2.0, 3.0])))
    # who believes that all channels return the same moves nothing, and misses the whole gain
    assert metrics.budget_regret(equal, np.array([1.0, 2.0, 3.0]), np.full(3, 10.0)) == 1
    # the worst move loses what the best gains
    assert metrics.budget_regret(np.array([3.0, 1.0]), np.array([1.0, 3.0]), np.full(2, 10.0)) == 2
    assert math.isnan(metrics.budget_regret(np.array([np.nan, 1.0]), np.array([1.0, 3.0]), np.full(2, 10.0)))
