"""The life of a customer, event by event, up to the end of the data or to where `attrib.synth.lasting` takes over.

Each channel's touches and each outcome are a point process with its own stream of unit exponentials,
used up at the process's current rate (the next-reaction method, Gibson & Bruck 2000; as a coupling of
two worlds, the common-reaction-path method, Rathinam et al. 2010). So two worlds that differ in one
channel share every draw, and events shift only through the effects of that channel.

The rate of a process is ``base * (1 + sum of amplitudes, each fading exponentially)``. The base changes with the stage,
with the window and the customer's mood, and with the season. The amplitudes of the outcome that leaves the stage are
the lift of touches; those of channels are what other touches and outcomes have induced.

C channels, M = 4 outcomes, K = C + M processes, S = 5 stages, F fading times. Times are float64 days since the start of
the data.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from attrib.kernels._jit import jit
from attrib.synth.random import exponential, normal, process_key, stream_key, uniform
from attrib.synth.records import (
    ADVOCACY,
    INTENT,
    LOYALTY,
    PURCHASE,
    REFERRAL,
    VISIT,
    Life,
    M,
    Params,
    doubled,
)  # fmt: skip

# The outcome that leaves each stage, which touches lift.
_MILESTONE = np.array([VISIT, INTENT, PURCHASE, PURCHASE, REFERRAL], np.int64)

WINDOW = np.uint64(process_key("window"))
_INTENT = np.uint64(process_key("intent"))
_DIGITAL = np.uint64(process_key("digital"))
_ADVOCATE = np.uint64(process_key("advocate"))
_MOOD = np.uint64(process_key("wander"))
SHIFT = np.uint64(process_key("wander time"))

_ADVOCATE_INTENT = 0.8  # standard deviations
_FAINT = 1e-12  # what is left of a boost, below which it is over


@jit
def consumed(base: float, amplitude: NDArray[np.float64], j: int, fades: NDArray[np.float64], dt: float) -> float:
    """Integral over dt of base * (1 + the sum of amplitude[j] * exp(-t / fades))."""
    area = dt
    for f in range(fades.size):
        if amplitude[j, f] != 0.0:
            area -= amplitude[j, f] * fades[f] * math.expm1(-dt / fades[f])
    return float(base * area)


@jit
def wait(base: float, amplitude: NDArray[np.float64], j: int, fades: NDArray[np.float64], remaining: float) -> float:
    """The dt at which `consumed` reaches `remaining`."""
    if base <= 0.0:
        return math.inf
    if remaining <= 0.0:
        return 0.0
    target = remaining / base
    # Newton from the left: the integral is concave, so every tangent's root lies short of ours.
    height = _height(amplitude, j)
    if height == 1.0:
        return target
    x = target / height
    for _ in range(50):
        short, slope = target - x, 1.0
        for f in range(fades.size):
            if amplitude[j, f] != 0.0:
                fade = math.exp(-x / fades[f])
                short -= amplitude[j, f] * fades[f] * (1.0 - fade)
                slope += amplitude[j, f] * fade
        step = short / slope
        x += step
        if abs(step) <= 1e-9:
            break
    return float(x)


@jit
def is_advocate(key: np.uint64, share: float) -> bool:
    """Whether a customer likes to recommend, as that share of them does."""
    return bool(uniform(stream_key(key, _ADVOCATE), 0) < share)


@jit
def person(key: np.uint64, advocates: float) -> tuple[bool, float, float]:
    """Who a customer is: an advocate?, lasting intent and digital affinity in standard deviations."""
    advocate = is_advocate(key, advocates)
    z = normal(stream_key(key, _INTENT), 0)
    if advocate:
        z += _ADVOCATE_INTENT
    return advocate, z, normal(stream_key(key, _DIGITAL), 0)


@jit
def inclined(key: np.uint64, advocate: bool, z: float, shift: int, wander: float) -> float:
    """Intent after so many redraws of the part that does not last."""
    lasting = _ADVOCATE_INTENT if advocate else 0.0
    mood = normal(stream_key(key, _MOOD), shift)
    return float(lasting + math.sqrt(1.0 - wander) * (z - lasting) + math.sqrt(wander) * mood)


@jit
def _factors(advocate, z, w, traits, log_hazard, enthusiasm, out):
    """What intent and digital affinity make of each base."""
    C = traits.size
    for k in range(C):
        out[k] = math.exp(traits[k].intent * z + traits[k].digital * w)
    out[C:] = math.exp(log_hazard * (z - 0.5 * log_hazard))
    if advocate:
        out[C + REFERRAL] *= enthusiasm


@jit
def _effect(k: int, t: float, before: NDArray[np.float64], p: Params) -> float:
    """Factor of the lift of a touch of channel k; counts the touch in the stock of its own kind."""
    me = p.traits[k]
    effect = math.exp(me.drift * t)
    if me.wearout > 0.0:
        stock = max(before[1, k], 0.0) * math.exp(-(t - before[0, k]) / p.fades[me.fade])
        effect /= 1.0 + me.wearout * stock
        before[1, k] = stock + 1.0
    for i in range(p.traits.size):
        pair = p.links[k, i].pair
        if pair != 1.0:
            effect *= 1.0 + (pair - 1.0) * math.exp(-(t - before[0, i]) / p.fades[p.traits[i].fade])
    return effect


@jit
def _fade(amplitude: NDArray[np.float64], j: int, fades: NDArray[np.float64], dt: float) -> None:
    for f in range(fades.size):
        if amplitude[j, f] != 0.0:
            amplitude[j, f] *= math.exp(-dt / fades[f])
            if amplitude[j, f] < _FAINT:
                amplitude[j, f] = 0.0


@jit
def _height(amplitude: NDArray[np.float64], j: int) -> float:
    height = 1.0
    for f in range(amplitude.shape[1]):
        height += amplitude[j, f]
    return float(height)


@jit
def _raised(amplitude: NDArray[np.float64], j: int) -> bool:
    for f in range(amplitude.shape[1]):
        if amplitude[j, f] != 0.0:
            return True
    return False


@jit
def live(key: np.uint64, arrival: float, recruited: bool, p: Params, life: Life) -> tuple[int, Life]:
    """Simulate one customer from arrival to the end of the data, or to the first purchase where they live on then.

    Returns the number of events.
    """
    C = p.lift.shape[0]
    K = C + M
    S = p.lift.shape[1]
    fades = p.fades
    F = fades.size
    advocate, constant, w = person(key, p.advocates)
    z = constant
    window = arrival + p.window * exponential(stream_key(key, WINDOW), 0)
    shifts = 0
    shift = math.inf  # when the mood changes
    if p.wander > 0.0:
        z = inclined(key, advocate, constant, 0, p.wander)
        shift = arrival + p.wander_days * exponential(stream_key(key, SHIFT), 0)
    season = 0
    while p.season[season, K] <= arrival:
        season += 1

    streams = np.empty(K, np.uint64)
    factor = np.empty(K)
    for k in range(K):
        streams[k] = stream_key(key, p.keys[k])
    _factors(advocate, z, w, p.traits, p.log_hazard, p.enthusiasm, factor)

    base = np.zeros(K)
    amplitude = np.zeros((K, F))
    first = 0 if p.boosts else C  # process from which on amplitudes may differ from 0
    since = np.full(K, arrival)
    remaining = np.empty(K)
    upcoming = np.empty(K)  # when each process fires next; inf while it is unsolved
    # Processes under a fading amplitude whose time is not solved: most touches do not bring the milestone.
    unsolved = np.zeros(K, np.bool_)
    open_ = 0
    index = np.zeros(K, np.int64)
    for k in range(K):
        remaining[k] = exponential(streams[k], 0)
    stock = np.zeros((S, F))  # accumulated lift of each stage, as of `stocked`
    stocked = arrival
    before = np.full((2, C), -math.inf)  # last touch of each channel; its ad-stock as of then

    t, stage, purchases, n = arrival, 0, 0, 0
    active = True
    restart = True
    # A recruit begins with the touch that brought them.
    k = p.word_of_mouth if recruited else -1
    which = -1
    while True:
        reached = k >= C or (k >= 0 and (which < 0 or p.reaches[k, stage]))
        if reached:
            if n == life.time.size:
                life = Life(doubled(life.time), doubled(life.process), doubled(life.draw), doubled(life.score))
            life.time[n] = t
            life.process[n] = k
            life.draw[n] = which
            n += 1
        if k >= C:
            outcome = k - C
            entered = stage
            if outcome == VISIT:
                stage = max(stage, 1)
            elif outcome == INTENT:
                stage = max(stage, 2)
            elif outcome == PURCHASE:
                if p.later.on:
                    return n, life
                purchases += 1
                stage = max(stage, LOYALTY if purchases == 1 else ADVOCACY)
            else:
                stage = ADVOCACY
            restart = stage != entered
        elif reached:
            if p.traits[k].lifts:
                # A null channel must not come here: even a change of rounding would desynchronise replays.
                effect = _effect(k, t, before, p) if p.traits[k].modified else 1.0
                for f in range(F):
                    fade = math.exp(-(t - stocked) / fades[f])
                    for s in range(S):
                        stock[s, f] *= fade
                for s in range(S):
                    level = 0.0
                    for f in range(F):
                        level += stock[s, f]
                    stock[s, p.traits[k].fade] += effect * p.lift[k, s] * max(0.0, 1.0 - level / p.saturation)
                stocked = t
                m = C + _MILESTONE[stage]
                if not restart:
                    remaining[m] -= consumed(base[m], amplitude, m, fades, t - since[m])
                    since[m] = t
                    for f in range(F):
                        amplitude[m, f] = stock[stage, f]
                    upcoming[m] = math.inf
                    open_ += not unsolved[m]
                    unsolved[m] = True
            before[0, k] = t
        if p.boosts and reached and (k >= C or p.traits[k].boosts):
            for j in range(C):
                if p.links[k, j].boost > 0.0:
                    remaining[j] -= consumed(base[j], amplitude, j, fades, t - since[j])
                    _fade(amplitude, j, fades, t - since[j])
                    since[j] = t
                    amplitude[j, p.links[k, j].fade] += p.links[k, j].boost
                    upcoming[j] = math.inf
                    open_ += not unsolved[j]
                    unsolved[j] = True
        if restart:
            slow = 1.0 if active or stage >= LOYALTY else p.dormant
            for j in range(K):
                if j < first:
                    remaining[j] -= base[j] * (t - since[j])
                else:
                    remaining[j] -= consumed(base[j], amplitude, j, fades, t - since[j])
                    _fade(amplitude, j, fades, t - since[j])
                since[j] = t
                if j < C:
                    base[j] = p.exposure[j, stage] * factor[j] * slow
                else:
                    base[j] = p.organic[stage, j - C] * factor[j] * slow
                    for f in range(F):
                        amplitude[j, f] = 0.0
                if p.season.shape[0] > 1:
                    base[j] *= p.season[season, j]
            m = C + _MILESTONE[stage]
            for f in range(F):
                amplitude[m, f] = stock[stage, f] * math.exp(-(t - stocked) / fades[f])
        if k >= 0 and which >= 0:
            index[k] += 1
            remaining[k] = exponential(streams[k], index[k])
            if first <= k < C:
                _fade(amplitude, k, fades, t - since[k])
            since[k] = t
            if not restart:
                upcoming[k] = t + remaining[k] / base[k]  # it has fired, so its base is not 0
                if k == C + _MILESTONE[stage]:
                    # The lift has faded since it was last written down.
                    for f in range(F):
                        amplitude[k, f] = stock[stage, f] * math.exp(-(t - stocked) / fades[f])
                if k >= first and _raised(amplitude, k):
                    upcoming[k] = math.inf
                    open_ += not unsolved[k]
                    unsolved[k] = True
        if restart:
            open_ = 0
            for j in range(K):
                upcoming[j] = t + remaining[j] / base[j] if base[j] > 0.0 else math.inf
                if j >= first:
                    unsolved[j] = _raised(amplitude, j)
                    if unsolved[j]:
                        upcoming[j] = math.inf
                        open_ += 1
            restart = False

        k = 0
        t = math.inf
        for j in range(K):
            if upcoming[j] < t:
                t = upcoming[j]
                k = j
        alarm = min(window if active else math.inf, shift, p.season[season, K])
        if open_ > 0:
            # Solve only for what comes before everything else.
            for j in range(first, K):
                if unsolved[j]:
                    dt = min(t, p.days, alarm) - since[j]
                    if base[j] * dt * _height(amplitude, j) < remaining[j]:
                        continue  # not even if nothing faded
                    if consumed(base[j], amplitude, j, fades, dt) >= remaining[j]:
                        unsolved[j] = False
                        open_ -= 1
                        upcoming[j] = since[j] + wait(base[j], amplitude, j, fades, remaining[j])
                        if upcoming[j] < t:
                            t = upcoming[j]
                            k = j
        if alarm < t:
            t = alarm
            k = -1
            if active and t == window:
                active = False
                restart = stage < LOYALTY
            if t == p.season[season, K]:
                season += 1
                restart = True
            if t == shift:
                shifts += 1
                z = inclined(key, advocate, constant, shifts, p.wander)
                shift = t + p.wander_days * exponential(stream_key(key, SHIFT), shifts)
                _factors(advocate, z, w, p.traits, p.log_hazard, p.enthusiasm, factor)
                restart = True
            if not restart and t < p.days:
                continue
        if t >= p.days:
            return n, life
        if k >= 0:
            which = index[k]
