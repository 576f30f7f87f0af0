"""What happened after the date: labels of what was observed to its end, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from attrib.snapshots.events import AT, DONE, WHO
from attrib.snapshots.features import DAY
from attrib.snapshots.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the time after a date; times in microseconds.

    ``outcome``: whose rows are looked for, None for events of any kind; ``kind``: ``target`` (it happens), ``churn``
    (it happens once, and ends the relation), ``silent`` (it does not happen), ``elsewhere`` (another will find the
    answer, in the same window) or ``none``; ``gone``: outcomes after which a customer is not asked about;
    ``customers``: whether only those who have bought are; ``active``: only those with an event in the window.
    """

    kind: str
    outcome: str | None
    gone: tuple[str, ...]
    customers: bool
    active: bool
    purpose: str
    window: int
    gap: int
    horizon: int
    end: int

    def known_by(self, date: int) -> int:
        """When the label of a date is known: the end of its window, or of the data."""
        return self.end if self.purpose == "survival" else min(self.end, date + self.gap + self.horizon)

    def is_open(self, date: int) -> bool:
        """Whether nothing can be said yet: the label window, or all time after the gap, lies beyond the data."""
        if self.kind == "none" or self.purpose == "score":
            return False
        after = date + self.gap
        return after >= self.end if self.purpose == "survival" else after + self.horizon > self.end


def asked_about(
    rows: pl.DataFrame, before: Timeline, after: Timeline, date: int, question: Question, left: Counter[str]
) -> pl.DataFrame:
    """Keep the customers of whom the question can be asked; the others are counted by the first reason that holds.

    ``before`` are the events as they were known at the date, ``after`` as they are when the label is.
    """
    if question.customers:
        rows = _kept(rows, rows.filter(pl.col("recency_purchase").is_not_null()), "no_purchase", left)
    if question.active:
        rows = _kept(rows, rows.filter(pl.col("events") > 0), "inactive", left)
    if question.gone:
        known = pl.col(AT) < date if question.purpose == "score" else pl.col(AT) <= date + question.gap
        line = before if question.purpose == "score" else after
        gone = line.outcomes.filter(_named(question.gone), known).select(WHO)
        rows = _kept(rows, rows.join(gone, on=WHO, how="anti"), "gone", left)
    if question.kind == "silent":
        start = date - question.window if question.window >= 0 else -(2**62)
        heard = _seen(before, question).filter(pl.col(AT) < date, pl.col(AT) >= start)
        rows = _kept(rows, rows.join(heard, on=WHO, how="semi"), "silent_before", left)
    return rows


def answer(rows: pl.DataFrame, line: Timeline, date: int, question: Question) -> pl.DataFrame:
    """Add the answer."""
    if question.kind in ("none", "elsewhere") or question.purpose == "score":
        return rows
    after = date + question.gap
    later = _seen(line, question).filter(pl.col(AT) > after).group_by(WHO).agg(pl.col(AT).min().alias("met"))
    rows = rows.join(later, on=WHO, how="left")
    if question.purpose == "survival":
        until = pl.coalesce("met", pl.lit(question.end, pl.Int64))
        return rows.with_columns(
            ((until - date).cast(pl.Float64) / DAY).alias("duration"),
            pl.col("met").is_not_null().cast(pl.Int8).alias("event"),
        ).drop("met")
    happened = (pl.col("met") <= after + question.horizon).fill_null(value=False)
    label = ~happened if question.kind == "silent" else happened
    return rows.with_columns(label.cast(pl.Int8).alias("label")).drop("met")


def _seen(line: Timeline, question: Question) -> pl.DataFrame:
    """Return whose events that the question looks for are when; leaving is no sign of life."""
    if question.outcome is not None:
        return line.outcomes.filter(_named((question.outcome,))).select(WHO, AT)
    if not question.gone:
        return line.events.select(WHO, AT)
    others = line.outcomes.filter(~_named(question.gone))
    return pl.concat([line.touches.select(WHO, AT), others.select(WHO, AT)])


def _named(outcomes: Sequence[str]) -> pl.Expr:
    return pl.col(DONE).cast(pl.String).is_in(list(outcomes))


def _kept(before: pl.DataFrame, after: pl.DataFrame, reason: str, left: Counter[str]) -> pl.DataFrame:
    left[reason] += before.height - after.height
    return after
