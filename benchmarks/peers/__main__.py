"""make bench-peers: from data in memory to credit, attrib and other packages in turn on the same machine.

Two tasks: a path table of one journey a row, and an event log of the same journeys in shuffled rows. Each method of
each package runs in a process of its own, in turn with the others, after a round on a small file. On that small file
each answer is first compared with ours of the path table: a time counts only if the answer agrees, or differs in the
way that ``expected.json`` keeps (``--overwrite-expected`` writes it anew).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from rich.console import Console

from benchmarks.record import DATA, RESULTS, ROOT, Rows, run, save, show

HERE = Path(__file__).parent
EXPECTED = HERE / "expected.json"
PEERS = ROOT.parent / ".peers" / "bin" / "python"
SEED = 7
CHANNELS = 10
METHODS = {  # by task
    "path table": ("markov", "shapley", "last_touch"),
    "event log": ("markov", "markov_groupby"),
}
AGREES = 1e-9  # of shares; two linear solvers differ in the last digits
DIFFERENT = {
    ("mta", "markov"): "differs: sums over the observed rows only",
    ("marketing-attribution-models", "shapley"): "differs: of a journey's last four channels by the alphabet",
    ("ChannelAttribution", "markov"): "differs: simulated",
    ("ChannelAttribution", "markov_groupby"): "differs: simulated",
}
PARTLY = {("marketing-attribution-models", "markov"): "removal effects agree; credit is shared out again by journey"}
Shares = dict[str, float]
Numbers = npt.NDArray[np.int64]


def drawn(random: np.random.Generator, journeys: int) -> tuple[Numbers, Numbers, Numbers]:
    """Draw touches a journey, channel of each touch (the earlier ones more frequent), 1 for three in ten, which win."""
    lengths = 1 + random.poisson(4, journeys)
    codes = (CHANNELS * random.random(lengths.sum()) ** 2).astype(np.int64)
    return lengths, codes, (random.random(journeys) < 0.3).astype(np.int64)


def channels(codes: Numbers) -> pl.Series:
    """Names of channels."""
    return pl.Series("channel", np.char.add("channel ", np.arange(CHANNELS).astype(str))[codes])


def path_table(journeys: int) -> Path:
    """Path table of one journey a row; made once."""
    file = DATA / f"paths-{journeys}-seed-{SEED}.csv"
    if not file.exists():
        lengths, codes, converts = drawn(np.random.default_rng(SEED), journeys)
        touches = pl.DataFrame({"journey": np.repeat(np.arange(journeys), lengths), "name": channels(codes)})
        paths = touches.group_by("journey", maintain_order=True).agg(path=pl.col("name").str.join(" > "))
        file.parent.mkdir(parents=True, exist_ok=True)
        paths.select("path", total_conversions=converts, total_null=1 - converts).write_csv(file)
    return file


def event_log(journeys: int) -> Path:
    """Event log of the same journeys, so that every answer is that of the path table; made once.

    A customer's journeys end with the first that does not convert. The last touch of one that does bears the flag;
    times are whole seconds since 1970, one to twelve hours apart; rows are shuffled.
    """
    file = DATA / f"events-{journeys}-seed-{SEED}.csv"
    if not file.exists():
        random = np.random.default_rng(SEED)
        lengths, codes, converts = drawn(random, journeys)
        customers = np.repeat(np.cumsum(1 - converts) - (1 - converts), lengths)
        flags = np.zeros(len(codes), np.int64)
        flags[np.cumsum(lengths) - 1] = converts
        _, firsts = np.unique(customers, return_index=True)
        passed = np.cumsum(random.integers(3_600, 12 * 3_600, len(codes)))
        begins = 1_700_000_000 + random.integers(0, 365 * 86_400, len(firsts))
        times = passed - passed[firsts][customers] + begins[customers]
        ids = random.permutation(len(firsts))[customers]
        events = pl.DataFrame({"customer": ids, "time": times, "channel": channels(codes), "converted": flags})
        file.parent.mkdir(parents=True, exist_ok=True)
        events[random.permutation(len(codes))].write_csv(file)
    return file


FILES = {"path table": path_table, "event log": event_log}


def pythons() -> dict[str, Path]:
    """Return the Python that runs each adapter, ours first; what is not installed is left out."""
    found = {"attrib": Path(sys.executable)}
    if PEERS.exists():
        names = ("do_attribution", "mta", "shapley_attribution", "marketing_attribution_models")
        found |= dict.fromkeys(names, PEERS)
    if "CHANNELATTRIBUTION" in os.environ:  # GPL: only where the user has put it (see its adapter)
        found["channelattribution"] = Path(os.environ["CHANNELATTRIBUTION"])
    return found


def ask(peer: str, python: Path, *arguments: object) -> dict[str, Any]:
    """Run an adapter."""
    path = [str(ROOT.parent / "tests" / "peers"), str(ROOT.parent)]
    if peer == "attrib":
        path += filter(None, [os.environ.get("PYTHONPATH")])
    env = os.environ | {"PYTHONPATH": os.pathsep.join(path)}
    return run([str(python), "-W", "ignore", str(HERE / f"run_{peer}.py"), *map(str, arguments)], env)


def shares(credit: Mapping[str, float]) -> Shares:
    """Credit as shares of its sum."""
    total = sum(credit.values())
    return {channel: number / total for channel, number in credit.items()}


def distance(found: Shares, wanted: Shares) -> float:
    """Return the largest difference of a channel's share; a channel left out has nothing."""
    return max(abs(found.get(channel, 0.0) - wanted.get(channel, 0.0)) for channel in found.keys() | wanted.keys())


