"""Intervals of the difference of two models: against refitting both to customers drawn anew, and what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import attrib
from attrib.lifecycle.base.calibrated import Recipe, fit_calibrated
from attrib.lifecycle.base.difference import DifferenceErrors, difference, influence

C = 1.0
POINTS = np.array([[0.0, 0.0], [1.0, -1.0], [-2.0, 0.5]])


def shared_luck(seed: int, customers: int, rows: int):
    """Rows of a customer share their luck, and are sent a mail by lot row by row: most customers are in both arms."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(customers), rows)
    matrix = rng.normal(size=(customers, 2))[who]
    luck = 1.5 * rng.normal(size=customers)[who]
    mailed = rng.random(len(who)) < 0.5
    advanced = rng.random(len(who)) < 1 / (1 + np.exp(-(matrix[:, 0] + luck + mailed)))
    return who, matrix, mailed, advanced


@pytest.mark.parametrize("rows", [1, 4])
def test_intervals_are_as_wide_as_refits_to_customers_drawn_anew_spread(rows):
    who, matrix, mailed, advanced = shared_luck(1, 300, rows)
    arms, moved = [], []
    for own in (mailed, ~mailed):
        model, _ = fit_calibrated(Recipe(calibration=None), matrix[own], advanced[own], None)
        arms.append(model)
        moved.append(influence(model, C, matrix[own], advanced[own], who[own], None))
    found = difference(*arms, DifferenceErrors.of(*moved), POINTS, 0.95)
    rng, draws = np.random.default_rng(2), []
    of_customer = [np.flatnonzero(who == code) for code in range(300)]
    for _ in range(300):
        some = np.concatenate([of_customer[code] for code in rng.integers(300, size=300)])
        chance = []
        for own in (mailed[some], ~mailed[some]):
            model = LogisticRegression(C=C).fit(matrix[some][own], advanced[some][own])
            chance.append(model.predict_proba(POINTS)[:, 1])
        draws.append(chance[0] - chance[1])
    spread = np.std(draws, axis=0)
    np.testing.assert_allclose((found.high - found.low) / (2 * 1.959964), spread, rtol=0.2)
    if rows > 1:  # what both arms share falls out of their difference: as much as this would be missed without
        apart = difference(*arms, _unrelated(DifferenceErrors.of(*moved)), POINTS[:1], 0.95)
        assert (apart.high - apart.low)[0] > 1.1 * (found.high - found.low)[0]


def _unrelated(errors):
    return DifferenceErrors(errors.one, errors.other, np.zeros_like(errors.one))


def test_trees_have_no_intervals_and_the_calibrated_difference_lies_within_those_of_others():
    who, matrix, mailed, advanced = shared_luck(3, 400, 1)
    arms, moved = [], []
    for own in (mailed, ~mailed):
        fold = np.arange(own.sum()) % 5
        model, _ = fit_calibrated(Recipe(), matrix[own], advanced[own], fold)
        arms.append(model)
        moved.append(influence(model, C, matrix[own], advanced[own], who[own], None))
    found = difference(*arms, DifferenceErrors.of(*moved), POINTS, 0.95)
    assert ((found.low <= found.one - found.other) & (found.one - found.other <= found.high)).all()
    assert found.mean_low <= (found.one - found.other).mean() <= found.mean_high
    model, _ = fit_calibrated(Recipe("boosting", None, max_iter=5), matrix[mailed], advanced[mailed], None)
    assert influence(model, C, matrix[mailed], advanced[mailed], who[mailed], None) is None
    none = difference(model, arms[1], None, POINTS, 0.95)
    assert np.isnan([*none.low, *none.high, none.mean_low, none.mean_high]).all()


def test_errors_from_a_file_are_checked():
    fine = np.eye(3)
    DifferenceErrors(fine, fine, np.zeros((3, 3))).check(2)
    for wrong in (np.eye(2), np.full((3, 3), np.nan), fine.astype(int)):
        with pytest.raises(attrib.DataError, match="errors"):
            DifferenceErrors(fine, wrong, fine).check(2)
    with pytest.raises(attrib.DataError, match="errors"):
        DifferenceErrors(-fine, fine, fine).check(2)
