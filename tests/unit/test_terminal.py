"""The table at the end of a run: readable, as wide as the terminal at most, and harmless whatever the names."""

import io
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from attrib.io.manifest import CUSTOMER_BUCKETS, Intervals, Recorder
from attrib.io.text import spell, width_of
from attrib.report import cells, terminal
from attrib.report import credit as report
from attrib.report.tables import frame_tables

METHODS = ["first_touch", "last_touch", "linear", "markov(order=1)", "shapley(worth=conversions)"]
LEDGER = pl.DataFrame({"table": ["outcomes"] * 3, "entry": ["in", "credited", "rejected"], "rows": [1200, 1200, 0]})
REJECTED = pl.DataFrame({"table": ["outcomes"], "rule": ["null value"]})


def table(channels, methods=METHODS, intervals=True):
    rows = []
    for rank, channel in enumerate([*channels, None]):
        for method in methods:
            credit = 5000.0 / (rank + 1)
            row = {
                "stage": "awareness",
                "channel": channel,
                "kind": "unattributed" if channel is None else "player",
                "method": method,
                "conversions": credit,
                "value": 10 * credit,
                "share": 1 / (rank + 1),
                "effect": 0.25 if method.startswith("markov") and channel else None,
            }
            if intervals:
                row |= {f"{name}_low": row[name] and row[name] * 0.9 for name in report.MEASURES}
                row |= {f"{name}_high": row[name] and row[name] * 1.1 for name in report.MEASURES}
            rows.append(row)
    return pl.DataFrame(rows)


def drawn(credit, *, intervals=True, width=100, spend=None, top=15, **journeys):
    spec = {
        "journeys": {"by": [], "target": "purchase", "view": "advance"} | journeys,
        "input": {"paths": None},
        "stages": {"stages": []},
    }
    settings = Intervals(level=0.95, replicates=1000, seed=0, resampling=CUSTOMER_BUCKETS) if intervals else None
    manifest = Recorder().manifest(
        spec=spec, credit=credit, ledger=LEDGER, inputs=[], warnings=[], intervals=settings, files=[]
    )
    console = Console(width=width, file=io.StringIO(), record=True)
    for part in terminal.result_parts(credit, None, spend, LEDGER, REJECTED, manifest, [], width, top):
        console.print(part)
    return console.export_text()


def test_one_table_a_stage_with_intervals():
    text = drawn(table(["seo", "mail"]))
    assert "stage awareness: 9,167 conversions, value 91,667" in text
    assert "2,500 50.0 45.0–55.0" in " ".join(text.split())
    assert "(unattributed)" in text
    assert "outcomes: 1,200 in, 1,200 credited" in text
    assert "rejected outcomes: 1 null value" in text
    flowing = " ".join(text.split())
    assert "95 % intervals, 1,000 replicates, 256 customer buckets" in flowing
    assert "not a causal effect" in flowing


@pytest.mark.parametrize("width", [60, 80, 100, 250])
@pytest.mark.parametrize("methods", [METHODS, METHODS[3:4]])
def test_no_line_is_wider_than_asked(width, methods):
    names = ["seo", "a name that is rather long for a channel " * 3, "社交媒体" * 20, *HOSTILE]
    text = drawn(table(names, methods), width=width, top=None)
    assert max(map(width_of, text.splitlines())) <= width


LONG = [f"paid_search_brand_germany_{season}_2025_blue_shoes_for_children" for season in ("spring", "autumn", "winter")]
HOSTILE = [
    "mail",
    "mail ",
    "ma\u200bil",
    "\x00",
    "\x01",
    "",
    "(unattributed)",
    "… and 2 more",
    "–",
    "e\u0301",
    "\u00e9",
]


def rows_of(text):
    """First cells of the rows of the first table."""
    lines = text.split("\n\n")[0].split("(continued)")[0].splitlines()
    rule = next(at for at, line in enumerate(lines) if line.startswith("─"))
    return [line.split("  ")[0].rstrip() for line in lines[rule + 1 :]]


