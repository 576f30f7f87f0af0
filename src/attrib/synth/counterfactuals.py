"""What channels truly add: the same customers, replayed in worlds in which some channels reach nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from attrib.schemas import CONVERSIONS, KIND, SHARE, STAGE, VALUE
from attrib.synth.config import OUTCOMES, STAGES, Population
from attrib.synth.generator import START, Recipe, check_counts, ordered
from attrib.synth.later import CANCEL
from attrib.synth.players import Cell, Game, Players, bad_argument
from attrib.values import MOST_DRAWS, whole_number

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from attrib.synth.scenarios import Scenario
    from attrib.synth.worlds import Sums

    Floats = NDArray[np.float64]

MAX_EXACT = 14  # relevant players of one customer: a table of 2^14 worlds
GROUPS = 1024  # standard errors are right to about 1 / sqrt(2 * GROUPS)
SET, COALITION, SIZE = "set", "coalition", "size"
_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Increments:
    """True answers for one game, or for the games of the stages; see :func:`counterfactual`.

    Parameters
    ----------
    removal : polars.DataFrame
        What is lost with each player off: the columns of the player, then ``conversions``, ``value`` and their
        standard errors ``conversions_se``, ``value_se``.
    sets : polars.DataFrame
        The same for each of the named `sets`, column ``set``.
    shapley : polars.DataFrame
        Shapley values, with ``kind`` (``player``, or ``baseline``: what happens with all players off) and ``share``
        (of the credit of the players together; null for the baseline, and where that credit is not positive), their
        standard errors, and ``conversions_sampling_se``, ``value_sampling_se`` (0 where exact). Sums, baseline
        included, are what happens in the world with all players on.
    coalitions : polars.DataFrame
        What happens in each world: ``coalition`` (bit i stands for row i of `removal`), ``size``, ``conversions``,
        ``value``. Empty where there are more players than `exact`.

    Examples
    --------
    >>> from attrib.synth import CHANNELS, Population, counterfactual
    >>> found = counterfactual(200, population=Population(channels=CHANNELS[:2])).outcome
    >>> found.removal["channel"].to_list(), found.coalitions["coalition"].to_list()
    (['organic_search', 'paid_search'], [0, 1, 2, 3])
    """

    removal: pl.DataFrame
    sets: pl.DataFrame
    shapley: pl.DataFrame
    coalitions: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """The truth of generated customers; see :func:`counterfactual`.

    Parameters
    ----------
    outcome : Increments
        On the target outcome. With ``players="stage_channel"`` the view *resolved*.
    advances : Increments, optional
        On leaving each stage (column ``stage``), a game each: the view *advance*. None with players by stage.
    customers : int
        Customer numbers, with or without events.
    sampled : int
        Customers with more relevant players than `exact`, whose orders of players were sampled.
    worlds : int
        Lives that were simulated.

    Examples
    --------
    >>> from attrib.synth import CHANNELS, Population, counterfactual
    >>> found = counterfactual(200, population=Population(channels=CHANNELS[:2]))
    >>> found.customers, found.sampled, 200 <= found.worlds <= 4 * 200
    (200, 0, True)
    """

    outcome: Increments
    advances: Increments | None
    customers: int
    sampled: int
    worlds: int


def counterfactual(
    customers: int = 10_000,
    seed: int = 0,
    *,
    start: datetime = START,
    days: int | None = None,
    population: Population | None = None,
    scenario: Scenario | str | os.PathLike[str] | None = None,
    off: Iterable[str] = frozenset(),
    target: str = "purchase",
    players: Players = "channel",
    sets: Mapping[str, Iterable[str | Cell]] | None = None,
    exact: int = 10,
    samples: int = 32,
    threads: int | None = None,
    progress: Callable[[str, float, float | None], None] | None = None,
) -> Counterfactual:
    """Tell what channels truly cause, by replaying generated customers with channels switched off.

    A channel that is off reaches nobody, so that neither its own touches nor all that followed from them happen;
    every other random draw stays as it is (common random numbers). The worth of a set of players is what happens in
    the world in which those only, besides whatever is no player, are on.

    For these very customers, whose events are those of ``generate(customers, seed, …)``, the numbers are exact: methods
    that credit their journeys are compared with a truth that has no error of its own, except
    ``…_sampling_se`` where orders of players were sampled. The columns ``…_se`` answer another question: how far the
    numbers of another draw of as many customers from this population would lie apart from their expectation, sampling
    included. Customers of one chain of referrals are counted as one cluster.

    Parameters
    ----------
    customers, seed, start, days, population, scenario
        As in `generate`. What the log does not see of the events happens all the same, and counts.
    off : iterable of str
        Channels that are off throughout, and no players.
    target : str, default "purchase"
        The outcome that is counted: ``visit``, ``intent``, ``purchase``, ``referral`` or ``cancel``. Each row is a
        conversion, as for `attrib.Journeys`.
    players : {"channel", "stage_channel"} or mapping
        ``channel``: each channel. ``stage_channel``: each pair of stage (as in the preset ``five``) and channel, whose
        touches are removed while the customer is in that stage. Or names of players, each with its channels and
        pairs of (stage, channel); none in two of them; what is in none is always on. With `Population.later`
        touches after the first purchase belong to ``loyalty``, whatever follows. The touch that brings a recruit
        belongs to ``awareness``: with it, the recruit is removed.
    sets : mapping, optional
        Names of sets of players that are switched off together: names of players; with ``stage_channel`` pairs, or a
        channel for all of its pairs.
    exact : int, default 10
        A player is relevant to customers whom, or whose referrers, it touches in some world. All worlds of a
        customer are gone through where up to so many (at most 14) players are relevant, hence always with so few
        players; else `samples` random orders of the players are.
    samples : int, default 32
        Orders of players for each such customer, from 2: unbiased (Castro, Gómez & Tejada 2009).
    threads : int, optional
        By default one a core. Has no influence on the numbers.
    progress : callable, optional
        Called with what is done, how many customers are, and of how many.

    Returns
    -------
    Counterfactual
        Frames in the order of credit tables: by stage, then channel.

    Raises
    ------
    SpecError
        ``bad_argument`` for numbers out of range, unknown names, or players that overlap.

    References
    ----------
    Shapley, L. S. (1953). A value for n-person games. Castro, J., Gómez, D., & Tejada, J. (2009). Polynomial
    calculation of the Shapley value based on sampling. The coupling of the worlds: Rathinam, M., Sheppard, P. W., &
    Khammash, M. (2010). Efficient computation of parameter sensitivities of discrete stochastic chemical reaction
    networks.

    Examples
    --------
    >>> from attrib.synth import Channel, Population, counterfactual
    >>> helps = Channel("helps", "click", exposure=(2, 2, 2, 0, 0), lift=(3, 3, 3, 0, 0))
    >>> idle = Channel("idle", "visit", exposure=(2, 2, 2, 0, 0), lift=(0, 0, 0, 0, 0))
    >>> truth = counterfactual(2_000, population=Population(channels=(helps, idle)), days=90).outcome
    >>> truth.shapley.select("channel", "kind", "share").rows()
    [(None, 'baseline', None), ('helps', 'player', 1.0), ('idle', 'player', 0.0)]
    """
    check_counts(customers, threads=threads)
    recipe = Recipe.of(seed, population, scenario, days, start=start, off=frozenset(off))
    outcomes = [*OUTCOMES, CANCEL]
    if target not in outcomes:
        raise bad_argument("target", target, f"one of {', '.join(outcomes)}")
    whole_number("exact", exact, 0, MAX_EXACT, key="bad_argument")
    whole_number("samples", samples, 2, MOST_DRAWS, key="bad_argument")
    game = Game.ask(recipe, players, dict(sets or {}))
    sums = _summed(recipe, customers, game, outcomes.index(target), exact, samples, threads, progress)
    view = _View(game, sums, customers)
    advances = None
    if game.advances:
        parts = [view.increments(2 + i, 2 + len(STAGES) + i) for i in range(len(STAGES))]
        named = [_staged(part, stage) for part, stage in zip(parts, STAGES, strict=True)]
        frames = ((getattr(one, name) for one in named) for name in ("removal", "sets", "shapley", "coalitions"))
        advances = Increments(*(pl.concat(list(each)) for each in frames))
    return Counterfactual(view.increments(0, 1), advances, customers, sums.sampled, sums.worlds)


def _summed(
    recipe: Recipe, customers: int, game: Game, target: int, exact: int, samples: int, threads: int | None,
    progress: Callable[[str, float, float | None], None] | None,
) -> Sums:  # fmt: skip
    """Sums over all customers: of fixed batches, in order, so that rounding is the same on any number of threads."""
    n = len(game.keys)
    quantities = 2 + 2 * len(STAGES) * game.advances
    groups = max(1, min(GROUPS, customers))

    def work(first: int, count: int) -> Sums:
        from attrib.synth.worlds import replay

        w = game.switches(recipe, target)
        found: Sums = replay(recipe.key(), first, count, groups, w, n, quantities, min(exact, n), samples, n <= exact)
        return found

    def parts() -> Iterator[Sums]:
        yield work(0, 0)
        for done, part in enumerate(ordered(work, customers, _BATCH, threads), 1):
            if progress is not None:
                progress("replaying worlds", min(done * _BATCH, customers), customers)
            yield part

    return reduce(_added, parts())


def _added(one: Sums, other: Sums) -> Sums:
    return type(one)(
        one.customers + other.customers,
        one.by_group + other.by_group,
        one.noise + other.noise,
        one.dividends + other.dividends,
        one.worlds + other.worlds,
        one.sampled + other.sampled,
    )


@dataclass(frozen=True, slots=True)
class _View:
    """Sums as frames."""

    game: Game
    sums: Sums
    customers: int

    def increments(self, conversions: int, value: int) -> Increments:
        """Frames of a pair of quantities."""
        n, K = len(self.game.keys), len(self.game.sets)
        where = [conversions, value]
        by_group = self.sums.by_group[:, :, where]  # G, rows, 2
        shapley, removal, sets = by_group[:, :n], by_group[:, n : 2 * n], by_group[:, 2 * n : 2 * n + K]
        keys = self._keys(baseline=False)
        dividends = self.sums.dividends[:, where]
        return Increments(
            keys.hstack(self._numbers(removal)),
            pl.DataFrame({SET: pl.Series(list(self.game.sets), dtype=pl.String)}).hstack(self._numbers(sets)),
            self._shapley(by_group[:, 2 * n + K], shapley, self.sums.noise[:, where]),
            _coalitions(dividends, n),
        )

    def _shapley(self, baseline: Floats, players: Floats, noise: Floats) -> pl.DataFrame:
        numbers = self._numbers(np.concatenate([baseline[:, None], players], axis=1))
        credit = players.sum(axis=0)[:, 0]
        total = credit.sum()
        share = np.full(len(credit) + 1, np.nan)
        error = share.copy()
        if total > 0:
            share[1:] = credit / total
            # To first order: what a group adds to the difference between a player's credit and its share of all.
            rests = players[:, :, 0] - share[1:] * players[:, :, 0].sum(axis=1, keepdims=True)
            error[1:] = self._errors(rests) / total
        sampling = np.sqrt(np.concatenate([np.zeros((1, 2)), noise]))
        kinds = pl.Series(KIND, ["baseline"] + ["player"] * len(credit))
        frame = self._keys(baseline=True).with_columns(kinds).hstack(numbers)
        return frame.with_columns(
            pl.Series(SHARE, share).fill_nan(None),
            pl.Series(f"{SHARE}_se", error).fill_nan(None),
            pl.Series(f"{CONVERSIONS}_sampling_se", sampling[:, 0]),
            pl.Series(f"{VALUE}_sampling_se", sampling[:, 1]),
        ).select(
            *self.game.columns, KIND, CONVERSIONS, VALUE, SHARE,
            *(f"{name}_se" for name in (CONVERSIONS, VALUE, SHARE)),
            *(f"{name}_sampling_se" for name in (CONVERSIONS, VALUE)),
        )  # fmt: skip

    def _keys(self, *, baseline: bool) -> pl.DataFrame:
        return pl.DataFrame({
            column: pl.Series(
                [None] * baseline + [row[column] for row in self.game.keys],
                dtype=pl.Enum(STAGES) if column == STAGE else pl.String,
            )
            for column in self.game.columns
        })  # fmt: skip

    def _numbers(self, by_group: Floats) -> pl.DataFrame:
        """Totals of conversions and value, and their standard errors."""
        total, error = by_group.sum(axis=0), self._errors(by_group)
        columns = {CONVERSIONS: total[:, 0], VALUE: total[:, 1]}
        columns |= {f"{CONVERSIONS}_se": error[:, 0], f"{VALUE}_se": error[:, 1]}
        return pl.DataFrame({name: pl.Series(column).fill_nan(None) for name, column in columns.items()})

    def _errors(self, by_group: Floats) -> Floats:
        """Standard errors of totals over customers, who are dependent within groups only; nan where there is one."""
        size = self.sums.customers
        share = size / max(1, self.customers)
        alone = 1.0 - (share**2).sum()
        rests = by_group - share.reshape(-1, *[1] * (by_group.ndim - 1)) * by_group.sum(axis=0)
        squares: Floats = (rests**2).sum(axis=0)
        return np.sqrt(squares / alone) if self.customers > 0 and alone > 0 else np.full_like(squares, np.nan)


def _coalitions(dividends: Floats, players: int) -> pl.DataFrame:
    from attrib.kernels.coalitions import zeta

    known = len(dividends) > 0
    worths = [np.ascontiguousarray(column) for column in dividends.T]
    for worth in worths:
        if known:
            zeta(worth)
    masks = np.arange(len(dividends), dtype=np.int64)
    size = sum(((masks >> i) & 1 for i in range(players)), np.zeros_like(masks)) if known else masks
    return pl.DataFrame({COALITION: masks, SIZE: size, CONVERSIONS: worths[0], VALUE: worths[1]})


def _staged(found: Increments, stage: str) -> Increments:
    """The frames of one stage's game, with the column `stage` in front."""
    column = pl.lit(stage).cast(pl.Enum(STAGES)).alias(STAGE)
    frames = (found.removal, found.sets, found.shapley, found.coalitions)
    return Increments(*(frame.select(column, pl.all()) for frame in frames))
