"""Customers: whom each player met, and together with which others."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from attrib.errors import ResourceError
from attrib.needs import CUSTOMER_SET, Patterns
from attrib.schemas import CONVERTED, CUSTOMERS, RATE, SHARE
from attrib.views.frames import ratio, sum_by_game, tally_members, view_frame

if TYPE_CHECKING:
    from attrib.engines.base import Tallies
    from attrib.views.groups import Groups

MOST_PAIRS = 5_000_000  # rows of a frame of about half a GB
MIXES = ("single", "multi", "cross")


def reach_frame(tallies: Tallies) -> pl.DataFrame:
    """Customers that each player met (see :meth:`attrib.Journeys.reach`)."""
    tally = tallies.get(Patterns(CUSTOMER_SET))
    rows = tally.counts("rows")
    key, player = tally_members(tally)
    alone = np.bincount(key, minlength=len(rows))[key] == 1
    met = (
        pl.DataFrame({
            "game": tally.games[key],
            "player": player,
            CUSTOMERS: rows[key],
            "only": np.where(alone, rows[key], 0),
            CONVERTED: tally.counts("converted")[key],
        })
        .group_by("game", "player")
        .agg(pl.all().sum())
        .sort("game", "player")
    )  # fmt: skip
    game, customers, converted = (met[c].to_numpy() for c in ("game", CUSTOMERS, CONVERTED))
    numbers = {
        CUSTOMERS: customers,
        SHARE: ratio(customers, sum_by_game(tallies, tally.games, rows)[game]),
        "only": met["only"],
        CONVERTED: converted,
        RATE: ratio(converted, customers),
    }
    return view_frame(tallies, game, numbers, {"": met["player"].to_numpy()})


def overlap_frame(tallies: Tallies) -> pl.DataFrame:
    """Customers that both players of a pair met (see :meth:`attrib.Journeys.overlap`).

    Raises
    ------
    ResourceError
        ``too_many_pairs``.
    """
    from scipy.sparse import csr_array

    tally = tallies.get(Patterns(CUSTOMER_SET))
    rows, (key, player) = tally.counts("rows"), tally_members(tally)
    bounds = np.searchsorted(tally.games[key], np.arange(tallies.n_games + 1)).tolist()
    in_games = [np.unique(player[low:high]) for low, high in pairwise(bounds)]
    pairs = sum(len(present) * (len(present) - 1) // 2 for present in in_games)
    if pairs > MOST_PAIRS:
        raise ResourceError(
            "too_many_pairs",
            f"overlap has {pairs:,} pairs of players; {MOST_PAIRS:,} are allowed",
            hint="group rare players",
            pairs=pairs,
        )
    parts = [np.zeros((7, 0), np.int64)]
    for index, (present, (low, high)) in enumerate(zip(in_games, pairwise(bounds), strict=True)):
        if low == high:
            continue
        sets, row = np.unique(key[low:high], return_inverse=True)
        column, shape = np.searchsorted(present, player[low:high]), (len(sets), len(present))
        member = csr_array((np.ones(high - low, np.int64), (row, column)), shape=shape)
        weighted = csr_array((rows[key[low:high]], (row, column)), shape=shape)
        shared = (member.T @ weighted).toarray()
        first, second = np.triu_indices(len(present), 1)
        met, whole = shared.diagonal(), int(rows[sets].sum())
        columns = (present[first], present[second], shared[first, second], met[first], met[second])
        parts.append(np.stack([np.full_like(first, index), *columns, np.full_like(first, whole)]))
    game, a, b, both, met_a, met_b, customers = np.concatenate(parts, axis=1)
    numbers = {
        CUSTOMERS: both,
        SHARE: ratio(both, customers),
        "jaccard": ratio(both, met_a + met_b - both),
        "lift": both / met_a * (customers / met_b),
    }
    return view_frame(tallies, game, numbers, {"_a": a, "_b": b})


def mix_frame(tallies: Tallies, groups: Groups) -> pl.DataFrame:
    """Customers by how many channels and groups they met (see :meth:`attrib.Journeys.mix`)."""
    tally = tallies.get(Patterns(CUSTOMER_SET))
    key, player = tally_members(tally)
    counted = (
        pl.DataFrame({"key": key, "channel": groups.channel[player], "group": groups.group[player]})
        .group_by("key", maintain_order=True)
        .agg(pl.col("channel", "group").n_unique())
    )
    several, across = (counted[c].to_numpy() > 1 for c in ("channel", "group"))
    cell = tally.games * 3 + np.where(across, 2, several)
    customers, converted = np.zeros((2, 3 * tallies.n_games), np.int64)
    np.add.at(customers, cell, tally.counts("rows"))
    np.add.at(converted, cell, tally.counts("converted"))
    game = np.repeat(np.arange(tallies.n_games), 3)
    numbers = {
        "mix": pl.Series(MIXES * tallies.n_games, dtype=pl.Enum(MIXES)),
        CUSTOMERS: customers,
        SHARE: ratio(customers, sum_by_game(tallies, game, customers)[game]),
        CONVERTED: converted,
        RATE: ratio(converted, customers),
    }
    return view_frame(tallies, game, numbers)
