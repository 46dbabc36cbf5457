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
    load,
    maximum,
    mul,
    splat,
    spread,
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
    minus_half, offset = splat(x.dtype.type(_MINUS_HALF)), spread(offsets, c)
    for t in range(0, T, 4 * L):
        q0 = splat(x.dtype.type(0))
        q1, q2, q3 = q0, q0, q0
        for i in range(0, even, 2):
            a0 = spread(bias, c * even + i)
            b0 = spread(bias, c * even + i + 1)
            a1, a2, a3, b1, b2, b3 = a0, a0, a0, b0, b0, b0
            row = (c * even + i) * even
            j = 0
            while j < i + 2:
                at = from_ + j * T + t
                u, v = spread(whiteners, row + j), spread(whiteners, row + even + j)
                x0, x1 = load(x, at), load(x, at + L)
                x2, x3 = load(x, at + 2 * L), load(x, at + 3 * L)
                a0, a1, a2, a3 = fma(u, x0, a0), fma(u, x1, a1), fma(u, x2, a2), fma(u, x3, a3)
                b0, b1, b2, b3 = fma(v, x0, b0), fma(v, x1, b1), fma(v, x2, b2), fma(v, x3, b3)
                j = step_to(j + 1)
            q0, q1 = fma(b0, b0, fma(a0, a0, q0)), fma(b1, b1, fma(a1, a1, q1))
            q2, q3 = fma(b2, b2, fma(a2, a2, q2)), fma(b3, b3, fma(a3, a3, q3))
        at = into + t
        store(joint, at, fma(minus_half, q0, offset))
        store(joint, at + L, fma(minus_half, q1, offset))
        store(joint, at + 2 * L, fma(minus_half, q2, offset))
        store(joint, at + 3 * L, fma(minus_half, q3, offset))


@compiled
def joint_diag(x, whiteners, bias, offsets, k, d, T, joint, into, stride):
    """As `joint_full`, for reciprocal deviations."""
    for c in range(k):
        joint_diag_of(c, x, whiteners, bias, offsets, d, T, joint, into + c * stride)


@compiled
def joint_diag_of(c, x, whiteners, bias, offsets, d, T, joint, into):
    """As `joint_full_of`, for reciprocal deviations."""
    L = VECTOR_BYTES // x.itemsize
    minus_half, offset = splat(x.dtype.type(_MINUS_HALF)), spread(offsets, c)
    for t in range(0, T, 4 * L):
        q0 = splat(x.dtype.type(0))
        q1, q2, q3 = q0, q0, q0
        i = 0
        while i < d:
            u, b = spread(whiteners, c * d + i), spread(bias, c * d + i)
            at = i * T + t
            y0, y1 = fma(u, load(x, at), b), fma(u, load(x, at + L), b)
            y2, y3 = fma(u, load(x, at + 2 * L), b), fma(u, load(x, at + 3 * L), b)
            q0, q1, q2, q3 = fma(y0, y0, q0), fma(y1, y1, q1), fma(y2, y2, q2), fma(y3, y3, q3)
            i = step_to(i + 1)
        at = into + t
        store(joint, at, fma(minus_half, q0, offset))
        store(joint, at + L, fma(minus_half, q1, offset))
        store(joint, at + 2 * L, fma(minus_half, q2, offset))
        store(joint, at + 3 * L, fma(minus_half, q3, offset))


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
    least, zero = splat(joint.dtype.type(background)), splat(joint.dtype.type(0))
    grounded = background > _NO_GROUND
    for t in range(0, T, 2 * L):
        top0, top1 = least, least
        at = first + t
        for _ in range(k):
            top0, top1 = maximum(load(joint, at), top0), maximum(load(joint, at + L), top1)
            at += stride
        share0, share1 = zero, zero
        if grounded:
            share0, share1 = exp2(sub(least, top0)), exp2(sub(least, top1))
            store(grounds, t, share0)
            store(grounds, t + L, share1)
        at = first + t
        while at < k * stride:
            part0, part1 = exp2(sub(load(joint, at), top0)), exp2(sub(load(joint, at + L), top1))
            share0, share1 = add(share0, part0), add(share1, part1)
            store(joint, at, part0)
            store(joint, at + L, part1)
            at = step_to(at + stride)
        store(tops, t, top0)
        store(tops, t + L, top1)
        store(factor, first + t, share0)
        store(factor, first + t + L, share1)
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
    one, likelihood = splat(tops.dtype.type(1)), load(sums, 0)
    for t in range(0, T, 4 * L):
        at = first + t
        s0, s1 = load(factor, at), load(factor, at + L)
        s2, s3 = load(factor, at + 2 * L), load(factor, at + 3 * L)
        store(factor, at, div(one, s0))
        store(factor, at + L, div(one, s1))
        store(factor, at + 2 * L, div(one, s2))
        store(factor, at + 3 * L, div(one, s3))
        top = add(
            add(load(tops, t), load(tops, t + L)), add(load(tops, t + 2 * L), load(tops, t + 3 * L))
        )
        likelihood = add(likelihood, add(top, log2(mul(mul(s0, s1), mul(s2, s3)))))
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
