"""What classifiers are given beside a frame of features, checked: labels, and the folds of customers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError
from attrib.extras import needs
from attrib.io.text import clean
from attrib.lifecycle.base.beside import as_flags, is_text, read_column, refuse_nulls
from attrib.lifecycle.base.design import collected as as_table
from attrib.values import whole_number

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
MAX_SEED = 2**32 - 1  # of scikit-learn


def collected(frame: Any, rows: int | None = None) -> pl.DataFrame:
    """Bring a frame of features to polars; with ``rows``, check its height.

    Raises
    ------
    DataError
        ``no_rows``, ``different_lengths``.
    """
    table = as_table(frame)
    if table.is_empty():
        raise DataError("no_rows", "features has 0 rows", hint="a model needs customers")
    if rows is not None and table.height != rows:
        raise DataError("different_lengths", f"features has {table.height} rows, the labels are {rows}")
    return table


def read_labels(y: Any, rows: int | None = None) -> tuple[npt.NDArray[Any], Bools]:
    """Read the two classes, sorted, and which rows are of the second one.

    Parameters
    ----------
    y : array-like
        True and false, 0 and 1, or two texts; what is predicted is the later one in sorted order (so Yes of Yes and
        No, whichever way they are written).
    rows : int, optional
        How many there must be.

    Raises
    ------
    DataError
        ``one_class``, ``bad_labels``, ``null_values`` and those of `read_column`.
    """
    series = read_column("y", y, rows)
    refuse_nulls(series)
    texts = is_text(series)
    series = series.cast(pl.String) if texts else series
    classes = series.unique().sort()
    if texts and (said := as_flags(classes)) is not None:
        classes = classes.gather(said.arg_sort())  # of "no" and "Yes", Yes comes second
    known = texts or series.dtype in (pl.Boolean, pl.Null) or (as_flags(classes) is not None)
    if len(classes) > 2 or not known:
        shown = ", ".join(repr(clean(value, 40)) for value in classes.head(4).cast(pl.String))
        raise DataError(
            "bad_labels",
            f"y is neither true and false, nor 0 and 1, nor two texts: it holds {shown}",
            hint="compare with a value first, e.g. y = count > 0",
        )
    if len(classes) < 2:
        one = repr(clean(classes[0], 40)) if len(classes) else "nothing"
        raise DataError("one_class", f"y is {one} in all {len(series)} rows", hint="a model needs both outcomes")
    found = np.array(classes.to_list(), np.str_) if texts else classes.to_numpy()
    return found, (series == classes[1]).to_numpy()


def customer_folds(positive: Bools, customers: Integers, folds: int, seed: int) -> Integers:
    """Deal customers into folds, those with a positive row evenly: all rows of a customer are in one fold.

    Parameters
    ----------
    positive : bool [n]
    customers : int [n]
        From `read_customers` of beside.py.
    folds, seed : int

    Returns
    -------
    int [n]
        Fold of each row, from 0.

    Raises
    ------
    DataError
        ``too_few_of_a_class`` where a class has fewer customers than there are folds.
    """
    ever = np.zeros(int(customers.max()) + 1, dtype=np.bool_)
    ever[customers[positive]] = True
    never = np.zeros_like(ever)
    never[customers[~positive]] = True
    least = min(int(ever.sum()), int(never.sum()))
    if least < folds:
        raise DataError(
            "too_few_of_a_class",
            f"{ever.sum()} customers have a positive row and {never.sum()} a negative one: too few for {folds} folds",
            hint="fewer folds, or more data",
            positive=int(ever.sum()),
            negative=int(never.sum()),
        )
    split = needs("sklearn.model_selection").KFold(folds, shuffle=True, random_state=seed)
    out = np.empty(len(ever), dtype=np.int64)
    for part in (ever, ~ever):
        at = np.flatnonzero(part)
        if len(at) < folds:  # where nearly all customers have rows of both classes
            out[at] = np.arange(len(at))
            continue
        for number, (_, test) in enumerate(split.split(at)):
            out[at[test]] = number
    return out[customers]


def check_seed_and_folds(seed: Any, folds: Any) -> None:
    """Check both for scikit-learn.

    Raises
    ------
    SpecError
        ``bad_parameter``.
    """
    for name, value, low, high in (("seed", seed, 0, MAX_SEED), ("folds", folds, 2, 100)):
        whole_number(name, value, low, high)
