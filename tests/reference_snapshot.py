"""The slow twin of snapshots: one customer, one date, plain lists (docs/snapshots.md)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from reference_events import Row, outcome_order, stand, touch_order
from reference_refunds import net
from reference_stages import walk

DAY = 86_400


def days(duration: Any) -> float:
    return duration.total_seconds() / DAY


def most_used(touches: Sequence[Row], before: Any, most: int) -> list[str]:
    """Channels by touches before a date, equals by name."""
    names = [row["channel"] for row in touches if row["timestamp"] < before]
    return sorted(set(names), key=lambda name: (-names.count(name), name))[:most]


def known(outcomes: Sequence[Row], until: Any, *, before: bool = False) -> list[Row]:
    """Outcomes until a time (or before it), with the refunds among them netted, as they stood then."""
    rows = [r for r in outcomes if r["timestamp"] < until or (r["timestamp"] == until and not before)]
    rows = sorted(rows, key=lambda r: (*outcome_order(r, ()), str(r.get("referrer_id"))))
    return [{**r, "value": float(r["value"])} for r in net([{**r, "value": Fraction(r["value"])} for r in rows]).rows]


def referrals(outcomes: Sequence[Row]) -> list[tuple[Any, Any, Any]]:
    """(referred, referrer, time) of each customer's first outcome that names somebody else."""
    found: dict[Any, tuple[Any, Any, Any]] = {}
    for row in sorted(outcomes, key=lambda r: (*outcome_order(r, ()), str(r.get("referrer_id")))):
        by = row.get("referrer_id")
        if by is not None and by != row["customer_id"]:
            found.setdefault(row["customer_id"], (row["customer_id"], by, row["timestamp"]))
    return list(found.values())


def slope(points: list[tuple[float, float]]) -> float | None:
    if len({x for x, _ in points}) < 2:
        return None
    mx, my = statistics.fmean(x for x, _ in points), statistics.fmean(y for _, y in points)
    return sum((x - mx) * (y - my) for x, y in points) / sum((x - mx) ** 2 for x, _ in points)


def features(
    customer: Any,
    date: Any,
    touches: list[Row],
    outcomes: list[Row],
    window: Any,
    channels: Sequence[str],
    purchases: Sequence[str],
    model: Sequence[tuple[str, str | None, int]],
    own: Sequence[str],
    brought: list[tuple[Any, Any, Any]],
) -> Row | None:
    """Features of one customer at one date; None without an event before it."""
    rest = ("satisfaction", *own)
    mine = [r for r in touches if r["customer_id"] == customer and r["timestamp"] < date]
    mine = sorted(mine, key=lambda r: touch_order(r, rest))
    # touches equal in every column are one
    mine = [r for i, r in enumerate(mine) if i == 0 or touch_order(r, rest) != touch_order(mine[i - 1], rest)]
    done = [r for r in known(outcomes, date, before=True) if r["customer_id"] == customer]
    done = sorted(done, key=lambda r: outcome_order(r, ()))
    times = sorted(r["timestamp"] for r in (*mine, *done))
    if not times:
        return None

    def recent(rows: list[Row]) -> list[Row]:
        return [r for r in rows if window is None or r["timestamp"] >= date - window]

    now, then = recent(mine), recent(done)
    bought = [r for r in done if r["outcome"] in purchases]
    values = [float(r["value"]) for r in recent(bought)]
    instants = sorted({r["timestamp"] for r in (*now, *then)})
    gaps = [days(b - a) for a, b in pairwise(instants)]
    names = [r["channel"] for r in now]
    n = len(names)
    shares = [names.count(name) / n for name in set(names)]
    switches = [(a, b) for a, b in pairwise(now) if a["channel"] != b["channel"]]
    # touches stand before outcomes of the same instant: a purchase at the first touch's instant lies between
    within = [(a, b) for a, b in switches if not any(a["timestamp"] <= r["timestamp"] < b["timestamp"] for r in bought)]
    row: Row = {
        "tenure": days(date - times[0]),
        "recency": days(date - times[-1]),
        "recency_touch": days(date - mine[-1]["timestamp"]) if mine else None,
        "recency_purchase": days(date - bought[-1]["timestamp"]) if bought else None,
        "events": len(now) + len(then),
        "touches": n,
        "outcomes": len(then),
        "frequency": len(values),
        "value": sum(values),
        "value_mean": statistics.fmean(values) if values else None,
        "gap_mean": statistics.fmean(gaps) if gaps else None,
        "gap_median": statistics.median(gaps) if gaps else None,
        "gap_std": statistics.stdev(gaps) if len(gaps) > 1 else None,
        "gap_last": gaps[-1] if gaps else None,
        "channels": len(set(names)),
        "channel_entropy": -sum(share * math.log(share) for share in shares) + 0.0 if names else None,
        "switches": len(switches),
        "channel_mix": ("none", "single")[len(set(names))] if len(set(names)) < 2 else "cross" if within else "multi",
    }
    counts = {name: names.count(name) for name in channels}
    counts["(other)"] = n - sum(counts.values())
    row |= {f"touches:{name}": count for name, count in counts.items()}
    row |= {f"share:{name}": count / n if n else None for name, count in counts.items()}
    if model:
        moves = [move for move in walk(done, model) if move.goal > move.source]
        entries = {move.goal: move.time for move in moves}
        at = moves[-1].goal if moves else 0
        row |= {
            "stage": model[at][0],
            "days_in_stage": days(date - entries.get(at, times[0])),
            "stages_entered": len(moves) + 1,
        }
        row |= {
            f"days_to:{name}": days(entries[j] - times[0]) if j in entries else None
            for j, (name, _, _) in enumerate(model)
            if j
        }
    scores = [(days(r["timestamp"] - date), r["satisfaction"]) for r in now if r.get("satisfaction") is not None]
    row["satisfaction"] = next((r["satisfaction"] for r in mine[::-1] if r.get("satisfaction") is not None), None)
    row["satisfaction_mean"] = statistics.fmean(y for _, y in scores) if scores else None
    row["satisfaction_trend"] = slope(scores)
    row["referrals_made"] = sum(by == customer and time < date for _, by, time in brought)
    row["referrals_received"] = sum(who == customer and time < date for who, _, time in brought)
    for name in own:
        row[f"last:{name}"] = next((r[name] for r in mine[::-1] if r.get(name) is not None), None)
    return row


