"""Rates of events from features, by estimators of scikit-learn behind one interface."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from attrib.extras import needs

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
SHORTEST = 1e-3  # days: no stretch counts less, as one between two events of one instant would
TREES, LEAVES, LEARNING, LEAST_ROWS, BINS = 60, 8, 0.1, 50, 63
NONE = -1.0  # a rate that was not asked for


@dataclass(frozen=True, slots=True)
class Table:
    """Stretches and what is known when they begin.

    ``x`` float64 [rows, F]; ``code`` int64 [rows] process of the event at the end, -1: none; ``days`` float64 [rows]
    how long; ``stage`` int64 [rows], of so many ``stages``; ``weight`` float64 [rows] how often each counts.
    """

    x: Floats
    code: Ints
    days: Floats
    stage: Ints
    weight: Floats
    stages: int


@dataclass(frozen=True, slots=True)
class Part:
    """A process in some of the stages, which have a model of their own: touches in all of them."""

    process: int
    stages: tuple[int, ...]


class RateModel(Protocol):
    """What a part's rate, in events a day, is by features."""

    def rate(self, x: Floats) -> Floats:
        """Rate of each row."""
        ...


@dataclass(frozen=True, slots=True)
class Linear:
    """The logarithm of the rate is linear in features."""

    constant: float
    slope: Floats  # F

    def rate(self, x: Floats) -> Floats:
        """Rate of each row."""
        with np.errstate(over="ignore"):
            found: Floats = np.exp(self.constant + x @ self.slope)
        return found


@dataclass(frozen=True, slots=True)
class Trees:
    """Boosted trees."""

    model: Any

    def rate(self, x: Floats) -> Floats:
        """Rate of each row."""
        found: Floats = self.model.predict(x)
        return found


@dataclass(frozen=True, slots=True)
class Hazards:
    """Rates of all processes, none above what was predicted for the stretches of the log.

    ``parts`` and their ``models``; ``cap`` float64 [P, S]; ``likelihood``: logarithm, of the table it was fitted to.
    """

    parts: tuple[Part, ...]
    models: tuple[RateModel, ...]
    cap: Floats
    likelihood: float

    def rates(self, x: Floats, stage: Ints, wanted: Bools | None = None) -> Floats:
        """Rates by process [rows, P]; those that nobody wants may be missing (-1)."""
        out = np.full((len(x), len(self.cap)), NONE)
        if all(isinstance(model, Linear) for model in self.models):
            self._fill(out, x, stage)
        else:
            for part, model in zip(self.parts, self.models, strict=True):
                some = np.isin(stage, part.stages)
                if wanted is not None:
                    some &= wanted[:, part.process]
                if some.any():
                    out[some, part.process] = model.rate(x[some])
        held: Floats = np.minimum(out, self.cap.T[stage], out=out)
        return held

    def _fill(self, out: Floats, x: Floats, stage: Ints) -> None:
        """The same for linear models, all processes of a stage at once."""
        pairs = list(zip(self.parts, self.models, strict=True))
        for s in np.unique(stage):
            mine = [(part.process, model) for part, model in pairs if s in part.stages and isinstance(model, Linear)]
            slope = np.stack([model.slope for _, model in mine], axis=1)
            constant = np.array([model.constant for _, model in mine])
            rows = np.flatnonzero(stage == s)
            with np.errstate(over="ignore"):
                out[rows[:, None], [process for process, _ in mine]] = np.exp(x[rows] @ slope + constant)


Fit = Callable[[Floats, Floats, Floats, RateModel | None], RateModel]


