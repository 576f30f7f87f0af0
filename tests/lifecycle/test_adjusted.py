"""Credit that flows back along referrals: worked by hand, against the slow twin, and where data are odd."""

from datetime import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attrib
import strategies
from attrib.errors import AttribWarning, DataError, SpecError
from reference_referrals import adjusted
from stories import form, rows

METHODS = {
    "linear": attrib.Linear(),
    "first": attrib.FirstTouch(),
    "last": attrib.LastTouch(),
    "shapley": attrib.Shapley(),
}
STORY = """
    ann  1ad 2mail      | 3purchase=100
    bob  4referral 5ad  | 6purchase=40
    cyd  7referral      | 8purchase=20
"""


def told(story, referrers, **recipe):
    """Journeys of a story and of who referred whom."""
    touched, reached = rows(story)
    for row in reached:
        row["referrer_id"] = referrers.get(row["customer_id"])
    return form(touched, reached, **recipe)


def by_key(table, number):
    """One number by the key columns; None for the player of an unattributed row."""
    keys = table.columns[: table.columns.index("kind")]
    return {
        tuple(row[k] for k in keys) if row["kind"] == "player" else ("unattributed",): row[number]
        for row in table.to_dicts()
    }


def credits_of(found, number="referral_adjusted"):
    return {key[0]: value for key, value in by_key(found.table, number).items()}


def counts(found):
    return dict(found.summary.select("entry", "customers").rows())


# worked by hand -----------------------------------------------------------------------------------


def test_ann_refers_bob_refers_cyd():
    journeys = told(STORY, {"bob": "ann", "cyd": "bob"})
    found = attrib.referral_adjusted(journeys, attrib.Linear(), pass_on=0.5, intervals=None)
    # cyd: w = 1, keeps 10 and passes 10; bob: w = 1/2 of 40 + 10, keeps 12.5, passes 12.5, the ad gets 25;
    # ann: 100 + 12.5, in halves
    assert credits_of(found, "direct") == {"ad": 70.0, "mail": 50.0, "referral": 40.0, "unattributed": 0.0}
    assert credits_of(found) == {"ad": 81.25, "mail": 56.25, "referral": 22.5, "unattributed": 0.0}
    assert credits_of(found, "difference") == {"ad": 11.25, "mail": 6.25, "referral": -17.5, "unattributed": 0.0}
    summary = {entry: (n, value) for entry, n, value in found.summary.rows()}
    assert summary["acquired"] == (3, 160.0)
    assert summary["claimed"] == summary["referred"] == (2, 60.0)
    assert summary["passed_on"] == (2, 22.5)
    assert found.rejected.is_empty()
    assert found.table.columns == ["channel", "kind", "method", "direct", "referral_adjusted", "difference"]
    assert set(found.table["method"]) == {"linear"}


def test_nothing_passed_on_is_the_direct_credit_and_that_is_the_value_of_the_credit_table():
    journeys = told(STORY, {"bob": "ann", "cyd": "bob"})
    for method in METHODS.values():
        found = attrib.referral_adjusted(journeys, method, pass_on=0, intervals=None)
        assert found.table["difference"].to_list() == [0.0] * found.table.height
        table = attrib.credit(journeys, method, intervals=None)
        assert found.table["channel"].to_list() == table["channel"].to_list()
        assert found.table["direct"].to_list() == pytest.approx(table["value"].to_list())
        assert counts(found)["passed_on"] == 0


def test_all_passed_on_leaves_referral_only_what_nobody_can_take():
    journeys = told(STORY + "dan 9referral | 9purchase=7", {"bob": "ann", "cyd": "bob", "dan": "nobody"})
    found = attrib.referral_adjusted(journeys, attrib.Linear(), pass_on=1, intervals=None)
    assert credits_of(found) == {"ad": 95.0, "mail": 65.0, "referral": 7.0, "unattributed": 0.0}
    assert counts(found)["no_referrer"] == 1
    assert counts(found)["unknown_referrer"] == 1


def test_the_total_of_a_customer_without_a_touch_is_unattributed():
    journeys = told("ann | 3purchase=100\nbob 4referral | 6purchase=40", {"bob": "ann"})
    found = attrib.referral_adjusted(journeys, attrib.Linear(), pass_on=0.25, intervals=None)
    assert credits_of(found) == {"referral": 30.0, "unattributed": 110.0}


