"""shapley-attribution 2.1.0 (MIT): the closed form of Shapley's value, and rules over single journeys.

It reads a list of journeys, each a list of channels, and one outcome (0 or 1) a journey. So a row of a path table
becomes as many journeys as it counts.
"""

from shapley_attribution import (
    FirstTouchAttribution,
    LastTouchAttribution,
    LinearAttribution,
    PositionBasedAttribution,
    SimplifiedShapleyAttribution,
    TimeDecayAttribution,
)
from tables import SEPARATOR, Answers, Row, main

MODELS = {
    "first_touch": FirstTouchAttribution(),
    "last_touch": LastTouchAttribution(),
    "linear": LinearAttribution(),
    "position 40/40": PositionBasedAttribution(),
    "position 30/60": PositionBasedAttribution(first_weight=0.3, last_weight=0.6),
    "time_decay": TimeDecayAttribution(decay_rate=0.5),
    "shapley": SimplifiedShapleyAttribution(),
}


def answer(rows: list[Row]) -> Answers:
    """Credited conversions by method."""
    journeys, outcomes = [], []
    for path, conversions, nulls in rows:
        journeys += [path.split(SEPARATOR)] * (conversions + nulls)
        outcomes += [1] * conversions + [0] * nulls
    return {
        label: {channel: float(number) for channel, number in model.fit(journeys, outcomes).get_attribution().items()}
        for label, model in MODELS.items()
    }


if __name__ == "__main__":
    main(answer)
