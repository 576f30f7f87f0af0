"""A job from file to files: read, validate, journeys, tally, credit, write. Read this file first.

``load`` turns a job file into a :class:`Job` (everything checked that needs no data), ``check`` looks at
the data too, ``run`` does the whole of it. Nothing is written before everything is computed.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from attrib.analyses.adjusted import AdjustedCredit, referral_adjusted, retention_adjusted
from attrib.analyses.spend import spend_frame
from attrib.crediting import credit, tried
from attrib.engines.base import Progress
from attrib.errors import SpecError, warn
from attrib.io import manifest, sinks
from attrib.journeys import Journeys
from attrib.loading import OPTIONAL, Costs, Job, load
from attrib.schemas import METHOD, validate_credit
from attrib.showing import Shown
from attrib.stages import StageModel

SHEETS = ("credit", "spend", "referral_adjusted", "retention_adjusted")  # written as CSV, too

__all__ = ["Checked", "Job", "Progress", "Result", "check", "load", "run"]


@dataclass(frozen=True, slots=True, repr=False)
class Checked(Shown):
    """What ``check`` found: where every row goes, the rejected rows, and what to know.

    ``findings``: those of the warnings that checks of the data gave (docs/warnings.md), as plain data. ``sampled``
    names the methods that take long: they were tried on a sample of the customers, and not solved.
    """

    ledger: pl.DataFrame
    rejected: pl.DataFrame
    warnings: tuple[str, ...]
    findings: tuple[dict[str, Any], ...] = ()
    sampled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Result(Shown):
    """What ``run`` computed, and the files it wrote.

    Attributes
    ----------
    credit, funnel, spend, rejected, ledger : polars.DataFrame
        See docs/semantics.md §10, §3 and §2, and :func:`attrib.spend`; ``funnel`` is None without a stage model,
        ``spend`` without costs.
    adjusted : mapping of str to polars.DataFrame
        Referral- and retention-adjusted credit where the job asks for it, by the name of the file: their tables,
        summaries and rejected referrals, see :class:`attrib.AdjustedCredit`.
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
    adjusted: dict[str, pl.DataFrame]
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
    """Find out whether a job can be run: everything that :func:`run` does but intervals and files.

    Methods that take long are tried on a sample of the customers (see :func:`attrib.crediting.tried`).
    """
    _ensure_output(job)
    recorder = manifest.Recorder(job.spec.checks.ignore)
    with recorder.phase("check"):
        costs = job.costs()
        journeys = job.journeys(threads=threads, memory_limit=memory_limit, progress=progress)
        with closing(journeys.engine):
            table, sampled = tried(journeys, job.methods)  # not every method has an answer for every input
            if costs is not None:
                spend_frame(table, costs.totals)
            if job.asks_for_adjusted:
                _adjusted(job, journeys, None)
            ledger, rejected = journeys.reconcile(), journeys.rejected()
    return Checked(ledger, rejected, recorder.warnings(journeys.warnings), tuple(recorder.findings()), sampled)


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
    recorder = manifest.Recorder(job.spec.checks.ignore)
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
        asked: dict[str, Any] = settings.model_dump(include={"replicates", "seed", "flag"})
        table = credit(journeys, job.methods, intervals=level, **asked)
        validate_credit(table)  # a fault of ours should stop here, not in somebody's report
        spend = None if costs is None else spend_frame(table, costs.totals)
    adjusted: dict[str, pl.DataFrame] = {}
    if job.asks_for_adjusted:  # a pass over the events for each method
        with recorder.phase("adjusted"):
            adjusted = _adjusted(job, journeys, level)
    # After credit, which knows what to sum: these ride on its pass over the events.
    with recorder.phase("ledger"):
        ledger, rejected = journeys.reconcile(), journeys.rejected()
    with recorder.phase("funnel"):
        funnel = journeys.funnel() if isinstance(job.stages, StageModel) else None

    extra = {"funnel": funnel, "spend": spend}
    frames = (
        {"credit": table, "rejected": rejected} | {name: f for name, f in extra.items() if f is not None} | adjusted
    )
    outputs = {job.output / f"{name}.parquet": sinks.parquet(frame) for name, frame in frames.items()}
    outputs |= {job.output / f"{name}.csv": sinks.csv(frames[name]) for name in SHEETS if name in frames}
    resampling = manifest.JOURNEYS if job.spec.input.paths else manifest.CUSTOMER_BUCKETS
    record = recorder.manifest(
        spec=job.full_spec(),
        credit=table,
        ledger=ledger,
        inputs=[
            *journeys.fingerprints(),
            *([] if costs is None else [costs.fingerprint]),
            *job.fingerprints_of_values(),
        ],
        events=journeys.facts,
        warnings=journeys.warnings,
        intervals=manifest.Intervals(**settings.model_dump(exclude={"flag"}), resampling=resampling)
        if wanted
        else None,
        files=[file.name for file in outputs],
    )
    files: tuple[Path, ...] = ()
    if write:
        outputs[job.output / "run.json"] = sinks.document(record.model_dump())
        files = sinks.write_set(outputs, obsolete=_obsolete(job.output, record.files))
    return Result(table, funnel, spend, rejected, ledger, adjusted, record, files, tuple(record.warnings))


def _adjusted(job: Job, journeys: Journeys, level: float | None) -> dict[str, pl.DataFrame]:
    """Adjusted credit by every method that has shares of each journey; the others are named in a warning."""
    spec, settings = job.spec, job.spec.intervals
    sharing = job.sharing()
    left_out = [name for name in job.methods if name not in sharing]
    if left_out:
        warn(f"adjusted credit is without {', '.join(left_out)}: no shares of each journey")
    common: dict[str, Any] = {"intervals": level, "replicates": settings.replicates, "seed": settings.seed}
    frames: dict[str, pl.DataFrame] = {}
    if spec.referral_adjusted is not None:
        asked = spec.referral_adjusted
        values = None if asked.values is None else job.path(asked.values)
        found = {
            name: referral_adjusted(
                journeys, method, pass_on=asked.pass_on, channel=asked.channel, values=values, **common
            )
            for name, method in sharing.items()
        }
        frames |= _stacked("referral_adjusted", found)
        rejected = next(iter(found.values())).rejected
        assert rejected is not None
        frames["referral_adjusted_rejected"] = rejected
    if spec.retention_adjusted is not None:
        values = job.path(spec.retention_adjusted.values)
        found = {
            name: retention_adjusted(journeys, method, values=values, **common) for name, method in sharing.items()
        }
        frames |= _stacked("retention_adjusted", found)
    return frames


def _stacked(name: str, found: dict[str, AdjustedCredit]) -> dict[str, pl.DataFrame]:
    """Tables and summaries of several methods under each other, by the names that the job gives them."""
    tables = [one.table.with_columns(pl.lit(label).alias(METHOD)) for label, one in found.items()]
    summaries = [one.summary.select(pl.lit(label).alias(METHOD), pl.all()) for label, one in found.items()]
    return {name: pl.concat(tables), f"{name}_summary": pl.concat(summaries)}


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
    """Find the files of an earlier run that the present one does not write."""
    try:
        before = json.loads((folder / "run.json").read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [folder / name for name in OPTIONAL if name in before and name not in files]
