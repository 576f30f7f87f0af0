"""Labels of referral from events, against one loop over each row's customer."""

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attrib
from attrib.errors import AttribWarning, DataError, SpecError
from attrib.lifecycle import referral_targets
from attrib.lifecycle.tables import rows_at
from attrib.snapshots.events import read_events

START = datetime(2024, 1, 1)  # noqa: DTZ001 - times without a zone
HOUR, GAP, HORIZON = timedelta(hours=1), timedelta(hours=6), timedelta(hours=12)
END = START + 60 * HOUR
SCHEMA = {"customer_id": pl.Int64, "timestamp": pl.Datetime("us"), "outcome": pl.String, "value": pl.Float64,
          "referrer_id": pl.Int64}  # fmt: skip


def twin(rows, touches, outcomes, target):
    """Read the definitions aloud, row by row."""
    brought = {}  # customer: (time, referrer), by the first outcome that names somebody else
    for who, at, *_, by in sorted(outcomes, key=lambda o: (o[1], o[2], o[3], str(o[4]))):
        if by is not None and by != who:
            brought.setdefault(who, (at, by))
    out = []
    for customer, day in rows:
        low, high = day + GAP, day + GAP + HORIZON
        asked = any(who == customer and day <= at <= low and by == "ask" for who, at, by in touches)
        if target:
            count = sum(who == customer and name == target and low < at <= high for who, at, name, *_ in outcomes)
            out.append((customer, day, int(count > 0), count, asked))
            continue
        new = [who for who, (at, by) in brought.items() if by == customer and low < at <= high]
        spent = [v for who, at, name, v, _ in outcomes if who in new and name == "purchase" and low < at <= high]
        out.append((customer, day, int(bool(new)), len(new), pytest.approx(sum(spent)), asked))
    return out


hours = st.integers(0, 60).map(lambda h: START + h * HOUR)
who = st.integers(0, 4)
touch = st.tuples(who, hours, st.sampled_from(["ask", "mail"]))
outcome = st.tuples(who, hours, st.sampled_from(["purchase", "referral"]), st.sampled_from([1.0, 2.5]), st.none() | who)
row = st.tuples(who, st.integers(0, 42).map(lambda h: START + h * HOUR))


@given(
    st.lists(row, min_size=1, max_size=6), st.lists(touch, max_size=8), st.lists(outcome, max_size=14), st.booleans()
)
def test_every_row_against_the_definitions(rows, touches, outcomes, by_name):
    target = "referral" if by_name else None
    touches = [*touches, (9, START, "ask")]
    outcomes = [*outcomes, (9, START, "referral", 0.0, None)]
    found = referral_targets(
        pl.DataFrame(rows, schema={"customer_id": pl.Int64, "date": pl.Datetime("us")}, orient="row"),
        pl.DataFrame(touches, schema=["customer_id", "timestamp", "channel"], orient="row"),
        pl.DataFrame(outcomes, schema=SCHEMA, orient="row"),
        gap=GAP, horizon=HORIZON, target=target, asks="ask", end=END,
    )  # fmt: skip
    assert found.columns == ["customer_id", "date", "label", "count", *["value"] * (not by_name), "asked"]
    assert found.rows() == twin(rows, touches, outcomes, target)


@pytest.fixture(scope="module")
def market():
    population = attrib.synth.Population(recruits=0.3, later=attrib.synth.Later(refers=0.003))
    return attrib.synth.generate(2500, 1, population=population)


def test_the_label_is_that_of_a_snapshot_and_of_attrib_fit(market):
    asked = {"gap": "7d", "horizon": "60d"}
    days = [date(2025, 7, 1), date(2025, 9, 1)]
    rows = attrib.snapshot(market.touchpoints, market.outcomes, at=days, target="referral", **asked)
    found = referral_targets(rows, market.touchpoints, market.outcomes, target="referral", **asked)
    assert found["label"].sum() > 20
    assert found["label"].equals(rows["label"])
    events = read_events(market.touchpoints, market.outcomes, None, (), 0.05)
    names = (
        "window",
        "target",
        "churn",
        "cancelled",
        "population",
        "active_only",
        "purchases",
        "stages",
        "max_channels",
    )
    spec = asked | dict.fromkeys(names) | {"purchases": ("purchase",), "max_channels": 20, "active_only": False}
    spec["features"] = ()
    fitted = rows_at(events, spec, [START.replace(year=2025, month=m) for m in (7, 9)], "train", referrals=True)
    found = referral_targets(fitted.keys, None, market.outcomes, **asked)
    assert found["label"].sum() > 5
    assert found.select("count", "value", "label").equals(
        fitted.labels.select("count", pl.col("value_brought").alias("value"), "label")
    )


