"""From a population to the arrays that kernels take."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from attrib.synth.config import OUTCOMES, WORD_OF_MOUTH, Population
from attrib.synth.later import REFERRAL, REFERRAL_ASK, Later
from attrib.synth.random import process_key
from attrib.synth.records import LINKS, TRAITS, LastingParams, LogParams, Params
from attrib.synth.records import REFERRAL as REFERRAL_CODE

_DAY = timedelta(days=1)


def pack(population: Population, off: frozenset[str], start: datetime, days: int, *, observed: bool = True) -> Params:
    """Arrays for the kernels; a channel that is off keeps its place and reaches nobody.

    Parameters
    ----------
    population : Population
        The market.
    off : frozenset of str
        Channels that reach nobody.
    start : datetime
        Beginning of the data: which month and weekday it is.
    days : int
        Length of the data.
    observed : bool, default True
        False: the log sees all events as they are.

    Returns
    -------
    Params
    """
    channels = population.channels
    names = [channel.name for channel in channels]
    lift = _column(population, "lift")
    on = np.array([name not in off for name in names])
    organic = np.array(population.organic, np.float64)
    if population.later is not None:
        organic[:, REFERRAL_CODE] = 0  # before the first purchase nobody refers, after it `Later` says how often
    keys = [f"channel:{name}" for name in names] + [f"outcome:{name}" for name in OUTCOMES]
    fades = _fades(population)
    links = _links(population, fades)
    return Params(
        exposure=_column(population, "exposure") / 30.0 * on[:, None],
        reaches=np.full(lift.shape, fill_value=True),
        lift=lift,
        traits=_traits(population, fades, links),
        links=links,
        keys=np.array([process_key(key) for key in keys], np.uint64),
        organic=organic,
        word_of_mouth=names.index(WORD_OF_MOUTH) if WORD_OF_MOUTH in names else -1,
        fades=np.array(fades, np.float64),
        season=_seasons(population, start, days),
        week=_week(population, start),
        saturation=float(population.saturation),
        window=float(population.window),
        dormant=float(population.dormant),
        log_hazard=float(population.intent),
        advocates=float(population.advocates),
        enthusiasm=float(population.enthusiasm),
        recruits=float(population.recruits),
        brings=not off & {WORD_OF_MOUTH, REFERRAL},
        median=float(population.revenue[0]),
        spread=float(population.revenue[1]),
        days=float(days),
        boosts=bool(np.any(links["boost"] > 0)),
        wander=float(population.wander),
        wander_days=float(population.wander_days),
        later=_later(population, off),
        log=_log(population, observed=observed),
    )


def _column(population: Population, name: str) -> NDArray[np.float64]:
    return np.array([getattr(channel, name) for channel in population.channels], np.float64)


def _fades(population: Population) -> list[float]:
    """Distinct fading times in days, the population's carry-over first."""
    lifts = [channel.carryover for channel in population.channels if channel.carryover is not None]
    boosts = {effect.days for channel in population.channels for effect in channel.induces}
    boosts |= {effect.days for channel in population.channels for effect in channel.follows}
    return list(dict.fromkeys(map(float, [population.carryover, *lifts, *sorted(boosts)])))


def _traits(population: Population, fades: list[float], links: NDArray[np.void]) -> NDArray[np.void]:
    traits = np.zeros(len(population.channels), TRAITS)
    for name in ("intent", "digital", "clicks", "cost", "wearout", "seen", "consent", "login"):
        traits[name] = [getattr(channel, name) for channel in population.channels]
    for trait, channel, link in zip(traits, population.channels, links, strict=False):
        trait["satisfies"] = math.nan if channel.satisfies is None else channel.satisfies
        trait["drift"] = math.log(channel.drift) / 365.0
        trait["fade"] = fades.index(float(channel.carryover or population.carryover))
        trait["lifts"] = any(x > 0 for x in channel.lift)
        trait["modified"] = channel.wearout > 0 or channel.drift != 1 or bool(np.any(link["pair"] != 1))
        trait["boosts"] = bool(np.any(link["boost"] > 0))
    return traits


