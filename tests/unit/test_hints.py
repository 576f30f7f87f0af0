"""Hints lead somewhere: each proposal is carried out, and what was stopped gets further."""

from __future__ import annotations

import ast
import datetime as dt
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import attrib
from attrib.io.looks import what_they_look_like
from attrib.job import run
from attrib.lifecycle import purchase_summary
from attrib.likely import role_in_paths
from attrib.loading import build_method, load
from attrib.methods import METHODS
from attrib.methods.elsewhere import CALLED
from attrib.spec import read_job
from attrib.spec_models import read_estimator

DAY = dt.datetime(2024, 1, 1)  # noqa: DTZ001 - naive, as most logs are
TOUCHES = pl.DataFrame({"customer_id": [1, 2], "timestamp": [DAY, DAY], "channel": ["ad", "mail"]})
OUTCOMES = pl.DataFrame({"customer_id": [1], "timestamp": [DAY + dt.timedelta(1)], "outcome": ["purchase"]})
MAPPED = re.compile(r'(\w+) = ("(?:[^"\\]|\\.)*")')  # as in TOML
NAMED = re.compile(r"(\w+) = '([^']*)'")


def hint_of(call: Callable[[], Any]) -> str:
    with pytest.raises(attrib.AttribError) as caught:
        call()
    assert caught.value.hint
    return caught.value.hint


# --- columns of events ---


@pytest.mark.parametrize(
    ("touched", "reached"),
    [
        ({"customer_id": "userId", "timestamp": "event_time", "channel": "utm_source"}, {}),
        ({"channel": "media"}, {"customer_id": "client_id"}),
        ({"customer_id": "visitor"}, {"customer_id": "visitor", "timestamp": "ordered_at", "outcome": "event_name"}),
        ({"timestamp": 'the "time"'}, {"timestamp": "date"}),
    ],
)
def test_mappings_that_are_proposed_lead_to_journeys(touched, reached):
    tables = TOUCHES.rename(touched), OUTCOMES.rename(reached)
    columns: dict[str, Any] = {}
    for _ in range(4):
        try:
            attrib.Journeys.from_events(*tables, columns=columns or None).reconcile()
        except attrib.DataError as error:
            own = re.search(r'columns=\{"(\w+)": ', error.hint)
            found = {ours: tomllib.loads(f"x = {theirs}")["x"] for ours, theirs in MAPPED.findall(error.hint)}
            if not found:
                pytest.fail(error.hint)
            (columns.setdefault(own[1], {}) if own else columns).update(found)
        else:
            return
    pytest.fail(f"hints did not lead to journeys: {columns}")


def test_a_table_with_names_of_its_own_is_told_how_to_map_it_alone():
    touched, reached = TOUCHES.rename({"customer_id": "user"}), OUTCOMES.rename({"customer_id": "client_id"})
    hint = hint_of(lambda: attrib.Journeys.from_events(touched, reached, columns={"customer_id": "user"}))
    assert '[input.columns.outcomes] customer_id = "client_id"' in hint
    attrib.Journeys.from_events(
        touched, reached, columns={"customer_id": "user", "outcomes": {"customer_id": "client_id"}}
    ).reconcile()


def test_found_lists_the_names_of_the_file_one_table_a_line():
    touched, reached = TOUCHES.rename({"customer_id": "user"}), OUTCOMES.rename({"customer_id": "user"})
    with pytest.raises(attrib.DataError) as caught:
        attrib.Journeys.from_events(touched.drop("channel"), reached, columns={"customer_id": "user"})
    assert "found: user, timestamp" in caught.value.message
    with pytest.raises(attrib.DataError) as caught:
        attrib.Journeys.from_events(touched, reached, columns={"customer_id": "usr"})
    assert caught.value.message.splitlines()[1:] == [
        "found in touchpoints: user, timestamp, channel",
        "found in outcomes: user, timestamp, outcome",
    ]
    ours, theirs = NAMED.findall(caught.value.hint)[0]
    attrib.Journeys.from_events(touched, reached, columns={ours: theirs}).reconcile()
    with pytest.raises(attrib.DataError, match="found in outcomes: user, timestamp, outcome"):
        attrib.Journeys.from_events(touched, reached, columns={"customer_id": "user"}, by="country")