def test_later_purchases_count_for_the_journey_that_won_the_customer():
    journeys = told("ann 1ad 4mail | 3purchase=10 5purchase=2", {})
    with pytest.warns(AttribWarning, match="nothing is passed on"):
        found = attrib.referral_adjusted(journeys, attrib.Linear(), intervals=None)
    assert credits_of(found, "direct") == {"ad": 12.0, "mail": 0.0, "unattributed": 0.0}


# who counts as a referrer -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("story", "referrers", "reasons"),
    [
        (STORY, {"ann": "ann"}, {"ann": "self_referral"}),
        (STORY, {"bob": "zoe"}, {"bob": "unknown_referrer"}),
        (STORY, {"ann": "bob"}, {"ann": "before_referrer"}),
        (STORY, {"ann": "cyd", "bob": "ann", "cyd": "bob"}, {"ann": "cycle"}),
        ("ann 1ad | 3purchase\nbob 1referral | 3purchase", {"bob": "ann"}, {"bob": "before_referrer"}),
        (
            "ann 1ad | 3purchase\nbob 1referral | 3purchase",
            {"bob": "ann", "ann": "bob"},
            {"ann": "cycle", "bob": "cycle"},
        ),
        ("ann 1ad | 3visit\nbob 1referral | 4purchase", {"bob": "ann"}, {"bob": "referrer_not_acquired"}),
        ("ann 1ad | 3purchase\nbob 1referral | 4visit", {"bob": "ann"}, {"bob": "not_acquired"}),
        ("ann 1ad |\nbob 1referral | 4purchase", {"bob": "ann"}, {"bob": "referrer_not_acquired"}),
    ],
)
@pytest.mark.filterwarnings("ignore:no touch is over")
def test_claims_that_do_not_count_are_listed(story, referrers, reasons):
    journeys = told(story, referrers)
    found = attrib.referral_adjusted(journeys, attrib.Linear(), intervals=None)
    assert {row["customer_id"]: row["reason"] for row in found.rejected.to_dicts()} == reasons
    listed = {row["customer_id"]: row["referrer_id"] for row in found.rejected.to_dicts()}
    assert listed == {who: referrers[who] for who in reasons}
    assert counts(found)["claimed"] == len(referrers)
    assert counts(found)["referred"] == len(referrers) - len(reasons)
    assert found.table["direct"].sum() == pytest.approx(found.table["referral_adjusted"].sum(), rel=1e-12)


def test_a_referral_without_a_referral_touch_passes_nothing_on_and_is_counted():
    journeys = told("ann 1ad 2referral | 3purchase\nbob 4mail | 5purchase", {"bob": "ann"})
    found = attrib.referral_adjusted(journeys, attrib.Linear(), intervals=None)
    assert found.table["difference"].to_list() == [0.0] * 4
    assert counts(found)["no_referral_touch"] == 1
    assert counts(found)["referred"] == 1


def test_the_first_row_with_a_referrer_counts_whatever_its_outcome():
    touched, reached = rows("ann 1ad | 2purchase\nbea 1mail | 2purchase\nbob 4referral | 5visit 6purchase=8 7purchase")
    for row in reached:
        named = {("bob", 6): "ann", ("bob", 7): "bea"}
        row["referrer_id"] = named.get((row["customer_id"], row["timestamp"]))
    found = attrib.referral_adjusted(form(touched, reached), attrib.Linear(), pass_on=1, intervals=None)
    assert credits_of(found) == {"ad": 10.0, "mail": 1.0, "referral": 0.0, "unattributed": 0.0}
    assert counts(found)["several_referrers"] == 1
    reached[3]["outcome"] = "signup"
    reached[2]["referrer_id"] = "bea"  # the visit comes first
    found = attrib.referral_adjusted(form(touched, reached), attrib.Linear(), pass_on=1, intervals=None)
    assert credits_of(found)["mail"] > credits_of(found)["ad"]


