"""What the tests of the laws share: drawn path tables, journeys from rows, credit by many methods at once."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from hypothesis import assume
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import attrib
from strategies import public, to_frames

ONE = attrib.LocalEngine(threads=1)
GAINS = (0.0, 0.25, 1.0, 3.5)  # values without refunds


def form(tables: Any, *, engine: Any = ONE, **recipe: Any) -> attrib.Journeys:
    """Form journeys towards a purchase."""
    return attrib.Journeys.from_events(*to_frames(*tables), engine=engine, **{"target": "purchase", **public(recipe)})


@st.composite
def path_rows(draw: st.DrawFn, *, values: Sequence[float] = GAINS, longest: int = 5) -> list[dict[str, Any]]:
    """Rows of a path table with something to credit."""
    path = st.lists(st.sampled_from("ABCD"), min_size=1, max_size=longest).map(" > ".join)
    row = st.fixed_dictionaries({"path": path, "conversions": st.integers(0, 4), "nulls": st.integers(0, 4)})
    rows = draw(st.lists(row, min_size=1, max_size=8, unique_by=lambda row: row["path"]))
    assume(any(row["conversions"] for row in rows))
    return [row | {"value": draw(st.sampled_from(values)) if row["conversions"] else 0.0} for row in rows]


def read(rows: list[dict[str, Any]]) -> attrib.Journeys:
    """Journeys of a path table."""
    frame = pl.DataFrame(rows, schema_overrides={"value": pl.Float64})
    return attrib.Journeys.from_paths(frame, conversions="conversions", value="value", nulls="nulls", engine=ONE)


def as_events(rows: list[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    """The same journeys as events: a customer each, a touch a second; the value is that of the first conversion."""
    touched: list[Any] = []
    reached: list[Any] = []
    for at, row in enumerate(rows):
        path = row["path"].split(" > ")
        for i in range(row["conversions"] + row["nulls"]):
            customer = f"{at}-{i}"
            touched += [{"customer_id": customer, "timestamp": t, "channel": c} for t, c in enumerate(path)]
            if i < row["conversions"]:
                value = 0.0 if i else row["value"]
                bought = {"customer_id": customer, "timestamp": len(path), "outcome": "purchase", "value": value}
                reached.append(bought)
    return touched, reached


def paths(**rows: tuple[float, ...]) -> attrib.Journeys:
    """Journeys by letters: ``ABB=(3, 1)`` is A > B > B, 3 conversions and 1 null; a third number is their value."""
    return read([
        {"path": " > ".join(path), "conversions": numbers[0], "nulls": numbers[1], "value": (*numbers, numbers[0])[2]}
        for path, numbers in rows.items()
    ])  # fmt: skip


def credit(journeys: attrib.Journeys, methods: Mapping[str, Any], draws: int = 0) -> pl.DataFrame:
    """Credit by every method; there may be nothing to share it out by, and few samples."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", attrib.AttribWarning)
        return attrib.credit(journeys, methods, intervals=0.9 if draws else None, replicates=draws or 2)


def assert_close(found: pl.DataFrame, wanted: pl.DataFrame) -> None:
    """Equal tables, but for rounding."""
    assert_frame_equal(found, wanted, rel_tol=1e-9, abs_tol=1e-11)


def players(table: pl.DataFrame, method: str) -> dict[str, dict[str, Any]]:
    """Rows of a method's players by channel."""
    rows = table.filter(pl.col("kind") == "player", pl.col("method") == method)
    return {row["channel"]: row for row in rows.to_dicts()}
