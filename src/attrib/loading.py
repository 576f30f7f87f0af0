"""From a job file to a :class:`Job`: its models built, its stages resolved, its journeys a recipe."""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from attrib.analyses.costs import open_costs, total_costs
from attrib.diagnostics.finding import KEYS
from attrib.engines.base import Engine, Progress
from attrib.engines.local import LocalEngine
from attrib.engines.spark import SparkEngine
from attrib.errors import SpecError, brief
from attrib.faults import nearest
from attrib.io.sources import InlineOutcome, open_table
from attrib.journeys import Journeys
from attrib.methods import METHODS
from attrib.methods.base import Method, has_touch_rule, touch_rule_of
from attrib.methods.elsewhere import called_elsewhere
from attrib.schemas import STAGE
from attrib.spec import InputSpec, JobSpec, ModelSpec, read_job, read_model
from attrib.stages import StageColumn, StageModel, resolve_stages

SECRET = re.compile("secret|password|token|credential|access.?key", re.IGNORECASE)  # options whose value is not written
OPTIONAL = (  # not in every run
    "funnel.parquet",
    "spend.parquet",
    "spend.csv",
    "referral_adjusted.parquet",
    "referral_adjusted.csv",
    "referral_adjusted_summary.parquet",
    "referral_adjusted_rejected.parquet",
    "retention_adjusted.parquet",
    "retention_adjusted.csv",
    "retention_adjusted_summary.parquet",
)
OUTPUTS = ("credit.parquet", "rejected.parquet", "credit.csv", *OPTIONAL, "run.json")


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs summed by the keys of the credit table, and what identifies their file."""

    totals: pl.DataFrame
    fingerprint: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """A job whose file, models and stages have been read and found right.

    Attributes
    ----------
    spec : JobSpec
        The job file.
    folder : Path
        Where relative paths start.
    methods : mapping of str to Method
        What to compute, by the name in the credit table.
    stages : StageModel, StageColumn or None
        The stage model, its file or preset resolved.
    """

    spec: JobSpec
    folder: Path
    methods: Mapping[str, Method]
    stages: StageModel | StageColumn | None

    def path(self, written: str) -> str:
        """Resolve a path of the job file; addresses such as ``s3://…`` stay as they are."""
        return written if "://" in written else str(self.folder / written)

    @property
    def output(self) -> Path:
        """The folder of the results."""
        return Path(self.path(self.spec.output.folder))

    def journeys(
        self,
        *,
        threads: int | None = None,
        memory_limit: int | str | None = None,
        progress: Progress | None = None,
    ) -> Journeys:
        """Hand the job over to the Python interface: the recipe for its journeys, nothing read yet.

        Close its engine in the end: a Spark session may have been made for it.
        """
        engine = self._engine(threads, memory_limit, progress)
        try:
            return self._form(engine)
        except BaseException:
            engine.close()
            raise

    def _engine(self, threads: int | None, memory_limit: int | str | None, progress: Progress | None) -> Engine:
        ask = self.spec.engine
        common: dict[str, Any] = {
            "threads": threads or ask.threads, "memory_limit": memory_limit or ask.memory_limit, "progress": progress
        }  # fmt: skip
        if ask.kind == "spark":
            return SparkEngine.start(ask.master, ask.options, partitions=ask.partitions, **common)
        return LocalEngine(spill=None if ask.spill is None else self.path(ask.spill), **common)

    def _form(self, engine: Engine) -> Journeys:
        source = self.spec.input
        if source.paths is not None:
            columns = source.model_dump(include={"path", "sep", "conversions", "value", "nulls"}, exclude_unset=True)
            limits = self.spec.journeys.model_dump(include={"max_players", "max_rejects"})
            return Journeys.from_paths(self.path(source.paths), **columns, **limits, engine=engine)
        outcomes = InlineOutcome(**source.outcome.model_dump()) if source.outcome else self.path(str(source.outcomes))
        return Journeys.from_events(
            self.path(str(source.touchpoints)),
            outcomes,
            **self.spec.journeys.model_dump() | {"stages": self.stages},
            columns=source.columns.mapping() or None,
            identities=None if source.identities is None else self.path(source.identities),
            engine=engine,
        )

    def costs(self) -> Costs | None:
        """Read, check and sum the costs: before the journeys, so that no long work ends at a bad row."""
        source, ask = self.spec.input, self.spec.journeys
        if source.costs is None:
            return None
        shared = {ours: theirs for ours, theirs in source.columns.mapping().items() if isinstance(theirs, str)}
        table = open_costs(self.path(source.costs), source.columns.costs, shared)
        keys = [*ask.by, *([STAGE] if self.stages else []), *ask.player]
        everywhere = isinstance(self.stages, StageModel) and ask.view == "advance"
        return Costs(total_costs(table, keys, everywhere=everywhere), table.fingerprint())

    @property
    def asks_for_adjusted(self) -> bool:
        """Whether the job wants credit by what customers are worth."""
        return self.spec.referral_adjusted is not None or self.spec.retention_adjusted is not None

    def values(self) -> list[str]:
        """Name the files of values that adjusted credit takes, each once."""
        asked = (self.spec.referral_adjusted, self.spec.retention_adjusted)
        named = [table.values for table in asked if table is not None and table.values is not None]
        return list(dict.fromkeys(named))

    def fingerprints_of_values(self) -> list[dict[str, Any]]:
        """What identifies these files."""
        return [open_table(self.path(written), "values").fingerprint() for written in self.values()]

    def sharing(self) -> dict[str, Method]:
        """Methods that have shares of each journey, which adjusted credit divides by.

        Raises
        ------
        SpecError
            ``no_touch_shares`` if there is none.
        """
        found = {name: method for name, method in self.methods.items() if has_touch_rule(method)}
        if not found:
            touch_rule_of(next(iter(self.methods.values())))
        return found

    def feeds_on_itself(self) -> str | None:
        """Name the input that would hold the files of ``output``: overwritten, or read by the next run."""
        files = [self.output / name for name in OUTPUTS]
        return fed_by(self.spec.input, self.folder, files, self.values())

    def full_spec(self) -> dict[str, Any]:
        """Spell out the job with its defaults, and the content of the model and stage files it names."""
        spec = self.spec.model_dump()
        options = spec["engine"]["options"]
        spec["engine"]["options"] = {key: "…" if SECRET.search(key) else value for key, value in options.items()}
        names = {kind: name for name, kind in METHODS.items()}
        for entry, (name, method) in zip(spec["models"], self.methods.items(), strict=True):
            entry |= {"name": name, "method": names[type(method)], "parameters": dataclasses.asdict(method)}
        spec["stages"] = dataclasses.asdict(self.stages) if self.stages else None
        return spec


