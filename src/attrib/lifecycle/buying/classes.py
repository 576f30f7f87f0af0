"""Where a model of repeat purchases is wrong: purchases expected and observed, by how often customers had bought."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from attrib.errors import SpecError, warn
from attrib.lifecycle.base.beside import Floats, read_numbers
from attrib.lifecycle.buying.choosing import PurchaseChoice
from attrib.lifecycle.buying.histories import one_or_many, read_ahead
from attrib.lifecycle.buying.purchasing import PurchaseModel

CLASSES = ((0, 0, "0"), (1, 1, "1"), (2, 2, "2"), (3, 5, "3 to 5"), (6, np.inf, "6 and more"))
TWO_SIDED = 1.96  # standard errors of an interval of 95 %
MUCH = 1.25  # expected over observed, from which the customers without a repeat purchase are worth a warning


def purchases_by_frequency(
    model: PurchaseModel | PurchaseChoice,
    t: float,
    frequency: Any,
    recency: Any = None,
    T: Any = None,
    cancelled: Any = None,
    *,
    bought: Any,
) -> pl.DataFrame:
    """Compare expected purchases with those that came, by repeat purchases before.

    Parameters
    ----------
    model : BetaGeoNBD, ModifiedBetaGeoNBD, ParetoNBD or PurchaseChoice
        Fitted to what was known before.
    t : float
        Length of the time that was held out, in the unit of T.
    frequency, recency, T, cancelled : array-like, shape [n]; or one frame
        Customers at the beginning of that time, as of `BetaGeoNBD.fit`.
    bought : array-like of float, shape [n]
        Days with a purchase of each of them in (T, T + t].

    Returns
    -------
    polars.DataFrame
        ``frequency``: repeat purchases before, in five classes (those without customers are left out), and ``all``;
        ``customers``, ``share`` of all customers; ``expected`` and ``observed`` purchases; ``low``, ``high``: what
        would be observed, with a probability of 95 %, if customers came again as these did; ``note`` where the expected
        number lies outside.

    Raises
    ------
    DataError
        Those of columns, as of `BetaGeoNBD.fit`.
    SpecError
        ``bad_value``, ``bad_argument``.

    Examples
    --------
    >>> from attrib.lifecycle import BetaGeoNBD
    >>> history = {
    ...     "frequency": [2, 1, 0, 0, 7, 1, 0, 3, 12, 0] * 20,
    ...     "recency": [30.4, 1.7, 0, 0, 36.4, 5.0, 0, 14.1, 31.0, 0] * 20,
    ...     "T": [38.9, 38.9, 38.9, 30.1, 38.9, 38.9, 21.6, 38.9, 35.2, 31.3] * 20,
    ... }
    >>> came = [1, 0, 0, 0, 4, 0, 0, 0, 6, 0] * 20
    >>> table = purchases_by_frequency(BetaGeoNBD().fit(**history), 13.0, **history, bought=came)
    >>> table.select("frequency", "customers", pl.col("expected").round(0), "observed").row(0)
    ('0', 80, 14.0, 0.0)
    """
    if not isinstance(model, (PurchaseModel, PurchaseChoice)):
        raise SpecError("bad_value", f"model is a {type(model).__name__}, not a model of repeat purchases")
    alone, (x, last, end, gone) = one_or_many(frequency, recency, T, cancelled)
    if alone:
        bought = [bought]
    found = read_numbers("bought", bought, len(x), least=0)
    ahead = read_ahead(t, None)
    if ahead.size != 1:
        raise SpecError("bad_value", f"t holds {ahead.size} times, and is the one length of the time that was held out")
    expected = model.expected_purchases(ahead.item(), x, last, end, gone)
    return compared(x, expected, found)


def compared(x: Floats, expected: Floats, bought: Floats) -> pl.DataFrame:
    """Sum expected and observed purchases by class of frequency."""
    rows = [
        _row(label, (x >= least) & (x <= most), expected, bought)
        for least, most, label in (*CLASSES, (0, np.inf, "all"))
        if ((x >= least) & (x <= most)).any()
    ]
    return pl.DataFrame(rows)


def _row(label: str, chosen: Any, expected: Floats, bought: Floats) -> dict[str, Any]:
    some, came = expected[chosen], bought[chosen]
    n = len(some)
    # of a sum of independent customers; at least that of a Poisson number, so that 0 observed is not held for exact
    error = TWO_SIDED * np.sqrt(max(n * came.var(), came.sum(), 1.0))
    low, high = max(float(came.sum() - error), 0.0), float(came.sum() + error)
    total = float(some.sum())
    note = "too many expected" if total > high else "too few expected" if total < low else None
    return {
        "frequency": label, "customers": n, "share": n / len(chosen), "expected": total, "observed": float(came.sum()),
        "low": low, "high": high, "note": note,
    }  # fmt: skip


def tell_of_once(table: pl.DataFrame, title: str, remedy: str) -> None:
    """Warn where customers without a repeat purchase bought far less than the model expects."""
    for row in table.filter(pl.col("frequency") == "0", pl.col("note") == "too many expected").to_dicts():
        if row["expected"] > MUCH * row["observed"]:
            warn(
                f"{row['customers']:,} customers ({row['share']:.0%}) had no repeat purchase: {title} expects "
                f"{row['expected']:,.1f} purchases of them in the time held out, and {row['observed']:,.0f} came "
                f"(up to {row['high']:,.0f} by chance){remedy}"
            )
