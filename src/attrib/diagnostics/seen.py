"""What a pass sees of customers and days: facts of a partition that add up, in any order, to those of the whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

FIRST_DAY, LAST_DAY = -25_567, 84_006  # 1900 to 2199: what lies outside is no day of anybody's business
MOST_IDS = 1 << 17  # pairs of event id and customer that are held; of more, a sample by hash
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Days:
    """Number of events by day: ``counts[i]`` on day ``first + i`` since 1970."""

    first: int = 0
    counts: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    @staticmethod
    def of(times: Ints, ticks_of_day: int) -> Days:
        """Count times in ticks by day, in time that is proportional to them."""
        if not len(times):
            return Days()
        days = np.floor(
            times / float(ticks_of_day)
        )  # float: a tick off at midnight of nanoseconds, and 5 times as fast
        if days.min() < FIRST_DAY or days.max() > LAST_DAY:
            days = days[(days >= FIRST_DAY) & (days <= LAST_DAY)]
            if not len(days):
                return Days()
        first = days.min()
        return Days(int(first), np.bincount((days - first).astype(np.int64)).astype(np.int64))

    @property
    def last(self) -> int:
        """The day after the last one counted."""
        return self.first + len(self.counts)

    def __add__(self, other: Days) -> Days:
        if not len(other.counts):
            return self
        if not len(self.counts):
            return other
        first = min(self.first, other.first)
        counts = self.over(first, max(self.last, other.last))
        counts[other.first - first : other.last - first] += other.counts
        return Days(first, counts)

    def over(self, first: int, last: int) -> Ints:
        """Counts of the days from ``first`` to before ``last``, which hold all of them."""
        counts = np.zeros(last - first, np.int64)
        counts[self.first - first : self.last - first] = self.counts
        return counts


@dataclass(frozen=True, slots=True)
class SharedIds:
    """Distinct pairs of event id and customer whose id's hash begins with ``level`` zeros: exact at level 0."""

    level: int = 0
    ids: Words = field(default_factory=lambda: np.zeros(0, np.uint64))
    customers: Words = field(default_factory=lambda: np.zeros(0, np.uint64))

    @staticmethod
    def of(w0: Words, w1: Words, customers: Words) -> SharedIds:
        """Pairs of some rows (``w1`` is 0 where there is no id)."""
        has_id = w1 != 0
        mixed = (w0[has_id] ^ (w1[has_id] << np.uint64(1))) * MULTIPLIER
        mixed = (mixed ^ (mixed >> np.uint64(29))) * MULTIPLIER
        return SharedIds(0, mixed ^ (mixed >> np.uint64(32)), customers[has_id]).bounded()

    def __add__(self, other: SharedIds) -> SharedIds:
        if not len(other.ids) and other.level <= self.level:
            return self
        ids = np.concatenate([self.ids, other.ids])
        return SharedIds(max(self.level, other.level), ids, np.concatenate([self.customers, other.customers])).bounded()

    def bounded(self) -> SharedIds:
        """Thin until few enough are left: the level depends on the set of pairs alone, not on who came first."""
        level, ids, customers = self.level, self.ids, self.customers
        keep = _in_level(ids, level)
        ids, customers = ids[keep], customers[keep]
        if len(ids) <= MOST_IDS:
            return SharedIds(level, ids, customers)
        order = np.lexsort((customers, ids))
        ids, customers = ids[order], customers[order]
        fresh = np.ones(len(ids), np.bool_)
        fresh[1:] = (ids[1:] != ids[:-1]) | (customers[1:] != customers[:-1])
        ids, customers = ids[fresh], customers[fresh]
        while len(ids) > MOST_IDS:
            level += 1
            keep = _in_level(ids, level)
            ids, customers = ids[keep], customers[keep]
        return SharedIds(level, ids, customers)

    def shared(self) -> tuple[int, int]:
        """Ids with several customers, and all ids, both as estimated from the sample."""
        pairs = np.unique(np.stack([self.ids, self.customers], axis=1), axis=0)
        _, counts = np.unique(pairs[:, 0], return_counts=True)
        return int((counts > 1).sum()) << self.level, len(counts) << self.level


