"""How much of what a survival model found holds for customers whom it has not seen: the calibration slope."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import AttribWarning, DataError, SolveError
from attrib.extras import needs
from attrib.io.ids import rank_ids
from attrib.lifecycle.base.design import linear
from attrib.lifecycle.contractual.episodes import Episodes
from attrib.lifecycle.contractual.hazards import PARAMETRIC, coefficients
from attrib.lifecycle.contractual.riskset import schoenfeld

Floats = npt.NDArray[np.float64]
PENALIZERS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)  # that are tried where a fit fails
_WIDEST = 700.0  # spread of linear predictors whose exponentials are still numbers


def calibration_slope(
    model: str, penalizer: float, names: list[str], matrix: Floats, rows: Episodes, folds: int, seed: int
) -> float:
    """Fit in folds of customers, and regress the outcome on the linear predictors of those who were left out.

    Parameters
    ----------
    model, penalizer, names, matrix, rows
        As of `coefficients`; rows of one customer are never on both sides.
    folds, seed : int

    Returns
    -------
    float
        From 0 (what was found says nothing of strangers) to 1 (all of it holds).

    Raises
    ------
    DataError
        ``too_few_events`` where fewer customers left than there are folds.
    SolveError
        ``no_convergence`` in a fold.
    """
    unseen = _unseen(model, penalizer, names, matrix, rows, fold_of(rows, folds, seed), folds)
    return _slope(model, unseen, rows)


def advised(
    error: SolveError,
    model: str,
    penalizer: float,
    names: list[str],
    matrix: Floats,
    rows: Episodes,
    dealt: tuple[int, int] | None,
) -> SolveError:
    """The same error with a next step that was tried: the least penalizer, or the columns to leave out, that fits.

    ``dealt``: folds and seed of the calibration, if there is one.
    """  # fmt: skip

    def fits(penalty: float, kept: list[int]) -> bool:
        given = model, penalty, [names[j] for j in kept], matrix[:, kept], rows
        try:
            _quietly(*given)
            if dealt is not None:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", AttribWarning)
                    calibration_slope(*given, *dealt)
        except SolveError:
            return False
        return True

    every = list(range(len(names)))
    enough = next((penalty for penalty in PENALIZERS if penalty > penalizer and fits(penalty, every)), None)
    taken = set(error.facts.get("columns", ()))
    known = () if rows.features is None else rows.features.columns
    rest = [j for j in every if names[j] not in taken]
    steps = ["calibration=None does without"] if "calibration=None" in error.hint else []
    steps += [] if enough is None else [f"penalizer={enough:g} (in a model file: [parameters] penalizer = {enough:g})"]
    if taken and rest and taken <= set(known) and fits(penalizer, rest):
        steps.append(f"leave out all of {sorted(taken)}, in Python")
    hint = ", or ".join(steps) or "fewer features: no penalizer up to 100 holds these"
    return SolveError(error.key, error.message, hint=hint, **error.facts)


def _slope(model: str, unseen: Floats, rows: Episodes) -> float:
    if np.ptp(unseen) == 0:
        return 0.0
    if model in PARAMETRIC:
        try:
            found, _ = _quietly(model, 0.0, ["linear predictor"], unseen[:, None], rows)
        except SolveError as error:
            raise _failed("on linear predictors out of fold", error) from error
        return float(np.clip(found[0], 0.0, 1.0))
    if np.ptp(unseen) > _WIDEST:
        text = f"linear predictors out of fold spread over {np.ptp(unseen):.3g}: coefficients are held by nothing"
        raise SolveError("no_convergence", text, hint="a larger penalizer (0.01)")
    unseen = unseen - unseen.max()

    def gradient(slope: float) -> float:
        """Of Efron's partial likelihood, which is concave, so that its sign says on which side the top is."""
        return float(schoenfeld(unseen[:, None], np.exp(slope * unseen), rows.duration, rows.event, rows.entry).sum())

    if gradient(0.0) <= 0:
        return 0.0
    if gradient(1.0) >= 0:
        return 1.0
    from scipy.optimize import brentq

    return float(brentq(gradient, 0.0, 1.0, xtol=1e-9))