def test_players_of_other_columns_need_no_channel(tmp_path):
    touched = pl.DataFrame(
        {
            "customer_id": [1, 1],
            "timestamp": [DAY, DAY + dt.timedelta(hours=1)],
            "utm_source": ["google", "direct"],
            "utm_medium": ["cpc", None],
        }
    )
    player = ["utm_source", "utm_medium"]
    journeys = attrib.Journeys.from_events(touched, OUTCOMES, player=player)
    table = attrib.credit(journeys, [attrib.LastTouch(), attrib.LastNonDirect()], intervals=None)
    won = table.filter(pl.col("conversions") > 0).select("method", *player).rows()
    assert won == [("last_touch", "direct", None), ("last_non_direct", "google", "cpc")]
    with pytest.raises(attrib.DataError) as caught:
        attrib.Journeys.from_events(touched, OUTCOMES, player=["utm_source", "utm_campaign"])
    assert caught.value.facts["missing"] == ["utm_campaign"]
    flagged = touched.with_columns(conversion=pl.Series([0, 1]))
    attrib.Journeys.from_events(flagged, attrib.InlineOutcome(), player=player).reconcile()
    touched.write_parquet(tmp_path / "t.parquet")
    OUTCOMES.write_parquet(tmp_path / "o.parquet")
    job = tmp_path / "job.toml"
    job.write_text(
        '[input]\ntouchpoints = "t.parquet"\noutcomes = "o.parquet"\n[journeys]\n'
        'player = ["utm_source", "utm_medium"]\n'
        '[[models]]\nmethod = "last_non_direct"\n[intervals]\nreplicates = 0\n'
    )
    run(load(job))


@pytest.mark.parametrize("empty", ["", " ", None])
def test_a_player_without_a_first_name_is_no_rejected_row(empty):
    touched = TOUCHES.with_columns(source=pl.Series(["ad", empty])).drop("channel")
    journeys = attrib.Journeys.from_events(touched, OUTCOMES, player="source")
    assert journeys.reconcile().filter(table="touchpoints", entry="rejected")["rows"].item() == 0


# --- path tables ---

PATH_NAMES = [
    {
        "path": "journey",
        "total_conversions": "conversions",
        "total_conversion_value": "revenue",
        "total_null": "non_conversions",
    },
    {
        "path": "multitouch",
        "total_conversions": "conv",
        "total_conversion_value": "revenue_conv",
        "total_null": "null_conv",
    },
    {
        "path": "channelPath",
        "total_conversions": "orders",
        "total_conversion_value": "Umsatz",
        "total_null": "notConverted",
    },
    {
        "path": "conversion_path",
        "total_conversions": "converted",
        "total_conversion_value": "conversion value",
        "total_null": "unconverted",
    },
]


@pytest.mark.parametrize("names", PATH_NAMES)
def test_names_that_are_proposed_for_a_path_table_lead_to_its_journeys(names, tmp_path):
    table = pl.DataFrame(
        {
            "path": ["a > b", "b"],
            "total_conversions": [30, 20],
            "total_conversion_value": [300.0, 200.0],
            "total_null": [100, 10],
        }
    )
    renamed = table.rename(names)
    hint = hint_of(lambda: attrib.Journeys.from_paths(renamed))
    proposed = dict(NAMED.findall(hint))
    journeys = attrib.Journeys.from_paths(renamed, **proposed)
    assert journeys.to_paths().equals(table.sort("path"))
    renamed.write_csv(tmp_path / "p.csv")
    keys = "".join(f"{ours} = '{theirs}'\n" for ours, theirs in proposed.items())
    (tmp_path / "job.toml").write_text(f'[input]\npaths = "p.csv"\n{keys}[[models]]\nmethod = "linear"\n')
    assert read_job(tmp_path / "job.toml").input.nulls == names["total_null"]


@pytest.mark.parametrize(
    "name", ["non_conversions", "null_conversions", "conversions_null", "not converted", "noConversion"]
)
def test_failures_are_never_taken_for_conversions(name):
    assert role_in_paths(name) == "nulls"


def test_unread_columns_that_look_like_value_and_nulls_are_named_and_can_be_read():
    table = pl.DataFrame(
        {"path": ["a"], "total_conversions": [3], "revenue": [30.0], "non_conversions": [7], "region": "x"}
    )
    journeys = attrib.Journeys.from_paths(table)
    with pytest.warns(attrib.AttribWarning) as told:
        journeys.reconcile()
    said = " ".join(str(one.message) for one in told)
    assert "count 1.0 each" in said
    assert "no journey fails" in said
    assert "region" not in said
    given = dict(re.findall(r"pass (\w+)='(\w+)'", said))
    assert given == {"value": "revenue", "nulls": "non_conversions"}
    attrib.Journeys.from_paths(table, **given).reconcile()
    attrib.Journeys.from_paths(table, value=None, nulls=None).reconcile()


