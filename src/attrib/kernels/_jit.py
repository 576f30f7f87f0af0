"""The only file that configures numba.

Compiled code is cached beside the sources, or where ``NUMBA_CACHE_DIR`` points when that folder is
read-only. ``nogil`` lets a plain thread pool run kernels in parallel; OpenMP is not used, since it
starts slowly and fights with the threads of polars.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit, types
from numba.core import cgutils, event
from numba.core.caching import IndexDataCacheFile
from numba.core.dispatcher import Dispatcher
from numba.extending import intrinsic

from attrib.kernels.compiling import compiling


class _CacheFile(IndexDataCacheFile):  # type: ignore[misc]
    """Compiled code of one function on disk, named by what it was compiled from and for.

    numba numbers these files. Two processes that compile one function for different types at the same time may take
    the same number, and a third then runs code for other types than its own.
    """

    def _load_index(self) -> dict[Any, Any]:
        """Read the index; one of an older version may name types that are gone, and is as good as none."""
        try:
            found: dict[Any, Any] = super()._load_index()
        except Exception:  # noqa: BLE001 - unpickling can raise anything
            return {}
        return found

    def save(self, key: Any, data: Any) -> None:
        """Write the code first, then the index that names it; both are replaced whole."""
        digest = hashlib.sha256(self._dump((self._source_stamp, key))).hexdigest()[:24]
        name = self._index_name.removesuffix("nbi") + f"{digest}.nbc"
        self._save_data(name, data)
        self._save_index({**self._load_index(), key: name})


@cache
def _sources(folder: Path) -> bytes:
    """Hash of all sources in a folder."""
    digest = hashlib.sha256()
    for source in sorted(folder.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.digest()


def _compiled(function: Callable[..., Any], **options: Any) -> Any:
    # fastmath stays off: it may reorder sums. The numpy error model leaves out zero-division checks in loops.
    # Nothing calls kernels from C, so that no wrapper for it is compiled: a twentieth of the time.
    kernel = njit(nogil=True, cache=True, error_model="numpy", no_cfunc_wrapper=True, **options)(function)
    # Types only: numba would compile a kernel anew for every constant it is called with by another.
    template = kernel.get_call_template
    kernel.get_call_template = lambda args, kws: template(
        tuple(map(types.unliteral, args)), {name: types.unliteral(one) for name, one in kws.items()}
    )
    # numba offers no setting for where and under which conditions code is reused: hence its private names
    own, entry = Path(function.__code__.co_filename).parent, kernel._cache  # noqa: SLF001
    if own.is_dir():
        # numba looks at the function's own file alone: what it calls may stand in another, which an upgrade replaced.
        # And at the file's date: the same sources, installed or checked out again, would be compiled again.
        stamp = (_sources(own), _sources(Path(__file__).parent))
        entry._cache_file = _CacheFile(entry.cache_path, entry._impl.filename_base, stamp)  # noqa: SLF001
    return kernel


jit = _compiled
inline = partial(_compiled, forceinline=True)


class _Listener(event.Listener):  # type: ignore[misc]
    """Tells of kernels of ours that are compiled, not of those found in the cache."""

    def on_start(self, event: Any) -> None:
        if _is_ours(event):
            compiling.begin()

    def on_end(self, event: Any) -> None:
        if _is_ours(event):
            compiling.end()


def _is_ours(event: Any) -> bool:
    return str(event.data["dispatcher"].py_func.__module__).startswith("attrib.")


event.register("numba:compile", _Listener())


def kernels() -> Iterator[Any]:
    """All kernels of the modules imported so far."""
    for name, module in list(sys.modules.items()):
        if name.startswith("attrib."):
            for function in vars(module).values():
                if isinstance(function, Dispatcher) and function.py_func.__module__ == name:
                    yield function


def cache_use() -> tuple[list[str], int, int]:
    """Folders of compiled code; how many signatures were loaded from there so far, and how many compiled."""
    stats = [kernel.stats for kernel in kernels()]
    folders = sorted({one.cache_path for one in stats})
    return folders, sum(sum(s.cache_hits.values()) for s in stats), sum(sum(s.cache_misses.values()) for s in stats)


def _loader(numba_type: Any) -> Any:
    """Build an unaligned load of one value from a raw address (buffers of other libraries come as addresses)."""

    @intrinsic  # type: ignore[untyped-decorator]
    def load(_typing_context: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(arguments[0], cgutils.voidptr_t)
            value_type = context.get_value_type(numba_type)
            return builder.load(builder.bitcast(pointer, value_type.as_pointer()), align=1)

        return numba_type(types.int64), codegen

    return load


load_u8 = _loader(types.uint8)
load_u32 = _loader(types.uint32)
load_u64 = _loader(types.uint64)


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(_typing_context: Any, address: Any) -> Any:
    """Ask for the cache line of a raw address ahead of its use (an address that is not ours does no harm)."""

    def codegen(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        number = cgutils.ir.IntType(32)
        kind = cgutils.ir.FunctionType(cgutils.ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        pointer = builder.inttoptr(arguments[0], cgutils.voidptr_t)
        builder.call(function, [pointer, number(0), number(3), number(1)])  # to read, keep, data
        return context.get_dummy_value()

    return types.none(types.int64), codegen


U64 = np.uint64
