"""The compiled kernel: the same statistics as `estep.numpy_kernel`, some fifty times faster.

The rows are cut into spans whose borders depend on numbers and types alone, and the spans' sums are
added in one order: the outcome does not depend on how many threads there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmm_core.arrays import Array
from gmm_core.covariances.cholesky import whitener_diagonal
from gmm_core.fitting.estep import Joint, Statistics, numpy_kernel
from gmm_core.fitting.grouping import Order, deepest, groups_of
from gmm_core.fitting.layout import (
    BIT,
    NOTHING,
    diag_arguments,
    full_arguments,
    kernels,
    of_diag,
    of_full,
    scaling_of,
    whitened_means,
)
from gmm_core.fitting.reach import within_reach
from gmm_core.fitting.rows import Rows
from gmm_core.fitting.threads import on_threads
from gmm_core.gaussian import CovarianceKind

__all__ = ["compiled_kernel", "in_one_piece", "piece_of"]

_SPAN = 4_096  # rows at least, so that starting a span costs nothing beside it
_LEAST_SPANS, _MOST_SPANS = 8, 16  # where there are rows enough
_SUMS = 1 << 25  # bytes that the sums of more than the least spans may take
_PART = 1 << 22  # bytes of rows given to a kernel at once: what it cannot read in place is copied
# Shares below it change no digit of a component's moments.
_LIMIT = {np.dtype(np.float64): 1e-13, np.dtype(np.float32): 1e-8}
# Moments are summed about the mean of before. Where a mean went further than this many squared
# deviations, the subtraction that brings them to the new one costs too many digits.
_FURTHEST = {np.dtype(np.float64): 1e6, np.dtype(np.float32): 1e2}
# Whitened rows are differences too. Where the two sides are longer than this, rounding shows.
_LONGEST = {np.dtype(np.float64): 1e10, np.dtype(np.float32): 1e5}
_IDLE = 1e-9  # rows: whatever the moments of a component that holds less, no fit uses them
# Log-likelihoods are as low only where a row has nothing above it.
_LOST = {np.dtype(np.float64): -1e290, np.dtype(np.float32): -1e36}
# Squared deviations of a component's mean from that of all rows: up to them its moments may be summed
# about the latter.
_CENTRAL = {np.dtype(np.float64): 1e4, np.dtype(np.float32): 16.0}
_Ordered = tuple[NDArray[np.uint16], NDArray[np.uint32], NDArray[np.uint32], float, float]
_NO_BITS = np.empty(0, np.uint32)
_AS_THEY_STAND: _Ordered = (np.empty(0, np.uint16), _NO_BITS, _NO_BITS, 0.0, 0.0)
_TINY = float(np.finfo(np.float64).tiny)


def compiled_kernel(rows: Rows, joint: Joint, kind: CovarianceKind) -> Statistics:
    """Statistics of all rows; holds a few tiles per thread."""
    full = joint.whiteners.ndim == 3 and rows.n_features > 1
    if not _can_subtract(rows, joint):
        return numpy_kernel(rows, joint, kind)
    origin = _origins(joint, rows.values.dtype)
    moments, ends = _sums(rows, joint, full, origin)
    weight, first, second = (of_full if full else of_diag)(moments, *origin.shape)
    moved = first / np.maximum(weight, _TINY)[:, None]
    if second.ndim == 3:
        scatter = second - weight[:, None, None] * moved[:, :, None] * moved[:, None, :]
        spread = np.diagonal(scatter, axis1=1, axis2=2)
    else:
        spread = scatter = second - weight[:, None] * np.square(moved)
    if not ends[0] > _LOST[rows.values.dtype]:  # a row so far out that its log joint is no number
        return numpy_kernel(rows, joint, kind)
    # Rows all alike have no spread of their own, but the component that holds them has.
    spread = np.maximum(spread, weight[:, None] / np.square(whitener_diagonal(joint.whiteners)))
    near = weight[:, None] * np.square(moved) <= _FURTHEST[rows.values.dtype] * spread
    if not near[weight > _IDLE].all():
        return numpy_kernel(rows, joint, kind)
    if kind.scatter_shape(*origin.shape) != scatter.shape:  # one feature: a matrix of one number
        scatter = scatter[:, :, None]
    return Statistics(BIT * float(ends[0]), weight, origin + moved, scatter, float(ends[1]))


def _origins(joint: Joint, dtype: np.dtype[Any]) -> Array:
    """(k, d) about what the moments are summed: 0 for all where that costs no digits, or the means."""
    if (np.square(whitened_means(joint)).sum(axis=1) <= _CENTRAL[dtype]).all():
        return np.zeros_like(joint.means)
    return joint.means.astype(dtype).astype(np.float64)


def _can_subtract(rows: Rows, joint: Joint) -> bool:
    """Whether the whitened rows, differences of what whiteners make of rows and means, are precise."""
    sides = np.abs(joint.whiteners)
    means = np.abs(joint.means)
    length = np.einsum("kij,kj->ki", sides, means) if sides.ndim == 3 else sides * means
    longest = _LONGEST[rows.values.dtype]
    return bool((length <= longest).all() and (sides <= np.square(longest)).all())


def _sums(rows: Rows, joint: Joint, full: bool, origin: Array) -> tuple[Array, Array]:
    """The raw sums over all rows, as the kernels lay them out, and their ends."""
    spans, dtype = kernels("spans"), rows.values.dtype
    kernel = spans.full_span if full else spans.diag_span
    scaling, model = (full_arguments if full else diag_arguments)(rows, joint, origin)
    k, d = joint.means.shape
    length = (d + 1 + (d + 1) % 2) ** 2 if full else 1 + 2 * (d + d % 2)
    job = _Job(kernel, rows, scaling, model, dtype.type(_LIMIT[dtype]), not origin.any(), k, length)
    groups = groups_of(rows, joint, _LIMIT[dtype])
    if groups is None:
        return _sums_of_all(job, joint, _AS_THEY_STAND)
    order = groups.order(joint)
    if order is not None:
        return _sums_in(order, job)
    if not groups.worth_marking(joint):
        return _sums_of_all(job, joint, _AS_THEY_STAND)
    marks = np.empty(len(rows), np.uint32)
    gap, floor = np.exp(-groups.gap), deepest(joint) / BIT
    sums = _sums_of_all(job, joint, (*_AS_THEY_STAND[:2], marks, gap, floor))
    groups.marked(marks, joint, kernels("tiles").tile_rows.py_func(len(scaling[0]), dtype.itemsize))
    return sums


@dataclass(frozen=True)
class _Job:
    """What every call of the kernel has in common; `length` sums of each of k components."""

    kernel: Callable[..., None]
    rows: Rows
    scaling: tuple[Any, ...]
    model: tuple[Any, ...]
    limit: Any
    common: bool
    k: int
    length: int

    def add(self, part: slice, order: _Ordered, model: Any, sums: Array, ends: Array) -> None:
        """Add the sums over some rows."""
        given, (*marks, gap, floor) = _given(self.rows, part), order
        order = (*marks, self.limit.dtype.type(gap), self.limit.dtype.type(floor))
        settings = (self.scaling, model, self.limit, self.common)
        self.kernel(*given, order, *settings, sums.reshape(-1), ends)


def _sums_of_all(job: _Job, joint: Joint, order: _Ordered) -> tuple[Array, Array]:
    """Of the rows as they stand, which are marked where there is room for marks."""
    rows = job.rows
    borders = _borders(len(rows), job.k * job.length)
    moments, ends = np.zeros((len(borders), job.k, job.length)), np.zeros((len(borders), 2))
    reach = within_reach(rows, joint, borders)

    def work(index: int) -> None:
        near = reach[index]
        model = _of_some(job.model, near)
        sums = np.zeros((np.count_nonzero(near), job.length))
        for part in _parts(borders[index], rows.values[:1].nbytes):
            job.add(part, (*order[:2], order[2][part], *order[3:]), model, sums, ends[index])
        moments[index, near] = sums

    on_threads(work, len(borders))
    total: Array = moments.sum(axis=0).reshape(-1)
    return total, ends.sum(axis=0)


def _sums_in(order: Order, job: _Job) -> tuple[Array, Array]:
    """Of the rows in groups."""
    count = len(order.spans)
    moments, ends = np.zeros((count, job.k * job.length)), np.zeros((count, 2))

    def work(index: int) -> None:
        for piece in order.spans[index]:
            how = (piece.places, piece.masks, *_AS_THEY_STAND[2:])
            job.add(piece.block, how, job.model, moments[index], ends[index])

    on_threads(work, count)
    total: Array = moments.sum(axis=0)
    return total, ends.sum(axis=0)


def _of_some(model: tuple[Any, ...], components: NDArray[np.bool_]) -> tuple[Any, ...]:
    """The arguments of these components alone; the last of all is no component's."""
    if components.all():
        return model
    k = len(components)
    return (*(part.reshape(k, -1)[components].reshape(-1) for part in model[:-1]), model[-1])


