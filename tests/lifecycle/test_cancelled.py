"""Who has cancelled is not alive: found by an outcome or given as a column, in summaries, models and commands."""

from __future__ import annotations

import warnings
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

import attrib
from attrib import modelling
from attrib.errors import AttribWarning, DataError, SpecError
from attrib.lifecycle import (
    BetaGeoNBD,
    GammaGamma,
    ParetoNBD,
    lifetime_value,
    open_model,
    purchase_summary,
    silence,
)
from attrib.snapshots.leaving import looks_like_leaving
from attrib.synth import Later, Population


def told(*rows):
    """Outcomes: customer, day of January, outcome."""
    return pl.DataFrame({
        "customer_id": [who for who, _, _ in rows],
        "timestamp": [datetime(2024, 1, 1) + timedelta(days=day - 1, hours=9) for _, day, _ in rows],  # noqa: DTZ001
        "outcome": [what for _, _, what in rows],
    })  # fmt: skip


STORY = told(
    ("back", 1, "purchase"), ("back", 5, "cancel"), ("back", 9, "purchase"),  # bought on a later day
    ("gone", 1, "purchase"), ("gone", 8, "purchase"), ("gone", 20, "cancel"),
    ("late", 2, "purchase"), ("late", 30, "cancel"),  # after the last day
    ("same", 3, "purchase"), ("same", 3, "cancel"),  # on the day of the last purchase
    ("stays", 4, "purchase"), ("stays", 6, "visit"),
    ("never", 7, "cancel"),  # was no customer
)  # fmt: skip


def test_cancelled_is_who_has_the_outcome_by_the_day_and_bought_nothing_later():
    summary = purchase_summary(STORY, "2024-01-25", "d", cancelled="cancel")
    assert dict(summary.select("customer_id", "cancelled").iter_rows()) == {
        "back": False, "gone": True, "late": False, "same": True, "stays": False
    }  # fmt: skip
    # nothing else changes, and T goes on to the last day
    with pytest.warns(AttribWarning):
        assert summary.drop("cancelled").equals(purchase_summary(STORY, "2024-01-25", "d"))
    assert summary.filter(customer_id="gone")["T"].item() == 24
    both = STORY.with_columns(pl.col("outcome").replace({"cancel": "account_closed"}))
    again = purchase_summary(both, "2024-01-25", "d", cancelled=["account_closed"])
    assert again.equals(summary)


def test_outcomes_that_sound_like_leaving_and_are_not_named_are_told_of():
    with pytest.warns(
        AttribWarning, match=r"2 of 5 customers .* \('cancel'\).*cancelled = \"cancel\".*cancelled = \[\]"
    ):
        purchase_summary(STORY, "2024-01-25")
    for cancelled in ((), [], "cancel"):
        purchase_summary(STORY, "2024-01-25", cancelled=cancelled)  # said: no warning
    purchase_summary(STORY.filter(pl.col("outcome") != "cancel"), "2024-01-25")
    evil = STORY.with_columns(pl.col("outcome").replace({"cancel": "cancel\x1b[2J"}))
    with pytest.warns(AttribWarning, match="cancel\N{REPLACEMENT CHARACTER}") as caught:
        purchase_summary(evil, "2024-01-25")
    assert "\x1b" not in str(caught[0].message)


@pytest.mark.parametrize(
    ("name", "leaving"),
    [
        ("cancel", True), ("Cancellation", True), ("subscription_cancelled", True), ("CHURN", True), ("churned", True),
        ("unsubscribe", True), ("account_closed", True), ("account closure", True), ("closed account", True),
        ("terminated", True), ("deactivated", True), ("opt-out", True), ("left", True), ("lapsed", True),
        ("contract_ended", True), ("uninstall", True), ("membership expired", True),
        ("purchase", False), ("left_review", False), ("leaflet", False), ("disclosed", False), ("signup", False),
        ("subscription", False), ("account_opened", False), ("weekend", False), ("quite", False), ("visit", False),
    ],
)  # fmt: skip
def test_names_that_sound_like_leaving(name, leaving):
    assert bool(looks_like_leaving([name])) is leaving


def test_slips_of_the_name_and_tables_without_outcomes():
    with pytest.raises(SpecError, match="'cancl': no outcome is called so; did you mean cancel"):
        purchase_summary(STORY, "2024-01-25", cancelled="cancl")
    with pytest.warns(AttribWarning, match="'zzz': no outcome is called so, and nobody has cancelled by it"):
        assert not purchase_summary(STORY, "2024-01-25", cancelled="zzz")["cancelled"].any()
    with pytest.raises(SpecError, match="outcomes has no column outcome"):
        purchase_summary(STORY.drop("outcome"), "2024-01-25", cancelled="cancel")
    for bad in (3, [""], ["a", 1], {"cancel": 1}):
        with pytest.raises(SpecError, match="no name of an outcome"):
            purchase_summary(STORY, "2024-01-25", cancelled=bad)


