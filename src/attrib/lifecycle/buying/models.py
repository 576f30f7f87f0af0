"""Customers who never cancel but fall silent: who is still alive, how often they will buy, what an order is worth.

BG/NBD: while alive a customer buys as a Poisson process with a rate from Gamma(r, α), and after each purchase leaves
for good with a probability from Beta(a, b). Gamma-Gamma: the mean order value of a customer, apart from how often
they buy. Times are in any one unit: the rates and T, recency and t share it.

Where columns are taken, one frame that has them by name may stand in place of the first, such as the one that
`purchase_summary` makes.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError, SpecError, warn
from attrib.lifecycle.base.beside import Floats, check_same_rows, read_numbers, require
from attrib.lifecycle.buying.likelihood import LikelihoodModel, columns_of, is_frame, maximise

NEAR = 1e-5  # of a removable singularity: there the mean of both sides is taken, off by about NEAR² relative
CORRELATED = 0.2  # of frequency and monetary, beyond which their independence is in doubt


class BetaGeoNBD(LikelihoodModel):
    """BG/NBD model of repeat purchases (non-contractual churn).

    Attributes
    ----------
    params_ : dict
        ``r``, ``alpha`` (purchase rates: Gamma, alpha in time units), ``a``, ``b`` (leaving after a purchase: Beta).
    standard_errors_ : dict
        From the observed information, by the delta method.
    covariance_ : ndarray of float64, shape [4, 4]
        Of the logarithms of the parameters.
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

    _names = ("r", "alpha", "a", "b")
    _stream = 0

    def fit(self, frequency: Any, recency: Any = None, T: Any = None) -> Self:
        """Fit to one row a customer.

        Parameters
        ----------
        frequency : array-like of int, shape [n], or frame
            Repeat purchases (days with a purchase, less the first); or a frame with all three columns, alone.
        recency : array-like of float, shape [n]
            Time from the first to the last purchase; 0 without repeat purchase.
        T : array-like of float, shape [n]
            Time from the first purchase to the end of observation.

        Returns
        -------
        BetaGeoNBD

        Raises
        ------
        DataError
            ``no_rows``, ``no_repeats``, ``missing_columns`` and those of columns: ``bad_value``, ``null_values``,
            ``different_lengths``, ….
        SpecError
            ``bad_argument``.
        SolveError
            ``not_identified``, ``not_converged``.
        """
        columns = _history(*columns_of(frequency=frequency, recency=recency, T=T))
        if not len(columns[0]):
            raise DataError("no_rows", "there is no customer to learn from")
        if not (columns[0] > 0).any():
            raise DataError("no_repeats", "no customer bought again", hint="observe them for longer")
        start = np.log([1.0, max(float(columns[2].mean()), 1e-300), 1.0, 1.0])
        found = maximise(_Histories(*columns).log_likelihood, start, self._names, len(columns[0]))
        self._keep(*found, len(columns[0]))
        return self

    def p_alive(self, frequency: Any, recency: Any = None, T: Any = None) -> Floats:
        """Probability that a customer has not left for good at T.

        By the model nobody leaves before a repeat purchase: it is 1 at frequency 0.

        Parameters
        ----------
        frequency, recency, T : array-like, shape [n], or numbers; or one frame
            As in `fit`; T may lie after the end of the data that were fitted.

        Returns
        -------
        ndarray of float64, shape [n]
            A single number for a single customer.
        """
        alone, (frequency, recency, T) = _one_or_many(*columns_of(frequency=frequency, recency=recency, T=T))
        found = _p_alive(self._values(), *_history(frequency, recency, T))
        return found[0] if alone else found

    def expected_purchases(self, t: Any, frequency: Any, recency: Any = None, T: Any = None) -> Floats:
        """Expected purchases in (T, T + t], given the history (equation 10 of the paper).

        Parameters
        ----------
        t : float or array-like, shape [n]
            Time ahead.
        frequency, recency, T : array-like, shape [n], or numbers; or one frame
            As in `fit`.

        Returns
        -------
        ndarray of float64, shape [n]
            A single number for a single customer and t. One customer may have several t.
        """
        alone, (frequency, recency, T) = _one_or_many(*columns_of(frequency=frequency, recency=recency, T=T))
        values, (x, recency_, T_) = self._values(), _history(frequency, recency, T)
        ahead = _ahead(t, None if alone else len(x))
        found = _p_alive(values, x, recency_, T_) * _if_alive(values, ahead, x, T_)
        return found[0] if alone and not ahead.ndim else found

    def expected_cumulative(self, t: Any) -> Floats:
        """Expected repeat purchases of a new customer up to t after the first purchase.

        Parameters
        ----------
        t : array-like, shape [n]

        Returns
        -------
        ndarray of float64, shape [n]
        """
        values, ahead = self._values(), _ahead(np.atleast_1d(t), None)
        return _if_alive(values, ahead, np.zeros(len(ahead)), np.zeros(len(ahead)))


