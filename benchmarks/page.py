"""Write docs/benchmarks.md from the CSV files of the last runs: python -m benchmarks.page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path

from benchmarks.record import RESULTS, ROOT, load

PAGE = ROOT.parent / "docs" / "benchmarks.md"
Row = dict[str, str]
METHODS = {"markov": "Markov chain of order 1", "shapley": "Shapley value, closed form", "last_touch": "Last touch"}

HEAD = """# Benchmarks

Written by `python -m benchmarks.page` from `benchmarks/results/*.csv`, the last runs that were kept; change those, not
this page.

**How to read it.** Times are medians, after a round that loads and compiles. CPU seconds count all threads and are what
to compare, since wall time depends on what else the machine does: where a run was made on a busy machine, the load
average stands beside it. A ratio is of two CPU times of the same run on the same machine, measured in turn; absolute
times differ from machine to machine. Peak memory is that of the whole process, libraries (about 0.2 GB for attrib) and
input included. A time counts only after its answer was checked.
"""

END_TO_END = """From two parquet files to per-stage credit by ten methods (five rules, time decay, Shapley, Markov
chains of order 1 to 3) in five stages, with the credit checked to add up to the conversions. The ratio is to a bare
scan of three columns of the touchpoints: what no program that reads them can go below. With intervals means 1,000
replicates of each.
"""

SOLVING = "A path table whose sums are in hand already: what the mathematics alone costs.\n"

GROWTH = """From two parquet files to per-stage credit (last touch, linear, Shapley, one Markov chain), one size growing
at a time. Cost goes with the power of the size: at exponent 1, ten times the size costs ten times as much. Fixed costs
flatten the lower end, so the exponent of the last step alone stands beside the fitted one.
"""

PEERS = """From a path table in memory, one journey a row, to the credit of one method, every package in its own process
and in turn with the others; paths are cut into channels inside the clock by all of them. The ratio says how many times
the CPU time of attrib a package takes: below 1 it is faster than attrib.

