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
    satisfies: NDArray[np.float64]  # C: mean satisfaction after a touch; nan: a touch changes nothing


class Params(NamedTuple):
    """A population as arrays, in the order of its channels."""

    exposure: NDArray[np.float64]  # C, S: touches per day
    # C, S: false: touches that come in this stage do not happen, and the channel's others stay where they are.
    # Only up to where `later` begins; exposure 0 takes all touches of a channel away.
    reaches: NDArray[np.bool_]
    lift: NDArray[np.float64]  # C, S
    intent: NDArray[np.float64]  # C
    digital: NDArray[np.float64]  # C
    clicks: NDArray[np.float64]  # C
    cost: NDArray[np.float64]  # C
    lifts: NDArray[np.bool_]  # C: does a touch move anything?
    keys: NDArray[np.uint64]  # C + M
    organic: NDArray[np.float64]  # S, M: per day
    word_of_mouth: int  # index of the channel by which recruits come; -1: without a touch
    carryover: float
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
    later: LastingParams


class Events(NamedTuple):
    """Touches and outcomes of consecutive customers, each in order of customer and time."""

    customer: NDArray[np.int64]
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
