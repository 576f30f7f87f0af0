"""Compiling ahead: every kernel that a run calls, compiled into the cache before the first run needs it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from attrib import synth
from attrib.crediting import credit
from attrib.engines.base import Progress
from attrib.engines.local import LocalEngine
from attrib.errors import SpecError
from attrib.io.sources import InlineOutcome
from attrib.journeys import Journeys
from attrib.methods import (
    AdditiveHazard,
    CustomWeights,
    FirstTouch,
    Incremental,
    LastNonDirect,
    LastTouch,
    Linear,
    Markov,
    Method,
    PositionBased,
    ShaoLi,
    Shapley,
    TimeDecay,
)
from attrib.showing import Shown

CUSTOMERS = 600
CHANNELS = ("direct", "email", "search", "social", "display", "store", "app", "tv", "affiliate", "video")
ALL: dict[str, Method] = {
    "first": FirstTouch(),
    "last": LastTouch(),
    "not direct": LastNonDirect(),
    "linear": Linear(),
    "position": PositionBased(),
    "decay": TimeDecay(),
    "table": CustomWeights(((1.0,),), otherwise="linear"),
    "function": CustomWeights(lambda positions, _ages: positions),
    **{f"markov {order}": Markov(order=order) for order in range(1, 6)},
    "renormalise": Markov(removal="renormalise"),
    **{f"shapley {worth}": Shapley(worth=worth) for worth in ("conversions", "rate", "markov")},
    "samples": Shapley(worth="rate", samples=200),
    "shao li": ShaoLi(),
    "hazard": AdditiveHazard(lag="7d"),
    "incremental": Incremental(types=1, moods=1, decays="7d", steps=3),
    **({"periods": Incremental(hazards="glm", decays="7d", permutations=2)} if find_spec("sklearn") else {}),
}
FITTED = ("hazard", "incremental", "periods")  # slowly: of few customers
TIMED = ("decay", "hazard", "incremental", "periods")  # not for path tables
SOME: dict[str, Method] = {name: ALL[name] for name in ("decay", "markov 2", "shapley conversions", "shapley rate")}


@dataclass(frozen=True, slots=True, repr=False)
class WarmUp(Shown):
    """What a warm-up did.

    Attributes
    ----------
    folders : tuple of str
        Where compiled code is kept.
    compiled, loaded : int
        Kernels, one for each set of types that they are for: compiled now, and found in the cache.
    seconds : float
        How long it took.
    """

    folders: tuple[str, ...]
    compiled: int
    loaded: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def warm_up(*, generator: bool = False, progress: Progress | None = None) -> WarmUp:
    """Compile all kernels that a run calls, by running a few made-up events through every way of reading them.

    Parameters
    ----------
    generator : bool
        Also what generates markets and their truth (:mod:`attrib.synth`): half as long again.
    progress : callable, optional
        Called with (stage, done, total).

    Returns
    -------
    WarmUp
        Where the cache is, what was compiled, and how long it took: minutes the first time, then seconds.

    Notes
    -----
    Several processes may warm up, and run, on one cache at the same time.

    Examples
    --------
    >>> warm_up().compiled >= 0
    True
    """
    from attrib.kernels._jit import cache_use  # numba loads here, and not with the command's help

    begin = time.perf_counter()
    loaded_before, compiled_before = cache_use()[1:]
    with (
        tempfile.TemporaryDirectory(prefix="attrib-warm-up-") as folder,
        warnings.catch_warnings(),
        _second_process(generator=generator),
    ):
        warnings.simplefilter("ignore")
        runs = [*_event_runs(Path(folder)), *_solving_runs()]
        for done, (journeys, methods) in enumerate(runs):
            if progress is not None:
                progress("compiling", done, len(runs))
            _ask(journeys, methods)
        if generator:
            _generate()
    folders, loaded, compiled = cache_use()
    took = time.perf_counter() - begin
    return WarmUp(tuple(folders), compiled - compiled_before, loaded - loaded_before, took)


@contextmanager
def _second_process(*, generator: bool) -> Iterator[None]:
    """Let a second core compile what this process comes to last; from the cache they take what the other has done."""
    if LocalEngine().workers < 2:
        yield
        return
    path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-c", f"from attrib.warming import work_ahead; work_ahead(generator={generator})"]
    other = subprocess.Popen(  # noqa: S603 - this interpreter, on a program of ours
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": path}
    )
    try:
        yield
    finally:
        other.terminate()  # what it has not done by now, this process has
        other.wait()


def work_ahead(*, generator: bool) -> None:
    """Compile what generates and what solves: the second half of :func:`warm_up`, in a process of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if generator:
            _generate()
        for journeys, methods in _solving_runs():
            _ask(journeys, methods)


def _ask(journeys: Journeys, methods: dict[str, Method]) -> None:
    """Everything that a job asks of journeys."""
    credit(journeys, methods, replicates=20)
    credit(journeys, methods, intervals=None)
    journeys.rejected()
    with suppress(SpecError):  # without stages there is none
        journeys.funnel()


