"""Touches that serve several conversions, caps, and why a conversion has no touch (docs/semantics.md, section 2)."""

from __future__ import annotations

import polars as pl
import pytest

import attrib
from notation import outcomes, touches
from stories import credited, form, ledger, rows, seen, tell

# --- after a conversion ---

TWICE = "ann  1ad 3mail | 4purchase=10 6purchase=20"


def test_a_touch_serves_the_next_conversion_only_or_every_later_one():
    assert seen(tell(TWICE)) == ["ann: ad > mail -> converting", "ann:  -> unattributed"]
    kept = tell(TWICE, after_conversion="keep")
    assert seen(kept) == ["ann: ad > mail -> converting", "ann: ad > mail -> converting"]
    assert credited(attrib.credit(kept, attrib.Linear(), intervals=None)) == {None: 0, "ad": 1, "mail": 1}
    # in the ledger a touch is used once, however many journeys it serves
    assert ledger(kept, "touchpoints") == {"in": 2, "used": 2}
    assert ledger(kept, "outcomes") == {"in": 2, "credited": 2}


def test_each_conversion_looks_back_by_itself():
    kept = tell(TWICE, after_conversion="keep", lookback="3s")
    assert seen(kept) == ["ann: ad > mail -> converting", "ann: mail -> converting"]


def test_null_journeys_are_the_touches_since_the_last_conversion():
    story = "ann  1ad 5mail 6ad | 3purchase"
    assert seen(tell(story, after_conversion="keep")) == seen(tell(story)) == [
        "ann: ad -> converting",
        "ann: mail > ad -> null",
    ]  # fmt: skip


def test_a_pause_is_looked_for_in_each_journey_and_makes_one_null_of_what_came_before_it():
    story = "ann  1ad 9mail 11ad | 10purchase 12purchase"
    kept = tell(story, after_conversion="keep", max_gap="3s")
    assert seen(kept) == ["ann: ad -> null", "ann: mail -> converting", "ann: mail > ad -> converting"]
    assert seen(tell(story, max_gap="3s")) == ["ann: ad -> null", "ann: mail -> converting", "ann: ad -> converting"]


def test_a_stage_begins_anew_and_only_the_last_one_serves_twice():
    stages = attrib.StageModel([("look", "visit"), ("buy", "purchase")])
    story = "ann  1ad 3mail 5post | 2visit 4purchase 6purchase"
    kept = tell(story, stages=stages, after_conversion="keep")
    assert seen(kept, "stage") == [
        "look: ann: ad -> converting",
        "buy: ann: mail -> converting",
        "buy: ann: mail > post -> converting",
    ]
    whole = tell(story, stages=stages, view="resolved", after_conversion="keep")
    table = attrib.credit(whole, attrib.Linear(), intervals=None)
    wanted = {("look", "ad"): 5 / 6, ("buy", "mail"): 5 / 6, ("buy", "post"): 1 / 3, None: 0}
    assert credited(table) == pytest.approx(wanted, abs=1e-12)


def test_a_printed_example_of_another_product():
    """attributionapp.com: time decay with a half-life of a week; touches serve every later conversion."""
    day = 86_400
    seen_on = {1: "facebook", 4: "adwords", 5: "direct", 7: "facebook", 9: "direct", 11: "adwords"}
    touched = [row for d, name in seen_on.items() for row in touches("ann", f"{d * day}{name}")]
    reached = outcomes("ann", f"{9 * day}purchase=10 {12 * day}purchase=5")
    table = attrib.credit(form(touched, reached, after_conversion="keep"), attrib.TimeDecay("7d"), intervals=None)
    printed = {"facebook": (0.62473, 4.9141), "adwords": (0.55438, 3.6290), "direct": (0.82088, 6.4569)}
    found = {row["channel"]: (row["conversions"], row["value"]) for row in table.filter(kind="player").to_dicts()}
    for name, numbers in printed.items():
        assert found[name] == pytest.approx(numbers, abs=6e-5)


def test_a_lookback_that_would_fill_the_memory_is_an_error_that_says_how_large(monkeypatch):
    monkeypatch.setattr("attrib.ragged.MOST_SHARED", 10)
    story = "ann  1a 2b 3c 4d | 5purchase 6purchase 7purchase"
    with pytest.raises(attrib.ResourceError, match="20 touches of journeys out of 4") as caught:
        tell(story, after_conversion="keep").reconcile()
    assert "max_touches" in caught.value.hint
    assert len(seen(tell(story, after_conversion="keep", max_touches=1, lookback="1s"))) == 3


