"""Hazards by period: kernels beside plain Python, thinning, and estimators."""

from __future__ import annotations

import numpy as np
import pytest

import reference_periods as twin
from attrib.hazards.estimators import Hazards, Linear, Part, Table, boosting, glm, learn
from attrib.kernels import periods as kernel
from attrib.kernels import thinning
from attrib.kernels.intent import Lives
from attrib.kernels.periods import Design, Known
from attrib.kernels.replay import Stakes

pytest.importorskip("sklearn")
SEED = np.uint64(7)
AFTER = np.array([[1, 1]], np.int64)
P, S, F = 3, 2, 3 * 2 + 1 + 1 + 2


def lives_of(*customers, end=12.0) -> Lives:
    offsets = np.cumsum([0, *(len(times) for times, _ in customers)])
    return Lives(
        offsets, np.concatenate([times for times, _ in customers]).astype(float),
        np.concatenate([codes for _, codes in customers]).astype(np.int64), end,
    )  # fmt: skip


SOME = lives_of(
    ([1, 2.5, 2.6, 9], [0, 1, 2, 0]), ([0, 0, 3, 3, 7], [1, 0, 0, 2, 2]), ([4], [2]), ([2, 12.0], [0, 2]),
    ([0.3, 1.3, 1.9, 2.0, 8.25], [0, 0, 1, 2, 1]),
)  # fmt: skip


def design_of(period=1.0) -> Design:
    return Design(2, AFTER, np.array([4.0]), 30.0, period)


def known_of(lives: Lives) -> Known:
    """Everybody has a number, which changes at noon of the sixth day."""
    n = len(lives.offsets) - 1
    return Known(
        np.arange(0, 2 * n + 1, 2), np.tile([-np.inf, 5.5], n), np.arange(2.0 * n)[:, None] / n
    )  # fmt: skip


def stakes_of(lives: Lives) -> Stakes:
    n = len(lives.offsets) - 1
    return Stakes(
        np.arange(n, dtype=np.uint64) + np.uint64(99), np.arange(1.0, len(lives.time) + 1), np.full(P, 0.5),
        np.repeat(np.arange(2)[:, None], S, axis=1), np.zeros((1, S), np.int64), 2, 1,
    )  # fmt: skip


def facts_of(lives: Lives, i: int, design: Design):
    known = known_of(lives)
    rows = range(known.offsets[i], known.offsets[i + 1])
    return design, P, S, [(known.time[row], known.values[row].tolist()) for row in rows]


def log_of(lives: Lives, i: int):
    part = slice(lives.offsets[i], lives.offsets[i + 1])
    return list(zip(lives.time[part].tolist(), lives.code[part].tolist(), strict=True))


def hazards_of(seed=2, level=-1.5) -> Hazards:
    random = np.random.default_rng(seed)
    parts = [Part(0, (0, 1)), Part(1, (0, 1)), Part(2, (0,)), Part(2, (1,))]
    models = [Linear(level, random.normal(0, 0.4, F)) for _ in parts]
    return Hazards(tuple(parts), tuple(models), np.array([[0.9, 0.9], [0.7, 0.7], [0.5, 0.8]]), 0.0)


@pytest.mark.parametrize("period", [0.5, 1.0, 2.0])
def test_stretches_are_those_of_plain_python(period):
    design, everybody = design_of(period), np.arange(5)
    rows, x = kernel.cut(SEED, SOME, stakes_of(SOME), design, known_of(SOME), everybody, 1.0)
    assert kernel.count_stretches(SOME, design, everybody).tolist() == np.bincount(rows.customer, minlength=5).tolist()
    at = 0
    for i in range(5):
        for one in twin.stretches(log_of(SOME, i), SOME.end, facts_of(SOME, i, design)):
            event = one["event"] + SOME.offsets[i] if one["event"] >= 0 else -1
            assert (rows.customer[at], rows.stage[at], rows.event[at]) == (i, one["stage"], event)
            assert [rows.start[at], rows.length[at]] == pytest.approx([one["start"], one["length"]])
            np.testing.assert_allclose(x[at], one["x"], atol=2e-4)  # exposures below 1e-4 count as none
            at += 1
    assert at == len(rows.start)


def test_a_part_of_the_quiet_stretches_and_all_events():
    n = 2000
    lives = lives_of(*[([0.0, 3.3], [0, 2])] * n, end=20.0)
    rows, x = kernel.cut(SEED, lives, stakes_of(lives), design_of(), known_of(lives), np.arange(n), 0.25)
    assert (rows.event >= 0).sum() == n
    assert (rows.event < 0).mean() == pytest.approx(0.25 * 20 / (0.25 * 20 + 1), abs=0.02)
    whole, _ = kernel.cut(SEED, lives, stakes_of(lives), design_of(), known_of(lives), np.arange(n), 1.0)
    assert len(whole.start) == 21 * n
    assert len(x) == len(rows.start)


