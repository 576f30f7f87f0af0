"""Credit by the place of a touch in its journey."""

import polars as pl
import pytest

import attrib
from attrib import summing
from attrib.errors import SolveError, SpecError
from stories import tell
from strategies import random_tables, to_frames

RULES = [
    attrib.FirstTouch(), attrib.LastTouch(), attrib.LastNonDirect(direct=("a",)), attrib.Linear(),
    attrib.PositionBased(first=0.0, last=0.3), attrib.TimeDecay(half_life="2d"), attrib.Shapley(),
    attrib.CustomWeights(lambda positions, _: positions % 2 + (positions == 1)),
]  # fmt: skip
MODEL = attrib.StageModel([("zeta", attrib.Milestone("visit")), ("alpha", attrib.Milestone("purchase"))])
RECIPES = {
    "plain": {},
    "by": {"by": ["country"], "repeats": "collapse"},
    "composed": {"player": ["channel", "interaction"]},
    "advance": {"stages": MODEL, "by": "country"},
    "resolved": {"stages": MODEL, "view": "resolved"},
}


def many(recipe, **engine):
    tables = to_frames(*random_tables(11, 120, country=True))
    return attrib.Journeys.from_events(*tables, engine=attrib.LocalEngine(**engine), **recipe)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_positions_sum_to_the_credit_table_and_to_the_touches(recipe):
    journeys = many(recipe)
    for method in RULES:
        found = attrib.positions(journeys, method)
        table = method.credit(journeys).filter(kind="player")
        keys = table.columns[: table.columns.index("kind")]
        assert found.columns == [*keys, "position", "conversions", "value"]
        assert found.equals(found.sort(*keys, "position", maintain_order=True))
        assert (found["conversions"] > 0).all()
        summed = found.group_by(keys).agg(pl.col("conversions", "value").sum())
        touches = attrib.journey_credit(journeys, method).filter(pl.col("weight") > 0)
        again = touches.group_by(*keys, "position").agg(pl.col("conversions", "value").sum())
        for parts, whole, on in ((summed, table, keys), (again, found, [*keys, "position"])):
            both = whole.join(parts, on=on, how="left", nulls_equal=True).with_columns(
                pl.col(r"^.*_right$").fill_null(0)
            )
            assert parts.height == whole.filter(pl.col("conversions") > 0).height
            for number in ("conversions", "value"):
                assert both[number].to_list() == pytest.approx(both[f"{number}_right"].to_list(), rel=1e-12, abs=1e-12)


def test_first_and_last_stand_where_they_must():
    journeys = tell("ann 1a 2b 3a | 4purchase\nbob 1b | 2purchase")
    first, last = (attrib.positions(journeys, m).select("channel", "position", "conversions").rows()
                   for m in (attrib.FirstTouch(), attrib.LastTouch()))  # fmt: skip
    assert first == [("a", 1, 1.0), ("b", 1, 1.0)]
    assert last == [("a", 3, 1.0), ("b", 1, 1.0)]
    third = pytest.approx(1 / 4)  # ann: half of it for a, on two touches
    assert attrib.positions(journeys).select("channel", "position", "conversions").rows() == [
        ("a", 1, third), ("a", 3, third), ("b", 1, 1.0), ("b", 2, 0.5),
    ]  # fmt: skip


def test_negative_values_that_are_kept_have_a_position_too():
    found = attrib.positions(tell("ann 1a 2b | 3purchase=-4", refunds="keep"), attrib.Linear())
    assert found.rows() == [("a", 1, 0.5, -2.0), ("b", 2, 0.5, -2.0)]


def test_every_route_gives_the_same(tmp_path, monkeypatch):
    wanted = attrib.positions(many({"by": "country"}, threads=1))
    for engine in ({"threads": 2}, {"threads": 2, "memory_limit": "1KB", "spill": str(tmp_path)}):
        assert attrib.positions(many({"by": "country"}, **engine)).equals(wanted)
    journeys = many({"by": "country"})
    attrib.credit(journeys, attrib.Shapley(), replicates=3)  # sums by customer do not stand for those by position
    assert attrib.positions(journeys).equals(wanted)
    monkeypatch.setattr(summing, "DENSE", 0)  # sums in a hash table
    assert attrib.positions(many({"by": "country"})).equals(wanted)


def test_a_journey_of_many_touches_has_as_many_positions():
    channels = ["ad", "mail"] * 3_000
    journeys = attrib.Journeys.from_paths(pl.DataFrame({"path": [" > ".join(channels)], "total_conversions": [6_000]}))
    found = attrib.positions(journeys, attrib.Linear())
    assert found["position"].to_list() == [*range(1, 6_001, 2), *range(2, 6_001, 2)]
    assert found["conversions"].to_list() == pytest.approx([1.0] * 6_000, rel=1e-12)
    last = attrib.positions(journeys, attrib.LastTouch())
    assert last.rows() == [("mail", 6_000, 6_000.0, 6_000.0)]


def test_without_credit_there_are_columns_and_no_rows():
    journeys = attrib.Journeys.from_paths(
        pl.DataFrame({"path": ["a", ""], "total_conversions": [0, 1], "total_null": [2, 0]})
    )
    assert attrib.positions(journeys).schema == {
        "channel": pl.String, "position": pl.Int64, "conversions": pl.Float64, "value": pl.Float64,
    }  # fmt: skip


def test_what_has_no_positions_is_refused():
    journeys = attrib.Journeys.from_paths(pl.DataFrame({"path": ["a"], "total_conversions": [1]}))
    for method in (attrib.Markov(), attrib.Shapley(worth="markov"), "linear"):
        with pytest.raises(SpecError) as caught:
            attrib.positions(journeys, method)
        assert caught.value.key == ("bad_methods" if method == "linear" else "no_touch_shares")
    with pytest.raises(SolveError, match="a path table has none"):
        attrib.positions(journeys, attrib.TimeDecay())
    with pytest.raises(SpecError, match="is a DataFrame"):
        attrib.positions(pl.DataFrame())


@pytest.mark.parametrize("role", ["by", "player"])
def test_a_column_called_position_keeps_its_place_under_another_name(role):
    touches, orders = to_frames(*random_tables(2, 10))
    touches = touches.with_columns(position=pl.col("interaction"))
    given = ["position"] if role == "by" else ["channel", "position"]
    found = attrib.positions(attrib.Journeys.from_events(touches, orders, **{role: given}))
    given[-1] = "place"
    renamed = attrib.Journeys.from_events(touches, orders, columns={"place": "position"}, **{role: given})
    wanted = attrib.positions(renamed)
    assert found.equals(wanted.rename({"place": f"{role}_position"}))


@pytest.mark.parametrize("role", ["by", "player"])
def test_hidden_names_are_refused(role):
    touches, orders = to_frames(*random_tables(2, 10))
    touches = touches.with_columns(__row=pl.col("interaction"))
    given = ["__row"] if role == "by" else ["channel", "__row"]
    with pytest.raises(SpecError, match="__row: the credit table or the events use that name"):
        attrib.Journeys.from_events(touches, orders, **{role: given})
