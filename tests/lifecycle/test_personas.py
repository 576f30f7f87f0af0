"""Personas: found where they are, not where they are not; stable, readable, and usable for credit."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from scipy.stats import multivariate_normal

import attrib
from attrib.errors import DataError, SpecError
from attrib.lifecycle import Personas
from attrib.lifecycle.grouping.mixtures import STABLE

HOSTILE = ["=cmd|' /C calc'!A0", "a\x1b[2Jb", "<script>alert(1)</script>", "share:x", "(other)", "💥" * 30]


def customers(seed=0, n=300, groups=3, channels=("mail", "ad")):
    """Separate groups of customers, and which one each is of."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, groups, n)
    share = rng.beta(*np.array([[2, 18], [18, 2], [10, 10]])[group].T)
    touches = rng.poisson(np.array([3, 12, 60])[group]) + 1
    frame = pl.DataFrame(
        {
            "customer_id": rng.permutation(n),
            "tenure": rng.gamma(4, 50, n),
            "touches": touches,
            "value": rng.lognormal(np.array([1.0, 3.0, 5.0])[group], 0.3),
            f"touches:{channels[0]}": (share * touches).round().astype(np.int64),
            f"touches:{channels[1]}": ((1 - share) * touches).round().astype(np.int64),
            f"share:{channels[0]}": share,
            "stage": np.array(["new", "loyal", "loyal"])[group],
            "referrals_made": (rng.random(n) < np.array([0, 0, 0.4])[group]).astype(np.int64),
            "left": (rng.random(n) < np.array([0.5, 0.1, 0.0])[group]).astype(np.int64),
        }
    )
    return frame, group


FAST = {"max_k": 5, "refits": 5}


def agreement(found, group):
    from sklearn.metrics import adjusted_rand_score

    return adjusted_rand_score(group, found.assignments["persona"].to_list())


def test_separate_groups_are_found_and_counted():
    frame, group = customers(n=900)
    found = attrib.personas(frame, churn="left", **FAST)
    assert len(found.names) == 3
    assert agreement(found, group) > 0.97
    sizes = found.profiles["size"].to_list()
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == 900
    assert found.profiles["share"].sum() == pytest.approx(1)


def test_the_rule_is_the_smallest_bic_of_the_stable_sizes_without_small_personas():
    frame, _ = customers(n=600)
    table = attrib.personas(frame, **FAST).selection
    allowed = table.filter((pl.col("stability") >= STABLE) & ((pl.col("smallest") >= 12) | (pl.col("k") == 1)))
    assert table["k"].to_list() == [1, 2, 3, 4, 5]
    assert table.filter("chosen")["k"].item() == allowed.sort("bic")["k"][0]
    assert (table["refused"].is_null() == table["k"].is_in(allowed["k"].implode())).all()


def test_one_crowd_is_one_persona_with_a_warning():
    rng = np.random.default_rng(3)
    frame = pl.DataFrame({"customer_id": range(500), "a": rng.normal(size=500), "b": rng.normal(size=500)})
    with pytest.warns(attrib.AttribWarning, match="no personas can be told apart"):
        found = attrib.personas(frame, **FAST)
    assert found.names == ("P1 everybody",)


def test_probabilities_are_those_of_bayes():
    frame, _ = customers()
    found = attrib.personas(frame, 3)
    from attrib.lifecycle.grouping.personas import _prepared, _standardised

    x, _ = _standardised(found.design, _prepared(frame, found.design.columns, found.logged))
    joint = np.column_stack(
        [
            weight * multivariate_normal(mean, np.linalg.inv(factor @ factor.T)).pdf(x)
            for weight, mean, factor in zip(*found.mixture.arrays().values(), strict=True)
        ]
    )
    best = (joint / joint.sum(axis=1, keepdims=True)).max(axis=1)
    np.testing.assert_allclose(found.assignments["probability"], best, rtol=1e-8)


