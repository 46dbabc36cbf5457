"""Spans: rows through E-step and statistics, tile by tile, while they are in the cache.

`full_span` and `diag_span` are what Python calls. They add to arrays of the caller, so that a span is
free to be any part of the rows, on any thread. Their arguments:

Below L is `lanes(dtype)`, w = `padded(d + 1, dtype)`, e = d rounded up to even, s = d + 1
rounded up to even. All arrays are flat and of the rows' dtype unless said. Log-densities are in bits.

values : n d numbers, row after row.
given : n weights, or none for ones.
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
    diag_moments,
    diag_moments_of_all,
    flush,
    gather,
    scatter,
    select,
    weigh_all,
)
from gmm_core.kernels.options import entry
from gmm_core.kernels.shares import joint_diag, joint_full, share_out
from gmm_core.kernels.tiles import bring, copy_rows, tile_rows, weigh

__all__ = ["diag_span", "full_span"]

_STACK = 4  # tiles whose shares are known before their moments are taken
_STACKS = 2  # between two additions to the float64 totals
_MANY = (
    0.4  # of the rows: to take out fewer, and turn them, costs less than to take all as they are
)


@entry
def full_span(values, d, given, scaling, model, limit, common, moments, ends):
    """Statistics of rows under k components with whiteners of their own."""
    whiteners, bias, offsets, origins, background = model
    L = VECTOR_BYTES // values.itemsize
    k, width, n, kind = len(offsets), len(scaling[0]), len(values) // d, values.dtype
    size = d + 1 + ((d + 1) & 1)
    T = tile_rows(width, values.itemsize)
    B, tile = _STACK * T, T * width
    turned, spare = np.empty(_STACK * tile, kind), np.empty(B * d + width, kind)
    y, z = np.zeros(T * max(width, size), kind), np.zeros(T * max(width, size), kind)
    share, factor, weight = np.empty(k * B, kind), np.empty(B, kind), np.ones(B, kind)
    places, part = np.zeros(B + 16, np.uint16), np.zeros(T + 16, kind)
    tops, grounds = np.empty(T, kind), np.empty(T, kind)
    sums, end_sums = np.zeros(k * size * size * L, kind), np.zeros(2 * L, kind)
    for stack, first in enumerate(range(0, n, B)):
        source, base, count = values, first * d, min(B, n - first)
        alike = weigh(given, first, count, B, weight)
        if base + B * d + width > len(values):
            copy_rows(values, base, spare)
            source, base = spare, 0
        for into in range(0, count, T):
            at = into * width
            bring(source, base + into * d, d, scaling, T, turned, at)
            joint_full(turned, at, whiteners, bias, offsets, k, d, T, share, into, B)
            share_out(
                share, into, B, alike, weight, background, k, T, tops, grounds, factor, end_sums
            )
        for c in range(k):
            to = c * size * size * L
            found = select(share, c * B, (count + T - 1) // T * T, limit, places)
            if common and found > _MANY * count:
                for into in range(0, count, T):
                    weigh_all(turned, into * width, share, c * B + into, factor, into, size, T, z)
                    scatter(turned, into * width, z, T, size, T, sums, to)
                continue
            for start in range(0, found, T):
                chosen = (places, start, min(start + T, found))
                rows = gather(
                    source,
                    base,
                    d,
                    scaling,
                    share,
                    c * B,
                    factor,
                    chosen,
                    origins,
                    c * width,
                    T,
                    part,
                    y,
                    z,
                )
                scatter(y, 0, z, rows, size, T, sums, to)
        if stack % _STACKS == _STACKS - 1:
            flush(sums, moments)
            flush(end_sums, ends)
    flush(sums, moments)
    flush(end_sums, ends)


@entry
def diag_span(values, d, given, scaling, model, limit, common, moments, ends):
    """As `full_span`, for k components without covariances between features.

    Parameters
    ----------
    model : whiteners, k d, are inverse deviations; bias, k d.
    moments : k (1 + 2 e) float64, added to: sum of shares; then per feature the sum of share times
        y, and of share times y squared.
    """
    whiteners, bias, offsets, origins, background = model
    L = VECTOR_BYTES // values.itemsize
    k, width, n, kind = len(offsets), len(scaling[0]), len(values) // d, values.dtype
    T = tile_rows(width, values.itemsize)
    turned, spare = np.empty(T * width, kind), np.empty(T * d + width, kind)
    squares, pairs = np.zeros(T * width, kind), k + (k & 1)
    share, factor, weight = np.zeros(pairs * T, kind), np.empty(T, kind), np.ones(T, kind)
    tops, grounds = np.empty(T, kind), np.empty(T, kind)
    sums = np.zeros(pairs * (1 + 2 * (d + (d & 1))) * L, kind)
    end_sums = np.zeros(2 * L, kind)
    for tile, first in enumerate(range(0, n, T)):
        source, base = values, first * d
        alike = weigh(given, first, min(T, n - first), T, weight)
        if base + T * d + width > len(values):
            copy_rows(values, base, spare)
            source, base = spare, 0
        bring(source, base, d, scaling, T, turned, 0)
        joint_diag(turned, whiteners, bias, offsets, k, d, T, share, 0, T)
        share_out(share, 0, T, alike, weight, background, k, T, tops, grounds, factor, end_sums)
        if common:
            diag_moments_of_all(turned, squares, share, factor, k, d, T, sums)
        else:
            diag_moments(turned, share, factor, origins, k, d, width, T, sums)
        if tile % (_STACK * _STACKS) == 0:
            flush(sums, moments)
            flush(end_sums, ends)
    flush(sums, moments)
    flush(end_sums, ends)
