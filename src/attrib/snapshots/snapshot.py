"""attrib.snapshot: customers at dates, features from before and labels from after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from attrib.arguments import check_identities, check_limits
from attrib.errors import SpecError, brief, warn
from attrib.faults import nearest
from attrib.io.ids import sort_by_id
from attrib.io.times import told_dates
from attrib.refunds import NET, Refunding, told_if_kept
from attrib.schemas import CUSTOMER, DATE
from attrib.snapshots.asked import CUSTOMERS, EVERYONE, Wish, in_micro
from attrib.snapshots.events import (
    AT,
    BROUGHT_BY,
    MONEY,
    OF_ORDER,
    SCORE,
    TOUCH,
    WHO,
    Events,
    read_events,
    warn_of_future,
)
from attrib.snapshots.features import Recipe, features_at, name_of_rest
from attrib.snapshots.findings import likely_to_take_back, tell_of_data
from attrib.snapshots.labels import Question, answer, asked_about
from attrib.snapshots.leaving import settled
from attrib.snapshots.referred import first_referrals
from attrib.snapshots.refunded import as_known, by_refunds, count_refunds
from attrib.snapshots.timeline import Timeline, lay_out
from attrib.stages import StageModel

AT_ONCE = 4_000_000  # events laid out at a time: less than 1 GB, and no slower than more


def snapshot(
    touchpoints: Any,
    outcomes: Any = None,
    *,
    at: str | date | datetime | Sequence[str | date | datetime],
    window: str | timedelta | None = "180d",
    gap: str | timedelta = "7d",
    horizon: str | timedelta = "90d",
    target: str | None = None,
    churn: str | None = None,
    cancelled: str | Sequence[str] | None = None,
    purpose: str = "train",
    end: str | date | datetime | None = None,
    population: str | None = None,
    active_only: bool = False,
    purchases: str | Sequence[str] = "purchase",
    stages: str | Path | StageModel | None = None,
    channels: Sequence[str] | None = None,
    max_channels: int = 20,
    features: str | Sequence[str] = (),
    duplicates: str = "drop",
    day_of_outcome: str = "auto",
    columns: Mapping[str, str | Mapping[str, str]] | None = None,
    max_rejects: float = 0.05,
    refunds: str = NET,
    count_refunded: bool = False,
    identities: Any = None,
    max_component: int = 50,
) -> pl.DataFrame:
    """Describe customers at dates: features from events before each date, the label from after it.

    Features use events strictly before the date. The label looks at (date + gap, date + gap + horizon], both bounds
    in the time of the data. A customer is in the table of a date once they have an event before it. Each feature with
    its unit and definition: docs/snapshots.md.

    Parameters
    ----------
    touchpoints, outcomes : polars.DataFrame, polars.LazyFrame, pandas.DataFrame, pyarrow.Table, str, Path or None
        As for :meth:`attrib.Journeys.from_events`; one of the two may be None. Read where present: ``sequence``,
        ``event_id``, ``satisfaction`` of the touchpoints; ``value``, ``event_id``, ``order_id``,
        ``referrer_id`` of the outcomes.
    at : date or sequence of dates
        A date is its midnight, in the time zone of the data where they have one.
    window : str, timedelta or None
        How far back counts, shares, sums and rhythms look: [date − window, date). None for all history.
    gap : str or timedelta
        Time to act between the date and the label; what happens in it is neither feature nor label.
    horizon : str or timedelta
        Length of the label window.
    target : str, optional
        Label 1: at least one such outcome in the label window.
    churn : str, optional
        ``"silent"``: label 1 where the label window has no event at all (with `target`: no such outcome); asked only
        of customers with one in the window before the date. Any other text names the outcome that ends the relation:
        label 1 where it lies in the label window; customers with one at or before date + gap are left out. Beside a
        `target` it only leaves these out: the label is that of the target.
    cancelled : str or sequence of str, optional
        Outcomes that end the relation, beside one that `churn` names: customers with one at or before date + gap are
        left out (when scoring: strictly before the date), whatever is asked, and such an outcome is no sign of life
        for ``"silent"``. Without: where silence is asked for, outcomes whose names say so (cancel, churn, unsubscribe,
        closed, … ; not of an order, a ticket, a deal), with a warning that names them. ``[]``: none.
    purpose : {"train", "survival", "score"}
        ``train``: a column ``label``; dates whose label window passes the end of the data are left out, for
        their customers would enter only if their event came early. ``survival``: ``duration`` and ``event`` instead,
        censored at the end of the data. ``score``: no label, customers who have left before the date left out.
        To ``train`` without `target` and `churn` is to have no label, with a warning.
    end : date, optional
        Up to when the data are complete; later events are ignored. The latest timestamp of either table without.
    population : {"customers", "everyone"}, optional
        ``everyone``: whoever has an event before the date. ``customers``: who has one of the `purchases` strictly
        before it, for nobody leaves what they never joined. Without: everyone, with a warning that counts who never
        bought where `churn` is the label; a model file without the key means customers there.
    active_only : bool
        Only customers with an event in the window.
    purchases : str or sequence of str
        Outcomes that frequency, value and recency of purchases count, and that make a customer.
    stages : str, Path or StageModel, optional
        A preset (``attrib.STAGES``), a TOML file, or a model.
    channels : sequence of str, optional
        Channels with columns of their own; the others are in ``(other)``. Give those of the training data when
        scoring. Without: the `max_channels` with most touches before the earliest date, equals by name.
    max_channels : int
        See `channels`.
    features : str or sequence of str
        Touchpoint columns whose last known value becomes ``last:<column>``.
    duplicates : {"drop", "keep"}
        Touchpoints equal in every column read, and outcomes with a repeated ``event_id``.
    day_of_outcome : {"auto", "end", "start"}
        Where outcomes stand that carry a date without a time of day, beside touchpoints that have one: at the end of
        their day, or at its midnight, as for :meth:`attrib.Journeys.from_events`.
    columns : mapping of str to str, optional
        Our names to yours, as for :meth:`attrib.Journeys.from_events`.
    max_rejects : float
        Largest share of rows of a table that may be rejected; those that are, are counted in a warning.
    refunds : {"net", "keep"}
        Outcomes of negative value: ``"net"`` lowers the outcome that each belongs to (that of its ``order_id``, else
        the latest earlier one), and one with nothing left is none: features know the refunds before the date, labels
        those until the end of their window. ``"keep"`` takes them for outcomes like others.
    count_refunded : bool
        Whether outcomes refunded in full stay, with value 0.
    identities : frame, str or Path, optional
        Links between ids, columns ``id`` and ``other_id``: linked ids are one customer, who refers somebody, too.
    max_component : int
        Most ids that links join to one customer; larger groups stay apart, with a warning.

    Returns
    -------
    polars.DataFrame
        ``customer_id``, ``date``, the features, then ``label`` (1 or 0), or ``duration`` (days from the date to the
        event, or to the end of the data) and ``event`` (1 if it happened); sorted by date and customer.

    Raises
    ------
    SpecError
        ``bad_value``, ``bad_duration``, ``bad_date``, ``bad_stages``, ``mixed_zones`` for arguments that are not what
        they must be; ``unknown_outcome`` for a `target` or `churn` that no outcome is called, while one is spelled
        nearly so (else a warning: all labels are alike then), and where customers are asked for and no outcome is one
        of the `purchases`.
    DataError
        For tables that cannot be read; ``no_rows`` if there is no event in either.
    RejectedError
        ``too_many_rejected``.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> from datetime import date
    >>> touches = pl.DataFrame(
    ...     {
    ...         "customer_id": [1, 1, 2],
    ...         "timestamp": [date(2024, 1, d) for d in (1, 5, 9)],
    ...         "channel": ["ad", "mail", "ad"],
    ...     }
    ... )
    >>> bought = pl.DataFrame({"customer_id": [1, 2], "timestamp": [date(2024, 2, 1), date(2024, 1, 9)]})
    >>> bought = bought.with_columns(outcome=pl.lit("purchase"))
    >>> table = attrib.snapshot(
    ...     touches, bought, at=date(2024, 1, 10), gap="1d", horizon="22d", target="purchase", end=date(2024, 2, 2)
    ... )
    >>> table.select("customer_id", "recency", "frequency", "touches:ad", "channel_mix", "label").rows()
    [(1, 5.0, 0, 1, 'cross', 1), (2, 1.0, 1, 1, 'single', 0)]
    """
    wish = Wish.of(
        at=at, window=window, gap=gap, horizon=horizon, target=target, churn=churn, purpose=purpose, end=end,
        population=EVERYONE if population is None else population, active_only=active_only, purchases=purchases,
        stages=stages,
        channels=channels, max_channels=max_channels, features=features, duplicates=duplicates, cancelled=cancelled,
    )  # fmt: skip
    if wish.kind == "none" and wish.purpose == "train":
        warn("there is no label: name a target or churn; for features alone ask for purpose='score'")
    _, allowed = check_limits(1, max_rejects)
    refunding = Refunding(refunds, count_refunded)
    events = read_events(
        touchpoints, outcomes, columns, wish.features, allowed, refunding, wish.purchases, day_of_outcome,
        linked=check_identities(identities, max_component),
    )  # fmt: skip
    tell_of_refunds(events, wish)
    tell_of_data(events, asked_for(wish), summed=wish.purchases, drop=wish.drop)
    table, _ = describe(events, wish)
    if population is None and wish.kind in ("churn", "silent") and wish.purpose != "score":
        never = table["recency_purchase"].null_count()
        if 0 < never < table.height:
            warn(
                f"{never:,} of {table.height:,} rows have no {_either(wish.purchases)} before the date, and nobody "
                "leaves what they never joined: population='customers' leaves them out, 'everyone' says that they are "
                "meant"
            )
    return table


def tell_of_refunds(events: Events, wish: Wish | None = None) -> None:
    """Warn of outcomes of negative value, and of outcomes that may take back those which the wish is about."""
    negative = int((events.outcomes[MONEY] < 0).sum())
    if negative and not events.refunding.net:
        warn(told_if_kept(negative))
    elif (account := count_refunds(events)) is not None:
        ids = OF_ORDER in events.outcomes.columns
        warn(account.told(count_refunded=events.refunding.count_refunded, with_ids=ids))
    if wish is not None:
        likely = likely_to_take_back(events, asked_for(wish))
        if likely is not None:
            warn(likely)


def asked_for(wish: Wish) -> list[str]:
    """Outcomes that a wish is about."""
    milestones = wish.model.outcomes if wish.model else ()
    return [*wish.purchases, *filter(None, (wish.outcome,)), *wish.gone, *milestones]


def describe(events: Events, wish: Wish) -> tuple[pl.DataFrame, Counter[str]]:
    """Carry a wish out on events that have been read, with the wish's own columns; see `snapshot`.

    Returns
    -------
    (table, left)
        ``left``: how many rows of the dates in the table were left out for which reason: ``no_purchase``,
        ``inactive`` (no event in the window), ``gone`` (had left already), ``silent_before``.

    Raises
    ------
    SpecError
        ``mixed_zones``; ``unknown_outcome``.
    """
    ticks = {in_micro(moment, events.zone, "at"): moment for moment in wish.dates}
    until = events.latest if wish.end is None else in_micro(wish.end, events.zone, "end")
    for text in told_dates(ticks, events.earliest, min(until, events.latest)):
        warn(text)
    _check_names(events, wish)
    wish = settled(events, wish)
    question = Question(
        wish.kind, wish.outcome, wish.gone, population_of(events, wish) == CUSTOMERS, wish.active_only, wish.purpose,
        wish.window, wish.gap, wish.horizon, until,
    )  # fmt: skip
    if wish.end is None:
        warn_of_future(until)
    else:
        events = events.only(pl.col(AT) <= until)
    named = _most_used(events.touches, min(ticks), wish.max_channels) if wish.channels is None else wish.channels
    recipe = Recipe(
        window=wish.window,
        channels=named,
        rest=name_of_rest(named),
        purchases=wish.purchases,
        own=wish.features,
        stages=() if wish.model is None else wish.model.names,
        satisfaction=SCORE in events.touches.columns,
        referrals=BROUGHT_BY in events.outcomes.columns,
    )
    _warn_of_open([moment for tick, moment in ticks.items() if question.is_open(tick)], len(ticks), question)
    tables, left = _tables(events, ticks, wish.model, recipe, question, drop=wish.drop)
    return pl.concat([_finish(tables.pop(tick), tick, events) for tick in ticks]), left


def population_of(events: Events, wish: Wish) -> str:
    """Who is looked at: for churn customers, unless nobody can be told to be one.

    Raises
    ------
    SpecError
        ``unknown_outcome`` where customers are asked for and no outcome of the data makes one, or where one is
        spelled nearly as the `purchases` are. A batch to be scored may lack purchases by rights.
    """
    found = events.names
    if not set(wish.purchases) & set(found):
        slip = nearest(wish.purchases[0], found) if wish.purchases else ""
        text, known = f"purchases: no outcome is called {_either(wish.purchases)}{slip}", ", ".join(found) or "none"
        asked = wish.population == CUSTOMERS or (wish.population is None and slip)
        if asked and wish.purpose != "score":
            hint = f"outcomes that occur: {known}; name some in purchases, or give population = 'everyone'"
            raise SpecError("unknown_outcome", f"{text}: nobody can be told to be a customer", hint=hint)
        if wish.population is None:
            warn(f"{text}; found: {known}: who is a customer cannot be told, and everybody with an event is a row")
            return EVERYONE
        if found:
            warn(f"{text}; found: {known}")
    return wish.population or CUSTOMERS


def _finish(tables: list[pl.DataFrame], tick: int, events: Events) -> pl.DataFrame:
    """One date's table: ids as they were given, in order."""
    stamp = pl.lit(tick, pl.Int64).cast(pl.Datetime("us"))
    if events.zone is not None:
        stamp = stamp.dt.replace_time_zone("UTC").dt.convert_time_zone(events.zone)
    ids = pl.col(WHO).cast(events.id_type).alias(CUSTOMER)
    return sort_by_id(pl.concat(tables).select(ids, stamp.alias(DATE), pl.exclude(WHO)), CUSTOMER)