def test_who_has_cancelled_is_not_asked_whether_they_are_silent():
    labels = silence(STORY, at="2024-01-25", unit="d", cancelled="cancel")
    found = {row["customer_id"]: (row["cancelled"], row["silent"]) for row in labels.to_dicts()}
    assert found["gone"] == (True, None)
    assert found["same"] == (True, None)
    assert found["stays"] == (False, True)
    summary = purchase_summary(STORY, "2024-01-25", "d", cancelled="cancel")
    of_summary = silence(summary)
    assert of_summary["silent"].is_null().equals(summary["cancelled"].alias("silent"))
    with pytest.warns(AttribWarning, match="count as customers still"):
        assert silence(STORY, at="2024-01-25", unit="d")["silent"].null_count() == 0


HISTORY = pl.DataFrame({
    "frequency": [2, 1, 0, 0, 7, 1, 0, 3, 12, 0] * 20,
    "recency": [30.4, 1.7, 0, 0, 36.4, 5.0, 0, 14.1, 31.0, 0] * 20,
    "T": [38.9, 38.9, 38.9, 30.1, 38.9, 38.9, 21.6, 38.9, 35.2, 31.3] * 20,
    "cancelled": [False, True, False, True, False, False, True, True, False, False] * 20,
})  # fmt: skip


def test_the_column_is_taken_from_a_frame_beside_one_or_by_itself():
    seen, gone = HISTORY.drop("cancelled"), HISTORY["cancelled"]
    whole = ParetoNBD().fit(HISTORY)
    for model in (
        ParetoNBD().fit(seen, cancelled=gone),
        ParetoNBD().fit(*seen, gone.cast(pl.Int8)),
        ParetoNBD().fit(HISTORY.with_columns(pl.when("cancelled").then(pl.lit("yes")).alias("cancelled"))),
    ):
        assert model.params_ == whole.params_
    assert ParetoNBD().fit(seen).params_ != whole.params_
    assert (whole.p_alive(HISTORY) == whole.p_alive(*seen, gone)).all()
    assert whole.p_alive(2, 30.4, 38.9, False) == whole.p_alive(HISTORY)[0]
    for bad, words in (([1, 2] * 100, "not true or false"), ([True], "cancelled has 1 values for 200 rows")):
        with pytest.raises(DataError, match=words):
            whole.p_alive(seen, cancelled=bad)


def test_a_model_that_knows_of_no_cancellation_is_told_so():
    model = BetaGeoNBD().fit(HISTORY.drop("cancelled"))
    with pytest.warns(AttribWarning, match="80 of 200 customers have cancelled, and the BG/NBD was fitted without"):
        chance = model.p_alive(HISTORY)
    assert (chance[HISTORY["cancelled"]] == 0).all()
    worth = GammaGamma().fit(HISTORY["frequency"], np.random.default_rng(0).gamma(9.0, 4.0, 200))
    with pytest.warns(AttribWarning, match="80 of 200") as caught:
        lifetime_value(model, worth, *HISTORY[:, :3], [30.0] * 200, 26, cancelled=HISTORY["cancelled"], draws=2)
    assert len(caught) == 1


# --- a market in which customers cancel -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    place = tmp_path_factory.mktemp("cancelled")
    data = attrib.synth.generate(customers=5_000, seed=1, population=Population(later=Later(scale=250.0)))
    data.touchpoints.write_parquet(place / "t.parquet")
    data.outcomes.write_parquet(place / "o.parquet")
    (place / "job.toml").write_text('[input]\ntouchpoints = "t.parquet"\noutcomes = "o.parquet"\n')
    return place, data


def model_file(place, estimator, cancelled):
    (place / "m.toml").write_text(
        f'name = "m"\nestimator = "{estimator}"\n[purchases]\nhorizon = "91d"\n'
        + ("" if cancelled is None else f"cancelled = {cancelled}\n")
    )
    return place / "m.toml"


def test_values_of_who_has_cancelled_are_none_and_the_others_buy_as_expected(market):
    _, data = market
    end = data.outcomes["timestamp"].max().date()
    day = end - timedelta(days=91)
    known = purchase_summary(data.outcomes, day, cancelled="cancel")
    later = purchase_summary(data.outcomes, end, cancelled=()).select("customer_id", then="frequency")
    came = (
        known.join(later, on="customer_id", maintain_order="left")
        .select(pl.col("then") - pl.col("frequency"))
        .to_series()
    )
    gone = known["cancelled"].to_numpy()
    assert gone.mean() > 0.2
    assert came.filter(gone).sum() == 0
    worth = GammaGamma().fit(known)
    columns, monetary = [known[name] for name in ("frequency", "recency", "T")], known["monetary"]
    knowing, blind = ParetoNBD().fit(known), ParetoNBD().fit(*columns)
    found = lifetime_value(knowing, worth, *columns, monetary, 13.0, cancelled=known["cancelled"], draws=50)
    before = lifetime_value(blind, worth, *columns, monetary, 13.0, draws=50)
    assert before.customers["value"].filter(gone).sum() > 0.08 * before.total["value"].item()
    assert found.customers["value"].filter(gone).sum() == 0
    assert found.customers["purchases"].sum() == pytest.approx(came.sum(), rel=0.1)
    assert found.total["low"].item() < found.total["value"].item() < found.total["high"].item()


