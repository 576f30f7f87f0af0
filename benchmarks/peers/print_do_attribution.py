"""do-attribution 0.0.2 (MIT): credit by its Markov chains, with the removal that it takes by itself and with ours.

Its Shapley value is that of another game: a set is worth the journeys with exactly its channels. Where no journey has
all channels, these values sum to 0, and it gives no shares.
"""

from do_attribution import MarkovAttribution
from tables import SEPARATOR, Answers, Row, main


def answer(rows: list[Row]) -> Answers:
    """Shares by method."""
    both = [(path, 1, conversions) for path, conversions, _ in rows] + [(path, 0, nulls) for path, _, nulls in rows]
    paths, converted, weights = zip(*(row for row in both if row[2] > 0), strict=True)
    found: Answers = {}
    for order in (1, 2, 3):
        for label, removal in (("", {"removal_strategy": "redirect_to_null"}), (" as it comes", {})):
            model = MarkovAttribution(order=order, separator=SEPARATOR, **removal)
            found[f"markov {order}{label}"] = dict(model.fit(paths, converted, weights)["attribution"])
    return found


if __name__ == "__main__":
    main(answer)
