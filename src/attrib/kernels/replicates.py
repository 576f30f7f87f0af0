"""Sums drawn anew: replicate r of a sum is Σ over units of weight[r, unit] · sum[unit].

R = replicates, U = units, N = stored sums (sorted by unit), n = keys.
"""

from __future__ import annotations

from attrib.kernels._jit import jit


@jit
def weigh(weights, starts, at, values, out):
    """Weighted sums over the units.

    weights float64 [R, U]; starts int64 [U + 1]: the sums of each unit; at int64 [N]: the key of each sum;
    values float64 [N]; out float64 [R, n], zeroed by the caller. Always added in the order of the units.
    """
    for r in range(weights.shape[0]):
        for u in range(weights.shape[1]):
            w = weights[r, u]
            if w != 0.0:
                for i in range(starts[u], starts[u + 1]):
                    out[r, at[i]] += w * values[i]
