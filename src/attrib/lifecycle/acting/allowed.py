"""Who may be touched by which channel: eligibility, consent and frequency caps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.durations import in_ticks, parse_duration
from attrib.errors import DataError, SpecError, brief
from attrib.io import days
from attrib.io.text import clean
from attrib.lifecycle.acting.deciding import in_ticks_of
from attrib.lifecycle.base.beside import read_flags
from attrib.lifecycle.base.design import collected
from attrib.schemas import CHANNEL, CUSTOMER, DATE, require_columns
from attrib.snapshots.asked import MICRO
from attrib.snapshots.events import AT, TOUCH, WHO, read_events
from attrib.values import whole_number

Bools = npt.NDArray[np.bool_]
ALL = "*"  # a cap on all channels together


def blocked_by(
    table: pl.DataFrame,
    channels: Sequence[str],
    *,
    eligible: Any,
    consent: Any,
    consent_free: Sequence[str],
    caps: Any,
    touchpoints: Any,
    columns: Any,
) -> list[tuple[str, int, Bools]]:
    """Find who may not be touched: reason, number of the channel, rows; the first reason of a row counts."""
    found = []
    strange = [name for name in consent_free if name not in channels]
    if strange:
        near = get_close_matches(strange[0], channels, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"channels are {', '.join(map(repr, channels[:10]))}"
        raise SpecError("bad_parameter", f"consent_free names {strange[0]!r}, which is no channel here", hint=hint)
    if consent is None:
        if consent_free:
            raise SpecError(
                "bad_parameter",
                "consent_free is given without consent",
                hint="pass consent; without it nobody is asked for consent, and nobody is blocked for want of it",
            )
    else:
        needing = [c for c in channels if c not in consent_free]
        given = _granted(table, needing, consent, "consent", missing=False)
        found += [("no consent", channels.index(c), ~given[c]) for c in needing]
    if eligible is not None:
        given = _granted(table, channels, eligible, "eligible", missing=True)
        found += [("not eligible", at, ~given[c]) for at, c in enumerate(channels)]
    if caps is not None:
        found += _capped(table, channels, caps, touchpoints, columns)
    return found


def _granted(table: pl.DataFrame, channels: Sequence[str], rule: Any, name: str, *, missing: bool) -> dict[str, Bools]:
    """Whether each row has what a channel asks for; ``missing`` where the rule is silent. Null means no."""
    if isinstance(rule, Mapping):
        out = {}
        for channel in channels:
            says = rule.get(channel, missing)
            if isinstance(says, str):
                require_columns("snapshot", table.columns, [says], hint=f"{name} must name columns of flags")
                out[channel] = read_flags(f"{name}: {clean(says, 80)!r}", table[says], null=False)
            elif isinstance(says, bool):
                out[channel] = np.full(table.height, says)
            else:
                raise SpecError(
                    "bad_value", f"{name}[{clean(channel, 80)!r}] = {brief(says):.80} is not a column of flags"
                )
        return out
    frame = collected(rule)
    hint = f"{name} is a frame of customer_id, channel and {name} (true or false), or a mapping of channel to column"
    require_columns(name, frame.columns, [CUSTOMER, CHANNEL, name], hint=hint)
    flags = pl.Series(name, read_flags(name, frame[name], null=False))
    frame = frame.select(pl.col(CUSTOMER, CHANNEL).cast(pl.String), flags)
    # who is named twice has it only if all rows say so
    frame = frame.group_by(CUSTOMER, CHANNEL).agg(pl.col(name).all())
    who = table.select(pl.col(CUSTOMER).cast(pl.String))
    out = {}
    for channel in channels:
        own = frame.filter(pl.col(CHANNEL) == channel).select(CUSTOMER, name)
        joined = who.join(own, on=CUSTOMER, how="left", maintain_order="left")
        out[channel] = joined[name].fill_null(missing).to_numpy()
    return out


def _capped(
    table: pl.DataFrame, channels: Sequence[str], caps: Any, touchpoints: Any, columns: Any
) -> list[tuple[str, int, Bools]]:
    """Rows whose channel has had its number of touches in the days before the date. Every row of the log counts."""
    if not isinstance(caps, Mapping):
        raise SpecError("bad_value", f"caps = {brief(caps):.80} is no mapping", hint='e.g. {"mail": (3, "7d")}')
    if not caps:
        return []
    if touchpoints is None:
        raise SpecError("bad_value", "caps are counted in touchpoints, which are missing", hint="pass touchpoints=")
    require_columns("snapshot", table.columns, [DATE], hint="caps are counted back from it: use attrib.snapshot")
    events = read_events(touchpoints, None, columns, (), 0.05, day_of_outcome=days.START)
    if (events.zone is None) != (getattr(table.schema[DATE], "time_zone", None) is None):
        raise DataError("mixed_zones", "of the dates of the snapshot and the touchpoints, one carries a time zone")
    touches = events.touches.lazy().select(
        pl.col(WHO).cast(events.id_type).cast(pl.String).alias(CUSTOMER), AT, pl.col(TOUCH).cast(pl.String)
    )
    rows = table.select(pl.col(CUSTOMER).cast(pl.String), in_ticks_of(table).alias("__now")).with_row_index("__row")
    near = rows.lazy().join(touches, on=CUSTOMER).filter(pl.col(AT) < pl.col("__now"))
    found = []
    for channel, cap in caps.items():
        if not isinstance(cap, (tuple, list)) or len(cap) != 2:
            raise SpecError("bad_value", f"caps[{clean(channel, 80)!r}] = {brief(cap):.80}", hint='e.g. (3, "7d")')
        most = whole_number("caps", cap[0], 0, key="bad_value")
        span = in_ticks(parse_duration(cap[1], "caps"), MICRO)
        recent = near if span < 0 else near.filter(pl.col(AT) >= pl.col("__now") - span)
        if channel != ALL:
            recent = recent.filter(pl.col(TOUCH) == channel)
        counts = recent.group_by("__row").len().collect()
        number = np.zeros(table.height, dtype=np.int64)
        number[counts["__row"].to_numpy()] = counts["len"].to_numpy()
        reason = f"{most} touches in {cap[1]}" + (" by all channels" if channel == ALL else "")
        at = range(len(channels)) if channel == ALL else [channels.index(channel)] if channel in channels else []
        found += [(f"frequency cap: {reason}", one, number >= most) for one in at]
    return found
