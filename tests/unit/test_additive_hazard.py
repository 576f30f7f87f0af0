"""AdditiveHazard: its likelihood, its maximum and its rows, against plain Python, scipy and known parameters."""

from __future__ import annotations

import warnings
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

import attrib
import reference
import reference_literature as twin
from attrib.engines import rows as rows_module
from attrib.testing import assert_credit_table

START = datetime(2025, 1, 1)  # noqa: DTZ001
DAYS = 60


def simulated(
    customers: int, seed: int, strength: dict[str, float], lag: dict[str, float], base: float = 0.0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Customers with touches in the first 30 of 60 days, and at most one purchase each, by the model itself (days)."""
    random = np.random.default_rng(seed)
    channels = sorted(strength)
    touched, bought = [], []
    for customer in range(customers):
        times = np.sort(random.uniform(0, 30, 1 + random.poisson(1.5)))
        met = random.choice(channels, len(times))
        brought = random.poisson([strength[c] for c in met])
        clicks = [t + random.exponential(lag[c]) for t, c, n in zip(times, met, brought, strict=True) for _ in range(n)]
        if base:
            clicks.append(times[0] + random.exponential(1 / base))
        end = min(clicks, default=np.inf)
        touched += [(customer, START + timedelta(days=t), c) for t, c in zip(times, met, strict=True) if t <= end]
        if end < DAYS:
            bought.append((customer, START + timedelta(days=end), "purchase"))
    touched.append((customers, START + timedelta(days=DAYS), "none"))  # the data end here
    return (
        pl.DataFrame(touched, schema=["customer_id", "timestamp", "channel"], orient="row"),
        pl.DataFrame(bought, schema=["customer_id", "timestamp", "outcome"], orient="row"),
    )


def known(journeys: attrib.Journeys, **parameters: object) -> dict[str, dict[str, float]]:
    frame = attrib.AdditiveHazard(**parameters).fitted(journeys)
    return {str(row["channel"]): row for row in frame.to_dicts()}


@pytest.mark.parametrize("base", [0.0, 0.004])
def test_known_parameters_are_found_again(base):
    """Touches bring clicks, β each in the mean, 1/ω later in the mean; the first click is the conversion."""
    strength, lag = {"ad": 0.3, "mail": 0.6, "weak": 0.02}, {"ad": 4.0, "mail": 1.0, "weak": 2.0}
    journeys = attrib.Journeys.from_events(*simulated(20_000, 1, strength, lag, base), lookback="unlimited")
    found = known(journeys, baseline=base > 0)
    for channel in ("ad", "mail"):
        assert found[channel]["strength"] == pytest.approx(strength[channel], rel=0.08)
        assert found[channel]["lag"] == pytest.approx(lag[channel], rel=0.12)
    assert found["weak"]["strength"] == pytest.approx(strength["weak"], abs=0.02)
    assert found["ad"]["converged"]
    if base:
        assert found["None"]["strength"] == pytest.approx(base, rel=0.15)


def maximum(journeys, players, bounds, *, baseline, start=None):
    """The greatest likelihood by scipy, from the twin's: parameters on the scale of logarithms."""
    n = len(players)

    def split(x):
        return dict(zip(players, np.exp(x[:n]), strict=True)), dict(zip(players, np.exp(x[n : 2 * n]), strict=True))

    def loss(x):
        return -twin.log_likelihood(journeys, *split(x), base=float(np.exp(x[-1])) if baseline else 0.0)

    x = np.concatenate([np.full(n, np.log(0.3)), np.full(n, np.log(0.2)), np.full(int(baseline), np.log(0.005))])
    x = x if start is None else np.log(start)
    limits = [(-30, 8)] * n + [tuple(np.log(bounds))] * n + [(-30, 3)] * int(baseline)
    found = optimize.minimize(loss, x, method="L-BFGS-B", bounds=limits, options={"maxiter": 2000, "ftol": 1e-14})
    base = float(np.exp(found.x[-1])) if baseline else 0.0
    return -found.fun, twin.hazard_credit(journeys, *split(found.x), base=base)


@pytest.mark.parametrize("baseline", [False, True])
def test_the_search_finds_what_scipy_finds(baseline):
    """The same likelihood, written down in plain Python and maximised by another algorithm: credit and value."""
    touched, bought = simulated(150, 3, {"ad": 0.4, "mail": 0.8}, {"ad": 4.0, "mail": 1.0}, base=0.01)
    bought = bought.with_columns(value=pl.int_range(pl.len()) * 1.5)
    lookback = timedelta(days=20)
    journeys = attrib.Journeys.from_events(touched, bought, lookback=lookback)
    built = reference.build(touched.to_dicts(), bought.to_dicts(), target="purchase", lookback=lookback)
    watched = twin.watched(built, START + timedelta(days=DAYS), lookback)[()]
    players = reference.players_of([journey for journey, _ in watched])
    method = attrib.AdditiveHazard(baseline=baseline, tolerance=1e-9)
    best, _ = maximum(watched, players, (1 / 365, 24.0), baseline=baseline)
    fitted = method.fitted(journeys)
    ours = fitted["log_likelihood"][0]
    assert best - 1e-5 <= ours <= best + 5e-3  # scipy's differences of a likelihood are not as exact
    # at the parameters found, the likelihood is the twin's to the last digits, and scipy cannot go on from there
    rows = {(row["channel"],): row for row in fitted.filter(kind="player").to_dicts()}
    strength = {player: row["strength"] for player, row in rows.items()}
    omega = {player: 1 / (row["lag"] or 1.0) for player, row in rows.items()}
    base = fitted.filter(kind="baseline")["strength"].sum()
    assert ours == pytest.approx(twin.log_likelihood(watched, strength, omega, base), rel=1e-10)
    start = np.array([*strength.values(), *omega.values(), *([base] if baseline else [])]) + 1e-12
    further, credit = maximum(watched, players, (1 / 365, 24.0), baseline=baseline, start=start)
    assert further <= ours + 1e-5
    table = method.credit(journeys)
    assert_credit_table(table, journeys)
    for row in table.filter(pl.col("kind") != "unattributed").to_dicts():
        wanted = credit[None if row["kind"] == "baseline" else (row["channel"],)]
        assert (row["conversions"], row["value"]) == pytest.approx(wanted, abs=0.02, rel=2e-3)


@given(st.integers(0, 10_000), st.sampled_from([None, "1d", "9d"]), st.sampled_from(["2d", "10d", "unlimited"]))
def test_the_likelihood_is_that_of_the_definition(seed, max_gap, lookback):
    """Also where long pauses split journeys, and whatever the lookback."""
    touched, bought = simulated(25, seed, {"ad": 1.0, "mail": 0.5}, {"ad": 4.0, "mail": 1.0})
    pause, back = (
        None if text in {None, "unlimited"} else timedelta(days=int(text[:-1])) for text in (max_gap, lookback)
    )
    journeys = attrib.Journeys.from_events(touched, bought, lookback=lookback, max_gap=max_gap)
    built = reference.build(touched.to_dicts(), bought.to_dicts(), target="purchase", lookback=back, max_gap=pause)
    watched = twin.watched(built, START + timedelta(days=DAYS), back)[()]
    if not any(journey.status == "converting" for journey, _ in watched):
        return
    for baseline in (False, True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", attrib.AttribWarning)
            fitted = attrib.AdditiveHazard(lag="3d", baseline=baseline, steps=3).fitted(journeys)
        rows = fitted.filter(kind="player").to_dicts()
        strength = {(row["channel"],): row["strength"] for row in rows}
        base = fitted.filter(kind="baseline")["strength"].sum()
        wanted = twin.log_likelihood(watched, strength, dict.fromkeys(strength, 1 / 3), base)
        assert fitted["log_likelihood"][0] == pytest.approx(wanted, rel=1e-9)


def test_the_likelihood_never_falls():
    """Neither by a step nor by going on ahead of it."""
    journeys = attrib.Journeys.from_events(*simulated(400, 5, {"ad": 0.4, "mail": 0.8}, {"ad": 9.0, "mail": 1.0}))
    found = []
    for steps in (1, 2, 3, 5, 8, 13, 21, 34, 55, 200):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", attrib.AttribWarning)
            found.append(attrib.AdditiveHazard(steps=steps).fitted(journeys)["log_likelihood"][0])
    assert found == sorted(found)
    assert found[0] < found[-1] - 1


def test_rows_on_disk_give_the_same_to_the_last_bit(tmp_path, monkeypatch):
    data = attrib.synth.generate(customers=400, seed=2)

    def table(**settings):
        journeys = attrib.Journeys.from_events(
            data.touchpoints, data.outcomes, stages="three", engine=attrib.LocalEngine(**settings)
        )
        return attrib.credit(journeys, [attrib.Linear(), attrib.AdditiveHazard(baseline=True)])

    written = []
    write = rows_module._Store._flush
    monkeypatch.setattr(rows_module._Store, "_flush", lambda store: (written.append(1), write(store)))
    wanted = table(threads=1)
    assert not written
    found = table(threads=3, memory_limit="40KB", spill=str(tmp_path))
    assert written
    assert found.equals(wanted)
    assert list(tmp_path.iterdir()) == []


def test_one_table_with_both_kinds_of_methods_and_their_intervals():
    data = attrib.synth.generate(customers=600, seed=4)
    journeys = attrib.Journeys.from_events(data.touchpoints, data.outcomes, by="interaction")
    methods = [attrib.Markov(), attrib.AdditiveHazard(lag="7d", baseline=True), attrib.ShaoLi()]
    table = attrib.credit(journeys, methods, replicates=50)
    assert_credit_table(table, journeys, methods=[method.label for method in methods])
    mine = table.filter(method=methods[1].label)
    assert set(mine["kind"]) == {"player", "unattributed", "baseline"}
    assert mine["conversions_low"].null_count() == 0
    baseline = mine.filter(kind="baseline")
    assert (baseline["conversions_low"] <= baseline["conversions"]).all()
    assert (baseline["share_low"] <= baseline["share_high"]).all()
    shown = attrib.compare(journeys, methods, replicates=20)
    assert shown.agreement.height > 0


def test_path_tables_have_no_times():
    journeys = attrib.Journeys.from_paths(pl.DataFrame({"path": ["a > b"], "total_conversions": [3]}))
    with pytest.raises(attrib.SolveError, match="needs the times of touches and conversions") as error:
        attrib.credit(journeys, [attrib.Linear(), attrib.AdditiveHazard()])
    assert error.value.key == "no_times"


def test_a_search_that_ends_early_says_so():
    data = attrib.synth.generate(customers=200, seed=4)
    journeys = attrib.Journeys.from_events(data.touchpoints, data.outcomes)
    with pytest.warns(attrib.AttribWarning, match="no maximum of the likelihood after 3 steps"):
        attrib.AdditiveHazard(steps=3).credit(journeys)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"lag": ("2d", "1d")}, "not a shortest and a longest time"),
        ({"lag": ("0s", "1d")}, "not a shortest and a longest time"),
        ({"lag": ("1h", "1d", "2d")}, "not one duration, or two"),
        ({"lag": "unlimited"}, "unlimited"),
        ({"lag": "soon"}, "soon"),
        ({"baseline": 1}, "neither true nor false"),
        ({"tolerance": 0}, "not a number between 0 and 1"),
        ({"steps": 0}, "whole number"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(attrib.SpecError, match=message):
        attrib.AdditiveHazard(**parameters)


def test_its_label_shows_what_was_chosen():
    assert attrib.AdditiveHazard().label == "additive_hazard"
    label = attrib.AdditiveHazard(lag=["1h", "30d"], baseline=True).label
    assert label == "additive_hazard(lag=[1h, 30d], baseline=True)"
