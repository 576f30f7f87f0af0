"""Hints on rejected texts: every expression that is proposed is carried out, and compared with what is meant."""

# ruff: noqa: DTZ001 - times without zones

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import polars as pl
import pytest

import attrib
from attrib.io.looks import what_they_look_like

POLARS = re.compile(
    r"(?:\(pl\.datetime|pl\.coalesce|pl\.from_epoch|pl\.col).*?(?=(?: or pl\.| or pandas|, and keep| if |$))"
)
PANDAS = re.compile(r"pandas\.to_datetime\(.*?(?:\"\))(?=$|;)")


def readings(hint: str, texts, column: str) -> list[list]:
    """What the expressions of a hint make of texts: polars' in the order of the hint, then that of pandas."""
    frame = pl.DataFrame({column: texts})
    found = [frame.with_columns(eval(text, {"pl": pl}))[column].to_list() for text in POLARS.findall(hint)]
    for text in PANDAS.findall(hint):
        read = eval(text, {"pandas": pd, "column": pd.Series(texts)})
        found.append([stamp.round("us").to_pydatetime() for stamp in read])
    for given in re.findall(r"pandas\.read_csv\(…, (.*?)\)", hint):
        from io import StringIO

        file = StringIO("x\n" + "".join(f'"{text}"\n' for text in texts))
        found.append(eval(f"pandas.read_csv(file, {given})", {"pandas": pd, "file": file})["x"].tolist())
    return found


@pytest.mark.parametrize(
    ("texts", "beside", "meant"),
    [
        (["1,234", "12,500.5"], [], [1234, 12500.5]),
        (["1,234"], ["12.50"], [1234]),  # the others of the column tell
        (["1,234", "1,50"], [], [1.234, 1.5]),
        (["1,234"], ["1.234.567"], [1.234]),
        (["1,234,567"], [], [1234567]),
        (["1,23,456.50"], [], [123456.5]),
        (["0,500"], [], [0.5]),
        (["1234,500"], [], [1234.5]),
        (["€ 12,50", "12,50 €", "-3,10 €"], [], [12.5, 12.5, -3.1]),
        (["R$ 10,00"], [], [10]),
        (["€ 1.234,50"], [], [1234.5]),
        (["1.234,50 EUR", "7,00 EUR"], [], [1234.5, 7]),
        (["$1,234.50", "$7"], [], [1234.5, 7]),
        (["1.234.567 €"], [], [1234567]),
        (["1'234.50", "CHF 1’234.50"], [], [1234.5, 1234.5]),
        (["1 234,50", "1\u00a0234,50", "1\u202f234 567,50"], [], [1234.5, 1234.5, 1234567.5]),
        (["(12.50)", "(€3)"], ["4.5"], [-12.5, -3]),
        (["12.50-"], [], [-12.5]),
        (["\u221212,5"], [], [-12.5]),
        (["12,-", "12,50"], [], [12, 12.5]),
        (["Fr. 12.50"], [], [12.5]),
        (["n/a", "", "€ 5"], [], [None, None, 5]),
        ([",50 €"], [], [0.5]),
    ],
)
def test_amounts(texts, beside, meant):
    hint = what_they_look_like("value_unparseable", texts, beside=beside, column="Net cost")
    found = readings(hint, texts, "Net cost")
    assert found, hint
    assert all(read == meant for read in found), hint


@pytest.mark.parametrize(
    ("texts", "meant"), [(["1,234", "12,500"], [[1234, 12500], [1.234, 12.5]]), (["€1.234"], [[1234], [1.234]])]
)
def test_a_mark_that_may_be_either_is_read_both_ways(texts, meant):
    hint = what_they_look_like("cost_unparseable", texts)
    assert f"{texts[0]!r} is 1234 or 1.234" in hint
    assert readings(hint, texts, "cost") == meant


