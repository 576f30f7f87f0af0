"""From a customer's ordered events to journeys (semantics §2, §3).

C = customers, T = touches, O = outcomes, B = boundaries (instants that end a journey), J = journeys,
S = stages, K = kinds of touch or outcome. Times are int64 ticks. The plain game is the one-stage model.
"""

from __future__ import annotations

import numpy as np

from attrib.kernels._jit import jit
from attrib.kernels.codes import CONVERTING, CREDITED, KEEP, NO_EFFECT, NULL, OPEN, OTHER, OUTSIDE, UNATTRIBUTED
from attrib.kernels.fixed import add
from attrib.kernels.windows import (
    EVER,
    enter,
    keep_latest,
    keep_preferred,
    note_reason,
    reach_of,
    reason_of,
    span,
    thin_out,
)

NO_GAP = -1


@jit
def _furthest_stages(stage_type, stage_nth, n_types):
    """Furthest stage that the n-th row of a milestone type reaches [types, n], -1 for none."""
    stages = stage_type.shape[0]
    most = 0
    for s in range(stages):
        most = max(most, stage_nth[s])
    furthest = np.full((n_types, most + 1), -1, np.int64)
    for s in range(stages):
        if stage_type[s] >= 0:
            for met in range(stage_nth[s], most + 1):
                furthest[stage_type[s], met] = s
    return furthest


@jit
def find_boundaries(o_offsets, times, kinds, values, scale, type_of_kind, stage_type, stage_nth, n_types, out, ledger):
    """Instants at which a customer leaves a stage, or converts in the last one.

    type_of_kind int64 [K]: milestone type of an outcome kind, -1 if no stage asks for it.
    stage_type, stage_nth int64 [S]: milestone of each stage, type -1 for a last stage without one.
    out: tuple (b_offsets [C+1], time, stage, to, count, value, kind, rows), each [O] but the first.
    ledger int64 [3, 5]: rows and value (4 words) of credited, without effect and other outcomes.
    Returns the number of boundaries.
    """
    b_offsets, b_time, b_stage, b_to, b_count, b_value, b_kind, b_rows = out
    customers = o_offsets.shape[0] - 1
    stages = stage_type.shape[0]
    last = stages - 1
    furthest_of = _furthest_stages(stage_type, stage_nth, n_types)
    seen = np.zeros(n_types, np.int64)
    n = 0
    for c in range(customers):
        b_offsets[c] = n
        stage = 0
        i = o_offsets[c]
        end = o_offsets[c + 1]
        if i < end:
            for kind_type in range(n_types):
                seen[kind_type] = 0
        while i < end:
            # the furthest stage, from the current one on, with a milestone row at this instant
            furthest = -1
            instant_end = i
            while instant_end < end and times[instant_end] == times[i]:
                kind_type = type_of_kind[kinds[instant_end]]
                if kind_type >= 0:
                    seen[kind_type] += 1
                    met = min(seen[kind_type], furthest_of.shape[1] - 1)
                    furthest = max(furthest, furthest_of[kind_type, met])
                instant_end += 1
            if furthest < stage:
                furthest = -1
            if instant_end > i + 1:  # count again, row by row: which of them reach the stage
                for r in range(i, instant_end):
                    if type_of_kind[kinds[r]] >= 0:
                        seen[type_of_kind[kinds[r]]] -= 1
            count = 0
            value = 0.0
            first_kind = -1
            for r in range(i, instant_end):
                kind_type = type_of_kind[kinds[r]]
                fate = OTHER
                if kind_type >= 0:
                    if instant_end > i + 1:
                        seen[kind_type] += 1
                    fate = NO_EFFECT
                    if furthest >= 0 and kind_type == stage_type[furthest] and seen[kind_type] >= stage_nth[furthest]:
                        fate = CREDITED
                        count += 1
                        value += values[r]
                        if first_kind < 0:
                            first_kind = kinds[r]
                ledger[fate, 0] += 1
                if values[r] != 0.0:
                    add(ledger, fate, 1, values[r] * scale)
            if furthest >= 0:
                b_time[n] = times[i]
                b_stage[n] = stage
                b_rows[n] = count
                b_value[n] = value
                b_kind[n] = first_kind
                # leaving a stage is one conversion; staying in the last one converts once a row
                b_count[n] = count if stage == last else 1
                stage = min(furthest + 1, last)
                b_to[n] = stage
                n += 1
            i = instant_end
    b_offsets[customers] = n
    return n


