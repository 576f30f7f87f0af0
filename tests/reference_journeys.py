"""The slow twin, third part: journeys and ledger (semantics 2)."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from reference_events import (
    Row,
    accept,
    columns,
    drop_outcomes,
    drop_touches,
    minus,
    outcome_order,
    stand,
    touch_order,
)
from reference_refunds import net
from reference_stages import Move, Person, Stage, funnel, stage_at, walk

Player = tuple[Any, ...]
Game = tuple[Any, ...]

REASONS = ("never_seen", "after_only", "too_old", "since_last")
FATES = ("used", "open", "not_preferred", "over_cap")  # of a touch in several journeys, the first that applies
ENTRIES = {
    "touchpoints": ("in", "used", "outside_window", "open", "rejected", "duplicate"),
    "outcomes": (
        *("in", "credited", "unattributed", "without_effect", "other_outcome"),
        *("rejected", "duplicate"),
    ),
    "unattributed": ("in", *REASONS),
}


@dataclass(frozen=True)
class Journey:
    """Touches on the way to one conversion, or to none (semantics 2)."""

    customer: Any
    game: Game  # the values of `by`, then the stage in the advance view
    status: str  # "converting", "null", "open" or "unattributed"
    touches: tuple[Row, ...]  # after the window, `prefer` and `repeats`
    players: tuple[Player, ...]  # one per touch
    times: tuple[Any, ...]  # one per touch
    conversions: int = 0
    value: Fraction = Fraction(0)
    conversion_time: Any = None


@dataclass(frozen=True)
class Built:
    """The journeys of two event tables with their ledger and funnel."""

    journeys: tuple[Journey, ...]
    ledger: dict[tuple[str, str], tuple[int, Fraction]]  # (table, entry): (rows, value; 0 for touches)
    funnel: tuple[Row, ...] = ()
    by: tuple[str, ...] = ()
    player: tuple[str, ...] = ("channel",)
    stages: tuple[str, ...] | None = None  # names in model order
    view: str = "advance"
    customers: frozenset[Any] = frozenset()  # with an event left, once refunds are netted (1)

    def games(self) -> dict[Game, list[Journey]]:
        """Journeys by game; open journeys are in no game (2)."""
        games: dict[Game, list[Journey]] = defaultdict(list)
        for journey in self.journeys:
            if journey.status != "open":
                games[journey.game].append(journey)
        return dict(games)


def nulls_first(value: Any) -> tuple[bool, Any]:
    return (value is not None, 0 if value is None else value)


def players_of(journeys: Iterable[Journey]) -> list[Player]:
    """Every player with a touch in the game (10), in order (nulls first)."""
    found = {player for journey in journeys for player in journey.players}
    return sorted(found, key=lambda player: [nulls_first(part) for part in player])


# --- journeys (semantics 2) -------------------------------------------------------------------


def _targets(outcomes: list[Row], target: str) -> list[Move]:
    """Target outcomes; rows at one instant merge: counts and values add (2)."""
    rows = [row for row in outcomes if row["outcome"] == target]
    instants = sorted({row["timestamp"] for row in rows})
    merged = [(time, [row for row in rows if row["timestamp"] == time]) for time in instants]
    return [Move(time, here, conversions=len(here)) for time, here in merged]


def _within(touch: Row, time: Any, lookback: Any) -> bool:
    """Is the touch within the lookback of a time? A mapping gives one lookback per interaction (2).

    Its key "*" stands for all others, null among them.
    """
    if isinstance(lookback, Mapping):
        interaction = touch["interaction"]
        lookback = lookback[interaction] if interaction in lookback else lookback["*"]
    return lookback is None or time - touch["timestamp"] <= lookback


def _split(touches: list[Row], max_gap: Any) -> list[list[Row]]:
    """A pause longer than max_gap between consecutive touches splits (2)."""
    if not touches:
        return []
    parts = [[touches[0]]]
    for before, after in pairwise(touches):
        if max_gap is not None and after["timestamp"] - before["timestamp"] > max_gap:
            parts.append([])
        parts[-1].append(after)
    return parts


def _preferred(touches: list[Row], prefer: Sequence[str]) -> list[Row]:
    """`prefer`, after the window and before `repeats`: only the first preferred interaction that there is (2)."""
    for interaction in prefer:
        kept = [touch for touch in touches if touch["interaction"] == interaction]
        if kept:
            return kept
    return touches


def _repeats(pairs: list[tuple[Row, Player]], repeats: str) -> list[tuple[Row, Player]]:
    """`repeats`, after the window, on players (2)."""
    players = [player for _, player in pairs]
    every = range(len(pairs))
    if repeats == "keep":
        kept = list(every)
    elif repeats == "collapse":
        kept = [i for i in every if i == 0 or players[i] != players[i - 1]]
    elif repeats == "first":
        kept = [i for i in every if players[i] not in players[:i]]
    elif repeats == "last":
        kept = [i for i in every if players[i] not in players[i + 1 :]]
    else:
        raise ValueError(repeats)
    return [pairs[i] for i in kept]


@dataclass(frozen=True)
class _Recipe:
    """The arguments of `build`, and what follows from them and from the tables."""

    lookback: Any
    max_gap: Any
    maturity: Any
    prefer: tuple[str, ...]
    max_touches: int | None
    after_conversion: str
    repeats: str
    by: tuple[str, ...]
    player: tuple[str, ...]
    model: tuple[Stage, ...]  # stages by milestones; empty without
    carried: str | None  # the column of stages that touches carry
    names: tuple[str, ...] | None  # of the stages, in order
    advance: bool
    on_outcomes: frozenset[str]  # the columns of the outcomes
    end: Any  # of the data: the latest event of both tables, duplicates included

    def young(self, time: Any) -> bool:
        """Is a time younger than maturity at the end of the data (2)?"""
        return self.maturity is not None and self.end - time < self.maturity

    def game(self, window: list[Row], rows: list[Row], stage: int) -> Game:
        """One value per column: that of the outcome row, else of the last touch, else null (2)."""
        values: list[Any] = []
        for column in self.by:
            if rows and column in self.on_outcomes:
                values.append(rows[0].get(column))
            else:
                values.append(window[-1].get(column) if window else None)
        return (*values, self.names[stage]) if self.advance and self.names else tuple(values)

    def who(self, touch: Row, moves: list[Move]) -> Player:
        """The player of a touch; in the resolved view with the stage the customer was in (3)."""
        plain = tuple(touch.get(column) for column in self.player)
        if self.advance or self.names is None:
            return plain
        if self.carried:
            return (touch[self.carried], *plain)
        return (self.names[stage_at(touch["timestamp"], moves)], *plain)


def _journeys(
    recipe: _Recipe, person: Person, conversions: list[Move], enter: Callable[[str, str, Sequence[Row]], None]
) -> list[Journey]:
    """One customer's journeys; their rows are entered in the ledger (2)."""
    journeys = []
    fates: dict[int, list[str]] = defaultdict(list)  # of every touch, by journey

    def note(fate: str, touches: list[Row]) -> None:
        for touch in touches:
            fates[id(touch)].append(fate)

    def add(window: list[Row], status: str, stage: int, move: Move | None = None) -> None:
        rows = move.rows if move else []
        preferred = _preferred(window, recipe.prefer)
        latest = preferred if recipe.max_touches is None else preferred[-recipe.max_touches :]
        pairs = _repeats([(touch, recipe.who(touch, person.moves)) for touch in latest], recipe.repeats)
        journey = Journey(
            person.customer,
            recipe.game(window, rows, stage),
            status,
            tuple(touch for touch, _ in pairs),
            tuple(player for _, player in pairs),
            tuple(touch["timestamp"] for touch, _ in pairs),
            move.conversions if move else 0,
            sum((row["value"] for row in rows), Fraction(0)),
            move.time if move else None,
        )
        journeys.append(journey)
        if status == "open":
            note("open", window)
        else:
            note("used", latest)
            note("over_cap", minus(preferred, latest))
            note("not_preferred", minus(window, preferred))
        enter("outcomes", "credited" if status == "converting" else "unattributed", rows)
        if status == "unattributed":
            enter("unattributed", "in", rows)
            enter("unattributed", reason(journey.conversion_time), rows)

    def reason(time: Any) -> str:
        """Why a conversion has no touch to credit (2)."""
        before = [touch for touch in person.touches if touch["timestamp"] <= time]
        if not person.touches:
            return "never_seen"
        if not before:
            return "after_only"
        return "since_last" if any(_within(touch, time, recipe.lookback) for touch in before) else "too_old"

    def add_nulls(parts: list[list[Row]], stage: int) -> None:
        """Each part is one null of its own, open if its last touch is younger than maturity (2)."""
        for part in parts:
            add(part, "open" if recipe.young(part[-1]["timestamp"]) else "null", stage)

    def after(times: list[Any]) -> list[Row]:
        return [touch for touch in person.touches if all(touch["timestamp"] > time for time in times)]

    previous: list[Any] = []  # the time of the previous conversion; none stands for minus infinity
    entered: list[Any] = []  # the time of the entry into the stage
    for move in conversions:
        window = [touch for touch in after(previous) if touch["timestamp"] <= move.time]
        parts = _split([t for t in window if _within(t, move.time, recipe.lookback)], recipe.max_gap)
        add_nulls(parts[:-1], move.source)
        if recipe.after_conversion == "keep":
            window = [touch for touch in after(entered) if touch["timestamp"] <= move.time]
            parts = _split([t for t in window if _within(t, move.time, recipe.lookback)], recipe.max_gap)
        if move.source != move.goal:
            entered = [move.time]
        if parts:
            add(parts[-1], "converting", move.source, move)
        else:
            add([], "unattributed", move.source, move)
        previous = [move.time]
    window = after(previous)
    window = [t for t in window if _within(t, window[-1]["timestamp"], recipe.lookback)]
    add_nulls(_split(window, recipe.max_gap), conversions[-1].goal if conversions else 0)
    for touch in person.touches:
        for fate in FATES:
            if fate in fates[id(touch)]:
                enter("touchpoints", fate, [touch])
                break
    return journeys


