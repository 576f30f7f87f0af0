"""Snapshots by hand: the bounds of windows and labels, what is censored, what is refused, what is told."""

from __future__ import annotations

import inspect
import re
import warnings
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

import attrib
from attrib.errors import AttribWarning, DataError, RejectedError, SpecError
from attrib.snapshots.asked import Wish
from attrib.snapshots.events import read_events
from attrib.snapshots.leaving import says_gone
from attrib.snapshots.snapshot import describe

WISHED = {*inspect.signature(Wish.of).parameters}
DAY, TICK = timedelta(days=1), timedelta(microseconds=1)
AT = datetime(2024, 6, 1)  # noqa: DTZ001 - times without a zone
END = AT + 60 * DAY
ASK = {"at": AT, "gap": "7d", "horizon": "20d", "end": END}


def touches(*rows, **columns):
    who, times, channels = zip(*rows, strict=True) if rows else ((), (), ())
    schema = {"customer_id": pl.Int64, "timestamp": pl.Datetime("us"), "channel": pl.String}
    data = {"customer_id": who, "timestamp": times, "channel": channels}
    return pl.DataFrame(data, schema=schema).with_columns(**{k: pl.Series(v) for k, v in columns.items()})


def outcomes(*rows):
    schema = {"customer_id": pl.Int64, "timestamp": pl.Datetime("us"), "outcome": pl.String}
    return pl.DataFrame(list(rows), schema=schema, orient="row")


SEEN = touches((1, AT - DAY, "ad"))


@pytest.mark.parametrize(
    ("moment", "label"),
    [
        (AT - TICK, 0), (AT, 0), (AT + 7 * DAY, 0), (AT + 7 * DAY + TICK, 1), (AT + 27 * DAY, 1),
        (AT + 27 * DAY + TICK, 0),
    ],
)  # fmt: skip
def test_label_window_is_open_below_and_closed_above(moment, label):
    table = attrib.snapshot(SEEN, outcomes((1, moment, "purchase")), target="purchase", **ASK)
    assert table["label"].to_list() == [label]
    assert table["frequency"].to_list() == [int(moment < AT)]


@pytest.mark.parametrize(
    ("moment", "label"),
    [
        (AT - DAY, None), (AT, None), (AT + 7 * DAY, None), (AT + 7 * DAY + TICK, 1), (AT + 27 * DAY, 1),
        (AT + 27 * DAY + TICK, 0),
    ],
)  # fmt: skip
def test_who_cancels_before_or_in_the_gap_is_left_out(moment, label):
    table = attrib.snapshot(SEEN, outcomes((1, moment, "cancel")), churn="cancel", population="everyone", **ASK)
    assert table["label"].to_list() == ([] if label is None else [label])


def test_scoring_keeps_who_will_cancel_in_the_gap():
    rows = outcomes((1, AT + DAY, "cancel"), (2, AT - TICK, "cancel"))
    table = attrib.snapshot(SEEN, rows, churn="cancel", purpose="score", population="everyone", **ASK)
    assert table["customer_id"].to_list() == [1]
    assert not {"label", "duration", "event"} & set(table.columns)


def test_beside_a_target_churn_only_leaves_out_who_is_gone():
    seen = touches(*((who, AT - DAY, "ad") for who in range(1, 7)))
    done = outcomes(
        (1, AT - TICK, "cancel"), (2, AT + 7 * DAY, "cancel"), (3, AT + 7 * DAY + TICK, "cancel"),
        *((who, AT + 9 * DAY, "referral") for who in (1, 2, 3, 4)),
    )  # fmt: skip
    table = attrib.snapshot(seen, done, target="referral", churn="cancel", **ASK)
    assert table.select("customer_id", "label").rows() == [(3, 1), (4, 1), (5, 0), (6, 0)]
    table = attrib.snapshot(seen, done, target="referral", churn="cancel", purpose="survival", **ASK)
    assert table.select("customer_id", "event", "duration").rows() == [(3, 1, 9), (4, 1, 9), (5, 0, 60), (6, 0, 60)]
    table = attrib.snapshot(seen, done, target="referral", churn="cancel", purpose="score", **ASK)
    assert table["customer_id"].to_list() == [2, 3, 4, 5, 6]  # nobody knows yet that 2 will leave


