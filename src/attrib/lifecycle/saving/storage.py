"""Saved models: numbers, not code, in a folder that is safe to load from anywhere.

``model.json`` says what the model is and vouches for the other files by size and hash: ``arrays-….npz``, and for
boosted trees ``trees-….skops``. These are named by their content, so that saving over an older model swaps all of it
with one rename, that of ``model.json``. Nothing is read beyond a fixed size, nothing is parsed before its hash has been
compared, and which classes there are is written here.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from stat import S_ISREG
from typing import Any

import numpy as np
import numpy.typing as npt

from attrib.errors import AttribError, DataError, SpecError, warn
from attrib.io import sinks
from attrib.io.manifest import canonical, sha256
from attrib.io.text import clean
from attrib.lifecycle.base.design import collected
from attrib.lifecycle.judging.drifting import Profile
from attrib.lifecycle.saving.archives import array, broken, members
from attrib.lifecycle.saving.contents import as_written, data_hash, plain
from attrib.lifecycle.saving.places import ABOUT, check_place
from attrib.lifecycle.saving.trees import dump_trees, load_trees
from attrib.showing import Shown

FORMAT = 1
CLASSES = {
    "BetaGeoNBD": "attrib.lifecycle.buying.geometric",
    "ChurnClassifier": "attrib.lifecycle.classifying.classifier",
    "GammaGamma": "attrib.lifecycle.buying.order_values",
    "ModifiedBetaGeoNBD": "attrib.lifecycle.buying.geometric",
    "ParetoNBD": "attrib.lifecycle.buying.pareto",
    "ReferralLikelihood": "attrib.lifecycle.classifying.referral",
    "SurvivalChurn": "attrib.lifecycle.contractual.survival",
}
MEBIBYTE = 2**20
LARGEST = {ABOUT: 64 * MEBIBYTE, ".npz": 256 * MEBIBYTE, ".skops": 512 * MEBIBYTE}
_DEEPEST = 32  # of nested tables and lists
_MOST_ARRAYS = 1000
_WITH_TREES = ("ChurnClassifier", "ReferralLikelihood")
_LIBRARIES = ("attrib", "numpy", "scipy", "polars", "scikit-learn", "lifelines", "skops")
_KEYS = (
    "format", "class", "name", "description", "state", "features", "snapshot", "training", "profile", "metrics",
    "versions", "files", "sha256",
)  # fmt: skip
_DATA_FILE = re.compile(r"(?:arrays-[0-9a-f]{12}\.npz|trees-[0-9a-f]{12}\.skops)\Z")

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, repr=False)
class SavedModel(Shown):
    """A model that was loaded, and what was saved with it.

    Attributes
    ----------
    model : estimator
        Fitted; its predictions are those of the model that was saved, to the bit.
    name, description : str
        As given to `save`.
    features : dict of str to str
        Columns that the model needs, with the types of training.
    snapshot : dict
        How the rows it was trained on were made: see `attrib.snapshot`.
    training : dict or None
        Fingerprint of the training data: ``rows``, ``columns``, ``sha256``.
    profile : Profile or None
        How the features of training were distributed, for `attrib.lifecycle.drift`.
    metrics : list of dict
        As given to `save`.
    versions : dict
        Of this package and its libraries at the time.
    fingerprint : str
        SHA-256 of all of it.
    """

    model: Any
    name: str
    description: str
    features: dict[str, str]
    snapshot: dict[str, Any]
    training: dict[str, Any] | None
    profile: Profile | None
    metrics: list[dict[str, Any]]
    versions: dict[str, str]
    fingerprint: str


def save(
    model: Any,
    folder: str | Path,
    *,
    name: str | None = None,
    description: str = "",
    snapshot: Mapping[str, Any] | None = None,
    metrics: Any = None,
    training_data: Any = None,
    overwrite: bool = False,
) -> str:
    """Save a fitted model, as numbers.

    Parameters
    ----------
    model : BetaGeoNBD, ChurnClassifier, GammaGamma, ModifiedBetaGeoNBD, ParetoNBD, ReferralLikelihood or SurvivalChurn
    folder : str or Path
        Made if it is missing.
    name, description : str, optional
        What people shall call it; by default the name of its class.
    snapshot : mapping, optional
        How the rows it was trained on were made, for whoever wants to score others: arguments of `attrib.snapshot`.
    metrics : frame, optional
        Of rows that the model has not seen, as from `attrib.lifecycle.evaluate_classifier`.
    training_data : frame, optional
        The features it was fitted to. Not stored: their hash is, and how each was distributed, for `drift`.
    overwrite : bool
        Whether a model that is there is replaced, whole or not at all. Nothing else ever is.

    Returns
    -------
    str
        Fingerprint of the saved model: SHA-256, also in ``model.json``. `load` takes it to make sure.

    Raises
    ------
    SpecError
        ``unknown_model``, ``not_fitted``, ``model_too_large``; ``model_exists``; ``other_files`` for a ``model.json``
        that is none of ours.
    ResourceError
        ``write_failed``; what was there is as it was.

    Examples
    --------
    >>> import tempfile
    >>> from attrib.lifecycle import GammaGamma, load, save
    >>> orders = [2, 1, 7, 1, 2, 3, 1, 5, 4] * 20, [22.4, 120.0, 33.7, 5.8, 75.6, 40.1, 14.0, 8.2, 19.9] * 20
    >>> model = GammaGamma().fit(*orders)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     fingerprint = save(model, place)
    ...     again = load(place, fingerprint=fingerprint)
    >>> again.params_ == model.params_
    True
    """
    place = Path(folder)
    parts = parts_of(model, name, description, snapshot, metrics, training_data)
    check_place(place, LARGEST[ABOUT], overwrite=overwrite)
    obsolete = parts.obsolete(place)
    sinks.write_set(parts.outputs(place))
    for file in obsolete:  # only now does no model.json name them
        with suppress(OSError):
            file.unlink()
    return parts.fingerprint


@dataclass(frozen=True, slots=True)
class Parts:
    """The files of a model, ready to be written: the last one vouches for the others."""

    files: dict[str, sinks.Writer]
    fingerprint: str

    def outputs(self, folder: Path) -> dict[Path, sinks.Writer]:
        """Files and their writers, in the order in which they must appear."""
        return {folder / name: writer for name, writer in self.files.items()}

    def obsolete(self, folder: Path) -> list[Path]:
        """Files of an older model, which this one does not have."""
        return [file for file in folder.glob("*") if _DATA_FILE.match(file.name) and file.name not in self.files]


def parts_of(
    model: Any,
    name: str | None = None,
    description: str = "",
    snapshot: Mapping[str, Any] | None = None,
    metrics: Any = None,
    training_data: Any = None,
) -> Parts:
    """Turn a fitted model into files, and write none of them; see `save`."""
    kind = type(model).__name__
    if CLASSES.get(kind) != type(model).__module__:
        hint = f"these can be: {', '.join(CLASSES)}"
        raise SpecError("unknown_model", f"a {kind} cannot be saved", hint=hint)
    state, arrays, trees = (*model.state(), [])[:3]
    files = {}
    grown = dump_trees(trees) if trees else b""
    for stem, suffix, content in (("arrays", ".npz", _packed(arrays)), ("trees", ".skops", grown)):
        if len(content) > LARGEST[suffix]:
            raise SpecError("model_too_large", f"{len(content):,} bytes of {stem} are more than load would read")
        if content:
            digest = hashlib.sha256(content).hexdigest()
            files[f"{stem}-{digest[:12]}{suffix}"] = (content, digest)
    about = {
        "format": FORMAT,
        "class": kind,
        "name": name or kind,
        "description": description,
        "state": state,
        "features": {feature["name"]: feature["dtype"] for feature in (state.get("design") or {}).get("features", ())},
        "snapshot": dict(snapshot or {}),
        "training": None,
        "profile": None,
        "metrics": [] if metrics is None else collected(metrics).to_dicts(),
        "versions": {library: found for library in _LIBRARIES if (found := _version(library))},
        "files": {file: {"bytes": len(content), "sha256": digest} for file, (content, digest) in files.items()},
    }
    if training_data is not None:
        table = collected(training_data)
        about["training"] = {"rows": table.height, "columns": table.width, "sha256": data_hash(table)}
        about["profile"] = Profile.of(table).to_dict()
    about = plain(about)
    about["sha256"] = fingerprint = sha256(canonical(about))
    outputs = {file: as_written(content) for file, (content, _) in files.items()}
    return Parts({**outputs, ABOUT: sinks.document(about)}, fingerprint)


def load(path: str | Path, *, fingerprint: str | None = None) -> Any:
    """Load a model that `save` wrote. Nothing in the files is ever run.

    Parameters
    ----------
    path : str or Path
        The folder.
    fingerprint : str, optional
        What `save` returned: hashes in the files protect from accidents, this one from whoever could write there.

    Returns
    -------
    estimator
        Fitted; its predictions are those of the model that was saved, to the bit.

    Raises
    ------
    DataError
        ``bad_model_file`` for files that are missing or are no model, ``model_too_large``, ``model_tampered`` where a
        hash differs, ``model_version`` for one of a newer attrib, ``bad_model`` for numbers that do not fit each other.

    See Also
    --------
    open_model : With all that was saved beside the model.
    """
    return open_model(path, fingerprint=fingerprint).model


def open_model(path: str | Path, *, fingerprint: str | None = None) -> SavedModel:
    """Load a model with what was saved beside it; see `load`."""
    folder = Path(path)
    about = _read_about(folder, fingerprint)
    arrays: dict[str, Array] = {}
    trees: list[Any] = []
    for name, facts in about["files"].items():
        content = _read_file(folder, name, facts)
        if name.endswith(".npz"):
            arrays = _unpacked(content)
        else:
            trees = load_trees(content)
            _warn_of_versions(about["versions"])
    try:
        kind = getattr(importlib.import_module(CLASSES[about["class"]]), about["class"])
        if trees and about["class"] not in _WITH_TREES:
            raise broken("trees", f"a {about['class']} has none")
        model = kind.from_state(about["state"], arrays, *([trees] if about["class"] in _WITH_TREES else []))
        profile = None if about["profile"] is None else Profile.from_dict(about["profile"])
    except AttribError as error:
        raise DataError("bad_model", f"{folder}: {error.message}", hint="fit and save it again") from error
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        why = "the parts of the model do not fit each other"
        raise DataError("bad_model", f"{folder}: {why}", hint="fit and save it again") from error
    rest = ("name", "description", "features", "snapshot", "training", "metrics", "versions")
    more = {key: about[key] for key in rest}
    return SavedModel(model=model, profile=profile, fingerprint=about["sha256"], **more)


def _read_about(folder: Path, fingerprint: str | None) -> dict[str, Any]:
    """Read ``model.json`` and check its form."""
    written = _read(folder / ABOUT, LARGEST[ABOUT])
    try:
        about = json.loads(written.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise broken(ABOUT, type(error).__name__) from error
    if not isinstance(about, dict) or "format" not in about:
        raise broken(ABOUT, "it is no table with a format")
    if type(about["format"]) is int and about["format"] > FORMAT:
        raise DataError(
            "model_version",
            f"{folder} holds a model of format {about['format']}; this attrib reads up to {FORMAT}",
            hint="open it with the version of attrib that saved it: versions.attrib in its model.json names it",
        )
    _check_depth(about)
    kinds: dict[str, Any] = {
        "format": int, "class": str, "name": str, "description": str, "state": dict, "features": dict,
        "snapshot": dict, "training": (dict, type(None)), "profile": (dict, type(None)), "metrics": list,
        "versions": dict, "files": dict, "sha256": str,
    }  # fmt: skip
    wrong = [key for key in _KEYS if key not in about or not isinstance(about[key], kinds[key])]
    wrong += [clean(key, 40) for key in about if key not in _KEYS]
    if wrong or about["format"] != FORMAT:
        raise broken(ABOUT, f"{', '.join(wrong[:5]) or 'format'} is not as it should be")
    said = about["sha256"]
    if sha256(canonical({key: value for key, value in about.items() if key != "sha256"})) != said:
        raise _tampered(folder, ABOUT)
    if fingerprint is not None and fingerprint != said:
        raise _tampered(folder, ABOUT)
    if about["class"] not in CLASSES:
        raise broken(ABOUT, f"class {clean(about['class'], 40)!r} is not one of {', '.join(CLASSES)}")
    _check_parts(about)
    return about


def _check_parts(about: dict[str, Any]) -> None:
    for part in ("features", "versions"):
        if not all(isinstance(value, str) for value in about[part].values()):
            raise broken(ABOUT, f"{part} is not as it should be")
    if not all(isinstance(row, dict) for row in about["metrics"]):
        raise broken(ABOUT, "metrics is not as it should be")
    suffixes = [name.rpartition(".")[2] for name in about["files"]]
    for name, facts in about["files"].items():
        fine = _DATA_FILE.match(name) and isinstance(facts, dict) and set(facts) == {"bytes", "sha256"}
        fine = fine and type(facts["bytes"]) is int and isinstance(facts["sha256"], str)
        if not fine or len(set(suffixes)) < len(suffixes):
            raise broken(ABOUT, "files is not as it should be")


def _read_file(folder: Path, name: str, facts: dict[str, Any]) -> bytes:
    """Read a file that ``model.json`` names, and compare its hash."""
    most = LARGEST[Path(name).suffix]
    if facts["bytes"] > most:
        raise _too_large(folder / name, facts["bytes"], most)
    content = _read(folder / name, most)
    if len(content) != facts["bytes"] or hashlib.sha256(content).hexdigest() != facts["sha256"]:
        raise _tampered(folder, name)
    return content


def _read(file: Path, most: int) -> bytes:
    try:
        facts = file.stat()
        if not S_ISREG(facts.st_mode):  # a pipe would keep us waiting
            raise broken(file.name, "it is no file")
        if facts.st_size > most:
            raise _too_large(file, facts.st_size, most)
        with file.open("rb") as opened:
            content = opened.read(most + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            "bad_model_file", f"{file} cannot be read: {reason}", hint="give the folder of a saved model"
        ) from error
    if len(content) > most:
        raise _too_large(file, len(content), most)
    return content


def _packed(arrays: Mapping[str, Array]) -> bytes:
    """Arrays as an uncompressed npz, the same bytes whenever it is written."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **{name: np.ascontiguousarray(array) for name, array in arrays.items()})
    return file.getvalue()


