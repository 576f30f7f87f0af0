"""Path tables at the door: which column is which, which were left unread, and what else may separate touches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from attrib.errors import DataError, SpecError, brief
from attrib.io.mapping import of_index
from attrib.io.sources import MORE, Source, check_distinct
from attrib.io.text import clean
from attrib.likely import columns_of_paths
from attrib.schemas import CONVERSIONS, NULLS, PATH, PATH_TABLE, VALUE, list_names, separator_hint

ROLES = (PATH, CONVERSIONS, VALUE, NULLS)  # as the arguments of from_paths, and the keys of [input], are called
DEFAULTS = dict(zip(ROLES, PATH_TABLE, strict=True))
# longer ones first: what one holds counts once
MARKS = ("->", "=>", ">>", "::", "→", "⇒", "»", "›", "＞", "﹥", ">", "|", ";", "\t", "\n", "\\", ",")
WEAK = (" + ", " & ", " - ", " – ", " — ")  # they stand within names, too


def columns_given(path: Any, conversions: Any, value: Any, nulls: Any) -> dict[str, str | None]:
    """Check the names that the caller gives.

    Raises
    ------
    SpecError
        ``bad_value``.
    """
    given = dict(zip(ROLES, (path, conversions, value, nulls), strict=True))
    for role, name in given.items():
        if not isinstance(name, str) and not (name is None and role in (VALUE, NULLS)):
            raise SpecError("bad_value", f"{role} = {brief(name)} is not the name of a column")
    return given


def columns_wanted(source: Source, given: Mapping[str, str | None]) -> dict[str, str]:
    """Ours to theirs for the columns that are read; a default that is absent is not, where it may be.

    Raises
    ------
    DataError
        ``missing_columns`` with the columns that are likely meant, ``duplicate_columns``.
    SpecError
        ``bad_columns``.
    """
    wanted = {
        role: name
        for role, name in given.items()
        if name is not None and (name in source.schema or name != DEFAULTS[role] or role in (PATH, CONVERSIONS))
    }
    missing = {role: name for role, name in wanted.items() if name not in source.schema}
    if missing:
        there = {role: name for role, name in wanted.items() if role not in missing}
        asked = [role for role in ROLES if role in missing or (given[role] is not None and role not in wanted)]
        raise DataError(
            "missing_columns",
            f"{len(missing)} of {len(wanted)} required columns {'is' if len(missing) == 1 else 'are'} missing from "
            f"{source.name}: {', '.join(missing.values())}; found: {list_names(source.theirs)}",
            hint=separator_hint(source.theirs) or of_index([source]) + _how_to_name(source, there, asked),
            missing=list(missing.values()),
            found=list(source.theirs),
        )
    check_distinct(source.name, source.schema, wanted.values())
    twice = [name for name in dict.fromkeys(wanted.values()) if list(wanted.values()).count(name) > 1]
    if twice:
        raise SpecError(
            "bad_columns",
            f"two of path, conversions, value and nulls name the same column, {clean(twice[0], 60)!r}",
            hint="give each a column of its own; value=None and nulls=None where there is none",
        )
    return wanted | ({MORE: MORE} if MORE in source.schema else {})


def _how_to_name(source: Source, there: Mapping[str, str], asked: Sequence[str]) -> str:
    likely = {r: name for r, name in columns_of_paths(source.theirs, there).items() if r in asked}
    how = "name your columns with path, conversions, value and nulls (in a job: keys of [input])"
    return how + (", e.g. " + ", ".join(f"{role} = {brief(name)}" for role, name in likely.items()) if likely else "")


def other_separators(names: pl.Series, separator: str, *, split: bool) -> Iterator[str]:
    """Warn of names that hold what may separate touches too; ``split``: whether any path was split."""
    bare = separator.strip()
    rest = names
    known = set(names.str.strip_chars().to_list())
    for mark in (*MARKS, *WEAK):
        if mark == separator:
            continue
        has = rest.str.contains(mark, literal=True)
        if mark in WEAK and split:  # a sign within names, unless what it parts are names by themselves
            parts = [any(part.strip() in known for part in name.split(mark)) for name in rest.filter(has)]
            has = has & pl.Series(rest.is_in(rest.filter(has).filter(pl.Series(parts, dtype=pl.Boolean)).implode()))
        inside, rest = rest.filter(has), rest.filter(~has)
        if not len(inside):
            continue
        edges = inside.filter(~inside.str.strip_chars(" \n\t" + mark).str.contains(mark, literal=True))
        if mark == bare and len(edges) == len(inside):
            yield (
                f"{_contain(edges, 'begin', 'or end with')} {mark!r}, e.g. {clean(edges[0], 60)!r}: a path that "
                "begins or ends with its separator; take it off first, e.g. "
                f'pl.col("path").str.strip_chars({separator!r})'
            )
            continue
        if mark == bare or not split:
            remedy = f"if that separates touches in your file, pass sep={mark!r}"
        else:
            remedy = (
                f"if that separates touches too, write {separator!r} in its place: touches are told apart by one "
                "separator only"
            )
        yield f"{_contain(inside, 'contain')} {mark!r}, e.g. {clean(inside[0], 60)!r}: {remedy}"


def _contain(names: pl.Series, verb: str, more: str = "") -> str:
    one = len(names) == 1
    ending = ("s" + (" " + more.replace("end ", "ends ") if more else "")) if one else (f" {more}" if more else "")
    return f"{len(names):,} channel name{'' if one else 's'} {verb}{ending}"
