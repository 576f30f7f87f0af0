"""The slow, obvious twin of attrib.experiments.metrics, from the definitions in docs/experiments.md."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations


def parts(amounts):
    total = sum(map(Fraction, amounts))
    return [Fraction(amount) / total for amount in amounts] if total > 0 else None


def distance(first, second):
    one, other = parts(first), parts(second)
    if one is None or other is None:
        return math.nan
    return float(sum(abs(a - b) for a, b in zip(one, other, strict=True)) / 2)


def mid_rank(numbers, number):
    """Ranks count from 1; equal numbers share the mean of their places."""
    below = sum(other < number for other in numbers)
    equal = sum(other == number for other in numbers)
    return below + (equal + 1) / 2


def spearman(first, second):
    if len(set(first)) < 2 or len(set(second)) < 2:
        return math.nan
    x, y = ([mid_rank(side, number) for number in side] for side in (first, second))
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    together = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return together / math.sqrt(sum((a - mean_x) ** 2 for a in x) * sum((b - mean_y) ** 2 for b in y))


def kendall(first, second):
    """Kendall's tau-b: pairs in one order less pairs in opposite orders, over the roots of pairs without ties."""
    if len(set(first)) < 2 or len(set(second)) < 2:
        return math.nan
    agreed = untied_first = untied_second = 0
    for i, j in combinations(range(len(first)), 2):
        a = (first[i] > first[j]) - (first[i] < first[j])
        b = (second[i] > second[j]) - (second[i] < second[j])
        agreed += a * b
        untied_first += a != 0
        untied_second += b != 0
    return agreed / math.sqrt(untied_first * untied_second)


def increment_error(credit, increments, conversions):
    if conversions <= 0:
        return math.nan
    return sum(abs(a - b) for a, b in zip(credit, increments, strict=True)) / len(credit) / conversions


def budget_regret(credit, increments, cost, moved=0.1):
    """Every move, one by one: from a channel with a budget to another, a tenth of the smaller budget."""
    paid = [c for c in range(len(cost)) if cost[c] > 0]
    if len(paid) < 2:
        return math.nan
    moves = [(a, b) for a in paid for b in paid]  # a = b: nothing is moved

    def gain(conversions, a, b):
        amount = moved * min(cost[a], cost[b])
        return amount * conversions[b] / cost[b] - amount * conversions[a] / cost[a]

    best = max(gain(increments, *move) for move in moves)
    promised = max(gain(credit, *move) for move in moves)
    # of moves that promise the same to the last digits, any may have been chosen
    made = [
        gain(increments, *m) for m in moves if math.isclose(gain(credit, *m), promised, rel_tol=1e-9, abs_tol=1e-12)
    ]
    return [(best - gained) / best for gained in made] if best > 1e-12 else math.nan


def covered(low, high, target, counted):
    inside = [a <= t <= b for a, b, t, c in zip(low, high, target, counted, strict=True) if c]
    return sum(inside) / len(inside) if inside else math.nan


def width(low, high, counted):
    lengths = [b - a for a, b, c in zip(low, high, counted, strict=True) if c]
    return sum(lengths) / len(lengths) if lengths else math.nan


def journeys(predicted, conversions, nulls):
    """One entry a journey: what was predicted, and whether it converted."""
    for p, won, lost in zip(predicted, conversions, nulls, strict=True):
        yield from [(p, True)] * won + [(p, False)] * lost


def log_likelihood(predicted, conversions, nulls):
    ends = list(journeys(predicted, conversions, nulls))
    return sum(math.log(p if won else 1 - p) for p, won in ends) / len(ends) if ends else math.nan


def auc(predicted, conversions, nulls):
    ends = list(journeys(predicted, conversions, nulls))
    won, lost = ([p for p, converted in ends if converted == wanted] for wanted in (True, False))
    if not won or not lost:
        return math.nan
    return sum((a > b) + (a == b) / 2 for a in won for b in lost) / (len(won) * len(lost))


def foretell(train, path, order):
    """A chain of some order foretells the end of a path: the rate of the journeys that end alike, made steady by the
    rate of those that end alike in one touch less, which counts as one journey."""
    rate = 0.5
    for length in range(min(order, len(path)) + 1):
        ending = path[len(path) - length :]
        alike = [(won, lost) for other, won, lost in train if other[len(other) - length :] == ending]
        conversions, whole = sum(won for won, _ in alike), sum(won + lost for won, lost in alike)
        rate = (conversions + rate) / (whole + 1)
    return rate


def steady(won, whole, rate):
    """A rate among some journeys, made steady by one journey more at another rate."""
    return (won + rate) / (whole + 1)


def foretell_by_pairs(train, path):
    """Shao & Li: the mean, over the pairs of channels of a path, of the rate at which journeys with both convert."""

    def among(*members):
        alike = [(won, lost) for other, won, lost in train if set(members) <= set(other)]
        return sum(won for won, _ in alike), sum(won + lost for won, lost in alike)

    everyone = steady(*among(), 0.5)
    alone = {one: steady(*among(one), everyone) for one in set(path)}
    if len(alone) < 2:
        return next(iter(alone.values()), everyone)
    pairs = [steady(*among(a, b), (alone[a] + alone[b]) / 2) for a, b in combinations(sorted(alone), 2)]
    return sum(pairs) / len(pairs)


def foretell_by_odds(train, path, constant, coefficients):
    """A logistic regression, one journey more at the rate of all added to those it was fitted to."""
    won, lost = sum(won for _, won, _ in train), sum(lost for _, _, lost in train)
    odds = constant + sum(coefficients.get(one, 0.0) for one in set(path))
    everyone = steady(won, won + lost, 0.5)
    return ((won + lost) / (1 + math.exp(-odds)) + everyone) / (won + lost + 1)


def foretell_by_hazard(won, lost, touches, end, lookback, strength, lag, base=0.0):
    """Additive hazards: whether a conversion comes between the last touch and the end of the watch.

    Touches are (player, time), times in days; won and lost count the journeys that were learned from.
    """
    last = max(time for _, time in touches)
    hazard = 0.0
    longest = 0.0
    for player, time in touches:
        until = max(min(end, time + lookback), last)
        longest = max(longest, until - last)
        if strength.get(player, 0.0) > 0:
            mean = lag[player]
            hazard += strength[player] * (math.exp(-(last - time) / mean) - math.exp(-(until - time) / mean))
    hazard += base * longest
    everyone = steady(won, won + lost, 0.5)
    return ((won + lost) * (1 - math.exp(-hazard)) + everyone) / (won + lost + 1)
