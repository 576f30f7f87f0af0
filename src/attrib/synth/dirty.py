"""Faults on request: rows that break each rule of validation, at about a given share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

# "future_timestamp" and "negative_value" are warned about; "duplicate" is dropped; all others are rejected.
TOUCHPOINT_FAULTS = (
    "null_customer",
    "null_timestamp",
    "null_channel",
    "empty_channel",
    "future_timestamp",
    "duplicate",
)
OUTCOME_FAULTS = (
    "null_customer",
    "null_timestamp",
    "null_outcome",
    "empty_outcome",
    "null_value",
    "nan_value",
    "infinite_value",
    "negative_value",
    "future_timestamp",
    "duplicate",
)
EMPTY_CUSTOMER = "empty_customer"  # only where ids are strings

_CLEAN = -1


@dataclass(frozen=True, slots=True)
class Faults:
    """Which rows to write, and what is wrong with each.

    Parameters
    ----------
    rows : (n,) int64
        Index of the clean row; a duplicate occurs twice, adjacent.
    fault : (n,) int64
        Index into `kinds`; -1 is clean. The second copy of a duplicate carries the fault.
    kinds : tuple of str
        Names of the faults.
    """

    rows: NDArray[np.int64]
    fault: NDArray[np.int64]
    kinds: tuple[str, ...]


def choose(keys: NDArray[np.uint64], share: float, kinds: tuple[str, ...]) -> Faults:
    """Give each row a fault with probability `share`, all kinds equally likely."""
    hit = keys < np.uint64(share * 2.0**64)
    # The low bits: the high ones have decided already.
    fault = np.where(hit, ((keys & np.uint64(0xFFFFFF)) % np.uint64(len(kinds))).astype(np.int64), _CLEAN)
    twice = fault == kinds.index("duplicate")
    repeats = 1 + twice
    rows = np.repeat(np.arange(keys.size), repeats)
    written = np.repeat(fault, repeats)
    first = np.cumsum(repeats) - repeats
    written[first[twice]] = _CLEAN
    return Faults(rows, written, kinds)


def spoil(frame: pl.DataFrame, fault: NDArray[np.int64], kinds: tuple[str, ...]) -> pl.DataFrame:
    """Break the rows of `frame` as `fault` (one per row, indexing `kinds`) says."""
    code = pl.Series("fault", fault)

    def broken(column: str, **worse: pl.Expr) -> pl.Expr:
        expression = pl.col(column)
        for kind, value in worse.items():
            if kind in kinds:
                expression = pl.when(pl.lit(code) == kinds.index(kind)).then(value).otherwise(expression)
        return expression.alias(column)

    null, empty = pl.lit(None), pl.lit("")
    customer = {"null_customer": null} | ({EMPTY_CUSTOMER: empty} if EMPTY_CUSTOMER in kinds else {})
    changes = [
        broken("customer_id", **customer),
        broken("timestamp", null_timestamp=null, future_timestamp=pl.col("timestamp").dt.offset_by("100y")),
    ]
    if "channel" in frame.columns:
        changes.append(broken("channel", null_channel=null, empty_channel=empty))
    else:
        changes.append(broken("outcome", null_outcome=null, empty_outcome=empty))
        changes.append(
            broken(
                "value",
                null_value=null,
                nan_value=pl.lit(float("nan")),
                infinite_value=pl.lit(float("inf")),
                negative_value=-pl.col("value").abs() - 1.0,
            )
        )
    return frame.with_columns(changes)
