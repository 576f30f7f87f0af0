"""From two tables of events to partitions of customers, by one of two routes.

In order: batches that arrive customer by customer are cut where a customer ends (verified while streaming).
In any order: rows are scattered by customer hash, in memory or to disk, and each partition is sorted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import polars as pl

from attrib.diagnostics.columns import currency_beside
from attrib.durations import in_ticks
from attrib.engines.accounts import counted, ledger_of
from attrib.engines.base import BUCKETS, Fates, Ledger, Progress, Recipe, Tallies, Units
from attrib.engines.coding import Dictionary, Kinds
from attrib.engines.grouping import Grouping
from attrib.engines.in_order import Carry, NotSortedError, checked_order, expect_days, no_rows, until
from attrib.engines.naming import Names
from attrib.engines.order_ids import words_of
from attrib.engines.reading import RowLayout, TableReader, check_zones, largest_value, mixed_zones
from attrib.engines.store import PartitionStore
from attrib.io import checks, days
from attrib.io.flags import COPY
from attrib.io.sources import MORE, Source, check_distinct
from attrib.io.tables import check_types, required, with_channel
from attrib.kernels import rows as kernel
from attrib.needs import Need
from attrib.ragged import NEVER, Cut, CutPlan, Events, cut
from attrib.schemas import (
    CHANNEL,
    CLUSTER,
    CUSTOMER,
    EVENT,
    INTERACTION,
    ORDER,
    OUTCOME,
    SEQUENCE,
    STAGE,
    TIME,
    VALUE,
)
from attrib.stages import StageColumn, StageModel
from attrib.tally import Tally

BYTES_OF_EVENT = 24  # in a partition, about: time and kind of a touch, or of an outcome with its value
ROWS_OF_PARTITION = 1 << 18  # with three words 6 MB: sorted inside the cache


class EventReader:
    """Reads a recipe's events once, by one route, and knows all names it met."""

    def __init__(
        self, recipe: Recipe, *, by_id: bool, budget: int, spill: str | None, progress: Progress | None
    ) -> None:
        self.recipe, self.by_id, self.budget, self.spill = recipe, by_id, budget, spill
        self.progress = progress or (lambda _stage, _done, _total: None)
        self._exponent = 0
        self._prepare()

    def _prepare(self) -> None:
        recipe = self.recipe
        touches, outcomes = with_channel(recipe.touchpoints, recipe.player), recipe.outcomes
        in_touches = tuple(c for c in recipe.by if c in touches.schema)
        in_outcomes = tuple(c for c in recipe.by if c in outcomes.schema)
        stage_column = isinstance(recipe.stages, StageColumn)
        players = tuple(c for c in recipe.player if c != CHANNEL)
        stage = (STAGE,) if stage_column and STAGE not in (*players, *in_touches) else ()
        interaction = (INTERACTION,) if recipe.needs_interaction else ()
        further = tuple(sorted({*players, *in_touches, *stage, *interaction}))
        optional = tuple(c for c in (SEQUENCE, CLUSTER, EVENT) if c in touches.schema)
        flag = (checks.FLAG, checks.RAW + checks.FLAG) if recipe.inline else ()
        value = (recipe.inline.value,) if recipe.inline and recipe.inline.value else ()
        t_columns = tuple(dict.fromkeys((CUSTOMER, TIME, CHANNEL, *further, *optional, *flag, *value, *_more(touches))))
        no_channel = CHANNEL not in touches.schema and CHANNEL not in recipe.player
        required(touches, [c for c in t_columns if not (c.startswith("__") or (no_channel and c == CHANNEL))])
        order_id = (ORDER,) if recipe.refunding.net and {VALUE, ORDER} <= set(outcomes.schema) else ()
        o_optional = tuple(c for c in (VALUE, CLUSTER, EVENT, *order_id) if c in outcomes.schema)
        money = currency_beside(outcomes.schema, recipe.by) if VALUE in o_optional else ()
        copy = (COPY,) if COPY in outcomes.schema else ()
        o_further = (*sorted(in_outcomes), *o_optional, *money, *flag, *copy, *_more(outcomes))
        o_columns = tuple(dict.fromkeys((CUSTOMER, TIME, OUTCOME, *o_further)))
        required(outcomes, [c for c in o_columns if not c.startswith("__")])

        check_distinct("touchpoints", touches.schema, t_columns)
        check_distinct("outcomes", outcomes.schema, o_columns)
        check_types("outcomes", outcomes.schema, dict.fromkeys(order_id, "key"))

        t_types = checks.read_types(touches, t_columns, interaction)
        o_types = checks.read_types(outcomes, o_columns, valued=counted(recipe))
        t_types, o_types, self.ids = _compared(t_types, o_types)
        self.ticks = max(checks.TICKS[t_types.unit], checks.TICKS[o_types.unit])
        may_move = recipe.day_of_outcome != days.START and t_types.times != "date"
        if may_move:
            self.ticks = max(self.ticks, checks.TICKS["us"])  # the last microsecond of a day is one
        identity = 2 if self.ids == "text" else 1
        t_parts = ["time", *([SEQUENCE] if SEQUENCE in optional else []), "kind"]
        t_parts += [
            p for p, on in (("cluster", CLUSTER in optional), ("extra", bool(flag)), ("event", EVENT in optional)) if on
        ]
        o_parts = ["time", *(["first_kind", "value", "kind"] if in_outcomes else ["kind", "value"])]
        by_text = may_move and o_types.times == "text"
        o_parts += [
            p
            for p, on in (
                ("cluster", CLUSTER in o_optional),
                ("day", by_text),
                ("order", bool(order_id)),
                ("event", EVENT in o_optional),
                ("copy", bool(copy)),
            )
            if on
        ]
        shared = {c: Dictionary(c) for c in recipe.by}
        t_kinds = Kinds([Dictionary(CHANNEL), *(shared.get(c) or Dictionary(c) for c in further)])
        o_kinds = Kinds([Dictionary(OUTCOME), *(shared[c] for c in sorted(in_outcomes))])
        of_order = words_of(outcomes.schema[ORDER]) if order_id else 0
        order = recipe.stages.names if isinstance(recipe.stages, StageColumn) else ()
        touch_source = _as_shared_types(touches, outcomes, recipe.by, t_columns)
        outcome_source = _as_shared_types(outcomes, touches, recipe.by, o_columns)
        common: dict[str, Any] = {
            "ids": self.ids, "ticks": self.ticks, "max_players": recipe.max_players,
            "max_rejects": recipe.max_rejects, "by_id": self.by_id,
        }  # fmt: skip
        self.touches = TableReader(
            source=touch_source, types=t_types, kinds=t_kinds, layout=RowLayout.build(identity, t_parts), stages=order,
            interactions=recipe.interactions, player_columns=recipe.player,
            inline_value=recipe.inline.value if recipe.inline else None, **common,
        )  # fmt: skip
        self.outcomes = TableReader(
            source=outcome_source, types=o_types, kinds=o_kinds, stages=(), player_columns=(),
            layout=RowLayout.build(identity, o_parts, of_order), counted=counted(recipe),
            currency=money[0] if money else None, **common,
        )  # fmt: skip
        self.grouping = Grouping(
            self.touches,
            self.outcomes,
            self.ids,
            self.by_id,
            recipe.duplicates == "drop",
            recipe.refunding,
            of_order,
        )
        self.names = Names(recipe, t_kinds, o_kinds, in_touches, in_outcomes)

    @property
    def exponent(self) -> int:
        """Values are counted in 2^exponent."""
        return self._exponent

    # facts --------------------------------------------------------------------------------------------------------
    @property
    def may_be_sorted(self) -> bool:
        """Whether the in-order route is worth a try: maturity needs the end of the data first, texts need parsing."""
        kinds = {self.touches.source.kind, self.outcomes.source.kind}
        times = {self.touches.types.times, self.outcomes.types.times}
        return self.recipe.maturity is None and "csv" not in kinds and "text" not in times and "lazy" not in kinds

    @property
    def has_funnel(self) -> bool:
        """Whether stages come from milestones."""
        return isinstance(self.recipe.stages, StageModel)

    has_times: ClassVar[bool] = True

    def player_frame(self) -> pl.DataFrame:
        """Columns of every player met so far, in the order of their codes."""
        return self.names.player_frame()

    def game_frame(self) -> pl.DataFrame:
        """By-values and stage of every game met so far, in the order of their codes."""
        return self.names.game_frame()

    @property
    def end(self) -> int:
        """End of the data, in ticks."""
        return max(self.touches.last, self.outcomes.last)

    @property
    def day_rule(self) -> str | None:
        """Why outcomes stand at the end of their days, as far as rows were read; None where they do not."""
        return days.carries_days(self.outcomes.dating, self.touches.dating, self.recipe.day_of_outcome)

    @property
    def n_player_codes(self) -> int:
        """Number of player codes given so far."""
        return self.names.n_players

    @property
    def n_games(self) -> int:
        """Number of games met so far."""
        return self.names.n_games

    def plan(self) -> CutPlan:
        """How journeys are cut, with the names met so far."""
        recipe = self.recipe
        maturity = in_ticks(recipe.maturity, self.ticks)
        lookback = recipe.lookback
        plan = self.names.plan(
            lookback={name: in_ticks(one, self.ticks) for name, one in lookback.items()}
            if isinstance(lookback, Mapping) else in_ticks(lookback, self.ticks),
            max_gap=in_ticks(recipe.max_gap, self.ticks),
            exponent=self._exponent, ticks=self.ticks,
        )  # fmt: skip
        return plan if maturity < 0 else replace(plan, open_from=max(self.end - maturity, -NEVER))

    def cut(self, events: Events, plan: CutPlan) -> Cut:
        """Cut the journeys of a partition."""
        return cut(events, plan)

    # routes -------------------------------------------------------------------------------------------------------
    def partitions(self) -> Iterator[tuple[Callable[[], Events], float]]:
        """Partitions of customers, to be sorted by whoever calls them, with the share of all units they complete.

        In order, every partition has customers of all units, so that later ones bring few new sums: share 1.
        """
        yield from self._in_order() if self.by_id else self._in_any_order()
        self.names.check_outcomes()

    def _in_any_order(self) -> Iterator[tuple[Callable[[], Events], float]]:
        bits = self._partition_bits()
        parts = 1 << bits
        with_budget = max(self.budget // 2, 1)
        stores = []
        for reader in (self.touches, self.outcomes):
            store = PartitionStore(parts, reader.layout.width, with_budget, reader.source.name)
            stores.append(store)
            for rows, _ids in reader.batches():
                scattered = np.empty_like(rows)
                offsets = np.zeros(parts + 1, np.int64)
                kernel.partition_rows(rows, bits, scattered, offsets)
                store.append(scattered, offsets, self.spill)
                self.progress(f"reading {reader.source.name}", reader.rows, None)
        self.settle()
        try:
            for part in range(parts):
                yield self.grouping.later(stores[0].take(part), stores[1].take(part), skip=bits), 1.0 / parts
                self.progress("forming journeys", part + 1, parts)
        finally:
            for store in stores:
                store.close()

    def may_fit(self, budget: int) -> bool:
        """Whether all partitions together may fit into so many bytes, as far as the number of rows is known."""
        return (self._count_rows() or 0) * BYTES_OF_EVENT <= budget

    def _count_rows(self) -> int | None:
        counted = [_count_rows(reader.source) for reader in (self.touches, self.outcomes)]
        return None if None in counted else sum(n or 0 for n in counted)

    def _partition_bits(self) -> int:
        """Enough partitions for the cache and the budget, at most one a bucket."""
        rows = self._count_rows()
        if rows is None:
            return 6
        largest = min(ROWS_OF_PARTITION, max(1, self.budget // (8 * self.touches.layout.width * 8)))
        return min(8, max(0, math.ceil(math.log2(max(1, rows / largest)))))

    def _in_order(self) -> Iterator[tuple[Callable[[], Events], float]]:
        asked = self.recipe.day_of_outcome
        self.outcomes.at_day_end = asked != days.START and expect_days(self.outcomes, self.touches, asked)
        if self.outcomes.types.has_value:
            self._exponent = exponent_of(largest_value(self.outcomes.source, self.outcomes.counted), has_value=True)
        total = _count_rows(self.touches.source)
        outcome_batches = checked_order(self.outcomes)
        touches, outcomes = Carry(self.touches), Carry(self.outcomes)
        for touch_rows, ids in checked_order(self.touches):
            touches.add(touch_rows, ids)
            cutoff = ids[-1]  # this customer may go on in the next batch
            for outcome_rows, outcome_ids in until(outcome_batches, outcomes, cutoff):
                outcomes.add(outcome_rows, outcome_ids)
                if len(outcomes.rows) > 2:  # many customers without a touch: they need not wait for one
                    alone = outcomes.take(min(touches.ids[0][0], outcome_ids[-1]))
                    yield self.grouping.later(no_rows(self.touches), alone, skip=0), 1.0
            ready, theirs = touches.take(cutoff), outcomes.take(cutoff)
            self.progress("reading touchpoints", self.touches.rows, total)
            if len(ready) or len(theirs):
                yield self.grouping.later(ready, theirs, skip=0), 1.0
        for outcome_rows, outcome_ids in outcome_batches:
            outcomes.add(outcome_rows, outcome_ids)
            if len(outcomes.rows) > 2 and not (touches.ids and touches.ids[0][0] >= outcome_ids[-1]):
                last = touches.take(outcome_ids[-1])
                yield self.grouping.later(last, outcomes.take(outcome_ids[-1]), skip=0), 1.0
        self._check_zones()
        if self._exponent != exponent_of(self.outcomes.largest, has_value=self.outcomes.types.has_value):
            raise NotSortedError  # the largest value was a rejected row's: the hash route knows that before it sums
        if self.outcomes.at_day_end != (self.day_rule is not None):
            raise NotSortedError  # the first rows are dated otherwise than most: the hash route reads before it groups
        yield self.grouping.later(touches.take(None), outcomes.take(None), skip=0), 1.0

    def settle(self) -> None:
        """Conclude reading in any order: what values are counted in is known, and whether times agree on zones."""
        self._check_zones()
        self._exponent = exponent_of(self.outcomes.largest, has_value=self.outcomes.types.has_value)
        if self.outcomes.at_day_end is None:
            self.outcomes.at_day_end = self.day_rule is not None

    # accounts -----------------------------------------------------------------------------------------------------
    def _check_zones(self) -> None:
        check_zones([self.touches, self.outcomes])

    def tallies(self, sums: dict[Need, Tally]) -> Tallies:
        """Put players and games into the order of the credit table."""
        return self.names.tallies(sums, Units("buckets", np.ones(BUCKETS, np.int64)))

    def ledger(self, fates: Fates, totals: Tally) -> Ledger:
        """Account for every row of both tables."""
        return ledger_of(self, fates, totals)


def _compared(one: checks.TableTypes, other: checks.TableTypes) -> tuple[checks.TableTypes, checks.TableTypes, str]:
    """How both tables are read so that their days and ids are the same, and the type of the ids."""
    one, other = checks.with_days_of(one, other), checks.with_days_of(other, one)
    if one.aware is not None and other.aware is not None and one.aware != other.aware:
        raise mixed_zones("touchpoints", "outcomes")
    return one, other, checks.common_ids([one, other])


def check_recipe(recipe: Recipe) -> None:
    """Check columns and types of both tables, without reading a row.

    Raises
    ------
    DataError
        ``missing_columns``, ``wrong_type`` or ``mixed_zones``.
    """
    EventReader(recipe, by_id=False, budget=0, spill=None, progress=None)


def exponent_of(largest: float, *, has_value: bool) -> int:
    """Power of two just above the largest value: values are summed in units of it."""
    return max(-1000, math.frexp(largest)[1]) if has_value and largest > 0 else 0


def _scan(source: Source, number: pl.Expr) -> Any:
    return source.collect(source.frame.select(number)).item()


def _count_rows(source: Source) -> int | None:
    if source.kind in ("parquet", "memory"):
        return int(_scan(source, pl.len()))
    if source.kind == "csv":
        packed = 4 if source.files[0].name.endswith(".gz") else 1
        return sum(file.stat().st_size for file in source.files) * packed // 40
    return None


def _more(source: Source) -> tuple[str, ...]:
    """The column of cells beyond the header, which CSV sources have."""
    return (MORE,) if MORE in source.schema else ()


def _as_shared_types(source: Source, other: Source, by: tuple[str, ...], columns: tuple[str, ...]) -> Source:
    """Select the columns read; a by-column that the other table has with another type is read as their common one."""
    shared = [c for c in by if c in source.schema and c in other.schema and source.schema[c] != other.schema[c]]
    casts = [pl.col(c).cast(_common_type(source.schema[c], other.schema[c])) for c in shared]
    return replace(source, frame=source.frame.select(columns).with_columns(casts))


def _common_type(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    """Type that holds the values of both: 1 and 1.0 are one value, and so are a text and its category."""
    try:
        return pl.concat([pl.DataFrame(schema={"x": t}) for t in (one, other)], how="vertical_relaxed").schema["x"]
    except (pl.exceptions.PolarsError, TypeError):
        return pl.String()
