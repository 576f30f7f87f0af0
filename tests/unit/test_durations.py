"""Durations as users write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from attrib import SpecError
from attrib.durations import in_ticks, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("1s", 1),
        ("90m", 5_400),
        ("12h", 43_200),
        ("30d", 2_592_000),
        ("2w", 1_209_600),
        (" 30 d ", 2_592_000),
    ],
)
def test_whole_numbers_with_a_unit(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["unlimited", None])
def test_no_limit(text):
    assert parse_duration(text) is None


def test_a_timedelta_is_taken_as_it_is():
    assert parse_duration(timedelta(hours=36)) == timedelta(days=1, hours=12)


@pytest.mark.parametrize("text", ["", "30", "d", "1.5d", "-1d", "30 days", "30D", "1d12h", "unlimited ", 30, 1.5, True])
def test_anything_else_is_an_error_that_says_how(text):
    with pytest.raises(SpecError) as caught:
        parse_duration(text, "lookback")
    assert caught.value.key == "bad_duration"
    assert caught.value.message == f"lookback = {text!r} is not a duration"
    assert '"30d"' in caught.value.hint


def test_negative_and_endless_durations():
    with pytest.raises(SpecError, match="too long"):
        parse_duration("9" * 5_000 + "d")
    with pytest.raises(SpecError, match=r"max_gap = .* is negative"):
        parse_duration(timedelta(seconds=-1), "max_gap")
    with pytest.raises(SpecError, match="is too long"):
        parse_duration("99999999999w")


@pytest.mark.parametrize(
    ("duration", "ticks", "found"),
    [
        (timedelta(days=30), 1_000, 2_592_000_000),
        (timedelta(days=30), 1_000_000_000, 2_592_000_000_000_000),
        (timedelta(microseconds=1_999), 1_000, 1),  # rounded down: no touch comes in that was outside
        (timedelta(0), 1_000, 0),
        (None, 1_000, -1),
    ],
)
def test_ticks(duration, ticks, found):
    assert in_ticks(duration, ticks) == found
