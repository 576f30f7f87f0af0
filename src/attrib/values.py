"""Single values that callers pass, checked; and seeded randomness that does not depend on who asks first."""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from attrib.errors import SpecError, brief

# purposes of randomness: the same seed gives each its own numbers
REPLICATES, ORDERS, FOLDS, DEALT, OTHER_SIDE, BAGS = range(6)
SEEDS = 2**63
LARGEST = 2**53  # of whole numbers without a bound of their own: any machine word and any float holds it
MOST_DRAWS = 1_000_000  # of what is held at once for each
FEWEST_CONVERSIONS = 50.0  # that carry an interval (semantics §7)
FEWEST_BUCKETS = 40  # of 256 that they come from: 50 customers fill 45 ± 2
DATES = 'write dates such as "2024-06-01", datetime.date or datetime.datetime'


def read_date(value: Any, name: str, hint: str = DATES) -> dt.datetime:
    """Read a date, a datetime (also one of numpy) or an ISO text; a date is its midnight.

    Raises
    ------
    SpecError
        ``bad_date``.

    Examples
    --------
    >>> read_date("2024-06-01", "at"), read_date(np.datetime64("2024-06-01T08:00"), "at")
    (datetime.datetime(2024, 6, 1, 0, 0), datetime.datetime(2024, 6, 1, 8, 0))
    """
    read = value
    try:
        if isinstance(value, str):
            read = dt.datetime.fromisoformat(value.strip())
        elif isinstance(value, np.datetime64):
            read = value.astype("datetime64[us]").item()
    except ValueError:
        read = None
    if isinstance(read, dt.date) and not isinstance(read, dt.datetime):
        read = dt.datetime.combine(read, dt.time())
    if not isinstance(read, dt.datetime) or read != read:  # noqa: PLR0124 - pandas' NaT is a datetime, of a kind
        raise SpecError("bad_date", f"{name} = {brief(value)} is not a date", hint=hint)
    return read


def whole_number(name: str, value: Any, low: int, high: int | None = None, *, key: str = "bad_parameter") -> int:
    """Check that a value is a whole number (also one of numpy) within bounds.

    Raises
    ------
    SpecError
        With the given key.

    Examples
    --------
    >>> whole_number("order", np.int64(2), 1, 5)
    2
    """
    try:
        number = None if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        number = None
    most = LARGEST if high is None else high
    if number is None or number < low or number > most:
        bounds = f"from {low:,}" if high is None and (number is None or number < low) else f"from {low:,} to {most:,}"
        shown = brief(value) if number is None or abs(number) < 10**30 else f"{'-' if number < 0 else ''}10^30 or more"
        raise SpecError(key, f"{name} = {shown} is not a whole number {bounds}", name=name, found=value)
    return number


def check_choice(name: str, value: Any, known: Sequence[str], *, key: str = "bad_value") -> str:
    """Check that a value is one of the words known.

    Raises
    ------
    SpecError
        With the given key.

    Examples
    --------
    >>> check_choice("view", "advance", ("advance", "resolved"))
    'advance'
    """
    if not isinstance(value, str) or value not in known:
        raise SpecError(key, f"{name} = {brief(value)} is not one of {', '.join(known)}", name=name, found=value)
    return value


def yes_or_no(name: str, value: Any, *, key: str = "bad_value") -> bool:
    """Check that a value is true or false (also one of numpy).

    Raises
    ------
    SpecError
        With the given key.

    Examples
    --------
    >>> yes_or_no("flag", np.True_)
    True
    """
    if not isinstance(value, (bool, np.bool_)):
        raise SpecError(key, f"{name} = {brief(value)} is neither true nor false", name=name, found=value)
    return bool(value)


def one_name(name: str, value: Any, *, key: str = "bad_value") -> str:
    """Check that a value is a text that is not blank.

    Raises
    ------
    SpecError
        With the given key.
    """
    if not isinstance(value, str) or not value.strip():
        raise SpecError(key, f"{name} = {brief(value)} is not a name", name=name, found=value)
    return value


def check_share(name: str, value: Any, *, key: str = "bad_parameter", example: str = "0.95") -> float:
    """Check that a value, such as the level of intervals, is a number between 0 and 1, neither of the two.

    Raises
    ------
    SpecError
        With the given key.

    Examples
    --------
    >>> check_share("level", 0.9)
    0.9
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
        raise SpecError(key, f"{name} = {brief(value)} is not between 0 and 1", hint=f"e.g. {example}")
    return float(value)


def check_positive(name: str, value: Any, *, key: str = "bad_value") -> float:
    """Check that a value is a finite number above 0 (also one of numpy).

    Raises
    ------
    SpecError
        With the given key.
    """
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not number or not 0 < value < np.inf:
        raise SpecError(key, f"{name} = {brief(value)} is not a number above 0", name=name, found=value)
    return float(value)


def check_seed(seed: Any, *, key: str = "bad_parameter") -> int:
    """Check a seed: a whole number from 0, below 2^63.

    Raises
    ------
    SpecError
        With the given key.
    """
    return whole_number("seed", seed, 0, SEEDS - 1, key=key)


def generator(seed: int, purpose: int, number: int = 0) -> np.random.Generator:
    """Random numbers that depend on (seed, purpose, number) only, the same on every machine."""
    return np.random.Generator(np.random.Philox(key=[seed, (purpose << 56) | number]))


def normal_quantile(level: float) -> float:
    """Half width of a two-sided interval in standard deviations.

    Raises
    ------
    SpecError
        ``bad_parameter``.
    """
    from statistics import NormalDist

    return NormalDist().inv_cdf((1 + check_share("level", level)) / 2)
