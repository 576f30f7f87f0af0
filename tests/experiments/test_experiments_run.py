"""Experiments from file to files: the same whatever the processes, interruptions and failures on the way."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from attrib import experiment
from attrib.engines.local import LocalEngine
from attrib.errors import SolveError, SpecError
from attrib.experiments import page, running
from attrib.experiments.results import summarise
from attrib.methods import Linear, Markov

ANSWER = "**Answer.** Markov chains, a little.\n"


def command(folder, *arguments, **options):
    line = [sys.executable, "-m", "attrib", "experiment", str(folder), *arguments]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def cells(folder):
    return sorted((folder / running.KEPT).glob("*.json"))


def test_an_experiment_from_file_to_files(place):
    folder = place(("figure = false", "figure = true\nplayers = true\nagreement = true"))
    told = []
    done = experiment.run(folder, workers=1, progress=lambda *news: told.append(news))
    results = pl.read_csv(folder / "results.csv")
    assert results.select("seed", "model").rows() == [
        (seed, model) for seed in (0, 1, 2) for model in ("linear", "markov(order=1)", "last_touch", "random")
    ]
    assert results.filter(pl.col("share_error").is_between(0, 1)).height == 12
    assert told[0] == ("runs", 0, 4)
    assert told[-1] == ("runs", 4, 4)
    record = json.loads((folder / "run.json").read_text())
    assert record["files"] == ["results.csv", "summary.csv", "players.csv", "agreement.csv", "results.svg", "README.md"]
    assert record["seeds"] == [0, 1, 2]
    assert {file.name for file in done.files} == {*record["files"], "run.json"}
    text = (folder / "README.md").read_text()
    assert text.startswith("# Which of two is closer?\n")
    assert text.endswith(f"{page.UNANSWERED}\n")
    assert "| *random* |" in text
    assert any("waits for your answer" in note for note in done.warnings)
    players = pl.read_csv(folder / "players.csv")
    assert players.filter(model="linear")["true_share"].sum() == pytest.approx(1, abs=1e-4)
    assert pl.read_csv(folder / "agreement.csv").height == 3


def test_processes_change_nothing(place):
    folder = place()
    experiment.run(folder, workers=1)
    alone = (folder / "results.csv").read_bytes()
    experiment.run(folder, workers=2, fresh=True)
    assert (folder / "results.csv").read_bytes() == alone
    assert len(cells(folder)) == 4


def test_nothing_is_computed_twice(place, monkeypatch):
    folder = place()
    experiment.run(folder, workers=1)
    before = (folder / "results.csv").read_bytes()
    monkeypatch.setattr(running, "work", None)
    experiment.run(folder, workers=1)
    assert (folder / "results.csv").read_bytes() == before


def test_a_torn_cell_is_computed_again(place):
    folder = place()
    experiment.run(folder, workers=1)
    before = (folder / "results.csv").read_bytes()
    for file in cells(folder)[:2]:
        file.write_text(file.read_text()[:40])
    experiment.run(folder, workers=1)
    assert (folder / "results.csv").read_bytes() == before


def test_killed_in_the_middle_and_begun_again_it_finds_the_same(place):
    folder = place(("seeds = 3", "seeds = 8"))
    experiment.run(folder, workers=1)
    before = (folder / "results.csv").read_bytes()
    for file in cells(folder):
        file.unlink()
    for name in ("results.csv", "run.json", "README.md"):
        (folder / name).unlink()
    process = command(folder, "--workers", "2")
    end = time.monotonic() + 100
    while len(cells(folder)) < 3 and time.monotonic() < end and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(cells(folder)) >= 3
    assert not (folder / "results.csv").exists()
    experiment.run(folder, workers=1)
    assert (folder / "results.csv").read_bytes() == before


def test_processes_end_with_the_one_that_began_them(place):
    folder = place(("seeds = 3", "seeds = 40"))
    process = command(folder, "--workers", "2")
    end = time.monotonic() + 100
    while len(cells(folder)) < 2 and time.monotonic() < end and process.poll() is None:
        time.sleep(0.02)
    found = children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert found
    while any(map(alive, found)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(alive, found))


def children(parent):
    """Processes that a process has begun (Linux only)."""
    try:
        return [int(one) for one in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except FileNotFoundError:
        pytest.skip("this system does not list the children of a process")


def alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_interrupt_keeps_what_was_done(place):
    folder = place(("seeds = 3", "seeds = 60"))
    process = command(folder, "--workers", "2", start_new_session=True)
    end = time.monotonic() + 100
    while len(cells(folder)) < 2 and time.monotonic() < end and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does: all processes hear it
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "interrupted\n")
    assert 2 <= len(cells(folder)) < 61
    assert all(json.loads(file.read_text())["key"] == file.stem for file in cells(folder))
    assert sorted(file.name for file in folder.iterdir()) == [running.KEPT, "experiment.toml"]


def test_a_model_without_an_answer_is_a_row(place, monkeypatch):
    def refuse(self, *_):
        raise SolveError("no_answer", "this chain has none")

    monkeypatch.setattr(Markov, "_solve", refuse)
    folder = place()
    done = experiment.run(folder, workers=1)
    failed = done.tables.results.filter(pl.col("error").is_not_null())
    assert failed.select("model", "error", "message").unique().rows() == [
        ("markov(order=1)", "no_answer", "this chain has none")
    ]
    assert failed.height == 3
    assert done.tables.results.filter(model="linear")["share_error"].null_count() == 0
    assert "3 runs failed" in (folder / "README.md").read_text()
    with pytest.raises(SolveError, match="3 runs failed, the first with no_answer"):
        experiment.raise_failed(done.failures)


def test_what_models_warn_of_is_told_once(place, monkeypatch):
    monkeypatch.setattr(Linear, "_remarks", lambda *_: iter(["this is about 3 touches"]))
    done = experiment.run(place(), workers=1)
    assert done.warnings[0] == "this is about 3 touches (in 3 runs)"


def test_warnings_that_differ_in_numbers_are_one():
    found = experiment._each_once(["2 of 9 left", "all gone", "3 of 1,234.5 left"])
    assert found == ("2 of 9 left (in 2 runs)", "all gone")


def test_a_fault_of_ours_is_a_row_too_and_is_tried_again(place, monkeypatch):
    folder = place()
    with monkeypatch.context() as patch:
        patch.setattr(Linear, "_solve", lambda *_: 1 / 0)
        done = experiment.run(folder, workers=1)
        assert done.tables.results["error"].to_list() == ["unforeseen"] * 3
    again = experiment.run(folder, workers=1)
    assert again.failures == ()
    assert again.tables.results["error"].null_count() == 12


def test_without_the_truth_the_runs_fail_and_say_why(place):
    folder = place(("[worlds]", '[journeys]\nstages = "three"\n\n[worlds]'))
    done = experiment.run(folder, workers=1)
    assert done.failures[0]["of"] == "truth"
    assert done.tables.results["error"].to_list() == ["no_truth"] * 3
    assert done.tables.results["message"][0].startswith("the truth failed: ")


@pytest.mark.parametrize(("view", "stages"), [("advance", 5), ("resolved", 1)])
def test_stages_meet_their_truth(place, view, stages):
    folder = place(
        ("[worlds]", f'[journeys]\nstages = "five"\nview = "{view}"\n\n[worlds]'),
        ('["share_error", "stability"]', '["share_error", "increment_error"]'),
        ("seeds = 3", "seeds = 1"),
    )
    done = experiment.run(folder, workers=1)
    results = done.tables.results.filter(model="linear")
    assert done.failures == ()
    assert results.height == stages
    assert results["share_error"].is_between(0, 1).all()
    assert results["increment_error"].null_count() == 0


def _die(experiment, task):
    if task.unit.seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"rows": []}


def test_a_process_that_is_killed_costs_one_run(place, monkeypatch):
    folder = place(("seeds = 3", "seeds = 4"))
    monkeypatch.setattr(running, "work", _die)
    done = experiment.run(folder, workers=2)
    assert [(one["seed"], one["key"]) for one in done.failures] == [(1, "worker_died")]
    assert multiprocessing.active_children() == []


def test_the_command_says_so_in_its_exit_code(place):
    folder = place(("[worlds]", '[journeys]\nstages = "three"\n\n[worlds]'))
    process = command(folder, "--workers", "1", "--quiet")
    _, err = process.communicate()
    assert process.returncode == 5
    assert "runs failed, the first with no_truth" in err
    assert (folder / "results.csv").exists()


def test_what_a_person_wrote_stays(place):
    folder = place()
    experiment.run(folder, workers=1)
    text = (folder / "README.md").read_text()
    mine = text.replace(page.BEGIN, f"Before.\n\n{page.BEGIN}").replace(f"{page.UNANSWERED}\n", f"After.\n\n{ANSWER}")
    (folder / "README.md").write_text(mine)
    place(("Which of two", "Which of the two"))
    done = experiment.run(folder, workers=1)
    assert done.warnings == ()
    after = (folder / "README.md").read_text().splitlines()
    assert after[:3] == ["# Which of the two is closer?", "", "Before."]
    assert "\n".join(after[-3:]) + "\n" == f"After.\n\n{ANSWER}"
    place(("seeds = 3", "seeds = 2"))
    assert experiment.run(folder, workers=1).warnings == (
        "the results have changed: is the answer in README.md still right?",
    )


def answered(folder):
    text = (folder / "README.md").read_text()
    (folder / "README.md").write_text(text.replace(page.UNANSWERED, ANSWER.strip()))


def test_the_check_finds_what_is_out_of_date(place):
    folder = place(("figure = false", "figure = false\nagreement = true"))
    assert experiment.check(folder) == ("there are no results, or they are not whole: run it",)
    experiment.run(folder, workers=1)
    assert experiment.check(folder) == ("the last line of README.md is not an answer; write it: **Answer.** …",)
    answered(folder)
    assert experiment.check(folder) == ()
    page_text, results = (folder / "README.md").read_text(), (folder / "results.csv").read_text()
    (folder / "README.md").write_text(page_text.replace("0.", "0.9", 1))
    assert experiment.check(folder) == ("the generated part of README.md is not that of the results",)
    (folder / "README.md").write_text(page_text)
    (folder / "results.csv").write_text(results.replace("0.", "0.9", 1))
    assert experiment.check(folder) == ("results.csv is not what the run wrote",)
    (folder / "results.csv").write_text(results)
    place(("figure = false", "figure = false\nagreement = true"), ("order = 1", "order = 2"))
    (fault,) = experiment.check(folder)
    assert fault.startswith("experiment.toml (or a model file) was changed after the results")
    process = command(folder, "--check")
    _, err = process.communicate()
    assert process.returncode == 2
    assert "was changed after the results" in err


def test_a_failure_leaves_the_page_in_order(place, monkeypatch):
    folder = place()
    with monkeypatch.context() as patch:
        patch.setattr(Linear, "_solve", lambda *_: 1 / 0)
        experiment.run(folder, workers=1)
    answered(folder)
    assert experiment.check(folder) == ()


def test_files_of_ones_own_without_a_truth(place, tmp_path):
    pl.DataFrame({
        "path": ["a > b", "b", "a > c > b", "c"],
        "total_conversions": [40, 30, 20, 10],
        "total_conversion_value": [40.0, 30.0, 20.0, 10.0],
        "total_null": [100, 50, 30, 90],
    }).write_csv(tmp_path / "paths.csv")  # fmt: skip
    worlds = "[worlds]\ncustomers = 300\ntruth_customers = 300\n"
    folder = place(
        (worlds, '[[data]]\nname = "mine"\npaths = "../paths.csv"\n'),
        ('["share_error", "stability"]', '["stability", "log_likelihood", "auc", "width"]'),
    )
    done = experiment.run(folder, workers=1)
    assert done.failures == ()
    results = done.tables.results.filter(model="markov(order=1)")
    assert results.select("stability", "log_likelihood", "auc", "width").null_count().sum_horizontal().item() == 0
    assert json.loads((folder / "run.json").read_text())["inputs"][0]["files"][0]["file"] == "paths.csv"
    assert str(tmp_path) not in (folder / "run.json").read_text()


def test_event_files_of_ones_own(place, tmp_path):
    from attrib import synth

    synth.write(200, 1, tmp_path)
    worlds = "[worlds]\ncustomers = 300\ntruth_customers = 300\n"
    data = '[[data]]\nname = "mine"\ntouchpoints = "../touchpoints.parquet"\noutcomes = "../outcomes.parquet"\n'
    folder = place(
        (worlds, f'[journeys]\nstages = "three"\n{data}'), ('["share_error", "stability"]', '["stability", "auc"]')
    )
    done = experiment.run(folder, workers=1)
    assert done.failures == ()
    assert set(done.tables.results["stage"]) == {"awareness", "consideration", "decision"}
    assert done.tables.results.filter(model="linear")["stability"].null_count() == 0


def test_intervals_meet_the_limit(place):
    known = "truth_customers = 300"
    folder = place(
        ('["share_error", "stability"]', '["coverage", "width", "truth_coverage", "budget_regret"]'),
        (known, f"{known}\nlimit_customers = 3000\n[intervals]\nreplicates = 60\nfewest = 5"),
        ("figure = false", "figure = false\nplayers = true"),
    )  # fmt: skip
    done = experiment.run(folder, workers=1)
    mean = done.tables.summary.filter(model="linear", metric="coverage")["mean"].item()
    assert 0.7 < mean <= 1
    players = done.tables.players.filter(pl.col("channel").is_not_null(), model="linear")
    assert players["coverage"].null_count() == 0
    assert players.select(counted=(pl.col("limit") >= 5) & (pl.col("buckets") >= 4)).equals(players.select("counted"))
    assert 0 < players["counted"].sum() < players.height
    assert done.tables.results.filter(model="random")["coverage"].null_count() == 3


def only_coverage(place):
    return place(
        ('["share_error", "stability"]', '["coverage", "width"]'),
        ("truth_customers = 300", "limit_customers = 3000\n[intervals]\nreplicates = 40\nfewest = 5"),
        ("seeds = 3", 'seeds = 4\nresults = "means"\nplayers = true\nreferences = false\nagainst = "linear"'),
    )


def test_means_without_the_rows_of_runs(place):
    folder = only_coverage(place)
    done = experiment.run(folder, workers=1)
    assert done.tables.results.height == 8
    assert len(cells(folder)) == 5  # the limit, and no truth: nothing asks for it
    assert pl.read_csv(folder / "results.csv").height == 0
    answered(folder)
    assert experiment.check(folder) == ()
    assert experiment.run(folder, workers=1).warnings == ()
    for name in ("summary.csv", "players.csv"):
        content = (folder / name).read_text()
        (folder / name).write_text(content.replace("0.", "0.9", 1))
        assert experiment.check(folder)[0] == f"{name} is not what the run wrote"
        (folder / name).write_text(content)
    file = folder / "experiment.toml"
    file.write_text(file.read_text().replace('results = "means"', 'results = "runs"'))
    assert experiment.check(folder) == ("results.csv has not the rows that experiment.toml asks for: run it again",)
    experiment.run(folder, workers=1)
    assert pl.read_csv(folder / "results.csv").height == 8
    assert experiment.check(folder) == ()


def test_failures_are_rows_where_runs_are_not(place, monkeypatch):
    folder = only_coverage(place)
    with monkeypatch.context() as patch:
        patch.setattr(Markov, "_solve", lambda *_: 1 / 0)
        experiment.run(folder, workers=1)
    assert pl.read_csv(folder / "results.csv")["error"].to_list() == ["unforeseen"] * 4
    assert "4 runs failed" in (folder / "README.md").read_text()
    answered(folder)
    assert experiment.check(folder) == ()


def test_coverage_player_by_player(place):
    folder = only_coverage(place)
    found = experiment.run(folder, workers=1).tables.players.filter(model="linear")
    counted, thin = (found.filter(counted=which)["coverage"] for which in (True, False))
    numbers = [counted.min(), counted.mean(), counted.max(), thin.min(), thin.mean()]
    low, mean, high, thin_low, thin_mean = (f"{100 * number:.1f} %" for number in numbers)
    row = f"| linear | {len(counted)} | {low} | {mean} | {high} | {len(thin)} | {thin_low} | {thin_mean} |"
    assert row in (folder / "README.md").read_text().splitlines()


def test_sums_do_not_ask_where_threads_are(place, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with running._one_thread_each():
        assert {os.environ[name] for name in running.THREADS} == {"1"}
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert LocalEngine().workers >= 1


def test_means_and_paired_differences_by_hand():
    rows = [
        ("w", 10, "", 0, None, "a", 1.0), ("w", 10, "", 0, None, "b", 4.0),
        ("w", 10, "", 1, None, "a", 3.0), ("w", 10, "", 1, None, "b", 8.0),
        ("w", 10, "", 2, None, "a", None), ("w", 10, "", 2, None, "b", 9.0),
    ]  # fmt: skip
    columns = ["world", "customers", "setting", "seed", "stage", "model", "auc"]
    table = summarise(pl.DataFrame(rows, schema=columns, orient="row"), ["auc"], "a")
    assert table.select("model", "n", "mean", "difference", "difference_se").rows() == [
        ("a", 2, 2.0, 0.0, 0.0), ("b", 3, 7.0, 4.0, 1.0)
    ]  # fmt: skip


def test_the_figure_is_the_same_each_time(place):
    pytest.importorskip("matplotlib")
    folder = place(("figure = false", "figure = true"))
    experiment.run(folder, workers=1)
    before = (folder / "results.svg").read_bytes()
    experiment.run(folder, workers=1)
    assert (folder / "results.svg").read_bytes() == before
    assert len(before) < 30_000


def test_no_log_is_promised_that_cannot_be_kept(place, monkeypatch):
    from attrib.experiments import tracking

    monkeypatch.setattr(tracking, "find_spec", lambda _: None)
    with pytest.raises(SpecError, match="MLflow is not installed"):
        experiment.run(place(), workers=1, mlflow="store")
