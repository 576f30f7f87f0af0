"""Peak memory of a process, on the standard library alone: adapters of other packages use it too."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path


def forget_peak() -> None:
    """Begin anew to look for the peak, where the system lets a process do so (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_gb() -> float:
    """Return the peak resident memory of this process in GB.

    On Linux ``ru_maxrss`` begins with the peak of the process that started this one, which may have made the data; the
    kernel's own high-water mark does not.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)
