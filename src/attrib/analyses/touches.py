"""attrib.journey_credit: what every touch of every converting journey is credited with."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from attrib.errors import SpecError, brief
from attrib.io import sinks
from attrib.kernels.codes import FIRST_PLAYER
from attrib.methods.base import Method, check_journeys, touch_rule_of
from attrib.methods.rules import check_times
from attrib.needs import RuleSums
from attrib.schemas import CONVERSIONS, CUSTOMER, TIME, VALUE
from attrib.summing import touch_weights
from attrib.views.frames import game_columns, player_columns
from attrib.views.listing import customers_of, time_type

if TYPE_CHECKING:
    from attrib.journeys import Journeys
    from attrib.ragged import Ragged

OWN = (CUSTOMER, "row", TIME, "conversion_time", "position", "touches", "weight", CONVERSIONS, VALUE)


def journey_credit(journeys: Journeys, method: Method, to: str | Path | None = None) -> pl.DataFrame | pl.LazyFrame:
    """Credit every touch of every converting journey, by a method that has shares within a journey.

    Parameters
    ----------
    journeys : Journeys
        From :meth:`attrib.Journeys.from_events` or :meth:`attrib.Journeys.from_paths`.
    method : Method
        A rule, or ``Shapley(worth="conversions")``, whose 1/|S| of a player is spread equally over its touches.
    to : str or Path, optional
        A parquet file to stream into, partition by partition, in place of a table in memory. It appears under its
        name only once it is whole.

    Returns
    -------
    polars.DataFrame, or polars.LazyFrame of the file
        One row a touch: ``customer_id``, the ``by`` columns, ``stage``, the player's columns, ``timestamp`` of the
        touch, ``conversion_time``, ``position`` (from 1, after ``repeats``), ``touches`` of the journey, ``weight``
        (they sum to 1 over a journey), ``conversions`` and ``value``. Path tables have ``row`` in place of the
        customer, and no times. A column of the data with one of these names is called ``by_…`` or ``player_…``. Summed
        by player, it is the player's row of the credit table; unattributed conversions have no touch, hence no row.

    Raises
    ------
    SpecError
        ``no_touch_shares`` for Markov and other methods that credit players, not touches.
    ResourceError
        If the file cannot be written.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> paths = pl.DataFrame({"path": ["a > b > a"], "total_conversions": [3]})
    >>> touches = attrib.journey_credit(attrib.Journeys.from_paths(paths), attrib.Linear())
    >>> touches.select("channel", "position", "weight", "conversions").with_columns(pl.col("weight").round(3)).rows()
    [('a', 1, 0.333, 1.0), ('b', 2, 0.333, 1.0), ('a', 3, 0.333, 1.0)]
    """
    check_journeys(journeys)
    rule = touch_rule_of(method)
    check_times(rule, has_times=journeys.tallies(()).has_times)
    if to is None:
        return pl.concat(_frames(journeys, rule))
    if not isinstance(to, (str, Path)) or not str(to).strip():
        raise SpecError("bad_value", f"to = {brief(to)} is not the path of a file", hint='e.g. "touches.parquet"')
    target = Path(to)
    sinks.write_set({target: partial(_stream, journeys, rule)})
    return pl.scan_parquet(target, glob=False)


def _stream(journeys: Journeys, rule: RuleSums, file: IO[bytes]) -> None:
    frames = _frames(journeys, rule)
    first = next(frames)  # there always is one, if only with the columns

    def source(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        del with_columns, predicate, n_rows, batch_size  # the whole table is asked for
        yield first
        yield from frames

    register_io_source(source, schema=first.schema).sink_parquet(file, maintain_order=True)


def _frames(journeys: Journeys, rule: RuleSums) -> Iterator[pl.DataFrame]:
    customers: pl.DataFrame | None = None
    for reader, (ragged, weights, identity) in journeys.stream(partial(_weigh, rule)):
        if identity is not None and customers is None:
            customers = customers_of(reader)
        yield _rows(reader, ragged, weights, identity, customers)


def _weigh(rule: RuleSums, reader: Any, events: Any, ragged: Ragged) -> tuple[Ragged, Any, Any]:
    """Run on a thread of the pool."""
    weights = touch_weights(ragged, rule)
    return ragged, weights, events.identity if reader.has_times else None


def _rows(reader: Any, ragged: Ragged, weights: Any, identity: Any, customers: pl.DataFrame | None) -> pl.DataFrame:
    """Rows of a partition's converting journeys."""
    lengths = np.diff(ragged.offsets)
    chosen = np.flatnonzero((ragged.conversions > 0) & (lengths > 0))
    journey = np.repeat(chosen, lengths[chosen])
    starts = np.repeat(np.cumsum(lengths[chosen]) - lengths[chosen], lengths[chosen])
    position = np.arange(len(journey)) - starts
    touch = ragged.offsets[journey] + position
    players, games = reader.player_frame(), reader.game_frame()
    taken = set(OWN)
    columns = game_columns(games, ragged.game[journey].astype(np.int64), taken)
    columns |= player_columns(players, ragged.players[touch].astype(np.int64) - FIRST_PLAYER, taken)
    if identity is not None:
        time = time_type(reader)
        columns[TIME] = pl.Series(ragged.times[touch]).cast(time)
        columns["conversion_time"] = pl.Series(ragged.end[journey]).cast(time)
    columns |= {
        "position": position + 1,
        "touches": lengths[journey],
        "weight": weights[touch],
        CONVERSIONS: weights[touch] * ragged.conversions[journey],
        VALUE: weights[touch] * ragged.value[journey],
    }
    frame = pl.DataFrame(columns)
    if identity is None or customers is None:
        return frame.select(pl.Series("row", ragged.customer[journey]), pl.all())
    words = identity[ragged.customer[journey]]
    keys = [f"__id{i}" for i in range(words.shape[1])]
    named = frame.with_columns(pl.Series(key, words[:, i]) for i, key in enumerate(keys))
    return named.join(customers, on=keys, how="left", maintain_order="left").select(CUSTOMER, *frame.columns)
