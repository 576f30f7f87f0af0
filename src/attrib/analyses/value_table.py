"""Value credit beside the same adjusted, by the rows of a credit table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from attrib.analyses.acquisitions import Acquisitions, Floats, Ints
from attrib.engines.base import BUCKETS, Units
from attrib.engines.rows import rows_of
from attrib.intervals import LARGEST, Replicates, Resampling, check_size
from attrib.methods.base import cells_of
from attrib.schemas import KIND, KINDS, METHOD
from attrib.views.frames import game_columns, player_columns

if TYPE_CHECKING:
    from attrib.journeys import Journeys

DIRECT, DIFFERENCE = "direct", "difference"


@dataclass(frozen=True, slots=True)
class ValueTable:
    """The rows of the table, and what fills them."""

    journeys: Journeys
    won: Acquisitions
    label: str
    name: str
    resampling: Resampling | None

    def fill(self, unit: Ints, direct: tuple[Floats, Floats], adjusted: tuple[Floats, Floats]) -> pl.DataFrame:
        """Credit by row; each credit from the customers' totals and the part that their referral touches keep."""
        from attrib.kernels import forest as kernel

        unplaced = any(bool(total[~self.won.acquired].any()) for total, _ in (direct, adjusted))
        keys, touch_rows, without_touch = self._rows(unplaced=unplaced)
        if self.resampling is not None:
            hint = "use fewer by columns or players, or intervals=None"
            check_size(keys.height * max(BUCKETS, self.resampling.replicates), hint)
        # summed by bucket without intervals too, so that asking for them changes no digit
        buckets = BUCKETS if keys.height * BUCKETS <= LARGEST else 1
        unit = unit if buckets == BUCKETS else np.zeros(len(unit), np.int64)
        sums = []
        for total, kept in (direct, adjusted):
            out = np.zeros((buckets, keys.height))
            kernel.spread(
                self.won.offsets, touch_rows, self.won.weights, self.won.referral, without_touch, unit, total, kept, out
            )
            sums.append(out)
        by_unit = {DIRECT: sums[0], self.name: sums[1], DIFFERENCE: sums[1] - sums[0]}
        point = {name: values.sum(axis=0) for name, values in by_unit.items()}
        point[DIFFERENCE] = point[self.name] - point[DIRECT]  # to the last digit
        bounds: dict[str, Floats] = {}
        if self.resampling is not None:
            for name, values in by_unit.items():
                low, high = self.resampling.percentiles(_draw(self.resampling, values))
                bounds |= {f"{name}_low": low, f"{name}_high": high}
        table = keys.with_columns(pl.Series(name, numbers) for name, numbers in (point | bounds).items())
        named = keys.columns[: keys.columns.index(KIND)]
        return table.sort(*named, KIND, nulls_last=False, maintain_order=True)

    def _rows(self, *, unplaced: bool) -> tuple[pl.DataFrame, Ints, Ints]:
        """Keys of the rows; the row of every touch; and of every customer, where there is no touch.

        Rows are those of the credit table, players first, then one a game. Where value is ``unplaced``, customers who
        are in no game have that of the game without names, which is added if there is none.
        """
        won, tallies = self.won, self.journeys.tallies(())
        cells, n_games = cells_of(tallies), tallies.n_games
        games = rows_of(won.reader.game_frame(), tallies.games)
        none = 0
        if tallies.games.width and unplaced:
            nameless = tallies.games.select(pl.all_horizontal(pl.all().is_null())).to_series().arg_true()
            none = int(nameless[0]) if len(nameless) else n_games
        game = np.where(won.game >= 0, games[won.game], none)
        players = rows_of(won.reader.player_frame(), tallies.players)
        touch_rows = cells.find(np.repeat(game, np.diff(won.offsets)), players[won.players])

        others = np.arange(max(n_games, none + 1))
        taken = {KIND, METHOD, *self._numbers}
        columns = game_columns(_and_null(tallies.games), np.concatenate([cells.game, others]), taken)
        nobody = np.full(len(others), tallies.players.height)
        columns |= player_columns(_and_null(tallies.players), np.concatenate([cells.player, nobody]), taken)
        kinds = np.repeat(np.array(KINDS[:2]), [len(cells.game), len(others)])
        columns |= {KIND: pl.Series(kinds, dtype=pl.Enum(KINDS)), METHOD: pl.repeat(self.label, len(kinds), eager=True)}
        return pl.DataFrame(columns), touch_rows, len(cells.game) + game

    @property
    def _numbers(self) -> tuple[str, ...]:
        numbers = (DIRECT, self.name, DIFFERENCE)
        return (*numbers, *(f"{number}_{side}" for number in numbers for side in ("low", "high")))


def _and_null(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with a row of nulls behind its last one."""
    return pl.concat([frame, frame.clear(1)])


def _draw(resampling: Resampling, sums: Floats) -> Floats:
    """Replicates [R, n] of sums by bucket [buckets, n]."""
    from attrib.kernels import replicates

    units = Units("buckets", np.zeros(len(sums), np.int64))
    weights = Replicates.draw(units, resampling.seed, 0, resampling.replicates).weights
    some = np.flatnonzero(sums)
    starts = np.searchsorted(some, np.arange(len(sums) + 1) * sums.shape[1])
    out = np.empty((resampling.replicates, sums.shape[1]))
    keys = (some % sums.shape[1]).astype(np.int32)
    replicates.weigh_by_unit(weights, starts, keys, sums.ravel()[some], out)
    return out