@pytest.mark.parametrize(
    "mark", [">", "->", "=>", "|", ",", ";", "→", "\n", "›", "＞", "::", "\\", " + ", " & ", " - "]
)
def test_separators_other_than_the_one_given_are_told_and_the_remedy_works(mark):
    table = pl.DataFrame({"path": [f"a{mark}b", f"b {mark} c"], "total_conversions": [1, 1]})
    with pytest.warns(attrib.AttribWarning, match="channel names? contain") as told:
        attrib.Journeys.from_paths(table).reconcile()
    sep = ast.literal_eval(re.search(r"pass sep=('.*')", str(told[0].message))[1])
    assert attrib.Journeys.from_paths(table, sep=sep).paths()["players"].to_list() == [["a", "b"], ["b", "c"]]


def test_a_separator_at_the_end_of_a_path_is_told_and_can_be_taken_off():
    table = pl.DataFrame({"path": ["a > b >", "> b > c"], "total_conversions": [1, 1]})
    with pytest.warns(attrib.AttribWarning, match="2 channel names begin or end with '>'") as told:
        attrib.Journeys.from_paths(table).reconcile()
    expression = eval(re.search(r"pl\.col.*", str(told[0].message))[0], {"pl": pl})
    assert attrib.Journeys.from_paths(table.with_columns(expression)).paths()["players"].to_list() == [
        ["a", "b"], ["b", "c"]
    ]  # fmt: skip
    table = pl.DataFrame({"path": ["a > b > ", " > b > c"], "total_conversions": [1, 1]})
    expression = hint_of(lambda: attrib.Journeys.from_paths(table).reconcile())
    mended = table.with_columns(eval(re.search(r"pl\.col.*", expression)[0], {"pl": pl}))
    assert attrib.Journeys.from_paths(mended).paths()["players"].to_list() == [["a", "b"], ["b", "c"]]


def follow(message, table):
    """What the expression that a message gives makes of a table, and the argument that it names."""
    call = re.search(r"(table\.with_columns\(.*?\))(?:, nulls='(\w+)'| \(in a job| \[|$)", message)
    return eval(call[1], {"pl": pl, "table": table}), {"nulls": call[2]} if call[2] else {}


A_ROW_A_JOURNEY = pl.DataFrame(
    {"path": ["a > b", "b", "a > c", "c", "b"], "converted": [1, 0, 0, 0, 1], "journeys": [1, 1, 1, 1, 1]}
)


@pytest.mark.parametrize(
    "change",
    [
        [],
        [pl.col("converted").cast(pl.String)],
        [pl.lit(0).alias("total_null")],
        [pl.col("converted") * 2],
        [pl.lit("x").alias("x")],
    ],
)
def test_rows_that_count_nothing_are_told_counted_and_can_be_counted_as_nulls(change, tmp_path):
    table = A_ROW_A_JOURNEY.with_columns(change)
    table = table if "x" in table.columns else table.drop("journeys")
    named = {"conversions": "converted"}
    journeys = attrib.Journeys.from_paths(table, **named)
    with pytest.warns(attrib.AttribWarning) as told:
        ledger = journeys.reconcile()
    rows = dict(ledger.filter(table="paths").select("entry", "rows").rows())
    assert rows == {"in": 5, "used": 2, "without_effect": 3, "rejected": 0}
    (found,) = journeys.findings
    assert (found.key, found.count, found.of, str(told[0].message)) == ("paths_without_effect", 3, 5, found.text)
    with pytest.warns(attrib.AttribWarning, match=r"3 of 5 rows of paths count neither.*\[no_nulls\]"):
        attrib.Markov().credit(journeys)
    mended, given = follow(found.text, table)
    again = attrib.Journeys.from_paths(mended, **named, **given)
    assert again.warnings == ()
    assert sum(again.to_paths()["total_null"]) == 3
    if rows["used"] == again.to_paths()["total_conversions"].sum():  # the twin: one journey a row, by hand
        assert again.to_paths().select("path", "total_conversions", "total_null").rows() == [
            ("a > b", 1, 0), ("a > c", 0, 1), ("b", 1, 1), ("c", 0, 1)
        ]  # fmt: skip
    table.write_csv(tmp_path / "p.csv")  # of a file, the remedy is for the table as polars reads it
    (found,) = attrib.Journeys.from_paths(tmp_path / "p.csv", **named).findings
    follow(found.text, pl.read_csv(tmp_path / "p.csv"))[0].write_csv(tmp_path / "mended.csv")
    assert attrib.Journeys.from_paths(tmp_path / "mended.csv", **named, **given).to_paths().equals(again.to_paths())


def test_a_column_of_all_journeys_gives_the_nulls(tmp_path):
    table = pl.DataFrame({"path": ["a > b", "b", "c"], "conversions": [2, 0, 0], "journeys": [10, 7, 1]})
    table.write_csv(tmp_path / "p.csv")
    for source in (table, tmp_path / "p.csv", table.with_columns(pl.col("journeys").cast(pl.String))):
        (found,) = attrib.Journeys.from_paths(source, conversions="conversions").findings
        given = source if isinstance(source, pl.DataFrame) else table
        mended, named = follow(found.text, given)
        again = attrib.Journeys.from_paths(mended, conversions="conversions", **named)
        assert again.to_paths()["total_null"].to_list() == [8, 7, 1]


