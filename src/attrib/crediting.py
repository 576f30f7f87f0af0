"""attrib.credit: several methods, one pass over the journeys, one table."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from attrib.errors import AttribError, SpecError, brief
from attrib.intervals import bounds_of, resampling_of
from attrib.kernels.codes import FIRST_PLAYER
from attrib.methods import METHODS
from attrib.methods.base import (
    Cells,
    Method,
    cells_of,
    check_journeys,
    check_unique,
    credit_frame,
    observe,
    sums_for,
    touch_rule_of,
    warn_about,
)
from attrib.methods.elsewhere import named_here
from attrib.methods.rules import Linear
from attrib.schemas import CONVERSIONS
from attrib.values import yes_or_no

if TYPE_CHECKING:
    import polars as pl

    from attrib.engines.base import Tallies
    from attrib.journeys import Journeys

Floats = npt.NDArray[np.float64]
SAMPLE = 20_000  # rows that a slow method is tried on: seconds


def credit(
    journeys: Journeys,
    methods: Method | Sequence[Method] | Mapping[str, Method],
    *,
    intervals: float | None = 0.95,
    replicates: int = 1000,
    seed: int = 0,
    flag: bool = False,
) -> pl.DataFrame:
    """Credit every player of every game by several methods.

    Parameters
    ----------
    journeys : Journeys
        From :meth:`attrib.Journeys.from_events` or :meth:`attrib.Journeys.from_paths`.
    methods : Method, sequence of Method, or mapping of str to Method
        A mapping gives the names of the ``method`` column; otherwise labels such as ``markov(order=1)``.
    intervals : float or None
        Level of the intervals, or None for none. They are percentiles of the bootstrap; where a method takes too long
        to solve a thousand times (its docstring says so) they come from a jackknife over 20 groups of buckets.
    replicates : int
        Draws of the bootstrap.
    seed : int
        The same seed gives the same intervals.
    flag : bool
        Whether to add a column ``thin``: true where a row has fewer than 50 conversions, or they come from fewer than
        40 of the 256 buckets of customers. Intervals are known to hold what they promise for the others only.

    Returns
    -------
    polars.DataFrame
        Columns by docs/semantics.md, section 10: the ``by`` columns, ``stage``, the player's columns, ``kind``,
        ``method``, ``conversions``, ``value``, ``share``, ``effect``, ``conversions_se``; with intervals
        ``conversions_low`` … ``effect_high``; with flags ``thin``. Values in the unit of the outcomes' ``value``.

    Raises
    ------
    SpecError
        If a method or an interval setting is not what it must be.
    DataError
        If the data cannot be read as journeys.
    SolveError
        If a method has no answer for them.
    ResourceError
        If memory or disk do not suffice.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> paths = pl.DataFrame({"path": ["ad > mail", "mail"], "total_conversions": [40, 20], "total_null": [60, 20]})
    >>> journeys = attrib.Journeys.from_paths(paths)
    >>> table = attrib.credit(journeys, [attrib.LastTouch(), attrib.Markov(order=1)], intervals=None)
    >>> table = table.filter(kind="player").with_columns(pl.col("conversions").round(6))
    >>> table.pivot("method", index="channel", values="conversions").rows()
    [('ad', 0.0, 25.0), ('mail', 60.0, 35.0)]
    """
    check_journeys(journeys)
    named = named_methods(methods)
    resampling = resampling_of(journeys.engine, intervals, replicates, seed)
    flag = yes_or_no("flag", flag)
    converting = [Linear()] if flag else []  # credits all players of the journeys that convert
    tallies = sums_for(journeys, [*named.values(), *converting], units=flag or resampling is not None)
    cells = cells_of(tallies)
    answers = [(label, method, observe(method, tallies, cells)) for label, method in named.items()]
    bounds = None
    if resampling is not None:
        bounds = bounds_of([(method, credit) for _, method, credit in answers], tallies, cells, resampling)
    return credit_frame(answers, tallies, cells, bounds, filled_buckets(tallies, cells) if flag else None)


def tried(journeys: Journeys, methods: Mapping[str, Method]) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Find out whether methods have an answer for these journeys; those that take long are tried on a sample.

    Parameters
    ----------
    journeys : Journeys
        All of them are read, whatever is solved.
    methods : mapping of str to Method
        By the name in the credit table.

    Returns
    -------
    table : polars.DataFrame
        The credit table of the quick methods; of Linear if there is none.
    sampled : tuple of str
        Names of the others: they were solved with as little work as possible, on whole customers that together have
        about 20,000 rows. A method that fails there is solved as it stands before it is said to fail.

    Raises
    ------
    AttribError
        As :func:`credit` would.
    """
    tallies = sums_for(journeys, [*methods.values(), Linear()])
    cells = cells_of(tallies)
    slow = {label: method for label, method in methods.items() if method._jackknife(cells)}  # noqa: SLF001 - protected, not private
    quick = {label: method for label, method in methods.items() if label not in slow} or {"linear": Linear()}
    answers = [(label, method, observe(method, tallies, cells)) for label, method in quick.items()]
    for label, method in slow.items():
        if tallies.progress is not None:
            tallies.progress(f"trying {label}", 0, None)
        _try(method, tallies, cells)
    return credit_frame(answers, tallies, cells), tuple(slow)


