"""How customers move through stages, and who gets credit for it (docs/semantics.md, section 3)."""

from __future__ import annotations

from datetime import timedelta

import pytest

import attrib
from notation import outcomes, touches
from stories import credited, form, ledger, seen, tell

SHOP = attrib.StageModel([("aware", "visit"), ("decide", "purchase"), ("loyal", None)])
FIVE = attrib.STAGES["five"]


def test_a_milestone_ends_the_journey_of_the_stage_that_is_left():
    journeys = tell("ann  1tv 2ad 4mail 7call | 3visit 5purchase", stages=SHOP)
    assert seen(journeys, "stage") == [
        "aware: ann: tv > ad -> converting",
        "decide: ann: mail -> converting",
        "loyal: ann: call -> null",
    ]


def test_a_touch_at_the_instant_of_an_advance_belongs_to_the_stage_left():
    journeys = tell("ann  1tv 3ad | 3visit", stages=SHOP)
    assert seen(journeys, "stage") == ["aware: ann: tv > ad -> converting"]


def test_a_later_milestone_skips_the_stages_between():
    journeys = tell("ann  1tv | 2purchase", stages=SHOP)
    assert seen(journeys, "stage") == ["aware: ann: tv -> converting"]
    funnel = journeys.funnel()
    assert funnel["stage"].to_list() == ["aware", "decide", "loyal"]
    assert funnel["entered"].to_list() == [1, 0, 1]
    assert funnel["advanced"].to_list() == [1, 0, 0]
    assert funnel["skipped"].to_list() == [0, 1, 0]


def test_a_milestone_of_an_earlier_stage_moves_nobody():
    journeys = tell("ann  1tv 3ad | 2purchase 4visit", stages=SHOP)
    assert seen(journeys, "stage") == ["aware: ann: tv -> converting", "loyal: ann: ad -> null"]
    assert ledger(journeys, "outcomes") == {"in": 2, "credited": 1, "without_effect": 1}


def test_of_several_milestones_at_one_instant_the_furthest_counts():
    journeys = tell("ann  1tv | 2visit=1 2purchase=8", stages=SHOP)
    assert seen(journeys, "stage") == ["aware: ann: tv -> converting"]
    table = attrib.Linear().credit(journeys)
    assert credited(table, "value", stage="aware") == {None: 0.0, "tv": 8.0}
    assert ledger(journeys, "outcomes", "value") == {"in": 9.0, "credited": 8.0, "without_effect": 1.0}


def test_leaving_a_stage_is_one_conversion_whatever_the_number_of_rows():
    journeys = tell("ann  1tv | 2visit=1 2visit=2", stages=SHOP)
    table = attrib.Linear().credit(journeys)
    assert credited(table, stage="aware") == {None: 0.0, "tv": 1.0}
    assert credited(table, "value", stage="aware") == {None: 0.0, "tv": 3.0}


def test_an_advance_without_a_touch_is_unattributed():
    journeys = tell("ann  1tv | 2visit 3purchase", stages=SHOP)
    table = attrib.Linear().credit(journeys)
    assert credited(table) == {
        ("aware", None): 0.0, ("aware", "tv"): 1.0,
        ("decide", None): 1.0,
        ("loyal", None): 0.0,
    }  # fmt: skip


def test_nth_asks_for_a_later_row_over_the_whole_history():
    model = attrib.StageModel([("new", attrib.Milestone("visit", nth=3)), ("regular", None)])
    journeys = tell("ann  1tv 5ad | 2visit 3visit 6visit 7visit", stages=model)
    assert seen(journeys, "stage") == ["new: ann: tv > ad -> converting"]
    assert ledger(journeys, "outcomes") == {"in": 4, "credited": 1, "without_effect": 3}


def test_the_second_purchase_of_the_preset_five():
    journeys = tell("ann  1tv 3ad 5mail 7call | 2visit 4purchase 6purchase 8referral", stages=FIVE)
    assert seen(journeys, "stage") == [
        "awareness: ann: tv -> converting",
        "consideration: ann: ad -> converting",  # the purchase completes decision, which is skipped
        "loyalty: ann: mail -> converting",
        "advocacy: ann: call -> converting",
    ]


