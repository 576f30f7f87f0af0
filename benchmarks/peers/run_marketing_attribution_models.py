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


def read_events(file: Path) -> pl.DataFrame:
    """Times as times, flags as flags."""
    return pl.read_csv(file).with_columns(pl.from_epoch("time"), pl.col("converted") > 0)


def effects(model: MAM) -> dict[str, float]:
    """Removal effects."""
    return dict(model.run_markov(transition_to_same_state=True).metadata["removal_effect"]["removal_effect"])


def markov(table: pl.DataFrame) -> dict[str, float]:
    """Removal effects of the chain over a path table."""
    return effects(model(table))


def markov_of_events(log: pl.DataFrame) -> dict[str, float]:
    """Removal effects of the chain over an event log, which it sorts and cuts at conversions itself."""
    columns = {"channels_colname": "channel", "journey_with_conv_colname": "converted", "datetime_colname": "time"}
    cut = {"user_id_colname": "customer", "create_journey_id_based_on_conversion": True}
    return effects(MAM(log, "session", **columns, **cut))


def shapley(table: pl.DataFrame) -> dict[str, float]:
    """Credited conversions."""
    return dict(model(table).run_shapley().to_polars().iter_rows())


def last_touch(table: pl.DataFrame) -> dict[str, float]:
    """Credited conversions."""
    return dict(model(table).run_last_click().to_polars().iter_rows())


if __name__ == "__main__":
    tasks = {
        "path table": (prepare, {"markov": markov, "shapley": shapley, "last_touch": last_touch}),
        "event log": (read_events, {"markov": markov_of_events}),
    }
    main("marketing-attribution-models", tasks)
