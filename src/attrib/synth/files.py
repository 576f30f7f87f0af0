"""Generated events as parquet files, streamed and atomic."""

from __future__ import annotations

import math
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from attrib.errors import ResourceError, SpecError, brief
from attrib.synth.config import Population
from attrib.synth.generator import START, Ids, Recipe, Table, check_counts, ordered
from attrib.synth.shuffling import ROW_GROUP, Shuffle
from attrib.synth.truths import Moment, Question, told

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from attrib.synth.records import Events
    from attrib.synth.scenarios import Scenario

Progress = Callable[[str, float, float | None], None]

TABLES: tuple[Table, Table] = ("touchpoints", "outcomes")
TRUTHS = ("truth", "forest")
IDENTITIES = "identities"
_BATCH = 50_000
_PILOT = 20_000
_SORTED_ROWS = 6_000_000  # rows that the shuffle sorts at once: about 60 bytes each, twice
# Outcomes kept while the touchpoints are written (33 bytes each), so that one simulation serves both files.
_HOLD_ROWS = 8_000_000
_ONE_FILE = 20_000_000  # touchpoints up to which, unless told otherwise, a table is one file …
_FILE_ROWS = 10_000_000  # … and about how many each file has beyond
_MOST_PARTS = 10_000
_PART = re.compile(r"part-\d{4}\.parquet")
_live: set[str] = set()


@dataclass(frozen=True, slots=True)
class _Job:
    """What both tables share; `held` keeps each batch's outcomes, where they fit, by its first customer."""

    recipe: Recipe
    customers: int
    threads: int | None
    progress: Progress | None
    hold: bool
    held: dict[int, Events] = field(default_factory=dict)


