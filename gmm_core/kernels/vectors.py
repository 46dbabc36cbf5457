"""Operations on vectors, for compiled code. None checks an index: callers allocate what they touch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from gmm_core.kernels.emit import (
    BLOCK_BYTES,
    I64,
    VECTOR_BYTES,
    Vector,
    fused,
    larger,
    pointer_to,
    read,
    repeat,
    shuffle,
    vector_of,
    write,
)

__all__ = [
    "add",
    "clear",
    "copy",
    "div",
    "fma",
    "high",
    "join4",
    "lanes_above",
    "load",
    "load2",
    "load4",
    "load_block",
    "loading",
    "low",
    "maximum",
    "mul",
    "ones_in",
    "place_at",
    "put_four",
    "scale_of",
    "splat",
    "splat2",
    "splat4",
    "splatting",
    "spread",
    "spread4",
    "spreading",
    "step_to",
    "store",
    "sub",
    "to_line",
    "total",
]


def _in_bytes(size: int) -> Callable[[Any], int]:
    return lambda element: size * 8 // int(element.bitwidth)


_SIZES = tuple(_in_bytes(times * VECTOR_BYTES) for times in (1, 2, 4))
_of_block = _in_bytes(BLOCK_BYTES)


def loading(count: Callable[[Any], int]) -> Any:
    """A function that loads a vector, of so many numbers of an element."""

    def typed(typing: Any, array: Any, index: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = pointer_to(context, builder, signature.args[0], args[0], args[1])
            return read(builder, pointer, vector_of(array.dtype, count(array.dtype)))

        return Vector(array.dtype, count(array.dtype))(array, types.intp), code

    return intrinsic(typed)


load, load2, load4, load_block = (loading(count) for count in (*_SIZES, _of_block))
"""The vector, or the two or four vectors, or the part of a block, that start at `array[index]`."""


@intrinsic
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """Write `vector` to `array` from `index` on."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        write(builder, pointer_to(context, builder, signature.args[0], args[0], args[1]), args[2])
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), code


