"""Weighted Gaussians, or points, under a mixture: what refinement asks of them, in one pass.

What a part's expected log-density under a component depends on are linear features of the part
(`gmm_core.refinement.parts`): a component is one coefficient for each. So an E-step is a matrix product,
and so is what the M-step sums up; here both are done while the features of a tile of parts are in the cache.
Elsewhere they are never all at once: a megabyte of new memory costs as much as a pass.

All arrays are flat float64 unless said, of n parts in d features and k components.

full : whether covariances are matrices.
weights, means : n, n d.
own, owner : covariances, d (d + 1) / 2 numbers of each, or d; and int64, n, which of them a part has,
    ascending. No covariances: points.
levels : n l probabilities of levels, or none.
coefficients : k q, with which features make log joints, in bits.
answers : what a job finds; places : int64, as long.
"""

from __future__ import annotations

import numpy as np

from gmm_core.kernels.elementary import log2
from gmm_core.kernels.emit import VECTOR_BYTES
from gmm_core.kernels.options import compiled, entry
from gmm_core.kernels.shares import share_out
from gmm_core.kernels.tiles import vacant
from gmm_core.kernels.vectors import (
    add,
    clear,
    fma,
    load,
    mul,
    splat,
    spread,
    step_to,
    store,
    sub,
    total,
)

__all__ = ["DENSITY", "NEAREST", "SHARE", "over_parts"]

DENSITY, NEAREST, SHARE = 0, 1, 2
_L = VECTOR_BYTES // 8
_TILE = 8 * _L
_NOTHING = -1e300


