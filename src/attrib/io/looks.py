"""What rejected texts look like, and how they become what is read: rows are not told only what they are not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from attrib.io.amounts import what_amounts_are
from attrib.io.text import clean

MOST = 10_000  # distinct texts that are looked at
_UNITS = (
    ("seconds", "s", 1),
    ("milliseconds", "ms", 10**3),
    ("microseconds", "us", 10**6),
    ("nanoseconds", "ns", 10**9),
)
_FIRST, _LAST = 631_152_000, 4_102_444_800  # 1990 and 2100, in seconds since 1970
_COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S", 17: "%Y%m%d%H%M%S%3f"}
_IN_PYTHON = {"%S%3f": "%S%f", "%S%.f": "%S.%f"}
_MONTHS = {
    *("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november"),
    *("december", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
}
_DATE = (
    r"(?P<a>\d{1,4})(?P<s>[./\- ])(?P<b>\d{1,2})(?P=s)(?P<c>\d{4}|\d{1,2})",
    r"(?P<mon>[^\W\d_]{3,9})(?P<dot>\.?)(?P<s1>[ \-/])(?P<d>\d{1,2})(?P<s2>, ?|[ \-/])(?P<y>\d{4})",
    r"(?P<d>\d{1,2})(?P<s1>\.? ?|[\-/])(?P<mon>[^\W\d_]{3,9})(?P<dot>\.?)(?P<s2>, |[ \-/]?)(?P<y>\d{4}|\d{2})",
    r"(?P<y>\d{4})(?P<s1>[ \-/])(?P<mon>[^\W\d_]{3,9})(?P<dot>\.?)(?P<s2>[ \-/])(?P<d>\d{1,2})",
)
_DAY = r"(?:(?P<wd>(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*)(?P<ws>,? ))?"
_CLOCK = (
    r"(?P<h>\d{1,2})(?:(?P<k>[:.h])(?P<mi>\d{2})(?:(?P<k2>[:.])(?P<sec>\d{2})(?P<frac>[.,]\d{1,9})?)?)?"
    r"(?P<ap> ?[AaPp](?P<pd>\.?)[Mm]\.?)?"
)
_ZONE = r"(?P<z> ?(?:(?:GMT|UTC)?[+-]\d\d:?\d\d|[A-Z]{1,5}))?(?P<paren> \(.*\))?"
_LAYOUTS = (
    *(re.compile(rf"{_DAY}{one}(?:(?P<t>, | at |[ T:]){_CLOCK}{_ZONE})?") for one in _DATE),
    *(re.compile(rf"{_CLOCK}(?P<t>,? ){_DAY}{one}") for one in _DATE),
    re.compile(rf"{_DAY}(?P<mon>[A-Z][a-z]{{2}})(?P<s1> +)(?P<d>\d{{1,2}})(?P<t> ){_CLOCK}(?P<s2> )(?P<y>\d{{4}})"),
)


@dataclass(frozen=True, slots=True)
class _Written:
    """How a text writes a time: ``form`` with ``{date}`` for the date where its order is not told by itself.

    ``numbers``: the three numbers of such a date, ``between`` what stands between them; ``zone``: the end of the text
    that says UTC; ``steps``: what has to be replaced before.
    """

    text: str
    form: str
    numbers: tuple[str, str, str] | None
    between: str
    zone: bool
    steps: tuple[tuple[str, str], ...]
    named_zone: str = ""
    named_month: bool = False
    twelve: bool = False


def _written(text: str) -> _Written | None:  # noqa: C901, PLR0912 - one step a part
    """Take a text apart; None where it is no time that is written in one of the known ways."""
    found = next(filter(None, (layout.fullmatch(text) for layout in _LAYOUTS)), None)
    if found is None:
        return None
    part = {name: value or "" for name, value in found.groupdict().items()}
    steps: list[tuple[str, str]] = []
    if part.get("paren"):
        steps.append((r" \(.*\)$", ""))
    month = part.get("mon", "")
    if month and month.casefold() not in _MONTHS:
        return None  # of another language: no format reads it
    long = len(month) > 3
    if part.get("dot"):
        steps.append((r"([A-Za-z]{3})\.", "$1"))
    tokens = {"d": "%d", "mon": "%B" if long else "%b", "y": "%y" if len(part.get("y", "")) == 2 else "%Y"}
    tokens |= {"h": "%I" if part.get("ap") else "%H", "mi": "%M", "sec": "%S"}
    tokens |= {"dot": "", "paren": ""}
    tokens["wd"] = "%A" if len(part.get("wd", "")) > 3 else "%a"
    if part.get("frac"):
        tokens["frac"] = "%.f"
        if part["frac"][0] == ",":
            steps.append((r"(:\d\d),(\d)", "$1.$2"))
    if part.get("ap"):
        tokens["ap"] = " %p" if part["ap"].startswith(" ") else "%p"
        if part["pd"]:
            steps.append((r"(?i)([ap])\.m\.?", "${1}m"))
        if not part["mi"]:
            return None
    if part.get("h") and not part["mi"]:
        return None
    zone, named, utc = part.get("z", ""), "", False
    bare = zone.strip()
    if bare in ("UTC", "GMT", "Z", "UT"):
        utc, tokens["z"] = True, zone
    elif re.search(r"\d", bare):
        tokens["z"] = zone[: len(zone) - len(zone.lstrip())] + bare[:3] * bare[0].isalpha() + "%z"
    elif bare:
        named = bare
    spans = sorted(
        (found.span(name), name) for name in tokens if found.groupdict().get(name) is not None and found[name] != ""
    )
    if "a" in part:
        spans.append(((found.start("a"), found.end("c")), "date"))
    form, at = "", 0
    for (start, end), name in sorted(spans):
        form += text[at:start] + ("{date}" if name == "date" else tokens[name])
        at = end
    numbers = (part["a"], part["b"], part["c"]) if "a" in part else None
    return _Written(
        text, form + text[at:], numbers, part.get("s", ""), utc, tuple(steps), named, bool(month), bool(part.get("ap"))
    )


_ORDERS = {"ymd": (0, 1, 2), "dmy": (2, 1, 0), "mdy": (2, 0, 1), "ydm": (0, 2, 1)}
_NAMES = {"y": "year", "m": "month", "d": "day"}


def _as_date(numbers: tuple[str, str, str], order: str) -> date | None:
    """The date that three numbers are in an order; None where they are none."""
    texts = dict(zip(order, numbers, strict=True))
    if len(texts["y"]) not in (2, 4) or any(len(texts[key]) > 2 for key in "md"):
        return None
    year = int(texts["y"])
    if len(texts["y"]) == 2:
        year += 1900 if year > 69 else 2000
    try:
        return date(year, int(texts["m"]), int(texts["d"]))
    except ValueError:
        return None


def _orders_of(some: Sequence[_Written]) -> list[str]:
    """Orders of day, month and year in which all texts are dates, the likeliest first."""
    fitting = [o for o in _ORDERS if all(_as_date(one.numbers, o) for one in some if one.numbers is not None)]
    first = next(one for one in some if one.numbers is not None)
    assert first.numbers is not None
    if len(first.numbers[0]) == 4:  # nobody means the day when the year comes first, unless no other reading is left
        return fitting[:1]
    if first.between == ".":
        return [o for o in fitting if o == "dmy"] or fitting[:1]
    return [o for o in fitting if o != "ydm"] or fitting


def _format(one: _Written, order: str) -> str:
    """The format of a text, its date in this order."""
    if one.numbers is None:
        return one.form
    year = "%Y" if len(one.numbers[order.index("y")]) == 4 else "%y"
    return one.form.replace("{date}", one.between.join(year if key == "y" else f"%{key}" for key in order))


def _reader(some: Sequence[_Written], order: str, column: str) -> str | None:
    """The expression that reads all of these texts; None where it does not."""
    steps = list(dict.fromkeys(step for one in some for step in one.steps))
    start = f"pl.col({json.dumps(column, ensure_ascii=False)})"
    start += "".join(f'.str.replace(r"{pattern}", "{new}")' for pattern, new in steps)
    forms = list(dict.fromkeys((_format(one, order), one.zone) for one in some))
    if len(forms) > 4 or len({zone or "%z" in form for form, zone in forms}) > 1:
        return None
    texts = pl.Series("text", [one.text for one in some])
    for pattern, new in steps:
        texts = texts.str.replace(pattern, new)
    read = [texts.str.to_datetime(form, strict=False) for form, _ in forms]
    if any(all(times[row] is None for times in read) for row in range(len(texts))):
        return None
    several = len(forms) > 1
    calls = [
        f'{start}.str.to_datetime("{form}"{", strict=False" * several})'
        + ('.dt.replace_time_zone("UTC")' if zone else "")
        for form, zone in forms
    ]
    return f"pl.coalesce({', '.join(calls)})" if several else calls[0]


def _what(some: Sequence[_Written], orders: Sequence[str]) -> str:
    """Words for how the texts are written."""
    if any(one.named_month for one in some):
        words = "dates with the name of a month"
    else:
        between = next(one.between for one in some if one.numbers is not None)
        signs = {"/": "slashes", "-": "hyphens", " ": "blanks"}
        names = (between if between != " " else " ").join(_NAMES[key] for key in orders[0])
        slashes = "with slashes, " if between == "/" else ""
        words = (
            f"dates written {slashes}{names}"
            if len(orders) == 1
            else f"dates written with {signs.get(between, 'points')}"
        )
    if any(one.zone or "%z" in one.form for one in some):
        words += ", with a zone"
    return words + (", by a clock of 12 hours" if any(one.twelve for one in some) else "")


def _calendar(texts: Sequence[str], column: str) -> str:  # noqa: PLR0911 - a list of cases
    """Hint for texts that are written as people write dates and times."""
    apart = [_written(text) for text in texts]
    some = [one for one in apart if one is not None]
    if not some or 2 * len(some) < len(texts):
        return ""
    named = next((one.named_zone for one in some if one.named_zone), "")
    if named:
        return (
            f"they look like times with the abbreviation of a zone ({named}), which may mean several: write its offset "
            "instead, such as 2024-03-20 08:00+01:00"
        )
    numeric = [one for one in some if one.numbers is not None]
    orders = _orders_of(numeric) if numeric else ["ymd"]
    if not orders:
        day, month = (next((o.text for o in numeric if o.numbers and int(o.numbers[at]) > 12), "") for at in (0, 1))
        if not (day and month) or re.match(r"\d{4}", numeric[0].text):
            return "they look like dates that no calendar has, some of them: mend these first"
        return (
            f"they look like dates in several orders, such as {clean(day, 40)!r} and {clean(month, 40)!r}: write "
            "all of them in one way first"
        )
    what = _what(some, orders)
    ways = [_reader(some, order, column) for order in orders]
    odd = len(some) < len(texts)
    if odd or None in ways:
        return f"they look like {what}: write them as ISO 8601 first, such as 2024-03-20 08:00"
    how = "write them as ISO 8601 first, such as 2024-03-20 08:00, with"
    if len(ways) == 1:
        return f"they look like {what}: {how} {ways[0]}{_in_pandas(some, orders[0])}"
    row = max(numeric, key=lambda one: len({_as_date(one.numbers, order) for order in orders if one.numbers}))
    assert row.numbers is not None
    read = [f"{_as_date(row.numbers, order)}" for order in orders]
    listed = " or ".join(
        f"{way} if they are {'/'.join(_NAMES[key] for key in order)}" for way, order in zip(ways, orders, strict=True)
    )
    which = f"{what}, day or month first: {clean(row.text, 40)!r} is {' or '.join(read)}"
    return f"they look like {which}; {how} {listed}"


def _in_pandas(some: Sequence[_Written], order: str) -> str:
    """The same in pandas, where the format of Python reads the texts as they are."""
    forms = {_format(one, order) for one in some}
    if len(forms) != 1 or any(one.steps or one.zone for one in some):
        return ""
    form = forms.pop()
    for ours, theirs in _IN_PYTHON.items():
        form = form.replace(ours, theirs)
    try:
        for one in some:
            datetime.strptime(one.text, form)  # noqa: DTZ007 - whether the format fits
    except ValueError:
        return ""
    return f' or pandas.to_datetime(column, format="{form}")'


def _compact(texts: Sequence[str], column: str) -> str:
    """Hint for dates and times of digits only."""
    lengths = {len(text) for text in texts}
    form = _COMPACT.get(lengths.pop()) if len(lengths) == 1 and all(map(str.isdecimal, texts)) else None
    if form is None:
        return ""
    read = pl.Series(texts).str.to_datetime(form, strict=False)
    if read.null_count() or not read.dt.year().is_between(1900, 2199).all():
        return ""
    what = "dates" if form == "%Y%m%d" else "times"
    python = next((form.replace(ours, theirs) for ours, theirs in _IN_PYTHON.items() if ours in form), form)
    return (
        f"they look like {what} written without hyphens: write them as ISO 8601 first, such as 2024-03-20 08:00, with "
        f'pl.col({json.dumps(column, ensure_ascii=False)}).str.to_datetime("{form}") or '
        f'pandas.to_datetime(column, format="{python}")'
    )


def _counted(texts: Sequence[str], column: str) -> str:
    """Hint for numbers since 1970, or of a spreadsheet."""
    if not all(re.fullmatch(r"-?\d+(\.\d+)?([eE]\+?\d+)?", text) for text in texts):
        return ""
    numbers = [float(text) for text in texts]
    whole = all(re.fullmatch(r"-?\d+", text) for text in texts)
    col = f"pl.col({json.dumps(column, ensure_ascii=False)})"
    for name, unit, ticks in _UNITS:
        if not all(_FIRST * ticks <= number <= _LAST * ticks for number in numbers):
            continue
        start = f"they look like Unix time in {name} (since 1970): convert them first, "
        if whole:
            return start + (
                f'pl.from_epoch({col}.cast(pl.Int64), time_unit="{unit}") '
                f'or pandas.to_datetime(column.astype("int64"), unit="{unit}")'
            )
        return start + (
            f"pl.from_epoch(({col}.cast(pl.Float64) * {10**6 // ticks if ticks <= 10**6 else 10**-3}).round()"
            f'.cast(pl.Int64), time_unit="us") or pandas.to_datetime(column.astype(float), unit="{unit}")'
        )
    if all(30_000 <= number < 80_000 for number in numbers):
        return (
            "they look like the day numbers of a spreadsheet: convert them first, "
            f"(pl.datetime(1899, 12, 30) + pl.duration(milliseconds=({col}.cast(pl.Float64) * 86400000).round()"
            f".cast(pl.Int64))).alias({json.dumps(column, ensure_ascii=False)}) "
            'or pandas.to_datetime(column.astype(float), unit="D", origin="1899-12-30")'
        )
    return ""


def _times(texts: Sequence[str], beside: Sequence[str], column: str) -> str:
    """Hint for times: digits as dates first, then as numbers since 1970, then as people write dates."""
    every = list(dict.fromkeys(text.strip() for text in (*texts, *beside) if text.strip()))
    return _compact(every, column) or _counted(every, column) or _calendar(every, column)


_RULES = {
    "timestamp_unparseable": "time", "date_unparseable": "time", "value_unparseable": "number",
    "cost_unparseable": "number",
}  # fmt: skip


EXPECTED = {
    "flag_unreadable": "flags are true or false, 1 or 0, yes or no, or blank; where the column counts conversions, say "
    'flag_kind = "count" (in a job: [input.outcome])',
    "timestamp_unparseable": "timestamps are ISO 8601, e.g. 2024-03-20, 2024-03-20 08:00 or 2024-03-20T08:00:00+01:00",
    "value_unparseable": "values are numbers with a decimal point, such as 1234.50, without signs of currency",
    "interaction_without_lookback": 'list these interactions in lookback, or give it "*" for all others',
    "too_many_cells": "quote cells that hold a comma, or write the file as parquet",
}


def next_step(
    rule: str, texts: Iterable[object] = (), *, beside: Iterable[object] = (), column: str | None = None
) -> str:
    """What rows look like that broke a rule, and what is expected of them; see :func:`what_they_look_like`."""
    looks = what_they_look_like(rule, texts, beside=beside, column=column)
    return "; ".join(filter(None, (looks, EXPECTED.get(rule, "mend the source, or raise max_rejects"))))


def what_they_look_like(
    rule: str, texts: Iterable[object], *, beside: Iterable[object] = (), column: str | None = None
) -> str:
    """Say what texts that a rule rejected look like, and how to convert them; empty where nothing is known of them.

    Parameters
    ----------
    rule : str
        The rule that they broke.
    texts : iterable of object
        The texts.
    beside : iterable of object
        Others of the column: they may say what its decimal mark is, and a conversion must read them, too.
    column : str, optional
        What the caller calls the column; by default what we call it.

    Examples
    --------
    >>> what_they_look_like("timestamp_unparseable", ["1704103200"])[:56]
    'they look like Unix time in seconds (since 1970): conver'
    >>> what_they_look_like("value_unparseable", ["12,50"])[:46]
    'they look like numbers with a decimal comma: c'
    >>> what_they_look_like("timestamp_unparseable", ["soon"])
    ''
    """
    kind = _RULES.get(rule)
    if kind is None:
        return ""
    found, others = (
        list(dict.fromkeys(str(text) for text in some if text is not None))[:MOST] for some in (texts, beside)
    )
    name = column or rule.split("_", maxsplit=1)[0]
    return _times(found, others, name) if kind == "time" else what_amounts_are(found, others, name)
