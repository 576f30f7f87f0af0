"""Names that mean something to somebody: as channels, customers, outcomes, values of by-columns, and column names."""

from __future__ import annotations

import polars as pl

from awkward.cases import case, enter, outcomes, plain, touches

OURS = [
    "null", "None", "NaN", "nan", "NULL", "start", "(start)", "conversion", "(conversion)", "(null)", "unattributed",
    "baseline", "player", "(none)", "(other)", "", " ", "0", "-1", "True",
]  # fmt: skip
COLUMNS = ["channel", "customer_id", "timestamp", "kind", "method", "conversions", "value", "share", "__index", "path"]
UNICODE = [
    "ünïcödé", "é", "e\u0301",  # the last two look alike: composed, and not
    "\u05e9\u05dc\u05d5\u05dd", "\u202etxt.exe", "\u2066x\u2069",  # right to left
    "zero\u200bwidth", "zerowidth", "\u200b", "\ufeffbom", "\u00a0", "\u3000", "soft\u00adhyphen",
    "🙂", "👩‍👩‍👧", "🏳️‍🌈" * 20, "\U0010ffff", "ﬁ", "İ", "ß", "ẞ", "Ω", "Ω",
]  # fmt: skip
HOSTILE = [
    "=cmd|' /C calc'!A0", "@sum(1)", "+1", "-1", "\x1b[31mred\x1b[0m", "\x1b]8;;http://x\x07", "\x7f", "\x85",
    "line\nbreak", "line\r\nbreak", "\ttab\t", "nul\x00byte", "\x00", "'; DROP TABLE x; --", "<script>", "{x}", "%s",
    "../../etc", "a > b", " > ", ">", '"', "'", '""', "a,b", "a;b", "\\", "\\n", "${HOME}", "[red]bold[/red]",
]  # fmt: skip
SIZES = [
    *("x" * n for n in (1, 3, 4, 7, 8, 11, 12, 13, 15, 16, 17, 31, 32, 33, 64, 255, 4096)),
    "x" * 11 + "y", "x" * 12 + "y", "x" * 15 + "y", "x" * 16 + "y", "y" + "x" * 16, "x" * 4095 + "y", "z" * 200_000,
]  # fmt: skip
FAMILIES = {"ours": OURS, "columns": COLUMNS, "unicode": UNICODE, "hostile": HOSTILE, "sizes": SIZES}


def real(names: list[str]) -> list[str]:
    """Names that are no blanks of ASCII, and "-1" and "+1" and their like, which are."""
    return [name for name in names if name.strip(" \t\n\v\f\r")]


def as_channels(names: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Each customer meets a name and the next one; every second converts."""
    rows = [(i, hour, names[(i + hour) % len(names)]) for i in range(len(names)) for hour in (0, 1)]
    return touches(rows), outcomes([(i, 2, 1.0 + i) for i in range(0, len(names), 2)])


def as_customers(names: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Every customer by a name; every second converts."""
    rows = [(name, i % 3, "ad" if i % 3 else "mail") for i, name in enumerate(names)]
    return touches(rows), outcomes([(name, 5, 2.0) for name in names[::2]])


def as_games(names: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A game a name; outcomes do not carry it."""
    rows = [(i, 0, "ad" if i % 2 else "mail") for i in range(len(names))]
    return touches(rows, segment=names), outcomes([(i, 5, 2.0) for i in range(len(names))])


for family, members in FAMILIES.items():
    known = real(members)
    # names of 200 kB, once for each pair of coalitions and states, are too much for the twin, which is slow enough
    more = {"twin": family != "sizes", "forms": ("parquet", "csv")}
    enter(f"channels_{family}", lambda known=known: as_channels(known), **more)
    enter(f"customers_{family}", lambda known=known: as_customers(known), **more)
    enter(f"games_{family}", lambda known=known: as_games(known), recipe={"by": "segment"}, **more)


@case(forms=("arrow", "parquet"), recipe={"max_rejects": 1.0}, rejects=("channel_empty",) * 4)
def blank_channels():
    touched, reached = plain(["a", "b", "c"])
    blanks = touches([("a", 1, ""), ("b", 1, " "), ("c", 1, "\t\r\n"), ("d", 1, "\v\f")])
    return touched.vstack(blanks), reached


@case(forms=("arrow", "parquet"), recipe={"max_rejects": 1.0}, rejects=("customer_empty", "customer_empty"))
def blank_customers():
    touched, reached = plain(["a", "b", "c"])
    return touched.vstack(touches([("", 1, "ad")])), reached.vstack(outcomes([(" ", 1, 1.0)]))


@case(recipe={"target": " \u202epurchase\x1b[0m\n=1+1 "})
def a_hostile_target():
    touched, reached = plain()
    name = " \u202epurchase\x1b[0m\n=1+1 "
    others = outcomes([(1, 1, 99.0)], outcome=["purchase"]).select(reached.columns)
    return touched, reached.with_columns(outcome=pl.lit(name)).vstack(others)


@case(recipe={"columns": {"channel": "=HYPERLINK()", "customer_id": "\u202eid\n", "timestamp": " ", "value": "€ > $"}})
def hostile_column_names():
    theirs = {"channel": "=HYPERLINK()", "customer_id": "\u202eid\n", "timestamp": " ", "value": "€ > $"}
    return tuple(t.rename({k: v for k, v in theirs.items() if k in t.columns}) for t in plain())


@case(recipe={"by": "=by\x1b[0m", "player": ("channel", "\u202ewho > (none)")})
def hostile_names_of_keys():
    touched, reached = plain()
    who = pl.Series("\u202ewho > (none)", [None, "(none)", "null", "", " ", None])
    return touched.with_columns(who, pl.Series("=by\x1b[0m", ["x", None, "x", "", "x", "x"])), reached


@case(recipe={"by": "path", "player": ("channel", "end")})
def keys_named_like_columns_of_listings():
    touched, reached = plain()
    return touched.with_columns(path=pl.lit("x"), end=pl.lit("y")), reached


@case(recipe={"by": "__row"}, fails="bad_value")
def a_key_named_like_a_column_in_the_making():
    touched, reached = plain()
    return touched.with_columns(__row=pl.lit("x")), reached


@case(forms=("arrow", "parquet"))
def columns_named_like_those_in_the_making():
    """Nobody asked for them, so nobody looks at them."""
    names = ("__more", "__flag", "__row", "__id0", "__raw_timestamp", "__rule")
    return tuple(t.with_columns(pl.lit("x").alias(name) for name in names) for t in plain())
