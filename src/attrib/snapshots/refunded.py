"""Outcomes as they were known at a time: refunds until then netted, later ones not yet there (semantics §12).

What a customer bought looks otherwise before a refund than after it, so customers with refunds are looked at anew for
each date; those without, nearly all of them, are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from attrib.refunds import Account, net_rows
from attrib.snapshots.events import AT, BROUGHT_BY, DONE, ID, MONEY, OF_ORDER, WHO, Events
from attrib.snapshots.referred import TO


def by_refunds(events: Events) -> tuple[Events, Events | None]:
    """Customers whose outcomes are what they are, and those with refunds to be netted (None: there are none)."""
    if not events.refunding.net or not (events.outcomes[MONEY] < 0).any():
        return events, None
    code = pl.col(WHO).to_physical()
    who = events.outcomes.filter(pl.col(MONEY) < 0).select(code.unique()).to_series().implode()
    return events.only(~code.is_in(who)), events.only(code.is_in(who))


def as_known(events: Events, until: int, *, drop: bool) -> Events:
    """Outcomes until an instant (microseconds, inclusive), with the refunds among them netted."""
    known = events.outcomes.filter(pl.col(AT) <= until)
    return replace(events, outcomes=netted(known, events, drop=drop)[0])


def count_refunds(events: Events) -> Account | None:
    """How many refunds there are in all; None without any that are netted."""
    _, returning = by_refunds(events)
    return None if returning is None else netted(returning.outcomes, returning, drop=True)[1]


def known_at_ends(windows: pl.DataFrame, events: Events, *, drop: bool = True) -> Iterator[tuple[pl.DataFrame, Events]]:
    """Label windows by their end ``to``, with the events as they were known by then."""
    steady, returning = by_refunds(events)
    if returning is None:
        yield windows, events
        return
    for (end,), some in windows.partition_by(TO, as_dict=True, maintain_order=True).items():
        known = as_known(returning, int(end), drop=drop)
        yield some, replace(events, outcomes=pl.concat([steady.outcomes, known.outcomes]))


def netted(outcomes: pl.DataFrame, events: Events, *, drop: bool) -> tuple[pl.DataFrame, Account]:
    """Net the refunds among some outcomes, each event once (``drop``); see `attrib.refunds.net_rows`."""
    code = pl.col(WHO).to_physical()
    rest = [
        pl.col(name).cast(pl.String) if name == BROUGHT_BY else pl.col(name)
        for name in (OF_ORDER, BROUGHT_BY, ID)
        if name in outcomes.columns
    ]
    outcomes = outcomes.sort(code, AT, DONE, MONEY, *rest, maintain_order=True)
    if drop and ID in outcomes.columns:
        outcomes = outcomes.filter(pl.col(ID).is_null() | pl.struct(code, ID).is_first_distinct())
    return net_rows(
        outcomes, who=WHO, at=AT, money=MONEY, name=DONE, order=OF_ORDER if OF_ORDER in outcomes.columns else None,
        count_refunded=events.refunding.count_refunded,
    )  # fmt: skip
