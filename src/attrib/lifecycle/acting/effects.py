"""How much each action changes the chance to advance: one model for each action, and where none can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError
from attrib.extras import needs
from attrib.lifecycle.acting.policy import NOTHING
from attrib.lifecycle.base.calibrated import Calibrated, Recipe, fit_calibrated, one_thread
from attrib.lifecycle.base.labels import customer_folds

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
NOBODY = "no similar customer ever got it"
HARDLY = "hardly any similar customer ever got it"
ALWAYS = "hardly any similar customer was ever left alone"


@dataclass(frozen=True, slots=True)
class History:
    """Decisions of the past: a row each, with the stage's number (all 0 without stages).

    ``weight``: inverse of the chance of the action taken; None where chances are not known.
    """

    matrix: Floats
    actions: tuple[str, ...]
    taken: Integers
    advanced: Bools
    stage: Integers
    stages: int
    codes: Integers
    weight: Floats | None


@dataclass(frozen=True, slots=True)
class Effects:
    """A model for each action that has one, one of all rows, and how often each stage got each action.

    ``arms``: by action; ``why``: why an action has no model; ``similar`` [stages, actions]; ``shares`` [actions];
    ``chances``: the chance of each action given the features, as it was taken.
    """

    actions: tuple[str, ...]
    everybody: Calibrated
    arms: dict[str, Calibrated]
    why: dict[str, str]
    similar: Integers
    shares: Floats
    slopes: Floats
    offsets: Floats

    def propensities(self, matrix: Floats) -> Floats:
        """Chance of each action, [n, actions], as it was taken in the past."""
        score = np.tile(self.offsets, (len(matrix), 1))
        for at, column in enumerate(matrix.T):  # column by column: a row's sum does not depend on the others
            score += column[:, None] * self.slopes[:, at]
        score = np.exp(score - score.max(axis=1, keepdims=True))
        return np.asarray(score / score.sum(axis=1, keepdims=True))


def fit_effects(history: History, recipe: Recipe, min_support: int) -> Effects:
    """Fit a calibrated model to the rows of each action, and one to all rows.

    Raises
    ------
    DataError
        ``no_baseline`` where too few customers were left alone to compare with; ``too_few_of_a_class``.
    """
    everybody, _ = fit_calibrated(
        recipe,
        history.matrix,
        history.advanced,
        customer_folds(history.advanced, history.codes, recipe.folds, recipe.seed),
    )
    arms: dict[str, Calibrated] = {}
    why: dict[str, str] = {}
    for number, action in enumerate(history.actions):
        rows = history.taken == number
        if rows.sum() < min_support:
            why[action] = f"only {rows.sum()} customers ever got it"
            continue
        _, own = np.unique(history.codes[rows], return_inverse=True)
        try:
            fold = customer_folds(history.advanced[rows], own, recipe.folds, recipe.seed)
        except DataError:
            advanced = int(history.advanced[rows].sum())
            why[action] = f"{advanced} of the {rows.sum()} customers who got it advanced: too few, or too many"
            continue
        weight = None if history.weight is None else history.weight[rows] / history.weight[rows].mean()
        arms[action], _ = fit_calibrated(recipe, history.matrix[rows], history.advanced[rows], fold, weight)
    if NOTHING not in arms:
        raise DataError(
            "no_baseline",
            f"customers left alone: {why.get(NOTHING, 'none')}",
            hint="an action is compared with doing nothing: rows whose action is null",
        )
    similar = np.zeros((history.stages, len(history.actions)), dtype=np.int64)
    # customers, not rows: one who is there at ten dates is one customer
    each = np.unique(np.column_stack([history.stage, history.taken, history.codes]), axis=0)
    np.add.at(similar, (each[:, 0], each[:, 1]), 1)
    shares = np.bincount(history.taken, minlength=len(history.actions)) / len(history.taken)
    slopes, offsets = _assignment(history)
    return Effects(history.actions, everybody, arms, why, similar, shares, slopes, offsets)


def _assignment(history: History) -> tuple[Floats, Floats]:
    """Slopes [actions, p] and offsets [actions] of the log odds of each action (multinomial logistic regression)."""
    k = len(history.actions)
    if k == 1:
        return np.zeros((1, history.matrix.shape[1])), np.zeros(1)
    with one_thread():
        model = needs("sklearn.linear_model").LogisticRegression(solver="newton-cholesky", max_iter=500)
        model.fit(history.matrix, history.taken)
    if k == 2:  # of two, the second against the first
        zeros = np.zeros_like(model.coef_)
        return np.vstack([zeros, model.coef_]), np.append(0.0, model.intercept_)
    return model.coef_, model.intercept_


def change(
    effects: Effects,
    action: str,
    matrix: Floats,
    stage: Integers,
    propensities: Floats,
    *,
    min_support: int,
    min_overlap: float,
) -> tuple[Floats, pl.Series]:
    """Chance to advance after the action, [n], NaN where nothing can be said; and why not.

    ``stage`` is -1 for customers of a stage that the decisions do not know.
    """
    nothing = effects.actions.index(NOTHING)
    why: list[str | None] = []
    for number in range(len(effects.similar)):
        got = int(effects.similar[number, effects.actions.index(action)]) if action in effects.actions else 0
        alone = int(effects.similar[number, nothing])
        why.append(_refusal(got, alone, min_support) or effects.why.get(action))
    reasons = _spread(stage, [*why, NOBODY])  # the last one, -1: a stage of which nothing is known
    if action not in effects.arms:
        return np.full(len(matrix), np.nan), reasons
    number = effects.actions.index(action)
    rare = propensities[:, number] < min_overlap * effects.shares[number]
    never_alone = propensities[:, nothing] < min_overlap * effects.shares[nothing]
    for mask, text in ((rare, HARDLY), (never_alone, ALWAYS)):
        reasons = reasons.to_frame("r").select(
            pl.when(pl.col("r").is_null() & pl.Series(mask)).then(pl.lit(text)).otherwise("r").alias("r")
        )["r"]
    values = np.where(reasons.is_null().to_numpy(), effects.arms[action].probability(matrix), np.nan)
    return values, reasons


def _spread(stage: Integers, texts: Sequence[str | None]) -> pl.Series:
    return pl.Series(texts, dtype=pl.String)[np.where(stage < 0, len(texts) - 1, stage)]


def _refusal(got: int, alone: int, min_support: int) -> str | None:
    if got == 0:
        return NOBODY
    if got < min_support:
        return f"only {got} similar customer{'s' if got > 1 else ''} ever got it"
    if alone < min_support:
        return f"only {alone} similar customer{'s were' if alone != 1 else ' was'} ever left alone"
    return None
