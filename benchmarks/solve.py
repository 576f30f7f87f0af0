"""Solving alone: python -m benchmarks.solve [--full]. What the mathematics cost once the sums are in hand.

Seeded path tables (or events, where there are many games) in files. In one process a case: the sums are made, the
method is solved until everything is warm, then the clock starts. A method is solved into the numbers of its credit;
beside that stands all that `attrib.credit` does, from the file to the table. Questions other than credit without
intervals are asked whole, of journeys whose sums are in memory.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console

import attrib
from attrib.methods.base import Method, cells_of, observe
from attrib.needs import Transitions
from benchmarks.measure import timed
from benchmarks.peak import forget_peak
from benchmarks.record import DATA, Rows, measure, medians, options, save, show

SEED = 5
SHORT, LONG = 0.05, 5.0  # seconds: shorter calls are repeated within a measurement, longer ones measured once


@dataclass(frozen=True, slots=True)
class Case:
    """``paths`` distinct paths over ``players`` channels (or in all of some games), and what is asked of them.

    ``events``: each path is a customer, as it is where there are several games; else it is a row of a path table.
    """

    players: int
    paths: int
    ask: Method | Callable[[attrib.Journeys], pl.DataFrame]
    games: int = 1
    full: bool = False
    events: bool = False


CASES = {
    "markov(order=1), 12 players": Case(12, 20_000, attrib.Markov(order=1)),
    "markov(order=1), 1,000 players": Case(1_000, 100_000, attrib.Markov(order=1)),
    "markov(order=1), 5,000 players": Case(5_000, 300_000, attrib.Markov(order=1), full=True),
    "markov(order=2), 100 players": Case(100, 100_000, attrib.Markov(order=2)),
    "markov(order=3), 50 players": Case(50, 1_000_000, attrib.Markov(order=3), full=True),
    "markov(order=3), 100 players": Case(100, 2_000_000, attrib.Markov(order=3), full=True),
    "markov(order=5), 30 players": Case(30, 200_000, attrib.Markov(order=5), full=True),
    "markov(order=1, renormalise), 100 players": Case(100, 100_000, attrib.Markov(removal="renormalise")),
    "markov(order=1), 12 players, 1,000 replicates": Case(12, 20_000, partial(attrib.credit, methods=attrib.Markov())),
    "markov(order=1), 12 players, customers, 1,000 replicates": Case(
        12, 100_000, partial(attrib.credit, methods=attrib.Markov()), events=True
    ),
    "markov(order=1), 12 players, 1,000,000 rows": Case(12, 1_000_000, attrib.Markov(order=1)),
    "markov(order=1), 10,000 games of 12 players": Case(12, 200_000, attrib.Markov(order=1), games=10_000),
    "shapley(rate), 10,000 games of 12 players": Case(12, 200_000, attrib.Shapley("rate"), games=10_000),
    "shapley(conversions), 1,000 players": Case(1_000, 100_000, attrib.Shapley()),
    "shapley(rate), 24 players": Case(24, 100_000, attrib.Shapley("rate")),
    "shapley(markov), 24 players": Case(24, 100_000, attrib.Shapley("markov")),
    "shapley(rate), 50 players, 1,000 samples": Case(50, 100_000, attrib.Shapley("rate", samples=1_000)),
    "shapley(markov), 50 players, 1,000 samples": Case(50, 100_000, attrib.Shapley("markov", samples=1_000)),
    "interactions(rate), 24 players": Case(24, 100_000, partial(attrib.interactions, intervals=None)),
}


def data(case: Case) -> Path:
    """Folder of the case's table, made once: about five touches a journey, the earlier channels more frequent."""
    kind = "customers" if case.events else "paths"
    folder = DATA / f"{kind}-{case.players}-{case.paths}-{case.games}-seed-{SEED}"
    if (folder / "done").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(SEED)
    lengths = 1 + random.poisson(4, case.paths)
    codes = (case.players * random.random(lengths.sum()) ** 2).astype(np.int64)
    names = pl.Series([f"channel {player}" for player in range(case.players)])
    touches = pl.DataFrame({"row": np.repeat(np.arange(case.paths), lengths), "channel": names[codes]})
    if case.events or case.games > 1:
        _write_events(folder, touches, random.integers(0, case.games, case.paths), random.random(case.paths) < 0.5)
    else:
        paths = touches.group_by("row", maintain_order=True).agg(path=pl.col("channel").str.join(" > "))
        conversions = random.integers(0, 4, case.paths)
        paths.select(
            "path",
            total_conversions=conversions,
            total_conversion_value=conversions * random.random(case.paths),
            total_null=random.integers(0, 20, case.paths),
        ).write_parquet(folder / "paths.parquet")
    (folder / "done").touch()
    return folder


