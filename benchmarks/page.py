"""Write docs/benchmarks.md from the CSV files of the last runs: python -m benchmarks.page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path

from benchmarks import wording
from benchmarks.goals import goals
from benchmarks.record import RESULTS, ROOT, load

PAGE = ROOT.parent / "docs" / "benchmarks.md"
Row = dict[str, str]
Cell = str | Callable[[Row], str]
METHODS = {
    "markov": "Markov chain of order 1",
    "markov_groupby": "Markov chain of order 1, paths by `groupby`",
    "shapley": "Shapley value, closed form",
    "last_touch": "Last touch",
}
MACHINES, CLUSTERS = (2, 8, 16), (16, 64, 256)  # cores, of the comparison that is worked out


def table(rows: Iterable[Row], columns: dict[str, Cell], texts: int) -> str:
    """Markdown table: heading → column or how to write the cell; all but the first ``texts`` to the right."""
    lines = [list(columns), ["---"] * texts + ["---:"] * (len(columns) - texts)]
    lines += [
        [row.get(cell) or "–" if isinstance(cell, str) else cell(row) for cell in columns.values()] for row in rows
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def number(column: str) -> Callable[[Row], str]:
    """Write a whole number with its thousands apart."""
    return lambda row: f"{int(row[column]):,}" if row.get(column) else "–"


def ratio(column: str) -> Callable[[Row], str]:
    """Write a ratio with about three digits."""
    return lambda row: f"{float(row[column]):.0f} ×" if float(row[column]) >= 100 else f"{float(row[column]):.3g} ×"


def seconds(column: str) -> Callable[[Row], str]:
    """Write seconds with about three digits, short ones in milliseconds."""

    def cell(row: Row) -> str:
        if not row.get(column):
            return "–"
        time = float(row[column])
        return f"{1000 * time:.3g} ms" if time < 0.1 else f"{time:.3g} s"

    return cell


def section(title: str, machine: str, text: str, *tables: str) -> str:
    """One section under its heading."""
    return "\n".join([f"## {title}", "", text + "\n" + f"*{machine}*", "", *tables])


TIMES: dict[str, Cell] = {"CPU s": "cpu_s", "wall s": "wall_s", "peak GB": "peak_gb"}
EVENTS: dict[str, Cell] = {"rows are": "order", "touchpoints": number("touchpoints")}
PER_TOUCH: dict[str, Cell] = {"CPU ns a touch": "cpu_ns_per_touch"}


def reached(results: dict[str, Sequence[Row]]) -> str:
    """All goals beside what was measured."""
    found = goals(results)
    rows = [{"goal": g.what, "wanted": g.wanted, "measured": g.found, "so": g.judgement} for g in found]
    yes, no = (sum(goal.reached is said for goal in found) for said in (True, False))
    count = f"Of {len(found)} goals {yes} are reached, {no} are not, {len(found) - yes - no} were not measured.\n"
    columns: dict[str, Cell] = {"goal": "goal", "wanted": "wanted", "measured": "measured", "": "so"}
    return "\n".join(["## Goals and what we reach", "", wording.GOALS, count, table(rows, columns, 1)])


def end_to_end(rows: Sequence[Row]) -> list[str]:
    """What each task costs."""
    columns: dict[str, Cell] = {"task": "task", **EVENTS, "CPU ratio to the scan": ratio("cpu_ratio_to_scan"), **TIMES}
    return [table(rows, columns | {"sums differ by": "sums_differ_by"}, 2)]


def profile(rows: Sequence[Row]) -> list[str]:
    """Steps of the largest size by how rows are, then the largest parts."""
    largest = max((int(row["touchpoints"]) for row in rows), default=0)
    some = [row for row in rows if int(row["touchpoints"]) == largest]
    kinds = list(dict.fromkeys(row["order"] for row in some))

    def cell(of: str, name: str, kind: str) -> str:
        found = [row for row in some if row[of] == name and row["order"] == kind]
        if not found:
            return "–"
        time, share = (sum(float(row[column]) for row in found) for column in ("cpu_ns_per_touch", "cpu_percent"))
        return f"{time:.1f} ({share:.0f} %)"

    def by(of: str, names: Iterable[str]) -> str:
        written = [{of: name} | {kind: cell(of, name, kind) for kind in kinds} for name in names]
        return table(written, {of: of} | dict(zip(kinds, kinds, strict=True)), 1)

    parts = dict.fromkeys(row["part"] for row in some if float(row["cpu_percent"]) >= 3)
    steps = by("step", dict.fromkeys(row["step"] for row in some))
    intro = f"CPU in ns a touch, and its part of all, of {largest:,} touchpoints; "
    return [f"{intro}rows are …\n", steps, "Functions and kernels that take 3 % or more:\n", by("part", parts)]


def ingest(rows: Sequence[Row]) -> list[str]:
    """Ingest beside the scan."""
    columns: dict[str, Cell] = {"task": "task", **EVENTS, **PER_TOUCH, "ratio to the scan": ratio("cpu_ratio_to_scan")}
    return [table(rows, columns | TIMES, 2)]


def inputs(rows: Sequence[Row]) -> list[str]:
    """One row a form of the files."""
    return [table(rows, {"files": "case", **EVENTS, "GB on disk": "gb", **TIMES}, 1)]


def tally(rows: Sequence[Row]) -> list[str]:
    """Cost of each kind of sum."""
    columns: dict[str, Cell] = {"summed": "case", "touchpoints": number("touchpoints"), **PER_TOUCH}
    return [table(rows, columns | TIMES, 1)]


def solving(rows: Sequence[Row]) -> list[str]:
    """Each case, alone and from its file."""
    columns: dict[str, Cell] = {
        "case": "case", "states": number("states"), "transitions": number("transitions"), "wall": seconds("wall_s"),
        "CPU": seconds("cpu_s"), "peak GB": "peak_gb", "from file to table, wall": seconds("from_file_wall_s"),
    }  # fmt: skip
    return [table(rows, columns, 1)]


def memory(rows: Sequence[Row]) -> list[str]:
    """Peaks by limit."""
    return [table(rows, {"rows are": "order", "memory limit": "memory_limit", **EVENTS, **TIMES}, 2)]


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
    exponents: dict[str, Cell] = {
        "size": "axis",
        "from": "from",
        "to": "to",
        "exponent of CPU time": "cpu_exponent",
        "of the last step": "cpu_exponent_last_step",
    }
    return [table(summary, exponents, 1), *points]


def start_up(rows: Sequence[Row]) -> list[str]:
    """Cost of a process."""
    return [
        table(rows, {"process": lambda row: f"`{row['case']}`", "wall": seconds("wall_s"), "CPU": seconds("cpu_s")}, 1)
    ]


def scoring(rows: Sequence[Row]) -> list[str]:
    """Models, then snapshots."""
    models, snapshots = ([row for row in rows if (row["case"] == "snapshot") == is_one] for is_one in (False, True))
    columns: dict[str, Cell] = {"model": "case", "customers": number("size"), **TIMES}
    made: dict[str, Cell] = {"of touchpoints": number("size"), "customers described": number("rows"), **TIMES}
    return [table(models, columns, 1), "The snapshot at one date, from two parquet files:\n", table(snapshots, made, 0)]


def replay(rows: Sequence[Row]) -> list[str]:
    """One row a game."""
    columns: dict[str, Cell] = {"players": "case", "customers": number("customers"), "lives simulated": number("lives")}
    return [table(rows, columns | TIMES, 1)]


def engines(rows: Sequence[Row]) -> list[str]:
    """Two engines on one machine, and what follows for a cluster."""
    columns: dict[str, Cell] = {
        "engine": "engine", "touchpoints": number("touchpoints"), "ready s": "ready_s",
        "first run, wall s": "first_wall_s", "CPU s": "cpu_s", "wall s": "wall_s",
        "peak GB, ours or driver": "driver_gb", "Java": "java_gb", "a worker": "worker_gb",
    }  # fmt: skip
    return [table(rows, columns, 1), *where_spark_pays(rows)]


def where_spark_pays(rows: Sequence[Row]) -> list[str]:
    """Work out from the two largest sizes from where on Spark on more cores is done first."""
    points: dict[str, list[tuple[int, float, float]]] = {}
    for row in rows:
        points.setdefault(row["engine"], []).append(
            (int(row["touchpoints"]), float(row["cpu_s"]), float(row["wall_s"]))
        )
    own, theirs = (sorted(points.get(name, ()))[-2:] for name in ("local", "Spark local[2]"))
    if len(own) < 2 or len(theirs) < 2:
        return ["To work out where Spark starts to pay, both engines must have been measured at two sizes.\n"]
    local, spark = ((cpu2 - cpu1) / (n2 - n1) for (n1, cpu1, _), (n2, cpu2, _) in (own, theirs))
    n, _, wall = theirs[0]
    fixed = max(0.0, wall - spark * n / 2)
    if local <= 0 or spark <= 0:
        return ["These times do not grow with the touchpoints: too small, or too disturbed to work anything out.\n"]

    def level(machine: int, cluster: int) -> str:
        gain = local / machine - spark / cluster
        if gain <= 0:
            return "never"
        touches = fixed / gain
        return f"{float(f'{touches:.2g}'):,.0f}"

    written = [
        {"": f"one machine of {machine} cores"} | {f"{cluster} cores": level(machine, cluster) for cluster in CLUSTERS}
        for machine in MACHINES
    ]
    heads = {"": "", **{f"{cluster} cores": f"{cluster} cores" for cluster in CLUSTERS}}
    said = wording.SPARK.format(
        local=1e6 * local, spark=1e6 * spark, times=spark / local, fixed=fixed, small=theirs[0][0], large=theirs[1][0]
    )
    return [said, table(written, dict(heads), 1)]


def lost(rows: Sequence[Row]) -> str:
    """What other packages do with less than attrib, computed from all rows."""
    ours = {(row["task"], row["journeys"], row["method"]): row for row in rows if row["package"] == "attrib"}
    lines = []
    for row in rows:
        own = ours[row["task"], row["journeys"], row["method"]]
        less = [
            f"{label} ({row[column]} against {own[column]} {unit})"
            for label, column, unit in (("CPU", "cpu_s", "s"), ("wall", "wall_s", "s"), ("memory", "peak_gb", "GB"))
            if float(row[column]) < float(own[column])
        ]
        if row is not own and less:
            note = "" if row["answers"] == "agrees" else f"; {row['answers']}"
            what = f"{row['task'].capitalize()}, {METHODS[row['method']]}, {int(row['journeys']):,} journeys"
            lines.append(f"- {what}: **{row['package']}** takes less {', '.join(less)}{note}.\n")
    said = "Runs that attrib loses, be it by little:\n\n" if lines else "No run of this table is lost.\n"
    return "### Where attrib loses\n\n" + said + "".join(lines)


def peers(rows: Sequence[Row]) -> list[str]:
    """One table a task, size and method, the runs that are lost at the end."""
    parts = []
    for (task, journeys, channels, method), found in groupby(
        rows, key=lambda row: (row["task"], row["journeys"], row["channels"], row["method"])
    ):
        columns: dict[str, Cell] = {
            "package": lambda row: f"{row['package']} {row['version']}",
            "answers": lambda row: "–" if row["package"] == "attrib" else row["answers"],
            "CPU ratio to attrib": ratio("cpu_ratio_to_attrib"),
            **TIMES,
        }
        parts.append(f"### {task.capitalize()}, {METHODS[method]}: {int(journeys):,} journeys, {channels} channels\n")
        parts.append(table(found, columns, 2))
    return [*parts, lost(rows)]


SUITES: dict[str, tuple[str, str, Callable[[Sequence[Row]], list[str]]]] = {  # results → title, words, tables
    "latest": ("End to end", wording.END_TO_END, end_to_end),
    "profile": ("Where the time goes", wording.PROFILE, profile),
    "ingest": ("Ingest", wording.INGEST, ingest),
    "inputs": ("Other files", wording.INPUTS, inputs),
    "tally": ("Tallies", wording.TALLY, tally),
    "solve": ("Solving alone", wording.SOLVING, solving),
    "memory": ("Memory", wording.MEMORY, memory),
    "growth": ("How cost grows", wording.GROWTH, growth),
    "scoring": ("Scoring customers", wording.SCORING, scoring),
    "replay": ("Truth by replay", wording.REPLAY, replay),
    "startup": ("Start-up", wording.START_UP, start_up),
    "engines": ("One machine and Spark", wording.ENGINES, engines),
    "peers": ("Beside other packages", wording.PEERS, peers),
}


def page(results: Path = RESULTS) -> str:
    """Return the text of the page; what has no results is said not to have been measured."""
    found = {suite: load(results / f"{suite}.csv") for suite in SUITES if (results / f"{suite}.csv").exists()}
    parts = [wording.HEAD, reached({suite: rows for suite, (_, rows) in found.items()})]
    for suite, (title, text, tables) in SUITES.items():
        machine, rows = found.get(suite, ("Not measured.", []))
        parts.append(section(title, machine, text, *(tables(rows) if rows else [])))
    return "\n".join([*parts, wording.REPEAT])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
