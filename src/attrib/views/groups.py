"""Groups of channels, and journeys that switch between them."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from attrib.errors import SpecError, brief
from attrib.needs import PATH, Patterns
from attrib.schemas import CHANNEL, CONVERSIONS, JOURNEYS, NULLS, RATE, SHARE
from attrib.views.frames import Ints, player_labels, ratio, sum_by_game, tally_members, view_frame

if TYPE_CHECKING:
    from attrib.engines.base import Tallies


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups of channels: ``names`` in order; of every player its ``channel`` and ``group``, int64 [players]."""

    names: tuple[str, ...]
    channel: Ints
    group: Ints


def read_groups(groups: Any, rest: Any, players: pl.DataFrame) -> Groups:
    """Put every player into a group.

    A channel is a value of the column ``channel`` where players have one, else a player's whole name.

    Raises
    ------
    SpecError
        ``bad_groups``, ``unknown_channels``.

    Examples
    --------
    >>> players = pl.DataFrame({"channel": ["ad", "call", "store"]})
    >>> read_groups({"offline": ["store", "call"]}, "online", players)
    Groups(names=('offline', 'online'), channel=array([0, 1, 2]), group=array([1, 0, 0]))
    """
    if not isinstance(groups, Mapping):
        raise SpecError(
            "bad_groups", f"groups = {brief(groups)} maps no groups", hint='e.g. {"offline": ["store", "call"]}'
        )
    if not all(isinstance(name, str) and name for name in (rest, *groups)):
        raise SpecError("bad_groups", "names of groups and rest are texts")
    names = player_labels(players.select(CHANNEL) if CHANNEL in players.columns else players)
    channels, channel = np.unique(names.to_numpy(), return_inverse=True)
    known = channels.tolist()
    found: dict[str, str] = {}
    for group, listed in groups.items():
        members = [listed] if isinstance(listed, str) else listed
        if not isinstance(members, Collection) or not all(isinstance(member, str) for member in members):
            raise SpecError("bad_groups", f"group {brief(group)}: {brief(listed)} is not a list of channels")
        for member in members:
            if found.setdefault(member, group) != group:
                raise SpecError(
                    "bad_groups", f"channel {brief(member)} is in the groups {found[member]!r} and {brief(group)}"
                )
    unknown = [member for member in found if member not in known]
    if unknown:
        near = {member: difflib.get_close_matches(member, known, n=1, cutoff=0.5) for member in unknown}
        meant = [f"{best[0]!r} for {member!r}" for member, best in near.items() if best]
        listed = ", ".join(repr(name) for name in known[:20]) + (" …" if len(known) > 20 else "")
        raise SpecError(
            "unknown_channels",
            f"groups: no touch has the channel {', '.join(map(repr, unknown))}; there are {listed}",
            hint=f"did you mean {', '.join(meant)}?" if meant else "",
            unknown=unknown,
            found=known,
        )
    order = list(groups)
    if rest not in groups and set(known) - set(found):
        order.append(rest)
    of_channel = np.array([order.index(found.get(name, rest)) for name in known], np.int64)
    channel = channel.astype(np.int64)
    return Groups(tuple(order), channel, of_channel[channel])


def switches_frame(tallies: Tallies, groups: Groups) -> pl.DataFrame:
    """Journeys that step from one group to another (see :meth:`attrib.Journeys.switches`)."""
    tally, n = tallies.get(Patterns(PATH)), len(groups.names)
    key, player = tally_members(tally)
    group = groups.group[player]
    at = np.flatnonzero((key[1:] == key[:-1]) & (group[1:] != group[:-1]))  # touches that another group follows
    pair = key[at] * n * n + group[at] * n + group[at + 1]
    back = key[at] * n * n + group[at + 1] * n + group[at]
    switched, first = np.unique(pair, return_index=True)
    latest = len(at) - 1 - np.unique(pair[::-1], return_index=True)[1]  # last step of every pair in `switched`
    place = np.minimum(np.searchsorted(switched, back[first]), max(0, len(switched) - 1))
    returned = (switched[place] == back[first]) & (latest[place] > first)
    conversions, nulls = tally.counts("conversions"), tally.counts("nulls")
    sums = np.zeros((2, tallies.n_games * n * n * 2), np.int64)
    for chosen, of_row in ((switched, 0), (switched[returned], 1)):
        path, step = np.divmod(chosen, n * n)
        row = 2 * (tally.games[path] * n * n + step) + of_row
        np.add.at(sums[0], row, conversions[path])
        np.add.at(sums[1], row, nulls[path])
    step = np.arange(sums.shape[1]) // 2 % (n * n)
    shown = step // n != step % n
    (converted, lost), step = sums[:, shown], step[shown]
    game = np.flatnonzero(shown) // (2 * n * n)
    journeys = converted + lost
    names = pl.Series(groups.names, dtype=pl.Enum(groups.names))
    numbers = {
        "from": names.gather(step // n),
        "to": names.gather(step % n),
        "back": np.flatnonzero(shown) % 2 == 1,
        JOURNEYS: journeys,
        CONVERSIONS: converted,
        NULLS: lost,
        RATE: ratio(converted, journeys),
        SHARE: ratio(journeys, sum_by_game(tallies, tally.games, conversions + nulls)[game]),
    }
    return view_frame(tallies, game, numbers)
