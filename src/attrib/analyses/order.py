"""attrib.choose_order: how many touches the next step depends on, judged by journeys that were held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import ResourceError
from attrib.methods.base import cells_of, check_journeys
from attrib.methods.chain import MAX_ORDER
from attrib.needs import Transitions
from attrib.values import FOLDS, check_seed, generator, whole_number
from attrib.views.frames import game_columns

if TYPE_CHECKING:
    from attrib.engines.base import Tallies, Units
    from attrib.journeys import Journeys
    from attrib.tally import Tally

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
MAX_FOLDS = 256
OWN = (
    "order", "contexts", "parameters", "log_likelihood", "aic", "bic", "out_of_sample", "per_step", "recommended",
    "reason",
)  # fmt: skip


def choose_order(journeys: Journeys, max_order: int = 5, *, folds: int = 10, seed: int = 0) -> pl.DataFrame:
    """Compare the orders of a Markov chain, and recommend one, by cross-validation over customers.

    Each order predicts the next step (a player, conversion or null) of journeys that it was not fitted to, backing
    off to lower orders where it has seen little (after Witten & Bell). What is seen counts once, at the longest context
    that it shares with the step to predict, so that a longer memory gains nothing by counting the same steps again.
    Recommended is the lowest order whose log-likelihood of held-out steps lies within one standard error (of its paired
    difference over folds) of the best. Orders at or above the longest journey are one chain: they score alike, and the
    lowest of them stands for all.

    Parameters
    ----------
    journeys : Journeys
        From :meth:`attrib.Journeys.from_events` or :meth:`attrib.Journeys.from_paths`.
    max_order : int
        Orders 1 to this one are compared; at most 5.
    folds : int
        Parts that are held out in turn, 2 to 256: customers by their bucket; journeys of a path table at random.
    seed : int
        Of that dealing of a path table's journeys.

    Returns
    -------
    polars.DataFrame
        One row a game and order: the ``by`` columns and ``stage``, ``order``; ``contexts`` (observed) and
        ``parameters`` (free probabilities of their next steps); ``log_likelihood`` of the data that the chain was
        fitted to (natural logarithm), ``aic``, ``bic``; ``out_of_sample``: that of all held-out steps, ``per_step``
        the same divided by their number; ``recommended`` and the ``reason``.

    Raises
    ------
    SpecError
        ``bad_parameter`` for other settings.
    ResourceError
        ``key_too_wide`` where the highest order does not fit for so many players.

    References
    ----------
    Witten & Bell (1991), The zero-frequency problem. Breiman, Friedman, Olshen & Stone (1984), Classification and
    Regression Trees (the rule of one standard error).

    Examples
    --------
    >>> import attrib, polars as pl
    >>> paths = pl.DataFrame(
    ...     {"path": ["a > b > a", "b > b > b"], "total_conversions": [90, 10], "total_null": [10, 90]}
    ... )
    >>> table = attrib.choose_order(attrib.Journeys.from_paths(paths), max_order=2)
    >>> table.select("order", "contexts", "parameters", "recommended").rows()
    [(1, 3, 7, False), (2, 6, 16, True)]
    """
    check_journeys(journeys)
    for name, value, low, high in (("max_order", max_order, 1, MAX_ORDER), ("folds", folds, 2, MAX_FOLDS)):
        whole_number(name, value, low, high)
    check_seed(seed)
    need = Transitions(max_order)
    try:
        tallies = journeys.tallies((need,), units=True)
    except ResourceError as error:
        if error.key != "key_too_wide" or max_order == 1:
            raise
        hint = f"use max_order={max_order - 1} or lower, or group rare players"
        raise ResourceError(error.key, error.message, hint=hint, **error.facts) from error
    tallies.warn_without_nulls("choose_order")
    tally = tallies.get(need)
    keys, at = np.unique(tally.keys & ((1 << tally.layout.unit_shift) - 1), return_inverse=True)
    levels = _levels(tally, keys)
    cells, games = cells_of(tallies), tallies.n_games
    players = np.bincount(cells.game, minlength=games)
    counts = tally.column("count")
    whole = _add_up(at, counts, len(keys))
    fitted = _fitted(levels, whole, players)
    same = _same_chain(fitted["contexts"])
    held = np.zeros((folds, max_order, games))
    steps = np.zeros((folds, games))
    dealt = None if tallies.units.kind == "buckets" else _deal(tallies.units, folds, seed)
    for fold in range(folds):
        part = (
            counts * (tally.units % folds == fold)
            if dealt is None
            else _part(counts, tally.units, tallies.units, dealt[fold])
        )
        test = _add_up(at, part, len(keys))
        held[fold] = _held_out(levels, whole - test, test, players)
        steps[fold] = _add_up(levels[-1].game, test, games)
    for order in range(1, max_order):  # one chain has one score, to the last bit, however its keys are ordered
        held[:, order] = np.where(same[order], held[:, order - 1], held[:, order])
        likelihood = fitted["log_likelihood"]
        likelihood[order] = np.where(same[order], likelihood[order - 1], likelihood[order])
    return _frame(tallies, fitted, held, steps, same)


def _add_up(place: Ints, numbers: npt.ArrayLike, size: int = 0) -> Floats:
    """Sums of numbers by their place."""
    return np.bincount(place, numbers, size).astype(np.float64)


@dataclass(frozen=True, slots=True)
class _Level:
    """Keys of one order: game, context and next step.

    ``context`` int64 [n] numbers the contexts; ``game`` int64 [n]; ``start`` bool [n]: nothing came before;
    ``below`` int64 [n]: the key of the order below, without the oldest of the context.
    """

    game: Ints
    context: Ints
    start: npt.NDArray[np.bool_]
    below: Ints


def _levels(tally: Tally, keys: Ints) -> list[_Level]:
    """Keys of the orders 0, 1, … of the tally."""
    bits = tally.layout.bits
    out = []
    for order in range(tally.layout.players - 1, -1, -1):
        game = keys >> ((order + 1) * bits)
        context = keys >> bits
        start = (context & ((1 << (order * bits)) - 1)) == 0
        lower = (game << (order * bits)) | (keys & ((1 << (order * bits)) - 1))
        lower, below = np.unique(lower, return_inverse=True)
        out.append(_Level(game, np.cumsum(np.diff(context, prepend=context[:1]) != 0), start, below))
        keys = lower
    return out[::-1]


def _counts(levels: list[_Level], top: Floats) -> list[Floats]:
    """Counts of every order's keys from those of the highest."""
    out = [top]
    for level in reversed(levels[1:]):
        out.append(_add_up(level.below, out[-1]))
    return out[::-1]


