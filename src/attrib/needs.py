"""What a method asks to have summed over the journeys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Weights = tuple[tuple[float, ...], ...] | Callable[[npt.NDArray[np.int64], Floats], npt.ArrayLike]


@dataclass(frozen=True, slots=True)
class Totals:
    """Conversions, nulls and value of each game, and what no touch can be credited with.

    Of every need: ``players`` fields of a key, ``columns`` name → (first word, whether it is a sum of four words),
    ``width`` words in all, ``marks`` the words of which some are not 0 in every row in use; ``has_tail``: whether keys
    end in a number that is no player.
    """

    players: ClassVar[int] = 0
    columns: ClassVar[dict[str, tuple[int, bool]]] = {
        "conversions": (0, False), "nulls": (1, False), "unattributed": (2, False), "rows": (3, False),
        "unattributed_rows": (4, False), "journeys": (5, False), "value": (6, True), "unattributed_value": (10, True),
    }  # fmt: skip
    width: ClassVar[int] = 14
    marks: ClassVar[tuple[int, ...]] = (5,)
    has_tail: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Touches:
    """Touches of each player in each game."""

    players: ClassVar[int] = 1
    columns: ClassVar[dict[str, tuple[int, bool]]] = {"touches": (0, False)}
    width: ClassVar[int] = 1
    marks: ClassVar[tuple[int, ...]] = (0,)
    has_tail: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class RuleSums:
    """Credit of a rule: weights over the touches of a journey that sum to 1.

    ``rule`` is a code of ``kernels.codes``; a and b are its parameters (position: ends; decay: half-life in
    seconds); ``direct`` the channels that ``last_non_direct`` passes over; ``weights`` those of a custom rule,
    ``otherwise`` the rule for lengths that its table lacks; ``by_position`` keeps the positions of the touches apart
    (the tail of a key, from 1).
    """

    rule: int
    a: float = 0.0
    b: float = 0.0
    direct: tuple[str, ...] = ()
    weights: Weights | None = None
    otherwise: RuleSums | None = None
    by_position: bool = False
    players: ClassVar[int] = 1
    columns: ClassVar[dict[str, tuple[int, bool]]] = {"conversions": (0, True), "value": (4, True)}
    width: ClassVar[int] = 8
    marks: ClassVar[tuple[int, ...]] = (0, 1, 2, 3)

    @property
    def has_tail(self) -> bool:
        """Whether keys end in a position."""
        return self.by_position


@dataclass(frozen=True, slots=True)
class Transitions:
    """Steps from the last ``order`` players to the next one, to conversion or to null."""

    order: int

    columns: ClassVar[dict[str, tuple[int, bool]]] = {"count": (0, False), "value": (1, True)}
    width: ClassVar[int] = 5
    marks: ClassVar[tuple[int, ...]] = (0,)
    has_tail: ClassVar[bool] = False

    @property
    def players(self) -> int:
        """Player fields of a key: the context and the next player."""
        return self.order + 1


PATH, PLAYER_SET, CUSTOMER_SET, LENGTH, SECONDS = "path", "player set", "customer's player set", "length", "seconds"


@dataclass(frozen=True, slots=True)
class Patterns:
    """Journeys by what they have in common; the tail of a key numbers it.

    ``of``: the ``path`` (players in order), the ``player set`` (distinct players), the ``length`` (touches), the
    ``seconds`` from the first touch to the conversion (of those that convert), or the ``customer's player set``: then
    ``rows`` counts customers of a game (open journeys included), else journeys. ``converted`` are those of them with a
    conversion.
    """

    of: str
    players: ClassVar[int] = 0
    columns: ClassVar[dict[str, tuple[int, bool]]] = {
        "rows": (0, False), "conversions": (1, False), "nulls": (2, False), "converted": (3, False), "value": (4, True)
    }  # fmt: skip
    width: ClassVar[int] = 8
    marks: ClassVar[tuple[int, ...]] = (0,)
    has_tail: ClassVar[bool] = True

    @property
    def has_lists(self) -> bool:
        """Whether the tail numbers lists of players."""
        return self.of in (PATH, PLAYER_SET, CUSTOMER_SET)


Need = Totals | Touches | RuleSums | Transitions | Patterns