def _generate() -> None:
    """Generate events of every kind, and the truth of a market."""
    synth.truth(1, at=synth.generator.START, population=synth.Population(later=synth.Later()))
    synth.generate(100, seed=1, ids="string", dirty=0.04, campaign=True)


def _events(
    customers: int = CUSTOMERS, *, texts: bool = False, faulty: bool = False
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Touches and outcomes of five stages, in order of customer and time; made without kernels, which compile first."""
    rng = np.random.default_rng(1)

    def rows(each: int) -> pl.DataFrame:
        ids = pl.Series("customer_id", np.repeat(np.arange(customers), each))
        times = pl.Series("timestamp", rng.integers(0, 90 * 86_400_000, ids.len()))
        frame = pl.DataFrame([ids.cast(pl.String) if texts else ids, times.cast(pl.Datetime("ms")).cast(pl.Datetime)])
        return frame.sort("customer_id", "timestamp")

    def some(names: Sequence[str], frame: pl.DataFrame) -> pl.Series:
        return pl.Series(rng.choice(names, frame.height))

    touches, outcomes = rows(6), rows(3)
    touches = touches.with_columns(
        channel=some(CHANNELS, touches), interaction=some(("view", "click"), touches), cost=rng.random(touches.height)
    )
    outcomes = outcomes.with_columns(
        outcome=some(("visit", "intent", "purchase", "referral"), outcomes), value=rng.random(outcomes.height) * 100
    )
    if faulty:
        touches = touches.with_columns(campaign=some(("a", "b"), touches))
        blank = pl.int_range(pl.len()) % 50 == 0
        touches, outcomes = (
            pl.concat([frame, frame.head(20)]).with_columns(
                pl.when(blank).then(None).otherwise("customer_id").alias("customer_id")
            )
            for frame in (touches, outcomes)
        )
    return touches, outcomes


def _event_runs(folder: Path) -> Iterator[tuple[Journeys, dict[str, Method]]]:
    """Journeys of events that between them take every route, and the methods to ask of each."""
    few = {name: ALL[name] for name in ("decay",)}
    touches, outcomes = _events()
    text_touches, text_outcomes = _events(texts=True)
    faulty = _events(texts=True, faulty=True)
    mixed = touches.sample(fraction=1, shuffle=True, seed=1)
    spilling = LocalEngine(memory_limit="20KB")
    form = Journeys.from_events
    yield form(touches, outcomes, stages="five"), few
    yield form(touches, outcomes, stages="five", view="resolved"), SOME
    yield form(mixed, outcomes.drop("value"), maturity="7d"), SOME
    yield form(mixed, outcomes, stages="five", engine=spilling), few
    yield form(text_touches, text_outcomes, stages="five"), SOME
    yield form(text_touches.reverse(), text_outcomes, stages="five"), few
    yield form(*faulty, by="campaign", duplicates="keep", max_rejects=1), few
    refund = pl.int_range(pl.len()) % 3 == 2
    numbered = outcomes.with_row_index("event_id").with_columns(
        value=pl.col("value") * pl.when(refund).then(-1).otherwise(1)
    )
    yield form(touches.with_row_index("event_id").with_row_index("sequence"), numbered), few
    unsigned = [frame.with_columns(pl.col("customer_id").cast(pl.UInt64)) for frame in (touches, outcomes)]
    yield form(*unsigned, prefer="click", max_gap="3d", repeats="first"), few
    yield form(*unsigned, prefer="click", max_gap="3d", stages="five", view="resolved", after_conversion="keep"), few
    yield form(unsigned[0].reverse(), unsigned[1], player=("channel", "interaction")), SOME
    flagged = touches.with_columns(conversion=pl.int_range(pl.len()) % 3 == 0)
    windows = {"click": "30d", "*": "1d"}
    yield form(flagged, InlineOutcome(value="cost"), lookback=windows), few
    for name, frame in (("touches", mixed), ("outcomes", outcomes)):
        frame.write_csv(folder / f"{name}.csv")
    yield form(folder / "touches.csv", folder / "outcomes.csv"), few


def _solving_runs() -> Iterator[tuple[Journeys, dict[str, Method]]]:
    """Journeys that all methods are asked of."""
    paths = pl.DataFrame({"path": ["a > b", "b > a > c", "c"], "total_conversions": [3, 2, 1], "total_null": [4, 5, 6]})
    yield Journeys.from_paths(paths), {name: method for name, method in ALL.items() if name not in TIMED}
    yield Journeys.from_paths(paths.drop("total_null")), {"last": ALL["last"], "closed": Shapley()}
    fitted = {name: ALL[name] for name in FITTED if name in ALL}
    yield Journeys.from_events(*_events(), stages="five"), {n: m for n, m in ALL.items() if n not in fitted}
    yield Journeys.from_events(*_events(60), stages="five"), fitted
