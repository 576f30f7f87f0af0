"""From a population to frames of touchpoints and outcomes, batch by batch."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import polars as pl

from attrib.errors import SpecError
from attrib.synth.config import OUTCOMES, WORD_OF_MOUTH, Population
from attrib.synth.dirty import EMPTY_CUSTOMER, OUTCOME_FAULTS, TOUCHPOINT_FAULTS, choose, spoil
from attrib.synth.later import CANCEL, REFERRAL, REFERRAL_ASK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from attrib.synth.records import Events, LastingParams, Params

Table = Literal["touchpoints", "outcomes"]
Ids = Literal["integer", "string"]
T = TypeVar("T")

START = datetime(2025, 1, 1)  # noqa: DTZ001 - the generated timestamps carry no zone
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001


@dataclass(frozen=True, slots=True)
class Synthetic:
    """Generated events.

    Parameters
    ----------
    touchpoints : polars.DataFrame
        ``customer_id``, ``timestamp``, ``channel``, ``interaction``, ``cost`` (and ``campaign`` on
        request; ``satisfaction``, null where not asked, with `Population.later`), in order of customer and time.
    outcomes : polars.DataFrame
        ``customer_id``, ``timestamp``, ``outcome``, ``value`` (revenue of a purchase, else 0),
        ``referrer_id`` (who brought the customer; null: nobody), in order of customer and time.

    Examples
    --------
    >>> generate(customers=100).outcomes.columns
    ['customer_id', 'timestamp', 'outcome', 'value', 'referrer_id']
    """

    touchpoints: pl.DataFrame
    outcomes: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that the events depend on besides the customer numbers; checked on construction."""

    seed: int = 0
    dirty: float = 0.0
    start: datetime = START
    days: int = 365
    ids: Ids = "integer"
    campaign: bool = False
    population: Population = field(default_factory=Population)
    off: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        names = [channel.name for channel in self.population.channels]
        if self.population.later is not None:
            names += [REFERRAL, REFERRAL_ASK]
        checks = {
            "dirty": (0 <= self.dirty <= 0.5, "a share between 0 and 0.5"),
            "start": (self.start.tzinfo is None, "a datetime without a time zone"),
            "days": (1 <= self.days <= 36_525, "between 1 and 36525"),
            "ids": (self.ids in ("integer", "string"), "'integer' or 'string'"),
            "off": (self.off <= set(names), f"names among {', '.join(names)}"),
        }
        for name, (right, wanted) in checks.items():
            if not right:
                raise SpecError(
                    "bad_argument", f"{name} is {getattr(self, name)!r}", hint=f"give {wanted}", argument=name
                )

    def kinds(self, table: Table) -> tuple[str, ...]:
        """Faults that this table can have."""
        faults = TOUCHPOINT_FAULTS if table == "touchpoints" else OUTCOME_FAULTS
        return (*faults, EMPTY_CUSTOMER) if self.ids == "string" else faults

    def params(self) -> Params:
        """Arrays for the kernel; a channel that is off keeps its place and reaches nobody."""
        from attrib.synth.random import process_key
        from attrib.synth.records import REFERRAL as REFERRAL_CODE
        from attrib.synth.records import Params

        population = self.population
        channels = population.channels
        names = [channel.name for channel in channels]

        def column(name: str) -> NDArray[np.float64]:
            return np.array([getattr(channel, name) for channel in channels], np.float64)

        lift = column("lift")
        on = np.array([name not in self.off for name in names])
        organic = np.array(population.organic, np.float64)
        if population.later is not None:
            organic[:, REFERRAL_CODE] = 0  # before the first purchase nobody refers, after it `Later` says how often
        keys = [f"channel:{name}" for name in names] + [f"outcome:{name}" for name in OUTCOMES]
        return Params(
            exposure=column("exposure") / 30.0 * on[:, None],
            reaches=np.full(lift.shape, True),
            lift=lift,
            intent=column("intent"),
            digital=column("digital"),
            clicks=column("clicks"),
            cost=column("cost"),
            lifts=np.any(lift > 0, axis=1),
            keys=np.array([process_key(key) for key in keys], np.uint64),
            organic=organic,
            word_of_mouth=names.index(WORD_OF_MOUTH) if WORD_OF_MOUTH in names else -1,
            carryover=float(population.carryover),
            saturation=float(population.saturation),
            window=float(population.window),
            dormant=float(population.dormant),
            log_hazard=float(population.intent),
            advocates=float(population.advocates),
            enthusiasm=float(population.enthusiasm),
            recruits=float(population.recruits),
            brings=not self.off & {WORD_OF_MOUTH, REFERRAL},
            median=float(population.revenue[0]),
            spread=float(population.revenue[1]),
            days=float(self.days),
            later=self._later(),
        )

    def _later(self) -> LastingParams:
        from attrib.synth.later import Later
        from attrib.synth.records import LastingParams

        population = self.population
        later = population.later or Later()
        asked = 0.0 if REFERRAL_ASK in self.off else later.asked
        means = [channel.satisfies for channel in population.channels]
        return LastingParams(
            on=population.later is not None,
            contract=later.contract,
            scale=float(later.scale),
            shape=float(later.shape),
            frailty=float(later.frailty),
            loyal=float(later.loyal),
            rate_shape=float(later.repeat[0]),
            rate_days=float(later.repeat[1]),
            drop_a=float(later.dropout[0]),
            drop_b=float(later.dropout[1]),
            felt=float(later.felt),
            mood=float(later.mood),
            swing=float(later.swing),
            keeps=float(later.keeps),
            surveyed=float(later.surveyed),
            refers=float(later.refers),
            delight=float(later.delight),
            asked=math.log(asked / (1 - asked)) if 0 < asked < 1 else math.copysign(math.inf, asked - 0.5),
            ask_bias=float(later.ask_bias),
            ask_every=float(later.ask_every or math.inf),
            ask_lift=float(later.ask_lift),
            ask_memory=float(later.ask_memory),
            untold=float(later.untold),
            others=1.0 / max(1.0, population.enthusiasm),
            satisfies=np.array([math.nan if mean is None else mean for mean in means], np.float64),
        )

    def simulate(self, first: int, count: int) -> Events:
        """Events of the customers first, ..., first + count - 1."""
        from attrib.synth.kernels import simulate

        events: Events = simulate(self.key(), first, count, self.params())
        return events

    def key(self) -> np.uint64:
        """The seed as the kernels take it; any whole number."""
        return np.uint64(self.seed % 2**64)

    def rows(
        self, events: Events, table: Table, *, shuffle: bool = False
    ) -> tuple[NDArray[Any], NDArray[Any] | None, NDArray[np.uint64] | None]:
        """Which rows of a table to write, their faults, and their shuffle keys (with `shuffle`)."""
        from attrib.synth.random import process_key, row_keys

        customer = events.customer if table == "touchpoints" else events.outcome_customer
        fault: NDArray[np.int64] | None = None
        rows = np.arange(customer.size)
        if self.dirty > 0:
            keys = np.empty(customer.size, np.uint64)
            row_keys(self.key(), np.uint64(process_key(f"dirty {table}")), customer, keys)
            chosen = choose(keys, self.dirty, self.kinds(table))
            rows, fault = chosen.rows, chosen.fault
        if not shuffle:
            return rows, fault, None
        keys = np.empty(rows.size, np.uint64)
        row_keys(self.key(), np.uint64(process_key(f"shuffle {table}")), customer[rows], keys)
        return rows, fault, keys

    def frame(
        self, events: Events, table: Table, rows: NDArray[Any], fault: NDArray[Any] | None = None
    ) -> pl.DataFrame:
        """The given rows of one table."""
        whole = fault is None and rows.size == (
            events.customer.size if table == "touchpoints" else events.outcome_customer.size
        )

        def pick(column: NDArray[Any]) -> NDArray[Any]:
            return column if whole else column[rows]

        frame = self._touchpoints(events, pick) if table == "touchpoints" else self._outcomes(events, pick, rows)
        return frame if fault is None else spoil(frame, fault, self.kinds(table))

    def timestamp(self, time: NDArray[np.int64], name: str = "timestamp") -> pl.Series:
        """Times in microseconds since the start of the data."""
        offset = (self.start - _EPOCH) // timedelta(microseconds=1)
        return pl.Series(name, (time + offset).view("datetime64[us]"))

    def ids_of(self, name: str, customer: NDArray[np.int64]) -> pl.Series:
        """Customer numbers as users see them; -1 is null."""
        if self.ids == "integer":
            ids = pl.Series(name, customer)
            return ids if customer.size == 0 or customer.min() >= 0 else ids.set(ids < 0, None)
        from attrib.synth.random import uuids

        distinct, inverse = np.unique(customer, return_inverse=True)
        letters = np.empty((distinct.size, 36), np.uint8)
        uuids(self.key(), distinct, letters)
        text = letters.tobytes().decode("ascii")
        strings: list[str | None] = [text[i : i + 36] for i in range(0, len(text), 36)]
        if distinct.size and distinct[0] < 0:
            strings[0] = None
        return pl.Series(name, strings, pl.String).gather(inverse)

    def _touchpoints(self, events: Events, pick: Callable[[NDArray[Any]], NDArray[Any]]) -> pl.DataFrame:
        channels = self.population.channels
        names = [channel.name for channel in channels]
        code, time = pick(events.channel), pick(events.time)
        interactions = [name for channel in channels for name in (channel.interaction, "click")]
        if self.population.later is not None:
            names += [REFERRAL, REFERRAL_ASK]
            interactions += ["visit", "click", "impression", "click"]
        columns = [
            self.ids_of("customer_id", pick(events.customer)),
            self.timestamp(time),
            pl.Series("channel", names).gather(code),
            pl.Series("interaction", interactions).gather(code.astype(np.uint16) * 2 + pick(events.click)),
            pl.Series("cost", pick(events.cost)),
        ]
        if self.campaign:
            # One a quarter of the data, named after it.
            campaigns = [f"{name}-{quarter}" for name in names for quarter in range(1, 5)]
            quarter = np.minimum(time * 4 // (self.days * 86_400_000_000), 3)
            columns.append(pl.Series("campaign", campaigns).gather(code.astype(np.int64) * 4 + quarter))
        if self.population.later is not None:
            columns.append(pl.Series("satisfaction", pick(events.satisfaction)).fill_nan(None))
        return pl.DataFrame(columns)

    def _outcomes(
        self, events: Events, pick: Callable[[NDArray[Any]], NDArray[Any]], rows: NDArray[Any]
    ) -> pl.DataFrame:
        columns = [
            self.ids_of("customer_id", pick(events.outcome_customer)),
            self.timestamp(pick(events.outcome_time)),
            pl.Series("outcome", [*OUTCOMES, CANCEL]).gather(pick(events.outcome)),
            pl.Series("value", pick(events.value)),
            self.ids_of("referrer_id", pick(events.referrer)),
        ]
        if self.dirty > 0:
            # Only by an event_id can a repeated outcome be told from two at one instant.
            customer = events.outcome_customer
            starts = np.flatnonzero(np.r_[True, customer[1:] != customer[:-1]]) if customer.size else customer
            place = np.arange(customer.size) - np.repeat(starts, np.diff(np.r_[starts, customer.size]))
            columns.append(pl.Series("event_id", (customer * 100_000 + place)[rows]))
        return pl.DataFrame(columns)


def range_of(keys: NDArray[np.uint64], ranges: int) -> NDArray[np.uint64]:
    """In which of so many equal ranges (below 2**32) each key lies."""
    return (keys >> np.uint64(32)) * np.uint64(ranges) >> np.uint64(32)


def ordered(work: Callable[[int, int], T], customers: int, batch: int, threads: int | None) -> Iterator[T]:
    """``work(first, count)`` for consecutive batches, in order, on a few threads, a bounded number ahead."""
    workers = threads or os.cpu_count() or 1
    spans = ((first, min(batch, customers - first)) for first in range(0, customers, batch))
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="attrib-synth")
    try:
        for first, count in spans:
            waiting.append(pool.submit(work, first, count))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def check_counts(customers: int | None, batch: int = 1, threads: int | None = None) -> None:
    """Raise where a count cannot be used."""
    for name, number, least in (("customers", customers, 0), ("batch", batch, 1), ("threads", threads, 1)):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < least):
            hint = f"give a whole number from {least}"
            raise SpecError("bad_argument", f"{name} is {number!r}", hint=hint, argument=name)