def build(
    touches: list[Row],
    outcomes: list[Row],
    *,
    target: str = "purchase",
    lookback: Any = None,
    max_gap: Any = None,
    maturity: Any = None,
    prefer: Sequence[str] = (),
    max_touches: int | None = None,
    after_conversion: str = "reset",
    repeats: str = "keep",
    duplicates: str = "drop",
    day_of_outcome: str = "auto",
    second: int = 1,
    dated: bool = False,
    stages: Any = None,
    view: str = "advance",
    by: Sequence[str] = (),
    player: Sequence[str] = ("channel",),
    refunds: str = "net",
    count_refunded: bool = False,
) -> Built:
    """Journeys, ledger and funnel of two event tables (1 to 3).

    `stages` is None, a list of (name, milestone outcome or None, nth), or ("column", name, order).
    """
    carried = stages[1] if stages and stages[0] == "column" else None
    model: tuple[Stage, ...] = () if carried or not stages else tuple(stages)
    names = tuple(stages[2]) if carried else tuple(name for name, _, _ in model) or None
    advance = bool(stages) and view == "advance"
    if carried and advance:
        raise ValueError("touchpoints that carry their stage: resolved view only")

    # The columns that are read: these order touches, and duplicates are equal in all of them.
    read = {"event_id", *by, *player, *([carried] if carried else [])}
    if isinstance(lookback, Mapping) or prefer:
        read.add("interaction")
    rest = sorted(
        read - {"customer_id", "timestamp", "sequence", "channel"}, key=lambda name: (name == "event_id", name)
    )
    accepted, valued = accept(touches, stand(touches, outcomes, day_of_outcome, second, dated=dated))
    accepted.sort(key=lambda row: touch_order(row, rest))
    valued.sort(key=lambda row: outcome_order(row, sorted(by)))
    kept, counted = accepted, valued
    if duplicates == "drop":
        dates = bool(touches) and all(type(row["timestamp"]) is dt.date for row in touches)
        equal = ["customer_id", "timestamp", "sequence", "channel", *rest]
        kept = accepted if dates else drop_touches(accepted, equal)
        counted = drop_outcomes(valued)
    before, entries = counted, {}
    if refunds == "net":
        netted = net(counted, count_refunded=count_refunded)
        counted, entries = netted.rows, netted.entries if any(row["value"] < 0 for row in valued) else {}

    ledger = {(kind, entry): (0, Fraction(0)) for kind, entries in ENTRIES.items() for entry in entries}
    if prefer:
        ledger["touchpoints", "not_preferred"] = (0, Fraction(0))
    if max_touches:
        ledger["touchpoints", "over_cap"] = (0, Fraction(0))

    def enter(kind: str, entry: str, rows: Sequence[Row]) -> None:
        count, value = ledger[kind, entry]
        if kind != "touchpoints":
            value += sum((row["value"] for row in rows), Fraction(0))
        ledger[kind, entry] = (count + len(rows), value)

    enter("touchpoints", "in", accepted)
    enter("touchpoints", "duplicate", minus(accepted, kept))
    enter("outcomes", "in", valued)
    enter("outcomes", "duplicate", minus(valued, before))
    ledger |= {("outcomes", entry): numbers for entry, numbers in entries.items()}

    recipe = _Recipe(
        lookback,
        max_gap,
        maturity,
        tuple(prefer),
        max_touches,
        after_conversion,
        repeats,
        tuple(by),
        tuple(player),
        model,
        carried,
        names,
        advance,
        frozenset(columns(outcomes)),
        max((row["timestamp"] for row in (*accepted, *valued)), default=None),
    )
    people = []
    journeys: list[Journey] = []
    for customer in sorted({row["customer_id"] for row in (*kept, *counted)}):
        own = [row for row in kept if row["customer_id"] == customer]
        history = [row for row in counted if row["customer_id"] == customer]
        person = Person(customer, own, history, walk(history, model))
        people.append(person)
        conversions = person.moves if advance else _targets(history, target)
        journeys += _journeys(recipe, person, conversions, enter)
        for row in minus(history, [row for move in conversions for row in move.rows]):
            effectless = advance and row["outcome"] in {milestone for _, milestone, _ in model}
            enter("outcomes", "without_effect" if effectless else "other_outcome", [row])
    seen = sum(ledger.get(("touchpoints", entry), (0, 0))[0] for entry in FATES)
    ledger["touchpoints", "outside_window"] = (len(kept) - seen, Fraction(0))
    return Built(
        tuple(journeys),
        ledger,
        tuple(funnel(people, recipe)),
        recipe.by,
        recipe.player,
        names,
        view,
        frozenset(person.customer for person in people),
    )


def build_paths(rows: list[Row], *, sep: str = " > ") -> Built:
    """Journeys of a path table: dicts with `path`, `conversions` and, if wanted, `value` and `nulls`."""
    journeys = []
    for row in rows:
        channels = row["path"].split(sep)
        touches = tuple({"channel": channel} for channel in channels)
        players = tuple((channel,) for channel in channels)
        count = row["conversions"]
        value = Fraction(row.get("value", row["conversions"]) or 0)
        if count:
            journeys.append(Journey(None, (), "converting", touches, players, (), count, value))
        journeys += [Journey(None, (), "null", touches, players, ())] * row.get("nulls", 0)
    return Built(tuple(journeys), {})
