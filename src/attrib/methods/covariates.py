"""What is known of customers beside their touches and outcomes, and since when."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.engines.customers import hash_customers
from attrib.engines.reading import mixed_zones
from attrib.errors import DataError
from attrib.io.collecting import collect_table
from attrib.kernels.periods import Known
from attrib.schemas import CUSTOMER, TIME

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]
MOST_LEVELS = 50
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Covariates:
    """A frame that is equal to another by its content.

    Parameters
    ----------
    frame : polars.DataFrame
        ``customer_id``, optionally ``timestamp`` from when a row holds, and what is known.
    digest : str
        Hash of the content.
    """

    frame: pl.DataFrame = field(compare=False, repr=False)
    digest: str

    def __str__(self) -> str:
        return "+".join(self.names)

    @property
    def names(self) -> list[str]:
        """What is known."""
        return [name for name in self.frame.columns if name not in (CUSTOMER, TIME)]

    @staticmethod
    def of(given: Any) -> Covariates:
        """Read and check a frame, or a file of one.

        Parameters
        ----------
        given : frame, str or Path
            What `attrib.Journeys.from_events` takes as a table, too.

        Raises
        ------
        SpecError
            ``bad_table``.
        DataError
            As of any table; ``missing_column``, ``bad_covariate``, ``doubled_covariates``.

        Examples
        --------
        >>> str(Covariates.of(pl.DataFrame({"customer_id": ["a", "b"], "income": [1.0, None], "vip": [True, False]})))
        'income+vip'
        """
        if isinstance(given, Covariates):
            return given
        frame = collect_table(given, "covariates")
        if CUSTOMER not in frame.columns or frame.width == 1 + (TIME in frame.columns):
            raise DataError(
                "missing_column", f"covariates have the columns {', '.join(frame.columns) or 'none'}",
                hint=f"give {CUSTOMER}, optionally {TIME}, and one column or more of what is known",
            )  # fmt: skip
        keys = [name for name in (CUSTOMER, TIME) if name in frame.columns]
        if TIME in keys and frame.schema[TIME] == pl.String:
            frame = frame.with_columns(pl.col(TIME).str.to_datetime(strict=False))
        if TIME in keys and not frame.schema[TIME].is_temporal():
            raise DataError("bad_covariate", f"covariates: {TIME} holds {frame.schema[TIME]}, not times")
        for name in keys:
            if frame[name].null_count():
                raise DataError(
                    "bad_covariate", f"covariates: {frame[name].null_count():,} rows have no {name} that can be read"
                )
        doubled = frame.filter(frame.select(keys).is_duplicated())
        if doubled.height:
            raise DataError(
                "doubled_covariates",
                f"covariates: {doubled.height:,} rows share their {' and '.join(keys)}, e.g. {doubled.row(0)[:3]!r}",
                hint=f"keep one row each, or give them a {TIME} from when they hold",
            )
        for name in frame.columns:
            if name not in keys:
                _check(frame[name])
        text = frame.sort(keys)
        mark = sha256(repr(list(frame.schema.items())).encode())
        mark.update(
            text.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String)).hash_rows(0).to_numpy().tobytes()
        )
        return Covariates(text, mark.hexdigest())

    def known(self, keys: Words, ids: str, origin: int, ticks: int, *, aware: bool | None) -> tuple[Known, list[str]]:
        """Match the rows to customers, and write them in numbers.

        Parameters
        ----------
        keys : uint64 [N]
            Hashes of the customers' ids.
        ids : {"text", "integer", "unsigned"}
            What the ids are.
        origin, ticks : int
            Instant from which days are counted, in ticks, and how many of them are a second.
        aware : bool or None
            Whether times carry a zone.

        Returns
        -------
        (Known, list of str)
            One row or more for each customer, and the names of its columns: ``name``, ``name = level`` of texts, and
            ``name is missing``. A customer without a row has a missing one.
        """
        frame = self.frame
        days = np.full(frame.height, -np.inf)
        if TIME in frame.columns:
            times = frame[TIME]
            zone = getattr(times.dtype, "time_zone", None) is not None
            if aware is not None and times.dtype != pl.Date and zone != aware:
                raise mixed_zones("journeys", "covariates")
            micro = times.cast(pl.Datetime("us")).to_physical().to_numpy()
            days = (micro / 1e6 - origin / ticks) / DAY
        words = hash_customers(_as_ids(frame[CUSTOMER], ids), ids)[0]
        order = np.lexsort((days, words))
        words, days = words[order], days[order]
        low, high = np.searchsorted(words, keys), np.searchsorted(words, keys, side="right")
        counts = np.maximum(high - low, 1)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        rows = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - low, counts)
        absent = np.repeat(high == low, counts)
        rows = np.where(absent, 0, rows) if len(words) else np.zeros(len(rows), np.int64)
        columns, names = [], []
        for name in self.names:
            numbers, called = _numbers(frame[name])
            taken = numbers[order][rows] if len(order) else np.zeros((len(rows), len(called)))
            taken[absent] = np.nan
            missing = np.asarray(np.isnan(taken).any(axis=1))
            usual = taken[~missing].mean(axis=0) if not missing.all() else np.zeros(taken.shape[1])
            columns.append(np.where(np.isnan(taken), usual, taken))
            names += called
            if missing.any():
                columns.append(missing[:, None].astype(np.float64))
                names.append(f"{name} is missing")
        time = days[rows] if len(days) else np.full(len(rows), -np.inf)
        return Known(offsets, time, np.ascontiguousarray(np.concatenate(columns, axis=1))), names


def _check(column: pl.Series) -> None:
    kind = column.dtype
    texts = kind in (pl.String, pl.Categorical, pl.Enum)
    if not (kind.is_numeric() or texts or kind in (pl.Boolean, pl.Null)):
        raise DataError(
            "bad_covariate", f"covariates: {column.name} holds {kind}", hint="give numbers, booleans or texts"
        )
    if texts and column.n_unique() > MOST_LEVELS + 1:
        raise DataError(
            "bad_covariate", f"covariates: {column.name} has {column.n_unique():,} different texts",
            hint=f"group them into at most {MOST_LEVELS}, or leave it out",
        )  # fmt: skip
    if kind.is_float() and column.is_infinite().any():
        raise DataError("bad_covariate", f"covariates: {column.name} holds infinite numbers", hint="give null")


def _numbers(column: pl.Series) -> tuple[Floats, list[str]]:
    """A column in numbers, NaN where missing, and their names; a text has one for each of its levels."""
    if column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null):
        return column.cast(pl.Float64).fill_null(np.nan).to_numpy()[:, None].copy(), [column.name]
    texts = column.cast(pl.String)
    levels = texts.drop_nulls().unique().sort().to_list()
    if not levels:
        return np.full((len(texts), 1), np.nan), [column.name]
    there = texts.is_not_null().to_numpy()
    numbers = np.stack([texts.eq_missing(level).to_numpy().astype(np.float64) for level in levels], axis=1)
    numbers[~there] = np.nan
    return numbers, [f"{column.name} = {level}" for level in levels]


def _as_ids(series: pl.Series, kind: str) -> pl.Series:
    if kind == "text":
        return series.cast(pl.String)
    whole = series.dtype.is_integer()
    if series.dtype == pl.String:  # of a CSV file
        series = series.cast(pl.Int64, strict=False)
        whole = not series.null_count()
    if not whole:
        raise DataError(
            "bad_covariate", f"covariates: {CUSTOMER} holds {series.dtype}, and the journeys have whole numbers",
            hint="give the ids as they are in the journeys",
        )  # fmt: skip
    return series.cast(pl.UInt64 if kind == "unsigned" else pl.Int64)
