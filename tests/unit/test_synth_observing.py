"""What the log sees: less than what happens, under other ids, later; and what happens is not touched by it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from attrib import synth
from attrib.synth import CHANNELS, Later, Observation, Population
from attrib.synth.observing import DEVICE

SIZE = 6_000
WATCHED = tuple(
    replace(channel, seen=0.4 if channel.name == "store" else 1.0, consent=channel.name == "display",
            login=channel.name in ("email", "app"))
    for channel in CHANNELS
)  # fmt: skip
KNOWN = tuple(replace(channel, login=channel.name in ("email", "app")) for channel in CHANNELS)
WAYS = {
    "seen": (WATCHED, Observation()),
    "consent": (WATCHED, Observation(refuses=0.3)),
    "delay": (CHANNELS, Observation(delay=5.0)),
    "devices": (KNOWN, Observation(devices=2.5, linked=0.3)),
    "cookies": (CHANNELS, Observation(linked=0.0, cookie_days=20.0)),
    "all": (WATCHED, Observation(refuses=0.3, delay=5.0, devices=2.5, linked=0.3, cookie_days=20.0)),
}


def market(way: str, later: Later | None = None) -> Population:
    channels, observation = WAYS[way]
    return Population(channels=channels, observation=observation, later=later)


@pytest.mark.parametrize("later", [None, Later()])
@pytest.mark.parametrize("way", WAYS)
def test_what_happens_is_the_same_however_it_is_seen(way, later):
    plain = synth.generate(2_000, seed=1, population=Population(later=later))
    true = synth.generate(2_000, seed=1, population=market(way, later), observed=False)
    assert_frame_equal(true.touchpoints, plain.touchpoints)
    assert_frame_equal(true.outcomes, plain.outcomes)
    assert true.identities is None
    log = synth.generate(2_000, seed=1, population=market(way, later))
    assert not (log.touchpoints.equals(plain.touchpoints) and log.outcomes.equals(plain.outcomes))
    assert log.outcomes["value"].sum() <= plain.outcomes["value"].sum() + 1e-6


def test_offline_touches_are_seen_in_part():
    true, log = (
        synth.generate(SIZE, population=market("seen"), observed=observed).touchpoints for observed in (False, True)
    )
    others = pl.col("channel") != "store"
    assert_frame_equal(true.filter(others), log.filter(others))
    n, k = true.filter(~others).height, log.filter(~others).height
    assert abs(k - 0.4 * n) < 4 * np.sqrt(0.24 * n)
    assert log.join(true, on=log.columns, how="anti").height == 0


def test_without_consent_a_customer_has_no_such_touches():
    true, log = (
        synth.generate(SIZE, population=market("consent"), observed=observed).touchpoints.filter(channel="display")
        for observed in (False, True)
    )
    kept = true.filter(pl.col("customer_id").is_in(log["customer_id"].unique().implode()))
    assert_frame_equal(kept, log)  # all of a customer's touches or none
    n, k = true["customer_id"].n_unique(), log["customer_id"].n_unique()
    assert abs(k - 0.7 * n) < 4 * np.sqrt(0.21 * n)


def test_purchases_are_recorded_late_and_not_after_the_end():
    true, log = (
        synth.generate(SIZE, population=market("delay"), observed=observed).outcomes for observed in (False, True)
    )
    others = pl.col("outcome") != "purchase"
    assert_frame_equal(true.filter(others), log.filter(others))
    order = log.select("customer_id", "timestamp")
    assert order.equals(order.sort("customer_id", "timestamp"))
    assert log["timestamp"].max() < synth.generator.START + timedelta(days=365)
    both = true.filter(~others).join(log.filter(~others), on=["customer_id", "value"], how="left", suffix="_recorded")
    early = both.filter(pl.col("timestamp") < synth.generator.START + timedelta(days=300))
    assert early["timestamp_recorded"].null_count() == 0
    delay = (early["timestamp_recorded"] - early["timestamp"]).dt.total_seconds() / 86_400
    assert delay.min() >= -0.2  # each day has its rhythm: a whole number of days later may be a little less
    assert abs(delay.mean() - 5.0) < 4 * delay.std() / np.sqrt(delay.len())
    lost = both.filter(pl.col("timestamp_recorded").is_null())
    assert 0 < lost.height < 0.1 * both.height


def test_a_contract_is_not_cancelled_before_its_purchase_is_recorded():
    log = synth.generate(SIZE, population=market("delay", Later(scale=20.0))).outcomes
    ends = log.filter(outcome="cancel").select("customer_id", end="timestamp")
    bought = log.filter(outcome="purchase").join(ends, on="customer_id")
    assert bought.height > 100
    assert (bought["timestamp"] <= bought["end"]).all()


@pytest.mark.parametrize("ids", ["integer", "string"])
def test_one_person_several_ids(ids):
    true, log = (
        synth.generate(SIZE, population=market("devices"), observed=observed, ids=ids) for observed in (False, True)
    )
    whose = log.identities
    assert whose is not None
    assert whose["customer_id"].is_unique().all()
    persons = true.touchpoints["customer_id"].append(true.outcomes["customer_id"]).unique()
    assert set(whose["person_id"]) == set(persons)
    assert set(whose["customer_id"]) == {*log.touchpoints["customer_id"], *log.outcomes["customer_id"]}
    joined = log.touchpoints.join(whose, on="customer_id", maintain_order="left")
    back = joined.with_columns(customer_id="person_id").drop("person_id")
    order = ["customer_id", "timestamp", "channel"]
    assert_frame_equal(back.sort(order), true.touchpoints.sort(order))
    own = pl.col("customer_id") == pl.col("person_id")
    assert joined.filter(pl.col("channel").is_in(["email", "app"])).select(own.all()).item()
    assert joined.filter(~pl.col("channel").is_in(["email", "app"])).select(own.mean()).item() == pytest.approx(
        0.3, abs=0.02
    )
    outcomes = log.outcomes.join(whose, on="customer_id")
    assert outcomes.filter(pl.col("outcome").is_in(["purchase", "referral"])).select(own.all()).item()
    assert not outcomes.filter(outcome="visit").select(own.all()).item()
    assert set(log.outcomes["referrer_id"].drop_nulls()) <= set(whose["person_id"])


def test_devices_are_as_many_as_they_say():
    # All touches of a customer with many are on all their devices.
    busy = replace(CHANNELS[0], exposure=(60.0,) * 5, intent=0.0, digital=0.0)
    for mean in (1.0, 2.5, 4.0):
        watched = Population(
            channels=(busy,), recruits=0.0, dormant=1.0, observation=Observation(devices=mean, linked=0.0)
        )
        touches = synth.generate(2_000, population=watched, days=60)
        whose = touches.identities.join(touches.touchpoints, on="customer_id").filter(pl.len().over("person_id") > 30)
        whose = whose.select("customer_id", "person_id").unique()
        many = whose.filter(pl.col("customer_id") != pl.col("person_id")).group_by("person_id").len()["len"]
        assert abs(many.mean() - mean) < 0.1


def test_cookies_are_renewed():
    touches = synth.generate(SIZE, population=market("cookies")).touchpoints
    spans = touches.group_by("customer_id").agg(
        person=pl.col("customer_id").first() % DEVICE, first=pl.col("timestamp").min(), last=pl.col("timestamp").max()
    )
    spans = spans.sort("person", "first")
    same = spans["person"].shift(-1) == spans["person"]
    assert same.sum() > 2_000
    assert (spans["last"] < spans["first"].shift(-1)).filter(same).all()  # one device: one id after the other


def test_faults_and_shuffling_go_with_several_ids(tmp_path):
    files = synth.write(2_000, 1, tmp_path, scenario="everything", dirty=0.1, shuffle=True, ids="string")
    assert set(files) == {"touchpoints", "outcomes", "identities"}
    data = synth.generate(2_000, seed=1, scenario="everything", dirty=0.1, ids="string")
    assert_frame_equal(pl.read_parquet(files["identities"]), data.identities)
    order = ["event_id", "timestamp", "outcome"]
    assert_frame_equal(pl.read_parquet(files["outcomes"]).sort(order), data.outcomes.sort(order))
    with pytest.raises(synth.files.SpecError, match="identities"):
        synth.write(100, 1, tmp_path)  # of other events
