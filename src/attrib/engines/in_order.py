"""Rows that arrive customer by customer: verified while they stream, and cut where a customer ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from attrib.engines.coding import Words
from attrib.engines.reading import BATCH, TableReader, batches_of
from attrib.io import days
from attrib.schemas import TIME

MOST_ROOM = 1 << 16  # rows carried that are copied in front of the next batch, rather than the batch behind them


class NotSortedError(Exception):
    """The in-order route does not serve: rows turned out not to come customer by customer."""


@dataclass(slots=True)
class Carry:
    """Rows read but not yet handed on, with the customers they belong to, in order."""

    reader: TableReader
    rows: list[Words] = field(default_factory=list)
    ids: list[pl.Series] = field(default_factory=list)

    def add(self, rows: Words, ids: pl.Series) -> None:
        """Put a batch behind; where the reader left room for them, the rows carried move to its front."""
        if self.reader.room:
            rows[: self.reader.room] = self.rows.pop()
        self._carry([*self.rows, rows], [*self.ids, ids])

    def _carry(self, rows: list[Words], ids: list[pl.Series]) -> None:
        self.rows, self.ids = rows, ids
        self.reader.room = len(rows[0]) if len(rows) == 1 and len(rows[0]) <= MOST_ROOM else 0

    def take(self, cutoff: Any) -> Words:
        """Take out the rows of customers before ``cutoff``, or all of them."""
        if not self.ids or (cutoff is not None and self.ids[0][0] >= cutoff):
            return no_rows(self.reader)  # one customer over several batches: nothing to copy yet
        rows = np.concatenate(self.rows) if len(self.rows) > 1 else self.rows[0]
        at = 0
        left: list[pl.Series] = []
        for ids in self.ids:
            before = len(ids)
            if cutoff is not None and ids[-1] >= cutoff:
                before = 0 if left else int(ids.search_sorted(cutoff, side="left"))
                left.append(ids[before:])
            at += before
        self._carry([rows[at:]] if left else [], left)
        return rows[:at]


def checked_order(reader: TableReader) -> Iterator[tuple[Words, pl.Series]]:
    """Batches that are not empty, as long as customers come in order.

    Raises
    ------
    NotSortedError
        At the first customer out of order.
    """
    last: Any = None
    for rows, ids in reader.batches():
        if len(ids):
            if not ids.is_sorted() or (last is not None and ids[0] < last):
                raise NotSortedError
            last = ids[-1]
            yield rows, ids


def until(batches: Iterator[tuple[Words, pl.Series]], carry: Carry, cutoff: Any) -> Iterator[tuple[Words, pl.Series]]:
    """Batches until the carry reaches the customer ``cutoff``."""
    while not carry.ids or carry.ids[-1][-1] < cutoff:
        batch = next(batches, None)
        if batch is None:
            return
        yield batch


def expect_days(outcomes: TableReader, touches: TableReader, asked: str) -> bool:
    """Whether outcomes will turn out to stand at the end of their days, by the first rows of both tables."""
    if touches.types.times == "date":
        return False
    found: list[days.Dating] = []
    for table in (outcomes, touches):
        dating = days.Dating()
        found.append(dating)
        frame = table.source.frame.select(pl.col(TIME)).drop_nulls().head(BATCH)
        if table.types.times == "date":
            frame = frame.with_columns(pl.col(TIME).cast(pl.Datetime("ms")))
        for times in batches_of(table.source, frame):
            dating.add(times, table.types)
        if not days.may_carry_days(found[0]):
            return False  # the touches need not be asked
    return days.carries_days(found[0], found[1], asked) is not None


def no_rows(reader: TableReader) -> Words:
    """No rows, as wide as the reader's."""
    return np.empty((0, reader.layout.width), np.uint64)
