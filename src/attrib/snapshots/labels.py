"""What happened after the date: labels of what was observed to its end, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from attrib.snapshots.events import AT, DONE, WHO
from attrib.snapshots.features import DAY
from attrib.snapshots.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the time after a date; times in microseconds.

    ``outcome``: whose rows are looked for, None for events of any kind; ``kind``: ``target`` (it happens), ``churn``
    (it happens once, and ends the relation), ``silent`` (it does not happen) or ``none``.
    """

    kind: str
    outcome: str | None
    purpose: str
    window: int
    gap: int
    horizon: int
    end: int

    def is_open(self, date: int) -> bool:
        """Whether nothing can be said yet: the label window, or all time after the gap, lies beyond the data."""
        if self.kind == "none" or self.purpose == "score":
            return False
        after = date + self.gap
        return after >= self.end if self.purpose == "survival" else after + self.horizon > self.end


def answer(rows: pl.DataFrame, line: Timeline, date: int, question: Question) -> pl.DataFrame:
    """Keep the customers of whom the question can be asked, and add the answer."""
    if question.kind == "none":
        return rows
    if question.outcome is None:
        seen = line.events.select(WHO, AT)
    else:
        seen = line.outcomes.filter(pl.col(DONE).cast(pl.String) == question.outcome).select(WHO, AT)
    after = date + question.gap
    if question.kind == "churn":
        known = pl.col(AT) < date if question.purpose == "score" else pl.col(AT) <= after
        rows = rows.join(seen.filter(known), on=WHO, how="anti")
    if question.kind == "silent":
        start = date - question.window if question.window >= 0 else -(2**62)
        rows = rows.join(seen.filter(pl.col(AT) < date, pl.col(AT) >= start), on=WHO, how="semi")
    if question.purpose == "score":
        return rows
    later = seen.filter(pl.col(AT) > after).group_by(WHO).agg(pl.col(AT).min().alias("met"))
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
