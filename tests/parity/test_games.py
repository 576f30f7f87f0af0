"""Games of coalitions, interactions, positions and credit by touch equal the slow twin, for few players."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import attrib
import reference
from strategies import EPOCH, event_tables, public, recipes, to_frames

WORTHS = ("conversions", "rate", "markov")
RULES: dict[str, tuple[Any, dict[str, Any]]] = {
    "shapley": (attrib.Shapley(), {}),
    "last_non_direct": (attrib.LastNonDirect(direct=("direct", "a")), {"direct": ("direct", "a")}),
    "position": (attrib.PositionBased(first=0.5, last=0.25), {"first": 0.5, "last": 0.25}),
    "time_decay": (attrib.TimeDecay(half_life="3s"), {"half_life": 3}),
    "custom": (
        attrib.CustomWeights(lambda positions, days: positions + 86_400 * days),
        {"weights": lambda positions, seconds: [p + s for p, s in zip(positions, seconds, strict=True)]},
    ),
}
pytestmark = pytest.mark.filterwarnings("ignore::attrib.AttribWarning")  # refunds, nulls without a game


@st.composite
def cases(draw: st.DrawFn) -> tuple[attrib.Journeys, reference.Built]:
    """Journeys and what the twin makes of the same events: stages, by, composed players, repeats."""
    touch_columns = draw(st.sampled_from([[], ["country"], ["interaction"], ["country", "interaction"]]))
    outcome_columns = draw(st.sampled_from([[], ["value"], ["value", "country"]]))
    touches, outcomes = draw(
        event_tables(channels=2, columns={"touchpoints": touch_columns, "outcomes": outcome_columns})
    )
    recipe = draw(recipes(stages=draw(st.booleans())))
    if "country" in touch_columns + outcome_columns and draw(st.booleans()):
        recipe["by"] = ("country",)
    staged = recipe.get("view") == "resolved"
    if "interaction" in touch_columns and not staged and draw(st.booleans()):
        recipe["player"] = ("channel", "interaction")
    milestones = {milestone for _, milestone, *_ in recipe.get("stages") or ()}
    assume(recipe.get("view") != "advance" or milestones & {row["outcome"] for row in outcomes})
    built = reference.build(touches, outcomes, **recipe)
    most = max((len(reference.players_of(journeys)) for journeys in built.games().values()), default=0)
    assume(most <= 6)  # the twin solves a chain for every coalition
    journeys = attrib.Journeys.from_events(*to_frames(touches, outcomes), **{"target": "purchase", **public(recipe)})
    return journeys, built


def game_columns(built: reference.Built) -> list[str]:
    return [*built.by, *(["stage"] if built.stages is not None and built.view == "advance" else [])]


def player_columns(built: reference.Built) -> list[str]:
    return [*(["stage"] if built.stages is not None and built.view == "resolved" else []), *built.player]


def near(number: Any) -> Any:
    return pytest.approx(float(number), rel=1e-9, abs=1e-11)


@given(case=cases())
def test_credit_equals_the_twin(case: Any) -> None:
    journeys, built = case
    for worth in WORTHS:
        wanted = reference.table(built, "shapley", worth=worth)
        found = attrib.credit(journeys, attrib.Shapley(worth=worth), intervals=None)
        games = {tuple(row[c] for c in game_columns(built)) for row in wanted}
        rows = [row for row in found.to_dicts() if tuple(row[c] for c in game_columns(built)) in games]
        keys = found.columns[: found.columns.index("kind") + 1]
        assert [[row[k] for k in keys] for row in rows] == [[row[k] for k in keys] for row in wanted]
        for row, want in zip(rows, wanted, strict=True):
            assert row["conversions"] == near(want["conversions"]), worth
            assert row["value"] == near(want["value"]), worth
            assert row["conversions_se"] is None


@given(case=cases())
def test_interactions_equal_the_twin(case: Any) -> None:
    journeys, built = case
    table = attrib.Linear().credit(journeys).filter(kind="player").to_dicts()
    places = (tuple(tuple(r[c] for c in columns(built)) for columns in (game_columns, player_columns)) for r in table)
    order = {place: number for number, place in enumerate(places)}
    for worth in WORTHS:
        found = attrib.interactions(journeys, worth=worth, intervals=None)
        wanted = {
            (game, frozenset(pair)): numbers
            for game, pairs in reference.interactions(built, worth).items()
            for pair, numbers in pairs.items()
        }
        names = player_columns(built)
        keys = []
        for row in found.to_dicts():
            one, other = (tuple(row[f"{name}_{side}"] for name in names) for side in "ab")
            game = tuple(row[name] for name in game_columns(built))
            keys.append((game, frozenset([one, other])))
            assert order[game, one] < order[game, other]
        assert len(keys) == len(set(keys))
        assert set(keys) == set(wanted)
        equal = {
            (game, frozenset(pair)): index
            for game, pairs in reference.neutral_interactions(built, worth).items()
            for pair, index in pairs.items()
        }
        for key, row in zip(keys, found.to_dicts(), strict=True):
            assert row["interaction"] == near(wanted[key][0]), (worth, key)
            assert row["interaction_value"] == near(wanted[key][1]), (worth, key)
            assert row["neutral"] == near(equal.get(key, 0)), (worth, key)
            assert row["surplus"] == near(wanted[key][0] - equal.get(key, 0)), (worth, key)
        if worth == "conversions":
            assert (found["interaction"] >= 0).all()


@given(case=cases(), rule=st.sampled_from(sorted(RULES)))
def test_positions_equal_the_twin(case: Any, rule: str) -> None:
    journeys, built = case
    method, parameters = RULES[rule]
    wanted: dict[Any, list[Fraction]] = defaultdict(lambda: [Fraction(0), Fraction(0)])
    if rule == "shapley":
        for game, places in reference.positions(built).items():
            for (player, position), numbers in places.items():
                if numbers[0]:
                    wanted[(*game, *player, position)] = list(numbers)
    else:
        for row in reference.journey_credit(built, rule, **parameters):
            if row["weight"]:
                cell = wanted[(*row["game"], *row["player"], row["position"])]
                cell[0], cell[1] = cell[0] + row["conversions"], cell[1] + row["value"]
    found = attrib.positions(journeys, method)
    names = [*game_columns(built), *player_columns(built), "position"]
    assert found.columns == [*found.select(*built.by, *(["stage"] if built.stages else []), *built.player).columns,
                             "position", "conversions", "value"]  # fmt: skip
    assert {tuple(row[c] for c in names) for row in found.to_dicts()} == set(wanted)
    for row in found.to_dicts():
        conversions, value = wanted[tuple(row[c] for c in names)]
        assert row["conversions"] == near(conversions)
        assert row["value"] == near(value)


@given(case=cases(), rule=st.sampled_from(sorted(RULES)))
def test_touches_equal_the_twin(case: Any, rule: str) -> None:
    journeys, built = case
    method, parameters = RULES[rule]
    wanted = {}
    for row in reference.journey_credit(built, rule, **parameters):
        wanted[row["customer"], row["conversion_time"], row["position"]] = row
    found = attrib.journey_credit(journeys, method)
    assert isinstance(found, pl.DataFrame)
    keys = [*built.by, *(["stage"] if built.stages is not None else []), *built.player]
    assert found.columns == [
        "customer_id", *keys, "timestamp", "conversion_time", "position", "touches", "weight", "conversions", "value",
    ]  # fmt: skip
    assert len(found) == len(wanted)
    before: dict[str, Any] = {}
    for row in found.to_dicts():
        time = (row["conversion_time"] - EPOCH) // timedelta(seconds=1)
        want = wanted[row["customer_id"], time, row["position"]]
        assert tuple(row[c] for c in game_columns(built)) == want["game"]
        assert tuple(row[c] for c in player_columns(built)) == want["player"]
        assert row["timestamp"] == EPOCH + timedelta(seconds=want["time"])
        for number in ("weight", "conversions", "value"):
            assert row[number] == near(want[number])
        # the touches of a journey stand together, in order
        if row["position"] > 1:
            same = ("customer_id", "conversion_time", "touches")
            assert [before[c] for c in same] == [row[c] for c in same]
            assert before["position"] == row["position"] - 1
        assert row["position"] < row["touches"] or (row["customer_id"], time, row["position"] + 1) not in wanted
        before = row


@given(
    rows=st.lists(
        st.fixed_dictionaries({
            "path": st.lists(st.sampled_from("ABCD"), min_size=1, max_size=5).map(" > ".join),
            "conversions": st.integers(0, 3),
            "nulls": st.integers(0, 3),
            "value": st.sampled_from([-2.0, 0.0, 0.25, 1.0]),
        }),
        min_size=1, max_size=6, unique_by=lambda row: row["path"],
    )
)  # fmt: skip
def test_path_tables_equal_the_twin(rows: list[dict[str, Any]]) -> None:
    rows = [row | {"value": row["value"] if row["conversions"] else 0.0} for row in rows]
    built = reference.build_paths(rows)
    frame = pl.DataFrame(rows, schema_overrides={"value": pl.Float64})
    journeys = attrib.Journeys.from_paths(frame, conversions="conversions", value="value", nulls="nulls")
    for worth in WORTHS:
        shared = reference.shapley_credit(built, worth).get((), {})
        table = attrib.credit(journeys, attrib.Shapley(worth=worth), intervals=None).filter(kind="player")
        assert table["channel"].to_list() == [channel for (channel,) in shared]
        for row in table.to_dicts():
            conversions, value = shared[row["channel"],]
            assert row["conversions"] == near(conversions)
            assert row["value"] == near(value)
        pairs = reference.interactions(built, worth).get((), {})
        found = attrib.interactions(journeys, worth=worth, intervals=None)
        assert len(found) == len(pairs)
        for row in found.to_dicts():
            conversions, value = pairs[(row["channel_a"],), (row["channel_b"],)]
            assert row["interaction"] == near(conversions)
            assert row["interaction_value"] == near(value)
