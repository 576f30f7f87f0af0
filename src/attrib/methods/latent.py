"""Incremental with latent intent in continuous time: the search for its parameters, and replays."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import warn
from attrib.hazards.latent import Fitted, Priors, Problem, fit, part_of, problem_of, search
from attrib.methods.histories import Setting, told_by

Floats = npt.NDArray[np.float64]
GRID = (7.0, 7.0, 14.0, 28.0)  # days: the latent state may change at each event and so long after it


@dataclass(frozen=True, slots=True)
class Model:
    """Parameters of a fold, and the problem that they solve."""

    problem: Problem
    fitted: Fitted


@dataclass(frozen=True, slots=True)
class Latent:
    """The engine of ``hazards="latent"``; see `attrib.Incremental` for the parameters."""

    decays: Floats
    penalty: float
    folds: int
    permutations: int
    removal: bool
    seed: int
    types: int
    moods: int
    tolerance: float
    steps: int
    label: str

    def find(
        self, setting: Setting, weight: Floats, before: list[Model] | None, pool: Executor | None,
        tell: Callable[[float], None] | None,
    ) -> list[Model]:  # fmt: skip
        """Models of all folds; from others before, the same with other weights, beginning where they are."""
        if before is not None:
            return [self._again(one, setting, weight, fold, pool) for fold, one in enumerate(before)]
        return [self._search(setting, weight, fold, pool, tell) for fold in range(self.folds)]

    def _search(
        self, setting: Setting, weight: Floats, fold: int, pool: Executor | None, tell: Callable[[float], None] | None
    ) -> Model:
        chart = setting.chart(self.decays[:1], np.array(GRID))
        weighted = told_by(setting.unit, weight, fold, self.folds)
        problem = problem_of(
            setting.lives, chart, weighted, Priors(penalty=self.penalty), types=self.types, moods=self.moods
        )

        problem, fitted = search(
            problem, weighted, seed=self.seed, decays=self.decays, tolerance=self.tolerance, steps=self.steps,
            pool=pool, tell=part_of(tell, fold, self.folds),
        )  # fmt: skip
        if not fitted.converged:
            warn(f"{self.label}: no maximum of the likelihood after {self.steps:,} steps")
        return Model(problem, fitted)

    def _again(self, model: Model, setting: Setting, weight: Floats, fold: int, pool: Executor | None) -> Model:
        """The same model from other weights, beginning where it is."""
        found = fit(
            model.problem, told_by(setting.unit, weight, fold, self.folds), start=model.fitted.intent,
            tolerance=self.tolerance, steps=self.steps, pool=pool,
        )  # fmt: skip
        return Model(model.problem, found)

    def replayed(
        self, setting: Setting, models: list[Model], weight: Floats, pool: Executor | None
    ) -> tuple[Floats, Floats]:
        """What players add, and its sampling variance: [players, games, conversions and value]."""
        from attrib.kernels import replay

        rates = [model.fitted.intent.rates() for model in models]
        starts = np.searchsorted(setting.unit, np.arange(len(weight) + 1))
        some = [unit for unit in range(len(weight)) if weight[unit] and starts[unit] < starts[unit + 1]]

        def bucket(unit: int) -> tuple[Floats, Floats]:
            fold = unit % self.folds
            added, noise, _ = replay.credit(
                np.uint64(self.seed), setting.lives, models[fold].problem.chart, rates[fold], setting.stakes,
                starts[unit], starts[unit + 1], self.permutations // 2, self.removal,
            )  # fmt: skip
            return weight[unit] * added, weight[unit] ** 2 * noise

        shape = (setting.stakes.players, setting.stakes.games, 2)
        added, noise = np.zeros(shape), np.zeros(shape)
        for one, other in (pool.map if pool else map)(bucket, some):
            added += one
            noise += other
        return added, noise

    def effects(self, setting: Setting, models: list[Model], channel: list[str]) -> pl.DataFrame:
        """Effects that are not 0; see :meth:`attrib.Incremental.fitted`."""
        source = [*channel, *setting.outcomes]
        found = []
        for fold, model in enumerate(models):
            effect = model.fitted.intent.effect[:, :, 0]
            for e, c in np.argwhere(effect > 0).tolist():
                stage, on = None, channel[e] if e < len(channel) else ""
                if e >= len(channel):
                    p, s = np.argwhere(setting.acts == e)[0]
                    stage, on = setting.stages[s], setting.outcomes[p - len(channel)]
                found.append((fold, stage, on, source[c], float(effect[e, c]), float(model.problem.chart.decay[0])))
        schema = {
            "fold": pl.Int64,
            "stage": pl.String,
            "on": pl.String,
            "source": pl.String,
            "lift": pl.Float64,
            "days": pl.Float64,
        }
        return pl.DataFrame(found, schema, orient="row")
