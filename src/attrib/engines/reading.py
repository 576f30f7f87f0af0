"""Batches of a table in, rows of words out, with every row accounted for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.diagnostics import columns
from attrib.engines.coding import (
    SIGN,
    Codes,
    Dictionary,
    Kinds,
    Words,
    check_players,
    frozen,
    hash_texts,
    ordered_int,
)  # fmt: skip
from attrib.engines.columns import cluster_words, event_words, extra_words
from attrib.engines.customers import heavy_customers
from attrib.engines.order_ids import order_words
from attrib.engines.signs import Signs
from attrib.errors import DataError
from attrib.io import checks, days
from attrib.io.amounts import number
from attrib.io.flags import COPY, COPY_BITS
from attrib.io.sources import Source, read_error
from attrib.io.times import Spread
from attrib.kernels import rows as kernel
from attrib.schemas import CLUSTER, CUSTOMER, EVENT, ORDER, OUTCOME, SEQUENCE, TIME, VALUE

BATCH = 1 << 17  # rows: 3 MB a batch of three words, which caches hold; larger ones take memory and save no time
LAST = np.uint64(2**64 - 1)
MOST_HEAVY = 1000  # of them that are remembered


@dataclass(frozen=True, slots=True)
class RowLayout:
    """Which word of a row holds what; the words are in sorting order.

    ``identity``: number of leading words that identify the customer; others: position, or -1.
    """

    identity: int
    time: int
    sequence: int
    first_kind: int
    value: int
    kind: int
    cluster: int
    extra: int
    day: int
    order: int
    event: int
    copy: int
    width: int

    @staticmethod
    def build(identity: int, parts: list[str], order: int = 0) -> RowLayout:
        """Place the parts one after the other (an event id takes two words, an order id ``order``)."""
        at = identity
        places = dict.fromkeys(
            ("time", "sequence", "first_kind", "value", "kind", "cluster", "extra", "day", "order", "event", "copy"), -1
        )
        for part in parts:
            places[part] = at
            at += {"event": 2, "order": order}.get(part, 1)
        return RowLayout(identity=identity, width=at, **places)


@dataclass(slots=True)
class TableReader:
    """Reads one table in batches: checks, types and codes rows, and keeps count of what it met.

    ``room``: rows left free in front of those of the next batch; ``dating``: how its rows are dated, ``spread``: how
    their times lie; ``beside``: accepted texts of batches with rejected rows; ``at_day_end``: whether they stand at the
    end of their days, None before that is decided; ``latest_end``: the end of the latest day, where texts tell it.
    """

    source: Source
    types: checks.TableTypes
    ids: str
    ticks: int
    kinds: Kinds
    layout: RowLayout
    stages: tuple[str, ...]
    player_columns: tuple[str, ...]
    max_players: int
    max_rejects: float
    interactions: tuple[str, ...] = ()
    inline_value: str | None = None
    rows: int = 0
    rejected_rows: int = 0
    value_in: list[float] = field(default_factory=list)
    value_size: float = 0.0
    value_rejected: list[float] = field(default_factory=list)
    rejected: list[pl.DataFrame] = field(default_factory=list)
    counted: tuple[str, ...] = ()
    latest: int = np.iinfo(np.int64).min
    earliest: int = np.iinfo(np.int64).max
    negative: int = 0
    signs: Signs = field(default_factory=Signs)
    aware: bool = False
    naive: bool = False
    zoneless: bool = False
    shifted: bool = False
    dating: days.Dating = field(default_factory=days.Dating)
    spread: Spread = field(default_factory=Spread)
    at_day_end: bool | None = None
    latest_end: int = np.iinfo(np.int64).min
    currency: str | None = None
    currencies: set[str] = field(default_factory=set)
    heavy: dict[int, str] = field(default_factory=dict)
    beside: dict[str, list[str]] = field(default_factory=dict)
    by_id: bool = False
    room: int = 0
    _told_largest: float = 0.0
    _told_only_dates: bool | None = None
    _largest: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    _rows_of_kind: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    _told_rows: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)

    def frames(self) -> Iterator[pl.DataFrame]:
        """Batches of the source's columns."""
        return batches_of(self.source, self.source.frame)

    def batches(self) -> Iterator[tuple[Words, pl.Series]]:
        """Rows of words and the customers they belong to, batch by batch."""
        for raw in self.frames():
            if raw.height:
                yield self.read(raw)
        self.check_rejects()

    def read(self, raw: pl.DataFrame) -> tuple[Words, pl.Series]:
        """Check, type and code one batch: rows of words and the customers they belong to."""
        first_row, self.rows = self.rows, self.rows + raw.height
        batch, clocks = checks.typed(raw, self.types, self.ids)
        self.aware |= clocks.aware
        self.naive |= clocks.naive
        self.zoneless |= clocks.zoneless
        self.shifted |= clocks.shifted
        if self.aware and self.naive:
            raise mixed_zones(self.source.name, self.source.name)
        if self.types.has_value:
            self._sum_values(batch[VALUE])
        full = batch
        clean = checks.looks_clean(batch, self.types, self.stages, self.interactions)
        if not clean:
            batch = self._reject(full, first_row)
        rows, kinds, blank = self._encode(batch)
        if blank:
            batch = self._reject(full, first_row)
            rows, kinds, _ = self._encode(batch)
        if self.types.has_value:
            values = batch[VALUE].to_numpy()
            self._largest.resize(len(self.kinds.codes), refcheck=False)
            kernel.largest_by_code(kinds, frozen(values), self._largest)
            self.negative += self.signs.add(kinds, values, len(self.kinds.codes))
        once = batch
        if self.layout.copy >= 0:  # a row that counts several conversions is one row of the caller's
            first = batch[COPY] == 0
            once, kinds = batch.filter(first), kinds[first.to_numpy()]
        self.dating.add(once, self.types)
        self.spread.add(once)
        self._take_note(once, kinds)
        return rows, batch[CUSTOMER]

    @property
    def only_dates(self) -> bool:
        """Whether all rows are written as dates; texts have to be read first."""
        if self._told_only_dates is not None:
            return self._told_only_dates
        return self.types.times == "date" or (self.types.times == "text" and self.dating.only_dates)

    @only_dates.setter
    def only_dates(self, value: bool) -> None:
        """Take note of rows read elsewhere."""
        self._told_only_dates = value

    @property
    def last(self) -> int:
        """The latest time at which a row stands, in ticks."""
        if not self.at_day_end or self.latest < self.earliest:
            return self.latest
        return self.latest_end if self.layout.day >= 0 else int(self._ends(np.array([self.latest]))[0])

    def to_day_ends(self, rows: Words) -> None:
        """Move the times of rows to the end of their days, in place."""
        if self.layout.day >= 0:
            rows[:, self.layout.time] = rows[:, self.layout.day]
        else:
            rows[:, self.layout.time] = ordered_int(self._ends((rows[:, self.layout.time] ^ SIGN).view(np.int64)))

    def _ends(self, times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return days.ends_of_days(times, self.ticks, self.types.zone)

    def _day_words(self, batch: pl.DataFrame, times: npt.NDArray[np.int64], factor: int) -> Words:
        """Ends of the days of texts: the instant does not tell the clock that it was read from."""
        texts = batch[checks.RAW + TIME]
        ends = days.ends_of_texts(texts, times * factor, self.ticks, self.types, aware=self.aware)
        self.latest_end = max(self.latest_end, int(ends.max(initial=self.latest_end)))
        return ordered_int(ends)

    def _take_note(self, batch: pl.DataFrame, kinds: Codes) -> None:
        """Count what findings are made of: rows by kind, customers with many rows, currencies of what is summed."""
        rows = np.bincount(kinds, minlength=len(self._rows_of_kind))
        rows[: len(self._rows_of_kind)] += self._rows_of_kind
        self._rows_of_kind = rows
        if len(self.heavy) < MOST_HEAVY and batch.height >= 100:  # fewer rows hold no such customer
            self.heavy |= heavy_customers(batch[CUSTOMER], self.ids)
        if self.currency is not None:
            summed = batch.filter(pl.col(OUTCOME).is_in(list(self.counted)) & (pl.col(VALUE) != 0))
            self.currencies |= columns.currencies_in(summed[self.currency])

    def rows_by_code(self, column: str) -> npt.NDArray[np.int64]:
        """Rows by code of a column's dictionary, null first; those that were read elsewhere included."""
        at = [d.name for d in self.kinds.dictionaries].index(column)
        known = self.kinds.codes[: len(self._rows_of_kind), at]
        rows = np.bincount(known, self._rows_of_kind, len(self.kinds.dictionaries[at])).astype(np.int64)
        told = self._told_rows.get(column)
        if told is not None:
            rows[: len(told)] += told
        return rows

    def add_rows(self, column: str, codes: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> None:
        """Take note of rows that were read elsewhere, by our codes of their names."""
        told = self._told_rows.get(column, np.zeros(0, np.int64))
        total = np.zeros(max(len(told), int(codes.max(initial=-1)) + 1), np.int64)
        total[: len(told)] = told
        np.add.at(total, codes, rows)
        self._told_rows[column] = total

    def counts_of(self, column: str) -> dict[str, int]:
        """Rows of each name in a column."""
        values = next(d.values for d in self.kinds.dictionaries if d.name == column)
        if values is None or values.dtype != pl.String:  # only texts are spelled
            return {}
        rows = self.rows_by_code(column)
        return dict(zip(values[1:].to_list(), rows[1 : len(values)].tolist(), strict=True))

    def kinds_that_count(self) -> npt.NDArray[np.bool_]:
        """Whether outcomes of each kind end journeys."""
        outcomes = self.kinds.dictionaries[0].values
        codes = [] if outcomes is None else [code for code, name in enumerate(outcomes) if name in self.counted]
        return np.isin(self.kinds.codes[:, 0], codes)

    def _sum_values(self, series: pl.Series) -> None:
        values = (series.fill_null(0.0) if series.null_count() else series).to_numpy()
        if not np.isfinite(values).all():
            values = values[np.isfinite(values)]
        self.value_size = checks.add_sizes(self.value_size, values, self.source.name)
        self.value_in.append(float(values.sum()))

    @property
    def largest(self) -> float:
        """Largest absolute value of the rows read whose outcome counts."""
        outcomes = self.kinds.dictionaries[0].values
        counts = [] if outcomes is None else [code for code, name in enumerate(outcomes) if name in self.counted]
        sizes = self._largest[np.isin(self.kinds.codes[: len(self._largest), 0], counts)]
        return max(self._told_largest, float(sizes.max(initial=0.0)))

    @largest.setter
    def largest(self, size: float) -> None:
        """Take note of a value that stands in rows read elsewhere."""
        self._told_largest = size

    def names_and_valued(self) -> tuple[list[str], list[str]]:
        """Outcomes that occur, and those of them with a value other than 0 in some row."""
        values = self.kinds.dictionaries[0].values
        names = [] if values is None else [str(name) for name in values[1:]]
        sizes = np.zeros(len(names) + 1)
        codes = self.kinds.codes[: len(self._largest), 0]
        np.maximum.at(sizes, codes, self._largest[: len(codes)])
        return names, [name for name, size in zip(names, sizes[1:], strict=True) if size > 0]

    def _reject(self, batch: pl.DataFrame, first_row: int) -> pl.DataFrame:
        good, broken = checks.split_rejected(batch, self.types, self.stages, self.interactions)
        if good.height < batch.height:
            listed = checks.list_rejected(batch, broken, self.source.name, first_row)
            self.rejected.append(listed)
            self.rejected_rows += listed.height
            self._keep_texts(good)
            if self.types.has_value:
                values = batch.filter(broken.is_not_null())[VALUE].fill_null(0.0).to_numpy()
                self.value_rejected.append(float(values[np.isfinite(values)].sum()))
        return good

    def _keep_texts(self, good: pl.DataFrame) -> None:
        """Keep some accepted texts of batches with rejected rows: they tell how the others are meant."""
        for column in (TIME, VALUE):
            raw, kept = checks.RAW + column, self.beside.setdefault(column, [])
            if good.schema.get(raw) == pl.String and len(kept) < checks.MOST_BESIDE:
                kept.extend(good[raw].drop_nulls().unique(maintain_order=True).head(checks.MOST_BESIDE))

    def check_rejects(self, rules: Mapping[str, int] | None = None) -> None:
        """Check that the table has rows, and not too many rejected ones (``rules``: see :mod:`attrib.io.checks`)."""
        if self.rows == 0:
            raise DataError("no_rows", f"{self.source.name} has 0 rows", hint=self.source.if_empty)
        checks.check_rejects(
            self.source.name, self.rows, self.rejected, self.max_rejects, rules,
            beside=self.beside, called=self.source.called,
        )  # fmt: skip
        if self.currency is not None:
            by = f'by=["{self.currency}"] (in a job: [journeys] by), or a filter'
            columns.check_one_currency(self.currencies, self.source.name, self.currency, by)

    def _encode(self, batch: pl.DataFrame) -> tuple[Words, Codes, bool]:  # noqa: C901, PLR0912, PLR0915 - one step a word
        """Fill the words of a batch; also the kind of every row, and whether some text is blank after all."""
        layout, n = self.layout, batch.height
        whole = np.empty((self.room + n, layout.width), np.uint64)
        rows = whole[self.room :]
        blank = False
        kinds = self.kinds.encode(batch)
        times = frozen(batch[TIME].to_physical().to_numpy())
        ids, how = times, kernel.TEXT
        if self.ids == "text":
            rows[:, 0], rows[:, 1], empty = hash_texts(batch[CUSTOMER])
            blank = bool(empty.any())
        else:
            # words that sort like the ids for rows that arrive in order, hashes to scatter them otherwise
            how = kernel.HASHED if not self.by_id else kernel.UNSIGNED if self.ids == "unsigned" else kernel.SIGNED
            ids = frozen(batch[CUSTOMER].to_numpy().view(np.int64))
        factor = self.ticks // checks.TICKS[batch.schema[TIME].time_unit]  # type: ignore[attr-defined]
        earliest, latest = kernel.fill_rows(rows, ids, how, times, factor, layout.time, kinds, layout.kind)
        if n and max(abs(earliest), abs(latest)) > np.iinfo(np.int64).max // factor:
            raise DataError("time_out_of_range", f"{self.source.name}: a timestamp does not fit into nanoseconds")
        if n:
            self.latest = max(self.latest, latest * factor)
            self.earliest = min(self.earliest, earliest * factor)
        if layout.sequence >= 0:
            series = batch[SEQUENCE]
            rows[:, layout.sequence] = ordered_int(series.fill_null(0).to_numpy())
            if series.null_count():
                rows[series.is_null().to_numpy(), layout.sequence] = LAST
        first = self.kinds.dictionaries[0]
        assert first.values is not None
        if any(len(d) - 1 > self.max_players for d in self.kinds.dictionaries if d.name in self.player_columns):
            self._stop_at_cap(batch)
        if first.blanks:
            blank = blank or bool(np.isin(self.kinds.codes[kinds, 0], first.blanks).any())
        if layout.first_kind >= 0:
            rows[:, layout.first_kind] = self.kinds.codes[kinds, 0]
        if layout.value >= 0:
            values = batch[VALUE].to_numpy() if self.types.has_value else np.ones(n)
            kernel.fill_floats(rows, layout.value, frozen(values.view(np.uint64)))
        if layout.cluster >= 0:
            rows[:, layout.cluster] = cluster_words(batch[CLUSTER])
        if layout.extra >= 0:
            rows[:, layout.extra] = extra_words(batch, self.inline_value)
        if layout.day >= 0:
            rows[:, layout.day] = self._day_words(batch, times, factor)
        if layout.event >= 0:
            w0, w1 = event_words(batch[EVENT])
            if self.types.has_value:  # a refund is never the duplicate of its order
                w1 = np.where((batch[VALUE].to_numpy() < 0) & (w1 != 0), w1 ^ SIGN, w1)
            rows[:, layout.event], rows[:, layout.event + 1] = w0, w1
        if layout.order >= 0:
            words = order_words(batch[ORDER])
            rows[:, layout.order : layout.order + words.shape[1]] = words
        if layout.copy >= 0:
            rows[:, layout.copy] = (batch[checks.FLAG].fill_null(1).to_numpy() << COPY_BITS) | batch[COPY].to_numpy()
        return whole, kinds, blank

    def _stop_at_cap(self, batch: pl.DataFrame) -> None:
        worst = max((d for d in self.kinds.dictionaries if d.name in self.player_columns), key=len)
        counts = np.bincount(worst.encode(batch[worst.name]), minlength=len(worst))
        check_players([worst], self.max_players, counts)


def batches_of(source: Source, frame: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """Batches of a frame made from the source's, in order; what its reader raises becomes an error of ours."""
    try:
        if source.kind == "memory":
            yield from frame.collect().iter_slices(BATCH)
        else:
            yield from frame.collect_batches(chunk_size=BATCH, maintain_order=True)
    except Exception as error:  # a lazy frame may run anybody's code
        raise read_error(error, source) from error


def largest_value(source: Source, outcomes: tuple[str, ...]) -> float:
    """Largest absolute value of these outcomes, rejected rows among them, read before anything else."""
    names, largest = Dictionary(OUTCOME), np.zeros(1)
    columns = pl.col(OUTCOME).cast(pl.String), number(VALUE, source.schema[VALUE])
    for batch in batches_of(source, source.frame.select(columns)):
        codes = names.encode(batch[OUTCOME])
        largest.resize(len(names), refcheck=False)
        kernel.largest_by_code(codes, frozen(batch[VALUE].fill_null(0.0).to_numpy()), largest)
    values = () if names.values is None else names.values
    return max((float(largest[code]) for code, name in enumerate(values) if name in outcomes), default=0.0)


def mixed_zones(one: str, other: str) -> DataError:
    """Build the error for tz-aware beside tz-naive times."""
    where = one if one == other else f"{one} and {other}"
    return DataError(
        "mixed_zones",
        f"{where}: some timestamps carry a time zone and some do not",
        hint="give all of them one zone, e.g. dt.replace_time_zone('UTC'), or none; texts end with Z or with an offset "
        "such as +01:00, all of them, or none",
    )


def check_zones(tables: Sequence[Any]) -> None:
    """Check that times of several tables (or of one) can be compared, after they were read.

    Raises
    ------
    DataError
        ``mixed_zones``: where some carry a zone and some do not, or dates stand beside offsets that tell no one zone.
    """
    names = " and ".join(table.source.name for table in tables)
    aware, naive = (any(getattr(table, name) for table in tables) for name in ("aware", "naive"))
    if aware and naive:
        raise mixed_zones(*(table.source.name for table in (tables[0], tables[-1])))
    dated = [table.source.name for table in tables if table.zoneless]
    if aware and dated and any(table.shifted for table in tables):
        raise DataError(
            "mixed_zones",
            f"{names}: dates without a time of day ({' and '.join(dated)}) stand beside times with offsets, and an "
            "offset does not tell whose days they are",
            hint="write each date as the last second of its day with its offset, such as 2025-01-31T23:59:59+01:00; or "
            "give the times as a column with a zone, e.g. dt.convert_time_zone('Europe/Berlin'), whose days the dates "
            "are then",
        )
