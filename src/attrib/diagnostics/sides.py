"""Findings where the other side is empty: customers, days and stages with outcomes and no touches, or the reverse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from attrib.diagnostics.finding import Finding
from attrib.diagnostics.names import shown
from attrib.diagnostics.seen import Days, Seen

Ints = npt.NDArray[np.int64]

SHARE_UNTOUCHED, FEW_UNTOUCHED = 0.2, 5
EXPECTED = 10.0  # events that a run of empty days should have had, by the days like them
A_DAY = 1.0  # least events a day in the weeks beside: of rarer ones, months may go without any
NEIGHBOURS = 4  # same days of the week before and after
SHARE_OUTSIDE, FEW_OUTSIDE = 0.01, 10
FEW_FAR, FAR = 0.005, 30  # share of the events, days
EPOCH = date(1970, 1, 1)


def without_touch(seen: Seen) -> Finding | None:
    """Find that many customers with outcomes have no touch at all."""
    if seen.untouched < FEW_UNTOUCHED or seen.untouched < SHARE_UNTOUCHED * seen.buyers:
        return None
    return Finding(
        "customers_without_touch", "outcomes",
        f"{seen.untouched:,} of {seen.buyers:,} customers with outcomes ({seen.untouched / seen.buyers:.0%}) have no "
        "touch at all",
        "they did not come by a channel that is tracked, or both tables name customers differently (cookies beside "
        "accounts, case, leading zeros): then join their ids, identities=",
        seen.untouched, seen.buyers,
    )  # fmt: skip


def empty_days(seen: Seen) -> Iterator[Finding]:
    """Find days without touches, without outcomes, or without both, where there should be some."""
    touches, outcomes = main_days(seen.touch_days), main_days(seen.outcome_days)
    if not len(touches.counts) or not len(outcomes.counts):
        return
    first, last = min(touches.first, outcomes.first), max(touches.last, outcomes.last)
    t, o = touches.over(first, last), outcomes.over(first, last)
    t_missing = missing_days(t, touches.first - first, touches.last - first)
    o_missing = missing_days(o, outcomes.first - first, outcomes.last - first)
    for days, table, message, hint in (
        (t_missing & ~o_missing & (o > 0), "touchpoints", "without a touch, while outcomes go on",
         "conversions after them lack touches: was tracking or the export interrupted?"),
        (o_missing & ~t_missing & (t > 0), "outcomes", "without an outcome, while touches go on",
         "journeys before them seem to fail: were outcomes or the export interrupted?"),
        (t_missing & o_missing, "events", "without a touch or an outcome",
         "was the export interrupted?"),
    ):  # fmt: skip
        count = int(days.sum())
        if count:
            runs = [_named(a + first, b + first) for a, b in runs_of(days)]
            more = f" and {len(runs) - 3:,} more" if len(runs) > 3 else ""
            yield Finding(
                "days_without_events", table,
                f"{count:,} of {last - first:,} days {message}: {', '.join(runs[:3])}{more}",
                hint, count, last - first, tuple(runs[:3]),
            )  # fmt: skip


def missing_days(counts: Ints, first: int, last: int) -> npt.NDArray[np.bool_]:
    """Days from ``first`` to before ``last`` without an event that should have some.

    A run of empty days is missing if the medians of the same weekdays (four before, four after, outside of the run) sum
    to at least 10, and so would the daily mean of the week before it, and of the week after, each at least 1: by chance
    so many events would stay away once in 20,000 times.
    """
    missing = np.zeros(len(counts), np.bool_)
    empty = np.zeros(len(counts), np.bool_)
    empty[first:last] = counts[first:last] == 0
    for a, b in runs_of(empty):
        weeks = counts[max(first, a - 7) : a], counts[b : min(last, b + 7)]  # where a log begins, it begins slowly
        beside = min((float(week.sum()) / 7 for week in weeks if len(week)), default=0.0)
        expected = 0.0
        for day in range(a, b) if beside >= A_DAY and beside * (b - a) >= EXPECTED else ():
            behind = list(range(day - 7 * ((day - a) // 7 + 1), first - 1, -7))[:NEIGHBOURS]
            ahead = list(range(day + 7 * ((b - 1 - day) // 7 + 1), last, 7))[:NEIGHBOURS]
            expected += float(np.median(counts[behind + ahead])) if behind or ahead else 0.0
            if expected >= EXPECTED:
                missing[a:b] = True
                break
    return missing


def _expected_after(days: Days, last: int) -> bool:
    """Whether days up to ``last`` should have had events, by the same weekdays before."""
    expected = 0.0
    for day in range(days.last, last):
        behind = list(range(day - 7 * ((day - days.last) // 7 + 1), days.first - 1, -7))[:NEIGHBOURS]
        expected += float(np.median(days.counts[np.array(behind, np.int64) - days.first])) if behind else 0.0
        if expected >= EXPECTED:
            return True
    return False


def main_days(days: Days) -> Days:
    """Days without those far off: few events (0.5 %), a month and more away from the rest (1970, 2099)."""
    counts, first = days.counts, days.first
    for backwards in (False, True):
        ordered = counts[::-1] if backwards else counts
        full = np.flatnonzero(ordered)
        few = np.cumsum(ordered)[full] <= FEW_FAR * counts.sum()
        far = np.flatnonzero(few[:-1] & (np.diff(full) > FAR))
        if len(far):
            cut = int(full[far[-1] + 1])
            counts = counts[: len(counts) - cut] if backwards else counts[cut:]
            first = first if backwards else first + cut
    return Days(first, counts)


def runs_of(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open stretches where a mask holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def outside(seen: Seen) -> Finding | None:
    """Find outcomes on days before the first touch, or after the last where more touches should have come."""
    touches, outcomes = main_days(seen.touch_days), seen.outcome_days
    if not len(touches.counts) or not len(outcomes.counts):
        return None
    if not _expected_after(touches, outcomes.last):
        outcomes = Days(outcomes.first, outcomes.counts[: max(0, touches.last - outcomes.first)])
    early = int(outcomes.counts[: max(0, touches.first - outcomes.first)].sum())
    late = int(outcomes.counts[max(0, touches.last - outcomes.first) :].sum())
    count, total = early + late, int(seen.outcome_days.counts.sum())
    if count < FEW_OUTSIDE or count < SHARE_OUTSIDE * total:
        return None
    where = " and ".join(
        f"{n:,} {word} {_date(day)}"
        for n, word, day in (
            (early, "before the first touch of", touches.first),
            (late, "after the last of", touches.last - 1),
        )
        if n
    )
    return Finding(
        "outcomes_outside_touches", "outcomes",
        f"{count:,} of {total:,} outcomes ({count / total:.0%}) lie outside the time of the touches: {where}",
        "give both tables of one time, or leave these outcomes out",
        count, total,
    )  # fmt: skip


def empty_stages(entered: Mapping[str, int], *, carried: bool) -> Finding | None:
    """Find stages in which nobody was seen: journeys by stage, or touches that carry their stage."""
    empty = [stage for stage, count in entered.items() if not count]
    if not empty or len(empty) == len(entered):
        return None
    what = "no touch carries" if carried else "nobody has a journey in"
    return Finding(
        "empty_stages", "touchpoints", f"{what} stage {', '.join(shown(stage) for stage in empty[:4])}",
        "is it spelled as in the data, and are the milestones before it right?",
        len(empty), len(entered), tuple(shown(stage) for stage in empty[:4]),
    )  # fmt: skip


def no_nulls(asking: str, silent: Finding | None = None) -> Finding:
    """Tell that something compares with journeys that failed, where there are none.

    ``silent``: rows of a path table that count nothing, and may be those journeys.
    """
    there = "there are none: everybody converts" if silent is None else f"there are none: {silent.message}"
    return Finding(
        "no_nulls",
        "journeys",
        f"{asking} compares journeys that convert with null journeys, and {there}",
        "load those who did not convert, too (a path table: a column of nulls), or use a rule"
        if silent is None
        else silent.hint,
        0,
    )


def _date(day: int) -> str:
    return (EPOCH + timedelta(days=day)).isoformat()


def _named(a: int, b: int) -> str:
    return _date(a) if b - a == 1 else f"{_date(a)} to {_date(b - 1)}"
