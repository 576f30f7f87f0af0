"""The credit table as people meet it: a polars frame that shows what it says, and not 18 columns."""

from __future__ import annotations

from typing import Any

import polars as pl

from attrib.io.text import spell
from attrib.schemas import CONVERSIONS, KIND, KINDS, METHOD, NUMBERS, SHARE
from attrib.showing import NAME, Sheet, html_of, intervals, text_of, value_of

ROWS, FEWEST, GAMES = 24, 4, 8  # rows in all, of a game at least, and games
PLAYER = KINDS[0]
GAME, OTHER = "__game", "__other"


class CreditTable(pl.DataFrame):
    """A credit table (docs/semantics.md, section 10): a polars frame in everything but what a prompt shows of it.

    Its text and HTML have one row a player, with conversions and shares by each method and their intervals; all numbers
    are in the frame. What polars makes of it, such as ``table.filter(…)``, is a plain frame; ``pl.DataFrame(table)`` is
    the same one, plain.

    Examples
    --------
    >>> import attrib
    >>> paths = pl.DataFrame({"path": ["ad > mail", "mail"], "total_conversions": [40, 20], "total_null": [60, 20]})
    >>> journeys = attrib.Journeys.from_paths(paths)
    >>> table = attrib.credit(journeys, [attrib.LastTouch(), attrib.Linear()], intervals=None)
    >>> table
    60 conversions
    channel         last_touch    linear
    mail             60 100.0%  40 66.7%
    ad                  0 0.0%  20 33.3%
    (unattributed)      0 0.0%    0 0.0%
    >>> isinstance(table, pl.DataFrame), table.filter(channel="ad", method="linear")["conversions"].to_list()
    (True, [20.0])
    """

    def __repr__(self) -> str:
        """Show conversions and shares by method, with their intervals."""
        shown = _sheets(self)
        return super().__repr__() if shown is None else text_of("", shown)

    def __str__(self) -> str:
        """As polars shows it: all columns that find room."""
        return pl.DataFrame.__str__(pl.DataFrame(self))

    def _repr_html_(self, **asked: Any) -> str:
        """Show the same in a notebook."""
        shown = _sheets(self)
        return super()._repr_html_(**asked) if shown is None else html_of("", shown)


def _sheets(table: pl.DataFrame) -> list[Sheet] | None:
    """What to show of a table; None if it is no whole credit table any more."""
    needed = {KIND, METHOD, CONVERSIONS, SHARE}
    if (
        not needed <= set(table.columns)
        or not table.height
        or CONVERSIONS in table.columns[: table.columns.index(KIND)]
    ):
        return None
    keys = table.columns[: table.columns.index(KIND)]
    if table.select(*keys, KIND, METHOD).is_duplicated().any():
        return None  # tables that somebody has put together
    others = table.filter(pl.col(KIND).cast(pl.String) != PLAYER)
    games = [name for name in keys if others[name].null_count() < others.height]
    methods = list(dict.fromkeys(table[METHOD].cast(pl.String)))
    rows = _ordered(table.filter(pl.col(METHOD).cast(pl.String) == methods[0]), games)
    shown = _first(rows)
    columns = dict(zip(spell(games, NAME), (spell(shown[name].to_list(), NAME) for name in games), strict=True))
    players = [name for name in keys if name not in games]
    columns[" · ".join(spell(players, NAME))] = _names(shown, players)
    by_method = [_of(table, method, shown, [*keys, KIND]) for method in methods]
    if len(methods) == 1:
        (only,) = by_method
        kept = [name for name in NUMBERS if name in only.columns and only[name].null_count() < only.height]
        columns |= {name: _cells(only, name) for name in kept}
    else:
        for head, one in zip(spell(methods, NAME), by_method, strict=True):
            pairs = zip(_cells(one, CONVERSIONS), _cells(one, SHARE), strict=True)
            columns[head] = [" ".join(pair) for pair in pairs]
    total = rows[CONVERSIONS].sum()
    what = f"{value_of(total)} conversions" if not games else f"credit by {', '.join(spell(games, NAME))}"
    by = f", by {spell(methods, NAME)[0]}" if len(methods) == 1 else ""
    return [Sheet(what + by, columns, rows.height - shown.height)]


def _ordered(rows: pl.DataFrame, games: list[str]) -> pl.DataFrame:
    """Rows of one method, game by game, the largest players first."""
    game = pl.int_range(pl.len()).min().over(games) if games else pl.lit(0)
    other = pl.col(KIND).cast(pl.String) != PLAYER
    placed = rows.with_columns(game.alias(GAME), other.alias(OTHER))
    return placed.sort(GAME, OTHER, -pl.col(CONVERSIONS).fill_null(0.0), maintain_order=True)


def _first(rows: pl.DataFrame) -> pl.DataFrame:
    """The first rows of each of the first games."""
    games = rows[GAME].unique(maintain_order=True)[:GAMES]
    most = max(FEWEST, ROWS // len(games))
    place = pl.int_range(pl.len()).over(GAME)
    return rows.filter(pl.col(GAME).is_in(games.implode()) & ((place < most) | pl.col(OTHER)))


def _names(shown: pl.DataFrame, players: list[str]) -> list[str]:
    """Players, and what is none in brackets."""
    parts = shown.select(players).rows()
    kinds = shown[KIND].cast(pl.String).to_list()
    left = {kind: f"({kind})" for kind in kinds if kind != PLAYER}
    names = iter(
        spell([part for part, kind in zip(parts, kinds, strict=True) if kind == PLAYER], NAME, list(left.values()))
    )
    return [next(names) if kind == PLAYER else left[kind] for kind in kinds]


def _of(table: pl.DataFrame, method: str, shown: pl.DataFrame, on: list[str]) -> pl.DataFrame:
    """What a method says of the rows that are shown."""
    rows = table.filter(pl.col(METHOD).cast(pl.String) == method)
    return shown.select(on).join(rows, on=on, how="left", nulls_equal=True, maintain_order="left")


def _cells(rows: pl.DataFrame, name: str) -> list[str]:
    if name == SHARE:
        return ["–" if value is None else f"{value:.1%}" for value in rows[name]]
    low, high = (rows[column] if column in rows.columns else None for column in (f"{name}_low", f"{name}_high"))
    return intervals(rows[name], low, high)
