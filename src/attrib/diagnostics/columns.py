"""Columns that nobody reads and that look as if somebody should."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping

import polars as pl

from attrib.diagnostics.finding import Finding
from attrib.errors import DataError
from attrib.io.sources import InlineOutcome
from attrib.io.text import clean

_VALUES = (
    "value amount price revenue gmv sales total turnover income proceeds aov umsatz betrag preis erloes erlos wert "
    "montant prix chiffreaffaires ca ventes importe precio ingresos valor ventas importo prezzo ricavo fatturato "
    "receita omzet bedrag waarde order_value order_total order_amount order_revenue total_price total_amount "
    "total_revenue total_value grand_total subtotal net_amount net_revenue net_value net_sales gross_amount "
    "gross_revenue gross_value sale_amount sales_amount sales_value purchase_value purchase_amount purchase_revenue "
    "conversion_value transaction_value transaction_amount transaction_revenue event_value basket_value cart_value "
    "revenue_usd revenue_eur revenue_gbp amount_usd amount_eur amount_gbp price_usd price_eur value_usd value_eur "
    "ltv item_revenue "
)
_CURRENCIES = (
    "currency currency_code curr ccy cur currencycode order_currency transaction_currency price_currency waehrung "
    "wahrung devise moneda divisa valuta moeda iso_currency "
)
_ORDERS = (
    "order_id orderid order_no order_number order_nr transaction_id transactionid transaction_number invoice_id "
    "invoice_no invoice_number purchase_id conversion_id booking_id receipt_id bestellnummer bestell_nr bestellnr "
    "auftragsnummer numero_commande id_commande pedido_id id_pedido ordine_id bestelnummer eventid event_uuid uuid "
)
_REFUNDS = (
    "refund refunds refunded is_refund is_refunded refund_amount refunded_amount returned is_returned return_amount "
    "returns cancelled canceled is_cancelled is_canceled cancellation chargeback storno storniert retoure status "
    "order_status orderstatus transaction_status payment_status state_of_order is_test "
)
_ZONES = "time_zone timezone tz tzinfo utc_offset tz_offset timezone_offset zeitzone fuseau_horaire zona_horaria "
_SEQUENCES = (
    "seq sequence_number sequence_no sequence_id seq_no hit_number hitnumber event_number event_sequence "
    "event_order event_index touch_number touch_order touchpoint_number touch_index order_in_session step_number "
    "event_bundle_sequence_id "
)
_EVENTS = "eventid event_uuid hit_id hitid touch_id touchpoint_id touchid message_id insert_id "


def word_of(column: str) -> str:
    """A column's name, reduced to small letters and underscores between the words.

    Examples
    --------
    >>> word_of("Order Value"), word_of("orderValue"), word_of("WÄHRUNG")
    ('order_value', 'order_value', 'wahrung')
    """
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", unicodedata.normalize("NFKD", column))
    text = "".join(c for c in text.casefold() if unicodedata.category(c) != "Mn")
    return re.sub(r"[\W_]+", "_", text).strip("_")


def _names_events(column: str) -> bool:
    """Whether a column that tells rows apart does so for events, of which a refund is another than its order."""
    word = word_of(column)
    return word.startswith("event") or word.endswith("uuid")


def _looking_like(words: str, columns: Iterable[str]) -> list[str]:
    known = set(words.split())
    return [column for column in columns if word_of(column) in known]


def currency_column(schema: Mapping[str, pl.DataType]) -> str | None:
    """The column that says what money is counted in, if there is one of texts.

    Examples
    --------
    >>> currency_column({"value": pl.Float64(), "Currency Code": pl.String()})
    'Currency Code'
    """
    found = _looking_like(_CURRENCIES, schema)
    return next((c for c in found if _is_text(schema[c])), None)


def currency_beside(schema: Mapping[str, pl.DataType], by: tuple[str, ...]) -> tuple[str, ...]:
    """The column of currencies, to be read beside values unless it keeps them apart already; or nothing."""
    column = currency_column(schema)
    return () if column is None or column in by else (column,)


def columns_beside(schema: Mapping[str, pl.DataType], inline: InlineOutcome, by: tuple[str, ...]) -> tuple[str, ...]:
    """Columns that flagged rows of touchpoints keep as outcomes: those of the games, and the currency of a value."""
    return (*by, *(currency_beside(schema, by) if inline.value else ()))


def _is_text(dtype: pl.DataType) -> bool:
    return dtype == pl.String or isinstance(dtype, (pl.Categorical, pl.Enum))


def currencies_in(column: pl.Series) -> set[str]:
    """Distinct currencies of a column, trimmed, in capitals; null and blank name none.

    Examples
    --------
    >>> sorted(currencies_in(pl.Series(["EUR", "eur ", None, "USD"])))
    ['EUR', 'USD']
    """
    names = (str(name).strip().upper() for name in column.unique().drop_nulls().to_list())
    return {name for name in names if name}


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
    if len(found) > 1:
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


def unread_outcome_columns(
    schema: Mapping[str, pl.DataType], read: Collection[str], *, inline: bool, naive: bool, refunds: bool
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
    """
    table = "touchpoints" if inline else "outcomes"
    rest = {name: dtype for name, dtype in schema.items() if name not in read and not name.startswith("__")}
    if "value" not in read:
        found = [c for c in _looking_like(_VALUES, rest) if rest[c].is_numeric() or rest[c] == pl.String]
        if found:
            first = clean(found[0], 40)
            how = f'InlineOutcome(value="{first}")' if inline else f'columns={{"value": "{first}"}}'
            yield _unread(
                table, found, "each outcome counts 1.0, and not a value", f"if one of them is the value: {how}"
            )
    found = [] if (inline and not refunds) or "order_id" in read else _looking_like(_ORDERS, rest)
    if refunds and (orders := [c for c in found if not _names_events(c)]):
        how = f'columns={{"order_id": "{clean(orders[0], 40)}"}}'
        yield _unread(
            table, orders, "a refund is taken off the latest earlier order, be it its own or not",
            f"if one is the order's id: {how}",
        )  # fmt: skip
    elif found and "event_id" not in read and not inline:
        how = f'columns={{"event_id": "{clean(found[0], 40)}"}}'
        yield _unread(table, found, "an order that stands in two rows counts twice", f"if one is the order's id: {how}")
    found = [] if inline else _looking_like(_REFUNDS, rest)
    if found:
        yield _unread(
            table, found, "orders that were cancelled or refunded count like others",
            "leave such rows out, or give refunds as rows of negative value",
        )  # fmt: skip
    yield from _zones(rest, table, naive=naive)


