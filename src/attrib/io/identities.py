"""Ids that are one customer: a table of links in, tables with the joined customers out (semantics §1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from attrib.errors import DataError, SpecError
from attrib.io.sources import Source, open_table
from attrib.io.text import clean
from attrib.schemas import CUSTOMER, RENAME, require_columns

ID, OTHER = "id", "other_id"
NOT_READ = ("from", "probability")  # they would change which events are joined
WHOLE_NUMBER = r"^(0|-?[1-9][0-9]*)$"


@dataclass(frozen=True, slots=True)
class Identities:
    """Which ids are which customer.

    ``source``: the table of links; ``customers``: texts ``id`` and ``customer``, one row for every id that changes;
    ``left_out``: rows of links without an id; ``oversized``: number of components that were too large to join, the
    largest one's number of ids and one of them.
    """

    source: Source
    customers: pl.DataFrame
    left_out: int = 0
    oversized: tuple[int, int, str] = (0, 0, "")
    max_component: int = 50

    def notes(self) -> Iterator[str]:
        """What a reader of the results should know about the links."""
        if self.left_out:
            yield f"identities: {self.left_out:,} links lack one of their ids and join nothing"
        count, largest, example = self.oversized
        if count:
            yield (
                f"identities: {count:,} groups of more than {self.max_component:,} linked ids are not joined; the "
                f"largest has {largest:,}, among them {clean(example, 40)!r}: a shared device, or a placeholder? Drop "
                "such links, or raise max_component"
            )

    def join(self, source: Source) -> Source:
        """Give each row of a table the customer of its id; the order of rows stays."""
        if CUSTOMER not in source.schema or not self.customers.height:
            return source
        dtype = source.schema[CUSTOMER]
        whole = dtype.is_integer() and dtype not in (pl.Int128, pl.UInt128)
        if not whole and dtype.is_numeric() and not dtype.is_integer():
            return source  # no id: the check of types says so
        own: pl.DataType = pl.UInt64() if dtype == pl.UInt64 else pl.Int64() if whole else pl.String()
        names = self.customers.select(
            pl.col(ID).cast(own, strict=False).alias("__id"),
            pl.col("customer").cast(own, strict=False).alias("__joined"),
        ).drop_nulls()
        frame = (
            source.frame.with_columns(pl.col(CUSTOMER).cast(own))
            .join(names.lazy(), left_on=CUSTOMER, right_on="__id", how="left", maintain_order="left")
            .with_columns(pl.coalesce("__joined", CUSTOMER).alias(CUSTOMER))
            .drop("__joined")
        )
        schema = pl.Schema({**source.schema, CUSTOMER: own})
        # no longer in any order of ids, and its rows are not counted without a join
        return replace(source, frame=frame, schema=schema, kind="csv" if source.kind == "csv" else "lazy")


def read_identities(links: Any, max_component: int = 50) -> Identities:
    """Read links and find the customers that they make: connected components of ids.

    Parameters
    ----------
    links : frame, str or Path
        Columns ``id`` and ``other_id``, texts or whole numbers: the two are one customer.
    max_component : int
        Most ids that are joined; larger components stay apart.

    Returns
    -------
    Identities
        The customer of a component is its smallest id: whole numbers by number, then texts by bytes.

    Raises
    ------
    DataError
        ``missing_columns``, ``wrong_type``, or what :func:`attrib.io.sources.open_table` raises.
    SpecError
        ``unread_column`` for columns ``from`` and ``probability``, which would ask for something else.

    Examples
    --------
    >>> links = pl.DataFrame({"id": ["cookie1", "cookie2"], "other_id": ["ann", "ann"]})
    >>> read_identities(links).customers.rows()
    [('cookie1', 'ann'), ('cookie2', 'ann')]
    """
    source = open_table(links, "identities")
    require_columns("identities", source.schema, [ID, OTHER], hint=RENAME)
    for column in (ID, OTHER):
        dtype = source.schema[column]
        if not (dtype.is_integer() or dtype in (pl.String, pl.Null) or isinstance(dtype, (pl.Categorical, pl.Enum))):
            raise DataError(
                "wrong_type", f"identities: column {column!r} is {dtype}, not text or a whole number",
                hint="floats as ids often come from nulls in pandas: cast to Int64" if dtype.is_float() else "",
                column=column, found=str(dtype),
            )  # fmt: skip
    for column in NOT_READ:
        if column in source.schema:
            raise SpecError(
                "unread_column",
                f"identities: a column {column!r} is not read, and without it these links would join too much",
                hint="keep the links that hold for all events, and leave the column out",
            )
    pairs = source.collect(source.frame.select(pl.col(c).cast(pl.String) for c in (ID, OTHER)))
    blank = pl.any_horizontal(pl.col(c).is_null() | (pl.col(c).str.strip_chars() == "") for c in (ID, OTHER))
    good = pairs.filter(~blank)
    return _components(source, good, pairs.height - good.height, max_component)


def _components(source: Source, pairs: pl.DataFrame, left_out: int, max_component: int) -> Identities:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ids = pl.concat([pairs[ID], pairs[OTHER].alias(ID)]).unique(maintain_order=True).to_frame().with_row_index("code")
    code = [pairs.select(pl.col(c).alias(ID)).join(ids, on=ID, maintain_order="left")["code"] for c in (ID, OTHER)]
    graph = coo_array((np.ones(pairs.height, np.int8), (code[0], code[1])), shape=(ids.height, ids.height))
    component = connected_components(graph, directed=False)[1] if ids.height else np.zeros(0, np.int32)
    number = pl.when(pl.col(ID).str.contains(WHOLE_NUMBER)).then(pl.col(ID).cast(pl.Int128, strict=False))
    ordered = (
        ids.with_columns(component=pl.Series(component, dtype=pl.Int32), number=number)
        .sort("number", ID, nulls_last=True)
        .with_columns(pl.col(ID).first().over("component").alias("customer"), pl.len().over("component").alias("size"))
    )
    large = ordered.filter(pl.col("size") > max_component).unique("component", keep="first", maintain_order=True)
    oversized = (0, 0, "")
    if large.height:
        worst = large.sort("size", ID, descending=[True, False]).row(0, named=True)
        oversized = (large.height, worst["size"], worst[ID])
    changed = ordered.filter((pl.col("size") <= max_component) & (pl.col(ID) != pl.col("customer")))
    return Identities(source, changed.select(ID, "customer").sort(ID), left_out, oversized, max_component)
