"""attrib.decisions: what was done to customers at dates, and whether they advanced afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import polars as pl

from attrib.arguments import distinct_names
from attrib.errors import DataError, SpecError, warn
from attrib.faults import nearest
from attrib.io.text import clean
from attrib.lifecycle.acting.offering import is_unsendable
from attrib.refunds import NET, Refunding
from attrib.schemas import CUSTOMER, DATE, STAGE
from attrib.snapshots.asked import EVERYONE, check_dates, check_durations, check_model, in_micro
from attrib.snapshots.events import AT, DONE, ORDER, TOUCH, WHO, Events, read_events, warn_of_future
from attrib.snapshots.findings import tell_of_target
from attrib.snapshots.referred import TO
from attrib.snapshots.refunded import known_at_ends
from attrib.snapshots.snapshot import snapshot
from attrib.snapshots.timeline import STAGE as NUMBER
from attrib.snapshots.timeline import lay_out
from attrib.stages import StageModel
from attrib.values import read_date

ACTION, ADVANCED, SINCE = "action", "advanced", "advanced_since"
AT_DATE, AFTER_GAP = "date", "gap"  # from when on advances count
_ROW, _TICK, _DELAY = "__row", "__tick", "__delay"
_DAY = 86_400_000_000  # microseconds


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
    randomised: bool | str | Sequence[str] = False,
    end: Any = None,
    columns: Any = None,
    max_rejects: float = 0.05,
    refunds: str = NET,
    count_refunded: bool = False,
    day_of_outcome: str = "auto",
    **options: Any,
) -> pl.DataFrame:
    """Look back at dates: how customers stood, which channel touched them next, and whether they advanced.

    The **decision window** is [date, date + gap]: the ``action`` is the channel of the first touch in it, null if there
    is none. ``advanced`` is 1 if the customer enters a later stage in (date + gap, date + gap + horizon]; in the last
    stage: if the outcome of its milestone happens there; without stages: if the `target` does.

    Who advances within the decision window is left out, touched or not: of them it could not be told whether the touch
    came in time, and leaving out only those not touched would make doing nothing look bad. So these rows say nothing of
    quick reactions, serve for a ranking only, and support no causal claim.

    **Actions by lot** (`randomised`) were decided at the date whatever customers do next, so nobody is left out and no
    gap is needed: ``advanced`` counts in [date, date + horizon]. The ``action`` is the first touch of a channel of the
    lot in the decision window; other touches there are no actions, since they may be what the action, or its absence,
    brought about. What is then compared is being given the action at the date with being given none of the lot's, over
    the customers of these rows, whatever else they met meanwhile.

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
        The decision window, and the time to advance in after it (by lot: after the date, and no shorter than the gap).
    randomised : bool, str or sequence of str
        Channels that were sent by lot, or with chances that you know, at these dates. True: all channels, or those of
        ``channels``; name them where the log also holds others. Dates must be those of the lot, and the touches must
        follow them whatever the customer does: a mail that is held back once somebody has bought is no longer by lot.
    **options
        Further arguments of `attrib.snapshot`: ``window``, ``purchases``, ``channels``, ``features``, … Rows are of
        everyone, prospects too; ``population="customers"`` leaves those out.

    Returns
    -------
    polars.DataFrame
        The columns of `attrib.snapshot`, then ``action``, ``advanced`` (1 or 0) and ``advanced_since`` (``gap``, or by
        lot ``date``: `attrib.next_action` makes a causal claim of the latter only); sorted by date and customer.
        Customers in a last stage without milestone have nothing to advance to and are left out.

    Raises
    ------
    SpecError
        ``bad_value`` for neither stages nor target, or both, and for ``randomised=True`` where it is not clear which
        channels are meant; ``bad_duration``; those of `attrib.snapshot`.
    DataError
        ``no_rows`` if no date is followed by gap and horizon in the data.

    Warns
    -----
    AttribWarning
        Of rows and dates left out, of channels by lot that no touch has, and of actions by lot that came late.

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

    A mail sent by lot on 10 January, to which somebody may react on the same day:

    >>> bought = bought.with_columns(timestamp=date(2024, 1, 11))
    >>> asked = {"at": date(2024, 1, 10), "target": "purchase", "gap": "2d", "horizon": "8d", "end": date(2024, 2, 1)}
    >>> attrib.decisions(touches, bought, randomised="mail", **asked).select("action", "advanced").rows()
    [('mail', 1), (None, 0)]
    """
    if (stages is None) == (target is None):
        raise SpecError("bad_value", "name stages, or a target, to advance to", hint='e.g. stages="five"')
    if "purpose" in options:
        raise SpecError("bad_value", "purpose: decisions have a label of their own")
    if isinstance(churn, str) and churn == "silent":
        hint = 'name the outcome that ends the relation, such as "cancel"'
        raise SpecError("bad_value", 'churn = "silent": silence has no moment from which customers are gone', hint=hint)
    _, pause, ahead = check_durations(None, gap, horizon)
    model, dates = check_model(stages), check_dates(at)
    by_lot = randomised is not False
    wait = _wait(pause, ahead, by_lot=by_lot)
    events = read_events(
        touchpoints, outcomes, columns, (), max_rejects, Refunding(refunds, count_refunded),
        day_of_outcome=day_of_outcome,
    )  # fmt: skip
    if target is not None:
        tell_of_target(events, str(target))  # the snapshot tells of all else
    until = events.latest if end is None else in_micro(read_date(end, "end"), events.zone, "end")
    if end is None:
        warn_of_future(until)
    ticks = {in_micro(moment, events.zone, "at"): moment for moment in dates}
    over = {tick: moment for tick, moment in ticks.items() if tick + wait + ahead <= until}
    if not over:
        raise DataError("no_rows", "no date is followed by gap and horizon in the data", hint="earlier dates")
    if len(over) < len(ticks):
        warn(f"{len(ticks) - len(over):,} of {len(ticks):,} dates are left out: horizon passes the end of the data")
    lot = _lot(events, randomised, options.get("channels"))
    rows = snapshot(
        touchpoints, outcomes, at=list(over.values()), gap=gap, horizon=horizon, purpose="score", stages=stages,
        churn=churn, end=end, columns=columns, max_rejects=max_rejects, day_of_outcome=day_of_outcome,
        refunds=refunds, count_refunded=count_refunded, **{"population": EVERYONE} | options,
    )  # fmt: skip
    keys = rows.select(pl.col(CUSTOMER), in_ticks_of(rows).alias(_TICK)).with_row_index(_ROW)
    (late, early), keep = _advanced(
        events, rows, keys, model or str(target), (-1 if by_lot else pause, pause, wait + ahead)
    )
    met = first_touch(events, keys, pause, lot)
    since = pl.lit(AT_DATE if by_lot else AFTER_GAP).alias(SINCE)
    whole = rows.with_columns(met[ACTION], late.cast(pl.Int8).alias(ADVANCED), since)
    if by_lot:
        _warn_of_delay(met)
        return whole.filter(keep)
    kept = whole.filter(keep & ~early)
    moved = int(early.sum())
    if moved:
        warn(
            f"{moved:,} of {rows.height:,} rows are left out: their customers advanced within the decision window, so "
            "that quick reactions do not count; a shorter gap leaves out fewer, and of actions by lot (randomised=) "
            "all advances count"
        )
    return kept


def _wait(pause: int, ahead: int, *, by_lot: bool) -> int:
    """How long after the date the horizon begins."""
    if by_lot and ahead < pause:
        raise SpecError(
            "bad_duration",
            "randomised: the horizon runs from the date, and the gap is longer",
            hint="a gap as long as it took to send what the lot had drawn, such as 1d",
        )
    return 0 if by_lot else pause


def _advanced(
    events: Events, rows: pl.DataFrame, keys: pl.DataFrame, to: StageModel | str, ends: tuple[int, int, int]
) -> tuple[tuple[pl.Series, pl.Series], pl.Expr]:
    """Whether each row's customer advances in the label window, and in the decision window; and which rows can advance.

    ``ends``: after which time from the date labels count, end of the decision window, end of the label window. Refunds
    until the end of the label window are known.
    """
    start, pause, stop = ends
    parts = []
    for some, known in known_at_ends(keys.with_columns((pl.col(_TICK) + stop).alias(TO)), events):
        if isinstance(to, str):
            steps = steps_of(known, [to])
            late, early = _within(some, steps, start, stop), _within(some, steps, -1, pause)
        else:
            own = rows[some[_ROW]]
            late, early = _advances(known, own, some, to, start, stop), _advances(known, own, some, to, -1, pause)
        parts.append(some.select(_ROW, late.alias("late"), early.alias("early")))
    answers = pl.concat(parts).sort(_ROW)
    keep = pl.lit(value=True)
    if not isinstance(to, str) and to.milestones[-1] is None:
        keep = pl.col(STAGE).cast(pl.String) != to.names[-1]
    return (answers["late"], answers["early"]), keep


def _lot(events: Events, randomised: bool | str | Sequence[str], channels: Any) -> list[str] | None:  # noqa: FBT001 - the user's own argument
    """Channels that are actions: those of the lot; None: all of the log."""
    if randomised is False:
        return None
    known = events.touches[TOUCH].cast(pl.String).unique().sort().to_list()
    if randomised is True:
        if channels is not None:
            return list(distinct_names("channels", channels, "channels"))
        odd = [name for name in known if is_unsendable(name)]
        if odd:
            rest = ", ".join(repr(clean(name, 40)) for name in known if name not in odd)
            raise SpecError(
                "bad_value",
                f"randomised = True, but customers come over {clean(odd[0], 40)!r} by themselves: it was by no lot",
                hint=f"name the channels that were sent by lot, out of [{rest}]: randomised=[…]",
            )
        return known
    named = list(distinct_names("randomised", randomised, "channels"))
    if not named:
        raise SpecError("bad_value", "randomised names no channel", hint='e.g. randomised=["mail"]')
    for name in named:
        if name not in known:
            warn(f"randomised: no touch is of {clean(name, 40)!r}{clean(nearest(name, known), 60)}")
    return named


def _warn_of_delay(met: pl.DataFrame) -> None:
    """Between lot and action customers may act, and senders may look at it."""
    late, actions = met.filter(pl.col(_DELAY) > _DAY).height, met[ACTION].count()
    if late:
        warn(
            f"{late:,} of {actions:,} actions by lot came more than a day after their date: advances count from the "
            "date on, so these actions had less time, and if anybody was spared because of what they did meanwhile, "
            "the comparison is no longer by lot; give the dates on which the lot was drawn"
        )


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
    events: Events, rows: pl.DataFrame, keys: pl.DataFrame, model: StageModel, after: int, to: int
) -> pl.Series:
    """Whether each row's customer advances in (date + after, date + to]."""
    line = lay_out(events.touches.clear(), events.outcomes, (), model, drop=True)
    # a later milestone of the last stage moves nobody to another stage: it is looked for by name
    moves = line.moves.select(pl.col(WHO).cast(events.id_type).alias(CUSTOMER), AT, NUMBER)
    final = model.milestones[-1]
    done = steps_of(events, [] if final is None else [final.outcome])
    last = rows.select(pl.col(STAGE).cast(pl.String) == model.names[-1]).to_series()
    return (last & _within(keys, done, after, to)) | (~last & _within(keys, moves.drop(NUMBER), after, to))


