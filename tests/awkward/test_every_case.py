"""What every awkward case must fulfil, whatever it is about; the cases are in cases.py and cases_*.py."""

from __future__ import annotations

import math
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import attrib
import reference
from attrib.diagnostics.finding import KEYS
from attrib.durations import parse_duration
from attrib.testing import assert_credit_table
from awkward.cases import Case, all_cases

SECOND = 10**9  # the twin counts in nanoseconds
METHODS: dict[str, tuple[attrib.Method, str, dict[str, Any]]] = {
    "first": (attrib.FirstTouch(), "first_touch", {}),
    "non_direct": (attrib.LastNonDirect(direct=("ad", "null")), "last_non_direct", {"direct": ("ad", "null")}),
    "linear": (attrib.Linear(), "linear", {}),
    "position": (attrib.PositionBased(), "position_based", {"first": 0.4, "last": 0.4}),
    "decay": (attrib.TimeDecay(half_life="1h"), "time_decay", {"half_life": 3600 * SECOND}),
    "markov1": (attrib.Markov(order=1), "markov", {"order": 1}),
    "markov2": (attrib.Markov(order=2), "markov", {"order": 2}),
    "shapley": (attrib.Shapley(), "shapley_conversions_closed", {}),
}
PLAYERS = 9  # more of them in a chain of fractions take the twin seconds and minutes
TINIEST = 4 * 5e-324  # the step between the smallest numbers, a few times over
NUMBERS = ("conversions", "value", "share", "effect")
GOOD, BAD = all_cases(), all_cases(failing=True)


def journeys_of(case: Case, tables: tuple[Any, Any], threads: int = 1, memory: str | None = None) -> attrib.Journeys:
    engine = attrib.LocalEngine(threads=threads, memory_limit=memory)
    return attrib.Journeys.from_events(*tables, engine=engine, **case.recipe)


def credit(journeys: attrib.Journeys) -> pl.DataFrame:
    methods = {name: method for name, (method, *_) in METHODS.items()}
    return attrib.credit(journeys, methods, intervals=0.9, replicates=2)


