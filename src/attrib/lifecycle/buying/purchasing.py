"""What all models of repeat purchases share: customers buy at a rate of their own until they leave, mostly unseen.

A model says, of a purchase history until T, how likely it is together with the customer being there at T, and together
with having left by then (`Branches`). All else follows: the likelihood, P(alive), expected purchases. Of those who
leave, a share may say so (cancel), the same chance for all, and the others just stay away: a customer who is known to
have cancelled has left, and one who has not is the more likely to be there, the more leavers cancel.

Times are in any one unit: rates, T, recency and t share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np

from attrib.errors import DataError, SolveError, warn
from attrib.lifecycle.base.beside import Bools, Floats
from attrib.lifecycle.buying.histories import Histories, one_or_many, read_ahead, read_history
from attrib.lifecycle.buying.likelihood import LikelihoodModel, maximise

CANCELLING = "cancelling"  # the parameter: which share of those who leave says so
Told = Literal["nobody", "some", "all"]


@dataclass(frozen=True, slots=True)
class Branches:
    """Logarithms of how likely histories are, and their slopes over the logarithms of the parameters.

    ``alive`` [m]: together with being there at T; ``gone`` [m]: with having left by then, -inf where nobody can.
    ``alive_slopes``, ``gone_slopes`` [k, m]: finite everywhere.
    """

    alive: Floats
    gone: Floats
    alive_slopes: Floats
    gone_slopes: Floats


class PurchaseModel(LikelihoodModel):
    """A model of repeat purchases (non-contractual churn); its kinds differ in how customers leave.

    Attributes
    ----------
    params_ : dict
        The parameters of the kind; where customers had cancelled, also ``cancelling``: the share of those who leave
        that says so.
    standard_errors_ : dict
        From the observed information, by the delta method; 0 for a share that is 1.
    covariance_ : ndarray of float64, shape [k, k]
        Of the logarithms of the parameters, and of the log-odds of ``cancelling`` (left out where it is 1).
    log_likelihood_ : float
        Sum over the customers; it changes with the time unit.
    n_customers_ : int
    """

    _optional: ClassVar[tuple[str, ...]] = (CANCELLING,)
    _called: ClassVar[str]  # what people call the model
    _from_the_start: ClassVar[bool]  # whether customers may leave before a repeat purchase

    @classmethod
    def _start(cls, mean_time: float) -> Floats:
        """Logarithms of the parameters to start from."""
        raise NotImplementedError

    @classmethod
    def _branches(cls, theta: Floats, histories: Histories) -> Branches:
        raise NotImplementedError

    @classmethod
    def _log_odds(cls, values: tuple[float, ...], x: Floats, recency: Floats, T: Floats) -> Floats:
        """Logarithm of the odds of being there at T, if nobody says that they leave: `Branches` alive less gone."""
        raise NotImplementedError

    @classmethod
    def _if_alive(cls, values: tuple[float, ...], t: Floats, x: Floats, T: Floats) -> Floats:
        """Expected purchases in (T, T + t] of customers who are there at T."""
        raise NotImplementedError

    @classmethod
    def _stays(cls, values: tuple[float, ...]) -> float:  # noqa: ARG003 - of some kinds it depends on them
        """Chance of a new customer to be there right after the first purchase."""
        return 1.0

    def fit(self, frequency: Any, recency: Any = None, T: Any = None, cancelled: Any = None) -> Self:
        """Fit to one row a customer.

        Parameters
        ----------
        frequency : array-like of int, shape [n], or frame
            Repeat purchases (days with a purchase, less the first); or a frame with the columns, alone, such as
            `purchase_summary` makes.
        recency : array-like of float, shape [n]
            Time from the first to the last purchase; 0 without repeat purchase.
        T : array-like of float, shape [n]
            Time from the first purchase to the end of observation, also of those who cancelled before it.
        cancelled : array-like of bool, shape [n], optional
            Who is known to have left by the end of observation. Customers who have cancelled stay among the rows: their
            purchases tell of rates, and that they left of leaving.

        Returns
        -------
        PurchaseModel
            Itself.

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
        columns = read_history(frequency, recency, T, cancelled)
        if not len(columns[0]):
            raise DataError("no_rows", "there is no customer to learn from")
        if not (columns[0] > 0).any():
            raise DataError("no_repeats", "no customer bought again", hint="observe them for longer")
        histories = Histories(*columns)
        self._fit_to(histories)
        self._tell(histories)
        return self

    def _fit_to(self, histories: Histories) -> Self:
        """Fit, without a word on what was found."""
        start = self._start(max(float(histories.n @ histories.T) / histories.customers, 1e-300))
        rows = histories.customers

        def summed(told: Told) -> Any:
            def log_likelihood(theta: Floats) -> tuple[float, Floats]:
                each, slopes = self._rows(theta, histories, told)
                return float(histories.n @ each), slopes @ histories.n

            return log_likelihood

        if not (histories.cancelled & self._can_leave(histories.x)).any():
            self._keep(*maximise(summed("nobody"), start, self._names, rows), int(rows))
            return self
        names = (*self._names, CANCELLING)
        try:
            self._keep(*maximise(summed("some"), np.append(start, 0.0), names, rows), int(rows))
        except SolveError as error:
            if CANCELLING not in error.facts.get("parameters", ()):
                raise
            found = maximise(summed("all"), start, self._names, rows)
            branches = self._branches(found[0], histories)
            with np.errstate(over="ignore"):
                silent = np.where(histories.cancelled, 0.0, np.exp(branches.gone - branches.alive))
            if histories.n @ silent > histories.n @ histories.cancelled:  # the likelihood falls towards a share of 1
                raise
            self._keep(*found, int(rows))
            self.params_[CANCELLING], self.standard_errors_[CANCELLING] = 1.0, 0.0
        return self

    def _keep(self, theta: Floats, covariance: Floats, log_likelihood: float, customers: int) -> None:
        from scipy.special import expit

        k = len(self._names)
        super()._keep(theta[:k], covariance[:k, :k], log_likelihood, customers)
        self.covariance_ = covariance
        if len(theta) > k:
            share = float(expit(theta[k]))
            self.params_[CANCELLING] = share
            self.standard_errors_[CANCELLING] = share * (1 - share) * float(np.sqrt(covariance[k, k]))

    def _tell(self, histories: Histories) -> None:
        """Warn of what the model cannot take in."""
        unused = histories.cancelled & ~self._can_leave(histories.x)
        if unused.any():
            warn(
                f"{self._called} lets nobody leave before a repeat purchase: that {histories.n @ unused:,.0f} of "
                f"{histories.customers:,.0f} customers have cancelled without one is not used in the fit (they are not "
                "alive in what it predicts); ModifiedBetaGeoNBD and ParetoNBD can use it"
            )

    @classmethod
    def _can_leave(cls, x: Floats) -> Bools:
        return np.asarray((x > 0) | cls._from_the_start)

    @classmethod
    def _rows(cls, theta: Floats, histories: Histories, told: Told, *, strictly: bool = False) -> tuple[Floats, Floats]:
        """Log-likelihood of each history [m], and its slopes [k, m].

        A cancellation that the model holds for impossible is left out of account, or ``strictly`` of probability 0.
        """
        from scipy.special import expit, log_expit

        k = len(cls._names)
        both = cls._branches(theta[:k], histories)
        odds = float(theta[k]) if told == "some" else 0.0
        silent, says = {"nobody": (0.0, -np.inf), "all": (-np.inf, 0.0)}.get(
            told, (float(log_expit(-odds)), float(log_expit(odds)))
        )
        possible = both.gone > -np.inf
        known = histories.cancelled & possible
        hidden = both.gone + silent
        left = np.where(known, 1.0, np.where(possible, expit(np.where(possible, hidden - both.alive, 0.0)), 0.0))
        each = np.where(known, both.gone + says, np.logaddexp(both.alive, hidden))
        if strictly:
            each = np.where(histories.cancelled & ~cls._can_leave(histories.x), -np.inf, each)
        slopes = (1 - left) * both.alive_slopes + left * both.gone_slopes
        if told == "some":
            share = float(expit(odds))
            slopes = np.vstack([slopes, np.where(known, 1 - share, -left * share)])
        return each, slopes

    def _log_densities(self, histories: Histories) -> Floats:
        """Log-likelihood of each of some histories [m]; -inf where the model holds one for impossible."""
        from scipy.special import logit

        values, k = self._values(), len(self._names)
        theta, told = np.log(values[:k]), "nobody"
        if len(values) > k:
            told = "all" if values[k] == 1 else "some"
            theta = np.append(theta, logit(values[k]))
        elif histories.cancelled.any():  # nobody had cancelled among those of the fit: fewer than one in so many
            theta, told = np.append(theta, -np.log(2.0 * self.n_customers_)), "some"
        return self._rows(theta, histories, told, strictly=True)[0]  # type: ignore[arg-type]

    def p_alive(self, frequency: Any, recency: Any = None, T: Any = None, cancelled: Any = None) -> Floats:
        """Probability that a customer has not left for good at T; 0 for those who have cancelled.

        Parameters
        ----------
        frequency, recency, T, cancelled : array-like, shape [n], or numbers; or one frame
            As in `fit`; T may lie after the end of the data that were fitted.

        Returns
        -------
        ndarray of float64, shape [n]
            A single number for a single customer.
        """
        alone, columns = one_or_many(frequency, recency, T, cancelled)
        self._check_told(columns[3])
        found = self._alive(self._values(), *columns)
        return found[0] if alone else found

    def expected_purchases(
        self, t: Any, frequency: Any, recency: Any = None, T: Any = None, cancelled: Any = None
    ) -> Floats:
        """Expected purchases in (T, T + t], given the history; 0 for those who have cancelled.

        Parameters
        ----------
        t : float or array-like, shape [n]
            Time ahead.
        frequency, recency, T, cancelled : array-like, shape [n], or numbers; or one frame
            As in `fit`.

        Returns
        -------
        ndarray of float64, shape [n]
            A single number for a single customer and t. One customer may have several t.
        """
        alone, (x, last, end, gone) = one_or_many(frequency, recency, T, cancelled)
        values = self._values()
        self._check_told(gone)
        ahead = read_ahead(t, None if alone else len(x))
        found = self._alive(values, x, last, end, gone) * self._if_alive(values, ahead, x, end)
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
        values, ahead = self._values(), read_ahead(np.atleast_1d(t), None)
        none = np.zeros(len(ahead))
        return np.asarray(self._stays(values) * self._if_alive(values, ahead, none, none))

    @classmethod
    def _alive(cls, values: tuple[float, ...], x: Floats, recency: Floats, T: Floats, gone: Bools) -> Floats:
        from scipy.special import expit

        silent = 1.0 - values[len(cls._names)] if len(values) > len(cls._names) else 1.0
        log_silent = np.log(silent) if silent > 0 else -np.inf
        return np.where(gone, 0.0, expit(cls._log_odds(values, x, recency, T) - log_silent))

    def _check_told(self, gone: Bools) -> None:
        """Warn where customers have cancelled, and the model has learned of nobody who did."""
        if gone.any() and CANCELLING not in self.params_:
            warn(
                f"{gone.sum():,} of {len(gone):,} customers have cancelled, and the {self._called} was fitted without "
                "knowing of any: it takes the others for alive less than they are; fit it with cancelled as well"
            )

    def _values(self) -> tuple[float, ...]:
        self._check_fitted("params_")
        return tuple(self.params_[name] for name in (*self._names, *self._optional) if name in self.params_)

    @classmethod
    def _free(cls, params: dict[str, float]) -> int:
        return len(params) - (params.get(CANCELLING) == 1.0)

    def _unbounded(self) -> Floats:
        """As of the others; ``cancelling``, a share, by its log-odds, and not at all where it is 1."""
        from scipy.special import logit

        values, k = np.array(self._values()), len(self._names)
        return np.append(np.log(values[:k]), logit(values[k:]))[: len(self.covariance_)]

    def _bounded(self, unbounded: Floats) -> Floats:
        from scipy.special import expit

        (n, varied), k = unbounded.shape, len(self._names)
        found = np.ones((n, len(self._values())))  # a share that is 1 stays so
        found[:, :k] = np.exp(unbounded[:, :k])
        found[:, k:varied] = expit(unbounded[:, k:])
        return found
