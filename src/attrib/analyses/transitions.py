"""The fitted chain of order 1 itself: which step follows which, how often."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.analyses.games import game_columns
from attrib.kernels.codes import CONVERSION, FIRST_PLAYER, NULL_STATE, PAD
from attrib.methods.base import check_journeys
from attrib.needs import Transitions
from attrib.schemas import VALUE

if TYPE_CHECKING:
    from attrib.journeys import Journeys

Ints = npt.NDArray[np.int64]
SOURCES = ("start", "player")
TARGETS = ("player", "conversion", "null")


def transitions(journeys: Journeys) -> pl.DataFrame:
    """Count the steps between touches, from start and to conversion or null.

    Parameters
    ----------
    journeys : Journeys
        From :meth:`attrib.Journeys.from_events` or :meth:`attrib.Journeys.from_paths`.

    Returns
    -------
    polars.DataFrame
        The ``by`` columns and ``stage``; ``from_kind`` (start or player), ``from`` (null unless a player; with
        several player columns one each, such as ``from_channel``); ``to_kind`` (player, conversion or null), ``to``
        likewise; ``count`` of steps (conversions and nulls that take them), ``probability`` = count over that of all
        steps from there, ``value`` on conversion (null elsewhere). Sorted by the keys.

    Raises
    ------
    DataError
        If the data cannot be read as journeys.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> from attrib.analyses.transitions import transitions
    >>> paths = pl.DataFrame({"path": ["ad > mail", "mail"], "total_conversions": [1, 0], "total_null": [0, 3]})
    >>> table = transitions(attrib.Journeys.from_paths(paths))
    >>> for row in table.select("from_kind", "from", "to_kind", "to", "count", "probability").rows():
    ...     print(row)
    ('start', None, 'player', 'ad', 1, 0.25)
    ('start', None, 'player', 'mail', 3, 0.75)
    ('player', 'ad', 'player', 'mail', 1, 1.0)
    ('player', 'mail', 'conversion', None, 1, 0.25)
    ('player', 'mail', 'null', None, 3, 0.75)
    """
    check_journeys(journeys)
    tallies = journeys.tallies((Transitions(1),))
    tally = tallies.get(Transitions(1))
    source, step, counts = tally.player(0), tally.player(1), tally.counts("count")
    _, at = np.unique(tally.contexts | (tally.games << tally.layout.bits), return_inverse=True)
    left = np.bincount(at, counts)
    from_kind = np.where(source == PAD, 0, 1)
    to_kind = np.select([step == CONVERSION, step == NULL_STATE], [1, 2], 0)
    # games and players are numbered in the order of their names
    order = np.lexsort([step, to_kind, source, tally.games])
    numbers = {
        "count": pl.Series(counts),
        "probability": pl.Series(counts / left[at]),
        VALUE: pl.Series(np.where(step == CONVERSION, tally.column("value"), np.nan)).fill_nan(None),
    }
    columns = {
        "from_kind": pl.Series([SOURCES[k] for k in from_kind], dtype=pl.Enum(SOURCES)),
        **_names(tallies.players, source, "from"),
        "to_kind": pl.Series([TARGETS[k] for k in to_kind], dtype=pl.Enum(TARGETS)),
        **_names(tallies.players, step, "to"),
        **numbers,
    }
    return pl.DataFrame({**game_columns(tallies, tally.games, columns), **columns})[order]


def _names(players: pl.DataFrame, codes: Ints, side: str) -> dict[str, pl.Series]:
    """Columns of the players that codes mean, null for other states."""
    rows = pl.Series(np.where(codes >= FIRST_PLAYER, codes - FIRST_PLAYER, -1))
    rows = rows.set(rows < 0, None)
    return {
        (f"{side}_{column}" if players.width > 1 else side): players[column].gather(rows) for column in players.columns
    }
