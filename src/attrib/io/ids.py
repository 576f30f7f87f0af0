"""Ids of customers that are numbers, written as texts: the same id in a CSV file and in a column of integers."""

from __future__ import annotations

import polars as pl

CANONICAL = r"^(?:0|-?[1-9][0-9]{0,19})$"
LOWEST, HIGHEST = -(2**63), 2**64 - 1  # numbers of 64 bits, signed or not
NUMBER = "__number"


def number_of(column: str) -> pl.Expr:
    """Expression: the whole number of 64 bits that a text is (Int128), null for other texts.

    The rule is that of `attrib.kernels.words.decimal_word`: no blanks, no plus sign, no leading zeros, no "-0".

    Examples
    --------
    >>> pl.DataFrame({"id": ["7", "-7", "07", "+7", "7 ", "a"]}).select(number_of("id")).to_series().to_list()
    [7, -7, None, None, None, None]
    """
    text = pl.col(column)
    number = pl.when(text.str.contains(CANONICAL)).then(text).cast(pl.Int128, strict=False)
    return pl.when(number.is_between(LOWEST, HIGHEST)).then(number)


def sort_by_id(frame: pl.DataFrame, column: str, *further: str) -> pl.DataFrame:
    """Sort rows by ids, then by further columns: numbers by number, other texts after them by their bytes.

    Examples
    --------
    >>> sort_by_id(pl.DataFrame({"id": ["10", "b", "9", "a"]}), "id")["id"].to_list()
    ['9', '10', 'a', 'b']
    """
    if frame.schema[column] != pl.String:
        return frame.sort(column, *further, maintain_order=True)
    numbered = frame.with_columns(number_of(column).alias(NUMBER))
    last = [True, *[False] * (1 + len(further))]
    return numbered.sort(NUMBER, column, *further, nulls_last=last, maintain_order=True).drop(NUMBER)


def rank_ids(ids: pl.Series) -> pl.Series:
    """Dense rank of ids, from 0, in the order of :func:`sort_by_id`; nulls stay.

    Examples
    --------
    >>> rank_ids(pl.Series(["10", "9", "10"])).to_list()
    [1, 0, 1]
    """
    if isinstance(ids.dtype, (pl.Categorical, pl.Enum)):
        ids = ids.cast(pl.String)
    if ids.dtype != pl.String:
        return ids.rank("dense").cast(pl.Int64) - 1
    known = sort_by_id(ids.alias("id").drop_nulls().unique().to_frame(), "id").with_row_index("rank")
    found = ids.alias("id").to_frame().join(known, on="id", how="left", maintain_order="left")
    return found["rank"].cast(pl.Int64).alias(ids.name)
