"""Gamma-Gamma: what an order of a customer is worth, apart from how often they buy."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from attrib.errors import DataError, SpecError, brief, warn
from attrib.lifecycle.base.beside import Bools, Floats, check_same_rows, read_numbers, require
from attrib.lifecycle.buying.histories import is_alone, read_frequency
from attrib.lifecycle.buying.likelihood import LikelihoodModel, columns_of, maximise
from attrib.values import REPLICATES, check_seed, generator

CORRELATED = 0.2  # of frequency and monetary, beyond which their independence is in doubt
UNSTABLE = 1.2  # up to this q the mean exists, and hangs on a tail that few customers have shown
STAND_INS = ("pooled", "median")
_CAP = 0.99  # quantile of the customers' means that a warning proposes as a cap


class GammaGamma(LikelihoodModel):
    """Gamma-Gamma model of the mean order value, which it takes as independent of how often a customer buys.

    Means of heavy-tailed values need not exist: where p · frequency + q is at most 1, for new customers where q is, the
    expected value of the model is infinite. There another number stands in its place, with a warning.

    Parameters
    ----------
    no_mean : {"pooled", "median"}
        What stands in: the mean of all repeat orders that were seen, or the median of the model for such a customer,
        which always exists and is smaller than any mean.
    cap : float, optional
        Mean values above it are taken as it, in `fit` and in what is expected.

    Attributes
    ----------
    params_ : dict
        ``p``, ``q`` (shapes) and ``v`` (γ of the paper, in money).
    standard_errors_, covariance_, log_likelihood_
        As of :class:`BetaGeoNBD`.
    correlation_ : float
        Of frequency and monetary among the repeat buyers; `fit` warns beyond ±0.2 (0.12 in the published CDNOW data).
    pooled_mean_, pooled_error_ : float or None
        Mean of all repeat orders, and its standard error over customers; None for models saved by older versions.

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
    pooled_mean_: float | None = None
    pooled_error_: float | None = None

    def __init__(self, no_mean: str = "pooled", cap: float | None = None) -> None:
        self.no_mean, self.cap = no_mean, cap

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
            ``bad_argument``, ``bad_parameter``.
        SolveError
            ``not_identified``, ``not_converged``.

        Warns
        -----
        AttribWarning
            Where values and frequencies are not independent, and where new customers have no mean, or an unstable one.
        """
        self._check_parameters()
        x, m = read_spending(*columns_of(frequency=frequency, monetary=monetary))
        x, m = x[x > 0], m[x > 0]
        if not len(x):
            raise DataError("no_repeats", "no customer bought again: order values cannot be learned")
        proposed = float(np.quantile(m, _CAP))
        m = self._capped(m)
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
        pooled = float(x @ m / x.sum())
        self.pooled_mean_ = pooled
        self.pooled_error_ = float(np.sqrt(((x * (m - pooled)) ** 2).sum()) / x.sum())
        self._tell(proposed)
        return self

    def _tell(self, proposed: float) -> None:
        """Warn where new customers have no mean, or one that the data hardly determine."""
        p, q, v = self._values()
        ways = f"cap the values (cap={proposed:.6g} takes the highest 1 % of the customers' means as that)"
        other = next(name for name in STAND_INS if name != self.no_mean)
        if q <= 1:
            warn(
                f"q = {q:.3g} is at most 1: the mean order value of new customers is infinite by the Gamma-Gamma "
                f"model, for the values have a heavy tail; {self._stand_in()} stands in its place. {ways.capitalize()}"
                f", or choose no_mean={other!r}"
            )
        elif q <= UNSTABLE:
            pooled = float(self.pooled_mean_ or np.nan)
            warn(
                f"q = {q:.3g} (± {self.standard_errors_['q']:.2g}) is barely above 1, where the mean order value of "
                f"new customers, {p * v / (q - 1):,.2f} by the Gamma-Gamma model, becomes infinite: it is unstable "
                f"(the mean of all repeat orders is {pooled:,.2f}); {ways}"
            )

    def _stand_in(self) -> str:
        if self.no_mean == "pooled" and self.pooled_mean_ is not None:
            return f"the mean of all repeat orders, {self.pooled_mean_:,.2f},"
        return "the median of the model"

    def _check_parameters(self) -> None:
        if self.no_mean not in STAND_INS:
            raise SpecError("bad_parameter", f"no_mean = {brief(self.no_mean)} is not one of {', '.join(STAND_INS)}")
        cap = self.cap
        fine = cap is None or (isinstance(cap, (int, float)) and not isinstance(cap, bool) and 0 < cap < np.inf)
        if not fine:
            raise SpecError("bad_parameter", f"cap = {brief(cap)} is not an amount above 0")

    def _capped(self, m: Floats) -> Floats:
        return m if self.cap is None else np.minimum(m, self.cap)

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
            Finite. Where the model has no mean (p·x + q ≤ 1), what ``no_mean`` says stands in its place, with a
            warning. A single number for a single customer.
        """
        self._check_fitted("params_")
        frequency, monetary = columns_of(("monetary",), frequency=frequency, monetary=monetary)
        alone = is_alone(frequency, monetary)
        if alone:
            frequency, monetary = [frequency], [monetary]
        x, m = read_spending(frequency, monetary)
        without = self._without_mean(x)
        self._tell_of(without)
        found = self._worth(self._values(), x, self._capped(m), without, self.pooled_mean_)
        return found[0] if alone else found

    def _without_mean(self, x: Floats) -> Bools:
        """Which customers have no mean by the model."""
        p, q, _ = self._values()
        return np.asarray(p * x + q <= 1)

    def _tell_of(self, without: Bools) -> None:
        if without.any():
            warn(
                f"{without.sum():,} of {len(without):,} customers have no mean order value by the Gamma-Gamma model "
                f"(it is infinite, for p · frequency + q is at most 1): {self._stand_in()} stands in its place"
            )

    def _worth(self, values: tuple[float, ...], x: Floats, m: Floats, without: Bools, pooled: float | None) -> Floats:
        """Order values by some parameters: infinite without a mean, or what stands in for those ``without`` by ours."""
        p, q, v = values
        weight = p * x + q - 1
        total = v + x * np.where(x > 0, m, 0.0)
        found = np.where(weight > 0, p * total / np.where(weight > 0, weight, 1.0), np.inf)
        if not without.any():
            return found
        if self.no_mean == "pooled" and pooled is not None:
            return np.where(without, pooled, found)
        return np.where(without, _median(p, weight + 1, total), found)

    def _pooled_draws(self, n: int, seed: int) -> list[float | None]:
        """The pooled mean as uncertain as it is, normal in its logarithm."""
        if self.pooled_mean_ is None or self.pooled_error_ is None:
            return [None] * n
        normal = generator(check_seed(seed), REPLICATES, len(self._names) + self._stream).standard_normal(n)
        return list(self.pooled_mean_ * np.exp(normal * self.pooled_error_ / self.pooled_mean_))

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """What was learned, for saving: numbers that JSON holds exactly, and arrays."""
        plain, arrays = super().state()
        more = {"correlation": self.correlation_, "pooled_mean": self.pooled_mean_, "pooled_error": self.pooled_error_}
        return plain | more, arrays

    @classmethod
    def from_state(cls, json: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Make the fitted model from what ``state`` returned."""
        model = super().from_state(json, arrays)
        try:
            model._check_parameters()  # noqa: SLF001 - a model of this class
            model.correlation_ = float(json.get("correlation", np.nan))
            for name in ("pooled_mean", "pooled_error"):
                value = json.get(name)
                setattr(model, f"{name}_", None if value is None else float(value))
        except (SpecError, TypeError, ValueError) as error:
            raise DataError("bad_state", f"this is no saved {cls.__name__}: {str(error)[:200]}") from error
        if model.pooled_mean_ is not None and not 0 < model.pooled_mean_ < np.inf:
            raise DataError("bad_state", f"this is no saved {cls.__name__}: its numbers are out of range")
        return model


def _median(p: float, shape: Floats, total: Floats) -> Floats:
    """Median of p / ν with ν from Gamma(shape, total): the mean order value of a customer of whom so much was seen."""
    from scipy.special import gammaincinv

    rate = np.maximum(gammaincinv(shape, 0.5), np.finfo(np.float64).tiny)  # not 0 for the smallest of shapes
    return np.asarray(np.minimum(p * total / rate, np.finfo(np.float64).max))


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


def read_spending(frequency: Any, monetary: Any) -> tuple[Floats, Floats]:
    """Read and check repeat purchases and their mean values.

    Raises
    ------
    DataError
        Those of `read_numbers`.
    """
    check_same_rows(frequency=frequency, monetary=monetary)
    x = read_frequency(frequency)
    m = read_numbers("monetary", monetary, len(x), nulls=True)
    require("monetary", (x > 0) & ~(m > 0), "of repeat buyers is null or not above 0", m)
    return x, m
