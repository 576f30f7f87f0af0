"""How events become journeys (docs/semantics.md, sections 1 and 2)."""

from __future__ import annotations

import warnings

import pytest

import attrib
from notation import outcomes, touches
from stories import credited, form, ledger, seen, tell
from strategies import EPOCH, to_frames

# --- where a journey begins and ends ---


def test_a_journey_ends_with_the_outcome_and_the_next_begins_after_it():
    journeys = tell("""
        ann  1ad 2mail 4ad 6mail | 3purchase 5purchase
        bob  1ad 2ad             |
    """)
    assert seen(journeys) == [
        "ann: ad > mail -> converting",
        "ann: ad -> converting",
        "ann: mail -> null",
        "bob: ad > ad -> null",
    ]


def test_at_equal_times_touches_come_before_outcomes():
    assert seen(tell("ann  1ad 3mail | 3purchase")) == ["ann: ad > mail -> converting"]


def test_outcomes_at_one_instant_are_one_journey_of_several_conversions():
    journeys = tell("ann  1ad | 2purchase=5 2purchase=7")
    assert journeys.to_frame().select("path", "conversions", "value").rows() == [("ad", 2, 12.0)]


def test_other_outcomes_end_nothing():
    journeys = tell("ann  1ad 3mail | 2visit 4purchase")
    assert seen(journeys) == ["ann: ad > mail -> converting"]
    assert ledger(journeys, "outcomes") == {"in": 2, "credited": 1, "other_outcome": 1}


# --- lookback ---


@pytest.mark.parametrize(
    ("lookback", "path"),
    [("3s", "mail"), ("4s", "ad > mail"), ("unlimited", "ad > mail"), (None, "ad > mail"), ("0s", "")],
)
def test_the_lookback_is_counted_from_the_outcome_and_includes_its_edge(lookback, path):
    journeys = tell("ann  1ad 3mail | 5purchase", lookback=lookback)
    status = "converting" if path else "unattributed"
    assert seen(journeys) == [f"ann: {path} -> {status}"]


def test_the_lookback_of_a_null_journey_is_counted_from_its_last_touch():
    journeys = tell(
        """
        ann  1ad 4mail 6ad |
        bob  1ad           | 1purchase
    """,
        lookback="2s",
    )
    assert seen(journeys) == ["ann: mail > ad -> null", "bob: ad -> converting"]
    assert ledger(journeys, "touchpoints") == {"in": 4, "used": 3, "outside_window": 1}


def test_a_conversion_without_touches_is_unattributed_and_never_dropped():
    journeys = tell("""
        ann  1ad | 2purchase=3
        bob      | 5purchase=4
    """)
    assert seen(journeys) == ["ann: ad -> converting", "bob:  -> unattributed"]
    table = attrib.Linear().credit(journeys)
    assert credited(table) == {"ad": 1.0, None: 1.0}
    assert credited(table, "value") == {"ad": 3.0, None: 4.0}
    assert credited(table, "share") == {"ad": 0.5, None: 0.5}
    assert ledger(journeys, "outcomes", "value") == {"in": 7.0, "credited": 3.0, "unattributed": 4.0}


# --- lookback by interaction ---

MIXED = [
    *touches("ann", "1ad", interaction="click"),
    *touches("ann", "2mail", interaction="impression"),
    *touches("ann", "5ad", interaction="impression"),
    *touches("ann", "6mail", interaction=None),
]


def test_each_interaction_has_a_lookback_of_its_own_and_others_share_one():
    journeys = form(MIXED, outcomes("ann", "7purchase"), lookback={"click": "6s", "impression": "2s", "*": "0s"})
    assert seen(journeys) == ["ann: ad > ad -> converting"]
    assert ledger(journeys, "touchpoints") == {"in": 4, "used": 2, "outside_window": 2}


def test_an_interaction_may_have_no_limit():
    reached = outcomes("ann", "99purchase")
    assert seen(form(MIXED, reached, lookback={"click": "unlimited", "*": "93s"})) == ["ann: ad > mail -> converting"]
    assert seen(form(MIXED, reached, lookback={"click": "1s", "*": None})) == ["ann: mail > ad > mail -> converting"]


