"""Where the time goes: python -m benchmarks.profile. CPU seconds of the end-to-end suite, step by step.

One thread of ours. Clocks stand around the functions and kernels below, each without those that it calls, and count the
CPU of this thread; what other threads used is polars, which decodes ahead. What no clock counted is Python in between.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.data import events, tables
from benchmarks.measure import all_methods, check_sums
from benchmarks.record import Rows, measure, run_sizes

KINDS = ("ordered", "shuffled", "shuffled, text ids")
DECODE, CHECK, CODE, ORDER, CUT, TALLY, SOLVE, OTHER = STEPS = (
    "decode", "check", "code", "order", "cut", "tally", "solve", "other"
)  # fmt: skip
CLOCKS: tuple[tuple[str, str, str], ...] = (  # step, module (and class), function
    (CHECK, "attrib.io.checks", "typed"),
    (CHECK, "attrib.io.checks", "looks_clean"),
    (CHECK, "attrib.io.times:Spread", "add"),
    (CHECK, "attrib.engines.reading:TableReader", "_sum_values"),
    (CODE, "attrib.engines.reading:TableReader", "_encode"),
    (CODE, "attrib.engines.coding:Kinds", "encode"),
    (CODE, "attrib.engines.reading", "hash_texts"),
    (CODE, "attrib.kernels.rows", "fill_rows"),
    (CODE, "attrib.kernels.rows", "largest_by_code"),
    (ORDER, "attrib.kernels.rows", "partition_rows"),
    (ORDER, "attrib.engines.store:PartitionStore", "append"),
    (ORDER, "attrib.engines.store:PartitionStore", "take"),
    (ORDER, "attrib.engines.in_order:Carry", "take"),
    (ORDER, "attrib.engines.grouping:Grouping", "_group"),
    (ORDER, "attrib.kernels.rows", "rank_codes"),
    (ORDER, "attrib.kernels.rows", "sort_runs"),
    (ORDER, "attrib.kernels.rows", "sort_rows"),
    (ORDER, "attrib.kernels.rows", "drop_equal"),
    (ORDER, "attrib.kernels.rows", "match_customers"),
    (ORDER, "attrib.kernels.rows", "read_rows"),
    (CUT, "attrib.engines.events", "cut"),
    (TALLY, "attrib.summing:RunningSums", "add"),
    (TALLY, "attrib.summing:RunningSums", "take"),
    (TALLY, "attrib.kernels.tallies", "sum_totals"),
    (TALLY, "attrib.kernels.tallies", "count_touches"),
    (TALLY, "attrib.kernels.tallies", "sum_transitions"),
    (TALLY, "attrib.kernels.rules", "sum_rules"),
    (TALLY, "attrib.engines.local:TallyPass", "totals"),
    (TALLY, "attrib.engines.naming:Names", "tallies"),
    (SOLVE, "attrib.crediting", "observe"),
    (SOLVE, "attrib.crediting", "credit_frame"),
)


class Clocks:
    """CPU seconds of this thread by (step, part), each part without those that it calls."""

    def __init__(self) -> None:
        self.seconds: Counter[tuple[str, str]] = Counter()
        self._inner: list[float] = []

    @contextmanager
    def running(self, step: str, part: str) -> Iterator[None]:
        """Count what happens meanwhile."""
        self._inner.append(0.0)
        start = time.thread_time()
        try:
            yield
        finally:
            took = time.thread_time() - start
            self.seconds[step, part] += took - self._inner.pop()
            if self._inner:
                self._inner[-1] += took

    def around(self, function: Callable[..., Any], step: str, part: str) -> Callable[..., Any]:
        """Put a clock around a function."""

        def clocked(*arguments: Any, **named: Any) -> Any:
            with self.running(step, part):
                return function(*arguments, **named)

        return clocked

    def around_each(self, iterate: Callable[..., Iterator[Any]], step: str, part: str) -> Callable[..., Iterator[Any]]:
        """Put a clock around each step of an iterator."""

        def clocked(*arguments: Any) -> Iterator[Any]:
            with self.running(step, part):
                iterator = iterate(*arguments)
            while True:
                with self.running(step, part):
                    item = next(iterator, None)
                if item is None:
                    return
                yield item

        return clocked


@contextmanager
def clocks() -> Iterator[Clocks]:
    """Put clocks around everything in CLOCKS. Kernels must be compiled by then, since these call one another."""
    from attrib.engines import reading

    found = Clocks()
    with ExitStack() as patches:
        for step, where, name in CLOCKS:
            module, _, of = where.partition(":")
            owner = importlib.import_module(module)
            owner = getattr(owner, of) if of else owner
            short = f"{of or module.removeprefix('attrib.')}.{name.strip('_')}"
            clocked = found.around(getattr(owner, name), step, short)
            patches.enter_context(mock.patch.object(owner, name, clocked))
        batches = found.around_each(reading.batches_of, DECODE, "wait for a batch")
        patches.enter_context(mock.patch.object(reading, "batches_of", batches))
        yield found


def credit(folder: Path) -> None:
    """What the end-to-end suite does, on one thread."""
    import attrib

    engine = attrib.LocalEngine(threads=1)
    journeys = attrib.Journeys.from_events(*tables(folder), lookback="30d", stages="five", engine=engine)
    check_sums(attrib.credit(journeys, all_methods(), intervals=None), journeys.reconcile())


def one(folder: Path) -> list[tuple[str, str, float]]:
    """CPU seconds of (step, part), the whole among them, after two rounds that are not counted."""
    credit(folder)
    credit(folder)
    with clocks() as found:
        whole, here = time.process_time(), time.thread_time()
        credit(folder)
        whole, here = time.process_time() - whole, time.thread_time() - here
    counted = sum(found.seconds.values())
    rest = {(DECODE, "polars, other threads"): whole - here, (OTHER, "Python in between"): here - counted}
    seconds = dict(found.seconds) | rest
    by_step = sorted(seconds.items(), key=lambda item: (STEPS.index(item[0][0]), -item[1]))
    return [(step, part, took) for (step, part), took in by_step]


def rows_of(size: int, kind: str) -> Rows:
    """Measure one data set."""
    found = measure("profile", "one", events(size, kind))["parts"]
    whole = sum(took for _, _, took in found)
    return [
        {
            "touchpoints": size,
            "order": kind,
            "step": step,
            "part": part,
            "cpu_s": round(took, 4),
            "cpu_ns_per_touch": round(took / size * 1e9, 2),
            "cpu_percent": round(100 * took / whole, 1),
        }
        for step, part, took in found
    ]


def main() -> None:
    """Measure, print, and write profile.csv into benchmarks/results."""
    if sys.argv[1:2] == ["one"]:
        print(json.dumps({"parts": one(Path(sys.argv[2]))}))
        return
    title = "CPU of end to end by step, one thread"
    run_sizes(__doc__, "profile", title, lambda size, kind, _repeats: rows_of(size, kind), KINDS)


if __name__ == "__main__":
    main()
