"""Credit of every touch: rows, sums, types, and the file it is streamed into."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import attrib
from attrib.engines import events, reading
from attrib.errors import ResourceError, SolveError, SpecError
from attrib.io import sinks
from attrib.methods.base import Method
from stories import tell
from strategies import random_tables, to_frames

STORY = """
    ann   1ad 3mail 4ad | 5purchase=9 5purchase=3
    bob   2ad           |
    cid                 | 7purchase=2
    dan   1mail         | 1purchase=-1 3purchase
"""
RULES = [
    attrib.FirstTouch(), attrib.LastTouch(), attrib.LastNonDirect(direct=("a", "b")), attrib.Linear(),
    attrib.PositionBased(first=0.5, last=0.1), attrib.TimeDecay(half_life="5d"), attrib.Shapley(),
    attrib.CustomWeights(lambda positions, ages: positions + ages),
]  # fmt: skip
MODEL = [
    ("see", attrib.Milestone("visit")),
    ("think", attrib.Milestone("intent")),
    ("do", attrib.Milestone("purchase")),
]
RECIPES = {
    "plain": {},
    "no repeats": {"repeats": "first", "lookback": "10d"},
    "by": {"by": ["country"]},
    "composed": {"player": ["channel", "interaction"], "by": "country"},
    "advance": {"stages": attrib.StageModel(MODEL), "by": ["country"]},
    "resolved": {"stages": attrib.StageModel(MODEL), "view": "resolved"},
}


def many(recipe=None, **engine):
    tables = to_frames(*random_tables(5, 150, country=True))
    return attrib.Journeys.from_events(*tables, engine=attrib.LocalEngine(**engine), **(recipe or {}))


def test_a_story_touch_by_touch():
    found = attrib.journey_credit(tell(STORY, refunds="keep"), attrib.Linear())
    ann = found.filter(customer_id="ann").drop("customer_id")
    at = {row["position"]: row for row in ann.to_dicts()}
    assert [at[i]["channel"] for i in (1, 2, 3)] == ["ad", "mail", "ad"]
    assert [at[i]["timestamp"].second for i in (1, 2, 3)] == [1, 3, 4]
    assert ann["conversion_time"].dt.second().to_list() == [5] * 3
    assert ann.select("touches", "conversions", "value").rows() == [(3, pytest.approx(2 / 3), pytest.approx(4.0))] * 3
    dan = found.filter(customer_id="dan").select("position", "weight", "conversions", "value")
    assert dan.rows() == [(1, 1.0, 1.0, -1.0)]  # the second purchase has no touch of its own
    assert set(found["customer_id"]) == {"ann", "dan"}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_touches_sum_to_the_credit_table(recipe):
    journeys = many(recipe)
    for method in RULES:
        found = attrib.journey_credit(journeys, method)
        table = method.credit(journeys).filter(kind="player")
        keys = table.columns[: table.columns.index("kind")]
        assert found.columns == [
            "customer_id", *keys, "timestamp", "conversion_time", "position", "touches", "weight", "conversions",
            "value",
        ]  # fmt: skip
        summed = found.group_by(keys).agg(pl.col("conversions", "value").sum())
        both = table.select(*keys, "conversions", "value").join(summed, on=keys, how="left", nulls_equal=True)
        both = both.with_columns(pl.col("^.*_right$").fill_null(0.0))
        assert summed.join(table, on=keys, how="anti", nulls_equal=True).is_empty()
        for number in ("conversions", "value"):
            assert both[number].to_list() == pytest.approx(both[f"{number}_right"].to_list(), rel=1e-12, abs=1e-12)
        journey = ["customer_id", "conversion_time"]
        weights = found.group_by(journey).agg(pl.col("weight").sum(), pl.len(), pl.col("touches").unique())
        assert weights["weight"].to_list() == pytest.approx([1.0] * len(weights), rel=1e-12)
        assert weights.select(pl.col("touches").list.first() == pl.col("len")).to_series().all()
        assert found.schema["position"] == found.schema["touches"] == pl.Int64


def test_path_tables_have_rows_and_no_times():
    table = pl.DataFrame({
        "path": ["a > b > a", "", "b", "a"], "total_conversions": [3, 2, 0, 1], "total_null": [1, 0, 5, 0],
        "total_conversion_value": [6.0, 1.0, 0.0, -1.0],
    })  # fmt: skip
    journeys = attrib.Journeys.from_paths(table)
    found = attrib.journey_credit(journeys, attrib.PositionBased(first=0.5, last=0.25))
    assert found.columns == ["row", "channel", "position", "touches", "weight", "conversions", "value"]
    assert found.rows() == [
        (0, "a", 1, 3, 0.5, 1.5, 3.0), (0, "b", 2, 3, 0.25, 0.75, 1.5), (0, "a", 3, 3, 0.25, 0.75, 1.5),
        (3, "a", 1, 1, 1.0, 1.0, -1.0),
    ]  # fmt: skip
    with pytest.raises(SolveError, match="a path table has none") as caught:
        attrib.journey_credit(journeys, attrib.TimeDecay())
    assert caught.value.key == "no_times"


@pytest.mark.parametrize("identity", [pl.String, pl.Int64, pl.UInt64, pl.Int8, pl.Categorical])
@pytest.mark.parametrize("zone", [None, "Asia/Kathmandu"])
def test_customers_and_times_come_back_as_they_were(identity, zone):
    times = pl.Series([datetime(2025, 1, 1), datetime(2025, 1, 2)])  # noqa: DTZ001
    times = times if zone is None else times.dt.replace_time_zone(zone)
    who = pl.Series(["7", "11"]) if identity in (pl.String, pl.Categorical) else pl.Series([7, 11])
    touches = pl.DataFrame({"customer_id": who.cast(identity), "timestamp": times, "channel": ["ad", "mail"]})
    orders = touches.select("customer_id", pl.col("timestamp") + pl.duration(hours=1), outcome=pl.lit("purchase"))
    found = attrib.journey_credit(attrib.Journeys.from_events(touches, orders), attrib.Linear()).sort("timestamp")
    wanted = [str(w) for w in (7, 11)] if identity in (pl.String, pl.Categorical) else [7, 11]
    assert found["customer_id"].to_list() == wanted
    stamps = times if zone is None else times.dt.convert_time_zone("UTC")
    assert found["timestamp"].to_list() == stamps.to_list()
    assert ((found["conversion_time"] - found["timestamp"]).dt.total_hours() == 1).all()
    assert found.schema["timestamp"].time_zone == (None if zone is None else "UTC")
    if zone:
        assert found["timestamp"][0] == datetime(2024, 12, 31, 18, 15, tzinfo=UTC)


def in_order(frame):
    return frame.sort("customer_id", "conversion_time", "position")


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_file_holds_the_same_rows_on_every_route(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "BATCH", 200)
    monkeypatch.setattr(events, "ROWS_OF_PARTITION", 200)
    wanted = in_order(attrib.journey_credit(many(recipe, threads=1), attrib.Linear()))
    for number, engine in enumerate(({"threads": 1}, {"threads": 2}, {"threads": 2, "memory_limit": "100KB"})):
        spill = {"spill": str(tmp_path)} if "memory_limit" in engine else {}
        journeys = many(recipe, **engine, **spill)
        in_memory = attrib.journey_credit(journeys, attrib.Linear())
        lazy = attrib.journey_credit(journeys, attrib.Linear(), to=tmp_path / f"{number}.parquet")
        assert isinstance(lazy, pl.LazyFrame)
        assert lazy.collect().equals(in_memory)
        assert lazy.collect_schema() == in_memory.schema
        assert_frame_equal(in_order(in_memory), wanted)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0.parquet", "1.parquet", "2.parquet"]


def test_names_from_data_survive_the_file(tmp_path):
    names = ["=cmd()", "a > b", "\x00", "\n", "", "🦀", "null", "'; drop", " x"]
    names = [name for name in names if name]
    touches = pl.DataFrame({
        "customer_id": names, "timestamp": datetime(2025, 1, 1), "channel": names, "weight": names[::-1],  # noqa: DTZ001
    })  # fmt: skip
    orders = touches.select("customer_id", pl.col("timestamp") + pl.duration(hours=1), outcome=pl.lit("purchase"))
    journeys = attrib.Journeys.from_events(touches, orders, by="weight", max_rejects=1.0)
    place = tmp_path / "odd [name]* é.parquet"
    found = attrib.journey_credit(journeys, attrib.Linear(), to=place).collect()
    assert_frame_equal(found, attrib.journey_credit(journeys, attrib.Linear()))
    wanted = dict(zip(names, names[::-1], strict=True))
    kept = set(names) - {r["customer_id"] for r in journeys.rejected().to_dicts()} - {"\n"}
    assert {row["channel"]: row["by_weight"] for row in found.to_dicts()}.items() >= {
        (name, wanted[name]) for name in kept
    }
    assert found["weight"].to_list() == [1.0] * len(found)


OWN = ["row", "conversion_time", "position", "touches", "weight"]


@pytest.mark.parametrize("name", OWN)
def test_columns_of_the_data_never_hide_our_own(name):
    touches, orders = to_frames(*random_tables(3, 10))
    touches = touches.with_columns(pl.col("interaction").alias(name))
    by = attrib.journey_credit(attrib.Journeys.from_events(touches, orders, by=name), attrib.Linear())
    assert by.columns[1] == f"by_{name}"
    assert set(by[f"by_{name}"]) == {"click", "impression"}
    composed = attrib.Journeys.from_events(touches, orders, player=["channel", name])
    found = attrib.journey_credit(composed, attrib.Linear())
    renamed = attrib.Journeys.from_events(touches, orders, player=["channel", "kind_of"], columns={"kind_of": name})
    wanted = attrib.journey_credit(renamed, attrib.Linear())
    assert found.equals(wanted.rename({"kind_of": f"player_{name}"}))


def test_two_columns_never_share_a_new_name():
    touches, orders = to_frames(*random_tables(2, 10))
    touches = touches.with_columns(position=pl.lit("x"), by_position=pl.lit("y"))
    found = attrib.journey_credit(
        attrib.Journeys.from_events(touches, orders, by=["position", "by_position"]), attrib.Linear()
    )
    assert found.select("by_position", "by_by_position").unique().rows() == [("x", "y")]


EMPTY = {
    "events": lambda: tell("ann 5ad |\nbob | 3purchase"),
    "paths": lambda: attrib.Journeys.from_paths(
        pl.DataFrame({"path": ["a", ""], "total_conversions": [0, 2], "total_null": [3, 0]})
    ),
}


@pytest.mark.filterwarnings("ignore:none of 1 conversions:attrib.AttribWarning")
@pytest.mark.parametrize("source", EMPTY)
def test_without_a_credited_touch_there_are_columns_and_no_rows(source, tmp_path):
    journeys = EMPTY[source]()
    found = attrib.journey_credit(journeys, attrib.Linear())
    assert found.is_empty()
    assert {"channel", "position", "weight", "conversions", "value"} <= set(found.columns)
    streamed = attrib.journey_credit(journeys, attrib.Linear(), to=tmp_path / "x.parquet").collect()
    assert streamed.schema == found.schema
    assert streamed.is_empty()


class LateError(Exception):
    """Raised by somebody else's function."""


