"""Writing results: whole or not at all.

Every file is written beside its target under a hidden name, brought to disk (``fsync``) and then renamed
over the target. A reader sees the old file or the new one, never a part; a failed write leaves the old
file as it was. What a killed process left behind is swept by the next write to the same target.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import IO, Any

import polars as pl
from polars.exceptions import PolarsError

from attrib.errors import ResourceError
from attrib.io.text import CSV_CONTROL, CSV_FORMULA, REPLACEMENT

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no flock, and cannot remove an open file anyway
    fcntl = None  # type: ignore[assignment]

Writer = Callable[[IO[bytes]], None]


def parquet(frame: pl.DataFrame) -> Writer:
    """Write a frame as parquet, its values untouched.

    Examples
    --------
    >>> import io
    >>> parquet(pl.DataFrame({"channel": ["a"]}))(buffer := io.BytesIO())
    >>> pl.read_parquet(buffer.getvalue()).item()
    'a'
    """
    return frame.write_parquet


def csv(frame: pl.DataFrame) -> Writer:
    r"""Write a frame as CSV whose cells a spreadsheet shows and never runs.

    Text that begins (blanks and control characters aside) with ``=``, ``+``, ``-``, ``@``, a tab or a
    carriage return gets a leading apostrophe; control characters other than the line feed become U+FFFD.
    Numbers, also negative ones, stay as they are. Who needs the exact text reads the parquet file.

    Examples
    --------
    >>> import io
    >>> csv(pl.DataFrame({"channel": ["=1+1", "seo"], "value": [-2.0, 1.0]}))(buffer := io.BytesIO())
    >>> buffer.getvalue()
    b"channel,value\n'=1+1,-2.0\nseo,1.0\n"
    """
    return spreadsheet_safe(frame).write_csv


def document(content: Mapping[str, Any]) -> Writer:
    """Write a mapping as indented JSON in UTF-8; NaN and infinity are refused, for they are not JSON.

    Examples
    --------
    >>> import io
    >>> document({"channel": "réseau"})(buffer := io.BytesIO())
    >>> print(buffer.getvalue().decode())
    {
      "channel": "réseau"
    }
    <BLANKLINE>
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def write(file: IO[bytes]) -> None:
        file.write(text.encode("utf-8"))

    return write


def spreadsheet_safe(frame: pl.DataFrame) -> pl.DataFrame:
    r"""Escape the text columns (and the headers) of a frame for CSV; see :func:`csv`.

    Examples
    --------
    >>> spreadsheet_safe(pl.DataFrame({"channel": ["\t@SUM(A1)"]})).item()
    "'�@SUM(A1)"
    """

    def escape(text: pl.Expr) -> pl.Expr:
        marked = pl.when(text.str.contains(CSV_FORMULA)).then("'" + text).otherwise(text)
        return marked.str.replace_all(CSV_CONTROL, REPLACEMENT)

    kinds = (pl.String, pl.Categorical, pl.Enum)
    columns = [name for name, kind in frame.schema.items() if isinstance(kind, kinds)]
    headers = pl.Series("name", frame.columns, dtype=pl.String)
    safe = headers.to_frame().select(escape(pl.col("name"))).to_series()
    return frame.with_columns(escape(pl.col(name).cast(pl.String)).alias(name) for name in columns).rename(
        dict(zip(headers, safe, strict=True))
    )


def write_one(target: Path | str, writer: Writer) -> Path:
    r"""Write one file atomically.

    Parameters
    ----------
    target : Path or str
        The file to write; its folder is made if it is missing.
    writer : callable
        Writes the content into the binary file it is given: :func:`parquet`, :func:`csv`,
        :func:`document` or your own.

    Returns
    -------
    Path
        The target.

    Raises
    ------
    ResourceError
        With key ``write_failed`` if the file cannot be written; the old file is then as it was.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> write_one(Path(folder.name) / "credit.csv", csv(pl.DataFrame({"channel": ["seo"]}))).read_text()
    'channel\nseo\n'
    >>> folder.cleanup()
    """
    return write_set({Path(target): writer})[0]


