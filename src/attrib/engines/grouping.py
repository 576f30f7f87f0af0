"""Rows of some customers in, ordered events of each customer out (semantics §1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from attrib.diagnostics.seen import see
from attrib.engines.base import FLAGGED
from attrib.engines.coding import Words, unordered_float
from attrib.engines.customers import hash_ordered_ids
from attrib.engines.findings import placeholder_words
from attrib.engines.order_ids import identity_of
from attrib.engines.reading import RowLayout, TableReader
from attrib.io.flags import COPY_BITS, RUN_SECONDS
from attrib.kernels import rows as kernel
from attrib.ragged import Events, Ints
from attrib.refunds import Refunding, net_events

Small = npt.NDArray[np.int32]
Ranks = list[tuple[int, Small]]


@dataclass(frozen=True, slots=True)
class Grouping:
    """How rows become events: by sorting them, or, where they arrive customer by customer, inside each customer.

    ``by_id``: the identity word sorts like the id and rows arrive in its order; ``drop``: drop duplicates;
    ``refunding``: what becomes of outcomes of negative value; ``order_words``: words of an order id.
    """

    touches: TableReader
    outcomes: TableReader
    ids: str
    by_id: bool
    drop: bool
    refunding: Refunding
    order_words: int = 0

    def later(self, touch_rows: Words, outcome_rows: Words, skip: int) -> Callable[[], Events]:
        """Group on the thread that calls; names are looked up now, since reading goes on meanwhile."""
        orders = _order(self.touches), _order(self.outcomes)
        assert self.outcomes.at_day_end is not None, "decided before the first rows are grouped"
        ranks = _ranks(self.touches), _ranks(self.outcomes)
        counted = self.outcomes.kinds_that_count()
        # all rows of these customers have been read: none of them is negative where none was met yet
        names = self.outcomes.kinds.codes[:, 0] if self.refunding.net and self.outcomes.negative else None
        return lambda: self._group(touch_rows, outcome_rows, skip, orders, ranks, counted, names)

    def _group(
        self, touch_rows: Words, outcome_rows: Words, skip: int, orders: tuple[Small, Small],
        ranks: tuple[Ranks, Ranks], counted: npt.NDArray[np.bool_], names: Small | None,
    ) -> Events:  # fmt: skip
        """Sort the rows of some customers, drop duplicates, match the two tables, and net refunds."""
        t_layout, o_layout = self.touches.layout, self.outcomes.layout
        if self.outcomes.at_day_end:
            self.outcomes.to_day_ends(outcome_rows)
        for rows, pairs in ((touch_rows, ranks[0]), (outcome_rows, ranks[1])):
            for word, rank in pairs:
                kernel.rank_codes(rows, word, rank)
        touch_rows = self._sort(touch_rows, t_layout.width, t_layout.identity, skip)
        outcome_rows = self._sort(outcome_rows, o_layout.width, o_layout.identity, skip)
        duplicates, repeated, repeated_value = 0, 0, 0.0
        if self.drop:
            # rows on the same date are not the same event: nothing tells when in the day they happened
            if not self.touches.only_dates:
                kept = kernel.drop_equal(touch_rows, t_layout.width)
                duplicates = len(touch_rows) - kept
                touch_rows = touch_rows[:kept]
            if o_layout.event >= 0:
                gone = np.zeros(len(outcome_rows), np.bool_)
                values = unordered_float(outcome_rows[:, o_layout.value])
                kept = kernel.drop_repeated_events(outcome_rows, o_layout.identity, o_layout.event, gone)
                repeated, repeated_value = len(gone) - kept, float(values[gone].sum())
                outcome_rows = outcome_rows[:kept]
        room = len(touch_rows) + len(outcome_rows)
        t_offsets, o_offsets = np.empty(room + 1, np.int64), np.empty(room + 1, np.int64)
        customers = np.empty((room, t_layout.identity), np.uint64)
        n = kernel.match_customers(touch_rows, outcome_rows, t_layout.identity, t_offsets, o_offsets, customers)
        t_offsets, o_offsets, identity = t_offsets[: n + 1].copy(), o_offsets[: n + 1].copy(), customers[:n].copy()
        if self.by_id and self.ids != "text":
            identity = hash_ordered_ids(identity[:, 0], self.ids)[:, None]
        cluster = self._clusters(touch_rows, t_offsets, outcome_rows, o_offsets, identity[:, 0])
        t_time, t_kind = _times_and_kinds(touch_rows, t_layout, orders[0])
        o_time, o_kind = _times_and_kinds(outcome_rows, o_layout, orders[1])
        t_same = np.zeros(0, np.bool_)
        if t_layout.sequence >= 0:
            t_same = np.zeros(len(touch_rows), np.bool_)
            ordered = touch_rows[:, : t_layout.sequence + 1]
            t_same[1:] = (ordered[1:] == ordered[:-1]).all(axis=1)
        o_value = np.empty(len(outcome_rows), np.uint64)
        kernel.read_floats(outcome_rows, o_layout.value, o_value)
        first = _first_copies(outcome_rows, o_layout)
        of_events = _ids(outcome_rows, o_layout.event, 2)
        of_orders = _ids(outcome_rows, o_layout.order, self.order_words)
        seen = see(
            identity, t_offsets, t_time, o_offsets, o_time,
            counts=counted[o_kind] & first, equal=_equal_rows(outcome_rows, o_layout, first),
            sold=o_value.view(np.float64) >= 0,
            event=of_events, order=of_orders,
            names=self.outcomes.kinds.codes[:, 0][o_kind], ticks=self.touches.ticks,
            placeholders=placeholder_words(self.ids),
        )  # fmt: skip
        found = Events(
            identity=identity, unit=(cluster >> np.uint64(56)).astype(np.int32),
            t_offsets=t_offsets, t_time=t_time, t_kind=t_kind, t_same=t_same,
            o_offsets=o_offsets, o_time=o_time, o_kind=o_kind, o_value=o_value.view(np.float64),
            duplicates=duplicates, repeated=repeated, repeated_value=repeated_value, seen=seen,
            flagged=_flagged(touch_rows, t_offsets, t_time, t_layout.extra, self.touches.ticks),
        )  # fmt: skip
        if names is None:
            return found
        return net_events(found, names, of_orders, count_refunded=self.refunding.count_refunded)

    def _sort(self, rows: Words, keys: int, identity: int, skip: int) -> Words:
        if self.by_id and self.ids != "text":
            kernel.sort_runs(rows, keys)
            return rows
        out = np.empty_like(rows)
        kernel.sort_rows(rows, skip, identity, keys, out)
        return out

    def _clusters(self, t_rows: Words, t_off: Any, o_rows: Words, o_off: Any, own: Words) -> Words:
        """Hash that decides the bucket: the customer's first cluster, else the customer."""
        unit = own
        for rows, offsets, layout in ((o_rows, o_off, self.outcomes.layout), (t_rows, t_off, self.touches.layout)):
            if layout.cluster < 0:
                continue
            unit = own.copy() if unit is own else unit
            words = rows[:, layout.cluster]
            named = np.flatnonzero(words)
            customer = np.searchsorted(offsets, named, side="right") - 1
            first, at = np.unique(customer, return_index=True)
            unit[first] = words[named[at]]
        return unit


