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
from attrib.values import whole_number


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
        How long each customer has been there now [n]; a text names a column of X. By default 0: new customers.
    period : float
        Length of a period, in the time unit of the model.
    discount : float
        Rate for one time unit of the model: of 10 % a year, in months, ``1.1 ** (1 / 12) - 1``.
    customer_id : array-like [n], optional
        Kept as first column.
    past : array-like of float [n], optional
        What was kept of each customer's payments up to now, the first one included; not multiplied by the margin.

    Returns
    -------
    polars.DataFrame
        A row for each customer: ``customer_id`` (if given), ``periods`` (expected number of payments ahead), with
        `past` ``past`` and ``ahead``, and ``value``. Null where the model says that nobody is there so long. There are
        no intervals: the curve is taken as known.

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
    >>> worth.with_columns(pl.selectors.float().round(3)).rows()
    [('ann', 2.225, 22.25), ('bob', 2.2, 22.0)]
    """
    if not isinstance(model, SurvivalChurn):
        raise SpecError("bad_value", f"model is a {type(model).__name__}, not a SurvivalChurn")
    check_same_rows(X=X, margin=margin, customer_id=customer_id, past=past)
    periods = whole_number("horizon", horizon, 1, key="bad_value")
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
    return pl.DataFrame(columns).with_columns(pl.selectors.float().fill_nan(None))


def _margin(margin: Any, rows: int) -> Floats:
    return read_numbers("margin", np.full(rows, margin) if np.ndim(margin) == 0 else margin, rows, least=0)
