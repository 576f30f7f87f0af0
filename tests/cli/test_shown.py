"""What the commands show: as wide as the terminal, as many rows as asked for, and all of it as JSON."""

import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import polars as pl
import pytest

from attrib.io.text import width_of

NAMES = [
    *(f"paid_search_brand_germany_{season}_2025_blue_shoes_for_children" for season in ("spring", "autumn")),
    "社交媒体营销活动春季二零二五", "mail", "mail ", *(f"channel {n:02}" for n in range(20)),
]  # fmt: skip
JOB = """
[input]
touchpoints = "touchpoints.parquet"
outcomes = "outcomes.parquet"
costs = "costs.csv"
[[models]]
method = "last_touch"
[[models]]
method = "linear"
[intervals]
replicates = 50
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("shown")
    rows = [(100 * at + n, name) for at, name in enumerate(NAMES) for n in range(30 - at)]
    times = {"timestamp": pl.lit("2026-01-01").str.to_datetime()}
    touches = pl.DataFrame(rows, schema=["customer_id", "channel"], orient="row").with_columns(**times)
    touches.write_parquet(place / "touchpoints.parquet")
    later = pl.col("timestamp").dt.offset_by("1d")
    outcomes = touches.select("customer_id", later, pl.lit("purchase").alias("outcome"), pl.lit(20.0).alias("value"))
    outcomes.write_parquet(place / "outcomes.parquet")
    pl.DataFrame({"channel": NAMES, "cost": [100.0 + at for at in range(len(NAMES))]}).write_csv(place / "costs.csv")
    (place / "job.toml").write_text(JOB)
    return place


def attrib(*arguments, cwd, **environment):
    command = [sys.executable, "-m", "attrib", *map(str, arguments)]
    environment = os.environ | environment
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, cwd=cwd, env=environment, encoding="utf-8"
    )


def in_terminal(*arguments, cwd, columns):
    """Standard output of a command whose terminal is so wide; what else it says goes elsewhere."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    command = [sys.executable, "-m", "attrib", *map(str, arguments)]
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    environment.pop("COLUMNS", None)
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL, cwd=cwd, env=environment) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                piece = os.read(ours, 65_536)
            except OSError:  # what Linux says at the end of a terminal
                break
            if not piece:
                break
            said += piece
    os.close(ours)
    assert process.returncode == 0
    return re.sub("\x1b\\[[0-9;]*m", "", said.decode()).replace("\r\n", "\n")


def test_a_wide_terminal_shows_names_whole_and_a_narrow_one_both_their_ends(folder):
    wide = in_terminal("run", "job.toml", cwd=folder, columns=200)
    assert all(name in wide for name in NAMES[:3])
    assert "(continued)" not in wide
    narrow = in_terminal("run", "job.toml", cwd=folder, columns=80)
    assert max(width_of(line.rstrip()) for line in narrow.splitlines()) <= 80
    assert "spring" in narrow
    assert "autumn" in narrow
    assert '"mail "' in narrow
    assert "CPA by" in narrow
    assert "ROAS by" in narrow


def test_a_pipe_is_as_wide_as_it_is_told(folder):
    usual = attrib("run", "job.toml", cwd=folder).stdout.splitlines()
    assert max(map(width_of, usual)) <= 100
    told = attrib("run", "job.toml", cwd=folder, COLUMNS="70").stdout.splitlines()
    assert max(map(width_of, told)) <= 70 < max(map(width_of, usual))


def test_rows_that_are_asked_for(folder):
    few, every = (attrib("run", "job.toml", *asked, cwd=folder).stdout for asked in (("--top", 2), ("--all",)))
    assert ("… and 23 more" in few, "channel 00" in few) == (True, False)
    assert "more" not in every
    assert all(name in every for name in NAMES[5:])
    wrong = attrib("run", "job.toml", "--all", "--top", 3, cwd=folder)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "--all is given with --top 3" in wrong.stderr
    assert attrib("run", "job.toml", "--top", 0, cwd=folder).returncode == 2


def test_counts_stand_beside_shares(folder):
    lines = attrib("run", "job.toml", cwd=folder, COLUMNS="200").stdout.splitlines()
    line = next(line for line in lines if NAMES[0] in line)
    total = sum(30 - at for at in range(len(NAMES)))
    assert line.split()[1:3] == ["30", f"{3000 / total:.1f}"]


def test_json_holds_the_rows_and_where_the_files_are(folder):
    said = json.loads(attrib("run", "job.toml", "--json", cwd=folder).stdout)
    credit = pl.read_parquet(folder / "out" / "credit.parquet")
    assert [row["channel"] for row in said["credit"]] == credit["channel"].to_list()
    assert [row["conversions"] for row in said["credit"]] == credit["conversions"].to_list()
    assert {"share", "share_low", "share_high", "kind", "method"} <= set(said["credit"][0])
    assert said["spend"][0].keys() >= {"cost", "cpa", "roas"}
    assert all(Path(file).is_absolute() and Path(file).is_file() for file in said["files"])


def test_json_of_other_commands_names_files_in_full(tmp_path):
    said = json.loads(attrib("synth", "--customers", 300, "--out", "data", "--json", cwd=tmp_path).stdout)
    named = [*said["files"], *(table["path"] for table in said["tables"].values())]
    assert all(Path(file).is_absolute() and Path(file).exists() for file in named)


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize(
    "command", ["", "run", "check", "demo", "synth", "fit", "score", "evaluate", "experiment", "warm-up"]
)
def test_help_fits_the_terminal(command, columns, tmp_path):
    asked = attrib(
        *([command] if command else []), "--help", cwd=tmp_path, COLUMNS=str(columns), TERMINAL_WIDTH=str(columns)
    )
    assert asked.returncode == 0
    assert max(map(width_of, asked.stdout.splitlines())) <= columns
    if command in ("run", "demo", "fit", "score", "evaluate", "experiment"):
        assert "--top" in asked.stdout
        assert "--all" in asked.stdout
