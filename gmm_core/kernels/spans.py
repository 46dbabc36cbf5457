"""Spans: rows through E-step and statistics, tile by tile, while they are in the cache.

`full_span` and `diag_span` are what Python calls. They add to arrays of the caller, so that a span is
free to be any part of the rows, on any thread. Their arguments:

Below w = `padded(d + 1, dtype)`, e = d rounded up to even, s = d + 1
rounded up to even. All arrays are flat and of the rows' dtype unless said. Log-densities are in bits.

values : n d numbers, row after row.
given : n weights, or none for ones.
order : places, uint16; masks and marks, uint32; gap; floor. Without masks all n rows are taken as they
    stand. With masks those at `places` are, and bit c of masks[i] says that component c is
    computed for the i-th tile (`gmm_core.fitting.grouping`). Marks, n of them or none, are written: which
    shares are above gap times the row's largest, or that its log joints are all below the floor.
scaling : shift, inverse, ones, w each: what to subtract, then to multiply by, then to add; the last is 1
    at d and 0 elsewhere, and the others 0 from d on.
model : whiteners, k e e, lower triangular; bias, k e, minus whitener times mean; offsets, k;
    origins, k w, 0 from d on; background, the log-density of what no component explains.
limit : shares below it are left out of the moments.
common : whether all origins are 0.
moments : k s s float64, added to: sum of share times (y, 1)(y, 1)', y = row - origin; below the
    diagonal only.
ends : 2 float64, added to: log-likelihood, weight of the background.
"""

from __future__ import annotations

import numpy as np

from gmm_core.kernels.emit import VECTOR_BYTES
from gmm_core.kernels.moments import (
    centre_all,
    diag_moments,
    diag_moments_of_all,
    flush,
    flush_of,
    gather,
    scatter,
    select,
    weigh_all,
)
from gmm_core.kernels.options import compiled, entry, making
from gmm_core.kernels.shares import joint_diag_of, joint_full_of, mark, share_out
from gmm_core.kernels.tiles import (
    APART,
    SPARE,
    bring_any,
    count_up,
    fill,
    list_components,
    supply,
    tile_rows,
    vacant,
    weigh,
)
from gmm_core.kernels.vectors import clear

__all__ = ["diag_span", "full_span", "in_given_order"]

_STACK = 4  # tiles whose shares are known before their moments are taken
_STACKS = 2  # between two additions to the float64 totals
_MANY = (
    0.4  # of the rows: to take out fewer, and turn them, costs less than to take all as they are
)


@entry
def full_span(values, d, given, order, scaling, model, limit, common, moments, ends):
    """Statistics of rows under k components with whiteners of their own."""
    whiteners, bias, offsets, origins, background = model
    places, masks, marks, gap, floor = order
    L, kind = VECTOR_BYTES // values.itemsize, values.dtype
    k, width, n = len(offsets), len(scaling[0]), len(places) if len(masks) else len(values) // d
    size = d + 1 + ((d + 1) & 1)
    most = width if width > size else size
    T = tile_rows(width, values.itemsize)
    B = _STACK * T if len(masks) == 0 else T
    turned, spare = vacant(B * width, kind), vacant(B * d + width, kind)
    share, factor, weight = vacant(k * B, kind), vacant(B, kind), vacant(B, kind)
    tops, grounds = vacant(T, kind), vacant(T, kind)
    y, z = vacant(T * most, kind), vacant(T * most, kind)
    room = (np.empty(B + 16, np.uint16), vacant(T + 16, kind), y, z)
    sums, end_sums = vacant(k * size * size * L, kind), vacant(2 * L, kind)
    listed, m, seen = np.empty(k + 1, np.int64), k, np.int64(0)
    fill(weight, 1)
    for zeros in (y, z, room[1], sums, end_sums):
        clear(zeros, 0, len(zeros))
    clear(room[0], 0, len(room[0]))
    count_up(listed)
    for stack, first in enumerate(range(0, n, B)):
        count = B if n - first > B else n - first
        if len(masks):
            m, seen = list_components(masks[stack], listed), seen | masks[stack]
        alike = weigh(given, places, masks, first, count, weight)
        at = supply(values, d, places, masks, first, count, B, spare)
        source, base = spare if at == SPARE else values, at if at > 0 else 0
        order = places[first:] if at == APART else places[:0]
        for into in range(0, count, T):
            at = into * width
            bring_any((source, base + into * d, order), d, scaling, T, turned, at)
            for slot in range(m):
                c, to = listed[slot], slot * B + into
                joint_full_of(c, turned, at, whiteners, bias, offsets, d, T, share, to)
            share_out(
                share, into, B, alike, weight, background, m, T, tops, grounds, factor, end_sums
            )
            if len(marks):
                own = marks[first + into : first + (into + T if into + T < count else count)]
                mark(share, into, B, k, tops, floor, gap, own)
        for slot in range(m):
            rows = ((source, base, order), d, scaling, turned, count, T, width, size)
            own = (origins, listed[slot], slot * B, limit, common)
            _add_moments(rows, share, factor, own, room, sums)
        if (first + B) // T % (_STACK * _STACKS) == 0 or first + B >= n:
            flush_of(seen, k, sums, moments)
            flush(end_sums, ends)
            seen = np.int64(0)


