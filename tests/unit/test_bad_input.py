"""Bad rows are set aside with the rule they broke; bad tables stop the run with one clear message."""

from __future__ import annotations

import datetime as dt
import gzip
import math
from typing import Any

import polars as pl
import pytest

import attrib
from attrib.refunds import told_if_kept

DAY = dt.datetime(2025, 3, 1)  # noqa: DTZ001 (naive on purpose)
GOOD_TOUCH = {"customer_id": "ann", "timestamp": DAY, "channel": "ad"}
GOOD_OUTCOME = {"customer_id": "ann", "timestamp": DAY + dt.timedelta(days=1), "outcome": "purchase", "value": 2.0}


def table(good: dict[str, Any], *bad: dict[str, Any], n: int = 40, **schema: Any) -> pl.DataFrame:
    """Return n good rows of different customers with the bad ones among them, the first as row 3."""
    rows = [{**good, "customer_id": f"c{i}"} for i in range(n)]
    rows[3:3] = [{**good, **change} for change in bad]
    return pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None, strict=False)


def touches(*bad: dict[str, Any], **more: Any) -> pl.DataFrame:
    return table(GOOD_TOUCH, *bad, **more)


def outcomes(*bad: dict[str, Any], **more: Any) -> pl.DataFrame:
    return table(GOOD_OUTCOME, *bad, **more)


def form(touched: Any = None, reached: Any = None, **recipe: Any) -> attrib.Journeys:
    touched = touches() if touched is None else touched
    reached = outcomes() if reached is None else reached
    return attrib.Journeys.from_events(touched, reached, **recipe)


def fails(error: type[attrib.AttribError], key: str, touched: Any = None, reached: Any = None, **recipe: Any) -> Any:
    """Form journeys and credit them; returns the error."""
    with pytest.raises(error) as caught:
        attrib.Linear().credit(form(touched, reached, **recipe))
    assert caught.value.key == key
    return caught.value


def as_text(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("timestamp").dt.strftime("%Y-%m-%d %H:%M:%S"))


# --- rows ---

TOUCH_RULES = [
    ({"customer_id": None}, "customer_missing"),
    ({"customer_id": ""}, "customer_empty"),
    ({"customer_id": " \t"}, "customer_empty"),
    ({"timestamp": None}, "timestamp_missing"),
    ({"channel": None}, "channel_missing"),
    ({"channel": ""}, "channel_empty"),
    ({"channel": "  "}, "channel_empty"),
]
OUTCOME_RULES = [
    ({"customer_id": None}, "customer_missing"),
    ({"customer_id": ""}, "customer_empty"),
    ({"timestamp": None}, "timestamp_missing"),
    ({"outcome": None}, "outcome_missing"),
    ({"outcome": " "}, "outcome_empty"),
    ({"value": None}, "value_missing"),
    ({"value": math.nan}, "value_not_finite"),
    ({"value": math.inf}, "value_not_finite"),
    ({"value": -math.inf}, "value_not_finite"),
]


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("change", "rule"), TOUCH_RULES)
def test_rules_of_touchpoints(change, rule, lazy):
    touched = touches(change)
    journeys = form(touched.lazy() if lazy else touched)
    expected = {**GOOD_TOUCH, **change}
    text = {k: None if v is None else str(v) for k, v in expected.items()}
    rejected = journeys.rejected()
    assert rejected.columns == [
        "table", "row", "rule", "customer_id", "timestamp", "channel", "outcome", "value",
    ]  # fmt: skip
    (row,) = rejected.to_dicts()
    assert row.pop("timestamp") is None if text["timestamp"] is None else row.pop("timestamp").startswith("2025-03-01")
    assert row == {
        "table": "touchpoints", "row": 3, "rule": rule, "customer_id": text["customer_id"],
        "channel": text["channel"], "outcome": None, "value": None,
    }  # fmt: skip
    assert ledger(journeys, "touchpoints") == {"in": 41, "used": 40, "rejected": 1}


