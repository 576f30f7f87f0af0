"""Strict models of the TOML files: the job (``attrib run JOB.toml``) and the model file.

Unknown keys, wrong types and keys that exclude each other are errors with the place, the found and the
right name. Defaults are spelled out here so that the manifest shows them; a test holds them equal to the
defaults of the Python interface. Paths stay as they were written: ``attrib.job`` resolves them.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from attrib.faults import describe
from attrib.toml_files import JOB, check_kind, read_toml


def _duration(value: object) -> object:
    if value is None or isinstance(value, str):
        return value
    raise PydanticCustomError("bad_type", 'must be text such as "30d" or "unlimited"')


def _lookback(value: object) -> object:
    if not isinstance(value, dict):
        return _duration(value)
    if not value:
        raise PydanticCustomError("bad_value", "needs at least one interaction")
    for interaction, duration in value.items():
        if not isinstance(duration, str):
            raise PydanticCustomError(
                "bad_type",
                'of "{interaction}" must be text such as "30d" or "unlimited"',
                {"interaction": interaction},
            )
    return value


def _stages(value: object) -> object:
    if value is None or isinstance(value, str | dict | StageColumnSpec):
        return value
    raise PydanticCustomError("bad_type", "must be the name of a preset, the path of a stage file, or a table")


def _size(value: object) -> object:
    if value is None or isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise PydanticCustomError("bad_type", 'must be a number of bytes or text such as "4GB"')


def _flat(value: object, before: str = "") -> object:
    """Read dotted keys, which TOML takes for tables in tables, as the names that they are."""
    if not isinstance(value, dict):
        return value
    flat: dict[str, object] = {}
    for key, entry in value.items():
        inner = _flat(entry, f"{before}{key}.")
        if not isinstance(inner, str | int | float | dict):
            raise PydanticCustomError(
                "bad_type", 'of "{option}" must be text, a number, true or false', {"option": before + key}
            )
        flat |= inner if isinstance(inner, dict) else {before + key: inner}
    return flat


def _exclude(given: Collection[str], keys: Collection[str], reason: str) -> None:
    for key in keys:
        if key in given:
            raise PydanticCustomError(
                "excluded_key", "{key} does not belong here: {reason}", {"key": key, "reason": reason}
            )


Text = Annotated[str, Field(min_length=1)]
Duration = Annotated[str | None, BeforeValidator(_duration)]
Lookback = Annotated[str | dict[str, str] | None, BeforeValidator(_lookback)]
Names = Annotated[tuple[Text, ...], Field(strict=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class OutcomeSpec(_Strict):
    """``[input.outcome]``: outcomes are flagged rows of the touchpoints table."""

    flag: Text = "conversion"
    value: Text | None = None
    outcome: Text = "purchase"
    flag_kind: Literal["flag", "count"] = "flag"


class ColumnsSpec(_Strict):
    """``[input.columns]``: ours = theirs for both tables, and a table of such pairs for only one of them."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Text] = Field(init=False)

    touchpoints: dict[str, Text] = Field(default_factory=dict)
    outcomes: dict[str, Text] = Field(default_factory=dict)
    costs: dict[str, Text] = Field(default_factory=dict)

    def mapping(self) -> dict[str, str | dict[str, str]]:
        """Spell the pairs as ``attrib.Journeys.from_events`` takes them."""
        tables = {"touchpoints": self.touchpoints, "outcomes": self.outcomes}
        return {**self.__pydantic_extra__, **{name: pairs for name, pairs in tables.items() if pairs}}