def _links(population: Population, fades: list[float]) -> NDArray[np.void]:
    channels = population.channels
    place = {channel.name: at for at, channel in enumerate(channels)}
    links = np.zeros((len(channels) + len(OUTCOMES), len(channels)), LINKS)
    links["pair"] = 1
    for at, channel in enumerate(channels):
        for induced in channel.induces:
            link = links[at, place[induced.channel]]
            link["boost"], link["fade"] = induced.boost, fades.index(float(induced.days))
        for followed in channel.follows:
            link = links[len(channels) + OUTCOMES.index(followed.outcome), at]
            link["boost"], link["fade"] = followed.boost, fades.index(float(followed.days))
    for pair in population.pairs:
        first, second = place[pair.first], place[pair.second]
        links["pair"][second, first] *= pair.factor
        if not pair.ordered:
            links["pair"][first, second] *= pair.factor
    return links


def _seasons(population: Population, start: datetime, days: int) -> NDArray[np.float64]:
    """Factors of channels and outcomes in each month of the data, and the day it ends; without seasons one, endless."""
    twelve = [*(channel.months for channel in population.channels), *[population.months] * len(OUTCOMES)]
    if all(months is None for months in twelve):
        return np.array([[1.0] * len(twelve) + [math.inf]])
    seasons, month, end = [], start, 0.0
    while end < days:
        factors = [1.0 if months is None else float(months[month.month - 1]) for months in twelve]
        month = datetime(month.year + month.month // 12, month.month % 12 + 1, 1)  # noqa: DTZ001
        end = (month - start) / _DAY
        seasons.append([*factors, end])
    seasons[-1][-1] = math.inf
    return np.array(seasons, np.float64)


def _week(population: Population, start: datetime) -> NDArray[np.float64]:
    """Days of market time that have passed by each midnight of a week that begins like the data."""
    if population.week is None:
        return np.empty(0)
    share = np.roll(np.array(population.week, np.float64), -start.weekday())
    passed = np.r_[0.0, np.cumsum(share) * (7.0 / share.sum())]
    passed[-1] = 7.0
    return np.asarray(passed, np.float64)


def _log(population: Population, *, observed: bool) -> LogParams:
    what = population.observation
    partial = any(channel.seen < 1 or (what.refuses > 0 and channel.consent) for channel in population.channels)
    return LogParams(
        on=observed and (partial or what.fragments or what.delay > 0),
        refuses=float(what.refuses),
        delay=float(what.delay),
        devices=float(what.devices),
        linked=float(what.linked),
        cookie_days=float(what.cookie_days),
    )


def _later(population: Population, off: frozenset[str]) -> LastingParams:
    later = population.later or Later()
    asked = 0.0 if REFERRAL_ASK in off else later.asked
    return LastingParams(
        on=population.later is not None,
        contract=later.contract,
        scale=float(later.scale),
        shape=float(later.shape),
        frailty=float(later.frailty),
        loyal=float(later.loyal),
        rate_shape=float(later.repeat[0]),
        rate_days=float(later.repeat[1]),
        drop_a=float(later.dropout[0]),
        drop_b=float(later.dropout[1]),
        felt=float(later.felt),
        mood=float(later.mood),
        swing=float(later.swing),
        keeps=float(later.keeps),
        surveyed=float(later.surveyed),
        refers=float(later.refers),
        delight=float(later.delight),
        asked=math.log(asked / (1 - asked)) if 0 < asked < 1 else math.copysign(math.inf, asked - 0.5),
        ask_bias=float(later.ask_bias),
        ask_every=float(later.ask_every or math.inf),
        ask_lift=float(later.ask_lift),
        ask_memory=float(later.ask_memory),
        untold=float(later.untold),
        others=1.0 / max(1.0, population.enthusiasm),
    )
