"""Coalitions against their definitions: every subset, every permutation, exact fractions."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from attrib.kernels import coalitions, games

SEEDS = range(4)


# --- twins: the definitions, in fractions ---


def subsets(players):
    players = list(players)
    return (frozenset(chosen) for size in range(len(players) + 1) for chosen in itertools.combinations(players, size))


def members(row: int) -> frozenset[int]:
    return frozenset(i for i in range(row.bit_length()) if row >> i & 1)


def twin_shapley(v, n):
    """Mean over all orders of what a player adds to those before it, by size of those."""
    phi = [Fraction(0)] * n
    for i in range(n):
        for s in subsets(set(range(n)) - {i}):
            weight = Fraction(math.factorial(len(s)) * math.factorial(n - len(s) - 1), math.factorial(n))
            phi[i] += weight * (v[s | {i}] - v[s])
    return phi


def twin_interactions(v, n):
    index = [[Fraction(0)] * n for _ in range(n)]
    for i, j in itertools.permutations(range(n), 2):
        for s in subsets(set(range(n)) - {i, j}):
            weight = Fraction(math.factorial(n - len(s) - 2) * math.factorial(len(s)), math.factorial(n - 1))
            index[i][j] += weight * (v[s | {i, j}] - v[s | {i}] - v[s | {j}] + v[s])
    return index


def twin_rate(sets, payoffs, journeys, n):
    v = {}
    for s in subsets(range(n)):
        within = [e for e, players in enumerate(sets) if set(players) <= s]
        below = sum(int(journeys[e]) for e in within)
        v[s] = Fraction(sum(int(payoffs[e]) for e in within), below) if below else Fraction(0)
    return v


def twin_chain(start, steps, rewards, n):
    """What is expected at the end: h = r + Q h among the players allowed, by Gauss and Jordan."""
    v = {}
    for s in subsets(range(n)):
        players = sorted(s)
        rows = [[(i == j) - steps[i][j] for j in players] + [rewards[i]] for i in players]
        for k in range(len(rows)):
            found = next(r for r in range(k, len(rows)) if rows[r][k] != 0)
            rows[k], rows[found] = rows[found], rows[k]
            rows[k] = [x / rows[k][k] for x in rows[k]]
            for r in range(len(rows)):
                if r != k:
                    rows[r] = [x - rows[r][k] * y for x, y in zip(rows[r], rows[k], strict=True)]
        v[s] = sum((start[i] * row[-1] for i, row in zip(players, rows, strict=True)), Fraction(0))
    return v


def to_table(v, n):
    return np.array([float(v[members(row)]) for row in range(1 << n)])


# --- examples ---


def some_sets(seed, n, many=12):
    """Sets with repeats and with nobody; journeys without conversion, none at all, refunds."""
    rng = np.random.default_rng(seed)
    sets = [sorted(rng.choice(n, rng.integers(0, n + 1), replace=False).tolist()) for _ in range(many)]
    conversions = rng.integers(0, 4, many)
    journeys = conversions + rng.integers(0, 4, many)
    value = np.where(conversions > 0, rng.integers(-50, 100, many), 0)
    return sets, conversions, journeys, value


def packed(sets):
    offsets = np.cumsum([0, *map(len, sets)])
    return offsets.astype(np.int64), np.array([i for s in sets for i in s], np.int64)


def masks_of(sets):
    return np.array([sum(1 << i for i in s) for s in sets], np.int64)


def some_chain(seed, n, self_steps=False):
    """Counts of a chain as fractions; the last of four or more players was never met."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 5, (n, n)) * rng.integers(0, 2, (n, n))
    if not self_steps:
        np.fill_diagonal(counts, 0)
    converts = rng.integers(0, 4, n)
    ends = rng.integers(1, 4, n)
    value = rng.integers(-20, 40, n) * (converts > 0)
    first = rng.integers(0, 4, n)
    first[0] += 1
    if n > 3:
        counts[n - 1] = counts[:, n - 1] = converts[n - 1] = ends[n - 1] = value[n - 1] = first[n - 1] = 0
    out = [int(counts[i].sum() + converts[i] + ends[i]) or 1 for i in range(n)]
    steps = [[Fraction(int(counts[i, j]), out[i]) for j in range(n)] for i in range(n)]
    rewards = [[Fraction(int(x[i]), out[i]) for x in (converts, value)] for i in range(n)]
    return [Fraction(int(x), int(first.sum())) for x in first], steps, rewards


def floats(*exact):
    return [np.array(x, dtype=float) for x in exact]


def random_chain(seed, n):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 9, (n, n)).astype(float)
    pays = rng.integers(0, 9, n).astype(float)
    out = counts.sum(axis=1) + pays + rng.integers(1, 9, n)
    return rng.dirichlet(np.ones(n)), counts / out[:, None], np.stack([pays, 7 * pays], axis=1) / out[:, None]


