"""The cache of compiled kernels: warmed, shared by processes, and never that of other sources."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

from attrib import warming
from attrib.kernels._jit import cache_use

KERNEL = """
    from attrib.kernels._jit import jit
    from helper import step

    @jit
    def twice(x):
        return step(step(x))
"""
HELPER = """
    from attrib.kernels._jit import jit

    @jit
    def step(x):
        return x + {by}
"""


def python(code, folder, **environment):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])} | environment
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_second_process_compiles_nothing(tmp_path):
    warming.warm_up(generator=True)  # in the tests' own cache
    folders = cache_use()[0]
    assert all(folder.startswith(os.environ["NUMBA_CACHE_DIR"]) for folder in folders)
    code = """
        import attrib
        from attrib.kernels._jit import cache_use
        seen = []
        for ids in ("integer", "string"):
            for shuffle in (False, True):
                place = f"{ids}-{shuffle}"
                tables = attrib.synth.write(300, 7, place, ids=ids, shuffle=shuffle)
                for stages in ("five", None):
                    journeys = attrib.Journeys.from_events(*tables.values(), stages=stages)
                    # the first has no default, the second no kernel; the others are fitted, below and once
                    slow = ("custom_weights", "bagged_logistic", "additive_hazard", "incremental")
                    methods = [m() for n, m in attrib.METHODS.items() if n not in slow]
                    attrib.credit(journeys, methods, replicates=10)
        quick = attrib.Incremental(types=2, moods=2, decays="7d", tolerance=0.1)
        attrib.credit(journeys, [quick, attrib.AdditiveHazard()], intervals=None)
        folders, loaded, compiled = cache_use()
        print(loaded > 20, compiled)
    """
    code = textwrap.dedent(code)
    assert python(f"import os; os.chdir({str(tmp_path)!r})\n{code}", tmp_path) == "True 0"


def test_code_compiled_from_other_sources_is_not_used(tmp_path):
    ask = "import sys; from kernel import twice; print(twice(1), sum(twice.stats.cache_hits.values()))"
    (tmp_path / "kernel.py").write_text(textwrap.dedent(KERNEL))
    (tmp_path / "helper.py").write_text(textwrap.dedent(HELPER.format(by=1)))
    cache = str(tmp_path / "cache")
    assert python(ask, tmp_path, NUMBA_CACHE_DIR=cache) == "3 0"
    assert python(ask, tmp_path, NUMBA_CACHE_DIR=cache) == "3 1"
    (tmp_path / "helper.py").write_text(textwrap.dedent(HELPER.format(by=10)))  # inlined into the other file's code
    assert python(ask, tmp_path, NUMBA_CACHE_DIR=cache) == "21 0"


def test_the_same_sources_of_another_date_are_not_compiled_again(tmp_path):
    """They were installed, or checked out, once more."""
    ask = "import sys; from kernel import twice; print(twice(1), sum(twice.stats.cache_hits.values()))"
    for name, text in (("kernel", KERNEL), ("helper", HELPER.format(by=1))):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
    cache = str(tmp_path / "cache")
    assert python(ask, tmp_path, NUMBA_CACHE_DIR=cache) == "3 0"
    for name in ("kernel", "helper"):
        os.utime(tmp_path / f"{name}.py", (1e9, 1e9))
    assert python(ask, tmp_path, NUMBA_CACHE_DIR=cache) == "3 1"


def test_processes_that_compile_for_different_types_at_once_keep_their_code_apart(tmp_path):
    (tmp_path / "kernel.py").write_text(textwrap.dedent(KERNEL))
    (tmp_path / "helper.py").write_text(textwrap.dedent(HELPER.format(by=1)))
    cache = tmp_path / "cache"
    for argument in ("1", "0.5"):
        python(f"from kernel import twice; twice({argument})", tmp_path, NUMBA_CACHE_DIR=str(cache))
        for index in cache.rglob("*.nbi"):
            index.unlink()  # as one saw it who began before the other had saved
    assert len(list(cache.rglob("kernel.twice*.nbc"))) == 2  # numba by itself gives both the number 1


RECORD = """
    from typing import NamedTuple
    from attrib.kernels._jit import jit
    import numpy as np

    class {name}(NamedTuple):
        x: np.ndarray

    @jit
    def first(record):
        return record.x[0]

    def run():
        return first({name}(np.array([3.0])))
"""


def test_an_index_of_types_that_are_gone_is_as_good_as_none(tmp_path):
    """A record that an upgrade renamed: its compiled code names a class that no longer exists."""
    cache = str(tmp_path / "cache")
    for name in ("Old", "New"):
        (tmp_path / "records.py").write_text(textwrap.dedent(RECORD.format(name=name)))
        said = python(
            "import records; print(records.run())", tmp_path, NUMBA_CACHE_DIR=cache, PYTHONDONTWRITEBYTECODE="1"
        )
        assert said == "3.0"