def test_null_journeys_look_back_from_their_last_touch_by_interaction_too():
    journeys = form(MIXED, outcomes("bob", "7purchase"), lookback={"click": "4s", "impression": "3s", "*": "0s"})
    assert seen(journeys) == ["ann: ad > mail -> null", "bob:  -> unattributed"]


def test_without_a_lookback_for_all_others_their_touches_are_rejected():
    lookback = {"click": "9s", "impression": "9s"}
    journeys = form(MIXED, outcomes("ann", "7purchase"), lookback=lookback, max_rejects=0.5)
    assert seen(journeys) == ["ann: ad > mail > ad -> converting"]
    assert ledger(journeys, "touchpoints") == {"in": 4, "used": 3, "rejected": 1}
    assert journeys.rejected().select("row", "rule").rows() == [(3, "interaction_without_lookback")]


def test_touches_that_differ_in_their_interaction_are_two_where_it_is_read():
    touched = [*touches("ann", "1ad", interaction="click"), *touches("ann", "1ad", interaction="call")]
    reached = outcomes("ann", "2purchase")
    assert seen(form(touched, reached)) == ["ann: ad -> converting"]
    assert seen(form(touched, reached, lookback={"*": "9s"})) == ["ann: ad > ad -> converting"]


# --- max_gap ---


def test_a_longer_pause_than_max_gap_makes_a_null_journey_of_what_was_before():
    story = "ann  1ad 2mail 7ad 9mail | 99purchase"
    assert seen(tell(story, max_gap="5s")) == ["ann: ad > mail > ad > mail -> converting"]
    # the pause before the outcome is not tested
    assert seen(tell(story, max_gap="4s")) == ["ann: ad > mail -> null", "ann: ad > mail -> converting"]


def test_max_gap_acts_on_what_the_lookback_left():
    journeys = tell("ann  1ad 2mail 7ad | 8purchase", max_gap="4s", lookback="6s")
    assert seen(journeys) == ["ann: mail -> null", "ann: ad -> converting"]


# --- maturity ---


def test_a_young_null_journey_is_open_in_no_game_but_in_the_ledger():
    story = """
        ann  1ad  | 2purchase
        bob  5ad  |
        cat  8mail|
        dan       | 10visit
    """
    journeys = tell(story, maturity="3s")  # the data end at 10: a last touch after 7 may still convert
    assert seen(journeys) == ["ann: ad -> converting", "bob: ad -> null", "cat: mail -> open"]
    assert credited(attrib.Markov().credit(journeys)) == {"ad": 1.0, None: 0.0}  # no row for mail
    assert ledger(journeys, "touchpoints") == {"in": 3, "used": 2, "open": 1}


def test_without_maturity_nothing_is_open():
    assert seen(tell("ann  1ad 3mail | 2purchase")) == ["ann: ad -> converting", "ann: mail -> null"]


# --- preferred interactions ---