@pytest.mark.parametrize(("change", "rule"), OUTCOME_RULES)
def test_rules_of_outcomes(change, rule):
    journeys = form(None, outcomes(change))
    (row,) = journeys.rejected().to_dicts()
    assert [row[k] for k in ("table", "row", "rule")] == ["outcomes", 3, rule]
    assert row["outcome"] == {**GOOD_OUTCOME, **change}["outcome"]
    assert ledger(journeys, "outcomes") == {"in": 41, "credited": 40, "rejected": 1}


def ledger(journeys: attrib.Journeys, name: str) -> dict[str, int]:
    rows = journeys.reconcile().filter(table=name).select("entry", "rows").rows()
    return {entry: count for entry, count in rows if count}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "timestamp_missing"),
        ("yesterday", "timestamp_unparseable"),
        ("2025-02-30 00:00:00", "timestamp_unparseable"),
        ("01/02/2025", "timestamp_unparseable"),
        ("1740787200", "timestamp_unparseable"),
    ],
)
def test_times_that_cannot_be_read_keep_their_text(text, rule):
    (row,) = (
        form(as_text(touches()).vstack(as_text(touches(n=1)).with_columns(timestamp=pl.lit(text)))).rejected().rows()
    )
    assert row[:5] == ("touchpoints", 40, rule, "c0", text)


@pytest.mark.parametrize(
    ("text", "rule"), [("", "value_missing"), ("12,50", "value_unparseable"), ("nan", "value_not_finite")]
)
def test_values_that_cannot_be_read_keep_their_text(text, rule):
    reached = outcomes().with_columns(pl.col("value").cast(pl.String))
    reached = reached.vstack(reached.head(1).with_columns(value=pl.lit(text)))
    (row,) = form(None, reached).rejected().to_dicts()
    assert (row["rule"], row["value"], row["row"]) == (rule, text, 40)


def test_a_sequence_that_is_no_number_is_rejected_and_an_empty_one_comes_last():
    touched = touches({"sequence": "x"}, {"sequence": ""}, {"sequence": "2", "channel": "z"}, sequence=pl.String)
    journeys = form(touched)
    assert journeys.rejected()["rule"].to_list() == ["sequence_unparseable"]
    path = journeys.to_frame().filter(customer_id="ann")["path"].to_list()
    assert path == ["z > ad"]


def test_stages_that_are_missing_or_unknown():
    touched = touches({"stage": None}, {"stage": "thing"}).with_columns(pl.col("stage"))
    touched = touched.with_columns(stage=pl.when(pl.col("customer_id") == "ann").then("stage").otherwise(pl.lit("see")))
    journeys = form(touched, stages=attrib.StageColumn("stage", order=["see"]), view="resolved")
    assert journeys.rejected()["rule"].to_list() == ["stage_missing", "stage_unknown"]


def test_flags_that_say_neither_yes_nor_no():
    rows = {"flag": ["yes", "No", "1", "false", "maybe", None, "", *["0"] * 60]}
    frame = pl.concat([touches(n=67), pl.DataFrame(rows)], how="horizontal")
    journeys = form(frame, attrib.InlineOutcome(flag="flag"))
    with pytest.warns(attrib.AttribWarning, match="up to 1 of 3 outcomes are lost"):
        rejected = journeys.rejected().filter(table="touchpoints")
    assert rejected.select("row", "rule").rows() == [(4, "flag_unreadable")]
    assert ledger(journeys, "outcomes") == {"in": 3, "credited": 2, "rejected": 1}


def test_the_first_broken_rule_is_named_and_each_row_once():
    journeys = form(touches({"customer_id": None, "timestamp": None, "channel": ""}))
    assert journeys.rejected()["rule"].to_list() == ["customer_missing"]


