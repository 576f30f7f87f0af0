"""Strict models of ``experiment.toml``: a question, and what is computed to answer it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from attrib.spec import Duration, InputSpec, JourneysSpec, Lookback, ModelSpec, Names, Text, _Strict, parse
from attrib.toml_files import read_toml

Metric = Literal[
    "share_error", "spearman", "kendall", "increment_error", "budget_regret", "truth_coverage",
    "coverage", "width", "stability", "log_likelihood", "auc",
]  # fmt: skip
OF_TRUTH = ("share_error", "spearman", "kendall", "increment_error", "budget_regret", "truth_coverage")
OWN_TABLES = ("results.csv", "summary.csv", "players.csv", "agreement.csv")
OF_INTERVALS = ("truth_coverage", "coverage", "width")
OF_METHODS = ("coverage", "width")  # about the intervals of methods: players.csv needs no truth beside them
MOST_SEEDS = 100_000
Seen = Literal["log", "persons", "everything"]


def _several(value: object) -> object:
    """Read one thing as a list of it."""
    return value if isinstance(value, (list, tuple)) else [value]


def _seeds(value: object) -> object:
    """Read ``20`` as the seeds 0, …, 19."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_SEEDS:
        return list(range(value))
    if isinstance(value, int):
        raise PydanticCustomError("bad_value", "must be a number of seeds from 1 to 100000, or a list of them")
    return value


Counts = Annotated[
    tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False, min_length=1), BeforeValidator(_several)
]
Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0, lt=2**53)], ...], Field(strict=False, min_length=1), BeforeValidator(_seeds)
]


class WorldsSpec(_Strict):
    """``[worlds]``: generated customers, whose truth is known."""

    scenarios: Annotated[Names, Field(min_length=1), BeforeValidator(_several)] = ("default",)
    customers: Counts = (10_000,)
    seen: Annotated[tuple[Seen, ...], Field(strict=False, min_length=1), BeforeValidator(_several)] = ("log",)
    days: Annotated[int, Field(ge=1)] | None = None
    truth_customers: Annotated[int, Field(ge=1)] = 100_000
    truth_seed: Annotated[int, Field(ge=0, lt=2**53)] = 1_000_000_007
    limit_customers: Annotated[int, Field(ge=1)] = 1_000_000


class FilesSpec(InputSpec):
    """``[[data]]``: files with a name; the other keys are those of ``[input]`` of a job, but for costs."""

    name: Text

    @model_validator(mode="after")
    def _without_costs(self) -> Self:
        if self.costs is not None:
            raise PydanticCustomError(
                "excluded_key", "costs does not belong here: experiments on files do not use them"
            )
        return self


class SettingSpec(_Strict):
    """``[[settings]]``: keys of ``[journeys]`` that differ, under a name."""

    name: Text
    target: Text | None = None
    lookback: Lookback = None
    max_gap: Duration = None
    maturity: Duration = None
    prefer: Names | None = None
    repeats: Literal["keep", "collapse", "first", "last"] | None = None
    stages: Text | None = None
    view: Literal["advance", "resolved"] | None = None

    def changes(self) -> dict[str, Any]:
        """Return the keys that are given."""
        return {key: getattr(self, key) for key in self.model_fields_set - {"name"}}


class IntervalSpec(_Strict):
    """``[intervals]``: off unless a metric asks for them."""

    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    replicates: Annotated[int, Field(ge=2)] = 1000
    fewest: Annotated[float, Field(ge=0)] = 50.0


