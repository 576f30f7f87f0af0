"""Small records beside `Channel` and `Population`: what touches bring about, and what the log sees of it all."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from attrib.errors import SpecError

OUTCOMES = ("visit", "intent", "purchase", "referral")


@dataclass(frozen=True, slots=True)
class Induces:
    """A touch of one channel brings touches of another: an ad makes people search.

    Right after the touch the exposure rate of the other channel is higher by ``boost`` times its base (that of the
    customer's stage, intent and season), and the excess fades to 1/e in ``days``. Boosts add up. One touch brings on
    average ``boost * days`` × the base rate a day further touches, if the base stays. A channel that is off has base
    0, so nothing can induce it.

    Parameters
    ----------
    channel : str
        The other channel. No channel may induce itself, not even by a detour.
    boost : float
        In multiples of that channel's base.
    days : float, default 7
        Days in which the excess fades to 1/e.

    Examples
    --------
    >>> Induces("paid_search", boost=4.0).days
    7.0
    """

    channel: str
    boost: float
    days: float = 7.0

    def __post_init__(self) -> None:
        check(
            self,
            boost=(number(self.boost) and self.boost >= 0, "a number of at least 0"),
            days=(number(self.days) and self.days > 0, "a positive number"),
        )


@dataclass(frozen=True, slots=True)
class Follows:
    """A channel follows what customers do: after a visit, the ads that remind them of it.

    Like `Induces`, but an outcome is the cause; given to the channel that follows.

    Parameters
    ----------
    outcome : {"visit", "intent", "purchase", "referral"}
        The customer's own behaviour.
    boost : float
        How much higher the channel's exposure is right after it, in multiples of its base.
    days : float, default 7
        Days in which the excess fades to 1/e.

    Examples
    --------
    >>> Follows("visit", boost=20.0, days=5.0).outcome
    'visit'
    """

    outcome: str
    boost: float
    days: float = 7.0

    def __post_init__(self) -> None:
        check(
            self,
            outcome=(self.outcome in OUTCOMES, f"one of {', '.join(OUTCOMES)}"),
            boost=(number(self.boost) and self.boost >= 0, "a number of at least 0"),
            days=(number(self.days) and self.days > 0, "a positive number"),
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """Two channels that strengthen each other (synergy) or do the same work (substitution).

    The lift of a touch of ``second`` is multiplied by ``1 + (factor - 1) * exp(-d / c)``, where d is the time since
    the last touch of ``first`` and c the carry-over of ``first``. Unless ``ordered``, the lift of a touch of ``first``
    after one of ``second`` likewise.

    Parameters
    ----------
    first, second : str
        Two channels.
    factor : float
        Above 1: synergy; below 1: substitution; 0: right after the one, the other moves nobody.
    ordered : bool, default False
        True: only second after first (an order effect).

    Examples
    --------
    >>> Pair("display", "paid_search", factor=2.0).ordered
    False
    """

    first: str
    second: str
    factor: float
    ordered: bool = False

    def __post_init__(self) -> None:
        check(
            self,
            second=(self.second != self.first, "two channels; for one alone there is Channel.wearout"),
            factor=(number(self.factor) and self.factor >= 0, "a number of at least 0"),
        )


@dataclass(frozen=True, slots=True)
class Observation:
    """What the log sees of the true events, besides `Channel.seen`, `Channel.consent` and `Channel.login`.

    None of this changes what happens: the true events (``generate(observed=False)``) are those of any other
    observation.

    Parameters
    ----------
    refuses : float, default 0
        Share of the customers whose touches in channels with `Channel.consent` are not logged.
    delay : float, default 0
        Mean days from the decision, which is the true event, to the recorded purchase; exponential. What would be
        recorded after the end of the data is not.
    devices : float, default 1
        Mean number of devices a customer, 1 to 4 (one, and each of three more with the same chance). A touch is made on
        any of them alike; so are visits and intents.
    linked : float, default 1
        Share of the devices on which the customer is logged in. Touches, visits and intents on the others are logged
        under an id of the device, as if of another customer. Purchases, referrals and cancellations, and touches of
        channels with `Channel.login`, always bear the customer's own id.
    cookie_days : float, default infinite
        Mean days after which such a device gets a new id; exponential, up to fifteen ids a device.

    Examples
    --------
    >>> Observation(devices=2.0, linked=0.5).refuses
    0.0
    """

    refuses: float = 0.0
    delay: float = 0.0
    devices: float = 1.0
    linked: float = 1.0
    cookie_days: float = math.inf

    def __post_init__(self) -> None:
        check(
            self,
            refuses=(number(self.refuses) and 0 <= self.refuses <= 1, "a share from 0 to 1"),
            delay=(number(self.delay) and self.delay >= 0, "a number of at least 0"),
            devices=(number(self.devices) and 1 <= self.devices <= 4, "a number from 1 to 4"),
            linked=(number(self.linked) and 0 <= self.linked <= 1, "a share from 0 to 1"),
            cookie_days=(not math.isnan(self.cookie_days) and self.cookie_days > 0, "a positive number"),
        )

    @property
    def fragments(self) -> bool:
        """Whether a customer can have several ids."""
        return self.linked < 1


def number(x: Any) -> bool:
    """Whether something is a finite number."""
    return isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x)


def check(record: Any, **rules: tuple[bool, str]) -> None:
    """Raise for the first field of a record that is not what it must be."""
    kind = type(record).__name__
    named = [str(getattr(record, field.name)) for field in fields(record) if field.type == "str"]
    for name, (right, wanted) in rules.items():
        if not right:
            raise SpecError(
                "bad_population",
                f"{kind}{f' of {named[0]!r}' if named else ''}: {name} is {getattr(record, name)!r}",
                hint=f"give {wanted}",
                parameter=name,
            )
