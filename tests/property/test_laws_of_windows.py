"""What `after_conversion`, `max_touches` and `identities` leave as it is (docs/semantics.md, sections 1 and 2)."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attrib
from attrib.testing import assert_credit_table
from strategies import event_tables, public, recipes, to_frames

METHODS = [attrib.LastTouch(), attrib.Linear(), attrib.Markov(order=2), attrib.Shapley()]
pytestmark = pytest.mark.filterwarnings("ignore::attrib.AttribWarning")


def form(tables: Any, recipe: dict[str, Any], **more: Any) -> attrib.Journeys:
    return attrib.Journeys.from_events(*tables, **{**public(recipe), **more})


@given(tables=event_tables(outcomes=8), recipe=recipes())
def test_credit_equals_conversions_whether_or_not_touches_serve_again(tables: Any, recipe: Any) -> None:
    frames = to_frames(*tables)
    once, again = (form(frames, recipe, after_conversion=rule) for rule in ("reset", "keep"))
    for journeys in (once, again):
        assert_credit_table(attrib.credit(journeys, METHODS, intervals=None), journeys, methods=None)
    both = [j.to_frame() for j in (once, again)]
    # the same conversions and the same null journeys; and no conversion loses its touches
    for status in ("null", "open"):
        one, other = (frame.filter(status=status).drop("end") for frame in both)
        assert one.equals(other)
    assert both[0].filter(status="unattributed").height >= both[1].filter(status="unattributed").height
    touched = [frame.filter(status="converting")["timestamps"].list.len().sum() for frame in both]
    assert recipe["repeats"] != "keep" or recipe["max_touches"] or touched[0] <= touched[1]


@given(tables=event_tables(outcomes=8), recipe=recipes())
def test_where_nobody_converts_twice_the_rules_agree(tables: Any, recipe: Any) -> None:
    touched, reached = to_frames(*tables)
    reached = reached.unique(["customer_id", "outcome"], keep="first", maintain_order=True)
    one, other = (form((touched, reached), recipe, after_conversion=rule) for rule in ("reset", "keep"))
    assert one.to_frame().equals(other.to_frame())
    assert one.reconcile().equals(other.reconcile())


@given(tables=event_tables(), recipe=recipes(stages=True))
def test_a_cap_that_no_journey_reaches_changes_nothing(tables: Any, recipe: Any) -> None:
    frames = to_frames(*tables)
    recipe = {**recipe, "max_touches": None}
    milestones = {milestone for _, milestone, *_ in recipe["stages"]}
    if recipe["view"] == "advance" and not milestones & set(frames[1]["outcome"]):
        return
    plain, capped = form(frames, recipe), form(frames, recipe, max_touches=1_000)
    assert plain.to_frame().equals(capped.to_frame())
    assert capped.reconcile().filter(entry="over_cap")["rows"].item() == 0


@given(
    tables=event_tables(integer_ids=True, customers=8),
    recipe=recipes(),
    pairs=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=6),
    texts=st.booleans(),
)
def test_links_are_as_good_as_naming_the_customer_alike(tables: Any, recipe: Any, pairs: Any, texts: bool) -> None:
    """The slow way: join the two of each link until nothing changes, and name all by the smallest."""
    customer = {i: i for i in range(10)}
    for _ in customer:
        for one, other in pairs:
            customer[one] = customer[other] = min(customer[one], customer[other])
    named = [[{**row, "customer_id": customer[row["customer_id"]]} for row in rows] for rows in tables]

    def frames(rows: Any) -> list[pl.DataFrame]:
        made = [frame.with_columns(pl.col("customer_id").cast(pl.Int64)) for frame in to_frames(*rows)]
        return [frame.with_columns(pl.col("customer_id").cast(pl.String)) for frame in made] if texts else made

    links = pl.DataFrame({"id": [a for a, _ in pairs], "other_id": [b for _, b in pairs]},
                         schema={"id": pl.Int64, "other_id": pl.Int64})  # fmt: skip
    linked, wanted = form(frames(tables), recipe, identities=links), form(frames(named), recipe)
    assert linked.to_frame().equals(wanted.to_frame())
    assert linked.reconcile().equals(wanted.reconcile())
    one, other = (attrib.credit(j, METHODS, intervals=0.9, replicates=5) for j in (linked, wanted))
    assert one.equals(other)