def _write_events(folder: Path, touches: pl.DataFrame, game: Any, converts: Any) -> None:
    """Each row a customer of one market: a touch an hour, and for some a purchase after them."""
    start = datetime(2025, 1, 1)  # noqa: DTZ001 - naive means UTC
    rows = touches.with_columns(
        market=pl.Series(game)[touches["row"]],
        timestamp=start + pl.duration(hours=pl.int_range(pl.len()).over("row")),
    ).rename({"row": "customer_id"})
    rows.write_parquet(folder / "touchpoints.parquet")
    customers = pl.DataFrame({"customer_id": np.arange(len(game)), "market": game}).filter(pl.Series(converts))
    outcomes = customers.with_columns(timestamp=pl.lit(datetime(2025, 2, 1)), outcome=pl.lit("purchase"))  # noqa: DTZ001
    outcomes.write_parquet(folder / "outcomes.parquet")


def journeys(folder: Path) -> attrib.Journeys:
    """Form journeys of a case's table; nothing is read yet."""
    if (folder / "paths.parquet").exists():
        return attrib.Journeys.from_paths(folder / "paths.parquet")
    files = folder / "touchpoints.parquet", folder / "outcomes.parquet"
    return attrib.Journeys.from_events(*files, target="purchase", lookback="60d", by="market")


def whole(case: Case, formed: attrib.Journeys) -> pl.DataFrame:
    """All that is asked, to the table."""
    if isinstance(case.ask, Method):
        return attrib.credit(formed, case.ask, intervals=None)
    return case.ask(formed)


def prepared(case: Case, formed: attrib.Journeys) -> tuple[Callable[[], Any], dict[str, int]]:
    """What is left to do once the sums are in hand; how large the chain is, where there is one."""
    method = case.ask
    if not isinstance(method, Method):
        whole(case, formed)
        return partial(whole, case, formed), {}
    tallies = formed.tallies(method._needs())
    size = {}
    for need in method._needs():
        if isinstance(need, Transitions):
            tally = tallies.get(need)
            states = np.unique(tally.keys >> tally.layout.bits)  # a game and a context each
            size = {"states": len(states), "transitions": len(tally.keys)}
    return partial(observe, method, tallies, cells_of(tallies)), size


def one(case: Case, repeats: int, *, from_file: bool = True) -> dict[str, Any]:
    """Measure one case: solving alone, then from the file to the table."""
    folder = data(case)
    solve, size = prepared(case, journeys(folder))
    solve()
    forget_peak()
    found = timed(solve, 1, warm=True)
    slow = found["wall"][0] > LONG
    if not slow:
        calls = ceil(SHORT / max(found["wall"][0], 1e-6))

        def several() -> None:
            for _ in range(calls):
                solve()

        found = timed(several, repeats)
        found |= {name: [seconds / calls for seconds in found[name]] for name in ("wall", "cpu")}
    found |= size
    if from_file:
        found["from_file"] = timed(lambda: whole(case, journeys(folder)).height, 1 if slow else repeats, warm=slow)
    return found | {"answer": None}


def rows_of(names: list[str], repeats: int) -> Rows:
    """Measure some cases."""
    rows = []
    for name in names:
        case = CASES[name]
        data(case)  # outside the measured process
        found = measure("solve", name, repeats, "and from the file")
        size = {column: found.get(column, "") for column in ("states", "transitions")}
        whole_wall = medians(found["from_file"], digits=4)["wall_s"]
        rows.append({"case": name, **size, **medians(found, digits=6), "from_file_wall_s": whole_wall})
    return rows


def main() -> None:
    """Measure one case (NAME [REPEATS]), or all of them; these are written to solve.csv in benchmarks/results."""
    if sys.argv[1:2] and sys.argv[1] in CASES:
        name, *rest = sys.argv[1:]
        repeats = int(rest[0]) if rest else 3
        print(json.dumps(one(CASES[name], repeats, from_file=len(rest) > 1)))
        return
    parser = options(__doc__)
    parser.add_argument("--full", action="store_true", help="the largest chains too")
    parser.add_argument("--cases", nargs="*", help=argparse.SUPPRESS)
    arguments, console = parser.parse_args(), Console()
    names = [
        name
        for name, case in CASES.items()
        if (arguments.full or not case.full) and (not arguments.cases or any(part in name for part in arguments.cases))
    ]
    console.print(f"measuring solving alone, {len(names)} cases …")
    rows = rows_of(names, arguments.repeats)
    show(console, "solving, the sums in hand, medians", rows)
    save(rows, arguments.out / "solve.csv", seed=SEED)


if __name__ == "__main__":
    main()
