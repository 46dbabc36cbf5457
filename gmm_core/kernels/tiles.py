"""Tiles: as many rows as the first-level cache holds, standardised and turned.

Turned: one vector holds one feature of several rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gmm_core.kernels.emit import VECTOR_BYTES
from gmm_core.kernels.options import compiled
from gmm_core.kernels.turns import transpose
from gmm_core.kernels.vectors import load, place_at, step_to, store

__all__ = [
    "bring",
    "copy_rows",
    "count_up",
    "fill",
    "lanes",
    "list_components",
    "padded",
    "take_rows",
    "tile_rows",
    "weigh",
]


_MOST_ROWS = 224  # of a tile
_CACHE = 32_768  # bytes of a tile's rows: the first-level cache of small processors


def lanes(dtype: Any) -> int:
    """Numbers in a vector."""
    return VECTOR_BYTES // int(np.dtype(dtype).itemsize)


def padded(count: int, dtype: Any) -> int:
    """`count` rounded up to whole vectors."""
    return -(-count // lanes(dtype)) * lanes(dtype)


@compiled
def tile_rows(width, itemsize):
    """Rows of a tile: a multiple of 32, four vectors of float32."""
    fit = _CACHE // (width * itemsize) // 32 * 32
    return 32 if fit < 32 else _MOST_ROWS if fit > _MOST_ROWS else fit


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
    L = VECTOR_BYTES // source.itemsize
    shift, inverse, ones = scaling
    for j in range(0, len(shift), L):
        less, times, plus = load(shift, j), load(inverse, j), load(ones, j)
        t, to = 0, at + j
        while t < T:
            transpose(turned, into + j * T + t, T, source, to, d, less, times, plus)
            to += L * d
            t = step_to(t + L)


@compiled
def weigh(given, first, count, size, weight):
    """Weights of `size` rows of which only `count` exist; the others weigh nothing.

    Returns whether all weigh 1.
    """
    for t in range(count if len(given) else 0):
        weight[t] = given[first + t]
    for t in range(count, size):
        weight[t] = 0
    return len(given) == 0 and count == size


@compiled
def copy_rows(values, at, spare):
    """The rows from `values[at]` on at the start of `spare`, which has room behind them.

    Vectors read past the end of a row: the last rows must be where they may.
    """
    left = len(values) - at
    for i in range(left):
        spare[i] = values[at + i]
    for i in range(left, len(spare)):
        spare[i] = 0


@compiled
def take_rows(values, d, given, places, spare, weight):
    """The rows at `places` and their weights, at the start of `spare` and `weight`; what follows is 0.

    Returns whether all weigh 1, as `weigh` does.
    """
    L = VECTOR_BYTES // values.itemsize
    count, end = len(places), len(values) - L
    for a in range(count):
        at, to = place_at(places, a) * d, a * d
        if at + d <= end:
            j = 0
            while j < d:  # beyond the row's end comes the next one, which is written next
                store(spare, to + j, load(values, at + j))
                j = step_to(j + L)
        else:
            for j in range(d):
                spare[to + j] = values[at + j]
    for i in range(count * d, len(spare)):
        spare[i] = 0
    for t in range(count if len(given) else 0):
        weight[t] = given[places[t]]
    for t in range(count, len(weight)):
        weight[t] = 0
    return len(given) == 0 and count == len(weight)


@compiled
def list_components(bits, listed):
    """The numbers of the bits that are set, and how many."""
    count = 0
    for c in range(len(listed) - 1):
        listed[count] = c
        count += bits >> c & 1
    return count