def test_flags_of_a_path_table_are_told_how_to_be_counted():
    for flags in ([True, False], ["True", "no"]):
        table = pl.DataFrame({"path": ["a", "b"], "total_conversions": flags})
        mended, given = follow(hint_of(lambda table=table: attrib.Journeys.from_paths(table).reconcile()), table)
        assert attrib.Journeys.from_paths(mended, **given).to_paths().select(
            "total_conversions", "total_null"
        ).rows() == [(1, 0), (0, 1)]


@pytest.mark.parametrize(("start", "end", "null"), [("start", "conversion", "null"), ("(start)", "(conv)", "(null)")])
def test_states_of_other_packages_are_told_and_can_be_taken_off(start, end, null):
    paths = ["a > b", "b", "a > c"]
    table = pl.DataFrame({"path": paths, "total_conversions": [5, 2, 0], "total_null": [0, 0, 3]})
    ends = pl.Series([end, end, null])
    stated = table.with_columns(path=pl.format(f"{start} > {{}} > {{}}", "path", ends))
    for form in (stated, stated.with_columns(pl.col("path").str.split(" > "))):
        (found,) = attrib.Journeys.from_paths(form).findings
        assert (found.key, found.count) == ("path_states", 3)
        again = attrib.Journeys.from_paths(follow(found.text, form)[0])
        assert again.findings == ()
        assert again.to_paths().equals(attrib.Journeys.from_paths(table).to_paths())
    inside = table.with_columns(path=pl.Series([f"{start} > {end} > {start}", f"{end} > {null} > {end}", null]))
    assert not attrib.Journeys.from_paths(inside).findings  # they stand elsewhere, too: channels of that name


@pytest.mark.parametrize("form", ["['a', \"b's, c\"]", '["a", "b\'s, c"]', "('a', \"b's, c\")", "[a, bc]", "{a,bc}"])
def test_lists_written_as_text_are_told_and_can_be_read(form):
    table = pl.DataFrame({"path": [form, form.replace("a", "d"), "[]"], "total_conversions": [1, 1, 1]})
    (said,) = attrib.Journeys.from_paths(table).warnings
    assert "lists written as text" in said
    again = attrib.Journeys.from_paths(follow(said, table)[0])
    last = "bc" if "bc" in form else "b's, c"
    assert again.paths()["players"].to_list() == [["a", last], ["d", last]]
    assert again.warnings == ()


def test_signs_that_names_hold_are_told_only_where_they_part_names():
    table = pl.DataFrame({"path": ["Brand - Search > b", "a & c"], "total_conversions": [1, 1]})
    assert attrib.Journeys.from_paths(table).warnings == ()
    table = pl.DataFrame({"path": ["a - b", "a > c"], "total_conversions": [1, 1]})
    assert "contains ' - '" in attrib.Journeys.from_paths(table).warnings[0]


def test_orders_without_a_column_of_outcomes_are_told_to_say_what_they_are():
    orders = OUTCOMES.drop("outcome")
    hint = hint_of(lambda: attrib.Journeys.from_events(TOUCHES, orders))
    for library, table in (("polars", orders), ("pandas", orders.to_pandas())):
        mended = eval(re.search(rf"(orders\.\S+) in {library}", hint)[1], {"orders": table, "pl": pl})
        attrib.Journeys.from_events(TOUCHES, mended).reconcile()


def test_links_with_other_names_are_told_how_to_call_them():
    links = pl.DataFrame({"cookie": ["1"], "user": ["2"]})
    hint = hint_of(lambda: attrib.Journeys.from_events(TOUCHES, OUTCOMES, identities=links))
    attrib.Journeys.from_events(
        TOUCHES, OUTCOMES, identities=eval(re.search(r"links\.rename.*\)", hint)[0])
    ).reconcile()


def test_counts_of_nulls_that_are_none_are_shown():
    table = pl.DataFrame({"path": ["a", "b"], "total_conversions": [1, 1], "total_null": [-3, 1]})
    with pytest.raises(attrib.RejectedError, match="row 0 has nulls '-3'"):
        attrib.Journeys.from_paths(table).reconcile()


@pytest.mark.parametrize(
    ("name", "ours"),
    [("linear_touch", "linear"), ("linear-multi-touch", "linear"), ("even touch", "linear"),
     ("time_decay_model", "time_decay"), ("position based touch", "position_based"),
     ("markov_attribution", "markov"), ("last_touch_rule", "last_touch")],
)  # fmt: skip
def test_words_around_the_name_of_a_method_say_nothing(name, ours):
    assert _message(name).endswith(f"did you mean {ours}?")