def judge(package: str, method: str, found: Shares, ours: Shares, expected: Mapping[str, Any]) -> str:
    """Say whether an answer agrees, or differs as it is known to; any other answer ends the run."""
    apart = distance(found, ours)
    note = DIFFERENT.get((package, method))
    if note is None:
        if apart > AGREES:
            raise SystemExit(f"{package}, {method}: shares differ from ours by up to {apart:.3g}")
        return PARTLY.get((package, method), "agrees")
    if "simulated" in note:  # other numbers every time
        if apart > 0.03:
            raise SystemExit(f"{package}, {method}: shares differ from ours by up to {apart:.3g}, more than its noise")
    elif apart <= AGREES or distance(found, expected[package][method]) > AGREES:
        raise SystemExit(f"{package}, {method}: no longer differs from ours as it did (see {EXPECTED.name})")
    return f"{note}, by up to {100 * apart:.1f} points"


def check(overwrite: bool = False) -> dict[str, dict[str, Any]]:  # noqa: FBT001, FBT002 - a flag of the command
    """Compare all answers on small files: peer → package, version, and by task what is to be said of each method.

    Both files hold the same journeys, so all answers, ours from events too, are compared with ours of the path table.
    """
    names = {
        (peer, task): ask(peer, python, "check", task, file(500))
        for peer, python in pythons().items()
        for task, file in FILES.items()
    }
    ours = {method: shares(credit) for method, credit in names["attrib", "path table"]["answers"].items()}
    if overwrite:
        kept = {
            found["package"]: {
                method: shares(credit)
                for method, credit in found["answers"].items()
                if "simulated" not in DIFFERENT.get((found["package"], method), "simulated")
            }
            for (_, task), found in names.items()
            if task == "path table"
        }
        text = json.dumps({package: answers for package, answers in kept.items() if answers}, indent=2)
        EXPECTED.write_text(text + "\n", encoding="utf-8")
    expected = json.loads(EXPECTED.read_text(encoding="utf-8"))
    known: dict[str, dict[str, Any]] = {}
    for (peer, task), found in names.items():
        package = found["package"]
        said = known.setdefault(peer, {"package": package, "version": found["version"], "answers": {}})
        said["answers"][task] = {
            method: judge(package, method, shares(credit), ours[method.removesuffix("_groupby")], expected)
            for method, credit in found["answers"].items()
        }
    return known


def compare(task: str, journeys: int, known: Mapping[str, Mapping[str, Any]], rounds: int, repeats: int) -> Rows:
    """Time all methods on one file, the packages in turn."""
    small, large, runs = FILES[task](500), FILES[task](journeys), pythons()
    rows: Rows = []
    for method in METHODS[task]:
        able = [peer for peer, said in known.items() if method in said["answers"][task]]
        if method == "markov_groupby" and able == ["attrib"]:  # only there to stand beside ChannelAttribution
            continue
        found: dict[str, list[dict[str, Any]]] = {peer: [] for peer in able}
        for _ in range(rounds):
            for peer in able:
                found[peer].append(ask(peer, runs[peer], "time", task, small, large, method, repeats))
        cpu = {peer: median(second for one in done for second in one["cpu"]) for peer, done in found.items()}
        wall = {peer: median(second for one in done for second in one["wall"]) for peer, done in found.items()}
        rows += [
            {
                "task": task,
                "journeys": journeys,
                "channels": CHANNELS,
                "method": method,
                "package": known[peer]["package"],
                "version": known[peer]["version"],
                "answers": known[peer]["answers"][task][method],
                "wall_s": round(wall[peer], 4),
                "cpu_s": round(cpu[peer], 4),
                "cpu_ratio_to_attrib": round(cpu[peer] / cpu["attrib"], 2),
                "peak_gb": round(max(one["peak_gb"] for one in found[peer]), 3),
                "runs": rounds * repeats,
            }
            for peer in able
        ]
    return rows


def main() -> None:
    """Check, measure, print, and write peers.csv into benchmarks/results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--journeys", nargs="*", type=float, default=[1e5])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--overwrite-expected", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    console = Console()
    known = check(arguments.overwrite_expected)
    rows: Rows = []
    for journeys in map(int, arguments.journeys):
        for task in METHODS:
            console.print(f"measuring {task}, {journeys:,} journeys …")
            rows += compare(task, journeys, known, arguments.rounds, arguments.repeats)
    show(console, "from a table or log in memory to credit, medians", rows)
    save(rows, arguments.out / "peers.csv", seed=SEED)


if __name__ == "__main__":
    main()
