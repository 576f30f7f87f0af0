"""The laws of docs/semantics.md, section 8, for any drawn tables; where a method breaks one, its counter-example."""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import attrib
import reference
from attrib.engines import events, reading, store
from attrib.needs import Totals, Transitions
from attrib.tally import Tally, merge
from attrib.testing import assert_credit_table
from notation import outcomes, touches
from strategies import CHANNELS, event_tables, public, recipes, to_frames

RULES: dict[str, Any] = {
    "first": attrib.FirstTouch(),
    "last": attrib.LastTouch(),
    "non_direct": attrib.LastNonDirect(),
    "linear": attrib.Linear(),
    "position": attrib.PositionBased(first=0.5, last=0.25),
    "decay": attrib.TimeDecay(half_life="3s"),
}
CHAINS: dict[str, Any] = {f"markov{order}": attrib.Markov(order=order) for order in (1, 2, 3)}
SHAPLEY: dict[str, Any] = {"shapley": attrib.Shapley()}
ADDITIVE = RULES | SHAPLEY
METHODS = RULES | CHAINS | SHAPLEY
ONE = attrib.LocalEngine(threads=1)
GAINS = (0.0, 0.25, 1.0, 3.5)  # values without refunds
NUMBERS = ("conversions", "value", "share", "effect")


def form(tables: Any, *, engine: Any = ONE, **recipe: Any) -> attrib.Journeys:
    """Form journeys towards a purchase."""
    return attrib.Journeys.from_events(*to_frames(*tables), engine=engine, **{"target": "purchase", **public(recipe)})


