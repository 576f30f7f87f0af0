"""Rows in the order of random keys: dealt to ranges of keys, through files where they are many, then sorted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from attrib.synth.generator import range_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

HELD_ROWS = 6_000_000  # held before they go to disk: about 60 bytes each
ROW_GROUP = 500_000
_KEY = "__key"


class Shuffle:
    """Takes the rows of a table in any batches, gives them back by range of their keys, in the order of the keys.

    Parameters
    ----------
    folder : Path
        Where rows go beyond what is held; made when needed, removed by the caller.
    ranges : int
        Ranges of keys: the rows of one are sorted in memory.
    """

    def __init__(self, folder: Path, ranges: int) -> None:
        self._folder, self._ranges = folder, ranges
        self._held: list[tuple[pl.DataFrame, NDArray[np.uint64]]] = []
        self._rows = self._files = 0
        self._spilled: dict[int, list[Path]] = {}

    def add(self, frame: pl.DataFrame, keys: NDArray[np.uint64]) -> None:
        """Take the rows of a batch, each with its key."""
        self._held.append((frame, keys))
        self._rows += frame.height
        if self._rows > HELD_ROWS:
            self._spill()

    def take(self, number: int) -> Iterator[pl.DataFrame]:
        """Give the rows of a range in the order of their keys; rows with one key in the order they came."""
        if self._spilled and self._held:
            self._spill()
        if self._spilled:
            files = self._spilled.pop(number, [])
            rows = pl.concat([pl.read_ipc(file) for file in files]) if files else None
            for file in files:
                file.unlink()
        else:
            rows = self._dealt().get(number)
        if rows is None:
            return
        places = np.argsort(rows[_KEY].to_numpy(), kind="stable")
        rows = rows.drop(_KEY)
        for i in range(0, places.size, ROW_GROUP):
            yield rows[places[i : i + ROW_GROUP]]

    def _dealt(self) -> dict[int, pl.DataFrame]:
        """The rows held, by range."""
        if not self._rows:
            return {}
        keys = np.concatenate([keys for _, keys in self._held])
        rows = pl.concat([frame for frame, _ in self._held]).with_columns(pl.Series(_KEY, keys))
        if self._ranges == 1:
            return {0: rows}
        place = range_of(keys, self._ranges)
        order = np.argsort(place, kind="stable")
        cuts = np.searchsorted(place[order], np.arange(self._ranges + 1, dtype=np.uint64))
        return {i: rows[order[cuts[i] : cuts[i + 1]]] for i in range(self._ranges) if cuts[i] < cuts[i + 1]}

    def _spill(self) -> None:
        self._folder.mkdir(exist_ok=True)
        for number, rows in self._dealt().items():
            file = self._folder / f"{number}-{self._files}.arrow"
            rows.write_ipc(file)
            self._spilled.setdefault(number, []).append(file)
        self._files += 1
        self._held.clear()
        self._rows = 0
