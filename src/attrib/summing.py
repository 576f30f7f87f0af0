"""From the journeys of a partition to its tallies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from attrib.errors import SolveError
from attrib.kernels.codes import DECAY, FIRST_PLAYER, OPEN
from attrib.needs import CUSTOMER_SET, LENGTH, PATH, SECONDS, Need, Patterns, RuleSums, Totals, Touches, Weights
from attrib.tally import Layout, Lists, Tally, bits_for, check_key_width

if TYPE_CHECKING:
    from attrib.ragged import Ragged

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
DENSE = 1 << 20  # rows of a dense table: with three columns about 24 MiB, mostly untouched


def tally_journeys(ragged: Ragged, need: Need, *, players: int, games: int, exponent: int, units: bool) -> Tally:
    """Sum one need over the journeys of a partition.

    Parameters
    ----------
    ragged : Ragged
        Journeys of some customers.
    need : Need
        What to sum.
    players, games : int
        Number of distinct players and games so far.
    exponent : int
        Values are counted in 2^exponent.
    units : bool
        Keep the unit axis (for intervals).
    """
    from attrib.kernels import tallies as kernel

    n_units = int(ragged.unit.max()) + 1 if units and len(ragged.unit) else 1
    if isinstance(need, Patterns):
        return _tally_patterns(ragged, need, Layout(0, 0, bits_for(games)), exponent, n_units)
    tail_bits = bits_for(ragged.longest + 1) if need.has_tail else 0
    layout = Layout(need.players, bits_for(players + FIRST_PLAYER), bits_for(games), tail_bits)
    check_key_width(need, layout, n_units)
    unit = ragged.unit if units else np.zeros(len(ragged.game), np.int32)
    total_bits = layout.unit_shift + (n_units - 1).bit_length()
    dense = (1 << total_bits) <= min(DENSE, max(4096, 4 * len(ragged.players)))
    slots = np.zeros(0, np.int64) if dense else np.full(1 << 16, -1, np.int64)
    used = np.zeros(1, np.int64)
    sums = np.zeros(((1 << total_bits) if dense else len(slots), need.width), np.int64)
    scale = float(np.ldexp(1.0, -exponent))
    r, bits, gb = ragged, layout.bits, layout.game_bits
    common: tuple[Any, ...]
    scratch: tuple[Any, ...] = ()
    if isinstance(need, Totals):
        run = kernel.sum_totals
        common = (r.offsets, r.game, unit, r.conversions, r.nulls, r.value, r.rows, r.status, scale, gb)
    elif isinstance(need, Touches):
        run = kernel.count_touches
        common = (r.offsets, r.players, r.game, r.status, bits)
    elif isinstance(need, RuleSums) and (need.by_position or need.weights is not None):
        run = kernel.sum_weights
        common = (
            touch_weights(ragged, need), need.by_position, r.offsets, r.players, r.game, unit, r.conversions, r.value,
            scale, gb, bits, tail_bits,
        )  # fmt: skip
    elif isinstance(need, RuleSums):
        run = kernel.sum_rule
        common = (
            need.rule, _ticks(need, r), need.b, r.offsets, r.players, r.times, r.is_direct(need.direct), r.game, unit,
            r.conversions, r.value, scale, gb, bits,
        )  # fmt: skip
        scratch = (np.empty(r.longest, np.float64),)
    else:
        run = kernel.sum_transitions
        common = (
            need.order, r.offsets, r.players, r.game, unit, r.conversions, r.nulls, r.value, r.status, scale, gb, bits,
        )  # fmt: skip
    at = 0
    while True:
        at = run(*common, at, slots, used, sums, *scratch)
        if at == len(r.game):
            break
        slots, sums = _grow(slots, sums, used, r.longest, kernel)
    if dense:
        in_use = sums[:, need.marks[0]] != 0
        for column in need.marks[1:]:
            in_use |= sums[:, column] != 0
        keys = np.flatnonzero(in_use)
        return Tally(need, layout, exponent, keys, sums[keys])
    rows = np.flatnonzero(slots >= 0)
    rows = rows[np.argsort(slots[rows], kind="stable")]
    return Tally(need, layout, exponent, slots[rows], sums[rows])


def _grow(slots: Ints, sums: Ints, used: Ints, longest: int, kernel: Any) -> tuple[Ints, Ints]:
    size = 4 * len(slots)
    while size < 4 * (longest + 2):
        size *= 2
    new_slots, new_sums = np.full(size, -1, np.int64), np.zeros((size, sums.shape[1]), np.int64)
    used[0] = 0
    kernel.rehash(slots, sums, new_slots, used, new_sums)
    return new_slots, new_sums


def _ticks(need: RuleSums, ragged: Ragged) -> float:
    return need.a * ragged.ticks_per_second if need.rule == DECAY else need.a


def touch_weights(ragged: Ragged, need: RuleSums) -> Floats:
    """Weight of every touch under a rule, float64 [M]: they sum to 1 over a converting journey, and are 0 elsewhere.

    Raises
    ------
    SolveError
        ``no_weights``, ``bad_weights`` or ``no_times`` where a custom rule has no answer for a journey.
    """
    from attrib.kernels import tallies as kernel

    if need.weights is not None:
        return _custom_weights(ragged, need, need.weights)
    out = np.empty(len(ragged.players), np.float64)
    r = ragged
    kernel.weigh_touches(
        need.rule, _ticks(need, r), need.b, r.offsets, r.players, r.times, r.is_direct(need.direct), r.conversions, out
    )
    return out


def _custom_weights(ragged: Ragged, need: RuleSums, weights: Weights) -> Floats:
    """Weights by the caller's table or function, journey by journey (the function is Python)."""
    out = np.zeros(len(ragged.players), np.float64)
    lengths = np.diff(ragged.offsets)
    converting = np.flatnonzero((ragged.conversions > 0) & (lengths > 0))
    if not callable(weights):
        rest = (
            None
            if need.otherwise is None
            else touch_weights(ragged, replace(need, rule=need.otherwise, weights=None, b=0.4, a=0.4))
        )
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
            f"custom_weights: the function gave {given!r:.200} for a journey of {length} touches",
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
