"""Customers with a latent state: how likely their events are, and what the steps of the search for parameters need.

P = C + M processes (touches by channel, then outcomes), S observed stages, K latent states of A moods, which change,
and K / A types, which stay (state i A + a is type i in mood a), E sets of effects of events, D decays. Their time
from the first event to the end of the data is cut at each event, and in between at the steps of a grid; the latent
state may change where an interval begins, by the chance of a change in the interval before it. Times are float64 days.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attrib.kernels._jit import jit

FADED = 1e-4  # exposures below count as none
LEAST = 1e-300


class Lives(NamedTuple):
    """Events by customer: touches below C, outcome m as C + m; each customer has one at least."""

    offsets: NDArray[np.int64]  # N + 1
    time: NDArray[np.float64]
    code: NDArray[np.int64]
    end: float


class Chart(NamedTuple):
    """What can happen, and what acts on what."""

    channels: int
    after: NDArray[np.int64]  # M, S: stage after an outcome
    acts: NDArray[np.int64]  # P, S: set of effects on a process in a stage, -1: none
    decay: NDArray[np.float64]  # D: days until an exposure has faded to 1/e
    grid: NDArray[np.float64]  # lengths of the intervals after an event, of which the last goes on


class Rates(NamedTuple):
    """A process has the rate speed * (1 + sum of effect * exposure)."""

    start: NDArray[np.float64]  # P, K: first state by first event
    leave: NDArray[np.float64]  # A: rate at which a mood changes
    jump: NDArray[np.float64]  # A, A: where to, diagonal 0
    speed: NDArray[np.float64]  # P, S, K
    effect: NDArray[np.float64]  # E, P, D


class Track(NamedTuple):
    """Intervals of one customer (room for the longest), and the forward pass over them."""

    length: NDArray[np.float64]
    stage: NDArray[np.int64]
    event: NDArray[np.int64]  # at its end, -1: none
    some: NDArray[np.int64]  # kinds of events with an exposure left, how many
    source: NDArray[np.int64]  # R, P: which
    whole: NDArray[np.float64]  # R, P, D: exposure, integrated
    last: NDArray[np.float64]  # R, P, D: exposure at the end
    like: NDArray[np.float64]  # R, K: likelihood, the largest is 1
    ahead: NDArray[np.float64]  # R, K: probabilities given what has happened so far


class Sums(NamedTuple):
    """Expected sufficient statistics."""

    time: NDArray[np.float64]  # S, K
    exposure: NDArray[np.float64]  # S, K, P, D
    events: NDArray[np.float64]  # P, S, K
    caused: NDArray[np.float64]  # E, P, D: events, each by the share that an effect has in it
    sure: NDArray[np.float64]  # E, P, D: the same with squares of the shares
    start: NDArray[np.float64]  # P, K
    waiting: NDArray[np.float64]  # A: days until a change
    jump: NDArray[np.float64]  # A, A


@jit
def new_sums(P: int, S: int, K: int, A: int, E: int, D: int) -> Sums:
    """Zeros."""
    return Sums(
        np.zeros((S, K)), np.zeros((S, K, P, D)), np.zeros((P, S, K)), np.zeros((E, P, D)), np.zeros((E, P, D)),
        np.zeros((P, K)), np.zeros(A), np.zeros((A, A)),
    )  # fmt: skip


@jit
def most_intervals(lives: Lives, grid: NDArray[np.float64], first: int, stop: int) -> int:
    """No customer has more."""
    most = 0
    for i in range(first, stop):
        low, high = lives.offsets[i], lives.offsets[i + 1]
        span = lives.end - lives.time[low]
        most = max(most, (high - low + 1) * (grid.size + 1) + int(span / grid[-1]) + 1)
    return most


@jit
def new_track(R: int, K: int, P: int, D: int) -> Track:
    """Room for R intervals."""
    return Track(
        np.empty(R), np.empty(R, np.int64), np.empty(R, np.int64), np.empty(R, np.int64), np.empty((R, P), np.int64),
        np.empty((R, P, D)), np.empty((R, P, D)), np.empty((R, K)), np.empty((R, K)),
    )  # fmt: skip


@jit
def cut_life(lives: Lives, i: int, chart: Chart, t: Track) -> int:
    """Cut a customer's time into intervals; returns their number."""
    C, P, D = chart.channels, chart.acts.shape[0], chart.decay.size
    x = np.zeros((P, D))
    low, high = lives.offsets[i], lives.offsets[i + 1]
    now = lives.time[low]
    code = lives.code[low]
    stage = 0
    x[code, :] += 1.0
    if code >= C:
        stage = chart.after[code - C, stage]
    j = low + 1
    step = 0
    r = 0
    fade = np.empty(D)
    while True:
        until = lives.time[j] if j < high else lives.end
        event = lives.code[j] if j < high else -1
        length = chart.grid[step]
        if until - now > length:
            until = now + length
            event = -1
            step = min(step + 1, chart.grid.size - 1)
        else:
            length = until - now
            step = 0
            j += 1
        t.length[r] = length
        t.stage[r] = stage
        t.event[r] = event
        for d in range(D):
            fade[d] = math.exp(-length / chart.decay[d])
        n = 0
        for z in range(P):
            left = 0.0
            for d in range(D):
                left = max(left, x[z, d])
            if left < FADED:
                continue
            t.source[r, n] = z
            for d in range(D):
                t.whole[r, n, d] = x[z, d] * chart.decay[d] * (1.0 - fade[d])
                x[z, d] *= fade[d]
                t.last[r, n, d] = x[z, d]
            n += 1
        t.some[r] = n
        r += 1
        now = until
        if event >= 0:
            x[event, :] += 1.0
            if event >= C:
                stage = chart.after[event - C, stage]
        if j > high:
            return r


