"""attrib.referral_adjusted and attrib.retention_adjusted: what the customers that a channel brought are worth.

The definitions, in full:

- A customer's *acquisition* is their first target outcome; the *acquisition journey* is the journey to it.
- V is the customer's value: that of all their target outcomes, or the one that ``values`` gives. ``direct`` credit
  splits V over the touches of the acquisition journey by the weights of the method; without a touch V is unattributed.
- The referrer of a customer is the ``referrer_id`` of their first outcome row that has one (in the order of semantics
  §1; accepted rows, all outcomes). It counts if both are customers with an acquisition, and the referred one's instant
  is after the referrer's: so referrals make a forest.
- w is the weight of the touches over the referral channels in the customer's acquisition journey, I the inflow from
  those whom the customer referred, λ = ``pass_on``. Of V + I the referral touches keep (1 − λ)·w, λ·w flows to the
  referrer, into whose I it counts, and (1 − w) goes to the other touches. Without a referrer nothing is passed on.
- Retention-adjusted: the value at the acquisition (``direct``) is replaced by the expected lifetime value.

Every customer's V ends in exactly one place, so that ``direct`` and the adjusted credit have the same total.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from attrib.analyses.acquisitions import (
    Acquisitions,
    Bools,
    Floats,
    acquisitions,
    channels_met,
    check_customers,
    lifetime_values,
)
from attrib.analyses.referrals import REASONS, Forest, check_referrers, read_forest
from attrib.analyses.value_table import ValueTable
from attrib.arguments import distinct_names
from attrib.errors import SpecError, brief, warn
from attrib.intervals import resampling_of
from attrib.io.sources import open_table
from attrib.io.text import clean
from attrib.methods.base import Method, check_journeys, touch_rule_of
from attrib.schemas import VALUE
from attrib.showing import Shown
from attrib.snapshots.leaving import looks_like_leaving

if TYPE_CHECKING:
    from attrib.journeys import Journeys

SUMMARY = {"entry": pl.String, "customers": pl.Int64, VALUE: pl.Float64}


@dataclass(frozen=True, slots=True, repr=False)
class AdjustedCredit(Shown):
    """Value credit beside the same adjusted; see :func:`referral_adjusted` and :func:`retention_adjusted`.

    Attributes
    ----------
    table : polars.DataFrame
        The ``by`` columns, ``stage`` (of the touch, in the view resolved), the player's columns, ``kind``, ``method``,
        then ``direct``, ``referral_adjusted`` or ``retention_adjusted``, and ``difference`` = adjusted − direct, in the
        unit of the values; with intervals each with ``…_low`` and ``…_high``. Rows as in a credit table, one
        ``unattributed`` a game among them. A column of the data with one of these names is called ``by_…`` or
        ``player_…``.
    summary : polars.DataFrame
        ``entry``, ``customers``, ``value``: how many customers there are of each kind and what their values sum to.
    rejected : polars.DataFrame or None
        Referrals that do not count: ``customer_id``, ``referrer_id``, ``timestamp`` of the row, ``reason``.
    """

    table: pl.DataFrame
    summary: pl.DataFrame
    rejected: pl.DataFrame | None = None


def referral_adjusted(
    journeys: Journeys,
    method: Method,
    *,
    pass_on: float = 0.5,
    channel: str | Sequence[str] = "referral",
    values: Any = None,
    intervals: float | None = 0.95,
    replicates: int = 1000,
    seed: int = 0,
) -> AdjustedCredit:
    """Credit the value of referred customers to the channels that won whoever referred them.

    Parameters
    ----------
    journeys : Journeys
        From :meth:`attrib.Journeys.from_events`, whose outcomes have a column ``referrer_id``: who brought this
        customer. With stages, in the view ``resolved``.
    method : Method
        What splits a journey: a rule, or ``Shapley(worth="conversions")``.
    pass_on : float
        λ, from 0 to 1: the part of a referral channel's credit that flows on to the referrer's acquisition journey. 0
        leaves the direct credit; 1 leaves nothing with the referral channel of customers whose referrer is known.
    channel : str or sequence of str
        The channels of a touch that is a referral.
    values : polars.DataFrame, polars.LazyFrame, pandas.DataFrame, pyarrow.Table, str or Path, optional
        ``customer_id`` and ``value``, such as lifetime values, one row a customer. By default a customer's value is
        that of their target outcomes.
    intervals : float or None
        Level of the intervals, or None for none. They resample whole trees of referrals: the cluster is the root.
    replicates, seed : int
        Draws of the bootstrap.

    Returns
    -------
    AdjustedCredit
        Entries of the summary: ``acquired`` customers, ``unattributed`` (those of them without a touch),
        ``not_acquired`` (a value, but no target outcome: unattributed too), ``values_of_others`` (in ``values``, but no
        customer of the journeys), ``claimed`` (a referrer is named), ``referred`` (the claim counts),
        ``no_referral_touch`` (referred, w = 0), ``several_referrers`` (later rows name others),
        ``no_referrer`` (w > 0, but nobody to pass it on to), ``passed_on`` (value: the sum of all flows), then the
        claims that do not count, by reason.

    Raises
    ------
    SpecError
        ``no_touch_shares`` for Markov and other methods that credit players, not touches; ``no_customers`` for path
        tables; ``no_acquisitions`` in the view advance; ``bad_value``; ``bad_interval``; ``not_on_spark``.
    DataError
        ``missing_columns`` without ``referrer_id``; ``bad_values``; ``values_missing`` where an acquired customer has
        no value; ``wrong_type``.
    ResourceError
        ``too_many_rows`` where the replicates of all rows do not fit into memory.

    Warns
    -----
    AttribWarning
        Where no touch of the data is over a referral channel.

    Notes
    -----
    Of a referred customer's value V and the inflow I from those they referred in turn, the referral channel's share w
    of their acquisition journey is divided: it keeps (1 − λ)·w·(V + I), and λ·w·(V + I) flows to the referrer, leaves
    first. A referral counts only if the customer was acquired after the referrer. Totals are conserved. It is a rule
    of division, not an estimate of what the referrer caused (docs/semantics.md, section 11).

    References
    ----------
    Kumar, V., Petersen, J. A., & Leone, R. P. (2010). Driving profitability by encouraging customer referrals: who,
    when, and how. Journal of Marketing, 74(5), 1–17.

    Schmitt, P., Skiera, B., & Van den Bulte, C. (2011). Referral programs and customer value. Journal of Marketing,
    75(1), 46–59.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> from datetime import datetime
    >>> days = [datetime(2025, 1, day) for day in (1, 2, 3, 4)]
    >>> touches = pl.DataFrame(
    ...     {"customer_id": ["ann", "bob"], "timestamp": [days[0], days[2]], "channel": ["ad", "referral"]}
    ... )
    >>> orders = pl.DataFrame(
    ...     {
    ...         "customer_id": ["ann", "bob"],
    ...         "timestamp": [days[1], days[3]],
    ...         "outcome": ["purchase"] * 2,
    ...         "value": [10.0, 8.0],
    ...         "referrer_id": [None, "ann"],
    ...     }
    ... )
    >>> journeys = attrib.Journeys.from_events(touches, orders)
    >>> found = attrib.referral_adjusted(journeys, attrib.Linear(), pass_on=0.75, intervals=None)
    >>> found.table.filter(kind="player").select("channel", "direct", "referral_adjusted").rows()
    [('ad', 10.0, 16.0), ('referral', 8.0, 2.0)]
    """
    from attrib.kernels import forest as kernel

    check_journeys(journeys)
    rule = touch_rule_of(method)
    channels = distinct_names("channel", channel, "channels")
    share = _share("pass_on", pass_on)
    resampling = resampling_of(journeys.engine, intervals, replicates, seed)
    recipe = check_customers(journeys, "referral-adjusted credit")
    source = check_referrers(journeys, recipe)
    won = acquisitions(journeys, rule, channels)
    _warn_unmet(channels, channels_met(won.reader))
    value, others = (won.value, None) if values is None else lifetime_values(values, won)
    if values is not None:
        _warn_of_leavers(values, won)
    forest = read_forest(source, won)
    w = np.empty(len(value))
    kernel.sum_referral(won.offsets, won.weights, won.referral, w)
    referred = forest.parent >= 0
    total, passing = value.copy(), np.where(referred, share, 0.0)
    flowed = kernel.flow_back(forest.parent, passing * w, total)
    table = ValueTable(journeys, won, method.label, "referral_adjusted", resampling)
    unit = won.unit[forest.root]  # a tree is drawn as a whole
    found = table.fill(unit, (value, np.ones(len(value))), (total, 1.0 - passing))
    entries = _customers(won, value, others)
    entries |= {
        "claimed": _count(forest.claimed, value),
        "referred": _count(referred, value),
        "no_referral_touch": _count(referred & (w == 0), value),
        "several_referrers": _count(forest.several, value),
        "no_referrer": _count(~referred & (w > 0), value),
        "passed_on": (int((referred & (w > 0)).sum()) if share > 0 else 0, flowed),
        **_rejections(forest, value),
    }
    return AdjustedCredit(found, _summary(entries), forest.rejected)


def retention_adjusted(
    journeys: Journeys,
    method: Method,
    *,
    values: Any,
    intervals: float | None = 0.95,
    replicates: int = 1000,
    seed: int = 0,
) -> AdjustedCredit:
    """Credit channels with what the customers they brought are expected to be worth, not with the first purchase.

    Parameters
    ----------
    journeys : Journeys
        From :meth:`attrib.Journeys.from_events`; with stages, in the view ``resolved``.
    method : Method
        What splits a journey: a rule, or ``Shapley(worth="conversions")``.
    values : polars.DataFrame, polars.LazyFrame, pandas.DataFrame, pyarrow.Table, str or Path
        ``customer_id`` and ``value``, one row a customer: the **whole** expected lifetime value, what was paid up to
        now (the first purchase included) and what lies ahead. The tables of `attrib.lifecycle.lifetime_value` and
        `attrib.lifecycle.contract_value` are such where ``customer_id`` and ``past`` were given; without ``past`` they
        hold the residual value, and the credit would leave out what a customer has paid already.
    intervals : float or None
        Level of the intervals, or None for none; values are taken as known.
    replicates, seed : int
        Draws of the bootstrap.

    Returns
    -------
    AdjustedCredit
        ``direct``: the value of each customer's first target outcome, over the journey to it;
        ``retention_adjusted``: the lifetime value in its place. Later outcomes are in neither: a lifetime value holds
        them. Entries of the summary: ``acquired``, ``unattributed``, ``not_acquired``, ``values_of_others`` as in
        :func:`referral_adjusted`.

    Raises
    ------
    SpecError
        ``no_touch_shares``, ``no_customers``, ``no_acquisitions``, ``bad_interval``.
    DataError
        ``values_missing`` where an acquired customer has no value; ``bad_values``; ``missing_columns``; ``wrong_type``.
    ResourceError
        ``too_many_rows`` where the replicates of all rows do not fit into memory.

    Notes
    -----
    ``direct`` is what the orders say, in the unit of ``value``. Values after a margin are compared with it as they are:
    multiply neither or both.

    References
    ----------
    Schmitt, P., Skiera, B., & Van den Bulte, C. (2011). Referral programs and customer value. Journal of Marketing,
    75(1), 46–59.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> from datetime import datetime
    >>> day = datetime(2025, 1, 1)
    >>> touches = pl.DataFrame({"customer_id": [1, 2], "timestamp": [day] * 2, "channel": ["ad", "mail"]})
    >>> orders = pl.DataFrame({"customer_id": [1, 2], "timestamp": [day] * 2, "outcome": ["purchase"] * 2})
    >>> lifetime = pl.DataFrame({"customer_id": [1, 2], "value": [3.0, 7.5]})
    >>> journeys = attrib.Journeys.from_events(touches, orders)
    >>> found = attrib.retention_adjusted(journeys, attrib.LastTouch(), values=lifetime, intervals=None)
    >>> found.table.filter(kind="player").select("channel", "direct", "retention_adjusted", "difference").rows()
    [('ad', 1.0, 3.0, 2.0), ('mail', 1.0, 7.5, 6.5)]
    """
    check_journeys(journeys)
    rule = touch_rule_of(method)
    resampling = resampling_of(journeys.engine, intervals, replicates, seed)
    check_customers(journeys, "retention-adjusted credit")
    won = acquisitions(journeys, rule, ())
    value, others = lifetime_values(values, won)
    _warn_of_leavers(values, won)
    table = ValueTable(journeys, won, method.label, "retention_adjusted", resampling)
    all_kept = np.ones(len(value))
    found = table.fill(won.unit, (won.first_value, all_kept), (value, all_kept))
    return AdjustedCredit(found, _summary(_customers(won, value, others)))


def _share(name: str, share: Any) -> float:
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise SpecError("bad_value", f"{name} = {brief(share)} is not a share from 0 to 1", hint="e.g. 0.5")
    return float(share)


def _warn_unmet(channels: tuple[str, ...], met: Sequence[str]) -> None:
    if not set(channels) & set(met):
        near = [close for name in channels for close in get_close_matches(name, met, n=1)]
        meant = f"did you mean {near[0]!r}?" if near else "name the channel of referrals with channel="
        warn(f"no touch is over {', '.join(map(repr, channels))}, so that nothing is passed on; {meant}")


def _warn_of_leavers(values: Any, won: Acquisitions) -> None:
    """Warn where values rest on chances to be alive that know of no cancellation, and the outcomes do."""
    known = open_table(values, "values").schema
    if "p_alive" not in known or "cancelled" in known:
        return
    met = won.reader.outcomes.kinds.dictionaries[0].values
    leaving = looks_like_leaving([] if met is None else met.drop_nulls().to_list())
    if leaving:
        named = ", ".join(repr(clean(name, 40)) for name in leaving[:5])
        warn(
            f"values has p_alive and no column cancelled, and outcomes hold what sounds like the end of the relation "
            f"({named}): customers who have cancelled may be valued as if they were there still; make the values with "
            f"purchase_summary(…, cancelled={clean(leaving[0], 40)!r}) and lifetime_value(…, cancelled=…)"
        )


# the summary ----------------------------------------------------------------------------------------------------------
Entry = tuple[int, float]


def _count(chosen: Bools, value: Floats) -> Entry:
    return int(chosen.sum()), float(value[chosen].sum())


def _customers(won: Acquisitions, value: Floats, others: Entry | None) -> dict[str, Entry]:
    """Entries on all customers; those on customers who were never won only where values are given."""
    entries = {
        "acquired": _count(won.acquired, value),
        "unattributed": _count(won.acquired & won.without_touch, value),
    }
    if others is not None:
        entries |= {"not_acquired": _count(~won.acquired & (value != 0), value), "values_of_others": others}
    return entries


def _rejections(forest: Forest, value: Floats) -> dict[str, Entry]:
    reasons = forest.rejected["reason"].to_physical().to_numpy()
    entries = {}
    for code, reason in enumerate(REASONS):
        place = forest.place[reasons == code]
        entries[reason] = (len(place), float(value[place[place >= 0]].sum()))
    return entries


def _summary(entries: dict[str, Entry]) -> pl.DataFrame:
    rows = [(name, customers, value) for name, (customers, value) in entries.items()]
    return pl.DataFrame(rows, schema=SUMMARY, orient="row")
