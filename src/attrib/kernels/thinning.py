"""Lives lived again at given rates, by thinning.

Over each process lies a sheet of points, one a day for each unit of height; a point is an event of the process where it
lies no higher than the rate. The log says which points were events: those lie below the rates of the log, anywhere; all
other points lie above. A world without a player has other rates and the same points, so the world with everybody on is
the log itself.

Of what touches have left behind, exposures are those of the world; the long memories of touches stay as in the log,
where they tell who a customer is.

Beside the letters of `periods`: n players, G games, R rows (worlds of customers).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attrib.kernels._jit import jit
from attrib.kernels.intent import Lives
from attrib.kernels.periods import Design, Known, Stretches, fade, period_of, write
from attrib.kernels.replay import GOLDEN, Stakes, draw_order, uniform
from attrib.kernels.sorting import reorder, stable_order
from attrib.kernels.words import mix

_GAP, _MARK, _SEEN = np.uint64(4), np.uint64(5), np.uint64(6)


class Points(NamedTuple):
    """Points that may be events, by customer in order of time."""

    offsets: NDArray[np.int64]  # customers + 1
    time: NDArray[np.float64]
    process: NDArray[np.int64]
    height: NDArray[np.float64]
    event: NDArray[np.int64]  # row of `lives`, -1: not in the log


class Worlds(NamedTuple):
    """Lives of customers in worlds, as far as they have got; one row each."""

    customer: NDArray[np.int64]  # R: row of `lives`
    place: NDArray[np.int64]  # R: the customer's place among those of the points
    on: NDArray[np.bool_]  # R, n
    start: NDArray[np.float64]  # R: where the stretch begins
    stage: NDArray[np.int64]  # R
    exposed: NDArray[np.float64]  # R, P, D: at the start
    memory: NDArray[np.float64]  # R, P: at the start
    logged: NDArray[np.int64]  # R: first row of `lives` that the memory does not hold
    point: NDArray[np.int64]  # R: next point
    fired: NDArray[np.bool_]  # R, n
    worth: NDArray[np.float64]  # R, G, 2


@jit
def scatter(
    seed: np.uint64, lives: Lives, w: Stakes, design: Design, customers: NDArray[np.int64], rows: Stretches,
    rates: NDArray[np.float64], cap: NDArray[np.float64], draw: int,
) -> Points:  # fmt: skip
    """Scatter the points of some customers, given what the log says of them.

    ``rows``: all stretches of these customers, in order, and their ``rates`` [rows, P]; ``cap`` [P]: no rate is higher.
    ``draw``: number of the draw.
    """
    P = rates.shape[1]
    size = 1024
    time, process = np.empty(size), np.empty(size, np.int64)
    height, event = np.empty(size), np.empty(size, np.int64)
    offsets = np.zeros(len(customers) + 1, np.int64)
    n, row = 0, 0
    for c in range(len(customers)):
        i = customers[c]
        begin = row
        while row < len(rows.start) and rows.customer[row] == i:
            row += 1
        low = lives.offsets[i]
        first = lives.time[low]
        base = mix(mix(seed + w.key[i]) + np.uint64(draw + 1) * GOLDEN)
        one = n
        for r in range(begin, row):
            if rows.event[r] >= 0:
                if n == size:
                    size, time, process, height, event = _grow(size, time, process, height, event)
                e = rows.event[r]
                p = lives.code[e]
                time[n] = lives.time[e]
                process[n] = p
                height[n] = uniform(base, _SEEN, e - low) * rates[r, p]
                event[n] = e
                n += 1
        for p in range(P):
            if cap[p] <= 0.0:
                continue
            top = 2.0 ** math.ceil(math.log2(cap[p]))  # sheets of few heights: other rates, the same points
            mine = mix(base + np.uint64(p + 1) * GOLDEN)
            r, k = begin, 0
            while r < row:
                key = mix(mine + np.uint64(k + 1) * GOLDEN)
                now, number = first + k * design.period, 0
                until = min(now + design.period, lives.end)
                while True:
                    now -= math.log(uniform(key, _GAP, number)) / top
                    if now > until:
                        break
                    h = uniform(key, _MARK, number) * top
                    number += 1
                    while r < row and rows.start[r] + rows.length[r] < now:
                        r += 1
                    if r == row:
                        break
                    if h <= cap[p] and h > rates[r, p]:
                        if n == size:
                            size, time, process, height, event = _grow(size, time, process, height, event)
                        time[n] = now
                        process[n] = p
                        height[n] = h
                        event[n] = -1
                        n += 1
                k += 1
                if first + k * design.period >= lives.end:
                    break
        order = stable_order(time[one:n])
        reorder(time[one:n], order)
        reorder(process[one:n], order)
        reorder(height[one:n], order)
        reorder(event[one:n], order)
        offsets[c + 1] = n
    return Points(offsets, time[:n], process[:n], height[:n], event[:n])


@jit
def _grow(size, time, process, height, event):
    more, kinds = np.empty(2 * size), np.empty(2 * size, np.int64)
    marks, events = np.empty(2 * size), np.empty(2 * size, np.int64)
    more[:size], kinds[:size], marks[:size], events[:size] = time, process, height, event
    return 2 * size, more, kinds, marks, events


@jit
def as_seen(
    lives: Lives, w: Stakes, design: Design, customers: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whose touches the log holds of some customers [customers, n], and what it counts [customers, G, 2]."""
    C = design.channels
    fired = np.zeros((len(customers), w.players), np.bool_)
    worth = np.zeros((len(customers), w.games, 2))
    for c in range(len(customers)):
        stage = 0
        for event in range(lives.offsets[customers[c]], lives.offsets[customers[c] + 1]):
            code = lives.code[event]
            if code < C:
                if w.player[code, stage] >= 0:
                    fired[c, w.player[code, stage]] = True
                continue
            g = w.game[code - C, stage]
            if g >= 0:
                worth[c, g, 0] += 1.0
                worth[c, g, 1] += w.value[event]
            stage = design.after[code - C, stage]
    return fired, worth


