"""Eight numbers at once, for compiled code: if float64, a cache line, and as many registers as it takes.

The operations of `vectors` serve these as well. None checks an index: callers allocate what
they touch.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from gmm_core.kernels.elementary import log2
from gmm_core.kernels.emit import pointer_to, repeat
from gmm_core.kernels.vectors import loading, splatting, spreading, store

__all__ = ["ALL", "LANES", "kept8", "load8", "logs", "minimum8", "splat8", "spread8", "store8"]

LANES = 8
ALL = 255  # what `lanes_above` says when all eight are

load8, splat8, spread8 = (of(lambda _: LANES) for of in (loading, splatting, spreading))
store8, logs = store, log2


@intrinsic
def minimum8(typing: Any, a: Any, b: Any) -> Any:
    """The smaller of each pair of lanes."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[0], args[1])

    return a(a, b), code


@intrinsic
def kept8(typing: Any, numbers: Any, index: Any, bound: Any, eight: Any) -> Any:
    """`eight` where the int64 `numbers` from `index` on are below `bound`, elsewhere -inf."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = ir.VectorType(ir.IntType(64), LANES)
        pointer = pointer_to(context, builder, signature.args[0], *args[:2])
        given = builder.load(builder.bitcast(pointer, whole.as_pointer()), align=8)
        below = builder.icmp_signed("<", given, repeat(builder, whole, args[2]))
        return builder.select(below, args[3], ir.Constant(args[3].type, [-math.inf] * LANES))

    return eight(numbers, types.intp, types.int64, eight), code
