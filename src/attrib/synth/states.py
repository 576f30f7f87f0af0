"""The latent states of customers: what `attrib.synth.living` lives by, written down.

Times are float64 days since the start of the data.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attrib.kernels._jit import jit
from attrib.synth.clocks import by_week, clock
from attrib.synth.kernels import born
from attrib.synth.living import SHIFT, WINDOW, inclined, person
from attrib.synth.random import customer_key, exponential, stream_key
from attrib.synth.records import Params, doubled, new_life


class States(NamedTuple):
    """A row for each customer and time since when it holds."""

    customer: NDArray[np.int64]
    time: NDArray[np.int64]  # microseconds since the start of the data
    intent: NDArray[np.float64]
    digital: NDArray[np.float64]
    active: NDArray[np.bool_]
    advocate: NDArray[np.bool_]


@jit
def states(seed: np.uint64, first: int, count: int, p: Params) -> States:
    """States of the customers first, ..., first + count - 1 who come before the end of the data."""
    size = 64 + 2 * count
    customer, time = np.empty(size, np.int64), np.empty(size, np.int64)
    intent, digital = np.empty(size), np.empty(size)
    active, advocates = np.empty(size, np.bool_), np.empty(size, np.bool_)
    life = new_life()
    n = 0
    for c in range(first, first + count):
        t, _, life = born(seed, c, p, life)
        if math.isnan(t):
            continue
        key = customer_key(seed, c)
        advocate, constant, w = person(key, p.advocates)
        window = t + p.window * exponential(stream_key(key, WINDOW), 0)
        z, shifts, shift = constant, 0, math.inf
        if p.wander > 0.0:
            z = inclined(key, advocate, constant, 0, p.wander)
            shift = t + p.wander_days * exponential(stream_key(key, SHIFT), 0)
        while t < p.days:
            if n == customer.size:
                customer, time, intent, digital = doubled(customer), doubled(time), doubled(intent), doubled(digital)
                active, advocates = doubled(active), doubled(advocates)
            customer[n] = c
            time[n] = clock(by_week(t, p.week, p.days))
            intent[n] = z
            digital[n] = w
            active[n] = t < window
            advocates[n] = advocate
            n += 1
            t = min(shift, window if t < window else math.inf)
            if t == shift:
                shifts += 1
                z = inclined(key, advocate, constant, shifts, p.wander)
                shift = t + p.wander_days * exponential(stream_key(key, SHIFT), shifts)
    return States(
        customer[:n].copy(), time[:n].copy(), intent[:n].copy(), digital[:n].copy(), active[:n].copy(),
        advocates[:n].copy(),
    )  # fmt: skip
