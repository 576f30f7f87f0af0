"""Incremental with hazards by period: estimators of scikit-learn tell the rates, and lives are replayed by thinning."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.hazards.estimators import (
    Hazards,
    Linear,
    Part,
    Table,
    boosting,
    glm,
    learn,
    one_thread,
    one_thread_of_blas,
)
from attrib.hazards.latent import part_of
from attrib.kernels import periods as kernel
from attrib.kernels import thinning
from attrib.kernels.periods import Design, Known
from attrib.kernels.words import hash_integers
from attrib.methods.covariates import Covariates
from attrib.methods.histories import Setting, told_by
from attrib.methods.replaying import Replay

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
MEMORY = 60.0  # days until the long memories have faded to 1/e
QUIET = {"glm": 300_000, "boosting": 100_000}  # stretches without an event that are learned from, about
SAMPLE = {"glm": 20_000, "boosting": 2_000}  # customers, where nobody says how many
CHUNK = 1_000  # customers replayed together


@dataclass(frozen=True, slots=True)
class Model:
    """Rates of a fold, the times in which touches fade, and what is known of all customers."""

    hazards: Hazards
    decay: Floats
    known: Known


@dataclass(frozen=True, slots=True)
class Discrete:
    """The engine of ``hazards="glm"`` and ``"boosting"``; see `attrib.Incremental` for the parameters."""

    decays: Floats
    penalty: float
    folds: int
    permutations: int
    removal: bool
    seed: int
    hazards: str
    period: float
    covariates: Covariates | None
    sample: int | None

    def find(
        self,
        setting: Setting,
        weight: Floats,
        before: list[Model] | None,
        pool: Executor | None,
        tell: Callable[[float], None] | None,
    ) -> list[Model]:
        """Models of all folds, with customers counted by the weights [buckets].

        Of several times of fading that one is taken with which a regression of the outcomes is likeliest, for trees,
        too; other models before have chosen.
        """
        known = before[0].known if before else self.known(setting)[0]
        parts = parts_of(setting)
        outcomes = [part for part in parts if part.process >= len(setting.channels)]
        linear = glm(self.penalty)
        fit = linear if self.hazards == "glm" else boosting(self.penalty, self.seed)
        found = []
        for fold in range(self.folds):
            last, part = before[fold] if before else None, part_of(tell, fold, self.folds)
            decay = self.decays if last is None else last.decay
            if len(decay) > 1:
                likely = [
                    learn(
                        self._table(setting, known, weight, fold, decay[d : d + 1]), outcomes, linear, pool
                    ).likelihood
                    for d in range(len(decay))
                ]
                decay = decay[[int(np.argmax(likely))]]
            table = self._table(setting, known, weight, fold, decay)
            found.append(Model(learn(table, parts, fit, pool, last.hazards if last else None, part), decay, known))
        return found

    def _table(self, setting: Setting, known: Known, weight: Floats, fold: int, decay: Floats) -> Table:
        """Stretches of the customers of the other folds; quiet ones count for those that were not drawn."""
        some = self.customers(setting)
        lives, design = setting.lives, self.design(setting, decay)
        whole = int(kernel.count_stretches(lives, design, some).sum())
        part = min(1.0, QUIET[self.hazards] / max(whole, 1))
        rows, x = kernel.cut(np.uint64(self.seed), lives, setting.stakes, design, known, some, part)
        quiet = rows.event < 0
        code = np.where(quiet, -1, lives.code[rows.event])
        often = np.where(quiet, (whole - int((~quiet).sum())) / max(1, int(quiet.sum())), 1.0)
        counts = told_by(setting.unit[rows.customer], weight, fold, self.folds) * often
        return Table(x, code, rows.length, rows.stage, counts, setting.acts.shape[1])

    def customers(self, setting: Setting) -> Ints:
        """Customers that are looked at: drawn by the hashes of their ids."""
        n, size = len(setting.unit), self.sample or SAMPLE[self.hazards]
        if n <= size:
            return np.arange(n)
        drawn = np.empty(n, np.uint64)
        hash_integers((setting.stakes.key + np.uint64(self.seed)).view(np.int64), drawn)
        return np.sort(np.argsort(drawn, kind="stable")[:size])

    def design(self, setting: Setting, decay: Floats) -> Design:
        """What is told of a customer."""
        return Design(len(setting.channels), setting.after, decay, MEMORY, self.period)

    def known(self, setting: Setting) -> tuple[Known, list[str]]:
        """Covariates of all customers, and their names."""
        n = len(setting.unit)
        if self.covariates is None:
            return Known(np.zeros(n + 1, np.int64), np.zeros(0), np.zeros((0, 0))), []
        return self.covariates.known(
            setting.stakes.key, setting.ids, setting.origin, setting.ticks, aware=setting.aware
        )

    def replayed(
        self, setting: Setting, models: list[Model], weight: Floats, pool: Executor | None
    ) -> tuple[Floats, Floats]:
        """What players add, and its sampling variance: [players, games, conversions and value]."""
        some = self.customers(setting)
        known = models[0].known
        design = self.design(setting, models[0].decay)
        often = weight[setting.unit[some]]
        fired, worth = thinning.as_seen(setting.lives, setting.stakes, design, some)
        chunks = []
        for fold in range(self.folds):
            mine = np.flatnonzero((setting.unit[some] % self.folds == fold) & (often > 0) & fired.any(axis=1))
            chunks += [(fold, mine[at : at + CHUNK]) for at in range(0, len(mine), CHUNK)]

        def chunk(which: tuple[int, Ints]) -> tuple[Floats, Floats, Floats]:
            fold, rows = which
            replay = Replay(
                np.uint64(self.seed), setting, self.design(setting, models[fold].decay), known, models[fold].hazards,
                some[rows], fired[rows], worth[rows], self.permutations // 2,
            )  # fmt: skip
            with one_thread():
                draws = replay.removed() if self.removal else replay.shared()
            mean = draws.mean(axis=0)
            noise = draws.var(axis=0) / max(1, len(draws) - 1)
            w = often[rows][:, None, None, None]
            return (w * mean).sum(axis=0), (w**2 * noise).sum(axis=0), (w * mean**2).sum(axis=0)

        shape = (setting.stakes.players, setting.stakes.games, 2)
        added, noise, square = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        with one_thread_of_blas():
            for one, other, squares in (pool.map if pool else map)(chunk, chunks):
                added += one
                noise += other
                square += squares
        if len(some) == len(setting.unit):
            return added, noise
        _, all_worth = thinning.as_seen(setting.lives, setting.stakes, design, np.arange(len(setting.unit)))
        whole = weight[setting.unit] @ all_worth[:, :, 0]
        drawn = often @ worth[:, :, 0]
        scale = np.divide(whole, drawn, out=np.zeros(len(whole)), where=drawn > 0)[None, :, None]
        count = max(float(often.sum()), 1.0)
        left_out = 1 - len(some) / len(setting.unit)
        return added * scale, scale**2 * (noise + left_out * np.maximum(square - added**2 / count, 0.0))

    def effects(self, setting: Setting, models: list[Model], channel: list[str]) -> pl.DataFrame:
        """Coefficients, one row each; see :meth:`attrib.Incremental.fitted`."""
        source = [*channel, *setting.outcomes]
        further = ["days since the first event", *self.known(setting)[1]]
        further += [f"stage: {name}" for name in setting.stages]
        found = []
        for fold, model in enumerate(models):
            faded = [*model.decay, MEMORY]
            names = [*(f"{one}, {days:g} days" for one in source for days in faded), *further]
            for part, one in zip(model.hazards.parts, model.hazards.models, strict=True):
                assert isinstance(one, Linear)
                if not np.isfinite(one.constant):
                    continue
                stage = setting.stages[part.stages[0]] if len(part.stages) == 1 else None
                rows = [("(constant)", one.constant), *zip(names, one.slope.tolist(), strict=True)]
                found += [(fold, stage, source[part.process], name, value) for name, value in rows if value != 0]
        schema = {
            "fold": pl.Int64, "stage": pl.String, "on": pl.String, "feature": pl.String, "coefficient": pl.Float64,
        }  # fmt: skip
        return pl.DataFrame(found, schema, orient="row")


def parts_of(setting: Setting) -> list[Part]:
    """Models: of each channel's touches one, of each outcome one by stage that touches act on, and one for the rest."""
    C, S = len(setting.channels), setting.acts.shape[1]
    parts = [Part(p, tuple(range(S))) for p in range(C)]
    for p in range(C, len(setting.acts)):
        acted = np.flatnonzero(setting.acts[p] >= 0).tolist()
        parts += [Part(p, (s,)) for s in acted]
        rest = tuple(s for s in range(S) if s not in acted)
        parts += [Part(p, rest)] if rest else []
    return parts
