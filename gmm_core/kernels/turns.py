"""Blocks of rows into columns: from one row after the other to one feature after the other."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from gmm_core.kernels.emit import I64, pointer_to, read, shuffle, vector_of, write

__all__ = ["transpose", "transpose_rows"]


@intrinsic
def transpose(
    typing: Any,
    target: Any,
    to: Any,
    step: Any,
    source: Any,
    at: Any,
    stride: Any,
    less: Any,
    times: Any,
    plus: Any,
) -> Any:
    """Rows `source[at + r * stride]` of a square block become its columns `target[to + c * step]`.

    On the way each row becomes (row - less) * times + plus.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target_, to_, step_, source_, at_, stride_, *scaling = args
        vector = vector_of(source.dtype)
        first = pointer_to(context, builder, signature.args[3], source_, at_)
        rows = []
        for r in range(vector.count):
            row = read(builder, builder.gep(first, [builder.mul(stride_, I64(r))]), vector)
            rows.append(_scaled(builder, row, *scaling))
        last = pointer_to(context, builder, signature.args[0], target_, to_)
        for c, column in enumerate(_columns(builder, rows)):
            write(builder, builder.gep(last, [builder.mul(step_, I64(c))]), column)
        return context.get_dummy_value()

    places = (types.intp,) * 2
    return types.void(target, *places, source, *places, less, times, plus), code


@intrinsic
def transpose_rows(
    typing: Any,
    target: Any,
    weighted: Any,
    to: Any,
    step: Any,
    source: Any,
    places: Any,
    at: Any,
    stride: Any,
    first: Any,
    less: Any,
    times: Any,
    plus: Any,
    weight: Any,
) -> Any:
    """As `transpose`, for the rows numbered `places[at], places[at + 1], ...`.

    Row p starts at `source[p * stride + first]`. Into `weighted` goes the same, each row times its
    lane of `weight`.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        y, z, to_, step_, source_, places_, at_, stride_, column_, *scaling, weight_ = args
        kinds, vector = signature.args, vector_of(source.dtype)
        rows = []
        for r in range(vector.count):
            place = pointer_to(context, builder, kinds[5], places_, builder.add(at_, I64(r)))
            index = builder.mul(builder.zext(builder.load(place), I64), stride_)
            first = pointer_to(context, builder, kinds[4], source_, builder.add(index, column_))
            rows.append(_scaled(builder, read(builder, first, vector), *scaling))
        y_first = pointer_to(context, builder, kinds[0], y, to_)
        z_first = pointer_to(context, builder, kinds[1], z, to_)
        for c, turned in enumerate(_columns(builder, rows)):
            offset = [builder.mul(step_, I64(c))]
            write(builder, builder.gep(y_first, offset), turned)
            write(builder, builder.gep(z_first, offset), builder.fmul(turned, weight_))
        return context.get_dummy_value()

    whole = types.intp
    counts = (whole, whole, whole)
    kinds = (target, weighted, whole, whole, source, places, *counts, less, times, plus, weight)
    return types.void(*kinds), code


def _scaled(builder: Any, row: Any, less: Any, times: Any, plus: Any) -> Any:
    vector = row.type
    name = f"llvm.fma.v{vector.count}f{256 // vector.count}"
    kind = ir.FunctionType(vector, [vector] * 3)
    multiply_add = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(multiply_add, [builder.fsub(row, less), times, plus])


def _columns(builder: Any, rows: list[Any]) -> list[Any]:
    """Transpose by exchanging ever smaller off-diagonal blocks."""
    count = len(rows)
    step = count // 2
    while step:
        left = [lane if not lane & step else count + lane - step for lane in range(count)]
        right = [lane + step if not lane & step else count + lane for lane in range(count)]
        for r in range(count):
            if not r & step:
                a, b = rows[r], rows[r + step]
                rows[r] = shuffle(builder, a, b, left)
                rows[r + step] = shuffle(builder, a, b, right)
        step //= 2
    return rows
