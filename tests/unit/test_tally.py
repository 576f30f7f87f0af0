"""Tallies: sums by packed key that add up, rename and shrink exactly."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attrib
from attrib.needs import RuleSums, Totals, Transitions
from attrib.tally import Layout, Tally, bits_for, check_key_width, merge, to_float

LOW = 1 << 42
# words that these tests fill: of a real number the upper two, the lower two stay 0
FILLED = {RuleSums: [0, 1, 4, 5], Transitions: [0, 1, 2], Totals: list(range(14))}


def tally(need, layout, sums: dict[tuple[int, ...], list[int]], exponent=0) -> Tally:
    """Tally of {(unit, game, player…): sums}."""
    keys = []
    for unit, game, *players in sums:
        key = unit << layout.game_bits | game
        for player in players:
            key = key << layout.bits | player
        keys.append(key)
    order = np.argsort(keys)
    values = np.zeros((len(sums), need.width), np.int64)
    values[:, FILLED[type(need)]] = np.array(list(sums.values()), np.int64).reshape(-1, len(FILLED[type(need)]))
    return Tally(need, layout, exponent, np.array(keys, np.int64)[order], values[order])


def as_dict(found: Tally) -> dict[tuple[int, ...], list[int]]:
    players = [found.player(f).tolist() for f in range(found.layout.players)]
    keys = zip(found.units.tolist(), found.games.tolist(), *players, strict=True)
    filled = FILLED[type(found.need)]
    assert not np.delete(found.sums, filled, axis=1).any()
    return dict(zip(keys, found.sums[:, filled].tolist(), strict=True))


RULE = RuleSums(3)


def test_keys_unpack_to_units_games_and_players():
    one = tally(Transitions(2), Layout(3, 4, 2), {(5, 1, 0, 3, 9): [1, 0, 0], (0, 3, 4, 4, 1): [2, 0, 0]})
    assert one.units.tolist() == [0, 5]
    assert one.games.tolist() == [3, 1]
    assert [one.player(f).tolist() for f in range(3)] == [[4, 0], [4, 3], [1, 9]]
    assert one.contexts.tolist() == [4 << 4 | 4, 3]
    assert one.counts("count").tolist() == [2, 1]


def test_merging_adds_equal_keys_and_carries_low_words():
    layout = Layout(1, 3, 1)
    one = tally(RULE, layout, {(0, 0, 3): [1, LOW - 1, 0, 5], (0, 1, 3): [7, 0, 0, 0]})
    other = tally(RULE, layout, {(0, 0, 3): [2, 3, -1, LOW - 5], (2, 0, 4): [1, 1, 1, 1]})
    wanted = {(0, 0, 3): [4, 2, 0, 0], (0, 1, 3): [7, 0, 0, 0], (2, 0, 4): [1, 1, 1, 1]}
    assert as_dict(one + other) == as_dict(other + one) == wanted
    assert merge([one]) is one


def test_merging_takes_the_widest_fields():
    one = tally(RULE, Layout(1, 3, 1), {(1, 1, 7): [1, 0, 0, 0]})
    other = tally(RULE, Layout(1, 6, 3), {(2, 5, 40): [2, 0, 0, 0]})
    merged = merge([one, other])
    assert merged.layout == Layout(1, 6, 3)
    assert as_dict(merged) == {(1, 1, 7): [1, 0, 0, 0], (2, 5, 40): [2, 0, 0, 0]}


@given(
    st.lists(
        st.dictionaries(
            st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(3, 6)),
            st.tuples(st.integers(-5, 5), st.integers(0, LOW - 1), st.integers(-5, 5), st.integers(0, LOW - 1)).map(
                list
            ),
        ),
        min_size=1,
        max_size=5,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_and_grouping_of_merges_do_not_matter(parts, rng):
    tallies = [tally(RULE, Layout(1, 3, 1), part) for part in parts]
    whole = merge(tallies)
    rng.shuffle(tallies)
    step = tallies[0]
    for further in tallies[1:]:
        step = further + step
    assert as_dict(step) == as_dict(whole)
    exact: dict[tuple[int, ...], list[int]] = {}
    for part in parts:
        for key, (a, b, c, d) in part.items():
            sums = exact.setdefault(key, [0, 0])
            exact[key] = [sums[0] + a * LOW + b, sums[1] + c * LOW + d]
    assert {key: [a * LOW + b, c * LOW + d] for key, (a, b, c, d) in as_dict(whole).items()} == exact


def test_recoding_renames_players_and_games():
    one = tally(RULE, Layout(1, 3, 1), {(0, 0, 3): [1, 0, 0, 0], (0, 1, 4): [2, 0, 0, 0], (1, 0, 3): [4, 0, 0, 0]})
    players = np.array([0, 1, 2, 4, 3, 5, 6, 7])
    renamed = one.recode(Layout(1, 5, 2), players, np.array([1, 0]))
    assert as_dict(renamed) == {(0, 1, 4): [1, 0, 0, 0], (0, 0, 3): [2, 0, 0, 0], (1, 1, 4): [4, 0, 0, 0]}
    assert (np.diff(renamed.keys) > 0).all()
    assert one.recode(one.layout) is one


def test_recoding_to_one_name_adds():
    one = tally(RULE, Layout(1, 3, 1), {(0, 0, 3): [1, LOW - 1, 0, 0], (0, 0, 4): [2, 1, 0, 0]})
    joined = one.recode(one.layout, np.array([0, 1, 2, 3, 3, 5, 6, 7]))
    assert as_dict(joined) == {(0, 0, 3): [4, 0, 0, 0]}


def test_leaving_out_the_units():
    one = tally(Totals(), Layout(0, 2, 1), {(u, g): [u, *[0] * 13] for u in range(5) for g in (0, 1)})
    assert as_dict(one.without_units()) == {(0, 0): [10, *[0] * 13], (0, 1): [10, *[0] * 13]}


def test_a_lower_order_is_the_marginal_of_a_higher():
    frame = pl.DataFrame({"path": ["a > b > a", "b", "a > a"], "total_conversions": [3, 1, 0], "total_null": [1, 2, 5]})
    journeys = attrib.Journeys.from_paths(frame)
    fresh = attrib.Journeys.from_paths(frame)
    third = journeys.tallies((Transitions(3),)).get(Transitions(3))
    for order in (1, 2, 3):
        lower = fresh.tallies((Transitions(order),)).get(Transitions(order))
        assert as_dict(third.marginal(order)) == as_dict(lower)
    assert journeys.tallies((Transitions(1),)).get(Transitions(1)).need == Transitions(1)


def test_words_are_real_numbers():
    assert to_float(np.array([[1 << 20, 0, 0, 0], [-(1 << 20), 0, 0, 0]]), 3).tolist() == [8.0, -8.0]
    for word, size in enumerate((-20, -62, -104, -146)):
        assert to_float(np.eye(4, dtype=np.int64)[[word]], 0)[0] == 2.0**size


def test_keys_that_do_not_fit_are_an_error_before_anything_is_summed():
    check_key_width(Transitions(5), Layout(6, 8, 6), 256)  # 48 + 6 + 8 = 62 bits
    with pytest.raises(attrib.ResourceError) as caught:
        check_key_width(Transitions(5), Layout(6, 8, 7), 256)
    assert caught.value.key == "key_too_wide"
    assert "order 5 with up to 253 players, 128 games and 256 resampling units needs keys of 63 bits" in str(
        caught.value
    )
    assert caught.value.exit_code == 6


def test_a_high_order_of_many_players_says_what_to_do():
    frame = pl.DataFrame({"path": [f"c{i}" for i in range(3000)], "total_conversions": [1] * 3000})
    with pytest.raises(attrib.ResourceError, match="lower the order, group rare players"):
        attrib.Markov(order=5).credit(attrib.Journeys.from_paths(frame))


@pytest.mark.parametrize(("codes", "bits"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (256, 8), (257, 9)])
def test_bits(codes, bits):
    assert bits_for(codes) == bits


def test_many_keys_outgrow_the_first_hash_table():
    """More steps than a dense table or the first sparse one holds."""
    names = [f"c{i:04d}" for i in range(900)]
    frame = pl.DataFrame({
        "path": [f"{names[i]} > {names[j % 900]}" for i in range(900) for j in range(i + 1, i + 61)],
        "total_conversions": [1] * 54_000,
    })  # fmt: skip
    found = attrib.Journeys.from_paths(frame).tallies((Transitions(3),)).get(Transitions(3))
    assert len(found.keys) == 900 + 54_000 + 54_000  # start to first, first to second, second to conversion
    assert found.counts("count").sum() == 3 * 54_000