def test_a_repeated_event_is_no_second_claim():
    touched, reached = rows("ann 1ad | 2purchase\nbob 4referral | 5purchase 6visit")
    events, referrers = [None, "e", "e"], [None, None, "ann"]
    for row, event, referrer in zip(reached, events, referrers, strict=True):
        row.update(event_id=event, referrer_id=referrer)
    journeys = form(touched, reached)
    assert counts(attrib.referral_adjusted(journeys, attrib.Linear(), intervals=None))["claimed"] == 0
    journeys = form(touched, reached, duplicates="keep")
    assert counts(attrib.referral_adjusted(journeys, attrib.Linear(), intervals=None))["referred"] == 1


def test_rejected_rows_claim_nothing():
    touched, reached = rows("ann 1ad | 2purchase\nbob 4referral | 3purchase 5purchase")
    reached[1].update(value=None, referrer_id="ann")
    reached[2]["referrer_id"] = None
    journeys = form(touched, reached, max_rejects=1.0)
    assert counts(attrib.referral_adjusted(journeys, attrib.Linear(), intervals=None))["claimed"] == 0


# ids of all kinds ---------------------------------------------------------------------------------

DAYS = [datetime(2025, 1, day) for day in range(1, 6)]  # noqa: DTZ001


def people_frames(ids, referrers):
    """The first customer comes by ad, the others by referral, a day apart."""
    n = len(ids)
    touches = pl.DataFrame({"timestamp": DAYS[:n], "channel": ["ad", *["referral"] * (n - 1)]})
    orders = pl.DataFrame({"timestamp": DAYS[:n], "outcome": ["purchase"] * n})
    return touches.with_columns(customer_id=ids), orders.with_columns(customer_id=ids, referrer_id=referrers)


@pytest.mark.parametrize(
    ("ids", "referrers"),
    [
        (pl.Series([1, 2, 3]), pl.Series([None, 1, 2])),
        (pl.Series([1, 2, 3], dtype=pl.Int8), pl.Series([None, 1, 2], dtype=pl.UInt64)),
        (pl.Series([1, 2, 2**64 - 1], dtype=pl.UInt64), pl.Series([None, "1", "2"])),
        (pl.Series([1, 2, 3]), pl.Series([None, "1", "2"])),
        (pl.Series([1, 2, 3]), pl.Series(["", "1", "2"])),
        (pl.Series([1, 2, 3]), pl.Series([None, 1.0, 2.0])),
        (pl.Series([1, 2, 3]), pl.Series([float("nan"), 1.0, 2.0])),
        (pl.Series(["1", "2", "3"]), pl.Series([None, 1, 2])),
        (pl.Series(["1", "2", "3"]), pl.Series([None, 1.0, 2.0])),
        (pl.Series(["1", "2", "3"]), pl.Series([" \t", "1", "2"], dtype=pl.Categorical)),
        (pl.Series(["é\x00=1+1", "'; drop table", "🦀"]), pl.Series([None, "é\x00=1+1", "'; drop table"])),
        (pl.Series(["a" * 100, "a" * 101, "a" * 102]), pl.Series([None, "a" * 100, "a" * 101])),
    ],
)
def test_referrers_are_recognised_whatever_their_type(ids, referrers):
    journeys = attrib.Journeys.from_events(*people_frames(ids, referrers))
    found = attrib.referral_adjusted(journeys, attrib.Linear(), pass_on=1, intervals=None)
    assert credits_of(found) == {"ad": 3.0, "referral": 0.0, "unattributed": 0.0}
    assert counts(found)["claimed"] == counts(found)["referred"] == 2


def test_a_name_that_only_looks_like_a_number_is_another_name():
    journeys = attrib.Journeys.from_events(*people_frames(pl.Series([1, 2, 3]), pl.Series([None, "01", "2 "])))
    found = attrib.referral_adjusted(journeys, attrib.Linear(), intervals=None)
    assert found.rejected["reason"].to_list() == ["unknown_referrer"] * 2
    assert found.rejected["referrer_id"].to_list() == ["01", "2 "]


@pytest.mark.parametrize("referrers", [pl.Series([None, 1.5, 2.0]), pl.Series([None, 1e300, 1.0]), pl.Series(DAYS[:3])])
def test_referrers_that_can_be_no_id_are_an_error(referrers):
    journeys = attrib.Journeys.from_events(*people_frames(pl.Series([1, 2, 3]), referrers))
    with pytest.raises(DataError) as caught:
        attrib.referral_adjusted(journeys, attrib.Linear(), intervals=None)
    assert caught.value.key == "wrong_type"


