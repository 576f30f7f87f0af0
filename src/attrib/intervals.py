"""Intervals for any number that is computed from tallies: units are drawn anew, it is computed again (semantics §7).

Customers' journeys: the 256 buckets are drawn with replacement. Path tables: counts are drawn from Poisson
distributions, which takes journeys as independent. Percentile intervals; their estimand is what the method itself
would say of a very large sample, not a causal effect. Where one solution takes too long to repeat it a thousand
times, each of 20 groups of units is left out once (delete-a-group jackknife).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from attrib.engines.base import BUCKETS
from attrib.errors import ResourceError, SpecError, brief
from attrib.methods.base import Cells, Credits, Draw, Method, totals_by_game
from attrib.quantiles import expanded, percentiles
from attrib.schemas import CONVERSIONS, EFFECT, SHARE, VALUE
from attrib.values import DEALT, MOST_DRAWS, REPLICATES, check_seed, generator, whole_number

if TYPE_CHECKING:
    from attrib.engines.base import Engine, Progress, Tallies, Units
    from attrib.tally import Tally

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Small = npt.NDArray[np.int32]
Bounds = dict[str, tuple[Floats, Floats]]
MIN_REPLICATES = 2
FEW_UNITS = 4096  # drawn weights of so many units, eight replicates at a time, fit into the cache
GROUPS = 20  # of units, for the jackknife
MEMORY = 128 << 20  # bytes of drawn sums, and of replicate credit, held at a time
LARGEST = 1 << 26  # replicate numbers of one answer: 2 GB


class UnitIndex:
    """Where the sums of each unit stand, and the key each of them is by; made once a tally."""

    def __init__(self, tally: Tally, units: int) -> None:
        below = tally.keys & ((1 << tally.layout.unit_shift) - 1)
        keys, at = np.unique(below, return_inverse=True)
        self.keys = replace(tally, keys=keys, sums=np.zeros((len(keys), tally.sums.shape[1]), np.int64))
        self._at, self._unit = at.astype(np.int32), tally.units.astype(np.int32)
        self._units = units
        self._columns: dict[str, tuple[Ints, Small, Floats]] = {}

    @property
    def by_key(self) -> bool:
        """Whether the sums of a column stand in the order of their keys, then units; else the other way round."""
        return self._units <= FEW_UNITS

    def column(self, tally: Tally, name: str) -> tuple[Ints, Small, Floats]:
        """Sums of a column that are not 0 (most steps carry no value): where those of each key start, units, sums.

        Or, of many units, where those of each unit start, keys, sums.
        """
        if name not in self._columns:
            values = tally.column(name)
            some = np.flatnonzero(values)
            if self.by_key:
                some = some[np.argsort(self._at[some], kind="stable")]
                starts = np.searchsorted(self._at[some], np.arange(len(self.keys.keys) + 1))
                self._columns[name] = (starts, self._unit[some], values[some])
            else:
                starts = np.searchsorted(self._unit[some], np.arange(self._units + 1))
                self._columns[name] = (starts, self._at[some], values[some])
        return self._columns[name]


@dataclass(frozen=True, slots=True)
class Replicates:
    """Units drawn anew: ``weights`` float64 [R, units] says how often each counts."""

    weights: Floats
    index: dict[int, UnitIndex]
    exact: ClassVar[bool] = False

    @staticmethod
    def draw(
        units: Units,
        seed: int,
        first: int,
        n: int,
        index: dict[int, UnitIndex] | None = None,
        purpose: int = REPLICATES,
    ) -> Replicates:
        """Draw the replicates ``first`` to ``first + n - 1``; replicate r depends on (seed, r) only."""
        weights = np.empty((n, len(units)))
        for row in range(n):
            random = generator(seed, purpose, first + row)
            if units.kind == "buckets":
                weights[row] = np.bincount(random.integers(0, len(units), len(units)), minlength=len(units))
            else:
                weights[row] = random.poisson(units.counts) / np.maximum(units.counts, 1)
        return Replicates(weights, {} if index is None else index)

    @staticmethod
    def leave_out(units: Units, seed: int) -> Replicates:
        """Leave out each of 20 groups of units once; what is left is scaled up to the whole."""
        if units.kind == "buckets":
            kept = (np.arange(len(units)) % GROUPS != np.arange(GROUPS)[:, None]).astype(np.float64)
            # 256 buckets make groups of 12 and of 13: what is left counts for all of them
            return Replicates(kept * (len(units) / kept.sum(axis=1, keepdims=True)), {})
        # the journeys of a path, dealt to the groups at random
        dealt = generator(seed, DEALT).multinomial(units.counts, np.full(GROUPS, 1 / GROUPS)).T
        return Replicates((1 - dealt / np.maximum(units.counts, 1)) * (GROUPS / (GROUPS - 1)), {})

    @staticmethod
    def whole(units: Units) -> Replicates:
        """Count every unit once."""
        return Replicates(np.ones((1, len(units))), {})

    def weights_of(self, units: int) -> Floats:
        """How often each unit counts: [R, units]."""
        assert units == self.weights.shape[1]
        return self.weights

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
        weigh = replicates.weigh_by_key if index.by_key else replicates.weigh_by_unit
        weigh(self.weights, *index.column(tally, name), out)
        return out


Solve = Callable[[Replicates], Sequence[Floats]]


@dataclass(frozen=True, slots=True)
class Resampling:
    """How to draw: coverage, draws of the bootstrap, their seed; threads change no number.

    ``progress`` is called as ``progress("drawing intervals", done, total)``.
    """

    level: float = 0.95
    replicates: int = 1000
    seed: int = 0
    threads: int = 1
    progress: Progress | None = None
    purpose: int = REPLICATES

    def draws(self, tallies: Tallies, solve: Solve, tick: Callable[[float], None] | None = None) -> list[Floats]:
        """Solve every replicate of the bootstrap.

        Parameters
        ----------
        tallies : Tallies
            With the unit axis; ``solve`` reads them.
        solve : callable
            From draws to arrays of shape [draws, …].
        tick : callable, optional
            Told of the share done.

        Returns
        -------
        list of ndarray
            The arrays of ``solve``, of shape [replicates, …].
        """
        tick = tick or self._tick
        # every index is there before threads need it
        index = {id(tally): UnitIndex(tally, len(tallies.units)) for tally in tallies.sums.values()}
        for tally in tallies.sums.values():
            for name in tally.need.columns:
                index[id(tally)].column(tally, name)
        keys = max((len(one.keys.keys) for one in index.values()), default=0)
        chunk = max(1, min(100, MEMORY // (16 * (keys + len(tallies.units)))))
        out: list[Floats] = []

        def run(first: int) -> tuple[int, Sequence[Floats]]:
            n = min(chunk, self.replicates - first)
            return first, solve(Replicates.draw(tallies.units, self.seed, first, n, index, self.purpose))

        starts = range(0, self.replicates, chunk)
        with ThreadPoolExecutor(self.threads) as pool:
            for done, (first, arrays) in enumerate(pool.map(run, starts), start=1):
                out = out or [np.empty((self.replicates, *a.shape[1:])) for a in arrays]
                for whole, part in zip(out, arrays, strict=True):
                    whole[first : first + len(part)] = part
                tick(done / len(starts))
        return out

    def _tick(self, done: float) -> None:
        if self.progress is not None:
            self.progress("drawing intervals", done, 1.0)

    def percentiles(self, values: Floats) -> tuple[Floats, Floats]:
        """Bounds of each column of bootstrap replicates [R, n]; NaN where no replicate has the number."""
        return percentiles(values, expanded((1 - self.level) / 2, BUCKETS))

    def left_out(self, tallies: Tallies, solve: Solve) -> list[Floats]:
        """Solve without each group of units once: arrays of shape [20, …]."""
        return list(solve(Replicates.leave_out(tallies.units, self.seed)))

    def student(self, point: Floats, left_out: Floats, sampled: Floats | None = None) -> tuple[Floats, Floats]:
        """Bounds of each number by the jackknife: the point and its values with a group left out, by Student's t.

        ``sampled``: the Monte-Carlo error of the point, which is independent of the data and adds to the variance.
        """
        from scipy.special import stdtrit

        t = float(stdtrit(GROUPS - 1, (1 + self.level) / 2))
        variance = (GROUPS - 1) * left_out.var(axis=0)
        half = t * np.sqrt(variance if sampled is None else variance + np.nan_to_num(sampled) ** 2)
        return point - half, point + half

    def jackknife(
        self,
        tallies: Tallies,
        solve: Solve,
        sampled: Sequence[Floats] | None = None,
        points: Sequence[Floats] | None = None,
    ) -> list[tuple[Floats, Floats]]:
        """Bounds of each array of ``solve`` by leaving out each group of units once.

        ``points``: the arrays of the data as they are, of shape [1, …], where they are at hand.
        """
        points = solve(Replicates.whole(tallies.units)) if points is None else points
        left_out = self.left_out(tallies, solve)
        errors = [None] * len(points) if sampled is None else sampled
        return [self.student(p[0], v, e) for p, v, e in zip(points, left_out, errors, strict=True)]


def bounds_of(
    answers: list[tuple[Method, Credits]], tallies: Tallies, cells: Cells, resampling: Resampling
) -> list[Bounds]:
    """Bounds of every number of the credit table.

    Parameters
    ----------
    answers : list of (Method, Credits)
        Methods with their credit of the data as they are. All of them see the same draws, so that differences between
        methods carry no extra noise.
    tallies : Tallies
        With the unit axis.
    cells : Cells
        Rows of the table.
    resampling : Resampling
        How to draw.

    Returns
    -------
    list of dict
        By method: number → (low, high) of the cells, then of each game's unattributed row, then of each game's
        baseline; NaN for null.
    """
    methods, games = [method for method, _ in answers], tallies.n_games
    rows = len(cells.game) + 2 * games
    out: list[Bounds] = [
        {name: (np.full(rows, np.nan), np.full(rows, np.nan)) for name in (CONVERSIONS, VALUE, SHARE, EFFECT)}
        for _ in methods
    ]
    slow = [at for at, method in enumerate(methods) if method._jackknife(cells)]  # noqa: SLF001
    fast = [at for at in range(len(methods)) if at not in slow]
    blocks = _blocks(cells, games, max(1, MEMORY // (32 * resampling.replicates * len(methods))))
    for done, (first, stop) in enumerate(blocks):
        part, some = _restrict(tallies, cells, first, stop)
        low, high = cells.starts[first], cells.starts[stop]
        others = len(cells.game) + np.arange(first, stop)
        place = np.concatenate([np.arange(low, high), others, others + games])
        limits: list[tuple[int, list[tuple[Floats, Floats]]]] = []
        if fast:

            def tick(share: float, done: int = done) -> None:
                if resampling.progress is not None:
                    resampling.progress("drawing intervals", done + share, len(blocks))

            alone = replace(part, workers=1)  # replicates run side by side
            drawn = resampling.draws(
                part, numbers_of([methods[at] for at in fast], alone, some, slice(first, stop)), tick
            )
            found = [resampling.percentiles(values) for values in drawn]
            limits += [(at, found[4 * i : 4 * i + 4]) for i, at in enumerate(fast)]
        for at in slow:
            solve = numbers_of([methods[at]], part, some, slice(first, stop))
            sampled = _errors(answers[at][1], slice(low, high), part, some, slice(first, stop))
            limits.append((at, resampling.jackknife(part, solve, sampled)))
        for at, numbers in limits:
            for name, (lower, upper) in zip((CONVERSIONS, VALUE, SHARE, EFFECT), numbers, strict=True):
                some_rows = place[: len(lower)]  # effects have no unattributed row, few methods have a baseline
                out[at][name][0][some_rows], out[at][name][1][some_rows] = lower, upper
    return out


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
    if stop - first == tallies.n_games:
        return tallies, cells
    sums = {need: tally.where((tally.games >= first) & (tally.games < stop)) for need, tally in tallies.sums.items()}
    low, high = cells.starts[first], cells.starts[stop]
    some = Cells(cells.game[low:high], cells.player[low:high], np.clip(cells.starts - low, 0, high - low))
    return replace(tallies, sums=sums), some


def numbers_of(methods: list[Method], tallies: Tallies, cells: Cells, games: slice) -> Callable[[Draw], list[Floats]]:
    """Function from draws to conversions, value, share and effect, by method.

    [R, cells, then games, then games again where the method leaves a baseline], effects [R, cells].
    """
    every = np.arange(games.stop - games.start)

    def solve(draw: Draw) -> list[Floats]:
        unattributed = totals_by_game(tallies, "unattributed", draw)[:, games]
        unattributed_value = totals_by_game(tallies, "unattributed_value", draw)[:, games]
        whole = totals_by_game(tallies, "conversions", draw)[:, games] + unattributed
        out = []
        for method in methods:
            credit: Credits = method._solve(tallies, cells, draw)  # noqa: SLF001 - the protected part of Method
            left = [(unattributed, unattributed_value), *((c[:, games], v[:, games]) for c, v in credit.left)]
            conversions = np.concatenate([credit.conversions, *(c for c, _ in left)], axis=1)
            value = np.concatenate([credit.value, *(v for _, v in left)], axis=1)
            game = np.concatenate([cells.game - games.start, *([every] * len(left))])
            with np.errstate(divide="ignore", invalid="ignore"):
                share = np.where(whole[:, game] > 0, conversions / whole[:, game], np.nan)
            effect = np.full(credit.conversions.shape, np.nan) if credit.effect is None else credit.effect
            out += [conversions, value, share, effect]
        return out

    return solve


def _errors(credit: Credits, place: slice, tallies: Tallies, cells: Cells, games: slice) -> list[Floats] | None:
    """Monte-Carlo errors of the numbers that ``numbers_of`` gives for cells of one method; None where it is exact."""
    if credit.error is None or credit.value_error is None:
        return None
    draw, n = Replicates.whole(tallies.units), games.stop - games.start
    game = cells.game - games.start

    def of_rows(errors: Floats) -> Floats:
        """Errors of cells, of unattributed rows (none), and of baselines, which are what the cells leave."""
        left = [np.sqrt(np.bincount(game, np.nan_to_num(errors) ** 2, n))] * len(credit.left)
        return np.concatenate([errors, np.zeros(n), *left])

    conversions, value = of_rows(credit.error[place]), of_rows(credit.value_error[place])
    whole = totals_by_game(tallies, "conversions", draw)[0, games]
    whole = whole + totals_by_game(tallies, "unattributed", draw)[0, games]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = conversions / whole[np.concatenate([game, *([np.arange(n)] * (1 + len(credit.left)))])]
    return [conversions, value, share, np.zeros(len(cells.game))]


def check_size(numbers: int, hint: str) -> None:
    """Check that the replicates of an answer fit into memory.

    Raises
    ------
    ResourceError
        ``too_many_rows``.
    """
    if numbers > LARGEST:
        raise ResourceError(
            "too_many_rows",
            f"the intervals need {numbers / 1e6:,.0f} million replicate numbers at once, "
            f"{LARGEST / 1e6:,.0f} are allowed",
            hint=hint,
        )


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
            "bad_interval", f"intervals = {brief(level)} is not a level between 0 and 1", hint="e.g. 0.95, or None"
        )
    whole_number("replicates", replicates, MIN_REPLICATES, MOST_DRAWS, key="bad_interval")
    check_seed(seed, key="bad_interval")


def resampling_of(engine: Engine, level: float | None, replicates: int, seed: int) -> Resampling | None:
    """Check what a user asks of intervals; how to draw them, or None where none are asked for.

    Raises
    ------
    SpecError
        ``bad_interval``.
    """
    check_interval(level, replicates, seed)
    return None if level is None else Resampling(level, replicates, seed, engine.workers, engine.progress)
