"""Additive sums over journeys. Every sum is an integer (see fixed.py), so merging is exact and commutes.

J = journeys, M = touches, k = order. A key packs, from the top: unit | game | player fields. Player fields are
``bits`` wide; codes 0, 1, 2 are reserved (padding or start, conversion, null), players begin at 3, so that no
name can collide with them. Tables as in ``tables.py``; a kernel returns the journey where it stopped: J, or one for
which the table has no room.
"""

from __future__ import annotations

import numpy as np

from attrib.kernels._jit import jit
from attrib.kernels.codes import CONVERSION, NULL_STATE, OPEN
from attrib.kernels.fixed import add
from attrib.kernels.tables import is_full, look_up, new_row, slot_of


@jit
def sum_totals(
    offsets,
    game,
    unit,
    conversions,
    nulls,
    value,
    rows,
    status,
    scale,
    game_bits,
    start,
    slots,
    places,
    keys,
    used,
    sums,
):
    """Totals per (unit, game).

    Columns: conversions, nulls, unattributed, rows, unattributed rows, journeys, value (4 words), unattributed
    value (4 words).
    """
    for j in range(start, game.shape[0]):
        if is_full(slots, keys, used, 1):
            return j
        if status[j] == OPEN:
            continue
        key = (np.int64(unit[j]) << game_bits) | game[j]
        slot = key if slots.shape[0] == 0 else slot_of(slots, key)
        row = np.int64(places[slot]) if places[slot] >= 0 else new_row(slots, places, keys, used, slot, key)
        empty = np.int64(offsets[j + 1] == offsets[j])  # places, not branches: which it is cannot be foreseen
        sums[row, 2 * empty] += conversions[j]
        sums[row, 1] += nulls[j]
        sums[row, 3 + empty] += rows[j]
        sums[row, 5] += 1
        if value[j] != 0.0:
            add(sums, row, 6 + 4 * empty, value[j] * scale)
    return game.shape[0]


@jit
def count_touches(offsets, players, game, status, bits, start, slots, places, keys, used, sums):
    """Touches per (game, player): who takes part in a game."""
    for j in range(start, game.shape[0]):
        if is_full(slots, keys, used, offsets[j + 1] - offsets[j]):
            return j
        if status[j] == OPEN:
            continue
        for i in range(offsets[j], offsets[j + 1]):
            key = (np.int64(game[j]) << bits) | players[i]
            slot = key if slots.shape[0] == 0 else slot_of(slots, key)
            row = np.int64(places[slot]) if places[slot] >= 0 else new_row(slots, places, keys, used, slot, key)
            sums[row, 0] += 1
    return game.shape[0]


@jit
def sum_transitions(
    order, offsets, players, game, unit, conversions, nulls, value, status, scale, game_bits, bits,
    start, slots, places, keys, used, sums, step_key, step_row, step_weight, step_value,
):  # fmt: skip
    """Weighted steps per (unit, game, last k players, next), columns: count, value (4 words; to conversion only).

    The context starts as padding (code 0), so that lower orders are marginals of the highest. Steps are looked up a
    block at a time, first without a branch: then the processor waits for many rows at once that are not in its cache,
    not for one after another, which halves the time with the unit axis. step_key, step_row, step_weight int64 and
    step_value float64 have room for a block, and for any journey.
    """
    context_mask = (np.int64(1) << (order * bits)) - 1
    j = start
    while j < game.shape[0]:
        first, n = j, 0
        while j < game.shape[0]:
            low, high = offsets[j], offsets[j + 1]
            if n + high - low + 2 > step_key.shape[0]:
                break
            if low == high or status[j] == OPEN:
                j += 1
                continue
            weight = conversions[j] + nulls[j]
            above = ((np.int64(unit[j]) << game_bits) | game[j]) << ((order + 1) * bits)
            context = np.int64(0)
            for i in range(low, high):
                step_key[n], step_weight[n], step_value[n] = above | (context << bits) | players[i], weight, 0.0
                context = ((context << bits) | players[i]) & context_mask
                n += 1
            if conversions[j] > 0:
                step_key[n] = above | (context << bits) | CONVERSION
                step_weight[n], step_value[n] = conversions[j], value[j] * scale
                n += 1
            if nulls[j] > 0:
                step_key[n] = above | (context << bits) | NULL_STATE
                step_weight[n], step_value[n] = nulls[j], 0.0
                n += 1
            j += 1
        if is_full(slots, keys, used, n):
            return first
        look_up(slots, places, step_key, n, step_row)
        for t in range(n):
            row = step_row[t]
            if row < 0:
                key = step_key[t]
                slot = key if slots.shape[0] == 0 else slot_of(slots, key)
                row = np.int64(places[slot]) if places[slot] >= 0 else new_row(slots, places, keys, used, slot, key)
            sums[row, 0] += step_weight[t]
            if step_value[t] != 0.0:
                add(sums, row, 1, step_value[t])
    return game.shape[0]
