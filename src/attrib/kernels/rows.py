"""Events as rows of 64-bit words whose lexicographic order is the order of semantics §1.

n = rows, W = words of a row: (hash, [hash 2], time, …); every word is an unsigned integer that sorts
like what it stands for. One scatter, one sort and one duplicate rule then serve touchpoints and outcomes.
"""

from __future__ import annotations

import numpy as np

from attrib.kernels._jit import inline, jit

# A customer with 40,000 touches would take 25 µs a row where every pair is compared: beyond, runs are merged.
SLOT_LIMIT = 24
INSERTION_LIMIT = 24


@jit
def partition_rows(rows, bits, out, offsets):
    """Scatter rows [n, W] by the top ``bits`` of word 0; offsets int64 [2**bits + 1]."""
    n, width = rows.shape
    parts = offsets.shape[0] - 1
    offsets[:] = 0
    if bits == 0:
        out[:] = rows
        offsets[1] = n
        return
    shift = np.uint64(64 - bits)
    for i in range(n):
        offsets[np.int64(rows[i, 0] >> shift) + 1] += 1
    for p in range(parts):
        offsets[p + 1] += offsets[p]
    cursor = offsets[:parts].copy()
    for i in range(n):
        p = np.int64(rows[i, 0] >> shift)
        at = cursor[p]
        cursor[p] = at + 1
        for w in range(width):
            out[at, w] = rows[i, w]


@inline
def _less(a, i, b, j, keys):
    for w in range(keys):
        if a[i, w] != b[j, w]:
            return a[i, w] < b[j, w]
    return False


@jit
def _insertion_sort(rows, low, high, keys, spare):
    width = rows.shape[1]
    for i in range(low + 1, high):
        if not _less(rows, i, rows, i - 1, keys):
            continue
        for w in range(width):
            spare[0, w] = rows[i, w]
        j = i - 1
        while j >= low and _less(spare, 0, rows, j, keys):
            for w in range(width):
                rows[j + 1, w] = rows[j, w]
            j -= 1
        for w in range(width):
            rows[j + 1, w] = spare[0, w]


@jit
def _merge_sort(rows, low, high, keys, spare):
    """Bottom-up merge sort of rows[low:high]; spare is at least as long."""
    width = rows.shape[1]
    for start in range(low, high, INSERTION_LIMIT):
        _insertion_sort(rows, start, min(start + INSERTION_LIMIT, high), keys, spare)
    run = INSERTION_LIMIT
    while run < high - low:
        for left in range(low, high, 2 * run):
            middle = min(left + run, high)
            right = min(left + 2 * run, high)
            if middle >= right or not _less(rows, middle, rows, middle - 1, keys):
                continue
            for i in range(left, middle):
                for w in range(width):
                    spare[i - left, w] = rows[i, w]
            a, a_end, b, at = 0, middle - left, middle, left
            while a < a_end:
                if b < right and _less(rows, b, spare, a, keys):
                    for w in range(width):
                        rows[at, w] = rows[b, w]
                    b += 1
                else:
                    for w in range(width):
                        rows[at, w] = spare[a, w]
                    a += 1
                at += 1
        run *= 2


@jit
def _rank_slot(rows, low, high, identity, keys, place):
    """Where each of the rows [low, high) belongs: counted, not moved, so that the processor need not guess."""
    time = identity  # the word after those of the customer
    for i in range(high - low):
        place[i] = low
    for i in range(low + 1, high):
        customer = rows[i, 0]
        moment = rows[i, time]
        after = 0
        for j in range(low, i):
            same = rows[j, 0] == customer
            if same & ((rows[j, time] == moment) | (rows[j, identity - 1] != rows[i, identity - 1])):
                before = _less(rows, i, rows, j, keys)
            else:
                before = (customer < rows[j, 0]) | (same & (moment < rows[j, time]))
            after += 1 - np.int64(before)
            place[j - low] += np.int64(before)
        place[i - low] += after


