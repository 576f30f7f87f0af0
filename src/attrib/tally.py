"""The additive statistics: sums over journeys, from which every method computes its credit.

A tally is a set of keys with integer sums (real numbers as four words, see ``kernels/fixed.py``), so the
tallies of disjoint customers add up exactly, in any order: threads, files, partitions and machines do not matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from attrib.errors import ResourceError
from attrib.kernels.codes import DECAY, FIRST_PLAYER, HIGH_BITS, LOW_BITS, LOW_MASK, WORDS

if TYPE_CHECKING:
    from attrib.ragged import Ragged

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
DENSE = 1 << 20  # rows of a dense table: with three columns about 24 MiB, mostly untouched
KEY_BITS = 62


@dataclass(frozen=True, slots=True)
class Totals:
    """Conversions, nulls and value of each game, and what no touch can be credited with.

    Of every need: ``players`` fields of a key, ``columns`` name → (first word, whether it is a sum of four words),
    ``width`` words in all, ``marks`` the words of which some are not 0 in every row in use.
    """

    players: ClassVar[int] = 0
    columns: ClassVar[dict[str, tuple[int, bool]]] = {
        "conversions": (0, False), "nulls": (1, False), "unattributed": (2, False), "rows": (3, False),
        "unattributed_rows": (4, False), "journeys": (5, False), "value": (6, True), "unattributed_value": (10, True),
    }  # fmt: skip
    width: ClassVar[int] = 14
    marks: ClassVar[tuple[int, ...]] = (5,)


@dataclass(frozen=True, slots=True)
class Touches:
    """Touches of each player in each game."""

    players: ClassVar[int] = 1
    columns: ClassVar[dict[str, tuple[int, bool]]] = {"touches": (0, False)}
    width: ClassVar[int] = 1
    marks: ClassVar[tuple[int, ...]] = (0,)


@dataclass(frozen=True, slots=True)
class RuleSums:
    """Credit of a rule: weights over the touches of a journey that sum to 1.

    ``rule`` is a code of ``kernels.tallies``; a and b are its parameters (position: ends; decay: half-life in
    seconds); ``direct`` the channels that ``last_non_direct`` passes over.
    """

    rule: int
    a: float = 0.0
    b: float = 0.0
    direct: tuple[str, ...] = ()
    players: ClassVar[int] = 1
    columns: ClassVar[dict[str, tuple[int, bool]]] = {"conversions": (0, True), "value": (4, True)}
    width: ClassVar[int] = 8
    marks: ClassVar[tuple[int, ...]] = (0, 1, 2, 3)


@dataclass(frozen=True, slots=True)
class Transitions:
    """Steps from the last ``order`` players to the next one, to conversion or to null."""

    order: int

    columns: ClassVar[dict[str, tuple[int, bool]]] = {"count": (0, False), "value": (1, True)}
    width: ClassVar[int] = 5
    marks: ClassVar[tuple[int, ...]] = (0,)

    @property
    def players(self) -> int:
        """Player fields of a key: the context and the next player."""
        return self.order + 1


Need = Totals | Touches | RuleSums | Transitions


@dataclass(frozen=True, slots=True)
class Layout:
    """How a key packs unit | game | player fields; player fields are ``bits`` wide."""

    players: int
    bits: int
    game_bits: int

    @property
    def unit_shift(self) -> int:
        """Bits below the unit."""
        return self.game_bits + self.players * self.bits


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums by key.

    ``keys`` int64 [n], sorted and distinct; ``sums`` int64 [n, need.width]; values count in 2^exponent.
    """

    need: Need
    layout: Layout
    exponent: int
    keys: Ints
    sums: Ints

    def __add__(self, other: Tally) -> Tally:
        return merge([self, other])

    @property
    def units(self) -> Ints:
        """Unit of every key (bucket, or row of a path table)."""
        return self.keys >> self.layout.unit_shift

    @property
    def games(self) -> Ints:
        """Game of every key."""
        return (self.keys >> (self.layout.players * self.layout.bits)) & ((1 << self.layout.game_bits) - 1)

    def player(self, field: int) -> Ints:
        """Code of player field ``field`` (0 = the oldest of the context, or the player); players begin at 3."""
        shift = (self.layout.players - 1 - field) * self.layout.bits
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
        keys = self.units << layout.game_bits
        keys |= self.games if games is None else games[self.games]
        for f in range(layout.players):
            code = self.player(f)
            keys = (keys << layout.bits) | (code if players is None else players[code])
        return _compact(replace(self, layout=layout), keys)


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


