"""Which outcomes have values below and above 0: refunds of an outcome that has no orders lower nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from attrib.engines.coding import Codes, Kinds

Marks = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Signs:
    """By kind of outcome, whether some row is below 0, and whether some is above; ``told``: by name, of other rows."""

    below: Marks = field(default_factory=lambda: np.zeros(0, np.bool_))
    above: Marks = field(default_factory=lambda: np.zeros(0, np.bool_))
    told: dict[str, list[bool]] = field(default_factory=dict)

    def add(self, kinds: Codes, values: npt.NDArray[np.float64], n: int) -> int:
        """Mark the kinds of some rows, of ``n`` kinds known; returns how many rows are below 0."""
        below = values < 0
        count = int(below.sum())
        if count:
            self.below = _marked(self.below, kinds[below], n)
        self.above = _marked(self.above, kinds[values > 0], n)
        return count

    def by_outcome(self, kinds: Kinds) -> dict[str, list[bool]]:
        """Whether some row is below 0, and whether some is above, of every outcome with either."""
        found = {name: list(signs) for name, signs in self.told.items()}
        outcomes = kinds.dictionaries[0].values
        for sign, marks in enumerate((self.below, self.above)):
            for code in np.unique(kinds.codes[: len(marks), 0][marks]).tolist():
                assert outcomes is not None
                found.setdefault(str(outcomes[code]), [False, False])[sign] = True
        return found

    def tell(self, signs: Mapping[str, Sequence[bool]]) -> None:
        """Take note of rows that were read elsewhere."""
        for name, (below, above) in signs.items():
            known = self.told.setdefault(name, [False, False])
            known[:] = [known[0] or below, known[1] or above]


def _marked(marks: Marks, at: Codes, n: int) -> Marks:
    if len(marks) < n:
        marks = np.concatenate([marks, np.zeros(n - len(marks), np.bool_)])
    marks[at] = True
    return marks
