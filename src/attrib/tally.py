"""The additive statistics: sums over journeys, from which every method computes its credit.

A tally is a set of keys with integer sums (real numbers as four words, see ``kernels/fixed.py``), so the
tallies of disjoint customers add up exactly, in any order: threads, files, partitions and machines do not matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush

import numpy as np
import numpy.typing as npt

from attrib.errors import ResourceError
from attrib.kernels.codes import FIRST_PLAYER, HIGH_BITS, LOW_BITS, LOW_MASK, WORDS
from attrib.needs import PATH, Need, Patterns, Transitions

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
KEY_BITS = 62


@dataclass(frozen=True, slots=True)
class Layout:
    """How a key packs unit | game | player fields | tail; player fields are ``bits`` wide."""

    players: int
    bits: int
    game_bits: int
    tail_bits: int = 0

    @property
    def game_shift(self) -> int:
        """Bits below the game."""
        return self.players * self.bits + self.tail_bits

    @property
    def unit_shift(self) -> int:
        """Bits below the unit."""
        return self.game_bits + self.game_shift


@dataclass(frozen=True, slots=True)
class Lists:
    """Lists of players that the tail of a key numbers: list i has the players offsets[i] to offsets[i + 1] (from 3)."""

    offsets: Ints
    players: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums by key.

    ``keys`` int64 [n], sorted and distinct; ``sums`` int64 [n, need.width]; values count in 2^exponent; ``lists`` is
    what the tails stand for, where they number lists of players.
    """

    need: Need
    layout: Layout
    exponent: int
    keys: Ints
    sums: Ints
    lists: Lists | None = None

    def __add__(self, other: Tally) -> Tally:
        return merge([self, other])

    @property
    def units(self) -> Ints:
        """Unit of every key (bucket, or row of a path table)."""
        return self.keys >> self.layout.unit_shift

    @property
    def games(self) -> Ints:
        """Game of every key."""
        return (self.keys >> self.layout.game_shift) & ((1 << self.layout.game_bits) - 1)

    @property
    def tails(self) -> Ints:
        """Tail of every key: a position, a length, or the number of a list."""
        return self.keys & ((1 << self.layout.tail_bits) - 1)

    def player(self, field: int) -> Ints:
        """Code of player field ``field`` (0 = the oldest of the context, or the player); players begin at 3."""
        shift = (self.layout.players - 1 - field) * self.layout.bits + self.layout.tail_bits
        return (self.keys >> shift) & ((1 << self.layout.bits) - 1)

    @property
    def contexts(self) -> Ints:
        """All player fields but the last, packed."""
        return (self.keys >> self.layout.bits) & ((1 << ((self.layout.players - 1) * self.layout.bits)) - 1)

    def column(self, name: str) -> Floats:
        """Sums of one column as floats."""
        at, is_real = self.need.columns[name]
        if not is_real:
            return self.sums[:, at].astype(np.float64)
        return to_float(self.sums[:, at : at + WORDS], self.exponent if "value" in name else 0)

    def counts(self, name: str) -> Ints:
        """Sums of a counted column, exact."""
        at, is_real = self.need.columns[name]
        assert not is_real
        return self.sums[:, at]

    def where(self, mask: npt.NDArray[np.bool_]) -> Tally:
        """The part of the keys that a mask selects."""
        return replace(self, keys=self.keys[mask], sums=self.sums[mask])

    def without_units(self) -> Tally:
        """Sum over the units."""
        return _compact(self, self.keys & ((1 << self.layout.unit_shift) - 1))

    def marginal(self, order: int) -> Tally:
        """Transitions of a lower order."""
        assert isinstance(self.need, Transitions)
        if order == self.need.order:
            return self
        bits = self.layout.bits
        kept = (order + 1) * bits
        above = self.keys >> (self.layout.players * bits)
        keys = (above << kept) | (self.keys & ((1 << kept) - 1))
        smaller = replace(self, need=Transitions(order), layout=replace(self.layout, players=order + 1))
        return _compact(smaller, keys)

    def recode(self, layout: Layout, players: Ints | None = None, games: Ints | None = None) -> Tally:
        """Repack the keys; optionally rename players (by code) and games."""
        if layout == self.layout and players is None and games is None:
            return self
        tails, lists = self.tails, self.lists
        if lists is not None and players is not None:
            lists, number = renumber(
                Lists(lists.offsets, players[lists.players].astype(np.int32)),
                in_order=isinstance(self.need, Patterns) and self.need.of == PATH,
            )
            tails = number[tails]
        keys = self.units << layout.game_bits
        keys |= self.games if games is None else games[self.games]
        for f in range(layout.players):
            code = self.player(f)
            keys = (keys << layout.bits) | (code if players is None else players[code])
        return _compact(replace(self, layout=layout, lists=lists), (keys << layout.tail_bits) | tails)


def to_float(words: Ints, exponent: int) -> Floats:
    """Real numbers of order-free sums; words int64 [n, 4] (see ``kernels/fixed.py``)."""
    real = np.zeros(len(words))
    for word in range(WORDS - 1, -1, -1):  # smallest first
        real += words[:, word] * 2.0 ** -(HIGH_BITS + word * LOW_BITS)
    return np.ldexp(real, exponent)