def test_a_milestone_on_the_last_stage_converts_again_and_again():
    model = attrib.StageModel([("aware", "visit"), ("buying", "purchase")])
    journeys = tell("ann  1tv 3ad 5mail 7call | 2visit 4purchase=2 6purchase=3 6purchase=4", stages=model)
    assert seen(journeys, "stage") == [
        "aware: ann: tv -> converting",
        "buying: ann: ad -> converting",
        "buying: ann: mail -> converting",
        "buying: ann: call -> null",
    ]
    table = attrib.LastTouch().credit(journeys)
    # rows at one instant merge: two conversions of value 7
    assert credited(table, stage="buying") == {None: 0.0, "ad": 1.0, "call": 0.0, "mail": 2.0}
    assert credited(table, "value", stage="buying") == {None: 0.0, "ad": 2.0, "call": 0.0, "mail": 7.0}


def test_reaching_the_last_stage_by_its_own_milestone_only_enters_it():
    model = attrib.StageModel([("aware", "visit"), ("buying", "purchase")])
    journeys = tell("ann  1tv 3ad | 2purchase 4purchase", stages=model)
    assert seen(journeys, "stage") == ["aware: ann: tv -> converting", "buying: ann: ad -> converting"]


def test_lookback_and_max_gap_work_within_a_stage():
    journeys = tell("ann  1tv 4ad 6mail 20call | 5visit 21purchase", stages=SHOP, lookback="16s", max_gap="3s")
    assert seen(journeys, "stage") == [
        "aware: ann: tv > ad -> converting",
        "decide: ann: mail -> null",
        "decide: ann: call -> converting",
    ]


# --- the resolved view ---


def test_resolved_credits_one_outcome_to_stages_and_channels():
    journeys = tell("ann  1tv 4ad 6ad | 3visit 7purchase=12", stages=SHOP, view="resolved")
    assert seen(journeys) == ["ann: aware: tv > decide: ad > decide: ad -> converting"]
    table = attrib.Linear().credit(journeys)
    assert credited(table) == {None: 0.0, ("aware", "tv"): pytest.approx(1 / 3), ("decide", "ad"): pytest.approx(2 / 3)}
    assert credited(table, "value") == {
        None: 0.0,
        ("aware", "tv"): pytest.approx(4),
        ("decide", "ad"): pytest.approx(8),
    }


def test_stages_may_stand_in_a_column():
    touched = [*touches("ann", "1tv 3ad", stage="see"), *touches("ann", "2ad", stage="think")]
    stages = attrib.StageColumn("stage", order=["think", "see"])
    table = attrib.Linear().credit(form(touched, outcomes("ann", "4purchase"), stages=stages, view="resolved"))
    third = pytest.approx(1 / 3)
    assert credited(table) == {None: 0.0, ("think", "ad"): third, ("see", "ad"): third, ("see", "tv"): third}
    assert table["stage"].to_list() == [None, "think", "see", "see"]  # in model order


# --- the funnel ---


def test_the_funnel_counts_customers_and_their_time():
    journeys = tell(
        """
        ann  1tv 3ad | 5visit 9purchase
        bob  2tv     | 4visit
        cat  0tv     |
        dan  9tv     |
    """,
        stages=SHOP,
        maturity="2s",
    )
    aware, decide, loyal = journeys.funnel().to_dicts()
    # four enter; ann and bob move on, cat is old enough to count as stalled, dan is not (9 > 9 - 2)
    assert [aware[k] for k in ("entered", "advanced", "skipped", "stalled", "open")] == [4, 2, 0, 1, 1]
    assert aware["rate"] == pytest.approx(2 / 3)
    assert aware["median_time"] == timedelta(seconds=4)  # 2 and 4 seconds are observed, 9 and 0 censored
    assert aware["p90_time"] is None
    assert aware["touches_per_customer"] == pytest.approx(5 / 4)
    assert [decide[k] for k in ("entered", "advanced", "skipped", "stalled", "open")] == [2, 1, 0, 1, 0]
    assert [loyal[k] for k in ("entered", "advanced", "skipped", "stalled", "open")] == [1, 0, 0, 0, 1]


def test_repeat_advances_are_conversions_of_the_last_stage():
    model = attrib.StageModel([("aware", "visit"), ("buying", "purchase")])
    funnel = tell("ann  1tv | 2visit 4purchase 6purchase", stages=model).funnel()
    assert funnel["repeat_advances"].to_list() == [0, 1]
