"""attrib.decisions: what was done to customers at dates, and whether they advanced afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import polars as pl

from attrib.errors import DataError, SpecError, warn
from attrib.refunds import NET, Refunding
from attrib.schemas import CUSTOMER, DATE, STAGE
from attrib.snapshots.asked import EVERYONE, check_dates, check_durations, check_model, in_micro
from attrib.snapshots.events import AT, DONE, ORDER, TOUCH, WHO, Events, read_events, warn_of_future
from attrib.snapshots.referred import TO
from attrib.snapshots.refunded import known_at_ends
from attrib.snapshots.snapshot import snapshot
from attrib.snapshots.timeline import STAGE as NUMBER
from attrib.snapshots.timeline import lay_out
from attrib.stages import StageModel
from attrib.values import read_date

ACTION, ADVANCED = "action", "advanced"
_ROW, _TICK = "__row", "__tick"


def decisions(
    touchpoints: Any,
    outcomes: Any,
    *,
    at: Any,
    stages: Any = None,
    target: str | None = None,
    churn: str | None = None,
    gap: str | timedelta = "7d",
    horizon: str | timedelta = "90d",
    end: Any = None,
    columns: Any = None,
    max_rejects: float = 0.05,
    refunds: str = NET,
    count_refunded: bool = False,
    day_of_outcome: str = "end",
    **options: Any,
) -> pl.DataFrame:
    """Look back at dates: how customers stood, which channel touched them next, and whether they advanced.

    The **decision window** is [date, date + gap]: the ``action`` is the channel of the first touch in it, null if there
    is none. ``advanced`` is 1 if the customer enters a later stage in (date + gap, date + gap + horizon]; in the last
    stage: if the outcome of its milestone happens there; without stages: if the `target` does.

    Who advances within the decision window is left out, touched or not: of them it could not be told whether the touch
    came in time, and leaving out only those not touched would make doing nothing look bad.

    Parameters
    ----------
    touchpoints, outcomes, columns, max_rejects, refunds, count_refunded, day_of_outcome, end
        As for `attrib.snapshot`.
    at : date or sequence of dates
        Those whose horizon passes the end of the data are left out.
    stages : str, Path or StageModel, optional
        Stages to advance by.
    target : str, optional
        An outcome, instead of stages.
    churn : str, optional
        The outcome that ends the relation: customers with one before the date are left out. Give it to the snapshot of
        `attrib.next_action` as well, with ``population="everyone"``.
    gap, horizon : str or timedelta
        The decision window, and the time to advance in after it.
    **options
        Further arguments of `attrib.snapshot`: ``window``, ``purchases``, ``channels``, ``features``, … Rows are of
        everyone, prospects too; ``population="customers"`` leaves those out.

    Returns
    -------
    polars.DataFrame
        The columns of `attrib.snapshot`, then ``action`` and ``advanced`` (1 or 0); sorted by date and customer.
        Customers in a last stage without milestone have nothing to advance to and are left out.

    Raises
    ------
    SpecError
        ``bad_value`` for neither stages nor target, or both; those of `attrib.snapshot`.
    DataError
        ``no_rows`` if no date is followed by gap and horizon in the data.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> from datetime import date
    >>> touches = pl.DataFrame(
    ...     {
    ...         "customer_id": [1, 2, 1],
    ...         "timestamp": [date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 11)],
    ...         "channel": ["ad", "ad", "mail"],
    ...     }
    ... )
    >>> bought = pl.DataFrame({"customer_id": [1], "timestamp": [date(2024, 1, 20)], "outcome": ["purchase"]})
    >>> rows = attrib.decisions(
    ...     touches, bought, at=date(2024, 1, 10), target="purchase", gap="2d", horizon="8d", end=date(2024, 2, 1)
    ... )
    >>> rows.select("customer_id", "action", "advanced").rows()
    [(1, 'mail', 1), (2, None, 0)]
    """
    if (stages is None) == (target is None):
        raise SpecError("bad_value", "name stages, or a target, to advance to", hint='e.g. stages="five"')
    if "purpose" in options:
        raise SpecError("bad_value", "purpose: decisions have a label of their own")
    if churn == "silent":
        hint = 'name the outcome that ends the relation, such as "cancel"'
        raise SpecError("bad_value", 'churn = "silent": silence has no moment from which customers are gone', hint=hint)
    _, pause, ahead = check_durations(None, gap, horizon)
    model, dates = check_model(stages), check_dates(at)
    events = read_events(
        touchpoints, outcomes, columns, (), max_rejects, Refunding(refunds, count_refunded),
        day_of_outcome=day_of_outcome,
    )  # fmt: skip
    until = events.latest if end is None else in_micro(read_date(end, "end"), events.zone, "end")
    if end is None:
        warn_of_future(until)
    ticks = {in_micro(moment, events.zone, "at"): moment for moment in dates}
    over = {tick: moment for tick, moment in ticks.items() if tick + pause + ahead <= until}
    if not over:
        raise DataError("no_rows", "no date is followed by gap and horizon in the data", hint="earlier dates")
    if len(over) < len(ticks):
        warn(f"{len(ticks) - len(over):,} of {len(ticks):,} dates are left out: horizon passes the end of the data")
    rows = snapshot(
        touchpoints, outcomes, at=list(over.values()), gap=gap, horizon=horizon, purpose="score", stages=stages,
        churn=churn, end=end, columns=columns, max_rejects=max_rejects, day_of_outcome=day_of_outcome,
        refunds=refunds, count_refunded=count_refunded, **{"population": EVERYONE} | options,
    )  # fmt: skip
    keys = rows.select(pl.col(CUSTOMER), in_ticks_of(rows).alias(_TICK)).with_row_index(_ROW)
    keep = pl.lit(value=True)
    if model is not None and model.milestones[-1] is None:
        keep = pl.col(STAGE).cast(pl.String) != model.names[-1]
    late, early = _answers(events, rows, keys, target if model is None else model, pause, ahead)
    whole = rows.with_columns(first_touch(events, keys, pause), late.cast(pl.Int8).alias(ADVANCED))
    kept = whole.filter(keep & ~early)
    moved = int(early.sum())
    if moved:
        warn(f"{moved:,} of {rows.height:,} rows are left out: their customers advanced within the decision window")
    return kept


def _answers(
    events: Events, rows: pl.DataFrame, keys: pl.DataFrame, towards: StageModel | str | None, pause: int, ahead: int
) -> tuple[pl.Series, pl.Series]:
    """Whether each row's customer advances in the horizon, and within the decision window, as known at its end."""
    parts = []
    for some, known in known_at_ends(keys.with_columns((pl.col(_TICK) + pause + ahead).alias(TO)), events):
        if isinstance(towards, StageModel):
            late, early = _advances(known, rows[some[_ROW]], some, towards, pause, ahead)
        else:
            steps = steps_of(known, [str(towards)])
            late, early = _within(some, steps, pause, pause + ahead), _within(some, steps, -1, pause)
        parts.append(some.select(_ROW, late.alias("late"), early.alias("early")))
    answers = pl.concat(parts).sort(_ROW)
    return answers["late"], answers["early"]