def test_mixed_separators_are_told():
    table = pl.DataFrame({"path": ["a > b", "a | b", "a / b > c"], "total_conversions": [1, 1, 1]})
    with pytest.warns(attrib.AttribWarning, match="contains '|', e.g. 'a | b': .* write ' > ' in its place"):
        attrib.Journeys.from_paths(table).reconcile()


# --- lists, and there and back ---


@pytest.mark.parametrize(
    "names", [["a", "b > c"], ["a", "b >", "c"], ["email", "email "], [">", "a"], ["a\u00a0", "b"]]
)
def test_paths_as_lists_come_back_as_they_were(names):
    touched = pl.DataFrame(
        {"customer_id": 1, "timestamp": [DAY + dt.timedelta(hours=i) for i in range(len(names))], "channel": names}
    )
    table = attrib.Journeys.from_events(touched, OUTCOMES).paths(None)
    again = attrib.Journeys.from_paths(table, path="players", conversions="conversions", value="value", nulls="nulls")
    assert again.paths(None).equals(table)


def test_a_text_of_names_that_white_space_ends_is_refused_and_lists_are_not():
    touched = TOUCHES.with_columns(channel=pl.Series(["ad ", "mail"]))
    journeys = attrib.Journeys.from_events(touched, OUTCOMES)
    with pytest.raises(attrib.DataError, match="white space, which a path text loses") as caught:
        journeys.to_paths()
    assert eval(caught.value.hint.split("take lists: ")[1], {"attrib": attrib, "journeys": journeys})


@pytest.mark.parametrize(
    "lists",
    [
        [["a", "b"], ["b"], []],
        pl.Series([["a", "b"], ["b"], []], dtype=pl.List(pl.Categorical)),
    ],
)
def test_a_column_of_lists_is_a_column_of_paths(lists, tmp_path):
    table = pl.DataFrame({"path": lists, "total_conversions": [1, 2, 3]})
    table.write_parquet(tmp_path / "p.parquet")
    for form in (table, tmp_path / "p.parquet", table.to_pandas(), table.to_arrow(), table.lazy()):
        credit = attrib.Linear().credit(attrib.Journeys.from_paths(form))
        assert dict(credit.select("channel", "conversions").iter_rows()) == {"a": 0.5, "b": 2.5, None: 3.0}


def test_lists_with_nameless_channels_are_rejected_rows():
    table = pl.DataFrame({"path": [["a", None], ["a", " "], None, ["a"]], "total_conversions": [1, 1, 1, 1]})
    journeys = attrib.Journeys.from_paths(table, max_rejects=1.0)
    assert journeys.rejected().select("row", "rule").rows() == [
        (0, "channel_empty"),
        (1, "channel_empty"),
        (2, "path_missing"),
    ]


# --- methods, texts, other tables ---


def test_names_that_other_tools_give_methods_lead_to_ours():
    for ours, names in CALLED.items():
        assert ours in METHODS
        for name in names:
            hint = re.search(r"did you mean (\w+)\?", _message(name))[1]
            assert hint == ours


def _message(name: str) -> str:
    with pytest.raises(attrib.SpecError) as caught:
        build_method(name, {}, "job.toml")
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "looks"),
    [
        ("1704103200", "Unix time in seconds"),
        ("1704103200000", "milliseconds"),
        ("1704103200.5", "seconds"),
        ("1704103200000000", "microseconds"),
        ("20.03.2024", "%d.%m.%Y"),
        ("03/20/2024 10:00", "slashes"),
        ("20240320", "without hyphens"),
        ("45371", "spreadsheet"),
        ("2024-03-20 10:00 PM", "12 hours"),
        ("20 Mar 2024", "name of a month"),
        ("2024/03/20", "%Y/%m/%d"),
    ],
)
def test_rejected_times_are_told_by_what_they_look_like(text, looks):
    touched = TOUCHES.with_columns(timestamp=pl.lit(text))
    with pytest.raises(attrib.RejectedError) as caught:
        attrib.Journeys.from_events(touched, OUTCOMES).reconcile()
    assert looks in caught.value.hint
    assert repr(text) in caught.value.message


def test_the_conversion_of_unix_time_that_is_proposed_works():
    hint = what_they_look_like("timestamp_unparseable", ["1704103200000"])
    expression = eval(re.search(r"pl\.from_epoch\(.*?\"ms\"\)", hint)[0], {"pl": pl})
    touched = TOUCHES.with_columns(timestamp=pl.lit("1704103200000")).with_columns(expression)
    attrib.Journeys.from_events(touched, OUTCOMES).reconcile()


