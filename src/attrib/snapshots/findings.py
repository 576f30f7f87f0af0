"""What a careful analyst would want to be told of the tables of a snapshot or a purchase history (docs/warnings.md).

The checks are those of `attrib.diagnostics`; only the counting is done here, on frames instead of partitions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import reduce

import numpy as np
import polars as pl

from attrib.diagnostics import columns, customers, names, sides
from attrib.diagnostics.finding import Finding, not_ignored, tell
from attrib.diagnostics.seen import Days, Seen, SharedIds, Words
from attrib.errors import warn
from attrib.io import checks
from attrib.refunds import likely_refunds, only_negative
from attrib.schemas import CHANNEL, EVENT, ORDER
from attrib.snapshots.events import AGAIN, AT, DONE, ID, MICRO, MONEY, OF_ORDER, PAID_IN, TOUCH, WHO, Events

DAY = 86_400 * MICRO


def tell_of_data(
    events: Events,
    counted: Collection[str],
    *,
    summed: Collection[str] | None = None,
    ignore: Collection[str] = (),
    drop: bool = True,
) -> None:
    """Warn of everything found in the tables.

    ``counted``: outcomes that what is asked is about; ``summed``: those whose values are added up, if they are others;
    ``ignore``: keys of findings; ``drop``: whether of outcomes with one ``event_id`` the first counts.

    Raises
    ------
    DataError
        ``several_currencies``.
    """
    _check_currencies(events, counted if summed is None else summed)
    repeated = _repeated(events) if drop else 0
    if repeated:
        warn(f"{repeated:,} outcomes with a repeated {EVENT} {'was' if repeated == 1 else 'were'} dropped")
    for finding in not_ignored(_findings(events, counted), ignore):
        tell(finding)


def _repeated(events: Events) -> int:
    """Outcomes whose event id stands in a row before, of the same customer."""
    if ID not in events.outcomes.columns:
        return 0
    named = events.outcomes.filter(pl.col(ID).is_not_null())
    return named.height - int(named.select(pl.struct(WHO, ID).n_unique()).item())


def tell_of_target(events: Events, target: str) -> None:
    """Warn of outcomes spelled nearly like one that is asked about beside those that `tell_of_data` was told of."""
    counts = dict(events.outcomes.group_by(pl.col(DONE).cast(pl.String)).len().iter_rows())
    found = names.near_target(counts, (target,))
    if found is not None:
        tell(found)


def likely_to_take_back(events: Events, used: Collection[str]) -> str | None:
    """Warn of outcomes that may take back those that are used, see `attrib.refunds.likely_refunds`."""
    name = pl.col(DONE).cast(pl.String)
    below, above = (pl.col(MONEY) < 0).any(), (pl.col(MONEY) > 0).any().alias("above")
    signs = {one: signed for one, *signed in events.outcomes.group_by(name).agg(below, above).iter_rows()}
    valued = [one for one, signed in signs.items() if events.priced and any(signed)]
    return likely_refunds(signs, valued, used, only_negative(signs) if events.refunding.net else ())


def _check_currencies(events: Events, counted: Collection[str]) -> None:
    met = events.tables.get("outcomes")
    if met is None or PAID_IN not in events.outcomes.columns:
        return
    name = pl.col(DONE).cast(pl.String)
    summed = events.outcomes.filter(name.is_in(list(counted)), pl.col(MONEY) != 0)
    found = columns.currencies_in(summed[PAID_IN])
    column = columns.currency_column(met.schema) or ""
    columns.check_one_currency(found, "outcomes", column, "rows of one currency at a time, by a filter")


def _findings(events: Events, counted: Collection[str]) -> Iterator[Finding]:
    yield from _names(events, counted)
    yield from _columns(events)
    both = set(events.tables) >= {"touchpoints", "outcomes"}
    seen, heavy = _seen(events, counted)
    found = [
        customers.placeholders(seen),
        *customers.one_customer(seen, heavy),
        customers.equal_outcomes(seen, has_ids=ID in events.outcomes.columns),
        customers.shared_ids(seen),
        customers.shared_orders(seen),
        customers.repeated_orders(seen),
        *((sides.without_touch(seen), *sides.empty_days(seen), sides.outside(seen)) if both else ()),
    ]
    yield from (finding for finding in found if finding is not None)


def _names(events: Events, counted: Collection[str]) -> Iterator[Finding]:
    for frame, column in ((events.touches, TOUCH), (events.outcomes, DONE)):
        rows = frame.filter(~pl.col(AGAIN)) if AGAIN in frame.columns else frame
        counts = dict(rows.group_by(pl.col(column).cast(pl.String)).len().iter_rows())
        if column == TOUCH:
            found = names.near_names(counts, "touchpoints", CHANNEL)
        else:
            found = names.near_target(counts, counted)
        if found is not None:
            yield found


def _columns(events: Events) -> Iterator[Finding]:
    touches, outcomes = events.tables.get("touchpoints"), events.tables.get("outcomes")
    naive = events.zone is None
    refunds = events.refunding.net and bool((events.outcomes[MONEY] < 0).any())
    if outcomes is not None and checks.FLAG in outcomes.schema and touches is not None:
        read = {*touches.read, *(("value",) if events.priced else ()), *({ORDER} & outcomes.read)}
        yield from columns.unread_outcome_columns(
            touches.schema, read, inline=True, naive=False, refunds=refunds, look=touches.look
        )
    elif outcomes is not None:
        yield from columns.unread_outcome_columns(
            outcomes.schema, outcomes.read, inline=False, naive=naive, refunds=refunds, look=outcomes.look
        )
    if touches is not None:
        yield from columns.unread_touch_columns(touches.schema, touches.read, naive=naive, look=touches.look)


def _seen(events: Events, counted: Collection[str]) -> tuple[Seen, dict[int, str]]:
    """Facts on customers and days, and the names of those with most rows, by code."""
    touches, outcomes = events.touches, events.outcomes
    about = outcomes.filter(pl.col(DONE).cast(pl.String).is_in(list(counted)))
    once = about.filter(~pl.col(AGAIN)) if AGAIN in about.columns else about
    by_customer = [
        touches.group_by(WHO).len("touches"),
        outcomes.select(pl.col(WHO).unique()),
        once.group_by(WHO).len("outcomes"),
    ]
    rows = reduce(lambda one, other: one.join(other, on=WHO, how="full", coalesce=True), by_customer)
    rows = rows.with_columns(pl.col("touches", "outcomes").fill_null(0).cast(pl.Int64))
    touched, bought = rows["touches"] > 0, rows["outcomes"] > 0
    seen = Seen(
        customers=rows.height, touched=int(touched.sum()), buyers=int(bought.sum()),
        untouched=int((bought & ~touched).sum()), touches=int(rows["touches"].sum()),
        outcomes=int(rows["outcomes"].sum()),
        touch_days=Days.of(touches[AT].to_numpy(), DAY), outcome_days=Days.of(once[AT].to_numpy(), DAY),
    )  # fmt: skip
    _count_equal(seen, once)
    heavy: dict[int, str] = {}
    for column, name in (("touches", "most_touches"), ("outcomes", "most_outcomes")):
        top = rows.filter(pl.col(column) == pl.col(column).max()).select(pl.col(WHO).cast(pl.String), column)
        if top.height:
            who, most = min(top.iter_rows())
            code = len(heavy) + 1
            heavy[code] = who
            setattr(seen, name, (most, code))
    spelled = customers.spellings()
    who = pl.col(WHO).cast(pl.String)
    for name, t, o in rows.select(who, "touches", "outcomes").filter(who.is_in(list(spelled))).iter_rows():
        seen.placeholders[spelled.index(name)] = (t, o)
    sold = once.filter(pl.col(MONEY) >= 0)
    if ID in sold.columns:
        seen.ids = _shared(sold, ID)
    if OF_ORDER in sold.columns:
        named = sold.filter(pl.col(OF_ORDER).is_not_null())
        seen.orders = _shared(named, OF_ORDER)
        seen.named = named.height
        seen.again = named.height - named.select(pl.struct(WHO, DONE, OF_ORDER).n_unique()).item()
    return seen, heavy


def _count_equal(seen: Seen, rows: pl.DataFrame) -> None:
    """Count outcomes equal to another in customer, time, name and value, and without an id."""
    alone = rows.filter(pl.col(ID).is_null()) if ID in rows.columns else rows
    equal = alone.group_by(WHO, AT, DONE, MONEY).len().filter(pl.col("len") > 1)
    of_day = pl.col(AT) % DAY
    dated = (of_day == 0) | (of_day >= DAY - MICRO // 1000)
    more = (pl.col("len") - 1).cast(pl.Int64)
    seen.equal_dated = int(equal.filter(dated).select(more.sum()).item() or 0)
    seen.equal_timed = int(equal.filter(~dated).select(more.sum()).item() or 0)


def _shared(rows: pl.DataFrame, column: str) -> SharedIds:
    rows = rows.filter(pl.col(column).is_not_null())
    ids: Words = rows.select(pl.col(column).cast(pl.UInt64)).to_series().to_numpy()
    who: Words = rows.select(pl.col(WHO).to_physical().hash()).to_series().to_numpy()
    return SharedIds.of(ids, np.ones(len(ids), np.uint64), who)
