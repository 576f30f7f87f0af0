"""What `attrib experiment` shows in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
from rich.console import RenderableType
from rich.text import Text

from attrib.io.text import clean
from attrib.report.models import spelled
from attrib.report.tables import MAX_WIDTH, frame_tables
from attrib.report.terminal import place_of

_CELL = ("world", "customers", "setting", "stage")
MOST = 4  # cells: more is for the page


def finding_parts(
    summary: pl.DataFrame, files: Sequence[Path], width: int = MAX_WIDTH, top: int | None = MOST
) -> Iterator[RenderableType]:
    """Draw the means of each metric, a table a cell; ``top`` says of how many cells, None of all.

    Yields
    ------
    rich renderables
    """
    parts = summary.partition_by(_CELL, as_dict=True, maintain_order=True)
    for cell, part in list(parts.items())[:top]:
        wide = part.pivot("metric", index="model", values="mean", maintain_order=True)
        yield from frame_tables(spelled(wide), ", ".join(clean(str(x)) for x in cell if x), wide.columns, width)
        yield Text()
    if top is not None and len(parts) > top:
        yield Text(f"… and {len(parts) - top} more tables; --all shows them")
    if files:
        yield Text(f"wrote to {clean(place_of(files[0].parent))}: {', '.join(clean(file.name) for file in files)}")
