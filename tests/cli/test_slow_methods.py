"""`attrib check` of methods that take long: tried on a sample, and as strict as before."""

import json
import subprocess
import sys

import pytest

import attrib
from attrib import crediting, job
from attrib.errors import SolveError
from attrib.methods import Method

SLOW = ("incremental", "additive_hazard", "bagged_logistic")
JOB = """
[input]
touchpoints = "touchpoints.parquet"
outcomes = "outcomes.parquet"
[journeys]
by = []
[[models]]
method = "linear"
[[models]]
method = "incremental"
types = 2
moods = 1
decays = "7d"
[[models]]
method = "additive_hazard"
[[models]]
method = "bagged_logistic"
"""


@pytest.fixture
def folder(tmp_path):
    attrib.synth.write(3000, 1, tmp_path)
    (tmp_path / "job.toml").write_text(JOB)
    return tmp_path


def check(folder, *arguments):
    command = [sys.executable, "-m", "attrib", "check", str(folder / "job.toml"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_check_says_which_methods_it_only_tried(folder):
    done = check(folder)
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if "tried on a sample" in line)
    assert line.endswith(": " + ", ".join(["incremental(types=2, moods=1, decays=7d)", *SLOW[1:]]))
    said = json.loads(check(folder, "--json").stdout)
    assert len(said["sampled"]) == 3


def test_check_solves_none_of_them_as_it_stands(folder, monkeypatch):
    asked = []
    solve = crediting.observe

    def observed(method, tallies, cells):
        asked.append((method, sum(rows.count for rows in tallies.rows.values())))
        return solve(method, tallies, cells)

    monkeypatch.setattr(crediting, "observe", observed)
    monkeypatch.setattr(crediting, "SAMPLE", 500)
    plan = job.load(folder / "job.toml")
    found = job.check(plan)
    methods = dict(plan.methods)
    assert found.sampled == tuple(methods)[1:]
    assert [method for method, _ in asked if method in methods.values()] == [methods["linear"]]
    read = [rows for method, rows in asked if type(method).__name__ in ("Incremental", "AdditiveHazard")]
    assert all(500 <= rows < 3000 for rows in read)  # of whole buckets, of tens of thousands


def test_what_is_wrong_with_a_slow_method_is_found_as_before(folder):
    text = (folder / "job.toml").read_text()
    (folder / "job.toml").write_text(text.replace("by = []", 'by = ["device"]'))
    columns = attrib.synth.generate(3000, seed=1).touchpoints
    columns.with_columns(device=columns["customer_id"] % 2).write_parquet(folder / "touchpoints.parquet")
    done = check(folder)
    assert done.returncode == 5
    assert "models whole histories of customers" in done.stderr


def test_a_sample_that_is_too_small_for_a_method_is_no_fault(folder, monkeypatch):
    journeys = attrib.Journeys.from_events(folder / "touchpoints.parquet", folder / "outcomes.parquet")
    tried = []

    class Choosy(attrib.BaggedLogistic):
        def _trial(self) -> Method:
            tried.append("sample")
            return Never()

    class Never(attrib.BaggedLogistic):
        def _solve(self, tallies, cells, draw):
            raise SolveError("too_few", f"too few journeys for {cells.player.size} players of {tallies}, {draw}")

    monkeypatch.setattr(attrib.BaggedLogistic, "bags", 2)
    _, sampled = crediting.tried(journeys, {"choosy": Choosy(bags=2)})
    assert (tried, sampled) == (["sample"], ("choosy",))
    with pytest.raises(SolveError, match="too few journeys"):
        crediting.tried(journeys, {"never": Never(bags=2)})


def test_a_sample_holds_whole_buckets(folder):
    journeys = attrib.Journeys.from_events(folder / "touchpoints.parquet", folder / "outcomes.parquet")
    need = attrib.Incremental()._reads()[0]
    rows = journeys.rows(need, journeys.tallies(()))
    some = rows.some(1000)
    assert 1000 <= some.count < 1200
    assert some.bucket(0)["touches"]["time"].tolist() == rows.bucket(0)["touches"]["time"].tolist()
    assert not len(some.bucket(255)["touches"]["time"])
    assert len(rows.some(10**9).tables["touches"]["time"]) == len(rows.tables["touches"]["time"])
