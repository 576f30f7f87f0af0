"""Every shipped model: it loads, runs, and gives the numbers it gave when they were last looked at.

The data are generated here and not stored. A change of the golden tables is a change of numbers: rewrite them on
purpose with ``pytest tests/golden --overwrite-goldens``, look at the difference, and say why in the changelog.
"""

import io
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import attrib
from attrib.loading import build_method
from attrib.spec import read_model
from attrib.spec_models import is_estimator

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted(path.parent for path in (ROOT / "models").glob("*/model.toml") if not is_estimator(path))
GOLDENS = Path(__file__).parent
DATA = {"customers": 2_000, "seed": 7}
JOURNEYS = {"stages": "three", "lookback": "30d"}
FITTED = ("additive-hazard", "bagged-logistic", "incremental")  # searched for, step by step
INTERVALS = {"intervals": 0.9, "replicates": 40, "seed": 3}


@cache
def journeys():
    data = attrib.synth.generate(**DATA)
    return attrib.Journeys.from_events(data.touchpoints, data.outcomes, **JOURNEYS)


def provenance() -> list[str]:
    read = journeys().reconcile().filter(pl.col("table").is_in(("touchpoints", "outcomes")), entry="in")
    rows = {row["table"]: row["rows"] for row in read.to_dicts()}
    return [
        "# written by: pytest tests/golden --overwrite-goldens (tests/golden/test_models.py)",
        f"# data: attrib.synth.generate({spell(DATA)}): {spell(rows)} rows",
        f"# journeys: Journeys.from_events({spell(JOURNEYS)})",
        f"# credit: attrib.credit({spell(INTERVALS)})",
    ]


def spell(settings: dict) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in settings.items())


def computed(folder: Path) -> pl.DataFrame:
    model = read_model(folder / "model.toml")
    method = build_method(model.method, model.parameters, folder.name)
    return attrib.credit(journeys(), {model.name: method}, **INTERVALS)


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_a_model_gives_its_golden_credit(folder, request):
    file = GOLDENS / f"{folder.name}.csv"
    table = computed(folder)
    if request.config.getoption("--overwrite-goldens"):
        head = [*provenance(), f"# version: attrib {attrib.__version__}"]
        file.write_text("\n".join(head) + "\n" + table.write_csv(), "utf-8")
    *head, version = [line for line in file.read_text("utf-8").splitlines() if line.startswith("#")]
    assert head == provenance(), "the golden table is of other data or settings"
    assert version.startswith("# version: attrib ")
    golden = pl.read_csv(io.BytesIO(file.read_bytes()), comment_prefix="#", schema=dict(table.schema))
    bounds = [c for c in golden.columns if c.endswith(("_low", "_high"))]
    # effects of this model nearly cancel in their sum, by which credit is divided
    exact = 1e-8 if folder.name in {"markov-renormalise", *FITTED} else 1e-12
    assert_frame_equal(table.drop(bounds), golden.drop(bounds), check_exact=False, rel_tol=exact, abs_tol=exact)
    # replicates of higher orders are solved to 1e-8 of the total: their own spread is some percent
    assert_frame_equal(table.select(bounds), golden.select(bounds), check_exact=False, rel_tol=1e-6, abs_tol=1e-6)


def test_every_golden_table_belongs_to_a_model():
    assert sorted(file.stem for file in GOLDENS.glob("*.csv")) == [folder.name for folder in MODELS]


