"""Lists of players: which journeys have the same path, or the same set of players.

L = lists, M = their players together; list i has the players offsets[i] to offsets[i + 1].
"""

from __future__ import annotations

import numpy as np

from attrib.kernels._jit import inline, jit
from attrib.kernels.fixed import add


@inline
def _hash(players, low, high):
    """Hash of the players [low, high): splitmix64 steps chained."""
    x = np.uint64(high - low) * np.uint64(0x9E3779B97F4A7C15)
    for i in range(low, high):
        x = (x ^ np.uint64(players[i])) + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return x


@jit
def hash_lists(offsets, players):
    """Hash of every list, uint64 [L]."""
    out = np.empty(offsets.shape[0] - 1, np.uint64)
    for i in range(out.shape[0]):
        out[i] = _hash(players, offsets[i], offsets[i + 1])
    return out


@jit
def number_lists(offsets, players):
    """Number equal lists alike, by appearance: (number int64 [L], first list of every number int64 [distinct])."""
    lists = offsets.shape[0] - 1
    size = 16
    while size < 2 * lists:
        size *= 2
    table = np.full(size, -1, np.int64)
    number = np.empty(lists, np.int64)
    first = np.empty(lists, np.int64)
    distinct = 0
    for i in range(lists):
        low, high = offsets[i], offsets[i + 1]
        slot = np.int64(_hash(players, low, high) >> np.uint64(1)) & (size - 1)
        while True:
            other = table[slot]
            if other < 0:
                table[slot] = distinct
                first[distinct] = i
                number[i] = distinct
                distinct += 1
                break
            begin = offsets[first[other]]
            same = offsets[first[other] + 1] - begin == high - low
            at = 0
            while same and at < high - low:
                same = players[begin + at] == players[low + at]
                at += 1
            if same:
                number[i] = other
                break
            slot = (slot + 1) & (size - 1)
    return number, first[:distinct].copy()


@jit
def take_lists(offsets, players, chosen):
    """Lists ``chosen``, in that order: (offsets, players)."""
    out_offsets = np.zeros(chosen.shape[0] + 1, np.int64)
    for i in range(chosen.shape[0]):
        out_offsets[i + 1] = out_offsets[i] + offsets[chosen[i] + 1] - offsets[chosen[i]]
    out = np.empty(out_offsets[-1], np.int32)
    for i in range(chosen.shape[0]):
        out[out_offsets[i] : out_offsets[i + 1]] = players[offsets[chosen[i]] : offsets[chosen[i] + 1]]
    return out_offsets, out


@jit
def sort_lists(offsets, players):
    """Players of every list in ascending order."""
    out = players.copy()
    for i in range(offsets.shape[0] - 1):
        out[offsets[i] : offsets[i + 1]] = np.sort(out[offsets[i] : offsets[i + 1]])
    return out


@jit
def distinct_players(offsets, players):
    """Players of every list, each once, in ascending order: (offsets, players)."""
    out_offsets = np.zeros(offsets.shape[0], np.int64)
    out = np.empty(players.shape[0], np.int32)
    n = 0
    for i in range(offsets.shape[0] - 1):
        start = n
        low, high = offsets[i], offsets[i + 1]
        if high - low <= 32:  # insertion into what is sorted already
            for t in range(low, high):
                at = n
                while at > start and out[at - 1] > players[t]:
                    at -= 1
                if at > start and out[at - 1] == players[t]:
                    continue
                for move in range(n, at, -1):
                    out[move] = out[move - 1]
                out[at] = players[t]
                n += 1
        else:
            ordered = np.sort(players[low:high])
            for t in range(high - low):
                if t == 0 or ordered[t] != ordered[t - 1]:
                    out[n] = ordered[t]
                    n += 1
        out_offsets[i + 1] = n
    return out_offsets, out[:n].copy()


@jit
def sum_patterns(rows, game, unit, conversions, nulls, value, scale, game_bits, tail_bits, tails, keys, sums):
    """Counts by (unit, game, tail), columns: rows, conversions, nulls, rows with a conversion, value (4 words).

    All arrays but ``keys`` and ``sums`` by journey, sorted so that equal keys follow one another (``rows`` says in
    which order to read them); returns the number of distinct keys, which ``keys`` and ``sums`` receive.
    """
    n = -1
    for at in range(rows.shape[0]):
        j = rows[at]
        key = (((np.int64(unit[j]) << game_bits) | game[j]) << tail_bits) | tails[j]
        if n < 0 or keys[n] != key:
            n += 1
            keys[n] = key
        sums[n, 0] += 1
        sums[n, 1] += conversions[j]
        sums[n, 2] += nulls[j]
        if conversions[j] > 0:
            sums[n, 3] += 1
        if value[j] != 0.0:
            add(sums, n, 4, value[j] * scale)
    return n + 1
