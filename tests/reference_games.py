"""The slow twin: Shapley values of coalitions, by position, and interactions (semantics 6)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from math import factorial

from reference_chains import chain_worth, in_chain, totals
from reference_journeys import Built, Game, Journey, Player, players_of

Credit = dict[Game, dict[Player, tuple[Fraction, Fraction]]]
Coalition = frozenset[Player]
Worth = Callable[[Coalition], Fraction]


def shapley(players: Sequence[Player], worth: Worth) -> dict[Player, Fraction]:
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


def interaction(players: Sequence[Player], worth: Worth) -> dict[tuple[Player, Player], Fraction]:
    """Shapley interaction index of every pair, in the order of the players (Grabisch & Roubens 1999).

    I_ij = Σ over S without i and j of (n-|S|-2)! |S|! / (n-1)! × [v(S,i,j) - v(S,i) - v(S,j) + v(S)].
    """
    n = len(players)
    sets = [frozenset(some) for size in range(n + 1) for some in combinations(players, size)]
    worths = {some: worth(some) for some in sets}
    result = dict.fromkeys(combinations(players, 2), Fraction(0))
    for i, j in result:
        for some in sets:
            if i not in some and j not in some:
                weight = Fraction(factorial(n - len(some) - 2) * factorial(len(some)), factorial(n - 1))
                gain = worths[some | {i, j}] - worths[some | {i}] - worths[some | {j}] + worths[some]
                result[i, j] += weight * gain
    return result


def worths(journeys: Sequence[Journey], worth: str) -> tuple[Worth, Worth]:
    """What a coalition is worth, in conversions and in value (6)."""
    counted = [(frozenset(journey.players), journey) for journey in in_chain(journeys)]

    def sums(some: Coalition) -> tuple[Fraction, Fraction]:
        return totals([journey for touched, journey in counted if touched <= some])

    def per_journey(some: Coalition) -> tuple[Fraction, Fraction]:
        conversions, value = sums(some)
        nulls = sum(journey.status == "null" for touched, journey in counted if touched <= some)
        number = conversions + nulls
        return (conversions / number, value / number) if number else (Fraction(0), Fraction(0))

    def allowed(some: Coalition) -> tuple[Fraction, Fraction]:
        return chain_worth(journeys, 1, lambda _state, following: following[-1] not in some)

    both = {"conversions": sums, "rate": per_journey, "markov": allowed}[worth]
    return (lambda some: both(some)[0]), (lambda some: both(some)[1])


def _scale(journeys: Sequence[Journey], worth: str) -> Fraction:
    """From a worth per journey to the game's total: the number of journeys, also where the total is 0."""
    if worth == "conversions":
        return Fraction(1)
    counted = in_chain(journeys)
    return totals(counted)[0] + sum(journey.status == "null" for journey in counted)


def shapley_credit(built: Built, worth: str = "conversions") -> Credit:
    """Conversions and value by the definition, scaled to the totals of the game (6)."""
    credit: Credit = {}
    for game, journeys in built.games().items():
        players = players_of(journeys)
        parts = []
        for coalition in worths(journeys, worth):
            scale = _scale(journeys, worth)
            parts.append({player: scale * part for player, part in shapley(players, coalition).items()})
        credit[game] = {player: (parts[0][player], parts[1][player]) for player in players}
    return credit


def shapley_conversions(built: Built) -> Credit:
    """worth="conversions" by the definition: conversions of journeys whose player set lies within S (6)."""
    return shapley_credit(built, "conversions")


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


def interactions(
    built: Built, worth: str = "rate"
) -> dict[Game, dict[tuple[Player, Player], tuple[Fraction, Fraction]]]:
    """Interaction index of every pair in conversions and in value, in the scale of the credit (6)."""
    result = {}
    for game, journeys in built.games().items():
        players = players_of(journeys)
        parts = []
        for coalition in worths(journeys, worth):
            scale = _scale(journeys, worth)
            parts.append({pair: scale * index for pair, index in interaction(players, coalition).items()})
        result[game] = {pair: (index, parts[1][pair]) for pair, index in parts[0].items()}
    return result


def neutral_interactions(built: Built, worth: str = "rate") -> dict[Game, dict[tuple[Player, Player], Fraction]]:
    """The interaction index if every journey of a game converted at the game's rate a/b, whoever is on it.

    Every journey is taken b times, a of them converting; the index of so many journeys is b times as large.
    """
    equal, times = [], {}
    for game, journeys in built.games().items():
        counted = in_chain(journeys)
        conversions = sum(journey.conversions for journey in counted)
        number = conversions + sum(journey.status == "null" for journey in counted)
        rate = Fraction(conversions, number) if number else Fraction(0)
        times[game] = rate.denominator
        for journey in counted:
            weight = journey.conversions if journey.status == "converting" else 1
            won, lost = rate.numerator * weight, (rate.denominator - rate.numerator) * weight
            if won:
                equal.append(replace(journey, status="converting", conversions=won, value=Fraction(won)))
            equal += [replace(journey, status="null", conversions=0, value=Fraction(0))] * lost
    found = interactions(replace(built, journeys=tuple(equal)), worth)
    return {game: {pair: index / times[game] for pair, (index, _) in pairs.items()} for game, pairs in found.items()}


# --- positions --------------------------------------------------------------------------------


def spread(journey: Journey) -> list[Fraction]:
    """Shares of the touches: 1/|S| of each distinct player, spread equally over its occurrences (6)."""
    distinct = len(set(journey.players))
    return [Fraction(1, distinct * journey.players.count(player)) for player in journey.players]


def positions(built: Built) -> dict[Game, dict[tuple[Player, int], tuple[Fraction, Fraction]]]:
    """The closed form by player and position of the touch (1 = first); 0 where only nulls have one (6)."""
    result = {}
    for game, journeys in built.games().items():
        credit: dict[tuple[Player, int], tuple[Fraction, Fraction]] = defaultdict(lambda: (Fraction(0), Fraction(0)))
        for journey in in_chain(journeys):
            for position, (player, share) in enumerate(zip(journey.players, spread(journey), strict=True), start=1):
                conversions, value = credit[player, position]
                credit[player, position] = (conversions + share * journey.conversions, value + share * journey.value)
        result[game] = dict(credit)
    return result
