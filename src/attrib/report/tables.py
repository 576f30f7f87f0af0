"""Tables for a terminal: as many below each other as their columns need, names cut only where there is no room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import RenderableType
from rich.constrain import Constrain
from rich.table import Table
from rich.text import Text

from attrib.io.text import shorten, spell, width_of
from attrib.report.cells import percent, plain

MAX_WIDTH = 100  # of a pipe, and of sentences in a terminal of any width
GAP = 2  # between two columns
ENOUGH, LEAST = 30, 8  # places of a name for which columns go to another table, and those that it always has

Align = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its header, of several lines perhaps, and, line by line, its cells."""

    header: str
    cells: list[str]
    align: Align = "right"

    @property
    def width(self) -> int:
        """Places that it takes with the gap to the next; a CJK sign takes two."""
        lines = [*self.header.split("\n"), *self.cells]
        return max(map(cell_len, lines)) + GAP


@dataclass(frozen=True, slots=True)
class Names:
    """The first column: names out of the data, as they are, and what stands below them."""

    header: str
    names: Sequence[object]
    more: list[str] = field(default_factory=list)

    def column(self, width: int | None) -> Column:
        """The names as they are shown in so many places."""
        room = None if width is None else max(width - GAP, LEAST)
        cells = spell(self.names, room, self.more)
        return Column(self.header, cells + [shorten(line, room or width_of(line)) for line in self.more], "left")


def frame_tables(
    frame: pl.DataFrame, title: str, columns: Sequence[str], width: int = MAX_WIDTH
) -> Iterator[RenderableType]:
    """Draw the named columns of a small frame, those that it has and that are not all 0."""
    shown = [
        name
        for name in columns
        if name in frame.columns and not (frame[name].dtype.is_integer() and frame[name].eq(0).all())
    ]
    first, *rest = shown
    names = [value if isinstance(value, str) or value is None else plain(value) for value in frame[first]]
    yield from tables(
        title, Names(first.replace("_", "\n"), names), [_column(name, frame[name]) for name in rest], width
    )


def _column(name: str, values: pl.Series) -> Column:
    if name == "rate":
        cells = [percent(value) for value in values]
    elif values.dtype in (pl.String, pl.Categorical, pl.Enum):
        cells = spell(values.to_list(), ENOUGH)
    else:
        cells = [spell([plain(value)])[0] for value in values]
    return Column(name.replace("_", "\n"), cells)


def tables(title: str, names: Names, columns: Sequence[Column], width: int) -> Iterator[RenderableType]:
    """Draw as many tables below each other as the columns need, each with the names.

    Names are cut where the columns leave less room than they need: to no less than 30 places if there is any way, and
    no further than saves a table.
    """
    first = names.column(None)
    needed = sum(column.width for column in columns)
    if first.width + needed > width and columns:
        most = min(max(width // 2, ENOUGH + GAP, width - needed), width - max(column.width for column in columns))
        rooms = range(min(ENOUGH + GAP, most), min(most, first.width) + 1)
        fewest = min(rooms, key=lambda room: (sum(1 for _ in _blocks(columns, width - room)), -room), default=most)
        first = names.column(min(fewest, first.width))
    for at, block in enumerate(_blocks(columns, width - first.width)):
        # not as the title of the table: that would be broken to the table's width
        yield Text(title if at == 0 else "(continued)", style="bold")
        yield _table([first, *block])


def prose(text: str, width: int) -> RenderableType:
    """Draw sentences, in lines that can still be read where the terminal is wider."""
    return Constrain(Text(text, style="dim"), min(width, MAX_WIDTH))


def _blocks(columns: Sequence[Column], room: int) -> Iterator[list[Column]]:
    """Deal the columns out to tables, as many to each as fit beside the names."""
    block: list[Column] = []
    for column in columns:
        if block and sum(kept.width for kept in block) + column.width > room:
            yield block
            block = []
        block.append(column)
    yield block


def _table(columns: list[Column]) -> Table:
    table = Table(
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 0, 0, GAP - 1),  # the box draws the other one
    )
    for column in columns:
        table.add_column(Text(column.header), justify=column.align, overflow="fold", vertical="bottom")
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(Text, row))
    return table
