"""The shipped assert finds what it promises to find, and says where."""

from __future__ import annotations

import polars as pl
import pytest

import attrib
from attrib.testing import assert_credit_table


@pytest.fixture(scope="module")
def journeys() -> attrib.Journeys:
    data = attrib.synth.generate(customers=400, seed=2)
    return attrib.Journeys.from_events(data.touchpoints, data.outcomes, stages="five", by="interaction")


@pytest.fixture(scope="module")
def table(journeys) -> pl.DataFrame:
    return attrib.credit(journeys, [attrib.Markov(), attrib.Linear()], replicates=20)


def test_a_credit_table_passes(table, journeys):
    assert_credit_table(table)
    assert_credit_table(table, journeys, methods=["markov(order=1)", "linear"])
    assert_credit_table(table.drop(pl.selectors.ends_with("_low", "_high")), journeys)


player = pl.col("kind") == "player"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop("share"), "columns from kind on are"),
        (lambda t: t.drop("effect_high"), "columns after conversions_se are"),
        (lambda t: t.drop("kind"), "there is no column 'kind'"),
        (lambda t: t.with_columns(pl.col("kind").cast(pl.String)), "kind is String, not Enum"),
        (lambda t: t.with_columns(pl.col("value").cast(pl.Float32)), "value is Float32, not Float64"),
        (lambda t: t.with_columns(pl.col("stage").cast(pl.String)), "stage is String, not an enum"),
        (lambda t: t.reverse(), "rows are not sorted by interaction, stage, channel, kind, method: row 0"),
        (lambda t: pl.concat([t, t.tail(1)]), "rows occur twice"),
        (lambda t: t.filter(player), "0 unattributed rows, not 1"),
        (lambda t: t.with_columns(pl.col("conversions") * 2.5), "conversions sum to"),
        (lambda t: t.with_columns(pl.col("share") / 2), "shares sum to 0.5"),
        (lambda t: t.with_columns(pl.col("share") * 0 + 0.1), "shares sum to"),
        (lambda t: t.with_columns(pl.col("effect") + 1), "the effect is above 1"),
        (lambda t: t.with_columns(value=pl.lit(float("nan"))), "a number is NaN or infinite"),
        (lambda t: t.with_columns(conversions=pl.lit(None, pl.Float64)), "conversions are null"),
        (lambda t: t.with_columns(share=pl.lit(None, pl.Float64)), "shares are null"),
        (lambda t: t.with_columns(share_low=pl.lit(2.0)), "share_low is above share_high"),
        (lambda t: t.with_columns(value_low=pl.lit(None, pl.Float64)), "only one of value_low and value_high is null"),
        (lambda t: t.with_columns(channel=pl.lit("x")), "what is no player has a channel"),
        (lambda t: t.with_columns(conversions_se=pl.lit(-1.0)), "the error is negative"),
        (lambda t: t.with_columns(conversions_se=pl.lit(1.0)), "what is no player has an error"),
        (lambda t: t.with_columns(value=pl.lit(None, pl.Float64)), "value is null"),
        (
            lambda t: t.with_columns(pl.when(pl.col("effect").is_null() | (pl.col("value") < 1)).then("value")),
            "some value are null, but not all",
        ),
        (lambda t: t.with_columns(effect=pl.when(pl.col("effect") > 0.1).then("effect")), "effects are null"),
    ],
)
def test_a_broken_law_is_found(table, spoil, message):
    with pytest.raises(AssertionError, match=message):
        assert_credit_table(spoil(table))


def test_effects_that_sum_to_nothing_share_out_nothing():
    paths = pl.DataFrame({"path": ["a", "b", ""], "total_conversions": [1, 1, 2], "total_null": [1, 1, 0]})
    journeys = attrib.Journeys.from_paths(paths)
    method = attrib.Markov(removal="renormalise")
    with pytest.warns(attrib.AttribWarning, match="on conversions do not sum to a positive number; conversions credit"):
        table = attrib.credit(journeys, [method, attrib.Linear()], replicates=20)
    assert_credit_table(table, journeys)
    nobody = table.filter(player, method=method.label)
    assert nobody.select("conversions", "value", "share", "effect").rows() == [(None, None, None, 0.0)] * 2
    for spoil, message in (("conversions", "some conversions are null, but not all"), ("share", "some share are null")):
        half = pl.when(pl.col("channel") == "a").then(1.0).otherwise(spoil).alias(spoil)
        with pytest.raises(AssertionError, match=message):
            assert_credit_table(table.with_columns(half))
    with pytest.raises(AssertionError, match="conversions are null, yet effects sum to"):
        assert_credit_table(table.with_columns(pl.col("effect") + 0.5))


@pytest.mark.parametrize("samples", [None, 10])
def test_a_channel_that_lowers_the_rate_may_cost_conversions(samples):
    paths = pl.DataFrame({"path": ["x", "y"], "total_conversions": [3, 0], "total_null": [0, 1]})
    journeys = attrib.Journeys.from_paths(paths)
    table = attrib.credit(journeys, [attrib.Shapley(worth="rate", samples=samples), attrib.Linear()], replicates=20)
    assert table["conversions"].min() < 0
    assert table["conversions_se"].null_count() == (table.height if samples is None else table.height - 2)
    assert_credit_table(table, journeys)
    with pytest.raises(AssertionError, match="conversions sum to"):
        assert_credit_table(table.with_columns(pl.col("conversions").clip(0)), journeys)


def test_an_empty_table_is_one_without_games(table, journeys):
    with pytest.raises(AssertionError, match=r"the table is empty, yet there are \d+ games"):
        assert_credit_table(table.clear(), journeys)
    start = pl.lit("2024-01-01").str.to_datetime(time_unit="us")
    touched = pl.DataFrame({"customer_id": [1], "channel": ["a"], "land": ["x"]}).with_columns(timestamp=start)
    reached = pl.DataFrame({"customer_id": [1], "outcome": ["signup"]}).with_columns(timestamp=start)
    stages = [("new", attrib.Milestone("signup", nth=2)), ("old", None)]
    open_yet = attrib.Journeys.from_events(touched, reached, stages=stages, by="land", maturity="9d")
    nothing = attrib.credit(open_yet, attrib.Linear(), intervals=None)
    assert nothing.is_empty()
    assert_credit_table(nothing, open_yet, methods=["linear"])


def test_the_message_names_game_method_and_numbers(table):
    linear = (pl.col("method") == "linear") & player & (pl.col("stage") == "decision")
    spoilt = table.with_columns(pl.when(linear).then(pl.col("value") + 1).otherwise("value").alias("value"))
    with pytest.raises(
        AssertionError, match=r"stage 'decision', linear: value sums to [\d.]+, by markov\(order=1\) [\d.]+"
    ):
        assert_credit_table(spoilt)


def test_methods_must_be_those_asked_for_in_their_order(table):
    with pytest.raises(AssertionError, match="methods are"):
        assert_credit_table(table, methods=["linear"])
    with pytest.raises(AssertionError, match="rows are not sorted"):
        assert_credit_table(table, methods=["linear", "markov(order=1)"])


def test_another_table_does_not_fit_the_journeys(table, journeys):
    fewer = attrib.synth.generate(customers=390, seed=2)
    others = attrib.Journeys.from_events(fewer.touchpoints, fewer.outcomes, stages="five", by="interaction")
    with pytest.raises(AssertionError, match=r"that of the game is|games are"):
        assert_credit_table(table, others)
    some = table.filter(pl.col("stage") != "advocacy")
    with pytest.raises(AssertionError, match="games are"):
        assert_credit_table(some, journeys)
