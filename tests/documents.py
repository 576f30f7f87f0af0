"""Guides that run: the fenced blocks of a Markdown file, carried out in order in one folder.

- ``toml`` whose first line is ``# name.toml``: written to that file.
- ``sh``: each line is run; ``python``: executed, all such blocks of a guide in one namespace.
- ``text`` right after one of these two: what it must have printed (both streams, blanks at line ends aside).

``pytest --overwrite-goldens`` writes the ``text`` blocks anew.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import polars as pl

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_guide(guide: Path, *, overwrite: bool = False) -> list[tuple[str, str, str]]:
    """Carry a guide out in the working directory; return its commands with the shown and the real output."""
    text, namespace, printed, before = guide.read_text("utf-8"), {}, None, ""
    found: list[tuple[str, str, str]] = []
    pieces, end = [], 0
    for block in FENCE.finditer(text):
        kind, body = block.groups()
        if kind == "text" and printed is not None:
            found.append((before, body, printed))
            pieces += [text[end : block.start(2)], printed]
            end = block.end(2)
        printed = None
        if kind == "toml":
            name = re.match(r"# ([\w.-]+\.toml)\n", body)
            assert name, f"a toml block of {guide.name} does not name its file: {body[:60]!r}"
            Path(name[1]).write_text(body, "utf-8")
        elif kind == "sh":
            printed, before = tidy("".join(map(run_command, body.splitlines()))), body
        elif kind == "python":
            printed, before = tidy(run_python(body, namespace)), body
    if overwrite:
        guide.write_text("".join([*pieces, text[end:]]), "utf-8")
    return found


def run_command(line: str) -> str:
    words = shlex.split(line, comments=True)
    if not words:
        return ""
    assert words[0] == "attrib", f"guides run attrib only, not {words[0]}"
    done = subprocess.run(
        [sys.executable, "-m", *words],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
        env={**os.environ, "COLUMNS": "100"},  # as wide as tables of frames below, wherever this runs
    )
    return done.stdout


def run_python(code: str, namespace: dict[str, object]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as printed, pl.Config(tbl_width_chars=100):
        exec(compile(code, "guide", "exec"), namespace)
    return printed.getvalue()


def tidy(output: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in output.strip("\n").splitlines())
