"""Operations on vectors, for compiled code. None checks an index: callers allocate what they touch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from gmm_core.kernels.emit import I64, Vector, pointer_to, read, repeat, shuffle, vector_of, write

__all__ = [
    "add",
    "div",
    "exponent",
    "fma",
    "lanes_above",
    "load",
    "mantissa",
    "maximum",
    "mul",
    "ones_in",
    "place_at",
    "put_four",
    "scale_of",
    "splat",
    "spread",
    "step_to",
    "store",
    "sub",
    "times_power_of_two",
    "total",
]


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """The vector that starts at `array[index]`."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = pointer_to(context, builder, signature.args[0], args[0], args[1])
        return read(builder, pointer, vector_of(array.dtype))

    return Vector(array.dtype)(array, types.intp), code


@intrinsic
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """Write `vector` to `array` from `index` on."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        write(builder, pointer_to(context, builder, signature.args[0], args[0], args[1]), args[2])
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), code


@intrinsic
def spread(typing: Any, array: Any, index: Any) -> Any:
    """`array[index]` in every lane."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = pointer_to(context, builder, signature.args[0], args[0], args[1])
        return repeat(builder, vector_of(array.dtype), builder.load(pointer))

    return Vector(array.dtype)(array, types.intp), code


@intrinsic
def splat(typing: Any, scalar: Any) -> Any:
    """`scalar` in every lane."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return repeat(builder, vector_of(scalar), args[0])

    return Vector(scalar)(scalar), code


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
        vector = args[0].type
        name = f"llvm.fma.v{vector.count}f{a.element.bitwidth}"
        kind = ir.FunctionType(vector, [vector] * 3)
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)

    return a(a, b, c), code


@intrinsic
def maximum(typing: Any, a: Any, b: Any) -> Any:
    """The larger of each pair of lanes."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[0], args[1])

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


def _on_bits(change: Callable[[Any, Any, bool], Any]) -> Any:
    """An operation on the lanes as integers; `change` is told whether they have 64 bits."""

    def typed(typing: Any, vector: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            wide = vector.element.bitwidth == 64
            kind = ir.VectorType(ir.IntType(64 if wide else 32), vector.count)
            bits = builder.bitcast(args[0], kind)

            def constant(value: int) -> Any:
                return ir.Constant(kind, [value] * vector.count)

            done = change(functools.partial(_apply, builder, constant), bits, wide)
            return builder.bitcast(done, args[0].type)

        return vector(vector), code

    return intrinsic(typed)


def _apply(builder: Any, constant: Any, instruction: str, bits: Any, value: int) -> Any:
    return getattr(builder, instruction)(bits, constant(value))


def _exponent(apply: Any, bits: Any, wide: bool) -> Any:
    shifted = apply("lshr", bits, 52 if wide else 23)
    return apply("or_", shifted, 0x433 << 52 if wide else 0x96 << 23)


def _mantissa(apply: Any, bits: Any, wide: bool) -> Any:
    kept = apply("and_", bits, (1 << 52) - 1 if wide else (1 << 23) - 1)
    return apply("or_", kept, 0x3FF << 52 if wide else 0x7F << 23)


exponent = _on_bits(_exponent)
"""Biased exponent of positive lanes, plus 2**52 (float32: 2**23)."""
mantissa = _on_bits(_mantissa)
"""Lanes divided by the power of two that brings them to [1, 2)."""


@intrinsic
def times_power_of_two(typing: Any, vector: Any, power: Any) -> Any:
    """`vector` times 2**n for lanes of n + 1.5 * 2**52 (float32: 2**23) in `power`.

    n stands in the lowest bits there, and is added to the exponent: the outcome must be normal.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = vector.element.bitwidth == 64
        kind = ir.VectorType(ir.IntType(64 if wide else 32), vector.count)
        value, n = (builder.bitcast(arg, kind) for arg in args)
        places = ir.Constant(kind, [52 if wide else 23] * vector.count)
        return builder.bitcast(builder.add(value, builder.shl(n, places)), args[0].type)

    return vector(vector, power), code


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
