"""The callers' names of columns, and ours for them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl

from attrib.errors import DataError, SpecError, brief
from attrib.io.text import clean
from attrib.likely import columns_like
from attrib.schemas import (
    CHANNEL,
    COST,
    CUSTOMER,
    DATE,
    EVENT,
    ORDER,
    OUTCOME,
    SEQUENCE,
    STAGE,
    TIME,
    VALUE,
    list_names,
    separator_hint,
)

if TYPE_CHECKING:
    from attrib.io.sources import Source

_OURS = (CUSTOMER, TIME, CHANNEL, OUTCOME, VALUE, COST, DATE, EVENT, ORDER, SEQUENCE, STAGE)


def mapping_for(table: str, columns: Mapping[str, str | Mapping[str, str]]) -> dict[str, str]:
    """Our names to theirs for one table: what holds for both, and what is said for this one.

    Examples
    --------
    >>> mapping_for("outcomes", {"customer_id": "user", "outcomes": {"timestamp": "ordered_at"}})
    {'customer_id': 'user', 'timestamp': 'ordered_at'}
    """
    shared = {ours: theirs for ours, theirs in columns.items() if isinstance(theirs, str)}
    own = columns.get(table, {})
    return {**shared, **own} if isinstance(own, Mapping) else shared


def read_columns(columns: object) -> dict[str, str]:
    """Our names to theirs, as a caller gives them for one table; none where nothing is given.

    Raises
    ------
    SpecError
        ``bad_columns`` for anything but one text for another.
    """
    if columns is None:
        return {}
    if not isinstance(columns, Mapping):
        raise SpecError("bad_columns", f"columns = {brief(columns)} maps nothing", hint='e.g. {"customer_id": "user"}')
    for ours, theirs in columns.items():
        if not isinstance(ours, str) or not isinstance(theirs, str):
            raise SpecError("bad_columns", f"columns: {brief(ours)} = {brief(theirs)} is not one name for another")
    return dict(columns)


def check_mapping(columns: Mapping[str, str], sources: Sequence[Source]) -> None:
    """Check that every mapped column is in one of the tables.

    Raises
    ------
    DataError
        ``missing_columns``, naming the columns that are in none.
    """
    found = list(dict.fromkeys(column for source in sources for column in source.theirs))
    wrong = {ours: theirs for ours, theirs in columns.items() if theirs not in found}
    if wrong:
        named = ", ".join(f"{ours} = {brief(theirs)}" for ours, theirs in wrong.items())
        near = _meant(wrong, columns, sources)
        proposals = ", ".join(f"{ours} = {brief(theirs)}" for ours, theirs in near.items())
        there = [ours for ours in wrong if ours not in near and ours in found]
        hint = f"did you mean {proposals}?" if near else "map a column that is there"
        if there:  # nothing need be said of a column that bears our name
            left = f"leave {' and '.join(there)} out of columns: there is a column of that name"
            hint = f"{hint} And {left}" if near else left
        raise DataError(
            "missing_columns",
            f"columns maps {named}, which {'is' if len(wrong) == 1 else 'are'} in no table{_found_in(sources)}",
            hint=separator_hint(found) or of_index(sources) + hint,
            missing=list(wrong.values()),
            found=found,
        )


def _meant(wrong: Mapping[str, str], columns: Mapping[str, str], sources: Sequence[Source]) -> dict[str, str]:
    """Columns that are likely meant, by ours: of the table that ours stands in, and none that is another of ours."""
    near: dict[str, str] = {}
    for ours, theirs in wrong.items():
        table = {CHANNEL: "touchpoints", OUTCOME: "outcomes"}.get(ours)
        own = [source for source in sources if source.name == table] or sources
        names = list(dict.fromkeys(name for source in own for name in source.theirs))
        taken = {*columns.values(), *near.values()} - {theirs}
        free = [name for name in names if name not in taken and (name == ours or name not in _OURS)]
        close = difflib.get_close_matches(theirs, free, n=1)
        if close:
            near[ours] = close[0]
        elif ours not in names:
            near |= columns_like([ours], free)
    return {ours: name for ours, name in near.items() if name != ours}


def of_index(sources: Iterable[Source]) -> str:
    """What to do where columns are missing and a frame of pandas has a named index; nothing for others."""
    named = [source for source in sources if source.index]
    if not named:
        return ""
    listed = ", ".join(clean(level, 40) for level in named[0].index)
    return f"{listed} is the index, which is no column: pass {named[0].name}.reset_index(); else "


def _found_in(sources: Sequence[Source]) -> str:
    """Columns of one table, or of several, a line each."""
    if len(sources) == 1:
        return f"; found: {list_names(sources[0].theirs)}"
    return "".join(f"\nfound in {source.name}: {list_names(source.theirs)}" for source in sources)


def own_names(schema: Iterable[str], columns: Mapping[str, str], name: str) -> dict[str, str]:
    """Columns of a table that are kept: theirs to ours.

    Raises
    ------
    SpecError
        ``bad_columns`` where two of ours are mapped to one of theirs.
    """
    foreign = {"touchpoints": OUTCOME, "outcomes": CHANNEL}.get(name, "")
    if list(columns.values()).count(columns.get(foreign, "")) > 1:
        # an event log: the same column names the channel of its touches and the outcome of its outcomes
        columns = {ours: theirs for ours, theirs in columns.items() if ours != foreign}
    renames = {theirs: ours for ours, theirs in columns.items() if theirs in schema and theirs != ours}
    if len(renames) < len({o for o, t in columns.items() if t in schema and t != o}):
        raise SpecError("bad_columns", f"{name}: two of our columns are mapped to the same column of yours")
    # a column of theirs that already has one of our names makes way for the mapped one
    return {c: renames.get(c, c) for c in schema if c in renames or c not in renames.values()}


def rename_columns(
    frame: pl.LazyFrame, schema: pl.Schema, columns: Mapping[str, str], name: str
) -> tuple[pl.LazyFrame, pl.Schema]:
    """Give the columns of a table our names."""
    kept = own_names(schema, columns, name)
    if any(theirs != ours for theirs, ours in kept.items()):
        frame = frame.select(list(kept)).rename(kept)
        schema = pl.Schema({ours: schema[theirs] for theirs, ours in kept.items()})
    return frame, schema
