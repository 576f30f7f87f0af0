"""attrib fit, score and evaluate, as processes and as functions; model files with slips."""

import json
import re
import subprocess
import sys
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

import attrib
from attrib import modelling
from attrib.errors import AttribError, AttribWarning, DataError, SpecError
from attrib.lifecycle import drift, open_model, save
from attrib.lifecycle.saving import storage
from attrib.lifecycle.tables import rows_at, split_dates
from attrib.snapshots.events import read_events
from attrib.spec import parse
from attrib.spec_models import EstimatorFile, SnapshotSpec, read_data, read_estimator

END = datetime.fromisoformat("2024-06-01")
SNAPSHOT = '[snapshot]\nwindow = "90d"\ngap = "3d"\nhorizon = "30d"\ndates = 2\n'
MODELS = {
    "logistic": f'estimator = "churn_classifier"\n{SNAPSHOT}churn = "silent"\nstages = "five"\n',
    "boosting": 'estimator = "churn_classifier"\n[parameters]\nmodel = "boosting"\nmax_iter = 10\n'
    f'{SNAPSHOT}churn = "silent"\n',
    "cox": f'estimator = "survival_churn"\n{SNAPSHOT}target = "purchase"\n',
    "curve": f'estimator = "survival_churn"\n[parameters]\nmodel = "kaplan_meier"\n{SNAPSHOT}target = "purchase"\n',
    "brought": f'estimator = "referral_likelihood"\n[parameters]\ncheck_leaks = false\n{SNAPSHOT}',
    "tenure": f'estimator = "survival_churn"\n{SNAPSHOT}target = "purchase"\nclock = "tenure"\n',
    "orders": 'estimator = "gamma_gamma"\n',
    "best": 'estimator = "auto"\n[parameters]\nmodels = ["modified_beta_geo_nbd", "pareto_nbd"]\nfolds = 2\n',
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make the data, a job file without models, and model files."""
    place = tmp_path_factory.mktemp("models")
    data = attrib.synth.generate(customers=2500, seed=1)
    data.touchpoints.write_parquet(place / "touchpoints.parquet")
    data.outcomes.write_parquet(place / "outcomes.parquet")
    (place / "job.toml").write_text('[input]\ntouchpoints = "touchpoints.parquet"\noutcomes = "outcomes.parquet"\n')
    for name, text in MODELS.items():
        (place / f"{name}.toml").write_text(f'name = "{name}"\n{text}')
    return place


def run(*arguments, cwd):
    command = [sys.executable, "-m", "attrib", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=cwd)


def test_from_a_model_file_to_scores_and_tables(folder):
    done = run("fit", "boosting.toml", "--data", "job.toml", "--out", "saved", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "boosting: fitted to" in done.stdout
    assert "by acquisition_channel" in done.stdout
    written = {file.name for file in (folder / "saved").iterdir()}
    assert {"model.json", "run.json", "metrics.csv", "leaks.csv"} <= written

    done = run("score", "saved", "--data", "job.toml", "--out", "scores", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    scores = pl.read_parquet(folder / "scores" / "scores.parquet")
    assert scores.columns == ["customer_id", "date", "score", "model", "fingerprint"]
    assert record["rows"] == scores.height
    assert record["model"]["fingerprint"] == scores["fingerprint"][0] == open_model(folder / "saved").fingerprint
    assert {file["table"] for file in record["inputs"]} == {"touchpoints", "outcomes"}
    assert json.loads((folder / "scores" / "run.json").read_text())["files"] == ["scores.parquet", "scores.csv"]

    done = run("evaluate", "saved", "--data", "job.toml", "--out", "judged", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "of rows not seen, with 95 % intervals over customers" in done.stdout
    metrics = pl.read_csv(folder / "judged" / "metrics.csv")
    assert {"auc", "pr_auc", "brier", "log_loss", "ece", "expected_maximum_profit"} <= set(metrics["metric"])
    fitted = pl.read_csv(folder / "saved" / "metrics.csv")
    assert metrics.equals(fitted)  # the same dates, and predictions equal to the bit


def test_faults_are_one_message_and_an_exit_code(folder):
    for arguments, code, message in (
        (("fit", "nowhere.toml", "--data", "job.toml", "--out", "x"), 2, "nowhere.toml cannot be read"),
        (("score", "nowhere", "--data", "job.toml", "--out", "x"), 3, "model.json cannot be read"),
        (("evaluate", ".", "--data", "job.toml"), 3, "next step: give the folder of a saved model"),
    ):
        done = run(*arguments, cwd=folder)
        assert done.returncode == code
        assert message in done.stderr.replace("\n", " ")
        assert "Traceback" not in done.stderr
    assert not (folder / "x").exists()


@pytest.mark.parametrize("name", MODELS)
def test_every_estimator_goes_all_the_way(folder, name, tmp_path):
    fitted = modelling.fit(folder / f"{name}.toml", folder / "job.toml", tmp_path / "saved")
    assert "metrics" in fitted.tables
    said = [one["message"] + "; " + one["hint"] + f" [{one['key']}]" for one in fitted.record["findings"]]
    assert said == [text for text in fitted.record["warnings"] if text.endswith("]")]
    scored = modelling.score(tmp_path / "saved", folder / "job.toml", tmp_path / "scores.parquet")
    assert sorted(file.name for file in scored.files) == ["scores.parquet", "scores.run.json"]
    table = pl.read_parquet(tmp_path / "scores.parquet")
    assert table["customer_id"].is_unique().all()
    assert table["score"].is_finite().all()
    if name not in ("orders", "best"):  # amounts, not chances
        assert table["score"].is_between(0, 1).all()
    judged = modelling.evaluate(tmp_path / "saved", folder / "job.toml", replicates=200)
    assert judged.files == ()
    assert judged.tables["metrics"].equals(fitted.tables["metrics"])
    if name == "logistic":
        assert {"stage", "acquisition_channel"} <= set(judged.tables["metrics"]["by"].drop_nulls())
    if name in ("cox", "curve", "tenure"):
        assert {"concordance", "integrated_brier", "auc"} <= set(judged.tables["metrics"]["metric"])


def test_the_metrics_are_those_of_snapshots_made_by_hand(folder, tmp_path):
    modelling.fit(folder / "logistic.toml", folder / "job.toml", tmp_path)
    saved = open_model(tmp_path)
    day = datetime.fromisoformat(saved.snapshot["test"][0])
    tables = [pl.read_parquet(folder / f"{name}.parquet") for name in ("touchpoints", "outcomes")]
    rows = attrib.snapshot(
        *tables, at=day, window="90d", gap="3d", horizon="30d", churn="silent", stages="five",
        population="customers", channels=saved.snapshot["channels"],
    )  # fmt: skip
    auc = saved.model.score(rows, rows["label"])
    assert np.isclose(saved.metrics[0]["value"], auc)
    last = max(map(datetime.fromisoformat, saved.snapshot["train"]))
    assert last + timedelta(days=33) < day
    scores = modelling.score(tmp_path, folder / "job.toml", tmp_path / "s.csv", at=day.isoformat()).tables["scores"]
    joined = scores.join(rows.select("customer_id"), on="customer_id")
    wanted = rows.with_columns(p=saved.model.predict_proba(rows)[:, 1]).sort("customer_id")["p"]
    assert np.array_equal(joined.sort("customer_id")["score"], wanted)


def test_referrals_are_counted_in_the_label_window():
    def day(n):
        return datetime.fromisoformat("2024-01-01") + timedelta(days=n)

    rows = [(1, 0, None), (2, 12, 1), (3, 41, 1), (4, 13, 1), (4, 15, 1), (5, 11, 1), (6, 14, 2), (7, 20, 7)]
    outcomes = pl.DataFrame(
        {
            "customer_id": [who for who, _, _ in rows],
            "timestamp": [day(when) for _, when, _ in rows],
            "outcome": "purchase",
            "referrer_id": [by for _, _, by in rows],
        }
    )
    touches = pl.DataFrame({"customer_id": [1, 2, 7], "timestamp": [day(0), day(1), day(2)], "channel": "ad"})
    asked = SnapshotSpec(gap="1d", horizon="30d").model_dump()
    found = rows_at(read_events(touches, outcomes, None, (), 0.05), asked, [day(10)], "train", referrals=True)
    counts = dict(zip(found.keys["customer_id"], found.labels["count"], strict=True))
    assert counts == {1: 3, 2: 1, 7: 0}  # 5 came in the gap (at its end), 3 on the last day; 4 counts once


def test_dates_that_have_been_seen_are_told(folder, tmp_path):
    modelling.fit(folder / "logistic.toml", folder / "job.toml", tmp_path)
    early = open_model(tmp_path).snapshot["train"][-1]
    done = modelling.evaluate(tmp_path, folder / "job.toml", at=[early], replicates=0)
    assert any(
        "has seen these times, and its metrics look better than they would on new data" in note
        for note in done.warnings
    )
    assert done.record["dates_seen"] == [early]
    done = run("evaluate", tmp_path, "--data", "job.toml", "--at", early, cwd=folder)
    assert "of a time that training has seen, with 95 % intervals" in done.stdout
    assert "not seen" not in done.stdout


def test_dates_between_are_left_out():
    asked = SnapshotSpec(gap="1d", horizon="30d", at=("2024-01-01", "2024-02-20", "2024-03-01")).model_dump()
    with pytest.warns(AttribWarning, match="1 dates are left out, for their labels reach into the test: 2024-02-20"):
        found = split_dates(asked, END)
    assert (found.train, found.test) == (
        (datetime.fromisoformat("2024-01-01"),),
        (datetime.fromisoformat("2024-03-01"),),
    )
    with pytest.raises(SpecError, match="no date is over before the test begins"):
        split_dates({**asked, "at": ("2024-02-20", "2024-03-01")}, END)
    with pytest.raises(SpecError, match="leave none to learn from"):
        split_dates({**asked, "at": ("2024-02-20",)}, END)
    assert split_dates({**asked, "test_dates": 0}, END).test == ()


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ('estimator = "churn_clasifier"', "bad_value", 'not "churn_clasifier"; did you mean churn_classifier?'),
        ('estimator = "gamma_gamma"\nestimater = 1', "unknown_key", "did you mean estimator?"),
        ('estimator = "gamma_gamma"\n[snapshot]', "excluded_key", "gamma_gamma learns from purchases"),
        ('estimator = "churn_classifier"\n[purchases]', "excluded_key", "churn_classifier learns from snapshots"),
        ('estimator = "churn_classifier"', "missing_key", "[snapshot] needs churn"),
        ('estimator = "referral_likelihood"\n[snapshot]\nhorizn = "3d"', "unknown_key", "did you mean horizon?"),
        (
            'estimator = "referral_likelihood"\n[snapshot]\nat = [2024-01-01]\nevery = "3d"',
            "excluded_key",
            "every does not belong here: at names the dates",
        ),
        ('estimator = "referral_likelihood"\n[snapshot]\ndates = 0', "bad_value", "must be at least 1"),
        (
            'estimator = "referral_likelihood"\n[asked]',
            "missing_key",
            "[asked] needs one of channel, interaction and outcome",
        ),
        (
            'estimator = "referral_likelihood"\n[asked]\nchannel = "a"\noutcome = "b"',
            "missing_key",
            "[asked] needs one of channel, interaction and outcome",
        ),
        ('estimator = "referral_likelihood"\n[asked]\nchanel = "a"', "unknown_key", "did you mean channel?"),
        (
            'estimator = "referral_likelihood"\n[asked]\nchannel = "a"\npropensity = 1.5',
            "bad_value",
            "[asked] propensity must be a number between 0 and 1, or the name of a column",
        ),
        ('estimator = "gamma_gamma"\n[asked]\nchannel = "a"', "excluded_key", "it is for referral_likelihood"),
        (
            'estimator = "churn_classifier"\n[snapshot]\nchurn = "silent"\nclock = "tenure"',
            "excluded_key",
            "[snapshot] clock does not belong here: it is for survival_churn",
        ),
        ('estimator = "survival_churn"\n[snapshot]\nchurn = "c"\nclock = "tenur"', "bad_value", "did you mean tenure?"),
        (
            'estimator = "survival_churn"\n[snapshot]\nchurn = "c"\npopulation = "customer"',
            "bad_value",
            "did you mean customers?",
        ),
        (
            'estimator = "referral_likelihood"\n[snapshot]\nchurn = "silent"',
            "excluded_key",
            "name the outcome after which customers are gone",
        ),
    ],
)
def test_slips_in_a_model_file(tmp_path, text, key, message):
    (tmp_path / "model.toml").write_text(f'name = "m"\n{text}\n')
    with pytest.raises(SpecError) as error:
        read_estimator(tmp_path / "model.toml")
    assert error.value.key == key
    assert message in str(error.value)


def test_slips_that_only_the_estimator_knows(folder, tmp_path):
    for text, message in (
        ('estimator = "gamma_gamma"\n[parameters]\nC = 1', "parameters of gamma_gamma: no_mean, cap"),
        (f'estimator = "churn_classifier"\n[parameters]\nmodl = 1\n{SNAPSHOT}target = "a"', "did you mean model?"),
        (f'estimator = "churn_classifier"\n[parameters]\nmodel = "x"\n{SNAPSHOT}target = "visit"', "'x' is not one of"),
        (f'estimator = "churn_classifier"\n{SNAPSHOT}target = "a"\nstages = "s.toml"', "is a file"),
        (
            f'estimator = "churn_classifier"\n{SNAPSHOT}churn = "visits"',
            "'visits': no outcome of the data is called so; did",
        ),
        (
            f'estimator = "survival_churn"\n{SNAPSHOT}churn = "cancel"',
            "occur: intent, purchase, referral, visit; where none",
        ),
        (
            'estimator = "gamma_gamma"\n[purchases]\ntarget = "buy"',
            "target = 'buy': no outcome of the data is called so",
        ),
        (f'estimator = "referral_likelihood"\n{SNAPSHOT}[asked]\nchannel = "displai"', "did you mean display"),
        (
            f'estimator = "survival_churn"\n[parameters]\nmodel = "time_varying_cox"\n{SNAPSHOT}target = "a"',
            "in Python",
        ),
    ):
        (tmp_path / "model.toml").write_text(f'name = "m"\n{text}\n')
        with pytest.raises(SpecError, match=message):
            modelling.fit(tmp_path / "model.toml", folder / "job.toml", tmp_path / "out")
    (tmp_path / "paths.toml").write_text('[input]\npaths = "p.csv"\n')
    with pytest.raises(SpecError, match="neither customers nor times"):
        modelling.fit(folder / "orders.toml", tmp_path / "paths.toml", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_dates_may_stand_without_quotes():
    import tomllib

    text = 'name = "m"\nestimator = "referral_likelihood"\n[snapshot]\nat = [2024-01-01, "2024-02-01"]'
    spec = parse(EstimatorFile, tomllib.loads(text), "model.toml")
    assert spec.snapshot.at == ("2024-01-01", "2024-02-01")


def test_a_job_file_with_models_is_data_too(tmp_path):
    (tmp_path / "job.toml").write_text(
        '[input]\ntouchpoints = "t.csv"\noutcomes = "o.csv"\n[[models]]\nmethod = "linear"'
    )
    assert read_data(tmp_path / "job.toml").input.touchpoints == "t.csv"


UNUSED = """
[[models]]
method = "markof"
[intervals]
replicates = "many"
[referral_adjusted]
pass_on = 7
[retention_adjusted]
valuez = "v.csv"
[output]
foldr = 3
[engine]
kind = "abacus"
"""


def test_sections_that_a_fit_does_not_use_do_not_stop_it(folder, tmp_path):
    """Faults of crediting and of costs matter to attrib run, which finds them."""
    columns = '[input.columns]\ncustomer_id = "customer_id"\n[input.columns.costs]\ncots = "spent"\n'
    journeys = '[journeys]\nlookback = 30\nview = "sideways"\nplayer = []\nmax_rejects = 0.5\n'
    files = [f'{name} = "{folder / name}.parquet"\n' for name in ("touchpoints", "outcomes")]
    job = tmp_path / "job.toml"
    job.write_text("[input]\n" + "".join(files) + 'costs = "gone.csv"\n' + columns + journeys + UNUSED)
    done = run("fit", folder / "orders.toml", "--data", job, "--out", tmp_path / "saved", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for command in (("score", tmp_path / "saved", "--out", tmp_path / "s.csv"), ("evaluate", tmp_path / "saved")):
        assert run(*command, "--data", job, cwd=tmp_path).returncode == 0
    assert run("run", job, cwd=tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[journeys]", "[jurneys]", "jurneys is not known; did you mean journeys?"),
        ("[[models]]", "[[model]]", "model is not known; did you mean models?"),
        ("max_rejects", "max_reject", "max_reject is not known; did you mean max_rejects?"),
        ("0.5", "5", "max_rejects"),
        ("touchpoints =", "touchpoint =", "touchpoint is not known; did you mean touchpoints?"),
        ("lookback", "look_back", "look_back is not known; did you mean lookback?"),
    ],
)
def test_slips_where_a_fit_reads_are_found(tmp_path, old, new, message):
    text = '[input]\ntouchpoints = "t"\noutcomes = "o"\n[journeys]\nlookback = 3\nmax_rejects = 0.5\n[[models]]\n'
    (tmp_path / "job.toml").write_text(text)
    read_data(tmp_path / "job.toml")
    (tmp_path / "job.toml").write_text(text.replace(old, new))
    with pytest.raises(SpecError, match=re.escape(message)):
        read_data(tmp_path / "job.toml")


def test_a_model_whose_snapshot_was_changed(folder, tmp_path):
    modelling.fit(folder / "orders.toml", folder / "job.toml", tmp_path)
    about = json.loads((tmp_path / "model.json").read_text())
    for snapshot in ({}, {"unit": 3}, {"more": 1}):
        changed = about | {"snapshot": snapshot}
        changed["sha256"] = storage.sha256(
            storage.canonical({key: value for key, value in changed.items() if key != "sha256"})
        )
        (tmp_path / "model.json").write_text(json.dumps(changed))
        with pytest.raises(AttribError):
            modelling.score(tmp_path, folder / "job.toml", tmp_path / "scores")


def test_nobody_at_that_date(folder, tmp_path):
    modelling.fit(folder / "logistic.toml", folder / "job.toml", tmp_path)
    with pytest.raises(DataError, match="no customer can be looked at on 1999-01-01"):
        modelling.score(tmp_path, folder / "job.toml", tmp_path / "scores", at="1999-01-01")


def test_the_date_of_scores_is_the_midnight_after_the_last_event(folder, tmp_path):
    modelling.fit(folder / "orders.toml", folder / "job.toml", tmp_path / "saved")
    done = modelling.score(tmp_path / "saved", folder / "job.toml", tmp_path / "scores")
    assert (done.record["date"], done.record["date_given"]) == ("2026-01-01T00:00:00", False)
    assert done.tables["scores"]["date"].unique().to_list() == [datetime.fromisoformat("2026-01-01")]
    done = modelling.score(tmp_path / "saved", folder / "job.toml", tmp_path / "scores", at="2025-12-01")
    assert (done.record["date"], done.record["date_given"]) == ("2025-12-01T00:00:00", True)


def test_commands_replace_their_own_files_only(folder, tmp_path):
    fit, score, evaluate = modelling.fit, modelling.score, modelling.evaluate
    job, saved = folder / "job.toml", tmp_path / "saved"
    fit(folder / "logistic.toml", job, saved)
    first = {file.name: file.read_bytes() for file in saved.iterdir()}
    with pytest.raises(
        SpecError, match="holds the model 'logistic', not 'orders'; choose another --out, or give --over"
    ):
        fit(folder / "orders.toml", job, saved)
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == first
    fit(folder / "logistic.toml", job, saved)  # the same again
    assert (saved / "model.json").read_bytes() == first["model.json"]
    fit(folder / "orders.toml", job, saved, overwrite=True)
    left = {file.name for file in saved.iterdir()}
    tables = {name for name in left if not name.startswith("arrays-")}
    assert tables == {"model.json", "metrics.csv", "run.json"}  # nothing of the other model stays
    assert len(left) == 4
    for write in (
        lambda: score(saved, job, saved),
        lambda: evaluate(saved, job, out=saved),
        lambda: score(saved, job, folder / "touchpoints.parquet"),
    ):
        with pytest.raises(SpecError, match=r"that this command has not written|would become input|holds the model"):
            write()
    assert {file.name for file in saved.iterdir()} == left
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for name, text in (("metrics.csv", "mine"), ("run.json", '{"files": ["credit.csv"]}'), ("model.json", "{}")):
        (theirs / name).write_text(text)
        with pytest.raises(SpecError, match=r"not written|not of a saved model"):
            fit(folder / "orders.toml", job, theirs, overwrite=True)
        assert [file.read_text() for file in theirs.iterdir()] == [text]
        (theirs / name).unlink()
    for _ in range(2):
        score(saved, job, tmp_path / "scores.csv")
    (tmp_path / "other.csv").write_text("mine")
    with pytest.raises(SpecError, match=r"not written: other.csv"):
        score(saved, job, tmp_path / "other.csv")


def test_a_model_of_tenure_is_conditional_on_it(folder, tmp_path):
    modelling.fit(folder / "tenure.toml", folder / "job.toml", tmp_path / "saved")
    saved = open_model(tmp_path / "saved")
    assert "tenure" not in saved.features
    scores = modelling.score(tmp_path / "saved", folder / "job.toml", tmp_path / "s", at="2025-11-01").tables["scores"]
    tables = [pl.read_parquet(folder / f"{name}.parquet") for name in ("touchpoints", "outcomes")]
    rows = attrib.snapshot(
        *tables, at="2025-11-01", window="90d", gap="3d", horizon="30d", target="purchase", purpose="score",
        channels=saved.snapshot["channels"],
    )  # fmt: skip
    then, after = rows["tenure"].to_numpy() + 3, []
    for number in range(0, rows.height, 250):
        curve = saved.model.predict_survival(rows[number], [then[number], then[number] + 30])[0]
        after.append(1 - curve[1] / curve[0])
    assert np.allclose(scores["score"].to_numpy()[::250], after)


def test_data_that_hold_too_little_say_so(folder, tmp_path):
    for text, message in (
        ('horizon = "500d"\nchurn = "silent"', "the data reach from 2025-01-0. to 2025-12-31"),
        (
            'at = [2025-05-01, 2025-12-20]\nchurn = "silent"\npopulation = "everyone"',
            "2025-12-31, and labels look 97 days ahead",
        ),
        ('horizon = "1s"\ntarget = "referral"', "none of .* rows at 6 dates from .* has it in the label window"),
    ):
        (tmp_path / "model.toml").write_text(f'name = "m"\nestimator = "churn_classifier"\n[snapshot]\n{text}\n')
        with pytest.raises(DataError, match=message):
            modelling.fit(tmp_path / "model.toml", folder / "job.toml", tmp_path / "out")


def test_drift_without_training_data_is_told(folder, tmp_path):
    modelling.fit(folder / "orders.toml", folder / "job.toml", tmp_path / "a")
    saved = open_model(tmp_path / "a")
    save(saved.model, tmp_path / "b", snapshot=saved.snapshot)
    done = modelling.score(tmp_path / "b", folder / "job.toml", tmp_path / "s")
    assert "drift" not in done.tables
    assert any("the model was saved without its training data" in note for note in done.warnings)
    with pytest.raises(DataError, match="drift from what"):
        drift(open_model(tmp_path / "b").profile, pl.DataFrame({"a": [1]}))


def test_links_between_ids_are_as_good_as_one_id(folder, tmp_path):
    """Every other touch under an id of its own, and links; against tables that name each customer alike."""
    touches, outcomes = (pl.read_parquet(folder / f"{name}.parquet") for name in ("touchpoints", "outcomes"))
    own = pl.col("customer_id") + 1_000_000
    split = touches.with_columns(
        customer_id=pl.when(pl.int_range(pl.len()) % 2 == 0).then("customer_id").otherwise(own)
    )
    referred = outcomes.with_columns(referrer_id=pl.col("referrer_id") + 1_000_000)
    links = touches.select(other_id="customer_id").unique().with_columns(id=pl.col("other_id") + 1_000_000)
    more = referred.select(id="referrer_id", other_id=pl.col("referrer_id") - 1_000_000).drop_nulls().unique()
    links = pl.concat([links.select("id", "other_id"), more]).unique()
    odd = referred.with_columns(refund_amount=pl.int_range(pl.len()) % 7)  # which nobody reads
    for name, table in (("touchpoints", split), ("outcomes", odd), ("links", links)):
        table.write_parquet(tmp_path / f"{name}.parquet")
    text = (folder / "job.toml").read_text()
    (tmp_path / "linked.toml").write_text(text + 'identities = "links.parquet"\n')
    wanted = modelling.fit(folder / "brought.toml", folder / "job.toml", tmp_path / "wanted")
    linked = modelling.fit(folder / "brought.toml", tmp_path / "linked.toml", tmp_path / "linked")
    assert linked.tables["metrics"].equals(wanted.tables["metrics"])
    assert [one["table"] for one in linked.record["inputs"]] == ["touchpoints", "outcomes", "identities"]
    assert [one["key"] for one in linked.record["findings"]] == ["unread_columns"]
    assert wanted.record["findings"] == []
    asked = {"at": "2025-06-01", "target": "referral"}
    one = attrib.snapshot(touches, outcomes, **asked)
    assert one["label"].sum() > 0
    assert attrib.snapshot(split, referred, **asked, identities=links).equals(one)
    assert not attrib.snapshot(split, referred, **asked).equals(one)
    (tmp_path / "linked.toml").write_text(text + 'identities = "gone.parquet"\n')
    with pytest.raises(DataError, match=r"gone\.parquet"):
        modelling.fit(folder / "brought.toml", tmp_path / "linked.toml", tmp_path / "gone")
