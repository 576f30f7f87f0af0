"""The likelihood of an additive hazard and its maximum, by the algorithm of Zhang, Wei & Ren (2014), accelerated.

One step: with the shares p of the touches in their conversions, β = Σ p / Σ (1 − exp(−ω s)) and
ω = Σ p / (Σ p s + β Σ s exp(−ω s)), where s are the times that touches were watched. Each step maximises a function
that lies below the likelihood and touches it, so the likelihood never falls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from attrib.engines.rows import Rows

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
BLOCK = 16  # buckets summed in one go: fixed, so that threads change no digit
RESOLUTION = 1 / 24  # days: shorter times are taken for so long, or a conversion at a touch would settle everything
LARGEST_STEP = 4.0  # of the acceleration at first; it grows as steps succeed
GROWTH = 4.0
AWAY = 0.01  # from 0, as a part of where a search of one's own would begin


@dataclass(frozen=True, slots=True)
class Game:
    """The rows of one game, n players.

    ``journeys`` and ``risks``: int64 [buckets, 2], the rows that each bucket has; ``offsets``: of the touches of
    journeys; ``local``: int32, place of a player in the game; ``days``: float64 [buckets] that journeys were watched.
    """

    n: int
    journeys: Ints
    risks: Ints
    offsets: Ints
    local: npt.NDArray[np.int32]
    days: Floats
    rows: Rows

    @staticmethod
    def of(rows: Rows, number: int, players: Ints) -> Game:
        """Rows of game ``number``, whose players are rows of the players frame."""
        local = np.full(int(players.max(initial=0)) + 1, -1, np.int32)
        local[players] = np.arange(len(players))
        if "offsets" not in rows.memo:
            lengths = rows.tables["journeys"]["length"]
            rows.memo["offsets"] = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        spans = _rows_of(rows, "spans", number)
        some = spans[:, 0] < spans[:, 1]
        days = np.zeros(len(spans))
        days[some] = rows.tables["spans"]["days"][spans[some, 0]]
        return Game(
            len(players), _rows_of(rows, "journeys", number), _rows_of(rows, "risks", number), rows.memo["offsets"],
            local, days, rows,
        )  # fmt: skip


def _rows_of(rows: Rows, table: str, number: int) -> Ints:
    """Rows of a game in each bucket: within a bucket, tables are in the order of games."""
    if table not in rows.memo:
        games, starts = rows.tables[table]["game"], rows.starts[table]
        most = int(games.max(initial=0)) + 3  # the last game with rows, an empty one, and its end
        unit = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        rows.memo[table] = np.searchsorted(
            unit * most + games, np.arange(len(starts) - 1)[:, None] * most + np.arange(most)[None, :]
        )
    bounds: Ints = rows.memo[table]
    number = min(number, bounds.shape[1] - 2)  # a game without such rows
    return np.ascontiguousarray(bounds[:, number : number + 2])


@dataclass(frozen=True, slots=True)
class Fit:
    """A maximum: by player ``strength`` (β, conversions a touch), ``omega`` (a day), ``credit``, ``value``.

    ``base``: constant hazard, a day; ``left`` and ``left_value``: what it is credited with; ``moved``: largest change
    of credit in the last step, as a part of the conversions.
    """

    strength: Floats
    omega: Floats
    base: float
    credit: Floats
    value: Floats
    left: float
    left_value: float
    likelihood: float
    moved: float
    steps: int
    converged: bool

    @property
    def lag(self) -> Floats:
        """Mean time to the effect, days; NaN for players without any."""
        return np.where(self.strength > 0, 1 / self.omega, np.nan)


@dataclass(frozen=True, slots=True)
class _Point:
    """Parameters and what one pass over the rows found at them."""

    beta: Floats
    omega: Floats
    base: float
    sums: Floats
    rest: Floats
    likelihood: float


def maximise(
    game: Game,
    weights: Floats,
    *,
    slowest: float,
    fastest: float,
    tolerance: float,
    steps: int,
    baseline: bool,
    start: Fit | None = None,
    map_: Callable[..., Iterable[Any]] = map,
    progress: Callable[[float], None] | None = None,
) -> Fit:
    """Fit one game.

    Parameters
    ----------
    game : Game
        Its rows.
    weights : float64 [buckets]
        How often each bucket counts.
    slowest, fastest : float
        Bounds of ω, a day.
    tolerance, steps : float, int
        When to end.
    baseline : bool
        Whether there is a constant hazard.
    start : Fit, optional
        Where to begin; otherwise with touches that are all alike.
    map_ : callable
        How blocks of buckets are worked through.
    """
    look = _Looking(game, weights, slowest, fastest, map_)
    first = look.first(baseline=baseline)
    if start is not None:  # near it, but not at 0: no step would lead away from there
        first = np.maximum(start.strength, AWAY * first[0]), start.omega, max(start.base, AWAY * first[2])
    at, done, moved, cap = look.at(*first), 1, np.inf, LARGEST_STEP
    whole = float(at.rest[3])
    while whole > 0 and done < steps:
        one = look.at(*look.step(at))
        done += 1
        moved = max(float(np.abs(one.sums[:, 0] - at.sums[:, 0]).max()), abs(one.rest[0] - at.rest[0])) / whole
        if progress is not None:
            progress(min(0.99, np.log(min(moved + 1e-300, 1.0)) / np.log(tolerance)))
        if moved <= tolerance:
            at = one
            break
        two = look.at(*look.step(one))
        done += 1
        length = _length(at, one, two)
        if length <= 1:
            at = two
            continue
        far = min(length, cap)
        ahead = look.at(*look.beyond(at, one, two, far))
        done += 1
        if ahead.likelihood >= two.likelihood:
            at, cap = ahead, cap * GROWTH if far == cap else cap
        else:
            at, cap = two, max(LARGEST_STEP, cap / GROWTH)
    sums, rest = at.sums, at.rest
    return Fit(
        at.beta, at.omega, at.base, sums[:, 0], sums[:, 4], float(rest[0]), float(rest[1]), at.likelihood,
        float(moved) if whole > 0 else 0.0, done, bool(whole <= 0 or moved <= tolerance),
    )  # fmt: skip


Parameters = tuple[Floats, Floats, float]


@dataclass(frozen=True, slots=True)
class _Looking:
    """Passes over the rows of a game, and steps from what they found."""

    game: Game
    weights: Floats
    slowest: float
    fastest: float
    map_: Callable[..., Iterable[Any]]

    def first(self, *, baseline: bool) -> Parameters:
        """Parameters to begin at: one step from touches that are all alike."""
        n, middle = self.game.n, float(np.sqrt(self.slowest * self.fastest))
        return self.step(self.at(np.ones(n), np.full(n, middle), middle if baseline else 0.0))

    def at(self, beta: Floats, omega: Floats, base: float) -> _Point:
        """Look at all rows with these parameters."""
        from attrib.kernels import hazard

        game, tables = self.game, self.game.rows.tables
        journeys, touches, risks = tables["journeys"], tables["touches"], tables["risks"]
        shortest = min(1 / self.fastest, RESOLUTION)

        def block(first: int) -> tuple[Floats, Floats]:
            sums, rest = np.zeros((game.n, 5)), np.zeros(4)
            hazard.expect(
                first, min(first + BLOCK, len(self.weights)), self.weights, game.journeys, game.offsets,
                touches["player"], touches["age"], journeys["conversions"], journeys["value"], game.risks,
                risks["player"], risks["age"], risks["count"], game.local, beta, omega, base, shortest, sums, rest,
            )  # fmt: skip
            return sums, rest

        sums, rest = np.zeros((game.n, 5)), np.zeros(4)
        for some, others in self.map_(block, range(0, len(self.weights), BLOCK)):
            sums += some
            rest += others
        likelihood = float(rest[2] - beta @ sums[:, 2] - base * self.days)
        return _Point(beta, omega, base, sums, rest, likelihood)

    @property
    def days(self) -> float:
        """Days that journeys were watched."""
        return float(np.add.reduce(self.weights * self.game.days))

    def step(self, at: _Point) -> Parameters:
        """The parameters that the shares at a point make most likely."""
        credit, ages, risk, aged, _ = at.sums.T
        some = credit > 0
        beta, omega = np.zeros(self.game.n), at.omega.copy()
        beta[some] = credit[some] / risk[some]
        omega[some] = credit[some] / (ages[some] + beta[some] * aged[some])
        base = float(at.rest[0]) / self.days if at.base > 0 and self.days > 0 else 0.0
        return beta, np.clip(omega, self.slowest, self.fastest), min(base, self.fastest)

    def beyond(self, at: _Point, one: _Point, two: _Point, far: float) -> Parameters:
        """Parameters ahead on the way of two steps, on the scale of logarithms."""
        ahead = []
        for a, b, c in zip(_values(at), _values(one), _values(two), strict=True):
            here, r, v = _bend(a, b, c)
            ahead.append(np.where(c > 0, np.exp(np.clip(here + 2 * far * r + far**2 * v, -700, 700)), 0.0))
        beta, omega, base = ahead
        return beta, np.clip(omega, self.slowest, self.fastest), min(float(base[0]), self.fastest)


def _values(at: _Point) -> tuple[Floats, Floats, Floats]:
    return at.beta, at.omega, np.array([at.base])


def _bend(a: Floats, b: Floats, c: Floats) -> tuple[Floats, Floats, Floats]:
    """Where a way of two steps begins, its first step, how the second differs: logarithms, 0 where there is none."""
    some = c > 0
    x, y, z = (np.log(np.where(some, part, 1.0)) for part in (a, b, c))
    return x, y - x, z - 2 * y + x


def _length(at: _Point, one: _Point, two: _Point) -> float:
    """How far to go on from two steps: the ratio of the first to its change (Varadhan & Roland, S3)."""
    bends = [_bend(*values) for values in zip(_values(at), _values(one), _values(two), strict=True)]
    steps, changes = (float(sum(np.sum(bend[at] ** 2) for bend in bends)) for at in (1, 2))
    return float(np.sqrt(steps / changes)) if changes > 0 else 1.0
