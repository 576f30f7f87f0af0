"""One machine against Spark on it: python -m benchmarks.engines (Linux; Spark needs Java 17).

Shuffled events in two files, to per-stage credit of seven methods (Markov of order 3 among them) and the funnel, by the
local engine and by Spark local[2]. Seconds until the engine is ready and those of its first run stand apart; CPU counts
the Java and Python processes that Spark starts. Both engines must give the same table, to the last digit.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrib
from benchmarks.data import events, tables
from benchmarks.record import Rows, measure, medians, run_sizes

ENGINES = ("local", "Spark local[2]")
METHODS = [
    attrib.FirstTouch(), attrib.LastTouch(), attrib.Linear(), attrib.PositionBased(), attrib.TimeDecay(),
    attrib.Markov(order=3), attrib.Shapley(),
]  # fmt: skip


class Meter:
    """CPU and memory of this process and all that it starts."""

    def __init__(self) -> None:
        self.ticks, self.page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
        self.cpu: dict[int, float] = {}
        self.peak: dict[str, int] = {}
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.total()
            time.sleep(0.2)

    def total(self) -> float:
        """CPU seconds so far, of processes that have ended too."""
        found: dict[int, tuple[int, float, int, str]] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                text = (folder / "stat").read_text()
            except OSError:
                continue  # it has ended
            fields = text[text.rindex(")") + 2 :].split()
            used = (int(fields[11]) + int(fields[12])) / self.ticks
            name = text[text.index("(") + 1 : text.rindex(")")]
            found[int(folder.name)] = (int(fields[1]), used, int(fields[21]) * self.page, name)
        for process, (_, used, memory, name) in found.items():
            above = process
            while above in found and above != os.getpid():
                above = found[above][0]
            if above == os.getpid():
                kind = "driver" if process == above else "java" if name.startswith("java") else "worker"
                self.cpu[process] = used
                self.peak[kind] = max(self.peak.get(kind, 0), memory)
        return sum(self.cpu.values())


def one(kind: str, folder: Path, repeats: int) -> dict[str, Any]:
    """Measure one engine."""
    meter, begin = Meter(), time.perf_counter()
    engine: Any = attrib.LocalEngine()
    if kind != "local":
        engine = attrib.SparkEngine.start("local[2]", {"spark.ui.enabled": False, "spark.driver.memory": "3g"})
    ready = time.perf_counter() - begin
    walls, cpus, answer = [], [], ""
    for _ in range(repeats + 1):
        begin, before = time.perf_counter(), meter.total()
        journeys = attrib.Journeys.from_events(*map(str, tables(folder)), stages="five", engine=engine)
        table = attrib.credit(journeys, METHODS, intervals=None)
        journeys.funnel()
        walls.append(time.perf_counter() - begin)
        cpus.append(meter.total() - before)
        answer = hashlib.sha256(table.write_csv().encode()).hexdigest()[:16]
    engine.close()
    peaks = {name: size / 1e9 for name, size in meter.peak.items()}
    found = {"ready": ready, "first": walls[0], "wall": walls[1:], "cpu": cpus[1:], "peak_gb": max(peaks.values())}
    return found | {"peaks": peaks, "answer": answer}


def rows_of(size: int, kinds: tuple[str, ...], repeats: int) -> Rows:
    """Measure the engines on one data set; they must agree."""
    folder, rows, answers = events(size, "shuffled"), [], set()
    for kind in kinds:
        found = measure("engines", "one", kind, folder, repeats)
        answers.add(found["answer"])
        numbers = medians(found)
        del numbers["peak_gb"]
        peaks = {f"{name}_gb": round(found["peaks"].get(name, 0.0), 3) for name in ("driver", "java", "worker")}
        apart = {"ready_s": round(found["ready"], 1), "first_wall_s": round(found["first"], 2)}
        rows.append({"touchpoints": size, "engine": kind, **apart, **numbers, **peaks, "table": found["answer"]})
    if len(answers) > 1:
        raise SystemExit(f"the engines' tables of {size:,} touchpoints differ: {sorted(answers)}")
    return rows


def main() -> None:
    """Measure, print, and write engines.csv into benchmarks/results."""
    if sys.argv[1:2] == ["one"]:
        print(json.dumps(one(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))))
        return
    kinds = ENGINES
    if find_spec("pyspark") is None or not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        print("without pyspark or Java: the local engine alone")
        kinds = ENGINES[:1]
    title = "two engines on one machine, medians of the runs after the first"
    run_sizes(__doc__, "engines", title, lambda size, _kind, repeats: rows_of(size, kinds, repeats), repeats=2)


if __name__ == "__main__":
    main()
