"""How every customer was won: the journey to their first target outcome, and what they have been worth since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.diagnostics.cells import first_cells
from attrib.diagnostics.columns import OF_VALUES, check_sums, currency_beside, unread
from attrib.diagnostics.finding import tell
from attrib.engines.customers import hash_customers
from attrib.engines.paths import PathRecipe
from attrib.errors import DataError, SpecError
from attrib.io.amounts import number
from attrib.io.checks import is_blank
from attrib.io.sources import MORE, open_table
from attrib.io.tables import required
from attrib.io.text import clean
from attrib.kernels.codes import FIRST_PLAYER
from attrib.ragged import NEVER
from attrib.schemas import CUSTOMER, RENAME, VALUE
from attrib.stages import StageModel
from attrib.summing import touch_weights

if TYPE_CHECKING:
    from attrib.engines.base import Recipe
    from attrib.journeys import Journeys
    from attrib.needs import RuleSums
    from attrib.ragged import Events, Ragged

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
WHOLE_FLOATS = 2**53  # up to here a float holds every whole number
ID_TYPES = {"text": pl.String(), "integer": pl.Int64(), "unsigned": pl.UInt64()}


@dataclass(frozen=True, slots=True)
class Acquisitions:
    """All customers, in the order of their first target outcome (those without one last; ties by their hash).

    Attributes
    ----------
    words : uint64 [C, 1 or 2]
        Hash of the customer.
    unit : int64 [C]
        Bucket that is resampled.
    time : int64 [C]
        Instant of the first target outcome, in ticks; NEVER without one.
    value, first_value : float64 [C]
        Of all target outcomes, and of those at the first instant.
    game : int64 [C]
        Of the acquisition journey, -1 without one.
    offsets : int64 [C + 1]
        Touches of the acquisition journeys, by customer.
    players : int64 [M]
        Player of every touch, in the reader's codes from 0.
    weights : float64 [M]
        They sum to 1 over a journey.
    referral : bool [M]
        Whether the touch came over a referral channel.
    """

    words: npt.NDArray[np.uint64]
    unit: Ints
    time: Ints
    value: Floats
    first_value: Floats
    game: Ints
    offsets: Ints
    players: Ints
    weights: Floats
    referral: Bools
    reader: Any

    @property
    def acquired(self) -> Bools:
        """Which customers have a target outcome."""
        acquired: Bools = self.time != NEVER
        return acquired

    @property
    def without_touch(self) -> Bools:
        """Which customers have no touch to credit: those of no acquisition, too."""
        without: Bools = np.diff(self.offsets) == 0
        return without

    @property
    def ids(self) -> str:
        """How customers are compared: as ``text``, ``integer`` or ``unsigned``."""
        return str(self.reader.ids)

    def places(self, ids: pl.Series) -> Ints:
        """Number of each customer, -1 for null and for those who are none; ids as :func:`read_ids` gives them."""
        filled = ids.fill_null("" if ids.dtype == pl.String else 0)
        asked = pl.DataFrame({f"w{i}": word for i, word in enumerate(hash_customers(filled, self.ids))})
        known = pl.DataFrame({f"w{i}": self.words[:, i] for i in range(self.words.shape[1])}).with_row_index("place")
        found = asked.join(known, on=asked.columns, how="left", maintain_order="left")["place"]
        places: Ints = found.cast(pl.Int64).fill_null(-1).to_numpy().copy()
        places[ids.is_null().to_numpy()] = -1
        return places


def check_customers(journeys: Journeys, question: str) -> Recipe:
    """Recipe of journeys in which customers are won.

    Raises
    ------
    SpecError
        ``no_customers`` for a path table, ``no_acquisitions`` in the view advance, where a journey leads to a stage.
    """
    recipe = journeys._recipe  # noqa: SLF001 - analyses and the journeys they ask share it
    if isinstance(recipe, PathRecipe):
        raise SpecError("no_customers", f"{question} follows customers, and a path table has none")
    if isinstance(recipe.stages, StageModel) and recipe.view == "advance":
        raise SpecError(
            "no_acquisitions",
            f"{question} needs one journey that wins a customer; in the view advance there is one a stage",
            hint='form the journeys with view="resolved": credit by (stage, channel)',
        )
    return recipe


def acquisitions(journeys: Journeys, rule: RuleSums, channels: tuple[str, ...]) -> Acquisitions:
    """Find every customer's acquisition journey and its weights, in one pass."""
    parts: list[tuple[Any, ...]] = []
    reader: Any = None
    for reader, part in journeys.stream(partial(_acquire, rule, channels)):  # noqa: B007 - the last one knows all names
        parts.append(part)
    words, unit, time, value, first, game, lengths, players, weights, referral = (
        np.concatenate(arrays) for arrays in zip(*parts, strict=True)
    )
    # nothing below depends on which partition or thread a customer was met on
    keys = pl.DataFrame({"time": time, **{f"w{i}": words[:, i] for i in range(words.shape[1])}})
    order = keys.select(pl.arg_sort_by(keys.columns)).to_series().to_numpy().astype(np.int64)
    starts = (np.cumsum(lengths) - lengths)[order]
    lengths = lengths[order]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    touch = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    return Acquisitions(
        words[order], unit[order], time[order], value[order], first[order], game[order], offsets, players[touch],
        weights[touch], referral[touch], reader,
    )  # fmt: skip


