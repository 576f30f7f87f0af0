"""Intervals for any method: units are drawn anew, the method is solved again (semantics §7).

Customers' journeys: the 256 buckets are drawn with replacement. Path tables: counts are drawn from Poisson
distributions, which takes journeys as independent. Percentile intervals; their estimand is what the method itself
would say of a very large sample, not a causal effect.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from attrib.errors import SpecError
from attrib.methods.base import Cells, Credits, Method, n_games, totals_by_game
from attrib.schemas import CONVERSIONS, EFFECT, SHARE, VALUE

if TYPE_CHECKING:
    from attrib.engines.base import Tallies, Units
    from attrib.tally import Tally

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bounds = dict[str, tuple[Floats, Floats]]
MIN_REPLICATES = 2
MEMORY = 128 << 20  # bytes of drawn sums, and of replicate credit, held at a time


class UnitIndex:
    """Where the sums of each unit stand, and the key each of them is by; made once a tally."""

    def __init__(self, tally: Tally, units: int) -> None:
        below = tally.keys & ((1 << tally.layout.unit_shift) - 1)
        keys, self.at = np.unique(below, return_inverse=True)
        self.keys = replace(tally, keys=keys, sums=np.zeros((len(keys), tally.sums.shape[1]), np.int64))
        self._tally_units = tally.units
        self._units = np.arange(units + 1)
        self._columns: dict[str, tuple[Floats, Ints, Ints]] = {}

    def column(self, tally: Tally, name: str) -> tuple[Floats, Ints, Ints]:
        """Sums of a column that are not 0, the first of each unit, and their keys (most steps carry no value)."""
        if name not in self._columns:
            values = tally.column(name)
            some = np.flatnonzero(values)
            starts = np.searchsorted(self._tally_units[some], self._units)
            self._columns[name] = (values[some], starts, self.at[some])
        return self._columns[name]


@dataclass(frozen=True, slots=True)
class Replicates:
    """Units drawn anew: ``weights`` float64 [R, units] says how often each counts."""

    weights: Floats
    index: dict[int, UnitIndex]
    exact: ClassVar[bool] = False

    @staticmethod
    def draw(units: Units, seed: int, first: int, n: int, index: dict[int, UnitIndex] | None = None) -> Replicates:
        """Draw the replicates ``first`` to ``first + n - 1``; replicate r depends on (seed, r) only."""
        weights = np.empty((n, len(units)))
        for row in range(n):
            random = np.random.Generator(np.random.Philox(key=[seed, first + row]))
            if units.kind == "buckets":
                weights[row] = np.bincount(random.integers(0, len(units), len(units)), minlength=len(units))
            else:
                weights[row] = random.poisson(units.counts) / np.maximum(units.counts, 1)
        return Replicates(weights, {} if index is None else index)

    def _indexed(self, tally: Tally) -> UnitIndex:
        known = self.index.get(id(tally))
        if known is None:
            known = self.index[id(tally)] = UnitIndex(tally, self.weights.shape[1])
        return known

    def keys(self, tally: Tally) -> Tally:
        """The keys without units."""
        return self._indexed(tally).keys

    def sums(self, tally: Tally, name: str) -> Floats:
        """Drawn sums of a column by key without units, [R, keys]."""
        from attrib.kernels import replicates

        index = self._indexed(tally)
        out = np.empty((self.weights.shape[0], len(index.keys.keys)))
        values, starts, at = index.column(tally, name)
        replicates.weigh(self.weights, starts, at, values, out)
        return out


def bounds_of(
    methods: list[Method],
    tallies: Tallies,
    cells: Cells,
    *,
    level: float,
    replicates: int,
    seed: int,
    threads: int = 1,
    progress: Callable[[str, float, float | None], None] | None = None,
) -> list[Bounds]:
    """Percentile bounds of every number of the credit table.

    Parameters
    ----------
    methods : list of Method
        All of them see the same draws, so that differences between methods carry no extra noise.
    tallies : Tallies
        With the unit axis.
    cells : Cells
        Rows of the table.
    level : float
        Coverage, such as 0.95.
    replicates, seed : int
        How many draws, and which.
    threads : int
        Chunks of replicates run side by side; the result does not depend on it.
    progress : callable, optional
        Called as ``progress("drawing intervals", done, total)``.

    Returns
    -------
    list of dict
        By method: number → (low, high) of the cells, then of each game's unattributed row; NaN for null.
    """
    plan = _Plan(replicates, seed, threads)
    games = n_games(tallies)
    rows = len(cells.game) + games
    tail = (1 - level) / 2
    out: list[Bounds] = [
        {name: (np.full(rows, np.nan), np.full(rows, np.nan)) for name in (CONVERSIONS, VALUE, SHARE, EFFECT)}
        for _ in methods
    ]
    blocks = _blocks(cells, games, max(1, MEMORY // (32 * replicates * len(methods))))
    for done, (first, stop) in enumerate(blocks):
        part, some = _restrict(tallies, cells, first, stop)
        low, high = cells.starts[first], cells.starts[stop]
        place = np.concatenate([np.arange(low, high), len(cells.game) + np.arange(first, stop)])

        def tick(share: float, done: int = done) -> None:
            if progress is not None:
                progress("drawing intervals", done + share, len(blocks))

        for bounds, drawn in zip(out, _solve_all(methods, part, some, slice(first, stop), plan, tick), strict=True):
            for name, values in drawn.items():
                at = place[: values.shape[1]]  # effects have no unattributed row
                bounds[name][0][at], bounds[name][1][at] = _percentiles(values, tail)
    return out


@dataclass(frozen=True, slots=True)
class _Plan:
    replicates: int
    seed: int
    threads: int


def _blocks(cells: Cells, games: int, largest: int) -> list[tuple[int, int]]:
    """Runs of games with about ``largest`` cells together (a game is never cut)."""
    blocks, first = [], 0
    for stop in range(1, games + 1):
        if stop == games or cells.starts[stop + 1] - cells.starts[first] > largest:
            blocks.append((first, stop))
            first = stop
    return blocks


def _restrict(tallies: Tallies, cells: Cells, first: int, stop: int) -> tuple[Tallies, Cells]:
    """Sums and cells of some games; games keep their numbers."""
    if stop - first == n_games(tallies):
        return tallies, cells
    sums = {need: tally.where((tally.games >= first) & (tally.games < stop)) for need, tally in tallies.sums.items()}
    low, high = cells.starts[first], cells.starts[stop]
    some = Cells(cells.game[low:high], cells.player[low:high], np.clip(cells.starts - low, 0, high - low))
    return replace(tallies, sums=sums), some


def _solve_all(
    methods: list[Method], tallies: Tallies, cells: Cells, games: slice, plan: _Plan, tick: Callable[[float], None]
) -> list[dict[str, Floats]]:
    """Replicate credit of every method: number → [R, cells, then games]."""
    rows = len(cells.game) + games.stop - games.start
    out = [
        {
            CONVERSIONS: np.empty((plan.replicates, rows)),
            VALUE: np.empty((plan.replicates, rows)),
            SHARE: np.empty((plan.replicates, rows)),
            EFFECT: np.full((plan.replicates, len(cells.game)), np.nan),
        }
        for _ in methods
    ]
    keys = max(len(tally.keys) for tally in tallies.sums.values())
    # every index is there before threads need it
    index = {id(tally): UnitIndex(tally, len(tallies.units)) for tally in tallies.sums.values()}
    for tally in tallies.sums.values():
        for name in tally.need.columns:
            index[id(tally)].column(tally, name)
    chunk = max(1, min(100, MEMORY // (16 * (keys + len(tallies.units)))))

    def run(first: int) -> None:
        some = slice(first, min(first + chunk, plan.replicates))
        draw = Replicates.draw(tallies.units, plan.seed, first, some.stop - first, index)
        unattributed = totals_by_game(tallies, "unattributed", draw)[:, games]
        unattributed_value = totals_by_game(tallies, "unattributed_value", draw)[:, games]
        whole = totals_by_game(tallies, "conversions", draw)[:, games] + unattributed
        game = np.concatenate([cells.game - games.start, np.arange(games.stop - games.start)])
        for method, numbers in zip(methods, out, strict=True):
            credit: Credits = method._solve(tallies, cells, draw)  # noqa: SLF001 - the protected part of Method
            numbers[CONVERSIONS][some] = np.concatenate([credit.conversions, unattributed], axis=1)
            numbers[VALUE][some] = np.concatenate([credit.value, unattributed_value], axis=1)
            with np.errstate(divide="ignore", invalid="ignore"):
                numbers[SHARE][some] = np.where(whole[:, game] > 0, numbers[CONVERSIONS][some] / whole[:, game], np.nan)
            if credit.effect is not None:
                numbers[EFFECT][some] = credit.effect

    starts = range(0, plan.replicates, chunk)
    with ThreadPoolExecutor(plan.threads) as pool:
        for done, _ in enumerate(pool.map(run, starts), start=1):
            tick(done / len(starts))
    return out


def _percentiles(values: Floats, tail: float) -> tuple[Floats, Floats]:
    """Linear percentiles over the replicates that have the number; NaN where none has.

    One sort for all columns: ``numpy.nanquantile`` goes column by column and takes 40 times as long.
    """
    ordered = np.sort(values, axis=0)  # NaN last
    count = (~np.isnan(ordered)).sum(axis=0)
    columns = np.arange(values.shape[1])

    def at(quantile: float) -> Floats:
        place = quantile * np.maximum(count - 1, 0)
        below = np.floor(place).astype(np.int64)
        low, high = ordered[below, columns], ordered[np.ceil(place).astype(np.int64), columns]
        blended: Floats = low + (high - low) * (place - below)
        return blended

    return at(tail), at(1 - tail)


def check_interval(level: float | None, replicates: int, seed: int) -> None:
    """Check what a user asks of intervals.

    Raises
    ------
    SpecError
        ``bad_interval`` for a level outside (0, 1), fewer than 2 replicates, or a seed below 0.
    """
    if level is None:
        return
    if isinstance(level, bool) or not isinstance(level, (int, float)) or not 0 < level < 1:
        raise SpecError(
            "bad_interval", f"intervals = {level!r} is not a level between 0 and 1", hint="e.g. 0.95, or None"
        )
    if isinstance(replicates, bool) or not isinstance(replicates, int) or replicates < MIN_REPLICATES:
        raise SpecError("bad_interval", f"replicates = {replicates!r} is not a whole number from {MIN_REPLICATES}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise SpecError("bad_interval", f"seed = {seed!r} is not a whole number from 0")
