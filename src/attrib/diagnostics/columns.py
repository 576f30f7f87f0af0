"""Columns that nobody reads and that look as if somebody should; amounts of several currencies."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping

import polars as pl

from attrib.diagnostics import roles
from attrib.diagnostics.cells import Look, may_hold
from attrib.diagnostics.finding import Finding
from attrib.errors import DataError
from attrib.io.amounts import is_text, number
from attrib.io.sources import InlineOutcome
from attrib.io.text import clean
from attrib.likely import role_in_paths

# One currency may be written in several ways; numbers are those of ISO 4217.
_CURRENCY = {
    "€": "EUR", "EURO": "EUR", "EUROS": "EUR", "978": "EUR", "$": "USD", "US$": "USD", "840": "USD", "£": "GBP",
    "826": "GBP", "756": "CHF", "SFR": "CHF", "392": "JPY", "124": "CAD", "36": "AUD", "036": "AUD", "752": "SEK",
    "578": "NOK", "208": "DKK", "985": "PLN", "203": "CZK", "348": "HUF", "156": "CNY", "356": "INR", "₹": "INR",
    "986": "BRL", "R$": "BRL", "949": "TRY", "643": "RUB", "484": "MXN", "710": "ZAR", "702": "SGD", "344": "HKD",
}  # fmt: skip
NO_NAME = ("", "NULL", "NONE", "NAN", "N/A", "NA", "-", "0")


MOST_CURRENCIES = 300  # more names than that are no currencies

# What it means that a column of a role is not read, and what to do; by table.
REFUNDED = ("orders that were cancelled or refunded count like others",
            "leave such rows out, or give refunds as rows of negative value")  # fmt: skip
ZONED = ("times are compared as they stand, whatever their zones", "give times with their zone, or all in one zone")
OF_VALUES = {roles.REFUND: ("what was refunded is not taken off the values", "give values after refunds")}
OF_COSTS = {
    roles.REFUND: ("what was refunded or credited is not taken off the costs", "subtract it from cost first"),
    roles.ZONE: ZONED,
}
OF_LIFT_TESTS = {
    roles.CURRENCY: (
        "increments are conversions, not money",
        "if they are amounts, divide them by the value of a conversion",
    ),
    roles.PART: (
        "a test of one part counts as one of all that the credit is of",
        "leave out tests of other parts and scale the rest, or credit by that column and give it its name",
    ),
}  # fmt: skip
OF_PATHS = {
    roles.REFUND: ("what was cancelled or refunded counts like the rest", "take it off the conversions and the value")
}


def _names_events(column: str) -> bool:
    """Whether a column that tells rows apart does so for events, of which a refund is another than its order."""
    word = roles.word_of(column)
    return word.startswith("event") or word.endswith("uuid")


def currency_column(schema: Mapping[str, pl.DataType]) -> str | None:
    """The column that says what money is counted in, the plainest name first; texts, or the numbers of currencies.

    Examples
    --------
    >>> currency_column({"value": pl.Float64(), "Currency Code": pl.String()})
    'Currency Code'
    """
    found = roles.columns_of(roles.CURRENCY, schema)
    return next((c for c in found if is_text(schema[c]) or schema[c].is_integer() or schema[c].is_float()), None)


def currency_beside(schema: Mapping[str, pl.DataType], by: tuple[str, ...]) -> tuple[str, ...]:
    """The column of currencies, to be read beside values unless it keeps them apart already; or nothing."""
    column = currency_column(schema)
    return () if column is None or column in by else (column,)


def columns_beside(schema: Mapping[str, pl.DataType], inline: InlineOutcome, by: tuple[str, ...]) -> tuple[str, ...]:
    """Columns that flagged rows of touchpoints keep as outcomes: those of the games, and the currency of a value."""
    return (*by, *(currency_beside(schema, by) if inline.value else ()))


def currencies_in(column: pl.Series) -> set[str]:
    """Distinct currencies of a column: trimmed, in capitals, one name for each; null and blank name none.

    Examples
    --------
    >>> sorted(currencies_in(pl.Series(["EUR", "eur ", "€", "978", None, "USD"])))
    ['EUR', 'USD']
    """
    names = {re.sub(r"\.0+$", "", str(name).strip().upper()) for name in column.unique().drop_nulls().to_list()}
    return {
        _CURRENCY.get(name, name) for name in names if name not in NO_NAME and not re.search(r"[0-9][.,][0-9]", name)
    }


def check_one_currency(found: Collection[str], table: str, column: str, by: str) -> None:
    """Stop where amounts of several currencies would be added up.

    Parameters
    ----------
    found : collection of str
        Currencies of the rows that would be summed.
    table, column : str
        Where they stand.
    by : str
        How to keep them apart instead.

    Raises
    ------
    DataError
        ``several_currencies``.
    """
    if 1 < len(found) <= MOST_CURRENCIES:
        names = sorted(found)
        listed = ", ".join(clean(name, 20) for name in names[:8]) + (" …" if len(names) > 8 else "")
        raise DataError(
            "several_currencies",
            f"{table}: column {clean(column, 40)!r} names {len(names):,} currencies ({listed}), and one sum of them "
            "means nothing",
            hint=f"convert the amounts to one currency first (and drop the column), or keep the currencies apart: {by}",
            currencies=names,
            column=column,
        )


def check_sums(rows: pl.DataFrame, table: str, amount: str, apart: str, column: str | None = None) -> None:
    """Stop where a column of amounts would be summed over several currencies, told by a column beside it.

    The one check for all tables that are in memory; those read in batches gather :func:`currencies_in` and end with
    :func:`check_one_currency`. Select :func:`currency_beside` with the amounts, so that the column is there.

    Parameters
    ----------
    rows : DataFrame
        The rows that would be summed.
    table, amount : str
        What the table is called, and its column of amounts: rows of 0, or of none, need no currency.
    apart : str
        How to keep currencies apart instead.
    column : str, optional
        The column of currencies; found by its name where it is not given.

    Raises
    ------
    DataError
        ``several_currencies``.

    Examples
    --------
    >>> orders = pl.DataFrame({"value": [1.0, 2.0], "shop_currency": ["EUR", "USD"]})
    >>> check_sums(orders, "outcomes", "value", "a call for each")
    Traceback (most recent call last):
    ...
    attrib.errors.DataError: outcomes: column 'shop_currency' names 2 currencies (EUR, USD), and one sum of them means \
