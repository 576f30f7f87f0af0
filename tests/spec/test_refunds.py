"""Outcome rows of negative value are refunds (semantics, sections 1, 2 and 12)."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest

import attrib
from attrib import lifecycle
from stories import credited, form, ledger, rows, seen, tell

LAST = attrib.LastTouch()


def numbers(journeys: attrib.Journeys) -> tuple[dict, dict]:
    """Conversions and value by channel, by last touch."""
    table = attrib.credit(journeys, LAST, intervals=None)
    return credited(table), credited(table, "value")


def ordered(story: str, ids: dict[str, list[int | str | None]], **recipe: object) -> attrib.Journeys:
    """Journeys of a story whose outcomes have order ids, in the order of the customer's outcomes."""
    touched, reached = rows(story)
    left = {customer: list(own) for customer, own in ids.items()}
    return form(touched, [row | {"order_id": left[row["customer_id"]].pop(0)} for row in reached], **recipe)


def test_an_order_refunded_in_full_is_no_conversion_and_the_refund_is_none_either():
    journeys = tell("ann 1google 9mail | 3purchase=100 10purchase=-100\nbob 1google | 2purchase=5")
    conversions, value = numbers(journeys)
    assert conversions == {None: 0.0, "google": 1.0, "mail": 0.0}
    assert value == {None: 0.0, "google": 5.0, "mail": 0.0}
    assert seen(journeys) == ["ann: google > mail -> null", "bob: google -> converting"]
    assert ledger(journeys, "outcomes") == {"in": 3, "credited": 1, "refunded": 1, "netted_refund": 1}
    assert ledger(journeys, "outcomes", "value") == {
        "in": 5.0,
        "credited": 5.0,
        "refunded": 100.0,
        "netted_refund": -100.0,
    }
    (told,) = journeys.warnings
    for part in (
        "1 refund (",
        "against 1 order, 100 in all",
        "1 order refunded in full",
        "order_id",
        '"keep"',
        "count_refunded",
    ):
        assert part in told


def test_it_stays_with_value_0_where_that_is_asked_for():
    journeys = tell("ann 1google 9mail | 3purchase=100 10purchase=-100", count_refunded=True)
    assert numbers(journeys) == ({None: 0.0, "google": 1.0, "mail": 0.0}, {None: 0.0, "google": 0.0, "mail": 0.0})
    assert ledger(journeys, "outcomes") == {"in": 2, "credited": 1, "netted_refund": 1}
    assert ledger(journeys, "outcomes", "value") == {"refunded": 100.0, "netted_refund": -100.0}
    assert "kept as conversions of value 0" in journeys.warnings[0]


def test_kept_negative_rows_are_conversions_like_others():
    journeys = tell("ann 1google 9mail | 3purchase=100 10purchase=-100", refunds="keep")
    assert numbers(journeys)[0] == {None: 0.0, "google": 1.0, "mail": 1.0}
    assert "1 outcomes have a negative value (taken as refunds)" in journeys.warnings[0]
    assert "unmatched_refund" not in journeys.reconcile()["entry"].to_list()


def test_a_refund_lowers_the_latest_earlier_order_and_goes_on_to_the_one_before():
    partly = tell("ann 1a 3b | 2purchase=50 4purchase=100 6purchase=-30 7purchase=-20")
    assert numbers(partly)[1] == {None: 0.0, "a": 50.0, "b": 50.0}
    beyond = tell("ann 1a 3b | 2purchase=50 4purchase=100 6purchase=-120")
    assert numbers(beyond) == ({None: 0.0, "a": 1.0, "b": 0.0}, {None: 0.0, "a": 30.0, "b": 0.0})
    too_much = tell("ann 1a | 2purchase=50 6purchase=-80 7purchase=-1")
    assert ledger(too_much, "outcomes") == {"in": 3, "refunded": 1, "netted_refund": 1, "unmatched_refund": 1}
    assert ledger(too_much, "outcomes", "value") == {
        "in": -31.0, "refunded": 50.0, "netted_refund": -50.0, "unmatched_refund": -31.0,
    }  # fmt: skip
    assert "2 refunds that exceed what was left of their orders, for -31" in too_much.warnings[0]


