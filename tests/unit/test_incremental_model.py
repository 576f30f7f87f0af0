"""The model of latent intent: kernels beside plain Python, the search, and parameters found again."""

from __future__ import annotations

import numpy as np
import pytest

import reference_incremental as twin
from attrib.hazards.latent import Priors, fit, problem_of, search
from attrib.kernels import intent as kernel
from attrib.kernels import replay
from attrib.kernels.intent import Chart, Lives, Rates

GRID = np.array([5.0, 10.0])


def chart_of(channels=2, grid=GRID, decay=(4.0,)) -> Chart:
    """Two channels and one outcome, over the stages before and after it; touches bring touches, too."""
    acts = np.array([[c, c] for c in range(channels)] + [[channels, channels + 1]], np.int64)
    return Chart(channels, np.array([[1, 1]], np.int64), acts, np.array(decay), grid)


def rates_of(chart: Chart, types=2, moods=2, seed=1) -> Rates:
    random = np.random.default_rng(seed)
    P, S = chart.acts.shape
    K, E = types * moods, int(chart.acts.max()) + 1
    jump = np.full((moods, moods), 1 / max(1, moods - 1)) * (1 - np.eye(moods))
    start = random.random((P, K)) + 0.2
    return Rates(
        start / start.sum(axis=1, keepdims=True), random.uniform(0.02, 0.2, moods), jump,
        random.uniform(0.02, 0.3, (P, S, K)), random.uniform(0, 2, (E, P, len(chart.decay))),
    )  # fmt: skip


def lives_of(*customers: tuple[list[float], list[int]], end=20.0) -> Lives:
    offsets = np.cumsum([0, *(len(times) for times, _ in customers)])
    return Lives(
        offsets, np.concatenate([times for times, _ in customers]).astype(float),
        np.concatenate([codes for _, codes in customers]).astype(np.int64), end,
    )  # fmt: skip


SOME = lives_of(([1, 3, 9], [0, 1, 2]), ([0, 0, 7], [1, 0, 2]), ([4], [2]), ([2, 20.0], [0, 2]))


