"""What all questions about journeys stand on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from attrib.engines.paths import PathRecipe
from attrib.engines.rows import gather
from attrib.errors import SpecError
from attrib.needs import Need

if TYPE_CHECKING:
    from attrib.engines.base import Engine, Ledger, Memory, Progress, Recipe, Tallies, Work
    from attrib.engines.rows import RowNeed, Rows
    from attrib.io.sources import Source


class Asked:
    """Base of :class:`attrib.Journeys`: the questions; the recipe behind them is the subclass's affair.

    Every frame begins with the ``by`` columns and ``stage`` where journeys have them; a column of the data that is
    named like one of the view's own gets ``by_`` or ``player_`` before its name. Players come as their columns; where
    one text must do, these are joined with ``": "``, and ``(none)`` stands for null. Open journeys count where that is
    said; unattributed conversions have no touch to look at, so only :meth:`to_paths` and :meth:`reconcile` hold them.
    """

    _recipe: Recipe | PathRecipe
    _sources: Sequence[Source]
    _memory: Memory
    engine: Engine

    def tallies(self, needs: tuple[Need, ...], *, units: bool = False) -> Tallies:
        """Sum what methods need over all journeys (for methods, not for people)."""
        return self.engine.tally(self._recipe, needs, units=units, memory=self._memory)

    def stream(self, work: Work) -> Iterator[tuple[Any, Any]]:
        """Work through the journeys, one partition at a time (for analyses, not for people)."""
        return self.engine.stream(self._recipe, self._memory, work)

    def rows(self, need: RowNeed, tallies: Tallies) -> Rows:
        """Read rows that sums do not hold, once (for methods, not for people)."""
        known = self._memory.rows.get(need)
        if known is None:
            known = self._memory.rows[need] = gather(self, need, tallies)
        return known

    @property
    def progress(self) -> Progress | None:
        """Whom to tell of long work."""
        return self.engine.progress

    def _ledger(self) -> Ledger:
        return self.engine.ledger(self._recipe, self._memory)

    def _compared(self, view: str, need: Need) -> Tallies:
        """Sums for a view that sets conversions against what did not convert."""
        tallies = self.tallies((need,))
        tallies.warn_without_nulls(view)
        return tallies

    def _check_customers(self, view: str) -> None:
        if isinstance(self._recipe, PathRecipe):
            raise SpecError("no_customers", f"{view} counts customers, and a path table has none")
