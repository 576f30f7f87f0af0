"""Journeys whose touches serve every later conversion (semantics §2, ``after_conversion="keep"``).

C = customers, T = touches, B = boundaries, J = journeys, K = kinds of touch. Where `walk.cut_journeys` ends a journey
at every conversion, here a converting journey reaches back as far as its lookback, to the entry into its stage at most.
"""

from __future__ import annotations

import numpy as np

from attrib.kernels._jit import jit
from attrib.kernels.codes import (
    CONVERTING,
    IS_OPEN,
    NOT_PREFERRED,
    NULL,
    OPEN,
    OUTSIDE,
    OVER_CAP,
    PASSED_OVER,
    UNATTRIBUTED,
    USED,
)  # fmt: skip
from attrib.kernels.walk import NO_GAP
from attrib.kernels.windows import (
    EVER,
    keep_latest,
    keep_preferred,
    note_reason,
    reach_of,
    reason_of,
    span,
    thin_out,
)


@jit
def room_for(t_offsets, t_time, boundaries, longest, max_touches):
    """Touches that overlapping journeys may have together, at most, and one of them.

    longest: the longest lookback in ticks, -1 unlimited; max_touches: the cap, 0 for none.
    """
    b_offsets, b_time, b_stage, b_to = boundaries[0], boundaries[1], boundaries[2], boundaries[3]
    room = np.int64(0)
    largest = np.int64(0)
    for c in range(t_offsets.shape[0] - 1):
        since = low = i = t_offsets[c]
        t_end = t_offsets[c + 1]
        for b in range(b_offsets[c], b_offsets[c + 1]):
            while i < t_end and t_time[i] <= b_time[b]:
                i += 1
            while low < i and span(t_time[low], b_time[b]) > np.uint64(longest):
                low += 1
            within = i - max(low, since)
            largest = max(largest, within)
            room += min(within, max_touches) if max_touches > 0 else within
            if b_to[b] != b_stage[b]:
                since = i
    return room + t_offsets[-1] + largest, largest


@jit
def _place(at, low, high, t_time, t_kind, player_of_kind, t_stage, out_player, out_kind, out_time):
    """Write the touches at the places [low, high) of ``at`` to the same places of the arrays that go out."""
    for n in range(low, high):
        out_kind[n], out_time[n] = t_kind[at[n]], t_time[at[n]]
        out_player[n] = player_of_kind[t_kind[at[n]]]
        if t_stage.shape[0] > 0:
            out_player[n] += t_stage[at[n]]


@jit
def _mark(fates, at, kinds, low, high, preference_of_kind, max_touches, is_open):
    """Note what becomes of the touches [low, high) of a journey; used in one journey is used."""
    best = NOT_PREFERRED
    if preference_of_kind.shape[0] > 0:
        for i in range(low, high):
            best = min(best, preference_of_kind[kinds[i]])
    left = np.int64(0)
    for i in range(low, high):
        left += best == NOT_PREFERRED or preference_of_kind[kinds[i]] == best
    for i in range(low, high):
        fate = USED
        if best != NOT_PREFERRED and preference_of_kind[kinds[i]] != best:
            fate = PASSED_OVER
        else:
            if max_touches > 0 and left > max_touches:
                fate = OVER_CAP
            left -= 1
        if is_open:
            fate = IS_OPEN
        if fates[at[i]] == OUTSIDE or fate < fates[at[i]]:
            fates[at[i]] = fate


