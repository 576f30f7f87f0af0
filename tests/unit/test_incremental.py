"""Incremental on journeys: credit adds up in all views, and intent is not taken for effect."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

import attrib
from attrib import synth
from lived import VIEWS, adds_up, journeys_of

QUICK = {"types": 2, "moods": 1, "decays": "7d", "tolerance": 1e-4, "permutations": 2}
FAIR = attrib.Incremental(types=3, moods=2, decays="7d")
START = datetime(2025, 1, 1, tzinfo=UTC)


def confounded(customers=3000, seed=1000):
    """`brand` reaches the keen and does nothing; `video` works."""
    market = synth.Population(
        channels=(
            synth.Channel("video", "impression", exposure=(2, 1, 0.5, 0, 0), lift=(8, 2, 1, 0, 0)),
            synth.Channel("brand", "click", exposure=(0.3, 1, 2, 0.1, 0.1), lift=(0, 0, 0, 0, 0), intent=1.0),
        ),
        recruits=0.0,
    )
    return synth.generate(customers, seed=seed, population=market, days=180), market


@pytest.fixture(scope="module")
def data():
    return synth.generate(400, seed=1000)


def credit_of(table, channel):
    return table.filter(channel=channel)["conversions"].item()


def test_a_channel_that_follows_intent_gets_little():
    data, market = confounded()
    journeys = journeys_of(data, target="purchase")
    table = attrib.credit(journeys, [FAIR, attrib.LastTouch()], intervals=None)
    ours, last = (table.filter(method=label) for label in (FAIR.label, "last_touch"))
    truth = synth.counterfactual(3000, seed=1000, population=market, days=180).outcome.shapley
    assert credit_of(last, "brand") > 2 * credit_of(last, "video")
    assert credit_of(ours, "brand") < 0.3 * credit_of(ours, "video")
    assert credit_of(ours, "video") == pytest.approx(credit_of(truth, "video"), rel=0.35)


@pytest.mark.parametrize("view", VIEWS, ids="-".join)
@pytest.mark.parametrize("credited", ["shapley", "removal"])
def test_credit_and_baseline_are_what_was_observed(data, view, credited):
    table = adds_up(data, view, attrib.Incremental(**QUICK, credited=credited))
    assert table.filter(method="m", kind="player")["conversions"].sum() > 0
    unattributed = table.filter(kind="unattributed")
    ours, linear = (unattributed.filter(method=name)["conversions"].to_list() for name in ("m", "linear"))
    assert ours == linear


def test_no_conversion_is_predicted_that_did_not_happen(data):
    """The world with everybody on is the log: no player is credited with more than all conversions of a game."""
    table = attrib.Incremental(**QUICK).credit(journeys_of(data, target="purchase"))
    whole = table["conversions"].sum()
    assert table.filter(kind="player")["conversions"].is_between(-1e-9, whole).all()


def test_threads_and_order_of_rows_change_no_digit(data):
    def solved(threads, touchpoints):
        engine = attrib.LocalEngine(threads=threads)
        journeys = attrib.Journeys.from_events(touchpoints, data.outcomes, target="purchase", engine=engine)
        return attrib.Incremental(**QUICK).credit(journeys)

    alone = solved(1, data.touchpoints)
    assert alone.equals(solved(3, data.touchpoints))
    little = attrib.LocalEngine(memory_limit="20KB")
    spilled = attrib.Journeys.from_events(data.touchpoints, data.outcomes, target="purchase", engine=little)
    assert alone.equals(attrib.Incremental(**QUICK).credit(spilled))
    assert alone.equals(solved(2, data.touchpoints.sample(fraction=1.0, shuffle=True, seed=1)))


def test_folds_and_the_seed_change_little():
    data, _ = confounded(1500)
    journeys = journeys_of(data, target="purchase")
    table = attrib.credit(
        journeys,
        {
            "one": FAIR,
            "other seed": attrib.Incremental(types=3, moods=2, decays="7d", seed=5),
            "folds": attrib.Incremental(types=3, moods=2, decays="7d", folds=2),
        },
        intervals=None,
    ).filter(channel="video")
    one, *others = table["conversions"].to_list()
    assert others == pytest.approx([one, one], rel=0.3)


def test_intervals_hold_the_credit(data):
    table = attrib.credit(journeys_of(data, target="purchase"), attrib.Incremental(**QUICK), intervals=0.9)
    some = table.filter(pl.col("kind") == "player")
    assert (some["conversions_low"] <= some["conversions"]).all()
    assert (some["conversions"] <= some["conversions_high"]).all()
    assert (some["conversions_high"] > some["conversions_low"]).any()
    assert some["conversions_se"].is_not_null().all()


def test_the_effects_that_were_found():
    data, _ = confounded()
    effects = FAIR.fitted(journeys_of(data, target="purchase"))
    found = effects.filter(on="visit", stage="new", source="video")["lift"].item()
    assert found == pytest.approx(8, rel=0.5)
    assert set(effects["days"]) == {7.0}


# edges ------------------------------------------------------------------------------------------------------------


def table_of(rows, *columns):
    return pl.DataFrame([(who, START + timedelta(days=day), what) for who, day, what in rows], [*columns], orient="row")


def small(touches, outcomes, **settings):
    return attrib.Journeys.from_events(
        table_of(touches, "customer_id", "timestamp", "channel"),
        table_of(outcomes, "customer_id", "timestamp", "outcome"),
        target="purchase",
        **settings,
    )


@pytest.mark.parametrize(
    ("touches", "outcomes"),
    [
        ([("a", 1, "x")], [("a", 2, "purchase")]),
        ([("a", 1, "x"), ("a", 1, "y")], [("a", 1, "purchase"), ("a", 1, "purchase")]),
        ([("a", 1, "x"), ("b", 1, "x")], [("c", 0, "purchase")]),
        ([("a", day, "x") for day in range(30)], [("a", day, "purchase") for day in range(30)]),
    ],
    ids=["one customer", "all at once", "nobody touched converts", "one channel"],
)
def test_tiny_data(touches, outcomes):
    table = FAIR.credit(small(touches, outcomes))
    assert table["conversions"].sum() == pytest.approx(len(outcomes))
    assert table["conversions"].is_finite().all()


def test_path_tables_have_no_times():
    paths = pl.DataFrame({"path": ["a > b"], "total_conversions": [3]})
    with pytest.raises(attrib.SolveError, match="needs the times of touches") as caught:
        attrib.Incremental().credit(attrib.Journeys.from_paths(paths))
    assert caught.value.key == "no_times"


def test_histories_are_not_cut(data):
    with pytest.raises(attrib.SolveError, match="whole histories") as caught:
        attrib.Incremental().credit(journeys_of(data, target="purchase", by="interaction"))
    assert caught.value.key == "histories_by"


def test_too_many_channels():
    touches = [("a", day, f"c{day}") for day in range(61)]
    with pytest.raises(attrib.ResourceError, match="61 are too many"):
        attrib.Incremental().credit(small(touches, [("a", 70, "purchase")]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"credited": "both"}, {"types": 0}, {"moods": 5}, {"folds": 0}, {"permutations": 3}, {"penalty": -1},
        {"penalty": True}, {"tolerance": 0}, {"decays": ()}, {"decays": "unlimited"}, {"decays": "0d"}, {"seed": -1},
        {"steps": 0},
    ],
)  # fmt: skip
def test_bad_parameters(wrong):
    with pytest.raises(attrib.SpecError):
        attrib.Incremental(**wrong)


# laws -------------------------------------------------------------------------------------------------------------


def numbers(table):
    return table.sort("kind", *[c for c in ("stage", "channel") if c in table.columns]).select("conversions", "value")


def close(one, other, scale=1.0):
    for column in ("conversions", "value"):
        assert one[column].to_list() == pytest.approx([scale * x for x in other[column].to_list()], rel=1e-6, abs=1e-6)


def test_clocks_do_not_matter(data):
    later = [
        frame.with_columns(pl.col("timestamp").dt.offset_by("100d")) for frame in (data.touchpoints, data.outcomes)
    ]
    moved = attrib.Journeys.from_events(*later, target="purchase")
    method = attrib.Incremental(**QUICK)
    close(numbers(method.credit(moved)), numbers(method.credit(journeys_of(data, target="purchase"))))


def test_a_touch_outside_the_lookback_still_has_its_effect(data):
    """The lookback tells which conversions are unattributed; the model looks at all touches."""
    method = attrib.Incremental(**QUICK)
    short, long = (method.credit(journeys_of(data, target="purchase", lookback=f"{d}d")) for d in (5, 365))
    ours, theirs = (t.filter(pl.col("kind") == "player")["conversions"].sum() for t in (short, long))
    assert ours == pytest.approx(theirs, rel=1e-9)
    assert (
        short.filter(kind="unattributed")["conversions"].item() > long.filter(kind="unattributed")["conversions"].item()
    )


def test_stages_of_the_resolved_view_are_parts_of_channels(data):
    """Removing a channel stage by stage, one after the other, removes the channel: Shapley values of either game."""
    method = attrib.Incremental(**{**QUICK, "permutations": 20})
    plain = method.credit(journeys_of(data, stages="five", view="resolved", target="purchase"))
    whole = plain.filter(pl.col("kind") == "player")["conversions"].sum()
    baseline = plain.filter(kind="baseline")["conversions"].item()
    unattributed = plain.filter(kind="unattributed")["conversions"].item()
    assert whole + baseline + unattributed == pytest.approx(data.outcomes.filter(outcome="purchase").height)


def test_conversions_without_a_touch_beside_others_right_after_one():
    """Most purchases follow within the hour, a few were never touched."""
    met = [(f"c{i}", 30 + i % 5, "x") for i in range(200)]
    bought = [(f"c{i}", 30 + i % 5 + 0.05, "purchase") for i in range(200)] + [
        (f"n{i}", 5 + i % 50, "purchase") for i in range(3)
    ]
    table = attrib.Incremental(decays="7d", types=1, moods=1).credit(small(met, bought))
    assert table["conversions"].sum() == pytest.approx(203)


def test_channels_with_exactly_no_credit_are_named():
    data = attrib.synth.generate(customers=300, seed=1)
    journeys = attrib.Journeys.from_events(data.touchpoints, data.outcomes)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        table = attrib.Incremental(types=2, moods=1, decays="7d").credit(journeys)
    none = table.filter(pl.col("kind") == "player", pl.col("conversions") == 0)["channel"].to_list()
    found = [str(one.message) for one in told if "exactly 0 conversions" in str(one.message)]
    assert len(found) == 1
    assert f"5 of 12 channels are credited with exactly 0 conversions: {', '.join(none)}. That" in found[0]
    assert "judge these channels by a lift test" in found[0]
