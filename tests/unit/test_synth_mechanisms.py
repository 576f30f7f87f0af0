"""The mechanisms of the generator: off, nothing changes; on, each does what it says, as its slow twin has it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from attrib import synth
from attrib.errors import SpecError
from attrib.synth import Channel, Follows, Induces, Later, Observation, Pair, Population
from attrib.synth.generator import Recipe
from reference_synth import histories

START = datetime(2025, 1, 1)  # noqa: DTZ001 - times without a zone
ALL = synth.scenario("everything").population

# --- off, nothing changes ---------------------------------------------------------------------------

# Computed by the generator before it had any of these mechanisms.
OF_OLD = {
    "0227f9c906d51ed6": {},
    "84b8f1dae0085242": {
        "population": Population(carryover=3.0, saturation=4.0, window=20.0, dormant=0.3, intent=1.1, recruits=0.4)
    },
    "f47f31a1ee0f4039": {"off": frozenset({"display", "email"})},
    "a9da21974fbfdb0c": {"population": Population(recruits=0.0), "off": frozenset({"word_of_mouth"})},
    "d1f10ead903b0ba8": {"population": Population(later=Later())},
    "b54bc47c95eb3645": {
        "population": Population(later=Later(contract=False, ask_bias=1.0)),
        "off": frozenset({"referral_ask"}),
    },
    "ba090b8714d58d6d": {"days": 1200},
}


@pytest.mark.parametrize("fingerprint", OF_OLD)
def test_with_every_mechanism_off_the_events_are_those_of_old(fingerprint):
    digest = hashlib.blake2b(digest_size=8)
    for column in Recipe(seed=11, **OF_OLD[fingerprint]).simulate(0, 3000):
        digest.update(column.tobytes())
    assert digest.hexdigest() == fingerprint


# --- keyed streams ----------------------------------------------------------------------------------

NULL = Channel(
    "null", "click", (0.5, 0.5, 0.5, 0.5, 0.5), (0.0,) * 5, intent=0.5, carryover=3.0, drift=2.0, wearout=1.0, seen=0.5,
    consent=True, months=tuple(range(12)), follows=(Follows("visit", 5.0), Follows("purchase", 3.0, 2.0)),
)  # fmt: skip


@pytest.mark.parametrize("observed", [True, False])
@pytest.mark.parametrize("later", [None, Later()])
def test_switching_off_a_null_channel_changes_no_other_event(observed, later):
    inducers = (replace(ALL.channels[0], induces=(*ALL.channels[0].induces, Induces("null", 5.0))), *ALL.channels[1:])
    market = replace(ALL, channels=(*inducers, NULL), later=later)
    with_it = synth.generate(4_000, seed=3, population=market, observed=observed)
    without = synth.generate(4_000, seed=3, population=market, observed=observed, off=frozenset({"null"}))
    assert with_it.touchpoints.filter(channel="null").height > 1_000
    assert_frame_equal(with_it.touchpoints.filter(pl.col("channel") != "null"), without.touchpoints)
    assert_frame_equal(with_it.outcomes, without.outcomes)


def test_a_null_channel_that_is_not_there_is_like_one_that_is_off():
    market = replace(ALL, channels=(NULL, *ALL.channels))
    off = synth.generate(2_000, seed=3, population=market, off=frozenset({"null"}))
    assert_frame_equal(off.touchpoints, synth.generate(2_000, seed=3, population=ALL).touchpoints)


def test_what_is_induced_stops_when_its_channel_is_off():
    off = synth.generate(3_000, seed=1, scenario="upper_funnel", off=frozenset({"brand_search"}))
    assert off.touchpoints.filter(channel="brand_search").height == 0


def test_everything_depends_on_neither_batches_nor_threads():
    whole = synth.generate(900, seed=5, scenario="everything", dirty=0.05, ids="string")
    parts = list(synth.batches(900, 5, 200, scenario="everything", dirty=0.05, ids="string", threads=2))
    assert_frame_equal(pl.concat([touchpoints for touchpoints, _ in parts]), whole.touchpoints)
    assert_frame_equal(pl.concat([outcomes for _, outcomes in parts]), whole.outcomes)


# --- each against the twin --------------------------------------------------------------------------

A = Channel("a", "impression", (3, 3, 3, 3, 3), (3, 2, 1, 1, 0))
B = Channel("b", "click", (1.5, 1.5, 1.5, 1.5, 1.5), (2, 3, 4, 2, 2))
C = Channel("c", "click", (1, 1, 1, 1, 1), (0, 0, 0, 0, 0))
SMALL = Population(
    channels=(A, B, C),
    organic=((0.02, 0.002, 0.001, 0), (0.01, 0.02, 0.002, 0), (0.01, 0.004, 0.02, 0), (0.005, 0.001, 0.006, 0.001),
             (0.006, 0.001, 0.008, 0.004)),
    recruits=0.0, intent=0.5, saturation=8.0,
)  # fmt: skip
SWELLING = (0.2, 2.0, 0.5, 3.0, 1, 1, 1, 1, 1, 1, 1, 1)
FALLING = (2.0, 0.3, 1.0, 0.1, 1, 1, 1, 1, 1, 1, 1, 1)
MARKETS = {
    "plain": SMALL,
    "traits": replace(SMALL, channels=(replace(A, intent=0.6, digital=-0.5), B, replace(C, intent=1.0))),
    "wander": replace(SMALL, intent=1.0, wander=0.9, wander_days=10.0, channels=(A, B, replace(C, intent=1.0))),
    "induces": replace(SMALL, channels=(replace(A, induces=(Induces("b", 4.0, 3.0), Induces("c", 2.0))), B, C)),
    "follows": replace(
        SMALL, channels=(A, B, replace(C, follows=(Follows("visit", 12.0, 5.0), Follows("purchase", 9.0, 20.0))))
    ),
    "carryover": replace(SMALL, channels=(replace(A, carryover=0.5), replace(B, carryover=0.5), C)),
    "wearout": replace(SMALL, channels=(replace(A, wearout=20.0), replace(B, wearout=20.0), C)),
    "drift": replace(SMALL, channels=(replace(A, drift=0.001), replace(B, drift=0.001), C)),
    "synergy": replace(SMALL, pairs=(Pair("a", "b", 4.0),)),
    "order": replace(SMALL, pairs=(Pair("a", "b", 6.0, ordered=True), Pair("b", "a", 4.0, ordered=True))),
    "substitution": replace(SMALL, pairs=(Pair("a", "b", 0.0), Pair("c", "a", 0.0, ordered=True))),
    "months": replace(SMALL, months=SWELLING, channels=(replace(A, months=FALLING), B, C)),
}
MARKETS["all"] = Population(
    channels=(
        replace(A, intent=0.3, carryover=3.0, wearout=1.0, drift=0.1, induces=(Induces("b", 3.0, 5.0),)),
        replace(B, months=FALLING, wearout=0.5, induces=(Induces("c", 2.0, 2.0),)),
        replace(C, intent=0.5, digital=0.3, follows=(Follows("visit", 6.0, 4.0), Follows("intent", 8.0))),
    ),
    organic=SMALL.organic, recruits=0.0, intent=0.7, saturation=8.0, wander=0.5, wander_days=12.0, months=SWELLING,
    pairs=(Pair("a", "b", 3.0), Pair("c", "b", 0.3, ordered=True)),
)  # fmt: skip
DAYS, SLOW, FAST = 100, 4_000, 40_000
NAMES = ("a", "b", "c", *synth.OUTCOMES)


def mean_and_error(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.mean(axis=0), x.std(axis=0) / np.sqrt(len(x))


def fast(market: Population, seed: int = 1) -> np.ndarray:
    """Customers × (events of each kind, first purchase, and the sums of their times)."""
    events = Recipe(seed, days=DAYS, population=market, start=START).simulate(0, FAST)
    found = np.zeros((FAST, 2 * len(NAMES) + 1))
    for customer, kind, time in (
        (events.customer, events.channel.astype(int), events.time),
        (events.outcome_customer, events.outcome.astype(int) + 3, events.outcome_time),
    ):
        np.add.at(found, (customer, kind), 1)
        np.add.at(found, (customer, kind + len(NAMES)), time / 8.64e10 / DAYS)
    found[:, -1] = found[:, NAMES.index("purchase")] > 0
    return found


def slow(market: Population) -> np.ndarray:
    found = np.zeros((SLOW, 2 * len(NAMES) + 1))
    for customer, history in enumerate(histories(market, SLOW, START, DAYS, seed=7)):
        for time, name in history:
            found[customer, NAMES.index(name)] += 1
            found[customer, NAMES.index(name) + len(NAMES)] += time / DAYS
    found[:, -1] = found[:, NAMES.index("purchase")] > 0
    return found


@pytest.fixture(scope="module")
def plain() -> np.ndarray:
    return fast(SMALL)


@pytest.mark.parametrize("name", MARKETS)
def test_events_are_as_frequent_and_as_early_as_in_the_twin(name, plain):
    quick, error = mean_and_error(fast(MARKETS[name]))
    wanted, uncertain = mean_and_error(slow(MARKETS[name]))
    deviation = (quick - wanted) / np.hypot(error, uncertain)
    assert np.abs(deviation).max() < 3.7, dict(zip((*NAMES, *NAMES, "buys"), deviation.round(1), strict=True))
    if name != "plain":  # and the mechanism makes a difference that the twin's size can show
        difference = (mean_and_error(plain)[0] - quick) / np.hypot(error, uncertain)
        assert np.abs(difference).max() > 4, difference.round(1)


# --- closed forms -----------------------------------------------------------------------------------

STILL = Population(
    channels=(Channel("ad", "impression", (6,) * 5, (0,) * 5), Channel("search", "click", (0.9,) * 5, (0,) * 5)),
    organic=((0.0,) * 4,) * 5, recruits=0.0, intent=0.0, dormant=1.0,
)  # fmt: skip


def counts(market: Population, days: int = 365, seed: int = 2, size: int = 4_000) -> dict[str, np.ndarray]:
    events = Recipe(seed, days=days, population=market, start=START).simulate(0, size)
    return {
        channel.name: np.bincount(events.customer[events.channel == at], minlength=size)
        for at, channel in enumerate(market.channels)
    }


def test_a_touch_brings_boost_times_base_times_days_further_ones():
    boost, fade = 5.0, 4.0
    induced = replace(STILL.channels[0], induces=(Induces("search", boost, fade),))
    with_it = counts(replace(STILL, channels=(induced, STILL.channels[1])))
    without = counts(STILL)
    assert (with_it["ad"] == without["ad"]).all()
    extra = with_it["search"] - without["search"]
    wanted = boost * 0.9 / 30 * fade * with_it["ad"].mean()
    wanted *= 1 - fade / 182.5  # touches of the last days have not done all their work
    mean, error = mean_and_error(extra)
    assert abs(mean - wanted) < 4 * error


def test_wandering_intent_leaves_the_mean_exposure_as_it_is():
    search = replace(STILL.channels[1], intent=0.8)
    for share in (0.0, 0.5, 1.0):
        market = replace(STILL, channels=(search,), wander=share, wander_days=20.0, advocates=0.0)
        mean, error = mean_and_error(counts(market, size=20_000)["search"])
        assert abs(mean - 0.9 / 30 * 182.5 * np.exp(0.8**2 / 2)) < 4 * error


def test_months_are_as_busy_as_they_say():
    months = tuple(float(1 + m % 3) for m in range(12))
    ad = replace(STILL.channels[0], months=months)
    start = datetime(2024, 3, 15)  # noqa: DTZ001
    found, even = (
        synth.generate(3_000, seed=4, start=start, days=700, population=replace(STILL, channels=(channel,)))
        .touchpoints.group_by(pl.col("timestamp").dt.truncate("1mo").alias("month"))
        .len()
        .sort("month")
        for channel in (ad, STILL.channels[0])
    )
    factor = np.array(months)[found["month"].dt.month().to_numpy() - 1]
    touches, usual = (frame["len"].to_numpy().astype(float) for frame in (found, even))
    assert np.abs((touches - factor * usual) / np.sqrt(touches + factor**2 * usual)).max() < 4


def test_weekdays_are_as_busy_as_they_say():
    week = (1.0, 1.0, 1.0, 1.0, 2.0, 0.0, 0.5)
    start = datetime(2024, 3, 15)  # noqa: DTZ001 - a Friday
    data = synth.generate(3_000, seed=4, start=start, days=703, population=replace(STILL, week=week))
    days = data.touchpoints["timestamp"].filter(data.touchpoints["timestamp"] < start + timedelta(days=700))
    share = np.bincount(days.dt.weekday() - 1, minlength=7) / days.len()
    assert share[5] == 0
    assert np.abs(share - np.array(week) / sum(week)).max() < 0.005


def test_weeks_leave_order_and_rows_alone():
    from attrib.synth.clocks import by_week, from_week

    even = synth.generate(1_000, seed=1)
    busy = synth.generate(1_000, seed=1, population=Population(week=(3, 1, 1, 1, 1, 0.5, 0.0)))
    assert_frame_equal(even.touchpoints.drop("timestamp"), busy.touchpoints.drop("timestamp"))
    moved = (even.touchpoints["timestamp"] - busy.touchpoints["timestamp"]).abs().max()
    assert timedelta(days=1) < moved < timedelta(days=7)
    passed = np.array([0.0, 1.4, 1.4, 3.0, 4.0, 5.5, 6.5, 7.0])
    for t in np.linspace(0, 36, 1001):
        assert from_week(by_week(t, passed, 36.0), passed, 36.0) == pytest.approx(t, abs=1e-9)


# --- refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"carryover": 0.0}, {"wearout": -1.0}, {"drift": 0.0}, {"months": (1.0,) * 11}, {"months": (0.0,) * 12},
        {"seen": 1.5}, {"induces": ("b",)}, {"follows": [Follows("visit", 1.0)]}, {"intent": float("nan")},
    ],
)  # fmt: skip
def test_bad_channels_are_refused(fields):
    with pytest.raises(SpecError) as caught:
        replace(A, **fields)
    assert caught.value.key == "bad_channel"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Induces("b", -1.0),
        lambda: Induces("b", 1.0, days=0.0),
        lambda: Follows("visits", 1.0),
        lambda: Pair("a", "a", 2.0),
        lambda: Pair("a", "b", float("inf")),
        lambda: Observation(refuses=2.0),
        lambda: Observation(devices=5.0),
        lambda: Observation(cookie_days=0.0),
        lambda: replace(SMALL, wander=2.0),
        lambda: replace(SMALL, week=(1.0,) * 6),
        lambda: replace(SMALL, pairs=(Pair("a", "z", 2.0),)),
        lambda: replace(SMALL, channels=(replace(A, induces=(Induces("z", 2.0),)),)),
        lambda: replace(SMALL, channels=(replace(A, induces=(Induces("a", 2.0),)),)),
        lambda: replace(SMALL, channels=(replace(A, induces=(Induces("b", 2.0), Induces("b", 3.0, 2.0))), B)),
        lambda: replace(
            SMALL, channels=(replace(A, induces=(Induces("b", 2.0),)), replace(B, induces=(Induces("a", 1.0),)))
        ),
    ],
)
def test_bad_mechanisms_are_refused(make):
    with pytest.raises(SpecError) as caught:
        make()
    assert caught.value.key == "bad_population"


def test_the_misspelt_channel_is_told():
    with pytest.raises(SpecError, match="did you mean 'paid_search'"):
        Population(pairs=(Pair("display", "paid_serch", 2.0),))
