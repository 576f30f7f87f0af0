"""The table of methods for the tests is whole: every method, every law, every counter-example."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import attrib
from attrib.loading import build_method
from attrib.spec import read_model
from attrib.spec_models import is_estimator
from method_table import ALL_LAWS, VARIANTS

MODELS = Path(__file__).resolve().parents[2] / "models"
OF_CREDIT = sorted(folder for folder in MODELS.iterdir() if not is_estimator(folder / "model.toml"))


@pytest.fixture(scope="module")
def property_tests(root) -> dict[str, str]:
    """Functions of tests/property by file and name, with their sources."""
    found = {}
    for file in sorted((root / "tests" / "property").glob("test_*.py")):
        source = file.read_text("utf-8")
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef):
                found[file.name, node.name] = ast.get_source_segment(source, node)
    return found


def test_every_method_has_a_row():
    known = {type(row.method) for row in VARIANTS.values()}
    missing = [name for name, method in attrib.METHODS.items() if method not in known]
    assert not missing, (
        f"methods without a row in tests/method_table.py: {missing}. Add one for every variant: its twin, the laws "
        "that it breaks, each with a test in tests/property/test_counter_examples.py, and those that do not apply; "
        "then run: pytest tests/docs --overwrite-goldens"
    )


@pytest.mark.parametrize("folder", OF_CREDIT, ids=lambda folder: folder.name)
def test_every_shipped_model_has_a_row(folder):
    """Of its kind: lengths, shares and durations may differ, what the number means may not."""
    model = read_model(folder / "model.toml")
    method = build_method(model.method, model.parameters, folder.name)

    def kind(one: attrib.methods.Method) -> tuple[object, ...]:
        return type(one), *(getattr(one, name, None) for name in ("order", "removal", "worth", "samples"))

    assert kind(method) in [kind(row.method) for row in VARIANTS.values()]


def test_every_method_is_a_public_name():
    missing = [method.__name__ for method in attrib.METHODS.values() if method.__name__ not in attrib.__all__]
    assert not missing, f"methods that src/attrib/__init__.py does not list: {missing}"


def test_rows_name_laws_that_there_are():
    laws = {law.name for law in ALL_LAWS}
    for name, row in VARIANTS.items():
        assert {*row.breaks, *row.beside} <= laws, name
        assert not set(row.breaks) & set(row.beside), name


def test_every_no_has_its_counter_example_and_every_counter_example_its_no(property_tests):
    in_file = {name for file, name in property_tests if file == "test_counter_examples.py"}
    tests = {name for name in in_file if name.startswith("test_")}
    named = {test for row in VARIANTS.values() for test in row.breaks.values()}
    named |= {test for law in ALL_LAWS for test in law.provisos}
    assert named - tests == set(), "the table names counter-examples that are not there"
    assert tests - named == set(), "counter-examples that no row of the table names"


@pytest.mark.parametrize("law", [law.name for law in ALL_LAWS])
def test_every_law_is_tried_on_drawn_data(property_tests, law):
    assert [name for (_, name), source in property_tests.items() if f'keeping("{law}"' in source], (
        f'nothing in tests/property credits keeping("{law}")'
    )
