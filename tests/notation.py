"""Events in short: what happened to a customer, in one line of text."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]


def touches(customer: Any, text: str, **more: Any) -> list[Row]:
    """`"1a 3b"`: channel a at 1, b at 3."""
    rows = []
    for word in text.split():
        time = word.rstrip("abcdefghijklmnopqrstuvwxyz")
        rows.append({"customer_id": customer, "timestamp": int(time), "channel": word[len(time) :], **more})
    return rows


def outcomes(customer: Any, text: str, **more: Any) -> list[Row]:
    """`"4purchase 5visit=2.5"`: a purchase of value 1 at 4, a visit of value 2.5 at 5."""
    rows = []
    for word in text.split():
        event, _, value = word.partition("=")
        time = event.rstrip("abcdefghijklmnopqrstuvwxyz")
        row = {"customer_id": customer, "timestamp": int(time), "outcome": event[len(time) :]}
        rows.append({**row, "value": float(value or 1), **more})
    return rows