@jit
def cut_overlapping(
    t_offsets, t_time, t_kind, player_of_kind, t_stage, boundaries, lookback_of_kind, longest, max_gap, open_from,
    preference_of_kind, max_touches, repeats, touch_game, outcome_game, touch_mask, by_stage, scale, touches_out,
    journeys_out, at, fates, ledger, reasons,
):  # fmt: skip
    """Like `walk.cut_journeys`, with touches that serve every later conversion in their window.

    longest: the longest lookback, -1 unlimited. touches_out, at int64: room for what `room_for` says; at: place of a
    touch among those of the customer. fates int8 [T]: filled with OUTSIDE. Null journeys, open ones too, hold the
    touches since the last conversion, as they do there.
    """
    b_offsets, b_time, b_stage, b_to, b_count, b_value, b_kind, b_rows = boundaries
    out_player, out_kind, out_time = touches_out
    offsets, game, customer, conversions, nulls, value, end_time, status, rows = journeys_out
    by_touch = touch_game.any()
    j = 0
    m = 0
    offsets[0] = 0
    for c in range(t_offsets.shape[0] - 1):
        i = t_offsets[c]
        t_start = since = i
        t_end = t_offsets[c + 1]
        b_end = b_offsets[c + 1]
        looked, reach = i, EVER
        for b in range(b_offsets[c], b_end + 1):
            is_null = b == b_end
            if not is_null:
                anchor = b_time[b]
                stage = b_stage[b]
            elif i < t_end:
                anchor = t_time[t_end - 1]
                stage = b_to[b - 1] if b > b_offsets[c] else 0
            else:
                break
            first_new = i
            while i < t_end and t_time[i] <= anchor:
                i += 1
            # touches since the last conversion, part by part; the last part is the null journey, if it is one
            part = m
            for k in range(first_new, i + 1):
                ends = k == i and is_null and m > part
                inside = k < i and span(t_time[k], anchor) <= np.uint64(lookback_of_kind[t_kind[k]])
                if max_gap != NO_GAP and inside and m > part:
                    ends = span(t_time[at[m - 1]], t_time[k]) > np.uint64(max_gap)
                if ends:
                    last = at[m - 1]
                    _place(at, part, m, t_time, t_kind, player_of_kind, t_stage, out_player, out_kind, out_time)
                    is_open = t_time[last] > open_from
                    game[j] = (touch_game[t_kind[last]] << by_stage) | stage
                    customer[j] = c
                    conversions[j] = 0
                    nulls[j] = 0 if is_open else 1
                    value[j] = 0.0
                    end_time[j] = t_time[last]
                    status[j] = OPEN if is_open else NULL
                    rows[j] = 0
                    _mark(fates, at, out_kind, part, m, preference_of_kind, max_touches, is_open)
                    m = keep_preferred(out_player, out_kind, out_time, part, m, preference_of_kind)
                    m = keep_latest(out_player, out_kind, out_time, part, m, max_touches)
                    m = thin_out(out_player, out_kind, out_time, part, m, repeats)
                    j += 1
                    offsets[j] = m
                    part = m
                if inside:
                    at[m] = k
                    m += 1
            if is_null:
                break
            # the journey itself, from its latest touch back to the first pause, or out of the window
            m = part
            later = anchor
            for k in range(i - 1, since - 1, -1):
                if span(t_time[k], anchor) > np.uint64(longest):
                    break
                if span(t_time[k], anchor) > np.uint64(lookback_of_kind[t_kind[k]]):
                    continue
                if max_gap != NO_GAP and m > part and span(t_time[k], later) > np.uint64(max_gap):
                    break
                later = t_time[k]
                at[m] = k
                m += 1
            for n in range((m - part) // 2):
                at[part + n], at[m - 1 - n] = at[m - 1 - n], at[part + n]
            _place(at, part, m, t_time, t_kind, player_of_kind, t_stage, out_player, out_kind, out_time)
            by_values = np.int64(0)
            if by_touch and m > part:
                by_values = touch_game[out_kind[m - 1]]
            by_values = outcome_game[b_kind[b]] | (by_values & touch_mask)
            game[j] = (by_values << by_stage) | stage
            customer[j] = c
            conversions[j] = b_count[b]
            nulls[j] = 0
            value[j] = b_value[b]
            end_time[j] = anchor
            rows[j] = b_rows[b]
            status[j] = CONVERTING
            if m == part:
                status[j] = UNATTRIBUTED
                reach = reach_of(t_time, t_kind, lookback_of_kind, looked, i, reach)
                looked = i
                reason = reason_of(t_start, t_end, i, anchor, reach)
                note_reason(reasons, reason, rows[j], conversions[j], value[j] * scale)
            _mark(fates, at, out_kind, part, m, preference_of_kind, max_touches, False)
            m = keep_preferred(out_player, out_kind, out_time, part, m, preference_of_kind)
            m = keep_latest(out_player, out_kind, out_time, part, m, max_touches)
            m = thin_out(out_player, out_kind, out_time, part, m, repeats)
            j += 1
            offsets[j] = m
            if b_to[b] != b_stage[b]:
                since = i
    for k in range(fates.shape[0]):
        ledger[fates[k]] += 1
    return j
