"""Additive sums over journeys. Every sum is an integer (see fixed.py), so merging is exact and commutes.

J = journeys, M = touches, k = order. A key packs, from the top: unit | game | player fields. Player fields are
``bits`` wide; codes 0, 1, 2 are reserved (padding or start, conversion, null), players begin at 3, so that no
name can collide with them. ``slots`` is the table: empty for a dense table (the key is the row), else the keys
of an open-addressing table, -1 = free; a kernel returns the journey where it stopped (J, or where a hashed
table is too full and must grow).
"""

from __future__ import annotations

import numpy as np

from attrib.kernels._jit import inline, jit
from attrib.kernels.codes import (
    CONVERSION,
    DECAY,
    FIRST_TOUCH,
    LAST_NON_DIRECT,
    LINEAR,
    NULL_STATE,
    OPEN,
    POSITION,
    SHAPLEY,
)  # fmt: skip
from attrib.kernels.fixed import add, add_times


@inline
def _row(slots, used, key):
    """Row of a key; inserts it if it is new."""
    if slots.shape[0] == 0:
        return key
    mask = slots.shape[0] - 1
    x = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    slot = np.int64(x >> np.uint64(20)) & mask
    while slots[slot] != key:
        if slots[slot] < 0:
            slots[slot] = key
            used[0] += 1
            break
        slot = (slot + 1) & mask
    return slot


@inline
def _is_full(slots, used, more):
    return slots.shape[0] > 0 and 10 * (used[0] + more) > 7 * slots.shape[0]


@jit
def rehash(slots, sums, new_slots, used, new_sums):
    """Move a hashed table into a larger one."""
    for slot in range(slots.shape[0]):
        if slots[slot] >= 0:
            new_sums[_row(new_slots, used, slots[slot])] = sums[slot]


@jit
def sum_totals(
    offsets, game, unit, conversions, nulls, value, rows, status, scale, game_bits, start, slots, used, sums
):  # fmt: skip
    """Totals per (unit, game).

    Columns: conversions, nulls, unattributed, rows, unattributed rows, journeys, value (4 words), unattributed
    value (4 words).
    """
    for j in range(start, game.shape[0]):
        if _is_full(slots, used, 1):
            return j
        if status[j] == OPEN:
            continue
        r = _row(slots, used, (np.int64(unit[j]) << game_bits) | game[j])
        sums[r, 1] += nulls[j]
        sums[r, 5] += 1
        if offsets[j + 1] == offsets[j]:
            sums[r, 2] += conversions[j]
            add(sums, r, 10, value[j] * scale)
            sums[r, 4] += rows[j]
        else:
            sums[r, 0] += conversions[j]
            add(sums, r, 6, value[j] * scale)
            sums[r, 3] += rows[j]
    return game.shape[0]


@jit
def count_touches(offsets, players, game, status, bits, start, slots, used, sums):
    """Touches per (game, player): who takes part in a game."""
    for j in range(start, game.shape[0]):
        if _is_full(slots, used, offsets[j + 1] - offsets[j]):
            return j
        if status[j] == OPEN:
            continue
        for i in range(offsets[j], offsets[j + 1]):
            sums[_row(slots, used, (np.int64(game[j]) << bits) | players[i]), 0] += 1
    return game.shape[0]


@inline
def _chosen(rule, low, high, direct):
    """Touch that takes all credit, for the rules that choose one."""
    if rule == FIRST_TOUCH:
        return low
    at = high - 1
    if rule == LAST_NON_DIRECT:
        while at > low and direct[at]:
            at -= 1
        if direct[at]:
            at = high - 1
    return at


@jit
def _weigh(rule, a, b, low, high, players, times, weights):
    """Weights of the touches [low, high) of one converting journey (semantics §4, §6); they sum to 1."""
    m = high - low
    if rule == LINEAR:
        weights[:m] = 1.0 / m
    elif rule == POSITION:
        if m == 1:
            weights[0] = 1.0
        elif m == 2:
            weights[0] = a / (a + b) if a + b > 0 else 0.5
            weights[1] = b / (a + b) if a + b > 0 else 0.5
        else:
            weights[:m] = (1.0 - a - b) / (m - 2)
            weights[0] = a
            weights[m - 1] = b
    elif rule == DECAY:
        # ages relative to the last touch: 2^-(age) cannot all underflow, whatever the span
        total = 0.0
        for i in range(m):
            age = np.uint64(times[high - 1]) - np.uint64(times[low + i])  # int64 may not hold it
            weights[i] = 2.0 ** (-(age / a))
            total += weights[i]
        for i in range(m):
            weights[i] /= total
    else:  # each distinct player an equal share, at its first touch
        distinct = 0
        weights[:m] = 0.0
        if m <= 32:
            for i in range(m):
                new = True
                for before in range(i):
                    if players[low + before] == players[low + i]:
                        new = False
                        break
                if new:
                    weights[i] = 1.0
                    distinct += 1
        else:
            size = 64
            while size < 2 * m:
                size *= 2
            table = np.full(size, -1, np.int64)
            for i in range(m):
                slot = (np.int64(players[low + i]) * 2654435761) & (size - 1)
                while table[slot] >= 0 and table[slot] != players[low + i]:
                    slot = (slot + 1) & (size - 1)
                if table[slot] < 0:
                    table[slot] = players[low + i]
                    weights[i] = 1.0
                    distinct += 1
        for i in range(m):
            weights[i] /= distinct


