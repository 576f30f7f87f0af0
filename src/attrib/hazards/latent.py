"""Hazards that a latent state multiplies and touches add to: the parameters of highest penalised likelihood.

EM: the state at every time is a hidden Markov chain (forward-backward), and each event is the work of its background
or of an earlier touch, in proportion to their hazards. Every step never lowers the penalised likelihood; it is
accelerated by squared extrapolation, which is taken only where it raises that likelihood.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from attrib.kernels.intent import Chart, Lives, Rates, Sums, expect
from attrib.values import generator

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
BLOCKS = 32  # of customers, summed in order: fixed, so that threads change no digit
LEVELS = 41  # purpose of random numbers
TYPES = (-1.0, 0.8)  # logarithms of the levels of the lowest and the highest type at first
MOODS = (-2.5, 0.3)  # the same of moods
LEAVE = 0.015  # changes a day at first
FIRST_EFFECT = 0.2
LEAST_EFFECT = 1e-10
LARGEST_STEP = 32.0
LEAST_PENALTY = 0.1
SCREEN = 0.5
NEGLIGIBLE = 0.02  # multiples of the hazard without touches
HALF = 0.5
SAMPLE = 5_000  # customers, about, from whom the search begins
LOGS = (-15.0, 8.0)  # bounds of the logarithms of factors, for extrapolation


class Priors(NamedTuple):
    """What is known before the data, as if so much had been seen.

    ``penalty``: the prior of an effect is exponential; its rate is half as many times the root of the events that would
    be expected under exposure if there were no effect, and so about the standard errors by which an effect is lowered.
    The others are the events of a Gamma distribution or the counts of a Dirichlet distribution.
    """

    penalty: float = 1.0
    factor: float = 1.0
    base: float = 0.01
    changes: tuple[float, float] = (0.5, 50.0)
    start: float = 0.5
    jump: float = 0.01


class Intent(NamedTuple):
    """The parameters: a process has the rate base * type * mood * phase * (1 + sum of effect * exposure)."""

    start: Floats  # P, K: first state by first event
    leave: Floats  # A: rate at which a mood changes
    jump: Floats  # A, A: where to, diagonal 0
    base: Floats  # P, S
    type: Floats  # P, types: what a type means for each process
    mood: Floats  # P, A: what a mood means for each process
    phase: Floats  # S, A: what a mood means in each stage, for all processes
    effect: Floats  # E, Z, D

    def rates(self) -> Rates:
        """The same for kernels: states are types times moods."""
        P, S = self.base.shape
        speed = (
            self.base[:, :, None, None] * self.type[:, None, :, None] * self.mood[:, None, None, :]
            * self.phase[None, :, None, :]
        )  # fmt: skip
        return Rates(self.start, self.leave, self.jump, np.ascontiguousarray(speed.reshape(P, S, -1)), self.effect)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Parameters, and the penalised log-likelihood and the log-likelihood that they reach."""

    intent: Intent
    objective: float
    likelihood: float
    steps: int
    converged: bool
    trace: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """What is fitted: customers, what acts on what, and what is known beforehand.

    ``overall``: float64 [P] rate of each process, a scale; ``penalty``: float64 [E, Z, D] rate of the effects' prior;
    ``allowed``: bool [E, Z, D] which effects there may be, by event kind Z = P.
    """

    lives: Lives
    chart: Chart
    overall: Floats
    penalty: Floats
    allowed: npt.NDArray[np.bool_]
    priors: Priors
    types: int
    moods: int

    def scaled(self, weight: Floats, pool: Executor | None) -> Problem:
        """The same problem with the penalties that its priors ask for."""
        _, sums = self.expected(self.first_guess(0), weight, pool)
        acts, exposure = self.chart.acts, sums.exposure.sum(axis=1)  # [S, Z, D]
        time = sums.time.sum(axis=1)
        rate = np.divide(sums.events.sum(axis=2), time, out=np.zeros(acts.shape), where=time > 0)
        expected = np.zeros((self.effects + 1, *exposure.shape[1:]))
        for s in range(acts.shape[1]):
            np.add.at(expected, acts[:, s], rate[:, s, None, None] * exposure[s])
        return replace(self, penalty=LEAST_PENALTY + SCREEN * self.priors.penalty * np.sqrt(expected[:-1]))

    @property
    def effects(self) -> int:
        """Sets of effects."""
        return int(self.chart.acts.max(initial=-1)) + 1

    def expected(self, intent: Intent, weight: Floats, pool: Executor | None) -> tuple[float, Sums]:
        """Penalised log-likelihood and expected statistics, the blocks of customers summed in order."""
        cuts = np.linspace(0, len(self.lives.offsets) - 1, BLOCKS + 1).astype(np.int64)
        rates = intent.rates()

        def block(at: int) -> tuple[float, Sums]:
            return expect(self.lives, weight, self.chart, rates, cuts[at], cuts[at + 1])  # type: ignore[no-any-return]

        found = list((pool.map if pool else map)(block, range(BLOCKS)))
        likelihood = float(sum(one for one, _ in found))
        return likelihood, Sums(*(np.sum(parts, axis=0) for parts in zip(*(sums for _, sums in found), strict=True)))

    def first_guess(self, seed: int) -> Intent:
        """Types and moods at even steps from low to high, the same rate in all stages, and small effects."""
        P, S = self.chart.acts.shape
        n, A = self.types, self.moods
        random = generator(seed, LEVELS)

        def levels(ends: tuple[float, float], m: int) -> Floats:
            return np.exp(np.linspace(*ends, m) + 0.1 * random.standard_normal((P, m))) if m > 1 else np.ones((P, 1))

        return Intent(
            start=np.full((P, n * A), 1 / (n * A)),
            leave=np.full(A, LEAVE if A > 1 else 0.0),
            jump=np.full((A, A), 1 / max(1, A - 1)) * (1 - np.eye(A)),
            base=np.repeat(self.overall[:, None], S, axis=1),
            type=levels(TYPES, n),
            mood=levels(MOODS, A),
            phase=np.ones((S, A)),
            effect=np.where(self.allowed, FIRST_EFFECT, 0.0),
        )

    def objective(self, likelihood: float, intent: Intent) -> float:
        """Penalised log-likelihood, up to a constant."""
        p = self.priors
        out = likelihood - float((self.penalty * intent.effect).sum())
        out += p.base * float((np.log(intent.base) - intent.base / self.overall[:, None]).sum())
        out += p.start * float(np.log(intent.start).sum())
        if self.types > 1:
            out += p.factor * float((np.log(intent.type) - intent.type).sum())
        if self.moods > 1:
            out += p.factor * sum(float((np.log(part) - part).sum()) for part in (intent.mood, intent.phase))
            count, days = p.changes
            out += float((count * np.log(intent.leave) - days * intent.leave).sum())
            out += p.jump * float(np.log(intent.jump[~np.eye(self.moods, dtype=bool)]).sum())
        return out

    def step(self, sums: Sums, intent: Intent) -> Intent:
        """Parameters that raise the expected penalised likelihood: the best of one family given the others."""
        acts, p = self.chart.acts, self.priors
        S, K = sums.time.shape
        P, A, n = len(acts), self.moods, self.types
        E, Z, D = intent.effect.shape
        base, kind, mood, phase = intent.base, intent.type, intent.mood, intent.phase
        exposure = sums.exposure.reshape(S * K, Z * D)

        speed = intent.rates().speed
        weight = np.zeros((E + 1, S, K))
        for s in range(S):
            np.add.at(weight[:, s], acts[:, s], speed[:, s])  # row -1: processes without effects
        watched = (weight[:E].reshape(E, S * K) @ exposure).reshape(E, Z, D)
        effect = np.maximum(sums.caused / (watched + self.penalty), LEAST_EFFECT) * self.allowed

        boost = np.zeros((E + 1, S, K))
        boost[:E] = (effect.reshape(E, Z * D) @ exposure.T).reshape(E, S, K)
        time = (sums.time + boost[acts, np.arange(S)]).reshape(P, S, n, A)
        events = sums.events.reshape(P, S, n, A)

        def best(axes: str, prior: float, scale: Floats | float, *others: tuple[str, Floats]) -> Floats:
            """Factor of highest expected likelihood given the others."""
            spelled = ",".join(["psia", *(name for name, _ in others)])
            expected = np.einsum(f"{spelled}->{axes}", time, *(part for _, part in others))
            found: Floats = (np.einsum(f"psia->{axes}", events) + prior) / (expected + prior / scale)
            return found

        base = best("ps", p.base, self.overall[:, None], ("pi", kind), ("pa", mood), ("sa", phase))
        if n > 1:
            kind = best("pi", p.factor, 1.0, ("ps", base), ("pa", mood), ("sa", phase))
        start, jump = sums.start + p.start, intent.jump
        leave = intent.leave
        if A > 1:
            mood = best("pa", p.factor, 1.0, ("ps", base), ("pi", kind), ("sa", phase))
            phase = best("sa", p.factor, 1.0, ("ps", base), ("pi", kind), ("pa", mood))
            count, days = p.changes
            leave = (sums.jump.sum(axis=1) + count) / (sums.waiting + days)
            jump = (sums.jump + p.jump) * (1 - np.eye(A))
            jump /= jump.sum(axis=1, keepdims=True)
        return Intent(start / start.sum(axis=1, keepdims=True), leave, jump, base, kind, mood, phase, effect)


