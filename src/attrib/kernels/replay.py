"""What would have happened without some of the players: customers live again, with what they drew and felt.

Given a customer's latent states, each process uses up unit exponentials at its rate (the next-reaction method): so the
events that were seen tell those exponentials exactly, and in the world with everybody on they come back as they were.
With a player off, the same exponentials are used up at the rates that are left; beyond those that were seen, new ones
are looked up by (customer, process, number), so that the worlds of a customer share them. States are drawn from their
distribution given all events (forward filtering, backward sampling).

Beside the letters of `intent`: n players, G games, Q = 2 quantities (conversions, value).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attrib.kernels._jit import jit
from attrib.kernels.intent import (
    Chart,
    Lives,
    Rates,
    Track,
    boost,
    cut_life,
    forward,
    most_intervals,
    new_track,
    total_rates,
)
from attrib.kernels.words import mix

SLACK = 1e-9  # of a unit exponential, for rounding: an event at the very end of the data comes back, too
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_S12 = np.uint64(12)
_ORDER, _STATE, _WAIT = np.uint64(1), np.uint64(2), np.uint64(3)


class Stakes(NamedTuple):
    """Who plays and for what."""

    key: NDArray[np.uint64]  # N: random key of each customer
    value: NDArray[np.float64]  # events: value of an outcome
    usual: NDArray[np.float64]  # P: value of an outcome that was not seen
    player: NDArray[np.int64]  # C, S: whose a touch is; -1: nobody's
    game: NDArray[np.int64]  # M, S: for which an outcome counts; -1: none
    players: int
    games: int


class Room(NamedTuple):
    """What one world needs, and what came of it."""

    on: NDArray[np.bool_]  # n
    fired: NDArray[np.bool_]  # n
    worth: NDArray[np.float64]  # G, Q
    wait: NDArray[np.float64]  # events of the customer: exponential used up by each
    later: NDArray[np.int64]  # next event of the same process, -1: none
    first: NDArray[np.int64]  # P: first event of each process but the one at the beginning, -1: none
    spent: NDArray[np.float64]  # P: used up after the last event
    begins: NDArray[np.float64]  # pieces of equal state: when they begin
    state: NDArray[np.int64]
    left: NDArray[np.float64]  # P: of the current exponential
    at: NDArray[np.int64]  # P: event that the current exponential belongs to, -1: none that was seen
    drawn: NDArray[np.int64]  # P: exponentials looked up
    pull: NDArray[np.float64]  # P, D: effects
    speed: NDArray[np.float64]  # P
    exposed: NDArray[np.float64]  # P, D
    fade: NDArray[np.float64]  # D
    skip: NDArray[np.bool_]  # P: processes of nobody who is on


@jit
def uniform(key: np.uint64, purpose: np.uint64, number: int) -> float:
    """In (0, 1), by key, purpose and number."""
    x = mix(mix(key + purpose * GOLDEN) + np.uint64(number) * GOLDEN)
    return (np.float64(x >> _S12) + 0.5) * 2.0**-52


@jit
def draw_order(key: np.uint64, order: NDArray[np.int64]) -> None:
    """Fill an order of the players, drawn by key."""
    for j in range(order.size):
        order[j] = j
    for last in range(order.size - 1, 0, -1):
        pick = int(uniform(key, _ORDER, last) * (last + 1))
        order[pick], order[last] = order[last], order[pick]


@jit
def _exponential(key: np.uint64, process: int, number: int) -> float:
    """With mean 1."""
    return -math.log(uniform(mix(key + np.uint64(process + 1) * GOLDEN), _WAIT, number))


@jit
def _draw_states(key: np.uint64, rates: Rates, t: Track, R: int, begin: float, room: Room) -> int:
    """Draw a path of states given all events; returns the number of its pieces."""
    _, _, K = rates.speed.shape
    A = rates.leave.size
    k = 0
    for r in range(R - 1, -1, -1):
        u = uniform(key, _STATE, r)
        whole = 0.0
        h = t.length[r]
        for pas in range(2):
            reached = 0.0
            for j in range(K):
                p = t.ahead[r, j]
                if r < R - 1:
                    stay = math.exp(-rates.leave[j % A] * h)
                    same = 1.0 if j // A == k // A else 0.0
                    p *= same * (1.0 - stay) * rates.jump[j % A, k % A] + (stay if j == k else 0.0)
                if pas == 0:
                    whole += p
                else:
                    reached += p
                    if u * whole < reached or j == K - 1:
                        k = j
                        break
        room.state[r] = k
    n = 0
    now = begin
    for r in range(R):
        k = room.state[r]
        if n == 0 or room.state[n - 1] != k:
            room.begins[n] = now
            room.state[n] = k
            n += 1
        now += t.length[r]
    return n


@jit
def _seen_waits(chart: Chart, rates: Rates, lives: Lives, i: int, t: Track, R: int, pieces: int, room: Room) -> None:
    """Exponentials that the events of a customer used up, given the states."""
    P, _, _ = rates.speed.shape
    low = lives.offsets[i]
    room.first[:] = -1
    room.spent[:] = 0.0
    latest = np.full(P, -1)
    now = lives.time[low]
    event = 1
    piece = 0
    for r in range(R):
        while piece + 1 < pieces and room.begins[piece + 1] <= now and r > 0:
            piece += 1
        k = room.state[piece]
        s = t.stage[r]
        for p in range(P):
            speed = rates.speed[p, s, k]
            room.spent[p] += speed * (t.length[r] + boost(chart, rates, t, r, p, t.whole))
        p = t.event[r]
        if p >= 0:
            room.wait[event] = room.spent[p]
            room.spent[p] = 0.0
            room.later[event] = -1
            if latest[p] < 0:
                room.first[p] = event
            else:
                room.later[latest[p]] = event
            latest[p] = event
            event += 1
        now += t.length[r]


@jit
def _next_wait(key: np.uint64, p: int, room: Room) -> None:
    """Give a process its next exponential: one that was seen, or what it had used up since and a new one."""
    if room.at[p] >= 0:
        room.left[p] = room.wait[room.at[p]]
        return
    room.left[p] = _exponential(key, p, room.drawn[p])
    if room.drawn[p] == 0:
        room.left[p] += room.spent[p]
    room.drawn[p] += 1


@jit
def _solve(chart: Chart, speed: float, pull: NDArray[np.float64], wait: float) -> float:
    """Days until a process has used up `wait`: Newton from the left, since the integral is concave."""
    D = chart.decay.size
    target = wait / speed
    if target <= 0.0:
        return 0.0
    slope = 1.0
    for d in range(D):
        slope += pull[d]
    x = target / slope
    for _ in range(60):
        value = x - target
        slope = 1.0
        for d in range(D):
            fade = math.exp(-x / chart.decay[d])
            value += pull[d] * chart.decay[d] * (1.0 - fade)
            slope += pull[d] * fade
        x -= value / slope
        if abs(value) <= 1e-10 * slope:
            break
    return x


@jit
def _happen(chart: Chart, w: Stakes, p: int, stage: int, value: float, room: Room) -> int:
    """Let an event happen: the touch reaches if its player is on, the outcome counts; returns the stage after it."""
    C = chart.channels
    if p < C:
        j = w.player[p, stage]
        if j < 0 or room.on[j]:
            room.exposed[p, :] += 1.0
        if j >= 0 and room.on[j]:
            room.fired[j] = True
        return stage
    room.exposed[p, :] += 1.0
    g = w.game[p - C, stage]
    if g >= 0:
        room.worth[g, 0] += 1.0
        room.worth[g, 1] += value
    return int(chart.after[p - C, stage])


@jit
def _live(key: np.uint64, chart: Chart, rates: Rates, w: Stakes, lives: Lives, i: int, pieces: int, room: Room) -> None:
    """Live one customer's life in the world `room.on`; fills `room.fired` and `room.worth`."""
    P, S, _ = rates.speed.shape
    C, D = chart.channels, chart.decay.size
    low = lives.offsets[i]
    now = lives.time[low]
    room.fired[:] = False
    room.worth[:] = 0.0
    room.exposed[:] = 0.0
    stage = _happen(chart, w, lives.code[low], 0, w.value[low], room)
    for p in range(P):
        room.skip[p] = p < C
        if p < C:
            for s in range(S):
                j = w.player[p, s]
                if j < 0 or room.on[j]:
                    room.skip[p] = False
        room.at[p] = room.first[p]
        room.drawn[p] = 0
        if not room.skip[p]:
            _next_wait(key, p, room)
    piece = 0
    while True:
        k = room.state[piece]
        until = room.begins[piece + 1] if piece + 1 < pieces else lives.end
        best = until - now
        who = -1
        for d in range(D):
            room.fade[d] = 1.0 - math.exp(-best / chart.decay[d])
        for p in range(P):
            if room.skip[p]:
                continue
            room.speed[p] = rates.speed[p, stage, k]
            e = chart.acts[p, stage]
            used = best
            for d in range(D):
                pull = 0.0
                if e >= 0:
                    for z in range(P):
                        if room.exposed[z, d] > 0.0:
                            pull += rates.effect[e, z, d] * room.exposed[z, d]
                room.pull[p, d] = pull
                used += pull * chart.decay[d] * room.fade[d]
            if room.speed[p] > 0.0 and used * room.speed[p] >= room.left[p] - SLACK:
                found = _solve(chart, room.speed[p], room.pull[p], room.left[p])
                if who < 0 or found < best:
                    best = min(best, found)
                    who = p
                    for d in range(D):
                        room.fade[d] = 1.0 - math.exp(-best / chart.decay[d])
        for p in range(P):
            if not room.skip[p]:
                used = best
                for d in range(D):
                    used += room.pull[p, d] * chart.decay[d] * room.fade[d]
                room.left[p] -= used * room.speed[p]
        for z in range(P):
            for d in range(D):
                room.exposed[z, d] *= 1.0 - room.fade[d]
        now += best
        if who < 0:
            piece += 1
            if piece == pieces:
                return
            now = until
            continue
        seen = room.at[who]
        value = w.usual[who]
        if seen >= 0:
            value = w.value[low + seen]
            room.at[who] = room.later[seen]
        _next_wait(key, who, room)
        stage = _happen(chart, w, who, stage, value, room)


