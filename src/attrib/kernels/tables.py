"""A growing table of sums by key: an index that finds the row of a key, and the rows, in the order of arrival.

A table is (slots, places, keys, used, sums). ``keys`` int64 [capacity] and ``sums`` int64 [capacity, width] are the
rows, of which the first used[0] count; the other sums are 0. places[slot] int32 is the row that a slot leads to, −1
where it is free. ``slots`` is empty where a key is its own slot, else int64 as long as ``places``, the keys of an
open-addressing table, −1 where free. Rows that lie together stay in the cache however far apart their keys are, and
neither clearing nor growing touches what was never used.
"""

from __future__ import annotations

import numpy as np

from attrib.kernels._jit import inline, jit
from attrib.kernels.codes import LOW_BITS, LOW_MASK, WORDS


@inline
def _first_slot(key, mask):
    return np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20)) & mask


@jit
def slot_of(slots, key):
    """Slot of a key in an open-addressing table, or the free one that it may take.

    Kernels find rows in two lines, which are not one inlined function for a reason: numba counts references to arrays
    that an inlined function writes or loops over, atomic operations that take five times as long as the rest.
    """
    mask = slots.shape[0] - 1
    slot = _first_slot(key, mask)
    while slots[slot] != key and slots[slot] >= 0:
        slot = (slot + 1) & mask
    return slot


@jit
def look_up(slots, places, wanted, n, rows):
    """Rows of n keys, −1 for those that are new or not at their first slot."""
    mask = slots.shape[0] - 1
    for t in range(n):
        if slots.shape[0] == 0:
            rows[t] = places[wanted[t]]
        else:
            slot = _first_slot(wanted[t], mask)
            rows[t] = (np.int64(places[slot]) + 1) * (slots[slot] == wanted[t]) - 1  # no branch


@jit
def new_row(slots, places, keys, used, slot, key):
    """Give the next row to a key."""
    row = used[0]
    used[0] += 1
    keys[row] = key
    places[slot] = row
    if slots.shape[0] > 0:
        slots[slot] = key
    return row


@inline
def is_full(slots, keys, used, more):
    """Whether ``more`` keys might not find room."""
    needed = used[0] + more
    return needed > keys.shape[0] or (slots.shape[0] > 0 and 10 * needed > 7 * slots.shape[0])


@jit
def index_rows(n, slots, places, keys, used):
    """Enter the first n rows into an index that is free, used[0] = 0."""
    for row in range(n):
        slot = keys[row] if slots.shape[0] == 0 else slot_of(slots, keys[row])
        new_row(slots, places, keys, used, slot, keys[row])  # rows come in order, so each gets its own number again


@jit
def free_rows(slots, places, keys, used, sums):
    """Forget all rows."""
    if slots.shape[0] > 0:
        slots[:] = -1
        places[:] = -1
    else:
        for row in range(used[0]):
            places[keys[row]] = -1
    sums[: used[0]] = 0
    used[0] = 0


@jit
def sort_keys(keys):
    """Order of keys ≥ 0, int64 [n]: eleven bits at a time from the lowest, those that do not differ left out."""
    n = keys.shape[0]
    differ = np.int64(0)
    for i in range(1, n):
        differ |= keys[i] ^ keys[0]
    order, other = np.arange(n), np.empty(n, np.int64)
    moved, other_keys = keys.copy(), np.empty(n, np.int64)  # keys go along: they need not be looked for
    starts = np.empty(1 << 11, np.int64)
    for shift in range(0, 63, 11):
        if (differ >> shift) & 2047 == 0:
            continue
        starts[:] = 0
        for i in range(n):
            starts[(moved[i] >> shift) & 2047] += 1
        total = np.int64(0)
        for digit in range(2048):
            starts[digit], total = total, total + starts[digit]
        for i in range(n):
            digit = (moved[i] >> shift) & 2047
            at = starts[digit]
            starts[digit] += 1
            other[at], other_keys[at] = order[i], moved[i]
        order, other, moved, other_keys = other, order, other_keys, moved
    return order


@inline
def _carry(sums, row, reals):
    """Bring the lower words of a row's real numbers, whose first words stand at ``reals``, back below 2^42."""
    for at in reals:
        for word in range(at + WORDS - 1, at, -1):
            sums[row, word - 1] += sums[row, word] >> LOW_BITS
            sums[row, word] &= LOW_MASK


@jit
def take_rows(order, keys, sums, first, reals, marks, out_keys, out_sums):
    """Rows in order, without those where all ``marks`` are 0; return how many.

    Their columns begin at ``first``. Where that is not 0, as many columns at the beginning belong to them too.
    """
    rows = 0
    for i in order:
        out_keys[rows] = keys[i]
        for c in range(out_sums.shape[1]):
            out_sums[rows, c] = sums[i, first + c]
        if first > 0:
            for c in range(out_sums.shape[1]):
                out_sums[rows, c] += sums[i, c]
            _carry(out_sums, rows, reals)
        for c in marks:
            if out_sums[rows, c] != 0:
                rows += 1
                break
    return rows


@jit
def sum_equal(order, keys, sums, reals, out_keys, out_sums):
    """Sum the rows of equal keys, which ``order`` puts side by side; return the number of keys."""
    rows = 0
    for i in order:
        if rows > 0 and keys[i] == out_keys[rows - 1]:
            for c in range(sums.shape[1]):
                out_sums[rows - 1, c] += sums[i, c]
            _carry(out_sums, rows - 1, reals)
        else:
            out_keys[rows] = keys[i]
            for c in range(sums.shape[1]):
                out_sums[rows, c] = sums[i, c]
            _carry(out_sums, rows, reals)
            rows += 1
    return rows


@jit
def _copy_rows(keys, sums, first, rows, out_keys, out_sums):
    """Copy the rows from ``first`` on to the row ``rows``, return the row after them.

    A loop: numba makes an assignment of slices with all its checks, which takes two seconds to compile.
    """
    for i in range(first, keys.shape[0]):
        out_keys[rows] = keys[i]
        for c in range(sums.shape[1]):
            out_sums[rows, c] = sums[i, c]
        rows += 1
    return rows


@jit
def merge_rows(keys, sums, more_keys, more_sums, reals, out_keys, out_sums):
    """Add up two tallies with sorted keys, return the number of rows."""
    n, m, width = keys.shape[0], more_keys.shape[0], sums.shape[1]
    i = k = rows = 0
    while i < n and k < m:
        key, other = keys[i], more_keys[k]
        if key <= other:
            out_keys[rows] = key
            for c in range(width):
                out_sums[rows, c] = sums[i, c]
            i += 1
            if key == other:
                for c in range(width):
                    out_sums[rows, c] += more_sums[k, c]
                _carry(out_sums, rows, reals)
                k += 1
        else:
            out_keys[rows] = other
            for c in range(width):
                out_sums[rows, c] = more_sums[k, c]
            k += 1
        rows += 1
    rows = _copy_rows(keys, sums, i, rows, out_keys, out_sums)
    return _copy_rows(more_keys, more_sums, k, rows, out_keys, out_sums)
