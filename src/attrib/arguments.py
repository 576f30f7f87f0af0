"""What callers pass to Journeys, checked before anything is read: one clear error each."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from attrib.diagnostics.columns import columns_beside
from attrib.durations import parse_duration
from attrib.engines.base import Engine
from attrib.engines.local import LocalEngine
from attrib.engines.spark import SparkEngine
from attrib.errors import SpecError, brief
from attrib.io.flags import check_flag_type, split_inline
from attrib.io.identities import Identities, read_identities
from attrib.io.mapping import check_mapping, mapping_for, read_columns
from attrib.io.sources import InlineOutcome, Source, open_table
from attrib.io.tables import required
from attrib.schemas import (
    CHANNEL,
    CLUSTER,
    CUSTOMER,
    EVENT,
    INTERACTION,
    ORDER,
    OUTCOME,
    RESERVED,
    SEQUENCE,
    STAGE,
    TIME,
    VALUE,
)  # fmt: skip
from attrib.values import whole_number

TABLES = ("touchpoints", "outcomes")
OURS = (CUSTOMER, TIME, CHANNEL, OUTCOME, VALUE, SEQUENCE, EVENT, CLUSTER, STAGE, INTERACTION, ORDER)

ONE_TARGET = (  # where several outcomes are given
    "one outcome ends journeys; where several should, give them one name first, such as "
    'outcomes.with_columns(pl.col("outcome").replace({"sale": "purchase"}))'
)


def open_events(
    touchpoints: Any,
    outcomes: Any,
    columns: Mapping[str, str | Mapping[str, str]],
    by: tuple[str, ...],
    open_with: Callable[[Any, str, Mapping[str, str]], Source] = open_table,
    identities: Identities | None = None,
    player: tuple[str, ...] = (CHANNEL,),
) -> tuple[Source, Source, InlineOutcome | None]:
    """Open both tables, or the one that holds both, under our column names; engines may open tables of their own.

    With ``identities`` each row gets the customer that its id belongs to.
    """
    own = mapping_for("touchpoints", columns)
    source = open_with(touchpoints, "touchpoints", own)
    if identities:
        source = identities.join(source)
    if not isinstance(outcomes, InlineOutcome):
        theirs = mapping_for("outcomes", columns)
        other = open_with(outcomes, "outcomes", theirs)
        if identities:
            other = identities.join(other)
        check_mapping(mapping_for("", columns), (source, other))
        for table, mapping in ((source, columns.get("touchpoints")), (other, columns.get("outcomes"))):
            check_mapping(mapping if isinstance(mapping, Mapping) else {}, (table,))
        return source, other, None
    check_mapping(own, (source,))
    flagged = [outcomes.flag, *([outcomes.value] if outcomes.value else [])]
    required(source, flagged, hint="name a column that is there with InlineOutcome (in a job: [input.outcome])")
    required(source, [CUSTOMER, TIME, *((CHANNEL,) if CHANNEL in source.schema else player)])
    check_flag_type(source, outcomes.flag)
    return (*split_inline(source, outcomes, columns_beside(source.schema, outcomes, by)), outcomes)


def check_identities(identities: Any, max_component: Any, engine: Engine | None = None) -> Identities | None:
    """Read the links between ids, if there are any.

    Raises
    ------
    SpecError
        ``bad_value`` for ``max_component``, ``not_on_spark`` with Spark; and what reading raises.
    """
    largest = whole_number("max_component", max_component, 1, key="bad_value")
    if identities is None:
        return None
    if isinstance(engine, SparkEngine):
        raise SpecError(
            "not_on_spark",
            "identities are joined on one machine",
            hint="join the links to both tables in Spark, and give the customers that come of it as customer_id",
        )
    return read_identities(identities, largest)


def check_engine(engine: Any) -> Engine:
    """Return the engine, also by its name, or the default one."""
    if engine is None or (isinstance(engine, str) and engine == "local"):
        return LocalEngine()
    if isinstance(engine, str) and engine == "spark":
        return SparkEngine()
    if not callable(getattr(engine, "tally", None)):
        raise SpecError(
            "bad_engine",
            f"engine = {brief(engine)} is not an engine",
            hint='"local", "spark", or e.g. attrib.LocalEngine(threads=2)',
        )
    return engine  # type: ignore[no-any-return]


def check_limits(max_players: Any, max_rejects: Any) -> tuple[int, float]:
    """Check the cap on players and the share of rejects."""
    return whole_number("max_players", max_players, 1, key="bad_value"), check_share_of_rejects(max_rejects)


def check_share_of_rejects(max_rejects: Any) -> float:
    """Check the share of rows that may be rejected."""
    if isinstance(max_rejects, bool) or not isinstance(max_rejects, (int, float)) or not 0 <= max_rejects <= 1:
        raise SpecError("bad_value", f"max_rejects = {brief(max_rejects)} is not a share from 0 to 1", hint="e.g. 0.05")
    return float(max_rejects)


def check_names(columns: Any, used: tuple[str, ...]) -> dict[str, Any]:
    """Check the keys of ``columns``: ours, or columns that ``by`` and ``player`` name."""
    if columns is None:
        return {}
    if not isinstance(columns, Mapping):
        raise SpecError("bad_columns", f"columns = {brief(columns)} maps nothing", hint='e.g. {"customer_id": "user"}')
    tables = {key: value for key, value in columns.items() if key in TABLES and isinstance(value, Mapping)}
    for part in ({k: v for k, v in columns.items() if k not in tables}, *tables.values()):
        for ours in read_columns(part):
            near = difflib.get_close_matches(ours, OURS, n=1, cutoff=0.8)
            if ours not in (*OURS, *used) and near:
                raise SpecError(
                    "unknown_key", f"columns: unknown column {brief(ours)}", hint=f"did you mean {near[0]!r}?"
                )
    return dict(columns)


def check_lookback(lookback: Any) -> timedelta | dict[str, timedelta | None] | None:
    """Read the lookback, or one for each interaction.

    Raises
    ------
    SpecError
        ``bad_duration``; ``bad_value`` for a mapping that is empty or has a key that is no text.
    """
    if not isinstance(lookback, Mapping):
        return parse_duration(lookback, "lookback")
    hint = 'e.g. {"click": "30d", "impression": "1d"}, with "*" for all others'
    if not lookback:
        raise SpecError("bad_value", "lookback lists no interaction", hint=hint)
    for interaction in lookback:
        if not isinstance(interaction, str) or not interaction.strip():
            raise SpecError("bad_value", f"lookback: {brief(interaction)} is not the name of an interaction", hint=hint)
    return {name: parse_duration(duration, f"lookback of {name!r}") for name, duration in lookback.items()}


def distinct_names(name: str, columns: str | Sequence[str], what: str = "column names") -> tuple[str, ...]:
    """Return the names that ``by``, ``player`` or ``prefer`` list; one may stand alone."""
    if not isinstance(columns, (str, Sequence)):
        raise SpecError("bad_value", f"{name} = {brief(columns)} is not a list of {what}")
    found = (columns,) if isinstance(columns, str) else tuple(columns)
    if not all(isinstance(column, str) and column for column in found) or len(set(found)) != len(found):
        raise SpecError("bad_value", f"{name} = {brief(columns)} is not a list of distinct {what}")
    return found


def check_roles(by: tuple[str, ...], player: tuple[str, ...]) -> None:
    """Check that no column is asked to be two things."""
    if not player:
        raise SpecError("bad_value", "player names no column")
    both = sorted(set(by) & set(player))
    if both:
        raise SpecError("bad_value", f"{', '.join(both)}: a column cannot both partition journeys and get credit")
    own = {column for column in by + player if column.startswith("__")}  # columns of ours in the making
    taken = sorted(((RESERVED | {CUSTOMER, TIME, OUTCOME, SEQUENCE, EVENT}) & set(by + player)) | own)
    if taken:
        raise SpecError("bad_value", f"{', '.join(taken)}: the credit table or the events use that name already")
