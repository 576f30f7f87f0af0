"""The features of each customer at one date, from events before it (docs/snapshots.md lists them)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import polars as pl

from attrib.snapshots.events import AT, DONE, MONEY, OWN, SCORE, TOUCH, WHO
from attrib.snapshots.timeline import BEFORE, GAP, ROW, STAGE, SWITCH, WITHIN, Timeline

DAY = 86_400_000_000  # microseconds
MIXES = ("none", "single", "multi", "cross")
COUNTS = ("events", "touches", "outcomes", "frequency", "channels", "switches", "referrals_made", "referrals_received")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the features are to be.

    ``window`` in microseconds, -1 for unlimited; ``channels`` with columns of their own, ``rest`` the name of all
    others together; ``own`` the caller's columns; ``stages`` the names of the model's, empty without one.
    """

    window: int
    channels: tuple[str, ...]
    rest: str
    purchases: tuple[str, ...]
    own: tuple[str, ...]
    stages: tuple[str, ...]
    satisfaction: bool
    referrals: bool


def features_at(date: int, line: Timeline, referrals: pl.DataFrame, recipe: Recipe) -> pl.DataFrame:
    """One row for each customer with an event before the date (microseconds since 1970)."""
    start = date - recipe.window if recipe.window >= 0 else -(2**62)
    past = pl.col(AT) < date
    recent = past & (pl.col(AT) >= start)
    parts = [
        _lives(line.events.lazy().filter(past), date),
        _rhythm(line.events.lazy().filter(recent), start),
        _purchases(line.outcomes.lazy().filter(past), date, start, recipe.purchases),
        _mix(line.touches.lazy().filter(recent), start),
        _channels(line.touches.lazy().filter(recent), recipe),
        _known(line.touches.lazy(), past, date, recipe),
    ]
    if recipe.satisfaction:
        parts.append(_satisfaction(line.touches.lazy().filter(recent), date))
    if recipe.stages:
        parts.append(_stages(line.moves.lazy().filter(past), recipe.stages))
    if recipe.referrals:
        parts += _referrals(referrals.lazy().filter(past))
    whole = reduce(lambda one, other: one.join(other, on=WHO, how="left"), parts)
    return whole.select(WHO, "first", *_columns(date, recipe)).collect(engine="streaming")


def _days(ticks: pl.Expr) -> pl.Expr:
    return ticks.cast(pl.Float64) / DAY


def _lives(past: pl.LazyFrame, date: int) -> pl.LazyFrame:
    return past.group_by(WHO).agg(
        pl.col(AT).min().alias("first"),
        _days(date - pl.col(AT).min()).alias("tenure"),
        _days(date - pl.col(AT).max()).alias("recency"),
    )


def _rhythm(recent: pl.LazyFrame, start: int) -> pl.LazyFrame:
    """Counts, and the times between consecutive instants of which both are in the window."""
    gap = pl.when(pl.col(AT) - pl.col(GAP) >= start).then(GAP)
    return (
        recent.with_columns(gap.alias(GAP))
        .group_by(WHO)
        .agg(
            pl.len().cast(pl.Int64).alias("events"),
            pl.col(TOUCH).count().cast(pl.Int64).alias("touches"),
            pl.col(TOUCH).null_count().cast(pl.Int64).alias("outcomes"),
            _days(pl.col(GAP).mean()).alias("gap_mean"),
            _days(pl.col(GAP).median()).alias("gap_median"),
            _days(pl.col(GAP).std()).alias("gap_std"),
            _days(pl.col(GAP).filter(pl.col(AT) == pl.col(AT).max()).max()).alias("gap_last"),
        )
    )


def _purchases(past: pl.LazyFrame, date: int, start: int, names: Sequence[str]) -> pl.LazyFrame:
    recent = pl.col(AT) >= start
    return (
        past.filter(pl.col(DONE).cast(pl.String).is_in(list(names)))
        .group_by(WHO)
        .agg(
            _days(date - pl.col(AT).max()).alias("recency_purchase"),
            recent.sum().cast(pl.Int64).alias("frequency"),
            pl.col(MONEY).filter(recent).sum().alias("value"),
            pl.col(MONEY).filter(recent).mean().alias("value_mean"),
        )
    )


def _mix(recent: pl.LazyFrame, start: int) -> pl.LazyFrame:
    inside = pl.col(BEFORE) >= start
    return recent.group_by(WHO).agg(
        (pl.col(SWITCH) & inside).sum().cast(pl.Int64).alias("switches"),
        (pl.col(WITHIN) & inside).fill_null(value=False).any().alias("crossed"),
    )


def _channels(recent: pl.LazyFrame, recipe: Recipe) -> pl.LazyFrame:
    counts = recent.group_by(WHO, TOUCH).agg(pl.len().cast(pl.Int64).alias("n"))
    n, name = pl.col("n"), pl.col(TOUCH).cast(pl.String)
    return counts.group_by(WHO).agg(
        pl.len().cast(pl.Int64).alias("channels"),
        # Σ n log n in the order of the counts; cum_sum, since polars leaves out a sort before a sum
        (n.cast(pl.Float64) * n.cast(pl.Float64).log()).sort().cum_sum().last().alias("n_log_n"),
        *(n.filter(name == channel).sum().alias(f"n{i}") for i, channel in enumerate(recipe.channels)),
    )