def _ids(rows: Words, at: int, words: int) -> Words:
    """Two words for the id of each row; [0, 2] without such a column."""
    return identity_of(rows[:, at : at + words]) if at >= 0 else np.empty((0, 2), np.uint64)


def _flagged(rows: Words, offsets: Ints, times: Ints, word: int, ticks: int) -> tuple[int, ...]:
    """How flags (lowest bit of a word: the touch is an outcome too) lie on the touches of customers.

    Customers with several touches of which one is flagged, and those of which all are; customers with another touch
    within half an hour of a flagged one, those with flagged touches that follow each other so, the flagged touches that
    follow one, and all flagged touches.
    """
    if word < 0 or not len(rows):
        return (0,) * FLAGGED
    is_flagged = (rows[:, word] & np.uint64(1)).astype(np.bool_)
    touches, flagged = np.diff(offsets), _per_customer(is_flagged, offsets)
    several = (touches > 1) & (flagged > 0)
    follows = np.zeros(len(rows), np.bool_)  # the touch before it, of the same customer, is near
    follows[1:] = times[1:] - times[:-1] <= RUN_SECONDS * ticks
    follows[offsets[:-1][touches > 0]] = False
    either, both = follows.copy(), follows.copy()
    either[1:] &= is_flagged[1:] | is_flagged[:-1]
    both[1:] &= is_flagged[1:] & is_flagged[:-1]
    near, runs = _per_customer(either, offsets) > 0, _per_customer(both, offsets) > 0
    counts = several, several & (flagged == touches), near, runs, both, is_flagged
    return tuple(int(count.sum()) for count in counts)


def _per_customer(marks: npt.NDArray[np.bool_], offsets: Ints) -> Ints:
    before = np.concatenate([[0], np.cumsum(marks)])
    counts: Ints = np.diff(before[offsets])
    return counts


def _first_copies(rows: Words, layout: RowLayout) -> npt.NDArray[np.bool_]:
    """Rows as the caller gave them: of one that counts several conversions, the first."""
    if layout.copy < 0:
        return np.ones(len(rows), np.bool_)
    first: npt.NDArray[np.bool_] = rows[:, layout.copy] & np.uint64((1 << COPY_BITS) - 1) == 0
    return first


def _equal_rows(rows: Words, layout: RowLayout, first: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Outcome rows equal to the one before: customer, time, names, value and count; of those with an id none is."""
    equal = np.zeros(len(rows), np.bool_)
    at = np.flatnonzero(first)
    words = [
        *range(layout.identity),
        layout.time,
        layout.kind,
        layout.value,
        *([layout.copy] if layout.copy >= 0 else []),
    ]
    if len(at) > 1:
        same = np.ones(len(at) - 1, np.bool_)
        for word in dict.fromkeys(words):
            same &= rows[at[1:], word] == rows[at[:-1], word]
        equal[at[1:]] = same
        if layout.event >= 0:
            equal &= rows[:, layout.event + 1] == 0
    return equal


def _ranks(reader: TableReader) -> Ranks:
    """Words of a row that hold a code, each with the rank of every code."""
    pairs: Ranks = [(reader.layout.kind, reader.kinds.rank())]
    if reader.layout.first_kind >= 0:
        pairs.append((reader.layout.first_kind, reader.kinds.dictionaries[0].rank()))
    return pairs


def _order(reader: TableReader) -> Small:
    """Kind of every rank."""
    rank = reader.kinds.rank()
    order = np.empty(len(rank), np.int32)
    order[rank] = np.arange(len(rank), dtype=np.int32)
    return order


def _times_and_kinds(rows: Words, layout: RowLayout, kind_of_rank: Small) -> tuple[Ints, Small]:
    times, kinds = np.empty(len(rows), np.int64), np.empty(len(rows), np.int32)
    kernel.read_rows(rows, layout.time, layout.kind, kind_of_rank, times, kinds)
    return times, kinds
