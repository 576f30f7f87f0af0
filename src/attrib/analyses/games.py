"""What the tables of all analyses share: rows by game."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

if TYPE_CHECKING:
    from attrib.engines.base import Tallies


def game_columns(tallies: Tallies, game: npt.NDArray[np.int64], own: Iterable[str]) -> dict[str, pl.Series]:
    """``by`` columns and stage of each row; one that bears a name of the table's own is prefixed with ``by_``."""
    taken = set(own)
    frame = tallies.games
    names = {column: f"by_{column}" if column in taken else column for column in frame.columns}
    return {name: frame[column][game].alias(name) for column, name in names.items()}
