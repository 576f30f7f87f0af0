"""What customers with a contract are worth: the payments ahead × the probability to be still there, discounted."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import polars as pl

from attrib.errors import AttribWarning, SpecError
from attrib.lifecycle.base.beside import Floats, check_same_rows, read_numbers
from attrib.lifecycle.buying.lifetime import already_paid, ids_of, number
from attrib.lifecycle.contractual.survival import SurvivalChurn
from attrib.values import MOST_DRAWS, normal_quantile, whole_number

_ROWS = 20_000  # customers at a time, which bounds memory


def contract_value(
    model: SurvivalChurn,
    X: Any,
    margin: Any,
    horizon: int,
    *,
    conditional_after: Any = None,
    period: float = 1.0,
    discount: float = 0.0,
    customer_id: Any = None,
    past: Any = None,
    level: float | None = 0.95,
) -> pl.DataFrame:
    """Discounted value of customers who pay for as long as they stay, in expectation: survival × margin.

    What lies ahead is the sum over k = 1 … `horizon` of margin × S(s + k·period | x) / S(s | x) ×
    (1 + discount)^(−k·period), with s how long the customer has been there now: they pay at the end of each period in
    which they have not left. Without `past` that is the **residual** value, with it the **whole** value past + ahead,
    as `attrib.retention_adjusted` takes it.

    Parameters
    ----------
    model : SurvivalChurn
        Fitted.
    X : frame
        Features [n], as of its ``predict_churn``; None for Kaplan–Meier, with `conditional_after`.
    margin : float or array-like [n]
        What is kept of the payment of one period, from 0.
    horizon : int
        Periods ahead.
    conditional_after : array-like, float or str, optional
        How long each customer has been there now [n]; a text names a column of X. Without: new customers, some of whom
        may leave at once.
    period : float
        Length of a period, in the time unit of the model.
    discount : float
        Rate for one time unit of the model: of 10 % a year, in months, ``1.1 ** (1 / 12) - 1``.
    customer_id : array-like [n], optional
        Kept as first column.
    past : array-like of float [n], optional
        What was kept of each customer's payments up to now, the first one included; not multiplied by the margin.
    level : float or None
        Of the intervals; None for none.

    Returns
    -------
    polars.DataFrame
        A row for each customer: ``customer_id`` (if given), ``periods`` (expected number of payments ahead), with
        `past` ``past`` and ``ahead``, and ``value``; then ``low, high``, the interval of the expected value (of the
        curve, not of the customer's luck), as of `SurvivalChurn.predict_churn`, on the logistic scale of the share of
        all payments. Null where the model says that nobody is there so long; ``low, high`` also where nobody of
        training left in that time, and of models that were saved before they kept what intervals need.

    Raises
    ------
    SpecError
        ``bad_value``, ``not_fitted``.
    DataError
        Those of columns, and of `SurvivalChurn.predict_churn`.

    Warns
    -----
    AttribWarning
        Where payments lie beyond the longest duration of training: Cox and Kaplan–Meier then count too many.

    References
    ----------
    Gupta, S., & Lehmann, D. R. (2003). Customers as assets. Journal of Interactive Marketing, 17(1), 9–24.

    Fader, P. S., & Hardie, B. G. S. (2010). Customer-base valuation in a contractual setting. Marketing Science,
    29(1), 85–93.

    Examples
    --------
    >>> months, left = [1, 2, 2, 3, 5, 6, 8, 8], [1, 1, 0, 1, 1, 0, 1, 0]
    >>> curve = SurvivalChurn("kaplan_meier").fit(None, months, left)
    >>> worth = contract_value(curve, None, 10.0, 3, conditional_after=[0.0, 2.0], customer_id=["ann", "bob"])
    >>> worth.drop("low", "high").with_columns(pl.selectors.float().round(3)).rows()
    [('ann', 2.225, 22.25), ('bob', 2.2, 22.0)]
    >>> worth.select("low", "high").with_columns(pl.all().round(0)).row(0)
    (13.0, 27.0)
    """
    if not isinstance(model, SurvivalChurn):
        raise SpecError("bad_value", f"model is a {type(model).__name__}, not a SurvivalChurn")
    check_same_rows(X=X, margin=margin, customer_id=customer_id, past=past)
    periods = whole_number("horizon", horizon, 1, MOST_DRAWS, key="bad_value")
    length, rate = number("period", period, 1e-9), number("discount", discount, 0.0)
    there = 1 - model.predict_churn(X, periods * length, conditional_after)  # the last payment: it warns for all
    paying, ahead = there, there * (1 + rate) ** (-periods * length)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AttribWarning)
        for k in range(1, periods):
            there = 1 - model.predict_churn(X, k * length, conditional_after)
            paying, ahead = paying + there, ahead + there * (1 + rate) ** (-k * length)
    kept = _margin(margin, len(there))
    paid = already_paid(past, len(there))
    worth = kept * ahead
    columns = {
        **ids_of(customer_id, len(there)),
        "periods": paying,
        **({} if paid is None else {"past": paid, "ahead": worth}),
        "value": worth if paid is None else paid + worth,
    }
    if level is not None:
        shares = _interval(model, X, conditional_after, periods, length, rate, normal_quantile(level), ahead)
        low, high = (kept * share for share in shares)
        columns |= {"low": low if paid is None else paid + low, "high": high if paid is None else paid + high}
    return pl.DataFrame(columns).with_columns(pl.selectors.float().fill_nan(None))


def _interval(
    model: SurvivalChurn, X: Any, after: Any, periods: int, length: float, rate: float, z: float, ahead: Floats
) -> tuple[Floats, Floats]:
    """Interval of the discounted payments of 1 that are expected, [n] each, with the prediction in it."""
    errors = model._errors  # noqa: SLF001 - one package
    if errors is None:
        return np.full(len(ahead), np.nan), np.full(len(ahead), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AttribWarning)
        _, now, end = model._asked(X, periods * length, after)  # noqa: SLF001
        matrix = model._matrix(X, len(now))  # noqa: SLF001
    start = end - periods * length
    most = sum((1 + rate) ** (-k * length) for k in range(1, periods + 1))
    low, high = np.empty(len(now)), np.empty(len(now))
    for first in range(0, len(now), _ROWS):
        some = slice(first, first + _ROWS)
        value, gradient = np.zeros(len(now[some])), np.zeros(())
        for k in range(1, periods + 1):
            grown, slope = errors.change(matrix[some], now[some], start[some] + k * length)
            there = np.exp(-grown) * (1 + rate) ** (-k * length)
            with np.errstate(invalid="ignore"):  # where nobody is there any more, the growth is infinite
                moved = np.where(grown > 0, there * grown, 0.0)  # before anybody leaves nothing is unknown
                value, gradient = value + there, gradient - moved[:, None] * np.where(moved[:, None] > 0, slope, 0.0)
        share = value / most
        with np.errstate(divide="ignore", invalid="ignore"):
            wide = z * errors.spread(gradient) / most / (share * (1 - share))
            middle = np.log(share / (1 - share))
            low[some], high[some] = (most / (1 + np.exp(-middle - side * wide)) for side in (-1, 1))
    return np.minimum(low, ahead), np.maximum(high, ahead)


def _margin(margin: Any, rows: int) -> Floats:
    return read_numbers("margin", np.full(rows, margin) if np.ndim(margin) == 0 else margin, rows, least=0)