def _acquire(rule: RuleSums, channels: tuple[str, ...], _reader: Any, events: Events, ragged: Ragged) -> Any:
    """Run on a thread of the pool: the customers of a partition."""
    weights = touch_weights(ragged, rule)
    n = len(events.unit)
    converting = np.flatnonzero(ragged.conversions > 0)  # a customer's journeys stand in the order of time
    customer = ragged.customer[converting]
    who, at = np.unique(customer, return_index=True)
    first = converting[at]
    lengths = np.diff(ragged.offsets)[first]
    stops = np.cumsum(lengths)
    touch = np.arange(stops[-1] if len(stops) else 0) + np.repeat(ragged.offsets[first] - (stops - lengths), lengths)
    time, game, counts = np.full(n, NEVER), np.full(n, -1), np.zeros(n, np.int64)
    own = np.zeros(n)
    time[who], game[who], counts[who], own[who] = ragged.end[first], ragged.game[first], lengths, ragged.value[first]
    return (
        events.identity, events.unit.astype(np.int64), time,
        np.bincount(customer, ragged.value[converting], minlength=n), own, game, counts,
        ragged.players[touch].astype(np.int64) - FIRST_PLAYER, weights[touch], ragged.is_direct(channels)[touch],
    )  # fmt: skip


def read_ids(series: pl.Series, ids: str, table: str) -> pl.Series:
    """Read a column of customers as the journeys compare them; null where a value can be none of them.

    Integers are compared with texts as decimal texts. Whole floats, which nulls in pandas make of integers, are read as
    the integers that they were.

    Raises
    ------
    DataError
        ``wrong_type``.
    """
    wanted, dtype = ID_TYPES[ids], series.dtype
    if isinstance(dtype, (pl.Categorical, pl.Enum)) or dtype in (pl.Int128, pl.UInt128):
        series = series.cast(pl.String)
    elif dtype.is_float():
        whole = series.fill_nan(None)
        odd = whole.filter((whole != whole.round()) | (whole.abs() > WHOLE_FLOATS))
        if len(odd):
            raise DataError(
                "wrong_type",
                f"{table}: column {series.name!r} holds the float {odd[0]!r}, which is no id",
                hint="read the column as text or as whole numbers",
                column=series.name,
            )
        series = whole.cast(pl.Int64)
    elif dtype not in (pl.String, pl.Null) and not dtype.is_integer():
        hint = "read the column as text or as whole numbers"
        raise DataError(
            "wrong_type", f"{table}: column {series.name!r} is {dtype}, not text or a whole number", hint=hint,
            column=series.name,
        )  # fmt: skip
    if series.dtype == pl.String and wanted != pl.String:
        read = series.cast(wanted, strict=False)
        return read.set(read.cast(pl.String) != series, None)  # "007" is another name than 7
    return series.cast(wanted, strict=False)


