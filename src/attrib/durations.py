"""Durations as users write them: whole numbers with ``s m h d w``, or ``"unlimited"``."""

from __future__ import annotations

import re
from datetime import timedelta

from attrib.errors import SpecError, brief

LONGEST = 2**62  # ticks: longer than any data, and still a 64-bit integer when added to a time
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_PATTERN = re.compile(r"(\d+)\s*([smhdw])")


def parse_duration(text: str | timedelta | None, name: str = "duration") -> timedelta | None:
    """Turn a duration text into a timedelta; None means unlimited.

    Parameters
    ----------
    text : str, datetime.timedelta or None
        ``"30d"``, ``"12h"``, ``"90m"`` (minutes), ``"unlimited"``, a timedelta, or None.
    name : str
        Name of the argument, for the error message.

    Returns
    -------
    datetime.timedelta or None

    Raises
    ------
    SpecError
        ``bad_duration`` if the text is neither, or the timedelta is negative.

    Examples
    --------
    >>> parse_duration("30d")
    datetime.timedelta(days=30)
    >>> parse_duration("unlimited") is None
    True
    """
    if text is None or (isinstance(text, str) and text == "unlimited"):
        return None
    if isinstance(text, timedelta):
        if text < timedelta(0):
            raise SpecError("bad_duration", f"{name} = {brief(text)} is negative", name=name)
        return text
    match = _PATTERN.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise SpecError(
            "bad_duration",
            f"{name} = {brief(text)} is not a duration",
            hint='write a whole number with s, m (minutes), h, d or w, such as "30d", or "unlimited"',
            name=name,
            value=text,
        )
    try:
        return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
    except (OverflowError, ValueError):  # int() refuses thousands of digits
        raise SpecError("bad_duration", f"{name} = {brief(text):.60} is too long", hint='write "unlimited"') from None


def in_ticks(duration: timedelta | None, ticks_per_second: int) -> int:
    """Return a duration in clock ticks, rounded down; -1 stands for unlimited.

    Examples
    --------
    >>> in_ticks(timedelta(minutes=1), 1_000), in_ticks(None, 1_000)
    (60000, -1)
    """
    if duration is None:
        return -1
    microseconds = duration // timedelta(microseconds=1)
    return min(microseconds * ticks_per_second // 1_000_000, LONGEST)
