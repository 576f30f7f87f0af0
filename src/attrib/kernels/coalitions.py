"""Tables of coalitions: sums over subsets, Shapley values and interactions (semantics §6).

n = players, S = a coalition, s = its size. A table float64 [2^n] holds one number for every coalition, bit i of the
row = player i. Tables are walked in blocks that fit the cache: a block is all subsets L of the low players together
with one set H of high players, its rows are H · size + L.

References: Shapley (1953), A value for n-person games. Grabisch & Roubens (1999), An axiomatic approach to the concept
of interaction among players. Yates (1937), The design and analysis of factorial experiments, for sums over subsets.
"""

from __future__ import annotations

from math import comb

import numpy as np
import numpy.typing as npt

from attrib.kernels._jit import inline, jit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ZETA_BITS = 12  # players of a block in subset sums: 32 KB
FOLD_BITS = 10  # players of a block in sums by player: its numbers, their weights and their sum by size of H

# --- sums over subsets ---


@inline
def _three(x0, x1, x2, x3, x4, x5, x6, x7):
    """Subset sums over three players."""
    x1 += x0
    x3 += x2
    x5 += x4
    x7 += x6
    x2 += x0
    x3 += x1
    x6 += x4
    x7 += x5
    return x0, x1, x2, x3, x4 + x0, x5 + x1, x6 + x2, x7 + x3


@jit
def _zeta_blocks(table, size):
    """Subset sums over the low players."""
    for at in range(0, table.shape[0], size):
        block = table[at : at + size]
        half = 1
        if size >= 8:
            for s in range(0, size, 8):
                (
                    block[s], block[s + 1], block[s + 2], block[s + 3],
                    block[s + 4], block[s + 5], block[s + 6], block[s + 7],
                ) = _three(
                    block[s], block[s + 1], block[s + 2], block[s + 3],
                    block[s + 4], block[s + 5], block[s + 6], block[s + 7],
                )  # fmt: skip
            half = 8
        while half < size:
            for low in range(0, size, 2 * half):
                without = block[low : low + half]
                having = block[low + half : low + 2 * half]
                for s in range(half):
                    having[s] += without[s]
            half *= 2


@jit
def _zeta_three(table, size):
    """Subset sums over the three players from bit log2(size) on."""
    for at in range(0, table.shape[0], 8 * size):
        t0 = table[at : at + size]
        t1 = table[at + size : at + 2 * size]
        t2 = table[at + 2 * size : at + 3 * size]
        t3 = table[at + 3 * size : at + 4 * size]
        t4 = table[at + 4 * size : at + 5 * size]
        t5 = table[at + 5 * size : at + 6 * size]
        t6 = table[at + 6 * size : at + 7 * size]
        t7 = table[at + 7 * size : at + 8 * size]
        for c in range(size):
            t0[c], t1[c], t2[c], t3[c], t4[c], t5[c], t6[c], t7[c] = _three(
                t0[c], t1[c], t2[c], t3[c], t4[c], t5[c], t6[c], t7[c]
            )


def zeta(table: Floats) -> None:
    """Subset sums in place: row S becomes the sum of the rows T ⊆ S. Table float64 [2^n].

    Three players a walk, so that a table larger than the cache is read (n − 12) / 3 times rather than n.
    """
    n = table.shape[0].bit_length() - 1
    low = n if n < ZETA_BITS else ZETA_BITS + (n - ZETA_BITS) % 3
    size = 1 << low
    _zeta_blocks(table, size)
    while size < table.shape[0]:
        _zeta_three(table, size)
        size *= 8


# --- Shapley values and interactions from a table of worths ---


@jit
def _total(numbers, scratch):
    """Sum by halves (pairwise, and as vectors); the length is a power of two."""
    half = numbers.shape[0] // 2
    if half == 0:
        return numbers[0]
    for s in range(half):
        scratch[s] = numbers[s] + numbers[s + half]
    while half > 1:
        half //= 2
        for s in range(half):
            scratch[s] += scratch[s + half]
    return scratch[0]


@jit
def _player_sums(table, scratch, sums):
    """Sums over S ∋ i for every player i; what is left in table[0] is the sum of all. Destroys the table."""
    half = table.shape[0] // 2
    player = sums.shape[0] - 1
    while half > 0:
        sums[player] = _total(table[half : 2 * half], scratch)
        for s in range(half):
            table[s] += table[s + half]
        half //= 2
        player -= 1


@jit
def _pair_sums(table, scratch, sums):
    """Sums over S ∋ i, j for every pair of players. Destroys the table."""
    half = table.shape[0] // 2
    player = sums.shape[0] - 1
    while half > 0:
        having = table[half : 2 * half].copy()
        for s in range(half):
            table[s] += table[s + half]
        _player_sums(having, scratch, sums[player, :player])
        for other in range(player):
            sums[other, player] = sums[player, other]
        half //= 2
        player -= 1


