"""The package equals the slow twin, which was written from the contract alone: tables, ledgers, funnels."""

from __future__ import annotations

import warnings
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attrib
import reference
from method_table import VARIANTS
from strategies import event_tables, public, recipes, to_frames

ROWS = {name: row for name, row in VARIANTS.items() if row.twin is not None}
GAMES = {"rate_game", "chain_game"}  # for which the twin goes through all coalitions: tests/parity/test_games.py
NUMBERS = ("conversions", "value", "share", "effect")


def assert_same_table(found: pl.DataFrame, built: reference.Built, names: list[str]) -> None:
    """Compare a credit table with the twin's rows, method by method."""
    for name in names:
        twin, parameters = ROWS[name].twin
        wanted = reference.table(built, twin, **parameters)
        rows = found.filter(pl.col("method") == name).drop("method").to_dicts()
        keys = [c for c in found.columns if c not in (*NUMBERS, "method", "conversions_se")]
        # the twin has no rows for a game without journeys; the package has them where games are known beforehand
        game = built.by if built.view == "resolved" else (*built.by, "stage")
        games = {tuple(row.get(k) for k in game) for row in wanted}
        assert all(r["conversions"] == 0 for r in rows if tuple(r.get(k) for k in game) not in games)
        rows = [r for r in rows if tuple(r.get(k) for k in game) in games]
        assert [tuple(r[k] for k in keys) for r in rows] == [tuple(w[k] for k in keys) for w in wanted]
        for row, want in zip(rows, wanted, strict=True):
            for number in NUMBERS:
                wanted_number = want[number]
                if wanted_number is not None:
                    wanted_number = pytest.approx(wanted_number, rel=1e-9, abs=1e-11)
                assert row[number] == wanted_number, (name, row, want)


def assert_same_ledger(found: pl.DataFrame, built: reference.Built) -> None:
    """Compare ledgers entry by entry."""
    entries = {(r["table"], r["entry"]): (r["rows"], r["value"]) for r in found.to_dicts()}
    for key, (rows, value) in built.ledger.items():
        assert entries[key][0] == rows, key
        if key[0] != "touchpoints":
            assert entries[key][1] == pytest.approx(float(value), abs=1e-9), key


def assert_same_funnel(found: pl.DataFrame, built: reference.Built) -> None:
    """Compare funnels; the twin counts time in seconds."""
    assert len(found) == len(built.funnel)
    for row, want in zip(found.to_dicts(), built.funnel, strict=True):
        for key, value in want.items():
            wanted = timedelta(seconds=float(value)) if key.endswith("_time") and value is not None else value
            if isinstance(wanted, timedelta) or wanted is None:
                assert row[key] == wanted, (key, row, want)
            else:
                assert row[key] == (wanted if isinstance(wanted, str) else pytest.approx(float(wanted))), key


def compare(touches: list[Any], outcomes: list[Any], recipe: dict[str, Any], names: list[str]) -> None:
    """Run both on the same events."""
    built = reference.build(touches, outcomes, **recipe)
    frames = to_frames(touches, outcomes)
    arguments = {"target": "purchase", **public(recipe)}
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", attrib.AttribWarning
        )  # refunds make some value credit null: the twin says so too
        journeys = attrib.Journeys.from_events(*frames, **arguments)
        milestones = {milestone for _, milestone, *_ in recipe.get("stages") or ()}
        if recipe.get("view") == "advance" and not milestones & {row["outcome"] for row in outcomes}:
            with pytest.raises(attrib.DataError, match="no milestone"):
                journeys.reconcile()
            return
        table = attrib.credit(journeys, {name: ROWS[name].method for name in names}, intervals=None)
    assert_same_table(table, built, names)
    assert_same_ledger(journeys.reconcile(), built)
    if recipe.get("stages") and recipe["stages"][0] != "column":
        assert_same_funnel(journeys.funnel(), built)


@given(tables=event_tables(), recipe=recipes(), names=st.lists(st.sampled_from(sorted(ROWS)), min_size=1, unique=True))
def test_plain_games_equal_the_twin(tables: Any, recipe: Any, names: list[str]) -> None:
    compare(*tables, recipe, names)


@given(
    tables=event_tables(customers=8, outcomes=7),
    recipe=recipes(stages=True),
    names=st.lists(st.sampled_from(sorted(ROWS.keys() - GAMES)), min_size=1, unique=True),
)
def test_staged_games_equal_the_twin(tables: Any, recipe: Any, names: list[str]) -> None:
    compare(*tables, recipe, names)


@given(
    tables=event_tables(columns={"touchpoints": ["country", "interaction"], "outcomes": ["country", "value"]}),
    by=st.sampled_from([("country",), ("interaction",), ("country", "interaction")]),
    recipe=recipes(stages=True),
)
def test_partitioned_games_equal_the_twin(tables: Any, by: tuple[str, ...], recipe: Any) -> None:
    compare(*tables, {**recipe, "by": by}, ["linear", "markov1", "markov2", "renormalise1", "shapley", "rate_game"])


@given(
    tables=event_tables(columns={"touchpoints": ["interaction"], "outcomes": ["value", "country"]}), recipe=recipes()
)
def test_games_that_only_outcomes_name_equal_the_twin(tables: Any, recipe: Any) -> None:
    names = ["last", "function", "markov1", "renormalise2", "shapley", "rate_game", "chain_game"]
    compare(*tables, {**recipe, "by": ("country",)}, names)


@given(
    tables=event_tables(columns={"touchpoints": ["country", "interaction"], "outcomes": []}),
    recipe=recipes(stages=True),
)
def test_composed_players_equal_the_twin(tables: Any, recipe: Any) -> None:
    compare(*tables, {**recipe, "player": ("channel", "interaction")}, ["linear", "markov1", "markov2", "shapley"])


@given(tables=event_tables(), recipe=recipes(), data=st.data())
def test_stages_from_a_column_equal_the_twin(tables: Any, recipe: Any, data: st.DataObject) -> None:
    touches, outcomes = tables
    for row in touches:
        row["stage"] = data.draw(st.sampled_from(["see", "think", "do"]))
    staged = {**recipe, "stages": ("column", "stage", ("see", "think", "do")), "view": "resolved"}
    compare(touches, outcomes, staged, ["linear", "markov1", "markov2", "renormalise1"])