# --- tables ---


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 12, 13, 14, 15, 16])
def test_zeta_sums_over_subsets(n):
    table = np.random.default_rng(n).integers(-9, 9, 1 << n).astype(float)
    expected = table.copy()
    for i in range(n):
        halves = expected.reshape(-1, 2, 1 << i)
        halves[:, 1] += halves[:, 0]
    some = members((1 << n) - 1) - {0}
    assert expected[-1] == table.sum()
    if 0 < n < 6:
        row = sum(1 << i for i in some)
        assert expected[row] == sum(table[t] for t in range(1 << n) if members(t) <= some)
    coalitions.zeta(table)
    assert np.array_equal(table, expected)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 6])
def test_shapley_and_interactions_follow_the_definition(n, seed):
    numbers = np.random.default_rng(seed).integers(-1000, 1000, 1 << n)
    v = {members(row): Fraction(int(x)) for row, x in enumerate(numbers)}
    table = numbers.astype(float)
    np.testing.assert_allclose(coalitions.shapley_of(table), floats(twin_shapley(v, n))[0], rtol=0, atol=1e-11)
    index = coalitions.interactions_of(table)
    np.testing.assert_allclose(index, floats(twin_interactions(v, n))[0], rtol=0, atol=1e-11)
    assert np.array_equal(table, numbers)


def test_no_players():
    assert coalitions.shapley_of(np.ones(1)).shape == (0,)
    assert coalitions.interactions_of(np.ones(1)).shape == (0, 0)


@pytest.mark.parametrize("n", [10, 11, 13])
def test_values_and_interactions_over_several_blocks(n):
    """A weighted sum over half the table for each player, over a quarter for each pair: no folding, other weights."""
    v = np.random.default_rng(n).random(1 << n)
    rows = np.arange(1 << n)
    size = np.bitwise_count(rows).astype(int)
    phi, index = np.empty(n), np.zeros((n, n))
    of_player = np.array([1 / (n * math.comb(n - 1, s)) for s in range(n)])
    of_pair = np.array([1 / ((n - 1) * math.comb(n - 2, s)) for s in range(n - 1)])
    for i in range(n):
        without = rows[rows >> i & 1 == 0]
        phi[i] = math.fsum(of_player[size[without]] * (v[without | 1 << i] - v[without]))
        for j in range(i):
            s = without[without >> j & 1 == 0]
            change = v[s | 1 << i | 1 << j] - v[s | 1 << i] - v[s | 1 << j] + v[s]
            index[i, j] = index[j, i] = math.fsum(of_pair[size[s]] * change)
    np.testing.assert_allclose(coalitions.shapley_of(v), phi, rtol=0, atol=1e-13)
    np.testing.assert_allclose(coalitions.interactions_of(v), index, rtol=0, atol=1e-12)
    assert coalitions.shapley_of(v).sum() == pytest.approx(v[-1] - v[0], abs=1e-12)


def test_precise_where_the_table_is_large():
    """Player i adds (i + 1) / 7 to whomever it joins, on top of a large constant."""
    n = 20
    added = np.arange(1, n + 1) / 7
    v = np.full(1 << n, 1000.0)
    for i in range(n):
        v.reshape(-1, 2, 1 << i)[:, 1] += added[i]
    np.testing.assert_allclose(coalitions.shapley_of(v), added, rtol=0, atol=1e-12 * v.max())
    np.testing.assert_allclose(coalitions.interactions_of(v), 0.0, rtol=0, atol=1e-12 * v.max())


@pytest.mark.parametrize("seed", SEEDS)
def test_interactions_of_the_conversions_game(seed):
    n = 5
    sets, conversions, _, _ = some_sets(seed, n)
    v = {
        s: Fraction(sum(int(c) for t, c in zip(sets, conversions, strict=True) if set(t) <= s))
        for s in subsets(range(n))
    }
    index = coalitions.unanimity_interactions(*packed(sets), conversions.astype(float), n)
    np.testing.assert_allclose(index, floats(twin_interactions(v, n))[0], rtol=0, atol=1e-13)
    np.testing.assert_allclose(index, coalitions.interactions_of(to_table(v, n)), rtol=0, atol=1e-13)


# --- worths of all coalitions ---


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n", [1, 2, 5])
def test_rate_worths(n, seed):
    sets, conversions, journeys, value = some_sets(seed, n)
    found = games.rate_worths(masks_of(sets), *floats(conversions, journeys, value), n)
    for table, payoff in zip(found, (conversions, value), strict=True):
        np.testing.assert_allclose(table, to_table(twin_rate(sets, payoff, journeys, n), n), rtol=1e-14, atol=0)


def test_rate_worths_without_journeys():
    nothing = np.zeros(0)
    for table in games.rate_worths(np.zeros(0, np.int64), nothing, nothing, nothing, 3):
        assert table.tolist() == [0.0] * 8


@pytest.mark.parametrize("mask", [-1, 8])
def test_rate_worths_refuse_other_players(mask):
    one = np.ones(1)
    with pytest.raises(ValueError, match="outside the 3 players"):
        games.rate_worths(np.array([mask]), one, one, one, 3)


