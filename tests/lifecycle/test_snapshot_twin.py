"""Snapshots equal their slow twin, and nothing at or after a date changes its features."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import attrib
import reference_snapshot as twin

pytestmark = pytest.mark.filterwarnings("ignore:.*refunds:attrib.AttribWarning")  # of which others tell
START = datetime(2024, 1, 1)  # noqa: DTZ001 - times without a zone
MODEL = (("aware", "visit", 1), ("buy", "purchase", 1), ("loyal", "purchase", 2), ("advocate", None, 1))
STAGES = attrib.StageModel(
    [("aware", "visit"), ("buy", "purchase"), ("loyal", attrib.Milestone("purchase", 2)), ("advocate", None)]
)
TOUCH_TYPES = {
    "customer_id": pl.String, "timestamp": pl.Datetime("us"), "channel": pl.String, "sequence": pl.Int64,
    "satisfaction": pl.Float64, "plan": pl.String,
}  # fmt: skip
OUTCOME_TYPES = {
    "customer_id": pl.String, "timestamp": pl.Datetime("us"), "outcome": pl.String, "value": pl.Float64,
    "referrer_id": pl.String, "order_id": pl.Int64,
}  # fmt: skip
HOSTILE = ("mail", "a", "label", "share:mail", "touches", '"x"', "who", "Ä^.*$")

customers = st.sampled_from(["c1", "c2", "c3", "c4"])
# half days, few of them: events meet each other and the bounds
times = st.integers(0, 40).map(lambda half: START + timedelta(hours=12 * half))
touch_rows = st.lists(
    st.fixed_dictionaries(
        {
            "customer_id": customers,
            "timestamp": times,
            "channel": st.sampled_from(HOSTILE),
            "sequence": st.none() | st.integers(0, 2),
            "satisfaction": st.none() | st.sampled_from([-1.0, -0.5, 0.25, 1.0]),
            "plan": st.none() | st.sampled_from(["s", "m"]),
        }
    ),
    max_size=25,
)
outcome_rows = st.lists(
    st.fixed_dictionaries(
        {
            "customer_id": customers,
            "timestamp": times,
            "outcome": st.sampled_from(["visit", "purchase", "cancel"]),
            "value": st.sampled_from([-2.0, 0.0, 1.5, 8.0]),
            "referrer_id": st.none() | customers,
            "order_id": st.none() | st.integers(1, 2),
        }
    ),
    max_size=15,
)
dates = st.lists(st.integers(0, 40), min_size=1, max_size=3, unique=True).map(
    lambda halves: [START + timedelta(hours=12 * half) for half in halves]
)
populations = st.sampled_from(["customers", "everyone"])
questions = st.sampled_from(
    [
        ("purchase", None, "train"), ("purchase", None, "survival"), ("purchase", None, "score"),
        (None, "cancel", "train"), (None, "cancel", "survival"), (None, "cancel", "score"),
        ("purchase", "cancel", "train"), ("purchase", "cancel", "survival"), ("purchase", "cancel", "score"),
        (None, "silent", "train"), ("purchase", "silent", "train"), ("purchase", "silent", "score"),
        (None, None, "train"),
    ]
)  # fmt: skip


def frames(touches, outcomes):
    return pl.DataFrame(touches, schema=TOUCH_TYPES), pl.DataFrame(outcomes, schema=OUTCOME_TYPES)


def assert_rows(found: pl.DataFrame, expected: list[dict]) -> None:
    assert found.height == len(expected)
    for row, wanted in zip(found.iter_rows(named=True), expected, strict=True):
        assert list(row) == list(wanted)
        for name, value in wanted.items():
            if isinstance(value, float):
                assert math.isclose(row[name], value, rel_tol=1e-9, abs_tol=1e-9), (name, row[name], value)
            else:
                assert row[name] == value, (name, row[name], value)


@given(
    touch_rows, outcome_rows, dates, questions, st.sampled_from([None, 2, 5]), st.integers(0, 3), st.integers(1, 9),
    st.sampled_from([None, "customers", "everyone"]), st.sampled_from([None, (), ("cancel",), ("visit", "cancel")]),
)  # fmt: skip
def test_twin(touches, outcomes, at, question, window, gap, horizon, population, cancelled):
    if not touches and not outcomes:
        return
    target, churn, purpose = question
    known = any(row["outcome"] == "purchase" for row in outcomes)
    if population == "customers" and not known and purpose != "score":
        return  # refused
    window = None if window is None else timedelta(days=window)
    ask = SimpleNamespace(
        target=target, churn=churn, purpose=purpose, population=population or "everyone", window=window,
        cancelled=cancelled,
        gap=timedelta(hours=12 * gap),
        horizon=timedelta(hours=12 * horizon),
        end=max(row["timestamp"] for row in (*touches, *twin.stand(touches, outcomes))),
    )  # fmt: skip
    found = attrib.snapshot(
        *frames(touches, outcomes), at=at, window=window, gap=ask.gap, horizon=ask.horizon, target=target, churn=churn,
        purpose=purpose, population=population, cancelled=cancelled, stages=STAGES, features="plan", max_channels=3,
    )  # fmt: skip
    assert_rows(found, twin.snapshot(touches, outcomes, at, ask, model=MODEL, own=["plan"], most=3))


def families(table: pl.DataFrame) -> set[str]:
    return {name.split(":")[0] for name in table.columns} - {"label", "duration", "event"}


def documented() -> set[str]:
    """All families of columns that the guide tells of but the labels; `share` and `touches` are there for (other)."""
    page = (Path(__file__).parents[2] / "docs" / "snapshots.md").read_text("utf-8")
    named = re.findall(r"^\| `([^`:]+)(?::[^`]*)?` \|", page, re.MULTILINE)
    return set(named) - {"label", "duration", "event"}


@given(touch_rows, outcome_rows, touch_rows, outcome_rows, times, st.sampled_from(["2d", None]), populations)
def test_nothing_at_or_after_the_date_changes_features(
    touches, outcomes, other_touches, other_outcomes, at, window, population
):
    """Events from the date on are taken away, and replaced by whatever else.

    Whether outcomes carry times of day is a fact on the whole table, told by all its rows; here it is said.
    """

    def features(touches, outcomes):
        if not touches and not outcomes:
            return None
        return attrib.snapshot(
            *frames(touches, outcomes), at=at, window=window, purpose="score", stages=STAGES, features="plan",
            churn="cancel", population=population, max_channels=3, day_of_outcome="start",
        )  # fmt: skip

    past = [[row for row in rows if row["timestamp"] < at] for rows in (touches, outcomes)]
    if not any(past):
        return
    later = [[row for row in rows if row["timestamp"] >= at] for rows in (other_touches, other_outcomes)]
    known = features(*past)
    assert families(known) == documented()
    assert_frame_equal(known, features(touches, outcomes), rel_tol=1e-12)
    assert_frame_equal(known, features(past[0] + later[0], past[1] + later[1]), rel_tol=1e-12)


@given(touch_rows, outcome_rows, st.randoms(use_true_random=False))
def test_order_and_parts_do_not_matter(touches, outcomes, random):
    if not touches and not outcomes:
        return
    ask = {"at": START + timedelta(days=9), "stages": STAGES, "features": "plan", "purpose": "score"}
    once = attrib.snapshot(*frames(touches, outcomes), **ask)
    random.shuffle(touches)
    random.shuffle(outcomes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("attrib.snapshots.snapshot.AT_ONCE", 5)
        assert_frame_equal(once, attrib.snapshot(*frames(touches, outcomes), **ask), rel_tol=1e-12)
