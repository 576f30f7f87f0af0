"""Order ids as words: what tells them apart, and their order among rows that are else equal (semantics §1).

Nulls and blank texts come first, then whole numbers by number, then texts by bytes, whatever the type of the column.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from attrib.engines.coding import Words, hash_texts, integer_words, ordered_int
from attrib.refunds import blank_as_none

NEGATIVE, NUMBER, TEXT = 1, 2, 3  # what an id is, in the first byte of its words; of none they are 0
BYTES = 47  # of a text: it is ordered by these, and by its hash where they are alike
_WORDS = 7  # one byte for what it is, 47 of the text (or a number in the second word), and its hash
_WHOLE = r"^(-?[0-9]+)\.0$"


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
        text = pl.col("id").cast(pl.String)
        text = pl.when(text.str.ends_with(".0")).then(text.str.replace(_WHOLE, "$1")).otherwise(text)
    texts = series.alias("id").to_frame().select(text)
    return blank_as_none(texts, "id")["id"]


def _text_words(texts: pl.Series) -> Words:
    out = np.zeros((len(texts), _WORDS), np.uint64)
    present = texts.drop_nulls()
    if not len(present):
        return out
    hashes, kinds, _ = hash_texts(present)
    words = np.empty((len(present), _WORDS), np.uint64)
    start = np.zeros((len(present), BYTES + 1), np.uint8)
    start[:, 0] = TEXT
    # a list of bytes: numpy fills them up with zeros
    bytes_of = np.array(present.cast(pl.Binary).bin.slice(0, BYTES).to_list(), f"S{BYTES}")
    start[:, 1:] = bytes_of.view(np.uint8).reshape(-1, BYTES)
    words[:, :-1] = start.view(">u8")
    words[:, -1] = hashes
    are = np.flatnonzero(kinds <= 1)  # whole numbers: their hash is that of the number
    if len(are):
        words[are, :-1] = 0
        words[are, 0] = np.where(kinds[are] == 1, np.uint64(NEGATIVE), np.uint64(NUMBER)) << np.uint64(56)
        words[are, 1] = _number_of(hashes[are])
    if not texts.null_count():
        return words
    out[texts.is_not_null().to_numpy()] = words
    return out


def _number_of(hashes: Words) -> Words:
    """Invert the hash of whole numbers (the finaliser of splitmix64, a bijection)."""
    x = hashes
    for shift, factor in ((31, 0x94D049BB133111EB), (27, 0xBF58476D1CE4E5B9)):
        x = x ^ (x >> np.uint64(shift)) ^ (x >> np.uint64(2 * shift))
        x = x * np.uint64(pow(factor, -1, 2**64))
    number: Words = x ^ (x >> np.uint64(30)) ^ (x >> np.uint64(60))
    return number


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
    words = order_words(series)
    place = np.zeros(len(series), np.int64)
    some = np.flatnonzero(words[:, 0])
    if len(some):
        sorted_rows = some[np.lexsort(words[some].T[::-1])]
        ordered = words[sorted_rows]
        place[sorted_rows] = 1 + np.append(0, np.cumsum((ordered[1:] != ordered[:-1]).any(axis=1)))
    return pl.Series(series.name, place).replace(0, None)
