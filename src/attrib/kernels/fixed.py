"""Order-free sums: a real number as four integers, so that adding is exact and commutes.

x = (w0 · 2^-20 + w1 · 2^-62 + w2 · 2^-104 + w3 · 2^-146) · 2^exponent with 0 ≤ w1, w2, w3 < 2^42. Where 2^exponent is
just above the largest value, a term down to 2^-93 of it is split without any rounding, and one down to 2^-106 of it
keeps 1e-12 of itself; after that every sum is an integer sum. Results are therefore bit-identical for any number of
threads, any batches, any order of the rows and any engine. The range is 2^43 terms of the largest value. Most terms
fill two words, and the rest costs nothing.
"""

from __future__ import annotations

import numpy as np

from attrib.kernels._jit import inline, jit
from attrib.kernels.codes import HIGH_BITS, LOW_BITS, LOW_MASK, WORDS

HIGH = 2.0**HIGH_BITS
LOW = 2.0**LOW_BITS
BORROWED = LOW_BITS - HIGH_BITS


@inline
def _carry(sums, row, column, word):
    """Move what word ``word`` and those above it hold beyond 42 bits up."""
    for w in range(word, 0, -1):
        total = sums[row, column + w]
        sums[row, column + w] = total & LOW_MASK
        sums[row, column + w - 1] += total >> LOW_BITS


@inline
def add(sums, row, column, x):
    """Add x · 2^-exponent (already scaled) to the words at sums[row, column:column + 4]."""
    sign = -1 if x < 0 else 1  # the magnitude is split: 1 - tiny would round
    rest = abs(x) * HIGH
    top = np.floor(rest)
    rest = (rest - top) * LOW
    whole = np.floor(rest)
    total = sums[row, column + 1] + sign * np.int64(whole)
    sums[row, column] += sign * np.int64(top) + (total >> LOW_BITS)
    sums[row, column + 1] = total & LOW_MASK
    if rest != whole:
        _add_below(sums, row, column, sign, (rest - whole) * LOW)


@jit
def _add_below(sums, row, column, sign, rest):
    """Add what two words do not hold."""
    whole = np.floor(rest)
    sums[row, column + 2] += sign * np.int64(whole)
    sums[row, column + 3] += sign * np.int64(np.rint((rest - whole) * LOW))
    _carry(sums, row, column, WORDS - 1)


@jit
def add_times(sums, row, column, x, times):
    """Add x ``times`` over, exactly; 0 ≤ times < 2^40."""
    if times == 1:
        add(sums, row, column, x)
        return
    words = np.zeros((1, WORDS), np.int64)
    add(words, 0, 0, x)
    while times > 0:
        digit = times & ((1 << HIGH_BITS) - 1)
        for w in range(WORDS):
            sums[row, column + w] += words[0, w] * digit
        _carry(sums, row, column, WORDS - 1)
        times >>= HIGH_BITS
        # one digit up the scale: all words by 2^20
        words[0, 0] = (words[0, 0] << HIGH_BITS) + (words[0, 1] >> BORROWED)
        for w in range(1, WORDS):
            below = words[0, w + 1] >> BORROWED if w + 1 < WORDS else 0
            words[0, w] = ((words[0, w] << HIGH_BITS) & LOW_MASK) | below