@pytest.mark.parametrize("cancelled", ['"cancel"', '["cancel", "zzz"]'])
def test_commands_take_the_outcome_and_tell_how_many(market, tmp_path, cancelled):
    place, _ = market
    fitted = modelling.fit(model_file(place, "pareto_nbd", cancelled), place / "job.toml", tmp_path / "saved")
    scored = modelling.score(tmp_path / "saved", place / "job.toml", tmp_path / "scores")
    judged = modelling.evaluate(tmp_path / "saved", place / "job.toml", replicates=20)
    notes = [*fitted.warnings, *scored.warnings, *judged.warnings]
    assert not any("count as customers still" in note for note in notes)
    assert any("'zzz': no outcome is called so" in note for note in notes) == ("zzz" in cancelled)
    assert fitted.record["cancelled"]["train"] > 100
    assert f"({fitted.record['cancelled']['train']:,} of them have cancelled)" in fitted.title
    scores = scored.tables["scores"]
    assert scores["cancelled"].sum() == scored.record["cancelled"] > 100
    assert (scores.filter("cancelled").select("score", "p_alive").to_numpy() == 0).all()
    assert (scores.filter(~pl.col("cancelled"))["score"] > 0).all()
    model = open_model(tmp_path / "saved")
    assert model.snapshot["cancelled"] == ["cancel", "zzz"][: 1 + ("zzz" in cancelled)]
    assert "cancelling" in model.model.params_
    table = judged.tables["by_frequency"]
    assert table["frequency"].to_list() == ["0", "1", "2", "3 to 5", "6 and more", "all"]
    assert table["observed"][-1] == table["observed"][:-1].sum()


def test_commands_warn_once_where_the_outcome_was_not_named(market, tmp_path):
    place, _ = market
    for estimator, cancelled, times in (("pareto_nbd", None, 1), ("pareto_nbd", "[]", 0), ("gamma_gamma", None, 0)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AttribWarning)
            fitted = modelling.fit(model_file(place, estimator, cancelled), place / "job.toml", tmp_path / "saved")
            scored = modelling.score(tmp_path / "saved", place / "job.toml", tmp_path / "scores")
        for done in (fitted, scored):
            assert sum("count as customers still" in note for note in done.warnings) == times
        assert "cancelled" not in fitted.record
    with pytest.raises(SpecError, match="did you mean cancel"):
        modelling.fit(model_file(place, "pareto_nbd", '"cancell"'), place / "job.toml", tmp_path / "saved")


def test_auto_says_what_was_chosen_and_by_how_much(market, tmp_path):
    place, _ = market
    fitted = modelling.fit(model_file(place, "auto", '"cancel"'), place / "job.toml", tmp_path)
    choice = pl.read_csv(tmp_path / "choice.csv")
    assert choice["model"].to_list() == fitted.tables["choice"]["model"].to_list()
    saved = open_model(tmp_path)
    assert modelling.ESTIMATORS[fitted.record["chosen"]] == type(saved.model).__name__ == "ParetoNBD"
    assert fitted.record["reason"] in fitted.title
    assert fitted.record["reason"] in saved.description
    assert "beta_geo_nbd holds it for impossible that" in fitted.record["reason"]
    scored = modelling.score(tmp_path, place / "job.toml", tmp_path / "scores.csv")
    assert scored.tables["scores"]["score"].is_finite().all()


def test_retention_adjusted_credit_tells_of_values_that_know_of_no_cancellation():
    touches = STORY.filter(outcome="purchase").select("customer_id", "timestamp", channel=pl.lit("ad"))
    journeys = attrib.Journeys.from_events(touches.with_columns(pl.col("timestamp") - timedelta(hours=1)), STORY)
    values = pl.DataFrame(
        {"customer_id": ["back", "gone", "late", "same", "stays"], "value": [9.0] * 5, "p_alive": [0.9] * 5}
    )
    ask = {"intervals": None}
    with pytest.warns(AttribWarning, match=r"no column cancelled, and outcomes hold .*\('cancel'\)"):
        attrib.retention_adjusted(journeys, attrib.Linear(), values=values, **ask)
    for fine in (values.drop("p_alive"), values.with_columns(cancelled=pl.lit(False))):
        attrib.retention_adjusted(journeys, attrib.Linear(), values=fine, **ask)
    stayed = STORY.filter(pl.col("outcome") != "cancel")
    journeys = attrib.Journeys.from_events(touches.with_columns(pl.col("timestamp") - timedelta(hours=1)), stayed)
    attrib.retention_adjusted(journeys, attrib.Linear(), values=values, **ask)
