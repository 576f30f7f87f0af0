"""The slow twin, second part: stages and funnel (semantics 3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from reference_events import Row

Stage = tuple[str, str | None, int]


@dataclass(frozen=True)
class Move:
    """An instant at which outcome rows count: a target outcome (2) or leaving a stage (3)."""

    time: Any
    rows: list[Row]  # the rows that count, in canonical order
    conversions: int
    source: int = 0  # the stage that is left
    goal: int = 0  # the stage the customer is in afterwards


@dataclass(frozen=True)
class Person:
    """One customer's accepted events, in order, and their way through the stages."""

    customer: Any
    touches: list[Row]
    outcomes: list[Row]
    moves: list[Move]


def walk(outcomes: list[Row], model: Sequence[Stage]) -> list[Move]:
    """One customer's way through the stages: one move per instant that counts (3)."""
    rank: Counter[str] = Counter()
    ranked: list[tuple[Row, int]] = []
    for row in outcomes:  # in canonical order: nth counts rows over the customer's history
        rank[row["outcome"]] += 1
        ranked.append((row, rank[row["outcome"]]))
    last, current = len(model) - 1, 0
    moves = []
    for time in sorted({row["timestamp"] for row in outcomes}):
        reached: dict[int, list[Row]] = {}
        for j, (_, milestone, nth) in enumerate(model):
            rows = [r for r, n in ranked if r["timestamp"] == time and r["outcome"] == milestone and n >= nth]
            if rows and j >= current:
                reached[j] = rows
        if not reached:
            continue
        furthest = max(reached)
        rows = reached[furthest]
        # Leaving a stage is one conversion whatever the number of rows; in the last stage each row is one.
        count = len(rows) if current == last else 1
        goal = min(furthest + 1, last)
        moves.append(Move(time, rows, count, current, goal))
        current = goal
    return moves


def stage_at(time: Any, moves: list[Move]) -> int:
    """The stage a customer is in at a touch; at the instant of an advance the one that is left (3)."""
    return max((move.goal for move in moves if move.time < time), default=0)


def kaplan_meier(times: list[tuple[Any, bool]], quantile: Fraction) -> Any:
    """Smallest time at which survival is at most 1 - quantile; (time, left), censored if not left (3)."""
    survival = Fraction(1)
    for time in sorted({time for time, left in times if left}):
        at_risk = sum(other >= time for other, _ in times)
        leaving = sum(other == time and left for other, left in times)
        survival *= 1 - Fraction(leaving, at_risk)
        if survival <= 1 - quantile:
            return time
    return None


def funnel(people: list[Person], recipe: Any) -> list[Row]:
    """The funnel, stage by stage (3); the recipe has the model, the end of the data and maturity."""
    rows = []
    for j, (name, _, _) in enumerate(recipe.model):
        entered = advanced = skipped = waiting = repeated = touched = 0
        times: list[tuple[Any, bool]] = []
        for person in people:
            skipped += any(move.source < j < move.goal for move in person.moves)
            if j == 0:  # at the first event of either table, whatever its outcome
                entry = [min(row["timestamp"] for row in (*person.touches, *person.outcomes))]
            else:
                entry = [move.time for move in person.moves if move.source < move.goal == j]
            if not entry:
                continue
            entered += 1
            left = [move.time for move in person.moves if move.source == j]
            mine = [t["timestamp"] for t in person.touches if stage_at(t["timestamp"], person.moves) == j]
            advanced += bool(left)
            repeated += max(len(left) - 1, 0)
            touched += len(mine)
            waiting += not left and recipe.young(max(entry + mine))
            times.append((left[0] - entry[0], True) if left else (recipe.end - entry[0], False))
        rows.append(
            {
                "stage": name,
                "entered": entered,
                "advanced": advanced,
                "skipped": skipped,
                "stalled": entered - advanced - waiting,
                "open": waiting,
                "rate": Fraction(advanced, entered - waiting) if entered > waiting else None,
                "repeat_advances": repeated,
                "median_time": kaplan_meier(times, Fraction(1, 2)),
                "p90_time": kaplan_meier(times, Fraction(9, 10)),
                "touches_per_customer": Fraction(touched, entered) if entered else None,
            }
        )
    return rows