def batches(
    customers: int,
    seed: int = 0,
    batch: int = 100_000,
    *,
    dirty: float = 0.0,
    start: datetime = START,
    days: int = 365,
    ids: Ids = "integer",
    campaign: bool = False,
    population: Population | None = None,
    off: frozenset[str] = frozenset(),
    threads: int | None = None,
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Generate customers in consecutive batches, in bounded memory.

    Parameters
    ----------
    customers, seed, dirty, start, days, ids, campaign, population, off, threads
        As in `generate`.
    batch : int, default 100_000
        Customers per batch; memory is about that of (threads + 1) batches. Has no influence on the events.

    Yields
    ------
    (polars.DataFrame, polars.DataFrame)
        Touchpoints and outcomes of the next customers.

    Examples
    --------
    >>> [touchpoints["customer_id"].max() < 200 for touchpoints, _ in batches(200, batch=100)]
    [True, True]
    """
    check_counts(customers, batch, threads)
    recipe = Recipe(seed, dirty, start, days, ids, campaign, population or Population(), frozenset(off))

    def work(first: int, count: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        events = recipe.simulate(first, count)
        touchpoints = recipe.frame(events, "touchpoints", *recipe.rows(events, "touchpoints")[:2])
        return touchpoints, recipe.frame(events, "outcomes", *recipe.rows(events, "outcomes")[:2])

    return ordered(work, customers, batch, threads)


def generate(
    customers: int = 10_000,
    seed: int = 0,
    *,
    dirty: float = 0.0,
    start: datetime = START,
    days: int = 365,
    ids: Ids = "integer",
    campaign: bool = False,
    population: Population | None = None,
    off: frozenset[str] = frozenset(),
    threads: int | None = None,
) -> Synthetic:
    """Generate the events of some customers.

    What happens to a customer is a function of the seed and the customer's number alone.

    Parameters
    ----------
    customers : int, default 10_000
        Customer numbers 0, ..., customers - 1; not all of them have events.
    seed : int, default 0
        Another seed, other customers.
    dirty : float, default 0
        About this share of the rows of each table breaks a rule of validation: null or empty customer
        (empty where ids are strings), timestamp, channel or outcome; null, NaN, infinite or negative
        value; a timestamp a century ahead; an exact duplicate. Outcomes then carry an ``event_id``.
    start : datetime
        Beginning of the data, without time zone.
    days : int, default 365
        Length of the data.
    ids : {"integer", "string"}
        Type of ``customer_id`` and ``referrer_id``: the number, or 36 characters like a UUID, which
        sort as the numbers do.
    campaign : bool, default False
        Add the column ``campaign`` to the touchpoints: four a channel, one a quarter of the data.
    population : Population, optional
        The market; by default twelve channels.
    off : frozenset of str
        Channels that reach nobody; all other random draws stay as they are. Without
        ``word_of_mouth`` those whom only a referral brings never come.
    threads : int, optional
        By default one a core. Has no influence on the events.

    Returns
    -------
    Synthetic
        Frames ``touchpoints`` and ``outcomes``.

    Raises
    ------
    SpecError
        ``bad_argument`` for numbers out of range or unknown channels.

    Examples
    --------
    >>> data = generate(customers=500, seed=7)
    >>> data.touchpoints.columns
    ['customer_id', 'timestamp', 'channel', 'interaction', 'cost']
    >>> sorted(data.outcomes["outcome"].unique())
    ['intent', 'purchase', 'referral', 'visit']
    """
    check_counts(customers)
    pairs = list(
        batches(
            max(customers, 1),
            seed,
            dirty=dirty,
            start=start,
            days=days,
            ids=ids,
            campaign=campaign,
            population=population,
            off=off,
            threads=threads,
        )
    )
    touchpoints, outcomes = (pl.concat(frames, rechunk=True) for frames in zip(*pairs, strict=True))
    # Nobody: the columns of somebody.
    return Synthetic(touchpoints, outcomes) if customers else Synthetic(touchpoints.clear(), outcomes.clear())