@jit
def sort_rows(rows, skip, identity, keys, out):
    """Sort rows [n, W] by their first ``keys`` words into ``out``; their top ``skip`` hash bits are equal.

    A counting scatter on the next hash bits, then ranks inside each slot: 33 to 46 ns a row of three words where
    insertion into the slots takes 96, a hash table 46 and a comparison sort 120 and more.
    """
    n, width = rows.shape
    bits = 1
    while (1 << bits) < n // 2:
        bits += 1
    shift = np.uint64(64 - bits)
    starts = np.zeros((1 << bits) + 1, np.int64)
    for i in range(n):
        starts[np.int64((rows[i, 0] << np.uint64(skip)) >> shift) + 1] += 1
    for s in range(1 << bits):
        starts[s + 1] += starts[s]
    cursor = starts[:-1].copy()
    scattered = np.empty((n, width), np.uint64)
    for i in range(n):
        s = np.int64((rows[i, 0] << np.uint64(skip)) >> shift)
        at = cursor[s]
        cursor[s] = at + 1
        for w in range(width):
            scattered[at, w] = rows[i, w]
    place = np.empty(SLOT_LIMIT, np.int64)
    for s in range(1 << bits):
        low = starts[s]
        high = starts[s + 1]
        if high - low <= SLOT_LIMIT:
            _rank_slot(scattered, low, high, identity, keys, place)
            for i in range(low, high):
                at = place[i - low]
                for w in range(width):
                    out[at, w] = scattered[i, w]
        else:
            for i in range(low, high):
                for w in range(width):
                    out[i, w] = scattered[i, w]
            _merge_sort(out, low, high, keys, scattered)


@jit
def sort_runs(rows, identity, keys):
    """Sort rows in place inside each run of one customer, for rows that arrive customer by customer."""
    n, width = rows.shape
    start = 0
    spare = np.empty((1, width), np.uint64)
    while start < n:
        end = start + 1
        ordered = True
        while end < n and not _differ(rows, end, end - 1, identity):
            if ordered and _less(rows, end, rows, end - 1, keys):
                ordered = False
            end += 1
        if not ordered:
            if end - start > INSERTION_LIMIT:
                if spare.shape[0] < end - start:
                    spare = np.empty((end - start, width), np.uint64)
                _merge_sort(rows, start, end, keys, spare)
            else:
                _insertion_sort(rows, start, end, keys, spare)
        start = end


@inline
def _differ(rows, i, j, words):
    for w in range(words):
        if rows[i, w] != rows[j, w]:
            return True
    return False


@jit
def drop_equal(rows, keys):
    """Keep the first of neighbours equal in the first ``keys`` words, in place; returns the rows kept."""
    n, width = rows.shape
    kept = min(n, 1)
    for i in range(1, n):
        if _differ(rows, i, kept - 1, keys):
            if i != kept:
                for w in range(width):
                    rows[kept, w] = rows[i, w]
            kept += 1
    return kept


@jit
def drop_repeated_events(rows, identity, event, gone):
    """Keep the first row of each (customer, event id), in place; event words (0, 0) mean none.

    rows are sorted by customer; ``event`` is the column of the first of two event words. ``gone`` (bool [n])
    marks the input rows that went. Returns the rows kept.
    """
    n, width = rows.shape
    size = 8
    while size < 2 * n:
        size *= 2
    table = np.full(size, -1, np.int64)
    mask = np.uint64(size - 1)
    for i in range(n):
        if rows[i, event] == 0 and rows[i, event + 1] == 0:
            continue
        slot = (rows[i, event] ^ (rows[i, 0] * np.uint64(0x9E3779B97F4A7C15))) & mask
        while table[slot] >= 0:
            j = table[slot]
            if rows[i, event] == rows[j, event] and rows[i, event + 1] == rows[j, event + 1]:
                if not _differ(rows, i, j, identity):
                    gone[i] = True
                    break
            slot = (slot + np.uint64(1)) & mask
        if not gone[i]:
            table[slot] = i
    kept = 0
    for i in range(n):
        if not gone[i]:
            if i != kept:
                for w in range(width):
                    rows[kept, w] = rows[i, w]
            kept += 1
    return kept


@jit
def match_customers(touches, outcomes, identity, t_offsets, o_offsets):
    """Walk two tables sorted by customer hash; returns the number of customers.

    t_offsets, o_offsets int64 [n + m + 1]: rows of each customer; either range may be empty.
    """
    n = touches.shape[0]
    m = outcomes.shape[0]
    i = 0
    j = 0
    c = 0
    while i < n or j < m:
        t_offsets[c] = i
        o_offsets[c] = j
        side = 0
        if j >= m:
            side = -1
        elif i >= n:
            side = 1
        else:
            for w in range(identity):
                if touches[i, w] != outcomes[j, w]:
                    side = -1 if touches[i, w] < outcomes[j, w] else 1
                    break
        if side <= 0:
            first = i
            i += 1
            while i < n and not _differ(touches, i, first, identity):
                i += 1
        if side >= 0:
            first = j
            j += 1
            while j < m and not _differ(outcomes, j, first, identity):
                j += 1
        c += 1
    t_offsets[c] = n
    o_offsets[c] = m
    return c
