"""Rows by partition, in memory up to a budget, then in a spill folder."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from attrib.errors import ResourceError

try:
    import fcntl
except ImportError:  # Windows: stale folders are then left to the system's own cleaning
    fcntl = None  # type: ignore[assignment]

Words = npt.NDArray[np.uint64]
PREFIX = "attrib-spill-"
RESERVE = 256 << 20  # bytes of disk always left free


class SpillFolder:
    """A folder of its own for one pass; gone when it is closed, collected, or swept after a kill."""

    def __init__(self, parent: str | Path | None) -> None:
        self.parent = Path(parent) if parent is not None else Path(tempfile.gettempdir())
        try:
            self.parent.mkdir(parents=True, exist_ok=True)
            sweep(self.parent)
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self.parent))
            # the lock gets its name only when it is held, so that no sweep can take a folder being made for a stale one
            self._lock = (self.path / "lock.new").open("w")
            if fcntl is not None:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (self.path / "lock.new").rename(self.path / "lock")
        except OSError as error:
            raise ResourceError(
                "spill_folder",
                f"the spill folder {self.parent} cannot be used: {error.strerror}",
                hint="set another one",
            ) from error
        self._finalizer = weakref.finalize(self, _remove, self.path, self._lock)

    def check_free(self, wanted: int) -> None:
        """Stop before the disk is full.

        Raises
        ------
        ResourceError
            ``no_space`` with the bytes wanted and free.
        """
        free = shutil.disk_usage(self.path).free
        if free < wanted + RESERVE:
            raise ResourceError(
                "no_space",
                f"the spill folder {self.parent} has {free / 1e9:.1f} GB free, "
                f"{(wanted + RESERVE) / 1e9:.1f} GB are needed",
                hint="set spill to a larger disk, or raise memory_limit",
                free=free,
                wanted=wanted,
            )

    def close(self) -> None:
        """Remove the folder."""
        self._finalizer()


def _remove(path: Path, lock: IO[str]) -> None:
    lock.close()
    shutil.rmtree(path, ignore_errors=True)


def sweep(parent: Path) -> int:
    """Remove spill folders whose process is gone (nobody holds their lock); returns how many."""
    swept = 0
    if fcntl is None:
        return swept
    for folder in parent.glob(f"{PREFIX}*"):
        lock_file = folder / "lock"
        with contextlib.suppress(OSError):
            if not lock_file.exists():
                continue
            with lock_file.open("r") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
                swept += 1
    return swept


class PartitionStore:
    """Rows of ``width`` words in ``parts`` partitions."""

    def __init__(self, parts: int, width: int, budget: int, name: str) -> None:
        self.parts, self.width, self.budget, self.name = parts, width, budget, name
        self.rows = 0
        self._memory: list[list[Words]] = [[] for _ in range(parts)]
        self._held = 0
        self._folder: SpillFolder | None = None

    def append(self, rows: Words, offsets: npt.NDArray[np.int64], spill: str | Path | None) -> None:
        """Add rows that are ordered by partition; ``offsets`` int64 [parts + 1]."""
        for part in range(self.parts):
            piece = rows[offsets[part] : offsets[part + 1]]
            if len(piece):
                self._memory[part].append(piece)
        self.rows += len(rows)
        self._held += rows.nbytes
        if self._held > self.budget:
            self._flush(spill)

    def _flush(self, spill: str | Path | None) -> None:
        if self._folder is None:
            self._folder = SpillFolder(spill)
        self._folder.check_free(self._held)
        try:
            for part, pieces in enumerate(self._memory):
                if pieces:
                    with self._file(part).open("ab") as file:
                        for piece in pieces:
                            np.ascontiguousarray(piece).tofile(file)
                    pieces.clear()
        except OSError as error:
            raise ResourceError(
                "no_space", f"spilling failed: {error.strerror}", hint="set spill to a larger disk"
            ) from error
        self._held = 0

    def _file(self, part: int) -> Path:
        assert self._folder is not None
        return self._folder.path / f"{self.name}-{part:03d}.bin"

    @property
    def spilled(self) -> bool:
        """Whether rows went to disk."""
        return self._folder is not None

    def take(self, part: int) -> Words:
        """Rows of a partition; they are given up by the store."""
        pieces = self._memory[part]
        self._memory[part] = []
        if self._folder is not None and (file := self._file(part)).exists():
            pieces.insert(0, np.fromfile(file, np.uint64).reshape(-1, self.width))
            file.unlink()
        if not pieces:
            return np.empty((0, self.width), np.uint64)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def close(self) -> None:
        """Free memory and disk."""
        self._memory = [[] for _ in range(self.parts)]
        if self._folder is not None:
            self._folder.close()