def test_rows_are_numbered_over_batches_and_files(tmp_path, monkeypatch):
    from attrib.engines import reading

    monkeypatch.setattr(reading, "BATCH", 7)
    frame = pl.concat([touches({"channel": None}), touches({"channel": " "})])
    assert form(frame).rejected()["row"].to_list() == [3, 44]
    for name, part in (("1", frame.head(41)), ("2", frame.tail(41))):
        part.write_parquet(tmp_path / f"{name}.parquet")
    found = form(tmp_path).rejected().select("row", "rule").rows()
    assert found == [(3, "channel_missing"), (44, "channel_empty")]


# --- the stop at too many rejects ---


@pytest.mark.parametrize(("bad", "stops"), [(2, False), (3, True)])
def test_more_than_5_percent_rejected_stops_the_run(bad, stops):
    touched = touches(*[{"channel": None}] * (bad - 1), {"customer_id": ""}, n=40 - bad)  # of 40 rows, 2 are allowed
    if not stops:
        assert form(touched).rejected().height == 2
        return
    error = fails(attrib.RejectedError, "too_many_rejected", touched)
    assert error.exit_code == 4
    examples = error.facts.pop("examples")
    assert [row["rule"] for row in examples] == ["channel_missing", "channel_missing", "customer_empty"]
    assert error.facts == {
        "table": "touchpoints", "rejected": 3, "rows": 40, "rules": {"channel_missing": 2, "customer_empty": 1},
    }  # fmt: skip
    assert str(error) == (
        "3 of 40 rows of touchpoints are rejected (7.5%; allowed 5.0%): channel_missing 2, customer_empty 1; "
        "e.g. row 3 has channel None; mend the source, or raise max_rejects"
    )


def test_the_allowed_share_can_be_set():
    reached = outcomes({"value": None}, n=1)
    assert form(None, reached, max_rejects=0.5).rejected().height == 1
    assert fails(attrib.RejectedError, "too_many_rejected", None, reached, max_rejects=0.4).facts["rejected"] == 1
    assert fails(attrib.SpecError, "bad_value", max_rejects=5).exit_code == 2


def test_all_rows_may_be_bad():
    assert (
        fails(attrib.RejectedError, "too_many_rejected", touches().with_columns(channel=pl.lit(""))).facts["rows"] == 40
    )
    assert fails(attrib.RejectedError, "too_many_rejected", touches().with_columns(channel=None)).facts["rows"] == 40
    all_bad = touches().with_columns(channel=pl.lit(""))
    table = attrib.Linear().credit(form(all_bad, max_rejects=1.0))
    assert table.select("kind", "conversions").rows() == [("unattributed", 40.0)]


# --- tables ---


def test_missing_columns_name_what_is_there_and_the_nearest():
    error = fails(
        attrib.DataError, "missing_columns", touches().rename({"customer_id": "customerid", "channel": "media"})
    )
    assert str(error) == (
        "2 of 3 required columns are missing from touchpoints: customer_id, channel; "
        "found: customerid, timestamp, media; map your names to ours with columns "
        '(in a job: [input.columns]), e.g. customer_id = "customerid", channel = "media"'
    )
    assert error.facts["missing"] == ["customer_id", "channel"]
    error = fails(attrib.DataError, "missing_columns", None, outcomes().drop("outcome"))
    assert error.message.startswith("1 of ")
    assert "missing from outcomes: outcome; found: customer_id, timestamp, value" in error.message


def test_a_column_of_by_or_player_may_be_missing_too():
    assert fails(attrib.DataError, "missing_columns", by="country").facts["missing"] == ["country"]
    assert fails(attrib.DataError, "missing_columns", player=("channel", "device")).facts["missing"] == ["device"]


def test_a_file_with_another_separator_is_recognised(tmp_path):
    touches().write_csv(tmp_path / "t.csv", separator=";")
    error = fails(attrib.DataError, "missing_columns", tmp_path / "t.csv")
    assert "separated by another character" in error.hint


