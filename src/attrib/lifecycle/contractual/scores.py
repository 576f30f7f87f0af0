"""What each customer adds to the estimates of a survival model: scores of coefficients, steps of the baseline.

The sum over customers of products of these is the variance that holds where a customer has several rows, which are
no independent ones (Lin & Wei 1989; Wei, Lin & Weissfeld 1989; of curves: Reid 1981).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.lifecycle.contractual.episodes import Episodes
from attrib.lifecycle.contractual.incidence import Incidence
from attrib.lifecycle.contractual.riskset import RiskTable, step

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
_GRID = 24  # times at which the errors of incidence are looked at


def customer_codes(customer: pl.Series) -> Ints | None:
    """Number of each row's customer, from 0; None where each has one row."""
    return None if customer.n_unique() == len(customer) else customer_numbers(customer)


def customer_numbers(customer: pl.Series) -> Ints:
    """Number of each row's customer, from 0, in their order."""
    numbers: Ints = customer.rank("dense").to_numpy().astype(np.int64) - 1
    return numbers


def by_customer(values: Floats, code: Ints) -> Floats:
    """Sums over the rows of each customer, [customers, …]."""
    out = np.zeros((int(code.max()) + 1, *values.shape[1:]))
    np.add.at(out, code, values)
    return out


def clustered(influence: Floats, code: Ints, left: Bools, fitted: int) -> Floats:
    """Covariance [q, q] of estimates of which each row has an influence [n, q]: the rows of a customer go together.

    Times L / (L − p − 1), with L the number of customers who left and p that of coefficients: residuals of a fit are
    smaller than errors, and it is those who left that tell.
    """
    sums = by_customer(influence, code)
    leavers = len(np.unique(code[left]))
    of_all: Floats = sums.T @ sums * (leavers / max(leavers - fitted - 1, 1))
    return of_all


def cox_scores(matrix: Floats, risk: Floats, rows: Episodes) -> Floats:
    """Score residuals of Cox's model, Efron's for ties, float64 [n, p].

    Parameters
    ----------
    matrix : numpy.ndarray
        float64 [n, p].
    risk : numpy.ndarray
        exp(linear predictor), float64 [n].
    rows : Episodes
    """
    left = np.flatnonzero(rows.event)
    times, of = np.unique(rows.duration[left], return_inverse=True)
    several = len(times)
    order = np.argsort(of, kind="stable")
    tied = np.bincount(of, minlength=several)
    rank = np.empty(len(left))
    rank[order] = np.arange(len(left)) - np.repeat(np.cumsum(tied) - tied, tied)
    share = (rank / tied[of])[:, None]  # of those who leave at the same time, gone before this one
    weighted = np.column_stack([risk, risk[:, None] * matrix])
    total = np.column_stack([RiskTable.of(rows.duration, rows.event, rows.entry, w).at_risk for w in weighted.T])
    own = np.zeros_like(total)
    np.add.at(own, of, weighted[left])
    sums = total[of] - share * own[of]
    rate, means = 1 / sums[:, :1], sums[:, 1:] / sums[:, :1]

    def at_each(values: Floats) -> Floats:
        out = np.zeros((several, values.shape[1]))
        np.add.at(out, of, values)
        return out

    both = np.column_stack([rate, rate * means])  # what a row at risk meets: the hazard, and times the mean
    steps, less = at_each(both), at_each(share * both)  # who leaves meets the hazard of a tie in parts
    met = np.vstack([np.zeros(steps.shape[1]), np.cumsum(steps, axis=0)])
    seen = met[np.searchsorted(times, rows.duration, side="right")]
    if rows.entry is not None:
        seen = seen - met[np.searchsorted(times, rows.entry, side="right")]
    seen[left] -= less[of]
    out = -risk[:, None] * (matrix * seen[:, :1] - seen[:, 1:])
    out[left] += matrix[left] - (at_each(means) / tied[:, None])[of]
    return out