@pytest.mark.parametrize(
    ("prefer", "path"),
    [
        ((), "ad > mail > ad > mail"),
        ("click", "ad"),
        (("impression",), "mail > ad"),
        (("visit", "impression", "click"), "mail > ad"),  # nobody visited: the next one counts
    ],
)
def test_where_a_journey_has_touches_of_a_preferred_interaction_only_these_stay(prefer, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", attrib.AttribWarning)
        assert seen(form(MIXED, outcomes("ann", "7purchase"), prefer=prefer)) == [f"ann: {path} -> converting"]


def test_a_journey_without_a_preferred_touch_keeps_all():
    touched = [*touches("ann", "1ad", interaction="click"), *touches("bob", "1ad 2mail", interaction="impression")]
    journeys = form([*touched, *touches("ann", "2mail", interaction="impression")], outcomes("ann", "3purchase"),
                    prefer="click")  # fmt: skip
    assert seen(journeys) == ["ann: ad -> converting", "bob: ad > mail -> null"]
    assert ledger(journeys, "touchpoints") == {"in": 4, "used": 3, "not_preferred": 1}


def test_the_preference_acts_on_what_the_window_and_the_pauses_left():
    story = outcomes("ann", "7purchase")
    # the click at 1 is out of the window, or in a part of its own
    assert seen(form(MIXED, story, prefer=("click", "impression"), lookback="5s")) == ["ann: mail > ad -> converting"]
    journeys = form(MIXED, story, prefer=("click", "impression"), max_gap="2s")
    assert seen(journeys) == ["ann: ad -> null", "ann: ad -> converting"]
    assert ledger(journeys, "touchpoints") == {"in": 4, "used": 2, "not_preferred": 2}


def test_the_preference_comes_before_repeats():
    touched = [
        *touches("ann", "1a", interaction="click"),
        *touches("ann", "2b", interaction="impression"),
        *touches("ann", "3a", interaction="click"),
    ]
    journeys = form(touched, outcomes("ann", "4purchase"), prefer="click", repeats="collapse")
    assert seen(journeys) == ["ann: a -> converting"]
    assert ledger(journeys, "touchpoints") == {"in": 3, "used": 2, "not_preferred": 1}


def test_maturity_end_and_games_follow_the_journey_before_the_preference():
    touched = [
        *touches("ann", "1ad", interaction="click", country="de"),
        *touches("ann", "8mail", interaction="impression", country="fr"),
    ]
    journeys = form(touched, outcomes("bob", "9purchase"), prefer="click", maturity="3s", by="country")
    assert seen(journeys, "country") == ["fr: ann: ad -> open", "None: bob:  -> unattributed"]
    assert (journeys.to_frame()["end"] - EPOCH).dt.total_seconds().to_list() == [8, 9]
    assert ledger(journeys, "touchpoints") == {"in": 2, "open": 2}  # open touches are open, preferred or not


def test_the_ledger_has_an_entry_for_the_preference_only_where_there_is_one():
    reached = outcomes("ann", "7purchase")
    assert "not_preferred" not in form(MIXED, reached).reconcile()["entry"].to_list()
    assert "not_preferred" in form(MIXED, reached, prefer="click").reconcile()["entry"].to_list()


def test_names_of_interactions_that_never_occur_are_said():
    journeys = form(MIXED, outcomes("ann", "7purchase"), prefer=("clik", "x"), lookback={"clicks": "9s", "*": "9s"})
    with pytest.warns(attrib.AttribWarning, match="never occurs in touchpoints"):
        journeys.reconcile()
    assert journeys.warnings == (
        "lookback: the interaction 'clicks' never occurs in touchpoints; did you mean 'click'?",
        "prefer: the interaction 'clik' never occurs in touchpoints; did you mean 'click'?",
        "prefer: the interaction 'x' never occurs in touchpoints",
    )


# --- repeats ---


@pytest.mark.parametrize(
    ("repeats", "path"),
    [("keep", "a > a > b > a"), ("collapse", "a > b > a"), ("first", "a > b"), ("last", "b > a")],
)
def test_repeats(repeats, path):
    assert seen(tell("ann  1a 2a 3b 4a | 5purchase", repeats=repeats)) == [f"ann: {path} -> converting"]


def test_repeats_compare_players_not_channels():
    touched = [*touches("ann", "1a", interaction="click"), *touches("ann", "2a", interaction="call")]
    journeys = form(touched, outcomes("ann", "3purchase"), repeats="collapse", player=("channel", "interaction"))
    assert seen(journeys) == ["ann: a: click > a: call -> converting"]


# --- order and duplicates ---


def test_touches_at_one_instant_are_ordered_by_name():
    assert seen(tell("ann  1b 1a 1c | 2purchase")) == ["ann: a > b > c -> converting"]


def test_sequence_orders_touches_at_one_instant_and_nulls_come_last():
    touched = [
        *touches("ann", "1b", sequence=1),
        *touches("ann", "1c", sequence=None),
        *touches("ann", "1a", sequence=2),
        *touches("ann", "1d", sequence=-1),
    ]
    assert seen(form(touched, outcomes("ann", "2purchase"))) == ["ann: d > b > a > c -> converting"]


def test_sequence_does_not_overrule_time():
    touched = [*touches("ann", "2a", sequence=1), *touches("ann", "1b", sequence=2)]
    assert seen(form(touched, outcomes("ann", "3purchase"))) == ["ann: b > a -> converting"]


def test_touches_equal_in_every_column_read_are_one_event():
    journeys = tell("ann  1ad 1ad 2ad | 3purchase")
    assert seen(journeys) == ["ann: ad > ad -> converting"]
    assert ledger(journeys, "touchpoints") == {"in": 3, "used": 2, "duplicate": 1}
    assert journeys.warnings == ("1 duplicate touchpoints were dropped",)
    assert seen(tell("ann  1ad 1ad 2ad | 3purchase", duplicates="keep")) == ["ann: ad > ad > ad -> converting"]


def test_touches_that_differ_in_a_column_read_are_two():
    touched = [*touches("ann", "1ad", event_id="x"), *touches("ann", "1ad", event_id="y")]
    assert seen(form(touched, outcomes("ann", "3purchase"))) == ["ann: ad > ad -> converting"]


def test_columns_that_are_not_read_do_not_tell_touches_apart():
    touched = [*touches("ann", "1ad", creative="x"), *touches("ann", "1ad", creative="y")]
    assert seen(form(touched, outcomes("ann", "3purchase"))) == ["ann: ad -> converting"]


def test_outcomes_are_dropped_only_on_a_repeated_event_id():
    touched, twice = touches("ann", "1ad"), outcomes("ann", "2purchase=5 2purchase=5")
    assert ledger(form(touched, twice), "outcomes") == {"in": 2, "credited": 2}
    named = [{**row, "event_id": "order 7"} for row in twice]
    journeys = form(touched, named)
    assert ledger(journeys, "outcomes") == {"in": 2, "credited": 1, "duplicate": 1}
    assert ledger(journeys, "outcomes", "value") == {"in": 10.0, "credited": 5.0, "duplicate": 5.0}


# --- games ---


def test_by_partitions_journeys_by_the_outcome_else_by_the_last_touch():
    touched = [*touches("ann", "1ad", country="de"), *touches("ann", "2mail 4ad", country="fr")]
    journeys = form(touched, outcomes("ann", "3purchase", country="de"), by="country")
    assert seen(journeys, "country") == ["de: ann: ad > mail -> converting", "fr: ann: ad -> null"]
    journeys = form(touched, outcomes("ann", "3purchase"), by="country")
    assert seen(journeys, "country") == ["fr: ann: ad > mail -> converting", "fr: ann: ad -> null"]


def test_every_game_has_credit_and_an_unattributed_row_of_its_own():
    touched = [*touches("ann", "1ad", country="de"), *touches("bob", "1mail", country="fr")]
    reached = [*outcomes("ann", "2purchase", country="de"), *outcomes("cat", "2purchase", country="fr")]
    table = attrib.Linear().credit(form(touched, reached, by=["country"]))
    assert credited(table) == {("de", None): 0.0, ("de", "ad"): 1.0, ("fr", None): 1.0, ("fr", "mail"): 0.0}
    assert credited(table, "share") == {("de", None): 0.0, ("de", "ad"): 1.0, ("fr", None): 1.0, ("fr", "mail"): 0.0}


def test_a_column_of_the_outcomes_alone_leaves_null_journeys_without_a_game():
    touched = touches("ann", "1ad 4mail")
    journeys = form(touched, outcomes("ann", "3purchase", shop="web"), by="shop")
    assert seen(journeys, "shop") == ["web: ann: ad -> converting", "None: ann: mail -> null"]
    with pytest.warns(attrib.AttribWarning, match="only outcomes carry shop"):
        attrib.Markov().credit(journeys)


# --- outcomes in the touchpoints table ---


def test_a_flagged_touch_is_an_outcome_too():
    touched = [
        *touches("ann", "1ad", bought=False, paid=None),
        *touches("ann", "2mail", bought=True, paid=9.0),
        *touches("ann", "3ad", bought=False, paid=None),
    ]
    frame, _ = to_frames(touched, [])
    journeys = attrib.Journeys.from_events(frame, attrib.InlineOutcome(flag="bought", value="paid"))
    assert seen(journeys) == ["ann: ad > mail -> converting", "ann: ad -> null"]
    assert credited(attrib.LastTouch().credit(journeys), "value") == {"ad": 0.0, "mail": 9.0, None: 0.0}
