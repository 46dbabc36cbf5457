"""What rows are told of the components, tile by tile: log-densities, the likeliest component, all shares.

`full_answers` and `diag_answers` are what Python calls. They write to arrays of the caller, row by row,
so any part of the rows may be anyone's. Their arguments:

Below w is `padded(d + 1, float64)`, e = d rounded up to even. All arrays are flat and float64 unless said.

values : n d numbers, row after row.
model : whiteners, k e e, lower triangular, or k d inverse deviations; means, k w, 0 from d on; offsets, k,
    in bits.
log_prob : n, written: nats.
component : n int64, written: the one with the largest share, the first of several.
shares : n k, written: their logarithms, nats; or none, when nobody asks.

Rows are taken off each mean before they are whitened, as the plain code does: of the differences no
digit is lost, wherever the rows lie. A row so far out that its squares are no number is told NaN or
less than -1e200.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba.extending import intrinsic

from gmm_core.kernels.elementary import exp2, log2
from gmm_core.kernels.emit import VECTOR_BYTES
from gmm_core.kernels.options import compiled, entry, making
from gmm_core.kernels.shares import joint_diag, joint_full
from gmm_core.kernels.tiles import bring, tile_rows, vacant
from gmm_core.kernels.vectors import add, clear, copy, load, maximum, splat, spread, store, sub

__all__ = ["diag_answers", "full_answers"]

_BIT = math.log(2)  # nats
_L = VECTOR_BYTES // 8


@intrinsic
def _where_above(typing: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    """Lanes of x where those of a are above b's, and of y elsewhere."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[2], args[3])

    return x(a, b, x, y), code


@entry
def full_answers(values, d, model, log_prob, component, shares):
    """Of k components with whiteners of their own."""
    whiteners, means, offsets = model
    k, n, width = len(offsets), len(values) // d, len(means) // len(offsets)
    even = d + (d & 1)
    T = tile_rows(width, 8)
    turned, spare, scaling = _room(d, width, T)
    centred, bias = vacant(T * width, values.dtype), np.zeros(even)
    joint, told = vacant(k * T, values.dtype), vacant(3 * T, values.dtype)
    for first in range(0, n, T):
        _brought(values, first * d, d, width, scaling, T, turned, spare)
        for c in range(k):
            _centre(turned, means, c * width, even, T, centred)
            own = whiteners[c * even * even : (c + 1) * even * even]
            joint_full(centred, 0, own, bias, offsets[c : c + 1], 1, d, T, joint, c * T, T)
        _tell(joint, k, T, told)
        _write(joint, told, k, T, first, min(T, n - first), log_prob, component, shares)


@entry
def diag_answers(values, d, model, log_prob, component, shares):
    """Of k components without covariances between features."""
    whiteners, means, offsets = model
    k, n, width = len(offsets), len(values) // d, len(means) // len(offsets)
    T = tile_rows(width, 8)
    turned, spare, scaling = _room(d, width, T)
    centred, bias = vacant(T * width, values.dtype), np.zeros(d)
    joint, told = vacant(k * T, values.dtype), vacant(3 * T, values.dtype)
    for first in range(0, n, T):
        _brought(values, first * d, d, width, scaling, T, turned, spare)
        for c in range(k):
            _centre(turned, means, c * width, d, T, centred)
            own = whiteners[c * d : (c + 1) * d]
            joint_diag(centred, own, bias, offsets[c : c + 1], 1, d, T, joint, c * T, T)
        _tell(joint, k, T, told)
        _write(joint, told, k, T, first, min(T, n - first), log_prob, component, shares)


@making
def _room(d, width, T):
    """Tiles, and a scaling that changes nothing."""
    shift, inverse, ones = np.zeros(width), np.zeros(width), np.zeros(width)
    inverse[:d] = 1
    ones[d] = 1
    return vacant(T * width, shift.dtype), np.empty(T * d + width), (shift, inverse, ones)


@compiled
def _brought(values, base, d, width, scaling, T, turned, spare):
    """The tile from `values[base]` on, turned; vectors read beyond a row's end."""
    if base + T * d + width > len(values):
        left = len(values) - base
        copy(spare, 0, values, base, left)
        clear(spare, left, len(spare))
        bring(spare, 0, d, scaling, T, turned, 0)
    else:
        bring(values, base, d, scaling, T, turned, 0)


@compiled
def _centre(turned, means, at, d, T, centred):
    """Rows less a mean."""
    for i in range(d):
        mean = spread(means, at + i)
        for t in range(i * T, (i + 1) * T, 2 * _L):
            store(centred, t, sub(load(turned, t), mean))
            store(centred, t + _L, sub(load(turned, t + _L), mean))


@compiled
def _tell(joint, k, T, told):
    """Of a tile's log joints in bits: the largest, the log of the sum less that, the likeliest component."""
    for t in range(0, T, _L):
        top, best = load(joint, t), splat(0.0)
        for c in range(1, k):
            one = load(joint, c * T + t)
            best = _where_above(one, top, splat(float(c)), best)
            top = maximum(one, top)
        total = splat(0.0)
        for c in range(k):
            total = add(total, exp2(sub(load(joint, c * T + t), top)))
        store(told, t, top)
        store(told, T + t, log2(total))
        store(told, 2 * T + t, best)


@compiled
def _write(joint, told, k, T, first, count, log_prob, component, shares):
    """The tile's answers, as many as there are rows."""
    for t in range(count):
        log_prob[first + t] = (told[t] + told[T + t]) * _BIT
        component[first + t] = int(told[2 * T + t])
    if len(shares):
        for t in range(count):
            for c in range(k):
                left = joint[c * T + t] - told[t]
                shares[(first + t) * k + c] = (left - told[T + t]) * _BIT
