"""Events drawn as text, and what became of them as text: for tests that read as documentation.

    ann   1ad 3mail | 4purchase=9.5
    bob   2ad       |

Ann saw an ad in second 1, a mail in second 3, and bought for 9.5 in second 4; Bob saw an ad and did not buy.
"""

from __future__ import annotations

from typing import Any

import polars as pl

import attrib
from notation import Row, outcomes, touches
from strategies import to_frames


def rows(story: str) -> tuple[list[Row], list[Row]]:
    """Touchpoints and outcomes of a story."""
    touched: list[Row] = []
    reached: list[Row] = []
    for line in story.strip().splitlines():
        before, _, after = line.partition("|")
        customer, _, seen = before.strip().partition(" ")
        touched += touches(customer, seen)
        reached += outcomes(customer, after)
    return touched, reached


def tell(story: str, **recipe: Any) -> attrib.Journeys:
    """Journeys of a story; without a lookback unless the recipe has one."""
    return form(*rows(story), **recipe)


def form(touched: list[Row], reached: list[Row], **recipe: Any) -> attrib.Journeys:
    """Journeys of rows whose times are seconds."""
    return attrib.Journeys.from_events(*to_frames(touched, reached), **{"lookback": None, **recipe})


def seen(journeys: attrib.Journeys, *columns: str) -> list[str]:
    """Every journey in one line, by customer and time, with some further columns in front."""
    frame = journeys.to_frame()
    return [
        ": ".join([*(str(row[c]) for c in columns), row["customer_id"], f"{row['path']} -> {row['status']}"])
        for row in frame.to_dicts()
    ]


def credited(table: pl.DataFrame, number: str = "conversions", **where: Any) -> dict[Any, float]:
    """One number by channel (by stage and channel where players have a stage); None is the unattributed row."""
    chosen = table.filter(**where)
    keys = [c for c in table.columns[: table.columns.index("kind")] if c not in where]
    found = {tuple(row[k] for k in keys): row[number] for row in chosen.to_dicts()}
    return {(None if set(key) == {None} else key[0] if len(key) == 1 else key): n for key, n in found.items()}


def ledger(journeys: attrib.Journeys, table: str, number: str = "rows") -> dict[str, float]:
    """Entries of the ledger that are not 0."""
    entries = journeys.reconcile().filter(table=table).select("entry", number).rows()
    return {entry: count for entry, count in entries if count}
