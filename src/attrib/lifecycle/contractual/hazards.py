"""Coefficients by lifelines: what it says on the way is said in our words, about our columns."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import SolveError, warn
from attrib.extras import needs
from attrib.lifecycle.base.calibrated import one_thread
from attrib.lifecycle.base.design import spell
from attrib.lifecycle.contractual.episodes import Episodes

Floats = npt.NDArray[np.float64]
# fitter of lifelines, its names for the parameters of location and of shape
PARAMETRIC = {"weibull": ("WeibullAFTFitter", "lambda_", "rho_"), "lognormal": ("LogNormalAFTFitter", "mu_", "sigma_")}


def coefficients(
    model: str, penalizer: float, names: list[str], matrix: Floats, rows: Episodes
) -> tuple[Floats, Floats]:
    """Fit a model with lifelines.

    Parameters
    ----------
    model : str
        One of the keys of `PARAMETRIC`; anything else is Cox's.
    penalizer : float
        As in lifelines.
    names : list of str
        Of the columns.
    matrix : numpy.ndarray
        float64 [n, p].
    rows : Episodes
        Durations, events and entries [n]; intervals (start, stop] have the partial likelihood of customers who
        enter at the start, so they need no fitter of their own.

    Returns
    -------
    tuple of numpy.ndarray
        Coefficients [p] (then intercept and logarithm of the shape for the parametric models) and their covariance.

    Raises
    ------
    SolveError
        ``no_convergence``.
    """
    if not penalizer and _determined(names, matrix):  # parametric fitters would take any of many solutions
        raise _no_convergence(model, penalizer, names, matrix, rows)
    lifelines, pd = needs("lifelines"), needs("pandas")
    frame = pd.DataFrame({f"x{j}": matrix[:, j] for j in range(len(names))})  # names from data could be formulas
    frame["duration"], frame["event"] = rows.duration, rows.event
    entry = None
    if rows.entry is not None:
        frame["entry"], entry = np.maximum(rows.entry, 0.0) if model in PARAMETRIC else rows.entry, "entry"
    fitter, *groups = PARAMETRIC.get(model, ("CoxPHFitter",))
    # one small product for each time of leaving: with two threads of BLAS that takes twenty times as long
    with warnings.catch_warnings(record=True) as said, np.errstate(all="ignore"), one_thread():
        warnings.simplefilter("always")
        try:
            fitted = getattr(lifelines, fitter)(penalizer=penalizer).fit(frame, "duration", "event", entry_col=entry)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            raise _no_convergence(model, penalizer, names, matrix, rows) from error
    order: list[object] = [f"x{j}" for j in range(len(names))]
    if groups:
        order = [*[(groups[0], name) for name in order], (groups[0], "Intercept"), (groups[1], "Intercept")]
    found = fitted.params_.loc[order].to_numpy(np.float64)
    covariance = fitted.variance_matrix_.loc[order, order].to_numpy(np.float64)
    texts = [str(warning.message) for warning in said]
    if not np.isfinite(found).all() or any("failed to converge" in text for text in texts):
        raise _no_convergence(model, penalizer, names, matrix, rows)
    apart = _separating(names, matrix, rows.event)
    if (penalizer == 0 and apart) or any("norm(delta) is still high" in text for text in texts):
        why = (
            f"{spell(apart)} is the same for all who left or for all who stayed" if apart else "columns are much alike"
        )
        warn(f"coefficients are held by little: {why}; a larger penalizer (0.01) bounds them")
    if not (np.diag(covariance) > 0).all():
        warn(
            "standard errors are not known: the likelihood is flat in some columns; a larger penalizer (0.01) bends it"
        )
    return found, covariance


def trend_test(names: list[str], residuals: Floats, times: Floats, covariance: Floats) -> pl.DataFrame:
    """Test scaled residuals [events, p] for a trend over the (mean) rank of time [events], each feature alone."""
    from scipy.stats import chi2, rankdata

    rank = rankdata(times)
    rank -= rank.mean()
    total, spread = (rank[:, None] * residuals).sum(axis=0), np.diag(covariance) * (rank**2).sum()
    statistic = len(rank) * total**2 / spread
    return pl.DataFrame({"feature": names, "statistic": statistic, "p": chi2.sf(statistic, 1)}).sort("p", "feature")


def _separating(names: list[str], matrix: Floats, event: npt.NDArray[np.bool_]) -> list[str]:
    """Columns that are the same for all who left, or for all who stayed, and so may have no finite coefficient."""
    groups = [group for group in (matrix[event], matrix[~event]) if len(group)]
    return [name for j, name in enumerate(names) if any(np.ptp(group[:, j]) == 0 for group in groups)]


def _determined(names: list[str], matrix: Floats) -> list[str]:
    """Columns that are sums of others: those which a pivoted QR decomposition leaves for last, without length."""
    from scipy.linalg import qr

    spread = matrix.std(axis=0)
    centred = (matrix - matrix.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    # of the correlations: their rank is that of the columns, at the size of p
    triangle, pivots = qr(centred.T @ centred / len(matrix), mode="r", pivoting=True)
    size = np.abs(np.diag(triangle))
    return [names[j] for j in pivots[size < 1e-10 * size[0]]]


def _no_convergence(model: str, penalizer: float, names: list[str], matrix: Floats, rows: Episodes) -> SolveError:
    """Name the columns that others determine, or that tell leavers from stayers without fail."""
    given, apart = _determined(names, matrix), _separating(names, matrix, rows.event)
    why = [f"determined by other columns: {spell(given)}"] * bool(given)
    why += [f"the same for all who left or for all who stayed: {spell(apart)}"] * bool(apart)
    return SolveError(
        "no_convergence",
        f"{model} finds no coefficients for {len(names)} columns" + (f" ({'; '.join(why)})" if why else ""),
        hint=f"a larger penalizer ({max(10 * penalizer, 0.01):g}), or leave these columns out",  # tried by `advised`
        columns=[*given, *apart],
    )
