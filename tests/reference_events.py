"""The slow twin, first part: events, their order and their duplicates (semantics 1)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

Row = dict[str, Any]
DAY = 86_400  # seconds; times that are integers have some of them (one, unless said) a second
HALF = Fraction(1, 2)


def _nulls_last(value: Any) -> tuple[bool, Any]:
    return (value is None, 0 if value is None else value)


def _midnight(time: Any) -> Any:
    """A date counts as midnight (1)."""
    if isinstance(time, dt.date) and not isinstance(time, dt.datetime):
        return dt.datetime.combine(time, dt.time())
    return time


def _is_midnight(time: Any, second: int) -> bool:
    if isinstance(time, (int, Fraction)):
        return time % (DAY * second) == 0
    return bool(_midnight(time).time() == dt.time())


def _end_of_day(time: Any, second: int) -> Any:
    if isinstance(time, (int, Fraction)):
        return (time // (DAY * second) + 1) * DAY * second - Fraction(second, 1_000_000)
    return dt.datetime.combine(time, dt.time.max, getattr(time, "tzinfo", None))


def carries_days(
    touches: list[Row], outcomes: list[Row], second: int = 1, *, dated: bool = False, asked: bool = False
) -> bool:
    """Whether outcomes carry a date without a time of day, and touchpoints do not all as well (1).

    ``dated``: their column is a date, which times that are integers do not tell; ``asked``: however many touchpoints
    stand at midnight, too.
    """
    early = sum(_is_midnight(row["timestamp"], second) for row in touches)
    if early == len(touches) or not outcomes:
        return False
    if dated or all(type(row["timestamp"]) is dt.date for row in outcomes):
        return True
    dated = sum(_is_midnight(row["timestamp"], second) for row in outcomes)
    enough = dated >= 20 or dated == len(outcomes)
    few = asked or Fraction(early, len(touches)) < HALF
    return enough and Fraction(dated, len(outcomes)) >= Fraction(99, 100) and few


def stand(
    touches: list[Row], outcomes: list[Row], day_of_outcome: str = "auto", second: int = 1, *, dated: bool = False
) -> list[Row]:
    """Outcomes where they stand: at the end of their day, if they carry days (1)."""
    asked = day_of_outcome == "end"
    if day_of_outcome == "start" or not carries_days(touches, outcomes, second, dated=dated, asked=asked):
        return [{**row, "timestamp": _midnight(row["timestamp"])} for row in outcomes]
    return [{**row, "timestamp": _end_of_day(row["timestamp"], second)} for row in outcomes]


def columns(rows: Iterable[Row]) -> set[str]:
    return {column for row in rows for column in row}


def touch_order(row: Row, rest: Sequence[str]) -> tuple[Any, ...]:
    """Time, sequence (nulls last), channel in byte order, then the remaining columns, event_id last (1)."""
    remaining = tuple(_nulls_last(row.get(column)) for column in rest)
    # Code points and UTF-8 bytes order strings alike.
    return (row["timestamp"], _nulls_last(row.get("sequence")), row["channel"], *remaining)


def outcome_order(row: Row, rest: Sequence[str]) -> tuple[Any, ...]:
    """Time, outcome in byte order, value, then the remaining columns by name (1, 3), last order ids, nulls first."""
    remaining = tuple(_nulls_last(row.get(column)) for column in rest)
    named = row.get("order_id")
    return (row["timestamp"], row["outcome"], row["value"], *remaining, (named is not None, named or 0))


def minus(rows: list[Row], others: list[Row]) -> list[Row]:
    """The rows that are none of the others; equal rows are still two."""
    return [row for row in rows if not any(row is other for other in others)]


def accept(touches: list[Row], outcomes: list[Row]) -> tuple[list[Row], list[Row]]:
    """Dates as midnights, values as fractions, and one type of customer in both tables (1)."""
    text = any(isinstance(row["customer_id"], str) for row in (*touches, *outcomes))

    def common(row: Row) -> Row:
        customer = str(row["customer_id"]) if text else row["customer_id"]
        return {**row, "customer_id": customer, "timestamp": _midnight(row["timestamp"])}

    valued = [{**common(row), "value": Fraction(row.get("value", 1))} for row in outcomes]
    return [common(row) for row in touches], valued


def drop_touches(rows: list[Row], read: Sequence[str]) -> list[Row]:
    """Touchpoints equal in every column that is read are one (1)."""
    seen: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        seen.setdefault(tuple(row.get(column) for column in read), row)
    return list(seen.values())


def drop_outcomes(rows: list[Row]) -> list[Row]:
    """Of a customer's outcomes with one event_id the first in order stays; a refund is no copy of its order."""
    seen: set[Any] = set()
    kept = []
    for row in rows:
        event = row["customer_id"], row.get("event_id"), row["value"] < 0
        if row.get("event_id") is None or event not in seen:
            kept.append(row)
        seen.add(event)
    return kept
