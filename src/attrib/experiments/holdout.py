"""How well a method foretells the end of journeys it was not fitted to, for methods that say anything about it.

Rules share out conversions and predict none: they have no row here. A chain predicts from the last touches, Shapley's
rates from the set of channels; both fall back on less where they have seen little. ``random`` predicts the same for
everybody, the rate of the training half: what any use of the journeys has to beat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.methods import Markov, Shapley
from attrib.methods.base import Method

Floats = npt.NDArray[np.float64]
Path = tuple[str, ...]
Paths = pl.DataFrame  # of one game: players (list of str), conversions, nulls
Contexts = Callable[[Path], Iterator[Any]]


def predictions(method: Method | None, train: Paths, test: Paths) -> Floats | None:
    """Probability that a journey along each path of ``test`` converts, learned from ``train``.

    Parameters
    ----------
    method : Method or None
        None predicts the same for all.
    train, test : polars.DataFrame
        Columns ``players``, ``conversions``, ``nulls``: see :meth:`attrib.Journeys.paths`.

    Returns
    -------
    ndarray, shape (paths,), or None
        None for a method that predicts nothing.

    Examples
    --------
    >>> train = pl.DataFrame({"players": [["a"], ["b"]], "conversions": [3, 0], "nulls": [0, 3]})
    >>> predictions(Markov(1), train, train.head(1)).round(3)
    array([0.875])
    """
    contexts = contexts_of(method)
    if contexts is None:
        return None
    counts: dict[Any, list[float]] = {}
    for path, conversions, nulls in _rows(train):
        for context in contexts(path):
            kept = counts.setdefault(context, [0.0, 0.0])
            kept[0] += conversions
            kept[1] += conversions + nulls
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


def _rate(contexts: Iterator[Any], counts: Mapping[Any, list[float]]) -> float:
    """Conversions per journey; each context counts one journey at the rate of the context before it."""
    rate = 0.5
    for context in contexts:
        conversions, journeys = counts.get(context, (0.0, 0.0))
        rate = (conversions + rate) / (journeys + 1)
    return rate


def _rows(paths: Paths) -> Iterator[tuple[Path, float, float]]:
    for players, conversions, nulls in paths.select("players", "conversions", "nulls").iter_rows():
        yield tuple(players), conversions, nulls
