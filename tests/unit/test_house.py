"""The house rules that no other tool enforces."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from attrib.extras import EXTRAS

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))

# Written in pieces, so that this file is not its own first offender.
REGISTRY_HOSTS = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "registry.npm" + "js",
    "conda.an" + "aconda",
    "dl.go" + "ogle",
]
ABSOLUTE_HOMES = ["/ro" + "ot/", "/ho" + "me/", "/Us" + "ers/", "/wo" + "rk/", r"C:\Us" + "ers"]
FORBIDDEN = re.compile(
    "|".join([*map(re.escape, REGISTRY_HOSTS), *(rf"(?<![\w.)}}$]){re.escape(home)}" for home in ABSOLUTE_HOMES)])
)


def own_files() -> list[Path]:
    """Return the text files that are, or would be, committed."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git working tree: cannot tell own files from others")
    listed = subprocess.run(
        [git, "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        check=True,
        capture_output=True,
    )
    paths = (ROOT / name.decode() for name in listed.stdout.split(b"\0") if name)
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


def imported_roots(path: Path) -> set[str]:
    """Return the top-level packages that a file imports, at any depth of nesting."""
    roots = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            roots.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            roots.add(node.module.split(".")[0])
    return roots


def run_python(code: str) -> str:
    """Run code in a fresh interpreter and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_no_file_names_a_registry_host_or_a_home_folder():
    offenders = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in own_files()
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert offenders == []


def test_the_search_for_hosts_and_homes_finds_them():
    assert all(FORBIDDEN.search(f"see https://{host}/x") for host in REGISTRY_HOSTS[:2])
    assert all(FORBIDDEN.search(f'path = "{home}x"') for home in ABSOLUTE_HOMES)
    assert not FORBIDDEN.search("the work/life balance; $HOME/.cache; docs/wo" + "rk/x")


def test_constraints_are_plain_pins():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    odd = [pin for pin in pins if not re.fullmatch(r'[a-z0-9-]+==[0-9][\w.]*(; python_version [<>=]+ "3\.\d+")?', pin)]
    assert pins
    assert odd == []


def test_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    names = {re.match(r"[A-Za-z0-9_-]+", requirement)[0].lower() for requirement in wanted} - {"attrib"}
    pinned = {
        line.split("==")[0] for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if "==" in line
    }
    assert names - pinned == set()


def test_the_extra_all_holds_every_extra_but_spark_and_dev():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    assert set(re.search(r"\[(.*)\]", everything)[1].split(",")) == set(extras) - {"all", "dev", "spark"}


def test_every_decision_is_listed():
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text("utf-8")
    records = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert records == sorted(re.findall(r"\]\(([^)]+\.md)\)", index))
    assert [record[:4] for record in records] == [f"{n:04}" for n in range(1, len(records) + 1)]


def test_links_between_documents_lead_somewhere():
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in own_files()
        if document.suffix == ".md"
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text("utf-8"))
        if "://" not in target and not (document.parent / target).exists()
    ]
    assert broken == []


def test_the_changelog_has_a_place_for_what_comes_next():
    assert re.search(r"^## \[Unreleased\]$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_no_source_file_grows_past_450_lines(path):
    assert len(path.read_text("utf-8").splitlines()) <= 450


def test_only_the_jit_module_imports_numba():
    importers = [str(path.relative_to(ROOT / "src")) for path in SOURCES if "numba" in imported_roots(path)]
    assert importers == ["attrib/kernels/_jit.py"]


def test_kernels_import_nothing_but_numpy_numba_and_themselves():
    foreign = {
        str(path.relative_to(ROOT)): extra
        for path in SOURCES
        if path.parent.name == "kernels"
        if (extra := imported_roots(path) - sys.stdlib_module_names - {"numpy", "numba", "attrib"})
    }
    assert foreign == {}


def test_importing_attrib_is_light():
    heavy = "numba, pandas, pyarrow, scipy, typer"
    loaded = run_python(f"import sys, attrib\nprint([name for name in {heavy.split(', ')!r} if name in sys.modules])")
    assert loaded == "[]"


@pytest.mark.parametrize("name", ["lifecycle", "synth", "stages", "testing", "errors", "job", "methods", "modelling"])
def test_modules_load_when_they_are_first_used(name):
    code = f"""
        import sys, attrib
        heavy = {{"numpy", "polars", "numba", "pydantic", "attrib.{name}"}} & set(sys.modules)
        module = attrib.{name}
        print(sorted(heavy), module.__name__, "{name}" in dir(attrib))
    """
    assert run_python(textwrap.dedent(code)).split("\n")[0] == f"[] attrib.{name} True"


def test_what_stands_in_modules_is_reached_from_the_package():
    code = "import attrib; print(attrib.lifecycle.BetaGeoNBD.__name__, attrib.synth.generate.__name__)"
    assert run_python(code).strip() == "BetaGeoNBD generate"


def test_hints_install_what_the_extras_hold():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {
        name: tuple(need) for name, need in project["optional-dependencies"].items() if name not in ("all", "dev")
    }
    assert extras == EXTRAS


def test_nobody_is_told_to_install_what_no_index_has():
    pattern = re.compile(r"pip install (--upgrade )?[\"']?att" + r"rib")
    assert not [str(file) for file in own_files() if pattern.search(file.read_text("utf-8"))]


def test_public_names_survive_the_import_of_every_module():
    # A module named like a public function would hide it as soon as anything imports that module.
    code = """
import attrib, importlib, pkgutil
public = {name: getattr(attrib, name) for name in attrib.__all__}
for found in pkgutil.walk_packages(attrib.__path__, "attrib."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
print([name for name, value in public.items() if getattr(attrib, name) is not value])
"""
    assert run_python(code) == "[]"


def test_the_version_stands_in_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert run_python("import attrib; print(attrib.__version__)") == project["version"]
