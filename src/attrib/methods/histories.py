"""Customers' whole histories, for models of when touches and outcomes come: what is read, and how it is put together.

The observed stage of a customer is their stage in the model of the journeys. Without stages it follows from the other
outcomes of the log: those that more customers have than the target come before it, the commonest first; then count the
first and the second of the target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from attrib.engines.rows import READER, UNIT, Codes, Rows, Tables, check_times
from attrib.errors import ResourceError, SolveError
from attrib.kernels.intent import Chart, Lives
from attrib.kernels.replay import Stakes
from attrib.ragged import Events, boundaries_of
from attrib.schemas import STAGE
from attrib.stages import StageColumn

if TYPE_CHECKING:
    from attrib.engines.base import Tallies
    from attrib.ragged import CutPlan, Ragged

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]
SECONDS_A_DAY = 86_400
MOST_CHANNELS = 60  # of which each may bring any other
MOST_OUTCOMES = 12  # beside the target; rarer ones are not looked at


@dataclass(frozen=True, slots=True)
class Histories:
    """Tables ``customers`` (key, how many touches and outcomes), ``touches`` and ``outcomes``, all that there are."""

    method: str  # whom an error names

    def check(self, *, has_times: bool) -> None:
        """Check that there are times."""
        check_times(self.method, has_times=has_times)

    def read(self, reader: Any, events: Events, ragged: Ragged) -> Tables:  # noqa: ARG002 - other needs read journeys
        """Tables of a partition, in the reader's kinds."""
        order = np.argsort(events.unit, kind="stable")
        unit = events.unit[order]
        touches, outcomes = np.diff(events.t_offsets)[order], np.diff(events.o_offsets)[order]
        t, o = _rows_of(events.t_offsets, order), _rows_of(events.o_offsets, order)
        words = events.identity[order]
        return {
            "customers": {
                UNIT: unit, "first": words[:, 0], "second": words[:, -1], "touches": touches, "outcomes": outcomes,
            },
            "touches": {UNIT: np.repeat(unit, touches), "time": events.t_time[t], "kind": events.t_kind[t]},
            "outcomes": {
                UNIT: np.repeat(unit, outcomes), "time": events.o_time[o], "kind": events.o_kind[o],
                "value": events.o_value[o],
            },
        }  # fmt: skip

    def finish(self, tables: Tables, codes: Codes) -> Tables:  # noqa: ARG002 - kinds are the reader's
        """Put the customers of one bucket into the order of their hashes."""
        customers = tables["customers"]
        order = np.lexsort((customers["second"], customers["first"]))
        done: Tables = {"customers": {name: values[order] for name, values in customers.items()}}
        for name in ("touches", "outcomes"):
            rows = _rows_of(np.concatenate([[0], np.cumsum(customers[name])]), order)
            done[name] = {column: values[rows] for column, values in tables[name].items()}
        return done


@dataclass(frozen=True, slots=True)
class Setting:
    """Customers, bucket after bucket, and what can happen to them.

    ``unit`` int64 [N] bucket of each customer; ``outcomes``: names of the outcomes by process, ``stages``: of the
    observed stages; ``channels``: rows of the players frame that stand for the channels. ``ids``: what customers' ids
    are, as the engine hashes them; ``origin``: the first instant, in ticks, which are ``ticks`` a second; ``aware``:
    whether times carry a zone.
    """

    lives: Lives
    after: Ints
    acts: Ints
    stakes: Stakes
    unit: Ints
    outcomes: list[str]
    stages: list[str]
    channels: Ints
    ids: str
    origin: int
    ticks: int
    aware: bool | None

    def chart(self, decays: Floats, grid: Floats) -> Chart:
        """What acts on what, with touches that fade so."""
        return Chart(len(self.channels), self.after, self.acts, decays, grid)