def test_names_use_the_width_of_the_terminal():
    """They are cut where the columns need the room, and only there."""
    wide = drawn(table(LONG), width=200)
    assert all(name in wide for name in LONG)
    assert "(continued)" not in wide
    narrow = drawn(table(LONG), width=80)
    assert not any(name in narrow for name in LONG)
    assert narrow.count("spring") == narrow.count("autumn") > 1
    assert len(LONG[0]) > 40


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("names", [LONG, HOSTILE, [f"{'x' * 70}{n:03}{'y' * 70}" for n in range(40)]])
def test_no_two_rows_look_alike(names, width):
    rows = rows_of(drawn(table(names, METHODS[:1], intervals=False), width=width, intervals=False, top=None))
    assert len(rows) == len(names) + 1  # and what is unattributed
    assert len(set(rows)) == len(rows)


def test_names_of_several_parts_and_wide_signs_keep_to_their_room():
    names = [("paid " * 10, None), ("paid " * 10, "x" * 30), ("社交" * 20, "a"), ("社交" * 20, "b")]
    for room in (12, 20, 33):
        shown = spell(names, room)
        assert len(set(shown)) == 4
        assert max(map(width_of, shown)) <= room


def test_as_many_rows_as_asked_for():
    credit = table([f"channel {n:02}" for n in range(40)], METHODS[:2])
    three, every = drawn(credit, top=3), drawn(credit, top=None)
    assert "… and 37 more" in three
    assert ("channel 02" in three, "channel 03" in three) == (True, False)
    assert "more" not in every
    assert all(f"channel {n:02}" in every for n in range(40))


def test_what_is_left_is_summed_in_conversions_and_share():
    text = drawn(table([f"channel {n}" for n in range(5)], METHODS[:2], intervals=False), intervals=False, top=3)
    line = next(line for line in text.splitlines() if line.startswith("… and 2 more"))
    assert line.split()[4:6] == ["2,250", "45.0"]  # 5,000 (1/4 + 1/5) and their shares


def spent(names, methods, **columns):
    rows = [
        {"stage": "awareness", "channel": name, "kind": "player", "method": method, "conversions": 5.0, "value": 9.0}
        | {"cost": 100.0 * (at + 1), "cpa": 20.0 * (at + 1), "roas": 0.5}
        | columns
        for at, name in enumerate(names)
        for method in methods
    ]
    return pl.DataFrame(rows)


def test_costs_are_shown_with_what_they_brought():
    names = ["seo", "mail", *LONG]
    bounds = {"cpa_low": 18.5, "cpa_high": 22.5, "roas_low": 0.4, "roas_high": None}
    text = drawn(table(names, ["linear"]), spend=spent(names, ["linear"], **bounds), top=2)
    costs = text.split("costs, stage awareness, by linear")[1]
    assert costs.split("\n")[1].split() == ["channel", "cost", "CPA", "ROAS"]
    line = next(line for line in costs.splitlines() if "germany_wi" in line)
    assert line.split()[1:] == [
        "500",
        "100",
        "[18,",
        "22]",
        "0.50",
        "[0.40,",
        "–]",
    ]  # without an upper bound, and not exact
    assert "… and 3 more" in costs
    assert "CPA: cost of a conversion. ROAS: value for each unit of cost." in costs
    several = drawn(table(names), spend=spent(names, METHODS), width=80)
    assert "CPA by" in several
    assert max(map(width_of, several.splitlines())) <= 80


def test_returns_that_nobody_knows_are_no_column():
    spend = spent(["seo"], ["linear"], roas=None)
    assert "ROAS" not in drawn(table(["seo"], ["linear"]), spend=spend).split("CPA: cost")[0]
    assert "CPA" not in drawn(table(["seo"], ["linear"]), spend=spent(["seo"], ["linear"], cost=None))


def test_many_channels_are_summed_up():
    text = drawn(table([f"channel {n}" for n in range(40)], METHODS[:1], intervals=False), intervals=False)
    assert "channel 14" in text
    assert "channel 15" not in text
    rest = sum(5000 / (n + 1) for n in range(15, 40))
    line = next(line for line in text.splitlines() if "… and 25 more" in line)
    assert "by first_touch" in text
    assert f"{rest:,.0f}" in line


def test_one_method_shows_its_measures():
    text = drawn(table(["seo"], ["markov(order=1)"]).with_columns(value=pl.lit(5.0), value_low=None, value_high=None))
    header = next(line for line in text.splitlines() if line.startswith("channel"))
    assert header.split() == ["channel", "conversions", "value", "share", "effect"]
    assert "0.250 [0.225, 0.275]" in text


