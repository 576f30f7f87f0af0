"""Flags: one rule for what is an outcome among touches, whatever the table comes from (semantics §1)."""

import itertools
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pytest

import attrib
from attrib.io.flags import MOST
from attrib.spec import read_job
from parity.test_parts import Parted

YES = (True, "true", "TRUE", "yes", "y", "T", " Yes ", "1", "1.0", 1, 1.0)
NO = (False, "false", "no", "N", "f", "0", "0.0", "", "  ", None, 0, 0.0, float("nan"))
NEITHER = ("maybe", "2", "0.5", "-1", "won", 2, 0.5, -1, 1_000_000, float("inf"))


def at(day, hour=1):
    return datetime(2024, 1, day, hour)  # noqa: DTZ001 - naive, as most logs are


def events(flags, **more):
    """A touch a customer, each a day after the other, with its flag."""
    n = len(flags)
    rows = {"customer_id": range(n), "timestamp": [at(i + 1) for i in range(n)], "channel": ["ad"] * n}
    return pl.DataFrame(rows | more, strict=False).with_columns(pl.Series("won", list(flags), strict=False))


def sources(frame, folder):
    """The same rows in every form they come in."""
    frame.write_parquet(folder / "t.parquet")
    frame.write_csv(folder / "t.csv")
    pandas = frame.to_pandas()
    return {"frame": frame, "parquet": folder / "t.parquet", "csv": folder / "t.csv", "pandas": pandas,
            "objects": pandas.astype({"won": object})}  # fmt: skip


def counts(table, **flag):
    journeys = attrib.Journeys.from_events(table, attrib.InlineOutcome(flag="won", **flag), max_rejects=1.0)
    rows = {(r["table"], r["entry"]): r["rows"] for r in journeys.reconcile().to_dicts()}
    return {entry: rows["outcomes", entry] for entry in ("in", "credited", "rejected")} | {
        "rejected_touches": rows["touchpoints", "rejected"]
    }


@pytest.mark.parametrize(
    "said", [[1, 0, 1], [1.0, 0.0, None], [True, False, None], ["yes", "No", ""], ["1.0", "0", "t"]]
)
def test_yes_and_no_are_read_alike_in_every_form(said, tmp_path):
    won = sum(str(value).strip().lower() in ("1", "1.0", "true", "yes", "t") for value in said)
    for form, table in sources(events(said), tmp_path).items():
        assert counts(table) == {"in": won, "credited": won, "rejected": 0, "rejected_touches": 0}, form


@pytest.mark.filterwarnings("ignore:.*neither yes nor no")
@pytest.mark.parametrize("odd", [2, 0.5, -1, 1_000_000, "maybe", "2", "0.5"])
def test_what_is_neither_is_rejected_alike_in_every_form_and_counted_as_lost(odd, tmp_path):
    plain = ["1", "0", "1"] if isinstance(odd, str) else [1, 0, 1]
    for form, table in sources(events([odd, *plain]), tmp_path).items():
        assert counts(table) == {"in": 3, "credited": 2, "rejected": 1, "rejected_touches": 1}, form


@pytest.mark.parametrize("value", YES)
def test_each_way_to_say_yes(value):
    assert counts(events([value]))["credited"] == 1


@pytest.mark.parametrize("value", NO)
def test_each_way_to_say_no(value):
    frame = pd.DataFrame(events([1, 0]).drop("won").to_pandas()).assign(won=pd.Series(["yes", value], dtype=object))
    assert counts(frame) == {"in": 1, "credited": 1, "rejected": 0, "rejected_touches": 0}


@pytest.mark.filterwarnings("ignore:.*neither yes nor no")
@pytest.mark.parametrize("value", NEITHER)
def test_each_way_to_say_neither(value):
    frame = pd.DataFrame(events([1, 0]).drop("won").to_pandas()).assign(won=pd.Series(["yes", value], dtype=object))
    assert counts(frame) == {"in": 2, "credited": 1, "rejected": 1, "rejected_touches": 1}


def test_a_column_of_several_kinds_of_objects_is_read_by_the_same_rule():
    frame = events([0] * 5).to_pandas().assign(won=pd.Series([True, 1.0, None, "no", 0], dtype=object))
    assert counts(frame) == {"in": 2, "credited": 2, "rejected": 0, "rejected_touches": 0}


