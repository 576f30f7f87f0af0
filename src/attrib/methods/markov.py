"""Markov chains: credit by what removing a player from the fitted chain would lose (semantics §5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from attrib.methods.base import Cells, Credits, Draw, Method
from attrib.methods.chain import TOLERANCE, chains, check_chain, tolerance_of
from attrib.needs import Transitions

if TYPE_CHECKING:
    from attrib.engines.base import Tallies

Floats = npt.NDArray[np.float64]
ROUNDING = 1e-14  # of a sum of some numbers, relative to their sizes


@dataclass(frozen=True)
class Markov(Method):
    """Removal effects in the absorbing Markov chain of the journeys, solved exactly.

    A player's effect is the share of conversions that the fitted chain loses without the player; conversions are
    credited in proportion. It describes the fitted chain, not what would happen.

    Parameters
    ----------
    order : int
        How many touches the next step depends on, 1 to 5.
    removal : {"null", "renormalise"}
        What becomes of the steps into a removed player. ``null``: they lead to no conversion. ``renormalise``: they
        are dropped, and the other steps from the same state take their place in proportion; effects, and with them
        credit, may then be negative, and where the effects sum to nothing positive there is no credit (null).

    Raises
    ------
    SpecError
        ``bad_parameter`` for another order or removal.

    References
    ----------
    Anderl, Becker, von Wangenheim & Schumann (2016), Mapping the customer journey.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> paths = pl.DataFrame(
    ...     {
    ...         "path": ["C1 > C2 > C3", "C1", "C2 > C3"],
    ...         "total_conversions": [1, 0, 0],
    ...         "total_null": [0, 1, 1],
    ...     }
    ... )
    >>> table = attrib.Markov(order=1).credit(attrib.Journeys.from_paths(paths)).filter(kind="player")
    >>> table.select("channel", "share", "effect").rows()
    [('C1', 0.2, 0.5), ('C2', 0.4, 1.0), ('C3', 0.4, 1.0)]
    """

    order: int = 1
    removal: str = "null"
    _always: ClassVar[tuple[str, ...]] = ("order",)
    _needs_nulls: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", check_chain(self.order, self.removal))

    def _needs(self) -> tuple[Transitions, ...]:
        return (Transitions(self.order),)

    def _solve(self, tallies: Tallies, cells: Cells, draw: Draw) -> Credits:
        tally = tallies.get(Transitions(self.order))
        counts, value = draw.sums(tally, "count"), draw.sums(tally, "value")
        shape = (counts.shape[0], len(cells.game))
        conversions_out, value_out, effect_out = (np.zeros(shape) for _ in range(3))
        effect_out[:] = np.nan
        # credit is as much less exact than effects as these cancel in their sum, which renormalising lets them
        tolerance = TOLERANCE if self.removal == "renormalise" else tolerance_of(draw)
        # with refunds, effects on value cancel whatever the removal, to what rounding leaves of nothing
        least = 10 * tolerance if self.removal == "renormalise" else ROUNDING
        for game, chain, rows in chains(self.order, tallies, cells, draw):
            cell = slice(cells.starts[game], cells.starts[game + 1])
            losses, totals = chain.losses(counts[:, rows], value[:, rows], self.removal, tolerance)
            effect = _effects(losses[:, :, 0], totals[:, 0])
            conversions_out[:, cell] = _share_out(effect, totals[:, 0], least)
            value_out[:, cell] = _share_out(_effects(losses[:, :, 1], totals[:, 1]), totals[:, 1], least)
            some = np.where(totals[:, :1] > 0, effect, np.nan)
            # a loss lies between nothing and everything; without renormalising, what lies outside is rounding
            effect_out[:, cell] = np.clip(some, 0.0, 1.0) if self.removal == "null" else some
        return Credits(conversions_out, value_out, effect_out)


def _effects(losses: Floats, totals: Floats) -> Floats:
    """Loss over total, [R, n]; not finite where the total is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return losses / totals[:, None]


def _share_out(effect: Floats, totals: Floats, least: float) -> Floats:
    """Totals in proportion to the effects, [R, n].

    Nothing to share out is 0 for everybody; effects that do not sum to a positive number, or to no more than the part
    ``least`` of their sizes, which is their accuracy, share out nothing (NaN).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = effect.sum(axis=1, keepdims=True)
        size = np.abs(effect).sum(axis=1, keepdims=True)
        share = np.where(whole > least * size, effect / whole, np.nan)
        return np.where(totals[:, None] == 0.0, 0.0, totals[:, None] * share)
