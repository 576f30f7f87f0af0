"""Times that are hardly meant, and touches that only their names put into order: counted, with an example."""

from __future__ import annotations

import warnings
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

import attrib
from attrib.io.times import Spread
from attrib.lifecycle import purchase_summary
from parity.test_parts import Parted

START = datetime(2024, 3, 1, 10, 30)  # noqa: DTZ001 - times without a zone


def said(ask: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", attrib.AttribWarning)
        ask()
    return [str(warning.message) for warning in seen]


def touches(rows: list[tuple[Any, ...]], **more: Any) -> pl.DataFrame:
    names = ["customer_id", "timestamp", "channel", *more]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(**more)


def orders(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    table = pl.DataFrame(rows, schema=["customer_id", "timestamp"], orient="row")
    return table.with_columns(outcome=pl.lit("purchase"))


USUAL = [(i, START + timedelta(hours=i), "ad") for i in range(300)]
BOUGHT = orders([(i, START + timedelta(hours=i + 1, minutes=7)) for i in range(300)])


@pytest.mark.parametrize(
    ("odd", "text"),
    [
        (["1970-01-01"] * 2, "2 of 302 touchpoints lie before 1990, the earliest at 1970-01-01:"),
        (
            ["2052-05-01T08"],
            "1 touchpoints lie in the future, 1 of them by more than a year, the latest at 2052-05-01 08:00",
        ),
        (["2002-01-01T09"], "1 of 301 touchpoints lie years before all others, the earliest at 2002-01-01 09:00"),
    ],
)
def test_years_that_are_hardly_meant(odd, text):
    table = touches([*USUAL, *((9, datetime.fromisoformat(one), "ad") for one in odd)])
    asked: list[Any] = [lambda: attrib.Journeys.from_events(table, BOUGHT).warnings]
    asked.append(lambda: attrib.snapshot(table, BOUGHT, at="2024-03-05", target="purchase", purpose="score"))
    asked.append(lambda: attrib.Journeys.from_events(table, BOUGHT, engine=Parted(threads=1)).warnings)
    for ask in asked:
        assert any(found.startswith(text) for found in said(ask)), text
    plain = said(lambda: attrib.Journeys.from_events(touches(USUAL), BOUGHT).warnings)
    assert plain == []


def test_a_handful_is_one_row_in_a_hundred_behind_a_pause_of_years():
    shift = 45
    usual = {50: 990, 51: 3}
    assert Spread(stretches=usual | {40: 6, 60: 3}).handful() == (6, 3)
    assert Spread(stretches=usual | {40: 600}).handful() == (0, 0)
    assert Spread(stretches=usual | {46: 3}).handful() == (0, 0)
    ticks = [s << shift for s in (50, 51, 60)]
    spread = Spread()
    spread.add(pl.DataFrame({"timestamp": pl.Series(ticks).cast(pl.Datetime("us"))}))
    assert spread.stretches == {50: 1, 51: 1, 60: 1}


@pytest.mark.parametrize(
    ("at", "text"),
    [
        ("2033-01-01", "at = 2033-01-01 lies 8.8 years after the last event"),
        ("2020-01-01", "at = 2020-01-01 lies before"),
    ],
)
def test_dates_that_the_data_know_nothing_of(at, text):
    asked = said(lambda: attrib.snapshot(touches(USUAL), BOUGHT, at=at, target="purchase", purpose="score"))
    assert any(found.startswith(text) for found in asked)


def test_a_last_day_years_after_all_purchases():
    bought = BOUGHT.with_columns(value=pl.lit(1.0))
    assert said(lambda: purchase_summary(bought, at=date(2024, 4, 1))) == []
    (text,) = said(lambda: purchase_summary(bought, at=date(2034, 4, 1)))
    assert text.startswith("at = 2034-04-01 lies 10.0 years after the last event")


# ties -------------------------------------------------------------------------------------------------------------
TIED = [(i, START, channel) for i in range(40) for channel in ("z-ad", "a-mail")]
LATER = orders([(i, START + timedelta(days=1)) for i in range(40)])


def ties(table: pl.DataFrame, **recipe: Any) -> tuple[dict[str, int], list[str]]:
    journeys = attrib.Journeys.from_events(table, LATER, **recipe)
    return journeys.facts["ties"], [text for text in journeys.warnings if "share their time" in text]


@pytest.mark.parametrize("engine", [None, attrib.LocalEngine(memory_limit=100_000), Parted(threads=1)])
def test_ties_are_counted_with_the_earliest_as_example(engine):
    facts, (text,) = ties(touches([*TIED, (3, START + timedelta(hours=2), "tv")]), engine=engine)
    assert facts == {"touchpoints": 80, "journeys": 40, "of_journeys": 40}
    assert text.startswith(
        "80 touchpoints share their time with another player's of the same customer, and only the name"
    )
    assert "the order of 40 of 40 journeys, e.g. 'a-mail' before 'z-ad' at 2024-03-01 10:30" in text


def test_what_is_no_tie():
    """Equal channels are one player, a sequence orders, and a tie outside all windows decides nothing."""
    alike = touches([(i, START, "ad") for i in range(40) for _ in range(2)])
    assert ties(alike, duplicates="keep")[0]["journeys"] == 0
    ordered = touches([(*row, place % 2) for place, row in enumerate(TIED)], sequence=pl.col("sequence"))
    assert ties(ordered) == ({"touchpoints": 0, "journeys": 0, "of_journeys": 40}, [])
    same = touches([(*row, 1) for row in TIED], sequence=pl.col("sequence"))
    assert ties(same)[0] == {"touchpoints": 80, "journeys": 40, "of_journeys": 40}
    facts, texts = ties(touches(TIED), lookback="1h")
    assert facts["touchpoints"] == 80
    assert (facts["journeys"], texts) == (0, [])


def test_a_sequence_decides_some():
    """Of three touches at one instant two share their sequence: that is where a name decides."""
    rows = [(i, START, channel, place) for i in range(40) for channel, place in (("z", 0), ("y", 1), ("x", 1))]
    table = touches(rows, sequence=pl.col("sequence"))
    assert ties(table)[0] == {"touchpoints": 80, "journeys": 40, "of_journeys": 40}
    (text,) = [
        one for one in attrib.Journeys.from_events(table, LATER).warnings if "share their time and sequence" in one
    ]
    assert "'x' before 'y'" in text


def test_few_ties_are_facts_but_no_warning():
    far = [(100 + i, START + timedelta(minutes=5 * j), channel) for i in range(30) for j, channel in enumerate("ab")]
    facts, texts = ties(touches([*TIED[:6], *far]))
    assert facts == {"touchpoints": 6, "journeys": 3, "of_journeys": 33}
    assert texts == []


# dates ------------------------------------------------------------------------------------------------------------
def dated(**more: Any) -> pl.DataFrame:
    rows = [(i, date(2024, 3, 1), channel, place) for i in range(2) for place, channel in enumerate("ba")]
    table = pl.DataFrame(rows, schema=["customer_id", "timestamp", "channel", "sequence"], orient="row")
    return table if more.get("sequence") else table.drop("sequence")


def test_touches_dated_to_the_day_are_ordered_by_sequence_where_there_is_one():
    bought = orders([(0, date(2024, 3, 2)), (1, date(2024, 3, 2))])

    def warned(table: pl.DataFrame, **recipe: Any) -> list[str]:
        return list(attrib.Journeys.from_events(table, bought, **recipe).warnings)

    first, second = warned(dated())
    assert first == ("touchpoints carry dates without a time of day: equal rows are kept, and a day is ordered by name")
    assert second.startswith("4 touchpoints share their time")
    assert warned(dated(sequence=True)) == [first.replace("by name", "by sequence, then by name")]
    kept = warned(dated(), duplicates="keep")[0]
    assert kept == "touchpoints carry dates without a time of day: a day is ordered by name"


def test_times_that_could_not_be_read_are_no_dates():
    table = pl.DataFrame({"customer_id": ["1", "1"], "timestamp": ["1704103200"] * 2, "channel": ["a", "b"]})
    bought = pl.DataFrame({"customer_id": ["1"], "timestamp": ["2024-03-20T10:00:00"], "outcome": ["purchase"]})
    warned = attrib.Journeys.from_events(table, bought, max_rejects=1.0).warnings
    assert not any("dates" in text for text in warned)
    mixed = pl.concat([table, table.with_columns(timestamp=pl.lit("2024-03-19 08:00"))])
    warned = attrib.Journeys.from_events(mixed, bought, max_rejects=1.0).warnings
    assert not any("dates" in text for text in warned)
