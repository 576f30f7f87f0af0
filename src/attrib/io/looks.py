"""What rejected texts look like, and how they become what is read: rows are not told only what they are not."""

from __future__ import annotations

import re
from collections.abc import Iterable

_EPOCH = {10: ("seconds", "s"), 13: ("milliseconds", "ms"), 16: ("microseconds", "us"), 19: ("nanoseconds", "ns")}
_STRPTIME = (
    (r"\d{1,2}\.\d{1,2}\.\d{4}( .*)?", "dates written day.month.year", "%d.%m.%Y"),
    (r"\d{1,2}/\d{1,2}/\d{4}( .*)?", "dates written with slashes, day or month first", "%d/%m/%Y or %m/%d/%Y"),
    (r"\d{1,2}-\d{1,2}-\d{4}( .*)?", "dates with the year last", "%d-%m-%Y or %m-%d-%Y"),
    (r"\d{4}/\d{1,2}/\d{1,2}( .*)?", "dates written year/month/day", "%Y/%m/%d"),
    (r"\d{8}", "dates written without hyphens", "%Y%m%d"),
    (r"\d{14}", "times written without hyphens", "%Y%m%d%H%M%S"),
    (r".*\d ?[AaPp]\.?[Mm]\.?", "times of a clock of 12 hours", "… %I:%M %p"),
    (r".*[A-Za-z]{3,}.*\d{4}.*|\d{4}.*[A-Za-z]{3,}.*\d.*", "dates with the name of a month or of a zone", "%d %b %Y"),
)


def _times(text: str) -> str:
    plain = text.removeprefix("-")
    if re.fullmatch(r"\d{9,19}(\.\d+)?([eE]\+?\d+)?", plain):
        digits = len(plain.split(".", maxsplit=1)[0])
        name, unit = _EPOCH[min(_EPOCH, key=lambda length: abs(length - digits))]
        return (
            f"they look like Unix time in {name} (since 1970): convert them first, "
            f'pl.from_epoch(pl.col("timestamp").cast(pl.Int64), time_unit="{unit}") '
            f'or pandas.to_datetime(column.astype("int64"), unit="{unit}")'
        )
    if re.fullmatch(r"[3-6]\d{4}(\.\d+)?", plain):
        return (
            "they look like the day numbers of a spreadsheet: convert them first, "
            'pandas.to_datetime(column.astype(float), unit="D", origin="1899-12-30")'
        )
    for pattern, what, form in _STRPTIME:
        if re.fullmatch(pattern, text):
            return (
                f"they look like {what}: write them as ISO 8601 first, such as 2024-03-20 08:00, with "
                f'pl.col("timestamp").str.to_datetime("{form}") or pandas.to_datetime(column, format="{form}")'
            )
    return ""


def _numbers(text: str) -> str:
    if re.fullmatch(r"-?\d{1,3}(\.\d{3})*,\d+|-?\d+,\d{1,2}", text):
        return (
            "they look like numbers with a decimal comma: convert them first, "
            'pl.col("value").str.replace_all(".", "", literal=True).str.replace(",", ".").cast(pl.Float64) '
            'or pandas.read_csv(…, decimal=",", thousands=".")'
        )
    if re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?", text):
        return (
            "they look like numbers with commas between thousands: convert them first, "
            'pl.col("value").str.replace_all(",", "").cast(pl.Float64) or pandas.read_csv(…, thousands=",")'
        )
    if re.search(r"\d", text) and re.search(r"[€$£¥%]|[A-Za-z]{3}", text):
        return (
            "they look like numbers with a sign of currency or a unit: convert them first, "
            r'pl.col("value").str.replace_all(r"[^0-9.\-]", "").cast(pl.Float64), and keep one currency'
        )
    return ""


_RULES = {"timestamp_unparseable": _times, "date_unparseable": _times, "value_unparseable": _numbers,
          "cost_unparseable": _numbers}  # fmt: skip


def what_they_look_like(rule: str, texts: Iterable[object]) -> str:
    """Say what texts that a rule rejected look like, and how to convert them; empty where nothing is known of them.

    Examples
    --------
    >>> what_they_look_like("timestamp_unparseable", ["1704103200"])[:56]
    'they look like Unix time in seconds (since 1970): conver'
    >>> what_they_look_like("value_unparseable", ["12,50"])[:46]
    'they look like numbers with a decimal comma: c'
    >>> what_they_look_like("timestamp_unparseable", ["soon"])
    ''
    """
    look = _RULES.get(rule)
    if look is None:
        return ""
    found = [look(str(text).strip()) for text in texts if text is not None]
    return max(found, key=found.count, default="") if found else ""
