"""A job from file to files: read, validate, journeys, tally, credit, write. Read this file first.

``load`` turns a job file into a :class:`Job` (everything checked that needs no data), ``check`` looks at
the data too, ``run`` does the whole of it. Nothing is written before everything is computed.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from attrib.analyses.spend import spend_frame
from attrib.crediting import credit
from attrib.engines.base import Progress
from attrib.errors import SpecError
from attrib.io import manifest, sinks
from attrib.journeys import Journeys
from attrib.loading import Costs, Job, load
from attrib.schemas import validate_credit
from attrib.stages import StageModel

__all__ = ["Checked", "Job", "Progress", "Result", "check", "load", "run"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What ``check`` found: where every row goes, the rejected rows, and what to know."""

    ledger: pl.DataFrame
    rejected: pl.DataFrame
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What ``run`` computed, and the files it wrote.

    Attributes
    ----------
    credit, funnel, spend, rejected, ledger : polars.DataFrame
        See docs/semantics.md §10, §3 and §2, and :func:`attrib.spend`; ``funnel`` is None without a stage model,
        ``spend`` without costs.
    manifest : Manifest
        The content of run.json.
    files : tuple of Path
        Written files; none with ``write=False``.
    warnings : tuple of str
        What the reader should know about the result.
    """

    credit: pl.DataFrame
    funnel: pl.DataFrame | None
    spend: pl.DataFrame | None
    rejected: pl.DataFrame
    ledger: pl.DataFrame
    manifest: manifest.Manifest
    files: tuple[Path, ...]
    warnings: tuple[str, ...]


def check(
    job: Job,
    *,
    threads: int | None = None,
    memory_limit: int | str | None = None,
    progress: Progress | None = None,
) -> Checked:
    """Find out whether a job can be run: everything that :func:`run` does but intervals and files."""
    _ensure_output(job)
    recorder = manifest.Recorder()
    with recorder.phase("check"):
        costs = job.costs()
        journeys = job.journeys(threads=threads, memory_limit=memory_limit, progress=progress)
        with closing(journeys.engine):
            table = credit(journeys, job.methods, intervals=None)  # not every method has an answer for every input
            if costs is not None:
                spend_frame(table, costs.totals)
            ledger, rejected = journeys.reconcile(), journeys.rejected()
    return Checked(ledger, rejected, recorder.warnings(journeys.warnings))


def run(
    job: Job,
    *,
    threads: int | None = None,
    memory_limit: int | str | None = None,
    progress: Progress | None = None,
    write: bool = True,
) -> Result:
    """Run a job: from the events to the credit table and, unless ``write=False``, to files.

    Parameters
    ----------
    job : Job
        From :func:`load`.
    threads, memory_limit : optional
        Take precedence over the job's ``[engine]``; they change no number.
    progress : callable, optional
        Called with (stage, done, total or None) while long work goes on.
    write : bool
        Whether to write the output folder.

    Returns
    -------
    Result

    Raises
    ------
    AttribError
        See the exit codes in :mod:`attrib.errors`; then nothing has been written.
    """
    recorder = manifest.Recorder()
    if write:
        _ensure_output(job)

    with recorder.phase("journeys"):
        costs = job.costs()
        journeys = job.journeys(threads=threads, memory_limit=memory_limit, progress=progress)
    with closing(journeys.engine):
        return _run(job, journeys, costs, recorder, write=write)


def _run(job: Job, journeys: Journeys, costs: Costs | None, recorder: manifest.Recorder, *, write: bool) -> Result:
    settings = job.spec.intervals
    wanted = settings.replicates > 0
    with recorder.phase("credit"):
        level = settings.level if wanted else None
        table = credit(journeys, job.methods, intervals=level, replicates=settings.replicates, seed=settings.seed)
        validate_credit(table)  # a fault of ours should stop here, not in somebody's report
        spend = None if costs is None else spend_frame(table, costs.totals)
    # After credit, which knows what to sum: these ride on its pass over the events.
    with recorder.phase("ledger"):
        ledger, rejected = journeys.reconcile(), journeys.rejected()
    with recorder.phase("funnel"):
        funnel = journeys.funnel() if isinstance(job.stages, StageModel) else None

    extra = {"funnel": funnel, "spend": spend}
    frames = {"credit": table, "rejected": rejected} | {name: f for name, f in extra.items() if f is not None}
    outputs = {job.output / f"{name}.parquet": sinks.parquet(frame) for name, frame in frames.items()}
    outputs |= {job.output / f"{name}.csv": sinks.csv(frames[name]) for name in ("credit", "spend") if name in frames}
    resampling = manifest.JOURNEYS if job.spec.input.paths else manifest.CUSTOMER_BUCKETS
    record = recorder.manifest(
        spec=job.full_spec(),
        credit=table,
        ledger=ledger,
        inputs=[*journeys.fingerprints(), *([] if costs is None else [costs.fingerprint])],
        warnings=journeys.warnings,
        intervals=manifest.Intervals(**settings.model_dump(), resampling=resampling) if wanted else None,
        files=[file.name for file in outputs],
    )
    files: tuple[Path, ...] = ()
    if write:
        outputs[job.output / "run.json"] = sinks.document(record.model_dump())
        files = sinks.write_set(outputs, obsolete=_obsolete(job.output, record.files))
    return Result(table, funnel, spend, rejected, ledger, record, files, tuple(record.warnings))


def _ensure_output(job: Job) -> None:
    """Refuse early an output folder that cannot work: hours of computing should not end at it."""
    fed = job.feeds_on_itself()
    if fed is not None:
        raise SpecError(
            "output_in_input",
            f"the results in {job.output} would become input: [input] names {fed}",
            hint="choose another [output] folder",
            output=str(job.output),
            input=fed,
        )
    sinks.ensure_writable(job.output)


def _obsolete(folder: Path, files: list[str]) -> list[Path]:
    """Find the funnel and the spend of an earlier run, where the present one has none."""
    try:
        before = json.loads((folder / "run.json").read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    optional = ("funnel.parquet", "spend.parquet", "spend.csv")
    return [folder / name for name in optional if name in before and name not in files]
