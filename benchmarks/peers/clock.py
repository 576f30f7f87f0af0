"""What every adapter shares, on the standard library alone, since it runs in the peer's own environment.

An adapter names a package, how to put a path table into the form that the package reads (``prepare``: outside the
clock), and how to get each answer from that form (inside it).

    python run_PEER.py check TABLE                         → package, version, channel → number by method
    python run_PEER.py time SMALL TABLE METHOD REPEATS     → seconds of each repeat, peak memory
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


def main(package: str, prepare: Callable[[Path], Any], methods: dict[str, Method]) -> None:
    """Do what the command line says; what the package itself prints goes to the other stream."""
    what, file, *rest = sys.argv[1:]
    with contextlib.redirect_stdout(sys.stderr):
        if what == "check":
            table = prepare(Path(file))
            answers = {
                name: {channel: float(number) for channel, number in method(table).items()}
                for name, method in methods.items()
            }
            found = {"package": package, "version": version(package), "answers": answers}
        else:
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
