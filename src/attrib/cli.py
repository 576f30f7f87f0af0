"""The command. Each subcommand calls one function; exceptions become exit codes.

Results go to standard output, everything else (progress, warnings, errors) to standard error. Heavy
modules are imported inside the commands, so that ``attrib --help`` answers at once.
"""

from __future__ import annotations

import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attrib.console import (
    Shown,
    draw,
    errors,
    keep_interrupt,
    places,
    progress_bars,
    say,
    say_json,
    shown,
    warn_of,
)
from attrib.errors import EXIT_CODES, SpecError, brief

if TYPE_CHECKING:
    from attrib.experiment import Result as Findings
    from attrib.job import Result
    from attrib.modelling import Outcome
    from attrib.synth import Population

_EPILOG = f"Exit codes: {'; '.join(f'{code} {meaning}' for code, meaning in EXIT_CODES.items())}."

_MEMORY = 'Memory that events may take before they go to disk, such as "4GB" (results do not depend on it).'

_PARTS = "Files a table, in folders touchpoints and outcomes; by default one, above 2e7 touchpoints one for each 1e7."

_LATER = "Customers who have bought live on: content or not, they buy, refer and leave, by cancelling or in silence."
_TRUTH = "With --later: dates of truth.parquet; by default 2025-08-29, when a campaign asks for referrals."
_SCENARIO = "The market: a preset, such as clean, retargeting or everything (all: attrib.synth.SCENARIOS), or a file."
_OBSERVED = "What the log sees (the default), or all true events under the customers' own ids."
_TRUTH_AT = "2025-08-29"

app = typer.Typer(
    name="attrib",
    help="From raw touchpoints to a per-stage channel-credit table.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_MOST = 10**12  # of anything that is counted

DataFile = Annotated[Path, typer.Option("--data", metavar="JOB.toml", help="The job file with the data.")]
SavedFolder = Annotated[Path, typer.Argument(metavar="SAVED", help="The folder of a model that fit saved.")]
JobFile = Annotated[Path, typer.Argument(metavar="JOB.toml", help="The job file.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Neither progress nor table; warnings and errors only.")]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON on standard output in place of tables.")]
Top = Annotated[int | None, typer.Option("--top", metavar="N", min=1, help="Rows of each table, the largest.")]
All = Annotated[bool, typer.Option("--all", help="All rows, and all tables.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads to use; all cores by default.")]
Memory = Annotated[str | None, typer.Option(metavar="SIZE", help=_MEMORY)]
Seed = Annotated[int, typer.Option(min=0, help="Which customers to draw.")]


def _version(on: bool) -> None:
    if on:
        from importlib.metadata import version

        typer.echo(f"attrib {version('attrib')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    job_file: JobFile,
    top: Top = None,
    everything: All = False,
    quiet: Quiet = False,
    as_json: Json = False,
    threads: Threads = None,
    memory: Memory = None,
) -> None:
    """Run a job: write the credit table and its companions, and show the table."""
    with errors(as_json):
        asked = shown(quiet, as_json, top, everything)
        from attrib import job

        with progress_bars(quiet or as_json) as progress:
            result = job.run(job.load(job_file), threads=threads, memory_limit=memory, progress=progress)
        _show(result, asked)


@app.command()
def check(
    job_file: JobFile,
    quiet: Quiet = False,
    as_json: Json = False,
    threads: Threads = None,
    memory: Memory = None,
) -> None:
    """Validate a job, its data and its models; write nothing."""
    with errors(as_json):
        from attrib import job
        from attrib.report.terminal import ledger_lines, rejected_lines

        with progress_bars(quiet or as_json) as progress:
            found = job.check(job.load(job_file), threads=threads, memory_limit=memory, progress=progress)
        warn_of(found.warnings)
        if as_json:
            told = {"warnings": found.warnings, "findings": found.findings, "sampled": found.sampled}
            say_json({"status": "ok", "ledger": found.ledger.to_dicts(), **told})
        elif not quiet:
            for line in (*ledger_lines(found.ledger), *rejected_lines(found.rejected)):
                say(line)
            if found.sampled:
                say(f"not solved, for that takes long, but tried on a sample of customers: {', '.join(found.sampled)}")
            say(f"{job_file} can be run")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the data, the job and its results.")] = Path("attrib-demo"),
    customers: Annotated[int, typer.Option(min=1, help="Customers to generate.")] = 100_000,
    seed: Seed = 1,
    top: Top = None,
    everything: All = False,
    quiet: Quiet = False,
    as_json: Json = False,
    threads: Threads = None,
    memory: Memory = None,
) -> None:
    """Generate customers, run a job over five stages on them, and show the table."""
    with errors(as_json):
        asked = shown(quiet, as_json, top, everything)
        from attrib import demo

        with progress_bars(quiet or as_json) as progress:
            result = demo.run(
                out, customers=customers, seed=seed, threads=threads, memory_limit=memory, progress=progress
            )
        _show(result, asked)