def told_by(unit: Ints, weight: Floats, fold: int, folds: int) -> Floats:
    """Weights, by bucket, of customers as they tell a fold its parameters: those of its own buckets do not.

    With one fold everybody does.
    """
    return np.where((unit % folds == fold) & (folds > 1), 0.0, weight[unit])


def setting_of(rows: Rows, tallies: Tallies, method: str) -> Setting:
    """Put histories together.

    Raises
    ------
    SolveError
        ``histories_by`` for journeys that ``by`` partitions, ``stage_column`` for touches that carry their stage.
    ResourceError
        ``too_many_channels``.
    """
    reader, codes = rows.memo[READER]
    recipe = reader.recipe
    if recipe.by:
        raise SolveError(
            "histories_by",
            f"{method} models whole histories of customers, which by={list(recipe.by)} cuts into games",
            hint="make journeys of each part by itself, or leave the method out",
        )
    if isinstance(recipe.stages, StageColumn):
        raise SolveError(
            "stage_column",
            f"{method} must know when customers go from stage to stage, and touches that carry their stage do not say",
            hint="use a stage model of milestones, or leave the method out",
        )
    plan: CutPlan = reader.plan()
    touches, outcomes, customers = (rows.tables[name] for name in ("touches", "outcomes", "customers"))
    offsets = [np.concatenate([[0], np.cumsum(customers[name], dtype=np.int64)]) for name in ("touches", "outcomes")]
    n = len(customers["first"])
    unit = np.repeat(np.arange(len(rows.units)), np.diff(rows.starts["customers"]))
    words = np.stack([customers["first"]], axis=1)
    # copies: kernels are compiled for arrays that may be written to, which those on disk may not
    events = Events(
        words, unit.astype(np.int32), offsets[0], np.array(touches["time"]), np.array(touches["kind"]), offsets[1],
        np.array(outcomes["time"]), np.array(outcomes["kind"]), np.array(outcomes["value"]),
    )  # fmt: skip
    channels, of_kind, player_rows = _channels(tallies, plan, codes, method)
    course = _course(events, plan, recipe, reader)

    channel = of_kind[events.t_kind]
    keep = np.flatnonzero(channel >= 0)
    who = np.concatenate([np.repeat(np.arange(n), np.diff(offsets[0]))[keep], course.customer])
    time = np.concatenate([events.t_time[keep], course.time])
    late = np.repeat([0, 1], [len(keep), len(course.time)])
    order = np.lexsort((late, time, who))
    present, counts = np.unique(who, return_counts=True)
    first = int(time.min(initial=codes.end))
    day = codes.ticks_per_second * SECONDS_A_DAY
    lives = Lives(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        (time - first)[order] / day,
        np.concatenate([channel[keep], len(channels) + course.process])[order].astype(np.int64),
        (codes.end - first) / day,
    )
    value = np.concatenate([np.zeros(len(keep)), course.value])[order]
    C, M, S = len(channels), len(course.outcomes), course.after.shape[1]
    usual = np.zeros(C + M)
    seen = np.bincount(lives.code, minlength=C + M)
    usual[:] = np.bincount(lives.code, value, C + M) / np.maximum(seen, 1)
    if recipe.stages is not None and recipe.view == "resolved":
        player = player_rows  # [C, S]
    else:
        player = np.repeat(channels[:, None], S, axis=1)
    stakes = Stakes(
        events.identity[present, 0].astype(np.uint64), value, usual, np.ascontiguousarray(player), course.game,
        tallies.players.height, tallies.n_games,
    )  # fmt: skip
    acts = np.full((C + M, S), -1, np.int64)
    acts[:C] = np.arange(C)[:, None]
    places = np.argwhere(course.lifted)  # process, stage
    acts[C + places[:, 0], places[:, 1]] = C + np.arange(len(places))
    return Setting(
        lives, course.after, acts, stakes, unit[present], course.outcomes, course.stages, channels, reader.ids, first,
        codes.ticks_per_second, reader.touches.types.aware,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Course:
    """How customers get on: outcomes as processes [M] over observed stages [S].

    By event: customer, time, process, value. ``after`` int64 [M, S], ``game`` int64 [M, S] that an outcome counts for
    (-1: none), ``lifted`` bool [M, S]: whether touches may bring it.
    """

    customer: Ints
    time: Ints
    process: Ints
    value: Floats
    outcomes: list[str]
    stages: list[str]
    after: Ints
    game: Ints
    lifted: npt.NDArray[np.bool_]

    def used(self) -> _Course:
        """Without outcomes that never come."""
        some, process = np.unique(self.process, return_inverse=True)
        return _Course(
            self.customer, self.time, process.astype(np.int64), self.value, [self.outcomes[m] for m in some],
            self.stages, np.ascontiguousarray(self.after[some]), np.ascontiguousarray(self.game[some]),
            self.lifted[some],
        )  # fmt: skip


def _course(events: Events, plan: CutPlan, recipe: Any, reader: Any) -> _Course:
    if recipe.stages is None:
        return _plain(events, plan, recipe, reader)
    stages = list(recipe.stages.names)
    S = len(stages)
    last, at = S - 1, np.arange(S)
    resolved = recipe.view == "resolved"
    moves = _boundaries(events, plan.stages if resolved and plan.stages is not None else plan.goal)
    # the stage that was completed; in the last one, which only its own milestone completes again
    process = np.where(moves.stage == last, last, moves.to - 1)
    after = np.minimum(np.maximum(at[:, None] + 1, at), last) * (at[:, None] >= at) + at * (at[:, None] < at)
    if not resolved:
        game = np.where(at[:, None] >= at, at, -1)
        return _Course(
            moves.customer, moves.time, process, moves.value, [f"leaves {name}" for name in stages], stages, after,
            game, np.eye(S, dtype=bool),
        ).used()  # fmt: skip
    goals = _boundaries(events, plan.goal)
    key, goal_key = (np.stack([one.customer, one.time], axis=1) for one in (moves, goals))
    both = np.concatenate([key, goal_key])
    _, place = np.unique(both, axis=0, return_inverse=True)
    place = place.ravel()
    is_goal = np.isin(place[: len(key)], place[len(key) :])
    is_move = np.isin(place[len(key) :], place[: len(key)])
    value_at = dict(zip(place[len(key) :].tolist(), goals.value.tolist(), strict=True))
    value = np.array([value_at.get(one, 0.0) for one in place[: len(key)].tolist()])
    alone = ~is_move
    target = str(recipe.target)
    names = [f"leaves {name}" for name in stages] + [f"leaves {name} by {target}" for name in stages] + [target]
    lifted = np.concatenate([np.eye(S, dtype=bool), np.eye(S, dtype=bool), np.ones((1, S), bool)])
    return _Course(
        np.concatenate([moves.customer, goals.customer[alone]]),
        np.concatenate([moves.time, goals.time[alone]]),
        np.concatenate([np.where(is_goal, S, 0) + process, np.full(int(alone.sum()), 2 * S)]),
        np.concatenate([value, goals.value[alone]]),
        names,
        stages,
        np.concatenate([after, after, at[None, :]]),
        np.concatenate([np.full((S, S), -1), np.zeros((S + 1, S), np.int64)]),
        lifted,
    ).used()


def _plain(events: Events, plan: CutPlan, recipe: Any, reader: Any) -> _Course:
    """Without stages: those that the other outcomes make, then the first and the second of the target."""
    names = [str(name) for name in reader.outcomes.kinds.dictionaries[0].values]
    kinds = reader.outcomes.kinds.codes[:, 0].astype(np.int64)
    who = np.repeat(np.arange(len(events.o_offsets) - 1), np.diff(events.o_offsets))
    name = kinds[events.o_kind] if len(events.o_kind) else np.zeros(0, np.int64)
    had = np.zeros(len(names), np.int64)
    pairs = np.unique(np.stack([name, who], axis=1), axis=0)
    np.add.at(had, pairs[:, 0], 1)
    target = str(recipe.target)
    others = [n for n in range(len(names)) if names[n] != target and had[n] > 0]
    others = sorted(others, key=lambda n: (-had[n], names[n]))[:MOST_OUTCOMES]
    goals = _boundaries(events, plan.goal)
    before = [n for n in others if had[n] > had[names.index(target)]]
    L, M = len(before), len(others) + 1
    S, at = L + 3, np.arange(L + 3)
    after = np.repeat(at[None, :], M, axis=0)
    for m in range(L):
        after[m] = np.where(at <= L, np.maximum(at, m + 1), at)
    after[-1] = np.where(at <= L, L + 1, L + 2)
    lifted = np.zeros((M, S), bool)
    lifted[np.arange(L), np.arange(L)] = True
    lifted[-1, L:] = True
    game = np.full((M, S), -1)
    game[-1] = 0
    process_of = np.full(len(names), -1)
    process_of[others] = np.arange(M - 1)
    process = process_of[name]
    beside = np.flatnonzero(process >= 0)
    stages = ["new", *(f"after {names[n]}" for n in before), f"after {target}", f"after second {target}"]
    return _Course(
        np.concatenate([who[beside], goals.customer]),
        np.concatenate([events.o_time[beside], goals.time]),
        np.concatenate([process[beside], np.full(len(goals.time), M - 1)]),
        np.concatenate([np.zeros(len(beside)), goals.value]),
        [names[n] for n in others] + [target],
        stages,
        after,
        game,
        lifted,
    )


@dataclass(frozen=True, slots=True)
class _Moves:
    """Instants that end something, each once a conversion: int64 arrays, and the value of each."""

    customer: Ints
    time: Ints
    stage: Ints
    to: Ints
    value: Floats


def _boundaries(events: Events, goal: Any) -> _Moves:
    (offsets, time, stage, to, count, value, *_), _ = boundaries_of(events, goal, 1.0)
    customer = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    again = np.repeat(np.arange(len(time)), count)  # several rows at one instant: so many conversions
    first = np.concatenate([[True], again[1:] != again[:-1]]) if len(again) else np.zeros(0, bool)
    return _Moves(customer[again], time[again], stage[again], to[again], np.where(first, value[again], 0.0))


def _channels(tallies: Tallies, plan: CutPlan, codes: Codes, method: str) -> tuple[Ints, Ints, Ints]:
    """Channels, whichever stage their touches are in.

    Returns a row of the players frame for each channel [C], the channel of each kind of touch (-1: in no journey), and
    the rows of each channel by stage [C, S] (-1: none).
    """
    frame = tallies.players
    stages = plan.n_stages if STAGE in frame.columns and plan.stages is not None else 1
    rows = codes.players.reshape(-1, stages)  # by base, as the reader numbers them
    some = np.flatnonzero(rows.max(axis=1, initial=-1) >= 0)
    order = some[np.argsort(np.where(rows[some] >= 0, rows[some], frame.height).min(axis=1, initial=frame.height))]
    if len(order) > MOST_CHANNELS:
        raise ResourceError(
            "too_many_channels",
            f"{method} asks of every channel whether it brings any other: {len(order):,} are too many",
            hint=f"group them into at most {MOST_CHANNELS}",
            found=len(order),
        )
    number = np.full(len(rows), -1)
    number[order] = np.arange(len(order))
    by_stage = rows[order]
    return by_stage.max(axis=1, initial=-1), number[plan.player_of_kind], by_stage


def _rows_of(offsets: Ints, order: Ints) -> Ints:
    """Rows of the groups taken in another order."""
    counts = np.diff(offsets)[order]
    ends = np.cumsum(counts)
    rows: Ints = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(offsets[order] - (ends - counts), counts)
    return rows
