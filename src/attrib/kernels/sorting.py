"""Stable orders of a few values, within kernels: numba's own sorts take seconds to compile for each type."""

from __future__ import annotations

import numpy as np

from attrib.kernels._jit import jit


@jit
def stable_order(values):
    """Places of the values in ascending order, int64; equal ones stay as they are (merge sort)."""
    n = values.shape[0]
    order, other = np.empty(n, np.int64), np.empty(n, np.int64)
    for i in range(n):
        order[i] = i
    width = 1
    while width < n:
        for low in range(0, n, 2 * width):
            middle, high = min(low + width, n), min(low + 2 * width, n)
            i, j = low, middle
            for k in range(low, high):
                if i < middle and (j >= high or values[order[i]] <= values[order[j]]):
                    other[k] = order[i]
                    i += 1
                else:
                    other[k] = order[j]
                    j += 1
        order, other = other, order
        width *= 2
    return order


@jit
def reorder(column, order):
    """Put the values of a column into an order."""
    kept = np.empty(column.shape[0], column.dtype)
    for i in range(kept.shape[0]):
        kept[i] = column[order[i]]
    for i in range(kept.shape[0]):
        column[i] = kept[i]
