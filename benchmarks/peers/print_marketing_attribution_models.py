"""marketing-attribution-models 2.1.1 (Apache-2.0): credited conversions as it prints them."""

import polars as pl
from mam import MAM
from tables import Answers, Row, main

MODELS = {
    "first_touch": ("run_first_click", {}),
    "last_touch": ("run_last_click", {}),
    "linear": ("run_linear", {}),
    "position 40/40": ("run_position_based", {}),
    "markov 1": ("run_markov", {}),  # steps from a channel to itself, which it leaves out, change nothing
    "shapley": ("run_shapley", {}),
}


def answer(rows: list[Row]) -> Answers:
    """Credited conversions by method; it reads one row a path and end, with how often it occurred."""
    ends = [(path, True, won) for path, won, _ in rows] + [(path, False, lost) for path, _, lost in rows]
    schema = ["path", "converts", "occurrences"]
    table = pl.DataFrame([end for end in ends if end[2] > 0], schema=schema, orient="row")
    columns = {"channels_colname": "path", "journey_with_conv_colname": "converts"}
    model = MAM(table, "grouped_journey", occurrences_colname="occurrences", **columns)
    return {
        label: {str(row[0]): float(row[1]) for row in getattr(model, name)(**options).to_polars().iter_rows()}
        for label, (name, options) in MODELS.items()
    }


if __name__ == "__main__":
    main(answer)
