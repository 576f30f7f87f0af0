"""What conversions cost, in a terminal: cost, cost of a conversion and return of each player, by method."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
from rich.console import RenderableType
from rich.text import Text

from attrib.io.manifest import Manifest
from attrib.io.text import spell
from attrib.report.cells import cell, number
from attrib.report.credit import MAX_GAMES, TITLE, TOP, games_of, lines_of, names_of
from attrib.report.tables import MAX_WIDTH, Column, prose, tables
from attrib.schemas import COST, CPA, ROAS

WORDS = "CPA: cost of a conversion. ROAS: value for each unit of cost."


def spend_tables(
    spend: pl.DataFrame, manifest: Manifest, width: int = MAX_WIDTH, top: int | None = TOP
) -> Iterator[RenderableType]:
    """Draw costs with what they brought, one table a game; only players whose cost is known have a row.

    Parameters
    ----------
    spend : polars.DataFrame
        See :func:`attrib.spend`.
    manifest, width, top
        As for :func:`attrib.report.credit.credit_tables`.

    Yields
    ------
    rich renderables
    """
    known = spend.filter(pl.col(COST).is_not_null())
    if known.is_empty():
        return
    games, players = games_of(known, manifest, width)
    shown = list(games.items())[: None if top is None else MAX_GAMES]
    for title, game in shown:
        yield from _game(f"costs, {title}" if title else "costs", game, players, width, top)
        yield Text()
    if len(games) > len(shown):
        yield Text(f"… and {len(games) - len(shown):,} more tables in spend.parquet; --all shows them")
    yield prose(WORDS, width)
    yield Text()


def _game(title: str, game: pl.DataFrame, players: list[str], width: int, top: int | None) -> Iterator[RenderableType]:
    methods = list(dict.fromkeys(game["method"].cast(pl.String)))
    lines = lines_of(game, players)
    costs = {key: next(iter(rows.values()))[COST] for key, rows in lines.items()}
    order = sorted(lines, key=lambda key: -costs[key])
    shown, rest = (order, []) if top is None else (order[:top], order[top:])
    below = [number(sum(costs[key] for key in rest))] if rest else []
    columns = [Column(COST, [number(costs[key]) for key in shown] + below)]
    for method, head in zip(methods, spell(methods, TITLE), strict=True):
        for ratio in (CPA, ROAS):
            if game.filter(pl.col("method").cast(pl.String) == method)[ratio].null_count() < len(lines):
                cells = [cell(lines[key].get(method), ratio) for key in shown]
                name = ratio.upper() if len(methods) == 1 else f"{ratio.upper()} by\n{head}".replace("(", "\n(", 1)
                columns.append(Column(name, cells + [""] * len(below)))
    if len(methods) == 1:
        title = f"{title}, by {spell(methods, max(TITLE, width - 60))[0]}"
    yield from tables(title, names_of(shown, players, len(rest)), columns, width)
