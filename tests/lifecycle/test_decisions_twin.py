"""attrib.decisions against loops over customers, dates and events."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import polars as pl
import pytest

import attrib

DAY = timedelta(days=1)
START = datetime(2024, 1, 1)  # noqa: DTZ001 - times without a zone
GAP, HORIZON = 3, 10
AT = [START + d * DAY for d in (10, 18, 25)]
STAGES = attrib.STAGES["six"]


def events(seed):
    rng = random.Random(seed)
    touches = [(rng.randrange(12), START + rng.randrange(40) * DAY, rng.choice("abc")) for _ in range(120)]
    done = [(rng.randrange(12), START + rng.randrange(40) * DAY, rng.choice(STAGES.outcomes)) for _ in range(60)]
    return sorted(set(touches)), done


def stage_at(done, who, until, *, strictly):
    """Walk through the outcomes up to an instant: the furthest stage that a milestone so far leads to."""
    stage, counts = 0, {}
    for moment, name in sorted((t, o) for w, t, o in done if w == who):
        if moment > until or (strictly and moment == until):
            break
        counts[name] = counts.get(name, 0) + 1
        for j, milestone in enumerate(STAGES.milestones):
            if milestone is not None and milestone.outcome == name and counts[name] >= milestone.nth:
                stage = max(stage, min(j + 1, len(STAGES.names) - 1))
    return stage


def decide(touches, done, target, lot=None):
    rows = {}
    for date in AT:
        mid, late = date + GAP * DAY, date + ((0 if lot else GAP) + HORIZON) * DAY
        for who in range(12):
            if not any(w == who and t < date for w, t, _ in touches + done):
                continue
            last = len(STAGES.names) - 1
            before = stage_at(done, who, date, strictly=True)
            if target or before == last:
                name = target or STAGES.milestones[-1].outcome
                when = [t for w, t, o in done if w == who and o == name]
                early = any(date <= t <= mid for t in when)
                advanced = any((date <= t if lot else mid < t) and t <= late for t in when)
            else:
                middle = stage_at(done, who, mid, strictly=False)
                early = middle > before
                advanced = stage_at(done, who, late, strictly=False) > (before if lot else middle)
            if not early or lot:
                next_ones = sorted(
                    (t, c) for w, t, c in touches if w == who and date <= t <= mid and (not lot or c in lot)
                )
                rows[who, date] = (next_ones[0][1] if next_ones else None, int(advanced))
    return rows


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("target", [None, "purchase"])
@pytest.mark.parametrize("lot", [None, ["a", "c"]])
def test_decisions_are_those_of_loops(seed, target, lot):
    touches, done = events(seed)
    when = {"timestamp": pl.Datetime("us")}
    found = attrib.decisions(
        pl.DataFrame(touches, schema=["customer_id", "timestamp", "channel"], orient="row", schema_overrides=when),
        pl.DataFrame(done, schema=["customer_id", "timestamp", "outcome"], orient="row", schema_overrides=when),
        at=AT, gap=f"{GAP}d", horizon=f"{HORIZON}d", end=START + 40 * DAY,
        **({"target": target} if target else {"stages": STAGES}), randomised=lot or False,
    )  # fmt: skip
    rows = {(who, date): (action, advanced) for who, date, action, advanced in found.select(
        "customer_id", "date", "action", "advanced").rows()}  # fmt: skip
    assert rows == decide(touches, done, target, lot)
