"""Pareto/NBD: a customer buys at a rate of their own and may leave at any time, at another rate of their own."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np

from attrib.lifecycle.base.beside import Floats
from attrib.lifecycle.buying.histories import Histories
from attrib.lifecycle.buying.purchasing import Branches, PurchaseModel

CUT = 40.0  # where the integrand has fallen to e^-40 of its first value, nothing is left of it
FEW, SOME, MANY = 16, 32, 96  # nodes for spans that are short, usual, and long: ten digits of the likelihood each
BLOCK = 1 << 13  # customers at a time: 6 MB an array at the most nodes


class ParetoNBD(PurchaseModel):
    """Pareto/NBD model of repeat purchases: a customer may leave at any time, not only after a purchase.

    Attributes
    ----------
    params_ : dict
        ``r``, ``alpha`` (purchase rates: Gamma, alpha in time units), ``s``, ``beta`` (rates of leaving: Gamma, beta in
        time units); where customers had cancelled, ``cancelling``, as of :class:`BetaGeoNBD`.
    standard_errors_, covariance_, log_likelihood_
        As of :class:`BetaGeoNBD`.

    Notes
    -----
    The integral over the time of leaving is taken by Gauss-Legendre quadrature in the logarithm of time, not by a
    difference of hypergeometric functions, which loses its digits where α and β differ much or purchases are many.

    References
    ----------
    Schmittlein, Morrison & Colombo (1987). Counting your customers: Who are they and what will they do next?
    Management Science 33(1).

    Fader & Hardie (2005). A note on deriving the Pareto/NBD model and related expressions.

    Examples
    --------
    >>> model = ParetoNBD().fit(
    ...     frequency=[2, 1, 0, 0, 7, 1, 0, 3, 12, 0] * 20,
    ...     recency=[30.4, 1.7, 0, 0, 36.4, 5.0, 0, 14.1, 31.0, 0] * 20,
    ...     T=[38.9, 38.9, 38.9, 30.1, 38.9, 38.9, 21.6, 38.9, 35.2, 31.3] * 20,
    ... )
    >>> model.p_alive([2, 0], [30.4, 0.0], [38.9, 38.9]).round(2)
    array([0.88, 0.08])
    """

    _names = ("r", "alpha", "s", "beta")
    _stream: ClassVar[int] = 3
    _called = "Pareto/NBD"
    _from_the_start = True

    @classmethod
    def _start(cls, mean_time: float) -> Floats:
        return np.log([1.0, mean_time, 1.0, mean_time])

    @classmethod
    def _branches(cls, theta: Floats, histories: Histories) -> Branches:
        from scipy.special import digamma, gammaln

        r, alpha, s, beta = np.exp(theta)
        x, at, counts = histories.x, histories.at, histories.counts
        shared = (gammaln(r + counts) - gammaln(r) + r * np.log(alpha) + s * np.log(beta))[at]
        rate = (r * (digamma(r + counts) - digamma(r) + np.log(alpha)))[at]
        buys, leaves = alpha + histories.T, beta + histories.T
        found = _left(r, alpha, s, beta, x, histories.recency, histories.T)
        alive = shared - (r + x) * np.log(buys) - s * np.log(leaves)
        start = s * np.log(beta)
        return Branches(
            alive,
            shared + found.log,
            np.array([
                rate - r * np.log(buys),
                r - (r + x) * alpha / buys,
                start - s * np.log(leaves),
                s - s * beta / leaves,
            ]),
            np.array([
                rate - r * found.log_buys,
                r - (r + x) * alpha * found.per_buys,
                start + 1.0 - s * found.log_leaves,
                s - (s + 1.0) * beta * found.per_leaves,
            ]),
        )  # fmt: skip

    @classmethod
    def _log_odds(cls, values: tuple[float, ...], x: Floats, recency: Floats, T: Floats) -> Floats:
        r, alpha, s, beta = values[:4]
        gone = _left(r, alpha, s, beta, x, recency, T).log
        return np.asarray(-(r + x) * np.log(alpha + T) - s * np.log(beta + T) - gone)

    @classmethod
    def _if_alive(cls, values: tuple[float, ...], t: Floats, x: Floats, T: Floats) -> Floats:
        # (r + x)(β + T) / ((α + T)(s − 1)) · [1 − ((β + T) / (β + T + t))^(s − 1)], which has a limit at s = 1
        r, alpha, s, beta = values[:4]
        shrinks = -np.log1p(t / (beta + T))
        inside = -shrinks if s == 1 else -np.expm1((s - 1) * shrinks) / (s - 1)
        return np.asarray((r + x) * (beta + T) / (alpha + T) * inside)


class _Left(NamedTuple):
    """What is known of customers who have left, [m] each: means are over the time τ at which they may have done so."""

    log: Floats  # ln ∫ s (α + τ)^-(r + x) (β + τ)^-(s + 1) dτ from recency to T
    log_buys: Floats  # mean of ln(α + τ)
    per_buys: Floats  # mean of 1 / (α + τ)
    log_leaves: Floats  # mean of ln(β + τ)
    per_leaves: Floats  # mean of 1 / (β + τ)


def _left(r: float, alpha: float, s: float, beta: float, x: Floats, recency: Floats, T: Floats) -> _Left:
    """Integrate over the time of leaving.

    In y = ln((m + τ) / (m + recency)), m the smaller one of α and β, the integrand is e^-h(y), h(y) = (p − 1) y +
    q ln(1 + ρ (e^y − 1)) with ρ = (m + recency) / (M + recency): smooth, and convex in h, so that the span can be cut
    where nothing is left. A few dozen nodes then give all digits.
    """
    buys_first = alpha <= beta
    (m, far), p, q = sorted((alpha, beta)), r + x, np.full(len(x), s + 1.0)
    if not buys_first:
        p, q = q, p
    start = m + recency
    rho = start / (far + recency)
    span = np.log1p((T - recency) / start)

    def fallen(y: Floats) -> Floats:
        return np.asarray((p - 1) * y + q * np.log1p(rho * np.expm1(y)))

    for _ in range(6):  # Newton's steps towards h = CUT from the right, where a convex h lets them never overshoot
        fall = fallen(span)
        slope = p - 1 + q * rho * np.exp(span) / (1 + rho * np.expm1(span))
        span = np.where(fall > CUT, span - (fall - CUT) / np.where(slope > 0, slope, np.inf), span)
    hard = np.maximum(np.abs(fallen(span)), 0.0) + 4 * span
    nodes = np.where(hard > 70, MANY, np.where(hard > 8, SOME, FEW))
    whole, near, per_near, away, per_far = np.zeros((5, len(x)))
    for n in np.unique(nodes):
        chosen = np.flatnonzero(nodes == n)
        for rows in np.split(chosen, range(BLOCK, len(chosen), BLOCK)):
            places, weights = np.polynomial.legendre.leggauss(int(n))
            y = span[rows, None] * ((1 + places) / 2)
            grown = np.expm1(y)
            more = rho[rows, None] * grown
            log_more = np.log1p(more)
            mass = np.exp((1 - p[rows, None]) * y - q[rows, None] * log_more) * (weights / 2)
            total = mass.sum(axis=1)
            safe = np.where(total > 0, total, 1.0)
            whole[rows] = span[rows] * total
            near[rows] = (mass * y).sum(axis=1) / safe
            away[rows] = (mass * log_more).sum(axis=1) / safe
            per_near[rows] = (mass / (1 + grown)).sum(axis=1) / safe
            per_far[rows] = (mass / (1 + more)).sum(axis=1) / safe
    with np.errstate(divide="ignore"):
        log = np.log(s) + np.log(start) + np.log(whole)
    log = log - (r + x) * np.log(alpha + recency) - (s + 1) * np.log(beta + recency)
    ours = np.log(start) + near, per_near / start
    others = np.log(far + recency) + away, per_far / (far + recency)
    return _Left(log, *((*ours, *others) if buys_first else (*others, *ours)))
