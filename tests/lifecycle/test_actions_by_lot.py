"""Actions by lot: labels run from the date, nobody is left out for what the action did, and what is claimed of it."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

import attrib
from attrib.errors import AttribWarning, SpecError
from attrib.lifecycle.acting.claims import LOGGED, RANDOMISED, RANKING
from attrib.stages import Milestone, Stage, StageModel

DAY, TICK = timedelta(days=1), timedelta(microseconds=1)
AT = datetime(2024, 6, 1)  # noqa: DTZ001 - times without a zone
ASK = {"at": AT, "gap": "7d", "horizon": "20d", "end": AT + 60 * DAY}
SEEN = (1, AT - DAY, "ad")
MODEL = StageModel([Stage("new", Milestone("visit")), Stage("known", Milestone("purchase")), Stage("loyal", None)])


def table(rows, name):
    schema = {"customer_id": pl.Int64, "timestamp": pl.Datetime("us"), name: pl.String}
    return pl.DataFrame(list(rows), schema=schema, orient="row")


@pytest.mark.parametrize(
    ("moment", "advanced"),
    [(AT - TICK, None), (AT, 1), (AT + DAY, 1), (AT + 7 * DAY, 1), (AT + 20 * DAY, 1), (AT + 20 * DAY + TICK, 0)],
)
@pytest.mark.parametrize("ask", [{"stages": MODEL}, {"target": "visit"}])
def test_advancing_counts_from_the_date_on(moment, advanced, ask):
    touches = table([SEEN, (1, AT, "mail")], "channel")
    rows = attrib.decisions(touches, table([(1, moment, "visit")], "outcome"), randomised="mail", **ASK, **ask)
    if advanced is None:  # before the date: a customer of the next stage, or one who has had the target already
        advanced = 0
    assert rows.select("action", "advanced", "advanced_since").rows() == [("mail", advanced, "date")]


def test_a_last_stage_advances_by_its_own_milestone_from_the_date_on():
    touches = table([SEEN], "channel")
    done = [(1, AT - 9 * DAY, "visit"), (1, AT - 9 * DAY, "intent"), (1, AT + DAY, "purchase")]
    found = attrib.decisions(touches, table(done, "outcome"), stages="three", randomised=["ad"], **ASK)
    assert found.select("stage", "action", "advanced").rows() == [("decision", None, 1)]
    assert attrib.decisions(touches, table(done, "outcome"), stages="three", **ASK).height == 0
    loyal = [(1, AT - 9 * DAY, "visit"), (1, AT - 8 * DAY, "purchase")]
    assert attrib.decisions(touches, table(loyal, "outcome"), stages=MODEL, randomised="ad", **ASK).height == 0


def test_what_customers_do_by_themselves_is_no_action():
    """Whoever comes over the web without a mail was left alone by the lot all the same."""
    rows = [(who, AT - DAY, "ad") for who in (1, 2, 3)]
    rows += [(1, AT + TICK, "web"), (2, AT, "web"), (2, AT + TICK, "mail"), (3, AT + TICK, "call")]
    log, none = table(rows, "channel"), table([], "outcome")
    ask = {"target": "visit", **ASK}
    assert attrib.decisions(log, none, randomised="mail", **ask)["action"].to_list() == [None, "mail", None]
    found = attrib.decisions(log, none, randomised=["call", "mail"], **ask)["action"]
    assert found.to_list() == [None, "mail", "call"]
    assert attrib.decisions(log, none, **ask)["action"].to_list() == ["web", "web", "call"]
    named = attrib.decisions(log, none, randomised=True, channels=["mail", "call"], **ask)["action"]
    assert named.to_list() == found.to_list()


def test_which_channels_were_by_lot_must_be_clear():
    log, none = table([SEEN, (1, AT, "direct"), (1, AT, "mail")], "channel"), table([], "outcome")
    with pytest.raises(SpecError, match="come over 'direct' by themselves") as error:
        attrib.decisions(log, none, target="visit", randomised=True, **ASK)
    assert "out of ['ad', 'mail']" in str(error.value)
    with pytest.raises(SpecError, match="randomised names no channel"):
        attrib.decisions(log, none, target="visit", randomised=[], **ASK)
    with pytest.raises(SpecError, match="the gap is longer"):
        attrib.decisions(log, none, target="visit", randomised="mail", **(ASK | {"horizon": "3d"}))
    with pytest.warns(AttribWarning, match="no touch is of 'mial'; did you mean mail"):
        attrib.decisions(log, none, target="visit", randomised="mial", **ASK)


def test_actions_that_came_late_are_told():
    log = table([SEEN, (2, AT - DAY, "ad"), (1, AT + DAY, "mail"), (2, AT + DAY + TICK, "mail")], "channel")
    with pytest.warns(AttribWarning, match="1 of 2 actions by lot came more than a day after their date"):
        attrib.decisions(log, table([], "outcome"), target="visit", randomised="mail", **ASK)


def test_dates_need_no_gap_behind_them():
    log, none = table([SEEN], "channel"), table([], "outcome")
    ask = ASK | {"end": AT + 20 * DAY}
    assert attrib.decisions(log, none, target="visit", randomised="ad", **ask).height == 1
    with pytest.raises(attrib.DataError, match="no date is followed"):
        attrib.decisions(log, none, target="visit", **ask)


def market(seed, n=2000):
    """A mail by lot, to which a quarter react within days; keen customers buy anyway, and come over the web first."""
    rng = np.random.default_rng(seed)
    keen, mailed = rng.random(n) < 0.5, rng.random(n) < 0.5
    touches, outcomes = [], []
    for who in range(n):
        touches.append((who, AT - DAY * int(rng.integers(1, 30)), "ad"))
        touches += [(who, AT - DAY * float(rng.uniform(1, 30)), "web") for _ in range(rng.poisson(2 * keen[who]))]
        if mailed[who]:
            touches.append((who, AT + DAY / 12, "mail"))
        buys = [AT + DAY * float(rng.uniform(0.2, 20))] if rng.random() < 0.05 + 0.3 * keen[who] else []
        if mailed[who] and rng.random() < 0.25:
            buys.append(AT + DAY / 8 + min(DAY * float(rng.exponential(1.5)), 19 * DAY))
        touches += [(who, when - DAY / 24, "web") for when in buys]
        outcomes += [(who, when, "purchase") for when in buys]
    return table(touches, "channel"), table(outcomes, "outcome")


EFFECT = 0.25 * (1 - 0.2)  # on those who would not have bought, as a fifth would
QUESTION = {"features": ["touches", "share:web"], "channels": ["mail"]}


def test_quick_reactions_to_a_mail_by_lot_are_counted():
    runs, covered, found = 12, 0, []
    for seed in range(runs):
        log, done = market(seed)
        rows = attrib.decisions(log, done, target="purchase", randomised="mail", channels=["ad", "web", "mail"], **ASK)
        assert rows.height == 2000  # nobody is left out
        now = rows.drop("action", "advanced", "advanced_since").head(300)
        answer = attrib.next_action(now, rows, randomised=True, replicates=100, seed=seed, **QUESTION)
        assert answer.claim == RANDOMISED
        value = answer.value.filter(estimator="dr")
        mailed, alone = (value.filter(policy=f"always {name}").row(0, named=True) for name in ("mail", "(none)"))
        found.append(mailed["value"] - alone["value"])
        covered += mailed["low"] <= 0.2 + EFFECT <= mailed["high"]
        assert answer.ranking["change"].mean() == pytest.approx(EFFECT, abs=0.08)
    assert np.mean(found) == pytest.approx(EFFECT, abs=4 * 0.018 / np.sqrt(runs))
    assert covered >= runs - 3


@pytest.mark.parametrize("known", [{"randomised": True}, {"propensity": 0.5}])
def test_no_causal_claim_of_rows_that_leave_out_who_reacted(known):
    log, done = market(0)
    with pytest.warns(AttribWarning, match="left out: their customers advanced within the decision window"):
        rows = attrib.decisions(log, done, target="purchase", channels=["ad", "web", "mail"], **ASK)
    now = rows.drop("action", "advanced").head(5)
    if "propensity" in known:
        known = {"propensity": np.full(rows.height, 1 / 3)}
    with pytest.warns(AttribWarning) as told:
        answer = attrib.next_action(now, rows, replicates=20, **known, **QUESTION)
    assert any("no causal claim is made: " in str(one.message) for one in told)
    assert (answer.claim, answer.value) == (RANKING, None)
    assert set(answer.ranking["claim"]) == set(answer.customers["claim"]) == {RANKING}


def test_when_labels_began_is_no_feature():
    log, done = market(1, 400)
    rows = attrib.decisions(log, done, target="purchase", randomised="mail", channels=["web", "mail"], **ASK)
    answer = attrib.next_action(rows.drop("action", "advanced"), rows, propensity=np.full(400, 0.5), replicates=20)
    assert answer.claim == LOGGED
    with pytest.raises(SpecError, match="'advanced_since' is no feature"):
        attrib.next_action(rows, rows, features=["advanced_since"])
