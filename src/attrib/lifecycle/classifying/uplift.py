"""How certain the difference between those asked and those not asked is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from attrib.errors import DataError
from attrib.lifecycle.base.calibrated import Calibrated
from attrib.lifecycle.base.difference import DifferenceErrors, difference, influence
from attrib.lifecycle.base.labels import Bools, Floats, Integers

ERRORS = ("asked.errors", "not_asked.errors", "between.errors")  # arrays of a saved model


def errors_of_arms(
    arms: Mapping[str, tuple[Calibrated, Floats | None]],
    C: float,
    matrix: Floats,
    positive: Bools,
    codes: Integers,
    treated: Bools,
) -> DifferenceErrors | None:
    """Covariances of the coefficients of both sides, from their models and weights; none for trees."""
    moved = {}
    for name, (model, weight) in arms.items():
        own = treated == (name == "asked")
        moved[name] = influence(model, C, matrix[own], positive[own], codes[own], weight)
    return DifferenceErrors.of(moved["asked"], moved["not_asked"])


def uplift_table(
    models: Mapping[str, Calibrated], errors: DifferenceErrors | None, matrix: Floats, level: float
) -> pl.DataFrame:
    """Probabilities if asked and if not, their difference, and its interval, with the calibrated uplift in it.

    ``uplift_low, uplift_high`` are null where there are no errors.
    """
    found = difference(models["asked"], models["not_asked"], errors, matrix, level)
    return pl.DataFrame(
        {
            "if_asked": found.one, "if_not_asked": found.other, "uplift": found.one - found.other,
            "uplift_low": found.low, "uplift_high": found.high,
        }
    ).with_columns(pl.col("uplift_low", "uplift_high").fill_nan(None))  # fmt: skip


def mean_uplift(models: Mapping[str, Calibrated], errors: DifferenceErrors, matrix: Floats) -> dict[str, float]:
    """Uplift, mean over rows, with a 95 % interval."""
    found = difference(models["asked"], models["not_asked"], errors, matrix, 0.95)
    return {"mean": float((found.one - found.other).mean()), "low": found.mean_low, "high": found.mean_high}


def read_errors(arrays: Any, columns: int) -> DifferenceErrors | None:
    """Take the errors of both sides from a file; trees have none.

    Raises
    ------
    DataError
        ``bad_model``.
    """
    parts = [arrays[name] for name in ERRORS if name in arrays]
    if not parts:
        return None
    if len(parts) < len(ERRORS):
        raise DataError("bad_model", "a stored ReferralLikelihood has some of its errors only")
    found = DifferenceErrors(*parts)
    found.check(columns)
    return found
