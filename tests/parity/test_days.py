"""Outcomes dated to the day equal the slow twin, however they are written and whichever way they are read."""

from __future__ import annotations

import warnings
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import partial
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import attrib
import reference
import reference_snapshot
from attrib.diagnostics.finding import FindingWarning
from parity.test_parts import Parted
from parity.test_twin import ROWS, assert_same_funnel, assert_same_ledger, assert_same_table
from strategies import public

START = datetime(2024, 1, 1)  # noqa: DTZ001 - zones are put on below
STAGES = [("aware", "visit", 1), ("buy", "purchase", 1), ("loyal", "purchase", 2)]
NAMES = ["first", "last", "linear", "markov1"]
WRITTEN = ("datetime", "date", "text", "date text", "ms", "Europe/Berlin", "text with offset")
TINY = attrib.LocalEngine(memory_limit=100_000)
ROUTES = {"as it comes": None, "tiny": TINY, "parts": Parted(threads=1)}

# hours of three days: many meet a midnight or the last touch of a day
hours = st.integers(0, 71).map(lambda hour: START + timedelta(hours=hour))
days = st.integers(0, 2).map(lambda day: START + timedelta(days=day))
customers = st.integers(0, 3)
touch_rows = st.lists(
    st.fixed_dictionaries({"customer_id": customers, "timestamp": hours, "channel": st.sampled_from("abc")}),
    min_size=1, max_size=14,
)  # fmt: skip


def outcome_rows(times: Any) -> Any:
    fixed = {"customer_id": customers, "timestamp": times, "outcome": st.sampled_from(["visit", "purchase", "other"])}
    rows = st.lists(st.fixed_dictionaries(fixed | {"value": st.sampled_from([1.0, 2.5])}), max_size=8)
    one = st.fixed_dictionaries(fixed | {"value": st.just(1.0), "outcome": st.just("purchase")})
    return st.tuples(rows, one).map(lambda drawn: [*drawn[0], drawn[1]])


def frame(rows: list[dict[str, Any]], written: str) -> pl.DataFrame:
    """Rows as a frame, their times written in one of several ways."""
    table = pl.DataFrame(rows).with_columns(pl.col("timestamp").cast(pl.Datetime("us")))
    column = pl.col("timestamp")
    ways = {
        "datetime": column,
        "date": column.dt.date(),
        "text": column.dt.to_string("%Y-%m-%d %H:%M:%S"),
        "date text": column.dt.to_string("%Y-%m-%d"),
        "ms": column.dt.cast_time_unit("ms"),
        "Europe/Berlin": column.dt.replace_time_zone("Europe/Berlin"),
        "text with offset": column.dt.to_string("%Y-%m-%dT%H:%M:%S") + "+01:00",
    }
    return table.with_columns(ways[written])


def drawn(data: st.DataObject, written: str) -> tuple[Any, Any, pl.DataFrame, pl.DataFrame]:
    """Rows for the twin, and frames of the same; touches carry times of the same kind."""
    dated = written.startswith("date ") or written == "date"
    touches = data.draw(touch_rows)
    outcomes = data.draw(outcome_rows(days if dated else st.one_of(days, hours) if data.draw(st.booleans()) else days))
    timed = {"date": "datetime", "date text": "text"}.get(written, written)
    frames = frame(touches, timed), frame(outcomes, written)
    if dated:
        outcomes = [{**row, "timestamp": row["timestamp"].date()} for row in outcomes]
    return touches, outcomes, *frames


