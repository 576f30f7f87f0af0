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


def test_whom_one_customer_brought_is_drawn_with_them():
    events = worlds.events("default", 3000, SEED)
    parent = dict(
        events.outcomes.filter(pl.col("referrer_id").is_not_null()).select("customer_id", "referrer_id").rows()
    )

    def root(customer):
        return root(parent[customer]) if customer in parent else customer

    for table in (events.touchpoints, events.outcomes):
        assert table["cluster"].to_list() == [root(customer) for customer in table["customer_id"]]
    assert parent
    plain = synth.generate(3000, SEED)
    assert events.touchpoints.drop("cluster").equals(plain.touchpoints)
    assert events.outcomes.drop("cluster").equals(plain.outcomes)
    assert "cluster" not in worlds.events("clean", 300, SEED).touchpoints.columns


def test_trees_of_several_generations_are_one():
    outcomes = pl.DataFrame({"customer_id": [1, 2, 3, 4, 5, 5], "referrer_id": [None, 1, 2, 3, None, None]})
    touchpoints = pl.DataFrame({"customer_id": [4, 3, 5, 9]})
    found = worlds._clustered(touchpoints, outcomes)
    assert [table["cluster"].to_list() for table in found] == [[1, 1, 5, 9], [1, 1, 1, 1, 5, 5]]
