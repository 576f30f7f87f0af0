"""What a hazard model reads of journeys: converting journeys touch by touch, and how long other touches were seen.

Ages are times from a touch to the conversion or to the end of its watch, in days. A touch of a null journey is watched
until its lookback is over, the data end, or (where a long pause has split the journey) the next part begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from attrib.engines.rows import UNIT, Codes, Table, Tables, check_times
from attrib.kernels.codes import CONVERTING, FIRST_PLAYER, NULL
from attrib.ragged import NEVER

if TYPE_CHECKING:
    from attrib.ragged import Ragged

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
SECONDS_A_DAY = 86_400
MIX = np.uint64(0x9E3779B97F4A7C15)
PACKED = 62  # bits of a number that holds player, game and age


@dataclass(frozen=True, slots=True)
class Exposures:
    """The rows of a hazard model.

    Tables ``journeys`` (those that convert: game, length, conversions, value), their ``touches`` in order (player,
    age), ``risks``: other touches (game, player, age, count), and ``spans``: how long journeys were watched (game,
    days).
    """

    method: str  # whom an error names

    def check(self, *, has_times: bool) -> None:
        """Check that there are times."""
        check_times(self.method, has_times=has_times)

    def read(self, reader: Any, events: Any, ragged: Ragged) -> Tables:  # noqa: ARG002 - other needs read them
        """Tables of a partition; times are still ticks, players and games the reader's."""
        lengths = np.diff(ragged.offsets)
        order = np.argsort(ragged.unit, kind="stable")  # of journeys: by bucket
        met = order[lengths[order] > 0]
        won, lost = met[ragged.status[met] == CONVERTING], met[ragged.status[met] == NULL]
        begins = np.zeros(len(lengths), np.int64)
        begins[met] = ragged.times[ragged.offsets[met]]
        at, journey = _touches_of(ragged.offsets, lengths, won)
        lost_at, lost_journey = _touches_of(ragged.offsets, lengths, lost)

        # a null journey that the same customer goes on from ends where the next part begins
        follows = np.zeros(len(lengths), np.bool_)
        follows[:-1] = (ragged.customer[1:] == ragged.customer[:-1]) & (lengths[1:] > 0)
        next_begins = np.roll(begins, -1)
        assert ragged.lookback_of_kind is not None
        lookback = ragged.lookback_of_kind[ragged.kinds[lost_at]]
        goes_on = follows[lost][lost_journey]
        limit = np.where(lookback < 0, NEVER, lookback)
        limit[goes_on] = np.minimum(
            limit[goes_on], _since(ragged.times[lost_at][goes_on], next_begins[lost][lost_journey][goes_on])
        )
        reach = np.zeros(len(lengths), np.int64)  # how long each journey may be watched
        reach[won] = _since(begins[won], ragged.end[won])
        age = _since(begins[lost][lost_journey], ragged.times[lost_at])
        np.maximum.at(reach, lost[lost_journey], np.where(limit > NEVER - age, NEVER, limit + age))
        watched = met[(ragged.status[met] == CONVERTING) | (ragged.status[met] == NULL)]
        return {
            "journeys": {
                UNIT: ragged.unit[won],
                "game": ragged.game[won],
                "length": lengths[won].astype(np.int32),
                "conversions": ragged.conversions[won].astype(np.float64),
                "value": ragged.value[won],
            },
            "touches": {
                UNIT: ragged.unit[won][journey],
                "player": ragged.players[at] - FIRST_PLAYER,
                "age": _since(ragged.times[at], ragged.end[won][journey]),
            },
            "risks": {
                UNIT: ragged.unit[lost][lost_journey],
                "game": ragged.game[lost][lost_journey],
                "player": ragged.players[lost_at] - FIRST_PLAYER,
                "time": ragged.times[lost_at],
                "limit": limit,
            },
            "spans": {
                UNIT: ragged.unit[watched],
                "game": ragged.game[watched],
                "first": begins[watched],
                "limit": reach[watched],
            },
        }

    def finish(self, tables: Tables, codes: Codes) -> Tables:
        """Put one bucket into order: journeys by game and content, other touches by game, player and age."""
        day = codes.ticks_per_second * SECONDS_A_DAY
        journeys, touches = tables["journeys"], tables["touches"]
        game = codes.games[journeys["game"]]
        player = codes.players[touches["player"]]
        offsets = np.concatenate([[0], np.cumsum(journeys["length"], dtype=np.int64)])
        order = np.lexsort((_fingerprints(journeys, touches, player, offsets), game))
        at, _ = _touches_of(offsets, journeys["length"], order)
        return {
            "journeys": {
                "game": game[order].astype(np.int32),
                "length": journeys["length"][order],
                "conversions": journeys["conversions"][order],
                "value": journeys["value"][order],
            },
            "touches": {"player": player[at].astype(np.int32), "age": touches["age"][at] / day},
            "risks": self._risks(tables["risks"], codes, day),
            "spans": self._spans(tables["spans"], codes, day),
        }

    @staticmethod
    def _risks(table: Table, codes: Codes, day: int) -> Table:
        """Equal ages of a player count together: most touches are watched over the whole lookback."""
        age = np.minimum(table["limit"], _since(table["time"], np.int64(codes.end)))
        players = len(codes.players) and int(codes.players.max(initial=0)) + 1
        cell = codes.games[table["game"]] * players + codes.players[table["player"]]
        bits = int(age.max(initial=0)).bit_length()
        if bits + int(cell.max(initial=0)).bit_length() <= PACKED:
            packed, counts = np.unique((cell << bits) | age, return_counts=True)
            cell, age = packed >> bits, packed & ((1 << bits) - 1)
        else:
            both, counts = np.unique(np.stack([cell, age]), axis=1, return_counts=True)
            cell, age = both
        return {
            "game": (cell // max(1, players)).astype(np.int32),
            "player": (cell % max(1, players)).astype(np.int32),
            "age": age / day,
            "count": counts.astype(np.float64),
        }

    @staticmethod
    def _spans(table: Table, codes: Codes, day: int) -> Table:
        """Days that the journeys of each game were watched."""
        span = np.minimum(table["limit"], _since(table["first"], np.int64(codes.end)))
        games, place = np.unique(codes.games[table["game"]], return_inverse=True)
        whole = np.zeros(len(games), np.int64)  # whole days and ticks apart, so that sums are exact
        np.add.at(whole, place, span // day)
        rest = np.zeros(len(games), np.int64)
        np.add.at(rest, place, span % day)
        return {"game": games.astype(np.int32), "days": whole + rest / day}


def _touches_of(offsets: Ints, lengths: npt.NDArray[Any], chosen: Ints) -> tuple[Ints, Ints]:
    """Touches of the chosen journeys, in order, and for each the place of its journey among the chosen."""
    some = lengths[chosen].astype(np.int64)
    journey = np.repeat(np.arange(len(chosen)), some)
    ends = np.cumsum(some)
    return np.arange(len(journey)) + np.repeat(offsets[chosen] - (ends - some), some), journey


def _since(time: Ints, later: Any) -> Ints:
    """Ticks from a time to a later one; what int64 does not hold counts as its largest."""
    span = np.asarray(later, np.int64).astype(np.uint64) - time.astype(np.uint64)
    return np.minimum(span, np.uint64(NEVER)).astype(np.int64)


def _fingerprints(journeys: Table, touches: Table, player: Ints, offsets: Ints) -> Words:
    """A number for what each journey holds, the same wherever it stands."""
    place = np.arange(len(player)) - np.repeat(offsets[:-1], journeys["length"])
    words = _mix(_mix(_mix(player.astype(np.uint64)) + touches["age"].astype(np.uint64)) + place.astype(np.uint64))
    sums = np.add.reduceat(words, offsets[:-1]) if len(words) else np.zeros(0, np.uint64)
    sums = _mix(sums + journeys["conversions"].view(np.uint64))
    return _mix(sums + journeys["value"].view(np.uint64))


def _mix(words: Words) -> Words:
    """Spread the bits (splitmix64)."""
    words = (words + MIX).astype(np.uint64)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
