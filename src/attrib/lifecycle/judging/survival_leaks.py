"""Features that know who left, or when, better than is plausible: the leak report of durations.

Nothing here is fitted by likelihood: what separates leavers from stayers without fail has no finite coefficient, and
this is where that must be told.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import warn
from attrib.io.text import clean
from attrib.lifecycle.judging.joint import FOLDS as JOINT_FOLDS
from attrib.lifecycle.judging.joint import Joint, fewest_together, marking_group, numbers_of
from attrib.lifecycle.judging.leaks import STRONG
from attrib.lifecycle.judging.pairs import Pairs
from attrib.lifecycle.judging.power import SETTLED, Power, cell_codes, power_of_column

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
FOLDS = 5
TOGETHER = (1 + STRONG) / 2  # of all features, where no single one is named
_ENOUGH = 10  # rows of a kind, below which nothing is compared
_PAIRED = 2_000  # rows, drawn by the seed, whose order in time is compared
_PRIOR = 2.0  # rows of the overall rate that every cell starts with
_SHOWN = 5
_Z_95 = 1.96
_SCHEMA = {
    "feature": pl.String,
    "auc": pl.Float64,
    "settled": pl.Float64,
    "concordance": pl.Float64,
    "leak": pl.String,
}


def survival_leaks(
    table: pl.DataFrame, duration: Floats, event: Bools, entry: Floats | None, customer: Ints, seed: int = 0
) -> pl.DataFrame:
    """Tell of each feature alone what it knows of who left, and of the order in which they left.

    Parameters
    ----------
    table : polars.DataFrame
        Features [n].
    duration, event, entry : numpy.ndarray
        As of `SurvivalChurn.fit` [n].
    customer : numpy.ndarray
        Number of each row's customer, from 0 [n].
    seed : int

    Returns
    -------
    polars.DataFrame
        ``feature``; ``auc`` and ``settled`` of whether a customer was seen to leave, as in `leak_report` (null where
        fewer than ten left, or were still there); ``concordance`` of the feature alone; ``leak``: ``"event"`` where
        the lower 95 % end of the AUC is ≥ .9 or the feature settles who left as it would in a leak report, among all
        and again without those who were last seen before half of the leavers had left (whoever came lately could not
        leave yet, and a date of coming is no leak); ``"duration"`` where the lower end of the concordance is ≥ .9;
        ``"group"`` as in `leak_report`; or null.

    Warns
    -----
    AttribWarning
        Where a feature is named, or where features know as much together.
    """
    customers = int(customer.max()) + 1
    rng = np.random.default_rng(seed)
    fold = (rng.permutation(customers) % FOLDS)[customer]
    some = rng.permutation(len(duration))[:_PAIRED]
    long = np.ones_like(event) if not event.any() else event | (duration >= np.median(duration[event]))
    known = min(int(event.sum()), int((~event).sum())) >= _ENOUGH
    again = known and int((~event & long).sum()) >= _ENOUGH
    rows, cells = [], dict[str, Ints]()
    for column in table:
        if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
            continue  # the design refuses it
        cell = cells[column.name] = cell_codes(column)
        one = power_of_column(column, event, fold, FOLDS) if known else None
        kinds = set() if one is None else _kinds(one, event)
        if kinds and again:
            kinds &= _kinds(
                power_of_column(column.filter(pl.Series(long)), event[long], fold[long], FOLDS), event[long]
            )
        order = _concordance(cell, duration, event, entry, fold, some)
        timed = order - _error(order, int(event[some].sum())) >= STRONG
        leak = "event" if kinds else "duration" if timed else None
        rows.append((column.name, one and one.auc, one and max(one.settled), order, leak))
    report = pl.DataFrame(rows, _SCHEMA, orient="row").with_columns(pl.col("concordance").fill_nan(None))
    named = report.drop_nulls("leak")["feature"].to_list()
    group = (
        _group({name: cell for name, cell in cells.items() if name not in named}, event, long, fold) if again else []
    )
    marks = pl.col("leak").is_null() & pl.col("feature").is_in(group)
    report = report.with_columns(pl.when(marks).then(pl.lit("group")).otherwise("leak").alias("leak"))
    _tell(report)
    if not named and not group:
        _tell_together(table.select(list(cells)), duration, event, long, customer, seed)
    return report.sort(pl.col("leak").is_null(), -pl.col("auc"), maintain_order=True)


def _group(cells: dict[str, Ints], event: Bools, long: Bools, fold: Ints) -> list[str]:
    """Features of which none settles much of who left, and all together do, also without those who came lately."""
    found = marking_group(cells, event, fold, FOLDS)
    again = marking_group({name: cells[name][long] for name in found}, event[long], fold[long], FOLDS)
    return [name for name in found if name in again]


def _tell_together(table: pl.DataFrame, duration: Floats, event: Bools, long: Bools, customer: Ints, seed: int) -> None:
    """Warn where features together, though none alone, know who left, or when, better than is plausible.

    Asked of trees and of a linear model, with and without those who came lately, and of a linear model of the time of
    those who left: what the model itself can make of the features hangs on its penalty.
    """
    names, found = list(table.columns), 0.0
    for rows in (np.ones_like(event), long):
        _, codes = np.unique(customer[rows], return_inverse=True)
        few = min(int(event[rows].sum()), int((~event[rows]).sum()))
        if few < 2 * _ENOUGH or len(names) < 2:
            break
        part = table.filter(pl.Series(rows))
        joint = Joint.draw(part, event[rows], codes, JOINT_FOLDS, seed)
        auc = joint.auc(names)
        some, found = fewest_together(joint, names, auc, TOGETHER, part)
        if not some and auc < TOGETHER:
            break
        names = some or names
    else:
        _warn_together(f"who left better than is plausible: AUC {found:.3f} of customers left out", names)
        return
    plain = [name for name, dtype in table.schema.items() if dtype.is_numeric()]
    left = np.flatnonzero(event)
    if len(plain) < 2 or len(left) < _ENOUGH * len(plain):
        return
    matrix = numbers_of(table[left].select(plain))
    fitted, moved = _linear_times(matrix, duration[left], customer[left] % FOLDS)
    some_rows = np.random.default_rng(seed).permutation(len(left))[:_PAIRED]
    once = np.ones(len(some_rows))
    all_left = np.ones(len(some_rows), np.bool_)
    (order,) = Pairs(duration[left][some_rows], all_left, -fitted[some_rows]).concordance(once, once)
    if order - _error(order, len(some_rows)) >= STRONG:
        names = [plain[at] for at in np.argsort(-moved)]
        _warn_together(f"when customers left better than is plausible: concordance {order:.3f}", names)


def _linear_times(matrix: Floats, duration: Floats, fold: Ints) -> tuple[Floats, Floats]:
    """Duration of each row by a linear model of other folds, and how much each column moves it."""
    fitted, moved = np.zeros(len(matrix)), np.zeros(matrix.shape[1])
    columns = np.column_stack([matrix, np.ones(len(matrix))])
    for number in range(FOLDS):
        test, rest = fold == number, fold != number
        if test.any() and rest.any():
            slopes = np.linalg.lstsq(columns[rest], duration[rest], rcond=1e-10)[0]
            fitted[test] = columns[test] @ slopes
            moved += np.abs(slopes[:-1])
    return fitted, moved


def _warn_together(what: str, names: list[str]) -> None:
    shown = ", ".join(repr(clean(name, 80)) for name in names[:_SHOWN])
    warn(
        f"features together know {what}, most by {shown}; check that they are known before, and not because of, "
        "leaving, or leave them out"
    )


def _kinds(one: Power, event: Bools) -> set[Any]:
    """In which ways a feature knows too much."""
    rarer = int(event.mean() < 0.5)
    found: set[Any] = {side for side in (0, 1) if one.settled[side] >= SETTLED[side != rarer]}
    return found | ({"strong"} if one.low >= STRONG else set())


def _concordance(cell: Ints, duration: Floats, event: Bools, entry: Floats | None, fold: Ints, some: Ints) -> float:
    """Concordance of the rate of leaving of a feature's cells, each by other folds; of some of the rows."""
    watched = duration if entry is None else duration - entry
    width = int(cell.max()) + 1
    at = fold * width + cell
    gone = np.bincount(at[event], minlength=FOLDS * width).reshape(FOLDS, width)
    time = np.bincount(at, watched, minlength=FOLDS * width).reshape(FOLDS, width)
    mean = event.sum() / max(watched.sum(), 1e-300)
    prior = _PRIOR / max(mean, 1e-300)  # the time in which so many leave
    rate = (gone.sum(axis=0) - gone + _PRIOR) / (time.sum(axis=0) - time + prior)
    # folds have their own means: what is compared is the order within each
    found, weight = 0.0, 0
    for number in range(FOLDS):
        mine = some[fold[some] == number]
        if event[mine].sum() < 2:
            continue
        start = None if entry is None else entry[mine]
        once = np.ones(len(mine))
        (value,) = Pairs(duration[mine], event[mine], rate[number][cell[mine]], start).concordance(once, once)
        if np.isfinite(value):
            found, weight = found + value * len(mine), weight + len(mine)
    return found / weight if weight else float("nan")


def _error(order: float, events: int) -> float:
    return _Z_95 * float(np.sqrt(max(order * (1 - order), 0.0) / max(events, 1))) if np.isfinite(order) else 0.0


def _tell(report: pl.DataFrame) -> None:
    found = report.drop_nulls("leak")
    if found.is_empty():
        return
    words = {
        "event": "tells who left: alone AUC {auc:.3f}, settles {settled:.0%} of a side",
        "duration": "tells when they left: concordance {concordance:.3f}",
        "group": "settles who left together with others",
    }
    shown = [f"{clean(row['feature'], 80)!r} ({words[row['leak']].format(**row)})" for row in found[:_SHOWN].to_dicts()]
    more = f" and {found.height - _SHOWN} more" if found.height > _SHOWN else ""
    warn(
        f"{found.height} of {report.height} features know who left, or when, better than is plausible: "
        f"{', '.join(shown)}{more}; check that they are known before, and not because of, leaving, or leave them out"
    )
