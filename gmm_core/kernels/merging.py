"""Costs of merging one component with eight others at once, packed for it, for compiled code.

Eight components make a *tile*: `tile_rows(d, full)` rows of eight numbers. The first row is the
weight; then come, feature by feature, the mean, the feature's entries of a triangle (one number for
diagonal covariances) and what the features so far have *behind* them. So the features up to any
one are the beginning of a tile, and a cost of these alone, which no further feature can lower, is
known before the rest is read: a pair that is too far apart already is given up there.

Hotelling: the triangle is the inverse Cholesky factor W, the cost (a_i |W_i delta|^2 + a_j |W_j
delta|^2) / 2 a sum over rows of W. Nothing is behind.
Runnalls: the triangle is the covariance's lower half; the cost of the first features is a sum over
pivots of the Cholesky factors, that of the marginals, which no more features lower (the
Kullback-Leibler divergence of marginals is less). Behind is a log |S| / 2 of the first features.
"""

from __future__ import annotations

import math

import numpy as np

from gmm_core.kernels.eights import ALL, LANES, load8, logs, splat8, spread8, store8
from gmm_core.kernels.elementary import exponent, mantissa
from gmm_core.kernels.options import compiled, inlined, making
from gmm_core.kernels.vectors import (
    add,
    div,
    fma,
    lanes_above,
    maximum,
    mul,
    sub,
)

__all__ = ["cost_of_tile", "pack", "put", "scratch_size", "take", "tile_rows"]

_HALF_BIT = 0.5 * math.log(2)  # logarithms are taken in bits
_EXPONENT_OF_TWO = 2.0**52 + 1024  # as `elementary.exponent` has it
_TINY = 1e-75  # least pivot: what rounding took from a singular matrix; four of them multiplied are normal


