"""What a method is, and how its answer becomes a credit table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.credit_table import CreditTable
from attrib.errors import AttribWarning, SpecError, brief, warn
from attrib.kernels.codes import FIRST_PLAYER
from attrib.needs import Need, RuleSums, Totals, Touches
from attrib.schemas import CONVERSIONS, EFFECT, ERROR, KIND, KINDS, METHOD, SHARE, STAGE, THIN, VALUE
from attrib.tally import Tally
from attrib.values import FEWEST_BUCKETS, FEWEST_CONVERSIONS

if TYPE_CHECKING:
    from attrib.engines.base import Progress, Tallies
    from attrib.engines.rows import RowNeed, Rows

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class HasTallies(Protocol):
    """Journeys, as far as methods need them."""

    def tallies(self, needs: tuple[Need, ...], *, units: bool = False) -> Tallies:
        """Sum the needs over all journeys."""
        ...

    def rows(self, need: RowNeed, tallies: Tallies) -> Rows:
        """Read rows that sums do not hold."""
        ...

    @property
    def progress(self) -> Progress | None:
        """Whom to tell of long work."""
        ...


@dataclass(frozen=True, slots=True)
class Cells:
    """The (game, player) pairs that a credit table has a row for, in its order.

    ``game`` int64 [n] row of the games frame, ``player`` int64 [n] row of the players frame; ``starts`` int64
    [games + 1]: the cells of each game.
    """

    game: Ints
    player: Ints
    starts: Ints

    def find(self, game: Ints, player: Ints) -> Ints:
        """Cells of pairs (all of which exist)."""
        width = int(self.player.max(initial=0)) + 1
        return np.searchsorted(self.game * width + self.player, game * width + player)


@dataclass(frozen=True, slots=True)
class Credits:
    """Credit by cell, for the data (shape [n]) or for replicates of it ([R, n]); NaN stands for null.

    ``effect`` is None for methods without; ``error`` and ``value_error`` are Monte-Carlo errors, None where exact.
    ``baseline`` and ``baseline_value``: by game ([games], [R, games]), what a method leaves to no player; None for
    methods that leave nothing.
    """

    conversions: Floats
    value: Floats
    effect: Floats | None = None
    error: Floats | None = None
    value_error: Floats | None = None
    baseline: Floats | None = None
    baseline_value: Floats | None = None

    @property
    def first(self) -> Credits:
        """The first replicate."""
        parts = (getattr(self, f.name) for f in fields(self))
        return Credits(*(part if part is None else part[0] for part in parts))  # type: ignore[arg-type]

    @property
    def left(self) -> list[tuple[Floats, Floats]]:
        """Conversions and value of the baseline; nothing without one."""
        return [] if self.baseline is None or self.baseline_value is None else [(self.baseline, self.baseline_value)]


class Draw(Protocol):
    """How sums are drawn: once as they are, or in replicates over the units."""

    @property
    def exact(self) -> bool:
        """Whether the sums are those of the data."""
        ...

    def keys(self, tally: Tally) -> Tally:
        """The tally without its unit axis, whose keys the sums are by."""
        ...

    def sums(self, tally: Tally, name: str) -> Floats:
        """Sums of a column: [R, keys]."""
        ...

    def weights_of(self, units: int) -> Floats:
        """How often each unit counts: [R, units]."""
        ...


class Observed:
    """The data as they are: one replicate, exact sums, no unit axis."""

    exact = True

    def keys(self, tally: Tally) -> Tally:
        """The tally itself."""
        return tally

    def sums(self, tally: Tally, name: str) -> Floats:
        """Sums of a column, [1, keys]."""
        return tally.column(name)[None, :]

    def weights_of(self, units: int) -> Floats:
        """Every unit counts once."""
        return np.ones((1, units))


def snake_case(name: str) -> str:
    """Turn a class name into the name that jobs use.

    Examples
    --------
    >>> snake_case("PositionBased")
    'position_based'
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@dataclass(frozen=True)
class Method:
    """Base of all methods: frozen parameters, one public method.

    Subclasses say what they need, and turn sums into credit in ``_solve``.
    """

    _always: ClassVar[tuple[str, ...]] = ()
    _needs_nulls: ClassVar[bool] = False

    def _needs(self) -> tuple[Need, ...]:
        raise NotImplementedError

    def _reads(self) -> tuple[RowNeed, ...]:
        """What it reads that sums do not hold: ``tallies.rows`` when it solves, by bucket as ``draw.weights_of``."""
        return ()

    def _solve(self, tallies: Tallies, cells: Cells, draw: Draw) -> Credits:
        """Credit of every cell, shapes [R, n], from the sums that ``draw`` gives."""
        raise NotImplementedError

    def _touch_rule(self) -> RuleSums | None:
        """The rule by which a journey shares its conversion among its touches, of a method that has one."""
        return None

    def _jackknife(self, _cells: Cells) -> bool:
        """Whether one solution takes so long that intervals come from 20 of them."""
        return False

    def _trial(self) -> Method:
        """The same with as little work as shows whether it can be solved, where that takes long."""
        return self

    def _remarks(self, _tallies: Tallies) -> Iterator[str | AttribWarning]:
        """What the reader of the credit should know, beside the numbers."""
        return iter(())

    @property
    def label(self) -> str:
        """Name in the ``method`` column: order and worth always, other parameters where not default.

        Examples
        --------
        >>> from attrib import Linear, PositionBased
        >>> Linear().label, PositionBased(first=0.3).label
        ('linear', 'position_based(first=0.3)')
        """
        shown = []
        for f in fields(self):
            value = getattr(self, f.name)
            default = f.default if f.default is not MISSING else None
            if f.name in self._always or value != default:
                text = f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)
                shown.append(f"{f.name}={text}")
        return snake_case(type(self).__name__) + (f"({', '.join(shown)})" if shown else "")

    def credit(self, journeys: HasTallies) -> pl.DataFrame:
        """Credit every player of every game, without intervals.

        Parameters
        ----------
        journeys : Journeys
            From :meth:`attrib.Journeys.from_events` or :meth:`attrib.Journeys.from_paths`.

        Returns
        -------
        polars.DataFrame
            The credit table of docs/semantics.md, section 10.

        Raises
        ------
        DataError
            If the data cannot be read as journeys.
        SolveError
            If the method has no answer for them.
        """
        check_journeys(journeys)
        tallies = sums_for(journeys, [self])
        cells = cells_of(tallies)
        return credit_frame([(self.label, self, observe(self, tallies, cells))], tallies, cells)


