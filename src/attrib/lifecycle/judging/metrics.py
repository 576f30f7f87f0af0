"""How good probabilities of yes and no are: each metric of the same small table, whatever the number of customers.

Every metric here depends on the distinct probabilities and on how many yes and no stand at each of them. So the table
is made once, and a bootstrap draw only counts anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
CLIP = 1e-15  # of probabilities in the log loss: a certain and wrong answer costs 34.5, not infinity
BINS = 10  # of the reliability table


@dataclass(frozen=True, slots=True)
class Counts:
    """Distinct probabilities, highest first, with the (weighted) number of yes and of no at each."""

    p: Floats
    yes: Floats
    no: Floats

    @property
    def both(self) -> bool:
        """Whether there is at least one yes and one no."""
        return bool(self.yes.sum() > 0 and self.no.sum() > 0)


class Tabulated:
    """Rows by their probability, to be counted with any weights."""

    def __init__(self, y: npt.NDArray[np.bool_], p: Floats) -> None:
        values, at = np.unique(-p, return_inverse=True)
        self.p, self._at, self._y = -values, at, y

    def counts(self, weights: Floats) -> Counts:
        """Count yes and no; ``weights`` [n] says how often each row counts."""
        every: Floats = np.bincount(self._at, weights, len(self.p)).astype(np.float64)
        yes: Floats = np.bincount(self._at, weights * self._y, len(self.p)).astype(np.float64)
        return Counts(self.p, yes, every - yes)


def auc(counts: Counts) -> float:
    """Chance that a yes has a higher probability than a no; equal ones count half. NaN without both."""
    if not counts.both:
        return np.nan
    higher = np.cumsum(counts.yes) - counts.yes / 2
    return float(higher @ counts.no / (counts.yes.sum() * counts.no.sum()))


def pr_auc(counts: Counts) -> float:
    """Average precision: the mean over the yes of the precision at their probability."""
    if not counts.yes.sum():
        return np.nan
    found, taken = np.cumsum(counts.yes), np.cumsum(counts.yes + counts.no)
    return float(counts.yes @ (found / np.where(taken > 0, taken, 1)) / counts.yes.sum())


def brier(counts: Counts) -> float:
    """Mean squared difference of probability and truth."""
    whole = counts.yes.sum() + counts.no.sum()
    return float((counts.yes @ (1 - counts.p) ** 2 + counts.no @ counts.p**2) / whole)


def log_loss(counts: Counts) -> float:
    """Mean negative log-likelihood; probabilities within 1e-15 of 0 and 1 are moved there."""
    p = np.clip(counts.p, CLIP, 1 - CLIP)
    return float(-(counts.yes @ np.log(p) + counts.no @ np.log1p(-p)) / (counts.yes.sum() + counts.no.sum()))


def bins_of(counts: Counts, bins: int = BINS) -> npt.NDArray[np.int64]:
    """Bin of each distinct probability (highest first): as equal in mass as equal probabilities allow.

    A probability is in the bin where the middle of its mass falls, counted from the lowest.
    """
    mass = counts.yes + counts.no
    middle = mass[::-1].cumsum()[::-1] - mass / 2
    return np.asarray(np.minimum(middle / mass.sum() * bins, bins - 1).astype(np.int64))


def ece(counts: Counts, bins: npt.NDArray[np.int64]) -> float:
    """Expected calibration error: |share of yes − mean probability| of each bin, weighted by its mass."""
    gap = np.bincount(bins, counts.yes - (counts.yes + counts.no) * counts.p)
    return float(np.abs(gap).sum() / (counts.yes.sum() + counts.no.sum()))


def gain(counts: Counts, k: float) -> float:
    """Share of all yes among the share k of rows with the highest probability; at a tie, their mean."""
    if not counts.yes.sum():
        return np.nan
    taken = np.concatenate([[0.0], np.cumsum(counts.yes + counts.no)])
    found = np.concatenate([[0.0], np.cumsum(counts.yes)])
    return float(np.interp(k * taken[-1], taken, found) / found[-1])


def lift(counts: Counts, k: float) -> float:
    """How many times more yes than by chance among the share k with the highest probability."""
    return gain(counts, k) / k


@dataclass(frozen=True, slots=True)
class Profit:
    """Costs and benefits of a retention campaign.

    Parameters
    ----------
    value : float
        Lifetime value of a customer who stays, in money.
    offer, contact : float
        Cost of the offer (paid when it is taken) and of the contact.
    alpha, beta : float
        A would-be churner takes the offer, and stays, with a probability from Beta(alpha, beta).

    References
    ----------
    Verbraken, Verbeke & Baesens (2013). A novel profit maximizing metric for measuring classification performance of
    customer churn prediction models. IEEE Transactions on Knowledge and Data Engineering 25(5).
    """

    value: float = 200.0
    offer: float = 10.0
    contact: float = 1.0
    alpha: float = 6.0
    beta: float = 14.0


def expected_maximum_profit(counts: Counts, profit: Profit) -> tuple[float, float]:
    """Expected maximum profit per customer, and the share of customers to target.

    For each acceptance probability γ the best share of customers is targeted (the corners of the hull of the ROC curve,
    nobody and everybody among them): value·(γ(1−δ) − φ)·π₁·F₁ − value·(δ + φ)·π₀·F₀, F₁ and F₀ the shares of churners
    and of others above the threshold, δ = offer / value, φ = contact / value. The mean over γ is exact.

    Returns
    -------
    (float, float)
        Money per customer; share.
    """
    from scipy.special import betainc

    whole = counts.yes.sum() + counts.no.sum()
    found, wrong = _hull(counts)
    found, wrong = found / whole, wrong / whole  # π₁·F₁ and π₀·F₀
    delta, phi = profit.offer / profit.value, profit.contact / profit.value
    if delta >= 1:
        return 0.0, 0.0
    with np.errstate(divide="ignore"):
        slope = np.where(np.diff(found) > 0, np.diff(wrong) / np.diff(found), np.inf)
    # the acceptance from which the next corner pays better than the one before it
    edges = np.clip(np.concatenate([[0.0], (slope * (delta + phi) + phi) / (1 - delta), [np.inf]]), 0.0, 1.0)
    mass = np.diff(betainc(profit.alpha, profit.beta, edges))
    mean = profit.alpha / (profit.alpha + profit.beta) * np.diff(betainc(profit.alpha + 1, profit.beta, edges))
    gained = (1 - delta) * found * mean - (phi * found + (delta + phi) * wrong) * mass
    return float(profit.value * gained.sum()), float((found + wrong) @ mass)


def _hull(counts: Counts) -> tuple[Floats, Floats]:
    """Corners of the upper hull of the ROC curve, as counts of yes and of no, from (0, 0) to all."""
    some = counts.yes + counts.no > 0
    yes, no = counts.yes[some], counts.no[some]
    # neighbours in the wrong order of their share of yes are pooled until there are none: isotonic regression
    from scipy.optimize import isotonic_regression

    fitted = isotonic_regression(yes / (yes + no), weights=yes + no, increasing=False)
    ends = fitted.blocks[1:] - 1
    found, wrong = np.cumsum(yes)[ends], np.cumsum(no)[ends]
    return np.concatenate([[0.0], found]), np.concatenate([[0.0], wrong])


def binary_metrics(
    bins: npt.NDArray[np.int64], top: tuple[float, ...], profit: Profit
) -> dict[str, Callable[[Counts], float]]:
    """All metrics by name, as functions of the counts."""
    found: dict[str, Callable[[Counts], float]] = {
        "auc": auc,
        "pr_auc": pr_auc,
        "brier": brier,
        "log_loss": log_loss,
        "ece": lambda counts: ece(counts, bins),
    }
    for k in top:
        found[f"lift_at_{k:.4g}"] = lambda counts, k=k: lift(counts, k)  # type: ignore[misc]
        found[f"gain_at_{k:.4g}"] = lambda counts, k=k: gain(counts, k)  # type: ignore[misc]
    found["expected_maximum_profit"] = lambda counts: expected_maximum_profit(counts, profit)[0]
    found["share_to_target"] = lambda counts: expected_maximum_profit(counts, profit)[1]
    return found
