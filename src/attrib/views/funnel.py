"""The funnel: customers by stage (semantics §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.schemas import STAGE

if TYPE_CHECKING:
    from attrib.engines.base import Funnel

Ints = npt.NDArray[np.int64]
UNITS = {1_000: "ms", 1_000_000: "us", 1_000_000_000: "ns"}  # ticks a second


def time_quantile(times: Ints, left: Ints, quantile: float) -> int | None:
    """Smallest time by which a share ``quantile`` of customers has left, by Kaplan and Meier (1958).

    Parameters
    ----------
    times, left : int64 [n]
        Time in the stage; 1 for customers who left, 0 for those still there (censored).
    quantile : float
        0.5 for the median.

    Returns
    -------
    int or None
        None where the estimated curve does not fall that far.

    Examples
    --------
    >>> time_quantile(np.array([1, 2, 3, 4]), np.array([1, 1, 0, 0]), 0.5)
    2
    """
    order = np.argsort(times, kind="stable")
    distinct, first = np.unique(times[order], return_index=True)
    if len(distinct) == 0:
        return None
    events = np.add.reduceat(left[order], first)
    at_risk = len(times) - first
    survival = np.cumprod(1 - events / at_risk)
    reached = np.flatnonzero(survival <= 1 - quantile + 1e-12)
    return int(distinct[reached[0]]) if len(reached) else None


def funnel_frame(funnel: Funnel, stages: tuple[str, ...]) -> pl.DataFrame:
    """Table of the funnel, one row a stage."""
    entered, advanced, skipped, still_open, repeats, touches = (funnel.counts[:, i] for i in range(6))
    mature = entered - still_open
    duration = pl.Duration(UNITS[funnel.ticks_per_second])  # type: ignore[arg-type]
    quantiles = [
        [time_quantile(times, left, q) for times, left in zip(funnel.times, funnel.left, strict=True)]
        for q in (0.5, 0.9)
    ]
    with np.errstate(divide="ignore", invalid="ignore"):
        rate, per_customer = advanced / mature, touches / entered
    return pl.DataFrame({
        STAGE: pl.Series(stages, dtype=pl.Enum(stages)),
        "entered": entered,
        "advanced": advanced,
        "skipped": skipped,
        "stalled": entered - advanced - still_open,
        "open": still_open,
        "rate": pl.Series(rate).fill_nan(None),
        "repeat_advances": repeats,
        "median_time": pl.Series(quantiles[0], dtype=pl.Int64).cast(duration),
        "p90_time": pl.Series(quantiles[1], dtype=pl.Int64).cast(duration),
        "touches_per_customer": pl.Series(per_customer).fill_nan(None),
    })  # fmt: skip
