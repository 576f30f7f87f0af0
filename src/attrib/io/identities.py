"""Ids that are one customer: a table of links in, tables with the joined customers out (semantics §1)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from attrib.errors import DataError, SpecError
from attrib.io.sources import Source, open_table
from attrib.io.text import clean
from attrib.likely import words_of
from attrib.schemas import CUSTOMER, list_names, separator_hint

ID, OTHER = "id", "other_id"
# Words of columns that would change which events are joined.
NOT_READ = {
    *("from", "since", "until", "valid", "start", "end", "expires", "expiry", "probability", "prob", "confidence"),
    *("conf", "score", "likelihood", "certainty", "weight"),
}
WHOLE_NUMBER = r"^(0|-?[1-9][0-9]*)$"


@dataclass(frozen=True, slots=True)
class Identities:
    """Which ids are which customer.

    ``source``: the table of links; ``customers``: texts ``id`` and ``customer``, one row for every id that changes;
    ``left_out``: rows of links without an id; ``oversized``: number of components that were too large to join, the
    largest one's number of ids and the one with most links; ``pairs``: the links that have both ids, as texts.
    """

    source: Source
    customers: pl.DataFrame
    left_out: int = 0
    oversized: tuple[int, int, str] = (0, 0, "")
    max_component: int = 50
    pairs: pl.DataFrame | None = None

    def notes(self) -> Iterator[str]:
        """What a reader of the results should know about the links."""
        if self.left_out:
            yield f"identities: {self.left_out:,} links lack one of their ids and join nothing"
        count, largest, example = self.oversized
        if count:
            yield (
                f"identities: {count:,} groups of more than {self.max_component:,} linked ids are not joined; the "
                f"largest has {largest:,}, among them {clean(example, 40)!r}, which has most links: a shared device, "
                "or a placeholder? Drop such links, or raise max_component"
            )

    def join(self, source: Source, column: str = CUSTOMER) -> Source:
        """Give each row of a table the customer of its id, or of the id in another column; the order of rows stays."""
        if column not in source.schema or not self.customers.height:
            return source
        dtype = source.schema[column]
        whole = dtype.is_integer() and dtype not in (pl.Int128, pl.UInt128)
        if not whole and dtype.is_numeric() and not dtype.is_integer():
            return source  # no id: the check of types says so
        own: pl.DataType = pl.UInt64() if dtype == pl.UInt64 else pl.Int64() if whole else pl.String()
        names = self.customers.select(
            pl.col(ID).cast(own, strict=False).alias("__id"),
            pl.col("customer").cast(own, strict=False).alias("__joined"),
        ).drop_nulls()
        frame = (
            source.frame.with_columns(pl.col(column).cast(own))
            .join(names.lazy(), left_on=column, right_on="__id", how="left", maintain_order="left")
            .with_columns(pl.coalesce("__joined", column).alias(column))
            .drop("__joined")
        )
        schema = pl.Schema({**source.schema, column: own})
        # no longer in any order of ids, and its rows are not counted without a join
        kind = "csv" if source.kind == "csv" else "lazy"
        unjoined = source.frame if source.unjoined is None else source.unjoined
        return replace(source, frame=frame, schema=schema, kind=kind, unjoined=unjoined)


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
        ``unread_column`` for columns such as ``from``, ``valid_until``, ``probability`` and ``score``, which would ask
        for something else.

    Examples
    --------
    >>> links = pl.DataFrame({"id": ["cookie1", "cookie2"], "other_id": ["ann", "ann"]})
    >>> read_identities(links).customers.rows()
    [('cookie1', 'ann'), ('cookie2', 'ann')]
    """
    source = open_table(links, "identities")
    _require(source)
    for column in (ID, OTHER):
        dtype = source.schema[column]
        if not (dtype.is_integer() or dtype in (pl.String, pl.Null) or isinstance(dtype, (pl.Categorical, pl.Enum))):
            raise DataError(
                "wrong_type", f"identities: column {column!r} is {dtype}, not text or a whole number",
                hint="floats as ids often come from nulls in pandas: cast to Int64" if dtype.is_float() else "",
                column=column, found=str(dtype),
            )  # fmt: skip
    for column in source.schema:
        if column not in (ID, OTHER) and _restricts(column):
            raise SpecError(
                "unread_column",
                f"identities: a column {clean(column, 60)!r} is not read, and without it these links would join "
                "too much",
                hint="keep the links that hold for all events, and leave the column out",
            )
    pairs = source.collect(source.frame.select(pl.col(c).cast(pl.String) for c in (ID, OTHER)))
    blank = pl.any_horizontal(pl.col(c).is_null() | (pl.col(c).str.strip_chars() == "") for c in (ID, OTHER))
    good = pairs.filter(~blank)
    return _components(source, good, pairs.height - good.height, max_component)


def _restricts(column: str) -> bool:
    """Whether a column says when a link holds, or how sure it is."""
    words = set(words_of(column))
    return bool(NOT_READ & words) and "id" not in words


def _require(source: Source) -> None:
    """Check that both columns are there, and say which are likely meant: the first two, in their order."""
    missing = [column for column in (ID, OTHER) if column not in source.schema]
    if not missing:
        return
    free = [name for name in source.theirs if name not in (ID, OTHER) and not _restricts(name)]
    pairs = {theirs: ours for ours, theirs in zip(missing, free, strict=False)}
    named = f", e.g. links.rename({json.dumps(pairs, ensure_ascii=False)})" if len(pairs) == len(missing) else ""
    raise DataError(
        "missing_columns",
        f"{len(missing)} of 2 required columns {'is' if len(missing) == 1 else 'are'} missing from identities: "
        f"{', '.join(missing)}; found: {list_names(source.theirs)}",
        hint=separator_hint(source.theirs)
        or f"call them so in the links, in the header of the file or the frame{named}",
        missing=missing,
        found=list(source.theirs),
    )


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
        links = pl.concat([pairs[ID], pairs[OTHER].alias(ID)]).value_counts(name="links")
        within = ordered.filter(component=worst["component"]).join(links, on=ID, how="left", maintain_order="left")
        hub = within.sort("links", descending=True, maintain_order=True)[ID][0]  # who is linked with most of them
        oversized = (large.height, worst["size"], hub)
    changed = ordered.filter((pl.col("size") <= max_component) & (pl.col(ID) != pl.col("customer")))
    return Identities(source, changed.select(ID, "customer").sort(ID), left_out, oversized, max_component, pairs)
