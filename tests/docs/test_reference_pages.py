"""docs/jobs.md and docs/methods.md tell of everything there is, and of nothing else."""

import re
import tomllib

import pytest

import attrib
from attrib import spec, spec_models
from attrib.errors import EXIT_CODES
from attrib.spec_models import is_estimator

TABLES = {
    "`[input]`": spec.InputSpec,
    "`[input.columns]`": spec.ColumnsSpec,
    "`[input.outcome]`": spec.OutcomeSpec,
    "`[journeys]`": spec.JourneysSpec,
    "`[[models]]`": spec.ModelSpec,
    "`[intervals]`": spec.IntervalsSpec,
    "`[referral_adjusted]`": spec.ReferralAdjustedSpec,
    "`[retention_adjusted]`": spec.RetentionAdjustedSpec,
    "`[checks]`": spec.ChecksSpec,
    "`[output]`": spec.OutputSpec,
    "`[engine]`": spec.EngineSpec,
    "A model file of the later stages": spec_models.EstimatorFile,
    "`[snapshot]`": spec_models.SnapshotSpec,
    "`[purchases]`": spec_models.PurchasesSpec,
    "`[asked]`": spec_models.AskedSpec,
}
KEY = re.compile(r"^\| `([a-z_]+)` \| ([^|]+) \|", re.MULTILINE)


@pytest.fixture(scope="module")
def jobs(root):
    return (root / "docs" / "jobs.md").read_text("utf-8")


@pytest.mark.parametrize("heading", TABLES)
def test_every_key_stands_with_its_default(jobs, heading):
    section = jobs.split(f"### {heading}\n")[1].split("\n##")[0].split("A stage file")[0]
    shown, fields = dict(KEY.findall(section)), TABLES[heading].model_fields
    assert set(shown) == set(fields) - {"parameters"}
    for key, text in shown.items():
        default = fields[key].get_default(call_default_factory=True)
        if text.startswith("`"):
            found = tomllib.loads(f"x = {text.strip('`')}")["x"]
            assert found == (list(default) if isinstance(default, tuple) else default), key
        else:
            assert fields[key].is_required() or not default or default == spec.ColumnsSpec(), key


def test_the_keys_of_a_stage_column(jobs):
    section = jobs.split("| key of `stages = { … }`")[1].split("\n##")[0]
    assert {key for key, _ in KEY.findall(section)} == set(spec.StageColumnSpec.model_fields)


def test_the_example_is_a_job(jobs):
    example = re.search(r"```toml\n(.*?)```", jobs, re.DOTALL)[1]
    assert spec.parse(spec.JobSpec, tomllib.loads(example), "job.toml").output.folder == "out"


def test_the_example_of_interactions_is_part_of_a_job(jobs):
    example = re.search(r"```toml\n(\[journeys\]\n.*?)```", jobs, re.DOTALL)[1]
    whole = {"input": {"touchpoints": "t", "outcomes": "o"}, "models": [{"method": "linear"}], **tomllib.loads(example)}
    assert spec.parse(spec.JobSpec, whole, "job.toml").journeys.lookback["*"] == "7d"


def test_every_stage_preset_is_named(jobs):
    assert all(f"`{name}`" in jobs for name in attrib.STAGES)


def test_every_rule_of_rejection_is_named(jobs, root):
    source = "".join((root / "src" / "attrib" / file).read_text() for file in ("io/checks.py", "engines/paths.py"))
    rules = set(re.findall(r'pl\.lit\("([a-z_]+)"\)\)', source)) | set(re.findall(r'\badd\(.*, "([a-z_]+)"\)', source))
    assert len(rules) > 15
    assert {rule for rule in rules if f"`{rule}`" not in jobs} == set()


def test_the_exit_codes(jobs):
    for code, meaning in EXIT_CODES.items():
        assert f"| {code} | {meaning} |" in jobs


def test_every_method_and_model_is_on_its_page(root):
    pages = {name: (root / "docs" / f"{name}.md").read_text("utf-8") for name in ("methods", "later-stages")}
    page = pages["methods"]
    for name, method in attrib.METHODS.items():
        assert f"| `{name}` |" in page
        assert f"attrib.{method.__name__}(" in page
    for card in (root / "models").glob("*/CARD.md"):
        of = "later-stages" if is_estimator(card.parent / "model.toml") else "methods"
        assert f"../models/{card.parent.name}/CARD.md" in pages[of]
