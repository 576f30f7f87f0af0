"""What a method asks to have summed over the journeys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Totals:
    """Conversions, nulls and value of each game, and what no touch can be credited with.

    Of every need: ``players`` fields of a key, ``columns`` name → (first word, whether it is a sum of four words),
    ``width`` words in all, ``marks`` the words of which some are not 0 in every row in use.
    """

    players: ClassVar[int] = 0
    columns: ClassVar[dict[str, tuple[int, bool]]] = {
        "conversions": (0, False), "nulls": (1, False), "unattributed": (2, False), "rows": (3, False),
        "unattributed_rows": (4, False), "journeys": (5, False), "value": (6, True), "unattributed_value": (10, True),
    }  # fmt: skip
    width: ClassVar[int] = 14
    marks: ClassVar[tuple[int, ...]] = (5,)


@dataclass(frozen=True, slots=True)
class Touches:
    """Touches of each player in each game."""

    players: ClassVar[int] = 1
    columns: ClassVar[dict[str, tuple[int, bool]]] = {"touches": (0, False)}
    width: ClassVar[int] = 1
    marks: ClassVar[tuple[int, ...]] = (0,)


@dataclass(frozen=True, slots=True)
class RuleSums:
    """Credit of a rule: weights over the touches of a journey that sum to 1.

    ``rule`` is a code of ``kernels.tallies``; a and b are its parameters (position: ends; decay: half-life in
    seconds); ``direct`` the channels that ``last_non_direct`` passes over.
    """

    rule: int
    a: float = 0.0
    b: float = 0.0
    direct: tuple[str, ...] = ()
    players: ClassVar[int] = 1
    columns: ClassVar[dict[str, tuple[int, bool]]] = {"conversions": (0, True), "value": (4, True)}
    width: ClassVar[int] = 8
    marks: ClassVar[tuple[int, ...]] = (0, 1, 2, 3)


@dataclass(frozen=True, slots=True)
class Transitions:
    """Steps from the last ``order`` players to the next one, to conversion or to null."""

    order: int

    columns: ClassVar[dict[str, tuple[int, bool]]] = {"count": (0, False), "value": (1, True)}
    width: ClassVar[int] = 5
    marks: ClassVar[tuple[int, ...]] = (0,)

    @property
    def players(self) -> int:
        """Player fields of a key: the context and the next player."""
        return self.order + 1


Need = Totals | Touches | RuleSums | Transitions