def check_journeys(
    journeys: Any,
    name: str = "journeys",
    hint: str = "make them with attrib.Journeys.from_events(…) or from_paths(…) first",
) -> None:
    """Check that somebody passed journeys, and not a table; ``name`` of the argument, and the next step.

    Raises
    ------
    SpecError
        ``bad_journeys``.
    """
    if not callable(getattr(journeys, "tallies", None)):
        raise SpecError(
            "bad_journeys",
            f"{name} is a {type(journeys).__name__}, not journeys",
            hint=hint,
        )


def sums_for(journeys: HasTallies, methods: Iterable[Method], *, units: bool = False) -> Tallies:
    """All that some methods need, each sum and each row once."""
    methods = list(methods)
    needs = dict.fromkeys(need for method in methods for need in method._needs())  # noqa: SLF001 - protected, not private
    reads = dict.fromkeys(need for method in methods for need in method._reads())  # noqa: SLF001
    tallies = journeys.tallies(tuple(needs), units=units)
    if not reads:
        return tallies
    rows = {need: journeys.rows(need, tallies) for need in reads}
    return replace(tallies, rows=rows, progress=journeys.progress)


def touch_rule_of(method: Any) -> RuleSums:
    """Return the rule by which a method shares a conversion among the touches of a journey.

    Raises
    ------
    SpecError
        ``no_touch_shares`` for a method that has none.
    """
    if not isinstance(method, Method):
        raise SpecError("bad_methods", f"{brief(method)} is not a method", hint="pass one, e.g. attrib.Linear()")
    rule = method._touch_rule()  # noqa: SLF001 - methods and their base share it
    if rule is None:
        raise SpecError(
            "no_touch_shares",
            f"{method.label} credits players of the whole game and has no share for a touch",
            hint="use a rule, or Shapley(worth='conversions')",
        )
    return rule


def has_touch_rule(method: Method) -> bool:
    """Whether the method has shares of each journey, so that :func:`touch_rule_of` finds a rule."""
    return method._touch_rule() is not None  # noqa: SLF001 - methods and their base share it


def observe(method: Method, tallies: Tallies, cells: Cells) -> Credits:
    """Credit of the data as they are, with exact sums."""
    warn_about(method, tallies)
    summed = replace_sums(tallies)
    solved = method._solve(summed, cells, Observed()).first  # noqa: SLF001 - methods and their base share the protected parts
    warn_of_nulls(method, solved.conversions, solved.value)
    return solved


def warn_of_nulls(method: Method, conversions: Floats, value: Floats) -> None:
    """Warn where a method could share out nothing."""
    refunds = "" if np.isnan(conversions).any() else " (refunds?)"
    for what, credit, why in (("conversions", conversions, ""), ("value", value, refunds)):
        if np.isnan(credit).any():
            hint = "; read effect instead of credit" if what == "conversions" else ""
            warn(
                f"{method.label}: the removal effects on {what} do not sum to a positive number{why}; "
                f"{what} credit is null there{hint}"
            )


def warn_about(method: Method, tallies: Tallies) -> None:
    """Warn of what the reader of a method's credit should know beside the numbers."""
    if method._needs_nulls:  # noqa: SLF001 - methods and their base share the protected parts
        tallies.warn_without_nulls(method.label)
    for remark in method._remarks(tallies):  # noqa: SLF001
        warn(remark)


def replace_sums(tallies: Tallies) -> Tallies:
    """The same tallies without their unit axis."""
    if not tallies.with_units:
        return tallies
    sums = {need: tally.without_units() for need, tally in tallies.sums.items()}
    return replace(tallies, sums=sums, with_units=False)