def failing_late():
    """A function that fails far into the journeys, when much has been written."""
    calls = []

    def weights(positions, _ages):
        calls.append(1)
        if len(calls) > 100:
            raise LateError
        return positions

    return weights


@pytest.mark.parametrize("engine", [{"threads": 1}, {"threads": 2, "memory_limit": "20KB"}], ids=str)
def test_a_failed_run_leaves_the_file_as_it_was(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "BATCH", 100)
    monkeypatch.setattr(events, "ROWS_OF_PARTITION", 100)
    journeys = many(spill=str(tmp_path / ".."), **engine)
    long = max(attrib.journey_credit(journeys, attrib.Linear())["touches"])
    table = attrib.CustomWeights({m: [1] * m for m in range(1, long)})  # the longest journeys have no row
    failures = [(attrib.CustomWeights(failing_late()), LateError), (table, SolveError)]
    place = tmp_path / "touches.parquet"
    for before in (None, b"the old file"):
        for method, error in failures:
            if before is not None:
                place.write_bytes(before)
            with pytest.raises(error):
                attrib.journey_credit(journeys, method, to=place)
            assert [file.name for file in tmp_path.iterdir()] == ([] if before is None else ["touches.parquet"])
            if before is not None:
                assert place.read_bytes() == before
        failures[0] = (attrib.CustomWeights(failing_late()), LateError)


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    place = tmp_path / "touches.parquet"
    place.write_bytes(b"old")

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sinks.os, "fsync", full)
    with pytest.raises(ResourceError, match="No space left") as caught:
        attrib.journey_credit(tell(STORY, refunds="keep"), attrib.Linear(), to=place)
    assert caught.value.key == "write_failed"
    assert place.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [place]


