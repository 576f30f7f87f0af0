"""Customers who bring customers: stories told with referrers, and how their credit reads."""

from __future__ import annotations

import attrib
from stories import form, rows

METHODS = {
    "linear": attrib.Linear(),
    "first": attrib.FirstTouch(),
    "last": attrib.LastTouch(),
    "shapley": attrib.Shapley(),
}
STORY = """
    ann  1ad 2mail      | 3purchase=100
    bob  4referral 5ad  | 6purchase=40
    cyd  7referral      | 8purchase=20
"""


def told(story, referrers, **recipe):
    """Journeys of a story and of who referred whom."""
    touched, reached = rows(story)
    for row in reached:
        row["referrer_id"] = referrers.get(row["customer_id"])
    return form(touched, reached, **recipe)


def by_key(table, number):
    """One number by the key columns; None for the player of an unattributed row."""
    keys = table.columns[: table.columns.index("kind")]
    return {
        tuple(row[k] for k in keys) if row["kind"] == "player" else ("unattributed",): row[number]
        for row in table.to_dicts()
    }


def credits_of(found, number="referral_adjusted"):
    return {key[0]: value for key, value in by_key(found.table, number).items()}


def counts(found):
    return dict(found.summary.select("entry", "customers").rows())
