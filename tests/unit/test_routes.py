"""The routes from tables to journeys: whichever serves, and whatever is kept in memory, the numbers are the same."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import attrib
from attrib.engines import in_order, local, reading

START = datetime.fromisoformat("2025-01-01")
CUSTOMERS = 40


def tables(*, rejected: float | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Touches and outcomes in order; with ``rejected``, a last outcome of that value whose time is missing."""
    touches = pl.DataFrame(
        [
            {"customer_id": c, "timestamp": START + timedelta(hours=3 * c + i), "channel": "abc"[(c + i) % 3]}
            for c in range(CUSTOMERS)
            for i in range(1 + c % 4)
        ]
    )
    rows = [
        {"customer_id": c, "timestamp": START + timedelta(hours=3 * c + 20), "outcome": "purchase", "value": 0.1 * c}
        for c in range(0, CUSTOMERS, 2)
    ]
    if rejected is not None:
        rows.append({"customer_id": CUSTOMERS, "timestamp": None, "outcome": "purchase", "value": rejected})
    return touches, pl.DataFrame(rows)


def credit(touches: pl.DataFrame, outcomes: pl.DataFrame) -> tuple[attrib.Journeys, pl.DataFrame]:
    journeys = attrib.Journeys.from_events(touches, outcomes)
    return journeys, attrib.credit(journeys, [attrib.Linear(), attrib.Markov()], intervals=None)


def test_rows_in_order_are_not_sorted_by_hash():
    journeys, _ = credit(*tables())
    assert journeys._memory.in_order is True


@pytest.mark.parametrize("rejected", [1e300, 3.9])
def test_the_largest_value_of_a_rejected_row_scales_no_sum(rejected):
    """The scale is read before the rows are checked: where that was wrong, the other route serves."""
    journeys, found = credit(*tables(rejected=rejected))
    assert_frame_equal(found, credit(*tables())[1], check_exact=True)
    assert journeys._memory.in_order is (rejected == 3.9)  # the largest accepted value, 3.8, has the same power of two


@pytest.mark.parametrize("batch", [1, 3, 50])
@pytest.mark.parametrize("room", [0, 2, 1 << 16])
def test_rows_carried_from_batch_to_batch(monkeypatch, batch, room):
    touches, outcomes = tables()
    wanted = credit(touches, outcomes)[1]
    monkeypatch.setattr(reading, "BATCH", batch)
    monkeypatch.setattr(in_order, "MOST_ROOM", room)
    journeys, found = credit(touches, outcomes)
    assert_frame_equal(found, wanted, check_exact=True)
    assert journeys._memory.in_order is True
    assert_frame_equal(credit(touches.reverse(), outcomes)[1], wanted, check_exact=True)


@pytest.mark.parametrize("shuffled", [False, True])
def test_what_is_kept_in_memory_changes_no_number(monkeypatch, shuffled):
    touches, outcomes = tables()
    touches = touches.reverse() if shuffled else touches
    kept = attrib.Journeys.from_events(touches, outcomes, stages="five")
    wanted = [attrib.credit(kept, attrib.Linear(), intervals=None), kept.funnel()]
    assert kept._memory.partitions is not None
    monkeypatch.setattr(local, "KEPT", 0)
    again = attrib.Journeys.from_events(touches, outcomes, stages="five")
    assert_frame_equal(again.funnel(), wanted[1], check_exact=True)
    assert_frame_equal(attrib.credit(again, attrib.Linear(), intervals=None), wanted[0], check_exact=True)
    assert again._memory.partitions is None
