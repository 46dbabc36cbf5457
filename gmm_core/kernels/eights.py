"""Eight float64 at once, for compiled code: a cache line, two or four registers, as the processor has it.

What `vectors` does lane by lane (add, sub, mul, div, fma, maximum, exponent, mantissa, lanes_above)
serves these as well. None checks an index: callers allocate what they touch.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, models, register_model

from gmm_core.kernels.elementary import log2
from gmm_core.kernels.emit import Vector, pointer_to, repeat, shuffle
from gmm_core.kernels.options import compiled

__all__ = ["ALL", "LANES", "load8", "logs", "splat8", "spread8", "store8"]

LANES = 8
ALL = 255  # what `lanes_above` says when all eight are
_LINE = ir.VectorType(ir.DoubleType(), LANES)


class Eight(types.Type):  # type: ignore[misc]
    """The numba type of eight float64."""

    element, count = types.float64, LANES


EIGHT = Eight("Eight")


@register_model(Eight)
class _EightModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, fe_type: Eight) -> None:
        super().__init__(manager, fe_type, _LINE)


@intrinsic
def load8(typing: Any, array: Any, index: Any) -> Any:
    """The eight numbers from `array[index]` on."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = pointer_to(context, builder, signature.args[0], *args)
        return builder.load(builder.bitcast(pointer, _LINE.as_pointer()), align=8)

    return EIGHT(array, types.intp), code


@intrinsic
def store8(typing: Any, array: Any, index: Any, eight: Any) -> Any:
    """Write `eight` to `array` from `index` on."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = pointer_to(context, builder, signature.args[0], *args[:2])
        builder.store(args[2], builder.bitcast(pointer, _LINE.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, eight), code


@intrinsic
def spread8(typing: Any, array: Any, index: Any) -> Any:
    """`array[index]` in every lane."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = pointer_to(context, builder, signature.args[0], *args)
        return repeat(builder, _LINE, builder.load(pointer))

    return EIGHT(array, types.intp), code


@intrinsic
def splat8(typing: Any, scalar: Any) -> Any:
    """The float64 `scalar` in every lane."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return repeat(builder, _LINE, args[0])

    return EIGHT(types.float64), code


def _half(first: int) -> Any:
    """Four lanes, from the `first` on."""

    def typed(typing: Any, eight: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return shuffle(builder, args[0], args[0], list(range(first, first + 4)))

        return Vector(types.float64)(eight), code

    return intrinsic(typed)


_low, _high = _half(0), _half(4)


@intrinsic
def _joined(typing: Any, low: Any, high: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return shuffle(builder, args[0], args[1], list(range(LANES)))

    return EIGHT(low, high), code


@compiled
def logs(x):
    """Logarithms to base 2 of positive, normal lanes."""
    return _joined(log2(_low(x)), log2(_high(x)))