@app.command()
def synth(
    out: Annotated[Path, typer.Option(help="Folder for touchpoints.parquet and outcomes.parquet.")],
    customers: Annotated[str | None, typer.Option(metavar="N", help="Customers to generate, such as 1e6.")] = None,
    touchpoints: Annotated[
        str | None, typer.Option(metavar="N", help="Instead: about how many touchpoints, such as 1e8.")
    ] = None,
    parts: Annotated[str | None, typer.Option(metavar="N", help=_PARTS)] = None,
    seed: Seed = 0,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Rows in random order.")] = False,
    dirty: Annotated[float, typer.Option(min=0, max=1, help="Share of faulty rows to mix in.")] = 0.0,
    ids: Annotated[str, typer.Option(help="Customers as integer, or as string of 36 characters.")] = "integer",
    scenario: Annotated[str | None, typer.Option(metavar="NAME|FILE.toml", help=_SCENARIO)] = None,
    observed: Annotated[bool, typer.Option("--observed/--true", help=_OBSERVED)] = True,
    later: Annotated[str | None, typer.Option(metavar="contract|silent", help=_LATER)] = None,
    truth_at: Annotated[list[str] | None, typer.Option(metavar="DATE", help=_TRUTH)] = None,
    quiet: Quiet = False,
    as_json: Json = False,
    threads: Threads = None,
) -> None:
    """Generate touchpoints and outcomes with known properties."""
    with errors(as_json):
        counts = {"customers": customers, "touchpoints": touchpoints, "parts": parts}
        wanted = {name: None if text is None else _whole(f"--{name}", text) for name, text in counts.items()}
        if (customers is None) == (touchpoints is None):
            found = "neither" if customers is None else "both"
            raise SpecError("bad_argument", f"{found} of --customers and --touchpoints is given", hint="give one")
        from attrib.synth import files

        if scenario is not None and (later or truth_at):
            hint = "give one; a file of your own may have [population.later]"
            raise SpecError("bad_argument", "--scenario is given with --later or --truth-at", hint=hint)
        market, dates = _lasting(later, truth_at)
        with progress_bars(quiet or as_json) as progress:
            written = files.write(
                wanted["customers"], seed, out, touchpoints=wanted["touchpoints"], parts=wanted["parts"],
                shuffle=shuffle, dirty=dirty, ids=ids, threads=threads, progress=progress,  # type: ignore[arg-type]
                population=market, scenario=scenario, observed=observed, truth_at=dates,
            )  # fmt: skip
        if as_json:
            whole = {name: place.absolute() for name, place in written.items()}
            say_json({"status": "ok", "files": places(whole.values()), "tables": files.describe(whole)})
        elif not quiet:
            for table in files.describe(written).values():
                count = f"{table['files']:,} files, " if table["files"] > 1 else ""
                say(f"wrote {table['path']} ({count}{table['rows']:,} rows)")


def _lasting(later: str | None, truth_at: list[str] | None) -> tuple[Population | None, list[str] | None]:
    """The market of `attrib synth --later`, and the dates of its truth."""
    from attrib.synth import Later, Population
    from attrib.values import read_date

    if later is None:
        if truth_at:
            raise SpecError("bad_argument", "--truth-at is given without --later", hint="add --later contract")
        return None, None
    if later not in ("contract", "silent"):
        raise SpecError("bad_argument", f"--later is {brief(later)}", hint="give contract or silent")
    for text in truth_at or ():
        read_date(text, "--truth-at")
    return Population(later=Later(contract=later == "contract")), truth_at or [_TRUTH_AT]


