"""attrib.compare: what methods, periods or segments agree on, and where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.analyses.sides import OWN, Side, spell
from attrib.crediting import named_methods
from attrib.errors import SpecError
from attrib.intervals import Resampling, check_size, resampling_of
from attrib.methods.base import (
    Method,
    check_journeys,
)
from attrib.schemas import CONVERSIONS, METHOD, SHARE, STAGE
from attrib.showing import Shown
from attrib.values import OTHER_SIDE, yes_or_no

if TYPE_CHECKING:
    from attrib.journeys import Journeys

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, repr=False)
class Comparison(Shown):
    """What :func:`compare` found; every frame begins with the ``by`` columns and ``stage``.

    A column of the data that is called like one of a frame is called ``by_…`` or ``player_…``.

    Attributes
    ----------
    table : polars.DataFrame
        One row a player: the player's columns, its share of the game's conversions by each method (one column a
        method), and ``spread``, the largest less the smallest of them.
    agreement : polars.DataFrame
        One row a pair of methods: ``method``, ``other``, ``rank_correlation`` (Spearman, of the players' shares; null
        below two players or where all shares are equal) and ``distance`` = ½ Σ |difference of shares|, the part of all
        conversions that the two credit to other players.
    disagreements : polars.DataFrame
        One row a player and pair of methods, the largest first: ``method``, ``other``, ``share``, ``share_other``,
        ``share_difference`` = share − share_other; with intervals ``share_difference_low``, ``…_high``. All methods
        see the same draws, so that an interval without 0 is a difference that resampling does not explain. Of many
        intervals at 95 %, one in twenty leaves 0 out by chance.
    differences : polars.DataFrame or None
        With ``against`` or ``between``: one row a player and method: ``share``, ``share_other``,
        ``share_difference``, ``conversions``, ``conversions_other``, ``conversions_difference``, and intervals of both
        differences. A player that a side does not know has 0 there; in a game that it does not have, shares are null.
        In the order of the credit table.
    players : polars.DataFrame or None
        With ``players=True``: one row a method and pair of players of a game, the one with the larger share first:
        the player's columns, those of the other with ``other_`` before their names, ``method``, ``share``,
        ``share_other``, ``share_difference`` ≥ 0, ``conversions``, ``conversions_other``, ``conversions_difference``,
        and intervals of both differences: where they hold 0, the data do not tell which of the two is ahead. The
        largest shares first.
    """

    table: pl.DataFrame
    agreement: pl.DataFrame
    disagreements: pl.DataFrame
    differences: pl.DataFrame | None = None
    players: pl.DataFrame | None = None


def compare(
    journeys: Journeys,
    methods: Method | Sequence[Method] | Mapping[str, Method],
    *,
    against: Journeys | None = None,
    between: tuple[str, Any, Any] | None = None,
    players: bool = False,
    intervals: float | None = 0.95,
    replicates: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Set methods side by side, and two periods or segments against each other.

    Parameters
    ----------
    journeys : Journeys
        What to credit.
    methods : Method, sequence of Method, or mapping of str to Method
        As for :func:`attrib.credit`.
    against : Journeys, optional
        Other journeys with the same ``by`` columns, stages and players, such as those of another period; differences
        are ``journeys`` less ``against``. A customer of both is in the same bucket of both.
    between : (column, value, other value), optional
        Two segments of the same journeys: a ``by`` column and the two values to compare.
    players : bool
        Whether to compare the players of each game in pairs, too: which channel is ahead of which.
    intervals : float or None
        Level of intervals, or None for none.
    replicates, seed : int
        Draws of the bootstrap. Where a method takes long to solve, all intervals come from the jackknife over 20
        groups of buckets.

    Returns
    -------
    Comparison

    Raises
    ------
    SpecError
        ``bad_comparison`` where the two sides do not fit together.
    ResourceError
        ``too_many_rows`` where the replicates of all rows do not fit into memory.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> paths = pl.DataFrame({"path": ["ad > mail", "mail"], "total_conversions": [40, 20], "total_null": [60, 20]})
    >>> found = attrib.compare(
    ...     attrib.Journeys.from_paths(paths), [attrib.FirstTouch(), attrib.LastTouch()], intervals=None
    ... )
    >>> found.agreement.select("method", "other", pl.col("distance").round(3)).rows()
    [('first_touch', 'last_touch', 0.667)]
    """
    check_journeys(journeys)
    named = named_methods(methods)
    players = yes_or_no("players", players)
    resampling = resampling_of(journeys.engine, intervals, replicates, seed)
    if against is not None and between is not None:
        raise SpecError("bad_comparison", "against and between are two comparisons", hint="ask for one at a time")
    one = Side.read(journeys, named, resampling)
    differences = None
    if against is not None:
        check_journeys(
            against,
            "against",
            "against takes other journeys, such as those of another period; methods are compared by methods=[…]",
        )
        theirs = resampling
        if resampling is not None and against.tallies(()).units.kind == "paths":
            theirs = replace(resampling, purpose=OTHER_SIDE)  # journeys of two path tables have nothing in common
        other = Side.read(against, named, theirs, jackknife=one.jackknife)
        stages = [side.keys.schema.get(STAGE) for side in (one, other)]
        if one.keys.columns != other.keys.columns or stages[0] != stages[1]:
            raise SpecError(
                "bad_comparison",
                f"one side has {spell(one.keys)}, the other {spell(other.keys)}",
                hint="form both with the same by, stages and player",
            )
        if one.jackknife != other.jackknife:
            one = Side.read(journeys, named, resampling, jackknife=True, again=True)
        differences = _differences(one, other, list(named), resampling)
    elif between is not None:
        differences = _differences(*one.split(between), list(named), resampling)
    return Comparison(
        _side_by_side(one, list(named)),
        _agreement(one, list(named)),
        _disagreements(one, list(named), resampling),
        differences,
        _pairs(one, list(named), resampling) if players else None,
    )


