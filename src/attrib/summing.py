"""From the journeys of a partition to its tallies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from attrib.errors import SolveError, brief
from attrib.kernels.codes import DECAY, FIRST_PLAYER, OPEN
from attrib.needs import (
    CUSTOMER_SET,
    LENGTH,
    PATH,
    SECONDS,
    Need,
    Patterns,
    RuleSums,
    Totals,
    Touches,
    Transitions,
    Weights,
)
from attrib.tally import Layout, Lists, Tally, bits_for, check_key_width, merge, real_columns, shrunk

if TYPE_CHECKING:
    from attrib.ragged import Ragged

Ints = npt.NDArray[np.int64]
Small = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
CREDIT = RuleSums.width
WIDTHS = ("bits", "game_bits", "tail_bits")
DENSE = 20  # bits of a key that may be its own slot: 4 MiB, of which only what is used enters the cache
BLOCK = 1 << 10  # touches or steps looked up at once: what is written down for them stays in the nearest cache
HELD = 256 << 20  # bytes of running sums before they are handed over


class RunningSums:
    """Sums of some needs over partition after partition, for one thread at a time.

    Sums that stay where they are cost nothing to merge: they are handed over as tallies only at the end, when they have
    outgrown the cache, or when new players, games or lengths ask for wider keys.

    Parameters
    ----------
    needs : sequence of Need
        What to sum; all rules are summed in one walk.
    units : bool
        Keep the unit axis (for intervals), except of touches, of which no interval has need.
    """

    def __init__(self, needs: Sequence[Need], *, units: bool) -> None:
        rules: list[Any] = [need for need in needs if _is_plain_rule(need)]
        self._patterns = [need for need in needs if isinstance(need, Patterns)]
        alone: list[list[Any]] = [
            [need] for need in needs if not _is_plain_rule(need) and not isinstance(need, Patterns)
        ]
        self._sums = [_Running(group, units=units) for group in (*alone, rules) if group]
        self._units = units

    def add(self, ragged: Ragged, *, players: int, games: int, exponent: int) -> list[Tally]:
        """Sum the journeys of a partition, return what is handed over.

        Parameters
        ----------
        ragged : Ragged
            Journeys of some customers.
        players, games : int
            Number of distinct players and games so far.
        exponent : int
            Values are counted in 2^exponent, the same for all partitions.
        """
        n_units = int(ragged.unit.max(initial=0)) + 1 if self._units else 1
        unit = ragged.unit if self._units else np.zeros(len(ragged.game), np.int32)
        done = [
            _tally_patterns(ragged, need, Layout(0, 0, bits_for(games)), exponent, n_units) for need in self._patterns
        ]
        for sums in self._sums:
            done += sums.add(ragged, unit, n_units, players, games, exponent)
        return done

    def take(self) -> list[Tally]:
        """Hand over what is left."""
        return [tally for sums in self._sums for tally in sums.take()]

    @property
    def rows(self) -> dict[Need, int]:
        """Rows held for each need."""
        return {need: sums.rows for sums in self._sums for need in sums.needs}


class _Running:
    """Running sums of one need, or of all rules: a table (``kernels/tables.py``) and how its keys are packed."""

    def __init__(self, needs: list[Any], *, units: bool) -> None:
        self.needs = needs
        self._is_rules = _is_plain_rule(needs[0])
        self._units = units and not isinstance(needs[0], Touches)
        self._kernel = _sum_rules if self._is_rules else _KERNELS[type(needs[0])]
        width = CREDIT * (1 + len(needs)) if self._is_rules else needs[0].width
        self._layout: Layout | None = None
        self._exponent = 0
        self._table: tuple[Ints, Small, Ints, Ints, Ints] = (
            np.zeros(0, np.int64), np.full(1 << 8, -1, np.int32), np.empty(1 << 8, np.int64), np.zeros(1, np.int64),
            np.zeros((1 << 8, width), np.int64),
        )  # fmt: skip

    @property
    def rows(self) -> int:
        """Rows held."""
        return int(self._table[3][0])

    def add(self, ragged: Ragged, unit: Small, n_units: int, players: int, games: int, exponent: int) -> list[Tally]:
        """Sum the journeys of a partition, return what had to be handed over."""
        need = self.needs[0]
        if not self._units:
            n_units = 1
        layout = Layout(
            need.players, bits_for(players + FIRST_PLAYER), bits_for(games),
            bits_for(ragged.longest + 1) if need.has_tail else 0,
        )  # fmt: skip
        done: list[Tally] = []
        if self._layout is not None and layout != self._layout:
            wider = [max(getattr(one, name) for one in (layout, self._layout)) for name in WIDTHS]
            layout = Layout(need.players, *wider)
            if layout != self._layout:
                done = self.take()
        check_key_width(need, layout, n_units)
        self._layout, self._exponent = layout, exponent
        self._fit(layout.unit_shift + (n_units - 1).bit_length())
        at, step = 0, self._kernel(self.needs, ragged, unit, layout, float(np.ldexp(1.0, -exponent)))
        while (at := step(at, *self._table)) < len(ragged.game):
            self._grow(max(BLOCK, ragged.longest + 2))
        if self.rows * self._table[4].shape[1] * 8 > HELD:
            done += self.take()
        return done

    def take(self) -> list[Tally]:
        """Hand over the sums, and start anew."""
        from attrib.kernels import tables as kernel

        if self._layout is None:
            return []
        keys, sums = self._table[2][: self.rows], self._table[4][: self.rows]
        order = kernel.sort_keys(keys)
        done = []
        for number, need in enumerate(self.needs, 1):
            first = number * CREDIT if self._is_rules else 0
            own_keys, own = np.empty(len(keys), np.int64), np.empty((len(keys), need.width), np.int64)
            n = kernel.take_rows(order, keys, sums, first, real_columns(need), np.array(need.marks), own_keys, own)
            done.append(Tally(need, self._layout, self._exponent, shrunk(own_keys, n), shrunk(own, n)))
        kernel.free_rows(*self._table)
        self._layout = None
        return done

    def _fit(self, key_bits: int) -> None:
        """Make an index for keys of so many bits."""
        slots, places = self._table[:2]
        if len(slots):
            return  # any key finds its slot
        if key_bits > DENSE:
            size = 1 << (4 * self.rows + 4096).bit_length()
            self._index(size, size)
        elif len(places) < 1 << key_bits:
            self._index(0, 1 << key_bits)

    def _grow(self, more: int) -> None:
        """Make room for twice the rows, and for ``more``."""
        slots, places, keys, used, sums = self._table
        room = 2 * (self.rows + more)
        if room > len(keys):
            new_keys, new_sums = np.empty(room, np.int64), np.zeros((room, sums.shape[1]), np.int64)
            new_keys[: self.rows], new_sums[: self.rows] = keys[: self.rows], sums[: self.rows]
            self._table = (slots, places, new_keys, used, new_sums)
        if len(slots) and 10 * room > 7 * len(slots):
            size = 1 << (2 * room - 1).bit_length()
            self._index(size, size)

    def _index(self, n_slots: int, n_places: int) -> None:
        """Find the rows by a new index."""
        from attrib.kernels import tables as kernel

        _, _, keys, used, sums = self._table
        rows = self.rows
        self._table = (np.full(n_slots, -1, np.int64), np.full(n_places, -1, np.int32), keys, used, sums)
        used[0] = 0
        kernel.index_rows(rows, *self._table[:4])


def _is_plain_rule(need: Need) -> bool:
    """Whether a need is summed with all other rules, in one walk."""
    return isinstance(need, RuleSums) and not need.by_position and need.weights is None


def tally_journeys(ragged: Ragged, need: Need, *, players: int, games: int, exponent: int, units: bool) -> Tally:
    """Sum one need over the journeys of one partition."""
    sums = RunningSums([need], units=units)
    return merge([*sums.add(ragged, players=players, games=games, exponent=exponent), *sums.take()])


Step = Callable[..., int]  # from the journey where it starts to the one where the table was full


def _sum_totals(_needs: list[Need], r: Ragged, unit: Small, layout: Layout, scale: float) -> Step:
    from attrib.kernels import tallies as kernel

    return partial(
        kernel.sum_totals, r.offsets, r.game, unit, r.conversions, r.nulls, r.value, r.rows, r.status, scale,
        layout.game_bits,
    )  # fmt: skip


def _count_touches(_needs: list[Need], r: Ragged, _unit: Small, layout: Layout, _scale: float) -> Step:
    from attrib.kernels import tallies as kernel

    return partial(kernel.count_touches, r.offsets, r.players, r.game, r.status, layout.bits)


def _sum_transitions(needs: list[Transitions], r: Ragged, unit: Small, layout: Layout, scale: float) -> Step:
    from attrib.kernels import tallies as kernel

    room = max(BLOCK, r.longest + 2)
    scratch = (*(np.empty(room, np.int64) for _ in range(3)), np.empty(room, np.float64))
    step = partial(
        kernel.sum_transitions, needs[0].order, r.offsets, r.players, r.game, unit, r.conversions, r.nulls, r.value,
        r.status, scale, layout.game_bits, layout.bits,
    )  # fmt: skip
    return lambda start, *table: step(start, *table, *scratch)


def _sum_weights(needs: list[RuleSums], r: Ragged, unit: Small, layout: Layout, scale: float) -> Step:
    from attrib.kernels import rules as kernel

    return partial(
        kernel.sum_weights, touch_weights(r, needs[0]), needs[0].by_position, r.offsets, r.players, r.game, unit,
        r.conversions, r.value, scale, layout.game_bits, layout.bits, layout.tail_bits,
    )  # fmt: skip


def _sum_rules(needs: list[RuleSums], r: Ragged, unit: Small, layout: Layout, scale: float) -> Step:
    from attrib.kernels import rules as kernel

    rules = np.array([need.rule for need in needs], np.int64)
    a, b = np.array([_ticks(need, r) for need in needs]), np.array([need.b for need in needs])
    room = max(BLOCK, r.longest)
    scratch = (*(np.empty(room, np.int64) for _ in range(8)), np.empty(room, np.bool_), np.empty(room, np.float64))
    step = partial(
        kernel.sum_rules, rules, a, b, _direct(r, needs), r.offsets, r.players, r.kinds, r.times, r.game, unit,
        r.conversions, r.value, scale, layout.game_bits, layout.bits,
    )  # fmt: skip
    return lambda start, *table: step(start, *table, *scratch)


_KERNELS: dict[type, Callable[..., Step]] = {
    Totals: _sum_totals, Touches: _count_touches, Transitions: _sum_transitions, RuleSums: _sum_weights
}  # fmt: skip


def _direct(ragged: Ragged, needs: Sequence[RuleSums]) -> npt.NDArray[np.bool_]:
    """Which kinds of touch each rule passes over, bool [R, kinds]."""
    names = ragged.channel_of_kind
    rows = [[name in need.direct for name in names] if need.direct else [False] * len(names) for need in needs]
    return np.array(rows, np.bool_).reshape(len(needs), len(names))


def _ticks(need: RuleSums, ragged: Ragged) -> float:
    return need.a * ragged.ticks_per_second if need.rule == DECAY else need.a


def touch_weights(ragged: Ragged, need: RuleSums) -> Floats:
    """Weight of every touch under a rule, float64 [M]: they sum to 1 over a converting journey, and are 0 elsewhere.

    Raises
    ------
    SolveError
        ``no_weights``, ``bad_weights`` or ``no_times`` where a custom rule has no answer for a journey.
    """
    from attrib.kernels import rules as kernel

    if need.weights is not None:
        return _custom_weights(ragged, need, need.weights)
    out = np.empty(len(ragged.players), np.float64)
    r = ragged
    kernel.weigh_touches(
        need.rule, _ticks(need, r), need.b, r.offsets, r.players, r.kinds, r.times, _direct(r, [need]), r.conversions,
        out,
    )  # fmt: skip
    return out


def _custom_weights(ragged: Ragged, need: RuleSums, weights: Weights) -> Floats:
    """Weights by the caller's table or function, journey by journey (the function is Python)."""
    out = np.zeros(len(ragged.players), np.float64)
    lengths = np.diff(ragged.offsets)
    converting = np.flatnonzero((ragged.conversions > 0) & (lengths > 0))
    if not callable(weights):
        rest = None if need.otherwise is None else touch_weights(ragged, need.otherwise)
        for length in np.unique(lengths[converting]).tolist():
            known = length <= len(weights) and len(weights[length - 1]) > 0
            if not known and rest is None:
                n = int(ragged.conversions[converting][lengths[converting] == length].sum())
                raise SolveError(
                    "no_weights",
                    f"custom_weights has no row for journeys of {length} touches ({n:,} conversions here)",
                    hint="add the row, say what holds otherwise, or pass a function of positions and ages",
                )
            journeys = converting[lengths[converting] == length]
            touches = ragged.offsets[journeys][:, None] + np.arange(length)
            out[touches] = weights[length - 1] if known or rest is None else rest[touches]
        return out
    for j in converting.tolist():
        low, high = int(ragged.offsets[j]), int(ragged.offsets[j + 1])
        if ragged.has_times:
            ages = (ragged.end[j] - ragged.times[low:high]) / (ragged.ticks_per_second * 86_400)
        else:
            ages = np.full(high - low, np.nan)
        given = weights(np.arange(1, high - low + 1), ages)
        out[low:high] = _shares(given, high - low, has_times=ragged.has_times)
    return out


