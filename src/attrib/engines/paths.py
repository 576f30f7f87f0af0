"""Path tables: aggregated journeys as text, accepted at the boundary and coded at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.diagnostics.columns import check_sums
from attrib.diagnostics.customers import equal_rows
from attrib.diagnostics.finding import Finding
from attrib.diagnostics.names import near_names
from attrib.diagnostics.path_tables import lists_as_text, states, without_effect
from attrib.engines.base import Fates, Ledger, Tallies, Units
from attrib.engines.coding import Dictionary, check_players, split_texts
from attrib.engines.events import exponent_of
from attrib.errors import DataError, RejectedError
from attrib.io.amounts import number
from attrib.io.checks import add_sizes, check_rejects, join_rejected
from attrib.io.flags import NO, YES
from attrib.io.path_columns import other_separators
from attrib.io.sources import MORE, Source
from attrib.kernels.codes import CONVERTING, FATES, FIRST_PLAYER, NULL, UNATTRIBUTED, WORDS
from attrib.needs import Need
from attrib.ragged import Cut, Ragged, no_reasons
from attrib.schemas import CHANNEL, CONVERSIONS, CUSTOMER, NULLS, OUTCOME, PATH, TIME, VALUE, require_columns
from attrib.tally import Tally, bits_for

Ints = npt.NDArray[np.int64]
MONEY = "__money"  # the currency of the value
BLANK = "__blank"  # whether a channel within the path is empty
COUNT_LIMIT = 2.0**40  # journeys of a table: what sums of counts can hold


@dataclass(frozen=True, slots=True)
class PathRecipe:
    """A path table and how to read it; columns have our names, ``theirs`` by ours.

    ``found``: what its columns tell; ``whole``: the table with all its columns.
    """

    source: Source
    separator: str
    max_players: int
    max_rejects: float
    theirs: Mapping[str, str] = field(default_factory=dict)
    found: tuple[Finding, ...] = ()
    whole: Source | None = None


@dataclass(frozen=True, slots=True)
class PathRows:
    """Coded paths: row i has the players offsets[i] to offsets[i + 1], codes from 0."""

    offsets: Ints
    players: npt.NDArray[np.int32]
    conversions: Ints
    nulls: Ints
    value: npt.NDArray[np.float64]
    duplicates: int = 0
    repeated: int = 0
    repeated_value: float = 0.0
    flagged: tuple[int, ...] = (0,) * 6
    seen: None = None

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return 8 * (len(self.offsets) + 3 * len(self.nulls)) + 4 * len(self.players)


@dataclass(frozen=True, slots=True)
class PathPlan:
    """What tallies need to know."""

    exponent: int


class PathReader:
    """Reads a path table once."""

    has_funnel = False
    has_times = False
    n_games = 1

    def __init__(self, recipe: PathRecipe) -> None:
        self.recipe = recipe
        self.channels = Dictionary(CHANNEL)
        self.rows: PathRows | None = None
        self._exponent = 0
        self._rejected: list[pl.DataFrame] = []
        self._equal: Finding | None = None
        self._silent: Finding | None = None
        self._as_lists: str | None = None
        self._counts_in = (0, 0.0, 0, 0.0, 0)
        self._split, self._texts = False, True  # whether some path has several touches, and whether paths are texts

    @property
    def n_player_codes(self) -> int:
        """Number of distinct players."""
        return len(self.channels) - 1

    def may_fit(self, _budget: int) -> bool:
        """Whether to keep the table for the next pass: it is in memory anyway."""
        return True

    def plan(self) -> PathPlan:
        """Exponent of the values."""
        return PathPlan(self._exponent)

    def partitions(self) -> Iterator[tuple[Callable[[], PathRows], float]]:
        """The whole table as one partition: paths are few, journeys are many."""
        rows = self._read()
        yield (lambda: rows), 1.0

    def _read(self) -> PathRows:
        source = self.recipe.source
        require_columns(source.name, source.schema, (PATH, CONVERSIONS))
        optional = [c for c in (VALUE, NULLS) if c in source.schema]
        more = [column for column in (MORE, MONEY) if column in source.schema]
        table = source.collect(source.frame.select(PATH, CONVERSIONS, *optional, *more))
        if table.height == 0:
            raise DataError("no_rows", f"{source.name} has 0 rows", hint="check the path and any filter")
        whole = None if self.recipe.whole is None else self.recipe.whole.collect()
        if whole is not None and table.height > 1:
            self._equal = equal_rows(whole, "paths", whole=True)
        self._check_types(table.schema)
        lists = isinstance(table.schema[PATH], (pl.List, pl.Array))
        path = _as_lists(table[PATH]) if lists else table[PATH].cast(pl.String)
        numbers = table.select(path, *(number(name, table.schema[name]) for name in (CONVERSIONS, *optional)), *more)
        parts = None if lists else split_texts(path.fill_null(""), self.recipe.separator)
        blank = _blank_parts(path) if parts is None else pl.Series(parts.blank)
        shown = path.list.join(" > ", ignore_nulls=False) if lists else path
        keep = self._accept(numbers.with_columns(blank.alias(BLANK)), table.with_columns(shown.alias(PATH)))
        good = numbers.filter(keep)
        if parts is None:
            offsets, flat = _flat(good[PATH])
            players = self.channels.encode_present(flat)
        else:
            parts = parts.take(keep.to_numpy())
            offsets = parts.offsets
            players = self.channels.encode_parts(parts, good[PATH], self.recipe.separator)
        self._split = bool((np.diff(offsets) > 1).any())
        self._texts = not lists
        if self.n_player_codes > self.recipe.max_players:
            check_players([self.channels], self.recipe.max_players, np.bincount(players + 1))
        if MONEY in more:
            theirs = self.recipe.theirs[MONEY]
            check_sums(good.rename({MONEY: theirs}), source.name, VALUE, "a path table of each", theirs)
        conversions = good[CONVERSIONS].to_numpy().astype(np.int64)
        nulls = good[NULLS].to_numpy().astype(np.int64) if NULLS in optional else np.zeros(good.height, np.int64)
        if float(conversions.sum(dtype=np.float64) + nulls.sum(dtype=np.float64)) >= COUNT_LIMIT:
            raise DataError(
                "too_many_journeys", f"{source.name} counts more than 2^40 journeys", hint="check the counts"
            )
        value = good[VALUE].fill_null(0.0).to_numpy().copy() if VALUE in optional else conversions.astype(np.float64)
        self._exponent = exponent_of(float(np.abs(value).max(initial=0.0)), has_value=VALUE in optional)
        self.rows = PathRows(offsets, players, conversions, nulls, value)
        self._look((table if whole is None else whole).filter(keep), good[PATH] if self._texts else None)
        return self.rows

    def _look(self, rows: pl.DataFrame, texts: pl.Series | None) -> None:
        """Find what rows and paths tell by themselves."""
        assert self.rows is not None
        conversions, nulls, called = self.rows.conversions, self.rows.nulls, dict(self.recipe.theirs)
        if ((conversions == 0) & (nulls == 0)).any():
            source = self.recipe.whole or self.recipe.source
            self._silent = without_effect(conversions, nulls, called, rows, texts=source.kind != "csv")
        if texts is not None:
            self._as_lists = lists_as_text(texts, called.get(PATH, PATH))

    def _check_types(self, schema: Mapping[str, pl.DataType]) -> None:
        name, theirs = self.recipe.source.name, self.recipe.theirs
        for column in (CONVERSIONS, VALUE, NULLS):
            dtype = schema.get(column, pl.String())
            if not (dtype.is_numeric() or dtype in (pl.String, pl.Null)):
                raise DataError(
                    "wrong_type",
                    f"{name}: column {theirs.get(column, column)!r} is {dtype}, not a number",
                    hint=_from_flags(theirs, column)
                    if dtype == pl.Boolean
                    else f"name another column as {column}, or cast it",
                    column=theirs.get(column, column),
                )
        dtype = schema[PATH]
        inner = getattr(dtype, "inner", dtype) if isinstance(dtype, (pl.List, pl.Array)) else dtype
        known = (pl.String, pl.Categorical, pl.Enum, pl.Null)
        if not (isinstance(inner, known) or (inner is dtype and dtype.is_integer())):
            raise DataError(
                "wrong_type",
                f"{name}: column {theirs.get(PATH, PATH)!r} is {dtype}, not a path",
                hint="a path is a text such as 'ad > mail', or a list of texts",
                column=theirs.get(PATH, PATH),
            )

    def _accept(self, numbers: pl.DataFrame, table: pl.DataFrame) -> pl.Series:
        """Reject rows that cannot be counted; returns which are good."""

        def whole(column: str) -> pl.Expr:
            c = pl.col(column)
            return c.is_finite() & (c >= 0) & (c == c.floor()) & (c < COUNT_LIMIT)

        more = [pl.when(pl.col(MORE).is_not_null()).then(pl.lit("too_many_cells"))] if MORE in numbers.columns else []
        rules = [
            *more,
            pl.when(pl.col(PATH).is_null()).then(pl.lit("path_missing")),
            pl.when(~whole(CONVERSIONS).fill_null(value=False)).then(pl.lit("conversions_not_a_count")),
        ]
        if NULLS in numbers.columns:
            rules.append(pl.when(~whole(NULLS).fill_null(value=False)).then(pl.lit("nulls_not_a_count")))
        if VALUE in numbers.columns:
            finite = pl.col(VALUE).is_finite().fill_null(pl.col(CONVERSIONS) == 0)
            rules.append(pl.when(~finite).then(pl.lit("value_not_finite")))
            rules.append(
                pl.when((pl.col(CONVERSIONS) == 0) & (pl.col(VALUE) != 0)).then(pl.lit("value_without_conversions"))
            )
        rules.append(pl.when(pl.col(BLANK)).then(pl.lit("channel_empty")))
        broken = numbers.select(pl.coalesce(*rules, pl.lit(None, pl.String)).alias("rule"))["rule"]
        bad = numbers.filter(broken.is_not_null())
        # what is no count, such as -1 or 1e30, counts no conversion: only so do the entries of the ledger add up
        good_count = int(_finite_sum(numbers.filter(broken.is_null()), CONVERSIONS))
        bad_count = int(_finite_sum(bad.filter(whole(CONVERSIONS)), CONVERSIONS))
        value_in = _finite_sum(numbers, VALUE if VALUE in numbers.columns else CONVERSIONS)
        value_out = _finite_sum(bad, VALUE if VALUE in numbers.columns else CONVERSIONS)
        self._counts_in = (
            good_count + bad_count, value_in, bad_count, value_out, bad.height
        )  # fmt: skip
        if bad.height:
            listed = table.with_row_index("__row").with_columns(broken.alias("__rule")).filter(broken.is_not_null())
            null = pl.lit(None, pl.String)
            self._rejected.append(
                listed.select(
                    pl.lit("paths").alias("table"),
                    pl.col("__row").cast(pl.Int64).alias("row"),
                    pl.col("__rule").alias("rule"),
                    null.alias(CUSTOMER),
                    null.alias(TIME),
                    pl.col(PATH).cast(pl.String).alias(CHANNEL),
                    pl.col(CONVERSIONS).cast(pl.String).alias(OUTCOME),
                    (pl.col(VALUE).cast(pl.String) if VALUE in table.columns else null).alias(VALUE),
                    *([pl.col(NULLS).cast(pl.String)] if NULLS in table.columns else []),
                )
            )
            try:
                check_rejects("paths", numbers.height, self._rejected, self.recipe.max_rejects)
            except RejectedError as error:
                raise self._with_hint(error) from None
        return broken.is_null()

    def _with_hint(self, error: RejectedError) -> RejectedError:
        """Name the next step where a path is rejected for what stands at its ends, or counts for what they lack."""
        rule = next(iter(error.facts["rules"]))
        column, separator = self.recipe.theirs.get(PATH, PATH), self.recipe.separator
        if rule == "channel_empty" and self._texts:
            hint = (
                "two separators with nothing between them, or one at an end; take those at the ends off first: "
                f"pl.col({column!r}).str.strip_chars({' ' + separator.strip()!r})"
            )
        elif rule == "conversions_not_a_count":
            theirs = self.recipe.theirs
            name = theirs.get(CONVERSIONS, CONVERSIONS)
            said = {str(text).strip().lower() for text in self._rejected[0][OUTCOME].unique().to_list()}
            if said <= {*YES, *NO}:
                yes = f"pl.col({name!r}).str.strip_chars().str.to_lowercase().is_in({[w for w in YES if w in said]})"
                hint = _from_flags(theirs, CONVERSIONS, yes)
            else:
                hint = f"counts are whole numbers from 0; where none stands for 0: pl.col({name!r}).fill_null(0)"
        else:
            return error
        return RejectedError(error.key, error.message, hint=hint, **error.facts)

    def cut(self, rows: PathRows, _plan: PathPlan) -> Cut:
        """Journeys of the table: one for the conversions of a path, one for its nulls."""
        converting, failing = np.flatnonzero(rows.conversions), np.flatnonzero(rows.nulls)
        length = np.diff(rows.offsets)
        row = np.concatenate([converting, failing[length[failing] > 0]])
        is_null = np.arange(len(row)) >= len(converting)
        lengths = length[row]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        # touches of journey j: those of its row
        at = np.repeat(rows.offsets[row] - offsets[:-1], lengths) + np.arange(offsets[-1])
        n = len(row)
        conversions = np.where(is_null, 0, rows.conversions[row])
        status = np.where(is_null, NULL, np.where(lengths > 0, CONVERTING, UNATTRIBUTED)).astype(np.int8)
        players = rows.players[at]
        values = self.channels.values
        assert values is not None
        ragged = Ragged(
            offsets=offsets, players=players + np.int32(FIRST_PLAYER), kinds=players,
            times=np.zeros(len(players), np.int64), game=np.zeros(n, np.int32),
            unit=(2 * row + is_null).astype(np.int32), customer=row, conversions=conversions,
            nulls=np.where(is_null, rows.nulls[row], 0), rows=conversions,
            value=np.where(is_null, 0.0, rows.value[row]), end=np.zeros(n, np.int64), status=status,
            ticks_per_second=1, channel_of_kind=values[1:].to_numpy(), has_times=False,
        )  # fmt: skip
        outcomes = np.zeros((FATES, 1 + WORDS), np.int64)
        outcomes[0, 0] = int(rows.conversions.sum())
        touches = np.array([int(offsets[-1]), 0, 0, 0, 0], np.int64)
        return Cut(ragged, touches, outcomes, no_reasons(), np.zeros(6, np.int64))

    def player_frame(self) -> pl.DataFrame:
        """Every player, in the order of the codes."""
        assert self.channels.values is not None
        return self.channels.values[1:].alias(CHANNEL).to_frame()

    def game_frame(self) -> pl.DataFrame:
        """The one game, which has no name."""
        return pl.DataFrame()

    def tallies(self, sums: dict[Need, Tally]) -> Tallies:
        """Put players into the order of the credit table."""
        assert self.rows is not None
        assert self.channels.values is not None
        names = self.channels.values[1:]
        order = names.arg_sort().to_numpy()
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        full = np.concatenate([np.arange(FIRST_PLAYER), place + FIRST_PLAYER])
        named = {}
        for need, tally in sums.items():
            bits = max(tally.layout.bits, bits_for(len(full)))
            padded = np.arange(1 << bits, dtype=np.int64)
            padded[: len(full)] = full
            named[need] = tally.recode(replace(tally.layout, bits=bits), padded)
        counts = np.stack([self.rows.conversions, self.rows.nulls], axis=1).reshape(-1)
        return Tallies(
            names.gather(order).alias(CHANNEL).to_frame(), pl.DataFrame(), Units("paths", counts), named,
            with_units=False, has_times=False, silent=self._silent,
        )  # fmt: skip

    def ledger(self, _fates: Fates, totals: Tally) -> Ledger:
        """Account for every row, conversion and value."""
        assert self.rows is not None
        counted, value_in, rejected, value_rejected, bad_rows = self._counts_in
        unattributed = int(totals.counts("unattributed").sum())
        unattributed_value = math.fsum(totals.column("unattributed_value"))
        # a null journey has a touch: the nulls of an empty path are none
        used = (self.rows.conversions > 0) | ((self.rows.nulls > 0) & (np.diff(self.rows.offsets) > 0))
        entries: dict[tuple[str, str], tuple[int, float | None]] = {
            ("paths", "in"): (len(used) + bad_rows, None),
            ("paths", "used"): (int(used.sum()), None),
            ("paths", "without_effect"): (int((~used).sum()), None),
            ("paths", "rejected"): (bad_rows, None),
            ("outcomes", "in"): (counted, value_in),
            ("outcomes", "credited"): (int(totals.counts("conversions").sum()), math.fsum(totals.column("value"))),
            ("outcomes", "unattributed"): (unattributed, unattributed_value),
            ("outcomes", "rejected"): (rejected, value_rejected),
        }
        return Ledger(entries, tuple(self._warnings()), join_rejected(self._rejected), findings=self._findings())

    def _findings(self) -> tuple[Finding, ...]:
        assert self.rows is not None
        assert self.channels.values is not None
        rows = np.bincount(self.rows.players, minlength=self.n_player_codes)
        counts = dict(zip(self.channels.values[1:].to_list(), rows.tolist(), strict=True))
        path = self.recipe.theirs.get(PATH, PATH)
        separator = self.recipe.separator if self._texts else None
        ends = states(self.rows.offsets, self.rows.players, list(counts), path, separator)
        found = (*self.recipe.found, near_names(counts, "paths", CHANNEL), self._equal, self._silent, ends)
        return tuple(finding for finding in found if finding is not None)

    def _warnings(self) -> Iterator[str]:
        assert self.channels.values is not None
        if self._as_lists is not None:
            yield self._as_lists
        elif self._texts:
            names = self.channels.values.cast(pl.String).drop_nulls()
            yield from other_separators(names, self.recipe.separator, split=self._split)


def _from_flags(theirs: Mapping[str, str], column: str, flag: str = "") -> str:
    """How to count what flags say of journeys, one a row."""
    name = theirs.get(column, column)
    yes = f"{flag or f'pl.col({name!r})'}.cast(pl.Int64)" + (f".alias({name!r})" if flag else "")
    if column != CONVERSIONS or NULLS in theirs:
        return f"cast it: {yes}"
    return f"one row a journey? Then count both sides: table.with_columns({yes}, nulls=1 - {yes}), nulls='nulls'"


def _as_lists(paths: pl.Series) -> pl.Series:
    """Paths that are lists, as lists of texts."""
    if isinstance(paths.dtype, pl.Array):
        paths = paths.arr.to_list()
    return paths.cast(pl.List(pl.String))


def _blank_parts(paths: pl.Series) -> pl.Series:
    """Whether a list holds a name that is null, empty or white space."""
    nameless = pl.element().is_null() | (pl.element().str.strip_chars().str.len_bytes() == 0)
    return (
        paths.to_frame("path").select(pl.col("path").list.eval(nameless).list.any().fill_null(value=False)).to_series()
    )


def _flat(paths: pl.Series) -> tuple[Ints, pl.Series]:
    """Offsets of lists without nulls, and their items one after the other."""
    lengths = paths.list.len().to_numpy().astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return offsets, paths.filter(pl.Series(lengths > 0)).explode()


def _finite_sum(frame: pl.DataFrame, column: str) -> float:
    values = frame[column].fill_null(0.0).to_numpy()
    finite = values[np.isfinite(values)]
    size = add_sizes(0.0, finite, "paths")
    whole = size < 2.0**53 and (finite == np.floor(finite)).all()
    return float(finite.sum()) if whole else math.fsum(finite)  # counts add up exactly in any order
