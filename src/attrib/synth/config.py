"""What the simulated market is like: the parameters of the generator, as frozen records.

Five stages (awareness, consideration, decision, loyalty, advocacy), left by the milestones visit,
intent, purchase, second purchase and referral: those of the preset ``five``.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, field, fields

from attrib.errors import SpecError, brief
from attrib.synth.later import REFERRAL, REFERRAL_ASK, Later
from attrib.synth.mechanisms import OUTCOMES as _OUTCOMES
from attrib.synth.mechanisms import Follows, Induces, Observation, Pair, number

STAGES = ("awareness", "consideration", "decision", "loyalty", "advocacy")
OUTCOMES = _OUTCOMES
WORD_OF_MOUTH = "word_of_mouth"

PerStage = tuple[float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel: whom it reaches, and what a touch does.

    Parameters
    ----------
    name : str
        Name in the column ``channel``. Random numbers are keyed by it, so adding, removing or
        reordering channels leaves the draws of the others alone.
    interaction : str
        What a touch is: ``impression``, ``visit``, ``call``, ``store`` or ``click``.
    exposure : tuple of five floats
        Expected touches in 30 days, per stage, for a customer of average intent.
    lift : tuple of five floats
        What a touch adds to the hazard of each stage's milestone, in multiples of the organic
        hazard, fading with `Population.carryover` days. All 0: a null channel.
    intent : float, default 0
        How strongly the channel reaches those who would buy anyway (confounding): the exposure is
        multiplied by ``exp(intent * z)``, z the customer's standard-normal intent.
    digital : float, default 0
        The same for the customer's digital affinity; negative for offline channels.
    clicks : float, default 0
        Share of the touches that are recorded as ``click`` instead of `interaction`.
    cost : float, default 0
        Mean cost of a touch.
    satisfies : float, optional
        Satisfaction (-1 ... 1) around which a touch that a customer feels redraws theirs; None: a touch leaves it
        as it is. Read with `Population.later` alone.
    carryover : float, optional
        Days after which this channel's lift has faded to 1/e; None: those of `Population.carryover`.
    wearout : float, default 0
        How a customer tires of the channel: the lift of a touch is divided by ``1 + wearout * stock``, where the stock
        counts the customer's earlier touches of it, each faded by the carry-over (ad-stock).
    drift : float, default 1
        How the effect changes: the lift is multiplied by ``drift ** years`` since the start of the data; 0.5: it
        halves within a year.
    months : tuple of twelve floats, optional
        Factors of the exposure, January first.
    induces : tuple of Induces
        Channels of which a touch brings further touches.
    follows : tuple of Follows
        Outcomes after which this channel reaches the customer more often.
    seen : float, default 1
        Share of the touches that reach the log. This and the next two change the log alone, never what happens.
    consent : bool, default False
        True: touches are logged only of customers who consent, see `Observation.refuses`.
    login : bool, default False
        True: touches are always logged under the customer's own id, see `Observation.linked`.

    Examples
    --------
    >>> banner = Channel("banner", "impression", exposure=(1, 1, 0, 0, 0), lift=(2, 0, 0, 0, 0))
    >>> banner.cost
    0.0
    """

    name: str
    interaction: str
    exposure: PerStage
    lift: PerStage
    intent: float = 0.0
    digital: float = 0.0
    clicks: float = 0.0
    cost: float = 0.0
    satisfies: float | None = None
    carryover: float | None = None
    wearout: float = 0.0
    drift: float = 1.0
    months: tuple[float, ...] | None = None
    induces: tuple[Induces, ...] = ()
    follows: tuple[Follows, ...] = ()
    seen: float = 1.0
    consent: bool = False
    login: bool = False

    def __post_init__(self) -> None:
        for label in ("exposure", "lift"):
            numbers = getattr(self, label)
            if len(numbers) != len(STAGES) or any(not math.isfinite(x) or x < 0 for x in numbers):
                raise SpecError(
                    "bad_channel",
                    f"channel {brief(self.name)}: {label} is {brief(numbers)}",
                    hint=f"give {len(STAGES)} finite numbers of at least 0, one per stage",
                    channel=self.name,
                )
        if not self.name or not 0 <= self.clicks <= 1 or not 0 <= self.cost < math.inf:
            raise SpecError(
                "bad_channel",
                f"channel {brief(self.name)}: clicks is {brief(self.clicks)}, cost is {brief(self.cost)}",
                hint="give a name, a share of clicks between 0 and 1 and a cost of at least 0",
                channel=self.name,
            )
        signed = {name: getattr(self, name) for name in ("intent", "digital")}
        rules = {
            **{name: (number(x) and abs(x) <= 20, "a number from -20 to 20") for name, x in signed.items()},
            "satisfies": (self.satisfies is None or -1 <= self.satisfies <= 1, "a number from -1 to 1, or None"),
            "carryover": (
                self.carryover is None or (number(self.carryover) and self.carryover > 0),
                "a positive number of days, or None",
            ),
            "wearout": (number(self.wearout) and self.wearout >= 0, "a number of at least 0"),
            "drift": (number(self.drift) and 1e-3 <= self.drift <= 1e3, "a factor from 0.001 to 1000"),
            "months": (_cycle(self.months, 12), "twelve numbers of at least 0, not all 0, or None"),
            "seen": (number(self.seen) and 0 <= self.seen <= 1, "a share from 0 to 1"),
            "induces": (_all(self.induces, Induces), "a tuple of attrib.synth.Induces"),
            "follows": (_all(self.follows, Follows), "a tuple of attrib.synth.Follows"),
        }
        for name, (right, wanted) in rules.items():
            if not right:
                raise SpecError(
                    "bad_channel",
                    f"channel {brief(self.name)}: {name} is {brief(getattr(self, name))}",
                    hint=f"give {wanted}",
                    channel=self.name,
                )


