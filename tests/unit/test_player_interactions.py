"""Pairs of players: which help each other, and which replace each other."""

import warnings

import numpy as np
import polars as pl
import pytest

import attrib
from attrib import intervals
from attrib.errors import AttribWarning, ResourceError, SolveError, SpecError
from attrib.intervals import GROUPS
from attrib.methods import shapley
from reference_intervals import bounds
from stories import tell
from strategies import random_tables, to_frames

ROWS = [("a", 1, 9, 2.0), ("b", 1, 9, -1.0), ("a > b", 8, 2, 40.0)]

NUMBERS = ["interaction", "neutral", "surplus", "interaction_value"]


def paths(rows):
    columns = ("path", "total_conversions", "total_null", "total_conversion_value")
    return attrib.Journeys.from_paths(pl.DataFrame(rows, schema=columns, orient="row"))


def ring(players):
    """Every player with the next."""
    return paths([(f"p{i:02} > p{(i + 1) % players:02}", 2, i, 2.0) for i in range(players)])


def test_players_that_help_and_players_that_replace():
    helping = attrib.interactions(paths(ROWS), intervals=None)
    shown = helping.select("channel_a", "channel_b", "interaction", "interaction_value")
    assert shown.rows() == [("a", "b", pytest.approx(30 * (1 / 3 - 0.2)), pytest.approx(30 * (41 / 30 - 0.1)))]
    replacing = paths([("a", 9, 1, 9.0), ("b", 9, 1, 9.0), ("a > b", 9, 1, 9.0)])
    assert attrib.interactions(replacing, intervals=None)["interaction"].item() == pytest.approx(-27)


@pytest.mark.parametrize("worth", ["rate", "markov", "conversions"])
def test_one_player_has_no_pair(worth):
    for level in (None, 0.9):
        found = attrib.interactions(
            paths([("a", 2, 3, 1.0), ("", 1, 0, 1.0)]), worth=worth, intervals=level, replicates=3
        )
        assert found.is_empty()
        numbers = ["interaction", "neutral", "surplus", "interaction_value"]
        if level:
            numbers += [
                f"{name}_{end}" for name in ("interaction", "surplus", "interaction_value") for end in ("low", "high")
            ]
        assert found.schema == {"channel_a": pl.String, "channel_b": pl.String} | dict.fromkeys(numbers, pl.Float64)
    nobody = attrib.interactions(paths([("", 2, 0, 1.0)]), worth=worth, replicates=3)
    assert nobody.is_empty()


@pytest.mark.parametrize("worth", ["rate", "markov"])
def test_more_than_24_players_are_refused(worth):
    assert attrib.interactions(ring(17), worth=worth, intervals=None).height == 17 * 16 / 2
    with pytest.raises(SolveError, match="interactions of 25 players: at most 24 in a game") as caught:
        attrib.interactions(ring(25), worth=worth)
    assert caught.value.key == "too_many_players"


def test_of_conversions_any_number_of_players_has_pairs():
    found = attrib.interactions(ring(60), worth="conversions", replicates=5)
    assert found.height == 60 * 59 / 2
    assert sorted(found["interaction"].unique()) == [0.0, 2.0]
    assert (found["interaction_low"] >= 0).all()


def test_replicates_that_do_not_fit_are_an_error(monkeypatch):
    monkeypatch.setattr(intervals, "LARGEST", 100)
    assert attrib.interactions(ring(4), replicates=4).height == 6
    with pytest.raises(ResourceError, match="million replicate numbers") as caught:
        attrib.interactions(ring(4), replicates=5)
    assert caught.value.key == "too_many_rows"
    assert attrib.interactions(ring(4), intervals=None).height == 6


def test_columns_and_order():
    touches, orders = to_frames(*random_tables(3, 60, country=True))
    model = attrib.StageModel([("zeta", attrib.Milestone("visit")), ("alpha", attrib.Milestone("purchase"))])
    staged = attrib.Journeys.from_events(touches, orders, stages=model, by="country")
    found = attrib.interactions(staged, intervals=None)
    assert found.columns == ["country", "stage", "channel_a", "channel_b", *NUMBERS]
    assert found.equals(found.sort("country", "stage", "channel_a", "channel_b"))
    assert found["stage"].unique(maintain_order=True).to_list() == ["zeta", "alpha"]
    resolved = attrib.Journeys.from_events(
        touches, orders, stages=model, view="resolved", player=["channel", "interaction"], lookback="2d"
    )
    pairs = attrib.interactions(resolved, worth="conversions", intervals=None)
    keys = [f"{name}_{side}" for side in "ab" for name in ("stage", "channel", "interaction")]
    assert pairs.columns == [*keys, *NUMBERS]


