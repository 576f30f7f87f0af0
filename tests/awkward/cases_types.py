"""Types and layouts of columns: what frames of other libraries, files and joins leave behind."""

from __future__ import annotations

import datetime as dt
import math

import polars as pl
import pyarrow as pa

from awkward.cases import at, case, enter, outcomes, plain, touches

KEYS = {"by": "key", "player": ("channel", "key_of_player")}
NAMES = ["x", None, "y", "x", "y", "x"]


def keyed(values: list[object], dtype: pl.DataType | type[pl.DataType]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One column as a game and as a part of the player."""
    touched, reached = plain()
    key = pl.Series(values, dtype=dtype, strict=False)
    return touched.with_columns(key=key, key_of_player=key), reached


TYPED = {
    "boolean": ([True, None, False, True, False, True], pl.Boolean),
    "int8": ([-128, None, 127, -128, 0, 127], pl.Int8),
    "uint64": ([0, None, 2**64 - 1, 0, 2**63, 0], pl.UInt64),
    "float": ([1.5, None, -0.0, 0.0, math.inf, 1.5], pl.Float64),
    "date": ([dt.date(1, 1, 1), None, dt.date(9999, 12, 31), None, dt.date(1970, 1, 1), None], pl.Date),
    "time": ([dt.time(0), None, dt.time(23, 59, 59), None, dt.time(0), None], pl.Time),
    "datetime": ([at(0), None, at(1), at(0), at(1), at(0)], pl.Datetime("ns")),
    "duration": ([dt.timedelta(1), None, dt.timedelta(0), dt.timedelta(-1), dt.timedelta(1), None], pl.Duration("us")),
    "categorical": (NAMES, pl.Categorical),
    "enum": (NAMES, pl.Enum(["unused", "y", "x", "", "null"])),
    "null": ([None] * 6, pl.Null),
}
for label, (cells, kind) in TYPED.items():
    plainly = label not in {"time", "duration", "datetime"}  # the twin orders what it knows
    enter(
        f"keys_of_type_{label}", lambda cells=cells, kind=kind: keyed(cells, kind), recipe=KEYS, twin=plainly,
        forms=("arrow", "parquet"),
    )  # fmt: skip


@case(recipe=KEYS, twin=False, forms=("arrow", "parquet"))
def keys_that_are_nan():
    """A value of its own, and no null; it comes last."""
    return keyed([math.nan, None, 1.0, math.nan, -math.nan, 1.0], pl.Float64)


REFUSED = {
    "decimal": (["1.5", None, "2", "1.5", "2", "0"], pl.Decimal(10, 2)),
    "int128": ([2**100, None, 1, 2, 3, 4], pl.Int128),
    "binary": ([b"x", None, b"y", b"x", b"y", b""], pl.Binary),
    "list": ([[1], None, [2], [], [1], [2]], pl.List(pl.Int64)),
    "struct": ([{"a": 1}, None, {"a": 2}, {"a": 1}, {"a": 1}, {"a": 1}], pl.Struct({"a": pl.Int64})),
}
for label, (cells, kind) in REFUSED.items():
    enter(
        f"keys_of_type_{label}", lambda cells=cells, kind=kind: keyed(cells, kind), recipe={"by": "key"},
        fails="wrong_type",
    )  # fmt: skip

CHANNELS = {"boolean": True, "float": 1.5, "integer": 7, "binary": b"x", "list": ["x"], "date": dt.date(2025, 1, 1)}
for label, cell in CHANNELS.items():

    def of_channel(cell: object = cell) -> tuple[pl.DataFrame, pl.DataFrame]:
        touched, reached = plain()
        return touched.with_columns(channel=pl.Series([cell] * touched.height)), reached

    enter(f"channels_of_type_{label}", of_channel, fails="wrong_type")


@case(fails="wrong_type")
def channels_of_type_decimal():
    touched, reached = plain()
    return touched.with_columns(channel=pl.lit("1.5").cast(pl.Decimal(5, 2))), reached


@case()
def categories_with_unused_ones():
    touched, reached = plain(["a", "b", "c"])
    channels = pl.Enum(["zzz", "seo", "", "mail", "ad", "null"])
    ids = (pl.Enum(["c", "b", "a", "unused"]), pl.Enum(["a", "c"]))
    touched = touched.with_columns(pl.col("channel").cast(channels), pl.col("customer_id").cast(ids[0]))
    return touched, reached.with_columns(
        pl.col("customer_id").cast(ids[1]), pl.col("outcome").cast(pl.Enum(["visit", "purchase"]))
    )


@case(recipe={"by": "country"})
def categories_that_differ_between_tables():
    touched, reached = plain()
    one, other = pl.Enum(["fr", "de", "unused"]), pl.Enum(["us", "de"])
    countries = pl.Series(["fr", "de", "fr", "de", None, "de"], dtype=one)
    return touched.with_columns(country=countries), reached.with_columns(country=pl.Series(["de", None], dtype=other))


@case(recipe={"by": "country"})
def categories_beside_texts():
    touched, reached = plain()
    countries = pl.Series(["fr", "de", "fr", "de", None, "de"], dtype=pl.Categorical)
    return touched.with_columns(country=countries), reached.with_columns(country=pl.Series(["de", "us"]))


@case(recipe={"by": "tier"}, forms=("arrow", "parquet"))
def integers_beside_floats():
    """1 and 1.0 are one value."""
    touched, reached = plain()
    return touched.with_columns(tier=pl.Series([1, 1, 2, 2, None, 1])), reached.with_columns(tier=pl.Series([1.0, 2.0]))


@case(recipe={"by": "tier"}, forms=("arrow", "parquet"))
def nulls_beside_texts():
    touched, reached = plain()
    return touched.with_columns(tier=None), reached.with_columns(tier=pl.Series(["x", None]))


# --- Arrow ---


def pieces(table: pl.DataFrame) -> pa.Table:
    """The same rows in chunks that differ from column to column, some empty, some a slice out of something larger."""
    whole = table.to_arrow()

    def chunked(column: pa.ChunkedArray, size: int) -> pa.ChunkedArray:
        array = column.combine_chunks()
        padded = pa.concat_arrays([array.slice(0, 1), array, array.slice(0, 1)])  # rows that the slices pass over
        cut = [padded.slice(1 + i, min(size, len(array) - i)) for i in range(0, len(array), size)]
        return pa.chunked_array([array.slice(0, 0), *cut, array.slice(0, 0)], type=array.type)

    return pa.table({name: chunked(whole[name], 1 + i) for i, name in enumerate(whole.column_names)})


@case(forms=())
def arrow_chunks_and_slices():
    return tuple(pieces(t) for t in plain(["a" * 40, "b", "c"]))


TEXTS = [
    pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.uint32(), pa.large_string()),
]  # fmt: skip
for text in TEXTS:

    def of_text(text: pa.DataType = text) -> tuple[pa.Table, pa.Table]:
        def cast(table: pl.DataFrame, names: list[str]) -> pa.Table:
            cut = pieces(table)
            for name in names:
                plain_text = [pa.array(chunk.to_pylist(), type=text) for chunk in cut[name].chunks]
                cut = cut.set_column(cut.column_names.index(name), name, pa.chunked_array(plain_text, type=text))
            return cut

        touched, reached = plain(["a long name, longer than a view holds", "b", "c"])
        return cast(touched, ["customer_id", "channel"]), cast(reached, ["customer_id", "outcome"])

    label = "".join(c if c.isalnum() else "_" for c in str(text))
    enter(f"arrow_{label}", of_text, forms=())


@case(forms=(), recipe={"max_rejects": 1.0}, rejects=("channel_missing",) * 2)
def arrow_dictionary_with_a_null_among_its_values():
    codes = pa.array([0, 1, None, 0], pa.int8())
    channels = pa.DictionaryArray.from_arrays(codes, pa.array(["ad", None, "unused"]))
    touched, reached = (t.to_arrow() for t in (touches([(1, h, "") for h in range(4)]), outcomes([(1, 5, 1.0)])))
    return touched.set_column(2, "channel", channels), reached


@case(forms=())
def arrow_times_in_seconds():
    touched, reached = (t.to_arrow() for t in plain())
    return touched.set_column(1, "timestamp", touched["timestamp"].cast(pa.timestamp("s"))), reached


@case(forms=())
def pandas_with_an_index_and_columns_of_its_own():
    touched, reached = (t.to_pandas() for t in plain())
    touched.index = touched.index[::-1]
    touched["channel"] = touched["channel"].astype("category").cat.add_categories(["unused"])
    reached["customer_id"] = reached["customer_id"].astype("Int64")
    return touched, reached


@case(fails="bad_table")
def arrow_with_a_column_twice():
    touched, reached = plain()
    arrow = touched.to_arrow()
    return arrow.append_column("channel", arrow["channel"]), reached


@case(forms=())
def polars_chunks_and_slices():
    def cut(table: pl.DataFrame) -> pl.DataFrame:
        return pl.concat([table.slice(i, 1) for i in range(table.height)] + [table.clear()], rechunk=False)

    touched, reached = (pl.concat([t, t, t]).slice(t.height, t.height) for t in plain())
    return cut(touched), cut(reached)
