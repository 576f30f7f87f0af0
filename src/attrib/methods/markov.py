"""Markov chains: credit by what removing a player from the fitted chain would lose (semantics §5)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from attrib.errors import ResourceError, SolveError, SpecError
from attrib.kernels.codes import CONVERSION, FIRST_PLAYER, NULL_STATE
from attrib.methods.base import Cells, Credits, Draw, Method, n_games
from attrib.tally import Transitions

if TYPE_CHECKING:
    from attrib.engines.base import Tallies

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
MAX_ORDER = 5
STACK = 1 << 24  # numbers in a stack of replicate matrices: 128 MB
COLUMNS = 1 << 22  # numbers in a block of right-hand sides: 32 MB, of which the solver holds seven
TOLERANCE = 1e-13
TOLERANCE_REPLICATE = 1e-8  # a replicate's own error is some percent
MAX_STEPS = 5_000


@dataclass(frozen=True)
class Markov(Method):
    """Removal effects in the absorbing Markov chain of the journeys, solved exactly.

    A player's effect is the share of conversions that the fitted chain loses when every step into the player leads
    to null instead; conversions are credited in proportion. It describes the fitted chain, not what would happen.

    Parameters
    ----------
    order : int
        How many touches the next step depends on, 1 to 5.

    Raises
    ------
    SpecError
        ``bad_parameter`` for another order.

    References
    ----------
    Anderl, Becker, von Wangenheim & Schumann (2016), Mapping the customer journey.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> paths = pl.DataFrame(
    ...     {
    ...         "path": ["C1 > C2 > C3", "C1", "C2 > C3"],
    ...         "total_conversions": [1, 0, 0],
    ...         "total_null": [0, 1, 1],
    ...     }
    ... )
    >>> table = attrib.Markov(order=1).credit(attrib.Journeys.from_paths(paths)).filter(kind="player")
    >>> table.select("channel", "share", "effect").rows()
    [('C1', 0.2, 0.5), ('C2', 0.4, 1.0), ('C3', 0.4, 1.0)]
    """

    order: int = 1
    _always: ClassVar[tuple[str, ...]] = ("order",)
    _needs_nulls: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if isinstance(self.order, bool) or not isinstance(self.order, int) or not 1 <= self.order <= MAX_ORDER:
            raise SpecError("bad_parameter", f"order = {self.order!r} is not a whole number from 1 to {MAX_ORDER}")

    def _needs(self) -> tuple[Transitions, ...]:
        return (Transitions(self.order),)

    def _solve(self, tallies: Tallies, cells: Cells, draw: Draw) -> Credits:
        tally = tallies.get(Transitions(self.order))
        counts, value = draw.sums(tally, "count"), draw.sums(tally, "value")
        keys = draw.keys(tally)
        shape = (counts.shape[0], len(cells.game))
        conversions_out, value_out, effect_out = (np.zeros(shape) for _ in range(3))
        effect_out[:] = np.nan
        tolerance = TOLERANCE if draw.exact else TOLERANCE_REPLICATE
        bounds = np.searchsorted(keys.games, np.arange(n_games(tallies) + 1))
        contexts, steps, bits = keys.contexts, keys.player(self.order), keys.layout.bits
        for game in range(n_games(tallies)):
            rows = slice(bounds[game], bounds[game + 1])
            cell = slice(cells.starts[game], cells.starts[game + 1])
            if rows.start == rows.stop:
                continue
            chain = Chain.build(self.order, bits, contexts[rows], steps[rows], cells.player[cell])
            losses, totals = chain.losses(counts[:, rows], value[:, rows], tolerance=tolerance)
            share, effect = _normalise(losses[:, :, 0], totals[:, 0])
            conversions_out[:, cell] = totals[:, :1] * np.nan_to_num(share)
            effect_out[:, cell] = effect
            value_share, _ = _normalise(losses[:, :, 1], totals[:, 1])
            # nothing to share out is 0 for everybody; effects that do not sum to a positive number share out nothing
            value_out[:, cell] = np.where(totals[:, 1:] == 0.0, 0.0, totals[:, 1:] * value_share)
        return Credits(conversions_out, value_out, effect_out)


def _normalise(losses: Floats, totals: Floats) -> tuple[Floats, Floats]:
    """Effects (loss over total) and their shares; NaN where the total is 0 or the effects sum to nothing positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = losses / totals[:, None]
        whole = effect.sum(axis=1, keepdims=True)
        share = np.where(whole > 0, effect / whole, np.nan)
    return share, np.where(totals[:, None] > 0, np.clip(effect, 0.0, 1.0), np.nan)


def _check_memory(n: int) -> None:
    """Stop where the matrix of all pairs of players, and what it takes to invert it, exceeds the machine's memory.

    Raises
    ------
    ResourceError
        ``chain_too_large``: the system might otherwise kill the process without a word.
    """
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        memory = 16 << 30
    needed = 4 * 8 * n * n
    if needed > memory:
        raise ResourceError(
            "chain_too_large",
            f"a chain of {n:,} players takes about {needed / 1e9:,.0f} GB to solve, there are {memory / 1e9:,.0f} GB",
            hint="group rare players, or use a rule or Shapley()",
            players=n,
        )


