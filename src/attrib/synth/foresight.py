"""What lasting customers will do, computed from the chain of `attrib.synth.lasting` instead of drawn from it.

Probabilities and expectations obey Kolmogorov's backward equations: linear differential equations over the states,
solved backwards in time by steps of the exponential's Taylor series of order four. The rates of a contract's end change
with tenure; within a step they are constant, with the exact integral.

L = LEVELS; A = 2 where it matters whether an ask is fresh, else 1. Times are float64 days since the start of the data.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attrib.kernels._jit import jit
from attrib.synth.clocks import by_week, clock, day_of, from_week
from attrib.synth.kernels import born, mean_revenue, revenue, told, whole_life
from attrib.synth.lasting import Lasting, first_level, hazard, lasting, satisfaction
from attrib.synth.living import person
from attrib.synth.random import customer_key
from attrib.synth.records import LEVELS, NOT_YET, PURCHASE, REFERRAL, Params, new_life

_LONGEST = 4.0  # days of a step
_FINE = 0.25  # and rate × days of one: the series is then right to 1e-5 of what a step changes


class Foreseen(NamedTuple):
    """Truth of R pairs of customer and date, and of the B customers who have bought at all."""

    customer: NDArray[np.int64]  # R
    date: NDArray[np.int64]  # R: index
    alive: NDArray[np.bool_]  # R
    numbers: NDArray[np.float64]  # R, 11: see COLUMNS of attrib.synth.truths
    buyer: NDArray[np.int64]  # B
    referrer: NDArray[np.int64]  # B; -1: nobody
    acquired: NDArray[np.int64]  # B: microseconds since the start
    touched: NDArray[np.bool_]  # B: is there a touch of the referral?
    referrals: NDArray[np.int64]  # B
    spent: NDArray[np.float64]  # B
    expected: NDArray[np.float64]  # B

    def cut_to_size(self, pairs: int, buyers: int) -> Foreseen:
        """The first pairs and buyers, without the room behind them (copies: a view would keep it alive)."""
        sizes = [pairs] * 4 + [buyers] * 7
        return Foreseen._make(column[:size].copy() for column, size in zip(self, sizes, strict=True))


@jit
def _slope(f, kill, event, me, fade, out):
    """The generator applied to f, A × L."""
    for a in range(f.shape[0]):
        mean = 0.0
        for i in range(LEVELS):
            mean += me.levels[i] * f[a, i]
        for i in range(LEVELS):
            out[a, i] = me.redraw * (mean - f[a, i]) - (kill[i] + event[a, i]) * f[a, i]
            if a == 1:
                out[a, i] += fade * (f[0, i] - f[1, i])


@jit
def back(
    f: NDArray[np.float64], late: float, early: float, date: float, start: float, me: Lasting,
    event: NDArray[np.float64],    dead: float, source: float, dies: bool, p: Params,
) -> None:  # fmt: skip
    """Take f, A × L, the expectation given the state at `late`, to the one given the state at `early`.

    At the rates `event`, A × L, it becomes 0; when the customer leaves, `dead` (never, unless `dies`); it grows by
    `source` a day. Where A = 2, campaigns after `date` ask.
    """
    q = p.later
    asks = f.shape[0] == 2
    fade = 1.0 / q.ask_memory if asks else 0.0
    constant = me.redraw + fade + event.max()
    if dies and not q.contract:
        constant += me.leave.max()
    kill = me.leave.copy() if dies and not q.contract else np.zeros(LEVELS)
    now, then = np.empty_like(f), np.empty_like(f)
    t = late
    while t > early:
        step = min(_LONGEST, _FINE / constant) if constant > 0.0 else _LONGEST
        until = max(early, t - step)
        if asks and q.ask_every < math.inf:
            until = max(until, (math.ceil(t / q.ask_every) - 1.0) * q.ask_every)
        if dies and q.contract:
            most = _FINE / me.leave.max()
            while hazard(t - start, p) - hazard(until - start, p) > most and t - until > 1e-9:
                until = 0.5 * (t + until)
            for i in range(LEVELS):
                kill[i] = me.leave[i] * (hazard(t - start, p) - hazard(until - start, p)) / (t - until)
        step = t - until
        _slope(f, kill, event, me, fade, now)
        now += source
        for i in range(LEVELS):
            now[:, i] += dead * kill[i]
        f += step * now
        weight = step
        for order in range(2, 5):
            _slope(now, kill, event, me, fade, then)
            now, then = then, now
            weight *= step / order
            f += weight * now
        t = until
        if asks and t > date and t % q.ask_every == 0.0:
            f[0] = me.ask * f[1] + (1.0 - me.ask) * f[0]


@jit
def _purchases(start: float, date: float, ahead: float, me: Lasting, p: Params) -> NDArray[np.float64]:
    """Expected repeat purchases in (date, date + ahead], given each level."""
    f = np.zeros((1, LEVELS))
    back(f, date + ahead, date, date, start, me, np.zeros((1, LEVELS)), 0.0, me.rate, True, p)
    g: NDArray[np.float64] = f[0]
    return g


@jit
def _foresee(
    start: float, date: float, near: float, end: float, ahead: float, me: Lasting, p: Params, state: int,
    out: NDArray[np.float64],
) -> None:  # fmt: skip
    """The numbers of a customer who is there at the date, for the window (near, end].

    `state`: level, plus LEVELS while an ask is fresh.
    """
    level, fresh = state % LEVELS, state // LEVELS
    nothing = np.zeros((1, LEVELS))
    stays = np.ones((1, LEVELS))
    back(stays, near, date, date, start, me, nothing, 0.0, 0.0, True, p)
    lasts = np.ones((1, LEVELS))
    back(lasts, end, date, date, start, me, nothing, 0.0, 0.0, True, p)
    idle = np.ones((1, LEVELS))
    # Without a contract customers leave at purchases alone: in the window the purchase has come first.
    back(idle, end, near, date, start, me, np.full((1, LEVELS), me.rate), 1.0, 0.0, p.later.contract, p)
    back(idle, near, date, date, start, me, nothing, 1.0, 0.0, True, p)
    mute = np.ones((2, LEVELS))
    back(mute, end, near, date, start, me, me.refer, 1.0, 0.0, True, p)
    back(mute, near, date, date, start, me, np.zeros((2, LEVELS)), 1.0, 0.0, True, p)
    asked, unasked = 1.0 - mute[1, level], 1.0 - mute[fresh, level]
    campaign = p.later.ask_every < math.inf and date > 0.0 and date % p.later.ask_every == 0.0
    out[0] = date - start
    out[1] = satisfaction(level)
    out[2] = stays[0, level]
    out[3] = 1.0 - lasts[0, level] / stays[0, level] if stays[0, level] > 0.0 else math.nan
    out[4] = 1.0 - idle[0, level]
    out[5] = me.ask[level] * asked + (1.0 - me.ask[level]) * unasked if campaign else unasked
    out[6] = asked
    out[7] = unasked
    out[8] = me.ask[level]
    out[9] = _purchases(start, date, ahead, me, p)[level]


@jit
def foresee(
    seed: np.uint64, first: int, count: int, dates: NDArray[np.int64], gap: int, horizon: int, ahead: float, p: Params
) -> tuple[Foreseen, int, int]:  # fmt: skip
    """Truth of the customers first, ..., first + count - 1 at the dates (ascending, microseconds since the start).

    `gap` and `horizon` in microseconds too. Returns columns with room to spare, and the numbers of pairs and buyers.
    """
    C, D = p.lift.shape[0], dates.size
    days, near, end, marks = np.empty(D), np.empty(D), np.empty(D), np.empty(D, np.int64)
    for j in range(D):
        days[j] = from_week(day_of(dates[j]), p.week, p.days)
        near[j] = from_week(day_of(dates[j] + gap), p.week, p.days)
        end[j] = from_week(day_of(dates[j] + gap + horizon), p.week, p.days)
    life = new_life()
    customer, date = np.empty(count * D, np.int64), np.empty(count * D, np.int64)
    alive, numbers = np.empty(count * D, np.bool_), np.empty((count * D, 11))
    buyer, referrer, acquired = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int64)
    touched, referrals = np.empty(count, np.bool_), np.empty(count, np.int64)
    spent, expected = np.empty(count), np.empty(count)
    R = 0
    B = 0
    for c in range(first, first + count):
        arrival, parent, life = born(seed, c, p, life)
        if math.isnan(arrival):
            continue
        key = customer_key(seed, c)
        n, life = whole_life(key, arrival, parent >= 0, p, life, days, marks)
        start = math.nan
        for i in range(n):
            if life.process[i] == C + PURCHASE:
                if math.isnan(start):
                    start = life.time[i]
                    spent[B] = 0.0
                    expected[B] = revenue(key, life.draw[i], p)
                    acquired[B] = clock(by_week(start, p.week, p.days))
                    referrals[B] = 0
                spent[B] += revenue(key, life.draw[i], p)
            elif life.process[i] == C + REFERRAL:
                referrals[B] += 1
        if math.isnan(start):
            continue
        advocate, z, w = person(key, p.advocates)
        me = lasting(key, advocate, z, w, p)
        worth = mean_revenue(key, p)
        expected[B] += worth * _purchases(start, start, ahead, me, p)[first_level(key, me, p)]
        buyer[B] = c
        referrer[B] = parent
        touched[B] = parent >= 0 and p.word_of_mouth >= 0 and told(key, p)
        B += 1
        for j in range(D):
            if marks[j] == NOT_YET:
                continue
            customer[R] = c
            date[R] = j
            alive[R] = marks[j] >= 0
            numbers[R] = 0.0
            if marks[j] >= 0:
                _foresee(start, days[j], near[j], end[j], ahead, me, p, marks[j], numbers[R])
                numbers[R, 10] = worth * numbers[R, 9]
            else:
                numbers[R, 0] = days[j] - start
                numbers[R, 1] = numbers[R, 3] = numbers[R, 8] = math.nan
            R += 1
    return (
        Foreseen(customer, date, alive, numbers, buyer, referrer, acquired, touched, referrals, spent, expected),
        R,
        B,
    )
