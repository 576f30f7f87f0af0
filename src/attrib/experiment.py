"""An experiment from file to files: a question, the runs that answer it, tables, and a page. Read :func:`run` first.

``experiments/<question>/experiment.toml`` says what is compared; beside it come ``results.csv``, ``summary.csv``,
``run.json``, ``README.md`` and, if asked for, ``players.csv``, ``agreement.csv`` and ``results.svg``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import platform
import re
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import polars as pl

from attrib.engines.base import Progress
from attrib.engines.local import LocalEngine
from attrib.errors import AttribError, SolveError, SpecError
from attrib.experiments import figure, page, tracking
from attrib.experiments.plan import FILE, PER_CHANNEL, Experiment, Unit, code_version, load
from attrib.experiments.results import MODEL, Tables, gather, summarise
from attrib.experiments.running import Kept, Task, carry_out, failures_of
from attrib.io import manifest, sinks
from attrib.schemas import CHANNEL, STAGE
from attrib.showing import Shown

__all__ = ["Experiment", "Result", "check", "load", "run"]

RUN = "run.json"
_MOST = 10  # kinds of warnings that are told
OPTIONAL = ("players.csv", "agreement.csv", page.FIGURE)


@dataclass(frozen=True, slots=True, repr=False)
class Result(Shown):
    """What an experiment found, and the files it wrote.

    Attributes
    ----------
    tables : Tables
        ``results``, ``summary``, ``players``, ``agreement``.
    record : dict
        The content of run.json.
    files : tuple of Path
    failures : tuple of dict
        Runs without a number: world, customers, setting, seed, model, key, message.
    warnings : tuple of str
    """

    tables: Tables
    record: dict[str, Any]
    files: tuple[Path, ...]
    failures: tuple[dict[str, Any], ...]
    warnings: tuple[str, ...]


def run(
    folder: str | Path,
    *,
    workers: int | None = None,
    fresh: bool = False,
    mlflow: str | None = None,
    progress: Progress | None = None,
) -> Result:
    """Carry out the experiment of a folder; what an earlier run has computed is not computed again.

    Parameters
    ----------
    folder : str or Path
        Holds ``experiment.toml``.
    workers : int, optional
        Processes of one thread each; by default one a core. They change no number.
    fresh : bool
        Forget what earlier runs have computed.
    mlflow : str, optional
        Tracking URI of MLflow, to log the results there too.
    progress : callable, optional
        Called with (stage, done, total).

    Returns
    -------
    Result
        Units that fail are rows with an error, and the others go on.

    Raises
    ------
    SpecError
        If the experiment is not what it must be.
    ResourceError
        If the folder cannot be written.
    """
    experiment = load(folder)
    for name in experiment.spec.tables:
        if not (experiment.folder / name).is_file():
            hint = "another command writes it, and this one shows it: write it first, or take it out of tables"
            raise SpecError("no_file", f"tables: {name} is not in the folder", hint=hint, found=name)
    if mlflow is not None:
        tracking.check_available()
    sinks.ensure_writable(experiment.folder)
    recorder, kept = manifest.Recorder(), Kept(experiment.folder)
    workers = workers or LocalEngine().workers
    known, runs = _tasks(experiment)
    if fresh:
        kept.clear()
    total, told = len(known) + len(runs), 0

    def tell() -> None:
        nonlocal told
        told += 1
        if progress is not None:
            progress("runs", told, total)

    if progress is not None:
        progress("runs", 0, total)
    with recorder.phase("runs"):
        found = carry_out(experiment, known, kept, workers=workers, told=tell)
        found |= carry_out(experiment, runs, kept, workers=workers, told=tell)
    results = [(task.unit, found[task.key]) for task in runs]
    tables = gather(experiment, results)
    failures = [_where(task.unit) | fault for task in (*known, *runs) for fault in failures_of(found[task.key])]
    record = _record(experiment, recorder, tables, [found[task.key] for task in (*known, *runs)], failures, runs)
    files, notes = _write(experiment, tables, record)
    said = [note for result in found.values() for note in result.get("warnings", ())]
    notes = (*_each_once(said), *notes)
    if mlflow is not None:
        record["mlflow_run"] = tracking.log(experiment, tables, record, files, mlflow)
    return Result(tables, record, files, tuple(failures), notes)


def check(folder: str | Path) -> tuple[str, ...]:
    """Find out whether the results in a folder are those of its ``experiment.toml``, without computing anything.

    Returns
    -------
    tuple of str
        What is wrong: a spec that was changed since, results or a page that somebody changed, no answer.

    Raises
    ------
    SpecError
        If the experiment is not what it must be.
    """
    experiment = load(folder)
    try:
        record = json.loads((experiment.folder / RUN).read_text("utf-8"))
        results = (experiment.folder / "results.csv").read_bytes()
        recorded = {key: record[key] for key in ("spec_sha256", "results_sha256", "files", "attrib", "finished")}
    except (OSError, ValueError, KeyError, TypeError):
        return ("there are no results, or they are not whole: run it",)
    faults = []
    if recorded["spec_sha256"] != experiment.spec_sha256:
        faults.append(f"{FILE} (or a model file) was changed after the results: run it again")
    if recorded["results_sha256"] != hashlib.sha256(results).hexdigest():
        faults.append("results.csv is not what the run wrote")
    if record["spec"].get("results", "runs") != experiment.spec.results:
        faults.append(f"results.csv has not the rows that {FILE} asks for: run it again")
    missing = [name for name in recorded["files"] if not (experiment.folder / name).is_file()]
    faults += [f"{name} is missing" for name in missing]
    faults += _changed_inputs(experiment, record)
    for name, known in record.get("means_sha256", {}).items():
        if name not in missing and known != hashlib.sha256((experiment.folder / name).read_bytes()).hexdigest():
            faults.append(f"{name} is not what the run wrote")
    if not faults:
        found = page.read(experiment.folder) or ""
        tables = _read_tables(experiment, recorded["files"])
        expected = page.written(experiment, tables, record, found, figure=page.FIGURE in recorded["files"])
        faults += page.faults(experiment, found, expected)
    return tuple(faults)


def _changed_inputs(experiment: Experiment, record: Mapping[str, Any]) -> list[str]:
    """What is wrong with the files of the folder that the run read or the page shows."""
    try:
        found = experiment.own_inputs()
    except AttribError as error:
        return [error.message]
    names = [file["file"] for entry in found if entry not in record.get("inputs", ()) for file in entry["files"]]
    faults = [f"{name} is not what the run read: run it again" for name in names]
    return faults + [f"{n} is missing" for n in experiment.spec.tables if not (experiment.folder / n).is_file()]


def raise_stale(faults: Sequence[str]) -> None:
    """Raise if :func:`check` found anything.

    Raises
    ------
    SpecError
        ``stale_experiment``.
    """
    if faults:
        listed = "".join(f"\n  - {fault}" for fault in faults)
        hint = "attrib experiment DIR, and look at the answer again"
        raise SpecError("stale_experiment", f"experiments are not up to date:{listed}", hint=hint, faults=list(faults))


def raise_failed(failures: Sequence[Mapping[str, Any]]) -> None:
    """Raise if runs failed; everything has been written by then.

    Raises
    ------
    SolveError
        ``runs_failed``.
    """
    if failures:
        first, many = failures[0], f"{len(failures)} runs" if len(failures) > 1 else "1 run"
        raise SolveError(
            "runs_failed",
            f"{many} failed, the first with {first['key']}: {first['message']}",
            hint="results.csv has a row for each; when the reason is gone, run again: only they are computed",
            failures=len(failures),
        )


def _tasks(experiment: Experiment) -> tuple[list[Task], list[Task]]:
    """Tasks that others need, and those that are scored; each with its key."""
    known: dict[str, Task] = {}
    needs: dict[tuple[str, str, str | None], list[tuple[str, str]]] = defaultdict(list)
    for unit in experiment.known():
        key = experiment.key(unit, {})
        known[key] = Task(unit, key)  # settings may share a truth
        seen = None if unit.kind == "truth" else unit.seen  # what is true does not depend on what is seen
        needs[unit.world, unit.setting.name, seen].append((unit.kind, key))
    runs = []
    for unit in experiment.runs():
        needed = tuple(need for seen in (None, unit.seen) for need in needs[unit.world, unit.setting.name, seen])
        runs.append(Task(unit, experiment.key(unit, dict(needed)), needed))
    return list(known.values()), runs


def _each_once(said: Sequence[str]) -> tuple[str, ...]:
    """What runs warn of, most often first; the same words with other numbers are not told again."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for note in said:
        kinds[re.sub(r"\d[\d,.]*", "#", note)].append(note)
    often = sorted(kinds.values(), key=len, reverse=True)
    return tuple(f"{notes[0]} (in {len(notes)} runs)" if len(notes) > 1 else notes[0] for notes in often[:_MOST])