def _side_by_side(side: Side, names: list[str]) -> pl.DataFrame:
    taken = set(side.keys.columns) | {"spread"}
    labels: list[str] = []
    for name in names:
        label = name
        while label in taken or (label != name and label in names):
            label = f"share of {label}"
        labels.append(label)
    shares = pl.DataFrame(dict(zip(labels, side.share, strict=True)))
    some = ~np.isnan(side.share).all(axis=0)
    spread = np.full(side.share.shape[1], np.nan)
    spread[some] = np.nanmax(side.share[:, some], axis=0) - np.nanmin(side.share[:, some], axis=0)
    return pl.concat([side.keys, shares, pl.DataFrame({"spread": spread})], how="horizontal").with_columns(
        pl.col(*labels, "spread").fill_nan(None)
    )


def _agreement(side: Side, names: list[str]) -> pl.DataFrame:
    from scipy.stats import rankdata

    rows = []
    for game in np.unique(side.game):
        of_game = np.flatnonzero(side.game == game)
        key = side.keys.select(side.games)[int(of_game[0])].row(0) if side.games else ()
        for one, other in combinations(range(len(names)), 2):
            a, b = side.share[one, of_game], side.share[other, of_game]
            ranks = np.stack([rankdata(np.round(shares, 12)) for shares in (a, b)])
            varies = not np.isnan(a + b).any() and (np.ptp(ranks, axis=1) > 0).all()
            correlation = float(np.corrcoef(ranks)[0, 1]) if varies else None
            rows.append((*key, names[one], names[other], correlation, float(np.abs(a - b).sum() / 2)))
    schema: dict[str, Any] = {name: side.keys.schema[name] for name in side.games}
    schema |= {METHOD: pl.String, "other": pl.String, "rank_correlation": pl.Float64, "distance": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col("distance").fill_nan(None))


def _bounds(resampling: Resampling, point: Floats, drawn: Floats, *, jackknife: bool) -> tuple[Floats, Floats]:
    return resampling.student(point, drawn) if jackknife else resampling.percentiles(drawn)


def _disagreements(side: Side, names: list[str], resampling: Resampling | None) -> pl.DataFrame:
    frames: list[pl.DataFrame] = []
    for one, other in combinations(range(len(names)), 2):
        a, b = side.share[one], side.share[other]
        numbers = {SHARE: a, "share_other": b, "share_difference": a - b}
        if resampling is not None and side.drawn is not None:
            drawn = side.drawn[SHARE][one] - side.drawn[SHARE][other]
            low, high = _bounds(resampling, a - b, drawn, jackknife=side.jackknife)
            numbers |= {"share_difference_low": low, "share_difference_high": high}
        labels = [pl.lit(names[one]).alias(METHOD), pl.lit(names[other]).alias("other")]
        columns = pl.DataFrame(numbers).with_columns(pl.all().fill_nan(None))
        frames.append(side.keys.with_columns(labels).hstack(columns).with_columns(__order=pl.lit(len(frames))))
    if not frames:
        none = {METHOD: pl.String, "other": pl.String, SHARE: pl.Float64, "share_other": pl.Float64}
        bounds = ("share_difference_low", "share_difference_high") if resampling else ()
        numbers_of_none = dict.fromkeys(("share_difference", *bounds), pl.Float64)
        return pl.DataFrame(schema={**side.keys.schema, **none, **numbers_of_none})
    # the size to 12 digits, so that rounding does not decide the order of equals
    size = pl.col("share_difference").abs().round(12)
    return pl.concat(frames).sort(size, descending=True, nulls_last=True, maintain_order=True).drop("__order")