@cache
def answer(case: Case) -> tuple[attrib.Journeys, pl.DataFrame, list[str]]:
    """Journeys, credit table and warnings of the tables as they are built."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        warnings.simplefilter("always", attrib.AttribWarning)
        journeys = journeys_of(case, case.build())
        table = credit(journeys)
    # that none of the channels is the one we took for direct is no fault of the case
    return journeys, table, [text for w in caught if not (text := str(w.message)).startswith("last_non_direct")]


Case.__hash__ = object.__hash__  # type: ignore[method-assign]  # cases are told apart by being who they are


# --- cases that give an answer ---


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_everything_adds_up(case):
    journeys, table, _ = answer(case)
    assert_credit_table(table, journeys, methods=list(METHODS))
    for (_,), entries in journeys.reconcile().group_by("table"):
        inside = entries.filter(entry="in")
        parts = entries.filter(pl.col("entry") != "in")
        assert parts["rows"].sum() == inside["rows"].item()
        if inside["value"].item() is not None:
            size = max(1.0, parts["value"].abs().sum())
            assert math.fsum(parts["value"]) / size == pytest.approx(inside["value"].item() / size, abs=1e-9)


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_the_listing_agrees_with_the_ledger(case):
    journeys, _, _ = answer(case)
    listing = journeys.to_frame()
    ledger = {(r["table"], r["entry"]): r for r in journeys.reconcile().to_dicts()}
    for status, entry in (("converting", "credited"), ("unattributed", "unattributed")):
        assert listing.filter(status=status)["conversions"].sum() == ledger["outcomes", entry]["conversions"]
    assert listing["customer_id"].null_count() == 0
    if case.recipe.get("repeats", "keep") == "keep":
        counted = listing.filter(pl.col("status") != "open")["timestamps"].list.len().sum()
        assert counted == ledger["touchpoints", "used"]["rows"]


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_nothing_is_rejected_or_warned_of_unforeseen(case):
    journeys, _, warned = answer(case)
    assert tuple(journeys.rejected()["rule"]) == case.rejects
    for expected in case.warns:
        assert any(expected in text for text in warned), (expected, warned)
    # findings are true of so few rows (no nulls, one customer …), and have tests of their own
    plain = [text for text in warned if not text.endswith(tuple(f"[{key}]" for key in KEYS))]
    assert [text for text in plain if not any(part in text for part in case.warns)] == []


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_one_stage_is_the_plain_game(case):
    """And the funnel knows as many customers as the tables name."""
    _, table, _ = answer(case)
    target = case.recipe.get("target", "purchase")
    staged = Case("", case.build, {**case.recipe, "stages": attrib.StageModel([("all", target)])})
    journeys = journeys_of(staged, staged.build())
    assert credit(journeys).drop("stage").equals(table)
    funnel = journeys.funnel().row(0, named=True)
    customers = {row["customer_id"] for rows in accepted(case) for row in rows}
    if any(isinstance(customer, str) for customer in customers):
        customers = set(map(str, customers))
    assert funnel["entered"] == len(customers)


@pytest.mark.parametrize("form", ["shuffled", "sorted", "reversed", "arrow", "parquet", "csv"])
@pytest.mark.parametrize("case", GOOD, ids=str)
def test_the_same_table_from_any_form(case, form, tmp_path):
    if form in {"arrow", "parquet", "csv"} and form not in case.forms:
        return  # the form would change the meaning, or the case is one of that form
    _, wanted, _ = answer(case)
    tables = tuple(in_form(frame(t), form, tmp_path / name) for t, name in zip(case.build(), "to", strict=True))
    threads, memory = {"shuffled": (2, "100KB"), "reversed": (1, "1KB"), "parquet": (2, None)}.get(form, (1, None))
    journeys = journeys_of(case, tables, threads, memory)
    # ids of CSV files are texts, which fall into other buckets, so their intervals differ
    columns = [c for c in wanted.columns if form != "csv" or not c.endswith(("_low", "_high"))]
    assert_frame_equal(credit(journeys).select(columns), wanted.select(columns), check_exact=True)
    assert sorted(journeys.rejected()["rule"]) == sorted(case.rejects)


def frame(table: Any) -> pl.DataFrame:
    if isinstance(table, pl.DataFrame):
        return table
    return pl.from_pandas(table) if type(table).__module__.startswith("pandas") else pl.DataFrame(table)


def in_form(table: pl.DataFrame, form: str, path: Path) -> Any:
    """Turn a table into another form of itself."""
    if form == "shuffled":
        return table.sample(fraction=1, shuffle=True, seed=5)
    if form == "reversed":
        return table.reverse().lazy()
    if form == "sorted":
        identity = next(c for c in table.columns if c in {"customer_id", "\u202eid\n"})
        return table.sort(identity, maintain_order=True)
    if form == "arrow":
        return table.to_arrow()
    path = path.with_suffix(f".{form}")
    write = table.write_parquet if form == "parquet" else table.write_csv
    write(path)
    return path


# --- the slow twin ---


def accepted(case: Case) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of both tables that were not rejected, with our names and times in nanoseconds."""
    rejected = answer(case)[0].rejected()
    mapping = {theirs: ours for ours, theirs in case.recipe.get("columns", {}).items()}
    result = []
    for table, name in zip(case.build(), ("touchpoints", "outcomes"), strict=True):
        rows = frame(table)
        # first make way for names of ours that somebody else bears
        rows = rows.rename({theirs: ours for theirs, ours in mapping.items() if theirs in rows.columns})
        gone = set(rejected.filter(table=name)["row"])
        rows = rows.filter(pl.Series([i not in gone for i in range(rows.height)], dtype=pl.Boolean))
        kind = rows.schema["timestamp"]
        if kind == pl.Date:
            rows = rows.with_columns(pl.col("timestamp").cast(pl.Datetime("us")))
            kind = rows.schema["timestamp"]
        if isinstance(kind, pl.Datetime):
            factor = {"ms": 10**6, "us": 10**3, "ns": 1}[kind.time_unit]
            ticks = [t * factor for t in rows["timestamp"].to_physical().to_list()]
            rows = rows.with_columns(timestamp=pl.Series(ticks, dtype=pl.Int128))
        if rows.schema.get("value") == pl.String:
            rows = rows.with_columns(pl.col("value").cast(pl.Float64))
        texts = [c for c, t in rows.schema.items() if isinstance(t, (pl.Categorical, pl.Enum))]
        result.append(rows.with_columns(pl.col(texts).cast(pl.String)).to_dicts())
    return result[0], result[1]


