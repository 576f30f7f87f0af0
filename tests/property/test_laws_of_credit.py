"""How credit is shared out, for any drawn tables: the laws of docs/semantics.md §8 that speak of the credit alone.

Every test credits all methods that keep its law, as tests/method_table.py says; test_counter_examples.py shows where
the others break it.
"""

from __future__ import annotations

import dataclasses

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import attrib
import reference
from attrib.testing import assert_credit_table
from lawful import GAINS, assert_close, credit, form, path_rows, players, read
from method_table import VARIANTS, keeping, methods
from strategies import CHANNELS, event_tables, recipes


# all conversions, all value -------------------------------------------------------------------------------------------
def assert_complete(table: pl.DataFrame) -> None:
    """No credit is missing where it must not be."""
    for number, kept in (("conversions", keeping("conversions")), ("value", keeping("value"))):
        credited = table.filter(pl.col("method").is_in(list(kept)))
        assert credited[number].null_count() == 0


@given(event_tables(), recipes())
def test_credit_sums_to_the_conversions(tables, recipe):
    journeys = form(tables, **recipe)
    table = credit(journeys, methods())
    assert_credit_table(table, journeys, methods=list(methods()))
    assert_complete(table)


@given(
    event_tables(columns={"touchpoints": ["country"], "outcomes": ["value"]}),
    recipes(stages=True),
    st.booleans(),
)
def test_credit_sums_to_the_conversions_of_every_game(tables, recipe, partitioned):
    journeys = form(tables, **recipe, by=("country",) if partitioned else ())
    some = methods(parted=partitioned)
    try:
        table = credit(journeys, some)
    except attrib.DataError as error:
        if error.key != "no_target":  # drawn outcomes may hold no milestone
            raise
        return
    assert_credit_table(table, journeys, methods=list(some))
    assert_complete(table)


@given(path_rows(values=(-2.0, *GAINS)))
def test_credit_of_paths_sums_to_the_conversions_and_intervals_are_in_order(rows):
    journeys = read(rows)
    table = credit(journeys, methods(times=False), draws=20)
    assert_credit_table(table, journeys)
    assert_complete(table)


# never negative -------------------------------------------------------------------------------------------------------
@given(event_tables(values=GAINS), recipes())
def test_without_refunds_nobody_gets_less_than_nothing(tables, recipe):
    table = credit(form(tables, **recipe), keeping("not_negative"))
    assert table["conversions"].min() >= -1e-9
    assert table["value"].min() >= -1e-9


@given(path_rows())
def test_without_refunds_nobody_gets_more_than_there_is(rows):
    table = credit(read(rows), keeping("not_negative", times=False))
    for number in ("conversions", "value"):
        assert -1e-9 <= table[number].min() <= table[number].max() <= sum(row[number] for row in rows) + 1e-9


# nothing for nothing --------------------------------------------------------------------------------------------------
@given(event_tables(), recipes(), st.lists(st.integers(0, 12), min_size=1, max_size=5))
def test_who_is_on_no_converting_journey_gets_nothing(tables, recipe, times):
    touched, reached = tables
    columns = dict.fromkeys({name for row in touched for name in row})
    bystander = {**columns, "customer_id": "nobody", "channel": "never"}
    kept = keeping("null_player")
    table = credit(form(([*touched, *({**bystander, "timestamp": t} for t in times)], reached), **recipe), kept)
    for method in kept:
        row = players(table, method).get("never")  # absent where it is open
        assert row is None or (row["conversions"], row["value"]) == (0.0, 0.0)


@given(path_rows(), st.sampled_from("ABCD"))
def test_who_is_on_no_converting_path_gets_nothing(rows, never):
    rows = [{**row, "conversions": 0, "value": 0.0} if never in row["path"] else row for row in rows]
    assume(any(row["conversions"] for row in rows))
    kept = keeping("null_player", times=False)
    table = credit(read(rows), kept)
    present = {channel for row in rows if row["conversions"] for channel in row["path"].split(" > ")}
    for method in kept:
        for channel, row in players(table, method).items():
            assert channel in present or (row["conversions"], row["value"]) == (0.0, 0.0)


# names do not matter --------------------------------------------------------------------------------------------------
@given(event_tables(columns={"outcomes": ["value"]}), recipes(), st.permutations(CHANNELS))
def test_renaming_channels_permutes_credit(tables, recipe, shuffled):
    new = dict(zip(CHANNELS, shuffled, strict=True))
    touched, reached = [{**row, "sequence": i} for i, row in enumerate(tables[0])], tables[1]
    renamed = [{**row, "channel": new[row["channel"]]} for row in touched]
    kept = keeping("renaming")
    there = {
        name: dataclasses.replace(method, direct=tuple(new[channel] for channel in method.direct))
        if isinstance(method, attrib.LastNonDirect)
        else method
        for name, method in kept.items()
    }
    before = credit(form((touched, reached), **recipe), kept)
    after = credit(form((renamed, reached), **recipe), there)
    order = {name: i for i, name in enumerate(kept)}
    permuted = before.with_columns(pl.col("channel").replace(new)).sort(
        "channel", "kind", pl.col("method").replace_strict(order), nulls_last=False
    )
    assert_close(after, permuted)


# copies multiply ------------------------------------------------------------------------------------------------------
@given(event_tables(), recipes(), st.integers(2, 4))
def test_copies_of_every_customer_multiply_credit(tables, recipe, k):
    copied = tuple(
        [{**row, "customer_id": f"{row['customer_id']}-{i}"} for row in rows for i in range(k)] for rows in tables
    )
    kept = keeping("copies")
    once = credit(form(tables, **recipe), kept)
    times_k = once.with_columns(pl.col("conversions", "value", "conversions_se") * k)
    assert_close(credit(form(copied, **recipe), kept), times_k)


# groups add up (and their tallies: test_laws_of_journeys.py) ----------------------------------------------------------
@given(path_rows(), path_rows())
def test_credit_from_two_tables_adds_up(one, other):
    kept = keeping("additive", times=False)
    tables = [credit(read(rows), kept) for rows in (one, other, one + other)]
    for method in kept:
        first, second, both = (players(table, method) for table in tables)
        for channel, row in both.items():
            for number in ("conversions", "value"):
                summed = sum(part[channel][number] for part in (first, second) if channel in part)
                assert row[number] == pytest.approx(summed, rel=1e-12, abs=1e-12)


# exact ----------------------------------------------------------------------------------------------------------------
@given(path_rows(values=(-2.0, *GAINS)))
def test_fast_forms_give_what_their_definitions_give(rows):
    kept = keeping("definition", times=False)
    built = reference.build_paths(rows)
    table = credit(read(rows), kept)
    for name in kept:
        twin, parameters = VARIANTS[name].twin  # every coalition, one solve per removed player: in fractions
        wanted = {row["channel"]: row for row in reference.table(built, twin, **parameters) if row["kind"] == "player"}
        found = players(table, name)
        assert found.keys() == wanted.keys()
        for channel, row in found.items():
            for number in ("conversions", "value", "share", "effect"):
                exact = wanted[channel][number]
                near = None if exact is None else pytest.approx(exact, rel=1e-9, abs=1e-11)
                assert row[number] == near, (name, channel, number)