def _cycle(factors: tuple[float, ...] | None, size: int) -> bool:
    return factors is None or (len(factors) == size and all(number(x) and x >= 0 for x in factors) and sum(factors) > 0)


def _all(records: tuple[object, ...], kind: type) -> bool:
    return isinstance(records, tuple) and all(isinstance(record, kind) for record in records)


# Upper-funnel channels lift awareness, search and comparison the decision, email and app loyalty.
# `direct` reaches the intent on its way to buying and moves nobody: last-touch credits it all the same.
CHANNELS = (
    Channel(
        "paid_search",
        "click",
        (0.12, 0.4, 0.7, 0.04, 0.02),
        (0.5, 1.5, 2.5, 0.5, 0.0),
        intent=0.5,
        digital=0.3,
        cost=0.9,
    ),
    Channel(
        "organic_search",
        "visit",
        (0.12, 0.4, 0.5, 0.05, 0.03),
        (0.5, 1.5, 1.0, 0.3, 0.0),
        intent=0.5,
        digital=0.3,
    ),
    Channel(
        "display",
        "impression",
        (0.9, 0.5, 0.4, 0.06, 0.03),
        (2.5, 0.5, 0.1, 0.0, 0.0),
        digital=0.3,
        clicks=0.06,
        cost=0.004,
    ),
    Channel(
        "social",
        "impression",
        (0.8, 0.4, 0.3, 0.1, 0.12),
        (2.5, 1.0, 0.2, 0.3, 1.5),
        intent=-0.1,
        digital=0.4,
        clicks=0.1,
        cost=0.006,
    ),
    Channel(
        "email",
        "click",
        (0.04, 0.2, 0.3, 0.25, 0.2),
        (0.3, 1.0, 1.5, 4.0, 1.5),
        intent=0.2,
        digital=0.1,
        cost=0.002,
        satisfies=0.1,
    ),
    Channel(
        "affiliate",
        "click",
        (0.06, 0.2, 0.3, 0.03, 0.01),
        (1.0, 1.0, 1.0, 0.5, 0.0),
        intent=0.3,
        digital=0.2,
        cost=0.6,
    ),
    Channel(
        "comparison_site",
        "click",
        (0.02, 0.2, 0.4, 0.01, 0.01),
        (0.2, 1.5, 3.0, 0.2, 0.0),
        intent=0.4,
        digital=0.2,
        cost=0.8,
    ),
    Channel("direct", "visit", (0.08, 0.3, 0.5, 0.12, 0.1), (0.0, 0.0, 0.0, 0.0, 0.0), intent=0.7, digital=0.1),
    Channel(
        "store",
        "store",
        (0.12, 0.12, 0.2, 0.06, 0.04),
        (2.0, 2.0, 3.0, 1.5, 0.5),
        intent=0.2,
        digital=-0.6,
        cost=1.5,
        satisfies=0.5,
    ),
    Channel(
        "call_centre",
        "call",
        (0.02, 0.08, 0.12, 0.05, 0.02),
        (0.5, 1.5, 3.0, 2.0, 0.5),
        intent=0.2,
        digital=-0.4,
        cost=4.0,
        satisfies=-0.4,
    ),
    Channel(
        "app",
        "visit",
        (0.0, 0.06, 0.1, 0.22, 0.22),
        (0.0, 1.0, 1.5, 4.0, 1.5),
        intent=0.3,
        digital=0.4,
        cost=0.01,
        satisfies=0.3,
    ),
    Channel(WORD_OF_MOUTH, "visit", (0.1, 0.08, 0.05, 0.02, 0.03), (4.0, 3.0, 2.0, 1.0, 0.5)),
)


