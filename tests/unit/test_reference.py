"""The twin's journeys, stages, ledger and funnel against examples worked out by hand."""

from __future__ import annotations

import datetime as dt
import random
from fractions import Fraction as F  # noqa: N817 (worked numbers should read as numbers)

import pytest

from notation import outcomes, touches
from reference import (
    build,
    kaplan_meier,
    table,
    unattributed,
)


def shown(built):
    """Journeys as (status, path): `("converting", "1a 3b")`."""
    return [
        (
            j.status,
            " ".join(f"{time}{touch['channel']}" for time, touch in zip(j.times, j.touches, strict=True)),
        )
        for j in built.journeys
    ]


def staged(built):
    """Journeys as (stage, status, path, conversions, value)."""
    return [
        (j.game[-1], status, path, j.conversions, j.value)
        for j, (status, path) in zip(built.journeys, shown(built), strict=True)
    ]


# --- journeys (semantics 2) ---


def test_a_conversion_takes_the_touches_since_the_previous_one_and_the_rest_is_one_null():
    built = build(touches("x", "1a 2b 2c 3d 5e"), outcomes("x", "2purchase 4purchase"))
    assert shown(built) == [("converting", "1a 2b 2c"), ("converting", "3d"), ("null", "5e")]


def test_rows_at_one_instant_merge():
    (journey,) = build(touches("x", "1a"), outcomes("x", "2purchase=3 2purchase=-1"), refunds="keep").journeys
    assert (journey.conversions, journey.value, journey.conversion_time) == (2, 2, 2)
    (journey,) = build(touches("x", "1a"), outcomes("x", "2purchase=3 2purchase=-1")).journeys
    assert (journey.conversions, journey.value) == (1, 2)


def test_the_lookback_is_inclusive_and_reaches_back_from_the_conversion_or_the_last_touch():
    built = build(touches("x", "1a 2b 10c 13d 14e"), outcomes("x", "5purchase"), lookback=3)
    assert shown(built) == [("converting", "2b"), ("null", "13d 14e")]
    assert built.ledger["touchpoints", "outside_window"] == (2, 0)
    assert built.ledger["touchpoints", "used"] == (3, 0)


def test_the_lookback_may_differ_by_interaction():
    rows = touches("x", "1a 4b", interaction="impression") + touches("x", "2c", interaction="click")
    built = build(rows, outcomes("x", "5purchase"), lookback={"click": 10, "impression": 2})
    assert shown(built) == [("converting", "2c 4b")]


def test_a_pause_longer_than_max_gap_splits_what_the_lookback_left():
    # The pause before the outcome (6 to 20) is not tested; 0a is beyond the lookback.
    built = build(touches("x", "0a 1b 3c 6d 24e 28f"), outcomes("x", "20purchase"), lookback=19, max_gap=2)
    assert shown(built) == [("null", "1b 3c"), ("converting", "6d"), ("null", "24e"), ("null", "28f")]


def test_young_null_journeys_are_open_and_in_no_game():
    rows = touches("x", "1a") + touches("y", "7b") + touches("z", "9c 9d")
    built = build(rows, outcomes("x", "10visit"), maturity=3)
    assert shown(built) == [("null", "1a"), ("null", "7b"), ("open", "9c 9d")]
    assert built.ledger["touchpoints", "open"] == (2, 0)
    assert [row["channel"] for row in table(built, "linear")] == [None, "a", "b"]


def test_a_part_split_off_before_a_conversion_can_be_open_too():
    built = build(touches("x", "1a 6b"), outcomes("x", "7purchase"), max_gap=2, maturity=8)
    assert shown(built) == [("open", "1a"), ("converting", "6b")]


def test_a_conversion_without_a_touch_is_unattributed():
    rows = touches("x", "1a") + touches("z", "1b")
    built = build(rows, outcomes("x", "9purchase=2 9purchase=3") + outcomes("y", "1purchase"), lookback=5)
    assert shown(built) == [("unattributed", ""), ("unattributed", ""), ("null", "1b")]
    assert unattributed(built) == {(): (3, 6)}
    assert built.ledger["outcomes", "unattributed"] == (3, 6)
    assert built.ledger["touchpoints", "outside_window"] == (1, 0)