def test_a_flag_of_a_type_that_says_nothing_is_refused():
    with pytest.raises(attrib.DataError, match="column 'won' is Date, not a flag") as caught:
        counts(events([0]).with_columns(won=pl.date(2024, 1, 1)))
    assert caught.value.key == "wrong_type"


def test_many_unreadable_flags_stop_the_run_and_say_what_counts_need():
    with pytest.raises(attrib.RejectedError, match=r'e.g. row 0 has flag .3.; flags are .* flag_kind = "count"'):
        attrib.Journeys.from_events(events([3, 1, 0]), attrib.InlineOutcome(flag="won")).reconcile()


def test_unreadable_flags_that_are_few_touches_and_many_outcomes_are_told():
    journeys = attrib.Journeys.from_events(events(["?", "yes", *["no"] * 29]), attrib.InlineOutcome(flag="won"))
    with pytest.warns(attrib.AttribWarning, match="up to 1 of 2 outcomes are lost"):
        journeys.reconcile()


# --- counts ---


@pytest.mark.parametrize("said", [[3, 0, None, 1], [3.0, 0.0, None, 1.0], ["3", "no", "", "1.0"]])
def test_counts_are_as_many_conversions_with_the_value_of_all_together(said, tmp_path):
    for form, table in sources(events(said, paid=[30.0, None, None, 5.0]), tmp_path).items():
        flag = attrib.InlineOutcome(flag="won", value="paid", flag_kind="count")
        journeys = attrib.Journeys.from_events(table, flag)
        credit = attrib.LastTouch().credit(journeys).filter(kind="player")
        assert credit.select("conversions", "value").row(0) == (4.0, 35.0), form
        rows = journeys.reconcile().filter(pl.col("rows") > 0).select("table", "entry", "rows", "value")
        assert rows.filter(table="outcomes").rows() == [
            ("outcomes", "in", 4, 35.0), ("outcomes", "credited", 4, 35.0),
        ]  # fmt: skip


def test_counts_without_a_value_are_worth_one_each():
    journeys = attrib.Journeys.from_events(events([3, 0]), attrib.InlineOutcome(flag="won", flag_kind="count"))
    assert attrib.LastTouch().credit(journeys)["value"].sum() == 3.0


def test_counts_equal_the_rows_that_they_stand_for():
    frame = events([2, 0, 3]).with_columns(customer_id=pl.Series([1, 1, 2]), worth=pl.Series([8.0, 0.0, 3.0]))
    said = attrib.InlineOutcome(flag="won", value="worth", flag_kind="count")
    rows = [(i, frame["timestamp"][k], "purchase", v) for i, k, v in [(1, 0, 4.0)] * 2 + [(2, 2, 1.0)] * 3]
    spelled = pl.DataFrame(rows, ["customer_id", "timestamp", "outcome", "value"], orient="row")
    one, other = (attrib.Journeys.from_events(frame, outcomes) for outcomes in (said, spelled))
    for method in (attrib.Markov(), attrib.Linear()):
        assert method.credit(one).equals(method.credit(other))


@pytest.mark.filterwarnings("ignore:.*neither yes nor no")
def test_what_is_no_count_is_rejected():
    counted = counts(events([0.5, -1, MOST + 1, 2]), flag_kind="count")
    assert counted == {"in": 5, "credited": 2, "rejected": 3, "rejected_touches": 3}


def test_every_conversion_of_a_row_has_an_event_id_of_its_own():
    twice = events([2, 2], event_id=["e", "e"]).with_columns(customer_id=pl.lit(1))
    journeys = attrib.Journeys.from_events(twice, attrib.InlineOutcome(flag="won", flag_kind="count"))
    with pytest.warns(attrib.AttribWarning, match="2 outcomes with a repeated event_id"):
        rows = {r["entry"]: r["rows"] for r in journeys.reconcile().filter(table="outcomes").to_dicts()}
    assert (rows["in"], rows["credited"], rows["duplicate"]) == (4, 2, 2)


def test_rows_that_differ_in_their_counts_are_no_duplicates():
    two = events([2, 3]).with_columns(customer_id=pl.lit(1), timestamp=at(1))
    journeys = attrib.Journeys.from_events(two, attrib.InlineOutcome(flag="won", flag_kind="count"))
    assert journeys.reconcile().filter(table="touchpoints", entry="used")["rows"].item() == 2