class GammaGamma(LikelihoodModel):
    """Gamma-Gamma model of the mean order value, which it takes as independent of how often a customer buys.

    Attributes
    ----------
    params_ : dict
        ``p``, ``q`` (shapes) and ``v`` (γ of the paper, in money).
    standard_errors_, covariance_, log_likelihood_
        As of :class:`BetaGeoNBD`.
    correlation_ : float
        Of frequency and monetary among the repeat buyers; `fit` warns beyond ±0.2 (0.12 in the published CDNOW data).

    References
    ----------
    Fader & Hardie (2013). The Gamma-Gamma model of monetary value.

    Examples
    --------
    >>> model = GammaGamma().fit(
    ...     frequency=[2, 1, 7, 1, 2, 3, 1, 5, 4] * 20,
    ...     monetary=[22.4, 120.0, 33.7, 5.8, 75.6, 40.1, 14.0, 8.2, 19.9] * 20,
    ... )
    >>> model.expected_value([0, 1], [None, 60.0]).round(1)
    array([36.8, 46.3])
    """

    _names = ("p", "q", "v")
    _stream = 1
    correlation_: float

    def fit(self, frequency: Any, monetary: Any = None) -> Self:
        """Fit to the repeat buyers; rows with frequency 0 are passed over.

        Parameters
        ----------
        frequency : array-like of int, shape [n], or frame
            Repeat purchases; or a frame with both columns, alone.
        monetary : array-like of float, shape [n]
            Mean value of the repeat purchases (the first one not among them).

        Returns
        -------
        GammaGamma

        Raises
        ------
        DataError
            ``no_repeats``, ``missing_columns`` and those of columns, as of `BetaGeoNBD.fit`.
        SpecError
            ``bad_argument``.
        SolveError
            ``not_identified``, ``not_converged``.
        """
        x, m = _spending(*columns_of(frequency=frequency, monetary=monetary))
        x, m = x[x > 0], m[x > 0]
        if not len(x):
            raise DataError("no_repeats", "no customer bought again: order values cannot be learned")
        varied = len(x) > 2 and np.ptp(x) > 0 and np.ptp(m) > 0
        self.correlation_ = float(np.corrcoef(x, m)[0, 1]) if varied else 0.0
        if abs(self.correlation_) > CORRELATED:
            warn(
                f"frequency and monetary correlate by {self.correlation_:.2f} among {len(x):,} repeat buyers: "
                "the Gamma-Gamma model takes them as independent, so values of frequent buyers may be biased"
            )

        def log_likelihood(theta: Floats) -> tuple[float, Floats]:
            return _gamma_gamma(theta, x, m)

        start = np.log([2.0, 2.0, float(m.mean())])
        self._keep(*maximise(log_likelihood, start, self._names, len(x)), len(x))
        if self.params_["q"] <= 1:
            warn(f"q = {self.params_['q']:.3g} is at most 1: the mean order value of new customers is infinite")
        return self

    def expected_value(self, frequency: Any, monetary: Any = None) -> Floats:
        """Expected mean order value of each customer.

        Parameters
        ----------
        frequency : array-like of int, shape [n], or int; or one frame
        monetary : array-like of float, shape [n], or float
            Not looked at where frequency is 0 (may be null): there the mean of the population is expected.

        Returns
        -------
        ndarray of float64, shape [n]
            Infinite where the model has no mean (p·x + q ≤ 1). A single number for a single customer.
        """
        if is_frame(frequency):
            frequency, monetary = columns_of(frequency=frequency, monetary=monetary)
        alone, (frequency, monetary) = _one_or_many(frequency, monetary)
        found = _order_value(self._values(), *_spending(frequency, monetary))
        return found[0] if alone else found

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """What was learned, for saving: numbers that JSON holds exactly, and arrays."""
        plain, arrays = super().state()
        return plain | {"correlation": self.correlation_}, arrays

    @classmethod
    def from_state(cls, json: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Make the fitted model from what ``state`` returned."""
        model = super().from_state(json, arrays)
        model.correlation_ = float(json.get("correlation", np.nan))
        return model


class _Histories:
    """Purchase histories, equal ones together: the order of customers changes nothing, and many are equal."""

    def __init__(self, x: Floats, recency: Floats, T: Floats) -> None:
        rows = pl.DataFrame({"x": x, "recency": recency, "T": T}).group_by("x", "recency", "T").len("n")
        self.x, self.recency, self.T, self.n = (
            column.to_numpy().astype(np.float64) for column in rows.sort("x", "recency", "T")
        )
        # gamma functions cost most, and depend on the frequency alone
        self.counts, at = np.unique(self.x, return_inverse=True)
        self.customers = np.bincount(at, self.n)

    def log_likelihood(self, theta: Floats) -> tuple[float, Floats]:
        """Log-likelihood of BG/NBD over log parameters (equation 6 of the paper), and its gradient."""
        from scipy.special import digamma, expit, gammaln

        r, alpha, a, b = np.exp(theta)
        x, n, again = self.x, self.n, self.x > 0
        log_end, log_last = np.log(alpha + self.T), np.log(alpha + self.recency)
        stays = -(r + x) * log_end
        leaves = np.where(again, np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * log_last, -np.inf)
        left = np.where(again, expit(np.where(again, leaves - stays, 0.0)), 0.0)  # posterior share of having left
        k, m = self.counts, self.customers
        gammas = gammaln(r + k) - gammaln(r) + gammaln(a + b) - gammaln(a + b + k) + gammaln(b + k) - gammaln(b)
        lost = m @ (digamma(a + b) - digamma(a + b + k))
        gone = float(n @ left)
        slopes = np.array([
            m @ (digamma(r + k) - digamma(r) + np.log(alpha)) - n @ ((1 - left) * log_end + left * log_last),
            m.sum() * r / alpha - n @ ((r + x) * ((1 - left) / (alpha + self.T) + left / (alpha + self.recency))),
            lost + gone / a,
            lost + m @ (digamma(b + k) - digamma(b)) - n @ (left / np.where(again, b + x - 1, 1.0)),
        ])  # fmt: skip
        value = m @ (gammas + r * np.log(alpha)) + n @ np.logaddexp(stays, leaves)
        return float(value), slopes * (r, alpha, a, b)


def _gamma_gamma(theta: Floats, x: Floats, m: Floats) -> tuple[float, Floats]:
    """Log-likelihood of Gamma-Gamma over log parameters, and its gradient."""
    from scipy.special import digamma, gammaln

    p, q, v = np.exp(theta)
    log_sum = np.log(v + x * m)
    rows = gammaln(p * x + q) - gammaln(p * x) - gammaln(q) + q * np.log(v) - np.log(m)
    rows += p * x * (np.log(m) + np.log(x)) - (p * x + q) * log_sum
    both = digamma(p * x + q)
    slopes = (
        x * (both - digamma(p * x) + np.log(m) + np.log(x) - log_sum),
        both - digamma(q) + np.log(v) - log_sum,
        q / v - (p * x + q) / (v + x * m),
    )
    return float(rows.sum()), np.array([slope.sum() for slope in slopes]) * (p, q, v)


def _p_alive(values: tuple[float, ...], x: Floats, recency: Floats, T: Floats) -> Floats:
    from scipy.special import expit

    r, alpha, a, b = values
    again = x > 0
    odds = np.log(b + np.where(again, x, 1.0) - 1) - np.log(a) - (r + x) * np.log((alpha + T) / (alpha + recency))
    return np.where(again, expit(odds), 1.0)


def _if_alive(values: tuple[float, ...], t: Floats, x: Floats, T: Floats) -> Floats:
    """Expected purchases in (T, T + t] of customers who are alive at T.

    With u = t / (α + T), c = a + b + x − 1: c / (a − 1) · [1 − ₂F₁(r + x, a − 1; c; −u)], the paper's equation 10
    without its denominator. Euler's transformation leaves parameters that do not grow with x, so that thousands of
    purchases do not overflow.
    """
    from scipy.special import hyp2f1

    r, alpha, a, b = values
    if abs(a - 1) < NEAR:
        low, high = ((r, alpha, 1 + side * 2 * NEAR, b) for side in (-1, 1))
        return (_if_alive(low, t, x, T) + _if_alive(high, t, x, T)) / 2
    if abs(a + b - 1) < NEAR and not x.all():  # c = 0 without repeat purchase
        low, high = ((r, alpha, a, max(b + side * 2 * NEAR, b / 2)) for side in (-1, 1))
        return (_if_alive(low, t, x, T) + _if_alive(high, t, x, T)) / 2
    u, c = t / (alpha + T), a + b + x - 1
    whole = (1 + u) ** (1 - a) * hyp2f1(c - r - x, a - 1, c, u / (1 + u))
    # rounding may leave a tiny negative number at t near 0
    return np.asarray(np.clip(c / (a - 1) * (1 - whole), 0.0, (r + x) * u))


def _order_value(values: tuple[float, ...], x: Floats, m: Floats) -> Floats:
    p, q, v = values
    weight = p * x + q - 1
    value = p * (v + x * np.where(x > 0, m, 0.0)) / np.where(weight > 0, weight, 1.0)
    return np.where(weight > 0, value, np.inf)


def _one_or_many(*columns: Any) -> tuple[bool, list[Any]]:
    """Whether a single customer is given, as numbers; the columns (of one row, then)."""
    alone = all(np.ndim(column) == 0 and not hasattr(column, "to_numpy") for column in columns)
    return alone, [[column] for column in columns] if alone else list(columns)


def _history(frequency: Any, recency: Any, T: Any) -> tuple[Floats, Floats, Floats]:
    """Read and check the three columns of a purchase history."""
    check_same_rows(frequency=frequency, recency=recency, T=T)
    x = _read_frequency(frequency)
    last, end = (read_numbers(name, one, len(x), least=0) for name, one in (("recency", recency), ("T", T)))
    require("recency", last > end, "is greater than T", last)
    require("recency", (last == 0) & (x > 0), "is 0 although frequency is not", last)
    require("recency", (last > 0) & (x == 0), "is not 0 although frequency is", last)
    return x, last, end


def _spending(frequency: Any, monetary: Any) -> tuple[Floats, Floats]:
    check_same_rows(frequency=frequency, monetary=monetary)
    x = _read_frequency(frequency)
    m = read_numbers("monetary", monetary, len(x), nulls=True)
    require("monetary", (x > 0) & ~(m > 0), "of repeat buyers is null or not above 0", m)
    return x, m


def _read_frequency(frequency: Any) -> Floats:
    x = read_numbers("frequency", frequency, least=0)
    require("frequency", x != np.floor(x), "is not a whole number", x)
    return x


def _ahead(t: Any, size: int | None) -> Floats:
    if np.ndim(t) == 0 and isinstance(t, (int, float)):
        if not 0 <= t < np.inf:
            raise SpecError("bad_value", "t is not a finite time from 0")
        return np.asarray(t, np.float64)
    return read_numbers("t", t, size, least=0)