def test_ties_are_ordered_by_sequence_then_channel_bytes_then_remaining_columns():
    rows = [
        {"customer_id": "x", "timestamp": 1, "channel": channel, "sequence": sequence, "interaction": how}
        for channel, sequence, how in [
            ("b", None, "click"),
            ("é", 2, "click"),
            ("z", 2, "click"),
            ("z", 2, "call"),
            ("Z", 2, "click"),
            ("y", 1, "click"),
            ("a", None, None),
        ]
    ]
    random.Random(1).shuffle(rows)
    (journey,) = build(rows, outcomes("x", "1purchase"), player=("channel", "interaction")).journeys
    assert journey.players == (
        ("y", "click"),
        ("Z", "click"),
        ("z", "call"),
        ("z", "click"),
        ("é", "click"),
        ("a", None),
        ("b", "click"),
    )


def test_duplicates():
    rows = touches("x", "1a 1a 1b") + touches("x", "1b", sequence=1) + touches("x", "1a", page="/unread")
    sold = outcomes("x", "2purchase=5 2purchase=5") + [
        {"customer_id": "x", "timestamp": time, "outcome": "purchase", "value": time, "event_id": "e"}
        for time in (4, 3)
    ]
    other = [{"customer_id": "y", "timestamp": 9, "outcome": "purchase", "event_id": "e"}]
    built = build(rows, sold + other)
    assert built.ledger["touchpoints", "duplicate"] == (2, 0)
    assert built.ledger["outcomes", "duplicate"] == (1, 4)
    assert [j.conversions for j in built.journeys] == [2, 1, 1]
    kept = build(rows, sold + other, duplicates="keep")
    assert kept.ledger["touchpoints", "duplicate"] == kept.ledger["outcomes", "duplicate"] == (0, 0)


def test_dates_are_midnights_whose_equal_touches_stay_and_times_of_day_follow():
    day = dt.date(2024, 1, 1)
    rows = [{"customer_id": 7, "timestamp": day, "channel": "a"}] * 2
    sold = [
        {
            "customer_id": "7",
            "timestamp": dt.datetime.combine(dt.date(2024, 1, 2), dt.time(12)),
            "outcome": "purchase",
        }
    ]
    (journey,) = build(rows, sold, lookback=dt.timedelta(hours=36)).journeys
    assert (journey.status, len(journey.touches), journey.customer) == ("converting", 2, "7")
    assert build(rows, sold, lookback=dt.timedelta(hours=35)).journeys[0].status == "unattributed"


@pytest.mark.parametrize(
    ("repeats", "left"),
    [
        ("keep", "1a 2a 3b 4a 5c 6c"),
        ("collapse", "1a 3b 4a 5c"),
        ("first", "1a 3b 5c"),
        ("last", "3b 4a 6c"),
    ],
)
def test_repeats(repeats, left):
    built = build(touches("x", "1a 2a 3b 4a 5c 6c"), outcomes("x", "7purchase"), repeats=repeats)
    assert shown(built) == [("converting", left)]
    assert built.ledger["touchpoints", "used"] == (6, 0)


def test_by_comes_from_the_outcome_else_from_the_last_touch():
    rows = touches("x", "1a", country="de") + touches("x", "2b 8c", country="fr")
    carried = build(rows, outcomes("x", "3purchase", country="us"), by=["country"])
    assert [j.game for j in carried.journeys] == [("us",), ("fr",)]
    plain = build(rows, outcomes("x", "3purchase"), by=["country"], repeats="first")
    assert [j.game for j in plain.journeys] == [("fr",), ("fr",)]
    only = build(touches("x", "1a 5b"), outcomes("x", "3purchase 4purchase", country="us"), by=["country"])
    assert [(j.status, j.game) for j in only.journeys] == [
        ("converting", ("us",)),
        ("unattributed", ("us",)),
        ("null", (None,)),
    ]


def test_of_several_outcome_rows_the_first_in_order_gives_the_game():
    sold = outcomes("x", "3purchase=5", country="de") + outcomes("x", "3purchase=2", country="us")
    (journey,) = build(touches("x", "1a"), sold, by=["country"]).journeys
    assert (journey.game, journey.value) == (("us",), 7)


# --- stages (semantics 3) ---

