"""What the columns of a frame are before anything is learned: keys, labels, numbers written as texts."""

from __future__ import annotations

from typing import Any

import polars as pl

from attrib.errors import DataError, warn
from attrib.schemas import CUSTOMER, DATE, NAMED, require_columns

KEYS = (CUSTOMER, DATE)
LABELS = ("label", "duration", "event")  # columns that attrib.snapshot adds to the features
MAX_LEVELS = 20  # different texts, up to which numbers may be names of categories


def take_named(table: pl.DataFrame, given: dict[str, Any]) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Take what callers gave by the name of a column out of the features.

    Raises
    ------
    DataError
        ``missing_columns``.

    Examples
    --------
    >>> features, given = take_named(pl.DataFrame({"age": [30, 40], "asked": [1, 0]}), {"asked": "asked", "by": None})
    >>> features.columns, given["asked"].to_list(), given["by"]
    (['age'], [1, 0], None)
    """
    named = list(dict.fromkeys(value for value in given.values() if isinstance(value, str)))
    require_columns("features", table.columns, named, hint=NAMED)
    found = {name: table[value] if isinstance(value, str) else value for name, value in given.items()}
    return table.drop(named), found


def features_only(table: pl.DataFrame) -> pl.DataFrame:
    """Leave out the keys of a snapshot, and refuse its labels.

    Keys (``customer_id``, ``date``) say nothing of customers to come: they are left out with a warning. Labels
    (``label`` and ``event`` of zeros and ones, ``duration`` of numbers from 0) would tell a model what it is to
    predict: they are refused. Columns of other contents that bear these names are features.

    Raises
    ------
    DataError
        ``label_among_features``.

    Examples
    --------
    >>> features_only(pl.DataFrame({"event": ["fair", "web"], "visits": [1, 2]})).columns
    ['event', 'visits']
    >>> features_only(pl.DataFrame({"label": [0, 1], "visits": [1, 2]}))
    Traceback (most recent call last):
    ...
    attrib.errors.DataError: features holds 'label', which is what snapshots call the answer; leave it out, \
X.drop("label") (pandas: X.drop(columns="label")); if it is a feature that only bears the name, rename it
    """
    found = [name for name in LABELS if name in table.columns and _is_label(table[name])]
    if found:
        spelt = ", ".join(map(repr, found))
        listed = ", ".join(f'"{name}"' for name in found)
        it, those = ("it", listed) if len(found) == 1 else ("them", f"[{listed}]")
        raise DataError(
            "label_among_features",
            f"features holds {spelt}, which is what snapshots call the answer",
            hint=f"leave {it} out, X.drop({listed}) (pandas: X.drop(columns={those})); "
            "if it is a feature that only bears the name, rename it",
            columns=found,
        )
    keys = [name for name in KEYS if name in table.columns]
    if keys:
        warn(f"{', '.join(keys)} of features say which row it is, and nothing of the customer: left out")
    return table.drop(keys)


def _is_label(column: pl.Series) -> bool:
    """Whether the contents are those of the label of a snapshot."""
    if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)):
        return False
    numbers = column.cast(pl.Float64).fill_nan(None).drop_nulls()
    return bool((numbers >= 0).all() if column.name == "duration" else numbers.is_in([0.0, 1.0]).all())


def as_numbers(column: pl.Series) -> pl.Series | None:
    """Numbers that a column of texts stands for, blanks as null; None for texts that are categories.

    A column of type String stands for numbers if all its texts, blank ones aside, are finite numbers and more than 20
    are different. Not so where a text has leading zeros (a code such as 02139), or where all are whole numbers and no
    two are equal (identifiers). Who has declared categories (Categorical, Enum) has them.

    Examples
    --------
    >>> charges = pl.Series("charges", [f"{cents / 100}" for cents in range(29)] + [" "])
    >>> as_numbers(charges)[-2:].to_list()
    [0.28, None]
    >>> as_numbers(pl.Series("plan", ["1", "2", "2"] * 10)) is None
    True
    """
    if column.dtype != pl.String:
        return None
    texts = spelled(column).drop_nulls()
    if texts.head(100).cast(pl.Float64, strict=False).null_count():  # most texts are none: no need to read all
        return None
    levels = texts.n_unique()
    if levels <= MAX_LEVELS or texts.str.contains(r"^[+-]?0\d").any():
        return None
    if levels == len(texts) and texts.str.contains(r"^[+-]?\d+$").all():
        return None
    numbers = numbers_of_texts(column)
    return None if numbers.null_count() > len(column) - len(texts) else numbers


def spelled(column: pl.Series) -> pl.Series:
    """Texts without white space around them, blank ones as null."""
    texts = column.cast(pl.String).str.strip_chars()
    return texts.set(texts == "", None)


def numbers_of_texts(column: pl.Series) -> pl.Series:
    """Texts as numbers; what is none, or not finite, as null."""
    numbers = spelled(column).cast(pl.Float64, strict=False)
    return numbers.set(~numbers.is_finite(), None)
