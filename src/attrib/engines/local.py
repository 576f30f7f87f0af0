"""The engine for one machine: partitions of customers on a pool of threads, in memory or through a spill folder."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import Any

import numpy as np

from attrib.diagnostics.finding import tell
from attrib.engines.accumulator import TALLY_FLOOR, Accumulator
from attrib.engines.base import FLAGGED, Fates, Funnel, Ledger, Memory, Progress, Recipe, Tallies, Work
from attrib.engines.events import EventReader
from attrib.engines.in_order import NotSortedError
from attrib.engines.paths import PathReader, PathRecipe
from attrib.engines.ties import Ties, count_ties
from attrib.errors import SpecError, brief, warn
from attrib.kernels.codes import FATES, WORDS
from attrib.needs import Need, RuleSums, Totals, Touches, Transitions
from attrib.ragged import Cut, CutPlan, FunnelPart, Ragged, no_reasons, walk_funnel
from attrib.summing import RunningSums
from attrib.tally import Tally
from attrib.values import whole_number

HELD = 128 << 20  # bytes of rows held before they go to disk, without a limit: memory never used before costs more
KEPT = 512 << 20  # bytes of partitions, at most, that stay in memory for the next question
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?")
_SUFFIXES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_memory(text: str | float | None) -> int | None:
    """Read a memory size such as ``"2GB"`` or ``"512M"``, in bytes.

    Raises
    ------
    SpecError
        ``bad_memory`` for anything else.

    Examples
    --------
    >>> parse_memory("2GB"), parse_memory(4096)
    (2147483648, 4096)
    """
    if text is None:
        return None
    match = _MEMORY.fullmatch(str(text).strip().upper())
    if match is None or isinstance(text, bool) or float(match[1]) <= 0:
        raise SpecError("bad_memory", f"{brief(text)} is not a memory size", hint='write "2GB" or "512MB"')
    return int(float(match[1]) * _SUFFIXES[match[2]])


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """Runs on this machine.

    Parameters
    ----------
    threads : int, optional
        Default: ``ATTRIB_THREADS``, else the cores this process may use.
    memory_limit : int or str, optional
        Bytes that events and sums may take, such as ``"2GB"``: rows that have to be ordered go to disk beyond half of
        it. Default: ``ATTRIB_MEMORY_LIMIT``, else a quarter of the machine's memory, with rows on disk beyond 128 MB.
    spill : str, optional
        Folder for what does not fit. Default: the system's temporary folder.
    progress : callable, optional
        Called as ``progress(stage, done, total)``.

    Notes
    -----
    Results do not depend on any of these.

    Examples
    --------
    >>> LocalEngine(threads=2, memory_limit="1GB").budget
    1073741824
    """

    threads: int | None = None
    memory_limit: int | str | None = None
    spill: str | None = None
    progress: Progress | None = None

    def __post_init__(self) -> None:
        if self.threads is not None:
            object.__setattr__(self, "threads", whole_number("threads", self.threads, 1, key="bad_threads"))
        parse_memory(self.memory_limit)

    @property
    def workers(self) -> int:
        """Number of threads."""
        if self.threads is not None:
            return self.threads
        from_environment = os.environ.get("ATTRIB_THREADS", "")
        if from_environment.isdigit() and int(from_environment) > 0:
            return int(from_environment)
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @property
    def _limit(self) -> int | None:
        return parse_memory(self.memory_limit) or parse_memory(os.environ.get("ATTRIB_MEMORY_LIMIT") or None)

    @property
    def budget(self) -> int:
        """Bytes that events may take."""
        if self._limit is not None:
            return self._limit
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
        except (ValueError, OSError, AttributeError):
            return 2 << 30

    def close(self) -> None:
        """Nothing is held between two questions."""

    # what the recipe asks for -----------------------------------------------------------------------------------
    def tally(self, recipe: Recipe | PathRecipe, needs: Iterable[Need], *, units: bool, memory: Memory) -> Tallies:
        """Sum the needs over all journeys; what was summed before is taken from ``memory``.

        Raises
        ------
        ResourceError
            ``tally_too_large`` when the sums do not fit into the budget.
        """
        asked = list(dict.fromkeys((Totals(), Touches(), *needs)))
        # players' touches decide who is in a game; no interval needs them by unit
        keeps = {need: units and not isinstance(need, Touches) for need in asked}
        missing = [need for need in asked if memory.find(need, units=keeps[need]) is None]
        if missing or memory.names is None:
            budget = max(self.budget, TALLY_FLOOR)
            reader, sums = self._run(
                recipe, memory, lambda reader: TallyPass(reader, _highest_order(missing), units=units, budget=budget)
            )
            memory.names = reader.tallies(sums.totals())
            for need, tally in memory.names.sums.items():
                memory.sums[need, units and not isinstance(need, Touches)] = tally
            if memory.ledger is None:
                memory.ledger = reader.ledger(sums.fates, memory.find(Totals(), units=False))
                for text in memory.ledger.warnings:
                    warn(text)
                for finding in memory.ledger.findings:
                    tell(finding)
        found = {need: memory.find(need, units=keeps[need]) for need in asked}
        for need in asked:
            if isinstance(need, RuleSums) and callable(need.weights):
                memory.forget(need)  # a function may answer otherwise the next time
        return replace(memory.names, sums=found, with_units=units, workers=self.workers)

    def ledger(self, recipe: Recipe | PathRecipe, memory: Memory) -> Ledger:
        """Account for every row."""
        if memory.ledger is None:
            self.tally(recipe, (), units=False, memory=memory)
        assert memory.ledger is not None
        return memory.ledger

    def funnel(self, recipe: Recipe, memory: Memory) -> Funnel:
        """Count customers by stage (the recipe has a stage model)."""
        if memory.funnel is None:
            self.ledger(recipe, memory)  # a first pass: which route serves, and whether the data are fit to be read
            reader, found = self._run(recipe, memory, FunnelPass)
            memory.funnel = close_funnel(found.parts, reader)
        return memory.funnel

    def journeys(self, recipe: Recipe | PathRecipe, memory: Memory) -> tuple[Any, list[tuple[Any, Ragged]]]:
        """List all journeys, for people who want to look: (reader, [(events, journeys) of each partition])."""
        reader, listing = self._run(recipe, memory, ListingPass)
        return reader, listing.parts

    def stream(self, recipe: Recipe | PathRecipe, memory: Memory, work: Work) -> Iterator[tuple[Any, Any]]:
        """Work through the journeys, one partition at a time, in a fixed order: (reader, what ``work`` made of it)."""
        self.ledger(recipe, memory)  # a first pass: which route serves, and whether the data are fit to be read at all
        if memory.partitions is not None:
            reader, kept = memory.partitions
            loads: Iterator[tuple[Callable[[], Any], CutPlan]] = ((partial(_same, e), reader.plan()) for e in kept)
        else:
            reader = next(self._routes(recipe, memory))
            loads = ((load, reader.plan()) for load, _share in reader.partitions())
        jobs = ((partial(_load_and_stream, load, reader, plan, work), None) for load, plan in loads)
        for made, _ in self._in_flight(jobs):
            yield reader, made

    # one pass over the partitions ---------------------------------------------------------------------------------
    def _run(self, recipe: Recipe | PathRecipe, memory: Memory, build: Callable[[Any], Any]) -> tuple[Any, Any]:
        """Feed every partition to a fresh consumer; partitions that fit the budget are kept for the next pass."""
        if memory.partitions is not None:
            reader, kept = memory.partitions
            consumer = build(reader)
            self._map(((partial(_same, events), reader.plan(), 1.0) for events in kept), consumer)
            return reader, consumer
        for reader in self._routes(recipe, memory):
            consumer = build(reader)
            keeper = _Keeper(min(self.budget // 4, KEPT), reader)
            try:
                self._map(((keeper.watch(load), reader.plan(), share) for load, share in reader.partitions()), consumer)
            except NotSortedError:
                continue  # the rows do not come customer by customer after all: the hash route orders them
            memory.in_order = isinstance(reader, EventReader) and reader.by_id
            if keeper.keeps:
                memory.partitions = (reader, keeper.partitions())
            return reader, consumer
        raise AssertionError("the hash route takes any order")

    def _routes(self, recipe: Recipe | PathRecipe, memory: Memory) -> Iterator[Any]:
        if isinstance(recipe, PathRecipe):
            yield PathReader(recipe)
            return
        budget = self.budget // 2
        if self._limit is None:
            budget = min(budget, HELD)
        in_order = EventReader(recipe, by_id=True, budget=budget, spill=self.spill, progress=self.progress)
        if in_order.may_be_sorted and memory.in_order is not False:
            yield in_order
        yield EventReader(recipe, by_id=False, budget=budget, spill=self.spill, progress=self.progress)

    def _map(self, partitions: Iterator[tuple[Callable[[], Any], CutPlan, float]], consumer: Any) -> None:
        """Run the consumer's ``work`` on the pool and its ``collect`` here, a few partitions in flight."""
        jobs = ((partial(_load_and_work, load, consumer, plan), share) for load, plan, share in partitions)
        for result, share in self._in_flight(jobs):
            consumer.collect(result, share)

    def _in_flight(self, jobs: Iterator[tuple[Callable[[], Any], Any]]) -> Iterator[tuple[Any, Any]]:
        """Run jobs on the pool, a few at a time; their results in order, each with what came beside its job."""
        workers = self.workers
        if workers == 1:
            for job, beside in jobs:
                yield job(), beside
            return
        with ThreadPoolExecutor(workers) as pool:
            flying: deque[tuple[Future[Any], Any]] = deque()
            try:
                for job, beside in jobs:
                    flying.append((pool.submit(job), beside))
                    if len(flying) > workers:
                        future, first = flying.popleft()
                        yield future.result(), first
                while flying:
                    future, first = flying.popleft()
                    yield future.result(), first
            finally:
                for future, _ in flying:
                    future.cancel()


