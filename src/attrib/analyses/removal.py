"""attrib.removal: what the fitted chain loses without players, groups of them, or sequences (semantics §5)."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import SpecError, brief
from attrib.intervals import resampling_of
from attrib.methods.base import (
    Cells,
    Draw,
    Observed,
    cells_of,
    check_journeys,
    replace_sums,
)
from attrib.methods.chain import chains, check_chain, tolerance_of
from attrib.needs import Transitions
from attrib.schemas import CONVERSIONS, EFFECT, KIND, VALUE
from attrib.views.frames import game_columns

if TYPE_CHECKING:
    from attrib.engines.base import Tallies
    from attrib.journeys import Journeys

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
PLAYER, GROUP, SEQUENCE = "player", "group", "sequence"
NUMBERS = (EFFECT, CONVERSIONS, VALUE)
BOUNDS = tuple(f"{number}_{side}" for number in NUMBERS for side in ("low", "high"))
FORMS = '"ad", {"ad", "mail"} for a group, ("ad", "mail") for a sequence, or a mapping of player columns to values'


@dataclass(frozen=True, slots=True)
class _Removed:
    """An item: its places one after the other, and the players (rows of the players frame) at each."""

    label: str
    kind: str
    places: list[Ints]


def removal(
    journeys: Journeys,
    removed: Sequence[Any],
    *,
    order: int = 1,
    removal: str = "null",
    intervals: float | None = 0.95,
    replicates: int = 1000,
    seed: int = 0,
) -> pl.DataFrame:
    """Tell what the fitted chain loses without each of several players, groups of players, or sequences.

    Each line stands for itself: effects of different removals overlap and need not add up. They describe the chain
    fitted to the journeys, not what would happen.

    Parameters
    ----------
    journeys : Journeys
        From :meth:`attrib.Journeys.from_events` or :meth:`attrib.Journeys.from_paths`.
    removed : list
        Of each: a text (one channel); a set or list of them (a group: every step into any of them goes); a tuple of
        at least two (a sequence, one directly after the other: the step that completes it goes). Where players have
        several columns, mappings such as ``{"channel": "ad", "campaign": "x"}`` take the place of texts; one that
        leaves columns out, such as ``{"stage": "awareness"}``, means all players that match.
    order : int
        How many touches the next step depends on, 1 to 5; at least the length of a sequence less one.
    removal : {"null", "renormalise"}
        Steps that go lead to no conversion, or the other steps from the same state take their place in proportion
        (effects may then be negative: more would convert).
    intervals : float or None
        Level of percentile intervals, or None for no interval.
    replicates : int
        Draws of the bootstrap.
    seed : int
        The same seed gives the same intervals.

    Returns
    -------
    polars.DataFrame
        The ``by`` columns and ``stage``; ``removed`` (a label), ``kind`` (player, group or sequence), ``effect``
        (share of the conversions that is lost; null in a game without conversions), ``conversions`` and ``value``
        (lost, of those that have a touch); with intervals ``effect_low`` … ``value_high``. Games as in the credit
        table, in each the order asked.

    Raises
    ------
    SpecError
        ``bad_removal`` for what cannot be removed, ``unknown_player`` with the nearest names, ``bad_parameter`` and
        ``bad_interval`` for the settings.
    DataError
        If the data cannot be read as journeys.

    References
    ----------
    Anderl, Becker, von Wangenheim & Schumann (2016), Mapping the customer journey.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> paths = pl.DataFrame({"path": ["ad > mail", "mail > ad", "seo"], "total_conversions": [6, 2, 2]})
    >>> journeys = attrib.Journeys.from_paths(paths)
    >>> table = attrib.removal(journeys, ["seo", {"ad", "seo"}, ("ad", "mail")], order=2, intervals=None)
    >>> table.select("removed", "kind", pl.col("effect", "conversions").round(6)).rows()
    [('seo', 'player', 0.2, 2.0), ('ad + seo', 'group', 1.0, 10.0), ('ad > mail', 'sequence', 0.6, 6.0)]
    """
    check_journeys(journeys)
    order = check_chain(order, removal)
    resampling = resampling_of(journeys.engine, intervals, replicates, seed)
    asked = _check(removed, order)
    tallies = journeys.tallies((Transitions(order),), units=resampling is not None)
    tallies.warn_without_nulls("removal")
    items = [_resolve(kind, places, tallies.players) for kind, places in asked]
    cells = cells_of(tallies)
    numbers: dict[str, Floats] = {}
    answers = _losses(items, order, removal, replace_sums(tallies), cells, Observed())
    for name, values in zip(NUMBERS, answers, strict=True):
        numbers[name] = values[0]
    if resampling is not None:
        drawn = resampling.draws(tallies, lambda draw: _losses(items, order, removal, tallies, cells, draw))
        for name, values in zip(NUMBERS, drawn, strict=True):
            numbers[f"{name}_low"], numbers[f"{name}_high"] = resampling.percentiles(values)
    games = tallies.n_games
    columns = game_columns(tallies.games, np.repeat(np.arange(games), len(items)), {"removed", KIND, *NUMBERS, *BOUNDS})
    return pl.DataFrame({
        **columns,
        "removed": pl.Series([item.label for item in items] * games, dtype=pl.String),
        KIND: pl.Series([item.kind for item in items] * games, dtype=pl.Enum((PLAYER, GROUP, SEQUENCE))),
        **{name: pl.Series(values).fill_nan(None) for name, values in numbers.items()},
    })  # fmt: skip


def _losses(
    items: list[_Removed], order: int, removal: str, tallies: Tallies, cells: Cells, draw: Draw
) -> list[Floats]:
    """Effects, conversions and value lost, each [R, games · items]."""
    tally = tallies.get(Transitions(order))
    counts, value = draw.sums(tally, "count"), draw.sums(tally, "value")
    shape = (counts.shape[0], tallies.n_games, len(items))
    effects, lost, lost_value = np.full(shape, np.nan), np.zeros(shape), np.zeros(shape)
    for game, chain, rows in chains(order, tallies, cells, draw):
        whole = chain.totals(counts[:, rows], value[:, rows])[:, 0]
        for at, item in enumerate(items):
            gone = chain.completing(item.places)
            loss = chain.loss(gone, counts[:, rows], value[:, rows], removal, tolerance_of(draw))
            # a loss lies between nothing and everything; without renormalising, what lies outside is rounding
            lost[:, game, at] = np.clip(loss[:, 0], 0.0, whole) if removal == "null" else loss[:, 0]
            lost_value[:, game, at] = loss[:, 1]
            with np.errstate(divide="ignore", invalid="ignore"):
                effects[:, game, at] = np.where(whole > 0, lost[:, game, at] / whole, np.nan)
    return [numbers.reshape(shape[0], -1) for numbers in (effects, lost, lost_value)]


def _check(removed: Any, order: int) -> list[tuple[str, list[list[Any]]]]:
    """Kind of each item, and what stands at each of its places; names are not looked at yet."""
    if not isinstance(removed, list):
        hint = f"removed=[{removed!r}]" if isinstance(removed, (str, Mapping)) else "removed=[…]"
        raise SpecError(
            "bad_removal", f"removed is a {type(removed).__name__}, not a list of what to remove", hint=hint
        )
    if not removed:
        raise SpecError("bad_removal", "removed names nothing", hint=f"each item is {FORMS}")
    out: list[tuple[str, list[list[Any]]]] = []
    for item in removed:
        if isinstance(item, (set, frozenset, list)):
            members = sorted(item, key=repr) if isinstance(item, (set, frozenset)) else item
            kind, places = GROUP, [members]
        elif isinstance(item, tuple):
            kind, places = SEQUENCE, [[element] for element in item]
            if len(item) < 2:
                raise SpecError(
                    "bad_removal", f"{brief(item)} is a sequence of fewer than two", hint=f"items are {FORMS}"
                )
            if order < len(item) - 1:
                raise SpecError(
                    "bad_removal",
                    f"a chain of order {order} does not see a sequence of {len(item)}",
                    hint=f"use order={len(item) - 1}",
                )
        else:
            kind, places = PLAYER, [[item]]
        elements = [element for place in places for element in place]
        wrong = [element for element in elements if not isinstance(element, (str, Mapping)) or not element]
        if wrong or not elements:
            raise SpecError("bad_removal", f"{brief(item)} is nothing to remove", hint=f"items are {FORMS}")
        out.append((kind, places))
    return out


def _resolve(kind: str, places: list[list[Any]], players: pl.DataFrame) -> _Removed:
    """Find the players of an item."""
    found = [[_find(element, players) for element in place] for place in places]
    labels = [" + ".join(dict.fromkeys(label for label, _, _ in place)) for place in found]
    if kind == PLAYER and not found[0][0][2]:
        kind = GROUP  # a mapping that leaves columns out
    rows = [np.unique(np.concatenate([some for _, some, _ in place])) for place in found]
    return _Removed(" > ".join(labels), kind, rows)


def _find(element: str | Mapping[str, Any], players: pl.DataFrame) -> tuple[str, Ints, bool]:
    """Label and rows of the players that an element means, and whether it names every column."""
    columns = players.columns
    if isinstance(element, str):
        if len(columns) > 1:
            raise SpecError(
                "bad_removal",
                f"{brief(element)}: players have the columns {', '.join(columns)}",
                hint=f"say which: {{{columns[-1]!r}: {element!r}}}",
            )
        element = {columns[0]: element}
    fits = np.ones(players.height, np.bool_)
    for column, name in element.items():
        if column not in columns:
            raise SpecError(
                "bad_removal", f"{brief(column)} is no player column", hint=f"those are {', '.join(columns)}"
            )
        if name is not None and not isinstance(name, str):
            raise SpecError("bad_removal", f"{column} = {brief(name)} is not text")
        names = players[column].cast(pl.String)
        matching = names.is_null() if name is None else (names == name).fill_null(value=False)
        if not matching.any():
            raise _unknown(column, name, names)
        fits &= matching.to_numpy()
    whole = len(element) == len(columns)
    shown = {
        column: "(none)" if element[column] is None else element[column] for column in columns if column in element
    }
    label = ": ".join(shown.values()) if whole else ", ".join(f"{column}={name}" for column, name in shown.items())
    if not fits.any():
        raise SpecError("unknown_player", f"no player is {label}", hint="each of the values occurs, but not together")
    return label, np.flatnonzero(fits), whole


def _unknown(column: str, name: str | None, names: pl.Series) -> SpecError:
    known = names.drop_nulls().unique(maintain_order=True).to_list()
    near = difflib.get_close_matches(name, known, n=3) if name is not None else []
    hint = (
        f"did you mean {' or '.join(near)}?"
        if near
        else f"there are: {', '.join(known[:10])}{' …' * (len(known) > 10)}"
    )
    return SpecError("unknown_player", f"no player has {column} = {brief(name)}", hint=hint, column=column, name=name)