def _compact(tally: Tally, keys: Ints) -> Tally:
    """Sort by key and sum what is equal, carrying the lower words."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.zeros(0, np.int64)
    sums = np.add.reduceat(tally.sums[order], starts, axis=0) if len(keys) else tally.sums
    for at, is_real in tally.need.columns.values():
        if is_real:
            carry(sums[:, at : at + WORDS])
    return replace(tally, keys=keys[starts], sums=sums)


def merge(tallies: Iterable[Tally]) -> Tally:
    """Add tallies of disjoint journeys.

    Returns
    -------
    Tally
        Keys are packed as wide as the widest part needs.
    """
    parts = list(tallies)
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    layout = Layout(first.layout.players, max(p.layout.bits for p in parts), max(p.layout.game_bits for p in parts))
    check_key_width(first.need, layout, max((int(p.units[-1]) for p in parts if len(p.keys)), default=0) + 1)
    parts = [p.recode(layout) for p in parts]
    joined = replace(
        parts[0], keys=np.concatenate([p.keys for p in parts]), sums=np.concatenate([p.sums for p in parts])
    )
    return _compact(joined, joined.keys)


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


def tally_journeys(ragged: Ragged, need: Need, *, players: int, games: int, exponent: int, units: bool) -> Tally:
    """Sum one need over the journeys of a partition.

    Parameters
    ----------
    ragged : Ragged
        Journeys of some customers.
    need : Need
        What to sum.
    players, games : int
        Number of distinct players and games so far.
    exponent : int
        Values are counted in 2^exponent.
    units : bool
        Keep the unit axis (for intervals).
    """
    from attrib.kernels import tallies as kernel

    layout = Layout(need.players, bits_for(players + FIRST_PLAYER), bits_for(games))
    unit = ragged.unit if units else np.zeros(len(ragged.game), np.int32)
    n_units = int(unit.max()) + 1 if len(unit) else 1
    check_key_width(need, layout, n_units)
    total_bits = layout.unit_shift + (n_units - 1).bit_length()
    dense = (1 << total_bits) <= min(DENSE, max(4096, 4 * len(ragged.players)))
    slots = np.zeros(0, np.int64) if dense else np.full(1 << 16, -1, np.int64)
    used = np.zeros(1, np.int64)
    sums = np.zeros(((1 << total_bits) if dense else len(slots), need.width), np.int64)
    scale = float(np.ldexp(1.0, -exponent))
    r, bits, gb = ragged, layout.bits, layout.game_bits
    common: tuple[Any, ...]
    if isinstance(need, Totals):
        run = kernel.sum_totals
        common = (r.offsets, r.game, unit, r.conversions, r.nulls, r.value, r.rows, r.status, scale, gb)
    elif isinstance(need, Touches):
        run = kernel.count_touches
        common = (r.offsets, r.players, r.game, r.status, bits)
    elif isinstance(need, RuleSums):
        run = kernel.sum_rule
        direct = r.is_direct(need.direct)
        a = need.a * r.ticks_per_second if need.rule == DECAY else need.a
        common = (
            need.rule, a, need.b, r.offsets, r.players, r.times, direct, r.game, unit, r.conversions, r.value, scale,
            gb, bits,
        )  # fmt: skip
    else:
        run = kernel.sum_transitions
        common = (
            need.order, r.offsets, r.players, r.game, unit, r.conversions, r.nulls, r.value, r.status, scale, gb, bits,
        )  # fmt: skip
    weights = np.empty(r.longest, np.float64) if isinstance(need, RuleSums) else None
    at = 0
    while True:
        tail = (at, slots, used, sums) if weights is None else (at, slots, used, sums, weights)
        at = run(*common, *tail)
        if at == len(r.game):
            break
        slots, sums = _grow(slots, sums, used, r.longest, kernel)
    if dense:
        in_use = sums[:, need.marks[0]] != 0
        for column in need.marks[1:]:
            in_use |= sums[:, column] != 0
        keys = np.flatnonzero(in_use)
        return Tally(need, layout, exponent, keys, sums[keys])
    rows = np.flatnonzero(slots >= 0)
    rows = rows[np.argsort(slots[rows], kind="stable")]
    return Tally(need, layout, exponent, slots[rows], sums[rows])


def _grow(slots: Ints, sums: Ints, used: Ints, longest: int, kernel: Any) -> tuple[Ints, Ints]:
    size = 4 * len(slots)
    while size < 4 * (longest + 2):
        size *= 2
    new_slots, new_sums = np.full(size, -1, np.int64), np.zeros((size, sums.shape[1]), np.int64)
    used[0] = 0
    kernel.rehash(slots, sums, new_slots, used, new_sums)
    return new_slots, new_sums
