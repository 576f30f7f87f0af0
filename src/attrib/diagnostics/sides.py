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
Floats = npt.NDArray[np.float64]

SHARE_UNTOUCHED, FEW_UNTOUCHED = 0.2, 5
EXPECTED = 10.0  # least events that a run of empty days should have had, by the days like them
TABLES = 5000  # of that many one may be told wrongly, by the law of chance that is assumed: of real ones some more
WEEKS = 8  # from which on the weeks tell how singly events come
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
    t_missed = missed_days(
        t, touches.first - first, touches.last - first, _of_each(seen.touches, seen.most_touches[0], seen.touched)
    )
    o_missed = missed_days(
        o, outcomes.first - first, outcomes.last - first, _of_each(seen.outcomes, seen.most_outcomes[0], seen.buyers)
    )
    t_missing, o_missing = t_missed > 0, o_missed > 0
    for days, missed, beside, table, lacking, going, hint in (
        (t_missing & ~o_missing, t_missed, o, "touchpoints", "a touch", "outcomes",
         "conversions after them lack touches: was tracking or the export interrupted?"),
        (o_missing & ~t_missing, o_missed, t, "outcomes", "an outcome", "touches",
         "journeys before them seem to fail: were outcomes or the export interrupted?"),
        (t_missing & o_missing, t_missed, None, "events", "a touch or an outcome", "",
         "was the export interrupted?"),
    ):  # fmt: skip
        runs = [(a, b) for a, b in runs_of(days) if beside is None or beside[a:b].any()]
        if not runs:
            continue
        told = []
        for a, b in runs[:3]:
            more = "" if beside is None else f", {going} on {int((beside[a:b] > 0).sum()):,} of them"
            told.append(f"{_named(a + first, b + first)} (about {missed[a:b].sum():,.0f} were to be expected{more})")
        count = sum(b - a for a, b in runs)
        yield Finding(
            "days_without_events", table,
            f"{count:,} of {last - first:,} days in {'a row' if len(runs) == 1 else f'{len(runs):,} runs'} without "
            f"{lacking}: {', '.join(told)}{f' and {len(runs) - 3:,} more' if len(runs) > 3 else ''}",
            hint, count, last - first, tuple(_named(a + first, b + first) for a, b in runs[:3]),
        )  # fmt: skip


def missed_days(counts: Ints, first: int, last: int, each: float = 1.0) -> Floats:
    """Events to be expected on each day from ``first`` to before ``last`` that has none and should, 0 on others.

    A run of empty days is missing if the medians of the same weekdays (four before, four after, outside of the run)
    sum to enough, and so would the daily mean of the week before it, and of the week after, each at least 1. Enough is
    what stays away by chance in one of five thousand such tables, if customers come at random with ``each``
    events: they come in journeys, not one by one. From eight weeks on, the weeks may say that they come more singly.
    """
    missed = np.zeros(len(counts))
    empty = np.zeros(len(counts), np.bool_)
    empty[first:last] = counts[first:last] == 0
    enough = _enough(counts[first:last], each)
    for a, b in runs_of(empty):
        weeks = counts[max(first, a - 7) : a], counts[b : min(last, b + 7)]  # where a log begins, it begins slowly
        beside = min((float(week.sum()) / 7 for week in weeks if len(week)), default=0.0)
        if beside < A_DAY or beside * (b - a) < enough:
            continue
        expected = np.zeros(b - a)
        for day in range(a, b):
            behind = list(range(day - 7 * ((day - a) // 7 + 1), first - 1, -7))[:NEIGHBOURS]
            ahead = list(range(day + 7 * ((b - 1 - day) // 7 + 1), last, 7))[:NEIGHBOURS]
            expected[day - a] = float(np.median(counts[behind + ahead])) if behind or ahead else 0.0
        if expected.sum() >= enough:
            missed[a:b] = np.maximum(expected, 1e-9)  # a day of rest within a run that is missed
    return missed


def _of_each(events: int, most: int, customers: int) -> float:
    """Events of a customer, the one with most of them left out."""
    return (events - most) / (customers - 1) if customers > 1 else float(events)


def _enough(counts: Ints, each: float) -> float:
    """Events of which none comes by chance in a run of days, about once in `TABLES` tables as long as this."""
    together = max(each, 1.0)
    weeks = counts[: len(counts) // 7 * 7].reshape(-1, 7).sum(axis=1)
    if len(weeks) >= WEEKS and weeks.any():
        # half the squared difference of weeks is their variance, whatever the trend; its median is .455 of its mean
        spread = float(np.median(np.diff(weeks) ** 2)) / 2 / 0.455
        together = min(together, max(spread / float(weeks.mean()), 1.0))
    return max(EXPECTED, together * float(np.log(TABLES * max(len(counts), 1))))


def _expected_after(days: Days, last: int, each: float) -> bool:
    """Whether days up to ``last`` should have had events, by the same weekdays before."""
    expected, enough = 0.0, _enough(days.counts, each)
    for day in range(days.last, last):
        behind = list(range(day - 7 * ((day - days.last) // 7 + 1), days.first - 1, -7))[:NEIGHBOURS]
        expected += float(np.median(days.counts[np.array(behind, np.int64) - days.first])) if behind else 0.0
        if expected >= enough:
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
    if not _expected_after(touches, outcomes.last, _of_each(seen.touches, seen.most_touches[0], seen.touched)):
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