THREE = [("awareness", "visit", 1), ("consideration", "intent", 1), ("decision", "purchase", 1)]
FIVE = [*THREE, ("loyalty", "purchase", 2), ("advocacy", "referral", 1)]


def test_an_advance_belongs_to_the_stage_that_is_left_with_the_touches_at_its_instant():
    built = build(touches("x", "1a 2b 3c 5d 9e"), outcomes("x", "2visit 5intent=4"), stages=THREE)
    assert staged(built) == [
        ("awareness", "converting", "1a 2b", 1, 1),
        ("consideration", "converting", "3c 5d", 1, 4),
        ("decision", "null", "9e", 0, 0),
    ]


def test_stages_in_between_are_skipped_and_earlier_milestones_move_nobody():
    built = build(touches("x", "1a 4b"), outcomes("x", "2intent 3visit=7 5purchase"), stages=THREE)
    assert staged(built) == [
        ("awareness", "converting", "1a", 1, 1),
        ("decision", "converting", "4b", 1, 1),
    ]
    assert built.ledger["outcomes", "without_effect"] == (1, 7)
    assert [row["skipped"] for row in built.funnel] == [0, 1, 0]
    assert [row["entered"] for row in built.funnel] == [1, 0, 1]


def test_of_several_milestones_at_one_instant_the_furthest_counts_with_its_rows_only():
    built = build(touches("x", "1a"), outcomes("x", "2visit=10 2intent=20 2intent=30 2other=40"), stages=THREE)
    assert staged(built) == [("awareness", "converting", "1a", 1, 50)]
    assert built.ledger["outcomes", "credited"] == (2, 50)
    assert built.ledger["outcomes", "without_effect"] == (1, 10)
    assert built.ledger["outcomes", "other_outcome"] == (1, 40)


def test_an_advance_without_a_touch_is_unattributed():
    built = build(touches("x", "1a"), outcomes("x", "2visit 3intent"), stages=THREE)
    assert staged(built) == [
        ("awareness", "converting", "1a", 1, 1),
        ("consideration", "unattributed", "", 1, 1),
    ]
    assert unattributed(built) == {("awareness",): (0, 0), ("consideration",): (1, 1)}


def test_the_last_stage_converts_row_by_row_but_reaching_it_only_enters():
    # At 2 decision is reached past consideration: an advance of awareness, none of decision.
    built = build(
        touches("x", "1a 3b 5c 9d"),
        outcomes("x", "2purchase=5 2purchase=6 4purchase 6purchase=2 6purchase=3 6visit=9"),
        stages=THREE,
    )
    assert staged(built) == [
        ("awareness", "converting", "1a", 1, 11),
        ("decision", "converting", "3b", 1, 1),
        ("decision", "converting", "5c", 2, 5),
        ("decision", "null", "9d", 0, 0),
    ]
    assert built.ledger["outcomes", "without_effect"] == (1, 9)
    decision = built.funnel[2]
    assert (decision["entered"], decision["advanced"], decision["repeat_advances"]) == (1, 1, 1)


def test_nth_counts_rows_over_the_whole_history():
    # The first purchase happens in awareness; the second, long after, completes loyalty.
    built = build(touches("x", "1a 3b"), outcomes("x", "2purchase 4purchase=3 5purchase"), stages=FIVE)
    assert staged(built) == [
        ("awareness", "converting", "1a", 1, 1),
        ("loyalty", "converting", "3b", 1, 3),
    ]
    assert built.ledger["outcomes", "without_effect"] == (1, 1)
    # Two rows at once: the second, by value, is loyalty's milestone; the first has no effect.
    built = build(touches("x", "1a"), outcomes("x", "2purchase=9 2purchase=4"), stages=FIVE)
    assert staged(built) == [("awareness", "converting", "1a", 1, 9)]
    assert built.ledger["outcomes", "without_effect"] == (1, 4)


def test_lookback_gap_and_maturity_work_within_a_stage():
    rows = touches("x", "1a 3b 9c 10d 15e 16f 20g")
    built = build(rows, outcomes("x", "4visit 12intent 21other"), stages=THREE, lookback=4, max_gap=3, maturity=2)
    assert staged(built) == [
        ("awareness", "converting", "1a 3b", 1, 1),
        ("consideration", "converting", "9c 10d", 1, 1),
        ("decision", "null", "16f", 0, 0),
        ("decision", "open", "20g", 0, 0),
    ]
    assert built.ledger["touchpoints", "outside_window"] == (1, 0)


