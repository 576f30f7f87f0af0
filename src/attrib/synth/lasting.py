"""The life of a customer after the first purchase, with `Population.later`: what they do until they leave.

A continuous-time Markov chain, so that its truth can be computed: the state is the level of satisfaction (one of
LEVELS) and whether an ask to refer is fresh. Touches that are felt redraw the level; everything else happens at rates
that the state, the customer's own constants and, for contracts, the tenure determine. As before the purchase, every
process has its own stream of unit exponentials.

L = LEVELS. Times are float64 days since the start of the data.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attrib.kernels._jit import jit
from attrib.synth.random import exponential, gamma, normal, process_key, stream_key, uniform
from attrib.synth.records import (
    ASK,
    CANCEL,
    GONE,
    INTENT,
    LEVELS,
    LOYALTY,
    PURCHASE,
    REFERRAL,
    VISIT,
    Life,
    Params,
    doubled,
)  # fmt: skip

_LATER = np.uint64(process_key("later"))
_LEVEL = np.uint64(process_key("level"))
_FELT = np.uint64(process_key("felt"))
_SURVEY = np.uint64(process_key("survey"))
_FIRST = np.uint64(process_key("first level"))
_MOOD = np.uint64(process_key("mood"))
_FRAILTY = np.uint64(process_key("frailty"))
_RATE = np.uint64(process_key("rate"))
_DROP_A = np.uint64(process_key("dropout a"))
_DROP_B = np.uint64(process_key("dropout b"))
_DROPS = np.uint64(process_key("dropout"))
_CANCELS = np.uint64(process_key("cancel"))
_ASKED = np.uint64(process_key("asked"))
_FADE = np.uint64(process_key("fade"))

_STEP = 2.0 / (LEVELS - 1)  # levels lie at -1, -0.5, 0, 0.5, 1
_AGAIN = 1 << 32  # first index of draws after the first purchase: those before it have lower ones


class Lasting(NamedTuple):
    """What stays the same of one customer after the first purchase."""

    leave: NDArray[np.float64]  # L. Contract: multiple of the cumulative hazard; else rate of dying, a day
    drop: NDArray[np.float64]  # L: chance to die at a repeat purchase; 0 with a contract
    refer: NDArray[np.float64]  # 2, L: rate of referrals, a day; [1]: while an ask is fresh
    ask: NDArray[np.float64]  # L: chance to be asked by a campaign
    rate: float  # repeat purchases a day
    touch: NDArray[np.float64]  # C: touches a day
    mean: NDArray[np.float64]  # C: satisfaction around which a touch that is felt draws; nan: none is felt
    redraw: float  # touches that are felt, a day
    levels: NDArray[np.float64]  # L: distribution of the level after one
    mood: float
    milestone: NDArray[np.float64]  # visits and intents a day


@jit
def satisfaction(level: int) -> float:
    """The number that a level stands for, -1 ... 1."""
    return -1.0 + _STEP * float(level)


@jit
def _level(x: float) -> int:
    return min(max(math.floor((x + 1.0) / _STEP + 0.5), 0), LEVELS - 1)


@jit
def _below(x: float, mean: float, sd: float) -> float:
    if sd == 0.0:
        return 1.0 if mean < x else 0.0
    return 0.5 * math.erfc((mean - x) / (sd * math.sqrt(2.0)))


@jit
def lasting(key: np.uint64, advocate: bool, z: float, w: float, p: Params) -> Lasting:
    """Draw one customer's constants."""
    q = p.later
    C = p.lift.shape[0]
    mood = q.mood * normal(stream_key(key, _MOOD), 0)
    rate = gamma(stream_key(key, _RATE), q.rate_shape) / q.rate_days
    a = gamma(stream_key(key, _DROP_A), q.drop_a)
    b = gamma(stream_key(key, _DROP_B), q.drop_b)
    stays = b / (a + b) if a + b > 0.0 else 1.0
    frailty = 1.0
    if q.frailty > 0.0:
        frailty = q.frailty * gamma(stream_key(key, _FRAILTY), 1.0 / q.frailty)
    leave, drop, ask = np.empty(LEVELS), np.zeros(LEVELS), np.empty(LEVELS)
    refer = np.empty((2, LEVELS))
    for i in range(LEVELS):
        s = satisfaction(i)
        factor = math.exp(-q.keeps * s) * (q.loyal if advocate else 1.0)
        if q.contract:
            leave[i] = frailty * factor
        else:
            drop[i] = 1.0 - stays**factor
            leave[i] = rate * drop[i]
        refer[0, i] = q.refers * (p.enthusiasm if advocate else 1.0) * math.exp(q.delight * s)
        refer[1, i] = refer[0, i] * (1.0 + q.ask_lift)
        ask[i] = 1.0 / (1.0 + math.exp(-(q.asked + q.ask_bias * (s + advocate))))
    touch, mean = np.empty(C), np.empty(C)
    levels = np.zeros(LEVELS)
    redraw = 0.0
    for k in range(C):
        touch[k] = p.exposure[k, LOYALTY] * math.exp(p.traits[k].intent * z + p.traits[k].digital * w)
        mean[k] = p.traits[k].satisfies + mood
        if not math.isnan(mean[k]):
            felt = q.felt * touch[k]
            redraw += felt
            for i in range(LEVELS):
                low = _below(satisfaction(i) - 0.5 * _STEP, mean[k], q.swing) if i > 0 else 0.0
                high = _below(satisfaction(i) + 0.5 * _STEP, mean[k], q.swing) if i < LEVELS - 1 else 1.0
                levels[i] += felt * (high - low)
    if redraw > 0.0:
        levels /= redraw
    milestone = np.empty(2)
    factor = math.exp(p.log_hazard * (z - 0.5 * p.log_hazard))
    milestone[VISIT] = p.organic[LOYALTY, VISIT] * factor
    milestone[INTENT] = p.organic[LOYALTY, INTENT] * factor
    return Lasting(leave, drop, refer, ask, rate, touch, mean, redraw, levels, mood, milestone)