@pytest.mark.parametrize(
    "story",
    [
        "ann 1a | 2purchase=-5 3purchase=10",  # before any purchase
        "ann 1a | 2purchase=10 3visit=-5",  # of another outcome
        "ann 1a | 2purchase=10\nbob 1a | 3purchase=-5",  # of another customer
        "ann 1a | 2purchase=10\nbob | 3purchase=-5",  # of one with nothing else
        "ann 1a 2a | 1purchase=0 2purchase=10 1purchase=-5",  # of what cost nothing
    ],
)
def test_a_refund_that_belongs_to_nothing_lowers_nothing(story):
    journeys = tell(story)
    assert numbers(journeys)[1]["a"] == 10.0
    assert ledger(journeys, "outcomes")["unmatched_refund"] == 1
    assert ledger(journeys, "outcomes", "value")["unmatched_refund"] == -5.0


def test_rows_of_one_instant_are_earlier():
    assert numbers(tell("ann 1a | 2purchase=10 2purchase=-4"))[1]["a"] == 6.0
    assert numbers(tell("ann 1a | 2purchase=-10 2purchase=10 2purchase=3"))[0]["a"] == 1.0


def test_an_order_id_says_which_order():
    story = "ann 1a 3b | 2purchase=50 4purchase=100 6purchase=-30"
    assert numbers(ordered(story, {"ann": [1, 2, 1]}))[1] == {None: 0.0, "a": 20.0, "b": 100.0}
    assert numbers(ordered(story, {"ann": [1, 2, None]}))[1] == {None: 0.0, "a": 50.0, "b": 70.0}
    unknown = ordered(story, {"ann": [1, 2, 3]})
    assert numbers(unknown)[1] == {None: 0.0, "a": 50.0, "b": 100.0}
    assert "1 refund (outcomes of negative value) with no order of that order_id, for -30" in unknown.warnings[0]
    # two lines of one order, the later one first; what exceeds the order lowers no other
    lines = "ann 1a 3b 5c | 2purchase=50 4purchase=100 6purchase=40 7purchase=-120"
    found = ordered(lines, {"ann": [1, 2, 1, 1]})
    assert numbers(found)[1] == {None: 0.0, "a": 0.0, "b": 100.0, "c": 0.0}
    assert ledger(found, "outcomes", "value")["unmatched_refund"] == -30.0


def test_why_a_refund_belongs_to_nothing_is_said():
    story = "ann 1a 3b | 2purchase=50 4purchase=100 6purchase=-70"
    beyond = ordered(story, {"ann": [1, 2, 1]}).warnings[0]
    assert "1 refund that exceeds what was left of its order, for -20" in beyond
    assert "a column order_id" not in beyond
    both = ordered(story + " 7purchase=-5 1purchase=-4", {"ann": [1, 2, 1, 3, None]}).warnings[0]
    assert "3 refunds (1 that exceeds what was left of its order, 1 with no order of that order_id, 1 with no" in both


def test_negative_rows_of_an_outcome_without_orders_get_a_hint_that_helps():
    told = " ".join(tell("ann 1a | 2purchase=10 3adjustment=-5 4bonus=1 5bonus=-1").warnings)
    assert "outcomes are called 'adjustment' beside 'purchase'" in told
    only = " ".join(tell("ann 1a | 2purchase=10 3adjustment=-5").warnings)
    assert "a column order_id" not in only
    assert "with a negative value" in only


