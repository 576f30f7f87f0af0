"""One machine against Spark on it: python -m benchmarks.engines local|spark FOLDER [PARTITIONS] (Linux).

Prints one JSON line: the seconds until the engine is ready; wall and CPU seconds of each of three runs, with the
Java and Python processes that Spark starts; the peak memory of each kind of process; and a digest of the table.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import attrib

TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
METHODS = [
    attrib.FirstTouch(), attrib.LastTouch(), attrib.Linear(), attrib.PositionBased(), attrib.TimeDecay(),
    attrib.Markov(order=3), attrib.Shapley(),
]  # fmt: skip


class Meter:
    """CPU and memory of this process and all that it starts."""

    def __init__(self) -> None:
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
            used = (int(fields[11]) + int(fields[12])) / TICKS
            name = text[text.index("(") + 1 : text.rindex(")")]
            found[int(folder.name)] = (int(fields[1]), used, int(fields[21]) * PAGE, name)
        for process, (_, used, memory, name) in found.items():
            above = process
            while above in found and above != os.getpid():
                above = found[above][0]
            if above == os.getpid():
                kind = "driver" if process == above else name
                self.cpu[process] = used
                self.peak[kind] = max(self.peak.get(kind, 0), memory)
        return sum(self.cpu.values())


def main() -> None:
    """Measure one engine."""
    kind, folder = sys.argv[1], Path(sys.argv[2])
    meter, begin = Meter(), time.perf_counter()
    engine: Any = attrib.LocalEngine()
    if kind == "spark":
        parts = int(sys.argv[3]) if len(sys.argv) > 3 else None
        options = {"spark.ui.enabled": False, "spark.driver.memory": "3g"}
        engine = attrib.SparkEngine.start("local[2]", options, partitions=parts)
    result: dict[str, Any] = {"engine": kind, "folder": folder.name, "ready": round(time.perf_counter() - begin, 1)}
    table = None
    for repeat in range(3):
        begin, before = time.perf_counter(), meter.total()
        files = (str(folder / f"{name}.parquet") for name in ("touchpoints", "outcomes"))
        journeys = attrib.Journeys.from_events(*files, stages="five", engine=engine)
        table = attrib.credit(journeys, METHODS, intervals=None)
        journeys.funnel()
        result[f"run {repeat}"] = {
            "wall": round(time.perf_counter() - begin, 2),
            "cpu": round(meter.total() - before, 1),
        }
    assert table is not None
    result["peak MB"] = {name: size >> 20 for name, size in meter.peak.items()}
    result["table"] = hashlib.sha256(table.write_csv().encode()).hexdigest()[:16]
    print(json.dumps(result))
    engine.close()


if __name__ == "__main__":
    main()
