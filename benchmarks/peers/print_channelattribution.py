"""ChannelAttribution 2.2.5 (GPL-3): credited conversions as it prints them, with the seed that it takes by itself.

Never installed by this project; see run_channelattribution.py.
"""

import pandas as pd
from ChannelAttribution import heuristic_models, markov_model
from tables import Answers, Row, main

RULES = {"first_touch": "first_touch", "last_touch": "last_touch", "linear": "linear_touch"}


def answer(rows: list[Row]) -> Answers:
    """Credited conversions by method."""
    table = pd.DataFrame(rows, columns=["path", "won", "lost"])
    rules = heuristic_models(table, "path", "won", flg_pro=False)
    found: Answers = {
        label: dict(zip(rules["channel_name"], rules[column].astype(float), strict=True))
        for label, column in RULES.items()
    }
    for order in (1, 2, 3):
        columns = {"var_path": "path", "var_conv": "won", "var_null": "lost"}
        chain = markov_model(table, **columns, order=order, verbose=False, flg_pro=False)
        found[f"markov {order}"] = dict(
            zip(chain["channel_name"], chain["total_conversions"].astype(float), strict=True)
        )
    return found


if __name__ == "__main__":
    main(answer)
