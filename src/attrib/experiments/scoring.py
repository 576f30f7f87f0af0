"""One unit of work, from data to scores: the only place where an experiment computes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.crediting import credit, filled_buckets
from attrib.engines.local import LocalEngine
from attrib.errors import AttribError
from attrib.experiments import metrics, worlds
from attrib.experiments.holdout import Half, foretell
from attrib.experiments.plan import PER_CHANNEL, RANDOM, Experiment, Unit, inline
from attrib.experiments.resamples import halves, halves_of_paths
from attrib.journeys import Journeys
from attrib.methods.base import Method, cells_of, sums_for
from attrib.methods.rules import Linear
from attrib.schemas import CHANNEL, CONVERSIONS, COST, KIND, SHARE, STAGE
from attrib.spec import JourneysSpec, StageColumnSpec
from attrib.stages import StageColumn

Floats = npt.NDArray[np.float64]
Tables = dict[str, list[dict[str, Any]]]  # rows, by table: JSON knows them
_RANDOM_CREDIT, _HALVES = 2, 3  # purposes of randomness, beside those of worlds
_ENGINE = LocalEngine(threads=1)


@dataclass(frozen=True)
class Data:
    """What a run works on: the tables of events, or a table of paths, as ``from_events`` or ``from_paths`` takes it.

    ``told``: the customers' intent, for models that are told of it.
    """

    tables: tuple[Any, ...]
    options: dict[str, Any]
    told: pl.DataFrame | None = None

    @cached_property
    def journeys(self) -> Journeys:
        """The journeys: made once, since they keep what was summed."""
        make = Journeys.from_paths if len(self.tables) == 1 else Journeys.from_events
        return make(*self.tables, **self.options, engine=_ENGINE)


def compute(experiment: Experiment, unit: Unit, needed: Mapping[str, Tables]) -> Tables:
    """Carry out a unit.

    Parameters
    ----------
    experiment : Experiment
    unit : Unit
    needed : mapping of str to tables
        Results of the ``truth`` and the ``limit`` that a run takes.

    Returns
    -------
    dict of str to list of dict
        Of a truth: ``truth``. Of a limit: ``credit``. Of a run: ``rows`` (a model and stage each, with the metrics),
        ``players``, ``agreement``. With ``seconds`` by what took them, and ``failures``: models without an answer.
    """
    days = None if experiment.spec.worlds is None else experiment.spec.worlds.days
    if unit.kind == "truth":
        assert unit.customers is not None
        table = worlds.truth(unit.world, unit.customers, unit.seed, unit.setting.journeys, days)
        return {"truth": table.to_dicts()}
    clock = {"data": time.process_time()}
    data = _data(unit, days, told=bool(experiment.spec.told))
    clock["data"] = time.process_time() - clock["data"]
    if unit.kind == "limit":
        found, failures, seconds = _credits(experiment, data, None, unit.seed)
        frames = [table.with_columns(model=pl.lit(name)) for name, table in found.items()]
        rows = pl.concat(frames).select("model", STAGE, CHANNEL, KIND, CONVERSIONS, SHARE).to_dicts() if frames else []
        return {"credit": rows, "failures": failures, "seconds": [clock | seconds]}
    return _run(experiment, unit, data, needed, clock)


def _run(
    experiment: Experiment, unit: Unit, data: Data, needed: Mapping[str, Tables], clock: dict[str, float]
) -> Tables:
    level = experiment.spec.intervals.level if experiment.intervals else None
    found, failures, seconds = _credits(experiment, data, level, unit.seed)
    asked: set[str] = set(experiment.spec.metrics)
    half = foretold = None
    if asked & {"stability", "log_likelihood", "auc"}:
        first, second = _halves(data, unit.seed)
        if "stability" in asked:
            # chance answers anew on each half: seeds of experiments are below 2^53
            half = [
                _credits(experiment, part, None, unit.seed + n * 2**53)[0] for n, part in enumerate((first, second))
            ]
        if asked & {"log_likelihood", "auc"}:
            foretold = _foretold(experiment, first, second)
    truth = {(r[STAGE], r[CHANNEL]): r for r in needed["truth"]["truth"]} if "truth" in needed else None
    limit = None
    if "limit" in needed:
        limit = {(r["model"], r[STAGE], r[CHANNEL]): r for r in needed["limit"]["credit"] if r[KIND] == "player"}
    costs = _costs(data) if "budget_regret" in asked else {}
    sizes = {stage: size for table in found.values() for stage, size in _sizes(table)}
    filled = _filled(data) if level is not None else {}
    rows: list[dict[str, Any]] = []
    players: list[dict[str, Any]] = []
    for model, table in found.items():
        for stage, part in _games(table):
            game = Game.of(part, stage, model, truth, limit, unit, experiment, costs, filled)
            scores = game.scores(asked)
            if half is not None:
                scores["stability"] = 1 - _between(half[0].get(model), half[1].get(model), stage)
            if foretold is not None:
                scores |= foretold.get((model, stage), {})
            kept: dict[str, Any] = {name: _finite(scores.get(name)) for name in experiment.spec.metrics}
            rows.append({"model": model, STAGE: stage, PER_CHANNEL: sizes.get(stage), **kept})
            if experiment.spec.players:
                players += game.players()
    agreement = _agreement(found) if experiment.spec.agreement else []
    tables = {"rows": rows, "players": players, "agreement": agreement, "failures": failures}
    return {**tables, "seconds": [clock | seconds]}


def _data(unit: Unit, days: int | None, *, told: bool) -> Data:
    journeys = unit.setting.journeys
    if unit.files is None:
        assert unit.customers is not None
        made = worlds.events(unit.world, unit.customers, unit.seed, days, unit.seen, told=told)
        return Data((made.touchpoints, made.outcomes), _options(journeys), made.intents)
    files = unit.files
    if files.paths is not None:
        columns = files.model_dump(include={"path", "sep", "conversions", "value", "nulls"}, exclude_unset=True)
        return Data((files.paths,), columns | journeys.model_dump(include={"max_players", "max_rejects"}))
    options = _options(journeys) | {"columns": files.columns.mapping() or None}
    return Data((files.touchpoints, inline(files) or files.outcomes), options)


def _options(journeys: JourneysSpec) -> dict[str, Any]:
    """Keyword arguments of ``from_events``."""
    stages = journeys.stages
    made = StageColumn(stages.column, stages.order) if isinstance(stages, StageColumnSpec) else stages
    return journeys.model_dump() | {"stages": made}


def _credits(
    experiment: Experiment, data: Data, level: float | None, seed: int
) -> tuple[dict[str, pl.DataFrame], list[dict[str, Any]], dict[str, float]]:
    """Credit by each model that has an answer; what the others say; seconds of each."""
    journeys = data.journeys
    told = {"covariates": data.told}
    methods: dict[str, Any] = {
        name: replace(method, **told) if name in experiment.spec.told else method
        for name, method in experiment.methods.items()
    }
    replicates = experiment.spec.intervals.replicates
    found: dict[str, pl.DataFrame] = {}
    failures: list[dict[str, Any]] = []
    begin = time.process_time()
    with suppress(AttribError):  # whoever cannot have its sums says so below
        needs = tuple(dict.fromkeys(need for method in methods.values() for need in method._needs()))  # noqa: SLF001
        journeys.tallies(needs, units=level is not None)
    seconds = {"journeys": time.process_time() - begin}
    for name, method in methods.items():
        begin = time.process_time()
        try:
            table = credit(journeys, {name: method}, intervals=level, replicates=replicates, seed=seed)
        except AttribError as error:
            failures.append({"model": name, "key": error.key, "message": error.message})
        else:
            found[name] = table if STAGE in table.columns else table.with_columns(pl.lit(None, pl.String).alias(STAGE))
            found[name] = found[name].with_columns(pl.col(STAGE, KIND).cast(pl.String))
        seconds[name] = time.process_time() - begin
    if experiment.spec.references and found:
        found[RANDOM] = random_credit(next(iter(found.values())), seed)
    return found, failures, seconds


def _filled(data: Data) -> dict[Player, float]:
    """Buckets that the conversions of each player come from."""
    tallies = sums_for(data.journeys, [Linear()], units=True)
    cells = cells_of(tallies)
    stages: list[str | None] = [None] * len(cells.game)
    for names, at in ((tallies.games, cells.game), (tallies.players, cells.player)):
        if STAGE in names.columns:
            stages = names[STAGE].cast(pl.String)[at].to_list()
    channels = tallies.players[CHANNEL][cells.player].to_list()
    return dict(zip(zip(stages, channels, strict=True), filled_buckets(tallies, cells).tolist(), strict=True))


def random_credit(table: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Deal the credited conversions of each game to its players by a draw that favours none.

    The shares are uniform over all that sum to 1 (Dirichlet with parameters 1), a reference that knows nothing.
    """
    random = np.random.Generator(np.random.Philox(key=[seed % 2**63, _RANDOM_CREDIT]))
    kept = [c for c in table.columns if not c.endswith(("_low", "_high"))]
    parts = []
    for _, part in _games(table.select(kept)):
        player = (part[KIND] == "player").to_numpy()
        conversions = part[CONVERSIONS].to_numpy().copy()
        drawn = random.exponential(size=int(player.sum()))
        conversions[player] = np.nansum(conversions[player]) * drawn / drawn.sum()
        total = np.nansum(conversions)
        shares = conversions / total if total > 0 else np.full(len(conversions), np.nan)
        parts.append(part.with_columns(pl.Series(CONVERSIONS, conversions), pl.Series(SHARE, shares).fill_nan(None)))
    return pl.concat(parts)


