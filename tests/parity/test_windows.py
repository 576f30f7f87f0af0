"""Lookback by interaction and preferred interactions equal the slow twin."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import attrib
from parity.test_twin import compare
from strategies import event_tables, public, random_tables, recipes, to_frames

INTERACTIONS = ("click", "impression")
TOUCHED = {"touchpoints": ["interaction", "sequence"], "outcomes": ["value"]}
PLACED = {"touchpoints": ["country", "interaction"], "outcomes": ["country", "value"]}


@st.composite
def lookbacks(draw: st.DrawFn) -> dict[str, int | None]:
    """Some interactions with a lookback each, the others together: so that no row is rejected."""
    listed = draw(st.lists(st.sampled_from(INTERACTIONS), unique=True))
    return {name: draw(st.none() | st.integers(0, 12)) for name in (*listed, "*")}


preferences = st.lists(st.sampled_from((*INTERACTIONS, "visit")), unique=True, min_size=1).map(tuple)


@given(tables=event_tables(columns=TOUCHED), recipe=recipes(), lookback=lookbacks())
def test_lookbacks_by_interaction_equal_the_twin(tables: Any, recipe: Any, lookback: Any) -> None:
    compare(*tables, {**recipe, "lookback": lookback}, ["last", "linear", "markov2"])


@given(tables=event_tables(columns=TOUCHED), recipe=recipes(), lookback=lookbacks())
def test_without_the_others_every_interaction_is_listed(tables: Any, recipe: Any, lookback: Any) -> None:
    for row in tables[0]:
        row["interaction"] = row["interaction"] or "click"
    every = {name: lookback.get(name, lookback["*"]) for name in INTERACTIONS}
    compare(*tables, {**recipe, "lookback": every}, ["last", "linear", "markov2"])


@given(tables=event_tables(columns=TOUCHED), recipe=recipes(), prefer=preferences)
def test_preferences_equal_the_twin(tables: Any, recipe: Any, prefer: Any) -> None:
    compare(*tables, {**recipe, "prefer": prefer}, ["last", "linear", "markov2"])


@given(
    tables=event_tables(columns=PLACED),
    recipe=recipes(stages=True),
    lookback=lookbacks(),
    prefer=preferences | st.just(()),
    by=st.sampled_from([(), ("country",), ("interaction",)]),
    data=st.data(),
)
def test_both_with_stages_and_games_equal_the_twin(
    tables: Any, recipe: Any, lookback: Any, prefer: Any, by: Any, data: st.DataObject
) -> None:
    both = {**recipe, "lookback": lookback, "prefer": prefer, "by": by}
    if "interaction" not in by:
        both["player"] = data.draw(st.sampled_from([("channel",), ("channel", "interaction"), ("interaction",)]))
    compare(*tables, both, ["linear", "markov1", "shapley"])


@given(tables=event_tables(columns=TOUCHED), recipe=recipes(longest=12))
def test_one_lookback_for_all_equals_that_lookback(tables: Any, recipe: Any) -> None:
    """Where interactions tell no touches apart, listing them changes nothing."""
    frames = to_frames(*tables)
    arguments = public({**recipe, "duplicates": "keep"})
    alike = dict.fromkeys((*INTERACTIONS, "*"), arguments["lookback"])
    # ties are then broken by interaction: players that bear it make both read the same columns
    arguments["player"] = ("channel", "interaction")
    one = attrib.Journeys.from_events(*frames, **arguments)
    each = attrib.Journeys.from_events(*frames, **{**arguments, "lookback": alike})
    assert_frame_equal(one.to_frame(), each.to_frame())
    assert_frame_equal(one.reconcile(), each.reconcile())


# --- every route gives the same table, to the last bit ---

ROUTES: dict[str, tuple[bool, dict[str, int]]] = {
    "in order": (True, {}),
    "in any order": (False, {}),
    "threads": (True, {"threads": 2}),
    "spilled": (False, {"memory_limit": 4096}),
}


@pytest.mark.filterwarnings("ignore::attrib.AttribWarning")
def test_every_route_gives_the_same_table(tmp_path: Any) -> None:
    touched, reached = to_frames(*random_tables(5, 400))
    recipe: dict[str, Any] = {
        "lookback": {"click": "12d", "*": "3d"}, "prefer": "click", "max_gap": "4d", "repeats": "collapse",
    }  # fmt: skip
    found = {}
    for name, (in_order, resources) in ROUTES.items():
        engine = attrib.LocalEngine(**{"threads": 1, "spill": str(tmp_path), **resources})
        # "c12" as 12: texts are in no order but that of their hashes
        frames = [t.with_columns(pl.col("customer_id").str.slice(1).cast(pl.Int64)) for t in (touched, reached)]
        if in_order:
            frames = [t.sort("customer_id", maintain_order=True) for t in frames]
        journeys = attrib.Journeys.from_events(*frames, **recipe, engine=engine)
        table = attrib.credit(journeys, [attrib.Linear(), attrib.Markov(order=2)], intervals=0.9, replicates=10)
        found[name] = (table, journeys.reconcile())
    table, ledger = found.pop("in order")
    assert dict(ledger.select("entry", "rows").rows())["not_preferred"] > 0
    for other, other_ledger in found.values():
        assert table.equals(other)
        assert_frame_equal(ledger, other_ledger, rel_tol=1e-9)
