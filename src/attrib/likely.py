"""Which of a table's columns is likely meant, by the words that its name is made of: proposals for messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

# What the last word of a name says, for the columns of a path table; the first of these lists that a name has wins.
_NOT = {
    *(
        "non",
        "not",
        "no",
        "null",
        "nulls",
        "without",
        "failed",
        "failure",
        "failures",
        "lost",
        "dropped",
        "unconverted",
    ),
    *("nonconversions", "nonconversion", "nonconverted", "nonconv", "dropoffs", "dropoff", "bounced", "losses"),
}
_MONEY = {
    *("value", "values", "revenue", "revenues", "amount", "turnover", "sales", "income", "gmv", "money", "price"),
    *("umsatz", "worth", "paid", "profit", "margin"),
}
MEANS = {
    *("avg", "average", "averages", "mean", "means", "median", "aov", "arpu", "arppu", "per", "each", "rate"),
    *("durchschnitt", "durchschnittlich", "moyenne", "moyen", "promedio", "gemiddeld"),
}
_COUNT = {
    *("conversions", "conversion", "conv", "convs", "converted", "converting", "orders", "purchases", "transactions"),
    *("signups", "leads", "count", "counts", "n", "freq", "frequency", "total", "wins", "won"),
}
_WAY = {
    *("path", "paths", "journey", "journeys", "sequence", "channels", "channel", "touchpoints", "touches", "route"),
    *("touchpoint", "multitouch", "steps", "pfad", "funnel", "chain"),
}
_WORDS = {
    "customer_id": {
        *("customer", "user", "client", "visitor", "cookie", "person", "member", "account", "contact", "uid", "userid"),
        *("customerid", "clientid", "visitorid", "cust", "device", "kunde", "subscriber", "lead", "guid"),
    },
    "timestamp": {
        *("time", "timestamp", "date", "datetime", "ts", "day", "at", "when", "zeit", "datum", "occurred"),
    },
    "channel": {
        *("channel", "source", "medium", "media", "campaign", "touchpoint", "utm", "kanal", "referrer", "publisher"),
        *("platform", "network", "channels"),
    },
    "outcome": {"outcome", "event", "goal", "type", "conversion", "action", "status", "milestone", "kind"},
    "value": _MONEY,
    "cost": {"cost", "costs", "spend", "spent", "spending", "budget", "kosten", "expense", "expenses", "amount"},
    "date": {"date", "day", "time", "datetime", "timestamp", "datum", "week", "month"},
    "referrer_id": {"referrer", "referred", "referee", "inviter", "invited", "recruiter"},
}  # fmt: skip


def words_of(name: str) -> list[str]:
    """Words of a name, in lower case.

    Examples
    --------
    >>> words_of("totalConversion_value"), words_of("non-conversions")
    (['total', 'conversion', 'value'], ['non', 'conversions'])
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[^0-9a-zA-Z\u00c0-\uffff]+", spaced.lower()) if word]


def role_in_paths(name: str) -> str | None:
    """What a column of a path table likely holds: ``nulls``, ``value``, ``path``, ``conversions``, or None.

    Failures are never taken for conversions, whatever else the name says.

    Examples
    --------
    >>> [role_in_paths(name) for name in ("non_conversions", "revenue_conv", "conversion_path", "orders", "region")]
    ['nulls', 'value', 'path', 'conversions', None]
    """
    words = words_of(name)
    joined = "".join(words)
    if any(word in _NOT or word.startswith("unconv") for word in words) or joined.startswith(("non", "null")):
        return "nulls"
    if any(word in MEANS for word in words):
        return None  # of an order, not of all conversions of a path
    if any(word in _MONEY for word in words):
        return "value"
    for word in reversed(words):  # the last word says what a thing is: a conversion path is a path
        if word in _WAY:
            return "path"
        if word in _COUNT:
            return "conversions"
    return None


def columns_of_paths(names: Sequence[str], taken: Mapping[str, str]) -> dict[str, str]:
    """Propose a column for each of ``path``, ``conversions``, ``value`` and ``nulls`` that has none yet.

    Examples
    --------
    >>> columns_of_paths(["journey", "conversions", "revenue", "non_conversions"], {})
    {'path': 'journey', 'conversions': 'conversions', 'value': 'revenue', 'nulls': 'non_conversions'}
    """
    found: dict[str, str] = {}
    for role in ("path", "conversions", "value", "nulls"):
        free = [name for name in names if name not in (*taken.values(), *found.values())]
        fitting = [name for name in free if role_in_paths(name) == role]
        if role not in taken and fitting:
            near = difflib.get_close_matches(role, fitting, n=1, cutoff=0.0)
            found[role] = near[0]
    return found


def columns_like(missing: Iterable[str], names: Collection[str]) -> dict[str, str]:
    """Propose a column for each missing one: nearly the same letters, else a name made of fitting words.

    Examples
    --------
    >>> columns_like(["customer_id", "timestamp", "channel"], ["userId", "ordered_at", "media", "region"])
    {'customer_id': 'userId', 'timestamp': 'ordered_at', 'channel': 'media'}
    """
    found: dict[str, str] = {}
    for ours in missing:
        free = [name for name in names if name not in found.values()]
        close = difflib.get_close_matches(ours, free, n=1, cutoff=0.7)
        worded = [name for name in free if _WORDS.get(ours, set()) & set(words_of(name))]
        if ours == "value":
            worded = [name for name in worded if not MEANS & set(words_of(name))]
        near = close or worded or difflib.get_close_matches(ours, free, n=1, cutoff=0.5)
        if near:
            found[ours] = near[0]
    return found
