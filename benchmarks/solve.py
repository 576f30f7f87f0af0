"""Solving alone, with the sums in hand: python -m benchmarks.solve NAME [REPEATS].

Seeded path tables; the sums are made before the clock starts. Prints one JSON line like ``measure``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl

import attrib
from benchmarks.peak import peak_gb

SEED = 5


@dataclass(frozen=True, slots=True)
class Case:
    """A path table and what is computed on it: ``paths`` distinct paths over ``players`` channels."""

    players: int
    paths: int
    solve: Callable[[attrib.Journeys], pl.DataFrame]


def credit(method: attrib.methods.Method) -> Callable[[attrib.Journeys], pl.DataFrame]:
    """Credit without intervals."""
    return partial(attrib.credit, methods=method, intervals=None)


CASES = {
    "markov(order=1), 12 players": Case(12, 20_000, credit(attrib.Markov(order=1))),
    "markov(order=1), 1,000 players": Case(1_000, 100_000, credit(attrib.Markov(order=1))),
    "markov(order=2), 100 players": Case(100, 100_000, credit(attrib.Markov(order=2))),
    "markov(order=1, renormalise), 100 players": Case(100, 100_000, credit(attrib.Markov(removal="renormalise"))),
    "markov(order=1), 12 players, 1,000 replicates": Case(12, 20_000, partial(attrib.credit, methods=attrib.Markov())),
    "shapley(conversions), 1,000 players": Case(1_000, 100_000, credit(attrib.Shapley())),
    "shapley(rate), 24 players": Case(24, 100_000, credit(attrib.Shapley("rate"))),
    "shapley(markov), 24 players": Case(24, 100_000, credit(attrib.Shapley("markov"))),
    "shapley(rate), 50 players, 1,000 samples": Case(50, 100_000, credit(attrib.Shapley("rate", samples=1_000))),
    "shapley(markov), 50 players, 1,000 samples": Case(50, 100_000, credit(attrib.Shapley("markov", samples=1_000))),
    "interactions(rate), 24 players": Case(24, 100_000, partial(attrib.interactions, intervals=None)),
}


def journeys(players: int, paths: int) -> attrib.Journeys:
    """Form journeys of about five touches, with the earlier channels more frequent."""
    random = np.random.default_rng(SEED)
    lengths = 1 + random.poisson(4, paths)
    codes = (players * random.random(lengths.sum()) ** 2).astype(np.int64)
    names = np.char.add("channel ", np.arange(players).astype(str))[codes]
    flat = pl.DataFrame({"path": np.repeat(np.arange(paths), lengths), "name": names})
    texts = flat.group_by("path", maintain_order=True).agg(pl.col("name").str.join(" > "))["name"]
    conversions = random.integers(0, 4, paths)
    return attrib.Journeys.from_paths(
        pl.DataFrame(
            {
                "path": texts,
                "total_conversions": conversions,
                "total_conversion_value": conversions * random.random(paths),
                "total_null": random.integers(0, 20, paths),
            }
        )
    )


def main() -> None:
    """Measure one case."""
    case, repeats = CASES[sys.argv[1]], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    formed = journeys(case.players, case.paths)
    case.solve(formed)  # sums, compilation
    wall, cpu = [], []
    for _ in range(repeats):
        before, processor = time.perf_counter(), time.process_time()
        case.solve(formed)
        wall.append(time.perf_counter() - before)
        cpu.append(time.process_time() - processor)
    print(json.dumps({"wall": wall, "cpu": cpu, "peak_gb": peak_gb()}))


if __name__ == "__main__":
    main()
