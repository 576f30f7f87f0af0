"""Numbers in the cells of a table: about three digits, and the interval where there is one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from attrib.schemas import CONVERSIONS, THIN

Row = dict[str, Any]


def number(value: float | None, scale: float | None = None) -> str:
    """Write a number with about three significant digits; ``scale`` fixes the decimals of a group.

    Examples
    --------
    >>> number(1234.56), number(12.345), number(0.5), number(None), number(9.5, scale=120.0)
    ('1,235', '12.3', '0.50', '–', '10')
    """
    if value is None:
        return "–"
    size = abs(value if scale is None else scale)
    return f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2}f}"


def cell(row: Row | None, measure: str) -> str:
    """Write one measure of a credit row, with its interval where there is one.

    Examples
    --------
    >>> cell({"conversions": 12.34, "conversions_low": 10.1, "conversions_high": 14.2}, "conversions")
    '12.3 [10.1, 14.2]'
    >>> cell({"share": 0.25}, "share"), cell(None, "value"), cell({"cpa": 600, "cpa_low": 200, "cpa_high": None}, "cpa")
    ('25.0%', '', '600 [200, –]')
    """
    if row is None:
        return ""
    value, low, high = row[measure], row.get(f"{measure}_low"), row.get(f"{measure}_high")
    if measure == "share":
        spelled = ["–" if part is None else f"{part:.1%}" for part in (value, low, high)]
    elif measure == "effect":
        spelled = ["–" if part is None else f"{part:.3f}" for part in (value, low, high)]
    else:
        spelled = [number(part, value) for part in (value, low, high)]
    if measure == CONVERSIONS:
        spelled[0] += _mark(row)
    # of two bounds one may be missing: costs over a number that may be 0 have no upper one
    return spelled[0] if low is None and high is None else f"{spelled[0]} [{spelled[1]}, {spelled[2]}]"


def share_cell(row: Row | None) -> str:
    """Write the share of a credit row in percent, with its interval where there is one.

    Examples
    --------
    >>> share_cell({"share": 0.1322, "share_low": 0.126, "share_high": 0.139})
    '13.2 12.6–13.9'
    >>> share_cell({"share": -0.01, "share_low": -0.02, "share_high": 0.0}), share_cell({"share": None})
    ('-1.0 -2.0…0.0', '–')
    """
    if row is None:
        return ""
    share, low, high = row["share"], row.get("share_low"), row.get("share_high")
    text = ("–" if share is None else f"{100 * share:.1f}") + _mark(row)
    if low is None or high is None:
        return text
    return f"{text} {100 * low:.1f}{'…' if low < 0 else '–'}{100 * high:.1f}"


def _mark(row: Row) -> str:
    return "°" if row.get(THIN) else ""


def total(value: float) -> str:
    """Write a total: whole where it is whole."""
    return number(value, None if value % 1 else 100)


def percent(value: float | None) -> str:
    """Write a share."""
    return "–" if value is None else f"{value:.1%}"


def plain(value: object) -> str:
    """Write any value of a frame: a time in its largest unit, a number with three digits."""
    if isinstance(value, bool) or value is None:
        return "–" if value is None else str(value)
    if isinstance(value, timedelta):
        return _span(value.total_seconds())
    if isinstance(value, int):
        return f"{value:,}"
    return number(value) if isinstance(value, float) else str(value)


def _span(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} s"
