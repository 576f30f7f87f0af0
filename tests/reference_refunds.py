"""The slow twin of refunds, from their definition (semantics 2): one refund after the other, over all rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from reference_events import Row

NOTHING = Fraction(1, 10**9)


@dataclass
class Netted:
    """What is left of some rows, in their order, and the entries of the ledger."""

    rows: list[Row] = field(default_factory=list)
    entries: dict[str, tuple[int, Fraction]] = field(default_factory=dict)


def net(rows: Sequence[Row], *, count_refunded: bool = False) -> Netted:
    """Net the refunds among the outcome rows of all customers; ``rows`` in the order of semantics 1."""
    left = [row["value"] for row in rows]
    for i, refund in enumerate(rows):
        if refund["value"] < 0:
            for j in _orders_of(rows, i):
                _take(rows, left, i, j)
    taken = [row["value"] - rest for row, rest in zip(rows, left, strict=True)]
    refunds = [i for i, row in enumerate(rows) if row["value"] < 0]
    spent = [i for i, row in enumerate(rows) if row["value"] > 0 == left[i]]
    gone = [] if count_refunded else spent
    entries = {
        "refunded": (len(gone), sum((taken[i] for i, row in enumerate(rows) if row["value"] > 0), Fraction(0))),
        "netted_refund": (sum(taken[i] < 0 for i in refunds), sum((taken[i] for i in refunds), Fraction(0))),
        "unmatched_refund": (sum(taken[i] == 0 for i in refunds), sum((left[i] for i in refunds), Fraction(0))),
    }
    kept = [{**row, "value": left[i]} for i, row in enumerate(rows) if i not in refunds and i not in gone]
    return Netted(kept, entries)


def _orders_of(rows: Sequence[Row], i: int) -> list[int]:
    """Rows that a refund may lower, in the order in which it does."""
    refund = rows[i]
    same = [
        j
        for j, row in enumerate(rows)
        if (row["customer_id"], row["outcome"]) == (refund["customer_id"], refund["outcome"]) and row["value"] > 0
    ]
    so_far = [j for j in same if rows[j]["timestamp"] <= refund["timestamp"]]
    named = refund.get("order_id")
    if named is None or (isinstance(named, str) and not named.strip()):
        return so_far[::-1]
    of_order = [j for j in same if rows[j].get("order_id") == named]
    return [j for j in so_far if j in of_order][::-1] + [j for j in of_order if j not in so_far]


def _take(rows: Sequence[Row], left: list[Fraction], i: int, j: int) -> None:
    much = min(-left[i], left[j])
    left[i] += much
    left[j] -= much
    for k in (i, j):
        if abs(left[k]) <= NOTHING * abs(rows[k]["value"]):
            left[k] = Fraction(0)