def first_touch(events: Events, keys: pl.DataFrame, pause: int, lot: list[str] | None) -> pl.DataFrame:
    """Channel of the first touch of the lot in [date, date + gap], and how long after the date; null without.

    Equals by sequence, then by name.
    """
    touches = events.touches.select(
        pl.col(WHO).cast(events.id_type).alias(CUSTOMER), AT, TOUCH,
        *([ORDER] if ORDER in events.touches.columns else []),
    ).with_columns(pl.col(TOUCH).cast(pl.String))  # fmt: skip
    if lot is not None:
        touches = touches.filter(pl.col(TOUCH).is_in(lot))
    order = [AT, *([ORDER] if ORDER in touches.columns else []), TOUCH]
    near = keys.lazy().join(touches.lazy(), on=CUSTOMER)
    near = near.filter(pl.col(AT) >= pl.col(_TICK), pl.col(AT) <= pl.col(_TICK) + pause)
    first = near.sort(order, nulls_last=True).unique(_ROW, keep="first", maintain_order=True)
    first = first.select(_ROW, pl.col(TOUCH).alias(ACTION), (pl.col(AT) - pl.col(_TICK)).alias(_DELAY))
    return keys.lazy().select(_ROW).join(first, on=_ROW, how="left", maintain_order="left").collect()