def test_the_kind_of_a_flag_is_a_key_of_a_job(tmp_path):
    events([3, 0]).write_csv(tmp_path / "t.csv")
    job = tmp_path / "job.toml"
    job.write_text(
        '[input]\ntouchpoints = "t.csv"\noutcome = { flag = "won", flag_kind = "count" }\n'
        '[[models]]\nmethod = "linear"\n'
    )
    assert read_job(job).input.outcome.flag_kind == "count"
    with pytest.raises(attrib.SpecError, match="flag_kind = 'counts' is not one of flag, count"):
        attrib.InlineOutcome(flag_kind="counts")


def test_a_snapshot_reads_flags_by_the_same_rule():
    said = attrib.InlineOutcome(flag="won", flag_kind="count")
    table = attrib.snapshot(events([2, 0]), said, at="2024-01-20", purpose="score", window="unlimited", stages=None)
    assert table.sort("customer_id")["frequency"].to_list() == [2, 0]
    assert table.height == 2


# --- values that nobody uses ---


def test_the_value_of_a_row_that_is_no_outcome_is_not_asked_for():
    frame = events(["yes", "no", ""], paid=["9", "n/a", None])
    journeys = attrib.Journeys.from_events(frame, attrib.InlineOutcome(flag="won", value="paid"))
    assert attrib.LastTouch().credit(journeys)["value"].sum() == 9.0


@pytest.mark.parametrize("missing", [None, float("nan"), float("inf")])
def test_a_missing_value_matters_where_the_outcome_is_used(missing):
    reached = events([0, 0]).select("customer_id", "timestamp", outcome=pl.Series(["visit", "purchase"]))
    reached = reached.with_columns(value=pl.Series([missing, 4.0]))
    touched = events([0, 0])
    journeys = attrib.Journeys.from_events(touched, reached)
    entries = {r["entry"]: (r["rows"], r["value"]) for r in journeys.reconcile().filter(table="outcomes").to_dicts()}
    assert (entries["rejected"][0], entries["other_outcome"]) == (0, (1, 0.0))
    with pytest.raises(attrib.RejectedError, match="value_"):
        attrib.Journeys.from_events(touched, reached, target="visit").reconcile()


# --- a fact on the customer, repeated on each row ---


def repeated(customers, rows, said):
    everyone = [i for i in range(customers) for _ in range(rows)]
    times = [at(k + 1, i % 10) for i in range(customers) for k in range(rows)]
    won = [said(i, k) for i in range(customers) for k in range(rows)]
    return pl.DataFrame({"customer_id": everyone, "timestamp": times, "channel": "ad", "won": won})


def test_a_flag_on_every_row_of_its_customers_is_told_with_the_remedy():
    frame = repeated(12, 3, lambda i, _k: i % 2 == 0)
    journeys = attrib.Journeys.from_events(frame, attrib.InlineOutcome(flag="won"))
    with pytest.warns(attrib.AttribWarning, match="every row of 6 of the 6 customers .* table of outcomes"):
        journeys.reconcile()


@pytest.mark.parametrize("said", [lambda _i, k: k == 2, lambda i, k: i < 2 or k == 0])
def test_a_flag_on_some_rows_is_not(said):
    attrib.Journeys.from_events(repeated(12, 3, said), attrib.InlineOutcome(flag="won")).reconcile()


def test_customers_of_one_touch_say_nothing_of_it():
    attrib.Journeys.from_events(repeated(12, 1, lambda _i, _k: True), attrib.InlineOutcome(flag="won")).reconcile()


# --- a fact on the session, repeated on its hits ---


def sessions(said, *, customers=20, hits=3, minutes=4):
    """Two sessions of so many hits, five days apart; ``said``: customer, session, hit -> flagged."""
    return pl.DataFrame(
        [
            (c, at(1 + 5 * s, c % 10) + timedelta(minutes=7 + minutes * h), "abc"[h % 3], said(c, s, h))
            for c in range(customers)
            for s in range(2)
            for h in range(hits)
        ],
        schema=["customer_id", "timestamp", "channel", "won"],
        orient="row",
    )


def told_of_sessions(frame, **recipe):
    journeys = attrib.Journeys.from_events(frame, attrib.InlineOutcome(flag="won"), **recipe)
    return [text for text in journeys.warnings if "something of the session" in text]


