"""What one feature alone knows of a label, from counts of rows by cell, fold and class."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from scipy.special import betaincinv, ndtri

from attrib.errors import DataError
from attrib.io.text import clean
from attrib.lifecycle.base.columns import as_numbers
from attrib.lifecycle.base.labels import Bools, Floats, Integers

RISK_RATIO = 0.05  # a value settles the label where the other one is at most this often what it is among all ...
RARER_RATIO = 0.1  # ... and of the rarer label, as few rows have it, where it is at most this often
SETTLED = (0.1, 0.5)  # share of the rarer, of the commoner class that features settle, from which they are named
_CELLS = 64  # of a number, at most; up to as many different numbers are a cell each
_CELL_ROWS = 100  # and at least so many rows a cell, or chance blurs the rates
_PRIOR = 2.0  # rows of the overall rate that every cell starts with


def cell_codes(column: pl.Series) -> Integers:
    """Cell of each row, from 0: texts and few numbers as they are, many numbers by quantiles; null is a cell.

    Raises
    ------
    DataError
        ``bad_dtype``.
    """
    column = plain(column)
    most = int(np.clip(len(column) // _CELL_ROWS, 10, _CELLS))
    if column.dtype == pl.String or column.n_unique() <= most:
        return dense(column)
    numbers = column.to_numpy()
    edges = np.unique(np.nanquantile(numbers, np.linspace(0, 1, most + 1), method="lower"))
    cells = np.searchsorted(edges, numbers, side="left")  # a value that is many rows' own edge has a cell of its own
    cells[np.isnan(numbers)] = len(edges) + 1
    return cells.astype(np.int64)


def plain(column: pl.Series) -> pl.Series:
    """Texts as String, all else as Float64 with NaN as null; texts that are numbers as models read them."""
    numbers = as_numbers(column)
    if numbers is not None:
        return numbers
    dtype = column.dtype
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return column.cast(pl.String)
    if dtype.is_temporal():
        return column.to_physical().cast(pl.Float64)
    if dtype.is_numeric() or dtype in (pl.Boolean, pl.Null):
        return column.cast(pl.Float64).fill_nan(None)
    raise DataError(
        "bad_dtype", f"feature {clean(column.name, 80)!r} is of type {dtype}, which has no order", hint="leave it out"
    )


def dense(column: pl.Series) -> Integers:
    """Distinct values numbered from 0 in their order, null last."""
    ranks = column.rank("dense").cast(pl.Int64) - 1
    last = ranks.max()
    return ranks.fill_null(0 if last is None else int(last) + 1).to_numpy()  # type: ignore[arg-type] # of integers


@dataclass(frozen=True, slots=True)
class Power:
    """What one feature knows of the label; ``settled`` of the rows that are (not, are) of the second class."""

    auc: float
    low: float
    high: float
    told: float
    settled: tuple[float, float]


def power_of(cell: Integers, positive: Bools, fold: Integers, folds: int) -> Power:
    """Measure one feature, cells [n], from counts of rows by fold, cell and class alone."""
    width = int(cell.max()) + 1
    at = fold * width + cell
    rows = np.bincount(at, minlength=folds * width).reshape(folds, width)
    ones = np.bincount(at[positive], minlength=folds * width).reshape(folds, width)
    share = positive.mean()
    others = rows.sum(axis=0) - rows
    rate = (ones.sum(axis=0) - ones + _PRIOR * share) / (others + _PRIOR)
    parts = [area(rate[f], ones[f], rows[f] - ones[f]) for f in range(folds)]
    auc = float(np.mean([a for a, _ in parts]))
    error = float(ndtri(0.975) * np.sqrt(sum(v for _, v in parts)) / folds)
    entropy = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    left = -(ones * np.log(rate) + (rows - ones) * np.log1p(-rate)).sum() / len(positive)
    return Power(
        auc,
        max(auc - error, 0.0),
        min(auc + error, 1.0),
        max(float(1 - left / entropy), 0.0),
        settled_shares(rows.sum(axis=0), ones.sum(axis=0), float(share)),
    )


def area(score: Floats, ones: Integers | Bools, zeros: Integers | Bools) -> tuple[float, float]:
    """Area under the ROC curve and its variance (DeLong) of scores by cell, or by row."""
    _, tie = np.unique(score, return_inverse=True)
    n1, n0 = np.bincount(tie, ones), np.bincount(tie, zeros)
    m1, m0 = n1.sum(), n0.sum()
    if not m1 or not m0:
        return 0.5, 0.25
    below = (np.cumsum(n0) - n0 / 2) / m0  # of a one: the share of zeros it beats
    above = 1 - (np.cumsum(n1) - n1 / 2) / m1  # of a zero: the share of ones that beat it
    auc = float(n1 @ below / m1)
    spread1, spread0 = n1 @ (below - auc) ** 2 / m1, n0 @ (above - auc) ** 2 / m0
    return auc, float(spread1 / m1 + spread0 / m0)


def settled_shares(rows: Integers, ones: Integers, share: float) -> tuple[float, float]:
    """Shares of the zeros, of the ones in cells where the other class all but never occurs."""
    zeros_sure, ones_sure = sure_cells(rows, ones, share)
    zeros = rows - ones
    return float(zeros[zeros_sure].sum() / zeros.sum()), float(ones[ones_sure].sum() / ones.sum())


def sure_ratio(*, rarer: bool) -> float:
    """How often the other class may occur among rows that are sure of a class, by how often it does among all."""
    return RARER_RATIO if rarer else RISK_RATIO


def sure_cells(rows: Integers, ones: Integers, share: float) -> tuple[Bools, Bools]:
    """Cells in which ones, in which zeros all but never occur."""
    out = []
    for other, overall in ((ones, share), (rows - ones, 1 - share)):
        at_most = betaincinv(other + 1, np.maximum(rows - other, 1), 0.975)  # Clopper and Pearson
        out.append((at_most <= sure_ratio(rarer=overall > 0.5) * overall) & (rows > other))
    return out[0], out[1]


def unusual(cell: Integers, known: Bools) -> Integers:
    """Cells of a feature that mostly holds one value, or none: null, that value, any other.

    Days since something that happened to few are too many numbers for a cell of each to be sure of anything.
    """
    usual = int(np.bincount(cell[known]).argmax()) if known.any() else -1
    return np.where(~known, 0, np.where(cell == usual, 1, 2)).astype(np.int64)


def power_of_column(column: pl.Series, positive: Bools, fold: Integers, folds: int) -> Power:
    """Measure one feature by its cells; what it settles, also by whether it holds an unusual value, or any."""
    cell = cell_codes(column)
    one = power_of(cell, positive, fold, folds)
    few = unusual(cell, plain(column).is_not_null().to_numpy())
    rows, ones = (np.bincount(few[which], minlength=3) for which in (np.ones_like(positive), positive))
    also = settled_shares(rows, ones, float(positive.mean()))
    return replace(one, settled=(max(one.settled[0], also[0]), max(one.settled[1], also[1])))
