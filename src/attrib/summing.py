"""From the journeys of a partition to its tallies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from attrib.kernels.codes import DECAY, FIRST_PLAYER
from attrib.needs import Need, RuleSums, Totals, Touches
from attrib.tally import Layout, Tally, bits_for, check_key_width

if TYPE_CHECKING:
    from attrib.ragged import Ragged

Ints = npt.NDArray[np.int64]
DENSE = 1 << 20  # rows of a dense table: with three columns about 24 MiB, mostly untouched


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
