"""Whether the customers to be scored look like those that a model learned from."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError
from attrib.io.sources import open_table, read_error
from attrib.values import whole_number

MODERATE, STRONG = 0.1, 0.25  # usual levels of the population stability index
LARGEST = 50  # categories told apart; the rarer ones are one bin
SCHEMA = {
    "feature": pl.String, "kind": pl.String, "psi": pl.Float64, "by_chance": pl.Float64, "bins": pl.Int64,
    "level": pl.String,
}  # fmt: skip


def drift(training: Any, scoring: Any, bins: int = 10) -> pl.DataFrame:
    """Compare the distribution of each feature by the population stability index (PSI).

    PSI = Σ over bins of (s − t)·ln(s / t), t and s the shares of a bin in training and scoring, with half a row added
    to each bin so that an empty one is not infinite.

    Parameters
    ----------
    training, scoring : frame
        Features as columns.
    bins : int
        Numbers and times: quantiles of the training data, fewer where values are equal. Categories: the 50 most
        frequent of the training data, all others together. Nulls (and NaN) are a bin of their own.

    Returns
    -------
    polars.DataFrame
        ``feature``, ``kind`` ("number", "category"), ``psi``, ``by_chance`` (what 19 in 20 samples of these sizes stay
        below without any drift), ``bins``, ``level``: "stable" below 0.1, "moderate" below 0.25, "strong"; or "only in
        training", "only in scoring", "other type" (of different kinds, or lists and the like). Strongest first; those
        without a number before all.

    Raises
    ------
    DataError
        ``no_rows``.

    Examples
    --------
    >>> before = pl.DataFrame({"visits": [1, 2, 3, 4] * 25, "stage": ["see", "think"] * 50})
    >>> now = pl.DataFrame({"visits": [3, 4, 4, 4] * 25, "stage": ["see", "think"] * 50})
    >>> drift(before, now).select("feature", pl.col("psi").round(2), "level").rows()
    [('visits', 2.46, 'strong'), ('stage', 0.0, 'stable')]
    """
    n_bins = whole_number("bins", bins, 2, key="bad_value")
    then, now = _collect(training, "training"), _collect(scoring, "scoring")
    rows: list[tuple[Any, ...]] = []
    for name in [*then.columns, *(column for column in now.columns if column not in then.columns)]:
        if name not in now.columns or name not in then.columns:
            rows.append((name, None, None, None, None, f"only in {'training' if name in then.columns else 'scoring'}"))
            continue
        kinds = {_kind(then[name]), _kind(now[name])}
        kind = kinds.pop()
        if kinds or kind == "other":
            rows.append((name, None, None, None, None, "other type"))
            continue
        count = _numbers if kind == "number" else _categories
        rows.append((name, kind, *_psi(*count(then[name], now[name], n_bins))))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row").sort(
        "psi", descending=True, nulls_last=False, maintain_order=True
    )


def _psi(before: npt.NDArray[np.int64], now: npt.NDArray[np.int64]) -> tuple[float, float, int, str]:
    from scipy.special import chdtri

    used = (before > 0) | (now > 0)
    before, now, size = before[used], now[used], int(used.sum())
    t, s = ((counts + 0.5) / (counts.sum() + 0.5 * size) for counts in (before, now))
    psi = float(((s - t) * np.log(s / t)).sum())
    spread = 1 / before.sum() + 1 / now.sum()
    by_chance = float(chdtri(size - 1, 0.05) * spread) if size > 1 else 0.0  # Yurdakul (2018): chi-square
    return psi, by_chance, size, "stable" if psi < MODERATE else "moderate" if psi < STRONG else "strong"


def _numbers(then: pl.Series, now: pl.Series, bins: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    before, after = (_as_floats(column).fill_null(np.nan).to_numpy() for column in (then, now))
    some = before[~np.isnan(before)]
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    edges = np.unique(np.quantile(some, inner, method="inverted_cdf")) if len(some) else some

    def count(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        # a value at an edge belongs below it; the last bin is that of nulls
        at = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="left"))
        return np.bincount(at, minlength=len(edges) + 2)

    return count(before), count(after)


def _categories(then: pl.Series, now: pl.Series, _: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    before, after = (pl.DataFrame({"value": column.cast(pl.String)}) for column in (then, now))
    frequent = before.drop_nulls().group_by("value").len().sort("len", "value", descending=[True, False])
    known = frequent.head(LARGEST).select("value").with_row_index("at")

    def count(values: pl.DataFrame) -> npt.NDArray[np.int64]:
        at = values.join(known, on="value", how="left").select(
            pl.when(pl.col("value").is_null()).then(len(known) + 1).otherwise(pl.col("at").fill_null(len(known)))
        )
        return np.bincount(at.to_series().to_numpy().astype(np.int64), minlength=len(known) + 2)

    return count(before), count(after)


def _as_floats(column: pl.Series) -> pl.Series:
    if column.dtype in (pl.Date, pl.Datetime):
        column = column.cast(pl.Datetime("us"))  # one unit on both sides
    elif column.dtype == pl.Duration:
        column = column.cast(pl.Duration("us"))
    return column.to_physical().cast(pl.Float64)


def _kind(column: pl.Series) -> str:
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        return "other"
    return "number" if column.dtype.is_numeric() or column.dtype.is_temporal() else "category"


def _collect(data: Any, name: str) -> pl.DataFrame:
    opened = open_table(data, name)
    try:
        frame = opened.frame.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise read_error(error, opened) from error
    if not len(frame):
        raise DataError("no_rows", f"{name} has 0 rows")
    return frame
