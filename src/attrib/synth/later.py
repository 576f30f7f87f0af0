"""How simulated customers live on after their first purchase: the parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from attrib.errors import SpecError, brief

CANCEL = "cancel"  # the outcome that ends a contract
REFERRAL, REFERRAL_ASK = (
    "referral",
    "referral_ask",
)  # channels: the touch that brings a recruit, and being asked to refer


@dataclass(frozen=True, slots=True)
class Later:
    """What customers do after the first purchase, until they leave: buy again, be content or not, refer, be asked to.

    Up to the first purchase nothing changes, except that recruits come by the channel ``referral`` (in place of
    ``word_of_mouth``), from all sorts of customers, and that nobody refers before they have bought. From then
    on touches arrive at the channels' exposure of the stage loyalty, and lift nothing; visits and intents at the
    organic hazards of that stage. Levels of satisfaction are -1, -0.5, 0, 0.5 and 1. Everything ends when the customer
    leaves.

    Parameters
    ----------
    contract : bool, default True
        True: customers leave at the hazard of a Weibull distribution, seen as the outcome ``cancel``. False: they may
        silently leave after each repeat purchase, with a chance of their own (BG/NBD; Fader, Hardie & Lee 2005).
    scale, shape : float
        Contract: days after which 1/e of the customers of satisfaction 0 and frailty 1 are left, and the shape: 1 is
        the exponential distribution, below 1 the hazard falls with tenure.
    frailty : float
        Contract: variance of the gamma-distributed factor (mean 1) of a customer's hazard; 0: none.
    repeat : tuple of two floats
        Repeat purchases a day: gamma distribution over customers, its shape and its inverse scale in days (r and
        alpha of BG/NBD).
    dropout : tuple of two floats
        No contract: chance to leave at a repeat purchase: beta distribution over customers (a and b of BG/NBD).
    keeps : float
        Satisfaction s multiplies the hazard of leaving by ``exp(-keeps * s)``; a chance of dropout p becomes
        ``1 - (1 - p) ** factor``.
    loyal : float
        Advocates' factor of that hazard.
    felt : float
        Share of the touches of channels with `Channel.satisfies` that redraw the satisfaction.
    mood, swing : float
        Standard deviations of the satisfaction drawn, between customers and within: the level nearest to a normal
        number around ``satisfies`` plus the customer's mood; after the first purchase around the mood.
    surveyed : float
        Share of the touches felt that tell the new level in the column ``satisfaction``.
    refers : float
        Referrals a day of a customer of satisfaction 0 who is no advocate; advocates: times `Population.enthusiasm`.
    delight : float
        Satisfaction s multiplies it by ``exp(delight * s)``.
    asked : float
        Chance of a customer to be asked by a campaign: a touch of the channel ``referral_ask``.
    ask_bias : float
        How much campaigns prefer those who would refer anyway: log-odds added for each unit of satisfaction, and for
        advocates. 0: whom they ask is random.
    ask_every : int
        Campaigns are at the beginning of each so-manieth day of the data; 0: never.
    ask_lift, ask_memory : float
        While an ask is fresh, the hazard of referring is ``1 + ask_lift`` times as high; it stays fresh for an
        exponential time of mean `ask_memory` days.
    untold : float
        Share of the recruits whose referral shows in no touch, only in ``referrer_id``.

    References
    ----------
    Fader, P. S., Hardie, B. G. S., & Lee, K. L. (2005). "Counting your customers" the easy way: an alternative to the
    Pareto/NBD model. Marketing Science, 24(2), 275-284.

    Examples
    --------
    >>> from attrib.synth import Population, generate
    >>> data = generate(500, population=Population(later=Later(contract=True)))
    >>> sorted(data.outcomes["outcome"].unique())
    ['cancel', 'intent', 'purchase', 'referral', 'visit']
    """

    contract: bool = True
    scale: float = 240.0
    shape: float = 0.8
    frailty: float = 0.5
    repeat: tuple[float, float] = (1.2, 50.0)
    dropout: tuple[float, float] = (0.8, 2.4)
    keeps: float = 0.8
    loyal: float = 0.6
    felt: float = 0.7
    mood: float = 0.4
    swing: float = 0.4
    surveyed: float = 0.6
    refers: float = 0.001
    delight: float = 0.8
    asked: float = 0.3
    ask_bias: float = 0.0
    ask_every: int = 30
    ask_lift: float = 3.0
    ask_memory: float = 14.0
    untold: float = 0.15

    def __post_init__(self) -> None:
        shares = ("felt", "surveyed", "asked", "untold")
        positive = ("scale", "shape", "ask_memory")
        signed = ("keeps", "delight", "ask_bias")
        wanted = {
            "contract": (isinstance(self.contract, bool), "True or False"),
            "ask_every": (isinstance(self.ask_every, int) and self.ask_every >= 0, "a whole number of days from 0"),
        }
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if name in ("repeat", "dropout"):
                wanted[name] = (len(value) == 2 and all(_finite(x) and x > 0 for x in value), "two positive numbers")
            elif name in shares:
                wanted[name] = (_finite(value) and 0 <= value <= 1, "a share from 0 to 1")
            elif name in positive:
                wanted[name] = (_finite(value) and value > 0, "a positive number")
            elif name in signed:
                wanted[name] = (_finite(value) and abs(value) <= 20, "a number from -20 to 20")
            elif name not in wanted:
                wanted[name] = (_finite(value) and value >= 0, "a number of at least 0")
        for name, (right, hint) in wanted.items():
            if not right:
                value = getattr(self, name)
                raise SpecError(
                    "bad_population", f"later.{name} is {brief(value)}", hint=f"give {hint}", parameter=name
                )


def _finite(x: object) -> bool:
    return isinstance(x, (int, float)) and math.isfinite(x)
