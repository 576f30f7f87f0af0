"""Events as rows of 64-bit words whose lexicographic order is the order of semantics §1.

n = rows, W = words of a row: (hash, [hash 2], time, …); every word is an unsigned integer that sorts
like what it stands for. One scatter, one sort and one duplicate rule then serve touchpoints and outcomes.
"""

from __future__ import annotations

import numpy as np

from attrib.kernels._jit import inline, jit
from attrib.kernels.words import mix

SIGN = np.uint64(1 << 63)
# what the word of a customer is: a hash, or what sorts like the id; two hashes of a text
HASHED, SIGNED, UNSIGNED, TEXT = range(4)

# A customer with 40,000 touches would take 25 µs a row where every pair is compared: beyond, runs are merged.
SLOT_LIMIT = 24
INSERTION_LIMIT = 24


@jit
def fill_rows(rows, ids, how, times, factor, at_time, kinds, at_kind):
    """Write the words of customer, time and kind of every row; rows uint64 [n, W], ids and times int64 [n].

    ``how``: ``HASHED``, ``SIGNED`` or ``UNSIGNED`` ids, or ``TEXT`` where their hashes stand in the rows already.
    Times times ``factor`` are in ticks; returns the earliest and the latest before that (may it overflow then).
    """
    earliest = np.int64((1 << 63) - 1)
    latest = np.int64(-(1 << 63))
    for i in range(rows.shape[0]):
        if how == HASHED:
            rows[i, 0] = mix(np.uint64(ids[i]))
        elif how == SIGNED:
            rows[i, 0] = np.uint64(ids[i]) ^ SIGN
        elif how == UNSIGNED:
            rows[i, 0] = np.uint64(ids[i])
        time = times[i]
        earliest = min(earliest, time)
        latest = max(latest, time)
        rows[i, at_time] = np.uint64(time * factor) ^ SIGN
        rows[i, at_kind] = np.uint64(kinds[i])
    return earliest, latest


@jit
def fill_floats(rows, at, bits):
    """Write word ``at`` of every row from the bits (uint64 [n]) of finite floats; -0.0 equals 0.0."""
    for i in range(rows.shape[0]):
        word = bits[i]
        if word == SIGN:
            word = np.uint64(0)
        rows[i, at] = ~word if word >> np.uint64(63) else word | SIGN


@jit
def largest_by_code(codes, values, largest):
    """Raise largest float64 [K] to the greatest finite absolute value of each code; codes int32 [n]."""
    for i in range(codes.shape[0]):
        size = abs(values[i])
        if size > largest[codes[i]] and size < np.inf:
            largest[codes[i]] = size


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
def rank_codes(rows, at, rank):
    """Replace the code in word ``at`` of every row by its rank, so that rows sort by name."""
    for i in range(rows.shape[0]):
        rows[i, at] = np.uint64(rank[rows[i, at]])


@jit
def sort_runs(rows, keys):
    """Sort rows in place inside each run of one customer (word 0), for rows that arrive customer by customer."""
    n, width = rows.shape
    spare = np.empty((1, width), np.uint64)
    i = 1
    while i < n:
        # two words decide nearly always that the row is where it belongs, without a branch that is hard to foresee
        late = (rows[i, 0] == rows[i - 1, 0]) & (rows[i, 1] <= rows[i - 1, 1])
        if late and _less(rows, i, rows, i - 1, keys):
            start = i - 1
            while start > 0 and rows[start - 1, 0] == rows[i, 0]:
                start -= 1
            end = i + 1
            while end < n and rows[end, 0] == rows[i, 0]:
                end += 1
            if end - start > INSERTION_LIMIT:
                if spare.shape[0] < end - start:
                    spare = np.empty((end - start, width), np.uint64)
                _merge_sort(rows, start, end, keys, spare)
            else:
                _insertion_sort(rows, start, end, keys, spare)
            i = end
        i += 1


@inline
def _differ(rows, i, j, words):
    found = np.uint64(0)
    for w in range(words):
        found |= rows[i, w] ^ rows[j, w]
    return found != 0


@jit
def drop_equal(rows, keys):
    """Keep the first of neighbours equal in the first ``keys`` words, in place; returns the rows kept."""
    n, width = rows.shape
    kept = min(n, 1)
    for i in range(1, n):
        if (rows[i, 0] != rows[kept - 1, 0]) | (rows[i, 1] != rows[kept - 1, 1]) or _differ(rows, i, kept - 1, keys):
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
def _ends(rows, identity, ends):
    """Where the rows of each customer end; returns their number."""
    n = rows.shape[0]
    customers = 0
    for i in range(n - 1):
        ends[customers] = i + 1
        customers += np.int64(_differ(rows, i, i + 1, identity))
    if n > 0:
        ends[customers] = n
        customers += 1
    return customers


@jit
def match_customers(touches, outcomes, identity, t_offsets, o_offsets, customers):
    """Walk two tables sorted by customer; returns the number of customers.

    t_offsets, o_offsets int64 [n + m + 1]: rows of each customer; either range may be empty. customers uint64
    [n + m, identity]: the words of each.
    """
    t_ends = np.empty(touches.shape[0], np.int64)
    o_ends = np.empty(outcomes.shape[0], np.int64)
    n = _ends(touches, identity, t_ends)
    m = _ends(outcomes, identity, o_ends)
    i = j = c = 0
    t_offsets[0] = o_offsets[0] = 0
    while i < n and j < m:
        a = touches[t_ends[i] - 1, 0]
        b = outcomes[o_ends[j] - 1, 0]
        if identity > 1 and a == b:
            a = touches[t_ends[i] - 1, 1]
            b = outcomes[o_ends[j] - 1, 1]
        touched = a <= b
        for w in range(identity):
            customers[c, w] = touches[t_ends[i] - 1, w] if touched else outcomes[o_ends[j] - 1, w]
        c += 1
        t_offsets[c] = t_ends[i] if touched else t_offsets[c - 1]
        o_offsets[c] = o_ends[j] if b <= a else o_offsets[c - 1]
        i += np.int64(touched)
        j += np.int64(b <= a)
    while i < n:
        for w in range(identity):
            customers[c, w] = touches[t_ends[i] - 1, w]
        c += 1
        t_offsets[c], o_offsets[c] = t_ends[i], o_offsets[c - 1]
        i += 1
    while j < m:
        for w in range(identity):
            customers[c, w] = outcomes[o_ends[j] - 1, w]
        c += 1
        t_offsets[c], o_offsets[c] = t_offsets[c - 1], o_ends[j]
        j += 1
    return c


@jit
def read_rows(rows, at_time, at_kind, kind_of_rank, times, kinds):
    """Take times int64 [n] and kinds int32 [n] out of rows whose kinds are ranks."""
    for i in range(rows.shape[0]):
        times[i] = np.int64(rows[i, at_time] ^ SIGN)
        kinds[i] = kind_of_rank[rows[i, at_kind]]


@jit
def read_floats(rows, at, bits):
    """Take the bits (uint64 [n]) of the floats in word ``at`` out of rows."""
    for i in range(rows.shape[0]):
        word = rows[i, at]
        bits[i] = word ^ SIGN if word >> np.uint64(63) else ~word