def test_files_other_frames_inline_outcomes_and_other_names(tmp_path):
    touches, orders = people_frames(pl.Series(["x", "y", "z"]), pl.Series([None, "x", "y"]))
    for name, frame in (("touches", touches), ("orders", orders)):
        frame.write_csv(tmp_path / f"{name}.csv")
        frame.write_parquet(tmp_path / f"{name}.parquet")
    renamed = orders.rename({"referrer_id": "brought_by"})
    inline = touches.with_columns(sold=True, referrer_id=orders["referrer_id"])
    sources = [
        attrib.Journeys.from_events(tmp_path / "touches.csv", tmp_path / "orders.csv"),
        attrib.Journeys.from_events(tmp_path / "touches.parquet", tmp_path / "orders.parquet"),
        attrib.Journeys.from_events(touches.lazy(), orders.lazy()),
        attrib.Journeys.from_events(touches.to_pandas(), orders.to_pandas()),
        attrib.Journeys.from_events(touches, renamed, columns={"referrer_id": "brought_by"}),
        attrib.Journeys.from_events(inline, attrib.InlineOutcome("sold")),
    ]
    for journeys in sources:
        found = attrib.referral_adjusted(journeys, attrib.Linear(), pass_on=1, intervals=None)
        assert credits_of(found) == {"ad": 3.0, "referral": 0.0, "unattributed": 0.0}


# against the twin ---------------------------------------------------------------------------------


@st.composite
def referred_tables(draw):
    columns = {
        "touchpoints": ["country"],
        "outcomes": draw(st.sampled_from([["value"], ["value", "event_id", "country"]])),
    }
    touched, reached = draw(strategies.event_tables(customers=7, touches=4, outcomes=4, columns=columns))
    names = sorted({row["customer_id"] for row in (*touched, *reached)})
    for row in reached:
        row["referrer_id"] = draw(st.sampled_from([None, *names, *names, "nobody"]))
    if all(row["referrer_id"] is None for row in reached):
        reached[0]["referrer_id"] = "nobody"  # a column of nulls has no type
    return touched, reached


def check_twin(found, twin, number):
    """Compare by key; games of no value and players of no credit may be in one of them only."""
    keys = found.columns[: found.columns.index("kind")]
    mine = {}
    for row in found.to_dicts():
        key = tuple(row[k] for k in keys[:-1]), (row[keys[-1]],) if row["kind"] == "player" else None
        assert key not in mine
        mine[key] = row[number]
    for key in {*mine, *twin}:
        assert mine.get(key, 0.0) == pytest.approx(float(twin.get(key, 0)), rel=1e-9, abs=1e-9), key


@given(
    tables=referred_tables(),
    recipe=strategies.recipes(),
    by=st.sampled_from([(), ("country",)]),
    rule=st.sampled_from(sorted(METHODS)),
    pass_on=st.sampled_from([0, 0.25, 0.5, 1]),
    channels=st.sampled_from([("a",), ("a", "direct"), ("b", "null", "a > b")]),
    valued=st.booleans(),
)
@pytest.mark.filterwarnings("ignore::attrib.AttribWarning")
def test_the_twin_says_the_same(tables, recipe, by, rule, pass_on, channels, valued):
    touched, reached = tables
    recipe |= {"by": by}
    names = sorted({row["customer_id"] for row in (*touched, *reached)})
    values = {name: number - 2 for number, name in enumerate(names)} if valued else None
    direct, wanted, reasons = adjusted(
        touched, reached, rule, pass_on=pass_on, channels=channels, values=values, **recipe
    )
    journeys = attrib.Journeys.from_events(*strategies.to_frames(touched, reached), **strategies.public(recipe))
    frame = None if values is None else pl.DataFrame({"customer_id": names, "value": list(values.values())})
    found = attrib.referral_adjusted(
        journeys, METHODS[rule], pass_on=pass_on, channel=channels, values=frame, intervals=None
    )
    check_twin(found.table, direct, "direct")
    check_twin(found.table, wanted, "referral_adjusted")
    assert found.table["referral_adjusted"].sum() == pytest.approx(float(sum(direct.values())), rel=1e-9, abs=1e-9)
    listed = found.rejected.group_by("reason").len().with_columns(pl.col("reason").cast(pl.String))
    assert dict(listed.rows()) == dict(reasons)
    assert {entry: n for entry, n in counts(found).items() if entry in reasons} == dict(reasons)