def test_profiles_tell_means_shares_and_words():
    frame, _ = customers(n=600)
    found = attrib.personas(frame, 3, churn="left", referral="referrals_made")
    for row in found.profiles.iter_rows(named=True):
        own = frame.filter(found.assignments["persona"] == row["persona"])
        assert row["size"] == row["customers"] == own.height
        assert row["value"] == pytest.approx(own["value"].mean())
        assert row["churn_rate"] == pytest.approx(own["left"].mean())
        assert row["referral_rate"] == pytest.approx(own["referrals_made"].mean())
        mix = {item["stage"]: item["share"] for item in row["stages"]}
        assert mix == pytest.approx({s: (own["stage"] == s).mean() for s in own["stage"].unique()})
        by = {c: own[f"touches:{c}"].sum() for c in ("mail", "ad")}
        assert row["channels"][0]["channel"] == max(by, key=by.get)
        assert row["channels"][0]["share"] == pytest.approx(max(by.values()) / sum(by.values()))
        assert len(row["distinguishing"]) == 3
    richest = found.profiles.sort("value", descending=True)["distinguishing"][0].to_list()
    assert any(words.startswith("high value (") for words in richest)


def test_same_seed_same_personas_in_any_order_of_rows():
    frame, _ = customers()
    one = attrib.personas(frame, 3, seed=4)
    mixed = frame.sample(fraction=1, shuffle=True, seed=1)
    other = attrib.personas(mixed, 3, seed=4)
    assert one.names == other.names
    both = one.assignments.join(other.assignments, on="customer_id")
    assert (both["persona"] == both["persona_right"]).all()


def test_rows_beyond_max_rows_are_assigned_too():
    frame, group = customers(n=900)
    found = attrib.personas(frame, 3, max_rows=200)
    assert found.assignments.height == 900
    assert agreement(found, group) > 0.95


def test_small_personas_are_refused():
    frame, _ = customers(n=200)
    with pytest.raises(DataError) as error:
        attrib.personas(frame, 3, min_share=0.5)
    assert error.value.key == "small_persona"


@pytest.mark.parametrize("pair", [HOSTILE[:2], HOSTILE[2:4], HOSTILE[4:]])
def test_hostile_channel_names_do_no_harm(pair):
    frame, group = customers(channels=pair)
    found = attrib.personas(frame, 3)
    assert agreement(found, group) > 0.9
    for text in [*found.names, *found.profiles["distinguishing"].explode(empty_as_null=True).to_list()]:
        assert text.isprintable()
        assert not text.startswith(("=", "+", "-", "@"))


def test_new_rows_and_reloaded_personas():
    frame, _ = customers()
    found = attrib.personas(frame, 3)
    assert found.assign(frame).equals(found.assignments)
    again = Personas.from_state(*found.state())
    assert again.assign(frame).equals(found.assignments)
    assert again.profiles.equals(found.profiles)
    assert again.selection.equals(found.selection)


def test_what_is_no_stored_model_is_refused():
    frame, _ = customers()
    plain, arrays = attrib.personas(frame, 3).state()
    for broken in ({}, None, plain | {"names": ["a", "a", "b"]}, plain | {"logged": ["x"]}, plain | {"profiles": 3}):
        with pytest.raises(DataError, match=r"stored personas|design"):
            Personas.from_state(broken, arrays)
    for name in arrays:
        with pytest.raises(DataError, match="stored personas"):
            Personas.from_state(plain, arrays | {name: arrays[name][:1]})


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"k": 0}, "bad_parameter"), ({"k": "many"}, "bad_parameter"), ({"seed": -1}, "bad_parameter"),
        ({"min_share": 2}, "bad_parameter"), ({"features": ["customer_id"]}, "bad_value"),
        ({"features": ["nothing"]}, "missing_columns"), ({"churn": "nothing"}, "bad_value"),
        ({"churn": [0, 1]}, "different_lengths"), ({"churn": "stage"}, "bad_dtype"),
    ],
)  # fmt: skip
def test_wrong_arguments(change, key):
    frame, _ = customers(n=60)
    with pytest.raises((SpecError, DataError)) as error:
        attrib.personas(frame, **({"k": 2} | change))
    assert error.value.key == key