@jit
def _as_seen(chart: Chart, w: Stakes, lives: Lives, i: int, room: Room) -> None:
    """Fill `room.fired` and `room.worth` from the log: the world with everybody on."""
    room.fired[:] = False
    room.worth[:] = 0.0
    room.on[:] = True
    stage = 0
    for j in range(lives.offsets[i], lives.offsets[i + 1]):
        stage = _happen(chart, w, lives.code[j], stage, w.value[j], room)


@jit
def new_room(events: int, R: int, P: int, D: int, n: int, G: int) -> Room:
    """Room for a customer with so many events and intervals."""
    return Room(
        np.ones(n, np.bool_), np.zeros(n, np.bool_), np.zeros((G, 2)), np.empty(events), np.empty(events, np.int64),
        np.empty(P, np.int64), np.empty(P), np.empty(R), np.empty(R, np.int64), np.empty(P), np.empty(P, np.int64),
        np.empty(P, np.int64), np.empty((P, D)), np.empty(P), np.zeros((P, D)), np.empty(D), np.empty(P, np.bool_),
    )  # fmt: skip


@jit
def _copy_flags(flags: NDArray[np.bool_], to: NDArray[np.bool_]) -> None:
    for j in range(to.size):
        to[j] = flags[j]


@jit
def _copy_worth(worth: NDArray[np.float64], to: NDArray[np.float64]) -> None:
    for g in range(to.shape[0]):
        for q in range(2):
            to[g, q] = worth[g, q]


