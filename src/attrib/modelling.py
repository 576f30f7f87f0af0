"""Models of the later stages from files to files: ``fit``, ``score`` and ``evaluate``, each on one page."""

from __future__ import annotations

import json
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
from attrib.errors import DataError, SpecError, brief, warn
from attrib.faults import nearest
from attrib.io import manifest, sinks
from attrib.io.identities import read_identities
from attrib.io.sources import InlineOutcome, open_table
from attrib.lifecycle import tables as rows_of
from attrib.lifecycle.applying import Data, chosen_of, drift_of, fit_to, judge, left_out, scores_of
from attrib.lifecycle.contractual.names import model_name
from attrib.lifecycle.judging import groups
from attrib.lifecycle.saving.places import ABOUT, saved_name
from attrib.lifecycle.saving.storage import LARGEST, Parts, SavedModel, open_model, parts_of
from attrib.loading import fed_by
from attrib.refunds import Refunding
from attrib.showing import Shown
from attrib.snapshots.asked import EVERYONE
from attrib.snapshots.events import read_events
from attrib.spec_models import OF_PURCHASES, EstimatorFile, PurchasesSpec, SnapshotSpec, read_data, read_estimator
from attrib.values import read_date

ESTIMATORS = {
    "churn_classifier": "ChurnClassifier",
    "survival_churn": "SurvivalChurn",
    "referral_likelihood": "ReferralLikelihood",
    "auto": "PurchaseChoice",
    "beta_geo_nbd": "BetaGeoNBD",
    "modified_beta_geo_nbd": "ModifiedBetaGeoNBD",
    "pareto_nbd": "ParetoNBD",
    "gamma_gamma": "GammaGamma",
}
_NAMES = {value: key for key, value in ESTIMATORS.items()}
_LIBRARIES = ("scikit-learn", "lifelines", "skops")
OF_FIT = ("metrics", "reliability", "gains", "leaks", "by_frequency", "choice")
OF_EVALUATION = ("metrics", "reliability", "gains", "drift", "by_frequency")


