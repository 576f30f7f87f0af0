"""How good a model is on rows that it has not seen: metrics, reliability, gains, and groups that it may fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl

from attrib.durations import parse_duration
from attrib.errors import DataError
from attrib.lifecycle.base.beside import Floats
from attrib.lifecycle.judging.evaluation import evaluate_classifier, evaluate_survival, reliability
from attrib.lifecycle.tables import Rows
from attrib.schemas import CUSTOMER
from attrib.values import REPLICATES, generator

TOP = (0.01, 0.05, 0.1, 0.2, 0.5)
SMALLEST = 50  # rows of a group that is looked at by itself
MOST_GROUPS = 20  # values of a column
_HEAD = ("by", "group", "metric", "time")


def days(text: str) -> float:
    """Length of a duration in days."""
    length = parse_duration(text)
    return 0.0 if length is None else length.total_seconds() / 86_400


def probability(model: Any, rows: Rows, asked: Mapping[str, Any]) -> Floats:
    """Probability of what the model is about, in the label window."""
    if hasattr(model, "predict_churn"):
        chance: Floats = model.predict_churn(rows.features, days(asked["horizon"]))  # from the end of the gap on
        return np.broadcast_to(chance, (rows.features.height,))
    found: Floats = model.predict_proba(rows.features)[:, 1]
    return found


def judge(model: Any, rows: Rows, asked: Mapping[str, Any], replicates: int = 200) -> dict[str, pl.DataFrame]:
    """Judge a model of snapshots by rows that it has not seen.

    Returns
    -------
    dict of polars.DataFrame
        ``metrics``: of all rows (``by`` and ``group`` null), then group, with bootstrap
        intervals over customers;
        ``reliability``; ``gains``: lift and gain among the share with the highest probabilities.
    """
    truth, chance = happened(rows, asked), probability(model, rows, asked)
    who = rows.keys[CUSTOMER]
    if len(set(truth.tolist())) < 2:
        raise DataError("one_class", f"all {len(truth):,} rows of the test have the label {int(truth[0])}")
    whole = evaluate_classifier(truth, chance, who, top=TOP, replicates=replicates)
    shares = whole["metric"].str.contains(r"^(?:lift|gain)_at_")
    tables = [_headed(whole.filter(~shares))]
    if "duration" in rows.labels.columns:
        tables.append(_headed(_survival(model, rows, asked, replicates)))

    def of_group(chosen: pl.Series) -> pl.DataFrame:
        some = evaluate_classifier(
            truth[chosen.to_numpy()], chance[chosen.to_numpy()], who.filter(chosen), top=(), replicates=replicates
        )
        return some.filter(pl.col("metric").is_in(["auc", "pr_auc", "brier", "log_loss", "ece"]))

    tables += _by_group(rows.groups, of_group)
    return {
        "metrics": pl.concat(tables),
        "reliability": reliability(truth, chance),
        "gains": whole.filter(shares),
    }


def happened(rows: Rows, asked: Mapping[str, Any]) -> Floats:
    """What the probability is of, 0 or 1: of durations, whether it happened within the label window."""
    if "label" in rows.labels.columns:
        return rows.labels["label"].to_numpy().astype(np.float64)
    until = days(asked["gap"]) + days(asked["horizon"])
    inside = (rows.labels["event"] == 1) & (rows.labels["duration"] <= until)
    return inside.to_numpy().astype(np.float64)


def judge_counts(expected: Floats, found: Floats, replicates: int = 200) -> pl.DataFrame:
    """Judge expected amounts, one a customer, by what came: intervals by drawing customers.

    Returns
    -------
    polars.DataFrame
        ``total_ratio`` (expected over found), ``mean_absolute_error``, ``root_mean_square_error``, ``correlation``.

    Examples
    --------
    >>> judge_counts(np.array([1.0, 2.0]), np.array([0.0, 4.0]), replicates=0).select("metric", "value").head(2).rows()
    [('total_ratio', 0.75), ('mean_absolute_error', 1.5)]
    """
    names = ("total_ratio", "mean_absolute_error", "root_mean_square_error", "correlation")

    def scores(rows: Any) -> list[float]:
        x, y = expected[rows], found[rows]
        varied = len(x) > 1 and np.ptp(x) > 0 and np.ptp(y) > 0
        return [
            float(x.sum() / y.sum()) if y.sum() else np.nan,
            float(np.abs(x - y).mean()),
            float(np.sqrt(((x - y) ** 2).mean())),
            float(np.corrcoef(x, y)[0, 1]) if varied else np.nan,
        ]

    n = len(expected)
    value = scores(np.arange(n))
    low, high = np.full((2, len(names)), np.nan)
    drawn = [scores(generator(0, REPLICATES, number).integers(0, n, n)) for number in range(replicates)]
    if drawn:
        columns = [[one for one in column if np.isfinite(one)] or [np.nan] for column in zip(*drawn, strict=True)]
        low, high = (np.array([np.quantile(column, q) for column in columns]) for q in (0.025, 0.975))
    table = pl.DataFrame({"metric": names, "value": value, "low": low, "high": high})
    return _headed(table.with_columns(pl.col("value", "low", "high").fill_nan(None), n=pl.lit(n, pl.Int64)))


def _survival(model: Any, rows: Rows, asked: Mapping[str, Any], replicates: int) -> pl.DataFrame:
    """Metrics of the whole curve, of customers who were still there after the gap: time runs from there."""
    gap = days(asked["gap"])
    left = rows.labels["event"].to_numpy()
    length = np.maximum(rows.labels["duration"].to_numpy() - gap, 0.0)
    seen = length[left == 1]
    times = np.unique(np.quantile(seen, np.linspace(0.1, 0.9, 5))) if len(seen) else np.array([])
    times = times[(times > 0) & (times < length.max(initial=0))]
    if not len(times):
        return evaluate_survival([1.0], [0], risk=[0.0], times=[0.5], replicates=0).clear()
    later = np.broadcast_to(model.predict_survival(rows.features, times), (len(length), len(times)))
    risk = np.broadcast_to(model.risk(rows.features), length.shape)
    return evaluate_survival(
        length, left, risk=risk, survival=later, times=times, customers=rows.keys[CUSTOMER], replicates=replicates
    )


def _by_group(groups: pl.DataFrame, judged: Callable[[pl.Series], pl.DataFrame]) -> list[pl.DataFrame]:
    tables = []
    for column in groups:
        counts = column.value_counts(sort=True).filter(pl.col("count") >= SMALLEST).head(MOST_GROUPS)
        if counts.height < 2:
            continue
        for value in counts[column.name].sort():
            table = judged(column == value)
            tables.append(_headed(table, column.name, value))
    return tables


def _headed(table: pl.DataFrame, by: str | None = None, group: str | None = None) -> pl.DataFrame:
    """Put the group before a table of metrics, and a time where there is none."""
    added = {"by": pl.lit(by, pl.String), "group": pl.lit(group, pl.String)}
    if "time" not in table.columns:
        added["time"] = pl.lit(None, pl.Float64)
    return table.with_columns(**added).select(*_HEAD, pl.exclude(*_HEAD))
