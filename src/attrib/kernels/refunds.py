"""Which orders the refunds of a customer belong to (semantics §2).

C = customers, O = outcome rows, ordered by customer, time, then as in semantics §1. A refund is a row of negative
value, an order one of positive value.
"""

from __future__ import annotations

import numpy as np

from attrib.kernels._jit import inline, jit
from attrib.kernels.fixed import add

NOTHING = 1e-9  # of a value: what is no larger is what rounding leaves of a sum


@inline
def _take(values, left, refund, order):
    """Take from an order what the refund asks for, or all that is left of it."""
    wanted = -left[refund]
    rest = left[order] - wanted
    if rest > 0.0:
        left[refund] = 0.0
        left[order] = rest if rest > NOTHING * values[order] else 0.0
    else:
        left[order] = 0.0
        left[refund] = rest if -rest > NOTHING * -values[refund] else 0.0


@inline
def _last_open(before, left, row):
    """Latest row of a chain, from ``row`` back, with something left, or -1; the chain is cut short on the way."""
    while row >= 0 and left[row] == 0.0:
        back = before[row]
        if back >= 0 and left[back] == 0.0:
            before[row] = before[back]  # a customer with 10^6 refunds would otherwise be walked 10^12 steps
        row = back
    return row


@inline
def _slot_of(table, keys, names, orders, row, mask):
    """Slot of the (outcome, order id) of a row; ``keys`` holds a row that has the key of each slot, -1 if free."""
    slot = (orders[row, 0] ^ (orders[row, 1] * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xBF58476D1CE4E5B9)
    slot = (slot ^ (slot >> np.uint64(31)) ^ np.uint64(names[row])) & mask
    while keys[slot] >= 0:
        met = keys[slot]
        if names[met] == names[row] and orders[met, 0] == orders[row, 0] and orders[met, 1] == orders[row, 1]:
            return slot
        slot = (slot + np.uint64(1)) & mask
    keys[slot] = row
    table[slot, 0] = table[slot, 1] = table[slot, 2] = -1
    return slot


@jit
def net_refunds(offsets, times, names, orders, values, left):
    """Net each customer's refunds against their orders.

    offsets int64 [C + 1]; times int64 [O]; names int32 [O]: code of the outcome, from 0; orders uint64 [O, 2]: the
    words of the order id, (0, 0) for none, or [0, 2] where there is no such column; values float64 [O].
    left float64 [O], a copy of values when it comes in: what is left of an order, and of a refund what belongs to no
    order (≤ 0).

    A row is known from its instant on: what becomes of the rows up to an instant never depends on later ones.
    """
    n = values.shape[0]
    top = 0
    for i in range(n):
        top = max(top, np.int64(names[i]) + 1)
    latest = np.full(top, -1, np.int64)  # by name: the customer's latest order so far
    before = np.full(n, -1, np.int64)  # the order before of the same name
    beside = np.full(n, -1, np.int64)  # the order before of the same order id; of a refund, the next one that waits
    keys, table = np.empty(0, np.int64), np.empty((0, 3), np.int64)
    with_ids = orders.shape[0] > 0
    mask = np.uint64(0)
    for c in range(offsets.shape[0] - 1):
        low, high = offsets[c], offsets[c + 1]
        refunded, named = False, False
        for i in range(low, high):
            if values[i] < 0.0:
                refunded = True
                named |= with_ids and (orders[i, 0] != 0 or orders[i, 1] != 0)
        if not refunded:
            continue
        for i in range(low, high):
            latest[names[i]] = -1
        if named:
            # by (outcome, order id): its latest order, and the first and the last refund that waits for one
            size = 8
            while size < 2 * (high - low):
                size *= 2
            if keys.shape[0] < size:
                keys, table = np.empty(size, np.int64), np.empty((size, 3), np.int64)
            keys[:size] = -1
            mask = np.uint64(size - 1)
        i = low
        while i < high:
            end = i
            while end < high and times[end] == times[i]:
                end += 1
            # orders first: a refund at the instant of its order belongs to it, though it sorts before
            for r in range(i, end):
                if values[r] > 0.0:
                    before[r] = latest[names[r]]
                    latest[names[r]] = r
                    if named and (orders[r, 0] != 0 or orders[r, 1] != 0):
                        slot = _slot_of(table, keys, names, orders, r, mask)
                        beside[r] = table[slot, 0]
                        table[slot, 0] = r
                        while table[slot, 1] >= 0 and left[r] > 0.0:
                            waiting = table[slot, 1]
                            _take(values, left, waiting, r)
                            if left[waiting] == 0.0:
                                table[slot, 1] = beside[waiting]
            for r in range(i, end):
                if values[r] >= 0.0:
                    continue
                if named and (orders[r, 0] != 0 or orders[r, 1] != 0):
                    slot = _slot_of(table, keys, names, orders, r, mask)
                    order = _last_open(beside, left, table[slot, 0])
                    while order >= 0 and left[r] < 0.0:
                        _take(values, left, r, order)
                        order = _last_open(beside, left, order)
                    table[slot, 0] = order if order >= 0 else table[slot, 0]
                    if left[r] < 0.0:
                        if table[slot, 1] < 0:
                            table[slot, 1] = r
                        else:
                            beside[table[slot, 2]] = r
                        table[slot, 2] = r
                else:
                    order = _last_open(before, left, latest[names[r]])
                    while order >= 0 and left[r] < 0.0:
                        _take(values, left, r, order)
                        order = _last_open(before, left, order)
                    latest[names[r]] = order
            i = end


@jit
def enter(ledger, fate, values):
    """Add values float64 [n], scaled as in fixed.py, to the four words at ledger[fate, 1:]."""
    for i in range(values.shape[0]):
        add(ledger, fate, 1, values[i])
