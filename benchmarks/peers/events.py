"""From an event log to the path table that most packages read: what their users write before them, in pandas."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from tables import SEPARATOR


def read(file: Path) -> pd.DataFrame:
    """Times as times, flags as flags."""
    events = pd.read_csv(file)
    return events.assign(time=pd.to_datetime(events["time"], unit="s"), converted=events["converted"] > 0)


def paths(events: pd.DataFrame, *, groupby: bool = False) -> pd.DataFrame:
    """Sort, end a journey at each conversion and each customer's last touch, join its channels, add up equal paths.

    Slices of one list are joined, which takes a tenth or less of the time of the common ``groupby(…).agg`` with
    ``" > ".join`` (``groupby=True``).
    """
    ordered = events.sort_values(["customer", "time"])
    ends = ordered["converted"] | (ordered["customer"] != ordered["customer"].shift(-1))
    if groupby:
        journeys = ordered.groupby(ends.shift(fill_value=False).cumsum(), sort=False)
        texts = journeys["channel"].agg(SEPARATOR.join).to_numpy()
    else:
        names, cuts = ordered["channel"].tolist(), [0, *(np.flatnonzero(ends) + 1).tolist()]
        texts = [SEPARATOR.join(names[start:end]) for start, end in pairwise(cuts)]
    converts = ordered["converted"][ends].to_numpy().astype(int)
    table = pd.DataFrame({"path": texts, "total_conversions": converts, "total_null": 1 - converts})
    return table.groupby("path", as_index=False, sort=False).sum()
