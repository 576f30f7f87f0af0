"""From the results of units to tables: one row a run, their means with standard errors, players, agreement."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from attrib.experiments.metrics import fewest_buckets
from attrib.experiments.plan import PER_CHANNEL, Experiment, Unit
from attrib.experiments.running import failures_of
from attrib.schemas import CHANNEL, CONVERSIONS, SHARE, STAGE
from attrib.showing import Shown

DIGITS = 5  # significant ones: more would be noise of the last bits
DESIGN = ("world", "customers", "setting", "seed")
CELL = ("world", "customers", "setting", STAGE)
MODEL = "model"


@dataclass(frozen=True, slots=True, repr=False)
class Tables(Shown):
    """What an experiment found.

    Attributes
    ----------
    results : polars.DataFrame
        A row a run (world, customers, setting, seed), stage and model, with a column for each metric; a failure is a
        row with ``error`` and ``message``.
    summary : polars.DataFrame
        Per cell, model and metric: ``n`` seeds, ``mean``, ``se``, and ``difference`` to the model that ``against``
        names, paired by seed, with ``difference_se``.
    players : polars.DataFrame or None
        Means over the seeds for each player; with intervals how many of them held the limit.
    agreement : polars.DataFrame or None
        Mean distance between the shares of two models.
    """

    results: pl.DataFrame
    summary: pl.DataFrame
    players: pl.DataFrame | None
    agreement: pl.DataFrame | None


def gather(experiment: Experiment, found: Iterable[tuple[Unit, Mapping[str, Any]]]) -> Tables:
    """Make the tables from the results of the runs, in the order of the plan."""
    rows: list[dict[str, Any]] = []
    players: list[dict[str, Any]] = []
    agreement: list[dict[str, Any]] = []
    for unit, result in found:
        where = dict(zip(DESIGN, (unit.label, unit.customers, unit.setting.name, unit.seed), strict=True))
        rows += [where | row for row in result.get("rows", ())]
        for fault in failures_of(result):
            rows.append(where | {MODEL: fault["model"], "error": fault["key"], "message": fault["message"]})
        players += [where | row for row in result.get("players", ())]
        agreement += [where | row for row in result.get("agreement", ())]
    metrics = list(experiment.spec.metrics)
    kinds = {"world": pl.String, "customers": pl.Int64, "setting": pl.String, "seed": pl.Int64, STAGE: pl.String}
    kinds |= (
        {MODEL: pl.String, PER_CHANNEL: pl.Float64}
        | dict.fromkeys(metrics, pl.Float64)
        | {"error": pl.String, "message": pl.String}
    )
    results = pl.DataFrame(rows, schema=kinds).with_columns(_rounded(pl.col(pl.Float64)))
    return Tables(
        results,
        summarise(results, metrics, experiment.spec.against),
        _players(players, experiment.spec.intervals.fewest) if experiment.spec.players else None,
        _agreement(agreement) if experiment.spec.agreement else None,
    )


def summarise(results: pl.DataFrame, metrics: Iterable[str], against: str) -> pl.DataFrame:
    """Means over the seeds with standard errors, and differences to a model, paired by seed.

    Parameters
    ----------
    results : polars.DataFrame
        As in :class:`Tables`; runs without a number are left out of a mean.
    metrics : iterable of str
    against : str
        Name of the model.

    Returns
    -------
    polars.DataFrame
        As in :class:`Tables`; a standard error is the standard deviation over the seeds (n - 1) divided by the root
        of their number, null with one seed.

    Examples
    --------
    >>> rows = [
    ...     ("w", 10, "", s, None, m, x) for s, m, x in [(0, "a", 0.1), (1, "a", 0.3), (0, "b", 0.2), (1, "b", 0.6)]
    ... ]
    >>> results = pl.DataFrame(rows, schema=[*DESIGN, "stage", "model", "share_error"], orient="row")
    >>> summarise(results, ["share_error"], "a").select("model", "mean", "se", "difference").rows()
    [('a', 0.2, 0.1, 0.0), ('b', 0.4, 0.2, 0.2)]
    """
    metrics = list(metrics)
    order = {model: at for at, model in enumerate(results[MODEL].drop_nulls().unique(maintain_order=True))}
    cells = results.select(CELL).unique(maintain_order=True).with_row_index("__cell")
    frames = []
    for at, metric in enumerate(metrics):
        one = results.filter(pl.col(metric).is_not_null()).select(*CELL, "seed", MODEL, pl.col(metric).alias("x"))
        base = one.filter(pl.col(MODEL) == against).select(*CELL, "seed", pl.col("x").alias("base"))
        both = one.join(base, on=[*CELL, "seed"], how="left", nulls_equal=True).with_columns(
            d=pl.col("x") - pl.col("base")
        )
        frames.append(
            both.group_by(*CELL, MODEL)
            .agg(n=pl.col("x").count(), mean=_mean("x"), se=_se("x"), difference=_mean("d"), difference_se=_se("d"))
            .with_columns(pl.lit(metric).alias("metric"), pl.lit(at).alias("__metric"))
        )
    table = pl.concat(frames).join(cells, on=CELL, nulls_equal=True)
    table = table.with_columns(pl.col(MODEL).replace_strict(order, return_dtype=pl.Int64).alias("__model"))
    numbers = ("mean", "se", "difference", "difference_se")
    return table.sort("__cell", "__metric", "__model").select(
        *CELL, "metric", MODEL, "n", *(_rounded(pl.col(name)) for name in numbers)
    )


def cells_of(tables: Tables) -> pl.DataFrame:
    """The cells of the design, in order, with the mean of the conversions per channel where it is known."""
    cells = tables.summary.select(CELL).unique(maintain_order=True)
    if PER_CHANNEL not in tables.results.columns:
        return cells.with_columns(pl.lit(None, pl.Float64).alias(PER_CHANNEL))
    sizes = tables.results.group_by(CELL).agg(pl.col(PER_CHANNEL).mean())
    return cells.join(sizes, on=CELL, how="left", nulls_equal=True, maintain_order="left")


def within(table: pl.DataFrame, cell: Mapping[str, Any]) -> pl.DataFrame:
    """Rows of a cell."""
    return table.filter(pl.all_horizontal(pl.col(k).eq_missing(pl.lit(cell[k])) for k in CELL if k in table.columns))


def _players(rows: list[dict[str, Any]], fewest: float) -> pl.DataFrame:
    """Means over the seeds; ``coverage`` is the share of data sets whose interval held the limit.

    ``buckets``: how many the conversions come from; ``counted``: whether they and the limit suffice for coverage.
    """
    if not rows:
        return pl.DataFrame()
    numbers = (
        CONVERSIONS, SHARE, "true_share", "increment", "limit", "share_low", "share_high", "low", "high", "covered",
        "buckets",
    )  # fmt: skip
    kinds = dict.fromkeys(numbers, pl.Float64) | {"customers": pl.Int64, STAGE: pl.String, "model": pl.String}
    table = pl.DataFrame(rows, schema_overrides=kinds, infer_schema_length=None)
    keys = [*(k for k in CELL if k != STAGE), MODEL, STAGE, CHANNEL]
    inside = pl.col("covered")
    means = [pl.col(n).mean().alias(n) for n in numbers[:7]]
    out = table.group_by(keys, maintain_order=True).agg(
        pl.len().alias("n"),
        *means,
        _se(SHARE).alias("share_se"),
        (pl.col("high") - pl.col("low")).mean().alias("width"),
        pl.col("buckets").mean(),
        inside.mean().alias("coverage"),
        (inside.mean() * (1 - inside.mean()) / inside.count()).sqrt().alias("coverage_se"),
    )
    if out["coverage"].null_count() < out.height:
        spread = pl.col("buckets") >= fewest_buckets(fewest)
        out = out.with_columns(counted=(pl.col("limit") >= fewest) & spread)
    out = out.select(c for c in out.columns if c in keys or out[c].null_count() < out.height)
    return out.with_columns(_rounded(pl.col(pl.Float64)))


def _agreement(rows: list[dict[str, Any]]) -> pl.DataFrame:
    if not rows:
        return pl.DataFrame()
    kinds = {"distance": pl.Float64, "customers": pl.Int64, STAGE: pl.String}
    table = pl.DataFrame(rows, schema_overrides=kinds, infer_schema_length=None)
    return table.group_by(*CELL, "first", "second", maintain_order=True).agg(
        n=pl.col("distance").count(), distance=_rounded(_mean("distance")), se=_rounded(_se("distance"))
    )


def _mean(name: str) -> pl.Expr:
    return pl.col(name).mean()


def _se(name: str) -> pl.Expr:
    return pl.col(name).std() / pl.col(name).count().sqrt()


def _rounded(column: pl.Expr) -> pl.Expr:
    return column.round_sig_figs(DIGITS)


def shown(number: float | None, se: float | None = None) -> str:
    """Spell a mean with its standard error for people, to the digits that the error leaves.

    Examples
    --------
    >>> shown(0.12345, 0.0123), shown(0.5), shown(None), shown(-1.5, 0.0004)
    ('0.123 ± 0.012', '0.500', '–', '-1.5000 ± 0.0004')
    """
    if number is None or not math.isfinite(number):
        return "–"
    if se is None or not math.isfinite(se):
        return f"{number:.3f}"
    digits = 3 if se == 0 else min(max(3, -math.floor(math.log10(abs(se)))), 4)
    return f"{number:.{digits}f} ± {se:.{digits}f}"
