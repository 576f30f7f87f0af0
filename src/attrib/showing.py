"""What a result looks like at a prompt and in a notebook: a few rows with their intervals, as text and as HTML.

Names out of the data go through :mod:`attrib.io.text`, and into HTML escaped.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from attrib.io.text import clean, shorten, spell, width_of

MOST = 8  # rows of each frame
WIDE = 120  # places of a line of text
NAME = 48  # places of a name
STYLE = "text-align:right;white-space:nowrap"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table to show: columns of cells by their headers, and how many rows there are beside them."""

    heading: str
    columns: dict[str, list[str]]
    left: int = 0


class Shown:
    """A result that shows its frames, and of those the first rows.

    A dataclass shows its fields, unless ``field(repr=False)``; others say what they have in ``_sheets``.
    """

    __slots__ = ()

    def _title(self) -> str:
        return type(self).__name__

    def _sheets(self) -> Iterator[Sheet]:
        if not is_dataclass(self):
            return
        named = [(f.name, getattr(self, f.name)) for f in fields(self) if f.repr]
        facts = {name: value for name, value in named if not isinstance(value, pl.DataFrame) and value is not None}
        if facts:
            yield facts_sheet(facts)
        for name, value in named:
            if isinstance(value, pl.DataFrame):
                yield frame_sheet(name, value)

    def __repr__(self) -> str:
        """Show the first rows, with intervals."""
        return text_of(self._title(), self._sheets())

    def _repr_html_(self) -> str:
        """Show the same in a notebook."""
        return html_of(self._title(), self._sheets())


def frame_sheet(name: str, frame: pl.DataFrame, most: int = MOST) -> Sheet:
    """The first rows of a frame, with each interval beside its number, and without columns that hold nothing.

    Examples
    --------
    >>> frame_sheet("credit", pl.DataFrame({"x": [0.5, 2.0], "x_low": [0.25, 1.0], "x_high": [0.75, 3.0]}))
    Sheet(heading='credit, 2 rows', columns={'x': ['0.5 [0.25, 0.75]', '2 [1, 3]']}, left=0)
    """
    rows = frame.head(most)
    bounds = {f"{column}{side}" for column in frame.columns for side in ("_low", "_high")}
    columns = {}
    for header, column in zip(spell(frame.columns, NAME), frame.columns, strict=True):
        if column in bounds or (frame.height and frame[column].null_count() == frame.height):
            continue
        if rows[column].dtype in (pl.String, pl.Categorical, pl.Enum):
            columns[header] = spell(rows[column].to_list(), NAME)
            continue
        beside = [rows[name] if name in frame.columns else None for name in (f"{column}_low", f"{column}_high")]
        columns[header] = intervals(rows[column], *beside)
    heading = f"{name}, {frame.height:,} rows" if name else ""
    return Sheet(heading, columns, frame.height - rows.height)


def facts_sheet(facts: Mapping[str, Any]) -> Sheet:
    """What there is to know beside the frames."""
    return Sheet("", {"": spell(list(facts), NAME), " ": [value_of(value) for value in facts.values()]})


def intervals(values: pl.Series, low: pl.Series | None, high: pl.Series | None) -> list[str]:
    """Numbers, each with its interval where it has one."""
    cells = [value_of(value) for value in values]
    if low is None or high is None:
        return cells
    # of two bounds one may be missing: what is divided by a number that may be 0 has no upper one
    between = [
        ("", "") if both == (None, None) else (value_of(both[0]), value_of(both[1]))
        for both in zip(low, high, strict=True)
    ]
    return [f"{cell} [{a}, {b}]" if a else cell for cell, (a, b) in zip(cells, between, strict=True)]