@pytest.mark.parametrize(
    ("text", "looks"), [("1.234,50", "decimal comma"), ("1,234.50", "thousands"), ("€ 12", "currency")]
)
def test_rejected_values_are_told_by_what_they_look_like_and_the_proposal_works(text, looks):
    reached = OUTCOMES.with_columns(value=pl.lit(text))
    with pytest.raises(attrib.RejectedError) as caught:
        attrib.Journeys.from_events(TOUCHES, reached).reconcile()
    assert looks in caught.value.hint
    expression = eval(re.search(r"pl\.col\(\"value\"\).*?pl\.Float64\)", caught.value.hint)[0], {"pl": pl})
    attrib.Journeys.from_events(TOUCHES, reached.with_columns(expression)).reconcile()


def test_other_tables_propose_mappings_where_they_take_them_and_new_names_where_not():
    bought = pl.DataFrame({"user": [1, 1], "date": ["2024-01-01", "2024-02-01"]})
    hint = hint_of(lambda: purchase_summary(bought, at="2024-03-01"))
    purchase_summary(bought, at="2024-03-01", columns={k: v.strip('"') for k, v in MAPPED.findall(hint)})
    table = attrib.credit(attrib.Journeys.from_events(TOUCHES, OUTCOMES), attrib.Linear(), intervals=None)
    costs = pl.DataFrame({"media": ["ad"], "spend": [1.0]})
    hint = hint_of(lambda: attrib.spend(table, costs))
    attrib.spend(table, costs, columns={k: v.strip('"') for k, v in MAPPED.findall(hint)})


@pytest.mark.parametrize("name", ["lookback", "max_gap", "maturity"])
def test_durations_that_are_proposed_are_durations(name):
    for wrong in ("30 days", "1 month", 30):
        hint = hint_of(lambda wrong=wrong: attrib.Journeys.from_events(TOUCHES, OUTCOMES, **{name: wrong}))
        for right in re.findall(r'"(\w+)"', hint):
            attrib.Journeys.from_events(TOUCHES, OUTCOMES, **{name: right})


def test_every_hint_of_columns_says_how_they_are_named():
    """No default speaks of an argument that the function may lack."""
    source = Path(attrib.__file__).parent
    for file in source.rglob("*.py"):
        if file.name in ("schemas.py", "tables.py"):
            continue
        for line in file.read_text().splitlines():
            assert not re.search(r"hint=.*\[input\.columns\]", line), f"{file.name}: {line}"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("u_shaped", "attrib.PositionBased()"), ("last_touch", "attrib.LastTouch()"),
        ("last_click", "attrib.LastTouch()"),
        ("lasttouch", "attrib.LastTouch()"),
        ("W-shaped", 'attrib.CustomWeights({3: [0.4, 0.2, 0.4]}, otherwise="linear")'),
        ("Shaply", "attrib.Shapley()"), ("linear", "attrib.Linear()"), ("zzz", "attrib.Markov(order=1)"),
    ],
)  # fmt: skip
def test_names_of_methods_are_answered_with_what_to_write(name, written):
    journeys = attrib.Journeys.from_paths(pl.DataFrame({"path": ["a", "b"], "total_conversions": [1, 2]}))
    for given in (name, [name]):
        with pytest.raises(attrib.SpecError) as error:
            attrib.credit(journeys, given, intervals=None)
        assert error.value.hint.endswith(written)
    if name != "zzz":
        followed = eval(re.search(r"attrib\..*", error.value.hint)[0], {"attrib": attrib})
        assert "a" in attrib.credit(journeys, followed, intervals=None)["channel"].to_list()


@pytest.mark.parametrize(
    ("name", "ours"), [("LastClick", "LastTouch"), ("Ushaped", "PositionBased"), ("Jorneys", "Journeys")]
)
def test_attributes_that_are_not_there_are_answered_with_those_that_are(name, ours):
    with pytest.raises(AttributeError, match=rf"no attribute '{name}'; did you mean {ours}\?"):
        getattr(attrib, name)
    with pytest.raises(AttributeError, match=r"no attribute 'zzzz'$"):
        attrib.zzzz  # noqa: B018


def touched(**more):
    start = dt.datetime(2024, 1, 1)  # noqa: DTZ001
    table = pl.DataFrame({"customer_id": [1, 2], "timestamp": [start, start], "channel": ["ad", "tv"]})
    return table.with_columns(**more), pl.DataFrame(
        {"customer_id": [1], "timestamp": [start + dt.timedelta(1)], "outcome": ["purchase"]}
    )