def test_the_resolved_view_pairs_channels_with_the_stage_at_the_touch():
    built = build(
        touches("x", "1a 2a 3a 9a"),
        outcomes("x", "2visit 4purchase=6 5visit"),
        stages=THREE,
        view="resolved",
        target="purchase",
    )
    converting, null = built.journeys
    assert converting.players == (("awareness", "a"), ("awareness", "a"), ("consideration", "a"))
    assert null.players == (("decision", "a"),)
    assert (converting.game, converting.value) == ((), 6)
    assert built.ledger["outcomes", "other_outcome"] == (2, 2)
    assert built.ledger["outcomes", "without_effect"] == (0, 0)
    assert [(row["stage"], row["channel"], row["kind"]) for row in table(built, "linear")] == [
        (None, None, "unattributed"),
        ("awareness", "a", "player"),
        ("consideration", "a", "player"),
        ("decision", "a", "player"),
    ]


def test_touches_that_carry_their_stage():
    rows = touches("x", "1a", phase="late") + touches("x", "2b", phase="early")
    carried = ("column", "phase", ["late", "early"])
    built = build(rows, outcomes("x", "3purchase"), stages=carried, view="resolved")
    assert built.journeys[0].players == (("late", "a"), ("early", "b"))
    assert built.funnel == ()
    with pytest.raises(ValueError, match="resolved view only"):
        build(rows, [], stages=carried)


def test_kaplan_meier():
    # Survival: 4/5 after 1, 4/5 × 2/3 = 8/15 after 3, 8/15 × 1/2 = 4/15 after 5.
    times = [(1, True), (2, False), (3, True), (5, True), (9, False)]
    assert kaplan_meier(times, F(1, 2)) == 5
    assert kaplan_meier(times, F(7, 15)) == 3
    assert kaplan_meier(times, F(9, 10)) is None
    # Those censored at the time of an event are still at risk.
    assert kaplan_meier([(1, True), (1, False)], F(1, 2)) == 1
    assert kaplan_meier([(4, False)], F(1, 2)) is None


def test_funnel():
    rows = (
        touches("p", "0a 2a 3b")  # visits at 2, intent at 6, purchases at 8 and 9
        + touches("q", "4a")  # never more than aware: stalled
        + touches("s", "10a 19a")  # open: the last touch is young
        + touches("t", "5a 7b")  # from awareness at 5 to decision at 17 (open: young entry)
    )
    reached = outcomes("p", "2visit 6intent 8purchase 9purchase") + outcomes("t", "17intent 20other")
    first, second, third = build(rows, reached, stages=THREE, maturity=4).funnel
    assert first == {
        "stage": "awareness",
        "entered": 4,
        "advanced": 2,
        "skipped": 0,
        "stalled": 1,
        "open": 1,
        "rate": F(2, 3),
        "repeat_advances": 0,
        # Times: p left at 2, t at 12; q censored at 16, s at 10. Survival 3/4, then 3/4 × 1/2.
        "median_time": 12,
        "p90_time": None,
        "touches_per_customer": F(7, 4),
    }
    assert second == {
        "stage": "consideration",
        "entered": 1,
        "advanced": 1,
        "skipped": 1,
        "stalled": 0,
        "open": 0,
        "rate": F(1),
        "repeat_advances": 0,
        "median_time": 4,
        "p90_time": 4,
        "touches_per_customer": F(1),
    }
    assert third == {
        "stage": "decision",
        "entered": 2,
        "advanced": 1,
        "skipped": 0,
        "stalled": 0,
        "open": 1,
        "rate": F(1),
        "repeat_advances": 1,
        "median_time": 2,
        "p90_time": None,
        "touches_per_customer": F(0),
    }


def test_the_first_event_enters_the_first_stage_whatever_it_is():
    (first, *_) = build([], outcomes("x", "3other 5visit"), stages=THREE).funnel
    assert (first["entered"], first["median_time"], first["touches_per_customer"]) == (1, 2, 0)