@jit
def begin(lives: Lives, w: Stakes, design: Design, points: Points, rows: NDArray[np.int64], u: Worlds) -> None:
    """Put worlds where they leave the log: at the first touch that reaches nobody. Those that do not live it again."""
    for at in range(len(rows)):
        r = rows[at]
        i = u.customer[r]
        low = lives.offsets[i]
        u.start[r] = lives.time[low]
        u.stage[r] = 0
        u.exposed[r] = 0.0
        u.memory[r] = 0.0
        u.logged[r] = low
        u.fired[r] = False
        u.worth[r] = 0.0
        u.point[r] = points.offsets[u.place[r]]
        leaves = _leaves(lives, w, design, i, u.on[r])
        for event in range(low, max(leaves, low + 1)):
            _go(design, r, lives.time[event], u)
            _log(lives, design, r, event + 1, u)
            _happen(w, design, r, lives.code[event], w.value[event], u)
        if leaves > low:
            while points.event[u.point[r]] != leaves:
                u.point[r] += 1


@jit
def _leaves(lives, w, design, i, on):
    """Row of the first touch of the log that reaches nobody; that of the first event if there is none."""
    low = lives.offsets[i]
    stage = 0
    for event in range(low, lives.offsets[i + 1]):
        p = lives.code[event]
        if p >= design.channels:
            stage = design.after[p - design.channels, stage]
        elif w.player[p, stage] >= 0 and not on[w.player[p, stage]]:
            return event
    return low


@jit
def _happen(w, design, r, p, value, u):
    """Let an event happen: a touch reaches if its player is on, an outcome counts."""
    stage = u.stage[r]
    if p < design.channels:
        j = w.player[p, stage]
        if j >= 0:
            if not u.on[r, j]:
                return
            u.fired[r, j] = True
        u.exposed[r, p] += 1.0
        return
    u.exposed[r, p] += 1.0
    u.memory[r, p] += 1.0
    g = w.game[p - design.channels, stage]
    if g >= 0:
        u.worth[r, g, 0] += 1.0
        u.worth[r, g, 1] += value
    u.stage[r] = design.after[p - design.channels, stage]