MODEL = [("see", attrib.Milestone("visit")), ("do", attrib.Milestone("purchase"))]


def test_stages_of_the_touch_in_the_view_resolved():
    story = "ann 1ad 3ad | 2visit 4purchase=10\nbob 5referral 7mail | 6visit 8purchase=8"
    journeys = told(story, {"bob": "ann"}, stages=attrib.StageModel(MODEL), view="resolved")
    found = attrib.referral_adjusted(journeys, attrib.Linear(), pass_on=0.5, intervals=None)
    assert found.table.columns[:2] == ["stage", "channel"]
    rows_found = {
        row[:2]: row[2:] for row in found.table.select("stage", "channel", "direct", "referral_adjusted").rows()
    }
    assert rows_found["see", "ad"] == (5.0, 6.0)
    assert rows_found["do", "ad"] == (5.0, 6.0)
    assert rows_found["see", "referral"] == (4.0, 2.0)
    assert rows_found["do", "mail"] == (4.0, 4.0)
    journeys = told(story, {"bob": "ann"}, stages=attrib.StageModel(MODEL))
    with pytest.raises(SpecError, match="resolved") as caught:
        attrib.referral_adjusted(journeys, attrib.Linear(), intervals=None)
    assert caught.value.key == "no_acquisitions"


def test_players_without_the_channel_still_know_which_touch_is_a_referral():
    touched, reached = rows("ann 1ad | 2purchase=10\nbob 3referral 4ad | 5purchase=8")
    for row in touched:
        row["direct"] = "x"  # also the name of one of our columns
    for row in reached:
        row["referrer_id"] = "ann" if row["customer_id"] == "bob" else None
    found = attrib.referral_adjusted(form(touched, reached, player="direct"), attrib.Linear(), intervals=None)
    assert found.table.columns[0] == "player_direct"
    # one player keeps and gets all
    assert found.table.filter(kind="player").select("direct", "referral_adjusted").rows() == [(18.0, 18.0)]


# intervals ----------------------------------------------------------------------------------------


def test_intervals_draw_whole_trees():
    from attrib.engines.base import BUCKETS, Units
    from attrib.engines.reading import hash_customers
    from attrib.intervals import Replicates

    rng = np.random.default_rng(3)
    names = [f"c{i}" for i in range(400)]
    referrers = [None if i < 40 or rng.random() < 0.3 else names[rng.integers(0, i)] for i in range(400)]
    story = "\n".join(
        f"{name} {2 * i}{'referral' if referrer else 'ad'} | {2 * i + 1}purchase={rng.integers(1, 20)}"
        for i, (name, referrer) in enumerate(zip(names, referrers, strict=True))
    )
    journeys = told(story, dict(zip(names, referrers, strict=True)))
    found = attrib.referral_adjusted(journeys, attrib.Linear(), replicates=200, seed=7, intervals=0.9)

    root = {}
    for name, referrer in zip(names, referrers, strict=True):
        root[name] = root[referrer] if referrer else name
    bucket = hash_customers(pl.Series([root[name] for name in names]), "text")[0] >> np.uint64(56)
    weights = Replicates.draw(Units("buckets", np.zeros(BUCKETS, np.int64)), 7, 0, 200).weights
    touched, reached = rows(story)
    trees = dict(zip(names, bucket.tolist(), strict=True))
    referral = np.zeros(BUCKETS)
    for b in range(BUCKETS):
        mine = [row for row in reached if trees[row["customer_id"]] == b]
        if mine:
            own = [{**row, "referrer_id": referrers[int(row["customer_id"][1:])]} for row in mine]
            seen = [row for row in touched if trees[row["customer_id"]] == b]
            _, credit, _ = adjusted(seen, own, "linear", pass_on=0.5, channels=["referral"])
            referral[b] = float(credit.get(((), ("referral",)), 0))
    row = found.table.filter(channel="referral").to_dicts()[0]
    assert row["referral_adjusted"] == pytest.approx(referral.sum())
    bounds = np.quantile(weights @ referral, [0.05, 0.95])
    assert [row["referral_adjusted_low"], row["referral_adjusted_high"]] == pytest.approx(bounds.tolist())
    again = attrib.referral_adjusted(journeys, attrib.Linear(), replicates=200, seed=7, intervals=0.9)
    assert again.table.equals(found.table)
    without = attrib.referral_adjusted(journeys, attrib.Linear(), intervals=None).table
    assert without.equals(found.table.select(without.columns))


