"""The chain that is fitted to the journeys of a game, and what it loses without some of its steps (semantics §5)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from attrib.errors import ResourceError, SolveError
from attrib.kernels.codes import CONVERSION, FIRST_PLAYER, NULL_STATE
from attrib.methods.base import Cells, Draw
from attrib.needs import Transitions
from attrib.values import check_choice, whole_number

if TYPE_CHECKING:
    from attrib.engines.base import Tallies

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
MAX_ORDER = 5
REMOVALS = ("null", "renormalise")
STACK = 1 << 24  # numbers in a stack of replicate matrices: 128 MB
LEAST = 8  # right-hand sides of a block: one cache line of a state serves all of them
COLUMNS = 1 << 20  # numbers in a block of right-hand sides: 8 MB, of which the solver holds seven
TOLERANCE = 1e-13
TOLERANCE_REPLICATE = 1e-6  # of all conversions: a hundredth of a standard error even with millions of them
MAX_STEPS = 5_000
NO_PLAYER = -1  # what start ends in
TO_CONVERSION, TO_NULL = -1, -2


def check_chain(order: int, removal: str) -> int:
    """Check what a user asks of a chain; returns the order.

    Raises
    ------
    SpecError
        ``bad_parameter`` for an order outside 1 to 5, or a removal that is not known.
    """
    check_choice("removal", removal, REMOVALS, key="bad_parameter")
    return whole_number("order", order, 1, MAX_ORDER)


def tolerance_of(draw: Draw) -> float:
    """Accuracy that a solution is worth: the data's own sums, or those of a replicate."""
    return TOLERANCE if draw.exact else TOLERANCE_REPLICATE