def fed_by(source: InputSpec, folder: Path, files: Sequence[Path], more: Sequence[str] = ()) -> str | None:
    """Name the input of a job file in a folder, or one of ``more``, that would hold one of some files of one folder."""
    files = [file.resolve() for file in files]
    for written in filter(
        None, (source.touchpoints, source.outcomes, source.paths, source.costs, source.identities, *more)
    ):
        place = Path(written if "://" in written else folder / written).resolve()
        if place.is_dir() and files[0].parent.is_relative_to(place):
            return written
        pattern = str(place)
        for file in files:
            # only ** reaches through folders, and Path.match does not know it
            if fnmatch.fnmatchcase(str(file), pattern) if "**" in pattern else file.match(pattern):
                return written
    return None


def load(path: str | Path) -> Job:
    """Read a job file with the model and stage files that it names.

    Raises
    ------
    SpecError
        ``unknown_key``, ``unknown_method``, ``unknown_parameter``… with the place and the right name.
    """
    spec, folder = read_job(path), Path(path).resolve().parent
    for key in spec.checks.ignore:
        if key not in KEYS:
            raise SpecError(
                "unknown_finding",
                f'{Path(path).name}: [checks] ignore "{key}" is no finding{nearest(key, KEYS)}',
                hint=f"findings: {', '.join(KEYS)}",
                found=key,
            )
    methods: dict[str, Method] = {}
    for number, entry in enumerate(spec.models, start=1):
        method = method_of(entry, folder, f"{Path(path).name}: [[models]] no. {number}")
        name = entry.name or method.label
        if name in methods:
            hint = "give one of them another name, or remove it"
            raise SpecError("duplicate_model", f"two models are called {brief(name)}", hint=hint, name=name)
        methods[name] = method
    job = Job(spec, folder, methods, _stages(spec, folder))
    if job.asks_for_adjusted:
        job.sharing()
    return job


def build_method(method: str, parameters: Mapping[str, Any], where: str) -> Method:
    """Make a method from its name in snake case and its parameters.

    Raises
    ------
    SpecError
        ``unknown_method``, ``unknown_parameter`` or ``bad_parameter``, also for covariates, which no file names.

    Examples
    --------
    >>> build_method("markov", {"order": 2}, "job.toml").label
    'markov(order=2)'
    """
    if method not in METHODS:
        raise SpecError(
            "unknown_method",
            f'{where} method "{method}" is not known{called_elsewhere(method) or nearest(method, METHODS)}',
            hint=f"methods: {', '.join(METHODS)}",
            found=method,
        )
    allowed = [field.name for field in dataclasses.fields(METHODS[method])]
    for key in parameters:
        if key not in allowed:
            raise SpecError(
                "unknown_parameter",
                f"{where} {key} is not known{nearest(key, [*allowed, 'name', 'file'])}",
                hint=f"parameters of {method}: {', '.join(allowed) or 'none'}",
                found=key,
            )
        if key == "covariates":
            raise SpecError(
                "bad_parameter",
                f"{where} {method}: covariates are no part of a file",
                hint="a frame or a file of them is given to the method in Python",
            )
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in parameters.items()}
    try:
        built: Method = METHODS[method](**plain)
    except SpecError as error:
        raise SpecError(error.key, f"{where} {method}: {error.message}", hint=error.hint, **error.facts) from error
    except TypeError as error:
        raise SpecError("bad_parameter", f"{where} {method}: {error}", method=method) from error
    return built


def method_of(entry: ModelSpec, folder: Path, where: str) -> Method:
    """Make the method of an entry of ``[[models]]``; model files are looked up from the folder."""
    if entry.file is None:
        return build_method(str(entry.method), entry.parameters, where)
    model = read_model(folder / entry.file)
    return build_method(model.method, model.parameters, entry.file)


def _stages(spec: JobSpec, folder: Path) -> StageModel | StageColumn | None:
    stages = spec.journeys.stages
    if stages is None:
        return None
    if isinstance(stages, str):
        return resolve_stages(folder / stages if stages.endswith(".toml") else stages)
    return StageColumn(stages.column, stages.order)