def test_who_has_cancelled_is_not_asked_whether_they_will_fall_silent():
    ask = {"population": "everyone"} | ASK
    seen = touches(*((who, AT - DAY, "ad") for who in range(1, 6)), (4, AT + 9 * DAY, "ad"))
    done = outcomes(
        (1, AT - TICK, "cancel"), (2, AT + 7 * DAY, "cancel"), (3, AT + 7 * DAY + TICK, "cancel"),
        (4, AT + 10 * DAY, "cancel"), (5, AT + 9 * DAY, "order_cancelled"),
        (9, AT - 400 * DAY, "purchase"),
    )  # fmt: skip
    with pytest.warns(
        AttribWarning, match="^4 rows of 'cancel' are taken for customers who leave: .*cancelled=\\[\\] "
    ):
        table = attrib.snapshot(seen, done, churn="silent", **ask)
    # 3 leaves after the gap, which is no sign of life; 4 did something before leaving; 5 cancels an order, not us
    assert table.select("customer_id", "label").rows() == [(3, 1), (4, 0), (5, 0)]
    with pytest.warns(AttribWarning, match="taken for customers who leave"):
        table = attrib.snapshot(seen, done, churn="silent", purpose="score", **ask)
    assert table["customer_id"].to_list() == [2, 3, 4, 5]  # nobody knows yet that 2 will leave
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what is said is not warned of; orders taken back are another matter
        warnings.filterwarnings("ignore", "outcomes are called 'order_cancelled' beside 'purchase' and take nothing")
        named = attrib.snapshot(seen, done, churn="silent", cancelled="cancel", **ask)
        assert named.select("customer_id", "label").rows() == [(3, 1), (4, 0), (5, 0)]
        both = attrib.snapshot(seen, done, churn="silent", cancelled=["cancel", "order_cancelled"], **ask)
        assert both.select("customer_id", "label").rows() == [(3, 1), (4, 0), (5, 1)]
        everybody = attrib.snapshot(seen, done, churn="silent", cancelled=[], **ask)
        assert everybody["customer_id"].to_list() == [1, 2, 3, 4, 5]
        beside = attrib.snapshot(seen, done, churn="cancel", cancelled="order_cancelled", **ask)
        assert beside.select("customer_id", "label").rows() == [(3, 1), (4, 1), (5, 0), (9, 0)]
    for wrong, text in (
        ("cancle", "cancelled: no outcome is called 'cancle'; did you mean cancel"),
        ("purchase", "looks"),
    ):
        with pytest.raises(SpecError, match=text):
            attrib.snapshot(seen, done, target="purchase", cancelled=wrong, **ASK)


