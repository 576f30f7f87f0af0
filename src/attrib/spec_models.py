"""Strict models of the files of `attrib fit`: an estimator with its parameters, and the data of a job file."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from attrib.spec import Duration, JobSpec, ModelSpec, Names, Text, _Strict, parse
from attrib.toml_files import ESTIMATOR, JOB, check_kind, read_toml

_OF_CREDIT = ("models", "intervals", "referral_adjusted", "retention_adjusted", "output", "engine")
_OF_JOURNEYS = (  # what is left are the limits, and what else is said of the rows
    "target", "lookback", "max_gap", "maturity", "prefer", "repeats", "stages", "view", "by", "player", "max_players",
)  # fmt: skip
OF_SNAPSHOTS = ("churn_classifier", "survival_churn", "referral_likelihood")
OF_PURCHASES = ("auto", "beta_geo_nbd", "modified_beta_geo_nbd", "pareto_nbd", "gamma_gamma")


def _dates(value: object) -> object:
    """TOML knows dates; they are kept as text, as the manifest shows them."""
    if isinstance(value, (str, dt.date)):
        value = [value]
    if not isinstance(value, (list, tuple)):
        return value
    return [entry.isoformat() if isinstance(entry, dt.date) else entry for entry in value]


def _names(value: object) -> object:
    """One name may stand for a list of one."""
    return [value] if isinstance(value, str) else value


def _chance(value: object) -> object:
    """A share as a number, or the name of a column that holds it."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is None or (isinstance(value, str) and value) or (number and 0 < float(value) < 1):  # type: ignore[arg-type]
        return value
    raise PydanticCustomError("bad_value", "must be a number between 0 and 1, or the name of a column")


class SnapshotSpec(_Strict):
    """``[snapshot]``: what a row of training is, and at which dates; see ``attrib.snapshot``."""

    window: Duration = "180d"
    gap: Text = "7d"
    horizon: Text = "90d"
    target: Text | None = None
    churn: Text | None = None
    cancelled: Names | None = None
    at: Annotated[Names, BeforeValidator(_dates)] = ()
    every: Text = "30d"
    dates: Annotated[int, Field(ge=1)] = 6
    test_dates: Annotated[int, Field(ge=0)] = 1
    population: Literal["customers", "everyone"] | None = None
    active_only: bool = False
    clock: Literal["date", "tenure"] = "date"
    purchases: Names = ("purchase",)
    stages: Text | None = None
    max_channels: Annotated[int, Field(ge=0)] = 20
    features: Names = ()

    @model_validator(mode="after")
    def _dates_once(self) -> Self:
        extra = {"every", "dates"} & self.model_fields_set
        if self.at and extra:
            raise PydanticCustomError(
                "excluded_key", "{key} does not belong here: at names the dates", {"key": min(extra)}
            )
        return self


class PurchasesSpec(_Strict):
    """``[purchases]``: which outcomes are purchases, in which unit of time, how far ahead to look, who has left."""

    target: Text = "purchase"
    unit: Text = "w"
    horizon: Text = "90d"
    holdout: bool = True
    cancelled: Annotated[Names | None, BeforeValidator(_names)] = None


