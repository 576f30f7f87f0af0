"""The steps of journeys as a table."""

import polars as pl
import pytest

import attrib


def test_channels_that_are_called_like_states():
    frame = pl.DataFrame({
        "path": ["null > start > null", "conversion", "start > start"],
        "total_conversions": [2, 0, 1],
        "total_null": [0, 3, 4],
        "total_conversion_value": [5.0, 0.0, -2.5],
    })  # fmt: skip
    table = attrib.Journeys.from_paths(frame).transitions()
    assert table.columns == ["from_kind", "from", "to_kind", "to", "count", "probability", "value"]
    assert table.drop("probability").rows() == [
        ("start", None, "player", "conversion", 3, None),
        ("start", None, "player", "null", 2, None),
        ("start", None, "player", "start", 5, None),
        ("player", "conversion", "null", None, 3, None),
        ("player", "null", "player", "start", 2, None),
        ("player", "null", "conversion", None, 2, 5.0),
        ("player", "start", "player", "null", 2, None),
        ("player", "start", "player", "start", 5, None),
        ("player", "start", "conversion", None, 1, -2.5),
        ("player", "start", "null", None, 4, None),
    ]
    assert table["probability"].to_list() == pytest.approx([0.3, 0.2, 0.5, 1, 0.5, 0.5, 2 / 12, 5 / 12, 1 / 12, 4 / 12])
    assert table.schema["from_kind"] == pl.Enum(["start", "player"])
    assert table.schema["to_kind"] == pl.Enum(["player", "conversion", "null"])
    assert table.schema["count"] == pl.Int64


def test_games_and_several_player_columns():
    data = attrib.synth.generate(customers=200, seed=2)
    outcomes = data.outcomes.with_columns(count=pl.lit("one"))
    journeys = attrib.Journeys.from_events(
        data.touchpoints.with_columns(count=pl.lit("one")), outcomes, stages="three", view="resolved", by="count"
    )
    table = journeys.transitions()
    assert table.columns == [
        "by_count", "from_kind", "from_stage", "from_channel", "to_kind", "to_stage", "to_channel", "count",
        "probability", "value",
    ]  # fmt: skip
    keys = table.columns[:-3]
    assert table.equals(table.sort(keys, nulls_last=False, maintain_order=True))
    left = table.group_by(keys[:4]).agg(pl.col("probability").sum())
    assert left["probability"].to_list() == pytest.approx([1.0] * left.height)
    credited = journeys.reconcile().row(by_predicate=pl.col("entry") == "credited", named=True)
    arrived = table.filter(to_kind="conversion")
    assert arrived["count"].sum() == credited["rows"]
    assert arrived["value"].sum() == pytest.approx(credited["value"])


def test_stages_are_games_in_the_advance_view():
    data = attrib.synth.generate(customers=200, seed=2)
    table = attrib.Journeys.from_events(data.touchpoints, data.outcomes, stages="three").transitions()
    assert table.columns[0] == "stage"
    assert table["stage"].is_sorted()
    assert table["stage"].unique(maintain_order=True).to_list() == ["awareness", "consideration", "decision"]
