"""Who referred whom: the claims of the outcome rows, and the forest of those that hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from attrib.analyses.acquisitions import ID_TYPES, Acquisitions, Bools, Ints, blank_as_null, read_ids
from attrib.engines.spark import SparkEngine
from attrib.errors import SpecError
from attrib.io import days
from attrib.io.checks import split_rejected, typed
from attrib.io.flags import split_inline
from attrib.io.tables import required
from attrib.schemas import CLUSTER, CUSTOMER, EVENT, OUTCOME, REFERRER, TIME, VALUE

if TYPE_CHECKING:
    from attrib.engines.base import Recipe
    from attrib.io.sources import Source
    from attrib.journeys import Journeys

# why a claim does not count, the first that holds
REASONS = (
    "self_referral", "unknown_referrer", "not_acquired", "referrer_not_acquired", "cycle", "before_referrer",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees of customers, numbered as in :class:`Acquisitions`: whoever refers has the lower number.

    Attributes
    ----------
    parent : int64 [C]
        Referrer, -1 without one.
    root : int64 [C]
        First of the tree; the customer themselves without a referrer.
    claimed, several : bool [C]
        Who names a referrer; who names others later.
    rejected : polars.DataFrame
        Claims that do not count: ``customer_id``, ``referrer_id``, ``timestamp``, ``reason``.
    place : int64 [rows of rejected]
        Number of their customers.
    """

    parent: Ints
    root: Ints
    claimed: Bools
    several: Bools
    rejected: pl.DataFrame
    place: Ints


def check_referrers(journeys: Journeys, recipe: Recipe) -> Source:
    """Table that says who referred whom.

    Raises
    ------
    SpecError
        ``not_on_spark``.
    DataError
        ``missing_columns`` without ``referrer_id``.
    """
    if isinstance(journeys.engine, SparkEngine):
        raise SpecError(
            "not_on_spark", "referrals are followed on one machine", hint="leave out the engine, with fewer customers"
        )
    source = recipe.outcomes
    if recipe.inline is not None and REFERRER in recipe.touchpoints.schema:
        _, source = split_inline(recipe.touchpoints, recipe.inline, (*recipe.by, REFERRER))
    required(source, [REFERRER])
    return source


def read_forest(source: Source, won: Acquisitions) -> Forest:
    """Find the referrer of every customer who has one."""
    from attrib.kernels import forest as kernel

    claims, several = _claims(source, won)
    customer = won.places(claims[CUSTOMER])
    named_ids = read_ids(claims[REFERRER], won.ids, source.name)
    referrer = won.places(named_ids)
    # who has nothing but refunds is no customer, and yet may name somebody
    known = (customer >= 0) & (referrer >= 0)
    circular = np.zeros(len(won.time), np.bool_)
    named = np.full(len(won.time), -1)
    named[customer[known]] = referrer[known]
    kernel.on_cycle(named, circular)
    time = won.time
    late = ~known | (time[customer] <= time[referrer])
    broken = {
        "self_referral": (claims[CUSTOMER] == named_ids).fill_null(value=False).to_numpy(),
        "unknown_referrer": referrer < 0,
        "not_acquired": (customer < 0) | ~won.acquired[customer],
        "referrer_not_acquired": ~won.acquired[referrer],
        "cycle": late & circular[customer],
        "before_referrer": late,
    }
    which = np.select([broken[reason] for reason in REASONS], range(len(REASONS)), -1)
    holds = which < 0
    parent, root = np.full(len(time), -1), np.empty(len(time), np.int64)
    parent[customer[holds]] = referrer[holds]
    kernel.find_roots(parent, root)
    claimed, more = np.zeros(len(time), np.bool_), np.zeros(len(time), np.bool_)
    others = won.places(several)
    claimed[customer[customer >= 0]], more[others[others >= 0]] = True, True
    reasons = pl.Series("reason", REASONS, pl.Enum(REASONS)).gather(which[~holds])
    rejected = claims.filter(pl.Series(~holds)).with_columns(reasons)
    return Forest(parent, root, claimed, more, rejected, customer[~holds])


def _claims(source: Source, won: Acquisitions) -> tuple[pl.DataFrame, pl.Series]:
    """First accepted row with a referrer of every customer; and the customers whose later rows name another."""
    reader = won.reader
    names = [*reader.outcomes.types.names]
    frame = source.frame.select(*names, REFERRER)
    # of a repeated event id the first row counts, be it one without a referrer
    dropped = reader.recipe.duplicates == "drop" and EVENT in names
    naming = frame.filter(pl.col(REFERRER).is_not_null())
    raw = source.collect(frame.join(naming.select(CUSTOMER), on=CUSTOMER, how="semi") if dropped else naming)
    rows, _ = typed(raw, reader.outcomes.types, won.ids)
    rows = rows.with_columns(blank_as_null(rows[REFERRER]), pl.col(CUSTOMER).cast(ID_TYPES[won.ids]))
    rows, _ = split_rejected(rows, reader.outcomes.types, ())
    by = sorted(set(names) - {CUSTOMER, TIME, OUTCOME, VALUE, CLUSTER, EVENT})
    order = [c for c in (CUSTOMER, TIME, OUTCOME, VALUE, *by, CLUSTER, EVENT) if c in names and c[:2] != "__"]
    moved = reader.outcomes.at_day_end
    stands = days.day_ends(rows, reader.outcomes.types, aware=reader.outcomes.aware) if moved else rows[TIME]
    order = ["__stands" if column == TIME else column for column in order]
    rows = rows.with_columns(stands.alias("__stands")).sort(*order, REFERRER, nulls_last=True)
    if dropped:
        back = pl.col(VALUE) < 0 if VALUE in names else pl.lit(value=False)  # no refund is the duplicate of its order
        key = pl.struct(CUSTOMER, EVENT, back.alias("__back"))
        rows = rows.filter(pl.col(EVENT).is_null() | key.is_first_distinct())
    rows = rows.filter(pl.col(REFERRER).is_not_null()).select(CUSTOMER, REFERRER, TIME)
    first = rows.unique(CUSTOMER, keep="first", maintain_order=True)
    if rows.height == first.height:
        return first, first[CUSTOMER].clear()
    other = rows.join(first.select(CUSTOMER, __first=REFERRER), on=CUSTOMER).filter(
        pl.col(REFERRER) != pl.col("__first")
    )
    return first, other[CUSTOMER].unique()
