"""Links between ids: what is joined, what is refused, and what is said (docs/semantics.md, section 1)."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta

import polars as pl
import pytest

import attrib
from attrib.io.identities import read_identities
from strategies import EPOCH

DAY, NEXT = EPOCH, EPOCH + timedelta(days=1)
TOUCHED = pl.DataFrame(
    {"customer_id": [f"cookie{i}" for i in range(10)], "timestamp": [DAY] * 10, "channel": ["ad"] * 10}
)
ORDERS = pl.DataFrame({
    "customer_id": [f"cookie{i}" if i < 4 else f"user{i}" for i in range(10)], "timestamp": [NEXT] * 10,
    "outcome": ["purchase"] * 10, "value": [1.0] * 10,
})  # fmt: skip
LINKS = pl.DataFrame({"id": [f"cookie{i}" for i in range(4, 10)], "other_id": [f"user{i}" for i in range(4, 10)]})


def conversions(journeys: attrib.Journeys) -> dict:
    table = attrib.credit(journeys, attrib.LastTouch(), intervals=None)
    return dict(table.select("channel", "conversions").rows())


@pytest.mark.filterwarnings("ignore::attrib.AttribWarning")
def test_cookies_and_accounts_become_one_customer():
    assert conversions(attrib.Journeys.from_events(TOUCHED, ORDERS)) == {None: 6, "ad": 4}
    joined = attrib.Journeys.from_events(TOUCHED, ORDERS, identities=LINKS)
    assert conversions(joined) == {None: 0, "ad": 10}
    assert joined.to_frame()["customer_id"].to_list() == [f"cookie{i}" for i in range(10)]
    assert [one["table"] for one in joined.fingerprints()] == ["touchpoints", "outcomes", "identities"]


@pytest.mark.parametrize(
    ("pairs", "customers"),
    [
        ([("b", "a"), ("c", "b")], [("b", "a"), ("c", "a")]),
        ([("10", "9"), ("x", "10")], [("10", "9"), ("x", "9")]),  # whole numbers by number, then texts
        ([("09", "9")], [("09", "9")]),  # a text with a leading zero is no whole number
        ([("-1", "1")], [("1", "-1")]),
        ([("é", "z")], [("é", "z")]),  # by bytes
        ([("a", "a")], []),
    ],
)
def test_the_smallest_id_names_the_customer(pairs, customers):
    links = pl.DataFrame(pairs, schema=["id", "other_id"], orient="row")
    assert read_identities(links).customers.rows() == customers
    turned = links.select(id="other_id", other_id="id").reverse()
    assert read_identities(turned).customers.rows() == customers


def test_links_of_any_type_meet_tables_of_any_type():
    touched = pl.DataFrame({"customer_id": [7, 8], "timestamp": [DAY] * 2, "channel": ["ad"] * 2})
    for dtype in (pl.Int16, pl.UInt64, pl.String, pl.Categorical):
        orders = ORDERS[:1].with_columns(customer_id=pl.Series(["12"]))
        tables = [t.with_columns(pl.col("customer_id").cast(pl.String).cast(dtype)) if dtype == pl.Categorical
                  else t.with_columns(pl.col("customer_id").cast(dtype)) for t in (touched, orders)]  # fmt: skip
        for links in ({"id": [12], "other_id": [8]}, {"id": ["12"], "other_id": ["8"]}):
            found = attrib.Journeys.from_events(*tables, identities=pl.DataFrame(links))
            assert conversions(found) == {None: 0, "ad": 1}, dtype


def test_inline_outcomes_are_joined_too():
    events = TOUCHED.with_columns(conversion=pl.Series([False] * 9 + [True]))
    links = pl.DataFrame({"id": ["cookie9"], "other_id": ["cookie0"]})
    journeys = attrib.Journeys.from_events(events, attrib.InlineOutcome(), identities=links)
    listed = journeys.to_frame().filter(status="converting")
    assert listed.select("customer_id", "path").rows() == [("cookie0", "ad > ad")]


def test_a_group_that_is_too_large_stays_apart_and_is_named():
    links = pl.DataFrame({"id": ["kiosk"] * 10, "other_id": [f"cookie{i}" for i in range(10)]})
    journeys = attrib.Journeys.from_events(TOUCHED, ORDERS, identities=links, max_component=10)
    with pytest.warns(
        attrib.AttribWarning, match="1 groups of more than 10 linked ids are not joined.*11, among them 'kiosk'"
    ):
        journeys.reconcile()
    assert conversions(journeys) == {None: 6, "ad": 4}
    whole = attrib.Journeys.from_events(TOUCHED, ORDERS, identities=links, max_component=11)
    assert set(whole.to_frame()["customer_id"]) == {"cookie0", *(f"user{i}" for i in range(4, 10))}


def test_links_that_lack_an_id_join_nothing_and_are_counted():
    links = pl.DataFrame({"id": ["cookie4", None, " "], "other_id": ["user4", "user5", "user6"]})
    journeys = attrib.Journeys.from_events(TOUCHED, ORDERS, identities=links)
    with pytest.warns(attrib.AttribWarning, match="2 links lack one of their ids"):
        journeys.reconcile()
    assert conversions(journeys) == {None: 5, "ad": 5}


@pytest.mark.parametrize(
    ("links", "kind", "key"),
    [
        (pl.DataFrame({"id": ["a"], "other": ["b"]}), attrib.DataError, "missing_columns"),
        (pl.DataFrame({"id": [1.0], "other_id": ["b"]}), attrib.DataError, "wrong_type"),
        (pl.DataFrame({"id": [["a"]], "other_id": ["b"]}), attrib.DataError, "wrong_type"),
        (LINKS.with_columns(probability=0.5), attrib.SpecError, "unread_column"),
        (LINKS.with_columns(pl.lit(DAY).alias("from")), attrib.SpecError, "unread_column"),
        (LINKS.with_columns(valid_from=pl.lit(DAY)), attrib.SpecError, "unread_column"),
        (LINKS.with_columns(since=pl.lit(DAY)), attrib.SpecError, "unread_column"),
        (LINKS.with_columns(matchScore=0.5), attrib.SpecError, "unread_column"),
        (7, attrib.SpecError, "bad_table"),
        ("nowhere.csv", attrib.DataError, "no_file"),
    ],
)
def test_what_links_cannot_be(links, kind, key):
    with pytest.raises(kind) as caught:
        attrib.Journeys.from_events(TOUCHED, ORDERS, identities=links)
    assert caught.value.key == key


def test_an_empty_table_of_links_changes_nothing():
    journeys = attrib.Journeys.from_events(TOUCHED, ORDERS, identities=LINKS[:0])
    assert conversions(journeys) == {None: 6, "ad": 4}


def test_a_job_names_its_links(tmp_path):
    for name, table in (("touches", TOUCHED), ("orders", ORDERS), ("links", LINKS)):
        table.write_csv(tmp_path / f"{name}.csv")
    (tmp_path / "job.toml").write_text(
        '[input]\ntouchpoints = "touches.csv"\noutcomes = "orders.csv"\nidentities = "links.csv"\n'
        '[journeys]\nmax_component = 9\nafter_conversion = "keep"\nmax_touches = 100\n'
        '[[models]]\nmethod = "last_touch"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "attrib", "run", str(tmp_path / "job.toml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    credit = pl.read_parquet(tmp_path / "out" / "credit.parquet")
    assert dict(credit.select("channel", "conversions").rows()) == {None: 0, "ad": 10}
    written = json.loads((tmp_path / "out" / "run.json").read_text())
    assert any(one["table"] == "identities" for one in written["inputs"])