def cells_of(tallies: Tallies) -> Cells:
    """Every player with a touch in a game."""
    touches = tallies.get(Touches())
    game, player = touches.games, touches.player(0) - FIRST_PLAYER
    return Cells(game, player, np.searchsorted(game, np.arange(tallies.n_games + 1)))


def totals_by_game(tallies: Tallies, name: str, draw: Draw) -> Floats:
    """A column of the totals by game, [R, games]."""
    tally = tallies.get(Totals())
    sums = draw.sums(tally, name)
    out = np.zeros((sums.shape[0], tallies.n_games))
    out[:, draw.keys(tally).games] = sums
    return out


def check_unique(labels: list[str]) -> None:
    """Check that no two methods go by the same name.

    Raises
    ------
    SpecError
        ``duplicate_method``.
    """
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise SpecError(
            "duplicate_method",
            f"methods occur twice: {', '.join(repeated)}",
            hint='name them: attrib.credit(journeys, {"my name": method})',
            names=repeated,
        )


def credit_frame(
    answers: list[tuple[str, Method, Credits]],
    tallies: Tallies,
    cells: Cells,
    bounds: list[dict[str, tuple[Floats, Floats]]] | None = None,
    filled: Floats | None = None,
) -> CreditTable:
    """Assemble the credit table (semantics §10).

    Parameters
    ----------
    answers : list of (label, method, Credits)
        In the order asked.
    tallies, cells : Tallies, Cells
        Names of games and players.
    bounds : list of dict, optional
        Per answer and number: low and high for the cells, followed by those of each game's unattributed row, and of
        each game's baseline where the method has one.
    filled : ndarray, shape (cells,), optional
        Buckets in which each player is on a journey that converts: the table says which rows are too thin.

    Returns
    -------
    polars.DataFrame
    """
    summed = replace_sums(tallies)
    observed = Observed()
    conversions = totals_by_game(summed, "conversions", observed)[0]
    unattributed = totals_by_game(summed, "unattributed", observed)[0]
    unattributed_value = totals_by_game(summed, "unattributed_value", observed)[0]
    whole = conversions + unattributed
    games = np.arange(tallies.n_games)
    frames = []
    for order, (label, _method, credit) in enumerate(answers):
        others = [(unattributed, unattributed_value), *credit.left]  # kinds in order
        game = np.concatenate([cells.game, *([games] * len(others))])
        kind = np.repeat(KINDS[: 1 + len(others)], [len(cells.game), *([len(games)] * len(others))])
        converted = np.concatenate([credit.conversions, *(left for left, _ in others)])
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(whole[game] > 0, converted / whole[game], np.nan)
        blank = np.full(len(game) - len(cells.game), np.nan)
        none = np.full(len(game), np.nan)
        numbers = {
            CONVERSIONS: converted,
            VALUE: np.concatenate([credit.value, *(value for _, value in others)]),
            SHARE: share,
            EFFECT: none if credit.effect is None else np.concatenate([credit.effect, blank]),
            ERROR: none if credit.error is None else np.concatenate([credit.error, blank]),
        }
        for name, (low, high) in (bounds[order] if bounds else {}).items():
            numbers[f"{name}_low"], numbers[f"{name}_high"] = low[: len(game)], high[: len(game)]
        frames.append(
            pl.DataFrame(numbers).with_columns(
                pl.Series("__game", game),
                pl.Series("__cell", np.minimum(np.arange(len(game)), len(cells.game))),
                pl.Series(KIND, kind, dtype=pl.Enum(KINDS)),
                pl.lit(label).alias(METHOD),
                pl.lit(order).alias("__order"),
            )
        )
    # null for what is no player
    players = pl.concat([tallies.players[cells.player], tallies.players.clear(1)], how="vertical")
    table = pl.concat(frames)
    named = table.with_columns(
        *(tallies.games[column][table["__game"]].alias(column) for column in tallies.games.columns),
        *(players[column][table["__cell"]].alias(column) for column in tallies.players.columns),
    )
    shown = [c for c in table.columns if c not in ("__game", "__cell", "__order", KIND, METHOD)]
    flags = []
    if filled is not None:
        buckets = pl.Series(np.append(filled, np.inf))[table["__cell"]]  # what is no player has conversions alone
        thin = (pl.col(CONVERSIONS).fill_nan(None) < FEWEST_CONVERSIONS) | (buckets < FEWEST_BUCKETS)
        named, flags = named.with_columns(thin.alias(THIN)), [THIN]
    by = [c for c in tallies.games.columns if c != STAGE]
    stage = [STAGE] if STAGE in named.columns else []
    player = [c for c in tallies.players.columns if c != STAGE]
    keys = [*by, *stage, *player]
    # games and players are numbered in the order of the table, so their codes sort like their names
    return CreditTable(
        named.sort([*keys, KIND, "__order"], nulls_last=False, maintain_order=True)
        .with_columns(pl.col(shown).fill_nan(None))
        .select([*keys, KIND, METHOD, *shown, *flags])
    )
