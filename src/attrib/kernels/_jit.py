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

U64 = np.uint64
