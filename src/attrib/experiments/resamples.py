"""Two halves of the data, dealt at random: what a method says of one should hold of the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from attrib.io.sources import InlineOutcome, open_table
from attrib.schemas import CUSTOMER, PATH_TABLE

Tables = tuple[Any, ...]


def halves(
    touchpoints: Any,
    outcomes: Any,
    columns: Mapping[str, Any] | None,
    random: np.random.Generator,
) -> tuple[Tables, Tables]:
    """Deal the customers of two tables of events to two halves.

    Parameters
    ----------
    touchpoints, outcomes : what :meth:`attrib.Journeys.from_events` takes
    columns : mapping, optional
        The same.
    random : numpy.random.Generator

    Returns
    -------
    two pairs of tables
        In each the rows of half of the customers, and those that name none.

    Examples
    --------
    >>> events = pl.DataFrame({"customer_id": [1, 2, 3, 4, 1]})
    >>> first, second = halves(events, events, None, np.random.default_rng(0))
    >>> first[0].height + second[0].height, set(first[0]["customer_id"]) & set(second[0]["customer_id"])
    (5, set())
    """
    names = {table: _customer(columns, table) for table in ("touchpoints", "outcomes")}
    frames = [_frame(touchpoints, "touchpoints")]
    inline = isinstance(outcomes, InlineOutcome)
    if not inline:
        frames.append(_frame(outcomes, "outcomes"))
    keys = [pl.col(name).cast(pl.String) for name in names.values()]
    seen = [frame.select(key.alias(CUSTOMER)) for frame, key in zip(frames, keys, strict=False)]
    everyone = pl.concat(seen).unique().drop_nulls().sort(CUSTOMER)[CUSTOMER]
    first = everyone.filter(pl.Series(random.permutation(len(everyone)) * 2 < len(everyone)))
    pairs = []
    for inside in (True, False):
        parts = []
        for frame, key in zip(frames, keys, strict=False):
            chosen = key.is_in(first.implode()).fill_null(value=True)
            parts.append(frame.filter(chosen if inside else ~chosen))
        pairs.append((*parts, outcomes) if inline else tuple(parts))
    return pairs[0], pairs[1]


def halves_of_paths(table: pl.DataFrame, random: np.random.Generator) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Deal the journeys of a path table to two halves; values go with the conversions in proportion.

    Examples
    --------
    >>> table = pl.DataFrame(
    ...     {"path": ["a"], "total_conversions": [9], "total_conversion_value": [9.0], "total_null": [5]}
    ... )
    >>> parts = halves_of_paths(table, np.random.default_rng(0))
    >>> sum(part["total_conversions"][0] for part in parts)
    9
    """
    path, won, value, lost = PATH_TABLE
    some = [random.binomial(table[name].to_numpy(), 0.5) for name in (won, lost)]
    share = some[0] / np.maximum(table[won].to_numpy(), 1)
    first = table.select(
        path, pl.Series(won, some[0]), (pl.col(value) * pl.Series(share)).alias(value), pl.Series(lost, some[1])
    )
    second = table.select(path, *(pl.col(name) - first[name] for name in (won, value, lost)))
    occurs = (pl.col(won) + pl.col(lost)) > 0
    return first.filter(occurs), second.filter(occurs)


def _frame(table: Any, name: str) -> pl.DataFrame:
    return open_table(table, name).frame.collect()


def _customer(columns: Mapping[str, Any] | None, table: str) -> str:
    known = dict(columns or {})
    own = known.get(table)
    return str((own or {}).get(CUSTOMER) or known.get(CUSTOMER, CUSTOMER))
