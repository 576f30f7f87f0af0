"""do-attribution 0.0.2 (MIT): exact Markov chains of order 1 to 3, where a step into the removed channel leads to null.

It reads three sequences of one length: path texts, outcomes (0 or 1) and weights. So a row of a path table becomes two.
"""

from do_attribution import MarkovAttribution
from tables import SEPARATOR, Answers, Row, main


def answer(rows: list[Row]) -> Answers:
    """Shares, removal effects and the probability to convert, by order."""
    both = [(path, 1, conversions) for path, conversions, _ in rows] + [(path, 0, nulls) for path, _, nulls in rows]
    paths, converted, weights = zip(*(row for row in both if row[2] > 0), strict=True)
    found: Answers = {}
    for order in (1, 2, 3):
        model = MarkovAttribution(order=order, separator=SEPARATOR, removal_strategy="redirect_to_null")
        result = model.fit(paths, converted, weights)
        found[f"share {order}"] = result["attribution"]
        found[f"effect {order}"] = result["removal_effects"]
        found[f"probability {order}"] = {"": result["total_conversion_probability"]}
    return found


if __name__ == "__main__":
    main(answer)
