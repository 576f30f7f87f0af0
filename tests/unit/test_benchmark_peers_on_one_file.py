"""The table of what other packages print: ours in it is what we print today, and nothing differs without a cause."""

import polars as pl
import pytest
from benchmarks import peers_on_one_file as table

PATHS, KEPT = table.FOLDER / table.PATHS, table.FOLDER / table.TABLE


def test_the_path_file_is_the_one_that_is_kept(tmp_path):
    table.write_paths(tmp_path / "paths.csv")
    assert (tmp_path / "paths.csv").read_bytes() == PATHS.read_bytes()


def test_what_the_table_says_of_us_is_what_we_print():
    known = pl.read_csv(KEPT, infer_schema=False)
    for method, shared in table.ours(PATHS).items():
        (row,) = known.filter(pl.col("method") == method, pl.col("package").str.starts_with("attrib ")).to_dicts()
        assert {channel: row[channel] for channel in shared} == {c: f"{100 * x:.2f}" for c, x in shared.items()}


def test_every_difference_of_the_table_has_a_cause():
    rows = pl.read_csv(KEPT).filter(~pl.col("package").str.starts_with("attrib "))
    assert rows["why"].null_count() == 0
    assert (rows.filter(why="the same")["largest difference"] < 0.005).all()
    packages = {package.removesuffix(table.AS_IT_COMES) for package in rows["package"]}
    assert packages == set(table.ADAPTERS)


def test_a_difference_that_nobody_knows_ends_the_run():
    ours, mean = {"a": 0.6, "b": 0.4}, {"a": 0.5, "b": 0.5}
    assert table.judge("mta 0.0.9", "linear", ours, ours) == "the same"
    assert table.judge("ChannelAttribution 2.2.5", "markov 1", mean, ours) == table.SIMULATED
    with pytest.raises(SystemExit, match="linear: differs from ours by up to 10 points"):
        table.judge("mta 0.0.9", "linear", mean, ours)


def test_a_row_a_method_and_package():
    ours = {"markov 1": {"a": 0.6, "b": 0.4}}
    found = table.table(ours, {"do-attribution 0.0.2": {"markov 1 as it comes": {"a": 1.0}}})
    assert found.drop("why").rows()[1] == ("markov 1", "do-attribution 0.0.2 as it comes", "100.00", "0.00", "40.00")
