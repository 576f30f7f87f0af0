"""The credit table in a terminal: one table a stage where it fits, at most 100 characters wide.

With one method its measures stand side by side. With several, people compare channels across methods: then
the cells are shares of the game's conversions in percent, and the heading gives conversions and value.

Every name that comes from data or from a job file goes through :func:`attrib.io.text.clean` and into
``rich`` as plain ``Text``: neither control characters nor markup in a name reach the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from attrib.io.manifest import Manifest
from attrib.io.text import clean
from attrib.schemas import CONVERSIONS, THIN
from attrib.values import FEWEST_BUCKETS, FEWEST_CONVERSIONS

MAX_WIDTH = 100
TOP = 15
MAX_GAMES = 12
GAP = 2  # between two columns
MEASURES = ("conversions", "value", "share", "effect")

Row = dict[str, Any]
Align = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class _Column:
    """One column of a table: its header, of several lines perhaps, and, line by line, its cells."""

    header: str
    cells: list[str]

    @property
    def width(self) -> int:
        lines = [*self.header.split("\n"), *self.cells]
        return max(map(cell_len, lines)) + GAP  # a CJK sign takes two places


FUNNEL = (
    "stage", "entered", "advanced", "skipped", "stalled", "open", "rate", "repeat_advances", "median_time",
    "touches_per_customer",
)  # fmt: skip


def result_parts(
    credit: pl.DataFrame,
    funnel: pl.DataFrame | None,
    ledger: pl.DataFrame,
    rejected: pl.DataFrame,
    manifest: Manifest,
    files: Sequence[Path],
    width: int = MAX_WIDTH,
) -> Iterator[RenderableType]:
    """Draw all that a person wants to see at the end of a run.

    Yields
    ------
    rich renderables
        The funnel, the credit tables and what they mean, the ledger, and where the files are.
    """
    if funnel is not None:
        yield from frame_tables(funnel, "customers by stage", FUNNEL, width)
        yield Text()
    yield from credit_tables(credit, manifest, width)
    yield Text()
    for line in (*ledger_lines(ledger), *rejected_lines(rejected)):
        yield Text(line)
    if files:
        names = ", ".join(clean(file.name) for file in files)
        yield Text(f"wrote to {clean(place_of(files[0].parent))}: {names}")


def place_of(folder: Path) -> Path:
    """Name a folder as seen from where the command was started."""
    here = Path.cwd()
    below = folder != here and folder.is_relative_to(here) and here != Path(here.anchor)
    return folder.relative_to(here) if below else folder.absolute()


def credit_tables(credit: pl.DataFrame, manifest: Manifest, width: int = MAX_WIDTH) -> Iterator[RenderableType]:
    """Draw the credit table, one table for each combination of ``by`` columns and stage.

    With one method its measures stand side by side, with several the share by each of them. The largest
    players by the first method are shown; the others are summed in one line.

    Parameters
    ----------
    credit : polars.DataFrame
        A credit table.
    manifest : Manifest
        Of the same run: it tells the ``by`` columns from the player's and how the intervals came about.
    width : int
        Of the terminal; more than 100 is not used.

    Yields
    ------
    rich renderables
    """
    by = [name for name in manifest.spec["journeys"]["by"] if name in credit.columns]
    keys = by + (["stage"] if "stage" in credit.columns else [])
    players = [name for name in credit.columns[: credit.columns.index("kind")] if name not in keys]
    games = credit.partition_by(keys, maintain_order=True, as_dict=True) if keys else {(): credit}
    for key, game in list(games.items())[:MAX_GAMES]:
        title = ", ".join(
            f"{clean(name)} {clean(value, 40) if value is not None else '(none)'}"
            for name, value in zip(keys, key, strict=True)
        )
        yield from _game(title, game, players, min(width, MAX_WIDTH))
        yield Text()
    if len(games) > MAX_GAMES:
        yield Text(f"… and {len(games) - MAX_GAMES:,} more tables in credit.parquet")
    kinds = credit["kind"].unique().to_list()
    several = credit["method"].n_unique() > 1
    flagged = THIN in credit.columns and bool(credit[THIN].any())
    yield Text(caption(manifest, several=several, baseline="baseline" in kinds, flagged=flagged), style="dim")


def caption(manifest: Manifest, *, several: bool = False, baseline: bool = False, flagged: bool = False) -> str:
    """Say in words what the numbers of a run estimate, and what the brackets hold.

    Returns
    -------
    str
        One sentence or two.
    """
    journeys = manifest.spec["journeys"]
    target = clean(journeys["target"], 40) if journeys["target"] is not None else "the outcome"
    if manifest.spec["input"]["paths"]:
        what = "conversions of the path table"
    elif manifest.spec["stages"] and journeys["view"] == "advance":
        what = "customers who leave the stage forwards"
        ends = [stage["milestone"] for stage in manifest.spec["stages"]["stages"]][-1:]
        if any(ends):
            what += "; in the last stage each further milestone"
    elif manifest.spec["stages"]:
        what = f"{target}, shared out over channels in the stage of the touch"
    else:
        what = target
    lines = f"Conversions: {what}. Unattributed: no touch in the window before them."
    if baseline:
        lines = f"{lines} Baseline: what a model leaves to no channel."
    if several:
        lines = f"{lines} Cells: share of the conversions in %, as each method credits it."
    if flagged:
        lines = (
            f"{lines} °: fewer than {FEWEST_CONVERSIONS:g} conversions, or from fewer than {FEWEST_BUCKETS} buckets of "
            "customers: too little to carry the question."
        )
    if manifest.intervals is None:
        return lines
    settings = manifest.intervals
    return (
        f"{lines} Ranges: {100 * settings.level:g} % intervals, {settings.replicates:,} replicates, "
        f"{settings.resampling}. They surround the method's own large-sample limit, not a causal effect."
    )


def ledger_lines(ledger: pl.DataFrame) -> Iterator[str]:
    """Sum up the ledger, a line for each input table.

    Examples
    --------
    >>> ledger = pl.DataFrame({"table": ["outcomes"] * 3, "entry": ["in", "credited", "rejected"], "rows": [5, 5, 0]})
    >>> list(ledger_lines(ledger))
    ['outcomes: 5 in, 5 credited']
    """
    for (table,), rows in ledger.partition_by("table", maintain_order=True, as_dict=True).items():
        entries = [f"{row['rows']:,} {row['entry'].replace('_', ' ')}" for row in rows.to_dicts() if row["rows"]]
        yield f"{table}: {', '.join(entries) or 'no rows'}"


def rejected_lines(rejected: pl.DataFrame) -> Iterator[str]:
    """Sum up the rejected rows by the rule they broke, a line for each input table that has some.

    Examples
    --------
    >>> rejected = pl.DataFrame({"table": ["outcomes"] * 3, "rule": ["value_missing", "value_empty", "value_missing"]})
    >>> list(rejected_lines(rejected))
    ['rejected outcomes: 2 value missing, 1 value empty']
    """
    counts = rejected.group_by("table", "rule", maintain_order=True).len().sort("len", descending=True)
    for (table,), rows in counts.partition_by("table", maintain_order=True, as_dict=True).items():
        rules = [f"{count:,} {clean(rule, 60).replace('_', ' ')}" for _, rule, count in rows.iter_rows()]
        yield f"rejected {table}: {', '.join(rules)}"


def frame_tables(
    frame: pl.DataFrame, title: str, columns: Sequence[str], width: int = MAX_WIDTH
) -> Iterator[RenderableType]:
    """Draw the named columns of a small frame, those that it has and that are not all 0."""
    shown = [
        name
        for name in columns
        if name in frame.columns and not (frame[name].dtype.is_integer() and frame[name].eq(0).all())
    ]
    cells = {name: [_percent(v) if name == "rate" else _plain(v) for v in frame[name]] for name in shown}
    first, *rest = [_Column(name.replace("_", "\n"), cells[name]) for name in shown]
    yield from _tables(title, first, rest, width)


def number(value: float | None, scale: float | None = None) -> str:
    """Write a number with about three significant digits; ``scale`` fixes the decimals of a group.

    Examples
    --------
    >>> number(1234.56), number(12.345), number(0.5), number(None), number(9.5, scale=120.0)
    ('1,235', '12.3', '0.50', '–', '10')
    """
    if value is None:
        return "–"
    size = abs(value if scale is None else scale)
    return f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2}f}"


def cell(row: Row | None, measure: str) -> str:
    """Write one measure of a credit row, with its interval where there is one.

    Examples
    --------
    >>> cell({"conversions": 12.34, "conversions_low": 10.1, "conversions_high": 14.2}, "conversions")
    '12.3 [10.1, 14.2]'
    >>> cell({"share": 0.25}, "share"), cell(None, "value")
    ('25.0%', '')
    """
    if row is None:
        return ""
    value, low, high = row[measure], row.get(f"{measure}_low"), row.get(f"{measure}_high")
    if measure == "share":
        spelled = ["–" if part is None else f"{part:.1%}" for part in (value, low, high)]
    elif measure == "effect":
        spelled = ["–" if part is None else f"{part:.3f}" for part in (value, low, high)]
    else:
        spelled = [number(part, value) for part in (value, low, high)]
    if measure == CONVERSIONS:
        spelled[0] += _mark(row)
    return spelled[0] if low is None or high is None else f"{spelled[0]} [{spelled[1]}, {spelled[2]}]"


def share_cell(row: Row | None) -> str:
    """Write the share of a credit row in percent, with its interval where there is one.

    Examples
    --------
    >>> share_cell({"share": 0.1322, "share_low": 0.126, "share_high": 0.139})
    '13.2 12.6–13.9'
    >>> share_cell({"share": -0.01, "share_low": -0.02, "share_high": 0.0}), share_cell({"share": None})
    ('-1.0 -2.0…0.0', '–')
    """
    if row is None:
        return ""
    share, low, high = row["share"], row.get("share_low"), row.get("share_high")
    text = ("–" if share is None else f"{100 * share:.1f}") + _mark(row)
    if low is None or high is None:
        return text
    return f"{text} {100 * low:.1f}{'…' if low < 0 else '–'}{100 * high:.1f}"


def _mark(row: Row) -> str:
    return "°" if row.get(THIN) else ""


def _game(title: str, game: pl.DataFrame, players: list[str], width: int) -> Iterator[RenderableType]:
    """Draw one game: as many tables as its methods need, or one line if there is nothing to share out."""
    methods = list(dict.fromkeys(game["method"].cast(pl.String)))
    title = f"{title}: {_totals(game, methods)}" if title else _totals(game, methods)
    if game["share"].null_count() == game.height:
        yield Text(title, style="bold")
        return
    lines: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in game.iter_rows(named=True):
        lines.setdefault((str(row["kind"]), *(row[name] for name in players)), {})[str(row["method"])] = row
    named = [key for key in lines if key[0] == "player"]
    named.sort(key=lambda key: -_conversions(lines[key].get(methods[0])))
    others = [key for key in lines if key[0] != "player"]
    shown, rest = (named, []) if len(named) <= TOP + 1 else (named[:TOP], named[TOP:])

    names = [" · ".join(clean(part if part is not None else "–", 30) for part in key[1:]) for key in shown]
    names += [f"… and {len(rest):,} more"] if rest else []
    names += [f"({key[0]})" for key in others]

    def column(header: str, method: str, measure: str) -> _Column:
        def write(row: Row | None) -> str:
            return share_cell(row) if len(methods) > 1 else cell(row, measure)

        cells = [write(lines[key].get(method)) for key in shown]
        if rest:
            cells.append(_sum((lines[key].get(method) for key in rest), measure, write))
        return _Column(header, cells + [write(lines[key].get(method)) for key in others])

    if len(methods) == 1:
        kept = [name for name in MEASURES if name in game.columns and game[name].null_count() < game.height]
        columns = [column(name, methods[0], name) for name in kept]
        title = f"{title}, by {clean(methods[0], 40)}"
    else:
        columns = [column(_header(method), method, "share") for method in methods]
    first = _Column(" · ".join(clean(name, 30) for name in players), names)
    yield from _tables(title, first, columns, width)


def _tables(title: str, first: _Column, columns: list[_Column], width: int) -> Iterator[RenderableType]:
    """Draw as many tables below each other as the columns need, each with the first column."""
    for number_, block in enumerate(_blocks(columns, width - first.width)):
        # not as the title of the table: that would be broken to the table's width
        yield Text(title if number_ == 0 else "(continued)", style="bold")
        yield _table([first, *block])


def _blocks(columns: list[_Column], room: int) -> Iterator[list[_Column]]:
    """Deal the columns out to tables, as many to each as fit beside the names."""
    block: list[_Column] = []
    for column in columns:
        if block and sum(kept.width for kept in block) + column.width > room:
            yield block
            block = []
        block.append(column)
    if block:
        yield block


def _table(columns: list[_Column]) -> Table:
    table = Table(
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 0, 0, GAP - 1),  # the box draws the other one
    )
    for at, column in enumerate(columns):
        align: Align = "right" if at else "left"
        table.add_column(Text(column.header), justify=align, overflow="fold", vertical="bottom")
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(Text, row))
    return table


def _conversions(row: Row | None) -> float:
    return float("-inf") if row is None or row["conversions"] is None else float(row["conversions"])


def _sum(rows: Iterable[Row | None], measure: str, write: Callable[[Row | None], str]) -> str:
    """Add up a measure, where adding up means something: removal effects do not add."""
    values = [row[measure] for row in rows if row is not None and row[measure] is not None]
    return "" if measure == "effect" or not values else write({measure: sum(values)})


def _totals(game: pl.DataFrame, methods: Sequence[str]) -> str:
    """Say what there is to share out in a game; every method shares out the same."""
    by_method = [game.filter(pl.col("method").cast(pl.String) == method) for method in methods]
    # null credit (removal effects can cancel) leaves the total unknown to a method
    rows = next((rows for rows in by_method if rows["conversions"].null_count() == 0), None)
    if rows is None:
        return "no credit"
    conversions = float(rows["conversions"].sum())
    if not conversions:
        return "no conversions"
    value = float(rows["value"].sum()) if rows["value"].null_count() == 0 else conversions
    # A value of 1.0 a conversion is what stands in where outcomes have none: saying it again tells nothing.
    worth = "" if abs(value - conversions) < 1e-9 * conversions else f", value {_total(value)}"
    return f"{_total(conversions)} conversions{worth}"


def _total(value: float) -> str:
    return number(value, None if value % 1 else 100)


def _header(method: str) -> str:
    """Break the label of a method, so that its column needs not be wider than its cells."""
    return clean(method, 40).replace("(", "\n(", 1).replace("=", "=\n", 1 if len(method) > 24 else 0)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _plain(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return "–" if value is None else str(value)
    if isinstance(value, timedelta):
        return _span(value.total_seconds())
    if isinstance(value, int):
        return f"{value:,}"
    return number(value) if isinstance(value, float) else clean(value, 40)


def _span(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} s"


def usable_width(console: Console) -> int:
    """Width to draw for: that of the terminal, or 100 where there is none."""
    return min(console.width, MAX_WIDTH) if console.is_terminal else MAX_WIDTH