@pytest.mark.parametrize(
    ("texts", "beside", "said"),
    [
        (["1,234.50", "1.234,50"], [], "some with a decimal point"),
        (["€ 12", "$ 10"], [], "several currencies"),
        (["€ 12", "€ 13", "1.2k"], [], "others such as '1.2k'"),
        (["€ 12"], ["1e5"], "others such as '1e5'"),
        (["1.2k"], [], None),
        (["3 Mio"], [], None),
        (["12 cents"], [], None),
        (["10-20"], [], None),
    ],
)
def test_no_expression_where_it_would_guess(texts, beside, said):
    hint = what_they_look_like("value_unparseable", texts, beside=beside)
    assert "pl." not in hint
    assert (said in hint) if said else (hint == "")


LOCAL = timezone(timedelta(hours=2))
AT, SECOND = datetime(2024, 3, 31, 8, 2), datetime(2024, 3, 31, 20, 2, 11)


@pytest.mark.parametrize(
    ("texts", "meant"),
    [
        (["03/31/2024"], [datetime(2024, 3, 31)]),
        (["03/04/2024", "03/31/2024"], [datetime(2024, 3, 4), datetime(2024, 3, 31)]),
        (["31-03-2024"], [datetime(2024, 3, 31)]),
        (["31.03.24"], [datetime(2024, 3, 31)]),
        (["04.03.2024"], [datetime(2024, 3, 4)]),
        (["31.03.2024 08:02", "1.4.2024 8:02"], [AT, datetime(2024, 4, 1, 8, 2)]),
        (["31.03.2024, 08:02"], [AT]),
        (["31.03.2024", "31.03.2024 08:02"], [datetime(2024, 3, 31), AT]),
        (["2024/03/31 08:02"], [AT]),
        (["2024/31/03"], [datetime(2024, 3, 31)]),
        (["31 Mar 2024 08:02"], [AT]),
        (["31-MAR-24"], [datetime(2024, 3, 31)]),
        (["Mar 31, 2024", "May 1, 2024"], [datetime(2024, 3, 31), datetime(2024, 5, 1)]),
        (["March 31, 2024 at 8:02 AM", "May 1, 2024 at 1:00 PM"], [AT, datetime(2024, 5, 1, 13)]),
        (["Mar. 31, 2024"], [datetime(2024, 3, 31)]),
        (["2024-03-31 8:02 PM"], [datetime(2024, 3, 31, 20, 2)]),
        (["03/31/2024 8:02:11 p.m."], [SECOND]),
        (["8:02 AM 31.03.2024"], [AT]),
        (["2024-03-31 20:02:11 UTC"], [SECOND.replace(tzinfo=UTC)]),
        (["2024-03-31 20:02:11 UTC", "2024-03-31 20:02:11.5 UTC"],
         [SECOND.replace(tzinfo=UTC), SECOND.replace(tzinfo=UTC, microsecond=500_000)]),
        (["Sun, 31 Mar 2024 20:02:11 +0200"], [SECOND.replace(tzinfo=LOCAL)]),
        (["Sun Mar 31 2024 20:02:11 GMT+0200 (CEST)"], [SECOND.replace(tzinfo=LOCAL)]),
        (["31/Mar/2024:20:02:11 +0000"], [SECOND.replace(tzinfo=UTC)]),
        (["Sun Mar 31 20:02:11 2024"], [SECOND]),
        (["2024-03-31T20:02:11,123"], [SECOND.replace(microsecond=123_000)]),
        (["20240331"], [datetime(2024, 3, 31)]),
        (["20240331200211"], [SECOND]),
        (["202403310802"], [AT]),
        (["20240331200211123"], [SECOND.replace(microsecond=123_000)]),
        (["1711915331"], [SECOND]),
        (["1711915331000"], [SECOND]),
        (["1711915331.5"], [SECOND.replace(microsecond=500_000)]),
        (["1.711915331E9"], [SECOND]),
        (["45382"], [datetime(2024, 3, 31)]),
        (["45382.5"], [datetime(2024, 3, 31, 12)]),
    ],
)  # fmt: skip
def test_times(texts, meant):
    hint = what_they_look_like("timestamp_unparseable", texts, column="Ordered at")
    found = readings(hint, texts, "Ordered at")
    assert found, hint
    assert all(read == meant for read in found), hint


