"""mta 0.0.9 (MIT): rules, the closed form of Shapley's value by its definition, and a Markov model of its own.

It reads a frame or CSV file with the columns path, total_conversions and total_null.
"""

import pandas as pd
from mta import MTA
from tables import SEPARATOR, Answers, Row, main

MODELS = {
    "first_touch": ("first_touch", {}),
    "last_touch": ("last_touch", {}),
    "linear": ("linear", {"share": "proportional"}),
    "linear over distinct channels": ("linear", {"share": "same"}),
    "position 40/40": ("position_based", {}),
    "position 30/60": ("position_based", {"first_weight": 30, "last_weight": 60}),
    "time_decay": ("time_decay", {}),
    "shapley": ("shapley", {}),
    "markov": ("markov", {}),
    "shao": ("shao", {}),
}


def answer(rows: list[Row]) -> Answers:
    """Credited conversions by method; of markov, its removal effects."""
    table = pd.DataFrame(rows, columns=["path", "total_conversions", "total_null"])
    found: Answers = {}
    for label, (name, options) in MODELS.items():
        # without loops it would join runs of a channel; normalised answers are rounded to six digits
        model = MTA(table, allow_loops=True, add_timepoints=False, sep=SEPARATOR)
        getattr(model, name)(normalize=False, **options)
        (credit,) = model.attribution.values()
        found[label] = {channel: float(number) for channel, number in credit.items()}
    return found


if __name__ == "__main__":
    main(answer)
