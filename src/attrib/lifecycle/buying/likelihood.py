"""Maximum likelihood of a few positive parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError, SolveError, SpecError
from attrib.io.collecting import as_frame, collect_table
from attrib.lifecycle.base.estimator import Estimator
from attrib.schemas import require_columns
from attrib.values import REPLICATES, check_seed, generator

Floats = npt.NDArray[np.float64]
REACH = 10.0  # a parameter may differ from its start by e^10, about 22,000 times
VAGUE = 10.0  # standard error of a log parameter beyond which the data say nothing about it
FLAT = 1e-6  # largest slope per row at a maximum
STEP = 1e-4  # of the differences that give the Hessian: their error is about STEP²


def maximise(
    log_likelihood: Callable[[Floats], tuple[float, Floats]], start: Floats, names: Sequence[str], rows: float
) -> tuple[Floats, Floats, float]:
    """Maximise a log-likelihood over the logarithms of its parameters.

    Parameters
    ----------
    log_likelihood : callable
        From log parameters [k] to (sum over the rows, its gradient [k]).
    start : ndarray of float64, shape [k]
        Log parameters to start from.
    names : sequence of str
        Names of the parameters, for messages.
    rows : float
        Number of rows, so that tolerances do not depend on it.

    Returns
    -------
    tuple of (ndarray, ndarray, float)
        Log parameters [k], their covariance [k, k] (inverse of the observed information), the log-likelihood.

    Raises
    ------
    SolveError
        ``not_identified`` where a parameter runs away or the data say nothing about it, ``not_converged``.
    """
    from scipy.optimize import minimize

    def objective(theta: Floats) -> tuple[float, Floats]:
        value, slope = log_likelihood(theta)
        return -value / rows, -slope / rows

    bounds = [(value - REACH, value + REACH) for value in start]
    options = {"maxiter": 2_000, "maxfun": 5_000, "ftol": 1e-15, "gtol": 1e-9}
    theta = np.asarray(
        minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x, np.float64
    )
    lost = [name for name, value, origin in zip(names, theta, start, strict=True) if abs(value - origin) > REACH - 1e-3]
    if lost:
        raise _not_identified(lost)
    theta = _newton(objective, theta)
    value, slope = objective(theta)
    information = _hessian(objective, theta)
    steepest = float(np.abs(slope).max()) if np.isfinite(slope).all() else np.inf
    if not np.isfinite(value) or steepest > FLAT or not np.isfinite(information).all():
        raise SolveError(
            "not_converged",
            f"the likelihood has no maximum within reach: slope {steepest:.2g} per row at "
            + ", ".join(f"{name} = {np.exp(one):.4g}" for name, one in zip(names, theta, strict=True)),
            hint="check the time unit and whether the data hold enough repeat buyers",
        )
    if np.linalg.eigvalsh(information)[0] <= 0:
        raise _not_identified(list(names))
    covariance = np.linalg.inv(information) / rows
    vague = [name for name, variance in zip(names, np.diag(covariance), strict=True) if not variance < VAGUE**2]
    if vague:
        raise _not_identified(vague)
    return theta, (covariance + covariance.T) / 2, -value * rows


def _not_identified(names: list[str]) -> SolveError:
    return SolveError(
        "not_identified",
        f"the data do not determine {', '.join(names)}: the likelihood is flat or rises without end",
        hint="customers may be too few or too alike: use more of them, or a longer time",
        parameters=names,
    )


def _newton(objective: Callable[[Floats], tuple[float, Floats]], theta: Floats) -> Floats:
    """Last digits: steps of Newton while they help."""
    value, slope = objective(theta)
    for _ in range(10):
        information = _hessian(objective, theta)
        if not np.isfinite(information).all() or np.linalg.eigvalsh(information)[0] <= 0:
            break
        step = np.linalg.solve(information, slope)
        if np.abs(step).max() > 1:
            break
        then, then_slope = objective(theta - step)
        if not then <= value + 1e-12 * abs(value) or not np.abs(then_slope).max() < np.abs(slope).max():
            break
        theta, value, slope = theta - step, then, then_slope
    return theta


def _hessian(objective: Callable[[Floats], tuple[float, Floats]], theta: Floats) -> Floats:
    """Differences of the gradient."""
    steps = STEP * np.eye(len(theta))
    rows = [(objective(theta + step)[1] - objective(theta - step)[1]) / (2 * STEP) for step in steps]
    matrix = np.array(rows)
    return np.asarray((matrix + matrix.T) / 2)


class LikelihoodModel(Estimator):
    """A model of a few positive parameters, fitted by maximum likelihood."""

    _names: ClassVar[tuple[str, ...]]
    _optional: ClassVar[tuple[str, ...]] = ()  # parameters that not every fit has
    _stream: ClassVar[int]  # of random numbers: models drawn with the same seed are independent
    params_: dict[str, float]
    standard_errors_: dict[str, float]
    covariance_: Floats
    log_likelihood_: float
    n_customers_: int

    def _keep(self, theta: Floats, covariance: Floats, log_likelihood: float, customers: int) -> None:
        values = np.exp(theta)
        errors = values * np.sqrt(np.diag(covariance))  # delta method
        self.params_ = {name: float(value) for name, value in zip(self._names, values, strict=True)}
        self.standard_errors_ = {name: float(error) for name, error in zip(self._names, errors, strict=True)}
        self.covariance_, self.log_likelihood_, self.n_customers_ = covariance, float(log_likelihood), customers

    def _values(self) -> tuple[float, ...]:
        self._check_fitted("params_")
        return tuple(self.params_[name] for name in self._names)

    def draws(self, n: int, seed: int = 0) -> Floats:
        """Parameters as uncertain as the data leave them: normal in their logarithms, shares in their log-odds.

        Parameters
        ----------
        n : int
            How many.
        seed : int
            The same seed gives the same draws.

        Returns
        -------
        ndarray of float64, shape [n, parameters]
            In the order of ``params_``.
        """
        center = self._unbounded()
        factor = np.linalg.cholesky(self.covariance_)
        normal = generator(check_seed(seed), REPLICATES, self._stream).standard_normal((n, len(center)))
        return self._bounded(center + normal @ factor.T)

    def _unbounded(self) -> Floats:
        """What the fit varied, free of bounds: the logarithms of the parameters."""
        return np.log(self._values())

    def _bounded(self, unbounded: Floats) -> Floats:
        """Parameters, a draw a row, of what the fit varied."""
        return np.asarray(np.exp(unbounded))

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """What was learned, for saving: numbers that JSON holds exactly, and arrays."""
        self._check_fitted("params_")
        plain = {
            "parameters": self.get_params(),
            "params": dict(self.params_),
            "standard_errors": dict(self.standard_errors_),
            "log_likelihood": self.log_likelihood_,
            "n_customers": self.n_customers_,
        }
        return plain, {"covariance": self.covariance_.copy()}

    @classmethod
    def from_state(cls, json: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Make the fitted model from what ``state`` returned; its predictions are the same to the bit.

        Raises
        ------
        DataError
            ``bad_state`` if something is missing or is no positive, finite number.
        """
        try:
            model = cls(**json["parameters"])
            names = (*cls._names, *(name for name in cls._optional if name in json["params"]))
            model.params_ = {name: float(json["params"][name]) for name in names}
            model.standard_errors_ = {name: float(json["standard_errors"][name]) for name in names}
            model.log_likelihood_, model.n_customers_ = float(json["log_likelihood"]), int(json["n_customers"])
            model.covariance_ = np.array(arrays["covariance"], np.float64)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError("bad_state", f"this is no saved {cls.__name__}: {str(error)[:200]}") from error
        size = cls._free(model.params_)
        fine = model.covariance_.shape == (size, size) and np.isfinite(model.covariance_).all()
        if (
            not fine
            or not _is_covariance(model.covariance_)
            or not all(0 < value < np.inf for value in model.params_.values())
            or any(model.params_.get(name, 1.0) > 1.0 for name in cls._optional)
        ):
            raise DataError("bad_state", f"this is no saved {cls.__name__}: its numbers are out of range")
        return model

    @classmethod
    def _free(cls, params: dict[str, float]) -> int:
        """How many of the parameters were estimated."""
        return len(params)


