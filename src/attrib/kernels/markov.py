"""Removal effects in absorbing Markov chains (semantics §5).

R = replicates, n = players, S = states other than start, E = transitions between states, m = removed players.

Order 1, closed form. With C the counts between players and D the counts out of each, M = D − C. The chain is fitted
from the counts, so its expected visits are the observed ones, and with N = (I − Q)^-1 = M^-1 D the effect of x,
N[s,x] h[x] / (N[x,x] h[s]), becomes h[x] / (M^-1[x,x] · conversions): one inverse serves all players, conversions and
value. M is diagonally dominant by rows and by columns, so that elimination needs no pivots and loses nothing.

Order k, one left solve a removed player: expected visits u = s + u Q without the states that end in x; what then
arrives at conversion is u · r, for conversions and value alike. All players run side by side through BiCGSTAB
(van der Vorst 1992). An error e of u costs at most e · h, so the residual is also a bound of the error.

Renormalised rows differ from those of Q by a factor a row and removed player, 1 / (1 − what leads to the player), or 0
where nothing leads to an end any more; Q itself is stored once for all players.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from attrib.kernels._jit import jit

Floats = npt.NDArray[np.float64]


def closed_form(steps: Floats, leaving: Floats, rewards: Floats) -> Floats:
    """Loss of reward by removed player, order 1.

    steps float64 [R, n, n]: counts between players (self-steps are ignored); leaving float64 [R, n]: counts to
    conversion and null; rewards float64 [R, n, p]: what arrives at conversion by last player.
    Returns losses float64 [R, n, p]: effect times total reward.
    """
    n = steps.shape[1]
    diagonal = np.arange(n)
    matrix = -steps
    matrix[:, diagonal, diagonal] = 0.0
    out = leaving - matrix.sum(axis=2)
    # a player that a replicate never met: nothing leads to it, nothing is lost with it
    out[out == 0.0] = 1.0
    matrix[:, diagonal, diagonal] = out
    inverse = np.linalg.inv(matrix)
    worth = inverse @ rewards
    losses: Floats = worth / inverse[:, diagonal, diagonal][:, :, None]
    return losses


@jit
def rescale(row_start, target, rate, source, back_start, back, exits, last, first, scale):
    """Factor of every row once the steps into a player are dropped, for the players first … first + m − 1.

    Rows of Q, that of start included: target int64 [E], rate float64 [E] (no self-steps), row_start int64 [S + 1],
    source int64 [E]; the same steps by target: back int64 [E] with back_start int64 [S + 1]; exits float64 [S]: rate
    to conversion and null; last int64 [S]: player each state ends in. scale float64 [S, m] receives the factors: 0
    where neither conversion nor null can be reached.
    """
    states, m = scale.shape
    longest = 0
    for s in range(states):
        longest = max(longest, row_start[s + 1] - row_start[s])
    after = np.zeros(longest + 1)
    for s in range(states):
        for j in range(m):
            scale[s, j] = 1.0
        low, n = row_start[s], row_start[s + 1] - row_start[s]
        after[n] = 0.0
        for i in range(n - 1, -1, -1):
            after[i] = after[i + 1] + rate[low + i]
        before = exits[s]
        for i in range(n):
            j = last[target[low + i]] - first
            if 0 <= j < m:
                # what is left is added up, for a difference of two sums need not be 0 where it should
                rest = before + after[i + 1]
                scale[s, j] = 1.0 / rest if rest > 0.0 else 0.0
            before += rate[low + i]
    alive = np.empty(states, np.bool_)
    stack = np.empty(states, np.int64)
    for j in range(m):
        top = 0
        for s in range(states):
            alive[s] = exits[s] > 0.0 and last[s] - first != j
            if alive[s]:
                stack[top] = s
                top += 1
        while top > 0:
            top -= 1
            t = stack[top]
            for i in range(back_start[t], back_start[t + 1]):
                s = source[back[i]]
                if not alive[s] and rate[back[i]] > 0.0 and last[s] - first != j:
                    alive[s] = True
                    stack[top] = s
                    top += 1
        for s in range(states):
            if not alive[s]:
                scale[s, j] = 0.0


@jit
def _advance(x, row_start, target, rate, last, first, scale, out):
    """Out = x − x Q with, in column j, the states that end in player first + j left out and rows scaled."""
    states, m = x.shape
    w = np.empty(m)
    for s in range(states):
        for j in range(m):
            out[s, j] = x[s, j]
    for s in range(states):
        for j in range(m):
            w[j] = x[s, j]
        if scale.size > 0:
            for j in range(m):
                w[j] *= scale[s, j]
        for e in range(row_start[s], row_start[s + 1]):
            t = target[e]
            q = rate[e]
            for j in range(m):
                out[t, j] -= q * w[j]
    for s in range(states):
        j = last[s] - first
        if 0 <= j < m:
            out[s, j] = 0.0


@jit
def removed_visits(start, row_start, target, rate, last, first, scale, tolerance, max_steps, x):
    """Expected visits of every state with one player removed, for the players first … first + m − 1.

    start float64 [S]: first visits; rows of Q: target int64 [E], rate float64 [E] (no self-steps), row_start int64
    [S + 1], that of start empty; last int64 [S]: player each state ends in; scale float64 [S, m]: factors of the rows
    (see ``rescale``), or [0, 0] for none. x float64 [S, m] holds a first guess and receives the result.
    Returns the largest residual (sum of absolute values) of a column.
    """
    states, m = x.shape
    r = np.empty((states, m))
    shadow = np.empty((states, m))
    p = np.zeros((states, m))
    v = np.zeros((states, m))
    t = np.empty((states, m))
    rho = np.ones(m)
    alpha = np.ones(m)
    omega = np.ones(m)
    top = np.empty(m)
    bottom = np.empty(m)
    norm = np.full(m, np.inf)
    active = np.ones(m, np.bool_)
    begin = np.ones(m)
    if scale.size > 0:
        begin[:] = scale[0]
    for s in range(states):
        j = last[s] - first
        if 0 <= j < m:
            x[s, j] = 0.0
    fresh = True
    for _step in range(max_steps):
        if fresh:
            # (re)start from the true residual, which rounding lets the updated one drift away from
            _advance(x, row_start, target, rate, last, first, scale, r)
            for s in range(states):
                for j in range(m):
                    r[s, j] = 0.0 if last[s] - first == j else start[s] * begin[j] - r[s, j]
                    shadow[s, j] = r[s, j]
                    p[s, j] = 0.0
                    v[s, j] = 0.0
            rho[:] = 1.0
            alpha[:] = 1.0
            omega[:] = 1.0
            fresh = False
        norm[:] = 0.0
        for s in range(states):
            for j in range(m):
                norm[j] += abs(r[s, j])
        busy = False
        for j in range(m):
            active[j] = norm[j] > tolerance
            busy = busy or active[j]
        if not busy:
            # done if the true residual agrees
            _advance(x, row_start, target, rate, last, first, scale, t)
            norm[:] = 0.0
            for s in range(states):
                for j in range(m):
                    if last[s] - first != j:
                        norm[j] += abs(start[s] * begin[j] - t[s, j])
            if norm.max() <= 4.0 * tolerance:
                return norm.max()
            fresh = True
            continue
        top[:] = 0.0
        for s in range(states):
            for j in range(m):
                top[j] += shadow[s, j] * r[s, j]
        for j in range(m):
            if active[j] and (top[j] == 0.0 or omega[j] == 0.0):
                fresh = True
            bottom[j] = (top[j] / rho[j]) * (alpha[j] / omega[j]) if active[j] and rho[j] != 0.0 else 0.0
            rho[j] = top[j]
        if fresh:
            continue
        for s in range(states):
            for j in range(m):
                p[s, j] = r[s, j] + bottom[j] * (p[s, j] - omega[j] * v[s, j]) if active[j] else 0.0
        _advance(p, row_start, target, rate, last, first, scale, v)
        bottom[:] = 0.0
        for s in range(states):
            for j in range(m):
                bottom[j] += shadow[s, j] * v[s, j]
        for j in range(m):
            alpha[j] = rho[j] / bottom[j] if active[j] and bottom[j] != 0.0 else 0.0
        for s in range(states):
            for j in range(m):
                x[s, j] += alpha[j] * p[s, j]
                r[s, j] -= alpha[j] * v[s, j]
        _advance(r, row_start, target, rate, last, first, scale, t)
        top[:] = 0.0
        bottom[:] = 0.0
        for s in range(states):
            for j in range(m):
                top[j] += t[s, j] * r[s, j]
                bottom[j] += t[s, j] * t[s, j]
        for j in range(m):
            omega[j] = top[j] / bottom[j] if active[j] and bottom[j] != 0.0 else 0.0
        for s in range(states):
            for j in range(m):
                x[s, j] += omega[j] * r[s, j]
                r[s, j] -= omega[j] * t[s, j]
    return norm.max()
