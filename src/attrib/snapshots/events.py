"""Both tables read, checked and made small: what snapshots are computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

from attrib.arguments import check_names, check_share_of_rejects, open_events
from attrib.diagnostics.cells import Look, first_cells
from attrib.diagnostics.columns import currency_column
from attrib.engines.order_ids import rank_orders
from attrib.engines.reading import batches_of, check_zones
from attrib.errors import DataError, SpecError, warn
from attrib.io import checks, days
from attrib.io.flags import COPY
from attrib.io.identities import Identities
from attrib.io.sources import MORE, InlineOutcome, Source, open_table
from attrib.io.tables import check_types, required
from attrib.io.times import Spread, told
from attrib.refunds import DEFAULT, Refunding
from attrib.schemas import CHANNEL, CUSTOMER, EVENT, OUTCOME, SEQUENCE, TIME, VALUE
from attrib.schemas import ORDER as ORDER_ID
from attrib.values import check_choice

SATISFACTION, REFERRER = "satisfaction", "referrer_id"
# our names inside: callers' names never meet them
WHO, AT, ORDER, SCORE, ID, DATED = "who", "t", "order", "score", "id", "dated"
TOUCH, DONE, MONEY, BROUGHT_BY = "touch", "done", "money", "brought_by"
FLAGGED = "flagged"
OF_ORDER = "of_order"
UNTIL = "until"  # the end of the day, where a text tells its clock
ON_DAY = "on_day"  # the day, on the clock of the column or the text
PAID_IN = "paid_in"  # the currency
AGAIN = "again"  # whether a row repeats one that counts several conversions
OWN = "own"  # own0, own1, …: the caller's columns
NANO = 1_000  # nanoseconds of a microsecond
MICRO = 1_000_000  # microseconds of a second


@dataclass(frozen=True, slots=True)
class Met:
    """A table as it came: all its columns, those of them that are read, and how to look at their first cells."""

    schema: Mapping[str, pl.DataType]
    read: frozenset[str]
    look: Look | None = None


@dataclass(frozen=True, slots=True)
class Events:
    """Accepted rows of both tables, in no order.

    Attributes
    ----------
    touches : polars.DataFrame
        ``who``; ``t``, microseconds since 1970; ``touch``, the channel; ``dated``, whether the time was a date only;
        ``order``, ``score`` (satisfaction), ``flagged``, ``own0`` … and ``id`` where the table has them.
    outcomes : polars.DataFrame
        ``who``, ``t``, ``done`` (the outcome), ``money``; ``brought_by``, ``of_order`` (place of the order id) and
        ``id`` where the table has them. Refunds are among them: `attrib.snapshots.refunded` nets them as of a time.
    zone : str or None
        Time zone of the output; None for times without one.
    refunding : Refunding
        What outcomes of negative value are taken for.
    facts : dict
        What was decided by looking at the rows: where outcomes stand.
    priced : bool
        Whether outcomes have values of their own; where they do not, each counts as 1.
    tables : dict of str to Met
        The tables as they came, for what is said of them.
    """

    touches: pl.DataFrame
    outcomes: pl.DataFrame
    id_type: pl.DataType
    zone: str | None
    refunding: Refunding = DEFAULT
    facts: dict[str, Any] = field(default_factory=dict)
    priced: bool = True
    tables: dict[str, Met] = field(default_factory=dict)

    def only(self, rows: pl.Expr) -> Events:
        """Those that an expression over ``who`` and ``t`` holds for."""
        return replace(self, touches=self.touches.filter(rows), outcomes=self.outcomes.filter(rows))

    def without_own(self, after: int) -> Events:
        """Leave out the caller's columns after the first so many."""
        more = [name for name in self.touches.columns if name.startswith(OWN) and int(name.removeprefix(OWN)) >= after]
        return replace(self, touches=self.touches.drop(more))

    @property
    def names(self) -> list[str]:
        """Outcomes that occur, in order."""
        return self.outcomes[DONE].cast(pl.String).unique().sort().to_list()

    @property
    def earliest(self) -> int:
        """The earliest time of either table, in microseconds since 1970."""
        return min(int(frame[AT].min()) for frame in (self.touches, self.outcomes) if frame.height)  # type: ignore[arg-type]

    @property
    def latest(self) -> int:
        """The latest time of either table, in microseconds since 1970."""
        return max(int(frame[AT].max()) for frame in (self.touches, self.outcomes) if frame.height)  # type: ignore[arg-type]