def lifetime_values(values: Any, won: Acquisitions) -> tuple[Floats, tuple[int, float]]:
    """Read a value for every customer.

    Returns
    -------
    (value, (others, their value)) : (float64 [C], (int, float))
        0 for customers who were never won and have none; how many customers of the table are none of the journeys, and
        what their values sum to.

    Raises
    ------
    DataError
        ``bad_values``, ``values_missing``, ``missing_columns``, ``wrong_type``, ``several_currencies``.
    """
    source = open_table(values, "values")
    required(source, [CUSTOMER, VALUE], hint=RENAME)
    more = [MORE] if MORE in source.schema else []
    money = currency_beside(source.schema, (CUSTOMER, VALUE))
    rows = source.collect(source.frame.select(CUSTOMER, VALUE, *money, *more))
    ids = read_ids(rows[CUSTOMER], won.ids, "values")
    dtype = rows.schema[VALUE]
    if not (dtype.is_numeric() or dtype in (pl.String, pl.Null)):
        raise DataError("wrong_type", f"values: column {VALUE!r} is {dtype}, not a number", column=VALUE)
    numbers = rows.select(number(VALUE, dtype)).to_series()
    if more:  # every CSV file has this column
        _refuse(rows, rows[MORE].is_not_null(), "have more cells than columns")
    _refuse(rows, rows[CUSTOMER].is_null(), "have no customer_id")
    _refuse(rows, ~numbers.is_finite().fill_null(value=False), "have a value that is no finite number")
    _refuse(rows, ids.is_duplicated() & ids.is_not_null(), "name a customer more than once")
    places = won.places(ids)
    found = places >= 0
    for column in money:
        check_sums(rows.filter(pl.Series(found)), "values", VALUE, "a table of values of each", column)
    for finding in unread("values", source.schema, (CUSTOMER, VALUE), OF_VALUES, first_cells(source)):
        tell(finding)
    out, known = np.zeros(len(won.time)), np.zeros(len(won.time), np.bool_)
    out[places[found]], known[places[found]] = numbers.to_numpy()[found], True
    lacking = int((won.acquired & ~known).sum())
    if lacking:
        raise DataError(
            "values_missing",
            f"{lacking:,} of {int(won.acquired.sum()):,} customers with a target outcome have no row in values",
            hint="add them: a customer of unknown worth would make channels look cheap",
            missing=lacking,
        )
    others = numbers.to_numpy()[~found]
    return out, (len(others), float(others.sum()))


def _refuse(rows: pl.DataFrame, broken: pl.Series, what: str) -> None:
    if broken.any():
        at = int(broken.arg_max() or 0)
        who = clean(rows[CUSTOMER][at], 40)
        raise DataError(
            "bad_values", f"{int(broken.sum()):,} of {len(broken):,} rows of values {what}; e.g. row {at:,}, {who!r}"
        )


def blank_as_null(ids: pl.Series) -> pl.Series:
    """Ids with null for texts that are empty or white space, and for NaN."""
    if ids.dtype == pl.String or isinstance(ids.dtype, (pl.Categorical, pl.Enum)):
        frame = ids.to_frame("id").with_columns(pl.col("id").cast(pl.String))
        return frame.select(pl.when(~is_blank("id")).then("id")).to_series().alias(ids.name)
    return ids.fill_nan(None) if ids.dtype.is_float() else ids


def channels_met(reader: Any) -> Sequence[str]:
    """Channels of all touches."""
    values = reader.touches.kinds.dictionaries[0].values
    return [] if values is None else values.drop_nulls().to_list()