@dataclass(frozen=True, slots=True, repr=False)
class Outcome(Shown):
    """What a command computed and wrote.

    Attributes
    ----------
    title : str
        One line that says what was done.
    tables : dict of polars.DataFrame
        Some of ``metrics``, ``reliability``, ``gains``, ``drift``, ``leaks``, ``by_frequency``, ``choice``, ``scores``.
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


def fit(
    model_file: str | Path,
    data_file: str | Path,
    out: str | Path,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Fit the model of a model file to the data of a job file, judge it out of time, and save it.

    Parameters
    ----------
    model_file : str or Path
        See docs/jobs.md.
    data_file : str or Path
        A job file; its ``[input]`` and the limits in its ``[journeys]`` are used.
    out : str or Path
        Folder of the model, its metrics and ``run.json``. What an earlier fit of a model of the same name has written
        there is replaced, all at once; nothing else is.
    overwrite : bool
        Whether a model of another name is replaced, too.
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
    model, asked = _estimator(spec, Path(model_file).name), _asked(spec)
    names = [f"{name}.csv" for name in OF_FIT]
    _check_model_place(place, spec.name, overwrite=overwrite)
    _check_place(place / "run.json", [*names, ABOUT], data_file)
    more = spec.asked.columns if spec.asked else ()
    with _step(recorder, progress, "read"):
        data = _data(data_file, asked, tuple(dict.fromkeys((*asked.get("features", ()), *more))))
    with _step(recorder, progress, "fit"):
        treatment = None if spec.asked is None else spec.asked.model_dump()
        dates, features, tables = fit_to(model, spec.estimator, asked, data, treatment)
        model, reason = chosen_of(model)
        kind = _NAMES[type(model).__name__]
    with _step(recorder, progress, "evaluate"):
        if dates.test:
            tables |= judge(model, kind, asked, data, dates.test)
    kept = asked | {name: [day.isoformat() for day in getattr(dates, name)] for name in ("train", "test")}
    said = "; ".join(text for text in (spec.description, reason) if text)
    parts = parts_of(model, spec.name, said, kept, tables.get("metrics"), features)
    about: dict[str, Any] = {
        "model": {"name": spec.name, "estimator": spec.estimator, "fingerprint": parts.fingerprint},
        "spec": spec.model_dump(),
    }
    about |= {"chosen": kind, "reason": reason} if reason else {}
    for what in ("rows", "left_out", "without_repeat", "cancelled"):
        counted = {part: counts[what] for part, counts in data.counts.items() if what in counts}
        about |= {what: counted} if counted else {}
    title = f"{spec.name}: fitted to {features.height:,} rows{left_out(data.counts.get('train'))}"
    title += f"; {reason}" if reason else ""
    return _written(title, recorder, data, about, tables, place, OF_FIT, model=parts)


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
        manifest stands beside it, ``<name>.run.json``). Earlier scores are replaced; nothing else is.
    at : str, optional
        The date; by default the first midnight after the last event, so that everything is known by then.
    progress : callable, optional

    Returns
    -------
    Outcome
        With ``scores``: ``customer_id``, ``date``, ``score`` and what else the model says, ``model``, ``fingerprint``.
    """
    recorder, place = manifest.Recorder(), Path(out)
    found = open_model(saved)
    asked = _kept(found)
    if _is_file(place):
        _check_place(_run_beside(place), [place.name], data_file)
    else:
        _check_place(place / "run.json", ["scores.parquet", "scores.csv"], data_file)
    with _step(recorder, progress, "read"):
        data = _data(data_file, asked, asked.get("features", ()))
    with _step(recorder, progress, "score"):
        day = rows_of.next_midnight(data.end) if at is None else _day(at, data)
        scores, features = scores_of(found, _NAMES[type(found.model).__name__], asked, data, day)
        tables = {"scores": scores} | drift_of(found, features)
    about = {"name": found.name, "fingerprint": found.fingerprint}
    more: dict[str, Any] = {"model": about, "date": day.isoformat(), "date_given": at is not None}
    more |= {"rows": scores.height, **data.counts.get("score", {})}
    more |= {"scores_sha256": manifest.credit_hash(scores)}
    more |= {"meaning": found.model.meaning_} if "meaning" in scores.columns else {}
    title = f"{found.name}: {scores.height:,} customers scored as of {day.isoformat(sep=' ')}"
    title += left_out(data.counts.get("score"))
    return _written(title, recorder, data, more, tables, place, ("scores",), parquet=("scores",))


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
        Folder for the tables as CSV and ``run.json``; those of an earlier evaluation are replaced.
    at : sequence of str, optional
        Dates to judge it at; by default the latest whose labels are known. A warning tells of dates that lie before
        the labels of training were over, and so does the record: ``dates_seen``.
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
    place = None if out is None else Path(out)
    if place is not None:
        _check_place(place / "run.json", [f"{name}.csv" for name in OF_EVALUATION], data_file)
    with _step(recorder, progress, "read"):
        data = _data(data_file, asked, asked.get("features", ()))
    with _step(recorder, progress, "evaluate"):
        days = tuple(_day(text, data) for text in at) or _latest(asked, kind, data)
        seen = _seen_dates(found, asked, kind, days)
        tables = judge(found.model, kind, asked, data, days, replicates, found)
    about = {"name": found.name, "fingerprint": found.fingerprint}
    more: dict[str, Any] = {"model": about, "dates": [day.isoformat() for day in days]}
    more |= {"dates_seen": seen, **data.counts.get("test", {})}
    named = ", ".join(day.isoformat(sep=" ") for day in days)
    title = f"{found.name}: judged at {named}{left_out(data.counts.get('test'))}"
    return _written(title, recorder, data, more, tables, place, OF_EVALUATION)


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
        raise SpecError("bad_value", f"{where}: [snapshot] stages = {brief(stages)} is a file", hint=hint)
    return kind(**spec.parameters)


def _check_model_place(folder: Path, name: str, *, overwrite: bool) -> None:
    """Let a model be replaced by itself, fitted again; by another only if that is asked for."""
    there = saved_name(folder, LARGEST[ABOUT])
    if there not in (None, name) and not overwrite:
        hint = "choose another --out, or give --overwrite"
        raise SpecError("model_exists", f"{folder} holds the model {brief(there)}, not {brief(name)}", hint=hint)


def _check_place(run: Path, names: Sequence[str], data_file: str | Path) -> None:
    """Find out early whether files may be written: they replace only what ``run`` says the same command has written."""
    folder = run.parent
    fed = fed_by(read_data(data_file).input, Path(data_file).resolve().parent, [folder / name for name in names])
    if fed is not None:
        hint = "choose another --out"
        raise SpecError("output_in_input", f"the results in {folder} would become input: {fed}", hint=hint)
    written = _files_of(run)
    there = [file for file in names if file not in written and file != ABOUT and (folder / file).exists()]
    if not set(written) <= set(names):
        there.append(run.name)
    if there:
        hint = "choose another --out, or remove what is there"
        raise SpecError(
            "other_files", f"{folder} holds files that this command has not written: {', '.join(there)}", hint=hint
        )
    sinks.ensure_writable(folder)


def _files_of(run: Path) -> list[str]:
    """Files that the record of a run names; its own name if it is no such record."""
    try:
        files = json.loads(run.read_text(encoding="utf-8"))["files"]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return [run.name]
    return [str(file) for file in files] if isinstance(files, list) else [run.name]


