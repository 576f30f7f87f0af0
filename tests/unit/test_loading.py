"""From a job file to methods and stages: names that only the packages above the spec know."""

import inspect
from pathlib import Path

import pytest

import attrib
from attrib.errors import SpecError
from attrib.loading import load
from attrib.spec import InputSpec, IntervalsSpec, JourneysSpec, OutcomeSpec
from attrib.spec_models import is_estimator, read_estimator

INPUT = '[input]\ntouchpoints = "t.parquet"\noutcomes = "o.parquet"\n'
MODELS = Path(__file__).resolve().parents[2] / "models"

SLIPS = {
    "a method of another spelling": (
        '[[models]]\nmethod = "markow"',
        "unknown_method",
        'job.toml: [[models]] no. 1 method "markow" is not known; did you mean markov?; methods: '
        + ", ".join(attrib.METHODS),
    ),
    "a parameter of another spelling": (
        '[[models]]\nmethod = "markov"\nordr = 2',
        "unknown_parameter",
        "job.toml: [[models]] no. 1 ordr is not known; did you mean order?; parameters of markov: order, removal",
    ),
    "a name of another spelling": (
        '[[models]]\nmethod = "linear"\nnam = "x"',
        "unknown_parameter",
        "job.toml: [[models]] no. 1 nam is not known; did you mean name?; parameters of linear: none",
    ),
    "a parameter out of range": (
        '[[models]]\nmethod = "markov"\norder = 9',
        "bad_parameter",
        "job.toml: [[models]] no. 1 markov: order = 9 is not a whole number from 1 to 5",
    ),
    "a parameter of another type": (
        '[[models]]\nmethod = "time_decay"\nhalf_life = 7',
        "bad_duration",
        (
            "job.toml: [[models]] no. 1 time_decay: half_life = 7 is not a duration; "
            'write a whole number with s, m (minutes), h, d or w, such as "30d", or "unlimited"'
        ),
    ),
    "one model twice": (
        '[[models]]\nmethod = "linear"\n[[models]]\nmethod = "linear"',
        "duplicate_model",
        "two models are called 'linear'; give one of them another name, or remove it",
    ),
}


def job(tmp_path, text):
    file = tmp_path / "job.toml"
    file.write_text(INPUT + text)
    return file


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_answered_with_one_sentence(tmp_path, slip):
    text, key, message = SLIPS[slip]
    with pytest.raises(SpecError) as caught:
        load(job(tmp_path, text))
    assert (caught.value.key, str(caught.value)) == (key, message)


def test_a_model_file_that_is_not_there(tmp_path):
    with pytest.raises(SpecError, match=r"model\.toml cannot be read") as caught:
        load(job(tmp_path, '[[models]]\nfile = "nowhere/model.toml"'))
    assert caught.value.key == "no_file"


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in MODELS.glob("*/model.toml")), ids=lambda path: path.name
)
def test_every_shipped_model_loads_and_has_a_card(tmp_path, folder):
    if is_estimator(folder / "model.toml"):
        read_estimator(folder / "model.toml")
    else:
        found = load(job(tmp_path, f'[[models]]\nfile = "{folder.as_posix()}/model.toml"\nname = "it"'))
        assert list(found.methods) == ["it"]
    assert f'name = "{folder.name}"' in (folder / "model.toml").read_text()
    card = (folder / "CARD.md").read_text()
    for heading in ("What it answers", "Estimand", "When it misleads", "Evidence"):
        assert f"## {heading}\n" in card


def test_every_method_has_a_model():
    methods = {
        method for path in MODELS.glob("*/model.toml") for method in attrib.METHODS if f'"{method}"' in path.read_text()
    }
    assert methods == set(attrib.METHODS)


def test_relative_paths_start_at_the_job_file(tmp_path, monkeypatch):
    (tmp_path / "stages.toml").write_text('[[stage]]\nname = "all"\nmilestone = "purchase"\n')
    text = '[[models]]\nmethod = "linear"\n[journeys]\nstages = "stages.toml"\n'
    found = load(job(tmp_path, text))
    assert found.stages.names == ("all",)
    assert found.output == tmp_path / "out"
    assert found.path("t.parquet") == str(tmp_path / "t.parquet")
    assert found.path("s3://bucket/t.parquet") == "s3://bucket/t.parquet"


def test_columns_may_differ_between_the_tables(tmp_path):
    columns = '[input.columns]\ncustomer_id = "user"\n[input.columns.outcomes]\ntimestamp = "Bestelldatum"\n'
    found = load(job(tmp_path, columns + '[[models]]\nmethod = "linear"')).spec.input.columns
    assert found.mapping() == {"customer_id": "user", "outcomes": {"timestamp": "Bestelldatum"}}


@pytest.mark.parametrize(
    ("touchpoints", "outcomes", "folder", "refused"),
    [
        ("data", "o.csv", "data", True),
        ("data", "o.csv", "data/deep/out", True),
        ("data", "o.csv", "data/../out", False),
        ("t.csv", "data", "data/out", True),
        ("data/*.parquet", "o.csv", "data", True),
        ("data/*.parquet", "o.csv", "data/out", False),
        ("data/t*.parquet", "o.csv", "data", False),
        ("data/**/*.parquet", "o.csv", "data/out", True),
        ("t.csv", "credit.csv", ".", True),
        ("t.csv", "o.csv", ".", False),
        ("s3://bucket/t.parquet", "o.csv", "out", False),
    ],
)
def test_results_must_not_become_input(tmp_path, touchpoints, outcomes, folder, refused):
    (tmp_path / "data").mkdir()
    (tmp_path / "job.toml").write_text(
        f'[input]\ntouchpoints = "{touchpoints}"\noutcomes = "{outcomes}"\n'
        f'[[models]]\nmethod = "linear"\n[output]\nfolder = "{folder}"\n'
    )
    assert (load(tmp_path / "job.toml").feeds_on_itself() is not None) == refused


@pytest.mark.parametrize(("costs", "refused"), [("data", True), ("data/out/spend.csv", True), ("costs.csv", False)])
def test_results_must_not_become_costs(tmp_path, costs, refused):
    (tmp_path / "data").mkdir()
    text = f'costs = "{costs}"\n[[models]]\nmethod = "linear"\n[output]\nfolder = "data/out"\n'
    assert (load(job(tmp_path, text)).feeds_on_itself() is not None) == refused


def test_the_full_spec_holds_the_content_of_the_files_it_names(tmp_path):
    text = f'[[models]]\nfile = "{MODELS.as_posix()}/markov-2/model.toml"\n[journeys]\nstages = "three"\n'
    spec = load(job(tmp_path, text)).full_spec()
    assert spec["models"][0]["parameters"]["order"] == 2
    assert [stage["name"] for stage in spec["stages"]["stages"]] == ["awareness", "consideration", "decision"]


@pytest.mark.parametrize(
    ("spec", "function"),
    [
        (JourneysSpec, attrib.Journeys.from_events),
        (InputSpec, attrib.Journeys.from_paths),
        (OutcomeSpec, attrib.InlineOutcome),
        (IntervalsSpec, attrib.credit),
    ],
)
def test_the_defaults_of_the_file_are_those_of_the_interface(spec, function):
    names = {"level": "intervals"}
    interface = inspect.signature(function).parameters
    for key, field in spec.model_fields.items():
        name = names.get(key, key)
        if name in interface and interface[name].default is not inspect.Parameter.empty and key != "columns":
            assert field.default == interface[name].default, key