@jit
def first_level(key: np.uint64, me: Lasting, p: Params) -> int:
    """Satisfaction with the first purchase."""
    return int(_level(me.mood + p.later.swing * normal(stream_key(key, _FIRST), 0)))


@jit
def hazard(tenure: float, p: Params) -> float:
    """Cumulative hazard of cancelling a contract by this tenure, at satisfaction 0 and frailty 1."""
    return float((tenure / p.later.scale) ** p.later.shape)


@jit
def _next(now: float, remaining: float, rate: float) -> float:
    return now + max(remaining, 0.0) / rate if rate > 0.0 else math.inf


@jit
def live_on(
    key: np.uint64, start: float, me: Lasting, p: Params, life: Life, n: int, dates: NDArray[np.float64],
    marks: NDArray[np.int64],
) -> tuple[int, Life]:  # fmt: skip
    """Add the events after the first purchase (at `start`) to the n of a life; returns how many there are then.

    `marks` receives the state at each of the `dates` (ascending), just before it, unless that is before the purchase.
    """
    q = p.later
    C = p.lift.shape[0]
    # Processes of constant rate: channels, visit, intent, repeat purchase.
    K = C + PURCHASE + 1
    streams = np.empty(K, np.uint64)
    rates = np.empty(K)
    upcoming = np.empty(K)
    index = np.zeros(K, np.int64)
    for k in range(K):
        streams[k] = stream_key(key, p.keys[k] ^ _LATER)
        rates[k] = me.touch[k] if k < C else (me.rate if k == C + PURCHASE else me.milestone[k - C])
        upcoming[k] = _next(start, exponential(streams[k], 0), rates[k])
    refers = stream_key(key, p.keys[C + REFERRAL] ^ _LATER)
    referrals = 0
    to_refer = exponential(refers, 0)
    to_leave = exponential(stream_key(key, _CANCELS), 0) if q.contract else math.inf
    campaign = math.floor(start / q.ask_every) + 1
    level = first_level(key, me, p)
    fresh = 0
    fades = math.inf
    since = start
    leaves = math.inf
    changed = True
    mark = 0
    while mark < dates.size and dates[mark] <= start:
        mark += 1
    t, refer_at = start, math.inf
    while True:
        if changed:
            refer_at = _next(t, to_refer, me.refer[fresh, level])
            if q.contract:
                until = hazard(t - start, p) + max(to_leave, 0.0) / me.leave[level]
                leaves = max(t, start + q.scale * until ** (1.0 / q.shape))
            changed = False
        k = 0
        t = upcoming[0]
        for j in range(1, K):
            if upcoming[j] < t:
                t = upcoming[j]
                k = j
        asks = campaign * q.ask_every if q.ask_every < math.inf else math.inf
        if refer_at < t:
            t = refer_at
            k = C + REFERRAL
        if leaves < t:
            t = leaves
            k = C + CANCEL
        if asks < t:
            t = asks
            k = C + ASK
        if fades < t:
            t = fades
            k = -1
        while mark < dates.size and dates[mark] <= min(t, p.days):
            marks[mark] = level + LEVELS * fresh
            mark += 1
        if t >= p.days:
            return n, life
        next_level, next_fresh = level, fresh
        draw = _AGAIN
        recorded = k >= 0
        score = math.nan
        if k < 0:
            next_fresh = 0
            fades = math.inf
        elif k == C + ASK:
            draw += campaign
            recorded = uniform(stream_key(key, _ASKED), campaign) < me.ask[level]
            if recorded:
                next_fresh = 1
                fades = t + q.ask_memory * exponential(stream_key(key, _FADE), campaign)
            campaign += 1
        elif k == C + REFERRAL:
            draw += referrals
            referrals += 1
        elif k < K:
            draw += index[k]
            index[k] += 1
            upcoming[k] = _next(t, exponential(streams[k], index[k]), rates[k])
            if k < C and not math.isnan(me.mean[k]):
                if uniform(stream_key(key, p.keys[k] ^ _FELT), draw) < q.felt:
                    next_level = _level(me.mean[k] + q.swing * normal(stream_key(key, p.keys[k] ^ _LEVEL), draw))
                    if uniform(stream_key(key, p.keys[k] ^ _SURVEY), draw) < q.surveyed:
                        score = satisfaction(next_level)
        if recorded:
            if n == life.time.size:
                life = Life(doubled(life.time), doubled(life.process), doubled(life.draw), doubled(life.score))
            life.time[n] = t
            life.process[n] = k
            life.draw[n] = draw
            life.score[n] = score
            n += 1
        gone = k == C + CANCEL
        if k == C + PURCHASE:
            gone = uniform(stream_key(key, _DROPS), index[k]) < me.drop[level]
        if gone:
            marks[mark:] = GONE
            return n, life
        if next_level != level or next_fresh != fresh or k == C + REFERRAL:
            to_refer -= me.refer[fresh, level] * (t - since)
            if k == C + REFERRAL:
                to_refer = exponential(refers, referrals)
            if q.contract:
                to_leave -= me.leave[level] * (hazard(t - start, p) - hazard(since - start, p))
            level, fresh, since = next_level, next_fresh, t
            changed = True
