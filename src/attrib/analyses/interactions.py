"""attrib.interactions: which players help each other, and which replace each other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import SolveError, SpecError
from attrib.intervals import Replicates, Resampling, check_interval, check_size
from attrib.methods.base import Cells, Draw, Observed, cells_of, check_journeys, replace_sums, warn_without_nulls
from attrib.methods.games import NEEDS, RateGame, games_of
from attrib.methods.shapley import MAX_EXACT, REPEATABLE, WORTHS
from attrib.schemas import CONVERSIONS, VALUE
from attrib.views.frames import view_frame

if TYPE_CHECKING:
    from attrib.engines.base import Tallies
    from attrib.journeys import Journeys

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def interactions(
    journeys: Journeys,
    *,
    worth: str = "rate",
    intervals: float | None = 0.95,
    replicates: int = 1000,
    seed: int = 0,
) -> pl.DataFrame:
    """Shapley interaction index of every pair of players.

    Positive: together the two bring more than each adds alone (they help each other). Negative: one does the work of
    the other (they replace each other). It describes observed journeys, not what would happen.

    Parameters
    ----------
    journeys : Journeys
        From :meth:`attrib.Journeys.from_events` or :meth:`attrib.Journeys.from_paths`.
    worth : {"rate", "markov", "conversions"}
        What a coalition is worth, see :class:`attrib.Shapley`. With ``conversions`` no index can be negative: a
        journey is worth something to all of its players together, so that they only ever complete each other.
    intervals : float or None
        Level of intervals, or None for none.
    replicates, seed : int
        Draws of the bootstrap. Above about 16 players intervals come from the jackknife over 20 groups of buckets.

    Returns
    -------
    polars.DataFrame
        The ``by`` columns, ``stage``, the player's columns with the ending ``_a`` and with ``_b``, ``conversions`` and
        ``value`` (the index in the scale of the credit table), with intervals ``conversions_low`` … ``value_high``.
        One row a pair of players in a game, the first before the second in order.

    Raises
    ------
    SolveError
        ``too_many_players`` for a game of more than 24 (any number with ``conversions``).
    ResourceError
        ``too_many_rows`` where the replicates of all pairs do not fit into memory.

    References
    ----------
    Grabisch & Roubens (1999), An axiomatic approach to the concept of interaction among players in cooperative games.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> paths = pl.DataFrame(
    ...     {"path": ["ad", "mail", "ad > mail"], "total_conversions": [1, 1, 8], "total_null": [9, 9, 2]}
    ... )
    >>> pairs = attrib.interactions(attrib.Journeys.from_paths(paths), intervals=None)
    >>> pairs.select("channel_a", "channel_b", pl.col("conversions").round(6)).rows()
    [('ad', 'mail', 4.0)]
    """
    check_journeys(journeys)
    check_interval(intervals, replicates, seed)
    if worth not in WORTHS:
        raise SpecError("bad_parameter", f"worth = {worth!r} is not one of {', '.join(WORTHS)}")
    need = NEEDS["rate" if worth == "conversions" else worth]
    tallies = journeys.tallies((need,), units=intervals is not None)
    cells = cells_of(tallies)
    players = np.diff(cells.starts)
    if worth != "conversions" and players.max(initial=0) > MAX_EXACT:
        raise SolveError(
            "too_many_players",
            f"interactions of {int(players.max())} players: at most {MAX_EXACT} in a game",
            hint="group rare players, or use worth='conversions'",
        )
    if worth != "conversions":
        warn_without_nulls("interactions", tallies)
    game, first, second = _pairs(cells)
    summed = replace_sums(tallies)
    found = _solve(worth, summed, cells, Observed())
    numbers = {CONVERSIONS: found[0][0], VALUE: found[1][0]}
    if intervals is not None:
        resampling = Resampling(intervals, replicates, seed, journeys.engine.workers, journeys.engine.progress)
        alone = replace(tallies, workers=1)  # replicates run side by side

        def solve(draw: Replicates) -> list[Floats]:
            return _solve(worth, alone, cells, draw)

        check_size(2 * len(game) * replicates, "ask for fewer replicates, group rare players, or use intervals=None")
        slow = worth != "conversions" and float((2.0**players * players).sum()) > REPEATABLE
        bounds = (
            resampling.jackknife(tallies, solve)
            if slow
            else [resampling.percentiles(drawn) for drawn in resampling.draws(tallies, solve)]
        )
        for name, (low, high) in zip((CONVERSIONS, VALUE), bounds, strict=True):
            numbers |= {f"{name}_low": low, f"{name}_high": high}
    return view_frame(tallies, game, numbers, {"_a": cells.player[first], "_b": cells.player[second]})


def _pairs(cells: Cells) -> tuple[Ints, Ints, Ints]:
    """Game of every pair and the cells of both, in the order of the cells."""
    parts = [np.zeros((3, 0), np.int64)]
    for game, start in enumerate(cells.starts[:-1]):
        first, second = np.triu_indices(int(cells.starts[game + 1] - start), 1)
        parts.append(np.stack([np.full(len(first), game), first + start, second + start]))
    pairs = np.concatenate(parts, axis=1)
    return pairs[0], pairs[1], pairs[2]


def _solve(worth: str, tallies: Tallies, cells: Cells, draw: Draw) -> list[Floats]:
    """Index of every pair in conversions and in value, each [R, pairs]."""
    from attrib.kernels import coalitions

    base = "rate" if worth == "conversions" else worth
    replicates = draw.sums(tallies.get(NEEDS[base]), "value").shape[0]
    sizes = np.diff(cells.starts)
    ends = np.concatenate([[0], np.cumsum(sizes * (sizes - 1) // 2)])
    out = [np.zeros((replicates, ends[-1])) for _ in range(2)]
    for number, game in games_of(base, tallies, cells, draw):
        place = slice(ends[number], ends[number + 1])
        upper = np.triu_indices(game.n, 1)
        for r in range(replicates):
            if worth == "conversions":
                assert isinstance(game, RateGame)
                indices = [
                    coalitions.unanimity_interactions(game.offsets, game.players, payoff[r], game.n)
                    for payoff in (game.conversions, game.value)
                ]
            else:
                scale = game.journeys(r)
                indices = [coalitions.interactions_of(v) * scale for v in game.worths(r, tallies.workers)]
            for numbers, index in zip(out, indices, strict=True):
                numbers[r, place] = index[upper]
    return out
