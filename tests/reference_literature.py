"""The slow twin: methods of the literature, written down as their definitions say (semantics 6a)."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from reference_chains import in_chain, totals
from reference_journeys import Built, Game, Journey, Player, players_of

Credit = dict[Game, dict[Player, tuple[Fraction, Fraction]]]


# --- Shao & Li: the probabilistic model ---------------------------------------------------------


def _rate(journeys: Sequence[Journey], *members: Player) -> Fraction:
    """How often journeys with all of these players convert."""
    met = [journey for journey in in_chain(journeys) if set(members) <= set(journey.players)]
    conversions, _ = totals(met)
    return conversions / (conversions + sum(journey.status == "null" for journey in met))


def contribution(journeys: Sequence[Journey], player: Player, players: set[Player]) -> Fraction:
    """C(i) = p(i) + 1 / (2 (|S| - 1)) Σ_j [p(i, j) - p(i) - p(j)] on a journey with the players S."""
    others = players - {player}
    alone = _rate(journeys, player)
    if not others:
        return alone
    gains = [_rate(journeys, player, other) - alone - _rate(journeys, other) for other in others]
    return alone + sum(gains) / (2 * len(others))


def shao_li(built: Built) -> Credit:
    """Contributions summed over conversions, scaled to them; value likewise, or as conversions where it cannot be."""
    credit: Credit = {}
    for game, journeys in built.games().items():
        players = players_of(journeys)
        parts = {player: [Fraction(0), Fraction(0)] for player in players}
        for journey in journeys:
            if journey.status == "converting":
                touched = set(journey.players)
                for player in touched:
                    part = contribution(journeys, player, touched)
                    parts[player][0] += part * journey.conversions
                    parts[player][1] += part * journey.value
        wholes = [sum((part[at] for part in parts.values()), Fraction(0)) for at in (0, 1)]
        conversions, value = totals(journeys)
        by = 1 if wholes[1] > 0 else 0
        credit[game] = {
            player: (
                conversions * part[0] / wholes[0] if conversions else Fraction(0),
                value * part[by] / wholes[by] if value else Fraction(0),
            )
            for player, part in parts.items()
        }
    return credit


# --- Zhang, Wei & Ren: additive hazards ---------------------------------------------------------


def _days(span: Any) -> float:
    return span / dt.timedelta(days=1) if isinstance(span, dt.timedelta) else span / 86_400


def watched(built: Built, end: Any, lookback: Any) -> dict[Game, list[tuple[Journey, list[float]]]]:
    """How long each touch of a journey is watched, in days.

    To the conversion; of a null journey to the end of the data, the lookback, or the journey's next part.
    """
    found: dict[Game, list[tuple[Journey, list[float]]]] = {}
    for game, journeys in built.games().items():
        for journey in journeys:
            if journey.status == "converting":
                ages = [_days(journey.conversion_time - time) for time in journey.times]
            elif journey.status == "null":
                later = [
                    other.times[0]
                    for other in built.journeys
                    if other.customer == journey.customer and other.times and other.times[0] > journey.times[-1]
                ]
                stop = min([end, *later])
                ages = [
                    _days(stop - time if lookback is None else min(stop - time, lookback)) for time in journey.times
                ]
            else:
                continue
            found.setdefault(game, []).append((journey, ages))
    return found


def log_likelihood(
    journeys: Sequence[tuple[Journey, list[float]]],
    strength: Mapping[Player, float],
    omega: Mapping[Player, float],
    base: float = 0.0,
    shortest: float = 1 / 24,
) -> float:
    """Σ conversions × log λ - Λ, with λ = μ + Σ β ω exp(-ω s) and Λ = μ × time + Σ β (1 - exp(-ω s))."""
    total = 0.0
    for journey, ages in journeys:
        ages_counted = [max(age, shortest) for age in ages]
        touches = list(zip(journey.players, ages_counted, strict=True))
        if journey.status == "converting":
            hazard = base + sum(strength[k] * omega[k] * math.exp(-omega[k] * s) for k, s in touches)
            total += journey.conversions * math.log(hazard)
        total -= sum(strength[k] * (1 - math.exp(-omega[k] * s)) for k, s in touches)
        if base:
            first = journey.times[0]
            total -= base * max(_days(time - first) + age for time, age in zip(journey.times, ages, strict=True))
    return total


def hazard_credit(
    journeys: Sequence[tuple[Journey, list[float]]],
    strength: Mapping[Player, float],
    omega: Mapping[Player, float],
    base: float = 0.0,
    shortest: float = 1 / 24,
) -> dict[Player | None, tuple[float, float]]:
    """Conversions and value by their part of the hazard at the conversion; under None those of the constant hazard."""
    credit: dict[Player | None, tuple[float, float]] = dict.fromkeys([*strength, None], (0.0, 0.0))
    for journey, ages in journeys:
        if journey.status == "converting":
            parts = [
                (k, strength[k] * omega[k] * math.exp(-omega[k] * max(s, shortest)))
                for k, s in zip(journey.players, ages, strict=True)
            ]
            parts.append((None, base))
            whole = sum(part for _, part in parts)
            for player, part in parts:
                conversions, value = credit[player]
                credit[player] = (
                    conversions + journey.conversions * part / whole,
                    value + float(journey.value) * part / whole,
                )
    return credit
