"""What passes between the generator and its kernels: a market as arrays, events, one customer's life.

C channels, M = 4 outcomes of the way to advocacy, S = 5 stages. Times are float64 days since the start of the data.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attrib.kernels._jit import jit

M = 4
VISIT, INTENT, PURCHASE, REFERRAL = range(M)
# Codes after those outcomes, only with `Population.later`: an outcome, being asked, the touch of a referral.
CANCEL, ASK, REFERRED = M, M + 1, M + 2
# States of a customer at a date, besides level + LEVELS * (an ask is fresh).
NOT_YET, GONE = -2, -1
LEVELS = 5
LOYALTY, ADVOCACY = 3, 4
DAY_US = 86_400_000_000

# A channel as a record; see `Channel`.
TRAITS = np.dtype(
    [
        ("intent", np.float64),
        ("digital", np.float64),
        ("clicks", np.float64),
        ("cost", np.float64),
        ("satisfies", np.float64),  # nan: a touch changes nothing
        ("wearout", np.float64),
        ("drift", np.float64),  # of the logarithm, a day
        ("seen", np.float64),
        ("fade", np.int64),  # index of the lift's fading time
        ("lifts", np.bool_),  # does a touch move anything?
        ("modified", np.bool_),  # does its lift depend on more than the stage?
        ("boosts", np.bool_),  # does it induce touches?
        ("consent", np.bool_),
        ("login", np.bool_),
    ],
    align=True,
)
# What a touch of a channel, or an outcome, does to (another) channel.
LINKS = np.dtype(
    [
        ("boost", np.float64),  # added to its exposure rate, in multiples of the base
        ("fade", np.int64),  # index of the fading time of that
        ("pair", np.float64),  # factor of its own lift right after a touch of the other; 1: none
    ]
)


class LastingParams(NamedTuple):
    """A `Later` as numbers; see there. Without one, `on` is false and nothing else is read."""

    on: bool
    contract: bool
    scale: float
    shape: float
    frailty: float
    loyal: float
    rate_shape: float
    rate_days: float
    drop_a: float
    drop_b: float
    felt: float
    mood: float
    swing: float
    keeps: float
    surveyed: float
    refers: float
    delight: float
    asked: float  # logit
    ask_bias: float
    ask_every: float  # inf: never
    ask_lift: float
    ask_memory: float
    untold: float
    others: float  # how readily a recruit takes for referrer one who is no advocate, an advocate being 1


class LogParams(NamedTuple):
    """An `Observation` as numbers; see there. If not `on`, all events are seen as they are."""

    on: bool
    refuses: float
    delay: float
    devices: float
    linked: float
    cookie_days: float


class Params(NamedTuple):
    """A population as arrays, in the order of its channels; few of them, since each costs time in every call."""

    exposure: NDArray[np.float64]  # C, S: touches per day
    # C, S: false: touches that come in this stage do not happen, and the channel's others stay where they are.
    # Only up to where `later` begins; exposure 0 takes all touches of a channel away.
    reaches: NDArray[np.bool_]
    lift: NDArray[np.float64]  # C, S
    traits: NDArray[np.void]  # C: see TRAITS
    links: NDArray[np.void]  # K, C: see LINKS
    keys: NDArray[np.uint64]  # C + M
    organic: NDArray[np.float64]  # S, M: per day
    word_of_mouth: int  # index of the channel by which recruits come; -1: without a touch
    fades: NDArray[np.float64]  # F: distinct fading times in days, of lifts and boosts
    season: NDArray[np.float64]  # E, K + 1: factors of the base in each season, and the day it ends (inf: never)
    week: NDArray[np.float64]  # 8: days of market time by the end of each day of a week; empty: even
    saturation: float
    window: float
    dormant: float
    log_hazard: float
    advocates: float
    enthusiasm: float
    recruits: float
    brings: bool  # false where word of mouth is switched off: recruits never come
    median: float
    spread: float
    days: float
    boosts: bool  # does anything induce touches?
    wander: float
    wander_days: float
    later: LastingParams
    log: LogParams


class Events(NamedTuple):
    """Touches and outcomes of consecutive customers, each in order of customer, id and time."""

    customer: NDArray[np.int64]  # the id: see `attrib.synth.observing`
    time: NDArray[np.int64]  # microseconds since the start, whole milliseconds
    channel: NDArray[np.uint8]  # C: the touch of a referral; C + 1: being asked for one
    click: NDArray[np.bool_]
    cost: NDArray[np.float64]
    outcome_customer: NDArray[np.int64]
    outcome_time: NDArray[np.int64]
    outcome: NDArray[np.uint8]
    value: NDArray[np.float64]
    referrer: NDArray[np.int64]  # -1: nobody
    satisfaction: NDArray[np.float64]  # of each touch, nan: not known; empty without `Population.later`

    def cut_to_size(self, touches: int, outcomes: int) -> Events:
        """The first touches and outcomes, without the room behind them (copies: a view would keep it alive)."""
        sizes = [touches] * 5 + [outcomes] * 5 + [min(touches, self.satisfaction.size)]
        columns: tuple[Any, ...] = self
        return Events._make(column[:size].copy() for column, size in zip(columns, sizes, strict=True))

    def without_touches(self) -> Events:
        """The outcomes alone."""
        return self._replace(
            customer=np.empty(0, np.int64),
            time=np.empty(0, np.int64),
            channel=np.empty(0, np.uint8),
            click=np.empty(0, np.bool_),
            cost=np.empty(0),
            satisfaction=np.empty(0),
        )


class Life(NamedTuple):
    """Scratch: the events of one customer, the first ``n`` entries of each array."""

    time: NDArray[np.float64]
    process: NDArray[np.int64]  # channel, or C + outcome (or CANCEL, ASK, REFERRED); -1: not recorded
    draw: NDArray[np.int64]  # index within the process; -1: the touch that came with the referral
    score: NDArray[np.float64]  # satisfaction told with a touch; nan: not told. Set after the first purchase only


@jit
def doubled(a: Any) -> Any:
    """Twice the room, the content kept."""
    b = np.empty(2 * a.size, a.dtype)
    b[: a.size] = a
    return b


@jit
def new_life() -> Life:
    """Room for the events of one customer."""
    return Life(np.empty(256), np.empty(256, np.int64), np.empty(256, np.int64), np.empty(256))
