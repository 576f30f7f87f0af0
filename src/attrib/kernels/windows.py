"""Which touches of a journey stay, and why a conversion has none (semantics §2).

The touches [low, high) of a journey stand in three arrays, which are changed in place. Times are int64 ticks.
"""

from __future__ import annotations

import numpy as np

from attrib.kernels._jit import inline, jit
from attrib.kernels.codes import (
    AFTER_ONLY,
    COLLAPSE,
    FIRST,
    IS_OPEN,
    KEEP,
    NEVER_SEEN,
    NOT_PREFERRED,
    OVER_CAP,
    PASSED_OVER,
    SINCE_LAST,
    TOO_OLD,
    USED,
)  # fmt: skip
from attrib.kernels.fixed import add

NEVER = np.iinfo(np.int64).max
EVER = np.iinfo(np.int64).min


@inline
def span(earlier, later):
    """Ticks between two times; those at both ends of int64 are further apart than int64 can say."""
    return np.uint64(later) - np.uint64(earlier)


@jit
def keep_preferred(players, kinds, times, low, high, preference_of_kind):
    """Keep only the most preferred touches of [low, high) where one is preferred, in place; returns the new end."""
    if preference_of_kind.shape[0] == 0:
        return high
    best = NOT_PREFERRED
    for i in range(low, high):
        best = min(best, preference_of_kind[kinds[i]])
    if best == NOT_PREFERRED:
        return high
    end = low
    for i in range(low, high):
        if preference_of_kind[kinds[i]] == best:
            players[end], kinds[end], times[end] = players[i], kinds[i], times[i]
            end += 1
    return end


@jit
def keep_latest(players, kinds, times, low, high, most):
    """Keep only the latest ``most`` touches of [low, high), in place (0: all of them); returns the new end."""
    if most == 0 or high - low <= most:
        return high
    first = high - most
    for i in range(most):
        players[low + i], kinds[low + i], times[low + i] = players[first + i], kinds[first + i], times[first + i]
    return low + most


@jit
def thin_out(players, kinds, times, low, high, repeats):
    """Apply ``repeats`` to journeys' touches [low, high) in place; returns the new end."""
    if repeats == KEEP or high - low < 2:
        return high
    end = low
    if repeats == COLLAPSE:
        for i in range(low, high):
            if end == low or players[i] != players[end - 1]:
                players[end], kinds[end], times[end] = players[i], kinds[i], times[i]
                end += 1
        return end
    # each player once: scan for first occurrences from the front, or from the back for the last ones
    size = 8
    while size < 2 * (high - low):
        size *= 2
    table = np.full(size, -1, np.int64)
    keep = np.zeros(high - low, np.bool_)
    for step in range(high - low):
        i = low + step if repeats == FIRST else high - 1 - step
        slot = (np.int64(players[i]) * 2654435761) & (size - 1)
        while table[slot] >= 0 and table[slot] != players[i]:
            slot = (slot + 1) & (size - 1)
        if table[slot] < 0:
            table[slot] = players[i]
            keep[i - low] = True
    for i in range(low, high):
        if keep[i - low]:
            players[end], kinds[end], times[end] = players[i], kinds[i], times[i]
            end += 1
    return end


@inline
def enter(ledger, used, not_preferred, over_cap, is_open):
    """Enter a journey's touches in the ledger."""
    if is_open:
        ledger[IS_OPEN] += used + not_preferred + over_cap
    else:
        ledger[USED] += used
        ledger[PASSED_OVER] += not_preferred
        ledger[OVER_CAP] += over_cap


@inline
def _last_instant(time, lookback):
    """Last instant that a touch reaches: its time and its lookback (-1: unlimited), as far as int64 goes."""
    if lookback < 0 or time > NEVER - lookback:
        return NEVER
    return time + lookback


@jit
def reach_of(t_time, t_kind, lookback_of_kind, looked, i, reach):
    """Last instant that one of the touches [looked, i) reaches, or ``reach``, which those before them do."""
    for at in range(looked, i):
        reach = max(reach, _last_instant(t_time[at], lookback_of_kind[t_kind[at]]))
    return reach


@jit
def reason_of(t_start, t_end, i, anchor, reach):
    """Why no touch is in the window of a conversion.

    [t_start, t_end): touches of the customer, those before i are not after the conversion; reach: the last instant
    that one of these reaches.
    """
    if t_start == t_end:
        return NEVER_SEEN
    if i == t_start:
        return AFTER_ONLY
    return SINCE_LAST if reach >= anchor else TOO_OLD


@jit
def note_reason(reasons, reason, rows, conversions, value):
    """Enter an unattributed conversion under its reason (value: scaled)."""
    reasons[reason, 0] += rows
    reasons[reason, 1] += conversions
    if value != 0.0:
        add(reasons, reason, 2, value)
