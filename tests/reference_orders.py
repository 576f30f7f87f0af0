"""The slow twin: how well a chain of each order describes journeys (semantics 5). Logarithms are floats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from fractions import Fraction
from math import log
from typing import Any

from reference_chains import Mark, State, in_chain
from reference_journeys import Built, Game, Journey, Player, players_of

Next = Player | Mark
Padded = tuple[Next, ...]


def _weight(journey: Journey) -> int:
    return journey.conversions if journey.status == "converting" else 1


def _steps(journey: Journey) -> list[Next]:
    """What follows start: the players, then conversion or null."""
    return [*journey.players, Mark.CONVERSION if journey.status == "converting" else Mark.NULL]


# --- in the sample ----------------------------------------------------------------------------


def in_sample(built: Built, order: int) -> dict[Game, dict[str, Any]]:
    """Log-likelihood of the chain fitted to the game's own journeys, and what AIC and BIC make of it."""
    result: dict[Game, dict[str, Any]] = {}
    for game, journeys in built.games().items():
        counts: Counter[tuple[State, Next]] = Counter()
        contexts: Counter[State] = Counter()
        for journey in in_chain(journeys):
            for i, following in enumerate(_steps(journey)):
                context = journey.players[max(i - order, 0) : i]
                counts[context, following] += _weight(journey)
                contexts[context] += _weight(journey)
        n = len(players_of(journeys))
        # From start a journey goes on to a player; from everywhere else to a player or to either end.
        parameters = sum((n + 2 if context else n) - 1 for context in contexts)
        likelihood = sum(count * log(Fraction(count, contexts[context])) for (context, _), count in counts.items())
        number = sum(counts.values())
        result[game] = {
            "log_likelihood": likelihood,
            "parameters": parameters,
            "transitions": number,
            "aic": 2 * parameters - 2 * likelihood,
            "bic": (parameters * log(number) if number else 0) - 2 * likelihood,
        }
    return result


# --- out of the sample ------------------------------------------------------------------------


def _grams(journey: Journey, order: int) -> list[tuple[Padded, Next]]:
    """Every step with the `order` states before it; in front of the first touch there is only start."""
    path: list[Next] = [*[Mark.START] * order, *_steps(journey)]
    return [(tuple(path[i : i + order]), path[i + order]) for i in range(len(path) - order)]


def witten_bell(training: Iterable[Journey], following: Next, context: Padded, players: int) -> Fraction:
    """The probability of what follows a padded context, backed off to ever shorter ones.

    p_k(x|c) = (n(c,x) + T(c) r) / (n(c) + T(c)), T(c) the distinct states seen after c, and r the same of what was seen
    after c without the state furthest back, but not after c; below order 0 all players, conversion and null are alike.
    """
    journeys = list(in_chain(training))

    def after(seen: Padded) -> Counter[Next]:
        counts: Counter[Next] = Counter()
        for journey in journeys:
            for before, then in _grams(journey, len(seen)):
                if before == seen:
                    counts[then] += _weight(journey)
        return counts

    def smoothed(counts: Counter[Next], seen: Padded) -> Fraction:
        """`counts` were seen after `seen`; what shorter ones add is what is not among all seen after it."""
        lower = smoothed(after(seen[1:]) - after(seen), seen[1:]) if seen else Fraction(1, players + 2)
        if not counts:
            return lower
        return (counts[following] + len(counts) * lower) / (sum(counts.values()) + len(counts))

    return smoothed(after(context), context)


def held_out(training: Iterable[Journey], held: Iterable[Journey], order: int, players: int) -> float:
    """Log-likelihood of held-out journeys under the chain of the training part."""
    return sum(
        _weight(journey) * log(witten_bell(training, following, context, players))
        for journey in in_chain(held)
        for context, following in _grams(journey, order)
    )


def out_of_sample(built: Built, order: int, fold: Callable[[Journey], Hashable]) -> dict[Game, float]:
    """Every fold held out once, the rest being the training part; summed over folds."""
    result = {}
    for game, journeys in built.games().items():
        players = len(players_of(journeys))
        result[game] = sum(
            held_out([j for j in journeys if fold(j) != this], [j for j in journeys if fold(j) == this], order, players)
            for this in {fold(j) for j in journeys}
        )
    return result