def indices(drawn):
    """The index of a and b by hand: drawn float64 [R, 6], shares of the conversions and nulls of each path."""
    counts = np.array([[row[1], row[2]] for row in ROWS]).ravel() * drawn
    conversions, nulls = counts[:, 0::2], counts[:, 1::2]
    rate = [np.nan_to_num(conversions[:, i] / (conversions + nulls)[:, i]) for i in (0, 1)]
    return conversions.sum(axis=1) - (rate[0] + rate[1]) * counts.sum(axis=1)


COUNTS = np.array([[row[1], row[2]] for row in ROWS]).ravel()


@pytest.mark.filterwarnings("ignore:invalid value encountered in divide:RuntimeWarning")
def test_intervals_are_those_of_the_bootstrap_or_the_jackknife(monkeypatch):
    found = attrib.interactions(paths(ROWS), replicates=40, seed=9, intervals=0.8)
    draws = [np.random.Generator(np.random.Philox(key=[9, r])).poisson(COUNTS) / COUNTS for r in range(40)]
    drawn = indices(np.stack(draws))
    low, high = bounds(drawn, 0.8)
    assert found["interaction_low"].item() == pytest.approx(low.item())
    assert found["interaction_high"].item() == pytest.approx(high.item())
    monkeypatch.setattr(shapley, "REPEATABLE", 1)
    found = attrib.interactions(paths(ROWS), replicates=40, seed=9)
    dealt = np.random.Generator(np.random.Philox(key=[9, 3 << 56])).multinomial(COUNTS, np.full(GROUPS, 1 / GROUPS)).T
    half = 2.0930240544082634 * np.sqrt((GROUPS - 1) * indices((1 - dealt / COUNTS) * GROUPS / (GROUPS - 1)).var())
    for end, sign in (("low", -1), ("high", 1)):
        assert found[f"interaction_{end}"].item() == pytest.approx(found["interaction"].item() + sign * half)


def test_threads_and_routes_change_nothing(tmp_path):
    tables = to_frames(*random_tables(3, 100, country=True))
    for worth in ("rate", "markov", "conversions"):
        found = []
        for threads, memory in ((1, None), (2, None), (2, "1KB")):
            engine = attrib.LocalEngine(threads=threads, memory_limit=memory, spill=str(tmp_path))
            journeys = attrib.Journeys.from_events(*tables, by="country", engine=engine)
            found.append(attrib.interactions(journeys, worth=worth, replicates=10))
        assert all(table.equals(found[0]) for table in found)


def test_what_cannot_be_asked_is_refused():
    for arguments in ({"worth": "x"}, {"worth": None}, {"intervals": 2}, {"replicates": 1}, {"seed": -1}):
        with pytest.raises(SpecError):
            attrib.interactions(paths(ROWS), **arguments)
    with pytest.raises(SpecError, match="is a DataFrame"):
        attrib.interactions(pl.DataFrame())


def test_nulls_that_no_game_knows_are_warned_of():
    touches, orders = to_frames(*random_tables(3, 30, country=True))
    journeys = attrib.Journeys.from_events(touches.drop("country"), orders, by="country")
    with pytest.warns(AttribWarning, match="interactions compares conversions with nulls"):
        attrib.interactions(journeys, intervals=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attrib.interactions(journeys, worth="conversions", intervals=None)


def test_a_column_called_like_a_side_keeps_its_place():
    touches, orders = to_frames(*random_tables(3, 30, country=True))
    touches = touches.with_columns(channel_a=pl.lit("x"))
    found = attrib.interactions(attrib.Journeys.from_events(touches, orders, by="channel_a"), intervals=None)
    assert found.columns == ["channel_a", "player_channel_a", "channel_b", *NUMBERS]
    plain = attrib.interactions(attrib.Journeys.from_events(touches, orders), intervals=None)
    assert found["channel_a"].unique().to_list() == ["x"]
    assert found.drop("channel_a").equals(plain.rename({"channel_a": "player_channel_a"}))


def test_a_story_by_hand():
    found = attrib.interactions(
        tell("ann 1a 2b | 3purchase=6\nbob 1a |\ncid 1b 2c | 3purchase"), worth="conversions", intervals=None
    )
    shown = found.select("channel_a", "channel_b", "interaction", "interaction_value").rows()
    assert {row[:2]: row[2:] for row in shown} == {("a", "b"): (1, 6), ("a", "c"): (0, 0), ("b", "c"): (1, 1)}


@pytest.mark.parametrize(("worth", "index"), [("rate", -150), ("markov", 50), ("conversions", 50)])
def test_two_players_who_have_nothing_to_do_with_each_other(worth, index):
    """All journeys convert at one half, whoever is on them: the index is not 0, the surplus is."""
    frame = pl.DataFrame({"path": ["ad", "mail", "ad > mail"], "total_conversions": [50] * 3, "total_null": [50] * 3})
    row = attrib.interactions(attrib.Journeys.from_paths(frame), worth=worth, intervals=None).row(0, named=True)
    assert row["interaction"] == pytest.approx(index)
    assert row["neutral"] == pytest.approx(index)
    assert row["surplus"] == pytest.approx(0)
