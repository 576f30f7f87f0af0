"""What `attrib fit`, `score` and `evaluate` show in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
from rich.console import RenderableType
from rich.text import Text

from attrib.io.text import clean
from attrib.report.tables import MAX_WIDTH, frame_tables
from attrib.report.terminal import place_of

MOST = 12  # rows of a table
_BY_GROUP = ("auc", "brier", "ece")
_FIRST = 5  # of the scores, which are a row a customer
_WHOLE = {  # tables that are shown as they are, less some columns
    "choice": ("models of purchases, by customers left out", ("chosen",)),
    "by_frequency": ("purchases expected and observed, by repeat purchases before", ()),
    "reliability": ("predicted and observed", ("from", "to")),
    "gains": ("among the customers with the highest probability", ("n",)),
}


def outcome_parts(
    title: str,
    tables: Mapping[str, pl.DataFrame],
    files: Sequence[Path],
    width: int = MAX_WIDTH,
    seen: Sequence[str] | None = (),
    top: int | None = MOST,
) -> Iterator[RenderableType]:
    """Draw the tables of an outcome.

    Parameters
    ----------
    title, tables, files
        Those of `attrib.modelling.Outcome`.
    width : int
    seen : sequence of str, optional
        Dates of the metrics that the model has learned from; None where that is not known.
    top : int or None
        Rows of each table; None for all.

    Yields
    ------
    rich renderables
        Metrics, metrics by group, models compared, purchases by frequency, reliability, gains, what has moved since
        training, leaks, and where the files are.
    """
    yield Text(clean(title), style="bold")
    for name, heading, table in _shown(tables, seen, top):
        yield Text()
        rows = table if name == "metrics" or top is None else table.head(top)
        yield from frame_tables(spelled(rows), heading, table.columns, width)
        if rows.height < table.height:
            yield Text(f"… and {table.height - rows.height:,} more rows; --all shows them")
    yield Text()
    if not files:
        yield Text("wrote nothing: --out keeps the tables")
    else:
        yield Text(f"wrote to {clean(place_of(files[0].parent))}: {', '.join(clean(file.name) for file in files)}")


def _shown(
    tables: Mapping[str, pl.DataFrame], seen: Sequence[str] | None, top: int | None
) -> Iterator[tuple[str, str, pl.DataFrame]]:
    if "metrics" in tables:
        metrics = tables["metrics"]
        whole = metrics.filter(pl.col("by").is_null())
        when = [] if whole["time"].is_null().all() else ["time"]
        shown = whole.select("metric", *when, "value", "low", "high", "n")
        rows = "" if seen is None else "of a time that training has seen, " if seen else "of rows not seen, "
        yield "metrics", f"{rows}with 95 % intervals over customers", shown
        for (by,), part in metrics.filter(pl.col("by").is_not_null()).partition_by("by", as_dict=True).items():
            wide = part.filter(pl.col("metric").is_in(_BY_GROUP)).pivot("metric", index=["group", "n"], values="value")
            yield "groups", f"by {clean(by, 40)}", wide.sort("n", descending=True)
    for name, (heading, left_out) in _WHOLE.items():
        if name in tables:
            yield name, heading, tables[name].drop(left_out)
    if "drift" in tables:
        moved = tables["drift"].filter(pl.col("level") != "stable")
        if moved.height:
            yield "drift", "features that have moved since training", moved
    if "leaks" in tables:
        named = tables["leaks"].filter(pl.col("leak").is_not_null())
        if named.height:
            yield "leaks", "features that know more than they should", named.select("feature", "auc", "leak")
    if "scores" in tables:
        yield (
            "scores",
            "the first scores",
            tables["scores"].drop("model", "fingerprint").head(_FIRST if top in (None, MOST) else top),
        )


def spelled(table: pl.DataFrame) -> pl.DataFrame:
    """Write numbers with three digits after the point, as metrics are."""
    kinds = {name: kind for name, kind in table.schema.items() if kind.is_float()}
    return table.with_columns(
        pl.when(pl.col(name).is_not_null())
        .then(pl.col(name).map_elements(_number, return_dtype=pl.String))
        .otherwise(pl.lit("–"))
        .alias(name)
        for name in kinds
    )


def _number(value: float) -> str:
    return f"{value:,.3f}" if abs(value) < 1000 else f"{value:,.0f}"
