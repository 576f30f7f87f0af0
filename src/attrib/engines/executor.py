"""What an executor does with the Arrow batches of a part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import polars as pl

from attrib.engines.packed_errors import pack_error
from attrib.engines.parts import CHUNK, Order, Shape, combine, do
from attrib.errors import AttribError


def answer(order: Order, tables: list[dict[str, str]] | None, batches: Iterator[Any]) -> tuple[bool, bytes]:
    """Do a part, or (without ``tables``) combine the answers of some; whether that failed, and the answer or error."""
    try:
        if tables is not None:
            return False, do(order, _chunks(order, tables, batches))
        blocks, failure = blocks_of(batches)
        return (True, failure) if failure else (False, combine(order, blocks))
    except AttribError as error:
        return True, pack_error(error)


def blocks_of(batches: Iterable[Any]) -> tuple[list[bytes], bytes]:
    """Answers in the order of their parts, put together of rows (part, piece, block); also the first part's error."""
    pieces: dict[tuple[int, int], bytes] = {}
    for batch in batches:
        rows = (batch[name].to_pylist() for name in ("part", "piece", "block"))
        pieces |= {(part, piece): block for part, piece, block in zip(*rows, strict=True)}
    whole: dict[int, list[bytes]] = {}
    for part, piece in sorted(pieces):
        if piece < 0:
            return [], pieces[part, piece]
        whole.setdefault(part, []).append(pieces[part, piece])
    return [b"".join(blocks) for blocks in whole.values()], b""


def _chunks(order: Order, tables: list[dict[str, str]], batches: Iterator[Any]) -> Iterator[list[pl.DataFrame]]:
    waiting: list[Any] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= CHUNK:
            yield _split(order, tables, waiting)
            waiting, rows = [], 0
    if rows:
        yield _split(order, tables, waiting)


def _split(order: Order, tables: list[dict[str, str]], batches: list[Any]) -> list[pl.DataFrame]:
    """Rows of each table, under our names."""
    rows = rows_of(batches)
    return [
        under_our_names(rows.filter(pl.col("tag") == number), place, shape)
        for number, (place, shape) in enumerate(zip(tables, order.shapes, strict=True))
    ]


def rows_of(batches: list[Any]) -> pl.DataFrame:
    """Arrow batches as a frame."""
    import pyarrow as pa

    return pl.DataFrame(pa.Table.from_batches(batches))


def under_our_names(rows: pl.DataFrame, place: Mapping[str, str], shape: Shape) -> pl.DataFrame:
    """Columns of a table, of the types that were agreed on."""
    return rows.select(pl.col(place[c]).cast(dtype).alias(c) for c, dtype in shape.schema.items())