def _same(events: Any) -> Any:
    return events


def _load_and_stream(load: Callable[[], Any], reader: Any, plan: CutPlan, work: Work) -> Any:
    events = load()
    return work(reader, events, reader.cut(events, plan).ragged)


def _load_and_work(load: Callable[[], Any], consumer: Any, plan: CutPlan) -> Any:
    return consumer.work(load(), plan)


class _Keeper:
    """Keeps partitions as they are formed, as long as all of them fit."""

    def __init__(self, budget: int, reader: Any) -> None:
        self.budget, self.held, self.given = budget, 0, 0
        self.keeps = reader.may_fit(budget)
        self._kept: dict[int, Any] = {}
        self._lock = Lock()

    def watch(self, load: Callable[[], Any]) -> Callable[[], Any]:
        """Wrap a loader so that what it gives is kept."""
        number, self.given = self.given, self.given + 1

        def loaded() -> Any:
            events = load()
            with self._lock:
                self.held += events.nbytes
                self.keeps = self.keeps and self.held <= self.budget
                if self.keeps:
                    self._kept[number] = events
                else:
                    self._kept.clear()
            return events

        return loaded

    def partitions(self) -> list[Any]:
        """Return what was kept, in the order of the loaders: threads finish in any order."""
        return [self._kept[number] for number in sorted(self._kept)]