def chains(order: int, tallies: Tallies, cells: Cells, draw: Draw) -> Iterator[tuple[int, Chain, slice]]:
    """Chains of the games that have one, and where their steps stand among the keys of the tally."""
    keys = draw.keys(tallies.get(Transitions(order)))
    bounds = np.searchsorted(keys.games, np.arange(tallies.n_games + 1))
    contexts, steps, bits = keys.contexts, keys.player(order), keys.layout.bits
    for game in range(tallies.n_games):
        rows = slice(bounds[game], bounds[game + 1])
        if rows.start < rows.stop:
            players = cells.player[cells.starts[game] : cells.starts[game + 1]]
            yield game, Chain.build(order, bits, contexts[rows], steps[rows], players), rows


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
    ``step`` int64 [E] the player stepped to (its row in the players frame), −1 or −2 likewise. ``players`` int64 [n]
    rows of the game's players, sorted; ``states`` int64 [S] packed contexts; ``last`` int64 [S] place among
    ``players`` of the one that a state ends in, −1 for start.
    """

    order: int
    bits: int
    players: Ints
    states: Ints
    source: Ints
    target: Ints
    step: Ints
    last: Ints

    @staticmethod
    def build(order: int, bits: int, context: Ints, step: Ints, players: Ints) -> Chain:
        """Number the states of a game, whose contexts are sorted; ``players`` have a touch in it, sorted too."""
        first = np.ones(len(context), np.bool_)
        first[1:] = context[1:] != context[:-1]
        states, source = context[first], np.cumsum(first) - 1
        follow = ((context << bits) | step) & ((1 << (order * bits)) - 1)
        target = np.where(step >= FIRST_PLAYER, np.searchsorted(states, follow), 0)
        target = np.where(step == CONVERSION, TO_CONVERSION, np.where(step == NULL_STATE, TO_NULL, target))
        last = states & ((1 << bits) - 1)
        last = np.where(last >= FIRST_PLAYER, np.searchsorted(players, last - FIRST_PLAYER), NO_PLAYER)
        return Chain(
            order, bits, players, states, source, target, np.where(target < 0, target, step - FIRST_PLAYER), last
        )

    @property
    def n(self) -> int:
        """Number of players."""
        return len(self.players)

    def completing(self, sequence: Sequence[Ints]) -> Mask:
        """Steps that complete a sequence of players (at each place one of several), at most order + 1 long; [E]."""
        found = np.isin(self.step, sequence[-1])
        for back, players in enumerate(reversed(sequence[:-1])):
            code = (self.states >> (back * self.bits)) & ((1 << self.bits) - 1)
            found &= np.isin(code - FIRST_PLAYER, players)[self.source]
        return found

    def totals(self, counts: Floats, value: Floats) -> Floats:
        """Conversions and value of the game, [R, 2]."""
        arrives = self.target == TO_CONVERSION
        return np.stack([counts[:, arrives].sum(axis=1), value[:, arrives].sum(axis=1)], axis=1)

    def losses(
        self, counts: Floats, value: Floats, removal: str, tolerance: float, threads: int = 1
    ) -> tuple[Floats, Floats]:
        """Conversions and value lost without each player.

        counts, value float64 [R, E] -> losses float64 [R, n, 2], totals float64 [R, 2]. ``threads`` solve blocks of
        players side by side.
        """
        totals = self.totals(counts, value)
        if self.order == 1 and removal == "null":
            return self._closed_form(counts, value), totals
        steps = _Remaining(self, np.zeros(len(self.step), np.bool_), removal)
        out = np.empty((counts.shape[0], self.n, 2))
        # the width of a block must not depend on the threads: columns of a block start anew together
        width = min(self.n, max(LEAST, COLUMNS // len(self.states)))
        blocks = [slice(first, min(first + width, self.n)) for first in range(0, self.n, width)]

        def solve(some: slice) -> None:
            out[:, some] = steps.kept(counts, value, tolerance, self.last, some)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(solve, blocks))
        return _lost(out, totals[:, None, :], value, tolerance), totals

    def loss(self, gone: Mask, counts: Floats, value: Floats, removal: str, tolerance: float) -> Floats:
        """Conversions and value lost without some steps, [R, 2]."""
        totals = self.totals(counts, value)
        if not gone.any():
            return np.zeros_like(totals)
        nobody = np.full(len(self.states), NO_PLAYER)
        kept = _Remaining(self, gone, removal).kept(counts, value, tolerance, nobody, slice(0, 1))
        return _lost(kept, totals[:, None, :], value, tolerance)[:, 0]

    def _closed_form(self, counts: Floats, value: Floats) -> Floats:
        from attrib.kernels import markov

        replicates, n = counts.shape[0], self.n
        _check_memory(n)
        inner = (self.source > 0) & (self.target > 0)
        arrives, leaves = self.target == TO_CONVERSION, self.target == TO_NULL
        converts, fails = self.last[self.source[arrives]], self.last[self.source[leaves]]
        out = np.empty((replicates, n, 2))
        for low in range(0, replicates, max(1, STACK // (n * n + 1))):
            some = slice(low, low + max(1, STACK // (n * n + 1)))
            r = counts[some].shape[0]
            steps = np.zeros((r, n, n))
            steps[:, self.last[self.source[inner]], self.last[self.target[inner]]] = counts[some][:, inner]
            leaving, rewards = np.zeros((r, n)), np.zeros((r, n, 2))
            rewards[:, converts, 0] = counts[some][:, arrives]
            rewards[:, converts, 1] = value[some][:, arrives]
            leaving[:, fails] = counts[some][:, leaves]  # a player has one step to null, and one to conversion
            leaving += rewards[:, :, 0]
            out[some] = markov.closed_form(steps, leaving, rewards)
        return out


def _lost(kept: Floats, totals: Floats, value: Floats, tolerance: float) -> Floats:
    """Totals less what is kept, [R, m, 2]."""
    out: Floats = totals - kept
    # what the iteration leaves of nothing is nothing: no player earns, or costs, less than its accuracy
    scale = np.stack([totals[:, 0, 0], np.abs(value).sum(axis=1)], axis=1)[:, None, :]
    out[np.abs(out) <= 10 * tolerance * scale] = 0.0
    return out


class _Remaining:
    """Steps of a chain without those that are gone, laid out for the solver once for all replicates.

    Gone steps lead to null (``removal="null"``), or the others of their state share what they had.
    """

    def __init__(self, chain: Chain, gone: Mask, removal: str) -> None:
        self.chain = chain
        self.renormalise = removal == "renormalise"
        repeats = (chain.source == chain.target) & ~gone
        # steps that stay are left out: they change neither where a journey goes nor whether it ends
        self.counted = np.flatnonzero(~(repeats | gone) if self.renormalise else ~repeats)
        self.moves = np.flatnonzero((chain.target >= 0) & ~repeats & ~gone)
        self.source, self.target = chain.source[self.moves], chain.target[self.moves]
        self.arrives, self.ends = np.flatnonzero(chain.target == TO_CONVERSION), np.flatnonzero(chain.target < 0)
        states = np.arange(len(chain.states) + 1)
        self.row_start = np.searchsorted(self.source, states)
        self.inner = self.row_start.copy()
        self.inner[0] = self.inner[1]  # the first steps, out of start, are no part of the matrix
        self.back = np.argsort(self.target, kind="stable")
        self.back_start = np.searchsorted(self.target[self.back], states)

    def kept(self, counts: Floats, value: Floats, tolerance: float, last: Ints, some: slice) -> Floats:
        """Conversions and value that arrive, also without each of the players ``some``; [R, m, 2].

        ``last`` int64 [S] is the player that a state ends in, of those to remove.
        """
        out = np.empty((counts.shape[0], some.stop - some.start, 2))
        visits: Floats | None = None  # of one replicate, a good guess for the next
        for r in range(counts.shape[0]):
            out[r], visits = self._kept(counts[r], value[r], tolerance, last, some, visits)
        return out

    def _kept(
        self, counts: Floats, value: Floats, tolerance: float, last: Ints, some: slice, visits: Floats | None
    ) -> tuple[Floats, Floats]:
        from attrib.kernels import markov

        chain, states, m = self.chain, len(self.chain.states), some.stop - some.start
        leaving = np.bincount(chain.source[self.counted], counts[self.counted], states)[chain.source]
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = np.where(leaving > 0, counts / leaving, 0.0)
            worth = np.where(leaving > 0, value / leaving, 0.0)
        rates = rate[self.moves]
        scale = np.empty((states, m) if self.renormalise else (0, 0))
        if self.renormalise:
            exits = np.bincount(chain.source[self.ends], rate[self.ends], states)
            markov.rescale(
                self.row_start, self.target, rates, self.source, self.back_start, self.back, exits, last, some.start,
                scale,
            )  # fmt: skip
        first = slice(self.row_start[0], self.row_start[1])
        start = np.bincount(self.target[first], rates[first], states).astype(np.float64)
        if visits is None:
            visits = np.repeat(start[:, None], m, axis=1)
        residual = markov.removed_visits(
            start, self.inner, self.target, rates, last, some.start, scale, tolerance, MAX_STEPS, visits
        )
        if not residual <= 10 * tolerance:
            visits = self._factorised(start, rates, last, some, scale)
        at = chain.source[self.arrives]
        reached = visits[at] * scale[at] if self.renormalise else visits[at]
        kept = np.stack([rate[self.arrives] @ reached, worth[self.arrives] @ reached], axis=1)
        return kept * counts[chain.source == 0].sum(), visits

    def _factorised(self, start: Floats, rates: Floats, last: Ints, some: slice, scale: Floats) -> Floats:
        """The same visits by a sparse factorisation a column, for chains on which the iteration stalls."""
        from scipy.sparse import csc_array, eye_array
        from scipy.sparse.linalg import splu

        states = len(start)
        out = np.empty((states, some.stop - some.start))
        for column in range(out.shape[1]):
            factor = scale[:, column] if self.renormalise else np.ones(states)
            stays = last != some.start + column
            keep = np.flatnonzero(stays[self.target] & (self.source > 0))
            source, target = self.source[keep], self.target[keep]
            steps = csc_array((rates[keep] * factor[source], (target, source)), shape=(states, states))
            solver = splu((eye_array(states) - steps).tocsc())
            out[:, column] = solver.solve(np.where(stays, start * factor[0], 0.0))
        if not np.isfinite(out).all():
            raise SolveError(
                "no_solution", f"the chain of order {self.chain.order} is singular", hint="use a lower order"
            )
        return out
