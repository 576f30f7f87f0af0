"""Chains of every shape have a right answer: nobody converts, everybody does, islands, loops, a thousand players."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import attrib


def credited(rows: list[tuple[str, int, int]], order: int) -> dict[str, tuple[float, float | None]]:
    frame = pl.DataFrame(rows, schema=["path", "total_conversions", "total_null"], orient="row")
    table = attrib.Markov(order=order).credit(attrib.Journeys.from_paths(frame)).filter(kind="player")
    return {channel: (c, e) for channel, c, e in table.select("channel", "conversions", "effect").iter_rows()}


orders = pytest.mark.parametrize("order", [1, 2, 3, 5])


@orders
def test_one_journey_of_one_player(order):
    assert credited([("a", 1, 0)], order) == {"a": (1.0, 1.0)}


@orders
def test_nobody_converts(order):
    assert credited([("a", 0, 5), ("a > b", 0, 2)], order) == {"a": (0.0, None), "b": (0.0, None)}


@orders
def test_everybody_converts(order):
    found = credited([("a > b", 5, 0), ("b", 2, 0)], order)
    assert found["b"][1] == pytest.approx(1.0)  # every path passes b
    assert found["a"][1] == pytest.approx(5 / 7)  # 5 of 7 start with a


@orders
def test_a_player_that_never_converts_earns_nothing(order):
    found = credited([("a > b", 5, 3), ("never", 0, 9), ("always", 4, 0)], order)
    assert found["never"] == (0.0, 0.0)
    assert found["always"][1] == pytest.approx(4 / 9)


@orders
def test_islands_do_not_touch_each_other(order):
    found = credited([("a > b", 5, 3), ("c > d", 2, 9)], order)
    assert {channel: effect for channel, (_, effect) in found.items()} == pytest.approx(
        {"a": 5 / 7, "b": 5 / 7, "c": 2 / 7, "d": 2 / 7}
    )


@orders
def test_long_loops_end(order):
    """A thousand touches of one channel, or two in turn: leaving is rare, and exact all the same."""
    runs = credited([(" > ".join(["a"] * 1000), 5, 3)], order)
    turns = credited([(" > ".join(["a", "b"] * 5000), 5, 3)], order)
    assert runs == {"a": (5.0, 1.0)}
    # at order 1 a is left towards b or never: the chain ends at b only
    assert turns["a"][1] == pytest.approx(1.0)
    assert turns["b"][1] == pytest.approx(1.0)


@pytest.mark.parametrize("order", [1, 2])
def test_a_thousand_players(order):
    random = np.random.default_rng(5)
    paths = [" > ".join(f"c{c}" for c in random.integers(0, 1000, random.integers(1, 4))) for _ in range(2500)]
    rows = [(path, int(c), int(n)) for path, c, n in zip(paths, *random.integers(0, 3, (2, 2500)), strict=True)]
    found = credited(rows, order)
    assert len(found) > 900
    assert sum(c for c, _ in found.values()) == pytest.approx(sum(c for _, c, _ in rows), rel=1e-9)
    assert all(0 <= effect <= 1 for _, effect in found.values())