def _games(table: pl.DataFrame) -> Iterator[tuple[str | None, pl.DataFrame]]:
    """Games of a credit table: by stage, unless stages are part of the players (the unattributed row has none)."""
    if table.filter(kind="unattributed")[STAGE].null_count():
        yield None, table
        return
    for (stage,), part in table.partition_by(STAGE, as_dict=True, maintain_order=True).items():
        yield stage, part


def _sizes(table: pl.DataFrame) -> Iterator[tuple[str | None, float]]:
    """Conversions with a touch, by game, per player that had one; a method without an answer does not say."""
    for stage, part in _games(table):
        touched = part.filter(pl.col(KIND) != "unattributed")
        players = touched.filter(kind="player").height
        if players and not touched[CONVERSIONS].null_count():
            yield stage, float(touched[CONVERSIONS].sum()) / players


Player = tuple[str | None, str | None]  # stage (of the player, or of its game), channel


@dataclass(frozen=True, slots=True)
class Game:
    """One model's answer in one game beside what is known about it; arrays over ``who``, the players of both."""

    model: str
    stage: str | None
    who: list[Player]
    credit: Floats
    rest: float
    low: Floats
    high: Floats
    share_low: Floats
    share_high: Floats
    truth: Floats | None
    increments: Floats | None
    baseline: float
    limit: Floats | None
    cost: Floats
    buckets: Floats
    fewest: float

    @staticmethod
    def of(
        part: pl.DataFrame,
        stage: str | None,
        model: str,
        truth: Mapping[Player, Mapping[str, Any]] | None,
        limit: Mapping[tuple[str, str | None, str | None], Mapping[str, Any]] | None,
        unit: Unit,
        experiment: Experiment,
        costs: Mapping[str, float],
        filled: Mapping[Player, float],
    ) -> Game:
        """Align credit, truth and limit; a player whom one side does not know has 0 there."""
        rows = {(r[STAGE], r[CHANNEL]): r for r in part.filter(kind="player").iter_rows(named=True)}
        rest = part.filter(pl.col(KIND) != "player")[CONVERSIONS].sum()
        customers = unit.customers or 0
        known = {} if truth is None else {who: r for who, r in truth.items() if stage in (None, who[0])}
        who = sorted({*rows, *(w for w in known if w[1] is not None)}, key=lambda w: tuple(x or "" for x in w))

        def column(name: str, default: float = np.nan) -> Floats:
            found = [rows[w].get(name) if w in rows else default for w in who]
            return np.array([np.nan if x is None else x for x in found], np.float64)

        def true(name: str) -> Floats:
            return np.array([known[w][name] if w in known else 0.0 for w in who], np.float64) * customers

        base = [r["increment"] for w, r in known.items() if w[1] is None]
        expected = None
        if limit is not None and experiment.spec.worlds is not None and model != RANDOM:
            scale = customers / experiment.spec.worlds.limit_customers
            expected = np.array([(limit.get((model, *w)) or {}).get(CONVERSIONS) or 0.0 for w in who]) * scale
        return Game(
            model=model,
            stage=stage,
            who=who,
            credit=column(CONVERSIONS, 0.0),
            rest=float(rest),
            low=column(f"{CONVERSIONS}_low"),
            high=column(f"{CONVERSIONS}_high"),
            share_low=column(f"{SHARE}_low"),
            share_high=column(f"{SHARE}_high"),
            truth=true("shapley") if known else None,
            increments=true("increment") if known else None,
            baseline=float(sum(base)) * customers,
            limit=expected,
            cost=np.array([costs.get(w[1] or "", 0.0) if stage is None and w[0] is None else 0.0 for w in who]),
            buckets=np.array([filled.get(w, 0.0) for w in who]),
            fewest=experiment.spec.intervals.fewest,
        )

    @property
    def given(self) -> float:
        """Part of the conversions that went to players; NaN where that is nothing, or less (a baseline above all)."""
        credited = float(self.credit.sum())
        total = credited + self.rest
        return credited / total if total > 0 and credited > 0 else np.nan

    def scores(self, asked: set[str]) -> dict[str, float]:
        """Metrics that follow from this game alone."""
        scores: dict[str, float] = {}
        total = float(self.credit.sum()) + self.rest
        if self.truth is not None and self.increments is not None:
            scores["share_error"] = metrics.distance(self.credit, self.truth)
            scores["spearman"], scores["kendall"] = metrics.rank_correlations(self.credit, self.truth)
            credited, caused = np.append(self.credit, self.rest), np.append(self.increments, self.baseline)
            scores["increment_error"] = metrics.increment_error(credited, caused, total)
            scores["budget_regret"] = metrics.budget_regret(self.credit, self.increments, self.cost)
            if "truth_coverage" in asked:  # shares of what players got, as those of the truth
                given = self.given
                everybody = np.ones(len(self.who), np.bool_)
                true = metrics.shares(self.truth)
                scores["truth_coverage"] = metrics.covered(
                    self.share_low / given, self.share_high / given, true, everybody
                )
        expected = self.credit if self.limit is None else self.limit
        counted = (expected >= self.fewest) & (self.buckets >= metrics.fewest_buckets(self.fewest))
        scores["width"] = metrics.width(self.share_low, self.share_high, counted)
        if self.limit is not None:
            scores["coverage"] = metrics.covered(self.low, self.high, self.limit, counted)
        return scores

    def players(self) -> Iterator[dict[str, Any]]:
        """One row a player, for those who want to see where errors come from; last what went to no channel."""
        share, given = metrics.shares(self.credit), self.given
        true = None if self.truth is None else metrics.shares(self.truth)
        for at, (stage, channel) in enumerate(self.who):
            inside = None
            if self.limit is not None and np.isfinite(self.low[at]) and np.isfinite(self.high[at]):
                inside = float(self.low[at] <= self.limit[at] <= self.high[at])
            yield {
                "model": self.model, STAGE: stage, CHANNEL: channel,
                CONVERSIONS: _finite(self.credit[at]), SHARE: _finite(share[at]),
                "true_share": None if true is None else _finite(true[at]),
                "increment": None if self.increments is None else _finite(self.increments[at]),
                "limit": None if self.limit is None else _finite(self.limit[at]),
                "covered": inside, "buckets": _finite(self.buckets[at]),
                "low": _finite(self.low[at]), "high": _finite(self.high[at]),
                "share_low": _finite(self.share_low[at] / given), "share_high": _finite(self.share_high[at] / given),
            }  # fmt: skip
        yield {"model": self.model, STAGE: self.stage, CHANNEL: None, CONVERSIONS: self.rest}


