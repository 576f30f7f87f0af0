"""ChannelAttribution 2.2.5 (GPL-3): simulated Markov removal effects, and last touch.

Never installed by this project: to include it, put it into an environment of your own and set CHANNELATTRIBUTION to the
path of that environment's Python.
"""

from __future__ import annotations

import events
import pandas as pd
from ChannelAttribution import heuristic_models, markov_model
from clock import main


def markov(table: pd.DataFrame) -> dict[str, float]:
    """Credited conversions of order 1; the number of simulations is its own choice."""
    columns = {"var_path": "path", "var_conv": "total_conversions", "var_null": "total_null"}
    found = markov_model(table, **columns, order=1, verbose=False, flg_pro=False)
    return dict(zip(found["channel_name"], found["total_conversions"], strict=True))


def last_touch(table: pd.DataFrame) -> dict[str, float]:
    """Credited conversions."""
    found = heuristic_models(table, "path", "total_conversions", flg_pro=False)
    return dict(zip(found["channel_name"], found["last_touch"], strict=True))


if __name__ == "__main__":
    from_events = {
        "markov": lambda log: markov(events.paths(log)),
        "markov_groupby": lambda log: markov(events.paths(log, groupby=True)),
    }
    tasks = {
        "path table": (pd.read_csv, {"markov": markov, "last_touch": last_touch}),
        "event log": (events.read, from_events),
    }
    main("ChannelAttribution", tasks)
