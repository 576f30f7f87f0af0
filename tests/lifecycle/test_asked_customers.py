"""Models of referral that know who was asked: from [asked] in a model file to what asking adds."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest

import attrib
from attrib import modelling
from attrib.errors import AttribWarning, DataError, SpecError
from attrib.lifecycle.tables import rows_at, treated
from attrib.snapshots.events import read_events
from attrib.spec_models import AskedSpec, SnapshotSpec


def asked_rows(ask, touches, own=()):
    """Rows of customers 1 to 4 at two dates, who was asked, and with what chance."""
    days = [datetime.fromisoformat(text) for text in ("2024-01-10", "2024-02-10")]
    early = pl.DataFrame(
        {"customer_id": [1, 2, 3, 4], "timestamp": datetime.fromisoformat("2024-01-01"), "channel": "ad"}
    )
    names = {name: touches.get(name, [None] * len(touches["customer_id"])) for name in own}
    later = pl.DataFrame(touches | names).with_columns(pl.col("timestamp").str.to_datetime(time_unit="us"))
    both = pl.concat([early, later], how="diagonal")
    events = read_events(both, pl.DataFrame(OUTCOME), None, own, 0.0)
    asked = SnapshotSpec(gap="3d", horizon="10d", target="purchase").model_dump()
    rows = rows_at(events, asked, days, "train")
    rows, who, chance = treated(rows, events, own, asked, AskedSpec(**ask).model_dump())
    return rows.keys.with_columns(pl.col("date").dt.month(), asked=who), chance


OUTCOME = {"customer_id": [1], "timestamp": [datetime.fromisoformat("2024-06-01")], "outcome": ["purchase"]}
ASKS = {
    "customer_id": [1, 2, 3, 4],  # at the date; at the end of the gap; just before; just after
    "timestamp": ["2024-01-10T00:00:00", "2024-01-13T00:00:00", "2024-01-09T23:59:59", "2024-01-13T00:00:01"],
    "channel": ["ask"] * 4,
}


def test_asked_is_who_is_asked_from_the_date_to_the_end_of_the_gap():
    with pytest.warns(AttribWarning, match="1 of 2 dates are left out: nobody was asked"):
        rows, chance = asked_rows({"channel": "ask", "propensity": 0.3}, ASKS)
    assert rows.rows() == [(1, 1, True), (2, 1, True), (3, 1, False), (4, 1, False)]
    assert chance == 0.3
    with pytest.warns(AttribWarning, match="1 of 2 dates"):
        rows, chance = asked_rows(
            {"interaction": "plea"}, ASKS | {"interaction": [None, "plea", None, None]}, ("interaction",)
        )
    assert (rows["asked"].to_list(), chance) == ([False, True, False, False], None)


def test_the_chance_is_the_last_one_told_by_the_end_of_the_gap():
    told = ASKS | {"p": [0.1, 0.2, None, 0.4]}
    with pytest.warns(AttribWarning) as notes:
        rows, chance = asked_rows({"channel": "ask", "propensity": "p"}, told, ("p",))
    assert rows.rows() == [(1, 1, True), (2, 1, True)]  # nothing is known of 3, and of 4 only too late
    assert chance.to_list() == [0.1, 0.2]
    assert any("2 rows are left out, for their p is not known" in str(note.message) for note in notes)


def test_nobody_was_asked():
    late = ASKS | {"timestamp": ["2024-05-01T00:00:00"] * 4}
    with pytest.raises(DataError, match=r"nobody was asked .* it happened from 2024-05-01 to 2024-05-01; name in at"):
        asked_rows({"channel": "ask"}, late)
    with pytest.raises(SpecError, match=r"\[asked\] channel = 'asl' does not occur; did you mean ask\?"):
        asked_rows({"channel": "asl"}, ASKS)
    with pytest.raises(DataError, match="no customer has a known p"), pytest.warns(AttribWarning):
        asked_rows({"channel": "ask", "propensity": "p"}, ASKS | {"p": [None] * 4}, ("p",))


def test_asked_customers_from_files(tmp_path):
    data = attrib.synth.generate(
        3000, seed=2, population=attrib.synth.Population(later=attrib.synth.Later(refers=0.005))
    )
    data.touchpoints.write_parquet(tmp_path / "t.parquet")
    data.outcomes.write_parquet(tmp_path / "o.parquet")
    (tmp_path / "job.toml").write_text('[input]\ntouchpoints = "t.parquet"\noutcomes = "o.parquet"\n')
    (tmp_path / "model.toml").write_text(
        'name = "m"\nestimator = "referral_likelihood"\n[parameters]\ncheck_leaks = false\n[snapshot]\n'
        'at = [2025-06-30, 2025-10-28]\nhorizon = "50d"\ntarget = "referral"\n[asked]\nchannel = "referral_ask"\n'
    )
    modelling.fit(tmp_path / "model.toml", tmp_path / "job.toml", tmp_path / "saved")
    scores = modelling.score(tmp_path / "saved", tmp_path / "job.toml", tmp_path / "s.csv").tables["scores"]
    assert np.allclose(scores["uplift"], scores["if_asked"] - scores["if_not_asked"])
    assert scores["uplift"].mean() > 0
    assert scores["meaning"].unique().to_list()[0].startswith("association, not causal")