def ends(ask: Any) -> set[str]:
    """Outcomes that end the relation: as named, as given, and of silence the one of these data that sounds so."""
    named = {ask.churn} - {None, "silent"}
    sounds = {"cancel"} if ask.churn == "silent" else set()
    return named | (sounds if ask.cancelled is None else set(ask.cancelled))


def left_already(rows: list[Row], date: Any, ask: Any) -> bool:
    """Whether an outcome that ends the relation came too early for the customer to be asked about."""
    gone = [r["timestamp"] for r in rows if r.get("outcome") in ends(ask)]
    return any(t < date if ask.purpose == "score" else t <= date + ask.gap for t in gone)


def customer_by(date: Any, rows: list[Row], purchases: Sequence[str]) -> bool:
    """Whether a customer bought before the date."""
    return any(r.get("outcome") in purchases and r["timestamp"] < date for r in rows)


def label(  # noqa: PLR0911 - one step a rule
    customer: Any, date: Any, touches: list[Row], outcomes: list[Row], ask: Any
) -> dict[str, Any] | None:
    """The label, duration and event, or {} for scoring; None if the customer is not asked about."""
    after = date + ask.gap
    until = after + ask.horizon
    name = ask.target if ask.target or ask.churn == "silent" else ask.churn
    by_then = known(outcomes, ask.end if ask.purpose == "survival" else min(until, ask.end))
    before, rows = (
        [r for r in (*touches, *done) if r["customer_id"] == customer]
        for done in (known(outcomes, date, before=True), by_then)
    )
    # leaving is no sign of life
    heard, seen = (
        [r["timestamp"] for r in some
         if r.get("outcome") == name or (name is None and r.get("outcome") not in ends(ask))]
        for some in (before, rows)
    )  # fmt: skip
    if left_already(before if ask.purpose == "score" else rows, date, ask):
        return None
    if ask.target is None and ask.churn is None:
        return {}
    if ask.churn == "silent" and not any(t < date and (ask.window is None or t >= date - ask.window) for t in heard):
        return None
    if ask.purpose == "score":
        return {}
    later = sorted(t for t in seen if t > after)
    if ask.purpose == "survival":
        if after >= ask.end:
            return None
        return {"duration": days((later[0] if later else ask.end) - date), "event": int(bool(later))}
    if until > ask.end:
        return None
    happened = any(t <= until for t in later)
    return {"label": int(not happened if ask.churn == "silent" else happened)}


def snapshot(
    touches: list[Row], outcomes: list[Row], dates: Sequence[Any], ask: Any, purchases: Sequence[str] = ("purchase",),
    model: Sequence[tuple[str, str | None, int]] = (), own: Sequence[str] = (), most: int = 20,
) -> list[Row]:  # fmt: skip
    """The whole table, sorted by date and customer."""
    outcomes = stand(touches, outcomes)
    touches = [r for r in touches if r["timestamp"] <= ask.end]
    outcomes = [r for r in outcomes if r["timestamp"] <= ask.end]
    channels = most_used(touches, min(dates), most)
    table = []
    for date in sorted(dates):
        brought = referrals(known(outcomes, date, before=True))
        for customer in sorted({r["customer_id"] for r in (*touches, *outcomes)}):
            row = features(customer, date, touches, outcomes, ask.window, channels, purchases, model, own, brought)
            answer = None if row is None else label(customer, date, touches, outcomes, ask)
            mine = [r for r in known(outcomes, date, before=True) if r["customer_id"] == customer]
            if ask.population == "customers" and not customer_by(date, mine, purchases):
                continue
            if row is not None and answer is not None:
                table.append({"customer_id": customer, "date": date, **row, **answer})
    return table
