"""Awkward data, one entry a case: its name leads to a builder of (touchpoints, outcomes).

What every case must fulfil stands in test_every_case.py; a new case needs no test of its own. The builders are in the
files ``cases_*.py``, each of which adds to CASES when it is imported; ``all_cases`` imports them.
"""

from __future__ import annotations

import datetime as dt
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

Builder = Callable[[], tuple[Any, Any]]
START = dt.datetime(2025, 3, 1)  # noqa: DTZ001 (naive on purpose: zones are cases of their own)
ALL_FORMS = ("arrow", "parquet", "csv")
TIES = ("only the name orders them",)  # touches of one instant, told apart by nothing else


@dataclass(frozen=True)
class Case:
    """An awkward pair of tables, and what is to become of it.

    ``recipe``: arguments of ``Journeys.from_events``. ``forms``: into which the tables can be turned and mean the
    same. ``twin``: whether the slow twin is to be asked too. ``fails``: key of the error. ``rejects``: rules of the
    rejected rows, touchpoints first. ``warns``: a part of each warning.
    """

    name: str
    build: Builder
    recipe: dict[str, Any] = field(default_factory=dict)
    forms: tuple[str, ...] = ALL_FORMS
    twin: bool = True
    fails: str | None = None
    rejects: tuple[str, ...] = ()
    warns: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


CASES: dict[str, Case] = {}


def case(**expected: Any) -> Callable[[Builder], Builder]:
    """Enter a builder as a case, by the name of the function."""

    def enter(build: Builder) -> Builder:
        name = build.__name__
        assert name not in CASES, name
        CASES[name] = Case(name, build, **expected)
        return build

    return enter


def enter(name: str, build: Builder, **expected: Any) -> None:
    """Enter one of a family of cases."""
    assert name not in CASES, name
    CASES[name] = Case(name, build, **expected)


def all_cases(*, failing: bool = False) -> list[Case]:
    """Cases that give an answer, or those that must fail."""
    for topic in ("names", "numbers", "shapes", "times", "types"):
        importlib.import_module(f"awkward.cases_{topic}")
    return [case for case in CASES.values() if (case.fails is not None) == failing]


def at(hours: float) -> dt.datetime:
    """Return a time so many hours after START."""
    return START + dt.timedelta(hours=hours)


def touches(rows: Sequence[tuple[Any, Any, Any]], **columns: Any) -> pl.DataFrame:
    """Touchpoints of (customer, hours or time, channel), and further columns."""
    return _table(rows, "channel", columns)


def outcomes(rows: Sequence[tuple[Any, Any, Any]], **columns: Any) -> pl.DataFrame:
    """Outcomes of (customer, hours or time, value), all of them purchases unless said otherwise."""
    table = _table(rows, "value", columns)
    return table if "outcome" in columns else table.with_columns(outcome=pl.lit("purchase"))


def _table(rows: Sequence[tuple[Any, Any, Any]], third: str, columns: dict[str, Any]) -> pl.DataFrame:
    ids, times, others = zip(*rows, strict=True)
    named = {
        "customer_id": list(ids),
        "timestamp": [at(t) if isinstance(t, (int, float)) else t for t in times],
        third: list(others),
    }
    return pl.DataFrame(named, strict=False).with_columns(pl.Series(k, v, strict=False) for k, v in columns.items())


def plain(ids: Sequence[Any] = (1, 2, 3)) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Three customers: two touches and a purchase; a touch alone; touches, a purchase, and one more touch."""
    a, b, c = ids
    touched = touches([(a, 0, "ad"), (a, 1, "mail"), (b, 0, "ad"), (c, 0, "seo"), (c, 5, "mail"), (c, 9, "ad")])
    return touched, outcomes([(a, 2, 10.0), (c, 6, 4.5)])
