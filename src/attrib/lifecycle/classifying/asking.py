"""Being asked to refer is a treatment: who was asked, with what chance, and a model of either side."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl

from attrib.errors import DataError, SpecError, warn
from attrib.lifecycle.base.beside import read_flags, read_numbers
from attrib.lifecycle.base.calibrated import Calibrated, Recipe, fit_calibrated, note_one_probability
from attrib.lifecycle.base.design import spell
from attrib.lifecycle.base.labels import Bools, Floats, Integers, customer_folds
from attrib.lifecycle.judging.leaks import STRONG
from attrib.lifecycle.judging.power import SETTLED, cell_codes, plain, power_of

CAUSAL = "causal: the chance of being asked was known"
ASSOCIATION = "association, not causal: who was asked was neither drawn at random nor logged with its chance"
UNFIT = "the stated chances do not fit who was asked"
TOLD = "features all but tell who was asked"
_WITHDRAWN = tuple(f"association, not causal: {reason}" for reason in (UNFIT, TOLD, f"{UNFIT}; {TOLD}"))
MEANINGS = (CAUSAL, ASSOCIATION, *_WITHDRAWN)
FAR = 4.0  # standard errors between the mean of inverse weights and 1, from which on chances are not believed ...
LEAST = 0.02  # ... if the mean is off by as much, too: of millions of rows, rounded chances are far in standard errors
_ASKS = re.compile(r"(?:^|[^a-z])ask(?:s|ed)?(?:$|[^a-z])", re.IGNORECASE)  # touches:referral_ask, asked, was_asked


def read_treatment(table: pl.DataFrame, asked: Any, propensity: Any) -> tuple[Bools | None, Floats | None]:
    """Who was asked, and the chance each had of that."""
    if asked is None:
        if propensity is not None:
            raise SpecError("bad_parameter", "propensity is given, but not asked", hint="pass both")
        return None, None
    treated = read_flags("asked", asked, table.height)
    telling = [column.name for column in table if _tells(column, treated)]
    if telling:
        raise SpecError(
            "treatment_in_features",
            f"features tell in every row who was asked: {spell(telling)}",
            hint="being asked is a treatment: leave it out of the features, and whatever records it; "
            "where it is a rule by which customers were asked, no two of them can be compared",
            columns=telling,
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


def _tells(column: pl.Series, treated: Bools) -> bool:
    """Whether a limit between two numbers, two texts, or null and not null, part those asked from the others."""
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        return False  # the design refuses it
    values = plain(column)
    if values.dtype == pl.String:
        values = values.rank("dense").cast(pl.Float64)
        if (values.max() or 0) > 2:  # type: ignore[operator] # of numbers
            return False  # more texts have no order
    numbers = values.to_numpy()
    null = np.isnan(numbers)
    sides = [(numbers[~null & side], null & side) for side in (treated, ~treated)]
    if all(nulls.any() for _, nulls in sides) or not treated.any() or treated.all():
        return False
    (asked, _), (others, _) = sides
    if not len(asked) or not len(others):
        return bool(null.any())  # ... and the nulls are all of the other side
    return bool(asked.min() > others.max() or asked.max() < others.min())


def meaning_of(chance: Floats | None, *, unfit: bool, told: bool) -> str:
    """What an uplift means: causal where chances are known and no check of them failed.

    Examples
    --------
    >>> meaning_of(np.array([0.3]), unfit=True, told=False)
    'association, not causal: the stated chances do not fit who was asked'
    """
    if chance is None:
        return ASSOCIATION
    reasons = "; ".join(reason for reason, failed in ((UNFIT, unfit), (TOLD, told)) if failed)
    return f"association, not causal: {reasons}" if reasons else CAUSAL


def check_chances(treated: Bools, chance: Floats) -> bool:
    """Warn of chances that do not fit who was asked, and return whether they do not.

    Of true chances, one over the chance of what happened to a customer, summed over those asked, or over the others,
    has the number of all customers as its mean.
    """
    far = []
    for whom, rows, own in (("asked", treated, chance), ("not asked", ~treated, 1 - chance)):
        mean = float((rows / own).mean())
        error = float(np.sqrt(((1 - own) / own).sum()) / len(own))
        if abs(mean - 1) > max(FAR * error, LEAST):
            far.append(f"{mean:.2f} of those {whom}")
    if far:
        warn(
            f"propensities do not fit who was asked: inverse weights have a mean of {' and '.join(far)}, not 1; "
            "uplift is called an association, not causal"
        )
    return bool(far)


def check_overlap(table: pl.DataFrame, treated: Bools, folds: int, seed: int) -> bool:
    """Warn of features that all but tell who was asked: an ask recorded late, or customers who could not be asked.

    Returns whether there are any.
    """
    rarer = int(treated.mean() < 0.5)
    fold = np.random.default_rng(seed).permutation(len(treated)) % folds
    found = []
    for column in table:
        one = power_of(cell_codes(column), treated, fold, folds)
        if one.low >= STRONG or one.settled[rarer] >= SETTLED[0] or one.settled[1 - rarer] >= SETTLED[1]:
            found.append(column.name)
    if found:
        warn(
            f"{len(found)} of {table.width} features all but tell who was asked: {spell(found)}; leave out what "
            "records the asking, and customers who could not have been asked: uplift compares like with like"
        )
    return bool(found)


def note_asks(names: Iterable[str]) -> None:
    """Warn of features that by their names count requests to refer, where nothing is said of who was asked."""
    asks = [name for name in names if _ASKS.search(name)]
    if asks:
        warn(
            f"{spell(asks)}: being asked to refer is a treatment, and no trait of a customer; pass asked= to fit "
            "(attrib.lifecycle.referral_targets finds it), or leave these features out"
        )


def fit_arms(
    recipe: Recipe, matrix: Floats, positive: Bools, codes: Integers, treated: Bools, chance: Floats | None
) -> dict[str, tuple[Calibrated, Floats | None]]:
    """Fit one classifier of those asked and one of the others, with their weights."""
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
        note_one_probability(out[name][0].probability(matrix[rows]), f"customers {name.replace('_', ' ')}: ")
    return out


def arm_facts(rows: Bools, positive: Bools, count: Floats | None, weight: Floats | None) -> dict[str, float]:
    """Facts that `report_` holds of an arm."""
    facts = {"rows": int(rows.sum()), "share": float(positive[rows].mean())}
    if weight is not None:
        facts["effective_rows"] = float(weight.sum() ** 2 / (weight**2).sum())
    if count is not None:
        facts["count_given_any"] = float(count[rows & positive].mean())
    return facts
