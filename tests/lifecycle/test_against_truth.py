"""Models beside what the generator knows: probabilities against true ones, effects against true effects, credit totals.

Estimates are made of what a firm sees up to the last date; the truth is of customers at that date and thereafter. The
training dates lie further apart than a label window is long, so that labels of one customer are independent given the
state at each date, and sampling errors are those of so many draws.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

import attrib
from attrib import synth
from attrib.errors import AttribWarning
from attrib.lifecycle import BetaGeoNBD, ChurnClassifier, GammaGamma, ReferralLikelihood, SurvivalChurn, lifetime_value

DAY = timedelta(days=1)
START = datetime(2025, 1, 1)  # noqa: DTZ001 - times without a zone
GAP, HORIZON, AHEAD = 7 * DAY, 80 * DAY, 180 * DAY
SIZE, SEED = 20_000, 3
PAST = [START + day * DAY for day in (120, 240, 360)]  # campaigns ask on each 30th day
NOW = START + 450 * DAY  # what happens later no model sees
ORGANIC = (  # most buy within the first weeks: 20,000 customers are enough
    (0.1, 0.01, 0.02, 0.0), (0.05, 0.1, 0.02, 0.0), (0.05, 0.02, 0.1, 0.0), (0.005, 0.001, 0.003, 0.0),
    (0.005, 0.001, 0.003, 0.0),
)  # fmt: skip
SEEN = ["satisfaction", "satisfaction_mean", "satisfaction_trend", "touches", "outcomes", "frequency", "value", "stage",
        "recency", "gap_mean", "channels", "channel_entropy", "channel_mix", "touches:app", "touches:call_centre",
        "touches:store", "referrals_made", "referrals_received", "log_contract"]  # fmt: skip
CONTRACT = {"scale": 300.0, "shape": 0.8, "frailty": 0.3, "keeps": 1.0, "ask_lift": 8.0, "ask_memory": 30.0}
MARKETS = {
    "contract": synth.Later(**CONTRACT, refers=0.0002, asked=0.4),
    "biased": synth.Later(**CONTRACT, refers=0.0015, ask_bias=2.0),
    "silent": synth.Later(contract=False, keeps=0.0, loyal=1.0),  # BG/NBD as its authors have it
}


@dataclass(frozen=True)
class Market:
    """A generated market: its events up to now, and its truth."""

    events: synth.Synthetic
    truth: synth.Truth

    def rows(self, at, **asked) -> pl.DataFrame:
        """Snapshot of those who have a contract at the date, its age among the features; truths are `true_…`."""
        channels = [channel.name for channel in synth.CHANNELS]
        table = attrib.snapshot(self.events.touchpoints, self.events.outcomes, at=at, end=NOW, stages="five",
                                channels=channels, gap=GAP, horizon=HORIZON, **asked)  # fmt: skip
        keys = pl.col("customer_id", "date")
        truth = self.truth.customers.select(keys, pl.exclude("customer_id", "date").name.prefix("true_"))
        age = (pl.col("date") - pl.col("acquired")).dt.total_microseconds() / (DAY / timedelta(microseconds=1))
        asks = self.events.touchpoints.filter(channel="referral_ask").select(
            "customer_id", pl.col("timestamp").alias("date"), asked=True
        )
        return (
            table.join(truth.filter("true_alive"), on=["customer_id", "date"], maintain_order="left")
            .join(self.truth.forest.select("customer_id", "acquired"), on="customer_id", maintain_order="left")
            .join(asks, on=["customer_id", "date"], how="left", maintain_order="left")
            .with_columns(pl.col("asked").fill_null(value=False), contract=age, log_contract=age.log())
        )


@functools.cache
def market(name: str) -> Market:
    """Generate a market, once for all tests that look at it."""
    population = synth.Population(organic=ORGANIC, window=200.0, recruits=0.1, later=MARKETS[name])
    days = (NOW - START) // DAY
    known = synth.truth(
        SIZE, SEED, at=[*PAST, NOW], gap=GAP, horizon=HORIZON, ahead=AHEAD, days=days, population=population
    )
    return Market(synth.generate(SIZE, SEED, days=days, population=population), known)


def faults(found: np.ndarray, true: pl.Series, learned: int, rows: pl.DataFrame | None = None) -> list[str]:
    """What is wrong with probabilities beside the true ones: their mean, their deciles, their ranking.

    mean: further from the true mean than three standard errors, which come from the labels of the `learned` rows and
    from the customers who happen to be asked about.
    deciles: the gap between mean probability and mean truth, averaged over the deciles of the probability, is more than
    three times what sampling makes it if a decile's probability is a share counted in a tenth of the rows learned from
    (three times, since errors of one model move neighbouring deciles together).
    ranking: the share of the variance of the truth that is explained is not above that of the best straight line over
    a single numeric feature of `rows` (0 without), although that line is drawn through the truth itself.
    """
    q = true.to_numpy()
    assert len(found) == len(q) > 2_000
    error = np.sqrt((q * (1 - q)).mean() / learned + q.var() / len(q))
    table = pl.DataFrame({"p": found, "q": q}).with_columns(part=pl.col("p").rank("ordinal") * 10 // (len(q) + 1))
    parts = table.group_by("part").agg(p=pl.col("p").mean(), q=pl.col("q").mean(), spread=pl.col("q").var())
    noise = (parts["q"] * (1 - parts["q"]) / (learned / 10) + parts["spread"] / (len(q) / 10)).sqrt()
    usual = np.sqrt(2 / np.pi) * noise.mean()  # mean of the absolute value of a normal number
    lines = [0.0]
    if rows is not None:
        numeric = rows.select(pl.col(SEEN)).select(pl.selectors.numeric()).fill_null(strategy="mean")
        lines += [np.corrcoef(column, q)[0, 1] ** 2 for column in numeric]
    explained = 1 - ((found - q) ** 2).mean() / q.var()
    wrong = {
        "mean": abs(found.mean() - q.mean()) > 3 * error,
        "deciles": (parts["p"] - parts["q"]).abs().mean() > 3 * usual,
        "ranking": explained < max(lines) + 0.01,
    }
    return [name for name, is_so in wrong.items() if is_so]


# --- churn ------------------------------------------------------------------------------------------


@functools.cache
def leaving() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of the past with their labels, and those of today."""
    contracts = market("contract")
    return contracts.rows(PAST, churn="cancel"), contracts.rows(NOW, churn="cancel", purpose="score")


