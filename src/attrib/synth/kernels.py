"""What the simulated customers do and what the log has of it: from a customer's number to rows.

C channels, M = 4 outcomes, S = 5 stages. Times are float64 days since the start of the data.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from attrib.kernels._jit import jit
from attrib.kernels.sorting import reorder
from attrib.synth.clocks import by_week, clock
from attrib.synth.lasting import lasting, live_on
from attrib.synth.living import is_advocate, live, person
from attrib.synth.observing import in_order, known_as, logged, recorded, sorted_already
from attrib.synth.random import customer_key, exponential, normal, process_key, stream_key, uniform
from attrib.synth.records import (
    ASK,
    NOT_YET,
    PURCHASE,
    REFERRAL,
    REFERRED,
    Events,
    Life,
    Params,
    doubled,
    new_life,
)  # fmt: skip

_ARRIVAL = np.uint64(process_key("arrival"))
_RECRUIT = np.uint64(process_key("recruit"))
_SPEND = np.uint64(process_key("spend"))
_CLICK = np.uint64(process_key("click"))
_COST = np.uint64(process_key("cost"))
_TOLD = np.uint64(process_key("told"))

_DELAY = 5.0  # mean days from a referral to the recruit's arrival
_PROBES = 48  # customer numbers a recruit tries for an advocate: 1 - 0.85 ** 48 = 0.9996
_GENERATIONS = 64
UNAIDED, NOBODY = -1, -2  # instead of a parent: comes without a referral; a recruit for whom no referrer is found


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
    n, life = live(key, arrival, recruited, p, life)
    if p.later.on:
        marks[:] = NOT_YET
        life.score[:n] = math.nan
        if recruited and n > 0 and life.draw[0] < 0:  # the touch of the referral: a channel of its own, or not seen
            life.process[0] = p.lift.shape[0] + REFERRED if told(key, p) else -1
        if n > 0 and life.process[n - 1] == p.lift.shape[0] + PURCHASE:
            advocate, z, w = person(key, p.advocates)
            n, life = live_on(key, life.time[n - 1], lasting(key, advocate, z, w, p), p, life, n, dates, marks)
    return n, life


@jit
def _referrer(seed: np.uint64, customer: int, stream: np.uint64, p: Params) -> int:
    """The earlier customer whose referral would bring this recruit, mostly an advocate; -1 where none is found."""
    for probe in range(_PROBES):
        candidate = int(uniform(stream, 8 + probe) * customer)
        if candidate >= customer:
            continue
        if is_advocate(customer_key(seed, candidate), p.advocates):
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
def simulate(seed: np.uint64, first: int, count: int, p: Params) -> tuple[Events, int, int]:
    """What the log has of the customers first, ..., first + count - 1, in columns with room to spare.

    Returns them and how many touches and outcomes there are.
    """
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
        touches, outcomes = n_touch, n_outcome
        done = 0.0  # when the last purchase is recorded
        for i in range(n):
            k = life.process[i]
            draw = life.draw[i]
            if k < 0:
                continue
            if k < C or k >= C + ASK:
                if p.log.on and not logged(key, k, draw, p):
                    continue
                if n_touch == customer.size:
                    customer, time = doubled(customer), doubled(time)
                    channel, click, cost = doubled(channel), doubled(click), doubled(cost)
                    if p.later.on:
                        score = doubled(score)
                customer[n_touch] = known_as(key, c, k, draw, life.time[i], p) if p.log.on else c
                time[n_touch] = clock(by_week(life.time[i], p.week, p.days))
                channel[n_touch] = k if k < C else C + (k == C + ASK)
                click[n_touch] = False
                cost[n_touch] = 0.0
                if p.later.on:
                    score[n_touch] = life.score[i]
                if k < C and p.traits[k].clicks > 0.0:
                    click[n_touch] = uniform(stream_key(key, p.keys[k] ^ _CLICK), draw) < p.traits[k].clicks
                if k < C and p.traits[k].cost > 0.0:
                    u = uniform(stream_key(key, p.keys[k] ^ _COST), draw)
                    cost[n_touch] = np.rint(p.traits[k].cost * (0.5 + u) * 1e4) / 1e4
                n_touch += 1
            else:
                t = life.time[i]
                if p.log.on:
                    t = recorded(key, k, draw, t, done, p)
                    if t >= p.days:
                        continue
                    if k == C + PURCHASE:
                        done = max(done, t)
                if n_outcome == o_customer.size:
                    o_customer, o_time = doubled(o_customer), doubled(o_time)
                    outcome, value, referrer = doubled(outcome), doubled(value), doubled(referrer)
                o_customer[n_outcome] = known_as(key, c, k, draw, t, p) if p.log.on else c
                o_time[n_outcome] = clock(by_week(t, p.week, p.days))
                outcome[n_outcome] = k - C
                value[n_outcome] = 0.0
                if k - C == PURCHASE:
                    value[n_outcome] = revenue(key, draw, p)
                referrer[n_outcome] = parent
                n_outcome += 1
        if p.log.on and not sorted_already(customer[touches:n_touch], time[touches:n_touch]):
            order = in_order(customer[touches:n_touch], time[touches:n_touch])
            reorder(customer[touches:n_touch], order)
            reorder(time[touches:n_touch], order)
            reorder(channel[touches:n_touch], order)
            reorder(click[touches:n_touch], order)
            reorder(cost[touches:n_touch], order)
            if p.later.on:
                reorder(score[touches:n_touch], order)
        if p.log.on and not sorted_already(o_customer[outcomes:n_outcome], o_time[outcomes:n_outcome]):
            order = in_order(o_customer[outcomes:n_outcome], o_time[outcomes:n_outcome])
            reorder(o_customer[outcomes:n_outcome], order)
            reorder(o_time[outcomes:n_outcome], order)
            reorder(outcome[outcomes:n_outcome], order)
            reorder(value[outcomes:n_outcome], order)
    return (
        Events(customer, time, channel, click, cost, o_customer, o_time, outcome, value, referrer, score),
        n_touch,
        n_outcome,
    )
