"""attrib.interactions: which players help each other, and which replace each other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import SolveError
from attrib.intervals import Replicates, check_size, resampling_of
from attrib.methods.base import Cells, Draw, Observed, cells_of, check_journeys, replace_sums
from attrib.methods.games import NEEDS, Game, RateGame, games_of
from attrib.methods.shapley import MAX_EXACT, WORTHS, takes_long
from attrib.values import check_choice
from attrib.views.frames import view_frame

if TYPE_CHECKING:
    from attrib.engines.base import Tallies
    from attrib.journeys import Journeys

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
NEUTRAL = "neutral"
NUMBERS = ("interaction", NEUTRAL, "surplus", "interaction_value")


def interactions(
    journeys: Journeys,
    *,
    worth: str = "rate",
    intervals: float | None = 0.95,
    replicates: int = 1000,
    seed: int = 0,
) -> pl.DataFrame:
    """Shapley interaction index of every pair of players.

    What two players bring together beyond what each adds alone, averaged over all coalitions of the others. It
    describes observed journeys, not what would happen. Of ``rate`` and ``markov`` 0 is **not** "nothing between them":
    a player nobody met is worth nothing, so that already two players whose journeys all convert at one rate have an
    index of minus that rate times the journeys (``rate``: each alone does what both do), or a positive one (``markov``:
    ways through both exist only with both). ``neutral`` is what the index would be if all journeys of the game
    converted at the same rate; read ``surplus``, the index less that: positive where journeys with both convert better
    than that (they help each other), negative where they convert worse (they replace each other).

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
        The ``by`` columns, ``stage``, the player's columns with the ending ``_a`` and with ``_b``; ``interaction`` (the
        index in conversions, in the scale of the credit table), ``neutral``, ``surplus`` = interaction − neutral, and
        ``interaction_value`` (in value); with intervals ``interaction_low``, ``interaction_high``, and likewise of
        ``surplus`` and ``interaction_value``. One row a pair of players in a game, the first before the second.

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
    >>> pairs.select("channel_a", "channel_b", pl.col("interaction", "neutral", "surplus").round(6)).rows()
    [('ad', 'mail', 4.0, -10.0, 14.0)]
    """
    check_journeys(journeys)
    resampling = resampling_of(journeys.engine, intervals, replicates, seed)
    check_choice("worth", worth, WORTHS, key="bad_parameter")
    need = NEEDS["rate" if worth == "conversions" else worth]
    tallies = journeys.tallies((need,), units=resampling is not None)
    cells = cells_of(tallies)
    players = np.diff(cells.starts)
    if worth != "conversions" and players.max(initial=0) > MAX_EXACT:
        raise SolveError(
            "too_many_players",
            f"interactions of {int(players.max())} players: at most {MAX_EXACT} in a game",
            hint="group rare players, or use worth='conversions'",
        )
    if worth != "conversions":
        tallies.warn_without_nulls("interactions")
    game, first, second = _pairs(cells)
    summed = replace_sums(tallies)
    found = _solve(worth, summed, cells, Observed())
    numbers = dict(zip(NUMBERS, (values[0] for values in found), strict=True))
    if resampling is not None:
        alone = replace(tallies, workers=1)  # replicates run side by side

        def solve(draw: Replicates) -> list[Floats]:
            return _solve(worth, alone, cells, draw)

        check_size(
            len(NUMBERS) * len(game) * replicates, "ask for fewer replicates, group rare players, or use intervals=None"
        )
        bounds = (
            resampling.jackknife(tallies, solve, points=found)
            if worth != "conversions" and takes_long(players)
            else [resampling.percentiles(drawn) for drawn in resampling.draws(tallies, solve)]
        )
        for name, (low, high) in zip(NUMBERS, bounds, strict=True):
            numbers |= {} if name == NEUTRAL else {f"{name}_low": low, f"{name}_high": high}
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
    """Index of every pair, its neutral value, the surplus, and the index in value, each [R, pairs]."""
    base = "rate" if worth == "conversions" else worth
    replicates = draw.sums(tallies.get(NEEDS[base]), "value").shape[0]
    sizes = np.diff(cells.starts)
    ends = np.concatenate([[0], np.cumsum(sizes * (sizes - 1) // 2)])
    index, neutral, value = (np.zeros((replicates, ends[-1])) for _ in range(3))
    for number, game in games_of(base, tallies, cells, draw):
        place, equal = slice(ends[number], ends[number + 1]), game.neutral()
        for r in range(replicates):
            index[r, place], value[r, place] = _indices(worth, game, r, tallies.workers)
            neutral[r, place], _ = _indices(worth, equal, r, tallies.workers)
    return [index, neutral, index - neutral, value]


def _indices(worth: str, game: Game, replicate: int, threads: int) -> tuple[Floats, Floats]:
    """Index of every pair of one game, in conversions and in value."""
    from attrib.kernels import coalitions

    upper, r = np.triu_indices(game.n, 1), replicate
    if worth == "conversions":
        assert isinstance(game, RateGame)
        conversions, value = (
            coalitions.unanimity_interactions(game.offsets, game.players, payoff[r], game.n)
            for payoff in (game.conversions, game.value)
        )
    else:
        scale = game.journeys(r)
        conversions, value = (coalitions.interactions_of(v) * scale for v in game.worths(r, threads))
    return conversions[upper], value[upper]