@pytest.mark.parametrize(
    "parameters",
    [{}, {"calibration": "isotonic"}, {"model": "boosting"}, {"class_weight": "balanced"}],
    ids=["logistic", "isotonic", "boosting", "weights, calibrated"],
)
def test_chances_to_leave_are_the_true_ones(parameters):
    past, now = leaving()
    model = ChurnClassifier(**parameters, check_leaks=False)
    model.fit(past.select(SEEN), past["label"], customers=past["customer_id"])
    found = model.predict_proba(now.select(SEEN))[:, 1]
    assert faults(found, now["true_churn"], past.height, now) == []


def test_what_says_nothing_or_too_much_is_found_out():
    past, now = leaving()
    share = np.full(now.height, past["label"].mean())
    assert "ranking" in faults(share, now["true_churn"], past.height)
    truth = now["true_churn"].to_numpy()
    assert faults(truth, now["true_churn"], past.height, now) == []
    rng = np.random.default_rng(1)
    assert set(faults(rng.permutation(truth), now["true_churn"], past.height)) == {"deciles", "ranking"}
    assert "mean" in faults(0.9 * truth, now["true_churn"], past.height)

    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    columns = ["log_contract", "touches", "frequency"]
    for weights, wrong in (("balanced", {"mean", "deciles", "ranking"}), (None, set())):
        plain = make_pipeline(StandardScaler(), LogisticRegression(class_weight=weights))
        plain.fit(past.select(columns).to_numpy(), past["label"].to_numpy())
        found = plain.predict_proba(now.select(columns).to_numpy())[:, 1]
        assert set(faults(found, now["true_churn"], past.height)) == wrong


@pytest.mark.parametrize("kind", ["cox", "weibull"])
def test_survival_models_tell_the_true_chances_to_leave(kind):
    contracts, (_, now) = market("contract"), leaving()
    past = contracts.rows(PAST[-1], churn="cancel", purpose="survival")
    # time runs from the begin of the contract; who left before the date or in the gap could not be seen
    columns = [name for name in SEEN if name != "log_contract"]
    gap = GAP / DAY
    model = SurvivalChurn(kind).fit(
        past.select(columns), past["contract"] + past["duration"], past["event"], entry=past["contract"] + gap
    )
    now = now.filter(pl.col("contract") + gap + HORIZON / DAY <= model.longest_)  # Cox knows nothing beyond
    found = model.predict_churn(now.select(columns), HORIZON / DAY, now["contract"] + gap)
    assert faults(found, now["true_churn"], past.height, now) == []


