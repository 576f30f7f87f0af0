"""Path tables: rows that count nothing, states that other packages write beside channels, lists written as text."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.diagnostics.finding import Finding
from attrib.diagnostics.names import shown
from attrib.io.text import clean
from attrib.likely import role_in_paths, words_of

Ints = npt.NDArray[np.int64]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_JOURNEYS = _words("journeys sessions visits visitors users customers people paths total count n freq")
_START = _words("start begin beginning entry")
_END = _words(
    "conversion conversions converted conv convert end exit null none drop dropoff dropout failure noconversion "
    "nonconversion notconverted noconv unconverted success purchase"
)
FEWEST_PATHS = 2  # with a state at their end
SHARE_STATES = 0.5  # of the paths: a channel may bear such a name, and seldom stands in so many at one end only
_QUOTED = re.compile(r"""^\s*[\[({]\s*['"].*['"]\s*,?\s*[\])}]\s*$""", re.DOTALL)
_BARE = re.compile(r"^\s*(\[[^\[\]]*\]|\{[^{}]*\})\s*$", re.DOTALL)
_NONE = re.compile(r"^\s*(\[\s*\]|\(\s*\)|\{\s*\})?\s*$")


def without_effect(
    conversions: Ints, nulls: Ints, called: Mapping[str, str], whole: pl.DataFrame, *, texts: bool
) -> Finding | None:
    """Find rows of a path table that count neither a conversion nor a null.

    Parameters
    ----------
    conversions, nulls : int array [rows]
        What they count.
    called : mapping of str to str
        Ours to theirs for the columns that are read.
    whole : DataFrame
        The same rows with all columns of the caller.
    texts : bool
        Whether the caller's own columns are texts where they are here: those of a CSV file are texts to us only.
    """
    count, rows = int(np.count_nonzero((conversions == 0) & (nulls == 0))), len(conversions)
    if not count:
        return None
    so = (
        f"{count:,} of {rows:,} rows of paths {'count' if count > 1 else 'counts'} neither a conversion nor a null, so "
        "that no method sees them"
    )
    read = called.get("nulls")
    if nulls.any():
        hint = f"leave them out if nobody took these paths, else give the journeys that failed in {_column(read)}"
    else:
        hint = _how_to_count(conversions, called, whole, texts=texts)
    return Finding("paths_without_effect", "paths", so, hint, count, rows)


def _how_to_count(conversions: Ints, called: Mapping[str, str], whole: pl.DataFrame, *, texts: bool) -> str:
    """Where the journeys that failed stand, or how to compute them."""
    theirs, nulls = called["conversions"], called.get("nulls", "nulls")
    rest = [name for name, dtype in whole.schema.items() if name not in called.values() and not dtype.is_nested()]
    failed = [name for name in rest if role_in_paths(name) == "nulls" and _counts(whole[name]) is not None]
    if failed:
        return f"nulls={_column(failed[0])} (in a job: [input] nulls) if that counts the journeys that failed"

    def number_of(name: str) -> str:
        as_text = texts and whole.schema[name] == pl.String
        return f"pl.col({_column(name)})" + (".str.strip_chars().cast(pl.Float64)" if as_text else "")

    number = number_of(theirs)
    job = f"in a job: write it into the file, [input] nulls = {_toml(nulls)}"
    total = next((name for name in rest if _counts_journeys(name, whole[name], conversions)), None)
    if total is not None:
        formula = f"{number_of(total)} - {number}"
        return (
            f"if {_column(total)} counts all journeys of a path, the nulls are the rest: "
            f"table.with_columns({_argument(nulls, formula)}), nulls={_column(nulls)} ({job})"
        )
    if int(conversions.max()) <= 1:
        formula, in_words = f"1 - {number}", f"nulls = 1 - {clean(theirs, 60)}"
    else:
        formula, in_words = f"({number} == 0).cast(pl.Int64)", f"a null where {clean(theirs, 60)} is 0"
    return (
        f"one row a journey? Then {in_words}: table.with_columns({_argument(nulls, formula)}), nulls={_column(nulls)} "
        f"({job}); else add a column that counts the journeys of each path that failed, and name it nulls"
    )


def _counts_journeys(name: str, column: pl.Series, conversions: Ints) -> bool:
    if not _JOURNEYS & set(words_of(name)) or role_in_paths(name) == "value":
        return False
    counts = _counts(column)
    return counts is not None and bool((counts >= conversions).all() and (counts > conversions).any())


def _counts(column: pl.Series) -> npt.NDArray[np.float64] | None:
    """Whole numbers from 0, which may be written as text; None for anything else."""
    if not (column.dtype.is_numeric() or column.dtype == pl.String):
        return None
    numbers = (column.str.strip_chars() if column.dtype == pl.String else column).cast(pl.Float64, strict=False)
    counts = numbers.to_numpy()
    whole = not numbers.null_count() and np.isfinite(counts).all() and (counts >= 0).all()
    return counts if whole and (counts == np.floor(counts)).all() else None


def _column(name: str | None) -> str:
    return repr(clean(name, 100))


def _toml(name: str) -> str:
    return '"' + clean(name, 100) + '"'


def _argument(name: str, formula: str) -> str:
    return f"{name}={formula}" if name.isidentifier() else f"({formula}).alias({_column(name)})"


def states(
    offsets: Ints, players: npt.NDArray[np.int32], names: Sequence[str], column: str, separator: str | None
) -> Finding | None:
    """Find states of chains, such as start, conversion and null, that stand in paths as if they were channels.

    One is a state if it bears such a name, stands at one end of every path that it is in and nowhere else, and half of
    the paths (all of them that have a touch) have one at that end.

    Parameters
    ----------
    offsets, players : arrays
        The paths, as codes of names.
    names : sequence of str
        Names by code.
    column : str
        What the caller calls the column of paths.
    separator : str or None
        What separates touches; None where paths are lists.
    """
    lengths = np.diff(offsets)
    some = lengths > 0
    if np.count_nonzero(some) < FEWEST_PATHS:
        return None
    rows = np.bincount(players, minlength=len(names))
    found: dict[str, list[str]] = {}
    paths = 0
    for side, known, at in (("first", _START, offsets[:-1][some]), ("last", _END, offsets[1:][some] - 1)):
        here = np.bincount(players[at], minlength=len(names))
        own = [
            code for code in np.flatnonzero(here).tolist() if here[code] == rows[code] and _word(names[code]) in known
        ]
        if own and here[own].sum() >= max(FEWEST_PATHS, SHARE_STATES * len(at)):
            found[side] = [names[code] for code in own]
            paths = max(paths, int(here[own].sum()))
    if not found:
        return None
    first, last = found.get("first", []), found.get("last", [])
    where = " and ".join(
        f"{', '.join(map(shown, listed[:4]))} {'stand' if len(listed) > 1 else 'stands'} only at the {side} of paths"
        for side, listed in (("beginning", first), ("end", last))
        if listed
    )
    count = len(first) + len(last)
    so = "are counted as channels and credited" if count > 1 else "is counted as a channel and credited"
    return Finding(
        "path_states", "paths",
        f"{where} ({paths:,} of {int(some.sum()):,}), which looks like states of a chain and {so}",
        "chains here have states of their own: take these off first, "
        f"table.with_columns({_without(first, last, column, separator)})",
        count, len(names), tuple(shown(name) for name in (*first, *last))[:4],
    )  # fmt: skip


def _word(name: str) -> str:
    return "".join(words_of(name))


def _without(first: Collection[str], last: Collection[str], column: str, separator: str | None) -> str:
    """Expression that takes states off the ends of paths."""
    if separator is None:
        taken = [clean(name, 100) for name in (*first, *last)]
        return f"pl.col({_column(column)}).list.eval(pl.element().filter(~pl.element().is_in({taken})))"
    bare = _quoted(separator.strip() or separator)
    ends = []
    for listed, pattern in ((first, rf"^\s*({{}})\s*({bare}|$)"), (last, rf"(^|{bare})\s*({{}})\s*$")):
        if listed:
            ended = pattern.replace("{}", "|".join(_quoted(clean(name, 100)) for name in listed))
            ends.append('.str.replace(r"' + ended.replace('"', r"\x22") + '", "")')
    return f"pl.col({_column(column)})" + "".join(ends)


def _quoted(text: str) -> str:
    """A text as a regular expression that both polars and Python read."""
    return re.sub(r"([\\.^$*+?{}\[\]|()])", r"\\\1", text)


def lists_as_text(texts: pl.Series, column: str) -> str | None:
    """Say that paths are lists written as text, as CSV files of frames hold them, and how to read them.

    Examples
    --------
    >>> lists_as_text(pl.Series(["a > b", "a"]), "path") is None
    True
    >>> print(lists_as_text(pl.Series(["['a', 'b']", "['a']"]), "path")[:57])
    2 of 2 paths are lists written as text, e.g. "['a', 'b']"
    """
    if 2 * texts.str.contains(r"^\s*[\[({]").sum() < len(texts):
        return None
    paths = texts.to_list()
    some = [text for text in paths if not _NONE.match(text)]
    quoted = [text for text in some if _QUOTED.match(text)]
    bare = [text for text in some if _BARE.match(text)]
    if quoted and 2 * len(quoted) >= len(some):
        kept, found = r"""r'"[^"]*"|\x27[^\x27]*\x27'""", quoted
        cells = "pl.element().str.slice(1, pl.element().str.len_chars() - 2)"
    elif len(bare) == len(some) and any("," in text for text in some):
        kept, found, cells = r'r"[^,\[\]{}]+"', bare, "pl.element().str.strip_chars()"
    else:
        return None
    return (
        f"{len(found):,} of {len(paths):,} paths are lists written as text, e.g. {clean(found[0], 60)!r}, and each is "
        "taken for one channel; give lists: "
        f"table.with_columns(pl.col({_column(column)}).str.extract_all({kept}).list.eval({cells})) "
        "(in a job: write that into a parquet file)"
    )
