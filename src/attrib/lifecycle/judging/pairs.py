"""Concordance: how often, of two customers, the one with more risk leaves first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from attrib.errors import warn

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
_NONE = 1e-12


def concordance(risk: Floats, duration: Floats, event: Bools, entry: Floats | None = None) -> float:
    """Share of the comparable pairs whose earlier leaver has more risk; see `Pairs`. Without entries: Harrell's C."""
    once = np.ones(len(risk))
    (found,) = Pairs(duration, event, risk, entry).concordance(once, once)
    if np.isnan(found):
        warn("no two customers can be compared: the concordance is not a number")
    return found


class _Level(NamedTuple):
    """Pairs whose ranks in time differ first in one bit: rows by block and risk."""

    order: Ints
    later: Bools  # of the rows in this order
    who: Ints  # those who leave, in the earlier half of their block
    start: Ints  # of the block, of the rows of equal risk, and their ends, for each of them
    low: Ints
    high: Ints
    end: Ints


class Pairs:
    """Comparable pairs: one customer is known to leave before the other.

    That is, i leaves at a time before the end of j, or at the same time if j is censored then; and j was under
    observation by that time. Pairs are split by the bits of their rank in time: within a block, the earlier half is
    compared with the later half, by sorted risks.

    Parameters
    ----------
    time : ndarray of float64, shape [n]
        Until leaving or censoring.
    event : ndarray of bool, shape [n]
        Whether the customer left.
    risk : ndarray of float64, shape [n]
        Higher: leaves earlier.
    entry : ndarray of float64, shape [n], optional
        When the customer came under observation, before ``time``: who enters at or after t was not at risk at t.
    """

    def __init__(self, time: Floats, event: Bools, risk: Floats, entry: Floats | None = None) -> None:
        # at equal times those who leave come first; equal ranks are not compared
        order = np.lexsort((~event, time))
        new = np.ones(len(time), bool)
        new[1:] = (np.diff(time[order]) != 0) | (np.diff(event[order].astype(np.int8)) != 0)
        rank = np.empty(len(time), np.int64)
        rank[order] = new.cumsum() - 1
        self._levels = [
            self._level(rank >> (bit + 1), (rank >> bit & 1).astype(bool), event, risk)
            for bit in range(int(rank.max(initial=0)).bit_length())
        ]
        self._entering = None
        if entry is not None:  # pairs of one who leaves at t and one who enters at or after t: to be taken off again
            none = np.zeros(len(time), bool)
            self._entering = Pairs(np.append(time, entry), np.append(event, none), np.append(risk, risk))

    @staticmethod
    def _level(block: Ints, later: Bools, event: Bools, risk: Floats) -> _Level:
        order = np.lexsort((risk, block))
        blocks, risks = block[order], risk[order]
        step = np.flatnonzero(np.diff(blocks)) + 1
        tie = np.flatnonzero((np.diff(blocks) != 0) | (np.diff(risks) != 0)) + 1
        firsts = np.concatenate([[0], step, [len(order)]])
        ties = np.concatenate([[0], tie, [len(order)]])
        early = np.flatnonzero(~later[order] & event[order])
        at_block = np.searchsorted(firsts, early, side="right")
        at_tie = np.searchsorted(ties, early, side="right")
        return _Level(
            order, later[order], order[early], firsts[at_block - 1], ties[at_tie - 1], ties[at_tie], firsts[at_block]
        )

    def concordance(self, weights: Floats, *early: Floats) -> list[float]:
        """Share of the comparable pairs whose earlier leaver has the higher risk; equal risks count half.

        One answer for each of ``early`` [n], which multiplies the weight of a row as the one that leaves first.
        """
        firsts = [weights * own for own in early]
        right, pairs = self.sums(firsts, weights)
        if self._entering is not None:
            none = np.zeros(len(weights))
            late = self._entering.sums([np.append(first, none) for first in firsts], np.append(none, weights))
            right, pairs = right - late[0], pairs - late[1]
            pairs[pairs < _NONE * late[1]] = 0  # what rounding of weights left of nothing
        return [float(won / all_) if all_ > 0 else np.nan for won, all_ in zip(right, pairs, strict=True)]

    def sums(self, firsts: list[Floats], weights: Floats) -> tuple[Floats, Floats]:
        """Weight of the pairs that are in the right order, and of all, for each of ``firsts``."""
        right, pairs = np.zeros(len(firsts)), np.zeros(len(firsts))
        for order, later, who, start, low, high, end in self._levels:
            below = np.concatenate([[0.0], np.cumsum(np.where(later, weights[order], 0.0))])
            wins, met = (below[low] + below[high]) / 2 - below[start], below[end] - below[start]
            right += [first[who] @ wins for first in firsts]
            pairs += [first[who] @ met for first in firsts]
        return right, pairs
