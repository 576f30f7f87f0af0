"""marketing-attribution-models 2.1.1 (Apache-2.0, polars).

Its chain is ours when steps from a channel to itself are kept: the removal effects, which are what is compared, are
equal. What it then credits is those effects shared out again inside each journey, and that is inside the clock, since
it cannot be left out. Its Shapley value is that of each journey's last four channels in order of the alphabet.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
from clock import main
from mam import MAM


def prepare(file: Path) -> pl.DataFrame:
    """One journey a row."""
    return pl.read_csv(file).select("path", pl.col("total_conversions") > 0, occurrences=pl.lit(1))


def model(table: pl.DataFrame) -> MAM:
    """Hand the table over: paths are cut here, inside the clock."""
    columns = {"channels_colname": "path", "journey_with_conv_colname": "total_conversions"}
    return MAM(table, "grouped_journey", occurrences_colname="occurrences", **columns)


def markov(table: pl.DataFrame) -> dict[str, float]:
    """Removal effects."""
    effects = model(table).run_markov(transition_to_same_state=True).metadata["removal_effect"]["removal_effect"]
    return dict(effects)


def shapley(table: pl.DataFrame) -> dict[str, float]:
    """Credited conversions."""
    return dict(model(table).run_shapley().to_polars().iter_rows())


def last_touch(table: pl.DataFrame) -> dict[str, float]:
    """Credited conversions."""
    return dict(model(table).run_last_click().to_polars().iter_rows())


if __name__ == "__main__":
    main("marketing-attribution-models", prepare, {"markov": markov, "shapley": shapley, "last_touch": last_touch})