def _has_game(keys: pl.DataFrame, side: Side) -> npt.NDArray[np.bool_]:
    """Which rows are of a game that a side has."""
    games = list(side.games)
    if not games:
        return np.ones(keys.height, np.bool_)
    met = side.keys.select(games).cast({name: keys.schema[name] for name in games}).unique()
    rows = keys.with_row_index("__row").join(met, on=games, how="semi", nulls_equal=True)["__row"].to_numpy()
    return np.isin(np.arange(keys.height), rows)


def _differences(one: Side, other: Side, names: list[str], resampling: Resampling | None) -> pl.DataFrame:
    """Credit of one side less that of the other, matched by name."""
    columns = one.keys.columns
    both = pl.concat([one.keys, other.keys], how="vertical_relaxed").unique(maintain_order=True)
    both = both.sort(columns, nulls_last=False, maintain_order=True)
    places = [
        both.with_row_index("__place").join(
            side.keys.cast(both.schema).with_row_index("__row"),
            on=columns, how="left", nulls_equal=True, maintain_order="left",
        )["__row"].to_numpy()
        for side in (one, other)
    ]  # fmt: skip

    met = [_has_game(both, side) for side in (one, other)]

    def placed(values: Floats, at: int, number: str) -> Floats:
        place = places[at]
        out = np.zeros((*values.shape[:-1], both.height))
        if number == SHARE:
            out[..., ~met[at]] = np.nan  # a share of nothing
        known = ~np.isnan(place.astype(np.float64))
        out[..., known] = values[..., place[known].astype(np.int64)]
        return out

    frames = []
    for method, name in enumerate(names):
        numbers: dict[str, Floats] = {}
        for number in (SHARE, CONVERSIONS):
            a, b = (placed(getattr(side, number)[method], at, number) for at, side in enumerate((one, other)))
            numbers |= {number: a, f"{number}_other": b, f"{number}_difference": a - b}
            if resampling is not None and one.drawn is not None and other.drawn is not None:
                ours, theirs = one.drawn[number][method], other.drawn[number][method]
                drawn = placed(ours, 0, number) - placed(theirs, 1, number)
                low, high = _bounds(resampling, a - b, drawn, jackknife=one.jackknife)
                numbers |= {f"{number}_difference_low": low, f"{number}_difference_high": high}
        frame = pl.DataFrame(numbers).with_columns(pl.all().fill_nan(None))
        frames.append(both.with_columns(pl.lit(name).alias(METHOD), pl.lit(method).alias("__order")).hstack(frame))
    return pl.concat(frames).sort(*columns, "__order", nulls_last=False, maintain_order=True).drop("__order")


def _pairs(side: Side, names: list[str], resampling: Resampling | None) -> pl.DataFrame:
    """Each player of a game less each other one with a smaller share, by method."""
    columns = [name for name in side.keys.columns if name not in side.games]
    ahead, behind = _leaders(side)
    taken = {*side.keys.columns, *OWN, METHOD, SHARE, CONVERSIONS}
    others = {}
    for column in columns:
        label = f"other_{column}"
        while label in taken:
            label = f"other_{label}"
        taken.add(label)
        others[column] = label
    frames = []
    for method, name in enumerate(names):
        a, b = ahead[method], behind[method]
        if resampling is not None:
            check_size(len(a) * resampling.replicates, "compare the players of fewer games at a time")
        numbers: dict[str, Floats] = {}
        for number in (SHARE, CONVERSIONS):
            points: Floats = getattr(side, number)[method]
            numbers |= {number: points[a], f"{number}_other": points[b], f"{number}_difference": points[a] - points[b]}
            if resampling is not None and side.drawn is not None:
                drawn = side.drawn[number][method]
                low, high = _bounds(
                    resampling, points[a] - points[b], drawn[:, a] - drawn[:, b], jackknife=side.jackknife
                )
                numbers |= {f"{number}_difference_low": low, f"{number}_difference_high": high}
        frame = pl.DataFrame(numbers).with_columns(pl.all().fill_nan(None))
        keys = side.keys[a].hstack(side.keys.select(columns)[b].rename(others))
        frames.append(keys.with_columns(pl.lit(name).alias(METHOD)).hstack(frame))
    return pl.concat(frames)


def _leaders(side: Side) -> tuple[list[Ints], list[Ints]]:
    """Rows of the pairs of players of a game, by method: the one with the larger share, and the other."""
    ahead, behind = [], []
    for share in side.share:
        first, second = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for game in np.unique(side.game):
            rows = np.flatnonzero(side.game == game)
            rows = rows[np.argsort(-np.nan_to_num(share[rows], nan=-np.inf), kind="stable")]
            i, j = np.triu_indices(len(rows), 1)
            first.append(rows[i])
            second.append(rows[j])
        ahead.append(np.concatenate(first))
        behind.append(np.concatenate(second))
    return ahead, behind