@pytest.mark.parametrize("ids", [(9, 10), (10, 9), ("x", "y"), ("y", "x"), ("9", "10"), ("10", "x"), (9.0, 10.0)])
def test_equal_rows_stand_in_one_order_whatever_the_file(ids, tmp_path):
    one, other = ids
    named = [None, one, other, one, one]
    days, values = [1, 1, 1, 2, 3], [-10.0, 10.0, 10.0, -3.0, 1.0]
    reached = pl.DataFrame(
        {
            "customer_id": 57,
            "timestamp": [datetime(2024, 1, day) for day in days],  # noqa: DTZ001
            "outcome": "purchase",
            "value": values,
            "order_id": named,
        }
    )
    # the row whose order id comes last is lowered first: numbers by number, then texts by bytes
    places = [(0, float(i)) if str(i).replace(".0", "").isdigit() else (1, str(i)) for i in ids]
    first_is_lowered = places[0] > places[1]
    left = [10.0] if first_is_lowered else [7.0, 1.0]
    touched = pl.DataFrame({"customer_id": [57], "timestamp": [datetime(2024, 1, 1)], "channel": ["ad"]})  # noqa: DTZ001
    for kind in ("frame", "parquet", "csv", "pandas"):
        tables = touched, reached
        if kind == "pandas":
            tables = tuple(table.to_pandas() for table in tables)
        elif kind != "frame":
            tables = tuple(tmp_path / f"{name}.{kind}" for name in ("touched", "reached"))
            for table, path in zip((touched, reached), tables, strict=True):
                write = pl.DataFrame.write_csv if kind == "csv" else pl.DataFrame.write_parquet
                write(table, path)
        journeys = attrib.Journeys.from_events(*tables)
        assert journeys.to_frame()["value"].sort(descending=True).to_list() == left, kind
        summary = lifecycle.purchase_summary(tables[1], "2024-02-01", "d")
        assert summary["frequency"].to_list() == [len(left) - 1], kind
        snapshot = attrib.snapshot(*tables, at="2024-02-01", window="90d", purpose="score")
        assert snapshot.select("frequency", "value").row(0) == (len(left), sum(left)), kind


def test_a_refund_is_never_the_duplicate_of_its_order():
    touched, reached = rows("ann 1a 3b | 2purchase=5 4purchase=7 6purchase=-5 6purchase=-5")
    events = [row | {"event_id": name} for row, name in zip(reached, ("o1", "o2", "o1", "o1"), strict=True)]
    found = form(touched, events)
    assert numbers(found)[1] == {None: 0.0, "a": 5.0, "b": 2.0}  # of the latest order: no order_id says another
    assert ledger(found, "outcomes")["duplicate"] == 1
    told = form(touched, [row | {"transaction_id": f"o{at}"} for at, row in enumerate(reached)]).warnings
    assert any('columns={"order_id": "transaction_id"}' in text for text in told)


def test_a_refund_may_be_dated_before_its_order():
    story = "ann 1a 4b | 2purchase=-30 3purchase=70 5purchase=100"
    assert numbers(ordered(story, {"ann": [2, 1, 2]}))[1] == {None: 0.0, "a": 70.0, "b": 70.0}


def test_what_rounding_leaves_is_nothing():
    thrice = tell("ann 1a | 2purchase=0.3 3purchase=-0.1 4purchase=-0.1 5purchase=-0.1")
    assert numbers(thrice)[0]["a"] == 0.0
    assert "unmatched_refund" not in ledger(thrice, "outcomes")
    assert numbers(tell("ann 1a | 2purchase=100 3purchase=-99.9"))[0]["a"] == 1.0


def test_touches_of_a_refunded_order_go_on_to_what_follows():
    assert seen(tell("ann 1a 4b | 2purchase=9 5purchase=8 3purchase=-9")) == ["ann: a > b -> converting"]


def test_a_refunded_order_completes_no_stage_and_is_no_nth():
    story = "ann 1a 3b 5c | 2purchase=9 4purchase=8 3purchase=-9"
    stages = attrib.StageModel([("first", "purchase"), ("second", attrib.Milestone("purchase", 2)), ("third", None)])
    funnel = tell(story, stages=stages, target=None).funnel()
    assert funnel.select("entered", "advanced").rows() == [(1, 1), (1, 0), (0, 0)]
    kept = tell(story, stages=stages, target=None, count_refunded=True).funnel()
    assert kept.select("entered", "advanced").rows() == [(1, 1), (1, 1), (1, 0)]


def test_a_repeated_refund_counts_once_by_its_event_id():
    touched, reached = rows("ann 1a | 2purchase=10 3purchase=-4 3purchase=-4")
    events = [row | {"event_id": name} for row, name in zip(reached, ("o", "r", "r"), strict=True)]
    assert numbers(form(touched, events))[1]["a"] == 6.0
    assert ledger(form(touched, events), "outcomes")["duplicate"] == 1


