"""Why customers leave: the probability to have left for each cause, the other causes being at work too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError, warn
from attrib.lifecycle.base.beside import as_flags, check_same_rows, is_text, read_column, read_numbers
from attrib.lifecycle.contractual.riskset import RiskTable, entries
from attrib.values import normal_quantile

Floats = npt.NDArray[np.float64]
_NOT = ("", "0")  # texts of customers who are still there


def read_causes(name: str, values: Any, rows: int | None = None) -> pl.Series:
    """Read why customers left, one a row: null for those who are still there, also where it says 0, "" or No.

    Returns
    -------
    polars.Series
        Texts, whole numbers, or true: where a column says only whether a customer left, that is the cause.

    Raises
    ------
    DataError
        ``bad_dtype`` and those of `read_column`.

    Examples
    --------
    >>> read_causes("event", [0, 2, 1, None]).to_list(), read_causes("event", ["price", "", "moved"]).to_list()
    ([None, 2, 1, None], ['price', None, 'moved'])
    """
    series = read_column(name, values, rows)
    if is_text(series):
        series = series.cast(pl.String)
        left = ~series.str.strip_chars().is_in(_NOT)
    elif series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null):
        left = series != 0 if series.dtype.is_numeric() else series.cast(pl.Boolean)
        if series.dtype.is_float() and (series.drop_nulls() % 1 == 0).all():  # of pandas, for want of nulls
            series = series.cast(pl.Int64)
    else:
        raise DataError("bad_dtype", f"{name} is {series.dtype}, not causes", hint="give them as texts or numbers")
    said = as_flags(series)
    return series.set(~(left if said is None else said).fill_null(value=False), None)


@dataclass(frozen=True, slots=True)
class Incidence:
    """Times at which somebody left and who was at risk then, float64 [J]; how many left by cause, float64 [K, J]."""

    times: Floats
    at_risk: Floats
    by_cause: Floats

    @classmethod
    def of(cls, duration: Floats, cause: pl.Series, causes: pl.Series, entry: Floats | None = None) -> Self:
        """Count those who left for each of ``causes``; ``cause`` is null where a customer is still there."""
        table = RiskTable.of(duration, cause.is_not_null().to_numpy(), entry)
        counts = [_counts(duration[(cause == one).fill_null(value=False).to_numpy()], table.times) for one in causes]
        return cls(table.times, table.at_risk, np.array(counts, np.float64).reshape(len(causes), len(table.times)))

    def after(self, time: float) -> Self:
        """What lies ahead of those who are still there at a time."""
        later = self.times > time
        return type(self)(self.times[later], self.at_risk[later], self.by_cause[:, later])

    def unknown(self, points: Floats, longest: float, after: float = -1.0) -> npt.NDArray[np.bool_]:
        """Times of which nothing is known, [m]: nobody was at risk any more, though some had not left.

        Beyond the longest duration, unless all had left by then; from the time on at which all at risk left while
        others entered later; of customers who are still there at a time (``after``) when nobody was, all times.
        """
        all_left = len(self.times) > 0 and self.at_risk[-1] == self.by_cause[:, -1].sum()
        emptied = self.after(after).table().emptied(longest)
        if after >= 0 and (after >= longest or (all_left and after >= self.times[-1])):
            return np.ones(len(points), np.bool_)
        return (np.asarray(points > longest) & (not all_left)) | (points >= emptied)

    def table(self) -> RiskTable:
        """All causes together."""
        return RiskTable(self.times, self.at_risk, self.by_cause.sum(axis=0))

    def at(self, points: Floats) -> tuple[Floats, Floats]:
        """Incidence and its standard error (Gaynor's), float64 [K, m] each."""
        table = self.table()
        n, d, c = table.at_risk, table.left, self.by_cause
        before = np.append(1.0, table.survival())[:-1]  # who was there just ahead of each time
        incidence = np.cumsum(before * c / n, axis=1)
        # the sum over times of (I − own)²·a + b − 2·(I − own)·e, with I the incidence in the end, multiplied out;
        # where all leave, nothing is left to come: I − own = 0
        a = np.where(n > d, d / (n * np.where(n > d, n - d, 1.0)), 0.0)
        b, e = before**2 * c * (n - c) / n**3, before * c / n**2
        whole = np.cumsum(a * incidence**2 + b + 2 * e * incidence, axis=1)
        variance = incidence**2 * np.cumsum(a) - 2 * incidence * np.cumsum(a * incidence + e, axis=1) + whole
        upto = np.searchsorted(self.times, points, side="right")
        nothing = np.zeros((len(c), 1))
        value, spread = np.hstack([nothing, incidence]), np.hstack([nothing, np.sqrt(np.maximum(variance, 0.0))])
        return value[:, upto], spread[:, upto]


def warn_of_nobody(points: Floats, unknown: npt.NDArray[np.bool_], longest: float, first: float = 0.0) -> None:
    """Warn of times of which nothing is known: before the ``first`` entry, or after the last at risk."""
    early, late = unknown & (points < first), unknown & (points >= first)
    if early.any():
        warn(
            f"{int(early.sum())} of {len(points)} times, such as {points[early][0]:g}, are null: nobody was under "
            f"observation yet (the first customer entered at {first:g}); ask for later times"
        )
    if late.any():
        warn(
            f"{int(late.sum())} of {len(points)} times, such as {points[late][0]:g}, are null: nobody was at risk "
            f"then, and some had not left (the longest duration is {longest:g}); ask for earlier times"
        )


def _counts(left: Floats, times: Floats) -> Floats:
    return np.bincount(np.searchsorted(times, left), minlength=len(times)).astype(np.float64)


def with_bounds(points: Floats, value: Floats, spread: Floats, z: float) -> dict[str, Floats]:
    """Columns of one cause: times, incidence, and its interval by the delta method on the scale of log(−log)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = z * spread / (value * np.log(value))
        low, high = value ** np.exp(-scaled), value ** np.exp(scaled)
    known = (value > 0) & (value < 1)
    return {
        "time": points,
        "incidence": value,
        "incidence_low": np.where(known, low, np.nan),
        "incidence_high": np.where(known, high, np.nan),
    }


def cumulative_incidence(
    duration: Any, cause: Any, *, at: Any = None, entry: Any = None, level: float = 0.95
) -> pl.DataFrame:
    """Probability to have left for each cause by a time, the other causes being at work too (Aalen & Johansen).

    1 − Kaplan–Meier, which takes those who left for another cause as if they could still leave for this one,
    overstates it; it stands beside.

    Parameters
    ----------
    duration : array-like of float
        Time from the begin of the customer's relation to leaving, or to when they were last seen; any unit [n].
    cause : array-like
        Why the customer left (texts or numbers); null, 0 or an empty text while still there [n].
    at : array-like of float, optional
        Times to report, in the unit of ``duration``; by default all at which somebody left.
    entry : array-like of float, optional
        When the customer came under observation (left truncation).
    level : float
        Of the intervals.

    Returns
    -------
    polars.DataFrame
        ``cause, time, incidence, incidence_low, incidence_high, one_minus_km`` by cause and time. Intervals: delta
        method on the scale of log(−log); null where the incidence is 0. All null where nobody was at risk: beyond the
        longest duration, unless all had left, before the first customer came under observation, and from a time on at
        which all who had come under observation had left or were last seen, while others enter later (or at that
        very time).

    Raises
    ------
    DataError
        ``no_events`` where nobody left; those of bad durations.
    SpecError
        ``bad_parameter`` for a level outside (0, 1).

    References
    ----------
    Aalen & Johansen (1978), Scandinavian Journal of Statistics 5:141-150; Gaynor et al. (1993), Journal of the
    American Statistical Association 88:400-409 (the variance).

    Examples
    --------
    >>> cumulative_incidence([1, 2, 3, 4], ["price", "moved", "price", None], at=[3]).select(
    ...     "cause", "time", "incidence", pl.col("one_minus_km").round(4)
    ... ).rows()
    [('moved', 3.0, 0.25, 0.3333), ('price', 3.0, 0.5, 0.625)]
    """
    check_same_rows(duration=duration, cause=cause, entry=entry)
    length = read_numbers("duration", duration, least=0)
    why = read_causes("cause", cause, len(length))
    z = normal_quantile(level)
    begun = entries(entry, length)
    if not why.is_not_null().any():
        raise DataError("no_events", f"none of {len(length)} customers left: all causes are null")
    causes = why.drop_nulls().unique().sort()
    found = Incidence.of(length, why, causes, begun)
    points = found.times if at is None else read_numbers("at", np.atleast_1d(at), least=0)
    upto = np.searchsorted(found.times, points, side="right")
    parts = []
    for name, count, value, spread in zip(causes, found.by_cause, *found.at(points), strict=True):
        alone = np.append(1.0, np.cumprod(1 - count / found.at_risk))[upto]
        columns = {**with_bounds(points, value, spread, z), "one_minus_km": 1 - alone}
        parts.append(pl.DataFrame(columns).select(pl.lit(name, causes.dtype).alias("cause"), pl.all()))
    table = pl.concat(parts).with_columns(pl.col("incidence_low", "incidence_high").fill_nan(None))
    unknown = found.unknown(points, float(length.max())) | _unwatched(points, length, begun)
    warn_of_nobody(points, unknown, float(length.max()), 0.0 if begun is None else float(begun.min()))
    nobody = pl.Series(np.tile(unknown, len(causes)))
    numbers = table.columns[2:]
    return table.with_columns(pl.when(~nobody).then(pl.col(name)).alias(name) for name in numbers)


def _unwatched(points: Floats, length: Floats, begun: Floats | None) -> npt.NDArray[np.bool_]:
    """Times before anybody was watched, or after one at which nobody was, [m]."""
    if begun is None:
        return np.zeros(len(points), np.bool_)
    order = np.argsort(begun, kind="stable")
    reached = np.maximum.accumulate(length[order])
    gaps = np.flatnonzero(begun[order][1:] > reached[:-1])
    until = reached[gaps[0]] if len(gaps) else np.inf
    return np.asarray((points < begun.min()) | (points > until))