@pytest.mark.parametrize("written", WRITTEN)
@settings(max_examples=12)
@given(data=st.data())
def test_journeys_equal_the_twin(written: str, data: st.DataObject) -> None:
    touches, outcomes, *frames = drawn(data, written)
    recipe: dict[str, Any] = {
        "lookback": data.draw(st.sampled_from([None, timedelta(days=1), timedelta(hours=30)])),
        "maturity": data.draw(st.sampled_from([None, timedelta(hours=6)])),
        "day_of_outcome": data.draw(st.sampled_from(["auto", "end", "start"])),
    }
    if data.draw(st.booleans()):
        recipe |= {"stages": STAGES, "view": data.draw(st.sampled_from(["advance", "resolved"]))}
    engine = ROUTES[data.draw(st.sampled_from(sorted(ROUTES)))]
    if data.draw(st.booleans()):
        frames = [table.sort("customer_id") for table in frames]
    built = reference.build(touches, outcomes, **recipe)
    lengths = {name: recipe[name] for name in ("lookback", "maturity")}
    asked = public({name: value for name, value in recipe.items() if name not in lengths}) | lengths
    journeys = attrib.Journeys.from_events(*frames, **asked, engine=engine)
    table = attrib.credit(journeys, {name: ROWS[name].method for name in NAMES}, intervals=None)
    assert_same_table(table, built, NAMES)
    assert_same_ledger(journeys.reconcile(), built)
    if "stages" in recipe:
        found = journeys.funnel()
        wanted = [{k: _seconds(v) for k, v in row.items()} for row in built.funnel]
        assert_same_funnel(found, type("Built", (), {"funnel": wanted}))


def _seconds(value: Any) -> Any:
    return value.total_seconds() if isinstance(value, timedelta) else value


@pytest.mark.parametrize("written", WRITTEN)
@settings(max_examples=12)
@given(data=st.data())
def test_snapshots_equal_the_twin(written: str, data: st.DataObject) -> None:
    touches, outcomes, *frames = drawn(data, written)
    at, gap = START + timedelta(days=1), timedelta(hours=data.draw(st.sampled_from([0, 12, 24])))
    horizon = timedelta(days=1)
    stood = reference_snapshot.stand(touches, outcomes)
    ask = {
        "target": "purchase",
        "churn": None,
        "purpose": "train",
        "population": "everyone",
        "window": None,
        "cancelled": None,
    }
    end = max(row["timestamp"] for row in (*touches, *stood))
    question = type("Ask", (), ask | {"gap": gap, "horizon": horizon, "end": end})
    wanted = reference_snapshot.snapshot(touches, outcomes, [at], question, most=20)
    # a date without a zone is one of the zone of the data, and texts with an offset are read in UTC
    asked = at.replace(tzinfo=timezone(timedelta(hours=1))) if written == "text with offset" else at
    found = attrib.snapshot(
        *frames, at=asked, window=None, gap=gap, horizon=horizon, target="purchase", population="everyone"
    )
    assert found["label"].to_list() == [row["label"] for row in wanted]
    for name in ("customer_id", "recency", "frequency", "recency_purchase", "value"):
        if found.height:
            assert found[name].to_list() == pytest.approx([row[name] for row in wanted], nan_ok=True), name


DAY = date(2025, 3, 30)  # 23 hours in Berlin; 26 October has 25


@pytest.mark.parametrize("day", [DAY, date(2025, 10, 26), date(2025, 10, 27)])
@pytest.mark.parametrize("engine", [None, TINY])
def test_days_end_with_their_zone(day: date, engine: Any) -> None:
    """One touch in the last second of the day counts, one in the first of the next does not."""
    berlin = "Europe/Berlin"
    last, first = datetime.combine(day, time(23, 59, 59)), datetime.combine(day + timedelta(days=1), time(0, 0, 0, 1))
    touches = pl.DataFrame({"customer_id": [1, 1], "timestamp": [last, first], "channel": ["in", "late"]})
    orders = pl.DataFrame({"customer_id": [1], "timestamp": [datetime.combine(day, time())], "outcome": ["purchase"]})
    zoned = [t.with_columns(pl.col("timestamp").dt.replace_time_zone(berlin)) for t in (touches, orders)]
    journeys = attrib.Journeys.from_events(*zoned, engine=engine)
    assert journeys.to_frame().select("status", "path").rows() == [("converting", "in"), ("null", "late")]
    end = journeys.to_frame()["end"][0].astimezone(UTC)
    assert end == zoned[1]["timestamp"].dt.offset_by("1d")[0] - timedelta(microseconds=1)