def _where(unit: Unit) -> dict[str, Any]:
    of = {} if unit.kind == "run" else {"of": unit.kind}
    return {**of, "world": unit.label, "customers": unit.customers, "setting": unit.setting.name, "seed": unit.seed}


def _record(
    experiment: Experiment,
    recorder: manifest.Recorder,
    tables: Tables,
    results: list[dict[str, Any]],
    failures: list[dict[str, Any]],
    runs: list[Task],
) -> dict[str, Any]:
    """Gather what run.json says."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for clock in (entry for result in results for entry in result.get("seconds", ())):
        for name, taken in clock.items():
            seconds[name].append(taken)
    inputs = [entry for task in runs[:: max(len(experiment.spec.seeds), 1)] for entry in task.unit.inputs]
    return recorder.facts(("scikit-learn",)) | {
        "code": {"sources_sha256": code_version(), "commit": _commit()},
        "machine": {"processors": os.cpu_count(), "architecture": platform.machine()},
        "spec": json.loads(manifest.canonical(experiment.full_spec())) | {"results": experiment.spec.results},
        "spec_sha256": experiment.spec_sha256,
        "results_sha256": _hash_of(_results(experiment, tables)),
        "means_sha256": {f"{name}.csv": _hash_of(table) for name, table in _means(tables)},
        "seeds": list(experiment.spec.seeds),
        "inputs": inputs,
        "runs": len(runs),
        "clock": "processor",  # of the seconds below: what else the machine does is not counted
        "seconds_each": {name: round(sum(taken) / len(taken), 4) for name, taken in seconds.items()},
        "failures": failures,
    }


def _write(experiment: Experiment, tables: Tables, record: dict[str, Any]) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Write all files, run.json last; what a person wrote into the page stays."""
    folder = experiment.folder
    tables = dataclasses.replace(tables, results=_results(experiment, tables))
    outputs = {folder / "results.csv": sinks.csv(tables.results)}
    outputs |= {folder / f"{name}.csv": sinks.csv(table) for name, table in _means(tables)}
    picture = figure.drawn(experiment, tables)
    if picture is not None:
        outputs[folder / page.FIGURE] = _raw(picture)
    before = page.read(folder)
    record["files"] = [*(file.name for file in outputs), page.NAME]
    text = page.written(experiment, tables, record, before, figure=picture is not None)
    outputs[folder / page.NAME] = _raw(text.encode())
    outputs[folder / RUN] = sinks.document(record)
    notes = []
    old = _old_results(folder)
    if before is not None and old is not None and old != _told(record):
        notes.append(f"the results have changed: is the answer in {page.NAME} still right?")
    if page.UNANSWERED in text:
        notes.append(f"the last line of {page.NAME} waits for your answer")
    files = sinks.write_set(outputs, obsolete=[folder / name for name in OPTIONAL if folder / name not in outputs])
    return files, tuple(notes)


