"""Rules (heuristics): every converting journey shares its conversion by position or time (semantics §4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from attrib.durations import parse_duration
from attrib.errors import SolveError, SpecError
from attrib.kernels.codes import (
    DECAY,
    FIRST_PLAYER,
    FIRST_TOUCH,
    LAST_NON_DIRECT,
    LAST_TOUCH,
    LINEAR,
    POSITION,
)  # fmt: skip
from attrib.methods.base import Cells, Credits, Draw, Method
from attrib.needs import RuleSums
from attrib.schemas import CHANNEL

if TYPE_CHECKING:
    from attrib.engines.base import Tallies


@dataclass(frozen=True)
class _Rule(Method):
    """A rule needs one sum per (game, player) and is linear in it."""

    def _sum(self) -> RuleSums:
        raise NotImplementedError

    def _needs(self) -> tuple[RuleSums, ...]:
        return (self._sum(),)

    def _solve(self, tallies: Tallies, cells: Cells, draw: Draw) -> Credits:
        return add_up(self._sum(), tallies, cells, draw)


def add_up(need: RuleSums, tallies: Tallies, cells: Cells, draw: Draw) -> Credits:
    """Credit of a rule: its sums, placed into the cells."""
    import numpy as np

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
            raise SpecError("bad_parameter", f"direct = {self.direct!r} is not a list of channel names")
        object.__setattr__(self, "direct", tuple(self.direct))

    def _sum(self) -> RuleSums:
        return RuleSums(LAST_NON_DIRECT, direct=self.direct)

    def _remarks(self, tallies: Tallies) -> Iterator[str]:
        if CHANNEL in tallies.players.columns and not tallies.players[CHANNEL].is_in(list(self.direct)).any():
            yield f"{self.label}: none of {', '.join(map(repr, self.direct))} is a channel, so it equals last_touch"


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
                raise SpecError("bad_parameter", f"{name} = {share!r} is not a number from 0 to 1")
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
            raise SpecError("bad_parameter", f"half_life = {self.half_life!r} must be longer than nothing")

    def _sum(self) -> RuleSums:
        half_life = parse_duration(self.half_life)
        return RuleSums(LINEAR) if half_life is None else RuleSums(DECAY, a=half_life.total_seconds())

    def _solve(self, tallies: Tallies, cells: Cells, draw: Draw) -> Credits:
        if not tallies.has_times:
            raise SolveError(
                "no_times",
                "time_decay needs the times of touches, and a path table has none",
                hint="use from_events, or linear or position_based",
            )
        return add_up(self._sum(), tallies, cells, draw)
