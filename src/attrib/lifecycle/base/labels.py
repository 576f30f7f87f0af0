"""What classifiers are given beside a frame of features, checked: labels, amounts, customers and their folds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError, SpecError
from attrib.lifecycle.base.design import collected as as_table
from attrib.lifecycle.base.estimator import needs

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


def column(name: str, values: Any, rows: int | None = None) -> npt.NDArray[Any]:
    """One value for each row, of any library, without nulls.

    Raises
    ------
    DataError
        ``bad_shape``, ``different_lengths``, ``null_values``.
    """
    array = np.asarray(values)
    if array.dtype.kind == "U" and not isinstance(values, np.ndarray):
        array = np.asarray(values, dtype=object)  # numpy would write None and numbers among texts as texts
    if array.ndim != 1:
        raise DataError("bad_shape", f"{name} has {array.ndim} dimensions, not 1", hint="pass one column")
    if rows is not None and len(array) != rows:
        raise DataError("different_lengths", f"{name} has {len(array)} values for {rows} rows")
    nulls = 0
    if array.dtype.kind == "f":
        nulls = int(np.isnan(array).sum())
    elif array.dtype.kind == "O":  # None, NaN and the NA of pandas are what is not equal to itself, or None
        nulls = sum(1 for value in array if value is None or type(value).__name__ == "NAType" or value != value)  # noqa: PLR0124
    if nulls:
        raise DataError(
            "null_values", f"{nulls} of {len(array)} values of {name} are null", hint="leave those rows out"
        )
    return array


def read_labels(y: Any, rows: int | None = None) -> tuple[npt.NDArray[Any], Bools]:
    """Read the two classes, sorted, and which rows are of the second one.

    Parameters
    ----------
    y : array-like
        True and false, 0 and 1, or two texts; the later one in sorted order is what is predicted.
    rows : int, optional
        How many there must be.

    Raises
    ------
    DataError
        ``one_class``, ``bad_labels``, and those of `column`.
    """
    array = column("y", y, rows)
    kind: str = array.dtype.kind
    if kind == "O":
        kinds = {"b" if isinstance(v, (bool, np.bool_)) else "U" if isinstance(v, str) else "?" for v in array}
        kind = kinds.pop() if len(kinds) == 1 else "?"
        array = array.astype({"b": np.bool_, "U": np.str_}.get(kind, object))
    kind = kind if kind in "bUifu" else "?"
    classes = array[:0] if kind == "?" else np.unique(array)
    known = kind in "bU" or set(classes.tolist()) <= {0, 1}
    if kind == "?" or len(classes) > 2 or not known:
        shown = ", ".join(repr(value)[:40] for value in classes[:4].tolist())
        raise DataError(
            "bad_labels",
            f"y is neither true and false, nor 0 and 1, nor two texts{': it holds ' + shown if shown else ''}",
            hint="compare with a value first, e.g. y = count > 0",
        )
    if len(classes) < 2:
        one = repr(classes[0].item())[:40] if len(classes) else "nothing"
        raise DataError("one_class", f"y is {one} in all {len(array)} rows", hint="a model needs both outcomes")
    return classes, np.asarray(array == classes[1])


def read_amounts(name: str, values: Any, rows: int) -> Floats:
    """Read finite numbers ≥ 0, one a row.

    Raises
    ------
    DataError
        ``bad_amount``, and those of `column`.
    """
    array = column(name, values, rows)
    try:
        numbers = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError("bad_amount", f"{name} holds values that are no numbers") from error
    wrong = int((~np.isfinite(numbers) | (numbers < 0)).sum())
    if wrong:
        raise DataError("bad_amount", f"{wrong} of {rows} values of {name} are negative or infinite")
    return numbers


def read_flags(name: str, values: Any, rows: int) -> Bools:
    """Read true and false (or 0 and 1), one a row; both need not occur.

    Raises
    ------
    DataError
        ``bad_flag``, and those of `column`.
    """
    array = column(name, values, rows)
    if not set(np.unique(array.astype(object) if array.dtype.kind == "O" else array).tolist()) <= {0, 1}:
        raise DataError("bad_flag", f"{name} is not true or false in each row")
    return array.astype(np.bool_)


def read_customers(customers: Any, rows: int) -> Integers:
    """Number the customers of the rows from 0; every row is a customer of its own where none are given.

    Raises
    ------
    DataError
        Those of `column`.
    """
    if customers is None:
        return np.arange(rows)
    names = pl.Series("customers", column("customers", customers, rows), strict=False)
    return names.rank("dense").to_numpy().astype(np.int64) - 1


def customer_folds(positive: Bools, customers: Integers, folds: int, seed: int) -> Integers:
    """Deal customers into folds, those with a positive row evenly: all rows of a customer are in one fold.

    Parameters
    ----------
    positive : bool [n]
    customers : int [n]
        From `read_customers`.
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
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
            raise SpecError("bad_parameter", f"{name} = {value!r} is not a whole number from {low} to {high}")
