"""Intervals: reproducible, of the right size, the same for any number of threads."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

import attrib
from attrib.engines.base import BUCKETS, Units
from attrib.intervals import Replicates, Resampling, check_interval, numbers_of
from attrib.methods.base import cells_of, sums_for
from attrib.quantiles import percentiles
from attrib.testing import assert_credit_table
from reference_intervals import bounds, quantile

CUSTOMERS = Units("buckets", np.ones(BUCKETS, np.int64))


def test_replicates_draw_as_many_buckets_as_there_are_with_replacement():
    weights = Replicates.draw(CUSTOMERS, seed=1, first=0, n=200).weights
    assert weights.shape == (200, 256)
    assert (weights.sum(axis=1) == 256).all()
    assert (weights == np.floor(weights)).all()
    assert (weights == 0).mean() == pytest.approx(np.exp(-1), abs=0.01)
    assert weights.mean(axis=0) == pytest.approx(np.ones(256), abs=0.4)


def test_replicate_r_depends_on_the_seed_and_r_alone():
    whole = Replicates.draw(CUSTOMERS, seed=7, first=0, n=10).weights
    pieces = [Replicates.draw(CUSTOMERS, seed=7, first=first, n=5).weights for first in (0, 5)]
    assert np.array_equal(whole, np.concatenate(pieces))
    assert not np.array_equal(whole, Replicates.draw(CUSTOMERS, seed=8, first=0, n=10).weights)
    golden = Replicates.draw(CUSTOMERS, seed=0, first=0, n=1).weights[0, :12].astype(int).tolist()
    assert golden == GOLDEN  # of numpy's Philox: another stream would be another interval


GOLDEN = [0, 0, 2, 1, 0, 1, 1, 1, 2, 3, 0, 2]


def test_paths_draw_poisson_counts():
    units = Units("paths", np.array([100, 0, 1]))
    weights = Replicates.draw(units, seed=1, first=0, n=4000).weights
    counts = weights * np.array([100, 1, 1])
    assert counts == pytest.approx(np.round(counts))
    assert counts.mean(axis=0) == pytest.approx([100, 0, 1], abs=0.6)
    assert counts.var(axis=0) == pytest.approx([100, 0, 1], rel=0.1)


def events(seed: int, customers: int = 1000, rate: float = 0.3) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Every customer has one touch, and buys with a probability."""
    rng = np.random.default_rng(seed)
    bought = np.flatnonzero(rng.random(customers) < rate)
    ids = np.arange(customers) + 10**6 * seed
    touched = pl.DataFrame({"customer_id": ids, "timestamp": dt.date(2025, 1, 1), "channel": "ad"})
    reached = pl.DataFrame({"customer_id": ids[bought], "timestamp": dt.date(2025, 1, 2), "outcome": "purchase"})
    return tuple(t.with_columns(pl.col("timestamp").cast(pl.Datetime("us"))) for t in (touched, reached))


def test_intervals_cover_a_binomial_about_as_often_as_they_say():
    """300 of 1000 customers buy on average: the interval of the count should hold 300 nine times in ten."""
    hits = []
    for seed in range(80):
        table = attrib.credit(
            attrib.Journeys.from_events(*events(seed)), [attrib.Linear()], intervals=0.9, replicates=200
        ).filter(kind="player")
        low, high = table["conversions_low"][0], table["conversions_high"][0]
        hits.append(low <= 300 <= high)
    # resampling customers lets their number vary too, so the interval is one of a Poisson count: a bit wide
    assert 0.85 <= np.mean(hits) <= 1.0


def test_the_width_is_that_of_a_count():
    table = attrib.credit(attrib.Journeys.from_events(*events(3, 20_000)), [attrib.Linear()], replicates=2000)
    row = table.filter(kind="player").row(0, named=True)
    n = row["conversions"]
    width = row["conversions_high"] - row["conversions_low"]
    assert width == pytest.approx(2 * 1.96 * np.sqrt(n), rel=0.15)


def test_the_width_of_a_path_table_is_that_of_a_poisson_count():
    frame = pl.DataFrame({"path": ["a", "b"], "total_conversions": [400, 100]})
    table = attrib.credit(attrib.Journeys.from_paths(frame), [attrib.Linear()], replicates=4000)
    for row in table.filter(kind="player").to_dicts():
        width = row["conversions_high"] - row["conversions_low"]
        assert width == pytest.approx(2 * 1.96 * np.sqrt(row["conversions"]), rel=0.07)


