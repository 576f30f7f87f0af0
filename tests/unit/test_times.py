"""Times as texts: the short cut for texts that are all written alike reads what the long way reads."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrib.io import checks

WRITTEN = [
    "2025-02-16T07:04:29.209000",
    "2025-02-16 07:04:29",
    "2025-02-28T23:59:59.123Z",
    "2024-02-29T00:00:00Z",
    "2025-02-16 07:04:29.123",
]
edits = st.lists(st.tuples(st.integers(0, 30), st.sampled_from("0123456789 T:-.+Zt\té")), max_size=2)


@settings(max_examples=300)
@given(st.sampled_from(WRITTEN), edits)
def test_the_short_cut_reads_what_the_long_way_reads(text, changes):
    letters = list(text)
    for place, letter in changes:
        letters[place % len(letters)] = letter
    texts = pl.Series([text, None, "".join(letters)], dtype=pl.String)
    found = checks.parse_times(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "_parse_alike", lambda _: None)
        wanted = checks.parse_times(texts)
    assert found[0].equals(wanted[0], null_equal=True)
    assert found[1:] == wanted[1:]


@pytest.mark.parametrize("text", WRITTEN)
def test_the_short_cut_is_taken(text):
    assert checks._parse_alike(pl.Series([None, text, text])) is not None
