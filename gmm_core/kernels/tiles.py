"""Tiles: as many rows as the first-level cache holds, standardised and turned.

Turned: one vector holds one feature of several rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gmm_core.kernels.emit import BLOCK_BYTES, VECTOR_BYTES
from gmm_core.kernels.options import compiled, making
from gmm_core.kernels.turns import prefetch_rows, transpose, transpose_at
from gmm_core.kernels.vectors import clear, copy, load_block, place_at, step_to, to_line

__all__ = [
    "APART",
    "SPARE",
    "bring",
    "bring_any",
    "count_up",
    "fill",
    "list_components",
    "padded",
    "supply",
    "tile_rows",
    "vacant",
    "weigh",
]


_MOST_ROWS = 224  # of a tile
_CACHE = 32_768  # bytes of a tile's rows: the first-level cache of small processors
_LINE = 64  # bytes that come from memory together
SPARE, APART = -1, -2  # beside places in memory
_AHEAD = 48  # rows from the time they are asked for until they are read


def padded(count: int, dtype: Any) -> int:
    """`count` rounded up to whole blocks."""
    side = BLOCK_BYTES // int(np.dtype(dtype).itemsize)
    return -(-count // side) * side


@compiled
def tile_rows(width, itemsize):
    """Rows of a tile, a multiple of four vectors."""
    four = 4 * VECTOR_BYTES // itemsize
    fit = _CACHE // (width * itemsize)
    fit = _MOST_ROWS if fit > _MOST_ROWS else fit
    return four if fit < four else fit // four * four


@making
def vacant(count, kind):
    """An array that starts a cache line: of a vector that lies in two lines both are fetched."""
    room = np.empty(count + _LINE, kind)
    first = to_line(room)
    return room[first : first + count]


@compiled
def fill(array, value):
    """`value` everywhere. numpy's own functions that make such arrays take longer to compile."""
    for i in range(len(array)):
        array[i] = value


@compiled
def count_up(array):
    """0, 1, 2, ..."""
    for i in range(len(array)):
        array[i] = i


@compiled
def bring(source, at, d, scaling, T, turned, into):
    """T rows from `source[at]` on, standardised and turned, followed by 1, to `turned[into]` on."""
    L = BLOCK_BYTES // source.itemsize
    shift, inverse, ones = scaling
    for j in range(0, len(shift), L):
        less, times, plus = load_block(shift, j), load_block(inverse, j), load_block(ones, j)
        t, to = 0, at + j
        while t < T:
            transpose(turned, into + j * T + t, T, source, to, d, less, times, plus)
            to += L * d
            t = step_to(t + L)


@compiled
def bring_any(rows, d, scaling, T, turned, into):
    """As `bring`, T of the `rows` (source, base, order), which are at `source[base]` or, where there is
    an order, are those of these numbers."""
    L = BLOCK_BYTES // turned.itemsize
    source, base, order = rows
    if len(order) == 0:
        bring(source, base, d, scaling, T, turned, into)
        return
    shift, inverse, ones = scaling
    line = _LINE // turned.itemsize
    t = 0
    while t < T:
        j = 0
        while j < d and t + _AHEAD + L <= len(order):
            prefetch_rows(source, order, t + _AHEAD, d, j)
            j = step_to(j + line)
        for j in range(0, len(shift), L):
            to, less, times, plus = (
                into + j * T + t,
                load_block(shift, j),
                load_block(inverse, j),
                load_block(ones, j),
            )
            transpose_at(turned, to, T, source, order, t, d, j, less, times, plus)
        t = step_to(t + L)


@compiled
def weigh(given, places, masks, first, count, weight):
    """The weights of the next rows; there is room for more, which weigh 0. Returns whether all weigh 1."""
    if len(given) and len(masks):
        for t in range(count):
            weight[t] = given[places[first + t]]
    elif len(given):
        copy(weight, 0, given, first, count)
    clear(weight, count, len(weight))
    return len(given) == 0 and count == len(weight)


@compiled
def supply(values, d, places, masks, first, count, T, spare):
    """Where in `values` the next rows begin; or `SPARE`, they were put at the start of `spare`, which has
    room behind them; or `APART`, they are where their places say.

    Vectors read past the end of a row: of the last rows there is nothing.
    """
    base, number, room = first * d, count * d, len(spare) - T * d
    if len(masks):
        if count == T and _highest(places, first, count) * d + room <= len(values):
            return APART
        for a in range(count):
            copy(spare, a * d, values, place_at(places, first + a) * d, d)
    elif base + len(spare) > len(values):
        number = len(values) - base
        copy(spare, 0, values, base, number)
    else:
        return base
    clear(spare, number, len(spare))
    return SPARE


@compiled
def _highest(places, first, count):
    highest = 0
    for a in range(first, first + count):
        place = place_at(places, a)
        highest = place if place > highest else highest
    return highest


@compiled
def list_components(bits, listed):
    """The numbers of the bits that are set, and how many."""
    count = 0
    for c in range(len(listed) - 1):
        listed[count] = c
        count += bits >> c & 1
    return count
