"""Drawn event tables: lists of dicts for the twin, and the same as frames for the package.

Times are whole seconds since EPOCH, few and close, so that ties abound; channels bear names that a
careless program takes for its own states. Values are multiples of 1/4: their sums are exact in any
order, and a total of 0 is 0 for everyone.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from hypothesis import strategies as st

Row = dict[str, Any]
Tables = tuple[list[Row], list[Row]]

EPOCH = dt.datetime(2024, 1, 1)  # noqa: DTZ001 (naive on purpose: zones have tests of their own)
CHANNELS = ("a", "b", "direct", "null", "start", "(conversion)", "é", "a > b")
OUTCOMES = ("purchase", "visit", "intent", "referral", "other")
VALUES = (-2.0, 0.0, 0.25, 1.0, 3.5)
OPTIONAL: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "touchpoints": {
        "sequence": st.sampled_from([None, 0, 1, 2]),
        "event_id": st.sampled_from([None, "t1", "t2"]),
        "interaction": st.sampled_from([None, "click", "impression"]),
        "country": st.sampled_from([None, "de", "fr"]),
    },
    "outcomes": {
        "value": st.sampled_from(VALUES),
        "event_id": st.sampled_from([None, "o1", "o2"]),
        "country": st.sampled_from([None, "de", "fr"]),
        "order_id": st.sampled_from([None, 1, 2]),  # whole numbers: what orders equal rows is then known
    },
}
ON_DEMAND = {"order_id"}
SCHEMAS = {
    "touchpoints": {
        "customer_id": pl.String,
        "timestamp": pl.Datetime("us"),
        "channel": pl.String,
        "sequence": pl.Int64,
        "event_id": pl.String,
        "stage": pl.String,
        "interaction": pl.String,
        "country": pl.String,
    },
    "outcomes": {
        "customer_id": pl.String,
        "timestamp": pl.Datetime("us"),
        "outcome": pl.String,
        "value": pl.Float64,
        "event_id": pl.String,
        "country": pl.String,
        "order_id": pl.Int64,
    },
}


@st.composite
def event_tables(
    draw: st.DrawFn,
    *,
    customers: int = 6,
    touches: int = 8,
    outcomes: int = 5,
    horizon: int = 12,
    channels: int = 4,
    target: str | None = "purchase",
    columns: Mapping[str, Sequence[str]] | None = None,
    values: Sequence[float] = VALUES,
    integer_ids: bool = False,
) -> Tables:
    """Draw (touchpoints, outcomes).

    `touches` and `outcomes` are the most per customer, `channels` the most different ones in a table;
    `columns` names the optional columns of each table (default: drawn). With a `target` there is at
    least one touch and one outcome of that name, as the package demands; without, tables may be empty.
    """
    optional = {}
    for table, possible in OPTIONAL.items():
        if columns is None:
            optional[table] = draw(st.lists(st.sampled_from(sorted(possible.keys() - ON_DEMAND)), unique=True))
        else:
            optional[table] = list(columns.get(table, ()))
    strategies = {
        table: {name: OPTIONAL[table][name] for name in SCHEMAS[table] if name in optional[table]} for table in OPTIONAL
    }
    if "value" in strategies["outcomes"]:
        strategies["outcomes"]["value"] = st.sampled_from(list(values))
    palette = draw(st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=channels, unique=True))
    time = st.integers(0, horizon)

    def touch(customer: Any) -> st.SearchStrategy[Row]:
        fixed = {"customer_id": st.just(customer), "timestamp": time, "channel": st.sampled_from(palette)}
        return st.fixed_dictionaries(fixed | strategies["touchpoints"])

    def outcome(customer: Any, names: Sequence[str] = OUTCOMES) -> st.SearchStrategy[Row]:
        fixed = {"customer_id": st.just(customer), "timestamp": time, "outcome": st.sampled_from(names)}
        return st.fixed_dictionaries(fixed | strategies["outcomes"])

    people = [i if integer_ids else f"c{i}" for i in range(draw(st.integers(1, customers)))]
    touched: list[Row] = []
    reached: list[Row] = []
    for customer in people:
        touched += draw(st.lists(touch(customer), max_size=touches))
        reached += draw(st.lists(outcome(customer), max_size=outcomes))
    if target is not None and not touched:
        touched.append(draw(touch(people[0])))
    if target is not None and all(row["outcome"] != target for row in reached):
        reached.append(draw(outcome(people[0], [target])))
    return touched, reached


@st.composite
def stage_models(draw: st.DrawFn, *, stages: int = 4) -> list[tuple[str, str | None, int]]:
    """Draw stages as (name, milestone or None, nth); names out of alphabetical order."""
    milestones = draw(
        st.lists(st.sampled_from(("visit", "intent", "purchase", "referral")), min_size=1, max_size=stages)
    )
    model: list[tuple[str, str | None, int]] = []
    for name, milestone in zip(("zeta", "alpha", "middle", "beta"), milestones, strict=False):
        # The same outcome once more asks for a later row of it, as purchase and 2nd purchase do.
        earlier = [nth for _, other, nth in model if other == milestone]
        model.append((name, milestone, max(earlier, default=0) + draw(st.integers(1, 2))))
    if len(model) > 1 and draw(st.booleans()):
        model[-1] = (model[-1][0], None, 1)
    return model


@st.composite
def recipes(draw: st.DrawFn, *, longest: int = 12, stages: bool = False) -> dict[str, Any]:
    """Draw keyword arguments of `reference.build`, durations in whole seconds; see `public`."""

    def duration() -> int | None:
        return draw(st.none() | st.integers(1, longest))

    recipe: dict[str, Any] = {
        "lookback": duration(),
        "max_gap": duration(),
        "maturity": duration(),
        "repeats": draw(st.sampled_from(["keep", "collapse", "first", "last"])),
        "duplicates": draw(st.sampled_from(["drop", "keep"])),
        "max_touches": draw(st.sampled_from([None, None, 1, 2, 3])),
        "after_conversion": draw(st.sampled_from(["reset", "keep"])),
        "refunds": draw(st.sampled_from(["net", "net", "keep"])),
        "count_refunded": draw(st.booleans()),
    }
    if stages:
        recipe["stages"] = draw(stage_models())
        recipe["view"] = draw(st.sampled_from(["advance", "resolved"]))
    return recipe


def public(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Turn keyword arguments of the twin into those of `attrib.Journeys.from_events`."""
    import attrib

    result = dict(recipe)
    for name in ("lookback", "max_gap", "maturity"):
        if isinstance(result.get(name), Mapping):
            result[name] = {key: "unlimited" if one is None else f"{one}s" for key, one in result[name].items()}
        elif result.get(name) is not None:
            result[name] = f"{result[name]}s"
    stages = result.get("stages")
    if stages and stages[0] == "column":
        result["stages"] = attrib.StageColumn(stages[1], order=list(stages[2]))
    elif stages:
        result["stages"] = attrib.StageModel(
            [(name, attrib.Milestone(outcome, nth=nth) if outcome else None) for name, outcome, nth in stages]
        )
    return result