@compiled
def _add_moments(rows, share, factor, own, room, sums):
    """Add the moments of one component's share in the tiles at hand."""
    given, d, scaling, turned, count, T, width, size = rows
    origins, c, by, limit, common = own
    places, part, y, z = room
    to, mean = c * size * size * (VECTOR_BYTES // share.itemsize), c * width
    found = select(share, by, (count + T - 1) // T * T, limit, places)
    many = found > _MANY * count
    for start in range(0, count if many else found, T):
        centred, at, some = y, 0, T
        if many and common:
            centred, at = turned, start * width
            weigh_all(turned, at, share, by + start, factor, start, size, T, z)
        elif many:
            into = start * width
            centre_all(turned, into, share, by + start, factor, start, origins, mean, size, T, y, z)
        else:
            chosen = (places, start, start + T if start + T < found else found)
            some = gather(
                given, d, scaling, share, by, factor, chosen, origins, mean, T, part, y, z
            )
        scatter(centred, at, z, some, size, T, sums, to)


@entry
def diag_span(values, d, given, order, scaling, model, limit, common, moments, ends):
    """As `full_span`, for k components without covariances between features.

    Parameters
    ----------
    model : whiteners, k d, are inverse deviations; bias, k d.
    moments : k (1 + 2 e) float64, added to: sum of shares; then per feature the sum of share times
        y, and of share times y squared.
    """
    whiteners, bias, offsets, origins, background = model
    places, masks, marks, gap, floor = order
    L, kind = VECTOR_BYTES // values.itemsize, values.dtype
    k, width, n = len(offsets), len(scaling[0]), len(places) if len(masks) else len(values) // d
    T = tile_rows(width, values.itemsize)
    turned, spare = vacant(T * width, kind), vacant(T * d + width, kind)
    squares = vacant(T * width, kind)
    share, factor, weight = vacant((k + 1) * T, kind), vacant(T, kind), vacant(T, kind)
    tops, grounds = vacant(T, kind), vacant(T, kind)
    sums = vacant((k + 1) * (1 + 2 * (d + (d & 1))) * L, kind)
    end_sums = vacant(2 * L, kind)
    listed, m, seen = np.empty(k + 1, np.int64), k, np.int64(0)
    fill(weight, 1)
    for zeros in (squares, share, sums, end_sums):
        clear(zeros, 0, len(zeros))
    count_up(listed)
    for tile, first in enumerate(range(0, n, T)):
        count = T if n - first > T else n - first
        if len(masks):
            m, seen = list_components(masks[tile], listed), seen | masks[tile]
            listed[m] = k
        alike = weigh(given, places, masks, first, count, weight)
        at = supply(values, d, places, masks, first, count, T, spare)
        source, base = spare if at == SPARE else values, at if at > 0 else 0
        order = places[first:] if at == APART else places[:0]
        bring_any((source, base, order), d, scaling, T, turned, 0)
        for slot in range(m):
            joint_diag_of(listed[slot], turned, whiteners, bias, offsets, d, T, share, slot * T)
        share_out(share, 0, T, alike, weight, background, m, T, tops, grounds, factor, end_sums)
        if len(marks):
            mark(share, 0, T, k, tops, floor, gap, marks[first : first + count])
        if common:
            diag_moments_of_all(turned, squares, share, factor, listed, m, d, T, sums)
        else:
            diag_moments(turned, share, factor, origins, listed, m, d, width, T, sums)
        if (tile + 1) % (_STACK * _STACKS) == 0 or first + T >= n:
            flush_of(seen, k, sums, moments)
            flush(end_sums, ends)
            seen = np.int64(0)


@making
def in_given_order(real):
    """The `order` of all rows as they stand, which nobody marks; `real` is any number of the rows' type."""
    places, bits = np.empty(0, np.uint16), np.empty(0, np.uint32)
    return places, bits, bits, real, real
