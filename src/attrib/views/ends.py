"""How journeys end: at which player, after how much time, after how many touches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from attrib.errors import SpecError, brief
from attrib.kernels.codes import CONVERSION, FIRST_PLAYER, NULL_STATE
from attrib.needs import LENGTH, SECONDS, Patterns, Transitions
from attrib.schemas import CONVERSIONS, JOURNEYS, NULLS, RATE, SHARE, TOUCHES
from attrib.views.frames import ratio, sum_by_game, view_frame

if TYPE_CHECKING:
    from attrib.engines.base import Tallies

DAY = 86_400


def ends_frame(tallies: Tallies) -> pl.DataFrame:
    """Where journeys end, by player (see :meth:`attrib.Journeys.ends`)."""
    steps = tallies.get(Transitions(1))
    steps = steps.where(steps.player(0) >= FIRST_PLAYER)
    cell = steps.keys >> steps.layout.bits  # the game and the player stepped from
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    count, to = steps.counts("count"), steps.player(1)
    out, converted, lost = (
        np.add.reduceat(kept, starts) if len(starts) else kept
        for kept in (count, np.where(to == CONVERSION, count, 0), np.where(to == NULL_STATE, count, 0))
    )
    game = steps.games[starts]
    numbers = {
        CONVERSIONS: converted,
        NULLS: lost,
        "exit_rate": ratio(lost, out),
        "share_of_nulls": ratio(lost, sum_by_game(tallies, game, lost)[game]),
    }
    return view_frame(tallies, game, numbers, {"": steps.player(0)[starts] - FIRST_PLAYER})


def touches_frame(tallies: Tallies) -> pl.DataFrame:
    """Journeys by their number of touches (see :meth:`attrib.Journeys.touches_to_conversion`)."""
    tally = tallies.get(Patterns(LENGTH))
    conversions, nulls, game = tally.counts("conversions"), tally.counts("nulls"), tally.games
    total = sum_by_game(tallies, game, conversions)
    before = np.cumsum(total) - total  # conversions of the games before
    numbers = {
        TOUCHES: tally.tails,
        JOURNEYS: conversions + nulls,
        CONVERSIONS: conversions,
        NULLS: nulls,
        RATE: ratio(conversions, conversions + nulls),
        SHARE: ratio(conversions, total[game]),
        "cumulative": ratio(np.cumsum(conversions) - before[game], total[game]),
    }
    return view_frame(tallies, game, numbers)


def read_quantiles(quantiles: Any) -> dict[str, Fraction]:
    """Quantiles by the name of their column; a number is taken as its decimals say.

    Raises
    ------
    SpecError
        ``bad_value``.

    Examples
    --------
    >>> read_quantiles([0.5, 0.99])
    {'median_time': Fraction(1, 2), 'p99_time': Fraction(99, 100)}
    """
    if isinstance(quantiles, str) or not isinstance(quantiles, Sequence):
        raise SpecError("bad_value", f"quantiles = {brief(quantiles)} is not a list of numbers")
    read = {}
    for quantile in quantiles:
        if isinstance(quantile, bool) or not isinstance(quantile, (int, float)) or not 0 <= quantile <= 1:
            raise SpecError("bad_value", f"quantiles: {brief(quantile)} is not a number from 0 to 1")
        exact = Fraction(repr(float(quantile)))
        read["median_time" if exact == Fraction(1, 2) else f"p{float(100 * exact):.12g}_time"] = exact
    if len(read) < len(quantiles):
        raise SpecError("bad_value", f"quantiles = {brief(quantiles)} repeats a number")
    return read


def times_frame(tallies: Tallies, quantiles: dict[str, Fraction]) -> pl.DataFrame:
    """Time to conversion of each game (see :meth:`attrib.Journeys.time_to_conversion`)."""
    tally = tallies.get(Patterns(SECONDS))
    seconds, conversions = tally.tails, tally.counts("conversions")
    bounds = np.searchsorted(tally.games, np.arange(tallies.n_games + 1)).tolist()
    total = sum_by_game(tallies, tally.games, conversions)
    means: list[int | None] = []
    times: dict[str, list[int | None]] = {name: [] for name in quantiles}
    for n, low, high in zip(total.tolist(), bounds[:-1], bounds[1:], strict=True):
        # days and the rest apart, so that no sum overflows
        days, rest = np.divmod(seconds[low:high], DAY)
        whole = int((days * conversions[low:high]).sum()) * DAY + int((rest * conversions[low:high]).sum())
        means.append(round(Fraction(1_000_000 * whole, n)) if n else None)
        reached = np.cumsum(conversions[low:high])
        for name, quantile in quantiles.items():
            at = low + int(np.searchsorted(reached, max(1, math.ceil(quantile * n))))
            times[name].append(1_000_000 * int(seconds[at]) if n else None)
    found = {
        name: pl.Series(values, dtype=pl.Int64).cast(pl.Duration("us"))
        for name, values in ({"mean_time": means} | times).items()
    }
    return view_frame(tallies, np.arange(tallies.n_games), {CONVERSIONS: total, **found})