def credit(journeys: attrib.Journeys, methods: Mapping[str, Any] = METHODS, draws: int = 0) -> pl.DataFrame:
    """Credit every method; refunds may leave a chain nothing to share value out by."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", attrib.AttribWarning)
        return attrib.credit(journeys, methods, intervals=0.9 if draws else None, replicates=draws or 2)


def assert_close(found: pl.DataFrame, wanted: pl.DataFrame) -> None:
    assert_frame_equal(found, wanted, rel_tol=1e-9, abs_tol=1e-11)


@st.composite
def path_rows(draw: st.DrawFn, *, values: Sequence[float] = GAINS) -> list[dict[str, Any]]:
    """Rows of a path table with something to credit."""
    path = st.lists(st.sampled_from("ABCD"), min_size=1, max_size=5).map(" > ".join)
    row = st.fixed_dictionaries({"path": path, "conversions": st.integers(0, 4), "nulls": st.integers(0, 4)})
    rows = draw(st.lists(row, min_size=1, max_size=8, unique_by=lambda row: row["path"]))
    assume(any(row["conversions"] for row in rows))
    return [row | {"value": draw(st.sampled_from(values)) if row["conversions"] else 0.0} for row in rows]


def read(rows: list[dict[str, Any]]) -> attrib.Journeys:
    frame = pl.DataFrame(rows, schema_overrides={"value": pl.Float64})
    return attrib.Journeys.from_paths(frame, conversions="conversions", value="value", nulls="nulls")


def players(table: pl.DataFrame, method: str) -> dict[str, dict[str, Any]]:
    rows = table.filter(pl.col("kind") == "player", pl.col("method") == method)
    return {row["channel"]: row for row in rows.to_dicts()}


# 1. efficiency --------------------------------------------------------------------------------------------------------
@given(event_tables(), recipes())
def test_law_1_credit_sums_to_the_conversions(tables, recipe):
    journeys = form(tables, **recipe)
    assert_credit_table(credit(journeys), journeys, methods=list(METHODS))


@given(
    event_tables(columns={"touchpoints": ["country"], "outcomes": ["value"]}),
    recipes(stages=True),
    st.booleans(),
)
def test_law_1_holds_in_every_game(tables, recipe, partitioned):
    journeys = form(tables, **recipe, by=("country",) if partitioned else ())
    try:
        table = credit(journeys)
    except attrib.DataError as error:
        if error.key != "no_target":  # drawn outcomes may hold no milestone
            raise
        return
    assert_credit_table(table, journeys, methods=list(METHODS))


@given(path_rows())
def test_law_1_holds_for_paths_and_intervals_are_in_order(rows):
    journeys = read(rows)
    methods = {name: method for name, method in METHODS.items() if name != "decay"}
    assert_credit_table(attrib.credit(journeys, methods, replicates=20), journeys)


def test_law_1_breaks_for_the_value_of_a_chain_with_refunds():
    # without A all of the value 1 is lost (effect 1), without B it is 2 (effect -1): nothing to share it out by
    journeys = read([
        {"path": "A", "conversions": 1, "nulls": 0, "value": 2.0},
        {"path": "A > B", "conversions": 1, "nulls": 0, "value": -1.0},
    ])  # fmt: skip
    with pytest.warns(attrib.AttribWarning, match="refunds"):
        table = attrib.Markov().credit(journeys)
    credited = players(table, "markov(order=1)")
    assert [credited[c]["value"] for c in "AB"] == [None, None]
    assert [credited[c]["conversions"] for c in "AB"] == pytest.approx([4 / 3, 2 / 3])
    assert_credit_table(table, journeys)


# 2. null player -------------------------------------------------------------------------------------------------------
@given(event_tables(), recipes(), st.lists(st.integers(0, 12), min_size=1, max_size=5))
def test_law_2_who_is_on_no_converting_journey_gets_nothing(tables, recipe, times):
    touched, reached = tables
    columns = dict.fromkeys({name for row in touched for name in row})
    bystander = {**columns, "customer_id": "nobody", "channel": "never"}
    table = credit(form(([*touched, *({**bystander, "timestamp": t} for t in times)], reached), **recipe), ADDITIVE)
    for method in ADDITIVE:
        row = players(table, method).get("never")  # absent where it is open
        assert row is None or (row["conversions"], row["value"]) == (0.0, 0.0)


# 3. renaming ----------------------------------------------------------------------------------------------------------
@given(event_tables(columns={"outcomes": ["value"]}), recipes(), st.permutations(CHANNELS))
def test_law_3_renaming_channels_permutes_credit(tables, recipe, shuffled):
    new = dict(zip(CHANNELS, shuffled, strict=True))
    touched, reached = [{**row, "sequence": i} for i, row in enumerate(tables[0])], tables[1]
    renamed = [{**row, "channel": new[row["channel"]]} for row in touched]
    before = credit(form((touched, reached), **recipe))
    after = credit(
        form((renamed, reached), **recipe),
        METHODS | {"non_direct": attrib.LastNonDirect(direct=(new["direct"],))},
    )
    order = {name: i for i, name in enumerate(METHODS)}
    permuted = before.with_columns(pl.col("channel").replace(new)).sort(
        "channel", "kind", pl.col("method").replace_strict(order), nulls_last=False
    )
    assert_close(after, permuted)


def test_law_3_breaks_at_a_tie():
    purchase = outcomes("x", "2purchase")
    last = {}
    for name, text in (
        ("as it is", "1a 1b"),
        ("renamed", "1b 1a"),
    ):  # the same two touches, a and b exchanged
        table = attrib.LastTouch().credit(form((touches("x", text), purchase)))
        last[name] = {c: row["conversions"] for c, row in players(table, "last_touch").items()}
    assert last["as it is"] == last["renamed"] == {"a": 0.0, "b": 1.0}  # permuted it would be a: 1, b: 0


# 4. copies ------------------------------------------------------------------------------------------------------------
@given(event_tables(), recipes(), st.integers(2, 4))
def test_law_4_copies_of_every_customer_multiply_credit(tables, recipe, k):
    copied = tuple(
        [{**row, "customer_id": f"{row['customer_id']}-{i}"} for row in rows for i in range(k)] for rows in tables
    )
    once = credit(form(tables, **recipe)).with_columns(pl.col("conversions", "value") * k)
    assert_close(credit(form(copied, **recipe)), once)


# 5. tallies add -------------------------------------------------------------------------------------------------------
@given(
    event_tables(customers=8, columns={"touchpoints": ["interaction"], "outcomes": ["value"]}),
    recipes(),
    st.integers(0, 255),
    st.booleans(),
)
def test_law_5_tallies_of_disjoint_customers_add_up(tables, recipe, side, units):
    recipe = {**recipe, "maturity": None}  # the end of the data is a fact of the whole
    people = sorted({row["customer_id"] for rows in tables for row in rows})
    left = {person for i, person in enumerate(people) if side >> (i % 8) & 1}
    halves = [
        tuple([row for row in rows if (row["customer_id"] in left) == wanted] for rows in tables)
        for wanted in (True, False)
    ]
    assume(all(t and any(o["outcome"] == "purchase" for o in outs) for t, outs in halves))
    needs = (Totals(), Transitions(2), *(need for method in ADDITIVE.values() for need in method._needs()))
    whole, *parts = (form(half, **recipe).tallies(needs, units=units) for half in (tables, *halves))
    for need in needs:
        wanted = whole.get(need)
        found = merge([_in_the_terms_of(wanted, whole.players, part.get(need), part.players) for part in parts])
        assert found.keys.tolist() == wanted.keys.tolist()
        assert found.sums.tolist() == wanted.sums.tolist()


def _in_the_terms_of(whole: Tally, names: pl.DataFrame, part: Tally, own: pl.DataFrame) -> Tally:
    """Recode the players of a part, and count its values in the unit of the whole."""
    row_of = {player: code for code, player in enumerate(names.rows(), 3)}
    codes = np.arange(1 << part.layout.bits)
    codes[3 : 3 + own.height] = [row_of[player] for player in own.rows()]
    recoded = part.recode(whole.layout, codes)
    sums = recoded.sums.copy()
    for name, (at, is_pair) in whole.need.columns.items():
        if is_pair and "value" in name:
            pairs = (sums[:, at].astype(object) << 42) + sums[:, at + 1].astype(object)
            scaled = [int(pair) << 20 >> (20 + whole.exponent - part.exponent) for pair in pairs]
            sums[:, at] = [pair >> 42 for pair in scaled]
            sums[:, at + 1] = [pair & ((1 << 42) - 1) for pair in scaled]
    return Tally(recoded.need, recoded.layout, whole.exponent, recoded.keys, sums)


@given(path_rows(), path_rows())
def test_law_5_credit_of_rules_and_shapley_adds_up(one, other):
    methods = {name: method for name, method in ADDITIVE.items() if name != "decay"}
    tables = [credit(read(rows), methods) for rows in (one, other, one + other)]
    for method in methods:
        first, second, both = (players(table, method) for table in tables)
        for channel, row in both.items():
            for number in ("conversions", "value"):
                summed = sum(part[channel][number] for part in (first, second) if channel in part)
                assert row[number] == pytest.approx(summed, rel=1e-12, abs=1e-12)


def test_law_5_breaks_for_the_credit_of_chains():
    one = [{"path": "A > B", "conversions": 2, "nulls": 0, "value": 2.0}]
    other = [
        {"path": "A", "conversions": 0, "nulls": 2, "value": 0.0},
        {"path": "B", "conversions": 2, "nulls": 0, "value": 2.0},
    ]
    a, b, both = (players(credit(read(rows), CHAINS), "markov1") for rows in (one, other, one + other))
    assert both["A"]["conversions"] != pytest.approx(a["A"]["conversions"] + b["A"]["conversions"])


# 6. probability -------------------------------------------------------------------------------------------------------
@given(path_rows(), st.integers(1, 4))
def test_law_6_the_chain_converts_as_often_as_the_data(rows, order):
    tally = read(rows).tallies((Transitions(order),)).get(Transitions(order))
    count, step, bits = tally.counts("count"), tally.player(order), tally.layout.bits
    states = np.unique(tally.contexts)
    chain = np.eye(len(states))
    arrive = np.zeros(len(states))
    leave = {state: count[tally.contexts == state].sum() for state in states}
    for context, to, times in zip(tally.contexts, step, count, strict=True):
        at, share = np.searchsorted(states, context), times / leave[context]
        if to == 1:
            arrive[at] += share
        elif to >= 3:
            follow = ((context << bits) | to) & ((1 << (order * bits)) - 1)
            chain[at, np.searchsorted(states, follow)] -= share
    conversions, nulls = (sum(row[name] for row in rows) for name in ("conversions", "nulls"))
    assert states[0] == 0  # start
    assert np.linalg.solve(chain, arrive)[0] == pytest.approx(conversions / (conversions + nulls), rel=1e-9)


# 7. effects -----------------------------------------------------------------------------------------------------------
@given(path_rows())
def test_law_7_without_refunds_effects_and_value_lie_in_their_bounds(rows):
    table = credit(read(rows), CHAINS)
    value = sum(row["value"] for row in rows)
    for method in CHAINS:
        for row in players(table, method).values():
            assert 0 <= row["effect"] <= 1
            assert -1e-9 <= row["value"] <= value + 1e-9


@given(path_rows())
def test_law_7_a_chain_as_long_as_the_journeys_counts_who_was_there(rows):
    conversions = sum(row["conversions"] for row in rows)
    for channel, row in players(credit(read(rows), {"long": attrib.Markov(order=5)}), "long").items():
        present = sum(r["conversions"] for r in rows if channel in r["path"].split(" > "))
        assert row["effect"] == pytest.approx(present / conversions, abs=1e-9)


def test_law_7_breaks_at_order_1_for_a_path_that_nobody_took():
    # start > A > conversion is possible in the chain, though every journey went through c
    rows = [{"path": path, "conversions": 1, "nulls": 0, "value": 1.0} for path in ("A > c", "c > A")]
    table = credit(read(rows), CHAINS)
    assert players(table, "markov1")["c"]["effect"] == pytest.approx(0.75)
    assert players(table, "markov2")["c"]["effect"] == pytest.approx(1.0)


@given(event_tables(), recipes())
def test_law_7_order_1_does_not_see_runs(tables, recipe):
    chain = {"chain": attrib.Markov()}
    kept, collapsed = (credit(form(tables, **{**recipe, "repeats": r}), chain) for r in ("keep", "collapse"))
    assert_close(kept, collapsed)


# 8. closed forms ------------------------------------------------------------------------------------------------------
@given(path_rows(values=(-2.0, *GAINS)), st.integers(1, 3))
def test_law_8_closed_forms_are_their_definitions(rows, order):
    built = reference.build_paths(rows)
    table = credit(read(rows), {"chain": attrib.Markov(order=order), "shapley": attrib.Shapley()})
    solved = reference.markov(built, order)[()]["players"]  # one solve per removed player
    shared = reference.shapley_conversions(built)[()]  # every coalition
    for channel, row in players(table, "chain").items():
        wanted = solved[channel,]
        for number, exact in zip(("conversions", "value", "effect"), wanted, strict=True):
            assert row[number] == (None if exact is None else pytest.approx(float(exact), rel=1e-9, abs=1e-11))
    for channel, row in players(table, "shapley").items():
        assert row["conversions"] == pytest.approx(float(shared[channel,][0]), rel=1e-12)
        assert row["value"] == pytest.approx(float(shared[channel,][1]), rel=1e-12, abs=1e-12)


# 9. routes ------------------------------------------------------------------------------------------------------------
@given(
    event_tables(
        customers=8, integer_ids=True, columns={"touchpoints": ["sequence", "country"], "outcomes": ["value"]}
    ),
    recipes(stages=True),
    st.booleans(),
    st.sampled_from([1, 2, 5, 1000]),
    st.randoms(use_true_random=False),
)
def test_law_9_routes_threads_and_order_of_rows_do_not_matter(spill, tables, recipe, partitioned, batch, rng):
    recipe = {**public(recipe), "target": "purchase", "by": ("country",) if partitioned else ()}
    in_order = [frame.sort("customer_id", maintain_order=True) for frame in to_frames(*tables)]
    shuffled = [_shuffle(frame, rng) for frame in in_order]
    small = {"memory_limit": 64, "spill": str(spill)}
    runs = {
        "in order": (in_order, attrib.LocalEngine(threads=1)),
        "in order, two threads": (in_order, attrib.LocalEngine(threads=2)),
        "by hash": (shuffled, attrib.LocalEngine(threads=1)),
        "by hash, lazily": ([frame.lazy() for frame in in_order], attrib.LocalEngine(threads=2)),
        "spilled": (shuffled, attrib.LocalEngine(threads=1, **small)),
        "spilled, two threads": (shuffled, attrib.LocalEngine(threads=2, **small)),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BATCH", batch)
        patch.setattr(events, "ROWS_OF_PARTITION", batch)
        found = {name: _everything(frames, engine, recipe, draws=7) for name, (frames, engine) in runs.items()}
    first = found["in order"]
    for name, frames in found.items():
        for one, other in zip(first, frames, strict=True):
            assert one.equals(other), name
    assert list(spill.iterdir()) == []


@pytest.fixture(scope="module")
def spill(tmp_path_factory):
    return tmp_path_factory.mktemp("spill")


def _everything(frames: Any, engine: Any, recipe: dict[str, Any], draws: int = 0) -> list[pl.DataFrame]:
    """Credit, ledger and funnel, or why there are none."""
    journeys = attrib.Journeys.from_events(*frames, engine=engine, **recipe)
    try:
        table = credit(journeys, draws=draws)
    except attrib.DataError as error:
        return [pl.DataFrame({"error": [error.key], "message": [str(error)]})]
    return [table, journeys.reconcile()] + ([journeys.funnel()] if recipe["stages"] else [])


def _shuffle(frame: pl.DataFrame, rng: random.Random) -> pl.DataFrame:
    rows = list(range(frame.height))
    rng.shuffle(rows)
    return frame[rows]


def test_law_9_the_small_limit_does_spill(tmp_path, monkeypatch):
    opened = []

    class Watched(store.SpillFolder):
        def __init__(self, parent: Any) -> None:
            super().__init__(parent)
            opened.append(self.path)

    monkeypatch.setattr(store, "SpillFolder", Watched)
    engine = attrib.LocalEngine(memory_limit=64, spill=str(tmp_path))
    credit(form((touches("x", "1a"), outcomes("x", "2purchase")), engine=engine, maturity=99), RULES)
    assert opened
    assert all(path.parent == tmp_path for path in opened)


# 10. time -------------------------------------------------------------------------------------------------------------
@given(event_tables(), recipes(stages=True), st.integers(-(10**6), 10**6))
def test_law_10_shifting_all_times_changes_nothing(tables, recipe, shift):
    moved = tuple([{**row, "timestamp": row["timestamp"] + shift} for row in rows] for rows in tables)
    here, there = (_everything(to_frames(*t), ONE, {"target": "purchase", **public(recipe)}) for t in (tables, moved))
    for one, other in zip(here, there, strict=True):
        assert one.equals(other)


@given(event_tables(), recipes(), st.sampled_from(["UTC", "Europe/Paris", "Asia/Kathmandu"]))
def test_law_10_another_zone_changes_nothing(tables, recipe, zone):
    recipe = {"target": "purchase", **public(recipe), "stages": None}
    frames = to_frames(*tables)
    zoned = [f.with_columns(pl.col("timestamp").dt.replace_time_zone("UTC").dt.convert_time_zone(zone)) for f in frames]
    for one, other in zip(_everything(frames, ONE, recipe), _everything(zoned, ONE, recipe), strict=True):
        assert one.equals(other)


@given(event_tables(), recipes())
def test_law_10_a_half_life_without_end_is_linear(tables, recipe):
    methods = {
        "linear": attrib.Linear(),
        "unlimited": attrib.TimeDecay(half_life="unlimited"),
        "long": attrib.TimeDecay(half_life="1000000w"),
    }
    table = credit(form(tables, **recipe), methods)
    linear, unlimited, long = (table.filter(method=name).drop("method") for name in methods)
    assert unlimited.equals(linear)
    assert_frame_equal(long, linear, rel_tol=1e-9, abs_tol=1e-9)


# 11. stages -----------------------------------------------------------------------------------------------------------
@given(event_tables(), recipes())
def test_law_11_one_stage_is_the_plain_game(tables, recipe):
    plain = form(tables, **recipe)
    staged = form(tables, **recipe, stages=[("all", "purchase", 1)])
    assert credit(staged).drop("stage").equals(credit(plain))
    assert staged.reconcile().equals(plain.reconcile())


@given(event_tables(), recipes(stages=True))
def test_law_11_resolved_credit_sums_to_the_conversions(tables, recipe):
    plain = form(tables, **{**recipe, "stages": None, "repeats": "keep"})
    resolved = form(tables, **{**recipe, "view": "resolved", "repeats": "keep"})
    by_stage = credit(resolved)
    assert_credit_table(by_stage, resolved, methods=list(METHODS))
    summed = by_stage.group_by("method", "kind").agg(pl.col("conversions").sum()).sort("method", "kind")
    whole = credit(plain).group_by("method", "kind").agg(pl.col("conversions").sum()).sort("method", "kind")
    assert_frame_equal(summed, whole, rel_tol=1e-9, abs_tol=1e-11)
    rules = by_stage.filter(pl.col("method").is_in(["first", "last", "linear", "position", "decay"]))
    by_channel = rules.group_by("channel", "kind", "method").agg(pl.col("conversions").sum())
    wanted = credit(plain).join(by_channel, on=["channel", "kind", "method"], nulls_equal=True, how="inner")
    assert wanted["conversions"].to_list() == pytest.approx(wanted["conversions_right"].to_list())
