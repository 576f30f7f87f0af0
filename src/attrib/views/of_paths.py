"""What people ask of paths: which there are, where they end, how long they take."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from attrib.engines.paths import PathRecipe
from attrib.errors import SolveError
from attrib.needs import LENGTH, PATH, SECONDS, Patterns, Transitions
from attrib.views.base import Asked
from attrib.views.ends import ends_frame, read_quantiles, times_frame, touches_frame
from attrib.views.paths import check_paths, path_table, paths_frame
from attrib.views.transitions import transitions_frame


class PathViews(Asked):
    """Questions about paths."""

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
            The player's columns; ``conversions`` and ``nulls`` of the journeys that the player touched last;
            ``exit_rate`` = nulls / steps out of the player, each touch being one a
            journey; ``share_of_nulls`` = nulls / those of the game.

        Examples
        --------
        >>> import attrib
        >>> table = pl.DataFrame({"path": ["ad > mail", "ad"], "total_conversions": [3, 1], "total_null": [1, 9]})
        >>> attrib.Journeys.from_paths(table).ends().rows()
        [('ad', 1, 9, 0.6428571428571429, 0.9), ('mail', 3, 1, 0.25, 0.1)]
        """
        return ends_frame(self._compared("ends", Transitions(1)))

    def transitions(self) -> pl.DataFrame:
        """Steps between touches, from start and to conversion or null: the chain of order 1.

        Returns
        -------
        polars.DataFrame
            ``from_kind`` (start or player), ``from`` (null unless a player; with several player columns one each, such
            as ``from_channel``); ``to_kind`` (player, conversion or null), ``to`` likewise; ``count`` of steps
            (conversions and nulls that take them), ``probability`` = count over that of all steps from there,
            ``value`` on conversion (null elsewhere). Sorted by the keys.

        Examples
        --------
        >>> import attrib, polars as pl
        >>> paths = pl.DataFrame({"path": ["ad > mail", "mail"], "total_conversions": [1, 0], "total_null": [0, 3]})
        >>> table = attrib.Journeys.from_paths(paths).transitions()
        >>> for row in table.select("from_kind", "from", "to_kind", "to", "count", "probability").rows():
        ...     print(row)
        ('start', None, 'player', 'ad', 1, 0.25)
        ('start', None, 'player', 'mail', 3, 0.75)
        ('player', 'ad', 'player', 'mail', 1, 1.0)
        ('player', 'mail', 'conversion', None, 1, 0.25)
        ('player', 'mail', 'null', None, 3, 0.75)
        """
        return transitions_frame(self._compared("transitions()", Transitions(1)))

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
