"""Rules (heuristics): every converting journey shares its conversion by position or time (semantics §4)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from numbers import Real
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from attrib.diagnostics.finding import FindingWarning
from attrib.diagnostics.names import near_keys
from attrib.durations import parse_duration
from attrib.errors import AttribWarning, SolveError, SpecError, brief
from attrib.kernels.codes import (
    CUSTOM,
    DECAY,
    FIRST_PLAYER,
    FIRST_TOUCH,
    LAST_NON_DIRECT,
    LAST_TOUCH,
    LINEAR,
    POSITION,
)  # fmt: skip
from attrib.methods.base import Cells, Credits, Draw, Method
from attrib.needs import RuleSums, Weights
from attrib.schemas import CHANNEL

if TYPE_CHECKING:
    from attrib.engines.base import Tallies

MAX_LENGTH = 100_000  # touches that a table of weights may speak of


@dataclass(frozen=True)
class _Rule(Method):
    """A rule needs one sum per (game, player) and is linear in it."""

    def _sum(self) -> RuleSums:
        raise NotImplementedError

    def _needs(self) -> tuple[RuleSums, ...]:
        return (self._sum(),)

    def _touch_rule(self) -> RuleSums:
        return self._sum()

    def _solve(self, tallies: Tallies, cells: Cells, draw: Draw) -> Credits:
        return add_up(self._sum(), tallies, cells, draw)


def check_times(rule: RuleSums, *, has_times: bool) -> None:
    """Check that a rule that weighs by time gets times.

    Raises
    ------
    SolveError
        ``no_times``.
    """
    if rule.rule == DECAY and not has_times:
        raise SolveError(
            "no_times",
            "time_decay needs the times of touches, and a path table has none",
            hint="use from_events, or linear or position_based",
        )


def add_up(need: RuleSums, tallies: Tallies, cells: Cells, draw: Draw) -> Credits:
    """Credit of a rule: its sums, placed into the cells."""
    check_times(need, has_times=tallies.has_times)
    tally = tallies.get(need)
    conversions, value = draw.sums(tally, "conversions"), draw.sums(tally, "value")
    keys = draw.keys(tally)
    at = cells.find(keys.games, keys.player(0) - FIRST_PLAYER)
    out = np.zeros((2, conversions.shape[0], len(cells.game)))
    out[0][:, at], out[1][:, at] = conversions, value
    return Credits(out[0], out[1])


@dataclass(frozen=True)
class FirstTouch(_Rule):
    """All credit to the first touch.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> paths = pl.DataFrame({"path": ["a > b"], "total_conversions": [3]})
    >>> table = attrib.FirstTouch().credit(attrib.Journeys.from_paths(paths))
    >>> table.filter(kind="player")["conversions"].to_list()
    [3.0, 0.0]
    """

    def _sum(self) -> RuleSums:
        return RuleSums(FIRST_TOUCH)


@dataclass(frozen=True)
class LastTouch(_Rule):
    """All credit to the last touch.

    Examples
    --------
    >>> LastTouch().label
    'last_touch'
    """

    def _sum(self) -> RuleSums:
        return RuleSums(LAST_TOUCH)


@dataclass(frozen=True)
class LastNonDirect(_Rule):
    """All credit to the last touch whose channel is not in ``direct``; if all are, to the last.

    Parameters
    ----------
    direct : tuple of str
        Channels that are passed over.

    Examples
    --------
    >>> LastNonDirect(direct=("direct", "app")).label
    'last_non_direct(direct=[direct, app])'
    """

    direct: tuple[str, ...] = ("direct",)

    def __post_init__(self) -> None:
        wrong = isinstance(self.direct, str) or not isinstance(self.direct, Iterable)
        if wrong or not all(isinstance(name, str) for name in self.direct):
            raise SpecError("bad_parameter", f"direct = {brief(self.direct)} is not a list of channel names")
        object.__setattr__(self, "direct", tuple(self.direct))

    def _sum(self) -> RuleSums:
        return RuleSums(LAST_NON_DIRECT, direct=self.direct)

    def _remarks(self, tallies: Tallies) -> Iterator[str | AttribWarning]:
        if CHANNEL not in tallies.players.columns:
            return
        if not tallies.players[CHANNEL].is_in(list(self.direct)).any():
            yield f"{self.label}: none of {', '.join(map(repr, self.direct))} is a channel, so it equals last_touch"
        near = near_keys(
            self.direct, tallies.players[CHANNEL].drop_nulls().to_list(), f"direct of {self.label}", "channels"
        )
        if near is not None:
            yield FindingWarning(near)


@dataclass(frozen=True)
class Linear(_Rule):
    """Equal credit to every touch.

    Examples
    --------
    >>> Linear().label
    'linear'
    """

    def _sum(self) -> RuleSums:
        return RuleSums(LINEAR)


@dataclass(frozen=True)
class PositionBased(_Rule):
    """Fixed shares to the first and the last touch, the rest equally to those between.

    Parameters
    ----------
    first, last : float
        Shares from 0, together at most 1. Two touches share in proportion to them, half each if both are 0.

    Raises
    ------
    SpecError
        ``bad_parameter`` for shares outside these bounds.

    Examples
    --------
    >>> PositionBased(first=0.5, last=0.3).label
    'position_based(first=0.5, last=0.3)'
    """

    first: float = 0.4
    last: float = 0.4

    def __post_init__(self) -> None:
        for name, share in (("first", self.first), ("last", self.last)):
            if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
                raise SpecError("bad_parameter", f"{name} = {brief(share)} is not a number from 0 to 1")
        if self.first + self.last > 1 + 1e-12:
            raise SpecError("bad_parameter", f"first + last = {self.first + self.last:g} is above 1")

    def _sum(self) -> RuleSums:
        return RuleSums(POSITION, a=float(self.first), b=float(self.last))


@dataclass(frozen=True)
class TimeDecay(_Rule):
    """Credit that halves with every ``half_life`` before the conversion.

    Parameters
    ----------
    half_life : str
        A duration such as ``"7d"``, or ``"unlimited"`` (then it equals :class:`Linear`).

    Examples
    --------
    >>> TimeDecay(half_life="36h").label
    'time_decay(half_life=36h)'
    """

    half_life: str = "7d"

    def __post_init__(self) -> None:
        half_life = parse_duration(self.half_life, "half_life")
        if isinstance(self.half_life, timedelta):
            object.__setattr__(self, "half_life", f"{self.half_life // timedelta(seconds=1)}s")
        if half_life is not None and not half_life:
            raise SpecError("bad_parameter", f"half_life = {brief(self.half_life)} must be longer than nothing")

    def _sum(self) -> RuleSums:
        half_life = parse_duration(self.half_life)
        return RuleSums(LINEAR) if half_life is None else RuleSums(DECAY, a=half_life.total_seconds())


OTHERWISE: dict[str, _Rule] = {
    "linear": Linear(), "first_touch": FirstTouch(), "last_touch": LastTouch(), "position_based": PositionBased()
}  # fmt: skip


@dataclass(frozen=True)
class CustomWeights(_Rule):
    """Weights of one's own: a table by length and position, or a function of positions and ages.

    Parameters
    ----------
    weights : mapping of int to sequence of float, sequence of sequences, or callable
        A table: for journeys of m touches, m numbers from 0, the first touch first; they are scaled to sum to 1. As a
        sequence, entry m - 1 is for m touches. Or a function ``f(positions, ages)``, called once a converting
        journey, with positions 1 … m (int64 [m]) and the times from the touches to the conversion in days (float64
        [m]; NaN in path tables); it gives m numbers from 0, not all 0, which are scaled alike.
    otherwise : {"linear", "first_touch", "last_touch", "position_based"}, optional
        What holds for journeys of a length that the table lacks. Default: they are an error when credit is computed.

    Raises
    ------
    SpecError
        ``bad_parameter`` for a table with a row of another length, a negative number, or nothing but zeros.

    Notes
    -----
    A function is plain Python, called journey by journey: 10⁶ journeys take some seconds.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> paths = pl.DataFrame({"path": ["a > b > c"], "total_conversions": [10]})
    >>> journeys = attrib.Journeys.from_paths(paths)
    >>> table = attrib.CustomWeights({1: [1], 2: [1, 1], 3: [5, 3, 2]}).credit(journeys)
    >>> table.filter(kind="player")["conversions"].to_list()
    [5.0, 3.0, 2.0]
    >>> inverse = attrib.CustomWeights(lambda positions, ages: 1 / positions)
    >>> inverse.credit(journeys).filter(kind="player")["share"].round(3).to_list()
    [0.545, 0.273, 0.182]
    """

    weights: Weights
    otherwise: str | None = None

    def __post_init__(self) -> None:
        if not callable(self.weights):
            object.__setattr__(self, "weights", _weight_table(self.weights))
        elif getattr(self.weights, "__hash__", None) is None:  # sums are remembered by what was asked for
            object.__setattr__(self, "weights", partial(self.weights))
        if self.otherwise is not None and (callable(self.weights) or self.otherwise not in list(OTHERWISE)):
            reason = "a function answers for every length" if callable(self.weights) else f"know {', '.join(OTHERWISE)}"
            raise SpecError("bad_parameter", f"otherwise = {brief(self.otherwise)}: {reason}")

    @property
    def label(self) -> str:
        """Name in the ``method`` column; two tables or functions need names of the caller's own."""
        return "custom_weights"

    def _sum(self) -> RuleSums:
        otherwise = None if self.otherwise is None else OTHERWISE[self.otherwise]._touch_rule()  # noqa: SLF001 - a rule
        return RuleSums(CUSTOM, weights=self.weights, otherwise=otherwise)


