"""Features that know more than they should: recorded after, or because of, what is to be predicted.

Such a feature makes a model look brilliant on the data at hand and useless on the day it is needed. No statistic can
prove a leak; this report finds features whose power is implausible, and says how good the model is without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from attrib.errors import SpecError, brief, warn
from attrib.extras import needs
from attrib.io.text import clean
from attrib.lifecycle.base.beside import check_same_rows, read_customers
from attrib.lifecycle.base.calibrated import one_thread
from attrib.lifecycle.base.labels import (
    Bools,
    Floats,
    Integers,
    check_seed_and_folds,
    collected,
    customer_folds,
    read_labels,
)
from attrib.lifecycle.judging.power import Power, area, cell_codes, dense, plain, power_of, power_of_column, sure_cells

STRONG = 0.9  # AUC of one feature alone that few honest features reach
SETTLED = (0.1, 0.5)  # share of the rarer, of the commoner class that a feature settles, from which it is named
STAND_IN = 0.03  # loss of AUC without a feature, once the leaks are set aside, from which it stands in for them
_BESIDE = 0.1  # ... and at most this part of that loss while the leaks are there
_TELLS = 0.55  # ... and among rows of one label, AUC from which it tells the leak (lower end of the interval)
_JOINT_ROWS = 20_000  # rows, drawn by the seed, that tell how good all features are together
_JOINT_FOLDS = 3
_TOGETHER = (1, 2, 3, 5, 8)  # features of a combination
_USUAL = 0.5  # share of the rows with the commonest value, from which the other values of a feature may be marks
_PART = 0.01  # of a class: what a feature of a group settles that none before it does
_SHOWN = 5
_ENOUGH = 20  # rows of a kind, below which nothing is compared
_SCHEMA = {
    "feature": pl.String,
    "auc": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "told": pl.Float64,
    "settled": pl.Float64,
    "leak": pl.String,
    "auc_with": pl.Float64,
    "auc_without": pl.Float64,
}


def leak_report(
    X: Any, y: Any, *, customers: Any = None, threshold: float = STRONG, folds: int = 5, seed: int = 0
) -> pl.DataFrame:
    """Features with implausible power over the label, alone or together.

    Parameters
    ----------
    X : frame
        Features, a row each customer (and date); numbers, texts, true and false, dates.
    y : array-like
        Labels: true and false, 0 and 1, or two texts.
    customers : array-like, optional
        Whose row it is; rows of one customer are never on both sides of a split.
    threshold : float
        AUC of a feature alone from which on it is named (of the lower end of its interval).
    folds, seed : int
        How rows are dealt.

    Returns
    -------
    polars.DataFrame
        A row each feature, named ones first in the order they were set aside, then by ``auc``:

        - ``auc``, ``low``, ``high``: area under the ROC curve of the feature alone and its 95 % interval (DeLong,
          rows taken as independent). Numbers are cut into up to 64 cells of 100 rows or more; a cell's score is its
          rate of the label in other folds.
        - ``told``: share of the label's entropy that the feature tells, out of fold.
        - ``settled``: share of the rows of a class (of the two, the larger share) in cells where the other class all
          but never occurs: at most 5 % as often as among all rows, at 97.5 % confidence.
        - ``leak``: ``"strong"`` (``low`` reaches the threshold), ``"settles"`` (at least 10 % of the rarer class or
          50 % of the commoner one), ``"group"`` (of features that mostly hold one value, such as a column for each
          reason of leaving: none settles that much, all together do), ``"combination"`` (at most eight features that
          together reach the middle between threshold and 1; not found where each alone says nothing at all),
          ``"stand-in"`` (it works through a leak: as good as useless beside the leaks, worth at least .03 of AUC once
          they are set aside, and it tells the leak even among rows of one label, where a feature of its own power over
          the label could not), or null.
        - ``auc_with``, ``auc_without``: AUC of all features left, before and after this one (and those above it) is
          set aside: boosted trees on at most 20,000 rows in three folds.

    Raises
    ------
    DataError, SpecError
        ``no_rows``, ``different_lengths``, ``one_class``, ``bad_labels``, ``too_few_of_a_class``, ``bad_dtype``,
        ``bad_parameter``.

    Warns
    -----
    AttribWarning
        Where a feature is named.

    References
    ----------
    Kaufman, Rosset, Perlich & Stitelman (2012), Leakage in data mining, TKDD 6(4). DeLong, DeLong & Clarke-Pearson
    (1988), Biometrics 44.

    Examples
    --------
    >>> import warnings
    >>> import polars as pl
    >>> from attrib.lifecycle.judging.leaks import leak_report
    >>> churned = [True, False, False, False] * 200
    >>> frame = pl.DataFrame(
    ...     {"reason": ["price" if c else None for c in churned], "calls": [0, 1, 2, 1, 1, 0, 2, 0] * 100}
    ... )
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     report = leak_report(frame, churned)
    >>> report.select("feature", "auc", "settled", "leak").rows()[0]
    ('reason', 1.0, 1.0, 'strong')
    """
    check_seed_and_folds(seed, folds)
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0.5 < threshold < 1:
        raise SpecError("bad_parameter", f"threshold = {brief(threshold)} is not an AUC above 0.5 and below 1")
    check_same_rows(X=X, y=y, customers=customers)
    table = collected(X)
    _, positive = read_labels(y, table.height)
    codes = read_customers(customers, table.height)
    fold = customer_folds(positive, codes, folds, seed)
    cells = {column.name: cell_codes(column) for column in table}
    singles = {column.name: power_of_column(column, positive, fold, folds) for column in table}
    named = _named(singles, threshold, positive)
    named |= dict.fromkeys(_group({name: cell for name, cell in cells.items() if name not in named}, positive), "group")
    joint = _Joint.draw(table, positive, codes, min(folds, _JOINT_FOLDS), seed)
    tells = _Tells(cells, positive, fold, folds)
    order, steps = _set_aside(joint, tells, named, (1 + threshold) / 2)
    report = _frame(singles, order, named, steps)
    _tell(report)
    return report


def _named(singles: dict[str, Power], threshold: float, positive: Bools) -> dict[str, str]:
    """Which features are named, the strongest first, and why."""
    rarer = int(positive.mean() < 0.5)
    out = {}
    for name, one in sorted(singles.items(), key=lambda item: -item[1].auc):
        if one.low >= threshold:
            out[name] = "strong"
        elif one.settled[rarer] >= SETTLED[0] or one.settled[1 - rarer] >= SETTLED[1]:
            out[name] = "settles"
    return out


def _group(cells: dict[str, Integers], positive: Bools) -> list[str]:
    """Features of which none settles much of a class, and all together do: marks that few rows bear each.

    Only what differs from the commonest value counts: a mark of leaving is rare, while honest features that say a
    little each say it of most rows.
    """
    share, rarer = float(positive.mean()), int(positive.mean() < 0.5)
    marks: list[tuple[str, tuple[Bools, Bools]]] = []
    for name, cell in cells.items():
        rows = np.bincount(cell)
        if rows.max() >= _USUAL * len(cell):
            sure = [
                one[cell] & (cell != rows.argmax())
                for one in sure_cells(rows, np.bincount(cell[positive], minlength=len(rows)), share)
            ]
            marks.append((name, (sure[0] & ~positive, sure[1] & positive)))
    for side, members in ((0, ~positive), (1, positive)):
        taken, names = np.zeros_like(positive), []
        for name, settled in sorted(marks, key=lambda mark: -int(mark[1][side].sum())):
            if (settled[side] & ~taken).sum() >= _PART * members.sum():
                taken |= settled[side]
                names.append(name)
        if taken.sum() >= SETTLED[side != rarer] * members.sum():
            return names
    return []


# -- features together ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Joint:
    """Boosted trees over some of the features, and how well they predict rows of unseen customers.

    Parameters
    ----------
    columns : dict
        Rank of each feature's values, [n]; null last.
    positive : bool [n]
    fold : int [n]
    folds, seed : int
    """

    columns: dict[str, Floats]
    positive: Bools
    fold: Integers
    folds: int
    seed: int

    @classmethod
    def draw(cls, table: pl.DataFrame, positive: Bools, customers: Integers, folds: int, seed: int) -> _Joint:
        """Take at most `_JOINT_ROWS` rows."""
        rows = np.arange(table.height)
        if table.height > _JOINT_ROWS:
            rng = np.random.default_rng(seed)
            # as many of the rarer class as there are, up to half: ranking does not depend on the mix of classes
            few, many = sorted((np.flatnonzero(positive), np.flatnonzero(~positive)), key=len)
            few = rng.permutation(few)[: _JOINT_ROWS // 2]
            rows = np.sort(np.concatenate([few, rng.permutation(many)[: _JOINT_ROWS - len(few)]]))
        # ranks are all that trees look at, and know neither null nor infinity
        columns = {name: dense(plain(table[name])[rows]).astype(np.float64) for name in table.columns}
        positive = positive[rows]
        _, codes = np.unique(customers[rows], return_inverse=True)
        return cls(columns, positive, customer_folds(positive, codes, folds, seed), folds, seed)

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


@dataclass(frozen=True, slots=True)
class _Tells:
    """Whether one feature tells another where the label cannot be the reason: among rows of one label.

    A leak that is recorded because of the label has nothing to do with honest features there. What stands in for a
    leak has.
    """

    cells: dict[str, Integers]
    positive: Bools
    fold: Integers
    folds: int

    def __call__(self, feature: str, leak: str) -> bool:
        """Ask of two features, the second one brought to two values: speaking for the label, or against it."""
        cell = self.cells[leak]
        rate = np.bincount(cell, self.positive) / np.maximum(np.bincount(cell), 1)
        speaks = (rate > self.positive.mean())[cell]
        for rows in (self.positive, ~self.positive):
            ones = int(speaks[rows].sum())
            if min(ones, int(rows.sum()) - ones) < _ENOUGH:
                continue
            one = power_of(self.cells[feature][rows], speaks[rows], self.fold[rows], self.folds)
            if one.low >= _TELLS:
                return True
        return False


def _set_aside(
    joint: _Joint, tells: _Tells, named: dict[str, str], together: float
) -> tuple[list[str], dict[str, tuple[float, float]]]:
    """Set leaks aside one by one, and what stands in for them; ``named`` grows.

    Returns
    -------
    list of str
        Features set aside, in order.
    dict
        AUC of the features left before and after each.
    """
    left, order = list(joint.columns), []
    steps: dict[str, tuple[float, float]] = {}
    auc = joint.auc(left)

    def drop(name: str) -> None:
        nonlocal auc
        left.remove(name)
        before, auc = auc, joint.auc(left)
        order.append(name)
        steps[name] = (before, auc)

    for name in list(named):
        drop(name)
    if auc >= together:
        for name in _combination(joint, left, together):
            named[name] = "combination"
            drop(name)
    while order and len(left) > 1 and (found := _stand_in(joint, tells, left, auc)):
        named[found] = "stand-in"
        drop(found)
    return order, steps


def _combination(joint: _Joint, left: list[str], together: float) -> list[str]:
    """Return the fewest features, at most eight, that reach ``together`` by themselves; none if more are needed."""
    losses = joint.losses(left)
    best = sorted(left, key=lambda name: -losses[name])[: _TOGETHER[-1]]
    sizes = sorted({min(size, len(best)) for size in _TOGETHER})
    return next((best[:size] for size in sizes if joint.auc(best[:size]) >= together), [])


def _stand_in(joint: _Joint, tells: _Tells, left: list[str], auc: float) -> str | None:
    """Return the feature whose power works through those set aside, if there is one."""
    features = list(joint.columns)
    aside = [name for name in features if name not in left]
    losses = joint.losses(left)  # one model for all: only what it leans on is left out in earnest
    leaned = [name for name in left if losses[name] >= STAND_IN / 2 and any(tells(name, leak) for leak in aside)]
    for name in sorted(leaned, key=lambda name: -losses[name])[:_SHOWN]:
        without = auc - joint.auc([other for other in left if other != name])
        beside = joint.auc(features) - joint.auc([other for other in features if other != name])
        if without >= STAND_IN and beside <= _BESIDE * without:
            return name
    return None


# -- what is said -----------------------------------------------------------------------------------------------------


def _frame(
    singles: dict[str, Power], order: list[str], named: dict[str, str], steps: dict[str, tuple[float, float]]
) -> pl.DataFrame:
    rest = sorted((name for name in singles if name not in steps), key=lambda name: -singles[name].auc)
    rows = [
        (name, one.auc, one.low, one.high, one.told, max(one.settled), named.get(name), *steps.get(name, (None, None)))
        for name in (*order, *rest)
        for one in (singles[name],)
    ]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _tell(report: pl.DataFrame) -> None:
    """Warn of what was found."""
    found = report.drop_nulls("leak")
    if found.is_empty():
        return
    words = {
        "strong": "alone AUC {auc:.3f}",
        "settles": "settles {settled:.0%} of a class",
        "group": "settles a class together with others",
        "combination": "together with others",
        "stand-in": "stands in for the others",
    }
    shown = [f"{clean(row['feature'], 80)!r} ({words[row['leak']].format(**row)})" for row in found[:_SHOWN].to_dicts()]
    more = f" and {found.height - _SHOWN} more" if found.height > _SHOWN else ""
    with_, without = found["auc_with"][0], found["auc_without"][-1]
    warn(
        f"{found.height} of {report.height} features know the label better than is plausible: "
        f"{', '.join(shown)}{more}; AUC {with_:.3f} with, {without:.3f} without; "
        "check that they are known before, and not because of, what is to be predicted, or leave them out"
    )
