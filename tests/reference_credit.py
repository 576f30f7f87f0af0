"""The slow twin, last part: rules, touch-level credit and the credit table (semantics 4 and 10)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from reference_chains import markov
from reference_events import Row
from reference_games import Credit, shapley_credit, spread
from reference_journeys import Built, Game, Journey, Player, nulls_first, players_of
from reference_literature import shao_li

# The raw weights of a journey by its number of touches, or a function of positions and ages.
Weights = Mapping[int, Sequence[Any]] | Callable[[list[int], list[Fraction]], Sequence[Any]]


# --- rules (semantics 4) ----------------------------------------------------------------------


def _ratio(time: Any, unit: Any) -> Fraction:
    if isinstance(time, dt.timedelta):
        microsecond = dt.timedelta(microseconds=1)
        return Fraction(time // microsecond, unit // microsecond)
    return Fraction(time) / Fraction(unit)


def rules(journey: Journey, rule: str, **params: Any) -> list[Fraction]:  # noqa: PLR0911 (one per rule)
    """Weights over the touches of a converting journey, summing to 1 (4)."""
    m = len(journey.touches)

    def only(chosen: int) -> list[Fraction]:
        return [Fraction(i == chosen) for i in range(m)]

    if rule == "first":
        return only(0)
    if rule == "last":
        return only(m - 1)
    if rule == "last_non_direct":
        direct = params.get("direct", ("direct",))
        others = [i for i, touch in enumerate(journey.touches) if touch["channel"] not in direct]
        return only(others[-1] if others else m - 1)
    if rule == "linear":
        return [Fraction(1, m)] * m
    if rule == "position":
        a, b = Fraction(params.get("first", 0.4)), Fraction(params.get("last", 0.4))
        if m == 1:
            return [Fraction(1)]
        if m == 2:
            return [a / (a + b), b / (a + b)] if a + b else [Fraction(1, 2)] * 2
        return [a, *[(1 - a - b) / (m - 2)] * (m - 2), b]
    if rule == "time_decay":
        half_life = params["half_life"]
        ages = [_ratio(journey.conversion_time - time, half_life) for time in journey.times]
        # Relative to the youngest touch, or all weights of an old journey would underflow to 0.
        raw = [Fraction(2.0 ** -float(age - min(ages))) for age in ages]
        return [weight / sum(raw) for weight in raw]
    if rule == "custom":
        return custom(journey, params["weights"])
    raise ValueError(rule)


def custom(journey: Journey, weights: Weights) -> list[Fraction]:
    """Own weights: by the number of touches, or of positions (from 1) and ages (seconds); rescaled to sum to 1 (4)."""
    m = len(journey.touches)
    if isinstance(weights, Mapping):
        raw = [Fraction(weight) for weight in weights[m]]
    else:
        dates = isinstance(journey.conversion_time, dt.datetime)
        second = dt.timedelta(seconds=1) if dates else 1
        ages = [_ratio(journey.conversion_time - time, second) for time in journey.times]
        raw = [Fraction(weight) for weight in weights(list(range(1, m + 1)), ages)]
    if len(raw) != m or min(raw) < 0 or not sum(raw):
        raise ValueError(raw)
    return [weight / sum(raw) for weight in raw]


def credit_rule(built: Built, rule: str, **params: Any) -> Credit:
    """Conversions and value of each player under a rule (4)."""
    credit: Credit = {}
    for game, journeys in built.games().items():
        credit[game] = {player: (Fraction(0), Fraction(0)) for player in players_of(journeys)}
        for journey in journeys:
            if journey.status != "converting":
                continue
            for player, weight in zip(journey.players, rules(journey, rule, **params), strict=True):
                conversions, value = credit[game][player]
                credit[game][player] = (
                    conversions + weight * journey.conversions,
                    value + weight * journey.value,
                )
    return credit


# --- one touch at a time ----------------------------------------------------------------------


def journey_credit(built: Built, rule: str, **params: Any) -> list[Row]:
    """One row a touch of a converting journey: its position (1 = first), weight, conversions and value.

    `rule` is a rule, or `shapley`: the share of a player spread equally over its occurrences.
    """
    rows = []
    for game, journeys in built.games().items():
        for journey in journeys:
            if journey.status != "converting":
                continue
            weights = spread(journey) if rule == "shapley" else rules(journey, rule, **params)
            times = journey.times or [None] * len(weights)  # a path table has none
            for position, (player, time, weight) in enumerate(
                zip(journey.players, times, weights, strict=True), start=1
            ):
                rows.append(
                    {
                        "game": game,
                        "customer": journey.customer,
                        "conversion_time": journey.conversion_time,
                        "position": position,
                        "time": time,
                        "player": player,
                        "weight": weight,
                        "conversions": weight * journey.conversions,
                        "value": weight * journey.value,
                    }
                )
    return rows


# --- the credit table (semantics 10) ----------------------------------------------------------

RULES = {
    "first_touch": "first",
    "last_touch": "last",
    "last_non_direct": "last_non_direct",
    "linear": "linear",
    "position_based": "position",
    "time_decay": "time_decay",
    "custom_weights": "custom",
}


def unattributed(built: Built) -> dict[Game, tuple[int, Fraction]]:
    """Conversions and value of journeys without a touch, for every game, also where 0 (2, 10)."""
    result = {}
    for game, journeys in built.games().items():
        alone = [journey for journey in journeys if journey.status == "unattributed"]
        result[game] = sum(j.conversions for j in alone), sum((j.value for j in alone), Fraction(0))
    return result


def table(built: Built, method: str, **params: Any) -> list[Row]:
    """The credit table as rows of floats; `method` is a name of RULES (or rules), markov, shapley or shao_li (10)."""
    credit: dict[Game, dict[Player, tuple[Any, ...]]] = {}
    if method == "markov":
        credit = {game: solved["players"] for game, solved in markov(built, **params).items()}
    elif method == "shapley":
        credit = {game: dict(players) for game, players in shapley_credit(built, **params).items()}
    elif method == "shao_li":
        credit = {game: dict(players) for game, players in shao_li(built).items()}
    else:
        ruled = credit_rule(built, RULES.get(method, method), **params)
        credit = {game: dict(players) for game, players in ruled.items()}
    resolved = built.stages is not None and built.view == "resolved"
    player_columns = ("stage", *built.player) if resolved else built.player
    game_columns = (*built.by, "stage") if built.stages is not None and not resolved else built.by
    keys = (*built.by, *(("stage",) if built.stages is not None else ()), *built.player)

    rows: list[Row] = []
    for game, (lost, lost_value) in unattributed(built).items():
        members = [(dict(zip(player_columns, p, strict=True)), "player", c) for p, c in credit[game].items()]
        nobody = (dict.fromkeys(player_columns), "unattributed", (lost, lost_value))
        total = sum(journey.conversions for journey in built.games()[game])
        for columns, kind, (conversions, value, *effect) in [*members, nobody]:
            known = {**columns, **dict(zip(game_columns, game, strict=True))}
            numbers = {
                "conversions": conversions,
                "value": value,
                "share": conversions / Fraction(total) if total and conversions is not None else None,
                "effect": effect[0] if effect else None,
            }
            floats = {name: None if number is None else float(number) for name, number in numbers.items()}
            rows.append({**{key: known[key] for key in keys}, "kind": kind, **floats})

    def order(row: Row) -> list[Any]:
        stages = [None, *(built.stages or ())]
        parts = [stages.index(row[key]) if key == "stage" else nulls_first(row[key]) for key in keys]
        return [*parts, ["player", "unattributed"].index(row["kind"])]

    return sorted(rows, key=order)