@jit
def stage_of_touches(t_offsets, times, b_offsets, b_time, b_to, out):
    """Stage each touch happened in; a touch at the instant of leaving belongs to the stage left."""
    for c in range(t_offsets.shape[0] - 1):
        b = b_offsets[c]
        stage = 0
        for i in range(t_offsets[c], t_offsets[c + 1]):
            while b < b_offsets[c + 1] and b_time[b] < times[i]:
                stage = b_to[b]
                b += 1
            out[i] = stage


@jit
def cut_journeys(
    t_offsets, t_time, t_kind, player_of_kind, t_stage, boundaries, lookback_of_kind, max_gap, open_from,
    preference_of_kind, max_touches, repeats, touch_game, outcome_game, touch_mask, by_stage, scale, touches_out,
    journeys_out, ledger, reasons,
):  # fmt: skip
    """Cut customers' touches at the boundaries, window them, split pauses, and keep of each journey what is asked for.

    player_of_kind int32 [K]: code of the player; t_stage int32 [T]: added to it, or empty. lookback_of_kind int64 [K]
    ticks, -1 unlimited; max_gap ticks or -1; open_from: a null journey whose last touch is later than this is open.
    preference_of_kind int64 [K]: 0 for the interaction preferred most, NOT_PREFERRED for others; empty: no preference.
    max_touches: touches that a journey may have, 0 for any. touch_game, outcome_game int64 [K]: packed `by` values;
    touch_mask: the bits that only touches carry. by_stage: number of low bits of a game that hold the stage. scale:
    unit of values. touches_out: (player int32, kind int32, time int64) [T]. journeys_out: (offsets [J+1], game,
    customer, conversions, nulls, value, end, status, outcome rows). ledger int64 [5]: touches used, outside the window,
    open, not preferred, over the cap. reasons int64 [4, 6]: rows, conversions and value (4 words, in that unit) of
    unattributed conversions, by reason. Returns the number of journeys.
    """
    b_offsets, b_time, b_stage, b_to, b_count, b_value, b_kind, b_rows = boundaries
    out_player, out_kind, out_time = touches_out
    offsets, game, customer, conversions, nulls, value, end_time, status, rows = journeys_out
    customers = t_offsets.shape[0] - 1
    by_touch = touch_game.any()
    as_they_are = preference_of_kind.shape[0] == 0 and repeats == KEEP and max_touches == 0
    j = 0
    m = 0
    offsets[0] = 0
    for c in range(customers):
        i = t_offsets[c]
        t_start = i
        t_end = t_offsets[c + 1]
        b_end = b_offsets[c + 1]
        looked, reach = i, EVER  # how far back the touches were looked at, for conversions without one
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
            part = m
            while i < t_end and t_time[i] <= anchor:
                kind = t_kind[i]
                # as unsigned, -1 is longer than any span
                inside = span(t_time[i], anchor) <= np.uint64(lookback_of_kind[kind])
                if max_gap != NO_GAP and inside and m > part and span(out_time[m - 1], t_time[i]) > np.uint64(max_gap):
                    # a long pause: what came before it is a null journey of its own
                    is_open = out_time[m - 1] > open_from
                    game[j] = (touch_game[out_kind[m - 1]] << by_stage) | stage
                    end_time[j] = out_time[m - 1]
                    kept = keep_preferred(out_player, out_kind, out_time, part, m, preference_of_kind)
                    latest = keep_latest(out_player, out_kind, out_time, part, kept, max_touches)
                    enter(ledger, latest - part, m - kept, kept - latest, is_open)
                    m = thin_out(out_player, out_kind, out_time, part, latest, repeats)
                    customer[j] = c
                    conversions[j] = 0
                    nulls[j] = 0 if is_open else 1
                    value[j] = 0.0
                    status[j] = OPEN if is_open else NULL
                    rows[j] = 0
                    j += 1
                    offsets[j] = m
                    part = m
                player = player_of_kind[kind]
                if t_stage.shape[0] > 0:
                    player += t_stage[i]
                out_player[m] = player
                out_kind[m] = kind
                out_time[m] = t_time[i]
                m += np.int64(inside)
                ledger[OUTSIDE] += np.int64(not inside)
                i += 1
            is_open = is_null and out_time[m - 1] > open_from
            by_values = np.int64(0)
            if by_touch and m > part:
                by_values = touch_game[out_kind[m - 1]]
            if not is_null:
                by_values = outcome_game[b_kind[b]] | (by_values & touch_mask)
            game[j] = (by_values << by_stage) | stage
            customer[j] = c
            end_time[j] = anchor
            if is_null:
                conversions[j] = 0
                nulls[j] = 0 if is_open else 1
                value[j] = 0.0
                status[j] = OPEN if is_open else NULL
                rows[j] = 0
            else:
                conversions[j] = b_count[b]
                nulls[j] = 0
                value[j] = b_value[b]
                rows[j] = b_rows[b]
                status[j] = CONVERTING
                if m == part:
                    status[j] = UNATTRIBUTED
                    reach = reach_of(t_time, t_kind, lookback_of_kind, looked, i, reach)
                    looked = i
                    reason = reason_of(t_start, t_end, i, anchor, reach)
                    note_reason(reasons, reason, rows[j], conversions[j], value[j] * scale)
            if as_they_are:
                enter(ledger, m - part, 0, 0, is_open)
            else:
                kept = keep_preferred(out_player, out_kind, out_time, part, m, preference_of_kind)
                latest = keep_latest(out_player, out_kind, out_time, part, kept, max_touches)
                enter(ledger, latest - part, m - kept, kept - latest, is_open)
                m = thin_out(out_player, out_kind, out_time, part, latest, repeats)
            j += 1
            offsets[j] = m
    return j