def test_texts_end_with_their_own_day() -> None:
    """Each midnight is one of its own offset, and so is the end of its day."""
    touches = pl.DataFrame(
        {
            "customer_id": [1, 1, 2, 2],
            "timestamp": [
                "2025-01-03T23:30:00+02:00", "2025-01-04T00:30:00+02:00", "2025-01-03T23:30:00-05:00",
                "2025-01-04T00:30:00-05:00",
            ],
            "channel": ["in", "late", "in", "late"],
        }
    )  # fmt: skip
    orders = pl.DataFrame(
        {
            "customer_id": [1, 2],
            "timestamp": ["2025-01-03T00:00:00+02:00", "2025-01-03T00:00:00-05:00"],
            "outcome": ["purchase"] * 2,
        }
    )
    paths = attrib.Journeys.from_events(touches, orders).to_frame().select("customer_id", "status", "path").rows()
    assert sorted(paths) == [(c, *way) for c in (1, 2) for way in (("converting", "in"), ("null", "late"))]
    assert attrib.snapshot(
        touches, orders, at="2025-01-03T12:00+00:00", gap="0d", horizon="1d", target="purchase",
        end="2025-01-06T00:00Z",
        population="everyone", purpose="score",
    ).height == 0  # nobody has an event before noon: the orders stand at the end of their days  # fmt: skip


def test_both_routes_agree_where_the_first_rows_mislead() -> None:
    """In order, the first customers look dated to the day; the others are not, and the hash route decides."""
    n = 140_000
    times = pl.datetime_range(START, START + timedelta(days=100), timedelta(minutes=1), eager=True)[:n]
    touches = pl.DataFrame({"customer_id": pl.int_range(n, eager=True), "timestamp": times + timedelta(seconds=7)})
    touches = touches.with_columns(channel=pl.lit("ad"))
    midnights = touches.select("customer_id", pl.col("timestamp").dt.truncate("1d"), outcome=pl.lit("purchase"))
    late = pl.col("customer_id") >= 135_000
    orders = midnights.with_columns(
        pl.when(late).then(pl.col("timestamp") + timedelta(hours=30)).otherwise("timestamp").alias("timestamp")
    )
    sorted_in = attrib.Journeys.from_events(touches, orders)
    shuffled = attrib.Journeys.from_events(touches.sample(fraction=1, shuffle=True, seed=1), orders)
    assert_frame_equal(sorted_in.reconcile(), shuffled.reconcile())
    assert sorted_in.facts["times"]["outcomes_stand"] == shuffled.facts["times"]["outcomes_stand"] == "as given"


def stand_at_the_end(outcomes: list[datetime], touches: list[datetime]) -> tuple[bool, str]:
    rows = {"customer_id": range(len(touches)), "timestamp": touches, "channel": ["ad"] * len(touches)}
    orders = {"customer_id": range(len(outcomes)), "timestamp": outcomes, "outcome": ["purchase"] * len(outcomes)}
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        journeys = attrib.Journeys.from_events(pl.DataFrame(rows), pl.DataFrame(orders))
        facts = journeys.facts["times"]
    said = " ".join(
        str(w.message)
        for w in seen
        if "outcomes" in str(w.message)
        and "touch before" not in str(w.message)
        and not isinstance(w.message, FindingWarning)  # true of most of these customers: they have no touch
    )
    return facts["outcomes_stand"] == "at the end of their day", said


NIGHT, NOON = START, START + timedelta(hours=12, minutes=3)


@pytest.mark.parametrize(
    ("midnights", "timed", "night_touches", "day_touches", "wanted", "said"),
    [
        (1, 0, 0, 3, True, "1 outcomes carry a date"),  # all of them
        (99, 1, 0, 3, True, "99 outcomes carry a date"),
        (98, 2, 0, 3, False, "98 of 100 outcomes stand at midnight"),
        (19, 1, 0, 3, False, "19 of 20 outcomes stand at midnight"),
        (3, 3, 0, 3, False, "3 of 6 outcomes stand at midnight"),
        (2, 2, 0, 3, False, ""),
        (3, 4, 0, 3, False, ""),
        (99, 1, 4, 6, True, "99 outcomes carry a date"),
        (99, 1, 5, 5, False, "99 of 100 outcomes stand at midnight exactly"),  # nothing tells them apart
        (50, 50, 5, 5, False, "50 of 100 outcomes stand at midnight exactly"),
        (3, 0, 5, 1, False, "3 of 3 outcomes stand at midnight exactly"),
        (99, 0, 5, 0, False, ""),  # all is dated to the day
        (20, 500, 0, 3, False, "20 of 520 outcomes stand at midnight"),
        (19, 500, 0, 3, False, ""),
    ],
)
def test_when_a_table_carries_days(midnights, timed, night_touches, day_touches, wanted, said) -> None:
    found = stand_at_the_end([NIGHT] * midnights + [NOON] * timed, [NIGHT] * night_touches + [NOON] * day_touches)
    assert found[0] is wanted
    assert found[1].startswith(said) if said else found[1] == ""