@dataclass(frozen=True, slots=True)
class Population:
    """The market: channels, organic hazards and the customers' latent traits.

    Parameters
    ----------
    channels : tuple of Channel
        At most 200, names distinct.
    organic : tuple of five tuples of four floats
        Hazard per day, without any touch, of each outcome (visit, intent, purchase, referral) in each
        stage. A stage's own milestone is what touches lift; the others are competing (a purchase
        from the first stage skips two stages; a visit in a later one is merely recorded).
    carryover : float
        Days after which the lift of a touch has faded to 1/e.
    saturation : float
        Ceiling of the accumulated lift: a touch adds ``lift * (1 - accumulated / saturation)``.
    window : float
        Mean days for which a customer is in the market; exponential. Afterwards, unless they have
        bought, exposures and hazards are multiplied by `dormant`.
    dormant : float
        That factor.
    intent : float
        Standard deviation of log-hazards due to latent intent.
    advocates : float
        Share of customers who like to recommend: they buy more readily and refer `enthusiasm` times as often.
    enthusiasm : float
        That factor.
    recruits : float
        Share of customer numbers that come into being only through an earlier customer's referral
        (at most 0.5). The others exist anyway; a recruit whose referrer never refers has no events.
    revenue : tuple of two floats
        Median of a purchase and the standard deviation of its logarithm; half of that variance lies
        between customers.
    later : Later, optional
        How customers live on after the first purchase: satisfied or not, they buy again, refer others and leave.
        Without one they buy and refer at the organic hazards of the last two stages, and never leave. With one, of the
        mechanisms below only `week` and `observation` go on after the first purchase.
    wander : float, default 0
        Share of the variance of latent intent that does not last: that part is redrawn at exponential times, so that
        the same customer is now in the mood to buy, now not.
    wander_days : float, default 30
        Mean days between such redraws.
    months : tuple of twelve floats, optional
        Factors of all organic hazards, January first: demand through the year.
    week : tuple of seven floats, optional
        How busy each weekday is, Monday first, in any unit: time itself runs faster on busy days, for touches and
        outcomes alike, and each week takes as long as ever. The days after the last whole week are even.
    pairs : tuple of Pair
        Synergy, substitution and order effects between two channels.
    observation : Observation
        What the log sees.

    Examples
    --------
    >>> Population(carryover=3.0).carryover
    3.0
    """

    channels: tuple[Channel, ...] = CHANNELS
    organic: tuple[tuple[float, float, float, float], ...] = (
        (0.02, 0.0006, 0.0006, 0.0),
        (0.01, 0.024, 0.0015, 0.0),
        (0.01, 0.004, 0.024, 0.0),
        (0.005, 0.001, 0.003, 0.0002),
        (0.006, 0.001, 0.004, 0.0010),
    )
    carryover: float = 7.0
    saturation: float = 12.0
    window: float = 50.0
    dormant: float = 0.06
    intent: float = 0.6
    advocates: float = 0.15
    enthusiasm: float = 5.0
    recruits: float = 0.15
    revenue: tuple[float, float] = (48.0, 0.7)
    later: Later | None = None
    wander: float = 0.0
    wander_days: float = 30.0
    months: tuple[float, ...] | None = None
    week: tuple[float, ...] | None = None
    pairs: tuple[Pair, ...] = ()
    observation: Observation = field(default_factory=Observation)

    def __post_init__(self) -> None:
        names = [channel.name for channel in self.channels]
        if len(set(names)) != len(names) or not 0 < len(names) <= 200:
            raise SpecError(
                "bad_population",
                f"there are {len(names)} channels with {len(set(names))} distinct names",
                hint="give 1 to 200 channels with distinct names",
            )
        if len(self.organic) != len(STAGES) or any(len(row) != len(OUTCOMES) for row in self.organic):
            raise SpecError(
                "bad_population",
                "organic has the wrong shape",
                hint=f"give {len(STAGES)} rows (stages) of {len(OUTCOMES)} hazards ({', '.join(OUTCOMES)})",
            )
        rules = {
            "organic": all(0 <= x < math.inf for row in self.organic for x in row),
            "carryover": 0 < self.carryover < math.inf,
            "saturation": 0 < self.saturation < math.inf,
            "window": 0 < self.window < math.inf,
            "dormant": 0 <= self.dormant <= 1,
            "intent": 0 <= self.intent <= 3,
            "advocates": 0 <= self.advocates <= 1,
            "enthusiasm": 0 <= self.enthusiasm < math.inf,
            "recruits": 0 <= self.recruits <= 0.5,
            "revenue": self.revenue[0] > 0 and self.revenue[1] >= 0,
            "later": self.later is None
            or (isinstance(self.later, Later) and not {REFERRAL, REFERRAL_ASK} & set(names)),
            "wander": number(self.wander) and 0 <= self.wander <= 1,
            "wander_days": number(self.wander_days) and self.wander_days > 0,
            "months": _cycle(self.months, 12),
            "week": _cycle(self.week, 7),
            "pairs": _all(self.pairs, Pair),
            "observation": isinstance(self.observation, Observation),
        }
        for each in fields(self):
            if not rules.get(each.name, True):
                raise SpecError(
                    "bad_population",
                    f"{each.name} is {getattr(self, each.name)!r}",
                    hint="see the docstring of attrib.synth.Population for its range",
                    parameter=each.name,
                )
        self._check_relations(names)

    def _check_relations(self, names: list[str]) -> None:
        """Channels that others name must be there, and none may induce itself."""
        for kind, effects in (("induces", "channel"), ("follows", "outcome")):
            for channel in self.channels:
                causes = [getattr(effect, effects) for effect in getattr(channel, kind)]
                if len(set(causes)) < len(causes):
                    raise SpecError(
                        "bad_population",
                        f"channel {brief(channel.name)} {kind} the same twice: {', '.join(causes)}",
                        hint="give one boost for each",
                        parameter=kind,
                    )
        named = {"Pair": [name for pair in self.pairs for name in (pair.first, pair.second)]}
        named["Induces"] = [effect.channel for channel in self.channels for effect in channel.induces]
        for kind, mentioned in named.items():
            for name in mentioned:
                if name not in names:
                    near = difflib.get_close_matches(name, names, n=1)
                    raise SpecError(
                        "bad_population",
                        f"{kind} names the channel {brief(name)}, which there is not",
                        hint=f"did you mean {near[0]!r}?" if near else f"channels: {', '.join(names)}",
                        parameter=kind,
                    )
        followers = {channel.name: {effect.channel for effect in channel.induces} for channel in self.channels}
        for name in names:
            reached: set[str] = set()
            ahead = set(followers[name])
            while ahead:
                reached |= ahead
                ahead = {further for one in ahead for further in followers[one]} - reached
            if name in reached:
                raise SpecError(
                    "bad_population",
                    f"channel {brief(name)} induces itself, directly or by others: its touches could grow without end",
                    hint="break the circle",
                    parameter="Induces",
                )
