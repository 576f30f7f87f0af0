"""Incremental with hazards by period: estimators of scikit-learn tell the rates, and lives are replayed by thinning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import SpecError
from attrib.extras import needs
from attrib.hazards.estimators import Fit, Hazards, Linear, Part, Table, boosting, glm, learn
from attrib.kernels import periods as kernel
from attrib.kernels.periods import Design, Known
from attrib.methods.covariates import Covariates
from attrib.methods.histories import Setting

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]
MEMORY = 60.0  # days until the long memories have faded to 1/e
QUIET = 300_000  # stretches without an event that are learned from, about
SAMPLE = {"glm": 20_000, "boosting": 2_000}  # customers, where nobody says how many
CHUNK = 1_000  # customers replayed together
BLOCK = 100  # customers whose stretches are looked at together


@dataclass(frozen=True, slots=True)
class Model:
    """Rates of a fold, and the times in which touches fade."""

    hazards: Hazards
    decay: Floats


@dataclass(frozen=True, slots=True)
class Discrete:
    """The engine of ``hazards="glm"`` and ``"boosting"``; see `attrib.Incremental` for the parameters."""

    hazards: str
    decays: Floats
    period: float
    covariates: Covariates | None
    penalty: float
    sample: int | None
    folds: int
    permutations: int
    removal: bool
    seed: int

    def find(
        self,
        setting: Setting,
        weight: Floats,
        before: list[Model] | None,
        pool: Executor | None,
        tell: Callable[[float], None] | None,
    ) -> list[Model]:
        """Models of all folds, with customers counted by the weights [buckets].

        Of several times of fading a regression takes the likeliest, for trees, too; other models before have chosen.
        """
        known = self.known(setting)[0]
        done = [0.0]

        def part(share: float) -> None:
            if tell is not None:
                tell(min(1.0, (done[0] + share) / (self.folds * (len(self.decays) + (self.hazards == "boosting")))))

        found = []
        for fold in range(self.folds):
            last = before[fold] if before else None
            linear = self.hazards == "glm"
            choices = self.decays if last is None else last.decay
            best: Model | None = last
            if linear or (last is None and len(choices) > 1):
                best = None
                for days in choices:
                    model = self._learn(
                        setting, known, weight, fold, np.array([days]), last, pool, part, glm(self.penalty)
                    )
                    done[0] += 1
                    if best is None or model.hazards.likelihood > best.hazards.likelihood:
                        best = model
            if not linear:
                decay = best.decay if best else choices
                best = self._learn(
                    setting, known, weight, fold, decay, None, pool, part, boosting(self.penalty, self.seed)
                )
                done[0] += 1
            assert best is not None, "there is a decay"
            found.append(best)
        return found

    def _learn(
        self,
        setting: Setting,
        known: Known,
        weight: Floats,
        fold: int,
        decay: Floats,
        before: Model | None,
        pool: Executor | None,
        tell: Callable[[float], None],
        fit: Fit,
    ) -> Model:
        """Learn from the customers of the other folds; quiet stretches count for those that were not drawn."""
        some = self.customers(setting)
        lives = setting.lives
        design = self.design(setting, decay)
        whole = int(kernel.count_stretches(lives, design, some).sum())
        part = min(1.0, QUIET / max(whole, 1))
        rows, x = kernel.cut(np.uint64(self.seed), lives, setting.stakes, design, known, some, part)
        quiet = rows.event < 0
        code = np.where(quiet, -1, lives.code[rows.event])
        often = np.where(quiet, (whole - int((~quiet).sum())) / max(1, int(quiet.sum())), 1.0)
        unit = setting.unit[rows.customer]
        mine = (unit % self.folds == fold) & (self.folds > 1)
        table = Table(x, code, rows.length, rows.stage, np.where(mine, 0.0, weight[unit]) * often)
        shape = len(setting.acts), setting.acts.shape[1]
        with _alone():
            return Model(learn(table, parts_of(setting), shape, fit, before and before.hazards, pool, tell), decay)

    def customers(self, setting: Setting) -> Ints:
        """Customers that are looked at: drawn by the hashes of their ids."""
        n, size = len(setting.unit), self.sample or SAMPLE[self.hazards]
        if n <= size:
            return np.arange(n)
        drawn = _mixed(setting.stakes.key + np.uint64(self.seed))
        return np.sort(np.argsort(drawn, kind="stable")[:size])

    def design(self, setting: Setting, decay: Floats) -> Design:
        """What is told of a customer."""
        return Design(
            len(setting.channels),
            setting.after,
            decay,
            MEMORY,
            self.period,
            np.array([c == "1" for c in os.environ.get("KEPT", "11")]),
        )

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
        known = self.known(setting)[0]
        design = self.design(setting, models[0].decay)
        often = weight[setting.unit[some]]
        fired, worth = kernel.as_seen(setting.lives, setting.stakes, design, some)
        chunks = []
        for fold in range(self.folds):
            mine = np.flatnonzero((setting.unit[some] % self.folds == fold) & (often > 0) & fired.any(axis=1))
            chunks += [(fold, mine[at : at + CHUNK]) for at in range(0, len(mine), CHUNK)]

        def chunk(which: tuple[int, Ints]) -> tuple[Floats, Floats, Floats]:
            fold, rows = which
            replay = Replay(
                np.uint64(self.seed),
                setting,
                self.design(setting, models[fold].decay),
                known,
                models[fold].hazards,
                some[rows],
                fired[rows],
                worth[rows],
            )
            draws = [
                replay.removed(pair) if self.removal else replay.shared(pair) for pair in range(self.permutations // 2)
            ]
            mean = np.mean(draws, axis=0)
            noise = np.var(draws, axis=0) / max(1, len(draws) - 1)
            w = often[rows][:, None, None, None]
            return (w * mean).sum(axis=0), (w**2 * noise).sum(axis=0), (w * mean**2).sum(axis=0)

        shape = (setting.stakes.players, setting.stakes.games, 2)
        added, noise, square = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        with _alone():
            for one, other, squares in (pool.map if pool else map)(chunk, chunks):
                added += one
                noise += other
                square += squares
        if len(some) == len(setting.unit):
            return added, noise
        _, all_worth = kernel.as_seen(setting.lives, setting.stakes, design, np.arange(len(setting.unit)))
        whole = weight[setting.unit] @ all_worth[:, :, 0]
        drawn = often @ worth[:, :, 0]
        scale = np.divide(whole, drawn, out=np.zeros(len(whole)), where=drawn > 0)[None, :, None]
        count = max(float(often.sum()), 1.0)
        left_out = 1 - len(some) / len(setting.unit)
        return added * scale, scale**2 * (noise + left_out * np.maximum(square - added**2 / count, 0.0))

    def effects(self, setting: Setting, models: list[Model], channel: list[str]) -> pl.DataFrame:
        """Coefficients, one row each; see :meth:`attrib.Incremental.fitted`."""
        if self.hazards != "glm":
            raise SpecError(
                "no_coefficients", "boosted trees have no coefficients", hint='use hazards="glm" or "latent"'
            )
        source = [*channel, *setting.outcomes]
        further = ["touches before", "outcomes before", "days since the first event", *self.known(setting)[1]]
        further += [f"stage: {name}" for name in setting.stages]
        found = []
        for fold, model in enumerate(models):
            names = [*(f"{one}, {days:g} days" for one in source for days in model.decay), *further]
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


@dataclass(frozen=True, slots=True)
class Replay:
    """Some customers, who live again: who, whose touches the log has of them, and what it counts."""

    seed: np.uint64
    setting: Setting
    design: Design
    known: Known
    model: Hazards
    customers: Ints
    fired: npt.NDArray[np.bool_]
    worth: Floats

    def points(self, draw: int) -> kernel.Points:
        """Points that may be events, given the log."""
        lives, stakes = self.setting.lives, self.setting.stakes
        cut, rates = [], []
        for at in range(0, len(self.customers), BLOCK):
            rows, x = kernel.cut(
                self.seed, lives, stakes, self.design, self.known, self.customers[at : at + BLOCK], 1.0
            )
            cut.append(rows)
            rates.append(self.model.rates(x, rows.stage))
        rows = kernel.Stretches(*(np.concatenate(column) for column in zip(*cut, strict=True)))
        return kernel.scatter(
            self.seed, lives, stakes, self.design, self.customers, rows, np.concatenate(rates),
            self.model.cap.max(axis=1), draw,
        )  # fmt: skip

    def worlds(self, place: Ints) -> kernel.Worlds:
        """Worlds of customers by their places, with everybody on."""
        R, n = len(place), self.setting.stakes.players
        P = len(self.model.cap)
        return kernel.Worlds(
            self.customers[place], place, np.ones((R, n), np.bool_), np.zeros(R), np.zeros(R, np.int64),
            np.zeros((R, P, len(self.design.decay))), np.zeros((R, 2)), np.zeros(R, np.int64), np.zeros(R, np.int64),
            np.zeros((R, n), np.bool_), np.zeros((R, self.setting.stakes.games, 2)),
        )  # fmt: skip

    def live(self, points: kernel.Points, rows: Ints, worlds: kernel.Worlds) -> None:
        """Live some of the worlds to the end."""
        lives, stakes, cap = self.setting.lives, self.setting.stakes, self.model.cap
        kernel.begin(lives, stakes, self.design, points, rows, worlds)
        P, S = cap.shape
        x = np.empty((len(rows), kernel.features_of(self.design, S, P, self.known.values.shape[1])))
        wanted = np.empty((len(rows), P), np.bool_)
        rows = rows.copy()
        while True:
            n = kernel.ask(lives, stakes, self.design, self.known, points, cap, rows, worlds, x, wanted)
            if n == 0:
                return
            rows = rows[:n]
            rates = self.model.rates(x[:n], worlds.stage[rows], wanted[:n])
            kernel.settle(lives, stakes, self.design, points, rates, rows, worlds)

    def shared(self, draw: int) -> Floats:
        """What players add to those before them in an order and its reverse, half each: [customers, n, G, 2]."""
        points, n = self.points(draw), self.setting.stakes.players
        order = kernel.orders(self.seed, self.setting.stakes.key[self.customers], n, draw)
        place = np.repeat(np.arange(len(self.customers)), 2)
        order = np.stack([order, order[:, ::-1]], axis=1).reshape(-1, n)  # players leave one after the other
        worlds, every = self.worlds(place), np.arange(len(place))
        worth, used = self.worth[place], self.fired[place]
        out = np.zeros((len(self.customers), n, *worth.shape[1:]))
        for step in range(n):
            player = order[:, step]
            worlds.on[every, player] = False
            rows = np.flatnonzero(used[every, player])
            self.live(points, rows, worlds)
            np.add.at(out, (place[rows], player[rows]), 0.5 * (worth[rows] - worlds.worth[rows]))
            worth[rows], used[rows] = worlds.worth[rows], worlds.fired[rows]
        return out

    def removed(self, draw: int) -> Floats:
        """What is lost with one player gone and all others there: [customers, n, G, 2]."""
        place, player = np.nonzero(self.fired)
        worlds, rows = self.worlds(place), np.arange(len(place))
        worlds.on[rows, player] = False
        self.live(self.points(draw), rows, worlds)
        out = np.zeros((len(self.customers), self.fired.shape[1], *self.worth.shape[1:]))
        out[place, player] = self.worth[place] - worlds.worth
        return out


def _mixed(words: Words) -> Words:
    """Hashes of words (splitmix64)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


@contextmanager
def _alone() -> Iterator[None]:
    """Libraries under scikit-learn use one thread, so that sums are added in one order; ours are many."""
    with needs("threadpoolctl").threadpool_limits(1):
        yield
