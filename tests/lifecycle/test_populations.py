"""Who the rows of a model are about: customers who can leave, and not those who have left."""

from datetime import datetime

import polars as pl
import pytest

import attrib
from attrib import modelling
from attrib.errors import AttribWarning, DataError, SpecError
from attrib.lifecycle import open_model, save
from attrib.lifecycle.tables import rows_at
from attrib.snapshots.events import read_events
from attrib.spec_models import SnapshotSpec

SNAPSHOT = '[snapshot]\nwindow = "90d"\ngap = "3d"\nhorizon = "30d"\ndates = 2\n'


@pytest.fixture(scope="module")
def contracts(tmp_path_factory):
    """Customers who cancel and refer, and others who never bought."""
    place = tmp_path_factory.mktemp("contracts")
    later = attrib.synth.Later(scale=300.0, refers=0.005)
    data = attrib.synth.generate(customers=2500, seed=1, population=attrib.synth.Population(recruits=0.2, later=later))
    data.touchpoints.write_parquet(place / "touchpoints.parquet")
    data.outcomes.write_parquet(place / "outcomes.parquet")
    data.outcomes.filter(pl.col("outcome") != "purchase").write_parquet(place / "no_purchases.parquet")
    for job, table in (("job", "outcomes"), ("without", "no_purchases")):
        text = f'[input]\ntouchpoints = "touchpoints.parquet"\noutcomes = "{table}.parquet"\n'
        (place / f"{job}.toml").write_text(text)
    return place


def fitted_to(place, out, text, job="job"):
    (out / "model.toml").write_text(f'name = "m"\n{text}')
    return modelling.fit(out / "model.toml", place / f"{job}.toml", out / "saved", overwrite=True)


LEAVING = f'estimator = "churn_classifier"\n[parameters]\ncheck_leaks = false\n{SNAPSHOT}'


def test_models_of_churn_are_of_customers_and_count_who_is_left_out(contracts, tmp_path):
    done = fitted_to(contracts, tmp_path, f'{LEAVING}churn = "cancel"\n')
    left = done.record["left_out"]["train"]
    assert set(left) == {"no_purchase", "gone"}
    assert f"{done.record['rows']['train']:,} rows (left out: {left['no_purchase']:,} without a purchase" in done.title
    assert open_model(tmp_path / "saved").snapshot["population"] == "customers"
    scored = modelling.score(tmp_path / "saved", contracts / "job.toml", tmp_path / "scores")
    everybody = scored.record["rows"] + sum(scored.record["left_out"].values())
    tables = [pl.read_parquet(contracts / f"{name}.parquet") for name in ("touchpoints", "outcomes")]
    assert everybody == pl.concat([table.select("customer_id") for table in tables])["customer_id"].n_unique()
    # a batch without purchases has no customers of such a model
    with pytest.raises(DataError, match=r"no customer can be looked at .* left out: no_purchase [\d,]+"):
        modelling.score(tmp_path / "saved", contracts / "without.toml", tmp_path / "none")

    done = fitted_to(contracts, tmp_path, f'{LEAVING}churn = "cancel"\npopulation = "everyone"\n')
    assert set(done.record["left_out"]["train"]) == {"gone"}
    done = fitted_to(contracts, tmp_path, f'{LEAVING}churn = "cancel"\n', "without")
    assert any("who is a customer cannot be told" in note for note in done.warnings)
    assert open_model(tmp_path / "saved").snapshot["population"] == "everyone"
    with pytest.raises(SpecError, match="nobody can be told to be a customer"):
        fitted_to(contracts, tmp_path, f'{LEAVING}churn = "cancel"\npopulation = "customers"\n', "without")


@pytest.mark.parametrize("target", ["", 'target = "referral"\n'])
def test_who_has_left_is_not_expected_to_refer(contracts, tmp_path, target):
    text = f'estimator = "referral_likelihood"\n[parameters]\ncheck_leaks = false\n{SNAPSHOT}{target}'
    whole = fitted_to(contracts, tmp_path, text).record
    assert whole["left_out"]["train"] == {}
    done = fitted_to(contracts, tmp_path, f'{text}churn = "cancel"\n').record
    assert set(done["left_out"]["train"]) == {"gone"}
    assert done["rows"]["train"] + done["left_out"]["train"]["gone"] == whole["rows"]["train"]
    scored = modelling.score(tmp_path / "saved", contracts / "job.toml", tmp_path / "scores").tables["scores"]
    gone = pl.read_parquet(contracts / "outcomes.parquet").filter(outcome="cancel")["customer_id"].unique()
    assert not set(scored["customer_id"]) & set(gone)
    # where nobody ever leaves there is nothing to leave out
    fitted_to(contracts, tmp_path, f'{text}churn = "quit"\n')


def test_referrals_of_a_window_that_is_not_over_are_not_counted(contracts):
    tables = [pl.read_parquet(contracts / f"{name}.parquet") for name in ("touchpoints", "outcomes")]
    events = read_events(*tables, None, (), 0.05)
    asked = SnapshotSpec(gap="1d", horizon="30d").model_dump()
    days = [datetime.fromisoformat(text) for text in ("2025-10-01", "2025-12-20")]
    with pytest.warns(AttribWarning, match="1 of 2 dates are left out"):
        found = rows_at(events, asked, days, "train", referrals=True)
    assert found.keys["date"].unique().to_list() == days[:1]


def test_models_saved_before_there_was_a_population_are_of_everyone(contracts, tmp_path):
    fitted_to(contracts, tmp_path, f'{LEAVING}churn = "cancel"\npopulation = "everyone"\n')
    saved = open_model(tmp_path / "saved")
    old = {name: value for name, value in saved.snapshot.items() if name != "population"}
    save(saved.model, tmp_path / "old", snapshot=old)
    one, other = (
        modelling.score(tmp_path / name, contracts / "job.toml", tmp_path / f"of_{name}") for name in ("saved", "old")
    )
    assert other.tables["scores"]["score"].equals(one.tables["scores"]["score"])
