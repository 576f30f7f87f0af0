"""Order ids as words: what tells them apart, and their order among rows that are else equal (semantics §1).

Nulls and blank texts come first, then whole numbers by number, then texts by bytes, whatever the type of the column.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from attrib.engines.coding import Words, hash_texts, integer_words, ordered_int
from attrib.io.ids import number_of
from attrib.refunds import blank_as_none

NEGATIVE, NUMBER, TEXT = 1, 2, 3  # what an id is, in the first byte of its words; of none they are 0
BYTES = 47  # of a text: it is ordered by these, and by its hash where they are alike
_WORDS = 7  # one byte for what it is, 47 of the text (or a number in the second word), and its hash
_WHOLE = r"^(-?[0-9]+)\.0+$"


def words_of(dtype: pl.DataType) -> int:
    """Number of words that an id of a column takes."""
    return 2 if _is_plain(dtype) else _WORDS


def _is_plain(dtype: pl.DataType) -> bool:
    wide = dtype in (pl.Int128, pl.UInt128)
    return (dtype.is_integer() and not wide) or dtype == pl.Boolean or dtype in (pl.Date, pl.Datetime)


def order_words(series: pl.Series) -> Words:
    """Words that sort like the ids: uint64 [n, `words_of`]; all of them 0 for none.

    Examples
    --------
    >>> order_words(pl.Series([9, None, -1]))[:, 0].argsort().tolist()
    [1, 2, 0]
    >>> words = order_words(pl.Series(["b", "10", "9.0", None, "a"]))
    >>> np.lexsort(words.T[::-1]).tolist()
    [3, 2, 1, 4, 0]
    """
    if not _is_plain(series.dtype):
        return _text_words(as_texts(series))
    words = integer_words(series)[0]
    if series.dtype != pl.UInt64:
        words = ordered_int(words.view(np.int64))
    out = np.stack([words, np.ones_like(words)], axis=1)
    if series.null_count():
        out[series.is_null().to_numpy()] = 0
    return out


def as_texts(series: pl.Series) -> pl.Series:
    """Ids as texts: a whole number as such, also where it is written 9.0; null where blank."""
    if series.dtype.is_float():
        whole = pl.col("id") == pl.col("id").round(0)
        number = pl.when(whole & (pl.col("id").abs() < 2.0**63)).then(pl.col("id").cast(pl.Int64, strict=False))
        text = pl.coalesce(number.cast(pl.String), pl.col("id").fill_nan(None).cast(pl.String))
    else:
        text = pl.col("id").cast(pl.String).str.replace(_WHOLE, "$1")
    texts = series.alias("id").to_frame().select(text)
    return blank_as_none(texts, "id")["id"]


def _text_words(texts: pl.Series) -> Words:
    known = texts.is_not_null().to_numpy()
    out = np.zeros((len(texts), _WORDS), np.uint64)
    present = texts.drop_nulls()
    if not len(present):
        return out
    number = present.to_frame().select(number_of("id")).to_series()
    leading = b"%c" % TEXT
    start = [leading + text for text in present.cast(pl.Binary).bin.slice(0, BYTES).to_list()]
    words = np.array(start, f"S{BYTES + 1}").view(">u8").reshape(-1, _WORDS - 1).astype(np.uint64)
    are = number.is_not_null().to_numpy()
    if are.any():
        numbers = number.drop_nulls()
        below = (numbers < 0).to_numpy()
        kind = np.where(below, np.uint64(NEGATIVE), np.uint64(NUMBER)) << np.uint64(56)
        signed = numbers.cast(pl.Int64, strict=False).fill_null(0).to_numpy().view(np.uint64)
        bits = np.where(below, signed, numbers.cast(pl.UInt64, strict=False).fill_null(0).to_numpy())
        words[are] = 0  # a number is in the second word
        words[are, 0], words[are, 1] = kind, bits
    out[known, :-1] = words
    out[known, -1] = hash_texts(present)[0]
    return out


def identity_of(words: Words) -> Words:
    """Two words that tell ids apart, (0, 0) for none: uint64 [n, 2]."""
    return words[:, [-1, 0]] if words.shape[1] > 2 else words


def rank_orders(series: pl.Series) -> pl.Series:
    """Place of each id among those of a column, from 1; null for none.

    Examples
    --------
    >>> rank_orders(pl.Series(["b", "10", " ", "9", "b"])).to_list()
    [3, 2, None, 1, 3]
    """
    if _is_plain(series.dtype):
        return series.rank("dense").cast(pl.Int64)
    texts = as_texts(series)
    known = texts.drop_nulls().unique()
    start = pl.col("id").cast(pl.Binary).bin.slice(0, BYTES)
    keys = known.to_frame().with_columns(
        number_of("id").alias("number"), start.alias("start"), pl.Series("hash", hash_texts(known)[0])
    )
    ranked = (
        keys.sort("number", "start", "hash", nulls_last=[True, False, False]).select("id").with_row_index("rank", 1)
    )
    found = texts.to_frame().join(ranked, on="id", how="left", maintain_order="left")
    return found["rank"].cast(pl.Int64).alias(series.name)