def carry(words: Ints) -> None:
    """Bring the lower words of order-free sums back below 2^42, in place."""
    for word in range(WORDS - 1, 0, -1):
        words[:, word - 1] += words[:, word] >> LOW_BITS
        words[:, word] &= LOW_MASK


def real_columns(need: Need) -> Ints:
    """First words of the real numbers."""
    return np.array([at for at, is_real in need.columns.values() if is_real], np.int64)


def _compact(tally: Tally, keys: Ints) -> Tally:
    """Sort by key and sum what is equal, carrying the lower words."""
    from attrib.kernels import tables as kernel

    new_keys, sums = np.empty_like(keys), np.empty_like(tally.sums)
    n = kernel.sum_equal(kernel.sort_keys(keys), keys, tally.sums, real_columns(tally.need), new_keys, sums)
    return replace(tally, keys=shrunk(new_keys, n), sums=shrunk(sums, n))


def shrunk(rows: Ints, n: int) -> Ints:
    """The first n rows, without holding on to many more."""
    return rows[:n] if 2 * n > len(rows) else rows[:n].copy()


def renumber(lists: Lists, *, in_order: bool) -> tuple[Lists, Ints]:
    """Give lists numbers that do not depend on where they were met; also the new number of every old one.

    ``in_order``: the order within a list counts, else its players are sorted.
    """
    from attrib.kernels import patterns

    if not in_order:
        lists = Lists(lists.offsets, patterns.sort_lists(lists.offsets, lists.players))
    order = np.argsort(patterns.hash_lists(lists.offsets, lists.players), kind="stable")
    offsets, players = patterns.take_lists(lists.offsets, lists.players, order)
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    return Lists(offsets, players), number


def _share_lists(parts: list[Tally]) -> list[Tally]:
    """The same parts, with tails that number the lists of all of them."""
    from attrib.kernels import patterns

    own = [part.lists for part in parts if part.lists is not None]
    if not own:
        return parts
    starts = np.cumsum([0, *(len(lists) for lists in own)])
    shifts = np.cumsum([0, *(len(lists.players) for lists in own)])
    offsets = np.concatenate(
        [[0], *(lists.offsets[1:] + shift for lists, shift in zip(own, shifts[:-1], strict=True))]
    ).astype(np.int64)
    players = np.concatenate([lists.players for lists in own])
    number, first = patterns.number_lists(offsets, players)
    whole = Lists(*patterns.take_lists(offsets, players, first))
    tail_bits = bits_for(len(whole))
    renamed = []
    for part, start in zip(parts, starts, strict=False):
        above = part.keys >> part.layout.tail_bits
        keys = (above << tail_bits) | number[start + part.tails]
        layout = replace(part.layout, tail_bits=tail_bits)
        renamed.append(_compact(replace(part, layout=layout, lists=whole), keys))  # in the order of the new numbers
    return renamed


def merge(tallies: Iterable[Tally]) -> Tally:
    """Add tallies of disjoint journeys.

    Returns
    -------
    Tally
        Keys are packed as wide as the widest part needs.
    """
    from attrib.kernels import tables as kernel

    parts = list(tallies)
    if len(parts) == 1:
        return parts[0]
    units = max((int(p.units[-1]) for p in parts if len(p.keys)), default=0) + 1
    parts = _share_lists(parts)
    first = parts[0]
    widest = [max(getattr(p.layout, name) for p in parts) for name in ("bits", "game_bits", "tail_bits")]
    layout = Layout(first.layout.players, *widest)
    check_key_width(first.need, layout, units)
    reals = real_columns(first.need)
    queue = [(len(p.keys), number, p.keys, p.sums) for number, p in enumerate(p.recode(layout) for p in parts)]
    heapify(queue)
    while len(queue) > 1:  # always the two smallest, so that few rows are moved often
        (n, number, *one), (m, _, *other) = heappop(queue), heappop(queue)
        keys, sums = np.empty(n + m, np.int64), np.empty((n + m, first.need.width), np.int64)
        n = kernel.merge_rows(*one, *other, reals, keys, sums)
        heappush(queue, (n, number, shrunk(keys, n), shrunk(sums, n)))
    return replace(parts[0], layout=layout, keys=queue[0][2], sums=queue[0][3])


def check_key_width(need: Need, layout: Layout, units: int) -> None:
    """Stop where keys do not fit into 62 bits.

    Raises
    ------
    ResourceError
        ``key_too_wide``: the order is too high for so many players, games and units.
    """
    unit_bits = (units - 1).bit_length()
    if layout.unit_shift + unit_bits > KEY_BITS:
        order = f"order {need.order}" if isinstance(need, Transitions) else "this method"
        raise ResourceError(
            "key_too_wide",
            f"{order} with up to {(1 << layout.bits) - FIRST_PLAYER:,} players, {1 << layout.game_bits:,} games and "
            f"{units:,} resampling units needs keys of {layout.unit_shift + unit_bits} bits; {KEY_BITS} are available",
            hint="lower the order, group rare players, or use intervals=None",
        )


def bits_for(codes: int) -> int:
    """Bits that hold the codes 0 … codes-1."""
    return max(1, (codes - 1).bit_length())
