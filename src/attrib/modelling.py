"""Models of the later stages from files to files: ``fit``, ``score`` and ``evaluate``, each on one page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from attrib import lifecycle
from attrib.engines.base import Progress
from attrib.errors import DataError, SpecError, warn
from attrib.faults import nearest
from attrib.io import manifest, sinks
from attrib.io.sources import InlineOutcome, open_table
from attrib.lifecycle import tables as rows_of
from attrib.lifecycle.applying import Data, drift_of, fit_to, judge, scores_of
from attrib.lifecycle.contractual.names import model_name
from attrib.lifecycle.judging import groups
from attrib.lifecycle.saving.storage import SavedModel, open_model, save
from attrib.lifecycle.tables import EventTables
from attrib.snapshots.asked import read_date
from attrib.spec_models import OF_PURCHASES, EstimatorFile, PurchasesSpec, SnapshotSpec, read_data, read_estimator

ESTIMATORS = {
    "churn_classifier": "ChurnClassifier",
    "survival_churn": "SurvivalChurn",
    "referral_likelihood": "ReferralLikelihood",
    "beta_geo_nbd": "BetaGeoNBD",
    "gamma_gamma": "GammaGamma",
}
_NAMES = {value: key for key, value in ESTIMATORS.items()}
_LIBRARIES = ("scikit-learn", "lifelines", "skops")
TABLES = ("metrics", "reliability", "gains", "drift", "leaks", "scores")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command computed and wrote.

    Attributes
    ----------
    title : str
        One line that says what was done.
    tables : dict of polars.DataFrame
        Some of ``metrics``, ``reliability``, ``gains``, ``drift``, ``leaks``, ``scores``.
    record : dict
        The content of ``run.json``.
    files : tuple of Path
    warnings : tuple of str
    """

    title: str
    tables: dict[str, pl.DataFrame]
    record: dict[str, Any]
    files: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()


def fit(model_file: str | Path, data_file: str | Path, out: str | Path, *, progress: Progress | None = None) -> Outcome:
    """Fit the model of a model file to the data of a job file, judge it out of time, and save it.

    Parameters
    ----------
    model_file : str or Path
        See docs/jobs.md.
    data_file : str or Path
        A job file; its ``[input]`` and the limits in its ``[journeys]`` are used.
    out : str or Path
        Folder of the model, its metrics and ``run.json``.
    progress : callable, optional
        Called with (stage, done, total or None).

    Returns
    -------
    Outcome
        The metrics are of dates that the model has not seen, and that begin after its labels were over.

    Raises
    ------
    AttribError
        See the exit codes in :mod:`attrib.errors`; then nothing has been written.
    """
    recorder, place = manifest.Recorder(), Path(out)
    spec = read_estimator(model_file)
    model = _estimator(spec, Path(model_file).name)
    sinks.ensure_writable(place)
    with _step(recorder, progress, "read"):
        data = _data(data_file)
    asked = _asked(spec)
    with _step(recorder, progress, "fit"):
        dates, features, tables = fit_to(model, spec.estimator, asked, data)
    with _step(recorder, progress, "evaluate"):
        if dates.test:
            tables |= judge(model, spec.estimator, asked, data, dates.test)
    kept = asked | {name: [day.isoformat() for day in getattr(dates, name)] for name in ("train", "test")}
    fingerprint = save(
        model, place, name=spec.name, description=spec.description, snapshot=kept,
        metrics=tables.get("metrics"), training_data=features,
    )  # fmt: skip
    more = {
        "model": {"name": spec.name, "estimator": spec.estimator, "fingerprint": fingerprint},
        "spec": spec.model_dump(),
    }
    title = f"{spec.name}: fitted to {features.height:,} rows"
    return _written(title, recorder, data, more, tables, place, ("metrics", "reliability", "gains", "leaks"))


