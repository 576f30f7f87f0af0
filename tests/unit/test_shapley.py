"""Shapley values of the rate and the chain game: edges, sampling, limits, intervals."""

import warnings

import numpy as np
import polars as pl
import pytest

import attrib
from attrib.errors import AttribWarning, ResourceError, SpecError
from attrib.intervals import GROUPS
from attrib.methods import shapley
from attrib.testing import assert_credit_table
from reference_intervals import bounds
from stories import credited, tell
from strategies import random_tables, to_frames

WORTHS = ("rate", "markov")


def paths(rows):
    """(path, conversions, nulls, value) by row."""
    columns = ("path", "total_conversions", "total_null", "total_conversion_value")
    return attrib.Journeys.from_paths(pl.DataFrame(rows, schema=columns, orient="row"))


def many(players, seed=0, rows=300):
    """Random paths of some players, every one of them met."""
    random = np.random.default_rng(seed)
    names = np.array([f"p{i:02}" for i in range(players)])
    drawn = [random.choice(names, random.integers(1, 7)) for _ in range(rows)]
    drawn += [[name] for name in names]
    rows = []
    for path in drawn:
        conversions = int(random.integers(0, 5))
        value = float(conversions * random.integers(-1, 4))
        rows.append((" > ".join(path), conversions, int(random.integers(0, 9)), value))
    return paths(rows)


def test_labels_name_what_differs_from_the_default():
    assert attrib.Shapley().label == "shapley(worth=conversions)"
    assert attrib.Shapley(worth="rate").label == "shapley(worth=rate)"
    assert attrib.Shapley(worth="markov", samples=50, seed=3).label == "shapley(worth=markov, samples=50, seed=3)"


WRONG = [
    {"worth": "x"}, {"worth": None}, {"worth": ["rate"]}, {"samples": 5}, {"worth": "rate", "samples": 1},
    {"worth": "rate", "samples": 2.0}, {"worth": "rate", "samples": True}, {"worth": "rate", "samples": "9"},
    {"seed": -1}, {"seed": 2**63}, {"seed": 1.5}, {"seed": None},
]  # fmt: skip


@pytest.mark.parametrize("parameters", WRONG, ids=str)
def test_parameters_out_of_range_are_refused(parameters):
    with pytest.raises(SpecError) as caught:
        attrib.Shapley(**parameters)
    assert caught.value.key == "bad_parameter"


@pytest.mark.parametrize("worth", WORTHS)
@pytest.mark.parametrize("samples", [None, 2])
def test_one_player_gets_all(worth, samples):
    method = attrib.Shapley(worth=worth, samples=samples)
    table = method.credit(paths([("a > a", 3, 4, 5.0), ("a", 1, 0, -8.0), ("", 2, 0, 7.0)]))
    assert credited(table) == {"a": pytest.approx(4), None: 2}
    assert credited(table, "value") == {"a": pytest.approx(-3), None: 7}
    assert table["conversions_se"].to_list() == [None, None]  # no order is another than the other


@pytest.mark.parametrize("worth", WORTHS)
def test_nothing_is_credited_where_nothing_converts(worth):
    journeys = paths([("a > b", 0, 4, 0.0), ("b", 0, 1, 0.0), ("", 2, 0, 7.0)])
    table = attrib.credit(journeys, attrib.Shapley(worth=worth), replicates=5)
    assert credited(table) == {"a": 0, "b": 0, None: 2}
    assert table.filter(kind="player").select("conversions_low", "conversions_high").rows() == [(0, 0)] * 2
    nobody = paths([("", 2, 0, 7.0)])
    assert credited(attrib.credit(nobody, attrib.Shapley(worth=worth), replicates=5)) == {None: 2}


@pytest.mark.parametrize("worth", WORTHS)
def test_a_total_value_of_0_is_shared_out_too(worth):
    table = attrib.Shapley(worth=worth).credit(paths([("a", 1, 0, 2.0), ("b", 1, 2, -2.0)]))
    value = credited(table, "value")
    assert value["a"] == pytest.approx(-value["b"])
    assert value["a"] > 1  # never null, as the chain's is where effects cancel


def test_credit_of_the_rate_may_be_negative():
    table = attrib.Shapley(worth="rate").credit(paths([("a", 9, 1, 9.0), ("b", 1, 9, 1.0), ("a > b", 1, 9, 1.0)]))
    # v(a) = 0.9, v(b) = 0.1, v(ab) = 11/30: a adds 0.9 or 8/30, b adds 0.1 or -16/30; 30 journeys
    assert credited(table) == {"a": pytest.approx(17.5), "b": pytest.approx(-6.5), None: 0}


