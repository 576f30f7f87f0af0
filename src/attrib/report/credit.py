"""The credit table in a terminal: one table a stage where it fits.

With one method its measures stand side by side. With several, people compare channels across methods: then each cell
holds the conversions, and their share of the game's in percent; the heading gives conversions and value.

Every name that comes from data or from a job file goes through :mod:`attrib.io.text` and into ``rich`` as plain
``Text``: neither control characters nor markup in a name reach the terminal, and no two rows look alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import polars as pl
from rich.console import RenderableType
from rich.text import Text

from attrib.io.manifest import Manifest
from attrib.io.text import clean, spell
from attrib.report.cells import Row, cell, number, share_cell, total
from attrib.report.tables import MAX_WIDTH, Column, Names, prose, tables
from attrib.schemas import CONVERSIONS, STAGE, THIN
from attrib.values import FEWEST_BUCKETS, FEWEST_CONVERSIONS

TOP = 15
MAX_GAMES = 12
MEASURES = ("conversions", "value", "share", "effect")
TITLE = 40  # places of a name in a heading, at least

Lines = dict[tuple[Any, ...], dict[str, Row]]  # kind and player → method → row


def credit_tables(
    credit: pl.DataFrame, manifest: Manifest, width: int = MAX_WIDTH, top: int | None = TOP
) -> Iterator[RenderableType]:
    """Draw the credit table, one table for each combination of ``by`` columns and stage.

    The largest players by the first method are shown; the others are summed in one line.

    Parameters
    ----------
    credit : polars.DataFrame
        A credit table.
    manifest : Manifest
        Of the same run: it tells the ``by`` columns from the player's and how the intervals came about.
    width : int
        Of the terminal.
    top : int or None
        Players of each table; None for all, and for all tables.

    Yields
    ------
    rich renderables
    """
    games, players = games_of(credit, manifest, width)
    shown = list(games.items())[: None if top is None else MAX_GAMES]
    for title, game in shown:
        yield from _game(title, game, players, width, top)
        yield Text()
    if len(games) > len(shown):
        yield Text(f"… and {len(games) - len(shown):,} more tables in credit.parquet; --all shows them")
    kinds = credit["kind"].unique().to_list()
    several = credit["method"].n_unique() > 1
    flagged = THIN in credit.columns and bool(credit[THIN].any())
    yield prose(caption(manifest, several=several, baseline="baseline" in kinds, flagged=flagged), width)


def games_of(frame: pl.DataFrame, manifest: Manifest, width: int) -> tuple[dict[str, pl.DataFrame], list[str]]:
    """Take a table apart by its ``by`` columns and stage: the parts by their titles, and the player's columns."""
    by = [name for name in manifest.spec["journeys"]["by"] if name in frame.columns]
    keys = by + ([STAGE] if STAGE in frame.columns else [])
    players = [name for name in frame.columns[: frame.columns.index("kind")] if name not in keys]
    if not keys:
        return {"": frame}, players
    parts = frame.partition_by(keys, maintain_order=True, as_dict=True)
    room = max(TITLE, (width - 50) // len(keys))
    columns = [
        spell([("(none)" if value is None else value) for value in values], room) for values in zip(*parts, strict=True)
    ]
    titles = [
        ", ".join(f"{clean(name)} {value}" for name, value in zip(keys, values, strict=True))
        for values in zip(*columns, strict=True)
    ]
    return dict(zip(titles, parts.values(), strict=True)), players


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
        lines = f"{lines} Cells: conversions, and their share in %, as each method credits them."
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


def lines_of(game: pl.DataFrame, players: Sequence[str]) -> Lines:
    """Rows of a game by kind and player, and by method."""
    lines: Lines = {}
    for row in game.iter_rows(named=True):
        lines.setdefault((str(row["kind"]), *(row[name] for name in players)), {})[str(row["method"])] = row
    return lines


def names_of(keys: Sequence[tuple[Any, ...]], players: Sequence[str], rest: int) -> Names:
    """Names of the rows: players, what is left of them, and what is no player."""
    named = [key[1:] for key in keys if key[0] == "player"]
    more = [f"… and {rest:,} more"] if rest else []
    return Names(" · ".join(spell(players, TITLE)), named, more + [f"({key[0]})" for key in keys if key[0] != "player"])


def _game(title: str, game: pl.DataFrame, players: list[str], width: int, top: int | None) -> Iterator[RenderableType]:
    """Draw one game: as many tables as its methods need, or one line if there is nothing to share out."""
    methods = list(dict.fromkeys(game["method"].cast(pl.String)))
    title = f"{title}: {_totals(game, methods)}" if title else _totals(game, methods)
    if game["share"].null_count() == game.height:
        yield Text(title, style="bold")
        return
    lines = lines_of(game, players)
    named = [key for key in lines if key[0] == "player"]
    named.sort(key=lambda key: -_conversions(lines[key].get(methods[0])))
    shown, rest = (named, []) if top is None else (named[:top], named[top:])
    others = [key for key in lines if key[0] != "player"]

    def rows(method: str) -> list[Row | None]:
        summed = [_summed(lines[key].get(method) for key in rest)] if rest else []
        return [lines[key].get(method) for key in shown] + summed + [lines[key].get(method) for key in others]

    if len(methods) == 1:
        kept = [name for name in MEASURES if name in game.columns and game[name].null_count() < game.height]
        columns = [Column(name, [cell(row, name) for row in rows(methods[0])]) for name in kept]
        title = f"{title}, by {spell(methods, max(TITLE, width - 60))[0]}"
    else:
        heads = spell(methods, TITLE)
        columns = [Column(_header(head), _pairs(rows(method))) for head, method in zip(heads, methods, strict=True)]
    yield from tables(title, names_of([*shown, *others], players, len(rest)), columns, width)


def _pairs(rows: Sequence[Row | None]) -> list[str]:
    """Conversions and share of each row, with the conversions below each other."""
    largest = max((abs(row[CONVERSIONS]) for row in rows if row and row[CONVERSIONS] is not None), default=0.0)
    counts = ["" if row is None else number(row[CONVERSIONS], largest) for row in rows]
    shares = [share_cell(row) for row in rows]
    wide = max(map(len, shares), default=0)
    return [f"{count} {share:>{wide}}" if count else "" for count, share in zip(counts, shares, strict=True)]


def _conversions(row: Row | None) -> float:
    return float("-inf") if row is None or row["conversions"] is None else float(row["conversions"])


def _summed(rows: Iterable[Row | None]) -> Row:
    """Add up the measures of players, where adding up means something: removal effects do not add."""
    found = [row for row in rows if row is not None]
    total_: Row = dict.fromkeys(MEASURES)
    for measure in MEASURES[:3]:
        values = [row[measure] for row in found if row[measure] is not None]
        total_[measure] = sum(values) if values else None
    return total_


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
    worth = "" if abs(value - conversions) < 1e-9 * conversions else f", value {total(value)}"
    return f"{total(conversions)} conversions{worth}"


def _header(method: str) -> str:
    """Break the label of a method, so that its column needs not be wider than its cells."""
    return method.replace("(", "\n(", 1).replace("=", "=\n", 1 if len(method) > 24 else 0)
