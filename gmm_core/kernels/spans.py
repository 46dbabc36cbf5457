"""Spans: rows through E-step and statistics, tile by tile, while they are in the cache.

`full_span` and `diag_span` are what Python calls. They add to arrays of the caller, so that a span is
free to be any part of the rows, on any thread. Their arguments:

Below L is `lanes(dtype)`, w = `padded(d + 1, dtype)`, e = d rounded up to even, s = d + 1
rounded up to even. All arrays are flat and of the rows' dtype unless said.

values : n d numbers, row after row.
given : n weights, or none for ones.
scaling : shift, inverse, ones, w each: what to subtract, then to multiply by, then to add; the last is 1
    at d and 0 elsewhere, and the others 0 from d on.
model : whiteners, k e e, lower triangular; bias, k e, minus whitener times mean; offsets, k;
    means, k w, 0 from d on; background, the log-density of what no component explains.
limit : shares below it are left out of the moments.
moments : k s s float64, added to: sum of share times (y, 1)(y, 1)', y = row - mean; below the
    diagonal only.
ends : 2 float64, added to: log-likelihood, weight of the background.
"""

from __future__ import annotations

import numpy as np

from gmm_core.kernels.emit import VECTOR_BYTES
from gmm_core.kernels.moments import diag_moments, flush, gather, scatter, select
from gmm_core.kernels.options import entry
from gmm_core.kernels.shares import joint_diag, joint_full, share_out
from gmm_core.kernels.tiles import bring, copy_rows, tile_rows, weigh

__all__ = ["diag_span", "full_span"]

_STACK = 4  # tiles whose shares are known before their moments are taken
_STACKS = 2  # between two additions to the float64 totals


@entry
def full_span(values, d, given, scaling, model, limit, moments, ends):
    """Statistics of rows under k components with whiteners of their own."""
    whiteners, bias, offsets, means, background = model
    L = VECTOR_BYTES // values.itemsize
    k, width, n, kind = len(offsets), len(scaling[0]), len(values) // d, values.dtype
    size = d + 1 + ((d + 1) & 1)
    T = tile_rows(width, values.itemsize)
    B = _STACK * T
    turned, spare = np.empty(T * width, kind), np.empty(B * d + width, kind)
    y, z = np.zeros(T * max(width, size), kind), np.zeros(T * max(width, size), kind)
    share, factor, weight = np.empty(k * B, kind), np.empty(B, kind), np.ones(B, kind)
    places, part = np.zeros(B + 16, np.uint16), np.zeros(T + 16, kind)
    tops, grounds = np.empty(T, kind), np.empty(T, kind)
    sums, end_sums = np.zeros(k * size * size * L, kind), np.zeros(2 * L, kind)
    for stack, first in enumerate(range(0, n, B)):
        source, base, count = values, first * d, min(B, n - first)
        weigh(given, first, count, B, weight)
        if base + B * d + width > len(values):
            copy_rows(values, base, spare)
            source, base = spare, 0
        for into in range(0, count, T):
            bring(source, base + into * d, d, scaling, T, turned)
            joint_full(turned, whiteners, bias, offsets, k, d, T, share, into, B)
            share_out(share, into, B, weight, background, k, T, tops, grounds, factor, end_sums)
        for c in range(k):
            found = select(share, c * B, (count + T - 1) // T * T, limit, places)
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
                    means,
                    c * width,
                    T,
                    part,
                    y,
                    z,
                )
                scatter(y, z, rows, size, T, sums, c * size * size * L)
        if stack % _STACKS == _STACKS - 1:
            flush(sums, moments)
            flush(end_sums, ends)
    flush(sums, moments)
    flush(end_sums, ends)


@entry
def diag_span(values, d, given, scaling, model, limit, moments, ends):
    """As `full_span`, for k components without covariances between features.

    Parameters
    ----------
    model : whiteners, k d, are inverse deviations; bias, k d.
    moments : k (1 + 2 d) float64, added to: sum of shares; then per feature the sum of share times
        y, and of share times y squared.
    """
    whiteners, bias, offsets, means, background = model
    L = VECTOR_BYTES // values.itemsize
    k, width, n, kind = len(offsets), len(scaling[0]), len(values) // d, values.dtype
    T = tile_rows(width, values.itemsize)
    turned, spare = np.empty(T * width, kind), np.empty(T * d + width, kind)
    share, factor, weight = np.empty(k * T, kind), np.empty(T, kind), np.ones(T, kind)
    tops, grounds = np.empty(T, kind), np.empty(T, kind)
    sums, end_sums = np.zeros(k * (1 + 2 * d) * L, kind), np.zeros(2 * L, kind)
    for tile, first in enumerate(range(0, n, T)):
        source, base = values, first * d
        weigh(given, first, min(T, n - first), T, weight)
        if base + T * d + width > len(values):
            copy_rows(values, base, spare)
            source, base = spare, 0
        bring(source, base, d, scaling, T, turned)
        joint_diag(turned, whiteners, bias, offsets, k, d, T, share, 0, T)
        share_out(share, 0, T, weight, background, k, T, tops, grounds, factor, end_sums)
        diag_moments(turned, share, factor, means, k, d, width, T, sums)
        if tile % (_STACK * _STACKS) == 0:
            flush(sums, moments)
            flush(end_sums, ends)
    flush(sums, moments)
    flush(end_sums, ends)
