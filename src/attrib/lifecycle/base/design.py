"""A frame of features becomes a matrix of numbers, in the same way at training and ever after.

What was learned (medians, categories, means) is a handful of texts and numbers, so that it can be stored as JSON.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from attrib.errors import DataError, warn
from attrib.io.collecting import collect_table
from attrib.lifecycle.base.columns import as_numbers, features_only, numbers_of_texts, spelled
from attrib.schemas import require_columns

Floats = npt.NDArray[np.float64]
NULL = "(null)"  # the category of texts that are null
MAX_CATEGORIES = 1000  # of one column: above it, an identifier rather than a feature
_SHOWN = 5  # names that one message spells
_STRICT = {"extra": "forbid", "allow_inf_nan": False}  # what pydantic asks of stored data


@dataclass(frozen=True, slots=True)
class Numeric:
    """A column of numbers (also true and false): one column of the matrix, and one for its nulls if it had any.

    ``fill`` stands for nulls: the median of training. ``kept`` is False where all else was one number. ``texts``:
    training had the numbers written as texts, and blanks for nulls.
    """

    name: str
    dtype: str
    fill: float
    nulls: bool
    kept: bool
    mean: float = 0.0
    scale: float = 1.0
    texts: bool = False
    kind: Literal["numeric"] = "numeric"
    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    @property
    def names(self) -> list[str]:
        """Names of its columns in the matrix."""
        return [self.name] * self.kept + [f"{self.name}={NULL}"] * self.nulls

    def write(self, column: pl.Series, out: Floats) -> list[str]:
        """Fill its columns ``out`` [n, len(names)] of the matrix; what the caller should know is returned."""
        if self.texts and _kind(column.dtype) == "category":
            return self._write_texts(column, out)
        column = _plain(column, self.kind)
        null = column.is_null().to_numpy()
        if self.kept:
            filled = column.fill_null(self.fill).to_numpy()
            out[:, 0] = (filled - self.mean) / self.scale
        if self.nulls:
            out[:, -1] = null
        elif null.any():
            return [f"{self.name!r}: {null.sum()} nulls, of which training had none, became its median {self.fill:g}"]
        return []

    def _write_texts(self, column: pl.Series, out: Floats) -> list[str]:
        numbers, texts = numbers_of_texts(column), spelled(column)
        odd = texts.filter(texts.is_not_null() & numbers.is_null())
        notes = self.write(numbers, out)
        if odd.is_empty():
            return notes
        return [f"{self.name!r}: {len(odd)} rows hold {spell(odd.unique().sort())}, no number: missing", *notes]


@dataclass(frozen=True, slots=True)
class Category:
    """A column of texts: a column of zeros and ones for each of ``categories``, but for the first if ``reference``."""

    name: str
    dtype: str
    categories: tuple[str, ...]
    reference: bool
    kind: Literal["category"] = "category"
    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    @property
    def names(self) -> list[str]:
        """Names of its columns in the matrix."""
        return [f"{self.name}={category}" for category in self.categories[self.reference :]]

    def write(self, column: pl.Series, out: Floats) -> list[str]:
        """Fill its columns ``out`` [n, len(names)] of the matrix; what the caller should know is returned."""
        column = _plain(column, self.kind)
        # not strict: a category that training had not becomes null, which is no row of any column
        codes = column.cast(pl.Enum(self.categories), strict=False).to_physical().cast(pl.Int64).fill_null(-1)
        at = codes.to_numpy()
        rows = np.flatnonzero(at >= self.reference)
        out[rows, at[rows] - self.reference] = 1.0
        unseen = column.filter(codes < 0)
        if unseen.is_empty():
            return []
        return [f"{self.name!r}: {len(unseen)} rows hold {spell(unseen.unique().sort())}, not seen in training"]


Feature = Numeric | Category


@dataclass(frozen=True, slots=True)
class DesignMatrix:
    """How a frame of features becomes a float64 matrix: learned by `fit`, applied by `transform`.

    Numbers (also true and false) stay one column. A null number becomes the median of training and, where training
    had nulls, a column ``name=(null)`` says so; NaN counts as null. Texts (String, Categorical, Enum) become a column
    ``name=category`` of zeros and ones for each category in the order of the texts, nulls being the category
    ``(null)``, which stands last. Columns of one value say nothing and are left out: see ``dropped``.

    Texts that are numbers save for blanks (pandas reads so a column of a CSV file with one " " among its numbers) are
    read as numbers, blanks as null, if more than 20 are different, none has leading zeros, and they are not whole
    numbers of which no two are equal; of type String only: Categorical and Enum are declared categories. The keys of a
    snapshot (``customer_id``, ``date``) are left out, its labels refused.

    Parameters
    ----------
    features : tuple of Numeric or Category
        One for each column of the training frame that says something, in its order.
    dropped : tuple of str
        Columns of the training frame that held one value only.
    drop_first : bool
        Whether the first category of each text is the reference and has no column. A category that was not seen in
        training is zero in all columns of its text, and so is taken for the reference where there is one.
    scale : bool
        Whether numbers were brought to mean 0 and standard deviation 1 (of all rows; columns of zeros and ones were
        left alone).

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"plan": ["month", "year", "month", None], "charge": [70.5, 20.0, None, 30.0]})
    >>> design = DesignMatrix.fit(frame)
    >>> design.names
    ['plan=year', 'plan=(null)', 'charge', 'charge=(null)']
    >>> design.transform(frame)
    array([[ 0. ,  0. , 70.5,  0. ],
           [ 1. ,  0. , 20. ,  0. ],
           [ 0. ,  0. , 30. ,  1. ],
           [ 0. ,  1. , 30. ,  0. ]])
    """

    features: tuple[Feature, ...]
    dropped: tuple[str, ...]
    drop_first: bool
    scale: bool
    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    @classmethod
    def fit(cls, frame: Any, *, drop_first: bool = True, scale: bool = False) -> Self:
        """Learn the columns of a frame.

        Parameters
        ----------
        frame : frame
            Features only, a row each customer; of polars, pandas or another library that narwhals knows.
        drop_first, scale : bool
            See the class.

        Returns
        -------
        DesignMatrix

        Raises
        ------
        DataError
            ``no_rows``; ``bad_dtype`` for dates, lists and the like, with what to do; ``not_finite`` for an infinite
            number; ``too_many_categories``; ``no_features`` where no column says anything; ``duplicate_columns``
            where two columns of the matrix would have one name; ``label_among_features``.

        Warns
        -----
        AttribWarning
            Names columns of one value, numbers written as texts, and keys of a snapshot. Not told, as nothing is lost:
            channels of a snapshot (``touches:…``, ``share:…``) that nobody met; they are in ``dropped``, too.
        """
        table = collected(frame)
        if table.is_empty():
            raise DataError("no_rows", "features has 0 rows", hint="a model needs customers to learn from")
        table = features_only(table)
        _check_dtypes(table, {})
        numbers = {column.name: read for column in table if (read := as_numbers(column)) is not None}
        if numbers:
            more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
            listed = ", ".join(
                f"{name[:80]!r} ({read.null_count() - table[name].null_count()} of {table.height} blank)"
                for name, read in list(numbers.items())[:_SHOWN]
            )
            warn(
                f"texts that are numbers are read as numbers, blanks as missing: {listed}{more}; "
                "where they are names make the column Categorical (pandas: category)"
            )
        learned = [
            _learn(numbers.get(column.name, column), str(column.dtype), drop_first, scale, column.name in numbers)
            for column in table
        ]
        features = tuple(feature for feature in learned if feature.names)
        dropped = tuple(feature.name for feature in learned if not feature.names)
        if not features:
            raise DataError("no_features", f"all {table.width} columns of features hold one value only")
        unmet = {name for name in dropped if name.startswith(("touches:", "share:")) and table[name].max() == 0}
        told = [name for name in dropped if name not in unmet]
        if told:
            warn(f"{len(told)} of {table.width} columns hold one value only and are left out: {spell(told)}")
        design = cls(features, dropped, drop_first, scale)
        twice = sorted({name for name in design.names if design.names.count(name) > 1})
        if twice:
            raise DataError(
                "duplicate_columns",
                f"two columns of the matrix would be called {spell(twice)}",
                hint="rename the column that looks like a category of another one",
                columns=twice,
            )
        return design

    @property
    def names(self) -> list[str]:
        """Names of the columns of the matrix, in their order."""
        return [name for feature in self.features for name in feature.names]

    @property
    def columns(self) -> list[str]:
        """Names of the columns that a frame must have."""
        return [feature.name for feature in self.features]

    def transform(self, frame: Any) -> Floats:
        """Make the matrix of a frame.

        Parameters
        ----------
        frame : frame
            As in `fit`, with at least the columns that were learned, in any order; further ones are ignored.

        Returns
        -------
        numpy.ndarray
            float64 [n, len(names)], column by column in memory.

        Raises
        ------
        DataError
            ``missing_columns``; ``bad_dtype`` naming the columns that were numbers and are texts, or the reverse;
            ``not_finite``.
        """
        table = collected(frame)
        hint = "it learned from other columns: make the frame as that of its training"
        require_columns("features", table.columns, self.columns, hint=hint)
        table = table.select(self.columns)
        _check_dtypes(table, {feature.name: feature for feature in self.features})
        out = np.zeros((table.height, len(self.names)), order="F")
        notes, start = [], 0
        for feature in self.features:
            stop = start + len(feature.names)
            notes += feature.write(table[feature.name], out[:, start:stop])
            start = stop
        if notes:
            more = f"; and {len(notes) - _SHOWN} more columns" if len(notes) > _SHOWN else ""
            warn(f"of {table.height} rows of features, {'; '.join(notes[:_SHOWN])}{more}")
        return out

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON knows it; `from_dict` is the way back."""
        plain = dataclasses.asdict(self)
        for feature in plain["features"]:
            if "categories" in feature:
                feature["categories"] = list(feature["categories"])
        return {**plain, "features": list(plain["features"]), "dropped": list(self.dropped)}

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Rebuild it from `to_dict`, trusting nothing.

        Raises
        ------
        DataError
            ``bad_model`` where the data are not what `to_dict` writes.
        """
        from pydantic import TypeAdapter, ValidationError

        try:
            design = TypeAdapter(cls).validate_python(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(step) for step in first["loc"])
            raise DataError("bad_model", f"the design of a model: {place}: {first['msg']}") from error
        lists = (design.names, design.columns, *(f.categories for f in design.features if isinstance(f, Category)))
        hollow = any(not f.names or (isinstance(f, Numeric) and f.scale <= 0) for f in design.features)
        if hollow or not design.features or any(len(set(names)) < len(names) for names in lists):
            raise DataError("bad_model", "the design of a model names a column twice, or has one without meaning")
        return design


def spell(names: Iterable[str]) -> str:
    """Spell the first few names, safely: they come from data."""
    listed = [repr(name[:80]) for name in names]
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more


def linear(matrix: Floats, slopes: Floats) -> Floats:
    """Sum of columns times slopes, one column after the other: a row's sum does not depend on the other rows."""
    out = np.zeros(len(matrix))
    for column, slope in zip(matrix.T, slopes, strict=True):
        out += column * slope
    return out