def fold_of(rows: Episodes, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Deal customers into folds, those who left evenly, [n] from 0: all rows of a customer are in one fold.

    Raises
    ------
    DataError
        ``too_few_events``.
    """
    customer: npt.NDArray[np.int64] = rank_ids(rows.customer).to_numpy().astype(np.int64)
    left = np.zeros(rows.customer.n_unique(), np.bool_)
    left[customer[rows.event]] = True
    if left.sum() < folds:
        raise DataError(
            "too_few_events",
            f"{left.sum()} customers left: too few for the {folds} folds of the calibration",
            hint="more data, fewer folds (at least 2), or calibration=None",
        )
    order = np.random.default_rng(seed).permutation(len(left))
    order = order[np.argsort(~left[order], kind="stable")]
    out = np.empty(len(left), np.int64)
    out[order] = np.arange(len(left)) % folds
    dealt: npt.NDArray[np.int64] = out[customer]
    return dealt


def shrunk(model: str, slope: float, found: Floats, matrix: Floats, rows: Episodes) -> Floats:
    """Shrink a fit about the means of its columns: coefficients times the slope, location and shape found again.

    Parameters
    ----------
    model : str
    slope : float
        From `calibration_slope`.
    found : numpy.ndarray
        Of `coefficients`.
    matrix : numpy.ndarray
        float64 [n, p].
    rows : Episodes
        Durations, events and entries [n].
    """
    if slope == 1:
        return found
    if model not in PARAMETRIC:
        return slope * found
    slopes, center = slope * found[:-2], matrix.mean(axis=0)
    location, shape = _without_features(model, linear(matrix - center, slopes), rows)
    # the intercept is where all columns are 0; what the data hold fast is the location at their means
    return np.append(slopes, [location - float(slopes @ center), shape])


def _without_features(model: str, predictor: Floats, rows: Episodes) -> tuple[float, float]:
    """Location and logarithm of the shape where the rest is given: times on the clock of each customer have no more."""
    lifelines = needs("lifelines")
    fitter = {"weibull": "WeibullFitter", "lognormal": "LogNormalFitter"}[model]
    pace = np.exp(-predictor)
    entry = None if rows.entry is None else np.maximum(rows.entry, 0.0) * pace
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            fitted = getattr(lifelines, fitter)().fit(rows.duration * pace, rows.event, entry=entry)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            raise _failed("of location and shape", SolveError("no_convergence", str(error)[:200])) from error
    if model == "weibull":
        return float(np.log(fitted.lambda_)), float(np.log(fitted.rho_))
    return float(fitted.mu_), float(np.log(fitted.sigma_))


def _unseen(
    model: str,
    penalizer: float,
    names: list[str],
    matrix: Floats,
    rows: Episodes,
    fold: npt.NDArray[np.int64],
    folds: int,
) -> Floats:
    """Linear predictor of each row about the means, by a model of the other folds, [n]."""
    centred = matrix - matrix.mean(axis=0)
    out = np.empty(len(matrix))
    for number in range(folds):
        rest, test = fold != number, fold == number
        varies = np.flatnonzero(np.ptp(matrix[rest], axis=0) > 0)  # a rare category may be in one fold only
        if not len(varies):
            out[test] = 0.0
            continue
        entry = None if rows.entry is None else rows.entry[rest]
        part = Episodes(None, rows.duration[rest], rows.event[rest], entry, rows.customer.filter(pl.Series(rest)))
        try:
            found, _ = _quietly(model, penalizer, [names[j] for j in varies], matrix[np.ix_(rest, varies)], part)
        except SolveError as error:
            raise _failed(f"without fold {number + 1} of {folds}", error) from error
        out[test] = linear(centred[np.ix_(test, varies)], found[: len(varies)])
    return out


def _quietly(model: str, penalizer: float, names: list[str], matrix: Floats, rows: Episodes) -> tuple[Floats, Floats]:
    """Fit; what the whole data would say too was said of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AttribWarning)
        return coefficients(model, penalizer, names, matrix, rows)


def _failed(where: str, error: SolveError) -> SolveError:
    hint = f"{error.hint}; " if error.hint else ""
    return SolveError(error.key, f"calibration {where}: {error.message}", hint=f"{hint}calibration=None does without")