def _is_file(place: Path) -> bool:
    return place.suffix.lower() in (".parquet", ".csv")


def _run_beside(file: Path) -> Path:
    return file.with_name(f"{file.stem}.run.json")


def _data(file: str | Path, asked: Mapping[str, Any], own: tuple[str, ...] = ()) -> Data:
    spec, folder = read_data(file), Path(file).resolve().parent
    source = spec.input
    if source.paths is not None:
        raise SpecError("bad_value", f"{Path(file).name}: paths have neither customers nor times", hint="give events")

    def path(written: str) -> str:
        return written if "://" in written else str(folder / written)

    outcomes = InlineOutcome(**source.outcome.model_dump()) if source.outcome else path(str(source.outcomes))
    limits = spec.journeys
    touchpoints = path(str(source.touchpoints))
    named = {"touchpoints": touchpoints, "outcomes": outcomes}
    linked = None
    if source.identities is not None:
        named["identities"] = path(source.identities)
        linked = read_identities(named["identities"], limits.max_component)
    refunding = Refunding(limits.refunds, limits.count_refunded)
    events = read_events(
        touchpoints, outcomes, source.columns.mapping() or None, own, limits.max_rejects, refunding,
        day_of_outcome=limits.day_of_outcome, linked=linked,
    )  # fmt: skip
    rows_of.tell_of_tables(events, asked, spec.checks.ignore, drop=limits.duplicates == "drop")
    inputs = [open_table(place, name).fingerprint() for name, place in named.items() if isinstance(place, str)]
    return Data(events, own, limits.duplicates, inputs)


def _asked(spec: EstimatorFile) -> dict[str, Any]:
    if spec.estimator in OF_PURCHASES:
        return (spec.purchases or PurchasesSpec()).model_dump()
    return (spec.snapshot or SnapshotSpec()).model_dump()


def _kept(found: SavedModel) -> dict[str, Any]:
    """What a saved model was trained on, checked as the model file was: it comes from a file, too."""
    known = {name: value for name, value in found.snapshot.items() if name not in ("channels", "train", "test")}
    table = PurchasesSpec if _NAMES[type(found.model).__name__] in OF_PURCHASES else SnapshotSpec
    if known and table is SnapshotSpec:
        known = {"population": EVERYONE} | known  # of models that were saved before there was a choice
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


def _seen_dates(found: SavedModel, asked: dict[str, Any], kind: str, days: Sequence[datetime]) -> list[str] | None:
    """Dates of a time that the model has learned from, with a warning; None if it does not say what it has seen."""
    listed = found.snapshot.get("train")
    trained = [read_date(text, "train") for text in listed] if isinstance(listed, list) else []
    if not trained:
        return None
    # purchases are learned up to the date itself
    over = max(trained) if kind in OF_PURCHASES else rows_of.label_end(asked, max(trained))
    early = [day for day in days if day < over]
    if early:
        warn(
            f"{len(early)} of {len(days)} dates lie before {over.isoformat(sep=' ')}, when the labels of training were "
            "over: the model has seen these times, and its metrics look better than they would on new data"
        )
    return [day.isoformat() for day in early]


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
    model: Parts | None = None,
) -> Outcome:
    """Write tables, the model and the record of the run, that last."""
    outputs: dict[Path, sinks.Writer] = {}
    run = None
    if place is not None and parquet and _is_file(place):
        write = sinks.csv if place.suffix.lower() == ".csv" else sinks.parquet
        outputs[place] = write(tables[parquet[0]])
        run = _run_beside(place)
    elif place is not None:
        outputs |= {place / f"{name}.parquet": sinks.parquet(tables[name]) for name in parquet}
        outputs |= {place / f"{name}.csv": sinks.csv(tables[name]) for name in names if name in tables}
        run = place / "run.json"
    listed = [file.name for file in outputs]
    gone: list[Path] = []
    if run is not None:
        gone = [run.with_name(name) for name in _files_of(run) if name not in (*listed, ABOUT)]
    if model is not None and place is not None:
        outputs |= model.outputs(place)
        listed.append(ABOUT)
        gone += model.obsolete(place)
    notes = recorder.warnings()
    record = recorder.facts(_LIBRARIES) | dict(more) | {
        "inputs": data.inputs, "events": data.events.facts, "warnings": list(notes), "findings": recorder.findings(),
        "files": listed,
    }  # fmt: skip
    record = _finite(record)
    files: tuple[Path, ...] = ()
    if run is not None:
        files = sinks.write_set({**outputs, run: sinks.document(record)}, obsolete=gone)
    return Outcome(title, tables, record, files, notes)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
