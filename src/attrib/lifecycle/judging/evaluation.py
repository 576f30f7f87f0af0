"""Does a model hold what it promises: metrics with bootstrap intervals over customers, reliability, drift."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError, SpecError, brief
from attrib.io.collecting import as_frame, collect_table
from attrib.lifecycle.base.beside import (
    Bools,
    Floats,
    check_same_rows,
    read_customers,
    read_flags,
    read_numbers,
    require,
)
from attrib.lifecycle.judging.metrics import (
    BINS,
    OF_PROFIT,
    Counts,
    Profit,
    Tabulated,
    binary_metrics,
    bins_of,
    ece_interval,
    gaps,
)
from attrib.lifecycle.judging.survival_metrics import SurvivalScores
from attrib.quantiles import percentiles
from attrib.values import MOST_DRAWS, REPLICATES, check_positive, check_seed, check_share, generator, whole_number

Ints = npt.NDArray[np.int64]
Interval = Callable[[Floats, Floats, float], tuple[Floats, Floats]]
RESERVED = ("metric", "time", "value", "low", "high", "n", "note")


def evaluate_classifier(
    y: Any,
    p: Any,
    customers: Any = None,
    by: Any = None,
    *,
    top: Sequence[float] = (0.1,),
    profit: Profit | Mapping[str, float] | None = None,
    bins: int = BINS,
    level: float = 0.95,
    replicates: int = 200,
    seed: int = 0,
) -> pl.DataFrame:
    """Evaluate probabilities against what happened.

    Parameters
    ----------
    y : array-like of bool, 0 and 1, or Yes and No, shape [n]
        What happened.
    p : array-like of float, shape [n]
        Its probability, as predicted without having seen it.
    customers : array-like, shape [n], optional
        Whose row it is: a bootstrap draw takes all rows of a customer or none. Without: each row its own.
    by : frame or mapping of str to array-like, optional
        Columns of n rows, such as the stage, the channel of acquisition or the persona: one evaluation for each
        of their combinations.
    top : sequence of float
        Shares k of lift and gain at k.
    profit : Profit or mapping, optional
        What the expected maximum profit assumes, such as ``{"value": 50, "offer": 5}``; what is not given has the
        defaults of :class:`Profit`: a customer worth 200, an offer of 10, a contact of 1, accepted with Beta(6, 14).
    bins : int
        Of the expected calibration error: bins of equal mass, set by the data as they are.
    level, replicates, seed
        Coverage, draws (0: no intervals) and their seed.

    Returns
    -------
    polars.DataFrame
        The columns of ``by``, ``metric``, ``value``, ``low``, ``high`` (percentiles of the draws), ``n`` (rows),
        ``note`` (what a metric assumes, or null). Null where a metric is not defined, such as the AUC without a yes.
        Metrics: ``auc``, ``pr_auc`` (average precision), ``brier``, ``log_loss``, ``ece``, ``lift_at_k``,
        ``gain_at_k``, ``expected_maximum_profit`` (money per customer) and ``share_to_target`` for it. The ECE is a
        mean of absolute values: noise alone makes it larger than 0. Its interval is by an inverted test (the sizes of
        error under which the ECE found is no surprise, see `metrics.ece_interval`): it holds the estimate, and reaches
        down to 0 where the probabilities may well be right.

    Raises
    ------
    DataError
        ``no_rows`` and those of columns: ``bad_flag``, ``bad_value``, ``null_values``, ``different_lengths``, ….
    SpecError
        ``bad_value``.

    Examples
    --------
    >>> table = evaluate_classifier([1, 0, 1, 0, 0, 1], [0.9, 0.2, 0.4, 0.4, 0.1, 0.7], replicates=0)
    >>> table.select("metric", pl.col("value").round(3)).head(3).rows()
    [('auc', 0.944), ('pr_auc', 0.917), ('brier', 0.112)]
    """
    check_same_rows(y=y, p=p, customers=customers, by=by)
    truth, chance = _read(y, p)
    if not isinstance(top, (list, tuple)):
        raise SpecError("bad_value", f"top = {brief(top)} is not a list of shares", hint="e.g. (0.05, 0.1)")
    for k in top:
        if not isinstance(k, (int, float)) or not 0 < k <= 1:
            raise SpecError("bad_value", f"top: {brief(k)} is not a share above 0", hint="e.g. (0.05, 0.1)")
    resampling = _Resampling(customers, len(truth), level, replicates, seed)
    n_bins = whole_number("bins", bins, 1, MOST_DRAWS, key="bad_value")
    assumed = Profit.of(profit)
    empty = Counts(np.array([0.5]), np.ones(1), np.ones(1))
    names = list(binary_metrics(bins_of(empty, 1), tuple(top), assumed))
    at_ece = names.index("ece")

    def scores_of(rows: Ints) -> Callable[[Floats], Floats]:
        table = Tabulated(truth[rows], chance[rows])
        known = table.counts(np.ones(len(rows)))
        bins_known = bins_of(known, n_bins)
        metrics = binary_metrics(bins_known, tuple(top), assumed)

        def scores(weights: Floats) -> Floats:
            counts = table.counts(weights)
            return np.concatenate([[metric(counts) for metric in metrics.values()], gaps(counts, bins_known)])

        return scores

    def interval(value: Floats, drawn: Floats, tail: float) -> tuple[Floats, Floats]:
        low, high = percentiles(drawn, tail)
        low[at_ece], high[at_ece] = ece_interval(value[len(names) :], drawn[:, len(names) :], tail)
        return low, high

    notes = [assumed.assumptions if name in OF_PROFIT else None for name in names]
    return _evaluated(by, len(truth), resampling, {"metric": names, "note": notes}, scores_of, interval)


def evaluate_survival(
    duration: Any,
    event: Any,
    risk: Any = None,
    survival: Any = None,
    times: Any = None,
    customers: Any = None,
    by: Any = None,
    *,
    tau: float | None = None,
    level: float = 0.95,
    replicates: int = 200,
    seed: int = 0,
) -> pl.DataFrame:
    """Evaluate predictions of how long customers stay.

    Parameters
    ----------
    duration : array-like of float, shape [n]
        Time until leaving, or until the customer was last seen. All are seen from time 0 on.
    event : array-like of bool, 0 and 1, or Yes and No, shape [n]
        Whether the customer left then.
    risk : array-like of float, shape [n], optional
        Higher: leaves earlier. Without: the mean of 1 − survival over ``times``.
    survival : array-like of float, shape [n, k], optional
        Predicted probability of still being there at each of ``times``; adds the Brier scores.
    times : array-like of float, shape [k], optional
        Increasing, below the longest duration. Without (and without survival): ten quantiles of the times of leaving.
    customers, by, level, replicates, seed
        As of :func:`evaluate_classifier`.
    tau : float, optional
        ``concordance_ipcw`` looks at those who left before it; without: the last of ``times``.

    Returns
    -------
    polars.DataFrame
        As of :func:`evaluate_classifier`, with ``time`` (null for those of all times): ``concordance`` (Harrell),
        ``concordance_ipcw`` (Uno), ``auc`` at each time (left by then against still there; cumulative/dynamic) and
        ``auc_mean``; with survival ``brier`` and ``brier_kaplan_meier`` (everybody predicted alike) at each time, and
        ``integrated_brier``, ``integrated_brier_kaplan_meier`` (integral over times, divided by their span).

    Raises
    ------
    DataError
        ``no_rows`` and those of columns: ``bad_flag``, ``bad_value``, ``null_values``, ``different_lengths``, ….
    SpecError
        ``bad_value``.

    References
    ----------
    Uno et al. (2011). On the C-statistics for evaluating overall adequacy of risk prediction procedures with censored
    survival data. Statistics in Medicine 30(10). Graf et al. (1999). Assessment and comparison of prognostic
    classification schemes for survival data. Statistics in Medicine 18.

    Examples
    --------
    >>> table = evaluate_survival([5, 3, 9, 9], [1, 1, 0, 0], risk=[0.4, 0.9, 0.5, 0.1], times=[4, 6], replicates=0)
    >>> table.select("metric", "time", pl.col("value").round(2)).rows()
    [('concordance', None, 0.8), ('concordance_ipcw', None, 0.8), ('auc_mean', None, 0.88),
     ('auc', 4.0, 1.0), ('auc', 6.0, 0.75)]
    """
    check_same_rows(duration=duration, event=event, risk=risk, survival=survival, customers=customers, by=by)
    length = read_numbers("duration", duration, least=0)
    left = read_flags("event", event, len(length))
    grid, matrix = _times(times, survival, length, left), None
    if survival is not None:
        try:
            matrix = np.asarray(survival, np.float64)
        except (TypeError, ValueError) as error:
            raise DataError("bad_dtype", f"survival is not a table of numbers: {str(error)[:200]}") from error
        if matrix.shape != (len(length), len(grid)):
            raise DataError("bad_shape", f"survival has shape {matrix.shape}, not {(len(length), len(grid))}")
        if not ((matrix >= 0) & (matrix <= 1)).all():
            raise DataError("bad_value", "survival holds numbers that are no probabilities")
    if risk is None and matrix is None:
        raise SpecError("bad_value", "neither risk nor survival is given", hint="pass one of them")
    hazard = read_numbers("risk", risk, len(length)) if risk is not None else 1 - np.asarray(matrix).mean(axis=1)
    resampling = _Resampling(customers, len(length), level, replicates, seed)
    until = float(grid[-1]) if tau is None else check_positive("tau", tau)

    def scores_of(rows: Ints) -> Callable[[Floats], Floats]:
        some = matrix[rows] if matrix is not None else None
        model = SurvivalScores(length[rows], left[rows], hazard[rows], some, grid, until)

        def scores(weights: Floats) -> Floats:
            whole, at_times = model.scores(weights)
            return np.concatenate([list(whole.values()), *at_times.values()])

        return scores

    names = ["concordance", "concordance_ipcw", "auc_mean"]
    names += ["integrated_brier", "integrated_brier_kaplan_meier"] if matrix is not None else []
    at_times = ["auc", "brier", "brier_kaplan_meier"] if matrix is not None else ["auc"]
    labels: dict[str, list[Any]] = {
        "metric": names + [name for name in at_times for _ in grid],
        "time": [None] * len(names) + [float(time) for _ in at_times for time in grid],
    }
    return _evaluated(by, len(length), resampling, labels, scores_of)


def reliability(y: Any, p: Any, bins: int = BINS, level: float = 0.95) -> pl.DataFrame:
    """Compare predicted and observed shares in bins of equal mass: the table behind the ECE.

    Parameters
    ----------
    y, p
        As of :func:`evaluate_classifier`.
    bins : int
        Equal probabilities stay together, so bins may be fewer and differ in size.
    level : float
        Coverage of the intervals of the observed shares (Wilson; rows taken as independent).

    Returns
    -------
    polars.DataFrame
        One row a bin, lowest first: ``bin``, ``from``, ``to`` (probabilities), ``n``, ``predicted`` (their mean),
        ``observed`` (share of yes), ``low``, ``high``.

    Examples
    --------
    >>> reliability([0, 0, 1, 1], [0.1, 0.3, 0.6, 0.8], bins=2).select("n", "predicted", "observed").rows()
    [(2, 0.2, 0.0), (2, 0.7, 1.0)]
    """
    check_same_rows(y=y, p=p)
    truth, chance = _read(y, p)
    if not len(truth):
        raise DataError("no_rows", "there is no row to evaluate")
    level = check_share("level", level, key="bad_value")
    counts = Tabulated(truth, chance).counts(np.ones(len(truth)))
    at = bins_of(counts, whole_number("bins", bins, 1, MOST_DRAWS, key="bad_value"))
    found = pl.DataFrame({"at": at, "p": counts.p, "yes": counts.yes, "n": counts.yes + counts.no})
    table = found.group_by("at").agg(
        pl.col("p").min().alias("from"),
        pl.col("p").max().alias("to"),
        pl.col("n").sum().cast(pl.Int64),
        predicted=(pl.col("p") * pl.col("n")).sum() / pl.col("n").sum(),
        observed=pl.col("yes").sum() / pl.col("n").sum(),
    )
    table = table.sort("at").drop("at").with_row_index("bin", offset=1)
    from scipy.special import ndtri

    z = float(ndtri((1 + level) / 2))
    share, n = table["observed"].to_numpy(), table["n"].to_numpy()
    middle, half = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)
    return table.with_columns(pl.Series("low", np.maximum(low, 0)), pl.Series("high", np.minimum(high, 1)))


class _Resampling:
    """Customers drawn with replacement: how often each row counts."""

    def __init__(self, customers: Any, n: int, level: Any, replicates: Any, seed: Any) -> None:
        if not n:
            raise DataError("no_rows", "there is no row to evaluate")
        self.level = check_share("level", level, key="bad_value")
        self.replicates = whole_number("replicates", replicates, 0, MOST_DRAWS, key="bad_value")
        self.seed = check_seed(seed, key="bad_value")
        self.codes = read_customers(customers, n)

    def draws(self, rows: Ints, scores: Callable[[Floats], Floats]) -> Floats:
        """Scores of each draw, [replicates, scores]."""
        who, at = np.unique(self.codes[rows], return_inverse=True)
        drawn = []
        for number in range(self.replicates):
            picked = generator(self.seed, REPLICATES, number).integers(0, len(who), len(who))
            drawn.append(scores(np.bincount(picked, minlength=len(who)).astype(np.float64)[at]))
        return np.array(drawn)


def _evaluated(
    by: Any,
    n: int,
    resampling: _Resampling,
    labels: Mapping[str, list[Any]],
    scores_of: Callable[[Ints], Callable[[Floats], Floats]],
    interval: Interval = lambda _, drawn, tail: percentiles(drawn, tail),
) -> pl.DataFrame:
    """One block of rows for each group; scores beyond the labels serve the intervals only."""
    blocks = []
    told = len(labels["metric"])
    for group, rows in _groups(by, n):
        scores = scores_of(rows)
        value = scores(np.ones(len(rows)))
        low = high = np.full(len(value), np.nan)
        if resampling.replicates:
            low, high = interval(value, resampling.draws(rows, scores), (1 - resampling.level) / 2)
        time = {"time": pl.Series(labels["time"], dtype=pl.Float64)} if "time" in labels else {}
        numbers = {"value": value[:told], "low": low[:told], "high": high[:told]}
        table = pl.DataFrame({"metric": labels["metric"], **time, **numbers})
        table = table.with_columns(pl.col("value", "low", "high").fill_nan(None), n=pl.lit(len(rows), pl.Int64))
        if "note" in labels:
            table = table.with_columns(pl.Series("note", labels["note"], pl.String))
        if group is not None:
            table = group.join(table, how="cross")
        blocks.append(table)
    return pl.concat(blocks)


def _groups(by: Any, n: int) -> Iterator[tuple[pl.DataFrame | None, Ints]]:
    """Rows of each combination, in the order of the sorted values."""
    if by is None:
        yield None, np.arange(n)
        return
    columns = collect_table(as_frame(by, "by"), "by")
    if len(columns) != n or not columns.width:
        raise DataError("different_lengths", f"by has {len(columns):,} rows of {columns.width} columns, not {n:,} rows")
    taken = [name for name in columns.columns if name in RESERVED]
    if taken:
        raise SpecError("bad_value", f"by has columns with names of the answer: {', '.join(taken)}", hint="rename them")
    names = columns.columns
    groups = columns.with_columns(pl.int_range(n).alias("__row")).group_by(names, maintain_order=True).agg("__row")
    for row in groups.sort(names).iter_slices(1):
        yield row.select(names), row["__row"][0].to_numpy()


def _read(y: Any, p: Any) -> tuple[Bools, Floats]:
    """What happened, and its probability."""
    truth = read_flags("y", y)
    chance = read_numbers("p", p, len(truth))
    require("p", (chance < 0) | (chance > 1), "is no probability", chance)
    return truth, chance


def _times(times: Any, survival: Any, length: Floats, left: Bools) -> Floats:
    if times is None:
        if survival is not None:
            raise SpecError("bad_value", "survival without times", hint="times: when its columns are")
        some = length[left]
        quantiles = np.quantile(some, np.linspace(0.05, 0.95, 10)) if len(some) else np.array([])
        grid = np.unique(quantiles[quantiles < length.max(initial=0)])
    else:
        grid = read_numbers("times", times)
    if not len(grid) or not (np.isfinite(grid) & (grid >= 0)).all() or (np.diff(grid) <= 0).any():
        raise SpecError("bad_value", "times are not increasing, finite times", hint="e.g. [3, 6, 12]")
    return grid
