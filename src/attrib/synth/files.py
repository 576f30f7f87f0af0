"""Generated events as parquet files, streamed and atomic."""

from __future__ import annotations

import math
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from attrib.errors import ResourceError, SpecError
from attrib.synth.config import Population
from attrib.synth.generator import START, Ids, Recipe, Table, check_counts, ordered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from attrib.synth.kernels import Events

Progress = Callable[[str, float, float | None], None]

TABLES: tuple[Table, Table] = ("touchpoints", "outcomes")
_BATCH = 50_000
_PILOT = 20_000
_ROW_GROUP = 500_000
# Rows held in memory by one pass of the shuffle: about 60 bytes each, twice while sorting.
_PART_ROWS = 12_000_000
# Outcomes kept while the touchpoints are written (33 bytes each), so that one simulation serves both files.
_HOLD_ROWS = 8_000_000
_live: set[str] = set()


@dataclass(frozen=True, slots=True)
class _Job:
    """What both files share; `held` keeps each batch's outcomes, where they fit, by its first customer."""

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
    shuffle: bool = False,
    dirty: float = 0.0,
    start: datetime = START,
    days: int = 365,
    ids: Ids = "integer",
    campaign: bool = False,
    population: Population | None = None,
    off: frozenset[str] = frozenset(),
    threads: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Write ``touchpoints.parquet`` and ``outcomes.parquet`` into a folder, in bounded memory.

    Both files are written beside their place, flushed to disk, and renamed only when both are
    complete. What a killed run left behind is swept by the next.

    Parameters
    ----------
    customers : int or None
        How many; None with `touchpoints`.
    seed, dirty, start, days, ids, campaign, population, off, threads
        As in `generate`; the rows are the same.
    out : path
        The folder; created where absent.
    touchpoints : int, optional
        Instead of `customers`: about how many touchpoints.
    shuffle : bool, default False
        Rows in a random order that depends on the seed alone, in place of customer and time. Large
        outputs are generated once per 12 million rows: time instead of memory or spill files.
    progress : callable, optional
        Called with (stage, customers done, customers in all).

    Returns
    -------
    dict of str to pathlib.Path
        The files ``"touchpoints"`` and ``"outcomes"``.

    Raises
    ------
    SpecError
        ``bad_argument`` for numbers out of range, or both or neither of `customers` and `touchpoints`.
    ResourceError
        ``cannot_write`` where the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = write(200, 0, folder)
    ...     sorted(path.name for path in files.values())
    ['outcomes.parquet', 'touchpoints.parquet']
    """
    recipe = Recipe(seed, dirty, start, days, ids, campaign, population or Population(), frozenset(off))
    if (customers is None) == (touchpoints is None):
        raise SpecError(
            "bad_argument",
            f"customers is {customers!r} and touchpoints is {touchpoints!r}",
            hint="give one of the two",
            argument="customers",
        )
    check_counts(customers if touchpoints is None else touchpoints, threads=threads)
    pilot = recipe.simulate(0, _PILOT if customers is None else min(customers, _PILOT))
    if customers is None:
        if pilot.customer.size == 0:
            raise SpecError("bad_argument", "the channels of this population reach nobody", argument="touchpoints")
        customers = round(cast(int, touchpoints) * _PILOT / pilot.customer.size)
    folder = Path(out)
    sizes = {"touchpoints": pilot.customer.size, "outcomes": pilot.outcome_customer.size}
    ratio = customers / max(1, min(customers, _PILOT))
    job = _Job(recipe, customers, threads, progress, hold=sizes["outcomes"] * ratio <= _HOLD_ROWS)
    temporary: dict[str, Path] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        for table in TABLES:
            temporary[table] = _temporary(folder, table)
            parts = max(1, math.ceil(sizes[table] * ratio / _PART_ROWS)) if shuffle else 0
            _sink(job, table, parts, temporary[table])
        for table in TABLES:
            temporary[table].replace(folder / f"{table}.parquet")
        _flush(folder)
    except OSError as error:
        raise ResourceError(
            "cannot_write", f"{folder} cannot be written: {error}", hint="check the folder and the free space"
        ) from error
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)
            _live.discard(path.name)
    return {table: folder / f"{table}.parquet" for table in TABLES}


def _frames(job: _Job, table: Table, parts: int) -> Iterator[pl.DataFrame]:
    """The frames of one file; with `parts`, shuffled, one pass over the customers for each part."""
    recipe = job.recipe

    def work(first: int, count: int, part: int) -> tuple[pl.DataFrame, NDArray[np.uint64] | None, Events]:
        held = job.held.get(first) if table == "outcomes" else None
        events = held or recipe.simulate(first, count)
        rows, fault, keys = recipe.rows(events, table, (part, parts) if parts else None)
        return recipe.frame(events, table, rows, fault), keys, events

    for part in range(max(parts, 1)):
        frames: list[pl.DataFrame] = []
        order: list[NDArray[np.uint64]] = []
        done = 0
        for frame, keys, events in ordered(partial(work, part=part), job.customers, _BATCH, job.threads):
            if job.hold and table == "touchpoints" and part == 0:
                job.held[done] = events.without_touches()
            done += min(_BATCH, job.customers - done)
            if job.progress is not None:
                job.progress(f"writing {table}", part * job.customers + done, max(parts, 1) * job.customers)
            if keys is None:
                yield frame
            else:
                frames.append(frame)
                order.append(keys)
        if frames:
            together = pl.concat(frames)
            frames.clear()
            places = np.argsort(np.concatenate(order), kind="stable")
            for i in range(0, places.size, _ROW_GROUP):
                yield together[places[i : i + _ROW_GROUP]]


def _sink(job: _Job, table: Table, parts: int, path: Path) -> None:
    empty = job.recipe.frame(job.recipe.simulate(0, 0), table, np.arange(0))

    def source(
        _columns: list[str] | None, _predicate: pl.Expr | None, _rows: int | None, _batch: int | None
    ) -> Iterator[pl.DataFrame]:
        # The query has neither projection, filter nor slice: there is nothing to push down.
        yield from _frames(job, table, parts)

    register_io_source(source, schema=empty.schema).sink_parquet(path, row_group_size=_ROW_GROUP)
    _flush(path)


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


def _temporary(folder: Path, table: str) -> Path:
    name = f".{table}.parquet.{_owner()}-{secrets.token_hex(4)}.attrib-tmp"
    _live.add(name)
    return folder / name


def _sweep(folder: Path) -> None:
    """Remove what killed runs on this machine left behind, and nothing else."""
    prefix = f"{socket.gethostname()}-"
    for table in TABLES:
        for path in folder.glob(f".{table}.parquet.{prefix}*.attrib-tmp"):
            process = path.name.removeprefix(f".{table}.parquet.{prefix}").split("-", 1)[0]
            if path.name not in _live and process.isdigit() and not _alive(int(process)):
                path.unlink(missing_ok=True)


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
