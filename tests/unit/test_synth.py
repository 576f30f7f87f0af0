"""The generator: the same customers always, consistent referrals, plausible rates, safe files."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from attrib import synth
from attrib.errors import ResourceError, SpecError
from attrib.synth import files, shuffling
from attrib.synth.dirty import OUTCOME_FAULTS, TOUCHPOINT_FAULTS

SIZE = 20_000


@pytest.fixture(scope="module")
def data() -> synth.Synthetic:
    return synth.generate(SIZE, seed=1)


def test_importing_compiles_nothing():
    code = "import sys, attrib.synth; attrib.synth.batches(3); print('numba' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


# --- one customer, one life -------------------------------------------------------------------------


@pytest.mark.parametrize(("batch", "threads"), [(1_000, 1), (777, 2), (3_000, 3)])
def test_events_depend_on_neither_batch_size_nor_threads(batch, threads):
    whole = synth.generate(3_000, seed=5, dirty=0.05, ids="string")
    parts = list(synth.batches(3_000, 5, batch, dirty=0.05, ids="string", threads=threads))
    assert_frame_equal(pl.concat([touchpoints for touchpoints, _ in parts]), whole.touchpoints)
    assert_frame_equal(pl.concat([outcomes for _, outcomes in parts]), whole.outcomes)


def test_more_customers_leave_the_first_ones_alone(data):
    fewer = synth.generate(500, seed=1)
    assert_frame_equal(fewer.touchpoints, data.touchpoints.filter(pl.col("customer_id") < 500))
    assert_frame_equal(fewer.outcomes, data.outcomes.filter(pl.col("customer_id") < 500))


def test_another_seed_gives_other_customers(data):
    assert not synth.generate(500, seed=2).touchpoints.equals(data.touchpoints.filter(pl.col("customer_id") < 500))
    assert synth.generate(500, seed=-3).touchpoints.height > 0


def test_columns_types_and_order(data):
    assert dict(data.touchpoints.schema) == {
        "customer_id": pl.Int64,
        "timestamp": pl.Datetime("us"),
        "channel": pl.String,
        "interaction": pl.String,
        "cost": pl.Float64,
    }
    assert dict(data.outcomes.schema) == {
        "customer_id": pl.Int64,
        "timestamp": pl.Datetime("us"),
        "outcome": pl.String,
        "value": pl.Float64,
        "referrer_id": pl.Int64,
    }
    for frame in (data.touchpoints, data.outcomes):
        order = frame.select("customer_id", "timestamp")
        assert order.equals(order.sort("customer_id", "timestamp"))
        assert frame["timestamp"].min() >= datetime.fromisoformat("2025-01-01")
        assert frame["timestamp"].max() < datetime.fromisoformat("2026-01-01")
    assert data.touchpoints.null_count().sum_horizontal().item() == 0


def test_nobody_has_the_columns_of_somebody(data):
    nobody = synth.generate(0)
    assert nobody.touchpoints.schema == data.touchpoints.schema
    assert nobody.outcomes.schema == data.outcomes.schema
    assert nobody.touchpoints.height == nobody.outcomes.height == 0


def test_string_ids_name_the_same_customers_in_the_same_order(data):
    strings = synth.generate(2_000, seed=1, ids="string")
    numbers = data.touchpoints.filter(pl.col("customer_id") < 2_000)
    assert (
        strings.touchpoints["customer_id"]
        .str.contains(r"^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
        .all()
    )
    assert strings.touchpoints["customer_id"].is_sorted()
    assert strings.touchpoints["customer_id"].rle_id().equals(numbers["customer_id"].rle_id())
    assert_frame_equal(strings.touchpoints.drop("customer_id"), numbers.drop("customer_id"))
    referrers = strings.outcomes["referrer_id"].drop_nulls()
    assert referrers.len() > 0
    assert referrers.is_in(strings.outcomes["customer_id"].implode()).all()


def test_campaigns_are_one_a_quarter():
    touchpoints = synth.generate(2_000, campaign=True).touchpoints
    assert touchpoints["campaign"].n_unique() == 48
    named = pl.format("{}-{}", "channel", pl.col("timestamp").dt.ordinal_day().sub(1).mul(4).floordiv(365) + 1)
    assert touchpoints.select((named == pl.col("campaign")).mean()).item() > 0.99


# --- what the market is like ------------------------------------------------------------------------


def test_all_channels_interactions_and_milestones_occur(data):
    assert set(data.touchpoints["channel"]) == {channel.name for channel in synth.CHANNELS}
    assert len(synth.CHANNELS) == 12
    assert set(data.touchpoints["interaction"]) == {"impression", "click", "visit", "call", "store"}
    assert set(data.outcomes["outcome"]) == set(synth.OUTCOMES)


def test_rates_are_plausible(data):
    customers = pl.concat([data.touchpoints["customer_id"], data.outcomes["customer_id"]]).n_unique()
    assert 0.75 < customers / SIZE < 0.95
    purchases = data.outcomes.filter(outcome="purchase").group_by("customer_id").len()
    assert 0.25 < purchases.height / customers < 0.40
    assert 0.05 < (purchases["len"] > 1).sum() / customers < 0.25
    assert 4 < data.touchpoints.height / SIZE < 7
    value = data.outcomes.filter(outcome="purchase")["value"]
    assert value.min() > 0
    assert 40 < value.median() < 56
    assert value.mean() > value.median()
    assert data.outcomes.filter(pl.col("outcome") != "purchase")["value"].unique().to_list() == [0.0]


def test_some_purchases_are_organic(data):
    first_purchase = data.outcomes.filter(outcome="purchase").group_by("customer_id").agg(pl.col("timestamp").min())
    touched = first_purchase.join(data.touchpoints, on="customer_id", suffix="_touch").filter(
        pl.col("timestamp_touch") <= pl.col("timestamp"),
        pl.col("timestamp_touch") > pl.col("timestamp") - pl.duration(days=30),
    )
    assert 0.02 < 1 - touched["customer_id"].n_unique() / first_purchase.height < 0.3


def test_a_lifting_touch_brings_the_milestone_closer():
    # One channel that reaches nearly everybody soon: its lift must show in the visits.
    def visits(lift: float) -> int:
        channel = synth.Channel("poster", "impression", (30.0, 0, 0, 0, 0), (lift, 0, 0, 0, 0))
        outcomes = synth.generate(4_000, population=synth.Population(channels=(channel,))).outcomes
        return outcomes.filter(outcome="visit")["customer_id"].n_unique()

    assert visits(4.0) > 1.2 * visits(0.0)


def test_lifted_waiting_times_follow_their_hazard():
    from attrib.synth.living import consumed, wait

    fades = np.array([7.0, 2.0])
    for base, lifts, target in [
        (0.1, (0.0, 0.0), 1.0),
        (0.1, (3.0, 0.0), 0.4),
        (0.002, (12.0, 5.0), 2.0),
        (5.0, (12.0, 0.5), 1e-6),
        (0.3, (0.0, 8.0), 2.0),
    ]:
        amplitude = np.array([(9.0, 9.0), lifts])
        found = wait(base, amplitude, 1, fades, target)
        assert consumed(base, amplitude, 1, fades, found) == pytest.approx(target, rel=1e-6)
        times = np.linspace(0, found, 20_001)
        height = base * (1 + (np.array(lifts) * np.exp(-times[:, None] / fades)).sum(axis=1))
        assert np.trapezoid(height, times) == pytest.approx(target, rel=1e-5)
    assert wait(0.0, np.ones((2, 2)), 1, fades, 1.0) == np.inf


def test_draws_are_uniform():
    from attrib.synth.random import customer_key, stream_key, uniform

    keys = [np.uint64(customer_key(np.uint64(3), customer)) for customer in range(20_000)]
    draws = np.array([uniform(np.uint64(stream_key(key, np.uint64(9))), i % 7) for i, key in enumerate(keys)])
    assert 0 < draws.min() < draws.max() < 1
    assert draws.mean() == pytest.approx(0.5, abs=0.01)
    assert draws.var() == pytest.approx(1 / 12, abs=0.002)
    assert np.corrcoef(draws[:-1], draws[1:])[0, 1] == pytest.approx(0, abs=0.03)


# --- referrals --------------------------------------------------------------------------------------


def test_referred_customers_come_after_their_referrers_purchase_and_referral(data):
    outcomes = data.outcomes
    referred = outcomes.filter(pl.col("referrer_id").is_not_null())
    assert 0.005 < referred["customer_id"].n_unique() / SIZE < 0.1
    assert (referred["referrer_id"] < referred["customer_id"]).all()
    assert referred.group_by("customer_id").agg(pl.col("referrer_id").n_unique())["referrer_id"].unique().to_list() == [
        1
    ]

    begins = referred.group_by("customer_id", "referrer_id").agg(pl.col("timestamp").min().alias("begins"))
    first = data.touchpoints.group_by("customer_id", maintain_order=True).first()
    begins = begins.join(first, on="customer_id", how="left")
    assert begins["channel"].unique().to_list() == ["word_of_mouth"]
    referral = outcomes.filter(outcome="referral").select(referrer_id="customer_id", referral="timestamp")
    earliest = begins.join(referral.group_by("referrer_id").agg(pl.col("referral").min()), on="referrer_id", how="left")
    assert earliest["referral"].null_count() == 0
    assert (earliest["timestamp"] >= earliest["referral"]).all()
    assert (earliest["begins"] >= earliest["timestamp"]).all()

    purchase = (
        outcomes.filter(outcome="purchase").group_by("customer_id").agg(pl.col("timestamp").min().alias("bought"))
    )
    referral = referral.join(purchase, left_on="referrer_id", right_on="customer_id", how="left")
    assert referral["bought"].null_count() == 0
    assert (referral["referral"] > referral["bought"]).all()


# --- replays ----------------------------------------------------------------------------------------


def test_switching_off_a_null_channel_changes_no_other_event(data):
    # `direct` moves nobody.
    assert not any(next(channel.lift for channel in synth.CHANNELS if channel.name == "direct"))
    replay = synth.generate(SIZE, seed=1, off=frozenset({"direct"}))
    assert_frame_equal(replay.outcomes, data.outcomes)
    assert_frame_equal(replay.touchpoints, data.touchpoints.filter(pl.col("channel") != "direct"))


def test_switching_off_a_channel_that_works_costs_purchases_and_keeps_the_others_untouched():
    data = synth.generate(5_000, seed=4)
    replay = synth.generate(5_000, seed=4, off=frozenset({"comparison_site", "email", "store"}))
    assert not set(replay.touchpoints["channel"]) & {"comparison_site", "email", "store"}
    assert replay.outcomes.filter(outcome="purchase").height < 0.95 * data.outcomes.filter(outcome="purchase").height
    # Who never met one of them (nor was brought by somebody who did) lives the same life.
    met = data.touchpoints.filter(pl.col("channel").is_in(["comparison_site", "email", "store"]))["customer_id"]
    came = data.outcomes.filter(pl.col("referrer_id").is_not_null())["customer_id"]
    others = ~pl.col("customer_id").is_in(met.implode()) & ~pl.col("customer_id").is_in(came.implode())
    unreferred = data.touchpoints.filter(others)
    same = replay.touchpoints.join(unreferred, on=unreferred.columns, how="semi")
    assert same.height > 0.97 * unreferred.height


def test_the_order_of_channels_is_irrelevant(data):
    turned = synth.Population(channels=synth.CHANNELS[::-1])
    replay = synth.generate(1_000, seed=1, population=turned)
    order = ["customer_id", "timestamp", "channel"]
    assert_frame_equal(
        replay.touchpoints.sort(order), data.touchpoints.filter(pl.col("customer_id") < 1_000).sort(order)
    )
    assert_frame_equal(replay.outcomes, data.outcomes.filter(pl.col("customer_id") < 1_000))


def test_without_word_of_mouth_nobody_is_brought(data):
    replay = synth.generate(2_000, seed=1, off=frozenset({"word_of_mouth"}))
    assert replay.outcomes["referrer_id"].null_count() == replay.outcomes.height
    # Whom nobody can bring any more does not come unaided instead.
    lived = pl.concat([data.touchpoints["customer_id"], data.outcomes["customer_id"]])
    assert replay.touchpoints["customer_id"].is_in(lived.implode()).all()


# --- dirty rows -------------------------------------------------------------------------------------


def test_clean_by_default(data):
    assert data.touchpoints.is_duplicated().sum() == 0
    assert (data.touchpoints["channel"] != "").all()
    assert data.outcomes["value"].is_finite().all()
    assert (data.outcomes["value"] >= 0).all()
    assert data.outcomes.drop("referrer_id").null_count().sum_horizontal().item() == 0


def test_dirty_rows_break_each_rule_at_about_the_share_asked_for(data):
    dirty = synth.generate(SIZE, seed=1, dirty=0.06, ids="string")
    late = datetime.fromisoformat("2100-01-01")
    touchpoints = dirty.touchpoints
    broken = {
        "null_customer": pl.col("customer_id").is_null(),
        "empty_customer": pl.col("customer_id") == "",
        "null_timestamp": pl.col("timestamp").is_null(),
        "null_channel": pl.col("channel").is_null(),
        "empty_channel": pl.col("channel") == "",
        "future_timestamp": pl.col("timestamp") > late,
        "duplicate": pl.struct(pl.all()).is_duplicated() & ~pl.struct(pl.all()).is_first_distinct(),
    }
    assert set(broken) == {*TOUCHPOINT_FAULTS, "empty_customer"}
    counts = touchpoints.select(**{name: rule.sum() for name, rule in broken.items()}).row(0, named=True)
    share = 0.06 * data.touchpoints.height / len(broken)
    assert all(0.8 * share < count < 1.2 * share for count in counts.values()), counts

    outcomes = dirty.outcomes
    broken = {
        "null_customer": pl.col("customer_id").is_null(),
        "empty_customer": pl.col("customer_id") == "",
        "null_timestamp": pl.col("timestamp").is_null(),
        "null_outcome": pl.col("outcome").is_null(),
        "empty_outcome": pl.col("outcome") == "",
        "null_value": pl.col("value").is_null(),
        "nan_value": pl.col("value").is_nan(),
        "infinite_value": pl.col("value").is_infinite(),
        "negative_value": pl.col("value") < 0,
        "future_timestamp": pl.col("timestamp") > late,
        "duplicate": ~pl.col("event_id").is_first_distinct(),
    }
    assert set(broken) == {*OUTCOME_FAULTS, "empty_customer"}
    counts = outcomes.select(**{name: rule.sum() for name, rule in broken.items()}).row(0, named=True)
    share = 0.06 * data.outcomes.height / len(broken)
    assert all(0.6 * share < count < 1.4 * share for count in counts.values()), counts
    # Whatever is not broken is as it was.
    intact = outcomes.filter(~pl.any_horizontal(rule.fill_null(value=False) for rule in broken.values()))
    clean = synth.generate(SIZE, seed=1, ids="string").outcomes
    assert intact.join(clean, on=clean.columns, how="semi", nulls_equal=True).height == intact.height


def test_integer_ids_stay_integers_where_dirty():
    dirty = synth.generate(1_000, dirty=0.2)
    assert dirty.touchpoints.schema["customer_id"] == pl.Int64
    assert dirty.touchpoints["customer_id"].null_count() > 0


# --- files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hold", [True, False])
def test_files_hold_the_generated_rows(data, tmp_path, monkeypatch, hold):
    monkeypatch.setattr(files, "_BATCH", 6_000)
    monkeypatch.setattr(files, "_HOLD_ROWS", 10**9 if hold else 0)
    seen = []
    paths = synth.write(SIZE, 1, tmp_path / "deep" / "folder", progress=lambda *step: seen.append(step))
    assert_frame_equal(pl.read_parquet(paths["touchpoints"]), data.touchpoints)
    assert_frame_equal(pl.read_parquet(paths["outcomes"]), data.outcomes)
    assert sorted(path.name for path in (tmp_path / "deep" / "folder").iterdir()) == [
        "outcomes.parquet",
        "touchpoints.parquet",
    ]
    assert seen[0] == ("writing touchpoints", 6_000, SIZE)
    assert seen[-1] == ("writing outcomes", SIZE, SIZE)


def test_shuffled_files_hold_the_same_rows_in_memory_and_through_files(tmp_path, monkeypatch):
    plain = synth.generate(4_000, seed=3, dirty=0.02)
    one = synth.write(4_000, 3, tmp_path / "one", shuffle=True, dirty=0.02)
    monkeypatch.setattr(files, "_BATCH", 1_500)
    monkeypatch.setattr(files, "_SORTED_ROWS", 5_000)
    monkeypatch.setattr(shuffling, "HELD_ROWS", 3_000)
    many = synth.write(4_000, 3, tmp_path / "many", shuffle=True, dirty=0.02, threads=1)
    for table in files.TABLES:
        first = pl.read_parquet(one[table])
        assert_frame_equal(first, pl.read_parquet(many[table]))
        assert_frame_equal(first, getattr(plain, table), check_row_order=False)
        assert not first.equals(getattr(plain, table))
        assert not first["timestamp"].is_sorted()


@pytest.mark.parametrize("shuffle", [False, True])
def test_parts_hold_the_rows_of_the_single_file_in_its_order(tmp_path, monkeypatch, shuffle):
    monkeypatch.setattr(files, "_BATCH", 700)
    one = synth.write(3_000, 3, tmp_path / "one", shuffle=shuffle, dirty=0.02, ids="string")
    for number, rows in ((2, 10**9), (5, 4_000), (3, 1_000), (40, 10**9)):  # one range of keys a part, or several
        monkeypatch.setattr(files, "_SORTED_ROWS", rows)
        monkeypatch.setattr(shuffling, "HELD_ROWS", rows)
        place, threads, seen = tmp_path / f"{number}", 1 + number % 3, []
        parts = synth.write(
            3_000, 3, place, parts=number, shuffle=shuffle, dirty=0.02, ids="string", threads=threads,
            progress=lambda *step, seen=seen: seen.append(step),
        )  # fmt: skip
        for table in files.TABLES:
            names = [path.name for path in sorted(parts[table].iterdir())]
            assert names == [f"part-{part:04d}.parquet" for part in range(number)]
            assert_frame_equal(pl.read_parquet(parts[table], glob=True), pl.read_parquet(one[table]))
            steps = [(done, total) for stage, done, total in seen if stage == f"writing {table}"]
            assert steps == sorted(steps)
            assert steps[-1][0] == steps[-1][1]
        assert [path.name for path in sorted(place.iterdir())] == ["outcomes", "touchpoints"]
        if not shuffle:
            ends = [pl.read_parquet(path)["customer_id"].max() for path in sorted(parts["touchpoints"].iterdir())]
            assert ends == sorted(ends)


def test_large_data_are_parted_unless_told_otherwise(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_ONE_FILE", 4_000)
    monkeypatch.setattr(files, "_FILE_ROWS", 2_000)
    assert synth.write(500, 0, tmp_path / "small", parts=None)["touchpoints"].is_file()
    found = files.describe(synth.write(None, 0, tmp_path / "large", touchpoints=10_000, parts=None))
    assert found["touchpoints"]["files"] == found["outcomes"]["files"] == 5
    assert found["touchpoints"]["rows"] == pytest.approx(10_000, rel=0.05)
    assert synth.write(2_000, 0, tmp_path / "one")["touchpoints"].is_file()


def test_parts_of_nobody_have_the_columns_of_somebody(tmp_path):
    for shuffle in (False, True):
        paths = synth.write(0, 0, tmp_path, parts=2, shuffle=shuffle)
        assert pl.read_parquet(paths["outcomes"]).schema == synth.generate(0).outcomes.schema


def test_parts_replace_parts_and_nothing_else(tmp_path):
    synth.write(100, 0, tmp_path, parts=3)
    paths = synth.write(100, 1, tmp_path, parts=2)
    assert files.describe(paths)["touchpoints"]["files"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outcomes", "touchpoints"]
    (tmp_path / "outcomes" / "mine.txt").touch()
    with pytest.raises(SpecError, match=r"already holds outcomes/mine\.txt") as caught:
        synth.write(100, 1, tmp_path, parts=2)
    assert caught.value.key == "other_files"
    with pytest.raises(SpecError, match="already holds touchpoints,"):
        synth.write(100, 1, tmp_path)  # a file beside the folder would be a second set of events
    synth.write(100, 1, tmp_path / "file")
    with pytest.raises(SpecError, match=r"already holds touchpoints\.parquet"):
        synth.write(100, 1, tmp_path / "file", parts=2)


def test_failed_parts_leave_the_old_ones_and_nothing_else(tmp_path):
    def content() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    synth.write(300, 0, tmp_path, parts=3)
    before = content()

    def stop(stage: str, done: float, total: float | None) -> None:
        if stage == "writing outcomes" and done > 200:
            raise KeyError(stage, done, total)

    with pytest.raises(Exception, match="writing outcomes"):
        synth.write(300, 1, tmp_path, parts=3, progress=stop)
    assert content() == before
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("parts", [0, 10_001, 1.5, True])
def test_impossible_parts(tmp_path, parts):
    with pytest.raises(SpecError, match="parts is"):
        synth.write(10, 0, tmp_path, parts=parts)


def test_about_as_many_touchpoints_as_asked_for(tmp_path):
    paths = synth.write(None, 0, tmp_path, touchpoints=200_000)
    assert pl.read_parquet(paths["touchpoints"]).height == pytest.approx(200_000, rel=0.02)


def test_a_failed_write_leaves_the_old_files_and_nothing_else(tmp_path):
    before = {path.name: path.read_bytes() for path in synth.write(300, 0, tmp_path).values()}

    def stop(stage: str, done: float, total: float | None) -> None:
        if stage == "writing outcomes":
            raise KeyError(stage, done, total)

    with pytest.raises(Exception, match="writing outcomes"):
        synth.write(600, 1, tmp_path, progress=stop)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_leavings_of_killed_runs_are_swept_and_no_others(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = socket.gethostname()
    dead = tmp_path / f".touchpoints.parquet.{host}-{ended.pid}-00000000.attrib-tmp"
    alive = tmp_path / f".touchpoints.parquet.{host}-{os.getppid()}-00000000.attrib-tmp"
    foreign = tmp_path / f".outcomes.parquet.not-{host}-{ended.pid}-00000000.attrib-tmp"
    for path in (dead, alive, foreign):
        path.touch()
    parts = tmp_path / f".outcomes.{host}-{ended.pid}-00000000.attrib-tmp"
    parts.mkdir()
    (parts / "part-0000.parquet").touch()
    synth.write(50, 0, tmp_path)
    assert not dead.exists()
    assert not parts.exists()
    assert alive.exists()
    assert foreign.exists()


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="cannot be written") as caught:
        synth.write(10, 0, tmp_path / "file")
    assert caught.value.key == "cannot_write"


# --- arguments --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("customers", -1),
        ("customers", 1.5),
        ("dirty", 0.9),
        ("days", 0),
        ("ids", "uuid"),
        ("off", frozenset({"televison"})),
        ("threads", 0),
    ],
)
def test_bad_arguments_are_named(argument, value):
    with pytest.raises(SpecError) as caught:
        synth.generate(**{"customers": 10, argument: value})
    assert caught.value.key == "bad_argument"
    assert caught.value.facts["argument"] == argument


@pytest.mark.parametrize(("customers", "touchpoints"), [(None, None), (10, 10)])
def test_customers_or_touchpoints(tmp_path, customers, touchpoints):
    with pytest.raises(SpecError, match="give one of the two"):
        synth.write(customers, 0, tmp_path, touchpoints=touchpoints)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("channels", ()),
        ("channels", synth.CHANNELS * 2),
        ("organic", ()),
        ("carryover", 0.0),
        ("recruits", 0.9),
    ],
)
def test_bad_populations(field, value):
    with pytest.raises(SpecError) as caught:
        synth.Population(**{field: value})
    assert caught.value.key == "bad_population"


@pytest.mark.parametrize(
    ("field", "value"), [("exposure", (1.0,)), ("lift", (-1.0,) * 5), ("clicks", 2.0), ("name", "")]
)
def test_bad_channels(field, value):
    with pytest.raises(SpecError) as caught:
        replace(synth.CHANNELS[0], **{field: value})
    assert caught.value.key == "bad_channel"