@dataclass(slots=True)
class _Reader:
    """Reads one table, and keeps count of what it met."""

    source: Source
    types: checks.TableTypes
    ids: str
    who: pl.DataType
    max_rejects: float
    own: tuple[str, ...] = ()
    inline: tuple[str, ...] = ()  # columns that tell touches apart which are outcomes too
    orders: bool = False  # whether order ids are read
    paid_in: str | None = None  # the column of currencies
    by_clock: bool = False  # whether the day of each outcome is asked for
    names: pl.Categorical = field(default_factory=lambda: pl.Categorical(pl.Categories.random()))
    aware: bool = False
    naive: bool = False
    zoneless: bool = False
    shifted: bool = False
    unread: dict[str, int] = field(default_factory=dict)
    dating: days.Dating = field(default_factory=days.Dating)
    spread: Spread = field(default_factory=Spread)

    def read(self) -> pl.DataFrame:
        """All accepted rows, a batch at a time."""
        rows, rejected, kept = 0, [], []
        for raw in batches_of(self.source, self.source.frame.select(self._wanted())):
            batch, clocks = checks.typed(raw, self.types, self.ids)
            self.aware |= clocks.aware
            self.naive |= clocks.naive
            self.zoneless |= clocks.zoneless
            self.shifted |= clocks.shifted
            check_zones([self])
            if batch.height and not self._is_clean(batch):
                whole = batch
                batch, broken = checks.split_rejected(whole, self.types, ())
                rejected.append(checks.list_rejected(whole, broken, self.source.name, rows))
            rows += raw.height
            once = batch.filter(pl.col(COPY) == 0) if COPY in self.types.names else batch  # rows of the caller's
            self.dating.add(once, self.types)
            self.spread.add(once)
            kept.append(self._compact(batch))
        rejected = [listed for listed in rejected if listed.height]
        self._tell(rows, rejected)
        empty = self._compact(checks.typed(pl.DataFrame(schema=self._schema()), self.types, self.ids)[0])
        whole = pl.concat([empty, *kept], rechunk=True)
        return whole.with_columns(rank_orders(whole[OF_ORDER])) if OF_ORDER in whole.columns else whole

    def _is_clean(self, batch: pl.DataFrame) -> bool:
        if not checks.looks_clean(batch, self.types, ()):
            return False
        texts = [c for c in (CUSTOMER, CHANNEL, OUTCOME) if c in batch.columns and batch.schema[c] == pl.String]
        return not any(batch.select(checks.is_blank(c).any()).item() for c in texts)

    def _wanted(self) -> list[str]:
        more: tuple[str, ...] = (EVENT, SATISFACTION, REFERRER, MORE)
        has = self.source.schema
        mine = [CUSTOMER, TIME, *self.types.names, *self.own, *self.inline]
        more += (ORDER_ID,) if self.orders else ()
        more += (self.paid_in,) if self.paid_in else ()
        return list(dict.fromkeys([*mine, *(c for c in more if c in has)]))

    def _schema(self) -> dict[str, pl.DataType]:
        return {name: self.source.schema[name] for name in self._wanted()}

    def _tell(self, rows: int, rejected: list[pl.DataFrame]) -> None:
        checks.check_rejects(self.source.name, rows, rejected, self.max_rejects)
        if rejected:
            listed = pl.concat(rejected)
            rules = sorted(listed.group_by("rule").len().iter_rows(), key=lambda item: (-item[1], item[0]))
            named = ", ".join(f"{rule} {count:,}" for rule, count in rules)
            warn(
                f"{listed.height:,} of {rows:,} rows of {self.source.name} are rejected: {named}; "
                f"{checks.describe_row(listed)}"
            )
        for name, count in self.unread.items():
            if count:
                warn(f"{self.source.name}: {count:,} values of {name} cannot be read and count as missing")

    def _compact(self, batch: pl.DataFrame) -> pl.DataFrame:
        dtype = batch.schema[TIME]
        assert isinstance(dtype, pl.Datetime)
        ticks = pl.col(TIME).to_physical()
        micro = {"ms": ticks * 1_000, "us": ticks, "ns": ticks // NANO}[dtype.time_unit]
        columns = [pl.col(CUSTOMER).cast(self.who).alias(WHO), micro.alias(AT)]
        if EVENT in batch.columns:
            own = pl.col(EVENT).hash()
            if self.types.has_value:  # a refund is never the duplicate of its order
                own = pl.when(pl.col(VALUE) < 0).then(pl.col(EVENT).hash(1)).otherwise(own)
            columns.append(pl.when(pl.col(EVENT).is_not_null()).then(own).alias(ID))
        if CHANNEL in self.types.names:
            columns += self._touch_columns(batch)
        else:
            money = pl.col(VALUE) if self.types.has_value else pl.lit(1.0)
            columns += [pl.col(OUTCOME).cast(self.names).alias(DONE), money.alias(MONEY)]
            if self.types.times == "text":
                columns.append(pl.lit(days.day_ends(batch, self.types, aware=self.aware)).alias(UNTIL))
            if self.by_clock:
                columns.append(self._day(batch, micro))
            if self.paid_in:
                columns.append(pl.col(self.paid_in).cast(pl.String).alias(PAID_IN))
            if COPY in self.types.names:
                columns.append((pl.col(COPY) > 0).alias(AGAIN))
            if REFERRER in batch.columns:
                columns.append(self._referrer(batch))
            if self.orders and ORDER_ID in batch.columns:
                columns.append(pl.col(ORDER_ID).alias(OF_ORDER))
        return batch.select(columns)

    def _day(self, batch: pl.DataFrame, micro: pl.Expr) -> pl.Expr:
        """Day of each row, in the time zone of the column, or on the clock that its text was read from."""
        if self.types.times == "text" and self.aware:
            micro = micro + pl.lit(pl.Series(days.text_offsets(batch[checks.RAW + TIME])))
        return _day_in(micro, self.types.zone)

    def met(self) -> Met:
        """The table as it came."""
        return Met(self.source.schema, frozenset(self._wanted()), first_cells(self.source))

    def _touch_columns(self, batch: pl.DataFrame) -> list[pl.Expr]:
        dated = pl.lit(self.types.times == "date")
        if self.types.times == "text":
            dated = pl.lit(checks.are_dates(batch[checks.RAW + TIME]))
        columns = [pl.col(CHANNEL).cast(self.names).alias(TOUCH), dated.alias(DATED)]
        if SEQUENCE in self.types.names:
            columns.append(pl.col(SEQUENCE).alias(ORDER))
        if SATISFACTION in batch.columns:
            number = pl.col(SATISFACTION).cast(pl.Float64, strict=False)
            number = pl.when(number.is_finite()).then(number)
            self._count(batch, SATISFACTION, number)
            columns.append(number.alias(SCORE))
        if self.inline:
            columns.append(pl.struct(pl.col(c).cast(pl.String) for c in self.inline).hash().alias(FLAGGED))
        return [*columns, *(pl.col(name).alias(f"{OWN}{i}") for i, name in enumerate(self.own))]

    def _referrer(self, batch: pl.DataFrame) -> pl.Expr:
        if self.ids == "text":
            text = pl.col(REFERRER).cast(pl.String)
            return pl.when(~checks.is_blank(REFERRER)).then(text).cast(self.who).alias(BROUGHT_BY)
        plain = pl.col(REFERRER).cast(pl.String) if _is_category(batch.schema[REFERRER]) else pl.col(REFERRER)
        number = plain.cast(self.who, strict=False)
        self._count(batch, REFERRER, number)
        return number.alias(BROUGHT_BY)

    def _count(self, batch: pl.DataFrame, name: str, read: pl.Expr) -> None:
        blank = pl.col(name).cast(pl.String).str.strip_chars(checks.BLANKS).str.len_bytes() == 0
        lost = batch.select((pl.col(name).is_not_null() & ~blank & read.is_null()).sum()).item()
        self.unread[name] = self.unread.get(name, 0) + int(lost)


def _is_category(dtype: pl.DataType) -> bool:
    return isinstance(dtype, (pl.Categorical, pl.Enum))


def read_events(
    touchpoints: Any,
    outcomes: Any,
    columns: Mapping[str, str | Mapping[str, str]] | None,
    own: tuple[str, ...],
    max_rejects: float,
    refunding: Refunding = DEFAULT,
    valued: tuple[str, ...] | None = None,
    day_of_outcome: str = days.AUTO,
    *,
    by_clock: bool = False,
    linked: Identities | None = None,
) -> Events:
    """Open, check and read both tables, one of which may be None.

    ``linked``: ids that are one customer, who referred somebody, too.
    ``valued``: outcomes whose value is used; ``by_clock``: whether outcomes get a column ``on_day``.
    """
    check_choice("day_of_outcome", day_of_outcome, days.CHOICES)
    max_rejects = check_share_of_rejects(max_rejects)
    mapping = check_names(columns, (*own, SATISFACTION, REFERRER))
    tables = _joined(_open(touchpoints, outcomes, mapping), linked)
    readers = _readers(tables, own, max_rejects, valued)
    if isinstance(outcomes, InlineOutcome):
        readers["touchpoints"].inline = (checks.FLAG, *([outcomes.value] if outcomes.value else []))
    if "outcomes" in readers:
        reader = readers["outcomes"]
        reader.orders, reader.by_clock = refunding.net and reader.types.has_value, by_clock
        if reader.types.has_value:
            reader.paid_in = currency_column(reader.source.schema)
    frames = {name: reader.read() for name, reader in readers.items()}
    filled = [reader for name, reader in readers.items() if frames[name].height]
    check_zones(filled)
    aware = any(reader.aware for reader in filled)
    if not any(frame.height for frame in frames.values()):
        raise DataError("no_rows", f"{' and '.join(frames)} have 0 rows", hint="check the paths and any filter")
    for name, frame in frames.items():
        if frame.height:
            at = frame[AT]
            for text in told(name, readers[name].spread, int(at.min()), int(at.max()), MICRO):  # type: ignore[arg-type]
                warn(text)
    facts = _stand(frames, readers, day_of_outcome)
    zone = None
    if aware:
        dtypes = [table.schema[TIME] for table in tables.values()]
        zone = next((d.time_zone for d in dtypes if isinstance(d, pl.Datetime) and d.time_zone), "UTC")
    who = next(iter(readers.values())).who
    id_type = pl.String() if isinstance(who, pl.Categorical) else who
    common: dict[str, pl.DataType] = {WHO: who, AT: pl.Int64()}
    events = Events(
        frames.get("touchpoints", pl.DataFrame(schema=common | {TOUCH: pl.Categorical(), DATED: pl.Boolean()})),
        frames.get("outcomes", pl.DataFrame(schema=common | {DONE: pl.Categorical(), MONEY: pl.Float64()})),
        id_type,
        zone,
    )  # fmt: skip
    priced = "outcomes" in readers and readers["outcomes"].types.has_value
    touched, reached = _ranked(events.touches, TOUCH), _ranked(events.outcomes, DONE)
    met = {name: reader.met() for name, reader in readers.items()}
    return Events(touched, reached, id_type, zone, refunding, facts, priced, met)


def _stand(frames: dict[str, pl.DataFrame], readers: dict[str, _Reader], asked: str) -> dict[str, Any]:
    """Put outcomes that carry days at the end of them, in place; returns which rule held."""
    if "outcomes" not in frames:
        return {}
    rows, reader = frames["outcomes"], readers["outcomes"]
    touched = readers["touchpoints"].dating if "touchpoints" in readers else days.Dating()
    rule = days.carries_days(reader.dating, touched, asked)
    if rule is not None:
        if UNTIL in rows.columns:
            ends = rows[UNTIL]
        else:
            ends = pl.Series(days.ends_of_days(rows[AT].to_numpy(), MICRO, reader.types.zone))
        rows = rows.with_columns(ends.alias(AT))
    frames["outcomes"] = rows.drop(UNTIL, strict=False)
    zone = reader.types.day_zone or (reader.types.zone if reader.types.times == "date" else None)
    for text in days.told(rule, asked, reader.dating, touched, zone=zone):
        warn(text)
    return days.facts(rule, asked, reader.dating)


def _ranked(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Give a column of names the byte order as its own: the order of events at one instant."""
    names = sorted(frame[name].unique().cast(pl.String).to_list())
    return frame.with_columns(pl.col(name).cast(pl.Enum(names)))


def _open(touchpoints: Any, outcomes: Any, mapping: dict[str, Any]) -> dict[str, Source]:
    if touchpoints is None and isinstance(outcomes, Source):
        return {"outcomes": outcomes}
    if touchpoints is None and (outcomes is None or isinstance(outcomes, InlineOutcome)):
        raise SpecError("bad_value", "there is neither a table of touchpoints nor one of outcomes")
    if outcomes is None or touchpoints is None:
        name, data = ("touchpoints", touchpoints) if outcomes is None else ("outcomes", outcomes)
        own = mapping.get(name, {})
        return {name: open_table(data, name, {k: v for k, v in mapping.items() if isinstance(v, str)} | own)}
    first, second, _ = open_events(touchpoints, outcomes, mapping, (REFERRER,))
    return {"touchpoints": first, "outcomes": second}


def _joined(tables: dict[str, Source], linked: Identities | None) -> dict[str, Source]:
    """The tables, with each id, and that of who referred, replaced by its customer's."""
    if linked is None:
        return tables
    for text in linked.notes():
        warn(text)
    return {name: linked.join(linked.join(source), REFERRER) for name, source in tables.items()}


def _readers(
    tables: dict[str, Source], own: tuple[str, ...], max_rejects: float, valued: tuple[str, ...] | None
) -> dict[str, _Reader]:
    types = {}
    for name, source in tables.items():
        what = CHANNEL if name == "touchpoints" else OUTCOME
        required(source, [CUSTOMER, TIME, what, *(own if name == "touchpoints" else ())])
        flag = (checks.FLAG, checks.RAW + checks.FLAG)
        optional = (SEQUENCE, *flag) if name == "touchpoints" else (VALUE, *flag, COPY)
        names = (what, *(c for c in (*optional, MORE) if c in source.schema))
        types[name] = checks.read_types(source, names, valued=valued)
        check_types(name, source.schema, dict.fromkeys((REFERRER, SATISFACTION, ORDER_ID), "key"))
    for name in own:
        dtype = tables["touchpoints"].schema[name] if "touchpoints" in tables else None
        if dtype is None or dtype.is_nested() or dtype == pl.Object:
            raise DataError("wrong_type", f"features: column {name!r} of the touchpoints is {dtype}: no single value")
    if len(types) == 2:
        one, other = types.values()
        types = dict(zip(types, (checks.with_days_of(one, other), checks.with_days_of(other, one)), strict=True))
    ids = checks.common_ids(list(types.values()))
    who: pl.DataType = pl.Int64() if ids == "integer" else pl.UInt64()
    if ids == "text":
        # a set of categories of its own, gone with the snapshot
        who = pl.Categorical(pl.Categories.random())
    return {
        name: _Reader(source, types[name], ids, who, max_rejects, own if name == "touchpoints" else ())
        for name, source in tables.items()
    }


def on_day(zone: str | None) -> pl.Expr:
    """Day of each row in a time zone."""
    return _day_in(pl.col(AT), zone)


def _day_in(micro: pl.Expr, zone: str | None) -> pl.Expr:
    instant = micro.cast(pl.Datetime("us"))
    if zone is not None:
        instant = instant.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    return instant.dt.date().alias(ON_DAY)


def warn_of_future(latest: int) -> None:
    """Warn where the end of the data, as it is taken, lies ahead of the clock: one wrong year would move it."""
    now = int(datetime.now(UTC).timestamp()) * 1_000_000
    if latest > now:
        warn("the latest event lies in the future, and is taken for the end of the data: give end if that is a mistake")
