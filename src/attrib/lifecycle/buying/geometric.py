"""BG/NBD and MBG/NBD: after a purchase a customer leaves for good with a chance of their own.

While there, a customer buys as a Poisson process with a rate from Gamma(r, α); the chance to leave, the same after each
of their purchases, is from Beta(a, b). By BG/NBD nobody leaves after the first purchase, by MBG/NBD that is possible
too: the only difference, and all of it for customers without a repeat purchase.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from attrib.errors import AttribError, warn
from attrib.lifecycle.base.beside import Floats
from attrib.lifecycle.buying.histories import Histories
from attrib.lifecycle.buying.purchasing import Branches, PurchaseModel

NEAR = 1e-5  # of a removable singularity: there the mean of both sides is taken, off by about NEAR² relative
BETTER = 10.0  # log-likelihood by which MBG/NBD must fit better before the fit of BG/NBD says so


class _Geometric(PurchaseModel):
    """Both of them: they differ in how many of the purchases could have been the last one."""

    _names = ("r", "alpha", "a", "b")

    @classmethod
    def _start(cls, mean_time: float) -> Floats:
        return np.log([1.0, mean_time, 1.0, 1.0])

    @classmethod
    def _chances(cls, x: Floats) -> Floats:
        """How often each customer could have left."""
        return x + cls._from_the_start

    @classmethod
    def _branches(cls, theta: Floats, histories: Histories) -> Branches:
        from scipy.special import digamma, gammaln

        r, alpha, a, b = np.exp(theta)
        x, at, counts = histories.x, histories.at, histories.counts
        k, chances = cls._chances(x), cls._chances(counts)
        can = k > 0
        end, last = alpha + histories.T, alpha + histories.recency
        log_end, log_last, before = np.log(end), np.log(last), b + np.maximum(k, 1) - 1
        gammas = gammaln(r + counts) - gammaln(r) + gammaln(a + b) - gammaln(a + b + chances)
        shared = (gammas + gammaln(b + chances) - gammaln(b) + r * np.log(alpha))[at]
        rate = (r * (digamma(r + counts) - digamma(r) + np.log(alpha)))[at]
        lost = (digamma(a + b) - digamma(a + b + chances))[at]
        kept = lost + (digamma(b + chances) - digamma(b))[at]
        return Branches(
            shared - (r + x) * log_end,
            np.where(can, shared + np.log(a) - np.log(before) - (r + x) * log_last, -np.inf),
            np.array([rate - r * log_end, r - (r + x) * alpha / end, a * lost, b * kept]),
            np.array([rate - r * log_last, r - (r + x) * alpha / last, a * lost + 1.0, b * kept - b / before]),
        )

    @classmethod
    def _log_odds(cls, values: tuple[float, ...], x: Floats, recency: Floats, T: Floats) -> Floats:
        r, alpha, a, b = values[:4]
        k = cls._chances(x)
        odds = np.log(b + np.maximum(k, 1) - 1) - np.log(a) - (r + x) * np.log((alpha + T) / (alpha + recency))
        return np.where(k > 0, odds, np.inf)

    @classmethod
    def _if_alive(cls, values: tuple[float, ...], t: Floats, x: Floats, T: Floats) -> Floats:
        r, alpha, a, b = values[:4]
        return _purchases_ahead(r, alpha, a, b + cls._from_the_start, t, x, T)

    @classmethod
    def _stays(cls, values: tuple[float, ...]) -> float:
        a, b = values[2:4]
        return b / (a + b) if cls._from_the_start else 1.0


class BetaGeoNBD(_Geometric):
    """BG/NBD model of repeat purchases: after each repeat purchase a customer may leave for good.

    Nobody leaves before a repeat purchase: all customers without one are alive, however long ago they came. `fit` warns
    where MBG/NBD, which lets them leave, fits the same customers far better.

    Attributes
    ----------
    params_ : dict
        ``r``, ``alpha`` (purchase rates: Gamma, alpha in time units), ``a``, ``b`` (leaving after a purchase: Beta);
        where customers had cancelled, ``cancelling``, the share of those who leave that says so.
    standard_errors_ : dict
        From the observed information, by the delta method.
    covariance_ : ndarray of float64, shape [4, 4]
        Of the logarithms of the parameters; [5, 5] with the log-odds of ``cancelling``.
    log_likelihood_ : float
        Sum over the customers; it changes with the time unit.

    References
    ----------
    Fader, Hardie & Lee (2005). "Counting your customers" the easy way. Marketing Science 24(2).

    Examples
    --------
    >>> model = BetaGeoNBD().fit(
    ...     frequency=[2, 1, 0, 0, 7, 1, 0, 3, 12, 0] * 20,
    ...     recency=[30.4, 1.7, 0, 0, 36.4, 5.0, 0, 14.1, 31.0, 0] * 20,
    ...     T=[38.9, 38.9, 38.9, 30.1, 38.9, 38.9, 21.6, 38.9, 35.2, 31.3] * 20,
    ... )
    >>> model.p_alive([2, 3], [30.4, 4.1], [38.9, 38.9]).round(2)
    array([0.88, 0.08])
    """

    _stream: ClassVar[int] = 0
    _called = "BG/NBD"
    _from_the_start = False

    def _tell(self, histories: Histories) -> None:
        super()._tell(histories)
        try:
            other = ModifiedBetaGeoNBD()._fit_to(histories)  # noqa: SLF001 - of the same family
        except AttribError:
            return
        if histories.cancelled[histories.x == 0].any():
            return  # told already, and the likelihoods are of different events
        better = other.log_likelihood_ - self.log_likelihood_
        if better > BETTER:
            once = float(histories.n[histories.x == 0].sum())
            warn(
                f"{once:,.0f} of {histories.customers:,.0f} customers ({once / histories.customers:.0%}) have no "
                "repeat purchase, and BG/NBD takes every one of them as alive; MBG/NBD (ModifiedBetaGeoNBD), by which "
                f"they may have left, fits better by {better:,.1f} of log-likelihood: compare with "
                'choose_purchase_model(…), in a model file estimator = "auto"'
            )


class ModifiedBetaGeoNBD(_Geometric):
    """MBG/NBD model of repeat purchases: a customer may leave for good after each purchase, the first one too.

    Attributes
    ----------
    params_ : dict
        As of :class:`BetaGeoNBD`.
    standard_errors_, covariance_, log_likelihood_
        As of :class:`BetaGeoNBD`.

    References
    ----------
    Batislam, Denizel & Filiztekin (2007). Empirical validation and comparison of models for customer base analysis.
    International Journal of Research in Marketing 24(3).

    Hoppe & Wagner (2007). Customer base analysis: The case for a central variant of the Betageometric/NBD model.
    Marketing – Journal of Research and Management 3(2).

    Examples
    --------
    >>> model = ModifiedBetaGeoNBD().fit(
    ...     frequency=[2, 1, 0, 0, 7, 1, 0, 3, 12, 0] * 20,
    ...     recency=[30.4, 1.7, 0, 0, 36.4, 5.0, 0, 14.1, 31.0, 0] * 20,
    ...     T=[38.9, 38.9, 38.9, 30.1, 38.9, 38.9, 21.6, 38.9, 35.2, 31.3] * 20,
    ... )
    >>> model.p_alive([2, 0], [30.4, 0.0], [38.9, 38.9]).round(2)
    array([0.69, 0.02])
    """

    _stream: ClassVar[int] = 2
    _called = "MBG/NBD"
    _from_the_start = True


def _purchases_ahead(r: float, alpha: float, a: float, b: float, t: Floats, x: Floats, T: Floats) -> Floats:
    """Expected purchases in (T, T + t] of those alive: rate from Gamma(r + x, α + T), leaving from Beta(a, b + x).

    With u = t / (α + T), c = a + b + x − 1: c / (a − 1) · [1 − ₂F₁(r + x, a − 1; c; −u)], equation 10 of Fader, Hardie
    & Lee (2005) without its denominator. Euler's transformation leaves parameters that do not grow with x, so that
    thousands of purchases do not overflow.
    """
    from scipy.special import hyp2f1

    if abs(a - 1) < NEAR:
        low, high = (_purchases_ahead(r, alpha, 1 + side * 2 * NEAR, b, t, x, T) for side in (-1, 1))
        return (low + high) / 2
    if abs(a + b - 1) < NEAR and not x.all():  # c = 0 without repeat purchase
        low, high = (_purchases_ahead(r, alpha, a, max(b + side * 2 * NEAR, b / 2), t, x, T) for side in (-1, 1))
        return (low + high) / 2
    u, c = t / (alpha + T), a + b + x - 1
    whole = (1 + u) ** (1 - a) * hyp2f1(c - r - x, a - 1, c, u / (1 + u))
    # rounding may leave a tiny negative number at t near 0
    return np.asarray(np.clip(c / (a - 1) * (1 - whole), 0.0, (r + x) * u))
