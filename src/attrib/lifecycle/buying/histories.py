"""Purchase histories: the columns that models of customers take, read and checked; equal customers taken together."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import SpecError
from attrib.lifecycle.base.beside import Bools, Floats, check_same_rows, read_flags, read_numbers, require
from attrib.lifecycle.buying.likelihood import columns_of

Columns = tuple[Floats, Floats, Floats, Bools]


def read_history(frequency: Any, recency: Any, T: Any, cancelled: Any = None) -> Columns:
    """Read and check a purchase history: columns, or one frame that has them in place of the first.

    Parameters
    ----------
    frequency, recency, T : array-like [n]
    cancelled : array-like of bool [n], optional
        Without, nobody has cancelled; a null is a no.

    Returns
    -------
    tuple of ndarray
        frequency, recency and T as float64 [n], cancelled as bool [n].

    Raises
    ------
    DataError
        ``missing_columns`` and those of columns.
    SpecError
        ``bad_argument``.

    Examples
    --------
    >>> read_history(pl.DataFrame({"frequency": [1], "recency": [2.0], "T": [5.0], "cancelled": [True]}), None, None)[3]
    array([ True])
    """
    frequency, recency, T, cancelled = columns_of(
        ("cancelled",), frequency=frequency, recency=recency, T=T, cancelled=cancelled
    )
    return _checked(frequency, recency, T, cancelled)


def one_or_many(frequency: Any, recency: Any, T: Any, cancelled: Any = None) -> tuple[bool, Columns]:
    """Tell whether a single customer is given, as numbers, and read the history (of one row, then)."""
    frequency, recency, T, cancelled = columns_of(
        ("cancelled",), frequency=frequency, recency=recency, T=T, cancelled=cancelled
    )
    alone = is_alone(frequency, recency, T)
    if alone:
        frequency, recency, T = [frequency], [recency], [T]
        cancelled = cancelled if cancelled is None or np.ndim(cancelled) else [cancelled]
    return alone, _checked(frequency, recency, T, cancelled)


def is_alone(*columns: Any) -> bool:
    """Whether all of them are single values, not columns."""
    return all(np.ndim(column) == 0 and not hasattr(column, "to_numpy") for column in columns)


def _checked(frequency: Any, recency: Any, T: Any, cancelled: Any) -> Columns:
    given = {"frequency": frequency, "recency": recency, "T": T}
    check_same_rows(**given, **({} if cancelled is None else {"cancelled": cancelled}))
    x = read_frequency(frequency)
    last, end = (read_numbers(name, one, len(x), least=0) for name, one in (("recency", recency), ("T", T)))
    require("recency", last > end, "is greater than T", last)
    require("recency", (last == 0) & (x > 0), "is 0 although frequency is not", last)
    require("recency", (last > 0) & (x == 0), "is not 0 although frequency is", last)
    gone = np.zeros(len(x), np.bool_) if cancelled is None else read_flags("cancelled", cancelled, len(x), null=False)
    return x, last, end, gone


def read_frequency(frequency: Any) -> Floats:
    """Read repeat purchases: whole numbers from 0.

    Raises
    ------
    DataError
        Those of `read_numbers`.
    """
    x = read_numbers("frequency", frequency, least=0)
    require("frequency", x != np.floor(x), "is not a whole number", x)
    return x


def read_ahead(t: Any, size: int | None) -> Floats:
    """Read times ahead: one, or one a row.

    Raises
    ------
    SpecError
        ``bad_value``.
    DataError
        Those of `read_numbers`.
    """
    if np.ndim(t) == 0 and isinstance(t, (int, float)):
        if not 0 <= t < np.inf:
            raise SpecError("bad_value", "t is not a finite time from 0")
        return np.asarray(t, np.float64)
    return read_numbers("t", t, size, least=0)


class Histories:
    """Purchase histories, equal ones together: the order of customers changes nothing, and many are equal.

    Attributes
    ----------
    x, recency, T : float64 [m]
    cancelled : bool [m]
    n : float64 [m]
        How many customers have this history.
    counts, at
        The frequencies that occur, and which of them each history has: gamma functions cost most, and depend on the
        frequency alone.
    """

    def __init__(self, x: Floats, recency: Floats, T: Floats, cancelled: Bools | None = None) -> None:
        gone = np.zeros(len(x), np.bool_) if cancelled is None else cancelled
        rows = pl.DataFrame({"x": x, "recency": recency, "T": T, "gone": gone})
        rows = rows.group_by("x", "recency", "T", "gone").len("n").sort("x", "recency", "T", "gone")
        self.x, self.recency, self.T, self.n = (
            rows[name].to_numpy().astype(np.float64) for name in ("x", "recency", "T", "n")
        )
        self.cancelled: npt.NDArray[np.bool_] = rows["gone"].to_numpy()
        self.counts, self.at = np.unique(self.x, return_inverse=True)

    @property
    def customers(self) -> float:
        """How many customers there are."""
        return float(self.n.sum())