def _in_level(ids: Words, level: int) -> npt.NDArray[np.bool_]:
    return ids >> np.uint64(64 - level) == 0 if level else np.ones(len(ids), np.bool_)


@dataclass(slots=True)
class Seen:
    """Facts on customers; outcomes are those that end journeys.

    ``customers``: all; ``touched`` with a touch; ``buyers`` with an outcome; ``untouched``: with an outcome, no
    touch; ``touches``, ``outcomes``: events; ``most_touches``, ``most_outcomes``: of one customer, and the word;
    ``equal_timed``, ``equal_dated``: outcome rows equal to one before, with a time of day and at midnight;
    ``placeholders``: touches and outcomes by number of the name. Of rows that are no refunds, ``ids`` and ``orders``:
    event and order ids by customer; ``named``: outcomes with an order id, ``again``: those whose order stands in a row
    before, of the same customer and outcome.
    """

    customers: int = 0
    touched: int = 0
    buyers: int = 0
    untouched: int = 0
    touches: int = 0
    outcomes: int = 0
    equal_timed: int = 0
    equal_dated: int = 0
    named: int = 0
    again: int = 0
    most_touches: tuple[int, int] = (0, 0)
    most_outcomes: tuple[int, int] = (0, 0)
    placeholders: dict[int, tuple[int, int]] = field(default_factory=dict)
    touch_days: Days = field(default_factory=Days)
    outcome_days: Days = field(default_factory=Days)
    ids: SharedIds = field(default_factory=SharedIds)
    orders: SharedIds = field(default_factory=SharedIds)

    def add(self, other: Seen) -> None:
        """Add the facts of other customers."""
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("most_touches", "most_outcomes"):
            setattr(self, name, max(getattr(self, name), getattr(other, name)))
        for number, (touches, outcomes) in other.placeholders.items():
            before = self.placeholders.get(number, (0, 0))
            self.placeholders[number] = (before[0] + touches, before[1] + outcomes)
        self.touch_days += other.touch_days
        self.outcome_days += other.outcome_days
        self.ids += other.ids
        self.orders += other.orders

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The facts as arrays, to be sent elsewhere."""
        plain = [getattr(self, name) for name in COUNTED]
        most = [*self.most_touches, *self.most_outcomes]
        names = [(name, *counts) for name, counts in sorted(self.placeholders.items())]
        return {
            "plain": np.array(plain, np.int64), "most": np.array(most, np.uint64),
            "placeholders": np.array(names, np.int64).reshape(-1, 3),
            "firsts": np.array(
                [self.touch_days.first, self.outcome_days.first, self.ids.level, self.orders.level], np.int64
            ),
            "touch_days": self.touch_days.counts, "outcome_days": self.outcome_days.counts,
            "ids": self.ids.ids, "id_customers": self.ids.customers,
            "orders": self.orders.ids, "order_customers": self.orders.customers,
        }  # fmt: skip

    @staticmethod
    def of_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> Seen:
        """Invert :meth:`arrays`."""
        t, t_word, o, o_word = (int(number) for number in arrays["most"])
        t_first, o_first, level, order_level = (int(number) for number in arrays["firsts"])
        return Seen(
            **dict(zip(COUNTED, (int(number) for number in arrays["plain"]), strict=True)),
            most_touches=(t, t_word), most_outcomes=(o, o_word),
            placeholders={int(name): (int(a), int(b)) for name, a, b in arrays["placeholders"]},
            touch_days=Days(t_first, arrays["touch_days"]), outcome_days=Days(o_first, arrays["outcome_days"]),
            ids=SharedIds(level, arrays["ids"], arrays["id_customers"]),
            orders=SharedIds(order_level, arrays["orders"], arrays["order_customers"]),
        )  # fmt: skip


COUNTED = (
    "customers", "touched", "buyers", "untouched", "touches", "outcomes", "equal_timed", "equal_dated",
    "named", "again",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Placeholders:
    """Words of customers' names that stand for nobody, to be found among millions: by their first 16 bits first."""

    words: Words
    numbers: dict[tuple[int, ...], int]
    begins: npt.NDArray[np.bool_]

    @staticmethod
    def of(words: Words, numbers: Iterable[int]) -> Placeholders:
        """Make the table of words uint64 [n, 1 or 2] and the number of each name (spellings may share one)."""
        begins = np.zeros(1 << 16, np.bool_)
        begins[(words[:, 0] >> np.uint64(48)).astype(np.int64)] = True
        by_words = {tuple(row): number for row, number in zip(words.tolist(), numbers, strict=True)}
        return Placeholders(words, by_words, begins)

    def find(self, identity: Words) -> list[tuple[int, int]]:
        """Place of each customer that bears such a name, with the name's number."""
        near = np.flatnonzero(self.begins[(identity[:, 0] >> np.uint64(48)).astype(np.int64)])
        found = ((int(at), self.numbers.get(tuple(identity[at].tolist()))) for at in near)
        return [(at, number) for at, number in found if number is not None]