@pytest.mark.parametrize(
    ("column", "values", "found"),
    [
        ("customer_id", pl.lit(1.5), "Float64"),
        ("customer_id", pl.lit(value=True), "Boolean"),
        ("timestamp", pl.lit(1_740_787_200), "Int32"),
        ("channel", pl.lit(3), "Int32"),
    ],
)
def test_wrong_types_of_touchpoints(column, values, found):
    error = fails(attrib.DataError, "wrong_type", touches().with_columns(values.alias(column)))
    assert error.facts == {"column": column, "found": found}


@pytest.mark.parametrize("column", ["outcome", "value"])
def test_wrong_types_of_outcomes(column):
    wrong = pl.lit([1]).alias(column)
    assert fails(attrib.DataError, "wrong_type", None, outcomes().with_columns(wrong)).facts["column"] == column


def test_mixed_zones_between_tables():
    zoned = outcomes().with_columns(pl.col("timestamp").dt.replace_time_zone("UTC"))
    error = fails(attrib.DataError, "mixed_zones", None, zoned)
    assert "touchpoints and outcomes" in str(error)
    assert fails(attrib.DataError, "mixed_zones", as_text(touches()), zoned)
    assert fails(attrib.DataError, "mixed_zones", None, as_text(outcomes()).with_columns(pl.col("timestamp") + "Z"))


def test_mixed_zones_within_a_column_of_texts():
    touched = as_text(touches())
    touched = touched.vstack(touched.head(1).with_columns(pl.col("timestamp") + "+01:00"))
    assert str(fails(attrib.DataError, "mixed_zones", touched)).startswith("touchpoints: some timestamps carry")


def test_no_rows():
    error = fails(attrib.DataError, "no_rows", touches().clear())
    assert str(error) == "touchpoints has 0 rows; check the path and any filter"
    assert "outcomes has 0 rows" in str(fails(attrib.DataError, "no_rows", None, outcomes().clear()))
    assert fails(attrib.DataError, "no_rows", touches().lazy().filter(channel="none"))


def test_a_target_that_never_occurs_lists_those_that_do():
    reached = outcomes({"outcome": "visit"}, {"outcome": "signup"})
    error = fails(attrib.DataError, "no_target", None, reached, target="order")
    assert str(error) == (
        "the target 'order' never occurs in outcomes; outcomes that do: 'purchase', 'signup', 'visit'"
    )
    assert error.facts["found"] == ["purchase", "signup", "visit"]


def test_milestones_that_never_occur():
    error = fails(attrib.DataError, "no_target", stages=attrib.StageModel([("a", "open"), ("b", "close")]))
    assert "no milestone (open, close) occurs" in error.message
    assert error.facts["found"] == ["purchase"]


def test_no_flagged_row_means_no_outcome():
    frame = touches().with_columns(flag=pl.lit(value=False))
    with pytest.raises(attrib.DataError) as caught:
        attrib.Linear().credit(form(frame, attrib.InlineOutcome(flag="flag")))
    assert caught.value.key in {"no_rows", "no_target"}


def test_things_that_are_no_table():
    assert fails(attrib.SpecError, "bad_table", [1, 2]).exit_code == 2
    assert fails(attrib.SpecError, "bad_table", {"customer_id": [1]}).exit_code == 2
    assert fails(attrib.SpecError, "bad_table", None, 5)


def test_two_of_our_columns_from_one_of_theirs():
    theirs = touches().rename({"channel": "x"})
    fails(attrib.SpecError, "bad_columns", theirs, columns={"channel": "x", "stage": "x"})


# --- files ---


def test_no_file(tmp_path):
    assert fails(attrib.DataError, "no_file", tmp_path / "none.parquet").facts["path"].endswith("none.parquet")
    assert fails(attrib.DataError, "no_file", f"{tmp_path}/*.csv")
    assert fails(attrib.DataError, "no_file", tmp_path)  # a folder with nothing
    (tmp_path / "_SUCCESS").touch()
    assert fails(attrib.DataError, "no_file", str(tmp_path))