def glm(penalty: float) -> Fit:
    """Fit Poisson regressions with a ridge penalty on standardised features."""

    def fit(x: Floats, y: Floats, w: Floats, before: RateModel | None) -> RateModel:
        whole = float(w.sum())
        mean = w @ x / whole
        scale = np.sqrt(np.maximum(w @ np.square(x) / whole - mean**2, 0.0))
        some = scale > 1e-9 * (1 + np.abs(mean))
        if not some.any():
            return Linear(float(np.log(w @ y / whole)), np.zeros(x.shape[1]))
        model = needs("sklearn.linear_model").PoissonRegressor(
            alpha=penalty / whole, solver="newton-cholesky", max_iter=100, tol=1e-6, warm_start=before is not None
        )
        if isinstance(before, Linear):
            model.coef_ = before.slope[some] * scale[some]
            model.intercept_ = before.constant + float(before.slope[some] @ mean[some])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a last digit that it could not reach, or another way that it went
            model.fit((x[:, some] - mean[some]) / scale[some], y, w)
        slope = np.zeros(x.shape[1])
        slope[some] = model.coef_ / scale[some]
        return Linear(float(model.intercept_ - slope @ mean), slope)

    return fit


def boosting(penalty: float, seed: int) -> Fit:
    """Fit gradient-boosted trees of few leaves to the Poisson likelihood."""

    def fit(x: Floats, y: Floats, w: Floats, _before: RateModel | None) -> RateModel:
        model = needs("sklearn.ensemble").HistGradientBoostingRegressor(
            loss="poisson", learning_rate=LEARNING, max_iter=TREES, max_leaf_nodes=LEAVES, min_samples_leaf=LEAST_ROWS,
            max_bins=BINS,
            l2_regularization=penalty, early_stopping=False, random_state=seed,
        )  # fmt: skip
        return Trees(model.fit(x, y, w))

    return fit


def learn(
    table: Table,
    parts: Sequence[Part],
    fit: Fit,
    pool: Executor | None = None,
    before: Hazards | None = None,
    tell: Callable[[float], None] | None = None,
) -> Hazards:
    """Fit the model of every part; a part without an event has the rate 0.

    Parameters
    ----------
    table : Table
        Stretches.
    parts : sequence of Part
        Processes, some of them by stage.
    fit : callable
        Of features, events a day, weights (days) and the model to begin from.
    pool : Executor, optional
        Threads; they change no digit.
    before : Hazards, optional
        Models to begin from.
    tell : callable, optional
        Told of the share done.
    """
    days = np.maximum(table.days, SHORTEST) * table.weight
    done = [0]

    def one(number: int) -> tuple[RateModel, Floats, float]:
        part = parts[number]
        rows = np.flatnonzero(np.isin(table.stage, part.stages) & (days > 0))
        happened = table.code[rows] == part.process
        highest, likelihood = np.zeros(table.stages), 0.0
        model: RateModel = Linear(-np.inf, np.zeros(table.x.shape[1]))
        if happened.any():
            y = happened / np.maximum(table.days[rows], SHORTEST)
            x = table.x[rows] if len(rows) < len(table.x) else table.x
            with one_thread():
                model = fit(x, y, days[rows], before.models[number] if before else None)
                rate = model.rate(x)
            np.maximum.at(highest, table.stage[rows], rate)
            likelihood = float(table.weight[rows[happened]] @ np.log(rate[happened]) - days[rows] @ rate)
        done[0] += 1
        if tell is not None:
            tell(done[0] / len(parts))
        return model, highest, likelihood

    with one_thread_of_blas():
        models, highest, likelihood = zip(*(pool.map if pool else map)(one, range(len(parts))), strict=True)
    cap = np.zeros((1 + max(part.process for part in parts), table.stages))
    for part, rates in zip(parts, highest, strict=True):
        cap[part.process] = np.maximum(cap[part.process], rates)
    return Hazards(tuple(parts), models, cap, sum(likelihood))


@contextmanager
def one_thread_of_blas() -> Iterator[None]:
    """Sums of the library under numpy are added in one order, whichever of our threads asks."""
    with needs("threadpoolctl").threadpool_limits(1, user_api="blas"):
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """The calling thread starts no others: OpenMP, under scikit-learn, counts for each by itself."""
    with needs("threadpoolctl").threadpool_limits(1, user_api="openmp"):
        yield