def _known(touches: pl.LazyFrame, past: pl.Expr, date: int, recipe: Recipe) -> pl.LazyFrame:
    """What the last touch before the date knows."""
    columns = [f"{OWN}{i}" for i in range(len(recipe.own))] + ([f"{SCORE}_last"] if recipe.satisfaction else [])
    last = touches.filter(past).group_by(WHO).agg(pl.col(ROW).max())
    known = touches.select(ROW, _days(date - pl.col(AT)).alias("recency_touch"), *columns)
    return last.join(known, on=ROW, how="left").drop(ROW)


def _satisfaction(recent: pl.LazyFrame, date: int) -> pl.LazyFrame:
    """Mean, and the slope of the least-squares line through the scores of the window."""
    x, y = _days(pl.col(AT) - date), pl.col(SCORE)
    scored = recent.filter(y.is_not_null())
    sums = scored.group_by(WHO).agg(
        y.mean().alias("satisfaction_mean"),
        (pl.col(AT).max() > pl.col(AT).min()).alias("slopes"),
        ((x - x.mean()) * (y - y.mean())).sum().alias("xy"),
        ((x - x.mean()) ** 2).sum().alias("xx"),
    )
    slope = pl.when("slopes").then(pl.col("xy") / pl.col("xx"))
    return sums.select(WHO, "satisfaction_mean", slope.alias("satisfaction_trend"))


def _stages(past: pl.LazyFrame, names: Sequence[str]) -> pl.LazyFrame:
    return past.group_by(WHO).agg(
        pl.col(STAGE).max(),
        pl.col(AT).max().alias("entered"),
        pl.len().cast(pl.Int64).alias("moves"),
        *(pl.col(AT).filter(pl.col(STAGE) == j).min().alias(f"entry{j}") for j in range(1, len(names))),
    )


def _referrals(past: pl.LazyFrame) -> list[pl.LazyFrame]:
    made = past.group_by(pl.col("by").alias(WHO)).agg(pl.len().cast(pl.Int64).alias("referrals_made"))
    return [made, past.select(WHO, pl.lit(1, pl.Int64).alias("referrals_received"))]


def _columns(date: int, recipe: Recipe) -> list[pl.Expr]:
    """All features, in the order of the table."""

    def count(name: str) -> pl.Expr:
        return pl.col(name).fill_null(0)

    touches, n_log_n = count("touches"), pl.col("n_log_n")
    entropy = pl.max_horizontal(touches.cast(pl.Float64).log() - n_log_n / touches, pl.lit(0.0))
    mix = pl.when(count("channels") == 0).then(pl.lit("none")).when(pl.col("channels") == 1).then(pl.lit("single"))
    mix_of_several = mix.when("crossed").then(pl.lit("cross")).otherwise(pl.lit("multi"))
    chosen = [count(f"n{i}") for i in range(len(recipe.channels))]
    parts = [*chosen, touches - pl.sum_horizontal(pl.lit(0, pl.Int64), *chosen)]
    named = [*recipe.channels, recipe.rest]
    columns = [
        pl.col("tenure"), pl.col("recency"), pl.col("recency_touch"), pl.col("recency_purchase"),
        *(count(name).alias(name) for name in COUNTS[:4]),
        pl.col("value").fill_null(0.0), pl.col("value_mean"),
        *(pl.col(f"gap_{what}") for what in ("mean", "median", "std", "last")),
        count("channels").alias("channels"),
        pl.when(count("channels") == 1).then(0.0).when(touches > 0).then(entropy).alias("channel_entropy"),
        count("switches").alias("switches"),
        mix_of_several.cast(pl.Enum(MIXES)).alias("channel_mix"),
        *(part.alias(f"touches:{name}") for name, part in zip(named, parts, strict=True)),
        *(pl.when(touches > 0).then(part / touches).alias(f"share:{name}")
          for name, part in zip(named, parts, strict=True)),
    ]  # fmt: skip
    if recipe.stages:
        kind = pl.Enum(recipe.stages)
        stage = pl.col(STAGE).fill_null(0).replace_strict(range(len(recipe.stages)), recipe.stages, return_dtype=kind)
        columns += [
            stage.alias("stage"),
            _days(date - pl.coalesce("entered", "first")).alias("days_in_stage"),
            (count("moves") + 1).alias("stages_entered"),
            *(_days(pl.col(f"entry{j}") - pl.col("first")).alias(f"days_to:{name}")
              for j, name in enumerate(recipe.stages) if j),
        ]  # fmt: skip
    if recipe.satisfaction:
        columns += [pl.col(f"{SCORE}_last").alias("satisfaction"), pl.col("satisfaction_mean", "satisfaction_trend")]
    if recipe.referrals:
        columns += [count(name).alias(name) for name in COUNTS[6:]]
    return [*columns, *(pl.col(f"{OWN}{i}").alias(f"last:{name}") for i, name in enumerate(recipe.own))]


def name_of_rest(channels: Sequence[str]) -> str:
    """Name of all other channels together, one that no channel bears.

    Examples
    --------
    >>> name_of_rest(["mail", "(other)"])
    '((other))'
    """
    name = "(other)"
    while name in channels:
        name = f"({name})"
    return name