@pytest.mark.parametrize(
    ("values", "told"), [({}, False), ({"value": [20.0, 5.0]}, True), ({"value": [20.0, 0.0]}, False)]
)
def test_a_cancellation_may_be_a_refund_only_where_it_has_a_value(values, told):
    done = outcomes((1, AT - DAY, "purchase"), (1, AT - TICK, "cancel")).with_columns(
        **{name: pl.Series(column) for name, column in values.items()}
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        attrib.snapshot(SEEN, done, target="purchase", **ASK)
    assert any("take nothing off it" in str(one.message) for one in caught) == told


def test_outcomes_that_sound_like_leaving():
    ends = ("cancel", "Cancelled", "subscription_canceled", "churn", "churned", "unsubscribe", "accountClosed",
            "Closed", "contract_terminated", "opt-out", "Kündigung", "kuendigung", "customer.subscription.deleted",
            "account:closed", "désabonnement", "disdetta", "opgezegd", "отписка", "解約",
            "expired", "non_renewal", "not_renewed", "Stornierung", "annulation", "baja", "opzegging", "Abbestellung",
            "port_out", "attrited", "deceased")  # fmt: skip
    others = ("purchase", "order_cancelled", "OrderCancelled", "closed_won", "deal_closed", "disclosed", "cart closed",
              "checkout_cancel", "ticket closed", "churn_survey", "enclosed", "visit", "cancel_page_view",
              "renewal", "left_review", "ended_call", "storno_order", "stopped_by_shop")  # fmt: skip
    assert [name for name in (*ends, *others) if says_gone(name)] == list(ends)


def test_touches_named_like_leaving_are_told():
    seen = touches(*((who, AT - DAY, "ad") for who in range(1, 6)), (2, AT - TICK, "cancel"))
    done = outcomes((1, AT - TICK, "purchase"))
    ask = {"population": "everyone"} | ASK
    with pytest.warns(AttribWarning, match="^1 touchpoints of 'cancel' sound like customers who leave.*as outcomes"):
        attrib.snapshot(seen, done, churn="silent", **ask)


def test_only_customers_can_leave():
    seen = touches((1, AT - DAY, "ad"), (2, AT - DAY, "ad"), (3, AT - DAY, "ad"))
    done = outcomes(
        (1, AT - TICK, "purchase"), (2, AT, "purchase"), (1, AT + 9 * DAY, "cancel"), (3, AT - 400 * DAY, "order")
    )
    with pytest.warns(AttribWarning, match="^2 of 3 rows have no 'purchase' before the date"):
        table = attrib.snapshot(seen, done, churn="cancel", **ASK)
    assert table.select("customer_id", "label").rows() == [(1, 1), (2, 0), (3, 0)]
    with pytest.warns(AttribWarning, match="^1 of 3 rows have no 'purchase' or 'order' before the date"):
        table = attrib.snapshot(seen, done, churn="silent", cancelled=[], purchases=["purchase", "order"], **ASK)
    assert table.select("customer_id", "label").rows() == [(1, 0), (2, 1), (3, 1)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what is asked for is not warned of
        for ask in ({"churn": "cancel"}, {"target": "order"}, {"purpose": "score"}):
            for population, who in (("customers", [1]), ("everyone", [1, 2, 3])):
                table = attrib.snapshot(seen, done, population=population, **ask, **ASK)
                assert table["customer_id"].to_list() == who
        assert attrib.snapshot(seen, done, target="order", churn="cancel", **ASK).height == 3


def test_nobody_can_be_told_to_be_a_customer():
    contracts = outcomes((1, AT + 9 * DAY, "cancel"))
    with pytest.warns(AttribWarning, match="purchases: no outcome is called 'purchase'; found: cancel"):
        assert attrib.snapshot(SEEN, contracts, churn="cancel", **ASK)["label"].to_list() == [1]
    assert attrib.snapshot(SEEN, churn="silent", **ASK)["label"].to_list() == [1]
    with pytest.raises(SpecError, match="nobody can be told to be a customer") as caught:
        attrib.snapshot(SEEN, contracts, churn="cancel", population="customers", **ASK)
    assert caught.value.hint == "outcomes that occur: cancel; name some in purchases, or give population = 'everyone'"
    misspelt = pl.concat([contracts, outcomes((1, AT - DAY, "purchased"))])
    with pytest.raises(SpecError, match="no outcome is called 'purchase'; did you mean purchased"):
        attrib.snapshot(SEEN, misspelt, churn="cancel", population="customers", **ASK)
    # a small batch that is scored may lack purchases by rights: then it has no customers
    with pytest.warns(AttribWarning, match="purchases: no outcome is called 'purchase'; found: cancel"):
        few = attrib.snapshot(SEEN, contracts, churn="cancel", purpose="score", population="customers", **ASK)
    assert few.is_empty()


def test_who_is_left_out_is_counted_by_the_first_reason():
    who = {"bought": [1, 2, 3, 4], "never": [5, 6]}
    seen = touches(*((one, AT - DAY, "ad") for one in (1, 2, 5, 6)), (3, AT - 300 * DAY, "ad"))
    done = outcomes(*((one, AT - 200 * DAY, "purchase") for one in who["bought"]), (2, AT, "cancel"), (5, AT, "cancel"))
    wish = Wish.of(
        **{name: one.default for name, one in inspect.signature(attrib.snapshot).parameters.items() if name in WISHED}
        | {"churn": "cancel", "active_only": True} | ASK
    )  # fmt: skip
    table, left = describe(read_events(seen, done, None, (), 0.05), wish)
    assert table["customer_id"].to_list() == [1]
    assert left == {"no_purchase": 2, "inactive": 2, "gone": 1}


def test_no_label_is_told():
    with pytest.warns(AttribWarning, match="there is no label: name a target or churn"):
        attrib.snapshot(SEEN, **ASK)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "label" not in attrib.snapshot(SEEN, purpose="score", **ASK).columns


def test_silence_is_asked_of_the_active_only():
    seen = touches((1, AT - DAY, "ad"), (1, AT + 8 * DAY, "ad"), (2, AT - DAY, "ad"), (3, AT - 300 * DAY, "ad"))
    table = attrib.snapshot(seen, churn="silent", **ASK)
    assert table.select("customer_id", "label").rows() == [(1, 0), (2, 1)]
    bought = outcomes((2, AT - DAY, "purchase"), (2, AT + 9 * DAY, "purchase"), (1, AT - DAY, "purchase"))
    table = attrib.snapshot(seen, bought, churn="silent", target="purchase", **ASK)
    assert table.select("customer_id", "label").rows() == [(1, 1), (2, 0)]


def test_window_starts_at_its_bound():
    seen = touches((1, AT - 5 * DAY, "ad"), (1, AT - 5 * DAY - TICK, "mail"))
    table = attrib.snapshot(seen, **ASK | {"window": "5d"})
    assert table.select("touches", "touches:ad", "touches:mail").row(0) == (1, 1, 0)
    assert table["gap_mean"].to_list() == [None]  # one of the two instants is not in the window
    assert table["tenure"][0] > 5


def test_what_is_not_observed_to_the_end_is_dropped_or_censored():
    seen = touches((1, AT - DAY, "ad"), (2, AT - DAY, "ad"))
    bought = outcomes((1, AT + 10 * DAY, "purchase"))
    at = [AT, AT - 12 * DAY]
    ask = {"gap": "7d", "horizon": "20d", "target": "purchase", "end": AT + 26 * DAY}
    with pytest.warns(AttribWarning, match="1 of 2 dates are left out, from 2024-06-01 00:00:00"):
        table = attrib.snapshot(seen.with_columns(pl.col("timestamp") - 20 * DAY), bought, at=at, **ask)
    # the purchase lies in the label window of both dates, and yet customer 1 is not in the table of the later one
    assert table.select("customer_id", "date", "label").rows() == [(1, AT - 12 * DAY, 1), (2, AT - 12 * DAY, 0)]
    table = attrib.snapshot(seen, bought, at=AT, purpose="survival", **ask)
    assert table.select("customer_id", "duration", "event").rows() == [(1, 10.0, 1), (2, 26.0, 0)]
    with pytest.warns(AttribWarning, match="end of the gap"):
        assert attrib.snapshot(seen, bought, at=AT, purpose="survival", **ask | {"end": AT + 7 * DAY}).is_empty()


def test_the_end_is_the_latest_event_of_either_table_unless_given():
    seen = touches((1, AT - DAY, "ad"), (2, AT + 27 * DAY, "ad"))
    ask = {"at": AT, "gap": "7d", "horizon": "20d", "target": "purchase"}
    with pytest.warns(AttribWarning, match="no outcome is called 'purchase'"):
        assert attrib.snapshot(seen, outcomes(), **ask)["label"].to_list() == [0]
    earlier = seen.with_columns(pl.col("timestamp") - TICK)
    assert attrib.snapshot(earlier, outcomes(), **ask).is_empty()


def test_events_after_the_end_do_not_exist():
    table = attrib.snapshot(SEEN, outcomes((1, END + DAY, "purchase")), target="purchase", purpose="survival", **ASK)
    assert table.select("duration", "event").row(0) == (60.0, 0)


def test_a_future_end_is_told():
    with pytest.warns(AttribWarning, match="lies in the future"):
        attrib.snapshot(touches((1, AT, "ad"), (2, datetime(2400, 1, 1), "ad")), at=AT)  # noqa: DTZ001


def test_journeys_of_several_channels():
    seen = [(who, AT - n * DAY, name) for who, n, name in [
        (1, 9, "ad"), (1, 8, "ad"), (2, 9, "ad"), (2, 5, "mail"), (3, 9, "ad"), (3, 8, "mail"), (4, 999, "ad"),
    ]]  # fmt: skip
    table = attrib.snapshot(touches(*seen), outcomes((2, AT - 7 * DAY, "purchase")), **ASK)
    assert table.select("channel_mix", "channels", "switches").rows() == [
        ("single", 1, 0), ("multi", 2, 1), ("cross", 2, 1), ("none", 0, 0),
    ]  # fmt: skip
    assert table["channel_entropy"].round(4).to_list() == [0.0, 0.6931, 0.6931, None]


def test_channels_are_chosen_before_the_earliest_date_or_by_the_caller():
    seen = touches((1, AT - DAY, "ad"), *[(1, AT + DAY, "late")] * 5, (1, AT - 2 * DAY, "(other)"))
    ask = {"at": [AT, AT + 2 * DAY], "duplicates": "keep"}
    table = attrib.snapshot(seen, max_channels=1, **ask)
    assert table.select("touches:(other)", "touches:((other))").rows() == [(1, 1), (1, 6)]
    table = attrib.snapshot(seen, channels=["late", "never"], **ask)
    assert table.select("touches:late", "touches:never", "touches:(other)").rows() == [(0, 0, 2), (5, 0, 2)]
    assert [c for c in table.columns if c.startswith("share:")] == ["share:late", "share:never", "share:(other)"]


def test_referrals_made_and_received():
    rows = outcomes((2, AT - DAY, "purchase"), (2, AT - 2 * DAY, "purchase"), (3, AT, "purchase"), (1, AT - DAY, "x"))
    rows = rows.with_columns(referrer_id=pl.Series([9, 1, 1, 1]))
    table = attrib.snapshot(SEEN, rows, **ASK)
    # 2 was brought by the first to be named; 3 at the date, not before it; nobody brings themselves
    assert table.select("customer_id", "referrals_made", "referrals_received").rows() == [(1, 1, 0), (2, 0, 1)]


def test_satisfaction_and_own_columns():
    seen = touches(
        *[(1, AT - n * DAY, "ad") for n in (4, 3, 2, 1)],
        satisfaction=["-0.5", None, "0.5", "?"], plan=[None, "s", "m", None],
    )  # fmt: skip
    with pytest.warns(AttribWarning, match="1 values of satisfaction cannot be read"):
        table = attrib.snapshot(seen, features=["plan"], **ASK)
    assert table.select("satisfaction", "satisfaction_mean", "satisfaction_trend", "last:plan").row(0) == (
        0.5, 0.0, 0.5, "m",
    )  # fmt: skip


def test_duplicates_are_dropped_unless_dated():
    twice = touches((1, AT - DAY, "ad"), (1, AT - DAY, "ad"))
    assert attrib.snapshot(twice, **ASK)["touches"].to_list() == [1]
    assert attrib.snapshot(twice, duplicates="keep", **ASK)["touches"].to_list() == [2]
    with pytest.warns(AttribWarning, match="1 touchpoints equal others on the same date: kept"):
        table = attrib.snapshot(twice.with_columns(pl.col("timestamp").cast(pl.Date)), **ASK)
    assert table["touches"].to_list() == [2]
    named = outcomes((1, AT - DAY, "purchase"), (1, AT - 2 * DAY, "purchase")).with_columns(event_id=pl.lit("e"))
    assert attrib.snapshot(SEEN, named, **ASK)["recency_purchase"].to_list() == [2.0]


def test_rejected_rows_are_told_or_refused():
    seen = touches((1, AT - DAY, "ad"), (None, AT - DAY, "ad"), (1, AT - 2 * DAY, " "), (1, None, "ad"))
    with pytest.raises(RejectedError, match=r"3 of 4 rows of touchpoints are rejected"):
        attrib.snapshot(seen, **ASK)
    with pytest.warns(AttribWarning, match=r"3 of 4 rows of touchpoints are rejected: channel_empty 1, customer_miss"):
        assert attrib.snapshot(seen, max_rejects=1.0, **ASK)["events"].to_list() == [1]


def test_empty_tables():
    with pytest.raises(DataError, match="touchpoints and outcomes have 0 rows"):
        attrib.snapshot(touches(), outcomes(), **ASK)
    bought = outcomes((1, AT - DAY, "purchase"))
    for nobody in (None, touches()):
        assert attrib.snapshot(nobody, bought, **ASK).select("frequency", "touches").row(0) == (1, 0)
    early = attrib.snapshot(SEEN, bought, at=AT - 99 * DAY, target="purchase", end=END, stages="three")
    assert early.is_empty()
    assert early.schema["label"] == pl.Int8
    with pytest.raises(SpecError, match="neither"):
        attrib.snapshot(None, at=AT)


def test_files_inline_outcomes_and_ids_of_two_types(tmp_path):
    seen = touches((1, AT - DAY, "ad"), (1, AT - 2 * DAY, "mail"), conversion=[1, 0], money=[5.0, 0.0])
    seen.write_csv(tmp_path / "events.csv")
    inline = attrib.InlineOutcome(value="money")
    for data in (seen, tmp_path / "events.csv", seen.to_pandas(), seen.lazy()):
        table = attrib.snapshot(data, inline, **ASK)
        assert table.select("touches", "frequency", "value").row(0) == (2, 1, 5.0)
    assert table.schema["customer_id"] == pl.Int64
    bought = outcomes((1, AT - DAY, "purchase")).with_columns(pl.col("customer_id").cast(pl.String))
    assert attrib.snapshot(seen, bought, **ASK).select("customer_id", "frequency").rows() == [("1", 1)]


def test_zones():
    zoned = SEEN.with_columns(pl.col("timestamp").dt.replace_time_zone("America/New_York"))
    table = attrib.snapshot(zoned, at=date(2024, 6, 1))
    assert table.select("date", "recency").row(0) == (datetime(2024, 6, 1, 4, tzinfo=UTC), 1.0)
    assert table.schema["date"] == pl.Datetime("us", "America/New_York")
    assert attrib.snapshot(zoned, at="2024-06-01T04:00:00+00:00")["recency"].to_list() == [1.0]
    with pytest.raises(SpecError, match="at carries a time zone"):
        attrib.snapshot(SEEN, at="2024-06-01T04:00:00+00:00")


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        ({"at": []}, "at names no date"),
        ({"at": "soon"}, "is not a date"),
        ({"at": [AT, AT]}, "at names a date twice"),
        ({"churn": "silent", "population": "all"}, "is not one of customers, everyone"),
        ({"churn": "silent", "purpose": "survival"}, "silence has no moment"),
        ({"purpose": "survival"}, "neither|no target and no churn"),
        ({"purpose": "guess"}, "is not one of train, survival, score"),
        ({"gap": None}, "gap and horizon need a limit"),
        ({"horizon": "0d"}, "must be longer than 0"),
        ({"stages": attrib.StageColumn("stage", order=["a"])}, "stages with milestones"),
        ({"features": ["plan", "plan"]}, "distinct"),
        ({"max_channels": -1}, "max_channels"),
        ({"target": 3}, "not the name of an outcome"),
    ],
)
def test_what_is_refused(ask, words):
    with pytest.raises(SpecError, match=words):
        attrib.snapshot(SEEN, **ASK | ask)


