"""The touches of journeys that end in a conversion or without one, with their times: what foretelling by time needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from attrib.journeys import Journeys
from attrib.kernels.codes import CONVERTING, FIRST_PLAYER, NULL
from attrib.ragged import NEVER, Ragged
from attrib.schemas import CONVERSIONS, NULLS, STAGE
from attrib.views.frames import player_labels

_SECONDS = 86_400
_SCHEMA = {
    STAGE: pl.String, "journey": pl.Int64, "label": pl.String, "age": pl.Float64, "reach": pl.Float64,
    CONVERSIONS: pl.Int64, NULLS: pl.Int64,
}  # fmt: skip


def watched(journeys: Journeys) -> pl.DataFrame | None:
    """List touches of journeys that convert and of those that do not, as they stand at the last touch.

    Parameters
    ----------
    journeys : Journeys

    Returns
    -------
    polars.DataFrame or None
        One row a touch, in order: ``stage`` of the journey's game (null without), ``journey`` (a number), ``label`` of
        the player, ``age`` (days from the touch to the journey's last one), ``reach`` (days from the touch to the end
        of its lookback or of the data, whichever is first, but not before the last touch: nothing that tells whether
        the journey converted), ``conversions`` and ``nulls`` of the journey. None for path tables, which have no times.
    """
    frames, before = [pl.DataFrame(schema=_SCHEMA)], 0
    for _, made in journeys.stream(_touches):
        if made is None:
            return None
        frames.append(made.with_columns(pl.col("journey") + before))
        before += int(made["journey"].max() or 0) + 1
    return pl.concat(frames)


def _touches(reader: Any, _events: Any, ragged: Ragged) -> pl.DataFrame | None:
    """Touches of a partition."""
    if not ragged.has_times or ragged.lookback_of_kind is None:
        return None
    lengths = np.diff(ragged.offsets)
    taken = (lengths > 0) & ((ragged.status == CONVERTING) | (ragged.status == NULL))
    journey = np.repeat(np.arange(len(lengths)), lengths)
    at = np.flatnonzero(taken[journey])
    journey = journey[at]
    day = float(ragged.ticks_per_second * _SECONDS)
    last = ragged.times[ragged.offsets[1:][journey] - 1]
    age = (last - ragged.times[at]) / day
    lookback = ragged.lookback_of_kind[ragged.kinds[at]]
    limit = np.where(lookback < 0, NEVER, lookback) / day
    reach = np.maximum(np.minimum(limit, (reader.end - ragged.times[at]) / day), age)
    games = reader.game_frame()
    stage = games[STAGE].cast(pl.String) if STAGE in games.columns else None
    codes = ragged.players[at].astype(np.int64) - FIRST_PLAYER
    columns = (
        pl.Series([None] * len(at), dtype=pl.String) if stage is None else stage.gather(ragged.game[journey]),
        journey, player_labels(reader.player_frame()).gather(codes), age, reach,
        ragged.conversions[journey], ragged.nulls[journey],
    )  # fmt: skip
    return pl.DataFrame(dict(zip(_SCHEMA, columns, strict=True)), schema=_SCHEMA)
