"""The referral forest: who was brought by whom, and what flows back along it.

C = customers, M = touches, n = rows of the table, U = units. Customers are numbered by the instant of their
acquisition, and whoever refers was acquired before: ``parent[c] < c``, so that one loop visits parents first, or
children first, and no depth of a tree needs a stack.
"""

from __future__ import annotations

import numpy as np

from attrib.kernels._jit import jit


@jit
def flow_back(parent, rate, total):
    """Add to every customer's total what flows in from those they referred, leaves first; returns the sum of flows.

    parent int64 [C], -1 for none; rate float64 [C] share of the total that flows to the parent; total float64 [C] own
    values, replaced by own value + inflow.
    """
    flowed = 0.0
    for c in range(parent.shape[0] - 1, -1, -1):
        if parent[c] >= 0:
            flow = rate[c] * total[c]
            total[parent[c]] += flow
            flowed += flow
    return flowed


@jit
def find_roots(parent, root):
    """Root of every customer's tree: parent int64 [C] -> root int64 [C]; of one without a referrer, the customer."""
    for c in range(parent.shape[0]):
        root[c] = c if parent[c] < 0 else root[parent[c]]


@jit
def on_cycle(referrer, out):
    """Which customers referred one another in a circle: referrer int64 [C] in any order, -1 for none; out bool [C]."""
    n = referrer.shape[0]
    walk = np.zeros(n, np.int64)  # number of the walk that came by
    for start in range(n):
        c = start
        while c >= 0 and walk[c] == 0:
            walk[c] = start + 1
            c = referrer[c]
        if c >= 0 and walk[c] == start + 1:
            while not out[c]:
                out[c] = True
                c = referrer[c]


@jit
def sum_referral(offsets, weights, referral, out):
    """Share of the referral channels in every customer's journey: touches by customer [C + 1], [M] -> out [C]."""
    for c in range(offsets.shape[0] - 1):
        share = 0.0
        for t in range(offsets[c], offsets[c + 1]):
            if referral[t]:
                share += weights[t]
        out[c] = share


@jit
def spread(offsets, rows, weights, referral, unattributed, unit, total, kept, out):
    """Credit the rows of the table with every customer's total, split over the touches of their journey.

    offsets int64 [C + 1]; rows int64 [M], weights float64 [M], referral bool [M]; unattributed int64 [C] the row of
    those without a touch; unit int64 [C]; total float64 [C]; kept float64 [C] share of its credit that a referral touch
    keeps; out float64 [U, n], added to in the order of the customers.
    """
    for c in range(offsets.shape[0] - 1):
        first = offsets[c]
        stop = offsets[c + 1]
        if first == stop:
            out[unit[c], unattributed[c]] += total[c]
        for t in range(first, stop):
            credit = weights[t] * total[c]
            if referral[t]:
                credit *= kept[c]
            out[unit[c], rows[t]] += credit
