"""Facts of customers and days that add up, against slow twins; the list of findings; findings in jobs."""

# ruff: noqa: DTZ001 - tables without zones

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

import attrib
from attrib import job
from attrib.diagnostics import seen as seen_module
from attrib.diagnostics.cells import may_hold
from attrib.diagnostics.finding import KEYS
from attrib.diagnostics.names import near_groups, shown, skeletons
from attrib.diagnostics.seen import Days, Seen, SharedIds
from attrib.diagnostics.sides import empty_days, main_days, missed_days

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("ticks", [1_000, 1_000_000, 1_000_000_000])
def test_days_are_those_of_the_calendar(ticks):
    rng = np.random.default_rng(1)
    seconds = np.concatenate([rng.integers(-10_000_000, 2_000_000_000, 500), np.arange(-2, 3) * 86_400])
    found = Days.of(seconds * ticks, 86_400 * ticks)
    wanted = Counter((EPOCH + timedelta(seconds=int(s))).date() for s in seconds)
    shown = {(EPOCH + timedelta(days=found.first + i)).date(): n for i, n in enumerate(found.counts.tolist()) if n}
    assert shown == wanted


def test_days_add_up_and_those_of_no_business_are_left_out():
    parts = [Days.of(np.array(days, np.int64) * 10, 10) for days in ([3, 4], [], [9], [1, 4])]
    total = sum(parts, Days())
    assert (total.first, total.counts.tolist()) == (1, [1, 0, 1, 2, 0, 0, 0, 0, 1])
    assert Days.of(np.array([10**9, -(10**9), 5]) * 10, 10).counts.tolist() == [1]


def test_days_far_off_are_cut_on_either_side():
    days = Days(0, np.array([1] + [0] * 50 + [500] * 3 + [0] * 40 + [2]))
    assert (main_days(days).first, main_days(days).counts.tolist()) == (51, [500] * 3)
    near = Days(0, np.array([1] + [0] * 20 + [500] * 3))
    assert main_days(near).first == 0


def test_missed_days_by_hand():
    """Of 28 days, enough is ln(5000 x 28) = 11.85 events that come one by one."""
    counts = np.full(28, 12)
    counts[10] = 0
    assert np.flatnonzero(missed_days(counts, 0, 28)).tolist() == [10]  # 12 expected by the weekdays, 12 by the weeks
    assert missed_days(counts, 0, 28)[10] == 12
    assert not missed_days(counts, 0, 28, 1.1).any()  # a customer has 1.1 events
    counts[counts > 0] = 11
    assert not missed_days(counts, 0, 28).any()
    counts[10:12] = 0
    assert np.flatnonzero(missed_days(counts, 0, 28)).tolist() == [10, 11]  # 22 expected
    assert not missed_days(counts, 12, 28).any()  # outside of the time that is asked for