@jit
def total_rates(rates: Rates) -> NDArray[np.float64]:
    """Rate of anything without exposures, by stage and state [S, K]."""
    P, S, K = rates.speed.shape
    out = np.zeros((S, K))
    for p in range(P):
        out += rates.speed[p]
    return out


@jit
def boost(chart: Chart, rates: Rates, t: Track, r: int, p: int, values: NDArray[np.float64]) -> float:
    """Sum of effect * exposure on a process in interval r."""
    e = chart.acts[p, t.stage[r]]
    total = 0.0
    if e >= 0:
        for n in range(t.some[r]):
            z = t.source[r, n]
            for d in range(chart.decay.size):
                total += rates.effect[e, z, d] * values[r, n, d]
    return total


@jit
def forward(chart: Chart, rates: Rates, total: NDArray[np.float64], first: int, t: Track, R: int) -> float:
    """Likelihoods and filtered probabilities of R intervals after the event `first`; returns the log-likelihood."""
    P, _, K = rates.speed.shape
    A = rates.leave.size
    w = np.empty(K)
    found = 0.0
    for r in range(R):
        s = t.stage[r]
        h = t.length[r]
        e = t.event[r]
        for k in range(K):
            w[k] = -h * total[s, k]
        if t.some[r] > 0:
            for p in range(P):
                more = boost(chart, rates, t, r, p, t.whole)
                if more > 0.0:
                    for k in range(K):
                        w[k] -= more * rates.speed[p, s, k]
        if e >= 0:
            found += math.log1p(boost(chart, rates, t, r, e, t.last))
            for k in range(K):
                w[k] += math.log(max(LEAST, rates.speed[e, s, k]))
        best = w.max()
        found += best
        for k in range(K):
            t.like[r, k] = math.exp(w[k] - best)
        if r == 0:
            for k in range(K):
                w[k] = rates.start[first, k]
        else:
            for k in range(K):
                w[k] = 0.0
            h = t.length[r - 1]
            for a in range(A):
                stay = math.exp(-rates.leave[a] * h)
                for i in range(0, K, A):
                    moved = t.ahead[r - 1, i + a] * (1.0 - stay)
                    for b in range(A):
                        w[i + b] += moved * rates.jump[a, b]
                    w[i + a] += t.ahead[r - 1, i + a] * stay
        whole = 0.0
        for k in range(K):
            w[k] *= t.like[r, k]
            whole += w[k]
        whole = max(whole, LEAST)
        for k in range(K):
            t.ahead[r, k] = w[k] / whole
        found += math.log(whole)
    return found


