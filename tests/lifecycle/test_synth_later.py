"""Simulated customers who live on: what they do is what the truth says, and nothing changes for those who do not."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import attrib
from attrib import synth
from attrib.errors import SpecError

DAY = timedelta(days=1)
START = datetime(2025, 1, 1)  # noqa: DTZ001 - times without a zone
SIZE = 60_000
AT = START + 210 * DAY  # a campaign asks at this instant
GAP, HORIZON = 7 * DAY, 90 * DAY
MARKETS = {
    "contract": synth.Later(),
    "biased": synth.Later(shape=1.5, frailty=0.0, ask_bias=2.0, swing=0.8, ask_every=15),
    "young": synth.Later(shape=0.4, scale=60.0, frailty=2.0, loyal=1.0),
    "silent": synth.Later(contract=False),
    "silent, biased": synth.Later(contract=False, ask_bias=-1.0, asked=0.5, dropout=(2.0, 3.0), keeps=2.0),
}


def market(later: synth.Later | None = None, **changes) -> synth.Population:
    return synth.Population(later=later or synth.Later(), **changes)


def did(events: pl.DataFrame, outcome: str) -> pl.Expr:
    return pl.col("customer_id").is_in(events.filter(outcome=outcome)["customer_id"].implode())


def deviation(rows: pl.DataFrame, happened: pl.Expr, probability: str) -> float:
    """How far the frequency is from the mean probability, in standard errors."""
    p = pl.col(probability)
    assert rows.select(p.is_between(0, 1).all()).item()
    return rows.select((happened.cast(pl.Float64) - p).sum() / (p * (1 - p)).sum().sqrt()).item()


# --- nothing changes without it ---------------------------------------------------------------------


def test_without_later_the_rows_are_those_of_old():
    data = synth.generate(2_000, seed=1)
    touches = data.touchpoints.group_by("channel").agg(pl.len(), pl.col("cost").sum().round(2)).sort("channel")
    assert touches.rows() == [
        ("affiliate", 425, 257.14), ("app", 852, 8.43), ("call_centre", 261, 1035.13), ("comparison_site", 334, 264.80),
        ("direct", 1251, 0.0), ("display", 1810, 7.19), ("email", 961, 1.95), ("organic_search", 882, 0.0),
        ("paid_search", 871, 788.50), ("social", 1780, 10.68), ("store", 543, 811.21), ("word_of_mouth", 306, 0.0),
    ]  # fmt: skip
    milliseconds = pl.col("timestamp").dt.timestamp("ms").sum()
    outcomes = data.outcomes.group_by("outcome").agg(
        pl.len(), pl.col("value").sum().round(2), pl.col("referrer_id").sum(), milliseconds
    )
    assert outcomes.sort("outcome").rows() == [
        ("intent", 902, 0.0, 10162, 1582664949291210), ("purchase", 1036, 65882.28, 8897, 1819411864445340),
        ("referral", 207, 0.0, 0, 363981110836575), ("visit", 2045, 0.0, 20997, 3588726922400934),
    ]  # fmt: skip
    assert data.touchpoints["timestamp"].dt.timestamp("ms").sum() == 745940295221878 + 1497867768500997 + (
        458494602399601 + 586150971540891 + 2197303481204690 + 3174067636893154 + 1688076194937925 + 1547914476883142
        + 1528289709410411 + 3121500446137960 + 952865037384779 + 537003794774961
    )  # fmt: skip


def test_up_to_the_first_purchase_nothing_changes_for_those_who_come_unaided():
    plain = synth.generate(3_000, seed=2, population=synth.Population(recruits=0.0))
    later = synth.generate(3_000, seed=2, population=market(recruits=0.0))
    bought = plain.outcomes.filter(outcome="purchase").group_by("customer_id").agg(pl.col("timestamp").min().alias("t"))

    def before(frame: pl.DataFrame) -> pl.DataFrame:
        joined = frame.join(bought, on="customer_id", how="left", maintain_order="left")
        return joined.filter((pl.col("timestamp") <= pl.col("t")) | pl.col("t").is_null()).drop("t")

    assert_frame_equal(before(plain.touchpoints), before(later.touchpoints).drop("satisfaction"))
    assert_frame_equal(before(plain.outcomes), before(later.outcomes))
    assert before(later.touchpoints)["satisfaction"].null_count() == before(later.touchpoints).height


# --- one customer, one life -------------------------------------------------------------------------


@pytest.mark.parametrize(("batch", "threads"), [(999, 1), (2_000, 3)])
def test_neither_batches_nor_threads_matter(batch, threads):
    population = market(recruits=0.4)
    whole = synth.generate(3_000, seed=5, ids="string", population=population)
    parts = list(synth.batches(3_000, 5, batch, ids="string", population=population, threads=threads))
    assert_frame_equal(pl.concat([touches for touches, _ in parts]), whole.touchpoints)
    assert_frame_equal(pl.concat([outcomes for _, outcomes in parts]), whole.outcomes)


def test_the_truth_depends_on_neither_threads_nor_other_customers_and_dates(monkeypatch):
    population = market(recruits=0.4)
    alone = synth.truth(1_500, 5, at=AT, population=population, threads=1)
    monkeypatch.setattr("attrib.synth.truths._BATCH", 700)
    several = synth.truth(3_000, 5, at=[START, AT, AT + 33.3 * DAY], population=population, threads=3)
    first = pl.col("customer_id") < 1_500
    assert_frame_equal(several.customers.filter(first, date=AT), alone.customers)
    assert_frame_equal(several.forest.filter(first), alone.forest)
    assert several.customers["customer_id"].is_sorted()
    assert several.customers.filter(date=START).height == 0


def test_a_channel_that_moves_nobody_can_be_switched_off():
    data = synth.generate(3_000, seed=1, population=market())
    replay = synth.generate(3_000, seed=1, population=market(), off=frozenset({"direct"}))
    assert_frame_equal(replay.outcomes, data.outcomes)
    assert_frame_equal(replay.touchpoints, data.touchpoints.filter(pl.col("channel") != "direct"))


def test_without_campaigns_nobody_is_asked_and_fewer_refer():
    population = market(synth.Later(asked=0.9, ask_lift=8.0), recruits=0.0)
    data = synth.generate(5_000, seed=1, population=population)
    silent = synth.generate(5_000, seed=1, population=population, off=frozenset({"referral_ask"}))
    assert_frame_equal(silent.touchpoints, data.touchpoints.filter(pl.col("channel") != "referral_ask"))
    others = pl.col("outcome") != "referral"
    assert_frame_equal(silent.outcomes.filter(others), data.outcomes.filter(others))
    assert silent.outcomes.filter(~others).height < 0.6 * data.outcomes.filter(~others).height


def test_nothing_follows_a_cancellation_and_satisfaction_is_told_by_customers_only():
    data = synth.generate(5_000, seed=3, population=market())
    cancelled = data.outcomes.filter(outcome="cancel")
    assert cancelled.height > 200
    assert cancelled["customer_id"].is_unique().all()
    ends = cancelled.select("customer_id", end="timestamp")
    for frame in (data.touchpoints, data.outcomes):
        assert (frame.join(ends, on="customer_id").select((pl.col("timestamp") <= pl.col("end")).all())).item()
    first = data.outcomes.filter(outcome="purchase").group_by("customer_id").agg(pl.col("timestamp").min().alias("t"))
    told = data.touchpoints.filter(pl.col("satisfaction").is_not_null()).join(first, on="customer_id", how="left")
    assert (told["timestamp"] > told["t"]).all()
    assert set(told["satisfaction"]) == {-1.0, -0.5, 0.0, 0.5, 1.0}
    assert set(told["channel"]) == {c.name for c in synth.CHANNELS if c.satisfies is not None}
    assert "cancel" not in synth.generate(2_000, population=market(MARKETS["silent"])).outcomes["outcome"]


# --- the truth is true ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MARKETS)
def test_frequencies_are_those_of_the_truth(name):
    population = market(MARKETS[name])
    data = synth.generate(SIZE, seed=11, population=population)
    known = synth.truth(SIZE, 11, at=AT, population=population, ahead="90d").customers
    events = data.outcomes.filter(pl.col("timestamp") > AT + GAP, pl.col("timestamp") <= AT + GAP + HORIZON)
    bought = data.outcomes.filter(pl.col("timestamp") < AT, outcome="purchase")["customer_id"].unique()
    assert known["customer_id"].to_list() == bought.sort().to_list()
    alive = known.filter(alive=True)
    assert alive.height > 1_000
    left = known.filter(alive=False)
    assert left.select(did(events, "purchase").any() | (pl.col("buys") != 0).any()).item() is False
    assert left["churn"].null_count() == left["satisfaction"].null_count() == left.height

    asked = did(data.touchpoints.filter(timestamp=AT).rename({"channel": "outcome"}), "referral_ask")
    found = {
        "buys": deviation(alive, did(events, "purchase"), "buys"),
        "refers": deviation(alive, did(events, "referral"), "refers"),
        "asked": deviation(alive.filter(asked), did(events, "referral"), "refers_asked"),
        "unasked": deviation(alive.filter(~asked), did(events, "referral"), "refers_unasked"),
        "propensity": deviation(alive, asked, "propensity"),
    }
    if population.later.contract:
        gone = data.outcomes.filter(pl.col("timestamp") <= AT + GAP)
        found["stays"] = deviation(alive, ~did(gone, "cancel"), "stays")
        stayed = alive.filter(~did(gone, "cancel"))
        found["churn"] = deviation(stayed, did(events, "cancel"), "churn")
        for satisfied in (False, True):  # of either kind, not only all together
            some = stayed.filter((pl.col("satisfaction") > 0) == satisfied)
            found[f"churn {satisfied}"] = deviation(some, did(events, "cancel"), "churn")
    else:  # the hidden leaving shows in a later truth
        further = synth.truth(SIZE, 11, at=[AT + GAP, AT + GAP + HORIZON], population=population).customers
        there = [
            further.filter(date=date, alive=True)["customer_id"].implode() for date in (AT + GAP, AT + GAP + HORIZON)
        ]
        found["stays"] = deviation(alive, pl.col("customer_id").is_in(there[0]), "stays")
        stayed = alive.filter(pl.col("customer_id").is_in(there[0]))
        found["churn"] = deviation(stayed, ~pl.col("customer_id").is_in(there[1]), "churn")
    assert max(map(abs, found.values())) < 4, found

    ahead = data.outcomes.filter(pl.col("timestamp") > AT, pl.col("timestamp") <= AT + 90 * DAY, outcome="purchase")
    sums = ahead.group_by("customer_id").agg(pl.len().alias("made"), pl.col("value").sum().alias("spent"))
    rows = alive.join(sums, on="customer_id", how="left").fill_null(0)
    for real, expected in (("made", "purchases"), ("spent", "value")):
        off = (rows[real] - rows[expected]).to_numpy()
        assert abs(off.mean()) < 4 * off.std() / np.sqrt(off.size)


def test_probabilities_agree_with_one_life_lived_over_and_over():
    """Slow and obvious: the same customer at rates that do not change has closed forms."""
    later = synth.Later(shape=1.0, frailty=0.0, keeps=0.0, loyal=1.0, delight=0.0, asked=0.0)
    population = market(later, advocates=0.0)
    known = synth.truth(3_000, at=AT, population=population, ahead="50d").customers.filter(alive=True)
    hazard, rate = 1 / later.scale, later.refers

    def by(days: float) -> np.ndarray:
        return -np.expm1(-hazard * days)

    assert known["stays"].to_numpy() == pytest.approx(1 - by(7))
    assert known["churn"].to_numpy() == pytest.approx(by(90))
    together = hazard + rate
    refers = (1 - by(7)) * rate / together * -np.expm1(-together * 90)
    for name in ("refers", "refers_unasked"):
        assert known[name].to_numpy() == pytest.approx(refers)
    fade, fresh = 1 / later.ask_memory, rate * (1 + later.ask_lift)
    grid = np.linspace(7, 97, 90_001)  # still fresh after the gap: from then on no referral until the ask has faded
    step = grid[1] - grid[0]
    silent = np.ones(2)  # [not fresh, fresh], backwards by small steps
    for _ in grid[1:]:
        slow = silent[0] + step * (-rate * silent[0] + hazard * (1 - silent[0]))
        quick = silent[1] + step * (-fresh * silent[1] + hazard * (1 - silent[1]) + fade * (silent[0] - silent[1]))
        silent = np.array([slow, quick])
    still = np.exp(-fade * 7)
    asked = (1 - by(7)) * (1 - (still * silent[1] + (1 - still) * silent[0]))
    assert known["refers_asked"].to_numpy() == pytest.approx(asked, rel=1e-4)
    means = known["purchases"].to_numpy() / (by(50) / hazard)  # the personal rates
    assert means.mean() == pytest.approx(later.repeat[0] / later.repeat[1], rel=0.1)


def test_without_a_contract_the_purchases_are_those_of_bg_nbd():
    later = synth.Later(contract=False, keeps=0.0, loyal=1.0, repeat=(1.2, 20.0), dropout=(0.8, 2.4))
    data = synth.generate(40_000, seed=8, days=730, population=market(later, recruits=0.0))
    bought = data.outcomes.filter(outcome="purchase")
    history = bought.group_by("customer_id").agg(
        (pl.len() - 1).alias("frequency"),
        ((pl.col("timestamp").max() - pl.col("timestamp").min()) / DAY).alias("recency"),
        ((START + 730 * DAY - pl.col("timestamp").min()) / DAY).alias("T"),
    )
    from attrib.lifecycle import BetaGeoNBD

    model = BetaGeoNBD().fit(*(history[name].to_numpy() for name in ("frequency", "recency", "T")))
    found = [model.params_[name] for name in ("r", "alpha", "a", "b")]
    assert found == pytest.approx([1.2, 20.0, 0.8, 2.4], rel=0.12)


# --- referrals --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grove() -> tuple[synth.Synthetic, synth.Truth]:
    population = market(synth.Later(refers=0.01), recruits=0.5)
    return synth.generate(SIZE, seed=4, population=population), synth.truth(SIZE, 4, at=AT, population=population)


def test_the_forest_is_legal(grove):
    data, known = grove
    forest = known.forest
    sums = data.outcomes.filter(outcome="purchase").group_by("customer_id").agg(
        pl.col("timestamp").min().alias("acquired"), pl.col("value").sum(), pl.col("referrer_id").first()
    )  # fmt: skip
    assert_frame_equal(
        forest.select("customer_id", "acquired", "value", "referrer_id"),
        sums.sort("customer_id").select("customer_id", "acquired", "value", "referrer_id"),
    )
    referred = forest.filter(pl.col("referrer_id").is_not_null())
    assert referred.height > 0.03 * forest.height
    both = referred.join(forest, left_on="referrer_id", right_on="customer_id", suffix="_of_referrer")
    assert both.height == referred.height
    assert (both["acquired"] > both["acquired_of_referrer"]).all()
    assert (both["customer_id"] > both["referrer_id"]).all()
    assert (both["root_id"] == both["root_id_of_referrer"]).all()
    assert (both["referrals_of_referrer"] > 0).all()
    assert both["referrer_id_of_referrer"].is_not_null().sum() > 20  # chains
    roots = forest.filter(pl.col("referrer_id").is_null())
    assert (roots["root_id"] == roots["customer_id"]).all()
    made = data.outcomes.filter(outcome="referral").group_by("customer_id").len()
    assert forest["referrals"].sum() == made["len"].sum()
    assert forest["referral_touch"].sum() / referred.height == pytest.approx(0.85, abs=0.04)


def test_a_recruit_begins_with_the_referral_or_without_a_trace(grove):
    data, known = grove
    first = data.touchpoints.group_by("customer_id", maintain_order=True).first()
    seen = data.touchpoints.filter(channel="referral")
    assert seen["customer_id"].is_unique().all()
    assert seen.join(first, on=["customer_id", "timestamp", "channel"], how="semi").height == seen.height
    shown = known.forest.filter("referral_touch")
    assert shown.join(seen, on="customer_id", how="anti").height == 0
    hidden = known.forest.filter(pl.col("referrer_id").is_not_null(), ~pl.col("referral_touch"))
    assert hidden.height > 20
    assert hidden.join(seen, on="customer_id", how="semi").height == 0


def test_referral_adjusted_credit_has_the_true_totals(grove):
    data, known = grove
    journeys = attrib.Journeys.from_events(data.touchpoints, data.outcomes, lookback=None, maturity=None)
    found = attrib.referral_adjusted(journeys, attrib.FirstTouch(), pass_on=0.4, intervals=None)
    forest = known.forest
    referred = forest.filter(pl.col("referrer_id").is_not_null())
    summary = {name: (count, value) for name, count, value in found.summary.rows()}
    assert summary["acquired"] == (forest.height, pytest.approx(forest["value"].sum()))
    assert summary["referred"] == (referred.height, pytest.approx(referred["value"].sum()))
    hidden = referred.filter(~pl.col("referral_touch"))
    assert summary["no_referral_touch"] == (hidden.height, pytest.approx(hidden["value"].sum()))
    # Leaves first; a referral's touch is the first of all, so that its share is 1.
    total = dict(forest.select("customer_id", "value").rows())
    passed, kept = 0.0, 0.0
    for customer, referrer, touched in forest.select("customer_id", "referrer_id", "referral_touch").reverse().rows():
        if touched:
            passed += 0.4 * total[customer]
            kept += 0.6 * total[customer]
            total[referrer] += 0.4 * total[customer]
    assert summary["passed_on"] == (referred.height - hidden.height, pytest.approx(passed))
    table = found.table
    assert table.filter(channel="referral")["referral_adjusted"].sum() == pytest.approx(kept)
    assert table["direct"].sum() == pytest.approx(forest["value"].sum())
    assert table["referral_adjusted"].sum() == pytest.approx(forest["value"].sum())


# --- with attrib.snapshot ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "probability", "name"),
    [
        ({"churn": "cancel"}, "churn", "contract"),
        ({"target": "referral"}, "refers", "contract"),
        ({"target": "purchase", "churn": "silent"}, "silence", "silent"),
    ],
)
def test_labels_of_snapshots_have_the_true_rate(asked, probability, name):
    population = market(MARKETS[name])
    dates = [START + 150 * DAY, AT]
    data = synth.generate(20_000, seed=6, population=population)
    known = synth.truth(20_000, 6, at=dates, population=population).customers
    known = known.with_columns(silence=1 - pl.col("buys"))
    table = attrib.snapshot(data.touchpoints, data.outcomes, at=dates, gap=GAP, horizon=HORIZON, end=START + 365 * DAY,
                            **asked)  # fmt: skip
    for date in dates:
        rows = table.filter(date=date).join(known.filter(date=date), on="customer_id", suffix="_true")
        if probability == "churn":
            assert rows["alive"].all()  # who has cancelled is not asked any more
        assert rows.height > 500
        assert abs(deviation(rows, pl.col("label"), probability)) < 4


# --- asking and refusing ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [{"scale": 0}, {"shape": -1.0}, {"felt": 1.5}, {"repeat": (0.0, 1.0)}, {"dropout": (1.0,)}, {"ask_every": 2.5},
     {"keeps": float("nan")}, {"mood": -1.0}, {"contract": "yes"}, {"refers": float("inf")}],
)  # fmt: skip
def test_parameters_out_of_range_are_named(wrong):
    with pytest.raises(SpecError, match=f"later.{next(iter(wrong))}"):
        synth.Later(**wrong)


def test_what_cannot_be_asked_is_refused(tmp_path):
    population = market()
    with pytest.raises(SpecError, match="do not live on"):
        synth.truth(10, at=AT, population=synth.Population())
    for at in ([], "soon", START - DAY, START + 366 * DAY, [AT, AT], None):
        with pytest.raises(SpecError, match=r"at|date") as caught:
            synth.truth(10, at=at, population=population)
        assert caught.value.key == "bad_date"
    with pytest.raises(SpecError, match="horizon"):
        synth.truth(10, at=AT, horizon="0d", population=population)
    for at, fault in (("soon", "is not a date"), ("2031-01-01", "is not within the 365 days from 2025-01-01")):
        with pytest.raises(SpecError, match=rf"truth_at = .*{at}.* {fault}"):  # as its caller spells it
            synth.write(10, 0, tmp_path / "out", population=population, truth_at=[at])
    with pytest.raises(SpecError, match="carries a time zone"):
        synth.truth(10, at="2025-07-01T00:00+02:00", population=population)
    taken = synth.Channel("referral", "visit", (1, 1, 1, 1, 1), (0, 0, 0, 0, 0))
    with pytest.raises(SpecError, match="later is"):
        market(channels=(taken,))
    with pytest.raises(SpecError, match="satisfies is 2"):
        synth.Channel("a", "visit", (1, 1, 1, 1, 1), (0, 0, 0, 0, 0), satisfies=2)


def test_the_truth_of_nobody_has_the_columns_of_somebody():
    nobody, somebody = (synth.truth(n, at=AT, population=market()) for n in (0, 200))
    assert nobody.customers.schema == somebody.customers.schema
    assert nobody.forest.schema == somebody.forest.schema
    assert nobody.customers.height == nobody.forest.height == 0


def test_extreme_markets_stay_finite():
    for later in (
        synth.Later(mood=0.0, swing=0.0, asked=1.0, ask_every=1, refers=1.0),
        synth.Later(felt=0.0, asked=0.0, ask_every=0, repeat=(0.001, 1e-3)),
        synth.Later(scale=0.01, shape=0.1, frailty=9.0),
        synth.Later(contract=False, dropout=(1e-3, 1e-3), keeps=20.0, repeat=(5.0, 5.0)),
    ):
        known = synth.truth(300, at=AT, population=market(later))
        numbers = known.customers.select(pl.col(pl.Float64).drop_nulls().is_finite().all())
        assert all(numbers.row(0))
        shares = known.customers.select("stays", "churn", "buys", "refers", "refers_asked", "refers_unasked")
        assert all(shares.select(pl.all().is_between(-1e-6, 1 + 1e-6).all()).row(0))


def test_the_command_writes_the_truth_beside_the_events(tmp_path):
    command = [sys.executable, "-m", "attrib", "synth", "--customers", "400", "--ids", "string", "--out", str(tmp_path)]
    done = subprocess.run([*command, "--later", "contract", "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)["tables"]) == {"touchpoints", "outcomes", "truth", "forest"}
    known = synth.truth(400, at="2025-08-29", ids="string", population=market())
    assert_frame_equal(pl.read_parquet(tmp_path / "truth.parquet"), known.customers)
    assert_frame_equal(pl.read_parquet(tmp_path / "forest.parquet"), known.forest)
    assert len(list(tmp_path.iterdir())) == 4
    for wrong, says in ((["--later", "maybe"], "contract or silent"), (["--truth-at", "2025-03-01"], "without --later"),
                        (["--later", "silent", "--truth-at", "soon"], "--truth-at = 'soon' is not a date"),
                        ([], "already holds truth.parquet")):  # fmt: skip
        done = subprocess.run([*command, *wrong], capture_output=True, text=True, check=False)
        assert done.returncode == 2, done.stderr
        assert says in done.stderr
