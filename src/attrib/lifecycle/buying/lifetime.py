"""What customers are worth, from now on or in all: purchases ahead × order value × margin, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import SpecError, brief, warn
from attrib.lifecycle.base.beside import Bools, Floats, check_same_rows, read_column, read_numbers
from attrib.lifecycle.buying.histories import read_history
from attrib.lifecycle.buying.likelihood import columns_of, is_frame
from attrib.lifecycle.buying.order_values import GammaGamma, read_spending
from attrib.lifecycle.buying.purchasing import PurchaseModel
from attrib.schemas import CUSTOMER
from attrib.showing import Shown
from attrib.values import MOST_DRAWS, check_seed, whole_number

NODES = 12  # of the integral over the horizon: ten digits
BLOCK = 1 << 16  # customers whose draws are held at a time: 100 MB for 200


@dataclass(frozen=True, slots=True, repr=False)
class LifetimeValue(Shown):
    """Value of each customer, and of all of them.

    Attributes
    ----------
    customers : polars.DataFrame
        One row a customer, as they were passed: ``customer_id`` and ``cancelled`` (if given), ``p_alive``,
        ``purchases`` (expected within the horizon), ``order_value``, with `past` ``past`` and ``ahead`` (both after
        margin), ``value``, ``low``, ``high`` (null where there is no such end: see `lifetime_value`).
    total : polars.DataFrame
        One row: ``customers``, ``value``, ``low``, ``high``, ``level``.
    """

    customers: pl.DataFrame
    total: pl.DataFrame


def lifetime_value(
    bgnbd: PurchaseModel,
    gammagamma: GammaGamma,
    frequency: Any,
    recency: Any = None,
    T: Any = None,
    monetary: Any = None,
    horizon: float | None = None,
    *,
    customer_id: Any = None,
    past: Any = None,
    cancelled: Any = None,
    discount: float = 0.0,
    margin: float = 1.0,
    level: float = 0.95,
    draws: int = 200,
    seed: int = 0,
) -> LifetimeValue:
    """Discounted value of customers over a horizon, in expectation.

    What lies ahead is order value × margin × ∫ (1 + discount)^(−s) dE[Y(s)] for s from 0 to the horizon, E[Y(s)] the
    expected purchases in (T, T + s]: each purchase counts at its own time. Without `past` that is the **residual**
    value: what a customer is still worth, who to keep. With `past` it is the **whole** value, margin × past + ahead:
    what it was worth to win the customer, as `attrib.retention_adjusted` takes it.

    Parameters
    ----------
    bgnbd : BetaGeoNBD, ModifiedBetaGeoNBD or ParetoNBD
        Fitted; `choose_purchase_model` says which suits the data.
    gammagamma : GammaGamma
        Fitted.
    frequency, recency, T, monetary : array-like, shape [n]
        As of their ``fit``; monetary may be null at frequency 0. Or one frame in place of the first, such as that of
        `purchase_summary`, whose ``customer_id`` and ``cancelled`` are taken, too, where it has them.
    horizon : float
        How far ahead, in the time unit of ``bgnbd``.
    customer_id : array-like [n], optional
        Kept as first column, so that the table can be joined, or handed to `attrib.retention_adjusted` as it is.
    past : array-like of float [n], optional
        What each customer has paid up to now, the first purchase included, in the unit of `monetary`. It counts in
        full: discounting begins now.
    cancelled : array-like of bool [n], optional
        Who is known to have left: nothing lies ahead of them. `purchase_summary` finds them by the outcome that ends
        the relation; the purchase model should be fitted with the same column.
    discount : float
        Rate for one time unit: of 10 % a year, in weeks, ``1.1 ** (7 / 365.25) - 1``.
    margin : float
        Share of an order value that is kept, above 0.
    level : float
        Coverage of the intervals.
    draws : int
        Draws of the parameters; 0: no intervals.
    seed : int
        Of the draws.

    Returns
    -------
    LifetimeValue
        Intervals say how far the *expected* value is uncertain because the parameters are (drawn from their asymptotic
        normal distribution in logarithms, both models independent); what one customer spends varies far more. Those of
        the total are of the sum in each draw, not sums of bounds. Where the mean order value does not exist in so many
        draws that an end of an interval would be infinite, that end is null, with a warning. Customers for whom the
        fitted `GammaGamma` has no mean have what its ``no_mean`` says, a pooled mean as uncertain as it is.

    Raises
    ------
    DataError
        Those of columns, as of `BetaGeoNBD.fit`.
    SpecError
        ``bad_value``, ``not_fitted``.

    Examples
    --------
    >>> history = {
    ...     "frequency": [2, 1, 0, 0, 7, 1, 0, 3, 12, 0] * 20,
    ...     "recency": [30.4, 1.7, 0, 0, 36.4, 5.0, 0, 14.1, 31.0, 0] * 20,
    ...     "T": [38.9, 38.9, 38.9, 30.1, 38.9, 38.9, 21.6, 38.9, 35.2, 31.3] * 20,
    ... }
    >>> spent = [22.4, 120.0, None, None, 33.7, 5.8, None, 75.6, 8.2, None] * 20
    >>> from attrib.lifecycle import BetaGeoNBD
    >>> buying = BetaGeoNBD().fit(**history)
    >>> value = GammaGamma().fit(history["frequency"], spent)
    >>> worth = lifetime_value(buying, value, **history, monetary=spent, horizon=52, discount=0.002)
    >>> worth.customers["value"].head(3).round(0).to_list()
    [61.0, 23.0, 35.0]
    >>> paid = [60.0, 130.0, 9.0, 12.0, 250.0, 20.0, 15.0, 240.0, 110.0, 7.0] * 20
    >>> whole = lifetime_value(
    ...     buying, value, **history, monetary=spent, horizon=52, discount=0.002, customer_id=range(200), past=paid
    ... )
    >>> whole.customers.select("customer_id", pl.col("past", "ahead", "value").round(0)).row(0)
    (0, 60.0, 61.0, 121.0)
    """
    for name, model, wanted in (("bgnbd", bgnbd, PurchaseModel), ("gammagamma", gammagamma, GammaGamma)):
        if not isinstance(model, wanted):
            kind = "purchase model" if wanted is PurchaseModel else wanted.__name__
            raise SpecError("bad_value", f"{name} is a {type(model).__name__}, not a {kind}")
    if is_frame(frequency):
        frequency, recency, T, monetary, customer_id, cancelled = columns_of(
            ("customer_id", "cancelled"), frequency=frequency, recency=recency, T=T, monetary=monetary,
            customer_id=customer_id, cancelled=cancelled,
        )  # fmt: skip
    check_same_rows(frequency=frequency, monetary=monetary, customer_id=customer_id, past=past)
    x, last, end, gone = read_history(frequency, recency, T, cancelled)
    spent = gammagamma._capped(read_spending(frequency, monetary)[1])  # noqa: SLF001 - one package, here and below
    ids = ids_of(customer_id, len(x))
    paid = already_paid(past, len(x))
    if horizon is None:
        raise SpecError("bad_value", "horizon is not given", hint="say how far ahead, in the model's unit: horizon=52")
    horizon, discount = number("horizon", horizon, 0.0), number("discount", discount, 0.0)
    margin, level = number("margin", margin, 1e-12), number("level", level, 0.0, 1.0)
    n = whole_number("draws", draws, 0, MOST_DRAWS, key="bad_value")
    seed = check_seed(seed, key="bad_value")
    point = bgnbd._values(), gammagamma._values(), gammagamma.pooled_mean_  # noqa: SLF001
    bgnbd._check_told(gone)  # noqa: SLF001
    without = gammagamma._without_mean(x)  # noqa: SLF001
    gammagamma._tell_of(without)  # noqa: SLF001
    drawn = list(
        zip(
            map(tuple, bgnbd.draws(n, seed)),
            map(tuple, gammagamma.draws(n, seed)),
            gammagamma._pooled_draws(n, seed),  # noqa: SLF001
            strict=True,
        )
    )
    values, low, high, sums = np.empty(len(x)), np.full(len(x), np.nan), np.full(len(x), np.nan), np.zeros(n)
    tails = [(1 - level) / 2, (1 + level) / 2]
    order = np.lexsort((end, x))  # customers with the same future in the same block
    for first in range(0, len(x), BLOCK):
        rows = order[first : first + BLOCK]
        people = _People(x[rows], last[rows], end[rows], gone[rows], spent[rows], without[rows])
        solve = _Block(bgnbd, gammagamma, people, horizon, discount)
        values[rows] = margin * solve(*point)
        if n:
            worth = margin * np.array([solve(*parameters) for parameters in drawn])
            low[rows], high[rows] = np.quantile(worth, tails, axis=0, method="inverted_cdf")  # may be infinite
            sums += worth.sum(axis=1)
    before: Any = 0.0 if paid is None else margin * paid  # known: it moves intervals, and does not widen them
    alive = bgnbd._alive(point[0], x, last, end, gone)  # noqa: SLF001
    customers = pl.DataFrame({
        **ids,
        **({} if cancelled is None else {"cancelled": gone}),
        "p_alive": alive,
        "purchases": alive * bgnbd._if_alive(point[0], np.asarray(horizon), x, end),  # noqa: SLF001
        "order_value": gammagamma._worth(point[1], x, spent, without, point[2]),  # noqa: SLF001
        **({} if paid is None else {"past": before, "ahead": values}),
        "value": before + values,
        "low": before + low,
        "high": before + high,
    })  # fmt: skip
    lowest, highest = np.quantile(sums, tails, method="inverted_cdf") if n else (np.nan, np.nan)
    whole = float(np.sum(before))
    row = [len(x), whole + float(values.sum()), whole + lowest, whole + highest, level]
    total = pl.DataFrame([row], schema=["customers", "value", "low", "high", "level"], orient="row")
    endless = int(np.isinf(high).sum()), bool(np.isinf(highest))
    if any(endless):
        warn(
            f"the upper end of the interval of {endless[0]:,} of {len(x):,} lifetime values"
            f"{' and of their total' if endless[1] else ''} is infinite and left out (null): where q of Gamma-Gamma "
            f"({point[1][1]:.3g} ± {gammagamma.standard_errors_['q']:.2g}) is at most 1, as it may be here, order "
            "values have no mean; cap the values (GammaGamma(cap=…))"
        )
    finite = pl.col("low", "high")
    return LifetimeValue(*(
        frame.with_columns(pl.when(finite.is_finite()).then(finite)) for frame in (customers, total)
    ))  # fmt: skip


class _People(NamedTuple):
    """Customers, a column each."""

    x: Floats
    recency: Floats
    T: Floats
    gone: Bools
    spent: Floats
    without: Bools  # a mean of order values


class _Block:
    """Some customers, whose value is asked for many parameters."""

    def __init__(
        self, buying: PurchaseModel, worth: GammaGamma, people: _People, horizon: float, discount: float
    ) -> None:
        self.buying, self.worth, self.people = buying, worth, people
        self.horizon, self.discount = horizon, discount
        # what the future holds of a customer still alive depends on frequency and T alone, and whether they are on the
        # recency too: many customers share it
        self.at, self.pairs = _distinct({"x": people.x, "T": people.T})
        self.here, rows = _distinct(
            {"x": people.x, "recency": people.recency, "T": people.T, "gone": people.gone.astype(np.float64)}
        )
        self.histories = (*rows[:3], rows[3] == 1)

    def __call__(self, buying: tuple[float, ...], worth: tuple[float, ...], pooled: float | None) -> Floats:
        """Discounted value of each of them."""
        ahead = _discounted(self.buying, buying, self.horizon, self.discount, *self.pairs)[self.at]
        bought = self.buying._alive(buying, *self.histories)[self.here] * ahead  # noqa: SLF001
        order = self.worth._worth(worth, self.people.x, self.people.spent, self.people.without, pooled)  # noqa: SLF001
        return np.asarray(np.where(bought > 0, bought * np.where(bought > 0, order, 1.0), 0.0))  # nothing of infinity


def _distinct(columns: dict[str, Floats]) -> tuple[npt.NDArray[np.int64], list[Floats]]:
    """Number rows so that equal ones share a number, and give one row of each."""
    table = pl.DataFrame(columns).with_columns(at=pl.struct(*columns).rank("dense") - 1)
    rows = table.unique("at").sort("at")
    return table["at"].to_numpy(), [rows[name].to_numpy() for name in columns]


def _discounted(
    model: PurchaseModel, values: tuple[float, ...], horizon: float, discount: float, x: Floats, T: Floats
) -> Floats:
    """Discounted purchases of customers alive: ∫ e^(−δs) dE[Y(s)] = e^(−δh)·E[Y(h)] + δ·∫ e^(−δs)·E[Y(s)] ds."""

    def bought(s: float) -> Floats:
        return model._if_alive(values, np.asarray(s), x, T)  # noqa: SLF001

    whole = bought(horizon)
    if discount == 0 or horizon == 0:
        return whole
    rate = np.log1p(discount)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    out = np.exp(-rate * horizon) * whole
    for node, weight in zip(nodes, weights, strict=True):
        s = horizon * (1 + node) / 2
        out = out + rate * horizon / 2 * weight * np.exp(-rate * s) * bought(s)
    return np.asarray(out)


def ids_of(customer_id: Any, rows: int) -> dict[str, pl.Series]:
    """The column of customers, if there is one.

    Raises
    ------
    DataError
        Those of `read_column`.
    """
    return {} if customer_id is None else {CUSTOMER: read_column(CUSTOMER, customer_id, rows)}


def already_paid(past: Any, rows: int) -> Floats | None:
    """Read what customers have paid up to now.

    Raises
    ------
    DataError
        Those of `read_numbers`.
    """
    return None if past is None else read_numbers("past", past, rows)


def number(name: str, value: Any, low: float, high: float = np.inf) -> float:
    """Check one number.

    Raises
    ------
    SpecError
        ``bad_value``.
    """
    fine = isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and low <= value < high
    if not fine:
        raise SpecError("bad_value", f"{name} = {brief(value)} is not a number from {low:g} to below {high:g}")
    return float(value)