def a_shop(rng, customers, days, touches, hours, missing=0):
    """Journeys of 1 to some touches within hours that begin at random; touches of some days in the middle are lost."""
    start = rng.uniform(0, days, rng.poisson(customers * days))
    each = rng.integers(1, touches + 1, len(start))
    times, who = np.repeat(start, each) + rng.uniform(0, hours / 24, each.sum()), np.repeat(np.arange(len(start)), each)
    kept = (times < days // 2) | (times >= days // 2 + missing)
    bought = (start + hours / 24 + rng.exponential(1, len(start)))[rng.random(len(start)) < 0.4]
    by_day = [Days.of(np.floor(one * 100).astype(np.int64), 100) for one in (times[kept], bought)]
    counts = {"touches": int(kept.sum()), "touched": len(np.unique(who[kept]))}
    return Seen(touch_days=by_day[0], outcome_days=by_day[1], outcomes=len(bought), buyers=len(bought), **counts)


@pytest.mark.parametrize(
    ("customers", "days", "touches", "hours"),
    [(1, 1000, 4, 72), (2, 365, 8, 2), (5, 365, 6, 100), (20, 200, 8, 200), (3, 60, 6, 40)],
)
def test_days_that_are_empty_by_chance_are_no_outage(customers, days, touches, hours):
    """With one law for events that come one by one, a third of the first kind of shops were told of an outage."""
    rng = np.random.default_rng(5)
    told = sum(bool(list(empty_days(a_shop(rng, customers, days, touches, hours)))) for _ in range(200))
    assert told <= 2


@pytest.mark.parametrize(("customers", "missing"), [(2, 20), (5, 10), (50, 1)])
def test_outages_are_told_with_what_was_to_be_expected(customers, missing):
    rng = np.random.default_rng(6)
    for _ in range(20):
        (finding,) = empty_days(a_shop(rng, customers, 365, 4, 72, missing))
        assert finding.table == "touchpoints"
        assert finding.count >= missing
        expected = float(re.search(r"about ([\d,]+) were to be expected", finding.message)[1].replace(",", ""))
        assert 0.6 * customers * missing * 2.5 < expected < 1.5 * customers * missing * 2.5 + 10


def test_shared_ids_do_not_depend_on_the_order_of_parts(monkeypatch):
    monkeypatch.setattr(seen_module, "MOST_IDS", 50)
    rng = np.random.default_rng(2)
    ids, customers = rng.integers(1, 2_000, 3_000).astype(np.uint64), rng.integers(0, 900, 3_000).astype(np.uint64)
    answers = []
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(3_000)
        parts = np.array_split(order, 1 + 7 * seed)
        total = sum((SharedIds.of(ids[p], np.ones(len(p), np.uint64), customers[p]) for p in parts), SharedIds())
        assert len(total.ids) <= 50
        answers.append((total.level, total.shared()))
    assert len(set(answers)) == 1
    exact = {int(i) for i in ids if len(set(customers[ids == i].tolist())) > 1}
    assert answers[0][1][0] == pytest.approx(len(exact), rel=0.6)  # a sample of about 40 of 1,500 ids


def test_shared_ids_are_exact_below_the_bound():
    one = np.array([1, 1, 2, 2, 3], np.uint64)
    total = SharedIds.of(one, np.array([1, 1, 1, 1, 0], np.uint64), np.array([5, 6, 7, 7, 8], np.uint64))
    assert (total.level, total.shared()) == (0, (1, 2))


def test_facts_survive_the_way_home():
    data = attrib.synth.generate(customers=200, seed=1)
    journeys = attrib.Journeys.from_events(data.touchpoints, data.outcomes)
    journeys.reconcile()
    _, partitions = journeys._memory.partitions
    total, again = Seen(), Seen()
    for events in partitions:
        total.add(events.seen)
        again.add(Seen.of_arrays(events.seen.arrays()))
    assert total.arrays().keys() == again.arrays().keys()
    assert all(np.array_equal(one, again.arrays()[name]) for name, one in total.arrays().items())
    # the slow twin of what was counted
    bought = data.outcomes.filter(outcome="purchase")
    assert total.touches == data.touchpoints.height
    assert total.buyers == bought["customer_id"].n_unique()
    assert total.untouched == bought.filter(~pl.col("customer_id").is_in(data.touchpoints["customer_id"].implode()))[
        "customer_id"
    ].n_unique()  # fmt: skip
    assert total.most_touches[0] == data.touchpoints["customer_id"].value_counts()["count"].max()
    assert int(total.touch_days.counts.sum()) == data.touchpoints.height


def test_no_name_is_near_itself_and_groups_do_not_overlap():
    names = ["Email", "email", "ema1l", "tv", "tv ", "radio", "mail", "mall"]
    groups = near_groups([*names, *names])
    assert groups == [["Email", "ema1l", "email"], ["tv", "tv "]]
    assert all(skeletons(name)[0] for name in ("-", "_", "()", " ", "\u200b"))


# findings everywhere --------------------------------------------------------------------------------------------------
def hostile(n=400):
    start = datetime(2024, 1, 1, 9)
    rows = [(str(d * 100 + k), start + timedelta(days=d, seconds=k)) for d in range(30) for k in range(n // 30)]
    touched = pl.DataFrame(
        [(c, t, ("Email", "email", "ad")[i % 3]) for i, (c, t) in enumerate(rows) if not 10 <= t.day < 14]
        + [("NULL", start + timedelta(seconds=s), "ad") for s in range(2_000)],
        schema=["customer_id", "timestamp", "channel"], orient="row",
    )  # fmt: skip
    reached = pl.DataFrame(
        [(c, t + timedelta(hours=2), "purchase", 1.0, f"o{i // 2}") for i, (c, t) in enumerate(rows)]
        + [(c, t, "Purchase", 1.0, None) for c, t in rows[:4]],
        schema=["customer_id", "timestamp", "outcome", "value", "event_id"], orient="row",
    )  # fmt: skip
    return touched, reached


@pytest.mark.parametrize("threads", [1, 2])
def test_findings_are_the_same_by_every_route(tmp_path, threads):
    touched, reached = hostile()
    forms = {"frames": (touched, reached), "sorted": [t.sort("customer_id", "timestamp") for t in (touched, reached)]}
    forms["shuffled"] = [t.sample(fraction=1, shuffle=True, seed=4) for t in (touched, reached)]
    for name, table in zip("to", (touched, reached), strict=True):
        table.write_csv(tmp_path / f"{name}.csv")
    forms["csv"] = (tmp_path / "t.csv", tmp_path / "o.csv")
    found = {}
    for name, tables in forms.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", attrib.AttribWarning)
            engine = attrib.LocalEngine(threads=threads, memory_limit=None if name == "csv" else "1MB")
            found[name] = attrib.Journeys.from_events(*tables, engine=engine).findings
    keys = {finding.key for finding in found["frames"]}
    assert keys >= {"near_names", "near_target", "placeholder_customers", "shared_event_id", "days_without_events"}
    assert all(one == found["frames"] for one in found.values())


def test_every_finding_stands_in_the_guide(root):
    page = (root / "docs" / "warnings.md").read_text("utf-8")
    assert re.findall(r"^\| `([a-z_]+)` \|", page, re.MULTILINE) == list(KEYS)


def write_job(folder, more=""):
    for name, table in zip("to", hostile(), strict=True):
        table.write_parquet(folder / f"{name}.parquet")
    path = folder / "job.toml"
    path.write_text(
        f'[input]\ntouchpoints = "t.parquet"\noutcomes = "o.parquet"\n[intervals]\nreplicates = 0\n{more}'
        '[[models]]\nmethod = "markov"\n'
    )
    return job.load(path)


def test_a_job_records_findings_and_ignores_those_that_are_known(tmp_path):
    result = job.run(write_job(tmp_path))
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    keys = [finding["key"] for finding in record["findings"]]
    assert {"near_names", "placeholder_customers"} <= set(keys)
    assert len(keys) == len(set(keys))
    assert all(any(text.endswith(f"[{key}]") for text in result.warnings) for key in keys)
    known = write_job(tmp_path, '[checks]\nignore = ["near_names", "no_nulls"]\n')
    for done in (job.run(known, write=False), job.check(known)):
        assert not any("[near_names]" in text for text in done.warnings)
        assert any("[placeholder_customers]" in text for text in done.warnings)
    assert "near_names" not in [finding["key"] for finding in job.check(known).findings]


def test_a_finding_that_does_not_exist_cannot_be_ignored(tmp_path):
    with pytest.raises(attrib.SpecError, match=r'\[checks\] ignore "near_name" is no finding; did you mean near_names'):
        write_job(tmp_path, '[checks]\nignore = ["near_name"]\n')


@pytest.mark.parametrize(
    "names",
    [
        ("カード", "ガード"), ("バス", "パス", "ハス"), ("трамвай", "трамваи"), ("มา", "ม้า"), ("कल", "कुल"),
        ("mã giảm", "ma giảm"),
        ("adset_1_11", "adset_11_1"), ("Banner 1-12", "Banner 11-2"), ("placement_11", "placement_1_1"),
        ("letter 2024-1-11", "letter 2024-11-1"), ("LAL 1%DE", "LAL 1%BE"), ("running shoes", "[running shoes]"),
        ("score -5", "score 5"), ("TV1", "TV2"), ("email a", "email b"),
    ],
)  # fmt: skip
def test_names_that_are_others_are_not_near(names):
    assert near_groups(names) == []


@pytest.mark.parametrize(
    "names",
    [("E-Mail", "email"), ("café", "cafe"), ("(direct)", "Direct"), ("Κanal", "Kanal"), ("paid%20ads", "Paid Ads")],
)
def test_names_that_are_written_otherwise_are_near(names):
    assert near_groups(names) == [sorted(names)]


def test_names_are_shown_in_their_own_script_and_what_hides_is_spelled_out():
    plain = ("Möbel", "バス広告", "Трамвай", "ραδιόφωνο", "קופון", "mã giảm giá", "إعلان", "Google Реклама")
    assert [shown(name) for name in plain] == [f"'{name}'" for name in plain]
    hidden = {
        "em\u0430il": "'em\\u0430il'", "e\u200bmail": "'e\\u200bmail'", "\u202eliame": "'\\u202eliame'",
        "рекл\u03bfма": "'рекл\\u03bfма'", "email\u00a0": "'email\\xa0'", "cafe\u0301": "'cafe\\u0301'",
        "ｅmail": "'\\uff45mail'",
        "\u0441\u043e\u0441\u043e": "'\u0441\u043e\u0441\u043e' (cyrillic)", "a\x1b[31m": "'a\\x1b[31m'",
    }  # fmt: skip
    assert {name: shown(name) for name in hidden} == hidden


@pytest.mark.parametrize(
    ("role", "cells", "may"),
    [
        ("value", ["19.90 EUR", "5", None], True),
        ("value", ["$1,200.50", "€ 3"], True),
        ("value", ["gold", "silver"], False),
        ("value", [0.0, 0.0], False),
        ("value", ["Anna", "Bob 2"], False),
        ("value", [None, None], False),
        ("value", [3], True),
        ("refund", [False, False], False),
        ("refund", [False, True], True),
        ("refund", [0.0, None], False),
        ("refund", [0.0, 5.0], True),
        ("refund", ["completed"] * 3, False),
        ("refund", ["paid", "refunded"], True),
        ("refund", ["refunded"] * 3, True),
        ("refund", ["no", "no"], False),
        ("refund", ["", None], False),
        ("refund", ["0.00", "0.00"], False),
        ("refund", ["0.00", "4.50"], True),
        ("refund", [datetime(2024, 1, 1), None], True),
        ("zone", ["UTC", "UTC"], False),
        ("zone", ["UTC", "CET"], True),
        ("sequence", ["onboarding", "welcome"], False),
        ("sequence", ["1", "2"], True),
        ("order", [7, 7], False),
        ("order", ["a1", "a2"], True),
        ("part", ["DE", "DE"], True),
    ],
)
def test_what_a_column_may_hold_by_its_cells(role, cells, may):
    assert may_hold(role, pl.Series("some", cells)) is may


def test_arms_of_a_test_are_no_test_orders():
    assert not may_hold("refund", pl.Series("test", ["A", "B"]))
    assert may_hold("refund", pl.Series("test", [False, True]))