# --- a cap ---


def test_of_a_long_journey_the_latest_touches_stay():
    journeys = tell("ann  1a 2b 3c 4d | 5purchase\nbob  1a 2b |", max_touches=3)
    assert seen(journeys) == ["ann: b > c > d -> converting", "bob: a > b -> null"]
    assert ledger(journeys, "touchpoints") == {"in": 6, "used": 5, "over_cap": 1}


def test_the_cap_comes_after_the_preference_and_before_repeats():
    touched = [
        *touches("ann", "1a 2a 3b", interaction="click"),
        *touches("ann", "4c 5c", interaction="impression"),
    ]
    journeys = form(touched, outcomes("ann", "6purchase"), prefer="click", max_touches=2, repeats="collapse")
    assert seen(journeys) == ["ann: a > b -> converting"]
    assert ledger(journeys, "touchpoints") == {"in": 5, "used": 2, "not_preferred": 2, "over_cap": 1}


def test_a_crawler_can_be_bounded():
    people = "\n".join(f"p{i}  1a 2b | {'3purchase' if i < 10 else ''}" for i in range(30))
    crawler = [row for i in range(500) for row in touches("crawler", f"{i}{'ca'[i % 2]}")]
    touched, reached = rows(people)
    table = attrib.credit(form([*touched, *crawler], reached, max_touches=2), attrib.Markov(), intervals=None)
    clean = attrib.credit(form(touched, reached), attrib.Markov(), intervals=None)
    # one null journey of two touches is left of it
    assert credited(table)["a"] == pytest.approx(credited(clean)["a"], rel=0.02)
    assert credited(attrib.credit(form([*touched, *crawler], reached), attrib.Markov(), intervals=None))["c"] > 3


@pytest.mark.parametrize(("given", "key"), [({"max_touches": 0}, "bad_value"), ({"max_touches": 1.5}, "bad_value"),
                                            ({"after_conversion": "again"}, "bad_value")])  # fmt: skip
def test_what_neither_can_be(given, key):
    with pytest.raises(attrib.SpecError) as caught:
        tell(TWICE, **given)
    assert caught.value.key == key


# --- why there is no touch ---


def test_an_unattributed_conversion_has_one_reason():
    journeys = tell(
        """
        never  |                              5purchase=1
        after  7ad |                          5purchase=2
        old    1ad |                          9purchase=4
        last   1ad 2mail |                    3purchase=8 4purchase=16
        """,
        lookback="5s",
    )
    assert ledger(journeys, "unattributed") == {
        "in": 4, "never_seen": 1, "after_only": 1, "too_old": 1, "since_last": 1
    }  # fmt: skip
    assert ledger(journeys, "unattributed", "value") == {
        "in": 23, "never_seen": 1, "after_only": 2, "too_old": 4, "since_last": 16
    }  # fmt: skip
    assert ledger(journeys, "outcomes")["unattributed"] == 4


def test_a_lookback_by_interaction_decides_between_too_old_and_since_the_last():
    touched = [*touches("ann", "1ad", interaction="impression"), *touches("bob", "1ad", interaction="click")]
    reached = [*outcomes("ann", "2purchase 6purchase"), *outcomes("bob", "2purchase 6purchase")]
    journeys = form(touched, reached, lookback={"impression": "3s", "click": "9s"})
    assert ledger(journeys, "unattributed") == {"in": 2, "too_old": 1, "since_last": 1}


def test_an_advance_without_a_touch_in_its_stage_tells_that_there_was_one_before():
    stages = attrib.StageModel([("look", "visit"), ("buy", "purchase")])
    journeys = tell("ann  1ad | 2visit 4purchase", stages=stages)
    assert ledger(journeys, "unattributed") == {"in": 1, "since_last": 1}


def test_a_path_table_knows_no_reason():
    paths = pl.DataFrame({"path": ["a", ""], "total_conversions": [1, 2]})
    assert ledger(attrib.Journeys.from_paths(paths), "unattributed") == {}