@pytest.mark.parametrize("engine", [None, TINY, Parted(threads=1)])
@pytest.mark.parametrize("minute", [0, 7])
def test_being_asked_settles_what_midnights_of_touches_leave_open(minute: int, engine: Any) -> None:
    """Half and more of the touches are dated to the day: told, and moved by those who know."""
    touches = pl.DataFrame(
        [(i, START + timedelta(hours=14, minutes=minute) * (i >= 12), "click" if i >= 12 else "tv") for i in range(20)],
        schema=["customer_id", "timestamp", "channel"], orient="row",
    )  # fmt: skip
    orders = pl.DataFrame({"customer_id": range(20), "timestamp": [START] * 20, "outcome": ["purchase"] * 20})

    def ask(table: pl.DataFrame, **recipe: Any) -> tuple[int, list[str]]:
        journeys = attrib.Journeys.from_events(touches, table, engine=engine, **recipe)
        table = attrib.credit(journeys, attrib.Linear(), intervals=None).filter(channel="click")
        return int(table["conversions"].sum()), [text for text in journeys.warnings if "midnight" in text]

    clicks, (text,) = ask(orders)
    assert clicks == 0
    assert "but so do 12 of 20 touchpoints" in text
    assert ask(orders, day_of_outcome="end") == (8, ask(orders.with_columns(pl.col("timestamp").dt.date()))[1])
    assert ask(orders, day_of_outcome="start") == (0, [])
    moved = attrib.Journeys.from_events(touches, orders, engine=engine, day_of_outcome="end")
    assert moved.facts["times"]["told_by"] == "asked"


@pytest.mark.parametrize("engine", [None, Parted(threads=1)])
@pytest.mark.parametrize("dates", [1, 9])
def test_texts_of_dates_are_told_at_any_count(dates: int, engine: Any) -> None:
    texts = ["2024-01-01"] * dates + ["2024-01-02T10:07:00"]
    orders = pl.DataFrame({"customer_id": range(dates + 1), "timestamp": texts, "outcome": ["purchase"] * (dates + 1)})
    touches = orders.select("customer_id", timestamp=pl.lit("2024-01-01T09:30:00"), channel=pl.lit("ad"))
    journeys = attrib.Journeys.from_events(touches, orders, engine=engine)
    told = [text for text in journeys.warnings if "written as dates" in text]
    assert [text.split(" outcomes")[0] for text in told] == [f"{dates} of {dates + 1}"]


@pytest.mark.parametrize("engine", [None, TINY, Parted(threads=1)])
@pytest.mark.parametrize(
    ("off", "clock"),
    [
        (timedelta(seconds=1), "00:00,"),
        (timedelta(hours=18, minutes=30), "18:30,"),  # midnight of India, in UTC
        (timedelta(hours=9), "09:00 or 10:00,"),  # every other day at 10
    ],
)
def test_one_time_of_day_is_told_where_touches_come_after(off: timedelta, clock: str, engine: Any) -> None:
    summer = timedelta(hours=1) if "or" in clock else timedelta()
    orders = pl.DataFrame(
        [(i, START + timedelta(days=i) + off + summer * (i % 2), "purchase") for i in range(19)],
        schema=["customer_id", "timestamp", "outcome"], orient="row",
    )  # fmt: skip
    after = orders.select("customer_id", pl.col("timestamp") + timedelta(hours=3, minutes=7), channel=pl.lit("ad"))
    warned = attrib.Journeys.from_events(after, orders, engine=engine).warnings
    (text,) = [text for text in warned if "one time of day" in text]
    assert text.startswith(f"19 of 19 outcomes stand at one time of day, {clock} and 19 of 19 conversions lie before")
    before = after.with_columns(pl.col("timestamp") - timedelta(hours=4))
    assert attrib.Journeys.from_events(before, orders, engine=engine).warnings == ()
    spread = orders.with_columns(pl.col("timestamp") + timedelta(minutes=1) * pl.col("customer_id"))
    warned = attrib.Journeys.from_events(after, spread, engine=engine).warnings
    assert not any("one time of day" in text for text in warned)


