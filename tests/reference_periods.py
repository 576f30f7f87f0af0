"""Lives in periods in plain Python: the twin of attrib.kernels.periods and attrib.kernels.thinning."""

from __future__ import annotations

import math
from typing import Any

Event = tuple[float, int]  # when, and process


def told(before: list[Event], touched: list[Event], first: float, start: float, stage: int, facts: Any) -> list[float]:
    """What is known at the start of a stretch: ``before``: events that reached; ``touched``: touches of the log."""
    design, processes, stages, known = facts
    out = []
    for z in range(processes):
        memory = touched if z < design.channels else before
        for events, days in [*((before, days) for days in design.decay), (memory, design.memory)]:
            left = sum(math.exp(-(start - t) / days) for t, code in events if code == z)
            out.append(math.log1p(left))
    out.append(math.log1p(start - first))
    holds = [values for since, values in known if since <= start] or [known[0][1]]
    out += holds[-1]
    return out + [float(s == stage) for s in range(stages)]


def stretches(log: list[Event], end: float, facts: Any) -> list[dict[str, Any]]:
    """Stretches of a life: within one period, between two events."""
    design = facts[0]
    first, stage, out, before = log[0][0], 0, [], [log[0]]
    if log[0][1] >= design.channels:
        stage = int(design.after[log[0][1] - design.channels, stage])
    now, k = first, 0
    for number, (until, code) in enumerate([*log[1:], (end, -1)], start=1):
        while True:
            edge = first + (k + 1) * design.period
            stop = min(edge, until)
            event = number if code >= 0 and edge >= until else -1
            if event >= 0 or stop > now:
                touched = [one for one in before if one[1] < design.channels]
                x = told(before, touched, first, now, stage, facts)
                out.append({"start": now, "length": stop - now, "stage": stage, "event": event, "x": x})
            now = stop
            if edge >= until:
                break
            k += 1
        if code >= 0:
            before.append((until, code))
            if code >= design.channels:
                stage = int(design.after[code - design.channels, stage])
    return out


def live(
    points: list[tuple[float, int, float, int]], log: list[Event], on: set[int], rates: Any, facts: Any
) -> list[Event]:
    """Live a life again: points are (when, process, height, number in the log or -1); player c has channel c.

    ``rates(x, stage)``: by process. Returns the events of the world that reached anybody.
    """
    design = facts[0]
    first, code = log[0]
    stage = int(design.after[code - design.channels, 0]) if code >= design.channels else 0
    world = [log[0]] if code >= design.channels or code in on else []
    start, seen = first, 0  # last instant at which anything happened, and the last of the log that is known of
    for when, process, height, number in points:
        k = 0
        while first + (k + 1) * design.period < when:
            k += 1
        edge = first + k * design.period
        begin = max(start, edge) if k else start
        if process < design.channels and process not in on:
            continue
        upto = [i for i, (t, _) in enumerate(log) if i <= seen or t < begin or (t <= begin and begin > start)]
        touched = [log[i] for i in upto if log[i][1] < design.channels]
        if height > rates(told(world, touched, first, begin, stage, facts), stage)[process]:
            continue
        world.append((when, process))
        start, seen = when, max(seen, number)
        if process >= design.channels:
            stage = int(design.after[process - design.channels, stage])
    return world
