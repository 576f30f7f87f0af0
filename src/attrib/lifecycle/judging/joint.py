"""What features know of a label together: boosted trees, a linear model, and marks that few rows bear each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.special import betaincinv

from attrib.extras import needs
from attrib.lifecycle.base.calibrated import one_thread
from attrib.lifecycle.base.labels import Bools, Floats, Integers, customer_folds
from attrib.lifecycle.judging.power import SETTLED, area, dense, plain, sure_ratio

ROWS = 20_000  # rows, drawn by the seed, that tell how good all features are together
FOLDS = 3
TOGETHER = (1, 2, 3, 5, 8)  # features of a combination
_ENOUGH = 20  # rows of a class in a leaf
_USUAL = 0.5  # share of the rows with the commonest value, from which the other values of a feature may be marks
_LEAST = 3  # rows of other folds with a value, from which it may be a mark
_PART = 0.01  # of a class: what a feature of a group settles that none before it does


def marking_group(cells: Mapping[str, Integers], positive: Bools, fold: Integers, folds: int) -> list[str]:
    """Features of which none settles much of a class, and all together do: marks that few rows bear each.

    A value that some rows have, while most have another one, is a mark of a class where all but none of the rows of
    other folds that have it are of the other class. What rows of this fold with any such mark are then says whether
    marks mean anything: honest values that a few rows have are of one class in other folds by chance, and here are not.

    Returns
    -------
    list of str
        The features with the marks, those of most rows first; empty where marks settle too little.
    """
    share, rarer = float(positive.mean()), int(positive.mean() < 0.5)
    usual = {name: np.bincount(cell) for name, cell in cells.items()}
    able = {name: cell for name, cell in cells.items() if usual[name].max() >= _USUAL * len(cell)}
    for side, members in ((0, ~positive), (1, positive)):
        # how often the other class may occur among the rows with marks
        ratio = sure_ratio(rarer=side == rarer) * (1 - share if side else share)
        marked: dict[str, Bools] = {}
        for name, cell in able.items():
            width = len(usual[name])
            rows = _of_other_folds(fold, cell, folds, width)
            others = _of_other_folds(fold[~members], cell[~members], folds, width)
            pure = (rows >= _LEAST) & (others <= ratio * rows)
            pure[:, usual[name].argmax()] = False
            marked[name] = np.asarray(pure[fold, cell], dtype=np.bool_)
        taken, names = np.zeros_like(positive), []
        for name, mark in sorted(marked.items(), key=lambda item: -int((item[1] & members).sum())):
            if (mark & members & ~taken).sum() >= _PART * members.sum():
                taken |= mark
                names.append(name)
        right, wrong = int((taken & members).sum()), int((taken & ~members).sum())
        sure = right > 0 and betaincinv(wrong + 1, right, 0.975) <= ratio  # Clopper and Pearson
        if sure and right >= SETTLED[side != rarer] * members.sum():
            return names
    return []


def _of_other_folds(fold: Integers, cell: Integers, folds: int, width: int) -> Integers:
    """Rows of each cell in all folds but one, [folds, width]."""
    rows = np.bincount(fold * width + cell, minlength=folds * width).reshape(folds, width)
    return np.asarray(rows.sum(axis=0) - rows, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Joint:
    """Boosted trees over some of the features, and how well they predict rows of unseen customers.

    Parameters
    ----------
    columns : dict
        Rank of each feature's values, [n]; null last.
    positive : bool [n]
    fold : int [n]
    folds, seed : int
    rows : int [n]
        Which rows of the table these are.
    """

    columns: dict[str, Floats]
    positive: Bools
    fold: Integers
    folds: int
    seed: int
    rows: Integers

    @classmethod
    def draw(cls, table: pl.DataFrame, positive: Bools, customers: Integers, folds: int, seed: int) -> Joint:
        """Take at most `ROWS` rows."""
        rows = np.arange(table.height)
        if table.height > ROWS:
            rng = np.random.default_rng(seed)
            # as many of the rarer class as there are, up to half: ranking does not depend on the mix of classes
            few, many = sorted((np.flatnonzero(positive), np.flatnonzero(~positive)), key=len)
            few = rng.permutation(few)[: ROWS // 2]
            rows = np.sort(np.concatenate([few, rng.permutation(many)[: ROWS - len(few)]]))
        # ranks are all that trees look at, and know neither null nor infinity
        columns = {name: dense(plain(table[name])[rows]).astype(np.float64) for name in table.columns}
        positive = positive[rows]
        _, codes = np.unique(customers[rows], return_inverse=True)
        return cls(columns, positive, customer_folds(positive, codes, folds, seed), folds, seed, rows)

    def auc(self, names: Sequence[str]) -> float:
        """AUC of these features, mean over folds."""
        return self._measure(names, shuffled=False)[0] if names else 0.5

    def losses(self, names: Sequence[str]) -> dict[str, float]:
        """How much AUC falls when one feature of unseen rows is shuffled."""
        auc, shuffled = self._measure(names, shuffled=True)
        return {name: auc - value for name, value in zip(names, shuffled, strict=True)}

    def _measure(self, names: Sequence[str], *, shuffled: bool) -> tuple[float, Floats]:
        kind = needs("sklearn.ensemble").HistGradientBoostingClassifier
        matrix = np.column_stack([self.columns[name] for name in names])
        aucs: list[float] = []
        mixed: list[list[float]] = []
        rng = np.random.default_rng(self.seed)
        least = int(np.clip(min(self.positive.sum(), (~self.positive).sum()) // 10, 1, _ENOUGH))  # of rare labels
        with one_thread():
            for number in range(self.folds):
                test = np.flatnonzero(self.fold == number)
                rest = self.fold != number
                model = kind(
                    learning_rate=0.2,
                    max_iter=40,
                    max_leaf_nodes=8,
                    min_samples_leaf=least,
                    early_stopping=False,
                    random_state=self.seed,
                ).fit(matrix[rest], self.positive[rest])
                unseen = self.positive[test]
                aucs.append(area(model.decision_function(matrix[test]), unseen, ~unseen)[0])
                if shuffled:  # one call for all: a call costs more than its rows
                    other = np.tile(matrix[test], (len(names), 1)).reshape(len(names), len(test), len(names))
                    for at in range(len(names)):
                        other[at, :, at] = rng.permutation(other[at, :, at])
                    scores = model.decision_function(other.reshape(-1, len(names))).reshape(len(names), -1)
                    mixed.append([area(row, unseen, ~unseen)[0] for row in scores])
        return float(np.mean(aucs)), np.reshape(mixed, (self.folds, -1)).mean(axis=0)


def linear_scores(matrix: Floats, positive: Bools, fold: Integers, folds: int) -> tuple[Floats, Floats]:
    """Log odds of each row by a logistic regression of other folds, and how much each column moves them.

    All but unpenalised: differences of large numbers, such as of two dates, are seen.
    """
    kind = needs("sklearn.linear_model").LogisticRegression
    scores, moved = np.zeros(len(matrix)), np.zeros(matrix.shape[1])
    with one_thread():
        for number in range(folds):
            test, rest = fold == number, fold != number
            if test.any() and len(np.unique(positive[rest])) == 2:
                model = kind(C=1e4, solver="newton-cholesky", max_iter=100, tol=1e-3).fit(matrix[rest], positive[rest])
                scores[test] = model.decision_function(matrix[test])
                moved += np.abs(model.coef_[0])
    return scores, moved * matrix.std(axis=0)


def numbers_of(table: pl.DataFrame) -> Floats:
    """Columns of numbers about their means and by their spread, [n, columns]; null and infinity are 0, the mean."""
    matrix = table.select(pl.all().cast(pl.Float64).fill_nan(None)).to_numpy()
    matrix = np.where(np.isfinite(matrix), matrix, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of columns without a number
        middle, spread = np.nanmean(matrix, axis=0), np.nanstd(matrix, axis=0)
    return np.asarray(np.nan_to_num((matrix - middle) / np.where(spread > 0, spread, 1.0)), dtype=np.float64)


def fewest_together(
    joint: Joint, left: Sequence[str], auc: float, together: float, table: pl.DataFrame
) -> tuple[list[str], float]:
    """Return the fewest features, at most eight, that reach ``together`` by themselves, and their AUC; or none.

    Trees see what features know in any form, and sums of many steps badly: a linear model looks for sums.
    """
    measure: Callable[[list[str]], float]
    if auc >= together:
        losses, measure = joint.losses(left), joint.auc
    else:
        plain = [name for name in left if table.schema[name].is_numeric() or table.schema[name] == pl.Boolean]
        rows = table[joint.rows]

        def measure(names: list[str]) -> float:
            scores, _ = linear_scores(numbers_of(rows.select(names)), joint.positive, joint.fold, joint.folds)
            return area(scores, joint.positive, ~joint.positive)[0]

        if len(plain) < 2 or measure(plain) < together:
            return [], auc
        _, moved = linear_scores(numbers_of(rows.select(plain)), joint.positive, joint.fold, joint.folds)
        losses = dict(zip(plain, moved, strict=True))
    best = sorted(losses, key=lambda name: -losses[name])[: TOGETHER[-1]]
    for size in sorted({min(size, len(best)) for size in TOGETHER}):
        found = measure(best[:size])
        if found >= together:
            return best[:size], found
    return [], auc
