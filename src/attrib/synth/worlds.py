"""Customers' lives in all the worlds in which some of the players are switched off, and what each player adds.

Every draw is looked up by its key, so a player that fires nowhere in a world can be switched off without changing
anything there. A life in the world S whose events (and those of the chain of referrals before it) are the work of
the players U is hence the life in every world between U and S. So a customer is simulated in few of the 2^n worlds,
and only their relevant players, those who fire in some world, play a part in their game.

n = players, R = a customer's relevant players (bits of a mask), Q = quantities: conversions and value of the target,
then, on request, conversions of the S = 5 stages (customers who leave them), then the value of these.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attrib.kernels._jit import jit
from attrib.synth.clocks import by_week, clock
from attrib.synth.kernels import born, parent_of, revenue, whole_life
from attrib.synth.random import customer_key, process_key, stream_key, uniform
from attrib.synth.records import (
    ADVOCACY,
    ASK,
    INTENT,
    LOYALTY,
    PURCHASE,
    REFERRAL,
    VISIT,
    Life,
    M,
    Params,
    new_life,
)  # fmt: skip

TARGET = 2  # quantities of the target; the others are those of the stages
_AWARENESS, _CONSIDERATION, _DECISION = range(3)
_STAGES = 5
_ORDER = np.uint64(process_key("order of players"))

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Switches(NamedTuple):
    """What each player is, and what is asked.

    Exposures of `params` and whom they reach are overwritten from world to world: arrays that all four share.
    """

    params: tuple[Params, Params, Params, Params]  # 2 * (recruits come) + (campaigns ask)
    exposure: NDArray[np.float64]  # C, S: with all players on
    cell: NDArray[np.int64]  # C, S: whose touches; -1: nobody's, always on
    brings: NDArray[np.int64]  # players without any of whom no recruit comes
    asks: int  # player of being asked to refer; -1: nobody
    sets: NDArray[np.bool_]  # K, n: to be switched off together
    target: int  # code of the outcome


class Sums(NamedTuple):
    """Sums over customers, by group g = root of the chain of referrals modulo G."""

    customers: NDArray[np.int64]  # G
    by_group: NDArray[np.float64]  # G, 2n + K + 2, Q: Shapley values, removals, sets; worth of nobody and of all
    noise: NDArray[np.float64]  # n, Q: variance of the Shapley values from sampled orders
    dividends: NDArray[np.float64]  # 2^n, Q, of all coalitions; empty where they are not asked for
    worlds: int  # lives simulated
    sampled: int  # customers whose orders were sampled


class _Scratch(NamedTuple):
    """Room for one customer: the world, who fired in it, what came of it; then the table of all worlds."""

    on: NDArray[np.bool_]  # n
    used: NDArray[np.bool_]  # n
    worth: NDArray[np.float64]  # Q
    table: NDArray[np.float64]  # 2^exact, Q
    known: NDArray[np.bool_]  # 2^exact
    relevant: NDArray[np.int64]  # n


@jit
def _mark(life: Life, n: int, recruited: bool, w: Switches, p: Params, used: NDArray[np.bool_]) -> None:
    """Note the players whose touches are in a life, and those to whom it owes its coming at all."""
    C = p.lift.shape[0]
    if recruited:
        for i in range(w.brings.size):
            used[w.brings[i]] = True
    stage = _AWARENESS
    purchases = 0
    for i in range(n):
        k = life.process[i]
        if 0 <= k < C:
            if w.cell[k, stage] >= 0:
                used[w.cell[k, stage]] = True
        elif k == C + VISIT:
            stage = max(stage, _CONSIDERATION)
        elif k == C + INTENT:
            stage = max(stage, _DECISION)
        elif k == C + PURCHASE:
            purchases += 1
            # With `later` touches arrive as in loyalty, whatever follows the first purchase.
            stage = max(stage, LOYALTY if purchases == 1 or p.later.on else ADVOCACY)
        elif k == C + REFERRAL:
            stage = LOYALTY if p.later.on else ADVOCACY
        elif k == C + ASK and w.asks >= 0:
            used[w.asks] = True


@jit
def _instant(t: float, p: Params) -> int:
    """The time of an event as its row has it."""
    return int(clock(by_week(t, p.week, p.days)))


@jit
def _count(key: np.uint64, life: Life, n: int, p: Params, target: int, worth: Floats) -> None:
    """Conversions and value as journeys have them (semantics §2, §3, preset ``five``): rows at one instant merge."""
    C = p.lift.shape[0]
    stage = _AWARENESS
    purchases = 0
    i = 0
    while i < n:
        if not C <= life.process[i] <= C + M:
            i += 1
            continue
        instant = _instant(life.time[i], p)
        furthest = -1
        referrals = 0
        first = second = 0.0  # value of the rows that are milestones of decision, of loyalty
        while i < n and _instant(life.time[i], p) == instant:
            k = life.process[i] - C
            value = 0.0
            if k == VISIT:
                furthest = max(furthest, _AWARENESS)
            elif k == INTENT:
                furthest = max(furthest, _CONSIDERATION)
            elif k == PURCHASE:
                value = revenue(key, life.draw[i], p)
                purchases += 1
                first += value
                if purchases > 1:
                    second += value
                furthest = max(furthest, _DECISION if purchases == 1 else LOYALTY)
            elif k == REFERRAL:
                furthest = ADVOCACY
                referrals += 1
            if k == target:
                worth[0] += 1.0
                worth[1] += value
            i += 1
        if worth.size == TARGET or furthest < stage:
            continue
        worth[TARGET + stage] += float(referrals) if stage == ADVOCACY else 1.0
        worth[TARGET + _STAGES + stage] += first if furthest == _DECISION else (second if furthest == LOYALTY else 0.0)
        stage = min(furthest + 1, ADVOCACY)


@jit
def _replay(seed: np.uint64, customer: int, w: Switches, s: _Scratch, life: Life) -> Life:
    """Live a customer's life in the world `s.on`; fills `s.used` and `s.worth`."""
    s.used[:] = False
    s.worth[:] = 0.0
    come = True
    for i in range(w.brings.size):
        come = come and s.on[w.brings[i]]
    p = w.params[2 * come + (w.asks < 0 or s.on[w.asks])]
    for k in range(w.cell.shape[0]):
        somewhere = False
        for stage in range(w.cell.shape[1]):
            player = w.cell[k, stage]
            p.reaches[k, stage] = player < 0 or s.on[player]
            somewhere = somewhere or p.reaches[k, stage]
        for stage in range(w.cell.shape[1]):
            p.exposure[k, stage] = w.exposure[k, stage] if somewhere else 0.0
        if p.later.on and not p.reaches[k, LOYALTY]:
            p.exposure[k, LOYALTY] = 0.0
    arrival, parent, life = born(seed, customer, p, life)
    never, unmarked = np.empty(0), np.empty(0, np.int64)
    lives = not np.isnan(arrival)
    if lives:
        key = customer_key(seed, customer)
        n, life = whole_life(key, arrival, parent >= 0, p, life, never, unmarked)
        _mark(life, n, parent >= 0, w, p, s.used)
        _count(key, life, n, p, w.target, s.worth)
    elif not p.brings:
        return life  # whoever the ancestors meet
    ancestor = parent_of(seed, customer, p)
    while ancestor >= 0:
        arrival, parent, life = born(seed, ancestor, p, life)
        if not np.isnan(arrival):
            n, life = whole_life(customer_key(seed, ancestor), arrival, parent >= 0, p, life, never, unmarked)
            _mark(life, n, parent >= 0, w, p, s.used)
        ancestor = parent_of(seed, ancestor, p)
    return life


