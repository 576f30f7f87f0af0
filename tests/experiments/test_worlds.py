"""The truth as experiments take it, and the events of a world."""

import polars as pl
import pytest

from attrib import synth
from attrib.errors import SpecError
from attrib.experiments import worlds
from attrib.spec import JourneysSpec

CUSTOMERS, SEED = 400, 5


def sold(outcome="purchase"):
    return synth.generate(CUSTOMERS, SEED).outcomes.filter(outcome=outcome).height / CUSTOMERS


@pytest.fixture(scope="module")
def plain():
    return worlds.truth("default", CUSTOMERS, SEED, JourneysSpec())


def test_shapley_values_and_the_baseline_add_up_to_what_was_sold(plain):
    baseline = plain.filter(pl.col("channel").is_null())
    assert plain["shapley"].sum() + baseline["increment"].item() == pytest.approx(sold())
    assert baseline["shapley"].item() == 0


def test_increments_are_what_is_lost_without_the_channel(plain):
    for channel in ("email", "store", "word_of_mouth", "direct"):
        without = synth.generate(CUSTOMERS, SEED, off=frozenset({channel})).outcomes.filter(outcome="purchase").height
        assert plain.filter(channel=channel)["increment"].item() == pytest.approx(sold() - without / CUSTOMERS)
    assert plain.filter(channel="direct").select("increment", "shapley").row(0) == (0, 0)


def test_another_target():
    table = worlds.truth("default", CUSTOMERS, SEED, JourneysSpec(target="visit"))
    rest = table.filter(pl.col("channel").is_null())["increment"].item()
    assert table["shapley"].sum() + rest == pytest.approx(sold("visit"))


def test_stages_are_games_of_their_own():
    table = worlds.truth("default", CUSTOMERS, SEED, JourneysSpec(stages="five"))
    assert table["stage"].unique(maintain_order=True).to_list() == list(synth.STAGES)
    assert table.filter(pl.col("channel").is_null()).height == 5
    assert table.filter(stage="awareness", channel="display")["shapley"].item() > 0


def test_in_the_view_resolved_stage_and_channel_play_together():
    table = worlds.truth("default", CUSTOMERS, SEED, JourneysSpec(stages="five", view="resolved"))
    rest = table.filter(pl.col("channel").is_null())
    assert rest["stage"].to_list() == [None]
    assert table["shapley"].sum() + rest["increment"].item() == pytest.approx(sold())


def test_what_has_no_truth():
    with pytest.raises(SpecError, match="the truth of stages = 'three' is not known"):
        worlds.truth("default", 100, 1, JourneysSpec(stages="three"))


def test_events_are_those_of_the_generator():
    made, expected = worlds.events("default", 50, 3, days=100), synth.generate(50, 3, days=100)
    assert made.touchpoints.equals(expected.touchpoints)
    assert made.outcomes.equals(expected.outcomes)
