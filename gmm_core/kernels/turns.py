"""Blocks of rows into columns: from one row after the other to one feature after the other."""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import intrinsic

from gmm_core.kernels.emit import I64, pointer_to, read, shuffle, vector_of, write

__all__ = ["transpose", "transpose_rows"]


@intrinsic
def transpose(
    typing: Any, target: Any, to: Any, step: Any, source: Any, at: Any, stride: Any
) -> Any:
    """Rows `source[at + r * stride]` of a square block become its columns `target[to + c * step]`."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target_, to_, step_, source_, at_, stride_ = args
        vector = vector_of(source.dtype)
        first = pointer_to(context, builder, signature.args[3], source_, at_)
        rows = [
            read(builder, builder.gep(first, [builder.mul(stride_, I64(r))]), vector)
            for r in range(vector.count)
        ]
        last = pointer_to(context, builder, signature.args[0], target_, to_)
        for c, column in enumerate(_columns(builder, rows)):
            write(builder, builder.gep(last, [builder.mul(step_, I64(c))]), column)
        return context.get_dummy_value()

    places = (types.intp,) * 2
    return types.void(target, *places, source, *places), code


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
    column: Any,
    origin: Any,
    weight: Any,
) -> Any:
    """As `transpose`, for the rows numbered `places[at], places[at + 1], ...` less `origin`.

    Row p starts at `source[p * stride + column]`. Into `weighted` goes the same, each row times its
    lane of `weight`.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        y, z, to_, step_, source_, places_, at_, stride_, column_, origin_, weight_ = args
        kinds, vector = signature.args, vector_of(source.dtype)
        rows = []
        for r in range(vector.count):
            place = pointer_to(context, builder, kinds[5], places_, builder.add(at_, I64(r)))
            index = builder.mul(builder.zext(builder.load(place), I64), stride_)
            first = pointer_to(context, builder, kinds[4], source_, builder.add(index, column_))
            rows.append(builder.fsub(read(builder, first, vector), origin_))
        y_first = pointer_to(context, builder, kinds[0], y, to_)
        z_first = pointer_to(context, builder, kinds[1], z, to_)
        for c, turned in enumerate(_columns(builder, rows)):
            offset = [builder.mul(step_, I64(c))]
            write(builder, builder.gep(y_first, offset), turned)
            write(builder, builder.gep(z_first, offset), builder.fmul(turned, weight_))
        return context.get_dummy_value()

    whole = types.intp
    kinds = (target, weighted, whole, whole, source, places, whole, whole, whole, origin, weight)
    return types.void(*kinds), code


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