def test_flagged_touches_have_refunds_too():
    table = pl.DataFrame(
        {
            "customer_id": [1, 1, 1, 2],
            "timestamp": [datetime(2025, 1, day) for day in (1, 2, 3, 1)],  # noqa: DTZ001
            "channel": ["ad", "ad", "shop", "ad"],
            "conversion": [0, 1, 1, 1],
            "paid": [None, 20.0, -20.0, 5.0],
            "Bestellung": [None, "A", "A", "B"],
        }
    )
    inline = attrib.InlineOutcome(flag="conversion", value="paid")
    journeys = attrib.Journeys.from_events(table, inline, columns={"order_id": "Bestellung"})
    assert numbers(journeys) == ({None: 0.0, "ad": 1.0, "shop": 0.0}, {None: 0.0, "ad": 5.0, "shop": 0.0})


@pytest.mark.parametrize("ids", [["A7", "B8", " ", "A7"], [1.0, 2.0, None, 1.0]])
def test_order_ids_of_any_type_blank_ones_name_none(ids):
    touched, reached = rows("ann 1a 3b | 2purchase=50 4purchase=100 6purchase=-30 7purchase=-20")
    frames = [pl.DataFrame(part).with_columns(pl.from_epoch("timestamp")) for part in (touched, reached)]
    frames[1] = frames[1].with_columns(pl.Series("order_id", ids))
    assert numbers(attrib.Journeys.from_events(*frames))[1] == {None: 0.0, "a": 30.0, "b": 70.0}


def test_without_values_nothing_is_a_refund():
    touched, reached = rows("ann 1a | 2purchase")
    bare = [{name: row[name] for name in row if name != "value"} for row in reached]
    assert numbers(form(touched, bare))[1]["a"] == 1.0


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("refund", True), ("Returned", True), ("purchase_refunded", True), ("chargeback", True), ("Storno", True),
        ("order-cancelled", True), ("remboursement", True), ("return", True), ("orderReturn", True),
        ("returning_visit", False), ("visit", False), ("cancel", True), ("return policy", False),
    ],
)  # fmt: skip
def test_outcomes_called_like_refunds_are_warned_of(name, told):
    reached = [{"customer_id": "ann", "timestamp": 2, "outcome": "purchase", "value": 9.0}]
    reached.append({"customer_id": "ann", "timestamp": 3, "outcome": name, "value": 9.0})
    journeys = form(rows("ann 1a |")[0], reached)
    assert any("take nothing off it" in text and "negative value" in text for text in journeys.warnings) == told
    # money makes a cancellation one of orders: a contract that ends has none
    if name == "cancel":
        reached[1]["value"] = 0.0
        assert not form(rows("ann 1a |")[0], reached).warnings


@pytest.mark.parametrize(
    "wrong", [{"refunds": "drop"}, {"refunds": None}, {"count_refunded": "yes"}, {"count_refunded": 1}]
)
def test_other_choices_are_refused(wrong):
    with pytest.raises(attrib.SpecError, match=next(iter(wrong))):
        tell("ann 1a | 2purchase", **wrong)


# --- purchase histories and snapshots ---


def bought(*rows: tuple) -> pl.DataFrame:
    columns = ["customer_id", "timestamp", "value", "order_id"][: len(rows[0])]
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(outcome=pl.lit("purchase"))


HISTORY = bought(
    (1, "2024-01-01", 100.0), (1, "2024-02-01", 100.0), (1, "2024-02-10", -50.0),
    (2, "2024-01-01", 100.0), (2, "2024-02-01T10:00", 50.0), (2, "2024-02-01T18:00", -50.0),
    (3, "2024-02-01", 10.0), (3, "2024-02-20", -10.0), (4, "2024-02-01", -10.0),
)  # fmt: skip


def test_a_purchase_is_a_day_on_which_something_is_left():
    with pytest.warns(attrib.AttribWarning, match="3 refunds .* netted against 3 orders, 110 in all"):
        summary = lifecycle.purchase_summary(HISTORY, at="2024-04-08", unit="d")
    assert summary.rows() == [(1, 1, 31.0, 98.0, 50.0), (2, 0, 0.0, 98.0, None)]
    before = lifecycle.purchase_summary(HISTORY, at="2024-02-05", unit="d")  # knows no later refund
    assert before.rows() == [(1, 1, 31.0, 35.0, 100.0), (2, 0, 0.0, 35.0, None), (3, 0, 0.0, 4.0, None)]
    kept = lifecycle.purchase_summary(HISTORY, at="2024-04-08", unit="d", count_refunded=True)
    assert kept["frequency"].to_list() == [1, 1, 0]
    with pytest.warns(attrib.AttribWarning, match="taken as refunds"):
        raw = lifecycle.purchase_summary(HISTORY, at="2024-04-08", unit="d", refunds="keep")
    assert raw["frequency"].to_list() == [2, 1, 1, 0]
    with pytest.raises(attrib.DataError, match="no purchase is left: all were refunded in full"):
        lifecycle.purchase_summary(HISTORY.filter(customer_id=3), at="2024-04-08")


