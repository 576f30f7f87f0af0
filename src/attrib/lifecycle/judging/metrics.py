"""How good probabilities of yes and no are: each metric of the same small table, whatever the number of customers.

Every metric here depends on the distinct probabilities and on how many yes and no stand at each of them. So the table
is made once, and a bootstrap draw only counts anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from attrib.errors import SpecError, brief

Floats = npt.NDArray[np.float64]
CLIP = 1e-15  # of probabilities in the log loss: a certain and wrong answer costs 34.5, not infinity
BINS = 10  # of the reliability table
TINY = 1e-300  # in place of 0 under a fraction
HALVINGS = 40  # to an edge of the interval of the ECE: 1e-12


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
    return float(np.abs(gaps(counts, bins)).sum())


def gaps(counts: Counts, bins: npt.NDArray[np.int64]) -> Floats:
    """Share of yes − mean probability of each bin, times its share of the mass: the ECE before absolute values."""
    found: Floats = np.bincount(bins, counts.yes - (counts.yes + counts.no) * counts.p).astype(np.float64)
    return found / float(counts.yes.sum() + counts.no.sum())


def ece_interval(found: Floats, drawn: Floats, tail: float) -> tuple[float, float]:
    """Interval of the ECE: sizes of error under which the ECE found is no surprise.

    A mean of absolute values is too large by noise, and each bootstrap draw adds the noise once more: percentiles of
    draws often lie above the estimate itself. So a test is inverted instead: if the true ECE were t, samples would have
    the ECE Σ|t·s + e|, with e = g* − g the deviations of the draws and s the shape of the error (sum |s| = 1). The
    interval is from the smallest to the largest t under which the ECE found is within all but the tails of these. At
    t = 0 this is a test of perfect calibration. How the error is spread over the bins is not known: s is the gaps g,
    and the gaps shrunk by their noise, g·max(0, 1 − var(e) / g²); the wider answer holds, and it holds the estimate.

    Parameters
    ----------
    found : float64 [bins]
        Gaps g of the data as they are; see `gaps`.
    drawn : float64 [draws, bins]
        Those of bootstrap draws, g*.
    tail : float
        Chance on each side, such as 0.025.

    Returns
    -------
    (float, float)
        ``low``, at least 0, and ``high``, at most 1; low ≤ ECE ≤ high.

    References
    ----------
    Bröcker & Smith (2007), Weather and Forecasting 22:651-661 (noise of reliability). Carpenter (1999), Journal of
    the Royal Statistical Society B 61:159-172 (bootstrap intervals by inverted tests).

    Examples
    --------
    >>> draws = np.array([[0.03, -0.01], [-0.03, 0.01], [0.02, 0.02], [0.04, -0.04]])
    >>> low, high = ece_interval(np.array([0.01, 0.01]), draws, 0.025)
    >>> low, round(high, 3)
    (0.0, 0.02)
    """
    value = float(np.abs(found).sum())
    noise = drawn - found
    sure = found * np.maximum(0.0, 1 - noise.var(axis=0) / np.maximum(found**2, TINY))
    if value == 0:  # by chance, or exactly right: no shape to go by, so all the noise that there is
        return 0.0, float(np.quantile(np.abs(noise).sum(axis=1), 1 - tail))
    shapes = [shape / np.abs(shape).sum() for shape in (found, sure) if shape.any()]
    farthest = value + float(np.abs(noise).sum(axis=1).max())  # there even the luckiest draw is above the value

    def at(size: float, shape: Floats, quantile: float) -> float:
        return float(np.quantile(np.abs(size * shape + noise).sum(axis=1), quantile))

    def edge(good: float, bad: float, holds: Callable[[float], bool]) -> float:
        for _ in range(HALVINGS):
            middle = (good + bad) / 2
            good, bad = (middle, bad) if holds(middle) else (good, middle)
        return good

    low = high = value
    for shape in shapes:
        none = at(0.0, shape, 1 - tail) >= value
        low = min(low, 0.0 if none else edge(value, 0.0, lambda size, s=shape: at(size, s, 1 - tail) >= value))  # type: ignore[misc]
        high = max(high, edge(0.0, farthest, lambda size, s=shape: at(size, s, tail) <= value))  # type: ignore[misc]
    return low, max(value, min(high, 1.0))


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
    """What the expected maximum profit assumes of a retention campaign: state your own.

    The defaults are those of the paper, of its European telecom operators, in euro: yours are hardly the same.

    Parameters
    ----------
    value : float
        Lifetime value of a customer who stays, in money, above 0.
    offer, contact : float
        Cost of the offer (paid when it is taken) and of the contact, in the same money.
    alpha, beta : float
        A would-be churner takes the offer, and stays, with a probability from Beta(alpha, beta), above 0; by default
        with a mean of 0.3. Who would have stayed takes the offer for certain.

    Raises
    ------
    SpecError
        ``bad_value``.

    References
    ----------
    Verbraken, Verbeke & Baesens (2013). A novel profit maximizing metric for measuring classification performance of
    customer churn prediction models. IEEE Transactions on Knowledge and Data Engineering 25(5):961-973.

    Examples
    --------
    >>> Profit(value=50, offer=5).assumptions
    'value 50, offer 5, contact 1, accepted with Beta(6, 14)'
    """

    value: float = 200.0
    offer: float = 10.0
    contact: float = 1.0
    alpha: float = 6.0
    beta: float = 14.0

    def __post_init__(self) -> None:
        for each in fields(self):
            given = getattr(self, each.name)
            free = each.name in ("offer", "contact")
            number = isinstance(given, (int, float, np.integer, np.floating)) and not isinstance(given, bool)
            if not number or not np.isfinite(given) or given < 0 or (given == 0 and not free):
                raise SpecError(
                    "bad_value", f"profit: {each.name} = {brief(given)} is no number {'from' if free else 'above'} 0"
                )

    @classmethod
    def of(cls, given: Any) -> Self:
        """Read what a caller passed: None (the defaults), a `Profit`, or a mapping of some of its names to numbers.

        Raises
        ------
        SpecError
            ``bad_value``.
        """
        if given is None:
            return cls()
        if isinstance(given, cls):
            return given
        names = [each.name for each in fields(cls)]
        if not isinstance(given, Mapping) or not set(given) <= set(names):
            wrong = next((name for name in given if name not in names), None) if isinstance(given, Mapping) else given
            raise SpecError(
                "bad_value", f"profit: {brief(wrong)} is not known", hint=f"Profit(…), or some of {', '.join(names)}"
            )
        return cls(**given)

    @property
    def assumptions(self) -> str:
        """All of it, in a line."""
        return (
            f"value {self.value:g}, offer {self.offer:g}, contact {self.contact:g}, "
            f"accepted with Beta({self.alpha:g}, {self.beta:g})"
        )


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


OF_PROFIT = ("expected_maximum_profit", "share_to_target")


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
