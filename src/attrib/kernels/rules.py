"""Weights of touches by rule, and credit summed by them (semantics §4, §6); J = journeys, M = touches, R = rules.

Tables and keys as in ``tallies.py``. Within a block of journeys each rule writes entries (journey, at, count, weight):
the touches whose rows stand at rows[at : at + count] get the weight each. ``journeys`` are the n of a block that have
two or more touches, their rows begin at ``begins``.
"""

from __future__ import annotations

import numpy as np

from attrib.kernels._jit import inline, jit
from attrib.kernels.codes import (
    DECAY,
    FIRST_TOUCH,
    LAST_NON_DIRECT,
    LINEAR,
    POSITION,
    SHAPLEY,
    WORDS,
)  # fmt: skip
from attrib.kernels.fixed import add, add_times, add_words, split, split_times
from attrib.kernels.sorting import stable_order
from attrib.kernels.tables import is_full, look_up, new_row, slot_of

CREDIT = 2 * WORDS  # a rule's credit: conversions and value


@inline
def _chosen(rule, low, high, kinds, direct, q):
    """Touch that takes all credit, for the rules that choose one; direct bool [R, kinds]."""
    if rule == FIRST_TOUCH:
        return low
    at = high - 1
    if rule == LAST_NON_DIRECT:
        while at > low and direct[q, kinds[at]]:
            at -= 1
        if direct[q, kinds[at]]:
            at = high - 1
    return at


@jit
def _decay(half_life, low, high, times, weights, at):
    """Weights, from weights[at], by age relative to the last touch: 2^-age cannot all underflow, whatever the span."""
    total = 0.0
    for i in range(low, high):
        age = np.uint64(times[high - 1]) - np.uint64(times[i])  # int64 may not hold it
        weights[at + i - low] = 2.0 ** (-(age / half_life)) if age > 0 else 1.0
        total += weights[at + i - low]
    for i in range(at, at + high - low):
        weights[i] /= total


@jit
def _mark_first(items, low, m, first):
    """Mark in first[:m] the first occurrence of each of the m items from ``low``, and count them."""
    distinct = 0
    if m <= 32:
        for i in range(m):
            new = True
            for before in range(low, low + i):
                if items[before] == items[low + i]:
                    new = False
                    break
            first[i] = new
            distinct += new
        return distinct
    size = 64
    while size < 2 * m:
        size *= 2
    table = np.full(size, -1, np.int64)
    for i in range(m):
        item = np.int64(items[low + i])
        slot = (item * 2654435761) & (size - 1)
        while table[slot] >= 0 and table[slot] != item:
            slot = (slot + 1) & (size - 1)
        first[i] = table[slot] < 0
        if first[i]:
            table[slot] = item
            distinct += 1
    return distinct


@inline
def _position_ends(a, b, m):
    """Weights of the first and the last of m ≥ 2 touches."""
    if m > 2:
        return a, b
    if a + b > 0:
        return a / (a + b), b / (a + b)
    return 0.5, 0.5


@jit
def weigh_touches(rule, a, b, offsets, players, kinds, times, direct, conversions, out):
    """Weight of every touch of the converting journeys, out float64 [M]; elsewhere 0.

    A rule that credits players rather than touches (Shapley) spreads a player's share over its occurrences.
    """
    for j in range(conversions.shape[0]):
        low, high = offsets[j], offsets[j + 1]
        out[low:high] = 0.0
        if conversions[j] == 0 or low == high:
            continue
        m = high - low
        if rule <= LAST_NON_DIRECT:
            out[_chosen(rule, low, high, kinds, direct, 0)] = 1.0
        elif m == 1:
            out[low] = 1.0
        elif rule == LINEAR:
            out[low:high] = 1.0 / m
        elif rule == POSITION:
            if m > 2:
                out[low:high] = (1.0 - a - b) / (m - 2)
            out[low], out[high - 1] = _position_ends(a, b, m)
        elif rule == DECAY:
            _decay(a, low, high, times, out, low)
        else:
            first = np.empty(m, np.bool_)
            share = 1.0 / _mark_first(players, low, m, first)
            order = stable_order(players[low:high])
            start = 0
            for t in range(1, m + 1):
                if t == m or players[low + order[t]] != players[low + order[start]]:
                    for i in range(start, t):
                        out[low + order[i]] = share / (t - start)
                    start = t


@jit
def _choose(rule, direct, q, n, journeys, begins, offsets, kinds, at, count, weight):
    """Credit the touch that a rule chooses."""
    for e in range(n):
        low = offsets[journeys[e]]
        at[e] = begins[e] + _chosen(rule, low, offsets[journeys[e] + 1], kinds, direct, q) - low
        count[e], weight[e] = 1, 1.0


@jit
def _divide(n, journeys, begins, offsets, at, count, weight):
    """Credit all touches of a journey alike."""
    for e in range(n):
        m = offsets[journeys[e] + 1] - offsets[journeys[e]]
        at[e], count[e], weight[e] = begins[e], m, 1.0 / m


@jit
def _divide_among_players(n, journeys, begins, offsets, rows, first, own_rows, at, count, weight):
    """Credit each distinct player alike, at its first touch; the rows of these go to ``own_rows``."""
    end = 0
    for e in range(n):
        m = offsets[journeys[e] + 1] - offsets[journeys[e]]
        low = begins[e]
        distinct = _mark_first(rows, low, m, first)
        at[e], count[e], weight[e] = end, distinct, 1.0 / distinct
        for i in range(m):
            own_rows[end] = rows[low + i]
            end += first[i]


