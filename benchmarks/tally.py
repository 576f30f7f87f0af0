"""Tallies: python -m benchmarks.tally. What each kind of sum costs a touch, from journeys that are in memory already.

One thread. Cutting events into journeys stands beside them: end to end both are done once for all methods asked for,
and transitions of the highest order give the lower ones.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.data import events
from benchmarks.measure import all_methods, read, timed
from benchmarks.record import Rows, measure, medians, run_sizes

CASES = (
    "journeys from events", "linear", "six rules", "transitions of order 1", "transitions of order 3", "player sets",
    "paths", "all of ten methods", "all of ten methods, by resampling unit",
)  # fmt: skip


def needs_of(case: str) -> list[Any]:
    """Return what a case sums."""
    import attrib
    from attrib.needs import PATH, PLAYER_SET, Patterns, Totals, Touches, Transitions

    every = [Totals(), Touches(), *(need for method in all_methods() for need in method._needs())]
    found: dict[str, list[Any]] = {
        "linear": list(attrib.Linear()._needs()),
        "six rules": [need for method in all_methods()[:6] for need in method._needs()],
        "transitions of order 1": [Transitions(1)],
        "transitions of order 3": [Transitions(3)],
        "player sets": [Patterns(PLAYER_SET)],
        "paths": [Patterns(PATH)],
    }
    # transitions of the highest order give the lower ones
    rest = [need for need in every if not isinstance(need, Transitions)]
    return found.get(case) or [*dict.fromkeys(rest), Transitions(3)]


def walk(reader: Any, parts: list[Any], needs: list[Any], *, units: bool) -> dict[Any, Any]:
    """Sum the needs over all journeys: need → tally."""
    from attrib.summing import RunningSums
    from attrib.tally import merge

    sums = RunningSums(needs, units=units)
    players, games, exponent = reader.n_player_codes, reader.n_games, reader.plan().exponent
    found: dict[Any, list[Any]] = {need: [] for need in needs}
    for _events, ragged in parts:
        for tally in sums.add(ragged, players=players, games=games, exponent=exponent):
            found[tally.need].append(tally)
    for tally in sums.take():
        found[tally.need].append(tally)
    return {need: merge(tallies) for need, tallies in found.items()}


def check(found: dict[Any, Any], converted: int) -> None:
    """A time counts only if every tally has all conversions."""
    from attrib.kernels.codes import CONVERSION
    from attrib.needs import Totals, Touches, Transitions

    for need, tally in found.items():
        if isinstance(need, (Totals, Touches)):
            continue  # conversions of no touch too, or none at all
        ends = tally.player(need.order) == CONVERSION if isinstance(need, Transitions) else slice(None)
        total = tally.column("count" if isinstance(need, Transitions) else "conversions")[ends].sum()
        if not abs(total - converted) <= 1e-9 * converted:
            raise SystemExit(f"{need} has {total:,} conversions, the journeys have {converted:,}")


def one(case: str, folder: Path, repeats: int) -> dict[str, Any]:
    """Measure one case."""
    from attrib.engines.base import Memory

    journeys = read(folder)
    reader, parts = journeys.engine.journeys(journeys._recipe, Memory())
    touches = sum(len(part.t_time) for part, _ in parts)
    task: Callable[[], Any]
    if case == "journeys from events":
        plan = reader.plan()

        def task() -> int:
            return sum(len(reader.cut(part, plan).ragged.offsets) - 1 for part, _ in parts)

    else:
        needs = needs_of(case)
        task = partial(walk, reader, parts, needs, units=case.endswith("unit"))
        attributed = [ragged.conversions[ragged.offsets[1:] > ragged.offsets[:-1]].sum() for _, ragged in parts]
        check(task(), int(sum(attributed)))
    return timed(task, repeats) | {"answer": None, "touches": touches}


def rows_of(size: int, *, repeats: int) -> Rows:
    """Measure all cases on ordered events of one size."""
    folder = events(size)
    rows = []
    for case in CASES:
        found = measure("tally", "one", case, folder, repeats)
        exact = medians(found, digits=6)["cpu_s"]
        nanoseconds = {"cpu_ns_per_touch": round(exact / found["touches"] * 1e9, 2)}
        rows.append({"touchpoints": size, "case": case, **medians(found, digits=4), **nanoseconds})
    return rows


def main() -> None:
    """Measure, print, and write tally.csv into benchmarks/results."""
    if sys.argv[1:2] == ["one"]:
        print(json.dumps(one(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))))
        return
    title = "journeys in memory to tallies, one thread, medians"
    run_sizes(__doc__, "tally", title, lambda size, _kind, repeats: rows_of(size, repeats=repeats), repeats=5)


if __name__ == "__main__":
    main()