def test_thin_rows_are_marked_and_the_mark_explained():
    credit = table(["seo", "mail"]).with_columns(thin=pl.col("channel") == "mail")
    lines = drawn(credit).splitlines()
    assert "50.0 45.0–55.0" in next(line for line in lines if line.startswith("mail")).replace("°", "")
    assert all(("°" in line) == line.startswith("mail") for line in lines if line.startswith(("seo", "mail", "(un")))
    assert "°: fewer than 50 conversions, or from fewer than 40 buckets of customers" in " ".join(drawn(credit).split())
    alone = drawn(credit.filter(method=METHODS[0]), intervals=False)
    assert next(line for line in alone.splitlines() if line.startswith("mail")).count("°") == 1
    none = credit.with_columns(thin=pl.lit(value=False))
    assert "°" not in drawn(none)


def test_the_conversions_of_a_game_are_those_of_a_method_that_credits_them():
    null = {name: pl.when(pl.col("method") != "markov(order=1)").then(name) for name in ("conversions", "share")}
    credit = table(["seo", "mail"], ["markov(order=1)", "linear"]).with_columns(**null)
    assert "stage awareness: 9,167 conversions" in drawn(credit)
    assert "stage awareness: no credit" in drawn(credit.filter(method="markov(order=1)"))


def test_names_bring_neither_escapes_nor_markup():
    text = drawn(table(["\x1b[2J\x1b[31mred", "[bold]loud[/bold]", ":smile:", "[/]"], ["\x07[red]mine"]))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\ufffd[2J\ufffd[31mred" in text
    assert "[bold]loud[/bold]" in text
    assert ":smile:" in text
    assert "\ufffd[red]mine" in text


def test_games_of_a_by_column_are_titled_and_counted():
    credit = table(["seo"], ["linear"]).drop("stage")
    many = pl.concat([credit.select(pl.lit(f"region {n}").alias("region"), pl.all()) for n in range(20)])
    text = drawn(many, by=["region"])
    assert "region region 0" in text
    assert "… and 8 more tables" in text


def test_a_game_without_conversions_is_one_line():
    credit = table(["seo"]).with_columns(conversions=pl.lit(0.0), value=pl.lit(0.0), share=None)
    text = drawn(credit)
    assert "stage awareness: no conversions\n" in " ".join(text.split(" ")).replace("  ", "")
    assert "seo" not in text


def framed(frame, width):
    console = Console(width=width, file=io.StringIO(), record=True)
    for part in frame_tables(frame, "customers by stage", terminal.FUNNEL, width):
        console.print(part)
    return console.export_text()


@pytest.mark.parametrize("width", [40, 60, 100])
def test_no_heading_of_the_funnel_is_broken_inside_a_word(width):
    counts = {name: [1_234_567] for name in terminal.FUNNEL[1:6]}
    times = {"median_time": [timedelta(hours=36)], "touches_per_customer": [3.25]}
    text = framed(pl.DataFrame({"stage": ["consideration"], **counts, "rate": [0.25], **times}), width)
    assert max(map(len, text.splitlines())) <= width
    assert {"entered", "advanced", "skipped", "stalled", "median", "customer"} <= set(text.split())
    assert text.count("consideration") == 1 + text.count("(continued)")


def test_the_place_of_the_files_is_named_from_here_or_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert terminal.place_of(tmp_path / "a" / "out") == Path("a/out")
    assert terminal.place_of(tmp_path.parent / "out") == tmp_path.parent / "out"
    assert terminal.place_of(tmp_path) == tmp_path
    monkeypatch.chdir(tmp_path.anchor)
    assert terminal.place_of(tmp_path) == tmp_path


def test_the_funnel_leaves_out_what_is_nowhere_and_speaks_of_days():
    funnel = pl.DataFrame(
        {
            "stage": ["awareness"],
            "entered": [1200],
            "skipped": [0],
            "rate": [0.25],
            "median_time": [timedelta(hours=36)],
        }
    )
    text = framed(funnel, 100)
    assert "skipped" not in text
    assert text.split()[-4:] == ["1,200", "25.0%", "1.5", "d"]


def test_shares_that_are_negative_stay_readable():
    row = {"share": -0.031, "share_low": -0.04, "share_high": -0.022}
    assert cells.share_cell(row) == "-3.1 -4.0…-2.2"
