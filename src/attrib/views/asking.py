"""What people ask of journeys: one method a question, answered by a frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from attrib.engines.paths import PathRecipe
from attrib.errors import SpecError
from attrib.needs import Need, Totals
from attrib.schemas import LEDGER_COLUMNS
from attrib.stages import StageModel
from attrib.views.funnel import funnel_frame
from attrib.views.listing import journeys_frame

if TYPE_CHECKING:
    from attrib.engines.base import Engine, Ledger, Memory, Recipe, Tallies, Work
    from attrib.io.sources import Source


class Views:
    """Base of :class:`attrib.Journeys`: the questions; the recipe behind them is the subclass's affair."""

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

    def _ledger(self) -> Ledger:
        return self.engine.ledger(self._recipe, self._memory)

    def funnel(self) -> pl.DataFrame:
        """Customers by stage (docs/semantics.md, section 3).

        Returns
        -------
        polars.DataFrame
            ``stage``, ``entered``, ``advanced``, ``skipped``, ``stalled``, ``open`` (customers), ``rate`` =
            advanced / (entered − open), ``repeat_advances``, ``median_time`` and ``p90_time`` in the stage (Kaplan–
            Meier, null where not reached), ``touches_per_customer``.

        Raises
        ------
        SpecError
            ``no_stages`` where no milestones were given.
        """
        if isinstance(self._recipe, PathRecipe) or not isinstance(self._recipe.stages, StageModel):
            raise SpecError("no_stages", "a funnel needs stages with milestones", hint='e.g. stages="five"')
        return funnel_frame(self.engine.funnel(self._recipe, self._memory), self._recipe.stages.names)

    def reconcile(self) -> pl.DataFrame:
        """Account for every row: what went in equals what came out (docs/semantics.md, section 2).

        Returns
        -------
        polars.DataFrame
            ``table``, ``entry``, ``rows``, ``conversions`` (credited and unattributed only), ``value``. Per table the
            entry ``in`` is the sum of the others.
        """
        totals = self.tallies(()).get(Totals())
        conversions = {
            "credited": float(totals.counts("conversions").sum()),
            "unattributed": float(totals.counts("unattributed").sum()),
        }
        entries = self._ledger().entries
        rows = [
            (table, entry, count, conversions.get(entry) if table == "outcomes" else None, value)
            for (table, entry), (count, value) in entries.items()
        ]
        schema = dict(zip(LEDGER_COLUMNS, (pl.String, pl.String, pl.Int64, pl.Float64, pl.Float64), strict=True))
        return pl.DataFrame(rows, schema=schema, orient="row")

    def to_frame(self) -> pl.DataFrame:
        """One row a journey, for people who want to look.

        Returns
        -------
        polars.DataFrame
            ``customer_id``, the ``by`` columns, ``stage`` (advance view), ``status`` (converting, null, open,
            unattributed), ``path``, ``timestamps``, ``conversions``, ``value``, ``end`` (conversion or last touch).
            For path tables ``row`` in place of the customer, and no times.
        """
        reader, parts = self.engine.journeys(self._recipe, self._memory)
        return journeys_frame(self._recipe, reader, parts)

    def rejected(self) -> pl.DataFrame:
        """Rows that were not used, with the rule they broke.

        Returns
        -------
        polars.DataFrame
            ``table``, ``row`` (from 0), ``rule``, and the row's ``customer_id``, ``timestamp``, ``channel``,
            ``outcome``, ``value`` as text.
        """
        return self._ledger().rejected

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the reader of the results should know about the data."""
        return self._ledger().warnings

    def fingerprints(self) -> list[dict[str, Any]]:
        """Identify the inputs: files with size and hash, frames with their columns."""
        return [source.fingerprint() for source in self._sources]