# arguments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [attrib.Markov(order=1), attrib.Shapley(worth="rate"), "linear"])
def test_methods_without_shares_of_a_journey_are_refused(method):
    with pytest.raises(SpecError) as caught:
        attrib.referral_adjusted(told(STORY, {"bob": "ann"}), method)
    assert caught.value.key == ("bad_methods" if method == "linear" else "no_touch_shares")
    assert "Shapley" in caught.value.hint or method == "linear"


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"pass_on": 1.5}, "bad_value"), ({"pass_on": True}, "bad_value"), ({"pass_on": "half"}, "bad_value"),
        ({"pass_on": float("nan")}, "bad_value"), ({"channel": 3}, "bad_value"), ({"channel": ["a", "a"]}, "bad_value"),
        ({"intervals": 95}, "bad_interval"),
    ],
)  # fmt: skip
def test_arguments_that_make_no_sense(arguments, key):
    with pytest.raises(SpecError) as caught:
        attrib.referral_adjusted(told(STORY, {"bob": "ann"}), attrib.Linear(), **arguments)
    assert caught.value.key == key


def test_tables_that_cannot_answer():
    paths = attrib.Journeys.from_paths(pl.DataFrame({"path": ["a"], "total_conversions": [1]}))
    with pytest.raises(SpecError, match="path table") as caught:
        attrib.referral_adjusted(paths, attrib.Linear())
    assert caught.value.key == "no_customers"
    with pytest.raises(DataError, match="referrer_id") as caught:
        attrib.referral_adjusted(form(*rows(STORY)), attrib.Linear())
    assert caught.value.key == "missing_columns"


def test_spark_is_refused():
    journeys = told(STORY, {"bob": "ann"})
    journeys.engine = attrib.SparkEngine()
    with pytest.raises(SpecError) as caught:
        attrib.referral_adjusted(journeys, attrib.Linear(), intervals=None)
    assert caught.value.key == "not_on_spark"


def test_an_unmet_channel_is_a_warning_with_its_likely_name():
    with pytest.warns(AttribWarning, match="did you mean 'referral'"):
        attrib.referral_adjusted(told(STORY, {"bob": "ann"}), attrib.Linear(), channel="referal", intervals=None)


# lifetime values ----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [pl.DataFrame, pd.DataFrame, lambda data: pl.DataFrame(data).lazy()])
def test_retention_adjusted_credit_puts_lifetimes_in_place_of_first_purchases(make):
    journeys = told("ann 1ad 2mail 4ad | 3purchase=10 5purchase=3\nbob | 4purchase=2\ncyd 1ad |", {})
    values = make({"customer_id": ["ann", "bob", "cyd", "zoe"], "value": [40.0, 5.0, 1.5, 9.0]})
    found = attrib.retention_adjusted(journeys, attrib.Linear(), values=values)
    assert credits_of(found, "direct") == {"ad": 5.0, "mail": 5.0, "unattributed": 2.0}
    assert credits_of(found, "retention_adjusted") == {"ad": 20.0, "mail": 20.0, "unattributed": 6.5}
    assert credits_of(found, "difference") == {"ad": 15.0, "mail": 15.0, "unattributed": 4.5}
    assert found.rejected is None
    assert found.summary.rows() == [
        ("acquired", 2, 45.0), ("unattributed", 1, 5.0), ("not_acquired", 1, 1.5), ("values_of_others", 1, 9.0),
    ]  # fmt: skip
    assert "retention_adjusted_low" in found.table.columns
    assert (found.table["retention_adjusted_low"] <= found.table["retention_adjusted_high"]).all()


