"""The truth about small games, from the definition; and about a world with a channel that does nothing."""

from itertools import permutations

import numpy as np
import polars as pl
import pytest

from attrib import synth
from attrib.errors import SpecError
from attrib.experiments import worlds
from attrib.spec import JourneysSpec

CHANNELS = ("a", "b", "c")
WORTH = {
    "": [1, 3], "a": [2, 4], "b": [1, 3], "c": [3, 3], "ab": [6, 6], "ac": [4, 4], "bc": [3, 5], "abc": [9, 9],
}  # fmt: skip


def worth(on):
    return {None: np.array(WORTH["".join(sorted(on))], np.float64)}


def shapley(channel):
    """Mean of what a channel adds, over all orders in which the channels may join."""
    gains = []
    for order in permutations(CHANNELS):
        before = "".join(sorted(order[: order.index(channel)]))
        gains.append(np.mean(WORTH["".join(sorted(before + channel))]) - np.mean(WORTH[before]))
    return np.mean(gains)


def test_increments_and_shapley_values():
    table = worlds.of_games(worth, CHANNELS, seed=1, orders=400)
    rows = {row["channel"]: row for row in table.rows(named=True)}
    for channel in CHANNELS:
        without = "".join(sorted(set(CHANNELS) - {channel}))
        assert rows[channel]["increment"] == np.mean(WORTH["abc"]) - np.mean(WORTH[without])
        assert rows[channel]["shapley"] == pytest.approx(shapley(channel), abs=4 * rows[channel]["shapley_se"] + 1e-12)
    assert rows[None]["increment"] == 2
    assert table["shapley"].sum() == pytest.approx(np.mean(WORTH["abc"]) - np.mean(WORTH[""]))
    apart = np.array(WORTH["abc"]) - np.array(WORTH["bc"])
    assert rows["a"]["increment_se"] == pytest.approx(apart.std(ddof=1) / np.sqrt(2))


def test_a_channel_without_effect_has_no_truth_to_its_name():
    table = worlds.truth("default", 400, 5, JourneysSpec())
    assert table.filter(channel="direct").select("increment", "shapley").row(0) == (0, 0)
    sold = synth.generate(400, 5).outcomes.filter(outcome="purchase").height / 400
    assert table["shapley"].sum() + table.filter(pl.col("channel").is_null())["increment"].item() == pytest.approx(sold)


def test_stages_are_games_of_their_own():
    table = worlds.truth("default", 200, 5, JourneysSpec(stages="three"))
    assert table["stage"].unique(maintain_order=True).to_list() == ["awareness", "consideration", "decision"]
    assert table.filter(stage="awareness", channel="display")["shapley"].item() > 0


def test_conversions_of_stages_are_those_of_journeys():
    from attrib import Journeys, Linear

    data = synth.generate(300, 2)
    found = worlds._converting(data, JourneysSpec(stages="five"))
    credit = Linear().credit(Journeys.from_events(data.touchpoints, data.outcomes, stages="five"))
    # touches make customers enter stages, but only milestones make them leave
    expected = dict(credit.group_by("stage").agg(pl.col("conversions").sum()).cast({"stage": pl.String}).iter_rows())
    assert {stage: len(who) for stage, who in found.items()} == {k: pytest.approx(v) for k, v in expected.items()}


def test_what_has_no_truth():
    with pytest.raises(SpecError, match="resolved is not known"):
        worlds.truth("default", 100, 1, JourneysSpec(stages="three", view="resolved"))


def test_events_are_those_of_the_generator():
    made, expected = worlds.events("default", 50, 3, days=100), synth.generate(50, 3, days=100)
    assert made.touchpoints.equals(expected.touchpoints)
    assert made.outcomes.equals(expected.outcomes)
