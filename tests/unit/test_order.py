"""The choice of an order, against plain Python, and on journeys whose order is known."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attrib
from attrib.analyses.order import _deal, _part
from attrib.engines.base import Units

CONVERSION, NULL = ("conversion",), ("null",)  # no names of players, which are texts


# --- the twin -----------------------------------------------------------------------------------------------------
def steps_of(players, end, order):
    """Context (shorter at the beginning) and next step."""
    for i in range(len(players) + 1):
        yield tuple(players[max(i - order, 0) : i]), players[i] if i < len(players) else end


def predicted(trained, context, step, possible):
    """Witten–Bell: trained[context] counts next steps; backs off to what else was seen after it without its oldest."""
    counts = trained.get(context, Counter())
    result = 1 / (possible + 2)
    for length in range(len(context) + 1):  # from the shortest on
        part = context[len(context) - length :]
        longer = context[len(context) - length - 1 :] if length < len(context) else None
        own = trained.get(part, Counter()) - (Counter() if longer is None else trained.get(longer, Counter()))
        if own:
            result = (own[step] + len(own) * result) / (sum(own.values()) + len(own))
    assert own == counts
    return result


def padded(context, order):
    """Contexts of one order are told apart by their beginning: start stands before the first touch."""
    return ("^",) * (order - len(context)) + context


def twin(journeys, max_order):
    """``journeys``: (players, end, fold, count). Rows by order, and per-fold results."""
    names = {player for players, *_ in journeys for player in players}
    rows = []
    for order in range(1, max_order + 1):
        counts: dict = defaultdict(Counter)
        for players, end, _, n in journeys:
            for context, step in steps_of(players, end, order):
                counts[padded(context, order)][step] += n
        likelihood = sum(n * math.log(n / sum(c.values())) for c in counts.values() for n in c.values() if n)
        free = sum(len(names) - 1 if set(context) == {"^"} else len(names) + 1 for context in counts)
        held, number = Counter(), Counter()
        for fold in {fold for *_, fold, _ in journeys}:
            trained: dict = defaultdict(Counter)
            for players, end, other, n in journeys:
                if other != fold and n:
                    for lower in range(order + 1):
                        for context, step in steps_of(players, end, order):
                            full = padded(context, order)
                            trained[full[order - lower :]][step] += n
            for players, end, here, n in journeys:
                if here == fold and n:
                    for context, step in steps_of(players, end, order):
                        held[fold] += n * math.log(predicted(trained, padded(context, order), step, len(names)))
                        number[fold] += n
        steps = sum(number.values())
        rows.append({
            "order": order, "contexts": len(counts), "parameters": free, "log_likelihood": likelihood,
            "aic": 2 * free - 2 * likelihood, "bic": free * math.log(steps) - 2 * likelihood,
            "out_of_sample": sum(held.values()), "per_step": sum(held.values()) / steps, "held": held, "number": number,
        })  # fmt: skip
    for lower, row in pairwise(rows):
        if row["contexts"] == lower["contexts"]:  # one chain: sums of floats by another order would differ
            row |= {name: lower[name] for name in ("out_of_sample", "per_step", "held")}
    best = max(rows, key=lambda row: row["out_of_sample"])
    for row in rows:
        folds = [f for f in row["number"] if row["number"][f]]
        gaps = [(best["held"][f] - row["held"][f]) / row["number"][f] for f in folds]
        mean = sum(gaps) / len(gaps)
        spread = sum((gap - mean) ** 2 for gap in gaps) / (len(gaps) - 1) if len(gaps) > 1 else 0
        row["room"] = math.sqrt(spread / len(gaps)) - (best["per_step"] - row["per_step"])
    return rows


def compare(table, rows):
    for found, wanted in zip(table.to_dicts(), rows, strict=True):
        for name in ("order", "contexts", "parameters"):
            assert found[name] == wanted[name]
        for name in ("log_likelihood", "aic", "bic", "out_of_sample", "per_step"):
            assert found[name] == pytest.approx(wanted[name], rel=1e-9, abs=1e-9), name
    assert table["recommended"].sum() == 1
    if all(abs(row["room"]) > 1e-9 or row["room"] == 0 for row in rows):  # no order on the verge
        first = next(row["order"] for row in rows if row["room"] >= 0)
        assert table.filter("recommended")["order"].item() == first


players_of = st.lists(st.sampled_from(("a", "b", "null")), min_size=1, max_size=5)


@given(st.lists(st.tuples(players_of, st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=5), st.integers(1, 4))
def test_path_tables_are_judged_as_by_the_twin(rows, max_order):
    rows = [(path, c, n) for path, c, n in rows if c + n] or [(["a"], 1, 2)]
    frame = pl.DataFrame(
        [(" > ".join(path), c, n) for path, c, n in rows],
        schema=["path", "total_conversions", "total_null"],
        orient="row",
    )
    folds = 3
    dealt = _deal(Units("paths", np.array([n for row in rows for n in row[1:]])), folds, 8)
    journeys = [
        (path, end, fold, int(dealt[fold, 2 * at + side]))
        for at, (path, *_) in enumerate(rows)
        for side, end in enumerate((CONVERSION, NULL))
        for fold in range(folds)
    ]
    journeys = [journey for journey in journeys if journey[3]]
    table = attrib.choose_order(attrib.Journeys.from_paths(frame), max_order, folds=folds, seed=8)
    compare(table, twin(journeys, max_order))


def test_customers_are_held_out_by_their_bucket():
    from attrib.engines.customers import hash_customers

    data = attrib.synth.generate(customers=250, seed=3)
    journeys = attrib.Journeys.from_events(data.touchpoints, data.outcomes, lookback=None)
    listed = journeys.to_frame().filter(pl.col("path") != "")
    bucket = hash_customers(listed["customer_id"], "integer")[0] >> np.uint64(56)
    rows = [
        (path.split(" > "), CONVERSION if status == "converting" else NULL, int(b) % 4, 1)
        for path, status, b in zip(listed["path"], listed["status"], bucket, strict=True)
    ]
    compare(attrib.choose_order(journeys, 3, folds=4), twin(rows, 3))


# --- journeys of a known order ------------------------------------------------------------------------------------
def simulated(order: int, n: int) -> attrib.Journeys:
    """Journeys of three players whose next step depends on the last ``order`` of them."""
    random = np.random.default_rng(1)
    chances: dict = {}
    paths = Counter()
    for _ in range(n):
        path: list[str] = []
        while True:
            context = tuple(path[-order:])
            if context not in chances:
                chances[context] = random.dirichlet([1.0, 1.0, 1.0, 0.7, 0.7] if path else [2.0, 2.0, 2.0])
            step = random.choice(len(chances[context]), p=chances[context])
            if step > 2:
                paths[" > ".join(path), int(step == 3)] += 1
                break
            path.append("abc"[step])
    rows = [(path, count * converted, count * (1 - converted)) for (path, converted), count in paths.items()]
    return attrib.Journeys.from_paths(
        pl.DataFrame(rows, schema=["path", "total_conversions", "total_null"], orient="row")
    )


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_order_that_journeys_were_made_with_is_recommended(order):
    table = attrib.choose_order(simulated(order, 6_000), max_order=4)
    assert table.filter("recommended")["order"].to_list() == [order]
    assert table["reason"][order - 1].startswith(
        f"order {order} predicts held-out steps best" if order > 1 else ("order 1 predicts", "the lowest order that")
    )
    assert table["log_likelihood"].is_sorted()
    if order == 2:
        assert table["reason"][0].startswith("predicts held-out steps worse than order")


SHORT = {
    1: [("a", 10, 990), ("b", 20, 1980), ("c", 5, 3000)],
    2: [("a", 10, 990), ("b", 20, 1980), ("a > b", 5, 500), ("b > a", 5, 600), ("a > a", 2, 300), ("b > b", 6, 800)],
    3: [("a > b > a", 90, 10), ("b > b > b", 10, 90), ("a", 3, 40), ("c > b", 2, 9), ("a > c", 1, 0)],
}


@pytest.mark.parametrize("longest", SHORT)
def test_a_memory_longer_than_every_journey_is_the_same_chain(longest):
    rows = pl.DataFrame(SHORT[longest], schema=["path", "total_conversions", "total_null"], orient="row")
    table = attrib.choose_order(attrib.Journeys.from_paths(rows))
    assert table.filter("recommended")["order"].item() <= longest
    alike = table.filter(pl.col("order") >= longest)
    for name in ("contexts", "parameters", "log_likelihood", "aic", "bic", "out_of_sample", "per_step"):
        assert alike[name].n_unique() == 1, name
    assert set(alike["reason"].to_list()[1:]) == {
        f"the same chain as order {longest}: in these journeys a longer memory tells no two steps apart"
    }


def test_a_memory_that_tells_nothing_new_scores_alike_however_long_the_journeys_are():
    """Before each step of these journeys only one other can stand, so that order 1 remembers everything."""
    rows = pl.DataFrame(
        {"path": ["z > a > c > x", "y > b > d > w"], "total_conversions": [9, 40], "total_null": [70, 30]}
    )
    table = attrib.choose_order(attrib.Journeys.from_paths(rows))
    assert table["per_step"].n_unique() == 1
    assert table.filter("recommended")["order"].to_list() == [1]


def test_stages_with_journeys_of_other_lengths_have_orders_of_their_own():
    """One touch before the visit, two between it and the purchase."""
    when = pl.col("timestamp").cast(pl.Datetime("us"))
    random = np.random.default_rng(0)
    names = random.choice(["a", "b", "c"], (300, 3))
    touches = pl.DataFrame({
        "customer_id": np.repeat(np.arange(300), 3), "timestamp": [1, 3, 4] * 300, "channel": names.ravel(),
    }).with_columns(when)  # fmt: skip
    visits, bought = np.arange(0, 300, 2), np.arange(0, 300, 6)
    outcomes = pl.DataFrame({
        "customer_id": np.concatenate([visits, bought]), "timestamp": [2] * len(visits) + [5] * len(bought),
        "outcome": ["visit"] * len(visits) + ["purchase"] * len(bought),
    }).with_columns(when)  # fmt: skip
    stages = attrib.StageModel([("new", "visit"), ("known", "purchase")])
    table = attrib.choose_order(attrib.Journeys.from_events(touches, outcomes, lookback=None, stages=stages))
    for stage, longest in (("new", 3), ("known", 2)):
        scores = table.filter(pl.col("stage").cast(pl.String) == stage)["per_step"].to_list()
        assert len(set(scores[longest - 1 :])) == 1
        assert len(set(scores)) == longest


def test_customers_of_one_touch_have_a_memory_of_one():
    touches = pl.DataFrame(
        {"customer_id": range(400), "timestamp": [1] * 400, "channel": ["a", "b", "c", "d"] * 100}
    ).with_columns(pl.col("timestamp").cast(pl.Datetime("us")))
    outcomes = pl.DataFrame({"customer_id": range(0, 400, 3), "timestamp": [2] * 134, "outcome": ["purchase"] * 134})
    outcomes = outcomes.with_columns(pl.col("timestamp").cast(pl.Datetime("us")))
    table = attrib.choose_order(attrib.Journeys.from_events(touches, outcomes, lookback=None))
    assert table["per_step"].n_unique() == 1
    assert table["recommended"].to_list() == [True, False, False, False, False]


# --- shapes -------------------------------------------------------------------------------------------------------
def test_every_game_is_judged_alone():
    data = attrib.synth.generate(customers=300, seed=2)
    journeys = attrib.Journeys.from_events(data.touchpoints, data.outcomes, stages="five")
    table = attrib.choose_order(journeys, 2)
    assert table.columns[:2] == ["stage", "order"]
    assert table["order"].to_list() == [1, 2] * 5
    some = table.drop_nulls("per_step")
    assert some.group_by("stage").agg(pl.col("recommended").sum())["recommended"].unique().to_list() == [1]
    assert (some["per_step"] < 0).all()


def test_a_game_without_journeys_has_no_order():
    touches = pl.DataFrame({"customer_id": [1], "timestamp": [1], "channel": ["a"]})
    outcomes = pl.DataFrame({"customer_id": [1], "timestamp": [2], "outcome": ["visit"]})
    frames = (t.with_columns(pl.col("timestamp").cast(pl.Datetime("us"))) for t in (touches, outcomes))
    table = attrib.choose_order(attrib.Journeys.from_events(*frames, stages="three"), 2)
    empty = table.filter(pl.col("stage").cast(pl.String) == "decision")
    assert empty["reason"].to_list() == ["no journeys"] * 2
    assert empty["recommended"].to_list() == [False, False]
    assert empty["bic"].to_list() == empty["per_step"].to_list() == [None, None]
    assert table["recommended"].sum() == 1


def test_journeys_stay_whole_when_they_are_dealt():
    units = Units("paths", np.array([7, 0, 3, 1_000_003]))
    dealt = _deal(units, 10, 0)
    assert dealt.sum(axis=0).tolist() == units.counts.tolist()
    counts = units.counts * np.array([1, 1, 3, 5])  # steps that a journey makes once, or several times
    for part in dealt:
        found = _part(counts.astype(float), np.arange(4), units, part)
        assert found.tolist() == (part * np.array([1, 1, 3, 5])).tolist()
    assert not np.array_equal(dealt, _deal(units, 10, 1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_order": 6}, "max_order = 6 is not a whole number from 1 to 5"),
        ({"max_order": True}, "max_order = True is not"),
        ({"folds": 1}, "folds = 1 is not a whole number from 2 to 256"),
        ({"seed": -1}, "seed = -1 is not a whole number from 0"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    journeys = attrib.Journeys.from_paths(pl.DataFrame({"path": ["a"], "total_conversions": [1]}))
    with pytest.raises(attrib.SpecError, match=message):
        attrib.choose_order(journeys, **settings)


def test_too_many_players_for_the_highest_order():
    frame = pl.DataFrame({"path": [f"c{i}" for i in range(3000)], "total_conversions": [1] * 3000})
    with pytest.raises(attrib.ResourceError, match="use max_order=4 or lower"):
        attrib.choose_order(attrib.Journeys.from_paths(frame))
