"""Cost, CPA and ROAS beside the credit, computed by hand and by a slow twin."""

import math
import warnings
from datetime import UTC, date, datetime

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import attrib
from attrib.errors import AttribWarning, DataError, SpecError

KINDS = pl.Enum(["player", "unattributed", "baseline"])
STAGES = pl.Enum(["see", "do"])
NUMBERS = ("conversions", "value")


def table(rows, keys=("channel",), numbers=NUMBERS, methods=("linear",)):
    """A credit table of (keys…, kind, numbers…) rows, the same numbers for every method."""
    types = {key: STAGES if key == "stage" else pl.String for key in keys}
    schema = types | {"kind": KINDS, "method": pl.String} | dict.fromkeys(numbers, pl.Float64)
    n = len(keys) + 1
    return pl.DataFrame([(*row[:n], method, *row[n:]) for row in rows for method in methods], schema, orient="row")


PLAIN = table(
    [
        (None, "unattributed", 5.0, 50.0),
        ("ad", "player", 20.0, 400.0),
        ("mail", "player", 40.0, 100.0),
        ("seo", "player", 0.0, 0.0),
    ]
)
COSTS = pl.DataFrame({"channel": ["ad", "mail", "ad", "seo"], "cost": [100.0, 20.0, 60.0, 7.0]})