@pytest.mark.parametrize(
    ("shift", "ids", "said"),
    [
        (timedelta(days=1), 100, "are of customers without any touch: do both tables name customers alike?"),
        (
            -timedelta(hours=9, minutes=5),
            0,
            "are of customers whose touches all come after them: are the times of both",
        ),
        (timedelta(days=40), 0, "have touches before them, all of them longer ago than the lookback: are both tables"),
    ],
)
def test_why_nothing_is_credited_is_what_holds_for_most(shift: timedelta, ids: int, said: str) -> None:
    touches = pl.DataFrame(
        [(i, START + timedelta(hours=11, minutes=7 * i), "ad") for i in range(6)],
        schema=["customer_id", "timestamp", "channel"], orient="row",
    )  # fmt: skip
    orders = touches.select(
        pl.when(pl.col("customer_id") < 5).then(pl.col("customer_id") + ids).otherwise(900),
        pl.col("timestamp") + shift, outcome=pl.lit("purchase"),
    )  # fmt: skip
    warned = attrib.Journeys.from_events(touches, orders, lookback="30d").warnings
    (text,) = [text for text in warned if text.startswith("none of 6 conversions has a touch before it in its window")]
    assert f"{6 if ids else 5} of them {said}" in text


def test_full_hours_are_told() -> None:
    """Midnights of Berlin in UTC stand at 23:00 and 22:00: no midnight, but no time of day either."""
    evenings = [START + timedelta(days=i, hours=23 if i % 2 else 22) for i in range(30)]
    moved, said = stand_at_the_end(evenings, [NOON] * 5)
    assert not moved
    assert said.startswith("30 of 30 outcomes stand at a full hour")


def test_all_dated_to_the_day_stays_in_whole_days() -> None:
    touches = pl.DataFrame({"customer_id": [1], "timestamp": [date(2025, 1, 1)], "channel": ["ad"]})
    orders = pl.DataFrame({"customer_id": [1], "timestamp": [date(2025, 1, 31)], "outcome": ["purchase"]})
    for rows in (touches, touches.with_columns(pl.col("timestamp").cast(pl.Datetime("us")))):
        journeys = attrib.Journeys.from_events(rows, orders, lookback="30d")
        assert journeys.to_frame().select("status").rows() == [("converting",)]
        assert journeys.facts["times"]["outcomes_stand"] == "as given"


# dates beside times with a zone ---------------------------------------------------------------------------------
BERLIN = "Europe/Berlin"