def _results(experiment: Experiment, tables: Tables) -> pl.DataFrame:
    """What results.csv holds: all runs, or those of them that failed."""
    if experiment.spec.results == "runs":
        return tables.results
    return tables.results.filter(pl.col("error").is_not_null())


def _means(tables: Tables) -> list[tuple[str, pl.DataFrame]]:
    """Tables over the seeds by name, those that there are."""
    found = {"summary": tables.summary, "players": tables.players, "agreement": tables.agreement}
    return [(name, table) for name, table in found.items() if table is not None and table.width]


def _hash_of(table: pl.DataFrame) -> str:
    return hashlib.sha256(_bytes(sinks.csv(table))).hexdigest()


def _told(record: Mapping[str, Any]) -> str:
    """Hash of the table that a record's page is made of."""
    means = record["spec"].get("results") == "means"
    return str(record["means_sha256"]["summary.csv"] if means else record["results_sha256"])


def _old_results(folder: Path) -> str | None:
    try:
        return _told(json.loads((folder / RUN).read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read_tables(experiment: Experiment, files: list[str]) -> Tables:
    """Read the tables that a page shows from the files of a run."""
    metrics = list(experiment.spec.metrics)
    texts = ("world", "setting", STAGE, MODEL, CHANNEL, "metric", "error", "message", "first", "second")
    kinds = dict.fromkeys(texts, pl.String) | {"customers": pl.Int64, PER_CHANNEL: pl.Float64}

    def table(name: str) -> pl.DataFrame:
        read = pl.read_csv(experiment.folder / name, schema_overrides=kinds, infer_schema_length=None)
        return read.with_columns(pl.col("setting").fill_null(""))

    results = table("results.csv").with_columns(pl.col(metrics).cast(pl.Float64))
    agreement, players = (table(name) if name in files else None for name in ("agreement.csv", "players.csv"))
    if experiment.spec.results == "runs":
        summary = summarise(results, metrics, experiment.spec.against)
    else:
        summary = table("summary.csv")
    return Tables(results, summary, players, agreement)


def _bytes(writer: sinks.Writer) -> bytes:
    writer(buffer := io.BytesIO())
    return buffer.getvalue()


def _raw(content: bytes) -> sinks.Writer:
    def write(file: IO[bytes]) -> None:
        file.write(content)

    return write


def _commit() -> str | None:
    """Commit of the sources, with ``+`` where they were changed since; None where they are in no repository."""
    package = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(package), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603 - our words
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # else this is somebody else's repository
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return None