METHODS = [attrib.LastTouch(), attrib.Markov(order=1), attrib.Markov(order=2), attrib.Shapley()]


@pytest.fixture(scope="module")
def data() -> attrib.synth.Synthetic:
    return attrib.synth.generate(customers=600, seed=5)


def run(data, *, threads=1, methods=METHODS, **arguments) -> pl.DataFrame:
    engine = attrib.LocalEngine(threads=threads)
    journeys = attrib.Journeys.from_events(data.touchpoints, data.outcomes, stages="five", engine=engine)
    return attrib.credit(journeys, methods, **{"replicates": 120, **arguments})


def test_the_same_seed_gives_the_same_table_for_any_number_of_threads(data):
    one, two = run(data, threads=1, seed=3), run(data, threads=2, seed=3)
    assert one.equals(two)
    assert not one.equals(run(data, seed=4))
    names = [c for c in one.columns if not c.endswith(("_low", "_high"))]
    assert one.select(names).equals(run(data, seed=4).select(names))


def test_the_company_of_other_methods_does_not_change_an_interval(data):
    both = run(data)
    for method in (attrib.LastTouch(), attrib.Shapley()):
        alone = run(data, methods=[method])
        assert both.filter(method=method.label).equals(alone)


def test_a_higher_level_is_wider(data):
    wide, narrow = run(data, intervals=0.99), run(data, intervals=0.5)
    assert (wide["conversions_low"] <= narrow["conversions_low"]).all()
    assert (wide["conversions_high"] >= narrow["conversions_high"]).all()


def test_what_no_customer_varies_has_an_interval_of_no_width():
    touched, reached = events(1, customers=300, rate=1.0)
    table = attrib.credit(attrib.Journeys.from_events(touched, reached), [attrib.Linear()], replicates=50)
    row = table.filter(kind="player").row(0, named=True)
    assert (row["share_low"], row["share"], row["share_high"]) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("arguments", [
    {"intervals": 0}, {"intervals": 1}, {"intervals": 1.5}, {"intervals": True}, {"intervals": "0.9"},
    {"replicates": 1}, {"replicates": 2.5}, {"replicates": True}, {"seed": -1}, {"seed": 0.5}, {"seed": 2**64},
])  # fmt: skip
def test_wrong_settings(arguments):
    full = {"intervals": 0.9, "replicates": 10, "seed": 0} | arguments
    with pytest.raises(attrib.SpecError) as caught:
        check_interval(full["intervals"], full["replicates"], full["seed"])
    assert caught.value.key == "bad_interval"


def test_intervals_of_the_known_chain_hold_its_numbers():
    paths = pl.DataFrame({
        "path": ["C1 > C2 > C3", "C1", "C2 > C3"], "total_conversions": [100, 0, 0], "total_null": [0, 100, 100]
    })  # fmt: skip
    table = attrib.credit(attrib.Journeys.from_paths(paths), [attrib.Markov()], replicates=400)
    for row in table.filter(kind="player").to_dicts():
        for number in ("conversions", "share", "effect"):
            assert row[f"{number}_low"] <= row[number] + 1e-9
            assert row[number] - 1e-9 <= row[f"{number}_high"]


def test_percentiles_are_those_of_the_definition():
    random = np.random.default_rng(5)
    drawn = random.normal(size=(37, 6))
    drawn[random.random(drawn.shape) < 0.2] = np.nan
    drawn[:, 4], drawn[1:, 5] = np.nan, np.nan
    low, high = Resampling(level=0.9).percentiles(drawn)
    np.testing.assert_allclose((low, high), bounds(drawn, 0.9))
    np.testing.assert_allclose(percentiles(drawn, 0.001)[0][:4], np.nanmin(drawn[:, :4], axis=0))
    np.testing.assert_allclose(percentiles(drawn, 0.2)[0], [quantile(column, 0.2) for column in drawn.T])


def test_percentiles_leave_outside_what_they_should():
    """The next draw falls below the p-quantile of R others with probability p, for any continuous distribution."""
    drawn = np.random.default_rng(6).exponential(size=(40, 20_000))
    low, high = percentiles(drawn[1:], 0.05)
    assert (drawn[0] < low).mean() == pytest.approx(0.05, abs=0.005)
    assert (drawn[0] > high).mean() == pytest.approx(0.05, abs=0.005)