def test_day_or_month_first_is_read_both_ways():
    hint = what_they_look_like("date_unparseable", ["03/04/2024 08:02", "05/05/2024 09:00"])
    assert "'03/04/2024 08:02' is 2024-04-03 or 2024-03-04" in hint
    first = [read[0] for read in readings(hint, ["03/04/2024 08:02", "05/05/2024 09:00"], "date")]
    assert first == [datetime(2024, 4, 3, 8, 2), datetime(2024, 3, 4, 8, 2)]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["31/03/2024", "03/31/2024"], "several orders, such as '31/03/2024' and '03/31/2024'"),
        (["2024-03-31 20:02 CET"], "abbreviation of a zone (CET)"),
        (["2024-02-30"], "no calendar has"),
        (["2024-W13"], None),
        (["soon", "31.03.2024", "later"], None),
    ],
)
def test_no_format_where_it_would_guess(texts, said):
    hint = what_they_look_like("timestamp_unparseable", texts)
    assert "to_datetime" not in hint
    assert (said in hint) if said else (hint == "")


DAY = datetime(2024, 1, 1, 10)
TOUCHES = pl.DataFrame({"customer_id": [1, 2], "timestamp": [DAY] * 2, "channel": ["ad"] * 2})
ORDERS = pl.DataFrame(
    {
        "customer_id": [1, 2],
        "timestamp": [DAY + timedelta(1)] * 2,
        "outcome": ["purchase"] * 2,
        "Paid": ["1,234", "5.5"],
    }
)


def test_hints_name_the_callers_column_and_see_the_accepted_texts():
    with pytest.raises(attrib.RejectedError) as caught:
        attrib.Journeys.from_events(TOUCHES, ORDERS, columns={"value": "Paid"}).reconcile()
    assert readings(caught.value.hint.split(";")[0], ORDERS["Paid"], "Paid")[0] == [1234, 5.5]
    inline = ORDERS.drop("outcome").with_columns(channel=pl.lit("ad"), won=True)
    with pytest.raises(attrib.RejectedError, match=r'pl\.col\("Paid"\)'):
        attrib.Journeys.from_events(inline, attrib.InlineOutcome("won", "Paid")).reconcile()


def test_blanks_around_numbers_are_no_fault(tmp_path):
    padded = ORDERS.with_columns(Paid=pl.Series([" 12.5", "7\u00a0"])).rename({"Paid": "value"})
    padded.write_csv(tmp_path / "orders.csv")
    for table in (padded, tmp_path / "orders.csv"):
        journeys = attrib.Journeys.from_events(TOUCHES, table)
        assert attrib.credit(journeys, attrib.Linear(), intervals=None)["value"].sum() == 19.5
    paths = pl.DataFrame({"path": ["a"], "total_conversions": [" 2"], "total_conversion_value": ["3.5 "]})
    assert attrib.Journeys.from_paths(paths).paths()["value"].to_list() == [3.5]


def test_costs_and_lift_tests_name_their_columns():
    credit = attrib.credit(attrib.Journeys.from_events(TOUCHES, ORDERS.drop("Paid")), attrib.Linear(), intervals=None)
    costs = pl.DataFrame({"channel": ["ad"] * 2, "cost": ["1,234", "2,50"], "date": "03/31/2024"})
    with pytest.raises(attrib.DataError) as caught:
        attrib.spend(credit, costs)
    assert readings(caught.value.hint, costs["cost"], "cost")[0] == [1.234, 2.5]
    with pytest.raises(attrib.DataError) as caught:
        attrib.spend(credit, costs.with_columns(cost=1.0), period=("2024-01-01", "2024-05-01"))
    assert readings(caught.value.hint, costs["date"], "date")[0] == [datetime(2024, 3, 31)] * 2
    tests = pl.DataFrame({"channel": ["ad"], "lift": ["4,5"], "se": [1.0]})
    with pytest.raises(attrib.DataError, match=r'pl\.col\("lift"\)'):
        attrib.calibrate(credit, tests, columns={"increment": "lift"})