@pytest.mark.parametrize(
    ("values", "unit"),
    [([1704103200, 1704103300], "s"), ([1704103200000, 1704103300000], "ms"), ([1704103200.0, 1704103300.0], "s")],
)
def test_whole_numbers_of_time_are_told_with_their_unit(values, unit):
    tables = touched(timestamp=pl.Series(values))
    with pytest.raises(attrib.DataError, match="not a datetime") as error:
        attrib.Journeys.from_events(*tables)
    told = re.search(r"(pl\.from_epoch\(.*?\)(, time_unit=\"\w+\")?\)) or", error.value.hint)[1]
    assert f'"{unit}"' in told
    fixed = tables[0].with_columns(eval(told, {"pl": pl}).alias("timestamp"))
    assert attrib.Journeys.from_events(fixed, tables[1]).reconcile().height


def test_columns_that_are_no_texts_are_told_how_to_become_some():
    tables = touched(channel=pl.Series([["ad", "tv"], ["tv"]]))
    with pytest.raises(attrib.DataError) as error:
        attrib.Journeys.from_events(*tables)
    told = re.search(r"(table\.explode\(.*?\))", error.value.hint)[1]
    fixed = eval(told, {"table": tables[0]})
    assert attrib.Journeys.from_events(fixed, tables[1]).reconcile().height
    tables = touched(channel=pl.Series([{"name": "ad"}, {"name": "tv"}]))
    with pytest.raises(attrib.DataError) as error:
        attrib.Journeys.from_events(*tables)
    fixed = tables[0].with_columns(eval(re.search(r"pl\.col.*", error.value.hint)[0], {"pl": pl}))
    assert attrib.Journeys.from_events(fixed, tables[1]).reconcile().height
    for odd, words in (
        (pl.Series([dt.time(8), dt.time(9)]), "has no date"),
        (pl.Series([dt.timedelta(1), dt.timedelta(2)]), "add its beginning"),
        (pl.Series([1, 2]), "not Unix time"),
    ):
        with pytest.raises(attrib.DataError, match=words):
            attrib.Journeys.from_events(*touched(timestamp=odd))


PATHS = pl.DataFrame({"path": ["a > b", "b"], "total_conversions": [30, 20], "total_null": [100, 10]})


def test_shares_are_not_taken_for_amounts():
    credit = attrib.credit(attrib.Journeys.from_paths(PATHS), attrib.Linear(), intervals=None)
    tests = pl.DataFrame({"channel": ["a"], "increment": ["10%"], "se": [2.0]})
    with pytest.raises(attrib.DataError, match="'10%' is a share of something") as raised:
        attrib.calibrate(credit, tests)
    assert "cast(" not in str(raised.value)
    renamed = tests.rename({"increment": "incremental_conversions"})
    with pytest.raises(attrib.DataError, match="found: channel, incremental_conversions, se;"):
        attrib.calibrate(credit, renamed)


@pytest.mark.parametrize("name", ["avg_order_value", "aov", "mean revenue", "averageValue", "revenue_per_order"])
def test_means_are_not_proposed_as_values(name):
    assert attrib.Journeys.from_paths(PATHS.with_columns(pl.lit(5.0).alias(name))).warnings == ()
    orders = OUTCOMES.with_columns(pl.lit(5.0).alias(name))
    assert not [w for w in attrib.Journeys.from_events(TOUCHES, orders).warnings if "unread" in w]


@pytest.mark.parametrize(
    ("touched", "columns", "said"),
    [
        ({"channel": "utm_source"}, {"channel": "utm"}, "did you mean channel = 'utm_source'?"),
        ({}, {"channel": "utm"}, "leave channel out of columns"),
        ({"customer_id": "user"}, {"customer_id": "usr"}, "did you mean customer_id = 'user'?"),
    ],
)
def test_columns_of_the_other_table_and_of_ours_are_not_proposed(touched, columns, said):
    assert said in hint_of(lambda: attrib.Journeys.from_events(TOUCHES.rename(touched), OUTCOMES, columns=columns))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[input]\ntouchpoints = "C:\\data\\t.parquet"', "in single quotes"),
        ('[input]\nsep = ">"\nsep = "|"', "a key stands once"),
        ("[input]\nsep\n", "each line is a key = value"),
        ("[input]\nsep = a\n", "text stands in double quotes"),
        ('name = "m"\nestimator = "gamma_gamma"\n', "attrib fit job.toml --data"),
        ('name = "m"\nmethod = "linear"\n', "attrib run job.toml"),
    ],
)
def test_job_files_that_are_none_are_told_what_they_are(text, said, tmp_path):
    (tmp_path / "job.toml").write_text(text)
    assert said in hint_of(lambda: read_job(tmp_path / "job.toml"))


