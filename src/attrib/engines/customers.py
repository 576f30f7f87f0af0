"""Customers by hash: the words that identify them, and those with very many rows."""

from __future__ import annotations

import numpy as np
import polars as pl

from attrib.engines.coding import SIGN, Words, hash_texts
from attrib.engines.columns import hash_integers

LOOKED_AT = 1024  # rows of a batch that are looked at for customers with many


def hash_ordered_ids(ids: Words, kind: str) -> Words:
    """Hashes of customers from words that sort like their integer ids."""
    return hash_integers(ids if kind == "unsigned" else (ids ^ SIGN).view(np.int64))


def hash_customers(ids: pl.Series, kind: str) -> list[Words]:
    """Words that identify customers."""
    return list(hash_texts(ids)[:2]) if kind == "text" else [hash_integers(ids.to_numpy())]


def heavy_customers(ids: pl.Series, kind: str) -> dict[int, str]:
    """Customers with many rows of a batch, by their word: at least one in 20 of those looked at, and 100 rows.

    Whoever has a tenth of all rows has a tenth of some batch, and is met here but for once in millions.
    """
    step = max(1, len(ids) // LOOKED_AT)
    counts = ids.gather_every(step).value_counts(name="__n")
    top = counts.filter((pl.col("__n") * 20 * step >= len(ids)) & (pl.col("__n") * step >= 100))[ids.name]
    if not len(top):
        return {}
    return dict(zip(hash_customers(top, kind)[0].tolist(), top.cast(pl.String).to_list(), strict=True))
