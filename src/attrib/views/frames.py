"""What all views share: games and players as columns, names as texts, shares, and the checks of arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.kernels.codes import FIRST_PLAYER
from attrib.values import whole_number

if TYPE_CHECKING:
    from attrib.engines.base import Tallies
    from attrib.tally import Lists, Tally

Ints = npt.NDArray[np.int64]


def free_name(name: str, prefix: str, taken: set[str]) -> str:
    """Name of a column of the data beside columns of a view; it is taken afterwards.

    Examples
    --------
    >>> free_name("length", "by_", {"length", "path"})
    'by_length'
    """
    while name in taken:
        name = prefix + name
    taken.add(name)
    return name


def game_columns(games: pl.DataFrame, rows: Ints, taken: set[str]) -> dict[str, Any]:
    """``by`` columns and stage of the games at ``rows``; one that bears a name already taken gets ``by_`` before it."""
    return {free_name(name, "by_", taken): games[name].gather(rows) for name in games.columns}


def player_columns(players: pl.DataFrame, rows: Ints, taken: set[str], suffix: str = "") -> dict[str, Any]:
    """Columns of the players at ``rows``; one that bears a name already taken gets ``player_`` before it."""
    return {free_name(name + suffix, "player_", taken): players[name].gather(rows) for name in players.columns}


def view_frame(
    tallies: Tallies, game: Ints, numbers: Mapping[str, Any], players: Mapping[str, Ints] | None = None
) -> pl.DataFrame:
    """Columns of the games, then of the players, then the view's own.

    Parameters
    ----------
    tallies : Tallies
        Names of games and players.
    game : int64 [n]
        Row of the games frame.
    numbers : mapping of str to [n]
        The view's own columns.
    players : mapping of str to int64 [n], optional
        Suffix of the names to the row of the players frame.
    """
    taken = set(numbers)
    columns = game_columns(tallies.games, game, taken)
    for suffix, rows in (players or {}).items():
        columns |= player_columns(tallies.players, rows, taken, suffix)
    return pl.DataFrame(columns | dict(numbers))


def player_labels(players: pl.DataFrame) -> pl.Series:
    """One text a player: its columns joined with ``": "``, ``(none)`` where a column is null."""
    players = players.with_columns(pl.selectors.duration().dt.to_string())  # a duration has no cast to text
    texts = [pl.col(c).cast(pl.String).fill_null("(none)") for c in players.columns]
    return players.select(pl.concat_str(texts, separator=": ").alias("label")).to_series()


def list_members(lists: Lists, chosen: Ints) -> tuple[Ints, Ints]:
    """Players of the lists ``chosen``: for each, (its place in ``chosen``, row of the players frame)."""
    lengths = np.diff(lists.offsets)[chosen]
    ends = np.cumsum(lengths)
    place = np.repeat(np.arange(len(chosen)), lengths)
    at = np.arange(len(place)) + np.repeat(lists.offsets[chosen] - (ends - lengths), lengths)
    return place, lists.players[at].astype(np.int64) - FIRST_PLAYER


def tally_members(tally: Tally) -> tuple[Ints, Ints]:
    """Players of the list of every key: for each, (the key, row of the players frame)."""
    assert tally.lists is not None
    return list_members(tally.lists, tally.tails)


def gather_lists(place: Ints, values: pl.Series, name: str) -> pl.DataFrame:
    """Put values that share a place (ascending from 0, none without) into one list each, in order."""
    return pl.DataFrame({"__place": place, name: values}).group_by("__place", maintain_order=True).agg(name)


def sum_by_game(tallies: Tallies, game: Ints, counts: Ints) -> Ints:
    """Exact sum of counts in every game."""
    sums = np.zeros(tallies.n_games, np.int64)
    np.add.at(sums, game, counts)
    return sums


def ratio(part: Ints, whole: Ints) -> pl.Series:
    """Part of a whole; null where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return pl.Series(np.where(whole != 0, part / whole, np.nan)).fill_nan(None)


def check_whole(name: str, value: Any) -> None:
    """Check that an argument is a whole number from 1.

    Raises
    ------
    SpecError
        ``bad_value``.
    """
    whole_number(name, value, 1, key="bad_value")
