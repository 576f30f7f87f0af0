"""Where an experiment meets the generator: the events of a world, and the truth about it. Nothing else asks synth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from attrib import synth
from attrib.errors import SpecError, brief
from attrib.schemas import CHANNEL, CLUSTER, CONVERSIONS, CUSTOMER, ERROR, KIND, REFERRER, STAGE, TIME
from attrib.spec import JourneysSpec

DEFAULT = "default"  # the generator as it is, without a scenario
STAGED = "five"  # the stages that the generator knows
LOG, PERSONS, EVERYTHING = "log", "persons", "everything"  # what of the events is seen
_LABELS = {LOG: "{}", PERSONS: "{}, persons joined", EVERYTHING: "{}, all seen"}


@dataclass(frozen=True, slots=True)
class Events:
    """The two tables of events that journeys are made of, and the intent of the customers behind their ids."""

    touchpoints: pl.DataFrame
    outcomes: pl.DataFrame
    intents: pl.DataFrame | None = None


def check_scenario(name: str) -> None:
    """Check that a scenario exists.

    Raises
    ------
    SpecError
        ``unknown_scenario``.
    """
    _options(name, None)


def label(scenario: str, seen: str) -> str:
    """Name a world in the results.

    Examples
    --------
    >>> label("dark", "log"), label("dark", "everything"), label("folder/mine.toml", "log")
    ('dark', 'dark, all seen', 'mine')
    """
    return _LABELS[seen].format(Path(scenario).stem if scenario.endswith(".toml") else scenario)


def events(
    scenario: str, customers: int, seed: int, days: int | None = None, seen: str = LOG, *, told: bool = False
) -> Events:
    """Generate the events of some customers of a world.

    Parameters
    ----------
    scenario, customers, seed, days
        Whose events; see :func:`attrib.synth.generate`.
    seen : {"log", "persons", "everything"}
        What the log has of them; the log with all ids of a person joined into one; or all true events.
    told : bool
        Whether to tell the intent of the customers.
    """
    data = synth.generate(customers, seed, threads=1, observed=seen != EVERYTHING, **_options(scenario, days))
    tables = (data.touchpoints, data.outcomes)
    if seen == PERSONS and data.identities is not None:
        person = dict(data.identities.select(CUSTOMER, "person_id").iter_rows())
        tables = tuple(t.with_columns(pl.col(CUSTOMER).replace_strict(person)) for t in tables)  # type: ignore[assignment]
    touchpoints, outcomes = tables
    if outcomes[REFERRER].null_count() < outcomes.height:
        touchpoints, outcomes = _clustered(touchpoints, outcomes)
    if not told:
        return Events(touchpoints, outcomes)
    intents = synth.intents(customers, seed, threads=1, **_options(scenario, days))
    if seen == LOG and data.identities is not None:
        of_ids = data.identities.join(intents.rename({CUSTOMER: "person_id"}), on="person_id")
        intents = of_ids.drop("person_id").sort(CUSTOMER, TIME)
    return Events(touchpoints, outcomes, intents)


def _clustered(touchpoints: pl.DataFrame, outcomes: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Put whom one customer brought, and whom these brought, into one ``cluster``.

    What they do depends on each other: intervals that draw them one by one are too narrow.
    """
    brought = outcomes.filter(pl.col(REFERRER).is_not_null()).unique(CUSTOMER, keep="first", maintain_order=True)
    root = brought.select(CUSTOMER, pl.col(REFERRER).alias(CLUSTER))
    while True:
        above = root.select(pl.col(CUSTOMER).alias(CLUSTER), pl.col(CLUSTER).alias("__above"))
        further = root.join(above, on=CLUSTER, how="left", maintain_order="left")
        if further["__above"].null_count() == further.height:
            break
        root = further.select(CUSTOMER, pl.coalesce("__above", CLUSTER).alias(CLUSTER))
    tables = (table.join(root, on=CUSTOMER, how="left", maintain_order="left") for table in (touchpoints, outcomes))
    touchpoints, outcomes = (table.with_columns(pl.coalesce(CLUSTER, CUSTOMER).alias(CLUSTER)) for table in tables)
    return touchpoints, outcomes


def truth(scenario: str, customers: int, seed: int, journeys: JourneysSpec, days: int | None = None) -> pl.DataFrame:
    """Tell what each channel truly caused, by replaying the same customers without it.

    Parameters
    ----------
    scenario : str
        A preset of the generator, the path of a scenario file, or ``"default"``.
    customers, seed : int
        Whom to replay: many, and not those of the runs.
    journeys : JourneysSpec
        Its target, stages and view say what a conversion is, and who plays.
    days : int, optional
        Length of the data.

    Returns
    -------
    polars.DataFrame
        A row for each player of each game: ``stage`` (null without stages), ``channel`` (null: baseline), and

        - ``increment``: conversions per customer that are lost when the player alone is off, with all that follows
          from its touches; of the baseline, those that remain when every player is off;
        - ``shapley``: the Shapley value of the game "conversions per customer with these players on", of a player;
        - ``increment_se``, ``shapley_se``: their standard errors.

    Raises
    ------
    SpecError
        ``no_truth`` where the generator has none: other stages than those of the preset ``five``.
    """
    if journeys.stages not in (None, STAGED):
        hint = f'take stages = "{STAGED}"'
        raise SpecError("no_truth", f"the truth of stages = {brief(journeys.stages)} is not known", hint=hint)
    resolved = journeys.stages is not None and journeys.view == "resolved"
    found = synth.counterfactual(
        customers, seed, target=str(journeys.target), players="stage_channel" if resolved else "channel", threads=1,
        **_options(scenario, days),
    )  # fmt: skip
    game = found.outcome
    if journeys.stages is not None and not resolved:
        assert found.advances is not None
        game = found.advances
    keys = [STAGE, CHANNEL] if journeys.stages is not None else [CHANNEL]

    def per_customer(name: str, column: str) -> pl.Expr:
        return (pl.col(column) / customers).alias(name)

    removal = game.removal.select(*keys, per_customer("increment", CONVERSIONS), per_customer("increment_se", ERROR))
    values = game.shapley.select(*keys, KIND, per_customer("shapley", CONVERSIONS), per_customer("shapley_se", ERROR))
    both = values.join(removal, on=keys, how="left", nulls_equal=True, maintain_order="left")
    rest = pl.col(KIND) == "baseline"
    stage = pl.col(STAGE).cast(pl.String) if STAGE in keys else pl.lit(None, pl.String).alias(STAGE)
    return both.select(
        stage,
        CHANNEL,
        pl.when(rest).then("shapley").otherwise("increment").alias("increment"),
        pl.when(rest).then("shapley_se").otherwise("increment_se").alias("increment_se"),
        pl.when(rest).then(0.0).otherwise("shapley").alias("shapley"),
        pl.when(rest).then(0.0).otherwise("shapley_se").alias("shapley_se"),
    )


def _options(scenario: str, days: int | None) -> dict[str, Any]:
    length: dict[str, Any] = {} if days is None else {"days": days}
    if scenario == DEFAULT:
        return length
    found = synth.scenario(scenario)
    return {"population": found.population, "days": found.days} | length
