"""The rate game and the Markov game: worths of all coalitions, or what players add along permutations (semantics §6).

n = players, S = a coalition, E = distinct sets of players, P = permutations, p = payoffs (conversions, value). A table
float64 [2^n] holds one number for every coalition, bit i of the row = player i. ``threads`` changes no number: work is
cut into ranges that do not depend on it.

Reference: Castro, Gómez & Tejada (2009), Polynomial calculation of the Shapley value based on sampling.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import numpy.typing as npt

from attrib.kernels._jit import inline, jit
from attrib.kernels.coalitions import zeta

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CHAIN_BITS = 8  # players whose coalitions are eliminated side by side
LANES = 16  # permutations side by side
# The least share of journeys that must leave a group of players: 1 − q is not known much better than this, and a group
# that none leave never converts.
LEAST_EXIT = 1e-14


def _spread(task: Callable[[int, int], None], total: int, grain: int, threads: int) -> None:
    """Run task(first, last) over ranges of 0 … total."""
    firsts = range(0, total, grain)
    lasts = [min(first + grain, total) for first in firsts]
    if threads == 1 or len(firsts) < 2:
        for first, last in zip(firsts, lasts, strict=True):
            task(first, last)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(task, firsts, lasts))


# --- the rate game ---


@jit
def _divide(top, bottom):
    for s in range(top.shape[0]):
        top[s] = top[s] / bottom[s] if bottom[s] != 0.0 else 0.0


def rate_worths(masks: Ints, conversions: Floats, journeys: Floats, value: Floats, n: int) -> tuple[Floats, Floats]:
    """Conversions and value per journey among the journeys whose players lie within S, 0 where there are none.

    masks int64 [E]: sets of players (repeats are added up; a set without players lies within every S); conversions,
    journeys, value float64 [E]: theirs. Returns two tables float64 [2^n]; holds three while it works.
    """
    rows = 1 << n
    if masks.size and not 0 <= masks.min() <= masks.max() < rows:
        msg = f"sets of players outside the {n} players"
        raise ValueError(msg)
    below: Floats = np.bincount(masks, journeys, rows).astype(np.float64, copy=False)
    zeta(below)
    worths = []
    for payoff in (conversions, value):
        table: Floats = np.bincount(masks, payoff, rows).astype(np.float64, copy=False)
        zeta(table)
        _divide(table, below)
        worths.append(table)
    return worths[0], worths[1]


# --- the Markov game ---
#
# v(S) = s_S (I − Q_SS)^-1 r_S is what elimination of the players in S leaves in the corner of [[I − Q, r], [−s, 0]]
# when rows and columns of the others are deleted. I − Q is diagonally dominant by rows, so that no pivots are sought.


@inline
def _inverse(pivot):
    return 1.0 / pivot if pivot > LEAST_EXIT else 0.0


def _chain(start: Floats, steps: Floats, rewards: Floats, order: Ints) -> Floats:
    """The matrix [[I − Q, r], [−s, 0]] with the players in order."""
    n, p = rewards.shape
    chain = np.zeros((n + 1, n + p))
    chain[:n, :n] = np.eye(n) - steps[np.ix_(order, order)]
    chain[:n, n:] = rewards[order]
    chain[n, :n] = -start[order]
    return chain


@jit
def _chain_worths(chain, low, worths, first, last):
    """Worths of the blocks first … last; ``chain`` has the highest player first.

    High players are decided one by one: stack[d] is what d of them leave, and from one H to the next only those from
    the highest changed bit down are decided anew. Low players are decided for all their subsets at once, lowest first:
    the matrices of the subsets lie side by side, and a further player keeps them (deleted) and appends as many
    (eliminated).
    """
    p = worths.shape[0]
    n = chain.shape[0] - 1
    high_players = n - low
    size = 1 << low
    stack = np.empty((high_players + 1, n + 1, n + p))
    stack[0] = chain
    lanes = np.empty((low + 1, low + p, size))
    factor = np.empty(size)
    for high in range(first, last):
        known = 0
        if high > first:
            bit = 0
            while not (high >> bit) & 1:
                bit += 1
            known = high_players - 1 - bit
        for d in range(known, high_players):
            before = stack[d]
            after = stack[d + 1]
            left = n - d
            allowed = (high >> (high_players - 1 - d)) & 1
            scale = _inverse(before[0, 0]) if allowed else 0.0
            for i in range(left):
                share = before[i + 1, 0] * scale
                for j in range(left + p - 1):
                    after[i, j] = before[i + 1, j + 1] - share * before[0, j + 1]
        rest = stack[high_players]
        for i in range(low + 1):
            at = low - 1 - i if i < low else low
            for j in range(low + p):
                lanes[i, j, 0] = rest[at, low - 1 - j if j < low else j]
        for player in range(low):
            some = 1 << player
            for i in range(player + 1, low + 1):
                for s in range(some):
                    factor[s] = lanes[i, player, s] * _inverse(lanes[player, player, s])
                for j in range(player + 1, low + p):
                    deleted = lanes[i, j, :some]
                    eliminated = lanes[i, j, some : 2 * some]
                    pivots = lanes[player, j, :some]
                    for s in range(some):
                        eliminated[s] = deleted[s] - factor[s] * pivots[s]
        for payoff in range(p):
            for s in range(size):
                worths[payoff, high * size + s] = lanes[low, low + payoff, s]


def chain_worths(start: Floats, steps: Floats, rewards: Floats, threads: int = 1) -> Floats:
    """Expected rewards of the absorbing chain when only the players in S are allowed: float64 [p, 2^n].

    start float64 [n]: probabilities of the first player; steps float64 [n, n]: those of the next (with or without
    self-steps; a player nobody met has zeros); rewards float64 [n, p]: what is expected at the end, by last player. A
    step to a player that is not allowed ends the journey without reward.
    """
    n, p = rewards.shape
    low = min(n, CHAIN_BITS)
    worths = np.empty((p, 1 << n))
    chain = _chain(start, steps, rewards, np.arange(n)[::-1])
    _spread(partial(_chain_worths, chain, low, worths), 1 << (n - low), 1 << 10, threads)
    return worths


# --- sampled permutations ---


@jit
def _rate_marginals(permutations, offsets, players, payoffs, marginals, first, last):
    """Marginals of the permutations first … last, in the rate game; payoffs float64 [E, 3] with the journeys last."""
    n = permutations.shape[1]
    rank = np.zeros((n, LANES), np.int32)
    top = np.empty(LANES, np.int32)
    sums = np.empty((n + 1, LANES, 3))
    for at in range(first, last, LANES):
        some = min(LANES, last - at)
        for lane in range(some):
            for k in range(n):
                rank[permutations[at + lane, k], lane] = k + 1
        # a set pays from the rank of its last player on
        sums[:] = 0.0
        for e in range(payoffs.shape[0]):
            for lane in range(LANES):
                top[lane] = 0
            for i in range(offsets[e], offsets[e + 1]):
                ranks = rank[players[i]]
                for lane in range(LANES):
                    top[lane] = max(top[lane], ranks[lane])
            conversions, value, journeys = payoffs[e, 0], payoffs[e, 1], payoffs[e, 2]
            for lane in range(LANES):
                sums[top[lane], lane, 0] += conversions
                sums[top[lane], lane, 1] += value
                sums[top[lane], lane, 2] += journeys
        for lane in range(some):
            for payoff in range(2):
                paid = 0.0
                journeys = 0.0
                before = 0.0
                for k in range(n + 1):
                    paid += sums[k, lane, payoff]
                    journeys += sums[k, lane, 2]
                    worth = paid / journeys if journeys != 0.0 else 0.0
                    if k > 0:
                        marginals[at + lane, permutations[at + lane, k - 1], payoff] = worth - before
                    before = worth


def sample_rate(
    permutations: Ints, offsets: Ints, players: Ints, conversions: Floats, journeys: Floats, value: Floats,
    threads: int = 1,
) -> Floats:  # fmt: skip
    """What each player adds to the rate game of ``rate_worths`` when it joins those before it: float64 [P, n, 2].

    permutations int64 [P, n]; offsets int64 [E + 1] into players: the sets; conversions, journeys, value float64 [E].
    The mean over all permutations is the Shapley value of conversions and value per journey. Any number of players.
    """
    payoffs = np.stack([conversions, value, journeys], axis=1)
    marginals = np.empty((*permutations.shape, 2))
    task = partial(_rate_marginals, permutations, offsets, players, payoffs, marginals)
    _spread(task, permutations.shape[0], 4 * LANES, threads)
    return marginals


@jit
def _chain_marginals(permutations, chain, marginals, first, last):
    n = permutations.shape[1]
    p = marginals.shape[2]
    a = np.empty(chain.shape)
    for at in range(first, last):
        order = permutations[at]
        for i in range(n + 1):
            row = chain[order[i] if i < n else n]
            for j in range(n):
                a[i, j] = row[order[j]]
            for payoff in range(p):
                a[i, n + payoff] = row[n + payoff]
        # the corner grows by what each player adds
        for k in range(n):
            scale = _inverse(a[k, k])
            pivots = a[k, k + 1 :]
            for payoff in range(p):
                marginals[at, order[k], payoff] = -a[n, k] * scale * a[k, n + payoff]
            for i in range(k + 1, n + 1):
                share = a[i, k] * scale
                if share != 0.0:
                    below = a[i, k + 1 :]
                    for j in range(n + p - k - 1):
                        below[j] -= share * pivots[j]


def sample_chain(permutations: Ints, start: Floats, steps: Floats, rewards: Floats, threads: int = 1) -> Floats:
    """What each player adds to the Markov game of ``chain_worths`` when it joins those before it: float64 [P, n, p].

    One elimination in the order of the permutation passes all its coalitions. Any number of players.
    """
    n, p = rewards.shape
    chain = _chain(start, steps, rewards, np.arange(n))
    marginals = np.empty((*permutations.shape, p))
    _spread(partial(_chain_marginals, permutations, chain, marginals), permutations.shape[0], 16, threads)
    return marginals
