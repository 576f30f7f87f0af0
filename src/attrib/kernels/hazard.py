"""Additive hazards: expected credit of touches and what is at risk, by player (semantics §6a).

Buckets u; converting journeys j with touches i; n players of one game. Sums go bucket by bucket and row by row, and
buckets are dealt to blocks of fixed size, so that no number depends on threads.
"""

from __future__ import annotations

import numpy as np

from attrib.kernels._jit import jit

CREDIT, AGES, RISK, AGED, VALUE = range(5)  # columns of the sums by player
TINY = 1e-280  # a hazard below it has lost digits: its touches are compared on the scale of logarithms


@jit
def _share(low, high, players, ages, local, log_rate, omega, shortest, shares):
    """Shares of the touches of a journey whose hazard is too small for a float; returns its logarithm."""
    largest = -np.inf
    for i in range(low, high):
        k = local[players[i]]
        shares[i - low] = log_rate[k] - omega[k] * max(ages[i], shortest)
        largest = max(largest, shares[i - low])
    if largest == -np.inf:  # no touch acts at all: they share alike
        shares[: high - low] = 1.0 / (high - low)
        return -np.inf
    total = 0.0
    for i in range(high - low):
        shares[i] = np.exp(shares[i] - largest)
        total += shares[i]
    for i in range(high - low):
        shares[i] /= total
    return largest + np.log(total)


@jit
def expect(
    first,
    last,
    weights,
    journeys,
    offsets,
    players,
    ages,
    conversions,
    values,
    risks,
    risk_players,
    risk_ages,
    risk_counts,
    local,
    beta,
    omega,
    base,
    shortest,
    sums,
    rest,
):
    """Add up what one step of the algorithm needs, over the buckets ``first`` to ``last`` - 1.

    weights float64 [U]; journeys int64 [U, 2]: which converting journeys a bucket has; offsets int64 [J + 1] of their
    touches; players int32, ages float64 [M]; conversions, values float64 [J]; risks int64 [U, 2]: rows of touches
    that did not lead to a conversion, with risk_players, risk_ages (how long they were seen), risk_counts; local int32:
    place of a player among the n of the game; beta, omega float64 [n]; base: constant hazard; shortest: the least age.

    sums float64 [n, 5]: credit, credit × age, Σ (1 − exp(−ω age)), Σ age exp(−ω age), credited value; rest float64
    [4]: credit and value of the constant hazard, Σ conversions × log hazard, conversions.
    """  # fmt: skip
    rate = beta * omega
    log_rate = np.log(rate)
    longest = 1
    for u in range(first, last):
        for j in range(journeys[u, 0], journeys[u, 1]):
            longest = max(longest, offsets[j + 1] - offsets[j])
    hazards = np.empty(longest)
    for u in range(first, last):
        w = weights[u]
        if w == 0.0:
            continue
        for j in range(journeys[u, 0], journeys[u, 1]):
            low, high = offsets[j], offsets[j + 1]
            total = base
            for i in range(low, high):
                k = local[players[i]]
                age = max(ages[i], shortest)
                lost = -np.expm1(-omega[k] * age)
                kept = 1.0 - lost
                hazards[i - low] = rate[k] * kept
                total += hazards[i - low]
                sums[k, RISK] += w * lost
                sums[k, AGED] += w * age * kept
            count, value = w * conversions[j], w * values[j]
            if total > TINY:
                rest[0] += count * base / total
                rest[1] += value * base / total
                rest[2] += count * np.log(total)
                for i in range(high - low):
                    hazards[i] /= total
            else:
                rest[2] += count * _share(low, high, players, ages, local, log_rate, omega, shortest, hazards)
            rest[3] += count
            for i in range(low, high):
                k = local[players[i]]
                share = hazards[i - low]
                sums[k, CREDIT] += count * share
                sums[k, AGES] += count * share * max(ages[i], shortest)
                sums[k, VALUE] += value * share
        for i in range(risks[u, 0], risks[u, 1]):
            k = local[risk_players[i]]
            age = max(risk_ages[i], shortest)
            lost = -np.expm1(-omega[k] * age)
            sums[k, RISK] += w * risk_counts[i] * lost
            sums[k, AGED] += w * risk_counts[i] * age * (1.0 - lost)
