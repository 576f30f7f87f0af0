"""Incremental with estimators: credit adds up, covariates stand for intent, and answers do not depend on rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

import attrib
from attrib import synth
from attrib.methods.covariates import Covariates
from lived import VIEWS, adds_up, journeys_of

pytest.importorskip("sklearn")
GLM = attrib.Incremental(hazards="glm", decays="7d", permutations=2)
TREES = attrib.Incremental(hazards="boosting", decays="3d", permutations=2, sample=60)
START = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def data():
    return synth.generate(250, seed=1000, days=120)


@pytest.mark.parametrize("view", VIEWS, ids="-".join)
@pytest.mark.parametrize("credited", ["shapley", "removal"])
def test_credit_and_baseline_are_what_was_observed(data, view, credited):
    adds_up(data, view, attrib.Incremental(hazards="glm", decays="7d", permutations=2, credited=credited))


def test_so_they_are_of_a_sample(data):
    adds_up(data, VIEWS[2], attrib.Incremental(hazards="glm", decays="7d", permutations=2, sample=100))


def test_so_they_are_of_trees():
    touches, outcomes, _ = follower(200)
    journeys = attrib.Journeys.from_events(touches, outcomes, target="purchase")
    table = TREES.credit(journeys)
    attrib.testing.assert_credit_table(table)
    assert table["conversions"].sum() == pytest.approx(outcomes.height)
    assert table.filter(channel="video")["conversions"].item() > 0
    assert table.filter(kind="player")["conversions_se"].min() > 0


def follower(n=1500, seed=3):
    """Half of all are keen, for two weeks at a time: they meet `brand` and buy; `video` reaches everybody and works."""
    random = np.random.default_rng(seed)
    touches, outcomes, known = [], [], []
    for who in range(n):
        keen = bool(random.random() < 0.5)
        watched = []
        for day in range(56):
            if day % 14 == 0:
                keen = not keen
                known.append((who, START + timedelta(days=day), keen))
            if day == 0 or random.random() < 0.08:
                watched.append(day + 0.2)
                touches.append((who, START + timedelta(days=day + 0.2), "video"))
            if random.random() < (0.25 if keen else 0.02):
                touches.append((who, START + timedelta(days=day + 0.5 * random.random() + 0.3), "brand"))
            lift = 6 * sum(np.exp(-(day - t) / 3) for t in watched if t < day)
            if random.random() < (0.02 if keen else 0.002) * (1 + lift):
                outcomes.append((who, START + timedelta(days=day + 0.9 * random.random()), "purchase"))
    names = ["customer_id", "timestamp"]
    return (
        pl.DataFrame(touches, [*names, "channel"], orient="row"),
        pl.DataFrame(outcomes, [*names, "outcome"], orient="row"),
        pl.DataFrame(known, [*names, "keen"], orient="row"),
    )


def test_known_intent_is_not_taken_for_effect():
    touches, outcomes, known = follower()
    journeys = attrib.Journeys.from_events(touches, outcomes, target="purchase")
    blind = attrib.Incremental(hazards="glm", decays="3d", permutations=2)
    sees = attrib.Incremental(hazards="glm", decays="3d", permutations=2, covariates=known)
    brand, video = {}, {}
    for name, method in (("blind", blind), ("sees", sees)):
        table = method.credit(journeys)
        brand[name], video[name] = (table.filter(channel=c)["conversions"].item() for c in ("brand", "video"))
    assert video["sees"] > 0.3 * outcomes.height
    assert abs(brand["sees"]) < 0.1 * video["sees"]
    assert brand["blind"] > 3 * abs(brand["sees"])


@pytest.mark.parametrize("method", [GLM, TREES], ids=["glm", "boosting"])
def test_threads_and_order_of_rows_change_no_digit(method):
    touches, outcomes, known = follower(200)

    def solved(threads, facts, touchpoints):
        engine = attrib.LocalEngine(threads=threads)
        journeys = attrib.Journeys.from_events(touchpoints, outcomes, target="purchase", engine=engine)
        return replace(method, covariates=facts).credit(journeys)

    mixed = (frame.sample(fraction=1.0, shuffle=True, seed=1) for frame in (known, touches))
    assert solved(1, known, touches).equals(solved(3, *mixed))


def test_times_of_fading_are_chosen_and_folds_change_little():
    touches, outcomes, known = follower(1000)
    journeys = attrib.Journeys.from_events(touches, outcomes, target="purchase")
    several = {"hazards": "glm", "decays": ("3d", "30d"), "permutations": 2, "covariates": known}
    found = attrib.Incremental(**several).fitted(journeys)
    features = found.filter(on="purchase")["feature"].unique().to_list()
    assert "video, 3 days" in features
    assert "video, 30 days" not in features
    assert found.columns == ["fold", "stage", "on", "feature", "coefficient"]
    assert found.filter(on="purchase", stage="new", feature="video, 3 days")["coefficient"].item() > 1
    one, two = (
        attrib.Incremental(**several, folds=folds).credit(journeys).filter(channel="video")["conversions"].item()
        for folds in (1, 2)
    )
    assert one == pytest.approx(two, rel=0.2)


def test_intervals_hold_the_credit():
    touches, outcomes, _ = follower(300)
    journeys = attrib.Journeys.from_events(touches, outcomes, target="purchase")
    table = attrib.credit(journeys, GLM, intervals=0.9)
    some = table.filter(pl.col("kind") == "player")
    assert (some["conversions_low"] <= some["conversions"]).all()
    assert (some["conversions"] <= some["conversions_high"]).all()
    assert (some["conversions_high"] > some["conversions_low"]).any()


def test_a_sample_says_how_sure_it_is(data):
    table = attrib.Incremental(hazards="glm", decays="7d", permutations=2, sample=100).credit(
        journeys_of(data, target="purchase")
    )
    assert (table.filter(kind="player")["conversions_se"] > 0).any()
    assert "sample=100" in table["method"][0]


def test_trees_have_no_coefficients(data):
    with pytest.raises(attrib.SpecError, match="no coefficients") as caught:
        TREES.fitted(journeys_of(data, target="purchase"))
    assert caught.value.key == "no_coefficients"


def table_of(rows, *columns):
    return pl.DataFrame([(who, START + timedelta(days=day), what) for who, day, what in rows], [*columns], orient="row")


def small(touches, outcomes):
    return attrib.Journeys.from_events(
        table_of(touches, "customer_id", "timestamp", "channel"),
        table_of(outcomes, "customer_id", "timestamp", "outcome"),
        target="purchase",
    )


@pytest.mark.parametrize("method", [GLM, TREES], ids=["glm", "boosting"])
@pytest.mark.parametrize(
    ("touches", "outcomes"),
    [
        ([("a", 1, "x")], [("a", 2, "purchase")]),
        ([("a", 1, "x"), ("a", 1, "y")], [("a", 1, "purchase"), ("a", 1, "purchase")]),
        ([("a", 1, "x"), ("b", 1, "x")], [("c", 0, "purchase")]),
        ([("a", day, "x") for day in range(30)], [("a", day, "purchase") for day in range(30)]),
    ],
    ids=["one customer", "all at once", "nobody touched converts", "one channel"],
)
def test_tiny_data(touches, outcomes, method):
    table = method.credit(small(touches, outcomes))
    assert table["conversions"].sum() == pytest.approx(len(outcomes))
    assert table["conversions"].is_finite().all()


# covariates -------------------------------------------------------------------------------------------------------

KEYS = np.array([10, 20, 30], np.uint64)
FACTS = pl.DataFrame({"customer_id": [7, 7, 9], "timestamp": [START, START + timedelta(days=2), START], "x": [1, 2, 3]})


def test_customers_are_found_in_both_kinds_of_ids_and_files(tmp_path, data):
    """The same facts by integers, texts, and files: each customer their own number."""
    customers = pl.concat([data.touchpoints["customer_id"], data.outcomes["customer_id"]]).unique()
    facts = pl.DataFrame({"customer_id": customers}).with_columns(keen=pl.col("customer_id") % 7 < 3)
    facts.write_csv(tmp_path / "facts.csv")
    facts.write_parquet(tmp_path / "facts.parquet")
    texts = [
        frame.with_columns(pl.col("customer_id").cast(pl.String)) for frame in (data.touchpoints, data.outcomes, facts)
    ]
    parts = {"hazards": "glm", "decays": "7d", "permutations": 2}
    journeys = journeys_of(data, target="purchase")
    one = attrib.Incremental(**parts, covariates=facts).fitted(journeys)
    assert "keen" in one["feature"].to_list()
    assert "keen is missing" not in one["feature"].to_list()
    assert attrib.Incremental(**parts, covariates=tmp_path / "facts.parquet").fitted(journeys).equals(one)
    assert attrib.Incremental(**parts, covariates=facts.to_pandas()).fitted(journeys).equals(one)
    by_text = attrib.Journeys.from_events(*texts[:2], target="purchase")
    named = attrib.Incremental(**parts, covariates=texts[2]).fitted(by_text)
    assert "keen is missing" not in named["feature"].to_list()
    assert attrib.Incremental(**parts, covariates=tmp_path / "facts.csv").fitted(journeys).equals(one)


def test_rows_hold_from_their_time_on():
    from attrib.engines.customers import hash_customers

    keys = hash_customers(pl.Series([9, 8, 7]), "integer")[0]
    origin = int((START + timedelta(days=1)).timestamp()) * 1000
    known, names = Covariates.of(FACTS).known(keys, "integer", origin, 1000, aware=True)
    assert names == ["x", "x is missing"]
    assert known.offsets.tolist() == [0, 1, 2, 4]
    assert known.time[[0, 2, 3]].tolist() == [-1, -1, 1]
    assert known.values.tolist() == [[3, 0], [2, 1], [1, 0], [2, 0]]  # nothing is known of 8: the mean


def test_levels_and_missing_numbers():
    from attrib.engines.customers import hash_customers

    frame = pl.DataFrame({"customer_id": ["a", "b", "c"], "kind": ["u", None, "v"], "y": [1.0, float("nan"), 4.0]})
    keys = hash_customers(pl.Series(["c", "b", "a"]), "text")[0]
    known, names = Covariates.of(frame).known(keys, "text", 0, 1000, aware=None)
    assert names == ["kind = u", "kind = v", "kind is missing", "y", "y is missing"]
    assert known.values.tolist() == [[0, 1, 0, 4, 0], [0.5, 0.5, 1, 2.5, 1], [1, 0, 0, 1, 0]]


def test_covariates_are_equal_by_content():
    one, other = (attrib.Incremental(hazards="glm", covariates=f) for f in (FACTS, FACTS.reverse()))
    changed = attrib.Incremental(hazards="glm", covariates=FACTS.with_columns(x=pl.col("x") + 1))
    assert one == other
    assert hash(one) == hash(other)
    assert one != changed
    assert one.label == "incremental(hazards=glm, covariates=x)"


@pytest.mark.parametrize(
    ("frame", "key"),
    [
        (pl.DataFrame({"x": [1]}), "missing_column"),
        (pl.DataFrame({"customer_id": [1]}), "missing_column"),
        (pl.DataFrame({"customer_id": [1, 1], "x": [1, 2]}), "doubled_covariates"),
        (pl.concat([FACTS, FACTS.head(1)]), "doubled_covariates"),
        (pl.DataFrame({"customer_id": [1, None], "x": [1, 2]}), "bad_covariate"),
        (FACTS.with_columns(timestamp=pl.lit("soon")), "bad_covariate"),
        (FACTS.with_columns(timestamp=pl.lit(3)), "bad_covariate"),
        (FACTS.with_columns(x=pl.lit(float("inf"))), "bad_covariate"),
        (FACTS.with_columns(x=pl.lit(START)), "bad_covariate"),
        (pl.DataFrame({"customer_id": range(60), "x": [f"level {i}" for i in range(60)]}), "bad_covariate"),
        ("nowhere.csv", "no_file"),
        (3, "bad_table"),
    ],
)
def test_covariates_that_cannot_be_used(frame, key):
    with pytest.raises(attrib.AttribError) as caught:
        attrib.Incremental(hazards="glm", covariates=frame)
    assert caught.value.key == key


def test_covariates_of_other_customers_or_clocks(data):
    naive = FACTS.with_columns(pl.col("timestamp").dt.replace_time_zone(None))
    names = pl.DataFrame({"customer_id": ["ann"], "x": [1]})
    journeys = journeys_of(data, target="purchase")
    aware = data.touchpoints.schema["timestamp"].time_zone is not None
    with pytest.raises(attrib.DataError, match="zone"):
        attrib.Incremental(hazards="glm", covariates=naive if aware else FACTS).credit(journeys)
    with pytest.raises(attrib.DataError, match="whole numbers"):
        attrib.Incremental(hazards="glm", covariates=names).credit(journeys)


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"covariates": FACTS}, "covariates_latent"), ({"sample": 100}, "sample_latent"),
        ({"hazards": "trees"}, "bad_parameter"), ({"hazards": "glm", "period": "0d"}, "bad_parameter"),
        ({"hazards": "glm", "period": "unlimited"}, "bad_parameter"),
        ({"hazards": "glm", "sample": 0}, "bad_parameter"),
    ],
)  # fmt: skip
def test_bad_parameters(wrong, key):
    with pytest.raises(attrib.SpecError) as caught:
        attrib.Incremental(**wrong)
    assert caught.value.key == key


def test_no_file_names_covariates():
    from attrib.loading import build_method

    with pytest.raises(attrib.SpecError, match="covariates are no part of a file"):
        build_method("incremental", {"hazards": "glm", "covariates": "facts.csv"}, "job.toml")
    assert build_method("incremental", {"hazards": "glm"}, "job.toml") == attrib.Incremental(hazards="glm")