@entry
def over_parts(
    job, full, d, weights, means, own, owner, levels, coefficients, answers, places
):  # fmt: skip
    """Do one of three jobs: one entry, so that what they share is compiled once.

    DENSITY : n answers, the log of the sum over components, in bits.
    NEAREST : n answers, the largest log joint in bits, and in `places` whose it is.
    SHARE : k q + 1 answers: for each component the sums of weight times share times each feature;
        and the sum of weight times log of the sum over components, in bits.
    """
    n, T = len(weights), _TILE
    numbers = 1 + d + (d * (d + 1) // 2 if full else d)
    q = numbers + len(levels) // n
    k = len(coefficients) // q
    kind = means.dtype
    tile, joint, sums = vacant(q * T, kind), vacant(k * T, kind), vacant(k * q * _L, kind)
    weight, factor, ends = np.ones(T), vacant(T, kind), np.zeros(2 * _L)
    tops, grounds = vacant(T, kind), vacant(T, kind)
    clear(sums, 0, len(sums))
    for first in range(0, n, T):
        count = min(T, n - first)
        _bring(full, d, first, count, means, tile)
        if len(own):
            _widen(first, count, own, owner, numbers - 1 - d, tile, (1 + d) * T)
        _append(first, count, levels, q - numbers, tile, numbers * T)
        for c in range(k):
            _joint(c, q, tile, coefficients, joint)
        if job == NEAREST:
            _nearest(k, count, joint, first, answers, places)
        elif job == DENSITY:
            share_out(joint, 0, T, True, weight, _NOTHING, k, T, tops, grounds, factor, ends)
            _densities(tops, factor)
            answers[first : first + count] = tops[:count]
        else:
            for t in range(T):
                weight[t] = weights[first + t] if t < count else 0.0
            share_out(joint, 0, T, False, weight, _NOTHING, k, T, tops, grounds, factor, ends)
            for c in range(k):
                _add_sums(c, q, tile, joint, factor, sums)
    if job == SHARE:
        for i in range(k * q):
            answers[i] = total(load(sums, i * _L))
        answers[k * q] = total(load(ends, 0))


@compiled
def _bring(full, d, first, count, means, tile):
    """1, the means and their products, of some parts; the last part again where there are no more."""
    for t in range(_TILE):
        source = (first + min(t, count - 1)) * d
        tile[t] = 1.0
        for i in range(d):
            tile[(1 + i) * _TILE + t] = means[source + i]
    at = (1 + d) * _TILE
    for i in range(d):
        for j in range(i, d if full else i + 1):
            for t in range(0, _TILE, _L):
                x, y = load(tile, (1 + i) * _TILE + t), load(tile, (1 + j) * _TILE + t)
                store(tile, at + t, mul(x, y))
            at += _TILE


@compiled
def _widen(first, count, own, owner, size, tile, base):
    """Add the parts' own covariances to the products of their means."""
    for t in range(0, _TILE, _L):
        last = min(first + t + _L, first + count) - 1
        start = min(first + t, last)
        at = owner[start] * size
        if owner[last] == owner[start] and last - start == _L - 1:  # neighbours mostly share theirs
            for r in range(size):
                to = base + r * _TILE + t
                store(tile, to, add(load(tile, to), spread(own, at + r)))
        else:
            for lane in range(_L):
                at = owner[min(first + t + lane, first + count - 1)] * size
                for r in range(size):
                    tile[base + r * _TILE + t + lane] += own[at + r]


@compiled
def _append(first, count, levels, size, tile, base):
    """The levels, behind the other features."""
    for r in range(size):
        for t in range(_TILE):
            tile[base + r * _TILE + t] = levels[(first + min(t, count - 1)) * size + r]


@compiled
def _joint(c, q, tile, coefficients, joint):
    """Log joints of the tile under component c."""
    a0 = splat(0.0)
    a1, a2, a3, a4, a5, a6, a7 = a0, a0, a0, a0, a0, a0, a0
    at, r = 0, c * q
    while r < (c + 1) * q:
        u = spread(coefficients, r)
        a0, a1 = fma(u, load(tile, at), a0), fma(u, load(tile, at + _L), a1)
        a2, a3 = fma(u, load(tile, at + 2 * _L), a2), fma(u, load(tile, at + 3 * _L), a3)
        a4, a5 = fma(u, load(tile, at + 4 * _L), a4), fma(u, load(tile, at + 5 * _L), a5)
        a6, a7 = fma(u, load(tile, at + 6 * _L), a6), fma(u, load(tile, at + 7 * _L), a7)
        at += _TILE
        r = step_to(r + 1)
    for v, a in enumerate((a0, a1, a2, a3, a4, a5, a6, a7)):
        store(joint, c * _TILE + v * _L, a)


@compiled
def _nearest(k, count, joint, first, answers, places):
    for t in range(count):
        best, place = joint[t], 0
        for c in range(1, k):
            if joint[c * _TILE + t] > best:
                best, place = joint[c * _TILE + t], c
        answers[first + t], places[first + t] = best, place


@compiled
def _densities(tops, factor):
    """Of the largest log joints and 1 / the sums beside them; to `tops`."""
    for t in range(0, _TILE, _L):
        store(tops, t, sub(load(tops, t), log2(load(factor, t))))


@compiled
def _add_sums(c, q, tile, joint, factor, sums):
    at = c * _TILE
    w0, w1 = mul(load(joint, at), load(factor, 0)), mul(load(joint, at + _L), load(factor, _L))
    at += 2 * _L
    w2, w3 = (
        mul(load(joint, at), load(factor, 2 * _L)),
        mul(load(joint, at + _L), load(factor, 3 * _L)),
    )
    at += 2 * _L
    w4, w5 = (
        mul(load(joint, at), load(factor, 4 * _L)),
        mul(load(joint, at + _L), load(factor, 5 * _L)),
    )
    at += 2 * _L
    w6, w7 = (
        mul(load(joint, at), load(factor, 6 * _L)),
        mul(load(joint, at + _L), load(factor, 7 * _L)),
    )
    r, at, to = 0, 0, c * q * _L
    while r < q:
        a = fma(w0, load(tile, at), load(sums, to))
        b = mul(w1, load(tile, at + _L))
        a, b = fma(w2, load(tile, at + 2 * _L), a), fma(w3, load(tile, at + 3 * _L), b)
        a, b = fma(w4, load(tile, at + 4 * _L), a), fma(w5, load(tile, at + 5 * _L), b)
        a, b = fma(w6, load(tile, at + 6 * _L), a), fma(w7, load(tile, at + 7 * _L), b)
        store(sums, to, add(a, b))
        at += _TILE
        to += _L
        r = step_to(r + 1)
