"""Bagged logistic regression after Shao & Li (2011) (semantics §6a)."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import SpecError, brief
from attrib.extras import needs
from attrib.methods.base import Cells, Credits, Draw, HasTallies, Method, Observed, cells_of, check_journeys, sums_for
from attrib.methods.games import RateGame, games_of
from attrib.needs import PLAYER_SET, Need, Patterns
from attrib.schemas import KIND, KINDS
from attrib.values import BAGS, MOST_DRAWS, check_seed, generator, whole_number

if TYPE_CHECKING:
    from attrib.engines.base import Tallies

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
PLAYER, _, BASELINE = KINDS


@dataclass(frozen=True)
class BaggedLogistic(Method):
    """What players add to the conversions that a logistic regression predicts, averaged over bags.

    The regression is of converting on which players a journey has (once or often). Each bag draws journeys, with
    replacement, and players, without; coefficients are averaged over the bags that had the player. The constant is then
    set so that the model predicts the conversions of the game. What a journey's players add to its probability, over
    the probability of a journey without any, is shared among them in proportion to their coefficients; the rest is the
    ``baseline`` row. Credit is negative where a coefficient is.

    Parameters
    ----------
    bags : int
        How many regressions are averaged.
    journeys, players : float
        Part of the journeys, and of the players, that a bag draws; above 0, up to 1.
    penalty : float
        Strength of the ridge penalty on coefficients, λ in λ/2 Σ b²; journeys count 1 each.
    seed : int
        The same seed draws the same bags.

    Raises
    ------
    SpecError
        ``bad_parameter``; ``missing_extra`` where scikit-learn is not installed (``attrib[lifecycle]``).

    Notes
    -----
    The value is shared as the conversions are: the model knows of converting only. A game without nulls, or without
    conversions, has nothing to learn from: all is baseline. Intervals come from the jackknife over 20 groups of
    buckets, with the same seeds; they hold no error of the bags.

    References
    ----------
    Shao & Li (2011), Data-driven multi-touch attribution models. Aumann & Shapley (1974), Values of non-atomic games
    (the shares in proportion to coefficients).

    Examples
    --------
    >>> import attrib, polars as pl
    >>> paths = pl.DataFrame(
    ...     {"path": ["a > b", "a", "b"], "total_conversions": [60, 10, 40], "total_null": [40, 90, 60]}
    ... )
    >>> table = attrib.BaggedLogistic(bags=20).credit(attrib.Journeys.from_paths(paths))
    >>> round(table["conversions"].sum(), 6), table["kind"].to_list()
    (110.0, ['unattributed', 'baseline', 'player', 'player'])
    """

    bags: int = 100
    journeys: float = 0.5
    players: float = 0.5
    penalty: float = 1.0
    seed: int = 0
    _needs_nulls: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "bags", whole_number("bags", self.bags, 1, MOST_DRAWS))
        object.__setattr__(self, "seed", check_seed(self.seed))
        for name, high in (("journeys", 1.0), ("players", 1.0), ("penalty", np.inf)):
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not 0 < value <= high or value == np.inf:
                bounds = "above 0" + (f", up to {high:g}" if high < np.inf else "")
                raise SpecError("bad_parameter", f"{name} = {brief(value)} is not a number {bounds}")

    def _needs(self) -> tuple[Need, ...]:
        return (Patterns(PLAYER_SET),)

    def _jackknife(self, _cells: Cells) -> bool:
        return True

    def _trial(self) -> BaggedLogistic:
        return replace(self, bags=min(self.bags, 2))

    def _solve(self, tallies: Tallies, cells: Cells, draw: Draw) -> Credits:
        needs("sklearn.linear_model")
        replicates = len(draw.sums(tallies.get(self._needs()[0]), "value"))
        shape, games = (replicates, len(cells.game)), (replicates, tallies.n_games)
        conversions, value = np.zeros(shape), np.zeros(shape)
        left, left_value = np.zeros(games), np.zeros(games)
        for number, game in games_of("rate", tallies, cells, draw):
            assert isinstance(game, RateGame)
            cell = slice(cells.starts[number], cells.starts[number + 1])
            design = _design(game)
            for r in range(replicates):
                parts, rest = self._shares(game, design, r, number, tallies.workers)
                worth = game.value[r].sum() / game.conversions[r].sum() if game.conversions[r].sum() > 0 else 0.0
                conversions[r, cell], left[r, number] = parts, rest
                value[r, cell], left_value[r, number] = parts * worth, rest * worth
                if tallies.progress is not None and replicates > 1:
                    tallies.progress(f"fitting {self.label}", number + (r + 1) / replicates, tallies.n_games)
        return Credits(conversions, value, baseline=left, baseline_value=left_value)

    def _shares(self, game: RateGame, design: Any, r: int, number: int, threads: int) -> tuple[Floats, float]:
        """Conversions of every player, and of the baseline."""
        counted, won = game.counted[r], game.conversions[r]
        if not 0 < won.sum() < counted.sum():
            return np.zeros(game.n), float(won.sum())
        coefficients, constant = self._model(game, design, r, number, threads)
        above = design @ coefficients
        base = _logistic(constant)
        rise = _logistic(constant + above) - base
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where(np.abs(above) > 1e-8, rise / above, base * (1 - base))
        parts: Floats = (design.T @ (counted * slope)) * coefficients
        return parts, float(won.sum() - parts.sum())

    def _model(self, game: RateGame, design: Any, r: int, number: int, threads: int) -> tuple[Floats, float]:
        """Coefficients, and the constant with which they predict the conversions of the game."""
        coefficients = self._coefficients(game, design, r, number, threads)
        return coefficients, _constant(design @ coefficients, game.counted[r], float(game.conversions[r].sum()))

    def fitted(self, journeys: HasTallies) -> pl.DataFrame:
        """Coefficients of the model whose credit :meth:`credit` gives.

        Parameters
        ----------
        journeys : Journeys
            From :meth:`attrib.Journeys.from_events` or :meth:`attrib.Journeys.from_paths`.

        Returns
        -------
        polars.DataFrame
            One row a player of a game and one a game for its constant (kind ``baseline``): the ``by`` columns,
            ``stage``, the player's columns, ``kind``, ``coefficient`` (of log-odds). The log-odds of a conversion are
            the constant and the coefficients of the players that a journey has, each once. A game without nulls, or
            without conversions, has coefficients of 0 and no constant (null).

        Examples
        --------
        >>> import attrib, polars as pl
        >>> paths = pl.DataFrame({"path": ["a", "b"], "total_conversions": [60, 30], "total_null": [40, 70]})
        >>> attrib.BaggedLogistic(bags=20).fitted(attrib.Journeys.from_paths(paths)).columns
        ['channel', 'kind', 'coefficient']
        """
        needs("sklearn.linear_model")
        check_journeys(journeys)
        tallies = sums_for(journeys, [self])
        cells = cells_of(tallies)
        none = [pl.Series(KIND, [], pl.Enum(KINDS)), pl.Series("coefficient", [], pl.Float64)]
        frames = [pl.DataFrame([*tallies.games.clear(), *tallies.players.clear(), *none])]
        for number, game in games_of("rate", tallies, cells, Observed()):
            assert isinstance(game, RateGame)
            coefficients, constant = np.zeros(game.n), np.nan
            if 0 < game.conversions.sum() < game.counted.sum():
                coefficients, constant = self._model(game, _design(game), 0, number, tallies.workers)
            cell = slice(cells.starts[number], cells.starts[number + 1])
            names = pl.concat([tallies.players[cells.player[cell]], tallies.players.clear(1)])
            games = [tallies.games[name].gather(np.full(game.n + 1, number)) for name in tallies.games.columns]
            frames.append(
                pl.DataFrame([*games, *names]).with_columns(
                    pl.Series(KIND, [PLAYER] * game.n + [BASELINE], dtype=pl.Enum(KINDS)),
                    pl.Series("coefficient", np.append(coefficients, constant)).fill_nan(None),
                )
            )
        return pl.concat(frames)

    def _coefficients(self, game: RateGame, design: Any, r: int, number: int, threads: int) -> Floats:
        """Coefficient of every player, the mean over the bags that had it; 0 for one that no bag had."""
        rows = np.concatenate([game.conversions[r], game.counted[r] - game.conversions[r]])
        whole = rows.sum()
        draws = max(1, round(self.journeys * whole))
        taken = max(1, round(self.players * game.n))
        classes = np.repeat([1, 0], len(rows) // 2)
        some_rows = np.flatnonzero(rows)

        def bag(at: int) -> tuple[Ints, Floats] | None:
            random = generator(self.seed, BAGS, number * self.bags + at)
            players = np.sort(random.permutation(game.n)[:taken])
            counts = random.multinomial(draws, rows[some_rows] / whole)
            drawn = some_rows[counts > 0]
            if len(np.unique(classes[drawn])) < 2:
                return None  # it says nothing
            x = design[drawn % (len(rows) // 2)][:, players]
            return players, _regress(x, classes[drawn], counts[counts > 0] * (whole / draws), self.penalty)

        total, had = np.zeros(game.n), np.zeros(game.n)
        with ThreadPoolExecutor(threads) as pool:
            for found in pool.map(bag, range(self.bags)):
                if found is not None:
                    total[found[0]] += found[1]
                    had[found[0]] += 1
        return total / np.maximum(had, 1)


def _design(game: RateGame) -> Any:
    """Which players (columns) the sets (rows) have: sparse, 0 and 1."""
    from scipy.sparse import csr_array

    return csr_array((np.ones(len(game.players)), game.players, game.offsets), shape=(len(game.offsets) - 1, game.n))


def _regress(x: Any, y: Ints, weights: Floats, penalty: float) -> Floats:
    """Coefficients of a logistic regression with a constant, whose penalty leaves the constant out."""
    linear_model = needs("sklearn.linear_model")
    model = linear_model.LogisticRegression(C=1 / penalty, solver="newton-cholesky", tol=1e-8, max_iter=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a last digit that it could not reach
        model.fit(x.toarray(), y, sample_weight=weights)
    coefficients: Floats = model.coef_[0]
    return coefficients


def _logistic(x: Any) -> Any:
    from scipy.special import expit

    return expit(x)


def _constant(above: Floats, counted: Floats, conversions: float) -> float:
    """The constant with which the model predicts so many conversions."""
    from scipy.optimize import brentq

    def excess(constant: float) -> float:
        return float((counted * _logistic(constant + above)).sum() - conversions)

    rate = conversions / counted.sum()
    middle = float(np.log(rate / (1 - rate)))
    reach = float(np.abs(above).max(initial=0.0)) + 1.0
    root: float = brentq(excess, middle - reach, middle + reach, xtol=1e-13, rtol=1e-14)
    return root
