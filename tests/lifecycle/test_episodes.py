"""(start, stop] rows from touches: nothing is known before it happened."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attrib.errors import AttribWarning, DataError, SpecError
from attrib.lifecycle import SurvivalChurn, time_varying_rows

DAY = timedelta(days=1)
BEGIN = datetime(2026, 1, 1)  # noqa: DTZ001 - without a zone, on purpose
CHANNELS = ["email", "web"]


def frames(touches, lives):
    """Days after the begin: (customer, day, channel) and (customer, entry, end, left)."""
    return (
        pl.DataFrame(
            {
                "customer_id": pl.Series([t[0] for t in touches], dtype=pl.Int64),
                "timestamp": pl.Series([BEGIN + t[1] * DAY for t in touches], dtype=pl.Datetime("us")),
                "channel": pl.Series([t[2] for t in touches], dtype=pl.String),
            }
        ),
        pl.DataFrame(
            {
                "customer_id": [i for i, _ in enumerate(lives)],
                "begin": [BEGIN] * len(lives),
                "entry": [BEGIN + entry * DAY for entry, _, _ in lives],
                "end": [BEGIN + end * DAY for _, end, _ in lives],
                "left": [left for *_, left in lives],
            }
        ),
    )


touch = st.tuples(st.integers(0, 2), st.integers(-8, 40).map(lambda n: n / 4), st.sampled_from(CHANNELS))
life = st.tuples(st.integers(0, 8).map(lambda n: n / 2), st.integers(1, 8), st.booleans()).map(
    lambda t: (t[0], t[0] + t[1], t[2])
)


@given(st.lists(touch, max_size=12), st.lists(life, min_size=3, max_size=3), st.sampled_from([None, "1d", "36h"]))
def test_what_a_row_holds_was_known_at_its_start(touches, lives, every):
    rows = time_varying_rows(*frames(touches, lives), every=every, channels=CHANNELS)
    grid = {None: None, "1d": 1.0, "36h": 1.5}[every]
    assert rows.columns == ["customer_id", "start", "stop", "event", "touches_email", "touches_web"]
    for i, (entry, end, left) in enumerate(lives):
        mine = rows.filter(customer_id=i)
        counted = [
            (t if grid is None or t <= entry else -(-t // grid) * grid, channel)
            for customer, t, channel in touches
            if customer == i and t < end
        ]
        cuts = sorted({entry} | {t for t, _ in counted if entry < t < end})
        assert mine["start"].to_list() == cuts
        assert mine["stop"].to_list() == [*cuts[1:], end]
        assert mine["event"].to_list() == [False] * (len(cuts) - 1) + [left]
        for channel in CHANNELS:
            wanted = [sum(t <= start and c == channel for t, c in counted) for start in cuts]
            assert mine[f"touches_{channel}"].to_list() == wanted


def test_later_touches_change_no_earlier_row():
    lives = [(0, 10, True)]
    before = time_varying_rows(*frames([(0, 2, "email")], lives), channels=CHANNELS)
    after = time_varying_rows(*frames([(0, 2, "email"), (0, 6, "web"), (0, 10, "web"), (0, 11, "web")], lives))
    assert after.rows()[:2] == [(0, 0.0, 2.0, False, 0, 0), (0, 2.0, 6.0, False, 1, 0)]
    assert after.rows()[2:] == [(0, 6.0, 10.0, True, 1, 1)]
    assert before.rows()[1] == (0, 2.0, 10.0, True, 1, 0)


def test_frames_of_pandas_dates_zones_and_units():
    touches, lives = frames([(0, 2, "email"), (1, 3, "web")], [(0, 10, True), (1, 5, False)])
    wanted = time_varying_rows(touches, lives)
    assert time_varying_rows(touches.to_pandas(), lives.to_pandas()).rows() == wanted.rows()
    zoned = [
        t.with_columns(pl.selectors.temporal().dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"))
        for t in (touches, lives)
    ]
    assert time_varying_rows(*zoned).equals(wanted)
    hours = time_varying_rows(touches, lives, unit="1h")
    assert hours["stop"].to_list() == [24 * stop for stop in wanted["stop"]]


def test_what_is_left_out_is_counted():
    touches, lives = frames([(0, 2, "email"), (9, 2, "email")], [(0, 10, True), (4, 4, False)])
    with pytest.warns(AttribWarning) as said:
        rows = time_varying_rows(touches, lives)
    texts = [str(warning.message) for warning in said]
    assert texts[0].startswith("1 of 2 customers end at or before they begin or enter")
    assert texts[1].startswith("1 of 2 touches have no time, or no customer")
    assert rows["customer_id"].unique().to_list() == [0]


def test_bad_frames_are_named():
    touches, lives = frames([(0, 2, "email")], [(0, 10, True)])
    for broken, key in (
        (lives.drop("end"), "missing_columns"),
        (lives.with_columns(end=None), "null_values"),
        (lives.with_columns(end=pl.lit(3)), "bad_dtype"),
        (lives.with_columns(left=pl.lit("gone")), "bad_flag"),
        (pl.concat([lives, lives]), "duplicate_customers"),
        (lives.with_columns(end=datetime(2027, 1, 1, tzinfo=UTC)), "mixed_zones"),
    ):
        with pytest.raises(DataError) as error:
            time_varying_rows(touches, broken)
        assert error.value.key == key
    with pytest.raises(SpecError, match="unit"):
        time_varying_rows(touches, lives, unit="0d")
    with pytest.raises(DataError, match="1 of 3 required columns"):
        time_varying_rows(touches.drop("channel"), lives)


def test_the_effect_of_touches_is_found():
    """Each email halves the hazard from then on; customers who stay longer get more of them, which is no effect."""
    random = np.random.default_rng(1)
    touches, lives = [], []
    for i in range(1500):
        t, emails, seen = 0.0, 0, random.uniform(10, 60)
        while True:
            step, leaves = random.exponential(15), random.exponential(20 * 2**emails)
            if t + min(step, leaves) >= seen:
                lives.append((0, seen, False))
                break
            if leaves < step:
                lives.append((0, t + leaves, True))
                break
            t, emails = t + step, emails + 1
            touches.append((i, t, "email"))
    rows = time_varying_rows(*frames(touches, lives))
    given = {"id": "customer_id", "start": "start", "stop": "stop", "event": "event"}
    model = SurvivalChurn("time_varying_cox", penalizer=0).fit(rows, **given)
    row = model.summary().row(0, named=True)
    assert row["feature"] == "touches_email"
    assert row["hazard_ratio"] == pytest.approx(0.5, abs=0.06)
    assert row["hazard_ratio_low"] < 0.5 < row["hazard_ratio_high"]
    known = pl.DataFrame({"touches_email": [0, 2]})
    assert model.predict_churn(known, 5, 10.0) == pytest.approx([1 - np.exp(-5 / 20), 1 - np.exp(-5 / 80)], abs=0.06)


def test_dates_will_do():
    lives = pl.DataFrame(
        {"customer_id": ["a"], "begin": [date(2026, 1, 1)], "end": [date(2026, 1, 9)], "left": [False]}
    )
    touches = pl.DataFrame({"customer_id": ["a"], "timestamp": [BEGIN + 2.5 * DAY], "channel": [None]})
    found = time_varying_rows(touches.cast({"channel": pl.String}), lives)
    assert found.rows() == [("a", 0.0, 2.5, False, 0), ("a", 2.5, 8.0, False, 1)]
    assert found.columns[-1] == "touches_(null)"
