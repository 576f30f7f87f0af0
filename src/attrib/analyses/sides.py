"""One side of a comparison: shares and conversions of the players by several methods, and of their replicates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import SpecError, brief
from attrib.intervals import Resampling, check_size, numbers_of
from attrib.methods.base import (
    Cells,
    Draw,
    Method,
    Observed,
    cells_of,
    replace_sums,
    sums_for,
    warn_about,
    warn_of_nulls,
)
from attrib.schemas import CONVERSIONS, SHARE, STAGE
from attrib.views.frames import game_columns, player_columns

if TYPE_CHECKING:
    from attrib.engines.base import Tallies
    from attrib.journeys import Journeys

Floats = npt.NDArray[np.float64]
# columns of the answers beside those that name their rows
OWN = (
    "spread", "other", "rank_correlation", "distance", "share_other", "conversions_other",
    *(f"{number}_difference{end}" for number in (SHARE, CONVERSIONS) for end in ("", "_low", "_high")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Side:
    """Credit of one set of journeys: rows are players of games.

    ``keys``: their names; ``share`` and ``conversions`` float64 [methods, rows]; ``drawn``: the same for replicates,
    [methods, R, rows]; ``games``: columns of the game.
    """

    keys: pl.DataFrame
    games: tuple[str, ...]
    game: npt.NDArray[np.int64]
    share: Floats
    conversions: Floats
    drawn: dict[str, Floats] | None
    jackknife: bool

    @staticmethod
    def read(
        journeys: Journeys,
        methods: Mapping[str, Method],
        resampling: Resampling | None,
        *,
        jackknife: bool = False,
        again: bool = False,
    ) -> Side:
        """Credit the journeys, and their replicates."""
        tallies = sums_for(journeys, methods.values(), units=resampling is not None)
        cells, chosen = cells_of(tallies), list(methods.values())
        n, games = len(cells.game), slice(0, tallies.n_games)
        for method in chosen if not again else ():
            warn_about(method, tallies)

        def solver(sums: Tallies) -> Callable[[Draw], list[Floats]]:
            """Conversions and share of the players, by method, [draws, methods, rows] each."""
            solve = numbers_of(chosen, sums, cells, games)

            def two(draw: Draw) -> list[Floats]:
                numbers = solve(draw)
                return [np.stack([values[:, :n] for values in numbers[first::4]], axis=1) for first in (0, 2)]

            return two

        conversions, share = (exact[0] for exact in solver(replace_sums(tallies))(Observed()))
        for method, credited in zip(chosen if not again else (), conversions, strict=False):
            warn_of_nulls(method, credited, credited)
        drawn = None
        if resampling is not None:
            jackknife = jackknife or any(method._jackknife(cells) for method in chosen)  # noqa: SLF001
            hint = "compare fewer methods or games at a time, or use intervals=None"
            check_size(len(chosen) * n * resampling.replicates, hint)
            solve = solver(replace(tallies, workers=1))
            arrays = resampling.left_out(tallies, solve) if jackknife else resampling.draws(tallies, solve)
            drawn = {name: values.swapaxes(0, 1) for name, values in zip((CONVERSIONS, SHARE), arrays, strict=True)}
        keys, game_columns = keys_of(tallies, cells)
        return Side(keys, game_columns, cells.game, share, conversions, drawn, jackknife)

    def split(self, between: tuple[str, Any, Any]) -> tuple[Side, Side]:
        """Two segments: the rows with either value of a column, without it."""
        if not isinstance(between, tuple) or len(between) != 3:
            raise SpecError(
                "bad_comparison",
                f"between = {brief(between)} is not a column and two values",
                hint='("country", "de", "fr")',
            )
        column, *values = between
        if values[0] is values[1] or values[0] == values[1]:
            raise SpecError("bad_comparison", f"between compares {values[0]!r} with itself")
        if column in OWN:
            column = f"by_{column}"
        if column not in self.games:
            known = ", ".join(self.games) or "none"
            raise SpecError(
                "bad_comparison", f"between: {brief(column)} is no column of the games", hint=f"by columns: {known}"
            )
        sides = []
        for value in values:
            found = self.keys[column].unique(maintain_order=True).to_list()
            rows = np.flatnonzero([cell == value for cell in self.keys[column].to_list()])
            if not len(rows):
                raise SpecError(
                    "bad_comparison", f"between: {column} is never {brief(value)}", hint=f"values: {str(found)[:200]}"
                )
            sides.append(self._take(rows, column))
        return sides[0], sides[1]

    def _take(self, rows: npt.NDArray[np.int64], without: str) -> Side:
        drawn = None if self.drawn is None else {name: values[:, :, rows] for name, values in self.drawn.items()}
        games = tuple(name for name in self.games if name != without)
        return replace(
            self, keys=self.keys[rows].drop(without), games=games, game=self.game[rows], share=self.share[:, rows],
            conversions=self.conversions[:, rows], drawn=drawn,
        )  # fmt: skip


def spell(keys: pl.DataFrame) -> str:
    """Spell the columns of keys, and the stages, for people."""
    stages = f" ({', '.join(keys.schema[STAGE].categories)})" if STAGE in keys.columns else ""  # type: ignore[attr-defined]
    return f"the columns {', '.join(keys.columns)}{stages}"


def keys_of(tallies: Tallies, cells: Cells) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Names of every cell: by columns, stage, the player's columns; and which of them name the game."""
    taken = set(OWN)
    games = game_columns(tallies.games, cells.game, taken)
    return pl.DataFrame(games | player_columns(tallies.players, cells.player, taken)), tuple(games)