def see(
    identity: Words, t_offsets: Ints, t_time: Ints, o_offsets: Ints, o_time: Ints, *, counts: npt.NDArray[np.bool_],
    equal: npt.NDArray[np.bool_], sold: npt.NDArray[np.bool_], event: Words, order: Words,
    names: npt.NDArray[np.int32], ticks: int, placeholders: Placeholders,
) -> Seen:  # fmt: skip
    """Find the facts of a partition's customers.

    Parameters
    ----------
    identity, t_offsets, t_time, o_offsets, o_time
        As in :class:`attrib.ragged.Events`.
    counts : bool [O]
        Outcomes that end journeys.
    equal : bool [O]
        Outcomes equal to the row before them, of the same customer.
    sold : bool [O]
        Outcomes that are no refunds.
    event, order : uint64 [O, 2]
        Words of the outcomes' event ids and order ids, (0, 0) for none; [0, 2] without such a column.
    names : int32 [O]
        Codes of the outcomes.
    ticks : int
        Ticks of a second.
    placeholders : Placeholders
        Names that stand for nobody.
    """
    day = ticks * 86_400
    touches = np.diff(t_offsets)
    if counts.all():
        outcomes = np.diff(o_offsets)
    else:
        before = np.concatenate([[0], np.cumsum(counts)])
        outcomes = before[o_offsets[1:]] - before[o_offsets[:-1]]
        o_time = o_time[counts]
    seen = Seen(
        customers=len(touches), touched=int((touches > 0).sum()), buyers=int((outcomes > 0).sum()),
        untouched=int(((outcomes > 0) & (touches == 0)).sum()),
        touches=int(touches.sum()), outcomes=int(outcomes.sum()),
        most_touches=_most(touches, identity), most_outcomes=_most(outcomes, identity),
        touch_days=Days.of(t_time, day), outcome_days=Days.of(o_time, day),
    )  # fmt: skip
    equal = equal[counts] & counts[counts]
    if equal.any():
        of_day = o_time[equal] % day
        dated = (of_day == 0) | (of_day >= day - max(1, ticks // 1000))  # rows that carry days stand at one end of it
        seen.equal_dated, seen.equal_timed = int(dated.sum()), int((~dated).sum())
    for at, name in placeholders.find(identity):
        before_t, before_o = seen.placeholders.get(name, (0, 0))
        seen.placeholders[name] = (before_t + int(touches[at]), before_o + int(outcomes[at]))
    if len(event) or len(order):
        customer, sold = np.repeat(identity[:, 0], np.diff(o_offsets)), sold & counts
        if len(event):
            seen.ids = SharedIds.of(event[sold, 0], event[sold, 1], customer[sold])
        if len(order):
            seen.orders = SharedIds.of(order[sold, 0], order[sold, 1], customer[sold])
            sold &= (order != 0).any(axis=1)
            keys = np.stack([customer[sold], names[sold].astype(np.uint64), order[sold, 0], order[sold, 1]], axis=1)
            seen.named = len(keys)
            seen.again = len(keys) - len(np.unique(keys, axis=0))
    return seen


def _most(numbers: Ints, identity: Words) -> tuple[int, int]:
    """The largest number of one customer, with their word; of equals the one with the largest word."""
    if not len(numbers):
        return 0, 0
    most = int(numbers.max())
    return most, int(identity[numbers == most, 0].max()) if most else 0