def twin_recipe(case: Case) -> dict[str, Any]:
    recipe: dict[str, Any] = {"lookback": "30d", "second": SECOND} | {
        key: value for key, value in case.recipe.items() if key not in {"columns", "max_rejects"}
    }
    for key in ("lookback", "max_gap", "maturity"):
        duration = parse_duration(recipe.get(key))
        recipe[key] = None if duration is None else int(duration.total_seconds()) * SECOND
    for key in ("by", "player"):
        if isinstance(recipe.get(key), str):
            recipe[key] = (recipe[key],)
    recipe["dated"] = frame(case.build()[1]).schema.get("timestamp") == pl.Date
    if any("dates without" in part for part in case.warns):
        recipe["duplicates"] = "keep"
    return recipe


def has_twin(case: Case) -> bool:
    return case.twin and frame(case.build()[0]).schema.get("timestamp") != pl.String


@pytest.mark.parametrize("case", [case for case in GOOD if has_twin(case)], ids=str)
def test_the_slow_twin_agrees(case):
    journeys, table, _ = answer(case)
    built = reference.build(*accepted(case), **twin_recipe(case))
    rejected = journeys.reconcile().filter(entry="rejected").select("table", "rows").rows()
    for entry in journeys.reconcile().to_dicts():
        wanted_rows, wanted_value = built.ledger[entry["table"], entry["entry"]]
        further = dict(rejected).get(entry["table"], 0) if entry["entry"] in {"in", "rejected"} else 0
        assert entry["rows"] == wanted_rows + further, entry
        if entry["value"] is not None and not further:
            assert entry["value"] == pytest.approx(float(wanted_value), rel=1e-9, abs=1e-9 * size_of(table)), entry
    for label, (_, method, parameters) in METHODS.items():
        if method not in reference.RULES and table.filter(kind="player", method=label).height > PLAYERS:
            continue
        shapley = method == "shapley_conversions_closed"
        wanted = reference.table(built, "shapley" if shapley else method, **parameters)
        rows = table.filter(method=label).to_dicts()
        keys = table.columns[: table.columns.index("kind") + 1]
        assert [tuple(r[k] for k in keys) for r in rows] == [tuple(w[k] for k in keys) for w in wanted], label
        for row, want in zip(rows, wanted, strict=True):
            for number in NUMBERS:
                allowed = 1e-9 * size_of(table) + TINIEST if number == "value" else 1e-9
                expected = want[number]
                if expected is not None:
                    expected = pytest.approx(float(expected), rel=1e-9, abs=allowed)
                assert row[number] == expected, (label, number, row, want)


def size_of(table: pl.DataFrame) -> float:
    """What a tolerance of values is measured by."""
    return max((abs(value) for value in table["value"].drop_nulls()), default=0.0)


# --- cases that must fail ---


@pytest.mark.parametrize("memory", [None, "1KB"])
@pytest.mark.parametrize("case", BAD, ids=str)
def test_what_must_fail_says_so_in_one_error(case, memory):
    with pytest.raises(attrib.AttribError) as caught:
        journeys_of(case, case.build(), memory=memory).reconcile()
    assert caught.value.key == case.fails
    assert "\x1b" not in str(caught.value)