def collected(frame: Any) -> pl.DataFrame:
    """Any frame, or a matrix of numbers (columns x0, x1, …), as a frame of polars."""
    if isinstance(frame, np.ndarray) and frame.ndim == 2 and frame.dtype.kind in "biuf":
        return pl.DataFrame({f"x{i}": frame[:, i] for i in range(frame.shape[1])})
    return collect_table(frame, "features")


def _kind(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Null):
        return "null"  # fits numbers and texts alike
    if dtype.is_numeric() or isinstance(dtype, pl.Boolean):
        return "numeric"
    return "category" if isinstance(dtype, (pl.String, pl.Categorical, pl.Enum)) else "other"


def _check_dtypes(table: pl.DataFrame, trained: dict[str, Feature]) -> None:
    """Check that columns are numbers or texts, and those of training."""
    kinds = {name: _kind(dtype) for name, dtype in table.schema.items()}
    wrong = [name for name, kind in kinds.items() if kind == "other"]
    if wrong:
        temporal = any(table.schema[name].is_temporal() for name in wrong)
        raise DataError(
            "bad_dtype",
            f"features has columns that are neither numbers nor texts: {_typed(table, wrong)}",
            hint="turn dates into numbers, such as days before the snapshot" if temporal else "leave them out",
            columns=wrong,
        )
    of_texts = {name for name, feature in trained.items() if isinstance(feature, Numeric) and feature.texts}
    fits = {name: ("null", feature.kind, *["category"] * (name in of_texts)) for name, feature in trained.items()}
    wrong = [name for name, kind in kinds.items() if kind not in fits.get(name, kind)]
    if wrong:
        raise DataError(
            "bad_dtype",
            f"features differs from training: {_typed(table, wrong)}",
            hint=f"{wrong[0]!r} was {'numbers' if trained[wrong[0]].kind == 'numeric' else 'texts'}",
            columns=wrong,
        )