def test_places_that_are_no_file_are_errors(tmp_path):
    journeys = tell(STORY, refunds="keep")
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file" / "x.parquet"):
        with pytest.raises(ResourceError) as caught:
            attrib.journey_credit(journeys, attrib.Linear(), to=place)
        assert caught.value.key == "write_failed"
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file"]
    new = str(tmp_path / "new" / "folder" / "x.parquet")
    assert attrib.journey_credit(journeys, attrib.Linear(), to=new).collect().height == 4
    assert Path(new).exists()


@pytest.mark.parametrize("method", [attrib.Markov(), attrib.Shapley(worth="rate"), "linear", attrib.Linear])
def test_methods_without_shares_of_touches_are_refused(method, tmp_path):
    for to in (None, tmp_path / "x.parquet"):
        with pytest.raises(SpecError) as caught:
            attrib.journey_credit(tell(STORY, refunds="keep"), method, to=to)
        assert caught.value.key == ("no_touch_shares" if isinstance(method, Method) else "bad_methods")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SpecError, match="is a DataFrame"):
        attrib.journey_credit(pl.DataFrame(), attrib.Linear())


@pytest.mark.parametrize("threads", [2, 3])
def test_rows_come_in_one_order_whatever_thread_is_first(monkeypatch, threads):
    monkeypatch.setattr(events, "ROWS_OF_PARTITION", 64)  # some dozen partitions, all of them kept
    tables = to_frames(*random_tables(8, 300))

    def listed(workers):
        engine = attrib.LocalEngine(threads=workers)
        return attrib.journey_credit(attrib.Journeys.from_events(*tables, engine=engine), attrib.Linear())

    assert all(listed(threads).equals(listed(1)) for _ in range(5))
