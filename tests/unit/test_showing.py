"""What results look like at a prompt and in a notebook: points with intervals, and harmless names."""

import copy
import pickle
from dataclasses import dataclass
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import attrib
from attrib.credit_table import CreditTable
from attrib.io.text import width_of
from attrib.showing import WIDE, Shown, facts_sheet, frame_sheet, html_of, text_of, value_of

EVIL = ["<script>alert(1)</script>", "a\x1b[2Jb", 'x" onload="y', "seo", "seo "]


def journeys(names=("ad", "mail", "seo"), **settings):
    rows = [(10 * at + n, name) for at, name in enumerate(names) for n in range(6 - at)]
    touches = pl.DataFrame(rows, schema=["customer_id", "channel"], orient="row")
    touches = touches.with_columns(timestamp=pl.lit("2026-01-01").str.to_datetime(), device=pl.lit("phone"))
    outcomes = touches.filter(pl.col("customer_id") % 10 < 4).select(
        "customer_id",
        pl.col("timestamp").dt.offset_by("1d"),
        pl.lit("purchase").alias("outcome"),
        pl.lit(7.5).alias("value"),
    )
    return attrib.Journeys.from_events(touches, outcomes, **settings)


@pytest.fixture(scope="module")
def table():
    return attrib.credit(journeys(), [attrib.LastTouch(), attrib.Markov()], replicates=20)


