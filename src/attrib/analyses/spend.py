"""attrib.spend: what the channels cost, beside what they are credited with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from attrib.analyses.costs import open_costs, period_bounds, sum_costs, total_costs
from attrib.analyses.credit_tables import BOUNDS, PLAYER, advances, as_in, credit_table, names_of
from attrib.diagnostics.finding import tell
from attrib.diagnostics.names import near_keys
from attrib.errors import warn
from attrib.io.mapping import read_columns
from attrib.schemas import CONVERSIONS, COST, CPA, KIND, METHOD, ROAS, STAGE, VALUE

ROAS_ALL = (ROAS, f"{ROAS}_low", f"{ROAS}_high")
SAME = 1e-9  # of the largest number: methods compute value and conversions by sums of their own


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
        - ``roas`` = value / cost, null where cost is 0, and everywhere where the outcomes have no value, so that each
          counts as 1 and value is but the number of conversions;
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
        Outcomes without a value (no ROAS) or all of value 0, channels without a cost, costs without a channel, and
        costs that stand at several stages: in the view ``advance``, costs without a column ``stage`` stand
        whole at every stage (the cost of an advance if all the money had gone into it), and must not be added up over
        stages.

    Examples
    --------
    >>> import attrib, polars as pl
    >>> paths = pl.DataFrame(
    ...     {
    ...         "path": ["ad > mail", "mail"],
    ...         "total_conversions": [40, 20],
    ...         "total_conversion_value": [800.0, 500.0],
    ...         "total_null": [60, 20],
    ...     }
    ... )
    >>> table = attrib.credit(attrib.Journeys.from_paths(paths), attrib.Linear(), intervals=None)
    >>> costs = pl.DataFrame({"channel": ["ad", "ad", "mail"], "cost": [100.0, 60.0, 20.0]})
    >>> attrib.spend(table, costs).filter(kind="player").select("channel", "cost", "cpa", "roas").rows()
    [('ad', 160.0, 8.0, 2.5), ('mail', 20.0, 0.5, 45.0)]
    """
    table = credit_table(credit)
    keys = table.columns[: table.columns.index(KIND)]
    between = None if period is None else period_bounds(period)
    totals = total_costs(open_costs(costs, read_columns(columns)), keys, everywhere=advances(table), between=between)
    return spend_frame(table, totals)


def spend_frame(table: pl.DataFrame, totals: pl.DataFrame) -> pl.DataFrame:
    """Put summed costs beside a credit table; see :func:`spend`."""
    keys = table.columns[: table.columns.index(KIND)]
    own = [key for key in keys if key in totals.columns]
    methods = table.select(pl.col(METHOD).unique(maintain_order=True))
    totals = sum_costs(totals.with_columns(as_in(table.schema[key], totals[key], key, "costs") for key in own), own)
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
    found = _sorted(_ratios(whole, on, bounds), keys, methods[METHOD])
    if _without_value(table):
        warn(
            "roas is null: every conversion has a value of 1, as where outcomes have no column value, so that value / "
            "cost would be conversions / cost; give the outcomes a value in the unit of the costs, or read cpa"
        )
        found = found.with_columns(pl.lit(None, pl.Float64).alias(name) for name in found.columns if name in ROAS_ALL)
    elif _worth_nothing(table):
        warn(
            "roas is 0: every conversion has a value of 0; was the value not tracked, or everything refunded? Give the "
            "outcomes a value in the unit of the costs, or read cpa"
        )
    return found


def _worth_nothing(table: pl.DataFrame) -> bool:
    """Whether there are conversions, and all their values are 0."""
    some = table.select(CONVERSIONS, VALUE).drop_nulls()
    return bool((some[CONVERSIONS] != 0).any()) and not (some[VALUE] != 0).any()


def _without_value(table: pl.DataFrame) -> bool:
    """Whether value is nowhere anything but the number of conversions."""
    some = table.select(CONVERSIONS, VALUE).drop_nulls()
    size = pl.max_horizontal(pl.col(CONVERSIONS).abs().max(), pl.lit(0.0))
    apart = (pl.col(VALUE) - pl.col(CONVERSIONS)).abs().max() > SAME * size
    differs, largest = some.select(apart, size.alias("size")).row(0) if some.height else (False, 0.0)
    return not differs and largest > 0


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


def _report(players: pl.DataFrame, totals: pl.DataFrame, own: list[str]) -> None:
    """Say which players have no cost, and which costs no player."""
    free = players.join(totals, on=own, how="anti", nulls_equal=True).sort(own)
    idle = totals.join(players, on=own, how="anti", nulls_equal=True).sort(own)
    what = ", ".join(own)
    for key in own:
        if idle.schema[key] == pl.String:
            near = near_keys(idle[key].drop_nulls(), players[key].drop_nulls(), "costs", f"{key} of the credit table")
            if near is not None:
                tell(near)
    if free.height:
        warn(f"no cost is known of {free.height:,} of {players.height:,} ({what}), where it is null: {names_of(free)}")
    if idle.height:
        warn(
            f"{idle.height:,} of {totals.height:,} ({what}) in the costs are not in the credit table; their cost of "
            f"{math.fsum(idle[COST].to_list()):,.2f} stands in rows with 0 conversions: {names_of(idle.select(own))}"
        )