def _deal(units: Units, folds: int, seed: int) -> Ints:
    """Journeys of each unit by fold, [folds, units]."""
    return generator(seed, FOLDS).multinomial(units.counts, np.full(folds, 1 / folds)).T


def _part(counts: Floats, unit: Ints, units: Units, dealt: Ints) -> Floats:
    """Counts of the journeys that were dealt; each journey of a unit makes the same steps, so they stay whole."""
    return counts * dealt[unit] / np.maximum(units.counts, 1)[unit]


def _fitted(levels: list[_Level], whole: Floats, players: Ints) -> dict[str, Floats]:
    """Contexts, parameters and log-likelihood of the chain fitted to everything, [orders, games]."""
    games = len(players)
    out = {name: np.zeros((len(levels) - 1, games)) for name in ("contexts", "parameters", "log_likelihood")}
    for order, (level, count) in enumerate(zip(levels, _counts(levels, whole), strict=True)):
        if order == 0:
            continue
        inside = _add_up(level.context, count)[level.context]
        first = np.flatnonzero(np.diff(level.context, prepend=-1))
        game = level.game[first]
        free = players[game] + np.where(level.start[first], 0, 2) - 1
        out["contexts"][order - 1] = np.bincount(game, minlength=games)
        out["parameters"][order - 1] = _add_up(game, free, games)
        out["log_likelihood"][order - 1] = _add_up(level.game, count * np.log(count / inside), games)
    return out


def _same_chain(contexts: Floats) -> npt.NDArray[np.bool_]:
    """Whether an order is the same chain as the one below, bool [orders, games].

    Contexts of an order refine those of the order below, so as many of them are the same ones.
    """
    return np.asarray(np.diff(contexts, axis=0, prepend=-1) == 0)


def _held_out(levels: list[_Level], train: Floats, test: Floats, players: Ints) -> Floats:
    """Log-likelihood of held-out steps, [orders, games].

    ``rest`` is what the order below has seen after the shorter context, less what this order has seen after the longer
    one: had it stayed in, the same steps would count at every order, and longer memories would gain by repetition.
    """
    out = np.zeros((len(levels) - 1, len(players)))
    counts, held = _counts(levels, train), _counts(levels, test)
    lower = 1.0 / (players[levels[0].game] + 2)  # before anything is seen, all next steps are alike
    shorter, distinct = np.zeros(len(counts[0])), np.zeros(len(counts[0]))
    for order, (level, seen) in enumerate(zip(levels, counts, strict=True)):
        inside = _add_up(level.context, seen)[level.context]
        kinds = _add_up(level.context, seen > 0)[level.context]
        if order > 0:
            below = level.below
            rest = counts[order - 1][below] - seen
            used_up = _add_up(level.context, (rest == 0) & (seen > 0))[level.context]
            lower = _backed_off(rest, shorter[below] - inside, distinct[below] - used_up, lower[below])
            chance = _backed_off(seen, inside, kinds, lower)
            out[order - 1] = _add_up(level.game, held[order] * np.log(chance), len(players))
        shorter, distinct = inside, kinds
    return out


