"""The life of a customer, event by event.

Each channel's touches and each outcome are a point process with its own stream of unit exponentials,
used up at the process's current rate (the next-reaction method, Gibson & Bruck 2000; as a coupling of
two worlds, the common-reaction-path method, Rathinam et al. 2010). So two worlds that differ in one
channel share every draw, and events shift only through the effects of that channel.

C channels, M = 4 outcomes, S = 5 stages. Times are float64 days since the start of the data.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from attrib.kernels._jit import jit
from attrib.synth.lasting import lasting, live_on
from attrib.synth.random import customer_key, exponential, normal, process_key, stream_key, uniform
from attrib.synth.records import (
    ADVOCACY,
    ASK,
    DAY_US,
    INTENT,
    LOYALTY,
    NOT_YET,
    PURCHASE,
    REFERRAL,
    REFERRED,
    VISIT,
    Events,
    Life,
    M,
    Params,
    doubled,
    new_life,
)  # fmt: skip

# The outcome that leaves each stage, which touches lift.
_MILESTONE = np.array([VISIT, INTENT, PURCHASE, PURCHASE, REFERRAL], np.int64)

_ARRIVAL = np.uint64(process_key("arrival"))
_WINDOW = np.uint64(process_key("window"))
_INTENT = np.uint64(process_key("intent"))
_DIGITAL = np.uint64(process_key("digital"))
_ADVOCATE = np.uint64(process_key("advocate"))
_RECRUIT = np.uint64(process_key("recruit"))
_SPEND = np.uint64(process_key("spend"))
_CLICK = np.uint64(process_key("click"))
_COST = np.uint64(process_key("cost"))
_TOLD = np.uint64(process_key("told"))

_ADVOCATE_INTENT = 0.8  # standard deviations
_DELAY = 5.0  # mean days from a referral to the recruit's arrival
_PROBES = 48  # customer numbers a recruit tries for an advocate: 1 - 0.85 ** 48 = 0.9996
_GENERATIONS = 64
UNAIDED, NOBODY = -1, -2  # instead of a parent: comes without a referral; a recruit for whom no referrer is found
_US_PER_MS = 1_000


@jit
def _consumed(base: float, lift: float, carryover: float, dt: float) -> float:
    """Integral over dt of base * (1 + lift * exp(-t / carryover))."""
    if lift == 0.0:
        return base * dt
    return base * (dt - lift * carryover * math.expm1(-dt / carryover))


@jit
def _wait(base: float, lift: float, carryover: float, remaining: float) -> float:
    """The dt at which `_consumed` reaches `remaining`."""
    if base <= 0.0:
        return math.inf
    if remaining <= 0.0:
        return 0.0
    if lift == 0.0:
        return remaining / base
    # Newton from the left: the integral is concave, so every tangent's root lies short of ours.
    target = remaining / base
    x = target / (1.0 + lift)
    for _ in range(50):
        fade = math.exp(-x / carryover)
        step = (target - x - lift * carryover * (1.0 - fade)) / (1.0 + lift * fade)
        x += step
        if abs(step) <= 1e-9:
            break
    return x


@jit
def _is_advocate(key: np.uint64, p: Params) -> bool:
    return bool(uniform(stream_key(key, _ADVOCATE), 0) < p.advocates)


@jit
def person(key: np.uint64, p: Params) -> tuple[bool, float, float]:
    """Who a customer is: an advocate?, intent and digital affinity in standard deviations."""
    advocate = _is_advocate(key, p)
    z = normal(stream_key(key, _INTENT), 0)
    if advocate:
        z += _ADVOCATE_INTENT
    return advocate, z, normal(stream_key(key, _DIGITAL), 0)


@jit
def _live(key: np.uint64, arrival: float, recruited: bool, p: Params, life: Life) -> tuple[int, Life]:
    """Simulate one customer from arrival to the end of the data, or to the first purchase where they live on then.

    Returns the number of events.
    """
    C = p.lift.shape[0]
    K = C + M
    advocate, z, w = person(key, p)
    window = arrival + p.window * exponential(stream_key(key, _WINDOW), 0)

    streams = np.empty(K, np.uint64)
    factor = np.empty(K)
    for k in range(K):
        streams[k] = stream_key(key, p.keys[k])
        if k < C:
            factor[k] = math.exp(p.intent[k] * z + p.digital[k] * w)
        else:
            factor[k] = math.exp(p.log_hazard * (z - 0.5 * p.log_hazard))
    if advocate:
        factor[C + REFERRAL] *= p.enthusiasm

    base = np.zeros(K)
    amplitude = np.zeros(K)
    since = np.full(K, arrival)
    remaining = np.empty(K)
    upcoming = np.empty(K)  # when each process fires next; inf while `lifted` and not yet solved
    index = np.zeros(K, np.int64)
    for k in range(K):
        remaining[k] = exponential(streams[k], 0)
    stock = np.zeros(p.lift.shape[1])  # accumulated lift of each stage, as of `stocked`
    stocked = arrival

    t, stage, purchases, n = arrival, 0, 0, 0
    active = True
    restart = True
    lifted = False  # is the stage's milestone under a fading lift, its time unsolved?
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
            before = stage
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
            restart = stage != before
        elif reached and p.lifts[k]:
            # A null channel must not come here: even a change of rounding would desynchronise replays.
            fade = math.exp(-(t - stocked) / p.carryover)
            for s in range(stock.size):
                stock[s] *= fade
                stock[s] += p.lift[k, s] * max(0.0, 1.0 - stock[s] / p.saturation)
            stocked = t
            m = C + _MILESTONE[stage]
            if not restart:
                remaining[m] -= _consumed(base[m], amplitude[m], p.carryover, t - since[m])
                since[m] = t
                amplitude[m] = stock[stage]
                upcoming[m] = math.inf
                lifted = True
        if restart:
            slow = 1.0 if active or stage >= LOYALTY else p.dormant
            fade = math.exp(-(t - stocked) / p.carryover)
            for j in range(K):
                remaining[j] -= _consumed(base[j], amplitude[j], p.carryover, t - since[j])
                since[j] = t
                if j < C:
                    base[j] = p.exposure[j, stage] * factor[j] * slow
                else:
                    base[j] = p.organic[stage, j - C] * factor[j] * slow
                amplitude[j] = stock[stage] * fade if j == C + _MILESTONE[stage] else 0.0
        if k >= 0 and which >= 0:
            index[k] += 1
            remaining[k] = exponential(streams[k], index[k])
            since[k] = t
            if not restart:
                upcoming[k] = t + remaining[k] / base[k]  # it has fired, so its base is not 0
                if amplitude[k] != 0.0:
                    # The lift has faded since it was last written down.
                    amplitude[k] = stock[stage] * math.exp(-(t - stocked) / p.carryover)
                    upcoming[k] = math.inf
                    lifted = True
        if restart:
            for j in range(K):
                upcoming[j] = t + remaining[j] / base[j] if base[j] > 0.0 else math.inf
            m = C + _MILESTONE[stage]
            lifted = amplitude[m] != 0.0
            if lifted:
                upcoming[m] = math.inf
            restart = False

        k = 0
        t = math.inf
        for j in range(K):
            if upcoming[j] < t:
                t = upcoming[j]
                k = j
        if lifted:
            # Solve for the milestone only if it comes before everything else: most touches do not bring it.
            m = C + _MILESTONE[stage]
            horizon = min(t, p.days, window if active else math.inf)
            if _consumed(base[m], amplitude[m], p.carryover, horizon - since[m]) >= remaining[m]:
                lifted = False
                upcoming[m] = since[m] + _wait(base[m], amplitude[m], p.carryover, remaining[m])
                if upcoming[m] < t:
                    t = upcoming[m]
                    k = m
        if active and window < t:
            active = False
            t = window
            k = -1
            restart = stage < LOYALTY
            if not restart:
                continue
        if t >= p.days:
            return n, life
        if k >= 0:
            which = index[k]


@jit
def told(key: np.uint64, p: Params) -> bool:
    """Whether a recruit's referral shows as a touch."""
    return bool(uniform(stream_key(key, _TOLD), 0) >= p.later.untold)


