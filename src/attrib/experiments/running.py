"""Units of work on several processes: each result is on disk as soon as it is there, so that nothing is done twice.

A result is a JSON file named by the hash of everything it depends on. It is written whole or not at all; a process
that is killed, or the machine that goes down, costs the units at work, and no result can be told from one of an
uninterrupted run.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attrib.errors import AttribError, ResourceError
from attrib.experiments.plan import Experiment, Unit
from attrib.io import sinks
from attrib.io.manifest import Recorder

Result = dict[str, Any]
Told = Callable[[], None]
KEPT = ".cells"  # folder of the results of units, beside experiment.toml
THREADS = (
    "POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS", "ATTRIB_THREADS",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Task:
    """A unit with its key and the keys of what it needs."""

    unit: Unit
    key: str
    needed: tuple[tuple[str, str], ...] = ()


class Kept:
    """Results of units on disk, by key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / KEPT

    def get(self, key: str) -> Result | None:
        """Return a result that is there and is no failure: failures are tried again."""
        result = self.read(key)
        return None if result is None or result.get("failed") else result

    def read(self, key: str) -> Result | None:
        """Return whatever is there."""
        try:
            found = json.loads((self.folder / f"{key}.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and found.get("key") == key else None

    def put(self, key: str, result: Result) -> None:
        """Write a result, whole or not at all."""
        sinks.write_one(self.folder / f"{key}.json", sinks.document({"key": key, **result}))

    def clear(self) -> None:
        """Forget all results."""
        for file in self.folder.glob("*.json"):
            file.unlink(missing_ok=True)


def carry_out(
    experiment: Experiment, tasks: list[Task], kept: Kept, *, workers: int, told: Told | None = None
) -> dict[str, Result]:
    """Compute what is not yet kept.

    Parameters
    ----------
    experiment : Experiment
    tasks : list of Task
    kept : Kept
    workers : int
        Processes; with 1 the work is done in this one.
    told : callable, optional
        Called whenever a unit is done, also one that was kept.

    Returns
    -------
    dict of str to result
        By key. A unit that failed has ``failed``: a key and a message.
    """
    results: dict[str, Result] = {}

    def known(key: str, result: Result) -> None:
        results[key] = result
        if told is not None:
            told()

    def done(key: str, result: Result) -> None:
        kept.put(key, result)
        known(key, result)

    for task in tasks:
        if (found := kept.get(task.key)) is not None:
            known(task.key, found)
    waiting = [task for task in tasks if task.key not in results]
    if workers == 1:
        for task in waiting:
            done(task.key, work(experiment, task))
    while waiting := [task for task in waiting if task.key not in results]:
        _round(experiment, waiting, workers, done)
    return results


def _round(experiment: Experiment, waiting: list[Task], workers: int, done: Callable[[str, Result], None]) -> None:
    """Work on tasks until all are done or a process dies; then find out over which of them."""
    left = len(waiting)

    def counted(key: str, result: Result) -> None:
        nonlocal left
        left -= 1
        done(key, result)

    # A process was killed (too much memory, most often), and nobody knows over which of these: each goes alone.
    for task in _on_processes(experiment, waiting, workers, counted):
        if _on_processes(experiment, [task], 1, counted):
            message = "the process was killed while it worked on this: most often memory is not sufficient"
            counted(task.key, {"failed": {"key": "worker_died", "message": message}})
    if left == len(waiting):
        raise ResourceError("no_workers", "processes end as soon as they start", hint="try --workers 1")


def work(experiment: Experiment, task: Task) -> Result:
    """Carry out one unit; an error becomes the result."""
    from attrib.experiments.scoring import compute

    kept = Kept(experiment.folder)
    needed = {}
    for name, key in task.needed:
        found = kept.read(key)
        if found is None or found.get("failed"):
            why = {"key": "missing", "message": "its result is not there"} if found is None else found["failed"]
            return {"failed": {"key": why["key"], "message": f"the {name} failed: {why['message']}"}}
        needed[name] = found
    recorder = Recorder()
    try:
        with recorder.phase("work"):
            result: Result = compute(experiment, task.unit, needed)
        return {**result, "warnings": list(recorder.warnings())}
    except AttribError as error:
        return {"failed": {"key": error.key, "message": error.message}}
    except MemoryError:
        return {"failed": {"key": "out_of_memory", "message": "memory is not sufficient"}}
    except Exception as error:  # noqa: BLE001 - one unit must not take the others with it; its row tells of it
        text = "".join(traceback.format_exception(error))
        return {"failed": {"key": "unforeseen", "message": f"{type(error).__name__}: {error}", "traceback": text}}


def _on_processes(
    experiment: Experiment, tasks: list[Task], workers: int, done: Callable[[str, Result], None]
) -> list[Task]:
    """Work on tasks until all are done or a process dies; return those at work then."""
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    ahead: Iterator[Task] = iter(tasks)
    running: dict[Future[Result], Task] = {}
    with _one_thread_each():
        pool = ProcessPoolExecutor(min(workers, len(tasks)), mp_context=context, initializer=_begin)
        try:
            while True:
                for task in ahead:
                    running[pool.submit(work, experiment, task)] = task
                    if len(running) >= workers:  # no queue: whoever is in here is at work
                        break
                if not running:
                    return []
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    done(running.pop(future).key, result)
        except BrokenProcessPool:
            return list(running.values())
        except BaseException:
            for child in set(multiprocessing.active_children()) - others:
                child.terminate()  # what they were at is lost; everything before is on disk
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes that start now use one thread each: libraries read this as they are imported."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _begin() -> None:
    """Prepare a process: an interrupt is its parent's business, and it does not outlive that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def failures_of(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What failed within a result: the whole unit (``model`` None), or models of it."""
    if result.get("failed"):
        return [{"model": None, **{k: result["failed"][k] for k in ("key", "message")}}]
    return list(result.get("failures", ()))
