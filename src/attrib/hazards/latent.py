"""Hazards that a latent state multiplies and touches add to: the parameters of highest penalised likelihood.

EM: the state at every time is a hidden Markov chain (forward-backward), and each event is the work of its background
or of an earlier touch, in proportion to their hazards. Every step never lowers the penalised likelihood; it is
accelerated by squared extrapolation, which is taken only where it raises that likelihood.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from attrib.kernels.intent import Chart, Lives, Rates, Sums, expect
from attrib.values import generator

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
BLOCKS = 32  # of customers, summed in order: fixed, so that threads change no digit
SPREAD = (-1.5, 1.0)  # logarithms of the levels of the lowest and the highest state at first
LEVELS = 41  # purpose of random numbers
LEAVE = 0.01  # changes a day at first
FIRST_EFFECT = 0.2
LEAST_EFFECT = 1e-10
LARGEST_STEP = 32.0


class Priors(NamedTuple):
    """What is known before the data, as if so much had been seen.

    ``penalty``: expected events on which a touch had no effect (the prior of an effect is exponential with mean
    1 / penalty); the others are the events of a Gamma distribution or the counts of a Dirichlet distribution.
    """

    penalty: float = 1.0
    level: float = 1.0
    base: float = 0.01
    changes: tuple[float, float] = (0.5, 50.0)
    start: float = 0.5
    jump: float = 0.01


@dataclass(frozen=True, slots=True)
class Fitted:
    """Parameters, the penalised log-likelihood and the log-likelihood on the way to them."""

    rates: Rates
    objective: float
    likelihood: float
    steps: int
    converged: bool
    trace: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """What is fitted: customers, what acts on what, and how strongly each source may act at all.

    ``overall``: float64 [P] rate of each process, a scale; ``allowed``: bool [Z] sources that may have effects.
    """

    lives: Lives
    chart: Chart
    overall: Floats
    allowed: npt.NDArray[np.bool_]
    priors: Priors
    states: int

    @property
    def effects(self) -> int:
        """Sets of effects."""
        return int(self.chart.acts.max(initial=-1)) + 1

    def expected(self, rates: Rates, weight: Floats, pool: Executor | None) -> tuple[float, Sums]:
        """Log-likelihood and expected statistics, the blocks of customers summed in order."""
        cuts = np.linspace(0, len(self.lives.offsets) - 1, BLOCKS + 1).astype(np.int64)

        def block(at: int) -> tuple[float, Sums]:
            return expect(self.lives, weight, self.chart, rates, cuts[at], cuts[at + 1])  # type: ignore[no-any-return]

        found = list((pool.map if pool else map)(block, range(BLOCKS)))
        likelihood = float(sum(one for one, _ in found))
        return likelihood, Sums(*(np.sum(parts, axis=0) for parts in zip(*(sums for _, sums in found), strict=True)))

    def first_guess(self, seed: int) -> Rates:
        """States at even steps from low to high intent, the same rate in all stages, and small effects."""
        P, S = self.chart.acts.shape
        K, Z, D = self.states, self.chart.channels + 1, len(self.chart.decay)
        levels = np.exp(np.linspace(*SPREAD, K)) if K > 1 else np.ones(1)
        noise = generator(seed, LEVELS).standard_normal((P, K)) if K > 1 else np.zeros((P, 1))
        jump = np.full((K, K), 1 / max(1, K - 1)) * (1 - np.eye(K))
        return Rates(
            start=np.full((P, K), 1 / K),
            leave=np.full(K, LEAVE if K > 1 else 0.0),
            jump=jump,
            base=np.repeat(self.overall[:, None], S, axis=1),
            level=levels * np.exp(0.1 * noise),
            effect=np.where(self.allowed[:, None], FIRST_EFFECT, 0.0) * np.ones((self.effects, Z, D)),
        )

    def objective(self, likelihood: float, rates: Rates) -> float:
        """Penalised log-likelihood, up to a constant."""
        p = self.priors
        out = likelihood - p.penalty * float(rates.effect.sum())
        out += p.base * float((np.log(rates.base) - rates.base / self.overall[:, None]).sum())
        if self.states == 1:
            return out
        out += p.level * float((np.log(rates.level) - rates.level).sum())
        count, days = p.changes
        out += float((count * np.log(rates.leave) - days * rates.leave).sum())
        out += p.start * float(np.log(rates.start).sum())
        return out + p.jump * float(np.log(rates.jump[~np.eye(self.states, dtype=bool)]).sum())

    def step(self, sums: Sums, rates: Rates) -> Rates:
        """Parameters that maximise the expected penalised likelihood, one family given the others."""
        acts, p = self.chart.acts, self.priors
        S, K = sums.time.shape
        E, Z, D = rates.effect.shape
        base, level = rates.base, rates.level
        exposure = sums.exposure.reshape(S * K, Z * D)
        allowed = np.ones((E, 1, 1)) * self.allowed[:, None]

        weight = np.zeros((E + 1, S, K))
        for s in range(S):
            np.add.at(weight[:, s], acts[:, s], base[:, s, None] * level)  # row -1: processes without effects
        watched = (weight[:E].reshape(E, S * K) @ exposure).reshape(E, Z, D)
        effect = np.where(allowed, np.maximum(sums.caused / (watched + p.penalty), LEAST_EFFECT), 0.0)

        boost = np.zeros((E + 1, S, K))
        boost[:E] = (effect.reshape(E, Z * D) @ exposure.T).reshape(E, S, K)
        time = sums.time + boost[acts, np.arange(S)]  # [P, S, K]
        base = (sums.events + p.base) / (np.einsum("psk,pk->ps", time, level) + p.base / self.overall[:, None])
        if K == 1:
            return rates._replace(base=base, effect=effect)
        level = (sums.states + p.level) / (np.einsum("psk,ps->pk", time, base) + p.level)
        count, days = p.changes
        start, jump = sums.start + p.start, (sums.jump + p.jump) * (1 - np.eye(K))
        return Rates(
            start=start / start.sum(axis=1, keepdims=True),
            leave=(sums.changes + count) / (sums.waiting + days),
            jump=jump / jump.sum(axis=1, keepdims=True),
            base=base,
            level=level,
            effect=effect,
        )


def fit(
    problem: Problem,
    weight: Floats,
    *,
    start: Rates,
    tolerance: float,
    steps: int,
    pool: Executor | None = None,
    tell: Callable[[float], None] | None = None,
) -> Fitted:
    """Find the parameters, from a first guess.

    Parameters
    ----------
    problem : Problem
        What is fitted.
    weight : float64 [N]
        How often each customer counts.
    start : Rates
        First guess.
    tolerance : float
        The search ends when three steps raise the penalised log-likelihood by less than this, per event.
    steps : int
        Most steps.
    pool : Executor, optional
        Threads; they change no digit.
    tell : callable, optional
        Told of the share of steps done.

    Returns
    -------
    Fitted
    """
    events = float(weight @ np.diff(problem.lives.offsets))
    before, done, trace = -np.inf, 0, []
    rates = start
    while True:
        likelihood, sums = problem.expected(rates, weight, pool)
        objective = problem.objective(likelihood, rates)
        trace.append(objective)
        done += 1
        if tell:
            tell(min(1.0, done / steps))
        converged = objective - before < tolerance * events
        if converged or done >= steps:
            return Fitted(rates, objective, likelihood, done, converged, tuple(trace))
        before = objective
        one = problem.step(sums, rates)
        likelihood, sums = problem.expected(one, weight, pool)
        reached = problem.objective(likelihood, one)
        two = problem.step(sums, one)
        further = _extrapolate(rates, one, two)
        likelihood, sums = problem.expected(further, weight, pool)
        gained = problem.objective(likelihood, further)
        done += 2
        rates = problem.step(sums, further) if gained >= reached else two


def _extrapolate(zero: Rates, one: Rates, two: Rates) -> Rates:
    """Three points on the way, carried on (Varadhan & Roland 2008, scheme S3), in roots of effects and logarithms."""
    a, b, c = (_flat(rates) for rates in (zero, one, two))
    first, second = b - a, (c - b) - (b - a)
    bend = float(np.sqrt(second @ second))
    length = min(LARGEST_STEP, max(1.0, float(np.sqrt(first @ first)) / bend)) if bend > 0 else 1.0
    return _shaped(a + 2 * length * first + length**2 * second, two)


def _flat(rates: Rates) -> Floats:
    positive = [np.log(np.maximum(part, 1e-30)).ravel() for part in rates[:-1]]
    return np.concatenate([*positive, np.sqrt(rates.effect).ravel()])


def _shaped(flat: Floats, like: Rates) -> Rates:
    parts, at = [], 0
    for part in like:
        parts.append(flat[at : at + part.size].reshape(part.shape))
        at += part.size
    start, leave, jump, base, level, effect = parts
    many = len(like.leave) > 1
    jump = np.exp(jump) * (1 - np.eye(len(jump)))
    start = np.exp(start - start.max(axis=1, keepdims=True))
    return Rates(
        start / start.sum(axis=1, keepdims=True),
        np.clip(np.exp(leave), 1e-6, 10.0) if many else like.leave,
        jump / jump.sum(axis=1, keepdims=True) if many else like.jump,
        np.exp(base),
        np.exp(np.clip(level, -15, 8)),
        np.where(like.effect > 0, np.maximum(np.square(np.maximum(effect, 0.0)), LEAST_EFFECT), 0.0),
    )