@jit
def whole_life(
    key: np.uint64, arrival: float, recruited: bool, p: Params, life: Life, dates: NDArray[np.float64],
    marks: NDArray[np.int64],
) -> tuple[int, Life]:  # fmt: skip
    """One customer's events, those as a lasting customer among them; `dates` and `marks`: see `live_on`."""
    n, life = _live(key, arrival, recruited, p, life)
    if p.later.on:
        marks[:] = NOT_YET
        life.score[:n] = math.nan
        if recruited and n > 0 and life.draw[0] < 0:  # the touch of the referral: a channel of its own, or not seen
            life.process[0] = p.lift.shape[0] + REFERRED if told(key, p) else -1
        if n > 0 and life.process[n - 1] == p.lift.shape[0] + PURCHASE:
            advocate, z, w = person(key, p)
            n, life = live_on(key, life.time[n - 1], lasting(key, advocate, z, w, p), p, life, n, dates, marks)
    return n, life


@jit
def _referrer(seed: np.uint64, customer: int, stream: np.uint64, p: Params) -> int:
    """The earlier customer whose referral would bring this recruit, mostly an advocate; -1 where none is found."""
    for probe in range(_PROBES):
        candidate = int(uniform(stream, 8 + probe) * customer)
        if candidate >= customer:
            continue
        if _is_advocate(customer_key(seed, candidate), p):
            return candidate
        if p.later.on and uniform(stream, 8 + _PROBES + probe) < p.later.others:
            return candidate
    return -1