def test_folders_of_several_kinds(tmp_path):
    touches().write_csv(tmp_path / "a.csv")
    touches().write_parquet(tmp_path / "b.parquet")
    assert fails(attrib.DataError, "mixed_file_types", tmp_path)
    (tmp_path / "notes.docx").write_text("x")
    assert fails(attrib.DataError, "unknown_file_type", tmp_path).facts["file"] == "notes.docx"


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_empty_files(tmp_path, name):
    (tmp_path / name).touch()
    assert fails(attrib.DataError, "empty_file", tmp_path / name).facts["file"] == name


def test_a_file_with_a_header_alone(tmp_path):
    touches().clear().write_csv(tmp_path / "t.csv")
    assert fails(attrib.DataError, "no_rows", tmp_path / "t.csv")


@pytest.mark.parametrize("cut", [1, 17, 200])
def test_truncated_parquet(tmp_path, cut):
    touches().write_parquet(tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(whole[:-cut])
    error = fails(attrib.DataError, "unreadable_file", tmp_path / "t.parquet")
    assert "t.parquet" in str(error)
    assert error.exit_code == 3


def test_damaged_pages_of_a_parquet_file(tmp_path):
    touches(n=5000).write_parquet(tmp_path / "t.parquet", compression="zstd")
    content = bytearray((tmp_path / "t.parquet").read_bytes())
    content[4:200] = bytes(196)
    (tmp_path / "t.parquet").write_bytes(content)
    assert fails(attrib.DataError, "unreadable_file", tmp_path / "t.parquet")


def test_a_csv_file_that_is_no_text(tmp_path):
    (tmp_path / "t.csv").write_bytes(bytes(range(256)) * 20)
    with pytest.raises(attrib.DataError):
        attrib.Linear().credit(form(tmp_path / "t.csv"))


def test_truncated_csv(tmp_path):
    text = touches().write_csv().rstrip("\n")
    (tmp_path / "t.csv").write_text(text[: text.rindex(",")])
    error = fails(attrib.DataError, "truncated_file", tmp_path / "t.csv")
    assert error.facts == {"found": 2, "wanted": 3}


def test_truncated_gzip(tmp_path):
    packed = gzip.compress(touches(n=3000).write_csv().encode())
    (tmp_path / "t.csv.gz").write_bytes(packed[: len(packed) // 2])
    assert "t.csv.gz" in str(fails(attrib.DataError, "truncated_file", tmp_path / "t.csv.gz"))
    (tmp_path / "t.csv.gz").write_bytes(packed[:-4])
    assert fails(attrib.DataError, "truncated_file", tmp_path / "t.csv.gz")


def test_truncated_gzip_of_whole_stream_but_cut_text(tmp_path):
    text = touches().write_csv().rstrip("\n")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text[: text.rindex(",")].encode()))
    assert fails(attrib.DataError, "truncated_file", tmp_path / "t.csv.gz").facts == {"found": 2, "wanted": 3}


def test_gzip_that_is_none(tmp_path):
    (tmp_path / "t.csv.gz").write_text(touches().write_csv())
    assert fails(attrib.DataError, "truncated_file", tmp_path / "t.csv.gz")


def test_a_csv_row_with_more_cells_than_columns(tmp_path):
    (tmp_path / "t.csv").write_text(touches().write_csv() + "c1,2025-03-01,ad,extra\n")
    rejected = form(tmp_path / "t.csv").rejected()
    assert rejected.select("row", "rule", "channel").rows() == [(40, "too_many_cells", "ad")]


def test_a_comma_too_many_is_seen_where_the_last_column_is_not_read(tmp_path):
    """Else 1,234.50 would be read as 1, and the rest of the line as a column that nobody looks at."""
    lines = ["customer_id,timestamp,outcome,value,currency", "c1,2025-03-01,purchase,1,234.50,EUR"]
    lines += [f"c{i},2025-03-01,purchase,5.5,EUR" for i in range(30)]
    (tmp_path / "o.csv").write_text("\n".join(lines) + "\n")
    journeys = form(None, tmp_path / "o.csv")
    assert journeys.rejected().select("row", "rule").rows() == [(0, "too_many_cells")]
    assert journeys.reconcile().filter(pl.col("entry").is_in(["credited", "unattributed"]))["value"].sum() == 165.0


def test_csv_files_of_one_folder_may_order_their_columns_as_they_like(tmp_path):
    touches().head(20).write_csv(tmp_path / "1.csv")
    touches().tail(20).select("channel", "timestamp", "customer_id", page=pl.lit("x")).write_csv(tmp_path / "2.csv")
    one, other = form(tmp_path), form(touches().with_columns(pl.col("timestamp").cast(pl.String)))
    assert attrib.Linear().credit(one).equals(attrib.Linear().credit(other))


def test_files_of_one_folder_with_other_columns(tmp_path):
    touches().write_parquet(tmp_path / "1.parquet")
    touches().rename({"channel": "source"}).write_parquet(tmp_path / "2.parquet")
    assert fails(attrib.DataError, "unreadable_file", tmp_path)


# --- too many players ---


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_cap_on_players_names_the_column_and_the_top_offenders(shuffle):
    pages = [f"/page/{i}" for i in range(30)] + ["/home"] * 10
    frame = touches().with_columns(pl.Series("channel", pages))
    error = fails(attrib.DataError, "too_many_players", frame.reverse() if shuffle else frame, max_players=29)
    assert error.facts == {"column": "channel", "limit": 29, "found": 31}
    assert "'/home'" in error.message
    assert "raise max_players above 29" in error.hint
    assert attrib.Linear().credit(form(frame, max_players=31)).height == 32


def test_the_cap_looks_at_all_player_columns():
    frame = touches().with_columns(creative=pl.col("customer_id"))
    error = fails(attrib.DataError, "too_many_players", frame, player=("channel", "creative"), max_players=20)
    assert error.facts["column"] == "creative"


def test_the_cap_counts_combinations():
    """Six channels times seven devices are 42 players."""
    frame = touches(n=84).with_columns(
        channel=pl.format("channel {}", pl.int_range(84) % 6), device=pl.format("device {}", pl.int_range(84) % 7)
    )
    assert attrib.Linear().credit(form(frame, player=("channel", "device"), max_players=42)).height == 43
    error = fails(attrib.DataError, "too_many_players", frame, player=("channel", "device"), max_players=41)
    assert error.facts == {"column": "device", "limit": 41, "found": 42}
    assert "channel (6 values) and device (7 values)" in error.message


def test_the_cap_of_path_tables():
    frame = pl.DataFrame({"path": ["a > b", "b > c > b"], "total_conversions": [1, 1]})
    with pytest.raises(attrib.DataError) as caught:
        attrib.Linear().credit(attrib.Journeys.from_paths(frame, max_players=2))
    assert caught.value.key == "too_many_players"
    assert "'b', 'a', 'c'" in caught.value.message


# --- what is allowed but worth a warning ---


def test_negative_values_and_future_dates_are_warned_about():
    ahead = dt.datetime(2125, 1, 1)  # noqa: DTZ001
    bought = outcomes({"value": -3.0}, {"value": -1.0}, {"timestamp": ahead})
    journeys = form(touches({"timestamp": ahead}), bought, refunds="keep")
    assert journeys.rejected().is_empty()
    far = "1 of them by more than a year, the latest at 2125-01-01: a wrong year, or a number in another unit?"
    assert journeys.warnings == (
        told_if_kept(2),
        f"1 touchpoints lie in the future, {far}",
        f"1 outcomes lie in the future, {far}",
    )


def test_clean_data_have_no_warnings():
    assert form().warnings == ()


def test_dates_are_warned_about():
    (warning,) = form(touches().with_columns(pl.col("timestamp").dt.date())).warnings
    assert "dates without a time of day" in warning


def test_repeated_event_ids_of_outcomes():
    reached = outcomes({"event_id": "e1", "value": 5.0}, {"event_id": "e1", "value": 5.0}, {"event_id": None})
    journeys = form(touches({}), reached)
    assert ledger(journeys, "outcomes") == {"in": 43, "credited": 42, "duplicate": 1}
    assert journeys.warnings == ("1 outcomes with a repeated event_id were dropped",)
    assert ledger(form(touches({}), reached, duplicates="keep"), "outcomes") == {"in": 43, "credited": 43}


# --- names that mean something to somebody ---

HOSTILE = [
    "null", "None", "nan", "start", "conversion", "(conversion)", "unattributed", "player",
    "\x1b[31mred\x1b[0m", "=cmd|' /C calc'!A0", "+1", "-1", "@sum", "\ttab", "line\nbreak", "carriage\rreturn",
    "\u202egnp.exe", "nul\x00byte", "'; DROP TABLE x; --", "a > b", "ünïcödé", "🙂" * 20, "x" * 10_000, " padded ",
]  # fmt: skip


@pytest.mark.parametrize("route", ["frame", "lazy", "parquet", "csv"])
def test_hostile_names_are_names(tmp_path, route):
    names = [name for name in HOSTILE if route != "csv" or "\x00" not in name]
    frame = pl.DataFrame({"customer_id": names, "timestamp": [DAY] * len(names), "channel": names})
    reached = frame.select("customer_id", "timestamp", outcome=pl.lit("purchase"))
    given: Any = frame
    if route == "lazy":
        given = frame.lazy()
    elif route == "parquet":
        given = tmp_path / "t.parquet"
        frame.write_parquet(given)
    elif route == "csv":
        given = tmp_path / "t.csv"
        frame.write_csv(given)
    journeys = form(given, reached)
    table = attrib.credit(journeys, [attrib.Linear(), attrib.Markov(), attrib.Shapley()], intervals=None)
    for (_,), rows in table.filter(kind="player").group_by("method"):
        assert sorted(rows["channel"]) == sorted(names)
        assert rows["conversions"].to_list() == pytest.approx([1.0] * len(names))
    assert sorted(journeys.to_frame()["customer_id"]) == sorted(names)


def test_hostile_outcomes_in_messages_are_quoted():
    error = fails(attrib.DataError, "no_target", None, outcomes().with_columns(outcome=pl.lit("\x1b[31mred\n")))
    assert "\x1b" not in str(error)
    assert "\n" not in str(error)


# --- numbers at the edges ---


@pytest.mark.parametrize("size", [1e-300, 1e-12, 1.0, 1e12, 1e300])
def test_huge_and_tiny_values(size):
    value = pl.Series("value", [size * (1 + i) for i in range(40)])
    table = attrib.credit(
        form(None, outcomes().with_columns(value)), [attrib.Linear(), attrib.Markov()], intervals=None
    )
    for (_,), rows in table.group_by("method"):
        assert rows["value"].sum() == pytest.approx(size * 820, rel=1e-12)


def test_huge_beside_tiny_values():
    value = pl.Series("value", [1e15] + [0.01] * 39)
    table = attrib.Linear().credit(form(None, outcomes().with_columns(value)))
    assert table["value"].sum() == pytest.approx(1e15 + 0.39, rel=1e-15)


@pytest.mark.parametrize("number", [None, math.nan, math.inf, -math.inf])
def test_not_one_value_that_is_no_number_passes(number):
    reached = outcomes().with_columns(value=pl.lit(number, pl.Float64))
    assert fails(attrib.RejectedError, "too_many_rejected", None, reached).facts["rejected"] == 40


def test_times_at_the_edges():
    early = dt.datetime(1700, 1, 1)  # noqa: DTZ001
    journeys = form(touches({"timestamp": early}), outcomes({"timestamp": early}), lookback=None)
    assert journeys.to_frame().filter(customer_id="ann")["status"].to_list() == ["converting"]
    far = pl.DataFrame({**GOOD_TOUCH, "timestamp": dt.datetime(9000, 1, 1)})  # noqa: DTZ001
    nanoseconds = outcomes().with_columns(pl.col("timestamp").dt.cast_time_unit("ns"))
    assert fails(attrib.DataError, "time_out_of_range", far, nanoseconds)


# --- path tables ---


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ((None, 1, 0, 1.0), "path_missing"),
        (("a", None, 0, 1.0), "conversions_not_a_count"),
        (("a", -1, 0, 1.0), "conversions_not_a_count"),
        (("a", 1.5, 0, 1.0), "conversions_not_a_count"),
        (("a", math.inf, 0, 1.0), "conversions_not_a_count"),
        (("a", 1, -2, 1.0), "nulls_not_a_count"),
        (("a", 1, 0, math.nan), "value_not_finite"),
        (("a", 1, 0, None), "value_not_finite"),
        (("a", 0, 1, 5.0), "value_without_conversions"),
        (("a >  > b", 1, 0, 1.0), "channel_empty"),
        (("a > ", 1, 0, 1.0), "channel_empty"),
    ],
)
def test_rules_of_path_tables(row, rule):
    good = [(f"p{i}", 1, 1, 2.0) for i in range(30)]
    schema = ["path", "total_conversions", "total_null", "total_conversion_value"]
    types = {"total_conversions": pl.Float64, "total_null": pl.Float64, "total_conversion_value": pl.Float64}
    frame = pl.DataFrame([*good, row], schema=schema, orient="row", schema_overrides=types, strict=False)
    journeys = attrib.Journeys.from_paths(frame)
    assert journeys.rejected().select("table", "row", "rule").rows() == [("paths", 30, rule)]
    assert attrib.Linear().credit(journeys)["conversions"].sum() == 30.0