@jit
def _root(seed: np.uint64, customer: int, p: Params) -> int:
    """The first of a customer's chain of referrals: the same in every world."""
    while True:
        parent = parent_of(seed, customer, p)
        if parent < 0:
            return customer
        customer = parent


@jit
def _found(s: _Scratch, r: int) -> int:
    """Take the players who fired in this world and are not among the r relevant ones; returns how many are then."""
    for j in range(s.used.size):
        if s.used[j]:
            new = True
            for i in range(r):
                if s.relevant[i] == j:
                    new = False
            if new:
                s.relevant[r] = j
                r += 1
    return r


@jit
def _all_worlds(
    seed: np.uint64, customer: int, w: Switches, s: _Scratch, exact: int, life: Life
) -> tuple[int, int, Life]:
    """Fill the table of a customer's worlds by mask of relevant players.

    Returns their number (more than `exact`: they are too many, and the table is not filled) and the lives simulated.
    """
    s.on[:] = True
    life = _replay(seed, customer, w, s, life)
    worlds = 1
    r = _found(s, 0)
    if r > exact:
        return r, worlds, life
    s.known[: 1 << r] = False
    s.known[(1 << r) - 1] = True
    s.table[(1 << r) - 1] = s.worth
    mask = (1 << r) - 2
    while mask >= 0:
        if s.known[mask]:
            mask -= 1
            continue
        for i in range(r):
            s.on[s.relevant[i]] = (mask >> i) & 1
        life = _replay(seed, customer, w, s, life)
        worlds += 1
        before = r
        r = _found(s, r)
        if r > exact:
            return r, worlds, life
        for i in range(before, r):
            # Known worlds had the new player on and unused, so they are known without it, too.
            half = 1 << i
            s.known[half : 2 * half] = s.known[:half]
            s.table[half : 2 * half] = s.table[:half]
            mask |= half
        fired = 0
        for i in range(r):
            if s.used[s.relevant[i]]:
                fired |= 1 << i
        idle = mask & ~fired
        part = idle
        while True:
            s.table[fired | part] = s.worth
            s.known[fired | part] = True
            if part == 0:
                break
            part = (part - 1) & idle
        if r > before:
            mask = 1 << r
        mask -= 1
    return r, worlds, life


