"""The journeys themselves, as a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from attrib.engines.paths import PathRecipe
from attrib.kernels.codes import FIRST_PLAYER, STATUSES
from attrib.ragged import Events, Ragged
from attrib.schemas import CONVERSIONS, CUSTOMER, NULLS, VALUE
from attrib.views.frames import player_labels
from attrib.views.funnel import UNITS

if TYPE_CHECKING:
    from attrib.engines.base import Recipe
    from attrib.engines.events import EventReader

OWN = frozenset((CUSTOMER, "status", "path", "timestamps", CONVERSIONS, VALUE, "end"))  # columns of to_frame itself


def journeys_frame(recipe: Recipe | PathRecipe, reader: Any, parts: list[tuple[Any, Ragged]]) -> pl.DataFrame:
    """Table of journeys, one row each."""
    if isinstance(recipe, PathRecipe):
        return pl.concat([_path_rows(reader, ragged) for _, ragged in parts])
    labels, games, ids = player_labels(reader.player_frame()), reader.game_frame(), customers_of(reader)
    frames = [_event_rows(reader, events, ragged, labels, games) for events, ragged in parts]
    frame = pl.concat(frames).join(ids, on=[c for c in ids.columns if c != CUSTOMER], how="left", maintain_order="left")
    columns = [CUSTOMER, *(c for c in frame.columns if not c.startswith("__") and c != CUSTOMER)]
    return frame.select(columns).sort(CUSTOMER, "end", maintain_order=True)


def _texts(ragged: Ragged, labels: pl.Series) -> pl.Series:
    """Paths as text, one a journey."""
    lengths = np.diff(ragged.offsets)
    flat = pl.DataFrame({
        "journey": np.repeat(np.arange(len(lengths)), lengths),
        "label": labels.gather(ragged.players.astype(np.int64) - FIRST_PLAYER),
    })  # fmt: skip
    joined = flat.group_by("journey", maintain_order=True).agg(pl.col("label").str.join(" > "))
    everyone = pl.DataFrame({"journey": np.arange(len(lengths))})
    return everyone.join(joined, on="journey", how="left", maintain_order="left")["label"].fill_null("").alias("path")


def _path_rows(reader: Any, ragged: Ragged) -> pl.DataFrame:
    return pl.DataFrame({
        "row": ragged.customer,
        "status": [STATUSES[s] for s in ragged.status],
        "path": _texts(ragged, reader.channels.values[1:]),
        CONVERSIONS: ragged.conversions,
        NULLS: ragged.nulls,
        VALUE: ragged.value,
    })  # fmt: skip


def _event_rows(
    reader: EventReader, events: Events, ragged: Ragged, labels: pl.Series, games: pl.DataFrame
) -> pl.DataFrame:
    time = time_type(reader)
    stamps = pl.Series(ragged.times).cast(time)
    lengths = np.diff(ragged.offsets)
    lists = (
        pl.DataFrame({"journey": np.repeat(np.arange(len(lengths)), lengths), "time": stamps})
        .group_by("journey", maintain_order=True)
        .agg("time")
    )
    times = pl.DataFrame({"journey": np.arange(len(lengths))}).join(
        lists, on="journey", how="left", maintain_order="left"
    )
    identity = events.identity[ragged.customer]
    columns: dict[str, Any] = {f"__id{i}": identity[:, i] for i in range(identity.shape[1])}
    columns |= {
        f"by_{name}" if name in OWN else name: games[name][ragged.game.astype(np.int64)] for name in games.columns
    }
    columns |= {
        "status": pl.Series([STATUSES[s] for s in ragged.status], dtype=pl.String),  # a partition may be empty
        "path": _texts(ragged, labels),
        "timestamps": times["time"].fill_null(pl.Series([[]], dtype=pl.List(time))),
        CONVERSIONS: ragged.conversions,
        VALUE: ragged.value,
        "end": pl.Series(ragged.end).cast(time),
    }
    return pl.DataFrame(columns)


def time_type(reader: EventReader) -> pl.Datetime:
    """Type of the times of a reader's journeys, which are in ticks."""
    aware = reader.touches.aware or reader.outcomes.aware
    return pl.Datetime(UNITS[reader.ticks], "UTC" if aware else None)  # type: ignore[arg-type]


def customers_of(reader: EventReader) -> pl.DataFrame:
    """Customers with the words that identify them."""
    from attrib.engines.customers import hash_customers

    dtype = {"text": pl.String, "integer": pl.Int64, "unsigned": pl.UInt64}[reader.ids]
    frames = [r.source.frame.select(pl.col(CUSTOMER).cast(dtype)) for r in (reader.touches, reader.outcomes)]
    ids = pl.concat(frames).drop_nulls().unique().collect()[CUSTOMER]
    words = hash_customers(ids, reader.ids)
    return pl.DataFrame({CUSTOMER: ids, **{f"__id{i}": word for i, word in enumerate(words)}})
