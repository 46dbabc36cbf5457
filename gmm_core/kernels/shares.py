"""E-step of a tile: log of weight times density, in bits, then each component's share of each row."""

from __future__ import annotations

import math

import numpy as np

from gmm_core.kernels.elementary import exp2, log2
from gmm_core.kernels.emit import VECTOR_BYTES
from gmm_core.kernels.options import compiled
from gmm_core.kernels.vectors import (
    add,
    div,
    fma,
    high,
    load,
    load2,
    load4,
    low,
    maximum,
    mul,
    splat2,
    splat4,
    spread4,
    step_to,
    store,
    sub,
)

__all__ = ["joint_diag", "joint_diag_of", "joint_full", "joint_full_of", "mark", "share_out"]

_MINUS_HALF = -0.5 / math.log(2)  # joints are in bits
_NO_GROUND = -1e37  # a background's log-density is above it, the number that stands for none below


@compiled
def joint_full(x, from_, whiteners, bias, offsets, k, d, T, joint, into, stride):
    """Log joints of a turned tile at `x[from_]` under k components, `stride` numbers apart."""
    for c in range(k):
        joint_full_of(c, x, from_, whiteners, bias, offsets, d, T, joint, into + c * stride)


@compiled
def joint_full_of(c, x, from_, whiteners, bias, offsets, d, T, joint, into):
    """Log joints under component c: the precision-Cholesky product, two features of it by four vectors
    of rows at a time, so that each number loaded is used often."""
    L = VECTOR_BYTES // x.itemsize
    even = d + (d & 1)
    minus_half, offset = splat4(x.dtype.type(_MINUS_HALF)), spread4(offsets, c)
    for t in range(0, T, 4 * L):
        squares = splat4(x.dtype.type(0))
        for i in range(0, even, 2):
            first = c * even + i
            a, b = spread4(bias, first), spread4(bias, first + 1)
            j, row, at = 0, first * even, from_ + t
            while j < i + 2:
                rows = load4(x, at)
                a = fma(spread4(whiteners, row + j), rows, a)
                b = fma(spread4(whiteners, row + even + j), rows, b)
                at += T
                j = step_to(j + 1)
            squares = fma(b, b, fma(a, a, squares))
        store(joint, into + t, fma(minus_half, squares, offset))


@compiled
def joint_diag(x, whiteners, bias, offsets, k, d, T, joint, into, stride):
    """As `joint_full`, for reciprocal deviations."""
    for c in range(k):
        joint_diag_of(c, x, whiteners, bias, offsets, d, T, joint, into + c * stride)


@compiled
def joint_diag_of(c, x, whiteners, bias, offsets, d, T, joint, into):
    """As `joint_full_of`, for reciprocal deviations."""
    L = VECTOR_BYTES // x.itemsize
    minus_half, offset = splat4(x.dtype.type(_MINUS_HALF)), spread4(offsets, c)
    for t in range(0, T, 4 * L):
        squares = splat4(x.dtype.type(0))
        i = 0
        while i < d:
            own = c * d + i
            y = fma(spread4(whiteners, own), load4(x, i * T + t), spread4(bias, own))
            squares = fma(y, y, squares)
            i = step_to(i + 1)
        store(joint, into + t, fma(minus_half, squares, offset))


@compiled
def mark(share, first, stride, k, tops, floor, gap, marks):
    """Bit c of a row's mark says whether its share beside its largest is above `gap` in component c;
    every bit does where the largest log joint is below `floor`."""
    for t in range(len(marks)):
        marks[t] = 0 if tops[t] >= floor else ~np.uint32(0)
    for c in range(k):
        bit, own = np.uint32(1 << c), share[first + c * stride : first + c * stride + len(marks)]
        for t in range(len(marks)):
            marks[t] |= bit if own[t] > gap else np.uint32(0)


@compiled
def share_out(joint, first, stride, alike, weight, background, k, T, tops, grounds, factor, sums):
    """Turn log joints into 2**(joint - largest), and `factor` into weight over their sum.

    Adds to `sums`, lane by lane: log-likelihood in bits, then the weight that the background
    explains. `alike` says that all rows weigh 1.
    """
    L = VECTOR_BYTES // joint.itemsize
    least, none = splat2(joint.dtype.type(background)), splat2(joint.dtype.type(0))
    grounded = background > _NO_GROUND
    for t in range(0, T, 2 * L):
        top, share, at = least, none, first + t
        for _ in range(k):
            top = maximum(load2(joint, at), top)
            at += stride
        if grounded:
            share = exp2(sub(least, top))
            store(grounds, t, share)
        at = first + t
        while at < k * stride:
            part = exp2(sub(load2(joint, at), top))
            share = add(share, part)
            store(joint, at, part)
            at = step_to(at + stride)
        store(tops, t, top)
        store(factor, first + t, share)
    if alike:
        _weigh_alike(tops, factor, first, T, sums)
    else:
        _weigh_each(tops, factor, first, weight, T, sums)
    if grounded:
        behind = load(sums, L)
        for t in range(0, T, L):
            behind = fma(load(factor, first + t), load(grounds, t), behind)
        store(sums, L, behind)


@compiled
def _weigh_alike(tops, factor, first, T, sums):
    """The logarithm of a product instead of four: each factor is from 1 to k + 1."""
    L = VECTOR_BYTES // tops.itemsize
    one, likelihood = splat4(tops.dtype.type(1)), load(sums, 0)
    for t in range(0, T, 4 * L):
        share, top = load4(factor, first + t), load4(tops, t)
        store(factor, first + t, div(one, share))
        top, product = add(low(top), high(top)), mul(low(share), high(share))
        top, product = add(low(top), high(top)), mul(low(product), high(product))
        likelihood = add(likelihood, add(top, log2(product)))
    store(sums, 0, likelihood)


@compiled
def _weigh_each(tops, factor, first, weight, T, sums):
    L = VECTOR_BYTES // tops.itemsize
    likelihood = load(sums, 0)
    t = 0
    while t < T:
        share, heavy = load(factor, first + t), load(weight, first + t)
        store(factor, first + t, div(heavy, share))
        likelihood = fma(heavy, add(load(tops, t), log2(share)), likelihood)
        t = step_to(t + L)
    store(sums, 0, likelihood)