@jit
def walk_funnel(
    t_offsets, t_time, o_offsets, o_time, b_offsets, b_time, b_stage, b_to, open_from, counts, durations, advanced
):
    """Per stage: entered, advanced, skipped, open, repeat advances, touches; and the times in stage.

    counts int64 [S, 6]. durations: the time of entry for customers still in a stage (ticks), the time spent for
    those who left. advanced int16: 1 left, 0 still there, and the stage in the upper bits. Returns their number.
    """
    customers = t_offsets.shape[0] - 1
    last = counts.shape[0] - 1
    n = 0
    for c in range(customers):
        t_start, t_end = t_offsets[c], t_offsets[c + 1]
        if t_end > t_start and o_offsets[c + 1] > o_offsets[c]:
            entry = min(t_time[t_start], o_time[o_offsets[c]])
        elif t_end > t_start:
            entry = t_time[t_start]
        else:
            entry = o_time[o_offsets[c]]
        counts[0, 0] += 1
        stage = 0
        i = t_start
        latest = entry  # the later of entry and last touch in the stage
        converted = False
        for b in range(b_offsets[c], b_offsets[c + 1]):
            while i < t_end and t_time[i] <= b_time[b]:
                counts[stage, 5] += 1
                latest = max(latest, t_time[i])
                i += 1
            if stage == last and converted:
                counts[stage, 4] += 1
                continue
            counts[stage, 1] += 1
            durations[n] = b_time[b] - entry
            advanced[n] = (stage << 1) | 1
            n += 1
            if stage == last:
                converted = True
                continue
            for skipped in range(stage + 1, b_to[b]):
                counts[skipped, 2] += 1
            stage = b_to[b]
            counts[stage, 0] += 1
            entry = b_time[b]
            latest = entry
        while i < t_end:
            counts[stage, 5] += 1
            latest = max(latest, t_time[i])
            i += 1
        if not converted:
            durations[n] = entry
            advanced[n] = stage << 1
            n += 1
            if latest > open_from:
                counts[stage, 3] += 1
    return n
