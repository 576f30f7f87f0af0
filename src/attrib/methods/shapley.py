"""Shapley values (semantics §6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from attrib.errors import SpecError
from attrib.kernels.codes import SHAPLEY
from attrib.methods.base import Cells, Credits, Draw, Method
from attrib.methods.rules import add_up
from attrib.needs import RuleSums

if TYPE_CHECKING:
    from attrib.engines.base import Tallies

WORTHS = ("conversions",)


@dataclass(frozen=True)
class Shapley(Method):
    """Shapley value of the game in which a coalition is worth the conversions of journeys within it.

    Parameters
    ----------
    worth : {"conversions"}
        Closed form: each conversion is shared equally among the distinct players of its journey.

    Raises
    ------
    SpecError
        ``bad_parameter`` for another worth.

    References
    ----------
    Zhao, Mahboobi & Bagheri (2018), Shapley value methods for attribution modeling in online advertising.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> paths = pl.DataFrame({"path": ["a > b > a"], "total_conversions": [3]})
    >>> table = attrib.Shapley().credit(attrib.Journeys.from_paths(paths))
    >>> table.filter(kind="player")["conversions"].to_list()
    [1.5, 1.5]
    """

    worth: str = "conversions"
    _always: ClassVar[tuple[str, ...]] = ("worth",)

    def __post_init__(self) -> None:
        if self.worth not in WORTHS:
            raise SpecError("bad_parameter", f"worth = {self.worth!r} is not one of {', '.join(WORTHS)}")

    def _needs(self) -> tuple[RuleSums, ...]:
        return (RuleSums(SHAPLEY),)

    def _solve(self, tallies: Tallies, cells: Cells, draw: Draw) -> Credits:
        return add_up(RuleSums(SHAPLEY), tallies, cells, draw)