@pytest.mark.parametrize(
    ("model", "paths", "effects"),
    [
        ("markov-1", [("A > C", 10, 0), ("C > A", 10, 0)], {"C": 0.75}),
        ("markov-2", [("A > C", 10, 0), ("C > A", 10, 0)], {"C": 1.0}),
        ("markov-2", [("X > A > B", 10, 0), ("A > B", 0, 10)], {"X": 0.5}),
        ("markov-3", [("X > A > B", 10, 0), ("A > B", 0, 10)], {"X": 1.0}),
        ("markov-3", [("A > B", 10, 0), ("A", 0, 1_000)], {"A": 1.0, "B": 1.0}),
        ("markov-3", [("X > A > B > C", 10, 0), ("A > B > C", 0, 10)], {"X": 0.5}),
        ("markov-1", [("ad", 90, 90), ("mail", 1, 3)], {"ad": 90 / 91, "mail": 1 / 91}),
        ("markov-renormalise", [("ad", 90, 90), ("mail", 1, 3)], {"ad": 45 / 91, "mail": -1 / 91}),
    ],
)
def test_the_examples_of_the_markov_cards(model, paths, effects):
    found = card_example(model, paths)
    assert {channel: found[channel]["effect"] for channel in effects} == pytest.approx(effects)


@pytest.mark.parametrize(
    ("model", "paths", "credit"),
    [
        ("first-touch", [("display > search", 10, 0), ("display", 0, 990), ("search", 10, 0)], (10, 10)),
        ("last-touch", [("display > brand", 10, 0)], (10, 0)),
        ("linear", [("store > banner > banner > banner", 10, 0)], (7.5, 2.5)),
        ("position-based", [("display > review > review > brand", 10, 0)], (4, 4, 2)),
        ("markov-renormalise", [("ad", 90, 90), ("mail", 1, 3)], (91 * 45 / 44, -91 / 44)),
        ("shapley-conversions", [("popup > search", 10, 0), ("popup", 0, 1_000)], (5, 5)),
        ("shapley-rate", [("popup > search", 10, 0), ("popup", 0, 1_000), ("search", 5, 5)], (-247.5, 262.5)),
        ("shapley-markov", [("X > A > B", 10, 0), ("A > B", 0, 10)], (25 / 6, 25 / 6, 5 / 3)),
        ("custom-weights", [("display > review > brand", 10, 0)], (3, 5, 2)),
        ("shao-li", [("display > brand", 1, 9), ("brand", 9, 1)], (10 * 4.75 / 4.6, -1.5 / 4.6)),
        (
            "last-non-direct",
            [("display > direct > direct > direct", 10, 0), ("direct > direct > direct", 90, 0)],
            (90, 10),
        ),
    ],
)
def test_the_examples_of_the_other_cards(model, paths, credit):
    found = card_example(model, paths)
    assert tuple(found[channel]["conversions"] for channel in sorted(found)) == pytest.approx(credit)


def test_the_example_of_the_logistic_card():
    found = card_example("bagged-logistic", [("search", 30, 10), ("video", 0, 40)])
    assert found["video"]["conversions"] < -1.0
    assert sum(row["conversions"] for row in found.values()) < 30


def test_the_example_of_the_hazard_card():
    day, start = timedelta(days=1), datetime(2025, 1, 1)  # noqa: DTZ001
    display = [(customer, start, "display") for customer in range(20)]
    brand = [(customer, start + 9 * day, "brand") for customer in range(10)]
    bought = [(customer, start + 9 * day + timedelta(hours=1), "purchase") for customer in range(10)]
    touchpoints = pl.DataFrame(display + brand, schema=["customer_id", "timestamp", "channel"], orient="row")
    outcomes = pl.DataFrame(bought, schema=["customer_id", "timestamp", "outcome"], orient="row")
    found = attrib.credit(
        attrib.Journeys.from_events(touchpoints, outcomes), method_of("additive-hazard"), intervals=None
    )
    assert found.filter(kind="player")["conversions"].to_list() == pytest.approx([10, 0], abs=0.01)


def method_of(model: str) -> attrib.methods.Method:
    spec = read_model(ROOT / "models" / model / "model.toml")
    return build_method(spec.method, spec.parameters, model)


def card_example(model: str, paths: list[tuple[str, int, int]]) -> dict[str, dict]:
    frame = pl.DataFrame(paths, schema=["path", "total_conversions", "total_null"], orient="row")
    table = attrib.credit(attrib.Journeys.from_paths(frame), method_of(model), intervals=None)
    return {row["channel"]: row for row in table.filter(kind="player").to_dicts()}