def spent(credit, costs, **options):
    """The result and what it warned of."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = attrib.spend(credit, costs, **options)
    assert all(warning.category is AttribWarning for warning in seen)
    return found, [str(warning.message) for warning in seen]


def fails(key, kind, credit, costs, **options):
    with pytest.raises(kind) as caught:
        attrib.spend(credit, costs, **options)
    assert caught.value.key == key
    return str(caught.value)


def test_by_hand():
    found, notes = spent(PLAIN, COSTS)
    assert notes == []
    assert found.columns == ["channel", "kind", "method", "conversions", "value", "cost", "cpa", "roas"]
    assert found.drop("kind", "method").rows() == [
        (None, 5.0, 50.0, None, None, None),
        ("ad", 20.0, 400.0, 160.0, 8.0, 2.5),
        ("mail", 40.0, 100.0, 20.0, 0.5, 5.0),
        ("seo", 0.0, 0.0, 7.0, None, 0.0),
    ]
    assert found["kind"].dtype == KINDS


def test_intervals_take_costs_as_known_and_may_be_unbounded():
    bounds = ("conversions_low", "conversions_high", "value_low", "value_high")
    rows = [
        ("ad", "player", 20.0, 400.0, 10.0, 40.0, 200.0, 800.0),
        ("mail", "player", 4.0, 10.0, -1.0, 8.0, -5.0, 30.0),
        ("seo", "player", -2.0, -1.0, -3.0, 0.0, -4.0, 0.0),
    ]
    found, notes = spent(
        table(rows, numbers=(*NUMBERS, *bounds)), COSTS.vstack(pl.DataFrame([("tv", 8.0)], COSTS.schema, orient="row"))
    )
    assert found.columns[-4:] == ["cpa_low", "cpa_high", "roas_low", "roas_high"]
    assert found.drop("kind", "method", *NUMBERS).rows() == [
        ("ad", 160.0, 8.0, 2.5, 4.0, 16.0, 1.25, 5.0),
        ("mail", 20.0, 5.0, 0.5, 2.5, None, -0.25, 1.5),
        ("seo", 7.0, None, -1 / 7, None, None, -4 / 7, 0.0),
        ("tv", 8.0, None, 0.0, None, None, 0.0, 0.0),
    ]
    assert len(notes) == 1


def test_a_cost_of_zero_has_no_roas_and_no_row_no_cost():
    found, notes = spent(PLAIN, pl.DataFrame({"channel": ["ad"], "cost": [0]}))
    assert found.filter(channel="ad").select("cost", "cpa", "roas").row(0) == (0.0, 0.0, None)
    assert found.filter(channel="mail").select("cost", "cpa", "roas").row(0) == (None, None, None)
    assert notes == ["no cost is known of 2 of 3 (channel), where it is null: mail, seo"]


def test_costs_of_channels_that_nobody_met_stand_in_every_game_and_method():
    rows = [
        (None, "see", None, "unattributed", 1.0, 1.0),
        (None, "see", "ad", "player", 8.0, 8.0),
        (None, "do", None, "unattributed", 0.0, 0.0),
        (None, "do", "mail", "player", 4.0, 2.0),
    ]
    credit = table(rows, ("region", "stage", "channel"), methods=("z", "a"))
    costs = pl.DataFrame(
        [(None, "ad", 16.0), (None, "mail", 2.0), ("EU", "ad", 5.0), (None, "tv\x1b[2J", 1234.5)],
        ["region", "channel", "cost"],
        orient="row",
    )
    found, notes = spent(credit, costs)
    sums = found.group_by("region", "stage", "method").agg(pl.sum("cost")).sort(pl.all())
    assert [row[3] for row in sums.rows()] == [1252.5] * 4 + [5.0] * 4
    added = found.filter(channel="tv\x1b[2J")
    assert added.select("stage", "method", "conversions", "value", "cpa", "roas").rows() == [
        (stage, method, 0.0, 0.0, None, 0.0) for stage in ("see", "do") for method in ("z", "a")
    ]
    assert found["stage"].to_list()[:8] == ["see"] * 8  # unattributed, ad, mail, tv by z and a
    assert found["method"].to_list() == ["z", "a"] * (len(found) // 2)
    assert found.columns[:3] == ["region", "stage", "channel"]
    assert notes == [
        (
            "2 of 4 (region, channel) in the costs are not in the credit table; their cost of 1,239.50 stands in "
            "rows with 0 conversions: (none) · tv\ufffd[2J, EU · ad"
        ),
        (
            "costs have no column stage: the whole cost of a channel stands at every stage, and summing it over stages "
            "counts it more than once"
        ),
    ]


def test_costs_with_a_stage_are_matched_by_it():
    rows = [
        ("see", None, "unattributed", 1.0, 1.0),
        ("see", "ad", "player", 8.0, 80.0),
        ("do", "ad", "player", 2.0, 20.0),
    ]
    credit = table(rows, ("stage", "channel"))
    costs = pl.DataFrame({"stage": ["see", "do"], "channel": ["ad", "ad"], "cost": [4.0, 6.0]})
    found, notes = spent(credit, costs)
    assert found.filter(channel="ad")["cpa"].to_list() == [0.5, 3.0]
    assert notes == []
    message = fails("stage_unknown", DataError, credit, costs.with_columns(stage=pl.lit("buy\x07")))
    assert message == "costs: column 'stage' holds 'buy\ufffd', which is not one of see, do"


@pytest.mark.parametrize("kind", ["unattributed", None])
def test_costs_must_have_the_stage_of_players(kind):
    rows = [("see", "ad", "player", 8.0, 8.0), *([(None, None, kind, 1.0, 1.0)] if kind else [])]
    message = fails("costs_lack_key", DataError, table(rows, ("stage", "channel")), COSTS)
    assert message == (
        "the credit is by stage, channel, but costs has no column stage; "
        "add it to the costs (or map it with columns), or compute the credit without it"
    )


def test_costs_must_have_the_columns_of_by_and_player():
    rows = [("EU", "ad", "player", 8.0, 8.0)]
    fails("costs_lack_key", DataError, table(rows, ("region", "channel")), COSTS)
    message = fails("missing_columns", DataError, PLAIN, COSTS.rename({"channel": "chanel"}))
    assert message.endswith('e.g. channel = "chanel"')
    found, _ = spent(
        PLAIN, COSTS.rename({"channel": "source", "cost": "spent"}), columns={"channel": "source", "cost": "spent"}
    )
    assert_frame_equal(found, spent(PLAIN, COSTS)[0])
    fails("missing_columns", DataError, PLAIN, COSTS, columns={"channel": "nowhere"})
    fails("bad_columns", SpecError, PLAIN, COSTS, columns="channel")
    fails("bad_value", SpecError, table([("x", "ad", "player", 1.0, 1.0)], ("cost", "channel")), COSTS)


def test_null_keys_match_null_and_keys_take_the_type_of_the_credit():
    credit = table([(None, "ad", "player", 8.0, 8.0), ("1", "ad", "player", 4.0, 4.0)], ("campaign", "channel"))
    costs = pl.DataFrame({"channel": ["ad", "ad"], "campaign": [None, 1], "cost": [2.0, 3.0]})
    assert spent(credit, costs)[0]["cost"].to_list() == [2.0, 3.0]
    credit = credit.with_columns(pl.col("campaign").cast(pl.Int64))
    costs = costs.with_columns(pl.col("campaign").cast(pl.String))
    assert spent(credit, costs)[0]["cost"].to_list() == [2.0, 3.0]
    message = fails("wrong_type", DataError, credit, costs.with_columns(campaign=pl.lit("one")))
    assert message == "costs: column 'campaign' holds 'one', which is not Int64 as in the credit"


def test_values_that_become_one_key_are_one_cost():
    credit = table([("1", "ad", "player", 8.0, 8.0)], ("campaign", "channel")).with_columns(
        pl.col("campaign").cast(pl.Int64)
    )
    costs = pl.DataFrame({"channel": ["ad", "ad"], "campaign": ["1", "01"], "cost": [2.0, 3.0]})
    assert spent(credit, costs)[0]["cost"].to_list() == [5.0]


@pytest.mark.parametrize(
    ("cost", "rule"),
    [
        (None, "cost_missing"),
        ("", "cost_missing"),
        ("1.234,50", "cost_unparseable"),
        ("inf", "cost_not_finite"),
        ("NaN", "cost_not_finite"),
        ("-5", "cost_negative"),
    ],
)
def test_one_bad_cost_stops(cost, rule):
    costs = pl.DataFrame({"channel": ["ad", "mail", "ad"], "cost": ["1", cost, "-0.0"]})
    message = fails("bad_costs", DataError, PLAIN, costs)
    shown = "None" if cost is None else cost
    assert message.startswith(
        f"1 of 3 rows of costs cannot be used: {rule} 1; e.g. row 1 has channel 'mail', cost '{shown}'; "
    )


def test_bad_rows_are_counted_by_rule_and_their_names_are_harmless():
    costs = pl.DataFrame({"channel": ["ad\x1b[0m", None, " ", "ad"], "cost": [-1.0, 1.0, math.nan, math.inf]})
    assert fails("bad_costs", DataError, PLAIN, costs) == (
        "4 of 4 rows of costs cannot be used: channel_empty 1, channel_missing 1, cost_negative 1, cost_not_finite 1; "
        "e.g. row 0 has channel 'ad\ufffd[0m', cost '-1.0'; mend the costs: leaving rows out "
        "would make channels look cheap"
    )
    fails("wrong_type", DataError, PLAIN, pl.DataFrame({"channel": ["ad"], "cost": [True]}))
    fails("no_rows", DataError, PLAIN, COSTS.clear())
    fails("bad_costs", DataError, PLAIN, pl.DataFrame({"channel": ["ad", "ad"], "cost": [1.7e308, 1.7e308]}))


def test_cells_too_many_in_a_file(tmp_path):
    (tmp_path / "costs.csv").write_text("channel,cost\nad,1\nmail,1,234\n")
    assert "too_many_cells 1" in fails("bad_costs", DataError, PLAIN, tmp_path / "costs.csv")


DATED = pl.DataFrame(
    {
        "channel": ["ad"] * 5,
        "cost": [1.0, 2.0, 4.0, 8.0, 16.0],
        "date": ["2024-12-31", "2025-01-01", "2025-01-31 23:59:59", "2025-02-01", "2025-03-01T00:00"],
    }
)
JANUARY = ("2025-01-01", "2025-02-01")


@pytest.mark.parametrize(
    "period", [JANUARY, (date(2025, 1, 1), datetime.fromisoformat("2025-02-01")), ["2025-01-01", date(2025, 2, 1)]]
)
@pytest.mark.parametrize("form", ["text", "datetime", "timestamp"])
def test_a_period_is_half_open(period, form):
    costs = DATED
    if form == "datetime":
        costs = DATED.with_columns(pl.col("date").str.slice(0, 10).str.to_date().cast(pl.Datetime("ns")))
    if form == "timestamp":
        costs = DATED.rename({"date": "timestamp"})
    found, _ = spent(PLAIN, costs, period=period)
    assert found.filter(channel="ad")["cost"].to_list() == [6.0]
    assert spent(PLAIN, costs)[0].filter(channel="ad")["cost"].to_list() == [31.0]


def test_zones_of_a_period():
    times = [datetime(2024, 12, 31, 23, 30, tzinfo=UTC), datetime(2025, 1, 31, 23, 30, tzinfo=UTC)]
    costs = pl.DataFrame({"channel": ["ad", "ad"], "cost": [1.0, 2.0], "date": times})
    there = costs.with_columns(pl.col("date").dt.convert_time_zone("Europe/Berlin"))
    text = costs.with_columns(pl.col("date").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    aware = tuple(datetime.fromisoformat(end).replace(tzinfo=UTC) for end in JANUARY)
    for data, period, wanted in [
        (costs, JANUARY, 2.0),
        (text, JANUARY, 2.0),
        (there, JANUARY, 1.0),  # midnight of Berlin
        (there, aware, 2.0),
        (text, aware, 2.0),
    ]:
        assert spent(PLAIN, data, period=period)[0].filter(channel="ad")["cost"].item() == wanted
    fails("bad_period", SpecError, PLAIN, DATED, period=aware)
    mixed = DATED.with_columns(date=pl.Series(["2025-01-01", "2025-01-01T00:00Z", *["2025-01-01"] * 3]))
    fails("mixed_zones", DataError, PLAIN, mixed, period=JANUARY)


@pytest.mark.parametrize(
    "period",
    ["2025", ("2025-01-01",), ("2025-02-01", "2025-01-01"), ("2025-01-01", "2025-01-01"), ("x", "y"), (1, 2), 5,
     ("2025-01-01", datetime(2025, 2, 1, tzinfo=UTC))],
)  # fmt: skip
def test_a_period_that_is_none(period):
    fails("bad_period", SpecError, PLAIN, DATED, period=period)


def test_dates_that_do_not_serve():
    fails("missing_columns", DataError, PLAIN, COSTS, period=JANUARY)
    bad = DATED.with_columns(date=pl.Series(["01.02.2025", None, *["2025-01-01"] * 3]))
    assert "date_unparseable 2" in fails("bad_costs", DataError, PLAIN, bad, period=JANUARY)
    assert spent(PLAIN, bad)[0].filter(channel="ad")["cost"].item() == 31.0  # nobody asked for the dates
    fails("wrong_type", DataError, PLAIN, DATED.with_columns(date=1), period=JANUARY)
    message = fails("no_costs_in_period", DataError, PLAIN, DATED, period=("2026-01-01", "2026-02-01"))
    assert "dated from 2024-12-31 00:00:00 to 2025-03-01 00:00:00" in message


def test_many_names_are_cut():
    names = [f"c{n:02}" for n in range(12)]
    _, notes = spent(PLAIN, COSTS.vstack(pl.DataFrame({"channel": names, "cost": [1.0] * 12})))
    assert notes[0].endswith(": c00, c01, c02, c03, c04, c05, c06, c07, c08, c09 and 2 more")


def test_other_libraries_and_files(tmp_path):
    wanted = spent(PLAIN, COSTS)[0]
    credit = pd.DataFrame(PLAIN.to_dict(as_series=False))
    costs = pd.DataFrame(COSTS.to_dict(as_series=False)).astype({"channel": "category"})
    assert_frame_equal(spent(credit, costs)[0], wanted)
    assert_frame_equal(spent(credit.astype({"channel": "category", "kind": "category"}), COSTS.lazy())[0], wanted)
    PLAIN.write_csv(tmp_path / "credit.csv")
    COSTS.write_csv(tmp_path / "costs.csv")
    assert_frame_equal(spent(tmp_path / "credit.csv", tmp_path / "costs.csv")[0], wanted)


def test_a_table_that_is_no_credit_table():
    fails("bad_credit_table", DataError, PLAIN.drop("kind"), COSTS)
    fails("bad_credit_table", DataError, PLAIN.drop("channel"), COSTS)
    fails("bad_credit_table", DataError, PLAIN.vstack(PLAIN), COSTS)
    fails("bad_credit_table", DataError, PLAIN.with_columns(kind=pl.lit("other")), COSTS)
    fails("bad_credit_table", DataError, PLAIN.with_columns(value=pl.lit("much")), COSTS)


def test_touchpoints_with_a_cost_serve_and_real_credit_is_kept_whole():
    touches = pl.DataFrame(
        {
            "customer_id": ["ann", "ann", "bob", "cid"],
            "timestamp": [datetime(2025, 1, day, tzinfo=UTC) for day in (1, 2, 1, 3)],
            "channel": ["ad", "mail", "ad", "ad"],
            "cost": [0.5, 0.0, 0.25, 0.25],
        }
    )
    outcomes = pl.DataFrame(
        {
            "customer_id": ["ann", "bob", "eve"],
            "timestamp": [datetime(2025, 1, 4, tzinfo=UTC)] * 3,
            "outcome": ["purchase"] * 3,
            "value": [10.0, -4.0, 3.0],
        }
    )
    journeys = attrib.Journeys.from_events(touches, outcomes, refunds="keep")
    credit = attrib.credit(journeys, [attrib.Linear(), attrib.LastTouch()], replicates=20)
    found, notes = spent(credit, touches)
    assert notes == []
    assert_frame_equal(found.select(credit.columns[:3]), credit.select(credit.columns[:3]))
    rows = found.filter(kind="player", method="linear").select("channel", "conversions", "value", "cost", "cpa", "roas")
    assert rows.rows() == [("ad", 1.5, 1.0, 1.0, pytest.approx(2 / 3), 1.0), ("mail", 0.5, 5.0, 0.0, 0.0, None)]
    assert found.select(pl.col("cpa") <= pl.col("cpa_high")).to_series().drop_nulls().all()


def test_the_sum_is_rounded_once():
    parts = [1e16, 1.0, 1.0, 0.1, 0.2, 1e-9] * 50
    costs = pl.DataFrame({"channel": ["ad"] * len(parts), "cost": parts})
    wanted = math.fsum(parts)
    for seed in range(5):
        shuffled = costs.sample(fraction=1.0, shuffle=True, seed=seed)
        assert spent(PLAIN, shuffled)[0].filter(channel="ad")["cost"].item() == wanted


# --- the slow twin ---


def twin(credit, costs, keys):
    """Cost and ratios of every row, by loops over rows; returns {(keys…, kind, method): numbers}."""
    own = [key for key in keys if key in costs[0]]
    known = {}
    for row in costs:
        known.setdefault(tuple(row[key] for key in own), []).append(row["cost"])
    stages = {row["stage"] for row in credit} - {None} if own != keys else {None}
    rows = {(*(r[k] for k in keys), r["kind"], r["method"]): (r["conversions"], r["value"]) for r in credit}
    for method in {row["method"] for row in credit}:
        for key in known:
            for stage in stages:
                named = dict(zip(own, key, strict=True)) | ({"stage": stage} if own != keys else {})
                rows.setdefault((*(named[k] for k in keys), "player", method), (0.0, 0.0))
    found = {}
    for at, (conversions, value) in rows.items():
        named = dict(zip(keys, at, strict=False))
        cost = None
        if at[len(keys)] == "player" and tuple(named[key] for key in own) in known:
            cost = math.fsum(known[tuple(named[key] for key in own)])
        cpa = cost / conversions if cost is not None and conversions is not None and conversions > 0 else None
        roas = value / cost if cost and value is not None else None
        found[at] = (conversions, value, cost, cpa, roas)
    return found


NAMES = st.sampled_from(["a", "b", "=c()", "null", "é"])
REGIONS = st.sampled_from([None, "EU", "US"])
CREDITS = st.one_of(st.none(), st.floats(-5, 50).map(lambda x: round(x, 2)))
MONEY = st.floats(0, 1e6)


@given(
    data=st.data(),
    shape=st.sampled_from([("channel",), ("region", "channel"), ("stage", "channel"), ("region", "stage", "channel")]),
)
def test_the_twin_agrees(data, shape):
    keys = list(shape)
    drawn = {"region": REGIONS, "stage": st.sampled_from(["see", "do"]), "channel": NAMES}
    players = data.draw(st.sets(st.tuples(*(drawn[key] for key in keys)), min_size=1, max_size=8))
    methods = data.draw(st.sampled_from([("m",), ("z", "a")]))
    rows = [(*key, "player", data.draw(CREDITS), data.draw(CREDITS)) for key in sorted(players, key=str)]
    rows += [(*game, None, "unattributed", 1.0, 2.0) for game in {key[:-1] for key in players}]
    credit = table(rows, keys, methods=methods)
    whole = data.draw(st.booleans()) if "stage" in keys else False
    own = [key for key in keys if not (whole and key == "stage")]
    entry = st.fixed_dictionaries({key: drawn[key] for key in own} | {"cost": MONEY})
    costs = data.draw(st.lists(entry, min_size=1, max_size=12))
    frame = pl.DataFrame(costs, schema=dict.fromkeys(own, pl.String) | {"cost": pl.Float64})
    found, _ = spent(credit, frame)
    n = len(keys) + 2
    assert {row[:n]: row[n:] for row in found.rows()} == twin(credit.to_dicts(), costs, keys)
    assert_frame_equal(found, found.sort(*keys, "kind", maintain_order=True))
    total = math.fsum(cost["cost"] for cost in costs) * (len({r["stage"] for r in credit.to_dicts()}) if whole else 1)
    for method in methods:
        assert math.fsum(found.filter(method=method)["cost"].drop_nulls()) == pytest.approx(total)


def test_value_that_is_the_number_of_conversions_has_no_roas():
    """Outcomes without a value count as 1 each: value / cost would be conversions / cost, and no return."""
    rows = [
        (None, "unattributed", 5.0, 5.0),
        ("ad", "player", 20.0, 20.0),
        ("mail", "player", 40.0, 40.0 * (1 + 1e-13)),
    ]
    found, notes = spent(table(rows), COSTS.filter(pl.col("channel") != "seo"))
    assert found["roas"].null_count() == found.height
    assert found.filter(channel="ad")["cpa"].item() == 8.0
    assert len(notes) == 1
    assert notes[0].startswith("roas is null: every conversion has a value of 1")
    nothing, notes = spent(table([(*row[:3], 0.0) for row in rows]), COSTS.filter(pl.col("channel") != "seo"))
    assert nothing.filter(channel="ad")["roas"].item() == 0.0
    assert notes[0].startswith("roas is 0: every conversion has a value of 0")
    one = [*rows[:2], ("mail", "player", 40.0, 40.5)]
    assert spent(table(one), COSTS)[0].filter(channel="ad")["roas"].item() == 20 / 160


@pytest.mark.parametrize("intervals", [0.95, None])
@pytest.mark.parametrize("method", [attrib.Linear(), attrib.Markov(), attrib.Shapley(worth="rate")])
def test_outcomes_without_a_value_have_no_roas_by_any_method(method, intervals):
    data = attrib.synth.generate(customers=400, seed=1)
    costs = data.touchpoints.group_by("channel").agg(pl.lit(100.0).alias("cost"))
    for outcomes in (data.outcomes.drop("value"), data.outcomes):
        journeys = attrib.Journeys.from_events(data.touchpoints, outcomes, target="purchase")
        found, notes = spent(attrib.credit(journeys, method, intervals=intervals), costs)
        lacking = "value" not in outcomes.columns
        assert any("roas is null" in note for note in notes) == lacking
        roas = found.filter(kind="player").select(pl.col("^roas.*$"))
        assert roas.width == (3 if intervals else 1)
        assert (roas.null_count().sum_horizontal().item() == roas.height * roas.width) == lacking
        assert found.filter(kind="player")["cpa"].is_not_null().any()


def test_no_conversion_at_all_is_a_return_of_nothing():
    rows = [(None, "unattributed", 0.0, 0.0), ("ad", "player", 0.0, 0.0)]
    found, notes = spent(table(rows), COSTS.filter(channel="ad"))
    assert notes == []
    assert found.filter(channel="ad").select("cpa", "roas").row(0) == (None, 0.0)
