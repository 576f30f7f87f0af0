"""What the checks of every case cannot say: sizes, files, path tables, and answers that are known beforehand."""

from __future__ import annotations

import codecs
import datetime as dt
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

import attrib
from attrib.methods import chain
from attrib.testing import assert_credit_table
from awkward.cases import outcomes, plain, touches

MILLION = 10**6
RULES = [
    attrib.FirstTouch(), attrib.LastTouch(), attrib.LastNonDirect(), attrib.Linear(), attrib.PositionBased(),
    attrib.TimeDecay(), attrib.Shapley(),
]  # fmt: skip


def paths_of(journeys: attrib.Journeys) -> list[str]:
    return journeys.to_frame()["path"].to_list()


def fails(key: str, *tables: object, **recipe: object) -> attrib.AttribError:
    with pytest.raises(attrib.AttribError) as caught:
        attrib.Journeys.from_events(*tables, **recipe).reconcile()
    assert caught.value.key == key
    return caught.value


# --- sizes ---


@pytest.fixture(scope="module")
def restless() -> tuple[pl.DataFrame, pl.DataFrame]:
    """One customer who meets a channel every minute for two years, and converts a hundred thousand times."""
    minutes = pl.datetime_range(dt.datetime(2023, 1, 1), interval="1m", end=dt.datetime(2026, 1, 1), eager=True)  # noqa: DTZ001
    minutes = minutes[:MILLION]
    touched = pl.DataFrame({"timestamp": minutes, "channel": (np.arange(MILLION) % 7).astype(str)})
    reached = pl.DataFrame({"timestamp": minutes.gather_every(10), "outcome": ["purchase"] * (MILLION // 10)})
    return tuple(t.with_columns(customer_id=pl.lit("c")) for t in (touched, reached))


def test_a_million_touches_of_one_customer(restless):
    touched, reached = restless
    once = attrib.Journeys.from_events(touched, reached.tail(1), lookback=None)
    table = attrib.credit(once, [*RULES, attrib.Markov(), attrib.Markov(order=2)], intervals=None)
    assert_credit_table(table, once)
    counts = once.to_frame()["timestamps"].list.len().to_list()
    assert counts[0] == MILLION - 9  # the last outcome comes nine minutes before the last touch
    linear = table.filter(method="linear", kind="player")["conversions"]
    assert linear.to_list() == pytest.approx([1 / 7] * 7, abs=1e-5)


def test_a_hundred_thousand_conversions_of_one_customer(restless):
    shuffled = [t.sample(fraction=1, shuffle=True, seed=1) for t in restless]
    tables = []
    for given, memory in ((restless, None), (shuffled, "100KB")):
        engine = attrib.LocalEngine(memory_limit=memory)
        journeys = attrib.Journeys.from_events(*given, lookback="5m", engine=engine)
        tables.append(attrib.credit(journeys, [attrib.Linear(), attrib.Markov()], intervals=None))
        assert_credit_table(tables[-1], journeys)
        assert tables[-1].filter(method="linear")["conversions"].sum() == pytest.approx(MILLION / 10)
    assert tables[0].equals(tables[1])


@pytest.fixture(scope="module")
def pages() -> tuple[pl.DataFrame, pl.DataFrame]:
    """A hundred thousand channels, one a customer; every second customer converts."""
    ids = np.arange(100_000)
    touched = pl.DataFrame({"customer_id": ids, "channel": [f"/page/{i}" for i in ids]})
    reached = pl.DataFrame({"customer_id": ids[::2], "outcome": ["purchase"] * 50_000})
    return tuple(t.with_columns(timestamp=dt.datetime(2025, 1, 1)) for t in (touched, reached))  # noqa: DTZ001


def test_a_hundred_thousand_channels_meet_the_cap(pages):
    error = fails("too_many_players", *pages)
    assert error.facts["column"] == "channel"
    assert "'/page/0'" in error.message


def test_a_hundred_thousand_channels_under_a_raised_cap(pages):
    journeys = attrib.Journeys.from_events(*pages, max_players=100_000)
    table = attrib.credit(journeys, RULES, intervals=None)
    sums = table.filter(kind="player").group_by("method").agg(pl.col("conversions").sum())
    assert sums["conversions"].to_list() == [50_000.0] * len(RULES)
    with pytest.raises(attrib.ResourceError) as caught:  # 320 GB: refused, not tried
        attrib.Markov().credit(journeys)
    assert caught.value.key == "chain_too_large"
    assert caught.value.facts == {"players": 100_000}
    with pytest.raises(attrib.ResourceError) as caught:
        attrib.Markov(order=4).credit(journeys)
    assert caught.value.key == "key_too_wide"


def test_a_chain_as_large_as_memory_allows_is_solved(monkeypatch):
    sizes = {"SC_PHYS_PAGES": 9 * 32, "SC_PAGE_SIZE": 1}
    monkeypatch.setattr(chain.os, "sysconf", sizes.__getitem__)
    paths = pl.DataFrame({"path": ["a > b > c", "d"], "total_conversions": [1, 0], "total_null": [0, 1]})
    assert attrib.Markov().credit(attrib.Journeys.from_paths(paths.head(1))).height == 4
    with pytest.raises(attrib.ResourceError):
        attrib.Markov().credit(attrib.Journeys.from_paths(paths))


# --- answers known beforehand ---


def test_names_that_look_alike_are_different():
    names = ["é", "e\u0301", "\ufeffe", "\u03a9", "\u2126", "zero\u200bwidth", "zerowidth"]
    journeys = attrib.Journeys.from_events(touches([("c", 0, n) for n in names]), outcomes([("c", 1, 1.0)]))
    players = attrib.Linear().credit(journeys).filter(kind="player")["channel"].to_list()
    assert players == sorted(names, key=str.encode)


def test_a_channel_called_null_is_no_state():
    """Nor are those that bear the names of the other states."""
    table = pl.DataFrame({"path": ["null > ad", "ad", "null"], "total_conversions": [1, 0, 0], "total_null": [0, 1, 1]})
    renamed = table.with_columns(pl.col("path").str.replace_all("null", "tv"))
    for other in ("(start)", "conversion", "(conversion)", "unattributed", "(none)"):
        named = renamed.with_columns(pl.col("path").str.replace_all("tv", other, literal=True))
        for method in (attrib.Markov(), attrib.Markov(order=2), attrib.Shapley()):
            found, plain_names, null = (
                dict(method.credit(attrib.Journeys.from_paths(t)).select("channel", "conversions").rows())
                for t in (named, renamed, table)
            )
            assert found[other] == plain_names["tv"] == null["null"]


def test_times_of_dst_nights_are_instants():
    """At 03:30 summer time, 01:30 is one hour ago; in autumn the second 02:30 is one hour after the first."""
    clock = {"spring": ("2025-03-30T01:30:00+01:00", "2025-03-30T03:30:00+02:00")}
    clock["autumn"] = ("2025-10-26T02:30:00+02:00", "2025-10-26T02:30:00+01:00")
    for touched, reached in clock.values():
        for lookback, path in (("1h", "ad"), ("59m", "")):
            tables = touches([("c", touched, "ad")]), outcomes([("c", reached, 1.0)])
            journeys = attrib.Journeys.from_events(*tables, lookback=lookback)
            assert path in paths_of(journeys)
            assert (journeys.to_frame()["status"] == "converting").any() == bool(path)


@pytest.mark.parametrize("text", ["2016-12-31T23:59:60Z", "2016-12-31T23:59:60.000Z"])
def test_a_leap_second_is_the_next_midnight(text):
    tables = touches([("c", text, "ad")]), outcomes([("c", "2017-01-01T00:00:00Z", 1.0)])
    journeys = attrib.Journeys.from_events(*tables)
    midnight = dt.datetime(2017, 1, 1, tzinfo=dt.UTC)
    assert journeys.to_frame().select("path", "timestamps").rows() == [("ad", [midnight])]


def test_refunds_leave_value_credit_null_and_say_so():
    names = ["ad > tv > web", "seo > mail"]  # without any of the first three, 3 more; without one of the others, 4 less
    paths = pl.DataFrame({"path": names, "total_conversions": [1, 1], "total_conversion_value": [-3.0, 4.0]})
    with pytest.warns(attrib.AttribWarning, match="do not sum to a positive number"):
        table = attrib.Markov().credit(attrib.Journeys.from_paths(paths))
    players = table.filter(kind="player")
    assert players["value"].null_count() == 5
    assert players["conversions"].sum() == pytest.approx(2.0)
    assert attrib.Linear().credit(attrib.Journeys.from_paths(paths))["value"].sum() == pytest.approx(1.0)


def test_paths_without_a_conversion():
    table = pl.DataFrame({"path": ["a", "b > a"], "total_conversions": [0, 0], "total_null": [3, 2]})
    journeys = attrib.Journeys.from_paths(table)
    credited = attrib.credit(journeys, [*RULES[:5], attrib.Markov(), attrib.Shapley()], intervals=0.9, replicates=3)
    assert_credit_table(credited, journeys)
    assert credited["conversions"].to_list() == [0.0] * credited.height
    assert credited["effect"].null_count() == credited.height


def test_counts_that_are_none_count_nothing_in_the_ledger():
    table = pl.DataFrame({"path": ["a"] * 5, "total_conversions": [3.0, -1.5, 1e30, 2.5, 4.0]})
    ledger = attrib.Journeys.from_paths(table, max_rejects=1.0).reconcile().filter(table="outcomes")
    rows = dict(ledger.select("entry", "rows").rows())
    assert rows == {"in": 7, "credited": 7, "unattributed": 0, "rejected": 0}


def test_path_values_whose_sum_is_no_number():
    table = pl.DataFrame(
        {"path": ["a", "b"], "total_conversions": [1, 1], "total_conversion_value": [1.7e308, 1.7e308]}
    )
    with pytest.raises(attrib.DataError) as caught:
        attrib.Journeys.from_paths(table).reconcile()
    assert caught.value.key == "values_too_large"


# --- files ---

HEADER = "customer_id,timestamp,channel"
ROW = "1,2025-03-01 00:00:00,ad"
FILES = {
    "no last line end": f"{HEADER}\n{ROW}", "a byte order mark": f"\ufeff{HEADER}\n{ROW}\n",
    "a mark and quotes": f'\ufeff"customer_id","timestamp","channel"\n{ROW}\n', "crlf": f"{HEADER}\r\n{ROW}\r\n",
    "columns without a name": f",,{HEADER}\n0,0,{ROW}\n", "others twice": f"{HEADER},x,x\n{ROW},1,2\n",
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_files_of_one_row(name, tmp_path):
    (tmp_path / "t.csv").write_bytes(FILES[name].encode())
    reached = pl.DataFrame({"customer_id": ["1"], "timestamp": ["2025-03-01 01:00:00"], "outcome": ["purchase"]})
    journeys = attrib.Journeys.from_events(tmp_path / "t.csv", reached)
    assert journeys.to_frame().select("customer_id", "status", "path").rows() == [("1", "converting", "ad")]


BROKEN = {
    "no_rows": f"{HEADER}\n".encode(), "empty_file": codecs.BOM_UTF8,
    "duplicate_columns": f"{HEADER},channel\n".encode(),
    "unreadable_file": codecs.BOM_UTF16_LE + f"{HEADER}\n{ROW}\n".encode("utf-16-le"),
}  # fmt: skip


@pytest.mark.parametrize("key", BROKEN)
def test_files_that_cannot_be_used(key, tmp_path):
    (tmp_path / "t.csv").write_bytes(BROKEN[key])
    error = fails(key, tmp_path / "t.csv", plain()[1])
    if key == "unreadable_file":
        assert "UTF-8" in error.hint


def test_a_mapped_column_named_twice(tmp_path):
    (tmp_path / "t.csv").write_text("customer_id,timestamp,source,source\n1,2025-03-01,a,b\n")
    assert fails("duplicate_columns", tmp_path / "t.csv", plain()[1], columns={"channel": "source"})


def test_the_command_on_hostile_names(tmp_path):
    """What it prints can turn no terminal around, and what it writes starts no formula."""
    names = ["\x1b[2Jclear", "=cmd|' /C calc'!A0", "\u202egnp.exe", "line\nbreak", "[red]bold[/red]", "null"]
    touched = touches([(i, 0, name) for i, name in enumerate(names)])
    touched.write_parquet(tmp_path / "t.parquet")
    outcomes([(i, 1, 2.0) for i in range(len(names))]).write_parquet(tmp_path / "o.parquet")
    job = '[input]\ntouchpoints = "t.parquet"\noutcomes = "o.parquet"\n[[models]]\nmethod = "linear"\n'
    (tmp_path / "job.toml").write_text(f"{job}[intervals]\nreplicates = 0\n")
    command = [sys.executable, "-m", "attrib", "run", str(tmp_path / "job.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not set("\x1b\u202e") & set(done.stdout + done.stderr)
    (written,) = tmp_path.rglob("credit.csv")
    cells = pl.read_csv(written)["channel"].drop_nulls().to_list()
    assert len(cells) == len(names)
    assert not any(cell.lstrip().startswith("=") or "\x1b" in cell for cell in cells)
    assert sorted(pl.read_parquet(written.with_suffix(".parquet"))["channel"].drop_nulls()) == sorted(names)