@jit
def parent_of(seed: np.uint64, customer: int, p: Params) -> int:
    """Whose referral alone would bring a customer, whatever happens; UNAIDED or NOBODY where there is no such one."""
    stream = stream_key(customer_key(seed, customer), _RECRUIT)
    if uniform(stream, 0) >= p.recruits:
        return UNAIDED
    parent = _referrer(seed, customer, stream, p)
    return parent if parent >= 0 else NOBODY


@jit
def born(seed: np.uint64, customer: int, p: Params, life: Life) -> tuple[float, int, Life]:
    """Arrival (nan: never) and referrer (-1: nobody) of a customer.

    A recruit's arrival follows from the life of an earlier customer, and so on back to one who came
    unaided: the chain is replayed from there, so that nothing depends on who else is generated.
    """
    chain = np.empty(_GENERATIONS, np.int64)
    depth = 0
    chain[0] = customer
    while True:
        parent = parent_of(seed, chain[depth], p)
        if parent == UNAIDED:
            break
        if parent == NOBODY or depth + 1 == _GENERATIONS or not p.brings:
            return math.nan, -1, life
        depth += 1
        chain[depth] = parent
    arrival = p.days * uniform(stream_key(customer_key(seed, chain[depth]), _ARRIVAL), 0)
    C = p.lift.shape[0]
    never, unmarked = np.empty(0), np.empty(0, np.int64)
    for d in range(depth, 0, -1):
        n, life = whole_life(customer_key(seed, chain[d]), arrival, d < depth, p, life, never, unmarked)
        stream = stream_key(customer_key(seed, chain[d - 1]), _RECRUIT)
        # Which of the parent's referrals is fixed beforehand: a replay cannot attach the recruit elsewhere.
        u = uniform(stream, 1)
        skip = 0 if u < 0.7 else (1 if u < 0.9 else 2)
        arrival = math.nan
        for i in range(n):
            if life.process[i] == C + REFERRAL:
                if skip == 0:
                    arrival = life.time[i] + _DELAY * exponential(stream, 2)
                    break
                skip -= 1
        if not arrival < p.days:
            return math.nan, -1, life
    return arrival, chain[1] if depth > 0 else -1, life


