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
from attrib.kernels.codes import HIGH_BITS, LOW_BITS, LOW_MASK

HIGH = 2.0**HIGH_BITS
LOW = 2.0**LOW_BITS
BORROWED = LOW_BITS - HIGH_BITS


@inline
def _carried(w0, w1, w2, w3):
    """Words of the same number, those below the first in [0, 2^42)."""
    w2 += w3 >> LOW_BITS
    w1 += w2 >> LOW_BITS
    return w0 + (w1 >> LOW_BITS), w1 & LOW_MASK, w2 & LOW_MASK, w3 & LOW_MASK


@inline
def split(x):
    """Words of x · 2^-exponent (already scaled), all of one sign."""
    sign = -1 if x < 0 else 1  # the magnitude is split: 1 - tiny would round
    rest = abs(x) * HIGH
    top = np.floor(rest)
    rest = (rest - top) * LOW
    whole = np.floor(rest)
    w2, w3 = np.int64(0), np.int64(0)
    if rest != whole:  # most terms fill two words
        rest = (rest - whole) * LOW
        third = np.floor(rest)
        w2 = sign * np.int64(third)
        w3 = sign * np.int64(np.rint((rest - third) * LOW))
    return sign * np.int64(top), sign * np.int64(whole), w2, w3


@jit
def _multiply(words, times):
    """Words ≥ 0, ``times`` over."""
    w0, w1, w2, w3 = _carried(words[0], words[1], words[2], words[3])
    s0, s1, s2, s3 = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    while times > 0:
        digit = times & ((1 << HIGH_BITS) - 1)
        s0, s1, s2, s3 = _carried(s0 + w0 * digit, s1 + w1 * digit, s2 + w2 * digit, s3 + w3 * digit)
        times >>= HIGH_BITS
        # one digit up the scale: all words by 2^20
        w0 = (w0 << HIGH_BITS) + (w1 >> BORROWED)
        w1 = ((w1 << HIGH_BITS) & LOW_MASK) | (w2 >> BORROWED)
        w2 = ((w2 << HIGH_BITS) & LOW_MASK) | (w3 >> BORROWED)
        w3 = (w3 << HIGH_BITS) & LOW_MASK
    return s0, s1, s2, s3


@inline
def split_times(x, times):
    """Words of x, ``times`` over, exactly; x ≥ 0, 0 ≤ times < 2^40."""
    words = split(x)
    if times != 1:
        words = _multiply(words, times)
    return words


@inline
def add_words(sums, row, column, words):
    """Add a number that is split to the words at sums[row, column:column + 4]."""
    w1 = sums[row, column + 1] + words[1]
    if words[2] != 0 or words[3] != 0:
        w3 = sums[row, column + 3] + words[3]
        w2 = sums[row, column + 2] + words[2] + (w3 >> LOW_BITS)
        w1 += w2 >> LOW_BITS
        sums[row, column + 2] = w2 & LOW_MASK
        sums[row, column + 3] = w3 & LOW_MASK
    sums[row, column] += words[0] + (w1 >> LOW_BITS)
    sums[row, column + 1] = w1 & LOW_MASK


@inline
def add(sums, row, column, x):
    """Add x · 2^-exponent (already scaled) to the words at sums[row, column:column + 4]."""
    add_words(sums, row, column, split(x))


@inline
def add_times(sums, row, column, x, times):
    """Add x ``times`` over, exactly; x ≥ 0, 0 ≤ times < 2^40."""
    add_words(sums, row, column, split_times(x, times))
