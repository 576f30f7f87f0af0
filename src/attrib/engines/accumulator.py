"""Tallies added up as they come, within a budget of memory."""

from __future__ import annotations

from attrib.errors import ResourceError
from attrib.needs import Need
from attrib.tally import Tally, merge

TALLY_FLOOR = 64 << 20  # bytes that tallies may take however small the limit for events is


class Accumulator:
    """A growing sum of tallies: parts wait until they outweigh what is merged, so that merging stays linear."""

    def __init__(self, need: Need, budget: int) -> None:
        self.need, self.budget = need, budget
        self._merged: Tally | None = None
        self._waiting: list[Tally] = []
        self._rows = 0

    def add(self, tally: Tally) -> None:
        """Add a part."""
        self._waiting.append(tally)
        self._rows += len(tally.keys)
        if self._rows > self._merged_rows + (1 << 18):
            self.total()

    @property
    def _merged_rows(self) -> int:
        return 0 if self._merged is None else len(self._merged.keys)

    def check(self, running: int, share: float | None) -> None:
        """Stop where the rows here and ``running`` elsewhere will not fit; ``share``: fraction of all units now seen.

        Raises
        ------
        ResourceError
            ``tally_too_large``.
        """
        size = (running + self._rows + self._merged_rows) * 8 * (1 + self.need.width)
        expected = size if share is None else size / share
        if expected > self.budget:
            by_unit = " by resampling unit" if share is not None else ""
            raise ResourceError(
                "tally_too_large",
                f"the sums of {self.need}{by_unit} need about {expected / 1e9:.1f} GB, "
                f"{self.budget / 1e9:.1f} GB are allowed",
                hint="lower the order, raise memory_limit" + (", or use intervals=None" if by_unit else ""),
                expected=int(expected),
                budget=self.budget,
            )

    def total(self) -> Tally:
        """Sum of all parts."""
        parts = self._waiting if self._merged is None else [self._merged, *self._waiting]
        self._merged, self._waiting, self._rows = merge(parts), [], 0
        return self._merged