@dataclass(frozen=True, slots=True)
class Chain:
    """The chain of one game: observed steps between states (contexts of up to k players, the first is start).

    Steps in the order of the tally's keys: ``source`` and ``target`` int64 [E] states, target −1 conversion, −2 null;
    ``last`` int64 [S] player (0 … n−1) that a state ends in, −1 for start.
    """

    order: int
    n: int
    source: Ints
    target: Ints
    last: Ints

    @staticmethod
    def build(order: int, bits: int, context: Ints, step: Ints, players: Ints) -> Chain:
        """Number the states of a game; ``players`` are those with a touch in it, sorted."""
        states = np.unique(context)
        source = np.searchsorted(states, context)
        follow = ((context << bits) | step) & ((1 << (order * bits)) - 1)
        target = np.where(step >= FIRST_PLAYER, np.searchsorted(states, follow), 0)
        target = np.where(step == CONVERSION, -1, np.where(step == NULL_STATE, -2, target))
        last = states & ((1 << bits) - 1)
        last = np.where(last >= FIRST_PLAYER, np.searchsorted(players, last - FIRST_PLAYER), -1)
        return Chain(order, len(players), source, target, last)

    def losses(self, counts: Floats, value: Floats, *, tolerance: float) -> tuple[Floats, Floats]:
        """Conversions and value lost without each player.

        counts, value float64 [R, E] -> losses float64 [R, n, 2], totals float64 [R, 2].
        """
        arrives = self.target == -1
        totals = np.stack([counts[:, arrives].sum(axis=1), value[:, arrives].sum(axis=1)], axis=1)
        if self.order == 1:
            return self._closed_form(counts, value), totals
        return self._solved(counts, value, totals, tolerance), totals

    def _closed_form(self, counts: Floats, value: Floats) -> Floats:
        from attrib.kernels import markov

        replicates, n = counts.shape[0], self.n
        _check_memory(n)
        inner = (self.source > 0) & (self.target > 0)
        arrives, leaves = self.target == -1, self.target < 0
        out = np.empty((replicates, n, 2))
        for low in range(0, replicates, max(1, STACK // (n * n + 1))):
            some = slice(low, low + max(1, STACK // (n * n + 1)))
            r = counts[some].shape[0]
            steps = np.zeros((r, n, n))
            steps[:, self.last[self.source[inner]], self.last[self.target[inner]]] = counts[some][:, inner]
            leaving, rewards = np.zeros((r, n)), np.zeros((r, n, 2))
            for e in np.flatnonzero(leaves):
                leaving[:, self.last[self.source[e]]] += counts[some][:, e]
            rewards[:, self.last[self.source[arrives]], 0] = counts[some][:, arrives]
            rewards[:, self.last[self.source[arrives]], 1] = value[some][:, arrives]
            out[some] = markov.closed_form(steps, leaving, rewards)
        return out

    def _solved(self, counts: Floats, value: Floats, totals: Floats, tolerance: float) -> Floats:
        """Solve for the visits without each player, a block of players at a time."""
        out = np.empty((counts.shape[0], self.n, 2))
        width = max(1, min(self.n, COLUMNS // len(self.last)))
        for first in range(0, self.n, width):
            players = np.arange(first, min(first + width, self.n))
            guess: Floats | None = None
            for r in range(counts.shape[0]):
                kept, guess = self._kept_without(players, counts[r], value[r], tolerance, guess)
                out[r, players] = totals[r] - kept
        # what the iteration leaves of nothing is nothing: no player earns, or costs, less than its accuracy
        scale = np.stack([totals[:, 0], np.abs(value).sum(axis=1)], axis=1)[:, None, :]
        out[np.abs(out) <= 10 * tolerance * scale] = 0.0
        return out

    def _kept_without(
        self, players: Ints, counts: Floats, value: Floats, tolerance: float, guess: Floats | None
    ) -> tuple[Floats, Floats]:
        """Conversions and value that arrive without each of ``players``, and the visits (a guess for the next)."""
        from attrib.kernels import markov

        states = len(self.last)
        repeats = self.source == self.target
        leaving = np.bincount(self.source[~repeats], counts[~repeats], states)
        with np.errstate(divide="ignore", invalid="ignore"):
            # steps that stay are left out: they change neither where a journey goes nor whether it ends
            rate = np.where(leaving[self.source] > 0, counts / leaving[self.source], 0.0)
            worth = np.where(leaving[self.source] > 0, value / leaving[self.source], 0.0)
        moves = np.flatnonzero((self.target >= 0) & ~repeats & (self.source > 0))
        starts = np.flatnonzero((self.target >= 0) & (self.source == 0))
        start = np.bincount(self.target[starts], rate[starts], states).astype(np.float64)
        row_start = np.searchsorted(self.source[moves], np.arange(states + 1))
        if guess is None:
            guess = np.repeat(start[:, None], len(players), axis=1)
        residual = markov.removed_visits(
            start, row_start, self.target[moves], rate[moves], self.last, int(players[0]), tolerance, MAX_STEPS, guess
        )
        if not residual <= 10 * tolerance:
            guess = self._factorised(players, start, moves, rate)
        arrives = np.flatnonzero(self.target == -1)
        journeys = counts[self.source == 0].sum()
        visits = guess[self.source[arrives]]
        kept = np.stack([rate[arrives] @ visits, worth[arrives] @ visits], axis=1) * journeys
        return kept, guess

    def _factorised(self, players: Ints, start: Floats, moves: Ints, rate: Floats) -> Floats:
        """The same visits by a sparse factorisation a player, for chains on which the iteration stalls."""
        from scipy.sparse import csc_array, eye_array
        from scipy.sparse.linalg import splu

        states = len(self.last)
        out = np.empty((states, len(players)))
        for column, player in enumerate(players):
            keep = self.last[self.target[moves]] != player
            steps = csc_array(
                (rate[moves][keep], (self.target[moves][keep], self.source[moves][keep])), shape=(states, states)
            )
            out[:, column] = splu((eye_array(states) - steps).tocsc()).solve(np.where(self.last == player, 0.0, start))
        if not np.isfinite(out).all():
            raise SolveError("no_solution", f"the chain of order {self.order} is singular", hint="use a lower order")
        return out