What it does not say: attrib was given no intervals, which no other package has; and it walks a table once for all
methods that are asked for together, while here each method pays for a walk of its own. Where answers differ, they
are answers to another question (the points are percentage points of a channel's share, on a small table), so there the
ratio compares what users get under one name, not one computation.
"""

REPEAT = """## To repeat it

| Command | |
|---|---|
| `make bench` | solving, end to end to 10⁷ touchpoints, growth; minutes |
| `make bench-peers` | other packages, in the environment `.peers`; `ARGS="--journeys 1e5 1e6"` for the larger table |
| `make bench-full` | all of it, to 10⁸ touchpoints; for the night |
| `make bench-gate BASE=main` | is HEAD slower than that revision? |

All data are generated, from the seeds above. ChannelAttribution is under the GPL, so nothing here installs it. To
include it, put it (and matplotlib, which it imports) into an environment of your own:
`make bench-peers CHANNELATTRIBUTION=/path/to/its/bin/python`.
"""


def table(rows: Iterable[Row], columns: dict[str, str | Callable[[Row], str]], texts: int) -> str:
    """Markdown table: heading → column or how to write the cell; all but the first ``texts`` to the right."""
    lines = [list(columns), ["---"] * texts + ["---:"] * (len(columns) - texts)]
    lines += [[row[cell] if isinstance(cell, str) else cell(row) for cell in columns.values()] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def number(column: str) -> Callable[[Row], str]:
    """Write a whole number with its thousands apart."""
    return lambda row: f"{int(row[column]):,}"


def ratio(column: str) -> Callable[[Row], str]:
    """Write a ratio with about three digits."""
    return lambda row: f"{float(row[column]):.0f} ×" if float(row[column]) >= 100 else f"{float(row[column]):.3g} ×"


def section(title: str, machine: str, text: str, *tables: str) -> str:
    """One section under its heading."""
    return "\n".join([f"## {title}", "", text + "\n" + f"*{machine}*", "", *tables])


TIMES: dict[str, str | Callable[[Row], str]] = {"CPU s": "cpu_s", "wall s": "wall_s", "peak GB": "peak_gb"}


def growth(rows: Sequence[Row]) -> list[str]:
    """One summary line an axis, then the points."""
    summary, points = [], []
    for axis, found in groupby(rows, key=lambda row: row["axis"]):
        group = list(found)
        first, last = group[0], group[-1]
        summary.append(last | {"from": f"{int(first[axis]):,}", "to": f"{int(last[axis]):,}"})
        fixed = ", ".join(
            f"{int(first[name]):,} {name}" if name != "order" else f"order {first[name]}"
            for name in ("touchpoints", "channels", "order", "stages")
            if name != axis
        )
        points += [f"{axis.capitalize()} (of {fixed}):\n", table(group, {axis: number(axis), **TIMES}, 0)]
    exponents: dict[str, str | Callable[[Row], str]] = {
        "size": "axis",
        "from": "from",
        "to": "to",
        "exponent of CPU time": "cpu_exponent",
        "of the last step": "cpu_exponent_last_step",
    }
    return [table(summary, exponents, 1), *points]


def lost(rows: Sequence[Row]) -> str:
    """What other packages do with less than attrib, computed from all rows."""
    ours = {(row["journeys"], row["method"]): row for row in rows if row["package"] == "attrib"}
    lines = []
    for row in rows:
        own = ours[row["journeys"], row["method"]]
        less = [
            f"{label} ({row[column]} against {own[column]} {unit})"
            for label, column, unit in (("CPU", "cpu_s", "s"), ("wall", "wall_s", "s"), ("memory", "peak_gb", "GB"))
            if float(row[column]) < float(own[column])
        ]
        if row is not own and less:
            note = "" if row["answers"] == "agrees" else f"; {row['answers']}"
            what = f"{METHODS[row['method']]}, {int(row['journeys']):,} journeys"
            lines.append(f"- {what}: **{row['package']}** takes less {', '.join(less)}{note}.\n")
    said = "Runs that attrib loses, be it by little:\n\n" if lines else "No run of this table is lost.\n"
    return "### Where attrib loses\n\n" + said + "".join(lines)


def peers(rows: Sequence[Row]) -> list[str]:
    """One table a method and size, the runs that are lost at the end."""
    parts = []
    for (journeys, channels, method), found in groupby(
        rows, key=lambda row: (row["journeys"], row["channels"], row["method"])
    ):
        columns: dict[str, str | Callable[[Row], str]] = {
            "package": lambda row: f"{row['package']} {row['version']}",
            "answers": lambda row: "–" if row["package"] == "attrib" else row["answers"],
            "CPU ratio to attrib": ratio("cpu_ratio_to_attrib"),
            **TIMES,
        }
        parts.append(f"### {METHODS[method]}: {int(journeys):,} journeys, {channels} channels\n")
        parts.append(table(found, columns, 2))
    return [*parts, lost(rows)]


def page(results: Path = RESULTS) -> str:
    """Return the text of the page."""
    parts = [HEAD]
    machine, rows = load(results / "latest.csv")
    columns: dict[str, str | Callable[[Row], str]] = {"task": "task", "rows are": "order"}
    columns |= {"touchpoints": number("touchpoints"), "CPU ratio to the scan": ratio("cpu_ratio_to_scan"), **TIMES}
    parts.append(section("End to end", machine, END_TO_END, table(rows, columns, 2)))
    machine, rows = load(results / "solve.csv")
    parts.append(section("Solving alone", machine, SOLVING, table(rows, {"case": "case", **TIMES}, 1)))
    machine, rows = load(results / "growth.csv")
    parts.append(section("How cost grows", machine, GROWTH, *growth(rows)))
    machine, rows = load(results / "peers.csv")
    parts.append(section("Beside other packages", machine, PEERS, *peers(rows)))
    return "\n".join([*parts, REPEAT])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