def _tables(
    events: Events,
    ticks: Collection[int],
    model: StageModel | None,
    recipe: Recipe,
    question: Question,
    *,
    drop: bool,
) -> tuple[dict[int, list[pl.DataFrame]], Counter[str]]:
    """Rows by date, of some customers at a time: what is laid out and joined stays of one size."""
    steady, returning = by_refunds(events)
    referrals = _referrals(steady, returning, ticks, drop=drop) if recipe.referrals else {}
    tables: dict[int, list[pl.DataFrame]] = {tick: [] for tick in ticks}
    repeated, once, left = 0, 0, Counter[str]()

    def enter(tick: int, before: Timeline, after: Timeline) -> None:
        rows = features_at(tick, before, referrals.get(tick, pl.DataFrame()), recipe)
        if question.is_open(tick):
            rows = rows.clear()
        rows = asked_about(rows, before, after, tick, question, left)
        tables[tick].append(answer(rows, after, tick, question).drop("first"))

    for some in _parts(steady):
        line = lay_out(some.touches, some.outcomes, recipe.purchases, model, drop=drop)
        repeated += line.repeated
        for tick in ticks:
            enter(tick, line, line)
    for some in _parts(returning) if returning is not None else ():
        for tick in ticks:  # what they have bought is another thing at each date
            known = (as_known(some, until, drop=drop) for until in (tick - 1, question.known_by(tick)))
            before, after = (lay_out(e.touches, e.outcomes, recipe.purchases, model, drop=drop) for e in known)
            enter(tick, before, after)
            once = before.repeated
        repeated += once
    if repeated:
        warn(f"{repeated:,} touchpoints equal others on the same date: kept, since dates cannot tell duplicates")
    return tables, +left


