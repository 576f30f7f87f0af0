"""The model of latent intent in plain Python: the twin of attrib.kernels.intent and attrib.kernels.replay."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np


def intervals(times: list[float], codes: list[int], end: float, chart: Any) -> list[dict[str, Any]]:
    """A customer's time, cut at events and at the steps of the grid; exposures by kind of event and decay."""
    before: list[tuple[int, float]] = []
    stage, now, out = 0, times[0], []

    def happen(code: int, time: float, stage: int) -> int:
        before.append((code, time))
        if code < chart.channels:
            return stage
        return int(chart.after[code - chart.channels, stage])

    stage = happen(codes[0], now, stage)
    for event, until in [*zip(codes[1:], times[1:], strict=True), (-1, end)]:
        step = 0
        while True:
            length = chart.grid[min(step, len(chart.grid) - 1)]
            last = until - now <= length
            upto = until if last else now + length
            whole = np.zeros((len(chart.acts), len(chart.decay)))
            ends = np.zeros_like(whole)
            for c, t in before:
                for d, decay in enumerate(chart.decay):
                    ends[c, d] += math.exp(-(upto - t) / decay)
                    whole[c, d] += decay * (math.exp(-(now - t) / decay) - math.exp(-(upto - t) / decay))
            out.append(
                {"length": upto - now, "stage": stage, "event": event if last else -1, "whole": whole, "ends": ends}
            )
            now = upto
            step += 1
            if last:
                break
        if event >= 0:
            stage = happen(event, now, stage)
    return out


def boost(chart: Any, rates: Any, p: int, stage: int, exposure: Any) -> float:
    """Sum of effect times exposure."""
    e = chart.acts[p, stage]
    return 0.0 if e < 0 else float((rates.effect[e] * exposure).sum())


def likelihood_of_path(rows: list[dict[str, Any]], path: tuple[int, ...], first: int, chart: Any, rates: Any) -> float:
    """Likelihood of a customer's events and of their latent states, one an interval."""
    A = len(rates.leave)
    out = rates.start[first, path[0]]
    for r, (row, k) in enumerate(zip(rows, path, strict=True)):
        if r:
            j, h = path[r - 1], rows[r - 1]["length"]
            stay = math.exp(-rates.leave[j % A] * h)
            move = (1 - stay) * rates.jump[j % A, k % A] if j // A == k // A else 0.0
            out *= move + (stay if j == k else 0.0)
        s = row["stage"]
        for p in range(len(rates.speed)):
            speed = rates.speed[p, s, k]
            out *= math.exp(-speed * (row["length"] + boost(chart, rates, p, s, row["whole"])))
            if row["event"] == p:
                out *= speed * (1 + boost(chart, rates, p, s, row["ends"]))
    return float(out)


def every_path(rows: list[dict[str, Any]], first: int, chart: Any, rates: Any) -> tuple[float, np.ndarray[Any, Any]]:
    """Log-likelihood, and the probability of each state in each interval, from all paths."""
    K = rates.speed.shape[2]
    total, states = 0.0, np.zeros((len(rows), K))
    for path in itertools.product(range(K), repeat=len(rows)):
        one = likelihood_of_path(rows, path, first, chart, rates)
        total += one
        for r, k in enumerate(path):
            states[r, k] += one
    return math.log(total), states / total


def live(
    waits: dict[int, list[float]], pieces: list[tuple[float, int]], first: tuple[float, int], end: float, chart: Any,
    rates: Any, off: set[int], spare: Any,
) -> list[tuple[float, int]]:  # fmt: skip
    """Events of a life: each process uses up its exponentials, then ``spare(process, number)``.

    Small steps of time instead of equations: right to about the length of a step.
    """
    C, step = chart.channels, 1e-3
    now, code = first
    before: list[tuple[int, float]] = []
    events = [(now, code)]
    stage = 0
    number = dict.fromkeys(range(len(rates.speed)), 0)
    left = {}
    for p in number:
        left[p] = waits[p][0] if waits.get(p) else spare(p, 0)
    before += [(code, now)] if code not in off else []
    if code >= C:
        stage = int(chart.after[code - C, stage])
    while now < end:
        k = [state for begin, state in pieces if begin <= now][-1]
        exposure = np.zeros((len(chart.acts), len(chart.decay)))
        for c, t in before:
            exposure[c] += np.exp(-(now + step / 2 - t) / chart.decay)
        for p in number:
            left[p] -= rates.speed[p, stage, k] * step * (1 + boost(chart, rates, p, stage, exposure))
        now += step
        for p in number:
            if left[p] <= 0:
                number[p] += 1
                mine = waits.get(p, [])
                left[p] = mine[number[p]] if number[p] < len(mine) else spare(p, number[p])
                if p < C and p in off:
                    continue
                events.append((now, p))
                before.append((p, now))
                if p >= C:
                    stage = int(chart.after[p - C, stage])
    return events
