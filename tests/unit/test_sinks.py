"""Files are written whole or not at all, and a spreadsheet runs none of them."""

import json
import multiprocessing
import os
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from attrib.errors import ResourceError
from attrib.io import sinks
from attrib.io.text import clean, clean_lines

FRAME = pl.DataFrame({"channel": ["seo", None, "=1+1"], "conversions": [1.5, -2.0, None], "n": [1, -2, None]})


def leftovers(folder):
    return [file.name for file in folder.iterdir() if file.name.startswith(".")]


def test_parquet_keeps_every_value(tmp_path):
    file = sinks.write_one(tmp_path / "new folder" / "credit.parquet", sinks.parquet(FRAME))
    assert_frame_equal(pl.read_parquet(file), FRAME)
    assert leftovers(file.parent) == []


def test_json_is_indented_utf8(tmp_path):
    file = sinks.write_one(tmp_path / "run.json", sinks.document({"channel": "réseau", "list": [1]}))
    assert json.loads(file.read_bytes()) == {"channel": "réseau", "list": [1]}
    assert "réseau" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_refuses_what_is_not_json(number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        sinks.document({"x": number})


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+44 20", "'+44 20"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1+1", "'  =1+1"),
        ("\n=1+1", "'\n=1+1"),
        ("\x1b[0m=1", "\ufffd[0m=1"),  # an escape that is no leading blank of a formula
        ("\x00=1", "'\ufffd=1"),
        ("\tx", "'\ufffdx"),
        ("\rx", "'\ufffdx"),
        ("\u200b=1", "'\u200b=1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("a\x07b", "a\ufffdb"),
        ("a\nb", "a\nb"),
        ("a=b", "a=b"),
        ("", ""),
        ("O'Reilly", "O'Reilly"),
        (None, None),
    ],
)
@pytest.mark.parametrize("kind", [pl.String, pl.Categorical])
def test_csv_escapes_what_a_spreadsheet_would_run(cell, written, kind):
    assert sinks.spreadsheet_safe(pl.DataFrame({"channel": pl.Series([cell], dtype=kind)})).item() == written


def test_csv_leaves_numbers_alone_and_escapes_headers(tmp_path):
    file = sinks.write_one(tmp_path / "credit.csv", sinks.csv(FRAME.rename({"n": "=n"})))
    assert file.read_text() == "channel,conversions,'=n\nseo,1.5,1\n,-2.0,-2\n'=1+1,,\n"


def test_an_enum_is_written_as_its_text():
    stages = pl.Series("stage", ["b"], dtype=pl.Enum(["b", "a"]))
    assert sinks.spreadsheet_safe(stages.to_frame()).item() == "b"


def test_a_failing_writer_changes_nothing(tmp_path):
    first, second = tmp_path / "a.csv", tmp_path / "run.json"
    first.write_text("old")

    def full(_):
        raise OSError(28, "No space left on device")

    with pytest.raises(ResourceError, match="No space left on device") as caught:
        sinks.write_set({first: sinks.csv(FRAME), second: full})
    assert caught.value.key == "write_failed"
    assert caught.value.facts == {"path": str(second)}
    assert first.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]


def test_a_fault_of_ours_is_not_hidden_and_leaves_nothing(tmp_path):
    def broken(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sinks.write_one(tmp_path / "a", broken)
    assert list(tmp_path.iterdir()) == []


def test_renames_come_after_all_writes_and_in_order(tmp_path, monkeypatch):
    steps = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda old, new: (steps.append(new.name), replace(old, new)))

    def noting(name):
        def write(file):
            steps.append(f"write {name}")
            file.write(b"x")

        return write

    stale = tmp_path / "funnel.parquet"
    stale.write_text("of an earlier run")
    names = ["credit", "rejected", "run.json"]
    sinks.write_set({tmp_path / name: noting(name) for name in names}, obsolete=[stale])
    assert steps == ["write credit", "write rejected", "write run.json", *names]
    assert not stale.exists()


def test_what_a_killed_run_left_is_swept_and_other_files_stay(tmp_path):
    stale = tmp_path / ".credit[1].csv.attrib-0123abcd.tmp"
    others = [
        tmp_path / ".other.csv.attrib-0123abcd.tmp",
        tmp_path / ".credit[1].csv.swp",
        tmp_path / "mine.tmp",
    ]
    for file in [stale, *others]:
        file.write_text("x")
    sinks.write_one(tmp_path / "credit[1].csv", sinks.csv(FRAME))
    assert not stale.exists()
    assert all(file.exists() for file in others)


def _hold(folder, opened, done):
    def wait(file):
        file.write(b"theirs")
        opened.set()
        done.wait(20)

    sinks.write_one(folder / "a.csv", wait)


@pytest.mark.skipif(os.name == "nt", reason="locks are POSIX")
def test_a_living_writer_of_the_same_target_is_left_alone(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    opened, done = spawn.Event(), spawn.Event()
    process = spawn.Process(target=_hold, args=(tmp_path, opened, done))
    process.start()
    assert opened.wait(20)
    sinks.write_one(tmp_path / "a.csv", lambda file: file.write(b"ours"))
    assert (tmp_path / "a.csv").read_text() == "ours"
    done.set()
    process.join(20)
    assert process.exitcode == 0
    assert (tmp_path / "a.csv").read_text() == "theirs"
    assert leftovers(tmp_path) == []


def test_a_folder_that_cannot_be_is_found_early(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ResourceError, match="is not a folder") as caught:
        sinks.ensure_writable(tmp_path / "file" / "out")
    assert caught.value.key == "write_failed"
    with pytest.raises(ResourceError):
        sinks.write_one(tmp_path / "file" / "out" / "a.csv", sinks.csv(FRAME))
    sinks.ensure_writable(tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists()


def test_a_target_that_is_a_folder(tmp_path):
    (tmp_path / "credit.csv").mkdir()
    with pytest.raises(ResourceError) as caught:
        sinks.write_one(tmp_path / "credit.csv", sinks.csv(FRAME))
    assert caught.value.key == "write_failed"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\x1b[2Jb", "a\ufffd[2Jb"),
        ("a\nb\tc", "a\ufffdb\ufffdc"),
        ("\u202egro.elgoog", "\ufffdgro.elgoog"),
        ("\x9b31m", "\ufffd31m"),
        ("\ud800", "\ufffd"),
        ("réseau 社交", "réseau 社交"),
    ],
)
def test_names_are_harmless_in_a_terminal(name, shown):
    assert clean(name) == shown


def test_long_names_are_cut_and_lines_may_stay():
    assert clean("abcdef", width=4) == "abc…"
    assert clean_lines("a\nb\x07") == "a\nb\ufffd"
    assert clean_lines("a\nbcdef", 3) == "a\nbc…"