def test_too_many_bad_paths():
    frame = pl.DataFrame({"path": ["a", "b"], "total_conversions": [1, -1]})
    with pytest.raises(attrib.RejectedError) as caught:
        attrib.Linear().credit(attrib.Journeys.from_paths(frame))
    assert caught.value.facts["rules"] == {"conversions_not_a_count": 1}


def test_missing_columns_of_paths():
    with pytest.raises(attrib.DataError, match="1 of 2 required columns is missing from paths: total_conversions"):
        attrib.Journeys.from_paths(pl.DataFrame({"path": ["a"]}))


def test_a_blank_channel_is_rejected_in_every_batch(monkeypatch):
    """Also where it was met before: a dictionary knows it by then."""
    monkeypatch.setattr("attrib.engines.reading.BATCH", 10)
    frame = touches().with_columns(
        channel=pl.when(pl.int_range(40).is_in([3, 25])).then(pl.lit(" ")).otherwise(pl.col("channel"))
    )
    assert form(frame, max_rejects=0.5).rejected()["row"].to_list() == [3, 25]


def test_an_absurd_value_on_a_rejected_row_spoils_nothing():
    reached = outcomes({"customer_id": None, "value": 1e300}, n=30)
    table = attrib.Linear().credit(form(None, reached, max_rejects=0.5))
    assert table["value"].sum() == pytest.approx(outcomes(n=30)["value"].sum(), rel=1e-12)


def test_values_far_apart_each_keep_their_digits():
    ends = pl.DataFrame(
        {"path": ["small", "large"], "total_conversions": [1, 1], "total_conversion_value": [19.99, 1e12]}
    )
    table = attrib.Linear().credit(attrib.Journeys.from_paths(ends)).filter(kind="player")
    assert table["value"].to_list() == [1e12, 19.99]
