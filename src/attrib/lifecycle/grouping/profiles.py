"""What a persona is like, in a row of numbers and in a few words."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import SpecError
from attrib.io.text import clean
from attrib.lifecycle.base.beside import Floats, read_numbers
from attrib.schemas import CHANNEL, CUSTOMER, CUSTOMERS, SHARE, STAGE, VALUE

PERSONA = "persona"
TOLD = 3  # features that a profile spells, and channels that it lists
_WIDTH = 40  # characters of a name out of the data
PROFILE = {
    PERSONA: pl.String(),
    "size": pl.Int64(),
    SHARE: pl.Float64(),
    CUSTOMERS: pl.Int64(),
    "stages": pl.List(pl.Struct({STAGE: pl.String(), SHARE: pl.Float64()})),
    "channels": pl.List(pl.Struct({CHANNEL: pl.String(), SHARE: pl.Float64()})),
    VALUE: pl.Float64(),
    "churn_rate": pl.Float64(),
    "referral_rate": pl.Float64(),
    "distinguishing": pl.List(pl.String()),
}
Integers = npt.NDArray[np.int64]


def numbers_of(table: pl.DataFrame, name: str, given: Any, otherwise: str | None = None) -> Floats | None:
    """Read a number a row: a column of the table, or values given; NaN where it is not known.

    Raises
    ------
    SpecError
        ``bad_value`` for a column that the table lacks.
    DataError
        ``bad_dtype``, ``different_lengths``.
    """
    if given is None:
        given = otherwise if otherwise in table.columns else None
        if given is None:
            return None
    if isinstance(given, str):
        if given not in table.columns:
            near = get_close_matches(given, table.columns, n=1)
            hint = (
                f"did you mean {clean(near[0], _WIDTH)!r}?"
                if near
                else f"found: {clean(', '.join(table.columns), 500)}"
            )
            raise SpecError("bad_value", f"{name} = {clean(given, _WIDTH)!r} is no column of the snapshot", hint=hint)
        given = table[given]
    return read_numbers(name, given, table.height, nulls=True)


def tell_apart(matrix: Floats, plain: pl.DataFrame, columns: list[str], persona: Integers, k: int) -> list[list[str]]:
    """Features in which each persona differs most from everybody, in words, the most distinguishing first.

    The difference of means in standard deviations of all rows, on the scale that the mixture sees; the means that are
    told are those of the snapshot.
    """
    spread = matrix.std(axis=0)
    spread[spread == 0] = np.inf
    everybody = matrix.mean(axis=0)
    told: list[list[str]] = []
    for number in range(k):
        rows = persona == number
        if k == 1 or not rows.any():
            told.append([])
            continue
        distance = (matrix[rows].mean(axis=0) - everybody) / spread
        order = np.lexsort((np.arange(len(distance)), -np.abs(distance).round(12)))
        told.append([_spell(columns[at], distance[at], plain, matrix[:, at], rows) for at in order[:TOLD]])
    return told


def _spell(name: str, distance: float, plain: pl.DataFrame, values: Floats, rows: npt.NDArray[np.bool_]) -> str:
    """Such as ``high share of mail (0.8, all 0.3)``."""
    known = name in plain.columns and plain.schema[name].is_numeric()
    raw = plain[name].cast(pl.Float64).to_numpy() if known else values
    inside, everybody = float(np.nanmean(raw[rows])), float(np.nanmean(raw))
    return f"{'high' if distance > 0 else 'low'} {readable(name)} ({inside:.3g}, all {everybody:.3g})"


def readable(name: str) -> str:
    r"""Return a feature's name as people say it, safe to look at.

    Examples
    --------
    >>> readable("share:mail"), readable("recency_touch"), readable("share:\x1b[2J")
    ('share of mail', 'recency touch', 'share of �[2J')
    """
    kind, _, rest = name.partition(":")
    words = {"share": "share of ", "touches": "touches by ", "days_to": "days to ", "last": "last "}
    return clean(words[kind] + rest if rest and kind in words else name.replace("_", " "), _WIDTH)


def name_personas(told: list[list[str]]) -> tuple[str, ...]:
    """Short names from the two most distinguishing features; the number in front makes each one of its own.

    Examples
    --------
    >>> name_personas([["high value (9, all 3)", "low recency (1, all 7)", "high tenure (5, all 4)"], []])
    ('P1 high value, low recency', 'P2 everybody')
    """
    short = [", ".join(words.rpartition(" (")[0] for words in some[:2]) or "everybody" for some in told]
    return tuple(f"P{number} {words}" for number, words in enumerate(short, 1))


def profile(
    table: pl.DataFrame,
    persona: Integers,
    names: tuple[str, ...],
    told: list[list[str]],
    facts: dict[str, Floats | None],
) -> pl.DataFrame:
    """One row for each persona: see `attrib.personas`."""
    rows = []
    for number, name in enumerate(names):
        mask = persona == number
        own = table.filter(pl.Series(mask))
        rows.append(
            {
                PERSONA: name,
                "size": own.height,
                SHARE: own.height / table.height,
                CUSTOMERS: own[CUSTOMER].n_unique(),
                "stages": _stages(own),
                "channels": _channels(own),
                **{fact: _mean(values, mask) for fact, values in facts.items()},
                "distinguishing": told[number],
            }
        )
    return pl.DataFrame(rows, schema=PROFILE)


def _mean(values: Floats | None, mask: npt.NDArray[np.bool_]) -> float | None:
    known = np.empty(0) if values is None else values[mask & ~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _stages(own: pl.DataFrame) -> list[dict[str, Any]]:
    """Share of each stage, largest first."""
    if STAGE not in own.columns:
        return []
    counts = own.group_by(pl.col(STAGE).cast(pl.String)).len(CUSTOMERS)
    counts = counts.sort(pl.col(CUSTOMERS), pl.col(STAGE), descending=[True, False])
    return [{STAGE: stage, SHARE: count / own.height} for stage, count in counts.rows()]


def _channels(own: pl.DataFrame) -> list[dict[str, Any]]:
    """The channels with the largest shares of the persona's touches in the window."""
    columns = [name for name in own.columns if name.startswith("touches:") and own.schema[name].is_numeric()]
    sums = [(name.partition(":")[2], float(own[name].sum())) for name in columns]
    whole = sum(count for _, count in sums)
    ranked = sorted((item for item in sums if item[1] > 0), key=lambda item: (-item[1], item[0]))
    return [{CHANNEL: name, SHARE: count / whole} for name, count in ranked[:TOLD]]