@inlined
def tile_rows(d, full):
    """Rows of a tile: as many numbers has a component."""
    return 1 + 3 * d + (d * (d - 1) // 2 if full else 0)


@inlined
def scratch_size(d):
    """Numbers that `cost_of_tile` needs to write to."""
    return LANES * (d * (d + 1) // 2 + 3 * d)


@inlined
def cost_of_tile(runnalls, full, d, own, tiles, base, limit, scratch, out):
    """Costs of the component `own` with the tile at `tiles[base]`, to `out[:8]`.

    False when all are above their `limit[:8]`; `out` is then not complete.
    """
    if runnalls:
        if full:
            return _runnalls_full(d, own, tiles, base, limit, scratch, out)
        return _runnalls_diag(d, own, tiles, base, limit, out)
    return _hotelling(full, d, own, tiles, base, limit, scratch, out)


@compiled
def _hotelling(full, d, own, tiles, base, limit, scratch, out):
    """Either kind: the inverse factor of variances has one number in a row."""
    half, mine, highest = splat8(0.5), spread8(own, 0), load8(limit, 0)
    theirs, c = load8(tiles, base), splat8(0.0)
    at = 1
    for r in range(d):
        p = base + LANES * at
        store8(scratch, LANES * r, sub(load8(tiles, p), spread8(own, at)))
        u, v = splat8(0.0), splat8(0.0)
        for q in range(0 if full else r, r + 1):
            at += 1
            p += LANES
            delta = load8(scratch, LANES * q)
            u, v = fma(spread8(own, at), delta, u), fma(load8(tiles, p), delta, v)
        c = fma(mul(half, mul(mine, u)), u, fma(mul(half, mul(theirs, v)), v, c))
        at += 2
        if (full or r % 4 == 3) and lanes_above(c, highest) == ALL:
            return False
    store8(out, 0, c)
    return True


@inlined
def _shares(own, tiles, base):
    """Of the unions: half the weights, the shares f of `own` and g of the others, f g."""
    mine = spread8(own, 0)
    weights = add(mine, load8(tiles, base))
    f = div(mine, weights)
    g = sub(splat8(1.0), f)
    return mul(weights, splat8(_HALF_BIT)), f, g, mul(f, g)


@compiled
def _runnalls_full(d, own, tiles, base, limit, scratch, out):
    """The Cholesky factorisation of eight unions, row by row, without roots: S = L D L'.

    The scratch holds L, whose row r starts at r (r + 1) / 2; then the row of -L D in work; then
    -1 / D; then delta.
    """
    triangle = d * (d + 1) // 2
    row, inverse, delta = LANES * triangle, LANES * (triangle + d), LANES * (triangle + 2 * d)
    minus, highest = splat8(-1.0), load8(limit, 0)
    half, f, g, fg = _shares(own, tiles, base)
    product, bits = splat8(1.0), splat8(0.0)
    at = 1
    for r in range(d):
        p = base + LANES * at
        e = sub(load8(tiles, p), spread8(own, at))
        store8(scratch, delta + LANES * r, e)
        t = mul(fg, e)
        line = 0
        for q in range(r):
            p += LANES
            x = fma(g, load8(tiles, p), mul(f, spread8(own, at + 1 + q)))
            x = fma(t, load8(scratch, delta + LANES * q), x)
            for s in range(q):
                x = fma(load8(scratch, line + LANES * s), load8(scratch, row + LANES * s), x)
            store8(scratch, row + LANES * q, mul(minus, x))
            line += LANES * (q + 1)
        p += LANES
        x = fma(t, e, fma(g, load8(tiles, p), mul(f, spread8(own, at + 1 + r))))
        for s in range(r):
            v = load8(scratch, row + LANES * s)
            m = mul(v, load8(scratch, inverse + LANES * s))
            store8(scratch, line + LANES * s, m)
            x = fma(v, m, x)
        x = maximum(x, splat8(_TINY))
        product = mul(product, x)
        at += r + 3
        behind = add(spread8(own, at - 1), load8(tiles, p + LANES))
        if _beyond(half, bits, product, behind, highest):
            return False
        store8(scratch, inverse + LANES * r, div(minus, x))
        if r % 4 == 3 or r == d - 1:
            bits, product = add(bits, logs(product)), splat8(1.0)
            store8(out, 0, maximum(sub(mul(half, bits), behind), splat8(0.0)))
    return True


@compiled
def _runnalls_diag(d, own, tiles, base, limit, out):
    highest = load8(limit, 0)
    half, f, g, fg = _shares(own, tiles, base)
    product, bits = splat8(1.0), splat8(0.0)
    at = 1
    for r in range(d):
        p = base + LANES * at
        e = sub(load8(tiles, p), spread8(own, at))
        x = fma(g, load8(tiles, p + LANES), mul(f, spread8(own, at + 1)))
        product = mul(product, fma(mul(fg, e), e, x))
        at += 3
        behind = add(spread8(own, at - 1), load8(tiles, p + 2 * LANES))
        if _beyond(half, bits, product, behind, highest):
            return False
        if r % 4 == 3 or r == d - 1:
            bits, product = add(bits, logs(product)), splat8(1.0)
            store8(out, 0, maximum(sub(mul(half, bits), behind), splat8(0.0)))
    return True


@inlined
def _beyond(half, bits, product, behind, highest):
    """Whether all eight costs are above their limits, whatever features come.

    With log2 x >= exponent + mantissa - 1, which is at most 0.086 too low, instead of a logarithm.
    """
    least = add(sub(exponent(product), splat8(_EXPONENT_OF_TWO)), mantissa(product))
    return lanes_above(sub(mul(half, add(bits, least)), behind), highest) == ALL


@making
def pack(runnalls, full, d, weight, mean, covariance, one):
    """A component's numbers, in the order of a tile's rows, to `one`.

    mean (d,); covariance (d d,), of which the lower triangle is read, or variances (d,).
    """
    factor = np.empty(d * d if full else 0)
    if full:
        _cholesky(d, covariance, factor)
        if not runnalls:
            _invert(d, factor)
    one[0] = weight
    at, width = 1, 0.0
    for r in range(d):
        one[at] = mean[r]
        at += 1
        if full:
            for q in range(r + 1):
                one[at + q] = covariance[r * d + q] if runnalls else factor[r * d + q]
            root = factor[r * d + r]
            at += r + 1
        else:
            root = math.sqrt(covariance[r])
            one[at] = covariance[r] if runnalls else 1 / root
            at += 1
        width += math.log(root)
        one[at] = weight * width if runnalls else 0.0
        at += 1


@inlined
def put(one, tiles, place):
    """Component `one` (tile_rows,) as number `place` of all tiles."""
    base = place // LANES * LANES * len(one) + place % LANES
    for r in range(len(one)):
        tiles[base + r * LANES] = one[r]


@inlined
def take(tiles, place, one):
    """The opposite of `put`."""
    base = place // LANES * LANES * len(one) + place % LANES
    for r in range(len(one)):
        one[r] = tiles[base + r * LANES]


@inlined
def _cholesky(d, covariance, factor):
    for r in range(d):
        for q in range(r + 1):
            x = covariance[r * d + q]
            for s in range(q):
                x -= factor[r * d + s] * factor[q * d + s]
            factor[r * d + q] = math.sqrt(max(x, _TINY)) if q == r else x / factor[q * d + q]


@inlined
def _invert(d, factor):
    """A Cholesky factor's inverse, in its place."""
    for q in range(d):
        factor[q * d + q] = 1 / factor[q * d + q]
        for r in range(q + 1, d):
            x = 0.0
            for s in range(q, r):
                x -= factor[r * d + s] * factor[s * d + q]
            factor[r * d + q] = x / factor[r * d + r]
