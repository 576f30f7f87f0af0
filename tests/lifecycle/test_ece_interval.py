"""The interval of the expected calibration error: holds its estimate, and the truth as often as it says."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from attrib.lifecycle import evaluate_classifier
from attrib.lifecycle.judging.metrics import Tabulated, bins_of, ece_interval, gaps


@pytest.mark.parametrize(("shift", "share"), [(0.0, 1.0), (0.02, 1.0), (0.1, 1.0), (0.2, 0.1)])
def test_the_interval_of_the_ece_holds_the_estimate_and_the_truth(shift, share):
    """Probabilities too low by ``shift`` in the highest ``share`` of rows; percentiles of draws cover 0 never."""
    random, n, covered, wrong_before = np.random.default_rng(4), 800, 0, 0
    for _ in range(50):
        p = random.beta(2, 5, n)
        real = np.where(p >= np.quantile(p, 1 - share), np.clip(p + shift, 0, 1), p)
        table = Tabulated(random.random(n) < real, p)
        bins = bins_of(table.counts(np.ones(n)), 10)
        found = gaps(table.counts(np.ones(n)), bins)
        draws = np.array([gaps(table.counts(w), bins) for w in random.multinomial(n, np.full(n, 1 / n), 100) * 1.0])
        low, high = ece_interval(found, draws, 0.025)
        assert 0 <= low <= np.abs(found).sum() <= high <= 1
        covered += low <= (real - p).mean() <= high
        wrong_before += not np.quantile(np.abs(draws).sum(axis=1), 0.025) <= np.abs(found).sum()
    assert covered >= 43
    assert shift or wrong_before > 3


def test_the_interval_of_the_ece_is_the_inverted_test():
    """Slowly: sizes on a grid, each kept if the ECE found is inside the tails of what it would give."""
    random = np.random.default_rng(6)
    found = np.array([0.03, -0.01, 0.002])
    draws = found + random.normal(0, 0.01, (300, 3))
    noise = draws - found
    shrunk = found * np.maximum(0, 1 - noise.var(axis=0) / found**2)
    kept = [
        size
        for shape in (found, shrunk)
        for size in np.linspace(0, 0.2, 2_001)
        if np.quantile(np.abs(size * shape / np.abs(shape).sum() + noise).sum(axis=1), 0.05)
        <= np.abs(found).sum()
        <= np.quantile(np.abs(size * shape / np.abs(shape).sum() + noise).sum(axis=1), 0.95)
    ]
    assert ece_interval(found, draws, 0.05) == pytest.approx((min(kept), max(kept)), abs=2e-4)


def test_the_interval_of_an_ece_of_nothing_is_short():
    y = np.arange(40) % 2 == 0
    row = evaluate_classifier(y, y.astype(float), replicates=20).filter(pl.col("metric") == "ece").row(0, named=True)
    assert (row["low"], row["value"], row["high"]) == (0, 0, 0)
    balanced = evaluate_classifier(y, np.full(40, 0.5), replicates=50).filter(pl.col("metric") == "ece")
    assert balanced.select("value", "low").row(0) == (0, 0)
    assert 0.05 < balanced["high"].item() < 0.4
