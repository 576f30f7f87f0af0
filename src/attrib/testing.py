"""The laws of a credit table in one assert: for our own tests, and for those of whoever builds on it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from attrib.needs import Totals
from attrib.schemas import (
    CONVERSIONS,
    CUSTOMERS,
    EFFECT,
    ERROR,
    FIXED_COLUMNS,
    INTERVALS,
    KIND,
    KINDS,
    METHOD,
    NUMBERS,
    SHARE,
    STAGE,
    THIN,
    VALUE,
)  # fmt: skip

if TYPE_CHECKING:
    from attrib.journeys import Journeys

TOLERANCE = 1e-9  # of the sum of absolute numbers: that of the ledger (semantics §2)
PLAYER, UNATTRIBUTED, BASELINE = KINDS


def assert_credit_table(
    table: pl.DataFrame, journeys: Journeys | None = None, *, methods: Sequence[str] | None = None
) -> None:
    """Assert every law of docs/semantics.md that a credit table can be held to by itself.

    Columns and their order; kinds; one unattributed row per game and method; the order of rows; per game and
    method: credit (with the baseline) adds up to whole conversions and to what other methods share out, value
    likewise, shares to 1; effects at most 1; intervals in order; nulls only where they mean something.

    Parameters
    ----------
    table : polars.DataFrame
        From :func:`attrib.credit` or a method's ``credit``.
    journeys : Journeys, optional
        What was credited: then conversions and value also equal those of each game, and the ledger's.
    methods : sequence of str, optional
        Labels that the ``method`` column must hold, in the order asked.

    Raises
    ------
    AssertionError
        At the first law that does not hold, with the game, the method and the numbers.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> from attrib.testing import assert_credit_table
    >>> paths = pl.DataFrame({"path": ["ad > mail", "mail"], "total_conversions": [4, 2], "total_null": [6, 2]})
    >>> journeys = attrib.Journeys.from_paths(paths)
    >>> table = attrib.credit(journeys, [attrib.Linear(), attrib.Markov()], replicates=20)
    >>> assert_credit_table(table, journeys, methods=["linear", "markov(order=1)"])
    >>> assert_credit_table(table.with_columns(share=pl.col("share") / 2))
    Traceback (most recent call last):
    ...
    AssertionError: the table, linear: shares sum to 0.5, not 1
    """
    keys = _check_columns(table)
    if journeys is not None and table.is_empty():
        _check_no_games(journeys)
        return
    found = table[METHOD].unique(maintain_order=True).to_list()
    if methods is not None and sorted(found) != sorted(methods):
        raise AssertionError(f"methods are {found}, not {list(methods)}")
    _check_rows(table, keys)
    game_columns = _game_columns(table, keys)
    _check_order(table, keys, list(methods) if methods is not None else found)
    wanted = {} if journeys is None else _totals_of(journeys, game_columns)
    seen = set()
    for game, rows in _groups(table, game_columns):
        seen.add(_key(game))
        _check_game(rows, _name(game_columns, game), wanted.get(_key(game)))
    if journeys is not None:
        if seen != set(wanted):
            raise AssertionError(f"games are {sorted(map(str, seen))}, not {sorted(map(str, wanted))}")
        _check_ledger(table, journeys)


def _check_columns(table: pl.DataFrame) -> list[str]:
    """Schema of semantics §10; returns the key columns."""
    if KIND not in table.columns:
        raise AssertionError(f"there is no column {KIND!r} among {table.columns}")
    keys = table.columns[: table.columns.index(KIND)]
    fixed = tuple(table.columns[len(keys) : len(keys) + len(FIXED_COLUMNS)])
    further = tuple(c for c in table.columns[len(keys) + len(fixed) :] if c not in {CUSTOMERS, THIN})
    if not keys:
        raise AssertionError("there is no player column before kind")
    if fixed != FIXED_COLUMNS:
        raise AssertionError(f"columns from kind on are {fixed}, not {FIXED_COLUMNS}")
    if table.schema.get(THIN, pl.Boolean) != pl.Boolean:
        raise AssertionError(f"{THIN} is {table.schema[THIN]}, not Boolean")
    if further not in {(), INTERVALS}:
        raise AssertionError(f"columns after {ERROR} are {further}, not {INTERVALS}")
    wanted: dict[str, Any] = {KIND: pl.Enum(KINDS), METHOD: pl.String}
    wanted |= dict.fromkeys((*NUMBERS, ERROR, *further), pl.Float64)
    for column, dtype in wanted.items():
        if table.schema[column] != dtype:
            raise AssertionError(f"{column} is {table.schema[column]}, not {dtype}")
    if STAGE in keys and not isinstance(table.schema[STAGE], pl.Enum):
        raise AssertionError(f"stage is {table.schema[STAGE]}, not an enum in model order")
    return keys


def _check_no_games(journeys: Journeys) -> None:
    """Games of by-columns are those with a journey: there may be none, and then there is no row."""
    games = journeys.tallies(()).games
    if games.height or not games.width:
        raise AssertionError(f"the table is empty, yet there are {max(games.height, 1)} games")


def _check_rows(table: pl.DataFrame, keys: list[str]) -> None:
    """What each row can be held to alone."""

    def none(broken: pl.Expr, law: str) -> None:
        rows = table.filter(broken)
        if not rows.is_empty():
            raise AssertionError(f"{rows.height} rows: {law}; the first: {rows.row(0, named=True)}")

    none(pl.col(KIND).is_null() | pl.col(METHOD).is_null(), "kind or method is null")
    without = (pl.col(KIND) != PLAYER) | pl.col(EFFECT).is_null()
    none(pl.col(CONVERSIONS).is_null() & without, "conversions are null")
    none(pl.col(VALUE).is_null() & without, "value is null")
    numbers = [c for c in table.columns[len(keys) :] if table.schema[c] == pl.Float64]
    none(pl.any_horizontal(~pl.col(numbers).is_finite()), "a number is NaN or infinite")
    none(pl.col(ERROR) < 0, "the error is negative")
    none(pl.col(EFFECT) > 1 + TOLERANCE, "the effect is above 1")
    none((pl.col(KIND) != PLAYER) & pl.col(EFFECT).is_not_null(), "what is no player has an effect")
    none((pl.col(KIND) != PLAYER) & pl.col(ERROR).is_not_null(), "what is no player has an error")
    none((pl.col(KIND) != PLAYER) & pl.col(keys[-1]).is_not_null(), f"what is no player has a {keys[-1]}")
    none((pl.col(KIND) == UNATTRIBUTED) & (pl.col(CONVERSIONS) < 0), "unattributed conversions are negative")
    for number in NUMBERS if INTERVALS[0] in table.columns else ():
        low, high = pl.col(f"{number}_low"), pl.col(f"{number}_high")
        none(low > high, f"{number}_low is above {number}_high")
        none(low.is_null() != high.is_null(), f"only one of {number}_low and {number}_high is null")
    repeated = table.filter(table.select(*keys, KIND, METHOD).is_duplicated())
    if not repeated.is_empty():
        raise AssertionError(f"rows occur twice: {repeated.row(0, named=True)}")


def _game_columns(table: pl.DataFrame, keys: list[str]) -> list[str]:
    """Key columns that tell games apart: those before the ones that only players fill.

    Every game has an unattributed row, so a by-column that is null on all of these is null everywhere.
    """
    others = table.filter(pl.col(KIND) != PLAYER)
    last = len(keys) - 1
    while last and others[keys[last - 1]].null_count() == others.height:
        last -= 1
    return keys[:last]


def _check_order(table: pl.DataFrame, keys: list[str], methods: list[str]) -> None:
    place = {label: at for at, label in enumerate(methods)}
    numbered = table.with_row_index("__row").with_columns(
        pl.col(METHOD).replace_strict(place, return_dtype=pl.Int64).alias("__method")
    )
    ordered = numbered.sort([*keys, KIND, "__method"], nulls_last=False, maintain_order=True)["__row"]
    wrong = (ordered != numbered["__row"]).arg_true()
    if not wrong.is_empty():
        raise AssertionError(
            f"rows are not sorted by {', '.join((*keys, KIND, METHOD))}: row {wrong[0]} is out of place"
        )


def _check_game(rows: pl.DataFrame, game: str, wanted: tuple[float, float] | None) -> None:
    """Efficiency within a game (semantics §8, law 1), and between its methods."""
    first: tuple[str, float] | None = None
    first_value: tuple[str, float] | None = None
    for (method,), some in _groups(rows, [METHOD]):
        where = f"{game}, {method}"
        _check_kinds(some, where)
        _check_all_or_none(some, VALUE, where)
        if some[CONVERSIONS].null_count():
            _check_no_credit(some, where)
            continue
        conversions, size = _sum(some[CONVERSIONS])
        whole = float(round(conversions)) if wanted is None else wanted[0]
        _compare(conversions, whole, size, f"{where}: conversions sum to", "that of the game is")
        first = first or (method, conversions)
        _compare(conversions, first[1], size, f"{where}: conversions sum to", f"by {first[0]}")
        _check_shares(some, conversions, where)
        if some[VALUE].null_count():
            continue  # refunds can leave a chain nothing to share value out by
        value, size = _sum(some[VALUE])
        if wanted is not None:
            _compare(value, wanted[1], size, f"{where}: value sums to", "that of the game is")
        first_value = first_value or (method, value)
        _compare(value, first_value[1], size, f"{where}: value sums to", f"by {first_value[0]}")


def _check_kinds(rows: pl.DataFrame, where: str) -> None:
    """One unattributed row, at most one baseline; effects of all players or of none."""
    unattributed, baseline = (int((rows[KIND] == kind).sum()) for kind in (UNATTRIBUTED, BASELINE))
    if unattributed != 1:
        raise AssertionError(f"{where}: {unattributed} unattributed rows, not 1")
    if baseline > 1:
        raise AssertionError(f"{where}: {baseline} baseline rows, at most 1")
    effects = rows.filter(pl.col(KIND) == PLAYER)[EFFECT]
    if effects.null_count() not in {0, len(effects)}:
        raise AssertionError(f"{where}: {effects.null_count()} of {len(effects)} effects are null")


def _check_no_credit(rows: pl.DataFrame, where: str) -> None:
    """Removal effects that sum to nothing positive share out nothing, to nobody."""
    for number in (CONVERSIONS, SHARE):
        if not _check_all_or_none(rows, number, where):
            raise AssertionError(f"{where}: conversions are null, yet {number} are not")
    players = rows.filter(pl.col(KIND) == PLAYER)
    effects, size = _sum(players[EFFECT])
    if effects > TOLERANCE * max(1.0, size):
        raise AssertionError(f"{where}: conversions are null, yet effects sum to {effects!r}")


def _check_all_or_none(rows: pl.DataFrame, number: str, where: str) -> bool:
    """Players without credit are all players; returns whether there are any."""
    players = rows.filter(pl.col(KIND) == PLAYER)[number]
    if players.null_count() not in {0, len(players)}:
        raise AssertionError(f"{where}: some {number} are null, but not all")
    return players.null_count() > 0


def _check_shares(rows: pl.DataFrame, conversions: float, where: str) -> None:
    nulls = rows[SHARE].null_count()
    if conversions <= TOLERANCE:
        if nulls != rows.height:
            raise AssertionError(f"{where}: there are no conversions, yet {rows.height - nulls} shares")
        return
    if nulls != 0:
        raise AssertionError(f"{where}: {nulls} of {rows.height} shares are null, conversions are {conversions!r}")
    total, size = _sum(rows[SHARE])
    if not _close(total, 1.0, size):
        raise AssertionError(f"{where}: shares sum to {total!r}, not 1")
    off = rows.filter((pl.col(SHARE) - pl.col(CONVERSIONS) / conversions).abs() > TOLERANCE * size)
    if not off.is_empty():
        raise AssertionError(f"{where}: share {off[SHARE][0]!r} is not {off[CONVERSIONS][0]!r} of {conversions!r}")


def _totals_of(journeys: Journeys, columns: list[str]) -> dict[tuple[Any, ...], tuple[float, float]]:
    """Conversions and value of each game, unattributed ones included."""
    tallies = journeys.tallies(())
    totals = tallies.get(Totals())
    out = dict.fromkeys(map(_key, tallies.games.select(columns).iter_rows()) if columns else [()], (0.0, 0.0))
    for row, game in enumerate(totals.games.tolist()):
        key = _key(tallies.games.select(columns).row(game)) if columns else ()
        conversions = float(totals.counts("conversions")[row] + totals.counts("unattributed")[row])
        value = float(totals.column("value")[row] + totals.column("unattributed_value")[row])
        before = out[key]  # with units, a game has a sum for each of them
        out[key] = (before[0] + conversions, before[1] + value)
    return out


def _key(game: tuple[Any, ...]) -> tuple[Any, ...]:
    """By-values as a key: NaN, which equals not even itself, by its name."""
    return tuple("NaN" if isinstance(value, float) and math.isnan(value) else value for value in game)


def _check_ledger(table: pl.DataFrame, journeys: Journeys) -> None:
    """The whole table against the ledger, method by method."""
    ledger = journeys.reconcile().filter(pl.col("table") == "outcomes")
    unattributed = pl.col(KIND) == UNATTRIBUTED
    for entry, belongs in (("credited", ~unattributed), ("unattributed", unattributed)):
        line = ledger.row(by_predicate=pl.col("entry") == entry, named=True)
        for (method,), rows in _groups(table.filter(belongs), [METHOD]):
            for number in (CONVERSIONS, VALUE):
                if not rows[number].null_count() and line[number] is not None:
                    found, size = _sum(rows[number])
                    _compare(found, line[number], size, f"{method}: {entry} {number} sum to", "in the ledger:")


def _groups(table: pl.DataFrame, columns: Iterable[str]) -> Iterator[tuple[tuple[Any, ...], pl.DataFrame]]:
    columns = list(columns)
    if not columns:
        yield (), table
    else:
        yield from table.group_by(columns, maintain_order=True)


def _name(columns: list[str], game: tuple[Any, ...]) -> str:
    return ", ".join(f"{c} {v!r}" for c, v in zip(columns, game, strict=True)) if columns else "the table"


def _sum(numbers: pl.Series) -> tuple[float, float]:
    """Sum, and the sum of absolute numbers that a tolerance is measured by."""
    values = numbers.to_list()
    return math.fsum(values), math.fsum(map(abs, values))


def _close(found: float, wanted: float, size: float) -> bool:
    return abs(found - wanted) <= TOLERANCE * max(1.0, size, abs(wanted))


def _compare(found: float, wanted: float, size: float, what: str, other: str) -> None:
    if not _close(found, wanted, size):
        raise AssertionError(f"{what} {found!r}, {other} {wanted!r}")
