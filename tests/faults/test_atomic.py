"""A write that is cut off, by a full disk or a kill, leaves the old file whole."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import polars as pl
import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits and signals are POSIX")

FULL = """
    import resource, sys
    from pathlib import Path
    import polars as pl
    from attrib.errors import ResourceError
    from attrib.io import sinks

    target, kind, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    frame = pl.DataFrame({"channel": [f"channel {n}" for n in range(20_000)], "value": range(20_000)})
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    writer = sinks.document({"rows": frame.to_dicts()}) if kind == "json" else getattr(sinks, kind)(frame)
    try:
        sinks.write_set({target.with_name("small.json"): sinks.document({"new": True}), target: writer})
    except ResourceError as error:
        print(error.key, error.message)
        sys.exit(error.exit_code)
"""

SLOW = """
    import sys, time
    from pathlib import Path
    from attrib.io import sinks

    def write(file):
        for _ in range(1000):
            file.write(b"new " * 1000)
            file.flush()
            print("writing", flush=True)
            time.sleep(0.05)

    sinks.write_one(Path(sys.argv[1]), write)
"""


def python(program, *arguments):
    return [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]


@pytest.mark.parametrize("limit", [1, 4_000, 30_000])
@pytest.mark.parametrize("kind", ["parquet", "csv", "json"])
def test_a_full_disk(tmp_path, kind, limit):
    target, small = tmp_path / f"credit.{kind}", tmp_path / "small.json"
    target.write_text("old and whole")
    small.write_text("old too")
    done = subprocess.run(
        python(FULL, target, kind, limit),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ,
    )
    assert done.returncode == 6, done.stderr
    assert done.stdout.startswith("write_failed")
    assert "File too large" in done.stdout
    assert target.read_text() == "old and whole"
    assert small.read_text() == "old too"
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([target.name, small.name])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_kill_while_writing(tmp_path, number):
    from attrib.io import sinks

    target = tmp_path / "credit.parquet"
    frame = pl.DataFrame({"channel": ["old"]})
    sinks.write_one(target, sinks.parquet(frame))
    with subprocess.Popen(python(SLOW, target), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        time.sleep(0.1)
        process.send_signal(number)
        assert process.wait(20) == -number
    assert pl.read_parquet(target).item() == "old"
    assert len(list(tmp_path.iterdir())) == 2  # the killed writer could not clean up …
    sinks.write_one(target, sinks.parquet(frame.with_columns(channel=pl.lit("new"))))
    assert pl.read_parquet(target).item() == "new"
    assert list(tmp_path.iterdir()) == [target]  # … so the next one does


def test_an_interrupt_while_writing_cleans_up(tmp_path):
    target = tmp_path / "credit.parquet"
    target.write_text("old")
    with subprocess.Popen(
        python(SLOW, target), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGINT)
        process.wait(20)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