nothing; convert the amounts to one currency first (and drop the column), or keep the currencies apart: a call for each
    """
    column = column or currency_column({name: dtype for name, dtype in rows.schema.items() if name != amount})
    if column is not None:
        some = rows.filter(number(amount, rows.schema[amount]).fill_null(0.0) != 0)
        check_one_currency(currencies_in(some[column]), table, column, apart)


def unread(
    table: str,
    schema: Mapping[str, pl.DataType],
    read: Collection[str],
    asked: Mapping[str, tuple[str, str]],
    look: Look | None = None,
) -> Iterator[Finding]:
    """Find columns of a table that are not read and may hold what the caller is asked about.

    Parameters
    ----------
    table : str
        What it is called.
    schema : mapping of str to polars type
        All its columns.
    read : collection of str
        Those that are read, or say nothing new.
    asked : mapping of str to (str, str)
        By role: what it means that nobody reads such a column, and what to do, where ``{name}`` stands for the first.
    look : callable, optional
        For the first cells of a column, which may say that it is not what its name says.
    """
    rest = {name: dtype for name, dtype in schema.items() if name not in read and not name.startswith("__")}
    for role, (so, hint) in asked.items():
        found = [
            c for c in roles.columns_of(role, rest)
            if _can_be(role, rest[c]) and (look is None or may_hold(role, look(c)))
        ]  # fmt: skip
        if found:
            yield _unread(
                table, found, so, hint.replace("{name}", json.dumps(clean(found[0], 100), ensure_ascii=False))
            )


def _can_be(role: str, dtype: pl.DataType) -> bool:
    if role == roles.VALUE:
        return dtype.is_numeric() or dtype == pl.String
    return role != roles.SEQUENCE or dtype.is_integer() or dtype == pl.String


def unread_outcome_columns(
    schema: Mapping[str, pl.DataType],
    read: Collection[str],
    *,
    inline: bool,
    naive: bool,
    refunds: bool,
    look: Look | None = None,
) -> Iterator[Finding]:
    """Find columns of outcomes that are not read and look like a value, an id, a refund or a zone.

    Parameters
    ----------
    schema : mapping of str to polars type
        All columns of the table.
    read : collection of str
        Those that are read, under our names.
    inline : bool
        Outcomes are flagged rows of touchpoints.
    naive : bool
        Times carry no zone.
    refunds : bool
        Some values are negative, and taken off the orders that they belong to.
    look : callable, optional
        As of `unread`.
    """
    asked: dict[str, tuple[str, str]] = {}
    if "value" not in read:
        how = (
            "InlineOutcome(value={name}) (in a job: [input.outcome] value = {name})" if inline
            else 'columns={"value": {name}} (in a job: [input.columns] value = {name})'
        )  # fmt: skip
        asked[roles.VALUE] = ("each outcome counts 1.0, and not a value", f"if one of them is the value: {how}")
    orders = [c for c in roles.columns_of(roles.ORDER, schema) if c not in read and not _names_events(c)]
    if refunds and orders and "order_id" not in read:
        how = 'columns={"order_id": {name}} (in a job: [input.columns] order_id = {name})'
        so = "a refund is taken off the latest earlier order, be it its own or not"
        asked[roles.ORDER] = (so, f"if one is the order's id: {how}")
        schema = {name: dtype for name, dtype in schema.items() if not _names_events(name)}
    elif "event_id" not in read and "order_id" not in read and not inline:
        how = 'columns={"event_id": {name}} (in a job: [input.columns] event_id = {name})'
        asked[roles.ORDER] = ("an order that stands in two rows counts twice", f"if one is the order's id: {how}")
    if not inline:
        asked[roles.REFUND] = REFUNDED
    if naive:
        asked[roles.ZONE] = ZONED
    yield from unread("touchpoints" if inline else "outcomes", schema, read, asked, look)


def unread_touch_columns(
    schema: Mapping[str, pl.DataType], read: Collection[str], *, naive: bool, look: Look | None = None
) -> Iterator[Finding]:
    """Find columns of touchpoints that are not read and look like an order of events, their id, or a zone."""
    asked: dict[str, tuple[str, str]] = {}
    if "sequence" not in read:
        how = 'columns={"sequence": {name}} (in a job: [input.columns.touchpoints] sequence = {name})'
        asked[roles.SEQUENCE] = ("touches of one instant stand in the order of their names",
                                 f"if one of them is the order of events: {how}")  # fmt: skip
    if "event_id" not in read:
        how = 'columns={"touchpoints": {"event_id": {name}}} (in a job: [input.columns.touchpoints] event_id = {name})'
        asked[roles.EVENT] = ("touches equal in all that is read are taken for one",
                              f"if one of them tells events apart: {how}")  # fmt: skip
    if naive:
        asked[roles.ZONE] = ZONED
    yield from unread("touchpoints", schema, read, asked, look)


def unread_path_columns(
    schema: Mapping[str, pl.DataType],
    given: Mapping[str, str | None],
    wanted: Mapping[str, str],
    look: Look | None = None,
) -> Iterator[Finding]:
    """Find columns of a path table that may be the value, or the nulls, that are taken as absent; or refunds.

    Parameters
    ----------
    schema : mapping of str to polars type
        All its columns.
    given : mapping of str to str or None
        Names that the caller gives, None for what there is not.
    wanted : mapping of str to str
        Ours to theirs for the columns that are read.
    look : callable, optional
        As of `unread`.
    """
    rest = {name: dtype for name, dtype in schema.items() if name not in wanted.values() and not name.startswith("__")}
    for role, meant in (
        ("value", "the value of the conversions, which count 1.0 each"),
        ("nulls", "journeys that did not convert, and without them no journey fails"),
    ):
        if role in wanted or given[role] is None:
            continue
        found = [
            name for name in rest
            if _in_paths(role, name) and (rest[name].is_numeric() or rest[name] == pl.String)
            and (look is None or may_hold(roles.VALUE, look(name)))
        ]  # fmt: skip
        if found:
            names, first = " and ".join(repr(clean(name, 60)) for name in found[:3]), clean(found[0], 100)
            yield Finding(
                "unread_columns", "paths",
                f"paths: {names} {'is' if len(found) == 1 else 'are'} not read and may be {meant}",
                f"pass {role}={first!r} (in a job: [input] {role} = {json.dumps(first, ensure_ascii=False)}), or "
                f"{role}=None if there is none",
                len(found), None, tuple(clean(name, 40) for name in found[:4]),
            )  # fmt: skip
    yield from unread("paths", rest, (), OF_PATHS, look)


def _in_paths(role: str, name: str) -> bool:
    known = role_in_paths(name)
    return known == role or (role == "value" and known is None and roles.VALUE in roles.roles_of(name))


def _unread(table: str, columns: list[str], so: str, hint: str) -> Finding:
    names = ", ".join(repr(clean(column, 40)) for column in columns[:4])
    more = f" and {len(columns) - 4:,} more" if len(columns) > 4 else ""
    what = "columns" if len(columns) > 1 else "column"
    verb = "are" if len(columns) > 1 else "is"
    return Finding("unread_columns", table, f"{table}: {what} {names}{more} {verb} not read: {so}", hint,
                   len(columns), None, tuple(clean(column, 40) for column in columns[:4]))  # fmt: skip