def fit(
    problem: Problem,
    weight: Floats,
    *,
    start: Intent,
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
    start : Intent
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
    intent = start
    while True:
        likelihood, sums = problem.expected(intent, weight, pool)
        objective = problem.objective(likelihood, intent)
        trace.append(objective)
        done += 1
        if tell:
            tell(min(1.0, done / steps))
        converged = objective - before < tolerance * events
        if converged or done >= steps:
            return Fitted(intent, objective, likelihood, done, converged, tuple(trace))
        before = objective
        one = problem.step(sums, intent)
        likelihood, sums = problem.expected(one, weight, pool)
        reached = problem.objective(likelihood, one)
        two = problem.step(sums, one)
        further = _extrapolate(intent, one, two)
        likelihood, sums = problem.expected(further, weight, pool)
        gained = problem.objective(likelihood, further)
        done += 2
        intent = problem.step(sums, further) if gained >= reached else two


def _extrapolate(zero: Intent, one: Intent, two: Intent) -> Intent:
    """Three points on the way, carried on (Varadhan & Roland 2008, scheme S3), in roots of effects and logarithms."""
    a, b, c = (_flat(intent) for intent in (zero, one, two))
    first, second = b - a, (c - b) - (b - a)
    bend = float(np.sqrt(second @ second))
    length = min(LARGEST_STEP, max(1.0, float(np.sqrt(first @ first)) / bend)) if bend > 0 else 1.0
    return _shaped(a + 2 * length * first + length**2 * second, two)


def _flat(intent: Intent) -> Floats:
    positive = [np.log(np.maximum(part, 1e-30)).ravel() for part in intent[:-1]]
    return np.concatenate([*positive, np.sqrt(intent.effect).ravel()])


def _shaped(flat: Floats, like: Intent) -> Intent:
    parts, at = [], 0
    for part in like:
        parts.append(flat[at : at + part.size].reshape(part.shape))
        at += part.size
    start, leave, jump, base, kind, mood, phase, effect = parts
    many = len(like.leave) > 1
    jump = np.exp(jump) * (1 - np.eye(len(jump)))
    start = np.exp(start - start.max(axis=1, keepdims=True))
    return Intent(
        start / start.sum(axis=1, keepdims=True),
        np.clip(np.exp(leave), 1e-6, 10.0) if many else like.leave,
        jump / jump.sum(axis=1, keepdims=True) if many else like.jump,
        np.exp(base),
        np.exp(np.clip(kind, *LOGS)),
        np.exp(np.clip(mood, *LOGS)),
        np.exp(np.clip(phase, *LOGS)),
        np.where(like.effect > 0, np.maximum(np.square(np.maximum(effect, 0.0)), LEAST_EFFECT), 0.0),
    )


def search(
    problem: Problem,
    weight: Floats,
    *,
    seed: int,
    decays: Floats,
    tolerance: float,
    steps: int,
    pool: Executor | None = None,
    tell: Callable[[float], None] | None = None,
) -> tuple[Problem, Fitted]:
    """Find how fast touches fade, which of them have an effect at all, and the parameters without a penalty on these.

    Where there are many customers, a part of them tells a first guess and the decay: of the ``decays`` the one of
    highest penalised likelihood is taken. Effects that half of the penalty leaves at nothing stay there; the others are
    fitted again without it, so that they are not lowered (the relaxed lasso: Meinshausen 2007). Then those of less than
    ``penalty`` standard errors (from the information that the events hold on one effect by itself) are left out, too.

    Returns
    -------
    (Problem, Fitted)
        The problem as it was solved in the end, which is what others may begin from.
    """
    n = int((weight > 0).sum())
    every = max(1, n // SAMPLE)
    some = np.where(np.arange(len(weight)) % every == 0, weight, 0.0)
    best: tuple[Problem, Fitted] | None = None
    parts = len(decays) + 3
    for number, decay in enumerate(decays):
        one = replace(problem, chart=problem.chart._replace(decay=np.array([decay])))
        one = one.scaled(some, pool)
        start = one.first_guess(seed) if best is None else best[1].intent
        found = fit(
            one, some, start=start, tolerance=tolerance, steps=steps, pool=pool, tell=part_of(tell, number, parts)
        )
        if best is None or found.objective > best[1].objective:
            best = one, found
    assert best is not None, "there is a decay"
    one, found = best
    if every > 1:
        one = one.scaled(weight, pool)
        found = fit(
            one, weight, start=found.intent, tolerance=tolerance, steps=steps, pool=pool,
            tell=part_of(tell, parts - 3, parts),
        )  # fmt: skip
    keep, done = found.intent.effect > NEGLIGIBLE, found.steps
    for last in (False, True):
        one = replace(one, allowed=one.allowed & keep, penalty=np.full(one.penalty.shape, LEAST_PENALTY))
        start = found.intent._replace(effect=np.where(keep, found.intent.effect, 0.0))
        found = fit(
            one, weight, start=start, tolerance=tolerance, steps=steps, pool=pool,
            tell=part_of(tell, parts - 2 + last, parts),
        )  # fmt: skip
        done += found.steps
        if not last:
            _, sums = one.expected(found.intent, weight, pool)
            keep &= sums.sure >= problem.priors.penalty**2
    return one, replace(found, steps=done)


def part_of(tell: Callable[[float], None] | None, number: int, parts: int) -> Callable[[float], None] | None:
    """Who is told of one part of the work, where the whole has so many."""
    return None if tell is None else lambda share: tell((number + share) / parts)


def problem_of(lives: Lives, chart: Chart, weight: Floats, priors: Priors, *, types: int, moods: int) -> Problem:
    """Set up the problem of some customers."""
    P, D = len(chart.acts), len(chart.decay)
    E, Z = int(chart.acts.max(initial=-1)) + 1, P
    events = np.bincount(lives.code, np.repeat(weight, np.diff(lives.offsets)), P)
    days = float(weight @ (lives.end - lives.time[lives.offsets[:-1]]))
    overall = np.asarray((events + HALF) / max(days, 1.0), np.float64)
    return Problem(lives, chart, overall, np.zeros((E, Z, D)), np.ones((E, Z, D), np.bool_), priors, types, moods)
