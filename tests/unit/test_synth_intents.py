"""The latent states that the generator tells are those that its customers live by."""

from __future__ import annotations

import polars as pl
import pytest

from attrib import synth
from attrib.errors import SpecError

QUIET = ((0.0, 0.0, 0.0, 0.0),) * 5  # no outcomes: nobody leaves the first stage


def market(**settings):
    channel = synth.Channel("ad", "click", exposure=(3, 3, 3, 3, 3), lift=(0, 0, 0, 0, 0), intent=0.7, digital=-0.5)
    return synth.Population(channels=(channel,), organic=QUIET, recruits=0.0, **settings)


def expected(states: pl.DataFrame, population: synth.Population, end: pl.Expr) -> pl.DataFrame:
    """Touches that the states foretell, one row a state."""
    until = pl.col("timestamp").shift(-1).over("customer_id").fill_null(end)
    slow = pl.when("in_market").then(1.0).otherwise(population.dormant)
    level = (0.7 * pl.col("intent") - 0.5 * pl.col("digital")).exp()
    days = (until - pl.col("timestamp")).dt.total_microseconds() / 86_400e6
    return states.with_columns(until=until, expected=3 / 30 * level * slow * days)


@pytest.mark.parametrize(
    "settings", [{}, {"wander": 0.6, "wander_days": 20.0}, {"wander": 1.0, "window": 30.0, "dormant": 0.3}], ids=str
)
def test_touches_come_at_the_rates_of_the_states(settings):
    population = market(**settings)
    data = synth.generate(4000, seed=1000, population=population, days=200)
    states = synth.intents(4000, seed=1000, population=population, days=200)
    assert states.equals(states.sort("customer_id", "timestamp"))
    end = pl.lit(states["timestamp"].dt.truncate("1y").min()) + pl.duration(days=200)
    found = expected(states, population, end).sort("timestamp")
    touches = data.touchpoints.select("customer_id", "timestamp").sort("timestamp")
    placed = touches.join_asof(found.with_columns(since="timestamp"), on="timestamp", by="customer_id")
    assert placed["since"].null_count() == 0  # nobody is touched before they are there
    for part in (pl.col("in_market"), ~pl.col("in_market"), pl.col("intent") > 0.5, pl.col("intent") < -0.5):
        wanted = found.filter(part)["expected"].sum()
        assert placed.filter(part).height == pytest.approx(wanted, abs=4.5 * wanted**0.5)


def test_states_change_where_intent_wanders_or_the_window_ends():
    lasting = synth.intents(500, seed=2, population=market())
    assert (lasting.group_by("customer_id").agg(pl.col("intent").n_unique())["intent"] == 1).all()
    assert lasting.group_by("customer_id").len()["len"].max() == 2
    wandering = synth.intents(500, seed=2, population=market(wander=1.0))
    assert wandering.group_by("customer_id").agg(pl.col("intent").n_unique())["intent"].max() > 3


def test_part_of_the_customers_is_a_part_of_the_rows():
    whole = synth.intents(300, seed=3, scenario="everything")
    assert synth.intents(100, seed=3, scenario="everything").equals(whole.filter(pl.col("customer_id") < 100))
    assert synth.intents(0, scenario="clean").columns == whole.columns


def test_recruits_whom_nobody_brings_have_no_state():
    some = synth.intents(2000, seed=4)
    data = synth.generate(2000, seed=4)
    assert some["customer_id"].n_unique() < 2000
    assert set(data.touchpoints["customer_id"].unique()) <= set(some["customer_id"].unique())


def test_wrong_arguments():
    with pytest.raises(SpecError, match="customers"):
        synth.intents(-1)
