"""The vector type, and what the operations on it are emitted with.

numba turns a scalar loop into vector instructions only where LLVM sees that it may, and then seldom
keeps a block of partial sums in registers. With a vector as a type of its own the inner loops say
exactly what is kept where. A vector is as long as the machine's registers; LLVM would also split or
join others, so nothing here is bound to one processor.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import models, register_model

from gmm_core.kernels.processor import vector_bytes

__all__ = [
    "BLOCK_BYTES",
    "I64",
    "VECTOR_BYTES",
    "Vector",
    "fused",
    "integers",
    "larger",
    "pointer_to",
    "read",
    "repeat",
    "shuffle",
    "vector_of",
    "write",
]

VECTOR_BYTES = vector_bytes()
BLOCK_BYTES = 32
"""Of a row, of those that are turned at once. Rows seldom fill longer ones, which also take more steps."""
I64 = ir.IntType(64)


class Vector(types.Type):  # type: ignore[misc]
    """The numba type of `count` numbers of `element` (float64 or float32).

    What a loop does to several vectors alike is one operation on a longer one, which LLVM splits: code
    with fewer operations takes less time to compile.
    """

    def __init__(self, element: Any, count: int) -> None:
        self.element, self.count = element, count
        super().__init__(name=f"Vector({element}, {count})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, fe_type: Vector) -> None:
        super().__init__(manager, fe_type, vector_of(fe_type.element, fe_type.count))


def vector_of(element: Any, count: int) -> Any:
    """The LLVM type of a vector of `count` numbers of `element`."""
    scalar = ir.DoubleType() if element.bitwidth == 64 else ir.FloatType()
    return ir.VectorType(scalar, count)


def pointer_to(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Where `array[index]` is; nobody checks that it is inside."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def read(builder: Any, pointer: Any, vector: Any) -> Any:
    """The vector at `pointer`."""
    return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=_bytes(vector))


def write(builder: Any, pointer: Any, value: Any) -> None:
    """Put `value` at `pointer`."""
    pointer = builder.bitcast(pointer, value.type.as_pointer())
    builder.store(value, pointer, align=_bytes(value.type))


def fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c of vectors, rounded once."""
    name = f"llvm.fma.v{a.type.count}f{8 * _bytes(a.type)}"
    kind = ir.FunctionType(a.type, [a.type] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [a, b, c])


def larger(builder: Any, a: Any, b: Any) -> Any:
    """The larger of each pair of lanes."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def integers(vector: Any) -> Any:
    """The LLVM type of as many integers, of as many bits."""
    return ir.VectorType(ir.IntType(8 * _bytes(vector)), vector.count)


def _bytes(vector: Any) -> int:
    """Of one lane."""
    return 8 if vector.element == ir.DoubleType() else 4


def shuffle(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    """Lanes of a and b, b's numbered after a's."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
    return builder.shuffle_vector(a, b, mask)


def repeat(builder: Any, vector: Any, scalar: Any) -> Any:
    """`scalar` in every lane."""
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.IntType(32)(0))
    return shuffle(builder, first, first, [0] * vector.count)