def _shares(given: Any, length: int, *, has_times: bool) -> Floats:
    try:
        raw = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        raw = np.zeros(0)
    if raw.shape == (length,) and np.isnan(raw).any() and not has_times:
        raise SolveError("no_times", "custom_weights asks for the ages of touches, and a path table has no times")
    if raw.shape != (length,) or not np.isfinite(raw).all() or (raw < 0).any() or not raw.any():
        raise SolveError(
            "bad_weights",
            f"custom_weights: the function gave {brief(given):.200} for a journey of {length} touches",
            hint="one number from 0 a touch, not all of them 0",
        )
    raw = np.ldexp(raw, -np.frexp(raw.max())[1])  # so that no sum is too large for a float
    shares: Floats = raw / raw.sum()
    return shares


def _tally_patterns(ragged: Ragged, need: Patterns, layout: Layout, exponent: int, n_units: int) -> Tally:
    """Sum journeys by path, player set, length or time; or customers of a game by their player set."""
    from attrib.kernels import patterns as kernel

    r, lists = ragged, None
    lengths = np.diff(r.offsets)
    if need.of == CUSTOMER_SET:
        chosen = np.flatnonzero(lengths > 0)
        chosen = chosen[np.lexsort((r.game[chosen], r.customer[chosen]))]
        offsets, players = kernel.take_lists(r.offsets, r.players, chosen)
        new = np.ones(len(chosen), np.bool_)
        new[1:] = (np.diff(r.customer[chosen]) != 0) | (np.diff(r.game[chosen]) != 0)
        starts = np.flatnonzero(new)
        offsets = offsets[np.append(starts, len(chosen))]
        conversions, nulls, value = (
            np.add.reduceat(a[chosen], starts) if len(starts) else a[:0] for a in (r.conversions, r.nulls, r.value)
        )
        chosen = chosen[starts]
    else:
        keep = (lengths > 0) & (r.status != OPEN)
        chosen = np.flatnonzero(keep & (r.conversions > 0) if need.of == SECONDS else keep)
        offsets, players = (
            kernel.take_lists(r.offsets, r.players, chosen) if need.has_lists else (r.offsets[:1], r.players[:0])
        )
        conversions, nulls, value = r.conversions[chosen], r.nulls[chosen], r.value[chosen]
    if need.has_lists:
        if need.of != PATH:
            offsets, players = kernel.distinct_players(offsets, players)
        tails, first = kernel.number_lists(offsets, players)
        lists = Lists(*kernel.take_lists(offsets, players, first))
        tail_bits = bits_for(len(lists))
    else:
        tails = (
            lengths[chosen] if need.of == LENGTH else (r.end[chosen] - r.times[r.offsets[chosen]]) // r.ticks_per_second
        )
        tail_bits = bits_for(int(tails.max(initial=0)) + 1)
    layout = replace(layout, tail_bits=tail_bits)
    check_key_width(need, layout, n_units)
    unit = r.unit[chosen].astype(np.int64) if n_units > 1 else np.zeros(len(chosen), np.int64)
    game = r.game[chosen]
    order = np.lexsort((tails, game, unit))
    keys, sums = np.empty(len(chosen), np.int64), np.zeros((len(chosen), need.width), np.int64)
    n = kernel.sum_patterns(
        order, game, unit, conversions, nulls, value, float(np.ldexp(1.0, -exponent)), layout.game_bits, tail_bits,
        tails, keys, sums,
    )  # fmt: skip
    return Tally(need, layout, exponent, keys[:n].copy(), sums[:n].copy(), lists)
