"""Columns to codes and identities to words: what kernels read instead of names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import nanoarrow
import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError
from attrib.io.checks import is_blank
from attrib.kernels import words

Codes = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint64]
SIGN = np.uint64(1 << 63)


def _views(series: pl.Series) -> list[tuple[int, npt.NDArray[np.int64], int, object]]:
    """Addresses of a text column's string views and buffers, without a copy; the last item keeps them alive."""
    parts = []
    for chunk in nanoarrow.c_array_stream(series):
        if chunk.length:
            buffers = chunk.buffers
            address = buffers[1] + 16 * chunk.offset
            parts.append((address, np.array([*buffers[2:-1], 0], np.int64), chunk.length, chunk))
    return parts


def text_words(series: pl.Series) -> tuple[Words, Words]:
    """Two words that identify each text (nulls undefined)."""
    n = len(series)
    w0, w1 = np.empty(n, np.uint64), np.empty(n, np.uint64)
    at = 0
    for address, buffers, length, _owner in _views(series):
        words.text_words(address, buffers, length, w0[at:], w1[at:])
        at += length
    return w0, w1


def hash_texts(series: pl.Series) -> tuple[Words, Words, npt.NDArray[np.bool_]]:
    """Hash each text to 128 bits; also which texts are blank."""
    n = len(series)
    w0, w1, blank = np.empty(n, np.uint64), np.empty(n, np.uint64), np.zeros(n, np.bool_)
    at = 0
    for address, buffers, length, _owner in _views(series):
        words.hash_texts(address, buffers, length, w0[at:], w1[at:], blank[at:])
        at += length
    return w0, w1, blank


@dataclass(frozen=True, slots=True)
class Parts:
    """Texts split at a separator: text i has the parts offsets[i] to offsets[i + 1], each identified by two words.

    ``blank`` bool [n]: one part among several is empty. A text of white space has no part.
    """

    offsets: npt.NDArray[np.int64]
    w0: Words
    w1: Words
    blank: npt.NDArray[np.bool_]

    def take(self, keep: npt.NDArray[np.bool_]) -> Parts:
        """The parts of some of the texts."""
        if keep.all():
            return self
        lengths = np.diff(self.offsets)
        parts = np.repeat(keep, lengths)
        offsets = np.concatenate([[0], np.cumsum(lengths[keep])])
        return Parts(offsets, self.w0[parts], self.w1[parts], self.blank[keep])


def split_texts(series: pl.Series, separator: str) -> Parts:
    """Split each text (no nulls) at a separator; parts are stripped of white space."""
    n = len(series)
    offsets, blank = np.zeros(n + 1, np.int64), np.zeros(n, np.bool_)
    w0, w1 = np.empty(4 * n + 256, np.uint64), np.empty(4 * n + 256, np.uint64)
    mark, at = np.frombuffer(separator.encode(), np.uint8), 0
    for address, buffers, length, _owner in _views(series):
        row, own = 0, offsets[at : at + length + 1]
        while True:
            row = words.split_texts(address, buffers, length, mark, row, own, w0, w1, blank[at : at + length])
            if row == length:
                break
            more = np.empty(len(w0) + len(series[at + row].encode()) + 1, np.uint64)  # twice, and room for this text
            w0, w1 = np.concatenate([w0, more]), np.concatenate([w1, more])
        at += length
    return Parts(offsets, w0[: offsets[-1]], w1[: offsets[-1]], blank)


def ordered_int(values: npt.NDArray[np.int64]) -> Words:
    """Words that sort like signed integers."""
    return values.view(np.uint64) ^ SIGN


def unordered_int(values: Words) -> npt.NDArray[np.int64]:
    """Invert :func:`ordered_int`."""
    return (values ^ SIGN).view(np.int64)


def ordered_float(values: npt.NDArray[np.float64]) -> Words:
    """Words that sort like finite floats (and -0.0 equals 0.0)."""
    bits = (values + 0.0).view(np.uint64)
    return np.where(bits >> np.uint64(63), ~bits, bits | SIGN)


def unordered_float(values: Words) -> npt.NDArray[np.float64]:
    """Invert :func:`ordered_float`."""
    return np.where(values >> np.uint64(63), values & ~SIGN, ~values).view(np.float64)


