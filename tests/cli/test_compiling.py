"""Kernels are compiled once, and that is said: in a pipe by two lines, and never where there is nothing to compile."""

import gc
import os
import subprocess
import sys
import textwrap

import pytest

from attrib import console
from attrib.kernels.compiling import Compiling

# a kernel of its own stands in for all of them, which take minutes
KERNEL = """
    from attrib.kernels._jit import jit

    @jit
    def twice(x):
        return x + x
"""
COMMAND = """
    from pathlib import Path
    import attrib
    from attrib import cli, job

    attrib.__path__.append(str(Path(__file__).parent))

    def run(plan, **settings):
        from attrib.twice import twice
        raise job.SpecError("enough", f"twice 3 is {twice(3)}")

    job.load, job.run = str, run
    cli.main()
"""


def command(folder, *arguments):
    file = folder / "command.py"
    file.write_text(textwrap.dedent(COMMAND))
    (folder / "twice.py").write_text(textwrap.dedent(KERNEL))
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache")}
    return subprocess.run(
        [sys.executable, str(file), "run", "job.toml", *arguments], capture_output=True, text=True, check=False,
        cwd=folder, env=environment,
    )  # fmt: skip


def test_the_first_run_says_that_it_compiles_and_the_second_has_nothing_to_say(tmp_path):
    first, second = command(tmp_path), command(tmp_path)
    assert first.stderr.splitlines()[0].startswith("compiling, once: ")
    assert first.stderr.count("compiling") == 1
    assert second.stderr.splitlines() == ["error: twice 3 is 6"]
    assert first.stdout == ""


@pytest.mark.parametrize("option", ["--quiet", "--json"])
def test_programs_are_not_told(tmp_path, option):
    assert "compiling" not in command(tmp_path, option).stderr


def test_the_end_says_how_long_it_took(capsys):
    lines = console.Lines(bars=False)
    lines.end()
    assert capsys.readouterr().err == ""
    for kernels in range(5):
        lines.compiled(kernels, float(kernels))
    lines.end()
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "compiling, once",
        "compiled in 4 s, and kept",
    ]


def test_long_work_in_a_pipe_gives_a_line_now_and_then(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    lines = console.Lines(bars=False)
    for second in range(40):
        now[0] = float(second)
        lines.advance("reading", second, 40.0)
    lines.advance("writing", 0, None)
    assert capsys.readouterr().err.splitlines() == ["reading: 38%", "reading: 75%"]


def test_threads_that_compile_at_once_take_their_time_together(monkeypatch):
    now = iter([0.0, 5.0, 7.0, 9.0])
    monkeypatch.setattr("attrib.kernels.compiling.time.perf_counter", lambda: next(now))
    told = []
    compiling = Compiling()
    compiling.watchers.append(lambda kernels, seconds: told.append((kernels, seconds)))
    for step in (compiling.begin, compiling.begin, compiling.end, compiling.end, compiling.begin, compiling.end):
        step()
    assert told[-1] == (3, 7.0)
    assert [kernels for kernels, _ in told] == [0, 0, 1, 2, 2, 3]


@pytest.mark.parametrize("on", [True, False])
def test_garbage_waits_while_something_is_compiled(on):
    before = gc.isenabled()
    (gc.enable if on else gc.disable)()
    try:
        compiling = Compiling()
        compiling.begin()
        compiling.begin()
        compiling.end()
        assert not gc.isenabled()
        compiling.end()
        assert gc.isenabled() is on
    finally:
        (gc.enable if before else gc.disable)()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",), ("run", "--help"), ("--version",), ("synth", "--out", "out"),
    ],
)  # fmt: skip
def test_commands_that_call_no_kernel_do_not_load_the_compiler(tmp_path, arguments):
    code = f"""
        import sys
        from attrib import cli
        sys.argv = ["attrib", *{arguments!r}]
        try:
            cli.main()
        finally:
            print("numba" in sys.modules, file=sys.stderr)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.stderr.splitlines()[-1] == "False", done.stderr
