"""What people ask of journeys: one method a question, answered by a frame."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import polars as pl

from attrib.diagnostics.finding import Finding
from attrib.engines.paths import PathRecipe
from attrib.errors import SpecError
from attrib.needs import CUSTOMER_SET, PATH, Patterns, Totals
from attrib.schemas import LEDGER_COLUMNS
from attrib.stages import StageModel
from attrib.views.customers import mix_frame, overlap_frame, reach_frame
from attrib.views.funnel import funnel_frame
from attrib.views.groups import read_groups, switches_frame
from attrib.views.listing import journeys_frame
from attrib.views.of_paths import PathViews


class Views(PathViews):
    """All questions; the recipe behind them is the affair of :class:`attrib.Journeys`."""

    # customers and channels ---------------------------------------------------------------------------------------
    def reach(self) -> pl.DataFrame:
        """How many customers each player met; open journeys count.

        Returns
        -------
        polars.DataFrame
            The player's columns; ``customers`` with a touch of the player in a journey of the game; their ``share`` of
            the game's customers; ``only``: those who met no other player there; ``converted``: those with an attributed
            conversion in the game, on whichever journey; ``rate`` = converted / customers.

        Raises
        ------
        SpecError
            ``no_customers`` for a path table.

        Examples
        --------
        >>> import attrib
        >>> data = attrib.synth.generate(customers=200, seed=1)
        >>> attrib.Journeys.from_events(data.touchpoints, data.outcomes).reach().columns
        ['channel', 'customers', 'share', 'only', 'converted', 'rate']
        """
        self._check_customers("reach")
        return reach_frame(self._compared("reach", Patterns(CUSTOMER_SET)))

    def overlap(self) -> pl.DataFrame:
        """How many customers met both of two players; open journeys count.

        Returns
        -------
        polars.DataFrame
            One row a pair of players of a game, whether anybody met both or not: the player's columns with the suffixes
            ``_a`` and ``_b``; ``customers`` who met both, their ``share`` of the game's customers, ``jaccard`` = both /
            either, ``lift`` = share / product of the two players' shares (1: as often together as chance would have).

        Raises
        ------
        SpecError
            ``no_customers`` for a path table.
        ResourceError
            ``too_many_pairs``.

        Examples
        --------
        >>> import attrib
        >>> from datetime import datetime
        >>> day = datetime(2025, 1, 1)
        >>> touches = pl.DataFrame({"customer_id": [1, 1, 2], "timestamp": [day] * 3, "channel": ["ad", "tv", "ad"]})
        >>> orders = pl.DataFrame({"customer_id": [1], "timestamp": [day], "outcome": ["purchase"]})
        >>> attrib.Journeys.from_events(touches, orders).overlap().rows()
        [('ad', 'tv', 1, 0.5, 0.5, 1.0)]
        """
        self._check_customers("overlap")
        return overlap_frame(self.tallies((Patterns(CUSTOMER_SET),)))

    def mix(self, groups: Mapping[str, Collection[str]] | None = None, *, rest: str = "online") -> pl.DataFrame:
        """Customers who met one channel, several of one group, or several groups; open journeys count.

        Parameters
        ----------
        groups : mapping of str to list of str, optional
            Channels of each group, such as ``{"offline": ["store", "call"]}``. Without ``channel`` among the player's
            columns: players.
        rest : str
            Group of all other channels.

        Returns
        -------
        polars.DataFrame
            Three rows a game, ``mix`` = single (one channel), multi (several of one group), cross (several groups);
            ``customers`` and their ``share``, ``converted``: those with an attributed conversion in the game, ``rate``
            = converted / customers.

        Raises
        ------
        SpecError
            ``bad_groups``, ``unknown_channels``, ``no_customers`` for a path table.

        Examples
        --------
        >>> import attrib
        >>> from datetime import datetime
        >>> day = datetime(2025, 1, 1)
        >>> touches = pl.DataFrame({"customer_id": [1, 1, 2], "timestamp": [day] * 3, "channel": ["ad", "tv", "ad"]})
        >>> orders = pl.DataFrame({"customer_id": [1], "timestamp": [day], "outcome": ["purchase"]})
        >>> attrib.Journeys.from_events(touches, orders).mix({"offline": ["tv"]}).select("mix", "customers").rows()
        [('single', 1), ('multi', 0), ('cross', 1)]
        """
        self._check_customers("mix")
        tallies = self._compared("mix", Patterns(CUSTOMER_SET))
        return mix_frame(tallies, read_groups({} if groups is None else groups, rest, tallies.players))

    def switches(self, groups: Mapping[str, Collection[str]], *, rest: str = "online") -> pl.DataFrame:
        """Journeys that step from one group of channels to another, and back.

        Parameters
        ----------
        groups, rest
            As in :meth:`mix`.

        Returns
        -------
        polars.DataFrame
            Two rows a game and ordered pair of groups ``from`` and ``to``. ``back`` = false: journeys in which a touch
            of ``to`` directly follows one of ``from``; ``back`` = true: those of them that later step from ``to``
            directly to ``from``. ``journeys``, ``conversions``, ``nulls``, ``rate`` = conversions / journeys, ``share``
            of the game's journeys. A journey may count in several rows.

        Raises
        ------
        SpecError
            ``bad_groups``, ``unknown_channels``.

        Examples
        --------
        >>> import attrib
        >>> table = pl.DataFrame({"path": ["ad > shop > ad", "ad"], "total_conversions": [3, 1], "total_null": [1, 9]})
        >>> journeys = attrib.Journeys.from_paths(table)
        >>> switches = journeys.switches({"offline": ["shop"]})
        >>> switches.filter(pl.col("from") == "online").select("from", "to", "back", "journeys", "rate").rows()
        [('online', 'offline', False, 4, 0.75), ('online', 'offline', True, 4, 0.75)]
        """
        tallies = self._compared("switches", Patterns(PATH))
        return switches_frame(tallies, read_groups(groups, rest, tallies.players))

    # stages, rows, the journeys themselves ------------------------------------------------------------------------
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
            entry ``in`` is the sum of the others. The table ``unattributed`` takes the outcomes' entry of that name
            apart by reason: ``never_seen`` (no touch of the customer), ``after_only`` (touches only after it),
            ``too_old`` (none in the window), ``since_last`` (those in the window stand before the last conversion or
            the entry into the stage).
            Where outcomes have refunds: ``refunded`` (outcomes with nothing
            left, and all that was taken off outcomes), ``netted_refund`` (the rows that took it, value < 0) and
            ``unmatched_refund`` (the others; of one that exceeds its order, the rest of the value).
        """
        totals = self.tallies(()).get(Totals())
        conversions = {
            "credited": float(totals.counts("conversions").sum()),
            "unattributed": float(totals.counts("unattributed").sum()),
        }
        ledger = self._ledger()
        rows = [
            (table, entry, count, conversions.get(entry) if table == "outcomes" else None, value)
            for (table, entry), (count, value) in ledger.entries.items()
        ]
        if ledger.reasons:
            total, value = ledger.entries["outcomes", "unattributed"]
            rows.append(("unattributed", "in", total, conversions["unattributed"], value))
            rows += [("unattributed", why, n, float(c), v) for why, (n, c, v) in ledger.reasons.items()]
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
        ledger = self._ledger()
        return (*ledger.warnings, *(finding.text for finding in ledger.findings))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The same as far as programs may want it: what was found, how often, with examples (docs/warnings.md)."""
        return self._ledger().findings

    @property
    def facts(self) -> dict[str, Any]:
        """What the record of a run says of the events, by topic; nothing for a path table.

        ``times``: where outcomes stand (``day_of_outcome``), by which rule; ``ties``: touchpoints that share their time
        with another player's of the same customer, and the journeys whose order their names decide.
        """
        return self._ledger().facts

    def fingerprints(self) -> list[dict[str, Any]]:
        """Identify the inputs: files with size and hash, frames with their columns."""
        return [source.fingerprint() for source in self._sources]
