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
SLOT_LIMIT = 64
ROWS_OF_SLOT = 4  # on average
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
def _rank_slot(rows, low, high, identity, hashes, times, place):
    """Where each of the rows [low, high) belongs: counted, not moved, so that the processor need not guess.

    By hash and time alone; returns whether rows may be alike in these, so that other words decide.
    """
    alike = np.int64(0)
    for i in range(high - low):
        # signed numbers in the same order, since the processor compares several of these at once
        customer = np.int64(rows[low + i, 0] ^ SIGN)
        moment = np.int64(rows[low + i, identity] ^ SIGN)
        after = np.int64(0)
        for j in range(i):
            same = hashes[j] == customer
            before = np.int64((customer < hashes[j]) | (same & (moment < times[j])))
            alike |= np.int64(same & (moment == times[j]))
            after += before
            place[j] += before
        place[i] = low + i - after
        hashes[i] = customer
        times[i] = moment
    if identity > 1:
        for i in range(low + 1, high):
            for j in range(low, i):
                alike |= np.int64((rows[i, 0] == rows[j, 0]) & (rows[i, 1] != rows[j, 1]))
    return alike != 0


@jit
def _rank_alike(rows, low, high, keys, place):
    """Where each of the rows [low, high) belongs by all its words; equal rows stay in their order."""
    for i in range(low, high):
        after = 0
        for j in range(low, i):
            before = _less(rows, i, rows, j, keys)
            after += np.int64(not before)
            place[j - low] += np.int64(before)
        place[i - low] = low + after


@jit
def _scatter(rows, skip, starts):
    """Scatter rows by the hash bits after the first ``skip``; starts uint32 [2**bits + 1] receives the slots."""
    n, width = rows.shape
    slots = starts.shape[0] - 1
    bits = 0
    while (1 << bits) < slots:
        bits += 1
    shift = np.uint64(64 - bits)
    starts[:] = 0
    for i in range(n):
        starts[np.int64((rows[i, 0] << np.uint64(skip)) >> shift) + 1] += np.uint32(1)
    for s in range(slots):
        starts[s + 1] += starts[s]
    out = np.empty((n, width), np.uint64)
    for i in range(n):
        s = np.int64((rows[i, 0] << np.uint64(skip)) >> shift)
        at = np.int64(starts[s])
        starts[s] = np.uint32(at + 1)
        for w in range(width):
            out[at, w] = rows[i, w]
    for s in range(slots, 0, -1):  # every start has moved to its end: that is the next one's start
        starts[s] = starts[s - 1]
    starts[0] = np.uint32(0)
    return out


@jit
def sort_rows(rows, skip, identity, keys, out):
    """Sort rows [n, W] by their first ``keys`` words into ``out``; their top ``skip`` hash bits are equal.

    A counting scatter on the next hash bits, then ranks inside each slot: no general sort, no hash table.
    """
    n, width = rows.shape
    bits = 1
    while (1 << bits) < n // ROWS_OF_SLOT:
        bits += 1
    starts = np.empty((1 << bits) + 1, np.uint32)
    scattered = _scatter(rows, skip, starts)
    place = np.empty(SLOT_LIMIT, np.int64)
    hashes, times = np.empty(SLOT_LIMIT, np.int64), np.empty(SLOT_LIMIT, np.int64)
    for s in range(1 << bits):
        low = np.int64(starts[s])
        high = np.int64(starts[s + 1])
        if high - low <= SLOT_LIMIT:
            if _rank_slot(scattered, low, high, identity, hashes, times, place):
                _rank_alike(scattered, low, high, keys, place)
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
def _next_late(rows, start):
    """First row from ``start`` on that is of the same customer (word 0) and not later (word 1) than the one before."""
    customer = rows[start - 1, 0]
    time = rows[start - 1, 1]
    for i in range(start, rows.shape[0]):
        # one test without a branch that is hard to foresee: 1.3 ns a row where two take 5
        if ((rows[i, 0] ^ customer) | np.uint64(rows[i, 1] > time)) == 0:
            return i
        customer = rows[i, 0]
        time = rows[i, 1]
    return rows.shape[0]


@jit
def sort_runs(rows, keys):
    """Sort rows in place inside each run of one customer (word 0), for rows that arrive customer by customer."""
    n, width = rows.shape
    spare = np.empty((1, width), np.uint64)
    i = 1
    while i < n:
        i = _next_late(rows, i)
        if i < n and _less(rows, i, rows, i - 1, keys):
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
            i = end - 1
        i += 1


@inline
def _differ(rows, i, j, words):
    found = np.uint64(0)
    for w in range(words):
        found |= rows[i, w] ^ rows[j, w]
    return found != 0


@jit
def _next_twin(rows, start):
    """First row from ``start`` on that is like the one before in the first two words."""
    for i in range(start, rows.shape[0]):
        if ((rows[i, 0] ^ rows[i - 1, 0]) | (rows[i, 1] ^ rows[i - 1, 1])) == 0:
            return i
    return rows.shape[0]


@jit
def drop_equal(rows, keys):
    """Keep the first of neighbours equal in the first ``keys`` words, in place; returns the rows kept."""
    n, width = rows.shape
    i = 1
    while i < n:
        i = _next_twin(rows, i)
        if i < n and not _differ(rows, i, i - 1, keys):
            break
        i += 1
    kept = min(i, n)
    for at in range(i, n):
        if _differ(rows, at, kept - 1, keys):
            for w in range(width):
                rows[kept, w] = rows[at, w]
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
