"""Values and ids at the edges of what numbers can be."""

from __future__ import annotations

import math

import polars as pl

from awkward.cases import TIES, at, case, enter, outcomes, plain, touches

REFUNDS = ("negative value",)
VALUES = {
    "huge": [1e300, 5e299, 3e299],
    "the_largest": [1e303, 0.0, 1e-300],
    "tiny": [1e-300, 2e-300, 5e-324],
    "the_smallest": [5e-324, 5e-324, 5e-324],
    "tiny_beside_huge": [1e-300, 1e300, 1.0],
    "cents_beside_billions": [0.01, 1e12, 0.1],
    "zero": [0.0, 0.0, 0.0],
    "minus_zero": [-0.0, 0.0, -0.0],
    "no_binary_fractions": [0.1, 0.2, 0.3],
    "refunds": [-5.0, 2.0, 1.0],
    "all_refunds": [-5.0, -2.0, -1.0],
    "sums_to_zero": [1.5, -1.0, -0.5],
    "sums_to_almost_zero": [0.1, 0.2, -0.3],
    "huge_refund": [1e12, -1e12, 1.0],
}


def with_values(values: list[float], hours: tuple[int, int, int]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Three purchases and a null."""
    touched, _ = plain()
    touched = touched.vstack(touches([(4, 0, "ad"), (4, 1, "seo")]))
    return touched, outcomes([(c, h, v) for c, h, v in zip((1, 3, 4), hours, values, strict=True)])


for label, numbers in VALUES.items():
    warned = REFUNDS if min(numbers) < 0 else ()
    enter(f"values_{label}", lambda numbers=numbers: with_values(numbers, (2, 6, 3)), warns=warned)

# what is left of 0.1 + 0.2 - 0.3 is 3e-17: the shares of it hang on digits that no solver has
enter(
    "values_kept_sum_to_almost_zero",
    lambda: with_values(VALUES["sums_to_almost_zero"], (2, 6, 3)),
    recipe={"refunds": "keep"},
    warns=("negative value", "do not sum to a positive number"),
    twin=False,
)


@case(warns=REFUNDS)
def values_of_one_instant_cancel():
    touched, _ = plain()
    return touched, outcomes([(1, 2, 7.0), (1, 2, -7.0), (1, 2, -0.0), (3, 6, 1e300), (3, 6, -1e300)])


@case(fails="values_too_large")
def values_whose_sum_is_no_number():
    return plain()[0], outcomes([(1, 2, 1.7e308), (3, 6, 1.7e308)])


@case(fails="values_too_large")
def a_value_that_replicates_would_lift_beyond_all_numbers():
    return plain()[0], outcomes([(1, 2, 1.7e308)])


@case(fails="values_too_large")
def values_of_one_instant_whose_sum_is_no_number():
    return plain()[0], outcomes([(1, 2, 1.7e308), (1, 2, 1.7e308)])


@case(recipe={"max_rejects": 1.0}, rejects=("value_not_finite",) * 3 + ("value_missing",), forms=("arrow", "parquet"))
def values_that_are_none():
    touched, reached = plain()
    bad = outcomes([(1, 3, math.nan), (2, 3, math.inf), (3, 3, -math.inf), (1, 4, None)])
    return touched, reached.vstack(bad.select(reached.columns))


@case(fails="too_many_rejected")
def values_that_are_all_null():
    touched, reached = plain()
    return touched, reached.with_columns(value=pl.lit(None, pl.Float64))


@case(recipe={"max_rejects": 1.0}, rejects=("value_unparseable",) * 3 + ("value_not_finite", "value_missing"))
def values_as_text():
    touched, reached = plain()
    texts = ["1,5", "5 EUR", "0x10", "1e999", " "]
    bad = outcomes([(1, 3, text) for text in texts])
    return touched, reached.with_columns(pl.col("value").cast(pl.String)).vstack(bad.select(reached.columns))


for dtype in (pl.Int8, pl.UInt64, pl.Int128, pl.Float32, pl.Decimal(38, 6)):

    def of_type(dtype: pl.DataType = dtype) -> tuple[pl.DataFrame, pl.DataFrame]:
        touched, reached = plain()
        return touched, reached.with_columns(pl.col("value").floor().cast(pl.Int64).cast(dtype))

    # no parquet file holds the widest integers
    enter(f"values_{dtype}".lower(), of_type, forms=("csv",) if dtype == pl.Int128 else ("arrow", "parquet", "csv"))


@case()
def a_column_of_values_is_not_needed():
    touched, reached = plain()
    return touched, reached.drop("value")


IDS = {
    "limits_of_int64": ([-(2**63), -1, 2**63 - 1], pl.Int64),
    "limits_of_uint64": ([0, 2**63, 2**64 - 1], pl.UInt64),
    "negative": ([-3, -2, -1], pl.Int8),
    "around_zero": ([-1, 0, 1], pl.Int16),
    "wider_than_a_word": ([-(2**100), 0, 2**100], pl.Int128),
    "null_is_no_word": (["null", "None", "0"], pl.String),
    "leading_zeros": (["007", "07", "7"], pl.String),
    "spaces": (["7", " 7", "7 "], pl.String),
    "case": (["a", "A", "á"], pl.String),
}
for label, (ids, dtype) in IDS.items():

    def of_ids(ids: list[object] = ids, dtype: pl.DataType = dtype) -> tuple[pl.DataFrame, pl.DataFrame]:
        codes = pl.col("customer_id").replace_strict([1, 2, 3], pl.Series(ids, dtype=dtype))
        touched, reached = (t.with_columns(codes) for t in plain())
        return touched, reached

    enter(f"ids_{label}", of_ids, forms=("csv",) if dtype == pl.Int128 else ("arrow", "parquet", "csv"))


@case()
def ids_as_text_beside_integers():
    """Integers are read as decimal texts: 007 is not 7."""
    touched = touches([("007", 0, "ad"), ("7", 1, "mail"), ("-3", 0, "seo"), ("+3", 0, "seo")])
    return touched, outcomes([(7, 2, 1.0), (-3, 2, 1.0), (3, 2, 1.0)])


@case()
def ids_unsigned_beside_signed():
    touched = touches([(5, 0, "ad"), (2**63, 0, "mail")]).with_columns(pl.Series("customer_id", [5, 2**63], pl.UInt64))
    return touched, outcomes([(5, 1, 1.0), (-5, 1, 1.0)])


@case(fails="wrong_type")
def ids_as_floats():
    touched, reached = plain()
    return touched.with_columns(pl.col("customer_id").cast(pl.Float64)), reached


@case(recipe={"max_rejects": 1.0}, rejects=("sequence_unparseable",))
def a_sequence_beyond_64_bits():
    touched = touches([(1, 0, "a"), (1, 0, "b"), (1, 0, "c")])
    return touched.with_columns(sequence=pl.Series([2**63 - 1, 2**63, 0], dtype=pl.UInt64)), outcomes([(1, 1, 1.0)])


@case(warns=TIES)
def a_sequence_at_the_limits():
    """Null comes last, also behind the largest number."""
    touched = touches([(1, 0, "a"), (1, 0, "b"), (1, 0, "c"), (1, 0, "d")], sequence=[2**63 - 1, None, -(2**63), 0])
    return touched, outcomes([(1, at(0), 1.0)])