def scattered(lives: Lives, hazards: Hazards, design: Design, draw=0):
    everybody = np.arange(len(lives.offsets) - 1)
    rows, x = kernel.cut(SEED, lives, stakes_of(lives), design, known_of(lives), everybody, 1.0)
    rates = hazards.rates(x, rows.stage)
    cap = hazards.cap.max(axis=1)
    return rows, rates, thinning.scatter(SEED, lives, stakes_of(lives), design, everybody, rows, rates, cap, draw)


def test_points_are_the_log_below_the_rates_and_others_above():
    hazards, design = hazards_of(), design_of()
    n = 400
    lives = lives_of(*[([0.0, 3.3, 5.1], [0, 1, 2])] * n)
    rows, rates, points = scattered(lives, hazards, design)
    seen = points.event >= 0
    assert sorted(points.event[seen].tolist()) == [e for e in range(3 * n) if e % 3]
    assert (np.diff(points.time)[np.diff(np.repeat(np.arange(n), np.diff(points.offsets))) == 0] >= 0).all()
    customer = np.repeat(np.arange(n), np.diff(points.offsets))
    for at in range(len(points.time)):
        mine = np.flatnonzero((rows.customer == customer[at]) & (rows.start < points.time[at]))[-1]
        below = points.height[at] <= rates[mine, points.process[at]]
        assert below == seen[at]
    expected = (rows.length[:, None] * (hazards.cap.max(axis=1) - rates)).sum()
    assert (~seen).sum() == pytest.approx(expected, rel=0.05)
    heights = points.height[seen & (points.process == 1)]
    first = rates[(rows.event >= 0) & (lives.code[rows.event] == 1), 1]
    assert np.sort(heights / first)[::40] == pytest.approx(np.linspace(0, 1, 11)[:10], abs=0.08)


def lived(lives: Lives, hazards: Hazards, design: Design, on: list[bool]):
    """Everybody's life in a world, and the points that they share."""
    _, _, points = scattered(lives, hazards, design)
    n = len(lives.offsets) - 1
    worlds = thinning.Worlds(
        np.arange(n), np.arange(n), np.tile(on, (n, 1)), np.zeros(n), np.zeros(n, np.int64), np.zeros((n, P, 1)),
        np.zeros((n, P)), np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros((n, 2), np.bool_),
        np.zeros((n, 1, 2)),
    )  # fmt: skip
    stakes, known = stakes_of(lives), known_of(lives)
    thinning.begin(lives, stakes, design, points, np.arange(n), worlds)
    x, wanted, some = np.empty((n, F)), np.empty((n, P), np.bool_), np.arange(n)
    while left := thinning.ask(lives, stakes, design, known, points, hazards.cap, some, worlds, x, wanted):
        some = some[:left]
        rates = hazards.rates(x[:left], worlds.stage[some], wanted[:left])
        thinning.settle(lives, stakes, design, points, rates, some, worlds)
    return worlds, points


def random_lives(n=150, end=12.0, whole=False) -> Lives:
    random = np.random.default_rng(4)
    customers = []
    for _ in range(n):
        times = np.sort(random.random(random.integers(1, 8)) * end)
        customers.append((np.floor(times) if whole else times, random.integers(0, P, len(times))))
    return lives_of(*customers, end=end)


@pytest.mark.parametrize("whole", [False, True], ids=["any time", "dates"])
@pytest.mark.parametrize("on", [[True, True], [True, False], [False, True], [False, False]], ids=str)
def test_lives_in_a_world_are_those_of_plain_python(on, whole):
    lives, hazards, design = random_lives(whole=whole), hazards_of(), design_of()
    worlds, points = lived(lives, hazards, design, on)
    for i in range(len(lives.offsets) - 1):
        part = slice(points.offsets[i], points.offsets[i + 1])
        event = np.where(points.event[part] >= 0, points.event[part] - lives.offsets[i], -1)
        mine = list(zip(points.time[part], points.process[part], points.height[part], event, strict=True))

        def rates(x, stage):
            return hazards.rates(np.array([x]), np.array([stage]))[0]

        players = {c for c in range(2) if on[c]}
        world = twin.live(mine, log_of(lives, i), players, rates, facts_of(lives, i, design))
        bought = [when for when, code in world if code == 2]
        assert worlds.worth[i, 0, 0] == len(bought)
        assert worlds.fired[i].tolist() == [any(code == c for _, code in world) for c in range(2)]
        if all(on):
            assert world == log_of(lives, i)
            assert (
                worlds.worth[i, 0, 1]
                == stakes_of(lives)
                .value[lives.offsets[i] : lives.offsets[i + 1]][
                    lives.code[lives.offsets[i] : lives.offsets[i + 1]] == 2
                ]
                .sum()
            )


