"""Quantiles of time in a stage."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from attrib.views.funnel import time_quantile


@given(
    st.lists(st.tuples(st.integers(0, 8), st.booleans()), max_size=30),
    st.sampled_from([Fraction(1, 2), Fraction(9, 10), Fraction(1, 4)]),
)
def test_quantiles_equal_the_twin(times, quantile):
    found = time_quantile(
        np.array([t for t, _ in times], np.int64), np.array([left for _, left in times], np.int64), float(quantile)
    )
    assert found == reference.kaplan_meier(times, quantile)


@pytest.mark.parametrize(
    ("times", "left", "median"),
    [
        ([1, 2, 3, 4], [1, 1, 1, 1], 2),
        ([1, 2, 3, 4], [1, 0, 0, 0], None),  # three quarters are still there
        ([1, 1, 5, 9], [0, 0, 1, 1], 5),  # the censored ones are gone before anything happened
        ([7], [1], 7),
        ([], [], None),
    ],
)
def test_medians_by_hand(times, left, median):
    assert time_quantile(np.array(times, np.int64), np.array(left, np.int64), 0.5) == median
