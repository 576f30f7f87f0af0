"""Refunds equal their slow twin, whatever the rows, the route and the order; and the books balance."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attrib
from attrib.refunds import net_rows
from reference_events import Row, outcome_order
from reference_refunds import net
from strategies import event_tables, to_frames

SOLD = {"touchpoints": [], "outcomes": ["value", "order_id"]}
WORTH = (-3.5, -2.0, -1.0, -0.25, 0.0, 0.25, 1.0, 2.0, 3.5)
COLUMNS = {"who": "customer_id", "at": "timestamp", "money": "value", "name": "outcome"}


def in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["customer_id"], *outcome_order(row, ())))


outcome_rows = st.lists(
    st.fixed_dictionaries(
        {
            "customer_id": st.sampled_from(["a", "b"]),
            "timestamp": st.integers(0, 6),
            "outcome": st.sampled_from(["purchase", "purchase", "visit"]),
            "value": st.sampled_from(WORTH),
            "order_id": st.sampled_from([None, None, 1, 2, 3]),
        }
    ),
    min_size=1,
    max_size=14,
)


@given(outcome_rows, st.booleans())
def test_what_is_left_equals_the_twin(rows, counted):
    rows = in_order(rows)
    schema = {"timestamp": pl.Int64, "value": pl.Float64, "order_id": pl.Int64}
    frame = pl.DataFrame(rows, schema_overrides=schema)
    found, account = net_rows(frame, **COLUMNS, order="order_id", count_refunded=counted)
    wanted = net([row | {"value": Fraction(row["value"])} for row in rows], count_refunded=counted)
    assert found.to_dicts() == [row | {"value": float(row["value"])} for row in wanted.rows]
    assert account.value == float(wanted.entries["refunded"][1]) == -float(wanted.entries["netted_refund"][1])
    assert account.rest == float(wanted.entries["unmatched_refund"][1])


@given(event_tables(columns=SOLD, values=WORTH), st.booleans(), st.randoms(use_true_random=False))
def test_every_route_gives_the_same_and_the_books_balance(tables, counted, random):
    touched, reached = (sorted(rows, key=lambda row: (row["customer_id"], row["timestamp"])) for rows in tables)
    shuffled = [random.sample(rows, len(rows)) for rows in (touched, reached)]
    found = []
    for rows, engine in (
        ((touched, reached), attrib.LocalEngine(threads=1)),
        (shuffled, attrib.LocalEngine(threads=2)),
        (shuffled, attrib.LocalEngine(threads=1, memory_limit="1KB")),
    ):
        journeys = attrib.Journeys.from_events(*to_frames(*rows), lookback=None, count_refunded=counted, engine=engine)
        table = attrib.credit(journeys, [attrib.Linear(), attrib.Markov()], intervals=0.9, replicates=3)
        found.append((table, journeys.reconcile(), journeys.warnings))
    for table, books, warnings in found[1:]:
        assert table.equals(found[0][0])
        assert books.equals(found[0][1])
        assert warnings == found[0][2]
    for (name,), lines in found[0][1].group_by("table"):
        if name in ("touchpoints", "outcomes"):
            for number in ("rows", "value"):
                numbers = dict(lines.select("entry", number).rows())
                total = numbers.pop("in")
                assert (total or 0) == pytest.approx(sum(n or 0 for n in numbers.values()), abs=1e-9), number


def many(n: int, **columns: Any) -> pl.DataFrame:
    """One customer, every third row a refund."""
    values = np.where(np.arange(n) % 3 == 2, -1.0, 1.0)
    return pl.DataFrame({"customer_id": np.zeros(n, int), "timestamp": np.arange(n), "value": values, **columns})


@pytest.mark.parametrize("ids", [None, "own", "alike", "unknown"])
def test_a_customer_of_many_rows_takes_no_longer_than_many_customers(ids):
    """300,000 rows: were orders looked for one by one, this would take minutes."""
    n = 300_000
    orders = {"own": np.arange(n) // 3, "alike": np.zeros(n, int), "unknown": -(np.arange(n) % 3 // 2) * np.arange(n)}
    frame = many(n, **({} if ids is None else {"order_id": orders[ids]}))
    order = None if ids is None else "order_id"
    _, account = net_rows(frame, **COLUMNS | {"name": None}, order=order, count_refunded=False)
    matched = 0 if ids == "unknown" else n // 3
    assert (account.refunds, account.in_full, account.unmatched) == (matched, matched, n // 3 - matched)


def test_sums_do_not_depend_on_the_order_of_rows_to_the_last_bit():
    rng = random.Random(7)
    rows = [
        {"customer_id": f"c{rng.randrange(50)}", "timestamp": rng.randrange(90), "outcome": "purchase",
         "value": rng.choice([-1, 1, 1]) * rng.random() * 10 ** rng.randrange(6)}
        for _ in range(2_000)
    ]  # fmt: skip
    touched = [{"customer_id": row["customer_id"], "timestamp": row["timestamp"], "channel": "ad"} for row in rows[::3]]
    tables = []
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        journeys = attrib.Journeys.from_events(*to_frames(touched, rows), lookback=None)
        tables.append((attrib.credit(journeys, attrib.Linear(), intervals=None), journeys.reconcile()))
    assert all(table.equals(tables[0][0]) for table, _ in tables[1:])
    lines = tables[0][1].filter(table="outcomes")
    parts = lines.filter(pl.col("entry") != "in")["value"]
    assert parts.sum() == pytest.approx(lines.row(by_predicate=pl.col("entry") == "in", named=True)["value"], rel=1e-9)
