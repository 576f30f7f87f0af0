"""attrib.spend: what the channels cost, beside what they are credited with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from attrib.analyses.costs import open_costs, period_bounds, sum_costs, total_costs
from attrib.errors import DataError, SpecError, warn
from attrib.io.sources import open_table
from attrib.io.text import clean
from attrib.schemas import CONVERSIONS, COST, CPA, KIND, KINDS, METHOD, ROAS, STAGE, VALUE

PLAYER = KINDS[0]
BOUNDS = tuple(f"{number}_{side}" for number in (CONVERSIONS, VALUE) for side in ("low", "high"))
SHOWN = 10  # names in a warning


def spend(
    credit: Any,
    costs: Any,
    *,
    period: tuple[str | date, str | date] | None = None,
    columns: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """Cost, cost per conversion (CPA) and value per cost (ROAS) of every row of a credit table.

    Parameters
    ----------
    credit : polars.DataFrame, or another table
        A credit table of :func:`attrib.credit`, with intervals or without, its unattributed rows included.
    costs : polars.DataFrame, polars.LazyFrame, pandas.DataFrame, pyarrow.Table, str or Path
        One row a cost: ``cost`` (a finite number from 0, in the unit of the outcomes' ``value`` for ROAS to mean
        something) and the key columns of the credit table: ``channel`` (or all columns of the player) and the ``by``
        columns; ``date`` (or ``timestamp``) for ``period``. Rows of one key are summed as they stand, so touchpoints
        with a column ``cost`` serve as well. Other columns are ignored.
    period : pair of str, date or datetime, optional
        ``(a, b)``: only costs dated from ``a`` to before ``b``. A bound without a zone is read in the zone of the
        dates (UTC for texts with an offset). All costs by default: then see to it that they are those of the time
        that the credit is of.
    columns : mapping of str to str, optional
        Our names to those of ``costs``.

    Returns
    -------
    polars.DataFrame
        All rows of the credit table with its key columns, ``kind``, ``method``, ``conversions``, ``value`` and

        - ``cost``: null where no cost row has the key, and for what is no player;
        - ``cpa`` = cost / conversions, null where conversions ≤ 0;
        - ``roas`` = value / cost, null where cost is 0;
        - with intervals ``cpa_low``, ``cpa_high``, ``roas_low``, ``roas_high``, costs taken as known: ``cpa_low`` =
          cost / ``conversions_high``, ``cpa_high`` = cost / ``conversions_low``, each null where its divisor is ≤ 0:
          the interval then has no bound on that side; ``roas_low`` = ``value_low`` / cost, ``roas_high`` likewise.

        Costs whose key is in no row of the credit table get rows of their own, with 0 conversions, for every method,
        so that the costs of a game and method sum to all its cost.

    Raises
    ------
    SpecError
        ``bad_period``, ``bad_columns``, or ``bad_value`` for a key column with the name of a result.
    DataError
        ``bad_costs`` with each rule that rows break and how often, ``costs_lack_key``, ``missing_columns``,
        ``no_costs_in_period``, ``bad_credit_table``.

    Warns
    -----
    AttribWarning
        Channels without a cost, costs without a channel, and costs that stand at several stages: in the view
        ``advance``, costs without a column ``stage`` stand whole at every stage (the cost of an advance if all the
        money had gone into it), and must not be added up over stages.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> paths = pl.DataFrame({"path": ["ad > mail", "mail"], "total_conversions": [40, 20], "total_null": [60, 20]})
    >>> table = attrib.credit(attrib.Journeys.from_paths(paths), attrib.Linear(), intervals=None)
    >>> costs = pl.DataFrame({"channel": ["ad", "ad", "mail"], "cost": [100.0, 60.0, 20.0]})
    >>> attrib.spend(table, costs).filter(kind="player").select("channel", "cost", "cpa", "roas").rows()
    [('ad', 160.0, 8.0, 0.125), ('mail', 20.0, 0.5, 2.0)]
    """
    table = _credit_table(credit)
    keys = table.columns[: table.columns.index(KIND)]
    between = None if period is None else period_bounds(period)
    if columns is not None and not isinstance(columns, Mapping):
        raise SpecError("bad_columns", f"columns = {columns!r} maps nothing", hint='e.g. {"channel": "source"}')
    totals = total_costs(open_costs(costs, columns or {}), keys, everywhere=_advances(table), between=between)
    return spend_frame(table, totals)


def spend_frame(table: pl.DataFrame, totals: pl.DataFrame) -> pl.DataFrame:
    """Put summed costs beside a credit table; see :func:`spend`."""
    keys = table.columns[: table.columns.index(KIND)]
    own = [key for key in keys if key in totals.columns]
    methods = table.select(pl.col(METHOD).unique(maintain_order=True))
    totals = sum_costs(totals.with_columns(_as_in(table.schema[key], totals[key], key) for key in own), own)
    players = table.filter(pl.col(KIND) == PLAYER).select(own).unique()
    _report(players, totals, own)
    wide = totals
    if own != keys:  # no stage: the whole cost stands at each of them
        stages = table.select(pl.col(STAGE).drop_nulls().unique(maintain_order=True))
        wide = totals.join(stages, how="cross")
        if stages.height > 1:
            warn(
                "costs have no column stage: the whole cost of a channel stands at every stage, and summing it over "
                "stages counts it more than once"
            )
    wide = wide.join(methods, how="cross").with_columns(pl.lit(PLAYER, table.schema[KIND]).alias(KIND))
    bounds = [name for name in BOUNDS if name in table.columns]
    bounds = bounds if len(bounds) == len(BOUNDS) else []
    # What nobody met converted nobody, in every replicate.
    zeros = [pl.lit(0.0).alias(name) for name in (CONVERSIONS, VALUE, *bounds)]
    on = [*keys, KIND, METHOD]
    met = table.select(*on, CONVERSIONS, VALUE, *bounds)
    unmet = wide.join(met, on=on, how="anti", nulls_equal=True).with_columns(zeros)
    whole = pl.concat([met.join(wide, on=on, how="left", nulls_equal=True), unmet], how="diagonal")
    return _sorted(_ratios(whole, on, bounds), keys, methods[METHOD])


def _ratios(table: pl.DataFrame, on: list[str], bounds: list[str]) -> pl.DataFrame:
    def per(divisor: str) -> pl.Expr:
        return pl.when(pl.col(divisor) > 0).then(pl.col(COST) / pl.col(divisor))

    def over(value: str) -> pl.Expr:
        return pl.when(pl.col(COST) > 0).then(pl.col(value) / pl.col(COST))

    numbers = [pl.col(CONVERSIONS), pl.col(VALUE), pl.col(COST), per(CONVERSIONS).alias(CPA), over(VALUE).alias(ROAS)]
    if bounds:
        numbers += [per(f"{CONVERSIONS}_high").alias(f"{CPA}_low"), per(f"{CONVERSIONS}_low").alias(f"{CPA}_high")]
        numbers += [over(f"{VALUE}_{side}").alias(f"{ROAS}_{side}") for side in ("low", "high")]
    return table.select(*on, *numbers)


def _sorted(table: pl.DataFrame, keys: list[str], methods: pl.Series) -> pl.DataFrame:
    """The order of a credit table (semantics §10)."""

    def place(column: str, order: pl.Series) -> pl.Expr:
        return pl.col(column).replace_strict(order, range(len(order)), default=None, return_dtype=pl.Int64)

    by = [
        place(key, table[key].drop_nulls().unique(maintain_order=True))
        if key == STAGE and table.schema[key] == pl.String  # an enum sorts in the order of the model by itself
        else pl.col(key)
        for key in keys
    ]
    return table.sort(*by, KIND, place(METHOD, methods), nulls_last=False, maintain_order=True)


def _credit_table(credit: Any) -> pl.DataFrame:
    """The credit table with the types that it has when it comes from attrib.credit."""
    source = open_table(credit, "credit")
    names = source.schema.names()
    lacking = [name for name in (KIND, METHOD, CONVERSIONS, VALUE) if name not in names]
    hint = "make it with attrib.credit(journeys, methods)"
    if lacking or names.index(KIND) == 0:
        what = f"lacks {', '.join(lacking)}" if lacking else "has no key column before kind"
        raise DataError("bad_credit_table", f"the credit table {what}", hint=hint, missing=lacking)
    keys = names[: names.index(KIND)]
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
    if table.select(*keys, KIND, METHOD).is_duplicated().any():
        raise DataError("bad_credit_table", "the credit table has a key and method more than once", hint=hint)
    return table


def _advances(table: pl.DataFrame) -> bool:
    """Whether stages are games of their own: then the rows of no player carry theirs."""
    if STAGE not in table.columns:
        return False
    others = table.filter(pl.col(KIND) != PLAYER)[STAGE]
    return len(others) > 0 and not others.null_count()


def _as_in(dtype: pl.DataType, keys: pl.Series, name: str) -> pl.Series:
    """A key column of the costs in the type that it has in the credit table."""
    text = isinstance(keys.dtype, (pl.Categorical, pl.Enum))
    cast = (keys.cast(pl.String) if text else keys).cast(dtype, strict=False)
    lost = keys.filter(cast.is_null() & keys.is_not_null())
    if len(lost):
        stage = isinstance(dtype, pl.Enum)
        known = f"one of {', '.join(dtype.categories)}" if isinstance(dtype, pl.Enum) else f"{dtype} as in the credit"
        raise DataError(
            "stage_unknown" if stage else "wrong_type",
            f"costs: column {name!r} holds {clean(lost[0], 40)!r}, which is not {known}",
            column=name,
        )
    return cast


def _report(players: pl.DataFrame, totals: pl.DataFrame, own: list[str]) -> None:
    """Say which players have no cost, and which costs no player."""
    free = players.join(totals, on=own, how="anti", nulls_equal=True).sort(own)
    idle = totals.join(players, on=own, how="anti", nulls_equal=True).sort(own)
    what = ", ".join(own)
    if free.height:
        warn(f"no cost is known of {free.height:,} of {players.height:,} ({what}), where it is null: {_names(free)}")
    if idle.height:
        warn(
            f"{idle.height:,} of {totals.height:,} ({what}) in the costs are not in the credit table; their cost of "
            f"{math.fsum(idle[COST].to_list()):,.2f} stands in rows with 0 conversions: {_names(idle.select(own))}"
        )


def _names(keys: pl.DataFrame) -> str:
    names = [
        " · ".join("(none)" if part is None else clean(part, 40) for part in row) for row in keys.head(SHOWN).rows()
    ]
    more = keys.height - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")