def test_every_column_stands_in_the_page(root):
    page = (root / "docs" / "snapshots.md").read_text("utf-8")
    seen = touches((1, AT - DAY, "ad"), satisfaction=[0.5], plan=["s"])
    bought = outcomes((1, AT - DAY, "purchase")).with_columns(referrer_id=pl.lit(2, pl.Int64))
    table = attrib.snapshot(seen, bought, stages="three", features="plan", target="purchase", **ASK)
    listed = dict(re.findall(r"^\| `([^`]+)` \|([^|]*)\| [^|]+ \|$", page, re.MULTILINE))
    assert [name for name, unit in listed.items() if not unit.strip()] == ["customer_id"]
    kinds = {c.split(":")[0] + ":<…>" if ":" in c else c for c in table.columns}
    assert set(listed) == kinds | {"duration", "event"}


def test_a_snapshot_is_the_same_to_the_bit_in_any_order_of_rows():
    events = attrib.synth.generate(3_000, seed=3)
    ask = {"at": "2025-08-01", "purpose": "score"}
    first = attrib.snapshot(events.touchpoints, events.outcomes, **ask)
    for seed in range(5):
        shuffled = (
            frame.sample(fraction=1.0, shuffle=True, seed=seed) for frame in (events.touchpoints, events.outcomes)
        )
        again = attrib.snapshot(*shuffled, **ask)
        assert [name for name in first.columns if not again[name].equals(first[name])] == []