class Cells(HTMLParser):
    """Texts of the cells, and every tag."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.cells, self._open = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, _attrs):
        self.tags.append(tag)
        self._open = [] if tag in ("td", "th") else self._open

    def handle_data(self, data):
        if self._open is not None:
            self._open.append(data)

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.cells.append("".join(self._open))
            self._open = None


def test_a_credit_table_shows_points_and_intervals(table):
    row = table.filter(channel="ad", method="last_touch").row(0, named=True)
    spelled = f"4 [{value_of(row['conversions_low'])}, {value_of(row['conversions_high'])}] {row['share']:.1%}"
    lines = repr(table).splitlines()
    assert lines[0] == "12 conversions"
    assert lines[1].split() == ["channel", "last_touch", "markov(order=1)"]
    assert [line.split()[0] for line in lines[2:]] == ["ad", "mail", "seo", "(unattributed)"]
    assert spelled in lines[2]
    assert spelled in Cells(table._repr_html_()).cells
    assert max(map(width_of, lines)) <= WIDE


def test_one_method_shows_value_and_effect_too():
    found = attrib.Markov().credit(journeys())
    assert repr(found).splitlines()[0] == "12 conversions, by markov(order=1)"
    assert repr(found).splitlines()[1].split() == ["channel", "conversions", "value", "share", "effect"]


def test_a_credit_table_is_a_frame_in_everything_else(table, tmp_path):
    plain = pl.DataFrame(table)
    assert isinstance(table, pl.DataFrame)
    assert isinstance(table, CreditTable)
    assert type(plain) is pl.DataFrame
    assert table.equals(plain)
    assert plain.equals(table)
    assert_frame_equal(table, plain)
    assert str(table) == str(plain)
    for again in (pickle.loads(pickle.dumps(table)), copy.copy(table), copy.deepcopy(table), table.clone()):
        assert again.equals(plain)
        assert repr(again) == repr(table)
    for made in (
        table.filter(pl.col("share") > 0.2),
        table.select("channel", "share"),
        table.with_columns(double=pl.col("share") * 2),
        table.group_by("method").agg(pl.col("conversions").sum()).sort("method"),
        table.pivot("method", index="channel", values="share"),
        table.join(plain, on=["channel", "kind", "method"]),
        table.drop("kind"),
        table.rename({"conversions": "n"}),
        table.head(2),
        table.clear(),
        pl.concat([table, table]),
        table.lazy().collect(),
        table.transpose(),
    ):
        assert isinstance(made, pl.DataFrame)
        assert repr(made)
        assert made._repr_html_()
    table.write_parquet(tmp_path / "credit.parquet")
    assert pl.read_parquet(tmp_path / "credit.parquet").equals(plain)
    assert table.to_pandas().shape == plain.shape
    assert attrib.spend(table, pl.DataFrame({"channel": ["ad"], "cost": [3.0]})).height == table.height


def test_tables_that_somebody_put_together_are_shown_as_frames(table):
    twice = pl.concat([table, table])
    assert repr(CreditTable(twice)) == str(twice)
    assert "shape" in repr(CreditTable(table.drop("share")))


def test_games_and_many_players_are_cut():
    many = [f"channel {n:03}" for n in range(6)]
    wide = attrib.credit(journeys(many, by="channel", player="device"), [attrib.Linear()], intervals=None)
    assert repr(wide).splitlines()[0] == "credit by channel, by linear"
    long = pl.concat([pl.DataFrame(attrib.Linear().credit(journeys()))] * 40)
    keyed = long.with_columns(channel=pl.col("channel") + pl.int_range(pl.len()).cast(pl.String)).unique("channel")
    lines = repr(CreditTable(keyed)).splitlines()
    assert len(lines) < 40
    assert lines[-1].startswith("… and ")


def test_names_are_harmless_and_differ():
    found = attrib.credit(journeys(EVIL), [attrib.LastTouch(), attrib.Linear()], replicates=20)
    html = found._repr_html_()
    assert set(Cells(html).tags) <= {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td"}
    assert "<script" not in html
    assert "\x1b" not in html + repr(found)
    assert {'"seo"', '"seo "', EVIL[0]} <= set(Cells(html).cells)


@dataclass(frozen=True, slots=True, repr=False)
class Answer(Shown):
    table: pl.DataFrame
    note: str
    none: pl.DataFrame | None = None


def test_results_show_their_frames_with_intervals():
    frame = pl.DataFrame({"channel": EVIL * 4}).with_columns(
        x=1.25, x_low=1.0, x_high=pl.when(pl.int_range(pl.len()) > 0).then(2.0), gone=pl.lit(None)
    )
    answer = Answer(frame, "<b>\x07")
    text, html = repr(answer), answer._repr_html_()
    assert text.splitlines()[0] == "Answer"
    assert "table, 20 rows" in text
    assert "1.25 [1, 2]" in text
    assert "… and 12 more rows" in text
    assert "gone" not in text
    assert "\x07" not in text + html
    assert "<b>\ufffd" not in html
    assert pickle.loads(pickle.dumps(answer)).note == answer.note


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"), (999.6, "1,000"), (1e30, "1e+30"), (float("nan"), "nan"), (float("inf"), "inf"), (True, "true"),
        (np.float64(2.5), "2.5"), (np.zeros((3, 4)), "3 × 4 numbers"), (["a", 2], "a, 2"), ({}, ""),
        (-0.00012, "-0.00012"), (object(), "object"), ("x" * 100, "x" * 24 + "…" + "x" * 23),
        (pl.DataFrame({"a": [1]}), "1 rows of a"),
    ],
)  # fmt: skip
def test_values_take_one_short_line(value, shown):
    assert value_of(value) == shown


def test_columns_that_do_not_fit_follow_below():
    frame = pl.DataFrame({"name": ["a"]} | {f"column_number_{n}": [n] for n in range(20)})
    lines = text_of("", [frame_sheet("", frame)]).splitlines()
    assert max(map(len, lines)) <= WIDE
    assert sum(line.startswith("name") for line in lines) == len(lines) / 2 > 1
    assert html_of("", [facts_sheet({"<i>": "<u>"})]).count("<i>") == 0


def test_stages_and_journeys():
    model = attrib.StageModel([("see <b>", "visit\x1b"), ("buy", "purchase"), ("stay", None)])
    assert repr(model) == "<StageModel: see <b> until 'visit\\x1b' → buy until purchase → stay>"
    assert "<b>" not in model._repr_html_()
    made = journeys()
    assert f"<b>{repr(made)[1:-1]}</b>" in made._repr_html_()


def test_estimators_show_what_they_found():
    lifecycle = attrib.lifecycle
    model = lifecycle.BetaGeoNBD()
    assert repr(model) == "BetaGeoNBD()"
    rng = np.random.default_rng(1)
    gone, rate = rng.exponential(30, 2000), rng.gamma(1.0, 0.1, 2000)  # they leave at some time, whatever they buy
    frequency = rng.poisson(rate * np.minimum(gone, 50.0)).astype(float)
    recency = np.where(frequency > 0, np.minimum(gone, 50.0) * rng.uniform(0.7, 1, 2000), 0.0)
    model.fit(frequency, recency, np.full(2000, 50.0))
    assert repr(model).splitlines()[0] == "BetaGeoNBD()"
    line = next(line for line in repr(model).splitlines() if line.startswith("alpha"))
    assert line.split()[1:] == [value_of(model.params_["alpha"]), "±", value_of(model.standard_errors_["alpha"])]
    assert "n customers" in repr(model)
    assert "<table>" in model._repr_html_()
    assert repr(lifecycle.ChurnClassifier(model="boosting")) == "ChurnClassifier(model='boosting')"
    split = attrib.SnapshotSplit(gap="7d", horizon="30d")
    assert repr(split).startswith("SnapshotSplit(")
    assert "30d" in split._repr_html_()


def test_a_survival_model_shows_its_coefficients_with_intervals():
    rng = np.random.default_rng(2)
    frame = pl.DataFrame({"visits": rng.normal(size=200), "plan": rng.choice(["a", "b", "c<b>"], 200)})
    model = attrib.lifecycle.SurvivalChurn(calibration=None)
    model.fit(frame, duration=rng.exponential(10, 200) + 0.1, event=np.ones(200, dtype=bool))
    assert "summary" in repr(model)
    assert "plan=c<b>" in repr(model)
    assert "<b>" not in model._repr_html_().replace("<p><b>", "")


def test_what_is_compared_and_calibrated():
    made = journeys()
    found = attrib.compare(made, [attrib.LastTouch(), attrib.Linear()], replicates=20)
    assert repr(found).startswith("Comparison\n")
    assert "share_difference" in repr(found)
    assert "<table>" in found._repr_html_()
