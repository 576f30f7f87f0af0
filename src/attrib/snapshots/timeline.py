"""Events of some customers in order, each with what came before it: no number here looks ahead.

Everything is computed once, and serves every date: a row's columns depend on rows before it only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from attrib.snapshots.events import AT, BROUGHT_BY, DATED, DONE, FLAGGED, ID, MONEY, ORDER, OWN, SCORE, TOUCH, WHO
from attrib.stages import StageModel

GAP, ROW, SWITCH, WITHIN, BEFORE, STAGE = "gap", "row", "switch", "within", "before", "stage"


@dataclass(frozen=True, slots=True)
class Timeline:
    """Some customers' events, sorted by customer and time.

    Attributes
    ----------
    events : polars.DataFrame
        ``who``, ``t``, ``touch`` (null for outcomes), ``gap``: microseconds since the customer's previous instant,
        null at the first and in all rows of an instant but one.
    touches : polars.DataFrame
        ``who``, ``t``, ``touch``, ``row`` (number of the row), ``before`` (time of the previous touch), ``switch``
        (whether its channel is another), ``within`` (and no purchase lies between); ``score``; ``score_last`` and
        ``own0`` …, the last known up to here.
    outcomes : polars.DataFrame
        ``who``, ``t``, ``done``, ``money``.
    moves : polars.DataFrame
        ``who``, ``t``, ``stage`` (number): each entry into a stage but the first.
    repeated : int
        Touches that would have been duplicates, but for being dated to the day only.
    """

    events: pl.DataFrame
    touches: pl.DataFrame
    outcomes: pl.DataFrame
    moves: pl.DataFrame
    repeated: int


def lay_out(
    touches: pl.DataFrame,
    outcomes: pl.DataFrame,
    purchases: Sequence[str],
    model: StageModel | None,
    *,
    drop: bool,
) -> Timeline:
    """Sort the events of some customers, drop duplicates, and look back from each."""
    touches, repeated = _sort_touches(touches, drop=drop)
    outcomes = _sort_outcomes(outcomes, drop=drop)
    bought = pl.col(DONE).cast(pl.String).is_in(list(purchases)).fill_null(value=False)
    both = pl.concat(
        [touches.select(WHO, AT, TOUCH), outcomes.select(WHO, AT, bought.alias("bought"))], how="diagonal"
    ).lazy()
    events = both.sort(_code(), AT, pl.col(TOUCH).is_null(), maintain_order=True).with_columns(
        _since(AT).alias(GAP), pl.col("bought").fill_null(value=False).cum_sum().alias("purchases")
    )
    done = events.with_columns(pl.when(pl.col(GAP) > 0).then(GAP).alias(GAP)).collect(engine="streaming")
    # the touches among the events stand in the order of the touches: their columns go side by side
    since = done.filter(pl.col(TOUCH).is_not_null()).select("purchases")
    return Timeline(
        done.select(WHO, AT, TOUCH, GAP),
        _look_back(touches.hstack(since)),
        outcomes.select(WHO, AT, DONE, MONEY),
        _walk(outcomes, model),
        repeated,
    )


def _code() -> pl.Expr:
    return pl.col(WHO).to_physical()


def _same() -> pl.Expr:
    return (_code() == _code().shift(1)).fill_null(value=False)


def _since(column: str) -> pl.Expr:
    """Difference to the row before, of the same customer."""
    return pl.when(_same()).then(pl.col(column) - pl.col(column).shift(1))


def _sort_touches(touches: pl.DataFrame, *, drop: bool) -> tuple[pl.DataFrame, int]:
    present = touches.columns
    own = [c for c in present if c.startswith(OWN)]
    rest = [c for c in (ORDER, TOUCH, SCORE, *own, FLAGGED, ID) if c in present]
    keys = [_code(), pl.col(AT), *(pl.col(c) for c in rest), pl.col(DATED)]
    touches = touches.lazy().sort(keys, nulls_last=True, maintain_order=True).collect(engine="streaming")
    if not drop:
        return touches, 0
    equal = pl.all_horizontal(_same(), *(pl.col(c).eq_missing(pl.col(c).shift(1)) for c in (AT, *rest)))
    touches = touches.with_columns((equal & (pl.int_range(pl.len()) > 0)).alias("twice"))
    repeated = int(touches.select((pl.col("twice") & pl.col(DATED)).sum()).item())
    return touches.filter(~pl.col("twice") | pl.col(DATED)).drop("twice"), repeated


def _sort_outcomes(outcomes: pl.DataFrame, *, drop: bool) -> pl.DataFrame:
    rest = [c for c in (BROUGHT_BY, ID) if c in outcomes.columns]
    keys = [_code(), pl.col(AT), pl.col(DONE), pl.col(MONEY), *(pl.col(c).to_physical() for c in rest)]
    outcomes = outcomes.sort(keys, nulls_last=True, maintain_order=True)
    if drop and ID in outcomes.columns:
        outcomes = outcomes.filter(pl.col(ID).is_null() | pl.struct(_code(), ID).is_first_distinct())
    return outcomes


def _look_back(touches: pl.DataFrame) -> pl.DataFrame:
    switch = _same() & (pl.col(TOUCH) != pl.col(TOUCH).shift(1)).fill_null(value=False)
    known = [c for c in touches.columns if c == SCORE or c.startswith(OWN)]
    touches = touches.with_columns(
        switch.alias(SWITCH),
        (switch & (_since("purchases") == 0)).alias(WITHIN),
        pl.when(_same()).then(pl.col(AT).shift(1)).alias(BEFORE),
        *(pl.col(c).forward_fill().over(WHO).alias(f"{c}_last" if c == SCORE else c) for c in known),
    ).with_row_index(ROW)
    return touches.drop(DATED, "purchases", *(c for c in (ORDER, FLAGGED, ID) if c in touches.columns))


def _walk(outcomes: pl.DataFrame, model: StageModel | None) -> pl.DataFrame:
    """Entries into stages. A customer's stage is the furthest that any milestone so far led to (semantics, section 3).

    For a milestone of an earlier stage leads to no later stage than the customer is in, the largest goal so far is
    the stage; no state needs to be carried along.
    """
    milestones = () if model is None else model.milestones
    if not any(milestones):
        return pl.DataFrame(schema={WHO: outcomes.schema[WHO], AT: pl.Int64, STAGE: pl.Int64})
    assert model is not None
    last = len(milestones) - 1
    name, nth = pl.col(DONE).cast(pl.String), pl.int_range(1, pl.len() + 1).over(WHO, DONE)
    goals = [
        pl.when((name == milestone.outcome) & (pl.col("nth") >= milestone.nth)).then(min(j + 1, last))
        for j, milestone in enumerate(milestones)
        if milestone is not None
    ]
    found = outcomes.filter(name.is_in(list(model.outcomes))).with_columns(nth.alias("nth"))
    instants = (
        found.select(WHO, AT, pl.max_horizontal(*goals, pl.lit(0)).cast(pl.Int64).alias(STAGE))
        .group_by(WHO, AT)
        .agg(pl.col(STAGE).max())
        .sort(_code(), AT)
        .with_columns(pl.col(STAGE).cum_max().over(WHO))
    )
    earlier = pl.when(_same()).then(pl.col(STAGE).shift(1)).otherwise(0)
    return instants.filter(pl.col(STAGE) > earlier)
