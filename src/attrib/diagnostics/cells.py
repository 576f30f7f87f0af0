"""Whether the cells of a column bear out what its name says: a value is a number, refunds are not all none."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import polars as pl

from attrib.diagnostics import roles
from attrib.io.flags import SAID_YES, UNREADABLE, answer
from attrib.io.sources import Source

Look = Callable[[str], pl.Series]  # the first cells of a column
ROWS = 100_000  # that are looked at
MOST = 0.8  # share of the texts that are numbers, from which a column is one of numbers
# digits with marks between them, and signs of currency, units or blanks around
_NUMBER = r"^[^\d\pL]{0,4}(?:\pL{0,4}[^\d\pL]{0,3})?\d[\d.,'’\s]*(?:[^\d\pL]{0,3}\pL{0,4})[^\d\pL]{0,3}$"


def first_cells(source: Source) -> Look | None:
    """How to look at the first rows of a table; None where that would start a job of a cluster."""
    if source.kind == "spark":
        return None

    @cache
    def look(column: str) -> pl.Series:
        return source.collect(source.frame.select(pl.col(column)).head(ROWS))[column]

    return look


def may_hold(role: str, column: pl.Series) -> bool:
    """Whether a column may be what its name says, by its cells.

    Examples
    --------
    >>> may_hold(roles.VALUE, pl.Series(["19.90 EUR", "5"])), may_hold(roles.VALUE, pl.Series(["gold", "silver"]))
    (True, False)
    >>> may_hold(roles.REFUND, pl.Series([False, False])), may_hold(roles.REFUND, pl.Series(["paid", "refunded"]))
    (False, True)
    """
    cells = column.drop_nulls()
    if cells.dtype.is_float():
        cells = cells.drop_nans()
    if cells.dtype == pl.String:
        cells = cells.filter(cells.str.strip_chars() != "")
    if not len(cells):
        return False
    if role == roles.VALUE:
        return _is_numbers(cells) and not _is_zero(cells)
    if role == roles.SEQUENCE:
        return cells.dtype.is_integer() or (cells.dtype == pl.String and _share(cells, r"^\s*-?\d+(\.0+)?\s*$") >= MOST)
    if role == roles.REFUND:
        return _tells_refunds(cells)
    if role in (roles.ZONE, roles.ORDER, roles.EVENT, roles.CHANCE):
        return cells.n_unique() > 1 or len(column) == 1  # of one zone, or one id, nothing is to be told apart
    return True


def _tells_refunds(cells: pl.Series) -> bool:
    if cells.dtype == pl.Boolean or cells.dtype.is_numeric():
        return not _is_zero(cells)
    arms = roles.word_of(cells.name) in ("test", "is_test")  # those of a test are called so, too
    if cells.dtype != pl.String and not arms:
        return True  # dates
    said = cells.to_frame().select(answer(cells.name, cells.dtype)).to_series()
    if not (said == UNREADABLE).any():
        return bool((said == SAID_YES).any())
    if arms:
        return False
    if _is_numbers(cells):
        return not _is_zero(cells)
    return cells.n_unique() > 1 or roles.REFUND in roles.roles_of(cells[0])


def _is_numbers(cells: pl.Series) -> bool:
    return cells.dtype.is_numeric() or (cells.dtype == pl.String and _share(cells, _NUMBER) >= MOST)


def _is_zero(cells: pl.Series) -> bool:
    if cells.dtype == pl.String:
        return _share(cells, r"^[^\d]*0*(?:[.,]0*)?[^\d]*$") == 1
    return not bool((cells.cast(pl.Float64) != 0).any())


def _share(cells: pl.Series, pattern: str) -> float:
    return float(cells.str.contains(pattern).mean() or 0.0)  # type: ignore[arg-type] # of truth values