def test_a_purchase_history_knows_order_ids():
    rows = bought((1, "2024-01-01", 30.0, "A"), (1, "2024-02-01", 50.0, "B"), (1, "2024-02-10", -30.0, "A"))
    assert lifecycle.purchase_summary(rows, at="2024-04-08", unit="d").rows() == [(1, 0, 0.0, 67.0, None)]
    assert (
        lifecycle.silence(bought(*HISTORY.select("customer_id", "timestamp", "value").rows()), at="2024-04-08").height
        == 2
    )


def test_a_snapshot_knows_the_refunds_before_its_date_and_its_label_those_of_its_window():
    frame = HISTORY.with_columns(pl.col("timestamp").str.slice(0, 10).str.to_date())
    ask = {"at": ["2024-02-05", "2024-03-01"], "window": "90d", "gap": "0d", "horizon": "20d", "target": "purchase"}
    with pytest.warns(attrib.AttribWarning, match="netted against"):
        found = attrib.snapshot(None, frame, **ask, end="2024-04-01")
    columns = ("customer_id", "frequency", "value", "recency_purchase", "label")
    assert found.select("date", *columns).with_columns(pl.col("date").dt.day()).rows() == [
        (5, 1, 2, 200.0, 4.0, 0), (5, 2, 1, 100.0, 35.0, 0), (5, 3, 1, 10.0, 4.0, 0),
        (1, 1, 2, 150.0, 29.0, 0), (1, 2, 1, 100.0, 60.0, 0),
    ]  # fmt: skip
    # bought and returned within the window: no purchase; returned after it: one
    early = bought((1, "2024-01-01", 5.0), (1, "2024-02-10", 9.0), (1, "2024-02-20", -9.0))
    for at, horizon, label in (("2024-02-05", "10d", 1), ("2024-02-05", "20d", 0)):
        row = attrib.snapshot(None, early, at=at, gap="0d", horizon=horizon, target="purchase", end="2024-04-01")
        assert row["label"].to_list() == [label]


def test_a_friend_who_returned_everything_was_not_brought():
    frame = pl.DataFrame(
        {
            "customer_id": [1, 8, 9, 9],
            "timestamp": [datetime(2024, *day) for day in ((1, 1), (3, 9), (3, 10), (3, 20))],  # noqa: DTZ001
            "outcome": ["purchase"] * 4,
            "value": [5.0, 20.0, 30.0, -30.0],
            "referrer_id": [None, 1, 1, 1],
        }
    )
    row = pl.DataFrame({"customer_id": [1], "date": [datetime(2024, 3, 1)]})  # noqa: DTZ001
    for horizon, wanted in (("8d", (2, 50.0)), ("30d", (1, 20.0))):
        found = lifecycle.referral_targets(row, None, frame, gap="1d", horizon=horizon, end="2024-05-01")
        assert found.select("count", "value").row(0) == wanted


def test_a_decision_is_followed_by_what_was_kept():
    touches = pl.DataFrame({"customer_id": [1, 2], "timestamp": ["2024-01-01"] * 2, "channel": ["ad"] * 2})
    sold = bought((1, "2024-01-20", 9.0), (2, "2024-01-20", 9.0), (2, "2024-01-22", -9.0))
    ask = {"at": "2024-01-10", "target": "purchase", "gap": "2d", "end": "2024-02-01"}
    assert attrib.decisions(touches, sold, **ask, horizon="15d")["advanced"].to_list() == [1, 0]
    assert attrib.decisions(touches, sold, **ask, horizon="9d")["advanced"].to_list() == [1, 1]
    assert attrib.decisions(touches, sold, **ask, horizon="15d", refunds="keep")["advanced"].to_list() == [1, 1]
