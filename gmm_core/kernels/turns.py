"""Blocks of rows into columns: from one row after the other to one feature after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from gmm_core.kernels.emit import (
    BLOCK_BYTES,
    I64,
    fused,
    pointer_to,
    read,
    shuffle,
    vector_of,
    write,
)

__all__ = ["prefetch_rows", "transpose", "transpose_at", "transpose_rows"]


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
        vector = _part_of_row(source.dtype)
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
def transpose_at(
    typing: Any,
    target: Any,
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
) -> Any:
    """As `transpose`, for the rows numbered `places[at], places[at + 1], ...`.

    Row p starts at `source[p * stride + first]`.
    """

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target_, to_, step_, source_, places_, at_, stride_, first_, *scaling = args
        kinds = signature.args
        where = [kinds[3], source_, kinds[4], places_, at_, stride_, first_]
        last = pointer_to(context, builder, kinds[0], target_, to_)
        for c, column in enumerate(_columns_at(context, builder, source.dtype, where, scaling)):
            write(builder, builder.gep(last, [builder.mul(step_, I64(c))]), column)
        return context.get_dummy_value()

    whole = types.intp
    kinds = (target, whole, whole, source, places, whole, whole, whole, less, times, plus)
    return types.void(*kinds), code


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
    """As `transpose_at`. Into `weighted` goes the same, each row times its lane of `weight`."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        y, z, to_, step_, source_, places_, at_, stride_, first_, *scaling, weight_ = args
        kinds = signature.args
        where = [kinds[4], source_, kinds[5], places_, at_, stride_, first_]
        y_first = pointer_to(context, builder, kinds[0], y, to_)
        z_first = pointer_to(context, builder, kinds[1], z, to_)
        for c, turned in enumerate(_columns_at(context, builder, source.dtype, where, scaling)):
            offset = [builder.mul(step_, I64(c))]
            write(builder, builder.gep(y_first, offset), turned)
            write(builder, builder.gep(z_first, offset), builder.fmul(turned, weight_))
        return context.get_dummy_value()

    whole = types.intp
    counts = (whole, whole, whole)
    kinds = (target, weighted, whole, whole, source, places, *counts, less, times, plus, weight)
    return types.void(*kinds), code


@intrinsic
def prefetch_rows(typing: Any, source: Any, places: Any, at: Any, stride: Any, first: Any) -> Any:
    """Ask for the cache lines in which a block's rows at places have column `first`.

    Rows in an order of their own are where no processor expects them.
    """
    count = _part_of_row(source.dtype).count

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        source_, places_, *rest = args
        kinds = signature.args
        for row in _places(count, context, builder, kinds[0], source_, kinds[1], places_, *rest):
            # To read, and to keep in all caches.
            builder.call(ask, [builder.bitcast(row, byte), word(0), word(3), word(1)])
        return context.get_dummy_value()

    whole = types.intp
    return types.void(source, places, whole, whole, whole), code


def _places(
    count: int,
    context: Any,
    builder: Any,
    of: Any,
    source: Any,
    kind: Any,
    places: Any,
    at: Any,
    stride: Any,
    first: Any,
) -> Iterator[Any]:
    """Where the next rows at places have column `first`."""
    for r in range(count):
        place = pointer_to(context, builder, kind, places, builder.add(at, I64(r)))
        row = builder.mul(builder.zext(builder.load(place), I64), stride)
        yield pointer_to(context, builder, of, source, builder.add(row, first))


def _part_of_row(element: Any) -> Any:
    return vector_of(element, BLOCK_BYTES * 8 // element.bitwidth)


def _columns_at(
    context: Any, builder: Any, element: Any, where: list[Any], scaling: list[Any]
) -> list[Any]:
    """The next rows at places, `where` as `_places` takes it, scaled and turned."""
    vector = _part_of_row(element)
    rows = _places(vector.count, context, builder, *where)
    return _columns(
        builder, [_scaled(builder, read(builder, row, vector), *scaling) for row in rows]
    )


def _scaled(builder: Any, row: Any, less: Any, times: Any, plus: Any) -> Any:
    return fused(builder, builder.fsub(row, less), times, plus)


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