def test_the_log_tells_whose_touches_there_are_and_what_counts():
    fired, worth = thinning.as_seen(SOME, stakes_of(SOME), design_of(), np.arange(5))
    assert fired.tolist() == [[True, True], [True, True], [False, False], [True, False], [True, True]]
    assert worth[:, 0, 0].tolist() == [1, 2, 1, 1, 1]


# estimators -------------------------------------------------------------------------------------------------------


def table_of(n=20_000, seed=0) -> Table:
    """The rate is 0.1 exp(0.8 a) of process 0, b says nothing; process 1 never happens."""
    random = np.random.default_rng(seed)
    x = np.stack([random.normal(size=n), random.normal(5, 3, n)], axis=1)
    days = random.uniform(0.5, 1, n)
    code = np.where(random.random(n) < 1 - np.exp(-0.1 * np.exp(0.8 * x[:, 0]) * days), 0, -1)
    wait = random.exponential(size=n) / (0.1 * np.exp(0.8 * x[:, 0]))
    code = np.where(wait < days, 0, -1)
    return Table(x, code, np.minimum(wait, days), np.zeros(n, np.int64), np.ones(n), 1)


PARTS = [Part(0, (0,)), Part(1, (0,))]


def test_a_regression_finds_what_rates_are_made_of():
    found = learn(table_of(), PARTS, glm(1.0))
    assert isinstance(found.models[0], Linear)
    assert found.models[0].constant == pytest.approx(np.log(0.1), abs=0.15)
    assert found.models[0].slope == pytest.approx([0.8, 0.0], abs=0.05)
    again = learn(table_of(), PARTS, glm(1.0), None, found)
    assert again.models[0].slope == pytest.approx(found.models[0].slope, abs=1e-4)


def test_weights_are_copies():
    table = table_of(500)
    twice = Table(table.x, table.code, table.days, table.stage, np.where(np.arange(500) < 100, 2.0, 1.0), 1)
    some = np.concatenate([np.arange(500), np.arange(100)])
    copied = Table(*(column[some] for column in (table.x, table.code, table.days, table.stage, np.ones(500))), 1)
    one, other = (learn(t, PARTS, glm(1.0)) for t in (twice, copied))
    assert one.models[0].slope == pytest.approx(other.models[0].slope, abs=1e-6)
    assert one.likelihood == pytest.approx(other.likelihood)


@pytest.mark.parametrize("fit", [glm(1.0), boosting(1.0, 0)], ids=["glm", "boosting"])
def test_rates_are_those_of_events_and_never_above_the_highest(fit):
    table = table_of()
    found = learn(table, PARTS, fit)
    rates = found.rates(table.x, table.stage)
    assert (rates[:, 1] == 0).all()  # what never happened does not happen
    assert rates[:, 0] @ table.days == pytest.approx((table.code == 0).sum(), rel=0.02)
    assert rates[:, 0].max() == pytest.approx(found.cap[0, 0])
    far = np.array([[300.0, 5.0]])
    assert 0 < found.rates(far, np.zeros(1, np.int64))[0, 0] <= found.cap[0, 0]
    for a in (1.0, -1.0):
        near = np.abs(table.x[:, 0] - a) < 0.2
        assert rates[near, 0].mean() == pytest.approx(0.1 * np.exp(0.8 * a), rel=0.15)


def test_trees_tell_what_was_asked_for():
    found = learn(table_of(2000), PARTS, boosting(1.0, 0))
    wanted = np.array([[True, False], [False, True]])
    rates = found.rates(np.zeros((2, 2)), np.zeros(2, np.int64), wanted)
    assert rates[0, 0] > 0
    assert rates[1, 0] == -1
    assert rates[1, 1] == 0


def test_threads_change_no_digit():
    from concurrent.futures import ThreadPoolExecutor

    table = table_of(3000)
    with ThreadPoolExecutor(3) as pool:
        one, other = (learn(table, PARTS, glm(1.0), threads) for threads in (None, pool))
    assert (one.models[0].slope == other.models[0].slope).all()