def spreading(count: Callable[[Any], int]) -> Any:
    """As `loading`: a function that puts a number of an array into every lane."""

    def typed(typing: Any, array: Any, index: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = pointer_to(context, builder, signature.args[0], args[0], args[1])
            kind = vector_of(array.dtype, count(array.dtype))
            return repeat(builder, kind, builder.load(pointer))

        return Vector(array.dtype, count(array.dtype))(array, types.intp), code

    return intrinsic(typed)


spread, spread4 = (spreading(count) for count in _SIZES[::2])
"""`array[index]` in every lane of a vector, or of four."""


def splatting(count: Callable[[Any], int]) -> Any:
    """As `loading`: a function that puts a scalar into every lane."""

    def typed(typing: Any, scalar: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return repeat(builder, vector_of(scalar, count(scalar)), args[0])

        return Vector(scalar, count(scalar))(scalar), code

    return intrinsic(typed)


splat, splat2, splat4 = (splatting(count) for count in _SIZES)
"""`scalar` in every lane of a vector, or of two or four."""


@intrinsic
def join4(typing: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Four vectors as one."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes = list(range(4 * a.count))
        first = shuffle(builder, args[0], args[1], lanes[: 2 * a.count])
        second = shuffle(builder, args[2], args[3], lanes[: 2 * a.count])
        return shuffle(builder, first, second, lanes)

    return Vector(a.element, 4 * a.count)(a, b, c, d), code


def _halving(upper: bool) -> Any:
    def typed(typing: Any, vector: Any) -> Any:
        half = vector.count // 2
        lanes = list(range(half, 2 * half) if upper else range(half))

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return shuffle(builder, args[0], args[0], lanes)

        return Vector(vector.element, half)(vector), code

    return intrinsic(typed)


low, high = _halving(False), _halving(True)
"""The first half of two or four vectors, and the second."""


def _arithmetic(instruction: str) -> Any:
    def typed(typing: Any, a: Any, b: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, instruction)(args[0], args[1])

        return a(a, b), code

    return intrinsic(typed)


add, sub, mul, div = (_arithmetic(name) for name in ("fadd", "fsub", "fmul", "fdiv"))


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return fused(builder, *args)

    return a(a, b, c), code


@intrinsic
def maximum(typing: Any, a: Any, b: Any) -> Any:
    """The larger of each pair of lanes."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return larger(builder, *args)

    return a(a, b), code


@intrinsic
def total(typing: Any, vector: Any) -> Any:
    """The sum of the lanes."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, count = args[0], vector.count
        while count > 1:
            count //= 2
            low = shuffle(builder, value, value, list(range(count)))
            high = shuffle(builder, value, value, list(range(count, 2 * count)))
            value = builder.fadd(low, high)
        return builder.extract_element(value, ir.IntType(32)(0))

    return vector.element(vector), code


@intrinsic
def lanes_above(typing: Any, vector: Any, limit: Any) -> Any:
    """An integer whose bit l says whether lane l is above that of `limit`."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.bitcast(builder.fcmp_ordered(">", *args), ir.IntType(vector.count))
        return builder.zext(bits, I64)

    return types.intp(vector, limit), code


@intrinsic
def copy(typing: Any, target: Any, to: Any, source: Any, at: Any, count: Any) -> Any:
    """`count` numbers from `source[at]` on to `target[to]` on, which is elsewhere."""
    size = target.dtype.bitwidth // 8

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        into, of = (
            pointer_to(context, builder, signature.args[i], *args[i : i + 2]) for i in (0, 2)
        )
        cgutils.raw_memcpy(builder, into, of, args[4], size, size)
        return context.get_dummy_value()

    return types.void(target, types.intp, source, types.intp, types.intp), code


@intrinsic
def clear(typing: Any, array: Any, first: Any, stop: Any) -> Any:
    """0 from `array[first]` to before `array[stop]`, which is not below `first`."""
    size = array.dtype.bitwidth // 8

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = pointer_to(context, builder, signature.args[0], *args[:2])
        length = builder.mul(builder.sub(args[2], args[1]), I64(size))
        cgutils.memset(builder, pointer, length, 0)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), code


@intrinsic
def put_four(typing: Any, array: Any, index: Any, word: Any) -> Any:
    """Write the four uint16 in `word` to `array` from `index` on."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = pointer_to(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], builder.bitcast(pointer, I64.as_pointer()), align=2)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.uint64), code


@intrinsic
def place_at(typing: Any, array: Any, index: Any) -> Any:
    """`array[index]` of unsigned integers as an index."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = pointer_to(context, builder, signature.args[0], args[0], args[1])
        return builder.zext(builder.load(pointer), I64)

    return types.intp(array, types.intp), code


@intrinsic
def scale_of(typing: Any, target: Any, to: Any, source: Any, at: Any, factors: Any, by: Any) -> Any:
    """`target[to] = source[at] * factors[by]`, one number."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointers = [
            pointer_to(context, builder, signature.args[i], args[i], args[i + 1]) for i in (0, 2, 4)
        ]
        product = builder.fmul(builder.load(pointers[1]), builder.load(pointers[2]))
        builder.store(product, pointers[0])
        return context.get_dummy_value()

    place = types.intp
    return types.void(target, place, source, place, factors, place), code


@intrinsic
def to_line(typing: Any, array: Any) -> Any:
    """How many numbers stand before the first that starts a cache line of 64 bytes."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start = builder.ptrtoint(pointer_to(context, builder, array, args[0], I64(0)), I64)
        return builder.udiv(
            builder.and_(builder.neg(start), I64(63)), I64(array.dtype.bitwidth // 8)
        )

    return types.intp(array), code


@intrinsic
def ones_in(typing: Any, number: Any) -> Any:
    """How many bits of `number` are set."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.intp(types.intp), code


@intrinsic
def step_to(typing: Any, index: Any) -> Any:
    """`index` itself, in a way that LLVM cannot see through.

    A loop that steps so is not unrolled. Unrolling brings nothing where the loop already holds all
    the sums that the registers can, but makes LLVM load ahead and spill them: half the speed.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.asm(ir.FunctionType(I64, [I64]), "", "=r,0", args, side_effect=False)

    return types.intp(types.intp), code
