"""Being asked to refer is a treatment: who was asked, with what chance, and a model of either side."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from attrib.errors import DataError, SpecError, warn
from attrib.io.text import clean
from attrib.lifecycle.base.beside import read_flags, read_numbers
from attrib.lifecycle.base.calibrated import Calibrated, Recipe, fit_calibrated
from attrib.lifecycle.base.labels import Bools, Floats, Integers, customer_folds


def read_treatment(table: pl.DataFrame, asked: Any, propensity: Any) -> tuple[Bools | None, Floats | None]:
    """Who was asked, and the chance each had of that."""
    if asked is None:
        if propensity is not None:
            raise SpecError("bad_parameter", "propensity is given, but not asked", hint="pass both")
        return None, None
    treated = read_flags("asked", asked, table.height)
    for column in table.select(pl.selectors.numeric() | pl.selectors.boolean()):
        if (column.cast(pl.Float64) == pl.Series(treated.astype(np.float64))).all(ignore_nulls=False):
            raise SpecError(
                "treatment_in_features",
                f"column {clean(column.name, 80)!r} is asked itself",
                hint="being asked is a treatment: leave it out of the features",
            )
    if propensity is None:
        return treated, None
    chance = np.full(table.height, propensity) if np.ndim(propensity) == 0 else propensity
    chance = read_numbers("propensity", chance, table.height)
    wrong = int(((chance <= 0) | (chance >= 1)).sum())
    if wrong:
        raise DataError(
            "no_support",
            f"{wrong} of {len(chance)} propensities are not between 0 and 1",
            hint="leave out customers who could not be asked, or were sure to be: of them nothing can be compared",
        )
    return treated, chance


def fit_arms(
    recipe: Recipe, matrix: Floats, positive: Bools, codes: Integers, treated: Bools, chance: Floats | None
) -> dict[str, tuple[Calibrated, Floats | None]]:
    """Fit one classifier of those asked and one of the others, with their weights."""
    if chance is not None:
        inverse = treated / chance  # has mean 1 if the propensities are true
        if abs(inverse.mean() - 1) > 4 * np.sqrt(((1 - chance) / chance).sum()) / len(chance):
            warn(f"propensities do not fit who was asked: inverse weights have a mean of {inverse.mean():.2f}, not 1")
    out = {}
    for name, rows in (("asked", treated), ("not_asked", ~treated)):
        weight = None
        if chance is not None:
            weight = 1 / (chance[rows] if name == "asked" else 1 - chance[rows])
            weight = weight / weight.mean()  # the penalty keeps its meaning
        _, own = np.unique(codes[rows], return_inverse=True)
        if not rows.any() or positive[rows].all() or not positive[rows].any():
            raise DataError("one_class", f"customers {name.replace('_', ' ')}: y is the same in all {rows.sum()} rows")
        fold = customer_folds(positive[rows], own, recipe.folds, recipe.seed)
        out[name] = fit_calibrated(recipe, matrix[rows], positive[rows], fold, weight)[0], weight
    return out


def arm_facts(rows: Bools, positive: Bools, count: Floats | None, weight: Floats | None) -> dict[str, float]:
    """Facts that `report_` holds of an arm."""
    facts = {"rows": int(rows.sum()), "share": float(positive[rows].mean())}
    if weight is not None:
        facts["effective_rows"] = float(weight.sum() ** 2 / (weight**2).sum())
    if count is not None:
        facts["count_given_any"] = float(count[rows & positive].mean())
    return facts
