"""What happens around compiling: who is told of it, without importing numba to ask; and garbage has to wait.

The compiler makes very many objects, and few of them are garbage: looking through them again and again took a tenth of
the time.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from threading import Lock

Watcher = Callable[[int, float], None]  # how many kernels were compiled so far, and the seconds that it took


class Compiling:
    """Counts what is compiled in this process; kernels that others need are compiled within theirs."""

    def __init__(self) -> None:
        self.kernels, self.seconds = 0, 0.0
        self.watchers: list[Watcher] = []
        self._lock, self._open, self._since, self._collects = Lock(), 0, 0.0, False

    def begin(self) -> None:
        """A kernel is being compiled."""
        with self._lock:
            if not self._open:
                self._since, self._collects = time.perf_counter(), gc.isenabled()
                gc.disable()
            self._open += 1
        self._tell()

    def end(self) -> None:
        """It is done: threads that compile at once take their time together."""
        with self._lock:
            self.kernels += 1
            self._open -= 1
            if not self._open:
                self.seconds += time.perf_counter() - self._since
                if self._collects:
                    gc.enable()
        self._tell()

    def _tell(self) -> None:
        for watcher in tuple(self.watchers):
            watcher(self.kernels, self.seconds)


compiling = Compiling()
