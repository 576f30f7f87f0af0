"""Logging to MLflow: a run for the experiment, and within it one for each model in each cell.

Only this file imports it (``attrib[mlflow]``).
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attrib.errors import ResourceError, SpecError
from attrib.experiments.plan import Experiment
from attrib.experiments.results import CELL, MODEL, Tables
from attrib.extras import install

_LONGEST = 500  # characters of a parameter


def check_available() -> None:
    """Check, before long work, that MLflow is installed.

    Raises
    ------
    SpecError
        ``missing_extra``.
    """
    if find_spec("mlflow") is None:
        raise SpecError("missing_extra", "MLflow is not installed", hint=install("mlflow"))


def log(experiment: Experiment, tables: Tables, record: dict[str, Any], files: tuple[Path, ...], store: str) -> str:
    """Log an experiment.

    Parameters
    ----------
    experiment : Experiment
    tables : Tables
    record : dict
        The content of run.json.
    files : tuple of Path
        Logged as artifacts.
    store : str
        Tracking URI: a folder, ``file:…``, ``http://…``.

    Returns
    -------
    str
        Id of the run.

    Raises
    ------
    ResourceError
        ``tracking_failed``: the results are on disk, but not in the store.
    """
    check_available()
    if "://" not in store or store.startswith("file:"):
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # somebody who names a folder wants one
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        return _log(MlflowClient(store), experiment, tables, record, files)
    except (MlflowException, OSError) as error:
        hint = "run the command again when the store is there: nothing is computed twice"
        raise ResourceError("tracking_failed", f"{store} took no log: {error}", hint=hint) from error


def _log(client: Any, experiment: Experiment, tables: Tables, record: dict[str, Any], files: tuple[Path, ...]) -> str:
    from mlflow.entities import Metric, Param, RunTag

    name = experiment.folder.resolve().name
    known = client.get_experiment_by_name(name)
    place = client.create_experiment(name) if known is None else known.experiment_id
    about = {"question": experiment.spec.question, "spec_sha256": record["spec_sha256"], "attrib": record["attrib"]}
    outer = client.create_run(place, tags=about, run_name=record["started"]).info.run_id
    design = {"seeds": len(experiment.spec.seeds), "metrics": ", ".join(experiment.spec.metrics)}
    if experiment.spec.worlds is not None:
        design |= experiment.spec.worlds.model_dump()
    client.log_batch(outer, params=[Param(key, str(value)[:_LONGEST]) for key, value in design.items()])
    for file in files:
        client.log_artifact(outer, str(file))
    for keys, part in tables.summary.partition_by([*CELL, MODEL], as_dict=True, maintain_order=True).items():
        where = {key: str(value) for key, value in zip((*CELL, MODEL), keys, strict=True) if value not in (None, "")}
        tags = [RunTag("mlflow.parentRunId", outer), RunTag("spec_sha256", record["spec_sha256"])]
        inner = client.create_run(place, run_name=", ".join(where.values())).info.run_id
        numbers = []
        for row in part.rows(named=True):
            for column, ending in (("mean", ""), ("se", "_se"), ("difference", "_difference")):
                if row[column] is not None:
                    numbers.append(Metric(f"{row['metric']}{ending}", row[column], 0, 0))
        params = [Param(key, value[:_LONGEST]) for key, value in where.items()]
        client.log_batch(inner, metrics=numbers, params=params, tags=tags)
        client.set_terminated(inner)
    client.set_terminated(outer)
    return str(outer)
