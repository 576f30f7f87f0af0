"""The manifest of a run: what went in, what was asked, what came out, and at what cost."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict

from attrib.errors import AttribWarning

LIBRARIES = ("numpy", "scipy", "polars", "numba", "nanoarrow", "dataframely", "pydantic")

CUSTOMER_BUCKETS = "256 customer buckets, drawn with replacement"
JOURNEYS = "journeys taken as independent"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Intervals(_Frozen):
    """How the intervals came about; ``resampling`` is part of their meaning."""

    level: float
    replicates: int
    seed: int
    resampling: str


class Manifest(_Frozen):
    """The content of ``run.json``.

    Attributes
    ----------
    attrib, python, platform : str
        Versions of this package and of Python, and the machine's operating system.
    libraries : dict
        Versions of the libraries that compute.
    started, finished : str
        UTC, ISO 8601. ``finished`` is the end of the computation, before the files are written.
    spec : dict
        The job with its defaults, and the model and stage files it names, spelled out.
    spec_sha256 : str
        SHA-256 of ``spec`` as canonical JSON (sorted keys, no blanks, UTF-8).
    inputs : list of dict
        Fingerprints of the input files.
    ledger : list of dict
        Where every touchpoint and every outcome went.
    events : dict
        What was decided by looking at the events: ``times`` says where outcomes stand, by which rule;
        ``ties`` counts touchpoints that only their names put into order, and the journeys where that matters.
    warnings : list of str
        What the reader should know about the result.
    findings : list of dict
        Those of the warnings that checks of the data gave, with key, table, count, whole, and examples.
    intervals : Intervals or None
        How the intervals came about; None without intervals.
    timings : dict
        Wall seconds per phase.
    peak_memory_bytes : int or None
        The most memory the process held; None where the system does not tell.
    credit_sha256 : str
        See :func:`credit_hash`.
    files : list of str
        Names of the files written with this one.
    """

    attrib: str
    python: str
    platform: str
    libraries: dict[str, str]
    started: str
    finished: str
    spec: dict[str, Any]
    spec_sha256: str
    inputs: list[dict[str, Any]]
    ledger: list[dict[str, Any]]
    events: dict[str, Any]
    warnings: list[str]
    findings: list[dict[str, Any]]
    intervals: Intervals | None
    timings: dict[str, float]
    peak_memory_bytes: int | None
    credit_sha256: str
    files: list[str]


class Recorder:
    """Keeps the time and the warnings of a run, phase by phase, and makes the manifest of them.

    ``ignore``: keys of findings that nobody wants to be told of.

    Examples
    --------
    >>> recorder, empty = Recorder(), pl.DataFrame()
    >>> with recorder.phase("credit"):
    ...     warnings.warn("markov gave no credit", AttribWarning, stacklevel=1)
    >>> manifest = recorder.manifest(
    ...     spec={"models": []},
    ...     credit=empty,
    ...     ledger=empty,
    ...     inputs=[],
    ...     warnings=["a future date"],
    ...     intervals=None,
    ...     files=[],
    ... )
    >>> manifest.warnings, list(manifest.timings)
    (['a future date', 'markov gave no credit'], ['credit'])
    """

    def __init__(self, ignore: Iterable[str] = ()) -> None:
        self._ignore = frozenset(ignore)
        self._ignored: set[str] = set()
        self._findings: list[dict[str, Any]] = []
        self._started = datetime.now(UTC)
        self._timings: dict[str, float] = {}
        self._notes: list[str] = []

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase and collect our warnings in it; those of others go on to whoever listens."""
        begin = time.perf_counter()
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always", AttribWarning)
            yield
        self._timings[name] = round(time.perf_counter() - begin, 3)
        for warning in seen:
            if issubclass(warning.category, AttribWarning):
                self._note(warning.message)
            else:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)

    def _note(self, warning: Warning | str) -> None:
        finding = getattr(warning, "finding", None)  # of attrib.diagnostics, which stands above
        if finding is not None and finding.key in self._ignore:
            self._ignored.add(str(warning))
            return
        self._notes.append(str(warning))
        if finding is not None and finding.as_dict() not in self._findings:
            self._findings.append(finding.as_dict())

    def warnings(self, others: Iterable[str] = ()) -> tuple[str, ...]:
        """All warnings so far, each once, after those from elsewhere."""
        return tuple(text for text in dict.fromkeys([*others, *self._notes]) if text not in self._ignored)

    def findings(self) -> list[dict[str, Any]]:
        """What checks of the data found so far, as plain data, each once."""
        return json.loads(canonical(self._findings))  # type: ignore[no-any-return]

    def facts(self, more: Iterable[str] = ()) -> dict[str, Any]:
        """Tell versions (of ``more`` libraries, too), times and memory: what every record of a run says."""
        return {
            "attrib": _version("attrib"),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "libraries": {name: _version(name) for name in (*LIBRARIES, *more)},
            "started": self._started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "timings": dict(self._timings),
            "peak_memory_bytes": peak_memory(),
        }

    def manifest(
        self,
        *,
        spec: Mapping[str, Any],
        credit: pl.DataFrame,
        ledger: pl.DataFrame,
        inputs: list[dict[str, Any]],
        warnings: Iterable[str],
        intervals: Intervals | None,
        files: list[str],
        events: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Gather the facts of a run that has just been computed."""
        text = canonical(spec)
        return Manifest(
            **self.facts(),
            spec=json.loads(text),
            spec_sha256=sha256(text),
            inputs=json.loads(canonical(inputs)),
            ledger=json.loads(canonical(ledger.to_dicts())),
            events=json.loads(canonical(events or {})),
            warnings=list(self.warnings(warnings)),
            findings=self.findings(),
            intervals=intervals,
            credit_sha256=credit_hash(credit),
            files=files,
        )


def canonical(content: object) -> str:
    """Spell content as JSON in exactly one way: sorted keys, no blanks, other types as text.

    Examples
    --------
    >>> canonical({"b": 1.5, "a": ("x", None)})
    '{"a":["x",null],"b":1.5}'
    """
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def sha256(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes, in hexadecimal.

    Examples
    --------
    >>> sha256("")[:16]
    'e3b0c44298fc1c14'
    """
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def credit_hash(credit: pl.DataFrame) -> str:
    """Fingerprint of a credit table that no file format or library version can change.

    SHA-256 over the JSON text ``[[name, [cell, …]], …]``: columns and rows in the table's order, no
    blanks, UTF-8, nulls as ``null``, floats in Python's shortest form that reads back as the same number,
    other types as their text. Equal hashes mean tables that are equal to the last bit.

    Examples
    --------
    >>> table = pl.DataFrame({"channel": ["seo", None], "conversions": [0.1 + 0.2, 0.0]})
    >>> credit_hash(table) == sha256('[["channel",["seo",null]],["conversions",[0.30000000000000004,0.0]]]')
    True
    """
    return sha256(canonical([[column.name, column.to_list()] for column in credit]))


def peak_memory() -> int | None:
    """Bytes of memory the process has held at most so far, or None where the system does not tell.

    Examples
    --------
    >>> peak_memory() is None or peak_memory() > 1_000_000
    True
    """
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, the others KiB


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
