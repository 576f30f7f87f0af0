"""Paths: the distinct ones with their numbers, and as the table that other packages read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from attrib.errors import DataError, SpecError, brief
from attrib.needs import PATH as PATHS
from attrib.needs import Patterns, Totals
from attrib.schemas import CONVERSIONS, JOURNEYS, NULLS, PATH, PATH_TABLE, RATE, SHARE, VALUE
from attrib.views.frames import (
    check_whole,
    gather_lists,
    list_members,
    player_labels,
    ratio,
    sum_by_game,
    tally_members,
    view_frame,
)  # fmt: skip

if TYPE_CHECKING:
    from attrib.engines.base import Tallies

SORTS = {"frequency": JOURNEYS, "conversions": CONVERSIONS, "rate": RATE, "value": VALUE}


def check_paths(n: Any, sort: Any, min_journeys: Any) -> None:
    """Check the arguments of ``paths``.

    Raises
    ------
    SpecError
        ``bad_value``.
    """
    if n is not None:
        check_whole("n", n)
    check_whole("min_journeys", min_journeys)
    if sort not in tuple(SORTS):
        raise SpecError("bad_value", f"sort = {brief(sort)} is not one of {', '.join(SORTS)}", name="sort", found=sort)


def paths_frame(tallies: Tallies, *, n: int | None, sort: str, worst: bool, min_journeys: int) -> pl.DataFrame:
    """Distinct paths, the first ``n`` of each game (see :meth:`attrib.Journeys.paths`)."""
    tally = tallies.get(Patterns(PATHS))
    assert tally.lists is not None
    conversions, nulls = tally.counts("conversions"), tally.counts("nulls")
    journeys = conversions + nulls
    numbers = pl.DataFrame({
        "__game": tally.games,
        "__list": tally.tails,
        "length": np.diff(tally.lists.offsets)[tally.tails],
        JOURNEYS: journeys,
        CONVERSIONS: conversions,
        NULLS: nulls,
        RATE: ratio(conversions, journeys),
        VALUE: tally.column("value"),
        SHARE: ratio(journeys, sum_by_game(tallies, tally.games, journeys)[tally.games]),
    })  # fmt: skip
    first = SORTS[sort]
    keys = ["__game", first, *(column for column in SORTS.values() if column != first)]
    falling = [False, not worst, *[True] * (len(keys) - 2)]
    chosen = numbers.filter(pl.col(JOURNEYS) >= min_journeys).sort(keys, descending=falling)
    if n is not None:  # to sort by players takes long: only what may be among the first n is left to it
        chosen = chosen.with_columns(pl.struct(keys).rle_id().alias("__tie"))
        chosen = chosen.filter(pl.col("__tie") <= pl.col("__tie").head(n).max().over("__game"))
    place, player = list_members(tally.lists, chosen["__list"].to_numpy())
    # players count up in the order of their names, so lists of them put paths into an order of their own
    chosen = chosen.with_columns(gather_lists(place, pl.Series(player), "__players")["__players"])
    chosen = chosen.sort([*keys, "__players"], descending=[*falling, False])
    if n is not None:
        chosen = chosen.group_by("__game", maintain_order=True).head(n)
    place, player = list_members(tally.lists, chosen["__list"].to_numpy())
    names = gather_lists(place, player_labels(tallies.players).gather(player), "players")["players"]
    own = {PATH: names.list.join(" > "), "players": names}
    shown = ["length", JOURNEYS, CONVERSIONS, NULLS, RATE, VALUE, SHARE]
    return view_frame(tallies, chosen["__game"].to_numpy(), own | {c: chosen[c] for c in shown})


def path_table(tallies: Tallies, sep: Any) -> pl.DataFrame:
    """Paths in the shape that :meth:`attrib.Journeys.from_paths` reads.

    Raises
    ------
    SpecError
        ``bad_separator``.
    DataError
        ``ambiguous_names``.
    """
    if not isinstance(sep, str) or not sep:
        raise SpecError("bad_separator", f"sep = {brief(sep)} separates nothing")
    labels = player_labels(tallies.players)
    tally, totals = tallies.get(Patterns(PATHS)), tallies.get(Totals())
    place, player = tally_members(tally)
    _check_labels(labels.gather(np.unique(player)), sep)
    unattributed = totals.counts("unattributed")
    bare = unattributed > 0
    texts = gather_lists(place, labels.gather(player), PATH)[PATH].list.join(sep)
    columns = (
        pl.concat([pl.Series([""] * int(bare.sum()), dtype=pl.String), texts.cast(pl.String)]),
        np.concatenate([unattributed[bare], tally.counts("conversions")]),
        np.concatenate([totals.column("unattributed_value")[bare], tally.column("value")]),
        np.concatenate([np.zeros(bare.sum(), np.int64), tally.counts("nulls")]),
    )
    table = pl.DataFrame(dict(zip(PATH_TABLE, columns, strict=True)))
    table = table.with_columns(pl.Series("__game", np.concatenate([totals.games[bare], tally.games])))
    table = table.sort("__game", PATH)
    return view_frame(tallies, table["__game"].to_numpy(), {c: table[c] for c in PATH_TABLE})


LISTS = (
    'strip them before, or take lists: attrib.Journeys.from_paths(journeys.paths(None), path="players", '
    'conversions="conversions", value="value", nulls="nulls")'
)


def _check_labels(labels: pl.Series, sep: str) -> None:
    """Check that joined names can be told apart again, as ``from_paths`` does: split, then strip."""
    named = pl.DataFrame({"label": labels, "read": labels.str.strip_chars()})
    # what counts is a separator that begins within the name, be it that the next one completes it
    early = (pl.col("label") + sep).str.find(sep, literal=True) < pl.col("label").str.len_bytes()
    faults = (
        (early, f"contain the separator {sep!r}", 'choose another, such as sep=" | "'),
        (pl.col("read").str.len_bytes() == 0, "are blank", "name them"),
        (pl.col("read").is_duplicated(), "cannot be told apart in a path", "rename them, or use fewer player columns"),
        (pl.col("read") != pl.col("label"), "begin or end with white space, which a path text loses", LISTS),
    )
    for fault, what, hint in faults:
        names = named.filter(fault)["label"].to_list()
        if names:
            listed = ", ".join(repr(name) for name in names[:5]) + (" …" if len(names) > 5 else "")
            raise DataError("ambiguous_names", f"names of players {what}: {listed}", hint=hint, names=names)
