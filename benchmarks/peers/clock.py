"""What every adapter shares, on the standard library alone, since it runs in the peer's own environment.

An adapter names a package and, for each task that it can do, how to put the file into the form that the package or its
users begin with (outside the clock) and how to get each answer from that form (inside it).

    python run_PEER.py check TASK FILE                         → package, version, channel → number by method
    python run_PEER.py time TASK SMALL FILE METHOD REPEATS     → seconds of each repeat, peak memory

The tasks are ``path table`` and ``event log``; without answers to a task, ``check`` returns none.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.peak import peak_gb

Method = Callable[[Any], dict[str, float]]
Task = tuple[Callable[[Path], Any], dict[str, Method]]


def main(package: str, tasks: dict[str, Task]) -> None:
    """Do what the command line says; what the package itself prints goes to the other stream."""
    what, task, file, *rest = sys.argv[1:]
    with contextlib.redirect_stdout(sys.stderr):
        if what == "check":
            answers = {}
            if task in tasks:
                prepare, methods = tasks[task]
                table = prepare(Path(file))
                answers = {
                    name: {channel: float(number) for channel, number in method(table).items()}
                    for name, method in methods.items()
                }
            found = {"package": package, "version": version(package), "answers": answers}
        else:
            prepare, methods = tasks[task]
            found = timed(prepare, Path(file), Path(rest[0]), methods[rest[1]], int(rest[2]))
    print(json.dumps(found))


def timed(prepare: Callable[[Path], Any], small: Path, file: Path, method: Method, repeats: int) -> dict[str, Any]:
    """Time a method on a table that is in memory already, after a round on a small one that loads and compiles."""
    method(prepare(small))
    table = prepare(file)
    walls, cpus = [], []
    for _ in range(repeats):
        start, processor = time.perf_counter(), time.process_time()
        method(table)
        walls.append(time.perf_counter() - start)
        cpus.append(time.process_time() - processor)
    return {"wall": walls, "cpu": cpus, "peak_gb": peak_gb()}