@pytest.mark.parametrize(("types", "moods"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_forward_and_backward_are_all_paths(types, moods):
    chart = chart_of()
    rates = rates_of(chart, types, moods)
    found, sums = kernel.expect(SOME, np.ones(4), chart, rates, 0, 4)
    total, time, events = 0.0, np.zeros_like(sums.time), np.zeros_like(sums.events)
    exposure, start = np.zeros_like(sums.exposure), np.zeros_like(sums.start)
    for i in range(4):
        part = slice(SOME.offsets[i], SOME.offsets[i + 1])
        times, codes = SOME.time[part].tolist(), SOME.code[part].tolist()
        rows = twin.intervals(times, codes, SOME.end, chart)
        one, states = twin.every_path(rows, codes[0], chart, rates)
        total += one
        start[codes[0]] += states[0]
        for row, state in zip(rows, states, strict=True):
            time[row["stage"]] += state * row["length"]
            exposure[row["stage"]] += state[:, None, None] * row["whole"]
            if row["event"] >= 0:
                events[row["event"], row["stage"]] += state
    assert found == pytest.approx(total, abs=1e-3)  # exposures below 1e-4 count as none
    for ours, theirs in ((sums.time, time), (sums.events, events), (sums.exposure, exposure), (sums.start, start)):
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_weights_are_copies():
    chart = chart_of()
    rates = rates_of(chart)
    twice, sums = kernel.expect(SOME, np.array([2.0, 0, 1, 0]), chart, rates, 0, 4)
    again = lives_of(([1, 3, 9], [0, 1, 2]), ([1, 3, 9], [0, 1, 2]), ([4], [2]))
    thrice, more = kernel.expect(again, np.ones(3), chart, rates, 0, 3)
    assert twice == pytest.approx(thrice)
    for one, other in zip(sums, more, strict=True):
        np.testing.assert_allclose(one, other)


def simulated(n=3000, seed=3):
    """Customers of the model itself: one type keen, one not; channel 0 lifts the outcome, channel 1 follows intent."""
    chart = chart_of(grid=np.array([2.0]))
    speed = np.empty((3, 2, 2))
    speed[0], speed[1], speed[2] = [0.05, 0.05], [0.01, 0.12], [0.004, 0.03]
    effect = np.zeros((4, 3, 1))
    effect[2, 0], effect[3, 0] = 5.0, 5.0
    rates = Rates(np.full((3, 2), 0.5), np.zeros(1), np.zeros((1, 1)), speed, effect)
    random = np.random.default_rng(seed)
    customers = []
    for i in range(n):
        kind, now, stage, times, codes = i % 2, 0.0, 0, [0.0], [int(random.integers(0, 2))]
        touches = [0.0] if codes[0] == 0 else []
        while True:  # thinning
            bound = speed[:, stage, kind].sum() + speed[2, stage, kind] * 5 * len(touches)
            now += random.exponential(1 / bound)
            if now >= 60:
                break
            lift = 5 * sum(np.exp(-(now - t) / 4) for t in touches)
            parts = np.append(speed[:2, stage, kind], speed[2, stage, kind] * (1 + lift))
            p = int(np.searchsorted(np.cumsum(parts), random.random() * bound))
            if p < 3:
                times.append(now)
                codes.append(p)
                touches += [now] if p == 0 else []
                stage = 1 if p == 2 else stage
        customers.append((times, codes))
    return lives_of(*customers, end=60.0), chart, rates


@pytest.fixture(scope="module")
def market():
    return simulated()


def test_steps_never_lower_the_likelihood(market):
    lives, chart, _ = market
    n = len(lives.offsets) - 1
    problem = problem_of(lives, chart, np.ones(n), Priors(), types=2, moods=2).scaled(np.ones(n), None)
    guess, reached = problem.first_guess(0), -np.inf
    for _ in range(12):
        likelihood, sums = problem.expected(guess, np.ones(n), None)
        objective = problem.objective(likelihood, guess)
        assert objective >= reached - 1e-7 * abs(objective)
        guess, reached = problem.step(sums, guess), objective
    found = fit(problem, np.ones(n), start=guess, tolerance=1e-6, steps=60)
    assert (np.diff(found.trace) > -1e-6 * abs(found.objective)).all()
    assert found.objective > reached


def test_parameters_are_found_again(market):
    lives, chart, rates = market
    n = len(lives.offsets) - 1
    problem = problem_of(lives, chart, np.ones(n), Priors(penalty=2.0), types=2, moods=1)
    problem, found = search(problem, np.ones(n), seed=0, decays=np.array([1.0, 4.0, 16.0]), tolerance=1e-7, steps=300)
    assert found.converged
    assert problem.chart.decay.tolist() == [4.0]
    effect = found.intent.effect[:, :, 0]
    assert effect[2, 0] == pytest.approx(5, rel=0.3)
    assert effect[3, 0] == pytest.approx(5, rel=0.3)
    assert np.delete(effect.ravel(), [6, 9]).max() < 0.3  # what has no effect
    speed = np.sort(found.intent.rates().speed, axis=2)
    np.testing.assert_allclose(speed, np.sort(rates.speed, axis=2), rtol=0.3)


def test_without_latent_states_a_follower_looks_like_a_cause(market):
    """What the states are for: channel 1 reaches the keen, and lifts nothing."""
    lives, chart, _ = market
    n = len(lives.offsets) - 1
    problem = problem_of(lives, chart, np.ones(n), Priors(penalty=0.0), types=1, moods=1)
    _, found = search(problem, np.ones(n), seed=0, decays=np.array([4.0]), tolerance=1e-7, steps=300)
    assert found.intent.effect[2, 1, 0] > 0.5


def test_threads_change_no_digit(market):
    from concurrent.futures import ThreadPoolExecutor

    lives, chart, _ = market
    n = len(lives.offsets) - 1
    problem = problem_of(lives, chart, np.ones(n), Priors(), types=2, moods=2)
    guess = problem.first_guess(0)
    with ThreadPoolExecutor(3) as pool:
        alone, together = problem.expected(guess, np.ones(n), None), problem.expected(guess, np.ones(n), pool)
    assert alone[0] == together[0]
    assert all((one == other).all() for one, other in zip(alone[1], together[1], strict=True))


# replays ----------------------------------------------------------------------------------------------------------


def stakes_of(lives: Lives, channels=2) -> replay.Stakes:
    n = len(lives.offsets) - 1
    return replay.Stakes(
        np.arange(n, dtype=np.uint64) + np.uint64(99), np.arange(1.0, len(lives.time) + 1), np.full(channels + 1, 0.5),
        np.repeat(np.arange(channels)[:, None], 2, axis=1), np.zeros((1, 2), np.int64), channels, 1,
    )  # fmt: skip


def lived(lives: Lives, i: int, chart: Chart, rates: Rates, on: list[bool]):
    """One customer's life by the kernels: what came of it, the exponentials and the states."""
    stakes = stakes_of(lives)
    P, _, K = rates.speed.shape
    room_for = kernel.most_intervals(lives, chart.grid, i, i + 1) + 1
    track = kernel.new_track(room_for, K, P, len(chart.decay))
    room = replay.new_room(int(np.diff(lives.offsets).max()), room_for, P, len(chart.decay), 2, 1)
    R = kernel.cut_life(lives, i, chart, track)
    low = lives.offsets[i]
    kernel.forward(chart, rates, kernel.total_rates(rates), lives.code[low], track, R)
    key = np.uint64(1234 + i)
    pieces = replay._draw_states(key, rates, track, R, lives.time[low], room)
    replay._seen_waits(chart, rates, lives, i, track, R, pieces, room)
    room.on[:] = on
    replay._live(key, chart, rates, stakes, lives, i, pieces, room)
    states = list(zip(room.begins[:pieces].tolist(), room.state[:pieces].tolist(), strict=True))
    waits: dict[int, list[float]] = {}
    for place in range(1, int(lives.offsets[i + 1] - low)):
        waits.setdefault(int(lives.code[low + place]), []).append(float(room.wait[place]))

    def spare(p: int, number: int) -> float:
        drawn = number - len(waits.get(p, []))
        return replay._exponential(key, p, drawn) + (room.spent[p] if drawn == 0 else 0.0)

    return room.worth[0].tolist(), room.fired.tolist(), waits, states, spare


def test_with_everybody_on_the_log_comes_back(market):
    lives, chart, _ = market
    rates = rates_of(chart)
    for i in range(300):
        part = slice(lives.offsets[i], lives.offsets[i + 1])
        worth, fired, *_ = lived(lives, i, chart, rates, [True, True])
        bought = lives.code[part] == 2
        assert worth == [bought.sum(), pytest.approx((np.arange(1.0, len(lives.time) + 1)[part])[bought].sum())]
        assert fired == [(lives.code[part] == c).any() for c in range(2)]


@pytest.mark.parametrize("on", [[True, False], [False, True], [False, False]])
def test_a_life_without_some_is_that_of_plain_python(on):
    chart = chart_of()
    rates = rates_of(chart, seed=5)
    lives = lives_of(
        ([1, 3, 9], [0, 1, 2]), ([0, 0, 7], [1, 0, 2]), ([4, 6, 11, 15], [2, 0, 2, 1]), ([2, 19.0], [0, 2])
    )
    for i in range(4):
        worth, fired, waits, states, spare = lived(lives, i, chart, rates, on)
        low = lives.offsets[i]
        off = {c for c in range(2) if not on[c]}
        first = float(lives.time[low]), int(lives.code[low])
        events = twin.live(waits, states, first, lives.end, chart, rates, off, spare)
        assert worth[0] == sum(code == 2 for _, code in events)
        assert fired == [any(code == c and c not in off for _, code in events) for c in range(2)]


def test_the_state_is_drawn_from_its_distribution():
    chart = chart_of()
    rates = rates_of(chart)
    times, codes = [1.0, 3.0, 9.0], [0, 1, 2]
    lives = lives_of((times, codes))
    _, states = twin.every_path(twin.intervals(times, codes, lives.end, chart), 0, chart, rates)
    track = kernel.new_track(kernel.most_intervals(lives, chart.grid, 0, 1), 4, 3, 1)
    room = replay.new_room(3, kernel.most_intervals(lives, chart.grid, 0, 1) + 1, 3, 1, 2, 1)
    R = kernel.cut_life(lives, 0, chart, track)
    kernel.forward(chart, rates, kernel.total_rates(rates), 0, track, R)
    first = np.zeros(4)
    for draw in range(4000):
        replay._draw_states(np.uint64(draw * 7919), rates, track, R, 1.0, room)
        first[room.state[0]] += 1 / 4000
    np.testing.assert_allclose(first, states[0], atol=0.03)


def test_credit_of_a_channel_without_effect_is_nothing(market):
    lives, chart, rates = market
    added, noise, worlds = replay.credit(np.uint64(0), lives, chart, rates, stakes_of(lives), 0, 3000, 2, False)
    assert worlds > 3000
    assert added[1].tolist() == [[0.0, 0.0]]
    assert noise[1].tolist() == [[0.0, 0.0]]
    removed, _, _ = replay.credit(np.uint64(0), lives, chart, rates, stakes_of(lives), 0, 3000, 2, True)
    assert added[0, 0, 0] == pytest.approx(removed[0, 0, 0], rel=0.02)  # nobody else to share with
    assert added[0, 0, 0] > 200
