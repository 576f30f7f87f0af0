"""How well a method foretells the end of journeys it was not fitted to, for methods that say anything about it.

Rules share out conversions and predict none: they have no row here. A chain predicts from the last touches; Shapley's
rates, the pairs of Shao & Li and the logistic regression from the set of channels; additive hazards from the times of
the touches. All fall back on less where they have seen little. ``random`` predicts the same for everybody, the rate of
the training half: what any use of the journeys has to beat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.experiments.touches import watched
from attrib.journeys import Journeys
from attrib.methods import AdditiveHazard, BaggedLogistic, Markov, ShaoLi, Shapley
from attrib.methods.base import Method
from attrib.schemas import CONVERSIONS, KIND, NULLS, STAGE
from attrib.views.frames import player_labels

Floats = npt.NDArray[np.float64]
Path = tuple[str, ...]
Paths = pl.DataFrame  # of one game: players (list of str), conversions, nulls
Contexts = Callable[[Path], Iterator[Any]]


@dataclass(frozen=True, slots=True)
class Foretold:
    """Predictions for one game, beside what came: arrays of one length, of paths or of journeys.

    ``probability`` that a journey converts; ``conversions`` and ``nulls``: journeys that did, and that did not.
    """

    probability: Floats
    conversions: Floats
    nulls: Floats


@dataclass(frozen=True)
class Half:
    """Journeys of half of the customers, and what is asked of them more than once."""

    journeys: Journeys

    @cached_property
    def paths(self) -> dict[str | None, Paths]:
        """Paths by stage, where stages are games; else all of them under None."""
        frame = self.journeys.paths(n=None)
        if STAGE not in frame.columns:
            return {None: frame}
        named = frame.with_columns(pl.col(STAGE).cast(pl.String))
        return {stage: part for (stage,), part in named.partition_by(STAGE, as_dict=True, maintain_order=True).items()}

    @cached_property
    def touches(self) -> pl.DataFrame | None:
        """Touches and how long they are watched: see :func:`attrib.experiments.touches.watched`."""
        return watched(self.journeys)

    def named(self, fitted: pl.DataFrame) -> pl.DataFrame:
        """Fitted numbers under ``stage`` (of the game; null without) and ``label`` (of the player; null: baseline)."""
        staged = None not in self.paths and STAGE in fitted.columns
        own = [c for c in fitted.columns[: fitted.columns.index(KIND)] if not (staged and c == STAGE)]
        labels = player_labels(fitted.select(own)).alias("label")
        stage = fitted[STAGE].cast(pl.String) if staged else pl.Series(STAGE, [None] * fitted.height, dtype=pl.String)
        kept = fitted.select(fitted.columns[fitted.columns.index(KIND) :]).with_columns(stage, labels)
        player = pl.col(KIND).cast(pl.String) == "player"
        return kept.with_columns(pl.when(player).then("label").alias("label"))


def foretell(method: Method | None, train: Half, test: Half) -> dict[str | None, Foretold]:
    """Foretell how journeys end, by game.

    Parameters
    ----------
    method : Method or None
        None predicts the same for all.
    train, test : Half
        What to learn from, and what to foretell.

    Returns
    -------
    dict of str or None to Foretold
        By stage, where stages are games; empty for a method that predicts nothing.
    """
    if isinstance(method, AdditiveHazard):
        return _by_hazard(method, train, test)
    if isinstance(method, BaggedLogistic):
        return _by_regression(method, train, test)
    found = {}
    for stage, paths in test.paths.items():
        predicted = predictions(method, train.paths.get(stage, paths.clear()), paths)
        if predicted is not None and len(predicted):
            found[stage] = Foretold(predicted, *_ends(paths))
    return found


def predictions(method: Method | None, train: Paths, test: Paths) -> Floats | None:
    """Probability that a journey along each path of ``test`` converts, learned from ``train``, for methods of paths.

    Parameters
    ----------
    method : Method or None
        None predicts the same for all.
    train, test : polars.DataFrame
        Columns ``players``, ``conversions``, ``nulls``: see :meth:`attrib.Journeys.paths`.

    Returns
    -------
    ndarray, shape (paths,), or None
        None for a method that predicts nothing, or not from paths.

    Examples
    --------
    >>> train = pl.DataFrame({"players": [["a"], ["b"]], "conversions": [3, 0], "nulls": [0, 3]})
    >>> predictions(Markov(1), train, train.head(1)).round(3)
    array([0.875])
    """
    if isinstance(method, ShaoLi):
        return _by_pairs(train, test)
    contexts = contexts_of(method)
    if contexts is None:
        return None
    counts = _counts(train, contexts)
    return np.array([_rate(contexts(path), counts) for path, _, _ in _rows(test)])


def contexts_of(method: Method | None) -> Contexts | None:
    """What a method looks at in a path, from the least to the most; None if it predicts nothing."""
    if method is None:
        return lambda _: iter([()])
    if isinstance(method, Markov):
        order = method.order
        return lambda path: ((path[len(path) - n :]) for n in range(min(order, len(path)) + 1))
    if isinstance(method, Shapley) and method.worth == "rate":
        return lambda path: iter([(), frozenset(path)])
    return None


def _counts(train: Paths, contexts: Contexts) -> dict[Any, list[float]]:
    """Conversions and journeys by context."""
    counts: dict[Any, list[float]] = {}
    for path, conversions, nulls in _rows(train):
        for context in contexts(path):
            kept = counts.setdefault(context, [0.0, 0.0])
            kept[0] += conversions
            kept[1] += conversions + nulls
    return counts


def _rate(contexts: Iterator[Any], counts: Mapping[Any, list[float]]) -> float:
    """Conversions per journey; each context counts one journey at the rate of the context before it."""
    rate = 0.5
    for context in contexts:
        rate = _steady(counts.get(context, (0.0, 0.0)), rate)
    return rate


def _steady(counted: Any, rate: float) -> float:
    conversions, journeys = counted
    return float((conversions + rate) / (journeys + 1))


def _by_pairs(train: Paths, test: Paths) -> Floats:
    """Shao & Li: the mean over the pairs of a set of the rates at which journeys with both convert.

    This is what their contributions add up to, but for the factor |S| / 2.
    """

    def within(path: Path) -> Iterator[Any]:
        met = sorted(set(path))
        yield ()
        yield from met
        yield from combinations(met, 2)

    counts = _counts(train, within)
    all_alike = _steady(counts.get((), (0.0, 0.0)), 0.5)
    known: dict[frozenset[str], float] = {frozenset(): all_alike}
    for path, _, _ in _rows(test):
        met = frozenset(path)
        if met not in known:
            alone = {one: _steady(counts.get(one, (0.0, 0.0)), all_alike) for one in sorted(met)}
            pairs = [
                _steady(counts.get((a, b), (0.0, 0.0)), (alone[a] + alone[b]) / 2) for a, b in combinations(alone, 2)
            ]
            known[met] = float(np.mean(pairs or list(alone.values())))
    return np.array([known[frozenset(path)] for path, _, _ in _rows(test)])


def _by_regression(method: BaggedLogistic, train: Half, test: Half) -> dict[str | None, Foretold]:
    """The logistic regression whose credit the method gives: its constant and the coefficients of the players met."""
    fitted = train.named(method.fitted(train.journeys))
    found = {}
    for stage, paths in test.paths.items():
        known = dict(fitted.filter(pl.col(STAGE).eq_missing(stage)).select("label", "coefficient").iter_rows())
        constant = known.pop(None, None)
        odds = np.array([sum(known.get(one, 0.0) for one in set(path)) for path, _, _ in _rows(paths)])
        # without a constant nothing was learned: the rate of all decides
        model = np.full(len(odds), np.nan) if constant is None else 1 / (1 + np.exp(-(constant + odds)))
        if len(odds):
            found[stage] = Foretold(_blended(model, train.paths.get(stage)), *_ends(paths))
    return found


def _by_hazard(method: AdditiveHazard, train: Half, test: Half) -> dict[str | None, Foretold]:
    """Additive hazards: whether a conversion comes after the last touch, while the touches are watched.

    Since a journey got to its last touch, it had not converted before. Watched is as long as it would have been had
    it not converted: the time that it really was would give the answer away.
    """
    if train.touches is None or test.touches is None or not train.touches.height:
        return {}
    fitted = train.named(method.fitted(train.journeys))
    player = fitted.filter(pl.col("label").is_not_null()).select(STAGE, "label", "strength", "lag")
    base = fitted.filter(pl.col("label").is_null()).select(STAGE, base="strength")
    both = test.touches.join(player, on=[STAGE, "label"], how="left", nulls_equal=True, maintain_order="left")
    both = both.join(base, on=STAGE, how="left", nulls_equal=True, maintain_order="left")
    left = (-pl.col("age") / pl.col("lag")).exp() - (-pl.col("reach") / pl.col("lag")).exp()
    journeys = both.group_by(STAGE, "journey", maintain_order=True).agg(
        hazard=(pl.col("strength") * left).fill_null(0.0).sum()
        + (pl.col("base") * (pl.col("reach") - pl.col("age"))).fill_null(0.0).max(),
        **{name: pl.col(name).first() for name in (CONVERSIONS, NULLS)},
    )
    return {
        stage: Foretold(_blended(-np.expm1(-part["hazard"].to_numpy()), train.paths.get(stage)), *_ends(part))
        for (stage,), part in journeys.partition_by(STAGE, as_dict=True, maintain_order=True).items()
    }


def _blended(model: Floats, train: Paths | None) -> Floats:
    """Predictions of a model, one more journey at the rate of all added to those that it was fitted to."""
    won, lost = (0.0, 0.0) if train is None else (float(one.sum()) for one in _ends(train))
    rate = _steady((won, won + lost), 0.5)
    return (np.where(np.isnan(model), rate, model) * (won + lost) + rate) / (won + lost + 1)


def _ends(frame: pl.DataFrame) -> tuple[Floats, Floats]:
    """Conversions and nulls."""
    won, lost = (frame[name].to_numpy().astype(np.float64) for name in (CONVERSIONS, NULLS))
    return won, lost


def _rows(paths: Paths) -> Iterator[tuple[Path, float, float]]:
    for players, conversions, nulls in paths.select("players", CONVERSIONS, NULLS).iter_rows():
        yield tuple(players), conversions, nulls
