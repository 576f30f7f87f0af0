"""Shapley values (semantics §6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from attrib.errors import ResourceError, SpecError, brief
from attrib.kernels.codes import SHAPLEY
from attrib.methods.base import Cells, Credits, Draw, Method, cells_of
from attrib.methods.games import NEEDS, Game, games_of
from attrib.methods.rules import add_up
from attrib.needs import Need, RuleSums
from attrib.values import MOST_DRAWS, ORDERS, check_seed, generator, whole_number

if TYPE_CHECKING:
    from attrib.engines.base import Tallies

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
WORTHS = ("conversions", "rate", "markov")
MAX_EXACT = 24  # players: a table of 2^24 coalitions takes 134 MB
SAMPLES = 1_000  # permutations where nobody asked for a number
MAX_CHAIN = 2_000  # players of a sampled chain: a permutation eliminates all of them, n^3 / 3 steps
BLOCK = 1 << 22  # marginals held at a time
REPEATABLE = 1 << 21  # coalitions × players of all games together that a thousand replicates can go through


@dataclass(frozen=True)
class Shapley(Method):
    """Shapley value: what a player adds to a coalition, averaged over all orders in which players may join.

    Parameters
    ----------
    worth : {"conversions", "rate", "markov"}
        What a coalition S is worth. ``conversions``: those of journeys within S; closed form: each conversion is
        shared equally among the distinct players of its journey. ``rate``: conversions per journey among the journeys
        within S, and ``markov``: the probability of conversion in the order-1 chain with only S allowed; both scaled
        to the total. Their credit may be negative: a player whose journeys convert worse than those without it.
    samples : int, optional
        Sample so many random orders of the players in place of all coalitions; ``conversions_se`` is then the
        Monte-Carlo error. Default: exact up to 24 players in a game, 1,000 samples beyond.
    seed : int
        The same seed samples the same orders.

    Raises
    ------
    SpecError
        ``bad_parameter`` for another worth, or for samples of ``conversions``, which needs none.

    Notes
    -----
    Where solving a thousand replicates would take minutes (samples; more than about 16 players), intervals come from
    the jackknife over 20 groups of buckets; those of samples hold the Monte-Carlo error as well.

    References
    ----------
    Shapley (1953), A value for n-person games. Zhao, Mahboobi & Bagheri (2018), Shapley value methods for attribution
    modeling in online advertising. Castro, Gómez & Tejada (2009), Polynomial calculation of the Shapley value based on
    sampling.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> paths = pl.DataFrame({"path": ["a > b > a", "a", "b"], "total_conversions": [3, 1, 0], "total_null": [1, 3, 0]})
    >>> journeys = attrib.Journeys.from_paths(paths)
    >>> for worth in ("conversions", "rate"):
    ...     table = attrib.Shapley(worth=worth).credit(journeys).filter(kind="player")
    ...     print(table["conversions"].round(6).to_list())
    [2.5, 1.5]
    [3.0, 1.0]
    """

    worth: str = "conversions"
    samples: int | None = None
    seed: int = 0
    _always: ClassVar[tuple[str, ...]] = ("worth",)

    def __post_init__(self) -> None:
        if self.worth not in WORTHS:
            raise SpecError("bad_parameter", f"worth = {brief(self.worth)} is not one of {', '.join(WORTHS)}")
        if self.samples is not None:
            object.__setattr__(self, "samples", whole_number("samples", self.samples, 2, MOST_DRAWS))
            if self._closed:
                raise SpecError(
                    "bad_parameter",
                    f"samples = {self.samples}: worth = 'conversions' is exact for any number of players",
                    hint="leave samples out",
                )
        object.__setattr__(self, "seed", check_seed(self.seed))

    @property
    def _closed(self) -> bool:
        return self.worth == "conversions"

    @property
    def _needs_nulls(self) -> bool:  # type: ignore[override]
        return not self._closed

    def _needs(self) -> tuple[Need, ...]:
        return (RuleSums(SHAPLEY),) if self._closed else (NEEDS[self.worth],)

    def _touch_rule(self) -> RuleSums | None:
        return RuleSums(SHAPLEY) if self._closed else None

    def _samples(self, players: int) -> int:
        """Permutations for a game; 0 for all coalitions."""
        return self.samples or (SAMPLES if players > MAX_EXACT else 0)

    def _remarks(self, tallies: Tallies) -> Iterator[str]:
        players = np.diff(cells_of(tallies).starts)
        if not self._closed and self.samples is None and players.max(initial=0) > MAX_EXACT:
            yield (
                f"{self.label}: games of more than {MAX_EXACT} players are sampled ({SAMPLES:,} orders); "
                "conversions_se is their Monte-Carlo error"
            )

    def _jackknife(self, cells: Cells) -> bool:
        if self._closed:
            return False
        players = np.diff(cells.starts)
        sampled = any(self._samples(n) for n in np.unique(players[players > 0]).tolist())
        return sampled or takes_long(players)

    def _trial(self) -> Shapley:
        return self if self._closed else replace(self, samples=2)

    def _solve(self, tallies: Tallies, cells: Cells, draw: Draw) -> Credits:
        if self._closed:
            return add_up(RuleSums(SHAPLEY), tallies, cells, draw)
        shape = (draw.sums(tallies.get(NEEDS[self.worth]), "value").shape[0], len(cells.game))
        conversions, value = np.zeros(shape), np.zeros(shape)
        errors = np.full((2, *shape), np.nan)
        for number, game in games_of(self.worth, tallies, cells, draw):
            cell = slice(cells.starts[number], cells.starts[number + 1])
            n = cell.stop - cell.start
            permutations = self._permutations(n, number) if self._samples(n) else None
            for r in range(shape[0]):
                values, spread = _values(game, r, n, permutations, tallies.workers)
                scale = game.journeys(r)
                conversions[r, cell], value[r, cell] = values * scale
                if spread is not None:
                    errors[:, r, cell] = np.where(spread > 0, spread * scale, np.nan)  # no error: exact
        return Credits(conversions, value, None, *(None if np.isnan(e).all() else e for e in errors))

    def _permutations(self, players: int, game: int) -> Ints:
        if self.worth == "markov" and players > MAX_CHAIN:
            raise ResourceError(
                "too_many_players",
                f"{self.label}: a game of {players:,} players; at most {MAX_CHAIN:,} can be sampled",
                hint="group rare players, or use worth='rate'",
            )
        orders = np.tile(np.arange(players), (self._samples(players), 1))
        return generator(self.seed, ORDERS, game).permuted(orders, axis=1)


def takes_long(players: Ints) -> bool:
    """Whether a thousand solutions of exact games with so many players each take minutes."""
    return float((2.0 ** np.minimum(players, MAX_EXACT) * players).sum()) > REPEATABLE


def _values(
    game: Game, replicate: int, n: int, permutations: Ints | None, threads: int
) -> tuple[Floats, Floats | None]:
    """Shapley values of conversions and value per journey, float64 [2, n], and their errors where sampled."""
    from attrib.kernels import coalitions

    if permutations is None:
        worths = game.worths(replicate, threads)
        return np.stack([coalitions.shapley_of(v) for v in worths]), None
    samples = len(permutations)
    total, squares = np.zeros((n, 2)), np.zeros((n, 2))
    step = max(1, BLOCK // n)
    for first in range(0, samples, step):
        marginals = game.marginals(replicate, permutations[first : first + step], threads)
        total += marginals.sum(axis=0)
        squares += (marginals**2).sum(axis=0)
    mean = total / samples
    variance = np.maximum(squares / samples - mean**2, 0.0)
    return mean.T, np.sqrt(variance / (samples - 1)).T