def test_data_and_jobs_in_the_place_of_models_are_told(tmp_path):
    TOUCHES.write_parquet(tmp_path / "t.parquet")
    assert 'touchpoints = "t.parquet"' in hint_of(lambda: read_job(tmp_path / "t.parquet"))
    (tmp_path / "job.toml").write_text('[input]\npaths = "p.csv"\n')
    assert "--data job.toml" in hint_of(lambda: read_estimator(tmp_path / "job.toml"))
    (tmp_path / "models.toml").write_text('[[models]]\nmethod = "linear"\n')
    assert "run by a job" in hint_of(lambda: read_estimator(tmp_path / "models.toml"))
    assert "single quotes" in hint_of(lambda: attrib.Journeys.from_events("C:\temp.parquet", OUTCOMES))


def test_costs_of_nothing_and_states_of_campaigns_are_no_findings():
    paths = PATHS.with_columns(total_conversion_value=5.0)
    credit = attrib.credit(attrib.Journeys.from_paths(paths), attrib.Linear(), intervals=None)
    costs = pl.DataFrame({"channel": ["a", "a", "b"], "date": "2024-01-01", "cost": [0.0, 0.0, 3.0], "status": "on"})
    attrib.spend(credit, costs)  # warnings are errors
    with pytest.warns(attrib.AttribWarning, match=r"1 of 3 rows.*\[equal_rows\]"):
        attrib.spend(credit, costs.with_columns(cost=pl.lit(2.0)))


def test_units_are_told_how_to_be_written_and_touches_are_not_taken_for_purchases():
    for unit, short in (("week", "w"), ("Days", "d"), ("month", "30d")):
        with pytest.raises(attrib.SpecError, match=f"unit = '{unit}' is not .*; write unit=\"{short}\"$"):
            purchase_summary(OUTCOMES, "2025-01-01", unit=unit)
        purchase_summary(OUTCOMES, OUTCOMES["timestamp"][0].date(), unit=short)
    with pytest.warns(attrib.AttribWarning, match="are these touchpoints"):
        purchase_summary(TOUCHES, DAY.date())


def test_actions_are_a_column():
    rows = pl.DataFrame({"label": [1, 0], "propensity": [0.5, 0.5]})
    for actions in (rows, [[1], [2.5]], [pl.Series([1]), pl.Series([1.5])]):
        with pytest.raises(attrib.DataError):
            attrib.policy_value(actions, [1, 0], 0.5, "a")


def test_tables_in_the_place_of_values_are_told_by_their_size():
    for table in (TOUCHES, TOUCHES.to_pandas(), TOUCHES.to_arrow(), TOUCHES.to_numpy()):
        with pytest.raises(attrib.SpecError, match=r"at = an? \w+ of 2 × 3 is not a day") as raised:
            purchase_summary(OUTCOMES, table)
        assert "\n" not in str(raised.value)
    for table, said in ((TOUCHES.lazy(), "a LazyFrame"), ({"x": TOUCHES}, "{'x': a DataFrame of 2 × 3}")):
        with pytest.raises(attrib.SpecError, match=re.escape(f"at = {said} is not")):
            purchase_summary(OUTCOMES, table)


def test_what_pandas_holds_beside_columns_is_told():
    frame = TOUCHES.to_pandas()
    for indexed in (frame.set_index("customer_id"), frame.set_index("customer_id").rename_axis("user")):
        assert "reset_index()" in hint_of(lambda indexed=indexed: attrib.Journeys.from_events(indexed, OUTCOMES))
    attrib.Journeys.from_events(frame.set_index("customer_id").reset_index(), OUTCOMES).reconcile()
    doubled = frame[["customer_id", "timestamp", "channel", "channel"]]
    with pytest.raises(attrib.DataError, match="names 'channel' more than once"):
        attrib.Journeys.from_events(doubled, OUTCOMES)
    remedy = hint_of(lambda: attrib.Journeys.from_events(doubled, OUTCOMES)).partition("keep the first: ")[2]
    attrib.Journeys.from_events(eval(remedy, {"touchpoints": doubled}), OUTCOMES).reconcile()


def test_arguments_that_are_others_are_named_as_they_are():
    journeys = attrib.Journeys.from_events(TOUCHES, OUTCOMES)
    with pytest.raises(attrib.SpecError, match=r"against is a str, not journeys; .*methods="):
        attrib.compare(journeys, [attrib.Linear()], against="linear")
    both = OUTCOMES.with_columns(outcome=pl.lit("sale"))
    remedy = hint_of(lambda: attrib.Journeys.from_events(TOUCHES, both, target=["purchase", "sale"]))
    mended = eval(re.search(r"outcomes\.with_columns.*\)", remedy)[0], {"pl": pl, "outcomes": both})
    assert mended["outcome"].to_list() == ["purchase"]
