"""Were actions chosen as is said? By lot, or with logged chances, they depend on nothing that was known."""

from __future__ import annotations

import numpy as np
import polars as pl

from attrib.io.text import clean
from attrib.lifecycle.base.labels import Floats, Integers
from attrib.lifecycle.judging.power import cell_codes
from attrib.values import normal_quantile

_CHANCE = 0.001  # that anything is told of true chances, all cells and actions together
_LEAST = 0.1  # and by how much a cell's mean must be off: of millions of rows, rounded chances are far in errors


def chosen_by(table: pl.DataFrame, taken: Integers, chance: Floats, codes: Integers) -> dict[str, float]:
    """Columns on whose values the actions depend beyond their stated chances, each with the mean that is most off.

    Over all rows of a cell (of one value, or of near numbers), rows with an action count 1 / its chance, others 0: of
    true chances the mean is 1, whatever the cell. Variances are over customers, whose rows may have one lot; where an
    action is rare in a cell, at least that of rows like the average.

    Parameters
    ----------
    table : polars.DataFrame
        What was known before the actions.
    taken : int [n]
        The action of each row, numbered from 0.
    chance : float64 [n]
        The chance that it had.
    codes : int [n]
        Whose row it is.

    Returns
    -------
    dict of str to float
        The column furthest off first.
    """
    cells = {column.name: cell_codes(column) for column in table}
    actions = int(taken.max(initial=0)) + 1
    tests = sum(int(cell.max(initial=0)) + 1 for cell in cells.values()) * actions
    far = normal_quantile(1 - _CHANCE / max(tests, 1))
    found: dict[str, tuple[float, float]] = {}
    for number in range(actions):
        inverse = np.where(taken == number, 1 / chance, 0.0)
        usual = float((inverse * (inverse - 1)).mean())  # variance of a row's 1 / chance, on average
        for name, cell in cells.items():
            rows = np.bincount(cell)
            mean = np.bincount(cell, inverse) / np.maximum(rows, 1)
            variance = np.maximum(_over_customers(cell, codes, inverse - 1), rows * usual)
            with np.errstate(divide="ignore", invalid="ignore"):
                off = np.where(rows > 0, np.abs(mean - 1) * rows / np.sqrt(variance), 0.0)
            off[np.abs(mean - 1) < _LEAST] = 0.0
            worst = int(off.argmax())
            if off[worst] > far and off[worst] > found.get(name, (0.0, 0.0))[0]:
                found[name] = (float(off[worst]), float(mean[worst]))
    return {name: mean for name, (_, mean) in sorted(found.items(), key=lambda item: -item[1][0])}


def _over_customers(cell: Integers, codes: Integers, values: Floats) -> Floats:
    """Sum over the customers of a cell of the square of what their values in it add up to."""
    width = int(codes.max(initial=0)) + 1
    pairs, own = np.unique(cell * width + codes, return_inverse=True)
    sums = np.asarray(np.bincount(own, values), dtype=np.float64)
    return np.asarray(np.bincount(pairs // width, sums**2, minlength=int(cell.max(initial=0)) + 1), dtype=np.float64)


def told(found: dict[str, float]) -> str:
    """Say what `chosen_by` found, up to three columns.

    Examples
    --------
    >>> told({"visits": 0.4, "date": 1.2})
    "'visits' (inverse weights of some value have a mean of 0.40, not 1), 'date' (1.20)"
    """
    first, *more = found.items()
    listed = [f"{clean(first[0], 80)!r} (inverse weights of some value have a mean of {first[1]:.2f}, not 1)"]
    listed += [f"{clean(name, 80)!r} ({mean:.2f})" for name, mean in more[:2]]
    return ", ".join(listed) + (f" and {len(more) - 2} more" if len(more) > 2 else "")
