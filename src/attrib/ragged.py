"""One partition of customers: ordered events in, journeys as ragged arrays out (semantics §2, §3).

Arrays: C customers, T touches, O outcomes, J journeys, M touches in journeys, S stages, K kinds of event.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from attrib.errors import ResourceError
from attrib.kernels.codes import FATES, FIRST_PLAYER, NETTED, OUTSIDE, REASONS, REFUNDED, UNMATCHED, WORDS

if TYPE_CHECKING:
    from collections.abc import Callable

Ints = npt.NDArray[np.int64]
Small = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]

NEVER = np.iinfo(np.int64).max
MOST_SHARED = 1 << 28  # touches of the journeys of one partition: 6 GB


@dataclass(frozen=True, slots=True)
class Refunded:
    """What refunds did to the outcomes of a partition, before they were left out.

    ``taken`` float64 [orders]: taken off each order that was lowered; ``netted`` float64 [refunds]: of each refund with
    an order, what it took (< 0); ``unmatched`` float64: of a refund, what belongs to no order (< 0). ``alone``: refunds
    that took nothing; ``in_full``: orders with nothing left; ``gone``: those of them that are no outcomes any more.
    ``beyond``: of the unmatched, those that have an order, with nothing left; ``unnamed``: those of the others that
    name no order.
    """

    taken: Floats
    netted: Floats
    unmatched: Floats
    alone: int
    in_full: int
    gone: int
    beyond: int
    unnamed: int

    @property
    def counts(self) -> Ints:
        """Refunds with an order, orders lowered, orders with nothing left, refunds with a rest by why; int64 [6]."""
        named = len(self.netted), len(self.taken), self.in_full, len(self.unmatched), self.beyond, self.unnamed
        return np.array(named, np.int64)


@dataclass(frozen=True, slots=True)
class Events:
    """Events of a partition, grouped by customer, each customer's in the order of semantics §1.

    ``identity`` uint64 [C, 1 or 2] hash of the customer; ``unit`` int32 [C] bucket that is resampled; offsets
    int64 [C + 1]; times in ticks; kinds are codes of the engine's dictionaries. ``t_same`` bool [T]: touches equal to
    the one before in customer, time and sequence; empty without a sequence. ``duplicates``: touches dropped;
    ``repeated``: outcomes dropped for a repeated event id, and their value; ``refunded``: what refunds did to the
    outcomes, None where there are none; ``flagged``: counts of flags, see
    `attrib.engines.grouping`; ``seen``: facts on these
    customers, :class:`attrib.diagnostics.seen.Seen`.
    """

    identity: Words
    unit: Small
    t_offsets: Ints
    t_time: Ints
    t_kind: Small
    o_offsets: Ints
    o_time: Ints
    o_kind: Small
    o_value: Floats
    duplicates: int = 0
    repeated: int = 0
    repeated_value: float = 0.0
    refunded: Refunded | None = None
    flagged: tuple[int, ...] = (0,) * 6
    t_same: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    seen: Any = None

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return sum(a.nbytes for name in self.__slots__ if isinstance(a := getattr(self, name), np.ndarray))


@dataclass(frozen=True, slots=True)
class Milestones:
    """Stage model in codes: type_of_kind int64 [K] (−1: no milestone), type and nth by stage int64 [S]."""

    type_of_kind: Ints
    stage_type: Ints
    stage_nth: Ints
    types: int


@dataclass(frozen=True, slots=True)
class CutPlan:
    """How journeys are cut, in codes and ticks.

    ``goal`` ends journeys; ``stages`` (resolved view) only tells the stage of a touch; ``stage_of_kind`` is for
    touches that carry their stage. ``player_of_kind`` from 0; ``touch_game`` / ``outcome_game`` pack the by-values.
    ``lookback_of_kind`` int64 [K] in ticks, −1 unlimited; ``preference_of_kind`` int64 [K], 0 the most preferred; empty
    without a preference. ``max_touches`` 0 for any number; ``keep``: touches serve every later conversion.
    """

    goal: Milestones
    stages: Milestones | None
    stage_of_kind: Ints | None
    n_stages: int
    stage_bits: int
    player_of_kind: Small
    touch_game: Ints
    outcome_game: Ints
    touch_mask: int
    lookback_of_kind: Ints
    max_gap: int
    open_from: int
    preference_of_kind: Ints
    max_touches: int
    keep: bool
    repeats: int
    exponent: int
    ticks_per_second: int
    channel_of_kind: npt.NDArray[np.object_]
    intern_games: Callable[[Ints], Small]


@dataclass(frozen=True, slots=True)
class Ragged:
    """Journeys as flat arrays; journey j has the touches offsets[j] to offsets[j + 1].

    players int32 [M] (codes from 3), kinds int32 [M], times int64 [M]; by journey [J]: game int32, unit int32,
    customer int64, conversions, nulls, rows int64, value float64, end int64 (conversion, or last touch), status int8.
    ``lookback_of_kind`` as in the plan; None without times.
    """

    offsets: Ints
    players: Small
    kinds: Small
    times: Ints
    game: Small
    unit: Small
    customer: Ints
    conversions: Ints
    nulls: Ints
    rows: Ints
    value: Floats
    end: Ints
    status: npt.NDArray[np.int8]
    ticks_per_second: int
    channel_of_kind: npt.NDArray[np.object_]
    has_times: bool = True
    lookback_of_kind: Ints | None = None

    @property
    def longest(self) -> int:
        """Touches of the longest journey."""
        return int(np.diff(self.offsets).max(initial=0))

    def is_direct(self, direct: tuple[str, ...]) -> npt.NDArray[np.bool_]:
        """Which touches came over one of the ``direct`` channels."""
        if not direct:
            return np.zeros(len(self.players), np.bool_)
        by_kind = np.array([name in direct for name in self.channel_of_kind], np.bool_)
        return by_kind[self.kinds]


@dataclass(frozen=True, slots=True)
class Cut:
    """Journeys of a partition and what did not become part of one.

    ``touches`` int64 [5]: used, outside the window, open, not preferred, over the cap; ``outcomes`` int64 [6, 5]: rows
    and value (four words) of credited or unattributed, without effect, and other outcomes, of orders as far as they
    were refunded, of refunds as far as they were netted, and of the rest of these; ``reasons`` int64 [4, 6]: rows,
    conversions and value of the unattributed, by reason (``codes.REASONS``); ``refunds``: see `Refunded.counts`.
    """

    ragged: Ragged
    touches: Ints
    outcomes: Ints
    reasons: Ints
    refunds: Ints


@dataclass(frozen=True, slots=True)
class FunnelPart:
    """Counts int64 [S, 6] (entered, advanced, skipped, open, repeat advances, touches) and times in stage."""

    counts: Ints
    times: Ints
    flags: npt.NDArray[np.int16]


def boundaries_of(events: Events, goal: Milestones, scale: float) -> tuple[tuple[Any, ...], Ints]:
    """Instants that end journeys or stages, as `walk.find_boundaries` gives them, and the ledger of the outcomes."""
    from attrib.kernels import walk

    n = len(events.o_time)
    ints = [np.empty(n, np.int64) for _ in range(6)]
    time, stage, to, count, kind, rows = ints
    value = np.empty(n, np.float64)
    offsets = np.zeros(len(events.o_offsets), np.int64)
    ledger = np.zeros((FATES, 1 + WORDS), np.int64)
    found = walk.find_boundaries(
        events.o_offsets, events.o_time, events.o_kind, events.o_value, scale, goal.type_of_kind, goal.stage_type,
        goal.stage_nth, goal.types, (offsets, time, stage, to, count, value, kind, rows), ledger,
    )  # fmt: skip
    trimmed = (a[:found] for a in (time, stage, to, count, value, kind, rows))
    return (offsets, *trimmed), ledger


def cut(events: Events, plan: CutPlan) -> Cut:
    """Cut the journeys of a partition."""
    from attrib.kernels import overlaps, walk

    boundaries, outcomes = boundaries_of(events, plan.goal, float(np.ldexp(1.0, -plan.exponent)))
    customers = len(events.unit)
    n_touches = len(events.t_time)
    player_of_kind, t_stage = plan.player_of_kind, np.empty(0, np.int32)
    if plan.stage_of_kind is not None:
        player_of_kind = player_of_kind * np.int32(plan.n_stages) + plan.stage_of_kind.astype(np.int32)
    elif plan.stages is not None:
        (s_offsets, s_time, _, s_to, *_), _ = boundaries_of(events, plan.stages, 1.0)
        t_stage = np.empty(n_touches, np.int32)
        walk.stage_of_touches(events.t_offsets, events.t_time, s_offsets, s_time, s_to, t_stage)
        player_of_kind = player_of_kind * np.int32(plan.n_stages)
    player_of_kind = player_of_kind + np.int32(FIRST_PLAYER)

    room = len(boundaries[1]) + customers + (n_touches if plan.max_gap >= 0 else 0)
    offsets = np.zeros(room + 1, np.int64)
    raw_game, customer, conversions, nulls, end, out_rows = (np.empty(room, np.int64) for _ in range(6))
    out_value, status = np.empty(room, np.float64), np.empty(room, np.int8)
    touches, reasons = np.zeros(5, np.int64), no_reasons()
    scale = float(np.ldexp(1.0, -plan.exponent))
    given = (events.t_offsets, events.t_time, events.t_kind, player_of_kind, t_stage, boundaries, plan.lookback_of_kind)
    asked = (
        plan.max_gap, plan.open_from, plan.preference_of_kind, plan.max_touches, plan.repeats, plan.touch_game,
        plan.outcome_game, plan.touch_mask, plan.stage_bits, scale,
    )  # fmt: skip
    journeys = (offsets, raw_game, customer, conversions, nulls, out_value, end, status, out_rows)
    if plan.keep:
        longest = -1 if (plan.lookback_of_kind < 0).any() else int(plan.lookback_of_kind.max(initial=0))
        n_out = _room_for(events, boundaries, longest, plan.max_touches)
        out = _touches_of(n_out)
        n = overlaps.cut_overlapping(
            *given, longest, *asked, out, journeys, np.empty(n_out, np.int64), np.full(n_touches, OUTSIDE, np.int8),
            touches, reasons,
        )  # fmt: skip
    else:
        out = _touches_of(n_touches)
        n = walk.cut_journeys(*given, *asked, out, journeys, touches, reasons)
    m = int(offsets[n])
    ragged = Ragged(
        offsets[: n + 1], out[0][:m], out[1][:m], out[2][:m], plan.intern_games(raw_game[:n]),
        events.unit[customer[:n]], customer[:n], conversions[:n], nulls[:n], out_rows[:n], out_value[:n], end[:n],
        status[:n], plan.ticks_per_second, plan.channel_of_kind, lookback_of_kind=plan.lookback_of_kind,
    )  # fmt: skip
    refunds = np.zeros(6, np.int64)
    if events.refunded is not None:
        refunds = events.refunded.counts
        _enter_refunds(events.refunded, float(np.ldexp(1.0, -plan.exponent)), outcomes)
    return Cut(ragged, touches, outcomes, reasons, refunds)


def _enter_refunds(refunded: Refunded, scale: float, ledger: Ints) -> None:
    """Enter what refunds did in the ledger of the outcomes."""
    from attrib.kernels import refunds as kernel

    rows = (refunded.gone, len(refunded.netted), refunded.alone)
    for fate, count, values in zip(
        (REFUNDED, NETTED, UNMATCHED), rows, (refunded.taken, refunded.netted, refunded.unmatched), strict=True
    ):
        ledger[fate, 0] += count
        kernel.enter(ledger, fate, values * scale)


def no_reasons() -> Ints:
    """Counts of unattributed conversions by reason, all 0; see :class:`Cut`."""
    return np.zeros((len(REASONS), 2 + WORDS), np.int64)


def _touches_of(n: int) -> tuple[Small, Small, Ints]:
    """Room for the players, kinds and times of so many touches."""
    return np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int64)


def _room_for(events: Events, boundaries: tuple[Any, ...], longest: int, max_touches: int) -> int:
    """Touches that journeys have which share them.

    Raises
    ------
    ResourceError
        ``too_many_touches`` where they are more than any machine holds.
    """
    from attrib.kernels import overlaps

    n, largest = overlaps.room_for(events.t_offsets, events.t_time, boundaries, longest, max_touches)
    if n > MOST_SHARED:
        raise ResourceError(
            "too_many_touches",
            f'after_conversion = "keep" makes {n:,} touches of journeys out of {len(events.t_time):,} touchpoints; one '
            f"journey has up to {largest:,}",
            hint="shorten the lookback, or give max_touches, such as 100",
        )
    return int(n)


def walk_funnel(events: Events, plan: CutPlan) -> FunnelPart:
    """Count customers by stage and take their times in it."""
    from attrib.kernels import walk

    model = plan.goal if plan.stages is None else plan.stages
    (offsets, time, stage, to, *_), _ = boundaries_of(events, model, 1.0)
    counts = np.zeros((len(model.stage_type), 6), np.int64)
    room = len(time) + len(events.unit)
    times, flags = np.empty(room, np.int64), np.empty(room, np.int16)
    n = walk.walk_funnel(
        events.t_offsets, events.t_time, events.o_offsets, events.o_time, offsets, time, stage, to, plan.open_from,
        counts, times, flags,
    )  # fmt: skip
    return FunnelPart(counts, times[:n], flags[:n])