def _borders(n: int, length: int) -> list[slice]:
    """Spans of n rows, each with `length` sums of its own."""
    most = max(_LEAST_SPANS, min(_MOST_SPANS, _SUMS // (8 * length)))
    count = max(1, min(most, n // _SPAN))
    places = [n * index // count for index in range(count + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(places)]


def _parts(span: slice, row_bytes: int) -> Iterator[slice]:
    step = max(1, _PART // row_bytes)
    for first in range(span.start, span.stop, step):
        yield slice(first, min(first + step, span.stop))


def _given(rows: Rows, part: slice) -> tuple[NDArray[Any], int, NDArray[Any]]:
    """Values, features and weights as the kernels take them: views where these rows allow it."""
    values = rows.values[part]
    if not (values.flags.c_contiguous and values.flags.writeable and values.flags.aligned):
        values = np.array(values, order="C")  # the only layout that is compiled for
    kind = values.dtype
    weight = np.empty(0, kind) if rows.weight is None else rows.weight[part].astype(kind)
    return values.reshape(-1), rows.n_features, weight


def in_one_piece(rows: Rows) -> bool:
    """Whether the rows are so few that one call on one thread does them."""
    return len(_borders(len(rows), 1)) == 1 and rows.values.nbytes <= _PART


def piece_of(rows: Rows) -> tuple[tuple[Any, ...], tuple[float, ...]]:
    """The first arguments of a span kernel for rows in one piece; and what bounds their precision: the
    least share, the log joint of nothing, and the bounds of `gmm_core.kernels.steps`."""
    kind = rows.values.dtype
    bounds = (_LONGEST[kind], _CENTRAL[kind], _LOST[kind], _FURTHEST[kind], _IDLE, _TINY)
    real = kind.type(0)
    given = (
        *_given(rows, slice(0, len(rows))),
        (*_AS_THEY_STAND[:3], real, real),
        scaling_of(rows),
    )
    return given, (_LIMIT[kind], NOTHING[kind], *bounds)
