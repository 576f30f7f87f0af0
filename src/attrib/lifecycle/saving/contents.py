"""What a model is made of, as JSON and bytes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
import polars as pl

from attrib.io import sinks
from attrib.io.manifest import canonical


def plain(value: Any) -> Any:
    """Content as JSON knows it: numbers of numpy as numbers, what is not finite as null, dates as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def data_hash(table: pl.DataFrame) -> str:
    """Hash of names, types and rows in their order."""
    digest = hashlib.sha256(canonical([[name, str(kind)] for name, kind in table.schema.items()]).encode("utf-8"))
    for column in table:
        if column.dtype.is_numeric() or column.dtype == pl.Boolean:
            numbers = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
            digest.update(np.where(np.isnan(numbers), np.nan, numbers).tobytes())
        else:
            digest.update(canonical(column.cast(pl.String).to_list()).encode("utf-8"))
    return digest.hexdigest()


def as_written(content: bytes) -> sinks.Writer:
    """Write bytes as they are."""

    def write(file: IO[bytes]) -> None:
        file.write(content)

    return write
