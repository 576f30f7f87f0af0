"""From a population to frames of touchpoints and outcomes, batch by batch."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import numpy as np
import polars as pl

from attrib.errors import SpecError, brief
from attrib.synth.config import OUTCOMES, Population
from attrib.synth.dirty import EMPTY_CUSTOMER, OUTCOME_FAULTS, TOUCHPOINT_FAULTS, choose, spoil
from attrib.synth.later import CANCEL, REFERRAL, REFERRAL_ASK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from attrib.synth.records import Events, Params
    from attrib.synth.scenarios import Scenario

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
    identities : polars.DataFrame or None
        Where customers have several ids (`Observation.linked` below 1): ``customer_id`` and ``person_id``, one row for
        each id in the tables, in order of person and id. The rows of the tables are then in order of person, id and
        time, and the person's own id is the ``person_id``. None: each customer has one id.

    Examples
    --------
    >>> generate(customers=100).outcomes.columns
    ['customer_id', 'timestamp', 'outcome', 'value', 'referrer_id']
    """

    touchpoints: pl.DataFrame
    outcomes: pl.DataFrame
    identities: pl.DataFrame | None = None


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
    observed: bool = True

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
                    "bad_argument", f"{name} is {brief(getattr(self, name))}", hint=f"give {wanted}", argument=name
                )

    def kinds(self, table: Table) -> tuple[str, ...]:
        """Faults that this table can have."""
        faults = TOUCHPOINT_FAULTS if table == "touchpoints" else OUTCOME_FAULTS
        return (*faults, EMPTY_CUSTOMER) if self.ids == "string" else faults

    @classmethod
    def of(
        cls,
        seed: int,
        population: Population | None,
        scenario: Scenario | str | os.PathLike[str] | None,
        days: int | None,
        **others: Any,
    ) -> Recipe:
        """Recipe of what a user asked for: a market of their own, or a scenario with the length of its data."""
        if scenario is None:
            return cls(seed, population=population or Population(), days=365 if days is None else days, **others)
        if population is not None:
            hint = "give one of the two; scenario(...).population can be changed by dataclasses.replace"
            raise SpecError("bad_argument", "both scenario and population are given", hint=hint, argument="scenario")
        from attrib.synth.scenarios import resolve

        found = resolve(scenario)
        return cls(seed, population=found.population, days=found.days if days is None else days, **others)

    @property
    def fragments(self) -> bool:
        """Whether one person can have several ids."""
        return self.observed and self.population.observation.fragments

    def params(self) -> Params:
        """Arrays for the kernel; a channel that is off keeps its place and reaches nobody."""
        from attrib.synth.packing import pack

        return pack(self.population, self.off, self.start, self.days, observed=self.observed)

    def simulate(self, first: int, count: int) -> Events:
        """Events of the customers first, ..., first + count - 1."""
        from attrib.synth.kernels import simulate

        events, touches, outcomes = simulate(self.key(), first, count, self.params())
        filled: Events = events.cut_to_size(touches, outcomes)
        return filled

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

    def identities(self, events: Events) -> pl.DataFrame:
        """The ids in these events, and whose they are, in order of person and id."""
        from attrib.synth.observing import DEVICE

        ids = np.unique(np.concatenate([events.customer, events.outcome_customer]))
        ids = ids[np.argsort(ids % DEVICE, kind="stable")]
        return pl.DataFrame([self.ids_of("customer_id", ids), self.ids_of("person_id", ids % DEVICE)])

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
            raise SpecError("bad_argument", f"{name} is {brief(number)}", hint=hint, argument=name)


def batches(
    customers: int,
    seed: int = 0,
    batch: int = 100_000,
    *,
    dirty: float = 0.0,
    start: datetime = START,
    days: int | None = None,
    ids: Ids = "integer",
    campaign: bool = False,
    population: Population | None = None,
    scenario: Scenario | str | os.PathLike[str] | None = None,
    off: frozenset[str] = frozenset(),
    observed: bool = True,
    threads: int | None = None,
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Generate customers in consecutive batches, in bounded memory.

    Parameters
    ----------
    customers, seed, dirty, start, days, ids, campaign, population, scenario, off, observed, threads
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
    recipe = Recipe.of(
        seed, population, scenario, days, dirty=dirty, start=start, ids=ids, campaign=campaign, off=frozenset(off),
        observed=observed,
    )  # fmt: skip
    return (frames[:2] for frames in _frames(recipe, customers, batch, threads))


def _frames(
    recipe: Recipe, customers: int, batch: int, threads: int | None
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame | None]]:
    def work(first: int, count: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame | None]:
        events = recipe.simulate(first, count)
        touchpoints = recipe.frame(events, "touchpoints", *recipe.rows(events, "touchpoints")[:2])
        outcomes = recipe.frame(events, "outcomes", *recipe.rows(events, "outcomes")[:2])
        return touchpoints, outcomes, recipe.identities(events) if recipe.fragments else None

    return ordered(work, customers, batch, threads)


def generate(
    customers: int = 10_000,
    seed: int = 0,
    *,
    dirty: float = 0.0,
    start: datetime = START,
    days: int | None = None,
    ids: Ids = "integer",
    campaign: bool = False,
    population: Population | None = None,
    scenario: Scenario | str | os.PathLike[str] | None = None,
    off: frozenset[str] = frozenset(),
    observed: bool = True,
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
    days : int, optional
        Length of the data; by default 365, or what the scenario says.
    ids : {"integer", "string"}
        Type of ``customer_id`` and ``referrer_id``: the number, or 36 characters like a UUID, which
        sort as the numbers do.
    campaign : bool, default False
        Add the column ``campaign`` to the touchpoints: four a channel, one a quarter of the data.
    population : Population, optional
        The market; by default twelve channels.
    scenario : Scenario, str or path, optional
        In place of `population`: a `Scenario`, the name of a preset (see `SCENARIOS`) or the path of a TOML file.
    off : frozenset of str
        Channels that reach nobody; all other random draws stay as they are. Without
        ``word_of_mouth`` those whom only a referral brings never come.
    observed : bool, default True
        False: all true events, each under the customer's own id and at its own time, whatever the log would see of
        them (`Population.observation`, `Channel.seen`).
    threads : int, optional
        By default one a core. Has no influence on the events.

    Returns
    -------
    Synthetic
        Frames ``touchpoints`` and ``outcomes``; ``identities`` where one person has several ids.

    Raises
    ------
    SpecError
        ``bad_argument`` for numbers out of range or unknown channels; ``unknown_scenario``, and the errors of
        `attrib.synth.scenario`.

    Examples
    --------
    >>> data = generate(customers=500, seed=7)
    >>> data.touchpoints.columns
    ['customer_id', 'timestamp', 'channel', 'interaction', 'cost']
    >>> sorted(data.outcomes["outcome"].unique())
    ['intent', 'purchase', 'referral', 'visit']
    """
    check_counts(customers, threads=threads)
    recipe = Recipe.of(
        seed, population, scenario, days, dirty=dirty, start=start, ids=ids, campaign=campaign, off=frozenset(off),
        observed=observed,
    )  # fmt: skip
    parts = zip(*_frames(recipe, max(customers, 1), 100_000, threads), strict=True)
    frames = [None if part[0] is None else pl.concat(cast(Any, part), rechunk=True) for part in parts]
    # Nobody: the columns of somebody.
    frames = frames if customers else [None if frame is None else frame.clear() for frame in frames]
    return Synthetic(*cast(Any, frames))
