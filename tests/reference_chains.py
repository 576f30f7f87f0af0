"""The slow twin: Markov chains, what is removed from them, and the choice of their order (semantics 5).

Every number by its definition: the chain is written down as steps with weights, the forbidden steps
are taken out, and the probability to convert is solved for in fractions, once per question.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from itertools import pairwise
from typing import Any

from reference_journeys import Built, Game, Journey, Player, players_of


class Mark(Enum):
    """What a chain has beside players; no name in the data can be one of these."""

    START = 0
    CONVERSION = 1
    NULL = 2


State = tuple[Player, ...]  # the last min(k, touches so far) players; () is start
Step = State | Mark
Forbidden = Callable[[State, State], bool]  # (from, to) of a step between touches


@dataclass(frozen=True)
class Chain:
    """Weights of the steps taken from each state, and the value of those into conversion."""

    steps: dict[State, Counter[Step]] = field(default_factory=lambda: defaultdict(Counter))
    value: dict[State, Fraction] = field(default_factory=lambda: defaultdict(Fraction))


def in_chain(journeys: Iterable[Journey]) -> list[Journey]:
    """Journeys with a touch that are not open (2)."""
    return [journey for journey in journeys if journey.status in ("converting", "null")]


def chain(journeys: Iterable[Journey], order: int) -> Chain:
    """Conversions + nulls of a journey on every step between touches; the last step to either (5)."""
    found = Chain()
    for journey in in_chain(journeys):
        converting = journey.status == "converting"
        weight = journey.conversions if converting else 1
        states = [tuple(journey.players[max(i - order, 0) : i]) for i in range(len(journey.players) + 1)]
        for state, following in pairwise(states):
            found.steps[state][following] += weight
        found.steps[states[-1]][Mark.CONVERSION if converting else Mark.NULL] += weight
        found.value[states[-1]] += journey.value
    return found


def solve(matrix: list[list[Fraction]], right: list[list[Fraction]]) -> list[list[Fraction]]:
    """Gaussian elimination in fractions; `right` has one row per equation, one entry per system."""
    rows = [[*left, *more] for left, more in zip(matrix, right, strict=True)]
    n = len(rows)
    for i in range(n):
        pivot = next(r for r in range(i, n) if rows[r][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        scale = rows[i][i]
        rows[i] = [entry / scale if entry else entry for entry in rows[i]]
        for r in range(n):
            factor = rows[r][i]
            if r != i and factor:
                rows[r] = [x - factor * y if y else x for x, y in zip(rows[r], rows[i], strict=True)]
    return [row[n:] for row in rows]


def _nothing(_state: State, _following: State) -> bool:
    return False


def chain_worth(
    journeys: Iterable[Journey], order: int = 1, forbidden: Forbidden = _nothing, removal: str = "null"
) -> tuple[Fraction, Fraction]:
    """Probability of, and expected value on, reaching *conversion* from start (5).

    A forbidden step leads to *null*, which is worth nothing; with `removal="renormalise"` it is
    dropped and what is left of its row rescaled to sum to 1 (an empty row leads to null). A state
    from which neither conversion nor null can be reached leads to null as well.
    """
    if removal not in ("null", "renormalise"):
        raise ValueError(removal)
    walked = chain(journeys, order)
    rows: dict[State, dict[Step, Fraction]] = {}
    gains: dict[State, list[Fraction]] = {}
    for state, steps in walked.steps.items():
        kept = {to: n for to, n in steps.items() if isinstance(to, Mark) or not forbidden(state, to)}
        whole = sum(steps.values()) if removal == "null" else sum(kept.values())
        row: dict[Step, Fraction] = {to: Fraction(n, whole) for to, n in kept.items()}
        if sum(row.values()) < 1:
            row[Mark.NULL] = row.get(Mark.NULL, Fraction(0)) + 1 - sum(row.values())
        rows[state] = row
        gains[state] = [row.get(Mark.CONVERSION, Fraction(0)), walked.value[state] / whole if whole else Fraction(0)]
    ending: set[Step] = {Mark.CONVERSION, Mark.NULL}
    while more := {state for state, row in rows.items() if state not in ending and ending & row.keys()}:
        ending |= more
    states = [state for state in rows if state in ending]
    if () not in states:
        return Fraction(0), Fraction(0)
    matrix = [[Fraction(s == t) - rows[s].get(t, Fraction(0)) for t in states] for s in states]
    probability, expected = solve(matrix, [gains[state] for state in states])[states.index(())]
    return probability, expected


# --- removal ----------------------------------------------------------------------------------


def into(players: Iterable[Player]) -> Forbidden:
    """Steps into any of the players."""
    group = set(players)
    return lambda _state, following: following[-1] in group


def completing(sequence: Sequence[Player]) -> Forbidden:
    """Steps that complete a contiguous run of players."""
    run = tuple(sequence)
    return lambda state, following: (*state, following[-1])[-len(run) :] == run


def removals(
    built: Built, forbidden: Forbidden, order: int = 1, removal: str = "null"
) -> dict[Game, dict[str, Fraction | None]]:
    """What forbidding some steps costs each game (5).

    `effect` and `value_effect` are 1 - without / with, null without conversions (value); the
    conversions and value lost are these times the game's, and 0 where there is nothing to lose.
    """
    result: dict[Game, dict[str, Fraction | None]] = {}
    for game, journeys in built.games().items():
        conversions, value = totals(journeys)
        probability, expected = chain_worth(journeys, order)
        without, without_value = chain_worth(journeys, order, forbidden, removal)
        effect, value_effect = _effect(without, probability), _effect(without_value, expected)
        result[game] = {
            "effect": effect,
            "conversions": conversions * (effect or 0),
            "value_effect": value_effect,
            "value": value * (value_effect or 0),
        }
    return result


def remove_players(
    built: Built, players: Iterable[Player], order: int = 1, removal: str = "null"
) -> dict[Game, dict[str, Fraction | None]]:
    """Removal of a group of players at once; see `removals`."""
    return removals(built, into(players), order, removal)


def remove_sequence(
    built: Built, sequence: Sequence[Player], order: int = 1, removal: str = "null"
) -> dict[Game, dict[str, Fraction | None]]:
    """Removal of a contiguous run of players; see `removals`. A state must hold all of it but the last."""
    if order < len(sequence) - 1:
        raise ValueError(order)
    return removals(built, completing(sequence), order, removal)


def markov(built: Built, order: int = 1, removal: str = "null") -> dict[Game, dict[str, Any]]:
    """Removal effects by their definition, one solve per removed player (5).

    Each game has `players`: {player: (conversions, value, effect)}, `probability` and `value_effects`.
    """
    result: dict[Game, dict[str, Any]] = {}
    for game, journeys in built.games().items():
        players = players_of(journeys)
        conversions, value = totals(journeys)
        probability, expected = chain_worth(journeys, order)
        without = {player: chain_worth(journeys, order, into([player]), removal) for player in players}
        effects = {p: _effect(without[p][0], probability) for p in players}
        value_effects = {p: _effect(without[p][1], expected) for p in players}
        shares = _shares(conversions, effects)
        worth = _shares(value, value_effects)
        result[game] = {
            "players": {player: (shares[player], worth[player], effects[player]) for player in players},
            "probability": probability,
            "value_effects": value_effects,
        }
    return result


def totals(journeys: Iterable[Journey]) -> tuple[Fraction, Fraction]:
    """Conversions and value of converting journeys: what there is to share."""
    converting = [journey for journey in journeys if journey.status == "converting"]
    return Fraction(sum(j.conversions for j in converting)), sum((j.value for j in converting), Fraction(0))


def _effect(without: Fraction, base: Fraction) -> Fraction | None:
    """1 - P(x removed)/P; null without any conversion (5)."""
    return 1 - without / base if base else None


def _shares(total: Fraction, effects: Mapping[Player, Fraction | None]) -> dict[Player, Fraction | None]:
    """Total × effect / Σ effects; 0 where there is nothing to share, null where Σ effects ≤ 0 (5)."""
    if not total:
        return dict.fromkeys(effects, Fraction(0))
    together = sum((effect for effect in effects.values() if effect is not None), Fraction(0))
    if together <= 0:
        return dict.fromkeys(effects, None)
    return {p: total * effect / together if effect is not None else None for p, effect in effects.items()}


# --- transitions ------------------------------------------------------------------------------


def transitions(built: Built) -> dict[Game, dict[tuple[Player | Mark, Player | Mark], tuple[int, Fraction]]]:
    """Count and probability of every step of the chain of order 1: (from, to) -> (count, share of `from`)."""
    result = {}
    for game, journeys in built.games().items():
        counts: Counter[tuple[Player | Mark, Player | Mark]] = Counter()
        for journey in in_chain(journeys):
            end = Mark.CONVERSION if journey.status == "converting" else Mark.NULL
            for step in pairwise([Mark.START, *journey.players, end]):
                counts[step] += journey.conversions or 1
        leaving: Counter[Player | Mark] = Counter()
        for (origin, _), count in counts.items():
            leaving[origin] += count
        result[game] = {step: (count, Fraction(count, leaving[step[0]])) for step, count in counts.items()}
    return result