def integer_words(series: pl.Series) -> tuple[Words, Words]:
    """Words of any column that is a number, a date or a truth value."""
    dtype = series.dtype
    if dtype.is_float():
        w0 = ordered_float(series.cast(pl.Float64).fill_null(0.0).to_numpy())
    elif dtype == pl.UInt64:
        w0 = series.fill_null(0).to_numpy().copy()
    elif (dtype.is_integer() and dtype not in (pl.Int128, pl.UInt128)) or dtype == pl.Boolean or dtype.is_temporal():
        w0 = series.to_physical().cast(pl.Int64).fill_null(0).to_numpy().view(np.uint64)
    else:
        raise DataError(
            "wrong_type",
            f"column {series.name!r} is {dtype}, which cannot be a key",
            hint="cast it to text",
            column=series.name,
        )
    return w0, np.zeros(len(w0), np.uint64)


def frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """View an array as read-only, as those of polars are mostly: a kernel is compiled for one of the two only."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _as_key(series: pl.Series) -> pl.Series:
    return series.cast(pl.String) if isinstance(series.dtype, (pl.Categorical, pl.Enum)) else series


def _words_of(key: pl.Series) -> tuple[Words, Words]:
    """Two words that identify each value of a key column (nulls undefined)."""
    return text_words(key) if key.dtype == pl.String else integer_words(key)


@dataclass(slots=True)
class Dictionary:
    """Codes of one column in order of first appearance; code 0 is null. ``blanks`` are codes of white space."""

    name: str
    values: pl.Series | None = None
    blanks: list[int] = field(default_factory=list)
    _keys: Words = field(default_factory=lambda: np.zeros((256, 2), np.uint64))
    _codes: Codes = field(default_factory=lambda: np.full(256, -1, np.int32))
    _words: Words = field(default_factory=lambda: np.zeros((128, 2), np.uint64))
    _count: int = 0

    def __len__(self) -> int:
        return self._count + 1

    def encode(self, series: pl.Series) -> Codes:
        """Code a column; new values are remembered."""
        if not series.null_count():
            return self.encode_present(series) + np.int32(1)
        key = _as_key(series)
        present = series.is_not_null().to_numpy()
        fresh = np.zeros(0, np.int64)
        out = np.zeros(len(series), np.int32)
        if present.any():
            w0, w1 = _words_of(key)
            codes, fresh = self.encode_words(w0[present], w1[present])
            out[present] = codes + 1
        self._remember(key, np.flatnonzero(present)[fresh])
        return out

    def encode_present(self, series: pl.Series) -> Codes:
        """Code a column without nulls, from 0: one less than :meth:`encode` would."""
        key = _as_key(series)
        none = np.zeros(0, np.uint64)
        codes, fresh = self.encode_words(*(_words_of(key) if len(key) else (none, none)))
        self._remember(key, fresh)
        return codes

    def encode_parts(self, parts: Parts, texts: pl.Series, separator: str) -> Codes:
        """Code the parts of texts, from 0."""
        codes, fresh = self.encode_words(parts.w0, parts.w1)
        rows = np.searchsorted(parts.offsets, fresh, side="right") - 1
        new = texts.gather(rows).str.split(separator).list.get(pl.Series(fresh - parts.offsets[rows], dtype=pl.Int64))
        self._remember(new.str.strip_chars(), np.arange(len(fresh)))
        return codes

    def _remember(self, key: pl.Series, fresh: npt.NDArray[np.int64]) -> None:
        if self.values is None:
            self.values = pl.Series(self.name, [None], dtype=key.dtype)
        if len(fresh):
            new = key.gather(fresh).alias(self.name)
            if self.values.dtype == pl.Null:
                self.values = self.values.cast(new.dtype)
            if new.dtype == pl.String:
                blank = new.to_frame().select(is_blank(self.name)).to_series().arg_true()
                self.blanks += [len(self.values) + int(i) for i in blank]
            self.values = pl.concat([self.values, new.cast(self.values.dtype)])

    def encode_words(self, w0: Words, w1: Words) -> tuple[Codes, npt.NDArray[np.int64]]:
        """Code pairs of words, from 0; also the first row of each new pair."""
        out = np.empty(len(w0), np.int32)
        fresh = np.empty(4096, np.int64)
        found: list[npt.NDArray[np.int64]] = []
        row = 0
        while True:
            before = self._count
            row, self._count = words.encode_words(w0, w1, row, self._keys, self._codes, self._words, before, out, fresh)
            found.append(fresh[: self._count - before].copy())
            if row == len(w0):
                return out, np.concatenate(found)
            if self._count == len(self._words):
                self._grow()

    def rank(self) -> Codes:
        """Place of every code in the order of the values: texts in byte order, null last."""
        assert self.values is not None
        place = np.empty(len(self), np.int32)
        place[self.values.arg_sort(nulls_last=True).to_numpy()] = np.arange(len(self), dtype=np.int32)
        return place

    def _grow(self) -> None:
        size = 4 * len(self._codes)
        self._words = np.concatenate([self._words, np.zeros((size // 2 - len(self._words), 2), np.uint64)])
        self._keys, self._codes = np.zeros((size, 2), np.uint64), np.full(size, -1, np.int32)
        words.rebuild_table(self._words, self._count, self._keys, self._codes)


@dataclass(slots=True)
class Kinds:
    """Distinct combinations of the columns that say what kind of event a row is.

    A row then needs one code; a kind leads to its channel, player, game, stage … by small look-ups.
    ``dictionaries``: one a column, the first is the channel or the outcome; by-columns share theirs between tables.
    """

    dictionaries: list[Dictionary]
    _combine: list[Dictionary] = field(default_factory=list)
    _codes: list[npt.NDArray[np.int32]] = field(default_factory=list)
    _ranked: int = 0
    _rank: Codes = field(default_factory=lambda: np.zeros(0, np.int32))

    def __post_init__(self) -> None:
        self._combine = [Dictionary("kind") for _ in self.dictionaries[1:]]
        self._codes = [np.zeros((0, len(self.dictionaries)), np.int32)]

    def encode(self, batch: pl.DataFrame) -> Codes:
        """Code the rows of a batch, whose first column has no nulls."""
        first, *others = self.dictionaries
        known = len(first)
        kinds = first.encode_present(batch[first.name])
        if not others:  # kinds are the codes, numbered by appearance like them
            if len(first) > known:
                self._codes.append(np.arange(known, len(first), dtype=np.int32)[:, None])
            return kinds
        columns = [kinds + np.int32(1), *(d.encode(batch[d.name]) for d in others)]
        fresh = np.zeros(0, np.int64)
        for codes, combine in zip(columns[1:], self._combine, strict=True):
            kinds, fresh = combine.encode_words(kinds.astype(np.uint64), codes.astype(np.uint64))
        if len(fresh):
            self._codes.append(np.stack([c[fresh] for c in columns], axis=1))
        return kinds

    @property
    def codes(self) -> npt.NDArray[np.int32]:
        """Codes of the columns by kind [kinds, columns]."""
        if len(self._codes) > 1:
            self._codes = [np.concatenate(self._codes)]
        return self._codes[0]

    def rank(self) -> Codes:
        """Place of every kind in the order of semantics §1: by the columns, texts in byte order, nulls last."""
        codes = self.codes
        if self._ranked != len(codes):
            places = [dictionary.rank()[codes[:, column]] for column, dictionary in enumerate(self.dictionaries)]
            order = np.lexsort(places[::-1])
            self._rank = np.empty(len(codes), np.int32)
            self._rank[order] = np.arange(len(codes), dtype=np.int32)
            self._ranked = len(codes)
        return self._rank


def check_players(dictionaries: Sequence[Dictionary], limit: int, counts: npt.NDArray[np.int64]) -> None:
    """Stop when there are more distinct players than the cap.

    Raises
    ------
    DataError
        ``too_many_players``, naming the column with the most values and its most frequent ones.
    """
    worst = max(dictionaries, key=len)
    assert worst.values is not None
    top = np.argsort(-counts[1:], kind="stable")[:5] + 1
    names = ", ".join(repr(str(worst.values[int(i)])[:40]) for i in top)
    raise DataError(
        "too_many_players",
        f"more than {limit:,} distinct players; column {worst.name!r} has {len(worst) - 1:,} values so far, "
        f"most often {names}",
        hint=f"group its values (URLs and ids are not channels), or raise max_players above {limit:,}",
        column=worst.name,
        limit=limit,
        found=len(worst) - 1,
    )