def _highest_order(needs: Iterable[Need]) -> list[Need]:
    """Keep one Transitions: lower orders are marginals of the highest."""
    needs = list(needs)
    orders = [need.order for need in needs if isinstance(need, Transitions)]
    others: list[Need] = [need for need in needs if not isinstance(need, Transitions)]
    return [*others, Transitions(max(orders))] if orders else others


class TallyPass:
    """Cut each partition once and sum all needs over its journeys while they are in the cache."""

    def __init__(self, reader: Any, needs: Iterable[Need], *, units: bool, budget: int) -> None:
        self.reader, self.units = reader, units
        self.sums: dict[Need, Accumulator] = {n: Accumulator(n, budget) for n in (Totals(), Touches(), *needs)}
        self.fates = Fates(
            np.zeros(5, np.int64),
            np.zeros((FATES, 1 + WORDS), np.int64),
            no_reasons(),
            np.zeros(6, np.int64),
            0,
            0,
            [],
            np.zeros(FLAGGED, np.int64),
        )
        self._share = 0.0
        self._running: list[RunningSums] = []  # one a thread
        self._idle: list[RunningSums] = []  # those of them not at work

    def work(self, events: Any, plan: CutPlan) -> tuple[Any, Cut, list[Tally]]:
        """Run on a thread of the pool."""
        part = self.reader.cut(events, plan)
        try:
            running = self._idle.pop()
        except IndexError:  # all are at work on other threads
            running = RunningSums(list(self.sums), units=self.units)
            self._running.append(running)
        handed_over = running.add(
            part.ragged, players=self.reader.n_player_codes, games=self.reader.n_games, exponent=plan.exponent
        )
        self._idle.append(running)
        ties = count_ties(events, part.ragged, plan) if part.ragged.has_times else Ties()
        dropped = (events.duplicates, events.repeated, events.repeated_value, events.flagged, ties, events.seen)
        return dropped, part, handed_over

    def collect(self, result: tuple[Any, Cut, list[Tally]], share: float) -> None:
        """Run on the main thread."""
        (duplicates, repeated, repeated_value, flagged, ties, seen), part, handed_over = result
        self._share += share
        for tally in handed_over:
            self.sums[tally.need].add(tally)
        for need, accumulator in self.sums.items():
            running = sum(sums.rows.get(need, 0) for sums in list(self._running))
            accumulator.check(running, min(1.0, self._share) if self.units else None)
        fates = self.fates
        fates.touches += part.touches
        fates.outcomes += part.outcomes
        fates.reasons += part.reasons
        fates.refunds += part.refunds
        fates.duplicates += duplicates
        fates.repeated += repeated
        fates.repeated_values.append(repeated_value)
        fates.flagged += np.array(flagged, np.int64)
        fates.ties.add(ties)
        if seen is not None:
            fates.seen.add(seen)

    def totals(self) -> dict[Need, Tally]:
        """Sum of each need."""
        for running in self._running:
            for tally in running.take():
                self.sums[tally.need].add(tally)
        return {need: accumulator.total() for need, accumulator in self.sums.items()}


