"""Customers' lives in periods: what is known of a customer when a stretch begins.

A stretch is a part of a life within one period and between two events; rates are constant in it. Periods are counted
from a customer's first event and hold their end: (k, k + 1].

Beside the letters of `intent`: F features, V columns of covariates.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attrib.kernels._jit import jit
from attrib.kernels.intent import Lives
from attrib.kernels.replay import Stakes, uniform
from attrib.kernels.words import mix

LEAST = 1e-4  # an exposure below counts as none
_KEEP = np.uint64(7)


class Design(NamedTuple):
    """What is told of a customer: by kind of event exposures and a long memory; age, covariates, stage."""

    channels: int
    after: NDArray[np.int64]  # M, S: stage after an outcome
    decay: NDArray[np.float64]  # D: days until an exposure has faded to 1/e
    memory: float  # the same of long memories
    period: float  # days


class Known(NamedTuple):
    """Covariates: customer i has the rows offsets[i] to offsets[i + 1], in order of the times from which they hold."""

    offsets: NDArray[np.int64]  # N + 1
    time: NDArray[np.float64]
    values: NDArray[np.float64]  # rows, V


class Stretches(NamedTuple):
    """Stretches of the log."""

    customer: NDArray[np.int64]
    start: NDArray[np.float64]
    length: NDArray[np.float64]
    stage: NDArray[np.int64]
    event: NDArray[np.int64]  # row of `lives` at its end, -1: none


@jit
def features_of(design: Design, stages: int, processes: int, columns: int) -> int:
    """How many features there are."""
    return processes * (design.decay.size + 1) + 1 + columns + stages


@jit
def write(design, known, i, since, start, stage, exposed, memory, x):
    """Write the features of a stretch."""
    P, D = exposed.shape
    f = 0
    for z in range(P):
        for d in range(D):
            x[f] = math.log1p(exposed[z, d]) if exposed[z, d] > 0.0 else 0.0
            f += 1
        x[f] = math.log1p(memory[z]) if memory[z] > 0.0 else 0.0
        f += 1
    x[f] = math.log1p(start - since)
    f += 1
    low, high = known.offsets[i], known.offsets[i + 1]
    row = max(low, low + np.searchsorted(known.time[low:high], start, side="right") - 1)
    for v in range(known.values.shape[1]):
        x[f] = known.values[row, v]
        f += 1
    x[f:] = 0.0
    x[f + stage] = 1.0


@jit
def fade(design, days, exposed):
    """Let exposures fade for so many days."""
    P, D = exposed.shape
    if days <= 0.0:
        return
    for d in range(D):
        left = math.exp(-days / design.decay[d])
        for z in range(P):
            if exposed[z, d] > 0.0:
                exposed[z, d] *= left
                if exposed[z, d] < LEAST:
                    exposed[z, d] = 0.0


@jit
def period_of(design, first, time):
    """Period that an instant lies in, from the first event on."""
    k = max(0, math.ceil((time - first) / design.period) - 1)
    while k > 0 and first + k * design.period >= time:
        k -= 1
    while first + (k + 1) * design.period < time:
        k += 1
    return k


@jit
def count_stretches(lives: Lives, design: Design, customers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Stretches of each of some customers."""
    out = np.zeros(len(customers), np.int64)
    for c in range(len(customers)):
        low, high = lives.offsets[customers[c]], lives.offsets[customers[c] + 1]
        first = lives.time[low]
        now, k = first, 0
        for event in range(low + 1, high + 1):
            until = lives.time[event] if event < high else lives.end
            while first + (k + 1) * design.period < until:
                k += 1
                edge = first + k * design.period
                if edge > now:
                    out[c] += 1
                now = edge
            if event < high or now < until:
                out[c] += 1
            now = until
    return out


@jit
def cut(
    seed: np.uint64, lives: Lives, w: Stakes, design: Design, known: Known, customers: NDArray[np.int64], part: float
) -> tuple[Stretches, NDArray[np.float64]]:
    """Cut the lives of some customers into stretches; of those that end without an event keep a part, drawn by key.

    Returns the stretches and their features [rows, F].
    """
    P, S = w.player.shape[0] + design.after.shape[0], design.after.shape[1]
    D = design.decay.size
    room = 0
    for c in range(len(customers)):
        i = customers[c]
        room += lives.offsets[i + 1] - lives.offsets[i]
    counts = count_stretches(lives, design, customers)
    whole = counts.sum()
    if part < 1.0:
        room += int(part * whole + 6.0 * math.sqrt(whole) + 10.0)
    else:
        room = whole
    F = features_of(design, S, P, known.values.shape[1])
    x = np.empty((room, F))
    rows = Stretches(
        np.empty(room, np.int64), np.empty(room), np.empty(room), np.empty(room, np.int64), np.empty(room, np.int64)
    )
    exposed, memory = np.zeros((P, D)), np.zeros(P)
    n = 0
    for c in range(len(customers)):
        i = customers[c]
        low, high = lives.offsets[i], lives.offsets[i + 1]
        key = mix(seed + w.key[i])
        first = lives.time[low]
        now, k, stage, number = first, 0, 0, 0
        exposed[:] = 0.0
        memory[:] = 0.0
        for event in range(low, high + 1):
            until = lives.time[event] if event < high else lives.end
            while event > low:
                edge = first + (k + 1) * design.period
                inside = edge < until
                stop = edge if inside else until
                happens = not inside and event < high
                if happens or stop > now:
                    number += 1
                    if happens or part >= 1.0 or uniform(key, _KEEP, number) < part:
                        if n == room:  # by chance once in 10^9 cuts; never drop what should be learned from
                            raise RuntimeError("more stretches were drawn than there is room for: take another seed")
                        rows.customer[n] = i
                        rows.start[n] = now
                        rows.length[n] = stop - now
                        rows.stage[n] = stage
                        rows.event[n] = event if happens else -1
                        write(design, known, i, first, now, stage, exposed, memory, x[n])
                        n += 1
                days = stop - now
                fade(design, days, exposed)
                memory *= math.exp(-days / design.memory)
                now = stop
                if not inside:
                    break
                k += 1
            if event < high:
                code = lives.code[event]
                exposed[code, :] += 1.0
                memory[code] += 1.0
                if code >= design.channels:
                    stage = design.after[code - design.channels, stage]
    return (
        Stretches(rows.customer[:n], rows.start[:n], rows.length[:n], rows.stage[:n], rows.event[:n]),
        x[:n],
    )
