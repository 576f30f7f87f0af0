"""Touches of one customer at one instant that nothing but their names puts into order (semantics §1).

T = touches, J = journeys, M = touches in journeys, K = kinds of touch. Times are int64 ticks.
"""

from __future__ import annotations

import numpy as np

from attrib.kernels._jit import inline, jit


@inline
def _by_name(low, high, first, second, t_time, t_kind, t_same, time):
    """Whether, among a customer's touches [low, high), kind ``second`` follows ``first`` with nothing to order them."""
    while low < high:  # the first touch of the instant
        middle = (low + high) // 2
        if t_time[middle] < time:
            low = middle + 1
        else:
            high = middle
    i = low
    while i < t_time.shape[0] and t_time[i] == time:
        if t_kind[i] == first:
            j = i + 1
            while j < t_time.shape[0] and t_time[j] == time and t_same[j]:
                if t_kind[j] == second:
                    return True
                j += 1
        i += 1
    return False


@jit
def count_ties(t_offsets, t_time, t_kind, t_same, player_of_kind, offsets, players, kinds, times, customer, out):
    """Count touches that share their instant with another player's, and the journeys whose order that decides.

    t_same bool [T]: equal to the touch before in customer, time and sequence; empty where there is no sequence.
    offsets int64 [J + 1], players, kinds int32 [M], times int64 [M], customer int64 [J]: the journeys.
    out int64 [5] receives touches that are tied, journeys with a tie between neighbours, journeys with a touch, those
    with two or more, and the earliest instant of a tie in a journey.
    """
    sequenced = t_same.shape[0] > 0
    tied = 0
    for c in range(t_offsets.shape[0] - 1):
        i = t_offsets[c]
        end = t_offsets[c + 1]
        while i + 1 < end:
            if t_time[i + 1] != t_time[i]:
                i += 1
                continue
            start = i
            differ = False
            while i + 1 < end and t_time[i + 1] == t_time[i] and (not sequenced or t_same[i + 1]):
                i += 1
                differ |= player_of_kind[t_kind[i]] != player_of_kind[t_kind[start]]
            if differ:
                tied += i - start + 1
            i += 1
    journeys = touched = longer = 0
    earliest = np.int64((1 << 63) - 1)
    for j in range(offsets.shape[0] - 1):
        low = offsets[j]
        high = offsets[j + 1]
        touched += np.int64(high > low)
        longer += np.int64(high > low + 1)
        found = False
        for i in range(low + 1, high):
            if times[i] == times[i - 1] and players[i] != players[i - 1]:
                c = customer[j]
                if not sequenced or _by_name(
                    t_offsets[c], t_offsets[c + 1], kinds[i - 1], kinds[i], t_time, t_kind, t_same, times[i]
                ):
                    found = True
                    earliest = min(earliest, times[i])
        journeys += np.int64(found)
    out[0], out[1], out[2], out[3], out[4] = tied, journeys, touched, longer, earliest
