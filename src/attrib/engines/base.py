"""What an engine takes and gives: a recipe in, tallies out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from attrib.diagnostics.finding import Finding, tell
from attrib.diagnostics.seen import Seen
from attrib.diagnostics.sides import no_nulls
from attrib.engines.ties import Ties
from attrib.errors import warn
from attrib.needs import Totals, Transitions
from attrib.refunds import DEFAULT, Refunding

if TYPE_CHECKING:
    from attrib.engines.rows import RowNeed, Rows
    from attrib.io.identities import Identities
    from attrib.io.sources import InlineOutcome, Source
    from attrib.needs import Need
    from attrib.ragged import Ints, Ragged
    from attrib.stages import StageColumn, StageModel
    from attrib.tally import Tally

Progress = Callable[[str, float, float | None], None]
Work = Callable[[Any, Any, "Ragged"], Any]  # from a reader, the events of a partition and its journeys
OTHERS = "*"  # stands for the interactions that a lookback does not list, and for none


@dataclass(frozen=True, slots=True)
class Recipe:
    """Where events come from and how journeys are made of them; nothing is read before it is needed.

    ``lookback`` is one for all touches, or one an interaction, with those of others under ``OTHERS``. ``notes``: what
    is to be warned of before anything is read.
    """

    touchpoints: Source
    outcomes: Source
    inline: InlineOutcome | None
    target: str | None
    lookback: timedelta | Mapping[str, timedelta | None] | None
    max_gap: timedelta | None
    maturity: timedelta | None
    prefer: tuple[str, ...]
    repeats: str
    duplicates: str
    stages: StageModel | StageColumn | None
    view: str
    by: tuple[str, ...]
    player: tuple[str, ...]
    max_players: int
    max_rejects: float
    max_touches: int | None = None
    after_conversion: str = "reset"
    notes: tuple[str, ...] = ()
    refunding: Refunding = DEFAULT
    day_of_outcome: str = "auto"
    links: Identities | None = None

    @property
    def needs_interaction(self) -> bool:
        """Whether the cut depends on how customers and channel met."""
        return isinstance(self.lookback, Mapping) or bool(self.prefer)

    @property
    def interactions(self) -> tuple[str, ...]:
        """Interactions that touches must be of; empty where any will do."""
        return tuple(self.lookback) if isinstance(self.lookback, Mapping) and OTHERS not in self.lookback else ()


@dataclass(frozen=True, slots=True)
class Ledger:
    """Rows of both tables by fate: (table, entry) → (rows, value); value is None for touchpoints.

    ``reasons``: rows, conversions and value of unattributed outcomes, by why there is no touch to credit; none for path
    tables.
    ``facts``: what else the record of a run says of the events, by topic.
    """

    entries: dict[tuple[str, str], tuple[int, float | None]]
    warnings: tuple[str, ...]
    rejected: pl.DataFrame
    reasons: Mapping[str, tuple[int, int, float]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


@dataclass(slots=True)
class Fates:
    """What became of rows after they were read, summed over the partitions.

    ``touches`` int64 [5], ``outcomes`` int64 [6, 5], ``reasons`` int64 [4, 6], ``refunds`` int64 [6]: see
    `attrib.ragged.Cut`. ``flagged`` int64 [6], with outcomes that are flagged touches: see
    `attrib.engines.grouping`. ``ties``: touches at one instant; ``seen``: facts on customers and
    days.
    """

    touches: Ints
    outcomes: Ints
    reasons: Ints
    refunds: Ints
    duplicates: int
    repeated: int
    repeated_values: list[float]
    flagged: Ints
    ties: Ties = field(default_factory=Ties)
    seen: Seen = field(default_factory=Seen)


@dataclass(frozen=True, slots=True)
class Funnel:
    """Counts int64 [S, 6] and, by stage, the times in it (ticks) with 1 for left, 0 for still there."""

    counts: Ints
    times: list[Ints]
    left: list[Ints]
    ticks_per_second: int


@dataclass(frozen=True, slots=True)
class Units:
    """What intervals resample: ``buckets`` of customers, or ``paths`` with their counts."""

    kind: str
    counts: Ints

    def __len__(self) -> int:
        return len(self.counts)


@dataclass(slots=True)
class Tallies:
    """All that methods see of the journeys; players and games are in the order of the credit table.

    ``players``: one row a player, code = row + 3; ``games``: one row a game, code = row. ``sums`` by need, with the
    unit axis where ``with_units``. ``no_nulls``: by-columns that only outcomes carry, so that null journeys have no
    game of their own. ``has_times``: false for path tables. ``workers``: threads that solving may use. ``rows``: what
    methods read that sums do not hold. ``progress``: whom to tell of long solving. ``silent``: rows of a path table
    that may be the null journeys that are missing.
    """

    players: pl.DataFrame
    games: pl.DataFrame
    units: Units
    sums: dict[Need, Tally]
    with_units: bool
    no_nulls: tuple[str, ...] = ()
    has_times: bool = True
    workers: int = 1
    rows: dict[RowNeed, Rows] = field(default_factory=dict)
    progress: Progress | None = None
    silent: Finding | None = None

    @property
    def n_games(self) -> int:
        """Number of games."""
        return self.games.height if self.games.width else 1  # with by-columns there may be none at all

    def warn_without_nulls(self, asking: str) -> None:
        """Warn where what is asked compares conversions with nulls, and there are none, or in games of their own."""
        if not self.sums[Totals()].counts("nulls").any():
            tell(no_nulls(asking, self.silent))
        elif self.no_nulls:
            warn(
                f"{asking} compares conversions with nulls, but only outcomes carry {', '.join(self.no_nulls)}: null "
                "journeys stand in a game of their own"
            )

    def get(self, need: Need) -> Tally:
        """Sum of a need that was asked for."""
        return self.sums[need]


@dataclass(slots=True)
class Memory:
    """What an engine remembers of one recipe, so that nothing is read or summed twice.

    ``sums`` by (need, whether it keeps the unit axis); ``names``: players, games and units of the sums;
    ``partitions``: reader and partitions, where all of them fit; ``in_order``: whether the events came customer by
    customer, once known; ``rows``: what methods read that sums do not hold.
    """

    sums: dict[tuple[Need, bool], Tally] = field(default_factory=dict)
    names: Tallies | None = None
    ledger: Ledger | None = None
    funnel: Funnel | None = None
    partitions: tuple[Any, list[Any]] | None = None
    in_order: bool | None = None
    rows: dict[RowNeed, Rows] = field(default_factory=dict)

    def find(self, need: Need, *, units: bool) -> Tally | None:
        """Sum of a need: as it was summed, as the marginal of a higher order, or summed over its units."""
        found = self.sums.get((need, units))
        if found is None and isinstance(need, Transitions):
            orders = [
                n.order for n, u in self.sums if u == units and isinstance(n, Transitions) and n.order > need.order
            ]
            if orders:
                found = self.sums[Transitions(min(orders)), units].marginal(need.order)
        if found is None and not units:
            with_units = self.find(need, units=True)
            found = None if with_units is None else with_units.without_units()
        if found is not None:
            self.sums[need, units] = found
        return found

    def forget(self, need: Need) -> None:
        """Sum it anew when it is asked for again."""
        for units in (False, True):
            self.sums.pop((need, units), None)


FLAGGED = 6  # counts of flags, see `Fates`
BUCKETS = 256  # units of customers' journeys: what a fixed hash of the customer gives


class Engine(Protocol):
    """Runs recipes; ``memory`` is the recipe's own."""

    @property
    def workers(self) -> int:
        """Threads that solving may use."""
        ...

    @property
    def progress(self) -> Progress | None:
        """Whom to tell of progress."""
        ...

    def close(self) -> None:
        """Give back what was made for the engine alone."""
        ...

    def tally(self, recipe: Any, needs: Iterable[Need], *, units: bool, memory: Memory) -> Tallies:
        """Sum the needs over all journeys."""
        ...

    def ledger(self, recipe: Any, memory: Memory) -> Ledger:
        """Account for every row."""
        ...

    def funnel(self, recipe: Any, memory: Memory) -> Funnel:
        """Count customers by stage."""
        ...

    def journeys(self, recipe: Any, memory: Memory) -> tuple[Any, list[tuple[Any, Ragged]]]:
        """List all journeys."""
        ...

    def stream(self, recipe: Any, memory: Memory, work: Work) -> Iterator[tuple[Any, Any]]:
        """Work through the journeys, one partition at a time."""
        ...
