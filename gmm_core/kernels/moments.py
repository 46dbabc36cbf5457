"""Moments of rows by share: which rows count, their products, their sums.

A component needs only the rows of which it holds a share that counts; the others would add less than
rounding takes away. Sums are kept lane by lane for some tiles and then added up in float64, also for
float32 rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gmm_core.kernels.emit import VECTOR_BYTES
from gmm_core.kernels.options import compiled
from gmm_core.kernels.turns import transpose_rows
from gmm_core.kernels.vectors import (
    add,
    fma,
    lanes_above,
    load,
    mul,
    ones_in,
    place_at,
    put_four,
    scale_of,
    splat,
    spread,
    step_to,
    store,
    sub,
    total,
)

__all__ = [
    "centre_all",
    "diag_moments",
    "diag_moments_of_all",
    "flush",
    "flush_of",
    "gather",
    "scatter",
    "select",
    "weigh_all",
]


def _bit_places() -> np.ndarray[Any, Any]:
    """For each byte: the places of its bits, lowest first, as two words of four uint16."""
    table = np.zeros(512, np.uint64)
    for bits in range(256):
        for at, place in enumerate(place for place in range(8) if bits >> place & 1):
            table[2 * bits + at // 4] |= np.uint64(place << 16 * (at % 4))
    return table


_PLACES = _bit_places()
_EVERY_PLACE = np.uint64(0x0001000100010001)


@compiled
def select(share, first, count, limit, places):
    """Write the places of the shares above `limit`; returns how many."""
    L = VECTOR_BYTES // share.itemsize
    limits = splat(limit)
    found, t = 0, 0
    while t < count:
        bits = lanes_above(load(share, first + t), limits)
        if L == 4:
            bits |= lanes_above(load(share, first + t + 4), limits) << 4
        here = np.uint64(t) * _EVERY_PLACE
        put_four(places, found, _PLACES[2 * bits] + here)
        put_four(places, found + 4, _PLACES[2 * bits + 1] + here)
        found += ones_in(bits)
        t = step_to(t + 8)
    return found


@compiled
def gather(source, base, d, scaling, share, first, factor, chosen, means, at, T, part, y, z):
    """The rows at `chosen` (places, start, stop), turned: centred in `y`, times their share in `z`.

    Returns their number, rounded up to whole vectors by rows that weigh nothing.
    """
    L = VECTOR_BYTES // share.itemsize
    places, start, stop = chosen
    count = stop - start
    whole = (count + L - 1) // L * L
    a = 0
    while a < count:
        t = place_at(places, start + a)
        scale_of(part, a, share, first + t, factor, t)
        a = step_to(a + 1)
    for a in range(count, whole):
        places[start + a] = 0
        part[a] = 0
    shift, inverse, ones = scaling
    for j in range(0, len(shift), L):
        less, times = load(shift, j), load(inverse, j)
        plus = sub(load(ones, j), load(means, at + j))
        from_, a = base + j, 0
        while a < whole:
            to, weight = j * T + a, load(part, a)
            here = start + a
            transpose_rows(y, z, to, T, source, places, here, d, from_, less, times, plus, weight)
            a = step_to(a + L)
    return whole


@compiled
def scatter(y, from_, z, count, size, T, sums, at):
    """Lower triangle of the sum of z y' over `count` rows; two rows of it by four columns at once.

    y starts at `y[from_]`.
    """
    L = VECTOR_BYTES // y.itemsize
    for i in range(0, size, 2):
        for j in range(0, i + 2, 4):
            p = at + (i * size + j) * L
            q = p + size * L
            a0, a1, b0, b1 = load(sums, p), load(sums, p + L), load(sums, q), load(sums, q + L)
            zi, yj = i * T, from_ + j * T
            if j == i:
                t = 0
                while t < count:
                    u, v = load(z, zi + t), load(z, zi + T + t)
                    y0, y1 = load(y, yj + t), load(y, yj + T + t)
                    a0, a1, b0, b1 = fma(u, y0, a0), fma(u, y1, a1), fma(v, y0, b0), fma(v, y1, b1)
                    t = step_to(t + L)
            else:
                a2, a3 = load(sums, p + 2 * L), load(sums, p + 3 * L)
                b2, b3 = load(sums, q + 2 * L), load(sums, q + 3 * L)
                t = 0
                while t < count:
                    u, v = load(z, zi + t), load(z, zi + T + t)
                    y0, y1 = load(y, yj + t), load(y, yj + T + t)
                    y2, y3 = load(y, yj + 2 * T + t), load(y, yj + 3 * T + t)
                    a0, a1, a2, a3 = fma(u, y0, a0), fma(u, y1, a1), fma(u, y2, a2), fma(u, y3, a3)
                    b0, b1, b2, b3 = fma(v, y0, b0), fma(v, y1, b1), fma(v, y2, b2), fma(v, y3, b3)
                    t = step_to(t + L)
                store(sums, p + 2 * L, a2)
                store(sums, p + 3 * L, a3)
                store(sums, q + 2 * L, b2)
                store(sums, q + 3 * L, b3)
            store(sums, p, a0)
            store(sums, p + L, a1)
            store(sums, q, b0)
            store(sums, q + L, b1)


@compiled
def weigh_all(x, from_, share, at, factor, into, size, T, z):
    """All T rows of a turned tile at `x[from_]`, each times its share, as `scatter` takes them."""
    L = VECTOR_BYTES // x.itemsize
    for t in range(0, T, L):
        by = mul(load(share, at + t), load(factor, into + t))
        to = t
        while to < size * T:
            store(z, to, mul(load(x, from_ + to), by))
            to = step_to(to + T)


@compiled
def centre_all(x, from_, share, at, factor, into, means, mean, size, T, y, z):
    """All T rows of a turned tile at `x[from_]`: centred in `y`, times their share in `z`."""
    L = VECTOR_BYTES // x.itemsize
    for t in range(0, T, L):
        by = mul(load(share, at + t), load(factor, into + t))
        i = 0
        while i < size:
            to = i * T + t
            centred = sub(load(x, from_ + to), spread(means, mean + i))
            store(y, to, centred)
            store(z, to, mul(centred, by))
            i = step_to(i + 1)


@compiled
def diag_moments(x, share, factor, means, listed, k, d, width, T, sums):
    """Diagonal moments of the k components `listed`: per component the weight, then per feature first
    and second moments, of the rows' differences from the component's mean."""
    L = VECTOR_BYTES // x.itemsize
    even = d + (d & 1)
    for slot in range(k):
        c = listed[slot]
        base = c * (1 + 2 * even) * L
        _apportion(share, slot * T, factor, T, sums, base)
        for i in range(d):
            p = base + (1 + 2 * i) * L
            s0, q0 = load(sums, p), load(sums, p + L)
            s1 = splat(x.dtype.type(0))
            s2, s3, q1, q2, q3 = s1, s1, s1, s1, s1
            mean = spread(means, c * width + i)
            at, by = i * T, slot * T
            end = at + T
            while at < end:
                y0, y1 = sub(load(x, at), mean), sub(load(x, at + L), mean)
                y2, y3 = sub(load(x, at + 2 * L), mean), sub(load(x, at + 3 * L), mean)
                z0, z1 = mul(y0, load(share, by)), mul(y1, load(share, by + L))
                z2, z3 = mul(y2, load(share, by + 2 * L)), mul(y3, load(share, by + 3 * L))
                s0, s1, s2, s3 = add(s0, z0), add(s1, z1), add(s2, z2), add(s3, z3)
                q0, q1, q2, q3 = fma(z0, y0, q0), fma(z1, y1, q1), fma(z2, y2, q2), fma(z3, y3, q3)
                by += 4 * L
                at = step_to(at + 4 * L)
            store(sums, p, add(add(s0, s1), add(s2, s3)))
            store(sums, p + L, add(add(q0, q1), add(q2, q3)))


@compiled
def diag_moments_of_all(x, squares, share, factor, listed, k, d, T, sums):
    """As `diag_moments`, of the rows themselves: the squares are then taken once for all components.

    Two components by two features at a time: `share` and `sums` have room for one component more, and
    the last that is listed may be that one.
    """
    L = VECTOR_BYTES // x.itemsize
    even = d + (d & 1)
    size = (1 + 2 * even) * L
    for at in range(0, d * T, L):
        value = load(x, at)
        store(squares, at, mul(value, value))
    for slot in range(k):
        _apportion(share, slot * T, factor, T, sums, listed[slot] * size)
    for slot in range(0, k, 2):
        for i in range(0, even, 2):
            p = listed[slot] * size + (1 + 2 * i) * L
            q = listed[slot + 1] * size + (1 + 2 * i) * L
            a0, a1, a2, a3 = _four(sums, p)
            b0, b1, b2, b3 = _four(sums, q)
            by, at = slot * T, i * T
            end = at + T
            while at < end:
                u, v = load(share, by), load(share, by + T)
                x0, s0, x1, s1 = (
                    load(x, at),
                    load(squares, at),
                    load(x, at + T),
                    load(squares, at + T),
                )
                a0, a1, a2, a3 = fma(u, x0, a0), fma(u, s0, a1), fma(u, x1, a2), fma(u, s1, a3)
                b0, b1, b2, b3 = fma(v, x0, b0), fma(v, s0, b1), fma(v, x1, b2), fma(v, s1, b3)
                by += L
                at = step_to(at + L)
            _put(sums, p, a0, a1, a2, a3)
            _put(sums, q, b0, b1, b2, b3)


@compiled
def _four(sums, at):
    L = VECTOR_BYTES // sums.itemsize
    return load(sums, at), load(sums, at + L), load(sums, at + 2 * L), load(sums, at + 3 * L)


@compiled
def _put(sums, at, a, b, c, d):
    L = VECTOR_BYTES // sums.itemsize
    store(sums, at, a)
    store(sums, at + L, b)
    store(sums, at + 2 * L, c)
    store(sums, at + 3 * L, d)


@compiled
def _apportion(share, at, factor, T, sums, to):
    """Make shares of one component those of each row's weight; their sum is added to `sums[to]`."""
    L = VECTOR_BYTES // share.itemsize
    n0, n1 = load(sums, to), splat(share.dtype.type(0))
    for t in range(0, T, 2 * L):
        r0 = mul(load(share, at + t), load(factor, t))
        r1 = mul(load(share, at + t + L), load(factor, t + L))
        store(share, at + t, r0)
        store(share, at + t + L, r1)
        n0, n1 = add(n0, r0), add(n1, r1)
    store(sums, to, add(n0, n1))


@compiled
def flush(sums, totals):
    """Add the lanes of `sums` to the float64 `totals`, and clear them."""
    L = VECTOR_BYTES // sums.itemsize
    zero = splat(sums.dtype.type(0))
    for i in range(len(totals)):
        totals[i] += total(load(sums, i * L))
        store(sums, i * L, zero)


@compiled
def flush_of(seen, k, sums, totals):
    """`flush` of the components whose bit is set in `seen`, or of all k when none is."""
    own, lanes = len(totals) // k, VECTOR_BYTES // sums.itemsize
    for c in range(k):
        if seen == 0 or seen >> c & 1:
            first, stop = c * own, (c + 1) * own
            flush(sums[first * lanes : stop * lanes], totals[first:stop])