def value_of(value: Any) -> str:
    """Spell a value in one short line.

    Examples
    --------
    >>> value_of(1234.5), value_of(0.12345), value_of(None), value_of({"r": 0.25}), value_of(3)
    ('1,234', '0.123', '–', 'r 0.25', '3')
    """
    if value is None:
        line = "–"
    elif isinstance(value, (bool, np.bool_)):
        line = str(bool(value)).lower()
    elif isinstance(value, (int, float, np.integer, np.floating)):
        line = _number(float(value)) if isinstance(value, (float, np.floating)) else f"{int(value):,}"
    elif isinstance(value, Mapping):
        line = ", ".join(f"{clean(key)} {value_of(entry)}" for key, entry in value.items())
    elif isinstance(value, np.ndarray):
        many = value.size > 6 or not value.ndim
        line = f"{' × '.join(map(str, value.shape))} numbers" if many else value_of(value.tolist())
    elif isinstance(value, (list, tuple, pl.Series)):
        line = ", ".join(map(value_of, value))
    elif isinstance(value, pl.DataFrame):
        line = f"{value.height:,} rows of {', '.join(spell(value.columns[:4], NAME))}"
    elif is_dataclass(value) and not isinstance(value, type):
        line = value_of({f.name.strip("_").replace("_", " "): getattr(value, f.name) for f in fields(value) if f.repr})
    else:
        said = isinstance(value, (str, datetime, date, timedelta, Path))
        line = clean(str(value).split("\n", 1)[0] if said else type(value).__name__)
    return shorten(line, NAME)


def _number(value: float) -> str:
    whole = value == np.rint(value) or abs(value) >= 100
    return f"{value:,.0f}" if whole and abs(value) < 1e15 else f"{value:.3g}"


def text_of(title: str, sheets: Iterator[Sheet] | Sequence[Sheet]) -> str:
    """Text for a prompt; columns that do not fit beside each other follow below, with the first again."""
    lines = [shorten(title, WIDE)] if title else []
    for sheet in sheets:
        if lines and sheet.heading:
            lines.append("")
        lines += [sheet.heading] if sheet.heading else []
        columns = [_lined(header, cells, left=not at) for at, (header, cells) in enumerate(sheet.columns.items())]
        block = columns[:1]
        for column in columns[1:]:
            if len(block) > 1 and sum(map(_width, block)) + 2 * len(block) + _width(column) > WIDE:
                lines += _rows(block)
                block = columns[:1]
            block.append(column)
        lines += _rows(block)
        lines += [f"… and {sheet.left:,} more rows"] if sheet.left else []
    return "\n".join(lines)


def _lined(header: str, cells: Sequence[str], *, left: bool) -> list[str]:
    """A column whose cells have one width; the first column has its cells to the left."""
    lines = [*([header] if header.strip() else []), *cells]
    wide = max(map(width_of, lines), default=0)
    blanks = [" " * (wide - width_of(line)) for line in lines]
    return [line + blank if left else blank + line for line, blank in zip(lines, blanks, strict=True)]


def _width(column: Sequence[str]) -> int:
    return width_of(column[0]) if column else 0


def _rows(block: Sequence[Sequence[str]]) -> list[str]:
    return ["  ".join(row).rstrip() for row in zip(*block, strict=True)]


def html_of(title: str, sheets: Iterator[Sheet] | Sequence[Sheet]) -> str:
    """HTML for a notebook, whatever names hold."""
    parts = [f"<p><b>{html.escape(title)}</b></p>"] if title else []
    for sheet in sheets:
        parts += [f"<p>{html.escape(sheet.heading)}</p>"] if sheet.heading else []
        align = ["", *[f' style="{STYLE}"'] * (len(sheet.columns) - 1)]
        heads = "".join(_escaped(name, "th", style) for style, name in zip(align, sheet.columns, strict=True))
        head = f"<thead><tr>{heads}</tr></thead>" if any(map(str.strip, sheet.columns)) else ""
        columns = zip(align, sheet.columns.values(), strict=True)
        rows = zip(*([_escaped(cell, "td", style) for cell in cells] for style, cells in columns), strict=True)
        body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
        parts.append(f"<table>{head}<tbody>{body}</tbody></table>")
        parts += [f"<p>… and {sheet.left:,} more rows</p>"] if sheet.left else []
    return f"<div>{''.join(parts)}</div>"


def _escaped(cell: str, tag: str, style: str) -> str:
    return f"<{tag}{style}>{html.escape(cell)}</{tag}>"
