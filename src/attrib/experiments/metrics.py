"""What an answer is worth, as numbers: arrays in, one number out; NaN where a metric is not defined.

docs/experiments.md defines each. Arrays of one call stand in one order of players.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from attrib.values import FEWEST_BUCKETS, FEWEST_CONVERSIONS

Floats = npt.NDArray[np.float64]

MOVED = 0.1  # of a budget: a small step, for which returns may be taken as constant
BETTER = {
    "share_error": -1, "spearman": 1, "kendall": 1, "increment_error": -1, "budget_regret": -1, "truth_coverage": 1,
    "coverage": 0, "width": -1, "stability": 1, "log_likelihood": 1, "auc": 1,
}  # fmt: skip
"""1: more is better, -1: less is, 0: neither (coverage should equal the level)."""


def shares(amounts: Floats) -> Floats:
    """Divide amounts by their sum; NaN where they do not sum to a positive number.

    Examples
    --------
    >>> shares(np.array([1.0, 3.0]))
    array([0.25, 0.75])
    """
    total = amounts.sum()
    return amounts / total if total > 0 else np.full(len(amounts), np.nan)


def distance(first: Floats, second: Floats) -> float:
    """Half the sum of absolute differences of shares: the share that would have to change hands.

    Parameters
    ----------
    first, second : ndarray, shape (players,)
        Amounts; each is divided by its own sum.

    Returns
    -------
    float
        0 where the shares are equal, 1 where they have no player in common.

    Examples
    --------
    >>> distance(np.array([3.0, 1.0]), np.array([1.0, 1.0]))
    0.25
    """
    return float(np.abs(shares(first) - shares(second)).sum() / 2)


def rank_correlations(first: Floats, second: Floats) -> tuple[float, float]:
    """Spearman's and Kendall's correlation of ranks, ties by mid-ranks and by tau-b.

    Returns
    -------
    (float, float)
        NaN where all numbers of a side are equal.

    References
    ----------
    Kendall (1945), The treatment of ties in ranking problems.

    Examples
    --------
    >>> rank_correlations(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 9.0]))
    (1.0, 1.0)
    """
    from scipy.stats import kendalltau, spearmanr

    if len(first) < 2 or not (np.isfinite(first).all() and np.isfinite(second).all()):
        return np.nan, np.nan
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return np.nan, np.nan
    return float(spearmanr(first, second).statistic), float(kendalltau(first, second).statistic)


def increment_error(credit: Floats, increments: Floats, conversions: float) -> float:
    """Mean absolute difference between credit and true increments, as a share of the conversions.

    Parameters
    ----------
    credit : ndarray, shape (players + 1,)
        Conversions credited; last those that are credited to no player (``unattributed`` and ``baseline``).
    increments : ndarray, shape (players + 1,)
        Conversions lost without the player; last the conversions without any player.
    conversions : float
        All conversions of the game.

    Examples
    --------
    >>> increment_error(np.array([30.0, 50.0, 20.0]), np.array([10.0, 40.0, 50.0]), 100.0)
    0.2
    """
    return float(np.abs(credit - increments).mean() / conversions) if conversions > 0 else np.nan


def budget_regret(credit: Floats, increments: Floats, cost: Floats, moved: float = MOVED) -> float:
    """Share of the best possible gain that is missed by who moves money by the credit.

    A move takes ``moved`` times the smaller of two budgets from one channel and gives it to another. It promises
    that amount times the difference of the two returns (conversions per unit of cost). Who believes the credit makes
    the move that promises most by credited conversions; what it truly brings follows from the increments.

    Parameters
    ----------
    credit, increments : ndarray, shape (players,)
        Conversions credited, and truly caused.
    cost : ndarray, shape (players,)
        What each player cost in the same time; those at 0 have no budget to move.
    moved : float
        Share of a budget; it cancels out of the result.

    Returns
    -------
    float
        0: the best move was found; 1: it brings nothing; above 1: it does harm. NaN with fewer than two budgets, or
        where no move brings anything. Among moves that promise the same, the first.

    Examples
    --------
    >>> cost = np.array([100.0, 100.0, 100.0])
    >>> round(budget_regret(np.array([9.0, 5.0, 1.0]), np.array([4.0, 6.0, 1.0]), cost), 12)
    0.4
    """
    paid = cost > 0
    if paid.sum() < 2 or not (np.isfinite(credit[paid]).all() and np.isfinite(increments[paid]).all()):
        return np.nan
    budget = cost[paid]
    amount = moved * np.minimum(budget[:, None], budget)  # [from, to]
    promised = credit[paid] / budget
    returned = increments[paid] / budget
    gain = amount * (returned[None, :] - returned[:, None])
    chosen = np.argmax(amount * (promised[None, :] - promised[:, None]))
    return float((gain.max() - gain.flat[chosen]) / gain.max()) if gain.max() > 0 else np.nan


def covered(low: Floats, high: Floats, target: Floats, counted: npt.NDArray[np.bool_]) -> float:
    """Share of the counted players whose interval contains the target.

    Examples
    --------
    >>> low, high = np.array([1.0, 4.0]), np.array([3.0, 5.0])
    >>> covered(low, high, np.array([2.0, 9.0]), np.array([True, True]))
    0.5
    """
    known = counted & np.isfinite(low) & np.isfinite(high) & np.isfinite(target)
    return float(((low <= target) & (target <= high))[known].mean()) if known.any() else np.nan


def fewest_buckets(fewest: float) -> float:
    """Buckets of customers that the conversions of a player must come from to count, where ``fewest`` conversions do.

    Examples
    --------
    >>> fewest_buckets(50.0), fewest_buckets(5.0), fewest_buckets(1000.0)
    (40.0, 4.0, 40.0)
    """
    return min(float(FEWEST_BUCKETS), fewest * FEWEST_BUCKETS / FEWEST_CONVERSIONS)


def width(low: Floats, high: Floats, counted: npt.NDArray[np.bool_]) -> float:
    """Mean length of the intervals of the counted players.

    Examples
    --------
    >>> width(np.array([0.1, 0.2]), np.array([0.2, 0.4]), np.array([True, True]))
    0.15...
    """
    known = counted & np.isfinite(low) & np.isfinite(high)
    return float((high - low)[known].mean()) if known.any() else np.nan


def log_likelihood(predicted: Floats, conversions: Floats, nulls: Floats) -> float:
    """Mean log-likelihood of a journey's end, natural logarithm.

    Parameters
    ----------
    predicted : ndarray, shape (paths,)
        Probability that a journey along the path converts, neither 0 nor 1.
    conversions, nulls : ndarray, shape (paths,)
        Journeys along it that did, and that did not.

    Examples
    --------
    >>> round(log_likelihood(np.array([0.5]), np.array([1.0]), np.array([3.0])), 4)
    -0.6931
    """
    journeys = (conversions + nulls).sum()
    if journeys <= 0:
        return np.nan
    return float((conversions * np.log(predicted) + nulls * np.log1p(-predicted)).sum() / journeys)


def auc(predicted: Floats, conversions: Floats, nulls: Floats) -> float:
    """Probability that a converting journey was predicted higher than a null one, ties half; NaN without either.

    Examples
    --------
    >>> auc(np.array([0.2, 0.6]), np.array([1.0, 3.0]), np.array([4.0, 0.0]))
    0.875
    """
    if conversions.sum() <= 0 or nulls.sum() <= 0:
        return np.nan
    _, at = np.unique(predicted, return_inverse=True)
    won, lost = np.bincount(at, conversions), np.bincount(at, nulls)
    below = np.cumsum(lost) - lost
    return float((won * (below + lost / 2)).sum() / (won.sum() * lost.sum()))
