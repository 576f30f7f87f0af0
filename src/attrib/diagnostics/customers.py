"""Findings on customers: those that are nobody, those that are too much, and orders that are there twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

import polars as pl

from attrib.diagnostics.finding import Finding
from attrib.diagnostics.names import MOST_SHOWN, rows_named, shown, some
from attrib.diagnostics.seen import Seen

# Names that stand for nobody, in small letters.
NOBODY = (
    "null", "(null)", "none", "(none)", "nil", "nan", "<na>", "n/a", "#n/a", "na", "nat", "undefined", "undef",
    "unknown",
    "unidentified", "anonymous", "anon", "anonym", "not set", "(not set)", "not_set", "(not provided)", "not provided",
    "not available", "missing", "empty", "blank", "void", "default", "dummy", "guest", "visitor", "user", "test",
    "testuser", "test_user", "nobody", "no_id", "no_user", "noid", "deleted", "redacted", "customer", "customer_id",
    "customerid", "user_id", "userid", "id", "[object object]", "-", "--", "---", "_", ".", "?", "*", "\\n", "''", '""',
    "\u00a0", "\u200b", "\u2013", "\u2014", "..", "...", "xxx", "tbd", "n.a.", "false", "(other)", "no user", "no id",
    "not logged in", "not_logged_in", "notloggedin", "logged out", "logged_out", "anonymous_user", "anonymous user",
    "anonymous-user", "anonymoususer", "anon_user", "anon-user", "guest_user", "guest user", "unknown_user",
    "unknown user", "undefined undefined", "null null", "test@test.com", "test@example.com", "guest@example.com",
    "d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd80709",  # hashes of an empty text
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff", "unbekannt", "gast", "inconnu", "desconocido", "sconosciuto",
)  # fmt: skip
# Variables that a template did not fill in.
_VARIABLES = (
    *("user_id", "userid", "userId", "user.id", "USER_ID", "uid", "customer_id", "customerId", "client_id", "clientId"),
    *("visitor_id", "id", "email"),
)
TEMPLATES = tuple(
    frame.replace("x", name)
    for frame in ("{{x}}", "{{ x }}", "${x}", "%%x%%", "[x]", "{x}", "<x>", "#{x}", "%{x}", "__x__", "{{{x}}}")
    for name in _VARIABLES
)
# Numbers that often stand for nobody, and may as well be somebody.
NUMBERS = ("0", "00000000", "0.0", "-1", "-1.0", "-9", "-99", "-999", *("9" * n for n in range(4, 13)))
FEW_ROWS = 100  # of a number, before it is thought to stand for nobody
TIMES_OTHERS = 20  # as many rows as others have on average
SHARE_OF_ONE, TOUCHES_OF_ONE, OUTCOMES_OF_ONE = 0.1, 1_000, 100
EQUAL_DATED = 0.01  # share of outcomes: with dates only, some orders of a day are alike by chance


@cache
def spellings() -> tuple[str, ...]:
    """Every spelling of a placeholder that is looked for: words first, then numbers."""
    odd = ("NaN", "<NA>", "NaT", "[object Object]")
    words = (
        f(name) for name in NOBODY for f in (str, str.upper, str.capitalize, str.title, " {}".format, "{} ".format)
    )
    return tuple(dict.fromkeys((*words, *odd, *TEMPLATES, *NUMBERS)))


def is_placeholder(name: str) -> bool:
    """Whether a name stands for nobody; numbers that may be somebody do not count.

    Examples
    --------
    >>> [is_placeholder(name) for name in ("Unknown ", "{{user_id}}", "0", "anna")]
    [True, True, False, False]
    """
    return name.strip().casefold() in NOBODY or name.strip() in TEMPLATES


def placeholders(seen: Seen) -> Finding | None:
    """Find customers whose name stands for nobody: words with 2 rows and more, numbers with many."""
    names = spellings()
    rows_of_all = seen.touches + seen.outcomes
    rows = {names[number]: sum(counts) for number, counts in seen.placeholders.items()}
    average = (rows_of_all - sum(rows.values())) / max(1, seen.customers - len(rows))
    found = {
        name: n
        for name, n in rows.items()
        if (n >= FEW_ROWS and n > TIMES_OTHERS * average if name in NUMBERS else n > 1)
    }
    if not found:
        return None
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    listed = [f"{shown(name)} ({rows_named(n)})" for name, n in ordered]
    total = sum(found.values())
    return Finding(
        "placeholder_customers", "events",
        f"{total:,} of {rows_of_all:,} touches and outcomes ({total / rows_of_all:.1%}) are of customers whose id is a "
        f"placeholder: {some(listed)}",
        "each of these is taken for one customer: leave such rows out, or give their true ids",
        total, rows_of_all, tuple(listed[:MOST_SHOWN]),
    )  # fmt: skip


def one_customer(seen: Seen, names: Mapping[int, str]) -> Iterator[Finding]:
    """Find a customer who makes a large part of all touches, or of all outcomes.

    Parameters
    ----------
    seen : Seen
        Facts of all customers.
    names : mapping of int to str
        Ids of customers with many rows, by their word.
    """
    of_nobody = seen.placeholders.values()
    for table, (most, word), total, least, hint in (
        ("touchpoints", seen.most_touches, seen.touches, TOUCHES_OF_ONE,
         "leave out crawlers and tests, or cap a journey: max_touches"),
        ("outcomes", seen.most_outcomes, seen.outcomes, OUTCOMES_OF_ONE, "leave out tests and resellers"),
    ):  # fmt: skip
        counts = [pair[table == "outcomes"] for pair in of_nobody]
        if most > least and most > SHARE_OF_ONE * total and most not in counts:
            name = names.get(word)
            who = "one customer" if name is None else f"customer {shown(name)}"
            yield Finding(
                "one_customer", table, f"{who} makes {most:,} of {total:,} {table} ({most / total:.1%})", hint,
                most, total, () if name is None else (shown(name),),
            )  # fmt: skip


def equal_outcomes(seen: Seen, *, has_ids: bool) -> Finding | None:
    """Find outcome rows that are equal to another: any with a time of day, 1 % and more with a date only."""
    dated = seen.equal_dated if seen.equal_dated >= EQUAL_DATED * seen.outcomes else 0
    count = seen.equal_timed + dated
    if not count:
        return None
    without = " and no event_id" if has_ids else ""
    return Finding(
        "equal_outcomes", "outcomes",
        f"{count:,} of {seen.outcomes:,} outcomes have the same customer, time, outcome and value as another{without}; "
        "all of them count",
        "loaded twice, or joined to several rows? Keep each once, or give an event_id",
        count, seen.outcomes,
    )  # fmt: skip


def shared_ids(seen: Seen) -> Finding | None:
    """Find event ids that stand with several customers."""
    shared, ids = seen.ids.shared()
    if not shared:
        return None
    about = "" if not seen.ids.level else f"about (1 in {1 << seen.ids.level} was looked at) "
    return Finding(
        "shared_event_id", "outcomes",
        f"{about}{shared:,} of {ids:,} event_ids of outcomes stand with several customers, and count once for each",
        "if an order has one id, find out whose it is; if ids are numbered within a customer, all is well",
        shared, ids,
    )  # fmt: skip


def equal_rows(frame: pl.DataFrame, table: str, *, whole: bool = False) -> Finding | None:
    """Find rows of a table beside the events that are equal to another in every column.

    ``whole``: only where each row is there as often as any other, and more than once: a table loaded twice.
    """
    if not frame.width or any(dtype.is_nested() or dtype == pl.Object for dtype in frame.schema.values()):
        return None
    times = frame.group_by(pl.all()).len("__times")["__times"]
    count = frame.height - len(times)
    if not count or (whole and times.n_unique() > 1):
        return None
    return Finding(
        "equal_rows", table,
        f"{count:,} of {frame.height:,} rows of {table} are equal to another in every column, and all of them count",
        "loaded twice, or joined to several rows? Keep each once, or tell them apart by a column",
        count, frame.height,
    )  # fmt: skip


def shared_orders(seen: Seen) -> Finding | None:
    """Find order ids that stand with several customers."""
    shared, ids = seen.orders.shared()
    if not shared:
        return None
    about = "" if not seen.orders.level else f"about (1 in {1 << seen.orders.level} was looked at) "
    return Finding(
        "shared_order_id", "outcomes",
        f"{about}{shared:,} of {ids:,} order_ids of outcomes stand with several customers: each counts once for each "
        "of them, and a refund lowers the order of its own customer only",
        "if an order has one id, find out whose it is, or join the customers' ids: identities=; if ids are numbered "
        "within a customer, all is well",
        shared, ids,
    )  # fmt: skip


def repeated_orders(seen: Seen) -> Finding | None:
    """Find outcomes whose order stands in several rows."""
    if not seen.again:
        return None
    count = f"{seen.again:,} of {seen.named:,} outcomes with an order_id"
    verb = "has" if seen.again == 1 else "have"
    return Finding(
        "repeated_order_id", "outcomes",
        f"{count} {verb} that of another row of the same customer and outcome: each row counts as an outcome",
        "states of an order, or its lines? Keep one row of each, with its last state or the sum of its lines",
        seen.again, seen.named,
    )  # fmt: skip
