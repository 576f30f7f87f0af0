"""The next action: what happened after dates, who may be touched, where nothing can be said, and what is claimed."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

import attrib
from attrib.errors import AttribWarning, DataError, SpecError
from attrib.lifecycle import ChurnClassifier
from attrib.lifecycle.acting.claims import LOGGED, RANDOMISED, RANKING
from attrib.lifecycle.acting.effects import HARDLY, NOBODY
from attrib.stages import Milestone, Stage, StageModel

DAY, TICK = timedelta(days=1), timedelta(microseconds=1)
AT = datetime(2024, 6, 1)  # noqa: DTZ001 - times without a zone
HOSTILE = ["=cmd|' /C calc'!A0", "a\x1b[2Jb", "__row", "claim", "(other)", "*"]
MODEL = StageModel(
    [
        Stage("new", Milestone("visit"), actions=("mail", "say hello"), expected_channels=("ad",)),
        Stage("known", Milestone("purchase"), actions=("call",)),
        Stage("loyal", None),
    ]
)


def frame(rows, *names):
    kinds = {"customer_id": pl.Int64, "timestamp": pl.Datetime("us")}
    return pl.DataFrame(list(rows), schema={n: kinds.get(n, pl.String) for n in names}, orient="row")


def touches(*rows):
    return frame(rows, "customer_id", "timestamp", "channel")


def outcomes(*rows):
    return frame(rows, "customer_id", "timestamp", "outcome")


ASK = {"at": AT, "gap": "7d", "horizon": "20d", "end": AT + 60 * DAY}
SEEN = (1, AT - DAY, "ad")


@pytest.mark.parametrize(
    ("moment", "advanced"),
    [(AT, None), (AT + 7 * DAY, None), (AT + 7 * DAY + TICK, 1), (AT + 27 * DAY, 1), (AT + 27 * DAY + TICK, 0)],
)
@pytest.mark.parametrize("ask", [{"stages": MODEL}, {"target": "visit"}])
def test_advancing_counts_after_the_decision_window_only(moment, advanced, ask):
    rows = attrib.decisions(touches(SEEN), outcomes((1, moment, "visit")), **ASK, **ask)
    assert rows["advanced"].to_list() == ([] if advanced is None else [advanced])


@pytest.mark.parametrize(
    ("moment", "action"),
    [(AT - TICK, None), (AT, "mail"), (AT + 7 * DAY, "mail"), (AT + 7 * DAY + TICK, None)],
)
def test_the_action_is_the_first_touch_in_the_decision_window(moment, action):
    later = (1, AT + 7 * DAY, "zz")
    rows = attrib.decisions(touches(SEEN, (1, moment, "mail"), later), outcomes(), target="visit", **ASK)
    assert rows["action"].to_list() == [action or "zz"]
    rows = attrib.decisions(touches(SEEN, (1, moment, "mail")), outcomes(), target="visit", **ASK)
    assert rows["action"].to_list() == [action]


def test_last_stages():
    bought = [(1, AT - 9 * DAY, "visit"), (1, AT - 8 * DAY, "purchase"), (1, AT + 9 * DAY, "purchase")]
    assert attrib.decisions(touches(SEEN), outcomes(*bought), stages=MODEL, **ASK).height == 0
    three = attrib.decisions(touches(SEEN), outcomes(*bought[:1], *bought[2:]), stages="three", **ASK)
    assert three.select("stage", "advanced").rows() == [("consideration", 1)]
    ready = outcomes(*bought, (1, AT - 9 * DAY, "intent"))
    three = attrib.decisions(touches(SEEN), ready, stages="three", **ASK)
    assert three.select("stage", "advanced").rows() == [("decision", 1)]


def test_dates_whose_horizon_is_not_over_are_left_out():
    ask = ASK | {"at": [AT, AT + 40 * DAY]}
    with pytest.warns(AttribWarning, match="1 of 2 dates are left out"):
        rows = attrib.decisions(touches(SEEN), outcomes(), target="visit", **ask)
    assert rows["date"].unique().to_list() == [AT]
    with pytest.raises(DataError, match="no date is followed"):
        attrib.decisions(touches(SEEN), outcomes(), target="visit", **(ASK | {"end": AT + 3 * DAY}))


def past(n=3000, seed=0, *, names=("mail", "call", None), chances=None, stages=("new", "known")):
    """Decisions: mail helps the old, call the young; a little noise of other columns."""
    rng = np.random.default_rng(seed)
    age, noise = rng.normal(size=n), rng.normal(size=n)
    p = np.full((n, 3), 1 / 3) if chances is None else chances(age)
    arm = (rng.random(n)[:, None] > p.cumsum(axis=1)[:, :2]).sum(axis=1)
    q = truth(age)[np.arange(n), arm]
    return pl.DataFrame(
        {
            "customer_id": np.arange(n),
            "age": age,
            "noise": noise,
            "stage": rng.choice(stages, n),
            "action": pl.Series([names[a] for a in arm], dtype=pl.String),
            "advanced": (rng.random(n) < q).astype(int),
            "p": p[np.arange(n), arm],
        }
    )


def truth(age):
    return expit(np.column_stack([-1 + 1.5 * age, -1 - 1.5 * age, np.full(len(age), -1.0)]))


NOW = pl.DataFrame({"customer_id": [1, 2], "age": [1.5, -1.5], "noise": [0.0, 0.0], "stage": ["new", "known"]})


def test_channels_are_ranked_by_the_change_they_make():
    found = attrib.next_action(NOW, past(), features=["age", "noise"])
    assert found.customers["best"].to_list() == ["mail", "call"]
    assert found.ranking["rank"].to_list() == [1, 2, 1, 2]
    expected = truth(np.array([1.5, 1.5, -1.5, -1.5]))
    changes = [expected[0, 0] - expected[0, 2], expected[1, 1] - expected[1, 2]]
    np.testing.assert_allclose(found.ranking["change"], changes * 2, atol=0.12)
    assert (found.ranking["change"] == found.ranking["chance_if"] - found.ranking["chance_if_not"]).all()
    assert found.blocked.height == 0


def test_nothing_is_called_causal_that_is_not():
    found = attrib.next_action(NOW, past(600))
    for table in (found.ranking, found.customers):
        assert (table["claim"] == RANKING).all()
    assert found.value is None
    logged = attrib.next_action(NOW, past(600), propensity="p", replicates=20)
    lot = attrib.next_action(NOW, past(600).drop("p"), randomised=True, replicates=20)
    assert (logged.claim, lot.claim) == (LOGGED, RANDOMISED)
    assert (lot.ranking["claim"] == RANDOMISED).all()
    assert set(lot.value["policy"]) == {"best", "always mail", "always call", "always (none)"}


def test_value_of_the_best_policy():
    history = past(8000)
    found = attrib.next_action(NOW, history, propensity="p", replicates=100).value.filter(estimator="dr")
    best = truth(np.random.default_rng(9).normal(size=200_000)).max(axis=1).mean()
    row = found.filter(policy="best").row(0, named=True)
    assert row["low"] <= best <= row["high"]
    assert row["value"] > found.filter(policy="always mail")["high"].item()


def test_weights_undo_the_choice_of_whom_to_touch():
    def chosen(age):  # mail went to the old, who need no mail in this stage: a hidden reason that p knows
        mail = expit(2 * age) * 0.8 + 0.05
        return np.column_stack([mail, np.full(len(age), 0.05), 0.95 - mail])

    history = past(20_000, chances=chosen)
    blind = attrib.next_action(NOW, history, features=["noise"], channels=["mail"]).ranking["change"][0]
    known = attrib.next_action(NOW, history, features=["noise"], channels=["mail"], propensity="p", replicates=5)
    p = truth(np.random.default_rng(9).normal(size=200_000)).mean(axis=0)
    assert known.ranking["change"][0] == pytest.approx(p[0] - p[2], abs=0.03)
    assert blind > p[0] - p[2] + 0.1


def test_risks_come_from_models_columns_or_arrays():
    history = past(800)
    model = ChurnClassifier(check_leaks=False).fit(history.select("age", "noise"), history["advanced"])
    found = attrib.next_action(NOW, history, churn=model, referral=[0.25, 0.5])
    np.testing.assert_allclose(found.customers["churn_risk"], model.predict_proba(NOW)[:, 1])
    assert found.customers["referral_chance"].to_list() == [0.25, 0.5]
    assert found.customers["stall_risk"].is_between(0, 1).all()
    for wrong in ([2.0, 0.0], "nothing", [0.1]):
        with pytest.raises((DataError, SpecError)):
            attrib.next_action(NOW, history, churn=wrong)


def test_survival_models_tell_the_risk_to_leave():
    from attrib.lifecycle import SurvivalChurn

    history = past(300)
    model = SurvivalChurn("weibull").fit(history.select("age"), history["age"].abs() + 1, history["advanced"])
    found = attrib.next_action(NOW, history, churn=model, churn_horizon=2, churn_after=[1, 2])
    np.testing.assert_allclose(found.customers["churn_risk"], model.predict_churn(NOW, 2, [1, 2]))
    with pytest.raises(SpecError, match="churn_horizon"):
        attrib.next_action(NOW, history, churn=model)


def pairs(table):
    return set(table.select("customer_id", "channel").rows())


def test_consent_and_eligibility():
    history = past(800)
    now = NOW.with_columns(may_call=pl.Series([True, None]), may_mail=pl.Series([1, 1]))
    found = attrib.next_action(now, history, consent={"call": "may_call"}, consent_free=["mail"])
    assert pairs(found.blocked) == {(2, "call")}
    assert found.blocked["reason"].to_list() == ["no consent"]
    assert pairs(found.ranking) == {(1, "mail"), (1, "call"), (2, "mail")}
    silent = attrib.next_action(now, history, consent={"call": "may_call"})
    assert pairs(silent.blocked) == {(1, "mail"), (2, "mail"), (2, "call")}
    listed = pl.DataFrame({"customer_id": [1, 1, 2, 2], "channel": ["mail", "call", "mail", "mail"]})
    given = attrib.next_action(now, history, consent=listed.with_columns(consent=pl.Series([True, False, True, False])))
    assert pairs(given.ranking) == {(1, "mail")}
    able = attrib.next_action(now, history, eligible=listed.with_columns(eligible=pl.Series([True, False, True, None])))
    assert pairs(able.blocked) == {(1, "call"), (2, "mail")}
    assert pairs(able.ranking) == {(1, "mail"), (2, "call")}
    assert attrib.next_action(now, history, eligible={"mail": False}).customers["best"].to_list() == [None, "call"]


def test_caps_count_touches_before_the_date():
    now = NOW.with_columns(date=pl.lit(AT))
    log = touches(
        (1, AT - 2 * DAY, "mail"), (1, AT - 7 * DAY, "mail"), (1, AT, "mail"), (1, AT - 7 * DAY - TICK, "call"),
        (2, AT - 7 * DAY - TICK, "mail"), (2, AT - DAY, "mail"),
    )  # fmt: skip
    found = attrib.next_action(now, past(800), caps={"mail": (2, "7d")}, touchpoints=log)
    assert found.blocked.rows() == [(1, AT, "mail", "frequency cap: 2 touches in 7d")]
    assert pairs(found.ranking) == {(1, "call"), (2, "mail"), (2, "call")}
    every = attrib.next_action(now, past(800), caps={"*": (3, "8d")}, touchpoints=log)
    assert pairs(every.blocked) == {(1, "mail"), (1, "call")}
    with pytest.raises(SpecError, match="touchpoints"):
        attrib.next_action(now, past(800), caps={"mail": (2, "7d")})
    for wrong in ({"mail": 2}, {"mail": (-1, "7d")}, {"mail": (1, "soon")}, ["mail"]):
        with pytest.raises(SpecError):
            attrib.next_action(now, past(800), caps=wrong, touchpoints=log)


def test_no_number_without_similar_customers():
    history = past(3000).filter(~((pl.col("stage") == "known") & (pl.col("action") == "call")))
    found = attrib.next_action(NOW, history)
    row = found.ranking.filter(customer_id=2, channel="call").row(0, named=True)
    assert (row["change"], row["rank"], row["similar"], row["reason"]) == (None, None, 0, NOBODY)
    assert found.ranking.filter(customer_id=1, channel="call")["change"].item() is not None
    few = pl.concat([history, past(3000).filter(pl.col("stage") == "known", pl.col("action") == "call").head(3)])
    found = attrib.next_action(NOW, few).ranking.filter(customer_id=2, channel="call")
    assert found["reason"].item() == "only 3 similar customers ever got it"
    often = few.filter(pl.col("stage") == "known", pl.col("action") == "call")
    again = attrib.next_action(NOW, pl.concat([few, *[often] * 20])).ranking.filter(customer_id=2, channel="call")
    assert again["similar"].item() == 3  # customers, not rows
    stranger = attrib.next_action(NOW.with_columns(stage=pl.lit("elsewhere")), history)
    assert (stranger.ranking["reason"] == NOBODY).all()
    assert stranger.customers["stall_risk"].null_count() == 2


def test_no_number_where_customers_like_this_one_never_got_it():
    def chosen(age):  # mail never went to the young
        mail = expit(6 * age) * 0.6
        return np.column_stack([mail, np.full(len(age), 0.2), 0.8 - mail])

    found = attrib.next_action(NOW, past(6000, chances=chosen))
    assert found.ranking.filter(customer_id=2, channel="mail")["reason"].item() == HARDLY
    assert found.ranking.filter(customer_id=1, channel="mail")["reason"].item() is None
    assert found.ranking.filter(customer_id=2, channel="call")["change"].item() is not None


def test_declared_actions_and_unknown_channels():
    found = attrib.next_action(NOW, past(800), stages=MODEL, channels=["mail", "call", "pigeon"])
    rows = {(r["customer_id"], r["channel"]): r for r in found.ranking.iter_rows(named=True)}
    assert set(rows) == {
        (1, "mail"),
        (1, "call"),
        (1, "pigeon"),
        (1, "say hello"),
        (2, "mail"),
        (2, "call"),
        (2, "pigeon"),
    }
    assert {k for k, r in rows.items() if r["declared"]} == {(1, "mail"), (1, "say hello"), (2, "call")}
    assert rows[1, "say hello"]["reason"] == rows[2, "pigeon"]["reason"] == NOBODY
    assert found.customers["actions"].to_list() == [["mail", "say hello"], ["call"]]
    assert found.customers["expected_channels"].to_list() == [["ad"], []]


@pytest.mark.parametrize("pair", [HOSTILE[:2], HOSTILE[2:4], HOSTILE[4:]])
def test_hostile_channel_names(pair):
    found = attrib.next_action(
        NOW, past(900, names=(*pair, None)), features=["age"], randomised=True, replicates=5, consent_free=pair[:1],
        consent={pair[1]: True},
    )  # fmt: skip
    assert set(found.ranking["channel"]) == set(pair)
    assert found.customers["best"].to_list() == pair


def test_same_seed_same_answer_and_no_row_depends_on_others():
    one, two = (attrib.next_action(NOW, past(900), seed=3) for _ in range(2))
    assert one.ranking.equals(two.ranking)
    alone = attrib.next_action(NOW[1:], past(900), seed=3)
    assert alone.ranking.equals(one.ranking.filter(customer_id=2))


def test_nobody_left_alone_and_other_errors():
    history = past(900)
    with pytest.raises(DataError) as error:
        attrib.next_action(NOW, history.filter(pl.col("action").is_not_null()))
    assert error.value.key == "no_baseline"
    called = history.with_columns(action=pl.col("action").replace("mail", "(none)"))
    for wrong, given in (
        (DataError, {"decisions": called}),
        (SpecError, {"features": ["advanced"]}),
        (SpecError, {"min_overlap": 2}),
        (DataError, {"channels": []}),
        (DataError, {"decisions": history.filter(pl.col("action").is_null())}),
        (SpecError, {"min_support": 0}),
        (SpecError, {"randomised": 1}),
        (DataError, {"decisions": history.drop("action")}),
        (DataError, {"consent": pl.DataFrame({"customer_id": [1]})}),
        (SpecError, {"consent": {"mail": 3}}),
        (DataError, {"consent": {"mail": "stage"}}),
    ):
        with pytest.raises(wrong):
            attrib.next_action(NOW, **({"decisions": history} | given))


def test_from_events_to_actions():
    rng = np.random.default_rng(11)
    seen, bought = [], []
    for who in range(400):
        days = rng.integers(1, 60, rng.integers(1, 5)).tolist()
        seen += [(who, AT - day * DAY, ["ad", "mail"][rng.integers(2)]) for day in days]
        mail = rng.random() < 0.5
        if mail:
            seen.append((who, AT + DAY, "mail"))
        if rng.random() < (0.6 if mail else 0.2):
            bought.append((who, AT + 12 * DAY, "purchase"))
    log, done = touches(*seen), outcomes(*bought)
    rows = attrib.decisions(log, done, target="purchase", channels=["ad", "mail"], **ASK)
    now = attrib.snapshot(log, done, at=AT + 28 * DAY, purpose="score", channels=["ad", "mail"])
    named = ["touches", "share:mail"]
    found = attrib.next_action(now, rows, features=named, caps={"mail": (9, "7d")}, touchpoints=log)
    assert found.customers.height == now.height
    known = found.ranking.filter(pl.col("change").is_not_null())
    assert known["change"].mean() == pytest.approx(0.4, abs=0.12)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"consent_free": ["mail"]}, "consent_free is given without consent"),
        ({"consent_free": ["mial"], "consent": {}}, "did you mean 'mail'"),
    ],
)
def test_consent_free_must_mean_something(asked, words):
    with pytest.raises(SpecError, match=words):
        attrib.next_action(NOW, past(400), **asked)


def test_channels_that_nobody_can_send_are_offered_with_a_warning_only():
    history = past(600, names=("mail", "organic_search", None))
    with pytest.warns(AttribWarning, match=r"'organic_search' among them.*channels=\['mail'\]"):
        found = attrib.next_action(NOW, history)
    assert set(found.ranking["channel"]) == {"mail", "organic_search"}
    assert set(attrib.next_action(NOW, history, channels=["mail"]).ranking["channel"]) == {"mail"}
    both = attrib.next_action(NOW, history, channels=["mail", "organic_search"])  # asked for on purpose
    assert both.ranking.equals(found.ranking)


def test_a_misspelt_channel_is_pointed_out():
    with pytest.warns(AttribWarning, match="'mial' is in no decision.*did you mean 'mail'"):
        attrib.next_action(NOW, past(600), channels=["mial", "call"])
    with pytest.warns(AttribWarning, match="'tv' is in no decision, so nothing can be said of it; their actions are"):
        attrib.next_action(NOW, past(600), channels=["mail", "tv"])


def test_who_has_left_is_neither_learned_from_nor_ranked():
    seen = touches((1, AT - 9 * DAY, "ad"), (2, AT - 9 * DAY, "ad"), (3, AT - 9 * DAY, "ad"))
    ended = outcomes((1, AT - 2 * DAY, "cancel"), (2, AT, "cancel"))
    rows = attrib.decisions(seen, ended, target="visit", churn="cancel", **ASK)
    assert rows["customer_id"].to_list() == [2, 3]
    assert attrib.decisions(seen, ended, target="visit", **ASK).height == 3
    with pytest.raises(SpecError, match="silent"):
        attrib.decisions(seen, ended, target="visit", churn="silent", **ASK)
    with pytest.raises(SpecError, match="purpose"):
        attrib.decisions(seen, ended, target="visit", purpose="train", **ASK)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"snapshot": NOW.rename({"customer_id": "customer"})}, "rename the column that holds it; did you mean 'cust"),
        ({"features": ["agee"]}, "features must name columns of both, snapshot and decisions; did you mean 'age'"),
        ({"propensity": "q"}, "propensity must name a column of decisions"),
        ({"consent": {"mail": "may_mial"}}, "consent must name columns of flags"),
        ({"eligible": pl.DataFrame({"customer_id": [1]})}, "eligible is a frame of customer_id, channel and eligible"),
        ({"churn": "agee"}, "churn = 'agee' is no column of the snapshot; did you mean 'age'"),
    ],
)
def test_hints_can_be_followed(asked, words):
    with pytest.raises((DataError, SpecError), match=words) as error:
        attrib.next_action(**({"snapshot": NOW, "decisions": past(400)} | asked))
    assert "map your names" not in str(error.value)
