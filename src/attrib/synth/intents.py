"""What brings both touches and outcomes, and no log has: the intent of generated customers."""

from __future__ import annotations

import os
from datetime import datetime

import polars as pl

from attrib.synth.config import Population
from attrib.synth.generator import START, Ids, Recipe, check_counts, ordered
from attrib.synth.scenarios import Scenario

_BATCH = 100_000


def intents(
    customers: int = 10_000,
    seed: int = 0,
    *,
    start: datetime = START,
    days: int | None = None,
    ids: Ids = "integer",
    population: Population | None = None,
    scenario: Scenario | str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> pl.DataFrame:
    """Latent traits and intent of the customers that `generate` makes of the same arguments.

    For those who ask what a method would find if it knew what it has to guess.

    Parameters
    ----------
    customers, seed, start, days, ids, population, scenario, threads
        As in `generate`.

    Returns
    -------
    polars.DataFrame
        A row for each customer and time since when it holds, in this order, the first at the arrival: ``customer_id``
        (the person's own id, where there are several), ``timestamp``, ``intent`` and ``digital`` (the z of
        `Channel.intent` and `Channel.digital`, in standard deviations), ``in_market`` (within `Population.window`;
        says nothing after the first purchase), ``advocate``.

    Raises
    ------
    SpecError
        As `generate`.

    Examples
    --------
    >>> intents(100, scenario="retargeting").columns
    ['customer_id', 'timestamp', 'intent', 'digital', 'in_market', 'advocate']
    """
    check_counts(customers, threads=threads)
    recipe = Recipe.of(seed, population, scenario, days, start=start, ids=ids)
    params = recipe.params()

    def work(first: int, count: int) -> pl.DataFrame:
        from attrib.synth.states import states

        found = states(recipe.key(), first, count, params)
        return pl.DataFrame([
            recipe.ids_of("customer_id", found.customer),
            recipe.timestamp(found.time),
            pl.Series("intent", found.intent),
            pl.Series("digital", found.digital),
            pl.Series("in_market", found.active),
            pl.Series("advocate", found.advocate),
        ])  # fmt: skip

    frames = pl.concat(ordered(work, max(customers, 1), _BATCH, threads), rechunk=True)
    return frames if customers else frames.clear()