def _unpacked(content: bytes) -> dict[str, Array]:
    found = {}
    for member, written in members(content, "arrays", _MOST_ARRAYS).items():
        name, dot, suffix = member.rpartition(".")
        one = array(written, "arrays")
        if (dot, suffix) != (".", "npy") or one.dtype != np.float64:
            raise broken("arrays", f"{clean(member, 40)!r} is no array of float64")
        found[name] = one
    return found


def _check_depth(about: Any) -> None:
    level = [about]
    for _ in range(_DEEPEST):
        level = [
            part
            for one in level
            for part in (one.values() if isinstance(one, dict) else one)
            if isinstance(part, (dict, list))
        ]
        if not level:
            return
    raise broken(ABOUT, f"more than {_DEEPEST} tables within each other")


def _no_constant(text: str) -> float:
    raise ValueError(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def _whole(text: str) -> int:
    if len(text) > 20 or abs(int(text)) >= 2**64:
        raise ValueError("too large")
    return int(text)


def _warn_of_versions(versions: Mapping[str, str]) -> None:
    then, now = versions.get("scikit-learn", "unknown"), _version("scikit-learn")
    if then.split(".")[:2] != now.split(".")[:2]:
        warn(f"the trees were grown with scikit-learn {clean(then, 20)} and are used with {now}")


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _tampered(folder: Path, name: str) -> DataError:
    return DataError(
        "model_tampered",
        f"{folder}: {name} is not what was saved: its hash differs",
        hint="copy the folder again, or fit and save the model again",
        file=name,
    )


def _too_large(file: Path, size: int, most: int) -> DataError:
    return DataError("model_too_large", f"{file} has {size:,} bytes; a model has at most {most:,}", size=size)
