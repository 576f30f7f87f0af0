"""Words of the columns beside customer, time and kind: clusters, ids of events, and what tells flagged rows apart."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.engines.coding import Words, hash_texts, integer_words, ordered_float
from attrib.io import checks
from attrib.io.amounts import number
from attrib.kernels import words


def hash_integers(values: npt.NDArray[np.int64] | npt.NDArray[np.uint64]) -> Words:
    """Hashes of whole numbers of 64 bits."""
    out = np.empty(len(values), np.uint64)
    words.hash_integers(np.ascontiguousarray(values).view(np.int64), out)
    return out


def cluster_words(series: pl.Series) -> Words:
    """A word for each cluster, 0 for none."""
    if series.dtype in (pl.String, pl.Null) or isinstance(series.dtype, (pl.Categorical, pl.Enum)):
        w0, _, _ = hash_texts(series.cast(pl.String))
    else:
        w0 = hash_integers(integer_words(series)[0])
    w0 = np.maximum(w0, np.uint64(1))
    if series.null_count():
        w0[series.is_null().to_numpy()] = 0
    return w0


def event_words(series: pl.Series) -> tuple[Words, Words]:
    """Two words for each id, the second 0 for none."""
    if series.dtype in (pl.String, pl.Null) or isinstance(series.dtype, (pl.Categorical, pl.Enum)):
        w0, w1, _ = hash_texts(series.cast(pl.String))
        w1 = np.maximum(w1, np.uint64(1))
    else:
        w0, w1 = integer_words(series)
        w1 = np.ones(len(w0), np.uint64)
    if series.null_count():
        null = series.is_null().to_numpy()
        w0 = np.where(null, np.uint64(0), w0)  # words of integers may be a view of the column, which is not ours
        w1[null] = 0
    return w0, w1


def extra_words(batch: pl.DataFrame, value: str | None) -> Words:
    """The flag (or count) and value of rows that are outcomes too: rows that differ in them are no duplicates.

    The lowest bit tells whether a row is an outcome.
    """
    counts = batch[checks.FLAG].cast(pl.Int64).to_numpy()
    out = (counts > 0).astype(np.uint64)
    if batch.schema[checks.FLAG] != pl.Boolean:
        out ^= (counts.astype(np.uint64) * words.C1) << np.uint64(1)
    if value is not None:
        numbers = (
            batch.select(number(value, batch.schema[value])).to_series().fill_null(math.nan).fill_nan(0.0).to_numpy()
        )
        out = out ^ (ordered_float(np.where(np.isfinite(numbers), numbers, 0.0)) << np.uint64(1))
    return out