@jit
def _solve(s: _Scratch, r: int, w: Switches, out: Floats, dividends: Floats) -> None:
    """Add a customer's Shapley values, removals and worths to the sums; destroys the table."""
    n, K, Q = s.on.size, w.sets.shape[0], s.worth.size
    full = (1 << r) - 1
    for q in range(Q):
        out[2 * n + K, q] += s.table[0, q]
        out[2 * n + K + 1, q] += s.table[full, q]
    for i in range(r):
        for q in range(Q):
            out[n + s.relevant[i], q] += s.table[full, q] - s.table[full ^ (1 << i), q]
    for c in range(K):
        left = full
        for i in range(r):
            if w.sets[c, s.relevant[i]]:
                left ^= 1 << i
        for q in range(Q):
            out[2 * n + c, q] += s.table[full, q] - s.table[left, q]
    # Harsanyi's dividends, by differences one player at a time; a Shapley value is one's equal part of them.
    for i in range(r):
        for mask in range(full + 1):
            if (mask >> i) & 1:
                for q in range(Q):
                    s.table[mask, q] -= s.table[mask ^ (1 << i), q]
    for mask in range(full + 1):
        size = 0
        whole = 0
        for i in range(r):
            if (mask >> i) & 1:
                size += 1
                whole |= 1 << s.relevant[i]
        for i in range(r):
            if (mask >> i) & 1:
                for q in range(Q):
                    out[s.relevant[i], q] += s.table[mask, q] / size
        if dividends.size > 0:
            for q in range(Q):
                dividends[whole, q] += s.table[mask, q]


@jit
def _sample(
    seed: np.uint64, customer: int, w: Switches, s: _Scratch, samples: int, out: Floats, noise: Floats, life: Life
) -> tuple[int, Life]:  # fmt: skip
    """The same from random orders of the players: unbiased. Returns the lives simulated."""
    n, K, Q = s.on.size, w.sets.shape[0], s.worth.size
    s.on[:] = True
    life = _replay(seed, customer, w, s, life)
    worlds = 1
    everything, fired = s.worth.copy(), s.used.copy()
    out[2 * n + K + 1] += everything
    for i in range(n + K):
        matters = False
        for j in range(n):
            s.on[j] = not (j == i if i < n else w.sets[i - n, j])
            matters = matters or (fired[j] and not s.on[j])
        if matters:
            life = _replay(seed, customer, w, s, life)
            worlds += 1
            out[n + i] += everything - s.worth
    stream = stream_key(customer_key(seed, customer), _ORDER)
    total, squares = np.zeros((n, Q)), np.zeros((n, Q))
    nobody = np.zeros(Q)
    worth = np.empty(Q)
    used = np.empty(n, np.bool_)
    order = np.arange(n)
    for sample in range(samples):
        s.on[:] = True
        worth[:] = everything
        used[:] = fired
        for last in range(n - 1, -1, -1):  # players leave, the last to have joined first
            pick = int(uniform(stream, sample * n + last) * (last + 1))
            j = order[pick]
            order[pick] = order[last]
            order[last] = j
            s.on[j] = False
            if used[j]:
                life = _replay(seed, customer, w, s, life)
                worlds += 1
                for q in range(Q):
                    step = worth[q] - s.worth[q]
                    total[j, q] += step
                    squares[j, q] += step * step
                worth[:] = s.worth
                used[:] = s.used
        nobody = worth
    out[2 * n + K] += nobody
    for j in range(n):
        for q in range(Q):
            mean = total[j, q] / samples
            out[j, q] += mean
            noise[j, q] += max(0.0, squares[j, q] / samples - mean * mean) / (samples - 1)
    return worlds, life


@jit
def replay(
    seed: np.uint64, first: int, count: int, groups: int, w: Switches, players: int, quantities: int, exact: int,
    samples: int, coalitions: bool,
) -> Sums:  # fmt: skip
    """Sums over the customers first, ..., first + count - 1.

    Up to `exact` relevant players all worlds are gone through, beyond so many `samples` of orders of the players.
    """
    n, K = players, w.sets.shape[0]
    customers = np.zeros(groups, np.int64)
    by_group = np.zeros((groups, 2 * n + K + 2, quantities))
    noise = np.zeros((n, quantities))
    dividends = np.zeros((1 << n if coalitions else 0, quantities))
    s = _Scratch(
        np.ones(n, np.bool_),
        np.zeros(n, np.bool_),
        np.zeros(quantities),
        np.empty((1 << exact, quantities)),
        np.empty(1 << exact, np.bool_),
        np.empty(n, np.int64),
    )
    life = new_life()
    lives = 0
    sampled = 0
    for customer in range(first, first + count):
        group = _root(seed, customer, w.params[0]) % groups
        customers[group] += 1
        r, worlds, life = _all_worlds(seed, customer, w, s, exact, life)
        lives += worlds
        if r <= exact:
            _solve(s, r, w, by_group[group], dividends)
        else:
            worlds, life = _sample(seed, customer, w, s, samples, by_group[group], noise, life)
            lives += worlds
            sampled += 1
    return Sums(customers, by_group, noise, dividends, lives, sampled)
