"""Intervals by leaving out groups of units."""

import numpy as np
import polars as pl
import pytest

from attrib.engines.base import Tallies, Units
from attrib.intervals import GROUPS, Replicates, Resampling

CUSTOMERS = Units("buckets", np.ones(256, np.int64))


def test_every_bucket_is_left_out_once():
    weights = Replicates.leave_out(CUSTOMERS, seed=0).weights
    assert weights.shape == (GROUPS, 256)
    assert ((weights == 0).sum(axis=0) == 1).all()
    assert weights.sum(axis=1) == pytest.approx(256)  # groups of 12 and of 13: what is left counts for all


def test_buckets_that_are_all_alike_have_intervals_without_width():
    tallies = Tallies(pl.DataFrame(), pl.DataFrame(), CUSTOMERS, {}, with_units=True)
    [(low, high)] = Resampling().jackknife(tallies, lambda draw: [draw.weights.sum(axis=1, keepdims=True)])
    assert (low[0], high[0]) == pytest.approx((256, 256))


def test_the_error_of_samples_widens_intervals():
    tallies = Tallies(pl.DataFrame(), pl.DataFrame(), CUSTOMERS, {}, with_units=True)
    [(low, high)] = Resampling().jackknife(
        tallies, lambda draw: [draw.weights.sum(axis=1, keepdims=True)], [np.array([3.0])]
    )
    assert (high[0] - low[0]) / 2 == pytest.approx(3 * 2.0930240544082634)


def test_journeys_of_a_path_are_dealt_to_the_groups():
    counts = np.array([0, 1, 1000], np.int64)
    weights = Replicates.leave_out(Units("paths", counts), seed=3).weights
    dealt = counts * (1 - weights * (GROUPS - 1) / GROUPS)
    assert dealt.sum(axis=0) == pytest.approx(counts)
    assert dealt.round(9).tolist() == dealt.round(0).tolist()
    assert not np.array_equal(weights, Replicates.leave_out(Units("paths", counts), seed=4).weights)


def test_bounds_of_a_mean_are_those_of_the_t_test():
    random = np.random.default_rng(0)
    sums = random.normal(10.0, 2.0, GROUPS)  # one unit a group: the jackknife is the classical interval
    units = Units("buckets", np.ones(GROUPS, np.int64))
    tallies = Tallies(pl.DataFrame(), pl.DataFrame(), units, {}, with_units=True)
    [(low, high)] = Resampling(level=0.95).jackknife(tallies, lambda draw: [draw.weights @ sums[:, None] / GROUPS])
    half = 2.0930240544082634 * sums.std(ddof=1) / np.sqrt(GROUPS)
    assert low[0] == pytest.approx(sums.mean() - half)
    assert high[0] == pytest.approx(sums.mean() + half)


def test_draws_are_the_same_for_any_number_of_threads():
    tallies = Tallies(pl.DataFrame(), pl.DataFrame(), CUSTOMERS, {}, with_units=True)

    def solve(draw):
        return [draw.weights[:, :3], draw.weights.sum(axis=1)]

    one, two = (Resampling(replicates=250, seed=5, threads=threads).draws(tallies, solve) for threads in (1, 2))
    assert [a.shape for a in one] == [(250, 3), (250,)]
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert (one[1] == 256).all()
