"""Methods foretell how journeys of other customers end: each as its slow twin does."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attrib
import reference_metrics as twin
from attrib.experiments import metrics
from attrib.experiments.holdout import Half, foretell, predictions

PATHS = st.lists(
    st.tuples(st.lists(st.sampled_from("abcd"), max_size=5), st.integers(0, 3), st.integers(0, 3)), max_size=8
)
LOOKBACK = 30


def half(seed, stages=None, **options):
    data = attrib.synth.generate(400, seed, scenario="clean", days=120)
    settings = {"lookback": f"{LOOKBACK}d"} | options
    return Half(attrib.Journeys.from_events(data.touchpoints, data.outcomes, stages=stages, **settings))


@pytest.fixture(scope="module")
def halves():
    return half(1), half(2)


@given(PATHS, PATHS)
def test_the_pairs_of_shao_and_li(train, test):
    kinds = {"players": pl.List(pl.String), "conversions": pl.Int64, "nulls": pl.Int64}
    frames = [pl.DataFrame(rows, schema=kinds, orient="row") for rows in (train, test)]
    found = predictions(attrib.ShaoLi(), *frames)
    assert found == pytest.approx([twin.foretell_by_pairs(train, path) for path, _, _ in test])


def test_what_shao_and_li_foretell_is_what_their_contributions_add_up_to():
    """But for the factor |S| / 2 and, in many journeys, for what steadies rare pairs."""
    rates = {"a": 0.3, "b": 0.5, "ab": 0.7}
    rows = [(list(name), round(rate * 10**6), round((1 - rate) * 10**6)) for name, rate in rates.items()]
    kinds = {"players": pl.List(pl.String), "conversions": pl.Int64, "nulls": pl.Int64}
    table = pl.DataFrame(rows, schema=kinds, orient="row")
    assert predictions(attrib.ShaoLi(), table, table)[2] == pytest.approx(0.7, abs=1e-5)


def rows_of(frame):
    return list(frame.select("players", "conversions", "nulls").iter_rows())


@pytest.mark.parametrize("stages", [None, "five"])
def test_the_logistic_regression(stages):
    train, test = half(1, stages), half(2, stages)
    method = attrib.BaggedLogistic(bags=10)
    found, fitted = foretell(method, train, test), method.fitted(train.journeys)
    assert list(found) == list(test.paths)
    for stage, one in found.items():
        own = fitted if stage is None else fitted.filter(pl.col("stage").cast(pl.String) == stage)
        known = dict(own.select("channel", "coefficient").iter_rows())
        constant = known.pop(None)
        rows = rows_of(train.paths[stage]) if stage in train.paths else []
        if constant is not None:
            expected = [twin.foretell_by_odds(rows, path, constant, known) for path, _, _ in rows_of(test.paths[stage])]
            assert one.probability == pytest.approx(expected)


def test_its_constant_gives_the_conversions_of_those_it_learned_from(halves):
    train, _ = halves
    found = foretell(attrib.BaggedLogistic(bags=10), train, train)[None]
    journeys = found.conversions + found.nulls
    # half a conversion and half a null are added to a journey of those that it was fitted to
    assert (found.probability * journeys).sum() == pytest.approx(found.conversions.sum(), abs=0.5)


def test_without_nulls_the_regression_learns_nothing():
    table = pl.DataFrame({"path": ["a", "b > a"], "total_conversions": [3, 5], "total_null": [0, 0]})
    journeys = attrib.Journeys.from_paths(table)
    fitted = attrib.BaggedLogistic(bags=3).fitted(journeys)
    assert fitted["coefficient"].to_list() == [0, 0, None]
    found = foretell(attrib.BaggedLogistic(bags=3), Half(journeys), Half(journeys))[None]
    assert found.probability == pytest.approx([8.5 / 9] * 2)


@pytest.mark.parametrize("method", [attrib.AdditiveHazard(), attrib.AdditiveHazard(baseline=True)])
def test_additive_hazards(halves, method):
    train, test = halves
    found = foretell(method, train, test)[None]
    fitted = method.fitted(train.journeys)
    strength, lag = (dict(fitted.select("channel", name).iter_rows()) for name in ("strength", "lag"))
    won, lost = (int(train.paths[None][name].sum()) for name in ("conversions", "nulls"))
    journeys = test.journeys.to_frame().filter(pl.col("status").is_in(["converting", "null"]), pl.col("path") != "")
    epoch = pl.col("timestamps").list.eval(pl.element().dt.timestamp("us") / 86_400e6)
    data = attrib.synth.generate(400, 2, scenario="clean", days=120)
    end = max(t["timestamp"].dt.timestamp("us").max() / 86_400e6 for t in (data.touchpoints, data.outcomes))
    expected = {True: [], False: []}
    for path, times, conversions in journeys.select("path", epoch, "conversions").iter_rows():
        touches = list(zip(path.split(" > "), times, strict=True))
        probability = twin.foretell_by_hazard(
            won, lost, touches, end, LOOKBACK, strength, lag, strength.get(None, 0.0) or 0.0
        )
        expected[conversions > 0].append(probability)
    for converts, probabilities in expected.items():
        mine = found.probability[(found.conversions > 0) == converts]
        assert np.sort(mine) == pytest.approx(np.sort(probabilities))
    assert found.conversions.sum() == test.paths[None]["conversions"].sum()
    assert found.nulls.sum() == test.paths[None]["nulls"].sum()


def test_stages_are_foretold_by_themselves():
    train, test = half(1, "five"), half(2, "five")
    found = foretell(attrib.AdditiveHazard(), train, test)
    assert set(found) == set(test.paths)
    for stage, one in found.items():
        assert one.conversions.sum() == test.paths[stage]["conversions"].sum()
        assert ((one.probability > 0) & (one.probability < 1)).all()


def test_in_the_view_resolved_players_are_stage_and_channel():
    train, test = (half(seed, "five", view="resolved", target="purchase") for seed in (1, 2))
    for method in (attrib.AdditiveHazard(), attrib.BaggedLogistic(bags=5)):
        (found,) = foretell(method, train, test).values()
        assert metrics.auc(found.probability, found.conversions, found.nulls) > 0.5


def test_path_tables_have_no_times(halves):
    train, test = (Half(attrib.Journeys.from_paths(one.journeys.to_paths())) for one in halves)
    assert foretell(attrib.AdditiveHazard(), train, test) == {}
    assert foretell(attrib.Linear(), train, test) == {}
    (found,) = foretell(attrib.Markov(1), train, test).values()
    (same,) = foretell(attrib.Markov(1), *halves).values()
    scores = [metrics.log_likelihood(f.probability, f.conversions, f.nulls) for f in (found, same)]
    assert math.isclose(*scores)
