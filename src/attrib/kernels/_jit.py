"""The only file that configures numba.

Compiled code is cached beside the sources, or where ``NUMBA_CACHE_DIR`` points when that folder is
read-only. ``nogil`` lets a plain thread pool run kernels in parallel; OpenMP is not used, since it
starts slowly and fights with the threads of polars.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

# fastmath stays off: it may reorder sums. The numpy error model leaves out zero-division checks in loops.
jit = partial(njit, nogil=True, cache=True, error_model="numpy")
inline = partial(njit, nogil=True, cache=True, error_model="numpy", inline="always")


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