@jit
def sum_rule(
    rule, a, b, offsets, players, times, direct, game, unit, conversions, value, scale, game_bits, bits,
    start, slots, used, sums, weights,
):  # fmt: skip
    """Credit of a rule per (unit, game, player), columns: conversions (4 words), value (4 words)."""
    for j in range(start, game.shape[0]):
        low, high = offsets[j], offsets[j + 1]
        if conversions[j] == 0 or low == high:
            continue
        if _is_full(slots, used, high - low):
            return j
        above = ((np.int64(unit[j]) << game_bits) | game[j]) << bits
        if rule <= LAST_NON_DIRECT:
            r = _row(slots, used, above | players[_chosen(rule, low, high, direct)])
            add_times(sums, r, 0, 1.0, conversions[j])
            if value[j] != 0.0:
                add(sums, r, 4, value[j] * scale)
            continue
        _weigh(rule, a, b, low, high, players, times, weights)
        for i in range(high - low):
            if weights[i] != 0.0:
                r = _row(slots, used, above | players[low + i])
                add_times(sums, r, 0, weights[i], conversions[j])
                if value[j] != 0.0:
                    add(sums, r, 4, value[j] * weights[i] * scale)
    return game.shape[0]


@jit
def weigh_touches(rule, a, b, offsets, players, times, direct, conversions, out):
    """Weight of every touch of the converting journeys, out float64 [M]; elsewhere 0.

    A rule that credits players rather than touches (Shapley) spreads a player's share over its occurrences.
    """
    for j in range(conversions.shape[0]):
        low, high = offsets[j], offsets[j + 1]
        out[low:high] = 0.0
        if conversions[j] == 0 or low == high:
            continue
        if rule <= LAST_NON_DIRECT:
            out[_chosen(rule, low, high, direct)] = 1.0
            continue
        _weigh(rule, a, b, low, high, players, times, out[low:high])
        if rule == SHAPLEY:
            order = np.argsort(players[low:high], kind="mergesort")
            first = 0
            for t in range(1, high - low + 1):
                if t == high - low or players[low + order[t]] != players[low + order[first]]:
                    share = out[low + order[first]] / (t - first)  # the share stands at the first occurrence
                    for i in range(first, t):
                        out[low + order[i]] = share
                    first = t


@jit
def sum_weights(
    weights, positions, offsets, players, game, unit, conversions, value, scale, game_bits, bits, tail_bits,
    start, slots, used, sums,
):  # fmt: skip
    """Credit by weights given, per (unit, game, player, position if asked); columns as in ``sum_rule``."""
    for j in range(start, game.shape[0]):
        low, high = offsets[j], offsets[j + 1]
        if conversions[j] == 0 or low == high:
            continue
        if _is_full(slots, used, high - low):
            return j
        above = ((np.int64(unit[j]) << game_bits) | game[j]) << bits
        for i in range(low, high):
            if weights[i] != 0.0:
                tail = i - low + 1 if positions else 0
                r = _row(slots, used, ((above | players[i]) << tail_bits) | tail)
                add_times(sums, r, 0, weights[i], conversions[j])
                if value[j] != 0.0:
                    add(sums, r, 4, value[j] * weights[i] * scale)
    return game.shape[0]


@jit
def sum_transitions(
    order, offsets, players, game, unit, conversions, nulls, value, status, scale, game_bits, bits,
    start, slots, used, sums,
):  # fmt: skip
    """Weighted steps per (unit, game, last k players, next), columns: count, value (4 words; to conversion only).

    The context starts as padding (code 0), so that lower orders are marginals of the highest.
    """
    context_mask = (np.int64(1) << (order * bits)) - 1
    for j in range(start, game.shape[0]):
        low, high = offsets[j], offsets[j + 1]
        if low == high or status[j] == OPEN:
            continue
        if _is_full(slots, used, high - low + 2):
            return j
        weight = conversions[j] + nulls[j]
        above = ((np.int64(unit[j]) << game_bits) | game[j]) << ((order + 1) * bits)
        context = np.int64(0)
        for i in range(low, high):
            sums[_row(slots, used, above | (context << bits) | players[i]), 0] += weight
            context = ((context << bits) | players[i]) & context_mask
        if conversions[j] > 0:
            r = _row(slots, used, above | (context << bits) | CONVERSION)
            sums[r, 0] += conversions[j]
            add(sums, r, 1, value[j] * scale)
        if nulls[j] > 0:
            sums[_row(slots, used, above | (context << bits) | NULL_STATE), 0] += nulls[j]
    return game.shape[0]