def _typed(table: pl.DataFrame, names: Sequence[str]) -> str:
    """Spell columns with their types."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"{name[:80]!r} ({table.schema[name]})" for name in names[:_SHOWN]) + more


def _plain(column: pl.Series, kind: str = "") -> pl.Series:
    """Numbers as Float64 with NaN as null, texts as String without nulls."""
    kind = kind or _kind(column.dtype)
    if kind == "category":
        return column.cast(pl.String).fill_null(NULL)
    numbers = column.cast(pl.Float64).fill_nan(None)
    infinite = int(numbers.is_infinite().sum())
    if infinite:
        raise DataError(
            "not_finite",
            f"features: {infinite} of {len(column)} values of {column.name!r} are infinite",
            hint="replace them by null or a large number",
        )
    return numbers


def _learn(column: pl.Series, dtype: str, drop_first: bool, scale: bool, texts: bool) -> Feature:  # noqa: FBT001 - as in fit
    column = _plain(column)
    if column.dtype == pl.String:
        categories = column.unique().sort().to_list()
        if len(categories) > MAX_CATEGORIES:
            raise DataError(
                "too_many_categories",
                f"features: {column.name!r} has {len(categories)} different texts, more than {MAX_CATEGORIES}",
                hint="leave identifiers out; group rare texts; turn texts that are numbers into numbers",
            )
        categories.sort(key=lambda category: category == NULL)  # the rest stays in order
        kept = tuple(categories) if len(categories) > 1 else ()
        return Category(column.name, dtype, kept, drop_first and bool(kept))
    known = column.drop_nulls().to_numpy()
    if not len(known):
        return Numeric(column.name, dtype, 0.0, nulls=False, kept=False)
    fill, nulls = float(np.median(known)), len(known) < len(column)
    if known.min() == known.max():
        return Numeric(column.name, dtype, fill, nulls=nulls, kept=False)
    filled = column.fill_null(fill).to_numpy()
    mean, spread = 0.0, 1.0
    if scale and not np.isin(known, (0.0, 1.0)).all():
        mean, spread = float(filled.mean()), float(filled.std())
    if not (math.isfinite(mean) and math.isfinite(spread) and spread > 0):
        raise DataError(
            "not_finite", f"features: the numbers of {column.name!r} are too large to scale", hint="use another unit"
        )
    return Numeric(column.name, dtype, fill, nulls=nulls, kept=True, mean=mean, scale=spread, texts=texts)