def parametric_scores(model: str, matrix: Floats, found: Floats, rows: Episodes) -> Floats:
    """Derivatives of each row's log likelihood by slopes, intercept and logarithm of the shape, [n, p + 2]."""
    location, shape = matrix @ found[:-2] + found[-2], float(np.exp(found[-1]))
    event = rows.event.astype(np.float64)
    entered = np.zeros(len(location), np.bool_) if rows.entry is None else rows.entry > 0
    since = np.where(entered, 1.0 if rows.entry is None else rows.entry, 1.0)
    if model == "weibull":
        now, then = np.log(rows.duration) - location, np.log(since) - location
        hazard, before = np.exp(shape * now), np.where(entered, np.exp(shape * then), 0.0)
        by_location = shape * (hazard - before - event)
        by_shape = event * (1 + shape * now) - shape * (hazard * now - before * then)
    else:
        now, then = (np.log(rows.duration) - location) / shape, (np.log(since) - location) / shape
        hazard, before = _mills(now), np.where(entered, _mills(then), 0.0)
        by_location = (np.where(rows.event, now, hazard) - before) / shape
        by_shape = np.where(rows.event, now**2 - 1, now * hazard) - then * before
    return np.column_stack([by_location[:, None] * matrix, by_location, by_shape])


def _mills(at: Floats) -> Floats:
    """Hazard of the standard normal distribution."""
    from scipy.special import log_ndtr

    density: Floats = np.exp(-(at**2) / 2 - log_ndtr(-at)) / np.sqrt(2 * np.pi)
    return density


def baseline_steps(rows: Episodes, risk: Floats, table: RiskTable, at: Floats, *, product: bool) -> Floats:
    """Influence of each row on the cumulative hazard at given times, coefficients being known, [n, m].

    ``product``: on −log of Kaplan and Meier's product rather than on Breslow's sum.
    """
    jump, drift = _rates(table, product=product)
    spent = np.cumsum(drift)
    out = np.empty((len(risk), len(at)))
    last = np.searchsorted(table.times, rows.duration)
    own = np.append(jump, 0.0)[np.minimum(last, len(jump))]
    for m, time in enumerate(at):
        upto = np.minimum(rows.duration, time)
        met = step(table.times, spent, upto, 0.0)
        if rows.entry is not None:
            met = met - step(table.times, spent, np.minimum(rows.entry, time), 0.0)
        out[:, m] = np.where(rows.event & (rows.duration <= time), own, 0.0) - risk * met
    return out


def _rates(table: RiskTable, *, product: bool) -> tuple[Floats, Floats]:
    """What one more who leaves adds at each time, and what one more at risk takes off; 0 where all leave."""
    n, d = table.at_risk, table.left
    rest = np.where(n > d, n - d, np.inf) if product else n
    return 1 / rest, d / (n * rest)


def incidence_design_effect(rows: Episodes, found: Incidence, code: Ints) -> Floats:
    """How many times wider intervals of incidence are, for rows of a customer go together: by cause and time, [K, J].

    The standard error over customers by that over rows, each from the influence of a row on Aalen and Johansen's
    estimate; at some of the times, and straight between them.
    """
    at = found.times[np.unique(np.linspace(0, len(found.times) - 1, _GRID).round().astype(np.int64))]
    wider = _design_effect(rows, found, code, at)
    return np.array([np.interp(found.times, at, one) for one in wider])


def _design_effect(rows: Episodes, found: Incidence, code: Ints, at: Floats) -> Floats:
    assert rows.cause is not None
    table = found.table()
    jump, drift = _rates(table, product=True)
    before = np.append(1.0, table.survival())[:-1]
    last = np.minimum(np.searchsorted(table.times, rows.duration), len(table.times) - 1)
    causes = rows.cause.drop_nulls().unique().sort()
    out = np.ones((len(causes), len(at)))
    for k, cause in enumerate(causes):
        mine = (rows.cause == cause).fill_null(value=False).to_numpy()
        incidence = np.cumsum(before * found.by_cause[k] / table.at_risk)
        for m, time in enumerate(at):
            upto = int(np.searchsorted(table.times, time, side="right"))
            if not upto:
                continue
            ahead = np.where(np.arange(len(table.times)) < upto, incidence[upto - 1] - incidence, 0.0)
            here = np.arange(len(table.times)) < upto
            spent = np.cumsum(here * (before * found.by_cause[k] / table.at_risk**2 - ahead * drift))
            gone = rows.event & (rows.duration <= time)
            own = np.where(mine, (before / table.at_risk)[last], 0.0) - (ahead * jump)[last]
            met = step(table.times, spent, rows.duration, 0.0)
            if rows.entry is not None:
                met = met - step(table.times, spent, rows.entry, 0.0)
            influence = np.where(gone, own, 0.0) - met
            alone = float(influence @ influence)
            if alone > 0:
                together = by_customer(influence, code)
                out[k, m] = np.sqrt(float(together @ together) / alone)
    return out