def test_other_frames_ids_and_zones_say_the_same(market):
    at = {"gap": "7d", "horizon": "60d", "asks": "referral_ask"}
    rows = pl.DataFrame({"customer_id": market.outcomes["customer_id"].unique().sort(), "date": date(2025, 8, 29)})
    found = referral_targets(rows, market.touchpoints, market.outcomes, **at)
    assert found["asked"].sum() > 20
    assert found["value"].sum() > 0
    texts = {name: pl.col(name).cast(pl.String) for name in ("customer_id", "referrer_id")}
    zone = pl.col("timestamp").dt.replace_time_zone("UTC")
    touches = market.touchpoints.with_columns(texts["customer_id"], zone)
    outcomes = market.outcomes.with_columns(**texts).with_columns(zone)
    moments = rows.with_columns(texts["customer_id"], pl.col("date").cast(pl.Datetime("us", "UTC")))
    other = referral_targets(moments.reverse(), touches, pl.concat([outcomes, outcomes.head(0)]), **at)
    assert other.drop("customer_id", "date").reverse().equals(found.drop("customer_id", "date"))
    table = pd.DataFrame(rows.to_dict(as_series=False)).astype({"date": "datetime64[us]"})
    assert referral_targets(table, market.touchpoints, market.outcomes, **at)["count"].equals(found["count"])


def test_repeated_events_count_once():
    row = pl.DataFrame({"customer_id": [1], "date": [START]})
    outcomes = pl.DataFrame(
        [(1, START + 8 * HOUR, "referral", 0.0, None), (2, START + 9 * HOUR, "purchase", 7.0, 1)], SCHEMA, orient="row"
    ).with_columns(event_id=pl.Series(["a", "b"]))
    again = pl.concat([outcomes, outcomes])
    for target in (None, "referral"):
        both = [
            referral_targets(row, None, o, gap=GAP, horizon=HORIZON, target=target, end=END) for o in (outcomes, again)
        ]
        assert both[0].equals(both[1])
        assert both[0]["count"].item() == 1


def test_questions_without_an_answer(market):
    row = pl.DataFrame({"customer_id": [1], "date": [date(2025, 8, 1)]})
    for rows, more, error, key in (
        (row.with_columns(date=date(2025, 12, 1)), {}, DataError, "open_window"),
        (row, {"end": "2025-08-20"}, DataError, "open_window"),
        (row.drop("date"), {}, DataError, "missing_columns"),
        (row.with_columns(date=None), {}, DataError, "null_values"),
        (row.with_columns(date=pl.lit("2025-08-01")), {}, DataError, "wrong_type"),
        (row.with_columns(customer_id=pl.lit("ann")), {}, DataError, "wrong_type"),
        (row.with_columns(date=datetime(2025, 8, 1, tzinfo=UTC)), {}, SpecError, "mixed_zones"),
        (row, {"target": ""}, SpecError, "bad_value"),
        (row, {"asks": 1}, SpecError, "bad_value"),
        (row, {"gap": "soon"}, SpecError, "bad_duration"),
    ):
        with pytest.raises(error) as caught:
            referral_targets(rows, market.touchpoints, market.outcomes, **more)
        assert caught.value.key == key
    with pytest.raises(SpecError, match="asks are touches"):
        referral_targets(row, None, market.outcomes, asks="referral_ask")
    with pytest.raises(DataError, match="no referrer_id"):
        referral_targets(row, market.touchpoints, market.outcomes.drop("referrer_id"))
    with pytest.warns(AttribWarning, match="asks: no channel is called 'referral_asks'.*did you mean"):
        referral_targets(row, market.touchpoints, market.outcomes, asks="referral_asks")


def test_labels_of_asks_by_lot_run_from_the_date():
    """A friend who comes an hour after the ask counts; without the lot only those after the gap do."""
    start = datetime(2024, 3, 1)  # noqa: DTZ001 - times without a zone
    rows = pl.DataFrame({"customer_id": [1, 2, 3], "date": [start] * 3})
    touches = pl.DataFrame(
        {"customer_id": [1, 2], "timestamp": [start, start + timedelta(days=7)], "channel": ["ask"] * 2}
    )
    hours = [-1, 0, 1, 24 * 8, 24 * 30, 24 * 30 + 1]
    outcomes = pl.DataFrame({
        "customer_id": list(range(10, 16)), "timestamp": [start + timedelta(hours=h) for h in hours],
        "outcome": ["visit"] * 6, "value": [0.0] * 6, "referrer_id": [1, 1, 1, 1, 1, 1],
    })  # fmt: skip
    ask = {"asks": "ask", "gap": "7d", "horizon": "30d", "end": start + timedelta(days=60)}
    by_lot = referral_targets(rows, touches, outcomes, randomised=True, **ask)
    assert by_lot.select("label", "count", "asked").rows() == [(1, 4, True), (0, 0, True), (0, 0, False)]
    later = referral_targets(rows, touches, outcomes, **ask)
    assert later.select("label", "count", "asked").rows() == [(1, 3, True), (0, 0, True), (0, 0, False)]
    on_the_edge = ask | {"end": start + timedelta(days=30)}
    assert referral_targets(rows, touches, outcomes, randomised=True, **on_the_edge).height == 3
    with pytest.raises(SpecError, match="randomised is given, but not asks"):
        referral_targets(rows, touches, outcomes, randomised=True, gap="7d", horizon="30d")