def score(
    saved: str | Path,
    data_file: str | Path,
    out: str | Path,
    *,
    at: str | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Score the customers of a job file as they stand at a date.

    Parameters
    ----------
    saved : str or Path
        Folder of a model that `fit` saved.
    data_file : str or Path
    out : str or Path
        A folder (``scores.parquet``, ``scores.csv``, ``run.json``), or one file ending in .parquet or .csv (its
        manifest stands beside it, ``<name>.run.json``).
    at : str, optional
        The date; by default just after the last event.
    progress : callable, optional

    Returns
    -------
    Outcome
        With ``scores``: ``customer_id``, ``date``, ``score`` and what else the model says, ``model``, ``fingerprint``.
    """
    recorder, place = manifest.Recorder(), Path(out)
    found = open_model(saved)
    single = place.suffix.lower() in (".parquet", ".csv")
    sinks.ensure_writable(place.parent if single else place)
    with _step(recorder, progress, "read"):
        data = _data(data_file)
    with _step(recorder, progress, "score"):
        day = data.end + timedelta(microseconds=1) if at is None else _day(at, data)
        scores, features = scores_of(found, _NAMES[type(found.model).__name__], _kept(found), data, day)
        tables = {"scores": scores} | drift_of(found, features)
    about = {"name": found.name, "fingerprint": found.fingerprint}
    more: dict[str, Any] = {"model": about, "date": day.isoformat()}
    more |= {"rows": scores.height, "scores_sha256": manifest.credit_hash(scores)}
    title = f"{found.name}: {scores.height:,} customers scored as of {day.isoformat(sep=' ')}"
    names = ("scores",)
    return _written(title, recorder, data, more, tables, place, names, parquet=("scores",))


def evaluate(
    saved: str | Path,
    data_file: str | Path,
    *,
    out: str | Path | None = None,
    at: Sequence[str] = (),
    replicates: int = 200,
    progress: Progress | None = None,
) -> Outcome:
    """Judge a saved model by the data of a job file.

    Parameters
    ----------
    saved : str or Path
        Folder of a model that `fit` saved.
    data_file : str or Path
    out : str or Path, optional
        Folder for the tables as CSV and ``run.json``.
    at : sequence of str, optional
        Dates to judge it at; by default the latest whose labels are known. A warning tells of dates that lie before
        the labels of training were over.
    replicates : int
        Bootstrap draws.
    progress : callable, optional

    Returns
    -------
    Outcome
        With ``metrics``, ``reliability``, ``gains`` and ``drift`` (of the features against training).
    """
    recorder = manifest.Recorder()
    found = open_model(saved)
    kind, asked = _NAMES[type(found.model).__name__], _kept(found)
    if out is not None:
        sinks.ensure_writable(Path(out))
    with _step(recorder, progress, "read"):
        data = _data(data_file)
    with _step(recorder, progress, "evaluate"):
        days = tuple(_day(text, data) for text in at) or _latest(asked, kind, data)
        _warn_if_seen(found, asked, kind, days)
        tables = judge(found.model, kind, asked, data, days, replicates, found)
    more = {"model": {"name": found.name, "fingerprint": found.fingerprint}, "dates": [day.isoformat() for day in days]}
    named = ", ".join(day.isoformat(sep=" ") for day in days)
    place = None if out is None else Path(out)
    names = ("metrics", "reliability", "gains", "drift")
    return _written(f"{found.name}: judged at {named}", recorder, data, more, tables, place, names)


@contextmanager
def _step(recorder: manifest.Recorder, progress: Progress | None, name: str) -> Iterator[None]:
    """Time a step, and tell of it."""
    with recorder.phase(name):
        if progress is not None:
            progress(name, 0, None)
        yield


def _estimator(spec: EstimatorFile, where: str) -> Any:
    kind = getattr(lifecycle, ESTIMATORS[spec.estimator])
    allowed = list(kind._parameters())  # noqa: SLF001 - what scikit-learn calls so is get_params of an instance
    for name in spec.parameters:
        if name not in allowed:
            raise SpecError(
                "unknown_parameter",
                f"{where}: [parameters] {name} is not known{nearest(name, allowed)}",
                hint=f"parameters of {spec.estimator}: {', '.join(allowed) or 'none'}",
            )
    survival = spec.estimator == "survival_churn"
    if survival and model_name(spec.parameters.get("model", "cox")) == "time_varying_cox":
        hint = 'in Python: SurvivalChurn(model="time_varying_cox")'
        raise SpecError("bad_parameter", f"{where}: model = time_varying_cox takes rows that change", hint=hint)
    stages = None if spec.snapshot is None else spec.snapshot.stages
    if stages is not None and stages.endswith(".toml"):
        hint = 'a preset, such as "five": a model stands for itself, and its stages do not change'
        raise SpecError("bad_value", f"{where}: [snapshot] stages = {stages!r} is a file", hint=hint)
    return kind(**spec.parameters)


def _data(file: str | Path) -> Data:
    spec, folder = read_data(file), Path(file).resolve().parent
    source = spec.input
    if source.paths is not None:
        raise SpecError("bad_value", f"{Path(file).name}: paths have neither customers nor times", hint="give events")

    def path(written: str) -> str:
        return written if "://" in written else str(folder / written)

    outcomes = InlineOutcome(**source.outcome.model_dump()) if source.outcome else path(str(source.outcomes))
    limits = spec.journeys
    tables = EventTables(
        path(str(source.touchpoints)), outcomes, source.columns.mapping() or None, limits.max_rejects, limits.duplicates
    )
    named = {"touchpoints": tables.touchpoints, "outcomes": outcomes}
    inputs = [open_table(place, name).fingerprint() for name, place in named.items() if isinstance(place, str)]
    return Data(tables, tables.events(), inputs)


def _asked(spec: EstimatorFile) -> dict[str, Any]:
    if spec.estimator in OF_PURCHASES:
        return (spec.purchases or PurchasesSpec()).model_dump()
    return (spec.snapshot or SnapshotSpec()).model_dump()


def _kept(found: SavedModel) -> dict[str, Any]:
    """What a saved model was trained on, checked as the model file was: it comes from a file, too."""
    known = {name: value for name, value in found.snapshot.items() if name not in ("channels", "train", "test")}
    table = PurchasesSpec if type(found.model).__name__ in ("BetaGeoNBD", "GammaGamma") else SnapshotSpec
    if not known:
        raise DataError("bad_model", "this model does not say what its rows are", hint="fit it with attrib fit")
    try:
        asked = table.model_validate(known | ({"at": ()} if table is SnapshotSpec else {})).model_dump()
    except ValueError as error:
        raise DataError("bad_model", "this model does not say what its rows are", hint="fit it again") from error
    channels = found.snapshot.get("channels")
    if channels is not None and not (isinstance(channels, list) and all(isinstance(one, str) for one in channels)):
        raise DataError("bad_model", "the channels of this model are no names", hint="fit it again")
    return asked | {"channels": channels}


def _latest(asked: dict[str, Any], kind: str, data: Data) -> tuple[datetime, ...]:
    """Choose the last date whose labels are known."""
    if kind in OF_PURCHASES:
        day = data.end - timedelta(days=groups.days(asked["horizon"]))
        return (day.replace(hour=0, minute=0, second=0, microsecond=0),)
    return rows_of.split_dates({**asked, "at": (), "test_dates": max(asked["test_dates"], 1)}, data.end).test


def _warn_if_seen(found: SavedModel, asked: dict[str, Any], kind: str, days: Sequence[datetime]) -> None:
    listed = found.snapshot.get("train")
    trained = [read_date(text, "train") for text in listed] if isinstance(listed, list) else []
    if not trained:
        return
    # purchases are learned up to the date itself
    over = max(trained) if kind in OF_PURCHASES else rows_of.label_end(asked, max(trained))
    early = [day for day in days if day < over]
    if early:
        warn(
            f"{len(early)} of {len(days)} dates lie before {over.isoformat(sep=' ')}, when the labels of training were "
            "over: the model has seen these times, and its metrics are better than it is"
        )


def _day(text: str, data: Data) -> datetime:
    return rows_of.on_clock(read_date(text, "at"), data.events.zone)


def _written(
    title: str,
    recorder: manifest.Recorder,
    data: Data,
    more: Mapping[str, Any],
    tables: dict[str, pl.DataFrame],
    place: Path | None,
    names: Sequence[str],
    parquet: Sequence[str] = (),
) -> Outcome:
    """Write tables and the record of the run, that last."""
    outputs: dict[Path, sinks.Writer] = {}
    run = None
    if place is not None and place.suffix.lower() in (".parquet", ".csv") and parquet:
        write = sinks.csv if place.suffix.lower() == ".csv" else sinks.parquet
        outputs[place] = write(tables[parquet[0]])
        run = place.with_name(f"{place.stem}.run.json")
    elif place is not None:
        outputs |= {place / f"{name}.parquet": sinks.parquet(tables[name]) for name in parquet}
        outputs |= {place / f"{name}.csv": sinks.csv(tables[name]) for name in names if name in tables}
        run = place / "run.json"
    notes = recorder.warnings()
    record = recorder.facts(_LIBRARIES) | dict(more) | {
        "inputs": data.inputs, "warnings": list(notes), "files": [file.name for file in outputs]
    }  # fmt: skip
    record = _finite(record)
    files: tuple[Path, ...] = ()
    if run is not None:
        files = sinks.write_set({**outputs, run: sinks.document(record)})
    return Outcome(title, tables, record, files, notes)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
