"""make bench-gate BASE=rev: HEAD must not be slower than a revision before it.

The sources of both are written beside each other and run a few short cases in turn on this machine, under the same
Python and with the benchmark programs of this checkout; uncommitted changes are not seen. A case fails only if HEAD's
median CPU time is both ``--ratio`` times and ``--seconds`` more than the base's: a short case may double without anyone
noticing, a long one wobbles by more than a tenth of a second.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from benchmarks.data import events
from benchmarks.record import ROOT, Rows, run, show

TREES = ROOT.parent / ".cache" / "gate"
SOLVED = (
    "markov(order=1), 1,000 players",
    "markov(order=2), 100 players",
    "shapley(rate), 24 players",
    "shapley(markov), 24 players",
)


def git(*arguments: str) -> bytes:
    """Run git in this repository."""
    done = subprocess.run(["git", *arguments], cwd=ROOT.parent, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"git {' '.join(arguments)} failed:\n{done.stderr.decode(errors='replace')}")
    return done.stdout


def tree(revision: str) -> Path:
    """Write the sources of a revision into a folder, once a commit; kept with its compiled kernels."""
    commit = git("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}").decode().strip()
    folder = TREES / commit[:12]
    if not (folder / "src").exists():
        with tarfile.open(fileobj=io.BytesIO(git("archive", "--format=tar", commit, "src"))) as archive:
            archive.extractall(folder, filter="data")
    return folder


def cases() -> dict[str, list[str]]:
    """Return the arguments of each case; one of events, the others of solving alone."""
    ordered = events(1_000_000)
    shuffled = events(1_000_000, "shuffled")
    found = {
        "credit, 1,000,000 touchpoints, ordered": ["measure", "credit", str(ordered)],
        "credit, 1,000,000 touchpoints, shuffled": ["measure", "credit", str(shuffled)],
    }
    return found | {name: ["solve", name] for name in SOLVED}


def cpu(folder: Path, case: list[str], repeats: int) -> list[float]:
    """CPU seconds of a case with the package of that folder; its own compiled kernels, since sources differ."""
    env = os.environ | {"PYTHONPATH": str(folder / "src"), "NUMBA_CACHE_DIR": str(folder / ".cache" / "numba")}
    module, *rest = case
    found: dict[str, Any] = run([sys.executable, "-m", f"benchmarks.{module}", *rest, str(repeats)], env)
    return list(found["cpu"])


def slower(base: float, head: float, *, ratio: float, seconds: float) -> bool:
    """Say whether both thresholds are passed.

    Examples
    --------
    >>> slower(1.0, 1.5, ratio=1.3, seconds=0.1)
    True
    >>> slower(0.01, 0.02, ratio=1.3, seconds=0.1), slower(10.0, 10.5, ratio=1.3, seconds=0.1)
    (False, False)
    """
    return head > ratio * base and head - base > seconds


def main() -> None:
    """Measure both; the exit code is 1 if a case became slower."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True, help="revision to compare with")
    parser.add_argument("--head", default="HEAD", help="revision that is judged")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--ratio", type=float, default=1.3)
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--cases", nargs="*", help="only cases whose name contains one of these")
    arguments = parser.parse_args()
    base, head = tree(arguments.base), tree(arguments.head)
    rows: Rows = []
    for name, case in cases().items():
        if arguments.cases and not any(part in name for part in arguments.cases):
            continue
        found: dict[Path, list[float]] = {base: [], head: []}
        for _ in range(arguments.rounds):
            for folder in dict.fromkeys((base, head)):
                found[folder] += cpu(folder, case, arguments.repeats)
        before, after = median(found[base]), median(found[head])
        bad = slower(before, after, ratio=arguments.ratio, seconds=arguments.seconds)
        row = {"case": name, "base_cpu_s": round(before, 4), "head_cpu_s": round(after, 4)}
        rows.append(row | {"ratio": round(after / before, 2), "judgement": "SLOWER" if bad else "fine"})
    if not rows:
        raise SystemExit("no case has such a name")
    show(Console(), f"{base.name} → {head.name}, medians", rows)
    if any(row["judgement"] == "SLOWER" for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
