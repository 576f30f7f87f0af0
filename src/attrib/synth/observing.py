"""What the log sees of the true events: which touches, under which id, and when a purchase is recorded.

Every decision has a stream of random numbers of its own, so that none of this changes what happens.

C channels. Times are float64 days since the start of the data.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from attrib.kernels._jit import jit
from attrib.kernels.sorting import reorder, stable_order
from attrib.synth.random import exponential, process_key, stream_key, uniform
from attrib.synth.records import CANCEL, INTENT, PURCHASE, VISIT, Params

# An id of customer c that is not their own is c + DEVICE * (1, 2, ...): below 2**46 in all.
DEVICE = 1 << 40
_DEVICES = 4  # most devices a customer, and ids a device
_COOKIES = 15

_REFUSES = np.uint64(process_key("refuses"))
_SEEN = np.uint64(process_key("seen"))
_DEVICE = np.uint64(process_key("device"))
_DEVICE_COUNT = np.uint64(process_key("devices"))
_LINKED = np.uint64(process_key("linked"))
_COOKIE = np.uint64(process_key("cookie"))
_RECORDED = np.uint64(process_key("recorded"))


@jit
def logged(key: np.uint64, k: int, draw: int, p: Params) -> bool:
    """Whether a touch reaches the log."""
    if k >= p.lift.shape[0]:
        return True
    if p.traits[k].consent and uniform(stream_key(key, _REFUSES), 0) < p.log.refuses:
        return False
    return bool(p.traits[k].seen >= 1.0 or uniform(stream_key(key, p.keys[k] ^ _SEEN), draw) < p.traits[k].seen)


@jit
def known_as(key: np.uint64, customer: int, k: int, draw: int, t: float, p: Params) -> int:
    """Under which id an event of process k is logged."""
    C = p.lift.shape[0]
    if p.log.linked >= 1.0 or (k < C and p.traits[k].login) or (k >= C and k != C + VISIT and k != C + INTENT):
        return customer
    devices = 1
    for i in range(1, _DEVICES):
        devices += uniform(stream_key(key, _DEVICE_COUNT), i) < (p.log.devices - 1.0) / (_DEVICES - 1)
    device = int(uniform(stream_key(key, p.keys[k] ^ _DEVICE), draw) * devices)
    if uniform(stream_key(key, _LINKED), device) < p.log.linked:
        return customer
    cookie = 0
    if p.log.cookie_days < math.inf:
        stream = stream_key(key, _COOKIE)
        until = p.log.cookie_days * exponential(stream, device * _COOKIES)
        while until <= t and cookie < _COOKIES - 1:
            cookie += 1
            until += p.log.cookie_days * exponential(stream, device * _COOKIES + cookie)
    return customer + DEVICE * (1 + device * _COOKIES + cookie)


@jit
def recorded(key: np.uint64, k: int, draw: int, t: float, done: float, p: Params) -> float:
    """When an outcome is recorded: a purchase late, a cancellation not before the purchases (`done`)."""
    C = p.lift.shape[0]
    if k == C + PURCHASE and p.log.delay > 0.0:
        return float(t + p.log.delay * exponential(stream_key(key, p.keys[k] ^ _RECORDED), draw))
    return float(max(t, done) if k == C + CANCEL else t)


@jit
def sorted_already(customer: NDArray[np.int64], time: NDArray[np.int64]) -> bool:
    """Whether one customer's rows are in order of id and time."""
    for i in range(1, customer.size):
        if customer[i] < customer[i - 1] or (customer[i] == customer[i - 1] and time[i] < time[i - 1]):
            return False
    return True


@jit
def in_order(customer: NDArray[np.int64], time: NDArray[np.int64]) -> NDArray[np.int64]:
    """Order of one customer's rows by id and time; what is equal stays as it is."""
    order: NDArray[np.int64] = stable_order(time)
    ids = np.empty_like(customer)
    for i in range(ids.size):
        ids[i] = customer[order[i]]
    reorder(order, stable_order(ids))
    return order
