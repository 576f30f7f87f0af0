"""What `attrib experiment` shows in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
from rich.console import RenderableType
from rich.text import Text

from attrib.io.text import clean
from attrib.report.models import spelled
from attrib.report.terminal import MAX_WIDTH, frame_tables, place_of

_CELL = ("world", "customers", "setting", "stage")
_MOST = 4  # cells: more is for the page


def finding_parts(summary: pl.DataFrame, files: Sequence[Path], width: int = MAX_WIDTH) -> Iterator[RenderableType]:
    """Draw the means of each metric, a table a cell.

    Yields
    ------
    rich renderables
    """
    parts = summary.partition_by(_CELL, as_dict=True, maintain_order=True)
    for cell, part in list(parts.items())[:_MOST]:
        wide = part.pivot("metric", index="model", values="mean", maintain_order=True)
        yield from frame_tables(spelled(wide), ", ".join(clean(str(x)) for x in cell if x), wide.columns, width)
        yield Text()
    if len(parts) > _MOST:
        yield Text(f"… and {len(parts) - _MOST} more tables")
    if files:
        yield Text(f"wrote to {clean(place_of(files[0].parent))}: {', '.join(clean(file.name) for file in files)}")