@jit
def _clear(sums: NDArray[np.float64]) -> None:
    for j in range(sums.shape[0]):
        for g in range(sums.shape[1]):
            for q in range(2):
                sums[j, g, q] = 0.0


@jit
def _add_lost(sums: NDArray[np.float64], before: NDArray[np.float64], after: NDArray[np.float64], share: float) -> None:
    for g in range(sums.shape[0]):
        for q in range(2):
            sums[g, q] += share * (before[g, q] - after[g, q])


@jit
def credit(
    seed: np.uint64, lives: Lives, chart: Chart, rates: Rates, w: Stakes, first: int, stop: int, pairs: int,
    removal: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:  # fmt: skip
    """Sum what each player adds over the customers first, ..., stop - 1.

    `removal`: to all others; otherwise to those before it, in `pairs` random orders of the players and their reverses,
    each pair with states of its own. Returns credit and its sampling variance [n, G, Q], and the worlds lived.
    """
    n, G = w.players, w.games
    P, _, K = rates.speed.shape
    D = chart.decay.size
    # element by element all through: numba takes ten seconds to compile the same in whole arrays
    out, noise = np.zeros((n, G, 2)), np.zeros((n, G, 2))
    most = 1
    for i in range(first, stop):
        most = max(most, lives.offsets[i + 1] - lives.offsets[i])
    R_most = most_intervals(lives, chart.grid, first, stop)
    t = new_track(R_most, K, P, D)
    room = new_room(most, R_most + 1, P, D, n, G)
    total = total_rates(rates)
    fired, everything = np.empty(n, np.bool_), np.empty((G, 2))
    worth, used = np.empty((G, 2)), np.empty(n, np.bool_)
    mean, square, some = np.empty((n, G, 2)), np.empty((n, G, 2)), np.empty((n, G, 2))
    order = np.empty(n, np.int64)
    worlds = 0
    for i in range(first, stop):
        _as_seen(chart, w, lives, i, room)
        if not room.fired.any():
            continue
        _copy_flags(room.fired, fired)
        _copy_worth(room.worth, everything)
        R = cut_life(lives, i, chart, t)
        low = lives.offsets[i]
        forward(chart, rates, total, lives.code[low], t, R)
        _clear(mean)
        _clear(square)
        for pair in range(pairs):
            key = mix(mix(seed + w.key[i]) + np.uint64(pair + 1) * GOLDEN)
            pieces = _draw_states(key, rates, t, R, lives.time[low], room)
            _seen_waits(chart, rates, lives, i, t, R, pieces, room)
            _clear(some)
            if removal:
                for j in range(n):
                    if fired[j]:
                        room.on[:] = True
                        room.on[j] = False
                        _live(key, chart, rates, w, lives, i, pieces, room)
                        worlds += 1
                        _add_lost(some[j], everything, room.worth, 1.0)
            else:
                draw_order(key, order)
                for back in range(2):
                    room.on[:] = True
                    _copy_worth(everything, worth)
                    _copy_flags(fired, used)
                    for place in range(n):  # players leave one after the other
                        j = order[n - 1 - place] if back else order[place]
                        room.on[j] = False
                        if used[j]:
                            _live(key, chart, rates, w, lives, i, pieces, room)
                            worlds += 1
                            _add_lost(some[j], worth, room.worth, 0.5)
                            _copy_worth(room.worth, worth)
                            _copy_flags(room.fired, used)
            for j in range(n):
                for g in range(G):
                    for q in range(2):
                        mean[j, g, q] += some[j, g, q]
                        square[j, g, q] += some[j, g, q] * some[j, g, q]
        for j in range(n):
            for g in range(G):
                for q in range(2):
                    average = mean[j, g, q] / pairs
                    out[j, g, q] += average
                    if pairs > 1:
                        spread = max(square[j, g, q] / pairs - average * average, 0.0)
                        noise[j, g, q] += spread / (pairs - 1)
    return out, noise, worlds
