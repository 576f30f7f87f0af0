"""mta 0.0.9 (MIT): last touch, the closed form of Shapley's value, and a Markov model over the observed rows only."""

from __future__ import annotations

from functools import partial

import pandas as pd
from clock import main
from mta import MTA
from tables import SEPARATOR


def credit(table: pd.DataFrame, method: str) -> dict[str, float]:
    """Credited conversions; of Markov, its removal effects."""
    model = MTA(table, allow_loops=True, add_timepoints=False, sep=SEPARATOR)
    getattr(model, method)(normalize=False)
    (found,) = model.attribution.values()
    return dict(found)


if __name__ == "__main__":
    methods = {name: partial(credit, method=name) for name in ("markov", "shapley", "last_touch")}
    main("mta", {"path table": (pd.read_csv, methods)})
