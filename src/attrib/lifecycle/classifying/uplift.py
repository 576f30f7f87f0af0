"""How certain the difference between those asked and those not asked is: errors of two logistic regressions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit

from attrib.errors import DataError
from attrib.lifecycle.base.calibrated import Calibrated
from attrib.lifecycle.base.labels import Bools, Floats, Integers
from attrib.values import normal_quantile


def errors_of_arms(
    arms: Mapping[str, tuple[Calibrated, Floats | None]],
    C: float,
    matrix: Floats,
    positive: Bools,
    codes: Integers,
    treated: Bools,
) -> dict[str, Floats]:
    """Covariances of the coefficients of both sides, from their models and weights; none for trees."""
    out = {}
    for name, (model, weight) in arms.items():
        own = treated == (name == "asked")
        found = _arm_errors(model, C, matrix[own], positive[own], codes[own], weight)
        if found is not None:
            out[name] = found
    return out


def _arm_errors(
    model: Calibrated, C: float, matrix: Floats, positive: Bools, codes: Integers, weight: Floats | None
) -> Floats | None:
    """Covariance [p + 1, p + 1] of the coefficients of a logistic regression, over customers; None for trees.

    A sandwich: customers may have several rows, and weights are no counts.
    """
    if model.coefficients is None:
        return None
    columns = np.column_stack([matrix, np.ones(len(matrix))])
    weights = np.ones(len(matrix)) if weight is None else weight
    chance = expit(model.scores(matrix))
    information = (columns * (weights * chance * (1 - chance))[:, None]).T @ columns
    information[np.arange(matrix.shape[1]), np.arange(matrix.shape[1])] += 1 / C  # the penalty
    scores = columns * (weights * (positive - chance))[:, None]
    _, own = np.unique(codes, return_inverse=True)
    sums = np.zeros((int(own.max()) + 1, columns.shape[1]))
    np.add.at(sums, own, scores)
    inverse = np.linalg.pinv(information, hermitian=True)
    found: Floats = inverse @ (sums.T @ sums) @ inverse * (len(sums) / max(len(sums) - 1, 1))
    return found


def read_errors(array: Any, columns: int) -> Floats:
    """Take the covariance of one side from a file.

    Raises
    ------
    DataError
        ``bad_model``.
    """
    found = np.asarray(array)
    whole = found.dtype == np.float64 and found.shape == (columns + 1, columns + 1) and np.isfinite(found).all()
    if not whole or (np.diagonal(found) < 0).any():
        raise DataError("bad_model", "a stored ReferralLikelihood has errors that do not fit")
    return found


def _error(models: Mapping[str, Calibrated], errors: Mapping[str, Floats], matrix: Floats) -> tuple[Floats, ...]:
    """Uplift of the regressions before calibration, its standard error [n], and of the mean of all rows."""
    columns = np.column_stack([matrix, np.ones(len(matrix))])
    middle, variance, of_mean = np.zeros(len(matrix)), np.zeros(len(matrix)), 0.0
    for name, sign in (("asked", 1.0), ("not_asked", -1.0)):
        chance = expit(models[name].scores(matrix))
        middle += sign * chance
        slope = (chance * (1 - chance))[:, None] * columns
        variance += np.einsum("ij,ij->i", slope @ errors[name], slope)
        mean = slope.mean(axis=0)
        of_mean += float(mean @ errors[name] @ mean)
    return middle, np.sqrt(np.maximum(variance, 0.0)), np.array([np.sqrt(max(of_mean, 0.0))])


def uplift_table(
    models: Mapping[str, Calibrated], errors: Mapping[str, Floats], matrix: Floats, level: float
) -> pl.DataFrame:
    """Probabilities if asked and if not, their difference, and its interval, with the calibrated uplift in it.

    ``uplift_low, uplift_high`` are null where there are no errors.
    """
    z = normal_quantile(level)
    yes, no = (models[name].probability(matrix) for name in ("asked", "not_asked"))
    low = high = np.full(len(matrix), np.nan)
    if errors:
        middle, error, _ = _error(models, errors, matrix)
        low, high = np.minimum(middle - z * error, yes - no), np.maximum(middle + z * error, yes - no)
    columns = {"if_asked": yes, "if_not_asked": no, "uplift": yes - no, "uplift_low": low, "uplift_high": high}
    return pl.DataFrame(columns).with_columns(pl.col("uplift_low", "uplift_high").fill_nan(None))


def mean_uplift(models: Mapping[str, Calibrated], errors: Mapping[str, Floats], matrix: Floats) -> dict[str, float]:
    """Uplift, mean over rows, with a 95 % interval."""
    middle, _, error = _error(models, errors, matrix)
    mean = float((models["asked"].probability(matrix) - models["not_asked"].probability(matrix)).mean())
    wide = normal_quantile(0.95) * float(error[0])
    ends = (float(middle.mean()) - wide, float(middle.mean()) + wide)
    return {"mean": mean, "low": min(mean, ends[0]), "high": max(mean, ends[1])}
