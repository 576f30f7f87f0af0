"""Contributions of Shao & Li's probabilistic model, from journeys by their distinct players (semantics §6a).

R replicates, E sets of players, n players, Q pairs that occur together. A set e has the players
players[offsets[e] : offsets[e + 1]] and the pairs pairs[pair_offsets[e] : pair_offsets[e + 1]], in the order (0, 1),
(0, 2), …, (1, 2), …
"""

from __future__ import annotations

import numpy as np

from attrib.kernels._jit import jit


@jit
def contributions(offsets, players, pair_offsets, pairs, n, n_pairs, conversions, counted, value, out):
    """Add up contributions by player, to conversions and to value.

    conversions, counted (with nulls), value float64 [R, E]; out float64 [R, n, 2].
    """
    won, met = np.empty(n), np.empty(n)
    both_won, both_met = np.empty(n_pairs), np.empty(n_pairs)
    for r in range(conversions.shape[0]):
        won[:], met[:] = 0.0, 0.0
        both_won[:], both_met[:] = 0.0, 0.0
        for e in range(offsets.shape[0] - 1):
            for i in range(offsets[e], offsets[e + 1]):
                won[players[i]] += conversions[r, e]
                met[players[i]] += counted[r, e]
            for q in range(pair_offsets[e], pair_offsets[e + 1]):
                both_won[pairs[q]] += conversions[r, e]
                both_met[pairs[q]] += counted[r, e]
        for e in range(offsets.shape[0] - 1):
            if conversions[r, e] == 0.0:
                continue
            low, m = offsets[e], offsets[e + 1] - offsets[e]
            q = pair_offsets[e]
            weight = 1.0 if m == 1 else 0.5 / (m - 1)
            for a in range(m):
                i = players[low + a]
                alone = won[i] / met[i]
                out[r, i, 0] += conversions[r, e] * alone
                out[r, i, 1] += value[r, e] * alone
                for b in range(a + 1, m):
                    j = players[low + b]
                    gain = weight * (both_won[pairs[q]] / both_met[pairs[q]] - alone - won[j] / met[j])
                    q += 1
                    for k in (i, j):
                        out[r, k, 0] += conversions[r, e] * gain
                        out[r, k, 1] += value[r, e] * gain
