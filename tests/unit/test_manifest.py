"""run.json: hashes that do not depend on formats, and facts with their units."""

import warnings
from datetime import UTC, datetime

import polars as pl
import pytest

from attrib.errors import AttribWarning
from attrib.io import manifest

CREDIT = pl.DataFrame(
    {
        "channel": ["seo", None],
        "conversions": [0.1 + 0.2, 1e-17],
        "stage": pl.Series(["a", "b"], dtype=pl.Enum(["a", "b"])),
    }
)


def record(recorder, **changes):
    facts = {
        "spec": {"b": 1, "a": (1, 2)},
        "credit": CREDIT,
        "ledger": pl.DataFrame({"table": ["outcomes"], "rows": [3]}),
        "inputs": [{"path": "x.csv", "changed": datetime(2026, 1, 1, tzinfo=UTC)}],
        "warnings": ["future dates"],
        "intervals": None,
        "files": ["credit.parquet"],
    }
    return recorder.manifest(**facts | changes)


def test_the_hash_of_the_credit_is_that_of_its_numbers(tmp_path):
    CREDIT.write_parquet(tmp_path / "credit.parquet")
    again = pl.read_parquet(tmp_path / "credit.parquet").rechunk().with_columns(pl.col("stage").cast(pl.String))
    assert manifest.credit_hash(again) == manifest.credit_hash(CREDIT)
    # Held here so that no release changes the meaning of the hashes in old run.json files.
    assert manifest.credit_hash(CREDIT) == "8049b94dab1978a53d32daeb0cee7ed9bb90bb6baa474ea86f5e0e0a90c9cc17"


@pytest.mark.parametrize(
    "change",
    [
        pl.col("conversions") * (1 + 2**-52),
        pl.col("channel").fill_null("null"),
        pl.col("stage").alias("stages"),
    ],
)
def test_any_change_changes_the_hash(change):
    assert manifest.credit_hash(CREDIT.with_columns(change)) != manifest.credit_hash(CREDIT)


def test_the_manifest_can_be_written_as_json_and_read_again():
    written = record(manifest.Recorder())
    assert manifest.Manifest.model_validate_json(written.model_dump_json()) == written
    assert written.inputs == [{"path": "x.csv", "changed": "2026-01-01 00:00:00+00:00"}]
    assert written.spec == {"a": [1, 2], "b": 1}


def test_the_hash_of_the_spec_does_not_depend_on_the_order_of_keys():
    recorder = manifest.Recorder()
    assert record(recorder).spec_sha256 == record(recorder, spec={"a": [1, 2], "b": 1}).spec_sha256
    assert record(recorder).spec_sha256 != record(recorder, spec={"a": [2, 1], "b": 1}).spec_sha256


def test_phases_are_timed_and_our_warnings_kept_once():
    recorder = manifest.Recorder()
    with recorder.phase("credit"):
        warnings.warn("no credit", AttribWarning, stacklevel=1)
        warnings.warn("no credit", AttribWarning, stacklevel=1)
    written = record(recorder)
    assert written.warnings == ["future dates", "no credit"]
    assert set(written.timings) == {"credit"}


def test_a_warning_of_the_data_that_was_also_given_aloud_is_listed_once():
    recorder = manifest.Recorder()
    for phase in ("credit", "ledger"):
        with recorder.phase(phase):
            warnings.warn("future dates", AttribWarning, stacklevel=1)
    assert record(recorder).warnings == ["future dates"]
    assert recorder.warnings(("future dates",)) == ("future dates",)


def test_warnings_of_others_go_on():
    recorder = manifest.Recorder()
    with pytest.warns(FutureWarning, match="theirs"), recorder.phase("credit"):
        warnings.warn("theirs", FutureWarning, stacklevel=1)
    assert recorder.warnings() == ()


def test_peak_memory_is_in_bytes():
    assert 20_000_000 < (manifest.peak_memory() or 0) < 2**40