def to_frames(touches: Sequence[Row], outcomes: Sequence[Row]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the tables as frames, times as Datetime("us") from EPOCH (integers are seconds)."""
    return _frame(touches, SCHEMAS["touchpoints"]), _frame(outcomes, SCHEMAS["outcomes"])


def _frame(rows: Sequence[Row], schema: Mapping[str, Any]) -> pl.DataFrame:
    present = {name for row in rows for name in row} or set(list(schema)[:3])
    known = {name: kind for name, kind in schema.items() if name in present}
    if any(isinstance(row["customer_id"], int) for row in rows):
        known["customer_id"] = pl.Int64
    data: dict[str, list[Any]] = {name: [row.get(name) for row in rows] for name in known}
    data["timestamp"] = [
        EPOCH + dt.timedelta(seconds=time) if isinstance(time, int) else time for time in data["timestamp"]
    ]
    further = {name: [row.get(name) for row in rows] for name in sorted(present - set(known))}
    return pl.DataFrame(data, schema=known).with_columns(pl.Series(name, cells) for name, cells in further.items())


def random_tables(
    seed: int,
    customers: int,
    *,
    channels: int = 6,
    days: int = 60,
    touches: int = 12,
    country: bool = False,
) -> Tables:
    """Return seeded tables without Hypothesis: up to `touches` per customer over `days`, and outcomes.

    Times are full hours (in seconds), so ties within a customer occur; rows come in random order.
    """
    rng = random.Random(seed)
    palette = [*CHANNELS, *(f"channel {i}" for i in range(channels))][:channels]
    touched: list[Row] = []
    reached: list[Row] = []
    for i in range(customers):
        home = {"country": rng.choice(["de", "fr", "us"])} if country else {}

        def event(name: str = f"c{i}", home: Row = home) -> Row:
            return {"customer_id": name, "timestamp": 3600 * rng.randrange(24 * days), **home}

        touched += [
            {**event(), "channel": rng.choice(palette), "interaction": rng.choice(["click", "impression"])}
            for _ in range(rng.randrange(touches + 1))
        ]
        for outcome, most in (("visit", 2), ("intent", 1), ("purchase", 3), ("referral", 1)):
            reached += [
                {**event(), "outcome": outcome, "value": rng.randrange(-8, 80) / 4}
                for _ in range(rng.randrange(most + 1))
            ]
    rng.shuffle(touched)
    rng.shuffle(reached)
    return touched, reached