class ExperimentSpec(_Strict):
    """A whole experiment file."""

    question: Text
    models: Annotated[tuple[ModelSpec, ...], Field(strict=False, min_length=1)]
    metrics: Annotated[tuple[Metric, ...], Field(strict=False, min_length=1)]
    seeds: Seeds = (0,)
    worlds: WorldsSpec | None = None
    data: Annotated[tuple[FilesSpec, ...], Field(strict=False)] = ()
    journeys: JourneysSpec = JourneysSpec()
    settings: Annotated[tuple[SettingSpec, ...], Field(strict=False)] = ()
    intervals: IntervalSpec = IntervalSpec()
    references: bool = True
    against: Text = "last_touch"
    players: bool = False
    agreement: bool = False
    told: Annotated[Names, BeforeValidator(_several)] = ()
    shares: bool = False
    tables: Annotated[tuple[Text, ...], Field(strict=False), BeforeValidator(_several)] = ()
    figure: bool = True
    results: Literal["runs", "means"] = "runs"

    @model_validator(mode="after")
    def _one_kind_of_data(self) -> Self:
        if (self.worlds is None) == (not self.data):
            found = "neither" if self.worlds is None else "both"
            raise PydanticCustomError("missing_key", "needs [worlds] or [[data]]; {found} is given", {"found": found})
        if self.data:
            wrong = [metric for metric in self.metrics if metric in (*OF_TRUTH, "coverage")]
            if wrong:
                raise PydanticCustomError(
                    "excluded_key",
                    'metrics: "{metric}" needs [worlds]: of files the truth is not known',
                    {"metric": wrong[0]},
                )
            if self.told:
                raise PydanticCustomError("excluded_key", "told needs [worlds]: of files nobody knows the intent")
        return self

    @model_validator(mode="after")
    def _what_the_page_shows(self) -> Self:
        if self.shares and not self.players:
            raise PydanticCustomError("missing_key", "shares = true shows what players = true keeps: give both")
        for name in self.tables:
            if Path(name).name != name or not name.endswith(".csv"):
                raise PydanticCustomError(
                    "bad_value", 'tables: "{name}" is not a CSV file of the folder', {"name": name}
                )
            if name in OWN_TABLES:
                raise PydanticCustomError("bad_value", "tables: {name} is written by this command", {"name": name})
        return self

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        lists: dict[str, list[object]] = {
            "metrics": list(self.metrics),
            "seeds": list(self.seeds),
            "data name": [one.name for one in self.data],
            "settings name": [one.name for one in self.settings],
            "tables": list(self.tables),
        }
        if self.worlds is not None:
            lists |= {key: list(getattr(self.worlds, key)) for key in ("scenarios", "customers", "seen")}
        for what, entries in lists.items():
            twice = [entry for entry in entries if entries.count(entry) > 1]
            if twice:
                raise PydanticCustomError(
                    "bad_value", "{what}: {entry} stands twice", {"what": what, "entry": str(twice[0])}
                )
        return self

    @model_validator(mode="after")
    def _one_game_without_by(self) -> Self:
        if self.journeys.by or self.journeys.player != ("channel",):
            raise PydanticCustomError("excluded_key", "[journeys] by and player do not belong into an experiment")
        stages = [self.journeys.stages, *(one.stages for one in self.settings)]
        for found in stages:
            if isinstance(found, str) and found.endswith(".toml"):
                raise PydanticCustomError(
                    "bad_value", 'stages = "{file}" is a file; an experiment takes presets', {"file": found}
                )
            if self.worlds is not None and found is not None and not isinstance(found, str):
                raise PydanticCustomError(
                    "excluded_key", "[journeys] stages: generated touchpoints carry no stage; take a preset"
                )
        paths = [one.name for one in self.data if one.paths is not None]
        if paths and (self.settings or self.journeys.model_fields_set - {"max_players", "max_rejects"}):
            raise PydanticCustomError(
                "excluded_key", "[journeys] and [[settings]] need events: {name} is a path table", {"name": paths[0]}
            )
        return self


def read_experiment(path: str | Path) -> ExperimentSpec:
    r"""Read and check an experiment file; see :func:`attrib.spec.read_job` for the errors.

    Examples
    --------
    >>> import tempfile
    >>> text = '''
    ... question = "Which method is closest to the truth?"
    ... metrics = ["share_error"]
    ... seeds = 3
    ... [worlds]
    ... customers = 2000
    ... [[models]]
    ... method = "linear"
    ... '''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "experiment.toml"
    ...     _ = file.write_text(text)
    ...     read_experiment(file).seeds
    (0, 1, 2)
    """
    return parse(ExperimentSpec, read_toml(Path(path)), Path(path).name)