def test_customers_in_no_game_have_a_row_without_names():
    touched, reached = rows("ann 1ad | 3purchase=10\ncyd 1ad |")
    touched[0]["country"] = touched[1]["country"] = "de"
    journeys = form(touched, reached, by="country")
    values = pl.DataFrame({"customer_id": ["ann", "cyd"], "value": [40.0, 2.0]})
    found = attrib.retention_adjusted(journeys, attrib.Linear(), values=values, intervals=None)
    assert found.table.select("country", "channel", "retention_adjusted").rows() == [
        (None, None, 2.0), ("de", None, 0.0), ("de", "ad", 40.0),
    ]  # fmt: skip
    found = attrib.retention_adjusted(
        journeys, attrib.Linear(), values=values.with_columns(value=pl.Series([40.0, 0.0])), intervals=None
    )
    assert found.table["country"].to_list() == ["de", "de"]


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"customer_id": ["ann"], "value": [1.0]}, "values_missing"),
        ({"customer_id": ["ann", "bob", "bob"], "value": [1.0, 2.0, 3.0]}, "bad_values"),
        ({"customer_id": ["ann", "bob"], "value": [1.0, None]}, "bad_values"),
        ({"customer_id": ["ann", "bob"], "value": [1.0, float("inf")]}, "bad_values"),
        ({"customer_id": ["ann", "bob"], "value": ["1", "x"]}, "bad_values"),
        ({"customer_id": ["ann", None], "value": [1.0, 2.0]}, "bad_values"),
        ({"customer_id": ["ann", "bob"], "value": [True, False]}, "wrong_type"),
        ({"customer_id": ["ann", "bob"], "clv": [1.0, 2.0]}, "missing_columns"),
    ],
)
def test_values_that_cannot_be_used(values, key):
    journeys = told("ann 1ad | 3purchase\nbob 1ad | 3purchase", {"bob": "ann"})
    for ask in (attrib.retention_adjusted, attrib.referral_adjusted):
        with pytest.raises(DataError) as caught:
            ask(
                journeys,
                attrib.Linear(),
                values=pl.DataFrame(values),
                **({} if ask is attrib.retention_adjusted else {"channel": "ad"}),
            )
        assert caught.value.key == key


# size ---------------------------------------------------------------------------------------------


def test_a_chain_of_a_hundred_thousand_and_any_order_of_rows():
    n = 100_000
    ids = pl.Series("customer_id", np.arange(n))
    times = pl.Series("timestamp", np.arange(n) * 1_000_000).cast(pl.Datetime("us"))
    channels = pl.Series("channel", ["referral"] * n).scatter(0, "ad")
    touches = pl.DataFrame([ids, times, channels])
    orders = pl.DataFrame([ids, times]).with_columns(
        outcome=pl.lit("purchase"), referrer_id=(ids - 1).set(ids == 0, None)
    )
    found = attrib.referral_adjusted(
        attrib.Journeys.from_events(touches, orders), attrib.Linear(), pass_on=1, intervals=None
    )
    assert credits_of(found) == {"ad": float(n), "referral": 0.0, "unattributed": 0.0}
    assert counts(found)["referred"] == n - 1
    shuffled = attrib.Journeys.from_events(
        touches.sample(fraction=1, shuffle=True, seed=1), orders.sample(fraction=1, shuffle=True, seed=2),
        engine=attrib.LocalEngine(threads=2),
    )  # fmt: skip
    sorted_ones = attrib.Journeys.from_events(touches, orders, engine=attrib.LocalEngine(threads=1))
    one, other = (
        attrib.referral_adjusted(journeys, attrib.Linear(), pass_on=1 / 3, replicates=20)
        for journeys in (shuffled, sorted_ones)
    )
    assert one.table.equals(other.table)  # to the last bit


@given(referrers=st.lists(st.integers(-1, 9), min_size=1, max_size=10))
def test_circles_are_those_whom_their_own_claims_lead_back_to(referrers):
    from attrib.kernels.forest import on_cycle

    n = len(referrers)
    named = [who if who < n else -1 for who in referrers]

    def leads_back(start):
        at = named[start]
        for _ in range(n):
            if at in (-1, start):
                break
            at = named[at]
        return at == start

    found = np.zeros(n, np.bool_)
    on_cycle(np.array(named), found)
    assert found.tolist() == [leads_back(start) for start in range(n)]