@pytest.mark.parametrize("engine", [None, attrib.LocalEngine(memory_limit=100_000), Parted(threads=1)])
def test_a_flag_on_every_hit_of_a_session_is_told_with_counts(engine):
    (text,) = told_of_sessions(sessions(lambda _c, s, _h: s == 1), engine=engine)
    assert text.startswith(
        "40 of 60 rows on which 'won' is true follow another such row of their customer within 30 min"
    )
    assert "for 20 of the 20 customers" in text


@pytest.mark.parametrize(
    ("said", "more", "told"),
    [
        (lambda _c, _s, h: h >= 1, {}, True),  # from the purchase on, to the page of thanks
        (lambda c, s, h: s == 1 and (h == 2 or (c % 5 == 0 and h == 1)), {}, False),  # one in five orders twice
        (lambda _c, s, h: s == 1 and h != 1, {}, False),  # another touch between
        (lambda _c, s, _h: s == 1, {"minutes": 31}, False),  # no session
        (lambda _c, s, _h: s == 1, {"hits": 1}, False),
        (lambda _c, s, _h: s == 1, {"customers": 2}, False),
    ],
)
def test_which_runs_are_told(said, more, told):
    assert bool(told_of_sessions(sessions(said, **more))) is told


def test_few_orders_in_quick_succession_among_many_are_not_told():
    """Where only converting touches are logged, who orders twice has no other touches to tell it by."""
    rows = [(c, at(1 + 3 * k, 3), "ad", True) for c in range(40) for k in range(3)]
    rows += [(c, at(1, 3) + timedelta(minutes=9), "ad", True) for c in range(4)]
    rows += [(c, at(20, 3) + timedelta(hours=c), "ad", False) for c in range(40)]
    frame = pl.DataFrame(rows, schema=["customer_id", "timestamp", "channel", "won"], orient="row")
    assert told_of_sessions(frame) == []


def test_counts_of_runs_are_those_of_a_loop_over_touches():
    from attrib.engines.grouping import _flagged

    random = np.random.default_rng(4)
    sizes = random.integers(0, 7, 60)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    times = np.concatenate([np.sort(random.integers(0, 12_000, n)) for n in sizes]).astype(np.int64)
    flags = random.random(len(times)) < 0.6
    expected = np.zeros(6, np.int64)
    for first, last in itertools.pairwise(offsets):
        rows = range(first, last)
        near = [(a, b) for a, b in itertools.pairwise(rows) if times[b] - times[a] <= 1800]
        both = [(a, b) for a, b in near if flags[a] and flags[b]]
        some = len(rows) > 1 and any(flags[r] for r in rows)
        every = some and all(flags[r] for r in rows)
        beside = any(flags[a] or flags[b] for a, b in near)
        expected += [some, every, beside, bool(both), len(both), sum(bool(flags[r]) for r in rows)]
    assert list(_flagged(flags.astype(np.uint64)[:, None], offsets, times, 0, 1)) == expected.tolist()


# --- a row that counts several conversions is one row of the table ---


@pytest.mark.parametrize("engine", [None, attrib.LocalEngine(memory_limit=100_000), Parted(threads=1)])
def test_findings_see_rows_not_the_conversions_that_they_count(engine):
    frame = sessions(lambda _c, s, h: 3 if s == 1 and h == 2 else 0)
    flag = attrib.InlineOutcome(flag="won", flag_kind="count")
    once = attrib.Journeys.from_events(frame, flag, engine=engine)
    assert once.warnings == ()
    again = attrib.Journeys.from_events(pl.concat([frame, frame[-1:]]), flag, duplicates="keep", engine=engine)
    assert [(f.key, f.count, f.of) for f in again.findings] == [("equal_outcomes", 1, 21)]
    other = frame[-1:].with_columns(won=pl.lit(2, pl.Int64))  # another row: of one instant, but of two
    more = attrib.Journeys.from_events(pl.concat([frame, other]), flag, duplicates="keep", engine=engine)
    assert [f.key for f in more.findings] == []
    assert more.reconcile().filter(table="outcomes", entry="in")["rows"].item() == 62
    midnights = frame.with_columns(pl.col("timestamp").dt.truncate("1d"))
    even = attrib.Journeys.from_events(midnights, flag, duplicates="keep", engine=engine)
    assert even.facts["times"]["outcomes_at_midnight"] == 20
