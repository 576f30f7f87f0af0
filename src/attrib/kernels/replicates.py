"""Sums drawn anew: replicate r of a sum is Σ over units of weight[r, unit] · sum[unit].

R = replicates, U = units, N = stored sums (sorted by unit), n = keys.
"""

from __future__ import annotations

import numpy as np

from attrib.kernels._jit import jit

LANES = 8  # replicates side by side: one look at an index serves all, and they add as one vector


@jit
def weigh(weights, starts, at, values, out):
    """Weighted sums over the units.

    weights float64 [R, U]; starts int64 [U + 1]: the sums of each unit; at int64 [N]: the key of each sum;
    values float64 [N]; out float64 [R, n]. Always added in the order of the units.
    """
    replicates, units = weights.shape
    lanes = np.empty((out.shape[1], LANES))
    w = np.zeros(LANES)
    for first in range(0, replicates, LANES):
        some = min(LANES, replicates - first)
        lanes[:] = 0.0
        w[:] = 0.0
        for u in range(units):
            drawn = False
            for lane in range(some):
                w[lane] = weights[first + lane, u]
                drawn = drawn or w[lane] != 0.0
            if drawn:
                for i in range(starts[u], starts[u + 1]):
                    key = at[i]
                    value = values[i]
                    for lane in range(LANES):
                        lanes[key, lane] += w[lane] * value
        for lane in range(some):
            for key in range(out.shape[1]):
                out[first + lane, key] = lanes[key, lane]
