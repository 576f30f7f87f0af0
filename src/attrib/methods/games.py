"""Games of players: what a coalition is worth, from the sums over journeys (semantics §6).

n = players of a game, R = replicates. Worths are a journey's: conversions, and value, per journey that counts. Times
the number of journeys they become what the credit table shares out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from attrib.kernels.codes import CONVERSION, FIRST_PLAYER, PAD
from attrib.methods.base import Cells, Draw
from attrib.needs import PLAYER_SET, Need, Patterns, Transitions

if TYPE_CHECKING:
    from attrib.engines.base import Tallies
    from attrib.tally import Tally

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Game(Protocol):
    """One game, its ``n`` players numbered from 0 in the order of its cells."""

    @property
    def n(self) -> int:
        """Players."""
        ...

    def worths(self, replicate: int, threads: int) -> tuple[Floats, Floats]:
        """Conversions and value per journey of every coalition, float64 [2^n] each; bit i stands for player i."""
        ...

    def marginals(self, replicate: int, permutations: Ints, threads: int) -> Floats:
        """What each player adds to those before it in each permutation, float64 [P, n, 2]."""
        ...

    def journeys(self, replicate: int) -> float:
        """Journeys that count: conversions and nulls."""
        ...

    def neutral(self) -> Game:
        """The game in which all journeys convert at the rate of all, whoever is on them."""
        ...


@dataclass(frozen=True, slots=True)
class RateGame:
    """A coalition is worth the rate of the journeys whose players all belong to it.

    ``offsets`` int64 [E + 1], ``players`` int64: the distinct sets; conversions, counted, value float64 [R, E].
    """

    n: int
    offsets: Ints
    players: Ints
    conversions: Floats
    counted: Floats
    value: Floats

    def journeys(self, replicate: int) -> float:
        """Journeys that count."""
        return float(self.counted[replicate].sum())

    def neutral(self) -> RateGame:
        """The same journeys, all at one rate."""
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = self.conversions.sum(axis=1) / self.counted.sum(axis=1)
        return replace(self, conversions=np.nan_to_num(rate)[:, None] * self.counted)

    def worths(self, replicate: int, threads: int) -> tuple[Floats, Floats]:  # noqa: ARG002 - memory is the limit
        """Worth of every coalition."""
        from attrib.kernels import games

        masks = np.bitwise_or.reduceat(np.int64(1) << self.players, self.offsets[:-1])
        r = replicate
        return games.rate_worths(masks, self.conversions[r], self.counted[r], self.value[r], self.n)

    def marginals(self, replicate: int, permutations: Ints, threads: int) -> Floats:
        """What each player adds."""
        from attrib.kernels import games

        sums = (self.conversions[replicate], self.counted[replicate], self.value[replicate])
        return games.sample_rate(permutations, self.offsets, self.players, *sums, threads=threads)


@dataclass(frozen=True, slots=True)
class ChainGame:
    """A coalition is worth what arrives at conversion in the order-1 chain when only its players are allowed.

    Steps in the order of the tally's keys: ``source`` and ``target`` int64 [E] players, source −1 is start, target −1
    conversion and −2 null; counts and value float64 [R, E].
    """

    n: int
    source: Ints
    target: Ints
    counts: Floats
    value: Floats

    def journeys(self, replicate: int) -> float:
        """Journeys that count."""
        return float(self.counts[replicate][self.source < 0].sum())

    def neutral(self) -> ChainGame:
        """The same steps, all journeys ending at one rate."""
        ends = self.target < 0
        whole = self.counts[:, ends].sum(axis=1)
        arrived = self.counts[:, self.target == -1].sum(axis=1)
        rate = np.divide(arrived, whole, out=np.zeros_like(whole), where=whole > 0)[:, None]
        last = np.unique(self.source[ends])
        ended = np.zeros((len(self.counts), len(last)))
        np.add.at(ended.T, np.searchsorted(last, self.source[ends]), self.counts[:, ends].T)
        counts = np.concatenate([self.counts[:, ~ends], rate * ended, (1 - rate) * ended], axis=1)
        return ChainGame(
            self.n,
            np.concatenate([self.source[~ends], last, last]),
            np.concatenate([self.target[~ends], np.full(len(last), -1), np.full(len(last), -2)]),
            counts,
            np.zeros_like(counts),
        )

    def _chain(self, replicate: int) -> tuple[Floats, Floats, Floats]:
        """Probabilities of the first player [n] and the next [n, n], rewards [n, 2]; steps that stay are left out."""
        counts, value = self.counts[replicate], self.value[replicate]
        start, steps, rewards = np.zeros(self.n), np.zeros((self.n, self.n)), np.zeros((self.n, 2))
        first, moves = self.source < 0, (self.source >= 0) & (self.target >= 0) & (self.source != self.target)
        start[self.target[first]] = counts[first]
        steps[self.source[moves], self.target[moves]] = counts[moves]
        out = (self.source >= 0) & (self.source != self.target)
        leaving = np.bincount(self.source[out], counts[out], self.n)
        arrives = self.target == -1
        rewards[self.source[arrives], 0] = counts[arrives]
        rewards[self.source[arrives], 1] = value[arrives]
        leaving[leaving == 0.0] = 1.0  # a player that a replicate never met: all of its row is 0
        return start / max(start.sum(), 1.0), steps / leaving[:, None], rewards / leaving[:, None]

    def worths(self, replicate: int, threads: int) -> tuple[Floats, Floats]:
        """Worth of every coalition."""
        from attrib.kernels import games

        table = games.chain_worths(*self._chain(replicate), threads=threads)
        return table[0], table[1]

    def marginals(self, replicate: int, permutations: Ints, threads: int) -> Floats:
        """What each player adds."""
        from attrib.kernels import games

        return games.sample_chain(permutations, *self._chain(replicate), threads=threads)


NEEDS: dict[str, Need] = {"rate": Patterns(PLAYER_SET), "markov": Transitions(1)}


def games_of(worth: str, tallies: Tallies, cells: Cells, draw: Draw) -> Iterator[tuple[int, Game]]:
    """Each game that has journeys, with its number."""
    tally = tallies.get(NEEDS[worth])
    keys = draw.keys(tally)
    columns = ("conversions", "nulls", "value") if worth == "rate" else ("count", "value")
    sums = [draw.sums(tally, name) for name in columns]
    bounds = np.searchsorted(keys.games, np.arange(tallies.n_games + 1))
    for number in range(tallies.n_games):
        rows = slice(bounds[number], bounds[number + 1])
        if rows.start == rows.stop:
            continue
        players = cells.player[cells.starts[number] : cells.starts[number + 1]]
        some = [column[:, rows] for column in sums]
        yield number, (_rate_game if worth == "rate" else _chain_game)(keys, rows, players, some)


def _rate_game(keys: Tally, rows: slice, players: Ints, sums: list[Floats]) -> RateGame:
    from attrib.kernels import patterns

    assert keys.lists is not None
    offsets, codes = patterns.take_lists(keys.lists.offsets, keys.lists.players, keys.tails[rows])
    conversions, nulls, value = sums
    ranks = np.searchsorted(players, codes.astype(np.int64) - FIRST_PLAYER)
    return RateGame(len(players), offsets, ranks, conversions, conversions + nulls, value)


def _chain_game(keys: Tally, rows: slice, players: Ints, sums: list[Floats]) -> ChainGame:
    before, after = keys.player(0)[rows], keys.player(1)[rows]
    source = np.where(before == PAD, -1, np.searchsorted(players, before - FIRST_PLAYER))
    absorbed = np.where(after == CONVERSION, -1, -2)
    target = np.where(after >= FIRST_PLAYER, np.searchsorted(players, after - FIRST_PLAYER), absorbed)
    return ChainGame(len(players), source, target, *sums)