def write_set(outputs: Mapping[Path, Writer], *, obsolete: Iterable[Path] = ()) -> tuple[Path, ...]:
    """Write several files so that they change together as nearly as a file system allows.

    All files are first written and brought to disk beside their targets; only then are they renamed, in
    the order given. So put last the file that vouches for the others (``run.json``).

    Parameters
    ----------
    outputs : mapping of Path to callable
        Targets and their writers; see :func:`write_one`.
    obsolete : iterable of Path, optional
        Files of an earlier set that this one no longer has: removed before the last rename, so that
        nobody reads them beside the new ones.

    Returns
    -------
    tuple of Path
        The targets, in order.

    Raises
    ------
    ResourceError
        With key ``write_failed``.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> place = Path(folder.name)
    >>> files = write_set({place / "a.json": document({}), place / "run.json": document({"files": ["a.json"]})})
    >>> [file.name for file in files], sorted(file.name for file in place.iterdir())
    (['a.json', 'run.json'], ['a.json', 'run.json'])
    >>> folder.cleanup()
    """
    waiting: list[_Temporary] = []
    try:
        for target, writer in outputs.items():
            with _as_resource_error(target, "make room or choose another [output] folder; no file was changed"):
                target.parent.mkdir(parents=True, exist_ok=True)
                _sweep(target)
                waiting.append(_Temporary.open(target))
                waiting[-1].fill(writer)
        for temporary in waiting:
            with _as_resource_error(
                temporary.target, "run the job again: files of two runs may now stand side by side"
            ):
                if temporary is waiting[-1]:
                    for file in obsolete:
                        file.unlink(missing_ok=True)
                temporary.path.replace(temporary.target)
        for folder in dict.fromkeys(temporary.target.parent for temporary in waiting):
            with _as_resource_error(folder, "the files are there, but a power cut might still undo them"):
                _sync_folder(folder)
    finally:
        for temporary in waiting:
            temporary.discard()
    return tuple(outputs)


def ensure_writable(folder: Path) -> None:
    """Find out before long work, and without leaving a trace, whether a folder could be written.

    Raises
    ------
    ResourceError
        With key ``write_failed``.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     ensure_writable(Path(place) / "out")
    """
    place = next((place for place in (folder, *folder.absolute().parents) if place.exists()), folder)
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        reason = "no right to write there" if place.is_dir() else f"{place} is not a folder"
        raise ResourceError(
            "write_failed",
            f"the folder {folder} cannot be written: {reason}",
            hint="choose another [output] folder",
            path=str(folder),
        )


@dataclass(frozen=True, slots=True)
class _Temporary:
    """A hidden file beside its target; its lock tells a living writer from what a killed one left."""

    target: Path
    path: Path
    file: IO[bytes]

    @classmethod
    def open(cls, target: Path) -> _Temporary:
        path = target.with_name(f".{target.name}.attrib-{token_hex(4)}.tmp")
        file = path.open("xb")  # stays open, and locked, until the rename
        if fcntl is not None:
            with suppress(OSError):  # a file system without locks: the age rule of _sweep holds
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return cls(target, path, file)

    def fill(self, writer: Writer) -> None:
        writer(self.file)
        self.file.flush()
        os.fsync(self.file.fileno())
        if os.name == "nt":  # pragma: no cover - Windows does not rename open files
            self.file.close()

    def discard(self) -> None:
        """Let go of the file; it is still there only if it was not renamed."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        with suppress(OSError):  # closing flushes, and a full disk makes that fail again
            self.file.close()


def _sweep(target: Path) -> None:
    """Remove what killed processes left beside this target; files of living writers stay."""
    for path in target.parent.glob(f".{_literal(target.name)}.attrib-*.tmp"):
        with suppress(OSError), path.open("rb") as file:  # locked, gone or not ours: leave it
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _literal(name: str) -> str:
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in name)


def _sync_folder(folder: Path) -> None:
    """Bring the rename itself to disk."""
    if os.name == "nt":  # pragma: no cover - Windows cannot open folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # some network file systems have no such call
            raise
    finally:
        os.close(handle)


@contextmanager
def _as_resource_error(target: Path, hint: str) -> Iterator[None]:
    try:
        yield
    except (OSError, PolarsError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ResourceError(
            "write_failed", f"{target} could not be written: {reason}", hint=hint, path=str(target)
        ) from error