@jit
def _fold(v, weights, levels, blocks):
    """One walk over the worths v float64 [2^n] with weights float64 [h, size] by |H| and L.

    Adds to levels float64 [h, size] the worths by |H| and L. Blocks float64 [2^n / size, k + 1] receives the weighted
    sums of each block over S ∋ i for the low players i < k, and over all S.
    """
    size = weights.shape[1]
    players = blocks.shape[1] - 1
    weighted = np.empty(size)
    scratch = np.empty(size)
    for high in range(blocks.shape[0]):
        h = 0
        rest = high
        while rest:
            h += rest & 1
            rest >>= 1
        block = v[high * size : (high + 1) * size]
        weight = weights[h]
        level = levels[h]
        for s in range(size):
            level[s] += block[s]
            weighted[s] = block[s] * weight[s]
        if players == 0:
            blocks[high, 0] = _total(weighted, scratch)
        else:
            _player_sums(weighted, scratch, blocks[high, :players])
            blocks[high, players] = weighted[0]


def _by_size(n: int) -> tuple[int, Ints]:
    """Players of a block, and |S| by |H| and L."""
    low = min(n, FOLD_BITS)
    return low, np.arange(n - low + 1)[:, None] + np.bitwise_count(np.arange(1 << low)).astype(np.int64)


def _weighted_sums(v: Floats, having: Floats, every: Floats) -> Floats:
    """Sum of having[s] v(S) over S ∋ i plus that of every[s] v(S) over all S, for every player."""
    n = v.shape[0].bit_length() - 1
    low, sizes = _by_size(n)
    levels = np.zeros(sizes.shape)
    blocks = np.empty((v.shape[0] >> low, 1))
    _fold(v, having[sizes], levels, blocks)
    scratch = np.empty(max(1 << low, v.shape[0] >> low))
    sums = np.empty(n)
    _player_sums((having[sizes] * levels).sum(axis=0), scratch, sums[:low])
    _player_sums(blocks[:, 0].copy(), scratch, sums[low:])
    sums += (every[sizes] * levels).sum()
    return sums


def shapley_of(v: Floats) -> Floats:
    """Shapley values float64 [n] of the game with worths v float64 [2^n].

    Player i gets Σ a(s) v(S) over S ∋ i less Σ b(s) v(S) over S ∌ i, a(s) = (s−1)!(n−s)!/n!, b(s) = s!(n−s−1)!/n!. The
    latter is the sum over all S less that over S ∋ i, so that sums over S ∋ i are all that is needed: of one walk.
    """
    n = v.shape[0].bit_length() - 1
    joins = np.array([0.0] + [1 / (n * comb(n - 1, s - 1)) for s in range(1, n + 1)])
    misses = np.array([1 / (n * comb(n - 1, s)) for s in range(n)] + [0.0])
    return _weighted_sums(v, joins + misses, -misses)


def interactions_of(v: Floats) -> Floats:
    """Shapley interaction indices float64 [n, n] (diagonal 0) of the game with worths v float64 [2^n].

    I_ij = Σ w(s) [v(S ∪ ij) − v(S ∪ i) − v(S ∪ j) + v(S)] over S without i and j, w(s) = (n−s−2)! s!/(n−1)!. Sums over
    S without a player are those over all S less those with it, as for the values.
    """
    n = v.shape[0].bit_length() - 1
    pairs = np.zeros((n, n))
    if n < 2:
        return pairs
    w = np.zeros(n + 3)  # w(s) at s + 2
    w[2 : n + 1] = [1 / ((n - 1) * comb(n - 2, s)) for s in range(n - 1)]
    neither, one, both = w[2:], w[1:-1], w[:-2]
    low, sizes = _by_size(n)
    weights = (neither + 2 * one + both)[sizes]
    levels = np.zeros(sizes.shape)
    blocks = np.empty((v.shape[0] >> low, low + 1))
    _fold(v, weights, levels, blocks)
    scratch = np.empty(max(1 << low, v.shape[0] >> low))
    _pair_sums((weights * levels).sum(axis=0), scratch, pairs[:low, :low])
    _pair_sums(blocks[:, low].copy(), scratch, pairs[low:, low:])
    for player in range(low):
        _player_sums(blocks[:, player].copy(), scratch, pairs[player, low:])
    pairs[low:, :low] = pairs[:low, low:].T
    singles = _weighted_sums(v, -neither - one, neither / 2)
    pairs += singles[:, None] + singles
    np.fill_diagonal(pairs, 0.0)
    return pairs


def unanimity_interactions(offsets: Ints, players: Ints, conversions: Floats, n: int) -> Floats:
    """Shapley interaction indices float64 [n, n] of v(S) = conversions of the sets within S: never negative.

    A set T of t players adds conversions / (t − 1) to each of its pairs (Grabisch & Roubens 1999). offsets int64
    [E + 1] into players (distinct within a set); conversions float64 [E]. Any number of players.
    """
    pairs = np.zeros((n, n))
    _unanimity(offsets, players, conversions, pairs)
    return pairs


@jit
def _unanimity(offsets, players, conversions, pairs):
    for e in range(conversions.shape[0]):
        low, high = offsets[e], offsets[e + 1]
        if high - low < 2:
            continue
        each = conversions[e] / (high - low - 1)
        for i in range(low, high):
            for j in range(low, high):
                if i != j:
                    pairs[players[i], players[j]] += each