@app.command()
def fit(
    model_file: Annotated[Path, typer.Argument(metavar="MODEL.toml", help="The model file.")],
    data: DataFile,
    out: Annotated[Path, typer.Option(help="Folder of the saved model; one of the same name is replaced.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model of another name, too.")] = False,
    top: Top = None,
    everything: All = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Fit a model of the later stages, judge it at later dates, and save it."""
    with errors(as_json):
        asked = shown(quiet, as_json, top, everything)
        from attrib import modelling

        with progress_bars(quiet or as_json) as progress:
            done = modelling.fit(model_file, data, out, overwrite=overwrite, progress=progress)
        _show_model(done, asked)


@app.command()
def score(
    saved: SavedFolder,
    data: DataFile,
    out: Annotated[Path, typer.Option(help="Folder, or one file ending in .parquet or .csv.")],
    at: Annotated[
        str | None, typer.Option(metavar="DATE", help="By default the midnight after the last event.")
    ] = None,
    top: Top = None,
    everything: All = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Score customers with a saved model."""
    with errors(as_json):
        asked = shown(quiet, as_json, top, everything)
        from attrib import modelling

        with progress_bars(quiet or as_json) as progress:
            done = modelling.score(saved, data, out, at=at, progress=progress)
        _show_model(done, asked)


@app.command()
def evaluate(
    saved: SavedFolder,
    data: DataFile,
    out: Annotated[Path | None, typer.Option(help="Folder for the tables as CSV.")] = None,
    at: Annotated[list[str] | None, typer.Option(metavar="DATE", help="By default the last that is known.")] = None,
    top: Top = None,
    everything: All = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Judge a saved model by what happened; write nothing without --out."""
    with errors(as_json):
        asked = shown(quiet, as_json, top, everything)
        from attrib import modelling

        with progress_bars(quiet or as_json) as progress:
            done = modelling.evaluate(saved, data, out=out, at=tuple(at or ()), progress=progress)
        _show_model(done, asked)


@app.command()
def experiment(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR…", help="Folders that hold experiment.toml.")],
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what earlier runs have computed.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only tell whether results and page are up to date.")] = False,
    mlflow: Annotated[str | None, typer.Option(metavar="URI", help="Log to MLflow, too.")] = None,
    top: Top = None,
    everything: All = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Carry out experiments: several models on many data sets; interrupted ones go on where they were."""
    with errors(as_json):
        asked = shown(quiet, as_json, top, everything)
        from attrib import experiment

        if check:
            faults = [f"{folder}: {fault}" for folder in folders for fault in experiment.check(folder)]
            experiment.raise_stale(faults)
            if as_json:
                say_json({"status": "ok", "folders": places(folders)})
            elif not quiet:
                say(f"{len(folders):,} experiments are up to date")
        failures: list[dict[str, Any]] = []
        for folder in () if check else folders:
            with progress_bars(quiet or as_json) as progress:
                done = experiment.run(folder, workers=workers, fresh=fresh, mlflow=mlflow, progress=progress)
            _show_experiment(done, asked)
            failures += done.failures
        experiment.raise_failed(failures)


@app.command(name="warm-up")
def warm_up(
    generator: Annotated[bool, typer.Option("--generator", help="also what generates markets")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compile all kernels that a run calls into the cache, so that no later run has to."""
    with errors(as_json):
        from attrib import warming

        with progress_bars(quiet or as_json) as progress:
            done = warming.warm_up(generator=generator, progress=progress)
        if as_json:
            say_json({"status": "ok", **done.as_dict()})
        elif not quiet:
            say(f"compiled {done.compiled} kernels in {done.seconds:.0f} s, {done.loaded} were in the cache")
            for folder in done.folders:
                say(f"cache: {folder}")


def main() -> None:
    """Entry point of the command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 shows ? and does not fail
    sys.unraisablehook = keep_interrupt
    app()


def _whole(option: str, text: str) -> int:
    """Read a count from 1, also one such as 1e8."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("nan")
    if not (number.is_finite() and 1 <= number <= _MOST and number == int(number)):
        hint = f"give a whole number from 1 to {_MOST:.0e}, such as 1000000 or 1e6".replace("e+", "e")
        raise SpecError("bad_argument", f"{option} is {brief(text)}", hint=hint, argument=option)
    return int(number)


def _show(result: Result, asked: Shown) -> None:
    """Print a result: tables for people, or a summary for programs."""
    warn_of(result.warnings)
    if asked.as_json:
        tables = {"credit": result.credit, "funnel": result.funnel, "spend": result.spend, **result.adjusted}
        rows = {name: table.to_dicts() for name, table in tables.items() if table is not None}
        say_json({"status": "ok", **result.manifest.model_dump(), "files": places(result.files), **rows})
    elif not asked.quiet:
        from attrib.report import credit, terminal

        most = asked.rows(credit.TOP)
        pieces = (
            result.credit,
            result.funnel,
            result.spend,
            result.ledger,
            result.rejected,
            result.manifest,
            result.files,
        )
        draw(lambda width: terminal.result_parts(*pieces, width, most))


def _show_experiment(done: Findings, asked: Shown) -> None:
    """Print what an experiment found."""
    warn_of(done.warnings)
    if asked.as_json:
        summary = done.tables.summary.to_dicts()
        say_json({"status": "ok", **done.record, "files": places(done.files), "summary": summary})
    elif not asked.quiet:
        from attrib.report import findings

        most = asked.rows(findings.MOST)
        draw(lambda width: findings.finding_parts(done.tables.summary, done.files, width, most))


def _show_model(done: Outcome, asked: Shown) -> None:
    """Print what was done with a model."""
    warn_of(done.warnings)
    if asked.as_json:
        tables = {name: table.to_dicts() for name, table in done.tables.items() if name != "scores"}
        say_json({"status": "ok", **done.record, "files": places(done.files), "tables": tables})
    elif not asked.quiet:
        from attrib.report import models

        most, seen = asked.rows(models.MOST), done.record.get("dates_seen", ())
        draw(lambda width: models.outcome_parts(done.title, done.tables, done.files, width, seen, most))


if __name__ == "__main__":
    main()
