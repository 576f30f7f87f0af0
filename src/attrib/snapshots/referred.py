"""Whom customers brought, in windows of their own: the labels and amounts of referral."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from attrib.errors import DataError
from attrib.snapshots.events import AT, BROUGHT_BY, DONE, ID, MONEY, OF_ORDER, WHO

ROW, FROM, TO, NEW = "row", "from", "to", "new"  # a window: (from, to] in microseconds


def first_referrals(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Who was brought (``who``), by whom (``by``) and when: a customer's first outcome that names somebody else."""
    if BROUGHT_BY not in outcomes.columns:
        return pl.DataFrame()
    code = pl.col(WHO).to_physical()
    named = outcomes.filter(pl.col(BROUGHT_BY).is_not_null() & (pl.col(BROUGHT_BY) != pl.col(WHO)))
    named = named.sort(code, AT, DONE, MONEY, pl.col(BROUGHT_BY).cast(pl.String), maintain_order=True)
    return named.filter(code.is_first_distinct()).select(WHO, AT, pl.col(BROUGHT_BY).alias("by"))


def without_repeats(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Of outcomes with one ``event_id`` the first of a customer, as in snapshots."""
    if ID not in outcomes.columns:
        return outcomes
    code = pl.col(WHO).to_physical()
    order = (OF_ORDER,) if OF_ORDER in outcomes.columns else ()
    outcomes = outcomes.sort(code, AT, DONE, MONEY, *order, maintain_order=True)
    return outcomes.filter(pl.col(ID).is_null() | pl.struct(code, ID).is_first_distinct())


def inside(windows: pl.DataFrame, happened: pl.DataFrame) -> pl.DataFrame:
    """Pairs of a row and what its customer did within the label window."""
    pairs = windows.join(happened, on=WHO)
    return pairs.filter(pl.col(AT) > pl.col(FROM), pl.col(AT) <= pl.col(TO))


def brought(windows: pl.DataFrame, outcomes: pl.DataFrame, purchases: Sequence[str]) -> pl.DataFrame:
    """Count whom the customer of each window brought in it, and what those bought in it.

    Parameters
    ----------
    windows : polars.DataFrame
        ``row``, ``who``, ``from``, ``to``.
    outcomes : polars.DataFrame
        Those of `Events`.
    purchases : sequence of str
        Outcomes that are purchases.

    Returns
    -------
    polars.DataFrame
        ``row``, ``count``, ``value``: rows of those who brought somebody.

    Raises
    ------
    DataError
        ``missing_columns`` without a referrer.
    """
    if BROUGHT_BY not in outcomes.columns:
        hint = "give the outcomes a column referrer_id, or name an outcome as target"
        raise DataError("missing_columns", "outcomes has no referrer_id: nobody is known to refer", hint=hint)
    first = first_referrals(outcomes).select(pl.col("by").alias(WHO), pl.col(WHO).alias(NEW), AT)
    pairs = inside(windows, first)
    counts = pairs.group_by(ROW).agg(pl.len().cast(pl.Int64).alias("count"))
    spent = outcomes.filter(pl.col(DONE).cast(pl.String).is_in(list(purchases)))
    theirs = inside(pairs.select(ROW, pl.col(NEW).alias(WHO), FROM, TO), spent.select(WHO, AT, MONEY))
    # cum_sum, since polars leaves out a sort before a sum: the same total in any order of rows
    values = theirs.group_by(ROW).agg(pl.col(MONEY).sort().cum_sum().last().alias("value"))
    return counts.join(values, on=ROW, how="left").with_columns(pl.col("value").fill_null(0.0))