@jit
def _log(lives, design, r, upto, u):
    """Remember the touches of the log before a row of it, as of the start of the stretch."""
    for event in range(u.logged[r], upto):
        faded = math.exp(-(u.start[r] - lives.time[event]) / design.memory)
        if lives.code[event] < design.channels:
            u.memory[r, lives.code[event]] += faded
    u.logged[r] = max(u.logged[r], upto)


@jit
def _go(design, r, start, u):
    """Go on to where the next stretch begins."""
    days = start - u.start[r]
    fade(design, days, u.exposed[r])
    u.memory[r] *= math.exp(-days / design.memory)
    u.start[r] = start


@jit
def ask(
    lives: Lives, w: Stakes, design: Design, known: Known, points: Points, cap: NDArray[np.float64],
    rows: NDArray[np.int64], u: Worlds, x: NDArray[np.float64], wanted: NDArray[np.bool_],
) -> int:  # fmt: skip
    """Go on to the next stretch with a point that might be an event, in each of the worlds `rows`.

    Worlds that have come to their end leave `rows`. Writes features to `x`, and to `wanted` [rows, P] the processes
    whose rates decide; ``cap`` float64 [P, S]: no rate is higher. Returns how many worlds go on.
    """
    left = 0
    for at in range(len(rows)):
        r = rows[at]
        i = u.customer[r]
        high = lives.offsets[i + 1]
        last = points.offsets[u.place[r] + 1]
        first = lives.time[lives.offsets[i]]
        some = False
        wanted[left] = False
        stop = lives.end
        for point in range(u.point[r], last):
            if some and points.time[point] > stop:
                break
            p = points.process[point]
            able = points.height[point] <= cap[p, u.stage[r]]
            if able and p < design.channels:
                j = w.player[p, u.stage[r]]
                able = j < 0 or u.on[r, j]
            if not able:
                continue
            if not some:
                some = True
                u.point[r] = point
                k = period_of(design, first, points.time[point])
                stop = first + (k + 1) * design.period
                now = first + k * design.period
                if now > u.start[r]:
                    _go(design, r, now, u)
                    upto = u.logged[r]
                    while upto < high and lives.time[upto] <= now:
                        upto += 1
                    _log(lives, design, r, upto, u)
            wanted[left, p] = True
        if some:
            write(design, known, i, first, u.start[r], u.stage[r], u.exposed[r], u.memory[r], x[left])
            rows[left] = r
            left += 1
    return left


@jit
def settle(
    lives: Lives, w: Stakes, design: Design, points: Points, rates: NDArray[np.float64], rows: NDArray[np.int64],
    u: Worlds,
) -> None:  # fmt: skip
    """Let the first point that lies below its rate happen, in the stretch of each world; `rates` [rows, P]."""
    for at in range(len(rows)):
        r = rows[at]
        i = u.customer[r]
        last = points.offsets[u.place[r] + 1]
        first = lives.time[lives.offsets[i]]
        stop = first + (period_of(design, first, points.time[u.point[r]]) + 1) * design.period
        point = u.point[r]
        while point < last and points.time[point] <= stop:
            p = points.process[point]
            if points.height[point] <= rates[at, p]:
                e = points.event[point]
                value = w.value[e] if e >= 0 else w.usual[p]
                when = points.time[point]
                if p >= design.channels or w.player[p, u.stage[r]] < 0 or u.on[r, w.player[p, u.stage[r]]]:
                    _go(design, r, when, u)
                    upto = u.logged[r]
                    if e >= 0:
                        upto = max(upto, e + 1)
                    else:
                        while upto < lives.offsets[i + 1] and lives.time[upto] < when:
                            upto += 1
                    _log(lives, design, r, upto, u)
                    _happen(w, design, r, p, value, u)
                    point += 1
                    break
            point += 1
        u.point[r] = point


@jit
def orders(seed: np.uint64, keys: NDArray[np.uint64], n: int, draw: int) -> NDArray[np.int64]:
    """Orders of the players, one for each key: int64 [keys, n]."""
    out = np.empty((len(keys), n), np.int64)
    for i in range(len(keys)):
        base = mix(mix(seed + keys[i]) + np.uint64(draw + 1) * GOLDEN)
        draw_order(base, out[i])
    return out
