"""Truth by replay: python -m benchmarks.replay. All 1,024 worlds of ten channels, for so many simulated customers."""

from __future__ import annotations

import json
import sys
from typing import Any, Literal

from rich.console import Console

from benchmarks.measure import timed
from benchmarks.peak import forget_peak
from benchmarks.record import SEED, Rows, measure, medians, options, save, show

LEFT_OUT = ("affiliate", "app")  # of the twelve channels of the usual market
CASES: dict[str, Literal["channel", "stage_channel"]] = {
    "channels, all 1,024 worlds": "channel",
    "stages and channels, orders sampled": "stage_channel",
}


def one(case: str, customers: int, repeats: int) -> dict[str, Any]:
    """Measure one case; the answer is the number of lives simulated."""
    from attrib import synth

    population = synth.Population(channels=tuple(one for one in synth.CHANNELS if one.name not in LEFT_OUT))

    def ask(customers: int) -> synth.Counterfactual:
        return synth.counterfactual(customers, SEED, population=population, players=CASES[case])

    ask(100)
    forget_peak()
    took = timed(lambda: ask(customers), repeats, warm=True)
    found: synth.Counterfactual = took["answer"]
    seen = synth.generate(customers, SEED, population=population).outcomes.filter(outcome="purchase").height
    credit = found.outcome.shapley["conversions"].sum()
    if abs(credit - seen) > 1e-9 * seen:
        raise SystemExit(f"{case}: credit of {credit} for {seen} purchases")
    return took | {"answer": found.worlds}


def rows_of(customers: int, repeats: int) -> Rows:
    """Measure all cases."""
    rows = []
    for case in CASES:
        found = measure("replay", "one", case, customers, repeats)
        rows.append({"case": case, "customers": customers, "lives": found["answer"], **medians(found)})
    return rows


def main() -> None:
    """Measure, print, and write replay.csv into benchmarks/results."""
    if sys.argv[1:2] == ["one"]:
        case, customers, repeats = sys.argv[2:]
        print(json.dumps(one(case, int(customers), int(repeats))))
        return
    parser = options(__doc__)
    parser.set_defaults(repeats=1)
    parser.add_argument("--customers", nargs="+", type=float, default=[1e5])
    arguments, console = parser.parse_args(), Console()
    rows = [row for size in arguments.customers for row in rows_of(int(size), arguments.repeats)]
    show(console, "truth by replay, medians", rows)
    save(rows, arguments.out / "replay.csv", seed=SEED)


if __name__ == "__main__":
    main()
