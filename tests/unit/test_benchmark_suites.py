"""Each suite runs, at a size that says nothing about time."""

import numpy as np
import polars as pl
import pytest
from benchmarks import (
    data,
    engines,
    goals,
    ingest,
    inputs,
    measure,
    memory,
    profile,
    replay,
    run,
    scoring,
    solve,
    startup,
    tally,
)

SIZE = 3_000


@pytest.fixture(scope="module", autouse=True)
def generated(tmp_path_factory):
    """Data in a folder of the tests; a suite's measured processes run in this one."""
    folder = tmp_path_factory.mktemp("benchmarks")
    with pytest.MonkeyPatch.context() as patch:
        for module in (data, solve):
            patch.setattr(module, "DATA", folder)
        yield folder


@pytest.fixture
def here(monkeypatch):
    """Measure in this process: a suite asks for another one, which only times differ by."""

    def measured(module, *arguments):
        if module == "measure":
            task, folder, repeats, *limit = arguments
            return measure.timed(lambda: measure.TASKS[task](folder, limit[0] if limit else None), repeats)
        what, *rest = arguments
        if module == "ingest":
            return measure.timed(lambda: ingest.TASKS[rest[0]](rest[1]), rest[2])
        if module == "profile":
            return {"parts": profile.one(*rest)}
        if module == "solve":
            return solve.one(solve.CASES[what], 1)
        return {"tally": tally, "engines": engines, "scoring": scoring, "inputs": inputs, "replay": replay}[module].one(
            *rest
        )

    for module in (run, memory, ingest, inputs, tally, profile, scoring, solve, engines, replay):
        monkeypatch.setattr(module, "measure", measured)


@pytest.mark.parametrize("kind", data.KINDS)
def test_events_are_the_same_however_their_rows_are(kind):
    files = data.tables(data.events(SIZE, kind))
    assert [file.stem for file in files] == list(data.TABLES)
    touches = pl.read_csv(files[0]) if kind == "csv" else pl.read_parquet(files[0])
    assert touches.height == measure.scan(data.events(SIZE)) == measure.scan(files[0].parent)
    ids = touches["customer_id"]
    assert ids.is_sorted() == (kind in ("ordered", "csv"))
    assert (ids.dtype == pl.String) == ("text" in kind)
    if ids.dtype == pl.String:
        assert set(ids.str.len_bytes()) == {36}


@pytest.mark.parametrize("kind", run.KINDS)
def test_end_to_end(here, kind):
    rows = run.rows_of(SIZE, kind, repeats=1, intervals=False)
    assert [row["task"] for row in rows] == ["scan", "credit"]
    assert rows[0]["cpu_ratio_to_scan"] == 1
    assert float(rows[1]["sums_differ_by"]) <= 1e-9


def test_credit_that_does_not_add_up_ends_the_run():
    table = pl.DataFrame({"method": ["a", "a", "b"], "conversions": [1.0, 2.0, 3.1]})
    ledger = pl.DataFrame({"table": ["outcomes"] * 2, "entry": ["credited", "unattributed"], "conversions": [2.0, 1.0]})
    assert measure.check_sums(table.filter(method="a"), ledger) == 0
    with pytest.raises(SystemExit, match="does not add up"):
        measure.check_sums(table, ledger)


def test_memory(here):
    rows = memory.rows_of(SIZE, "shuffled", repeats=1)
    assert [row["memory_limit"] for row in rows] == ["default", "1GB", "256MB"]


@pytest.mark.parametrize("kind", ["ordered", "csv"])
def test_ingest_meets_every_touch(here, kind):
    rows = ingest.rows_of(SIZE, kind, repeats=1)
    assert [row["task"] for row in rows] == ["scan", "ingest"]


def test_other_files_hold_the_same_events(here, monkeypatch):
    few = {"1,000 files": {"parts": 7}, "50 files, customers in all": {"parts": 3, "shuffle": True}}
    monkeypatch.setattr(data, "FORMS", data.FORMS | few)
    rows = inputs.rows_of(SIZE, repeats=1)
    assert [row["case"] for row in rows] == list(inputs.KINDS)
    numbers = iter(range(9))
    took = {"wall": [1.0], "cpu": [1.0], "peak_gb": 0.1}
    monkeypatch.setattr(inputs, "measure", lambda *_: took | {"answer": next(numbers)})
    with pytest.raises(SystemExit, match="differ with the form"):
        inputs.rows_of(SIZE, repeats=1)