def _is_covariance(matrix: Floats) -> bool:
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True


def is_frame(values: Any) -> bool:
    """Whether it is a table, or a file of one, rather than one column."""
    return isinstance(values, (Mapping, pl.LazyFrame, str, Path)) or hasattr(type(values), "columns")


def columns_of(optional: Sequence[str] = (), /, **given: Any) -> list[Any]:
    """Columns as they were given, or those of one frame, given in place of the first.

    Those that are ``optional`` may be missing from the frame, or stand beside it; then they are None where not given.

    Raises
    ------
    SpecError
        ``bad_argument`` where columns are missing, or stand beside a frame.
    DataError
        ``missing_columns``.

    Examples
    --------
    >>> frame = pl.DataFrame({"customer_id": [7], "frequency": [2], "monetary": [9.5]})
    >>> [column.to_list() for column in columns_of(frequency=frame, monetary=None)]
    [[2], [9.5]]
    """
    names = list(given)
    first, *rest = given.values()
    needed = [name for name in names if name not in optional]
    missing = [name for name in needed[1:] if given[name] is None]
    hint = f"pass the columns {', '.join(needed)}, or one frame that has them"
    if not is_frame(first):
        if missing:
            raise SpecError("bad_argument", f"{', '.join(missing)}: not given", hint=hint)
        return [first, *rest]
    if len(missing) < len(needed) - 1:
        raise SpecError("bad_argument", f"columns are given beside a frame as {names[0]}", hint=hint)
    found = collect_table(as_frame(first, names[0]), "customers")
    require_columns("customers", found.columns, needed)
    return [given[name] if name in optional and given[name] is not None else _column(found, name) for name in names]


def _column(table: pl.DataFrame, name: str) -> pl.Series | None:
    return table[name] if name in table.columns else None