@pytest.mark.parametrize("self_steps", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_chain_worths(n, seed, self_steps):
    start, steps, rewards = some_chain(seed, n, self_steps)
    found = games.chain_worths(*floats(start, steps, rewards))
    assert found.shape == (2, 1 << n)
    for payoff in range(2):
        v = twin_chain(start, steps, [r[payoff] for r in rewards], n)
        np.testing.assert_allclose(found[payoff], to_table(v, n), rtol=0, atol=1e-13)


def test_chain_worths_over_several_blocks_and_threads():
    n = 12
    start, steps, rewards = random_chain(0, n)
    found = games.chain_worths(start, steps, rewards)
    for row in [*range(0, 1 << n, 37), (1 << n) - 1]:
        s = sorted(members(row))
        expected = start[s] @ np.linalg.solve(np.eye(len(s)) - steps[np.ix_(s, s)], rewards[s])
        np.testing.assert_allclose(found[:, row], expected, rtol=1e-12, atol=0)
    many = random_chain(1, 19)
    assert np.array_equal(games.chain_worths(*many), games.chain_worths(*many, threads=2))


@pytest.mark.parametrize("third", [0.1, 1 / 3])
def test_players_that_none_leave_are_worth_nothing(third):
    """1, 2 and 3 pass journeys round for ever, but for rounding; 0 converts half of its own."""
    start = np.array([0.25, 0.25, 0.25, 0.25])
    steps = np.array([
        [0.0, 0.5, 0.0, 0.0],
        [0.0, 0.0, third, 1 - third],
        [0.0, 1 - third, 0.0, third],
        [0.0, third, 1 - third, 0.0],
    ])  # fmt: skip
    rewards = np.array([[0.5], [0.0], [0.0], [0.0]])
    expected = [0.125 if row & 1 else 0.0 for row in range(16)]
    assert games.chain_worths(start, steps, rewards)[0].tolist() == expected
    marginals = games.sample_chain(np.array(list(itertools.permutations(range(4)))), start, steps, rewards)
    assert (marginals == np.array([0.125, 0.0, 0.0, 0.0])[:, None]).all()
    for_ever = games.chain_worths(np.ones(1), np.ones((1, 1)), np.zeros((1, 1)))
    assert for_ever.tolist() == [[0.0, 0.0]]


# --- permutations ---


def twin_marginals(v, permutations):
    """What each player adds, float64 [P, n]."""
    found = np.empty(permutations.shape)
    for p, order in enumerate(permutations.tolist()):
        for k, player in enumerate(order):
            found[p, player] = v[frozenset(order[: k + 1])] - v[frozenset(order[:k])]
    return found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n", [1, 2, 4])
def test_all_permutations_give_the_exact_values(n, seed):
    permutations = np.array(list(itertools.permutations(range(n))))
    sets, conversions, journeys, value = some_sets(seed, n)
    rate = games.sample_rate(permutations, *packed(sets), *floats(conversions, journeys, value))
    start, steps, rewards = some_chain(seed, n, self_steps=True)
    chain = games.sample_chain(permutations, *floats(start, steps, rewards))
    for payoff in range(2):
        v = twin_rate(sets, (conversions, value)[payoff], journeys, n)
        np.testing.assert_allclose(rate[..., payoff], twin_marginals(v, permutations), rtol=0, atol=1e-13)
        np.testing.assert_allclose(rate[..., payoff].mean(axis=0), floats(twin_shapley(v, n))[0], rtol=0, atol=1e-13)
        v = twin_chain(start, steps, [r[payoff] for r in rewards], n)
        np.testing.assert_allclose(chain[..., payoff], twin_marginals(v, permutations), rtol=0, atol=1e-13)
        np.testing.assert_allclose(chain[..., payoff].mean(axis=0), floats(twin_shapley(v, n))[0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_samples_do_not_depend_on_threads_or_their_company(dtype):
    n = 70
    rng = np.random.default_rng(5)
    permutations = np.array([rng.permutation(n) for _ in range(150)], dtype)
    sets, conversions, journeys, value = some_sets(5, n, many=300)
    counted = (*packed([s[:7] for s in sets]), *floats(conversions, journeys, value))
    found = games.sample_rate(permutations, *counted)
    assert np.array_equal(found, games.sample_rate(permutations, *counted, threads=2))
    assert np.array_equal(found[23:40], games.sample_rate(permutations[23:40], *counted))
    chain = random_chain(5, n)
    found = games.sample_chain(permutations, *chain)
    assert np.array_equal(found, games.sample_chain(permutations, *chain, threads=2))
    assert np.array_equal(found[23:40], games.sample_chain(permutations[23:40], *chain))
    start, steps, rewards = chain
    worth = start @ np.linalg.solve(np.eye(n) - steps, rewards)
    np.testing.assert_allclose(found.sum(axis=1), np.broadcast_to(worth, (150, 2)), rtol=1e-12)


def test_no_permutations():
    assert games.sample_chain(np.zeros((0, 3), np.int64), *random_chain(0, 3)).shape == (0, 3, 2)