class FunnelPass:
    """Count customers by stage; a pass of its own, since it keeps a time for every stage of every customer."""

    def __init__(self, _reader: Any) -> None:
        self.parts: list[FunnelPart] = []

    def work(self, events: Any, plan: CutPlan) -> FunnelPart:
        """Run on a thread of the pool."""
        return walk_funnel(events, plan)

    def collect(self, part: FunnelPart, _share: float) -> None:
        """Run on the main thread."""
        self.parts.append(part)


class ListingPass:
    """Collect the journeys themselves."""

    def __init__(self, reader: Any) -> None:
        self.reader = reader
        self.parts: list[tuple[Any, Ragged]] = []

    def work(self, events: Any, plan: CutPlan) -> tuple[Any, Ragged]:
        """Run on a thread of the pool."""
        return events, self.reader.cut(events, plan).ragged

    def collect(self, result: tuple[Any, Ragged], _share: float) -> None:
        """Run on the main thread."""
        self.parts.append(result)


def close_funnel(parts: list[FunnelPart], reader: Any) -> Funnel:
    """Put the parts of a funnel together, once the end of the data is known."""
    counts = np.sum([part.counts for part in parts], axis=0)
    times, flags = (np.concatenate([getattr(part, name) for part in parts]) for name in ("times", "flags"))
    # the times of those still in a stage are dates of entry: the end of the data is known only now
    times = np.where(flags & 1, times, reader.end - times)
    stages = range(len(counts))
    by_stage = [(flags >> 1) == s for s in stages]
    return Funnel(counts, [times[m] for m in by_stage], [flags[m] & 1 for m in by_stage], reader.ticks)