def unread_touch_columns(schema: Mapping[str, pl.DataType], read: Collection[str], *, naive: bool) -> Iterator[Finding]:
    """Find columns of touchpoints that are not read and look like an order of events, their id, or a zone."""
    rest = {name: dtype for name, dtype in schema.items() if name not in read and not name.startswith("__")}
    if "sequence" not in read:
        found = [c for c in _looking_like(_SEQUENCES, rest) if rest[c].is_integer() or rest[c] == pl.String]
        if found:
            how = f'columns={{"sequence": "{clean(found[0], 40)}"}}'
            yield _unread("touchpoints", found, "touches of one instant stand in the order of their names",
                          f"if one of them is the order of events: {how}")  # fmt: skip
    if "event_id" not in read:
        found = _looking_like(_EVENTS, rest)
        if found:
            how = f'columns={{"touchpoints": {{"event_id": "{clean(found[0], 40)}"}}}}'
            yield _unread("touchpoints", found, "touches equal in all that is read are taken for one",
                          f"if one of them tells events apart: {how}")  # fmt: skip
    yield from _zones(rest, "touchpoints", naive=naive)


def _zones(rest: Mapping[str, pl.DataType], table: str, *, naive: bool) -> Iterator[Finding]:
    found = _looking_like(_ZONES, rest) if naive else []
    if found:
        yield _unread(table, found, "times are compared as they stand, whatever their zones",
                      "give times with their zone, or all in one zone")  # fmt: skip


def _unread(table: str, columns: list[str], so: str, hint: str) -> Finding:
    names = ", ".join(repr(clean(column, 40)) for column in columns[:4])
    more = f" and {len(columns) - 4:,} more" if len(columns) > 4 else ""
    what = "columns" if len(columns) > 1 else "column"
    verb = "are" if len(columns) > 1 else "is"
    return Finding("unread_columns", table, f"{table}: {what} {names}{more} {verb} not read: {so}", hint,
                   len(columns), None, tuple(clean(column, 40) for column in columns[:4]))  # fmt: skip
