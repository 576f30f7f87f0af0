"""A part of the customers, read and summed where its rows are; what it gives is added up elsewhere.

An :class:`Order` says what to do and is sent to each part; a part's answer is one block of bytes, which
:func:`add_part` adds to a reader and a pass that then are as if they had seen all the rows themselves. Nothing here
knows Spark: any way of bringing each customer's rows together will do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.diagnostics.columns import columns_beside
from attrib.diagnostics.seen import Seen
from attrib.engines.answers import Answer, Facts
from attrib.engines.base import Memory, Recipe
from attrib.engines.coding import Dictionary, Words
from attrib.engines.events import ROWS_OF_PARTITION, EventReader
from attrib.engines.local import FunnelPass, TallyPass, close_funnel
from attrib.engines.naming import rename
from attrib.engines.reading import TableReader, mixed_zones
from attrib.engines.ties import Ties
from attrib.io import checks, days
from attrib.io.flags import COPY, split_inline
from attrib.io.sources import Source
from attrib.io.times import Spread
from attrib.kernels import rows as kernel
from attrib.needs import Need
from attrib.ragged import Cut, CutPlan, FunnelPart, walk_funnel
from attrib.tally import Layout, Lists, Tally, carry

CHUNK = 1 << 19  # rows that are read at once
LARGEST_PARTITIONS = 8  # bits: at most one partition a bucket
TABLES = ("touchpoints", "outcomes")
# How what two parts know of a table becomes what both know.
ADDED = ("rows", "rejected_rows", "negative", "value_in", "value_rejected")
LARGEST, SMALLEST, SOME = ("largest", "latest", "latest_end"), ("earliest",), ("aware", "naive", "zoneless", "shifted")
DECIDED = ("only_dates", "at_day_end")  # what all rows together decide about each


class PartPass(TallyPass):
    """Sums and funnel in one pass: where rows come over a network, a second one costs more than it keeps."""

    def __init__(self, reader: EventReader, needs: Iterable[Need], *, units: bool, budget: int) -> None:
        super().__init__(reader, needs, units=units, budget=budget)
        self.funnel: list[FunnelPart] = []

    def work(self, events: Any, plan: CutPlan) -> tuple[Any, Cut, list[Tally]]:
        """Sum a partition, and count its customers by stage."""
        if self.reader.has_funnel:
            self.funnel.append(walk_funnel(events, plan))
        return super().work(events, plan)

    @staticmethod
    def doing(asked: TallyPass | FunnelPass, reader: EventReader, budget: int) -> PartPass:
        """Return a pass that sums what another one would."""
        if isinstance(asked, FunnelPass):
            return PartPass(reader, (), units=False, budget=budget)
        return PartPass(reader, asked.sums, units=asked.units, budget=budget)

    def done(self, asked: TallyPass | FunnelPass, memory: Memory) -> TallyPass | FunnelPass:
        """Return what was asked for, and remember the funnel."""
        if self.funnel:
            memory.funnel = close_funnel(self.funnel, self.reader)
        if isinstance(asked, FunnelPass):
            asked.parts = self.funnel
            return asked
        return self


@dataclass(frozen=True, slots=True)
class Shape:
    """A table as parts get it: its name, and the columns that are read, under our names."""

    name: str
    schema: Mapping[str, pl.DataType]


@dataclass(frozen=True, slots=True)
class Order:
    """What to do with a part.

    ``shapes``: touchpoints and outcomes, or the one table that holds both; ``rules``: the recipe without its tables;
    ``needs``: what to sum, or None for a survey, which only finds the facts on the tables; ``facts`` of such a survey;
    ``listed``: most rejected rows to list.
    """

    shapes: tuple[Shape, ...]
    rules: dict[str, Any]
    needs: tuple[Need, ...] | None
    units: bool
    budget: int
    facts: Facts
    listed: int

    def reader(self, frames: Sequence[pl.DataFrame] | None = None) -> EventReader:
        """Make a reader of some rows, or of none."""
        given = frames or [pl.DataFrame(schema=shape.schema) for shape in self.shapes]
        sources = [
            Source(shape.name, frame.lazy(), pl.Schema(shape.schema), "memory")
            for shape, frame in zip(self.shapes, given, strict=True)
        ]
        inline = self.rules["inline"]
        if inline is None:
            touches, outcomes = sources
        else:
            kept = columns_beside(sources[0].schema, inline, self.rules["by"])
            touches, outcomes = split_inline(sources[0], inline, kept)
        recipe = Recipe(touchpoints=touches, outcomes=outcomes, **self.rules)
        return EventReader(recipe, by_id=False, budget=self.budget, spill=None, progress=None)


def rules_of(recipe: Recipe) -> dict[str, Any]:
    """Recipe without its tables."""
    return {f.name: getattr(recipe, f.name) for f in fields(recipe) if f.name not in TABLES}


def columns_read(reader: EventReader) -> list[str]:
    """Columns, under our names, that a recipe reads of its tables."""
    inline = reader.recipe.inline
    extra = [inline.flag, *([inline.value] if inline.value else [])] if inline else []
    names = dict.fromkeys([*reader.touches.types.names, *reader.outcomes.types.names, *extra])
    return [name for name in names if name not in (checks.FLAG, checks.RAW + checks.FLAG, COPY)]


def tables_to_survey(reader: EventReader) -> list[int]:
    """Tables of which something must be known before the first row is used, by their place among the shapes.

    That is the end of the data for maturity, whether texts of touches carry a time of day (else equal ones are no
    duplicates), whether outcomes do (else they stand at the end of their days), and the largest value, in units of
    which values are summed.
    """
    recipe = reader.recipe
    dated = recipe.day_of_outcome != days.START and reader.touches.types.times != "date"
    touches = recipe.maturity is not None or reader.touches.types.times == "text"
    outcomes = recipe.maturity is not None or reader.outcomes.types.has_value or dated
    if recipe.inline:
        return [0] if touches or outcomes else []
    return [i for i, wanted in enumerate((touches, outcomes)) if wanted]


# a part ---------------------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class _Rows:
    """Rows of a table as words, as they came."""

    pieces: list[Words] = field(default_factory=list)

    def scatter(self, width: int, bits: int) -> tuple[Words, npt.NDArray[np.int64]]:
        """Order them by partition; offsets int64 [2**bits + 1]."""
        rows = np.concatenate(self.pieces) if self.pieces else np.empty((0, width), np.uint64)
        self.pieces = []
        out, offsets = np.empty_like(rows), np.zeros((1 << bits) + 1, np.int64)
        kernel.partition_rows(rows, bits, out, offsets)
        return out, offsets


def do(order: Order, frames: Iterable[Sequence[pl.DataFrame]]) -> bytes:
    """Read a part and sum what is asked for.

    Parameters
    ----------
    order : Order
        What to do.
    frames : iterable of sequences of DataFrame
        Some rows of each table at a time; together they hold all rows of some customers.

    Returns
    -------
    bytes
        For :func:`add_part`; empty if there was no row.
    """
    reader = order.reader()
    tables = (reader.touches, reader.outcomes)
    for table, name in zip(tables, TABLES, strict=True):
        table.read(table.source.frame.collect())  # no row, but the types: a part may lack one of the tables
        _tell(table, order.facts.get(name, {}))
    stores = (_Rows(), _Rows())
    for chunk in frames:
        fresh = order.reader(chunk)
        for table, source, store in zip(tables, (fresh.touches, fresh.outcomes), stores, strict=True):
            for raw in source.frames():
                if raw.height:
                    rows, _ = table.read(raw)
                    if order.needs is not None:
                        store.pieces.append(rows)
    if not any(table.rows for table in tables):
        return b""
    reader.settle()
    answer = Answer()
    for table, name in zip(tables, TABLES, strict=True):
        _list_rejected(answer, table, name, order.listed)
    _put(answer, reader, None if order.needs is None else _sum(reader, order, stores))
    return answer.pack()


def combine(order: Order, blocks: Sequence[bytes]) -> bytes:
    """Add the answers of some parts, so that the answer is that of one part with all their customers."""
    if not blocks:
        return b""
    reader, answer = order.reader(), Answer()
    total = PartPass(reader, order.needs or (), units=order.units, budget=order.budget)
    answer.rules = _add(reader, total, blocks)
    for table, name in zip((reader.touches, reader.outcomes), TABLES, strict=True):
        if table.rejected:
            answer.put_frame(f"rejected.{name}", pl.concat(table.rejected))
    _put(answer, reader, total)
    return answer.pack()


def _sum(reader: EventReader, order: Order, stores: tuple[_Rows, _Rows]) -> PartPass:
    n = sum(len(piece) for store in stores for piece in store.pieces)
    bits = min(LARGEST_PARTITIONS, max(0, math.ceil(math.log2(max(1, n / ROWS_OF_PARTITION)))))
    parts = 1 << bits
    (touches, t_offsets), (outcomes, o_offsets) = (
        store.scatter(table.layout.width, bits)
        for store, table in zip(stores, (reader.touches, reader.outcomes), strict=True)
    )
    plan = reader.plan()
    total = PartPass(reader, order.needs or (), units=order.units, budget=order.budget)
    for part in range(parts):
        own = touches[t_offsets[part] : t_offsets[part + 1]], outcomes[o_offsets[part] : o_offsets[part + 1]]
        total.collect(total.work(reader.grouping.later(*own, skip=bits)(), plan), 1.0 / parts)
    return total


# facts on a table -----------------------------------------------------------------------------------------------------
def _facts(table: TableReader) -> dict[str, Any]:
    names = (*ADDED, *LARGEST, *SMALLEST, *SOME, "value_size")
    return {name: getattr(table, name) for name in names} | {
        "dating": asdict(table.dating), "spread": asdict(table.spread),
        "heavy": {str(word): name for word, name in table.heavy.items()}, "currencies": sorted(table.currencies),
        "signs": table.signs.by_outcome(table.kinds),
    }  # fmt: skip


def _tell(table: TableReader, facts: Mapping[str, Any]) -> None:
    """Tell a table what is known of all its rows and decides about each of them."""
    for name in (*LARGEST, *SMALLEST, *SOME, *DECIDED):
        if name in facts:
            setattr(table, name, facts[name])


def _add_facts(table: TableReader, facts: Mapping[str, Any]) -> None:
    if not facts["rows"]:
        return
    for name in ADDED:
        setattr(table, name, getattr(table, name) + facts[name])
    for names, choose in ((LARGEST, max), (SMALLEST, min)):
        for name in names:
            setattr(table, name, choose(getattr(table, name), facts[name]))
    table.heavy |= {int(word): name for word, name in facts["heavy"].items()}
    table.currencies |= set(facts["currencies"])
    table.signs.tell(facts["signs"])
    for name in SOME:
        setattr(table, name, getattr(table, name) or facts[name])
    table.dating.merge(days.Dating.read(facts["dating"]))
    table.spread.merge(Spread.read(facts["spread"]))
    table.value_size = checks.add_sizes(table.value_size, np.array([facts["value_size"]]), table.source.name)


def _list_rejected(answer: Answer, table: TableReader, name: str, most: int) -> None:
    if table.rejected:
        listed = pl.concat(table.rejected)
        answer.rules[name] = dict(listed.group_by("rule").len().iter_rows())
        # rows of a part have no number that would lead back to the source
        answer.put_frame(f"rejected.{name}", listed.head(most).with_columns(row=pl.lit(None, pl.Int64)))


def _put(answer: Answer, reader: EventReader, total: PartPass | None) -> None:
    for table, name in zip((reader.touches, reader.outcomes), TABLES, strict=True):
        answer.facts[name] = _facts(table)
    if total is not None:
        _put_names(answer, reader)
        _put_sums(answer, total)


# names and sums -------------------------------------------------------------------------------------------------------
def _dictionaries(reader: EventReader) -> list[Dictionary]:
    """Dictionaries of both tables, those that they share once."""
    every = [*reader.touches.kinds.dictionaries, *reader.outcomes.kinds.dictionaries]
    return list({id(dictionary): dictionary for dictionary in every}.values())


def _put_names(answer: Answer, reader: EventReader) -> None:
    for i, dictionary in enumerate(_dictionaries(reader)):
        if dictionary.values is not None:
            answer.put_frame(f"values.{i}", dictionary.values.alias("values").to_frame())
    for table, name in zip((reader.touches, reader.outcomes), TABLES, strict=True):
        for i, dictionary in enumerate(table.kinds.dictionaries):
            answer.arrays[f"rows.{name}.{i}"] = table.rows_by_code(dictionary.name)
    answer.arrays["bases"], answer.arrays["games"] = reader.names.bases(), reader.names.game_keys()


def _put_sums(answer: Answer, total: PartPass) -> None:
    for i, tally in enumerate(total.totals().values()):
        layout = tally.layout
        answer.layouts.append([layout.players, layout.bits, layout.game_bits, layout.tail_bits, tally.exponent])
        answer.arrays |= {f"keys.{i}": tally.keys, f"sums.{i}": tally.sums}
        if tally.lists is not None:
            answer.arrays |= {f"offsets.{i}": tally.lists.offsets, f"players.{i}": tally.lists.players}
    fates = total.fates
    carry(fates.outcomes[:, 1:])
    carry(fates.reasons[:, 2:])
    answer.arrays |= {"touches": fates.touches, "outcomes": fates.outcomes, "reasons": fates.reasons}
    answer.arrays["refunds"] = fates.refunds
    answer.arrays |= {f"seen.{name}": array for name, array in fates.seen.arrays().items()}
    answer.dropped = [
        fates.duplicates, fates.repeated, fates.repeated_values, fates.flagged.tolist(), asdict(fates.ties)
    ]  # fmt: skip
    if total.funnel:
        answer.arrays["funnel.counts"] = np.sum([part.counts for part in total.funnel], axis=0)
        answer.arrays["funnel.times"] = np.concatenate([part.times for part in total.funnel])
        answer.arrays["funnel.flags"] = np.concatenate([part.flags for part in total.funnel])


# where parts are added up -------------------------------------------------------------------------------------------
def survey(order: Order, ask: Callable[[list[int]], Iterable[bytes]]) -> Facts:
    """Find the facts that decide about single rows; ``ask`` gives the answers of all parts on some of the tables.

    Touchpoints are asked how they are dated only where outcomes may carry days: few do.
    """
    reader = order.reader()
    chosen = tables_to_survey(reader)
    if not chosen:
        return {}
    _survey(reader, ask(chosen))
    if 0 not in chosen and days.may_carry_days(reader.outcomes.dating):
        _survey(reader, ask([0]))
    _settle(reader)
    names = (*LARGEST, *SMALLEST, *SOME, *DECIDED)
    return {
        name: {fact: getattr(table, fact) for fact in names}
        for table, name in zip((reader.touches, reader.outcomes), TABLES, strict=True)
    }


def _survey(reader: EventReader, blocks: Iterable[bytes]) -> None:
    for block in blocks:
        answer = Answer.unpack(block)
        for table, name in zip((reader.touches, reader.outcomes), TABLES, strict=True):
            _add_facts(table, answer.facts[name])


def add_parts(reader: EventReader, total: PartPass, blocks: Iterable[bytes]) -> list[str]:
    """Add the answers of all parts to a reader and a pass that saw no row.

    Returns
    -------
    list of str
        What to warn of.

    Raises
    ------
    DataError
        ``no_rows``, ``no_target``, ``mixed_zones`` or ``too_many_players``, as a reader of all rows would.
    RejectedError
        ``too_many_rejected``.
    ResourceError
        ``tally_too_large``.
    """
    rules = _add(reader, total, blocks)
    tables = (reader.touches, reader.outcomes)
    for table, name in zip(tables, TABLES, strict=True):
        table.check_rejects(rules[name])
    _settle(reader)
    reader.names.check_outcomes()
    return [
        f"rejected lists {listed:,} of {table.rejected_rows:,} rejected rows of {table.source.name}"
        for table in tables
        if (listed := sum(frame.height for frame in table.rejected)) < table.rejected_rows
    ]


def _add(reader: EventReader, total: PartPass, blocks: Iterable[bytes]) -> dict[str, dict[str, int]]:
    """Add all answers; returns by table the rejected rows by the rule they broke."""
    rules: dict[str, dict[str, int]] = {name: {} for name in TABLES}
    for block in blocks:
        answer = Answer.unpack(block)
        for table, name in zip((reader.touches, reader.outcomes), TABLES, strict=True):
            _add_facts(table, answer.facts[name])
            if f"rejected.{name}" in answer.arrays:
                table.rejected.append(answer.frame(f"rejected.{name}"))
            for rule, count in answer.rules.get(name, {}).items():
                rules[name][rule] = rules[name].get(rule, 0) + count
        _add_sums(reader, total, answer)
    return rules


def _settle(reader: EventReader) -> None:
    for table in (reader.touches, reader.outcomes):
        if table.aware and table.naive:
            raise mixed_zones(table.source.name, table.source.name)
    reader.settle()


def _add_sums(reader: EventReader, total: PartPass, answer: Answer) -> None:
    arrays = answer.arrays
    codes: dict[str, npt.NDArray[np.int64]] = {}
    for i, dictionary in enumerate(_dictionaries(reader)):
        codes[dictionary.name] = np.zeros(1, np.int64)  # null is 0 on either side
        if f"values.{i}" in arrays:
            codes[dictionary.name] = dictionary.encode(answer.frame(f"values.{i}")["values"]).astype(np.int64)
    for table, name in zip((reader.touches, reader.outcomes), TABLES, strict=True):
        for i, dictionary in enumerate(table.kinds.dictionaries):
            rows = arrays[f"rows.{name}.{i}"]
            table.add_rows(dictionary.name, codes[dictionary.name][: len(rows)], rows)
    players, games = reader.names.adopt(arrays["bases"], arrays["games"], codes)
    for i, (need, (*layout, exponent)) in enumerate(zip(total.sums, answer.layouts, strict=True)):
        lists = Lists(arrays[f"offsets.{i}"], arrays[f"players.{i}"]) if f"offsets.{i}" in arrays else None
        tally = Tally(need, Layout(*layout), exponent, arrays[f"keys.{i}"], arrays[f"sums.{i}"], lists)
        total.sums[need].add(rename(tally, players, games))
        total.sums[need].check(0, 1.0 if total.units else None)
    fates = total.fates
    fates.touches += arrays["touches"]
    fates.outcomes += arrays["outcomes"]
    fates.reasons += arrays["reasons"]
    fates.refunds += arrays["refunds"]
    carry(fates.outcomes[:, 1:])
    carry(fates.reasons[:, 2:])
    duplicates, repeated, values, flagged, ties = answer.dropped
    fates.duplicates += duplicates
    fates.repeated += repeated
    fates.repeated_values += values
    fates.flagged += np.array(flagged, np.int64)
    fates.ties.add(Ties.read(ties))
    fates.seen.add(Seen.of_arrays({name: arrays[f"seen.{name}"] for name in Seen().arrays()}))
    if "funnel.counts" in arrays:
        total.funnel.append(FunnelPart(arrays["funnel.counts"], arrays["funnel.times"], arrays["funnel.flags"]))
