"""Adjusted credit from a job file: the same as in Python, in files that come and go together."""

from __future__ import annotations

import json

import polars as pl
import pytest

import attrib
from attrib import job
from attrib.errors import DataError, SpecError
from stories import rows
from strategies import to_frames

STORY = """
    ann  1ad 2mail      | 3purchase=100 5purchase=4
    bob  4referral 5ad  | 6purchase=40
    cyd  7referral      | 8purchase=20
    dan  7ad            | 9purchase=1
"""
JOB = """
    [input]
    touchpoints = "touches.parquet"
    outcomes = "orders.parquet"
    [journeys]
    lookback = "unlimited"
    [[models]]
    method = "linear"
    [[models]]
    method = "markov"
    [[models]]
    name = "ours"
    method = "shapley"
    [intervals]
    replicates = 20
"""
REFERRAL = "[referral_adjusted]\npass_on = 0.25\n"
RETENTION = '[retention_adjusted]\nvalues = "worth.csv"\n'


@pytest.fixture
def folder(tmp_path):
    touched, reached = rows(STORY)
    for row in reached:
        row["referrer_id"] = {"bob": "ann", "cyd": "bob", "dan": "dan"}.get(row["customer_id"])
    for name, frame in zip(("touches", "orders"), to_frames(touched, reached), strict=True):
        frame.write_parquet(tmp_path / f"{name}.parquet")
    worth = pl.DataFrame({"customer_id": ["ann", "bob", "cyd", "dan"], "value": [300.0, 50.0, 20.0, 2.0]})
    worth.write_csv(tmp_path / "worth.csv")
    return tmp_path


def loaded(folder, text):
    (folder / "job.toml").write_text(text)
    return job.load(folder / "job.toml")


def test_the_files_hold_what_python_says(folder):
    asked = loaded(folder, JOB + REFERRAL + RETENTION)
    found = job.run(asked)
    journeys = attrib.Journeys.from_events(folder / "touches.parquet", folder / "orders.parquet", lookback=None)
    common = {"replicates": 20}
    for name, method in (("linear", attrib.Linear()), ("ours", attrib.Shapley())):
        one = attrib.referral_adjusted(journeys, method, pass_on=0.25, **common)
        other = attrib.retention_adjusted(journeys, method, values=folder / "worth.csv", **common)
        for file, wanted in (
            ("referral_adjusted", one.table), ("referral_adjusted_summary", one.summary),
            ("retention_adjusted", other.table), ("retention_adjusted_summary", other.summary),
        ):  # fmt: skip
            read = pl.read_parquet(folder / "out" / f"{file}.parquet").filter(method=name)
            assert read.equals(found.adjusted[file].filter(method=name))
            assert read.drop("method").equals(wanted.drop("method", strict=False))
        rejected = pl.read_parquet(folder / "out" / "referral_adjusted_rejected.parquet")
        assert rejected.equals(one.rejected)
        assert rejected["reason"].to_list() == ["self_referral"]
    assert set(found.adjusted["referral_adjusted"]["method"]) == {"linear", "ours"}
    assert any("without markov" in warning for warning in found.warnings)
    record = json.loads((folder / "out" / "run.json").read_text())
    assert {"referral_adjusted.csv", "retention_adjusted.csv"} <= set(record["files"])
    assert record["inputs"][-1]["files"][0]["file"] == "worth.csv"
    assert record["spec"]["referral_adjusted"] == {"channel": ["referral"], "pass_on": 0.25, "values": None}
    assert job.check(asked).warnings == found.warnings


def test_an_empty_table_asks_for_the_defaults_and_values_may_be_given(folder):
    plain = job.run(loaded(folder, JOB + "[referral_adjusted]\n"), write=False).adjusted
    assert "retention_adjusted" not in plain
    valued = job.run(loaded(folder, JOB + '[referral_adjusted]\nvalues = "worth.csv"\n'), write=False).adjusted
    sums = valued["referral_adjusted"].group_by("method").agg(pl.col("direct", "referral_adjusted").sum())
    assert sums["direct"].to_list() == pytest.approx([372.0] * 2)
    assert sums["referral_adjusted"].to_list() == pytest.approx([372.0] * 2)
    assert plain["referral_adjusted"].filter(method="linear")["direct"].sum() == pytest.approx(165.0)


def test_nothing_of_an_earlier_run_stays_behind(folder):
    job.run(loaded(folder, JOB + REFERRAL + RETENTION))
    assert len(list((folder / "out").glob("re*_adjusted*"))) == 7
    found = job.run(loaded(folder, JOB))
    assert found.adjusted == {}
    assert not list((folder / "out").glob("re*_adjusted*"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (JOB + "[referral_adjusted]\npass_on = 1.5\n", "pass_on"),
        (JOB + "[referral_adjusted]\nchannel = []\n", "channel"),
        (JOB + "[referral_adjusted]\npas_on = 1\n", "did you mean"),
        (JOB + "[retention_adjusted]\n", "values is missing"),
        (JOB.replace('lookback = "unlimited"', 'stages = "five"') + REFERRAL, 'view = "resolved"'),
        (JOB + REFERRAL + '[engine]\nkind = "spark"\n', "on one machine"),
        ('[input]\npaths = "p.csv"\n[[models]]\nmethod = "linear"\n' + RETENTION, "a path table has no customers"),
        (JOB.replace("linear", "markov").replace('method = "shapley"', 'method = "markov"\norder = 2')
         .replace('method = "markov"', 'name = "first"\nmethod = "markov"', 1) + REFERRAL, "no share for a touch"),
        (JOB + '[retention_adjusted]\nvalues = "out/*.parquet"\n', None),
    ],
)  # fmt: skip
def test_jobs_that_make_no_sense(folder, text, words):
    with pytest.raises(SpecError, match=words) as error:
        job.run(loaded(folder, text))
    assert words is not None or error.value.key == "output_in_input"


def test_data_that_cannot_answer(folder):
    pl.read_csv(folder / "worth.csv").head(2).write_csv(folder / "worth.csv")
    for command in (job.check, job.run):
        with pytest.raises(DataError) as error:
            command(loaded(folder, JOB + RETENTION))
        assert error.value.key == "values_missing"
    pl.read_parquet(folder / "orders.parquet").drop("referrer_id").write_parquet(folder / "orders.parquet")
    for command in (job.check, job.run):
        with pytest.raises(DataError, match="referrer_id"):
            command(loaded(folder, JOB + REFERRAL))
    assert not (folder / "out" / "credit.parquet").exists()