def in_ticks_of(rows: pl.DataFrame) -> pl.Expr:
    """Dates of a snapshot in microseconds since 1970."""
    zone = getattr(rows.schema[DATE], "time_zone", None)
    return pl.col(DATE).cast(pl.Datetime("us", zone)).to_physical().cast(pl.Int64)


def steps_of(events: Events, names: Iterable[str]) -> pl.DataFrame:
    """When customers had one of these outcomes: ``customer_id`` and ``t``."""
    found = events.outcomes.filter(pl.col(DONE).cast(pl.String).is_in(list(names)))
    return found.select(pl.col(WHO).cast(events.id_type).alias(CUSTOMER), AT)


def _within(keys: pl.DataFrame, steps: pl.DataFrame, after: int, to: int) -> pl.Series:
    """Whether a row's customer has a step in (date + after, date + to]."""
    near = keys.lazy().join(steps.lazy().with_columns(pl.col(CUSTOMER)), on=CUSTOMER)
    near = near.filter(pl.col(AT) > pl.col(_TICK) + after, pl.col(AT) <= pl.col(_TICK) + to)
    met = near.select(pl.col(_ROW).unique()).collect(engine="streaming")[_ROW]
    return keys[_ROW].is_in(met.implode())


def _advances(
    events: Events, rows: pl.DataFrame, keys: pl.DataFrame, model: StageModel, pause: int, ahead: int
) -> tuple[pl.Series, pl.Series]:
    """Whether each row's customer advances in the horizon, and within the decision window."""
    line = lay_out(events.touches.clear(), events.outcomes, (), model, drop=True)
    # a later milestone of the last stage moves nobody to another stage: it is looked for by name
    moves = line.moves.select(pl.col(WHO).cast(events.id_type).alias(CUSTOMER), AT, NUMBER)
    final = model.milestones[-1]
    done = steps_of(events, [] if final is None else [final.outcome])
    last = rows.select(pl.col(STAGE).cast(pl.String) == model.names[-1]).to_series()
    late, early = (
        (last & _within(keys, done, a, b)) | (~last & _within(keys, moves.drop(NUMBER), a, b))
        for a, b in ((pause, pause + ahead), (-1, pause))
    )
    return late, early


def first_touch(events: Events, keys: pl.DataFrame, pause: int) -> pl.Series:
    """Channel of the first touch in [date, date + gap], null without; equals by sequence, then by name."""
    touches = events.touches.select(
        pl.col(WHO).cast(events.id_type).alias(CUSTOMER), AT, TOUCH,
        *([ORDER] if ORDER in events.touches.columns else []),
    ).with_columns(pl.col(TOUCH).cast(pl.String))  # fmt: skip
    order = [AT, *([ORDER] if ORDER in touches.columns else []), TOUCH]
    near = keys.lazy().join(touches.lazy(), on=CUSTOMER)
    near = near.filter(pl.col(AT) >= pl.col(_TICK), pl.col(AT) <= pl.col(_TICK) + pause)
    first = near.sort(order, nulls_last=True).unique(_ROW, keep="first", maintain_order=True).select(_ROW, TOUCH)
    found = keys.lazy().select(_ROW).join(first, on=_ROW, how="left", maintain_order="left").collect()
    return found[TOUCH].alias(ACTION)