# --- who never says goodbye -------------------------------------------------------------------------


@functools.cache
def histories() -> pl.DataFrame:
    """Purchases of each customer up to now, to the instant: at days several would be one."""
    silent = market("silent")
    bought, day = silent.events.outcomes.filter(outcome="purchase"), DAY / timedelta(microseconds=1)
    times = pl.col("timestamp")
    summary = bought.group_by("customer_id").agg(
        frequency=pl.len().cast(pl.Int64) - 1,
        recency=(times.max() - times.min()).dt.total_microseconds() / day,
        T=(NOW - times.min()).dt.total_microseconds() / day,
        monetary=pl.col("value").slice(1).mean(),
    )
    truth = silent.truth.customers.filter(date=NOW)
    return summary.join(truth, on="customer_id").sort("customer_id")


@functools.cache
def buying() -> BetaGeoNBD:
    return BetaGeoNBD().fit(*histories().select("frequency", "recency", "T"))


def test_those_who_are_alive_by_bg_nbd_are_alive():
    rows = histories()
    again = rows.filter(pl.col("frequency") > 0)  # the others are alive by the model, and so they are
    assert rows.filter(frequency=0)["alive"].all()
    found = buying().p_alive(*again.select("frequency", "recency", "T"))
    silent_for = again["T"] - again["recency"]
    one_limit = np.where(silent_for > silent_for.quantile(0.5), 0.2, 0.8)
    alive = again["alive"].cast(pl.Float64)
    parts = pl.DataFrame(
        {"p": found, "alive": alive, "part": pl.Series(found).rank("ordinal") * 10 // (len(found) + 1)}
    )
    for part in parts.partition_by("part"):
        error = np.sqrt((part["p"] * (1 - part["p"])).sum()) / part.height
        assert abs(part["p"].mean() - part["alive"].mean()) < 4 * error  # model's own error: a tenth of it
    assert ((found - alive) ** 2).mean() < ((one_limit - alive) ** 2).mean() - 0.01


def test_expected_purchases_and_values_are_the_true_ones():
    rows = histories()
    past = rows.select("frequency", "recency", "T")
    worth = GammaGamma().fit(rows["frequency"], rows["monetary"])
    ahead = AHEAD / DAY
    found = lifetime_value(buying(), worth, *past, rows["monetary"], ahead)
    table = rows.select("purchases", "value", "frequency").with_columns(
        pl.Series("p_purchases", buying().expected_purchases(ahead, *past)), p_value=found.customers["value"]
    )
    rates = buying().standard_errors_["r"] / buying().params_["r"]
    for name in ("purchases", "value"):
        p, q = pl.col(f"p_{name}"), pl.col(name)
        parts = table.with_columns(part=p.rank("ordinal") * 10 // (table.height + 1)).group_by("part").agg(
            off=p.mean() - q.mean(), mean=q.mean(), error=(p - q).std() / pl.len().sqrt()
        )  # fmt: skip
        assert (parts["off"].abs() < 4 * parts["error"] + 2 * rates * parts["mean"]).all()
        explained = 1 - table.select(((p - q) ** 2).mean() / q.var()).item()
        assert explained > table.select(pl.corr("frequency", name)).item() ** 2 + 0.05
    total = found.total.row(0, named=True)
    assert total["low"] < rows["value"].sum() < total["high"]


# --- referral ---------------------------------------------------------------------------------------


def recommending(name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    place = market(name)
    past, now = place.rows(PAST, target="referral"), place.rows(NOW, target="referral", purpose="score")
    return past, now


def fitted(past: pl.DataFrame, **asked) -> ReferralLikelihood:
    model = ReferralLikelihood(check_leaks=False)
    return model.fit(past.select(SEEN), past["label"], customers=past["customer_id"], **asked)


def uplift_off(model: ReferralLikelihood, now: pl.DataFrame) -> tuple[float, float]:
    """How far the mean uplift is from the true one, and its standard error: shares of two arms, by effective rows."""
    arms = model.report_["arms"].values()
    error = np.sqrt(sum(a["share"] * (1 - a["share"]) / a.get("effective_rows", a["rows"]) for a in arms))
    found = model.uplift(now.select(SEEN))["uplift"].mean()
    return found - (now["true_refers_asked"] - now["true_refers_unasked"]).mean(), float(error)


def test_chances_to_refer_and_what_asking_adds_are_the_true_ones():
    past, now = recommending("contract")
    assert 0.03 < past["label"].mean() < 0.2
    model = fitted(past, asked=past["asked"], propensity=past["true_propensity"])
    found = model.predict_proba(now.select(SEEN))[:, 1]
    assert faults(found, now["true_refers"], past.height, now) == []
    for arm, name in ((True, "true_refers_asked"), (False, "true_refers_unasked")):
        rows = past.filter(asked=arm).height
        assert faults(model.predict_proba(now.select(SEEN), asked=arm)[:, 1], now[name], rows, now) == []
    off, error = uplift_off(model, now)
    assert abs(off) < 3 * error
    assert (now["true_refers_asked"] - now["true_refers_unasked"]).mean() > 5 * error  # it can be told from nothing
    off, error = uplift_off(fitted(past, asked=past["asked"]), now)  # drawn at random, so not even needed
    assert abs(off) < 3 * error


def test_where_campaigns_prefer_those_who_refer_anyway_logged_chances_are_needed():
    past, now = recommending("biased")
    told = fitted(past, asked=past["asked"], propensity=past["true_propensity"])
    assert told.uplift(now.select(SEEN))["meaning"].unique().to_list() == [
        "causal: the chance of being asked was known"
    ]
    off, error = uplift_off(told, now)
    assert abs(off) < 3 * error
    untold = fitted(past, asked=past["asked"])
    assert untold.uplift(now.select(SEEN))["meaning"][0].startswith("association, not causal")
    off, error = uplift_off(untold, now)
    assert off > 4 * error  # with features that know much of it


def test_chances_of_asking_that_are_not_those_of_the_campaign_are_noticed():
    past, _ = recommending("biased")
    with pytest.warns(AttribWarning, match="propensities do not fit"):
        fitted(past, asked=past["asked"], propensity=0.2)


# --- credit -----------------------------------------------------------------------------------------


@functools.cache
def journeys() -> attrib.Journeys:
    events = market("contract").events
    return attrib.Journeys.from_events(events.touchpoints, events.outcomes, lookback=None, maturity=None)


def by_channel(table: pl.DataFrame, column: str) -> dict[str | None, float]:
    return dict(table.group_by("channel").agg(pl.col(column).sum()).rows())


def test_retention_adjusted_credit_is_the_true_lifetime_value_of_whom_a_channel_brought():
    place = market("contract")
    forest = place.truth.forest
    worth = forest.select("customer_id", value="lifetime_value")
    found = attrib.retention_adjusted(journeys(), attrib.FirstTouch(), values=worth, intervals=None)
    first = place.events.touchpoints.join(forest, on="customer_id").filter(pl.col("timestamp") <= pl.col("acquired"))
    first = first.group_by("customer_id").agg(pl.col("channel").sort_by("timestamp").first(), lasting=pl.len() > 0)
    bought = place.events.outcomes.filter(outcome="purchase").group_by("customer_id")
    bought = bought.agg(once=pl.col("value").sort_by("timestamp").first())
    brought = forest.join(first, on="customer_id", how="left").join(bought, on="customer_id")
    for column, true in (("direct", "once"), ("retention_adjusted", "lifetime_value")):
        wanted = by_channel(brought, true)
        credit = by_channel(found.table, column)
        assert credit == pytest.approx({channel: wanted.get(channel, 0.0) for channel in credit})
        assert sum(credit.values()) == pytest.approx(brought[true].sum())
        assert set(wanted) <= set(credit)


@pytest.mark.parametrize("method", [attrib.FirstTouch(), attrib.Linear(), attrib.Shapley(worth="conversions")])
@pytest.mark.parametrize("pass_on", [0.0, 0.5, 1.0])
def test_referral_adjusted_credit_of_lifetime_values_has_the_true_totals(method, pass_on):
    forest = market("contract").truth.forest
    worth = forest.select("customer_id", value="lifetime_value")
    found = attrib.referral_adjusted(journeys(), method, pass_on=pass_on, values=worth, intervals=None)
    summary = {name: (count, value) for name, count, value in found.summary.rows()}
    referred = forest.filter(pl.col("referrer_id").is_not_null())
    untouched = referred.filter(~pl.col("referral_touch"))
    assert referred.height > 200
    for entry, rows in (("acquired", forest), ("referred", referred), ("no_referral_touch", untouched)):
        assert summary[entry] == (rows.height, pytest.approx(rows["lifetime_value"].sum()))
    for column in ("direct", "referral_adjusted"):
        assert found.table[column].sum() == pytest.approx(forest["lifetime_value"].sum())
    if pass_on == 0:
        assert found.table["difference"].abs().max() == pytest.approx(0, abs=1e-6)
    else:
        assert found.table.filter(channel="referral")["difference"].sum() < 0


@functools.cache
def winning_touches() -> pl.DataFrame:
    """Touches of the journeys that won the customers of the true forest, each with its weight by linear credit."""
    place = market("contract")
    won = place.events.touchpoints.join(place.truth.forest.select("customer_id", "acquired"), on="customer_id")
    won = won.filter(pl.col("timestamp") <= pl.col("acquired"))
    return won.select("customer_id", "channel", weight=1 / pl.len().over("customer_id"))


def flowed_back(pass_on: float) -> dict[str, float]:
    """Referral-adjusted credit by channel, customer by customer along the true forest, the last one acquired first."""
    forest = market("contract").truth.forest.sort("acquired", descending=True)
    journeys_of = {
        who: list(zip(rows["channel"], rows["weight"], strict=True))
        for (who,), rows in winning_touches().partition_by("customer_id", as_dict=True).items()
    }
    inflow: dict[int, float] = dict.fromkeys(forest["customer_id"], 0.0)
    credit: dict[str, float] = {}
    for row in forest.iter_rows(named=True):
        who, referrer = row["customer_id"], row["referrer_id"]
        total = row["lifetime_value"] + inflow[who]
        for channel, weight in journeys_of.get(who, [("unattributed", 1.0)]):
            passed = pass_on if channel == "referral" and referrer is not None else 0.0
            credit[channel] = credit.get(channel, 0.0) + (1 - passed) * weight * total
            if passed:
                inflow[referrer] += passed * weight * total
    return credit


@pytest.mark.parametrize("pass_on", [0.5, 1.0])
def test_referral_adjusted_credit_flows_along_the_true_forest(pass_on):
    worth = market("contract").truth.forest.select("customer_id", value="lifetime_value")
    found = attrib.referral_adjusted(journeys(), attrib.Linear(), pass_on=pass_on, values=worth, intervals=None)
    table = found.table.with_columns(pl.col("channel").fill_null("unattributed"))
    wanted = flowed_back(pass_on)
    credit = by_channel(table, "referral_adjusted")
    assert credit == pytest.approx({channel: wanted.get(channel, 0.0) for channel in credit})
    assert set(wanted) <= set(credit)
    assert by_channel(table, "direct")["referral"] > credit["referral"] + 0.1 * credit["referral"]
    assert set(found.rejected["reason"]) == {"not_acquired"}  # who was referred and has not bought yet


def test_every_true_tree_keeps_what_its_customers_are_worth():
    place = market("contract")
    forest = place.truth.forest
    trees = forest.select("root_id").group_by("root_id").len().filter(pl.col("len") > 1)
    assert trees.height > 100
    named = forest.select("customer_id", tree=pl.when(pl.col("root_id").is_in(trees["root_id"])).then("root_id"))
    events = [
        table.join(named, on="customer_id", how="left", maintain_order="left")
        for table in (place.events.touchpoints, place.events.outcomes)
    ]
    formed = attrib.Journeys.from_events(*events, by=["tree"], lookback=None, maturity=None)
    worth = forest.select("customer_id", value="lifetime_value")
    found = attrib.referral_adjusted(formed, attrib.Linear(), pass_on=1.0, values=worth, intervals=None)
    kept = found.table.group_by("tree").agg(pl.col("direct", "referral_adjusted").sum())
    true = forest.join(named, on="customer_id").group_by("tree").agg(pl.col("lifetime_value").sum())
    both = kept.join(true, on="tree", how="full", nulls_equal=True).sort("tree")
    np.testing.assert_allclose(both["direct"], both["lifetime_value"])
    np.testing.assert_allclose(both["referral_adjusted"], both["lifetime_value"])
