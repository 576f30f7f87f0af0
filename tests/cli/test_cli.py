"""The command as its users meet it: a process with arguments, two streams and an exit code."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import polars as pl
import pytest

from attrib import job
from attrib.engines.local import LocalEngine
from attrib.errors import EXIT_CODES

TOUCHPOINTS = """customer_id,timestamp,channel
ann,2026-01-01T10:00:00,seo
ann,2026-01-02T10:00:00,mail
bob,2026-01-01T10:00:00,mail
cid,2026-01-01T10:00:00,seo
cid,2026-01-03T10:00:00,=cmd()
dot,2026-01-01T10:00:00,seo
"""
OUTCOMES = """customer_id,timestamp,outcome,value
ann,2026-01-03T10:00:00,purchase,20
bob,2026-01-02T10:00:00,purchase,10
eve,2026-01-02T10:00:00,purchase,5
"""
JOB = """
[input]
touchpoints = "touchpoints.csv"
outcomes = "outcomes.csv"
[[models]]
method = "last_touch"
[[models]]
method = "markov"
order = 1
name = "chain"
[intervals]
replicates = 50
"""


def attrib(*arguments, cwd=None, **options):
    command = [sys.executable, "-m", "attrib", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=cwd, **options)


def said(done):
    """What a command says on standard error, whether or not it had kernels to compile."""
    return "".join(line for line in done.stderr.splitlines(keepends=True) if not line.startswith("compil"))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "touchpoints.csv").write_text(TOUCHPOINTS)
    (tmp_path / "outcomes.csv").write_text(OUTCOMES)
    (tmp_path / "job.toml").write_text(JOB)
    return tmp_path


def change(folder, old, new, file="job.toml"):
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))


def test_help_names_the_commands_and_the_exit_codes():
    done = attrib("--help")
    assert done.returncode == 0
    flowing = " ".join(done.stdout.split())
    for word in ("run", "check", "demo", "synth"):
        assert word in flowing
    for code, meaning in EXIT_CODES.items():
        assert f"{code} {meaning}" in flowing


def test_help_answers_at_once():
    code = "import sys, attrib.cli; print(*sorted({'polars', 'numba', 'numpy', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_version():
    assert re.fullmatch(r"attrib \d+\.\d+\.\d+\S*\n", attrib("--version").stdout)


def test_a_run_writes_its_files_and_shows_the_table(folder):
    done = attrib("run", folder / "job.toml")
    assert done.returncode == 0, done.stderr
    out = folder / "out"
    assert sorted(file.name for file in out.iterdir()) == [
        "credit.csv",
        "credit.parquet",
        "rejected.parquet",
        "run.json",
    ]
    credit = pl.read_parquet(out / "credit.parquet")
    last = credit.filter(pl.col("method") == "last_touch")
    assert dict(last.filter(pl.col("kind") == "player").select("channel", "conversions").iter_rows()) == {
        "seo": 0.0,
        "mail": 2.0,
        "=cmd()": 0.0,
    }
    assert last.filter(pl.col("kind") == "unattributed")["conversions"].to_list() == [1.0]
    assert "'=cmd()" in (out / "credit.csv").read_text()
    assert "mail" in done.stdout
    assert "(unattributed)" in done.stdout
    assert "95 % intervals" in " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert said(done) == ""  # no progress of what is soon done


def test_the_manifest_tells_what_was_done(folder):
    assert attrib("run", folder / "job.toml", "--quiet").stdout == ""
    record = json.loads((folder / "out" / "run.json").read_text())
    assert record["spec"]["journeys"]["lookback"] == "30d"
    assert [model["name"] for model in record["spec"]["models"]] == ["last_touch", "chain"]
    assert len(record["spec_sha256"]) == len(record["credit_sha256"]) == 64
    assert record["intervals"] == {
        "level": 0.95,
        "replicates": 50,
        "seed": 0,
        "resampling": "256 customer buckets, drawn with replacement",
    }
    entries = {row["entry"]: row["rows"] for row in record["ledger"] if row["table"] == "outcomes"}
    assert entries["in"] == 3 == sum(rows for entry, rows in entries.items() if entry != "in")
    assert record["files"] == ["credit.parquet", "rejected.parquet", "credit.csv"]
    assert len(record["inputs"]) >= 2
    assert set(record["timings"]) == {"journeys", "credit", "ledger", "funnel"}


def test_a_job_that_asks_for_flags_has_them(folder):
    change(folder, "replicates = 50", "replicates = 50\nflag = true")
    done = attrib("run", folder / "job.toml")
    assert done.returncode == 0, done.stderr
    table = pl.read_parquet(folder / "out" / "credit.parquet")
    assert table["thin"].all()  # of three conversions
    assert "°: fewer than 50 conversions" in " ".join(done.stdout.split())


def test_two_runs_give_the_same_hash(folder):
    first = json.loads(attrib("run", folder / "job.toml", "--json", "--threads", 1).stdout)
    second = json.loads(attrib("run", folder / "job.toml", "--json", "--threads", 2).stdout)
    assert first["status"] == "ok"
    assert first["credit_sha256"] == second["credit_sha256"]
    assert [file.rsplit(os.sep, 1)[-1] for file in first["files"]][-1] == "run.json"


def test_check_writes_nothing(folder):
    before = sorted(folder.iterdir())
    done = attrib("check", folder / "job.toml")
    assert done.returncode == 0, done.stderr
    assert "outcomes: 3 in" in done.stdout
    assert "can be run" in done.stdout
    assert sorted(folder.iterdir()) == before


def test_a_path_table(tmp_path):
    (tmp_path / "p.csv").write_text(
        "path,total_conversions,total_conversion_value,total_null\nC1 > C2 > C3,1,10,0\nC1,0,0,1\nC2 > C3,0,0,1\n"
    )
    (tmp_path / "job.toml").write_text('[input]\npaths = "p.csv"\n[[models]]\nmethod = "markov"\n')
    done = attrib("run", tmp_path / "job.toml")
    assert done.returncode == 0, done.stderr
    assert "journeys taken as independent" in " ".join(done.stdout.split())
    credit = pl.read_parquet(tmp_path / "out" / "credit.parquet").filter(pl.col("kind") == "player").sort("channel")
    assert credit["share"].to_list() == pytest.approx([0.2, 0.4, 0.4])
    assert credit["effect"].to_list() == pytest.approx([0.5, 1, 1])


COSTS = """Kanal,spent,date
seo,4,2026-01-01
seo,2,2026-01-02
=cmd(),1,2026-01-01
tv,8,2026-01-01
"""


def test_a_job_with_costs(folder):
    (folder / "costs.csv").write_text(COSTS)
    columns = '[input.columns.costs]\nchannel = "Kanal"\ncost = "spent"\n'
    change(folder, '[[models]]\nmethod = "last', f'costs = "costs.csv"\n{columns}[[models]]\nmethod = "last')
    checked, ran = (attrib(command, folder / "job.toml") for command in ("check", "run"))
    assert (checked.returncode, ran.returncode) == (0, 0), ran.stderr
    assert "no cost is known of 1 of 3 (channel), where it is null: mail" in ran.stderr
    assert "their cost of 8.00 stands in rows with 0 conversions: tv" in ran.stderr
    assert said(checked) == said(ran)
    spend = pl.read_parquet(folder / "out" / "spend.parquet").filter(pl.col("method") == "last_touch")
    assert dict(spend.select("channel", "cost").iter_rows()) == {
        None: None, "=cmd()": 1.0, "mail": None, "seo": 6.0, "tv": 8.0,
    }  # fmt: skip
    assert spend.columns[-4:] == ["cpa_low", "cpa_high", "roas_low", "roas_high"]
    assert "'=cmd()" in (folder / "out" / "spend.csv").read_text()
    record = json.loads((folder / "out" / "run.json").read_text())
    assert record["files"] == ["credit.parquet", "rejected.parquet", "spend.parquet", "credit.csv", "spend.csv"]
    assert record["inputs"][-1]["table"] == "costs"
    assert record["inputs"][-1]["files"][0]["file"] == "costs.csv"
    assert any("tv" in warning for warning in record["warnings"])

    change(folder, f'costs = "costs.csv"\n{columns}', "")
    assert attrib("run", folder / "job.toml").returncode == 0
    assert not list((folder / "out").glob("spend*"))  # none of an earlier run stays behind


def test_check_refuses_the_costs_that_run_refuses(folder):
    (folder / "costs.csv").write_text("channel,cost\nseo,-4\n")
    change(folder, 'outcomes = "outcomes.csv"', 'outcomes = "outcomes.csv"\ncosts = "costs.csv"')
    for fault in ("cost_negative 1", "no column region"):
        checked, ran = (attrib(command, folder / "job.toml") for command in ("check", "run"))
        assert checked.returncode == ran.returncode == 3
        assert fault in " ".join(ran.stderr.split())
        assert said(checked) == said(ran)
        (folder / "costs.csv").write_text("channel,cost\nseo,4\n")
        change(folder, '[[models]]\nmethod = "last', '[journeys]\nby = ["region"]\n[[models]]\nmethod = "last')
        text = (folder / "touchpoints.csv").read_text().replace("\n", ",x\n").replace("channel,x", "channel,region")
        (folder / "touchpoints.csv").write_text(text)


def test_a_path_table_with_costs(tmp_path):
    (tmp_path / "p.csv").write_text("path,total_conversions,total_conversion_value,total_null\nC1 > C2,4,10,0\n")
    (tmp_path / "c.csv").write_text("channel,c\nC1,8\nC2,1\n")
    (tmp_path / "job.toml").write_text(
        '[input]\npaths = "p.csv"\ncosts = "c.csv"\n[input.columns]\ncosts = { cost = "c" }\n'
        '[[models]]\nmethod = "linear"\n'
    )
    result = job.run(job.load(tmp_path / "job.toml"))
    assert result.warnings == ()
    assert result.spend.filter(kind="player").select("channel", "cpa", "roas").rows() == [
        ("C1", 4.0, 0.625), ("C2", 0.5, 5.0),
    ]  # fmt: skip
    assert [entry["table"] for entry in result.manifest.inputs] == ["paths", "costs"]


def test_an_event_log_is_both_tables(tmp_path):
    (tmp_path / "log.csv").write_text(
        "user,event,timestamp\nann,ad,2026-01-01\nann,order,2026-01-02\nbob,ad,2026-01-01\n"
    )
    (tmp_path / "job.toml").write_text(
        '[input]\ntouchpoints = "log.csv"\noutcomes = "log.csv"\n[journeys]\ntarget = "order"\n'
        '[input.columns]\ncustomer_id = "user"\nchannel = "event"\noutcome = "event"\n'
        '[[models]]\nmethod = "linear"\n'
    )
    done = attrib("run", "job.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "wrote to out: " in done.stdout
    credit = pl.read_parquet(tmp_path / "out" / "credit.parquet").filter(pl.col("kind") == "player")
    assert dict(credit.select("channel", "conversions").iter_rows()) == {"ad": 0.5, "order": 0.5}
    change(tmp_path, 'customer_id = "user"', 'customer_id = "user"\nsequence = "user"')
    done = attrib("run", "job.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "mapped to the same column" in done.stderr


def test_a_column_may_have_another_name_in_each_table(folder):
    change(folder, "customer_id,timestamp,", "user,timestamp,", "touchpoints.csv")
    change(folder, "customer_id,timestamp,", "user,Bestelldatum,", "outcomes.csv")
    columns = '[input.columns]\ncustomer_id = "user"\n[input.columns.outcomes]\ntimestamp = "Bestelldatum"\n'
    change(folder, "[intervals]", f"{columns}[intervals]")
    done = attrib("run", folder / "job.toml", "--json")
    assert done.returncode == 0, done.stderr
    ledger = json.loads(done.stdout)["ledger"]
    assert {row["entry"]: row["rows"] for row in ledger if row["table"] == "outcomes"}["credited"] == 2


def test_check_refuses_what_run_refuses(tmp_path):
    (tmp_path / "p.csv").write_text("path,total_conversions\nC1 > C2,1\n")
    (tmp_path / "job.toml").write_text(
        '[input]\npaths = "p.csv"\n[[models]]\nmethod = "time_decay"\nhalf_life = "7d"\n'
    )
    ran, checked = (attrib(command, tmp_path / "job.toml") for command in ("run", "check"))
    assert ran.returncode == checked.returncode == 5
    assert said(ran) == said(checked)
    assert checked.stdout == ""


def test_results_among_the_input_are_refused(folder):
    (folder / "events").mkdir()
    (folder / "touchpoints.csv").rename(folder / "events" / "touchpoints.csv")
    (folder / "job.toml").write_text(JOB.replace('"touchpoints.csv"', '"events"') + '[output]\nfolder = "events/out"\n')
    for command in ("check", "run"):
        done = attrib(command, folder / "job.toml")
        assert done.returncode == 2
        assert "would become input" in done.stderr
        assert "choose another [output] folder" in done.stderr
    assert [file.name for file in (folder / "events").iterdir()] == ["touchpoints.csv"]


def test_everything_rides_on_one_reading_of_the_events(folder, monkeypatch):
    (folder / "stages.toml").write_text('[[stage]]\nname = "all"\nmilestone = "purchase"\n')
    change(folder, "[intervals]", '[journeys]\nstages = "stages.toml"\n[intervals]')
    passes, real = [], LocalEngine._run

    def count(self, *arguments):
        passes.append(arguments)
        return real(self, *arguments)

    monkeypatch.setattr(LocalEngine, "_run", count)
    result = job.run(job.load(folder / "job.toml"), write=False)
    assert len(passes) == 2  # the funnel walks the partitions that the first pass kept
    assert list(result.manifest.timings) == ["journeys", "credit", "ledger", "funnel"]


def test_a_binary_file_that_is_called_csv_leaves_the_terminal_in_peace(folder):
    (folder / "touchpoints.csv").write_bytes(bytes(range(1, 256)) * 40 + b"\nx\n")
    done = attrib("run", folder / "job.toml")
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert not set(done.stderr) & {chr(code) for code in (*range(10), *range(11, 32), *range(127, 160))}
    assert max(map(len, done.stderr.splitlines())) < 520


def test_piped_output_has_no_blanks_at_line_ends(folder):
    done = attrib("run", folder / "job.toml")
    assert all(line == line.rstrip() for line in done.stdout.splitlines())


def test_stages_write_a_funnel_and_a_later_run_without_them_removes_it(folder):
    change(folder, "[intervals]", '[journeys]\nstages = "stages.toml"\n[intervals]')
    (folder / "stages.toml").write_text('[[stage]]\nname = "all"\nmilestone = "purchase"\n')
    done = attrib("run", folder / "job.toml")
    assert done.returncode == 0, done.stderr
    assert "stage all" in done.stdout
    assert (folder / "out" / "funnel.parquet").exists()
    (folder / "job.toml").write_text(JOB)
    assert attrib("run", folder / "job.toml").returncode == 0
    assert not (folder / "out" / "funnel.parquet").exists()


@pytest.mark.parametrize(
    ("file", "old", "new", "code", "message", "step"),
    [
        (
            "job.toml",
            "last_touch",
            "last_tuch",
            2,
            "did you mean last_touch?",
            "methods: ",
        ),
        ("job.toml", "replicates", "replicats", 2, "[intervals] replicats is not known", "allowed here: "),
        ("job.toml", "[input]", "[input", 2, "is not valid TOML", "brackets"),
        ("job.toml", "outcomes.csv", "nowhere.csv", 3, "nowhere.csv", ""),
        ("touchpoints.csv", "channel", "chanel", 3, "channel", ""),
        ("outcomes.csv", "purchase", "order", 3, "purchase", "order"),
        ("touchpoints.csv", ",seo", ",", 4, "rejected", ""),
    ],
)
def test_a_fault_of_the_user_is_one_message_and_an_exit_code(folder, file, old, new, code, message, step):
    change(folder, old, new, file)
    done = attrib("run", folder / "job.toml")
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert step in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (folder / "out").exists()


def test_json_reports_faults_too(folder):
    change(folder, "last_touch", "last_tuch")
    done = attrib("run", folder / "job.toml", "--json")
    assert done.returncode == 2
    found = json.loads(done.stdout)
    assert (found["status"], found["key"]) == ("error", "unknown_method")


def test_a_folder_that_cannot_be_written(folder):
    (folder / "out").write_text("a file")
    done = attrib("run", folder / "job.toml")
    assert done.returncode == 6
    assert "is not a folder" in done.stderr
    assert (folder / "out").read_text() == "a file"


def test_arguments_that_are_wrong():
    assert attrib("run").returncode == 2
    assert attrib("run", "nowhere.toml").returncode == 2
    assert attrib("fly").returncode == 2
    assert attrib("synth", "--customers", 0, "--out", "x").returncode == 2


def test_names_from_data_reach_the_terminal_without_controls(folder):
    change(folder, "seo", "\x1b[2J[bold]seo", "touchpoints.csv")
    done = attrib("run", folder / "job.toml")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "\ufffd[2J[bold]seo" in done.stdout


def test_a_terminal_that_knows_only_ascii(folder):
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = attrib("run", folder / "job.toml", env=environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals and pipes are POSIX")
def test_a_reader_who_leaves_is_no_error(folder):
    command = [sys.executable, "-m", "attrib", "run", str(folder / "job.toml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0
    assert (folder / "out" / "run.json").exists()


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_an_interrupt_is_quick_and_leaves_nothing(tmp_path):
    out = tmp_path / "data"
    command = [sys.executable, "-m", "attrib", "synth", "--customers", "50000000", "--out", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        limit = time.monotonic() + 240
        while not (out.exists() and any(out.iterdir())) and time.monotonic() < limit:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        message = process.stderr.read()
        assert process.wait(60) == 130
    assert "interrupted" in message
    assert "Traceback" not in message
    assert list(out.iterdir()) == []


def test_synth_and_a_job_on_it(tmp_path):
    for extra in ([], ["--shuffle", "--dirty", "0.01"]):
        done = attrib("synth", "--customers", 500, "--seed", 3, "--out", tmp_path, *extra)
        assert done.returncode == 0, done.stderr
    assert pl.read_parquet(tmp_path / "touchpoints.parquet").height > 500
    text = JOB.replace(".csv", ".parquet") + '[journeys]\nstages = "five"\n'
    (tmp_path / "job.toml").write_text(text)
    done = attrib("run", tmp_path / "job.toml")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "funnel.parquet").exists()


def test_synth_counts_as_people_write_them_and_says_what_it_wrote(tmp_path):
    arguments = ("synth", "--touchpoints", "2e3", "--parts", 3, "--ids", "string", "--shuffle", "--out", tmp_path)
    done = attrib(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["files"] == [str(tmp_path / "touchpoints"), str(tmp_path / "outcomes")]
    table = found["tables"]["touchpoints"]
    frame = pl.read_parquet(tmp_path / "touchpoints")
    assert (table["files"], table["rows"]) == (3, frame.height)
    assert frame["customer_id"].str.len_chars().unique().to_list() == [36]
    assert "(3 files, " in attrib(*arguments).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--touchpoints", "1.5"], "--touchpoints is '1.5'"),
        (["--touchpoints=-1"], "--touchpoints is '-1'"),
        (["--touchpoints", "nan"], "--touchpoints is 'nan'"),
        (["--touchpoints", "1e999999999"], "--touchpoints is '1e999999999'"),
        (["--customers", "many"], "--customers is 'many'"),
        (["--customers", "9", "--parts", "1e5"], "parts is 100000"),
        (["--customers", "9", "--ids", "uuid"], "ids is 'uuid'"),
        (["--customers", "1e3", "--touchpoints", "1e4"], "both"),
        ([], "neither"),
    ],
)
def test_synth_refuses_in_words(tmp_path, arguments, message):
    done = attrib("synth", "--out", tmp_path / "out", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "next step: " in done.stderr
    assert not (tmp_path / "out").exists()


def test_demo_shows_five_stages_and_says_where_the_files_are(tmp_path):
    out = tmp_path / "demo"
    done = attrib("demo", "--out", out, "--customers", 2000)
    assert done.returncode == 0, done.stderr
    for stage in ("awareness", "consideration", "decision", "loyalty", "advocacy"):
        assert f"stage {stage}" in done.stdout
    assert str(out / "out") in done.stdout.replace("\n", "")
    first = (out / "out" / "credit.parquet").read_bytes()
    assert attrib("demo", "--out", out, "--customers", 2000, "--quiet").returncode == 0  # again, and the same
    assert pl.read_parquet(out / "out" / "credit.parquet").equals(pl.read_parquet(first))
    shutil.rmtree(out / "out")
    assert attrib("run", "job.toml", "--quiet", cwd=out).returncode == 0


def test_demo_overwrites_nothing_of_yours(tmp_path):
    (tmp_path / "touchpoints.parquet").write_text("mine")
    done = attrib("demo", "--out", tmp_path)
    assert done.returncode == 2
    assert "already holds touchpoints.parquet" in done.stderr
    assert (tmp_path / "touchpoints.parquet").read_text() == "mine"