def _parts(events: Events) -> Iterator[Events]:
    """Some customers at a time."""
    parts = -(-(events.touches.height + events.outcomes.height) // AT_ONCE)
    for part in range(parts):
        yield events if parts == 1 else events.only(pl.col(WHO).to_physical().hash() % parts == part)


def _referrals(
    steady: Events, returning: Events | None, ticks: Collection[int], *, drop: bool
) -> dict[int, pl.DataFrame]:
    """Who was brought by whom, as it was known at each date."""
    found = first_referrals(steady.outcomes)
    if returning is None:
        return dict.fromkeys(ticks, found)
    known = {tick: as_known(returning, tick - 1, drop=drop).outcomes for tick in ticks}
    return {tick: pl.concat([found, first_referrals(outcomes)]) for tick, outcomes in known.items()}


def _most_used(touches: pl.DataFrame, before: int, most: int) -> tuple[str, ...]:
    """Channels by their touches before the earliest date: what came later must not choose the columns."""
    counts = touches.filter(pl.col(AT) < before).group_by(pl.col(TOUCH).cast(pl.String)).len()
    return tuple(counts.sort([-pl.col("len").cast(pl.Int64), pl.col(TOUCH)])[TOUCH].head(most))


def _check_names(events: Events, wish: Wish) -> None:
    """Refuse a misspelt outcome, which would make all labels alike; tell of one that just does not occur.

    What is close to a name that occurs is a slip, unless nothing is labelled: where customers are scored in small
    batches, an outcome may be missing by rights.
    """
    found = events.names
    target = None if wish.kind == "churn" else wish.outcome
    gone = [("cancelled" if name in (wish.cancelled or ()) else "churn", name) for name in wish.gone]
    for about, name in (("target", target), *gone):
        if name is None or name in found:
            continue
        slip = nearest(name, found)
        text = f"{about}: no outcome is called {brief(name)}{slip}"
        if slip and wish.purpose != "score":
            raise SpecError("unknown_outcome", text, hint=f"outcomes that occur: {', '.join(found)}")
        warn(f"{text}; found: {', '.join(found) or 'none'}")


def _either(names: Sequence[str]) -> str:
    return " or ".join(map(repr, names))


def _warn_of_open(open_dates: Sequence[datetime], dates: int, question: Question) -> None:
    if open_dates:
        first = open_dates[0].isoformat(sep=" ")
        what = "end of the gap" if question.purpose == "survival" else "end of the label window"
        warn(
            f"{len(open_dates):,} of {dates:,} dates are left out, from {first}: the {what} lies beyond the end of the "
            f"data; for features without labels ask for purpose='score'"
        )