def write(
    customers: int | None,
    seed: int,
    out: str | os.PathLike[str],
    *,
    touchpoints: int | None = None,
    parts: int | None = 1,
    shuffle: bool = False,
    dirty: float = 0.0,
    start: datetime = START,
    days: int | None = None,
    ids: Ids = "integer",
    campaign: bool = False,
    population: Population | None = None,
    scenario: Scenario | str | os.PathLike[str] | None = None,
    off: frozenset[str] = frozenset(),
    observed: bool = True,
    truth_at: Moment | Sequence[Moment] | None = None,
    gap: str | timedelta = "7d",
    horizon: str | timedelta = "90d",
    ahead: str | timedelta = "365d",
    threads: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Write ``touchpoints.parquet`` and ``outcomes.parquet``, or folders of parts, in bounded memory.

    Everything is written beside its place, flushed to disk, and renamed only when all tables are
    complete. What a killed run left behind is swept by the next.

    Parameters
    ----------
    customers : int or None
        How many; None with `touchpoints`.
    seed, dirty, start, days, ids, campaign, population, scenario, off, observed, threads
        As in `generate`; the rows are the same. Where one person has several ids, ``identities.parquet`` tells whose
        they are; it is held in memory.
    out : path
        The folder; created where absent.
    touchpoints : int, optional
        Instead of `customers`: about how many touchpoints.
    parts : int or None, default 1
        Files a table: with 1 ``touchpoints.parquet``, else ``touchpoints/part-0000.parquet`` and so
        on. Read one after the other they hold the rows of the single file in its order: each part
        has customers of its own, or, with `shuffle`, rows of all customers. None: one file up to
        20 million touchpoints, beyond that a part for each 10 million.
    shuffle : bool, default False
        Rows in a random order that depends on the seed alone, in place of customer and time. Beyond
        6 million rows they go through files in `out`, about as large as the rows in memory.
    truth_at : date or sequence of dates, optional
        Also write what `truth` knows at these dates: ``truth.parquet`` (its ``customers``) and ``forest.parquet``;
        held in memory. Only with a `population` with ``later``.
    gap, horizon, ahead : str or timedelta
        Of the truth; see `truth`.
    progress : callable, optional
        Called with (stage, customers done, customers in all).

    Returns
    -------
    dict of str to pathlib.Path
        The files, or the folders, ``"touchpoints"`` and ``"outcomes"``; with `truth_at` also ``"truth"`` and
        ``"forest"``; ``"identities"`` where one person has several ids.

    Raises
    ------
    SpecError
        ``bad_argument`` for numbers out of range, or both or neither of `customers` and `touchpoints`; ``bad_date``;
        ``other_files`` where the folder holds files that these would replace or stand beside.
    ResourceError
        ``cannot_write`` where the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = write(200, 0, folder, parts=2)
    ...     sorted(path.name for path in files["touchpoints"].iterdir())
    ['part-0000.parquet', 'part-0001.parquet']
    """
    recipe = Recipe.of(
        seed, population, scenario, days, dirty=dirty, start=start, ids=ids, campaign=campaign, off=frozenset(off),
        observed=observed,
    )  # fmt: skip
    if (customers is None) == (touchpoints is None):
        raise SpecError(
            "bad_argument",
            f"customers is {brief(customers)} and touchpoints is {brief(touchpoints)}",
            hint="give one of the two",
            argument="customers",
        )
    check_counts(customers if touchpoints is None else touchpoints, threads=threads)
    question = None if truth_at is None else Question.ask(recipe, truth_at, gap, horizon, ahead, "truth_at")
    if parts is not None and (isinstance(parts, bool) or not isinstance(parts, int) or not 1 <= parts <= _MOST_PARTS):
        hint = f"give a whole number from 1 to {_MOST_PARTS}"
        raise SpecError("bad_argument", f"parts is {brief(parts)}", hint=hint, argument="parts")
    customers, rows = _sizes(recipe, customers, touchpoints)
    if parts is None:
        parts = 1 if rows["touchpoints"] <= _ONE_FILE else round(rows["touchpoints"] / _FILE_ROWS)
    job = _Job(recipe, customers, threads, progress, hold=rows["outcomes"] <= _HOLD_ROWS)
    folder = Path(out)
    targets: dict[str, Path] = {table: folder / (f"{table}.parquet" if parts == 1 else table) for table in TABLES}
    more = (*(TRUTHS if question else ()), *((IDENTITIES,) if recipe.fragments else ()))
    truths = {name: folder / f"{name}.parquet" for name in more}
    temporary: dict[str, Path] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        _check_places(folder, targets, truths)
        targets |= truths
        for table in TABLES:
            temporary[table] = _temporary(targets[table])
            # ranges of shuffle keys a part, so that each can be sorted in memory
            ranges = max(1, math.ceil(rows[table] / _SORTED_ROWS / parts)) if shuffle else 0
            temporary[f"{table} spilled"] = spill = _temporary(targets[table])
            _write_table(job, table, parts, ranges, temporary[table], spill)
        for truth, frame in _truths(job, question):
            temporary[truth] = _temporary(targets[truth])
            frame.write_parquet(temporary[truth])
            _flush(temporary[truth])
        for name, target in targets.items():
            _put(temporary[name], target)
        _flush(folder)
    except OSError as error:
        raise ResourceError(
            "cannot_write", f"{folder} cannot be written: {error}", hint="check the folder and the free space"
        ) from error
    finally:
        try:
            _forget(temporary.values())
        except KeyboardInterrupt:  # sent twice, as impatient people do, or by `keep_interrupt`
            _forget(temporary.values())
            raise
    return targets


def describe(files: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """What `write` has written: by table its place, rows, files and bytes.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = describe(write(200, 0, folder, parts=3))
    >>> found["outcomes"]["files"]
    3
    """
    found = {}
    for table, place in files.items():
        each = sorted(place.iterdir()) if place.is_dir() else [place]
        rows = pl.scan_parquet(each, glob=False).select(pl.len()).collect().item()
        sizes = sum(file.stat().st_size for file in each)
        found[table] = {"path": str(place), "rows": rows, "files": len(each), "bytes": sizes}
    return found


def _sizes(recipe: Recipe, customers: int | None, touchpoints: int | None) -> tuple[int, dict[str, float]]:
    """How many customers, and about how many rows of each table: judged by the first customers."""
    first = _PILOT if customers is None else min(customers, _PILOT)
    pilot = recipe.simulate(0, first)
    if customers is None:
        if pilot.customer.size == 0:
            raise SpecError("bad_argument", "the channels of this population reach nobody", argument="touchpoints")
        customers = round(cast(int, touchpoints) * _PILOT / pilot.customer.size)
    ratio = customers / max(1, first)
    return customers, {"touchpoints": pilot.customer.size * ratio, "outcomes": pilot.outcome_customer.size * ratio}


def _truths(job: _Job, question: Question | None) -> Iterator[tuple[str, pl.DataFrame]]:
    if question is not None:
        known = told(job.recipe, job.customers, question, job.threads, job.progress)
        yield from zip(TRUTHS, (known.customers, known.forest), strict=True)
    if job.recipe.fragments:

        def work(first: int, count: int) -> pl.DataFrame:
            return job.recipe.identities(job.recipe.simulate(first, count))

        yield IDENTITIES, pl.concat([work(0, 0), *ordered(work, job.customers, _BATCH, job.threads)])


def _write_table(job: _Job, table: Table, parts: int, ranges: int, place: Path, spill: Path) -> None:
    slices = _slices(job, table, parts, ranges, spill)
    if parts == 1:
        _sink(job, table, next(slices), place)
        return
    place.mkdir()
    for part, frames in enumerate(slices):
        _sink(job, table, frames, place / f"part-{part:04d}.parquet")
    _flush(place)


def _slices(job: _Job, table: Table, parts: int, ranges: int, spill: Path) -> Iterator[Iterator[pl.DataFrame]]:
    """The frames of each part: of customers of its own or, shuffled, of `ranges` ranges of shuffle keys each."""
    advance = _Advance(job, table, job.customers)
    if not ranges:
        for part in range(parts):
            first, end = (job.customers * (part + i) // parts for i in (0, 1))
            yield (frame for frame, _ in _batches(job, table, first, end - first, advance))
        return
    shuffle = Shuffle(spill, parts * ranges)
    for frame, keys in _batches(job, table, 0, job.customers, advance, shuffle=True):
        shuffle.add(frame, cast("NDArray[np.uint64]", keys))
    for part in range(parts):
        yield chain.from_iterable(shuffle.take(part * ranges + i) for i in range(ranges))


def _batches(
    job: _Job, table: Table, first: int, count: int, advance: _Advance, *, shuffle: bool = False
) -> Iterator[tuple[pl.DataFrame, NDArray[np.uint64] | None]]:
    """Frames, and the shuffle keys of their rows, of consecutive customers."""
    recipe = job.recipe

    def work(after: int, size: int) -> tuple[int, pl.DataFrame, NDArray[np.uint64] | None, Events]:
        start = first + after
        held = job.held.get(start) if table == "outcomes" else None
        events = held or recipe.simulate(start, size)
        rows, fault, keys = recipe.rows(events, table, shuffle=shuffle)
        return start, recipe.frame(events, table, rows, fault), keys, events

    done = 0
    for start, frame, keys, events in ordered(work, count, _BATCH, job.threads):
        if job.hold and table == "touchpoints":
            job.held.setdefault(start, events.without_touches())
        step = min(_BATCH, count - done)
        done += step
        advance(step)
        yield frame, keys


@dataclass(slots=True)
class _Advance:
    """Tells how many customers are done, over all parts and passes."""

    job: _Job
    table: Table
    total: int
    done: int = 0

    def __call__(self, customers: int) -> None:
        self.done += customers
        if self.job.progress is not None:
            self.job.progress(f"writing {self.table}", self.done, self.total)


def _sink(job: _Job, table: Table, frames: Iterator[pl.DataFrame], path: Path) -> None:
    empty = job.recipe.frame(job.recipe.simulate(0, 0), table, np.arange(0))

    def source(
        _columns: list[str] | None, _predicate: pl.Expr | None, _rows: int | None, _batch: int | None
    ) -> Iterator[pl.DataFrame]:
        # The query has neither projection, filter nor slice: there is nothing to push down.
        yield from frames

    register_io_source(source, schema=empty.schema).sink_parquet(path, row_group_size=ROW_GROUP)
    _flush(path)


def _check_place(folder: Path, table: str, target: Path) -> None:
    """Refuse to replace what was not written here, and to let two sets of events stand side by side."""
    other = folder / (table if target.suffix else f"{table}.parquet")
    foreign = [file.name for file in target.iterdir() if not _PART.fullmatch(file.name)] if target.is_dir() else []
    found = other.name if other.exists() else f"{target.name}/{foreign[0]}" if foreign else None
    if found is None and target.exists() and target.is_dir() == bool(target.suffix):
        found = target.name
    if found:
        raise SpecError(
            "other_files",
            f"{folder} already holds {found}, beside or in place of which {target.name} would stand",
            hint="choose another folder, or remove it",
            path=str(folder),
        )


def _check_places(folder: Path, targets: Mapping[str, Path], truths: Mapping[str, Path]) -> None:
    """The same of all tables; and refuse to leave the truth of other events beside these."""
    for table, target in targets.items():
        _check_place(folder, table, target)
    for name in (*TRUTHS, IDENTITIES):
        place = folder / f"{name}.parquet"
        if place.is_dir() or (place.exists() and name not in truths):
            raise SpecError(
                "other_files",
                f"{folder} already holds {place.name}, which would not be about these events",
                hint="choose another folder, or remove it",
                path=str(folder),
            )


def _put(temporary: Path, target: Path) -> None:
    """Rename over the target; a folder makes way for the new one first, and comes back if that fails."""
    if not target.is_dir():
        temporary.replace(target)
        return
    old = _temporary(target)
    target.rename(old)
    try:
        temporary.rename(target)
    except OSError:
        old.rename(target)
        raise
    finally:
        _remove(old)
        _live.discard(old.name)


def _forget(paths: Iterable[Path]) -> None:
    for path in paths:
        _remove(path)
        _live.discard(path.name)


def _remove(path: Path) -> None:
    if path.is_dir():
        for _ in range(50):  # after an interrupt, a thread may still be writing its last part
            shutil.rmtree(path, ignore_errors=True)
            if not path.exists():
                return
            time.sleep(0.02)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    if path.is_dir() and os.name != "posix":
        return  # elsewhere a folder has no descriptor to flush
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _owner() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _temporary(target: Path) -> Path:
    name = f".{target.name}.{_owner()}-{secrets.token_hex(4)}.attrib-tmp"
    _live.add(name)
    return target.with_name(name)


def _sweep(folder: Path) -> None:
    """Remove what killed runs on this machine left behind, and nothing else."""
    host = f"{socket.gethostname()}-"
    for name in (name for table in (*TABLES, *TRUTHS, IDENTITIES) for name in (table, f"{table}.parquet")):
        for path in folder.glob(f".{name}.{host}*.attrib-tmp"):
            process = path.name.removeprefix(f".{name}.{host}").split("-", 1)[0]
            if path.name not in _live and process.isdigit() and not _alive(int(process)):
                _remove(path)


def _alive(process: int) -> bool:
    if process == os.getpid():
        return False  # not in `_live`: from an earlier process with our number
    if os.name != "posix":
        return True  # there, signal 0 would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
