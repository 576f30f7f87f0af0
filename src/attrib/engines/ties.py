"""Touches at one instant that only their names put into order: how many, and on how many journeys it matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attrib.io.text import clean
from attrib.io.times import shown

if TYPE_CHECKING:
    from attrib.ragged import CutPlan, Events, Ragged

ENOUGH, SHARE = 20, 100  # journeys that are more than a trifle: so many, and one of so many


@dataclass(slots=True)
class Ties:
    """Counts over the partitions.

    ``touches`` share their instant (and sequence) with another player's touch of the same customer; ``journeys`` have
    such neighbours, of ``touched`` with a touch and ``longer`` with two or more. ``example``: the earliest instant in
    ticks, and the channels in the order that their names give.
    """

    touches: int = 0
    journeys: int = 0
    touched: int = 0
    longer: int = 0
    example: tuple[int, str, str] | None = None

    @staticmethod
    def read(plain: dict[str, Any]) -> Ties:
        """Read what was written as JSON."""
        example = None if plain["example"] is None else tuple(plain["example"])
        return Ties(**plain | {"example": example})

    def add(self, other: Ties) -> None:
        """Add those of other customers."""
        self.touches += other.touches
        self.journeys += other.journeys
        self.touched += other.touched
        self.longer += other.longer
        known = [one for one in (self.example, other.example) if one is not None]
        self.example = min(known, default=None)

    @property
    def matter(self) -> bool:
        """Whether they are more than a trifle: on 20 journeys and 1 % of them, or on all that could have one."""
        some = self.journeys >= ENOUGH and self.journeys * SHARE >= self.touched
        return some or 0 < self.journeys == self.longer

    def facts(self) -> dict[str, Any]:
        """Counts for the record of a run."""
        return {"touchpoints": self.touches, "journeys": self.journeys, "of_journeys": self.touched}

    def told(self, ticks: int, *, sequenced: bool) -> str:
        """Say how many there are, with an example."""
        which = "their time and sequence" if sequenced else "their time"
        text = (
            f"{self.touches:,} touchpoints share {which} with another player's of the same customer, and only the name "
            f"orders them; that decides the order of {self.journeys:,} of {self.touched:,} journeys"
        )
        if self.example is not None:
            time, first, second = self.example
            names = f" {clean(first, 40)!r} before {clean(second, 40)!r}" if first != second else ""
            text += f", e.g.{names} at {shown(time, ticks)}"
        finer = "a sequence that differs" if sequenced else "a column sequence"
        return f"{text}: give them finer times, or {finer}"


def count_ties(events: Events, ragged: Ragged, plan: CutPlan) -> Ties:
    """Count the ties of a partition."""
    from attrib.kernels import ties

    out = np.zeros(5, np.int64)
    ties.count_ties(
        events.t_offsets, events.t_time, events.t_kind, events.t_same, plan.player_of_kind, ragged.offsets,
        ragged.players, ragged.kinds, ragged.times, ragged.customer, out,
    )  # fmt: skip
    touches, journeys, touched, longer, earliest = out.tolist()
    return Ties(touches, journeys, touched, longer, _example(ragged, earliest) if journeys else None)


def _example(ragged: Ragged, time: int) -> tuple[int, str, str] | None:
    """Channels of the ties at an instant; the first by name, whatever the partition."""
    second = np.flatnonzero(ragged.times == time)
    second = second[second > 0]
    journey = np.searchsorted(ragged.offsets, second, side="right")
    before = np.searchsorted(ragged.offsets, second - 1, side="right")
    tied = (ragged.times[second - 1] == time) & (journey == before)
    tied &= ragged.players[second] != ragged.players[second - 1]
    second = second[tied]
    pairs = np.unique(np.stack([ragged.kinds[second - 1], ragged.kinds[second]]), axis=1)
    names = ragged.channel_of_kind
    return min(((time, str(names[a]), str(names[b])) for a, b in pairs.T), default=None)
