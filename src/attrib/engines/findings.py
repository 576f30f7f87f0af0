"""From what a pass has read to findings on its data (attrib.diagnostics says what each of them is)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from attrib.diagnostics import columns, customers, linking, names, sides
from attrib.diagnostics.cells import first_cells
from attrib.diagnostics.finding import Finding
from attrib.diagnostics.seen import Placeholders
from attrib.engines.base import OTHERS
from attrib.engines.customers import hash_customers
from attrib.schemas import EVENT, INTERACTION, ORDER, STAGE
from attrib.stages import StageColumn, StageModel

if TYPE_CHECKING:
    from attrib.diagnostics.seen import Seen
    from attrib.engines.events import EventReader
    from attrib.tally import Tally


@cache
def placeholder_words(ids: str) -> Placeholders:
    """Words of customers whose name stands for nobody, as this kind of ids is hashed."""
    spelled = customers.spellings()
    if ids == "text":
        series = pl.Series(spelled, dtype=pl.String)
        return Placeholders.of(np.stack(hash_customers(series, ids), axis=1), range(len(spelled)))
    whole = [text for text in customers.NUMBERS if text == str(_whole(text))]
    numbers = {int(text): spelled.index(text) for text in whole if int(text) >= 0 or ids != "unsigned"}
    series = pl.Series(list(numbers), dtype=pl.UInt64 if ids == "unsigned" else pl.Int64)
    return Placeholders.of(np.stack(hash_customers(series, ids), axis=1), list(numbers.values()))


def _whole(text: str) -> int | None:
    return int(text) if text.removeprefix("-").isdecimal() else None


def findings_of(reader: EventReader, seen: Seen, totals: Tally, *, credited: bool) -> tuple[Finding, ...]:
    """Everything found in both tables, by topic.

    Parameters
    ----------
    reader : EventReader
        A reader that has read all rows, or was told of all of them.
    seen : Seen
        Facts on all customers.
    totals : Tally
        Totals of all games, in the order of the credit table.
    credited : bool
        Whether some conversion has a touch; where none has, a warning of its own says so.
    """
    found = [
        *_names(reader),
        *_columns(reader),
        customers.placeholders(seen),
        *_linked(reader, seen),
        *customers.one_customer(seen, reader.touches.heavy | reader.outcomes.heavy),
        customers.equal_outcomes(seen, has_ids=EVENT in reader.outcomes.types.names),
        customers.shared_ids(seen),
        customers.shared_orders(seen),
        customers.repeated_orders(seen),
        sides.without_touch(seen) if credited else None,
        *sides.empty_days(seen),
        sides.outside(seen),
        *_stages(reader, totals),
    ]
    return tuple(finding for finding in found if finding is not None)


def _names(reader: EventReader) -> Iterator[Finding | None]:
    recipe = reader.recipe
    both = [
        c
        for c in recipe.by
        if all(c in {d.name for d in t.kinds.dictionaries} for t in (reader.touches, reader.outcomes))
    ]
    for name in both:  # games are told apart by what both tables say
        one, other = (table.counts_of(name) for table in (reader.touches, reader.outcomes))
        total = {key: one.get(key, 0) + other.get(key, 0) for key in {**one, **other}}
        yield names.near_names(total, "touchpoints and outcomes", name)
    for table in (reader.touches, reader.outcomes):
        first = table.kinds.dictionaries[0].name
        for dictionary in table.kinds.dictionaries:
            name = dictionary.name
            if name == STAGE and isinstance(recipe.stages, StageColumn):
                continue  # one that is not in the order is a rejected row
            if table is reader.outcomes and name == first:
                yield names.near_target(table.counts_of(name), table.counted)
            elif (
                name in recipe.player
                or (name in recipe.by and name not in both)
                or (name == INTERACTION and not _listed(reader))
            ):
                yield names.near_names(table.counts_of(name), table.source.name, name)
    listed = _listed(reader)
    if listed:
        met = [name for name, count in reader.touches.counts_of(INTERACTION).items() if count and name not in listed]
        yield names.near_keys(met, listed, "column interaction of touchpoints", "interactions of lookback and prefer")


def _listed(reader: EventReader) -> set[str]:
    """Interactions that the recipe names."""
    lookback = reader.recipe.lookback
    return {*(lookback if isinstance(lookback, Mapping) else ()), *reader.recipe.prefer} - {OTHERS}


def _linked(reader: EventReader, seen: Seen) -> Iterator[Finding | None]:
    touches, outcomes = reader.touches, reader.outcomes
    if touches.source.kind == "spark" or max(touches.rows, outcomes.rows) > linking.MOST_ROWS:
        return
    if reader.recipe.links is not None:
        yield from linking.links(reader.recipe.links, touches.source, outcomes.source)
    if reader.ids == "text" and seen.untouched:
        yield linking.near_customers(touches.source, outcomes.source, outcomes.counted)


def _columns(reader: EventReader) -> Iterator[Finding]:
    recipe, touches, outcomes = reader.recipe, reader.touches, reader.outcomes
    inline = recipe.inline
    read = {*touches.types.names, *recipe.by}
    naive = not (touches.aware or outcomes.aware)
    refunds, look = recipe.refunding.net and outcomes.negative > 0, first_cells(recipe.touchpoints)
    if inline is None:
        known = {*outcomes.types.names, *recipe.by}
        yield from columns.unread_outcome_columns(
            recipe.outcomes.schema, known, inline=False, naive=naive, refunds=refunds,
            look=first_cells(recipe.outcomes),
        )  # fmt: skip
    else:
        own = {*read, inline.flag, *(("value",) if inline.value else ()), *({ORDER} & {*outcomes.types.names})}
        schema = recipe.touchpoints.schema
        yield from columns.unread_outcome_columns(schema, own, inline=True, naive=False, refunds=refunds, look=look)
    yield from columns.unread_touch_columns(recipe.touchpoints.schema, read, naive=naive, look=look)


def _stages(reader: EventReader, totals: Tally) -> Iterator[Finding | None]:
    model = reader.recipe.stages
    if isinstance(model, StageColumn):
        met = reader.touches.counts_of(STAGE)
        yield sides.empty_stages({stage: met.get(stage, 0) for stage in model.names}, carried=True)
    elif isinstance(model, StageModel) and reader.recipe.view == "advance" and not reader.names.absent:
        games = reader.names.games_in_order[STAGE].gather(totals.games).cast(pl.String).to_list()
        entered = dict.fromkeys(model.names, 0)
        counts = sum(totals.counts(name) for name in ("conversions", "nulls", "unattributed"))
        for stage, count in zip(games, np.asarray(counts).tolist(), strict=True):
            entered[stage] += count
        last = model.milestones[-1] is None
        yield sides.empty_stages(dict(list(entered.items())[: -1 if last else None]), carried=False)
