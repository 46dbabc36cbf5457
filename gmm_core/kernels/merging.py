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

Behind a component that is gone is so little that every cost with it is too high.
"""

from __future__ import annotations

import math

from gmm_core.kernels.elementary import log2
from gmm_core.kernels.options import compiled
from gmm_core.kernels.vectors import (
    add,
    div,
    exponent,
    fma,
    lanes_above,
    load,
    mantissa,
    maximum,
    mul,
    splat,
    spread,
    store,
    sub,
)

__all__ = ["FAR", "LANES", "blank", "cost_of_tile", "pack", "put", "scratch_size", "tile_rows"]

LANES = 8
FAR = 1e299  # costs above are those of nobody
_GONE = -1e300
_HALF_BIT = 0.5 * math.log(2)  # logarithms are taken in bits
_EXPONENT_OF_TWO = 2.0**52 + 1024  # as `vectors.exponent` has it
_TINY = 1e-75  # least pivot: what rounding took from a singular matrix; four of them multiplied are normal


@compiled
def tile_rows(d, full):
    """Rows of a tile: as many numbers has a component."""
    return 1 + 3 * d + (d * (d - 1) // 2 if full else 0)


@compiled
def scratch_size(d):
    """Numbers that `cost_of_tile` needs to write to."""
    return LANES * (d * (d + 1) // 2 + 3 * d)


@compiled
def cost_of_tile(runnalls, full, d, own, tiles, base, limit, scratch, out):
    """Costs of the component `own` with the tile at `tiles[base]`, to `out[:8]`.

    False when all are above their `limit[:8]`; `out` is then not complete.
    """
    if runnalls:
        if full:
            return _runnalls_full(d, own, tiles, base, limit, scratch, out)
        return _runnalls_diag(d, own, tiles, base, limit, out)
    if full:
        return _hotelling_full(d, own, tiles, base, limit, scratch, out)
    return _hotelling_diag(d, own, tiles, base, limit, out)


@compiled
def _hotelling_full(d, own, tiles, base, limit, scratch, out):
    half = 0.5
    w0, w1 = load(tiles, base), load(tiles, base + 4)
    mine = spread(own, 0)
    limit0, limit1 = load(limit, 0), load(limit, 4)
    s0, s1 = splat(0.0), splat(0.0)
    at = 1
    for r in range(d):
        p = base + LANES * at
        mean = spread(own, at)
        store(scratch, 8 * r, sub(load(tiles, p), mean))
        store(scratch, 8 * r + 4, sub(load(tiles, p + 4), mean))
        u0, u1, v0, v1 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
        for q in range(r + 1):
            p += LANES
            d0, d1, entry = load(scratch, 8 * q), load(scratch, 8 * q + 4), spread(own, at + 1 + q)
            u0, u1 = fma(entry, d0, u0), fma(entry, d1, u1)
            v0, v1 = fma(load(tiles, p), d0, v0), fma(load(tiles, p + 4), d1, v1)
        s0 = fma(mul(mine, u0), u0, fma(mul(w0, v0), v0, s0))
        s1 = fma(mul(mine, u1), u1, fma(mul(w1, v1), v1, s1))
        at += r + 3
        p += LANES
        c0 = sub(mul(splat(half), s0), load(tiles, p))
        c1 = sub(mul(splat(half), s1), load(tiles, p + 4))
        if lanes_above(c0, limit0) + lanes_above(c1, limit1) == 30:
            return False
        if r == d - 1:
            store(out, 0, c0)
            store(out, 4, c1)
    return True


@compiled
def _hotelling_diag(d, own, tiles, base, limit, out):
    half = 0.5
    w0, w1 = load(tiles, base), load(tiles, base + 4)
    mine = spread(own, 0)
    limit0, limit1 = load(limit, 0), load(limit, 4)
    s0, s1 = splat(0.0), splat(0.0)
    at = 1
    for r in range(d):
        p = base + LANES * at
        mean, entry = spread(own, at), spread(own, at + 1)
        d0, d1 = sub(load(tiles, p), mean), sub(load(tiles, p + 4), mean)
        u0, u1 = mul(entry, d0), mul(entry, d1)
        v0, v1 = mul(load(tiles, p + LANES), d0), mul(load(tiles, p + LANES + 4), d1)
        s0 = fma(mul(mine, u0), u0, fma(mul(w0, v0), v0, s0))
        s1 = fma(mul(mine, u1), u1, fma(mul(w1, v1), v1, s1))
        at += 3
        if r % 4 == 3 or r == d - 1:
            c0 = sub(mul(splat(half), s0), load(tiles, p + 2 * LANES))
            c1 = sub(mul(splat(half), s1), load(tiles, p + 2 * LANES + 4))
            if lanes_above(c0, limit0) + lanes_above(c1, limit1) == 30:
                return False
            store(out, 0, c0)
            store(out, 4, c1)
    return True


@compiled
def _runnalls_full(d, own, tiles, base, limit, scratch, out):
    """The Cholesky factorisation of eight unions, row by row, without roots: S = L D L'.

    The scratch holds L, whose row r starts at r (r + 1) / 2; then the row of -L D in work; then
    -1 / D; then delta.
    """
    triangle = d * (d + 1) // 2
    row, inverse, delta = LANES * triangle, LANES * (triangle + d), LANES * (triangle + 2 * d)
    mine, minus = spread(own, 0), splat(-1.0)
    limit0, limit1 = load(limit, 0), load(limit, 4)
    w0, w1 = load(tiles, base), load(tiles, base + 4)
    a0, a1 = add(mine, w0), add(mine, w1)
    f0, f1 = div(mine, a0), div(mine, a1)
    g0, g1 = sub(splat(1.0), f0), sub(splat(1.0), f1)
    fg0, fg1 = mul(f0, g0), mul(f1, g1)
    half0, half1 = mul(a0, splat(_HALF_BIT)), mul(a1, splat(_HALF_BIT))
    product0, product1, logs0, logs1 = splat(1.0), splat(1.0), splat(0.0), splat(0.0)
    at = 1
    for r in range(d):
        p = base + LANES * at
        mean = spread(own, at)
        e0, e1 = sub(load(tiles, p), mean), sub(load(tiles, p + 4), mean)
        store(scratch, delta + 8 * r, e0)
        store(scratch, delta + 8 * r + 4, e1)
        t0, t1 = mul(fg0, e0), mul(fg1, e1)
        line = 0
        for q in range(r):
            p += LANES
            entry, dq = spread(own, at + 1 + q), delta + 8 * q
            x0 = fma(t0, load(scratch, dq), fma(g0, load(tiles, p), mul(f0, entry)))
            x1 = fma(t1, load(scratch, dq + 4), fma(g1, load(tiles, p + 4), mul(f1, entry)))
            for s in range(q):
                x0 = fma(load(scratch, line + 8 * s), load(scratch, row + 8 * s), x0)
                x1 = fma(load(scratch, line + 8 * s + 4), load(scratch, row + 8 * s + 4), x1)
            store(scratch, row + 8 * q, mul(minus, x0))
            store(scratch, row + 8 * q + 4, mul(minus, x1))
            line += LANES * (q + 1)
        p += LANES
        entry = spread(own, at + 1 + r)
        x0 = fma(t0, e0, fma(g0, load(tiles, p), mul(f0, entry)))
        x1 = fma(t1, e1, fma(g1, load(tiles, p + 4), mul(f1, entry)))
        for s in range(r):
            v0, v1 = load(scratch, row + 8 * s), load(scratch, row + 8 * s + 4)
            m0 = mul(v0, load(scratch, inverse + 8 * s))
            m1 = mul(v1, load(scratch, inverse + 8 * s + 4))
            store(scratch, line + 8 * s, m0)
            store(scratch, line + 8 * s + 4, m1)
            x0, x1 = fma(v0, m0, x0), fma(v1, m1, x1)
        x0, x1 = maximum(x0, splat(_TINY)), maximum(x1, splat(_TINY))
        product0, product1 = mul(product0, x0), mul(product1, x1)
        at += r + 3
        p += LANES
        behind0 = add(spread(own, at - 1), load(tiles, p))
        behind1 = add(spread(own, at - 1), load(tiles, p + 4))
        if _beyond(
            half0, half1, logs0, logs1, product0, product1, behind0, behind1, limit0, limit1
        ):
            return False
        store(scratch, inverse + 8 * r, div(minus, x0))
        store(scratch, inverse + 8 * r + 4, div(minus, x1))
        if r % 4 == 3 or r == d - 1:
            logs0, logs1 = add(logs0, log2(product0)), add(logs1, log2(product1))
            product0, product1 = splat(1.0), splat(1.0)
            if r == d - 1:
                store(out, 0, maximum(sub(mul(half0, logs0), behind0), splat(0.0)))
                store(out, 4, maximum(sub(mul(half1, logs1), behind1), splat(0.0)))
    return True


@compiled
def _runnalls_diag(d, own, tiles, base, limit, out):
    mine = spread(own, 0)
    limit0, limit1 = load(limit, 0), load(limit, 4)
    w0, w1 = load(tiles, base), load(tiles, base + 4)
    a0, a1 = add(mine, w0), add(mine, w1)
    f0, f1 = div(mine, a0), div(mine, a1)
    g0, g1 = sub(splat(1.0), f0), sub(splat(1.0), f1)
    fg0, fg1 = mul(f0, g0), mul(f1, g1)
    half0, half1 = mul(a0, splat(_HALF_BIT)), mul(a1, splat(_HALF_BIT))
    product0, product1, logs0, logs1 = splat(1.0), splat(1.0), splat(0.0), splat(0.0)
    at = 1
    for r in range(d):
        p = base + LANES * at
        mean, entry = spread(own, at), spread(own, at + 1)
        e0, e1 = sub(load(tiles, p), mean), sub(load(tiles, p + 4), mean)
        x0 = fma(mul(fg0, e0), e0, fma(g0, load(tiles, p + LANES), mul(f0, entry)))
        x1 = fma(mul(fg1, e1), e1, fma(g1, load(tiles, p + LANES + 4), mul(f1, entry)))
        product0, product1 = mul(product0, x0), mul(product1, x1)
        at += 3
        behind0 = add(spread(own, at - 1), load(tiles, p + 2 * LANES))
        behind1 = add(spread(own, at - 1), load(tiles, p + 2 * LANES + 4))
        if _beyond(
            half0, half1, logs0, logs1, product0, product1, behind0, behind1, limit0, limit1
        ):
            return False
        if r % 4 == 3 or r == d - 1:
            logs0, logs1 = add(logs0, log2(product0)), add(logs1, log2(product1))
            product0, product1 = splat(1.0), splat(1.0)
            if r == d - 1:
                store(out, 0, maximum(sub(mul(half0, logs0), behind0), splat(0.0)))
                store(out, 4, maximum(sub(mul(half1, logs1), behind1), splat(0.0)))
    return True


@compiled
def _beyond(half0, half1, logs0, logs1, product0, product1, behind0, behind1, limit0, limit1):
    """Whether all eight costs are above their limits, whatever features come.

    With log2 x >= exponent + mantissa - 1, which is at most 0.086 too low, instead of a logarithm.
    """
    shift = splat(_EXPONENT_OF_TWO)
    low0 = add(sub(exponent(product0), shift), mantissa(product0))
    low1 = add(sub(exponent(product1), shift), mantissa(product1))
    c0 = sub(mul(half0, add(logs0, low0)), behind0)
    c1 = sub(mul(half1, add(logs1, low1)), behind1)
    return lanes_above(c0, limit0) + lanes_above(c1, limit1) == 30


@compiled
def pack(runnalls, full, d, weight, mean, covariance, factor, one):
    """A component's numbers, in the order of a tile's rows, to `one`.

    mean (d,); covariance (d d,), of which the lower triangle is read, or variances (d,); `factor`
    has room for d d numbers.
    """
    one[0] = weight
    at, width = 1, 0.0
    if full and not runnalls:
        _inverse_cholesky(d, covariance, factor)
    if full and runnalls:
        _cholesky(d, covariance, factor)
    for r in range(d):
        one[at] = mean[r]
        if full:
            for q in range(r + 1):
                one[at + 1 + q] = covariance[r * d + q] if runnalls else factor[r * d + q]
            root = factor[r * d + r]
            at += r + 2
        else:
            root = math.sqrt(covariance[r])
            one[at + 1] = covariance[r] if runnalls else 1 / root
            at += 2
        width += math.log(root)
        one[at] = weight * width if runnalls else 0.0
        at += 1


@compiled
def blank(full, d, one):
    """A component that is gone: whatever the other, the cost is above `FAR` from the start."""
    one[:] = 0.0
    one[0] = 1.0
    at = 0
    for r in range(d):
        at += r + 3 if full else 3
        one[at] = _GONE


@compiled
def put(one, tiles, place, count):
    """Component `one` (count,) as number `place` of all tiles."""
    base = place // LANES * LANES * count + place % LANES
    for r in range(count):
        tiles[base + r * LANES] = one[r]


@compiled
def _cholesky(d, covariance, factor):
    for r in range(d):
        for q in range(r + 1):
            x = covariance[r * d + q]
            for s in range(q):
                x -= factor[r * d + s] * factor[q * d + s]
            factor[r * d + q] = math.sqrt(max(x, _TINY)) if q == r else x / factor[q * d + q]


@compiled
def _inverse_cholesky(d, covariance, factor):
    _cholesky(d, covariance, factor)
    for q in range(d):
        factor[q * d + q] = 1 / factor[q * d + q]
        for r in range(q + 1, d):
            x = 0.0
            for s in range(q, r):
                x -= factor[r * d + s] * factor[s * d + q]
            factor[r * d + q] = x / factor[r * d + r]
