"""Whether the customers to be scored look like those that a model learned from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError
from attrib.io.collecting import collect_table
from attrib.lifecycle.base.columns import as_numbers, numbers_of_texts, spelled
from attrib.values import MOST_DRAWS, whole_number

MODERATE, STRONG = 0.1, 0.25  # usual levels of the population stability index
LARGEST = 50  # categories told apart; the rarer ones are one bin
CLOCKS = ("tenure", "days_in_stage")  # of whoever is still there they grow by what the calendar does
NOTE = "a clock: customers are older at a later date"
SCHEMA = {
    "feature": pl.String, "kind": pl.String, "psi": pl.Float64, "by_chance": pl.Float64, "bins": pl.Int64,
    "level": pl.String, "note": pl.String,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """How one feature was distributed: rows by bin.

    ``kind`` "number": ``bins`` are the upper ends of the bins but the last; "category": the categories told apart, all
    others being the next bin; "other": no bins. The last of ``counts`` is that of nulls.
    """

    kind: str
    bins: tuple[Any, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, column: pl.Series, bins: int) -> Self:
        """Find the bins of a column and count its rows; texts that are numbers count as models read them."""
        numbers = as_numbers(column)
        column = column if numbers is None else numbers
        kind = _kind(column)
        if kind == "other":
            return cls(kind, (), ())
        found = _edges(column, bins) if kind == "number" else _frequent(column)
        return cls(kind, found, tuple(_count(kind, found, column).tolist()))


@dataclass(frozen=True, slots=True)
class Profile:
    """How the features of some customers were distributed: all that `drift` needs of them, and none of their rows.

    Examples
    --------
    >>> before = Profile.of(pl.DataFrame({"visits": [1, 2, 3, 4] * 25}))
    >>> before == Profile.from_dict(before.to_dict())
    True
    >>> drift(before, pl.DataFrame({"visits": [1, 2, 3, 4] * 5}))["level"].to_list()
    ['stable']
    """

    shapes: dict[str, Shape]

    @classmethod
    def of(cls, frame: Any, bins: int = 10) -> Self:
        """Count the rows of a frame of features; see `drift`."""
        n_bins = whole_number("bins", bins, 2, MOST_DRAWS, key="bad_value")
        return cls({column.name: Shape.of(column, n_bins) for column in _collect(frame, "training")})

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON knows it; `from_dict` is the way back."""
        return {
            name: {"kind": shape.kind, "bins": list(shape.bins), "counts": list(shape.counts)}
            for name, shape in self.shapes.items()
        }

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Rebuild it from `to_dict`, trusting nothing.

        Raises
        ------
        DataError
            ``bad_model``.
        """
        shapes = {}
        stored: Any
        for name, stored in (data if isinstance(data, dict) else {"?": None}).items():
            try:
                shape = Shape(stored["kind"], tuple(stored["bins"]), tuple(stored["counts"]))
            except (KeyError, TypeError) as error:
                raise DataError("bad_model", "the training data of a model are not told as they should be") from error
            wanted: Any = {"number": (int, float), "category": (str,)}.get(str(shape.kind), ())
            fine = all(isinstance(bound, wanted) and not isinstance(bound, bool) for bound in shape.bins)
            fine = fine and all(type(count) is int and 0 <= count < 2**62 for count in shape.counts)
            fine = fine and len(shape.counts) == (0 if shape.kind == "other" else len(shape.bins) + 2)
            if shape.kind == "number":
                fine = fine and all(map(math.isfinite, shape.bins)) and sorted(set(shape.bins)) == list(shape.bins)
            elif shape.kind == "category":
                fine = fine and len(set(shape.bins)) == len(shape.bins)
            if (
                not fine
                or shape.kind not in ("number", "category", "other")
                or (shape.counts and not sum(shape.counts))
            ):
                raise DataError("bad_model", "the training data of a model are not told as they should be")
            shapes[str(name)] = shape
        return cls(shapes)


def drift(training: Any, scoring: Any, bins: int = 10) -> pl.DataFrame:
    """Compare the distribution of each feature by the population stability index (PSI).

    PSI = Σ over bins of (s − t)·ln(s / t), t and s the shares of a bin in training and scoring, with half a row added
    to each bin so that an empty one is not infinite.

    ``tenure`` and ``days_in_stage`` are clocks: at a later date everybody who is still there is older, so that they
    move without any change among customers. Their PSI is told as it is, for a model that uses them is applied to
    values that it has hardly seen, but ``note`` says that it had to be expected.

    Parameters
    ----------
    training, scoring : frame
        Features as columns; for training also a `Profile`, whose bins are then taken.
    bins : int
        Numbers and times: quantiles of the training data, fewer where values are equal. Categories: the 50 most
        frequent of the training data, all others together. Nulls (and NaN) are a bin of their own.

    Returns
    -------
    polars.DataFrame
        ``feature``, ``kind`` ("number", "category"), ``psi``, ``by_chance`` (what 19 in 20 samples of these sizes stay
        below without any drift), ``bins``, ``level``: "stable" below 0.1, "moderate" below 0.25, "strong"; or "only in
        training", "only in scoring", "other type" (of different kinds, or lists and the like); ``note``: of clocks
        that are not stable, that they are clocks. Strongest first; those without a number before all.

    Raises
    ------
    DataError
        ``no_rows``; ``no_profile`` for None, the profile of a model that was saved without its training data.

    Examples
    --------
    >>> before = pl.DataFrame({"visits": [1, 2, 3, 4] * 25, "stage": ["see", "think"] * 50})
    >>> now = pl.DataFrame({"visits": [3, 4, 4, 4] * 25, "stage": ["see", "think"] * 50})
    >>> drift(before, now).select("feature", pl.col("psi").round(2), "level").rows()
    [('visits', 2.46, 'strong'), ('stage', 0.0, 'stable')]
    """
    if training is None:
        hint = "save it again with training_data=, or pass the features of training"
        raise DataError("no_profile", "drift from what? the model was saved without its training data", hint=hint)
    then = (training if isinstance(training, Profile) else Profile.of(training, bins)).shapes
    now = _collect(scoring, "scoring")
    rows: list[tuple[Any, ...]] = []
    for name in [*then, *(column for column in now.columns if column not in then)]:
        if name not in now.columns or name not in then:
            rows.append((name, None, None, None, None, f"only in {'training' if name in then else 'scoring'}", None))
            continue
        shape, column = then[name], now[name]
        if shape.kind == "number" and column.dtype == pl.String:
            numbers = numbers_of_texts(column)
            column = numbers if numbers.null_count() == spelled(column).null_count() else column
        if shape.kind == "other" or _kind(column) != shape.kind:
            rows.append((name, None, None, None, None, "other type", None))
            continue
        counts = np.array(shape.counts, dtype=np.int64)
        psi, by_chance, used, level = _psi(counts, _count(shape.kind, shape.bins, column))
        note = NOTE if name in CLOCKS and level != "stable" else None
        rows.append((name, shape.kind, psi, by_chance, used, level, note))
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


def _edges(column: pl.Series, bins: int) -> tuple[float, ...]:
    values = _as_floats(column).fill_null(np.nan).to_numpy()
    some = values[~np.isnan(values)]
    if not len(some):
        return ()
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    edges = np.unique(np.quantile(some, inner, method="inverted_cdf"))
    return tuple(edges[np.isfinite(edges)].tolist())


def _frequent(column: pl.Series) -> tuple[str, ...]:
    rows = pl.DataFrame({"value": column.cast(pl.String)}).drop_nulls().group_by("value").len()
    return tuple(rows.sort("len", "value", descending=[True, False])["value"].head(LARGEST))


def _count(kind: str, bins: tuple[Any, ...], column: pl.Series) -> npt.NDArray[np.int64]:
    """Rows in each bin; the last one is that of nulls."""
    if kind == "number":
        edges, values = np.array(bins, dtype=np.float64), _as_floats(column).fill_null(np.nan).to_numpy()
        # a value at an edge belongs below it
        at = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="left"))
    else:
        known = pl.DataFrame({"value": pl.Series(bins, dtype=pl.String)}).with_row_index("at")
        joined = pl.DataFrame({"value": column.cast(pl.String)}).join(known, on="value", how="left")
        null = pl.col("value").is_null()
        place = pl.when(null).then(len(bins) + 1).otherwise(pl.col("at").fill_null(len(bins)))
        at = joined.select(place).to_series().to_numpy().astype(np.int64)
    return np.bincount(at, minlength=len(bins) + 2)


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
    frame = collect_table(data, name)
    if not len(frame):
        raise DataError("no_rows", f"{name} has 0 rows")
    return frame
