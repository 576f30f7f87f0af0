"""docs/experiments.md tells of every key and metric; the experiments of the repository are up to date."""

import re
import tomllib
from typing import get_args

import pytest

from attrib import experiment, spec_experiment
from attrib.experiments.metrics import BETTER
from attrib.experiments.page import WORDS
from attrib.spec import parse

TABLES = {
    "The file": spec_experiment.ExperimentSpec,
    "`[worlds]`": spec_experiment.WorldsSpec,
    "`[intervals]`": spec_experiment.IntervalSpec,
}
KEY = re.compile(r"^\| `([a-z_]+)` \| ([^|]+) \|", re.MULTILINE)


@pytest.fixture(scope="module")
def guide(root):
    return (root / "docs" / "experiments.md").read_text("utf-8")


@pytest.mark.parametrize("heading", TABLES)
def test_every_key_stands_with_its_default(guide, heading):
    section = guide.split(f"### {heading}\n")[1].split("\n##")[0]
    shown, fields = dict(KEY.findall(section)), TABLES[heading].model_fields
    assert set(shown) == set(fields)
    for key, text in shown.items():
        default = fields[key].get_default()
        if text.startswith("`"):
            found = tomllib.loads(f"x = {text.strip('`')}")["x"]
            assert found == (list(default) if isinstance(default, tuple) else default), key
        elif text == "required":
            assert fields[key].is_required(), key


def test_every_metric_is_defined(guide):
    names = set(get_args(spec_experiment.Metric))
    assert names == set(BETTER) == set(WORDS)
    assert {name for name, _ in KEY.findall(guide.split("## Metrics")[1])} == names


def test_the_example_is_an_experiment(guide):
    example = re.search(r"```toml\n(.*?)```", guide, re.DOTALL)[1]
    found = parse(spec_experiment.ExperimentSpec, tomllib.loads(example), "experiment.toml")
    assert len(found.seeds) == 20


def test_experiments_of_the_repository_are_up_to_date(root):
    folders = sorted(file.parent for file in (root / "experiments").glob("*/experiment.toml"))
    assert folders
    assert {folder.name: experiment.check(folder) for folder in folders if experiment.check(folder)} == {}