class InputSpec(_Strict):
    """``[input]``: event tables (touchpoints with outcomes), or one path table; with either, costs."""

    touchpoints: Text | None = None
    outcomes: Text | None = None
    outcome: OutcomeSpec | None = None
    paths: Text | None = None
    path: Text = "path"
    sep: Text = " > "
    conversions: Text = "total_conversions"
    value: Text | None = "total_conversion_value"
    nulls: Text | None = "total_null"
    costs: Text | None = None
    identities: Text | None = None
    columns: ColumnsSpec = ColumnsSpec()

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = self.model_fields_set
        if self.costs is None and self.columns.costs:
            _exclude(("columns.costs",), ("columns.costs",), "there are no costs")
        if self.paths is not None:
            if self.columns.costs and not self.columns.mapping():
                given = given - {"columns"}  # those of the costs stand beside any input
            _exclude(given, ("touchpoints", "outcomes", "outcome", "identities", "columns"), "paths is the whole input")
        elif self.touchpoints is None:
            raise PydanticCustomError("missing_key", "needs touchpoints (with outcomes), or paths")
        else:
            _exclude(given, ("path", "sep", "conversions", "value", "nulls"), "that key describes a path table")
            if (self.outcomes is None) == (self.outcome is None):
                raise PydanticCustomError(
                    "missing_key",
                    "needs either outcomes (a file) or the table [input.outcome] (flagged rows)",
                )
            if self.outcome is not None and self.columns.outcomes:
                _exclude(("columns.outcomes",), ("columns.outcomes",), "outcomes are rows of the touchpoints")
        return self


class StageColumnSpec(_Strict):
    """``stages = { column = "stage", order = […] }``: touchpoints carry their stage."""

    column: Text = "stage"
    order: Names


class JourneysSpec(_Strict):
    """``[journeys]``: the keyword arguments of ``attrib.Journeys.from_events``."""

    target: Text | None = "purchase"
    lookback: Lookback = "30d"
    max_gap: Duration = None
    maturity: Duration = None
    prefer: Names = ()
    repeats: Literal["keep", "collapse", "first", "last"] = "keep"
    max_component: Annotated[int, Field(ge=1)] = 50
    max_touches: Annotated[int, Field(ge=1)] | None = None
    after_conversion: Literal["reset", "keep"] = "reset"
    duplicates: Literal["drop", "keep"] = "drop"
    day_of_outcome: Literal["auto", "end", "start"] = "auto"
    stages: Annotated[str | StageColumnSpec | None, BeforeValidator(_stages)] = None
    view: Literal["advance", "resolved"] = "advance"
    by: Names = ()
    player: Annotated[Names, Field(min_length=1)] = ("channel",)
    max_players: Annotated[int, Field(ge=1)] = 10_000
    max_rejects: Annotated[float, Field(ge=0, le=1)] = 0.05
    refunds: Literal["net", "keep"] = "net"
    count_refunded: bool = False


class ModelSpec(_Strict):
    """``[[models]]``: a model file, or a method with its parameters; either may be given a name."""

    file: Text | None = None
    name: Text | None = None
    method: Text | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        rest = {key: value for key, value in table.items() if key not in {"file", "name", "method"}}
        known = {key: value for key, value in table.items() if key not in rest}
        if "file" in known and (rest or "method" in known):
            extra = next(iter(rest), "method")
            raise PydanticCustomError(
                "excluded_key",
                "{extra} cannot stand beside file: a model file fixes its parameters, only name may be added",
                {"extra": extra},
            )
        if "file" not in known and "method" not in known:
            raise PydanticCustomError("missing_key", "needs file (a model file) or method (and its parameters)")
        return known | {"parameters": rest}


class IntervalsSpec(_Strict):
    """``[intervals]``: on by default; ``replicates = 0`` turns them off."""

    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    replicates: Annotated[int, Field(ge=0)] = 1000
    seed: Annotated[int, Field(ge=0)] = 0
    flag: bool = False


class ReferralAdjustedSpec(_Strict):
    """``[referral_adjusted]``: the keyword arguments of ``attrib.referral_adjusted``."""

    channel: Annotated[Names, Field(min_length=1)] = ("referral",)
    pass_on: Annotated[float, Field(ge=0, le=1)] = 0.5
    values: Text | None = None


class RetentionAdjustedSpec(_Strict):
    """``[retention_adjusted]``: the keyword arguments of ``attrib.retention_adjusted``."""

    values: Text


class ChecksSpec(_Strict):
    """``[checks]``: findings on the data that are known, and not to be told again."""

    ignore: Names = ()


class OutputSpec(_Strict):
    """``[output]``."""

    folder: Text = "out"