def test_a_misspelt_outcome_is_an_error_and_a_missing_one_a_warning():
    bought = outcomes((1, AT - DAY, "purchase"), (1, AT + 10 * DAY, "cancel"))
    with pytest.raises(SpecError, match=r"churn: no outcome is called 'cancle'; did you mean cancel\?") as caught:
        attrib.snapshot(SEEN, bought, churn="cancle", **ASK)
    assert caught.value.hint == "outcomes that occur: cancel, purchase"
    with pytest.raises(SpecError, match="target: no outcome is called 'purchases'; did you mean purchase"):
        attrib.snapshot(SEEN, bought, target="purchases", purpose="survival", **ASK)
    with pytest.raises(SpecError, match="target: no outcome is called 'purchas'"):
        attrib.snapshot(SEEN, bought, churn="silent", target="purchas", **ASK)
    with pytest.warns(AttribWarning, match="target: no outcome is called 'renewed'; found: cancel, purchase"):
        assert attrib.snapshot(SEEN, bought, target="renewed", **ASK)["label"].to_list() == [0]
    # a small batch that is scored may lack an outcome by rights
    few = outcomes((1, AT - DAY, "cancellation_fee"))
    with pytest.warns(AttribWarning, match="churn: no outcome is called 'cancel'"):
        attrib.snapshot(SEEN, few, churn="cancel", purpose="score", purchases="cancellation_fee", **ASK)
    # the end does not make an outcome unknown
    assert (
        attrib.snapshot(SEEN, bought, churn="cancel", **ASK | {"horizon": "2d", "end": AT + 9 * DAY})["label"][0] == 0
    )
