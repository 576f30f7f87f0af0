"""Strict models of the files of `attrib fit`: an estimator with its parameters, and the data of a job file."""

from __future__ import annotations

import datetime as dt
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from attrib.spec import Duration, JobSpec, ModelSpec, Names, Text, _read_toml, _Strict, parse

OF_SNAPSHOTS = ("churn_classifier", "survival_churn", "referral_likelihood")
OF_PURCHASES = ("beta_geo_nbd", "gamma_gamma")


def _dates(value: object) -> object:
    """TOML knows dates; they are kept as text, as the manifest shows them."""
    if isinstance(value, (str, dt.date)):
        value = [value]
    if not isinstance(value, (list, tuple)):
        return value
    return [entry.isoformat() if isinstance(entry, dt.date) else entry for entry in value]


class SnapshotSpec(_Strict):
    """``[snapshot]``: what a row of training is, and at which dates; see ``attrib.snapshot``."""

    window: Duration = "180d"
    gap: Text = "7d"
    horizon: Text = "90d"
    target: Text | None = None
    churn: Text | None = None
    at: Annotated[Names, BeforeValidator(_dates)] = ()
    every: Text = "30d"
    dates: Annotated[int, Field(ge=1)] = 6
    test_dates: Annotated[int, Field(ge=0)] = 1
    active_only: bool = False
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
    """``[purchases]``: which outcomes are purchases, in which unit of time, and how far ahead to look."""

    target: Text = "purchase"
    unit: Text = "w"
    horizon: Text = "90d"
    holdout: bool = True


class EstimatorFile(_Strict):
    """A model file of the later stages, ``models/<name>/model.toml``."""

    name: Text
    estimator: Literal["churn_classifier", "survival_churn", "referral_likelihood", "beta_geo_nbd", "gamma_gamma"]
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    snapshot: SnapshotSpec | None = None
    purchases: PurchasesSpec | None = None

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
        if self.estimator in ("churn_classifier", "survival_churn") and not (asked.target or asked.churn):
            raise PydanticCustomError("missing_key", '[snapshot] needs churn (an outcome, or "silent") or target', {})
        return self


class DataSpec(JobSpec):
    """A job file, of which only the data are wanted: ``[[models]]`` may be missing."""

    models: Annotated[tuple[ModelSpec, ...], Field(strict=False)] = ()


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
    return parse(EstimatorFile, _read_toml(Path(path)), Path(path).name)


def read_data(path: str | Path) -> DataSpec:
    """Read and check a job file for its data; see :func:`attrib.spec.read_job` for the errors."""
    return parse(DataSpec, _read_toml(Path(path)), Path(path).name)


def is_estimator(path: str | Path) -> bool:
    """Tell a model file of the later stages from one of a method of credit: it names an estimator."""
    return "estimator" in tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