@jit
def _weigh_positions(a, b, n, journeys, begins, offsets, journey, at, count, weight):
    """Credit the first, the last, and what is between; return the number of entries."""
    e = 0
    for t in range(n):
        j, low = journeys[t], begins[t]
        m = offsets[j + 1] - offsets[j]
        opening, closing = _position_ends(a, b, m)
        journey[e], at[e], count[e], weight[e] = j, low, 1, opening
        journey[e + 1], at[e + 1], count[e + 1], weight[e + 1] = j, low + m - 1, 1, closing
        e += 2
        if m > 2:
            journey[e], at[e], count[e], weight[e] = j, low + 1, m - 2, (1.0 - a - b) / (m - 2)
            e += 1
    return e


@jit
def _weigh_ages(half_life, n, journeys, begins, offsets, times, journey, at, count, weight):
    """Credit every touch by its age; return the number of entries."""
    e = 0
    for t in range(n):
        j = journeys[t]
        m = offsets[j + 1] - offsets[j]
        _decay(half_life, offsets[j], offsets[j + 1], times, weight, e)
        for i in range(m):
            journey[e], at[e], count[e] = j, begins[t] + i, 1
            e += 1
    return e


@jit
def _credit(n, journey, at, count, weight, rows, conversions, value, scale, column, sums):
    """Add n entries: the rows [at, at + count) get a weight each, which is split into words once for all of them."""
    for e in range(n):
        j, last = journey[e], at[e] + count[e]
        words = split_times(weight[e], conversions[j])
        for t in range(at[e], last):
            add_words(sums, rows[t], column, words)
        if value[j] != 0.0:
            words = split(value[j] * weight[e] * scale)
            for t in range(at[e], last):
                add_words(sums, rows[t], column + WORDS, words)


@jit
def sum_rules(
    rules, a, b, direct, offsets, players, kinds, times, game, unit, conversions, value, scale, game_bits, bits,
    start, slots, places, keys, used, sums,
    block_keys, rows, own_rows, journeys, begins, journey, at, count, first, weight,
):  # fmt: skip
    """Credit of all rules per (unit, game, player).

    rules, a, b [R], direct bool [R, kinds]. Columns: what all rules agree on (journeys of one touch), then each rule's
    credit beyond that; conversions and value, four words each. Journeys are taken a block at a time, so that the rows
    of their touches are looked up once for all rules. The last ten arrays have room for the touches of a block, and of
    any journey: int64, but ``first`` bool and ``weight`` float64.
    """
    room = rows.shape[0]
    j = start
    while j < game.shape[0]:
        begin, touches, n, ones = j, 0, 0, 0
        while j < game.shape[0]:
            low, high = offsets[j], offsets[j + 1]
            m = high - low
            if touches + m > room:
                break
            if conversions[j] > 0 and m > 0:
                above = ((np.int64(unit[j]) << game_bits) | game[j]) << bits
                for i in range(m):
                    block_keys[touches + i] = above | players[low + i]
                if m == 1:
                    journey[ones], at[ones], count[ones], weight[ones] = j, touches, 1, 1.0
                    ones += 1
                else:
                    journeys[n], begins[n] = j, touches
                    n += 1
                touches += m
            j += 1
        if is_full(slots, keys, used, touches):
            return begin
        look_up(slots, places, block_keys, touches, rows)
        for t in range(touches):
            if rows[t] < 0:
                key = block_keys[t]
                slot = key if slots.shape[0] == 0 else slot_of(slots, key)
                rows[t] = np.int64(places[slot]) if places[slot] >= 0 else new_row(slots, places, keys, used, slot, key)
        _credit(ones, journey, at, count, weight, rows, conversions, value, scale, 0, sums)
        for q in range(rules.shape[0]):
            rule, column = rules[q], (q + 1) * CREDIT
            if rule == POSITION:
                e = _weigh_positions(a[q], b[q], n, journeys, begins, offsets, journey, at, count, weight)
                _credit(e, journey, at, count, weight, rows, conversions, value, scale, column, sums)
            elif rule == DECAY:
                e = _weigh_ages(a[q], n, journeys, begins, offsets, times, journey, at, count, weight)
                _credit(e, journey, at, count, weight, rows, conversions, value, scale, column, sums)
            elif rule == SHAPLEY:
                _divide_among_players(n, journeys, begins, offsets, rows, first, own_rows, at, count, weight)
                _credit(n, journeys, at, count, weight, own_rows, conversions, value, scale, column, sums)
            else:
                if rule == LINEAR:
                    _divide(n, journeys, begins, offsets, at, count, weight)
                else:
                    _choose(rule, direct, q, n, journeys, begins, offsets, kinds, at, count, weight)
                _credit(n, journeys, at, count, weight, rows, conversions, value, scale, column, sums)
    return game.shape[0]


@jit
def sum_weights(
    weights, positions, offsets, players, game, unit, conversions, value, scale, game_bits, bits, tail_bits,
    start, slots, places, keys, used, sums,
):  # fmt: skip
    """Credit by weights given, per (unit, game, player, position if asked): conversions and value."""
    for j in range(start, game.shape[0]):
        low, high = offsets[j], offsets[j + 1]
        if conversions[j] == 0 or low == high:
            continue
        if is_full(slots, keys, used, high - low):
            return j
        above = ((np.int64(unit[j]) << game_bits) | game[j]) << bits
        for i in range(low, high):
            if weights[i] != 0.0:
                tail = i - low + 1 if positions else 0
                key = ((above | players[i]) << tail_bits) | tail
                slot = key if slots.shape[0] == 0 else slot_of(slots, key)
                row = np.int64(places[slot]) if places[slot] >= 0 else new_row(slots, places, keys, used, slot, key)
                add_times(sums, row, 0, weights[i], conversions[j])
                if value[j] != 0.0:
                    add(sums, row, 4, value[j] * weights[i] * scale)
    return game.shape[0]
