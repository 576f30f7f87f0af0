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
from attrib.lifecycle.base.difference import DifferenceErrors, Influence, difference, influence
from attrib.lifecycle.base.labels import customer_folds

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
NOBODY = "no similar customer ever got it"
HARDLY = "hardly any similar customer ever got it"
ALWAYS = "hardly any similar customer was ever left alone"
CHANGES = ("chance_if", "chance_if_not", "change", "change_low", "change_high")


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

    ``arms``: by action; ``why``: why an action has no model; ``errors``: of the arm less that of nobody's action;
    ``similar`` [stages, actions]; ``shares`` [actions]; ``slopes``, ``offsets``: of the chance of each action given the
    features, as it was taken.
    """

    actions: tuple[str, ...]
    everybody: Calibrated
    arms: dict[str, Calibrated]
    why: dict[str, str]
    errors: dict[str, DifferenceErrors | None]
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
    moved: dict[str, Influence | None] = {}
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
            got, went = int(rows.sum()), int(history.advanced[rows].sum())
            why[action] = f"{went} of the {got} customers who got it advanced: too few, or too many"
            continue
        weight = None if history.weight is None else history.weight[rows] / history.weight[rows].mean()
        matrix, label = history.matrix[rows], history.advanced[rows]
        arms[action], _ = fit_calibrated(recipe, matrix, label, fold, weight)
        moved[action] = influence(arms[action], recipe.C, matrix, label, history.codes[rows], weight)
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
    errors = {action: DifferenceErrors.of(found, moved[NOTHING]) for action, found in moved.items()}
    return Effects(history.actions, everybody, arms, why, errors, similar, shares, slopes, offsets)


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
    *,
    min_support: int,
    min_overlap: float,
    level: float,
) -> pl.DataFrame:
    """What the action changes for each row: ``chance_if, chance_if_not, change, change_low, change_high, reason``.

    The numbers are null where nothing can be said, and the reason tells why. ``stage`` is -1 for customers of a stage
    that the decisions do not know.
    """
    nothing = effects.actions.index(NOTHING)
    number = effects.actions.index(action) if action in effects.actions else -1
    why: list[str | None] = []
    for similar in effects.similar:
        got, alone = int(similar[number]) if number >= 0 else 0, int(similar[nothing])
        why.append(_refusal(got, alone, min_support) or effects.why.get(action))
    reason = pl.col("reason")
    rows = _spread(stage, [*why, NOBODY]).alias("reason").to_frame()  # the last: a stage of which nothing is known
    if action not in effects.arms:
        return rows.with_columns(pl.lit(None, pl.Float64).alias(name) for name in CHANGES)
    propensities = effects.propensities(matrix)
    rare = propensities[:, number] < min_overlap * effects.shares[number]
    never_alone = propensities[:, nothing] < min_overlap * effects.shares[nothing]
    for mask, text in ((rare, HARDLY), (never_alone, ALWAYS)):
        rows = rows.with_columns(
            pl.when(reason.is_null() & pl.Series(mask)).then(pl.lit(text)).otherwise(reason).alias("reason")
        )
    found = difference(effects.arms[action], effects.arms[NOTHING], effects.errors[action], matrix, level)
    values = (found.one, found.other, found.one - found.other, found.low, found.high)
    return rows.with_columns(
        pl.when(reason.is_null()).then(pl.Series(column).fill_nan(None)).alias(name)
        for name, column in zip(CHANGES, values, strict=True)
    )


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