def test_tallies(here, monkeypatch):
    assert [row["case"] for row in tally.rows_of(SIZE, repeats=1)] == list(tally.CASES)


def test_a_tally_without_all_conversions_ends_the_run():
    from attrib.engines.base import Memory
    from attrib.needs import Transitions

    journeys = measure.read(data.events(SIZE))
    reader, parts = journeys.engine.journeys(journeys._recipe, Memory())
    found = tally.walk(reader, parts, [Transitions(1)], units=False)
    with pytest.raises(SystemExit, match="Transitions"):
        tally.check(found, 1)


def test_a_profile_counts_all_steps_and_takes_its_clocks_off_again(here):
    from attrib.kernels import rows as kernel

    before = kernel.sort_rows
    rows = profile.rows_of(SIZE, "shuffled")
    assert list(dict.fromkeys(row["step"] for row in rows)) == list(profile.STEPS)
    assert sum(row["cpu_percent"] for row in rows) == pytest.approx(100, abs=2)
    assert kernel.sort_rows is before


def test_a_clock_leaves_out_what_runs_inside_it():
    clocks = profile.Clocks()
    inner = clocks.around(lambda: sum(range(2_000_000)), "b", "inner")
    clocks.around(lambda: [inner()], "a", "outer")()
    assert clocks.seconds["b", "inner"] > 20 * clocks.seconds["a", "outer"]


def test_scoring(here, monkeypatch):
    monkeypatch.setattr(scoring, "SMALL", 4_000)
    scoring.market.cache_clear()
    rows = scoring.rows_of(SIZE, repeats=1)
    assert [row["case"] for row in rows] == list(scoring.CASES) == list(goals.MODELS)
    assert {row["rows"] for row in rows} == {SIZE}
    scoring.market.cache_clear()


def test_snapshots(here):
    (row,) = scoring.snapshots_of(SIZE, repeats=1)
    assert 0 < row["rows"] < SIZE


def test_scores_that_depend_on_the_other_customers_end_the_run(monkeypatch):
    monkeypatch.setitem(scoring.CASES, "bad", lambda _: lambda n: np.arange(n) / n)
    with pytest.raises(SystemExit, match="alone"):
        scoring.one("bad", 2 * scoring.ALONE, 1)


def test_replay(here):
    rows = replay.rows_of(SIZE, repeats=1)
    assert [row["case"] for row in rows] == list(replay.CASES)
    assert goals.WORLDS in replay.CASES
    assert all(row["lives"] > SIZE for row in rows)


def test_start_up(here):
    rows = startup.rows_of(1)
    assert [row["case"] for row in rows] == list(startup.COMMANDS)


@pytest.mark.parametrize("name", ["markov(order=1), 12 players", "interactions(rate), 24 players"])
def test_solving(here, monkeypatch, name):
    case = solve.CASES[name]
    monkeypatch.setitem(solve.CASES, name, solve.Case(case.players, 200, case.ask))
    (row,) = solve.rows_of([name], 1)
    assert (row["states"] == "") == name.startswith("interactions")


def test_solving_of_customers(here, monkeypatch):
    name = "markov(order=1), 12 players, customers, 1,000 replicates"
    monkeypatch.setitem(solve.CASES, name, solve.Case(4, 300, solve.CASES[name].ask, events=True))
    (row,) = solve.rows_of([name], 1)
    assert row["wall_s"] > 0


def test_solving_many_games(here, monkeypatch):
    name = "markov(order=1), 10,000 games of 12 players"
    monkeypatch.setitem(solve.CASES, name, solve.Case(4, 300, solve.CASES[name].ask, games=20))
    (row,) = solve.rows_of([name], 1)
    assert 20 < row["states"] <= 100


def test_the_local_engine_alone_when_spark_is_absent(here):
    (row,) = engines.rows_of(SIZE, ("local",), 1)
    assert row["engine"] == "local"
    assert len(row["table"]) == 16


def test_engines_must_give_the_same_table(monkeypatch):
    answers = iter("ab")
    found = {"ready": 0, "first": 1, "wall": [1], "cpu": [1], "peak_gb": 1, "peaks": {"driver": 1}}
    monkeypatch.setattr(engines, "measure", lambda *_: found | {"answer": next(answers)})
    with pytest.raises(SystemExit, match="differ"):
        engines.rows_of(SIZE, engines.ENGINES, 1)
