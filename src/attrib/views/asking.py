"""What people ask of journeys: one method a question, answered by a frame."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from attrib.engines.paths import PathRecipe
from attrib.errors import AttribWarning, SolveError, SpecError
from attrib.needs import CUSTOMER_SET, LENGTH, PATH, SECONDS, Need, Patterns, Totals, Transitions
from attrib.schemas import LEDGER_COLUMNS
from attrib.stages import StageModel
from attrib.views.customers import mix_frame, overlap_frame, reach_frame
from attrib.views.ends import ends_frame, read_quantiles, times_frame, touches_frame
from attrib.views.funnel import funnel_frame
from attrib.views.groups import read_groups, switches_frame
from attrib.views.listing import journeys_frame
from attrib.views.paths import check_paths, path_table, paths_frame

if TYPE_CHECKING:
    from attrib.engines.base import Engine, Ledger, Memory, Recipe, Tallies
    from attrib.io.sources import Source


class Views:
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

    def _ledger(self) -> Ledger:
        return self.engine.ledger(self._recipe, self._memory)

    def _compared(self, view: str, need: Need) -> Tallies:
        """Sums for a view that sets conversions against what did not convert."""
        tallies = self.tallies((need,))
        if tallies.no_nulls:
            warnings.warn(
                f"{view} compares conversions with nulls, but only outcomes carry {', '.join(tallies.no_nulls)}: null "
                "journeys stand in a game of their own",
                AttribWarning,
                stacklevel=3,
            )
        return tallies

    def _check_customers(self, view: str) -> None:
        if isinstance(self._recipe, PathRecipe):
            raise SpecError("no_customers", f"{view} counts customers, and a path table has none")

    # paths and their ends -----------------------------------------------------------------------------------------
    def paths(
        self, n: int | None = 50, sort: str = "frequency", *, worst: bool = False, min_journeys: int = 1
    ) -> pl.DataFrame:
        """Distinct paths with what came of them, the first ``n`` of each game.

        Parameters
        ----------
        n : int or None
            Most paths a game; None for all.
        sort : {"frequency", "conversions", "rate", "value"}
            What puts paths in order, the largest first. Ties: by the other numbers (as listed, the largest first), then
            by the players' names.
        worst : bool
            The smallest first; ties as before, so that ``sort="rate"`` shows the most frequent failures.
        min_journeys : int
            Leave out paths with fewer journeys.

        Returns
        -------
        polars.DataFrame
            ``path`` (a label for people), ``players`` (the same as a list, exact), ``length`` (touches),
            ``journeys``, ``conversions``, ``nulls`` (journeys = conversions + nulls), ``rate`` = conversions /
            journeys, ``value``, ``share`` of the game's journeys.

        Raises
        ------
        SpecError
            ``bad_value`` for an argument that is not what it must be.

        Examples
        --------
        >>> import attrib
        >>> table = pl.DataFrame({"path": ["ad > mail", "ad"], "total_conversions": [3, 1], "total_null": [1, 9]})
        >>> journeys = attrib.Journeys.from_paths(table)
        >>> journeys.paths(sort="rate").select("path", "journeys", "conversions", "rate").rows()
        [('ad > mail', 4, 3, 0.75), ('ad', 10, 1, 0.1)]
        """
        check_paths(n, sort, min_journeys)
        tallies = self._compared("paths", Patterns(PATH))
        return paths_frame(tallies, n=n, sort=sort, worst=bool(worst), min_journeys=min_journeys)

    def to_paths(self, sep: str = " > ") -> pl.DataFrame:
        """The path table that other packages read, and :meth:`attrib.Journeys.from_paths`.

        Parameters
        ----------
        sep : str
            What stands between touches.

        Returns
        -------
        polars.DataFrame
            ``path``, ``total_conversions``, ``total_conversion_value``, ``total_null``, sorted by path; unattributed
            conversions stand in a row with an empty path. Where there are games, pass on the rows of one: other
            packages know none.

        Raises
        ------
        SpecError
            ``bad_separator``.
        DataError
            ``ambiguous_names`` where players could not be told apart in the texts.

        Examples
        --------
        >>> import attrib
        >>> table = pl.DataFrame({"path": ["ad|mail", "ad"], "total_conversions": [3, 1], "total_null": [1, 9]})
        >>> attrib.Journeys.from_paths(table, sep="|").to_paths().rows()
        [('ad', 1, 1.0, 9), ('ad > mail', 3, 3.0, 1)]
        """
        return path_table(self.tallies((Patterns(PATH),)), sep)

    def ends(self) -> pl.DataFrame:
        """Where journeys end, by player.

        Returns
        -------
        polars.DataFrame
            The player's columns; ``converted`` and ``lost``: journeys that the player touched last, with a conversion
            (counting conversions) or without; ``loss_rate`` = lost / steps out of the player, each touch being one a
            journey; ``share_of_lost`` = lost / nulls of the game.

        Examples
        --------
        >>> import attrib
        >>> table = pl.DataFrame({"path": ["ad > mail", "ad"], "total_conversions": [3, 1], "total_null": [1, 9]})
        >>> attrib.Journeys.from_paths(table).ends().rows()
        [('ad', 1, 9, 0.6428571428571429, 0.9), ('mail', 3, 1, 0.25, 0.1)]
        """
        return ends_frame(self._compared("ends", Transitions(1)))

    def time_to_conversion(self, quantiles: Sequence[float] = (0.1, 0.5, 0.9)) -> pl.DataFrame:
        """Time from the first touch of a journey to its conversion, in whole seconds.

        Parameters
        ----------
        quantiles : sequence of float
            From 0 to 1. The quantile q is the smallest time that a share of at least q of the conversions do not
            exceed.

        Returns
        -------
        polars.DataFrame
            One row a game: ``conversions`` (attributed), ``mean_time``, and a column a quantile (``p10_time``,
            ``median_time``, ``p90_time``): durations, weighted by conversions, null without any.

        Raises
        ------
        SpecError
            ``bad_value`` for the quantiles.
        SolveError
            ``no_times`` for a path table.

        Examples
        --------
        >>> import attrib
        >>> data = attrib.synth.generate(customers=200, seed=1)
        >>> journeys = attrib.Journeys.from_events(data.touchpoints, data.outcomes)
        >>> journeys.time_to_conversion().columns
        ['conversions', 'mean_time', 'p10_time', 'median_time', 'p90_time']
        """
        read = read_quantiles(quantiles)
        if isinstance(self._recipe, PathRecipe):
            raise SolveError("no_times", "time_to_conversion asks for times, and a path table has none")
        return times_frame(self.tallies((Patterns(SECONDS),)), read)

    def touches_to_conversion(self) -> pl.DataFrame:
        """Journeys by their number of touches.

        Returns
        -------
        polars.DataFrame
            ``touches``, ``journeys``, ``conversions``, ``nulls``, ``rate`` = conversions / journeys, ``share`` of the
            game's attributed conversions, ``cumulative`` share of those with at most so many touches.

        Examples
        --------
        >>> import attrib
        >>> table = pl.DataFrame({"path": ["ad > mail", "ad"], "total_conversions": [3, 1], "total_null": [1, 9]})
        >>> attrib.Journeys.from_paths(table).touches_to_conversion().rows()
        [(1, 10, 1, 9, 0.1, 0.25, 0.25), (2, 4, 3, 1, 0.75, 0.75, 1.0)]
        """
        return touches_frame(self._compared("touches_to_conversion", Patterns(LENGTH)))

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