@pytest.mark.parametrize("worth", WORTHS)
@pytest.mark.parametrize("players", [20, 24])
def test_samples_agree_with_all_coalitions(worth, players):
    journeys = many(players, rows=100)
    exact = attrib.Shapley(worth=worth).credit(journeys)
    sampled = attrib.Shapley(worth=worth, samples=2_000).credit(journeys)
    for table in (exact, sampled):
        assert_credit_table(table, journeys)  # also samples add up to the conversions
    exact, sampled = (table.filter(kind="player") for table in (exact, sampled))
    assert exact["conversions_se"].null_count() == players
    error = sampled["conversions_se"].to_numpy()
    z = (sampled["conversions"] - exact["conversions"]).to_numpy() / error
    assert np.abs(z).max() < 4
    assert 0.5 < np.sqrt((z**2).mean()) < 1.6
    scale = exact["value"].abs().max()
    assert (sampled["value"] - exact["value"]).abs().max() < 0.2 * scale
    more = attrib.Shapley(worth=worth, samples=8_000).credit(journeys).filter(kind="player")
    assert more["conversions_se"].to_numpy() == pytest.approx(error / 2, rel=0.15)


@pytest.mark.parametrize("worth", WORTHS)
def test_more_than_24_players_are_sampled_with_a_warning(worth):
    journeys = many(25)
    with pytest.warns(AttribWarning, match=r"more than 24 players are sampled \(1,000 orders\)"):
        automatic = attrib.Shapley(worth=worth).credit(journeys)
    asked = attrib.Shapley(worth=worth, samples=1_000).credit(journeys)  # no warning: it was asked for
    assert automatic.drop("method").equals(asked.drop("method"))
    assert automatic.filter(kind="player")["conversions_se"].min() > 0
    assert automatic.filter(kind="unattributed")["conversions_se"].to_list() == [None]
    assert_credit_table(automatic, journeys)


def test_players_are_counted_by_game():
    story = "\n".join(f"c{i} 1{'ab'[i % 2]}{chr(97 + i // 2)} | {'2purchase' if i % 3 else ''}" for i in range(50))
    country = {"c" + str(i): "xy"[i % 2] for i in range(50)}
    touches, outcomes = attrib_frames(story, country)
    journeys = attrib.Journeys.from_events(touches, outcomes, by="country")
    games = attrib.Linear().credit(journeys).filter(kind="player").group_by("country").len()
    assert games["len"].to_list() == [25, 25]
    few = attrib.Journeys.from_events(
        *(frame.filter(~pl.col("customer_id").is_in(["c0", "c1"])) for frame in (touches, outcomes)), by="country"
    )
    table = attrib.Shapley(worth="markov").credit(few)  # 48 players, 24 in a game: no warning
    assert table["conversions_se"].null_count() == table.height
    with pytest.warns(AttribWarning, match="more than 24 players"):
        assert attrib.Shapley(worth="markov").credit(journeys)["conversions_se"].null_count() < table.height


def attrib_frames(story, country):
    from stories import rows

    frames = to_frames(*rows(story))
    return [
        frame.with_columns(country=pl.col("customer_id").replace_strict(country, return_dtype=pl.String))
        for frame in frames
    ]


def test_a_seed_names_the_orders():
    journeys = many(6)
    one, same, other = (attrib.Shapley(worth="rate", samples=20, seed=s).credit(journeys) for s in (1, 1, 2))
    assert one.equals(same)
    assert not one["conversions"].equals(other["conversions"])


def test_too_many_players_of_a_sampled_chain_are_an_error(monkeypatch):
    monkeypatch.setattr(shapley, "MAX_CHAIN", 5)
    method = attrib.Shapley(worth="markov", samples=10)
    with pytest.raises(ResourceError, match="a game of 6 players; at most 5 can be sampled") as caught:
        method.credit(many(6))
    assert caught.value.key == "too_many_players"
    assert_credit_table(method.credit(many(5)), many(5))
    assert_credit_table(attrib.Shapley(worth="rate", samples=10).credit(many(6)), many(6))


@pytest.mark.parametrize("worth", WORTHS)
def test_threads_and_routes_change_nothing(worth, tmp_path):
    tables = to_frames(*random_tables(3, 200, country=True))
    methods = [attrib.Shapley(worth=worth), attrib.Shapley(worth=worth, samples=40)]
    found = []
    for threads, memory in ((1, None), (2, None), (1, "1KB"), (2, "1KB")):
        engine = attrib.LocalEngine(threads=threads, memory_limit=memory, spill=str(tmp_path))
        journeys = attrib.Journeys.from_events(*tables, by="country", engine=engine)
        found.append(attrib.credit(journeys, methods, replicates=20))
    assert all(table.equals(found[0]) for table in found)