def _weight_table(given: Any) -> tuple[tuple[float, ...], ...]:
    """Rows by length, each scaled to sum to 1; an empty row stands for a length without weights."""
    if isinstance(given, Mapping):
        by_length = {_length(key): row for key, row in given.items()}
        if len(by_length) < len(given):
            raise SpecError("bad_parameter", f"weights: {brief(list(given)):.100} name a number of touches twice")
        if min(by_length, default=1) < 1 or max(by_length, default=1) > MAX_LENGTH:
            raise SpecError("bad_parameter", f"weights: numbers of touches lie between 1 and {MAX_LENGTH:,}")
        given = [by_length.get(m, ()) for m in range(1, max(by_length, default=0) + 1)]
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence) or not given:
        raise SpecError(
            "bad_parameter",
            f"weights = {brief(given)} is neither a table nor a function",
            hint="e.g. {1: [1], 2: [3, 1]}",
        )
    return tuple(_weight_row(row, m) for m, row in enumerate(given, start=1))


def _length(key: Any) -> int:
    try:
        if not isinstance(key, bool):
            return int(key) if isinstance(key, str) else index(key)
    except (TypeError, ValueError):
        pass
    raise SpecError("bad_parameter", f"weights: {brief(key):.100} is not a number of touches")


def _weight_row(row: Any, length: int) -> tuple[float, ...]:
    in_order = isinstance(row, Iterable) and not isinstance(row, (str, bytes, Mapping, AbstractSet))
    given = tuple(row) if in_order else (row,)
    if not given:
        return ()
    try:
        numbers = [float(x) if isinstance(x, Real) and not isinstance(x, bool) else math.nan for x in given]
    except OverflowError:
        numbers = []
    if len(numbers) != length or not all(0 <= x < math.inf for x in numbers) or not max(numbers) > 0:
        raise SpecError(
            "bad_parameter",
            f"weights of {length} touches: {brief(row):.100} is not {length} numbers from 0 that sum to more than 0",
        )
    exponent = math.frexp(max(numbers))[1]  # so that no sum is too large for a float
    scaled = [math.ldexp(x, -exponent) for x in numbers]
    return tuple(x / math.fsum(scaled) for x in scaled)
