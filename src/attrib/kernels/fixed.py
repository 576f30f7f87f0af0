"""Order-free sums: a real number as two integers, so that adding is exact and commutes.

x = (high · 2^-20 + low · 2^-62) · 2^exponent with 0 ≤ low < 2^42. Terms are rounded to 2^-62 of the largest
value once, when they are split; after that every sum is an integer sum. Results are therefore bit-identical
for any number of threads, any batches, any order of the rows and any engine. The range is 2^43 terms of the
largest value.
"""

from __future__ import annotations

import numpy as np

from attrib.kernels._jit import inline, jit

HIGH = 2.0**20
LOW = 2.0**42
LOW_BITS = 42
LOW_MASK = (1 << 42) - 1
STEP_BITS = 20


@inline
def split(x):
    """High and low word of x · 2^-exponent (already scaled)."""
    scaled = x * HIGH
    high = np.floor(scaled)
    return np.int64(high), np.int64(np.rint((scaled - high) * LOW))


@inline
def add(sums, row, column, high, low):
    """Add (high, low) to the pair at sums[row, column:column+2]."""
    total = sums[row, column + 1] + low
    sums[row, column] += high + (total >> LOW_BITS)
    sums[row, column + 1] = total & LOW_MASK


@jit
def add_times(sums, row, column, high, low, times):
    """Add (high, low) ``times`` over, exactly; 0 ≤ times < 2^40."""
    digit = times & ((1 << STEP_BITS) - 1)
    add(sums, row, column, high * digit, low * digit)
    digit = times >> STEP_BITS
    if digit > 0:
        # one digit up the scale: (high, low) · 2^20, with the carry of low moved into high
        add(
            sums,
            row,
            column,
            ((high << STEP_BITS) + (low >> (LOW_BITS - STEP_BITS))) * digit,
            ((low & ((1 << (LOW_BITS - STEP_BITS)) - 1)) << STEP_BITS) * digit,
        )
