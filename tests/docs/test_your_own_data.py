"""docs/your-own-data.md, carried out on the real data beside the repository."""

import json
import shutil

import polars as pl
import pytest

from documents import run_guide

FILES = ("digital_campaign_events.csv", "online_shop_clickstream.csv")


@pytest.fixture(scope="module")
def carried_out(root, shared_data, tmp_path_factory, request):
    """Run the guide once; return its folder, and commands with the output shown and the real one."""
    folder = tmp_path_factory.mktemp("guide")
    for file in FILES:
        if not (shared_data / file).is_file():
            pytest.skip(f"the real data are not present: no {file} in ../shared/data")
        shutil.copy(shared_data / file, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        overwrite = request.config.getoption("--overwrite-goldens")
        blocks = run_guide(root / "docs" / "your-own-data.md", overwrite=overwrite)
    return folder, blocks


@pytest.mark.real_data
def test_the_guide_shows_what_really_comes_out(carried_out, request):
    _, blocks = carried_out
    assert len(blocks) >= 6
    if not request.config.getoption("--overwrite-goldens"):
        for command, shown, printed in blocks:
            assert shown == printed, command


@pytest.mark.real_data
def test_the_campaign_adds_up_to_the_published_counts(carried_out):
    folder, _ = carried_out
    ledger = json.loads((folder / "campaign" / "run.json").read_text())["ledger"]
    rows = {(entry["table"], entry["entry"]): entry["rows"] for entry in ledger}
    assert rows["touchpoints", "in"] == 62_483
    assert rows["outcomes", "in"] == rows["outcomes", "credited"] == 1_838
    credit = pl.read_parquet(folder / "campaign" / "credit.parquet")
    for (method,), table in credit.partition_by("method", as_dict=True).items():
        assert table["conversions"].sum() == pytest.approx(1_838, rel=1e-12), method
        assert table["value"].sum() == pytest.approx(11_423.5, rel=1e-12), method


@pytest.mark.real_data
def test_the_clickstream_funnel_has_the_published_counts(carried_out):
    folder, _ = carried_out
    funnel = pl.read_parquet(folder / "shop" / "funnel.parquet")
    assert funnel["entered"].to_list() == [3_751, 3_611, 1_924, 1_356, 958, 653]
    assert funnel["advanced"].to_list() == [3_611, 1_924, 1_356, 958, 653, 0]
    assert funnel["skipped"].sum() == 0