def grouped(customers, groups):
    """Customers with one touch of ``ad``, a third of them of ``mail``, who buy; dealt to some clusters."""
    ids = np.arange(customers)
    touched = pl.DataFrame({"customer_id": ids, "channel": np.where(ids % 3 == 0, "mail", "ad")})
    touched = touched.with_columns(timestamp=pl.datetime(2025, 1, 1), cluster=pl.Series(ids % groups))
    reached = pl.DataFrame({"customer_id": ids})
    reached = reached.with_columns(timestamp=pl.datetime(2025, 1, 2), outcome=pl.lit("purchase"))
    return attrib.Journeys.from_events(touched, reached, target="purchase")


@pytest.mark.parametrize(
    ("customers", "groups", "wanted"),
    [
        (147, 1000, {"ad": False, "mail": True}),  # 98 and 49 conversions
        (150, 1000, {"ad": False, "mail": False}),  # 100 and 50
        (3000, 15, {"ad": True, "mail": True}),  # many, but no more buckets than clusters
        (3000, 90, {"ad": False, "mail": True}),  # 60 clusters have ad, 30 mail
    ],
)
def test_thin_rows_are_flagged(customers, groups, wanted):
    journeys = grouped(customers, groups)
    plain = attrib.credit(journeys, [attrib.LastTouch(), attrib.Markov()], replicates=20)
    table = attrib.credit(journeys, [attrib.LastTouch(), attrib.Markov()], replicates=20, flag=True)
    assert table.drop("thin").equals(plain)
    assert table.columns[-1] == "thin"
    last = table.filter(method="last_touch", kind="player")
    assert dict(last.select("channel", "thin").iter_rows()) == wanted
    assert table.filter(kind="unattributed")["thin"].all()  # none is less than 50
    assert_credit_table(table, journeys)


def test_rows_are_flagged_by_each_method_and_without_intervals():
    rows = [("ad > mail", 60, 40), ("mail", 20, 20)]
    paths = pl.DataFrame(rows, schema=["path", "total_conversions", "total_null"], orient="row")
    journeys = attrib.Journeys.from_paths(paths)
    table = attrib.credit(journeys, [attrib.FirstTouch(), attrib.LastTouch()], intervals=None, flag=True)
    thin = table.filter(kind="player").select("method", "channel", "thin").rows()
    assert thin == [
        ("first_touch", "ad", False),
        ("last_touch", "ad", True),
        ("first_touch", "mail", True),
        ("last_touch", "mail", False),
    ]


@pytest.mark.parametrize("slow", [attrib.AdditiveHazard(), attrib.BaggedLogistic(bags=5)], ids=str)
def test_differences_of_a_method_that_reads_rows_come_from_the_jackknife(slow):
    """Twenty times without a group, by hand from the same draws, as for its credit."""
    touched, reached = events(3, customers=400)
    touched = touched.with_columns(channel=pl.Series(np.where(np.arange(400) % 3 == 0, "mail", "ad")))
    journeys = attrib.Journeys.from_events(touched, reached, target="purchase")
    methods = [attrib.Linear(), slow]
    found = attrib.compare(journeys, methods, players=True, seed=2)
    credited = attrib.credit(journeys, methods, seed=2).filter(kind="player")
    of_slow = credited.filter(method=slow.label).sort("channel")
    drawn = left_out(journeys, methods, seed=2)
    rows = found.disagreements.sort("channel")
    linear = credited.filter(method="linear").sort("channel")
    half = 2.0930240544 * np.sqrt(19 * (drawn[0] - drawn[1]).var(axis=0))
    middle = (linear["share"] - of_slow["share"]).to_numpy()
    np.testing.assert_allclose(rows["share_difference_low"], middle - half, atol=1e-9)
    np.testing.assert_allclose(rows["share_difference_high"], middle + half, atol=1e-9)
    np.testing.assert_allclose(
        of_slow["share_low"], of_slow["share"].to_numpy() - 2.0930240544 * np.sqrt(19 * drawn[1].var(axis=0)), atol=1e-9
    )
    assert found.players.filter(method=slow.label)["share_difference_low"].is_not_null().all()


def left_out(journeys, methods, seed):
    """Shares of the players without each of the groups of buckets, [methods, 20, players]."""
    tallies = sums_for(journeys, methods, units=True)
    cells = cells_of(tallies)
    draw = Replicates.leave_out(tallies.units, seed)
    numbers = numbers_of(methods, tallies, cells, slice(0, tallies.n_games))(draw)
    return [shares[:, : len(cells.game)] for shares in numbers[2::4]]
