"""Times that calendars, zones, clocks and integers make awkward."""

from __future__ import annotations

import datetime as dt

import polars as pl

from awkward.cases import TIES, case, enter, outcomes, plain, touches

PARIS = "Europe/Paris"
NAIVE = dt.datetime
OLD = ("touchpoints lie before 1990", "outcomes lie before 1990")
FUTURE = ("touchpoints lie in the future", "outcomes lie in the future")
UTC = dt.UTC


def shifted(start: dt.datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Move the plain events to another start, with steps of an hour."""
    touched, reached = plain()
    moved = pl.lit(start) + (pl.col("timestamp") - NAIVE(2025, 3, 1))
    return touched.with_columns(timestamp=moved), reached.with_columns(timestamp=moved)


STARTS = {
    "the_epoch": NAIVE(1970, 1, 1),
    "around_the_epoch": NAIVE(1969, 12, 31, 22),
    "before_the_epoch": NAIVE(1951, 2, 3, 4, 5, 6, 7),
    "year_1": NAIVE(1, 1, 1),
    "year_2100": NAIVE(2100, 2, 28, 22),  # no leap year
    "year_9999": NAIVE(9999, 12, 31, 14),
    "leap_day": NAIVE(2024, 2, 28, 22),
    "second_2_to_the_31": NAIVE(2038, 1, 19, 2),
}
for label, begin in STARTS.items():
    late = FUTURE if begin.year > 2030 else OLD if begin.year < 1990 else ()
    enter(f"times_{label}", lambda begin=begin: shifted(begin), warns=late)


def in_zone(table: pl.DataFrame, zone: str) -> pl.DataFrame:
    return table.with_columns(pl.col("timestamp").dt.replace_time_zone("UTC").dt.convert_time_zone(zone))


@case(recipe={"lookback": "2h"})
def a_night_in_spring():
    """From 01:30 to 03:30 it is one hour: within two hours before the outcome lies what clocks put three before."""
    touched, reached = shifted(NAIVE(2025, 3, 29, 23, 30))  # UTC; the hour after 01:00 is skipped in Paris
    return in_zone(touched, PARIS), in_zone(reached, PARIS)


@case(recipe={"lookback": "2h"})
def a_night_in_autumn():
    """02:30 comes twice, and the instants are told apart."""
    touched, reached = shifted(NAIVE(2025, 10, 25, 23, 30))
    return in_zone(touched, PARIS), in_zone(reached, PARIS)


@case(recipe={"lookback": "2h"})
def two_zones():
    touched, reached = shifted(NAIVE(2025, 10, 25, 23, 30))
    return in_zone(touched, "America/St_Johns"), in_zone(reached, "Pacific/Apia")


@case(fails="mixed_zones")
def zones_in_one_table_only():
    touched, reached = plain()
    return in_zone(touched, PARIS), reached


@case(fails="mixed_zones")
def zones_in_some_texts_only():
    touched, reached = plain()
    text = pl.col("timestamp").dt.strftime("%Y-%m-%dT%H:%M:%S")
    zoned = pl.when(pl.int_range(pl.len()) == 3).then(text + "Z").otherwise(text)
    return touched.with_columns(timestamp=zoned), reached.with_columns(timestamp=text)


@case()
def texts_of_several_offsets():
    """One instant in four spellings; 02:30 in autumn as both of its instants."""
    spelled = ["2025-10-26T02:30:00+02:00", "2025-10-26 00:30:00Z", "2025-10-26T06:00:00.000+0530", "2025-10-26T00:30Z"]
    rows = [("c", text, name) for text, name in zip(spelled, "dcba", strict=True)]
    rows += [("d", "2025-10-26T02:30:00+01:00", "late"), ("d", "2025-10-26T02:30:00+02:00", "early")]
    return touches(rows), outcomes([("c", "2025-10-26T00:30:00Z", 1.0), ("d", "2025-10-26T02:00:00Z", 1.0)])


@case(warns=(*OLD[1:], "1 of 2 outcomes are written as dates"))
def texts_of_several_forms():
    spelled = ["2025-03-01", "2025-03-01 10:00", "2025-03-01T11:00:00", " 2025-03-01t12:00:00.5 ", "2025-3-1 13:00:00"]
    rows = [("c", text, name) for text, name in zip(spelled, "edcba", strict=True)]
    return touches(rows), outcomes([("c", "2025-03-01 13:00:00.000001", 1.0), ("d", "0001-01-01", 1.0)])


@case(recipe={"max_rejects": 1.0}, rejects=("timestamp_unparseable",) * 7 + ("timestamp_missing",))
def texts_that_are_no_times():
    wrong = [
        "2016-12-31T23:59:61", "2016-12-31T24:00:00", "2025-02-29", "10000-01-01", "01/02/2025", "1740787200", "now",
    ]  # fmt: skip
    rows = [("c", text, "ad") for text in (*wrong, " ", "2025-03-01 00:00:00")]
    return touches(rows), outcomes([("c", "2025-03-01 01:00:00", 1.0)])


@case(warns=TIES)
def leap_seconds_as_written():
    """23:59:60 is the instant at which the next day begins, as in POSIX time: see test_special."""
    rows = [("c", "2016-12-31T23:59:60Z", "b"), ("c", "2017-01-01T00:00:00Z", "a"), ("c", "2016-12-31T23:59:59Z", "z")]
    return touches(rows), outcomes([("c", "2017-01-01T00:00:00Z", 1.0)])


for first, second in (("ms", "ns"), ("ns", "ms"), ("us", "ns"), ("date", "ns"), ("ms", "date"), ("date", "date")):

    def mixed(units: tuple[str, str] = (first, second)) -> tuple[pl.DataFrame, pl.DataFrame]:
        dates = pl.col("timestamp").dt.date()
        tables = [
            t.with_columns(dates if u == "date" else pl.col("timestamp").dt.cast_time_unit(u))
            for t, u in zip(plain(), units, strict=True)
        ]
        return tables[0], tables[1]

    warned = ("dates without", *TIES) if first == "date" else ("carry a date",) if second == "date" else ()
    # dates keep equal rows apart, texts of a CSV file do so by their length; nanoseconds are not kept in texts
    enter(f"units_{first}_and_{second}", mixed, warns=warned, forms=("arrow", "parquet"))


@case(forms=("arrow", "parquet"), warns=OLD)
def one_nanosecond_apart():
    instants = pl.Series([5, 4, 3, 2]).cast(pl.Datetime("ns"))
    touched = touches([("c", 0, name) for name in "abcd"]).with_columns(timestamp=instants)
    return touched, outcomes([("c", 0, 1.0)]).with_columns(timestamp=pl.Series([4]).cast(pl.Datetime("ns")))


@case(forms=("arrow", "parquet"), recipe={"lookback": "30d", "max_gap": "52w"}, warns=(OLD[0], FUTURE[1]))
def further_apart_than_int64_can_say():
    """In nanoseconds 550 years are more than 2^63: a difference of these times would be negative."""
    instants = pl.Series([NAIVE(1700, 1, 1), NAIVE(2025, 1, 1)]).dt.cast_time_unit("ns")
    touched = touches([("c", 0, "a"), ("d", 0, "b")]).with_columns(timestamp=instants)
    late = pl.Series([NAIVE(2250, 1, 1), NAIVE(2025, 1, 2)]).dt.cast_time_unit("ns")
    return touched, outcomes([("c", 0, 1.0), ("d", 0, 1.0)]).with_columns(timestamp=late)


@case(forms=("arrow", "parquet"), recipe={"lookback": None, "max_gap": "52w"}, warns=(OLD[0], *FUTURE))
def pauses_longer_than_int64_can_say():
    instants = pl.Series([NAIVE(1700, 1, 1), NAIVE(2250, 1, 1)]).dt.cast_time_unit("ns")
    touched = touches([("c", 0, "a"), ("c", 0, "b")]).with_columns(timestamp=instants)
    return touched, outcomes([("c", 0, 1.0)]).with_columns(timestamp=instants[1:])


@case(forms=("arrow", "parquet"), recipe={"lookback": None}, warns=(OLD[0], *FUTURE))
def ages_longer_than_int64_can_say():
    """TimeDecay gives next to nothing to what is 550 years old."""
    instants = pl.Series([NAIVE(1700, 1, 1), NAIVE(2250, 1, 1)]).dt.cast_time_unit("ns")
    touched = touches([("c", 0, "a"), ("c", 0, "b")]).with_columns(timestamp=instants)
    return touched, outcomes([("c", 0, 1.0)]).with_columns(timestamp=instants[1:])


@case(fails="time_out_of_range")
def a_year_that_nanoseconds_cannot_say():
    touched, reached = shifted(NAIVE(9999, 12, 31, 12))
    nanoseconds = pl.Series([NAIVE(2025, 1, 1)] * reached.height).dt.cast_time_unit("ns")
    return touched, reached.with_columns(timestamp=nanoseconds)


@case(fails="wrong_type")
def times_as_numbers():
    touched, reached = plain()
    return touched.with_columns(pl.col("timestamp").dt.epoch("s")), reached


@case(fails="wrong_type")
def times_of_day():
    touched, reached = plain()
    return touched.with_columns(pl.col("timestamp").dt.time()), reached