ROWS = [("a", 6, 14, 9.0), ("b", 5, 5, 3.0), ("a > b", 9, 1, 40.0)]


COUNTS = np.array([[row[1], row[2]] for row in ROWS]).ravel()  # conversions and nulls of a path are drawn apart


def rates(drawn):
    """Rate game of a and b by hand, conversions in the scale of the credit; drawn float64 [R, 6] shares of COUNTS."""
    conversions, nulls = (drawn * COUNTS)[:, 0::2], (drawn * COUNTS)[:, 1::2]
    journeys = conversions + nulls
    with np.errstate(invalid="ignore"):
        a, b = (np.nan_to_num(conversions[:, i] / journeys[:, i]) for i in (0, 1))
    both = conversions.sum(axis=1) / journeys.sum(axis=1)
    return np.stack([(a + both - b) / 2, (b + both - a) / 2], axis=1) * journeys.sum(axis=1)[:, None]


def test_intervals_of_small_games_are_those_of_the_bootstrap():
    table = attrib.credit(paths(ROWS), attrib.Shapley(worth="rate"), replicates=50, seed=4, intervals=0.8)
    table = table.filter(kind="player")
    draws = [np.random.Generator(np.random.Philox(key=[4, r])).poisson(COUNTS) / COUNTS for r in range(50)]
    credit = rates(np.stack(draws))
    low, high = bounds(credit, 0.8)
    assert table["conversions_low"].to_list() == pytest.approx(low)
    assert table["conversions_high"].to_list() == pytest.approx(high)


def test_intervals_of_large_games_are_those_of_the_jackknife(monkeypatch):
    monkeypatch.setattr(shapley, "REPEATABLE", 7)  # two players have four coalitions
    table = attrib.credit(paths(ROWS), attrib.Shapley(worth="rate"), replicates=50, seed=4).filter(kind="player")
    dealt = np.random.Generator(np.random.Philox(key=[4, 3 << 56])).multinomial(COUNTS, np.full(GROUPS, 1 / GROUPS)).T
    credit = rates((1 - dealt / COUNTS) * GROUPS / (GROUPS - 1))
    half = 2.0930240544082634 * np.sqrt((GROUPS - 1) * credit.var(axis=0))
    assert (table["conversions_high"] - table["conversions"]).to_list() == pytest.approx(half)
    assert (table["conversions"] - table["conversions_low"]).to_list() == pytest.approx(half)


def test_intervals_of_samples_are_those_of_the_jackknife_others_stay():
    journeys = many(5)
    methods = {"exact": attrib.Shapley(worth="rate"), "drawn": attrib.Shapley(worth="rate", samples=30)}
    table = attrib.credit(journeys, methods, replicates=30)
    middle = (pl.col("conversions_low") + pl.col("conversions_high")) / 2 - pl.col("conversions")
    off = {name: rows.select(middle.abs().max()).item() for (name,), rows in table.group_by("method")}
    assert off["drawn"] < 1e-9 < off["exact"]  # Student's t is symmetric, percentiles are not
    alone = attrib.credit(journeys, {"exact": methods["exact"]}, replicates=30)
    assert table.filter(method="exact").equals(alone)


def test_nulls_that_no_game_knows_are_warned_of():
    story = "ann 1ad | 2purchase\nbob 1mail |"
    touches, outcomes = attrib_frames(story, {"ann": "x", "bob": "y"})
    journeys = attrib.Journeys.from_events(touches.drop("country"), outcomes, by="country")
    with pytest.warns(AttribWarning, match=r"shapley\(worth=rate\) compares conversions with nulls"):
        attrib.Shapley(worth="rate").credit(journeys)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attrib.Shapley().credit(journeys)


def test_a_staged_story_by_hand():
    journeys = tell(
        "ann 1ad 3mail | 2visit 4purchase\nbob 1ad |\ncid 1mail | 2visit",
        stages=attrib.StageModel([("aware", attrib.Milestone("visit")), ("buy", attrib.Milestone("purchase"))]),
    )
    table = attrib.Shapley(worth="rate").credit(journeys)
    # aware: ad 1 of 2, mail 1 of 1: v = 0.5, 1, 2/3, three journeys; buy: mail 1 of 1
    assert credited(table, stage="aware") == {"ad": pytest.approx(0.25), "mail": pytest.approx(1.75), None: 0}
    assert credited(table, stage="buy") == {"mail": pytest.approx(1), None: 0}
