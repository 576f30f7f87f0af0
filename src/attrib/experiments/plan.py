"""What an experiment consists of: units of work, each named by the hash of everything that its result depends on."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from attrib.errors import SpecError, brief
from attrib.experiments import worlds
from attrib.io.manifest import canonical, sha256
from attrib.io.sources import InlineOutcome, open_table
from attrib.loading import method_of
from attrib.methods import METHODS, LastTouch
from attrib.methods.base import Method
from attrib.spec import JourneysSpec, parse
from attrib.spec_experiment import OF_INTERVALS, OF_METHODS, OF_TRUTH, ExperimentSpec, FilesSpec, read_experiment

FILE = "experiment.toml"
RANDOM, LAST = "random", "last_touch"
PER_CHANNEL = "conversions_per_channel"  # column of the results
_TELLING = {  # sources that show results and cannot change them
    "__main__.py", "cli.py", "console.py", "demo.py", "experiment.py", "warming.py", "testing.py",
    "experiments/figure.py", "experiments/page.py", "experiments/results.py", "experiments/running.py",
    "experiments/tracking.py",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setting:
    """How journeys are made, under a name (empty where the experiment has one setting only)."""

    name: str
    journeys: JourneysSpec


@dataclass(frozen=True, slots=True)
class Unit:
    """One piece of work for one process.

    Attributes
    ----------
    kind : {"truth", "limit", "run"}
        The truth about a world; all methods on very many customers, as the target of their intervals; or all methods
        on one data set, which is scored.
    world : str
        Name of the scenario or of the data, or the path of a scenario file.
    files : dict or None
        Where the data are files: their ``[[data]]`` entry, paths resolved.
    seen : str
        What of a world's events, see :func:`attrib.experiments.worlds.events`.
    customers : int or None
        None for files.
    seed : int
        Of the generator, of intervals, of resamples.
    setting : Setting
    inputs : tuple of dict
        Fingerprints of the files.
    """

    kind: Literal["truth", "limit", "run"]
    world: str
    files: FilesSpec | None
    customers: int | None
    seed: int
    setting: Setting
    inputs: tuple[dict[str, Any], ...] = ()
    seen: str = worlds.LOG

    @property
    def label(self) -> str:
        """Name of the world in the results."""
        return self.world if self.files is not None else worlds.label(self.world, self.seen)


@dataclass(frozen=True)
class Experiment:
    """An experiment that has been read and found right.

    Attributes
    ----------
    folder : Path
        Where ``experiment.toml`` stands and results go.
    spec : ExperimentSpec
    methods : mapping of str to Method
        By their name in the results; with the reference ``last_touch`` unless it was there or was not wanted.
    settings : tuple of Setting
    """

    folder: Path
    spec: ExperimentSpec
    methods: Mapping[str, Method]
    settings: tuple[Setting, ...]

    @property
    def scenarios(self) -> tuple[str, ...]:
        """Scenarios of the worlds; files of the folder by their path."""
        names = () if self.spec.worlds is None else self.spec.worlds.scenarios
        return tuple(str(self.folder.resolve() / name) if name.endswith(".toml") else name for name in names)

    @property
    def models(self) -> tuple[str, ...]:
        """Names in the results, in order; the reference ``random`` last."""
        return (*self.methods, *([RANDOM] if self.spec.references else []))

    def full_spec(self) -> dict[str, Any]:
        """Spell out what the results depend on: the file with its defaults and the model files it names."""
        kinds = {kind: name for name, kind in METHODS.items()}
        spec = self.spec.model_dump(exclude={"question", "figure", "models", "results", "shares", "tables"})
        spec["journeys"] = _told(self.spec.journeys)
        spec["data"] = [_told_of_files(data) for data in self.spec.data]
        if self.spec.worlds is not None and self.spec.worlds.seen == (worlds.LOG,):
            del spec["worlds"]["seen"]  # a key that is younger than the first results, which stay valid
        if not self.spec.told:
            del spec["told"]  # younger, too
        if own := {Path(one).name: _content(one) for one in self.scenarios if one.endswith(".toml")}:
            spec["scenario_files"] = own
        spec["settings"] = [{"name": s.name, "journeys": _told(s.journeys)} for s in self.settings]
        spec["models"] = [
            {"name": name, "method": kinds.get(type(m), type(m).__name__), "parameters": dataclasses.asdict(m)}
            for name, m in self.methods.items()
        ]
        return spec

    @property
    def spec_sha256(self) -> str:
        """Hash of :meth:`full_spec`."""
        return sha256(canonical(self.full_spec()))

    def known(self) -> Iterator[Unit]:
        """Units that others need first: truths and limits of the worlds."""
        ask = self.spec.worlds
        if ask is None:
            return
        asked = set(self.spec.metrics)
        if asked & set(OF_TRUTH) or (self.spec.players and not asked <= set(OF_METHODS)):
            for scenario in self.scenarios:
                for setting in self.settings:
                    yield Unit("truth", scenario, None, ask.truth_customers, ask.truth_seed, setting)
        if "coverage" in asked:
            for scenario, seen in itertools.product(self.scenarios, ask.seen):
                for setting in self.settings:
                    yield Unit("limit", scenario, None, ask.limit_customers, ask.truth_seed, setting, seen=seen)

    def runs(self) -> Iterator[Unit]:
        """Units that are scored, in the order of the results."""
        ask = self.spec.worlds
        if ask is not None:
            for scenario, seen, customers in itertools.product(self.scenarios, ask.seen, ask.customers):
                for setting in self.settings:
                    for seed in self.spec.seeds:
                        yield Unit("run", scenario, None, customers, seed, setting, seen=seen)
        for data in self.spec.data:
            entry, inputs = _resolved(data, self.folder), tuple(_fingerprints(data, self.folder))
            for setting in self.settings:
                for seed in self.spec.seeds:
                    yield Unit("run", data.name, entry, None, seed, setting, inputs)

    def key(self, unit: Unit, needed: Mapping[str, str]) -> str:
        """Hash of everything that the result of a unit depends on: itself, what it needs, methods, code.

        Parameters
        ----------
        unit : Unit
        needed : mapping of str to str
            Keys of the units whose results it takes.
        """
        full = self.full_spec()
        about: dict[str, Any] = {
            "kind": unit.kind,
            "world": unit.label,
            "scenario": _content(unit.world) if unit.world.endswith(".toml") and unit.files is None else None,
            "files": None if unit.files is None else {**_told_of_files(unit.files), **dict.fromkeys(_PLACES)},
            "inputs": unit.inputs,
            "customers": unit.customers,
            "seen": unit.seen,
            "seed": unit.seed,
            "days": None if self.spec.worlds is None else self.spec.worlds.days,
            "journeys": _told(unit.setting.journeys),
            "needed": dict(needed),
            "code": code_version(),
        }
        if unit.kind == "truth":  # of the journeys it takes these only; so settings share it
            about["journeys"] = {key: about["journeys"][key] for key in ("target", "stages", "view")}
        else:
            about |= {key: full[key] for key in ("models", "metrics", "intervals", "references", "players")}
            about["agreement"] = full["agreement"]
            about["told"] = self.spec.told
        return sha256(canonical(about))

    def own_inputs(self) -> list[dict[str, Any]]:
        """Identify the data files that stand in the folder itself, and so belong to the experiment."""
        home = self.folder.resolve()
        return [
            found
            for data in self.spec.data
            for found in _fingerprints(data, self.folder, lambda place: Path(place).is_relative_to(home))
        ]

    @property
    def intervals(self) -> bool:
        """Whether a metric asks for intervals."""
        return bool(set(self.spec.metrics) & set(OF_INTERVALS))


def load(folder: str | Path) -> Experiment:
    """Read the experiment of a folder, with the model files it names.

    Raises
    ------
    SpecError
        ``unknown_key``, ``unknown_method``, ``unknown_scenario``… with the place and the right name.
    """
    folder = Path(folder)
    spec = read_experiment(folder / FILE)
    methods: dict[str, Method] = {}
    for number, entry in enumerate(spec.models, start=1):
        method = method_of(entry, folder, f"{FILE}: [[models]] no. {number}")
        name = entry.name or method.label
        if name in methods or name == RANDOM:
            hint = "give one of them another name" if name in methods else f"{RANDOM} is the name of a reference"
            raise SpecError("duplicate_model", f"two models are called {brief(name)}", hint=hint, name=name)
        methods[name] = method
    if spec.references and LAST not in methods:
        methods[LAST] = LastTouch()
    experiment = Experiment(folder, spec, methods, _settings(spec))
    if spec.against not in experiment.models:
        listed = ", ".join(experiment.models)
        raise SpecError("bad_value", f"against is {brief(spec.against)}, which is no model", hint=f"models: {listed}")
    for name in spec.told:
        if getattr(methods.get(name), "hazards", "latent") == "latent":
            able = ", ".join(name for name, one in methods.items() if getattr(one, "hazards", "latent") != "latent")
            hint = f"models that can: {able or 'none'}; incremental can with hazards = 'glm' or 'boosting'"
            raise SpecError(
                "bad_value", f"told: {brief(name)} is no model that can be told of intent", hint=hint, name=name
            )
    for scenario in experiment.scenarios:
        worlds.check_scenario(scenario)
    return experiment


def _settings(spec: ExperimentSpec) -> tuple[Setting, ...]:
    if not spec.settings:
        return (Setting("", spec.journeys),)
    base = spec.journeys.model_dump(exclude_unset=True)
    return tuple(
        Setting(one.name, parse(JourneysSpec, {**base, **one.changes()}, f"{FILE}: settings {one.name}"))
        for one in spec.settings
    )


_YOUNGER = ("max_touches", "after_conversion", "max_component", "refunds", "count_refunded", "day_of_outcome")
_DEFAULT = JourneysSpec().model_dump()
_PLACES = ("touchpoints", "outcomes", "paths", "costs", "name")


def _resolved(data: FilesSpec, folder: Path) -> FilesSpec:
    """The entry with paths that hold from anywhere."""
    places = {
        key: str((folder / written).resolve())
        for key in _PLACES[:4]
        if (written := getattr(data, key)) is not None and "://" not in written
    }
    return data.model_copy(update=places)


def _fingerprints(
    data: FilesSpec, folder: Path, wanted: Callable[[str], bool] = lambda _: True
) -> Iterator[dict[str, Any]]:
    entry = _resolved(data, folder)
    for table in _PLACES[:3]:
        if (place := getattr(entry, table)) is not None and wanted(place):
            yield open_table(place, table).fingerprint()


def _told(journeys: JourneysSpec) -> dict[str, Any]:
    """Spell out how journeys are made, but for keys that are younger than the first results and not used."""
    told = journeys.model_dump()
    return {key: value for key, value in told.items() if key not in _YOUNGER or value != _DEFAULT[key]}


def _told_of_files(data: FilesSpec) -> dict[str, Any]:
    """Spell out what is read from files, but for keys that are younger than the first results and not used."""
    told = data.model_dump()
    if told["identities"] is None:
        del told["identities"]
    if told["outcome"] is not None and told["outcome"]["flag_kind"] == "flag":
        del told["outcome"]["flag_kind"]
    return told


def _content(file: str) -> str:
    """Hash of a scenario file; one that is not there is told of by who reads it."""
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError:
        return ""


def inline(data: FilesSpec) -> InlineOutcome | None:
    """Outcomes that are flagged rows of the touchpoints, if they are."""
    return InlineOutcome(**data.outcome.model_dump()) if data.outcome else None


@cache
def code_version() -> str:
    """Hash of the sources that compute: any change of them makes results of other code."""
    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for source in sorted(package.rglob("*.py")):
        name = source.relative_to(package).as_posix()
        if name not in _TELLING and not name.startswith("report/"):
            digest.update(f"{name}\0".encode() + source.read_bytes())
    for table in sorted((package / "synth").rglob("*.toml")):  # the scenarios
        digest.update(table.read_bytes())
    return digest.hexdigest()
