"""attrib.positions: credit by the place of a touch in its journey."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from attrib.kernels.codes import FIRST_PLAYER
from attrib.methods.base import Method, check_journeys, touch_rule_of
from attrib.methods.rules import check_times
from attrib.methods.shapley import Shapley
from attrib.schemas import CONVERSIONS, VALUE
from attrib.views.frames import view_frame

if TYPE_CHECKING:
    from attrib.journeys import Journeys


def positions(journeys: Journeys, method: Method | None = None) -> pl.DataFrame:
    """Credit of every player by the position of its touches.

    Parameters
    ----------
    journeys : Journeys
        From :meth:`attrib.Journeys.from_events` or :meth:`attrib.Journeys.from_paths`.
    method : Method, optional
        A rule, or ``Shapley(worth="conversions")`` (default), whose 1/|S| of a player is spread equally over its
        occurrences in the journey.

    Returns
    -------
    polars.DataFrame
        The ``by`` columns, ``stage``, the player's columns, ``position`` (1 = first, after ``repeats``),
        ``conversions``, ``value``. A row for every position at which a player got credit; summed over positions it is
        the method's credit.

    Raises
    ------
    SpecError
        ``no_touch_shares`` for methods that credit players, not touches.

    References
    ----------
    Zhao, Mahboobi & Bagheri (2018), Shapley value methods for attribution modeling in online advertising, section 4.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> paths = pl.DataFrame({"path": ["a > b > a", "b > a"], "total_conversions": [4, 2]})
    >>> attrib.positions(attrib.Journeys.from_paths(paths)).select("channel", "position", "conversions").rows()
    [('a', 1, 1.0), ('a', 2, 1.0), ('a', 3, 1.0), ('b', 1, 1.0), ('b', 2, 2.0)]
    """
    check_journeys(journeys)
    method = Shapley() if method is None else method
    rule = touch_rule_of(method)
    need = replace(rule, by_position=True)
    tallies = journeys.tallies((need,))
    check_times(rule, has_times=tallies.has_times)
    tally = tallies.get(need)
    numbers = {"position": tally.tails, CONVERSIONS: tally.column(CONVERSIONS), VALUE: tally.column(VALUE)}
    # games and players are numbered in the order of their names
    order = np.lexsort([tally.tails, tally.player(0), tally.games])
    return view_frame(tallies, tally.games, numbers, {"": tally.player(0) - FIRST_PLAYER})[order]
