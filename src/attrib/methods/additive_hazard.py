"""Additive hazards: every touch adds to the hazard of a conversion, and fades (semantics §6a)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.durations import parse_duration
from attrib.engines.rows import Rows
from attrib.errors import SpecError, brief, warn
from attrib.methods.base import Cells, Credits, Draw, HasTallies, Method, cells_of, check_journeys, sums_for
from attrib.methods.exposures import SECONDS_A_DAY, Exposures
from attrib.methods.hazards import Fit, Game, maximise
from attrib.schemas import KIND, KINDS
from attrib.values import whole_number

if TYPE_CHECKING:
    from attrib.engines.base import Progress, Tallies

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
PLAYER, _, BASELINE = KINDS


@dataclass(frozen=True)
class AdditiveHazard(Method):
    """Every touch adds to the hazard of a conversion and fades; conversions go to touches by their part of the hazard.

    The hazard of a conversion at time t of a journey is λ(t) = μ + Σ β ω exp(−ω (t − τ)) over its touches before t, at
    times τ, with a strength β (the conversions that a touch would bring if nothing else ended the journey) and a rate
    ω of fading for every player of a game. Journeys that did not convert count for as long as they were watched
    (right-censoring). β, ω and μ maximise the likelihood; a conversion is shared out among its touches, and the
    constant hazard μ, in proportion to their hazards at that moment.

    Parameters
    ----------
    lag : str or (str, str)
        Shortest and longest mean time 1/ω from a touch to its effect, durations; the best is sought in between, player
        by player. One duration fixes it for all. Without a shortest one, a single conversion at the very moment of a
        touch would make the likelihood infinite.
    baseline : bool
        Whether there is a constant hazard μ while a journey is watched: its part is the ``baseline`` row. By default
        there is none, as in the paper: within a lookback it can hardly be told from a touch that fades slowly.
    tolerance : float
        The search ends when no player's credit moves by more than this part of the game's conversions in a step.
    steps : int
        Most steps of the search; beyond, there is a warning.

    Raises
    ------
    SpecError
        ``bad_parameter``, or ``bad_duration``.

    Notes
    -----
    A touch of a null journey is watched until its lookback is over or the data end, whichever is first. Intervals come
    from the jackknife over 20 groups of buckets. It describes who is there when people convert, and how soon after:
    intent that brings both the touch and the conversion is credited to the touch.

    References
    ----------
    Zhang, Wei & Ren (2014), Multi-touch attribution in online advertising with survival theory. Varadhan & Roland
    (2008), Simple and globally convergent methods for accelerating the convergence of any EM algorithm.

    Examples
    --------
    >>> import attrib
    >>> data = attrib.synth.generate(customers=500, seed=1)
    >>> journeys = attrib.Journeys.from_events(data.touchpoints, data.outcomes)
    >>> table = attrib.AdditiveHazard().credit(journeys)
    >>> linear = attrib.Linear().credit(journeys)
    >>> abs(table["conversions"].sum() - linear["conversions"].sum()) < 1e-6
    True
    """

    lag: str | tuple[str, str] = ("1h", "365d")
    baseline: bool = False
    tolerance: float = 1e-6
    steps: int = 2000
    _needs_nulls: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if isinstance(self.lag, list):
            object.__setattr__(self, "lag", tuple(self.lag))
        shortest, longest = self._days()
        if not 0 < shortest <= longest:
            raise SpecError(
                "bad_parameter",
                f"lag = {brief(self.lag)} is not a shortest and a longest time",
                hint='e.g. ("1h", "365d")',
            )
        if not isinstance(self.baseline, bool):
            raise SpecError("bad_parameter", f"baseline = {brief(self.baseline)} is neither true nor false")
        number = isinstance(self.tolerance, (int, float)) and not isinstance(self.tolerance, bool)
        if not number or not 0 < self.tolerance < 1:
            raise SpecError("bad_parameter", f"tolerance = {brief(self.tolerance)} is not a number between 0 and 1")
        object.__setattr__(self, "steps", whole_number("steps", self.steps, 1))

    def _days(self) -> tuple[float, float]:
        """Shortest and longest mean time, in days."""
        both = self.lag if isinstance(self.lag, tuple) else (self.lag, self.lag)
        if len(both) != 2:
            raise SpecError(
                "bad_parameter", f"lag = {brief(self.lag)} is not one duration, or two", hint='("1h", "365d")'
            )
        spans = [parse_duration(one, "lag") for one in both]
        if None in spans:
            raise SpecError("bad_parameter", f"lag = {brief(self.lag)} is unlimited", hint='e.g. ("1h", "365d")')
        short, long = (span.total_seconds() / SECONDS_A_DAY for span in spans if span is not None)
        return short, long

    def _needs(self) -> tuple[()]:
        return ()

    def _reads(self) -> tuple[Exposures]:
        return (Exposures("additive_hazard"),)

    def _jackknife(self, _cells: Cells) -> bool:
        return True

    def _trial(self) -> AdditiveHazard:
        return replace(self, steps=min(self.steps, 3))

    def _solve(self, tallies: Tallies, cells: Cells, draw: Draw) -> Credits:
        rows = tallies.rows[self._reads()[0]]
        weights = draw.weights_of(len(rows.units))
        shape, games = (len(weights), len(cells.game)), (len(weights), tallies.n_games)
        conversions, value = np.zeros(shape), np.zeros(shape)
        left, left_value = np.zeros(games), np.zeros(games)
        for game, fits in self._fits(rows, tallies, cells, weights):
            cell = slice(cells.starts[game], cells.starts[game + 1])
            for r, fit in enumerate(fits):
                conversions[r, cell], value[r, cell] = fit.credit, fit.value
                left[r, game], left_value[r, game] = fit.left, fit.left_value
        return Credits(conversions, value, *([None] * 3), *((left, left_value) if self.baseline else ()))

    def _fits(self, rows: Rows, tallies: Tallies, cells: Cells, weights: Floats) -> Any:
        """Fits of each game that has players: (game, one for each row of weights)."""
        played = np.flatnonzero(np.diff(cells.starts)).tolist()
        for done, number in enumerate(played):
            players = cells.player[cells.starts[number] : cells.starts[number + 1]]
            progress = partial(_tell, tallies.progress, self.label, done, len(played))
            yield number, self._fit(rows, number, players, weights, tallies.workers, progress)

    def _fit(
        self, rows: Rows, number: int, players: Ints, weights: Floats, threads: int, progress: Callable[[float], None]
    ) -> list[Fit]:
        """Fits of one game; that of all rows is remembered, and the others begin from it."""
        game = Game.of(rows, number, players)
        limits = self._days()
        fit = partial(
            maximise, slowest=1 / limits[1], fastest=1 / limits[0], tolerance=self.tolerance, steps=self.steps,
            baseline=self.baseline,
        )  # fmt: skip
        whole = rows.memo.get((self, number))
        if whole is None:
            with ThreadPoolExecutor(threads) as pool:
                whole = fit(game, np.ones(len(rows.units)), map_=pool.map if threads > 1 else map, progress=progress)
            rows.memo[self, number] = whole
            if not whole.converged:
                warn(
                    f"{self.label}: no maximum of the likelihood after {self.steps:,} steps "
                    f"(the last one moved credit by {whole.moved:.1e} of the conversions)"
                )

        def again(w: Floats) -> Fit:
            return whole if (w == 1).all() else fit(game, w, start=whole)

        found = []
        with ThreadPoolExecutor(threads) as pool:
            for one in pool.map(again, weights) if len(weights) > 1 else map(again, weights):
                found.append(one)
                progress(len(found) / len(weights))
        return found

    def fitted(self, journeys: HasTallies) -> pl.DataFrame:
        """Strength and fading of every player, and how well the model fits.

        Parameters
        ----------
        journeys : Journeys
            From :meth:`attrib.Journeys.from_events`.

        Returns
        -------
        polars.DataFrame
            One row a player of a game, and one a game for its baseline where there is one: the ``by`` columns,
            ``stage``, the player's columns, ``kind``; ``strength``: β, conversions a touch (of the baseline: μ, a day);
            ``lag``: 1/ω, days (null where nothing is known of it); and of the game ``log_likelihood`` (times in days),
            ``steps``, ``converged``.

        Raises
        ------
        SolveError
            ``no_times`` for path tables.

        Examples
        --------
        >>> import attrib
        >>> data = attrib.synth.generate(customers=500, seed=1)
        >>> journeys = attrib.Journeys.from_events(data.touchpoints, data.outcomes)
        >>> attrib.AdditiveHazard().fitted(journeys).columns
        ['channel', 'kind', 'strength', 'lag', 'log_likelihood', 'steps', 'converged']
        """
        check_journeys(journeys)
        tallies = sums_for(journeys, [self])
        cells = cells_of(tallies)
        rows = tallies.rows[self._reads()[0]]
        frames = []
        for number, (fit,) in self._fits(rows, tallies, cells, np.ones((1, len(rows.units)))):
            cell = slice(cells.starts[number], cells.starts[number + 1])
            n = fit.strength.size
            others = 1 if self.baseline else 0
            names = pl.concat([tallies.players[cells.player[cell]], tallies.players.clear(others)])
            games = [tallies.games[name].gather(np.full(n + others, number)) for name in tallies.games.columns]
            frames.append(
                pl.DataFrame([*games, *names]).with_columns(
                    pl.Series(KIND, [PLAYER] * n + [BASELINE] * others, dtype=pl.Enum(KINDS)),
                    pl.Series("strength", np.append(fit.strength, [fit.base] * others)),
                    pl.Series("lag", np.append(fit.lag, [np.nan] * others)).fill_nan(None),
                    log_likelihood=fit.likelihood,
                    steps=fit.steps,
                    converged=fit.converged,
                )
            )
        return pl.concat(frames)


def _tell(progress: Progress | None, label: str, done: int, games: int, share: float) -> None:
    if progress is not None:
        progress(f"fitting {label}", done + share, games)
