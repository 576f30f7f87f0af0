"""Where an experiment meets the generator: the events of a world, and the truth about it. Nothing else asks synth.

The truth table has a row for each player of each game, and one without a player (``baseline``):

- ``stage`` (null without stages), ``channel`` (null: baseline);
- ``increment``: conversions per customer that are lost when the channel alone is switched off, with the touches it
  would have caused; of the baseline, those that remain when every channel is off;
- ``shapley``: the Shapley value of the game "conversions per customer with these channels on", less the baseline;
- ``increment_se``, ``shapley_se``: their Monte-Carlo errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from attrib import synth
from attrib.errors import SpecError
from attrib.faults import nearest
from attrib.schemas import CHANNEL, CUSTOMER, OUTCOME, STAGE, TIME
from attrib.spec import JourneysSpec

DEFAULT = "default"  # the generator as it is, without a scenario
ORDERS = 8  # random orders of the channels, each taken forwards and backwards
BLOCKS = 20  # of customers, for the errors of increments


@dataclass(frozen=True, slots=True)
class Events:
    """The two tables of events that journeys are made of."""

    touchpoints: pl.DataFrame
    outcomes: pl.DataFrame


def check_scenario(name: str) -> None:
    """Check that a scenario exists.

    Raises
    ------
    SpecError
        ``unknown_scenario``.
    """
    if name == DEFAULT:
        return
    if not hasattr(synth, "scenario"):
        raise SpecError(
            "unknown_scenario", f"scenario {name!r} is not known{nearest(name, [DEFAULT])}", hint=f"there is {DEFAULT}"
        )
    synth.scenario(name)


def events(scenario: str, customers: int, seed: int, days: int | None = None) -> Events:
    """Generate the events of some customers of a world."""
    data = synth.generate(customers, seed, threads=1, **_options(scenario, days))
    return Events(data.touchpoints, data.outcomes)


def truth(scenario: str, customers: int, seed: int, journeys: JourneysSpec, days: int | None = None) -> pl.DataFrame:
    """Tell what each channel truly caused, by replaying the same customers without it.

    Parameters
    ----------
    scenario : str
        A preset of the generator, or ``"default"``.
    customers, seed : int
        Whom to replay: many, and not those of the runs.
    journeys : JourneysSpec
        Its target, stages and view say what a conversion is.
    days : int, optional
        Length of the data.

    Returns
    -------
    polars.DataFrame
        See above.
    """
    return of_games(_conversions(scenario, customers, seed, journeys, days), _channels(scenario), seed)


def of_games(
    worth: Callable[[frozenset[str]], dict[str | None, np.ndarray[Any, np.dtype[np.float64]]]],
    channels: tuple[str, ...],
    seed: int,
    orders: int = ORDERS,
) -> pl.DataFrame:
    """Removal increments and Shapley values of games that are given by their worth.

    Parameters
    ----------
    worth : callable
        Takes the channels that are on; returns conversions per customer of each game (by its stage), shape (blocks,):
        one number a block of customers.
    channels : tuple of str
    seed : int
        Of the orders in which channels join.
    orders : int
        How many; each is taken forwards and backwards, which cancels much of their noise.
    """
    random = np.random.Generator(np.random.Philox(key=[seed % 2**63, 1]))
    whole, none = worth(frozenset(channels)), worth(frozenset())
    added: dict[str, list[dict[str | None, float]]] = {channel: [] for channel in channels}
    for _ in range(orders):
        order = [channels[place] for place in random.permutation(len(channels))]
        both: dict[str, list[dict[str | None, float]]] = {channel: [] for channel in channels}
        for way in (order, order[::-1]):
            present: frozenset[str] = frozenset()
            before = none
            for channel in way:
                present |= {channel}
                after = worth(present)
                both[channel].append({game: float((after[game] - before[game]).mean()) for game in whole})
                before = after
        for channel, gains in both.items():
            added[channel].append({game: float(np.mean([gain[game] for gain in gains])) for game in whole})
    rows: list[tuple[Any, ...]] = []
    for game, total in whole.items():
        for channel in channels:
            lost = total - worth(frozenset(channels) - {channel})[game]
            gained = np.array([gain[game] for gain in added[channel]])
            rows.append((game, channel, *_mean(lost), *_mean(gained)))
        rows.append((game, None, *_mean(none[game]), 0.0, 0.0))
    columns = {STAGE: pl.String, CHANNEL: pl.String} | dict.fromkeys(
        ("increment", "increment_se", "shapley", "shapley_se"), pl.Float64
    )
    return pl.DataFrame(rows, schema=columns, orient="row")


def _mean(values: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
    n = len(values)
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0


def _options(scenario: str, days: int | None) -> dict[str, Any]:
    length: dict[str, Any] = {} if days is None else {"days": days}
    if scenario == DEFAULT:
        return {"population": synth.Population()} | length
    found = synth.scenario(scenario)  # type: ignore[attr-defined]
    return {"population": found.population, "days": found.days} | length


def _channels(scenario: str) -> tuple[str, ...]:
    return tuple(channel.name for channel in _options(scenario, None)["population"].channels)


def _conversions(
    scenario: str, customers: int, seed: int, journeys: JourneysSpec, days: int | None
) -> Callable[[frozenset[str]], dict[str | None, np.ndarray[Any, np.dtype[np.float64]]]]:
    """Count the conversions of each game with only some channels on, by block of customers."""
    if journeys.stages is not None and journeys.view == "resolved":
        raise SpecError("no_truth", "the truth of the view resolved is not known", hint='take view = "advance"')
    everybody = frozenset(_channels(scenario))
    options = _options(scenario, days)
    size = np.bincount(np.arange(customers) * BLOCKS // customers, minlength=BLOCKS)

    @cache
    def worth(on: frozenset[str]) -> dict[str | None, np.ndarray[Any, np.dtype[np.float64]]]:
        data = synth.generate(customers, seed, threads=1, off=everybody - on, **options)
        found = {}
        for game, who in _converting(data, journeys).items():
            found[game] = np.bincount(who * BLOCKS // customers, minlength=BLOCKS) / size
        return found

    return worth


def _converting(data: synth.Synthetic, journeys: JourneysSpec) -> dict[str | None, np.ndarray[Any, np.dtype[np.int64]]]:
    """Customers of the conversions of each game, one entry a conversion."""
    if journeys.stages is None:
        rows = data.outcomes.filter(pl.col(OUTCOME) == journeys.target).unique([CUSTOMER, TIME])
        return {None: rows[CUSTOMER].to_numpy()}
    from attrib.journeys import Journeys

    # journeys need a touch: one of a customer who is not among those that are counted
    stranger = data.touchpoints.clear(1).with_columns(
        pl.lit(-1, pl.Int64).alias(CUSTOMER), pl.lit(synth.generator.START).alias(TIME), pl.lit("-").alias(CHANNEL)
    )
    made = Journeys.from_events(
        stranger, data.outcomes, target=journeys.target, stages=str(journeys.stages), view=journeys.view
    ).to_frame()
    won = made.filter(pl.col("conversions") > 0)
    stages = made[STAGE].unique(maintain_order=True).to_list()
    counted = {}
    for stage in stages:
        rows = won.filter(pl.col(STAGE) == stage)
        counted[stage] = np.repeat(rows[CUSTOMER].to_numpy(), rows["conversions"].to_numpy())
    return counted
