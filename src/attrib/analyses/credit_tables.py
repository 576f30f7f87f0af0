"""Credit tables as analyses take them from anywhere, and their keys in other tables."""

from __future__ import annotations

from typing import Any

import polars as pl

from attrib.errors import DataError
from attrib.io.sources import open_table
from attrib.io.tables import check_types
from attrib.io.text import clean
from attrib.schemas import CONVERSIONS, KIND, KINDS, METHOD, STAGE, VALUE

PLAYER = KINDS[0]
BOUNDS = tuple(f"{number}_{side}" for number in (CONVERSIONS, VALUE) for side in ("low", "high"))
SHOWN = 10  # names in a warning


def credit_table(credit: Any) -> pl.DataFrame:
    """Read a credit table with the types that it has when it comes from attrib.credit.

    Raises
    ------
    DataError
        ``bad_credit_table``.
    """
    source = open_table(credit, "credit")
    names = source.schema.names()
    lacking = [name for name in (KIND, METHOD, CONVERSIONS, VALUE) if name not in names]
    hint = "make it with attrib.credit(journeys, methods)"
    if lacking or names.index(KIND) == 0:
        what = f"lacks {', '.join(lacking)}" if lacking else "has no key column before kind"
        raise DataError("bad_credit_table", f"the credit table {what}", hint=hint, missing=lacking)
    alone = [name for name in BOUNDS if name in names and _other_side(name) not in names]
    if alone:
        lacking = [_other_side(name) for name in alone]
        raise DataError("bad_credit_table", f"the credit table lacks {', '.join(lacking)}", hint=hint, missing=lacking)
    keys = names[: names.index(KIND)]
    check_types("credit", source.schema, dict.fromkeys(keys, "key"))
    numbers = [name for name in (CONVERSIONS, VALUE, *BOUNDS) if name in names]
    try:
        table = source.frame.select(*keys, KIND, METHOD, *numbers).collect()
        named = [key for key in keys if isinstance(table.schema[key], (pl.Categorical, pl.Enum))]
        ordered = [key for key in named if key == STAGE and isinstance(table.schema[key], pl.Enum)]
        table = table.with_columns(
            pl.col([key for key in named if key not in ordered]).cast(pl.String),
            pl.col(KIND).cast(pl.String).cast(pl.Enum(KINDS)),
            pl.col(METHOD).cast(pl.String),
            pl.col(numbers).cast(pl.Float64).fill_nan(None),
        )
    except pl.exceptions.PolarsError as error:
        first = str(error).splitlines()[0][:200]
        raise DataError("bad_credit_table", f"the credit table cannot be read: {first}", hint=hint) from error
    endless = [name for name in numbers if table[name].is_infinite().any()]
    if endless:
        raise DataError("bad_credit_table", f"the credit table holds infinite {', '.join(endless)}", hint=hint)
    if table.select(*keys, KIND, METHOD).is_duplicated().any():
        raise DataError("bad_credit_table", "the credit table has a key and method more than once", hint=hint)
    return table


def _other_side(bound: str) -> str:
    number, side = bound.rsplit("_", 1)
    return f"{number}_{'high' if side == 'low' else 'low'}"


def advances(table: pl.DataFrame) -> bool:
    """Whether stages are games of their own: then the rows of no player carry theirs."""
    if STAGE not in table.columns:
        return False
    others = table.filter(pl.col(KIND) != PLAYER)[STAGE]
    return len(others) > 0 and not others.null_count()


def as_in(dtype: pl.DataType, keys: pl.Series, name: str, table: str) -> pl.Series:
    """Give a key column of another table the type that it has in the credit table.

    Raises
    ------
    DataError
        ``stage_unknown``, ``wrong_type``.
    """
    check_types(table, {name: keys.dtype}, {name: "key"})
    text = isinstance(keys.dtype, (pl.Categorical, pl.Enum))
    cast = (keys.cast(pl.String) if text else keys).cast(dtype, strict=False)
    lost = keys.filter(cast.is_null() & keys.is_not_null())
    if len(lost):
        stage = isinstance(dtype, pl.Enum)
        known = f"one of {', '.join(dtype.categories)}" if isinstance(dtype, pl.Enum) else f"{dtype} as in the credit"
        raise DataError(
            "stage_unknown" if stage else "wrong_type",
            f"{table}: column {name!r} holds {clean(lost[0], 40)!r}, which is not {known}",
            column=name,
        )
    return cast


def names_of(keys: pl.DataFrame) -> str:
    """Spell the first keys of a frame, for people."""
    names = [
        " · ".join("(none)" if part is None else clean(part, 40) for part in row) for row in keys.head(SHOWN).rows()
    ]
    more = keys.height - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")