def _backed_off(seen: Floats, inside: Floats, distinct: Floats, lower: Floats) -> Floats:
    """Witten & Bell: ``lower`` counts as many times as there are distinct next steps; alone where nothing was seen."""
    with np.errstate(invalid="ignore"):
        return np.where(inside > 0, (seen + distinct * lower) / (inside + distinct), lower)


def _frame(
    tallies: Tallies, fitted: dict[str, Floats], held: Floats, steps: Floats, same: npt.NDArray[np.bool_]
) -> pl.DataFrame:
    _, orders, games = held.shape
    n, outside, likelihood, free = steps.sum(axis=0), held.sum(axis=0), fitted["log_likelihood"], fitted["parameters"]
    with np.errstate(divide="ignore", invalid="ignore"):
        bic = free * np.log(n) - 2 * likelihood
        per_step = outside / n
    numbers = {"aic": 2 * free - 2 * likelihood, "bic": bic, "out_of_sample": outside, "per_step": per_step}
    recommended = np.zeros((orders, games), np.bool_)
    reasons = [["no journeys"] * games for _ in range(orders)]
    for game in np.flatnonzero(n > 0):
        best, short, error = _compare(held[:, :, game], steps[:, game])
        pick = int(np.flatnonzero(short <= error)[0])
        recommended[pick, game] = True
        for order in range(orders):
            reasons[order][game] = (
                reasons[order - 1][game]
                if same[order, game] and same[order - 1, game]
                else f"the same chain as order {order}: in these journeys a longer memory tells no two steps apart"
                if same[order, game]
                else _reason(order, pick, best, short, error)
            )
        criteria = {name.upper(): int(np.argmin(numbers[name][:, game])) for name in ("aic", "bic")}
        if any(choice != pick for choice in criteria.values()):
            chosen = ", ".join(f"{name} would choose {choice + 1}" for name, choice in criteria.items())
            reasons[pick][game] += f"; {chosen}"
    empty = np.broadcast_to(n == 0, (orders, games)).T.ravel()

    def column(values: Floats) -> pl.Series:
        return pl.Series(np.where(empty, np.nan, values.T.ravel())).fill_nan(None)

    return pl.DataFrame({
        **game_columns(tallies.games, np.repeat(np.arange(games), orders), set(OWN)),
        "order": np.tile(np.arange(1, orders + 1), games),
        "contexts": fitted["contexts"].T.ravel().astype(np.int64),
        "parameters": free.T.ravel().astype(np.int64),
        "log_likelihood": column(likelihood),
        **{name: column(values) for name, values in numbers.items()},
        "recommended": recommended.T.ravel(),
        "reason": [reasons[o][g] for g in range(games) for o in range(orders)],
    })  # fmt: skip


def _compare(held: Floats, steps: Floats) -> tuple[int, Floats, Floats]:
    """Best order, and by how much per step each falls short of it, with the standard error over folds.

    held float64 [folds, orders], steps float64 [folds].
    """
    outside = held.sum(axis=0)
    best = int(np.argmax(outside))
    short = (outside[best] - outside) / steps.sum()
    some = steps > 0
    by_fold = (held[some][:, [best]] - held[some]) / steps[some, None]
    folds = len(by_fold)
    error = by_fold.std(axis=0, ddof=1) / np.sqrt(folds) if folds > 1 else np.zeros(len(outside))
    return best, short, error


def _reason(order: int, pick: int, best: int, short: Floats, error: Floats) -> str:
    """Say in plain words why an order is recommended or not."""
    gap = f"{short[order]:.3g} per step, one standard error is {error[order]:.2g}"
    if order == pick == best:
        lower = "" if best == 0 else ", and every lower order is worse by more than one standard error"
        return f"order {best + 1} predicts held-out steps best{lower}"
    if order == pick:
        return (
            f"the lowest order that predicts held-out steps within one standard error of the best, {best + 1} ({gap})"
        )
    if short[order] > error[order]:
        return f"predicts held-out steps worse than order {best + 1} ({gap})"
    return f"order {pick + 1} is simpler and predicts held-out steps within one standard error of the best"
