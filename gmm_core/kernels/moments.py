"""Moments of rows by share: which rows count, their products, their sums.

A component needs only the rows of which it holds a share that counts; the others would add less than
rounding takes away. Sums are kept lane by lane for some tiles and then added up in float64, also for
float32 rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gmm_core.kernels.eights import LANES, load8, splat8
from gmm_core.kernels.emit import BLOCK_BYTES, VECTOR_BYTES
from gmm_core.kernels.options import compiled
from gmm_core.kernels.turns import transpose_rows
from gmm_core.kernels.vectors import (
    add,
    fma,
    high,
    join4,
    lanes_above,
    load,
    load2,
    load4,
    load_block,
    low,
    mul,
    ones_in,
    place_at,
    put_four,
    scale_of,
    splat,
    splat2,
    splat4,
    spread,
    spread4,
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
    limits = splat8(limit)
    found, t = 0, 0
    while t < count:
        bits = lanes_above(load8(share, first + t), limits)
        here = np.uint64(t) * _EVERY_PLACE
        put_four(places, found, _PLACES[2 * bits] + here)
        put_four(places, found + 4, _PLACES[2 * bits + 1] + here)
        found += ones_in(bits)
        t = step_to(t + LANES)
    return found


@compiled
def gather(rows, d, scaling, share, first, factor, chosen, means, at, T, part, y, z):
    """The rows at `chosen` (places, start, stop), turned: centred in `y`, times their share in `z`.

    Parameters
    ----------
    rows : as `tiles.bring_any` has them. Where there is an order, places become the rows' numbers.

    Returns how many there are, rounded up to whole vectors by rows that weigh nothing.
    """
    L = VECTOR_BYTES // share.itemsize
    source, base, order = rows
    places, start, stop = chosen
    count = stop - start
    whole = (count + L - 1) // L * L
    a = 0
    while a < count:
        t = place_at(places, start + a)
        scale_of(part, a, share, first + t, factor, t)
        if len(order):
            places[start + a] = order[t]
        a = step_to(a + 1)
    for a in range(count, whole):
        places[start + a] = 0
        part[a] = 0
    shift, inverse, ones = scaling
    side = BLOCK_BYTES // share.itemsize
    for j in range(0, len(shift), side):
        less, times = load_block(shift, j), load_block(inverse, j)
        plus = sub(load_block(ones, j), load_block(means, at + j))
        column, a = base + j, 0
        while a < whole:
            to, weight = j * T + a, load_block(part, a)
            here = start + a
            transpose_rows(y, z, to, T, source, places, here, d, column, less, times, plus, weight)
            a = step_to(a + side)
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
            q, zi, yj = p + size * L, i * T, from_ + j * T
            end = zi + count
            if j == i:
                a0, a1, b0, b1 = load(sums, p), load(sums, p + L), load(sums, q), load(sums, q + L)
                while zi < end:
                    u, v, y0, y1 = load(z, zi), load(z, zi + T), load(y, yj), load(y, yj + T)
                    a0, a1, b0, b1 = fma(u, y0, a0), fma(u, y1, a1), fma(v, y0, b0), fma(v, y1, b1)
                    yj += L
                    zi = step_to(zi + L)
                store(sums, p, a0)
                store(sums, p + L, a1)
                store(sums, q, b0)
                store(sums, q + L, b1)
            else:
                a, b = load4(sums, p), load4(sums, q)
                while zi < end:
                    u, v = load(z, zi), load(z, zi + T)
                    three = yj + 3 * T
                    four = join4(load(y, yj), load(y, yj + T), load(y, three - T), load(y, three))
                    a, b = fma(join4(u, u, u, u), four, a), fma(join4(v, v, v, v), four, b)
                    yj += L
                    zi = step_to(zi + L)
                store(sums, p, a)
                store(sums, q, b)


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
            first = second = splat4(x.dtype.type(0))
            mean = spread4(means, c * width + i)
            at, by = i * T, slot * T
            end = at + T
            while at < end:
                y = sub(load4(x, at), mean)
                z = mul(y, load4(share, by))
                first, second = add(first, z), fma(z, y, second)
                by += 4 * L
                at = step_to(at + 4 * L)
            first, second = add(low(first), high(first)), add(low(second), high(second))
            store(sums, p, add(load(sums, p), add(low(first), high(first))))
            store(sums, p + L, add(load(sums, p + L), add(low(second), high(second))))


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
            a, b = load4(sums, p), load4(sums, q)
            by, at = slot * T, i * T
            end = at + T
            while at < end:
                u, v, more = load(share, by), load(share, by + T), at + T
                four = join4(load(x, at), load(squares, at), load(x, more), load(squares, more))
                a, b = fma(join4(u, u, u, u), four, a), fma(join4(v, v, v, v), four, b)
                by += L
                at = step_to(at + L)
            store(sums, p, a)
            store(sums, q, b)


@compiled
def _apportion(share, at, factor, T, sums, to):
    """Make shares of one component those of each row's weight; their sum is added to `sums[to]`."""
    L = VECTOR_BYTES // share.itemsize
    own = splat2(share.dtype.type(0))
    for t in range(0, T, 2 * L):
        part = mul(load2(share, at + t), load2(factor, t))
        store(share, at + t, part)
        own = add(own, part)
    store(sums, to, add(load(sums, to), add(low(own), high(own))))


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
