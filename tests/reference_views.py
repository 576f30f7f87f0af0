"""The slow twin: what journeys look like, without any credit."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from fractions import Fraction
from typing import Any

from reference_chains import in_chain
from reference_journeys import Built, Game, Journey, Player


def _number(journey: Journey) -> int:
    """A row of a path table stands for one journey per conversion; rows merged at one instant are one journey."""
    return journey.conversions if journey.status == "converting" and journey.conversion_time is None else 1


def paths(built: Built) -> dict[Game, dict[tuple[Player, ...], tuple[int, int, int, Fraction]]]:
    """Journeys, conversions, nulls and value of every distinct sequence of players."""
    result: dict[Game, dict[tuple[Player, ...], tuple[int, int, int, Fraction]]] = {}
    for game, journeys in built.games().items():
        found = result[game] = {}
        for journey in in_chain(journeys):
            number, conversions, nulls, value = found.get(journey.players, (0, 0, 0, Fraction(0)))
            found[journey.players] = (
                number + _number(journey),
                conversions + journey.conversions,
                nulls + (journey.status == "null"),
                value + journey.value,
            )
    return result


def lengths(built: Built) -> dict[Game, dict[int, tuple[int, int]]]:
    """Conversions and nulls by the number of touches of a journey."""
    result: dict[Game, dict[int, tuple[int, int]]] = {}
    for game, journeys in built.games().items():
        found = result[game] = {}
        for journey in in_chain(journeys):
            conversions, nulls = found.get(len(journey.touches), (0, 0))
            found[len(journey.touches)] = (conversions + journey.conversions, nulls + (journey.status == "null"))
    return result


def times_to_conversion(built: Built) -> dict[Game, Counter[int]]:
    """Conversions by the whole seconds, rounded down, from a journey's first touch to its conversion."""
    result = {}
    for game, journeys in built.games().items():
        found: Counter[int] = Counter()
        for journey in journeys:
            if journey.status == "converting":
                span = journey.conversion_time - journey.times[0]
                seconds = span // dt.timedelta(seconds=1) if isinstance(span, dt.timedelta) else span
                found[seconds] += journey.conversions
        result[game] = found
    return result


def reach(built: Built) -> dict[Game, dict[str, dict[Any, int]]]:
    """Distinct customers by the player they met, and by the set of all players they met in the game.

    Touches are those of all journeys, open ones too, after `prefer` and `repeats`.
    """
    met: dict[Game, dict[Any, set[Player]]] = defaultdict(lambda: defaultdict(set))
    for journey in built.journeys:
        if journey.players:
            met[journey.game][journey.customer] |= set(journey.players)
    return {
        game: {
            "players": dict(Counter(player for players in customers.values() for player in players)),
            "sets": dict(Counter(frozenset(players) for players in customers.values())),
        }
        for game, customers in met.items()
    }
