"""Credit that flows back along referrals: worked by hand, and where data are odd."""

from datetime import datetime

import pandas as pd
import polars as pl
import pytest

import attrib
from attrib.errors import AttribWarning, DataError, SpecError
from referred import METHODS, STORY, counts, credits_of, told
from stories import form, rows

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


def test_the_hint_for_values_can_be_followed():
    values = pl.DataFrame({"customer": ["ann", "bob", "cyd"], "value": [1.0, 2.0, 3.0]})
    with pytest.raises(DataError, match="rename the column that holds it; did you mean 'customer'") as error:
        attrib.retention_adjusted(told(STORY, {}), attrib.Linear(), values=values)
    assert "map your names" not in str(error.value)


def test_values_may_be_a_file(tmp_path):
    values = pl.DataFrame({"customer_id": ["ann", "bob", "cyd"], "value": [300.0, 50.5, 20.0]})
    values.write_csv(tmp_path / "worth.csv")
    values.write_parquet(tmp_path / "worth.parquet")
    journeys = told(STORY, {})
    tables = [
        attrib.retention_adjusted(journeys, attrib.Linear(), values=given, intervals=None).table
        for given in (values, tmp_path / "worth.csv", str(tmp_path / "worth.parquet"))
    ]
    assert tables[0]["retention_adjusted"].sum() == 370.5
    assert all(table.equals(tables[0]) for table in tables)
    (tmp_path / "worth.csv").write_text("customer_id,value\nann,300\nbob,50,5\ncyd,20\n")
    with pytest.raises(DataError, match=r"1 of 3 rows of values have more cells than columns; e.g. row 1, 'bob'"):
        attrib.retention_adjusted(journeys, attrib.Linear(), values=tmp_path / "worth.csv")
