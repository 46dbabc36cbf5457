"""The vector type, and what the operations on it are emitted with.

numba turns a scalar loop into vector instructions only where LLVM sees that it may, and then seldom
keeps a block of partial sums in registers. With a vector as a type of its own the inner loops say
exactly what is kept where. On machines with other vector lengths LLVM splits or joins these;
nothing here is bound to one processor.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import models, register_model

__all__ = [
    "I64",
    "VECTOR_BYTES",
    "Vector",
    "pointer_to",
    "read",
    "repeat",
    "shuffle",
    "vector_of",
    "write",
]

VECTOR_BYTES = 32
I64 = ir.IntType(64)


class Vector(types.Type):  # type: ignore[misc]
    """The numba type of 32 bytes of `element` (float64 or float32)."""

    def __init__(self, element: Any) -> None:
        self.element = element
        self.count = VECTOR_BYTES * 8 // element.bitwidth
        super().__init__(name=f"Vector({element})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, fe_type: Vector) -> None:
        super().__init__(manager, fe_type, vector_of(fe_type.element))


def vector_of(element: Any) -> Any:
    """The LLVM type of a vector of `element`."""
    scalar = ir.DoubleType() if element.bitwidth == 64 else ir.FloatType()
    return ir.VectorType(scalar, VECTOR_BYTES * 8 // element.bitwidth)


def pointer_to(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Where `array[index]` is; nobody checks that it is inside."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def read(builder: Any, pointer: Any, vector: Any) -> Any:
    """The vector at `pointer`."""
    size = VECTOR_BYTES // vector.count
    return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=size)


def write(builder: Any, pointer: Any, value: Any) -> None:
    """Put `value` at `pointer`."""
    size = VECTOR_BYTES // value.type.count
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=size)


def shuffle(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    """Lanes of a and b, b's numbered after a's."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
    return builder.shuffle_vector(a, b, mask)


def repeat(builder: Any, vector: Any, scalar: Any) -> Any:
    """`scalar` in every lane."""
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.IntType(32)(0))
    return shuffle(builder, first, first, [0] * vector.count)
