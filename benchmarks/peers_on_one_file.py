"""What other packages print on one path file, beside ours: writes peers.csv into an experiment's folder.

    python -m benchmarks.peers_on_one_file [FOLDER]

Each package runs in an environment of its own (``make peers``; ChannelAttribution where the variable CHANNELATTRIBUTION
names a Python that has it). An answer agrees, or its difference has a cause that is known here; any other ends the run.
Then ``attrib experiment FOLDER`` shows the table on the page.
"""

from __future__ import annotations

import argparse
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

import attrib
from benchmarks.peers.__main__ import AGREES, PEERS, Shares, distance, shares
from benchmarks.record import ROOT, run

FOLDER = ROOT.parent / "experiments" / "peers-on-one-file"
PATHS, TABLE = "paths.csv", "peers.csv"
HERE, TESTS = ROOT / "peers", ROOT.parent / "tests" / "peers"
METHODS: dict[str, attrib.Method] = {
    "first_touch": attrib.FirstTouch(), "last_touch": attrib.LastTouch(), "linear": attrib.Linear(),
    "position 40/40": attrib.PositionBased(), "markov 1": attrib.Markov(1), "markov 2": attrib.Markov(2),
    "markov 3": attrib.Markov(3), "shapley": attrib.Shapley(), "shao": attrib.ShaoLi(),
}  # fmt: skip
ADAPTERS = {
    "do-attribution 0.0.2": HERE / "print_do_attribution.py",
    "mta 0.0.9": TESTS / "run_mta.py",
    "shapley-attribution 2.1.0": TESTS / "run_shapley_attribution.py",
    "marketing-attribution-models 2.1.1": HERE / "print_marketing_attribution_models.py",
    "ChannelAttribution 2.2.5": HERE / "print_channelattribution.py",
}
AS_IT_COMES = " as it comes"
SIMULATED = "removal effects are simulated, ours are solved"
FAILS = "all conversions with the channel fail, and no others: the chain no longer matters"
WHY = {  # by package, and method or its beginning
    ("do-attribution 0.0.2", "markov 1 as it comes"): FAILS,
    ("do-attribution 0.0.2", "markov 2 as it comes"): FAILS,
    ("do-attribution 0.0.2", "markov 3 as it comes"): FAILS,
    ("mta 0.0.9", "markov"): "sums over the paths of the file; the chain takes others, too",
    ("marketing-attribution-models 2.1.1", "markov 1"): "our removal effects, shared out again within each journey",
    ("marketing-attribution-models 2.1.1", "shapley"): "of each journey only the last four channels by the alphabet",
    ("ChannelAttribution 2.2.5", "markov 1"): SIMULATED,
    ("ChannelAttribution 2.2.5", "markov 2"): SIMULATED,
    ("ChannelAttribution 2.2.5", "markov 3"): SIMULATED,
}


def write_paths(file: Path) -> None:
    """Write the path file: generated customers, always the same."""
    data = attrib.synth.generate(1500, seed=2018, scenario="synergy")
    attrib.Journeys.from_events(data.touchpoints, data.outcomes, lookback="14d").to_paths().write_csv(file)


def ours(file: Path) -> dict[str, Shares]:
    """Shares of the credit that channels got, by method."""
    journeys = attrib.Journeys.from_paths(file)
    found = {name: method.credit(journeys).filter(kind="player") for name, method in METHODS.items()}
    return {name: shares(dict(table.select("channel", "conversions").iter_rows())) for name, table in found.items()}


def theirs(file: Path) -> dict[str, dict[str, Shares]]:
    """The same, as the packages print it: by package and method."""
    found = {}
    for package, adapter in ADAPTERS.items():
        simulated = package.startswith("ChannelAttribution")
        python = os.environ.get("CHANNELATTRIBUTION") if simulated else PEERS
        if python is None or not Path(python).exists():
            continue
        env = os.environ | {"PYTHONPATH": str(TESTS)}
        (answers,) = run([str(python), "-W", "ignore", str(adapter), str(file)], env).values()
        found[package] = {method: shares(credit) for method, credit in answers.items()}
    return found


def judge(package: str, method: str, found: Shares, wanted: Shares) -> str:
    """Say why an answer differs, if it does."""
    apart = distance(found, wanted)
    if apart <= AGREES:
        return "the same"
    if (package, method) not in WHY:
        raise SystemExit(f"{package}, {method}: differs from ours by up to {100 * apart:.3g} points, nobody knows why")
    return WHY[package, method]


def table(own: dict[str, Shares], others: dict[str, dict[str, Shares]]) -> pl.DataFrame:
    """One row a method and package: the shares in per cent, the largest difference in points, and its cause."""
    channels = sorted({channel for shared in own.values() for channel in shared})

    def row(method: str, package: str, shared: Shares, apart: str, why: str) -> dict[str, Any]:
        numbers = {channel: f"{100 * shared.get(channel, 0.0):.2f}" for channel in channels}
        return {"method": method, "package": package, **numbers, "largest difference": apart, "why": why}

    rows = []
    for name, shared in own.items():
        rows.append(row(name, f"attrib {version('attrib')}", shared, "", ""))
        for package, answers in others.items():
            for method, credit in answers.items():
                same = method.removesuffix(AS_IT_COMES)
                if same == name or (same == "markov" and name == "markov 1"):
                    apart = f"{100 * distance(credit, shared):.2f}"
                    label = package + AS_IT_COMES * method.endswith(AS_IT_COMES)
                    rows.append(row(name, label, credit, apart, judge(package, method, credit, shared)))
    return pl.DataFrame(rows)


def main() -> None:
    """Ask everybody, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    folder, console = parser.parse_args().folder, Console()
    if not (folder / PATHS).exists():
        write_paths(folder / PATHS)
    others = theirs(folder / PATHS)
    for package in ADAPTERS:
        if package not in others:
            console.print(f"{package} is not there: its rows are left out (make bench-peers; see the adapter)")
    table(ours(folder / PATHS), others).write_csv(folder / TABLE)
    console.print(f"wrote {folder / TABLE}; now: attrib experiment {folder}")


if __name__ == "__main__":
    main()