@pytest.mark.parametrize("engine", [None, TINY, Parted(threads=1)])
@pytest.mark.parametrize("day", [DAY, date(2025, 10, 26)])
@pytest.mark.parametrize("form", ["dates", "texts", "some texts", "Z", "csv"])
def test_dates_are_days_of_the_zone_of_the_touches(form: str, day: date, engine: Any, tmp_path: Any) -> None:
    """A touch in the last minute of the day in that zone counts, one in the first of the next does not."""
    zone = "UTC" if form in ("Z", "csv") else BERLIN
    clock = [datetime.combine(day, time(23, 59)), datetime.combine(day + timedelta(days=1), time(0, 1))] * 20
    touches: Any = pl.DataFrame(
        {"customer_id": [i // 2 for i in range(40)], "timestamp": clock, "channel": ["in", "late"] * 20}
    ).with_columns(pl.col("timestamp").dt.replace_time_zone(zone))
    orders: Any = pl.DataFrame({"customer_id": range(20), "timestamp": [day] * 20, "outcome": ["purchase"] * 20})
    if form != "dates":
        orders = orders.with_columns(pl.col("timestamp").cast(pl.String))
    if form == "some texts":  # dates still, though an order of another outcome has a time
        orders = pl.concat([orders] * 5 + [orders[:1].with_columns(
            timestamp=pl.lit(f"{day}T12:00:00Z"), outcome=pl.lit("visit"))])  # fmt: skip
    if form in ("Z", "csv"):
        touches = touches.with_columns(pl.col("timestamp").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    if form == "csv":
        for name, table in (("t", touches), ("o", orders)):
            table.write_csv(tmp_path / f"{name}.csv")
        touches, orders = tmp_path / "t.csv", tmp_path / "o.csv"
    journeys = attrib.Journeys.from_events(touches, orders, engine=engine)
    table = attrib.credit(journeys, attrib.LastTouch(), intervals=None)
    expected = {"in": 100.0 if form == "some texts" else 20.0, "late": 0.0, None: 0.0}
    assert dict(table.select("channel", "conversions").rows()) == expected
    (text,) = [text for text in journeys.warnings if "carry a date without a time of day" in text]
    assert ("in Europe/Berlin, the time zone of the touchpoints" in text) is (zone == BERLIN)
    late = datetime.combine(day + timedelta(days=1), time(0, 30))
    row = attrib.snapshot(touches, orders, at=late, purpose="score", purchases="purchase", population="everyone").row(
        0, named=True
    )
    assert row["recency_purchase"] == pytest.approx(30 / 1440)


def test_dates_beside_offsets_have_a_hint_that_helps(tmp_path: Any) -> None:
    """An offset is no zone: the hint is followed, in a file and in a frame."""
    touches = pl.DataFrame({"customer_id": [1], "timestamp": ["2025-01-03T23:30:00+01:00"], "channel": ["ad"]})
    orders = pl.DataFrame({"customer_id": [1], "timestamp": ["2025-01-03"], "outcome": ["purchase"]})
    for table in (orders, orders.with_columns(pl.col("timestamp").str.to_date())):
        journeys = attrib.Journeys.from_events(touches, table)
        for ask in (journeys.reconcile, partial(attrib.snapshot, touches, table, at="2025-01-05", purpose="score")):
            with pytest.raises(attrib.DataError, match="an offset does not tell whose days") as caught:
                ask()
            assert caught.value.key == "mixed_zones"
    orders.with_columns(timestamp=pl.lit("2025-01-03T23:59:59+01:00")).write_csv(tmp_path / "o.csv")
    touches.write_csv(tmp_path / "t.csv")
    read = pl.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%S%z").dt.convert_time_zone(BERLIN)
    for followed in ((tmp_path / "t.csv", tmp_path / "o.csv"), (touches.with_columns(read), orders)):
        frame = attrib.Journeys.from_events(*followed).to_frame()
        assert frame.select("status", "path").rows() == [("converting", "ad")]


def test_dates_of_lives_and_of_rows_are_days_of_the_zone_of_the_events() -> None:
    from attrib.lifecycle import referral_targets, time_varying_rows

    touches = pl.DataFrame({"customer_id": [1], "timestamp": [datetime(2025, 1, 3)], "channel": ["ad"]})  # noqa: DTZ001
    touches = touches.with_columns(pl.col("timestamp").dt.replace_time_zone(BERLIN))
    lives = {"customer_id": [1], "begin": [date(2025, 1, 1)], "end": [date(2025, 1, 5)], "left": [True]}
    assert time_varying_rows(touches, pl.DataFrame(lives)).select("start", "stop").rows() == [(0.0, 2.0), (2.0, 4.0)]
    brought = pl.DataFrame(
        {"customer_id": [2, 3], "timestamp": [datetime(2025, 1, 3, 0, 30), datetime(2025, 1, 9)],  # noqa: DTZ001
         "outcome": ["purchase"] * 2, "referrer_id": [1, None]}
    ).with_columns(pl.col("timestamp").dt.replace_time_zone(BERLIN))  # fmt: skip
    rows = pl.DataFrame({"customer_id": [1, 1], "date": [date(2025, 1, 2), date(2025, 1, 3)]})
    found = referral_targets(rows, None, brought, gap="1d", horizon="2d")
    assert found["count"].to_list() == [1, 0]
