"""The fitted chain of order 1 itself: which step follows which, how often."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.kernels.codes import CONVERSION, FIRST_PLAYER, NULL_STATE, PAD
from attrib.needs import Transitions
from attrib.schemas import VALUE
from attrib.views.frames import view_frame

if TYPE_CHECKING:
    from attrib.engines.base import Tallies

Ints = npt.NDArray[np.int64]
SOURCES = ("start", "player")
TARGETS = ("player", "conversion", "null")


def transitions_frame(tallies: Tallies) -> pl.DataFrame:
    """Table of steps with their counts and probabilities."""
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
    return view_frame(tallies, tally.games, columns)[order]


def _names(players: pl.DataFrame, codes: Ints, side: str) -> dict[str, pl.Series]:
    """Columns of the players that codes mean, null for other states."""
    rows = pl.Series(np.where(codes >= FIRST_PLAYER, codes - FIRST_PLAYER, -1))
    rows = rows.set(rows < 0, None)
    return {
        (f"{side}_{column}" if players.width > 1 else side): players[column].gather(rows) for column in players.columns
    }