class AskedSpec(_Strict):
    """``[asked]``: what marks a customer as asked to refer, and with which chance."""

    channel: Text | None = None
    interaction: Text | None = None
    outcome: Text | None = None
    propensity: Annotated[float | str | None, BeforeValidator(_chance)] = None

    @model_validator(mode="after")
    def _one_mark(self) -> Self:
        marks = ("channel", "interaction", "outcome")
        if sum(getattr(self, name) is not None for name in marks) != 1:
            raise PydanticCustomError("missing_key", "needs one of channel, interaction and outcome", {})
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the touchpoints that must be read for it."""
        named = ("interaction",) if self.interaction is not None else ()
        return (*named, self.propensity) if isinstance(self.propensity, str) else named


class EstimatorFile(_Strict):
    """A model file of the later stages, ``models/<name>/model.toml``."""

    name: Text
    estimator: Literal[
        "churn_classifier", "survival_churn", "referral_likelihood",
        "auto", "beta_geo_nbd", "modified_beta_geo_nbd", "pareto_nbd", "gamma_gamma",
    ]  # fmt: skip
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    snapshot: SnapshotSpec | None = None
    purchases: PurchasesSpec | None = None
    asked: AskedSpec | None = None

    @model_validator(mode="after")
    def _table_of_the_kind(self) -> Self:
        wrong = "snapshot" if self.estimator in OF_PURCHASES else "purchases"
        if getattr(self, wrong) is not None:
            raise PydanticCustomError(
                "excluded_key",
                "[{table}] does not belong here: {estimator} learns from {other}",
                {
                    "table": wrong,
                    "estimator": self.estimator,
                    "other": "purchases" if wrong == "snapshot" else "snapshots",
                },
            )
        asked = self.snapshot or SnapshotSpec()
        for table, belongs, given in (
            ("[asked]", "referral_likelihood", self.asked is not None),
            ("[snapshot] clock", "survival_churn", "clock" in asked.model_fields_set),
        ):
            if given and self.estimator != belongs:
                raise PydanticCustomError(
                    "excluded_key",
                    "{table} does not belong here: it is for {belongs}",
                    {"table": table, "belongs": belongs},
                )
        if self.estimator in ("churn_classifier", "survival_churn") and not (asked.target or asked.churn):
            raise PydanticCustomError("missing_key", '[snapshot] needs churn (an outcome, or "silent") or target', {})
        if self.estimator == "referral_likelihood" and asked.churn == "silent":
            text = '[snapshot] churn = "silent" does not belong here: name the outcome after which customers are gone'
            raise PydanticCustomError("excluded_key", text, {})
        return self


def _without(table: Any, keys: tuple[str, ...]) -> Any:
    """A table without some keys; what is no table is left for its model to refuse."""
    return {key: value for key, value in table.items() if key not in keys} if isinstance(table, dict) else table


class DataSpec(JobSpec):
    """A job file of which only the data are wanted, so that faults of the rest do not matter."""

    models: Annotated[tuple[ModelSpec, ...], Field(strict=False)] = ()

    @model_validator(mode="before")
    @classmethod
    def _only_data(cls, content: Any) -> Any:
        """Leave out what says how journeys are made and credited; what is in no job file stays, as a fault."""
        if not isinstance(content, dict):
            return content
        kept = _without(content, _OF_CREDIT)
        kept |= {name: _without(content[name], _OF_JOURNEYS) for name in ("journeys",) if name in content}
        source = content.get("input")
        if isinstance(source, dict):
            # the file of costs is not read, but no result may replace it
            source = source if isinstance(source.get("costs"), str) else _without(source, ("costs",))
            columns = {name: _without(source[name], ("costs",)) for name in ("columns",) if name in source}
            kept["input"] = source | columns
        return kept


def read_estimator(path: str | Path) -> EstimatorFile:
    r"""Read and check a model file of the later stages; see :func:`attrib.spec.read_job` for the errors.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "model.toml"
    ...     _ = file.write_text('name = "m"\nestimator = "gamma_gamma"\n')
    ...     read_estimator(file).estimator
    'gamma_gamma'
    """
    content = read_toml(Path(path))
    check_kind(content, ESTIMATOR, Path(path).name)
    return parse(EstimatorFile, content, Path(path).name)


def read_data(path: str | Path) -> DataSpec:
    """Read and check a job file for its data; see :func:`attrib.spec.read_job` for the errors."""
    content = read_toml(Path(path))
    check_kind(content, JOB, Path(path).name)
    return parse(DataSpec, content, Path(path).name)


def is_estimator(path: str | Path) -> bool:
    """Tell a model file of the later stages from one of a method of credit: it names an estimator."""
    return "estimator" in read_toml(Path(path))
