"""The probabilistic model of Shao & Li (2011), second order (semantics §6a)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from attrib.errors import ResourceError
from attrib.methods.base import Cells, Credits, Draw, Method
from attrib.methods.games import RateGame, games_of
from attrib.needs import PLAYER_SET, Need, Patterns

if TYPE_CHECKING:
    from attrib.engines.base import Tallies

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
MAX_PAIRS = 1 << 27  # pairs of players, set by set: 1 GB
ROUNDING = 1e-12  # of a sum of contributions, relative to their sizes


@dataclass(frozen=True)
class ShaoLi(Method):
    """Contribution of a player to each conversion: how often journeys with it convert, alone and with the others there.

    On a converting journey with the distinct players S, player i contributes
    p(i) + 1 / (2 (|S| − 1)) Σ_j [p(i, j) − p(i) − p(j)], the sum over the other players j of S; p(i) is the rate at
    which journeys with i convert, p(i, j) that of journeys with both. Contributions are summed over all conversions and
    scaled to their number. They may be negative, and are never clipped.

    Notes
    -----
    The value is shared out by contributions weighted by the value of each journey; where these do not sum to a positive
    number (refunds), it is shared as the conversions are. A conversion with many players counts for more than one
    with few before the scaling, as in the paper: contributions of a journey sum to |S| / 2 times the mean p(i, j).

    References
    ----------
    Shao & Li (2011), Data-driven multi-touch attribution models.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> paths = pl.DataFrame({"path": ["a > b", "a", "b"], "total_conversions": [2, 1, 1], "total_null": [2, 3, 1]})
    >>> table = attrib.ShaoLi().credit(attrib.Journeys.from_paths(paths)).filter(kind="player")
    >>> table["conversions"].round(6).to_list()
    [1.6, 2.4]
    """

    _needs_nulls: ClassVar[bool] = True

    def _needs(self) -> tuple[Need, ...]:
        return (Patterns(PLAYER_SET),)

    def _solve(self, tallies: Tallies, cells: Cells, draw: Draw) -> Credits:
        conversions: Floats | None = None
        value: Floats | None = None
        for number, game in games_of("rate", tallies, cells, draw):
            assert isinstance(game, RateGame)
            if conversions is None or value is None:
                shape = (len(game.conversions), len(cells.game))
                conversions, value = np.zeros(shape), np.zeros(shape)
            cell = slice(cells.starts[number], cells.starts[number + 1])
            parts = _contributions(game)
            conversions[:, cell] = _scaled(parts[:, :, 0], game.conversions.sum(axis=1))
            of_value = _scaled(parts[:, :, 1], game.value.sum(axis=1))
            none = np.isnan(of_value).any(axis=1)
            of_value[none] = _scaled(parts[none, :, 0], game.value[none].sum(axis=1))
            value[:, cell] = of_value
        if conversions is None or value is None:  # no game has a journey
            conversions = value = np.zeros((len(draw.weights_of(len(tallies.units))), len(cells.game)))
        return Credits(conversions, value)


def _contributions(game: RateGame) -> Floats:
    """Contributions to conversions and value, [R, n, 2]."""
    from attrib.kernels import shao_li

    pair_offsets, pairs, n_pairs = _pairs(game)
    out = np.zeros((len(game.conversions), game.n, 2))
    shao_li.contributions(
        game.offsets,
        game.players,
        pair_offsets,
        pairs,
        game.n,
        n_pairs,
        game.conversions,
        game.counted,
        game.value,
        out,
    )
    return out


def _pairs(game: RateGame) -> tuple[Ints, Ints, int]:
    """Pairs of players of every set: where those of a set begin, the number of each pair, and how many there are."""
    lengths = np.diff(game.offsets)
    counts = lengths * (lengths - 1) // 2
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    if offsets[-1] > MAX_PAIRS:
        raise ResourceError(
            "too_many_pairs",
            f"shao_li: {offsets[-1]:,} pairs of players in the sets of a game, {MAX_PAIRS:,} are allowed",
            hint="group rare players",
        )
    keys = np.empty(offsets[-1], np.int64)
    for m in np.unique(lengths).tolist():
        if m > 1:
            sets = np.flatnonzero(lengths == m)
            one, other = np.triu_indices(m, 1)
            members = game.players[game.offsets[sets][:, None] + np.arange(m)]
            a, b = members[:, one], members[:, other]
            place = offsets[sets][:, None] + np.arange(len(one))
            keys[place] = np.minimum(a, b) * game.n + np.maximum(a, b)
    distinct, pairs = np.unique(keys, return_inverse=True)
    return offsets, pairs.astype(np.int64), len(distinct)


def _scaled(parts: Floats, totals: Floats) -> Floats:
    """Parts [R, n] as they are to their sum, times the totals [R]; NaN where they do not sum to a positive number."""
    whole, size = parts.sum(axis=1, keepdims=True), np.abs(parts).sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(whole > ROUNDING * size, parts / whole, np.nan)
    return np.where(totals[:, None] == 0, 0.0, shares * totals[:, None])
