"""Rows by bucket, for methods that need more than sums: written as partitions are formed, in memory or on disk.

A method says what it reads by a :class:`RowNeed`: tables of its own making, such as the touches of converting journeys
or periods of a customer's life. Their rows are dealt to the buckets of customers; then one bucket at a time is put into
its final order, which must follow from what the rows hold. So results do not depend on partitions, threads or files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.engines.base import BUCKETS
from attrib.engines.store import SpillFolder
from attrib.errors import ResourceError, SolveError

if TYPE_CHECKING:
    from attrib.engines.base import Tallies
    from attrib.ragged import Ragged

Ints = npt.NDArray[np.int64]
Array = npt.NDArray[Any]
Table = dict[str, Array]
Tables = dict[str, Table]
UNIT = "unit"
READER = "reader"  # key of a memo: the reader of the rows, who knows all names, and the codes
FALLBACK = 1 << 30  # bytes, for engines that do not say how much they may hold


@dataclass(frozen=True, slots=True)
class Codes:
    """What players and games are called in the credit table.

    ``players``, ``games``: int64, row of the credit table's frame by code of the reader (players from 0; −1 for one
    that is in no game); ``end``: the last instant of the data, in ticks.
    """

    players: Ints
    games: Ints
    end: int
    ticks_per_second: int


class RowNeed(Protocol):
    """What a method reads; frozen and hashable, like a need that is summed."""

    def check(self, *, has_times: bool) -> None:
        """Check that journeys can have such rows; raises SolveError."""
        ...

    def read(self, reader: Any, events: Any, ragged: Ragged) -> Tables:
        """Tables of a partition, with players and games in the reader's codes; runs on a thread of the pool.

        All columns of a table are arrays of one length; ``unit`` is the bucket of each row, in ascending order.
        """
        ...

    def finish(self, tables: Tables, codes: Codes) -> Tables:
        """Put the tables of one bucket, without ``unit``, into an order that does not depend on how they came."""
        ...


@dataclass(frozen=True, slots=True)
class Rows:
    """Finished tables of all buckets: flat columns, bucket after bucket.

    ``tables``: columns by table, which may be mapped from disk; ``starts``: int64 [buckets + 1] by table. ``memo``:
    what methods found out about these rows, by whatever key they like.
    """

    tables: Mapping[str, Mapping[str, Array]]
    starts: Mapping[str, Ints]
    memo: dict[Any, Any] = field(default_factory=dict)
    folder: SpillFolder | None = None  # lives as long as the rows

    @property
    def units(self) -> Ints:
        """Numbers of the buckets."""
        return np.arange(BUCKETS)

    @property
    def count(self) -> int:
        """Number of rows, over all tables."""
        return sum(int(starts[-1]) for starts in self.starts.values())

    def some(self, most: int) -> Rows:
        """The rows of the first buckets, until there are ``most``: whole customers, who stand in buckets by chance."""
        held = np.sum([starts[1:] for starts in self.starts.values()], axis=0)
        last = min(int(np.searchsorted(held, most)) + 1, BUCKETS)
        ends = {name: int(starts[last]) for name, starts in self.starts.items()}
        tables = {
            name: {column: values[: ends[name]] for column, values in table.items()}
            for name, table in self.tables.items()
        }
        starts = {name: np.minimum(starts, ends[name]) for name, starts in self.starts.items()}
        return Rows(tables, starts, {READER: self.memo[READER]}, self.folder)

    def bucket(self, unit: int) -> Tables:
        """Tables of one bucket."""
        return {
            name: {
                column: values[self.starts[name][unit] : self.starts[name][unit + 1]] for column, values in t.items()
            }
            for name, t in self.tables.items()
        }


def check_times(method: str, *, has_times: bool) -> None:
    """Check that there are times, for a method that needs them.

    Raises
    ------
    SolveError
        ``no_times``.
    """
    if not has_times:
        raise SolveError(
            "no_times",
            f"{method} needs the times of touches and conversions, and a path table has none",
            hint="use from_events, or leave the method out",
        )


def gather(journeys: Any, need: RowNeed, tallies: Tallies) -> Rows:
    """Read the rows of a need in one pass over the journeys.

    Parameters
    ----------
    journeys : Journeys
        What to read.
    need : RowNeed
        Which rows.
    tallies : Tallies
        Names of players and games.

    Raises
    ------
    SolveError
        If the journeys cannot have such rows.
    ResourceError
        If the disk does not suffice.
    """
    need.check(has_times=tallies.has_times)
    engine = journeys.engine
    budget = max(1, getattr(engine, "budget", FALLBACK) // 4)
    store = _Store(budget, getattr(engine, "spill", None))
    reader, ticks = None, 1
    for reader, (tables, ticks) in journeys.stream(partial(_read, need)):  # noqa: B007 - the last one names the codes
        store.add(tables)
    assert reader is not None, "there always is a partition"
    codes = Codes(
        rows_of(reader.player_frame(), tallies.players), rows_of(reader.game_frame(), tallies.games), reader.end, ticks
    )
    progress = engine.progress
    for unit in range(BUCKETS):
        store.finish(unit, need, codes)
        if progress is not None:
            progress("ordering rows", unit + 1, BUCKETS)
    rows = store.rows()
    rows.memo[READER] = (reader, codes)
    return rows


def _read(need: RowNeed, reader: Any, events: Any, ragged: Ragged) -> tuple[Tables, int]:
    return need.read(reader, events, ragged), ragged.ticks_per_second


def rows_of(frame: pl.DataFrame, named: pl.DataFrame) -> Ints:
    """Row of ``named`` for each row of ``frame``, which has the same columns; −1 where there is none."""
    if not named.width:
        return np.zeros(max(1, frame.height), np.int64)
    joined = frame.join(
        named.with_row_index("__row"), on=named.columns, how="left", nulls_equal=True, maintain_order="left"
    )
    rows: Ints = joined["__row"].cast(pl.Int64).fill_null(-1).to_numpy()
    return rows


class _Store:
    """Tables by bucket: parts in memory up to a budget, then appended to a file; finished columns likewise."""

    def __init__(self, budget: int, spill: str | None) -> None:
        self.budget, self.spill = budget, spill
        self._held = 0
        self._parts: list[list[Tables]] = [[] for _ in range(BUCKETS)]
        self._written: list[list[dict[tuple[str, str], tuple[int, int]]]] = [[] for _ in range(BUCKETS)]
        self._types: dict[tuple[str, str], np.dtype[Any]] = {}
        self._folder: SpillFolder | None = None
        self._size = 0
        self._done: dict[tuple[str, str], list[Array]] = {}
        self._counts: dict[str, list[int]] = {}

    def add(self, tables: Tables) -> None:
        """Deal the rows of a partition to their buckets."""
        cuts = {name: np.searchsorted(table[UNIT], np.arange(BUCKETS + 1)) for name, table in tables.items()}
        for name, table in tables.items():
            self._types |= {(name, column): values.dtype for column, values in table.items() if column != UNIT}
        for unit in range(BUCKETS):
            part = {
                name: {c: values[cuts[name][unit] : cuts[name][unit + 1]] for c, values in table.items() if c != UNIT}
                for name, table in tables.items()
            }
            if any(cut[unit] < cut[unit + 1] for cut in cuts.values()):
                self._parts[unit].append(part)
        self._held += sum(values.nbytes for table in tables.values() for values in table.values())
        if self._held > self.budget:
            self._flush()

    def _flush(self) -> None:
        if self._folder is None:
            self._folder = SpillFolder(self.spill)
        self._folder.check_free(self._held)
        try:
            with (self._folder.path / "parts.bin").open("ab") as file:
                for unit, parts in enumerate(self._parts):
                    for part in parts:
                        places = {}
                        for name, table in part.items():
                            for column, values in table.items():
                                np.ascontiguousarray(values).tofile(file)
                                places[name, column] = (self._size, len(values))
                                self._size += values.nbytes
                        self._written[unit].append(places)
                    parts.clear()
        except OSError as error:
            raise _full(error) from error
        self._held = 0

    def _take(self, unit: int) -> Tables:
        """All parts of a bucket together; the store gives them up."""
        pieces: dict[tuple[str, str], list[Array]] = {key: [] for key in self._types}
        for places in self._written[unit]:
            assert self._folder is not None
            for key, (at, count) in places.items():
                piece = np.fromfile(self._folder.path / "parts.bin", self._types[key], count, offset=at)
                pieces[key].append(piece)
        for part in self._parts[unit]:
            for name, table in part.items():
                for column, values in table.items():
                    pieces[name, column].append(values)
        self._parts[unit] = []
        tables: Tables = {}
        for (name, column), some in pieces.items():
            whole = np.concatenate(some) if some else np.empty(0, self._types[name, column])
            tables.setdefault(name, {})[column] = whole
        return tables

    def finish(self, unit: int, need: RowNeed, codes: Codes) -> None:
        """Put a bucket into order, and its columns behind those of the buckets before."""
        for name, table in need.finish(self._take(unit), codes).items():
            self._counts.setdefault(name, []).append(len(next(iter(table.values()))))
            for column, values in table.items():
                self._done.setdefault((name, column), []).append(np.ascontiguousarray(values))
                self._held += values.nbytes
        if self._folder is not None and self._held > self.budget:
            self._write_done()

    def _write_done(self) -> None:
        assert self._folder is not None
        self._folder.check_free(self._held)
        try:
            for (name, column), pieces in self._done.items():
                with (self._folder.path / f"{name}-{column}.bin").open("ab") as file:
                    for piece in pieces:
                        piece.tofile(file)
                pieces[:] = [np.empty(0, pieces[0].dtype)] if pieces else []
        except OSError as error:
            raise _full(error) from error
        self._held = 0

    def rows(self) -> Rows:
        """Everything, finished: mapped from disk where it has been there."""
        if self._folder is not None:
            self._write_done()
            (self._folder.path / "parts.bin").unlink(missing_ok=True)
        tables: dict[str, dict[str, Array]] = {}
        for (name, column), pieces in self._done.items():
            if self._folder is None:
                whole = np.concatenate(pieces)
            else:
                file = self._folder.path / f"{name}-{column}.bin"
                kind = pieces[0].dtype
                whole = np.asarray(np.memmap(file, kind, "r")) if file.stat().st_size else np.empty(0, kind)
            tables.setdefault(name, {})[column] = whole
        starts = {
            name: np.concatenate([[0], np.cumsum(counts)]).astype(np.int64) for name, counts in self._counts.items()
        }
        return Rows(tables, starts, folder=self._folder)


def _full(error: OSError) -> ResourceError:
    return ResourceError("no_space", f"spilling failed: {error.strerror}", hint="set spill to a larger disk")