def _between(first: pl.DataFrame | None, second: pl.DataFrame | None, stage: str | None) -> float:
    """Distance of the shares of two credit tables in one game; NaN where one of them is missing."""
    if first is None or second is None:
        return np.nan
    sides = []
    for table in (first, second):
        part = dict(_games(table)).get(stage)
        if part is None:
            return np.nan
        sides.append(
            {(r[0], r[1]): r[2] for r in part.filter(kind="player").select(STAGE, CHANNEL, CONVERSIONS).rows()}
        )
    who = sorted({*sides[0], *sides[1]}, key=str)
    amounts = [np.array([np.nan if (x := side.get(w, 0.0)) is None else x for w in who]) for side in sides]
    return metrics.distance(*amounts)


def _agreement(found: Mapping[str, pl.DataFrame]) -> list[dict[str, Any]]:
    rows = []
    for first, second in itertools.combinations([name for name in found if name != RANDOM], 2):
        for stage, _ in _games(found[first]):
            apart = _between(found[first], found[second], stage)
            rows.append({"first": first, "second": second, STAGE: stage, "distance": _finite(apart)})
    return rows


def _halves(data: Data, seed: int) -> tuple[Data, Data]:
    """Deal customers (or the journeys of a path table) to two halves."""
    random = np.random.Generator(np.random.Philox(key=[seed % 2**63, _HALVES]))
    if len(data.tables) == 1:
        first, second = halves_of_paths(data.journeys.to_paths(), random)
        return tuple(Data((part,), {}) for part in (first, second))  # type: ignore[return-value]
    touchpoints, outcomes = data.tables
    pairs = halves(touchpoints, outcomes, data.options.get("columns"), random)
    return tuple(replace(data, tables=pair) for pair in pairs)  # type: ignore[return-value]


def _foretold(experiment: Experiment, train: Data, test: Data) -> dict[tuple[str, str | None], dict[str, float]]:
    """Log-likelihood and AUC of one half by models fitted to the other."""
    seen, unseen = (Half(part.journeys) for part in (train, test))
    models: dict[str, Method | None] = dict(experiment.methods)
    if experiment.spec.references:
        models[RANDOM] = None
    scores = {}
    for name, method in models.items():
        with suppress(AttribError):  # whoever has no answer for half of the data said so of the whole, or says nothing
            for stage, found in foretell(method, seen, unseen).items():
                ends = (found.probability, found.conversions, found.nulls)
                scores[name, stage] = {
                    "log_likelihood": metrics.log_likelihood(*ends), "auc": metrics.auc(*ends)
                }  # fmt: skip
    return scores


def _costs(data: Data) -> dict[str, float]:
    touchpoints = data.tables[0]
    if not isinstance(touchpoints, pl.DataFrame) or COST not in touchpoints.columns:
        return {}
    summed = touchpoints.group_by(CHANNEL).agg(pl.col(COST).sum())
    return dict(summed.iter_rows())


def _finite(number: float | None) -> float | None:
    return None if number is None or not np.isfinite(number) else float(number)
