"""Rows by partition: in memory, then in a spill folder that is never left behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest

import attrib
from attrib.engines.store import PREFIX, PartitionStore, SpillFolder, sweep

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 (what shutil returns)


def fill(store: PartitionStore, spill, batches: int = 6, rows: int = 50) -> list[list[list[int]]]:
    """Fill a store of four partitions; returns the rows that each should give."""
    rng = np.random.default_rng(0)
    wanted: list[list[list[int]]] = [[] for _ in range(4)]
    for _ in range(batches):
        parts = np.sort(rng.integers(0, 3, rows))  # the last partition stays empty
        batch = np.stack([parts, rng.integers(0, 2**60, rows)], axis=1).astype(np.uint64)
        store.append(batch, np.searchsorted(parts, np.arange(5)), spill)
        for row in batch.tolist():
            wanted[row[0]].append(row)
    return wanted


@pytest.mark.parametrize("budget", [10**9, 2_000, 1])
def test_what_goes_in_comes_out_in_order(tmp_path, budget):
    store = PartitionStore(4, 2, budget, "touchpoints")
    wanted = fill(store, tmp_path)
    assert store.spilled == (budget < 10**9)
    assert store.rows == 300
    for part in range(4):
        assert store.take(part).tolist() == wanted[part]
        assert store.take(part).shape == (0, 2)  # given up
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_made_where_it_is_missing_and_removed_when_forgotten(tmp_path):
    store = PartitionStore(4, 2, 1, "x")
    fill(store, tmp_path / "deep" / "er")
    assert len(list((tmp_path / "deep" / "er").glob(f"{PREFIX}*"))) == 1
    del store
    assert list((tmp_path / "deep" / "er").iterdir()) == []


def test_stores_do_not_sweep_each_other(tmp_path):
    one, other = PartitionStore(4, 2, 1, "x"), PartitionStore(4, 2, 1, "x")
    wanted = fill(one, tmp_path)
    assert fill(other, tmp_path) == wanted
    assert sweep(tmp_path) == 0
    assert one.take(0).tolist() == other.take(0).tolist() == wanted[0]
    one.close()
    other.close()


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path):
    code = (
        "import os, sys; from attrib.engines.store import SpillFolder; f = SpillFolder(sys.argv[1]); "
        "(f.path / 'x.bin').write_bytes(b'x'); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -9
    (tmp_path / "mine").mkdir()
    (tmp_path / f"{PREFIX}of-somebody-else").mkdir()  # without a lock: not known to be ours
    assert len(list(tmp_path.iterdir())) == 3
    folder = SpillFolder(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["mine", f"{PREFIX}of-somebody-else", folder.path.name])
    folder.close()


def test_too_little_space_stops_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12 - 10**8, 10**8))
    engine = attrib.LocalEngine(memory_limit=64, spill=str(tmp_path))
    data = attrib.synth.generate(customers=100, seed=1)
    shuffled = data.touchpoints.reverse()
    with pytest.raises(attrib.ResourceError) as caught:
        attrib.Linear().credit(attrib.Journeys.from_events(shuffled, data.outcomes, engine=engine))
    assert caught.value.key == "no_space"
    assert caught.value.exit_code == 6
    assert caught.value.facts["free"] == 10**8
    assert "0.1 GB free" in caught.value.message
    assert "set spill to a larger disk" in caught.value.hint
    del caught
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    store = PartitionStore(4, 2, 1, "x")
    with pytest.raises(attrib.ResourceError) as caught:
        fill(store, tmp_path / "file")
    assert caught.value.key == "spill_folder"