class EngineSpec(_Strict):
    """``[engine]``: resources; nothing here changes a number."""

    kind: Literal["local", "spark"] = "local"
    threads: Annotated[int, Field(ge=1)] | None = None
    memory_limit: Annotated[int | str | None, BeforeValidator(_size)] = None
    spill: Text | None = None
    master: Text | None = None
    partitions: Annotated[int, Field(ge=1)] | None = None
    options: Annotated[dict[str, str | int | float | bool], BeforeValidator(_flat)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _keys_of_the_kind(self) -> Self:
        given = [
            key for key in self.model_fields_set if getattr(self, key)
        ]  # run.json spells out what is not asked for
        if self.kind == "spark":
            _exclude(given, ("spill",), "executors do not spill")
        else:
            _exclude(given, ("master", "partitions", "options"), 'it is for kind = "spark"')
        return self


class JobSpec(_Strict):
    """A whole job file."""

    input: InputSpec
    journeys: JourneysSpec = JourneysSpec()
    models: Annotated[tuple[ModelSpec, ...], Field(strict=False, min_length=1)]
    intervals: IntervalsSpec = IntervalsSpec()
    referral_adjusted: ReferralAdjustedSpec | None = None
    retention_adjusted: RetentionAdjustedSpec | None = None
    checks: ChecksSpec = ChecksSpec()
    output: OutputSpec = OutputSpec()
    engine: EngineSpec = EngineSpec()

    @model_validator(mode="after")
    def _paths_have_no_times(self) -> Self:
        if self.input.paths is not None:
            extra = sorted(self.journeys.model_fields_set - {"max_players", "max_rejects"})
            if extra:
                raise PydanticCustomError(
                    "excluded_key",
                    "[journeys] {extra} needs events: a path table takes only max_players and max_rejects",
                    {"extra": extra[0]},
                )
            if self.engine.kind == "spark":
                _exclude(("kind",), ("kind",), "a path table is summed on one machine, without [engine] spark")
        return self

    @model_validator(mode="after")
    def _adjusted_follows_customers(self) -> Self:
        adjusted = [name for name in ("referral_adjusted", "retention_adjusted") if getattr(self, name) is not None]
        if self.input.paths is not None:
            _exclude(adjusted, adjusted, "a path table has no customers")
        if self.journeys.stages is not None and self.journeys.view == "advance":
            _exclude(adjusted, adjusted, 'it needs one journey that wins a customer, [journeys] view = "resolved"')
        if self.engine.kind == "spark":
            _exclude(adjusted, ("referral_adjusted",), "referrals are followed on one machine, without [engine] spark")
        return self


class ModelFile(_Strict):
    """A model file, ``models/<name>/model.toml``: a method with all its parameters fixed."""

    name: Text
    method: Text
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)


Spec = TypeVar("Spec", bound=_Strict)


def read_job(path: str | Path) -> JobSpec:
    r"""Read and check a job file.

    Parameters
    ----------
    path : str or Path
        The TOML file.

    Returns
    -------
    JobSpec

    Raises
    ------
    SpecError
        ``no_file``, ``bad_toml``, ``unknown_key``, ``missing_key``, ``excluded_key``, ``bad_type`` or
        ``bad_value``; with several faults the key of the first, and a message that lists them all.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     job = Path(folder) / "job.toml"
    ...     _ = job.write_text('[input]\npaths = "p.csv"\n[[models]]\nmethod = "linear"\n')
    ...     read_job(job).models[0].method
    'linear'
    """
    content = read_toml(Path(path))
    check_kind(content, JOB, Path(path).name)
    return parse(JobSpec, content, Path(path).name)


def read_model(path: str | Path) -> ModelFile:
    r"""Read and check a model file; see :func:`read_job` for the errors.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "model.toml"
    ...     _ = file.write_text('name = "m"\nmethod = "markov"\n[parameters]\norder = 2\n')
    ...     read_model(file).parameters
    {'order': 2}
    """
    return parse(ModelFile, read_toml(Path(path)), Path(path).name)


def parse(model: type[Spec], content: dict[str, Any], where: str) -> Spec:
    """Check the content of a file against its model and say what is wrong in plain words.

    Examples
    --------
    >>> parse(ModelFile, {"name": "m", "metod": "linear"}, "model.toml")
    Traceback (most recent call last):
    attrib.errors.SpecError: model.toml has 2 faults:
      - method is missing
      - metod is not known; did you mean method?
    allowed here: name, method, description, parameters
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise describe(model, error, where) from None
