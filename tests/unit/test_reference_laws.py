"""What must hold for any tables (semantics 8), asked of the twin itself."""

from __future__ import annotations

from fractions import Fraction as F  # noqa: N817 (worked numbers should read as numbers)

from hypothesis import given
from hypothesis import strategies as st

from reference import (
    build,
    credit_rule,
    markov,
    shapley_conversions,
    shapley_conversions_closed,
    table,
)
from strategies import event_tables, random_tables, recipes, stage_models, to_frames

RULES = [
    ("first", {}),
    ("last", {}),
    ("last_non_direct", {}),
    ("linear", {}),
    ("position", {"first": 0.4, "last": 0.4}),
    ("time_decay", {"half_life": 3}),
]


@given(event_tables(), recipes(stages=True))
def test_the_ledger_balances(tables, recipe):
    ledger = build(*tables, **recipe).ledger
    for name in ("touchpoints", "outcomes"):
        for part in (0, 1):
            entries = {entry: booked[part] for (kind, entry), booked in ledger.items() if kind == name}
            assert entries.pop("in") == sum(entries.values())


@given(event_tables(columns={"outcomes": ["value"]}), recipes(stages=True))
def test_methods_are_efficient_and_closed_forms_are_their_definitions(tables, recipe):
    built = build(*tables, **recipe)
    every = [credit_rule(built, rule, **params) for rule, params in RULES]
    every += [shapley_conversions(built), shapley_conversions_closed(built)]
    assert every[-1] == every[-2]
    for game, journeys in built.games().items():
        converting = [j for j in journeys if j.status == "converting"]
        total = (sum(j.conversions for j in converting), sum(j.value for j in converting))
        for credit in every:
            rows = credit[game].values()
            assert (sum(row[0] for row in rows), sum(row[1] for row in rows)) == total


@given(event_tables(customers=4, touches=5, columns={}), st.integers(1, 3))
def test_markov_laws(tables, order):
    built = build(*tables)
    solved = markov(built, order)[()]
    attributed = sum(j.conversions for j in built.journeys if j.status == "converting")
    nulls = sum(j.status == "null" for j in built.journeys)
    assert solved["probability"] == (F(attributed, attributed + nulls) if attributed else 0)
    assert sum(row[0] for row in solved["players"].values()) == attributed
    if attributed:
        assert all(0 <= row[2] <= 1 for row in solved["players"].values())
        containing = {
            player: sum(j.conversions for j in built.journeys if player in j.players) for player in solved["players"]
        }
        longest = max(len(j.players) for j in built.journeys)
        for player, (_, _, effect) in markov(built, longest)[()]["players"].items():
            assert effect == F(containing[player], attributed)
    assert markov(build(*tables, repeats="collapse"), 1)[()] == markov(built, 1)[()]


@given(event_tables(), recipes(stages=True), st.randoms(use_true_random=False))
def test_a_result_is_a_function_of_the_set_of_events(tables, recipe, rng):
    recipe["by"] = ("country",)
    shuffled = [rng.sample(rows, len(rows)) for rows in tables]
    one, other = build(*tables, **recipe), build(*shuffled, **recipe)
    assert one.ledger == other.ledger
    assert one.funnel == other.funnel
    assert table(one, "last") == table(other, "last")
    assert [(j.status, j.game, j.players, j.times) for j in one.journeys] == [
        (j.status, j.game, j.players, j.times) for j in other.journeys
    ]


@given(event_tables(), recipes())
def test_the_one_stage_model_equals_the_plain_game(tables, recipe):
    plain = build(*tables, **recipe, by=("country",))
    staged = build(*tables, **recipe, by=("country",), stages=[("all", "purchase", 1)])
    assert plain.ledger == staged.ledger
    assert [(*j.game, "all") for j in plain.journeys] == [j.game for j in staged.journeys]
    for method, params in (("first", {}), ("time_decay", {"half_life": 2}), ("shapley", {})):
        rows = table(staged, method, **params)
        assert {row.pop("stage") for row in rows} == {"all"} or not rows
        assert rows == table(plain, method, **params)


@given(event_tables(), recipes(), stage_models())
def test_resolved_credit_summed_over_stages_is_the_credit_of_the_plain_game(tables, recipe, model):
    recipe["repeats"] = "keep"  # the others act on (stage, channel) pairs
    plain = build(*tables, **recipe)
    resolved = build(*tables, **recipe, stages=model, view="resolved")
    for rule, params in RULES:
        summed = {}
        for game, players in credit_rule(resolved, rule, **params).items():
            for (_, channel), (count, value) in players.items():
                before = summed.setdefault(game, {}).get((channel,), (0, 0))
                summed[game][(channel,)] = (before[0] + count, before[1] + value)
            summed.setdefault(game, {})
        assert summed == credit_rule(plain, rule, **params)


@given(event_tables(), st.integers(1, 3))
def test_copies_of_every_customer_multiply_credit(tables, copies):
    many = [[{**row, "customer_id": (row["customer_id"], i)} for row in rows for i in range(copies)] for rows in tables]
    once, often = build(*tables), build(*many)
    for rule, params in RULES:
        for game, players in credit_rule(once, rule, **params).items():
            for player, (count, value) in players.items():
                assert credit_rule(often, rule, **params)[game][player] == (copies * count, copies * value)
    if once.games():
        assert markov(once)[()]["probability"] == markov(often)[()]["probability"]


# --- the strategies' own promises ---


def test_random_tables_are_seeded():
    assert random_tables(3, 20) == random_tables(3, 20)
    assert random_tables(3, 20) != random_tables(4, 20)


@given(event_tables(target=None))
def test_frames_hold_the_rows(tables):
    for rows, frame in zip(tables, to_frames(*tables), strict=True):
        assert frame.height == len(rows)
        assert {"customer_id", "timestamp"} <= set(frame.columns)
