"""What a column likely holds, by the words of its name: a value, a currency, an order's id, refunds, a zone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from attrib.likely import MEANS

VALUE, CURRENCY, ORDER, REFUND = "value", "currency", "order", "refund"
ZONE, SEQUENCE, EVENT = "zone", "sequence", "event"
PART, SINCE, CHANCE = "part", "since", "chance"  # of which part a row is, from when it holds, how sure it is


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MONEY = _words(
    "value values val amount amounts amt price prices revenue revenues rev gmv sales turnover income proceeds ltv "
    "clv mrr arr acv tcv profit margin earnings takings receipts subtotal worth money umsatz betrag preis erloes erlos "
    "wert summe montant prix valeur ventes importe precio ingresos valor ventas importo prezzo ricavo ricavi fatturato "
    "valore receita preco sum chiffre "
    "сумма цена стоимость выручка 金額 金额 价格 售价 価格 売上 销售额 "
    "omzet bedrag waarde ca recettes monto totale chiffreaffaires"
)
_MONEY_ENDS = ("wert", "betrag", "umsatz", "preis", "erlos", "erloes", "summe", "revenue", "amount", "bedrag")
_TOTAL_OF = _words(
    "total totals grand sub order orders cart basket checkout net gross purchase transaction invoice sale paid amount "
    "sum price money set usd eur gbp chf jpy cad aud incl excl in cents minor local ecommerce conversion item"
)
_NO_MONEY = MEANS | _words(
    "channel channels rep person team country region list lists type kind code id ids uuid name names status "
    "state date at time timestamp method provider gateway search social is has was number no nr count counts qty "
    "quantity discount discounts discounted tax taxes vat mwst steuer shipping versand freight cost costs unit "
    "rate ratio source medium campaign terms tier group band bucket category reference ref attribute key model "
    "label owner manager segment stage previous predicted forecast budget median percent pct rank score "
    "touchpoints clicks impressions sessions items products customers users orders visits proposition annual "
    "yearly employees size agent agents office center centre page chain class"
)
_CURRENCIES = _words(
    "currency currencies ccy currencycode currencyid waehrung wahrung devise moneda divisa valuta moeda iso4217 "
    "wahrungscode waehrungscode munteenheid"
)
_CUR = _words("cur curr")
_CODES = _words("code codes iso id key symbol name alpha numeric no sign 3 4217")
_NO_CURRENCY = _words("rate rates factor exchange in amount value price revenue total per conversion")

_ORDERS = _words(
    "order orders ordered transaction transactions txn trx invoice purchase booking reservation receipt conversion "
    "deal "
    "sale sales checkout bestell bestellung auftrag auftrags rechnung rechnungs commande pedido ordine bestel po "
    "subscription opportunity payment"
)
_IDS = _words("id ids no nr number num numero nummer ref reference uuid guid key token hash identifier")
_ORDER_WORD = re.compile(
    r"(order|transaction|txn|invoice|purchase|booking|receipt|bestell|auftrags|rechnungs|bestel|conversion)"
    r"(s?)(id|no|nr|number|num|nummer|uuid|ref)"
)
_NO_ORDER = _words("item items line lineitem product sku variant customer user gateway method status type")

_REFUNDS = _words(
    "refund refunds refunded returned returns cancelled canceled cancellation cancellations cancel voided void "
    "chargeback chargebacks reversed reversal storno storniert stornierung retoure retouren gutschrift rembourse "
    "rembourses remboursement remboursements reembolso reembolsado annule annulee rimborso annullato geannuleerd "
    "deleted disputed fraud fraudulent creditnote"
)
_STATES = _words("status state zustand etat estado stato")
_STATE_OF = _words("order payment financial transaction invoice purchase sale sales booking subscription")
_NO_REFUND = _words("policy fee terms visitor customer user url link page score risk probability prob")

_ZONES = _words("timezone timezones tz tzinfo zeitzone tijdzone fusoorario")
_CLOCKS = _words("utc gmt time")
_EVENTS = _words("event hit touch touchpoint message insert interaction")
_PLACES = _words("number no nr num index idx order position rank seq sequence")
_PARTS = _words(
    "country countries market region geo city land pays pais state stage segment device brand store campaign product "
    "audience platform language territory dma zip"
)
_SINCES = _words(
    "from since until to valid start started begin begins beginning end ended ends expires expiry expired timestamp "
    "time date datetime created updated at first last seen day when ts linked observed"
)
_CHANCES = _words(
    "probability prob confidence conf score weight likelihood certainty strength similarity deterministic "
    "probabilistic match quality matchtype"
)


def word_of(column: str) -> str:
    """A column's name, reduced to small letters and underscores between the words.

    Examples
    --------
    >>> word_of("Order Value"), word_of("orderValue"), word_of("WÄHRUNG"), word_of("revenueUSD")
    ('order_value', 'order_value', 'wahrung', 'revenue_usd')
    """
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", unicodedata.normalize("NFKD", column))
    text = "".join(c for c in text.casefold() if unicodedata.category(c) != "Mn")
    return re.sub(r"[\W_]+", "_", text).strip("_")


def roles_of(column: str) -> frozenset[str]:
    """What a column may hold, by the words of its name; most names have no role.

    Examples
    --------
    >>> [sorted(roles_of(name)) for name in ("amount_paid", "Financial Status", "txn_id", "tz_name", "sales_channel")]
    [['value'], ['refund'], ['order'], ['zone'], []]
    """
    words = word_of(column).split("_")
    some = set(words)
    found = set()
    if _is_refund(words, some):
        found.add(REFUND)
    elif _is_currency(words, some):
        found.add(CURRENCY)
    elif _is_money(words, some):
        found.add(VALUE)
    if _is_order(words, some):
        found.add(ORDER)
    for role, fits in ((ZONE, _is_zone), (SEQUENCE, _is_sequence), (EVENT, _is_event)):
        if fits(words, some):
            found.add(role)
    for role, vocabulary in ((PART, _PARTS), (SINCE, _SINCES), (CHANCE, _CHANCES)):
        if some & vocabulary:
            found.add(role)
    return frozenset(found)


def states_only(column: str) -> bool:
    """Whether a column holds a state, of an order or a campaign, which only of orders tells what was refunded.

    Examples
    --------
    >>> [states_only(name) for name in ("status", "Campaign state", "refund_status", "refunded")]
    [True, True, False, False]
    """
    some = set(word_of(column).split("_"))
    return bool(some & _STATES) and not some & _REFUNDS


def columns_of(role: str, columns: Iterable[str]) -> list[str]:
    """Columns that may hold something, the plainest names first."""
    found = [column for column in columns if role in roles_of(column)]
    return sorted(found, key=lambda column: len(word_of(column).split("_")))


def _is_zone(words: list[str], some: set[str]) -> bool:
    joined = "".join(words) in ("utcoffset", "gmtoffset", "timezoneoffset", "zonahoraria", "fuseauhoraire")
    return bool(joined or some & _ZONES or {"time", "zone"} <= some or ("offset" in some and some & _CLOCKS))


def _is_sequence(words: list[str], some: set[str]) -> bool:
    numbered = some & (_EVENTS | {"step", "touches"}) and some & _PLACES and "id" not in some
    joined = re.fullmatch(r"(hit|event|touch)(number|index|order)", words[0])
    return bool(some & {"sequence", "seq"} or numbered or joined or {"order", "in", "session"} <= some)


def _is_event(_words: list[str], some: set[str]) -> bool:
    named = some & _EVENTS and some & {"id", "uuid", "guid"} and "sequence" not in some
    return bool(named or some & {"eventid", "hitid", "touchid", "eventuuid"})


def _is_money(words: list[str], some: set[str]) -> bool:
    if some & _NO_MONEY:
        return False
    if some & _MONEY or any(word.endswith(_MONEY_ENDS) for word in words):
        return True
    return (
        bool(some & {"total", "grand", "subtotal", "paid"}) and some <= _TOTAL_OF and some not in ({"paid"}, {"grand"})
    )


def _is_currency(words: list[str], some: set[str]) -> bool:
    named = [at for at, word in enumerate(words) if word in _CURRENCIES]
    if named:
        return "in" not in some and not set(words[named[-1] + 1 :]) & _NO_CURRENCY and not some & {"rate", "exchange"}
    return (bool(some & _CUR) and some <= _CUR | _CODES) or {"iso", "4217"} <= some


def _is_order(words: list[str], some: set[str]) -> bool:
    if some & _NO_ORDER:
        return False
    if any(_ORDER_WORD.fullmatch(word) for word in words):
        return True
    return bool(some & _ORDERS and some & _IDS) or words in (["order", "name"], ["uuid"])


def _is_refund(words: list[str], some: set[str]) -> bool:
    if some & _NO_REFUND:
        return False
    if some & _REFUNDS or {"credit", "note"} <= some or words in (["is", "test"], ["test"]):
        return True
    if "return" in some and some & {"value", "amount", "date", "is", "at", "flag", "status"}:
        return True
    if "test" in some and some & {"order", "transaction", "purchase", "payment"}:
        return True
    return words == ["status"] or bool(some & _STATES and some & _STATE_OF)