def _try(method: Method, tallies: Tallies, cells: Cells) -> None:
    """Solve a method on a sample, and as it stands where that fails: the sample may be too small for it."""
    rows = {need: rows.some(SAMPLE) for need, rows in tallies.rows.items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the sample, or of the little work
            observe(method._trial(), replace(tallies, rows=rows, progress=None), cells)  # noqa: SLF001
    except AttribError:
        observe(method, tallies, cells)
    else:
        warn_about(method, tallies)


def filled_buckets(tallies: Tallies, cells: Cells) -> Floats:
    """Buckets in which each player is on a journey that converts; infinite of path tables: there journeys are drawn."""
    if tallies.units.kind != "buckets":
        return np.full(len(cells.game), np.inf)
    credited = tallies.get(touch_rule_of(Linear()))
    credited = credited.where(credited.column(CONVERSIONS) > 0)
    at = cells.find(credited.games, credited.player(0) - FIRST_PLAYER)
    return np.bincount(at, minlength=len(cells.game)).astype(np.float64)


def _as_method(given: object) -> str:
    """How to write what was given as a method: names of methods are for jobs, here they are classes."""
    if isinstance(given, type):
        return f"write {given.__name__}()"
    ours = named_here(given) if isinstance(given, str) else None
    if ours is None:
        return "e.g. attrib.Markov(order=1)"
    arguments = '{3: [0.4, 0.2, 0.4]}, otherwise="linear"' if ours == "custom_weights" else ""
    return f"write attrib.{METHODS[ours].__name__}({arguments})"


def named_methods(methods: Method | Sequence[Method] | Mapping[str, Method]) -> dict[str, Method]:
    """Methods by the name that the ``method`` column has for them.

    Raises
    ------
    SpecError
        ``bad_methods`` or ``duplicate_method``.
    """
    if isinstance(methods, (Method, type)):
        methods = [methods]
    if isinstance(methods, Mapping):
        pairs = list(methods.items())
    elif isinstance(methods, Sequence) and not isinstance(methods, str):
        pairs = [(method.label if isinstance(method, Method) else "", method) for method in methods]
    else:
        raise SpecError("bad_methods", f"methods = {brief(methods)} is not a list of methods", hint=_as_method(methods))
    for label, method in pairs:
        if not isinstance(method, Method):
            raise SpecError("bad_methods", f"{brief(method)} is not a method", hint=_as_method(method))
        if not isinstance(label, str) or not label.strip():
            raise SpecError("bad_methods", f"{brief(label)} is not a name for a method")
    if not pairs:
        raise SpecError("bad_methods", "there is no method", hint="e.g. [attrib.Markov(order=1)]")
    check_unique([label for label, _ in pairs])
    return dict(pairs)