@jit
def clock(t: float) -> int:
    """Days to microseconds, most of them in the daytime: a monotone warp within each day."""
    day = math.floor(t)
    part = t - day
    part += 0.1 * math.sin(2.0 * math.pi * part)
    return int(day) * DAY_US + int(part * (DAY_US // _US_PER_MS)) * _US_PER_MS


@jit
def day_of(time: int) -> float:
    """The days that `clock` takes to this time."""
    day = time // DAY_US
    wanted = (time - day * DAY_US) / DAY_US
    low, high = 0.0, 1.0
    if wanted == 0.0:
        return float(day)
    for _ in range(60):
        middle = 0.5 * (low + high)
        if middle + 0.1 * math.sin(2.0 * math.pi * middle) < wanted:
            low = middle
        else:
            high = middle
    return day + high


@jit
def revenue(key: np.uint64, draw: int, p: Params) -> float:
    """What a purchase brings, in whole hundredths."""
    spend = stream_key(key, _SPEND)
    habit = normal(spend, 0) + normal(spend, 1 + draw)
    return float(np.rint(100.0 * (p.median * math.exp(p.spread * habit * math.sqrt(0.5)))) / 100.0)


@jit
def mean_revenue(key: np.uint64, p: Params) -> float:
    """Expected revenue of a purchase of this customer, before it is rounded."""
    habit = normal(stream_key(key, _SPEND), 0)
    return p.median * math.exp(p.spread * habit * math.sqrt(0.5) + 0.25 * p.spread**2)


@jit
def simulate(seed: np.uint64, first: int, count: int, p: Params) -> Events:
    """Events of the customers first, ..., first + count - 1."""
    C = p.lift.shape[0]
    life = new_life()
    size = 64 + 6 * count
    customer, time = np.empty(size, np.int64), np.empty(size, np.int64)
    channel, click, cost = np.empty(size, np.uint8), np.empty(size, np.bool_), np.empty(size)
    score = np.empty(size if p.later.on else 0)
    size = 64 + 3 * count
    o_customer, o_time = np.empty(size, np.int64), np.empty(size, np.int64)
    outcome, value, referrer = np.empty(size, np.uint8), np.empty(size), np.empty(size, np.int64)
    never, unmarked = np.empty(0), np.empty(0, np.int64)
    n_touch = 0
    n_outcome = 0
    for c in range(first, first + count):
        arrival, parent, life = born(seed, c, p, life)
        if math.isnan(arrival):
            continue
        key = customer_key(seed, c)
        n, life = whole_life(key, arrival, parent >= 0, p, life, never, unmarked)
        for i in range(n):
            k = life.process[i]
            draw = life.draw[i]
            if k < 0:
                continue
            if k < C or k >= C + ASK:
                if n_touch == customer.size:
                    customer, time = doubled(customer), doubled(time)
                    channel, click, cost = doubled(channel), doubled(click), doubled(cost)
                    if p.later.on:
                        score = doubled(score)
                customer[n_touch] = c
                time[n_touch] = clock(life.time[i])
                channel[n_touch] = k if k < C else C + (k == C + ASK)
                click[n_touch] = False
                cost[n_touch] = 0.0
                if p.later.on:
                    score[n_touch] = life.score[i]
                if k < C and p.clicks[k] > 0.0:
                    click[n_touch] = uniform(stream_key(key, p.keys[k] ^ _CLICK), draw) < p.clicks[k]
                if k < C and p.cost[k] > 0.0:
                    u = uniform(stream_key(key, p.keys[k] ^ _COST), draw)
                    cost[n_touch] = np.rint(p.cost[k] * (0.5 + u) * 1e4) / 1e4
                n_touch += 1
            else:
                if n_outcome == o_customer.size:
                    o_customer, o_time = doubled(o_customer), doubled(o_time)
                    outcome, value, referrer = doubled(outcome), doubled(value), doubled(referrer)
                o_customer[n_outcome] = c
                o_time[n_outcome] = clock(life.time[i])
                outcome[n_outcome] = k - C
                value[n_outcome] = 0.0
                if k - C == PURCHASE:
                    value[n_outcome] = revenue(key, draw, p)
                referrer[n_outcome] = parent
                n_outcome += 1
    # Copies: a view would keep the oversized arrays alive.
    return Events(
        customer[:n_touch].copy(),
        time[:n_touch].copy(),
        channel[:n_touch].copy(),
        click[:n_touch].copy(),
        cost[:n_touch].copy(),
        o_customer[:n_outcome].copy(),
        o_time[:n_outcome].copy(),
        outcome[:n_outcome].copy(),
        value[:n_outcome].copy(),
        referrer[:n_outcome].copy(),
        score[: n_touch if p.later.on else 0].copy(),
    )
