"""Who has said that they leave: outcomes that end the relation, such as a cancellation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl

from attrib.errors import SpecError, brief, warn
from attrib.faults import nearest
from attrib.io.text import clean
from attrib.schemas import CUSTOMER, OUTCOME
from attrib.snapshots.events import ON_DAY
from attrib.snapshots.leaving import looks_like_leaving

CANCELLED = "cancelled"
_SHOWN = 5  # names of a message


def read_names(cancelled: Any) -> tuple[str, ...] | None:
    """Read the names of outcomes that end the relation; None where nothing was said of them.

    Raises
    ------
    SpecError
        ``bad_value``.

    Examples
    --------
    >>> read_names("cancel"), read_names(["cancel", "churn"]), read_names(()), read_names(None)
    (('cancel',), ('cancel', 'churn'), (), None)
    """
    if cancelled is None:
        return None
    names = (cancelled,) if isinstance(cancelled, str) else cancelled
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) and name.strip() for name in names):
        hint = 'e.g. cancelled="cancel", or cancelled=() where none does'
        raise SpecError(
            "bad_value", f"cancelled = {brief(cancelled)} is no name of an outcome, and no list of names", hint=hint
        )
    return tuple(name.strip() for name in names)


def mark_cancelled(
    summary: pl.DataFrame,
    days: pl.DataFrame,
    outcomes: pl.DataFrame | None,
    end: date,
    cancelled: tuple[str, ...] | None,
    target: str,
) -> pl.DataFrame:
    """Add to a summary who has cancelled by the end and bought nothing on a later day, where that was asked for.

    Parameters
    ----------
    summary : polars.DataFrame
        One row a customer.
    days : polars.DataFrame
        Customer and day of each purchase.
    outcomes : polars.DataFrame or None
        Customer, day (``on_day``) and name of all outcomes; None where they have no names.
    end : datetime.date
        Last day that counts.
    cancelled : tuple of str or None
        Outcomes that end the relation. None: a warning tells of outcomes that sound like it.
    target : str
        The outcome that is a purchase.

    Raises
    ------
    SpecError
        ``bad_value`` where the table has no outcomes to find them by; ``unknown_outcome`` for a slip of a name.
    """
    if cancelled == ():
        return summary
    if outcomes is None:
        if cancelled is None:
            return summary
        hint = "add a column cancelled to the summary yourself: fit, predictions and lifetime_value take it"
        raise SpecError("bad_value", f"cancelled = {cancelled[0]!r}: outcomes has no column {OUTCOME}", hint=hint)
    names = outcomes[OUTCOME].unique().sort().to_list()
    wanted = list(cancelled) if cancelled else [name for name in looks_like_leaving(names) if name != target]
    if cancelled:
        _check_known(wanted, names)
    if not wanted:
        return summary
    ended = outcomes.rename({ON_DAY: "ended"}).filter(pl.col(OUTCOME).is_in(wanted), pl.col("ended") <= end)
    gone = days.group_by(CUSTOMER).agg(pl.col("day").max()).join(
        ended.group_by(CUSTOMER).agg(pl.col("ended").max(), pl.col(OUTCOME).unique().sort()), on=CUSTOMER
    ).filter(pl.col("ended") >= pl.col("day"))  # fmt: skip
    if cancelled:
        return summary.with_columns(pl.col(CUSTOMER).is_in(gone[CUSTOMER].implode()).alias(CANCELLED))
    if gone.height:
        met = gone[OUTCOME].explode().unique().sort().to_list()
        shown = ", ".join(repr(clean(name, 40)) for name in met[:_SHOWN])
        name = clean(met[0], 40)
        warn(
            f"{gone.height:,} of {summary.height:,} customers have an outcome after their last purchase that sounds "
            f"like the end of the relation ({shown}), and count as customers still; name what ends it, e.g. "
            f'cancelled = "{name}", or say that nothing does: cancelled = []'
        )
    return summary


def _check_known(wanted: Sequence[str], names: Sequence[str]) -> None:
    for name in wanted:
        if name in names:
            continue
        slip = nearest(name, names)
        known = ", ".join(clean(one, 40) for one in names[:20]) or "none"
        fault = f"cancelled = {clean(name, 40)!r}: no outcome is called so{slip}"
        if slip:
            raise SpecError("unknown_outcome", fault, hint=f"outcomes that occur: {known}")
        warn(f"{fault}, and nobody has cancelled by it; outcomes that occur: {known}")