@jit
def _backward(chart: Chart, rates: Rates, first: int, weight: float, t: Track, R: int, out: Sums) -> None:
    """Add a customer's expected statistics to the sums."""
    _, _, K = rates.speed.shape
    A = rates.leave.size
    D = chart.decay.size
    behind = np.ones(K)
    w = np.empty(K)
    before = np.empty(K)
    for r in range(R - 1, -1, -1):
        s = t.stage[r]
        e = t.event[r]
        whole = 0.0
        for k in range(K):
            w[k] = t.ahead[r, k] * behind[k]
            whole += w[k]
        for k in range(K):
            w[k] *= weight / whole
            out.time[s, k] += w[k] * t.length[r]
        for n in range(t.some[r]):
            z = t.source[r, n]
            for k in range(K):
                for d in range(D):
                    out.exposure[s, k, z, d] += w[k] * t.whole[r, n, d]
        if e >= 0:
            for k in range(K):
                out.events[e, s, k] += w[k]
            x = chart.acts[e, s]
            if x >= 0:
                part = 1.0 / (1.0 + boost(chart, rates, t, r, e, t.last))
                for n in range(t.some[r]):
                    z = t.source[r, n]
                    for d in range(D):
                        share = rates.effect[x, z, d] * t.last[r, n, d] * part
                        out.caused[x, z, d] += weight * share
                        out.sure[x, z, d] += weight * share * share
        if r == 0:
            for k in range(K):
                out.start[first, k] += w[k]
            return
        h = t.length[r - 1]
        whole = 0.0
        for k in range(K):
            behind[k] *= t.like[r, k]
        for a in range(A):
            stay = math.exp(-rates.leave[a] * h)
            for i in range(0, K, A):
                back = 0.0
                for b in range(A):
                    back += rates.jump[a, b] * behind[i + b]
                before[i + a] = stay * behind[i + a] + (1.0 - stay) * back
                whole += t.ahead[r - 1, i + a] * before[i + a]
        whole = weight / max(whole, LEAST)
        best = LEAST
        for a in range(A):
            q = rates.leave[a]
            stay = math.exp(-q * h)
            # of those who change within the interval, the mean time until they do
            sooner = 1.0 / q - h * stay / (1.0 - stay) if q * h > 1e-8 else 0.5 * h
            for i in range(0, K, A):
                share = t.ahead[r - 1, i + a] * whole
                for b in range(A):
                    change = share * (1.0 - stay) * rates.jump[a, b] * behind[i + b]
                    out.jump[a, b] += change
                    out.waiting[a] += change * sooner
                out.waiting[a] += share * stay * behind[i + a] * h
                best = max(best, before[i + a])
        for k in range(K):
            behind[k] = before[k] / best


@jit
def expect(
    lives: Lives, weight: NDArray[np.float64], chart: Chart, rates: Rates, first: int, stop: int
) -> tuple[float, Sums]:
    """Log-likelihood and expected statistics of the customers first, ..., stop - 1, each counting `weight` times."""
    P, S, K = rates.speed.shape
    E, _, D = rates.effect.shape
    out = new_sums(P, S, K, rates.leave.size, E, D)
    t = new_track(most_intervals(lives, chart.grid, first, stop), K, P, D)
    total = total_rates(rates)
    found = 0.0
    for i in range(first, stop):
        if weight[i] == 0.0:
            continue
        R = cut_life(lives, i, chart, t)
        code = lives.code[lives.offsets[i]]
        found += weight[i] * forward(chart, rates, total, code, t, R)
        _backward(chart, rates, code, weight[i], t, R, out)
    return found, out
