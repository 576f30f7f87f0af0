"""The slow twin, last part: credit and the credit table from journeys (semantics 4 to 10)."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import combinations, pairwise
from math import factorial
from typing import Any

from reference_events import Row
from reference_journeys import Built, Game, Journey, Player

Credit = dict[Game, dict[Player, tuple[Fraction, Fraction]]]


def _nulls_first(value: Any) -> tuple[bool, Any]:
    return (value is not None, 0 if value is None else value)


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
    raise ValueError(rule)


def players_of(journeys: Iterable[Journey]) -> list[Player]:
    """Every player with a touch in the game (10), in order (nulls first)."""
    found = {player for journey in journeys for player in journey.players}
    return sorted(found, key=lambda player: [_nulls_first(part) for part in player])


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


# --- Markov chain (semantics 5) ---------------------------------------------------------------


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


def chain_worth(journeys: Iterable[Journey], order: int, removed: Player | None = None) -> tuple[Fraction, Fraction]:
    """Probability of, and expected value on, reaching *conversion* from start (5).

    A step into the removed player leads to *null*, which is worth nothing.
    """
    steps: dict[Player, Counter[Player]] = {(): Counter()}  # (): start
    out: Counter[Player] = Counter()
    conversions: Counter[Player] = Counter()
    value: dict[Player, Fraction] = defaultdict(Fraction)
    for journey in journeys:
        weight = journey.conversions if journey.status == "converting" else 1
        # The state after i touches: the last min(order, i) players.
        states = [tuple(journey.players[max(i - order, 0) : i]) for i in range(len(journey.players) + 1)]
        for state, following in pairwise(states):
            steps[state][following] += weight
            steps.setdefault(following, Counter())
            out[state] += weight
        out[states[-1]] += weight
        conversions[states[-1]] += journey.conversions
        value[states[-1]] += journey.value
    states = list(steps)
    matrix = []
    for state in states:
        row = [Fraction(state == other) for other in states]
        for i, following in enumerate(states):
            if following and following[-1] == removed:
                continue
            row[i] -= Fraction(steps[state][following], out[state])
        matrix.append(row)
    right = [[Fraction(conversions[s], out[s]), value[s] / out[s]] for s in states]
    probability, expected = solve(matrix, right)[states.index(())]
    return probability, expected


def markov(built: Built, order: int = 1) -> dict[Game, dict[str, Any]]:
    """Removal effects by their definition, one solve per removed player (5).

    Each game has `players`: {player: (conversions, value, effect)}, `probability` and `value_effects`.
    """
    result: dict[Game, dict[str, Any]] = {}
    for game, everything in built.games().items():
        journeys = [journey for journey in everything if journey.status in ("converting", "null")]
        players = players_of(journeys)
        conversions = sum(journey.conversions for journey in journeys)
        value = sum((journey.value for journey in journeys), Fraction(0))
        probability, expected = chain_worth(journeys, order) if journeys else (Fraction(0), Fraction(0))
        without = {player: chain_worth(journeys, order, player) for player in players}
        effects = {p: _effect(without[p][0], probability) for p in players}
        value_effects = {p: _effect(without[p][1], expected) for p in players}
        shares = _shares(Fraction(conversions), effects)
        worth = _shares(value, value_effects)
        result[game] = {
            "players": {player: (shares[player], worth[player], effects[player]) for player in players},
            "probability": probability,
            "value_effects": value_effects,
        }
    return result


def _effect(without: Fraction, base: Fraction) -> Fraction | None:
    """1 - P(x removed)/P; null without any conversion (5)."""
    return 1 - without / base if base else None


def _shares(total: Fraction, effects: dict[Player, Fraction | None]) -> dict[Player, Fraction | None]:
    """Total × effect / Σ effects; 0 where there is nothing to share, null where Σ effects ≤ 0 (5)."""
    if not total:
        return dict.fromkeys(effects, Fraction(0))
    together = sum((effect for effect in effects.values() if effect is not None), Fraction(0))
    if together <= 0:
        return dict.fromkeys(effects, None)
    return {p: total * effect / together if effect is not None else None for p, effect in effects.items()}


# --- Shapley (semantics 6) --------------------------------------------------------------------


def shapley(players: Sequence[Player], worth: Callable[[frozenset[Player]], Fraction]) -> dict[Player, Fraction]:
    """Shapley value by enumeration of all coalitions (6)."""
    n = len(players)
    sets = [frozenset(some) for size in range(n + 1) for some in combinations(players, size)]
    worths = {some: worth(some) for some in sets}
    result = dict.fromkeys(players, Fraction(0))
    for some in sets:
        for player in players:
            if player not in some:
                weight = Fraction(factorial(len(some)) * factorial(n - len(some) - 1), factorial(n))
                result[player] += weight * (worths[some | {player}] - worths[some])
    return result


def shapley_conversions(built: Built) -> Credit:
    """worth="conversions" by the definition: conversions of journeys whose player set lies within S (6)."""
    credit: Credit = {}
    for game, journeys in built.games().items():
        players = players_of(journeys)
        converting = [(frozenset(j.players), j) for j in journeys if j.status == "converting"]

        def conversions(some: frozenset[Player], converting: Any = converting) -> Fraction:
            return Fraction(sum(j.conversions for touched, j in converting if touched <= some))

        def value(some: frozenset[Player], converting: Any = converting) -> Fraction:
            return sum((j.value for touched, j in converting if touched <= some), Fraction(0))

        counts, values = shapley(players, conversions), shapley(players, value)
        credit[game] = {player: (counts[player], values[player]) for player in players}
    return credit


def shapley_conversions_closed(built: Built) -> Credit:
    """worth="conversions" by the closed form: shared equally among the distinct players of a journey (6)."""
    credit: Credit = {}
    for game, journeys in built.games().items():
        credit[game] = {player: (Fraction(0), Fraction(0)) for player in players_of(journeys)}
        for journey in journeys:
            if journey.status == "converting":
                distinct = set(journey.players)
                for player in distinct:
                    conversions, value = credit[game][player]
                    credit[game][player] = (
                        conversions + Fraction(journey.conversions, len(distinct)),
                        value + journey.value / len(distinct),
                    )
    return credit


# --- the credit table (semantics 10) ----------------------------------------------------------

RULES = {
    "first_touch": "first",
    "last_touch": "last",
    "last_non_direct": "last_non_direct",
    "linear": "linear",
    "position_based": "position",
    "time_decay": "time_decay",
}


def unattributed(built: Built) -> dict[Game, tuple[int, Fraction]]:
    """Conversions and value of journeys without a touch, for every game, also where 0 (2, 10)."""
    result = {}
    for game, journeys in built.games().items():
        alone = [journey for journey in journeys if journey.status == "unattributed"]
        result[game] = sum(j.conversions for j in alone), sum((j.value for j in alone), Fraction(0))
    return result


def table(built: Built, method: str, **params: Any) -> list[Row]:
    """The credit table as rows of floats; `method` is a name of RULES (or rules), markov or shapley (10)."""
    credit: dict[Game, dict[Player, tuple[Any, ...]]] = {}
    if method == "markov":
        credit = {game: solved["players"] for game, solved in markov(built, **params).items()}
    elif method == "shapley":
        credit = {game: dict(players) for game, players in shapley_conversions(built).items()}
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
        total = lost + sum(row[0] for _, _, row in members)
        for columns, kind, (conversions, value, *effect) in [*members, nobody]:
            known = {**columns, **dict(zip(game_columns, game, strict=True))}
            numbers = {
                "conversions": conversions,
                "value": value,
                "share": conversions / Fraction(total) if total else None,
                "effect": effect[0] if effect else None,
            }
            floats = {name: None if number is None else float(number) for name, number in numbers.items()}
            rows.append({**{key: known[key] for key in keys}, "kind": kind, **floats})

    def order(row: Row) -> list[Any]:
        stages = [None, *(built.stages or ())]
        parts = [stages.index(row[key]) if key == "stage" else _nulls_first(row[key]) for key in keys]
        return [*parts, ["player", "unattributed"].index(row["kind"])]

    return sorted(rows, key=order)