def events():
    """Mail customers who buy, ad customers who seldom do."""
    rng = np.random.default_rng(5)
    touches, bought = [], []
    for who in range(80):
        mail = who % 2
        for day in rng.integers(0, 60, 12 if mail else 3):
            channel = "mail" if (rng.random() < 0.9) == bool(mail) else "ad"
            touches.append((who, date(2024, 1, 1) + timedelta(days=int(day)), channel))
        if rng.random() < (0.8 if mail else 0.2):
            bought.append((who, date(2024, 3, 20), "purchase", 10.0))
    schema = ["customer_id", "timestamp", "channel"]
    return (
        pl.DataFrame(touches, schema=schema, orient="row"),
        pl.DataFrame(bought, schema=["customer_id", "timestamp", "outcome", "value"], orient="row"),
    )


def test_credit_by_persona():
    touches, bought = events()
    rows = attrib.snapshot(touches, bought, at=date(2024, 3, 1), purpose="score", window="90d")
    found = attrib.personas(rows, 2, features=["touches", "share:mail"])
    mine, theirs = found.add_to(touches), found.add_to(bought)
    assert mine.drop("persona").equals(touches)
    journeys = attrib.Journeys.from_events(mine, theirs, target="purchase", by=["persona"], lookback=None)
    table = attrib.credit(journeys, methods=[attrib.Linear()])
    whole = table.group_by("persona").agg(pl.col("conversions").sum())
    of = dict(found.assignments.select("customer_id", "persona").rows())
    counts = pl.DataFrame({"persona": [of[who] for who in bought["customer_id"]]}).group_by("persona").len()
    joined = whole.join(counts, on="persona")
    assert joined.height == 2
    np.testing.assert_allclose(joined["conversions"], joined["len"])


def test_a_customer_has_the_persona_of_the_latest_date_and_strangers_none():
    frame, _ = customers(n=100)
    day = date(2024, 1, 1)
    two = pl.concat([frame.with_columns(date=pl.lit(day + timedelta(days=d))) for d in (31, 0)])
    found = attrib.personas(two, 2)
    table = pl.DataFrame({"who": [3, -5]})
    added = found.add_to(table, customer="who")
    late = found.assignments.filter((pl.col("customer_id") == 3) & (pl.col("date") == day + timedelta(days=31)))
    assert added["persona"].to_list() == [late["persona"].item(), None]
    with pytest.raises(DataError, match="already"):
        found.add_to(added, customer="who")


def test_rates_of_a_snapshots_label():
    touches, bought = events()
    gone = bought.with_columns(outcome=pl.lit("cancel"), timestamp=pl.lit(date(2024, 3, 25)))
    outcomes = pl.concat([bought, gone])
    asked = {"at": date(2024, 3, 1), "window": "90d", "gap": "7d", "end": date(2024, 6, 1), "churn": "cancel"}
    for purpose, name in (("train", "label"), ("survival", "event")):
        rows = attrib.snapshot(touches, outcomes, horizon="30d", purpose=purpose, **asked)
        found = attrib.personas(rows, 2, features=["touches", "share:mail"], churn=name, referral=name)
        for rate in ("churn_rate", "referral_rate"):
            whole = (found.profiles[rate] * found.profiles["size"]).sum()
            assert whole == pytest.approx(rows[name].sum())
        assert found.profiles["churn_rate"].max() > 0.5
        assert attrib.personas(rows, 2, features=["touches", "share:mail"]).profiles["churn_rate"].null_count() == 2


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"features": ["touchs"]}, "features must name columns of the snapshot; did you mean 'touches'"),
        ({"churn": "lift"}, "churn = 'lift' is no column of the snapshot; did you mean 'left'"),
    ],
)
def test_hints_can_be_followed(asked, words):
    frame, _ = customers(n=60)
    with pytest.raises((DataError, SpecError), match=words) as error:
        attrib.personas(frame, 2, **asked)
    assert "map your names" not in str(error.value)
